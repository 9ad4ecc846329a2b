//! CONTEXT (RFC 5267) against a naive model: a client that puts in and takes out what ADDTO and REMOVEFROM say has, at any
//! time, what the same SEARCH or SORT finds anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use std::sync::atomic::Ordering;

use mail::{Timestamp, limits};
use testkit::random::Random;
use testkit::transcript::Subject;
use world::{Client, PASSWORD, Settings, USER, World};

/// Searches that are kept current: with UIDs, with numbers. Message numbers within keys are tried in a dialogue.
const BY_UID: [&str; 10] = [
    "UID SEARCH RETURN (%) UNSEEN",
    "UID SEARCH RETURN (%) OR FLAGGED KEYWORD $Later",
    "UID SEARCH RETURN (%) BODY odd NOT DELETED",
    "UID SEARCH RETURN (%) UID 12:*",
    "UID SEARCH RETURN (%) OLDER 5000",
    "UID SEARCH RETURN (%) CHARSET US-ASCII SUBJECT c RECENT",
    "UID SORT RETURN (%) (SUBJECT REVERSE ARRIVAL) UTF-8 UNDELETED",
    "UID SORT RETURN (%) (REVERSE SIZE) UTF-8 UNSEEN YOUNGER 7000",
    "UID SORT RETURN (%) (RELEVANCY FROM) UTF-8 FUZZY BODY \"odd words\"",
    "ESEARCH RETURN (%) ANSWERED",
];
const BY_NUMBER: [&str; 3] =
    ["SEARCH RETURN (%) UNDELETED", "SORT RETURN (%) (REVERSE SUBJECT) UTF-8 UNSEEN", "SEARCH RETURN (%) MODSEQ 12"];

struct Follower {
    client: Client,
    uidonly: bool,
    searches: Vec<(String, &'static str, Vec<u32>)>,
    log: Vec<String>,
}

fn connected(world: &World) -> Client {
    let mut client = world.connect(Settings::default());
    let _ = client.read_until(|bytes| bytes.ends_with(b"ready\r\n"));
    assert!(client.command(&format!("LOGIN {USER} {PASSWORD}")).contains("t OK"));
    client
}

fn numbers(set: &str) -> Vec<u32> {
    let ranges = set.split(',').filter(|range| !range.is_empty());
    let each = ranges.flat_map(|range| {
        let (from, to) = range.split_once(':').unwrap_or((range, range));
        from.parse::<u32>().unwrap()..=to.parse().unwrap()
    });
    each.collect()
}

fn is_sorted_by_mailbox(search: &str) -> bool {
    !search.contains("SORT")
}

impl Follower {
    fn new(world: &World, uidonly: bool) -> Self {
        let mut follower = Self { client: connected(world), uidonly, searches: Vec::new(), log: Vec::new() };
        if uidonly {
            follower.client.command("ENABLE UIDONLY");
        }
        follower.client.command("SELECT INBOX");
        let by_number = BY_NUMBER.iter().filter(|_| !uidonly);
        for (n, search) in BY_UID.iter().chain(by_number).enumerate() {
            let tag = format!("u{n}");
            follower.searches.push((tag.clone(), search, Vec::new()));
            let said = follower.tagged(&tag, &search.replace('%', "UPDATE ALL COUNT"));
            let all = said.lines().find(|line| line.starts_with(&format!("* ESEARCH (TAG \"{tag}\""))).unwrap_or("");
            let found = all.split_once(" ALL ").map_or("", |(_, rest)| rest.split(' ').next().unwrap());
            follower.searches.last_mut().unwrap().2 = numbers(found);
        }
        follower
    }

    fn tagged(&mut self, tag: &str, command: &str) -> String {
        self.client.send(format!("{tag} {command}\r\n").as_bytes()).unwrap();
        let said = self.until(tag);
        self.log.push(format!("C: {tag} {command}\n{said}"));
        assert!(!said.lines().last().unwrap().contains(" BAD "), "{}", self.story());
        said
    }

    fn until(&mut self, tag: &str) -> String {
        let is_end = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.ends_with("\r\n") && text.lines().last().is_some_and(|line| line.starts_with(&format!("{tag} ")))
        };
        String::from_utf8(self.client.read_until(is_end)).unwrap()
    }

    fn story(&self) -> String {
        let last = self.log.len().saturating_sub(8);
        self.log[last..].concat()
    }

    fn say(&mut self, command: &str) {
        let said = self.tagged("t", command);
        self.hear(&said);
    }

