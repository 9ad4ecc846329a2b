//! Sending one message (RFC 8621 §7.5).

use std::sync::Arc;

use mail::{AccountId, BodyId, BodyType, IdentityId, SubmissionId};
use message::header::Header;
use mta::accept::{Outgoing, Unsent};
use serde_json::Value;
use store::{Body, Identity, Kept, NewSubmission, SubmittedEnvelope};
use wire::smtp::server::Sender;

use super::envelope::{found, given, understood, written};
use crate::account::Account;
use crate::args::Args;
use crate::blob;
use crate::error::SetError;
use crate::ids;
use crate::request::Context;
use crate::sending::no_more;
use crate::server::Outbox;

/// What is asked for, and there.
struct Wanted {
    identity: IdentityId,
    email: BodyId,
    thread: mail::ThreadId,
    body: Arc<dyn Body>,
    envelope: Option<SubmittedEnvelope>,
}

fn invalid(name: &str, why: &str) -> SetError {
    SetError::properties(&[name], why)
}

/// Sends a message; the submission's id, and the message's.
pub(super) async fn send(
    context: &Context<'_>,
    account: &Account,
    identities: &Kept<Identity, IdentityId>,
    value: Value,
) -> Result<(SubmissionId, BodyId), SetError> {
    let wanted = read(context, account, identities, value).await?;
    let outbox = context.server.outbox().ok_or_else(|| SetError::with("forbiddenToSend", "nothing is sent here"))?;
    let size = wanted.body.size();
    if size > outbox.message_size {
        return Err(SetError::new("tooLarge").and("maxSize", outbox.message_size));
    }
    let octets = mta::header::read(wanted.body.as_ref()).await?;
    let header = Header::of(&octets);
    check_from(&outbox, account.id, &header).await?;
    let envelope = match wanted.envelope {
        Some(envelope) => envelope,
        None => found(&header)?,
    };
    let now = context.moment.now;
    let understood = understood(&envelope, now, outbox.recipients)?;
    let needs_utf8 = !header.bytes().is_ascii()
        || understood.reverse_path.address().is_some_and(mail::Address::needs_utf8)
        || understood.recipients.iter().any(|recipient| recipient.address.needs_utf8());
    let outgoing = Outgoing {
        from: (account.id, context.user.address.clone()),
        sender: Sender {
            reverse_path: understood.reverse_path,
            size: Some(size),
            body: BodyType::EightBitMime,
            smtputf8: needs_utf8,
            dsn_return: understood.dsn_return,
            envelope_id: understood.envelope_id,
            future_release: None,
        },
        recipients: understood.recipients,
        body: wanted.body,
        hold: understood.hold,
    };
    let (identity, email, thread) = (wanted.identity, wanted.email, wanted.thread);
    let account = account.id;
    let known = |ways| NewSubmission { account, identity, email, thread, envelope, ways };
    let sent = outbox.desk.send(outgoing, known).await.map_err(refused)?;
    (outbox.taken)();
    Ok((sent.into_inner(), email))
}

async fn read(
    context: &Context<'_>,
    account: &Account,
    identities: &Kept<Identity, IdentityId>,
    value: Value,
) -> Result<Wanted, SetError> {
    let mut members = Args::of(value, "a submission").map_err(|_| invalid("emailId", "a submission is an object"))?;
    let mut reference = |name: &'static str| {
        let id = members.string(name).map_err(|_| invalid(name, "it is an id"))?;
        id.ok_or_else(|| invalid(name, "it is missing"))
    };
    let (identity, email) = (reference("identityId")?, reference("emailId")?);
    let envelope = members.value("envelope").map(given).transpose()?;
    no_more(&members)?;
    let identity = context.real_id(&identity).and_then(ids::parse_identity);
    let identity = identities.there.iter().find(|one| Some(one.id) == identity);
    let identity = identity.ok_or_else(|| invalid("identityId", "there is no such identity"))?.id;
    let none = || invalid("emailId", "there is no such message");
    let email = context.real_id(&email).and_then(ids::parse_email).and_then(|id| account.index.email(id));
    let email = email.ok_or_else(none)?;
    let content = context.server.blob(context.user, account, &blob::of_message(email.id())).await?;
    let body = content.and_then(|content| content.as_body()).ok_or_else(none)?;
    Ok(Wanted { identity, email: email.id(), thread: email.thread(), body, envelope })
}

/// RFC 8621 §7.5: who it says that it is from must be somebody whom the account may send as.
async fn check_from(outbox: &Outbox, account: AccountId, header: &Header<'_>) -> Result<(), SetError> {
    // RFC 5322 §3.6: exactly one From.
    if header.count("From") != 1 {
        let why = "a message has one From field";
        return Err(SetError::with("invalidEmail", why).and("properties", vec!["from"]));
    }
    for name in ["From", "Sender"] {
        for field in header.all(name) {
            let all = message::envelope::addresses(field.raw_value());
            let all: Vec<String> = all.iter().filter_map(written).collect();
            if all.is_empty() && name == "From" {
                let why = "nobody is in the From field";
                return Err(SetError::with("invalidEmail", why).and("properties", vec!["from"]));
            }
            for email in all {
                let is_own = match wire::address::mailbox(&email) {
                    Ok(address) => outbox.desk.may_send_as(account, &address).await?,
                    Err(_) => false,
                };
                if !is_own {
                    let why = format!("{email} is not an address of the account");
                    return Err(SetError::with("forbiddenFrom", why));
                }
            }
        }
    }
    Ok(())
}

/// RFC 8621 §7.5: what the acceptance says, in JMAP's words.
fn refused(unsent: Unsent) -> SetError {
    match unsent {
        Unsent::Account(reply) => SetError::with("forbiddenToSend", reply.to_string()),
        Unsent::Sender(reply) if reply.code.is_transient() => SetError::with("serverFail", reply.to_string()),
        Unsent::Sender(reply) => SetError::with("forbiddenMailFrom", reply.to_string()),
        Unsent::Recipients(refused) => {
            let words: Vec<String> = refused.iter().map(|(_, reply)| reply.to_string()).collect();
            let whom: Vec<String> = refused.iter().map(|(address, _)| address.to_string()).collect();
            SetError::with("invalidRecipients", words.join("\n")).and("invalidRecipients", whom)
        }
        // RFC 8620 §5.3
        Unsent::TooMany => SetError::with("overQuota", "too many messages wait for their time"),
        Unsent::Lines => {
            let why = "its lines do not end with CR and LF";
            SetError::with("invalidEmail", why).and("properties", vec!["bodyStructure"])
        }
        Unsent::Message(reply) if reply.code.is_transient() => SetError::with("serverFail", reply.to_string()),
        Unsent::Message(reply) => SetError::with("forbiddenToSend", reply.to_string()),
    }
}
