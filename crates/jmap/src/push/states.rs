//! The states of what a user can see, and what of them is another than before.

use std::collections::BTreeMap;

use mail::{AccountId, ModSeq};
use serde_json::{Map, Value, json};

use super::types::{COUNT, DELIVERY, JOURNEY, SHARED, Types, names};
use crate::ids;

/// States of all types, account by account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct States(pub(super) BTreeMap<AccountId, Places>);

/// Of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// All changes up to here were looked at.
    pub(super) seen: ModSeq,
    /// Where each type changed last, as far as was seen; before, where it was looked at first.
    pub(super) last: [ModSeq; COUNT],
    /// The state of its journeys, which is no place in that order; of the user's own account alone.
    pub(super) journeys: Option<String>,
}

impl Places {
    pub(super) const fn new(at: ModSeq) -> Self {
        Self { seen: at, last: [at; COUNT], journeys: None }
    }

    /// The state of the type at this place of the table; `None`: this account has nothing of the kind.
    fn state(&self, at: usize) -> Option<String> {
        match names().nth(at)? {
            JOURNEY => self.journeys.clone(),
            _ => (at < SHARED || self.journeys.is_some()).then(|| ids::state(self.last[at])),
        }
    }

    pub(super) fn change(&mut self, types: Types, at: ModSeq) {
        self.seen = at;
        for (_, last) in self.last.iter_mut().enumerate().filter(|(n, _)| types.has(*n)) {
            *last = at;
        }
    }
}

impl States {
    /// What of these types is another now than `before`.
    pub fn since(&self, before: &Self, wanted: Types) -> Changed {
        let mut changed = Changed::default();
        for (account, now) in &self.0 {
            let before = before.0.get(account);
            let is_other = |at: usize| before.is_none_or(|before| before.state(at) != now.state(at));
            let types = (0..COUNT).filter(|at| wanted.has(*at) && is_other(*at));
            let states: BTreeMap<_, _> = types.filter_map(|at| Some((names().nth(at)?, now.state(at)?))).collect();
            if !states.is_empty() {
                changed.0.insert(*account, states);
            }
        }
        changed
    }

    /// By which a client that comes back says what it knows (RFC 8620 §7.3: the id of an event).
    pub fn id(&self) -> String {
        let one = |(account, places): (&AccountId, &Places)| {
            let journeys = places.journeys.iter().map(|state| format!(".{state}")).collect::<String>();
            format!("{}.{}{journeys}", ids::account(*account), places.seen.0)
        };
        self.0.iter().map(one).collect::<Vec<_>>().join("_")
    }

    /// The places that such an id names, and states of journeys. What can't be read is not known.
    pub(super) fn places(id: &str) -> BTreeMap<AccountId, (ModSeq, Option<String>)> {
        let one = |text: &str| {
            let mut parts = text.splitn(3, '.');
            let (account, place) = (ids::parse_account(parts.next()?)?, ids::parse_state(parts.next()?)?);
            let journeys = parts.next().map(str::to_owned);
            journeys.iter().all(|state| state.contains('-')).then_some((account, (place, journeys)))
        };
        // There are no more in those that were given out.
        id.split('_').take(mail::limits::PUSH_ACCOUNTS).filter_map(one).collect()
    }
}

/// New states, by account and type (RFC 8620 §7.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed(BTreeMap<AccountId, BTreeMap<&'static str, String>>);

impl Changed {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same, and what changed later.
    #[must_use]
    pub fn and(mut self, later: Self) -> Self {
        for (account, states) in later.0 {
            self.0.entry(account).or_default().extend(states);
        }
        self
    }

    /// Takes so many accounts off it that what is told of them has no more than `most` octets, but one at least.
    #[must_use]
    pub fn part(&mut self, most: usize) -> Self {
        let mut part = Self::default();
        while let Some(first) = self.0.first_entry() {
            let (account, states) = first.remove_entry();
            part.0.insert(account, states);
            if part.0.len() > 1 && part.state_change(None).to_string().len() > most {
                self.0.extend(part.0.pop_last());
                break;
            }
        }
        part
    }

