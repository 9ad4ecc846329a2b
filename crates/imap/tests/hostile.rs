//! Commands made to cost much: what comes back is bounded in octets, the connection lives or ends with a word, and
//! nothing of what is dropped is ever read as a command. No clock: what is not bounded would not end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use mail::{Timestamp, limits};
use testkit::transcript::Subject;
use world::{Client, PASSWORD, RUNTIME, Settings, USER, World};

/// Sends octets and returns what is said up to a line that begins with `until`.
fn say(client: &mut Client, octets: &[u8], until: &str) -> String {
    client.send(octets).unwrap();
    let is_there = |said: &[u8]| {
        let text = String::from_utf8_lossy(said);
        text.ends_with("\r\n") && text.lines().any(|line| line.starts_with(until))
    };
    String::from_utf8(client.read_until(is_there)).unwrap()
}

fn connected(world: &World, log_in: bool) -> Client {
    let mut client = world.connect(Settings::default());
    let _ = client.read_until(|bytes| bytes.ends_with(b"ready\r\n"));
    if log_in {
        assert!(client.command(&format!("LOGIN {USER} {PASSWORD}")).contains("t OK"));
    }
    client
}

/// Alice with so many small messages.
fn world(messages: usize) -> World {
    let world = World::new();
    for n in 0..messages {
        let message = format!("Subject: {n}\r\n\r\nbody\r\n");
        world.append("INBOX", message.as_bytes(), Timestamp::from_secs(1_793_534_400));
    }
    world
}

#[test]
fn parentheses_before_log_in() {
    let world = world(0);
    let mut client = connected(&world, false);
    let room = limits::IMAP_UNAUTHENTICATED_LEN;
    // Within the limit of a line: refused by the grammar. Beyond it: dropped up to its end, and refused.
    for (count, why) in [(1000, "BAD"), (room / 2, "BAD"), (room * 64, "BAD [TOOBIG]")] {
        for open in ["(", "((\"\" ", "NOT ", "OR ", "(OR NOT ("] {
            let flood = format!("a FETCH 1 {}\r\n", open.repeat(count));
            let said = say(&mut client, flood.as_bytes(), "a ");
            assert!(said.starts_with("a BAD") && said.lines().count() == 1 && said.len() < 100, "{said}");
            assert!(flood.len() <= room || said.contains("[TOOBIG]"), "{why} {said}");
            assert!(client.command("NOOP").starts_with("t OK"));
        }
    }
    // Nothing but parentheses, without an end: what is kept of it is no more than a line's end.
    for _ in 0..64 {
        client.send("(".repeat(room).as_bytes()).unwrap();
    }
    let said = say(&mut client, b"\r\nb NOOP\r\n", "b ");
    assert!(said.contains("BAD [TOOBIG]") && said.contains("b OK") && said.len() < 200, "{said}");
}

#[test]
fn nesting_after_log_in() {
    let world = world(1);
    let mut client = connected(&world, true);
    client.command("SELECT INBOX");
    let deep = |open: &str, close: &str, n: usize| format!("SEARCH {}ALL{}", open.repeat(n), close.repeat(n));
    for (open, close) in [("(", ")"), ("NOT ", ""), ("OR ALL ", ""), ("(NOT ", ")"), ("OR (ALL) ", "")] {
        // What counts twice is in two kinds of brackets.
        let each = if open == "(NOT " { 2 } else { 1 };
        let said = client.command(&deep(open, close, limits::IMAP_NESTING / each - 1));
        assert!(said.contains("t OK"), "{open} {said}");
        let said = client.command(&deep(open, close, limits::IMAP_NESTING + 1));
        assert_eq!(said, "t BAD The command is nested too deeply\r\n");
        let said = client.command(&deep(open, close, 5000));
        assert!(said.starts_with("t BAD") && said.len() < 100, "{said}");
    }
}

