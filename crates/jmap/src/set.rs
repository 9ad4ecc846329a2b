//! What all methods `/set` have (RFC 8620 §5.3): their arguments, the way through what is there, patches, and the response. What
//! is made each type makes in its own way.

use std::collections::HashSet;

use mail::{AccountId, limits};
use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::args::Args;
use crate::error::{Answer, MethodError, SetError};
use crate::ids;
use crate::request::Context;

/// What is to be done.
pub(crate) struct Wanted {
    pub(crate) create: Map<String, Value>,
    pub(crate) update: Map<String, Value>,
    pub(crate) destroy: Vec<String>,
}

impl Wanted {
    pub(crate) fn read(args: &mut Args) -> Answer<Self> {
        let wanted = Self {
            create: args.object("create")?.unwrap_or_default(),
            update: args.object("update")?.unwrap_or_default(),
            destroy: args.ids("destroy")?.unwrap_or_default(),
        };
        if wanted.create.keys().any(|id| !ids::is_id(id)) {
            return Err(MethodError::arguments("a creation id must be an id"));
        }
        if wanted.create.len() + wanted.update.len() + wanted.destroy.len() > limits::JMAP_OBJECTS_IN_SET {
            return Err(MethodError::new("requestTooLarge"));
        }
        Ok(wanted)
    }
}

/// What became of one object; the outer error ends the whole method.
pub(crate) type Each<T> = Answer<Result<T, SetError>>;

/// What changes the objects of a type.
pub(crate) trait Hand {
    /// Whether one that is to be destroyed in the same call is changed before.
    const CHANGES_WHAT_GOES: bool = false;

