//! GETMETADATA and SETMETADATA (RFC 5464), METADATA in LIST (RFC 9590). What others change is told by `notify`.
//!
//! What is private of a mailbox is its owner's alone; what is shared is for all who may read it. The server's own
//! annotations are private to the account; the shared ones are the operator's, and there is one: how to reach him.

use std::collections::HashSet;

use mail::{AccountId, Rights, limits};
use store::{Annotation, AnnotationChange, StoreError, StoreResult};
use wire::imap::metadata::{Depth, GetMetadata, SetMetadata};
use wire::imap::reply::{Code, Reply};
use wire::imap::write;

use crate::access::{find, is_others};
use crate::host::End;
use crate::io::Io;
use crate::refusal::refusal;
use crate::session::{Service, User};

/// How to reach the operator (RFC 5464 §3.2.1.1): of the server, read-only.
const ADMIN: &str = "/shared/admin";

/// GETMETADATA.
pub(crate) async fn get(
    service: &Service,
    io: &mut Io<'_>,
    account: AccountId,
    command: &GetMetadata,
) -> Result<Reply, End> {
    let mailbox = command.mailbox.as_deref();
    let there = match there(service, account, mailbox).await {
        Ok(there) => there,
        Err(error) => return Ok(refusal(&error)),
    };
    let chosen = chosen(&there, command.depth, &command.entries);
    let most = command.max_size.unwrap_or(u32::MAX) as usize;
    let (told, longer): (Vec<_>, Vec<_>) =
        chosen.into_iter().partition(|(_, value)| value.is_none_or(|value| value.len() <= most));
    tell(io, mailbox.unwrap_or_default(), &told).await?;
    let longest = longer.iter().filter_map(|(_, value)| value.map(<[u8]>::len)).max();
    let reply = Reply::ok("That is what is noted");
    // RFC 5464 §4.2.1
    Ok(match longest {
        Some(longest) => reply.with_code(format!("METADATA LONGENTRIES {longest}")),
        None => reply,
    })
}

/// What LIST says of a mailbox; one that went meanwhile has nothing (RFC 9590 §3).
pub(crate) async fn list(
    service: &Service,
    io: &mut Io<'_>,
    account: AccountId,
    mailbox: &str,
    entries: &[String],
) -> Result<StoreResult<()>, End> {
    match there(service, account, Some(mailbox)).await {
        Ok(there) => tell(io, mailbox, &chosen(&there, Depth::Zero, entries)).await.map(Ok),
        Err(StoreError::NoMailbox(_) | StoreError::Forbidden) => Ok(Ok(())),
        Err(error) => Ok(Err(error)),
    }
}

/// All annotations of a mailbox or of the server.
async fn there(service: &Service, account: AccountId, mailbox: Option<&str>) -> StoreResult<Vec<Annotation>> {
    if let Some(name) = mailbox.filter(|name| is_others(name)) {
        // RFC 5464 §3.3: who may look and do something there reads what is shared; what is private is the owner's.
        let found = find(service, account, name, Rights::LOOKUP).await?;
        if !READERS.iter().any(|right| found.rights.contains(*right)) {
            return Err(StoreError::Forbidden);
        }
        let mut there = service.store.annotations(found.owner, Some(&found.name)).await?;
        there.retain(|annotation| is_shared(&annotation.entry));
        return Ok(there);
    }
    let mut there = service.store.annotations(account, mailbox).await?;
    if mailbox.is_none()
        && let Some(account) = service.store.account(account).await?
    {
        // RFC 2142 §5: postmaster reaches somebody in every domain.
        let value = format!("mailto:postmaster@{}", account.address.domain());
        there.push(Annotation { entry: ADMIN.into(), value: value.into_bytes() });
    }
    Ok(there)
}

/// RFC 5464 §3.3: with `l`, one of these.
const READERS: [Rights; 5] = [Rights::READ, Rights::SEEN, Rights::WRITE, Rights::INSERT, Rights::POST];

fn is_shared(entry: &str) -> bool {
    entry.get(..8).is_some_and(|scope| scope.eq_ignore_ascii_case("/shared/"))
}

type Told<'t> = (&'t str, Option<&'t [u8]>);