/// RFC 7888 §4: what was not asked for comes all the same, and is dropped, whatever it looks like.
#[test]
fn literals_over_the_limit_are_never_read_as_commands() {
    let world = world(1);
    let evil = "x DELETE Archive\r\ny LOGOUT\r\n";
    for (log_in, limit) in [(false, limits::IMAP_UNAUTHENTICATED_LEN), (true, limits::IMAP_LITERAL_LEN)] {
        let mut client = connected(&world, log_in);
        let inside = evil.repeat(limit / evil.len() + 1);
        for command in ["LOGIN", "SELECT", "LIST \"\"", "FETCH", "SEARCH TEXT", "XYZZY", "APPEND"] {
            let text = format!("a {command} {{{}+}}\r\n{inside}\r\nb NOOP\r\n", inside.len());
            let said = say(&mut client, text.as_bytes(), "b ");
            assert!(said.starts_with("a BAD [TOOBIG]") && said.lines().count() == 2, "{command}: {said}");
        }
        // Two within one command, of which the second is too much; and one within a line that is too long already.
        let text = format!("a LOGIN {{3+}}\r\nabc {{{}+}}\r\n{inside}\r\nb NOOP\r\n", inside.len());
        assert_eq!(say(&mut client, text.as_bytes(), "b ").lines().count(), 2);
        let text = format!("a {} {{{}+}}\r\n{inside}\r\nb NOOP\r\n", "x".repeat(limit * 2), inside.len());
        assert_eq!(say(&mut client, text.as_bytes(), "b ").lines().count(), 2);
        // A client that waits for our word does not get it, and may go on.
        let said = say(&mut client, format!("a LOGIN {{{}}}\r\nb NOOP\r\n", limit + 1).as_bytes(), "b ");
        assert!(!said.contains('+') && said.lines().count() == 2, "{said}");
        // What would take for ever to drop ends the connection.
        let beyond = limits::IMAP_DISCARDED_LITERAL + 1;
        let said = say(&mut client, format!("a LOGIN {{{beyond}+}}\r\n").as_bytes(), "* BYE");
        assert!(said.contains("a BAD [TOOBIG]"), "{said}");
    }
    let kept = RUNTIME.block_on(async {
        use store::Store;
        world.store.mailbox(world.account, "Archive").await.unwrap()
    });
    assert!(kept.is_some());
}

#[test]
fn sets_of_everything_and_more() {
    let world = world(3);
    let mut client = connected(&world, true);
    client.command("SELECT INBOX");
    let everything = "1:4294967295";
    let again = vec![everything; 5000].join(",");
    let items = |n: usize| vec!["1"; n].join(",");
    for set in [everything, "4294967295:1", "1:*,*:1", &again, &items(limits::IMAP_ITEMS)] {
        for (command, lines) in [("FETCH", 3), ("UID FETCH", 3), ("STORE", 3), ("UID STORE", 3)] {
            let what = if command.ends_with("STORE") { "FLAGS (\\Answered)" } else { "(UID)" };
            let said = client.command(&format!("{command} {set} {what}"));
            assert!(said.len() < 400 && said.lines().count() <= lines + 1, "{command}: {said}");
            // RFC 3501 §9 `seq-number`: numbers that no message has are an error; of UIDs they are none.
            assert_eq!(said.contains("t OK"), command.starts_with("UID") || set == "1:*,*:1" || set.len() == 19_999);
        }
        for command in ["SEARCH", "UID SEARCH UID", "SEARCH NOT", "SEARCH RETURN (ALL COUNT) UID"] {
            let said = client.command(&format!("{command} {set}"));
            assert!(said.contains("t OK") && said.len() < 200, "{command}: {said}");
        }
        let said = client.command(&format!("UID COPY {set} Archive"));
        assert!(said.contains("[COPYUID ") && said.len() < 200, "{said}");
    }
    let said = client.command(&format!("FETCH {} (UID)", items(limits::IMAP_ITEMS + 1)));
    assert_eq!(said, "t BAD The set has too many items\r\n");
    let said = client.command("UID EXPUNGE 1:4294967295");
    assert!(said.contains("t OK") && said.len() < 200, "{said}");
    // In a mailbox without messages too.
    client.command("CREATE empty");
    client.command("SELECT empty");
    for set in [everything, &again] {
        assert_eq!(client.command(&format!("UID FETCH {set} (FLAGS)")).lines().count(), 1);
        assert_eq!(client.command(&format!("UID COPY {set} Archive")).lines().count(), 1);
    }
}

