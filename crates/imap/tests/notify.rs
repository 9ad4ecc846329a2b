//! NOTIFY (RFC 5465) against a naive model: which session is told what of what others do, and whether at once or with its
//! next command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod naive;
mod world;

use std::collections::BTreeSet;

use naive::{Account, Event, Events, Group, Message, parents};
use testkit::random::Random;
use testkit::transcript::{Enough, Subject};
use world::{Client, PASSWORD, Settings, USER, World};

const FLAGS: [&str; 3] = ["\\Flagged", "\\Answered", "\\Draft"];
const NAMES: [&str; 8] = ["INBOX", "Archive", "a", "a/b", "a/b/c", "d", "d/e", "Sent"];

/// What of the selected mailbox is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wish {
    messages: bool,
    flags: bool,
    at_once: bool,
    removals: bool,
    items: &'static str,
}

const USUAL: Wish = Wish { messages: true, flags: true, at_once: false, removals: false, items: "" };
const NOTHING: Wish = Wish { messages: false, flags: false, ..USUAL };

/// What a session knows of its mailbox: UIDs, and which version of each it was told.
struct View {
    id: u32,
    known: Vec<(u32, u32)>,
    next: u32,
}

/// A session that listens.
struct Ear {
    client: Client,
    qresync: bool,
    wish: Wish,
    groups: Vec<Group>,
    view: Option<View>,
    idle: bool,
    /// A command was begun: nothing is told before it ends. What was heard of when it began, and what happened since.
    half: Option<(BTreeSet<u32>, Vec<Event>)>,
    /// What was told and not looked at yet.
    heard: Vec<String>,
    log: Vec<String>,
}

/// Answers: a literal belongs to its line, MODSEQs are not known here, and RECENT is told of elsewhere.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut left = text;
    while let Some((line, rest)) = left.split_once("\r\n") {
        left = rest;
        let mut line = line.to_owned();
        if let Some(count) =
            line.strip_suffix('}').and_then(|line| line.rsplit_once('{')).and_then(|(_, n)| n.parse().ok())
        {
            let (literal, rest): (&str, &str) = left.split_at_checked(count).unwrap_or((left, ""));
            let (end, rest) = rest.split_once("\r\n").unwrap_or((rest, ""));
            line.push_str(&format!("{literal}{end}"));
            left = rest;
        }
        for (word, end) in [("HIGHESTMODSEQ ", ')'), ("MODSEQ (", ')')] {
            if let Some((head, tail)) = line.split_once(word) {
                let tail = tail.trim_start_matches(|c: char| c.is_ascii_digit());
                line = if word.starts_with('H') {
                    format!("{head}HIGHESTMODSEQ #{tail}")
                } else {
                    format!("{head}{}", tail.trim_start_matches(end).trim_start()).replace(" )", ")")
                };
            }
        }
        if let Some((head, (flags, tail))) =
            line.split_once("FLAGS (").and_then(|(head, rest)| Some((head, rest.split_once(')')?)))
        {
            let flags: BTreeSet<&str> = flags.split(' ').filter(|flag| !["", "\\Recent"].contains(flag)).collect();
            line = format!("{head}FLAGS ({}){tail}", Vec::from_iter(flags).join(" "));
        }
        if !line.ends_with(" RECENT") {
            lines.push(line);
        }
    }
    lines
}

impl Ear {
    fn story(&self, what: &str) -> String {
        let last = self.log.len().saturating_sub(12);
        format!("{what}\n{:?} {:?}\n{}", self.wish, self.groups, self.log[last..].join("\n"))
    }

