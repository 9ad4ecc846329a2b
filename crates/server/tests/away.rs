//! Automatic replies over real sockets on the embedded store: who is told that somebody is away, who is not, and what the
//! journey says of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod scene;

use mail::{AccountId, Timestamp};
use scene::World;
use scene::client::Client;
use server::listen::Service;
use store::conformance::address;
use store::{AwayNotice, DirectoryEntry, Journey, JourneyQuery, Store, What};

fn account(world: &World, who: &str) -> AccountId {
    match world.runtime.block_on(world.store.entry(&address(who))).unwrap() {
        Some(DirectoryEntry::Account(account)) => account.id,
        _ => panic!("{who} is no account"),
    }
}

fn set(world: &World, who: &str, notice: AwayNotice) {
    let id = account(world, who);
    let _ = world.runtime.block_on(world.store.set_away_notice(id, notice)).unwrap();
}

fn notice(text: &str) -> AwayNotice {
    AwayNotice { enabled: true, text: Some(text.into()), ..AwayNotice::default() }
}

fn journey(world: &World, reply: &str) -> Journey {
    let id = reply.strip_prefix("250 2.0.0 Ok: queued as ").unwrap().parse().unwrap();
    world.runtime.block_on(world.store.journeys(&JourneyQuery::Id(id), 1)).unwrap().remove(0)
}

/// What became of the answers to a message: `answered`, or the rule by which there was none.
fn answers(world: &World, reply: &str) -> Vec<String> {
    let of = |what: What| match what {
        What::Answered { .. } => Some("answered".to_owned()),
        What::NotAnswered { rule, .. } => Some(rule),
        _ => None,
    };
    journey(world, reply).events.into_iter().filter_map(|event| of(event.what)).collect()
}

/// Queued messages, with their octets.
fn queued(world: &World) -> Vec<(store::QueueMessage, String)> {
    world.runtime.block_on(async {
        let mut all = Vec::new();
        for message in world.store.queue_messages(None, 99).await.unwrap() {
            let body = world.store.queue_body(message.id, 0).await.unwrap();
            let bytes = body.read(0..body.size()).await.unwrap();
            all.push((message, String::from_utf8_lossy(&bytes).into_owned()));
        }
        all
    })
}

const TO_ALICE: &str = "From: carol@elsewhere.example\r\nTo: alice@red.example\r\n";

/// The whole way: mail comes in, is in the mailbox, and its sender is told, once, from nobody, to nobody else.
#[test]
fn a_stranger_is_told_once() {
    let mut world = World::new();
    set(&world, "alice@red.example", notice("Back on Monday."));
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    let message = format!(
        "{TO_ALICE}Reply-To: other@elsewhere.example\r\nSubject: Hello\r\nMessage-ID: <1@elsewhere.example>\r\n\r\nHi"
    );
    let reply = client.send("carol@elsewhere.example", &["alice@red.example"], &message);
    assert_eq!(answers(&world, &reply), ["answered"]);
    let again = client.send("Carol@elsewhere.example", &["alice@red.example"], &message);
    assert_eq!(answers(&world, &again), ["told"]);
    assert_eq!(world.inbox("alice@red.example").len(), 2);
    let [(queued, text)] = &queued(&world)[..] else { panic!("one reply") };
    assert_eq!(queued.envelope.reverse_path, mail::ReversePath::Null);
    let to: Vec<String> = queued.recipients.iter().map(|recipient| recipient.address.to_string()).collect();
    assert_eq!(to, ["carol@elsewhere.example"]);
    assert!(!queued.recipients[0].notify.success && !queued.recipients[0].notify.failure);
    for line in [
        "From: alice@red.example\r\n",
        "To: carol@elsewhere.example\r\n",
        "Subject: Auto: Hello\r\n",
        "In-Reply-To: <1@elsewhere.example>\r\n",
        "Auto-Submitted: auto-replied\r\n",
        "\r\n\r\nBack on Monday.\r\n",
    ] {
        assert!(text.contains(line), "{line} {text}");
    }
    // The journey of the message leads to that of the reply.
    let told = journey(&world, &reply).events.into_iter().find_map(|event| match event.what {
        What::Answered { account, report } => Some((event.recipient, account, report)),
        _ => None,
    });
    let alice = "alice@red.example".to_owned();
    assert_eq!(told, Some((Some(alice.clone()), alice, queued.id.to_string())));
}

