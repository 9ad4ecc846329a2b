//! SEARCH (RFC 3501 §6.4.4, RFC 4731). Keys that the index answers come first; only messages that are still undecided are read.

use std::ops::RangeInclusive;

use mail::{Flags, Timestamp, Uid, UidValidity, limits};
use message::date::{Day, parse_imap_day, utc_day};
use message::header::Header;
use message::text::{fold, from_charset, is_known_charset};
use store::{MessageRow, StoreResult};
use wire::imap::SequenceSet;
use wire::imap::reply::{Code, Reply, Status};
use wire::imap::search::{DateOf, Key, Return, Search, When};
use wire::imap::write;

use crate::context::{self, Asked};
use crate::enable::{has_fuzzy, has_modseq};
use crate::fuzzy;
use crate::host::End;
use crate::io::Io;
use crate::narrow::{Narrowed, narrow};
use crate::progress::Progress;
use crate::qresync::holds;
use crate::refusal::refusal;
use crate::session::Service;
use crate::view::View;
use reading::body::{Message, looked_at};
use reading::marks;
use reading::texts;

/// A key made ready: strings folded, dates read, sets resolved.
pub(crate) enum Test {
    Constant(bool),
    And(Vec<Test>),
    Or(Box<Test>, Box<Test>),
    Not(Box<Test>),
    Flag(Flags),
    Keywords(u64),
    Recent,
    Date(DateOf, When, Day),
    Before(Timestamp),
    Larger(u32),
    Smaller(u32),
    Uids(Vec<RangeInclusive<u32>>),
    Numbers(Vec<RangeInclusive<u32>>),
    ModSeq(u64),
    Body(u64),
    Thread(u64),
    HeaderHas(String, Sought),
    BodyHas(Sought),
    TextHas(Sought),
    /// All words of a string, and the string as it was written (RFC 6203).
    Fuzzy(Vec<Test>, Box<Test>),
}

/// A string that is looked for, folded.
pub(crate) struct Sought {
    pub(crate) text: String,
    /// The messages that may have it, ascending; `None`: all.
    pub(crate) likely: Option<Vec<Uid>>,
}

impl Sought {
    /// Whether a message is known not to have it.
    fn is_ruled_out(&self, uid: Uid) -> bool {
        self.likely.as_ref().is_some_and(|likely| likely.binary_search(&uid).is_err())
    }
}

struct Compiler<'v> {
    view: &'v View,
    charset: &'v [u8],
    now: Timestamp,
    /// Strings need only nearly match.
    fuzzy: bool,
}

