//! The operator's hand on the queue, by commands: choosing, looking before doing, pages, pauses.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use mail::{Address, BodyType, Domain, Envelope, QueueId, Recipient, ReversePath, Timestamp};
use store::{Acceptance, Attempt, Outcome, QueueRelay, Settlement, Store as _};
use store_local::{LocalStore, Options};

const PROGRAM: &str = env!("CARGO_BIN_EXE_postrider");

fn run(dir: &Path, arguments: &[&str]) -> Output {
    let config = dir.join("postrider.toml");
    Command::new(PROGRAM).args(arguments).arg("--config").arg(config).output().unwrap()
}

fn must(dir: &Path, arguments: &[&str]) -> String {
    let done = run(dir, arguments);
    assert!(done.status.success(), "{arguments:?}: {done:?}");
    String::from_utf8(done.stdout).unwrap()
}

fn fails(dir: &Path, arguments: &[&str]) -> String {
    let done = run(dir, arguments);
    assert_eq!(done.status.code(), Some(1), "{arguments:?}: {done:?}");
    String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap()
}

fn address(text: &str) -> Address {
    let (local, domain) = text.split_once('@').unwrap();
    Address::new(local, Domain::from_ascii(domain).unwrap()).unwrap()
}

/// A message that waits for these, who got it in vain with the last words `451 NAME says no`.
async fn queue(store: &LocalStore, sender: &str, recipients: &[&str]) -> QueueId {
    let now = Timestamp::from_secs(1_700_000_000);
    let far = Timestamp::from_secs(4_000_000_000);
    let recipients: Vec<Recipient> = recipients.iter().map(|to| Recipient::new(address(to))).collect();
    let relay = |to: &Recipient| QueueRelay {
        recipient: to.clone(),
        prefix: Vec::new(),
        destination: to.address.domain().clone(),
        next_attempt: far,
    };
    let acceptance = Acceptance {
        id: store.next_queue_id(now),
        received_at: now,
        message_id: None,
        deliveries: Vec::new(),
        relays: recipients.iter().map(relay).collect(),
        discarded: 0,
        events: Vec::new(),
        dsns: Vec::new(),
        marks: Vec::new(),
        envelope: Envelope {
            reverse_path: ReversePath::Address(address(sender)),
            recipients: recipients.clone(),
            body: BodyType::SevenBit,
            smtputf8: false,
            dsn_return: None,
            envelope_id: None,
            hold: None,
        },
    };
    let mut body = store.stage(None).await.unwrap();
    body.write(b"Subject: x\r\n\r\nx\r\n").await.unwrap();
    let id = store.accept(body, acceptance).await.unwrap().into_inner().id;
    let outcome = |(index, to): (usize, &Recipient)| {
        let words = format!("451 {} says No", to.address.domain());
        let attempt = Attempt { at: now, host: None, words, status: (4, 0, 0) };
        (u32::try_from(index).unwrap(), Outcome::Deferred { next_attempt: far, warned: false, attempt })
    };
    let outcomes = recipients.iter().enumerate().map(outcome).collect();
    store
        .settle(Settlement { id, outcomes, tried: Vec::new(), events: Vec::new(), dsns: Vec::new() })
        .await
        .unwrap()
        .into_inner();
    id
}

/// A server's folder whose queue has five messages; their ids.
fn house() -> (tempfile::TempDir, std::path::PathBuf, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("home");
    let init = ["init", dir.to_str().unwrap(), "--hostname", "mail.red.example", "--domain", "red.example"];
    assert!(Command::new(PROGRAM).args(init).output().unwrap().status.success());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ids = runtime.block_on(async {
        let store = LocalStore::open(dir.join("data"), Options::default()).unwrap();
        let mut ids = Vec::new();
        for n in 0..4 {
            ids.push(queue(&store, &format!("a{n}@red.example"), &["bob@blue.example", "carol@green.example"]).await);
        }
        ids.push(queue(&store, "a0@red.example", &["dave@green.example"]).await);
        store.close().await;
        ids.iter().map(ToString::to_string).collect()
    });
    (folder, dir, ids)
}

