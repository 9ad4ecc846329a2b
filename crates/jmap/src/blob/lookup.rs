//! Blob/lookup (RFC 9404 §4.3): what refers to a blob.

use serde_json::{Map, Value, json};

use super::{BlobId, Source};
use crate::args::Args;
use crate::error::{Answer, MethodError};
use crate::ids;
use crate::query::wanted_ids;
use crate::request::Context;

/// RFC 9404 §3.1: supportedTypeNames.
pub(crate) const TYPES: [&str; 3] = ["Mailbox", "Thread", "Email"];

pub(crate) async fn lookup(context: &mut Context<'_>, mut args: Args) -> Answer {
    let id = context.account_id(&mut args).await?;
    let types = Args::required("typeNames", args.strings("typeNames")?)?;
    let ids = Args::required("ids", wanted_ids(&mut args)?)?;
    args.finish()?;
    if types.iter().any(|name| !TYPES.contains(&name.as_str())) {
        return Err(MethodError::new("unknownDataType"));
    }
    let account = context.open(id).await?;
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for id in ids {
        let real = context.real_id(&id).unwrap_or_default();
        if context.server.blob(context.user, &account, real).await?.is_none() {
            not_found.push(Value::from(id));
            continue;
        }
        let email = match BlobId::parse(real).map(|id| id.source) {
            Some(Source::Message(body)) => account.index.email(body),
            _ => None,
        };
        let mut matched = Map::new();
        for name in &types {
            let ids: Vec<String> = match (&email, name.as_str()) {
                (Some(email), "Email") => vec![ids::email(email.id())],
                (Some(email), "Thread") => vec![ids::thread(email.thread())],
                (Some(email), "Mailbox") => email.mailboxes().map(|(_, id)| ids::mailbox(id)).collect(),
                _ => Vec::new(),
            };
            matched.insert(name.clone(), ids.into());
        }
        list.push(json!({ "id": real, "matchedIds": matched }));
    }
    Ok(json!({ "accountId": ids::account(account.id), "list": list, "notFound": not_found }))
}
