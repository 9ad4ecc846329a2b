//! Scripts over real sockets on the embedded store: each action, in one commit with the delivery, and what the journey says of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod scene;

use std::sync::Arc;

use mail::AccountId;
use mta::script::{Everybody, Ready, Scripts};
use scene::World;
use scene::client::Client;
use server::listen::Service;
use store::conformance::address;
use store::{AwayNotice, DirectoryEntry, JourneyQuery, ScriptChange, Scripts as _, Store, What};

const ALICE: &str = "alice@red.example";
const BOB: &str = "bob@red.example";
const CAROL: &str = "carol@elsewhere.example";

fn account(world: &World, who: &str) -> AccountId {
    match world.runtime.block_on(world.store.entry(&address(who))).unwrap() {
        Some(DirectoryEntry::Account(account)) => account.id,
        _ => panic!("{who} is no account"),
    }
}

/// A system, a client of it, and the scripts of people.
fn with(scripts: &[(&str, &str)]) -> (World, Client) {
    let mut world = World::new();
    world.filters = vec![Arc::new(Scripts::new(world.store.clone(), Arc::default()))];
    for (who, text) in scripts {
        put(&world, who, "rules", text);
        let activate = vec![ScriptChange::Activate("rules".into())];
        let _ = world.runtime.block_on(world.store.change_scripts(account(&world, who), activate)).unwrap();
    }
    let client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    (world, client)
}

fn put(world: &World, who: &str, name: &str, text: &str) {
    let change = vec![ScriptChange::Put(name.into(), text.into())];
    let _ = world.runtime.block_on(world.store.change_scripts(account(world, who), change)).unwrap();
}

/// What the journey of a message that was taken says, each event in a few words.
fn journey(world: &World, reply: &str) -> Vec<String> {
    let id = reply.strip_prefix("250 2.0.0 Ok: queued as ").unwrap_or_else(|| panic!("{reply}")).trim().parse();
    let found = world.runtime.block_on(world.store.journeys(&JourneyQuery::Id(id.unwrap()), 1)).unwrap();
    let words = |what| match what {
        What::Sorted { rule, words, .. } => Some(format!("{rule} {words}")),
        What::Delivered { account, mailbox } => Some(format!("{account} {mailbox}")),
        What::Queued { destination } => Some(format!("queued for {destination}")),
        What::Discarded { rule } => Some(format!("discarded by {rule}")),
        What::Reported { kind, .. } => Some(format!("reported {kind}")),
        What::Answered { .. } => Some("answered".to_owned()),
        What::NotAnswered { rule, .. } => Some(rule),
        _ => None,
    };
    found.into_iter().flat_map(|one| one.events).filter_map(|event| words(event.what)).collect()
}

/// Queued messages: from whom to whom, and their octets.
fn queued(world: &World) -> Vec<(String, String, String)> {
    world.runtime.block_on(async {
        let mut all = Vec::new();
        for message in world.store.queue_messages(None, 99).await.unwrap() {
            let body = world.store.queue_body(message.id, 0).await.unwrap();
            let text = String::from_utf8_lossy(&body.read(0..body.size()).await.unwrap()).into_owned();
            let to = message.recipients[0].address.to_string();
            all.push((message.envelope.reverse_path.to_string(), to, text));
        }
        all
    })
}

const HELLO: &str =
    "From: carol@elsewhere.example\r\nTo: alice@red.example\r\nSubject: Hello\r\nMessage-ID: <1@x>\r\n\r\nHi\r\n";