    /// Reads until a tagged answer.
    fn answer(&mut self, tag: &str) -> String {
        let tag = format!("{tag} ");
        let is_end = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.ends_with("\r\n") && text.lines().any(|line| line.starts_with(&tag))
        };
        let said = String::from_utf8(self.client.read_until(is_end)).unwrap();
        self.log.push(said.clone());
        let mut all = lines(&said);
        // What came of its own APPEND may be told after the reply.
        let last = all.remove(all.iter().position(|line| line.starts_with(&tag)).unwrap());
        self.heard.extend(all.into_iter().filter(|line| line.starts_with("* ") && !line.starts_with("* OK [HIGHEST")));
        last
    }

    fn command(&mut self, command: &str) -> String {
        self.log.push(format!("C: {command}"));
        self.client.send(format!("t {command}\r\n").as_bytes()).unwrap();
        self.answer("t")
    }

    /// Waits for so many lines without a command.
    fn wait_for(&mut self, count: usize) {
        if self.heard.len() < count {
            let missing = count - self.heard.len();
            let said = self.client.read_until(|bytes| lines(&String::from_utf8_lossy(bytes)).len() >= missing);
            let said = String::from_utf8(said).unwrap();
            self.log.push(format!("(at once) {said}"));
            self.heard.extend(lines(&said));
        }
    }

    /// What is told of the selected mailbox from now on known to be so.
    fn told(&mut self, truth: &Account, wish: Wish, removals: bool) -> Vec<String> {
        let Some(view) = &mut self.view else { return Vec::new() };
        let Some((_, mailbox)) = truth.by_id(view.id) else { return Vec::new() };
        if !wish.messages {
            return Vec::new();
        }
        let mut told = Vec::new();
        let now = |uid: u32| mailbox.messages.iter().find(|message| message.uid == uid);
        if removals {
            let gone = (1..).zip(&view.known).filter(|(_, (uid, _))| now(*uid).is_none());
            let gone: Vec<(usize, u32)> = gone.map(|(n, (uid, _))| (n, *uid)).collect();
            if self.qresync && !gone.is_empty() {
                let uids: BTreeSet<u32> = gone.iter().map(|(_, uid)| *uid).collect();
                told.push(format!("* VANISHED {}", wire::imap::SequenceSet::of(uids.into_iter())));
            } else {
                told.extend(gone.iter().rev().map(|(n, _)| format!("* {n} EXPUNGE")));
            }
            view.known.retain(|(uid, _)| now(*uid).is_some());
        }
        let fresh: Vec<&Message> = mailbox.messages.iter().filter(|message| message.uid >= view.next).collect();
        view.known.extend(fresh.iter().map(|message| (message.uid, u32::MAX)));
        view.next = mailbox.next;
        if !fresh.is_empty() {
            told.push(format!("* {} EXISTS", view.known.len()));
        }
        for (n, (uid, version)) in (1..).zip(&mut view.known) {
            let Some(message) = now(*uid) else { continue };
            let flags = message.flags.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
            if *version == u32::MAX {
                *version = message.version;
            } else if *version != message.version && wish.flags {
                *version = message.version;
                told.push(format!("* {n} FETCH (UID {uid} FLAGS ({flags}))"));
            }
        }
        for message in fresh.iter().filter(|_| !wish.items.is_empty()) {
            let n = view.known.iter().position(|(uid, _)| *uid == message.uid).unwrap() + 1;
            let flags = message.flags.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
            told.push(match wish.items {
                " (UID)" => format!("* {n} FETCH (UID {})", message.uid),
                " (FLAGS)" => format!("* {n} FETCH (UID {} FLAGS ({flags}))", message.uid),
                _ => {
                    format!("* {n} FETCH (UID {} BODY[HEADER.FIELDS (SUBJECT)] {{14}}Subject: x\r\n\r\n)", message.uid)
                }
            });
        }
        told
    }

    fn selected(&self) -> Option<u32> {
        self.view.as_ref().map(|view| view.id)
    }

    fn hears_at_once(&self) -> bool {
        self.half.is_none() && (self.idle || self.wish.at_once || !self.groups.is_empty())
    }

    /// What must be told of events elsewhere, which happened one by one.
    fn elsewhere(&self, truth: &Account, before: &BTreeSet<u32>, events: &[Event], own: bool) -> Vec<String> {
        let mut told = if own { Vec::new() } else { truth.names_told(&self.groups, events) };
        let touched = truth.touched(&self.groups, before, events, self.selected());
        let modseq = |id| self.qresync || truth.wants_flags(&self.groups, id);
        let mut status: Vec<String> = touched.into_iter().map(|id| truth.status(id, modseq(id))).collect();
        status.sort();
        told.extend(status);
        told
    }

    /// Compares; the order of several STATUS is the server's affair.
    fn compare(&mut self, expected: &[String], what: &str) {
        let is_status = |line: &String| line.starts_with("* STATUS");
        let mut heard: Vec<String> = std::mem::take(&mut self.heard);
        heard.sort_by_key(|line| {
            let place = if line.starts_with("* LIST") || line.starts_with("* METADATA") {
                0
            } else {
                1 + i32::from(!is_status(line))
            };
            (place, if is_status(line) { line.clone() } else { String::new() })
        });
        assert_eq!(heard, expected, "{}", self.story(what));
    }

    /// Something happened: it is told as it must be, and nothing else is.
    fn check(&mut self, truth: &Account, before: &BTreeSet<u32>, events: &[Event], own: bool, what: &str) {
        if let Some((_, since)) = &mut self.half {
            return since.extend_from_slice(events);
        }
        let mut expected = self.elsewhere(truth, before, events, own);
        if self.hears_at_once() {
            let (wish, idle) = (self.wish, self.idle);
            if wish.at_once || idle {
                expected.extend(self.told(truth, wish, wish.removals || idle));
            }
            if !own {
                self.wait_for(expected.len());
                self.compare(&expected, what);
                expected.clear();
            }
        }
        if self.idle {
            self.client.send(b"DONE\r\n").unwrap();
            self.answer("i");
            self.idle = false;
        } else {
            self.command("NOOP");
        }
        expected.extend(self.told(truth, self.wish, true));
        self.compare(&expected, what);
    }

    /// Ends the command that was begun. Many things happened: of each name and mailbox the last word must be right.
    fn end_half(&mut self, truth: &Account) {
        let Some((before, events)) = self.half.take() else { return };
        self.log.push("C: (ends NOOP)".into());
        self.client.send(b"OP\r\n").unwrap();
        self.answer("h");
        let (elsewhere, here): (Vec<String>, Vec<String>) = std::mem::take(&mut self.heard)
            .into_iter()
            .partition(|line| ["* LIST", "* METADATA", "* STATUS"].iter().any(|word| line.starts_with(word)));
        let expected = self.told(truth, self.wish, true);
        assert_eq!(here, expected, "{}", self.story("after a while"));
        for must in self.elsewhere(truth, &before, &events, false) {
            assert!(elsewhere.contains(&must), "{must}\n{}", self.story("after a while"));
        }
        for line in elsewhere.iter().filter(|line| line.starts_with("* STATUS")) {
            let is_true = truth
                .mailboxes
                .values()
                .any(|mailbox| [false, true].iter().any(|modseq| truth.status(mailbox.id, *modseq) == *line));
            assert!(is_true, "{line}\n{}", self.story("a STATUS that is not so"));
        }
    }

    fn notify(&mut self, truth: &Account, random: &mut Random) {
        if random.below(8) == 0 {
            (self.wish, self.groups) = (NOTHING, Vec::new());
            self.command("NOTIFY NONE");
            return self.compare(&[], "NOTIFY NONE");
        }
        let status = random.below(2) == 0;
        let mut text = format!("NOTIFY SET{}", if status { " STATUS" } else { "" });
        self.wish = NOTHING;
        if random.below(3) > 0 {
            let removals = random.below(2) == 0;
            let items = ["", " (UID)", " (FLAGS)", " (BODY.PEEK[HEADER.FIELDS (SUBJECT)])"][random.below(4)];
            let flags = random.below(2) == 0;
            self.wish = Wish { messages: true, flags, at_once: true, removals, items };
            let events = match random.below(5) {
                0 => {
                    self.wish = Wish { at_once: true, ..NOTHING };
                    "NONE".to_owned()
                }
                _ => format!("(MessageNew{items} MessageExpunge{})", if flags { " FlagChange" } else { "" }),
            };
            text.push_str(&format!(" ({} {events})", if removals { "selected" } else { "selected-delayed" }));
        }
        self.groups.clear();
        for _ in 0..random.below(4) + usize::from(text.len() < 20) {
            let which = [
                "inboxes",
                "personal",
                "subscribed",
                "mailboxes (a/b d/e)",
                "mailboxes INBOX",
                "subtree a",
                "subtree (d Sent)",
            ];
            let any = |random: &mut Random| random.below(2) == 0;
            let messages = any(random);
            let events = Events {
                messages,
                flags: messages && any(random),
                names: any(random),
                subscriptions: any(random),
                mailbox_metadata: any(random),
                server_metadata: any(random),
            };
            let words = [
                (events.messages, "MessageNew MessageExpunge"),
                (events.flags, "FlagChange"),
                (events.names, "MailboxName"),
                (events.subscriptions, "SubscriptionChange"),
                (events.mailbox_metadata, "MailboxMetadataChange"),
                (events.server_metadata, "ServerMetadataChange"),
            ];
            let words: Vec<&str> = words.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect();
            let which = which[random.below(which.len())];
            let words = if words.is_empty() { "NONE".into() } else { format!("({})", words.join(" ")) };
            text.push_str(&format!(" ({which} {words})"));
            self.groups.push(Group { which: which.into(), events });
        }
        let said = self.command(&text);
        assert!(said.starts_with("t OK"), "{text}: {said}");
        let mut expected = Vec::new();
        if status {
            let watched = truth.watched(&self.groups).into_iter().filter(|id| self.selected() != Some(*id));
            let modseq = |id| self.qresync || truth.wants_flags(&self.groups, id);
            expected.extend(watched.map(|id| truth.status(id, modseq(id))));
            expected.sort();
        }
        // RFC 5465 §3.1: as NOOP.
        expected.extend(self.told(truth, Wish { messages: true, flags: true, ..self.wish }, true));
        self.compare(&expected, "NOTIFY SET");
    }

    fn select(&mut self, truth: &Account, random: &mut Random) {
        if self.view.is_some() && random.below(3) == 0 {
            self.command("UNSELECT");
            self.view = None;
            return self.compare(&[], "UNSELECT");
        }
        let all: Vec<&String> = truth.mailboxes.keys().collect();
        let name = all[random.below(all.len())];
        let verb = ["SELECT", "EXAMINE"][random.below(2)];
        self.command(&format!("{verb} {name}"));
        self.heard.clear();
        let mailbox = &truth.mailboxes[name];
        let known = mailbox.messages.iter().map(|message| (message.uid, message.version)).collect();
        self.view = Some(View { id: mailbox.id, known, next: mailbox.next });
    }
}

