//! Argon2id on a bounded pool.
//!
//! Does: hash and verify passwords off the async threads, at most `limits::PASSWORD_HASHES` at once, and takes as
//! long for somebody who does not exist. Does not: keep passwords.

use std::sync::OnceLock;

use argon2::password_hash::phc;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use hmac::{Hmac, KeyInit, Mac};
use mail::limits;
use sha2::Sha256;
use store::{PasswordHash, ScramKeys};
use tokio::sync::Semaphore;

/// Hashes, a few at a time.
pub(crate) struct Hasher {
    places: Semaphore,
    /// Verified for unknown users, so that they take as long. Made when it is needed: not every command logs people in.
    nobody: OnceLock<PasswordHash>,
}

impl Hasher {
    pub(crate) fn new() -> Self {
        Self { places: Semaphore::new(limits::PASSWORD_HASHES), nobody: OnceLock::new() }
    }

    /// With the parameters of a real one; no password fits, since nobody knows one.
    async fn nobody(&self) -> PasswordHash {
        if let Some(nobody) = self.nobody.get() {
            return nobody.clone();
        }
        let made = self.hash(secret().to_vec()).await.unwrap_or_else(|_| PasswordHash(String::new()));
        self.nobody.get_or_init(|| made).clone()
    }

    /// Whether the password fits; `known` is none for who does not exist.
    pub(crate) async fn verify(&self, known: Option<PasswordHash>, password: Vec<u8>) -> bool {
        // Also where somebody exists, so that the first unknown name takes no longer than the next.
        let nobody = self.nobody().await;
        let exists = known.is_some();
        let hash = known.unwrap_or(nobody);
        // The pool is never closed; were it, nobody gets in.
        let Ok(_place) = self.places.acquire().await else { return false };
        let fits = tokio::task::spawn_blocking(move || verify_now(&hash, &password)).await;
        fits.unwrap_or(false) && exists
    }

    /// What is kept of a new password, or why there is nothing.
    pub(crate) async fn hashes(&self, password: String, scram: bool) -> Result<Hashes, String> {
        let Ok(_place) = self.places.acquire().await else { return Err("the server stops".into()) };
        let hashed = tokio::task::spawn_blocking(move || hashes_now(&password, scram)).await;
        hashed.map_err(|error| error.to_string())?
    }

    /// A new hash, or why there is none.
    pub(crate) async fn hash(&self, password: Vec<u8>) -> Result<PasswordHash, String> {
        let Ok(_place) = self.places.acquire().await else { return Err("the server stops".into()) };
        tokio::task::spawn_blocking(move || hash_now(&password)).await.map_err(|error| error.to_string())?
    }
}

/// A new hash with a salt of its own (RFC 9106 §4): Argon2id, version 19, 19 MiB, 2 passes, 1 lane (the OWASP recommendation and the
/// library's default), as a PHC string. Takes some 20 ms: not for async threads.
pub fn hash_now(password: &[u8]) -> Result<PasswordHash, String> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| format!("the system has no random numbers: {error}"))?;
    let hash: phc::PasswordHash = Argon2::default()
        .hash_password_with_salt(password, &salt)
        .map_err(|error| format!("the password can't be hashed: {error}"))?;
    Ok(PasswordHash(hash.to_string()))
}

/// What is kept of a password.
pub type Hashes = (PasswordHash, Option<ScramKeys>);

/// What is kept of a new password, without SCRAM keys where they are not asked for. SASLprep on both sides, so that a
/// password typed on another keyboard fits (RFC 4616 §2, RFC 4013). Not for async threads.
pub fn hashes_now(password: &str, scram: bool) -> Result<Hashes, String> {
    let password = wire::sasl::prepare(password);
    let keys = scram.then(|| scram_keys(&password)).transpose()?;
    Ok((hash_now(password.as_bytes())?, keys))
}

/// SCRAM-SHA-256 keys with a salt of their own, for accounts that ask for them. Not for async threads either.
pub fn scram_keys(password: &str) -> Result<ScramKeys, String> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| format!("the system has no random numbers: {error}"))?;
    let keys = wire::sasl::scram::Keys::derive(password, &salt, limits::SCRAM_ITERATIONS);
    Ok(ScramKeys {
        salt: keys.salt,
        iterations: keys.iterations,
        stored_key: keys.stored_key,
        server_key: keys.server_key,
    })
}

