//! The hook for recipients that misbehave on purpose.
//!
//! Does: states what the SMTP server asks on port 25, and nowhere else, where a system is told to have
//! such recipients (`[local] misbehave`). Does not: decide who misbehaves: the small internet does
//! (`smallnet::misbehave`). Values go in and out; a system without the hook behaves.

use std::time::Duration;

use mail::{Address, Reply, ReversePath};

/// What happens after the final dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// Nothing special.
    Normal,
    /// The message is taken at once, and the answer comes after this time.
    AnswerAfter(Duration),
    /// The connection drops without an answer; nothing is stored.
    HangUp,
}

/// Who misbehaves, and how.
pub trait Misbehave: Send + Sync + 'static {
    /// What RCPT is answered instead of the usual; `None`: the usual. Asked once for every RCPT.
    fn at_recipient(&self, sender: &ReversePath, recipient: &Address) -> Option<Reply>;

    /// What happens to a message that came whole. The same message is known again, at the next try, by sender
    /// and Message-ID (with its brackets; `None` where it has none). Asked once for every message.
    fn at_end(&self, sender: &ReversePath, message_id: Option<&str>, recipients: &[Address]) -> AtEnd;
}
