//! What an account teaches about junk: by putting messages into its Junk mailbox, taking them out, or marking them; and what
//! was learnt of it, as counts of words.
//!
//! A lesson is noted in the commit that gives it, and waits until somebody has read the message. What was learnt can be
//! lost without harm to any mail: an engine keeps it apart from the truth.

use async_trait::async_trait;
use mail::{AccountId, BodyId, MailboxId, Uid};

use crate::StoreResult;

/// How often something was taught as what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WordCounts {
    /// As junk.
    pub junk: u32,
    /// As good mail.
    pub good: u32,
}

/// A message that an account has called junk, or good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// Its number: they are learnt in this order.
    pub number: u64,
    /// Whose.
    pub account: AccountId,
    /// Where the message was put; it may be elsewhere by now.
    pub mailbox: MailboxId,
    /// Its UID there.
    pub uid: Uid,
    /// Junk, or good.
    pub junk: bool,
}

/// What one lesson comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// The lesson.
    pub lesson: Lesson,
    /// The message, and the keys of its words; none where it could not be read any more.
    pub message: Option<(BodyId, Vec<u64>)>,
}

/// What is taught and learnt. An engine need keep none.
#[async_trait]
pub trait Lessons: Send + Sync {
    /// The first lessons that nobody has learnt, at most `limit`; waits until there are some.
    async fn lessons(&self, _limit: usize) -> StoreResult<Vec<Lesson>> {
        std::future::pending().await
    }

    /// Counts the words of these lessons, and forgets the lessons. One message counts once, as what it was called last.
    async fn learn(&self, _learnt: Vec<Learnt>) -> StoreResult<()> {
        Ok(())
    }

    /// How many messages an account has taught.
    fn taught(&self, _account: AccountId) -> WordCounts {
        WordCounts::default()
    }

    /// In how many of them each of these words stood.
    async fn word_counts(&self, _account: AccountId, words: Vec<u64>) -> StoreResult<Vec<WordCounts>> {
        Ok(vec![WordCounts::default(); words.len()])
    }
}