fn verify_now(hash: &PasswordHash, password: &[u8]) -> bool {
    PasswordVerifier::<str>::verify_password(&Argon2::default(), password, hash.0.as_str()).is_ok()
}

/// 128 random bits that nobody else is given.
pub(crate) fn random() -> u128 {
    secret().iter().take(16).fold(0, |bits, octet| bits << 8 | u128::from(*octet))
}

/// 32 random octets. A system without random numbers can't do TLS either, so ending is all that is left.
#[allow(clippy::expect_used, reason = "see above: nothing secure can go on without random numbers")]
pub(crate) fn secret() -> [u8; 32] {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).expect("the system has random numbers");
    secret
}

/// HMAC-SHA-256 over parts, each with its length before it, so that no two lists of parts give the same input.
pub(crate) fn keyed_mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    #[allow(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is right");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// SCRAM keys that no password fits, the same for the same name each time: a client that tries twice sees the
/// same salt, as it does for an account that exists.
pub(crate) fn made_up_keys(secret: &[u8; 32], name: &str) -> ScramKeys {
    let part = |what: &[u8]| keyed_mac(secret, &[what, name.as_bytes()]);
    ScramKeys {
        salt: part(b"salt")[..16].to_vec(),
        iterations: limits::SCRAM_ITERATIONS,
        stored_key: part(b"stored"),
        server_key: part(b"server"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_hash_and_no_other() {
        let hasher = Hasher::new();
        let hash = hasher.hash(b"correct horse".to_vec()).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert!(hasher.verify(Some(hash.clone()), b"correct horse".to_vec()).await);
        assert!(!hasher.verify(Some(hash), b"correct horsf".to_vec()).await);
        assert!(!hasher.verify(None, b"correct horse".to_vec()).await);
        assert!(!hasher.verify(Some(PasswordHash("rubbish".into())), b"rubbish".to_vec()).await);
    }

    /// Who does not exist waits for a place as everybody does, and then for a hash.
    #[tokio::test]
    async fn an_unknown_name_costs_the_same_work() {
        let hasher = Hasher::new();
        assert!(!hasher.verify(None, b"x".to_vec()).await);
        let nobody = hasher.nobody().await;
        let parameters = |hash: &str| hash.split('$').nth(3).unwrap().to_owned();
        assert_eq!(parameters(&nobody.0), parameters(&hasher.hash(b"somebody".to_vec()).await.unwrap().0));
        let _taken = hasher.places.acquire_many(limits::PASSWORD_HASHES as u32).await.unwrap();
        for known in [None, Some(nobody)] {
            let answered = tokio::time::timeout(std::time::Duration::ZERO, hasher.verify(known, b"x".to_vec())).await;
            assert!(answered.is_err(), "answered without a hash");
        }
    }

    #[test]
    fn made_up_keys_stay_the_same_for_a_name() {
        let secret = secret();
        assert_eq!(made_up_keys(&secret, "a@x"), made_up_keys(&secret, "a@x"));
        assert_ne!(made_up_keys(&secret, "a@x").salt, made_up_keys(&secret, "b@x").salt);
    }

    /// `PASSWORD_HASHES` at once; the next one waits for a place.
    #[tokio::test]
    async fn only_so_many_hashes_at_once() {
        let hasher = Hasher::new();
        let taken = hasher.places.acquire_many(limits::PASSWORD_HASHES as u32).await.unwrap();
        assert_eq!(hasher.places.available_permits(), 0);
        let mut waiting = Box::pin(hasher.hash(b"x".to_vec()));
        assert!(futures_pending(&mut waiting));
        drop(taken);
        waiting.await.unwrap();
    }

    fn futures_pending<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        std::pin::Pin::new(future).poll(&mut context).is_pending()
    }

    /// RFC 7677 §4: 4,096 iterations at least; `SCRAM_ITERATIONS` are made, and made up.
    #[test]
    fn keys_cost_what_they_should() {
        const { assert!(limits::SCRAM_ITERATIONS >= 4096) };
        assert_eq!(scram_keys("secret").unwrap().iterations, limits::SCRAM_ITERATIONS);
        assert_eq!(made_up_keys(&secret(), "a@x").iterations, limits::SCRAM_ITERATIONS);
    }
}
