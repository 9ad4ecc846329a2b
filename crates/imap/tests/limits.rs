//! IMAP's bounds, at each limit and one above it. Those on hostile commands are in `hostile.rs`, time-outs in
//! `crates/server/tests/autologout.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use mail::{Timestamp, limits};
use testkit::transcript::Subject;
use world::{Client, PASSWORD, Settings, USER, World};

const NOW: Timestamp = Timestamp::from_secs(1_793_534_400);

fn logged_in(world: &World) -> Client {
    let mut client = world.connect(Settings::default());
    let _ = client.read_until(|bytes| bytes.ends_with(b"ready\r\n"));
    assert!(client.command(&format!("LOGIN {USER} {PASSWORD}")).contains("t OK"));
    client
}

fn until(client: &mut Client, tag: &str) -> String {
    let there = |said: &[u8]| {
        let text = String::from_utf8_lossy(said);
        text.ends_with("\r\n") && text.lines().any(|line| line.starts_with(tag))
    };
    String::from_utf8(client.read_until(there)).unwrap()
}

/// `IMAP_COMMAND_LEN`, the line's end included.
#[test]
fn lines() {
    let world = World::new();
    let mut client = logged_in(&world);
    client.command("SELECT INBOX");
    let around = "t SEARCH TEXT \"\"\r\n".len();
    for (length, reply) in [(limits::IMAP_COMMAND_LEN, "t OK"), (limits::IMAP_COMMAND_LEN + 1, "t BAD [TOOBIG]")] {
        let said = client.command(&format!("SEARCH TEXT \"{}\"", "x".repeat(length - around)));
        assert!(said.lines().last().unwrap().starts_with(reply), "{length}: {said}");
    }
}

/// `IMAP_TAG_LEN`.
#[test]
fn tags() {
    let world = World::new();
    let mut client = logged_in(&world);
    let tag = "x".repeat(limits::IMAP_TAG_LEN);
    client.send(format!("{tag} NOOP\r\n").as_bytes()).unwrap();
    assert!(until(&mut client, &tag).contains(" OK"));
    client.send(format!("{tag}x NOOP\r\n").as_bytes()).unwrap();
    assert!(until(&mut client, "* BAD").starts_with("* BAD"));
}

/// `IMAP_APPEND_MESSAGES` in one command (RFC 3502): all of them, or none.
#[test]
fn messages_of_one_append() {
    let world = World::new();
    let mut client = logged_in(&world);
    for (count, reply, there) in [
        (limits::IMAP_APPEND_MESSAGES, "t OK", limits::IMAP_APPEND_MESSAGES),
        (
            limits::IMAP_APPEND_MESSAGES + 1,
            "t NO [LIMIT] Too many messages in one command",
            limits::IMAP_APPEND_MESSAGES,
        ),
    ] {
        let command = format!("t APPEND INBOX{}\r\n", " {3+}\r\nA: ".repeat(count));
        client.send(command.as_bytes()).unwrap();
        let said = until(&mut client, "t ");
        assert!(said.contains(reply), "{said}");
        let status = client.command("STATUS INBOX (MESSAGES)");
        assert!(status.contains(&format!("MESSAGES {there})")), "{status}");
    }
}

/// `IMAP_COMMITS_AT_ONCE` pipelined APPENDs share commits; more wait for their turn. All are answered, in their order.
#[test]
fn appends_in_one_flight() {
    let world = World::new();
    let mut client = logged_in(&world);
    for count in [limits::IMAP_COMMITS_AT_ONCE, limits::IMAP_COMMITS_AT_ONCE + 1] {
        let flight: String = (0..count).map(|n| format!("a{n} APPEND INBOX {{3+}}\r\nA: \r\n")).collect();
        client.send(flight.as_bytes()).unwrap();
        let said = until(&mut client, &format!("a{} ", count - 1));
        let tags: Vec<String> = said.lines().map(|line| line.split_once(" OK").unwrap().0.to_owned()).collect();
        assert_eq!(tags, (0..count).map(|n| format!("a{n}")).collect::<Vec<_>>());
    }
}

