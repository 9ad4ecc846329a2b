//! Blob/upload (RFC 9404 §4.1): blobs put together of octets in the request and of other blobs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::limits;
use serde_json::{Map, Value, json};

use super::get::part;
use super::of_upload;
use crate::account::Account;
use crate::args::Args;
use crate::error::{Answer, MethodError, SetError};
use crate::ids;
use crate::request::Context;
use crate::set::or_null;

pub(crate) async fn upload(context: &mut Context<'_>, mut args: Args) -> Answer {
    let id = context.account_id(&mut args).await?;
    let create = Args::required("create", args.object("create")?)?;
    args.finish()?;
    if create.len() > limits::JMAP_OBJECTS_IN_SET {
        return Err(MethodError::new("requestTooLarge"));
    }
    if create.keys().any(|id| !ids::is_id(id)) {
        return Err(MethodError::arguments("a creation id must be an id"));
    }
    let account = context.open(id).await?;
    let (mut created, mut not_created) = (Map::new(), Map::new());
    for (key, value) in create {
        match one(context, &account, value).await {
            Ok(made) => {
                if let Some(id) = made["id"].as_str() {
                    context.made.insert(key.clone(), id.to_owned());
                }
                created.insert(key, made);
            }
            Err(error) => drop(not_created.insert(key, error.value())),
        }
    }
    Ok(json!({
        "accountId": ids::account(account.id),
        "created": or_null(created),
        "notCreated": or_null(not_created),
    }))
}

async fn one(context: &Context<'_>, account: &Account, value: Value) -> Result<Value, SetError> {
    let wrong = |why: &str| SetError::properties(&["data"], why);
    let mut members = Args::of(value, "an upload").map_err(|_| wrong("an upload is an object"))?;
    let media_type = members.string("type").map_err(|_| SetError::properties(&["type"], "it is a string"))?;
    let Some(Value::Array(sources)) = members.value("data") else { return Err(wrong("it is an array")) };
    if members.left().next().is_some() {
        return Err(wrong("there are members that are not known"));
    }
    if sources.len() > limits::JMAP_DATA_SOURCES {
        return Err(SetError::with("tooLarge", "it has too many sources"));
    }
    let mut stage = context.server.store.stage(None).await?;
    for source in sources {
        let mut source = Args::of(source, "a source").map_err(|_| wrong("a source is an object"))?;
        let mut string = |name: &str| source.string(name).map_err(|_| wrong("it is a string"));
        let (text, coded, blob) = (string("data:asText")?, string("data:asBase64")?, string("blobId")?);
        let offset = source.unsigned("offset").map_err(|_| wrong("offset is a number"))?;
        let length = source.unsigned("length").map_err(|_| wrong("length is a number"))?;
        if source.left().next().is_some() || blob.is_none() && (offset.is_some() || length.is_some()) {
            return Err(wrong("there are members that are not known"));
        }
        let octets = match (text, coded, blob) {
            (Some(text), None, None) => text.into_bytes(),
            (None, Some(coded), None) => STANDARD.decode(coded).map_err(|_| wrong("this is no base64"))?,
            (None, None, Some(id)) => {
                let missing = || SetError::new("blobNotFound").and("notFound", vec![id.clone()]);
                let real = context.real_id(&id).ok_or_else(missing)?;
                let content = context.server.blob(context.user, account, real).await?.ok_or_else(missing)?;
                let found = part(&content, offset.unwrap_or(0), length, limits::MESSAGE_SIZE).await?;
                let (octets, is_truncated) = found.ok_or_else(|| SetError::new("tooLarge"))?;
                if is_truncated {
                    // RFC 9404 §4.1: a range that is not there can't be used.
                    return Err(wrong("the blob is shorter than that"));
                }
                octets
            }
            _ => return Err(wrong("a source is one of data:asText, data:asBase64 and blobId")),
        };
        if stage.len() + octets.len() as u64 > limits::MESSAGE_SIZE as u64 {
            return Err(SetError::new("tooLarge"));
        }
        stage.write(&octets).await?;
    }
    let size = stage.len();
    let kept = context.server.store.keep_upload(context.user.account, stage, context.moment.now).await?;
    Ok(json!({ "id": of_upload(kept.into_inner()), "type": media_type, "size": size }))
}
