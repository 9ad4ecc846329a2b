//! FETCH (RFC 3501 §6.4.5). What the index holds is answered without touching a message; messages are asked of the store
//! in batches and sent in pieces.

use std::ops::Range;

use mail::{Flags, ModSeq, Rights, Timestamp, limits};
use message::header::Header;
use message::structure::Section as Named;
use store::{FlagChange, FlagOperation, MessageRow, Snapshot, StoreError};
use wire::imap::fetch::{Fetch, Item, Section, Text};
use wire::imap::reply::{Code, Reply};
use wire::imap::write;

use crate::binary;
use crate::digest;
use crate::enable::Enabled;
use crate::glance::{self, Glance};
use crate::host::End;
use crate::io::Io;
use crate::qresync;
use crate::refusal::Unread;
use crate::refusal::refusal;
use crate::session::Service;
use crate::structure;
use crate::view::View;
use reading::ahead::Ahead;
use reading::body::{Message, looked_at};
use reading::preview::preview;

/// An item with what is the same for all messages.
pub(crate) struct Prepared<'c> {
    pub(crate) item: &'c Item,
    pub(crate) label: Vec<u8>,
}

impl<'c> Prepared<'c> {
    fn new(item: &'c Item) -> Self {
        let label = match item {
            Item::Section(section) => section.label(),
            Item::Binary(binary) => binary.label(),
            _ => Vec::new(),
        };
        Self { item, label }
    }
}

/// FETCH and UID FETCH.
pub(crate) async fn fetch(
    service: &Service,
    io: &mut Io<'_>,
    view: &mut View,
    mut command: Fetch,
) -> Result<Reply, End> {
    // RFC 3501 §6.4.8: answers to UID FETCH have the UID, asked for or not; RFC 9586 §3.3: UIDFETCH has it in front.
    if command.uid && !io.enabled.uidonly && !command.items.contains(&Item::Uid) {
        command.items.insert(0, Item::Uid);
    }
    if let (true, Some(since)) = (command.vanished, command.changed_since) {
        if !io.enabled.qresync {
            // RFC 7162 §3.2.6
            return Ok(Reply::bad("ENABLE QRESYNC first"));
        }
        if let Err(error) = qresync::fetch_vanished(service, io, view, ModSeq(since), &command.set).await? {
            return Ok(refusal(&error));
        }
    }
    let command = &command;
    let items: Vec<Prepared<'_>> = command.items.iter().map(Prepared::new).collect();
    let is_wanted = |row: &MessageRow| command.changed_since.is_none_or(|since| row.modseq.0 > since);
    let mut places = view.places(command.uid, &command.set);
    if let Some(partial) = command.partial {
        // RFC 9394 §3.2: of what would be answered.
        let wanted = places.into_iter().flatten().filter(|at| view.told.get(*at).is_some_and(|row| is_wanted(&row)));
        let wanted: Vec<usize> = wanted.collect();
        let part = &wanted[partial.places(wanted.len())];
        places = part.chunk_by(|a, b| a + 1 == *b).map(|run| run[0]..run[0] + run.len()).collect();
    }
    if !command.items.iter().any(needs_message) {
        return from_index(io, view, &items, places, is_wanted).await;
    }
    let sets_seen = view.refuses(Rights::SEEN).is_none() && command.items.iter().any(looks);
    let glance = Glance::of(&command.items);
    let mut lost = None;
    for range in places {
        if let Some(glance) = glance {
            if let Err(error) = glance::fetch(service, io, view, &items, (glance, range), &is_wanted).await? {
                lost = Some(error);
            }
            continue;
        }
        if let Err(error) = messages(service, io, view, &items, range, sets_seen, &is_wanted).await? {
            lost = Some(error);
        }
    }
    Ok(match lost {
        None => Reply::ok("Fetched"),
        // RFC 2180 §4.1.2; UID FETCH passes over what is gone (RFC 3501 §6.4.8).
        Some(Unread::Store(StoreError::MailboxGone(_))) if command.uid => Reply::ok("Fetched"),
        Some(Unread::Store(StoreError::MailboxGone(_))) => {
            Reply::no(Code::ExpungeIssued, "Some of the messages are gone")
        }
        Some(Unread::Encoding) => Reply::no(Code::UnknownCte, "The transfer encoding of a part is not known"),
        Some(Unread::Store(error)) => refusal(&error),
    })
}

const fn needs_message(item: &Item) -> bool {
    matches!(
        item,
        Item::Envelope
            | Item::Body
            | Item::BodyStructure
            | Item::Section(_)
            | Item::Preview { .. }
            | Item::Binary(_)
            | Item::BinarySize(_)
    )
}

