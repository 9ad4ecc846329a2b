//! Passkeys (Web Authentication Level 3): made in a session, listed, taken away; and the log-in with one, without a password.
//!
//! What is asked of a browser goes out as `PublicKeyCredential.parseCreationOptionsFromJSON` and `parseRequestOptionsFromJSON`
//! take it (§5.1.8, §5.1.9); what it answers comes in as the fields of its `toJSON()` that are looked at.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::{Method, StatusCode};
use mail::{TokenId, limits};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use store::{StoreError, Token, TokenKind};

use super::access::{Visitor, note, refusal};
use super::problem::Problem;
use super::reply::{self, Response};
use super::request::Request;
use super::session::{ask_again, begin, used, who};
use crate::auth::{LoginError, Occasion, PasskeyError, PasskeySaid, take_away, user_handle};
use crate::control::Secret;
use crate::passkey::{ALGORITHMS, RelyingParty};

/// Octets, as WebAuthn's JSON has them (RFC 4648 §5, without padding).
struct Octets(Vec<u8>);

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        URL_SAFE_NO_PAD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    /// The account's own password.
    password: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirm {
    name: String,
    #[serde(rename = "clientDataJSON")]
    client_data: Octets,
    #[serde(rename = "attestationObject")]
    attestation: Octets,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogIn {
    id: Octets,
    #[serde(rename = "clientDataJSON")]
    client_data: Octets,
    #[serde(rename = "authenticatorData")]
    authenticator_data: Octets,
    signature: Octets,
    #[serde(rename = "userHandle")]
    user_handle: Octets,
}

/// The site that a request was sent to, as its browser sees it. WebAuthn Level 3 §5.1.3: passkeys are for a domain, not for an
/// address.
fn site(request: &Request) -> Result<RelyingParty, Problem> {
    let host = request.host().filter(|host| !host.starts_with('[') && host.parse::<IpAddr>().is_err());
    match (host, request.authority()) {
        (Some(host), Some(authority)) => {
            let scheme = if request.peer.tls { "https" } else { "http" };
            let origin = format!("{scheme}://{authority}").to_ascii_lowercase();
            Ok(RelyingParty { id: host.to_ascii_lowercase(), origin })
        }
        _ => {
            let detail = "passkeys are for a name, not for an address: open this page by the server's name, \
                          on this very machine as localhost";
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).code("name"))
        }
    }
}

fn described(credential: &[u8]) -> Value {
    json!({ "type": "public-key", "id": URL_SAFE_NO_PAD.encode(credential) })
}

fn shown(token: &Token) -> Value {
    json!({ "id": token.id.0, "name": token.name, "created": token.created.millis(), "used": used(token) })
}

/// `GET` and `POST /auth/passkeys`
pub(super) async fn all(request: &mut Request, visitor: &Visitor) -> Result<Response, Problem> {
    let account = &visitor.account;
    let tokens = request.shared.store.tokens(account.id, TokenKind::Passkey).await?;
    if request.method() != Method::POST {
        let all: Vec<Value> = tokens.iter().map(shown).collect();
        return Ok(reply::json(StatusCode::OK, &json!({ "passkeys": all })));
    }
    let site = site(request)?;
    let Begin { password } = request.json().await?;
    ask_again(request, account, &password).await?;
    // Before the device has made one that nobody would know.
    let (most, limit) = Token::most(TokenKind::Passkey);
    if tokens.len() >= most {
        return Err(StoreError::Limit(limit).into());
    }
    let challenge = request.shared.auth.passkey_challenge(Occasion::Register(session(visitor)?.id));
    let known = tokens.iter().filter_map(|token| token.passkey.as_ref()).map(|passkey| described(&passkey.credential));
    let kinds = ALGORITHMS.map(|algorithm| json!({ "type": "public-key", "alg": algorithm }));
    let address = account.address.to_string();
    let value = json!({
        "rp": { "id": site.id, "name": request.settings.hostname.to_string() },
        "user": { "id": URL_SAFE_NO_PAD.encode(user_handle(account)), "name": address, "displayName": address },
        "challenge": URL_SAFE_NO_PAD.encode(challenge),
        "pubKeyCredParams": kinds,
        "timeout": limits::PASSKEY_CHALLENGE_LIFETIME.as_millis() as u64,
        "excludeCredentials": known.collect::<Vec<_>>(),
        // Found by the device itself, so that no address has to be typed; and it asks its owner who he is.
        "authenticatorSelection":
            { "residentKey": "required", "requireResidentKey": true, "userVerification": "required" },
        "attestation": "none",
    });
    Ok(reply::json(StatusCode::OK, &value))
}