#[test]
fn copies_go_into_mailboxes_with_marks() {
    let (world, mut client) = with(&[(
        ALICE,
        "require [\"fileinto\", \"mailbox\", \"imap4flags\", \"copy\", \"special-use\"];
         if header \"Subject\" \"Hello\" {
           fileinto :create :flags [\"\\\\Seen\", \"$Work\"] \"Lists/Acme\";
           fileinto :specialuse \"\\\\Archive\" \"Nowhere\";
         } elsif header \"Subject\" \"Lost\" { fileinto \"Missing\"; }",
    )]);
    let reply = client.send(CAROL, &[ALICE, BOB], HELLO);
    assert_eq!(
        journey(&world, &reply),
        [
            "bob@red.example INBOX",
            "sieve “rules”, line 3 puts it into Lists/Acme, which is made for it, marked \\Seen $Work",
            "alice@red.example Lists/Acme",
            "sieve “rules”, line 4 puts it into Archive",
            "alice@red.example Archive",
        ]
    );
    assert_eq!(world.inbox(ALICE).len(), 0);
    assert_eq!(world.mailbox(ALICE, "Archive").len(), 1);
    assert!(world.mailbox(ALICE, "Lists/Acme")[0].contains("\r\n\r\nHi\r\n"));
    let alice = account(&world, ALICE);
    world.runtime.block_on(async {
        let lists = world.store.mailbox(alice, "Lists/Acme").await.unwrap().unwrap();
        let newest = world.store.watch(lists).await.unwrap().newest().unwrap();
        let row = newest.iter().next().unwrap();
        assert!(row.flags.contains(mail::Flags::SEEN) && row.keywords == 1);
    });
    let reply = client.send(CAROL, &[ALICE], &HELLO.replace("Hello", "Lost"));
    let told = journey(&world, &reply);
    assert_eq!(told[0], "sieve “rules”, line 5 puts it into INBOX, for there is no mailbox Missing");
    client.send(CAROL, &[ALICE], &HELLO.replace("Hello", "Other"));
    assert_eq!(world.inbox(ALICE).len(), 2);
}

#[test]
fn what_is_thrown_away_is_accounted_for() {
    let (world, mut client) = with(&[(ALICE, "discard;")]);
    let reply = client.send(CAROL, &[ALICE], HELLO);
    assert_eq!(
        journey(&world, &reply),
        ["sieve “rules”, line 1 wants it thrown away", "discarded by sieve “rules”, line 1"]
    );
    let balance = world.runtime.block_on(world.store.balance()).unwrap();
    assert_eq!((balance.accepted, balance.discarded, balance.delivered), (1, 1, 0));
}

#[test]
fn mail_is_sent_on_and_does_not_go_round() {
    let script = "require \"copy\"; redirect :copy \"dave@far.example\"; redirect \"bob@red.example\";";
    let (world, mut client) = with(&[(ALICE, script)]);
    let reply = client.send(CAROL, &[ALICE], HELLO);
    assert_eq!(
        journey(&world, &reply),
        [
            "sieve “rules”, line 1 sends it on to dave@far.example",
            "queued for far.example",
            "sieve “rules”, line 1 sends it on to bob@red.example",
            "bob@red.example INBOX",
        ]
    );
    let [(from, to, text)] = &queued(&world)[..] else { panic!("one message") };
    assert_eq!((from.as_str(), to.as_str()), ("<carol@elsewhere.example>", "dave@far.example"));
    assert!(text.starts_with("Delivered-To: alice@red.example\r\n"), "{text}");
    // What comes back is a loop.
    let reply = client.send(CAROL, &[ALICE], text);
    assert!(reply.starts_with("554 5.4.6"), "{reply}");
    let (world, mut client) = with(&[(ALICE, "redirect \"gone@red.example\";")]);
    let reply = client.send(CAROL, &[ALICE], HELLO);
    let told = "sieve “rules”, line 1 wants it sent on to gone@red.example, which nobody takes: it is kept";
    assert_eq!(journey(&world, &reply), [told, "alice@red.example INBOX"]);
}

#[test]
fn what_all_give_back_is_refused_and_what_some_do_is_reported() {
    let script = "require \"reject\"; reject \"I don't\n want it\";";
    let (world, mut client) = with(&[(ALICE, script)]);
    assert_eq!(client.send(CAROL, &[ALICE], HELLO), "550 5.7.1 I don't want it");
    let reply = client.send(CAROL, &[ALICE, BOB], HELLO);
    assert_eq!(
        journey(&world, &reply),
        [
            "bob@red.example INBOX",
            "sieve “rules”, line 1 gives it back",
            "reported failed",
            "discarded by sieve “rules”, line 1",
        ]
    );
    let [(from, to, text)] = &queued(&world)[..] else { panic!("one report") };
    assert_eq!((from.as_str(), to.as_str()), ("<>", CAROL));
    assert!(text.contains("I don't want it") && text.contains("Final-Recipient: rfc822; alice@red.example"), "{text}");
    // RFC 5321 §6.1: never a report about a report.
    let reply = client.send("", &[ALICE, BOB], HELLO);
    assert!(!journey(&world, &reply).contains(&"reported failed".to_owned()));
    let (_world, mut client) = with(&[(ALICE, "require \"reject\"; reject \"Grüße\";")]);
    assert_eq!(client.send(CAROL, &[ALICE], HELLO), "550 5.7.1 The recipient does not want this message");
}

