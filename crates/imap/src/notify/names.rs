//! What happens to names, subscriptions and annotations (RFC 5465 §5.4 to §5.7), and to what others share (§5.9).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use mail::{MailboxId, ModSeq};
use store::{AccountNews, MailboxInfo, canonical_name};
use wire::imap::notify::Events;
use wire::imap::write;

use super::{News, events};
use crate::access::mailboxes;
use crate::host::End;
use crate::io::Io;
use crate::list::{Names, word_of};
use crate::metadata::write_entries;
use crate::session::{Service, User};

/// How names are now.
pub(super) struct Now {
    infos: HashMap<String, MailboxInfo>,
    parents: HashSet<String>,
}

impl Now {
    pub(super) fn of(infos: Vec<MailboxInfo>) -> Self {
        let (infos, parents) = Names::new(infos).by_name();
        Self { infos, parents }
    }
}

/// Changes that the command under way made (RFC 5465 §5: "SHOULD omit").
#[derive(Default)]
pub(crate) struct Own {
    /// Of annotations.
    pub(crate) annotated: Option<ModSeq>,
    /// Of names.
    names: Vec<AccountNews>,
}

impl Own {
    /// Whether a change is the session's own, and nobody else's change of the same name stands beside it.
    fn holds(&self, news: &AccountNews, all: &[Arc<AccountNews>]) -> bool {
        let is_own = |news: &AccountNews| self.names.iter().any(|own| own == news || makes(own, news));
        let about = |news: &AccountNews| names_of(news).map(|name| name.map(str::to_owned));
        let same =
            |other: &AccountNews| about(other).iter().flatten().any(|name| about(news).contains(&Some(name.clone())));
        is_own(news) && all.iter().all(|other| is_own(other) || !same(other))
    }
}

/// Whether a parent was made with it.
fn makes(own: &AccountNews, news: &AccountNews) -> bool {
    match (own, news) {
        (AccountNews::Created(made) | AccountNews::Renamed { to: made, .. }, AccountNews::Created(parent)) => {
            made.strip_prefix(parent.as_str()).is_some_and(|rest| rest.starts_with('/'))
        }
        _ => false,
    }
}

fn names_of(news: &AccountNews) -> [Option<&str>; 2] {
    match news {
        AccountNews::Created(name) | AccountNews::Deleted(name) | AccountNews::Subscribed(name, _) => {
            [Some(name), None]
        }
        AccountNews::Renamed { from, to } => [Some(from), Some(to)],
        AccountNews::Annotated { .. } | AccountNews::Away | AccountNews::Identities | AccountNews::Submissions => {
            [None, None]
        }
    }
}

/// The command under way did this to names of the account.
pub(crate) fn note_own(user: &mut User, change: AccountNews) {
    if let Some(news) = &mut user.news {
        news.own.names.push(change);
    }
}

impl News {
    /// What happened to names and annotations; whether other mailboxes may be meant than before.
    pub(super) async fn account_news(
        &self,
        io: &mut Io<'_>,
        names: &Now,
        all: &[Arc<AccountNews>],
    ) -> Result<bool, End> {
        let mut names_changed = false;
        for news in all {
            if let AccountNews::Annotated { modseq, mailbox, entries } = &**news {
                let is_own = self.own.annotated == Some(*modseq);
                if !is_own && (self.metadata || self.wants_metadata(names, mailbox.as_deref())) {
                    write_entries(io, mailbox.as_deref().unwrap_or_default(), entries);
                }
            } else {
                names_changed = true;
                if !self.own.holds(news, all) {
                    self.of_name(io, names, news);
                }
            }
            io.relieve().await?;
        }
        Ok(names_changed)
    }

    fn of_name(&self, io: &mut Io<'_>, names: &Now, news: &AccountNews) {
        let wants_name = |name: &str| self.events(names, name).names;
        match news {
            AccountNews::Created(name) | AccountNews::Deleted(name) => self.affected(io, names, name),
            AccountNews::Renamed { from, to } => {
                if wants_name(from) || wants_name(to) {
                    entry(io, names, to, &[], Some(from));
                }
            }
            AccountNews::Subscribed(name, _) => {
                // Whoever hears of what is subscribed to hears of what no longer is.
                let info = MailboxInfo { subscribed: true, ..mere(name) };
                if events(&self.groups, &info).subscriptions {
                    entry(io, names, name, &[], None);
                }
            }
            AccountNews::Annotated { .. } | AccountNews::Away | AccountNews::Identities | AccountNews::Submissions => {}
        }
    }