/// Whether it sets \\Seen.
const fn looks(item: &Item) -> bool {
    match item {
        Item::Section(section) => !section.peek,
        Item::Binary(binary) => !binary.peek,
        _ => false,
    }
}

/// Items that the index answers: nothing is allocated for a message.
async fn from_index(
    io: &mut Io<'_>,
    view: &View,
    items: &[Prepared<'_>],
    places: Vec<Range<usize>>,
    is_wanted: impl Fn(&MessageRow) -> bool,
) -> Result<Reply, End> {
    for range in places {
        let mut at = range.start;
        while at < range.end {
            let end = range.end.min(at + 256);
            for (n, row) in (at + 1..).zip(view.told.range(at..end)).filter(|(_, row)| is_wanted(row)) {
                View::begin(&mut io.out, n, row.uid, io.enabled);
                for (place, prepared) in items.iter().enumerate() {
                    if place > 0 {
                        io.out.push(b' ');
                    }
                    indexed(&mut io.out, view, &row, &view.told, prepared.item, io.enabled);
                }
                io.out.extend_from_slice(b")\r\n");
            }
            at = end;
            io.relieve().await?;
        }
    }
    Ok(Reply::ok("Fetched"))
}

/// An item that the index answers.
pub(crate) fn indexed(
    out: &mut Vec<u8>,
    view: &View,
    row: &MessageRow,
    names: &Snapshot,
    item: &Item,
    enabled: Enabled,
) {
    match item {
        Item::Flags => view.flags(out, row, names, enabled),
        Item::Uid => {
            out.extend_from_slice(b"UID ");
            write::number(out, u64::from(row.uid.get()));
        }
        Item::InternalDate => date(out, "INTERNALDATE", row.internal_date),
        Item::SaveDate => date(out, "SAVEDATE", row.saved),
        Item::Size => {
            out.extend_from_slice(b"RFC822.SIZE ");
            write::number(out, u64::from(row.size));
        }
        Item::ModSeq => {
            out.extend_from_slice(b"MODSEQ (");
            write::number(out, row.modseq.0);
            out.push(b')');
        }
        Item::EmailId => identifier(out, "EMAILID", b'M', row.body.0),
        Item::ThreadId => identifier(out, "THREADID", b'T', row.thread.0),
        _ => {}
    }
}

fn identifier(out: &mut Vec<u8>, word: &str, kind: u8, id: u64) {
    out.extend_from_slice(word.as_bytes());
    out.extend_from_slice(&[b' ', b'(', kind]);
    write::number(out, id);
    out.push(b')');
}

/// `INTERNALDATE date-time`
fn date(out: &mut Vec<u8>, word: &str, timestamp: Timestamp) {
    out.extend_from_slice(word.as_bytes());
    out.extend_from_slice(b" \"");
    out.extend_from_slice(message::date::imap(timestamp).as_bytes());
    out.push(b'"');
}

/// Messages whose bytes are needed. The inner error is that of a message that could not be read.
pub(crate) async fn messages(
    service: &Service,
    io: &mut Io<'_>,
    view: &mut View,
    items: &[Prepared<'_>],
    places: Range<usize>,
    sets_seen: bool,
    is_wanted: &(impl Fn(&MessageRow) -> bool + Sync),
) -> Result<Result<(), Unread>, End> {
    let (told, mailbox) = (view.told.clone(), view.mailbox);
    let batches = places.clone().step_by(limits::IMAP_FETCH_BATCH).map(|from| {
        let batch = from..places.end.min(from + limits::IMAP_FETCH_BATCH);
        let rows = (from + 1..).zip(told.range(batch)).filter(|(_, row)| is_wanted(row));
        rows.collect::<Vec<_>>()
    });
    let mut ahead = Ahead::new(batches.filter(|rows| !rows.is_empty()), |rows: &Vec<(usize, MessageRow)>| {
        let uids: Vec<mail::Uid> = rows.iter().map(|(_, row)| row.uid).collect();
        async move { service.store.bodies(mailbox, &uids).await }
    });
    let mut outcome = Ok(());
    while let Some((rows, bodies)) = ahead.next().await {
        let mut bodies = match bodies {
            Ok(bodies) => bodies.into_iter().peekable(),
            Err(error) => {
                outcome = Err(error.into());
                continue;
            }
        };
        let seen = if sets_seen { set_seen(service, io, view, &rows).await } else { Vec::new() };
        for (n, row) in rows {
            let Some((_, body)) = bodies.next_if(|(uid, _)| *uid == row.uid) else {
                outcome = Err(StoreError::MailboxGone(mailbox).into());
                continue;
            };
            let seen = seen.iter().find(|changed| changed.uid == row.uid);
            let mut message = Message::new(&service.structures, body);
            if let Err(error) = one(io, view, items, n, seen.unwrap_or(&row), seen.is_some(), &mut message).await? {
                if let Unread::Store(error) = &error {
                    tracing::error!(%error, uid = row.uid.get(), "a message can't be read");
                }
                outcome = Err(error);
            }
            io.relieve().await?;
        }
    }
    Ok(outcome)
}

/// RFC 3501 §6.4.5: BODY[…] sets \Seen. Returns the rows that this changed, which the answer has to show.
async fn set_seen(
    service: &Service,
    io: &mut Io<'_>,
    view: &mut View,
    rows: &[(usize, MessageRow)],
) -> Vec<MessageRow> {
    let unseen = rows.iter().filter(|(_, row)| !row.flags.contains(Flags::SEEN)).map(|(_, row)| row.uid);
    let uids: Vec<mail::Uid> = unseen.collect();
    if uids.is_empty() {
        return Vec::new();
    }
    let change =
        FlagChange { operation: FlagOperation::Add, flags: Flags::SEEN, keywords: Vec::new(), unchanged_since: None };
    if let Err(error) = service.store.set_flags(view.mailbox, &uids, change).await {
        // Reading works even where nothing can be written.
        tracing::warn!(%error, "\\Seen is not set");
        return Vec::new();
    }
    let Some(newest) = view.watch.newest() else { return Vec::new() };
    view.tell_keywords(&mut io.out, &newest);
    let changed: Vec<MessageRow> = uids.iter().filter_map(|uid| newest.by_uid(*uid)).collect();
    view.has_told(&newest, &changed);
    changed
}

/// How an answer goes out while it is still being written.
#[derive(Default)]
pub(crate) struct Sending {
    /// Some of it has been sent, so it can't be taken back.
    pub(crate) begun: bool,
    /// Behind what is written now nothing can fail.
    pub(crate) is_sure: bool,
}

/// One message's answer. The inner error leaves nothing of it in the output.
async fn one(
    io: &mut Io<'_>,
    view: &View,
    items: &[Prepared<'_>],
    n: usize,
    row: &MessageRow,
    seen_now: bool,
    message: &mut Message<'_>,
) -> Result<Result<(), Unread>, End> {
    let from = io.out.len();
    let mut sending = Sending::default();
    let enabled = io.enabled;
    View::begin(&mut io.out, n, row.uid, enabled);
    for (place, prepared) in items.iter().enumerate() {
        if place > 0 {
            io.out.push(b' ');
        }
        sending.is_sure = !items[place + 1..].iter().any(|later| needs_message(later.item));
        let written = match prepared.item {
            Item::Section(section) => self::section(io, section, &prepared.label, message, &mut sending).await?,
            Item::Envelope | Item::Body | Item::BodyStructure => described(&mut io.out, prepared.item, message).await,
            Item::Preview { .. } => preview(message).await.map_err(Unread::Store).map(|text| {
                io.out.extend_from_slice(b"PREVIEW ");
                write::string(&mut io.out, text.as_bytes());
            }),
            Item::Binary(binary) => binary::part(io, binary, &prepared.label, message, &mut sending).await?,
            Item::BinarySize(path) => binary::size(&mut io.out, path, message).await,
            item => {
                indexed(&mut io.out, view, row, &view.told, item, enabled);
                Ok(())
            }
        };
        if let Err(error) = written {
            if sending.begun {
                // Half of the answer is gone already: the client must not take what follows for the rest.
                return Err(End::Failed);
            }
            io.out.truncate(from);
            return Ok(Err(error));
        }
    }
    if seen_now {
        if !items.iter().any(|prepared| *prepared.item == Item::Flags) {
            io.out.push(b' ');
            view.flags(&mut io.out, row, &view.told, enabled);
        }
        if enabled.condstore && !items.iter().any(|prepared| *prepared.item == Item::ModSeq) {
            io.out.push(b' ');
            indexed(&mut io.out, view, row, &view.told, &Item::ModSeq, enabled);
        }
    }
    io.out.extend_from_slice(b")\r\n");
    Ok(Ok(()))
}

async fn described(out: &mut Vec<u8>, item: &Item, message: &mut Message<'_>) -> Result<(), Unread> {
    let structure = message.structure().await?;
    match item {
        Item::Envelope => {
            out.extend_from_slice(b"ENVELOPE ");
            digest::write_envelope(out, structure.root().envelope.as_deref());
        }
        Item::Body => {
            out.extend_from_slice(b"BODY ");
            structure::body_structure(out, &structure, false);
        }
        _ => {
            out.extend_from_slice(b"BODYSTRUCTURE ");
            structure::body_structure(out, &structure, true);
        }
    }
    Ok(())
}

/// `BODY[…] nstring`
pub(crate) async fn section(
    io: &mut Io<'_>,
    section: &Section,
    label: &[u8],
    message: &mut Message<'_>,
    sending: &mut Sending,
) -> Result<Result<(), Unread>, End> {
    io.out.extend_from_slice(label);
    io.out.push(b' ');
    match place(section, message).await {
        Ok(Place::Nowhere) => {
            io.out.extend_from_slice(b"NIL");
            Ok(Ok(()))
        }
        Ok(Place::Picked(picked)) => {
            let wanted = partial(section.partial, 0..picked.len() as u64);
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(picked.len());
            literal(&mut io.out, &picked[place(wanted.start)..place(wanted.end)]);
            Ok(Ok(()))
        }
        Ok(Place::Range(range)) => stream(io, partial(section.partial, range), message, sending).await,
        Err(error) => Ok(Err(error.into())),
    }
}

/// What a section is in a message.
pub(crate) enum Place {
    /// There is no such part.
    Nowhere,
    /// These octets of it.
    Range(Range<u64>),
    /// Fields that were picked out of a header.
    Picked(Vec<u8>),
}

/// Where a section is in the message.
pub(crate) async fn place(section: &Section, message: &mut Message<'_>) -> Result<Place, StoreError> {
    let Some(range) = range(section, message).await? else { return Ok(Place::Nowhere) };
    let (Text::Fields(names) | Text::FieldsNot(names)) = &section.text else { return Ok(Place::Range(range)) };
    let header = message.read_whole(looked_at(range)).await?;
    let header = Header::of(&header);
    let is_not = matches!(section.text, Text::FieldsNot(_));
    Ok(Place::Picked(if is_not { header.select_not(names) } else { header.select(names) }))
}

/// The octets of a section, or of the header of which it picks fields; the message's own header and whole need no structure.
async fn range(section: &Section, message: &mut Message<'_>) -> Result<Option<Range<u64>>, StoreError> {
    let size = message.size();
    let what = match section.text {
        Text::Whole if section.path.is_empty() => return Ok(Some(0..size)),
        Text::Header | Text::Fields(_) | Text::FieldsNot(_) if section.path.is_empty() => {
            return message.header().await.map(Some);
        }
        Text::Text if section.path.is_empty() => return Ok(Some(message.header().await?.end..size)),
        Text::Whole => Named::Whole,
        Text::Header | Text::Fields(_) | Text::FieldsNot(_) => Named::Header,
        Text::Text => Named::Text,
        Text::Mime => Named::Mime,
    };
    Ok(message.structure().await?.section(&section.path, what))
}

/// RFC 3501 §6.4.5: a partial range is cut at the end; one that begins beyond it is empty.
pub(crate) fn partial(wanted: Option<(u64, u64)>, range: Range<u64>) -> Range<u64> {
    match wanted {
        None => range,
        Some((start, count)) => {
            let from = range.start.saturating_add(start).min(range.end);
            from..from.saturating_add(count).min(range.end)
        }
    }
}

/// Octets of a message are always a literal, but nothing at all is `""`.
pub(crate) fn literal(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_empty() {
        out.extend_from_slice(b"\"\"");
    } else {
        write::literal(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
    }
}

/// Sends a range piece by piece. The first is read before its length is announced.
pub(crate) async fn stream(
    io: &mut Io<'_>,
    range: Range<u64>,
    message: &mut Message<'_>,
    sending: &mut Sending,
) -> Result<Result<(), Unread>, End> {
    if range.is_empty() {
        io.out.extend_from_slice(b"\"\"");
        return Ok(Ok(()));
    }
    let mut at = range.start;
    while at < range.end {
        let piece = match message.read(at..range.end).await {
            Ok(piece) if piece.is_empty() => return Ok(Err(StoreError::Failed("a message ended early".into()).into())),
            Ok(piece) => piece,
            Err(error) => return Ok(Err(error.into())),
        };
        if at == range.start {
            write::literal(&mut io.out, range.end - range.start);
        }
        at += piece.len() as u64;
        if at < range.end || (sending.is_sure && io.out.len() + piece.len() >= limits::IMAP_OUTPUT) {
            sending.begun = true;
            io.send(&piece).await?;
        } else {
            io.out.extend_from_slice(&piece);
        }
    }
    Ok(Ok(()))
}
