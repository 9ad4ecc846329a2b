//! What becomes of what was sent, told to the client: as the queue's ends of tries say it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use mail::{AccountId, Flags, QueueId, Rights};
use serde_json::{Value, json};
use store::{
    AccountNews, AccountState, Attempt, Event, GrantChange, GrantOperation, Interest, JourneyQuery, Outcome,
    QueueState, Settlement, Store, What,
};
use world::{NOW, World};

const LETTER: &str = "From: alice@red.example\r\nTo: dora@blue.example\r\nBcc: eve@blue.example\r\n\r\nHello\r\n";

/// Alice's identity I1 and the message M1 among her drafts.
fn world(letter: &str) -> World {
    let world = World::new();
    world.ok("Identity/get", json!({}));
    world.append("Drafts", letter.as_bytes(), NOW, Flags::DRAFT);
    world
}

fn submit(world: &World, parameters: &Value) -> Value {
    let envelope = json!({
        "mailFrom": { "email": "alice@red.example", "parameters": parameters },
        "rcptTo": [{ "email": "dora@blue.example" }, { "email": "bob@red.example" }],
    });
    let create = json!({ "s": { "identityId": "I1", "emailId": "M1", "envelope": envelope } });
    world.ok("EmailSubmission/set", json!({ "create": create }))
}

fn one(world: &World) -> Value {
    world.ok("EmailSubmission/get", json!({}))["list"][0].clone()
}

fn queue(world: &World) -> QueueId {
    world.runtime.block_on(world.store.submissions(world.account())).unwrap().there[0].queue
}

fn settle(world: &World, outcomes: Vec<(u32, Outcome)>, who: &str, what: What) {
    let events = vec![Event::about(NOW, who.into(), what)];
    let settlement = Settlement { id: queue(world), outcomes, tried: Vec::new(), events, dsns: Vec::new() };
    world.runtime.block_on(world.store.settle(settlement)).unwrap().into_inner();
}

/// RFC 8621 §7: deliveryStatus, by recipient, try by try.
#[test]
fn each_recipient_is_followed() {
    let world = world(LETTER);
    submit(&world, &Value::Null);
    let status = || one(&world)["deliveryStatus"].clone();
    let is = |delivered, reply| json!({ "delivered": delivered, "smtpReply": reply, "displayed": "unknown" });
    assert_eq!(status()["bob@red.example"], is("yes", "250 2.1.5 OK"));
    assert_eq!(status()["dora@blue.example"], is("queued", "250 2.1.5 OK"));
    let before = world.ok("EmailSubmission/get", json!({}))["state"].clone();
    let attempt = Attempt { at: NOW, host: None, words: "no route".into(), status: (4, 4, 1) };
    let later = Outcome::Deferred { next_attempt: NOW, warned: false, attempt };
    settle(&world, vec![(0, later)], "dora@blue.example", What::Deferred { words: "no route".into(), next: 0 });
    assert_eq!(status()["dora@blue.example"], is("queued", "451 4.4.0 no route"));
    let changes = world.ok("EmailSubmission/changes", json!({ "sinceState": before }));
    assert_eq!(changes["updated"], json!(["E1"]));
    let what = What::Relayed { host: "mx".into(), ip: "::1".into(), reply: "250 2.0.0 taken".into(), tls: None };
    settle(&world, vec![(0, Outcome::Relayed)], "dora@blue.example", what);
    assert_eq!(status()["dora@blue.example"], is("unknown", "250 2.0.0 taken"));
}

/// RFC 4865: nobody has it before its time, not even here; then it can't be taken back. Who listens is told.
#[test]
fn what_is_held_begins_to_leave() {
    let world = world(LETTER);
    let watch = world.store.listen(world.account());
    watch.set_interest(Interest { sending: true, ..Interest::default() });
    let made = submit(&world, &json!({ "HOLDUNTIL": "2026-11-19T00:00:00Z" }));
    assert_eq!(made["created"]["s"]["sendAt"], "2026-11-19T00:00:00Z");
    let message = world.runtime.block_on(world.store.queue_message(queue(&world))).unwrap().unwrap();
    let times = message.recipients.iter().map(|recipient| recipient.next_attempt);
    assert!(times.into_iter().all(|at| Some(at) == message.release_at) && message.recipients.len() == 2);
    assert_eq!(message.recipients[0].state, QueueState::Waiting);
    let prefix = String::from_utf8(message.recipients[1].prefix.clone()).unwrap();
    assert_eq!(prefix, "Return-Path: <alice@red.example>\r\nDelivered-To: bob@red.example\r\n");
    let journey = world.runtime.block_on(world.store.journeys(&JourneyQuery::Id(message.id), 1)).unwrap().remove(0);
    assert!(journey.events.iter().any(|event| matches!(event.what, What::Held { .. })));
    let told = world.ok("Journey/get", json!({ "ids": [message.id.to_string()] }));
    let held = told["list"][0]["events"].as_array().unwrap().iter().find(|event| event["event"] == "held");
    assert_eq!(held.unwrap()["until"], "2026-11-19T00:00:00Z");
    assert!(watch.take().news.iter().all(|news| **news == AccountNews::Submissions));

    assert!(world.runtime.block_on(world.store.begin_sending(message.id)).unwrap().into_inner());
    assert_eq!((one(&world)["undoStatus"].as_str(), watch.take().news.len()), (Some("final"), 1));
    let cancel = json!({ "update": { "E1": { "undoStatus": "canceled" } } });
    let refused = world.ok("EmailSubmission/set", cancel);
    assert_eq!(refused["notUpdated"]["E1"]["type"], "cannotUnsend");
    let delivered = Outcome::Delivered { account: world.user("bob").account, at: NOW };
    let what = What::Delivered { account: "bob@red.example".into(), mailbox: "INBOX".into() };
    settle(&world, vec![(1, delivered)], "bob@red.example", what);
    assert_eq!(one(&world)["deliveryStatus"]["bob@red.example"]["delivered"], "yes");
    let found = world.calls("bob", &[json!(["Email/query", { "accountId": "A2" }, "0"])]);
    assert_eq!(found[0][1]["ids"].as_array().unwrap().len(), 1);
}