/// `POST /auth/passkeys/confirm`
pub(super) async fn confirm(request: &mut Request, visitor: &Visitor) -> Result<Response, Problem> {
    let site = site(request)?;
    let Confirm { name, client_data, attestation } = request.json().await?;
    // The body may have come slowly, and the session may have ended meanwhile: what is made now would outlast it.
    if request.shared.auth.holds(visitor.account.id, &visitor.proof).await?.is_none() {
        return Err(Problem::log_in(request, "the session is over"));
    }
    let unfit = |why: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why);
    if name.trim().is_empty() {
        return Err(unfit("a passkey needs a name, like that of the device".into()));
    }
    let auth = &request.shared.auth;
    match auth.add_passkey(session(visitor)?, &name, &site, &client_data.0, &attestation.0).await {
        Ok(id) => Ok(reply::json(StatusCode::CREATED, &json!({ "id": id.0 }))),
        Err(PasskeyError::Refused(refusal)) => Err(unfit(refusal.to_string()).code("passkey")),
        Err(PasskeyError::Store(error)) => Err(error.into()),
    }
}

/// `DELETE /auth/passkeys/ID`
pub(super) async fn remove(request: &Request, visitor: &Visitor, id: TokenId) -> Result<Response, Problem> {
    let stays = session(visitor)?.id;
    let _ = take_away(&*request.shared.store, visitor.account.id, id, Some(stays)).await?;
    Ok(reply::done())
}

/// The page is for sessions, so there is one.
fn session(visitor: &Visitor) -> Result<&Token, Problem> {
    visitor.session.as_ref().ok_or_else(|| Problem::forbidden("this is for browsers that logged in").code("session"))
}

/// `POST /auth/login/challenge`: the same for everybody, so that it tells nothing of anybody.
pub(super) fn challenge(request: &Request) -> Result<Response, Problem> {
    let challenge = request.shared.auth.passkey_challenge(Occasion::LogIn);
    let value = json!({
        "rpId": site(request)?.id,
        "challenge": URL_SAFE_NO_PAD.encode(challenge),
        "timeout": limits::PASSKEY_CHALLENGE_LIFETIME.as_millis() as u64,
        "allowCredentials": [],
        "userVerification": "required",
    });
    Ok(reply::json(StatusCode::OK, &value))
}

/// `POST /auth/login/passkey`
pub(super) async fn log_in(request: &mut Request) -> Result<Response, Problem> {
    let site = site(request)?;
    let LogIn { id, client_data, authenticator_data, signature, user_handle } = request.json().await?;
    let said = PasskeySaid {
        id: id.0,
        client_data: client_data.0,
        authenticator_data: authenticator_data.0,
        signature: signature.0,
        user_handle: user_handle.0,
    };
    let (ip, most) = (request.peer.ip, request.settings.limits.login_failures);
    // Whose it is, where it is somebody's, the log has beside the reason.
    const SOMEBODY: &str = "a passkey";
    match request.shared.auth.passkey(ip, &site, &said, most).await {
        Ok(account) => {
            note(request, &account.address.to_string(), "ok");
            let mut response = reply::json(StatusCode::OK, &who(&account));
            begin(request, &account, &mut response).await?;
            Ok(response)
        }
        Err(LoginError::Refused) => {
            note(request, SOMEBODY, "refused");
            Err(Problem::log_in(request, "this passkey is not good here").code("refused"))
        }
        Err(error) => Err(refusal(request, SOMEBODY, error)),
    }
}
