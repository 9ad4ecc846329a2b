//! LIST and LSUB with their extensions (RFC 3501 §6.3.8, RFC 5258, RFC 5819, RFC 6154).

use std::collections::{HashMap, HashSet};

use mail::{AccountId, Rights};
use store::{MailboxInfo, SpecialUse, StoreError, StoreResult, canonical_name};
use wire::imap::mailbox::{List, matches};
use wire::imap::reply::Reply;
use wire::imap::{Names as Encoding, write};

use crate::access::{find, is_others, mailboxes};
use crate::acl;
use crate::host::End;
use crate::io::Io;
use crate::mailbox::write_status;
use crate::metadata;
use crate::refusal::refusal;
use crate::session::Service;

/// LIST.
pub(crate) async fn list(service: &Service, io: &mut Io<'_>, account: AccountId, command: &List) -> Result<Reply, End> {
    // RFC 3501 §6.3.8: an empty pattern asks for the hierarchy separator.
    if !command.extended && command.patterns.iter().all(String::is_empty) {
        io.out.extend_from_slice(b"* LIST (\\Noselect) \"/\" \"\"\r\n");
        return Ok(Reply::ok("That is the separator"));
    }
    let names = match mailboxes(service, account).await {
        Ok(names) => Names::new(names),
        Err(error) => return Ok(refusal(&error)),
    };
    let holders = if command.recursive { holders(command, &names.0).await } else { HashSet::new() };
    for (at, info) in names.0.iter().enumerate() {
        let_others_in(at).await;
        if !is_wanted(command, &info.name) {
            continue;
        }
        let has_children = names.has_children(at);
        let selected = is_selected(command, info);
        let exists = info.id.is_some() || has_children;
        let shown = selected && (exists || command.subscribed);
        // RFC 5258 §3.5: a parent that is not selected itself is shown for what is below it and selected.
        let below = holders.contains(info.name.as_str());
        if !shown && !below {
            continue;
        }
        let encoding = io.enabled.names();
        write_entry(&mut io.out, command, info, has_children, below, encoding);
        if let (Some(items), Some(id)) = (&command.return_status, info.id) {
            let told = match service.store.status(id).await {
                Ok(status) => write_status(service, io, &info.name, &status, items).await,
                Err(error) => Err(error),
            };
            match told {
                Ok(()) => {}
                // Deleted since: RFC 5819 §2 wants no STATUS then.
                Err(StoreError::MailboxGone(_)) => {}
                Err(error) => return Ok(refusal(&error)),
            }
        }
        // RFC 8440 §3
        if command.return_rights && info.id.is_some() {
            match rights(service, account, &info.name).await {
                Ok(rights) => acl::write_rights(io, &info.name, rights),
                Err(StoreError::NoMailbox(_)) => {}
                Err(error) => return Ok(refusal(&error)),
            }
        }
        // RFC 9590 §3: what can't be selected has no METADATA response.
        if let (Some(entries), Some(_)) = (&command.return_metadata, info.id)
            && let Err(error) = metadata::list(service, io, account, &info.name, entries).await?
        {
            return Ok(refusal(&error));
        }
        io.relieve().await?;
    }
    Ok(Reply::ok("That is all"))
}

/// Only what is another's needs a look.
async fn rights(service: &Service, account: AccountId, name: &str) -> StoreResult<Rights> {
    if is_others(name) { Ok(find(service, account, name, Rights::LOOKUP).await?.rights) } else { Ok(Rights::ALL) }
}

fn is_selected(command: &List, info: &MailboxInfo) -> bool {
    (!command.subscribed || info.subscribed) && (!command.special_use || info.special_use.is_some())
}

/// The parents of what is selected, but not shown for its own name.
async fn holders<'n>(command: &List, names: &'n [MailboxInfo]) -> HashSet<&'n str> {
    let mut holders = HashSet::new();
    for (at, info) in names.iter().enumerate() {
        let_others_in(at).await;
        if is_selected(command, info) && !is_wanted(command, &info.name) {
            holders.extend(info.name.match_indices('/').map(|(at, _)| &info.name[..at]));
        }
    }
    holders
}

/// An account may have thousands of names, and each is compared with each pattern: others have their turn now and then.
async fn let_others_in(at: usize) {
    if at % 64 == 63 {
        tokio::task::yield_now().await;
    }
}

fn is_wanted(command: &List, name: &str) -> bool {
    command.patterns.iter().any(|pattern| matches(&canonical_name(&format!("{}{pattern}", command.reference)), name))
}

