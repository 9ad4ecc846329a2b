//! Email/set (RFC 8621 §4.6).

use mail::BodyId;
use serde_json::{Map, Value, json};
use store::MessageStep;

use super::compose;
use super::placing::{Placing, removal, told};
use crate::account::Account;
use crate::args::Args;
use crate::blob;
use crate::error::{Answer, SetError};
use crate::ids;
use crate::request::Context;
use crate::set::{Each, Hand, Outcome, Wanted, apply, check_state, patched};

/// A change that is ready to be made.
struct Ready {
    id: String,
    steps: Vec<MessageStep>,
    is_removal: bool,
}

pub(crate) async fn set(context: &mut Context<'_>, mut args: Args) -> Answer {
    let id = context.account_id(&mut args).await?;
    let account = context.open(id).await?;
    check_state(&mut args, "ifInState", &account.state())?;
    let wanted = Wanted::read(&mut args)?;
    args.finish()?;
    let old = account.state();
    let mut outcome = Outcome::default();
    let mut made = Vec::new();
    for (key, value) in wanted.create {
        match compose::create(context, &account, value).await {
            Ok((body, size)) => {
                context.made.insert(key.clone(), ids::email(body));
                made.push((key, body, size));
            }
            Err(error) => outcome.created(key, Err(error)),
        }
    }
    // What was made may be changed at once.
    let account = if made.is_empty() { account } else { context.open(account.id).await? };
    for (key, body, size) in made {
        outcome.created(key, Ok(created(&account, body, size)));
    }
    let mut emails = Emails { account, ready: Vec::new() };
    apply(&mut emails, context, (wanted.update, wanted.destroy), &mut outcome).await?;
    make(context, emails.ready, &mut outcome).await;
    let account = context.open(id).await?;
    Ok(outcome.response(&account, &old, &account.state()))
}

/// An account's, as they are once all are made, and what is to become of them.
struct Emails {
    account: Account,
    ready: Vec<Ready>,
}

impl Hand for Emails {
    async fn update(&mut self, context: &Context<'_>, id: &str, patch: Value) -> Each<Option<Value>> {
        Ok(update(context, &self.account, id, patch).map(|steps| {
            self.ready.push(Ready { id: id.to_owned(), steps, is_removal: false });
            None
        }))
    }

    async fn destroy(&mut self, context: &Context<'_>, id: &str) -> Each<Option<()>> {
        let email = context.real_id(id).and_then(ids::parse_email).and_then(|id| self.account.index.email(id));
        let steps = email.ok_or_else(|| SetError::new("notFound")).and_then(|email| removal(&self.account, &email));
        Ok(steps.map(|steps| {
            self.ready.push(Ready { id: id.to_owned(), steps, is_removal: true });
            None
        }))
    }
}

/// What is told of something new (RFC 8621 §4.6).
pub(super) fn created(account: &Account, body: BodyId, size: u64) -> Value {
    let thread = account.index.email(body).map(|email| ids::thread(email.thread()));
    json!({ "id": ids::email(body), "blobId": blob::of_message(body), "threadId": thread, "size": size })
}

/// Makes changes: all in one commit, and where one of them can't be made, each by itself.
async fn make(context: &Context<'_>, ready: Vec<Ready>, outcome: &mut Outcome) {
    let (store, now) = (&context.server.store, context.moment.now);
    let all: Vec<MessageStep> = ready.iter().flat_map(|one| one.steps.iter().cloned()).collect();
    let together = all.is_empty() || store.change_messages(all, now).await.is_ok();
    for Ready { id, steps, is_removal } in ready {
        let changed = if together || steps.is_empty() {
            Ok(())
        } else {
            store.change_messages(steps, now).await.map(drop).map_err(SetError::from)
        };
        if is_removal {
            outcome.destroyed(context, id, changed);
        } else {
            outcome.updated(context, id, changed.map(|()| Value::Null));
        }
    }
}

fn update(context: &Context<'_>, account: &Account, id: &str, patch: Value) -> Result<Vec<MessageStep>, SetError> {
    let email = context.real_id(id).and_then(ids::parse_email).and_then(|id| account.index.email(id));
    let email = email.ok_or_else(|| SetError::new("notFound"))?;
    let Value::Object(patch) = patch else { return Err(SetError::new("invalidPatch")) };
    let (mailboxes, keywords) = told(&Placing::of(&email));
    let now = json!({
        "id": ids::email(email.id()),
        "blobId": blob::of_message(email.id()),
        "threadId": ids::thread(email.thread()),
        "size": email.size(),
        "receivedAt": super::object::utc(email.received_at()),
        "mailboxIds": mailboxes,
        "keywords": keywords,
    });
    let now = now.as_object().cloned().unwrap_or_default();
    let next = patched(now.clone(), patch)?;
    // RFC 8620 §5.3: what can't be changed may be given as it is.
    let is_fixed = |name: &str| !["mailboxIds", "keywords"].contains(&name);
    let fixed: Vec<&str> = next
        .iter()
        .filter(|(name, value)| is_fixed(name) && now.get(*name) != Some(value))
        .map(|(name, _)| name.as_str())
        .collect();
    if !fixed.is_empty() {
        return Err(SetError::properties(&fixed, "it can't be changed, or there is no such property"));
    }
    // Creation ids of mailboxes stand for those.
    let mailboxes = next.get("mailboxIds").cloned().unwrap_or_default();
    let keywords = next.get("keywords").cloned().unwrap_or_default();
    Placing::read(context, account, &mailboxes, &keywords)?.steps(account, &email)
}

/// Destroys Emails by itself, as an implicit call after a copy (RFC 8620 §5.4).
pub(super) async fn destroy(
    context: &mut Context<'_>,
    account: &Account,
    ids: Vec<String>,
    if_in_state: Option<String>,
) -> Answer {
    let mut args = Map::new();
    args.insert("accountId".into(), ids::account(account.id).into());
    args.insert("destroy".into(), ids.into());
    args.insert("ifInState".into(), if_in_state.into());
    Box::pin(set(context, Args::new(args))).await
}
