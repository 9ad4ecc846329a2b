//! Mailbox/changes (RFC 8621 §2.2).

use mail::MailboxId;

use super::get::COUNTS;
use crate::args::Args;
use crate::changes::{Kind, arguments, cut, response};
use crate::error::Answer;
use crate::ids;
use crate::request::Context;

pub(crate) async fn changes(context: &mut Context<'_>, args: Args) -> Answer {
    let (since, most) = arguments(context, args).await?;
    let cut = cut(since.mailboxes(), since.account.modseq, most)?;
    let mut updated = cut.0.iter().filter(|change| change.kind == Kind::Updated).peekable();
    let counts_only = updated.peek().is_some() && updated.all(|change| change.counts_only);
    let mut response = response(&since, cut, |id| ids::mailbox(MailboxId(id)));
    response["updatedProperties"] = if counts_only { COUNTS.to_vec().into() } else { serde_json::Value::Null };
    Ok(response)
}
