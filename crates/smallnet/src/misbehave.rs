//! Recipients that misbehave on purpose, for people who test their own mail software.
//!
//! Does: says, for a recipient on port 25 and for a whole message after its final dot, what goes wrong and
//! with which words. Does not: touch sockets or stores; the SMTP server asks and acts. Addresses
//! come in, a [`Reply`] or an [`AtEnd`] goes out, through the hook [`Misbehave`].
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

use mail::{Address, Reply, ReversePath};
use mta::misbehave::{AtEnd, Misbehave};

/// How long `slow@` takes.
pub const SLOW: Duration = Duration::from_secs(5);
/// The local parts that misbehave, for the list that `local` prints.
pub const NAMES: [&str; 5] = ["later", "refused", "full", "slow", "cut"];
/// Those that take mail in the end: addresses that have to lead to somebody. `full@` is among them for mail from its
/// own domain, which does not pass port 25.
pub const TAKING: [&str; 4] = ["later", "full", "slow", "cut"];
/// Tries that are remembered, so that the next one goes well; the oldest are forgotten.
const REMEMBERED: usize = 10_000;

/// The memory of the misbehaving recipients of one system.
#[derive(Debug, Default)]
pub struct Misbehaviour {
    tried: Mutex<VecDeque<String>>,
}

impl Misbehave for Misbehaviour {
    fn at_recipient(&self, sender: &ReversePath, recipient: &Address) -> Option<Reply> {
        match recipient.folded().local() {
            "later" if self.first(format!("later {sender} {recipient}")) => {
                Some(Reply::new(451, (4, 7, 1), format!("<{recipient}> takes mail at the next try")))
            }
            "refused" => Some(Reply::new(550, (5, 1, 1), format!("<{recipient}> is refused on purpose"))),
            "full" => Some(Reply::new(452, (4, 2, 2), format!("The mailbox of <{recipient}> is full on purpose"))),
            _ => None,
        }
    }

    fn at_end(&self, sender: &ReversePath, message_id: Option<&str>, recipients: &[Address]) -> AtEnd {
        let mut end = AtEnd::Normal;
        for recipient in recipients {
            match recipient.folded().local() {
                "cut" if self.first(format!("cut {sender} {recipient} {}", message_id.unwrap_or_default())) => {
                    return AtEnd::HangUp;
                }
                "slow" => end = AtEnd::AnswerAfter(SLOW),
                _ => {}
            }
        }
        end
    }
}

impl Misbehaviour {
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

    fn from(local: &str) -> ReversePath {
        ReversePath::Address(to(local))
    }

    fn code(reply: Option<Reply>) -> Option<u16> {
        reply.map(|reply| reply.code.get())
    }

    #[test]
    fn recipients_are_refused_as_told() {
        let all = Misbehaviour::default();
        let code_of = |sender: &str, recipient: &str| code(all.at_recipient(&from(sender), &to(recipient)));
        assert_eq!(code_of("a", "bob"), None);
        assert_eq!(code_of("a", "Refused"), Some(550));
        assert_eq!(code_of("a", "full"), Some(452));
        assert_eq!(code_of("a", "later"), Some(451));
        assert_eq!(code_of("b", "later"), Some(451));
        assert_eq!(code_of("a", "later"), None);
        assert_eq!(code_of("a", "later"), Some(451));
    }

    #[test]
    fn the_end_is_slow_or_cut_once() {
        let all = Misbehaviour::default();
        let (bob, slow, cut) = (to("bob"), to("slow"), to("cut"));
        let end = |id, recipients: &[&Address]| {
            let recipients: Vec<Address> = recipients.iter().map(|address| (*address).clone()).collect();
            all.at_end(&from("a"), Some(id), &recipients)
        };
        assert_eq!(end("<1@x>", &[&bob]), AtEnd::Normal);
        assert_eq!(end("<1@x>", &[&bob, &slow]), AtEnd::AnswerAfter(SLOW));
        assert_eq!(end("<1@x>", &[&slow, &cut]), AtEnd::HangUp);
        assert_eq!(end("<2@x>", &[&cut]), AtEnd::HangUp);
        assert_eq!(end("<1@x>", &[&slow, &cut]), AtEnd::AnswerAfter(SLOW));
    }
}
