//! NOTIFY (RFC 5465): the client is told of what it asked for, without asking again; and what others change in annotations
//! (RFC 5464 §4.4), which an ENABLE asks for too.

pub(crate) mod names;

use std::collections::{HashMap, HashSet};

use mail::{AccountId, MailboxId, Rights, limits};
use store::{AccountWatch, Heard, Interest, MailboxInfo, StoreError, StoreResult};
use wire::imap::fetch::Item;
use wire::imap::mailbox::StatusItem;
use wire::imap::multisearch::Source;
use wire::imap::notify::{EVENTS, Events, Group, Notify, Selected};
use wire::imap::reply::{Code, Reply, condition};

use crate::access::{find, is_others, mailboxes};
use crate::host::End;
use crate::io::Io;
use crate::mailbox::write_status;
use crate::multisearch::holds;
use crate::refusal::refusal;
use crate::session::{Service, User};

/// What of the selected mailbox is told.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// That messages came and went.
    pub(crate) messages: bool,
    /// Their flags.
    pub(crate) flags: bool,
    /// Without a command, too.
    pub(crate) at_once: bool,
    /// Without a command removals, too.
    pub(crate) removals: bool,
    /// What of a new message.
    pub(crate) items: Vec<Item>,
}

impl Wish {
    /// As RFC 3501 has it: with the replies to commands.
    pub(crate) fn usual() -> Self {
        Self { messages: true, flags: true, at_once: false, removals: false, items: Vec::new() }
    }

    /// RFC 5465 §3: who wants to be told, but not of the selected mailbox.
    fn nothing() -> Self {
        Self { messages: false, flags: false, ..Self::usual() }
    }

    fn of(selected: Option<Selected>) -> Self {
        let Some(Selected { delayed, events, items }) = selected else { return Self::nothing() };
        Self { messages: events.messages, flags: events.flags, at_once: true, removals: !delayed, items }
    }
}

/// More was changed than waits for anybody.
pub(crate) struct TooMuch;

/// Why a session ends that has not looked for long.
pub(crate) const TOO_MUCH: &str = "More annotations changed than can wait for you";

/// What a session hears of, but for the selected mailbox.
pub(crate) struct News {
    account: AccountId,
    watch: AccountWatch,
    /// What the command under way did: the client is told of what others do.
    pub(crate) own: names::Own,
    /// ENABLE METADATA
    metadata: bool,
    /// Of the selected mailbox.
    pub(crate) wish: Wish,
    groups: Vec<Group>,
    /// Mailboxes whose messages are heard of, by the names that the client knows.
    watched: HashMap<MailboxId, (String, Events)>,
    /// What others share, by the names that the client knows, and whether it may be read.
    shared: HashMap<MailboxId, (String, bool)>,
}

