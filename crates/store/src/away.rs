//! What an account says by itself to those who write while its owner is away (RFC 8621 §8, RFC 5230).

use mail::{AccountId, Address, Timestamp};

use crate::{Event, Mark, What};

/// The notice of an account; the default is one that was never set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwayNotice {
    /// Whether anybody is told it.
    pub enabled: bool,
    /// From when on; `None`: from now on.
    pub from: Option<Timestamp>,
    /// Until when, that moment no more; `None`: until it is taken back.
    pub to: Option<Timestamp>,
    /// What the reply is called; `None`: as what it answers is.
    pub subject: Option<String>,
    /// The text.
    pub text: Option<String>,
    /// The same in HTML.
    pub html: Option<String>,
}

impl AwayNotice {
    /// Whether those who write now are told.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.enabled && self.from.is_none_or(|from| from <= now) && self.to.is_none_or(|to| now < to)
    }

    /// Whether who read the one knows what the other says.
    pub fn says_the_same(&self, other: &Self) -> bool {
        (&self.subject, &self.text, &self.html) == (&other.subject, &other.text, &other.html)
    }
}

/// A report that goes to the same person once in a while only (RFC 5230 §4.2). The commit that it comes with decides whether
/// it goes, and writes that into the journey; the message that it comes with is accepted either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// Who reports.
    pub account: AccountId,
    /// Its address.
    pub address: Address,
    /// To whom, folded.
    pub to: Address,
    /// The recipient for whom it was accepted.
    pub recipient: Address,
    /// A script's own memory of it; `None`: that of the notice, by whom it goes to and for `limits::AWAY_AGAIN`.
    pub mark: Option<Mark>,
}

/// Why no notice goes to who wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// The message has no sender: it is a report, or an automatic reply itself.
    NoSender,
    /// The sender's address is a program's.
    Program,
    /// The message says that a program made it.
    Automatic,
    /// The message came by a mailing list, or to many.
    List,
    /// It was sent by who is away.
    Own,
    /// It does not name the account among its recipients.
    NotNamed,
    /// It was put among the junk.
    Junk,
    /// Who wrote was told within `limits::AWAY_AGAIN`.
    Told,
    /// As many as may be (`limits::AWAY_TOLD`) were told in that time.
    TooMany,
    /// There is nobody under the sender's address, or nobody who takes it now.
    NotTaken,
    /// The reply could not be made.
    Failed,
}

impl WhyNot {
    /// The rule's name and what it says, for the journey.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NoSender => ("no-sender", "a message without a sender is never answered"),
            Self::Program => ("program", "the sender's address is a program's"),
            Self::Automatic => ("automatic", "a program made the message"),
            Self::List => ("list", "it came by a mailing list, or went to many"),
            Self::Own => ("own", "it is the owner's own message"),
            Self::NotNamed => ("not-named", "the message does not name the account among its recipients"),
            Self::Junk => ("junk", "it was put among the junk"),
            Self::Told => ("told", "the sender was told not long ago"),
            Self::TooMany => ("too-many", "too many were told in the last days"),
            Self::NotTaken => ("not-taken", "nobody takes mail under the sender's address now"),
            Self::Failed => ("failed", "the reply could not be made"),
        }
    }

    /// As an event of the journey.
    pub fn event(self, now: Timestamp, recipient: &Address, account: &Address) -> Event {
        let (rule, words) = self.words();
        let what = What::NotAnswered { account: account.to_string(), rule: rule.to_owned(), words: words.to_owned() };
        Event::about(now, recipient.to_string(), what)
    }
}
