//! Mailboxes of an account and what is done in them.

use std::borrow::Cow;

use mail::{Flags, Keyword, MailboxId, ModSeq, Timestamp, Uid, UidValidity};
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The one spelling of a mailbox name: NFC (RFC 9051 §5.1: names that differ only in how they are composed are one name),
/// and `INBOX` in every case is `INBOX` (RFC 3501 §5.1).
pub fn canonical_name(name: &str) -> Cow<'_, str> {
    let composed: Cow<'_, str> =
        if name.is_ascii() || is_nfc(name) { Cow::Borrowed(name) } else { Cow::Owned(name.nfc().collect()) };
    let first = composed.split('/').next().unwrap_or_default();
    if first != INBOX && first.eq_ignore_ascii_case(INBOX) {
        return Cow::Owned(format!("{INBOX}{}", &composed[INBOX.len()..]));
    }
    composed
}

const INBOX: &str = "INBOX";

/// Special use (RFC 6154 §2). Sent, Drafts, Junk, Trash and Archive are made with every account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpecialUse {
    /// \Archive
    Archive,
    /// \Drafts
    Drafts,
    /// \Junk
    Junk,
    /// \Sent
    Sent,
    /// \Trash
    Trash,
}

impl SpecialUse {
    /// Each with its attribute and the name of the mailbox that is made with an account.
    pub const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Archive, "\\Archive", "Archive"),
        (Self::Drafts, "\\Drafts", "Drafts"),
        (Self::Junk, "\\Junk", "Junk"),
        (Self::Sent, "\\Sent", "Sent"),
        (Self::Trash, "\\Trash", "Trash"),
    ];
}

/// A mailbox, or a mere name that has children or a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxInfo {
    /// Its id; `None` where only the name exists: a deleted parent (RFC 3501 §6.3.4, \Noselect), or
    /// a subscription to something that is gone.
    pub id: Option<MailboxId>,
    /// UTF-8 (NFC), levels separated by `/`. `INBOX` is always written so.
    pub name: String,
    /// Special use.
    pub special_use: Option<SpecialUse>,
    /// Subscribed.
    pub subscribed: bool,
}

/// What URLs into a mailbox are signed with (RFC 4467 §2.2: the mailbox access key). Its `Debug` shows nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UrlKey(pub [u8; 32]);

impl std::fmt::Debug for UrlKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UrlKey(…)")
    }
}

/// Counts (RFC 3501 §6.3.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxStatus {
    /// The mailbox.
    pub id: MailboxId,
    /// Messages.
    pub messages: u32,
    /// Without \Seen.
    pub unseen: u32,
    /// With \Deleted.
    pub deleted: u32,
    /// Messages that no session was told of as \Recent.
    pub recent: u32,
    /// The next UID.
    pub uid_next: Uid,
    /// UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// HIGHESTMODSEQ.
    pub highest_modseq: ModSeq,
    /// Octets of all messages.
    pub size: u64,
}

/// A message to put into a mailbox (IMAP APPEND).
#[derive(Clone, Debug)]
pub struct AppendMessage {
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<Keyword>,
    /// INTERNALDATE.
    pub internal_date: Timestamp,
}

/// Where appended messages are (APPENDUID, RFC 4315 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The mailbox's UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// In the order of the messages.
    pub uids: Vec<Uid>,
}

/// STORE's three forms (RFC 3501 §6.4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagOperation {
    /// +FLAGS
    Add,
    /// -FLAGS
    Remove,
    /// FLAGS
    Replace,
    /// FLAGS by who may change some only: of these system flags, and keywords or not; what else is set stays.
    ReplaceAmong {
        /// System flags that may change.
        flags: Flags,
        /// Whether keywords may.
        keywords: bool,
    },
}

/// What STORE does to each message named.
#[derive(Clone, Debug)]
pub struct FlagChange {
    /// How.
    pub operation: FlagOperation,
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<Keyword>,
    /// UNCHANGEDSINCE (RFC 7162 §3.1.3): a message changed later is left alone and reported.
    pub unchanged_since: Option<ModSeq>,
}

/// What became of a STORE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreOutcome {
    /// Changed, or already so. UIDs that are not (any more) in the mailbox are in neither list.
    pub stored: Vec<Uid>,
    /// Left alone because of UNCHANGEDSINCE.
    pub modified: Vec<Uid>,
}

/// What became of a COPY or MOVE (COPYUID, RFC 4315 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOutcome {
    /// The target's UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// Old and new UID of each message, in the order of the old ones. Empty where none was there.
    pub uids: Vec<(Uid, Uid)>,
}
