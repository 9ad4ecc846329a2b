//! SieveScript/set (RFC 9661 §2.4).

use mail::{AccountId, limits};
use serde_json::{Map, Value, json};
use store::{ScriptChange, ScriptInfo, ScriptList, StoreError};

use super::validate::checked;
use super::{PROPERTIES, found, object};
use crate::args::Args;
use crate::error::{Answer, SetError};
use crate::request::Context;
use crate::set::{Each, Hand, Outcome, Wanted, apply, check_state, patched};
use crate::{blob, ids};

/// What is to be active at the end.
struct Then {
    activate: Option<String>,
    deactivate: bool,
}

pub(crate) async fn set(context: &mut Context<'_>, mut args: Args) -> Answer {
    let account = context.own_account_id(&mut args).await?;
    let before = context.server.store.scripts(account).await?;
    check_state(&mut args, "ifInState", &ids::state(before.state))?;
    let then = Then {
        activate: args.reference("onSuccessActivateScript")?,
        deactivate: args.boolean("onSuccessDeactivateScript")?.unwrap_or(false),
    };
    let wanted = Wanted::read(&mut args)?;
    args.finish()?;
    let mut outcome = Outcome::default();
    let (mut made, mut failed) = (Vec::new(), false);
    for (key, value) in wanted.create {
        match create(context, account, value).await {
            Ok(name) => {
                let now = context.server.store.scripts(account).await?;
                if let Some(script) = now.scripts.iter().find(|script| script.name == name) {
                    context.made.insert(key.clone(), ids::script(script.id));
                    made.push((key, script.id));
                }
            }
            Err(error) => {
                failed = true;
                outcome.created(key, Err(error));
            }
        }
    }
    let mut scripts = Scripts { account, failed };
    apply(&mut scripts, context, (wanted.update, wanted.destroy), &mut outcome).await?;
    // RFC 9661 §2.4: only where all went well; and what can't be done is passed over.
    if !scripts.failed {
        activate(context, account, &then).await?;
    }
    let after = context.server.store.scripts(account).await?;
    for script in &after.scripts {
        let is_new = made.iter().find(|(_, id)| *id == script.id);
        if let Some((key, _)) = is_new {
            outcome.created(key.clone(), Ok(Value::Object(object(script))));
        } else if let Some(old) = before.scripts.iter().find(|old| old.id == script.id && old.active != script.active) {
            let mut told = json!({ "isActive": script.active });
            if old.changed != script.changed {
                told["blobId"] = blob::of_script(script).into();
            }
            outcome.updated(context, ids::script(script.id), Ok(told));
        }
    }
    Ok(outcome.told(account, &ids::state(before.state), &ids::state(after.state)))
}