/// All sessions of one account: one that does what chance says, and those that listen and do some of it.
struct Play {
    truth: Account,
    hand: Client,
    ears: Vec<Ear>,
    notes: u32,
}

fn connected(world: &World) -> Client {
    let mut client = world.connect(Settings::default());
    let _ = client.read_until(|bytes| bytes.ends_with(b"ready\r\n"));
    assert!(client.command(&format!("LOGIN {USER} {PASSWORD}")).contains("t OK"));
    client
}

impl Play {
    fn new(world: &World) -> Self {
        let mut play = Self { truth: Account::default(), hand: connected(world), ears: Vec::new(), notes: 0 };
        for line in play.hand.command("LIST \"\" * RETURN (SUBSCRIBED SPECIAL-USE)").lines() {
            let Some((attributes, name)) = line.split_once(" \"/\" ") else { continue };
            let special = ["\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash"];
            let special = special.into_iter().find(|word| attributes.contains(word));
            play.add(name, special);
            if attributes.contains("\\Subscribed") {
                play.truth.subscribed.insert(name.to_owned());
            }
        }
        for qresync in [false, true, false] {
            let mut client = connected(world);
            if qresync {
                client.command("ENABLE QRESYNC");
            }
            let (groups, heard, log) = (Vec::new(), Vec::new(), Vec::new());
            play.ears.push(Ear {
                client,
                qresync,
                wish: USUAL,
                groups,
                view: None,
                idle: false,
                half: None,
                heard,
                log,
            });
        }
        play
    }

