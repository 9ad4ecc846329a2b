//! NOTIFY (RFC 5465): the client is told of what it asked for, without asking again; and what others change in annotations
//! (RFC 5464 §4.4), which an ENABLE asks for too.

use std::collections::{HashMap, HashSet, VecDeque};

use mail::{AccountId, MailboxId, ModSeq, Rights, limits};
use store::{AccountNews, AccountWatch, Interest, MailboxInfo, StoreError, StoreResult, canonical_name};
use wire::imap::fetch::Item;
use wire::imap::mailbox::StatusItem;
use wire::imap::notify::{EVENTS, Events, Group, Notify, Selected};
use wire::imap::reply::{Code, Reply, condition};
use wire::imap::write;

use crate::access::{find, is_others, mailboxes};
use crate::host::End;
use crate::io::Io;
use crate::mailbox::write_status;
use crate::metadata::write_entries;
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
    /// Changes of annotations that this session made: it is told of those of a "third-party".
    pub(crate) own: VecDeque<ModSeq>,
    /// ENABLE METADATA
    metadata: bool,
    /// Of the selected mailbox.
    pub(crate) wish: Wish,
    groups: Vec<Group>,
    /// Mailboxes whose messages are heard of, by the names that the client knows.
    watched: HashMap<MailboxId, (String, Events)>,
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
            own: VecDeque::new(),
            metadata: false,
            wish: Wish::usual(),
            groups: Vec::new(),
            watched: HashMap::new(),
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

    /// Finds the mailboxes that are meant.
    async fn resolve(&mut self, service: &Service) -> Result<(), Refused> {
        let mut watched = HashMap::new();
        if self.groups.iter().any(|group| group.events.messages) {
            for info in mailboxes(service, self.account).await? {
                if let (Some(id), Some(events)) = (info.id, events(&self.groups, &info))
                    && events.messages
                {
                    watched.insert(id, (info.name, events));
                }
            }
        }
        room(watched.len())?;
        self.watched = watched;
        let of_metadata = |group: &Group| group.events.mailbox_metadata || group.events.server_metadata;
        self.watch.set_interest(Interest {
            annotations: self.metadata || self.groups.iter().any(of_metadata),
            // Also to know which mailboxes are meant.
            names: !self.groups.is_empty(),
            mailboxes: self.watched.keys().copied().collect::<HashSet<_>>(),
        });
        Ok(())
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
        let mut names_changed = false;
        for news in &heard.news {
            names_changed |= self.account_news(io, news);
            io.relieve().await?;
        }
        if names_changed && self.resolve(service).await.is_err() {
            return self.give_up(service, io).await.map(Ok);
        }
        for (id, what) in heard.messages {
            let Some((name, events)) = self.watched.get(&id) else { continue };
            let is_wanted = what.arrived || what.expunged || what.flags && events.flags;
            if is_wanted && selected != Some(id) {
                let (name, events) = (name.clone(), *events);
                self.status(service, io, id, &name, events).await;
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

    /// What happened to names and annotations; whether other mailboxes may be meant than before.
    fn account_news(&mut self, io: &mut Io<'_>, news: &AccountNews) -> bool {
        let names = io.enabled.names();
        match news {
            AccountNews::Annotated { modseq, mailbox, entries } => {
                if self.own.front() == Some(modseq) {
                    self.own.pop_front();
                } else if self.metadata || self.wants_metadata(mailbox.as_deref()) {
                    write_entries(io, mailbox.as_deref().unwrap_or_default(), entries);
                }
                return false;
            }
            // RFC 5465 §5.4, §5.5
            AccountNews::Created(name) => {
                if self.wants(name, |events| events.names) {
                    entry(&mut io.out, "", name, None, names);
                }
            }
            AccountNews::Deleted(name) => {
                if self.wants(name, |events| events.names) {
                    entry(&mut io.out, "\\NonExistent", name, None, names);
                }
            }
            AccountNews::Renamed { from, to } => {
                if self.wants(from, |events| events.names) || self.wants(to, |events| events.names) {
                    entry(&mut io.out, "", to, Some(from), names);
                }
            }
            AccountNews::Subscribed(name, on) => {
                if self.wants(name, |events| events.subscriptions) {
                    entry(&mut io.out, if *on { "\\Subscribed" } else { "" }, name, None, names);
                }
            }
        }
        true
    }

    fn wants(&self, name: &str, what: impl Fn(&Events) -> bool) -> bool {
        // Whoever hears of subscriptions hears of names that are no longer subscribed to.
        let info = MailboxInfo { id: None, name: name.to_owned(), special_use: None, subscribed: true };
        events(&self.groups, &info).is_some_and(|events| what(&events))
    }

    fn wants_metadata(&self, mailbox: Option<&str>) -> bool {
        match mailbox {
            Some(name) => self.wants(name, |events| events.mailbox_metadata),
            None => self.groups.iter().any(|group| group.events.server_metadata),
        }
    }

    /// RFC 5465 §5.1 to §5.3: what a STATUS of a mailbox says that is not selected.
    async fn status(&self, service: &Service, io: &mut Io<'_>, id: MailboxId, name: &str, events: Events) {
        let told = async {
            if is_others(name) {
                find(service, self.account, name, Rights::READ).await?;
            }
            let mut items = vec![StatusItem::Messages, StatusItem::UidNext, StatusItem::UidValidity];
            if events.flags || io.enabled.condstore {
                items.push(StatusItem::HighestModSeq);
            }
            let status = service.store.status(id).await?;
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

/// What of a mailbox is told: the first group that names it counts (RFC 5465 §3).
fn events(groups: &[Group], info: &MailboxInfo) -> Option<Events> {
    groups.iter().find(|group| holds(&group.source, info, false)).map(|group| group.events)
}

/// `* LIST (…) "/" name`
fn entry(out: &mut Vec<u8>, attribute: &str, name: &str, old: Option<&str>, names: wire::imap::Names) {
    out.extend_from_slice(format!("* LIST ({attribute}) \"/\" ").as_bytes());
    write::mailbox(out, &canonical_name(name), names);
    if let Some(old) = old {
        // RFC 9051 §6.3.9.7
        out.extend_from_slice(b" (\"OLDNAME\" (");
        write::mailbox(out, old, names);
        out.extend_from_slice(b"))");
    }
    out.extend_from_slice(b"\r\n");
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
        Ok(()) => news.wish = wish,
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
    if status {
        // RFC 5465 §4: how all are that are listened to, so that nothing is missed in between.
        let mut watched: Vec<_> = news.watched.iter().map(|(id, (name, events))| (name, *id, *events)).collect();
        watched.sort_unstable_by_key(|(name, ..)| *name);
        for (name, id, events) in watched {
            if selected != Some(id) {
                news.status(service, io, id, name, events).await;
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
