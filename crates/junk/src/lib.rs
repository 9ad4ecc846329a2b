//! Whether a message looks like junk to one account, and why.
//!
//! **Does:** finds the words of a message that say something ([`words`]); weighs them by how often the account has called
//! mail with them junk or not, together with what else is known of the message ([`judge`]): whether its sender is new to the
//! account, what its authentication came to, which block lists name its client. Each piece of evidence keeps its name and its
//! weight, so that the journey can show them.
//!
//! **Does not:** keep counts, know accounts or mailboxes, look anything up. It never refuses: what it finds decides no more
//! than which mailbox a message goes to.
//!
//! **Data** comes in as the bytes of a message and the counts of its words; it leaves as a [`Judgement`].

mod judge;
mod words;

pub use judge::{Clue, Evidence, Judgement, judge};
pub use words::{Word, words};
