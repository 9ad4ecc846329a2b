//! APPEND (RFC 3501 §6.3.11) of one or several messages (RFC 3502). A message streams into the store's stage.

use std::sync::Arc;

use mail::{AccountId, MailboxId, Timestamp, Uid, limits};
use store::{AppendMessage, Stage, StoreError};
use wire::imap::SequenceSet;
use wire::imap::change::{Append, AppendOptions, next_message};
use wire::imap::frame::{Framed, Limits, Literal};
use wire::imap::reply::{Code, Reply};

use crate::host::{End, Patience};
use crate::io::Io;
use crate::refusal::{no_target, target_refusal};
use crate::session::Service;

/// What came after a message.
enum After {
    /// The end of the command.
    End,
    /// Another message.
    Message(Result<AppendOptions, Reply>, Literal),
    /// Something else: the command is refused with this.
    Bad(Reply),
}

type Staged = (Box<dyn Stage>, AppendMessage);

/// An APPEND up to its first message was read; takes the rest. An empty reply: it is committing, and answered later
/// (only where the mailbox is not the selected one, whose client is told of the message before the reply).
pub(crate) async fn append(
    service: &Arc<Service>,
    io: &mut Io<'_>,
    tag: &str,
    (account, selected): (AccountId, Option<MailboxId>),
    command: Append,
    mut literal: Literal,
) -> Result<Reply, End> {
    let target = match service.store.mailbox(account, &command.mailbox).await {
        Ok(Some(target)) => target,
        Ok(None) => return discard(io, literal, no_target()).await,
        Err(error) => return discard(io, literal, target_refusal(&error)).await,
    };
    let mut messages: Vec<Staged> = Vec::new();
    let mut options = command.options;
    loop {
        if messages.len() >= limits::IMAP_APPEND_MESSAGES {
            let reply = Reply::no(Code::Limit, "Too many messages in one command");
            return discard(io, literal, reply).await;
        }
        let (mut stage, message) = match begin(service, io, options, literal).await {
            Ok(begun) => begun,
            Err(reply) => return discard(io, literal, reply).await,
        };
        if literal.sync {
            io.out.extend_from_slice(b"+ Go on\r\n");
        }
        if let Err(error) = receive(io, literal.len, Some(&mut stage)).await? {
            return finish_discarding(io, target_refusal(&error)).await;
        }
        messages.push((stage, message));
        match after(io).await? {
            After::End => break,
            After::Bad(reply) => return Ok(reply),
            After::Message(Ok(next), announced) => (options, literal) = (next, announced),
            After::Message(Err(reply), announced) => return discard(io, announced, reply).await,
        }
    }
    let commit = put(service.clone(), target, messages, io.host.now());
    if selected == Some(target) {
        return Ok(commit.await);
    }
    io.commit_meanwhile(tag, commit).await;
    Ok(Reply::ok(""))
}

async fn begin(service: &Service, io: &Io<'_>, options: AppendOptions, literal: Literal) -> Result<Staged, Reply> {
    let internal_date = match options.date {
        None => io.host.now(),
        Some(text) => match message::date::parse_imap(&text) {
            Some(date) => date.timestamp,
            None => return Err(Reply::bad("The date is broken")),
        },
    };
    let most = io.host.message_size();
    if literal.len > most {
        return Err(Reply::no(Code::TooBig, format!("A message has {most} octets at most")));
    }
    // RFC 3502 §6.3.11 and RFC 3501: a message of no octets means that nothing is to be appended.
    if literal.len == 0 {
        return Err(Reply::no(Code::ClientBug, "The message is empty"));
    }
    let stage = service.store.stage(Some(literal.len)).await.map_err(|error| target_refusal(&error))?;
    let message = AppendMessage { flags: options.flags.system, keywords: options.flags.keywords, internal_date };
    Ok((stage, message))
}

async fn put(service: Arc<Service>, target: MailboxId, messages: Vec<Staged>, now: Timestamp) -> Reply {
    let uids = match service.store.append(target, messages, now).await {
        Ok(uids) => uids.into_inner(),
        Err(error) => return target_refusal(&error),
    };
    let reply = Reply::ok("Appended");
    match service.store.status(target).await {
        // RFC 4315 §3
        Ok(status) => {
            let set = SequenceSet::of(uids.into_iter().map(Uid::get));
            reply.with_code(format!("APPENDUID {} {set}", status.uid_validity.0))
        }
        // Deleted since: the message is no more, and the code with it.
        Err(_) => reply,
    }
}

/// A message, or what is left of one, into `stage` or nowhere. The inner error is the store's: then pieces may be left.
async fn receive(
    io: &mut Io<'_>,
    len: u64,
    mut stage: Option<&mut Box<dyn Stage>>,
) -> Result<Result<(), StoreError>, End> {
    let mut left = len;
    loop {
        let framed = io.next(&Limits::AUTHENTICATED, Patience::Authenticated).await?;
        let Framed::Piece(count) = framed else { return Ok(Ok(())) };
        let written = match &mut stage {
            Some(stage) => stage.write(&io.input()[..count]).await,
            None => Ok(()),
        };
        io.consume(count);
        io.compact();
        left = left.saturating_sub(count as u64);
        match written {
            Err(error) if left > 0 => {
                // The rest of it comes in any case.
                Box::pin(receive(io, left, None)).await?.ok();
                return Ok(Err(error));
            }
            Err(error) => return Ok(Err(error)),
            Ok(()) if left == 0 => return Ok(Ok(())),
            Ok(()) => {}
        }
    }
}

async fn after(io: &mut Io<'_>) -> Result<After, End> {
    let framed = io.next(&Limits::AUTHENTICATED, Patience::Authenticated).await?;
    Ok(match framed {
        Framed::End(count) => {
            let is_end = io.input()[..count].trim_ascii().is_empty();
            io.consume(count);
            if is_end { After::End } else { After::Bad(Reply::bad("There is more than the command takes")) }
        }
        Framed::Message(count, literal) => {
            let options = next_message(&io.input()[..count]).map_err(|bad| Reply::bad(bad.0));
            io.consume(count);
            After::Message(options, literal)
        }
        Framed::Refused(count, refusal) => {
            io.consume(count);
            After::Bad(Reply::bad(refusal.why))
        }
        _ => After::Bad(Reply::bad("The command is broken")),
    })
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
    receive(io, literal.len, None).await?.ok();
    finish_discarding(io, reply).await
}

/// Drops the rest of an APPEND whose message was read.
async fn finish_discarding(io: &mut Io<'_>, reply: Reply) -> Result<Reply, End> {
    match after(io).await? {
        After::End | After::Bad(_) => Ok(reply),
        After::Message(_, literal) => Box::pin(discard(io, literal, reply)).await,
    }
}
