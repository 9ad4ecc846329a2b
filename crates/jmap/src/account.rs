//! An account as somebody sees it: its own, or what another shares of his (RFC 8620 §1.6.2, RFC 4314).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use mail::{AccountId, MailboxId, ModSeq, Rights, limits};
use store::{MailboxWatch, Snapshot, StoreError, StoreResult, Surveyed};

use crate::args::Args;
use crate::error::{Answer, MethodError};
use crate::ids;
use crate::index::Index;
use crate::request::Context;

/// INBOX, which always is.
pub(crate) const INBOX: &str = "INBOX";

/// How often an account is looked at again because a mailbox went while it was.
const AGAIN: usize = 10;

/// A mailbox that the user may know of.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    pub(crate) info: Surveyed,
    pub(crate) rights: Rights,
}

impl Mailbox {
    /// RFC 8621 §2: mayReadItems.
    pub(crate) fn is_readable(&self) -> bool {
        self.rights.contains(Rights::LOOKUP.with(Rights::READ))
    }
}

/// An account at one moment.
pub(crate) struct Account {
    pub(crate) id: AccountId,
    pub(crate) is_own: bool,
    /// All changes up to here are seen.
    pub(crate) modseq: ModSeq,
    /// The last change of any mailbox but for its messages, of those too that the user does not see.
    pub(crate) changed: ModSeq,
    /// When the away notice was set last.
    pub(crate) away: ModSeq,
    /// By name, INBOX first.
    pub(crate) mailboxes: Vec<Mailbox>,
    /// The messages of those that may be read.
    pub(crate) index: Arc<Index>,
}

impl Account {
    pub(crate) fn mailbox(&self, id: MailboxId) -> Option<&Mailbox> {
        self.mailboxes.iter().find(|mailbox| mailbox.info.id == id)
    }

    /// A mailbox by its name in its owner's account.
    pub(crate) fn by_name(&self, name: &str) -> Option<&Mailbox> {
        // INBOX stands before the others, whatever its place among them.
        let others = match self.mailboxes.split_first() {
            Some((first, others)) if first.info.name == INBOX => {
                if name == INBOX {
                    return Some(first);
                }
                others
            }
            _ => &self.mailboxes,
        };
        let at = others.binary_search_by(|mailbox| mailbox.info.name.as_str().cmp(name)).ok()?;
        others.get(at)
    }

    pub(crate) fn state(&self) -> String {
        ids::state(self.modseq)
    }

    /// The mailbox that an id on the wire means.
    pub(crate) fn mailbox_by_id(&self, id: &str) -> Option<&Mailbox> {
        self.mailbox(ids::parse_mailbox(id)?)
    }
}

/// Accounts whose messages are held ready, those that were asked for last.
#[derive(Default)]
pub(crate) struct Kept(Mutex<HashMap<(AccountId, AccountId), Entry>>);

struct Entry {
    watches: Vec<(MailboxId, MailboxWatch)>,
    index: Arc<Index>,
    /// The higher, the later it was asked for.
    used: u64,
}

