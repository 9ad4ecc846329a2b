//! SELECT, EXAMINE, CREATE, DELETE, RENAME, SUBSCRIBE and STATUS (RFC 3501 §6.3).

use mail::{AccountId, MailboxId, Rights, limits};
use store::{AccountNews, MailboxStatus, SpecialUse, StoreError, StoreResult, canonical_name};
use wire::imap::mailbox::{Create, Select, StatusItem};
use wire::imap::reply::{Code, Reply, condition, untagged_ok};
use wire::imap::write;

use crate::access::{Access, Found, Place, find, flags_of, free_place, is_others, place};
use crate::host::End;
use crate::io::Io;
use crate::list;
use crate::notify::names::note_own;
use crate::qresync;
use crate::quota;
use crate::refusal::refusal;
use crate::session::{Service, State, Turn, User};
use crate::urlauth::MECHANISMS;
use crate::view::{View, write_all_flags};

/// SELECT and EXAMINE (RFC 3501 §6.3.1): whatever was selected no longer is, also when this fails.
pub(crate) async fn select(
    service: &Service,
    io: &mut Io<'_>,
    user: User,
    before: Option<View>,
    select: Select,
) -> Result<Turn, End> {
    if select.qresync.is_some() && !io.enabled.qresync {
        // RFC 7162 §3.2.5: BAD, and nothing else is done.
        let state = match before {
            Some(view) => State::Selected(user, view),
            None => State::Authenticated(user),
        };
        return Ok((state, Reply::bad("ENABLE QRESYNC first")));
    }
    if before.is_some() {
        // RFC 7162 §3.2.11: what follows is about the other mailbox.
        io.out.extend_from_slice(b"* OK [CLOSED] The mailbox before is closed\r\n");
    }
    drop(before);
    let opened = open(service, user.identity.account, &select).await;
    let mut view = match opened {
        Ok(view) => view,
        Err(error) => return Ok((State::Authenticated(user), refusal(&error))),
    };
    view.claim_recent(service).await;
    describe(io, &view, &select.mailbox);
    if let Some(knows) = &select.qresync
        && let Err(error) = qresync::resync(service, io, &view, knows).await?
    {
        return Ok((State::Authenticated(user), refusal(&error)));
    }
    let code = if view.read_only { Code::ReadOnly } else { Code::ReadWrite };
    let words = if view.read_only { "You may look" } else { "You may read and write" };
    Ok((State::Selected(user, view), Reply::ok(words).with_code(code.word())))
}

async fn open(service: &Service, account: AccountId, select: &Select) -> StoreResult<View> {
    let (access, Found { id, .. }) = Access::to(service, account, &select.mailbox, Rights::READ).await?;
    let watch = service.store.watch(id).await?;
    View::new(id, select.read_only, access, watch).ok_or(StoreError::MailboxGone(id))
}

fn describe(io: &mut Io<'_>, view: &View, name: &str) {
    let (rev2, names) = (io.enabled.rev2, io.enabled.names());
    let (out, told) = (&mut io.out, &view.told);
    write_all_flags(out, told);
    out.extend_from_slice(b"* OK [PERMANENTFLAGS (");
    if !view.read_only {
        // RFC 4314 §5.1.1: those that this client may change.
        let rights = view.access.rights;
        let keywords: &[_] = if rights.contains(Rights::WRITE) { &told.keywords } else { &[] };
        let is_more = rights.contains(Rights::WRITE) && told.keywords.len() < limits::KEYWORDS_PER_MAILBOX;
        let keywords = keywords.iter().map(mail::Keyword::as_str).chain(is_more.then_some("\\*"));
        write::flags(out, flags_of(rights), false, keywords);
    }
    out.extend_from_slice(b")] What is kept\r\n");
    write::counted(out, told.len() as u64, "EXISTS");
    if rev2 {
        // RFC 9051 §6.3.2: no RECENT and no UNSEEN, but the name.
        list::write_name(out, name, names);
    } else {
        write::counted(out, view.recent_count() as u64, "RECENT");
        if let Some(first) = told.first_unseen() {
            untagged_ok(out, "UNSEEN", first as u64 + 1, "The first unseen");
        }
    }
    untagged_ok(out, "UIDVALIDITY", u64::from(told.uid_validity.0), "UIDs are valid");
    untagged_ok(out, "UIDNEXT", u64::from(told.uid_next.get()), "The next UID");
    untagged_ok(out, "HIGHESTMODSEQ", told.highest_modseq.0, "The last change");
    // RFC 8474 §4.2
    let code = format!("* OK [MAILBOXID ({})] What stays its own\r\n", object_id(view.mailbox));
    out.extend_from_slice(code.as_bytes());
    tell_mechanisms(out);
}

/// RFC 4467 §8: with SELECT, and where the key of the mailbox became another one.
pub(crate) fn tell_mechanisms(out: &mut Vec<u8>) {
    condition(out, "*", "OK", Some(MECHANISMS), "How URLs are signed");
}

/// RFC 8474 §4: the same as long as the mailbox lives, whatever its name.
fn object_id(mailbox: MailboxId) -> String {
    format!("F{}", mailbox.0)
}

