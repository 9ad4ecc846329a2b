//! Certificates from an authority that speaks ACME (RFC 8555): Let's Encrypt, or one's own.
//!
//! Does: keep an account at the authority, ask for a certificate per name, show what proves that the name is ours
//! ([`Answers`]: over HTTP, in a TLS handshake; [`hook`]: in DNS), keep key and certificate in the data directory
//! ([`keep`]), and do it again at two thirds of a certificate's life ([`worker`]). New certificates count at once for who
//! connects then; nobody is cut off. What fails is tried again, later each time, and never stops mail: the old certificate
//! stays, and one that we signed ourselves stands in where there is none yet.
//!
//! Does not: revoke, ask for wildcards, or speak the protocol: `instant-acme` does, over our own TLS ([`http`]).
//!
//! A certificate is asked for each name by itself, so that a name whose DNS is wrong takes no other down. Its key stays
//! when it is renewed, so that a TLSA record of it (RFC 7672) stays true.

mod answers;
mod hook;
mod http;
mod keep;
mod order;
mod worker;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use mail::{Address, Domain, Timestamp, limits};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::certificate::Certificate;

pub(crate) use http::Https;

pub use answers::{Answers, TLS_ALPN};
pub use keep::{Folder, Trouble};
pub use worker::run;

/// Let's Encrypt.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// What an operator may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeSettings {
    /// The authority's directory.
    pub directory: String,
    /// Whom it may write to.
    pub contact: Vec<Address>,
    /// Certificates for these; none: the hostname, and what the domains' DNS says is here.
    pub names: Vec<Domain>,
    /// How names are proved.
    pub challenge: Challenge,
    /// PEM: who vouches for the authority's own HTTPS, besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Account, keys and certificates.
    pub folder: PathBuf,
    /// A key to begin with, where there is one already, so that what DNS says of it stays true.
    pub first_key: Option<PathBuf>,
}

/// How a name is proved to be ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// Over HTTP on port 80 (RFC 8555 §8.3).
    Http,
    /// In a TLS handshake on port 443 (RFC 8737).
    TlsAlpn,
    /// In DNS (RFC 8555 §8.4), by a program that writes and removes the record.
    Dns(PathBuf),
}

/// What ACME shares with listeners and commands.
pub struct Acme {
    /// What proves names at this moment.
    pub answers: Arc<Answers>,
    /// A new certificate lies in the folder.
    renewed: Notify,
    /// The settings have changed.
    changed: Notify,
    asked: mpsc::Sender<Asked>,
    asks: Mutex<Option<mpsc::Receiver<Asked>>>,
}

/// An operator wants a certificate now.
struct Asked {
    /// For these; none: for all.
    names: Vec<Domain>,
    answer: oneshot::Sender<Result<Vec<String>, String>>,
}

impl Default for Acme {
    fn default() -> Self {
        let (asked, asks) = mpsc::channel(1);
        Self {
            answers: Arc::default(),
            renewed: Notify::new(),
            changed: Notify::new(),
            asked,
            asks: Mutex::new(Some(asks)),
        }
    }
}

impl Acme {
    /// Returns when there is a new certificate, at once if one came since the last time.
    pub async fn renewed(&self) {
        self.renewed.notified().await;
    }

    /// Says that the settings have changed.
    pub(crate) fn change(&self) {
        self.changed.notify_one();
    }

    /// Renews now, whatever is left of the old one's life: those of these names, or all. Returns the names.
    pub async fn renew(&self, names: Vec<Domain>) -> Result<Vec<String>, String> {
        let (answer, answered) = oneshot::channel();
        let gone = || "the server is stopping".to_owned();
        self.asked.send(Asked { names, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Whoever does what is asked takes this, once.
    fn take_asks(&self) -> Option<mpsc::Receiver<Asked>> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// When a certificate is to be renewed: at two thirds of its life, and at once where nobody but ourselves vouches for it.
pub fn due(certificate: &Certificate) -> Timestamp {
    if certificate.self_signed {
        return certificate.from;
    }
    certificate.from.plus(certificate.until.since(certificate.from) * 2 / 3)
}

/// How long a name is left alone after so many failures: authorities count them (Let's Encrypt: 5 in an hour), and who waits
/// long enough for DNS is no sooner there by asking.
pub(crate) fn pause(failures: u32) -> std::time::Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    limits::ACME_AGAIN.saturating_mul(doubled).min(limits::ACME_AGAIN_MOST)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn certificate(from: i64, until: i64, self_signed: bool) -> Certificate {
        Certificate {
            names: vec!["mail.red.example".into()],
            issuer: "CA".into(),
            from: Timestamp::from_secs(from),
            until: Timestamp::from_secs(until),
            self_signed,
            public_key_sha256: [0; 32],
        }
    }

    #[test]
    fn a_third_of_its_life_is_left_when_it_is_renewed() {
        let day = 86_400;
        assert_eq!(due(&certificate(day, 91 * day, false)), Timestamp::from_secs(61 * day));
        assert_eq!(due(&certificate(day, 91 * day, true)), Timestamp::from_secs(day));
        // One whose end is before its beginning is due.
        assert_eq!(due(&certificate(day, 0, false)), Timestamp::from_secs(day));
    }

    /// `ACME_AGAIN`, `ACME_AGAIN_MOST`.
    #[test]
    fn each_failure_doubles_the_pause() {
        assert_eq!(pause(1), limits::ACME_AGAIN);
        assert_eq!(pause(2), limits::ACME_AGAIN * 2);
        assert!(pause(7) < limits::ACME_AGAIN_MOST);
        for many in [9, 40, u32::MAX] {
            assert_eq!(pause(many), limits::ACME_AGAIN_MOST);
        }
        assert!(limits::ACME_AGAIN >= Duration::from_secs(600));
    }
}
