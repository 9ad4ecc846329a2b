//! Log-ins of browsers: password and second factor, then a session; and app passwords, which others use.

use std::net::IpAddr;
use std::time::Duration;

use mail::{AccountId, Timestamp, TokenId, limits};
use store::{Account, NewToken, Scopes, StoreError, StoreResult, Token, TokenHash, TokenKind};

use super::failures::Leave;
use super::hash::Hashes;
use super::{Auth, LoginError, counted_as, login_address, prepared, secret, totp};
use crate::listen::network_of;

/// How a log-in with the account's own password ended, if it was not refused.
#[derive(Debug)]
pub enum WebLogin {
    /// It is this account's owner.
    In(Box<Account>),
    /// The password is right; the account has a second factor, whose code is missing.
    CodeNeeded,
}

impl Auth {
    /// Checks the account's own password, and its second factor where it has one: a code of the device, or a recovery code.
    pub async fn web(
        &self,
        peer: IpAddr,
        login: &str,
        password: &str,
        code: Option<&str>,
        most_failures: usize,
    ) -> Result<WebLogin, LoginError> {
        let now = self.clock.now();
        let name = login_address(login);
        let account = match &name {
            Some(name) => self.active(name).await?,
            None => None,
        };
        let who = counted_as(account.as_ref().map(|account| &account.address).or(name.as_ref()), login);
        if self.leave(peer, &who, most_failures, now) != Leave::Full {
            self.failed(peer, &who, most_failures, now);
            return Err(LoginError::Wait);
        }
        let known = account.as_ref().map(|account| account.password.clone());
        let right = self.hasher.verify(known, prepared(password.as_bytes()).into_owned()).await;
        let Some(account) = account.filter(|_| right) else {
            self.failed(peer, &who, most_failures, now);
            return Err(LoginError::Refused);
        };
        if account.totp.as_ref().is_some_and(|totp| totp.confirmed) {
            let Some(code) = code else { return Ok(WebLogin::CodeNeeded) };
            if let Err(error) = self.second_factor(&account, code, now).await {
                self.failed(peer, &who, most_failures, now);
                return Err(error);
            }
        }
        self.failures.forgive(network_of(peer));
        Ok(WebLogin::In(Box::new(account)))
    }

    /// Uses up a code of an account that has a second factor.
    async fn second_factor(&self, account: &Account, code: &str, now: Timestamp) -> Result<(), LoginError> {
        // Whoever guesses here knows the password, from wherever he comes: also on loopback.
        if self.failures.codes(account.id, now) >= limits::TOTP_FAILURES {
            return Err(LoginError::Wait);
        }
        let step = account.totp.as_ref().and_then(|totp| totp::step(totp, code, now));
        let used = match (step, secret::recovery_code_hash(code)) {
            (Some(step), _) => self.store.use_totp(account.id, step).await,
            (None, Some(code)) => self.store.use_recovery_code(account.id, code).await,
            (None, None) => return Err(self.wrong_code(account.id, now)),
        };
        match used.map_err(LoginError::Store)?.into_inner() {
            true => {
                self.failures.forget_codes(account.id);
                Ok(())
            }
            false => Err(self.wrong_code(account.id, now)),
        }
    }

    fn wrong_code(&self, account: AccountId, now: Timestamp) -> LoginError {
        self.failures.note_code(account, now);
        LoginError::Refused
    }

    /// Begins a session; its secret is the browser's to keep.
    pub async fn begin_session(&self, account: AccountId, agent: &str, peer: IpAddr) -> StoreResult<String> {
        let (secret, now) = (secret::session(), self.clock.now());
        let token = NewToken {
            account,
            kind: TokenKind::Session,
            hash: secret::session_hash(&secret),
            name: short(agent),
            scopes: Scopes::MAIL,
            expires: Some(now.plus(limits::SESSION_LIFETIME)),
            from: peer.to_string(),
            passkey: None,
        };
        let _ = self.store.add_token(token, now).await?;
        Ok(secret)
    }

    /// Whose session this is; none: it is over, or never was.
    pub async fn session(&self, secret: &str, peer: IpAddr) -> StoreResult<Option<(Account, Token)>> {
        self.token(secret::session_hash(secret), TokenKind::Session, peer).await
    }

