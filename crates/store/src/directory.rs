//! Accounts, domains and aliases: who receives mail here and who may log in.

use std::sync::Arc;

use mail::{AccountId, Address, Domain, ModSeq, Timestamp};

use crate::{AwayNotice, Totp};

/// An encoded password hash in PHC format (`$argon2id$v=19$...`). Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// SCRAM-SHA-256 keys (RFC 5802 §3), kept only for accounts that ask for them.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// Salt.
    pub salt: Vec<u8>,
    /// Iteration count.
    pub iterations: u32,
    /// StoredKey.
    pub stored_key: [u8; 32],
    /// ServerKey.
    pub server_key: [u8; 32],
}

impl std::fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScramKeys(…)")
    }
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// Receives and logs in.
    Active,
    /// Neither receives (550 5.2.1) nor logs in; its mail is kept.
    Disabled,
}

/// An account to make.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Log-in name and first address; its domain must be one of ours. Kept folded.
    pub address: Address,
    /// Its password.
    pub password: PasswordHash,
    /// SCRAM keys, where asked for.
    pub scram: Option<ScramKeys>,
    /// Octets; `None`: no quota.
    pub quota: Option<u64>,
}

/// An account as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Never reused, also when the address is deleted and made again.
    pub id: AccountId,
    /// Log-in name and first address, folded.
    pub address: Address,
    /// Its password.
    pub password: PasswordHash,
    /// SCRAM keys, if kept.
    pub scram: Option<ScramKeys>,
    /// Whether it may be used.
    pub state: AccountState,
    /// Octets; `None`: no quota.
    pub quota: Option<u64>,
    /// Octets stored: the sum of its messages' sizes.
    pub used: u64,
    /// Messages stored.
    pub messages: u64,
    /// When it was made.
    pub created: Timestamp,
    /// The second factor, where one was begun.
    pub totp: Option<Totp>,
    /// What those who write are told, where the notice is enabled: deliveries find it here.
    pub away: Option<Arc<AwayNotice>>,
    /// The name of its active script, and the change that made its text: deliveries find it here.
    pub script: Option<(String, ModSeq)>,
}

/// A domain that is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainRecord {
    /// Its name.
    pub domain: Domain,
}

/// An alias: one address, one or many targets here or elsewhere. The address `*@domain` (local part
/// `*`) is the domain's catch-all; a target `*@other` of it is the address with the same local part there, so that the one
/// domain stands for the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The address, folded.
    pub address: Address,
    /// Where its mail goes.
    pub targets: Vec<Address>,
}

/// What a local address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryEntry {
    /// An account (with everything, so that RCPT can refuse a full or disabled one).
    Account(Box<Account>),
    /// An alias.
    Alias(Alias),
}