impl Compiler<'_> {
    fn compile(&self, key: &Key) -> Result<Test, Reply> {
        let last_uid = self.view.told.iter().next_back().map_or(0, |row| row.uid.get());
        Ok(match key {
            Key::All => Test::Constant(true),
            Key::And(keys) => Test::And(keys.iter().map(|key| self.compile(key)).collect::<Result<_, _>>()?),
            Key::Or(a, b) => Test::Or(Box::new(self.compile(a)?), Box::new(self.compile(b)?)),
            Key::Not(key) => Test::Not(Box::new(self.compile(key)?)),
            Key::Flag(flag) => Test::Flag(*flag),
            Key::Keyword(keyword) => {
                let bit = self.view.told.keywords.iter().position(|known| known == keyword);
                bit.map_or(Test::Constant(false), |bit| Test::Keywords(1 << bit))
            }
            Key::Recent => Test::Recent,
            Key::Header(name, text) => {
                let name = String::from_utf8_lossy(name).into_owned();
                self.has(text, |text| Test::HeaderHas(name.clone(), text))
            }
            Key::Body(text) => self.has(text, Test::BodyHas),
            Key::Text(text) => self.has(text, Test::TextHas),
            // RFC 6203 §3: it changes nothing about keys that are no strings.
            Key::Fuzzy(key) => return Compiler { fuzzy: true, ..*self }.compile(key),
            Key::Date(of, when, day) => {
                Test::Date(*of, *when, parse_imap_day(day).ok_or_else(|| Reply::bad("The date is broken"))?)
            }
            Key::Older(seconds) => Test::Before(Timestamp::from_secs(self.now.secs() - i64::from(*seconds))),
            Key::Larger(size) => Test::Larger(*size),
            Key::Smaller(size) => Test::Smaller(*size),
            Key::Uid(set) => Test::Uids(set.ranges(last_uid)),
            Key::Saved => Test::Uids(self.view.saved.clone()),
            Key::Sequence(set) => Test::Numbers(set.ranges(u32::try_from(self.view.told.len()).unwrap_or(u32::MAX))),
            Key::ModSeq(modseq) => Test::ModSeq(*modseq),
            Key::EmailId(id) => identifier(id, b'M').map_or(Test::Constant(false), Test::Body),
            Key::ThreadId(id) => identifier(id, b'T').map_or(Test::Constant(false), Test::Thread),
        })
    }

    fn has(&self, text: &[u8], test: impl Fn(Sought) -> Test) -> Test {
        let test = |text| test(Sought { text, likely: None });
        let text = self.text(text);
        let words = if self.fuzzy { fuzzy::words(&text) } else { Vec::new() };
        if words.is_empty() {
            return test(text);
        }
        Test::Fuzzy(words.into_iter().map(&test).collect(), Box::new(test(text)))
    }

    fn text(&self, bytes: &[u8]) -> String {
        fold(&from_charset(self.charset, bytes))
    }
}

fn identifier(id: &[u8], kind: u8) -> Option<u64> {
    std::str::from_utf8(id.strip_prefix(&[kind])?).ok()?.parse().ok()
}

impl Test {
    /// The answer, where the index has it; `header`: fields of the message, all of those whose names a digest keeps.
    pub(crate) fn by_index(&self, view: &View, n: u32, row: &MessageRow, header: Option<&Header<'_>>) -> Option<bool> {
        Some(match self {
            Self::Constant(is) => *is,
            Self::And(tests) => {
                let mut all = Some(true);
                for test in tests {
                    match test.by_index(view, n, row, header) {
                        Some(false) => return Some(false),
                        Some(true) => {}
                        None => all = None,
                    }
                }
                return all;
            }
            Self::Or(a, b) => match (a.by_index(view, n, row, header), b.by_index(view, n, row, header)) {
                (Some(true), _) | (_, Some(true)) => true,
                (Some(false), Some(false)) => false,
                _ => return None,
            },
            Self::Not(test) => !test.by_index(view, n, row, header)?,
            Self::Flag(flag) => row.flags.contains(*flag),
            Self::Keywords(bits) => row.keywords & bits == *bits,
            Self::Recent => view.is_recent(row.uid),
            Self::Date(DateOf::Internal, when, day) => compare(utc_day(row.internal_date), *when, *day),
            Self::Date(DateOf::Saved, when, day) => compare(utc_day(row.saved), *when, *day),
            // RFC 5032 §1.1: against INTERNALDATE; a message exactly as old as the interval is older.
            Self::Before(moment) => row.internal_date <= *moment,
            Self::Larger(size) => row.size > *size,
            Self::Smaller(size) => row.size < *size,
            Self::Uids(ranges) => holds(ranges, row.uid.get()),
            Self::Numbers(ranges) => holds(ranges, n),
            Self::ModSeq(modseq) => row.modseq.0 >= *modseq,
            Self::Body(id) => row.body.0 == *id,
            Self::Thread(id) => row.thread.0 == *id,
            Self::HeaderHas(_, sought) | Self::BodyHas(sought) | Self::TextHas(sought)
                if sought.is_ruled_out(row.uid) =>
            {
                false
            }
            Self::HeaderHas(name, sought) if marks::has_field(name.as_bytes()) => {
                header_has(header?, Some(name), &sought.text)
            }
            Self::Date(DateOf::Sent, when, day) => was_sent(header?, *when, *day),
            // How well it matches is told from the message.
            Self::Fuzzy(tests, _) if tests.iter().any(|test| test.by_index(view, n, row, header) == Some(false)) => {
                false
            }
            Self::HeaderHas(..) | Self::BodyHas(_) | Self::TextHas(_) | Self::Fuzzy(..) => return None,
        })
    }

