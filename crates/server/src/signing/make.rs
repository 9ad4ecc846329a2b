//! Making keys.

use mail::Timestamp;
use message::date::{Day, utc_day};
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use rsa::pkcs8::EncodePrivateKey as _;
use rsa::rand_core::UnwrapErr;
use store::{KeyChange, KeyKind, KeyState, PrivateKey, SigningKey};

/// Bits of an RSA key: RFC 8301 §3.2 wants 2048, and the record of a longer one does not fit into some DNS.
const RSA_BITS: usize = 2048;

/// A new private key. Takes a part of a second of a processor.
///
/// # Errors
/// The system has no random numbers: a sentence.
fn made(kind: KeyKind) -> Result<PrivateKey, String> {
    let failed = |why: String| format!("no key can be made: {why}");
    // Else the generator below panics.
    getrandom::fill(&mut [0; 32]).map_err(|error| failed(error.to_string()))?;
    let der = match kind {
        KeyKind::Rsa => {
            let key = rsa::PrivateKey::new(&mut UnwrapErr(getrandom::SysRng), RSA_BITS);
            let der = key.map_err(|error| failed(error.to_string()))?.to_pkcs8_der();
            der.map_err(|error| failed(error.to_string()))?.as_bytes().to_vec()
        }
        KeyKind::Ed25519 => {
            let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
            der.map_err(|error| failed(error.to_string()))?.as_ref().to_vec()
        }
    };
    Ok(PrivateKey(der.into()))
}

/// The kinds that a domain signs with: RSA, which everybody checks, and Ed25519, which some prefer (RFC 8463 §3).
const KINDS: [KeyKind; 2] = [KeyKind::Rsa, KeyKind::Ed25519];

/// New keys of a domain beside those that it has, one of each kind. They wait for their records, but where none signs yet they
/// do at once: nobody has seen a signature, so a record that is still missing does no harm.
///
/// # Errors
/// As [`made`].
pub fn new_keys(keys: &[SigningKey], now: Timestamp) -> Result<Vec<KeyChange>, String> {
    let signs = keys.iter().any(|key| key.state == KeyState::Signing);
    let state = if signs { KeyState::Waiting } else { KeyState::Signing };
    let add = |kind| Ok(KeyChange::Add { selector: selector(kind, now, keys), kind, private: made(kind)?, state });
    KINDS.into_iter().map(add).collect()
}

/// A name for a new key, which none of these has: its day and kind, so that the older one is known by its name.
fn selector(kind: KeyKind, now: Timestamp, others: &[SigningKey]) -> String {
    let Day { year, month, day } = utc_day(now);
    let letter = match kind {
        KeyKind::Rsa => 'r',
        KeyKind::Ed25519 => 'e',
    };
    let base = format!("{year:04}{month:02}{day:02}{letter}");
    let is_free = |name: &String| others.iter().all(|other| other.selector != *name);
    // One more than there are others is free at the latest.
    let numbered = (2..=others.len() + 2).map(|n| format!("{base}{n}"));
    std::iter::once(base.clone()).chain(numbered).find(is_free).unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use mail::Domain;
    use trust::dkim::key::{Signer, record};

    use super::*;
    use crate::signing::algorithm;

    #[test]
    fn keys_sign_and_have_a_record() {
        for kind in [KeyKind::Rsa, KeyKind::Ed25519] {
            let key = made(kind).unwrap();
            assert!(Signer::new("a.example", "s", algorithm(kind), &key.0).is_ok());
            assert!(record(algorithm(kind), &key.0).unwrap().starts_with("v=DKIM1; k="));
            assert_ne!(key, made(kind).unwrap());
        }
    }

    #[test]
    fn a_selector_is_free() {
        let now = Timestamp::from_secs(1_790_000_000);
        let first = selector(KeyKind::Rsa, now, &[]);
        assert_eq!(first, "20260921r");
        let key = |selector: &str| SigningKey {
            id: 1,
            domain: Domain::from_ascii("a.example").unwrap(),
            selector: selector.into(),
            kind: KeyKind::Rsa,
            private: PrivateKey([].into()),
            state: KeyState::Signing,
            since: now,
        };
        assert_eq!(selector(KeyKind::Rsa, now, &[key(&first)]), "20260921r2");
        assert_eq!(selector(KeyKind::Rsa, now, &[key("20260921r2"), key(&first)]), "20260921r3");
        assert_eq!(selector(KeyKind::Ed25519, now, &[key(&first)]), "20260921e");
    }
}
