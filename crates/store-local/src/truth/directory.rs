//! Domains, accounts and aliases.

use mail::{AccountId, Address, Domain, MailboxId, Timestamp, limits};
use rusqlite::params;
use store::{Account, AccountState, Alias, NewAccount, PasswordHash, ScramKeys, SpecialUse, StoreError, StoreResult};

use super::mailboxes::INBOX;
use super::{Effect, Truth};
use crate::codec;
use crate::directory::DirectoryChange;

impl Truth {
    pub(super) fn announce(&mut self, change: DirectoryChange) {
        self.effects.push(Effect::Directory(Box::new(change)));
    }

    fn is_domain(&self, domain: &Domain) -> StoreResult<bool> {
        let sql = "SELECT 1 FROM domains WHERE domain = ?1";
        Ok(self.one(sql, [domain.as_str()], |_| Ok(()))?.is_some())
    }

    pub(super) fn require_domain(&self, domain: &Domain) -> StoreResult<()> {
        if self.is_domain(domain)? { Ok(()) } else { Err(StoreError::NotFound(format!("the domain {domain}"))) }
    }

    pub(crate) fn add_domain(&mut self, domain: &Domain) -> StoreResult<()> {
        if self.is_domain(domain)? {
            return Err(StoreError::Exists(format!("the domain {domain}")));
        }
        self.exec("INSERT INTO domains(domain) VALUES (?1)", [domain.as_str()])?;
        self.announce(DirectoryChange::Domain(domain.clone(), true));
        Ok(())
    }

    pub(crate) fn remove_domain(&mut self, domain: &Domain) -> StoreResult<()> {
        self.require_domain(domain)?;
        let suffix = format!("@{domain}");
        for (table, what) in [("accounts", "accounts"), ("aliases", "aliases")] {
            let sql = format!("SELECT 1 FROM {table} WHERE substr(address, -length(?1)) = ?1 LIMIT 1");
            if self.one(&sql, [&suffix], |_| Ok(()))?.is_some() {
                return Err(StoreError::Failed(format!("the domain {domain} still has {what}: remove them first")));
            }
        }
        self.exec("DELETE FROM domains WHERE domain = ?1", [domain.as_str()])?;
        self.drop_signing_keys(domain)?;
        self.announce(DirectoryChange::Domain(domain.clone(), false));
        Ok(())
    }

    fn account_at(&self, address: &Address) -> StoreResult<bool> {
        let sql = "SELECT 1 FROM accounts WHERE address = ?1";
        Ok(self.one(sql, [codec::address_text(address)], |_| Ok(()))?.is_some())
    }

    fn alias_at(&self, address: &Address) -> StoreResult<bool> {
        let sql = "SELECT 1 FROM aliases WHERE address = ?1";
        Ok(self.one(sql, [codec::address_text(address)], |_| Ok(()))?.is_some())
    }

    pub(crate) fn add_account(&mut self, new: &NewAccount, now: Timestamp) -> StoreResult<AccountId> {
        let address = new.address.folded();
        self.require_domain(address.domain())?;
        if self.account_at(&address)? {
            return Err(StoreError::Exists(format!("the account {address}")));
        }
        if self.alias_at(&address)? {
            return Err(StoreError::Exists(format!("the alias {address}")));
        }
        let counters = self.count();
        let id = AccountId(counters.account);
        counters.account += 1;
        self.exec(
            "INSERT INTO accounts VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, 1)",
            params![
                id.0,
                codec::address_text(&address),
                new.password.0,
                new.scram.as_ref().map(codec::scram_text),
                new.quota,
                now.millis()
            ],
        )?;
        self.make(id, INBOX, None, true)?;
        for (special_use, _, name) in SpecialUse::ALL {
            self.make(id, name, Some(special_use), true)?;
        }
        self.announce_account(id)?;
        Ok(id)
    }

    /// The account as the directory keeps it; its use is published apart.
    pub(super) fn announce_account(&mut self, id: AccountId) -> StoreResult<()> {
        let account =
            self.one(&format!("{} WHERE id = ?1", codec::ACCOUNT_SELECT), [id.0], |row| Ok(codec::account(row)))?;
        let account: Account = account.ok_or_else(|| StoreError::NotFound("the account".into()))??;
        self.announce(DirectoryChange::Account(account));
        self.used.push(id);
        self.account(id).map(drop)
    }

    /// Changes columns of an account that must exist.
    fn change_account(&mut self, id: AccountId, sql: &str, params: impl rusqlite::Params) -> StoreResult<()> {
        if self.account(id)?.is_none() {
            return Err(StoreError::NotFound(format!("the account with id {}", id.0)));
        }
        self.exec(sql, params)?;
        Ok(())
    }