    /// The answer, reading the message where it must.
    async fn by_message(&self, view: &View, n: u32, row: &MessageRow, message: &mut Message<'_>) -> StoreResult<bool> {
        if let Some(is) = self.by_index(view, n, row, None) {
            return Ok(is);
        }
        match self {
            Self::And(tests) | Self::Fuzzy(tests, _) => {
                for test in tests {
                    if !Box::pin(test.by_message(view, n, row, message)).await? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Or(a, b) => Ok(Box::pin(a.by_message(view, n, row, message)).await?
                || Box::pin(b.by_message(view, n, row, message)).await?),
            Self::Not(test) => Ok(!Box::pin(test.by_message(view, n, row, message)).await?),
            Self::Date(_, when, day) => {
                let range = looked_at(message.header().await?);
                let header = message.read_whole(range).await?;
                Ok(was_sent(&Header::of(&header), *when, *day))
            }
            Self::HeaderHas(name, Sought { text, .. }) => {
                let range = looked_at(message.header().await?);
                let header = message.read_whole(range).await?;
                Ok(header_has(&Header::of(&header), Some(name), text))
            }
            Self::TextHas(Sought { text, .. }) => {
                let range = looked_at(message.header().await?);
                let header = message.read_whole(range).await?;
                Ok(header_has(&Header::of(&header), None, text) || body_has(message, text).await?)
            }
            Self::BodyHas(Sought { text, .. }) => body_has(message, text).await,
            _ => Ok(false),
        }
    }
}

impl Test {
    /// The keys of which it is made, itself included.
    pub(crate) fn each(&mut self, visit: &mut impl FnMut(&mut Test)) {
        match self {
            Self::And(tests) => tests.iter_mut().for_each(|test| test.each(visit)),
            Self::Fuzzy(tests, whole) => {
                tests.iter_mut().for_each(|test| test.each(visit));
                whole.each(visit);
            }
            Self::Or(a, b) => {
                a.each(visit);
                b.each(visit);
            }
            Self::Not(test) => test.each(visit),
            _ => {}
        }
        visit(self);
    }

    /// The string that is looked for, where this is about one.
    pub(crate) fn sought(&mut self) -> Option<&mut Sought> {
        match self {
            Self::HeaderHas(_, sought) | Self::BodyHas(sought) | Self::TextHas(sought) => Some(sought),
            _ => None,
        }
    }

    /// The header field that is looked at, where it is one by name.
    pub(crate) fn field(&self) -> Option<&str> {
        match self {
            Self::HeaderHas(name, _) => Some(name),
            Self::Date(DateOf::Sent, ..) => Some("Date"),
            _ => None,
        }
    }

    /// The strings that need only nearly match, as they were written.
    fn fuzzy_strings<'t>(&'t self, out: &mut Vec<&'t Test>) {
        match self {
            Self::Fuzzy(_, whole) => out.push(whole),
            Self::And(tests) => tests.iter().for_each(|test| test.fuzzy_strings(out)),
            Self::Or(a, b) => [a, b].into_iter().for_each(|test| test.fuzzy_strings(out)),
            // What must not match does not say how well the rest does.
            _ => {}
        }
    }
}

/// RFC 3501 §6.4.4: disregarding time and timezone.
fn was_sent(header: &Header<'_>, when: When, day: Day) -> bool {
    header.date().is_some_and(|date| compare(date.day(), when, day))
}

fn compare(day: Day, when: When, with: Day) -> bool {
    match when {
        When::Before => day < with,
        When::On => day == with,
        When::Since => day >= with,
    }
}

/// RFC 3501 §6.4.4 HEADER: an empty string matches every message that has the field.
fn header_has(header: &Header<'_>, name: Option<&str>, text: &str) -> bool {
    texts::of_header(header, name, |value| value.contains(text))
}

async fn body_has(message: &mut Message<'_>, text: &str) -> StoreResult<bool> {
    Ok(text.is_empty() || texts::of_body(message, text.len(), |other| other.contains(text)).await?)
}

/// A message that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hit {
    pub(crate) n: u32,
    pub(crate) uid: Uid,
    pub(crate) modseq: u64,
    /// 1 to 100 (RFC 6203 §4).
    pub(crate) relevancy: u32,
}