/// The script's words go before those of the account's notice, once for each handle.
#[test]
fn who_is_away_says_so_once() {
    let script = "require \"vacation\"; vacation :subject \"Away\" :addresses \"al@other.example\" \"Back soon.\";";
    let (world, mut client) = with(&[(ALICE, script)]);
    let notice = AwayNotice { enabled: true, text: Some("The notice".into()), ..AwayNotice::default() };
    let _ = world.runtime.block_on(world.store.set_away_notice(account(&world, ALICE), notice)).unwrap();
    let reply = client.send(CAROL, &[ALICE], HELLO);
    let said = "sieve “rules”, line 1 says that its owner is away";
    assert_eq!(journey(&world, &reply), [said, "alice@red.example INBOX", "answered"]);
    let [(from, to, text)] = &queued(&world)[..] else { panic!("one reply") };
    assert_eq!((from.as_str(), to.as_str()), ("<>", CAROL));
    assert!(text.contains("Subject: Away\r\n") && text.ends_with("\r\n\r\nBack soon.\r\n"), "{text}");
    let reply = client.send(CAROL, &[ALICE], HELLO);
    assert_eq!(journey(&world, &reply)[2], "told");
    let other = HELLO.replace("To: alice@red.example", "To: al@other.example");
    let reply = client.send("dave@elsewhere.example", &[ALICE], &other);
    assert_eq!(journey(&world, &reply)[2], "answered");
    let reply = client.send("eve@elsewhere.example", &[ALICE], &HELLO.replace("To: alice@", "To: al@"));
    assert_eq!(journey(&world, &reply)[1], "not-named");
    put(
        &world,
        ALICE,
        "rules",
        "require \"vacation\"; vacation :mime \"Content-Type: text/html\nBcc: x@y.example\n\n<p>Gone\";",
    );
    let reply = client.send(CAROL, &[ALICE], HELLO);
    assert_eq!(journey(&world, &reply)[2], "answered");
    let text = &queued(&world)[2].2;
    assert!(text.contains("MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p>Gone"), "{text}");
    assert!(!text.contains("Bcc"), "{text}");
}

#[test]
fn others_are_told_of_what_people_wrote() {
    let script = "require \"enotify\"; notify :message \"Mail!\" \"mailto:dave@far.example\";";
    let (world, mut client) = with(&[(ALICE, script)]);
    let reply = client.send(CAROL, &[ALICE], HELLO);
    assert!(journey(&world, &reply)[0].starts_with("sieve “rules”, line 1 tells others of it by "));
    let [(from, to, text)] = &queued(&world)[..] else { panic!("one notice") };
    assert_eq!((from.as_str(), to.as_str()), ("<>", "dave@far.example"));
    for line in ["From: alice@red.example\r\n", "Auto-Submitted: auto-notified; owner-email=", "Subject: Mail!\r\n"] {
        assert!(text.contains(line), "{line} {text}");
    }
    let automatic = format!("Auto-Submitted: auto-notified\r\n{HELLO}");
    let reply = client.send(CAROL, &[ALICE], &automatic);
    assert_eq!(journey(&world, &reply)[0], "sieve “rules”, line 1 tells nobody of it: a program made the message");
    assert_eq!(queued(&world).len(), 1);
}

