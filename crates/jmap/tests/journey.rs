//! Journeys: what an account may see of the ways of messages, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use mail::{Address, BodyType, Domain, Envelope, Flags, QueueId, Recipient, ReversePath, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use store::{Acceptance, Event, LocalDelivery, Outcome, QueueRelay, Settlement, Store, Tls, What};
use world::{NOW, World};

fn address(text: &str) -> Address {
    let (local, domain) = text.split_once('@').unwrap();
    Address::new(local, Domain::from_ascii(domain).unwrap()).unwrap()
}

/// A recipient that was named, and those that it stands for, perhaps itself.
type Named = (&'static str, Vec<&'static str>);

/// An acceptance with the events that the path of a message writes: aliases, deliveries here, the rest queued.
fn acceptance(world: &World, id: QueueId, sender: &str, named: &[Named]) -> Acceptance {
    let local = |address: &str| world.users.iter().find(|user| user.address.to_string() == address);
    let received = What::Received {
        protocol: "ESMTPS".into(),
        from: Some("192.0.2.1".into()),
        helo: Some("client.example".into()),
        account: local(sender).map(|user| user.address.to_string()),
        tls: Some(Tls { version: "TLSv1.3".into(), cipher: "X".into(), verified: None, policy: None }),
        size: 100,
        sender: sender.into(),
    };
    let mut out = Acceptance {
        id,
        received_at: NOW,
        envelope: Envelope {
            reverse_path: ReversePath::Address(address(sender)),
            recipients: named.iter().map(|(name, _)| Recipient::new(address(name))).collect(),
            body: BodyType::SevenBit,
            smtputf8: false,
            dsn_return: None,
            envelope_id: None,
            hold: None,
        },
        message_id: Some("<1@x.example>".into()),
        deliveries: Vec::new(),
        relays: Vec::new(),
        discarded: 0,
        events: vec![Event::new(NOW, received)],
        dsns: Vec::new(),
        marks: Vec::new(),
    };
    let mut reached = std::collections::HashSet::new();
    for (name, targets) in named {
        if targets.as_slice() != [*name] {
            let targets = targets.iter().map(|target| (*target).to_owned()).collect();
            out.events.push(Event::about(NOW, (*name).to_owned(), What::Expanded { rule: "alias".into(), targets }));
        }
        for target in targets.iter().filter(|target| reached.insert(**target)) {
            let recipient = Recipient::new(address(target));
            match local(target) {
                Some(user) => {
                    out.deliveries.push(LocalDelivery {
                        account: user.account,
                        address: user.address.clone(),
                        mailbox: None,
                        prefix: Vec::new(),
                        flags: Flags::NONE,
                        keywords: Vec::new(),
                    });
                    let mailbox = format!("Box-{}", user.address.local());
                    let what = What::Delivered { account: (*target).to_owned(), mailbox };
                    out.events.push(Event::about(NOW, (*name).to_owned(), what));
                }
                None => {
                    let destination = recipient.address.domain().clone();
                    let what = What::Queued { destination: destination.to_string() };
                    out.events.push(Event::about(NOW, (*target).to_owned(), what));
                    out.relays.push(QueueRelay { recipient, prefix: Vec::new(), destination, next_attempt: NOW });
                }
            }
        }
    }
    out
}

/// Accepts it with our own Received field on top, and puts some queued recipients to their ends.
fn send(world: &World, sender: &str, named: &[Named], ends: usize) -> QueueId {
    let id = world.store.next_queue_id(NOW);
    let acceptance = acceptance(world, id, sender, named);
    let relays: Vec<String> = acceptance.relays.iter().map(|relay| relay.recipient.address.to_string()).collect();
    let octets = format!(
        "Received: from client.example ([192.0.2.1])\r\n\tby mail.red.example with ESMTPS id {id};\r\n\t\
         Wed, 18 Nov 2026 11:06:40 +0000\r\nMessage-ID: <1@x.example>\r\nSubject: x\r\n\r\nx\r\n"
    );
    world.runtime.block_on(async {
        let stage = world.staged(octets.as_bytes()).await;
        let _ = world.store.accept(stage, acceptance).await.unwrap();
        let mut tried: std::collections::BTreeMap<String, Vec<(u32, String)>> = std::collections::BTreeMap::new();
        for (index, to) in (0..).zip(relays.into_iter().take(ends)) {
            tried.entry(to.split_once('@').unwrap().1.to_owned()).or_default().push((index, to));
        }
        for (_, recipients) in tried {
            settle(world, id, &recipients).await;
        }
    });
    id
}