    fn add(&mut self, name: &str, special_use: Option<&'static str>) {
        let said = self.hand.command(&format!("STATUS {name} (UIDVALIDITY)"));
        let validity = said.split("UIDVALIDITY ").nth(1).and_then(|rest| rest.split(')').next()).unwrap();
        self.truth.add(name, special_use, validity.parse().unwrap());
    }

    /// What a command does; the model is brought up to date after it.
    fn change(&mut self, who: Option<usize>, command: &str) -> String {
        match who {
            Some(who) => self.ears[who].command(command),
            None => self.hand.command(command).lines().last().unwrap().to_owned(),
        }
    }

    fn make(&mut self, name: &str) -> Vec<Event> {
        let mut made: Vec<String> = parents(name).map(str::to_owned).collect();
        made.push(name.to_owned());
        made.retain(|name| !self.truth.mailboxes.contains_key(name));
        made.iter().for_each(|name| self.add(name, None));
        made.into_iter().map(Event::Created).collect()
    }

    /// Names, subscriptions, annotations: any session may do it.
    fn of_names(&mut self, who: Option<usize>, random: &mut Random) -> Vec<Event> {
        let (name, other) = (NAMES[random.below(8)], NAMES[2 + random.below(5)]);
        let exists = self.truth.mailboxes.contains_key(name);
        match random.below(5) {
            0 if !exists => {
                assert!(self.change(who, &format!("CREATE {name}")).starts_with("t OK"));
                self.make(name)
            }
            1 if exists && name != "INBOX" && !self.is_selected(name) => {
                assert!(self.change(who, &format!("DELETE {name}")).starts_with("t OK"));
                self.truth.mailboxes.remove(name);
                vec![Event::Deleted(name.into())]
            }
            2 => self.rename(who, name, other),
            3 => {
                let on = random.below(2) == 0;
                self.change(who, &format!("{} {name}", if on { "SUBSCRIBE" } else { "UNSUBSCRIBE" }));
                let names = &mut self.truth.subscribed;
                let changed = if on { names.insert(name.into()) } else { names.remove(name) };
                if changed { vec![Event::Subscribed(name.into())] } else { Vec::new() }
            }
            _ => {
                let name = if random.below(3) == 0 || !exists { "" } else { name };
                self.notes += 1;
                let said = self.change(who, &format!("SETMETADATA \"{name}\" (/private/comment \"{}\")", self.notes));
                assert!(said.starts_with("t OK"), "{said}");
                vec![Event::Annotated(name.into(), "/private/comment".into())]
            }
        }
    }

