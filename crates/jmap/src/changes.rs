//! What changed since a state (RFC 8620 §5.2): told from what is there, and from what the store noted of what went.
//!
//! Each change has its place in the account's order of changes; an answer that is cut short is cut between two places, and
//! the place is the state that it leads to. So a thing that was made is told at the place where it was made, whatever happened
//! to it after: the next answer tells that.

use std::collections::{BTreeMap, HashMap};

use mail::{AccountId, BodyId, Flags, MailboxId, ModSeq, ThreadId, Uid};
use serde_json::{Value, json};
use store::Departed;

use crate::account::Account;
use crate::args::Args;
use crate::error::{Answer, MethodError};
use crate::ids;
use crate::request::Context;

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Created,
    Updated,
    Destroyed,
}

/// A change of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    /// Its place in the account's order.
    pub(crate) at: ModSeq,
    /// Of a mailbox: nothing but counts.
    pub(crate) counts_only: bool,
}

/// An account, and what went from it.
pub(crate) struct Since {
    pub(crate) account: Account,
    pub(crate) departed: Departed,
    pub(crate) since: ModSeq,
    restored: HashMap<(MailboxId, Uid), ModSeq>,
}

/// RFC 8620 §5.2, §5.6
pub(crate) const UNKNOWN: MethodError = MethodError::new("cannotCalculateChanges");

impl Since {
    /// What an account has, and what went from it since a state.
    pub(crate) async fn read(context: &Context<'_>, account: Account, state: &str) -> Answer<Self> {
        let since = ids::parse_state(state).filter(|since| *since <= account.modseq).ok_or(UNKNOWN)?;
        // After the look at the account: what went in between is among both, and so still there.
        let mut departed = context.server.store.departed(account.id, since).await?.ok_or(UNKNOWN)?;
        if !account.is_own {
            // Who may see what may have changed with it: then nobody knows what was seen before.
            if account.changed > since || !departed.mailboxes.is_empty() {
                return Err(UNKNOWN);
            }
            departed.messages.retain(|gone| account.index.place_of(gone.mailbox).is_some());
        }
        let mut restored = HashMap::new();
        for (mailbox, uid, at) in &departed.restored {
            let last = restored.entry((*mailbox, *uid)).or_insert(*at);
            *last = (*last).max(*at);
        }
        Ok(Self { account, departed, since, restored })
    }

    /// When \Deleted was last taken from a message since.
    fn restored(&self, mailbox: MailboxId, uid: Uid) -> Option<ModSeq> {
        self.restored.get(&(mailbox, uid)).copied()
    }

    /// Changes of Emails, and the conversations that they are in.
    pub(crate) fn emails(&self) -> Vec<(Change, ThreadId)> {
        let index = &self.account.index;
        let mut touched: BTreeMap<BodyId, Touched> = BTreeMap::new();
        for (_, snapshot) in index.boxes().iter().filter(|(_, snapshot)| snapshot.highest_modseq > self.since) {
            for row in snapshot.iter().filter(|row| row.modseq > self.since) {
                let touched = touched.entry(row.body).or_insert_with(|| Touched::new(row.thread));
                touched.latest = touched.latest.max(row.modseq);
                // What is marked \Deleted now was perhaps seen before.
                touched.perhaps |= row.flags.contains(Flags::DELETED) && row.created <= self.since;
            }
        }
        for gone in &self.departed.messages {
            let touched = touched.entry(gone.body).or_insert_with(|| Touched::new(gone.thread));
            touched.latest = touched.latest.max(gone.modseq);
            match self.restored(gone.mailbox, gone.uid) {
                None if gone.flags.contains(Flags::DELETED) => touched.perhaps |= gone.created <= self.since,
                restored => touched.came_at(restored.unwrap_or(gone.created), self.since),
            }
        }
        let mut changes = Vec::with_capacity(touched.len());
        for (body, mut touched) in touched {
            let email = index.email(body);
            for (mailbox, row) in email.iter().flat_map(|email| email.rows()) {
                let mailbox = index.boxes().get(mailbox as usize).map(|(id, _)| *id);
                let restored = mailbox.and_then(|mailbox| self.restored(mailbox, row.uid));
                touched.came_at(restored.unwrap_or(row.created), self.since);
            }
            let (kind, at) = match (touched.was, email.is_some()) {
                (true, true) => (Kind::Updated, touched.latest),
                (false, true) => (Kind::Created, touched.first.unwrap_or(touched.latest)),
                (true, false) => (Kind::Destroyed, touched.latest),
                // Who did not know it loses nothing.
                (false, false) if touched.perhaps => (Kind::Destroyed, touched.latest),
                // RFC 8620 §5.2: what came and went since is left out.
                (false, false) => continue,
            };
            changes.push((Change { id: body.0, kind, at, counts_only: false }, touched.thread));
        }
        changes
    }

