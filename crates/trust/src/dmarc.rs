//! DMARC (RFC 7489, RFC 9989): whether what SPF and DKIM found is about the domain that people see in From, and what that
//! domain wants done where nothing is.
//!
//! Domains that belong together are found by walking up the DNS tree (RFC 9989 §4.10), not by a list of suffixes that would
//! have to be kept up to date.

use mail::limits;
use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::dmarc::{Alignment, Dmarc, Policy, Psd};

use crate::Verdict;
use crate::dkim::Checked;
use crate::dns::{Answers, Known, Question, Said, is_name};
use crate::letter::Letter;
use crate::spf;

/// What a domain wants done with mail that is not its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nothing.
    None,
    /// It is suspicious.
    Quarantine,
    /// It is not to be taken.
    Reject,
}

impl Wish {
    /// As in a record.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aligned {
    /// The result; `None`: the domain publishes nothing, or there is no one domain.
    pub verdict: Verdict,
    /// Why.
    pub why: &'static str,
    /// The domain in From; empty: there is no one such domain.
    pub domain: String,
    /// What that domain wants done where it is not passed.
    pub wish: Wish,
    /// SPF passed for a domain that belongs to it.
    pub spf: bool,
    /// The domain of a signature that passed and belongs to it.
    pub dkim: Option<String>,
}

/// A record, and where it was found.
type Found<'a> = (&'a str, Dmarc);

/// DNS can't say now.
struct Unknown;

/// Looks at what SPF (of MAIL FROM, or of HELO where that is null) and DKIM found.
///
/// # Errors
/// What DNS must be asked for first.
pub fn check(letter: &Letter<'_>, spf: &spf::Checked, dkim: &[Checked], answers: &Answers) -> Known<Aligned> {
    let mut out =
        Aligned { verdict: Verdict::None, why: "", domain: String::new(), wish: Wish::None, spf: false, dkim: None };
    let Some(domain) = letter.author_domain().filter(|domain| is_name(domain)) else {
        out.why = "From has no one domain";
        return Ok(out);
    };
    out.domain.clone_from(&domain);
    let policy = match policy(&domain, answers)? {
        Ok(Some(policy)) => policy,
        Ok(None) => return Ok(Aligned { why: "no policy is published", ..out }),
        Err(Unknown) => {
            return Ok(Aligned { verdict: Verdict::TempError, why: "the policy can't be looked up now", ..out });
        }
    };
    let (place, record) = policy;
    let Some(wish) = wish(&record, place == domain, &domain, answers)? else {
        return Ok(Aligned { why: "the published policy says nothing", ..out });
    };
    out.wish = wish;
    let belongs = |name: &str, how: Alignment| -> Known<Result<bool, Unknown>> {
        if name == domain || how == Alignment::Strict {
            return Ok(Ok(name == domain));
        }
        let Ok(found) = walk(&domain, answers)? else { return Ok(Err(Unknown)) };
        let ours = organization(&found, &domain);
        // What is not below it can't belong to it, whatever its own DNS says or does not: else a forger's would make all unsure.
        if name != ours && !name.strip_suffix(ours).is_some_and(|above| above.ends_with('.')) {
            return Ok(Ok(false));
        }
        Ok(walk(name, answers)?.map(|found| organization(&found, name) == ours))
    };
    let mut unsure = false;
    if matches!(spf.verdict, Verdict::Pass | Verdict::TempError) {
        match belongs(&spf.domain, record.aspf)? {
            Ok(true) if spf.verdict == Verdict::Pass => out.spf = true,
            Ok(false) => {}
            Ok(true) | Err(Unknown) => unsure = true,
        }
    }
    for signature in dkim.iter().filter(|one| matches!(one.verdict, Verdict::Pass | Verdict::TempError)) {
        match belongs(&signature.domain, record.adkim)? {
            Ok(true) if signature.verdict == Verdict::Pass => {
                out.dkim = Some(signature.domain.clone());
                break;
            }
            Ok(false) => {}
            Ok(true) | Err(Unknown) => unsure = true,
        }
    }
    (out.verdict, out.why) = match (out.spf || out.dkim.is_some(), unsure) {
        (true, _) => (Verdict::Pass, ""),
        // RFC 9989 §5.3.6: what can't be known is no failure.
        (false, true) => (Verdict::TempError, "what would pass can't be looked up now"),
        (false, false) => (Verdict::Fail, "neither SPF nor DKIM passed for the domain in From"),
    };
    Ok(out)
}

/// The policy that is needed in any case.
pub(crate) fn question(letter: &Letter<'_>) -> Option<Question> {
    letter.author_domain().filter(|domain| is_name(domain)).map(|domain| at(&domain))
}

