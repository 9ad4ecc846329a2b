//! Accounts of others: what is not shared is not there, by whatever method it is asked for; what is, is as its owner allows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use mail::{Flags, MailboxId, Rights};
use serde_json::{Value, json};
use store::{GrantChange, GrantOperation, Store};
use world::{NOW, World};

fn share(world: &World, mailbox: u64, letters: &str) {
    let grantee = Some(world.user("bob").account);
    let rights = Rights::from_letters(letters.as_bytes()).unwrap();
    let change = GrantChange { grantee, negative: false, operation: GrantOperation::Set, rights };
    world.runtime.block_on(world.store.grant(MailboxId(mailbox), change)).unwrap().into_inner();
}

/// Arguments for each method, with ids of Alice's: A1, F1, M1, T1, G1.
fn calls() -> Vec<(&'static str, Value)> {
    let email = json!({ "mailboxIds": { "F1": true }, "subject": "x" });
    vec![
        ("Mailbox/get", json!({ "ids": ["F1"] })),
        ("Mailbox/get", json!({})),
        ("Mailbox/changes", json!({ "sinceState": "1" })),
        ("Mailbox/query", json!({})),
        ("Mailbox/queryChanges", json!({ "sinceQueryState": "1" })),
        (
            "Mailbox/set",
            json!({ "create": { "a": { "name": "x", "parentId": "F1" } }, "update": { "F1": { "isSubscribed": false } }, "destroy": ["F2"] }),
        ),
        ("Thread/get", json!({ "ids": ["T1"] })),
        ("Thread/changes", json!({ "sinceState": "1" })),
        ("Email/get", json!({ "ids": ["M1"] })),
        ("Email/changes", json!({ "sinceState": "1" })),
        ("Email/query", json!({ "filter": { "inMailbox": "F1" } })),
        ("Email/queryChanges", json!({ "sinceQueryState": "1" })),
        (
            "Email/set",
            json!({ "create": { "a": email }, "update": { "M1": { "keywords/$seen": true } }, "destroy": ["M2"] }),
        ),
        (
            "Email/copy",
            json!({ "fromAccountId": "A1", "create": { "a": { "id": "M1", "mailboxIds": { "F7": true } } } }),
        ),
        ("Email/import", json!({ "emails": { "a": { "blobId": "G1", "mailboxIds": { "F1": true } } } })),
        ("Email/parse", json!({ "blobIds": ["G1", "G2-4"] })),
        ("SearchSnippet/get", json!({ "filter": { "text": "lunch" }, "emailIds": ["M1"] })),
        ("Blob/copy", json!({ "fromAccountId": "A1", "blobIds": ["G1"] })),
        ("Blob/get", json!({ "ids": ["G1", "G2-4"] })),
        ("Blob/lookup", json!({ "typeNames": ["Email", "Mailbox", "Thread"], "ids": ["G1"] })),
        ("Blob/upload", json!({ "create": { "a": { "data": [{ "blobId": "G1" }] } } })),
        ("Quota/get", json!({})),
        ("Quota/changes", json!({ "sinceState": "none" })),
        ("Quota/query", json!({})),
        ("Quota/queryChanges", json!({ "sinceQueryState": "x" })),
        ("Journey/get", json!({ "ids": ["M1"] })),
        ("Journey/changes", json!({ "sinceState": "x" })),
        ("Journey/query", json!({ "filter": { "emailId": "M1" } })),
        ("VacationResponse/get", json!({ "ids": ["M1"] })),
        ("VacationResponse/set", json!({ "update": { "M1": { "isEnabled": true } } })),
        ("SieveScript/get", json!({ "ids": ["R1"] })),
        ("SieveScript/query", json!({})),
        ("SieveScript/validate", json!({ "blobId": "G1" })),
        (
            "SieveScript/set",
            json!({
                "create": { "a": { "blobId": "G1" } },
                "update": { "R1": { "name": "x" } },
                "destroy": ["R1"],
                "onSuccessActivateScript": "R1",
            }),
        ),
        ("Identity/get", json!({ "ids": ["I1"] })),
        ("Identity/changes", json!({ "sinceState": "1" })),
        (
            "Identity/set",
            json!({
                "create": { "a": { "email": "alice@red.example" } },
                "update": { "I1": { "name": "Bob" } },
                "destroy": ["I1"],
            }),
        ),
        ("EmailSubmission/get", json!({ "ids": ["E1"] })),
        ("EmailSubmission/changes", json!({ "sinceState": "1" })),
        ("EmailSubmission/query", json!({ "filter": { "emailIds": ["M1"] } })),
        ("EmailSubmission/queryChanges", json!({ "sinceQueryState": "1" })),
        (
            "EmailSubmission/set",
            json!({
                "create": { "a": { "identityId": "I1", "emailId": "M1" } },
                "update": { "E1": { "undoStatus": "canceled" } },
                "destroy": ["E1"],
                "onSuccessUpdateEmail": { "E1": { "keywords/$seen": true } },
                "onSuccessDestroyEmail": ["E1"],
            }),
        ),
    ]
}

