//! Faults that a test asks for: what the server does instead of answering from its zones.
//!
//! Does: keeps, per name and type, the steps that the next questions meet. Does not: answer. Steps come in
//! through [`Script::next`] and [`Script::always`]; the server takes one for every question.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use hickory_proto::rr::{Name, RData, RecordType};

/// What one question meets.
#[derive(Clone, Debug)]
pub enum Step {
    /// The zones' answer.
    Normal,
    /// These records instead (none: NODATA): answers that change.
    Records(Vec<RData>),
    /// The name does not exist.
    NxDomain,
    /// SERVFAIL.
    ServFail,
    /// REFUSED.
    Refused,
    /// No answer at all.
    Silence,
    /// On UDP an empty answer with the TC bit, so that the client comes back on TCP; there, normal.
    Truncated,
    /// The zones' answer, after this time.
    Slow(Duration),
}

/// Steps by name and type.
#[derive(Clone, Debug, Default)]
pub struct Script {
    once: HashMap<(Name, Option<RecordType>), VecDeque<Step>>,
    always: HashMap<(Name, Option<RecordType>), Step>,
}

impl Script {
    /// The next questions for `owner` (of this type, or of all) meet these steps, one each, then what is normal.
    pub fn next(&mut self, owner: &str, of: Option<RecordType>, steps: impl IntoIterator<Item = Step>) {
        self.once.entry((super::name(owner), of)).or_default().extend(steps);
    }

    /// All questions for `owner` meet this step.
    pub fn always(&mut self, owner: &str, of: Option<RecordType>, step: Step) {
        self.always.insert((super::name(owner), of), step);
    }

    /// Forgets all steps.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes the step for a question; the more precise ones come first.
    pub(super) fn take(&mut self, owner: &Name, of: RecordType) -> Step {
        let mut owner = owner.to_lowercase();
        owner.set_fqdn(true);
        for key in [(owner.clone(), Some(of)), (owner.clone(), None)] {
            if let Some(step) = self.once.get_mut(&key).and_then(VecDeque::pop_front) {
                return step;
            }
        }
        let always = self.always.get(&(owner.clone(), Some(of))).or_else(|| self.always.get(&(owner, None)));
        always.cloned().unwrap_or(Step::Normal)
    }
}
