//! Whether a message from elsewhere is from whom it says it is, and what follows from that.
//!
//! **Does:** has SPF, DKIM, DMARC and ARC checked (`trust`), asks DNS what these need to know, writes down what was found, and
//! does what the domain in From wants done with mail that is not its own.
//!
//! **Does not:** refuse by SPF alone (mail that was forwarded fails it), believe what an ARC chain says, or refuse because
//! nobody can tell now: then the results say `temperror`.
//!
//! **Data** comes in as a message between its last byte and our answer; it leaves as an `Authentication-Results` field, an event
//! of the journey, the Junk mailbox or a refusal.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use mail::{Domain, Reply, Timestamp, limits};
use store::{Event, What};
use tokio::time::{Instant, timeout_at};
use trust::dmarc::Wish;
use trust::dns::{Answers, Known, Missing, Question, Said};
use trust::results::Results;
use trust::spf::Sender;
use trust::{Letter, Verdict};
use wire::smtp::server::Role;

use super::Identity;
use super::inspect::{Clue, Findings, Inspect, Inspection};
use crate::world::{Answer, Dns};

/// What is done where a domain publishes what it wants done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforce {
    /// What the domain wants: `p=reject` is refused, `p=quarantine` goes to Junk.
    #[default]
    Yes,
    /// Nothing; what would have been done is in the journey.
    Report,
    /// Nothing is checked at all.
    Off,
}

/// Checks what comes from other servers.
pub struct Authenticate {
    /// Whom to ask.
    pub dns: Arc<dyn Dns>,
    /// In whose name the results are written (RFC 8601 §2.5).
    pub hostname: Domain,
    /// What follows.
    pub enforce: Enforce,
    /// Who is not asked where he comes from.
    pub exempt: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
}

#[async_trait]
impl Inspect for Authenticate {
    async fn inspect(&self, inspection: &Inspection<'_>) -> Findings {
        let client = inspection.client;
        let is_known = client.role != Role::Mx || client.identity != Identity::Stranger || client.trusted.is_some();
        if is_known || self.enforce == Enforce::Off || (self.exempt)(client.ip) {
            return Findings::default();
        }
        let mut letter = Letter::read(inspection.received());
        while letter.hash_more() {
            // A large message leaves the thread to others now and then.
            tokio::task::yield_now().await;
        }
        let from = inspection.envelope.reverse_path.address();
        let from = from.map(|address| format!("{}@{}", address.local(), address.domain()));
        let sender = Sender { ip: client.ip, helo: &inspection.hello.name, from: from.as_deref() };
        let results = self.resolve(|answers| trust::check(&letter, sender, answers, inspection.at)).await;
        self.judge(&results, sender, inspection.at)
    }
}

impl Authenticate {
    /// Brings a check to its end: asks DNS for what it must know, within the bounds of one message.
    async fn resolve<T>(&self, check: impl Fn(&Answers) -> Known<T> + Send + Sync) -> T {
        let deadline = Instant::now() + limits::AUTHENTICATION_TIME;
        let (mut answers, mut left) = (Answers::default(), limits::AUTHENTICATION_QUESTIONS);
        loop {
            let Missing(mut questions) = match check(&answers) {
                Ok(result) => return result,
                Err(missing) => missing,
            };
            let beyond = questions.split_off(questions.len().min(left));
            left -= questions.len();
            let asked = questions.iter().map(|question| timeout_at(deadline, ask(&*self.dns, question)));
            let said: Vec<Said> = join_all(asked).await.into_iter().map(|said| said.unwrap_or(Said::Failed)).collect();
            for (question, said) in questions.into_iter().zip(said) {
                answers.put(question, said);
            }
            for question in beyond {
                answers.put(question, Said::Failed);
            }
        }
    }

