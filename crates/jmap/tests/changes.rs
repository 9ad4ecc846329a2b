//! Whatever is done to an account, by JMAP or past it, `/changes` brings a client that was anywhere on the way to the
//! server's state, in steps of any size.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use std::collections::BTreeMap;

use mail::{Flags, MailboxId, Timestamp, Uid};
use serde_json::{Value, json};
use store::{FlagChange, FlagOperation, Store};
use testkit::random::Random;
use world::{NOW, World};

/// A client's copy: objects by id, of each type.
#[derive(Clone, Debug, PartialEq)]
struct Copy {
    state: String,
    objects: BTreeMap<String, Value>,
}

const TYPES: [&str; 3] = ["Mailbox", "Email", "Thread"];

fn fetch(world: &World, kind: &str, ids: Value) -> (String, Vec<Value>) {
    let mut arguments = json!({ "ids": ids });
    if kind == "Email" {
        arguments["properties"] = json!(["id", "mailboxIds", "keywords", "threadId"]);
    }
    let got = world.ok(&format!("{kind}/get"), arguments);
    (got["state"].as_str().unwrap().to_owned(), got["list"].as_array().unwrap().clone())
}

fn all(world: &World, kind: &str) -> Copy {
    let ids = match kind {
        "Thread" => {
            let (_, emails) = fetch(world, "Email", Value::Null);
            emails.iter().map(|email| email["threadId"].clone()).collect::<Vec<_>>().into()
        }
        _ => Value::Null,
    };
    let (state, list) = fetch(world, kind, ids);
    Copy { state, objects: list.into_iter().map(|one| (one["id"].as_str().unwrap().to_owned(), one)).collect() }
}

/// Brings a copy up to date as a client does, `most` changes at a time. False: it must fetch all again.
fn follow(world: &World, kind: &str, copy: &mut Copy, most: Option<u64>) -> bool {
    loop {
        let mut arguments = json!({ "sinceState": copy.state });
        if let Some(most) = most {
            arguments["maxChanges"] = most.into();
        }
        let (answered, changes) = world.call(&format!("{kind}/changes"), arguments);
        if answered == "error" {
            assert_eq!(changes["type"], "cannotCalculateChanges");
            return false;
        }
        let list = |name: &str| -> Vec<String> {
            changes[name].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
        };
        let (created, updated, destroyed) = (list("created"), list("updated"), list("destroyed"));
        if let Some(most) = most {
            assert!((created.len() + updated.len() + destroyed.len()) as u64 <= most);
        }
        for id in &destroyed {
            copy.objects.remove(id);
        }
        // What is updated, a client knows already; else it would not know what to do with it.
        for id in &updated {
            assert!(copy.objects.contains_key(id), "{kind} {id} was updated and not known: {changes}");
        }
        let wanted: Vec<String> = created.into_iter().chain(updated).collect();
        let (_, got) = fetch(world, kind, wanted.clone().into());
        for id in &wanted {
            copy.objects.remove(id);
        }
        copy.objects.extend(got.into_iter().map(|one| (one["id"].as_str().unwrap().to_owned(), one)));
        let state = changes["newState"].as_str().unwrap().to_owned();
        let more = changes["hasMoreChanges"].as_bool().unwrap();
        assert!(!more || state != copy.state, "{changes}");
        copy.state = state;
        if !more {
            return true;
        }
    }
}

struct Play<'w> {
    world: &'w World,
    random: Random,
}

