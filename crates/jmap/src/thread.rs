//! Threads (RFC 8621 §3). A conversation is what the store says; here its messages are put in order.

use mail::ThreadId;
use serde_json::{Value, json};

use crate::args::Args;
use crate::changes::{arguments, cut, response};
use crate::error::{Answer, MethodError};
use crate::ids;
use crate::query::{got, wanted_ids, wanted_properties};
use crate::request::Context;

/// Thread/get.
pub(crate) async fn get(context: &mut Context<'_>, mut args: Args) -> Answer {
    let id = context.account_id(&mut args).await?;
    // RFC 8621 §3.1: not all at once.
    let ids = wanted_ids(&mut args)?.ok_or(MethodError::new("requestTooLarge"))?;
    let wanted = wanted_properties(&mut args, &["id", "emailIds"])?;
    args.finish()?;
    let account = context.open(id).await?;
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for id in ids {
        let emails = ids::parse_thread(&id).map(|thread| account.index.thread(thread)).unwrap_or_default();
        if emails.is_empty() {
            not_found.push(id);
            continue;
        }
        let mut thread = json!({ "id": id });
        if wanted.contains(&"emailIds") {
            thread["emailIds"] = emails.iter().map(|email| Value::from(ids::email(email.id()))).collect();
        }
        list.push(thread);
    }
    Ok(got(&account, list, not_found))
}

/// Thread/changes.
pub(crate) async fn changes(context: &mut Context<'_>, args: Args) -> Answer {
    let (since, most) = arguments(context, args).await?;
    let cut = cut(since.threads(), since.account.modseq, most)?;
    Ok(response(&since, cut, |id| ids::thread(ThreadId(id))))
}
