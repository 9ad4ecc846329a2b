//! Runs scripts on a message.
//!
//! A [`Machine`] is the state of one run; it lives in [`run`] only. Commands are in `commands`, tests in `conditions`, what is done with
//! the message in `actions`, its header in `fields`.

mod actions;
mod commands;
mod conditions;
mod date;
mod fields;

use std::collections::{BTreeMap, BTreeSet};

use mail::{Address, limits};

pub(crate) use date::zone;

use crate::compare::{TooMuch, Work};
use crate::explain::Line;
use crate::lexer::Position;
use crate::message::Message;
use crate::outcome::{Action, Outcome};
use crate::script::{Location, Name, Script};
use crate::text::{Piece, Text};
use crate::world::{Question, World};
use fields::Fields;

/// Why a run does not go on with the next command.
enum Halt {
    Stop,
    Return,
    Failed(Position, String),
    Ask(Question),
}

type Step<T> = Result<T, Halt>;

/// The variables of one script.
#[derive(Default)]
struct Frame {
    variables: BTreeMap<String, String>,
    /// Names that mean global variables here (RFC 6609 §3.4.1).
    shared: BTreeSet<String>,
    /// What the wildcards of the last match stand for.
    matched: Vec<String>,
}

struct Machine<'a> {
    message: &'a dyn Message,
    world: &'a World,
    explain: bool,
    script: String,
    fields: Fields,
    frame: Frame,
    globals: BTreeMap<String, String>,
    /// The internal variable of imap4flags.
    flags: Vec<String>,
    steps: usize,
    work: Work,
    depth: usize,
    included: BTreeSet<(Location, String)>,
    includes: usize,
    marks: usize,
    fields_added: usize,
    /// Something took the place of the implicit keep (RFC 5228 §2.10.2).
    cancelled: bool,
    out: Outcome,
}

/// Runs scripts, each with its name, on a message: the next one where the one before leaves the message to be kept.
///
/// Whatever is wrong in a run, the answer says so and keeps the message (RFC 5228 §2.10.6).
///
/// # Errors
/// Something has to be looked up first: put the answer into the world, and run again.
pub fn run(
    scripts: &[(&str, &Script)],
    message: &dyn Message,
    world: &World,
    explain: bool,
) -> Result<Outcome, Question> {
    let mut machine = Machine {
        message,
        world,
        explain,
        script: String::new(),
        fields: Fields::of(message.header()),
        frame: Frame::default(),
        globals: BTreeMap::new(),
        flags: Vec::new(),
        steps: limits::SIEVE_STEPS,
        work: Work(limits::SIEVE_WORK),
        depth: 0,
        included: BTreeSet::new(),
        includes: 0,
        marks: 0,
        fields_added: 0,
        cancelled: false,
        out: Outcome::default(),
    };
    for (name, script) in scripts {
        machine.leave_to_the_next();
        machine.frame = Frame::default();
        (*name).clone_into(&mut machine.script);
        match machine.block(&script.commands) {
            Ok(()) | Err(Halt::Stop | Halt::Return) => {}
            Err(Halt::Ask(question)) => return Err(question),
            Err(Halt::Failed(at, words)) => return Ok(machine.failed(at, words)),
        }
        if !machine.is_kept() {
            break;
        }
    }
    Ok(machine.end())
}

