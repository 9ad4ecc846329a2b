//! ENABLE (RFC 5161): what changes for good once a client says that it knows of it.

use wire::imap::Names;
use wire::imap::change::Store;
use wire::imap::command::Command;
use wire::imap::fetch::{Fetch, Item};
use wire::imap::mailbox::StatusItem;
use wire::imap::reply::{Code, Reply};
use wire::imap::search::Key;
use wire::imap::{MessageSet, SequenceSet};

use crate::io::Io;

/// What the client has enabled or used, for good (RFC 5161, RFC 7162 §3.1).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Enabled {
    /// MODSEQ is told (RFC 7162 §3.1).
    pub(crate) condstore: bool,
    /// VANISHED for EXPUNGE (RFC 7162 §3.2).
    pub(crate) qresync: bool,
    /// IMAP4rev2 (RFC 9051).
    pub(crate) rev2: bool,
    /// UTF8=ACCEPT (RFC 6855).
    pub(crate) utf8: bool,
    /// UIDONLY (RFC 9586): message numbers are given up.
    pub(crate) uidonly: bool,
    /// METADATA (RFC 5464 §4.1): told what others change in annotations.
    pub(crate) metadata: bool,
}

impl Enabled {
    /// How mailbox names are written.
    pub(crate) const fn names(self) -> Names {
        if self.rev2 || self.utf8 { Names::Utf8 } else { Names::Modified }
    }
}

/// RFC 5161 §3.1: what is not known is passed over, and the answer is OK in any case (neomutt enables UTF8=ACCEPT where it
/// is not offered).
pub(crate) fn enable(io: &mut Io<'_>, names: &[String]) -> Reply {
    io.out.extend_from_slice(b"* ENABLED");
    for (at, name) in names.iter().enumerate() {
        let enabled = &mut io.enabled;
        match name.as_str() {
            "CONDSTORE" => enabled.condstore = true,
            // RFC 7162 §3.2.3: it enables CONDSTORE too.
            "QRESYNC" => (enabled.condstore, enabled.qresync) = (true, true),
            "IMAP4REV2" => enabled.rev2 = true,
            "UTF8=ACCEPT" => enabled.utf8 = true,
            "UIDONLY" => enabled.uidonly = true,
            "METADATA" => enabled.metadata = true,
            _ => continue,
        }
        if !names[..at].contains(name) {
            let name = if name == "IMAP4REV2" { "IMAP4rev2" } else { name };
            io.out.push(b' ');
            io.out.extend_from_slice(name.as_bytes());
        }
    }
    io.out.extend_from_slice(b"\r\n");
    Reply::ok("Enabled what there is")
}

/// RFC 7162 §3.1: commands that say that the client knows of CONDSTORE.
pub(crate) fn note_use(enabled: &mut Enabled, command: &Command) {
    enabled.condstore |= match command {
        Command::Select(select) => select.condstore,
        Command::Status(_, items) => items.contains(&StatusItem::HighestModSeq),
        Command::Fetch(Fetch { changed_since, items, .. }) => changed_since.is_some() || items.contains(&Item::ModSeq),
        Command::Store(Store { unchanged_since, .. }) => unchanged_since.is_some(),
        Command::Search(search) => has_modseq(&search.key),
        Command::MultiSearch(search) => has_modseq(&search.key),
        Command::Sort(sort) => has_modseq(&sort.key),
        Command::Thread(thread) => has_modseq(&thread.key),
        _ => false,
    };
}

/// Whether a SEARCH asks for MODSEQ.
pub(crate) fn has_modseq(key: &Key) -> bool {
    has(key, &|key| matches!(key, Key::ModSeq(_)))
}

/// Whether a SEARCH wants what nearly matches.
pub(crate) fn has_fuzzy(key: &Key) -> bool {
    has(key, &|key| matches!(key, Key::Fuzzy(_)))
}

/// Whether a SEARCH names messages by number.
pub(crate) fn has_numbers(key: &Key) -> bool {
    has(key, &|key| matches!(key, Key::Sequence(_)))
}

/// Whether a key, or one within it, is such.
pub(crate) fn has(key: &Key, what: &impl Fn(&Key) -> bool) -> bool {
    what(key)
        || match key {
            Key::And(keys) => keys.iter().any(|key| has(key, what)),
            Key::Or(a, b) => has(a, what) || has(b, what),
            Key::Not(key) | Key::Fuzzy(key) => has(key, what),
            _ => false,
        }
}

/// RFC 9586 §3: once UIDONLY is enabled, commands that name messages by number are refused.
pub(crate) fn refuse_numbers(enabled: Enabled, command: &Command) -> Option<Reply> {
    let numbers = match command {
        Command::Fetch(command) => !command.uid,
        Command::Store(command) => !command.uid,
        Command::Copy(command) | Command::Move(command) => !command.uid,
        Command::Replace(command) => !command.uid,
        Command::Search(command) => !command.uid || has_numbers(&command.key),
        Command::Sort(command) => !command.uid || has_numbers(&command.key),
        Command::Thread(command) => !command.uid || has_numbers(&command.key),
        Command::MultiSearch(command) => has_numbers(&command.key),
        Command::Select(select) => select.qresync.as_ref().is_some_and(|qresync| qresync.matches.is_some()),
        _ => false,
    };
    let refused = Reply::bad("UIDONLY is enabled").with_code(Code::UidRequired.word());
    (enabled.uidonly && numbers).then_some(refused)
}

/// A message number beyond the last is an error of the client (RFC 3501 §9: "only … valid … message sequence numbers");
/// UIDs that are not there are not.
pub(crate) fn refuse_out_of_range(len: usize, command: &Command) -> Option<Reply> {
    let set = match command {
        Command::Fetch(Fetch { uid: false, set, .. }) => set,
        Command::Store(Store { uid: false, set, .. }) => set,
        Command::Copy(transfer) | Command::Move(transfer) if !transfer.uid => &transfer.set,
        _ => return None,
    };
    let MessageSet::Numbers(SequenceSet(set)) = set else { return None };
    let beyond = set.iter().any(|(a, b)| {
        let over = |n: &Option<u32>| n.is_some_and(|n| n as usize > len);
        // `1:*` of an empty mailbox is nothing, and clients ask for it.
        if len == 0 && (a.is_none() || b.is_none()) { false } else { over(a) || over(b) }
    });
    beyond.then(|| Reply::bad("There are not so many messages"))
}