    /// Whose app password this is, of those that may be used for `scope`.
    pub async fn bearer(&self, said: &str, scope: Scopes, peer: IpAddr) -> StoreResult<Option<(Account, Token)>> {
        let Some(hash) = secret::app_password_hash(said) else { return Ok(None) };
        let found = self.token(hash, TokenKind::AppPassword, peer).await?;
        Ok(found.filter(|(_, token)| token.scopes.has(scope)))
    }

    /// A token that is good, of an account that may be used; it is used now.
    async fn token(&self, hash: TokenHash, kind: TokenKind, peer: IpAddr) -> StoreResult<Option<(Account, Token)>> {
        let now = self.clock.now();
        let token = self.store.token(&hash).await?.filter(|token| token.kind == kind && !token.is_over(now));
        let Some(token) = token else { return Ok(None) };
        let account = self.store.account(token.account).await?;
        let Some(account) = account.filter(|account| account.state == store::AccountState::Active) else {
            return Ok(None);
        };
        let from = peer.to_string();
        let noted =
            token.used.as_ref().is_some_and(|(at, before)| *before == from && now.since(*at) < limits::TOKEN_USE_NOTED);
        if !noted {
            self.store.note_use(token.id, now, &from);
        }
        Ok(Some((account, token)))
    }

    /// Makes an app password: its owner sees it once. The same as [`add_app_password`], at this clock's time.
    pub async fn add_app_password(
        &self,
        account: AccountId,
        name: &str,
        scopes: Scopes,
        days: Option<u32>,
    ) -> StoreResult<(TokenId, String)> {
        add_app_password(&*self.store, account, name, scopes, days, self.clock.now()).await
    }

    /// Begins a second factor: the secret, and the same as a device reads it.
    pub async fn begin_totp(&self, account: &Account, issuer: &str) -> StoreResult<(String, String)> {
        let secret = totp::secret();
        let _ = self.store.begin_totp(account.id, secret.clone()).await?;
        Ok((totp::base32(&secret), totp::uri(&secret, &account.address, issuer)))
    }

    /// The owner shows that the device has the secret; from now on the account has a second factor. Recovery codes, or
    /// none where the code is wrong.
    pub async fn confirm_totp(&self, account: &Account, code: &str) -> StoreResult<Option<Vec<String>>> {
        let totp = account.totp.as_ref().ok_or_else(|| StoreError::NotFound("a second factor".into()))?;
        let Some(step) = totp::step(totp, code, self.clock.now()) else { return Ok(None) };
        let codes: Vec<String> = (0..limits::RECOVERY_CODES).map(|_| secret::recovery_code()).collect();
        let hashes = codes.iter().filter_map(|code| secret::recovery_code_hash(code)).collect();
        let _ = self.store.confirm_totp(account.id, step, hashes).await?;
        Ok(Some(codes))
    }

    /// What is kept of a new password. Without `scram`, no SCRAM keys are.
    pub async fn hashes(&self, password: &str, scram: bool) -> Result<Hashes, String> {
        self.hasher.hashes(password.to_owned(), scram).await
    }
}

/// Makes an app password in a store; it is over after so many days, or never.
pub async fn add_app_password(
    store: &dyn store::Store,
    account: AccountId,
    name: &str,
    scopes: Scopes,
    days: Option<u32>,
    now: Timestamp,
) -> StoreResult<(TokenId, String)> {
    let secret = secret::app_password();
    let hash = secret::app_password_hash(&secret).ok_or_else(|| StoreError::Failed("no app password".into()))?;
    let token = NewToken {
        account,
        kind: TokenKind::AppPassword,
        hash,
        name: short(name),
        scopes,
        expires: days.map(|days| now.plus(Duration::from_secs(u64::from(days) * 86_400))),
        from: String::new(),
        passkey: None,
    };
    let id = store.add_token(token, now).await?.into_inner();
    Ok((id, secret))
}

