//! Commands about mailboxes: SELECT, CREATE, LIST, STATUS (RFC 3501 §6.3; RFC 5258, 5819, 6154, 7162).

use mail::limits;

use super::cursor::{Bad, Cursor, is_atom_char};
use super::sequence::SequenceSet;

/// SELECT or EXAMINE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// Which.
    pub mailbox: String,
    /// EXAMINE.
    pub read_only: bool,
    /// (CONDSTORE), RFC 7162 §3.1.8.
    pub condstore: bool,
    /// (QRESYNC (…)), RFC 7162 §3.2.5.
    pub qresync: Option<Qresync>,
}

/// What a client that comes back knows of a mailbox (RFC 7162 §3.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qresync {
    /// UIDVALIDITY as it was.
    pub uid_validity: u32,
    /// The last change it knows of.
    pub modseq: u64,
    /// UIDs it knows; all, where it does not say.
    pub known: Option<SequenceSet>,
    /// Some message numbers and the UIDs that they had: where they still match, nothing before was removed.
    pub matches: Option<(SequenceSet, SequenceSet)>,
}

/// CREATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// The new name; a hierarchy separator at the end is dropped (RFC 3501 §6.3.3).
    pub mailbox: String,
    /// USE (RFC 6154 §3), with backslash, as written.
    pub special_use: Vec<String>,
}

/// LIST or LSUB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Only what is subscribed (RFC 5258 `SUBSCRIBED`).
    pub subscribed: bool,
    /// RECURSIVEMATCH: also parents of what matches.
    pub recursive: bool,
    /// Only what has a special use (RFC 6154 §2).
    pub special_use: bool,
    /// An extended form was used: selection options, several patterns or RETURN.
    pub extended: bool,
    /// Put before each pattern.
    pub reference: String,
    /// With `*` and `%`.
    pub patterns: Vec<String>,
    /// RETURN (SUBSCRIBED)
    pub return_subscribed: bool,
    /// RETURN (STATUS (…)), RFC 5819.
    pub return_status: Option<Vec<StatusItem>>,
    /// RETURN (MYRIGHTS), RFC 8440.
    pub return_rights: bool,
    /// RETURN (METADATA (…)), RFC 9590: names of annotations.
    pub return_metadata: Option<Vec<String>>,
}

/// `status-att`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusItem {
    /// MESSAGES
    Messages,
    /// RECENT
    Recent,
    /// UIDNEXT
    UidNext,
    /// UIDVALIDITY
    UidValidity,
    /// UNSEEN
    Unseen,
    /// HIGHESTMODSEQ (RFC 7162)
    HighestModSeq,
    /// SIZE (RFC 8438)
    Size,
    /// DELETED (RFC 9051)
    Deleted,
    /// MAILBOXID (RFC 8474)
    MailboxId,
    /// APPENDLIMIT (RFC 7889)
    AppendLimit,
    /// DELETED-STORAGE (RFC 9208)
    DeletedStorage,
}

impl StatusItem {
    /// Each with its word.
    pub const ALL: [(Self, &'static str); 11] = [
        (Self::Messages, "MESSAGES"),
        (Self::Recent, "RECENT"),
        (Self::UidNext, "UIDNEXT"),
        (Self::UidValidity, "UIDVALIDITY"),
        (Self::Unseen, "UNSEEN"),
        (Self::HighestModSeq, "HIGHESTMODSEQ"),
        (Self::Size, "SIZE"),
        (Self::Deleted, "DELETED"),
        (Self::MailboxId, "MAILBOXID"),
        (Self::AppendLimit, "APPENDLIMIT"),
        (Self::DeletedStorage, "DELETED-STORAGE"),
    ];
}

impl List {
    /// Each pattern, with the reference before it, is tried on every name.
    fn check_patterns(&self) -> Result<(), Bad> {
        let octets: usize = self.patterns.iter().map(|pattern| self.reference.len() + pattern.len()).sum();
        if octets > limits::IMAP_PATTERN_LEN { Err(Bad("The patterns are too long")) } else { Ok(()) }
    }
}

impl Cursor<'_> {
    /// `select = "SELECT" SP mailbox [SP "(" select-param *(SP select-param) ")"]` (RFC 4466 §2.1)
    pub(super) fn select(&mut self, read_only: bool) -> Result<Select, Bad> {
        let mut select = Select { mailbox: self.mailbox()?, read_only, condstore: false, qresync: None };
        if self.take(b' ') && self.peek() == Some(b'(') {
            self.list(|cursor| {
                match cursor.atom()?.to_ascii_uppercase().as_str() {
                    "CONDSTORE" => select.condstore = true,
                    "QRESYNC" => {
                        cursor.sp()?;
                        select.qresync = Some(cursor.qresync()?);
                    }
                    _ => return Err(Bad("There is no such SELECT parameter")),
                }
                Ok(())
            })?;
        }
        Ok(select)
    }

