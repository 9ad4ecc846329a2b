//! STORE, COPY, MOVE, EXPUNGE and CLOSE (RFC 3501 §6.4, RFC 4315, RFC 6851, RFC 7162).

use mail::{AccountId, Flags, ModSeq, Rights, Uid};
use store::{CopyOutcome, FlagChange, FlagOperation, MessageRow, StoreError};
use wire::imap::change::{Operation, Store};
use wire::imap::command::Transfer;
use wire::imap::reply::{Code, Reply};
use wire::imap::write;
use wire::imap::{MessageSet, SequenceSet};

use crate::access::{Found, find, flags_of, keep_permitted};
use crate::host::End;
use crate::io::Io;
use crate::refusal::{refusal, target_refusal};
use crate::session::{Service, User};
use crate::view::View;

/// STORE and UID STORE.
pub(crate) async fn store(service: &Service, io: &mut Io<'_>, view: &mut View, command: &Store) -> Result<Reply, End> {
    if let Some(refused) = view.refuses(Rights::NONE) {
        return Ok(refused);
    }
    let Some(change) = permitted(view.access.rights, command) else { return Ok(refusal(&StoreError::Forbidden)) };
    let (before, places) = (view.told.clone(), view.places(command.uid, &command.set));
    let uids: Vec<Uid> = places.iter().cloned().flat_map(|range| before.range(range)).map(|row| row.uid).collect();
    if uids.is_empty() {
        return Ok(Reply::ok("There is nothing to change"));
    }
    let outcome = match service.store.set_flags(view.mailbox, &uids, change).await {
        Ok(outcome) => outcome.into_inner(),
        Err(error) => return Ok(refusal(&error)),
    };
    let Some(newest) = view.watch.newest() else { return Ok(refusal(&StoreError::MailboxGone(view.mailbox))) };
    let enabled = io.enabled;
    view.tell_keywords(&mut io.out, &newest);
    let mut told: Vec<MessageRow> = Vec::with_capacity(outcome.stored.len());
    let mut stored = outcome.stored.iter().peekable();
    for range in places {
        // All three ascend: what the client knows, what was stored, and what is there now.
        let first = before.get(range.start).map_or(Uid::FIRST, |row| row.uid);
        let mut now = newest.range(newest.find(first).unwrap_or_else(|at| at)..newest.len()).peekable();
        for (at, old) in (range.start..).zip(before.range(range)) {
            while stored.next_if(|uid| **uid < old.uid).is_some() {}
            while now.next_if(|row| row.uid < old.uid).is_some() {}
            let (Some(_), Some(row)) = (stored.next_if_eq(&&old.uid), now.next_if(|row| row.uid == old.uid)) else {
                continue;
            };
            // RFC 3501 §6.4.6: .SILENT is for what the client can work out; what another session changed too is told.
            if !command.silent || !as_asked(&old, &row, command, &newest) {
                view.write_flags(&mut io.out, at + 1, &row, &newest, command.uid, enabled);
            } else if enabled.condstore {
                // RFC 7162 §3.1.3: the MODSEQ is told even so.
                modseq_only(io, at + 1, &row);
            }
            told.push(row);
            io.relieve().await?;
        }
    }
    let missing = outcome.stored.len() + outcome.modified.len() < uids.len();
    view.has_told(&newest, &told);
    Ok(if !outcome.modified.is_empty() {
        let numbers: Vec<u32> = outcome.modified.iter().filter_map(|uid| number(view, command.uid, *uid)).collect();
        let code = format!("MODIFIED {}", SequenceSet::of(numbers));
        Reply::ok("Some were changed meanwhile and left alone").with_code(code)
    } else if missing && !command.uid {
        // RFC 2180 §4.2.1
        Reply::no(Code::ExpungeIssued, "Some of the messages are gone")
    } else {
        Reply::ok("Stored")
    })
}