/// SEARCH and UID SEARCH.
pub(crate) async fn search(
    service: &Service,
    io: &mut Io<'_>,
    view: &mut View,
    command: &Search,
) -> Result<Reply, End> {
    let save = command.wanted.as_ref().is_some_and(|wanted| wanted.save);
    let update = command.wanted.as_ref().filter(|wanted| wanted.update);
    if update.is_some() && view.contexts.has(&io.tag) {
        return Ok(context::tag_reuse());
    }
    if command.wanted.as_ref().is_some_and(|wanted| wanted.relevancy) && !has_fuzzy(&command.key) {
        // RFC 6203 §4
        return Ok(Reply::bad("RELEVANCY is for FUZZY"));
    }
    let found = match find(service, io, view, command.charset.as_deref(), &command.key).await? {
        Ok(found) => found,
        Err(reply) => {
            // RFC 5182 §2.1: after NO there is nothing; after BAD what was there stays.
            if save && reply.status == Status::No {
                view.saved.clear();
            }
            return Ok(reply);
        }
    };
    let modseq = if has_modseq(&command.key) { found.iter().map(|hit| hit.modseq).max() } else { None };
    let numbers: Vec<u32> = found.iter().map(|hit| if command.uid { hit.uid.get() } else { hit.n }).collect();
    // RFC 9051 §6.4.4: in IMAP4rev2 the answer is always ESEARCH.
    let wanted = command.wanted.clone().or(io.enabled.rev2.then(Return::everything));
    match &wanted {
        Some(wanted) => extended(io, Scope::of(command.uid), wanted, &numbers, &found, modseq),
        None => plain(io, "SEARCH", &numbers, modseq).await?,
    }
    if let Some(Return { items, .. }) = update {
        let (charset, key) = (command.charset.as_deref(), &command.key);
        let asked = Asked { uid: command.uid, mailbox: None, charset, key, criteria: &[], items };
        context::begin(io, view, asked, &found);
    }
    Ok(match wanted {
        Some(wanted) if wanted.save => keep(view, &wanted, &found),
        _ => Reply::ok("Searched"),
    })
}

/// Keeps for `$` what RFC 5182 §2.4 says.
pub(crate) fn keep(view: &mut View, wanted: &Return, found: &[Hit]) -> Reply {
    let first_and_last = (wanted.min || wanted.max) && !wanted.all && !wanted.count;
    let uids: Vec<u32> = match wanted.partial {
        // RFC 9394 §3.1
        Some(partial) if !wanted.count => found[partial.places(found.len())].iter().map(|hit| hit.uid.get()).collect(),
        _ if first_and_last => {
            let first = found.first().filter(|_| wanted.min);
            let last = found.last().filter(|_| wanted.max);
            first.into_iter().chain(last).map(|hit| hit.uid.get()).collect()
        }
        _ => found.iter().map(|hit| hit.uid.get()).collect(),
    };
    let ranges = SequenceSet::of(uids).ranges(u32::MAX);
    if ranges.len() > limits::IMAP_SAVED_RANGES {
        view.saved.clear();
        return Reply::no(Code::NotSaved, "The result is too long to be kept");
    }
    view.saved = ranges;
    Reply::ok("Searched and kept")
}

