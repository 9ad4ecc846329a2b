//! What tests find, and why.

use mail::{ReversePath, limits};
use message::date::DateTime;

use super::date;
use super::{Machine, Step};
use crate::compare::{MatchType, Matching};
use crate::lexer::Position;
use crate::message::Shown;
use crate::outcome::one_line;
use crate::script::{AddressPart, BodyPart, Duplicate, Index, Test, TestKind, Zone};
use crate::text::Text;
use crate::uri::Mailto;
use crate::world::{Question, Seen};

/// Whether a test is true, and why.
type Found = (bool, String);

impl Machine<'_> {
    pub(super) fn test(&mut self, test: &Test) -> Step<bool> {
        let at = test.at;
        self.step(at)?;
        match &test.kind {
            TestKind::Not(inner) => {
                let place = self.open(at, "not");
                let inner = self.inner(inner)?;
                Ok(self.close(place, !inner))
            }
            TestKind::AllOf(tests) => {
                let place = self.open(at, "all of these");
                for test in tests {
                    if !self.inner(test)? {
                        return Ok(self.close(place, false));
                    }
                }
                Ok(self.close(place, true))
            }
            TestKind::AnyOf(tests) => {
                let place = self.open(at, "any of these");
                for test in tests {
                    if self.inner(test)? {
                        return Ok(self.close(place, true));
                    }
                }
                Ok(self.close(place, false))
            }
            kind => {
                let (truth, why) = self.simple(kind, at)?;
                self.tell(at, Some(truth), || why);
                Ok(truth)
            }
        }
    }

    /// A line whose truth comes after those of the tests in it.
    fn open(&mut self, at: Position, words: &str) -> usize {
        let place = self.out.explanation.0.len();
        self.tell(at, Some(false), || words.to_owned());
        place
    }

    fn close(&mut self, place: usize, truth: bool) -> bool {
        if let Some(line) = self.out.explanation.0.get_mut(place) {
            line.truth = Some(truth);
        }
        truth
    }

    fn inner(&mut self, test: &Test) -> Step<bool> {
        self.depth += 1;
        let truth = self.test(test);
        self.depth -= 1;
        truth
    }

    fn simple(&mut self, kind: &TestKind, at: Position) -> Step<Found> {
        match kind {
            TestKind::True => Ok((true, "always".to_owned())),
            TestKind::False => Ok((false, "never".to_owned())),
            TestKind::Size { over, limit } => {
                let size = self.message.size();
                let truth = if *over { size > *limit } else { size < *limit };
                Ok((truth, format!("the message has {size} octets")))
            }
            TestKind::Exists(names) => {
                for name in self.expand_all(names, at)? {
                    self.look_through(at)?;
                    if !self.fields.has(&name) {
                        return Ok((false, format!("there is no field {name}")));
                    }
                }
                Ok((true, "there are such fields".to_owned()))
            }
            TestKind::Header { index, matching, names, keys } => {
                let mut values = Vec::new();
                for name in self.expand_all(names, at)? {
                    self.look_through(at)?;
                    let found = pick(self.fields.values(&name), *index);
                    values.extend(found.into_iter().map(|value| (name.clone(), value)));
                }
                self.find(*matching, &values, keys, at)
            }
            TestKind::Address { index, part, matching, names, keys } => {
                let mut values = Vec::new();
                for name in self.expand_all(names, at)? {
                    self.look_through(at)?;
                    let fields: Vec<Vec<u8>> = self.fields.raw(&name).map(<[u8]>::to_vec).collect();
                    for field in pick(fields, *index) {
                        let found = message::envelope::addresses(&field);
                        let ends = found.iter().filter(|one| one.address().is_some()).filter_map(|one| {
                            let text = |raw: &[u8]| String::from_utf8_lossy(raw).into_owned();
                            Some((text(one.mailbox.as_deref()?), text(one.host.as_deref()?)))
                        });
                        values.extend(ends.filter_map(|(local, host)| Some((name.clone(), of(*part, &local, &host)?))));
                    }
                }
                self.find(*matching, &values, keys, at)
            }
            TestKind::Envelope { part, matching, names, keys } => {
                let values: Vec<_> = names
                    .iter()
                    .filter_map(|name| Some((format!("the envelope's {name}"), self.envelope(name, *part)?)))
                    .collect();
                self.find(*matching, &values, keys, at)
            }
            TestKind::Body { part, matching, keys } => {
                let shown = match part {
                    BodyPart::Raw => self.message.body(Shown::Raw),
                    BodyPart::Text => self.message.body(Shown::Text),
                    BodyPart::Content(types) => {
                        let types = self.expand_all(types, at)?;
                        self.message.body(Shown::Types(&types))
                    }
                };
                // Decoding is work too.
                let size = shown.iter().map(String::len).sum::<usize>() + self.message.header().len();
                let taken = self
                    .work
                    .take(size.max(usize::try_from(self.message.size()).unwrap_or(0).min(limits::SIEVE_BODY_LEN)));
                self.worked(taken, at)?;
                let values: Vec<_> = shown.into_iter().map(|text| ("the body".to_owned(), text)).collect();
                self.find(*matching, &values, keys, at)
            }
            TestKind::Text { matching, sources, keys } => {
                let mut values = Vec::new();
                for value in self.expand_all(sources, at)? {
                    // RFC 5229 §5: :count counts those that are not empty.
                    if !(matches!(matching.kind, MatchType::Count(_)) && value.is_empty()) {
                        values.push(("the string".to_owned(), value));
                    }
                }
                self.find(*matching, &values, keys, at)
            }
            TestKind::Date { index, zone, matching, field, part, keys } => {
                let values = self.date(*index, zone, field.as_ref(), part, at)?;
                self.find(*matching, &values, keys, at)
            }
            TestKind::HasFlag { matching, variables, keys } => self.has_flag(*matching, variables, keys, at),
            TestKind::MailboxExists(names) => {
                for name in self.expand_all(names, at)? {
                    self.look_through_mailboxes(at)?;
                    let name = super::actions::canonical(&name);
                    if !self.world.has_mailbox(&name) {
                        return Ok((false, format!("there is no mailbox {name}")));
                    }
                }
                Ok((true, "there are such mailboxes".to_owned()))
            }
            TestKind::SpecialUseExists { mailbox, uses } => {
                let mailbox = mailbox.as_ref().map(|text| self.expand(text, at)).transpose()?;
                for wanted in self.expand_all(uses, at)? {
                    self.look_through_mailboxes(at)?;
                    let is = |one: &crate::Mailbox| {
                        one.special_use.as_deref().is_some_and(|special| special.eq_ignore_ascii_case(&wanted))
                            && mailbox.as_ref().is_none_or(|name| one.name == super::actions::canonical(name))
                    };
                    if !self.world.mailboxes.iter().any(is) {
                        return Ok((false, format!("no such mailbox is for {wanted}")));
                    }
                }
                Ok((true, "there are such mailboxes".to_owned()))
            }
            TestKind::Duplicate(duplicate) => self.duplicate(duplicate, at),
            TestKind::Environment { matching, item, keys } => {
                let item = self.expand(item, at)?.to_ascii_lowercase();
                let value = self.world.environment.get(&item).cloned();
                let values: Vec<_> = value.into_iter().map(|value| (item.clone(), value)).collect();
                self.find(*matching, &values, keys, at)
            }
            TestKind::IHave(names) => match names.iter().find(|name| !crate::capability::is_known(name)) {
                Some(name) => Ok((false, format!("this server does not know {name}"))),
                None => Ok((true, "this server knows it".to_owned())),
            },
            TestKind::ValidNotify(uris) => {
                for uri in self.expand_all(uris, at)? {
                    if let Err(why) = Mailto::parse(&uri) {
                        return Ok((false, why));
                    }
                }
                Ok((true, "a notice can go there".to_owned()))
            }
            TestKind::NotifyCapability { matching, uri, capability, keys } => {
                let (uri, capability) = (self.expand(uri, at)?, self.expand(capability, at)?);
                // RFC 5436 §2.2: nobody knows whether somebody reads his mail now.
                let known = Mailto::parse(&uri).is_ok() && capability.eq_ignore_ascii_case("online");
                let values = if known { vec![("online".to_owned(), "maybe".to_owned())] } else { Vec::new() };
                self.find(*matching, &values, keys, at)
            }
            TestKind::Spam { percent, matching, key } => {
                let value = match (self.world.spam, percent) {
                    (None, _) => None,
                    (Some(surely), true) => Some(surely.min(100)),
                    // RFC 5235 §3.2: 1 is clean, 10 is junk for sure.
                    (Some(surely), false) => Some(1 + u8::try_from(u32::from(surely.min(100)) * 9 / 100).unwrap_or(9)),
                };
                self.verdict("the judgement", value, *matching, key, at)
            }
            TestKind::Virus { matching, key } => self.verdict("the judgement", self.world.virus, *matching, key, at),
            TestKind::Unknown(words) => self.fail(at, words.clone()),
            TestKind::Not(_) | TestKind::AllOf(_) | TestKind::AnyOf(_) => Ok((false, String::new())),
        }
    }

    /// Looking through the header for a name is work, whatever is found there.
    pub(super) fn look_through(&mut self, at: Position) -> Step<()> {
        let taken = self.work.take(self.fields.len());
        self.worked(taken, at)
    }

    /// And so it is with the names of mailboxes.
    fn look_through_mailboxes(&mut self, at: Position) -> Step<()> {
        let taken = self.work.take(self.world.mailboxes.iter().map(|one| one.name.len() + 1).sum());
        self.worked(taken, at)
    }

    /// RFC 5235 §3: 0 where nobody looked; `:count` tells the two apart.
    fn verdict(&mut self, label: &str, value: Option<u8>, matching: Matching, key: &Text, at: Position) -> Step<Found> {
        let values = match (value, matching.kind) {
            (None, MatchType::Count(_)) => Vec::new(),
            (value, _) => vec![(label.to_owned(), value.unwrap_or(0).to_string())],
        };
        self.find(matching, &values, std::slice::from_ref(key), at)
    }

    /// Whether one of the values matches one of the keys.
    fn find(&mut self, matching: Matching, values: &[(String, String)], keys: &[Text], at: Position) -> Step<Found> {
        let keys = self.expand_all(keys, at)?;
        if matches!(matching.kind, MatchType::Count(_)) {
            let truth = keys.iter().any(|key| matching.counts(values.len(), key));
            return Ok((truth, format!("there are {}", values.len())));
        }
        for (label, value) in values {
            for key in &keys {
                let found = matching.finds(value, key, &mut self.work);
                let Some(matched) = self.worked(found, at)? else { continue };
                if matching.kind == MatchType::Matches {
                    self.frame.matched = matched;
                }
                let why = if self.explain {
                    format!("{label} “{}” {} “{}”", one_line(value), matching.words(), one_line(key))
                } else {
                    String::new()
                };
                return Ok((true, why));
            }
        }
        let why = match values {
            _ if !self.explain => String::new(),
            [] => "there is nothing to compare".to_owned(),
            [(label, value)] => format!("{label} is “{}”", one_line(value)),
            [(label, value), rest @ ..] => format!("{label} is “{}”, and {} more", one_line(value), rest.len()),
        };
        Ok((false, why))
    }

    fn envelope(&self, name: &str, part: AddressPart) -> Option<String> {
        let of_text = |text: &str| {
            let (local, host) = text.rsplit_once('@').unwrap_or((text, ""));
            if part == AddressPart::All { Some(text.to_owned()) } else { of(part, local, host) }
        };
        match name {
            "from" => match &self.world.sender {
                // RFC 5228 §5.4: the null reverse-path is the empty string, whatever part of it.
                ReversePath::Null => (part != AddressPart::Detail).then(String::new),
                ReversePath::Address(address) => of(part, address.local(), address.domain().as_str()),
            },
            "to" => of_text(&self.world.recipient),
            _ => self.world.account.as_deref().and_then(of_text),
        }
    }

    fn date(
        &mut self,
        index: Index,
        zone: &Zone,
        field: Option<&Text>,
        part: &str,
        at: Position,
    ) -> Step<Vec<(String, String)>> {
        let ours = self.world.zone;
        let here = |date: DateTime| match zone {
            Zone::Original => date,
            Zone::Given(offset) => DateTime { offset: offset.unwrap_or(ours), ..date },
        };
        let Some(field) = field else {
            let now = here(DateTime { timestamp: self.world.now, offset: 0 });
            return Ok(date::part(now, part).map(|value| (format!("the {part} now"), value)).into_iter().collect());
        };
        let name = self.expand(field, at)?;
        self.look_through(at)?;
        // RFC 5260 §4: without an index, the first field that has a date counts.
        let fields: Vec<Vec<u8>> = self.fields.raw(&name).map(<[u8]>::to_vec).collect();
        let dates = pick(fields, index).into_iter().filter_map(|value| date::in_field(&value));
        let value = dates.map(here).next().and_then(|date| date::part(date, part));
        Ok(value.map(|value| (format!("the {part} of {name}"), value)).into_iter().collect())
    }

    fn has_flag(
        &mut self,
        matching: Matching,
        variables: &[crate::script::Name],
        keys: &[Text],
        at: Position,
    ) -> Step<Found> {
        let flags: Vec<String> = match variables {
            [] => self.flags.clone(),
            names => {
                let taken = names.iter().map(|name| self.variable(name).len() + 1).sum();
                let taken = self.work.take(taken);
                self.worked(taken, at)?;
                let all = names.iter().flat_map(|name| self.variable(name).split_ascii_whitespace());
                let mut list = Vec::new();
                super::commands::add_flags(&mut list, &all.map(str::to_owned).collect::<Vec<_>>());
                list
            }
        };
        let values: Vec<_> = flags.into_iter().map(|flag| ("the flag".to_owned(), flag)).collect();
        // RFC 5232 §5: a key may be several flags, each of which counts.
        let keys = self.expand_all(keys, at)?;
        let single = keys.iter().flat_map(|key| key.split_ascii_whitespace());
        let single: Vec<Text> = single.map(|key| Text::from(key.to_owned())).collect();
        self.find(matching, &values, &single, at)
    }

    /// RFC 7352 §3
    fn duplicate(&mut self, duplicate: &Duplicate, at: Position) -> Step<Found> {
        let value = match (&duplicate.unique, &duplicate.header) {
            (Some(unique), _) => Some(self.expand(unique, at)?),
            (None, header) => {
                let name = header.as_ref().map(|name| self.expand(name, at)).transpose()?;
                self.fields.values(name.as_deref().unwrap_or("Message-ID")).into_iter().next()
            }
        };
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Ok((false, "the message has nothing to know it by".to_owned()));
        };
        let handle = duplicate.handle.as_ref().map(|handle| self.expand(handle, at)).transpose()?.unwrap_or_default();
        self.marks += 1;
        if self.marks > limits::SIEVE_MARKS {
            return self.fail(at, format!("“duplicate” is met more than {} times", limits::SIEVE_MARKS));
        }
        // Neither has a NUL in it that could make two pairs one: it would only find less.
        let mark = format!("{handle}\0{value}");
        let Some(seen) = self.world.seen.get(&mark).copied() else {
            return Err(Question::Seen(mark).into());
        };
        if !seen || duplicate.last {
            self.out.seen.push(Seen { mark, seconds: duplicate.seconds });
        }
        let words = if seen { "was here before" } else { "was not here before" };
        Ok((seen, format!("“{}” {words}", one_line(&value))))
    }
}

/// Which of several values a test looks at (RFC 5260 §6.1).
fn pick<T>(mut values: Vec<T>, index: Index) -> Vec<T> {
    let Some(number) = index.number else { return values };
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    let place = if index.last { values.len().checked_sub(number) } else { Some(number - 1) };
    match place.filter(|place| *place < values.len()) {
        Some(place) => vec![values.swap_remove(place)],
        None => Vec::new(),
    }
}

/// A part of an address (RFC 5228 §2.7.4, RFC 5233 §4).
fn of(part: AddressPart, local: &str, host: &str) -> Option<String> {
    let (user, detail) = match local.split_once('+') {
        Some((user, detail)) => (user, Some(detail)),
        None => (local, None),
    };
    match part {
        AddressPart::All => Some(format!("{local}@{host}")),
        AddressPart::LocalPart => Some(local.to_owned()),
        AddressPart::Domain => Some(host.to_owned()),
        AddressPart::User => Some(user.to_owned()),
        // Without a separator there is no detail to compare with.
        AddressPart::Detail => detail.map(str::to_owned),
    }
}
