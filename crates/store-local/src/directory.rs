//! Domains, accounts and aliases in memory: every RCPT asks.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use mail::{AccountId, Address, Domain, Timestamp, TokenId};
use rusqlite::Connection;
use store::{Account, Alias, DirectoryEntry, DomainRecord, SigningKey, StoreResult, Token, TokenHash, TokenKind};

use crate::codec;
use crate::error::db;
use crate::truth::{TOKEN_SELECT, signing_keys, token};

/// What a commit changed.
pub(crate) enum DirectoryChange {
    /// A domain is ours, or no more.
    Domain(Domain, bool),
    /// An account is new or changed; its use stays as it was.
    Account(Account),
    /// An account is gone.
    AccountRemoved(AccountId),
    /// An alias is new or changed; without targets: gone.
    Alias(Alias),
    /// A token is new.
    Token(Token),
    /// A token is gone.
    TokenGone(TokenId),
    /// All keys with which a domain signs.
    SigningKeys(Domain, Vec<SigningKey>),
}

/// The directory as of the last commit.
#[derive(Default)]
pub(crate) struct Directory {
    domains: BTreeSet<Domain>,
    accounts: HashMap<AccountId, Account>,
    by_address: BTreeMap<Address, AccountId>,
    aliases: BTreeMap<Address, Alias>,
    /// Targets, folded, and the aliases that they are of.
    aliases_of: BTreeMap<Address, BTreeSet<Address>>,
    tokens: HashMap<TokenId, Token>,
    token_hashes: HashMap<TokenHash, TokenId>,
    tokens_of: BTreeSet<(AccountId, TokenId)>,
    signing_keys: HashMap<Domain, Arc<[SigningKey]>>,
}

impl Directory {
    /// Reads it all.
    pub(crate) fn load(conn: &Connection) -> StoreResult<Self> {
        let mut directory = Self::default();
        let mut statement = conn.prepare("SELECT domain FROM domains").map_err(db)?;
        for name in statement.query_map([], |row| row.get::<_, String>(0)).map_err(db)? {
            directory.domains.insert(codec::domain(&name.map_err(db)?)?);
        }
        let mut statement = conn.prepare(codec::ACCOUNT_SELECT).map_err(db)?;
        for account in statement.query_map([], |row| Ok(codec::account(row))).map_err(db)? {
            directory.apply(DirectoryChange::Account(account.map_err(db)??));
        }
        let sql = "SELECT account, sum(size), sum(messages) FROM
                     (SELECT account, size, messages FROM mailboxes UNION ALL
                      SELECT b.account, m.size, 1 FROM arrivals m CROSS JOIN mailboxes b ON b.id = m.mailbox)
                   GROUP BY account";
        let mut statement = conn.prepare(sql).map_err(db)?;
        let rows = statement.query_map([], |row| Ok((AccountId(row.get(0)?), row.get(1)?, row.get(2)?)));
        for row in rows.map_err(db)? {
            let (id, used, messages) = row.map_err(db)?;
            directory.set_use(id, used, messages);
        }
        let mut statement = conn.prepare("SELECT address, targets FROM aliases").map_err(db)?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
        for row in rows.map_err(db)? {
            let (address, targets) = row.map_err(db)?;
            let alias = Alias { address: codec::address(&address)?, targets: codec::addresses(&targets)? };
            directory.apply(DirectoryChange::Alias(alias));
        }
        let mut statement = conn.prepare(TOKEN_SELECT).map_err(db)?;
        for token in statement.query_map([], token).map_err(db)? {
            directory.apply(DirectoryChange::Token(token.map_err(db)?));
        }
        let mut keys: HashMap<Domain, Vec<SigningKey>> = HashMap::new();
        for key in signing_keys(conn)? {
            keys.entry(key.domain.clone()).or_default().push(key);
        }
        for (domain, keys) in keys {
            directory.apply(DirectoryChange::SigningKeys(domain, keys));
        }
        Ok(directory)
    }

