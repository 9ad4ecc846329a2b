//! SEARCH (RFC 3501 §6.4.4, RFC 4731). Keys that the index answers come first; only messages that are still undecided are read.

use std::ops::RangeInclusive;

use mail::{Flags, Timestamp, Uid, limits};
use message::date::{Day, parse_imap_day, utc_day};
use message::header::Header;
use message::structure::Part;
use message::text::{decode_words, fold, from_charset, is_known_charset, readable};
use message::transfer::{Decoder, Encoding};
use store::{MessageRow, StoreResult};
use wire::imap::SequenceSet;
use wire::imap::reply::{Code, Reply};
use wire::imap::search::{DateOf, Key, Return, Search, When};
use wire::imap::write;

use crate::body::{Message, looked_at};
use crate::host::End;
use crate::io::Io;
use crate::refusal::refusal;
use crate::session::Service;
use crate::view::View;

/// Whether a SEARCH says that the client knows of CONDSTORE (RFC 7162 §3.1).
pub(crate) fn enables_condstore(key: &Key) -> bool {
    match key {
        Key::ModSeq(_) => true,
        Key::And(keys) => keys.iter().any(enables_condstore),
        Key::Or(a, b) => enables_condstore(a) || enables_condstore(b),
        Key::Not(key) => enables_condstore(key),
        _ => false,
    }
}

/// A key made ready: strings folded, dates read, sets resolved.
enum Test {
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
    HeaderHas(String, String),
    BodyHas(String),
    TextHas(String),
}

struct Compiler<'v> {
    view: &'v View,
    charset: &'v [u8],
    now: Timestamp,
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
            Key::Header(name, text) => Test::HeaderHas(String::from_utf8_lossy(name).into_owned(), self.text(text)),
            Key::Body(text) => Test::BodyHas(self.text(text)),
            Key::Text(text) => Test::TextHas(self.text(text)),
            Key::Date(of, when, day) => {
                Test::Date(*of, *when, parse_imap_day(day).ok_or_else(|| Reply::bad("The date is broken"))?)
            }
            Key::Older(seconds) => Test::Before(Timestamp::from_secs(self.now.secs() - i64::from(*seconds))),
            Key::Larger(size) => Test::Larger(*size),
            Key::Smaller(size) => Test::Smaller(*size),
            Key::Uid(set) => Test::Uids(set.ranges(last_uid)),
            Key::Sequence(set) => Test::Numbers(set.ranges(u32::try_from(self.view.told.len()).unwrap_or(u32::MAX))),
            Key::ModSeq(modseq) => Test::ModSeq(*modseq),
            Key::EmailId(id) => identifier(id, b'M').map_or(Test::Constant(false), Test::Body),
            Key::ThreadId(id) => identifier(id, b'T').map_or(Test::Constant(false), Test::Thread),
        })
    }

    fn text(&self, bytes: &[u8]) -> String {
        fold(&from_charset(self.charset, bytes))
    }
}

fn identifier(id: &[u8], kind: u8) -> Option<u64> {
    std::str::from_utf8(id.strip_prefix(&[kind])?).ok()?.parse().ok()
}

impl Test {
    /// The answer, where the index has it.
    fn by_index(&self, view: &View, n: u32, row: &MessageRow) -> Option<bool> {
        Some(match self {
            Self::Constant(is) => *is,
            Self::And(tests) => {
                let mut all = Some(true);
                for test in tests {
                    match test.by_index(view, n, row) {
                        Some(false) => return Some(false),
                        Some(true) => {}
                        None => all = None,
                    }
                }
                return all;
            }
            Self::Or(a, b) => match (a.by_index(view, n, row), b.by_index(view, n, row)) {
                (Some(true), _) | (_, Some(true)) => true,
                (Some(false), Some(false)) => false,
                _ => return None,
            },
            Self::Not(test) => !test.by_index(view, n, row)?,
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
            Self::Date(DateOf::Sent, ..) | Self::HeaderHas(..) | Self::BodyHas(_) | Self::TextHas(_) => return None,
        })
    }