    /// RFC 7162 §7: `select-param =/ "QRESYNC" SP "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"`,
    /// `seq-match-data = "(" known-sequence-set SP known-uid-set ")"`
    fn qresync(&mut self) -> Result<Qresync, Bad> {
        self.expect(b'(', "A list is missing")?;
        let uid_validity = self.nz_number()?;
        self.sp()?;
        let mut qresync = Qresync { uid_validity, modseq: self.number64()?, known: None, matches: None };
        if self.take(b' ') {
            if self.peek() != Some(b'(') {
                qresync.known = Some(self.sequence_set()?);
                if self.take(b' ') {
                    qresync.matches = Some(self.seq_match_data()?);
                }
            } else {
                qresync.matches = Some(self.seq_match_data()?);
            }
        }
        self.expect(b')', "A closing parenthesis is missing")?;
        Ok(qresync)
    }

    fn seq_match_data(&mut self) -> Result<(SequenceSet, SequenceSet), Bad> {
        self.expect(b'(', "A list is missing")?;
        let numbers = self.sequence_set()?;
        self.sp()?;
        let uids = self.sequence_set()?;
        self.expect(b')', "A closing parenthesis is missing")?;
        // RFC 7162 §3.2.5.2: both ascend and have the same size; `*` is not allowed.
        if numbers.count() == uids.count() && numbers.count().is_some() {
            Ok((numbers, uids))
        } else {
            Err(Bad("The two sets don't match"))
        }
    }

    /// `create = "CREATE" SP mailbox [SP "(" "USE" SP "(" [use-attr *(SP use-attr)] ")" ")"]`
    pub(super) fn create(&mut self) -> Result<Create, Bad> {
        let mut mailbox = self.mailbox()?;
        if mailbox.ends_with('/') {
            mailbox.pop();
        }
        let mut special_use = Vec::new();
        if self.take(b' ') && self.take(b'(') {
            if !self.take_word("USE") {
                return Err(Bad("There is no such CREATE parameter"));
            }
            self.sp()?;
            special_use = self.list(|cursor| {
                cursor.expect(b'\\', "A special use begins with a backslash")?;
                Ok(format!("\\{}", cursor.atom()?))
            })?;
            self.expect(b')', "A closing parenthesis is missing")?;
        }
        Ok(Create { mailbox, special_use })
    }

    /// RFC 5258 §6: `list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]`
    pub(super) fn list_command(&mut self) -> Result<List, Bad> {
        let mut list = List::default();
        if self.peek() == Some(b'(') {
            list.extended = true;
            for option in self.list(|cursor| Ok(cursor.atom()?.to_ascii_uppercase()))? {
                match option.as_str() {
                    "SUBSCRIBED" => list.subscribed = true,
                    "RECURSIVEMATCH" => list.recursive = true,
                    "SPECIAL-USE" => list.special_use = true,
                    // RFC 5258 §3.1: there are no remote mailboxes here, so it changes nothing.
                    "REMOTE" => {}
                    _ => return Err(Bad("There is no such LIST selection option")),
                }
            }
            // RFC 5258 §3.1: RECURSIVEMATCH must stand with another option that it can act on.
            if list.recursive && !list.subscribed && !list.special_use {
                return Err(Bad("RECURSIVEMATCH needs another selection option"));
            }
            self.sp()?;
        }
        list.reference = self.list_mailbox()?;
        self.sp()?;
        if self.peek() == Some(b'(') {
            list.extended = true;
            list.patterns = self.list(Self::list_mailbox)?;
        } else {
            list.patterns = vec![self.list_mailbox()?];
        }
        list.check_patterns()?;
        if self.take(b' ') && self.take_word("RETURN") {
            list.extended = true;
            self.sp()?;
            self.list_return_options(&mut list)?;
        }
        Ok(list)
    }