/// `IMAP_FETCH_BATCH` bodies are asked for at once, `IMAP_OUTPUT` octets wait to be sent: a batch and one more come whole
/// and in order, and no write is larger than what waits and one reply.
#[test]
fn answers_come_in_pieces() {
    let world = World::new();
    let line = format!("{}\r\n", "x".repeat(1998));
    let count = limits::IMAP_FETCH_BATCH + 1;
    for n in 0..count {
        world.append("INBOX", format!("Subject: {n}\r\n\r\n{line}").as_bytes(), NOW);
    }
    assert!(count * line.len() > limits::IMAP_OUTPUT);
    let mut client = logged_in(&world);
    client.command("SELECT INBOX");
    for last in [limits::IMAP_FETCH_BATCH, count] {
        let said = client.command(&format!("FETCH 1:{last} BODY.PEEK[]"));
        let subjects: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("Subject: ")).collect();
        assert_eq!(subjects, (0..last).map(|n| n.to_string()).collect::<Vec<_>>());
        let found = client.command(&format!("SEARCH 1:{last} BODY xxx"));
        assert_eq!(found.lines().next().unwrap().split(' ').count(), 2 + last, "{found}");
    }
    let most = limits::IMAP_OUTPUT + line.len() + 200;
    assert!(client.largest_write() <= most, "{} octets at once", client.largest_write());
}

/// `IMAP_SEARCH_TEXT`: a text up to it is searched at once, a longer one in pieces, across whose edges words are found.
#[test]
fn long_texts_are_searched_whole() {
    let world = World::new();
    let words = "needle in the haystack";
    let mut at = Vec::new();
    for length in [limits::IMAP_SEARCH_TEXT, limits::IMAP_SEARCH_TEXT + 1, 2 * limits::IMAP_SEARCH_TEXT + 1] {
        // At the end, at the edge of a piece, and at the beginning.
        for place in [length - words.len(), (limits::IMAP_SEARCH_TEXT - 5).min(length - words.len()), 0] {
            let mut text = "hay straw\r\n".repeat(length / 11 + 1).into_bytes();
            text.truncate(length);
            text[place..place + words.len()].copy_from_slice(words.as_bytes());
            world.append("INBOX", &[b"Subject: x\r\n\r\n".as_slice(), &text].concat(), NOW);
            at.push((length, place));
        }
    }
    let mut client = logged_in(&world);
    client.command("SELECT INBOX");
    let found = client.command(&format!("SEARCH BODY \"{words}\""));
    assert_eq!(found.lines().next().unwrap().split(' ').count(), 2 + at.len(), "{found} of {at:?}");
    assert!(client.command("SEARCH BODY \"needle in no haystack\"").starts_with("* SEARCH\r\n"));
}

/// `IMAP_CATENATE_PARTS` URLs in a line are looked at, one more is refused as it stands (RFC 4469).
#[test]
fn parts_of_a_catenate() {
    let world = World::new();
    let mut client = logged_in(&world);
    for (count, reply) in [
        (limits::IMAP_CATENATE_PARTS, "t NO [BADURL"),
        (limits::IMAP_CATENATE_PARTS + 1, "t BAD There are too many parts"),
    ] {
        let said = client.command(&format!("APPEND INBOX CATENATE ({})", vec!["URL x"; count].join(" ")));
        assert!(said.lines().last().unwrap().starts_with(reply), "{count}: {said}");
    }
}

/// `IMAP_REFERENCES`: the last ones count; what a message refers to before them is not above it.
#[test]
fn references_of_a_message() {
    for (more, threads) in
        [(limits::IMAP_REFERENCES - 1, "* THREAD (1 2)"), (limits::IMAP_REFERENCES, "* THREAD (1)(2)")]
    {
        let world = World::new();
        world.append("INBOX", b"Subject: first\r\nMessage-ID: <r@x.example>\r\n\r\n", NOW);
        let references: String = (0..more).map(|n| format!("\r\n <{n}@x.example>")).collect();
        let second = format!("Subject: second\r\nReferences: <r@x.example>{references}\r\n\r\n");
        world.append("INBOX", second.as_bytes(), NOW);
        let mut client = logged_in(&world);
        client.command("SELECT INBOX");
        let said = client.command("THREAD REFERENCES UTF-8 ALL");
        assert!(said.starts_with(&format!("{threads}\r\n")), "{more}: {said}");
    }
}