#[test]
fn lists_that_blow_up() {
    let world = world(0);
    let mut client = connected(&world, true);
    let deep = vec!["a"; 100].join("/");
    client.command(&format!("CREATE {deep}"));
    // The slowest patterns that are let through, each on a hundred long names.
    for pattern in
        ["*a".repeat(limits::IMAP_PATTERN_LEN / 2), "%*".repeat(limits::IMAP_PATTERN_LEN / 2), "*/%".repeat(300)]
    {
        let said = client.command(&format!("LIST \"\" {pattern}"));
        assert!(said.contains("t OK") && said.len() < 64 * 1024, "{said}");
        let said = client.command(&format!("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" {pattern}"));
        assert!(said.contains("t OK"), "{said}");
        assert!(client.command(&format!("LSUB \"\" {pattern}")).contains("t OK"));
    }
    for flood in [
        format!("LIST \"\" {}", "*".repeat(limits::IMAP_PATTERN_LEN + 1)),
        format!("LIST {} *", "a/".repeat(limits::IMAP_PATTERN_LEN)),
        format!("LIST \"\" ({})", vec!["*"; 9000].join(" ")),
        format!("LIST {} ({})", "*".repeat(1000), vec!["*"; 9000].join(" ")),
    ] {
        assert_eq!(client.command(&flood), "t BAD The patterns are too long\r\n");
    }
    // Parents of what is subscribed below are told once each, however many there are below.
    for n in 0..5 {
        client.command(&format!("CREATE {deep}/{n}"));
        client.command(&format!("SUBSCRIBE {deep}/{n}"));
    }
    let said = client.command("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" a/%");
    let shown: Vec<&str> = said.lines().filter(|line| line.starts_with("* LIST")).collect();
    assert!(shown.len() == 1 && shown[0].contains("\"CHILDINFO\" (\"SUBSCRIBED\")"), "{said}");
    assert_eq!(client.command("LSUB \"\" a/%"), "* LSUB (\\Noselect) \"/\" a/a\r\nt OK That is all\r\n");
}

#[test]
fn searches_for_too_much() {
    let world = world(2);
    let mut client = connected(&world, true);
    client.command("SELECT INBOX");
    let keys = |key: &str, n: usize| format!("SEARCH {}", vec![key; n].join(" "));
    for key in ["TEXT x", "BODY x", "SUBJECT x", "HEADER a b"] {
        let said = client.command(&keys(key, limits::IMAP_SEARCH_STRINGS));
        assert!(said.contains("t OK"), "{said}");
        let said = client.command(&keys(key, limits::IMAP_SEARCH_STRINGS + 1));
        assert_eq!(said, "t BAD The SEARCH looks for too many strings\r\n");
    }
    // What the index answers is cheap, and may be more.
    assert!(client.command(&keys("SEEN", 9000)).contains("t OK"));
    let said = client.command(&keys("1", limits::IMAP_ITEMS + 1));
    assert_eq!(said, "t BAD The SEARCH has too many keys\r\n");
}

/// A header as long as a message may be: what is looked at of it is a part.
#[test]
fn headers_beyond_all_bounds() {
    let world = world(0);
    let long = format!("Subject: early\r\n{}X-Late: yes\r\n", "X-Flood: v\r\n".repeat(limits::HEADER_LEN / 12 + 1));
    world.append("INBOX", long.as_bytes(), Timestamp::from_secs(1_793_534_400));
    let mut client = connected(&world, true);
    client.command("SELECT INBOX");
    assert_eq!(client.command("SEARCH SUBJECT early"), "* SEARCH 1\r\nt OK Searched\r\n");
    assert_eq!(client.command("SEARCH HEADER X-Late yes"), "* SEARCH\r\nt OK Searched\r\n");
    let said = client.command("FETCH 1 (BODY.PEEK[HEADER.FIELDS (Subject X-Late)] ENVELOPE)");
    assert!(said.contains("Subject: early") && !said.contains("X-Late: yes") && said.len() < 400, "{said}");
    let names = (0..9000).map(|n| format!("N{n}")).collect::<Vec<_>>().join(" ");
    let said = client.command(&format!("FETCH 1 BODY.PEEK[HEADER.FIELDS ({names})]"));
    assert!(said.contains("t OK") && said.len() < 2 * names.len() + 200, "{}", said.len());
}
