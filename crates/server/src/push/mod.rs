//! Who listens for changes of what an account sees (RFC 8620 §7), over whatever connection.
//!
//! Does: hold one ear for each account to which anybody listens ([`hub`]), however many do, and tell each of its listeners what changed of
//! the types that it asked for ([`Listening`]); gather what happens close together; end a listener whose log-in is no longer good, and
//! all of them when the server stops; bound how many there are. A listener that does not look has nothing piled up for it: it
//! is told the difference when it does.
//!
//! Does not: know a protocol.

mod hub;
mod listening;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jmap::User;
use jmap::push::Types;
use mail::{AccountId, limits};

use crate::auth::Proof;
use crate::shared::Shared;
use hub::Hub;
pub use listening::{Listening, Over};

/// Who listens: each kind has places of its own, so that none takes another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A client that is connected.
    Connection,
    /// A push subscription, whose client is not.
    Subscription,
}

impl Kind {
    /// How many there may be of one account, and in all.
    const fn most(self) -> (usize, usize) {
        match self {
            Self::Connection => (limits::PUSH_LISTENERS_PER_ACCOUNT, limits::PUSH_LISTENERS),
            Self::Subscription => (limits::PUSH_SUBSCRIPTIONS_PER_ACCOUNT, limits::PUSH_FOLLOWERS),
        }
    }
}

/// Why there is no further listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The account has as many as it may have.
    OfAccount,
    /// There are as many as there may be.
    InAll,
}

/// All who listen.
#[derive(Default)]
pub struct Push(Arc<Mutex<Registry>>);

#[derive(Default)]
struct Registry {
    hubs: HashMap<AccountId, Hub>,
    counts: HashMap<(AccountId, Kind), usize>,
    totals: HashMap<Kind, usize>,
}

/// A listener's place in the counts; dropping it frees the place.
struct Place {
    registry: Arc<Mutex<Registry>>,
    account: AccountId,
    kind: Kind,
}

impl Push {
    fn locked(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more listener, for a user who was let in by `proof`. Told is what changes from now on; or since `since`, the id of what
    /// it was told last.
    ///
    /// # Errors
    /// There are too many.
    pub fn listen(
        shared: &Arc<Shared>,
        kind: Kind,
        (user, proof): (User, Proof),
        types: Types,
        since: Option<String>,
    ) -> Result<Listening, Refused> {
        let mut registry = shared.push.locked();
        let place = registry.admit(&shared.push.0, user.account, kind)?;
        let hub = registry.hubs.entry(user.account).or_insert_with(|| hub::begin(shared.clone(), user.clone()));
        Ok(Listening::new(shared.clone(), user, proof, types, since, (hub.clone(), place)))
    }
}

impl Registry {
    fn admit(&mut self, all: &Arc<Mutex<Self>>, account: AccountId, kind: Kind) -> Result<Place, Refused> {
        let (most_here, most) = kind.most();
        let here = self.counts.get(&(account, kind)).copied().unwrap_or_default();
        let total = self.totals.get(&kind).copied().unwrap_or_default();
        if here >= most_here {
            return Err(Refused::OfAccount);
        }
        if total >= most {
            return Err(Refused::InAll);
        }
        self.counts.insert((account, kind), here + 1);
        self.totals.insert(kind, total + 1);
        Ok(Place { registry: all.clone(), account, kind })
    }

    fn leave(&mut self, account: AccountId, kind: Kind) {
        if let Some(total) = self.totals.get_mut(&kind) {
            *total -= 1;
        }
        if let Some(here) = self.counts.get_mut(&(account, kind)) {
            *here -= 1;
            if *here == 0 {
                self.counts.remove(&(account, kind));
            }
        }
        // The hub ends with its last listener.
        if [Kind::Connection, Kind::Subscription].iter().all(|kind| !self.counts.contains_key(&(account, *kind))) {
            self.hubs.remove(&account);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).leave(self.account, self.kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `PUSH_LISTENERS_PER_ACCOUNT`, `PUSH_LISTENERS`; `PUSH_SUBSCRIPTIONS_PER_ACCOUNT`, `PUSH_FOLLOWERS`: so many, and one more. Who is
    /// connected takes no place of a subscription's, nor the other way round.
    #[test]
    fn listeners_are_bounded() {
        let push = Push::default();
        let admit = |n: usize, kind| push.locked().admit(&push.0, AccountId(n as u64), kind);
        let mut places = Vec::new();
        for kind in [Kind::Connection, Kind::Subscription] {
            let (each, all) = kind.most();
            places.extend((0..each).map(|_| admit(0, kind).ok().unwrap()));
            assert_eq!(admit(0, kind).err(), Some(Refused::OfAccount));
            places.extend((each..all).map(|n| admit(n / each, kind).ok().unwrap()));
            assert_eq!(admit(all / each, kind).err(), Some(Refused::InAll));
            places.pop();
            places.push(admit(all / each, kind).ok().unwrap());
        }
        places.clear();
        let registry = push.locked();
        assert!(registry.totals.values().all(|total| *total == 0) && registry.counts.is_empty());
    }
}
