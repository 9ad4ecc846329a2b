//! Who else may do what in a mailbox (RFC 4314). Its owner may do all, always.

use mail::{AccountId, Address, MailboxId, Rights};

/// What somebody was given in a mailbox, or denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who; `None`: anyone of this server (RFC 4314 §2).
    pub grantee: Option<AccountId>,
    /// Given.
    pub rights: Rights,
    /// Denied, whoever gave them (RFC 4314 §2: the identifier with `-` before it).
    pub without: Rights,
}

impl Grant {
    /// What an account may do where these grants are: what it and anyone was given, less what it or anyone is denied.
    pub fn effective(grants: &[Self], account: AccountId) -> Rights {
        let sum = |of: fn(&Self) -> Rights| {
            let hers = grants.iter().filter(|grant| grant.grantee.is_none_or(|grantee| grantee == account));
            hers.map(of).fold(Rights::NONE, Rights::with)
        };
        sum(|grant| grant.rights).without(sum(|grant| grant.without))
    }
}

/// How a grant changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantOperation {
    /// These and no others.
    Set,
    /// These too.
    Add,
    /// These no more.
    Remove,
}

/// A change of one grant; one that gives and denies nothing is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantChange {
    /// Whose; `None`: anyone.
    pub grantee: Option<AccountId>,
    /// Of what is denied, not of what is given.
    pub negative: bool,
    /// How.
    pub operation: GrantOperation,
    /// Which.
    pub rights: Rights,
}

/// A mailbox of another account in which an account has rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedMailbox {
    /// Whose it is.
    pub owner: AccountId,
    /// The owner's address.
    pub address: Address,
    /// Its name there.
    pub name: String,
    /// The mailbox.
    pub id: MailboxId,
    /// What may be done in it.
    pub rights: Rights,
}

/// Where what others share stands among the names that somebody sees (RFC 2342 §5).
pub const OTHERS: &str = "Other Users";

impl SharedMailbox {
    /// Its name for those it is shared with: a subscription to it is one to this name.
    pub fn name_for_others(&self) -> String {
        format!("{OTHERS}/{}/{}", self.address, self.name)
    }
}