/// What a client sets by JMAP (RFC 8621 §8) is told from then on, and no more once it is taken back.
#[test]
fn a_client_sets_it() {
    let mut world = World::new();
    let credential = store::Credential::Password(store::PasswordHash(String::new()));
    let (account, address) = (account(&world, "alice@red.example"), address("alice@red.example"));
    let user = jmap::User { account, address, credential };
    let (shared, _) = world.system(false, |_| ());
    let set = |world: &World, patch: &str| {
        let id = user.account.0;
        let request = format!(
            r#"{{"using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:vacationresponse"], "methodCalls":
               [["VacationResponse/set", {{"accountId": "A{id}", "update": {{"singleton": {patch}}}}}, "0"]]}}"#
        );
        let moment = jmap::Moment { now: Timestamp::from_secs(0), random: 0 };
        let reply = world.runtime.block_on(shared.jmap.request(&user, request.as_bytes(), moment));
        let text = String::from_utf8(reply.body).unwrap();
        assert!(text.contains(r#""updated":{"singleton":null}"#), "{text}");
    };
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    set(&world, r#"{"isEnabled": true, "subject": "Away", "htmlBody": "<p>Later.</p>"}"#);
    let reply = client.send("c@elsewhere.example", &["alice@red.example"], TO_ALICE);
    assert_eq!(answers(&world, &reply), ["answered"]);
    let text = queued(&world)[0].1.clone();
    assert!(text.contains("Subject: Away\r\n") && text.contains("<p>Later.</p>"), "{text}");
    set(&world, r#"{"isEnabled": false}"#);
    let reply = client.send("d@elsewhere.example", &["alice@red.example"], TO_ALICE);
    assert!(answers(&world, &reply).is_empty());
}

/// Reasons of silence that the envelope, the header and the directory give. Each message is delivered all the same.
#[test]
fn who_is_not_told() {
    let mut world = World::new();
    set(&world, "alice@red.example", notice("away"));
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    let mut delivered = 0;
    for (from, to, header, rule) in [
        ("", "alice@red.example", TO_ALICE.to_owned(), "no-sender"),
        ("no-reply@elsewhere.example", "alice@red.example", TO_ALICE.to_owned(), "program"),
        (
            "c@elsewhere.example",
            "alice@red.example",
            format!("{TO_ALICE}Auto-Submitted: auto-generated\r\n"),
            "automatic",
        ),
        ("c@elsewhere.example", "alice@red.example", format!("{TO_ALICE}List-Id: <l.elsewhere.example>\r\n"), "list"),
        ("alice+x@red.example", "alice@red.example", TO_ALICE.to_owned(), "own"),
        ("c@elsewhere.example", "alice@red.example", "To: somebody@elsewhere.example\r\n".to_owned(), "not-named"),
        ("c@elsewhere.example", "team@red.example", "To: team@red.example\r\n".to_owned(), "not-named"),
        ("c@elsewhere.example", "postmaster@red.example", "To: postmaster@red.example\r\n".to_owned(), "not-named"),
        ("c@elsewhere.example", "x@catch.example", "To: x@catch.example\r\n".to_owned(), "not-named"),
        // Nobody is there, or nobody may be told: the account is disabled.
        ("nobody@red.example", "alice@red.example", TO_ALICE.to_owned(), "not-taken"),
        ("dora@red.example", "alice@red.example", TO_ALICE.to_owned(), "not-taken"),
        (
            "c@elsewhere.example",
            "alice+shop@red.example",
            "Cc: x@elsewhere.example, Alice <ALICE+shop@red.example>\r\n".to_owned(),
            "answered",
        ),
        (
            "d@elsewhere.example",
            "team@red.example",
            "To: team@red.example, alice@red.example\r\n".to_owned(),
            "answered",
        ),
    ] {
        let reply = client.send(from, &[to], &format!("{header}Subject: x\r\n"));
        assert_eq!(answers(&world, &reply), [rule], "{from} {to} {header}");
        delivered += 1;
    }
    assert_eq!((world.inbox("alice@red.example").len(), queued(&world).len()), (delivered, 2));
    // The reply bears the name under which alice was written to.
    assert!(queued(&world)[0].1.starts_with("From: ALICE+shop@red.example\r\n"), "{}", queued(&world)[0].1);
}

/// Before its time, after it, and turned off there is no notice, and no word of it in the journey.
#[test]
fn a_notice_has_its_time() {
    let mut world = World::new();
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    let (past, future) = (Timestamp::from_secs(1), Timestamp::from_secs(4_000_000_000));
    let mut sender = 0;
    let mut told = |world: &World, from: Option<Timestamp>, to: Option<Timestamp>, enabled: bool| {
        set(world, "alice@red.example", AwayNotice { enabled, from, to, ..notice("away") });
        sender += 1;
        let reply = client.send(&format!("c{sender}@elsewhere.example"), &["alice@red.example"], TO_ALICE);
        !answers(world, &reply).is_empty()
    };
    assert!(told(&world, None, None, true) && !told(&world, None, None, false));
    assert!(told(&world, Some(past), Some(future), true));
    assert!(!told(&world, Some(future), None, true) && !told(&world, None, Some(past), true));
    assert_eq!(queued(&world).len(), 2);
}

/// Two who are both away: each is told of the other, and there it ends.
#[test]
fn two_who_are_away() {
    let mut world = World::new();
    set(&world, "alice@red.example", notice("alice is away"));
    set(&world, "bob@red.example", AwayNotice { html: Some("<p>bob is away</p>".into()), ..notice("bob is away") });
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    let message = "From: alice@red.example\r\nTo: bob@red.example\r\nSubject: Hello\r\n\r\n";
    let reply = client.send("alice@red.example", &["bob@red.example"], message);
    assert_eq!(answers(&world, &reply), ["answered"]);
    let (alice, bob) = (world.inbox("alice@red.example"), world.inbox("bob@red.example"));
    assert_eq!((alice.len(), bob.len()), (1, 1));
    assert!(
        alice[0].starts_with("Return-Path: <>\r\nDelivered-To: alice@red.example\r\nFrom: bob@red.example\r\n"),
        "{}",
        alice[0]
    );
    assert!(alice[0].contains("multipart/alternative") && alice[0].contains("<p>bob is away</p>"), "{}", alice[0]);
    // The reply comes back from another system that forgot what it is: as a message of bob's, from nobody, or as it was.
    let text = alice[0].split_once("From: ").unwrap().1;
    let back = format!("From: {text}");
    for (from, rule) in [("", "no-sender"), ("bob@red.example", "automatic")] {
        let reply = client.send(from, &["alice@red.example"], back.trim_end());
        assert_eq!(answers(&world, &reply), [rule]);
    }
    assert_eq!((world.inbox("alice@red.example").len(), world.inbox("bob@red.example").len()), (3, 1));
    assert!(queued(&world).is_empty());
}

/// A message for several who are away is answered by each, in one commit; where that fails nobody is told and nothing is
/// kept, and the next try tells them.
#[test]
fn all_or_nothing() {
    let mut world = World::new();
    set(&world, "alice@red.example", notice("alice"));
    set(&world, "bob@red.example", notice("bob"));
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    let message = "To: alice@red.example, bob@red.example\r\nSubject: both\r\n\r\n";
    let send =
        |client: &mut Client| client.send("c@elsewhere.example", &["alice@red.example", "bob@red.example"], message);
    *world.between.fault.lock().unwrap() = Some(("accept", store::StoreError::DiskFull));
    assert!(send(&mut client).starts_with("452 "));
    *world.between.fault.lock().unwrap() = None;
    assert!(queued(&world).is_empty() && world.inbox("alice@red.example").is_empty());
    let reply = send(&mut client);
    assert_eq!(answers(&world, &reply), ["answered", "answered"]);
    assert_eq!(queued(&world).len(), 2);
}
