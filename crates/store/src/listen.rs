//! What happens in an account, for those who listen (RFC 5465, RFC 5464 §4.4): each hears of what it asked for, and is not
//! woken by anything else.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail::{AccountId, MailboxId, ModSeq, QueueId, limits};
use tokio::sync::Notify;

/// Something that one commit did to an account, but for its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountNews {
    /// Annotations changed.
    Annotated {
        /// The change's place in the account's order: who made it knows his own by it.
        modseq: ModSeq,
        /// The mailbox by its name of then; `None`: the account's own.
        mailbox: Option<String>,
        /// Those that are new, changed or gone.
        entries: Vec<String>,
    },
    /// A mailbox is new.
    Created(String),
    /// A mailbox is gone; its name may still have others below it.
    Deleted(String),
    /// A mailbox has another name.
    Renamed {
        /// The old one.
        from: String,
        /// The new one.
        to: String,
    },
    /// A name is subscribed to, or no more.
    Subscribed(String, bool),
    /// The away notice is another.
    Away,
    /// Identities changed.
    Identities,
    /// Submissions changed.
    Submissions,
}

/// What happened to messages of a mailbox since its listener looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageNews {
    /// Some came.
    pub arrived: bool,
    /// Some went.
    pub expunged: bool,
    /// Some have other flags.
    pub flags: bool,
}

/// What a listener wants to hear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Of annotations, the account's own and its mailboxes'.
    pub annotations: bool,
    /// Of names and subscriptions.
    pub names: bool,
    /// Of the away notice.
    pub away: bool,
    /// Of identities and submissions.
    pub sending: bool,
    /// Of messages in these mailboxes, whosoever they are.
    pub mailboxes: HashSet<MailboxId>,
    /// That others share more or less with the account, or what they share has another name.
    pub shared: bool,
    /// Of the ways of messages: of those that the account sends from now on, and of those that it follows.
    pub journeys: bool,
    /// That somebody may no longer act for the account who could: a token is gone, the account has another password or
    /// state, or is gone.
    pub access: bool,
}

/// What waited for a listener.
#[derive(Debug, Default)]
pub struct Heard {
    /// In the order of the commits.
    pub news: Vec<Arc<AccountNews>>,
    /// By mailbox, however many commits.
    pub messages: BTreeMap<MailboxId, MessageNews>,
    /// What others share may be another than before.
    pub shared: bool,
    /// Whoever acts for the account is to be looked at again.
    pub access: bool,
    /// Messages on whose ways something happened, and whether that was the beginning.
    pub journeys: BTreeMap<QueueId, bool>,
    /// More happened than waits for anybody (`limits::ACCOUNT_NEWS`): not all of `news` or `journeys` is there.
    pub lost: bool,
}

#[derive(Default)]
struct Waiting {
    news: VecDeque<Arc<AccountNews>>,
    messages: BTreeMap<MailboxId, MessageNews>,
    shared: bool,
    journeys: BTreeMap<QueueId, bool>,
    access: bool,
    lost: bool,
}

struct Listener {
    account: AccountId,
    interest: Mutex<Interest>,
    waiting: Mutex<Waiting>,
    wake: Notify,
}