/// What is asked for, each once.
fn chosen<'t>(there: &'t [Annotation], depth: Depth, entries: &'t [String]) -> Vec<Told<'t>> {
    let mut asked = HashSet::new();
    let distinct: Vec<&str> =
        entries.iter().filter(|entry| asked.insert(entry.to_ascii_lowercase())).map(String::as_str).collect();
    if depth == Depth::Zero {
        // An entry that was named is answered for by that name, with NIL where it has no value.
        let value = |name: &str| {
            let found = there.iter().find(|annotation| annotation.entry.eq_ignore_ascii_case(name));
            found.map(|annotation| annotation.value.as_slice())
        };
        return distinct.into_iter().map(|name| (name, value(name))).collect();
    }
    let is_asked = |annotation: &&Annotation| {
        let name = annotation.entry.to_ascii_lowercase();
        let mut above = name.match_indices('/').map(|(at, _)| &name[..at]).rev();
        asked.contains(&name)
            || match depth {
                Depth::Infinity => above.any(|parent| asked.contains(parent)),
                _ => above.next().is_some_and(|parent| asked.contains(parent)),
            }
    };
    there
        .iter()
        .filter(is_asked)
        .map(|annotation| (annotation.entry.as_str(), Some(annotation.value.as_slice())))
        .collect()
}

/// `* METADATA mailbox (entry value …)`; nothing where there is nothing: the list must not be empty.
async fn tell(io: &mut Io<'_>, mailbox: &str, told: &[Told<'_>]) -> Result<(), End> {
    if told.is_empty() {
        return Ok(());
    }
    begin(io, mailbox);
    for (at, (entry, value)) in told.iter().enumerate() {
        io.out.extend_from_slice(if at == 0 { b"(" } else { b" " });
        write::astring(&mut io.out, entry.as_bytes());
        io.out.push(b' ');
        match value {
            Some(value) => write::string8(&mut io.out, value),
            None => write::nstring(&mut io.out, None),
        }
        io.relieve().await?;
    }
    io.out.extend_from_slice(b")\r\n");
    Ok(())
}

fn begin(io: &mut Io<'_>, mailbox: &str) {
    io.out.extend_from_slice(b"* METADATA ");
    write::mailbox(&mut io.out, mailbox, io.enabled.names());
    io.out.push(b' ');
}

/// SETMETADATA.
pub(crate) async fn set(service: &Service, user: &mut User, command: SetMetadata) -> Reply {
    if command.mailbox.is_none() && command.entries.iter().any(|(entry, _)| is_shared(entry)) {
        // RFC 5464 §3.3: a server may restrict who makes its annotations; all accounts would see these.
        return Reply::no(Code::NoPerm, "What all see of the server is the operator's");
    }
    let all_shared = command.entries.iter().all(|(entry, _)| is_shared(entry));
    let changes = command.entries.into_iter().map(|(entry, value)| AnnotationChange { entry, value }).collect();
    let account = user.identity.account;
    let (owner, mailbox) = match command.mailbox {
        // RFC 5464 §3.3: what is shared takes the right `w`. Of another's mailbox nothing private is kept.
        Some(name) if is_others(&name) => match find(service, account, &name, Rights::LOOKUP.with(Rights::WRITE)).await
        {
            Ok(_) if !all_shared => return refusal(&StoreError::Forbidden),
            Ok(found) => (found.owner, Some(found.name)),
            Err(error) => return refusal(&error),
        },
        mailbox => (account, mailbox),
    };
    match service.store.annotate(owner, mailbox.as_deref(), changes).await {
        Ok(modseq) => {
            if let Some(news) = user.news.as_mut().filter(|_| owner == account) {
                news.own.annotated = modseq.into_inner();
            }
            Reply::ok("Noted")
        }
        // RFC 5464 §4.3
        Err(StoreError::Limit("ANNOTATION_LEN")) => {
            Reply::no(Code::Limit, "That is too long").with_code(format!("METADATA MAXSIZE {}", limits::ANNOTATION_LEN))
        }
        Err(StoreError::Limit("ANNOTATIONS_PER_MAILBOX" | "ANNOTATIONS_PER_ACCOUNT")) => {
            Reply::no(Code::Limit, "There are too many already").with_code("METADATA TOOMANY")
        }
        Err(error) => refusal(&error),
    }
}

/// `* METADATA mailbox entry …`: names, no values (RFC 5464 §4.4).
pub(crate) fn write_entries(io: &mut Io<'_>, mailbox: &str, entries: &[String]) {
    begin(io, mailbox);
    for (at, entry) in entries.iter().enumerate() {
        if at > 0 {
            io.out.push(b' ');
        }
        write::astring(&mut io.out, entry.as_bytes());
    }
    io.out.extend_from_slice(b"\r\n");
}