/// CREATE (RFC 3501 §6.3.3, RFC 6154 §3, RFC 8474 §4.1).
pub(crate) async fn create(service: &Service, io: &mut Io<'_>, user: &mut User, create: Create) -> Reply {
    let account = user.identity.account;
    let special_use = match create.special_use.as_slice() {
        [] => None,
        [name] => match SpecialUse::ALL.iter().find(|(_, word, _)| word.eq_ignore_ascii_case(name)) {
            Some((special_use, _, _)) => Some(*special_use),
            None => return Reply::no(Code::UseAttr, "There is no such special use here"),
        },
        _ => return Reply::no(Code::UseAttr, "A mailbox has one special use at most"),
    };
    let made = async {
        let place = free_place(service, account, &create.mailbox).await?;
        service.store.create_mailbox(place.owner, &place.name, special_use).await
    };
    match made.await {
        Ok(id) => {
            note_own(user, AccountNews::Created(canonical_name(&create.mailbox).into_owned()));
            if io.enabled.rev2 && canonical_name(&create.mailbox) != create.mailbox {
                list::write_name(&mut io.out, &create.mailbox, io.enabled.names());
            }
            Reply::ok("Created").with_code(format!("MAILBOXID ({})", object_id(id.into_inner())))
        }
        Err(error) => refusal(&error),
    }
}

/// DELETE (RFC 3501 §6.3.4).
pub(crate) async fn delete(service: &Service, user: &mut User, given: &str) -> Reply {
    let account = user.identity.account;
    let deleted = async {
        let Place { owner, name, is_own } = place(service, account, given).await?;
        if !is_own {
            find(service, account, given, Rights::DELETE_MAILBOX).await?;
        }
        service.store.delete_mailbox(owner, &name).await
    };
    match deleted.await {
        Ok(_) => {
            note_own(user, AccountNews::Deleted(canonical_name(given).into_owned()));
            Reply::ok("Deleted")
        }
        Err(error) => refusal(&error),
    }
}

/// RENAME (RFC 3501 §6.3.5).
pub(crate) async fn rename(service: &Service, io: &Io<'_>, user: &mut User, from: &str, to: &str) -> Reply {
    let account = user.identity.account;
    let to = to.strip_suffix('/').unwrap_or(to);
    let renamed = async {
        let (source, target) = (place(service, account, from).await?, free_place(service, account, to).await?);
        if source.owner != target.owner {
            return Err(StoreError::BadMailboxName("a mailbox stays with its owner"));
        }
        if !source.is_own {
            find(service, account, from, Rights::DELETE_MAILBOX).await?;
        }
        service.store.rename_mailbox(source.owner, &source.name, &target.name, io.host.now()).await
    };
    match renamed.await {
        Ok(_) => {
            let (from, to) = (canonical_name(from).into_owned(), canonical_name(to).into_owned());
            // INBOX stays, and its messages go to a new mailbox.
            let is_new = from == "INBOX";
            note_own(user, if is_new { AccountNews::Created(to) } else { AccountNews::Renamed { from, to } });
            Reply::ok("Renamed")
        }
        Err(error) => refusal(&error),
    }
}

/// SUBSCRIBE and UNSUBSCRIBE (RFC 3501 §6.3.6).
pub(crate) async fn subscribe(service: &Service, user: &mut User, name: &str, on: bool) -> Reply {
    let account = user.identity.account;
    let subscribed = async {
        if on && is_others(name) {
            find(service, account, name, Rights::LOOKUP).await?;
        }
        service.store.subscribe(account, name, on).await
    };
    match subscribed.await {
        Ok(_) => {
            note_own(user, AccountNews::Subscribed(canonical_name(name).into_owned(), on));
            Reply::ok(if on { "Subscribed" } else { "Unsubscribed" })
        }
        Err(error) => refusal(&error),
    }
}

/// STATUS (RFC 3501 §6.3.10).
pub(crate) async fn status(
    service: &Service,
    io: &mut Io<'_>,
    account: AccountId,
    name: &str,
    items: &[StatusItem],
) -> Reply {
    let status = async {
        let found = find(service, account, name, Rights::READ).await?;
        service.store.status(found.id).await
    };
    match status.await {
        Ok(status) => match write_status(service, io, name, &status, items).await {
            Ok(()) => Reply::ok("That is how it is"),
            Err(error) => refusal(&error),
        },
        Err(error) => refusal(&error),
    }
}

/// `* STATUS mailbox (…)`
pub(crate) async fn write_status(
    service: &Service,
    io: &mut Io<'_>,
    name: &str,
    status: &MailboxStatus,
    items: &[StatusItem],
) -> StoreResult<()> {
    let wants_storage = items.contains(&StatusItem::DeletedStorage);
    let deleted = if wants_storage { quota::deleted_storage(service, status.id).await? } else { 0 };
    let (names, limit) = (io.enabled.names(), io.host.message_size());
    let out = &mut io.out;
    out.extend_from_slice(b"* STATUS ");
    write::mailbox(out, name, names);
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
            // RFC 7889 §5
            StatusItem::AppendLimit => ("APPENDLIMIT", limit),
            StatusItem::DeletedStorage => ("DELETED-STORAGE", deleted),
            StatusItem::MailboxId => {
                out.extend_from_slice(format!("MAILBOXID ({})", object_id(status.id)).as_bytes());
                continue;
            }
        };
        out.extend_from_slice(word.as_bytes());
        out.push(b' ');
        write::number(out, value);
    }
    out.extend_from_slice(b")\r\n");
    Ok(())
}