    fn is_selected(&self, name: &str) -> bool {
        let id = self.truth.mailboxes.get(name).map(|mailbox| mailbox.id);
        id.is_some() && self.ears.iter().any(|ear| ear.selected() == id)
    }

    fn rename(&mut self, who: Option<usize>, from: &str, to: &str) -> Vec<Event> {
        let below = format!("{from}/");
        let moves: Vec<String> =
            self.truth.mailboxes.keys().filter(|name| *name == from || name.starts_with(&below)).cloned().collect();
        let said = self.change(who, &format!("RENAME {from} {to}"));
        if !said.starts_with("t OK") {
            return Vec::new();
        }
        if from == "INBOX" {
            let events = self.make(to);
            let inbox = self.truth.mailboxes.get_mut("INBOX").unwrap();
            let (id, moved) = (inbox.id, std::mem::take(&mut inbox.messages));
            let new = self.truth.mailboxes.get_mut(to).unwrap();
            let is_moved = !moved.is_empty();
            for mut message in moved {
                message.uid = new.next;
                new.next += 1;
                new.messages.push(message);
            }
            let came = [Event::Messages(id), Event::Messages(new.id)].into_iter().filter(|_| is_moved);
            return events.into_iter().chain(came).collect();
        }
        let taken: Vec<_> =
            moves.iter().map(|name| (name.clone(), self.truth.mailboxes.remove(name).unwrap())).collect();
        let mut events = match to.rsplit_once('/') {
            Some((above, _)) => self.make(above),
            None => Vec::new(),
        };
        for (name, mailbox) in taken {
            self.truth.mailboxes.insert(format!("{to}{}", &name[from.len()..]), mailbox);
        }
        events.push(Event::Renamed(from.into(), to.into()));
        events
    }

