//! Sessions, app passwords, passkeys and the second factor.

use mail::{AccountId, Timestamp, TokenId, limits};
use rusqlite::{Row, params};
use store::{NewToken, Passkey, Scopes, StoreError, StoreResult, Token, TokenHash, TokenKind};

use super::Truth;
use crate::directory::DirectoryChange;

/// Reads what [`token`] needs; a condition may follow.
pub(crate) const TOKEN_SELECT: &str =
    "SELECT id, account, kind, hash, name, scopes, created, expires, used, used_from, credential, public_key, counter
     FROM tokens";

const KINDS: [TokenKind; 3] = [TokenKind::Session, TokenKind::AppPassword, TokenKind::Passkey];

const fn number(kind: TokenKind) -> i64 {
    match kind {
        TokenKind::Session => 0,
        TokenKind::AppPassword => 1,
        TokenKind::Passkey => 2,
    }
}

/// A token from the columns of [`TOKEN_SELECT`].
pub(crate) fn token(row: &Row<'_>) -> rusqlite::Result<Token> {
    let at = |column: usize| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_millis));
    let (written, used_from) = (row.get::<_, i64>(2)?, row.get(9)?);
    let kind = KINDS.into_iter().find(|kind| number(*kind) == written);
    let credential = row.get::<_, Option<Vec<u8>>>(10)?;
    let passkey = match credential {
        Some(credential) => Some(Passkey { credential, key: row.get(11)?, counter: row.get(12)? }),
        None => None,
    };
    Ok(Token {
        id: TokenId(row.get(0)?),
        account: AccountId(row.get(1)?),
        kind: kind.ok_or(rusqlite::Error::IntegralValueOutOfRange(2, written))?,
        hash: TokenHash(row.get(3)?),
        name: row.get(4)?,
        scopes: Scopes::from_bits(row.get(5)?),
        created: at(6)?.unwrap_or_default(),
        expires: at(7)?,
        used: at(8)?.map(|at| (at, used_from)),
        passkey,
    })
}

