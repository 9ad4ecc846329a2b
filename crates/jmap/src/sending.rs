//! What identities and submissions have in common: they are the account's own, few, and read all at once.

use mail::{AccountId, ModSeq};
use serde_json::{Map, Value, json};
use store::{Gone, Kept};

use crate::args::Args;
use crate::changes::{Change, Kind, UNKNOWN, cut, state_and_most, told};
use crate::error::{Answer, SetError};
use crate::ids;
use crate::query::{picked, wanted_ids, wanted_properties};
use crate::request::Context;

/// A thing of the account's, as changes see it.
pub(crate) trait Thing {
    fn id(&self) -> u64;
    fn created(&self) -> ModSeq;
    fn changed(&self) -> ModSeq;
}

impl Thing for store::Identity {
    fn id(&self) -> u64 {
        self.id.0
    }

    fn created(&self) -> ModSeq {
        self.created
    }

    fn changed(&self) -> ModSeq {
        self.changed
    }
}

impl Thing for store::Submission {
    fn id(&self) -> u64 {
        self.id.0
    }

    fn created(&self) -> ModSeq {
        self.created
    }

    fn changed(&self) -> ModSeq {
        self.changed
    }
}

/// What is asked for of a method `/get`.
pub(crate) struct Asked {
    ids: Option<Vec<String>>,
    properties: Vec<&'static str>,
}

impl Asked {
    pub(crate) fn read(mut args: Args, properties: &[&'static str]) -> Answer<Self> {
        let asked = Self { ids: wanted_ids(&mut args)?, properties: wanted_properties(&mut args, properties)? };
        args.finish()?;
        Ok(asked)
    }

    /// The response; `parse` and `object` know the kind.
    pub(crate) fn response<T: Thing, I>(
        self,
        context: &Context<'_>,
        account: AccountId,
        kept: &Kept<T, I>,
        id: impl Fn(&T) -> String,
        object: impl Fn(&T) -> Map<String, Value>,
    ) -> Value {
        let tell = |one: &T| picked(&mut object(one), &self.properties);
        let (mut list, mut not_found) = (Vec::new(), Vec::new());
        match self.ids {
            None => list.extend(kept.there.iter().map(tell)),
            Some(wanted) => {
                for wanted in wanted {
                    let real = context.real_id(&wanted);
                    match kept.there.iter().find(|one| real == Some(id(one).as_str())) {
                        Some(one) => list.push(tell(one)),
                        None => not_found.push(wanted),
                    }
                }
            }
        }
        json!({
            "accountId": ids::account(account),
            "state": ids::state(kept.modseq),
            "list": list,
            "notFound": not_found,
        })
    }
}

/// Changes since a state.
pub(crate) fn since<T: Thing, I: Copy>(
    kept: &Kept<T, I>,
    state: &str,
    number: impl Fn(I) -> u64,
) -> Answer<(ModSeq, Vec<Change>)> {
    let since = ids::parse_state(state).filter(|since| *since <= kept.modseq).ok_or(UNKNOWN)?;
    if since < kept.known_since {
        return Err(UNKNOWN);
    }
    let change = |id, kind, at| Change { id, kind, at, counts_only: false };
    let there = kept.there.iter().filter_map(|one| {
        if one.created() > since {
            Some(change(one.id(), Kind::Created, one.created()))
        } else {
            (one.changed() > since).then(|| change(one.id(), Kind::Updated, one.changed()))
        }
    });
    // RFC 8620 §5.2: what came and went since is left out. What went and came again is both; the client asks for it.
    let is_there = |id: u64| kept.there.iter().any(|one| one.id() == id);
    let was_known = |(id, created, at): &&Gone<I>| *created <= since && *at > since && !is_there(number(*id));
    let gone = kept.gone.iter().filter(was_known).map(|(id, _, at)| change(number(*id), Kind::Destroyed, *at));
    let mut changes: Vec<Change> = there.chain(gone).collect();
    changes.sort_by_key(|change| (change.id, change.at));
    changes.dedup_by_key(|change| change.id);
    Ok((since, changes))
}

/// A method `/changes`.
pub(crate) fn changes<T: Thing, I: Copy>(
    account: AccountId,
    args: Args,
    kept: &Kept<T, I>,
    number: impl Fn(I) -> u64,
    id: impl Fn(u64) -> String,
) -> Answer {
    let (state, most) = state_and_most(args)?;
    let (since, changes) = since(kept, &state, number)?;
    Ok(told(account, since, cut(changes, kept.modseq, most)?, id))
}

/// RFC 8620 §5.3: what is left over can't be set.
pub(crate) fn no_more(args: &Args) -> Result<(), SetError> {
    match args.left().next() {
        Some(name) => Err(SetError::properties(&[name], "it can't be set, or there is no such property")),
        None => Ok(()),
    }
}
