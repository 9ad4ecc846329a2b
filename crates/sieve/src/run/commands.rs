//! What commands do.

use mail::limits;

use super::fields::Fields;
use super::{Halt, Machine, Step, address_in};
use crate::compile::is_field_name;
use crate::lexer::Position;
use crate::outcome::{Action, Notice, Vacation};
use crate::script::{self, Command, FlagChange, Location, Modifier, Name, Statement};
use crate::text::Text;
use crate::uri::{self, Mailto};
use crate::world::Question;

impl Machine<'_> {
    pub(super) fn block(&mut self, block: &[Statement]) -> Step<()> {
        for statement in block {
            self.step(statement.at)?;
            self.command(statement)?;
        }
        Ok(())
    }

    fn command(&mut self, Statement { at, command }: &Statement) -> Step<()> {
        let at = *at;
        match command {
            Command::If(branches, otherwise) => {
                for (test, block) in branches {
                    if self.test(test)? {
                        return self.deeper(block);
                    }
                }
                self.deeper(otherwise)
            }
            Command::Stop => {
                self.tell(at, None, || "the script ends here".to_owned());
                Err(Halt::Stop)
            }
            Command::Return => Err(Halt::Return),
            Command::Keep { flags } => {
                let flags = self.flags_of(flags.as_deref(), at)?;
                let inbox = "INBOX".to_owned();
                self.act(at, Action::Store { mailbox: inbox, flags, create: false, instead_of: None })
            }
            Command::Discard => {
                self.cancelled = true;
                self.act(at, Action::Discard)
            }
            Command::FileInto { mailbox, copy, create, flags, special_use } => {
                let mailbox = self.expand(mailbox, at)?;
                let special_use = special_use.as_ref().map(|text| self.expand(text, at)).transpose()?;
                let flags = self.flags_of(flags.as_deref(), at)?;
                self.cancelled |= !copy;
                let action = self.place(&mailbox, special_use.as_deref(), *create, flags);
                self.act(at, action)
            }
            Command::Redirect { to, copy } => {
                let to = self.address(to, at)?;
                self.cancelled |= !copy;
                self.act(at, Action::Redirect { to })
            }
            Command::Reject { reason } => {
                let reason = self.expand(reason, at)?;
                self.cancelled = true;
                self.act(at, Action::Reject { reason })
            }
            Command::Set { name, modifiers, value } => {
                let value = modified(self.expand(value, at)?, modifiers);
                self.assign(name, value, at)
            }
            Command::Flags { how, variable, flags } => self.change_flags(*how, variable.as_ref(), flags, at),
            Command::Vacation(vacation) => self.vacation(vacation, at),
            Command::Notify(notify) => self.notify(notify, at),
            Command::AddHeader { last, name, value } => {
                let (name, value) = (self.expand(name, at)?, self.expand(value, at)?);
                if !is_field_name(&name) {
                    return self.fail(at, format!("{name:?} can't be the name of a header field"));
                }
                self.fields_added += 1;
                if self.fields_added > limits::SIEVE_ADDED {
                    return self.fail(at, format!("the script adds more than {} fields", limits::SIEVE_ADDED));
                }
                self.tell(at, None, || format!("the field {name} is added"));
                self.fields.add(&name, &value, *last);
                Ok(())
            }
            Command::DeleteHeader { index, matching, name, values } => {
                self.delete_header(at, *index, *matching, name, values)
            }
            Command::Include { location, once, optional, name } => self.include(at, *location, *once, *optional, name),
            Command::Global(names) => {
                for name in names {
                    self.frame.variables.remove(name);
                    self.frame.shared.insert(name.clone());
                }
                Ok(())
            }
            Command::Error(text) => {
                let words = self.expand(text, at)?;
                self.fail(at, words)
            }
            Command::Unknown(words) => self.fail(at, words.clone()),
        }
    }

    fn deeper(&mut self, block: &[Statement]) -> Step<()> {
        self.depth += 1;
        let result = self.block(block);
        self.depth -= 1;
        result
    }

    fn address(&mut self, text: &Text, at: Position) -> Step<mail::Address> {
        let text = self.expand(text, at)?;
        address_in(&text).or_else(|words| self.fail(at, words))
    }

    /// The flags that are given, else those of the internal variable (RFC 5232 §4).
    fn flags_of(&mut self, flags: Option<&[Text]>, at: Position) -> Step<Vec<String>> {
        match flags {
            None => Ok(self.flags.clone()),
            Some(flags) => {
                let mut list = Vec::new();
                add_flags(&mut list, &self.expand_all(flags, at)?);
                Ok(list)
            }
        }
    }

    fn change_flags(&mut self, how: FlagChange, variable: Option<&Name>, flags: &[Text], at: Position) -> Step<()> {
        let flags = self.expand_all(flags, at)?;
        let mut list = match (how, variable) {
            (FlagChange::Set, _) => Vec::new(),
            (_, None) => std::mem::take(&mut self.flags),
            (_, Some(name)) => self.variable(name).split_ascii_whitespace().map(str::to_owned).collect(),
        };
        if how == FlagChange::Remove {
            let gone: Vec<&str> = flags.iter().flat_map(|flags| flags.split_ascii_whitespace()).collect();
            list.retain(|flag| !gone.iter().any(|gone| gone.eq_ignore_ascii_case(flag)));
        } else {
            add_flags(&mut list, &flags);
        }
        match variable {
            None => self.flags = list,
            Some(name) => self.assign(name, list.join(" "), at)?,
        }
        Ok(())
    }

    fn vacation(&mut self, vacation: &script::Vacation, at: Position) -> Step<()> {
        let expand =
            |machine: &mut Self, text: &Option<Text>| text.as_ref().map(|text| machine.expand(text, at)).transpose();
        let from = vacation.from.as_ref().map(|from| self.address(from, at)).transpose()?;
        let action = Vacation {
            seconds: vacation.seconds,
            subject: expand(self, &vacation.subject)?,
            from,
            addresses: self.expand_all(&vacation.addresses, at)?,
            mime: vacation.mime,
            handle: expand(self, &vacation.handle)?,
            reason: self.expand(&vacation.reason, at)?,
        };
        self.act(at, Action::Vacation(action))
    }

    fn notify(&mut self, notify: &script::Notify, at: Position) -> Step<()> {
        let method = self.expand(&notify.method, at)?;
        let mailto = Mailto::parse(&method).or_else(|words| self.fail(at, words))?;
        let from = notify.from.as_ref().map(|from| self.address(from, at)).transpose()?;
        let importance = match &notify.importance {
            None => 2,
            Some(text) => match self.expand(text, at)?.as_str() {
                "1" => 1,
                "3" => 3,
                _ => 2,
            },
        };
        let message = notify.message.as_ref().map(|text| self.expand(text, at)).transpose()?;
        self.act(at, Action::Notify(Notice { mailto, from, importance, message }))
    }

    fn delete_header(
        &mut self,
        at: Position,
        index: script::Index,
        matching: crate::compare::Matching,
        name: &Text,
        values: &[Text],
    ) -> Step<()> {
        let name = self.expand(name, at)?;
        // RFC 5293 §6: silently, so that a script works on every server.
        if Fields::is_protected(&name) {
            self.tell(at, None, || format!("the field {name} stays: it shows the way of the message"));
            return Ok(());
        }
        let keys = self.expand_all(values, at)?;
        self.look_through(at)?;
        let found = self.fields.values(&name);
        let mut numbers: Vec<usize> = (0..found.len()).collect();
        if let Some(number) = index.number {
            // RFC 5293 §5: the index first, then what it says.
            let number = usize::try_from(number - 1).unwrap_or(usize::MAX);
            let place = if index.last { found.len().checked_sub(number.saturating_add(1)) } else { Some(number) };
            numbers.retain(|n| Some(*n) == place);
        }
        if !keys.is_empty() {
            let mut kept = Vec::new();
            for number in numbers {
                for key in &keys {
                    let hit = matching.counts(1, key) || {
                        let found = matching.finds(&found[number], key, &mut self.work);
                        self.worked(found, at)?.is_some()
                    };
                    if hit {
                        kept.push(number);
                        break;
                    }
                }
            }
            numbers = kept;
        }
        self.tell(at, None, || format!("{} fields {name} are taken away", numbers.len()));
        self.fields.remove(&name, &numbers);
        Ok(())
    }

    /// RFC 6609 §3.2
    fn include(&mut self, at: Position, location: Location, once: bool, optional: bool, name: &str) -> Step<()> {
        let place = (location, name.to_owned());
        if once && self.included.contains(&place) {
            return Ok(());
        }
        if self.includes >= limits::SIEVE_INCLUDES {
            return self.fail(at, format!("scripts include each other more than {} deep", limits::SIEVE_INCLUDES));
        }
        let script = match self.world.scripts.get(&place) {
            None => return Err(Question::Script(place.0, place.1).into()),
            Some(None) if optional => return Ok(()),
            Some(None) => return self.fail(at, format!("there is no {location} script “{name}” to include")),
            Some(Some(Err(why))) => return self.fail(at, format!("the included script “{name}”: {why}")),
            Some(Some(Ok(script))) => script.clone(),
        };
        self.included.insert(place);
        self.tell(at, None, || format!("goes on in the {location} script “{name}”"));
        let outer = (std::mem::take(&mut self.frame), std::mem::replace(&mut self.script, name.to_owned()));
        self.includes += 1;
        let result = self.deeper(&script.commands);
        self.includes -= 1;
        // What failed is told with the name of the script in which it did.
        if !matches!(result, Err(Halt::Failed(..))) {
            (self.frame, self.script) = outer;
        }
        match result {
            Err(Halt::Return) => Ok(()),
            result => result,
        }
    }
}

