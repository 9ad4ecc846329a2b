//! Which mailbox a name is, as somebody asked lately: clients ask it again with each APPEND, COPY and STATUS.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use mail::{AccountId, MailboxId};

/// Names that are kept; with one more all are forgotten.
const NAMES: usize = 10_000;

/// Names and their mailboxes, as of the last publication.
#[derive(Default)]
pub(crate) struct Names(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// How often all was forgotten.
    generation: u64,
    names: HashMap<(AccountId, String), MailboxId>,
}

impl Names {
    /// The mailbox of a name; or, where it is not known, what [`Self::put`] wants to hear.
    pub(crate) fn get(&self, account: AccountId, name: String) -> Result<MailboxId, Question> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (account, name);
        known.names.get(&key).copied().ok_or(Question { generation: known.generation, key })
    }

    /// Keeps an answer, unless a name was given up since the question.
    pub(crate) fn put(&self, Question { generation, key }: Question, mailbox: MailboxId) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.names.len() >= NAMES {
            known.names.clear();
        }
        if known.generation == generation {
            known.names.insert(key, mailbox);
        }
    }

    /// A mailbox has another name now, or none.
    pub(crate) fn forget(&self) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.generation += 1;
        known.names.clear();
    }
}

/// A name that is looked up in the database.
pub(crate) struct Question {
    generation: u64,
    key: (AccountId, String),
}

impl Question {
    pub(crate) fn account(&self) -> AccountId {
        self.key.0
    }

    pub(crate) fn name(&self) -> &str {
        &self.key.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_from_before_a_change_is_not_kept() {
        let (names, account) = (Names::default(), AccountId(1));
        let ask = || names.get(account, "a".into());
        names.put(ask().err().unwrap(), MailboxId(5));
        assert_eq!(ask().ok(), Some(MailboxId(5)));
        names.forget();
        let before = ask().err().unwrap();
        names.forget();
        names.put(before, MailboxId(5));
        assert!(ask().is_err());
    }

    /// `NAMES` are kept, and with one more only that.
    #[test]
    fn names_are_bounded() {
        let names = Names::default();
        let put = |n: usize| names.put(names.get(AccountId(1), n.to_string()).err().unwrap(), MailboxId(1));
        (0..NAMES).for_each(put);
        assert!(names.get(AccountId(1), "0".into()).is_ok());
        put(NAMES);
        assert!(names.get(AccountId(1), "0".into()).is_err() && names.get(AccountId(1), NAMES.to_string()).is_ok());
    }
}
