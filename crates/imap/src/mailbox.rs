//! SELECT, EXAMINE, CREATE, DELETE, RENAME, SUBSCRIBE and STATUS (RFC 3501 §6.3).

use mail::{AccountId, Flags, limits};
use store::{MailboxStatus, SpecialUse, StoreError};
use wire::imap::mailbox::{Create, Select, StatusItem};
use wire::imap::reply::{Code, Reply, untagged_ok};
use wire::imap::write;

use crate::host::End;
use crate::io::Io;
use crate::refusal::refusal;
use crate::session::{Service, State, Turn, User};
use crate::view::{View, write_all_flags};

/// SELECT and EXAMINE (RFC 3501 §6.3.1): whatever was selected no longer is, also when this fails.
pub(crate) async fn select(
    service: &Service,
    io: &mut Io<'_>,
    mut user: User,
    before: Option<View>,
    select: Select,
) -> Result<Turn, End> {
    if before.is_some() {
        // RFC 7162 §3.2.11: what follows is about the other mailbox.
        io.out.extend_from_slice(b"* OK [CLOSED] The mailbox before is closed\r\n");
    }
    drop(before);
    user.enabled.condstore |= select.condstore;
    let opened = open(service, user.identity.account, &select).await;
    let mut view = match opened {
        Ok(Some(view)) => view,
        Ok(None) => return Ok((State::Authenticated(user), refusal(&StoreError::NoMailbox(select.mailbox)))),
        Err(error) => return Ok((State::Authenticated(user), refusal(&error))),
    };
    view.claim_recent(service).await;
    describe(&mut io.out, &view);
    let code = if view.read_only { Code::ReadOnly } else { Code::ReadWrite };
    let words = if view.read_only { "You may look" } else { "You may read and write" };
    Ok((State::Selected(user, view), Reply::ok(words).with_code(code.word())))
}

async fn open(service: &Service, account: AccountId, select: &Select) -> Result<Option<View>, StoreError> {
    let Some(id) = service.store.mailbox(account, &select.mailbox).await? else { return Ok(None) };
    let watch = service.store.watch(id).await?;
    Ok(View::new(id, select.read_only, watch))
}

fn describe(out: &mut Vec<u8>, view: &View) {
    let told = &view.told;
    write_all_flags(out, told);
    out.extend_from_slice(b"* OK [PERMANENTFLAGS (");
    if !view.read_only {
        let more = (told.keywords.len() < limits::KEYWORDS_PER_MAILBOX).then_some("\\*");
        let keywords = told.keywords.iter().map(mail::Keyword::as_str).chain(more);
        write::flags(out, Flags::ALL, false, keywords);
    }
    out.extend_from_slice(b")] What is kept\r\n");
    write::counted(out, told.len() as u64, "EXISTS");
    write::counted(out, view.recent_count() as u64, "RECENT");
    if let Some(first) = told.iter().position(|row| !row.flags.contains(Flags::SEEN)) {
        untagged_ok(out, "UNSEEN", first as u64 + 1, "The first unseen");
    }
    untagged_ok(out, "UIDVALIDITY", u64::from(told.uid_validity.0), "UIDs are valid");
    untagged_ok(out, "UIDNEXT", u64::from(told.uid_next.get()), "The next UID");
    untagged_ok(out, "HIGHESTMODSEQ", told.highest_modseq.0, "The last change");
}

/// CREATE (RFC 3501 §6.3.3, RFC 6154 §3).
pub(crate) async fn create(service: &Service, account: AccountId, create: Create) -> Reply {
    let special_use = match create.special_use.as_slice() {
        [] => None,
        [name] => match SpecialUse::ALL.iter().find(|(_, word, _)| word.eq_ignore_ascii_case(name)) {
            Some((special_use, _, _)) => Some(*special_use),
            None => return Reply::no(Code::UseAttr, "There is no such special use here"),
        },
        _ => return Reply::no(Code::UseAttr, "A mailbox has one special use at most"),
    };
    match service.store.create_mailbox(account, &create.mailbox, special_use).await {
        Ok(_) => Reply::ok("Created"),
        Err(error) => refusal(&error),
    }
}

/// DELETE (RFC 3501 §6.3.4).
pub(crate) async fn delete(service: &Service, account: AccountId, name: &str) -> Reply {
    match service.store.delete_mailbox(account, name).await {
        Ok(_) => Reply::ok("Deleted"),
        Err(error) => refusal(&error),
    }
}

/// RENAME (RFC 3501 §6.3.5).
pub(crate) async fn rename(service: &Service, io: &Io<'_>, account: AccountId, from: &str, to: &str) -> Reply {
    let to = to.strip_suffix('/').unwrap_or(to);
    match service.store.rename_mailbox(account, from, to, io.host.now()).await {
        Ok(_) => Reply::ok("Renamed"),
        Err(error) => refusal(&error),
    }
}

/// SUBSCRIBE and UNSUBSCRIBE (RFC 3501 §6.3.6).
pub(crate) async fn subscribe(service: &Service, account: AccountId, name: &str, on: bool) -> Reply {
    match service.store.subscribe(account, name, on).await {
        Ok(_) => Reply::ok(if on { "Subscribed" } else { "Unsubscribed" }),
        Err(error) => refusal(&error),
    }
}

/// STATUS (RFC 3501 §6.3.10). Asking for HIGHESTMODSEQ makes the session one that knows of CONDSTORE (RFC 7162 §3.1).
pub(crate) async fn status(
    service: &Service,
    io: &mut Io<'_>,
    mut user: User,
    name: &str,
    items: &[StatusItem],
) -> (User, Reply) {
    user.enabled.condstore |= items.contains(&StatusItem::HighestModSeq);
    let status = async {
        let id = service.store.mailbox(user.identity.account, name).await?;
        let id = id.ok_or_else(|| StoreError::NoMailbox(name.to_owned()))?;
        service.store.status(id).await
    };
    match status.await {
        Ok(status) => {
            write_status(&mut io.out, name, &status, items);
            (user, Reply::ok("That is how it is"))
        }
        Err(error) => (user, refusal(&error)),
    }
}

/// `* STATUS mailbox (…)`
pub(crate) fn write_status(out: &mut Vec<u8>, name: &str, status: &MailboxStatus, items: &[StatusItem]) {
    out.extend_from_slice(b"* STATUS ");
    write::mailbox(out, name);
    out.extend_from_slice(b" (");
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        let (word, value) = match item {
            StatusItem::Messages => ("MESSAGES", u64::from(status.messages)),
            StatusItem::Recent => ("RECENT", u64::from(status.recent)),
            StatusItem::UidNext => ("UIDNEXT", u64::from(status.uid_next.get())),
            StatusItem::UidValidity => ("UIDVALIDITY", u64::from(status.uid_validity.0)),
            StatusItem::Unseen => ("UNSEEN", u64::from(status.unseen)),
            StatusItem::HighestModSeq => ("HIGHESTMODSEQ", status.highest_modseq.0),
            StatusItem::Size => ("SIZE", status.size),
            StatusItem::Deleted => ("DELETED", u64::from(status.deleted)),
        };
        out.extend_from_slice(word.as_bytes());
        out.push(b' ');
        write::number(out, value);
    }
    out.extend_from_slice(b")\r\n");
}