impl Play<'_> {
    fn below(&mut self, most: usize) -> usize {
        self.random.below(most)
    }

    /// Something happens, by JMAP or as IMAP, POP3 and SMTP do it.
    fn step(&mut self) {
        let world = self.world;
        let account = world.account();
        let boxes = world.runtime.block_on(world.store.mailboxes(account)).unwrap();
        let boxes: Vec<(MailboxId, String)> =
            boxes.into_iter().filter_map(|info| Some((info.id?, info.name))).collect();
        let (mailbox, name) = boxes[self.below(boxes.len())].clone();
        let (other, other_name) = boxes[self.below(boxes.len())].clone();
        let store = &world.store;
        let rows: Vec<Uid> =
            world.runtime.block_on(store.watch(mailbox)).unwrap().newest().unwrap().iter().map(|row| row.uid).collect();
        let some: Vec<Uid> = rows.iter().copied().filter(|_| self.random.below(2) == 0).collect();
        let emails = fetch(world, "Email", Value::Null).1;
        let flags = [Flags::SEEN, Flags::DELETED, Flags::FLAGGED, Flags::DRAFT][self.below(4)];
        let operation = [FlagOperation::Add, FlagOperation::Remove, FlagOperation::Replace][self.below(3)];
        let n = self.below(1000);
        match self.below(14) {
            0..=2 => world.append(
                &name,
                // A few conversations, and messages that are in none.
                match n % 8 {
                    n @ 0..=2 => format!("Subject: {n}\r\nMessage-ID: <{n}@x>\r\n\r\n{n}\r\n"),
                    n @ 3..=5 => format!("Subject: {n}\r\nReferences: <{}@x>\r\n\r\n{n}\r\n", n - 3),
                    _ => format!("Subject: {n}\r\n\r\n{n}\r\n"),
                }
                .as_bytes(),
                Timestamp::from_secs(n as i64),
                flags,
            ),
            3 => {
                let change = FlagChange { operation, flags, keywords: Vec::new(), unchanged_since: None };
                let _ = world.runtime.block_on(store.set_flags(mailbox, &some, change)).unwrap();
            }
            4 => drop(world.runtime.block_on(store.copy(mailbox, &some, other, NOW)).unwrap().into_inner()),
            5 => drop(world.runtime.block_on(store.move_messages(mailbox, &some, other, NOW)).unwrap().into_inner()),
            6 => drop(world.runtime.block_on(store.expunge(mailbox, &some)).unwrap().into_inner()),
            7 => drop(
                world
                    .runtime
                    .block_on(store.create_mailbox(account, &format!("{name}/m{n}"), None))
                    .map(mail::Durable::into_inner),
            ),
            8 => drop(
                world
                    .runtime
                    .block_on(store.rename_mailbox(account, &name, &format!("r{n}"), NOW))
                    .map(mail::Durable::into_inner),
            ),
            9 => {
                drop(world.runtime.block_on(store.delete_mailbox(account, &other_name)).map(mail::Durable::into_inner))
            }
            10 => drop(
                world
                    .runtime
                    .block_on(store.subscribe(account, &name, n.is_multiple_of(2)))
                    .map(mail::Durable::into_inner),
            ),
            11 if !emails.is_empty() => {
                let email = &emails[self.below(emails.len())]["id"];
                let mut patch =
                    json!({ "keywords/$seen": if n.is_multiple_of(2) { json!(true) } else { Value::Null } });
                if n.is_multiple_of(3) {
                    patch["mailboxIds"] = json!({ format!("F{}", mailbox.0): true, format!("F{}", other.0): true });
                }
                world.ok("Email/set", json!({ "update": { email.as_str().unwrap(): patch } }));
            }
            12 if !emails.is_empty() => {
                let email = &emails[self.below(emails.len())]["id"];
                world.ok("Email/set", json!({ "destroy": [email] }));
            }
            _ => {
                let email = json!({ "mailboxIds": { format!("F{}", mailbox.0): true, format!("F{}", other.0): true }, "subject": "made" });
                world.ok("Email/set", json!({ "create": { "a": email } }));
            }
        }
    }
}