    fn hear(&mut self, said: &str) {
        for line in said.lines() {
            if let Some(n) = line.strip_suffix(" EXPUNGE").and_then(|line| line.strip_prefix("* ")) {
                let n: u32 = n.parse().unwrap();
                for (_, search, found) in &mut self.searches {
                    if BY_NUMBER.contains(search) {
                        // RFC 5267 §4.3.4: it was taken out before.
                        assert!(!found.contains(&n), "{search}: {line}\n{}", self.log.concat());
                        found.iter_mut().filter(|found| **found > n).for_each(|found| *found -= 1);
                    }
                }
            }
            if line.contains(" ADDTO ") || line.contains(" REMOVEFROM ") {
                self.update(line);
            }
            assert!(!line.contains("NOUPDATE"), "{}", self.story());
        }
    }

    fn update(&mut self, line: &str) {
        let story = self.story();
        let tag = line.split('"').nth(1).unwrap();
        let (_, search, found) = self.searches.iter_mut().find(|(known, ..)| known == tag).expect(&story);
        assert_eq!(line.contains(") UID "), BY_UID.contains(search), "{line}");
        let (head, rest) = line.rsplit_once('(').unwrap();
        let words: Vec<&str> = rest.trim_end_matches(')').split(' ').collect();
        for pair in words.chunks(2) {
            let place: usize = pair[0].parse().unwrap();
            assert_eq!(place == 0, is_sorted_by_mailbox(search), "{line}");
            for (at, n) in numbers(pair[1]).into_iter().enumerate() {
                let sorted = found.binary_search(&n);
                match (head.ends_with("ADDTO "), place) {
                    (true, 0) => found.insert(sorted.expect_err(&story), n),
                    (true, place) => found.insert(place - 1 + at, n),
                    (false, 0) => drop(found.remove(sorted.expect(&story))),
                    (false, place) => assert_eq!(found.remove(place - 1), n, "{line}\n{story}"),
                }
            }
        }
    }

    fn idle(&mut self) {
        self.client.send(b"t IDLE\r\nDONE\r\n").unwrap();
        let said = self.until("t");
        self.log.push(format!("C: IDLE\n{said}"));
        self.hear(&said);
    }

    /// The same searches find what the client has.
    fn check(&mut self, seed: u64) {
        self.say("NOOP");
        for (tag, search, known) in self.searches.clone() {
            let said = self.tagged("t", &search.replace('%', "ALL"));
            let found = said.split_once(" ALL ").map_or("", |(_, rest)| rest.split(['\r', ' ']).next().unwrap());
            assert_eq!(known, numbers(found), "seed {seed}: {tag} {search}\n{}", self.story());
        }
    }
}

fn change(world: &World, other: &mut Client, random: &mut Random, next: &mut i64) {
    let uid = 1 + random.below(30);
    let flag = ["\\Seen", "\\Deleted", "\\Flagged", "\\Answered", "$Later"][random.below(5)];
    match random.below(9) {
        0..=3 => {
            drop(other.command(&format!("UID STORE {uid}:{} {}FLAGS ({flag})", uid + 3, ["+", "-"][random.below(2)])))
        }
        4 => drop(other.command("EXPUNGE")),
        5 => drop(other.command(&format!("UID MOVE {uid} Archive"))),
        6 => drop(other.command(&format!("UID COPY {uid} INBOX"))),
        7 => {
            world.clock.fetch_add(random.below(2000) as i64, Ordering::Relaxed);
        }
        _ => {
            *next += 1;
            let text = ["odd words", "odd", "other words", "x"][random.below(4)];
            let subject = ["a", "b", "c", "Re: c", "d"][random.below(5)];
            let message = format!("Subject: {subject}\r\nFrom: {next}@blue.example\r\n\r\n{text}\r\n");
            let age = random.below(8000) as i64;
            world.append("INBOX", message.as_bytes(), Timestamp::from_secs(1_795_000_000 - age));
        }
    }
}

