//! What a stranger meets at port 25 before and behind the greeting: the pump asks who stands at the door, and notes what was
//! refused. In virtual time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod scene;

use std::sync::Arc;
use std::time::Duration;

use mail::{Address, limits};
use mta::accept::inspect::Inspectors;
use mta::policy::{Door, Rules};
use scene::World;
use scene::quiet_time::QuietTime;
use server::connect::SystemRandom;
use server::listen::Service;
use server::settings::PolicySettings;
use server::smtp::{Extras, Reception};
use server::{Connection, Settings, Shared, Shutdown, ShutdownSwitch};
use store::conformance::domain;
use store::{Store, What};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::{Builder, Runtime};

struct House {
    world: World,
    runtime: Runtime,
    door: Arc<Door>,
    shared: Arc<Shared>,
    reception: Arc<Reception>,
    _switch: ShutdownSwitch,
}

fn house(rules: Rules, greet_delay: Duration) -> House {
    let world = World::new();
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let time = runtime.block_on(async { Arc::new(QuietTime::new()) });
    let (switch, shutdown) = Shutdown::new();
    let mut settings = Settings::new(domain("mail.red.example"));
    settings.policy = PolicySettings { rules: rules.clone(), greet_delay, ..PolicySettings::default() };
    let shared = Arc::new(Shared::new(world.between.clone(), time.clone(), settings, None, shutdown));
    let door = Door::new(time, None, rules);
    let reception = Arc::new(Reception::new(Extras {
        random: Arc::new(SystemRandom),
        door: Some(door.clone()),
        verify: None,
        misbehave: None,
        reporter: None,
        inspectors: Box::new(|_| Inspectors::default()),
    }));
    House { world, runtime, door, shared, reception, _switch: switch }
}

impl House {
    /// What a client hears that says `first` at once and, once it was greeted, `then`.
    fn client(&self, ip: &str, first: &str, then: &str) -> String {
        let (first, then) = (first.to_owned(), then.to_owned());
        self.runtime.block_on(async {
            let (mut near, far) = tokio::io::duplex(4096);
            let local = "192.0.2.1:25".parse().unwrap();
            let connection = Connection::over(Box::new(far), format!("{ip}:4000").parse().unwrap(), local, None);
            let serving = self.reception.clone().serve(connection, Service::Smtp, self.shared.clone());
            let session = tokio::spawn(serving);
            near.write_all(first.as_bytes()).await.unwrap();
            let said = talk(&mut near, &then).await;
            session.await.unwrap();
            said
        })
    }

    /// The rules by which clients were refused, newest first.
    fn refusals(&self) -> Vec<String> {
        let noted = self.world.runtime.block_on(self.world.store.refusals(99)).unwrap();
        let rule = |event: store::Event| match event.what {
            What::Refused { rule, .. } => rule,
            other => panic!("{other:?}"),
        };
        noted.into_iter().map(rule).collect()
    }
}

async fn talk(stream: &mut DuplexStream, then: &str) -> String {
    let mut greeting = [0; 512];
    let read = stream.read(&mut greeting).await.unwrap();
    let mut said = String::from_utf8(greeting[..read].to_vec()).unwrap();
    if said.starts_with("220") {
        stream.write_all(then.as_bytes()).await.unwrap();
        stream.read_to_string(&mut said).await.unwrap();
    }
    said
}

const MAIL: &str = "EHLO c\r\nMAIL FROM:<s@far.example>\r\nRCPT TO:<alice@red.example>\r\nQUIT\r\n";

#[test]
fn who_speaks_before_the_greeting_is_turned_away() {
    let house = house(Rules::default(), Duration::from_secs(2));
    assert_eq!(house.client("192.0.2.7", "EHLO c\r\n", ""), "554 5.5.1 You spoke before you were greeted\r\n");
    let patient = house.client("192.0.2.7", "", MAIL);
    assert!(patient.starts_with("220 ") && patient.contains("\r\n250 2.1.5 "), "{patient}");
    let near = house.client("127.0.0.1", "EHLO c\r\n", "QUIT\r\n");
    assert!(near.starts_with("220 "), "loopback is exempt: {near}");
    assert_eq!(house.refusals(), ["early-talker"]);
}

#[test]
fn rates_are_told_at_the_greeting_at_mail_and_at_rcpt() {
    let house = house(Rules { connections: 3, messages: 2, recipients: 1, ..Rules::default() }, Duration::ZERO);
    let first = house.client("192.0.2.7", "", MAIL);
    assert!(first.contains("\r\n250 2.1.5 "), "{first}");
    let second = house.client("192.0.2.7", "", MAIL);
    assert!(second.contains("\r\n450 4.7.1 Too many recipients from 192.0.2.7, come again in "), "{second}");
    let third = house.client("192.0.2.7", "", MAIL);
    assert!(third.contains("\r\n450 4.7.1 Too many messages from 192.0.2.7, come again in 30 minutes\r\n"), "{third}");
    let fourth = house.client("192.0.2.7", "", MAIL);
    assert!(fourth.starts_with("421 4.7.0 Too many connections from 192.0.2.7, come again in "), "{fourth}");
    assert_eq!(house.refusals(), ["rate-connections", "rate-messages", "rate-recipients"]);
    // Kept by the store, and known after a restart.
    let store = &*house.world.store;
    house.world.runtime.block_on(house.door.remember(store)).unwrap();
    let kept = house.world.runtime.block_on(store.tallies()).unwrap();
    assert!(kept.iter().any(|(name, _)| name == "messages 192.0.2.7"), "{kept:?}");
}

/// `POLICY_ACCOUNT_RECIPIENTS` of an account; what it sends beyond stays with it.
#[test]
fn an_account_sends_to_so_many() {
    let house = house(Rules::default(), Duration::ZERO);
    let alice = Address::new("alice", domain("red.example")).unwrap();
    for _ in 0..limits::POLICY_ACCOUNT_RECIPIENTS {
        house.door.account(&alice).unwrap();
    }
    let refused = house.door.account(&alice).unwrap_err();
    assert_eq!(refused.rule, "rate-account");
    assert!(refused.reply.to_string().starts_with("450 4.7.1 alice@red.example sends to too many recipients"));
}
