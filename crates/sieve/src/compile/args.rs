//! Takes the arguments of one command or test apart, with a sentence for each that is missing, wrong or too many.

use std::collections::VecDeque;

use super::Compiler;
use crate::compare::{Comparator, MatchType, Matching, Relation};
use crate::lexer::{CompileError, Position};
use crate::parse::{Argument, Call, Value};
use crate::script::{AddressPart, Index, Name};
use crate::text::Text;

pub(super) struct Args {
    name: String,
    pub(super) at: Position,
    rest: VecDeque<Argument>,
}

/// The tags that most tests share.
#[derive(Default)]
pub(super) struct Shared {
    comparator: Option<Comparator>,
    kind: Option<MatchType>,
    part: Option<AddressPart>,
    index: Index,
}

impl Args {
    pub(super) fn of(call: &Call) -> Self {
        Self { name: call.name.clone(), at: call.at, rest: call.arguments.clone().into() }
    }

    pub(super) fn fail<T>(&self, at: Position, words: impl std::fmt::Display) -> Result<T, CompileError> {
        Err(CompileError::new(at, format!("“{}”: {words}", self.name)))
    }

    /// The next argument, if it is a tag.
    pub(super) fn tag(&mut self) -> Option<(String, Position)> {
        let Argument { at, value: Value::Tag(name) } = self.rest.front()? else { return None };
        let tag = (name.clone(), *at);
        self.rest.pop_front();
        Some(tag)
    }

    fn next(&mut self, what: &str) -> Result<Argument, CompileError> {
        match self.rest.pop_front() {
            Some(argument) => Ok(argument),
            None => self.fail(self.at, format_args!("{what} is missing")),
        }
    }

    pub(super) fn number(&mut self, what: &str) -> Result<u64, CompileError> {
        match self.next(what)? {
            Argument { value: Value::Number(number), .. } => Ok(number),
            other => self.fail(other.at, format_args!("{what} is a number")),
        }
    }

    /// One string, as it was written.
    pub(super) fn raw(&mut self, what: &str) -> Result<(Position, String), CompileError> {
        let argument = self.next(what)?;
        match argument.value {
            Value::Texts(mut texts) if texts.len() == 1 => Ok(texts.remove(0)),
            _ => self.fail(argument.at, format_args!("{what} is one string")),
        }
    }

    fn raws(&mut self, what: &str) -> Result<Vec<(Position, String)>, CompileError> {
        let argument = self.next(what)?;
        match argument.value {
            Value::Texts(texts) => Ok(texts),
            _ => self.fail(argument.at, format_args!("{what} is a string, or a list of strings")),
        }
    }

    pub(super) fn text(&mut self, compiler: &Compiler, what: &str) -> Result<Text, CompileError> {
        let (at, text) = self.raw(what)?;
        compiler.text(&text, at)
    }

    pub(super) fn texts(&mut self, compiler: &Compiler, what: &str) -> Result<Vec<Text>, CompileError> {
        self.raws(what)?.iter().map(|(at, text)| compiler.text(text, *at)).collect()
    }

    /// Strings in which no variable may be.
    pub(super) fn constants(
        &mut self,
        compiler: &Compiler,
        what: &str,
    ) -> Result<Vec<(Position, String)>, CompileError> {
        let mut constants = Vec::new();
        for (at, text) in self.raws(what)? {
            match compiler.text(&text, at)?.constant() {
                Some(text) => constants.push((at, text.to_owned())),
                None => return self.fail(at, format_args!("{what} can't have variables in it")),
            }
        }
        Ok(constants)
    }

    pub(super) fn constant(&mut self, compiler: &Compiler, what: &str) -> Result<(Position, String), CompileError> {
        let (at, text) = self.raw(what)?;
        match compiler.text(&text, at)?.constant() {
            Some(text) => Ok((at, text.to_owned())),
            None => self.fail(at, format_args!("{what} can't have variables in it")),
        }
    }

    /// Names of header fields; those that are constant are looked at now (RFC 5228 §2.4.2.2).
    pub(super) fn fields(&mut self, compiler: &Compiler) -> Result<Vec<Text>, CompileError> {
        let mut names = Vec::new();
        for (at, name) in self.raws("the name of a header field")? {
            let name = compiler.text(&name, at)?;
            if let Some(constant) = name.constant()
                && !is_field_name(constant)
            {
                return self.fail(at, format_args!("{constant:?} can't be the name of a header field"));
            }
            names.push(name);
        }
        Ok(names)
    }

    pub(super) fn variable(&mut self, compiler: &Compiler) -> Result<Name, CompileError> {
        let (at, name) = self.raw("the name of a variable")?;
        match compiler.variable(&name, at)? {
            Some(name) => Ok(name),
            None => self.fail(at, format_args!("{name:?} can't be the name of a variable")),
        }
    }

    pub(super) fn variables(&mut self, compiler: &Compiler) -> Result<Vec<Name>, CompileError> {
        let mut names = Vec::new();
        for (at, name) in self.raws("the name of a variable")? {
            match compiler.variable(&name, at)? {
                Some(name) => names.push(name),
                None => return self.fail(at, format_args!("{name:?} can't be the name of a variable")),
            }
        }
        Ok(names)
    }

