//! APPEND (RFC 3501 §6.3.11) of one or several messages (RFC 3502), also put together of parts (RFC 4469). A message streams
//! into the store's stage.

use std::collections::VecDeque;
use std::sync::Arc;

use mail::{AccountId, MailboxId, Rights, Timestamp, Uid, limits};
use store::{AppendMessage, Appended, Stage, StoreError};
use wire::imap::SequenceSet;
use wire::imap::append::{self, Append, Data, Next, Open, Parts, Tail, tail};
use wire::imap::frame::{Framed, Limits, Literal};
use wire::imap::reply::{Code, Reply};

use crate::access::{Found, find, keep_permitted};
use crate::catenate::{Shelf, copy};
use crate::host::{End, Patience};
use crate::io::Io;
use crate::refusal::target_refusal;
use crate::session::Service;

pub(crate) type Staged = (Box<dyn Stage>, AppendMessage);

/// An APPEND up to its first literal was read; takes the rest. An empty reply: it is committing, and answered later
/// (only where the mailbox is not the selected one, whose client is told of the message before the reply).
pub(crate) async fn append(
    service: &Arc<Service>,
    io: &mut Io<'_>,
    tag: &str,
    (account, selected): (AccountId, Option<MailboxId>),
    command: Append,
    literal: Option<Literal>,
) -> Result<Reply, End> {
    let Found { id: target, rights, .. } = match find(service, account, &command.mailbox, Rights::INSERT).await {
        Ok(found) => found,
        Err(error) => return refuse(io, literal, target_refusal(&error)).await,
    };
    let shelf = Shelf { service, account, rights };
    let messages = match gather(&shelf, io, command.messages, literal).await? {
        Ok(messages) => messages,
        Err(reply) => return Ok(reply),
    };
    let commit = put(service.clone(), target, messages, io.host.now());
    if selected == Some(target) {
        let (reply, uids) = commit.await;
        io.own = uids;
        return Ok(reply);
    }
    io.commit_meanwhile(tag, async { commit.await.0 }).await;
    Ok(Reply::ok(""))
}

/// Takes all messages of an APPEND. The inner error is the reply to a command whose rest is dropped already.
pub(crate) async fn gather(
    shelf: &Shelf<'_>,
    io: &mut Io<'_>,
    messages: Vec<append::AppendMessage>,
    mut literal: Option<Literal>,
) -> Result<Result<Vec<Staged>, Reply>, End> {
    let mut queue = VecDeque::from(messages);
    let mut done: Vec<Staged> = Vec::new();
    while let Some(message) = queue.pop_front() {
        if done.len() >= limits::IMAP_APPEND_MESSAGES {
            let reply = Reply::no(Code::Limit, "Too many messages in one command");
            return refuse(io, literal, reply).await.map(Err);
        }
        match one(shelf, io, message, &mut literal, &mut queue).await? {
            Ok(staged) => done.push(staged),
            Err(reply) => return Ok(Err(reply)),
        }
    }
    Ok(Ok(done))
}