/// `IMAP_PREVIEW_LOOKED_AT`: a PREVIEW has what stands within so much of the text, and nothing from behind it.
#[test]
fn text_behind_the_preview() {
    let looked_at = limits::IMAP_PREVIEW_LOOKED_AT as usize;
    for (before, preview) in [(looked_at - 1, "PREVIEW \"x\""), (looked_at, "PREVIEW \"\"")] {
        let world = World::new();
        world.append("INBOX", format!("Subject: x\r\n\r\n{}xyz\r\n", " ".repeat(before)).as_bytes(), NOW);
        let mut client = logged_in(&world);
        client.command("SELECT INBOX");
        let said = client.command("FETCH 1 PREVIEW");
        assert!(said.contains(preview), "{before}: {said}");
    }
}

/// `IMAP_SAVED_RANGES` may stand for `$`, one more and nothing does; `IMAP_VANISHED_RANGES` go in one VANISHED, one more
/// begins another.
#[test]
fn ranges_of_uids() {
    let world = World::new();
    world.append_many(2 * limits::IMAP_SAVED_RANGES + 1);
    let mut client = logged_in(&world);
    client.command("ENABLE QRESYNC");
    client.command("SELECT INBOX");
    let last = 2 * limits::IMAP_SAVED_RANGES - 1;
    for (last, reply) in
        [(last, "t OK Searched and kept"), (last + 2, "t NO [NOTSAVED] The result is too long to be kept")]
    {
        let said = client.command(&format!("SEARCH RETURN (SAVE) FLAGGED UID 1:{last}"));
        assert!(said.starts_with(reply), "{last}: {said}");
    }
    let (first, second) = (2 * limits::IMAP_VANISHED_RANGES, 2 * (limits::IMAP_VANISHED_RANGES + 1));
    for (uids, responses) in [(1..first, 1), (first + 1..first + second, 2)] {
        client.command(&format!("SEARCH RETURN (SAVE) FLAGGED UID {}:{}", uids.start, uids.end - 1));
        client.command("UID STORE $ +FLAGS.SILENT (\\Deleted)");
        let said = client.command("UID EXPUNGE $");
        let vanished: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("* VANISHED ")).collect();
        assert_eq!(vanished.len(), responses, "{said}");
        assert_eq!(vanished[0].split(',').count(), limits::IMAP_VANISHED_RANGES);
        let ranges: Vec<String> = uids.step_by(2).map(|uid| uid.to_string()).collect();
        assert_eq!(vanished.join(","), ranges.join(","));
    }
}

