//! What is told to those who listen: each change of each type, of all that a user sees, and no other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use jmap::push::{Ear, States, Types};
use mail::{Flags, MailboxId, Rights};
use serde_json::{Value, json};
use std::sync::Arc;
use store::{GrantChange, GrantOperation, Store};
use world::{NOW, World};

/// An ear, and what a listener was told up to now.
struct Listener<'w> {
    world: &'w World,
    ear: Ear,
    told: Arc<States>,
}

impl<'w> Listener<'w> {
    fn new(world: &'w World, user: &str) -> Self {
        let ear = world.runtime.block_on(world.server.listen(world.user(user), 7)).unwrap();
        let told = ear.states().clone();
        Self { world, ear, told }
    }

    /// Waits until there is something to look at, and says which types of which account are another; `!`: the log-in is to
    /// be looked at.
    fn next(&mut self) -> String {
        self.world.runtime.block_on(self.ear.changed());
        self.look()
    }

    fn look(&mut self) -> String {
        let heard = self.world.runtime.block_on(self.ear.look(&self.world.server)).unwrap();
        let now = self.ear.states().clone();
        let changed = now.since(&self.told, Types::ALL).state_change(None);
        self.told = now;
        named(&changed) + if heard.access { "!" } else { "" }
    }

    /// What the same would be told that comes back now.
    fn missed(&self, id: &str) -> String {
        let missed = self.world.server.missed(self.world.user("alice"), self.ear.states(), id, Types::ALL);
        named(&self.world.runtime.block_on(missed).state_change(None))
    }
}

fn named(change: &Value) -> String {
    let accounts = change["changed"].as_object().unwrap().iter();
    let one = |(account, states): (&String, &Value)| {
        let mut names: Vec<_> = states.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        format!("{account} {}", names.join(" "))
    };
    accounts.map(one).collect::<Vec<_>>().join(", ")
}

fn share(world: &World, mailbox: u64, letters: &str) {
    let grantee = Some(world.user("bob").account);
    let rights = Rights::from_letters(letters.as_bytes()).unwrap();
    let change = GrantChange { grantee, negative: false, operation: GrantOperation::Set, rights };
    world.runtime.block_on(world.store.grant(MailboxId(mailbox), change)).unwrap().into_inner();
}

const MESSAGE: &[u8] = b"From: bob@red.example\r\nSubject: x\r\n\r\nHello.\r\n";

/// RFC 8620 §7.1, RFC 8621 §1.5: the types that changed, each with the state that `/get` answers.
#[test]
fn each_change_is_told_by_its_types() {
    let world = World::new();
    let mut alice = Listener::new(&world, "alice");
    let first = alice.told.id();
    assert_eq!(alice.look(), "");
    world.append("INBOX", MESSAGE, NOW, Flags::NONE);
    assert_eq!(alice.next(), "A1 Email EmailDelivery Mailbox Thread");
    let state = world.ok("Email/get", json!({ "ids": [] }))["state"].clone();
    let told = alice.told.since(&States::default(), Types::named(["Email"])).state_change(None);
    assert_eq!(told["changed"], json!({ "A1": { "Email": state } }));

    let delivered = alice.told.id();
    world.ok("Email/set", json!({ "update": { "M1": { "keywords/$flagged": true } } }));
    assert_eq!(alice.next(), "A1 Email Mailbox");
    world.ok("Mailbox/set", json!({ "create": { "a": { "name": "Plans" } } }));
    assert_eq!(alice.next(), "A1 Mailbox");
    let plans = world.ok("Mailbox/query", json!({ "filter": { "name": "Plans" } }))["ids"][0].clone();
    // A mailbox that was made since is heard of, too; a move brings nothing new.
    world.ok("Email/set", json!({ "update": { "M1": { "mailboxIds": { (plans.as_str().unwrap()): true } } } }));
    assert_eq!(alice.next(), "A1 Email Mailbox");
    let moved = alice.told.id();
    world.ok("Email/set", json!({ "destroy": ["M1"] }));
    assert_eq!(alice.next(), "A1 Email Mailbox Thread");
    // Who was away is told of what changed since, once: what came and went was never there for him.
    assert_eq!(alice.missed(&first), "A1 Mailbox");
    assert_eq!(alice.missed(&delivered), "A1 Email Mailbox Thread");
    assert_eq!(alice.missed(&moved), "A1 Email Mailbox Thread");
    assert_eq!(alice.missed(&alice.told.id()), "");
    // What can't be known is told as changed: nobody misses anything.
    for unknown in ["x", "A9.1", "A1.999"] {
        assert_eq!(
            alice.missed(unknown),
            "A1 Email EmailDelivery EmailSubmission Identity Journey Mailbox Thread VacationResponse",
            "{unknown}"
        );
    }
}

/// What is done in accounts that a user does not see wakes nobody, nor what is shared with others alone.
#[test]
fn what_others_do_is_told_as_far_as_they_share() {
    let world = World::new();
    let mut bob = Listener::new(&world, "bob");
    let mut carol = Listener::new(&world, "carol");
    world.append("INBOX", MESSAGE, NOW, Flags::NONE);
    assert_eq!((bob.look(), carol.look()), (String::new(), String::new()));
    let inbox = world.runtime.block_on(world.store.mailbox(world.account(), "INBOX")).unwrap().unwrap();
    share(&world, inbox.0, "lr");
    assert_eq!(bob.next(), "A1 Email EmailDelivery Mailbox Thread");
    world.append("INBOX", MESSAGE, NOW, Flags::NONE);
    assert_eq!(bob.next(), "A1 Email EmailDelivery Mailbox Thread");
    world.append("Sent", MESSAGE, NOW, Flags::NONE);
    assert_eq!(bob.look(), "");
    share(&world, inbox.0, "");
    assert_eq!(bob.next(), "");
    world.append("INBOX", MESSAGE, NOW, Flags::NONE);
    assert_eq!((bob.look(), carol.look()), (String::new(), String::new()));
}

/// That a log-in is perhaps no longer good is heard as well.
#[test]
fn who_loses_access_is_noticed() {
    let world = World::new();
    let mut alice = Listener::new(&world, "alice");
    let password = store::PasswordHash("other".into());
    world.runtime.block_on(world.store.set_password(world.account(), password, None)).unwrap().into_inner();
    assert_eq!(alice.next(), "!");
    assert_eq!(alice.look(), "");
}

/// What an account has beside its mail is told to its own listeners, and to nobody else.
#[test]
fn what_is_beside_the_mail_is_told() {
    let world = World::new();
    share(&world, 1, "lrs");
    let mut alice = Listener::new(&world, "alice");
    let mut bob = Listener::new(&world, "bob");
    let first = alice.told.id();
    let identity = world.ok("Identity/get", json!({ "ids": null }))["list"][0]["id"].as_str().unwrap().to_owned();
    world.ok("Identity/set", json!({ "update": { &identity: { "name": "Alice" } } }));
    assert_eq!(alice.next(), "A1 Identity");
    world.ok("VacationResponse/set", json!({ "update": { "singleton": { "isEnabled": true } } }));
    assert_eq!(alice.next(), "A1 VacationResponse");
    assert_eq!(alice.missed(&first), "A1 Identity VacationResponse");
    assert_eq!(alice.missed(&alice.told.id()), "");
    assert_eq!(bob.look(), "");
}