    /// Of what it tells, whatever the states are: accounts and types.
    pub fn subject(&self) -> String {
        let one = |(account, states): (&AccountId, &BTreeMap<&str, String>)| {
            let types: Vec<&str> = states.keys().copied().collect();
            format!("{}:{}", ids::account(*account), types.join(","))
        };
        self.0.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    /// Whether it tells of new mail (RFC 8621 §1.5).
    pub fn is_delivery(&self) -> bool {
        self.0.values().any(|states| states.contains_key(DELIVERY))
    }

    /// As a client is told of it (RFC 8620 §7.1).
    pub fn state_change(&self, push_state: Option<&str>) -> Value {
        let states = |states: &BTreeMap<&str, String>| -> Map<String, Value> {
            states.iter().map(|(name, state)| ((*name).to_owned(), state.as_str().into())).collect()
        };
        let changed: Map<String, Value> =
            self.0.iter().map(|(account, all)| (ids::account(*account), states(all).into())).collect();
        let mut object = json!({ "@type": "StateChange", "changed": changed });
        if let Some(push_state) = push_state {
            object["pushState"] = push_state.into();
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(of: &[(u64, u64)]) -> States {
        States(of.iter().map(|(account, at)| (AccountId(*account), Places::new(ModSeq(*at)))).collect())
    }

    #[test]
    fn what_is_another_is_told() {
        let before = states(&[(1, 5), (2, 8)]);
        let mut now = before.clone();
        assert!(now.since(&before, Types::ALL).is_empty());
        now.0.get_mut(&AccountId(2)).unwrap().change(Types::named(["Email"]), ModSeq(9));
        assert_eq!(
            now.since(&before, Types::ALL).state_change(None),
            json!({ "@type": "StateChange", "changed": { "A2": { "Email": "9" } } })
        );
        assert!(now.since(&before, Types::named(["Thread"])).is_empty());
        // An account that was not there before; what is gone is not told of.
        let changed = states(&[(3, 1)]).since(&before, Types::named(["Thread", "Email"]));
        assert_eq!(
            changed.state_change(Some("x")),
            json!({ "@type": "StateChange", "changed": { "A3": { "Thread": "1", "Email": "1" } }, "pushState": "x" })
        );
    }

    #[test]
    fn what_waits_is_one_change_and_is_told_in_parts() {
        let changed = |of: &[(u64, u64)], types: &[&str]| {
            states(of).since(&States::default(), Types::named(types.iter().copied()))
        };
        let mut all = changed(&[(1, 5), (2, 5)], &["Email", "Thread"]).and(changed(&[(2, 6), (3, 1)], &["Email"]));
        let told = json!({ "A1": { "Email": "5", "Thread": "5" }, "A2": { "Email": "6", "Thread": "5" }, "A3": { "Email": "1" } });
        assert_eq!(all.state_change(None)["changed"], told);
        assert_eq!(all.subject(), "A1:Email,Thread A2:Email,Thread A3:Email");
        assert!(!all.is_delivery() && changed(&[(1, 1)], &["EmailDelivery"]).is_delivery());
        let both = all.clone().part(usize::MAX);
        assert_eq!(both, all);
        let first_two = changed(&[(1, 5), (2, 6)], &["Email", "Thread"]).state_change(None).to_string().len();
        let mut rest = all.clone();
        assert_eq!(rest.part(first_two).subject(), "A1:Email,Thread A2:Email,Thread");
        assert_eq!(rest.subject(), "A3:Email");
        assert_eq!(all.part(first_two - 1).subject(), "A1:Email,Thread");
        assert_eq!(
            (all.part(0).subject(), all.part(0).subject(), all.is_empty()),
            ("A2:Email,Thread".into(), "A3:Email".into(), true)
        );
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = states(&[(1, 5), (20, 8)]).id();
        assert_eq!(id, "A1.5_A20.8");
        assert_eq!(States::places(&id), [(AccountId(1), (ModSeq(5), None)), (AccountId(20), (ModSeq(8), None))].into());
        let mut own = states(&[(1, 5)]);
        own.0.get_mut(&AccountId(1)).unwrap().journeys = Some("a7-3".into());
        assert_eq!(own.id(), "A1.5.a7-3");
        assert_eq!(States::places(&own.id()), [(AccountId(1), (ModSeq(5), Some("a7-3".into())))].into());
        for broken in ["", "_", "A1", "A1.", "A1.05", "1.5", "A1.5.6", "☃"] {
            assert!(States::places(broken).is_empty(), "{broken}");
        }
    }

    /// `PUSH_ACCOUNTS` places, and one more.
    #[test]
    fn ids_are_bounded() {
        let id = states(&(1..=mail::limits::PUSH_ACCOUNTS as u64 + 1).map(|n| (n, n)).collect::<Vec<_>>()).id();
        assert_eq!(States::places(&id).len(), mail::limits::PUSH_ACCOUNTS);
    }
}