    /// The answer, reading the message where it must.
    async fn by_message(&self, view: &View, n: u32, row: &MessageRow, message: &mut Message<'_>) -> StoreResult<bool> {
        if let Some(is) = self.by_index(view, n, row) {
            return Ok(is);
        }
        match self {
            Self::And(tests) => {
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
                // RFC 3501 §6.4.4: disregarding time and timezone.
                Ok(Header::of(&header).date().is_some_and(|date| compare(date.day(), *when, *day)))
            }
            Self::HeaderHas(name, text) => {
                let range = looked_at(message.header().await?);
                let header = message.read_whole(range).await?;
                Ok(header_has(&Header::of(&header), Some(name), text))
            }
            Self::TextHas(text) => {
                let range = looked_at(message.header().await?);
                let header = message.read_whole(range).await?;
                Ok(header_has(&Header::of(&header), None, text) || body_has(message, text).await?)
            }
            Self::BodyHas(text) => body_has(message, text).await,
            _ => Ok(false),
        }
    }
}

fn holds(ranges: &[RangeInclusive<u32>], n: u32) -> bool {
    let after = ranges.partition_point(|range| *range.start() <= n);
    after > 0 && ranges[after - 1].contains(&n)
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
    header.fields().filter(|field| name.is_none_or(|name| field.is(name))).any(|field| {
        if text.is_empty() {
            return true;
        }
        let value = fold(&decode_words(field.raw_value()));
        value.contains(text) || name.is_none() && fold(&String::from_utf8_lossy(field.bytes())).contains(text)
    })
}

