//! Answers out of digests are octet for octet those out of messages.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use std::path::Path;

use mail::{Timestamp, limits};
use world::{Client, PASSWORD, Settings, USER, World};

const NOW: Timestamp = Timestamp::from_secs(1_793_534_400);

/// What digests may answer, and what they may help with.
const COMMANDS: &[&str] = &[
    "FETCH 1:* (UID FLAGS ENVELOPE RFC822.SIZE)",
    "FETCH 1:* ENVELOPE",
    "FETCH 1:* (BODYSTRUCTURE UID)",
    "FETCH 1:* BODY",
    "FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject DATE X-Mailer nothing)]",
    "FETCH 1:* (BODY.PEEK[HEADER.FIELDS (From)]<3.7> ENVELOPE)",
    "FETCH 1:* BODY.PEEK[HEADER.FIELDS (From Received)]",
    "FETCH 1:* BODY.PEEK[HEADER.FIELDS.NOT (From)]",
    "FETCH 1:* ALL",
    "UID FETCH 2,4:7 (ENVELOPE)",
    "SEARCH SUBJECT \"e\"",
    "SEARCH FROM \"example\" NOT TO \"bob\"",
    "SEARCH OR SUBJECT \"test\" HEADER Received \"example\"",
    "SEARCH HEADER Message-ID \"\"",
    "SEARCH HEADER DKIM-Signature \"\"",
    "SEARCH TEXT \"received\"",
    "SEARCH NOT TEXT \"received\"",
    "SEARCH BODY \"text\"",
    "SEARCH BODY \"xyzzy and so on\"",
    "SEARCH BODY \"e\"",
    "SEARCH CHARSET UTF-8 TEXT \"gruss\"",
    "SEARCH SENTSINCE 1-Jan-2020 SMALLER 2000",
    "SEARCH FUZZY BODY \"messages\"",
    "SORT (SUBJECT REVERSE DATE) UTF-8 ALL",
    "SORT (DISPLAYFROM CC TO ARRIVAL) UTF-8 ALL",
    "THREAD REFERENCES UTF-8 ALL",
    "THREAD ORDEREDSUBJECT UTF-8 TEXT \"e\"",
];

fn selected(world: &World) -> Client {
    let mut client = world.connect(Settings::default());
    let _ = client.read_until(|bytes| bytes.ends_with(b"ready\r\n"));
    assert!(client.command(&format!("LOGIN {USER} {PASSWORD}")).contains("t OK"));
    assert!(client.command("SELECT INBOX").contains("t OK"));
    client
}

fn answers(world: &World) -> Vec<String> {
    let mut client = selected(world);
    // Which session is the first to see them is not told alike.
    COMMANDS.iter().map(|command| client.command(command).replace("\\Recent", "")).collect()
}

fn assert_same(before: &[String], after: &[String]) {
    for ((command, before), after) in COMMANDS.iter().zip(before).zip(after) {
        assert!(before.contains("t OK"), "{command}: {before}");
        assert_eq!(before, after, "{command}");
    }
}

/// With few digests, with packs and with some that lack one.
#[test]
fn answers_are_the_same() {
    let world = World::new();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../message/tests/corpus");
    world.fill(&corpus);
    let before = answers(&world);
    world.digest();
    assert_same(&before, &answers(&world));
    let count = std::fs::read_dir(&corpus).unwrap().count();
    for _ in 0..600 / count {
        world.fill(&corpus);
    }
    let before = answers(&world);
    world.digest();
    assert_same(&before, &answers(&world));
    world.fill(&corpus);
    let mixed = answers(&world);
    world.digest();
    assert_same(&mixed, &answers(&world));
    // Most of them go, and with them their packs.
    let mut client = selected(&world);
    client.command("STORE 3:600 +FLAGS.SILENT (\\Deleted)");
    client.command("EXPUNGE");
    let before = answers(&world);
    world.digest();
    assert_same(&before, &answers(&world));
}

/// `IMAP_DIGESTS_AT_ONCE`: one more is asked for with the next.
#[test]
fn more_than_are_asked_for_at_once() {
    let world = World::new();
    world.append_many(limits::IMAP_DIGESTS_AT_ONCE + 1);
    world.digest();
    let mut client = selected(&world);
    for (command, lines) in [
        ("FETCH 1:* ENVELOPE", limits::IMAP_DIGESTS_AT_ONCE + 2),
        ("UID SEARCH SUBJECT \"nothing\"", 2),
        ("UID SEARCH HEADER A \"\"", 2),
        ("SORT (DATE) UTF-8 ALL", 2),
    ] {
        let said = client.command(command);
        assert_eq!(said.lines().count(), lines, "{command}");
        let most = format!(" {}\r\n", limits::IMAP_DIGESTS_AT_ONCE + 1);
        assert!(said.contains("ENVELOPE") || said.contains("SUBJECT") || said.contains(&most) || lines == 2, "{said}");
    }
}

/// `IMAP_DIGEST_PART`: one octet more, and the header is read each time; the answer is the same.
#[test]
fn parts_of_digests_are_bounded() {
    let world = World::new();
    for more in [0, 1] {
        let rest = "Subject: \r\n\r\n".len();
        let subject = "x".repeat(limits::IMAP_DIGEST_PART - rest + more);
        world.append("INBOX", format!("Subject: {subject}\r\n\r\nbody\r\n").as_bytes(), NOW);
    }
    let fetch = "FETCH 1:2 BODY.PEEK[HEADER.FIELDS (Subject)]";
    let before = selected(&world).command(fetch);
    world.digest();
    assert_eq!(selected(&world).command(fetch), before);
    assert_eq!(before.matches("xxx\r\n\r\n").count(), 2);
}