fn play(seed: u64, steps: usize) {
    let world = World::new();
    let mut play = Play { world: &world, random: Random::new(seed) };
    // Copies of all moments on the way, and one that follows step by step.
    let mut copies: Vec<Vec<Copy>> = Vec::new();
    let mut close: Vec<Copy> = TYPES.iter().map(|kind| all(&world, kind)).collect();
    for step in 0..steps {
        copies.push(TYPES.iter().map(|kind| all(&world, kind)).collect());
        play.step();
        for (kind, copy) in TYPES.iter().zip(&mut close) {
            assert!(follow(&world, kind, copy, None), "seed {seed}, step {step}");
            assert_eq!(*copy, all(&world, kind), "seed {seed}, step {step}, {kind}");
        }
    }
    for (at, copies) in copies.into_iter().enumerate() {
        for (kind, copy) in TYPES.iter().zip(copies) {
            for most in [None, Some(1), Some(3), Some(7)] {
                let mut copy = copy.clone();
                if follow(&world, kind, &mut copy, most) {
                    assert_eq!(copy, all(&world, kind), "seed {seed}, from step {at}, {kind}, {most:?}");
                } else {
                    // Only where one commit changed more than the client takes.
                    assert!(most.is_some(), "seed {seed}, from step {at}, {kind}");
                }
            }
        }
    }
}

#[test]
fn changes_lead_to_the_servers_state() {
    let (seeds, steps) = if std::env::var_os("POSTRIDER_LONG").is_some() { (40, 40) } else { (4, 16) };
    (0..seeds).for_each(|seed| play(seed, steps));
}

/// `queryChanges` of a filter and a sort by what changes: the client's list becomes the server's.
#[test]
fn changes_of_a_query_lead_to_its_result() {
    let world = World::new();
    let mut play = Play { world: &world, random: Random::new(99) };
    let query = json!({ "filter": { "operator": "OR", "conditions": [{ "inMailbox": "F1" }, { "hasKeyword": "$seen" }] },
        "sort": [{ "property": "hasKeyword", "keyword": "$flagged" }, { "property": "receivedAt", "isAscending": false }], "collapseThreads": true });
    let ids = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    };
    let first = world.ok("Email/query", query.clone());
    let (mut state, mut list) = (first["queryState"].clone(), ids(&first["ids"]));
    for step in 0..60 {
        play.step();
        let mut asked = query.clone();
        asked["sinceQueryState"] = state;
        let changes = world.ok("Email/queryChanges", asked);
        let removed = ids(&changes["removed"]);
        list.retain(|id| !removed.contains(id));
        for added in changes["added"].as_array().unwrap() {
            list.insert(added["index"].as_u64().unwrap() as usize, added["id"].as_str().unwrap().to_owned());
        }
        state = changes["newQueryState"].clone();
        assert_eq!(list, ids(&world.ok("Email/query", query.clone())["ids"]), "step {step}");
    }
}

/// RFC 8621 §4.1.1: who marks a message \Deleted in IMAP takes it away here, and who takes the mark away brings it back.
#[test]
fn what_is_marked_deleted_goes_and_comes_back() {
    let world = World::new();
    world.append("INBOX", b"Subject: x\r\n\r\nx\r\n", NOW, Flags::NONE);
    let mark = |operation: FlagOperation| {
        let change = FlagChange { operation, flags: Flags::DELETED, keywords: Vec::new(), unchanged_since: None };
        let done = world.store.set_flags(MailboxId(1), &[Uid::FIRST], change);
        drop(world.runtime.block_on(done).unwrap().into_inner());
    };
    let mut copies: Vec<Copy> = TYPES.iter().map(|kind| all(&world, kind)).collect();
    let before = copies.clone();
    mark(FlagOperation::Add);
    assert_eq!(world.ok("Mailbox/get", json!({ "ids": ["F1"] }))["list"][0]["totalEmails"], 0);
    for operation in [None, Some(FlagOperation::Remove), Some(FlagOperation::Add), Some(FlagOperation::Replace)] {
        operation.into_iter().for_each(mark);
        for ((kind, copy), old) in TYPES.iter().zip(&mut copies).zip(&before) {
            assert!(follow(&world, kind, copy, None));
            assert_eq!(*copy, all(&world, kind), "{operation:?} {kind}");
            // Who was away the whole time comes to the same.
            let mut old = old.clone();
            assert!(follow(&world, kind, &mut old, Some(1)));
            assert_eq!(old, *copy, "{operation:?} {kind}");
        }
    }
}