/// What SELECT and CREATE say of the name in IMAP4rev2 (RFC 9051 §6.3.2, §6.3.4), and which one was given where that is
/// spelled otherwise.
pub(crate) fn write_name(out: &mut Vec<u8>, given: &str, encoding: Encoding) {
    let name = canonical_name(given);
    out.extend_from_slice(b"* LIST () \"/\" ");
    write::mailbox(out, &name, encoding);
    if name != given {
        out.extend_from_slice(b" (\"OLDNAME\" (");
        write::mailbox(out, given, encoding);
        out.extend_from_slice(b"))");
    }
    out.extend_from_slice(b"\r\n");
}

fn write_entry(
    out: &mut Vec<u8>,
    command: &List,
    info: &MailboxInfo,
    has_children: bool,
    below: bool,
    encoding: Encoding,
) {
    out.extend_from_slice(b"* LIST (");
    let mut first = true;
    let mut attribute = |word: &str| {
        if !std::mem::take(&mut first) {
            out.push(b' ');
        }
        out.extend_from_slice(word.as_bytes());
    };
    match (info.id, has_children) {
        (Some(_), _) => {}
        (None, true) => attribute("\\Noselect"),
        // RFC 5258 §3: it includes \Noselect.
        (None, false) => attribute("\\NonExistent"),
    }
    attribute(if has_children { "\\HasChildren" } else { "\\HasNoChildren" });
    if info.subscribed && (command.return_subscribed || command.subscribed) {
        attribute("\\Subscribed");
    }
    if let Some(word) = info.special_use.and_then(word_of) {
        attribute(word);
    }
    out.extend_from_slice(b") \"/\" ");
    write::mailbox(out, &info.name, encoding);
    if below {
        let what = if command.subscribed { "SUBSCRIBED" } else { "SPECIAL-USE" };
        out.extend_from_slice(format!(" (\"CHILDINFO\" (\"{what}\"))").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn word_of(special_use: SpecialUse) -> Option<&'static str> {
    SpecialUse::ALL.iter().find(|(this, _, _)| *this == special_use).map(|(_, word, _)| *word)
}

/// LSUB (RFC 3501 §6.3.9).
pub(crate) async fn lsub(service: &Service, io: &mut Io<'_>, account: AccountId, command: &List) -> Result<Reply, End> {
    let names = match mailboxes(service, account).await {
        Ok(names) => Names::new(names),
        Err(error) => return Ok(refusal(&error)),
    };
    let mut shown: HashSet<&str> = HashSet::new();
    for (at, info) in names.0.iter().filter(|info| info.subscribed).enumerate() {
        let_others_in(at).await;
        if is_wanted(command, &info.name) {
            io.out.extend_from_slice(if info.id.is_some() {
                b"* LSUB () \"/\" "
            } else {
                b"* LSUB (\\Noselect) \"/\" "
            });
            write::mailbox(&mut io.out, &info.name, io.enabled.names());
            io.out.extend_from_slice(b"\r\n");
            shown.insert(&info.name);
            io.relieve().await?;
        }
    }
    // RFC 3501 §6.3.9: with `%`, a parent that is not subscribed is shown as \Noselect if something below it is.
    for info in names.0.iter().filter(|info| info.subscribed && !is_wanted(command, &info.name)) {
        for (at, _) in info.name.match_indices('/') {
            let parent = &info.name[..at];
            if !shown.contains(parent) && is_wanted(command, parent) {
                io.out.extend_from_slice(b"* LSUB (\\Noselect) \"/\" ");
                write::mailbox(&mut io.out, parent, io.enabled.names());
                io.out.extend_from_slice(b"\r\n");
                shown.insert(parent);
                io.relieve().await?;
            }
        }
    }
    Ok(Reply::ok("That is all"))
}

/// The mailboxes of an account and which of them have something below.
pub(crate) struct Names(Vec<MailboxInfo>, HashSet<String>);

impl Names {
    pub(crate) fn new(names: Vec<MailboxInfo>) -> Self {
        let existing = names.iter().filter(|info| info.id.is_some());
        let parents = existing.flat_map(|info| info.name.match_indices('/').map(|(at, _)| info.name[..at].to_owned()));
        let parents = parents.collect();
        Self(names, parents)
    }

    fn has_children(&self, at: usize) -> bool {
        self.1.contains(&self.0[at].name)
    }

    /// All by name, and the names that have something below, which need not be mailboxes.
    pub(crate) fn by_name(self) -> (HashMap<String, MailboxInfo>, HashSet<String>) {
        (self.0.into_iter().map(|info| (info.name.clone(), info)).collect(), self.1)
    }
}
