//! Which mailboxes and keywords an Email has, and what is done so that it has others (RFC 8621 §4.1.1, §4.6).

use std::collections::BTreeSet;

use mail::{BodyId, Flags, Keyword, MailboxId, Rights, Timestamp, Uid, limits};
use serde_json::Value;
use store::{AppendMessage, FlagChange, FlagOperation, MessageStep, Stage, StoreResult};

use crate::account::Account;
use crate::error::SetError;
use crate::ids;
use crate::index::{Email, SYSTEM};
use crate::request::Context;

/// See above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Placing {
    pub(super) mailboxes: BTreeSet<MailboxId>,
    /// In small letters.
    pub(super) keywords: BTreeSet<String>,
}

/// The names of a set: an object whose values are all true.
fn names(value: &Value, property: &'static str) -> Result<Vec<String>, SetError> {
    let wrong = || SetError::properties(&[property], "it is an object whose values are all true");
    let members = value.as_object().ok_or_else(wrong)?;
    if members.values().any(|value| *value != Value::Bool(true)) {
        return Err(wrong());
    }
    Ok(members.keys().cloned().collect())
}

impl Placing {
    /// Reads the properties mailboxIds and keywords.
    pub(super) fn read(
        context: &Context<'_>,
        account: &Account,
        mailbox_ids: &Value,
        keywords: &Value,
    ) -> Result<Self, SetError> {
        let mut placing = Self::default();
        for id in names(mailbox_ids, "mailboxIds")? {
            let mailbox =
                context.real_id(&id).and_then(|id| account.mailbox_by_id(id)).filter(|mailbox| mailbox.is_readable());
            let mailbox =
                mailbox.ok_or_else(|| SetError::properties(&["mailboxIds"], format!("there is no mailbox {id}")))?;
            placing.mailboxes.insert(mailbox.info.id);
        }
        if placing.mailboxes.is_empty() {
            return Err(SetError::properties(&["mailboxIds"], "a message is in one mailbox at least"));
        }
        if placing.mailboxes.len() > limits::JMAP_MAILBOXES_PER_EMAIL {
            return Err(SetError::new("tooManyMailboxes"));
        }
        for name in if keywords.is_null() { Vec::new() } else { names(keywords, "keywords")? } {
            if Keyword::new(&name).is_none() {
                return Err(SetError::properties(&["keywords"], format!("{name} can be no keyword")));
            }
            placing.keywords.insert(name.to_ascii_lowercase());
        }
        if placing.keywords.len() > limits::KEYWORDS_PER_MAILBOX {
            return Err(SetError::new("tooManyKeywords"));
        }
        Ok(placing)
    }

    /// What an Email has.
    pub(super) fn of(email: &Email<'_>) -> Self {
        Self { mailboxes: email.mailboxes().map(|(_, id)| id).collect(), keywords: email.keywords() }
    }

    /// Puts octets into these mailboxes as one message: the Email's id, and how many octets it has.
    pub(super) async fn put(
        &self,
        context: &Context<'_>,
        octets: Box<dyn Stage>,
        received: Timestamp,
    ) -> StoreResult<(BodyId, u64)> {
        let size = octets.len();
        let (flags, keywords) = flags(self.keywords.iter().map(String::as_str));
        let message = AppendMessage { flags, keywords, internal_date: received };
        let mailboxes: Vec<_> = self.mailboxes.iter().copied().collect();
        let body = context.server.store.append_to_all(&mailboxes, (octets, message), context.moment.now).await?;
        Ok((body.into_inner(), size))
    }

    /// Whether the user may put a new message there, so.
    pub(super) fn check_new(&self, account: &Account) -> Result<(), SetError> {
        let needed = Rights::INSERT.with(needed(self.keywords.iter().map(String::as_str)));
        check(account, &self.mailboxes, needed)
    }