    /// Messages: the hand alone, which hears of nothing itself.
    fn of_messages(&mut self, random: &mut Random) -> Vec<Event> {
        let names: Vec<String> = self.truth.mailboxes.keys().cloned().collect();
        let name = &names[random.below(names.len())];
        let count = self.truth.mailboxes[name].messages.len();
        if count == 0 || random.below(3) == 0 {
            return self.append(None, name);
        }
        self.hand.command(&format!("SELECT {name}"));
        let at = random.below(count);
        let mailbox = self.truth.mailboxes.get_mut(name).unwrap();
        let (id, uid) = (mailbox.id, mailbox.messages[at].uid);
        match random.below(4) {
            0 | 1 => {
                let (flag, add) = (FLAGS[random.below(3)], random.below(3) > 0);
                let message = &mut mailbox.messages[at];
                let changed = if add { message.flags.insert(flag.into()) } else { message.flags.remove(flag) };
                message.version += u32::from(changed);
                self.hand.command(&format!("UID STORE {uid} {}FLAGS.SILENT ({flag})", if add { '+' } else { '-' }));
                if changed { vec![Event::Flags(id)] } else { Vec::new() }
            }
            2 => {
                let moved = mailbox.messages.remove(at);
                let to = self.truth.mailboxes.values_mut().find(|mailbox| mailbox.id != id).unwrap();
                let target = to.id;
                to.messages.push(Message { uid: to.next, flags: moved.flags, version: 0 });
                to.next += 1;
                let name = self.truth.by_id(target).unwrap().0.clone();
                assert!(self.hand.command(&format!("UID MOVE {uid} {name}")).contains("COPYUID"));
                vec![Event::Messages(id), Event::Messages(target)]
            }
            _ => {
                let copy = Message { uid: mailbox.next, flags: mailbox.messages[at].flags.clone(), version: 0 };
                mailbox.messages.push(copy);
                mailbox.next += 1;
                assert!(self.hand.command(&format!("UID COPY {uid} {name}")).contains("COPYUID"));
                vec![Event::Messages(id)]
            }
        }
    }

    fn append(&mut self, who: Option<usize>, name: &str) -> Vec<Event> {
        let command = format!("APPEND {name} {{14+}}\r\nSubject: x\r\n\r\n");
        assert!(self.change(who, &command).starts_with("t OK"));
        let mailbox = self.truth.mailboxes.get_mut(name).unwrap();
        mailbox.messages.push(Message { uid: mailbox.next, ..Message::default() });
        mailbox.next += 1;
        vec![Event::Messages(mailbox.id)]
    }

    fn step(&mut self, random: &mut Random, seed: u64) {
        for ear in &mut self.ears {
            match random.below(12) {
                0 | 1 if ear.half.is_none() => ear.notify(&self.truth, random),
                2 if ear.half.is_none() => ear.select(&self.truth, random),
                3 if ear.half.is_none() => {
                    ear.client.send(b"i IDLE\r\n").unwrap();
                    let _ = ear.client.read_until(|bytes| bytes.starts_with(b"+ ") && bytes.ends_with(b"\r\n"));
                    ear.idle = true;
                    ear.log.push("C: IDLE".into());
                }
                4 if ear.half.is_none() => {
                    ear.client.send(b"h NO").unwrap();
                    let said = ear.client.receive(&mut |_: &[u8]| Enough::IfQuiet).unwrap();
                    assert!(said.bytes.is_empty());
                    ear.half = Some((self.truth.watched(&ear.groups), Vec::new()));
                    ear.log.push("C: (begins NOOP)".into());
                }
                5 | 6 => ear.end_half(&self.truth),
                _ => {}
            }
        }
        let before: Vec<BTreeSet<u32>> = self.ears.iter().map(|ear| self.truth.watched(&ear.groups)).collect();
        let who =
            Some(random.below(8)).filter(|who| self.ears.get(*who).is_some_and(|ear| !ear.idle && ear.half.is_none()));
        let events = match random.below(5) {
            0 | 1 => self.of_names(who, random),
            2 if who.is_some_and(|who| self.ears[who].selected().is_none()) => self.append(who, "INBOX"),
            _ => {
                let events = self.of_messages(random);
                self.hand.command("UNSELECT");
                self.everybody(None, &before, &events, seed);
                return;
            }
        };
        self.everybody(who, &before, &events, seed);
    }

    fn everybody(&mut self, who: Option<usize>, before: &[BTreeSet<u32>], events: &[Event], seed: u64) {
        for (at, ear) in self.ears.iter_mut().enumerate() {
            let what = format!("seed {seed}: ear {at} after {events:?} by {who:?}");
            ear.check(&self.truth, &before[at], events, who == Some(at), &what);
        }
    }
}

#[test]
fn each_is_told_what_it_asked_for() {
    let mut seeds = Random::from_environment(0x5465);
    let rounds = if std::env::var_os("POSTRIDER_LONG").is_some() { 200 } else { 12 };
    for _ in 0..rounds {
        let seed = seeds.next();
        let mut random = Random::new(seed);
        let world = World::new();
        let mut play = Play::new(&world);
        for _ in 0..60 {
            play.step(&mut random, seed);
        }
        let truth = &play.truth;
        play.ears.iter_mut().for_each(|ear| ear.end_half(truth));
    }
}