    fn judge(&self, results: &Results, sender: Sender<'_>, at: Timestamp) -> Findings {
        let (host, dmarc) = (self.hostname.as_str(), &results.dmarc);
        let wish = if dmarc.verdict == Verdict::Fail { dmarc.wish } else { Wish::None };
        if wish == Wish::Reject && self.enforce == Enforce::Yes {
            return Findings::refuse(not_from(&dmarc.domain), "dmarc");
        }
        let what = What::Authenticated {
            spf: results.spf().verdict.to_string(),
            dkim: results.dkim().to_string(),
            dmarc: dmarc.verdict.to_string(),
            arc: (results.arc.verdict != Verdict::None).then(|| results.arc.verdict.to_string()),
            domain: dmarc.domain.clone(),
            words: self.sentence(results, wish),
        };
        Findings {
            top: results.field(host, sender.from, sender.helo).into_bytes(),
            events: vec![Event::new(at, what)],
            junk: wish == Wish::Quarantine && self.enforce == Enforce::Yes,
            clues: clues(results),
            ..Findings::default()
        }
    }

    /// In plain words.
    fn sentence(&self, results: &Results, wish: Wish) -> String {
        let dmarc = &results.dmarc;
        let domain = if dmarc.domain.is_empty() { "its sender" } else { &dmarc.domain };
        match (dmarc.verdict, wish, self.enforce) {
            (Verdict::Pass, ..) if dmarc.spf && dmarc.dkim.is_some() => {
                format!("it is from {domain}: its server is one of that domain's, and its signature is good")
            }
            (Verdict::Pass, ..) if dmarc.spf => format!("it is from {domain}: its server is one of that domain's"),
            (Verdict::Pass, ..) => format!("it is from {domain}: its signature is good"),
            (Verdict::Fail, Wish::Quarantine, Enforce::Yes) => {
                format!("nothing shows that it is from {domain}, which wants such mail in Junk")
            }
            (Verdict::Fail, Wish::Quarantine | Wish::Reject, _) => format!(
                "nothing shows that it is from {domain}, which wants such mail {}; this server only says so",
                if wish == Wish::Reject { "refused" } else { "in Junk" }
            ),
            (Verdict::Fail, ..) => {
                format!("nothing shows that it is from {domain}, which wants nothing done about that")
            }
            (Verdict::TempError, ..) => format!("whether it is from {domain} can't be found out now"),
            _ => format!("{domain} does not say how to tell its mail"),
        }
    }
}

/// What it says of how likely the message is junk. Junk is signed, too: a pass says little.
fn clues(results: &Results) -> Vec<Clue> {
    let mut clues = Vec::new();
    let mut add = |says: String, likely| clues.push(Clue { says, likely });
    match results.dmarc.verdict {
        Verdict::Fail => add(format!("nothing shows that it is from {}", results.dmarc.domain), 0.8),
        Verdict::Pass => add(format!("it is shown to be from {}", results.dmarc.domain), 0.4),
        _ if results.spf().verdict == Verdict::Fail => {
            add(format!("{} says that its mail does not come from there", results.spf().domain), 0.8);
        }
        _ => {}
    }
    clues
}

/// RFC 7372 §3.3 X.7.26; RFC 7489 §10.3
fn not_from(domain: &str) -> Reply {
    Reply::new(
        550,
        (5, 7, 26),
        format!("{domain} wants mail refused that neither SPF nor DKIM shows to be its own (DMARC)"),
    )
}

async fn ask(dns: &dyn Dns, question: &Question) -> Said {
    match question {
        Question::Txt(name) => said(dns.txt(name).await, Said::Txt),
        Question::V4(name) => {
            said(dns.ipv4(name).await, |found| Said::Addresses(found.into_iter().map(IpAddr::V4).collect()))
        }
        Question::V6(name) => {
            said(dns.ipv6(name).await, |found| Said::Addresses(found.into_iter().map(IpAddr::V6).collect()))
        }
        Question::Mx(name) => said(dns.mx(name).await, |mut found| {
            found.sort_by_key(|mx| mx.preference);
            Said::Names(found.into_iter().map(|mx| mx.exchange).collect())
        }),
        Question::Ptr(ip) => said(dns.ptr(*ip).await, Said::Names),
    }
}

fn said<T>(answer: Answer<T>, found: impl FnOnce(Vec<T>) -> Said) -> Said {
    match answer {
        Answer::Found(records, _) => found(records),
        Answer::NoData => Said::Nothing,
        Answer::NoDomain => Said::NoName,
        Answer::Temporary(_) => Said::Failed,
    }
}

#[cfg(test)]
mod tests;