/// Adds flags, each of which may be several (RFC 5232 §3), none twice.
pub(super) fn add_flags(list: &mut Vec<String>, flags: &[String]) {
    for flag in flags.iter().flat_map(|flags| flags.split_ascii_whitespace()) {
        if list.len() < limits::SIEVE_ADDED && !list.iter().any(|one| one.eq_ignore_ascii_case(flag)) {
            list.push(flag.to_owned());
        }
    }
}

fn modified(mut value: String, modifiers: &[Modifier]) -> String {
    for modifier in modifiers {
        value = match modifier {
            Modifier::Lower => value.to_lowercase(),
            Modifier::Upper => value.to_uppercase(),
            Modifier::LowerFirst => first(&value, |c| c.to_lowercase().collect()),
            Modifier::UpperFirst => first(&value, |c| c.to_uppercase().collect()),
            Modifier::QuoteWildcard => {
                let quote = |c: char| if "*?\\".contains(c) { vec!['\\', c] } else { vec![c] };
                value.chars().flat_map(quote).collect()
            }
            Modifier::EncodeUrl => uri::encode(&value),
            Modifier::Length => value.chars().count().to_string(),
        };
    }
    value
}

fn first(value: &str, change: impl Fn(char) -> String) -> String {
    let mut chars = value.chars();
    chars.next().map(|c| change(c) + chars.as_str()).unwrap_or_default()
}
