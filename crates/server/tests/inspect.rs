//! Those who look at a message between its last byte and our answer: what they see, and what becomes of what they find.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod scene;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mail::{Reply, limits};
use mta::accept::inspect::{Findings, Inspect, Inspection};
use scene::World;
use scene::client::Client;
use server::listen::Service;
use store::Store;

/// Finds something in whatever has a certain word in it, and remembers how much it saw.
struct Looks {
    name: &'static str,
    seen: Mutex<Vec<usize>>,
}

#[async_trait]
impl Inspect for Looks {
    async fn inspect(&self, inspection: &Inspection<'_>) -> Findings {
        let message = inspection.received();
        self.seen.lock().unwrap().push(message.len());
        let has = |word: &str| message.windows(word.len()).any(|piece| piece == word.as_bytes());
        assert!(inspection.message[..inspection.ours].starts_with(b"Received: "));
        assert_eq!(inspection.envelope.recipients.len(), 2);
        if has(&format!("refuse:{}", self.name)) {
            return Findings::refuse(Reply::new(550, (5, 7, 1), "Not that"), "looks");
        }
        let before = inspection.findings.top.len();
        let top = format!("X-{}: {before}\r\n", self.name).into_bytes();
        Findings { top, junk: has("junk"), ..Findings::default() }
    }
}

/// Local copies and copies that leave bear what was found, the newest on top; a refusal ends the asking.
#[test]
fn what_is_found_is_on_top_of_each_copy() {
    let mut world = World::new();
    let [first, second] = ["A", "B"].map(|name| Arc::new(Looks { name, seen: Mutex::default() }));
    world.inspectors = vec![first.clone(), second.clone()];
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    let to = ["alice@red.example", "out@red.example"];
    let mut send = |message: &str| client.send("carol@elsewhere.example", &to, message);

    assert!(send("Subject: plain\r\n\r\nHello").starts_with("250 "));
    assert!(send("Subject: junk\r\n\r\nHello").starts_with("250 "));
    assert_eq!(send("Subject: refuse:A\r\n\r\nHello"), "550 5.7.1 Not that");
    assert_eq!(send("Subject: refuse:B\r\n\r\nHello"), "550 5.7.1 Not that");
    let large = format!("Subject: large\r\n\r\n{}", "0123456789abcde\r\n".repeat(limits::BODY_IN_MEMORY / 16));
    assert!(send(&large).starts_with("250 "));

    // The last line's end is the message's; what was streamed to a file is seen whole, too.
    let sizes = vec![25, 24, 28, 28, large.len() + 2];
    assert_eq!(*first.seen.lock().unwrap(), sizes);
    assert_eq!(*second.seen.lock().unwrap(), [sizes[0], sizes[1], sizes[3], sizes[4]]);
    let front =
        "Return-Path: <carol@elsewhere.example>\r\nDelivered-To: alice@red.example\r\nX-B: 8\r\nX-A: 0\r\nReceived: ";
    let (inbox, junk) = (world.inbox("alice@red.example"), world.mailbox("alice@red.example", "Junk"));
    assert_eq!((inbox.len(), junk.len()), (2, 1));
    for copy in inbox.iter().chain(&junk) {
        assert!(copy.starts_with(front), "{}", &copy[..200]);
    }
    assert!(junk[0].contains("Subject: junk"));
    assert!(inbox[1].ends_with(&format!("{large}\r\n")));
    let queued = world.runtime.block_on(world.store.queue_messages(None, 9)).unwrap();
    assert_eq!(queued.len(), 3);
    for message in queued {
        assert_eq!(message.recipients[0].prefix, b"Delivered-To: out@red.example\r\nX-B: 8\r\nX-A: 0\r\n");
    }
}
