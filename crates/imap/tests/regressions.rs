//! What other servers once got wrong and no dialogue can show: much at once, and things that happen at the same time.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod world;

use mail::Timestamp;
use testkit::transcript::Subject;
use world::{Client, PASSWORD, Settings, USER, World};

fn connected(world: &World) -> Client {
    let mut client = world.connect(Settings::default());
    let _ = client.read_until(|bytes| bytes.ends_with(b"ready\r\n"));
    assert!(client.command(&format!("LOGIN {USER} {PASSWORD}")).contains("t OK"));
    client
}

fn holds(bytes: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(text)
}

/// A message that comes while a client selects and begins to wait is told, in the one or in the other.
#[test]
fn no_wake_up_is_lost_between_select_and_idle() {
    let rounds = if std::env::var_os("POSTRIDER_LONG").is_some() { 2000 } else { 150 };
    let world = World::new();
    let mut client = connected(&world);
    for count in 1..=rounds {
        std::thread::scope(|scope| {
            scope.spawn(|| world.append("INBOX", b"A: \r\n\r\n", Timestamp::from_secs(1_793_000_000)));
            client.send(b"s SELECT INBOX\r\ni IDLE\r\n").unwrap();
            let told = format!("* {count} EXISTS\r\n");
            client.read_until(|bytes| holds(bytes, &told) && holds(bytes, "+ Waiting\r\n"));
        });
        client.send(b"DONE\r\n").unwrap();
        client.read_until(|bytes| holds(bytes, "i OK"));
    }
}

/// Commands by the thousand are answered in their order, and another client does not wait for that.
#[test]
fn thousands_of_commands_at_once() {
    const MANY: usize = 20_000;
    let world = World::new();
    world.append_many(3);
    let (mut one, mut other) = (connected(&world), connected(&world));
    one.command("SELECT INBOX");
    let mut all = String::new();
    for n in 0..MANY {
        let command = ["NOOP", "UID FETCH 1:* (FLAGS)", "XYZZY", "STORE 1 +FLAGS.SILENT (\\Seen)", "SEARCH ALL"][n % 5];
        all.push_str(&format!("p{n} {command}\r\n"));
    }
    one.send(all.as_bytes()).unwrap();
    // Before all are answered.
    assert!(other.command("STATUS INBOX (MESSAGES)").contains("MESSAGES 3"));
    let said = one.read_until(|bytes| holds(&bytes[bytes.len().saturating_sub(200)..], &format!("\r\np{} ", MANY - 1)));
    let said = String::from_utf8(said).unwrap();
    let tags: Vec<&str> = said.lines().filter(|line| line.starts_with('p')).collect();
    assert_eq!(tags.len(), MANY);
    for (n, line) in tags.into_iter().enumerate() {
        let (tag, rest) = line.split_once(' ').unwrap();
        assert_eq!(tag, format!("p{n}"));
        assert!(rest.starts_with(if n % 5 == 2 { "BAD" } else { "OK" }), "{line}");
    }
}

/// A result of many thousand messages is told whole, however it is asked for.
#[test]
fn long_results_are_whole() {
    const MANY: usize = 10_000;
    let world = World::new();
    world.append_many(MANY);
    let mut client = connected(&world);
    client.command("SELECT INBOX");
    let all: Vec<String> = (1..=MANY).map(|n| n.to_string()).collect();
    for (command, answer) in [
        ("SORT (SIZE) UTF-8 ALL", format!("* SORT {}\r\n", all.join(" "))),
        ("UID SORT (REVERSE ARRIVAL FROM) UTF-8 ALL", format!("* SORT {}\r\n", all.join(" "))),
        ("SEARCH ALL", format!("* SEARCH {}\r\n", all.join(" "))),
        ("UID SORT RETURN (ALL) (SUBJECT) UTF-8 ALL", format!("* ESEARCH (TAG \"t\") UID ALL 1:{MANY}\r\n")),
    ] {
        let said = client.command(command);
        assert!(said.contains(&answer), "{command}: {} octets of {}", said.len(), answer.len());
    }
}
