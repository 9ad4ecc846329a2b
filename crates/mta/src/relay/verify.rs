//! Does a recipient exist at the next hop? For gateway domains, so that unknown recipients are refused at RCPT
//! and not bounced later to a sender who may be forged (backscatter).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use mail::{Address, BodyType, EnhancedCode, Recipient, Reply, ReversePath, Timestamp, limits};
use tokio::time::timeout;
use wire::smtp::client::{Failure, Transaction};

use super::Relay;
use super::attempt::ways;
use super::connection::{Connection, Greeting};
use crate::accept::VerifyRecipient;
use crate::route::Verdict;

/// What the next hop says of a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It would be taken.
    Taken,
    /// Never: its own words.
    Refused(Reply),
    /// Nobody could tell now, with words: 450.
    Unknown(String),
}

type Known = HashMap<Address, (Timestamp, Answer)>;

/// Asks next hops about recipients, and remembers what they said.
pub struct Verifier {
    relay: Arc<Relay>,
    known: Mutex<Known>,
}

impl Verifier {
    /// Asks over the routes of `relay`.
    pub fn new(relay: Arc<Relay>) -> Self {
        Self { relay, known: Mutex::default() }
    }

    /// Whether the next hop takes mail for `address`. Waits at most `VERIFY_WAIT`.
    pub async fn verify(&self, address: &Address) -> Answer {
        let now = self.relay.world.clock.now();
        if let Some((until, answer)) = self.known().get(address)
            && *until > now
        {
            return answer.clone();
        }
        let asked = timeout(limits::VERIFY_WAIT, self.ask(address)).await;
        let answer = asked.unwrap_or_else(|_| Answer::Unknown("the next hop does not answer".to_owned()));
        let believed = match &answer {
            Answer::Taken => limits::VERIFY_YES,
            Answer::Refused(_) => limits::VERIFY_NO,
            // Not remembered: the next try may find the next hop awake.
            Answer::Unknown(_) => return answer,
        };
        remember(&mut self.known(), address, (now.plus(believed), answer.clone()), now);
        answer
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, address: &Address) -> Answer {
        let routing = self.relay.routing();
        let route = self.relay.route(address.domain()).await;
        let hosts = match &route.verdict {
            Verdict::Hosts(hosts) => hosts,
            Verdict::Never(code, status, words) => return Answer::Refused(Reply::new(*code, *status, words.clone())),
            Verdict::Later(_, words) => return Answer::Unknown(words.clone()),
        };
        let greeting = Greeting { helo: routing.hostname.as_str(), login: route.login.as_ref(), lmtp: route.lmtp };
        let mut last = "the next hop has no address".to_owned();
        for (host, to) in ways(hosts, &[]) {
            let mut connection = match Connection::open(&self.relay.world, host, to, &greeting).await.0 {
                Ok(connection) => connection,
                Err(unreachable) => {
                    last = unreachable.failure.to_string();
                    continue;
                }
            };
            let transaction = Transaction {
                // A null reverse-path: what is asked for is a mailbox, not a permission to send.
                sender: ReversePath::Null,
                recipients: vec![Recipient::new(address.clone())],
                size: 0,
                body: BodyType::SevenBit,
                utf8: address.needs_utf8(),
                dsn_return: None,
                envelope_id: None,
            };
            let verdict = connection.probe(transaction).await.verdicts.into_iter().next();
            tokio::spawn(connection.quit());
            match verdict {
                Some(Ok(_)) => return Answer::Taken,
                Some(Err(failure)) => match refusal(&failure) {
                    Some(reply) => return Answer::Refused(reply),
                    None => last = failure.to_string(),
                },
                None => {}
            }
        }
        Answer::Unknown(last)
    }
}

fn remember(known: &mut Known, address: &Address, answer: (Timestamp, Answer), now: Timestamp) {
    if known.len() >= limits::VERIFY_CACHE {
        known.retain(|_, (until, _)| *until > now);
    }
    if known.len() >= limits::VERIFY_CACHE {
        // Somebody guesses addresses faster than answers grow old: start over rather than grow.
        known.clear();
    }
    known.insert(address.clone(), answer);
}

/// Only a refusal of this very recipient is a no; one of MAIL may be about us.
fn refusal(failure: &Failure) -> Option<Reply> {
    let reply = failure.reply()?;
    (failure.is_permanent() && failure.stage == wire::smtp::client::Stage::Rcpt).then(|| reply.clone())
}

#[async_trait]
impl VerifyRecipient for Verifier {
    async fn verify(&self, _sender: &ReversePath, recipient: &Address) -> Result<(), Reply> {
        match self.verify(recipient).await {
            Answer::Taken => Ok(()),
            // The next hop's own words, as our reply; its code stays (550, 552, 553 …).
            Answer::Refused(reply) => {
                let enhanced = reply.enhanced.or(Some(EnhancedCode::new(5, 1, 1)));
                Err(Reply { text: format!("<{recipient}>: {}", reply.text.replace('\n', " ")), enhanced, ..reply })
            }
            // RFC 3463 §3.5: 4.4.1, no answer from host.
            Answer::Unknown(words) => {
                Err(Reply::new(450, (4, 4, 1), format!("<{recipient}>: can't be verified now: {words}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `VERIFY_CACHE` answers, and no more; what is over makes room first.
    #[test]
    fn answers_are_bounded() {
        let address = |n: usize| Address::new(&format!("u{n}"), mail::Domain::from_ascii("x").unwrap()).unwrap();
        let now = Timestamp::from_secs(1000);
        let mut known = Known::new();
        for n in 0..limits::VERIFY_CACHE {
            let until = if n == 0 { now.plus(limits::VERIFY_YES) } else { now.plus(limits::VERIFY_NO) };
            remember(&mut known, &address(n), (until, Answer::Taken), now);
        }
        assert_eq!(known.len(), limits::VERIFY_CACHE);
        // All but the first are over.
        remember(&mut known, &address(1), (now.plus(limits::VERIFY_YES), Answer::Taken), now.plus(limits::VERIFY_NO));
        assert_eq!(known.len(), 2);
        for n in 2..=limits::VERIFY_CACHE {
            remember(&mut known, &address(n), (now.plus(limits::VERIFY_YES), Answer::Taken), now);
        }
        assert_eq!(known.len(), 1, "one too many: all are forgotten but the last");
    }
}
