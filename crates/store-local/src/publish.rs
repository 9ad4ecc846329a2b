//! What others see of a commit, and when: after it, never before.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use mail::{AccountId, MailboxId, QueueId, Uid};
use store::{AccountNews, Listeners, MessageNews, QueueNews};
use tokio::sync::{mpsc, watch};

use crate::codec;
use crate::digests::Digests;
use crate::directory::{Directory, DirectoryChange};
use crate::finder::Index;
use crate::lessons::Words;
use crate::log::{BLOBS, Log};
use crate::names::Names;
use crate::truth::{Effect, Stable, Truth};
use crate::views::{After, Change, Update, Views};

/// The reason of a store that was closed: no error.
pub(crate) const CLOSED: &str = "it was closed";

/// Whether the store has stopped, and why.
pub(crate) struct Poison {
    reason: watch::Sender<Option<String>>,
}

impl Poison {
    pub(crate) fn new() -> Self {
        Self { reason: watch::Sender::new(None) }
    }

    /// Stops the store; the first reason stays. Closing it is no error.
    pub(crate) fn set(&self, why: String) {
        self.reason.send_if_modified(|reason| {
            let first = reason.is_none();
            if first {
                if why != CLOSED {
                    tracing::error!(why, "the store stops");
                }
                *reason = Some(why);
            }
            first
        });
    }

    pub(crate) fn reason(&self) -> Option<String> {
        self.reason.borrow().clone()
    }