/// What is taken back leaves a journey that says so, and the sum stays right.
#[test]
fn what_is_taken_back_counts_as_thrown_away() {
    let world = world(LETTER);
    submit(&world, &json!({ "HOLDFOR": "60" }));
    let id = queue(&world);
    world.ok("EmailSubmission/set", json!({ "update": { "E1": { "undoStatus": "canceled" } } }));
    let balance = world.runtime.block_on(world.store.balance()).unwrap();
    assert!(balance.holds() && (balance.accepted, balance.discarded, balance.queued) == (2, 2, 0));
    let journey = world.runtime.block_on(world.store.journeys(&JourneyQuery::Id(id), 1)).unwrap().remove(0);
    let canceled = |event: &&Event| matches!(&event.what, What::Discarded { rule } if rule == "canceled");
    assert_eq!(journey.events.iter().filter(canceled).count(), 2);
}

/// The way of what a submission sent is found by it; no other's is.
#[test]
fn its_journey_is_found_by_it() {
    let world = world(LETTER);
    submit(&world, &json!({}));
    let found = |id: &str| world.ok("Journey/query", json!({ "filter": { "submissionId": id } }))["ids"].clone();
    assert_eq!(found("E1"), json!([queue(&world).to_string()]));
    assert_eq!(found("E2"), json!([]));
}

/// The same error for the same fault, whatever the way: lines without CR go to nobody.
#[test]
fn lines_must_be_lines() {
    let world = world(&LETTER.replace("Hello", "Hel\n.\nlo"));
    let refused = submit(&world, &Value::Null);
    assert_eq!(refused["notCreated"]["s"]["type"], "invalidEmail");
    assert_eq!(world.runtime.block_on(world.store.balance()).unwrap().accepted, 0);
}

/// An account that is disabled sends nothing, also where its session still lives.
#[test]
fn who_may_not_send_at_all() {
    let world = world(LETTER);
    let disable = world.store.set_account_state(world.account(), AccountState::Disabled);
    world.runtime.block_on(disable).unwrap().into_inner();
    let refused = submit(&world, &Value::Null);
    assert_eq!(refused["notCreated"]["s"]["type"], "forbiddenToSend");
}

/// `SUBMISSIONS_PER_ACCOUNT`: so many wait for their time, and one more does not.
#[test]
fn what_waits_is_bounded() {
    let world = world(LETTER);
    let hold = json!({ "email": "alice@red.example", "parameters": { "HOLDFOR": "60" } });
    let envelope = json!({ "mailFrom": hold, "rcptTo": [{ "email": "bob@red.example" }] });
    let one = json!({ "identityId": "I1", "emailId": "M1", "envelope": envelope });
    let count = mail::limits::SUBMISSIONS_PER_ACCOUNT;
    let all: serde_json::Map<String, Value> = (0..=count).map(|n| (format!("s{n}"), one.clone())).collect();
    let answer = world.ok("EmailSubmission/set", json!({ "create": all }));
    assert_eq!(answer["created"].as_object().unwrap().len(), count);
    let refused = answer["notCreated"].as_object().unwrap();
    assert!(refused.len() == 1 && refused.values().all(|why| why["type"] == "overQuota"), "{refused:?}");
}

/// Who shares a mailbox does not share what he sends.
#[test]
fn what_others_share_is_no_sending() {
    let world = world(LETTER);
    let change = GrantChange {
        grantee: Some(world.user("bob").account),
        negative: false,
        operation: GrantOperation::Set,
        rights: Rights::ALL,
    };
    world.runtime.block_on(async {
        let drafts = world.store.mailbox(AccountId(1), "Drafts").await.unwrap().unwrap();
        world.store.grant(drafts, change).await.unwrap().into_inner();
    });
    for method in
        ["Identity/get", "Identity/set", "EmailSubmission/get", "EmailSubmission/set", "EmailSubmission/query"]
    {
        let answer = world.calls("bob", &[json!([method, { "accountId": "A1" }, "0"])]).remove(0);
        assert_eq!(answer[1]["type"], "accountNotSupportedByMethod", "{method}");
    }
}

/// `IDENTITY_LEN`: so many octets, and one more.
#[test]
fn identities_are_small() {
    let world = world(LETTER);
    let set =
        |size: usize| world.ok("Identity/set", json!({ "update": { "I1": { "textSignature": "x".repeat(size) } } }));
    let longest = (1..=mail::limits::IDENTITY_LEN).rev().find(|size| set(*size)["updated"].is_object()).unwrap();
    assert!(longest > mail::limits::IDENTITY_LEN - 300, "{longest}");
    assert_eq!(set(longest + 1)["notUpdated"]["I1"]["type"], "tooLarge");
}
