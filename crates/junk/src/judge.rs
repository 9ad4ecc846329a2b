//! What the words and all else come to.
//!
//! The sum is Robinson's and Fisher's (as SpamBayes has it): each word's share of junk, drawn towards the middle where it
//! was seen seldom; then how unlikely it is that so many words lean one way by chance, for junk and for good mail apart. A
//! message with as much evidence for one as for the other ends in the middle, and the middle is not junk.

use mail::limits;
use store::WordCounts;

use crate::words::Word;

/// Something else that is known of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Clue {
    /// A sentence's part: "the sender's domain says that it did not send this".
    pub says: String,
    /// How likely mail is junk of which nothing but this is known; 0 to 1, both excluded.
    pub likely: f64,
}

/// What counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The word, or what the clue says.
    pub what: String,
    /// How likely it makes junk, 0 to 1.
    pub likely: f64,
}

/// What it comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// 0: good; 1: junk; 0.5: nobody knows.
    pub score: f64,
    /// What counted, the strongest first; at most `limits::JUNK_EVIDENCE`.
    pub evidence: Vec<Evidence>,
    /// Whether the words counted: the account has taught enough of both.
    pub by_words: bool,
}

impl Judgement {
    /// Whether it goes to Junk.
    pub fn is_junk(&self) -> bool {
        self.score >= limits::JUNK_SCORE
    }
}

/// A word that was never seen is taken for this.
const UNKNOWN: f64 = 0.5;
/// How many times a word must have been seen to count as much as what is assumed of it.
const STRENGTH: f64 = 0.45;
/// What is so near to the middle says nothing.
const NEAR: f64 = 0.1;

/// Weighs a message. `taught`: how much the account has taught; `counts`: of each word, in their order.
pub fn judge(taught: WordCounts, words: &[Word], counts: &[WordCounts], clues: &[Clue]) -> Judgement {
    let by_words = taught.junk.min(taught.good) >= limits::JUNK_LESSONS;
    let mut evidence: Vec<Evidence> = Vec::new();
    if by_words {
        let weighed = words.iter().zip(counts).filter(|(_, counts)| counts.junk + counts.good > 0);
        evidence.extend(
            weighed.map(|(word, counts)| Evidence { what: word.text.clone(), likely: likely(taught, *counts) }),
        );
    }
    evidence.extend(clues.iter().map(|clue| Evidence { what: clue.says.clone(), likely: clue.likely }));
    evidence.retain(|one| (one.likely - UNKNOWN).abs() >= NEAR);
    let strength = |one: &Evidence| (one.likely - UNKNOWN).abs();
    evidence.sort_by(|a, b| strength(b).total_cmp(&strength(a)).then_with(|| a.what.cmp(&b.what)));
    evidence.truncate(limits::JUNK_EVIDENCE);
    Judgement { score: sum(&evidence), evidence, by_words }
}

/// A word's share of junk, as if as much of both had been taught; drawn to the middle where it was seen seldom.
fn likely(taught: WordCounts, counts: WordCounts) -> f64 {
    let share = |seen: u32, of: u32| (f64::from(seen) / f64::from(of.max(1))).min(1.0);
    let (junk, good) = (share(counts.junk, taught.junk), share(counts.good, taught.good));
    if junk + good == 0.0 {
        return UNKNOWN;
    }
    let seen = f64::from(counts.junk) + f64::from(counts.good);
    STRENGTH.mul_add(UNKNOWN, seen * (junk / (junk + good))) / (STRENGTH + seen)
}

fn sum(evidence: &[Evidence]) -> f64 {
    if evidence.is_empty() {
        return UNKNOWN;
    }
    // Never 0 or 1, whose logarithm is none.
    let clamped = evidence.iter().map(|one| one.likely.clamp(0.001, 0.999));
    let (junk, good) = clamped.fold((0.0, 0.0), |(junk, good), p: f64| (junk + (1.0 - p).ln(), good + p.ln()));
    let junk = 1.0 - by_chance(-2.0 * junk, evidence.len());
    let good = 1.0 - by_chance(-2.0 * good, evidence.len());
    f64::midpoint(junk - good, 1.0)
}