fn listed(dir: &Path, filter: &[&str]) -> Vec<(String, Vec<String>)> {
    let json = must(dir, &[&["queue", "list", "--json"], filter].concat());
    let list: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let recipients =
        |one: &serde_json::Value| one["recipients"].as_array().unwrap().iter().map(|to| text(&to["address"])).collect();
    list.iter().map(|one| (text(&one["id"]), recipients(one))).collect()
}

#[test]
fn what_is_listed_is_what_is_meant() {
    let (_folder, dir, ids) = house();
    assert_eq!(listed(&dir, &[]).len(), 5);
    let only_blue = listed(&dir, &["--recipient", "BLUE.example"]);
    assert_eq!(only_blue.len(), 4);
    assert!(only_blue.iter().all(|(_, to)| to == &["bob@blue.example"]), "{only_blue:?}");
    assert_eq!(listed(&dir, &["--sender", "a0@red.example"]).len(), 2);
    assert_eq!(listed(&dir, &["--sender", "a0@red.example", "--destination", "blue.example"]).len(), 1);
    assert_eq!(listed(&dir, &["--reason", "green.example says no"]).len(), 5);
    assert_eq!(listed(&dir, &["--reason", "nobody"]).len(), 0);
    assert_eq!(listed(&dir, &["--older-than", "2h"]).len(), 5);
    assert_eq!(listed(&dir, &["--older-than", "30000d"]).len(), 0);
    assert_eq!(listed(&dir, &["--held"]).len(), 0);
    // Page by page, each found once.
    let mut pages = vec![listed(&dir, &["--page", "2"])];
    while let Some((last, _)) = pages.last().unwrap().last().cloned() {
        pages.push(listed(&dir, &["--page", "2", "--after", &last]));
    }
    let sizes: Vec<usize> = pages.iter().map(Vec::len).collect();
    assert_eq!(sizes, [2, 2, 1, 0]);
    let found: Vec<String> = pages.concat().into_iter().map(|(id, _)| id).collect();
    assert_eq!(found, ids);
    let text = must(&dir, &["queue", "list", "--page", "2"]);
    assert!(text.ends_with(&format!("more: --after {}\n", ids[1])), "{text}");
    assert_eq!(must(&dir, &["queue", "list", "--held"]), "nothing waits\n");
}

#[test]
fn many_are_changed_only_after_a_look() {
    let (_folder, dir, ids) = house();
    let said = fails(&dir, &["queue", "hold"]);
    assert!(said.contains("say which"), "{said}");
    let hold = ["queue", "hold", "--destination", "blue.example"];
    let said = fails(&dir, &hold);
    assert!(said.contains("4 recipients of 4 messages would be held: ") && said.contains("add --yes"), "{said}");
    must(&dir, &[&hold[..], &["--dry-run"]].concat());
    assert_eq!(listed(&dir, &["--held"]), []);
    assert_eq!(must(&dir, &[&hold[..], &["--yes"]].concat()), "held: 4 recipients of 4 messages\n");
    assert_eq!(listed(&dir, &["--held"]).len(), 4);
    assert_eq!(listed(&dir, &["--waiting"]).len(), 5, "the other recipients of the same messages");
    must(&dir, &["queue", "release", "--held", "--yes"]);
    assert_eq!(listed(&dir, &["--held"]).len(), 0);
    // Named ones need no second word.
    must(&dir, &["queue", "drop", &ids[0], &ids[1]]);
    assert_eq!(listed(&dir, &[]).len(), 3);
    let redirect = ["queue", "redirect", "--to", "new@far.example", "--recipient", "dave@green.example", "--yes"];
    must(&dir, &redirect);
    assert_eq!(listed(&dir, &["--recipient", "new@far.example"]).len(), 1);
    let trace = must(&dir, &["trace", &ids[4]]);
    assert!(trace.contains("redirected    dave@green.example → new@far.example (operator)"), "{trace}");
    let said = fails(&dir, &["queue", "redirect", &ids[4], "--to", "nobody@red.example"]);
    assert!(said.contains("there is no account nobody@red.example here"), "{said}");
    // One destination's mail goes back, the other's stays.
    must(&dir, &["queue", "bounce", "--destination", "green.example", "--yes"]);
    assert_eq!(listed(&dir, &["--destination", "green.example"]).len(), 0);
    assert_eq!(listed(&dir, &["--destination", "blue.example"]).len(), 2);
    must(&dir, &["check"]);
}

