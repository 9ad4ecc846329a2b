//! How mailboxes stand below each other. The store knows names with `/` between the levels; here each knows its parent.

use mail::MailboxId;
use store::SpecialUse;

pub(super) use crate::account::INBOX;
use crate::account::{Account, Mailbox};

/// The nearest mailbox above, and the name below it. Where a level between is no mailbox the name has more than one.
pub(super) fn place<'a>(account: &'a Account, mailbox: &'a Mailbox) -> (Option<&'a Mailbox>, &'a str) {
    let name = mailbox.info.name.as_str();
    for (at, _) in name.rmatch_indices('/') {
        if let Some(parent) = account.by_name(&name[..at]) {
            return (Some(parent), &name[at + 1..]);
        }
    }
    (None, name)
}

/// The parent's id.
pub(super) fn parent(account: &Account, mailbox: &Mailbox) -> Option<MailboxId> {
    place(account, mailbox).0.map(|parent| parent.info.id)
}

/// RFC 8621 §2: the special use in small letters; of several mailboxes with the same, which IMAP allows, the first has it.
pub(super) fn role(account: &Account, mailbox: &Mailbox) -> Option<&'static str> {
    let role = role_of(mailbox)?;
    let first = account.mailboxes.iter().find(|other| role_of(other) == Some(role))?;
    (first.info.id == mailbox.info.id).then_some(role)
}

fn role_of(mailbox: &Mailbox) -> Option<&'static str> {
    if mailbox.info.name == INBOX {
        return Some("inbox");
    }
    mailbox.info.special_use.map(name_of)
}

pub(super) const fn name_of(special_use: SpecialUse) -> &'static str {
    match special_use {
        SpecialUse::Archive => "archive",
        SpecialUse::Drafts => "drafts",
        SpecialUse::Junk => "junk",
        SpecialUse::Sent => "sent",
        SpecialUse::Trash => "trash",
    }
}

/// Where a mailbox stands that nobody has put anywhere: those with a role before the others.
pub(super) fn sort_order(account: &Account, mailbox: &Mailbox) -> u32 {
    const OTHERS: u32 = 10;
    let order = ["inbox", "drafts", "sent", "archive", "junk", "trash"];
    let by_role = role(account, mailbox).and_then(|role| order.iter().position(|other| *other == role));
    let by_role = by_role.and_then(|at| u32::try_from(at + 1).ok());
    mailbox.info.sort_order.or(by_role).unwrap_or(OTHERS)
}