/// A name as it is kept: no control characters, and not more than so much.
pub(super) fn short(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(limits::TOKEN_NAME_LEN).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use mail::{Address, Domain};
    use mta::world::Clock;
    use store::{NewAccount, PasswordHash, Store};
    use store_local::{LocalStore, Options};

    use super::*;

    /// Time that a test sets.
    struct At(Mutex<Timestamp>);

    #[async_trait::async_trait]
    impl Clock for At {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }

        async fn sleep(&self, _: Duration) {}
    }

    struct Scene {
        auth: Auth,
        store: Arc<LocalStore>,
        clock: Arc<At>,
        alice: AccountId,
        _folder: tempfile::TempDir,
    }

    async fn scene() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path(), Options { reserve: 0, ..Options::default() }).unwrap();
        let domain = Domain::from_ascii("red.example").unwrap();
        let _ = store.add_domain(&domain).await.unwrap();
        let clock = Arc::new(At(Mutex::new(Timestamp::from_secs(1_000_000))));
        let auth = Auth::new(store.clone(), clock.clone());
        let address = Address::new("alice", domain).unwrap();
        let new = NewAccount { address, password: PasswordHash("$".into()), scram: None, quota: None };
        let alice = store.add_account(new, clock.now()).await.unwrap().into_inner();
        Scene { auth, store, clock, alice, _folder: folder }
    }

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const AWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    /// `SESSION_LIFETIME` from its beginning, however it is used.
    #[tokio::test]
    async fn a_session_has_an_end() {
        let Scene { auth, clock, alice, .. } = scene().await;
        let began = clock.now();
        let secret = auth.begin_session(alice, "Browser", HOME).await.unwrap();
        let end = began.plus(limits::SESSION_LIFETIME);
        while clock.now() < end {
            assert!(auth.session(&secret, HOME).await.unwrap().is_some());
            let next = clock.now().plus(limits::SESSION_IDLE / 2).min(end);
            *clock.0.lock().unwrap() = next;
        }
        assert!(auth.session(&secret, HOME).await.unwrap().is_none());
    }

    /// A use is noted again after `TOKEN_USE_NOTED`, and at once from another address.
    #[tokio::test]
    async fn uses_are_noted_now_and_then() {
        let Scene { auth, store, clock, alice, .. } = scene().await;
        let began = clock.now();
        let secret = auth.begin_session(alice, "Browser", HOME).await.unwrap();
        let used = async |after: Duration, from| {
            *clock.0.lock().unwrap() = began.plus(after);
            auth.session(&secret, from).await.unwrap().unwrap();
            let token = store.tokens(alice, TokenKind::Session).await.unwrap().remove(0);
            let (at, from) = token.used.unwrap();
            (at.since(began), from)
        };
        let second = Duration::from_secs(1);
        assert_eq!(used(limits::TOKEN_USE_NOTED - second, HOME).await, (Duration::ZERO, HOME.to_string()));
        assert_eq!(used(limits::TOKEN_USE_NOTED, HOME).await, (limits::TOKEN_USE_NOTED, HOME.to_string()));
        let soon = limits::TOKEN_USE_NOTED + second;
        assert_eq!(used(soon, AWAY).await, (soon, AWAY.to_string()));
    }

    /// `RECOVERY_CODES`, each good once.
    #[tokio::test]
    async fn a_second_factor_comes_with_recovery_codes() {
        let Scene { auth, store, clock, alice, .. } = scene().await;
        let account = async || store.account(alice).await.unwrap().unwrap();
        assert!(auth.confirm_totp(&account().await, "123456").await.is_err());
        let (_, uri) = auth.begin_totp(&account().await, "mail.red.example").await.unwrap();
        assert!(uri.contains("alice%40red.example"), "{uri}");
        let begun = account().await;
        assert_eq!(auth.confirm_totp(&begun, "12345").await.unwrap(), None);
        let step = u64::try_from(clock.now().secs()).unwrap() / 30;
        let code = totp::code(&begun.totp.as_ref().unwrap().secret, step);
        let codes = auth.confirm_totp(&begun, &code).await.unwrap().unwrap();
        assert_eq!(codes.len(), limits::RECOVERY_CODES);
        let now = clock.now();
        let confirmed = account().await;
        assert_eq!(auth.second_factor(&confirmed, &code, now).await, Err(LoginError::Refused), "used to confirm");
        for code in &codes {
            assert_eq!(auth.second_factor(&account().await, code, now).await, Ok(()));
            assert_eq!(auth.second_factor(&account().await, code, now).await, Err(LoginError::Refused));
        }
    }

    /// `TOKEN_NAME_LEN` characters and one more.
    #[test]
    fn names_are_bounded() {
        let long = "ä".repeat(limits::TOKEN_NAME_LEN);
        assert_eq!(short(&long), long);
        assert_eq!(short(&format!("{long}b")), long);
        assert_eq!(short("a\r\nb\u{7f}"), "ab");
    }
}