    /// Changes of conversations: of which Emails are in them.
    pub(crate) fn threads(&self) -> Vec<Change> {
        self.threads_of(&self.emails())
    }

    /// The same of Emails that are known to have changed.
    pub(crate) fn threads_of(&self, changed: &[(Change, ThreadId)]) -> Vec<Change> {
        let mut emails: BTreeMap<ThreadId, Vec<&Change>> = BTreeMap::new();
        for (change, thread) in changed {
            emails.entry(*thread).or_default().push(change);
        }
        let mut changes = Vec::new();
        for (thread, emails) in emails {
            let now = self.account.index.thread(thread);
            let is_new = |id: BodyId| emails.iter().any(|change| change.id == id.0 && change.kind == Kind::Created);
            let was =
                emails.iter().any(|change| change.kind != Kind::Created) || now.iter().any(|email| !is_new(email.id()));
            let members: Vec<ModSeq> =
                emails.iter().filter(|change| change.kind != Kind::Updated).map(|change| change.at).collect();
            let (Some(first), Some(last)) = (members.iter().min(), members.iter().max()) else { continue };
            let (kind, at) = match (was, !now.is_empty()) {
                (true, true) => (Kind::Updated, *last),
                (false, true) => (Kind::Created, *first),
                (_, false) => (Kind::Destroyed, *last),
            };
            changes.push(Change { id: thread.0, kind, at, counts_only: false });
        }
        changes
    }

    /// Changes of mailboxes, counts among them.
    pub(crate) fn mailboxes(&self) -> Vec<Change> {
        self.mailboxes_of(&self.emails())
    }

    /// The same with Emails that are known to have changed.
    pub(crate) fn mailboxes_of(&self, changed: &[(Change, ThreadId)]) -> Vec<Change> {
        // An Email that several mailboxes have counts in each by what all of them have.
        let mut counted: BTreeMap<u32, ModSeq> = BTreeMap::new();
        for (change, _) in changed {
            for (mailbox, _) in self.account.index.email(BodyId(change.id)).iter().flat_map(|email| email.mailboxes()) {
                let at = counted.entry(mailbox).or_default();
                *at = change.at.max(*at);
            }
        }
        let mut changes = Vec::new();
        for mailbox in &self.account.mailboxes {
            let info = &mailbox.info;
            let place = self.account.index.place_of(info.id);
            let counts = place.and_then(|place| counted.get(&place).copied()).unwrap_or_default();
            let counts = if place.is_some() { counts.max(info.highest_modseq) } else { ModSeq(0) };
            let at = counts.max(info.changed);
            if info.created > self.since {
                changes.push(Change { id: info.id.0, kind: Kind::Created, at: info.created, counts_only: false });
            } else if at > self.since {
                let counts_only = info.changed <= self.since;
                changes.push(Change { id: info.id.0, kind: Kind::Updated, at, counts_only });
            }
        }
        let gone = self.departed.mailboxes.iter().filter(|(_, created, _)| *created <= self.since);
        changes.extend(gone.map(|(id, _, at)| Change { id: id.0, kind: Kind::Destroyed, at: *at, counts_only: false }));
        changes
    }
}

