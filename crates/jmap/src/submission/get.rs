//! EmailSubmission/get and EmailSubmission/changes (RFC 8621 §7.1, §7.2).

use mail::SubmissionId;

use super::{PROPERTIES, object};
use crate::args::Args;
use crate::error::Answer;
use crate::ids;
use crate::request::Context;
use crate::sending::{self, Asked};

pub(crate) async fn get(context: &mut Context<'_>, mut args: Args) -> Answer {
    let account = context.own_account_id(&mut args).await?;
    let asked = Asked::read(args, PROPERTIES)?;
    let kept = context.server.store.submissions(account).await?;
    Ok(asked.response(context, account, &kept, |one| ids::submission(one.id), object))
}

pub(crate) async fn changes(context: &mut Context<'_>, mut args: Args) -> Answer {
    let account = context.own_account_id(&mut args).await?;
    let kept = context.server.store.submissions(account).await?;
    sending::changes(account, args, &kept, |id| id.0, |id| ids::submission(SubmissionId(id)))
}
