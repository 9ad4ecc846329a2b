//! Identity/set (RFC 8621 §6.3).

use mail::{AccountId, IdentityId, limits};
use serde_json::{Map, Value};
use store::{Identity, IdentityChange, Kept, Named, Profile};

use super::{identities, may_delete, object};
use crate::args::Args;
use crate::error::{Answer, SetError};
use crate::ids;
use crate::request::Context;
use crate::sending::no_more;
use crate::set::{Each, Hand, Outcome, Wanted, apply, check_state, patched};

type All = Kept<Identity, IdentityId>;

pub(crate) async fn set(context: &mut Context<'_>, mut args: Args) -> Answer {
    let account = context.own_account_id(&mut args).await?;
    let kept = identities(context, account).await?;
    check_state(&mut args, "ifInState", &ids::state(kept.modseq))?;
    let wanted = Wanted::read(&mut args)?;
    args.finish()?;
    let mut outcome = Outcome::default();
    for (key, value) in wanted.create {
        let given: Vec<String> = value.as_object().map(|given| given.keys().cloned().collect()).unwrap_or_default();
        match create(context, account, value).await {
            Ok(id) => {
                context.made.insert(key.clone(), ids::identity(id));
                let now = context.server.store.identities(account).await?;
                let made = now.there.iter().find(|one| one.id == id);
                let mut told = made.map(|one| object(one, may_delete(context, &now, one))).unwrap_or_default();
                // RFC 8620 §5.3: what the client does not know already.
                told.retain(|name, _| !given.contains(name));
                outcome.created(key, Ok(Value::Object(told)));
            }
            Err(error) => outcome.created(key, Err(error)),
        }
    }
    let mut identities = Identities { account, all: context.server.store.identities(account).await? };
    apply(&mut identities, context, (wanted.update, wanted.destroy), &mut outcome).await?;
    let new = context.server.store.identities(account).await?;
    Ok(outcome.told(account, &ids::state(kept.modseq), &ids::state(new.modseq)))
}

/// An account's, as they are once all are made.
struct Identities {
    account: AccountId,
    all: All,
}

impl Hand for Identities {
    async fn update(&mut self, context: &Context<'_>, id: &str, patch: Value) -> Each<Option<Value>> {
        Ok(update(context, self.account, &self.all, id, patch).await.map(|()| Some(Value::Null)))
    }

    async fn destroy(&mut self, context: &Context<'_>, id: &str) -> Each<Option<()>> {
        Ok(destroy(context, self.account, &self.all, id).await.map(Some))
    }
}

fn found<'a>(context: &Context<'_>, all: &'a All, id: &str) -> Result<&'a Identity, SetError> {
    let id = context.real_id(id).and_then(ids::parse_identity);
    all.there.iter().find(|one| Some(one.id) == id).ok_or_else(|| SetError::new("notFound"))
}

async fn create(context: &Context<'_>, account: AccountId, value: Value) -> Result<IdentityId, SetError> {
    let Value::Object(mut members) = value else { return Err(SetError::properties(&["email"], "it is missing")) };
    let email = members.remove("email");
    let Some(Value::String(email)) = email else { return Err(SetError::properties(&["email"], "it is an address")) };
    let profile = profile(members)?;
    // RFC 8621 §6.3: also what is no address, and `*@domain`: nobody here may send as all of a domain.
    let forbidden = || SetError::with("forbiddenFrom", format!("{email} is not an address of the account"));
    let address = wire::address::mailbox(&email).map_err(|_| forbidden())?;
    let is_own = match context.server.outbox() {
        Some(outbox) => outbox.desk.may_send_as(account, &address).await?,
        None => address.folded() == context.user.address.folded(),
    };
    if !is_own || address.local() == "*" {
        return Err(forbidden());
    }
    let made = context.server.store.change_identity(account, IdentityChange::Make(address.folded(), profile)).await;
    Ok(made.map_err(limited)?.into_inner())
}

fn limited(error: store::StoreError) -> SetError {
    match error {
        // RFC 8620 §5.3
        store::StoreError::Limit(which) => SetError::with("overQuota", format!("over the limit {which}")),
        error => error.into(),
    }
}

async fn update(context: &Context<'_>, account: AccountId, all: &All, id: &str, patch: Value) -> Result<(), SetError> {
    let identity = found(context, all, id)?;
    let Value::Object(patch) = patch else { return Err(SetError::new("invalidPatch")) };
    let now = object(identity, may_delete(context, all, identity));
    let mut next = patched(now.clone(), patch)?;
    // RFC 8620 §5.3: what can't be changed may be given as it is.
    for name in ["id", "email", "mayDelete"] {
        if next.remove(name).as_ref() != now.get(name) {
            return Err(SetError::properties(&[name], "it can't be changed"));
        }
    }
    let profile = profile(next)?;
    if profile != identity.profile {
        let _ = context.server.store.change_identity(account, IdentityChange::Change(identity.id, profile)).await?;
    }
    Ok(())
}

async fn destroy(context: &Context<'_>, account: AccountId, all: &All, id: &str) -> Result<(), SetError> {
    let identity = found(context, all, id)?;
    if !may_delete(context, all, identity) {
        // RFC 8621 §6: mayDelete
        return Err(SetError::new("forbidden"));
    }
    let _ = context.server.store.change_identity(account, IdentityChange::Remove(identity.id)).await?;
    Ok(())
}

/// All that can be set but the address.
fn profile(members: Map<String, Value>) -> Result<Profile, SetError> {
    let size: usize = members.iter().map(|(name, value)| name.len() + crate::request::weight(value)).sum();
    if size > limits::IDENTITY_LEN {
        return Err(SetError::new("tooLarge"));
    }
    let mut members = Args::new(members);
    let profile = Profile {
        name: text(&mut members, "name")?,
        reply_to: people(&mut members, "replyTo")?,
        bcc: people(&mut members, "bcc")?,
        text_signature: text(&mut members, "textSignature")?,
        html_signature: text(&mut members, "htmlSignature")?,
    };
    no_more(&members)?;
    Ok(profile)
}

fn text(members: &mut Args, name: &'static str) -> Result<String, SetError> {
    let text = members.string(name).map_err(|_| SetError::properties(&[name], "it is a string"))?;
    Ok(text.unwrap_or_default())
}

/// RFC 8621 §4.1.2.3: EmailAddress[]|null.
fn people(members: &mut Args, name: &'static str) -> Result<Option<Vec<Named>>, SetError> {
    let wrong = || SetError::properties(&[name], "it is an array of objects with name and email");
    let Some(value) = members.value(name) else { return Ok(None) };
    let Value::Array(all) = value else { return Err(wrong()) };
    let one = |value: Value| {
        let mut members = Args::of(value, name).map_err(|_| wrong())?;
        let named = Named {
            name: members.string("name").map_err(|_| wrong())?,
            email: members.string("email").ok().flatten().ok_or_else(wrong)?,
        };
        // It goes into header fields.
        let is_clean = |text: &str| !text.chars().any(char::is_control);
        let is_right = wire::address::mailbox(&named.email).is_ok() && named.name.as_deref().is_none_or(is_clean);
        if is_right && members.finish().is_ok() { Ok(named) } else { Err(wrong()) }
    };
    all.into_iter().map(one).collect::<Result<_, _>>().map(Some)
}