/// What is known of an Email of which something changed.
struct Touched {
    thread: ThreadId,
    /// It was there.
    was: bool,
    /// It was there, but perhaps marked \Deleted. Who knows it takes it for new once more, which does no harm.
    perhaps: bool,
    /// When the first of its messages came since.
    first: Option<ModSeq>,
    latest: ModSeq,
}

impl Touched {
    const fn new(thread: ThreadId) -> Self {
        Self { thread, was: false, perhaps: false, first: None, latest: ModSeq(0) }
    }

    fn came_at(&mut self, at: ModSeq, since: ModSeq) {
        if at <= since {
            self.was = true;
        } else {
            self.first = Some(self.first.map_or(at, |first| first.min(at)));
        }
    }
}

/// As many changes as fit, and the state that they lead to.
pub(crate) fn cut(mut changes: Vec<Change>, now: ModSeq, most: Option<u64>) -> Answer<(Vec<Change>, ModSeq, bool)> {
    changes.sort_by_key(|change| change.at);
    let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let Some(beyond) = changes.get(most).map(|change| change.at) else { return Ok((changes, now, false)) };
    changes.retain(|change| change.at < beyond);
    // RFC 8620 §5.2: one commit changed more than that; there is no state in its midst.
    let state = changes.last().map(|change| change.at).ok_or(UNKNOWN)?;
    Ok((changes, state, true))
}

/// The arguments of a method `/changes`: the account, the state, and how many changes at most.
pub(crate) async fn arguments(context: &Context<'_>, mut args: Args) -> Answer<(Since, Option<u64>)> {
    let id = context.account_id(&mut args).await?;
    let (state, most) = state_and_most(args)?;
    let account = context.open(id).await?;
    Ok((Since::read(context, account, &state).await?, most))
}

/// What is left of them once the account is taken, which must be all.
pub(crate) fn state_and_most(mut args: Args) -> Answer<(String, Option<u64>)> {
    let state = Args::required("sinceState", args.string("sinceState")?)?;
    let most = args.unsigned("maxChanges")?;
    if most == Some(0) {
        return Err(MethodError::arguments("maxChanges must be greater than 0"));
    }
    args.finish()?;
    Ok((state, most))
}

/// The response of a method `/changes`.
pub(crate) fn response(since: &Since, cut: (Vec<Change>, ModSeq, bool), id: impl Fn(u64) -> String) -> Value {
    told(since.account.id, since.since, cut, id)
}

/// The same of what an account has beside its mail.
pub(crate) fn told(
    account: AccountId,
    since: ModSeq,
    (changes, state, more): (Vec<Change>, ModSeq, bool),
    id: impl Fn(u64) -> String,
) -> Value {
    let of = |kind: Kind| -> Vec<String> {
        changes.iter().filter(|change| change.kind == kind).map(|change| id(change.id)).collect()
    };
    json!({
        "accountId": ids::account(account),
        "oldState": ids::state(since),
        "newState": ids::state(state),
        "hasMoreChanges": more,
        "created": of(Kind::Created),
        "updated": of(Kind::Updated),
        "destroyed": of(Kind::Destroyed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_cut_between_places() {
        let change = |id, at| Change { id, kind: Kind::Updated, at: ModSeq(at), counts_only: false };
        let changes = || vec![change(1, 9), change(2, 5), change(3, 5), change(4, 7)];
        let (all, state, more) = cut(changes(), ModSeq(10), None).unwrap();
        assert_eq!((all.len(), state, more), (4, ModSeq(10), false));
        assert_eq!(cut(changes(), ModSeq(10), Some(4)).unwrap().1, ModSeq(10));
        let (some, state, more) = cut(changes(), ModSeq(10), Some(3)).unwrap();
        assert_eq!((some.len(), state, more), (3, ModSeq(7), true));
        assert_eq!(cut(changes(), ModSeq(10), Some(2)).unwrap().1, ModSeq(5));
        assert_eq!(cut(changes(), ModSeq(10), Some(1)), Err(UNKNOWN));
    }
}
