//! Email/copy (RFC 8621 §4.7).

use mail::{BodyId, limits};
use serde_json::Value;

use super::import::{put, received_at};
use super::placing::{Placing, told};
use super::set::{created, destroy};
use crate::account::Account;
use crate::args::Args;
use crate::blob;
use crate::error::{Answer, MethodError, SetError};
use crate::ids;
use crate::request::Context;
use crate::set::{Outcome, check_state};

pub(crate) async fn copy(context: &mut Context<'_>, mut args: Args) -> Answer {
    let from = Args::required("fromAccountId", args.id("fromAccountId")?)?;
    let from = context.permitted(&from, "fromAccountNotFound").await?;
    let id = context.account_id(&mut args).await?;
    if from == id {
        // RFC 8620 §5.4
        return Err(MethodError::arguments("fromAccountId and accountId must differ"));
    }
    let (source, account) = (context.open(from).await?, context.open(id).await?);
    check_state(&mut args, "ifFromInState", &source.state())?;
    check_state(&mut args, "ifInState", &account.state())?;
    let wanted = Args::required("create", args.object("create")?)?;
    let removes = args.boolean("onSuccessDestroyOriginal")?.unwrap_or(false);
    let if_in_state = args.string("destroyFromIfInState")?;
    args.finish()?;
    if wanted.len() > limits::JMAP_OBJECTS_IN_SET {
        return Err(MethodError::new("requestTooLarge"));
    }
    let old = account.state();
    let (mut outcome, mut made, mut copied) = (Outcome::default(), Vec::new(), Vec::new());
    for (key, value) in wanted {
        match one(context, &source, &account, value).await {
            Ok((original, body, size)) => {
                context.made.insert(key.clone(), ids::email(body));
                copied.push(ids::email(original));
                made.push((key, body, size));
            }
            Err(error) => outcome.created(key, Err(error)),
        }
    }
    let account = context.open(account.id).await?;
    for (key, body, size) in made {
        outcome.created(key, Ok(created(&account, body, size)));
    }
    let mut response = outcome.creations(&account, &old, &account.state());
    response["fromAccountId"] = ids::account(source.id).into();
    if removes && !copied.is_empty() {
        // RFC 8620 §5.4: an implicit call, with a response of its own.
        let implied = destroy(context, &source, copied, if_in_state).await;
        context.implied.push(match implied {
            Ok(value) => ("Email/set", value),
            Err(error) => ("error", error.value()),
        });
    }
    Ok(response)
}

async fn one(
    context: &Context<'_>,
    source: &Account,
    account: &Account,
    value: Value,
) -> Result<(BodyId, BodyId, u64), SetError> {
    let mut members = Args::of(value, "a copy").map_err(|_| SetError::properties(&["id"], "it is missing"))?;
    let id = members.string("id").ok().flatten().ok_or_else(|| SetError::properties(&["id"], "it is missing"))?;
    let email = ids::parse_email(&id).and_then(|id| source.index.email(id)).ok_or_else(|| SetError::new("notFound"))?;
    let mailboxes = members.value("mailboxIds").unwrap_or_default();
    let (_, theirs) = told(&Placing::of(&email));
    let keywords = members.value("keywords").unwrap_or(theirs);
    let received = received_at(&mut members)?.unwrap_or_else(|| email.received_at());
    if let Some(name) = members.left().next() {
        return Err(SetError::properties(&[name], "it can't be set in a copy"));
    }
    let placing = Placing::read(context, account, &mailboxes, &keywords)?;
    placing.check_new(account)?;
    let content = context.server.blob(context.user, source, &blob::of_message(email.id())).await?;
    let content = content.ok_or_else(|| SetError::new("notFound"))?;
    let (body, size) = put(context, &placing, &content, received).await?;
    Ok((email.id(), body, size))
}
