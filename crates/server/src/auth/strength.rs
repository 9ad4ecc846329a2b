//! Passwords that are guessed first.

use mail::Address;

/// Short, or made of the address, or one of those that are tried first.
pub fn is_weak(password: &str, address: &Address) -> bool {
    const TRIED_FIRST: [&str; 12] = [
        "password",
        "passwort",
        "12345",
        "qwerty",
        "qwertz",
        "letmein",
        "welcome",
        "admin",
        "iloveyou",
        "secret",
        "changeme",
        "postmaster",
    ];
    let folded = password.to_lowercase();
    let mut letters: Vec<char> = folded.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    let local = address.local().to_lowercase();
    folded.chars().count() < 10
        || letters.len() < 5
        || (local.len() > 2 && folded.contains(&local) && folded.len() < local.len() + 8)
        || TRIED_FIRST.iter().any(|tried| folded.starts_with(tried) && folded.len() < tried.len() + 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_passwords_are_known() {
        let address = Address::new("alice", mail::Domain::from_ascii("red.example").unwrap()).unwrap();
        for weak in ["alice", "short", "aaaaaaaaaaaaaaaa", "password1234", "Alice-12345", "1234567890"] {
            assert!(is_weak(weak, &address), "{weak}");
        }
        for good in ["correct horse battery", "x9!fLk2-pQz7", "gSv8Tnq2wYc4"] {
            assert!(!is_weak(good, &address), "{good}");
        }
    }
}
