//! The state of an account's journeys: what happened since somebody began to look.
//!
//! Nothing of it is kept in the store: an event costs the delivery path nothing for accounts at whose journeys nobody looks. Who
//! was away longer than an account is kept here begins anew (`cannotCalculateChanges`).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use mail::{AccountId, QueueId, limits};
use store::{AccountWatch, Interest, Store};

use crate::request::Context;
use crate::server::{Moment, Server, User};

/// Accounts at whose journeys somebody looked, those that were asked for last.
#[derive(Default)]
pub(crate) struct Following(Mutex<All>);

#[derive(Default)]
struct All {
    accounts: HashMap<AccountId, Entry>,
    /// How often an account was begun with; also the order of use.
    count: u64,
}

struct Entry {
    watch: AccountWatch,
    log: Log,
    used: u64,
}

/// What happened, in order.
#[derive(Debug)]
struct Log {
    /// Another one whenever what was before is not known.
    era: u64,
    /// How many things happened in the era.
    count: u64,
    /// The last of them: the journey, and whether it began.
    last: VecDeque<(QueueId, bool)>,
}

impl Log {
    const fn new(era: u64) -> Self {
        Self { era, count: 0, last: VecDeque::new() }
    }

    fn state(&self) -> String {
        format!("{:x}-{}", self.era, self.count)
    }

    fn add(&mut self, id: QueueId, began: bool) {
        self.count += 1;
        self.last.push_back((id, began));
        if self.last.len() > limits::JOURNEYS_FOLLOWED {
            self.last.pop_front();
        }
    }

    /// The journeys of which something happened since a state, and whether they began then; `None`: that is not known.
    fn since(&self, state: &str) -> Option<BTreeMap<QueueId, bool>> {
        let (era, count) = state.split_once('-')?;
        let count: u64 = count.parse().ok()?;
        let is_known = u64::from_str_radix(era, 16) == Ok(self.era) && count <= self.count;
        let new = usize::try_from(self.count.checked_sub(count)?).ok()?;
        let from = self.last.len().checked_sub(new).filter(|_| is_known)?;
        let mut all = BTreeMap::new();
        for (id, began) in self.last.range(from..) {
            *all.entry(*id).or_default() |= *began;
        }
        Some(all)
    }
}

impl Following {
    /// Does something with an account's entry once it is current.
    fn with<T>(
        &self,
        store: &dyn Store,
        account: AccountId,
        random: u128,
        act: impl FnOnce(&AccountWatch, &Log) -> T,
    ) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let All { accounts, count } = &mut *all;
        *count += 1;
        // The lower half of 128 random bits, and never the same again in this process.
        #[allow(clippy::cast_possible_truncation, reason = "half of it")]
        let era = (random as u64).wrapping_add(*count);
        let entry = accounts.entry(account).or_insert_with(|| {
            let watch = store.listen(account);
            watch.set_interest(Interest { journeys: true, ..Interest::default() });
            Entry { watch, log: Log::new(era), used: 0 }
        });
        entry.used = *count;
        let heard = entry.watch.take();
        if heard.lost {
            entry.log = Log::new(era);
        } else {
            heard.journeys.into_iter().for_each(|(id, began)| entry.log.add(id, began));
        }
        let answer = act(&entry.watch, &entry.log);
        if accounts.len() > limits::JMAP_ACCOUNTS {
            let oldest = accounts.iter().min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id);
            oldest.and_then(|id| accounts.remove(&id));
        }
        answer
    }
}

impl Server {
    /// The state of a user's journeys, for who tells it what changed. It moves with `store::Interest::journeys`.
    pub fn journey_state(&self, user: &User, moment: Moment) -> String {
        self.following.with(&*self.store, user.account, moment.random, |_, log| log.state())
    }
}

impl Context<'_> {
    pub(super) fn journey_state(&self) -> String {
        self.server.journey_state(self.user, self.moment)
    }

    /// From now on what happens on this message's way moves the state; whether that is new. The user must have sent it.
    pub(super) fn follow(&self, id: QueueId) -> bool {
        let Self { server, user, moment, .. } = self;
        server.following.with(&*server.store, user.account, moment.random, |watch, _| watch.follow(id))
    }

    /// What happened since a state, and the state of now.
    pub(super) fn journeys_since(&self, state: &str) -> (Option<BTreeMap<QueueId, bool>>, String) {
        let Self { server, user, moment, .. } = self;
        server.following.with(&*server.store, user.account, moment.random, |_, log| (log.since(state), log.state()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `JOURNEYS_FOLLOWED`: so many changes are known, and one more begins after the first.
    #[test]
    fn states_lead_from_one_to_the_next() {
        let mut log = Log::new(0xa7);
        let id = |n: usize| QueueId::from_u64(n as u64);
        assert_eq!(log.state(), "a7-0");
        assert_eq!(log.since("a7-0"), Some(BTreeMap::new()));
        log.add(id(1), true);
        log.add(id(2), false);
        log.add(id(1), false);
        assert_eq!(log.since("a7-0"), Some([(id(1), true), (id(2), false)].into()));
        assert_eq!(log.since("a7-1"), Some([(id(1), false), (id(2), false)].into()));
        for unknown in ["a7-4", "a8-0", "a7", "", "-", "a7-", "a7--1", "x-0"] {
            assert_eq!(log.since(unknown), None, "{unknown}");
        }
        for n in 3..limits::JOURNEYS_FOLLOWED {
            log.add(id(n), false);
        }
        assert!(log.since("a7-0").is_some());
        log.add(id(0), false);
        assert!(log.since("a7-0").is_none() && log.since("a7-1").is_some());
    }
}
