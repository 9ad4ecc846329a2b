//! Keys with which a domain signs its mail (DKIM, RFC 6376). Which records they have in DNS, and how one signs with them, is nothing
//! to a store.

use std::sync::Arc;

use async_trait::async_trait;
use mail::{Domain, Durable, Timestamp};

use crate::{StoreError, StoreResult};

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// RSA with SHA-256.
    Rsa,
    /// Ed25519 (RFC 8463).
    Ed25519,
}

/// What a key is for now: it goes from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyState {
    /// Nothing yet: its record is to be put into DNS first.
    Waiting,
    /// Mail is signed with it.
    Signing,
    /// Mail that is under way has its signatures: its record is still needed.
    Retired,
}

/// A private key as PKCS #8. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(pub Arc<[u8]>);

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// A key of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// Never used again.
    pub id: u64,
    /// Whose.
    pub domain: Domain,
    /// Its name in DNS, before `._domainkey` (RFC 6376 §3.1).
    pub selector: String,
    /// How it signs.
    pub kind: KeyKind,
    /// The key.
    pub private: PrivateKey,
    /// What it is for.
    pub state: KeyState,
    /// Since when it is for that.
    pub since: Timestamp,
}

/// What is done to a domain's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// There is one more. `Exists`: that selector is taken. `Limit`: there are as many as may be.
    Add {
        /// Its name in DNS.
        selector: String,
        /// How it signs.
        kind: KeyKind,
        /// The key.
        private: PrivateKey,
        /// What it is for.
        state: KeyState,
    },
    /// The one of this selector is for something else.
    State(String, KeyState),
    /// It goes.
    Remove(String),
}

/// The keys. An engine that keeps none says that there are none.
#[async_trait]
pub trait SigningKeys: Send + Sync {
    /// Those of a domain, the oldest first. Asked for with each submission: answered from memory.
    async fn signing_keys(&self, _domain: &Domain) -> StoreResult<Arc<[SigningKey]>> {
        Ok(Arc::from([]))
    }

    /// Changes those of a domain of ours: all, or none.
    async fn change_signing_keys(
        &self,
        _domain: Domain,
        _changes: Vec<KeyChange>,
        _now: Timestamp,
    ) -> StoreResult<Durable<()>> {
        Err(StoreError::Failed("this store keeps no keys".into()))
    }
}