/// All that Alice has, as she sees it.
fn all_of_alice(world: &World) -> Value {
    let mailboxes = world.ok("Mailbox/get", json!({}));
    let emails = world.ok("Email/get", json!({ "properties": ["mailboxIds", "keywords", "blobId", "subject"] }));
    json!([mailboxes, emails, world.ok("Identity/get", json!({})), world.ok("EmailSubmission/get", json!({}))])
}

/// Octets of Alice's messages, and names that she gave.
const SECRETS: [&str; 7] = ["dora", "lunch", "Lunch", "Jürgen", "koeln", "Rechnung", "inner"];

/// Every method is asked for Alice's things by Bob, under her account and under his own.
#[test]
fn nothing_of_others_is_told_or_changed() {
    let world = World::new();
    world.fill(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/transcripts/jmap/messages"));
    let sender = "From: alice@red.example\r\nTo: dora@blue.example\r\n\r\nx\r\n";
    world.append("Sent", sender.as_bytes(), world::NOW, mail::Flags::SEEN);
    world.ok("Identity/get", json!({}));
    let held = json!({ "email": "alice@red.example", "parameters": { "HOLDFOR": "60" } });
    let envelope = json!({ "mailFrom": held, "rcptTo": [{ "email": "dora@blue.example" }] });
    let create = json!({ "a": { "identityId": "I1", "emailId": "M4", "envelope": envelope } });
    assert!(world.ok("EmailSubmission/set", json!({ "create": create }))["created"].is_object());
    let before = all_of_alice(&world);
    let mut methods = std::collections::BTreeSet::new();
    for (name, arguments) in calls() {
        methods.insert(name);
        // In her account.
        let mut theirs = arguments.clone();
        theirs["accountId"] = "A1".into();
        let responses = world.calls("bob", &[json!([name, theirs, "0"])]);
        assert_eq!(responses.len(), 1);
        assert_eq!(responses[0][0], "error", "{name}: {}", responses[0]);
        let kind = responses[0][1]["type"].as_str().unwrap();
        assert!(["accountNotFound", "fromAccountNotFound"].contains(&kind), "{name}: {kind}");
        // Her ids in his own.
        let mut own = arguments.clone();
        own["accountId"] = "A2".into();
        let responses = world.calls("bob", &[json!([name, own, "0"])]);
        let text = Value::Array(responses).to_string();
        assert!(SECRETS.iter().all(|secret| !text.contains(secret)), "{name}: {text}");
        for made in ["\"created\":{", "\"updated\":{", "\"copied\":{", "\"parsed\":{"] {
            assert!(!text.contains(made), "{name}: {text}");
        }
        // An account that is not there is like one that is another's.
        let mut none = arguments;
        none["accountId"] = "A99".into();
        let answer = world.calls("bob", &[json!([name, none, "0"])]).remove(0);
        assert!(answer[1]["type"].as_str().unwrap().ends_with("ccountNotFound"), "{name}: {answer}");
    }
    for bad in ["A", "1", "A01", "B1", "A1 "] {
        assert!(!world.err("Mailbox/get", json!({ "accountId": bad })).is_empty());
    }
    assert_eq!(all_of_alice(&world), before);
    // All methods were tried but those that are about no account (PushSubscription is about a log-in: tests/push_subscription.rs).
    let has_account = |name: &&str| *name != "Core/echo" && !name.starts_with("PushSubscription/");
    let offered: Vec<&str> = jmap::METHODS.iter().map(|(name, _)| *name).filter(has_account).collect();
    let missing: Vec<&&str> = offered.iter().filter(|name| !methods.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let download =
        world.runtime.block_on(world.server.download(world.user("bob"), "A1", "G1", world::moment())).unwrap();
    assert!(download.is_none());
    let download =
        world.runtime.block_on(world.server.download(world.user("bob"), "A2", "G1", world::moment())).unwrap();
    assert!(download.is_none());
}

fn ask(world: &World, name: &str, mut arguments: Value) -> Value {
    arguments["accountId"] = "A1".into();
    world.calls("bob", &[json!([name, arguments, "0"])]).remove(0)
}

/// RFC 4314, RFC 8621 §2: what is shared is seen, and changed as far as its owner allows.
#[test]
fn what_is_shared_is_there_as_its_owner_allows() {
    let world = World::new();
    world.append("INBOX", b"Subject: private\r\n\r\nx\r\n", NOW, Flags::NONE);
    world.append("Archive", b"Subject: shared\r\n\r\nx\r\n", NOW, Flags::NONE);
    share(&world, 2, "lr");
    let listed = ask(&world, "Mailbox/get", json!({}));
    let list = listed[1]["list"].as_array().unwrap();
    assert_eq!((list.len(), &list[0]["id"], &list[0]["isSubscribed"]), (1, &json!("F2"), &json!(false)));
    assert_eq!(list[0]["myRights"]["mayReadItems"], true);
    assert!(list[0]["myRights"].as_object().unwrap().iter().all(|(name, may)| *may == json!(name == "mayReadItems")));
    let got = ask(&world, "Email/get", json!({ "properties": ["subject", "mailboxIds"] }));
    assert_eq!(got[1]["list"], json!([{ "id": "M2", "subject": "shared", "mailboxIds": { "F2": true } }]));
    // Nothing of it may be changed.
    for (arguments, place) in [
        (json!({ "update": { "M2": { "keywords/$seen": true } } }), "notUpdated"),
        (json!({ "update": { "M2": { "keywords/work": true } } }), "notUpdated"),
        (json!({ "destroy": ["M2"] }), "notDestroyed"),
        (json!({ "create": { "a": { "mailboxIds": { "F2": true } } } }), "notCreated"),
    ] {
        let answer = ask(&world, "Email/set", arguments);
        let errors = answer[1][place].as_object().unwrap();
        assert!(errors.values().all(|error| error["type"] == "forbidden"), "{answer}");
    }
    for arguments in [
        json!({ "create": { "a": { "name": "x" } } }),
        json!({ "update": { "F2": { "name": "x" } } }),
        json!({ "destroy": ["F2"] }),
    ] {
        let answer = ask(&world, "Mailbox/set", arguments);
        assert!(answer.to_string().contains("forbidden"), "{answer}");
    }
    // A subscription is his own.
    ask(&world, "Mailbox/set", json!({ "update": { "F2": { "isSubscribed": true } } }));
    assert_eq!(ask(&world, "Mailbox/get", json!({}))[1]["list"][0]["isSubscribed"], true);
    assert_eq!(world.ok("Mailbox/get", json!({ "ids": ["F2"] }))["list"][0]["isSubscribed"], true);
    // With more rights more is done; who may see what has changed, so nobody knows what changed since.
    let state = ask(&world, "Email/get", json!({ "ids": [] }))[1]["state"].clone();
    assert_eq!(ask(&world, "Email/changes", json!({ "sinceState": state }))[0], "Email/changes");
    share(&world, 2, "lrswite");
    assert_eq!(ask(&world, "Email/changes", json!({ "sinceState": state }))[1]["type"], "cannotCalculateChanges");
    let answer =
        ask(&world, "Email/set", json!({ "update": { "M2": { "keywords/$seen": true, "keywords/work": true } } }));
    assert_eq!(answer[1]["updated"], json!({ "M2": null }));
    // RFC 8620 §5.4: a copy into his own account, and the original goes with it.
    let copy = json!(["Email/copy", { "fromAccountId": "A1", "accountId": "A2", "onSuccessDestroyOriginal": true,
        "create": { "k": { "id": "M2", "mailboxIds": { "F7": true } }, "l": { "id": "M1", "mailboxIds": { "F7": true } } } }, "0"]);
    let responses = world.calls("bob", &[copy]);
    assert_eq!((responses.len(), &responses[0][0], &responses[1][0]), (2, &json!("Email/copy"), &json!("Email/set")));
    assert_eq!(responses[0][1]["created"]["k"]["id"], "M3");
    assert_eq!(responses[0][1]["notCreated"]["l"]["type"], "notFound");
    assert_eq!(responses[1][1]["destroyed"], json!(["M2"]));
    let copied = world
        .calls("bob", &[json!(["Email/get", { "accountId": "A2", "properties": ["subject", "keywords"] }, "0"])])
        .remove(0);
    assert_eq!(copied[1]["list"][0]["keywords"], json!({ "$seen": true, "work": true }));
    // Taken away, it is gone at once.
    share(&world, 2, "");
    assert_eq!(ask(&world, "Email/get", json!({}))[1]["type"], "accountNotFound");
}