impl Kept {
    fn take(&self, key: (AccountId, AccountId)) -> Option<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key)
    }

    fn put(&self, key: (AccountId, AccountId), watches: Vec<(MailboxId, MailboxWatch)>, index: Arc<Index>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let used = all.values().map(|entry| entry.used).max().map_or(0, |last| last + 1);
        all.insert(key, Entry { watches, index, used });
        if all.len() > limits::JMAP_ACCOUNTS {
            let oldest = all.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key);
            oldest.and_then(|key| all.remove(&key));
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Context<'_> {
    /// The argument accountId, where the user has part in that account.
    pub(crate) async fn account_id(&self, args: &mut Args) -> Answer<AccountId> {
        let id = Args::required("accountId", args.id("accountId")?)?;
        self.permitted(&id, "accountNotFound").await
    }

    /// The argument accountId, which must be one's own: what is asked for is nobody else's business.
    pub(crate) async fn own_account_id(&self, args: &mut Args) -> Answer<AccountId> {
        let id = self.account_id(args).await?;
        // RFC 8620 §3.6.2
        if id == self.user.account { Ok(id) } else { Err(MethodError::new("accountNotSupportedByMethod")) }
    }

    /// An account that the user has part in, by its id on the wire.
    pub(crate) async fn permitted(&self, id: &str, otherwise: &'static str) -> Answer<AccountId> {
        let id = ids::parse_account(id).ok_or(MethodError::new(otherwise))?;
        if id == self.user.account {
            return Ok(id);
        }
        let shared = self.server.store.shared_with(self.user.account).await?;
        // RFC 4314 §6: who may not know of anything there is told nothing of it.
        let is_known = shared.iter().any(|mailbox| mailbox.owner == id && mailbox.rights.contains(Rights::LOOKUP));
        if is_known { Ok(id) } else { Err(MethodError::new(otherwise)) }
    }

    /// An account as it is now.
    pub(crate) async fn open(&self, id: AccountId) -> Answer<Account> {
        for _ in 0..AGAIN {
            match self.look(id).await {
                Err(StoreError::MailboxGone(_)) => {}
                account => return Ok(account?),
            }
        }
        Err(MethodError::new("serverUnavailable"))
    }

    async fn look(&self, id: AccountId) -> StoreResult<Account> {
        let store = &self.server.store;
        let is_own = id == self.user.account;
        let survey = store.survey(id).await?;
        let changed = survey.mailboxes.iter().map(|mailbox| mailbox.changed).max().unwrap_or_default();
        let mailboxes: Vec<Mailbox> = if is_own {
            survey.mailboxes.into_iter().map(|info| Mailbox { info, rights: Rights::ALL }).collect()
        } else {
            self.shared(id, survey.mailboxes).await?
        };
        let key = (self.user.account, id);
        let entry = self.server.kept.take(key);
        let (known, last) = entry.map_or((Vec::new(), None), |entry| (entry.watches, Some(entry.index)));
        let mut known: HashMap<MailboxId, MailboxWatch> = known.into_iter().collect();
        let (mut watches, mut boxes) = (Vec::new(), Vec::new());
        for mailbox in mailboxes.iter().filter(|mailbox| mailbox.is_readable()) {
            let id = mailbox.info.id;
            let mut watch = match known.remove(&id) {
                Some(watch) => watch,
                None => store.watch(id).await?,
            };
            boxes.push((id, self.newest(id, &mut watch, mailbox.info.highest_modseq).await?));
            watches.push((id, watch));
        }
        let index = Index::after(last, boxes);
        self.server.kept.put(key, watches, index.clone());
        Ok(Account { id, is_own, modseq: survey.modseq, changed, away: survey.away, mailboxes, index })
    }

    /// A snapshot that has all changes up to `modseq`: what is committed is published a moment later.
    async fn newest(&self, id: MailboxId, watch: &mut MailboxWatch, modseq: ModSeq) -> StoreResult<Arc<Snapshot>> {
        loop {
            let snapshot = watch.newest().ok_or(StoreError::MailboxGone(id))?;
            if snapshot.highest_modseq >= modseq {
                return Ok(snapshot);
            }
            tokio::select! {
                () = watch.changed() => {}
                why = self.server.store.poisoned() => return Err(StoreError::Poisoned(why)),
            }
        }
    }

    /// What another account shares with the user, with the user's own subscriptions.
    async fn shared(&self, owner: AccountId, all: Vec<Surveyed>) -> StoreResult<Vec<Mailbox>> {
        let store = &self.server.store;
        let shared = store.shared_with(self.user.account).await?;
        let own = store.mailboxes(self.user.account).await?;
        let subscribed = |name: &str| own.iter().any(|info| info.subscribed && info.name == name);
        let visible = all.into_iter().filter_map(|info| {
            let shared = shared.iter().find(|shared| shared.owner == owner && shared.id == info.id)?;
            let is_subscribed = subscribed(&shared.name_for_others());
            let info = Surveyed { subscribed: is_subscribed, ..info };
            shared.rights.contains(Rights::LOOKUP).then_some(Mailbox { info, rights: shared.rights })
        });
        Ok(visible.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `JMAP_ACCOUNTS`: with one more, the one that was not asked for the longest is forgotten.
    #[test]
    fn accounts_that_are_kept() {
        let kept = Kept::default();
        let key = |n: usize| (AccountId(n as u64), AccountId(n as u64));
        for n in 0..limits::JMAP_ACCOUNTS {
            kept.put(key(n), Vec::new(), Index::after(None, Vec::new()));
        }
        let first = kept.take(key(0)).unwrap();
        kept.put(key(0), first.watches, first.index);
        assert_eq!(kept.len(), limits::JMAP_ACCOUNTS);
        kept.put(key(limits::JMAP_ACCOUNTS), Vec::new(), Index::after(None, Vec::new()));
        assert_eq!(kept.len(), limits::JMAP_ACCOUNTS);
        assert!(kept.take(key(1)).is_none() && kept.take(key(0)).is_some());
    }
}
