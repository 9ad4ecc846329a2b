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
    /// Listeners by account.
    counts: HashMap<AccountId, usize>,
    total: usize,
}

/// A listener's place in the counts; dropping it frees the place.
struct Place {
    registry: Arc<Mutex<Registry>>,
    account: AccountId,
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
        user: User,
        proof: Proof,
        types: Types,
        since: Option<String>,
    ) -> Result<Listening, Refused> {
        let mut registry = shared.push.locked();
        let place = registry.admit(&shared.push.0, user.account)?;
        let hub = registry.hubs.entry(user.account).or_insert_with(|| hub::begin(shared.clone(), user.clone()));
        Ok(Listening::new(shared.clone(), user, proof, types, since, (hub.clone(), place)))
    }
}

impl Registry {
    fn admit(&mut self, all: &Arc<Mutex<Self>>, account: AccountId) -> Result<Place, Refused> {
        let here = self.counts.get(&account).copied().unwrap_or_default();
        if here >= limits::PUSH_LISTENERS_PER_ACCOUNT {
            return Err(Refused::OfAccount);
        }
        if self.total >= limits::PUSH_LISTENERS {
            return Err(Refused::InAll);
        }
        self.counts.insert(account, here + 1);
        self.total += 1;
        Ok(Place { registry: all.clone(), account })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.total -= 1;
        if let Some(here) = registry.counts.get_mut(&self.account) {
            *here -= 1;
            if *here == 0 {
                registry.counts.remove(&self.account);
                // The hub ends with its last listener.
                registry.hubs.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `PUSH_LISTENERS_PER_ACCOUNT`, `PUSH_LISTENERS`: so many, and one more.
    #[test]
    fn listeners_are_bounded() {
        let push = Push::default();
        let admit = |n: usize| push.locked().admit(&push.0, AccountId(n as u64));
        let mut places: Vec<_> = (0..limits::PUSH_LISTENERS_PER_ACCOUNT).map(|_| admit(0).ok().unwrap()).collect();
        assert_eq!(admit(0).err(), Some(Refused::OfAccount));
        let account = |n: usize| n / limits::PUSH_LISTENERS_PER_ACCOUNT;
        places.extend((places.len()..limits::PUSH_LISTENERS).map(|n| admit(account(n)).ok().unwrap()));
        assert_eq!(admit(account(limits::PUSH_LISTENERS)).err(), Some(Refused::InAll));
        places.pop();
        assert!(admit(account(limits::PUSH_LISTENERS)).is_ok());
        places.clear();
        let registry = push.locked();
        assert!((registry.total, registry.counts.len()) == (0, 0));
    }
}