#[test]
fn what_came_before_is_known_again() {
    let (world, mut client) = with(&[(ALICE, "require \"duplicate\"; if duplicate { discard; }")]);
    client.send(CAROL, &[ALICE], HELLO);
    let again = client.send(CAROL, &[ALICE], HELLO);
    assert_eq!(journey(&world, &again).last().unwrap(), "discarded by sieve “rules”, line 1");
    client.send(CAROL, &[ALICE], &HELLO.replace("<1@x>", "<2@x>"));
    assert_eq!(world.inbox(ALICE).len(), 2);
}

/// Fields on top belong to the copy; a header that is changed otherwise makes it a message of its own. The other's is as it came.
#[test]
fn the_copy_has_the_header_that_the_script_gives_it() {
    let (world, mut client) = with(&[(ALICE, "require \"editheader\"; addheader \"X-Seen\" \"by me\";")]);
    let reply = client.send(CAROL, &[ALICE, BOB], HELLO);
    assert_eq!(journey(&world, &reply), ["bob@red.example INBOX", "alice@red.example INBOX"]);
    let text = world.inbox(ALICE).remove(0);
    assert!(text.contains("Delivered-To: alice@red.example\r\nX-Seen: by me\r\nReceived: "), "{text}");
    assert!(!world.inbox(BOB)[0].contains("X-Seen"));
    put(
        &world,
        ALICE,
        "rules",
        "require \"editheader\"; deleteheader \"Subject\"; addheader :last \"Subject\" \"Other\";",
    );
    let reply = client.send(CAROL, &[ALICE, BOB], HELLO);
    assert!(journey(&world, &reply)[1].starts_with("sieve “rules” changes its header: the copy is "));
    let text = world.inbox(ALICE).remove(1);
    assert!(text.contains("Message-ID: <1@x>\r\nSubject: Other\r\n\r\nHi\r\n") && !text.contains("Hello"), "{text}");
    assert!(world.inbox(BOB)[1].contains("Subject: Hello\r\n"));
    let balance = world.runtime.block_on(world.store.balance()).unwrap();
    assert_eq!((balance.accepted, balance.delivered, balance.discarded), (4, 4, 0));
}

#[test]
fn a_script_that_fails_keeps_the_message() {
    let script = "require [\"include\", \"fileinto\", \"variables\"]; include \"more\"; fileinto \"Archive\";";
    let (world, mut client) = with(&[(ALICE, script)]);
    let reply = client.send(CAROL, &[ALICE], HELLO);
    let told = journey(&world, &reply);
    assert!(
        told[0].contains("sieve “rules”, line 1 fails: there is no personal script “more” to include; it is kept"),
        "{told:?}"
    );
    assert_eq!(told[1..], ["alice@red.example INBOX"]);
    put(&world, ALICE, "more", "require \"fileinto\"; fileinto \"Trash\"; stop;");
    let reply = client.send(CAROL, &[ALICE], HELLO);
    let told = journey(&world, &reply);
    assert_eq!(told, ["sieve “more”, line 1 puts it into Trash", "alice@red.example Trash"]);
    // The operator's backup may hold what this version does not understand.
    put(&world, ALICE, "rules", "nonsense");
    let told = journey(&world, &client.send(CAROL, &[ALICE], HELLO));
    assert!(told[0].starts_with("sieve “rules” can't be run: line 1"), "{told:?}");
    assert_eq!(world.inbox(ALICE).len(), 2);
}