    fn list_return_options(&mut self, list: &mut List) -> Result<(), Bad> {
        self.list(|cursor| {
            match cursor.atom()?.to_ascii_uppercase().as_str() {
                "SUBSCRIBED" => list.return_subscribed = true,
                // Both are always told.
                "CHILDREN" | "SPECIAL-USE" => {}
                "STATUS" => {
                    cursor.sp()?;
                    list.return_status = Some(cursor.status_items()?);
                }
                // RFC 8440 §3
                "MYRIGHTS" => list.return_rights = true,
                "METADATA" => {
                    cursor.sp()?;
                    list.return_metadata = Some(cursor.metadata_entries()?);
                }
                _ => return Err(Bad("There is no such LIST return option")),
            }
            Ok(())
        })
        .map(drop)
    }

    /// `lsub = "LSUB" SP mailbox SP list-mailbox`
    pub(super) fn lsub(&mut self) -> Result<List, Bad> {
        let reference = self.list_mailbox()?;
        self.sp()?;
        let list = List { subscribed: true, reference, patterns: vec![self.list_mailbox()?], ..List::default() };
        list.check_patterns().map(|()| list)
    }

    /// `list-mailbox = 1*list-char / string`, `list-char = ATOM-CHAR / list-wildcards / resp-specials`
    fn list_mailbox(&mut self) -> Result<String, Bad> {
        let wire = match self.peek() {
            Some(b'{' | b'"') => self.string()?.into_owned(),
            _ => self.run(|b| is_atom_char(b) || matches!(b, b'*' | b'%' | b']')).to_vec(),
        };
        self.names().read(&wire).ok_or(Bad("The pattern is not in the encoding of names"))
    }

    /// `"(" status-att *(SP status-att) ")"`
    pub(super) fn status_items(&mut self) -> Result<Vec<StatusItem>, Bad> {
        let items = self.list(|cursor| {
            let word = cursor.atom()?;
            let known = StatusItem::ALL.iter().find(|(_, name)| name.eq_ignore_ascii_case(word));
            known.map(|(item, _)| *item).ok_or(Bad("There is no such STATUS item"))
        })?;
        if items.is_empty() { Err(Bad("A STATUS item is missing")) } else { Ok(items) }
    }
}

/// Whether a pattern (reference put before it) matches a name: `*` is anything, `%` anything but `/`
/// (RFC 3501 §6.3.8). INBOX matches in any case. Takes time of pattern times name at most.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    // What stands for itself must have its place in the name.
    if pattern.iter().filter(|p| !matches!(p, b'*' | b'%')).count() > name.len() {
        return false;
    }
    let inbox = name.get(..5).is_some_and(|head| head == b"INBOX") && matches!(name.get(5), None | Some(b'/'));
    // `reached[i]`: the pattern so far matches the first i octets of the name.
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for p in pattern {
        match p {
            b'*' | b'%' => {
                for at in 1..=name.len() {
                    reached[at] |= reached[at - 1] && (*p == b'*' || name[at - 1] != b'/');
                }
            }
            p => {
                for at in (1..=name.len()).rev() {
                    let folded = inbox && at <= 5;
                    let same = name[at - 1] == *p || folded && name[at - 1].eq_ignore_ascii_case(p);
                    reached[at] = reached[at - 1] && same;
                }
                reached[0] = false;
            }
        }
    }
    reached[name.len()]
}