/// The chance that chi-square with twice `n` degrees of freedom is at least `x`.
fn by_chance(x: f64, n: usize) -> f64 {
    let m = x / 2.0;
    // exp(-m) is 0 for a large m, and so is the sum: there are at most `JUNK_EVIDENCE` terms.
    let (mut term, mut sum) = ((-m).exp(), (-m).exp());
    for i in 1..n {
        #[expect(clippy::cast_precision_loss, reason = "at most JUNK_EVIDENCE")]
        let i = i as f64;
        term *= m / i;
        sum += term;
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// What an account has taught.
    #[derive(Default)]
    struct Taught {
        all: WordCounts,
        words: HashMap<u64, WordCounts>,
    }

    impl Taught {
        fn teach(&mut self, message: &str, is_junk: bool) {
            let add = |counts: &mut WordCounts| if is_junk { counts.junk += 1 } else { counts.good += 1 };
            add(&mut self.all);
            words(message.as_bytes()).iter().for_each(|word| add(self.words.entry(word.key).or_default()));
        }

        fn judge(&self, message: &str, clues: &[Clue]) -> Judgement {
            let words = words(message.as_bytes());
            let counts: Vec<_> =
                words.iter().map(|word| self.words.get(&word.key).copied().unwrap_or_default()).collect();
            judge(self.all, &words, &counts, clues)
        }

        fn with(lessons: u32) -> Self {
            let mut taught = Self::default();
            for n in 0..lessons {
                taught.teach(
                    &format!("From: win{n}@casino.example\r\n\r\nYou have won a prize, claim the money now {n}"),
                    true,
                );
                taught.teach(
                    &format!("From: ann@work.example\r\n\r\nThe meeting is on Monday, see the agenda {n}"),
                    false,
                );
            }
            taught
        }
    }

    #[test]
    fn what_was_taught_is_known_again_and_explained() {
        let taught = Taught::with(limits::JUNK_LESSONS);
        let junk = taught.judge("From: x@casino.example\r\n\r\nclaim your prize money", &[]);
        assert!(junk.is_junk() && junk.score > 0.95, "{junk:?}");
        assert!(junk.evidence.iter().any(|one| one.what == "prize" && one.likely > 0.9), "{junk:?}");
        let good = taught.judge("From: ann@work.example\r\n\r\nagenda of the meeting", &[]);
        assert!(!good.is_junk() && good.score < 0.05, "{good:?}");
    }

    #[test]
    fn as_much_for_one_as_for_the_other_is_not_junk() {
        let taught = Taught::with(limits::JUNK_LESSONS);
        let both =
            taught.judge("Date: d\r\nMessage-ID: <a>\r\nTo: b\r\n\r\nprize money claim meeting agenda monday", &[]);
        assert!(!both.is_junk() && both.score > 0.2, "{both:?}");
    }

    /// `JUNK_LESSONS` of each, and one less.
    #[test]
    fn words_count_only_after_enough_lessons() {
        let message = "From: x@casino.example\r\n\r\nclaim your prize money";
        assert!(Taught::with(limits::JUNK_LESSONS).judge(message, &[]).by_words);
        let little = Taught::with(limits::JUNK_LESSONS - 1).judge(message, &[]);
        assert!(!little.by_words && little.evidence.is_empty() && !little.is_junk(), "{little:?}");
    }

    /// `JUNK_SCORE`: what nobody has taught is judged by clues alone, and only a strong one is enough.
    #[test]
    fn clues_count_without_words() {
        let clue = |likely: f64| Clue { says: "it says so".to_owned(), likely };
        let nobody = Taught::default();
        let judged = |clues: &[Clue]| nobody.judge("Subject: x\r\n\r\ny", clues);
        assert!(!judged(&[]).is_junk());
        assert!(!judged(&[clue(0.7)]).is_junk());
        assert!(judged(&[clue(limits::JUNK_SCORE)]).is_junk());
        assert!(!judged(&[clue(limits::JUNK_SCORE - 0.001)]).is_junk());
        assert!(judged(&[clue(0.8), clue(0.8), clue(0.8)]).is_junk());
    }

    /// `JUNK_EVIDENCE`, and one more.
    #[test]
    fn only_the_strongest_evidence_counts() {
        let clues = |count: usize| (0..count).map(|n| Clue { says: n.to_string(), likely: 0.3 }).collect::<Vec<_>>();
        let judged = |count: usize| Taught::default().judge("\r\n", &clues(count)).evidence.len();
        assert_eq!(judged(limits::JUNK_EVIDENCE), limits::JUNK_EVIDENCE);
        assert_eq!(judged(limits::JUNK_EVIDENCE + 1), limits::JUNK_EVIDENCE);
    }

    proptest! {
        #[test]
        fn a_score_is_between_nought_and_one(
            all in any::<(u32, u32)>(),
            each in proptest::collection::vec((any::<u32>(), any::<u32>()), 0..300),
            clues in proptest::collection::vec(0.0..=1.0, 0..5),
        ) {
            let (words, counts): (Vec<_>, Vec<_>) = each.iter().enumerate().map(|(n, (junk, good))| {
                (Word::sender(&n.to_string()), WordCounts { junk: *junk / 2, good: *good / 2 })
            }).unzip();
            let clues: Vec<_> = clues.into_iter().map(|likely| Clue { says: String::new(), likely }).collect();
            let judgement = judge(WordCounts { junk: all.0, good: all.1 }, &words, &counts, &clues);
            prop_assert!((0.0..=1.0).contains(&judgement.score), "{judgement:?}");
        }
    }
}