impl Machine<'_> {
    /// Whether the message stays where it would have gone without any script.
    fn is_kept(&self) -> bool {
        !self.cancelled || self.kept().is_some()
    }

    /// What the script before kept is for this one to decide about.
    fn leave_to_the_next(&mut self) {
        if let Some(place) = self.kept() {
            if let Action::Store { flags, .. } = self.out.done.remove(place).action {
                self.flags = flags;
            }
            self.cancelled = false;
        }
    }

    fn end(mut self) -> Outcome {
        if !self.cancelled && self.kept().is_none() {
            let flags = std::mem::take(&mut self.flags);
            self.script.clear();
            self.do_keep(0, flags);
        }
        self.out
    }

    fn failed(mut self, at: Position, words: String) -> Outcome {
        let line = Line { script: self.script.clone(), line: at.line, depth: self.depth, truth: None, words };
        self.out.explanation.push(line.clone());
        self.out.error = Some(line);
        self.out.done.clear();
        self.out.headers.clear();
        self.out.seen.clear();
        self.script.clear();
        self.fields = Fields::of(self.message.header());
        self.do_keep(0, Vec::new());
        self.out
    }

    fn fail<T>(&self, at: Position, words: impl Into<String>) -> Step<T> {
        Err(Halt::Failed(at, words.into()))
    }

    /// A command or a test more.
    fn step(&mut self, at: Position) -> Step<()> {
        match self.steps.checked_sub(1) {
            Some(left) => self.steps = left,
            None => return self.fail(at, format!("the script takes more than {} steps", limits::SIEVE_STEPS)),
        }
        Ok(())
    }

    fn worked<T>(&self, result: Result<T, TooMuch>, at: Position) -> Step<T> {
        result.map_err(|TooMuch| Halt::Failed(at, "the script compares more than a run may".to_owned()))
    }

    /// Adds a line to the explanation.
    fn tell(&mut self, at: Position, truth: Option<bool>, words: impl FnOnce() -> String) {
        if self.explain {
            let (script, depth) = (self.script.clone(), self.depth);
            self.out.explanation.push(Line { script, line: at.line, depth, truth, words: words() });
        }
    }

    /// A string with the values of its variables (RFC 5229 §3); an unknown one is empty.
    fn expand(&mut self, text: &Text, at: Position) -> Step<String> {
        if let Some(constant) = text.constant() {
            let taken = self.work.take(constant.len());
            self.worked(taken, at)?;
            return Ok(constant.to_owned());
        }
        let mut out = String::new();
        for piece in &text.0 {
            let words = match piece {
                Piece::Words(words) => words.as_str(),
                Piece::Matched(number) => self.frame.matched.get(*number).map_or("", String::as_str),
                Piece::Variable(name) => self.variable(name),
            };
            out.push_str(words);
            if out.len() > limits::SIEVE_STRING_LEN {
                return self.fail(at, format!("a string grows over {} octets", limits::SIEVE_STRING_LEN));
            }
        }
        let taken = self.work.take(out.len());
        self.worked(taken, at)?;
        Ok(out)
    }

    fn expand_all(&mut self, texts: &[Text], at: Position) -> Step<Vec<String>> {
        texts.iter().map(|text| self.expand(text, at)).collect()
    }

    fn variable(&self, name: &Name) -> &str {
        let found = match name {
            Name::Local(name) if !self.frame.shared.contains(name) => self.frame.variables.get(name),
            Name::Local(name) | Name::Global(name) => self.globals.get(name),
        };
        found.map_or("", String::as_str)
    }

    fn assign(&mut self, name: &Name, mut value: String, at: Position) -> Step<()> {
        // RFC 5229 §6: longer ones are cut.
        if value.len() > limits::SIEVE_VARIABLE_LEN {
            let end = (0..=limits::SIEVE_VARIABLE_LEN).rev().find(|end| value.is_char_boundary(*end));
            value.truncate(end.unwrap_or_default());
        }
        let (variables, name) = match name {
            Name::Local(name) if !self.frame.shared.contains(name) => (&mut self.frame.variables, name),
            Name::Local(name) | Name::Global(name) => (&mut self.globals, name),
        };
        if !variables.contains_key(name) && variables.len() >= limits::SIEVE_VARIABLES {
            return self.fail(at, format!("there are more than {} variables", limits::SIEVE_VARIABLES));
        }
        variables.insert(name.clone(), value);
        Ok(())
    }
}

/// The address of `redirect` and `:from` (RFC 5228 §2.4.2.3): with or without a name before it.
pub(crate) fn address_in(text: &str) -> Result<Address, String> {
    let parsed = wire::address::mailbox(text.trim());
    if parsed.is_err() && text.contains('<') {
        let found: Vec<_> = message::envelope::addresses(text.as_bytes()).into_iter().collect();
        if let [one] = found.as_slice()
            && let (Some(local), Some(host)) = (one.mailbox.as_deref(), one.host.as_deref())
            && let (Ok(local), Ok(host)) = (std::str::from_utf8(local), std::str::from_utf8(host))
            && let Ok(domain) = wire::address::domain(host)
            && let Ok(address) = Address::new(local, domain)
        {
            return Ok(address);
        }
    }
    parsed.map_err(|why| format!("“{text}” is no address: {why}"))
}
