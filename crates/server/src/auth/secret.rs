//! Secrets that are made here: of sessions, app passwords and recovery codes.
//!
//! Does: make them of the system's random numbers, and hash them for keeping. All have more than 128 random bits but
//! recovery codes, so that SHA-256 without salt is enough (nobody can try them all, and none is like another): a log-in
//! with one costs no Argon2. A recovery code has 80, and is no good without the password. Does not: keep any.

use sha2::{Digest, Sha256};
use store::TokenHash;

use super::hash::secret;

/// Without letters that look like others (Crockford's base 32): these are read off a screen and typed.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Groups of four letters, five bits each: 140 bits.
const APP_PASSWORD_GROUPS: usize = 7;
/// 80 bits.
const RECOVERY_CODE_GROUPS: usize = 4;

/// A session's: 256 bits, as a cookie can have it.
pub(crate) fn session() -> String {
    secret().map(|octet| format!("{octet:02x}")).concat()
}

/// An app password, as its owner sees it once.
pub(crate) fn app_password() -> String {
    groups(APP_PASSWORD_GROUPS)
}

/// A recovery code, as its owner sees it once.
pub(crate) fn recovery_code() -> String {
    groups(RECOVERY_CODE_GROUPS)
}

/// At most 32 letters: a random octet for each, of which five bits count.
fn groups(count: usize) -> String {
    let letters = secret().map(|octet| char::from(LETTERS[usize::from(octet % 32)]));
    let groups = letters.chunks(4).take(count).map(|group| group.iter().collect::<String>());
    groups.collect::<Vec<_>>().join("-")
}

/// What is kept of a session's secret.
pub(crate) fn session_hash(secret: &str) -> TokenHash {
    TokenHash(Sha256::digest(secret).into())
}

/// What is kept of an app password; none: it can't be one. Spaces, hyphens and case don't count.
pub(crate) fn app_password_hash(said: &str) -> Option<TokenHash> {
    typed(said, APP_PASSWORD_GROUPS)
}

/// What is kept of a recovery code; none: it can't be one.
pub(crate) fn recovery_code_hash(said: &str) -> Option<TokenHash> {
    typed(said, RECOVERY_CODE_GROUPS)
}

fn typed(said: &str, groups: usize) -> Option<TokenHash> {
    // Longer than any way to write one: not looked through.
    if said.len() > 4 * 4 * groups {
        return None;
    }
    let letters = said.bytes().filter(|b| !matches!(b, b' ' | b'-')).map(|b| b.to_ascii_lowercase());
    let letters: Vec<u8> = letters.collect();
    let right = letters.len() == 4 * groups && letters.iter().all(|letter| LETTERS.contains(letter));
    right.then(|| TokenHash(Sha256::digest(letters).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_as_people_type_them() {
        let password = app_password();
        assert_eq!(password.len(), APP_PASSWORD_GROUPS * 5 - 1);
        let hash = app_password_hash(&password).unwrap();
        for said in [password.replace('-', " "), password.replace('-', ""), password.to_uppercase()] {
            assert_eq!(app_password_hash(&said), Some(hash), "{said}");
        }
        for wrong in [&password[1..], "secret", &format!("{password}a"), &password.replace('-', "é"), &" ".repeat(5000)]
        {
            assert_ne!(app_password_hash(wrong), Some(hash), "{wrong}");
        }
        assert_eq!(app_password_hash(&recovery_code()), None);
        assert!(recovery_code_hash(&recovery_code()).is_some());
    }

    #[test]
    fn no_two_are_alike() {
        assert_ne!(app_password(), app_password());
        assert_ne!(session(), session());
        assert_eq!(session().len(), 64);
        assert_ne!(session_hash(&session()), session_hash(&session()));
    }
}
