//! Whether a message is from whom it says it is: SPF, DKIM, DMARC and ARC.
//!
//! **Does:** checks a message that came ([`spf`], [`dkim::verify`], [`dmarc`], [`arc`]) and writes down what was found
//! ([`results`]).
//!
//! **Does not:** ask DNS, read a clock or keep anything: each check is a function of the message and of what DNS has said so
//! far ([`dns::Answers`]). Where it needs more it says what ([`dns::Missing`]), and is begun anew once that is known. That is
//! cheap beside a question to DNS, and leaves nothing half done in between. It decides nothing about a message either: what a
//! result means for it is policy, in `mta`.
//!
//! **Data** comes in as a message's bytes, an envelope's names and DNS answers; it leaves as results with their reasons, and
//! as header fields.
//!
//! The grammars of records and signatures, the canonical form of headers and the keys are those of the `mail-auth` crate. The
//! checks themselves are written here, beside their RFCs: those of `mail-auth` read the system's clock and bring a resolver of
//! their own.

pub mod arc;
mod body;
pub mod dkim;
pub mod dmarc;
pub mod dns;
mod letter;
pub mod results;
pub mod spf;

pub use letter::Letter;

use dns::{Answers, Known, Missing};
use mail::Timestamp;

/// All checks of a message.
///
/// # Errors
/// What DNS must be asked for first: as much as can be known at once, so that it is asked side by side.
pub fn check(
    letter: &Letter<'_>,
    sender: spf::Sender<'_>,
    answers: &Answers,
    now: Timestamp,
) -> Known<results::Results> {
    let helo = spf::helo(sender, answers);
    let from = sender.from.map(|_| spf::mail_from(sender, answers)).transpose();
    let keys =
        answers.all(dkim::verify::questions(letter).chain(arc::questions(letter)).chain(dmarc::question(letter)));
    let (helo, from) = match (helo, from, keys) {
        (Ok(helo), Ok(from), Ok(())) => (helo, from),
        (helo, from, keys) => {
            let missing = [helo.err(), from.err(), keys.err()].into_iter().flatten().flat_map(|Missing(more)| more);
            return Err(Missing(missing.collect()));
        }
    };
    let dkim = dkim::verify(letter, answers, now)?;
    let arc = arc::verify(letter, answers, now)?;
    let dmarc = dmarc::check(letter, from.as_ref().unwrap_or(&helo), &dkim, answers)?;
    Ok(results::Results { helo, from, dkim, dmarc, arc })
}

/// What was found, by the words of RFC 8601 §2.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There was nothing to check.
    None,
    /// It is so.
    Pass,
    /// It is not so.
    Fail,
    /// SPF alone: it is probably not so.
    SoftFail,
    /// Nothing is claimed.
    Neutral,
    /// It is in order, but not as we take it.
    Policy,
    /// Nobody can tell now.
    TempError,
    /// What was published or signed makes no sense.
    PermError,
}

impl Verdict {
    /// As it stands in a header field.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::Neutral => "neutral",
            Self::Policy => "policy",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}