/// `IMAP_ITEMS` of a list, `MIME_DEPTH` twice in a section, `KEYWORD_LEN`: one more is refused in words that say so.
#[test]
fn items_of_a_command() {
    let world = World::new();
    world.append("INBOX", b"Subject: x\r\n\r\n", NOW);
    let mut client = logged_in(&world);
    client.command("SELECT INBOX");
    let (items, parts) = (limits::IMAP_ITEMS, limits::MIME_DEPTH * 2);
    let many = |word: &str, between: &str, count: usize| vec![word; count].join(between);
    for (command, count, refused) in [
        ((|many| format!("FETCH 1 ({many})")) as fn(String) -> String, items, "BAD The list has too many items"),
        (|many| format!("STORE 1 FLAGS {many}"), items, "BAD There are too many flags"),
        (|many| format!("ENABLE {many}"), items, "BAD There are too many capabilities"),
        (|many| format!("LANGUAGE {many}"), items, "BAD There are too many languages"),
    ] {
        for (count, is_refused) in [(count, false), (count + 1, true)] {
            let said = client.command(&command(many("UID", " ", count)));
            assert_eq!(said.lines().last() == Some(&format!("t {refused}")), is_refused, "{count}: {said}");
        }
    }
    for (count, is_refused) in [(parts, false), (parts + 1, true)] {
        let said = client.command(&format!("FETCH 1 BODY.PEEK[{}]", many("1", ".", count)));
        assert_eq!(said.ends_with("t BAD The section has too many parts\r\n"), is_refused, "{said}");
    }
    for (length, is_refused) in [(limits::KEYWORD_LEN, false), (limits::KEYWORD_LEN + 1, true)] {
        let said = client.command(&format!("SEARCH KEYWORD {}", "k".repeat(length)));
        assert_eq!(said.ends_with("t BAD The keyword is too long\r\n"), is_refused, "{said}");
    }
    for (count, words) in [
        (limits::IMAP_APPEND_MESSAGES, "NO [BADURL"),
        (limits::IMAP_APPEND_MESSAGES + 1, "BAD There are too many messages"),
    ] {
        let said = client.command(&format!("APPEND INBOX {}", many("CATENATE (URL x)", " ", count)));
        assert!(said.starts_with(&format!("t {words}")), "{said}");
    }
    let long = "x".repeat(limits::IMAP_LITERAL_LEN + 1);
    client.send(format!("t APPEND INBOX CATENATE (URL {{{}+}}\r\n{long})\r\n", long.len()).as_bytes()).unwrap();
    assert!(until(&mut client, "t ").ends_with("t BAD The URL is too long\r\n"));
}

/// `IMAP_UNAUTHENTICATED_LEN` of a line of AUTHENTICATE.
#[test]
fn lines_of_a_log_in() {
    let world = World::new();
    for (length, said) in [
        (limits::IMAP_UNAUTHENTICATED_LEN, "That is not base64"),
        (limits::IMAP_UNAUTHENTICATED_LEN + 1, "The line is too long"),
    ] {
        let mut client = world.connect(Settings::default());
        client.send(format!("t AUTHENTICATE PLAIN\r\n{}\r\n", "!".repeat(length - 2)).as_bytes()).unwrap();
        let reply = until(&mut client, "t ");
        assert!(reply.ends_with(&format!("t BAD {said}\r\n")), "{length}: {reply}");
    }
}

/// `ANNOTATION_LEN`, `ANNOTATIONS_PER_MAILBOX`: one octet or one annotation more is refused, with the code that says so
/// (RFC 5464 §4.3).
#[test]
fn annotations() {
    let world = World::new();
    let mut client = logged_in(&world);
    for (length, reply) in [
        (limits::ANNOTATION_LEN, "t OK".to_owned()),
        (limits::ANNOTATION_LEN + 1, format!("t NO [METADATA MAXSIZE {}] That is too long", limits::ANNOTATION_LEN)),
    ] {
        let value = "x".repeat(length);
        client.send(format!("t SETMETADATA INBOX (/private/0 {{{length}+}}\r\n{value})\r\n").as_bytes()).unwrap();
        let said = until(&mut client, "t ");
        assert!(said.starts_with(&reply), "{length}: {said}");
    }
    for n in 1..=limits::ANNOTATIONS_PER_MAILBOX {
        let said = client.command(&format!("SETMETADATA INBOX (/private/{n} \"x\")"));
        let is_full = n == limits::ANNOTATIONS_PER_MAILBOX;
        assert!(said.starts_with(if is_full { "t NO [METADATA TOOMANY] There" } else { "t OK" }), "{n}: {said}");
    }
}

/// `ACCOUNT_NEWS` changes wait for who does not look; with one more he is let go, since he would miss some.
#[test]
fn changes_of_annotations_that_wait() {
    let world = World::new();
    for (changes, last) in [(limits::ACCOUNT_NEWS, "t OK"), (limits::ACCOUNT_NEWS + 1, "* BYE More annotations")] {
        let (mut client, mut other) = (logged_in(&world), logged_in(&world));
        client.command("ENABLE METADATA");
        for n in 0..changes {
            other.command(&format!("SETMETADATA INBOX (/private/a \"{changes} {n}\")"));
        }
        client.send(b"t NOOP\r\n").unwrap();
        let said = until(&mut client, last.split(' ').next().unwrap());
        assert!(said.lines().any(|line| line.starts_with(last)), "{changes}: {said}");
        assert!(said.matches("* METADATA INBOX /private/a").count() <= limits::ACCOUNT_NEWS);
    }
}