    /// What is to be done so that an Email is placed so. Each step is of messages that are there.
    pub(super) fn steps(&self, account: &Account, email: &Email<'_>) -> Result<Vec<MessageStep>, SetError> {
        let now = Self::of(email);
        let added: BTreeSet<MailboxId> = self.mailboxes.difference(&now.mailboxes).copied().collect();
        let removed: BTreeSet<MailboxId> = now.mailboxes.difference(&self.mailboxes).copied().collect();
        let set: Vec<&str> = self.keywords.difference(&now.keywords).map(String::as_str).collect();
        let cleared: Vec<&str> = now.keywords.difference(&self.keywords).map(String::as_str).collect();
        check(account, &added, Rights::INSERT)?;
        check(account, &removed, Rights::DELETED.with(Rights::EXPUNGE))?;
        // RFC 8621 §2: in all of its mailboxes.
        check(account, &now.mailboxes, needed(set.iter().chain(&cleared).copied()))?;

        let places = places(account, email);
        let mut steps = Vec::new();
        for (operation, names) in [(FlagOperation::Add, set), (FlagOperation::Remove, cleared)] {
            let (flags, keywords) = flags(names.iter().copied());
            if names.is_empty() {
                continue;
            }
            for (mailbox, uids) in &places {
                let keywords = keywords.clone();
                let change = FlagChange { operation, flags, keywords, unchanged_since: None };
                steps.push(MessageStep::Flags(*mailbox, uids.clone(), change));
            }
        }
        let Some((from, uids)) = places.first() else { return Err(SetError::new("notFound")) };
        let one = uids.first().copied().into_iter().collect::<Vec<_>>();
        let mut added = added.into_iter();
        let leaving: Vec<_> = places.iter().filter(|(mailbox, _)| removed.contains(mailbox)).collect();
        let mut leaving = leaving.into_iter();
        // From one to another is a move: it needs no room.
        let moved = leaving.as_slice().first().map(|(mailbox, uids)| (*mailbox, uids.clone()));
        let moved = moved.and_then(|(mailbox, uids)| Some((mailbox, uids, added.next()?)));
        for to in added {
            steps.push(MessageStep::Copy(*from, one.clone(), to));
        }
        if let Some((mailbox, uids, to)) = moved {
            leaving.next();
            let (first, rest) = uids.split_at(1.min(uids.len()));
            steps.push(MessageStep::Move(mailbox, first.to_vec(), to));
            if !rest.is_empty() {
                steps.push(MessageStep::Expunge(mailbox, rest.to_vec()));
            }
        }
        steps.extend(leaving.map(|(mailbox, uids)| MessageStep::Expunge(*mailbox, uids.clone())));
        Ok(steps)
    }
}

/// What is to be done so that an Email is gone.
pub(super) fn removal(account: &Account, email: &Email<'_>) -> Result<Vec<MessageStep>, SetError> {
    let mailboxes = email.mailboxes().map(|(_, id)| id).collect();
    check(account, &mailboxes, Rights::DELETED.with(Rights::EXPUNGE))?;
    Ok(places(account, email).into_iter().map(|(mailbox, uids)| MessageStep::Expunge(mailbox, uids)).collect())
}

/// The messages that it is, by mailbox.
fn places(account: &Account, email: &Email<'_>) -> Vec<(MailboxId, Vec<Uid>)> {
    let mut places: Vec<(MailboxId, Vec<Uid>)> = Vec::new();
    for (place, row) in email.rows() {
        let Some((mailbox, _)) = account.index.boxes().get(place as usize) else { continue };
        match places.last_mut() {
            Some((last, uids)) if last == mailbox => uids.push(row.uid),
            _ => places.push((*mailbox, vec![row.uid])),
        }
    }
    places
}

fn check(account: &Account, mailboxes: &BTreeSet<MailboxId>, needed: Rights) -> Result<(), SetError> {
    let may = |id: &MailboxId| account.mailbox(*id).is_some_and(|mailbox| mailbox.rights.contains(needed));
    if needed.is_empty() || mailboxes.iter().all(may) { Ok(()) } else { Err(SetError::new("forbidden")) }
}

/// RFC 8621 §2: maySetSeen is for $seen, maySetKeywords for all others.
fn needed<'n>(mut keywords: impl Iterator<Item = &'n str> + Clone) -> Rights {
    let seen = keywords.clone().any(|name| name == "$seen");
    let others = keywords.any(|name| name != "$seen");
    let mut needed = if seen { Rights::SEEN } else { Rights::NONE };
    if others {
        needed = needed.with(Rights::WRITE);
    }
    needed
}

fn flags<'n>(names: impl Iterator<Item = &'n str>) -> (Flags, Vec<Keyword>) {
    let (mut flags, mut keywords) = (Flags::NONE, Vec::new());
    for name in names {
        match SYSTEM.iter().find(|(_, system)| *system == name) {
            Some((flag, _)) => flags = flags.with(*flag),
            None => keywords.extend(Keyword::new(name)),
        }
    }
    (flags, keywords)
}

/// The mailboxes of a placing as they are told.
pub(super) fn told(placing: &Placing) -> (Value, Value) {
    let set = |names: Vec<String>| -> Value {
        names.into_iter().map(|name| (name, Value::Bool(true))).collect::<serde_json::Map<_, _>>().into()
    };
    (
        set(placing.mailboxes.iter().map(|id| ids::mailbox(*id)).collect()),
        set(placing.keywords.iter().cloned().collect()),
    )
}