/// The end of a try at one domain: what happened on the way is about no recipient, then comes what became of each.
async fn settle(world: &World, id: QueueId, recipients: &[(u32, String)]) {
    let host = format!("mx.{}", recipients[0].1.split_once('@').unwrap().1);
    let mut events =
        vec![Event::new(NOW, What::Routed { rule: "mx".into(), hosts: vec![host.clone()], policies: Vec::new() })];
    let words = |to: &str| format!("550 {to} is unknown");
    for (_, to) in recipients {
        let (host, words, stage) = (host.clone(), words(to), "rcpt".into());
        events.push(Event::new(NOW, What::Failed { host, ip: None, stage, words, tls: None }));
    }
    for (_, to) in recipients {
        events.push(Event::about(NOW, to.clone(), What::Bounced { words: words(to), report: None }));
    }
    let outcomes = recipients.iter().map(|(index, _)| (*index, Outcome::Bounced)).collect();
    world
        .store
        .settle(Settlement { id, outcomes, tried: Vec::new(), events, dsns: Vec::new() })
        .await
        .unwrap()
        .into_inner();
}

/// What somebody gets who asks for his Emails' journeys, for those that he sent, and for these ids.
fn all_seen(world: &World, user: &str, ids: &[String]) -> Value {
    let account = format!("A{}", world.user(user).account.0);
    let emails = world.calls(user, &[json!(["Email/query", { "accountId": account }, "0"])]);
    let mut asked: Vec<Value> = emails[0][1]["ids"].as_array().unwrap().clone();
    let mut found = Vec::new();
    let filters = asked
        .iter()
        .map(|id| json!({ "emailId": id }))
        .chain(ids.iter().flat_map(|id| [json!({ "queueId": id }), json!({ "messageId": "<1@x.example>" })]));
    for filter in filters.chain([Value::Null]) {
        let query = json!(["Journey/query", { "accountId": account, "filter": filter }, "0"]);
        found.push(world.calls(user, &[query]).remove(0));
    }
    asked.extend(ids.iter().map(|id| Value::from(id.as_str())));
    let answer = world.calls(user, &[json!(["Journey/get", { "accountId": account, "ids": asked }, "0"])]).remove(0);
    assert_eq!(answer[0], "Journey/get", "{answer}");
    json!([found.iter().map(|answer| &answer[1]["ids"]).collect::<Vec<_>>(), answer[1]["list"]])
}

const HERE: [&str; 3] = ["alice@red.example", "bob@red.example", "carol@red.example"];
const OUTSIDE: [&str; 4] = ["dave@blue.example", "erin@green.example", "frank@gray.example", "grace@blue.example"];
const ALIASES: [&str; 2] = ["team@red.example", "secret@red.example"];

/// Names in a text that may have only these: by what is before the @, or by a domain that none of these has.
fn others_in(text: &str, may: &[&str]) -> Vec<&'static str> {
    let all = HERE.iter().chain(&OUTSIDE).chain(&ALIASES);
    let is_in = |name: &&&str| {
        let (local, domain) = name.split_once('@').unwrap();
        let is_known = domain == "red.example" || may.iter().any(|name| name.ends_with(domain));
        !may.contains(name) && (text.contains(local) || (!is_known && text.contains(domain)))
    };
    all.filter(is_in).copied().collect()
}

fn any_target() -> impl Strategy<Value = &'static str> {
    prop::sample::select([&HERE[..], &OUTSIDE[..]].concat())
}

