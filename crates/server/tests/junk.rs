//! An account teaches what junk is by moving mail, and what comes then is put where it belongs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod scene;

use std::sync::Arc;

use async_trait::async_trait;
use mail::{Flags, MailboxId, Timestamp, Uid, limits};
use mta::accept::inspect::{Clue, Findings, Inspect, Inspection};
use scene::World;
use scene::client::Client;
use server::junk::ByWords;
use server::listen::Service;
use store::conformance::address;
use store::{FlagChange, FlagOperation, JourneyQuery, Lessons, Store, What};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

impl World {
    fn mailbox_of(&self, who: &str, name: &str) -> MailboxId {
        self.runtime.block_on(async {
            let Some(store::DirectoryEntry::Account(account)) = self.store.entry(&address(who)).await.unwrap() else {
                panic!("{who} is no account");
            };
            self.store.mailbox(account.id, name).await.unwrap().unwrap()
        })
    }

    /// Moves all that is in a mailbox.
    fn move_all(&self, who: &str, from: &str, to: &str) {
        let (from, to) = (self.mailbox_of(who, from), self.mailbox_of(who, to));
        self.runtime.block_on(async {
            let rows = self.store.watch(from).await.unwrap().newest().unwrap();
            let uids: Vec<Uid> = rows.iter().map(|row| row.uid).collect();
            self.store.move_messages(from, &uids, to, NOW).await.unwrap().into_inner();
        });
    }

    fn judged(&self, message_id: &str) -> Vec<What> {
        let query = JourneyQuery::MessageId(message_id.to_owned());
        let journeys = self.runtime.block_on(self.store.journeys(&query, 9)).unwrap();
        let events = journeys.into_iter().flat_map(|journey| journey.events);
        events.map(|event| event.what).filter(|what| matches!(what, What::Judged { .. })).collect()
    }
}

fn junk(n: u32) -> String {
    format!(
        "From: win{n}@casino.example\r\nMessage-ID: <j{n}@x>\r\nSubject: Prize {n}\r\n\r\nClaim the money you have won"
    )
}

fn good(n: u32) -> String {
    format!("From: Ann <ann@work.example>\r\nMessage-ID: <g{n}@x>\r\nSubject: Agenda {n}\r\n\r\nSee you at the meeting")
}

#[test]
fn what_is_moved_to_junk_teaches() {
    let mut world = World::new();
    world.filters = vec![Arc::new(ByWords(world.store.clone()))];
    let (shared, _) = world.system(false, |_| ());
    world.runtime.spawn(server::junk::learn(shared));
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    let alice = "alice@red.example";
    let lessons = limits::JUNK_LESSONS;
    for n in 0..lessons {
        assert!(client.send("x@casino.example", &[alice], &junk(n)).starts_with("250 "));
    }
    world.move_all(alice, "INBOX", "Trash");
    for n in 0..lessons {
        assert!(client.send("ann@work.example", &[alice], &good(n)).starts_with("250 "));
    }
    // What is read and stays is good; nobody has to say so.
    let inbox = world.mailbox_of(alice, "INBOX");
    let seen =
        FlagChange { operation: FlagOperation::Add, flags: Flags::SEEN, keywords: Vec::new(), unchanged_since: None };
    world.runtime.block_on(async {
        let rows = world.store.watch(inbox).await.unwrap().newest().unwrap();
        let uids: Vec<Uid> = rows.iter().map(|row| row.uid).collect();
        world.store.set_flags(inbox, &uids, seen).await.unwrap().into_inner();
    });
    world.move_all(alice, "Trash", "Junk");
    let account = world.runtime.block_on(world.store.entry(&address(alice))).unwrap().unwrap();
    let store::DirectoryEntry::Account(account) = account else { panic!("alice is no account") };
    world.runtime.block_on(async {
        loop {
            let taught = world.store.taught(account.id);
            if taught.junk.min(taught.good) >= lessons {
                break;
            }
            tokio::task::yield_now().await;
        }
    });

    // To alice it is junk; bob has taught nothing.
    assert!(client.send("x@casino.example", &[alice, "bob@red.example"], &junk(70)).starts_with("250 "));
    assert!(client.send("ann@work.example", &[alice], &good(70)).starts_with("250 "));
    assert_eq!(world.mailbox(alice, "Junk").len(), lessons as usize + 1);
    assert_eq!((world.inbox(alice).len(), world.inbox("bob@red.example").len()), (lessons as usize + 1, 1));

    let [What::Judged { account, junk, percent, evidence }] = &world.judged("<j70@x>")[..] else { panic!("judged") };
    assert_eq!((account.as_str(), *junk), (alice, true));
    assert!(*percent >= 90 && evidence.len() <= limits::JUNK_TOLD, "{percent} {evidence:?}");
    assert!(evidence.iter().any(|one| one.what == "subject:prize" && one.percent > 90), "{evidence:?}");
    assert!(evidence.iter().any(|one| one.what == "the sender is new to you"), "{evidence:?}");
    // Each word has its own counts, also behind one that was never seen.
    assert!(evidence.iter().any(|one| one.what == "from:@casino.example" && one.percent > 90), "{evidence:?}");
    let [What::Judged { junk: false, percent, .. }] = &world.judged("<g70@x>")[..] else { panic!("judged") };
    assert!(*percent < 10, "{percent}");
}

struct Listed;

#[async_trait]
impl Inspect for Listed {
    async fn inspect(&self, _: &Inspection<'_>) -> Findings {
        let clue = Clue { says: "a list names its server".to_owned(), likely: 0.99 };
        Findings { clues: vec![clue], ..Findings::default() }
    }
}

/// A strong sign is enough for those who have taught nothing; what accounts here send is not judged.
#[test]
fn others_find_signs() {
    let mut world = World::new();
    world.filters = vec![Arc::new(ByWords(world.store.clone()))];
    world.inspectors = vec![Arc::new(Listed)];
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    assert!(client.send("x@casino.example", &["bob@red.example"], &junk(1)).starts_with("250 "));
    assert_eq!((world.inbox("bob@red.example").len(), world.mailbox("bob@red.example", "Junk").len()), (0, 1));
    assert!(matches!(&world.judged("<j1@x>")[..], [What::Judged { junk: true, percent: 99, .. }]));
}
