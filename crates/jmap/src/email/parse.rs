//! Email/parse (RFC 8621 §4.9): messages in blobs.

use mail::limits;
use reading::body::Message;
use serde_json::{Map, Value, json};

use super::object::{DEFAULT, Wanted};
use crate::args::Args;
use crate::blob::Octets;
use crate::error::{Answer, MethodError};
use crate::ids;
use crate::request::{Context, TOO_LARGE, weight};
use crate::set::or_null;

/// Of these the ids are null, so they are not among what is told by itself.
const STORED: usize = 7;

pub(crate) async fn parse(context: &mut Context<'_>, mut args: Args) -> Answer {
    let id = context.account_id(&mut args).await?;
    let blobs = Args::required("blobIds", args.ids("blobIds")?)?;
    if blobs.len() > limits::JMAP_OBJECTS_IN_GET {
        return Err(MethodError::new("requestTooLarge"));
    }
    let wanted = Wanted::read(&mut args, &DEFAULT[STORED..])?;
    args.finish()?;
    let account = context.open(id).await?;
    let (mut parsed, mut not_parsable, mut not_found) = (Map::new(), Vec::new(), Vec::new());
    let mut octets = 0;
    for id in blobs {
        let Some(content) = context.server.blob(context.user, &account, &id).await? else {
            not_found.push(Value::from(id));
            continue;
        };
        let body = match content.as_body() {
            Some(body) => body,
            None => Octets::body(content.read().await?),
        };
        let size = body.size();
        let mut message = Message::passing(&context.server.structures, body);
        if !is_message(&mut message).await? {
            not_parsable.push(Value::from(id));
            continue;
        }
        let mut members = wanted.metadata(None, &id, size);
        wanted.describe(&mut message, &id, &mut members).await?;
        let value = Value::Object(members);
        octets += weight(&value);
        if octets > context.room {
            return Err(TOO_LARGE);
        }
        parsed.insert(id, value);
    }
    let list = |list: Vec<Value>| if list.is_empty() { Value::Null } else { list.into() };
    Ok(json!({
        "accountId": ids::account(account.id),
        "parsed": or_null(parsed),
        "notParsable": list(not_parsable),
        "notFound": list(not_found),
    }))
}

/// Whether it begins with a header field: all else is no message.
pub(super) async fn is_message(message: &mut Message<'_>) -> store::StoreResult<bool> {
    let range = reading::body::looked_at(message.header().await?);
    let octets = message.read_whole(range).await?;
    let header = message::header::Header::of(&octets);
    Ok(header.fields().next().is_some_and(|field| !field.name().is_empty()))
}