    /// Returns once there is a reason.
    pub(crate) async fn wait(&self) -> String {
        let mut reason = self.reason.subscribe();
        loop {
            if let Some(why) = reason.borrow_and_update().clone() {
                return why;
            }
            if reason.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The state in memory that follows the commits.
pub(crate) struct Published {
    pub(crate) directory: RwLock<Directory>,
    pub(crate) views: Views,
    pub(crate) names: Names,
    pub(crate) feed: Mutex<Option<mpsc::UnboundedSender<Vec<QueueNews>>>>,
    pub(crate) listeners: Arc<Listeners>,
    /// Grows with each change of what others may do.
    pub(crate) rights: AtomicU64,
    pub(crate) poison: Arc<Poison>,
    pub(crate) stable: Arc<Stable>,
    pub(crate) log: Arc<Log>,
    pub(crate) index: Arc<Index>,
    pub(crate) digests: Arc<Digests>,
    pub(crate) words: Words,
}

/// What a batch did, as others are to hear of it once it is on stable storage.
#[derive(Default)]
pub(crate) struct News {
    updates: HashMap<MailboxId, Update>,
    queue: Vec<QueueNews>,
    blobs_gone: Vec<u64>,
    directory: Vec<DirectoryChange>,
    accounts: Vec<(AccountId, Arc<AccountNews>)>,
    messages: BTreeMap<MailboxId, MessageNews>,
    granted: bool,
    taught: bool,
    /// Messages on whose ways something happened, and the sender's address where that was the beginning.
    moved: Vec<(QueueId, Option<String>)>,
    /// Octets and messages of accounts.
    used: Vec<(AccountId, u64, u64)>,
    journeys: u64,
    /// Mailboxes into which messages came, those that messages left, and those that are gone, perhaps several times.
    came: Vec<MailboxId>,
    left: Vec<MailboxId>,
    gone: Vec<MailboxId>,
}

impl Published {
    /// What the transaction that was just committed did. The writer's memory is that of this moment only now.
    pub(crate) fn gather(&self, truth: &mut Truth) -> News {
        let mut news = News { journeys: std::mem::take(&mut truth.journeys), ..News::default() };
        let (heard, journeys_heard) = (self.listeners.any_of_messages(), self.listeners.any_of_journeys());
        for effect in std::mem::take(&mut truth.effects) {
            let note = |list: &mut Vec<MailboxId>, id| {
                if list.last() != Some(&id) {
                    list.push(id);
                }
            };
            match &effect {
                Effect::Came(id, _) => note(&mut news.came, *id),
                Effect::Gone(id, _) => note(&mut news.left, *id),
                Effect::Deleted(id) => note(&mut news.gone, *id),
                _ => {}
            }
            if let Some(id) = effect.mailbox() {
                if heard {
                    effect.add_to(news.messages.entry(id).or_default());
                }
                if matches!(&effect, Effect::Came(_, rows) if rows.first().is_some_and(|row| row.uid == Uid::FIRST)) {
                    self.views.begin(id);
                }
                if !(news.updates.contains_key(&id) || self.views.has(id)) {
                    continue;
                }
                let update = news.updates.entry(id).or_default();
                match effect {
                    Effect::Rekeyed(_) => update.rekeyed = true,
                    Effect::Came(_, rows) => update.add(Change::Came(rows)),
                    Effect::Flags(_, modseq, rows) => update.add(Change::Flags(modseq, rows)),
                    Effect::Gone(_, uids) => update.add(Change::Gone(uids)),
                    _ => {}
                }
                continue;
            }
            match effect {
                Effect::Queue(change) => news.queue.push(change),
                Effect::BlobGone(number) => news.blobs_gone.push(number),
                Effect::Account(account, change) => news.accounts.push((account, change)),
                Effect::Granted => news.granted = true,
                Effect::Lessons => news.taught = true,
                Effect::Journey(id) if journeys_heard => news.moved.push((id, None)),
                Effect::Sent(id, sender) if journeys_heard => news.moved.push((id, Some(sender))),
                Effect::Directory(change) => news.directory.push(*change),
                _ => {}
            }
        }
        for (id, update) in &mut news.updates {
            update.after = after(truth, *id);
        }
        truth.used.sort_unstable();
        truth.used.dedup();
        let used = |id: &AccountId| truth.account_use(*id).map(|(used, messages)| (*id, used, messages));
        news.used = truth.used.iter().filter_map(used).collect();
        news
    }

    /// Publishes it.
    pub(crate) fn publish(&self, news: News) {
        if !news.queue.is_empty()
            && let Some(feed) = &*self.feed.lock().unwrap_or_else(PoisonError::into_inner)
        {
            // The scheduler may have stopped; then it reads the queue anew when it starts.
            let _ = feed.send(news.queue);
        }
        let mut access = BTreeSet::new();
        if !news.directory.is_empty() || !news.used.is_empty() {
            let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
            access.extend(news.directory.into_iter().filter_map(|change| directory.apply(change)));
            for (id, used, messages) in news.used {
                directory.set_use(id, used, messages);
            }
        }
        // A mailbox has another name, or none any more.
        let is_renamed = |news: &AccountNews| matches!(news, AccountNews::Renamed { .. });
        let names_changed = !news.gone.is_empty() || news.accounts.iter().any(|(_, news)| is_renamed(news));
        if names_changed {
            self.names.forget();
        }
        if news.granted {
            self.rights.fetch_add(1, Ordering::Release);
        }
        // After the directory: who is told looks there.
        for account in access {
            self.listeners.tell_access(account);
        }
        for (account, change) in news.accounts {
            self.listeners.tell(account, &change);
        }
        if names_changed || news.granted {
            self.listeners.tell_shared();
        }
        for (id, update) in news.updates {
            self.views.publish(id, update);
        }
        self.digests.changed(&news.came, &news.left, &news.gone);
        // After the views: who is told looks there.
        for (id, what) in news.messages {
            self.listeners.tell_messages(id, what);
        }
        news.moved.into_iter().for_each(|(id, sender)| self.tell_journey(id, sender));
        news.blobs_gone.into_iter().for_each(|number| self.blob_gone(number));
        self.index.came(news.journeys);
        if news.taught {
            self.words.came();
        }
    }

    fn tell_journey(&self, id: QueueId, sender: Option<String>) {
        let Some(sender) = sender else { return self.listeners.tell_journey(id) };
        let account = codec::address(&sender)
            .ok()
            .and_then(|address| self.directory.read().unwrap_or_else(PoisonError::into_inner).account_of(&address));
        account.into_iter().for_each(|account| self.listeners.tell_journey_began(id, account));
    }

    /// Unlinks a blob that no row points to; those who read it keep it.
    pub(crate) fn blob_gone(&self, number: u64) {
        self.log.forget(BLOBS, number);
        if let Err(error) = std::fs::remove_file(self.log.path(BLOBS, number))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, number, "a file of the message log could not be removed");
        }
    }
}

/// The mailbox as committed; `None`: it is gone.
fn after(truth: &mut Truth, id: MailboxId) -> Option<After> {
    let keywords = truth.keywords(id).ok()?;
    let cell = truth.mailbox(id).ok()?;
    let (uid_validity, uid_next) = (cell.uid_validity, cell.uid_next);
    Some(After { uid_validity, uid_next, modseq: cell.modseq, recent_from: cell.recent_from, keywords })
}
