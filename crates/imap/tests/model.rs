//! Several sessions in one mailbox do what chance says. Each client's picture of the mailbox, made of untagged responses
//! alone, must never contradict itself, and must end equal to the store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use std::collections::BTreeSet;

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

/// A client that believes what it is told.
struct Believer {
    client: Client,
    messages: Vec<Known>,
    log: Vec<String>,
}

impl Believer {
    fn new(world: &World) -> Self {
        let mut client = world.connect(Settings::default());
        let _ = client.read_until(|bytes| bytes.ends_with(b"ready\r\n"));
        let mut believer = Self { client, messages: Vec::new(), log: Vec::new() };
        believer.say(&format!("LOGIN {USER} {PASSWORD}"), true);
        believer.say("SELECT INBOX", true);
        believer.say("FETCH 1:* (UID FLAGS)", false);
        believer
    }

    /// Sends a command and takes in what is said. `expunge`: removals may be told in it.
    fn say(&mut self, command: &str, expunge: bool) -> String {
        let said = self.client.command(command);
        self.log.push(format!("C: {command}\n{said}"));
        for line in said.lines() {
            self.hear(line, expunge);
        }
        let last = said.lines().last().unwrap_or_default().to_owned();
        assert!(last.starts_with("t OK") || last.starts_with("t NO"), "{}", self.story(&last));
        last
    }

    fn story(&self, what: &str) -> String {
        let last = self.log.len().saturating_sub(12);
        format!("{what}\n{}", self.log[last..].concat())
    }

    fn hear(&mut self, line: &str, expunge: bool) {
        let mut words = line.splitn(4, ' ');
        let (Some("*"), Some(n), Some(what)) = (words.next(), words.next(), words.next()) else { return };
        let Ok(n) = n.parse::<usize>() else { return };
        match what {
            "EXISTS" => {
                // RFC 3501 §7.3.1: it never shrinks without EXPUNGE.
                assert!(n >= self.messages.len(), "{}", self.story(line));
                self.messages.resize(n, Known::default());
            }
            "EXPUNGE" => {
                assert!(expunge && n >= 1 && n <= self.messages.len(), "{}", self.story(line));
                self.messages.remove(n - 1);
            }
            "FETCH" => {
                assert!(n >= 1 && n <= self.messages.len(), "{}", self.story(line));
                let rest = words.next().unwrap_or_default();
                if let Some(uid) = after(rest, "UID ").and_then(number) {
                    let known = self.messages[n - 1].uid;
                    assert!(known.is_none_or(|known| known == uid), "{}", self.story(line));
                    self.messages[n - 1].uid = Some(uid);
                }
                if let Some(flags) = after(rest, "FLAGS (") {
                    let flags = flags.split(')').next().unwrap_or_default();
                    let flags = flags.split(' ').filter(|flag| !flag.is_empty() && *flag != "\\Recent");
                    self.messages[n - 1].flags = Some(flags.map(str::to_owned).collect());
                }
            }
            _ => {}
        }
    }

    fn set(&self, random: &mut Random, uid: bool) -> Option<String> {
        if self.messages.is_empty() {
            return None;
        }
        let count = 1 + random.below(3);
        let picks = (0..count).map(|_| {
            let at = random.below(self.messages.len());
            if uid { self.messages[at].uid.unwrap_or(at as u32 + 1) as usize } else { at + 1 }
        });
        Some(picks.map(|n| n.to_string()).collect::<Vec<_>>().join(","))
    }

    fn act(&mut self, random: &mut Random) {
        let uid = random.below(2) == 0;
        let (prefix, set) = (if uid { "UID " } else { "" }, self.set(random, uid));
        let flags = ["\\Seen", "\\Deleted", "\\Flagged", "$One", "$Two"];
        let flag = flags[random.below(5)];
        let Some(set) = set else {
            return self.append();
        };
        match random.below(12) {
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
        self.client.send(b"t APPEND INBOX (\\Flagged) {14+}\r\nSubject: x\r\n\r\n\r\n").unwrap();
        let said = self.client.read_until(|bytes| String::from_utf8_lossy(bytes).contains("t OK"));
        let said = String::from_utf8(said).unwrap();
        self.log.push(format!("C: APPEND\n{said}"));
        for line in said.lines() {
            self.hear(line, true);
        }
    }
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
            let keywords = snapshot.keywords_of(row).map(|keyword| keyword.as_str().to_owned());
            Known { uid: Some(row.uid.get()), flags: Some(names.chain(keywords).collect()) }
        });
        rows.collect()
    })
}

#[test]
fn every_client_ends_with_the_stores_picture() {
    let mut seeds = Random::from_environment(0x1aa9);
    for _ in 0..12 {
        let seed = seeds.next();
        let mut random = Random::new(seed);
        let world = World::new();
        for n in 0..random.below(12) {
            world.append("INBOX", b"Subject: y\r\n\r\nbody\r\n", Timestamp::from_secs(1_793_534_400 + n as i64));
        }
        let mut clients: Vec<Believer> = (0..3).map(|_| Believer::new(&world)).collect();
        for _ in 0..60 {
            let who = random.below(3);
            clients[who].act(&mut random);
        }
        let truth = truth(&world);
        for client in &mut clients {
            client.say("NOOP", true);
            // New messages are known by their number alone until they are fetched.
            let wanted = client.messages.clone();
            for (known, truth) in wanted.iter().zip(&truth) {
                assert!(known.uid.is_none_or(|uid| Some(uid) == truth.uid), "seed {seed}: {}", client.story("uid"));
                let flags = known.flags.as_ref().is_none_or(|flags| Some(flags) == truth.flags.as_ref());
                assert!(flags, "seed {seed}: {known:?} is {truth:?} {}", client.story("flags"));
            }
            assert_eq!(client.messages.len(), truth.len(), "seed {seed}: {}", client.story("count"));
            client.say("FETCH 1:* (UID FLAGS)", false);
            assert_eq!(client.messages, truth, "seed {seed}");
        }
    }
}
