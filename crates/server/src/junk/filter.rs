//! Whether a copy goes to Junk.

use std::sync::Arc;

use ::junk::{Clue, Judgement, Word, judge, words};
use async_trait::async_trait;
use mail::limits;
use message::header::Header;
use mta::accept::Identity;
use mta::accept::inspect::{Filing, Filter, Inspection, JUNK, LocalCopy};
use store::{Event, Store, Weighed, What};
use wire::smtp::server::Role;

/// Judges by the words that the account has taught, and by what others found.
pub struct ByWords(pub Arc<dyn Store>);

/// How much mail is junk whose sender has never written to the account before, as far as that says anything.
const FIRST_TIME: f64 = 0.65;

#[async_trait]
impl Filter for ByWords {
    async fn file(&self, copy: &LocalCopy<'_>, inspection: &Inspection<'_>, mut filing: Filing) -> Filing {
        let is_from_outside =
            inspection.client.role != Role::Submission && inspection.client.identity == Identity::Stranger;
        if !is_from_outside || filing.mailbox.is_some() {
            return filing;
        }
        let Some(judgement) = self.judge(copy, inspection).await else { return filing };
        if judgement.is_junk() {
            filing.mailbox = Some(JUNK.to_owned());
        }
        if !judgement.evidence.is_empty() {
            filing.events.push(Event::about(inspection.at, copy.recipient.address.to_string(), told(copy, &judgement)));
        }
        filing
    }
}

impl ByWords {
    /// None where nothing is known, or nobody can tell now.
    async fn judge(&self, copy: &LocalCopy<'_>, inspection: &Inspection<'_>) -> Option<Judgement> {
        let found = inspection.findings.clues.iter();
        let mut clues: Vec<Clue> = found.map(|clue| Clue { says: clue.says.clone(), likely: clue.likely }).collect();
        let taught = self.0.taught(copy.account);
        if taught.junk.min(taught.good) < limits::JUNK_LESSONS {
            return (!clues.is_empty()).then(|| judge(taught, &[], &[], &clues));
        }
        let message = inspection.received();
        let words = words(&message[..message.len().min(limits::READ_CHUNK)]);
        let keys = words.iter().map(|word| word.key).collect();
        let counts = match self.0.word_counts(copy.account, keys).await {
            Ok(counts) => counts,
            Err(error) => {
                tracing::warn!(%error, "words about junk can't be looked up");
                return None;
            }
        };
        // The author's address is among the words.
        let sender = sender(message).and_then(|sender| words.iter().position(|word| *word == sender));
        if sender.and_then(|at| counts.get(at)).is_some_and(|seen| seen.junk + seen.good == 0) {
            clues.push(Clue { says: "the sender is new to you".to_owned(), likely: FIRST_TIME });
        }
        Some(judge(taught, &words, &counts, &clues))
    }
}

/// The word that stands for the author.
fn sender(message: &[u8]) -> Option<Word> {
    let from = Header::of(message).from()?;
    let address = from.rsplit_once('<').map_or(from.as_str(), |(_, rest)| rest.split('>').next().unwrap_or_default());
    address.contains('@').then(|| Word::sender(address.trim()))
}

/// As the journey tells it.
fn told(copy: &LocalCopy<'_>, judgement: &Judgement) -> What {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 100")]
    let percent = |likely: f64| (likely * 100.0).round() as u8;
    let shown = judgement.evidence.iter().take(limits::JUNK_TOLD);
    What::Judged {
        account: copy.address.to_string(),
        junk: judgement.is_junk(),
        percent: percent(judgement.score),
        evidence: shown.map(|one| Weighed { what: one.what.clone(), percent: percent(one.likely) }).collect(),
    }
}