/// The record that holds for a domain (RFC 9989 §4.10.1): its own, else its organization's, else the suffix's.
fn policy<'a>(domain: &'a str, answers: &Answers) -> Known<Result<Option<Found<'a>>, Unknown>> {
    match record_at(domain, answers)? {
        Ok(Some(record)) => return Ok(Ok(Some((domain, record)))),
        Ok(None) => answers.all(steps(domain).map(at))?,
        Err(Unknown) => return Ok(Err(Unknown)),
    }
    Ok(walk(domain, answers)?.map(|mut found| {
        let organization = organization(&found, domain);
        let place = found.iter().position(|(name, _)| *name == organization).or(found.len().checked_sub(1));
        place.map(|place| found.swap_remove(place))
    }))
}

/// What the record wants for this domain; `None`: it is no policy.
fn wish(record: &Dmarc, is_own: bool, domain: &str, answers: &Answers) -> Known<Option<Wish>> {
    if record.p == Policy::Unspecified {
        // RFC 9989 §4.10.1: who only asks for reports wants nothing done.
        return Ok((!record.rua.is_empty()).then_some(Wish::None));
    }
    let policy = if is_own {
        record.p
    } else if record.np != record.sp && !exists(domain, answers)? {
        record.np
    } else {
        record.sp
    };
    let wish = match policy {
        Policy::Reject => Wish::Reject,
        Policy::Quarantine => Wish::Quarantine,
        Policy::None | Policy::Unspecified => Wish::None,
    };
    // RFC 9989 §4.7: a domain that tests wants one step less.
    Ok(Some(match (record.t, wish) {
        (false, wish) => wish,
        (true, Wish::Reject) => Wish::Quarantine,
        (true, Wish::Quarantine | Wish::None) => Wish::None,
    }))
}

/// Whether there is such a name (RFC 8020); where nobody knows, there is.
fn exists(domain: &str, answers: &Answers) -> Known<bool> {
    Ok(*answers.get(Question::V4(domain.to_owned()))? != Said::NoName)
}

/// The records from a domain upwards, at most `limits::DMARC_STEPS` (RFC 9989 §4.10).
fn walk<'a>(domain: &'a str, answers: &Answers) -> Known<Result<Vec<Found<'a>>, Unknown>> {
    let mut found = Vec::new();
    for name in steps(domain) {
        match record_at(name, answers)? {
            Ok(Some(record)) => {
                let ends = record.psd != Psd::Default;
                found.push((name, record));
                if ends {
                    break;
                }
            }
            Ok(None) => {}
            Err(Unknown) => return Ok(Err(Unknown)),
        }
    }
    Ok(Ok(found))
}

fn at(name: &str) -> Question {
    Question::Txt(format!("_dmarc.{name}"))
}

/// The one record of a name.
fn record_at(name: &str, answers: &Answers) -> Known<Result<Option<Dmarc>, Unknown>> {
    let records = match answers.get(at(name))? {
        Said::Txt(records) => records,
        Said::Failed => return Ok(Err(Unknown)),
        _ => return Ok(Ok(None)),
    };
    let mut records = records.iter().filter_map(|record| Dmarc::parse(record).ok());
    // RFC 7489 §6.6.3: of several none counts.
    Ok(Ok(records.next().filter(|_| records.next().is_none())))
}

/// The names that are asked: the domain, then, seven labels at most, each one above it but for the top-level domain's parent.
fn steps(domain: &str) -> impl Iterator<Item = &str> {
    let labels = domain.split('.').count();
    let above = move |left: usize| domain.splitn(labels - left + 1, '.').last().unwrap_or(domain);
    let short = labels.min(limits::DMARC_STEPS);
    let rest = if labels > short { short - 1 } else { labels - 1 };
    std::iter::once(domain).chain((1..=rest).rev().map(above))
}

/// The domain under which those that belong together stand (RFC 9989 §4.10.2).
fn organization<'a>(found: &[Found<'a>], domain: &'a str) -> &'a str {
    for (name, record) in found {
        match record.psd {
            Psd::No => return name,
            // One below the suffix, unless the walk began there.
            Psd::Yes if *name != domain => {
                let depth = name.split('.').count() + 1;
                let skip = domain.split('.').count().saturating_sub(depth);
                return domain.splitn(skip + 1, '.').last().unwrap_or(domain);
            }
            Psd::Yes | Psd::Default => {}
        }
    }
    found.last().map_or(domain, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_takes_eight_steps() {
        let names = |domain| steps(domain).collect::<Vec<_>>();
        assert_eq!(names("a.mail.example.com"), ["a.mail.example.com", "mail.example.com", "example.com", "com"]);
        // `DMARC_STEPS`: eight labels are the last whose names are all asked but one.
        assert_eq!(names("1.2.3.4.5.6.7.8").len(), limits::DMARC_STEPS);
        let nine = names("0.1.2.3.4.5.6.7.8");
        assert_eq!(nine.len(), limits::DMARC_STEPS);
        assert_eq!(nine[..2], ["0.1.2.3.4.5.6.7.8", "2.3.4.5.6.7.8"]);
    }
}