fn any_named() -> impl Strategy<Value = Named> {
    prop_oneof![
        any_target().prop_map(|one| (one, vec![one])),
        (prop::sample::select(ALIASES.to_vec()), prop::collection::vec(any_target(), 1..4)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Whoever sends to whomever by whatever aliases: who got a message sees its sender, itself, and by which address it came;
    /// who sent it sees those that it named; anybody else sees nothing.
    #[test]
    fn no_account_sees_what_is_anothers(
        sender in any_target(),
        named in prop::collection::vec(any_named(), 1..5),
        ends in 0usize..6,
    ) {
        let mut named = named;
        // Each address is named once.
        let mut seen = std::collections::HashSet::new();
        named.retain(|(name, _)| seen.insert(*name));
        let world = World::new();
        let id = send(&world, sender, &named, ends).to_string();
        let mut reached = std::collections::HashSet::new();
        let mut came_by = std::collections::BTreeMap::new();
        for (name, targets) in &named {
            for target in targets.iter().filter(|target| reached.insert(**target)) {
                came_by.insert(*target, *name);
            }
        }
        for user in HERE {
            let local = user.split_once('@').unwrap().0;
            let answer = all_seen(&world, local, std::slice::from_ref(&id));
            let text = answer.to_string();
            let mut may: Vec<&str> = Vec::new();
            if let Some(name) = came_by.get(user) {
                may.extend([sender, user, name]);
            }
            if sender == user {
                may.push(user);
                may.extend(named.iter().map(|(name, _)| *name));
            }
            let leaked = others_in(&text, &may);
            prop_assert!(leaked.is_empty(), "{user} sees {leaked:?} of {sender} to {named:?}: {text}");
            let lists = answer[1].as_array().unwrap();
            let count = usize::from(came_by.contains_key(user)) + usize::from(sender == user);
            prop_assert_eq!(lists.len(), count, "{}", text);
            if sender == user {
                let sent = lists.iter().find(|one| one["kind"] == "sent").unwrap();
                prop_assert!(!sent["recipients"].as_array().unwrap().is_empty());
            }
        }
    }
}

fn one(world: &World, id: &str) -> Value {
    let got = world.ok("Journey/get", json!({ "ids": [id] }));
    got["list"][0].clone()
}

fn changes(world: &World, state: &str) -> Value {
    world.ok("Journey/changes", json!({ "sinceState": state }))
}

/// All that happens to what was sent moves the state, and is told once.
#[test]
fn what_happens_is_told_while_it_is_under_way() {
    let world = World::new();
    let early = send(&world, HERE[0], &[(OUTSIDE[0], vec![OUTSIDE[0]])], 0).to_string();
    let state = world.ok("Journey/get", json!({ "ids": [] }))["state"].as_str().unwrap().to_owned();
    let id = send(&world, HERE[0], &[(OUTSIDE[0], vec![OUTSIDE[0]]), (HERE[1], vec![HERE[1]])], 0);
    let told = changes(&world, &state);
    assert_eq!((&told["created"], &told["updated"]), (&json!([id.to_string()]), &json!([])));
    let shown = one(&world, &id.to_string());
    assert_eq!(shown["isUnderWay"], true);
    let recipients = json!([
        { "address": OUTSIDE[0], "state": "waiting", "nextTry": "2026-11-18T11:06:40Z" },
        { "address": HERE[1], "state": "delivered", "nextTry": null },
    ]);
    assert_eq!(shown["recipients"], recipients);
    let state = told["newState"].as_str().unwrap();
    world.runtime.block_on(settle(&world, id, &[(0, OUTSIDE[0].into())]));
    let told = changes(&world, state);
    assert_eq!((&told["created"], &told["updated"]), (&json!([]), &json!([id.to_string()])));
    let shown = one(&world, &id.to_string());
    assert_eq!(shown["recipients"][0]["state"], "bounced");
    // What happened on the way is told of the recipient whose way it was.
    let of_dave: Vec<_> =
        shown["events"].as_array().unwrap().iter().filter(|event| event["recipient"] == OUTSIDE[0]).collect();
    let names: Vec<_> = of_dave.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["queued", "routed", "failed", "bounced"]);
    // One that came before anybody looked is followed from the look on.
    let state = told["newState"].as_str().unwrap();
    assert_eq!(one(&world, &early)["isUnderWay"], true);
    world.runtime.block_on(settle(&world, early.parse().unwrap(), &[(0, OUTSIDE[0].into())]));
    assert_eq!(changes(&world, state)["updated"], json!([early]));
    for bad in ["", "1", "7-0", "x-y"] {
        assert_eq!(world.err("Journey/changes", json!({ "sinceState": bad })), "cannotCalculateChanges");
    }
    // What others send moves nothing here, also where they send it to here.
    let state = changes(&world, state)["newState"].clone();
    send(&world, HERE[1], &[(HERE[0], vec![HERE[0]])], 0);
    assert_eq!(changes(&world, state.as_str().unwrap())["newState"], state);
}

/// How a message came: the hops before us as it tells them, ours as the journey has it.
#[test]
fn how_a_message_came() {
    let world = World::new();
    let id = send(&world, OUTSIDE[0], &[(ALIASES[0], vec![HERE[0], HERE[1]])], 0).to_string();
    let found = world.ok("Journey/query", json!({ "filter": { "emailId": "M1" } }));
    assert_eq!((&found["ids"], &found["canCalculateChanges"]), (&json!(["M1"]), &json!(false)));
    let shown = one(&world, "M1");
    assert_eq!((&shown["kind"], &shown["queueId"], &shown["emailId"]), (&json!("received"), &json!(id), &json!("M1")));
    assert_eq!(shown["recipients"], json!([]));
    let hop = json!({ "from": "client.example", "address": "192.0.2.1", "by": "mail.red.example", "with": "ESMTPS",
        "id": id, "tls": null, "at": "2026-11-18T11:06:40Z" });
    assert_eq!(shown["hops"], json!([hop]));
    let told: Vec<_> =
        shown["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(told, ["received", "expanded", "delivered"]);
    assert_eq!(shown["events"][2]["mailbox"], "Box-alice");
    // Its queue id is the sender's to ask for.
    assert_eq!(world.ok("Journey/get", json!({ "ids": [id] }))["notFound"], json!([id]));
}

/// A report of this server's own came over nobody, so it has no Received field: it is known by its Message-ID.
#[test]
fn how_a_report_came() {
    let world = World::new();
    let id = world.store.next_queue_id(NOW);
    let mut report = acceptance(&world, id, OUTSIDE[0], &[(HERE[0], vec![HERE[0]])]);
    for event in &mut report.events {
        if let What::Received { protocol, .. } = &mut event.what {
            *protocol = "local".into();
        }
    }
    world.runtime.block_on(async {
        let stage = world.staged(b"Message-ID: <1@x.example>\r\nSubject: report\r\n\r\nx\r\n").await;
        let _ = world.store.accept(stage, report).await.unwrap();
    });
    assert_eq!(world.ok("Journey/query", json!({ "filter": { "emailId": "M1" } }))["ids"], json!(["M1"]));
    let shown = one(&world, "M1");
    assert_eq!((&shown["queueId"], &shown["hops"]), (&json!(id.to_string()), &json!([])));
    assert_eq!((&shown["events"][0]["protocol"], &shown["events"][1]["event"]), (&json!("local"), &json!("delivered")));
}

/// Nor has what its owner put here such a field: with the Message-ID of what came over others it tells nothing.
#[test]
fn a_copy_without_fields_has_no_way() {
    let world = World::new();
    send(&world, OUTSIDE[0], &[(HERE[0], vec![HERE[0]])], 0);
    world.append("INBOX", b"Message-ID: <1@x.example>\r\n\r\nx\r\n", NOW, Flags::NONE);
    let shown = one(&world, "M2");
    assert_eq!((&shown["queueId"], &shown["events"]), (&Value::Null, &json!([])));
}

/// A message that was put here by its owner, or bears our words without having come over us, tells only what it says.
#[test]
fn fields_that_anybody_wrote_are_not_believed() {
    let world = World::new();
    // To Bob; then it is copied into a message of Alice's.
    let id = send(&world, OUTSIDE[0], &[(HERE[1], vec![HERE[1]])], 0);
    let forged = format!(
        "Authentication-Results: mail.red.example; dmarc=pass header.from=bank.example\r\nReceived: from x by mail.red.example \
         with ESMTPS id {id}; Wed, 18 Nov 2026 11:06:40 +0000\r\nMessage-ID: <1@x.example>\r\n\r\nx\r\n"
    );
    world.append("INBOX", forged.as_bytes(), NOW, Flags::NONE);
    world.append("INBOX", b"Subject: none\r\n\r\nx\r\n", NOW, Flags::NONE);
    let shown = one(&world, "M2");
    assert_eq!((&shown["queueId"], &shown["events"], &shown["authentication"]), (&Value::Null, &json!([]), &json!([])));
    assert_eq!(shown["hops"][0]["by"], "mail.red.example");
    assert_eq!(world.ok("Journey/query", json!({ "filter": { "emailId": "M3" } }))["ids"], json!([]));
}

/// An address that was another's before shows nothing of what was his.
#[test]
fn the_next_owner_of_an_address_sees_nothing() {
    let world = World::new();
    let id = send(&world, HERE[0], &[(OUTSIDE[0], vec![OUTSIDE[0]])], 0).to_string();
    world.runtime.block_on(async {
        world.store.remove_account(world.account()).await.unwrap().into_inner();
        let new = store::NewAccount {
            address: address(HERE[0]),
            password: store::PasswordHash("none".into()),
            scram: None,
            quota: None,
        };
        let later = Timestamp::from_secs(NOW.secs() + 1);
        let account = world.store.add_account(new, later).await.unwrap().into_inner();
        let user = jmap::User {
            account,
            address: address(HERE[0]),
            credential: store::Credential::Password(store::PasswordHash(String::new())),
        };
        let request = json!({ "using": world::USING, "methodCalls": [
            ["Journey/get", { "accountId": format!("A{}", account.0), "ids": [id] }, "0"],
            ["Journey/query", { "accountId": format!("A{}", account.0) }, "1"],
        ] });
        let reply = world.server.request(&user, request.to_string().as_bytes(), world::moment()).await;
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["methodResponses"][0][1]["notFound"], json!([id]), "{body}");
        assert_eq!(body["methodResponses"][1][1]["ids"], json!([]));
    });
}

/// Arguments that are none of these, and more than fits (`TRACE_JOURNEYS`).
#[test]
fn what_is_asked_for_is_bounded() {
    let world = World::new();
    assert_eq!(world.err("Journey/get", json!({})), "requestTooLarge");
    let many: Vec<String> = (0..=mail::limits::JMAP_OBJECTS_IN_GET).map(|n| format!("M{n}")).collect();
    assert_eq!(world.err("Journey/get", json!({ "ids": many })), "requestTooLarge");
    for filter in [json!({ "operator": "AND", "conditions": [] }), json!({ "emailId": "M1", "messageId": "x" })] {
        assert_eq!(world.err("Journey/query", json!({ "filter": filter })), "unsupportedFilter");
    }
    assert_eq!(world.err("Journey/query", json!({ "filter": { "subject": "x" } })), "invalidArguments");
    assert_eq!(world.err("Journey/query", json!({ "sort": [{ "property": "acceptedAt" }] })), "unsupportedSort");
    for _ in 0..=mail::limits::TRACE_JOURNEYS {
        send(&world, HERE[0], &[(HERE[1], vec![HERE[1]])], 0);
    }
    let newest = json!([{ "property": "acceptedAt", "isAscending": false }]);
    let found = world.ok("Journey/query", json!({ "sort": newest, "calculateTotal": true }));
    assert_eq!(found["total"], mail::limits::TRACE_JOURNEYS);
}

/// What a script did is its owner's to see. Who wrote sees that the message came, and what became of what was sent on, not where to.
#[test]
fn scripts_are_their_owners_business() {
    let world = World::new();
    let (alice, bob) = ("alice@red.example", "bob@red.example");
    let id = world.store.next_queue_id(NOW);
    let mut message = acceptance(&world, id, alice, &[(bob, vec![bob, "dave@blue.example"])]);
    let sorted = |line: u32, words: &str| {
        let (account, rule) = (bob.to_owned(), format!("sieve “rules”, line {line}"));
        Event::about(NOW, bob.to_owned(), What::Sorted { account, rule, words: words.to_owned() })
    };
    message.events.push(sorted(3, "sends it on to dave@blue.example"));
    message.events.push(sorted(4, "puts it into Box-bob"));
    let gone = world.store.next_queue_id(NOW);
    let mut thrown = acceptance(&world, gone, alice, &[]);
    thrown.envelope.recipients = vec![Recipient::new(address(bob))];
    thrown.discarded = 1;
    let what = What::Discarded { rule: "sieve “rules”, line 5".into() };
    thrown.events.push(Event::about(NOW, bob.to_owned(), what));
    world.runtime.block_on(async {
        for acceptance in [message, thrown] {
            let octets = format!(
                "Received: from client.example ([192.0.2.1])\r\n\tby mail.red.example with ESMTPS id {};\r\n\t\
                 Wed, 18 Nov 2026 11:06:40 +0000\r\nMessage-ID: <1@x.example>\r\n\r\nx\r\n",
                acceptance.id
            );
            let stage = world.staged(octets.as_bytes()).await;
            let _ = world.store.accept(stage, acceptance).await.unwrap();
        }
    });
    let seen = all_seen(&world, "alice", &[id.to_string(), gone.to_string()]).to_string();
    assert!(seen.contains("delivered") && !seen.contains("discarded"), "{seen}");
    assert!(["rules", "dave", "Box-bob"].iter().all(|word| !seen.contains(word)), "{seen}");
    let seen = all_seen(&world, "bob", &[id.to_string()]).to_string();
    assert!(seen.contains("sieve “rules”, line 4") && seen.contains("puts it into Box-bob"), "{seen}");
}