/// Why a NOTIFY is refused.
enum Refused {
    TooMany,
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl News {
    fn of(service: &Service, account: AccountId) -> Self {
        Self {
            account,
            watch: service.store.listen(account),
            own: names::Own::default(),
            metadata: false,
            wish: Wish::usual(),
            groups: Vec::new(),
            watched: HashMap::new(),
            shared: HashMap::new(),
        }
    }

    /// Returns when there is something to tell.
    pub(crate) async fn changed(&self) {
        self.watch.changed().await;
    }

    /// Whether anything is told without a command.
    pub(crate) fn at_once(&self) -> bool {
        self.wish.at_once || !self.groups.is_empty()
    }

    /// Finds the mailboxes that are meant, and says which were not watched before.
    async fn resolve(&mut self, service: &Service) -> Result<Vec<MailboxId>, Refused> {
        let hears_of_shared = self.groups.iter().any(|group| reaches_others(&group.source));
        let mut shared = HashMap::new();
        if hears_of_shared {
            for mailbox in service.store.shared_with(self.account).await? {
                if mailbox.rights.contains(Rights::LOOKUP) {
                    shared.insert(mailbox.id, (mailbox.name_for_others(), mailbox.rights.contains(Rights::READ)));
                }
            }
        }
        let mut watched = HashMap::new();
        if self.groups.iter().any(|group| group.events.messages) {
            for info in mailboxes(service, self.account).await? {
                let Some(id) = info.id else { continue };
                let events = events(&self.groups, &info);
                // RFC 5465 §5: all events of messages take the right `r`, too.
                if events.messages && shared.get(&id).is_none_or(|(_, readable)| *readable) {
                    watched.insert(id, (info.name, events));
                }
            }
        }
        room(watched.len())?;
        let new: Vec<_> = watched.keys().copied().filter(|id| !self.watched.contains_key(id)).collect();
        (self.watched, self.shared) = (watched, shared);
        let of_metadata = |group: &Group| group.events.mailbox_metadata || group.events.server_metadata;
        self.watch.set_interest(Interest {
            annotations: self.metadata || self.groups.iter().any(of_metadata),
            // Also to know which mailboxes are meant.
            names: !self.groups.is_empty(),
            mailboxes: self.watched.keys().copied().collect::<HashSet<_>>(),
            shared: hears_of_shared,
            ..Interest::default()
        });
        Ok(new)
    }

    /// Tells all that was heard; of the selected mailbox nothing.
    pub(crate) async fn tell(
        &mut self,
        service: &Service,
        io: &mut Io<'_>,
        selected: Option<MailboxId>,
    ) -> Result<Result<(), TooMuch>, End> {
        let heard = self.watch.take();
        if heard.lost {
            if self.metadata {
                return Ok(Err(TooMuch));
            }
            return self.give_up(service, io).await.map(Ok);
        }
        if !heard.news.is_empty() || heard.shared {
            let told = self.tell_names(service, io, &heard, selected).await?;
            if told.is_err() {
                return self.give_up(service, io).await.map(Ok);
            }
        }
        // What a command did was heard before its reply.
        self.own = names::Own::default();
        for (id, what) in heard.messages {
            let Some((name, events)) = self.watched.get(&id) else { continue };
            let is_wanted = what.arrived || what.expunged || what.flags && events.flags;
            if is_wanted && selected != Some(id) {
                self.status(service, io, id, name, *events, false).await;
                io.relieve().await?;
            }
        }
        Ok(Ok(()))
    }

    /// What happened to names and annotations, and which mailboxes are meant since.
    async fn tell_names(
        &mut self,
        service: &Service,
        io: &mut Io<'_>,
        heard: &Heard,
        selected: Option<MailboxId>,
    ) -> Result<Result<(), Refused>, End> {
        let names = match mailboxes(service, self.account).await {
            Ok(names) => names::Now::of(names),
            Err(error) => return Ok(Err(error.into())),
        };
        let names_changed = self.account_news(io, &names, &heard.news).await?;
        if !names_changed && !heard.shared {
            return Ok(Ok(()));
        }
        let shared = self.shared.clone();
        let new = match self.resolve(service).await {
            Ok(new) => new,
            Err(refused) => return Ok(Err(refused)),
        };
        self.shared_news(io, &names, &shared).await?;
        let mut new: Vec<_> = new.iter().filter_map(|id| Some((self.watched.get(id)?, *id))).collect();
        new.sort_unstable_by_key(|((name, _), _)| name);
        for ((name, events), id) in new {
            if selected != Some(id) {
                // What came before it was listened to is not told otherwise; and RFC 5465 §5.1: who asks for flags is
                // told that a name has another UIDVALIDITY.
                self.status(service, io, id, name, *events, !events.flags).await;
                io.relieve().await?;
            }
        }
        Ok(Ok(()))
    }

    /// RFC 5465 §5.8: from here on it is as after NOTIFY NONE.
    async fn give_up(&mut self, service: &Service, io: &mut Io<'_>) -> Result<(), End> {
        self.groups.clear();
        self.wish = Wish::nothing();
        let _ = self.resolve(service).await;
        condition(&mut io.out, "*", "OK", Some("NOTIFICATIONOVERFLOW"), "Too much happened to tell all of it");
        io.relieve().await
    }

    /// RFC 5465 §5.1 to §5.3: what a STATUS of a mailbox says that is not selected; `unless_empty`: and not empty.
    async fn status(
        &self,
        service: &Service,
        io: &mut Io<'_>,
        id: MailboxId,
        name: &str,
        events: Events,
        unless_empty: bool,
    ) {
        let told = async {
            if is_others(name) {
                find(service, self.account, name, Rights::READ).await?;
            }
            let mut items = vec![StatusItem::Messages, StatusItem::UidNext, StatusItem::UidValidity];
            if events.flags || io.enabled.condstore {
                items.push(StatusItem::HighestModSeq);
            }
            let status = service.store.status(id).await?;
            if unless_empty && status.messages == 0 {
                return Ok(());
            }
            write_status(service, io, name, &status, &items).await
        };
        let told: StoreResult<()> = told.await;
        if let Err(error) = told {
            // It went, or is no longer shared: there is nothing to tell.
            tracing::debug!(%error, "a mailbox that was listened to has no status");
        }
    }
}

/// RFC 5465 §5.8: a server may refuse what would be too much.
const fn room(mailboxes: usize) -> Result<(), Refused> {
    if mailboxes > limits::IMAP_NOTIFY_MAILBOXES { Err(Refused::TooMany) } else { Ok(()) }
}

/// What of a mailbox is told: what any group asks for that means it (RFC 5465 §6).
fn events(groups: &[Group], info: &MailboxInfo) -> Events {
    let meant = groups.iter().filter(|group| holds(&group.source, info, false));
    meant.fold(Events::default(), |all, group| all.with(group.events))
}

/// Whether there may be mailboxes of others among those that are named.
fn reaches_others(source: &Source) -> bool {
    match source {
        Source::Subscribed => true,
        Source::Subtree(names) | Source::SubtreeOne(names) | Source::Mailboxes(names) => {
            names.iter().any(|name| is_others(name))
        }
        Source::Selected | Source::Inboxes | Source::Personal => false,
    }
}

/// NOTIFY.
pub(crate) async fn notify(
    service: &Service,
    io: &mut Io<'_>,
    user: &mut User,
    selected: Option<MailboxId>,
    command: Notify,
) -> Result<Reply, End> {
    let account = user.identity.account;
    let (status, wish, groups) = match command {
        Notify::None => (false, Wish::nothing(), Vec::new()),
        Notify::Set { unknown: true, .. } => {
            let code = format!("BADEVENT ({EVENTS})");
            return Ok(Reply::no(Code::Cannot, "There is no such event here").with_code(code));
        }
        Notify::Set { status, selected, groups, .. } => (status, Wish::of(selected), groups),
    };
    let news = user.news.get_or_insert_with(|| News::of(service, account));
    let before = std::mem::replace(&mut news.groups, groups);
    match news.resolve(service).await {
        Ok(_) => news.wish = wish,
        Err(refused) => {
            news.groups = before;
            return Ok(match refused {
                Refused::TooMany => {
                    Reply::no(Code::Limit, "Those are too many mailboxes").with_code("NOTIFICATIONOVERFLOW")
                }
                Refused::Store(error) => refusal(&error),
            });
        }
    }
    news.tell_no_access(service, io).await?;
    if status {
        // RFC 5465 §4: how all are that are listened to, so that nothing is missed in between.
        let mut watched: Vec<_> = news.watched.iter().map(|(id, (name, events))| (name, *id, *events)).collect();
        watched.sort_unstable_by_key(|(name, ..)| *name);
        for (name, id, events) in watched {
            if selected != Some(id) {
                news.status(service, io, id, name, events, false).await;
                io.relieve().await?;
            }
        }
    }
    Ok(Reply::ok("You will be told"))
}

/// ENABLE METADATA: what others change in annotations is told from now on.
pub(crate) async fn hear_of_metadata(service: &Service, user: &mut User) {
    let account = user.identity.account;
    let news = user.news.get_or_insert_with(|| News::of(service, account));
    if !news.metadata {
        news.metadata = true;
        // Which mailboxes are meant is known already; what fails is found out with the next names.
        let _ = news.resolve(service).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `IMAP_NOTIFY_MAILBOXES`
    #[test]
    fn mailboxes_that_are_listened_to_are_bounded() {
        assert!(room(limits::IMAP_NOTIFY_MAILBOXES).is_ok());
        assert!(matches!(room(limits::IMAP_NOTIFY_MAILBOXES + 1), Err(Refused::TooMany)));
    }
}
