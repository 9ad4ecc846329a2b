//! How often an account makes subscriptions: each makes the server send something to where a client says.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mail::{AccountId, Timestamp, limits};

const HOUR: Duration = Duration::from_secs(3600);

/// When accounts made some, within the last hour.
#[derive(Default)]
pub(crate) struct Pace(Mutex<HashMap<AccountId, Vec<Timestamp>>>);

impl Pace {
    /// One more, unless the account made as many as it may.
    pub(crate) fn admits(&self, account: AccountId, now: Timestamp) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, made| {
            made.retain(|at| now.since(*at) < HOUR);
            !made.is_empty()
        });
        let made = all.entry(account).or_default();
        let admits = made.len() < limits::PUSH_SUBSCRIPTIONS_PER_HOUR;
        if admits {
            made.push(now);
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `PUSH_SUBSCRIPTIONS_PER_HOUR`: so many, and one more; others are not concerned.
    #[test]
    fn so_many_in_an_hour() {
        let (pace, begin) = (Pace::default(), Timestamp::from_secs(1_000_000));
        let end = begin.plus(HOUR);
        let before = Timestamp::from_millis(end.millis() - 1);
        assert!((0..limits::PUSH_SUBSCRIPTIONS_PER_HOUR).all(|_| pace.admits(AccountId(1), begin)));
        assert!(!pace.admits(AccountId(1), before) && pace.admits(AccountId(2), before));
        assert!(pace.admits(AccountId(1), end));
        assert_eq!(pace.0.lock().unwrap()[&AccountId(1)].len(), 1);
    }
}