    /// RFC 5465 §5.4: a name that is a mailbox or no longer one, and the one above it, whether that is one or not.
    fn affected(&self, io: &mut Io<'_>, names: &Now, name: &str) {
        for name in [Some(name), name.rsplit_once('/').map(|(above, _)| above)].into_iter().flatten() {
            if self.events(names, name).names {
                entry(io, names, name, &[], None);
            }
        }
    }

    /// What is asked for of a name.
    fn events(&self, names: &Now, name: &str) -> Events {
        let name = canonical_name(name);
        names.infos.get(&*name).map_or_else(|| events(&self.groups, &mere(&name)), |info| events(&self.groups, info))
    }

    fn wants_metadata(&self, names: &Now, mailbox: Option<&str>) -> bool {
        match mailbox {
            Some(name) => self.events(names, name).mailbox_metadata,
            None => self.groups.iter().any(|group| group.events.server_metadata),
        }
    }

    /// RFC 5465 §5.4, §5.9: what others share, and did or did not before.
    pub(super) async fn shared_news(
        &self,
        io: &mut Io<'_>,
        names: &Now,
        before: &HashMap<MailboxId, (String, bool)>,
    ) -> Result<(), End> {
        let mut ids: Vec<_> = before.iter().chain(&self.shared).map(|(id, (name, _))| (name, id)).collect();
        ids.sort_unstable();
        ids.dedup_by_key(|(_, id)| *id);
        for (_, id) in ids {
            match (before.get(id), self.shared.get(id)) {
                (None, Some((name, _))) | (Some((name, _)), None) if self.events(names, name).names => {
                    self.affected(io, names, name);
                }
                (Some((from, _)), Some((to, _)))
                    if from != to && (self.events(names, from).names || self.events(names, to).names) =>
                {
                    entry(io, names, to, &[], Some(from));
                }
                (Some((_, true)), Some((name, false))) | (Some((name, true)), None) => self.no_access(io, names, name),
                (Some((_, false)), Some((name, true))) if self.events(names, name).messages => {
                    entry(io, names, name, &[], None);
                }
                _ => {}
            }
            io.relieve().await?;
        }
        Ok(())
    }

    fn no_access(&self, io: &mut Io<'_>, names: &Now, name: &str) {
        if self.events(names, name).messages {
            entry(io, names, name, &["\\NoAccess"], None);
        }
    }

    /// RFC 5465 §3.1: what is asked for, may be known of, and not be read.
    pub(super) async fn tell_no_access(&self, service: &Service, io: &mut Io<'_>) -> Result<(), End> {
        let mut closed: Vec<&String> =
            self.shared.values().filter(|(_, readable)| !readable).map(|(name, _)| name).collect();
        if closed.is_empty() {
            return Ok(());
        }
        closed.sort_unstable();
        let names = Now::of(mailboxes(service, self.account).await.unwrap_or_default());
        for name in closed {
            self.no_access(io, &names, name);
            io.relieve().await?;
        }
        Ok(())
    }
}

fn mere(name: &str) -> MailboxInfo {
    MailboxInfo { id: None, name: name.to_owned(), special_use: None, subscribed: false }
}

/// `* LIST (…) "/" name`: how the name is now (RFC 5465 §5.5: "accurately computed").
fn entry(io: &mut Io<'_>, names: &Now, name: &str, more: &[&str], old: Option<&str>) {
    let name = canonical_name(name);
    let info = names.infos.get(&*name);
    let mut attributes = more.to_vec();
    if info.is_none_or(|info| info.id.is_none()) {
        attributes.push("\\NonExistent");
    }
    attributes.push(if names.parents.contains(&*name) { "\\HasChildren" } else { "\\HasNoChildren" });
    if info.is_some_and(|info| info.subscribed) {
        attributes.push("\\Subscribed");
    }
    attributes.extend(info.and_then(|info| info.special_use).and_then(word_of));
    let encoding = io.enabled.names();
    let out = &mut io.out;
    out.extend_from_slice(format!("* LIST ({}) \"/\" ", attributes.join(" ")).as_bytes());
    write::mailbox(out, &name, encoding);
    if let Some(old) = old {
        // RFC 9051 §6.3.9.7
        out.extend_from_slice(b" (\"OLDNAME\" (");
        write::mailbox(out, old, encoding);
        out.extend_from_slice(b"))");
    }
    out.extend_from_slice(b"\r\n");
}
