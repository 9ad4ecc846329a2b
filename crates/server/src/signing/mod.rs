//! Signing what our users send (DKIM, RFC 6376).
//!
//! Does: sign each message of a logged-in or trusted client with every key of its author's domain that signs, before it is
//! taken, so that all its copies carry the signature; make new keys ([`new_keys`]). Does not: sign what others wrote, nor what
//! has no single author's domain of ours, or one that is not the sender's; keep keys (the store does) or look them up in DNS.

mod make;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use mail::Domain;
use mta::accept::Identity;
use mta::accept::inspect::{Findings, Inspect, Inspection};
use store::{Event, KeyKind, KeyState, SigningKey, Store, StoreError, What};
use trust::Letter;
use trust::dkim::key::{Algorithm, BadKey, Signer};
use trust::dkim::sign::sign;
use wire::smtp::server::Role;

pub use make::new_keys;

pub use crate::control::key_records as records;

/// How a key of the store signs.
pub(crate) const fn algorithm(kind: KeyKind) -> Algorithm {
    match kind {
        KeyKind::Rsa => Algorithm::Rsa,
        KeyKind::Ed25519 => Algorithm::Ed25519,
    }
}

/// Signs what our users send.
pub struct Sign {
    store: Arc<dyn Store>,
    /// Keys by their ids, ready for use: to read one costs more than to sign with it.
    ready: Mutex<HashMap<u64, Arc<Signer>>>,
}

impl Sign {
    /// With the keys of this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, ready: Mutex::default() }
    }

    fn signer(&self, key: &SigningKey) -> Result<Arc<Signer>, BadKey> {
        let ready = || self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signer) = ready().get(&key.id) {
            return Ok(signer.clone());
        }
        let signer = Signer::new(key.domain.as_str(), &key.selector, algorithm(key.kind), &key.private.0)?;
        let signer = Arc::new(signer);
        ready().insert(key.id, signer.clone());
        Ok(signer)
    }

    /// What signs for a domain now.
    async fn signing(&self, domain: &str) -> Result<Vec<SigningKey>, StoreError> {
        let Ok(domain) = Domain::from_ascii(domain) else { return Ok(Vec::new()) };
        let keys = self.store.signing_keys(&domain).await?;
        Ok(keys.iter().filter(|key| key.state == KeyState::Signing).cloned().collect())
    }
}

/// Whether the client may speak for the domain: else an account of one domain here could have mail signed for another's.
fn is_own(inspection: &Inspection<'_>, domain: &str) -> bool {
    let Identity::Account(_, address) = &inspection.client.identity else { return true };
    // That an account may have it as its sender was seen at MAIL.
    let sender = inspection.envelope.reverse_path.address();
    [Some(address), sender].into_iter().flatten().any(|address| address.domain().as_str() == domain)
}

#[async_trait]
impl Inspect for Sign {
    async fn inspect(&self, inspection: &Inspection<'_>) -> Findings {
        let client = inspection.client;
        if client.role != Role::Submission && client.trusted.is_none() {
            return Findings::default();
        }
        let mut letter = Letter::read(inspection.received());
        let Some(domain) = letter.author_domain().filter(|domain| is_own(inspection, domain)) else {
            return Findings::default();
        };
        let keys = match self.signing(&domain).await {
            Ok(keys) if !keys.is_empty() => keys,
            Ok(_) => return Findings::default(),
            Err(error) => {
                // The same store is about to be asked to keep the message: it says whether that can be.
                tracing::warn!(%error, domain, "the keys can't be read: a message goes without a signature");
                return Findings::default();
            }
        };
        letter.hash_for_a_signature();
        while letter.hash_more() {
            // A large message leaves the thread to others now and then.
            tokio::task::yield_now().await;
        }
        let (mut top, mut selectors) = (Vec::new(), Vec::new());
        for key in &keys {
            let signed = self.signer(key).and_then(|signer| sign(&letter, &signer, inspection.at));
            match signed {
                Ok(field) => {
                    top.extend_from_slice(field.as_bytes());
                    selectors.push(key.selector.clone());
                }
                Err(BadKey) => tracing::error!(
                    domain,
                    selector = key.selector,
                    "this key can't sign: make another with \"postrider dkim rotate {domain}\""
                ),
            }
        }
        let events = (!selectors.is_empty()).then(|| Event::new(inspection.at, What::Signed { domain, selectors }));
        Findings { top, events: events.into_iter().collect(), ..Findings::default() }
    }
}