/// The messages that a key matches, in order of number. The inner error is the reply.
pub(crate) async fn find(
    service: &Service,
    io: &mut Io<'_>,
    view: &View,
    charset: Option<&[u8]>,
    key: &Key,
) -> Result<Result<Vec<Hit>, Reply>, End> {
    if io.enabled.utf8 && charset.is_some() {
        // RFC 6855 §3
        return Ok(Err(Reply::bad("CHARSET is not for who enabled UTF8=ACCEPT")));
    }
    let charset = charset.unwrap_or(CHARSET);
    if !is_known_charset(charset) {
        // RFC 3501 §6.4.4: NO with the ones that are known; there are too many to list.
        let reply = Reply::no(Code::Cannot, "The character set is not known");
        return Ok(Err(reply.with_code("BADCHARSET (US-ASCII UTF-8)")));
    }
    among(service, io, view, charset, key, (1..).zip(view.told.iter())).await
}

/// The character set of strings where none was named.
pub(crate) const CHARSET: &[u8] = b"UTF-8";

/// The same among these messages, each with its number.
pub(crate) async fn among(
    service: &Service,
    io: &mut Io<'_>,
    view: &View,
    charset: &[u8],
    key: &Key,
    rows: impl Iterator<Item = (u32, MessageRow)> + Send,
) -> Result<Result<Vec<Hit>, Reply>, End> {
    let mut test = match (Compiler { view, charset, now: io.host.now(), fuzzy: false }).compile(key) {
        Ok(test) => test,
        Err(reply) => return Ok(Err(reply)),
    };
    let mut found: Vec<Hit> = Vec::new();
    let mut undecided: Vec<(u32, MessageRow)> = Vec::new();
    let hit = |n: u32, row: &MessageRow| Hit { n, uid: row.uid, modseq: row.modseq.0, relevancy: 100 };
    for (n, row) in rows {
        match test.by_index(view, n, &row, None) {
            Some(true) => found.push(hit(n, &row)),
            Some(false) => {}
            None => undecided.push((n, row)),
        }
    }
    let Narrowed { found: more, undecided } = match narrow(service, view, &mut test, undecided).await {
        Ok(narrowed) => narrowed,
        Err(error) => return Ok(Err(refusal(&error))),
    };
    found.extend(more.iter().map(|(n, row)| hit(*n, row)));
    let mut failure = None;
    let mut fuzzy = Vec::new();
    test.fuzzy_strings(&mut fuzzy);
    let mut progress = Progress::new(io, undecided.len());
    for batch in undecided.chunks(limits::IMAP_FETCH_BATCH) {
        let uids: Vec<Uid> = batch.iter().map(|(_, row)| row.uid).collect();
        let mut bodies = match service.store.bodies(view.mailbox, &uids).await {
            Ok(bodies) => bodies.into_iter().peekable(),
            Err(error) => return Ok(Err(refusal(&error))),
        };
        for (n, row) in batch {
            // What is gone is not found.
            let Some((_, body)) = bodies.next_if(|(uid, _)| *uid == row.uid) else { continue };
            let mut message = Message::new(&service.structures, body);
            match test.by_message(view, *n, row, &mut message).await {
                Ok(true) => {
                    let mut exact = 0;
                    for whole in &fuzzy {
                        match whole.by_message(view, *n, row, &mut message).await {
                            Ok(is) => exact += usize::from(is),
                            Err(error) => failure = Some(error),
                        }
                    }
                    found.push(Hit { relevancy: fuzzy::relevancy(exact, fuzzy.len()), ..hit(*n, row) });
                }
                Ok(false) => {}
                Err(error) => failure = Some(error),
            }
        }
        progress.made(io, batch.len()).await?;
        // Others have their turn too.
        tokio::task::yield_now().await;
    }
    if let Some(error) = failure {
        return Ok(Err(refusal(&error)));
    }
    found.sort_unstable();
    Ok(Ok(found))
}

