//! NOTIFY (RFC 5465): of what the client wants to be told without asking.

use super::cursor::{Bad, Cursor};
use super::fetch::Item;
use super::multisearch::Source;

/// NOTIFY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notify {
    /// NONE: of nothing.
    None,
    /// SET
    Set {
        /// STATUS: how it is now, too.
        status: bool,
        /// What of the selected mailbox; `None`: nothing.
        selected: Option<Selected>,
        /// What of others; the first that names a mailbox counts for it.
        groups: Vec<Group>,
        /// There was an event that is none, or that is not offered.
        unknown: bool,
    },
}

/// `filter-mailboxes-selected` with its events
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// selected-delayed: removals only when a command allows them.
    pub delayed: bool,
    /// What is told of it.
    pub events: Events,
    /// MessageNew (…): what of a new message.
    pub items: Vec<Item>,
}

/// `event-group`, of mailboxes that need not be selected
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Which.
    pub source: Source,
    /// What is told of them.
    pub events: Events,
}

/// `events`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// MessageNew and MessageExpunge, which go together.
    pub messages: bool,
    /// FlagChange
    pub flags: bool,
    /// MailboxName
    pub names: bool,
    /// SubscriptionChange
    pub subscriptions: bool,
    /// MailboxMetadataChange
    pub mailbox_metadata: bool,
    /// ServerMetadataChange
    pub server_metadata: bool,
}

impl Events {
    /// What is in either.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self {
            messages: self.messages || other.messages,
            flags: self.flags || other.flags,
            names: self.names || other.names,
            subscriptions: self.subscriptions || other.subscriptions,
            mailbox_metadata: self.mailbox_metadata || other.mailbox_metadata,
            server_metadata: self.server_metadata || other.server_metadata,
        }
    }
}

/// All events that are offered, as BADEVENT names them (RFC 5465 §5).
pub const EVENTS: &str = "MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange MailboxMetadataChange \
                          ServerMetadataChange";

#[derive(Default)]
struct Read {
    events: Events,
    new: bool,
    expunge: bool,
    items: Vec<Item>,
    unknown: bool,
}

