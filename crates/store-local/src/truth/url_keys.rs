//! What URLs into mailboxes are signed with (RFC 4467 §2.2).

use mail::{AccountId, MailboxId};
use rusqlite::params;
use store::{StoreResult, UrlKey};

use super::{Effect, Truth};

impl Truth {
    /// The mailbox's key; where there is none, `fresh` becomes it.
    pub(crate) fn make_url_key(&mut self, mailbox: MailboxId, fresh: UrlKey) -> StoreResult<UrlKey> {
        self.mailbox(mailbox)?;
        let there = self.one("SELECT key FROM url_keys WHERE mailbox = ?1", [mailbox.0], |row| row.get(0))?;
        if let Some(key) = there {
            return Ok(UrlKey(key));
        }
        self.exec("INSERT INTO url_keys(mailbox, key) VALUES (?1, ?2)", params![mailbox.0, fresh.0])?;
        Ok(fresh)
    }

    /// `fresh` becomes the mailbox's key.
    pub(crate) fn renew_url_key(&mut self, mailbox: MailboxId, fresh: UrlKey) -> StoreResult<()> {
        self.mailbox(mailbox)?;
        let sql = "INSERT INTO url_keys(mailbox, key) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET key = excluded.key";
        self.exec(sql, params![mailbox.0, fresh.0])?;
        self.effects.push(Effect::Rekeyed(mailbox));
        Ok(())
    }

    /// Takes away the keys of the account's mailboxes.
    pub(crate) fn forget_url_keys(&mut self, account: AccountId) -> StoreResult<()> {
        self.known_account(account)?;
        let sql =
            "DELETE FROM url_keys WHERE mailbox IN (SELECT id FROM mailboxes WHERE account = ?1) RETURNING mailbox";
        self.wrote = true;
        let gone = self.all(sql, [account.0], |row| Ok(MailboxId(row.get(0)?)))?;
        self.effects.extend(gone.into_iter().map(Effect::Rekeyed));
        Ok(())
    }
}