    pub(crate) fn set_password(
        &mut self,
        id: AccountId,
        password: &PasswordHash,
        scram: Option<&ScramKeys>,
    ) -> StoreResult<()> {
        let sql = "UPDATE accounts SET password = ?2, scram = ?3 WHERE id = ?1";
        self.change_account(id, sql, params![id.0, password.0, scram.map(codec::scram_text)])?;
        self.end_sessions(id)?;
        self.erase_push_subscriptions("account = ?1 AND token = 0", [id.0])?;
        self.announce_account(id)
    }

    pub(crate) fn set_account_state(&mut self, id: AccountId, state: AccountState) -> StoreResult<()> {
        let sql = "UPDATE accounts SET state = ?2 WHERE id = ?1";
        self.change_account(id, sql, params![id.0, i64::from(state == AccountState::Disabled)])?;
        if let Some(cell) = self.account(id)? {
            cell.active = state == AccountState::Active;
        }
        if state == AccountState::Disabled {
            self.end_sessions(id)?;
        }
        self.announce_account(id)
    }

    pub(crate) fn set_quota(&mut self, id: AccountId, quota: Option<u64>) -> StoreResult<()> {
        self.change_account(id, "UPDATE accounts SET quota = ?2 WHERE id = ?1", params![id.0, quota])?;
        if let Some(cell) = self.account(id)? {
            cell.quota = quota;
        }
        self.announce_account(id)
    }

    pub(crate) fn rename_account(&mut self, id: AccountId, address: &Address, keep: bool) -> StoreResult<()> {
        let address = address.folded();
        self.require_domain(address.domain())?;
        let sql = "SELECT address FROM accounts WHERE id = ?1";
        let Some(old) = self.one(sql, [id.0], |row| row.get::<_, String>(0))? else {
            return Err(StoreError::NotFound(format!("the account with id {}", id.0)));
        };
        let old = codec::address(&old)?;
        if self.account_at(&address)? {
            return Err(StoreError::Exists(format!("the account {address}")));
        }
        if self.alias_at(&address)? {
            return Err(StoreError::Exists(format!("the alias {address}")));
        }
        self.exec("UPDATE accounts SET address = ?2 WHERE id = ?1", params![id.0, codec::address_text(&address)])?;
        self.end_sessions(id)?;
        self.announce_account(id)?;
        self.lead_elsewhere(&old, &address)?;
        if keep { self.set_alias(&Alias { address: old, targets: vec![address] }) } else { Ok(()) }
    }

    /// Aliases for the one are for the other from now on.
    fn lead_elsewhere(&mut self, old: &Address, new: &Address) -> StoreResult<()> {
        let aliases = self.all("SELECT address, targets FROM aliases", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
        for (address, targets) in aliases {
            let mut targets = codec::addresses(&targets)?;
            if targets.iter().any(|target| target.folded() == *old) {
                for target in &mut targets {
                    if target.folded() == *old {
                        *target = new.clone();
                    }
                }
                self.set_alias(&Alias { address: codec::address(&address)?, targets })?;
            }
        }
        Ok(())
    }

    pub(crate) fn remove_account(&mut self, id: AccountId) -> StoreResult<()> {
        if self.account(id)?.is_none() {
            return Err(StoreError::NotFound(format!("the account with id {}", id.0)));
        }
        let sql = "SELECT id FROM mailboxes WHERE account = ?1";
        let mailboxes = self.all(sql, [id.0], |row| Ok(MailboxId(row.get(0)?)))?;
        for mailbox in mailboxes {
            self.remove_mailbox(mailbox)?;
        }
        self.exec("DELETE FROM annotations WHERE account = ?1", [id.0])?;
        self.drop_history(id)?;
        self.drop_grants_of(id)?;
        self.drop_credentials(id)?;
        self.drop_away_notice(id)?;
        self.drop_scripts(id)?;
        self.drop_lessons(id)?;
        self.exec("DELETE FROM names WHERE account = ?1", [id.0])?;
        self.exec("DELETE FROM accounts WHERE id = ?1", [id.0])?;
        self.accounts.remove(&id);
        self.announce(DirectoryChange::AccountRemoved(id));
        Ok(())
    }

    pub(crate) fn set_alias(&mut self, alias: &Alias) -> StoreResult<()> {
        let address = alias.address.folded();
        let text = codec::address_text(&address);
        if alias.targets.is_empty() {
            if self.exec("DELETE FROM aliases WHERE address = ?1", [&text])? == 0 {
                return Err(StoreError::NotFound(format!("the alias {address}")));
            }
        } else {
            self.require_domain(address.domain())?;
            if alias.targets.len() > limits::ALIAS_TARGETS {
                return Err(StoreError::Limit("ALIAS_TARGETS"));
            }
            if self.account_at(&address)? {
                return Err(StoreError::Exists(format!("the account {address}")));
            }
            let targets = codec::addresses_text(&alias.targets);
            self.exec("INSERT OR REPLACE INTO aliases(address, targets) VALUES (?1, ?2)", params![text, targets])?;
        }
        self.announce(DirectoryChange::Alias(Alias { address, targets: alias.targets.clone() }));
        Ok(())
    }
}