impl Cursor<'_> {
    /// RFC 5465 §8: `notify = "NOTIFY" SP (notify-add / notify-none)`,
    /// `notify-add = "SET" [status-indicator] SP event-groups`
    pub(super) fn notify(&mut self) -> Result<Notify, Bad> {
        match self.atom()?.to_ascii_uppercase().as_str() {
            "NONE" => return Ok(Notify::None),
            "SET" => {}
            _ => return Err(Bad("NOTIFY is SET or NONE")),
        }
        self.sp()?;
        let status = self.take_word("STATUS");
        if status {
            self.sp()?;
        }
        let (mut selected, mut groups, mut unknown) = (None, Vec::new(), false);
        loop {
            self.expect(b'(', "A group of events is missing")?;
            let delayed = self.rest().get(..17).is_some_and(|word| word.eq_ignore_ascii_case(b"selected-delayed "));
            let source = self.filter_mailboxes()?;
            self.sp()?;
            let read = self.events()?;
            self.expect(b')', "A closing parenthesis is missing")?;
            unknown |= read.unknown;
            if source == Source::Selected {
                let others = Events { messages: false, flags: false, ..read.events };
                // RFC 5465 §6.1: only message events.
                if others != Events::default() {
                    return Err(Bad("Of the selected mailbox there are only events of messages"));
                }
                let group = Selected { delayed, events: read.events, items: read.items };
                if selected.replace(group).is_some() {
                    return Err(Bad("The selected mailbox is named twice"));
                }
            } else {
                // RFC 5465 §5.1: "fetch-att … only … selected".
                if !read.items.is_empty() {
                    return Err(Bad("FETCH items are for the selected mailbox"));
                }
                groups.push(Group { source, events: read.events });
            }
            if groups.len() > mail::limits::IMAP_NOTIFY_GROUPS {
                return Err(Bad("There are too many groups of events"));
            }
            if !self.take(b' ') {
                break;
            }
        }
        Ok(Notify::Set { status, selected, groups, unknown })
    }

    /// `"(" fetch-att *(SP fetch-att) ")"`
    pub(super) fn fetch_atts(&mut self) -> Result<Vec<Item>, Bad> {
        let items = self.list(Self::fetch_att)?;
        if items.is_empty() { Err(Bad("FETCH items are missing")) } else { Ok(items) }
    }

    /// `events = ("(" event *(SP event) ")") / "NONE"`
    fn events(&mut self) -> Result<Read, Bad> {
        let mut read = Read::default();
        if self.peek() != Some(b'(') {
            return match self.atom()?.eq_ignore_ascii_case("NONE") {
                true => Ok(read),
                false => Err(Bad("Events are a list, or NONE")),
            };
        }
        let named = self.list(|cursor| {
            let (events, word) = (&mut read.events, cursor.atom()?.to_ascii_uppercase());
            match word.as_str() {
                "MESSAGENEW" => {
                    read.new = true;
                    if matches!(cursor.rest(), [b' ', b'(', ..]) {
                        cursor.sp()?;
                        read.items = cursor.fetch_atts()?;
                    }
                }
                "MESSAGEEXPUNGE" => read.expunge = true,
                "FLAGCHANGE" => events.flags = true,
                "MAILBOXNAME" => events.names = true,
                "SUBSCRIPTIONCHANGE" => events.subscriptions = true,
                "MAILBOXMETADATACHANGE" => events.mailbox_metadata = true,
                "SERVERMETADATACHANGE" => events.server_metadata = true,
                // AnnotationChange among them.
                _ => read.unknown = true,
            }
            Ok(())
        })?;
        if named.is_empty() {
            return Err(Bad("Events are a list, or NONE"));
        }
        // RFC 5465 §5: MessageNew and MessageExpunge together or neither; FlagChange only with them.
        if read.new != read.expunge || read.events.flags && !read.new {
            return Err(Bad("MessageNew and MessageExpunge go together, and FlagChange with them"));
        }
        read.events.messages = read.new;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::{Command, command};
    use super::super::mutf7::Names;
    use super::*;

    fn read(text: &str) -> Result<Notify, Bad> {
        match command(format!("a {text}\r\n").as_bytes(), Names::Modified).unwrap().command? {
            Command::Notify(notify) => Ok(notify),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_clients_ask() {
        assert_eq!(read("notify none"), Ok(Notify::None));
        let text = "NOTIFY SET STATUS (selected-delayed (MessageNew (UID FLAGS) MessageExpunge FlagChange)) \
                    (subtree Lists (MessageNew MessageExpunge)) (personal (MailboxName SubscriptionChange \
                    MailboxMetadataChange ServerMetadataChange)) (mailboxes (a \"b c\") NONE)";
        let Ok(Notify::Set { status, selected, groups, unknown }) = read(text) else { panic!("{:?}", read(text)) };
        assert!(status && !unknown);
        let selected = selected.unwrap();
        assert!(selected.delayed && selected.events.messages && selected.events.flags);
        assert_eq!(selected.items, [Item::Uid, Item::Flags]);
        assert_eq!(groups[0].source, Source::Subtree(vec!["Lists".into()]));
        assert_eq!(groups[0].events, Events { messages: true, ..Events::default() });
        let of_names = Events {
            names: true,
            subscriptions: true,
            mailbox_metadata: true,
            server_metadata: true,
            ..Events::default()
        };
        assert_eq!(groups[1].events, of_names);
        let none = Group { source: Source::Mailboxes(vec!["a".into(), "b c".into()]), events: Events::default() };
        assert_eq!(groups[2], none);
        // RFC 5465 §8: `event-ext`
        for other in [
            "NOTIFY SET (inboxes (MailboxName AnnotationChange))",
            "NOTIFY SET (selected (MessageNew UID MessageExpunge))",
        ] {
            let Ok(Notify::Set { unknown, .. }) = read(other) else { panic!("it can be read") };
            assert!(unknown);
        }
        assert!(matches!(read("NOTIFY SET (selected NONE)"), Ok(Notify::Set { selected: Some(_), .. })));
    }

    #[test]
    fn what_is_no_notify() {
        for bad in [
            "NOTIFY",
            "NOTIFY SOME",
            "NOTIFY SET",
            "NOTIFY SET STATUS",
            "NOTIFY SET ()",
            "NOTIFY SET (xyz NONE)",
            "NOTIFY SET (personal)",
            "NOTIFY SET (personal ())",
            "NOTIFY SET (personal SOME)",
            "NOTIFY SET (personal (MessageNew))",
            "NOTIFY SET (personal (MessageExpunge))",
            "NOTIFY SET (personal (FlagChange))",
            "NOTIFY SET (personal (MessageNew (UID) MessageExpunge))",
            "NOTIFY SET (selected (MessageNew () MessageExpunge))",
            "NOTIFY SET (selected (MessageNew (FAST) MessageExpunge))",
            "NOTIFY SET (selected (MessageNew (XYZ) MessageExpunge))",
            "NOTIFY SET (selected (MessageNew MessageExpunge (UID)))",
            "NOTIFY SET (selected (MailboxName))",
            "NOTIFY SET (selected NONE) (selected-delayed NONE)",
            "NOTIFY SET (personal NONE",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        // `IMAP_NOTIFY_GROUPS`
        let groups = |count| format!("NOTIFY SET{}", " (inboxes NONE)".repeat(count));
        assert!(read(&groups(mail::limits::IMAP_NOTIFY_GROUPS)).is_ok());
        let more = read(&groups(mail::limits::IMAP_NOTIFY_GROUPS + 1));
        assert_eq!(more, Err(Bad("There are too many groups of events")));
    }
}
