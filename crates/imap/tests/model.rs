//! Several sessions in one mailbox do what chance says. Each client's picture of the mailbox, made of untagged responses
//! alone, must never contradict itself, and must end equal to the store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use std::collections::{BTreeMap, BTreeSet};

use mail::Timestamp;
use testkit::random::Random;
use testkit::transcript::Subject;
use world::{Client, PASSWORD, RUNTIME, Settings, USER, World};

/// What a client knows of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    uid: Option<u32>,
    flags: Option<BTreeSet<String>>,
}

/// How a client keeps its picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// By message numbers, EXPUNGE.
    Numbers,
    /// QRESYNC: VANISHED; goes away now and then and comes back with what it knows.
    Resync,
    /// UIDONLY: no message numbers at all.
    UidOnly,
}

/// A client that believes what it is told.
struct Believer {
    client: Client,
    kind: Kind,
    messages: Vec<Known>,
    uid_validity: u32,
    /// Up to which change it was told all, by the rules of RFC 7162; of the moment when it knew every message.
    modseq: u64,
    safe: (u64, Vec<Known>),
    /// The highest MODSEQ of the responses to the command under way.
    pending: u64,
    log: Vec<String>,
}

impl Believer {
    fn new(world: &World, kind: Kind) -> Self {
        let mut believer = Self {
            client: connected(world),
            kind,
            messages: Vec::new(),
            uid_validity: 0,
            modseq: 0,
            safe: (0, Vec::new()),
            pending: 0,
            log: Vec::new(),
        };
        believer.begin();
        believer.say("SELECT INBOX", true);
        believer.look();
        believer
    }

    fn begin(&mut self) {
        self.say(&format!("LOGIN {USER} {PASSWORD}"), true);
        match self.kind {
            Kind::Numbers => {}
            Kind::Resync => drop(self.say("ENABLE QRESYNC", true)),
            Kind::UidOnly => drop(self.say("ENABLE UIDONLY", true)),
        }
    }

    fn look(&mut self) {
        let command = if self.kind == Kind::UidOnly { "UID FETCH 1:* (FLAGS)" } else { "FETCH 1:* (UID FLAGS)" };
        self.say(command, self.kind == Kind::UidOnly);
    }

    /// Sends a command and takes in what is said. `expunge`: removals may be told in it.
    fn say(&mut self, command: &str, expunge: bool) -> String {
        let said = self.client.command(command);
        self.take_in(command, &said, expunge)
    }

    fn take_in(&mut self, command: &str, said: &str, expunge: bool) -> String {
        self.log.push(format!("C: {command}\n{said}"));
        self.pending = self.modseq;
        for line in said.lines() {
            self.hear(line, expunge);
        }
        let last = said.lines().last().unwrap_or_default().to_owned();
        assert!(last.starts_with("t OK") || last.starts_with("t NO"), "{}", self.story(&last));
        // RFC 7162 §3.2.10: the code says more exactly how far the client is than the responses do.
        let code = after(&last, "[HIGHESTMODSEQ ").and_then(number);
        self.modseq = code.map_or(self.pending, u64::from);
        if self.messages.iter().all(|known| known.uid.is_some() && known.flags.is_some()) {
            self.safe = (self.modseq, self.messages.clone());
        }
        last
    }

    fn story(&self, what: &str) -> String {
        let last = self.log.len().saturating_sub(12);
        format!("{:?}: {what}\n{}", self.kind, self.log[last..].concat())
    }

