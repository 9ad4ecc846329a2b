//! One certificate, from asking for it to having it (RFC 8555 §7.4).

use std::sync::Arc;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, KeyAuthorization, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use mail::{Domain, limits};
use rcgen::{CertificateParams, DistinguishedName};

use super::answers::{Answers, Given};
use super::http::Https;
use super::keep::Folder;
use super::{AcmeSettings, Challenge, hook};

/// The account, made at the first time.
pub(super) async fn account(settings: &AcmeSettings, folder: &Folder) -> Result<Account, String> {
    let builder = Account::builder_with_http(Box::new(Https::new(settings.ca_file.as_deref())?));
    if let Some(credentials) = folder.account(&settings.directory) {
        return builder.from_credentials(credentials).await.map_err(|error| words(&error));
    }
    let contact: Vec<String> = settings.contact.iter().map(|address| format!("mailto:{address}")).collect();
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    // The section is only whole where the operator has agreed (RFC 8555 §7.3).
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let made = builder.create(&new, settings.directory.clone(), None).await;
    let (account, credentials) = made.map_err(|error| words(&error))?;
    folder
        .keep_account(&settings.directory, credentials)
        .map_err(|error| format!("the account can't be kept: {error}"))?;
    Ok(account)
}

/// What is shown to the authority until it has looked.
enum Shown {
    Here { _until_dropped: Given },
    InDns { name: String, value: String },
}

/// Gets a certificate for a name and keeps it.
pub(super) async fn obtain(
    account: &Account,
    settings: &AcmeSettings,
    answers: &Arc<Answers>,
    folder: &Folder,
    name: &Domain,
) -> Result<(), String> {
    let identifiers = [Identifier::Dns(name.to_string())];
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await.map_err(|error| words(&error))?;
    let mut shown = Vec::new();
    let ready = prove(&mut order, settings, answers, &mut shown).await;
    for one in shown {
        if let (Shown::InDns { name, value }, Challenge::Dns(program)) = (one, &settings.challenge)
            && let Err(why) = hook::run(program, "remove", &name, &value).await
        {
            tracing::warn!(%why, "a proof stays in DNS");
        }
    }
    ready?;
    let key = folder.key(name, settings.first_key.as_deref())?;
    let mut params = CertificateParams::new([name.to_string()]).map_err(|error| error.to_string())?;
    // RFC 8555 §7.4: the names are enough.
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(|error| error.to_string())?;
    order.finalize_csr(request.der()).await.map_err(|error| words(&error))?;
    let chain = order.poll_certificate(&patience()).await.map_err(|error| words(&error))?;
    folder.keep(name, &key, &chain).map_err(|error| format!("the certificate can't be kept: {error}"))
}

/// Proves the names of an order, until the authority believes it.
async fn prove(
    order: &mut Order,
    settings: &AcmeSettings,
    answers: &Arc<Answers>,
    shown: &mut Vec<Shown>,
) -> Result<(), String> {
    let kind = match settings.challenge {
        Challenge::Http => ChallengeType::Http01,
        Challenge::TlsAlpn => ChallengeType::TlsAlpn01,
        Challenge::Dns(_) => ChallengeType::Dns01,
    };
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(|error| words(&error))?;
        match authorization.status {
            // RFC 8555 §7.1.4: what was proved a while ago is not asked again.
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            status => return Err(format!("the authority begins with an authorization that is {status:?}")),
        }
        let Some(mut challenge) = authorization.challenge(kind.clone()) else {
            return Err(format!("the authority takes no proof by {kind:?} for this name"));
        };
        let (name, token) = (challenge.identifier().to_string(), challenge.token.clone());
        shown.push(show(settings, answers, &name, &token, &challenge.key_authorization()).await?);
        challenge.set_ready().await.map_err(|error| words(&error))?;
    }
    match order.poll_ready(&patience()).await {
        Ok(OrderStatus::Ready) => Ok(()),
        Ok(_) => Err(why_not(order).await.unwrap_or_else(|| "the authority refuses, and does not say why".into())),
        Err(error) => Err(why_not(order).await.unwrap_or_else(|| words(&error))),
    }
}

async fn show(
    settings: &AcmeSettings,
    answers: &Arc<Answers>,
    name: &str,
    token: &str,
    authorization: &KeyAuthorization,
) -> Result<Shown, String> {
    let given = match &settings.challenge {
        Challenge::Http => answers.give_page(token, authorization.as_str()),
        Challenge::TlsAlpn => answers.give_handshake(name, authorization.digest().as_ref())?,
        Challenge::Dns(program) => {
            // RFC 8555 §8.4
            let (name, value) = (format!("_acme-challenge.{name}"), authorization.dns_value());
            hook::run(program, "add", &name, &value).await?;
            return Ok(Shown::InDns { name, value });
        }
    };
    Ok(Shown::Here { _until_dropped: given })
}

/// What the authority found when it looked (RFC 8555 §8).
async fn why_not(order: &mut Order) -> Option<String> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let state = authorization.refresh().await.ok()?;
        let found = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()?.detail.clone());
        if let Some(found) = found {
            return Some(format!("the authority looked and says: {found}"));
        }
    }
    None
}

/// How often, and how long, it is asked whether it has looked.
fn patience() -> RetryPolicy {
    RetryPolicy::new().backoff(1.5).timeout(limits::ACME_ORDER_TIMEOUT)
}

/// An error in the authority's own words, where it has some.
fn words(error: &Error) -> String {
    match error {
        Error::Api(problem) => match &problem.detail {
            Some(detail) => format!("the authority says: {detail}"),
            None => format!("the authority refuses: {}", problem.r#type.as_deref().unwrap_or("it does not say why")),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ACME_ORDER_TIMEOUT`
    #[test]
    fn an_order_has_an_end() {
        let policy = format!("{:?}", patience());
        assert!(policy.contains(&format!("{:?}", limits::ACME_ORDER_TIMEOUT)), "{policy}");
    }
}