#[cfg(test)]
mod tests {
    use super::super::command::{Command, command};
    use super::super::mutf7::Names;
    use super::*;
    use proptest::prelude::*;

    fn list(text: &str) -> List {
        match command(format!("a {text}\r\n").as_bytes(), Names::Modified).unwrap().command.unwrap() {
            Command::List(list) | Command::Lsub(list) => list,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lists_of_clients() {
        let plain = list("LIST \"\" *");
        assert_eq!((plain.patterns.as_slice(), plain.extended), (&["*".to_owned()][..], false));
        let thunderbird = list("list (subscribed) \"\" \"*\" return (special-use)");
        assert!(thunderbird.subscribed && thunderbird.extended);
        let imapflow = list("LIST \"\" \"*\" RETURN (STATUS (MESSAGES) SPECIAL-USE CHILDREN SUBSCRIBED)");
        assert_eq!(imapflow.return_status, Some(vec![StatusItem::Messages]));
        assert!(imapflow.return_subscribed);
        let colours = list("LIST \"\" % RETURN (METADATA (\"/shared/colour\" /private/a) CHILDREN)");
        assert_eq!(colours.return_metadata.unwrap(), ["/shared/colour", "/private/a"]);
        assert_eq!(list("LIST \"\" % RETURN (METADATA /private/a)").return_metadata.unwrap(), ["/private/a"]);
        assert_eq!(list("LIST \"\" (a \"b c\")").patterns, ["a", "b c"]);
        assert_eq!(list("LIST \"\" \"\"").patterns, [""]);
        assert_eq!(list("LIST \"\" &AOQ-%").patterns, ["ä%"]);
    }

    #[test]
    fn patterns() {
        for (pattern, name, is) in [
            ("*", "a/b", true),
            ("%", "a/b", false),
            ("%", "a", true),
            ("a/%", "a/b", true),
            ("%/b", "a/b", true),
            ("inbox", "INBOX", true),
            ("inb*", "INBOX/x", true),
            ("inbox*", "INBOXES", false),
            ("", "", true),
            ("a*b*c", "axxbyyc", true),
            ("sent", "Sent", false),
            ("ä%", "äö", true),
        ] {
            assert_eq!(matches(pattern, name), is, "{pattern} {name}");
        }
    }

    #[test]
    fn patterns_are_bounded_all_together() {
        let refused = |text: String| {
            let tagged = command(format!("a {text}\r\n").as_bytes(), Names::Modified).unwrap();
            tagged.command == Err(Bad("The patterns are too long"))
        };
        let most = limits::IMAP_PATTERN_LEN;
        assert!(!refused(format!("LIST \"\" {}", "*".repeat(most))));
        assert!(refused(format!("LIST \"\" {}", "*".repeat(most + 1))));
        assert!(refused(format!("LSUB \"\" {}", "%".repeat(most + 1))));
        // A short pattern after a long reference is long, and so are many short ones.
        assert!(refused(format!("LIST {} *", "a".repeat(most))));
        assert!(!refused(format!("LIST \"\" ({})", vec!["ab"; most / 2].join(" "))));
        assert!(refused(format!("LIST \"\" ({})", vec!["ab"; most / 2 + 1].join(" "))));
        assert!(refused(format!("LIST r ({})", vec!["ab"; most / 2].join(" "))));
        // The slowest that is let through: every octet of the pattern meets every octet of the longest name.
        let slow = "*a".repeat(limits::MAILBOX_NAME_LEN) + &"*".repeat(most - 2 * limits::MAILBOX_NAME_LEN);
        assert!(!matches(&slow, &"b".repeat(limits::MAILBOX_NAME_LEN)));
        assert!(matches(&slow, &"a".repeat(limits::MAILBOX_NAME_LEN)));
    }

    proptest! {
        #[test]
        fn a_name_matches_itself_and_the_star(name in "[a-z/]{0,12}") {
            prop_assert!(matches(&name, &name));
            prop_assert!(matches("*", &name));
            prop_assert_eq!(matches("%", &name), !name.contains('/'));
        }
    }
}