    fn hear(&mut self, line: &str, expunge: bool) {
        for (word, value) in [("[UIDVALIDITY ", true), ("[HIGHESTMODSEQ ", false)] {
            if let Some(n) = line.strip_prefix("* OK ").and_then(|line| line.strip_prefix(word)).and_then(number) {
                if value { self.uid_validity = n } else { self.pending = n.into() }
            }
        }
        if let Some(set) = line.strip_prefix("* VANISHED ") {
            let earlier = set.strip_prefix("(EARLIER) ");
            assert!(self.kind != Kind::Numbers && (expunge || earlier.is_some()), "{}", self.story(line));
            return members(earlier.unwrap_or(set)).for_each(|uid| self.vanished(uid, earlier.is_some(), line));
        }
        let mut words = line.splitn(4, ' ');
        let (Some("*"), Some(n), Some(what)) = (words.next(), words.next(), words.next()) else { return };
        let Ok(n) = n.parse::<usize>() else { return };
        let rest = words.next().unwrap_or_default();
        match what {
            "EXISTS" => {
                // RFC 3501 §7.3.1: it never shrinks without EXPUNGE.
                assert!(n >= self.messages.len(), "{}", self.story(line));
                self.messages.resize(n, Known::default());
            }
            "EXPUNGE" => {
                let allowed = expunge && self.kind == Kind::Numbers && n >= 1 && n <= self.messages.len();
                assert!(allowed, "{}", self.story(line));
                self.messages.remove(n - 1);
            }
            "FETCH" => {
                assert!(self.kind != Kind::UidOnly && n >= 1 && n <= self.messages.len(), "{}", self.story(line));
                if let Some(uid) = after(rest, "UID ").and_then(number) {
                    let known = self.messages[n - 1].uid;
                    assert!(known.is_none_or(|known| known == uid), "{}", self.story(line));
                    self.messages[n - 1].uid = Some(uid);
                }
                self.flags(n - 1, rest);
            }
            "UIDFETCH" => {
                assert!(self.kind == Kind::UidOnly, "{}", self.story(line));
                let at = self.place(n as u32).unwrap_or_else(|| panic!("{}", self.story(line)));
                self.messages[at].uid = Some(n as u32);
                self.flags(at, rest);
            }
            _ => {}
        }
    }

    fn flags(&mut self, at: usize, rest: &str) {
        if let Some(modseq) = after(rest, "MODSEQ (").and_then(number) {
            self.pending = self.pending.max(modseq.into());
        }
        if let Some(flags) = after(rest, "FLAGS (") {
            let flags = flags.split(')').next().unwrap_or_default();
            let flags = flags.split(' ').filter(|flag| !flag.is_empty() && *flag != "\\Recent");
            self.messages[at].flags = Some(flags.map(str::to_owned).collect());
        }
    }

    /// Where there are no numbers, the order is that of UIDs.
    fn put_in_order(&mut self) {
        if self.kind == Kind::UidOnly {
            self.messages.sort_by_key(|known| known.uid.unwrap_or(u32::MAX));
        }
    }

    /// Where a message with this UID is, or one whose UID is not known and may be this.
    fn place(&self, uid: u32) -> Option<usize> {
        if let Some(at) = self.messages.iter().position(|known| known.uid == Some(uid)) {
            return Some(at);
        }
        // Without numbers there is no order among those that are not known.
        if self.kind == Kind::UidOnly {
            return self.messages.iter().position(|known| known.uid.is_none());
        }
        let below = self.messages.iter().rposition(|known| known.uid.is_some_and(|known| known < uid));
        let at = below.map_or(0, |at| at + 1);
        self.messages.get(at).is_some_and(|known| known.uid.is_none()).then_some(at)
    }

    fn vanished(&mut self, uid: u32, earlier: bool, line: &str) {
        if earlier {
            return self.messages.retain(|known| known.uid != Some(uid));
        }
        let at = self.place(uid).unwrap_or_else(|| panic!("{}", self.story(line)));
        self.messages.remove(at);
    }