    /// What the server changed with it; `None`: what becomes of it is told later.
    async fn update(&mut self, context: &Context<'_>, id: &str, patch: Value) -> Each<Option<Value>>;

    /// `None`: what becomes of it is told later.
    async fn destroy(&mut self, context: &Context<'_>, id: &str) -> Each<Option<()>>;
}

/// Changes, then destroys.
pub(crate) async fn apply<H: Hand>(
    hand: &mut H,
    context: &Context<'_>,
    (update, destroy): (Map<String, Value>, Vec<String>),
    outcome: &mut Outcome,
) -> Answer<()> {
    let going: HashSet<String> = destroy.iter().filter_map(|id| context.real_id(id).map(str::to_owned)).collect();
    for (id, patch) in update {
        let goes = context.real_id(&id).is_some_and(|id| going.contains(id));
        let changed = if goes && !H::CHANGES_WHAT_GOES {
            // RFC 8620 §5.3
            Err(SetError::new("willDestroy"))
        } else {
            hand.update(context, &id, patch).await?
        };
        if let Some(changed) = changed.transpose() {
            outcome.updated(context, id, changed);
        }
    }
    for id in destroy {
        if let Some(gone) = hand.destroy(context, &id).await?.transpose() {
            outcome.destroyed(context, id, gone);
        }
    }
    Ok(())
}

/// What became of it.
#[derive(Default)]
pub(crate) struct Outcome {
    created: Map<String, Value>,
    updated: Map<String, Value>,
    destroyed: Vec<String>,
    not_created: Map<String, Value>,
    not_updated: Map<String, Value>,
    not_destroyed: Map<String, Value>,
}

impl Outcome {
    pub(crate) fn created(&mut self, key: String, made: Result<Value, SetError>) {
        match made {
            Ok(value) => drop(self.created.insert(key, value)),
            Err(error) => drop(self.not_created.insert(key, error.value())),
        }
    }

    /// What was done is told of under its own id, what was not as the client named it.
    pub(crate) fn updated(&mut self, context: &Context<'_>, id: String, changed: Result<Value, SetError>) {
        match changed {
            Ok(value) => drop(self.updated.insert(context.own_id(id), value)),
            Err(error) => drop(self.not_updated.insert(id, error.value())),
        }
    }

    pub(crate) fn destroyed(&mut self, context: &Context<'_>, id: String, gone: Result<(), SetError>) {
        match gone {
            Ok(()) => self.destroyed.push(context.own_id(id)),
            Err(error) => drop(self.not_destroyed.insert(id, error.value())),
        }
    }

    /// Of `/set`.
    pub(crate) fn response(self, account: &Account, old: &str, new: &str) -> Value {
        self.told(account.id, old, new)
    }

    /// The same of what an account has beside its mail.
    pub(crate) fn told(self, account: AccountId, old: &str, new: &str) -> Value {
        let mut response = self.changes();
        response.insert("accountId".into(), ids::account(account).into());
        response.insert("oldState".into(), old.into());
        response.insert("newState".into(), new.into());
        Value::Object(response)
    }

    /// The same of what belongs to no account and has no state.
    pub(crate) fn changes(self) -> Map<String, Value> {
        let Self { created, updated, destroyed, not_created, not_updated, not_destroyed } = self;
        let destroyed = if destroyed.is_empty() { Value::Null } else { destroyed.into() };
        let members = [
            ("created", or_null(created)),
            ("updated", or_null(updated)),
            ("destroyed", destroyed),
            ("notCreated", or_null(not_created)),
            ("notUpdated", or_null(not_updated)),
            ("notDestroyed", or_null(not_destroyed)),
        ];
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Of methods that only make.
    pub(crate) fn creations(self, account: &Account, old: &str, new: &str) -> Value {
        json!({
            "accountId": ids::account(account.id),
            "oldState": old,
            "newState": new,
            "created": or_null(self.created),
            "notCreated": or_null(self.not_created),
        })
    }
}

/// RFC 8620 §5.3: null where there is none.
pub(crate) fn or_null(map: Map<String, Value>) -> Value {
    if map.is_empty() { Value::Null } else { Value::Object(map) }
}

/// RFC 8620 §5.3: nothing is done in another state than the client thinks.
pub(crate) fn check_state(args: &mut Args, name: &str, now: &str) -> Answer<()> {
    match args.string(name)? {
        Some(state) if state != now => Err(MethodError::new("stateMismatch")),
        _ => Ok(()),
    }
}

/// An object with a patch applied (RFC 8620 §5.3).
pub(crate) fn patched(
    mut object: Map<String, Value>,
    patch: Map<String, Value>,
) -> Result<Map<String, Value>, SetError> {
    let invalid = |path: &str, why: &str| SetError::with("invalidPatch", format!("{path}: {why}"));
    let paths: Vec<String> = patch.keys().cloned().collect();
    // RFC 8620 §5.3: no path is the beginning of another.
    for path in &paths {
        let within =
            paths.iter().find(|other| other.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/')));
        if within.is_some() {
            return Err(invalid(path, "another path leads into it"));
        }
    }
    for (path, value) in patch {
        let mut tokens: Vec<String> =
            path.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect();
        let Some(last) = tokens.pop() else { continue };
        let mut place = &mut object;
        for token in tokens {
            // RFC 8620 §5.3: all above the last must be there, and no array.
            place = match place.get_mut(&token) {
                Some(Value::Object(inner)) => inner,
                Some(_) => return Err(invalid(&path, "it leads into something that is no object")),
                None => return Err(invalid(&path, "there is nothing that it leads into")),
            };
        }
        match value {
            // The default, or no such member.
            Value::Null => drop(place.insert(last.clone(), Value::Null)),
            value => drop(place.insert(last.clone(), value)),
        }
        if path.contains('/') {
            place.retain(|name, value| *name != last || !value.is_null());
        }
    }
    Ok(object)
}

impl Context<'_> {
    /// An id, which may be `#` and the creation id of what was made in this request (RFC 8620 §5.3).
    pub(crate) fn real_id<'t>(&'t self, id: &'t str) -> Option<&'t str> {
        match id.strip_prefix('#') {
            Some(key) => self.made.get(key).map(String::as_str),
            None => Some(id),
        }
    }

    fn own_id(&self, id: String) -> String {
        self.real_id(&id).unwrap_or(&id).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn patches() {
        let email = || object(json!({"keywords": {"$seen": true}, "mailboxIds": {"F1": true}, "list": [1]}));
        let apply = |patch: Value| patched(email(), object(patch)).map(Value::Object);
        assert_eq!(
            apply(json!({"keywords/$seen": null, "keywords/a~1b": true})).unwrap()["keywords"],
            json!({"a/b": true})
        );
        assert_eq!(apply(json!({"keywords": null})).unwrap()["keywords"], Value::Null);
        for bad in [
            json!({"keywords/x/y": true}),
            json!({"nothing/x": true}),
            json!({"list/0": 2}),
            json!({"keywords": {}, "keywords/x": true}),
        ] {
            let error = apply(bad.clone()).unwrap_err();
            assert_eq!(error.value()["type"], "invalidPatch", "{bad}");
        }
    }
}
