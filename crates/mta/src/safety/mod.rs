//! How safe the way to a next hop must be: what its domain publishes about its TLS.
//!
//! **Does:** holds the outcome for one host ([`Policy`]) with the sentence that the journey shows, and judges TLSA records
//! ([`dane`]).
//!
//! **Does not:** ask DNS ([`crate::route`] does), nor look at a certificate ([`crate::world::Connect`] does).

pub mod dane;

use std::fmt;
use std::sync::Arc;

use store::Tls;

pub use dane::Dane;

/// What must hold on a connection to a host before mail goes over it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Nothing: encrypted where the server offers it (RFC 7435).
    #[default]
    Opportunistic,
    /// The certificate must match TLSA records (RFC 7672).
    Dane(Arc<Dane>),
    /// There are TLSA records, but none that can be used: encrypted, by whatever certificate (RFC 7672 §2.2).
    Encrypted {
        /// Those records, shown.
        unusable: String,
    },
    /// Whether there are TLSA records can't be found out now: the host is left alone until it can (RFC 7672 §2.1.2).
    Unknown(String),
}

impl Policy {
    /// What was reached by it, for the journey. `Connect` says more where it looked closer.
    pub fn kept(&self, tls: &Tls) -> String {
        if let Some(words) = &tls.policy {
            return words.clone();
        }
        match self {
            Self::Encrypted { .. } => "DANE: encrypted, but its TLSA records can't be used".to_owned(),
            // A connection with a log-in is verified without a policy.
            Self::Opportunistic if tls.verified == Some(true) => {
                "no policy: encrypted, and the certificate is valid for the name".to_owned()
            }
            Self::Opportunistic => "no policy: encrypted, certificate not checked".to_owned(),
            Self::Dane(_) | Self::Unknown(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opportunistic => f.write_str("no policy: encrypted where offered, certificate not checked"),
            Self::Dane(dane) => write!(f, "DANE: the certificate must match TLSA {dane}"),
            Self::Encrypted { unusable } => {
                write!(f, "DANE: encrypted, by any certificate, since TLSA {unusable} can't be used")
            }
            Self::Unknown(why) => {
                write!(f, "DANE: not to be tried now, since its TLSA records can't be looked up: {why}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journey_says_what_was_reached() {
        let tls = |verified, policy: Option<&str>| Tls {
            version: "TLSv1.3".into(),
            cipher: "X".into(),
            verified,
            policy: policy.map(str::to_owned),
        };
        assert_eq!(
            Policy::Opportunistic.kept(&tls(Some(false), None)),
            "no policy: encrypted, certificate not checked"
        );
        assert_eq!(
            Policy::Opportunistic.kept(&tls(Some(true), None)),
            "no policy: encrypted, and the certificate is valid for the name"
        );
        let encrypted = Policy::Encrypted { unusable: "1 0 1".into() };
        assert_eq!(encrypted.kept(&tls(None, None)), "DANE: encrypted, but its TLSA records can't be used");
        assert_eq!(encrypted.to_string(), "DANE: encrypted, by any certificate, since TLSA 1 0 1 can't be used");
        assert_eq!(Policy::Opportunistic.kept(&tls(None, Some("more"))), "more");
    }
}