/// What of a STORE may be done (RFC 4314 §4: flags that may not be changed stay as they are); `None`: nothing.
fn permitted(rights: Rights, command: &Store) -> Option<FlagChange> {
    let (among, keywords) = (flags_of(rights), rights.contains(Rights::WRITE));
    let operation = match command.operation {
        Operation::Add => FlagOperation::Add,
        Operation::Remove => FlagOperation::Remove,
        Operation::Replace if rights == Rights::ALL => FlagOperation::Replace,
        Operation::Replace => FlagOperation::ReplaceAmong { flags: among, keywords },
    };
    let mut change = FlagChange {
        operation,
        flags: command.flags.system,
        keywords: command.flags.keywords.clone(),
        unchanged_since: command.unchanged_since.map(ModSeq),
    };
    let asked = (change.flags, change.keywords.len());
    keep_permitted(rights, &mut change.flags, &mut change.keywords);
    let left = change.flags.is_empty() && change.keywords.is_empty();
    let is_nothing = asked != (change.flags, change.keywords.len()) && left || among.is_empty();
    (!is_nothing).then_some(change)
}

fn number(view: &View, uid: bool, of: Uid) -> Option<u32> {
    if uid { Some(of.get()) } else { view.told.find(of).ok().and_then(|at| u32::try_from(at + 1).ok()) }
}

/// Whether a row is what the client works out from what it knew and asked.
fn as_asked(old: &MessageRow, new: &MessageRow, command: &Store, names: &store::Snapshot) -> bool {
    let mut asked = 0u64;
    for (bit, keyword) in names.keywords.iter().enumerate().take(64) {
        if command.flags.keywords.contains(keyword) {
            asked |= 1 << bit;
        }
    }
    let (flags, keywords) = match command.operation {
        Operation::Add => (old.flags.with(command.flags.system), old.keywords | asked),
        Operation::Remove => (old.flags.without(command.flags.system), old.keywords & !asked),
        // Where not all flags may be changed, what came of it is always told.
        Operation::Replace => (command.flags.system, asked),
    };
    (new.flags, new.keywords) == (flags, keywords)
}

fn modseq_only(io: &mut Io<'_>, n: usize, row: &MessageRow) {
    View::begin(&mut io.out, n, row.uid, io.enabled);
    let out = &mut io.out;
    if !io.enabled.uidonly {
        out.extend_from_slice(b"UID ");
        write::number(out, u64::from(row.uid.get()));
        out.push(b' ');
    }
    out.extend_from_slice(b"MODSEQ (");
    write::number(out, row.modseq.0);
    out.extend_from_slice(b"))\r\n");
}

/// Where messages may be put.
pub(crate) async fn target(service: &Service, account: AccountId, name: &str) -> Result<Found, Reply> {
    find(service, account, name, Rights::INSERT).await.map_err(|error| target_refusal(&error))
}

/// RFC 4314 §4: copies keep only the flags that may be set where they came.
async fn strip(service: &Service, to: &Found, outcome: &CopyOutcome) {
    let permitted = flags_of(to.rights);
    let (others, keywords) = (Flags::ALL.without(permitted), !to.rights.contains(Rights::WRITE));
    if others.is_empty() && !keywords {
        return;
    }
    let uids: Vec<Uid> = outcome.uids.iter().map(|(_, to)| *to).collect();
    let operation = FlagOperation::ReplaceAmong { flags: others, keywords };
    let change = FlagChange { operation, flags: Flags::NONE, keywords: Vec::new(), unchanged_since: None };
    if let Err(error) = service.store.set_flags(to.id, &uids, change).await {
        tracing::warn!(%error, "flags that may not be set there were copied");
    }
}

/// The client knows of what it puts where it is.
fn note_own(io: &mut Io<'_>, view: &View, to: &Found, outcome: &CopyOutcome) {
    if to.id == view.mailbox {
        io.own = outcome.uids.iter().map(|(_, to)| *to).collect();
    }
}

/// RFC 4315 §3: `COPYUID uidvalidity source destination`
fn copy_uid(outcome: &CopyOutcome) -> String {
    let from = SequenceSet::of(outcome.uids.iter().map(|(from, _)| from.get()));
    let to = SequenceSet::of(outcome.uids.iter().map(|(_, to)| to.get()));
    format!("COPYUID {} {from} {to}", outcome.uid_validity.0)
}