    /// The account for which somebody perhaps can't act any more who could before.
    pub(crate) fn apply(&mut self, change: DirectoryChange) -> Option<AccountId> {
        match change {
            DirectoryChange::Domain(domain, true) => drop(self.domains.insert(domain)),
            DirectoryChange::Domain(domain, false) => drop(self.domains.remove(&domain)),
            DirectoryChange::Account(mut account) => {
                let (id, mut is_other) = (account.id, true);
                if let Some(old) = self.accounts.get(&account.id) {
                    (account.used, account.messages) = (old.used, old.messages);
                    // Whether its owner is away, and his filters, are no matter of who may act for it.
                    let (away, script) = (old.away.clone(), old.script.clone());
                    is_other = *old != Account { away, script, ..account.clone() };
                    self.by_address.remove(&old.address);
                }
                self.by_address.insert(account.address.clone(), account.id);
                self.accounts.insert(account.id, account);
                return is_other.then_some(id);
            }
            DirectoryChange::AccountRemoved(id) => {
                if let Some(account) = self.accounts.remove(&id) {
                    self.by_address.remove(&account.address);
                }
                return Some(id);
            }
            DirectoryChange::Alias(alias) => {
                if let Some(old) = self.aliases.remove(&alias.address) {
                    for target in &old.targets {
                        if let Entry::Occupied(mut others) = self.aliases_of.entry(target.folded()) {
                            others.get_mut().remove(&old.address);
                            if others.get().is_empty() {
                                others.remove();
                            }
                        }
                    }
                }
                if !alias.targets.is_empty() {
                    for target in &alias.targets {
                        self.aliases_of.entry(target.folded()).or_default().insert(alias.address.clone());
                    }
                    self.aliases.insert(alias.address.clone(), alias);
                }
            }
            DirectoryChange::Token(token) => {
                self.token_hashes.insert(token.hash, token.id);
                self.tokens_of.insert((token.account, token.id));
                self.tokens.insert(token.id, token);
            }
            DirectoryChange::SigningKeys(domain, keys) => {
                if keys.is_empty() {
                    self.signing_keys.remove(&domain);
                } else {
                    self.signing_keys.insert(domain, keys.into());
                }
            }
            DirectoryChange::TokenGone(id) => {
                if let Some(token) = self.tokens.remove(&id) {
                    self.token_hashes.remove(&token.hash);
                    self.tokens_of.remove(&(token.account, id));
                    return Some(token.account);
                }
            }
        }
        None
    }

    pub(crate) fn set_use(&mut self, id: AccountId, used: u64, messages: u64) {
        if let Some(account) = self.accounts.get_mut(&id) {
            (account.used, account.messages) = (used, messages);
        }
    }

    pub(crate) fn domains(&self) -> Vec<DomainRecord> {
        self.domains.iter().cloned().map(|domain| DomainRecord { domain }).collect()
    }

    pub(crate) fn domain(&self, domain: &Domain) -> Option<DomainRecord> {
        self.domains.get(domain).cloned().map(|domain| DomainRecord { domain })
    }

    pub(crate) fn account(&self, id: AccountId) -> Option<Account> {
        self.accounts.get(&id).cloned()
    }

    pub(crate) fn account_of(&self, address: &Address) -> Option<AccountId> {
        self.by_address.get(address).copied()
    }

    pub(crate) fn entry(&self, address: &Address) -> Option<DirectoryEntry> {
        if let Some(account) = self.by_address.get(address).and_then(|id| self.accounts.get(id)) {
            return Some(DirectoryEntry::Account(Box::new(account.clone())));
        }
        self.aliases.get(address).cloned().map(DirectoryEntry::Alias)
    }

    pub(crate) fn aliases_of(&self, target: &Address) -> Vec<Address> {
        self.aliases_of.get(target).into_iter().flatten().cloned().collect()
    }

    pub(crate) fn signing_keys(&self, domain: &Domain) -> Arc<[SigningKey]> {
        self.signing_keys.get(domain).cloned().unwrap_or_default()
    }

    pub(crate) fn token(&self, hash: &TokenHash) -> Option<Token> {
        self.token_hashes.get(hash).and_then(|id| self.tokens.get(id)).cloned()
    }

    pub(crate) fn tokens(&self, account: AccountId, kind: TokenKind) -> Vec<Token> {
        let ids = self.tokens_of.range((account, TokenId(0))..=(account, TokenId(u64::MAX)));
        ids.filter_map(|(_, id)| self.tokens.get(id)).filter(|token| token.kind == kind).cloned().collect()
    }

    /// A token was used; false: there is none such.
    pub(crate) fn token_used(&mut self, id: TokenId, now: Timestamp, from: &str) -> bool {
        let Some(token) = self.tokens.get_mut(&id) else { return false };
        token.used = Some((now, from.to_owned()));
        true
    }

    pub(crate) fn accounts(&self, after: Option<&Address>, limit: usize) -> Vec<Account> {
        let ids = self.by_address.range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
        ids.filter_map(|(_, id)| self.accounts.get(id)).take(limit).cloned().collect()
    }

    pub(crate) fn aliases(&self, after: Option<&Address>, limit: usize) -> Vec<Alias> {
        let aliases = self.aliases.range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
        aliases.map(|(_, alias)| alias).take(limit).cloned().collect()
    }
}