    /// How many arguments that are no tags are left.
    pub(super) fn left(&self) -> usize {
        self.rest.iter().filter(|argument| !matches!(argument.value, Value::Tag(_))).count()
    }

    pub(super) fn end(&mut self) -> Result<(), CompileError> {
        match self.rest.pop_front() {
            None => Ok(()),
            Some(Argument { at, value: Value::Tag(name) }) => {
                self.fail(at, format_args!("“:{name}” stands in front of the other arguments, or not at all"))
            }
            Some(other) => self.fail(other.at, "one argument too many"),
        }
    }

    pub(super) fn unknown_tag<T>(&self, name: &str, at: Position) -> Result<T, CompileError> {
        self.fail(at, format_args!("it has no tag “:{name}”"))
    }

    /// The tags that most tests share; `parts`: also those for parts of addresses, `index`: also `:index` and `:last`.
    pub(super) fn shared(&mut self, compiler: &Compiler, parts: bool, index: bool) -> Result<Shared, CompileError> {
        let mut shared = Shared::default();
        while let Some((tag, at)) = self.tag() {
            if !self.share(compiler, &mut shared, (&tag, at), parts, index)? {
                return self.unknown_tag(&tag, at);
            }
        }
        Ok(shared)
    }

    /// Takes one such tag; `false`: it is none.
    pub(super) fn share(
        &mut self,
        compiler: &Compiler,
        shared: &mut Shared,
        (tag, at): (&str, Position),
        parts: bool,
        index: bool,
    ) -> Result<bool, CompileError> {
        let again = |is_set: bool| match is_set {
            true => self.fail(at, format_args!("“:{tag}” contradicts another tag before it")),
            false => Ok(()),
        };
        let part = match tag {
            "all" => Some(AddressPart::All),
            "localpart" => Some(AddressPart::LocalPart),
            "domain" => Some(AddressPart::Domain),
            "user" => Some(AddressPart::User),
            "detail" => Some(AddressPart::Detail),
            _ => None,
        };
        match (tag, part) {
            (_, Some(part)) if parts => {
                if matches!(part, AddressPart::User | AddressPart::Detail) {
                    compiler.need("subaddress", at, format_args!("“:{tag}”"))?;
                }
                again(shared.part.is_some())?;
                shared.part = Some(part);
            }
            ("index", _) if index => {
                compiler.need("index", at, "“:index”")?;
                let number = self.number("the number of the field")?;
                if number == 0 {
                    return self.fail(at, "fields are counted from 1");
                }
                shared.index.number = Some(number);
            }
            ("last", _) if index => shared.index.last = true,
            ("comparator", _) => {
                again(shared.comparator.is_some())?;
                let (at, name) = self.constant(compiler, "the name of a comparator")?;
                let Some(comparator) = Comparator::named(&name) else {
                    return self.fail(at, format_args!("there is no comparator {name:?}"));
                };
                // RFC 5228 §2.7.3: these two need no require.
                if !matches!(comparator, Comparator::Octet | Comparator::AsciiCasemap) {
                    compiler.need(&format!("comparator-{}", comparator.name()), at, format_args!("{name:?}"))?;
                }
                shared.comparator = Some(comparator);
            }
            ("is" | "contains" | "matches", _) => {
                again(shared.kind.is_some())?;
                shared.kind = Some(match tag {
                    "is" => MatchType::Is,
                    "contains" => MatchType::Contains,
                    _ => MatchType::Matches,
                });
            }
            ("value" | "count", _) => {
                compiler.need("relational", at, format_args!("“:{tag}”"))?;
                again(shared.kind.is_some())?;
                let (at, name) = self.constant(compiler, "the relation")?;
                let Some(relation) = Relation::named(&name.to_ascii_lowercase()) else {
                    return self.fail(at, format_args!("{name:?} is none of gt, ge, lt, le, eq and ne"));
                };
                shared.kind =
                    Some(if tag == "value" { MatchType::Value(relation) } else { MatchType::Count(relation) });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn matching(&self, shared: &Shared) -> Result<Matching, CompileError> {
        // RFC 5228 §2.7.1, §2.7.3
        let matching = Matching {
            comparator: shared.comparator.unwrap_or(Comparator::AsciiCasemap),
            kind: shared.kind.unwrap_or(MatchType::Is),
        };
        // RFC 4790 §9.1.1: numbers have no substrings.
        if matching.comparator == Comparator::AsciiNumeric
            && matches!(matching.kind, MatchType::Contains | MatchType::Matches)
        {
            return self.fail(self.at, "i;ascii-numeric can't be used with “:contains” or “:matches”");
        }
        if shared.index.last && shared.index.number.is_none() {
            return self.fail(self.at, "“:last” needs “:index”");
        }
        Ok(matching)
    }
}

impl Shared {
    pub(super) fn part(&self) -> AddressPart {
        self.part.unwrap_or(AddressPart::All)
    }

    pub(super) const fn index(&self) -> Index {
        self.index
    }
}

/// RFC 5322 §3.6.8 `field-name`
pub(crate) fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
}