/// COPY and UID COPY.
pub(crate) async fn copy(
    service: &Service,
    io: &mut Io<'_>,
    view: &View,
    account: AccountId,
    command: &Transfer,
) -> Reply {
    let to = match target(service, account, &command.mailbox).await {
        Ok(to) => to,
        Err(reply) => return reply,
    };
    let uids = view.uids(command.uid, &command.set);
    if uids.is_empty() {
        return Reply::ok("There is nothing to copy");
    }
    match service.store.copy(view.mailbox, &uids, to.id, io.host.now()).await {
        Err(error) => target_refusal(&error),
        Ok(outcome) => {
            let outcome = outcome.into_inner();
            strip(service, &to, &outcome).await;
            note_own(io, view, &to, &outcome);
            if outcome.uids.is_empty() { gone(command.uid) } else { Reply::ok("Copied").with_code(copy_uid(&outcome)) }
        }
    }
}

/// The messages named are all gone (RFC 2180 §4.4); UID forms pass over them.
fn gone(uid: bool) -> Reply {
    if uid { Reply::ok("They are gone") } else { Reply::no(Code::ExpungeIssued, "The messages are gone") }
}

/// MOVE and UID MOVE. RFC 6851 §4.3: COPYUID comes in an untagged OK before the EXPUNGEs, which follow before the reply.
pub(crate) async fn move_messages(
    service: &Service,
    io: &mut Io<'_>,
    view: &mut View,
    user: &User,
    command: &Transfer,
) -> Result<Reply, End> {
    // RFC 6851 §4.4: as COPY, STORE and EXPUNGE.
    if let Some(refused) = view.refuses(Rights::DELETED.with(Rights::EXPUNGE)) {
        return Ok(refused);
    }
    let to = match target(service, user.identity.account, &command.mailbox).await {
        Ok(to) => to,
        Err(reply) => return Ok(reply),
    };
    let uids = view.uids(command.uid, &command.set);
    if uids.is_empty() {
        return Ok(Reply::ok("There is nothing to move"));
    }
    Ok(match service.store.move_messages(view.mailbox, &uids, to.id, io.host.now()).await {
        Err(error) => target_refusal(&error),
        Ok(outcome) => {
            let outcome = outcome.into_inner();
            strip(service, &to, &outcome).await;
            note_own(io, view, &to, &outcome);
            if outcome.uids.is_empty() {
                gone(command.uid)
            } else {
                io.out.extend_from_slice(format!("* OK [{}] Moved\r\n", copy_uid(&outcome)).as_bytes());
                Reply::ok("Moved")
            }
        }
    })
}

/// EXPUNGE, and UID EXPUNGE of a set (RFC 4315 §2.1). What another session removed meanwhile is told with it.
pub(crate) async fn expunge(service: &Service, view: &mut View, set: Option<&MessageSet>) -> Reply {
    if let Some(refused) = view.refuses(Rights::EXPUNGE) {
        return refused;
    }
    // What others marked and we were not told of yet goes too, as with any server.
    let newest = view.watch.newest();
    let mailbox = newest.as_deref().unwrap_or(&view.told);
    let deleted = |row: &MessageRow| row.flags.contains(Flags::DELETED);
    let uids: Vec<Uid> = match set {
        None => mailbox.iter().filter(deleted).map(|row| row.uid).collect(),
        Some(set) => {
            let places = crate::view::places(mailbox, true, set, &view.saved);
            places.into_iter().flat_map(|range| mailbox.range(range)).filter(deleted).map(|row| row.uid).collect()
        }
    };
    if uids.is_empty() {
        return Reply::ok("There is nothing to remove");
    }
    match service.store.expunge(view.mailbox, &uids).await {
        Ok(_) => Reply::ok("Removed"),
        Err(error) => refusal(&error),
    }
}

/// CLOSE (RFC 3501 §6.4.2): removes without telling; read-only it removes nothing.
pub(crate) async fn close(service: &Service, view: &View) -> Reply {
    // RFC 4314 §4: without the right it closes all the same, and removes nothing.
    if view.refuses(Rights::EXPUNGE).is_some() {
        return Reply::ok("Closed");
    }
    let mut watch = view.watch.clone();
    let Some(newest) = watch.newest() else { return Reply::ok("Closed") };
    let deleted = newest.iter().filter(|row| row.flags.contains(Flags::DELETED));
    let uids: Vec<Uid> = deleted.map(|row| row.uid).collect();
    if uids.is_empty() {
        return Reply::ok("Closed");
    }
    match service.store.expunge(view.mailbox, &uids).await {
        Ok(_) => Reply::ok("Closed"),
        Err(error) => refusal(&error),
    }
}