/// Takes one message: its literal, or its parts one after the other. `literal` is what the line announced at whose end we
/// are; messages that begin in the lines after it join `queue`.
async fn one(
    shelf: &Shelf<'_>,
    io: &mut Io<'_>,
    message: append::AppendMessage,
    literal: &mut Option<Literal>,
    queue: &mut VecDeque<append::AppendMessage>,
) -> Result<Result<Staged, Reply>, End> {
    let append::AppendMessage { flags, date, data } = message;
    let (open, mut parts) = match data {
        Data::Literal => (Open::Nothing, Parts { urls: Vec::new(), next: Next::Text }),
        Data::Utf8 => (Open::Utf8, Parts { urls: Vec::new(), next: Next::Text }),
        Data::Catenate(parts) => (Open::Catenate, parts),
    };
    let expected = literal.filter(|_| open != Open::Catenate).map(|literal| literal.len);
    let begun = begin(shelf.service, io, date, open, expected).await;
    let (mut stage, internal_date) = match begun {
        Ok(begun) => begun,
        Err(reply) => return refuse(io, *literal, reply).await.map(Err),
    };
    loop {
        for url in &parts.urls {
            if let Err(reply) = copy(shelf, io, url, &mut stage).await {
                return refuse(io, *literal, reply).await.map(Err);
            }
        }
        if parts.next == Next::End {
            break;
        }
        let Some(announced) = literal.take() else { return Ok(Err(Reply::bad("The message is missing"))) };
        if let Err(reply) = fill(shelf, io, parts.next, announced, &mut stage).await? {
            return Ok(Err(reply));
        }
        match after(io, open).await? {
            Err(reply) => return Ok(Err(reply)),
            Ok((tail, next)) => {
                *literal = next;
                queue.extend(tail.messages);
                match tail.parts {
                    Some(more) => parts = more,
                    None => break,
                }
            }
        }
    }
    // RFC 3502 §6.3.11 and RFC 3501: a message of no octets means that nothing is to be appended.
    if stage.is_empty() {
        return refuse(io, *literal, Reply::no(Code::ClientBug, "The message is empty")).await.map(Err);
    }
    let mut message = AppendMessage { flags: flags.system, keywords: flags.keywords, internal_date };
    keep_permitted(shelf.rights, &mut message.flags, &mut message.keywords);
    Ok(Ok((stage, message)))
}

async fn begin(
    service: &Service,
    io: &Io<'_>,
    date: Option<Vec<u8>>,
    open: Open,
    expected: Option<u64>,
) -> Result<(Box<dyn Stage>, Timestamp), Reply> {
    // RFC 6855 §4
    if open == Open::Utf8 && !io.enabled.utf8 {
        return Err(Reply::bad("ENABLE UTF8=ACCEPT first"));
    }
    let internal_date = match date {
        None => io.host.now(),
        Some(text) => match message::date::parse_imap(&text) {
            Some(date) => date.timestamp,
            None => return Err(Reply::bad("The date is broken")),
        },
    };
    let most = io.host.message_size();
    if expected.is_some_and(|len| len > most) {
        return Err(too_big(most));
    }
    if expected == Some(0) {
        return Err(Reply::no(Code::ClientBug, "The message is empty"));
    }
    let stage = service.store.stage(expected).await.map_err(|error| target_refusal(&error))?;
    Ok((stage, internal_date))
}

pub(crate) fn too_big(most: u64) -> Reply {
    Reply::no(Code::TooBig, format!("A message has {most} octets at most"))
}

/// Takes an announced literal: a text goes into the stage, a URL is followed. The inner error is the reply to a command whose
/// rest is dropped already.
async fn fill(
    shelf: &Shelf<'_>,
    io: &mut Io<'_>,
    what: Next,
    literal: Literal,
    stage: &mut Box<dyn Stage>,
) -> Result<Result<(), Reply>, End> {
    let most = io.host.message_size();
    if what == Next::Text {
        if stage.len().saturating_add(literal.len) > most {
            return discard(io, literal, too_big(most)).await.map(Err);
        }
        if literal.sync {
            io.out.extend_from_slice(b"+ Go on\r\n");
        }
        return match receive(io, literal.len, &mut Sink::Stage(stage)).await? {
            Ok(()) => Ok(Ok(())),
            Err(error) => finish_discarding(io, target_refusal(&error)).await.map(Err),
        };
    }
    if literal.len > limits::IMAP_LITERAL_LEN as u64 {
        return discard(io, literal, Reply::bad("The URL is too long")).await.map(Err);
    }
    if literal.sync {
        io.out.extend_from_slice(b"+ Go on\r\n");
    }
    let mut url = Vec::new();
    receive(io, literal.len, &mut Sink::Memory(&mut url)).await?.ok();
    match copy(shelf, io, &url, stage).await {
        Ok(()) => Ok(Ok(())),
        Err(reply) => finish_discarding(io, reply).await.map(Err),
    }
}