/// A session of ManageSieve: what is put is run with the next delivery; what can't be compiled is refused with the place.
#[test]
fn the_owner_puts_and_chooses_scripts() {
    use std::io::{BufRead as _, BufReader, Write as _};

    let (mut world, mut client) = with(&[]);
    let server = world.serve_filters();
    let stream = std::net::TcpStream::connect(server).unwrap();
    let (mut reader, mut writer) = (BufReader::new(stream.try_clone().unwrap()), stream);
    let mut answer = || {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(reader.read_line(&mut line).unwrap() > 0, "{lines:?}");
            lines.push(line.trim_end().to_owned());
            if ["OK", "NO", "BYE"].iter().any(|end| line.starts_with(end)) {
                return lines.join("\n");
            }
        }
    };
    assert!(answer().contains("\"SIEVE\" \"body "));
    let mut say = |words: &str| {
        writer.write_all(words.as_bytes()).unwrap();
        answer()
    };
    // "\0alice@red.example\0wrong", and with the right password.
    let wrong = say("AUTHENTICATE \"PLAIN\" \"AGFsaWNlQHJlZC5leGFtcGxlAHdyb25n\"\r\n");
    assert_eq!(wrong, "NO \"Wrong user name or password\"");
    let right = say("AUTHENTICATE \"PLAIN\" \"AGFsaWNlQHJlZC5leGFtcGxlAHNlY3JldA==\"\r\n");
    assert_eq!(right, "OK \"Logged in\"");
    for (words, reply) in [
        ("PUTSCRIPT \"a\" \"discard\"\r\n", "NO \"line 1, column 8: "),
        ("CHECKSCRIPT \"discard;\"\r\n", "OK"),
        ("HAVESPACE \"a\" 262145\r\n", "NO (QUOTA/MAXSIZE)"),
        ("HAVESPACE \"a\" 262144\r\n", "OK"),
        ("PUTSCRIPT \"a\" {8+}\r\ndiscard;\r\n", "OK"),
        ("SETACTIVE \"b\"\r\n", "NO (NONEXISTENT)"),
        ("SETACTIVE \"a\"\r\n", "OK"),
        ("DELETESCRIPT \"a\"\r\n", "NO (ACTIVE)"),
        ("PUTSCRIPT \"b\" \"keep;\"\r\n", "OK"),
        ("RENAMESCRIPT \"a\" \"b\"\r\n", "NO (ALREADYEXISTS)"),
        ("RENAMESCRIPT \"a\" \"c\"\r\n", "OK"),
        ("LISTSCRIPTS\r\n", "\"b\"\n\"c\" ACTIVE\nOK"),
        ("GETSCRIPT \"c\"\r\n", "{8}\ndiscard;\nOK"),
    ] {
        let said = say(words);
        assert!(said.starts_with(reply), "{words}{said}");
    }
    let told = journey(&world, &client.send(CAROL, &[ALICE], HELLO));
    assert_eq!(told.last().unwrap(), "discarded by sieve “c”, line 1");
    assert!(say("SETACTIVE \"\"\r\n").starts_with("OK"));
    client.send(CAROL, &[ALICE], HELLO);
    assert_eq!(world.inbox(ALICE).len(), 1);
    assert!(say("LOGOUT\r\n").starts_with("OK"));
}

/// The operator's scripts run for everybody, before and after what accounts say; who includes one by `:global` finds it.
#[test]
fn the_operator_filters_for_everybody() {
    let mut world = World::new();
    let script = |name: &str, text: &str| Ready::new(name.to_owned(), text.to_owned()).unwrap();
    let before = "if header \"Subject\" \"Virus\" { discard; stop; }";
    let after = "require \"fileinto\"; if header \"Subject\" \"News\" { fileinto \"Archive\"; }";
    let everybody = Everybody {
        before: vec![script("before", before)],
        after: vec![script("after", after)],
        global: vec![script("shared", "require \"fileinto\"; fileinto \"Trash\";")],
    };
    world.filters = vec![Arc::new(Scripts::new(world.store.clone(), Arc::new(everybody)))];
    put(&world, ALICE, "rules", "require \"include\"; if header \"Subject\" \"Hello\" { include :global \"shared\"; }");
    let activate = vec![ScriptChange::Activate("rules".into())];
    let _ = world.runtime.block_on(world.store.change_scripts(account(&world, ALICE), activate)).unwrap();
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    let mut told = |subject: &str, who: &[&str]| {
        let reply = client.send(CAROL, who, &HELLO.replace("Hello", subject));
        journey(&world, &reply)
    };
    assert_eq!(told("Virus", &[BOB]).last().unwrap(), "discarded by sieve “before”, line 1");
    assert_eq!(told("News", &[BOB]).last().unwrap(), "bob@red.example Archive");
    assert_eq!(told("News", &[ALICE]).last().unwrap(), "alice@red.example Archive");
    assert_eq!(told("Hello", &[ALICE]).last().unwrap(), "alice@red.example Trash");
    assert_eq!(told("Other", &[ALICE, BOB]), ["alice@red.example INBOX", "bob@red.example INBOX"]);
}