    /// Goes away without a word and comes back with what it knew when it last knew all; then it knows all again.
    fn come_back(&mut self, world: &World, random: &mut Random) {
        let (modseq, known) = self.safe.clone();
        let all: BTreeSet<u32> = known.iter().filter_map(|known| known.uid).collect();
        let set = all.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let known_uids = if random.below(2) == 0 || set.is_empty() { String::new() } else { format!(" {set}") };
        self.client = connected(world);
        self.begin();
        let command = format!("SELECT INBOX (QRESYNC ({} {modseq}{known_uids}))", self.uid_validity);
        let said = self.client.command(&command);
        self.log.push(format!("C: {command}\n{said}"));
        let mut picture: BTreeMap<u32, Known> =
            known.into_iter().filter_map(|known| Some((known.uid?, known))).collect();
        for line in said.lines() {
            if let Some(set) = line.strip_prefix("* VANISHED (EARLIER) ") {
                members(set).for_each(|uid| drop(picture.remove(&uid)));
            }
            if let (Some(uid), true) = (after(line, "UID ").and_then(number), line.contains(" FETCH (")) {
                let flags = after(line, "FLAGS (").and_then(|flags| flags.split(')').next()).unwrap_or_default();
                let flags = flags.split(' ').filter(|flag| !flag.is_empty() && *flag != "\\Recent");
                let flags = Some(flags.map(str::to_owned).collect());
                picture.insert(uid, Known { uid: Some(uid), flags });
            }
        }
        let mut truth = truth(world);
        if !known_uids.is_empty() {
            // It asked only about what it knew.
            truth.retain(|known| known.uid.is_some_and(|uid| all.contains(&uid)));
        }
        let story = self.story("resynchronised");
        assert_eq!(picture.into_values().collect::<Vec<_>>(), truth, "{story}");
        self.messages.clear();
        self.take_in(&command, &said, true);
        self.look();
    }

    fn set(&self, random: &mut Random, uid: bool) -> Option<String> {
        let known = (1..).zip(&self.messages).filter_map(|(n, known)| if uid { known.uid } else { Some(n) });
        let known: Vec<u32> = known.collect();
        if known.is_empty() {
            return None;
        }
        let count = 1 + random.below(3);
        let picks = (0..count).map(|_| known[random.below(known.len())]);
        Some(picks.map(|n| n.to_string()).collect::<Vec<_>>().join(","))
    }

    fn act(&mut self, world: &World, random: &mut Random) {
        let uid = random.below(2) == 0 || self.kind == Kind::UidOnly;
        let (prefix, set) = (if uid { "UID " } else { "" }, self.set(random, uid));
        let flags = ["\\Seen", "\\Deleted", "\\Flagged", "$One", "$Two"];
        let flag = flags[random.below(5)];
        let Some(set) = set else {
            return self.append();
        };
        match random.below(15) {
            0..=3 => {
                let form = ["+FLAGS", "-FLAGS", "FLAGS", "+FLAGS.SILENT", "-FLAGS.SILENT"][random.below(5)];
                let silent = form.ends_with("SILENT");
                let before = self.messages.clone();
                let last = self.say(&format!("{prefix}STORE {set} {form} ({flag})"), uid);
                if silent && last.starts_with("t OK") {
                    self.assume(&before, &set, uid, form, flag);
                }
            }
            4 => drop(self.say("EXPUNGE", true)),
            5 => drop(self.say(&format!("UID EXPUNGE {set}"), true)),
            6 => drop(self.say(&format!("{prefix}COPY {set} INBOX"), true)),
            7 => drop(self.say(&format!("{prefix}MOVE {set} Archive"), true)),
            8 => drop(self.say(&format!("{prefix}FETCH {set} (UID FLAGS BODY[])"), uid)),
            9 => drop(self.say(&format!("{prefix}SEARCH DELETED"), uid)),
            10 => drop(self.say("NOOP", true)),
            11 => self.replace(random, uid),
            12 if self.kind == Kind::Resync => self.come_back(world, random),
            13 => self.look(),
            _ => self.append(),
        }
    }

    /// After a silent STORE a client works out the flags by itself, unless it is told others.
    fn assume(&mut self, before: &[Known], set: &str, uid: bool, form: &str, flag: &str) {
        for n in set.split(',').collect::<BTreeSet<_>>() {
            let n: u32 = n.parse().unwrap();
            // By UID, since removals may have been told meanwhile.
            let uid = if uid { Some(n) } else { before.get(n as usize - 1).and_then(|known| known.uid) };
            let old = before.iter().find(|known| known.uid.is_some() && known.uid == uid);
            let Some(known) = self.messages.iter_mut().find(|known| known.uid.is_some() && known.uid == uid) else {
                continue;
            };
            // Told something in the answer: that is how it is.
            if old.is_some_and(|old| old.flags != known.flags) {
                continue;
            }
            if let Some(flags) = &mut known.flags {
                if form.starts_with('+') {
                    flags.insert(flag.to_owned());
                } else {
                    flags.remove(flag);
                }
            }
        }
    }

