//! EmailSubmission/set (RFC 8621 §7.5).

use std::collections::HashMap;

use mail::{AccountId, BodyId, SubmissionId};
use serde_json::{Map, Value};
use store::{Cancellation, Event, Kept, Submission, What};

use super::{object, send};
use crate::args::Args;
use crate::email;
use crate::error::{Answer, MethodError, SetError};
use crate::identity::identities;
use crate::ids;
use crate::request::Context;
use crate::set::{Each, Hand, Outcome, Wanted, apply, check_state, patched};

type All = Kept<Submission, SubmissionId>;

/// What is to be done to messages once their submissions were made, changed or destroyed.
struct Then {
    update: Map<String, Value>,
    destroy: Vec<String>,
}

impl Then {
    fn read(args: &mut Args) -> Answer<Self> {
        let update = args.object("onSuccessUpdateEmail")?.unwrap_or_default();
        let is_id = |id: &String| ids::is_id(id.strip_prefix('#').unwrap_or(id));
        if !update.keys().all(is_id) || !update.values().all(Value::is_object) {
            return Err(MethodError::arguments("onSuccessUpdateEmail has a patch for each id"));
        }
        Ok(Self { update, destroy: args.ids("onSuccessDestroyEmail")?.unwrap_or_default() })
    }

    /// An implicit call with a response of its own, right behind that of this one; `done`: the messages by submission.
    async fn call(self, context: &mut Context<'_>, account: AccountId, done: &HashMap<String, BodyId>) {
        let email = |id: &String| context.real_id(id).and_then(|id| done.get(id)).map(|email| ids::email(*email));
        let update: Map<String, Value> =
            self.update.iter().filter_map(|(id, patch)| Some((email(id)?, patch.clone()))).collect();
        let destroy: Vec<String> = self.destroy.iter().filter_map(email).collect();
        if update.is_empty() && destroy.is_empty() {
            return;
        }
        let mut args = Map::new();
        args.insert("accountId".into(), ids::account(account).into());
        args.insert("update".into(), update.into());
        args.insert("destroy".into(), destroy.into());
        let answer = Box::pin(email::set::set(context, Args::new(args))).await;
        context.implied.push(match answer {
            Ok(value) => ("Email/set", value),
            Err(error) => ("error", error.value()),
        });
    }
}

pub(crate) async fn set(context: &mut Context<'_>, mut args: Args) -> Answer {
    let account = context.own_account_id(&mut args).await?;
    let old = context.server.store.submissions(account).await?;
    check_state(&mut args, "ifInState", &ids::state(old.modseq))?;
    let then = Then::read(&mut args)?;
    let wanted = Wanted::read(&mut args)?;
    args.finish()?;
    let mut outcome = Outcome::default();
    let mut done = HashMap::new();
    if !wanted.create.is_empty() {
        create(context, account, wanted.create, &mut outcome, &mut done).await?;
    }
    let mut submissions = Submissions { account, all: context.server.store.submissions(account).await?, done };
    apply(&mut submissions, context, (wanted.update, wanted.destroy), &mut outcome).await?;
    let new = context.server.store.submissions(account).await?;
    let response = outcome.told(account, &ids::state(old.modseq), &ids::state(new.modseq));
    then.call(context, account, &submissions.done).await;
    Ok(response)
}

/// An account's, as they are once all are made.
struct Submissions {
    account: AccountId,
    all: All,
    /// The messages of those to which something was done.
    done: HashMap<String, BodyId>,
}

impl Submissions {
    fn note(&mut self, (id, email): (SubmissionId, BodyId)) {
        self.done.insert(ids::submission(id), email);
    }
}

impl Hand for Submissions {
    async fn update(&mut self, context: &Context<'_>, id: &str, patch: Value) -> Each<Option<Value>> {
        let changed = update(context, self.account, &self.all, id, patch).await;
        Ok(changed.map(|one| self.note(one)).map(|()| Some(Value::Null)))
    }

    async fn destroy(&mut self, context: &Context<'_>, id: &str) -> Each<Option<()>> {
        let gone = destroy(context, self.account, &self.all, id).await;
        Ok(gone.map(|one| self.note(one)).map(Some))
    }
}

async fn create(
    context: &mut Context<'_>,
    id: AccountId,
    wanted: Map<String, Value>,
    outcome: &mut Outcome,
    done: &mut HashMap<String, BodyId>,
) -> Answer<()> {
    let account = context.open(id).await?;
    let identities = identities(context, id).await?;
    let mut made = Vec::new();
    for (key, value) in wanted {
        let given: Vec<String> = value.as_object().map(|given| given.keys().cloned().collect()).unwrap_or_default();
        match send::send(context, &account, &identities, value).await {
            Ok((submission, email)) => {
                context.made.insert(key.clone(), ids::submission(submission));
                done.insert(ids::submission(submission), email);
                made.push((key, submission, given));
            }
            Err(error) => outcome.created(key, Err(error)),
        }
    }
    let now = context.server.store.submissions(id).await?;
    for (key, submission, given) in made {
        let one = now.there.iter().find(|one| one.id == submission);
        let mut told = one.map(object).unwrap_or_default();
        // RFC 8620 §5.3: what the client does not know already.
        let is_known = |name: &str| name != "envelope" && given.iter().any(|given| given == name);
        told.retain(|name, _| !is_known(name));
        outcome.created(key, Ok(Value::Object(told)));
    }
    Ok(())
}

fn found<'a>(context: &Context<'_>, all: &'a All, id: &str) -> Result<&'a Submission, SetError> {
    let id = context.real_id(id).and_then(ids::parse_submission);
    all.there.iter().find(|one| Some(one.id) == id).ok_or_else(|| SetError::new("notFound"))
}

async fn update(
    context: &Context<'_>,
    account: AccountId,
    all: &All,
    id: &str,
    patch: Value,
) -> Result<(SubmissionId, BodyId), SetError> {
    let submission = found(context, all, id)?;
    let Value::Object(patch) = patch else { return Err(SetError::new("invalidPatch")) };
    let now = object(submission);
    let next = patched(now.clone(), patch)?;
    // RFC 8620 §5.3: what can't be changed may be given as it is.
    let fixed: Vec<&str> = next
        .iter()
        .filter(|(name, value)| *name != "undoStatus" && now.get(*name) != Some(value))
        .map(|(name, _)| name.as_str())
        .collect();
    if !fixed.is_empty() {
        return Err(SetError::properties(&fixed, "it can't be changed, or there is no such property"));
    }
    let done = (submission.id, submission.email);
    if next.get("undoStatus") == now.get("undoStatus") {
        return Ok(done);
    }
    // RFC 8621 §7: to "canceled", and to nothing else.
    if next.get("undoStatus").and_then(Value::as_str) != Some("canceled") {
        return Err(SetError::properties(&["undoStatus"], "it can only become canceled"));
    }
    let at = context.moment.now;
    let event = |email: &str| Event::about(at, email.to_owned(), What::Discarded { rule: "canceled".to_owned() });
    let events = submission.envelope.to.iter().map(|to| event(&to.email)).collect();
    let cancellation = Cancellation { account, id: submission.id, events };
    match context.server.store.cancel_submission(cancellation).await?.into_inner() {
        true => Ok(done),
        false => Err(SetError::new("cannotUnsend")),
    }
}

async fn destroy(
    context: &Context<'_>,
    account: AccountId,
    all: &All,
    id: &str,
) -> Result<(SubmissionId, BodyId), SetError> {
    let submission = found(context, all, id)?;
    let _ = context.server.store.forget_submission(account, submission.id).await?;
    Ok((submission.id, submission.email))
}
