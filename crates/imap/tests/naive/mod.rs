//! Mailboxes as naively as can be, and what NOTIFY says of what happens to them (RFC 5465).
#![allow(unreachable_pub, clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

/// What is told of mailboxes that are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    pub messages: bool,
    pub flags: bool,
    pub names: bool,
    pub subscriptions: bool,
    pub mailbox_metadata: bool,
    pub server_metadata: bool,
}

/// A group of a NOTIFY: which mailboxes, and what of them.
#[derive(Clone, Debug)]
pub struct Group {
    pub which: String,
    pub events: Events,
}

impl Group {
    fn means(&self, name: &str, subscribed: bool) -> bool {
        let mut words = self.which.split(['(', ')', ' ']).filter(|word| !word.is_empty());
        let kind = words.next().unwrap_or_default();
        match kind {
            "inboxes" => name == "INBOX",
            "personal" => true,
            "subscribed" => subscribed,
            "mailboxes" => words.any(|word| word == name),
            "subtree" => words.any(|word| word == name || name.starts_with(&format!("{word}/"))),
            other => panic!("{other}"),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Message {
    pub uid: u32,
    pub flags: BTreeSet<String>,
    /// Counts changes.
    pub version: u32,
}

#[derive(Clone, Debug)]
pub struct Mailbox {
    /// Which it is, whatever its name.
    pub id: u32,
    pub validity: u32,
    pub next: u32,
    pub messages: Vec<Message>,
    pub special_use: Option<&'static str>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Created(String),
    Deleted(String),
    Renamed(String, String),
    Subscribed(String),
    Annotated(String, String),
    /// In the mailbox of this identity: messages came or went; or flags changed.
    Messages(u32),
    Flags(u32),
}

/// All that is there.
#[derive(Clone, Debug, Default)]
pub struct Account {
    pub mailboxes: BTreeMap<String, Mailbox>,
    pub subscribed: BTreeSet<String>,
    ids: u32,
}

pub fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(at, _)| &name[..at])
}

impl Account {
    /// `validity` is the server's choice.
    pub fn add(&mut self, name: &str, special_use: Option<&'static str>, validity: u32) {
        self.ids += 1;
        let mailbox = Mailbox { id: self.ids, validity, next: 1, messages: Vec::new(), special_use };
        assert!(self.mailboxes.insert(name.to_owned(), mailbox).is_none());
    }

    pub fn by_id(&self, id: u32) -> Option<(&String, &Mailbox)> {
        self.mailboxes.iter().find(|(_, mailbox)| mailbox.id == id)
    }

    pub fn has_children(&self, name: &str) -> bool {
        self.mailboxes.keys().any(|other| other.starts_with(&format!("{name}/")))
    }

    fn events(&self, groups: &[Group], name: &str) -> Events {
        self.events_where(groups, name, self.subscribed.contains(name))
    }

    fn events_where(&self, groups: &[Group], name: &str, subscribed: bool) -> Events {
        let mut all = Events::default();
        for Group { events, .. } in groups.iter().filter(|group| group.means(name, subscribed)) {
            all.messages |= events.messages;
            all.flags |= events.flags;
            all.names |= events.names;
            all.subscriptions |= events.subscriptions;
            all.mailbox_metadata |= events.mailbox_metadata;
        }
        all
    }

    /// Identities of the mailboxes whose messages are heard of.
    pub fn watched(&self, groups: &[Group]) -> BTreeSet<u32> {
        let heard = self.mailboxes.iter().filter(|(name, _)| self.events(groups, name).messages);
        heard.map(|(_, mailbox)| mailbox.id).collect()
    }

    pub fn list(&self, name: &str, old: Option<&str>) -> String {
        let mut attributes = Vec::new();
        let mailbox = self.mailboxes.get(name);
        if mailbox.is_none() {
            attributes.push("\\NonExistent");
        }
        attributes.push(if self.has_children(name) { "\\HasChildren" } else { "\\HasNoChildren" });
        if self.subscribed.contains(name) {
            attributes.push("\\Subscribed");
        }
        attributes.extend(mailbox.and_then(|mailbox| mailbox.special_use));
        let old = old.map(|old| format!(" (\"OLDNAME\" ({old}))")).unwrap_or_default();
        format!("* LIST ({}) \"/\" {name}{old}", attributes.join(" "))
    }

    pub fn status(&self, id: u32, modseq: bool) -> String {
        let (name, mailbox) = self.by_id(id).unwrap();
        let modseq = if modseq { " HIGHESTMODSEQ #" } else { "" };
        let (count, Mailbox { next, validity, .. }) = (mailbox.messages.len(), mailbox);
        format!("* STATUS {name} (MESSAGES {count} UIDNEXT {next} UIDVALIDITY {validity}{modseq})")
    }

    /// Whether a STATUS tells HIGHESTMODSEQ to whoever asked for these groups.
    pub fn wants_flags(&self, groups: &[Group], id: u32) -> bool {
        self.by_id(id).is_some_and(|(name, _)| self.events(groups, name).flags)
    }

    /// Which mailboxes, outside of the selected one, have a STATUS to be told for what happened.
    pub fn touched(
        &self,
        groups: &[Group],
        before: &BTreeSet<u32>,
        events: &[Event],
        selected: Option<u32>,
    ) -> BTreeSet<u32> {
        let mut touched = BTreeSet::new();
        for event in events {
            match event {
                Event::Messages(id) if before.contains(id) => drop(touched.insert(*id)),
                Event::Flags(id) if before.contains(id) && self.wants_flags(groups, *id) => drop(touched.insert(*id)),
                _ => {}
            }
        }
        let new = self.watched(groups).into_iter().filter(|id| !before.contains(id));
        touched.extend(new.filter(|id| {
            self.wants_flags(groups, *id) || self.by_id(*id).is_some_and(|(_, mailbox)| !mailbox.messages.is_empty())
        }));
        touched.retain(|id| selected != Some(*id) && self.watched(groups).contains(id));
        touched
    }

    /// What is told of names and annotations that one other session's command changed.
    pub fn names_told(&self, groups: &[Group], events: &[Event]) -> Vec<String> {
        let mut told = Vec::new();
        for event in events {
            match event {
                Event::Created(name) | Event::Deleted(name) => {
                    for name in [Some(name.as_str()), parents(name).last()].into_iter().flatten() {
                        if self.events(groups, name).names {
                            told.push(self.list(name, None));
                        }
                    }
                }
                Event::Renamed(from, to) if self.events(groups, from).names || self.events(groups, to).names => {
                    told.push(self.list(to, Some(from)));
                }
                Event::Subscribed(name) if self.events_where(groups, name, true).subscriptions => {
                    told.push(self.list(name, None));
                }
                Event::Annotated(name, entry) => {
                    let of_server = name.is_empty() && groups.iter().any(|group| group.events.server_metadata);
                    if of_server || !name.is_empty() && self.events(groups, name).mailbox_metadata {
                        let name = if name.is_empty() { "\"\"" } else { name };
                        told.push(format!("* METADATA {name} {entry}"));
                    }
                }
                _ => {}
            }
        }
        told
    }
}