    fn append(&mut self) {
        self.send_message("APPEND INBOX (\\Flagged)");
    }

    fn replace(&mut self, random: &mut Random, uid: bool) {
        let Some(set) = self.set(random, uid) else { return };
        let one = set.split(',').next().unwrap_or_default().to_owned();
        let to = ["INBOX", "Archive"][random.below(2)];
        self.send_message(&format!("{}REPLACE {one} {to} (\\Draft)", if uid { "UID " } else { "" }));
    }

    fn send_message(&mut self, command: &str) {
        self.client.send(format!("t {command} {{14+}}\r\nSubject: x\r\n\r\n\r\n").as_bytes()).unwrap();
        let is_end = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.ends_with("\r\n") && text.lines().last().is_some_and(|line| line.starts_with("t "))
        };
        let said = String::from_utf8(self.client.read_until(is_end)).unwrap();
        self.take_in(command, &said, true);
    }
}

fn connected(world: &World) -> Client {
    let mut client = world.connect(Settings::default());
    let _ = client.read_until(|bytes| bytes.ends_with(b"ready\r\n"));
    client
}

/// The numbers of `1:3,5`.
fn members(set: &str) -> impl Iterator<Item = u32> {
    set.trim().split(',').flat_map(|range| {
        let (from, to) = range.split_once(':').unwrap_or((range, range));
        from.parse::<u32>().unwrap()..=to.parse().unwrap()
    })
}

fn after<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    text.find(word).map(|at| &text[at + word.len()..])
}

fn number(text: &str) -> Option<u32> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn truth(world: &World) -> Vec<Known> {
    RUNTIME.block_on(async {
        use store::Store;
        let id = world.store.mailbox(world.account, "INBOX").await.unwrap().unwrap();
        let snapshot = world.store.watch(id).await.unwrap().newest().unwrap();
        let rows = snapshot.iter().map(|row| {
            let names = row.flags.names().map(str::to_owned);
            let keywords = snapshot.keywords_of(&row).map(|keyword| keyword.as_str().to_owned());
            Known { uid: Some(row.uid.get()), flags: Some(names.chain(keywords).collect()) }
        });
        rows.collect()
    })
}

#[test]
fn every_client_ends_with_the_stores_picture() {
    let mut seeds = Random::from_environment(0x1aa9);
    let rounds = if std::env::var_os("POSTRIDER_LONG").is_some() { 400 } else { 24 };
    for _ in 0..rounds {
        let seed = seeds.next();
        let mut random = Random::new(seed);
        let world = World::new();
        for n in 0..random.below(12) {
            world.append("INBOX", b"Subject: y\r\n\r\nbody\r\n", Timestamp::from_secs(1_793_534_400 + n as i64));
        }
        let kinds = [Kind::Numbers, Kind::Resync, Kind::UidOnly, Kind::Resync];
        let mut clients: Vec<Believer> = kinds.into_iter().map(|kind| Believer::new(&world, kind)).collect();
        for _ in 0..100 {
            let who = random.below(clients.len());
            clients[who].act(&world, &mut random);
        }
        let truth = truth(&world);
        for client in &mut clients {
            client.say("NOOP", true);
            // New messages are known by their number alone until they are fetched.
            client.put_in_order();
            let wanted = client.messages.clone();
            for (at, known) in wanted.iter().enumerate() {
                let by_uid = |truth: &&Known| truth.uid == known.uid;
                let there = if client.kind == Kind::UidOnly { truth.iter().find(by_uid) } else { truth.get(at) };
                let Some(truth) = there else { continue };
                assert!(known.uid.is_none_or(|uid| Some(uid) == truth.uid), "seed {seed}: {}", client.story("uid"));
                let flags = known.flags.as_ref().is_none_or(|flags| Some(flags) == truth.flags.as_ref());
                assert!(flags, "seed {seed}: {known:?} is {truth:?} {}", client.story("flags"));
            }
            assert_eq!(client.messages.len(), truth.len(), "seed {seed}: {}", client.story("count"));
            client.look();
            client.put_in_order();
            assert_eq!(client.messages, truth, "seed {seed}");
        }
    }
}
