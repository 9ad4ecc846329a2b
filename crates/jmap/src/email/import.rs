//! Email/import (RFC 8621 §4.8).

use mail::{BodyId, Timestamp, limits};
use message::date::parse_rfc3339;
use message::header::Header;
use reading::body::{Message, looked_at};
use serde_json::Value;
use store::StoreResult;

use super::parse::is_message;
use super::placing::Placing;
use super::set::created;
use crate::account::Account;
use crate::args::Args;
use crate::blob::{Content, Octets};
use crate::error::{Answer, MethodError, SetError};
use crate::ids;
use crate::request::Context;
use crate::set::{Outcome, check_state};

pub(crate) async fn import(context: &mut Context<'_>, mut args: Args) -> Answer {
    let id = context.account_id(&mut args).await?;
    let account = context.open(id).await?;
    check_state(&mut args, "ifInState", &account.state())?;
    let emails = Args::required("emails", args.object("emails")?)?;
    args.finish()?;
    if emails.keys().any(|id| !ids::is_id(id)) {
        return Err(MethodError::arguments("a creation id must be an id"));
    }
    if emails.len() > limits::JMAP_OBJECTS_IN_SET {
        return Err(MethodError::new("requestTooLarge"));
    }
    let old = account.state();
    let (mut outcome, mut made) = (Outcome::default(), Vec::new());
    for (key, value) in emails {
        match one(context, &account, value).await {
            Ok((body, size)) => {
                context.made.insert(key.clone(), ids::email(body));
                made.push((key, body, size));
            }
            Err(error) => outcome.created(key, Err(error)),
        }
    }
    let account = context.open(account.id).await?;
    for (key, body, size) in made {
        outcome.created(key, Ok(created(&account, body, size)));
    }
    Ok(outcome.creations(&account, &old, &account.state()))
}

async fn one(context: &Context<'_>, account: &Account, value: Value) -> Result<(BodyId, u64), SetError> {
    let wrong =
        |name: &'static str| move |_: MethodError| SetError::properties(&[name], "it is missing or of the wrong type");
    let mut members = Args::of(value, "an import").map_err(wrong("blobId"))?;
    let blob = members
        .id("blobId")
        .map_err(wrong("blobId"))?
        .ok_or_else(|| SetError::properties(&["blobId"], "it is missing"))?;
    let mailboxes = members.value("mailboxIds").unwrap_or_default();
    let keywords = members.value("keywords").unwrap_or_default();
    let received = received_at(&mut members)?;
    if let Some(name) = members.left().next() {
        return Err(SetError::properties(&[name], "there is no such property"));
    }
    let placing = Placing::read(context, account, &mailboxes, &keywords)?;
    placing.check_new(account)?;
    let content = context.server.blob(context.user, account, &blob).await?;
    let content = content.ok_or_else(|| SetError::properties(&["blobId"], "there is no such blob"))?;
    let body = match content.as_body() {
        Some(body) => body,
        None => Octets::body(content.read().await?),
    };
    let mut message = Message::passing(&context.server.structures, body.clone());
    if !is_message(&mut message).await? {
        return Err(SetError::with("invalidEmail", "it does not begin with a header field"));
    }
    let received = match received {
        Some(received) => received,
        None => last_received(&mut message).await?.unwrap_or(context.moment.now),
    };
    put(context, &placing, &Content::whole(body), received).await
}

/// The property receivedAt: a UTCDate.
pub(super) fn received_at(members: &mut Args) -> Result<Option<Timestamp>, SetError> {
    let wrong = || SetError::properties(&["receivedAt"], "it is a date in UTC");
    let Some(text) = members.string("receivedAt").map_err(|_| wrong())? else { return Ok(None) };
    parse_rfc3339(&text).filter(|_| text.ends_with('Z')).map(Some).ok_or_else(wrong)
}

/// RFC 8621 §4.8: the time of the most recent Received field, which stands on top.
async fn last_received(message: &mut Message<'_>) -> StoreResult<Option<Timestamp>> {
    let range = looked_at(message.header().await?);
    let octets = message.read_whole(range).await?;
    let header = Header::of(&octets);
    let Some(field) = header.get("Received") else { return Ok(None) };
    let value = field.unfolded();
    let date = value.iter().rposition(|byte| *byte == b';').map(|at| &value[at + 1..]);
    Ok(date.and_then(message::date::parse).map(|date| date.timestamp))
}

/// Puts octets into mailboxes as one message.
pub(super) async fn put(
    context: &Context<'_>,
    placing: &Placing,
    content: &Content,
    received: Timestamp,
) -> Result<(BodyId, u64), SetError> {
    let mut stage = context.server.store.stage(content.known_size()).await?;
    let mut pieces = content.pieces();
    while let Some(piece) = pieces.next().await? {
        if stage.len() + piece.len() as u64 > limits::MESSAGE_SIZE as u64 {
            return Err(SetError::new("tooLarge"));
        }
        stage.write(&piece).await?;
    }
    Ok(placing.put(context, stage, received).await?)
}
