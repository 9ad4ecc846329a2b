//! What comes out of a run.

use mail::Address;

use crate::explain::{Explanation, Line};
use crate::uri::Mailto;
use crate::world::Seen;

/// What is to be done with a message.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// In the order of the script; the implicit keep is among them where nothing took its place.
    pub done: Vec<Done>,
    /// Headers as the script changed them (RFC 5293); [`Done::version`] counts from 1 here, 0 is the message as it came.
    pub headers: Vec<Vec<u8>>,
    /// What to remember.
    pub seen: Vec<Seen>,
    /// What was wrong; then the message is only kept (RFC 5228 §2.10.6).
    pub error: Option<Line>,
    /// Test by test, where asked for.
    pub explanation: Explanation,
}

/// An action and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The script's name; empty for the implicit keep.
    pub script: String,
    /// The line of the script; 0 for the implicit keep.
    pub line: u32,
    /// What.
    pub action: Action,
    /// With which header.
    pub version: usize,
}

/// An action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put it into a mailbox: `keep`, `fileinto`, or no word at all.
    Store {
        /// Which; it exists, or is to be made.
        mailbox: String,
        /// With these flags.
        flags: Vec<String>,
        /// It does not exist yet.
        create: bool,
        /// What the script said, where there is no such mailbox and this stands in.
        instead_of: Option<String>,
    },
    /// Send it on.
    Redirect {
        /// To.
        to: Address,
    },
    /// Give it back with these words.
    Reject {
        /// Why.
        reason: String,
    },
    /// Throw it away, unless something else is done with it too.
    Discard,
    /// Tell the sender that the owner is away.
    Vacation(Vacation),
    /// Tell somebody of it.
    Notify(Notice),
}

/// `vacation` (RFC 5230).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vacation {
    /// Who was told is not told again for so long.
    pub seconds: u64,
    /// What the reply is called.
    pub subject: Option<String>,
    /// Who it is from.
    pub from: Option<Address>,
    /// Further addresses that are the owner's.
    pub addresses: Vec<String>,
    /// The reason is a MIME part with its header.
    pub mime: bool,
    /// Replies with one handle are one, whatever they say.
    pub handle: Option<String>,
    /// What is said.
    pub reason: String,
}

/// `notify` (RFC 5435) by mail (RFC 5436).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// To whom, and with which fields.
    pub mailto: Mailto,
    /// Who it is from.
    pub from: Option<Address>,
    /// 1: high, 2: normal, 3: low.
    pub importance: u8,
    /// What is said.
    pub message: Option<String>,
}

impl Action {
    /// For people.
    pub fn words(&self) -> String {
        match self {
            Self::Store { mailbox, flags, create, instead_of } => {
                let mut words = format!("put into {mailbox}");
                if *create {
                    words += ", which is made for it";
                }
                if let Some(wanted) = instead_of {
                    words += &format!(", for there is no mailbox {wanted}");
                }
                if !flags.is_empty() {
                    words += &format!(", marked {}", flags.join(" "));
                }
                words
            }
            Self::Redirect { to } => format!("sent on to {to}"),
            Self::Reject { reason } => format!("rejected: {}", one_line(reason)),
            Self::Discard => "discarded".to_owned(),
            Self::Vacation(vacation) => {
                let days = vacation.seconds / 86_400;
                format!(
                    "the sender is told that the owner is away, if not told within {days} days: {}",
                    one_line(&vacation.reason)
                )
            }
            Self::Notify(notice) => {
                let to: Vec<String> = notice.mailto.to.iter().map(ToString::to_string).collect();
                format!("{} gets a note of it", to.join(", "))
            }
        }
    }
}

/// The first line, and not too much of it.
pub(crate) fn one_line(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let short: String = line.chars().take(80).collect();
    if short.len() < text.trim().len() { format!("{short}…") } else { short }
}