#[test]
fn destinations_are_paused_and_resumed() {
    let (_folder, dir, ids) = house();
    must(&dir, &["queue", "pause", "blue.example"]);
    must(&dir, &["queue", "pause", "unused.example"]);
    let said = fails(&dir, &["queue", "pause", "blue.example"]);
    assert!(said.contains("blue.example is paused already"), "{said}");
    let trace = must(&dir, &["trace", &ids[0]]);
    assert!(trace.contains("bob@blue.example, waits: destination paused by the operator"), "{trace}");
    assert!(trace.contains("carol@green.example, next try at"), "{trace}");
    let json = must(&dir, &["queue", "destinations", "--json"]);
    let all: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    let names: Vec<_> = all.iter().map(|one| one["destination"].as_str().unwrap()).collect();
    assert_eq!(names, ["blue.example", "green.example", "unused.example"]);
    assert_eq!((&all[0]["recipients"], &all[1]["recipients"]), (&4.into(), &5.into()));
    assert!(all[0]["paused_since"].is_i64() && all[1]["paused_since"].is_null());
    must(&dir, &["queue", "resume", "blue.example"]);
    let said = fails(&dir, &["queue", "resume", "blue.example"]);
    assert!(said.contains("blue.example is not paused"), "{said}");
    assert!(!must(&dir, &["trace", &ids[0]]).contains("paused by the operator"));
}

/// By a link, as cron has it; with the exit codes that programs look at, and with a server or without one.
#[test]
fn sendmail_takes_what_programs_give_it() {
    let (folder, dir, _) = house();
    let link = folder.path().join("sendmail");
    std::os::unix::fs::symlink(PROGRAM, &link).unwrap();
    let config = dir.join("postrider.toml");
    let send = |arguments: &[&str], input: &str| {
        let mut command = Command::new(&link);
        command.args(arguments).env("POSTRIDER_CONFIG", &config).env_remove("POSTRIDER_SERVER");
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let done = child.wait_with_output().unwrap();
        (done.status.code().unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    let message = "To: Eve <eve@blue.example>\nBcc: carol@green.example\nSubject: job\n\nit ran\n.\nnot sent\n";
    assert_eq!(send(&["-t", "-oem", "-F", "Job"], message), (0, String::new()));
    let found = listed(&dir, &["--recipient", "eve@blue.example"]);
    let trace = must(&dir, &["trace", &found[0].0]);
    assert!(trace.contains("@red.example\n") && trace.contains("received      from "), "{trace}");
    assert_eq!(listed(&dir, &["--recipient", "carol@green.example"]).len(), 5);
    assert_eq!(send(&["-f", "<>", "frank@blue.example"], "Subject: x\n\nx\n").0, 0);
    assert_eq!(listed(&dir, &["--sender", "<>"]).len(), 1);
    let (code, said) = send(&["root"], "Subject: x\n\nx\n");
    assert!(code == 67 && said.contains("550 5.1.1 <root@red.example>"), "{code} {said}");
    assert_eq!(send(&["-t"], "Subject: x\n\nx\n").0, 64);
    assert_eq!(send(&["-bs"], "").0, 64);
    assert_eq!(send(&["a@blue.example"], "Subject: x\n\na\rb\n").0, 65);
    let listed = Command::new(&link).arg("-bp").env("POSTRIDER_CONFIG", &config).output().unwrap();
    assert!(String::from_utf8(listed.stdout).unwrap().contains("eve@blue.example"));
    must(&dir, &["check"]);
}
