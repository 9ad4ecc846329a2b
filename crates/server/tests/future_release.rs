//! Future release over SMTP (RFC 4865): what is held back is nobody's before its time, those here included, and the operator sees it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod scene;

use std::time::Duration;

use mail::Hold;
use scene::World;
use scene::engine::Engine;
use server::control::QueueView;
use server::listen::Service;
use store::{QueueMessage, Store, What};
use testkit::transcript::{Enough, Subject};

/// Alice, logged in on the submission port.
fn submission(world: &mut World) -> Engine {
    let (shared, reception) = world.system(true, |_| ());
    let door = (Service::Submission, "127.0.0.1".parse().unwrap());
    let mut engine = Engine::new(world.runtime.handle(), &shared, &reception, door);
    engine.send(b"STARTTLS\r\n").unwrap();
    engine.start_tls().unwrap();
    engine.send(b"EHLO c\r\nAUTH PLAIN AGFsaWNlQHJlZC5leGFtcGxlAHNlY3JldA==\r\n").unwrap();
    engine
}

/// Alice sends to Bob, who is here, and to Carol, who is not; what is queued of it.
fn send(world: &World, alice: &mut Engine, parameter: &str) -> Option<QueueMessage> {
    let message = format!(
        "MAIL FROM:<alice@red.example> {parameter}\r\nRCPT TO:<bob@red.example> NOTIFY=SUCCESS\r\n\
         RCPT TO:<carol@elsewhere.example>\r\nBDAT 12 LAST\r\nSubject: x\r\n"
    );
    alice.send(message.as_bytes()).unwrap();
    let said = String::from_utf8(alice.receive(&mut |_| Enough::Yes).unwrap().bytes).unwrap();
    let id = said.trim_end().rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{said}"));
    world.runtime.block_on(world.store.queue_message(id)).unwrap()
}

#[test]
fn what_is_held_waits_for_all_recipients() {
    let mut world = World::new();
    let mut alice = submission(&mut world);
    let held = send(&world, &mut alice, "HOLDFOR=3600").unwrap();
    let release = held.received_at.plus(Duration::from_secs(3600));
    assert_eq!((held.held, held.release_at, held.lives_from()), (true, Some(release), release));
    assert_eq!(held.envelope.hold, Some(Hold::For(3600)));
    let waiting: Vec<_> = held.recipients.iter().map(|one| (one.address.to_string(), one.next_attempt)).collect();
    assert_eq!(waiting, [("bob@red.example".to_owned(), release), ("carol@elsewhere.example".to_owned(), release)]);
    // Neither the message nor the report of its delivery.
    assert!(world.inbox("bob@red.example").is_empty() && world.inbox("alice@red.example").is_empty());
    assert_eq!(QueueView::from(held.clone()).held_until, Some(release.millis()));
    let query = store::JourneyQuery::Id(held.id);
    let journey = world.runtime.block_on(world.store.journeys(&query, 1)).unwrap().remove(0);
    assert!(journey.events.iter().any(|event| event.what == What::Held { until: release.millis() }));
    // One message's parameter is no other's.
    assert!(!send(&world, &mut alice, "").unwrap().held);
    assert_eq!(world.inbox("bob@red.example").len(), 1);
}

#[test]
fn what_is_held_no_longer_leaves_at_once() {
    let mut world = World::new();
    let mut alice = submission(&mut world);
    for parameter in ["HOLDFOR=0", "HOLDUNTIL=2001-01-01T00:00:00Z"] {
        let sent = send(&world, &mut alice, parameter).unwrap();
        assert_eq!((sent.held, sent.release_at, sent.recipients.len()), (false, None, 1));
    }
    assert_eq!(world.inbox("bob@red.example").len(), 2);
}
