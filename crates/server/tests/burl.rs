//! BURL (RFC 4468): what arrives where a message was named by its URL.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod scene;

use mail::BodyType;
use scene::engine::Engine;
use scene::{DRAFTS, World};
use server::listen::Service;
use store::Store;
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

fn say(engine: &mut Engine, bytes: &[u8]) -> String {
    engine.send(bytes).unwrap();
    String::from_utf8(engine.receive(&mut |_| Enough::Yes).unwrap().bytes).unwrap()
}

fn url(world: &World, what: &str) -> String {
    let rump =
        format!("imap://alice%40red.example@mail.red.example/Drafts/;UID=1{what};URLAUTH=submit+alice%40red.example");
    world.runtime.block_on(world.url(&rump))
}

#[test]
fn what_was_named_arrives_under_the_trace_fields() {
    let mut world = World::new();
    let mut alice = submission(&mut world);
    let (whole, head, text) = (url(&world, ""), url(&world, "/;SECTION=HEADER"), url(&world, "/;SECTION=TEXT"));
    let envelope = "MAIL FROM:<alice@red.example>\r\nRCPT TO:<bob@red.example>\r\n";
    for body in [
        format!("BURL {whole} LAST\r\n"),
        format!("BURL {head}\r\nBURL {text} LAST\r\n"),
        format!("BURL {head}\r\nBDAT 0\r\nBURL {text}\r\nBDAT 0 LAST\r\n"),
    ] {
        let said = say(&mut alice, format!("{envelope}{body}").as_bytes());
        assert!(said.lines().last().unwrap().starts_with("250 2.0.0 Ok: queued as "), "{said}");
    }
    let arrived = world.inbox("bob@red.example");
    assert_eq!(arrived.len(), 3);
    for message in arrived {
        // RFC 6409 §8: what a submission lacks is put in; the rest is as it was.
        let (front, body) = message.split_once("\r\n\r\n").unwrap();
        assert!(
            front.contains("with ESMTPSA") && front.contains("Message-ID: <") && front.contains("Date: "),
            "{front}"
        );
        let (header, text) = DRAFTS[0].split_once("\r\n\r\n").unwrap();
        assert_eq!(body, text);
        header.lines().for_each(|line| assert!(front.contains(line), "{front}"));
    }
}

/// RFC 4468 §3.4: octets above 127 that came by URL are told to the next server, whatever MAIL said.
#[test]
fn eight_bit_octets_are_told_on() {
    let mut world = World::new();
    let mut alice = submission(&mut world);
    let (whole, head) = (url(&world, ""), url(&world, "/;SECTION=HEADER"));
    for (url, body) in [(head, BodyType::SevenBit), (whole, BodyType::EightBitMime)] {
        let envelope = "MAIL FROM:<alice@red.example>\r\nRCPT TO:<carol@elsewhere.example>\r\n";
        let said = say(&mut alice, format!("{envelope}BURL {url} LAST\r\n").as_bytes());
        let id = said.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
        let queued = world.runtime.block_on(world.store.queue_message(id)).unwrap().unwrap();
        assert_eq!(queued.envelope.body, body);
    }
}
