//! What is done with the message, and what goes together (RFC 5228 §2.10).

use mail::limits;

use super::{Halt, Machine, Step};
use crate::lexer::Position;
use crate::outcome::{Action, Done};

const INBOX: &str = "INBOX";

impl Machine<'_> {
    /// Where an explicit keep stands among what is done.
    pub(super) fn kept(&self) -> Option<usize> {
        self.out.done.iter().position(
            |done| matches!(&done.action, Action::Store { mailbox, instead_of: None, .. } if mailbox == INBOX),
        )
    }

    pub(super) fn do_keep(&mut self, line: u32, flags: Vec<String>) {
        let action = Action::Store { mailbox: INBOX.to_owned(), flags, create: false, instead_of: None };
        self.put(line, action);
    }

    /// Notes an action with the header as it is now.
    fn put(&mut self, line: u32, action: Action) {
        if let Some(header) = self.fields.take_changed() {
            self.out.headers.push(header);
        }
        let version = if self.fields.is_edited() { self.out.headers.len() } else { 0 };
        self.out.done.push(Done { script: self.script.clone(), line, action, version });
    }

    /// An action of the script.
    pub(super) fn act(&mut self, at: Position, action: Action) -> Step<()> {
        self.check(at, &action)?;
        self.tell(at, None, || action.words());
        // RFC 5228 §2.10.3: nothing is done twice.
        match &action {
            Action::Store { mailbox, flags, .. } => {
                let same = self.out.done.iter_mut().find_map(|done| match &mut done.action {
                    Action::Store { mailbox: other, flags, .. } if other == mailbox => Some(flags),
                    _ => None,
                });
                if let Some(known) = same {
                    let new = flags.iter().filter(|flag| !known.iter().any(|one| one.eq_ignore_ascii_case(flag)));
                    let new: Vec<String> = new.cloned().collect();
                    known.extend(new);
                    return Ok(());
                }
            }
            Action::Redirect { to } => {
                let same = |done: &Done| matches!(&done.action, Action::Redirect { to: other } if other.folded() == to.folded());
                if self.out.done.iter().any(same) {
                    return Ok(());
                }
            }
            Action::Discard if self.out.done.iter().any(|done| done.action == Action::Discard) => return Ok(()),
            _ => {}
        }
        if self.out.done.len() >= limits::SIEVE_ACTIONS {
            return self.fail(at, format!("the script does more than {} things", limits::SIEVE_ACTIONS));
        }
        self.put(at.line, action);
        Ok(())
    }

    fn check(&self, at: Position, action: &Action) -> Step<()> {
        let before = |is: fn(&Action) -> bool| self.out.done.iter().any(|done| is(&done.action));
        let is_reject = |action: &Action| matches!(action, Action::Reject { .. });
        let count = |is: fn(&Action) -> bool| self.out.done.iter().filter(|done| is(&done.action)).count();
        match action {
            // RFC 5429 §2.3: who rejects a message has not taken it.
            Action::Reject { .. } if before(|action| !matches!(action, Action::Notify(_))) => {
                self.fail(at, "the message can't be rejected: something else is done with it already")
            }
            Action::Store { .. } | Action::Redirect { .. } | Action::Vacation(_) | Action::Discard
                if before(is_reject) =>
            {
                self.fail(at, "the message is rejected already: nothing else can be done with it")
            }
            // RFC 5230 §4.7: once in a run.
            Action::Vacation(_) if before(|action| matches!(action, Action::Vacation(_))) => {
                self.fail(at, "“vacation” may be met once only")
            }
            Action::Redirect { .. }
                if count(|action| matches!(action, Action::Redirect { .. })) >= limits::SIEVE_REDIRECTS =>
            {
                self.fail(at, format!("the message is sent on to more than {} addresses", limits::SIEVE_REDIRECTS))
            }
            Action::Notify(_) if count(|action| matches!(action, Action::Notify(_))) >= limits::SIEVE_NOTICES => {
                self.fail(at, format!("the script sends more than {} notices", limits::SIEVE_NOTICES))
            }
            _ => Ok(()),
        }
    }

    /// The mailbox that `fileinto` means, and what to do where it does not exist.
    pub(super) fn place(&self, wanted: &str, special_use: Option<&str>, create: bool, flags: Vec<String>) -> Action {
        let names = &self.world.mailboxes;
        // RFC 8579 §4: the one with the special use, else the one with the name.
        let special = special_use.and_then(|wanted| {
            let is = |one: &&crate::Mailbox| one.special_use.as_deref().is_some_and(|u| u.eq_ignore_ascii_case(wanted));
            names.iter().find(is)
        });
        if let Some(found) = special {
            return Action::Store { mailbox: found.name.clone(), flags, create: false, instead_of: None };
        }
        let name = canonical(wanted);
        let exists = name == INBOX || self.world.has_mailbox(&name);
        if exists || create {
            return Action::Store { mailbox: name, flags, create: !exists, instead_of: None };
        }
        // Nothing is lost because of a name.
        Action::Store { mailbox: INBOX.to_owned(), flags, create: false, instead_of: Some(name) }
    }
}

/// INBOX is INBOX in any case (RFC 3501 §5.1).
pub(super) fn canonical(name: &str) -> String {
    if name.eq_ignore_ascii_case(INBOX) { INBOX.to_owned() } else { name.to_owned() }
}

impl From<crate::Question> for Halt {
    fn from(question: crate::Question) -> Self {
        Self::Ask(question)
    }
}