/// `ACCOUNT_NEWS` again, for NOTIFY: with one more the client is told that it misses some, and is told of nothing any more
/// (RFC 5465 §5.8). The half of a command keeps what happens from being told at once.
#[test]
fn changes_that_wait_for_who_is_notified() {
    let world = World::new();
    for changes in [limits::ACCOUNT_NEWS, limits::ACCOUNT_NEWS + 1] {
        let (mut client, mut other) = (logged_in(&world), logged_in(&world));
        client.command("NOTIFY SET (personal (MailboxMetadataChange))");
        client.send(b"t NO").unwrap();
        for n in 0..changes {
            other.command(&format!("SETMETADATA INBOX (/private/a \"{changes} {n}\")"));
        }
        client.send(b"OP\r\n").unwrap();
        let said = until(&mut client, "t ");
        let is_lost = said.contains("* OK [NOTIFICATIONOVERFLOW] Too much happened");
        assert_eq!(is_lost, changes > limits::ACCOUNT_NEWS, "{said}");
        other.command("SETMETADATA INBOX (/private/a \"last\")");
        let then = client.command("NOOP");
        assert!(!is_lost || then.starts_with("t OK"), "{then}");
    }
}

/// `IMAP_UID_BATCH`: batches of so many messages, none smaller. Those of UIDBATCHES (RFC 10022) hold every message once.
#[test]
fn batches_of_uids() {
    let world = World::new();
    let size = limits::IMAP_UID_BATCH;
    world.append_many(2 * size as usize + 1);
    let mut client = logged_in(&world);
    client.command("SELECT INBOX");
    let said = client.command(&format!("UIDBATCHES {}", size - 1));
    assert_eq!(said, format!("t NO [TOOFEW] Minimum batch size is {size}\r\n"));
    let batches = |wanted: &str, ranges: &str| format!("* UIDBATCHES (TAG \"t\"){wanted}{ranges}\r\nt OK Cut\r\n");
    assert_eq!(client.command(&format!("UIDBATCHES {size}")), batches(" ", "1001:502,501:2,1:1"));
    assert_eq!(client.command(&format!("UIDBATCHES {size} 2:2")), batches(" ", "501:2"));
    assert_eq!(client.command(&format!("UIDBATCHES {size} 3:9")), batches(" ", "1:1"));
    assert_eq!(client.command(&format!("UIDBATCHES {size} 4:9")), batches("", ""));
    assert_eq!(client.command(&format!("UIDBATCHES {}", size + 1)), batches(" ", "1001:501,500:1"));
    // Where messages are gone, a batch has as many messages as before, and more UIDs.
    client.command("UID STORE 400:600 +FLAGS.SILENT (\\Deleted)");
    client.command("EXPUNGE");
    assert_eq!(client.command(&format!("UIDBATCHES {size}")), batches(" ", "1001:301,300:1"));
}

/// `IMAP_URLS` of one GENURLAUTH, URLFETCH or RESETKEY; one more is refused as it stands.
#[test]
fn urls_of_a_command() {
    let world = World::new();
    let mut client = logged_in(&world);
    for (count, is_refused) in [(limits::IMAP_URLS, false), (limits::IMAP_URLS + 1, true)] {
        let said = client.command(&format!("URLFETCH{}", " x".repeat(count)));
        assert_eq!(said.ends_with("t BAD There are too many URLs\r\n"), is_refused, "{said}");
        assert_eq!(said.matches("* URLFETCH \"x\" NIL").count(), if is_refused { 0 } else { count });
        let said = client.command(&format!("GENURLAUTH{}", " x INTERNAL".repeat(count)));
        assert_eq!(said == "t BAD There are too many URLs\r\n", is_refused, "{said}");
        let said = client.command(&format!("RESETKEY INBOX{}", " INTERNAL".repeat(count)));
        assert_eq!(said == "t BAD There are too many mechanisms\r\n", is_refused, "{said}");
    }
}