impl Listener {
    fn has_news(&self) -> bool {
        let waiting = locked(&self.waiting);
        let rest = waiting.lost || waiting.shared || waiting.access || !waiting.journeys.is_empty();
        rest || !waiting.news.is_empty() || !waiting.messages.is_empty()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For engines: all who listen, and what is told to them after a commit.
#[derive(Default)]
pub struct Listeners(Mutex<Registry>);

#[derive(Default)]
struct Registry {
    accounts: HashMap<AccountId, Vec<Arc<Listener>>>,
    mailboxes: HashMap<MailboxId, Vec<Arc<Listener>>>,
    /// Accounts of which somebody wants to hear of journeys, and those that each follows.
    followers: HashMap<AccountId, BTreeSet<QueueId>>,
    /// The account that follows a journey: its sender.
    followed: HashMap<QueueId, AccountId>,
}

impl Listeners {
    /// One more, who asks for nothing yet.
    pub fn listen(self: &Arc<Self>, account: AccountId) -> AccountWatch {
        let listener =
            Arc::new(Listener { account, interest: Mutex::default(), waiting: Mutex::default(), wake: Notify::new() });
        locked(&self.0).accounts.entry(account).or_default().push(listener.clone());
        AccountWatch { listener, all: self.clone() }
    }

    /// Whether anybody wants to hear of messages: else engines need not say what they did.
    pub fn any_of_messages(&self) -> bool {
        !locked(&self.0).mailboxes.is_empty()
    }

    /// Tells who wants to hear it.
    pub fn tell(&self, account: AccountId, news: &Arc<AccountNews>) {
        let registry = locked(&self.0);
        for listener in registry.accounts.get(&account).into_iter().flatten() {
            let interest = locked(&listener.interest);
            let wanted = match **news {
                AccountNews::Annotated { .. } => interest.annotations,
                AccountNews::Away => interest.away,
                AccountNews::Identities | AccountNews::Submissions => interest.sending,
                _ => interest.names,
            };
            drop(interest);
            if !wanted {
                continue;
            }
            let mut waiting = locked(&listener.waiting);
            if waiting.news.len() < limits::ACCOUNT_NEWS {
                waiting.news.push_back(news.clone());
            } else {
                waiting.lost = true;
            }
            drop(waiting);
            listener.wake.notify_one();
        }
    }

    /// Tells that grants changed, or names of mailboxes that may be granted: to all who want to hear of what others share.
    pub fn tell_shared(&self) {
        let registry = locked(&self.0);
        for listener in registry.accounts.values().flatten() {
            if locked(&listener.interest).shared {
                locked(&listener.waiting).shared = true;
                listener.wake.notify_one();
            }
        }
    }

    /// Tells that who could act for an account perhaps can't any more.
    pub fn tell_access(&self, account: AccountId) {
        let registry = locked(&self.0);
        for listener in registry.accounts.get(&account).into_iter().flatten() {
            if locked(&listener.interest).access {
                locked(&listener.waiting).access = true;
                listener.wake.notify_one();
            }
        }
    }

    /// Tells what happened to messages of a mailbox.
    pub fn tell_messages(&self, mailbox: MailboxId, what: MessageNews) {
        let registry = locked(&self.0);
        for listener in registry.mailboxes.get(&mailbox).into_iter().flatten() {
            let mut waiting = locked(&listener.waiting);
            let sum = waiting.messages.entry(mailbox).or_default();
            sum.arrived |= what.arrived;
            sum.expunged |= what.expunged;
            sum.flags |= what.flags;
            drop(waiting);
            listener.wake.notify_one();
        }
    }
}

impl Listeners {
    /// Whether anybody wants to hear of journeys.
    pub fn any_of_journeys(&self) -> bool {
        !locked(&self.0).followers.is_empty()
    }

    /// Tells that an account sent a message, which it follows from now on.
    pub fn tell_journey_began(&self, id: QueueId, sender: AccountId) {
        let mut registry = locked(&self.0);
        registry.follow(sender, id);
        registry.tell_journey(sender, id, true);
    }

    /// Tells that something happened on a message's way: to who sent it.
    pub fn tell_journey(&self, id: QueueId) {
        let registry = locked(&self.0);
        if let Some(account) = registry.followed.get(&id) {
            registry.tell_journey(*account, id, false);
        }
    }
}

impl Registry {
    fn tell_journey(&self, account: AccountId, id: QueueId, is_new: bool) {
        for listener in self.listeners_of_journeys(account) {
            let mut waiting = locked(&listener.waiting);
            if waiting.journeys.len() < limits::ACCOUNT_NEWS || waiting.journeys.contains_key(&id) {
                *waiting.journeys.entry(id).or_default() |= is_new;
            } else {
                waiting.lost = true;
            }
            drop(waiting);
            listener.wake.notify_one();
        }
    }

    fn listeners_of_journeys(&self, account: AccountId) -> impl Iterator<Item = &Arc<Listener>> {
        let all = self.accounts.get(&account).into_iter().flatten();
        all.filter(|listener| locked(&listener.interest).journeys)
    }

    fn follow(&mut self, account: AccountId, id: QueueId) -> bool {
        let Some(ids) = self.followers.get_mut(&account) else { return false };
        if ids.contains(&id) {
            return false;
        }
        if ids.len() >= limits::JOURNEYS_FOLLOWED {
            for old in std::mem::take(ids) {
                self.followed.remove(&old);
            }
            for listener in self.listeners_of_journeys(account) {
                locked(&listener.waiting).lost = true;
                listener.wake.notify_one();
            }
        }
        self.followers.entry(account).or_default().insert(id);
        self.followed.insert(id, account);
        true
    }

    /// Somebody wants to hear of an account's journeys, or no more.
    fn set_follower(&mut self, account: AccountId) {
        if self.listeners_of_journeys(account).next().is_some() {
            self.followers.entry(account).or_default();
        } else {
            for id in self.followers.remove(&account).into_iter().flatten() {
                self.followed.remove(&id);
            }
        }
    }

    fn set_mailboxes(&mut self, listener: &Arc<Listener>, before: &HashSet<MailboxId>, now: &HashSet<MailboxId>) {
        for gone in before.difference(now) {
            if let Some(listeners) = self.mailboxes.get_mut(gone) {
                listeners.retain(|other| !Arc::ptr_eq(other, listener));
                if listeners.is_empty() {
                    self.mailboxes.remove(gone);
                }
            }
        }
        for new in now.difference(before) {
            self.mailboxes.entry(*new).or_default().push(listener.clone());
        }
    }
}

/// An ear on an account; dropping it ends that.
pub struct AccountWatch {
    listener: Arc<Listener>,
    all: Arc<Listeners>,
}

impl AccountWatch {
    /// From now on, this is what it hears of.
    pub fn set_interest(&self, interest: Interest) {
        let mut registry = locked(&self.all.0);
        let before = std::mem::replace(&mut *locked(&self.listener.interest), interest.clone());
        registry.set_mailboxes(&self.listener, &before.mailboxes, &interest.mailboxes);
        if before.journeys != interest.journeys {
            registry.set_follower(self.listener.account);
        }
    }

    /// Takes what waits.
    pub fn take(&self) -> Heard {
        let Waiting { news, messages, shared, access, journeys, lost } =
            std::mem::take(&mut *locked(&self.listener.waiting));
        Heard { news: news.into(), messages, shared, access, journeys, lost }
    }

    /// From now on it hears of this journey, as all do who listen to the account's: one that the account began. Whether it is a
    /// new one; beyond `limits::JOURNEYS_FOLLOWED` all are forgotten, and told to be lost. No-one else's journey may be
    /// followed: that something happens says that there are recipients.
    pub fn follow(&self, id: QueueId) -> bool {
        locked(&self.all.0).follow(self.listener.account, id)
    }

    /// Returns when something waits.
    pub async fn changed(&self) {
        loop {
            let woken = self.listener.wake.notified();
            if self.listener.has_news() {
                return;
            }
            woken.await;
        }
    }
}

impl Drop for AccountWatch {
    fn drop(&mut self) {
        self.set_interest(Interest::default());
        let mut registry = locked(&self.all.0);
        if let Some(listeners) = registry.accounts.get_mut(&self.listener.account) {
            listeners.retain(|other| !Arc::ptr_eq(other, &self.listener));
            if listeners.is_empty() {
                registry.accounts.remove(&self.listener.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ACCOUNT_NEWS`: so many wait, one more and the listener knows that some are missing. Messages are summed up.
    #[test]
    fn what_waits_is_bounded() {
        let all = Arc::new(Listeners::default());
        let watch = all.listen(AccountId(1));
        let news = Arc::new(AccountNews::Created("x".into()));
        all.tell(AccountId(1), &news);
        assert!(watch.take().news.is_empty());
        watch.set_interest(Interest { names: true, mailboxes: [MailboxId(7)].into(), ..Interest::default() });
        for _ in 0..limits::ACCOUNT_NEWS {
            all.tell(AccountId(1), &news);
            all.tell(AccountId(2), &news);
            all.tell_messages(MailboxId(7), MessageNews { arrived: true, ..MessageNews::default() });
            all.tell_messages(MailboxId(8), MessageNews { flags: true, ..MessageNews::default() });
        }
        all.tell_messages(MailboxId(7), MessageNews { expunged: true, ..MessageNews::default() });
        let heard = watch.take();
        assert!((heard.news.len(), heard.lost) == (limits::ACCOUNT_NEWS, false));
        let sum = MessageNews { arrived: true, expunged: true, flags: false };
        assert_eq!(heard.messages, [(MailboxId(7), sum)].into());
        for _ in 0..=limits::ACCOUNT_NEWS {
            all.tell(AccountId(1), &news);
        }
        assert!(watch.take().lost && !watch.take().lost);
    }

    /// Nothing is kept of who left.
    #[test]
    fn who_leaves_is_forgotten() {
        let all = Arc::new(Listeners::default());
        let (one, other) = (all.listen(AccountId(1)), all.listen(AccountId(1)));
        let interest = Interest { mailboxes: [MailboxId(7)].into(), ..Interest::default() };
        one.set_interest(interest.clone());
        other.set_interest(interest);
        drop(one);
        assert!(all.any_of_messages());
        drop(other);
        assert!(!all.any_of_messages() && locked(&all.0).accounts.is_empty());
    }

    /// `JOURNEYS_FOLLOWED`: so many are followed, one more and the listener knows that some are missing. Of a journey hears
    /// who sent the message.
    #[test]
    fn journeys_are_told_to_who_sent_the_message() {
        let all = Arc::new(Listeners::default());
        let (alice, bob) = (all.listen(AccountId(1)), all.listen(AccountId(2)));
        let id = |n: usize| QueueId::from_u64(n as u64);
        assert!(!all.any_of_journeys() && !alice.follow(id(0)));
        for watch in [&alice, &bob] {
            watch.set_interest(Interest { journeys: true, ..Interest::default() });
        }
        all.tell_journey_began(id(1), AccountId(1));
        all.tell_journey(id(1));
        assert_eq!((alice.take().journeys, bob.take().journeys), ([(id(1), true)].into(), BTreeMap::new()));
        all.tell_journey(id(1));
        all.tell_journey(id(7));
        assert_eq!((alice.take().journeys, bob.take().journeys), ([(id(1), false)].into(), BTreeMap::new()));
        for n in 2..=limits::JOURNEYS_FOLLOWED {
            assert!(alice.follow(id(n)) && !alice.follow(id(n)));
        }
        assert!(!alice.take().lost);
        assert!(alice.follow(id(0)) && alice.take().lost && !bob.take().lost);
        all.tell_journey(id(1));
        assert!(alice.take().journeys.is_empty());
        drop((alice, bob));
        let registry = locked(&all.0);
        assert!(registry.followers.is_empty() && registry.followed.is_empty());
    }

    /// Whoever waits is woken by what it asked for alone.
    #[tokio::test]
    async fn who_did_not_ask_is_not_woken() {
        let all = Arc::new(Listeners::default());
        let watch = all.listen(AccountId(1));
        watch.set_interest(Interest { mailboxes: [MailboxId(7)].into(), ..Interest::default() });
        let mut changed = Box::pin(watch.changed());
        let mut woken = async || std::future::poll_fn(|cx| std::task::Poll::Ready(changed.as_mut().poll(cx))).await;
        all.tell(AccountId(1), &Arc::new(AccountNews::Created("x".into())));
        all.tell_messages(MailboxId(8), MessageNews { arrived: true, ..MessageNews::default() });
        assert!(woken().await.is_pending());
        all.tell_messages(MailboxId(7), MessageNews { arrived: true, ..MessageNews::default() });
        assert!(woken().await.is_ready());
    }
}