/// `* SEARCH` or `* SORT` and numbers.
pub(crate) async fn plain(io: &mut Io<'_>, word: &str, numbers: &[u32], modseq: Option<u64>) -> Result<(), End> {
    io.out.extend_from_slice(format!("* {word}").as_bytes());
    for number in numbers {
        io.out.push(b' ');
        write::number(&mut io.out, u64::from(*number));
        io.relieve().await?;
    }
    if let Some(modseq) = modseq {
        // RFC 7162 §3.1.5
        io.out.extend_from_slice(format!(" (MODSEQ {modseq})").as_bytes());
    }
    io.out.extend_from_slice(b"\r\n");
    Ok(())
}

/// What an ESEARCH answer is about.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'s> {
    /// Of the command with this tag; `None`: the one under way.
    pub(crate) tag: Option<&'s str>,
    /// The numbers are UIDs.
    pub(crate) uid: bool,
    /// Of this mailbox, where that is not the selected one by itself (RFC 7377 §2.1).
    pub(crate) mailbox: Option<(&'s str, UidValidity)>,
}

impl Scope<'_> {
    /// Of the selected mailbox.
    pub(crate) const fn of(uid: bool) -> Self {
        Self { tag: None, uid, mailbox: None }
    }

    /// `search-correlator = SP "(" "TAG" SP tag-string [SP "MAILBOX" SP astring SP "UIDVALIDITY" SP nz-number] ")"`
    pub(crate) fn write(self, io: &mut Io<'_>) {
        io.out.extend_from_slice(b"* ESEARCH (TAG ");
        write::string(&mut io.out, self.tag.unwrap_or(&io.tag).as_bytes());
        if let Some((name, uid_validity)) = self.mailbox {
            io.out.extend_from_slice(b" MAILBOX ");
            write::mailbox(&mut io.out, name, io.enabled.names());
            io.out.extend_from_slice(format!(" UIDVALIDITY {}", uid_validity.0).as_bytes());
        }
        io.out.push(b')');
        if self.uid {
            io.out.extend_from_slice(b" UID");
        }
    }
}

/// RFC 4731 §3.1: `* ESEARCH (TAG "…") [UID] …`; `found` may be in another order than that of numbers (RFC 5267 §3).
pub(crate) fn extended(
    io: &mut Io<'_>,
    scope: Scope<'_>,
    wanted: &Return,
    found: &[u32],
    hits: &[Hit],
    modseq: Option<u64>,
) {
    // RFC 5182 §2.1: SAVE alone is answered with nothing.
    if *wanted == (Return { save: true, ..Return::default() }) {
        return;
    }
    scope.write(io);
    let mut one = |word: &str, value: String| io.out.extend_from_slice(format!(" {word} {value}").as_bytes());
    if let (Some(first), Some(last)) = (found.first(), found.last()) {
        if wanted.min {
            one("MIN", first.to_string());
        }
        if wanted.max {
            one("MAX", last.to_string());
        }
        if wanted.all {
            one("ALL", SequenceSet::of(found.iter().copied()).to_string());
        }
    }
    if let Some(partial) = wanted.partial {
        // RFC 9394 §3.1
        let part = &found[partial.places(found.len())];
        let set = if part.is_empty() { "NIL".into() } else { SequenceSet::of(part.iter().copied()).to_string() };
        one("PARTIAL", format!("({partial} {set})"));
    }
    if wanted.relevancy && !hits.is_empty() {
        // RFC 6203 §4: in the order of the result, of as much of it as is told.
        let told = wanted.partial.map_or(0..hits.len(), |partial| partial.places(hits.len()));
        let scores: Vec<String> = hits[told].iter().map(|hit| hit.relevancy.to_string()).collect();
        one("RELEVANCY", format!("({})", scores.join(" ")));
    }
    if wanted.count {
        one("COUNT", found.len().to_string());
    }
    if let Some(modseq) = modseq {
        one("MODSEQ", modseq.to_string());
    }
    io.out.extend_from_slice(b"\r\n");
}
