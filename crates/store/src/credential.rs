//! What else than the password proves who somebody is: sessions of browsers, app passwords, passkeys, the second factor.

use mail::{AccountId, Timestamp, TokenId, limits};

/// SHA-256 of a token's secret, or of a passkey's credential id, which is no secret. A secret is random, with 128 bits and
/// more, so a fast hash is enough: nobody can try them all.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A browser that logged in, until it logs out, or is silent for too long.
    Session,
    /// The password of one program or device.
    AppPassword,
    /// A key pair on a device, whose public half is kept here (WebAuthn).
    Passkey,
}

/// Where a token may be used; a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// IMAP.
    pub const IMAP: Self = Self(1);
    /// POP3.
    pub const POP3: Self = Self(2);
    /// Submission of mail.
    pub const SMTP: Self = Self(4);
    /// JMAP.
    pub const JMAP: Self = Self(8);
    /// All of mail.
    pub const MAIL: Self = Self(15);

    /// Each one with its name.
    pub const NAMES: [(Self, &str); 4] =
        [(Self::IMAP, "imap"), (Self::POP3, "pop3"), (Self::SMTP, "smtp"), (Self::JMAP, "jmap")];

    /// The bits, for storage.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From storage; unknown bits are dropped.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::MAIL.0)
    }

    /// From names; `mail` is all of them. `None`: one is unknown, or there is none.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut bits = 0;
        for name in names {
            let known = Self::NAMES.iter().find(|(_, known)| *known == name).map(|(scope, _)| *scope);
            bits |= known.or((name == "mail").then_some(Self::MAIL))?.0;
        }
        (bits != 0).then_some(Self(bits))
    }

    /// The names.
    pub fn names(self) -> Vec<&'static str> {
        Self::NAMES.iter().filter(|(scope, _)| self.has(*scope)).map(|(_, name)| *name).collect()
    }

    /// Whether all of `other` is in it.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a passkey's signatures are checked with (WebAuthn Level 3 §4, "credential record").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// The credential id that the device chose; no two passkeys have the same.
    pub credential: Vec<u8>,
    /// The public key, as a COSE_Key (RFC 9052 §7).
    pub key: Vec<u8>,
    /// The last signature's counter; 0: the device has none.
    pub counter: u32,
}

/// A token to keep.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Whose.
    pub account: AccountId,
    /// What it is.
    pub kind: TokenKind,
    /// Its secret's hash.
    pub hash: TokenHash,
    /// For its owner to know it again.
    pub name: String,
    /// Where it may be used.
    pub scopes: Scopes,
    /// It is over then, whatever happens.
    pub expires: Option<Timestamp>,
    /// The address that it was made from; empty: none.
    pub from: String,
    /// Of a passkey, and of no other kind.
    pub passkey: Option<Passkey>,
}

/// A token as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Never that of another, also when it is gone.
    pub id: TokenId,
    /// Whose.
    pub account: AccountId,
    /// What it is.
    pub kind: TokenKind,
    /// Its secret's hash.
    pub hash: TokenHash,
    /// For its owner to know it again.
    pub name: String,
    /// Where it may be used.
    pub scopes: Scopes,
    /// When it was made.
    pub created: Timestamp,
    /// It is over then, whatever happens.
    pub expires: Option<Timestamp>,
    /// When it was used last, and from which address. May be a little old.
    pub used: Option<(Timestamp, String)>,
    /// Of a passkey, and of no other kind.
    pub passkey: Option<Passkey>,
}

impl Token {
    /// When it was used last, or made.
    pub fn last(&self) -> Timestamp {
        self.used.as_ref().map_or(self.created, |(at, _)| *at)
    }

    /// When it is good no more, unless it is used before.
    pub fn end(&self) -> Option<Timestamp> {
        let idle = (self.kind == TokenKind::Session).then(|| self.last().plus(limits::SESSION_IDLE));
        idle.into_iter().chain(self.expires).min()
    }

    /// Whether it is good no more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.end().is_some_and(|end| now >= end)
    }

    /// The most that an account has of this kind.
    pub const fn most(kind: TokenKind) -> (usize, &'static str) {
        match kind {
            TokenKind::Session => (limits::SESSIONS_PER_ACCOUNT, "SESSIONS_PER_ACCOUNT"),
            TokenKind::AppPassword => (limits::APP_PASSWORDS_PER_ACCOUNT, "APP_PASSWORDS_PER_ACCOUNT"),
            TokenKind::Passkey => (limits::PASSKEYS_PER_ACCOUNT, "PASSKEYS_PER_ACCOUNT"),
        }
    }
}

/// The second factor of an account: codes that change with time (RFC 6238). Its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Totp {
    /// Shared with the device. It must be readable here, or no code could be checked.
    pub secret: Vec<u8>,
    /// Whether the owner has shown that the device has it; before, it is not asked for.
    pub confirmed: bool,
    /// The last step of time whose code was used: it is not good again, nor is an earlier one.
    pub last_step: u64,
    /// Recovery codes that are left.
    pub recovery_codes: u32,
}

impl std::fmt::Debug for Totp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Totp(…, confirmed: {})", self.confirmed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_have_names() {
        assert_eq!(Scopes::from_names(["imap", "smtp"]).unwrap().names(), ["imap", "smtp"]);
        assert_eq!(Scopes::from_names(["mail"]), Some(Scopes::MAIL));
        assert_eq!(Scopes::from_names([]), None);
        assert_eq!(Scopes::from_names(["imap", "x"]), None);
        assert!(!Scopes::IMAP.has(Scopes::POP3) && Scopes::MAIL.has(Scopes::JMAP));
    }

    /// `SESSION_IDLE` after the last use, and when it expires.
    #[test]
    fn tokens_end() {
        let made = Timestamp::from_secs(1000);
        let mut token = Token {
            id: TokenId(1),
            account: AccountId(1),
            kind: TokenKind::Session,
            hash: TokenHash([0; 32]),
            name: String::new(),
            scopes: Scopes::MAIL,
            created: made,
            expires: None,
            used: None,
            passkey: None,
        };
        let idle = made.plus(limits::SESSION_IDLE);
        assert!(token.is_over(idle) && !token.is_over(Timestamp::from_millis(idle.millis() - 1)));
        token.used = Some((made.plus(std::time::Duration::from_secs(1)), "192.0.2.1".into()));
        assert!(!token.is_over(idle));
        token.kind = TokenKind::AppPassword;
        assert!(!token.is_over(Timestamp::from_millis(i64::MAX)));
        token.expires = Some(idle);
        assert!(token.is_over(idle) && !token.is_over(Timestamp::from_millis(idle.millis() - 1)));
    }
}