/// Texts of all parts and headers of messages within, decoded.
async fn body_has(message: &mut Message<'_>, text: &str) -> StoreResult<bool> {
    if text.is_empty() {
        return Ok(true);
    }
    let structure = message.structure().await?;
    for (at, part) in structure.parts().iter().enumerate() {
        if at > 0 && part.envelope.is_some() {
            let header = message.read_whole(looked_at(part.header.clone())).await?;
            if header_has(&Header::of(&header), None, text) {
                return Ok(true);
            }
        }
        if is_text(part) && part_has(message, part, text).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What people read as text: also the fields of a report (message/delivery-status), where the address and the words
/// stand that they look for.
fn is_text(part: &Part) -> bool {
    matches!(part.kind, message::structure::Kind::Leaf) && (part.is_type("text") || part.is_type("message"))
}

/// A part at once where it is small; else in pieces that overlap by more than the text is long.
async fn part_has(message: &mut Message<'_>, part: &Part, text: &str) -> StoreResult<bool> {
    if part.size() <= limits::IMAP_SEARCH_TEXT as u64 {
        let body = message.read_whole(part.body.clone()).await?;
        if fold(&message::text::of_part(part, &body)).contains(text) {
            return Ok(true);
        }
        return Ok(part.is("text", "html") && fold(&readable(part, &body)).contains(text));
    }
    let charset = part.parameter("charset").unwrap_or(b"us-ascii");
    let mut decoder = Decoder::new(Encoding::of(&part.encoding));
    // A folded character comes from at most 4 octets, and shift states of old character sets are short.
    let overlap = text.len() * 4 + 1024;
    let (mut window, mut at) = (Vec::new(), part.body.start);
    while at < part.body.end {
        let piece = message.read(at..part.body.end).await?;
        if piece.is_empty() {
            break;
        }
        at += piece.len() as u64;
        decoder.push(&piece, &mut window);
        if window.len() >= limits::IMAP_SEARCH_TEXT {
            if fold(&from_charset(charset, &window)).contains(text) {
                return Ok(true);
            }
            window.drain(..window.len() - overlap.min(window.len()));
        }
    }
    decoder.finish(&mut window);
    Ok(fold(&from_charset(charset, &window)).contains(text))
}

/// SEARCH and UID SEARCH.
pub(crate) async fn search(service: &Service, io: &mut Io<'_>, view: &View, command: &Search) -> Result<Reply, End> {
    let charset = command.charset.as_deref().unwrap_or(b"UTF-8");
    if !is_known_charset(charset) {
        // RFC 3501 §6.4.4: NO with the ones that are known; there are too many to list.
        let reply = Reply::no(Code::Cannot, "The character set is not known");
        return Ok(reply.with_code("BADCHARSET (US-ASCII UTF-8)"));
    }
    let test = match (Compiler { view, charset, now: io.host.now() }).compile(&command.key) {
        Ok(test) => test,
        Err(reply) => return Ok(reply),
    };
    let mut found: Vec<(u32, Uid, u64)> = Vec::new();
    let mut undecided: Vec<(u32, MessageRow)> = Vec::new();
    let mut failure = None;
    for (n, row) in (1u32..).zip(view.told.iter()) {
        match test.by_index(view, n, row) {
            Some(true) => found.push((n, row.uid, row.modseq.0)),
            Some(false) => {}
            None => undecided.push((n, row.clone())),
        }
    }
    for batch in undecided.chunks(limits::IMAP_FETCH_BATCH) {
        let uids: Vec<Uid> = batch.iter().map(|(_, row)| row.uid).collect();
        let mut bodies = match service.store.bodies(view.mailbox, &uids).await {
            Ok(bodies) => bodies.into_iter().peekable(),
            Err(error) => return Ok(refusal(&error)),
        };
        for (n, row) in batch {
            // What is gone is not found.
            let Some((_, body)) = bodies.next_if(|(uid, _)| *uid == row.uid) else { continue };
            let mut message = Message::new(service, body);
            match test.by_message(view, *n, row, &mut message).await {
                Ok(true) => found.push((*n, row.uid, row.modseq.0)),
                Ok(false) => {}
                Err(error) => failure = Some(error),
            }
        }
        // Others have their turn too.
        tokio::task::yield_now().await;
    }
    if let Some(error) = failure {
        return Ok(refusal(&error));
    }
    found.sort_unstable();
    answer(io, command, &found).await?;
    Ok(Reply::ok("Searched"))
}

async fn answer(io: &mut Io<'_>, command: &Search, found: &[(u32, Uid, u64)]) -> Result<(), End> {
    let number = |hit: &(u32, Uid, u64)| if command.uid { hit.1.get() } else { hit.0 };
    let modseq = if enables_condstore(&command.key) { found.iter().map(|hit| hit.2).max() } else { None };
    let Some(wanted) = command.wanted else {
        io.out.extend_from_slice(b"* SEARCH");
        for hit in found {
            io.out.push(b' ');
            write::number(&mut io.out, u64::from(number(hit)));
            io.relieve().await?;
        }
        if let Some(modseq) = modseq {
            // RFC 7162 §3.1.5
            io.out.extend_from_slice(format!(" (MODSEQ {modseq})").as_bytes());
        }
        io.out.extend_from_slice(b"\r\n");
        return Ok(());
    };
    extended(io, command.uid, wanted, &found.iter().map(number).collect::<Vec<_>>(), modseq);
    Ok(())
}

/// RFC 4731 §3.1: `* ESEARCH (TAG "…") [UID] …`. The tag is set by who knows it.
fn extended(io: &mut Io<'_>, uid: bool, wanted: Return, found: &[u32], modseq: Option<u64>) {
    io.out.extend_from_slice(b"* ESEARCH (TAG ");
    let tag = io.tag.clone();
    write::string(&mut io.out, tag.as_bytes());
    io.out.push(b')');
    if uid {
        io.out.extend_from_slice(b" UID");
    }
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
    if wanted.count {
        one("COUNT", found.len().to_string());
    }
    if let Some(modseq) = modseq {
        one("MODSEQ", modseq.to_string());
    }
    io.out.extend_from_slice(b"\r\n");
}