impl Truth {
    pub(crate) fn add_token(&mut self, new: &NewToken, now: Timestamp) -> StoreResult<TokenId> {
        if !self.account(new.account)?.is_some_and(|account| account.active) {
            return Err(StoreError::NotFound(format!("an active account with id {}", new.account.0)));
        }
        // Whoever has a passkey has told its id to nobody else, but a stranger's device can claim any.
        if new.kind == TokenKind::Passkey
            && self.one("SELECT 1 FROM tokens WHERE hash = ?1", [new.hash.0], |_| Ok(()))?.is_some()
        {
            return Err(StoreError::Exists("this passkey".into()));
        }
        let sql = format!("{TOKEN_SELECT} WHERE account = ?1 AND kind = ?2");
        let (mut gone, mut there): (Vec<Token>, Vec<Token>) = self
            .all(&sql, params![new.account.0, number(new.kind)], token)?
            .into_iter()
            .partition(|one| one.is_over(now));
        let (most, limit) = Token::most(new.kind);
        if there.len() >= most {
            if new.kind != TokenKind::Session {
                return Err(StoreError::Limit(limit));
            }
            there.sort_by_key(Token::last);
            gone.extend(there.drain(..=there.len() - most));
        }
        for one in gone {
            self.drop_token(one.id)?;
        }
        let sql = "INSERT INTO tokens(account, kind, hash, name, scopes, created, expires, used, used_from, credential,
                     public_key, counter)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        // A session is used by who begins it.
        let used = (new.kind == TokenKind::Session).then_some(now.millis());
        let expires = new.expires.map(Timestamp::millis);
        let passkey = new.passkey.as_ref();
        let values = params![
            new.account.0,
            number(new.kind),
            new.hash.0,
            new.name,
            new.scopes.bits(),
            now.millis(),
            expires,
            used,
            new.from,
            passkey.map(|passkey| &passkey.credential),
            passkey.map(|passkey| &passkey.key),
            passkey.map(|passkey| passkey.counter)
        ];
        self.exec(sql, values)?;
        let id = TokenId(self.one("SELECT last_insert_rowid()", [], |row| row.get(0))?.unwrap_or_default());
        self.announce_token(id)?;
        Ok(id)
    }

    fn announce_token(&mut self, id: TokenId) -> StoreResult<()> {
        let kept = self.one(&format!("{TOKEN_SELECT} WHERE id = ?1"), [id.0], token)?;
        let kept = kept.ok_or_else(|| StoreError::Failed("a token was not kept".into()))?;
        self.announce(DirectoryChange::Token(kept));
        Ok(())
    }

    pub(crate) fn use_passkey(&mut self, id: TokenId, counter: u32, now: Timestamp, from: &str) -> StoreResult<bool> {
        // WebAuthn Level 3 §7.2: a counter that is there grows with each signature.
        let sql = "UPDATE tokens SET counter = ?2, used = ?3, used_from = ?4
                   WHERE id = ?1 AND kind = 2 AND (counter < ?2 OR counter = 0 AND ?2 = 0)";
        let used = self.exec(sql, params![id.0, counter, now.millis(), from])? > 0;
        if used {
            self.announce_token(id)?;
        }
        Ok(used)
    }

    fn drop_token(&mut self, id: TokenId) -> StoreResult<()> {
        self.exec("DELETE FROM tokens WHERE id = ?1", [id.0])?;
        self.erase_push_subscriptions("token = ?1", [id.0])?;
        self.announce(DirectoryChange::TokenGone(id));
        Ok(())
    }

    pub(crate) fn remove_token(&mut self, account: AccountId, kind: TokenKind, id: TokenId) -> StoreResult<()> {
        let sql = "SELECT 1 FROM tokens WHERE id = ?1 AND account = ?2 AND kind = ?3";
        if self.one(sql, params![id.0, account.0, number(kind)], |_| Ok(()))?.is_none() {
            return Err(StoreError::NotFound(format!("the token {}", id.0)));
        }
        self.drop_token(id)
    }

    /// The account's sessions are over.
    pub(super) fn end_sessions(&mut self, account: AccountId) -> StoreResult<()> {
        let sql = "SELECT id FROM tokens WHERE account = ?1 AND kind = 0";
        let sessions = self.all(sql, [account.0], |row| Ok(TokenId(row.get(0)?)))?;
        sessions.into_iter().try_for_each(|id| self.drop_token(id))
    }

    /// Nothing proves any more who the account was.
    pub(super) fn drop_credentials(&mut self, account: AccountId) -> StoreResult<()> {
        let tokens =
            self.all("SELECT id FROM tokens WHERE account = ?1", [account.0], |row| Ok(TokenId(row.get(0)?)))?;
        tokens.into_iter().try_for_each(|id| self.drop_token(id))?;
        self.erase_push_subscriptions("account = ?1", [account.0])?;
        self.exec("DELETE FROM recovery_codes WHERE account = ?1", [account.0])?;
        self.exec("DELETE FROM totp WHERE account = ?1", [account.0]).map(drop)
    }

    /// Writes down when tokens were used last; the directory has it already.
    pub(crate) fn note_uses(&mut self, uses: &[(TokenId, Timestamp, String)]) -> StoreResult<()> {
        let sql = "UPDATE tokens SET used = ?2, used_from = ?3 WHERE id = ?1";
        self.exec_each(sql, uses, |(id, at, from)| (id.0, at.millis(), from.clone()))
    }

    pub(crate) fn forget_tokens(&mut self, now: Timestamp) -> StoreResult<u64> {
        // The rows are many, those that are over few; `Token::is_over` has the last word.
        let sql = format!("{TOKEN_SELECT} WHERE expires <= ?1 OR kind = 0 AND coalesce(used, created) <= ?2");
        let idle = i64::try_from(limits::SESSION_IDLE.as_millis()).unwrap_or(i64::MAX);
        let values = params![now.millis(), now.millis().saturating_sub(idle)];
        let over: Vec<Token> = self.all(&sql, values, token)?.into_iter().filter(|one| one.is_over(now)).collect();
        let count = over.len() as u64;
        over.into_iter().try_for_each(|one| self.drop_token(one.id))?;
        self.forget_push_subscriptions(now)?;
        Ok(count)
    }

    /// Whether the account has a second factor, and whether that was confirmed.
    fn totp(&mut self, account: AccountId) -> StoreResult<Option<bool>> {
        self.known_account(account)?;
        self.one("SELECT confirmed FROM totp WHERE account = ?1", [account.0], |row| row.get(0))
    }

    pub(crate) fn begin_totp(&mut self, account: AccountId, secret: &[u8]) -> StoreResult<()> {
        if self.totp(account)? == Some(true) {
            return Err(StoreError::Exists("a second factor".into()));
        }
        let sql = "INSERT OR REPLACE INTO totp(account, secret, confirmed, last_step) VALUES (?1, ?2, 0, 0)";
        self.exec(sql, params![account.0, secret])?;
        self.announce_account(account)
    }

    pub(crate) fn confirm_totp(&mut self, account: AccountId, step: u64, recovery: &[TokenHash]) -> StoreResult<()> {
        match self.totp(account)? {
            None => return Err(StoreError::NotFound("a second factor".into())),
            Some(true) => return Err(StoreError::Exists("a second factor".into())),
            Some(false) => {}
        }
        self.exec("UPDATE totp SET confirmed = 1, last_step = ?2 WHERE account = ?1", params![account.0, step])?;
        let sql = "INSERT OR IGNORE INTO recovery_codes(account, hash) VALUES (?1, ?2)";
        self.exec_each(sql, recovery, |code| (account.0, code.0))?;
        // From now on the password alone proves nothing.
        self.erase_push_subscriptions("account = ?1 AND token = 0", [account.0])?;
        self.announce_account(account)
    }

    pub(crate) fn use_totp(&mut self, account: AccountId, step: u64) -> StoreResult<bool> {
        let sql = "UPDATE totp SET last_step = ?2 WHERE account = ?1 AND confirmed = 1 AND last_step < ?2";
        self.use_up(account, sql, params![account.0, step])
    }

    pub(crate) fn use_recovery_code(&mut self, account: AccountId, code: TokenHash) -> StoreResult<bool> {
        let sql = "DELETE FROM recovery_codes WHERE account = ?1 AND hash = ?2";
        self.use_up(account, sql, params![account.0, code.0])
    }

    fn use_up(&mut self, account: AccountId, sql: &str, values: impl rusqlite::Params) -> StoreResult<bool> {
        self.known_account(account)?;
        let used = self.exec(sql, values)? > 0;
        if used {
            self.announce_account(account)?;
        }
        Ok(used)
    }

    pub(crate) fn remove_totp(&mut self, account: AccountId) -> StoreResult<()> {
        if self.totp(account)?.is_none() {
            return Err(StoreError::NotFound("a second factor".into()));
        }
        self.exec("DELETE FROM recovery_codes WHERE account = ?1", [account.0])?;
        self.exec("DELETE FROM totp WHERE account = ?1", [account.0])?;
        self.announce_account(account)
    }
}
