//! Recipients that misbehave on purpose, for people who test their own mail software.
//!
//! Does: says, for a recipient on port 25 and for a whole message after its final dot, what goes wrong and
//! with which words. Does not: touch sockets or stores; the SMTP server asks and acts. Addresses
//! come in, a [`Reply`] or an [`AtEnd`] goes out.
//!
//! | recipient | where | what |
//! |---|---|---|
//! | `later@` | RCPT | 451 4.7.1 at the first try, taken at the next |
//! | `refused@` | RCPT | 550 5.1.1 |
//! | `full@` | RCPT | 452 4.2.2 |
//! | `slow@` | after the final dot | the answer comes after 5 s |
//! | `cut@` | after the final dot | the connection drops without an answer, once per message; nothing is stored |

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mail::{Address, Reply};

/// How long `slow@` takes.
pub const SLOW: Duration = Duration::from_secs(5);
/// The local parts that misbehave, for the list that `local` prints.
pub const NAMES: [&str; 5] = ["later", "refused", "full", "slow", "cut"];
/// Tries that are remembered, so that the next one goes well; the oldest are forgotten.
const REMEMBERED: usize = 10_000;

/// What happens after the final dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// Nothing special.
    Normal,
    /// The message is taken, and the answer comes after this time.
    AnswerAfter(Duration),
    /// The connection drops; nothing is stored.
    HangUp,
}

/// The memory of the misbehaving recipients of one system.
#[derive(Debug, Default)]
pub struct Misbehaviour {
    tried: Mutex<VecDeque<String>>,
}

impl Misbehaviour {
    /// What RCPT on port 25 is answered instead of the usual; `None`: the usual. `sender` is the reverse-path
    /// without brackets.
    pub fn at_recipient(&self, sender: &str, recipient: &Address) -> Option<Reply> {
        match recipient.folded().local() {
            "later" if self.first(format!("later {sender} {recipient}")) => {
                Some(Reply::new(451, (4, 7, 1), format!("<{recipient}> takes mail at the next try")))
            }
            "refused" => Some(Reply::new(550, (5, 1, 1), format!("<{recipient}> is refused on purpose"))),
            "full" => Some(Reply::new(452, (4, 2, 2), format!("The mailbox of <{recipient}> is full on purpose"))),
            _ => None,
        }
    }

    /// What happens after the final dot on port 25. The same message is known again by its sender and its
    /// Message-ID (empty where it has none).
    pub fn at_end<'a>(
        &self,
        sender: &str,
        message_id: &str,
        recipients: impl IntoIterator<Item = &'a Address>,
    ) -> AtEnd {
        let mut end = AtEnd::Normal;
        for recipient in recipients {
            match recipient.folded().local() {
                "cut" if self.first(format!("cut {sender} {recipient} {message_id}")) => return AtEnd::HangUp,
                "slow" => end = AtEnd::AnswerAfter(SLOW),
                _ => {}
            }
        }
        end
    }

    /// Whether this is the first time, and the second is not. Then all is forgotten, so that a third is a first again.
    fn first(&self, key: String) -> bool {
        // A panic elsewhere leaves the list whole: it is changed in one step.
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = tried.iter().position(|known| *known == key) {
            tried.remove(place);
            return false;
        }
        if tried.len() >= REMEMBERED {
            tried.pop_front();
        }
        tried.push_back(key);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::Domain;

    fn to(local: &str) -> Address {
        Address::new(local, Domain::from_ascii("blue.example").unwrap()).unwrap()
    }

    fn code(reply: Option<Reply>) -> Option<u16> {
        reply.map(|reply| reply.code.get())
    }

    #[test]
    fn recipients_are_refused_as_told() {
        let all = Misbehaviour::default();
        assert_eq!(code(all.at_recipient("a@x", &to("bob"))), None);
        assert_eq!(code(all.at_recipient("a@x", &to("Refused"))), Some(550));
        assert_eq!(code(all.at_recipient("a@x", &to("full"))), Some(452));
        assert_eq!(code(all.at_recipient("a@x", &to("later"))), Some(451));
        assert_eq!(code(all.at_recipient("b@x", &to("later"))), Some(451));
        assert_eq!(code(all.at_recipient("a@x", &to("later"))), None);
        assert_eq!(code(all.at_recipient("a@x", &to("later"))), Some(451));
    }

    #[test]
    fn the_end_is_slow_or_cut_once() {
        let all = Misbehaviour::default();
        let (bob, slow, cut) = (to("bob"), to("slow"), to("cut"));
        assert_eq!(all.at_end("a@x", "<1@x>", [&bob]), AtEnd::Normal);
        assert_eq!(all.at_end("a@x", "<1@x>", [&bob, &slow]), AtEnd::AnswerAfter(SLOW));
        assert_eq!(all.at_end("a@x", "<1@x>", [&slow, &cut]), AtEnd::HangUp);
        assert_eq!(all.at_end("a@x", "<2@x>", [&cut]), AtEnd::HangUp);
        assert_eq!(all.at_end("a@x", "<1@x>", [&slow, &cut]), AtEnd::AnswerAfter(SLOW));
    }
}
