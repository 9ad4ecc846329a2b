//! Journey/changes: of what was sent.

use serde_json::json;

use crate::args::Args;
use crate::changes::{UNKNOWN, state_and_most};
use crate::error::Answer;
use crate::ids;
use crate::request::Context;

pub(crate) async fn changes(context: &mut Context<'_>, mut args: Args) -> Answer {
    context.owner(&mut args).await?;
    let (since, most) = state_and_most(args)?;
    let (changes, now) = context.journeys_since(&since);
    let changes = changes.ok_or(UNKNOWN)?;
    // RFC 8620 §5.2: there is no state in the midst of them.
    if most.is_some_and(|most| changes.len() as u64 > most) {
        return Err(UNKNOWN);
    }
    let of = |new: bool| -> Vec<String> {
        changes.iter().filter(|(_, began)| **began == new).map(|(id, _)| id.to_string()).collect()
    };
    Ok(json!({
        "accountId": ids::account(context.user.account),
        "oldState": since,
        "newState": now,
        "hasMoreChanges": false,
        "created": of(true),
        "updated": of(false),
        "destroyed": [],
    }))
}
