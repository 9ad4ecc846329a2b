//! Email/changes (RFC 8621 §4.3).

use mail::BodyId;

use crate::args::Args;
use crate::changes::{arguments, cut, response};
use crate::error::Answer;
use crate::ids;
use crate::request::Context;

pub(crate) async fn changes(context: &mut Context<'_>, args: Args) -> Answer {
    let (since, most) = arguments(context, args).await?;
    let changes = since.emails().into_iter().map(|(change, _)| change).collect();
    let cut = cut(changes, since.account.modseq, most)?;
    Ok(response(&since, cut, |id| ids::email(BodyId(id))))
}