#[test]
fn updates_say_what_searching_again_would() {
    let mut seeds = Random::from_environment(0x5267);
    let rounds = if std::env::var_os("POSTRIDER_LONG").is_some() { 100 } else { 6 };
    for _ in 0..rounds {
        let seed = seeds.next();
        let mut random = Random::new(seed);
        let world = World::new();
        let mut other = connected(&world);
        other.command("SELECT INBOX");
        let mut next = 0;
        for _ in 0..40 {
            change(&world, &mut other, &mut random, &mut next);
        }
        let mut followers = [Follower::new(&world, false), Follower::new(&world, true)];
        for _ in 0..25 {
            for _ in 0..1 + random.below(4) {
                change(&world, &mut other, &mut random, &mut next);
            }
            for follower in &mut followers {
                match random.below(6) {
                    0 => follower.idle(),
                    1 if !follower.uidonly => follower.say("FETCH 1:* FLAGS"),
                    2 => follower.say("UID STORE 1:9 +FLAGS.SILENT (\\Seen)"),
                    3 => follower.say("UID EXPUNGE 1:20"),
                    4 => follower.say("UID FETCH 1:8 BODY[]"),
                    _ => follower.say("NOOP"),
                }
                if random.below(3) == 0 {
                    follower.check(seed);
                }
            }
        }
        followers.iter_mut().for_each(|follower| follower.check(seed));
    }
}

/// `IMAP_CONTEXTS`; a cancelled one makes room.
#[test]
fn contexts_of_a_session() {
    let world = World::new();
    let mut client = connected(&world);
    client.command("SELECT INBOX");
    let mut ask = |tag: String, command: &str| {
        client.send(format!("{tag} {command}\r\n").as_bytes()).unwrap();
        let is_end = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(&format!("{tag} OK"));
        String::from_utf8(client.read_until(is_end)).unwrap()
    };
    for n in 0..limits::IMAP_CONTEXTS {
        assert!(!ask(format!("c{n}"), "SEARCH RETURN (UPDATE) SEEN").contains("NOUPDATE"), "{n}");
    }
    let refused = "* NO [NOUPDATE \"x\"] There are too many results that are kept current";
    assert!(ask("x".into(), "SEARCH RETURN (UPDATE) SEEN").contains(refused));
    ask("y".into(), "CANCELUPDATE \"c0\"");
    assert!(!ask("x".into(), "SEARCH RETURN (UPDATE) SEEN").contains("NOUPDATE"));
}

/// `IMAP_CONTEXT_ENTRIES`: at once, and later on. Each context has a key and the messages that it sorted.
#[test]
fn what_contexts_remember() {
    const CONTEXTS: usize = 10;
    let world = World::new();
    let mut client = connected(&world);
    world.append_many(limits::IMAP_CONTEXT_ENTRIES / CONTEXTS - 1);
    client.command("SELECT INBOX");
    let mut ask = |tag: &str, command: &str| {
        client.send(format!("{tag} {command}\r\n").as_bytes()).unwrap();
        let is_end = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(&format!("\r\n{tag} OK"));
        String::from_utf8(client.read_until(is_end)).unwrap()
    };
    let search = "UID SORT RETURN (UPDATE COUNT) (ARRIVAL) UTF-8 ALL";
    for n in 1..=CONTEXTS {
        assert!(!ask(&format!("c{n}"), search).contains("NOUPDATE"), "{n}");
    }
    let too_long = |tag: &str| format!("* NO [NOUPDATE \"{tag}\"] The result is too long to be kept current");
    let refused = ask("x", "SEARCH RETURN (UPDATE COUNT) SEEN");
    assert!(refused.contains("COUNT 0") && refused.contains(&too_long("x")), "{refused}");
    world.append("INBOX", b"A: \r\n\r\n", Timestamp::from_secs(1_793_000_000));
    let ended = ask("y", "NOOP");
    assert!(ended.contains(&too_long(&format!("c{CONTEXTS}"))), "{ended}");
    assert!(ended.matches("NOUPDATE").count() == 1 && ended.matches("ADDTO").count() == CONTEXTS, "{ended}");
}

/// A message that can't be read: nobody knows whether it belongs to the result.
#[test]
fn a_message_that_is_damaged() {
    let world = World::new();
    let mut client = connected(&world);
    client.command("SELECT INBOX");
    client.command("UID SEARCH RETURN (UPDATE) TEXT x");
    world.append("INBOX", b"Subject: marked\r\n\r\n", Timestamp::from_secs(1_793_000_000));
    let path = world.dir.path().join("log/00000001.seg");
    let whole = std::fs::read(&path).unwrap();
    let at = whole.windows(6).position(|window| window == b"marked").unwrap();
    let mut damaged = whole.clone();
    damaged[at] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    let said = client.command("NOOP");
    assert!(
        said.contains("* 1 EXISTS") && said.contains("* NO [NOUPDATE \"t\"] The result can't be kept current"),
        "{said}"
    );
    std::fs::write(&path, whole).unwrap();
    assert!(client.command("CANCELUPDATE \"t\"").contains("t NO [NONEXISTENT]"));
}