async fn activate(context: &Context<'_>, account: AccountId, then: &Then) -> Answer<()> {
    let store = &context.server.store;
    let list = store.scripts(account).await?;
    let mut changes = Vec::new();
    if then.deactivate {
        changes.push(ScriptChange::Deactivate);
    }
    if let Some(script) = then.activate.as_ref().and_then(|id| found(context, &list, id)) {
        changes.push(ScriptChange::Activate(script.name.clone()));
    }
    if changes.is_empty() {
        return Ok(());
    }
    match store.change_scripts(account, changes).await {
        Ok(_) | Err(StoreError::NotFound(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

struct Scripts {
    account: AccountId,
    failed: bool,
}

impl Hand for Scripts {
    async fn update(&mut self, context: &Context<'_>, id: &str, patch: Value) -> Each<Option<Value>> {
        let list = context.server.store.scripts(self.account).await?;
        let done = update(context, self.account, &list, id, patch).await;
        self.failed |= done.is_err();
        Ok(done.map(Some))
    }

    async fn destroy(&mut self, context: &Context<'_>, id: &str) -> Each<Option<()>> {
        let store = &context.server.store;
        let list = store.scripts(self.account).await?;
        let Some(script) = found(context, &list, id) else {
            self.failed = true;
            return Ok(Err(SetError::new("notFound")));
        };
        let gone = store.change_scripts(self.account, vec![ScriptChange::Remove(script.name.clone())]).await;
        self.failed |= gone.is_err();
        Ok(gone.map(|_| Some(())).map_err(refused))
    }
}

/// What a client says of a script.
struct Said {
    name: Option<String>,
    blob: Option<String>,
}

impl Said {
    fn read(members: Map<String, Value>) -> Result<Self, SetError> {
        if let Some(name) = members.keys().find(|name| !["name", "blobId"].contains(&name.as_str())) {
            let why =
                if PROPERTIES.contains(&name.as_str()) { "it is the server's" } else { "there is no such property" };
            return Err(SetError::properties(&[name], why));
        }
        let mut members = Args::of(Value::Object(members), "a script").map_err(|_| SetError::new("invalidPatch"))?;
        let wrong = |name: &'static str| move |_| SetError::properties(&[name], "it is of the wrong type");
        let name = members.string("name").map_err(wrong("name"))?;
        let blob = members.reference("blobId").map_err(wrong("blobId"))?;
        // RFC 9661 §2: a name has an octet at least, and no control characters.
        if name.as_ref().is_some_and(|name| name.is_empty() || name.len() > limits::SIEVE_SCRIPT_NAME_LEN) {
            let why = format!("a name has 1 to {} octets", limits::SIEVE_SCRIPT_NAME_LEN);
            return Err(SetError::properties(&["name"], why));
        }
        Ok(Self { name, blob })
    }
}

/// Returns its name.
async fn create(context: &Context<'_>, account: AccountId, value: Value) -> Result<String, SetError> {
    let Value::Object(members) = value else { return Err(SetError::properties(&["blobId"], "it is missing")) };
    let Said { name, blob } = Said::read(members)?;
    let blob = blob.ok_or_else(|| SetError::properties(&["blobId"], "it is missing"))?;
    let text = checked(context, account, &blob).await?;
    let list = context.server.store.scripts(account).await?;
    let name = name.unwrap_or_else(|| free_name(&list));
    is_free(&list, &name)?;
    let put = vec![ScriptChange::Put(name.clone(), text)];
    let _ = context.server.store.change_scripts(account, put).await.map_err(refused)?;
    Ok(name)
}

/// What the server changed with it.
async fn update(
    context: &Context<'_>,
    account: AccountId,
    list: &ScriptList,
    id: &str,
    patch: Value,
) -> Result<Value, SetError> {
    let Value::Object(patch) = patch else { return Err(SetError::new("invalidPatch")) };
    let script = found(context, list, id).ok_or_else(|| SetError::new("notFound"))?;
    let now = object(script);
    let mut next = patched(now.clone(), patch)?;
    next.retain(|name, value| now.get(name) != Some(value));
    let Said { name, blob } = Said::read(next)?;
    let mut changes = Vec::new();
    if let Some(blob) = blob {
        changes.push(ScriptChange::Put(script.name.clone(), checked(context, account, &blob).await?));
    }
    if let Some(name) = name {
        is_free(list, &name)?;
        changes.push(ScriptChange::Rename(script.name.clone(), name));
    }
    if changes.is_empty() {
        return Ok(Value::Null);
    }
    let _ = context.server.store.change_scripts(account, changes).await.map_err(refused)?;
    // RFC 8620 §5.3: the blob is another than the one that was named.
    let after = context.server.store.scripts(account).await?;
    let changed = after.scripts.iter().find(|other| other.id == script.id).map(object);
    Ok(changed.map_or(Value::Null, |now| json!({ "blobId": now["blobId"] })))
}

fn is_free(list: &ScriptList, name: &str) -> Result<(), SetError> {
    match list.scripts.iter().find(|script| script.name == name) {
        Some(ScriptInfo { id, .. }) => Err(SetError::new("alreadyExists").and("existingId", ids::script(*id))),
        None => Ok(()),
    }
}

/// RFC 9661 §2: the server's, where the client names none.
fn free_name(list: &ScriptList) -> String {
    let is_taken = |name: &String| list.scripts.iter().any(|script| script.name == *name);
    // One more than there are is free at the latest.
    let names = (1..=list.scripts.len() + 1).map(|n| format!("script {n}"));
    let mut free = names.filter(|name| !is_taken(name));
    free.next().unwrap_or_default()
}

fn refused(error: StoreError) -> SetError {
    match error {
        StoreError::ScriptActive => SetError::new("sieveIsActive"),
        StoreError::Limit("SIEVE_SCRIPTS") => {
            SetError::with("overQuota", format!("an account has at most {} scripts", limits::SIEVE_SCRIPTS))
        }
        StoreError::Limit("SIEVE_SCRIPT_NAME_LEN") => {
            SetError::properties(&["name"], "it is empty, too long, or has a control character")
        }
        error => error.into(),
    }
}