async fn put(service: Arc<Service>, target: MailboxId, messages: Vec<Staged>, now: Timestamp) -> (Reply, Vec<Uid>) {
    match service.store.append(target, messages, now).await {
        // RFC 4315 §3
        Ok(appended) => {
            let Appended { uid_validity, uids } = appended.into_inner();
            let set = SequenceSet::of(uids.iter().map(|uid| uid.get()));
            (Reply::ok("Appended").with_code(format!("APPENDUID {} {set}", uid_validity.0)), uids)
        }
        Err(error) => (target_refusal(&error), Vec::new()),
    }
}

/// Where a literal goes.
enum Sink<'s> {
    Stage(&'s mut Box<dyn Stage>),
    Memory(&'s mut Vec<u8>),
    Nowhere,
}

impl Sink<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        match self {
            Self::Stage(stage) => stage.write(bytes).await,
            Self::Memory(all) => {
                all.extend_from_slice(bytes);
                Ok(())
            }
            Self::Nowhere => Ok(()),
        }
    }
}

/// A literal, or what is left of one. The inner error is the store's; all of it was read then.
async fn receive(io: &mut Io<'_>, len: u64, sink: &mut Sink<'_>) -> Result<Result<(), StoreError>, End> {
    let (mut left, mut outcome) = (len, Ok(()));
    loop {
        let framed = io.next(&Limits::AUTHENTICATED, Patience::Authenticated).await?;
        let Framed::Piece(count) = framed else { return Ok(outcome) };
        if outcome.is_ok() {
            outcome = sink.write(&io.input()[..count]).await;
        }
        io.consume(count);
        io.compact();
        left = left.saturating_sub(count as u64);
        if left == 0 {
            return Ok(outcome);
        }
    }
}

/// The line after a literal, and the literal that it announces. The inner error is the reply to a command whose rest is
/// dropped already.
async fn after(io: &mut Io<'_>, open: Open) -> Result<Result<(Tail, Option<Literal>), Reply>, End> {
    let framed = io.next(&Limits::AUTHENTICATED, Patience::Authenticated).await?;
    let (count, literal) = match framed {
        Framed::End(count) => (count, None),
        Framed::Message(count, literal) => (count, Some(literal)),
        Framed::Refused(count, refusal) => {
            io.consume(count);
            return Ok(Err(Reply::bad(refusal.why)));
        }
        _ => return Ok(Err(Reply::bad("The command is broken"))),
    };
    let read = tail(&io.input()[..count], open);
    io.consume(count);
    match read {
        Ok(tail) if tail.announces() == literal.is_some() => Ok(Ok((tail, literal))),
        Ok(_) => refuse(io, literal, Reply::bad("There is more than the command takes")).await.map(Err),
        Err(bad) => refuse(io, literal, Reply::bad(bad.0)).await.map(Err),
    }
}

/// Refuses a command at the end of a line that announced `literal` or nothing.
pub(crate) async fn refuse(io: &mut Io<'_>, literal: Option<Literal>, reply: Reply) -> Result<Reply, End> {
    match literal {
        Some(literal) => discard(io, literal, reply).await,
        None => Ok(reply),
    }
}

/// Refuses a message that is announced: a client that waits is told at once, another's message is read and dropped.
pub(crate) async fn discard(io: &mut Io<'_>, literal: Literal, reply: Reply) -> Result<Reply, End> {
    if literal.sync {
        io.refuse_message();
        return Ok(reply);
    }
    if literal.len > limits::IMAP_DISCARDED_LITERAL as u64 {
        reply.write(&mut io.out, "*");
        io.flush().await?;
        return Err(End::Failed);
    }
    receive(io, literal.len, &mut Sink::Nowhere).await?.ok();
    finish_discarding(io, reply).await
}

/// Drops the rest of an APPEND whose message was read.
async fn finish_discarding(io: &mut Io<'_>, reply: Reply) -> Result<Reply, End> {
    let framed = io.next(&Limits::AUTHENTICATED, Patience::Authenticated).await?;
    match framed {
        Framed::Message(count, literal) => {
            io.consume(count);
            Box::pin(discard(io, literal, reply)).await
        }
        Framed::End(count) | Framed::Refused(count, _) => {
            io.consume(count);
            Ok(reply)
        }
        _ => Ok(reply),
    }
}
