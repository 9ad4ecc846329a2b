//! Mail out on the embedded store, to servers that fail in every way they can.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod outside;
mod safe_way;

use std::sync::Arc;
use std::time::Duration;

use mail::{BodyType, Envelope, Notify, QueueId, Recipient, ReversePath, limits};
use mta::queue::{self, Chosen, Schedule, Standings};
use mta::relay::{Answer, Relay, Verifier};
use mta::route::{FixedRoute, Routing};
use mta::world::Clock;
use outside::{Outside, Say, TestClock, good};
use store::conformance::{address, domain};
use store::{Acceptance, Journey, JourneyQuery, NewAccount, PasswordHash, QueueRelay, Store, What};
use store_local::{LocalStore, Options};
use tokio::sync::oneshot;

const MESSAGE: &[u8] = b"From: alice@red.example\r\nSubject: hello\r\n\r\nhi\r\n.dot\r\n";

struct House {
    store: Arc<LocalStore>,
    relay: Arc<Relay>,
    clock: Arc<TestClock>,
    outside: Arc<Outside>,
    stop: Option<oneshot::Sender<()>>,
    running: Option<tokio::task::JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

fn routing() -> Routing {
    Routing {
        hostname: domain("mail.red.example"),
        listening: vec!["127.0.0.1:25".parse().unwrap()],
        port: 25,
        routes: Vec::new(),
        catch_all: None,
    }
}

async fn house(outside: Outside) -> House {
    house_with(outside, routing()).await
}

async fn house_with(outside: Outside, routing: Routing) -> House {
    let outside = Arc::new(outside);
    let (world, clock) = outside.world();
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path().join("data"), Options::default()).unwrap();
    store.add_domain(&domain("red.example")).await.unwrap().into_inner();
    let account = NewAccount {
        address: address("alice@red.example"),
        password: PasswordHash(String::new()),
        scram: None,
        quota: None,
    };
    store.add_account(account, clock.now()).await.unwrap().into_inner();
    let relay = Relay::new(world, store.clone(), routing, Schedule::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn({
        let relay = relay.clone();
        async move { relay.run(async { stopped.await.unwrap_or(()) }).await.unwrap() }
    });
    House { store, relay, clock, outside, stop: Some(stop), running: Some(running), _folder: folder }
}

impl House {
    async fn send(&self, to: &[&str]) -> QueueId {
        self.send_as("alice@red.example", to, |_| {}).await
    }

    async fn send_as(&self, from: &str, to: &[&str], change: impl FnOnce(&mut Envelope)) -> QueueId {
        self.send_bytes(from, to, change, MESSAGE).await
    }

    async fn send_bytes(&self, from: &str, to: &[&str], change: impl FnOnce(&mut Envelope), bytes: &[u8]) -> QueueId {
        let now = self.clock.now();
        let id = self.store.next_queue_id(now);
        let reverse_path = if from.is_empty() { ReversePath::Null } else { ReversePath::Address(address(from)) };
        let mut envelope = Envelope {
            reverse_path,
            recipients: to.iter().map(|to| Recipient::new(address(to))).collect(),
            body: BodyType::SevenBit,
            smtputf8: false,
            dsn_return: None,
            envelope_id: None,
            hold: None,
        };
        change(&mut envelope);
        let routing = self.relay.routing();
        let relays = envelope.recipients.iter().map(|recipient| QueueRelay {
            recipient: recipient.clone(),
            prefix: Vec::new(),
            destination: routing.destination(&recipient.address),
            next_attempt: now,
        });
        let acceptance = Acceptance {
            id,
            received_at: now,
            relays: relays.collect(),
            envelope,
            message_id: Some(format!("<{id}@red.example>")),
            deliveries: Vec::new(),
            discarded: 0,
            events: Vec::new(),
            dsns: Vec::new(),
            marks: Vec::new(),
        };
        let mut stage = self.store.stage(None).await.unwrap();
        stage.write(bytes).await.unwrap();
        self.store.accept(stage, acceptance).await.unwrap().into_inner();
        id
    }

    async fn journey(&self, id: QueueId) -> Journey {
        self.store.journeys(&JourneyQuery::Id(id), 1).await.unwrap().pop().unwrap()
    }

    /// Waits until the journey has so many events that `pick` picks, and returns what it made of them.
    async fn until<T>(&self, id: QueueId, count: usize, pick: impl Fn(&What) -> Option<T>) -> Vec<T> {
        for _ in 0..200_000 {
            let found: Vec<T> = self.journey(id).await.events.iter().filter_map(|event| pick(&event.what)).collect();
            if found.len() >= count {
                return found;
            }
            tokio::task::yield_now().await;
        }
        panic!("it never came: {:#?}", self.journey(id).await);
    }

    async fn mailbox(&self) -> Vec<String> {
        let account = self.store.accounts(None, 1).await.unwrap().remove(0).id;
        let inbox = self.store.mailbox(account, "INBOX").await.unwrap().unwrap();
        let uids: Vec<_> = self.store.watch(inbox).await.unwrap().newest().unwrap().iter().map(|row| row.uid).collect();
        let mut texts = Vec::new();
        for (_, body) in self.store.bodies(inbox, &uids).await.unwrap() {
            let mut text = Vec::new();
            while (text.len() as u64) < body.size() {
                text.extend_from_slice(&body.read(text.len() as u64..body.size()).await.unwrap());
            }
            texts.push(String::from_utf8(text).unwrap());
        }
        texts
    }

    /// The same, once so many are there: a commit can be read a moment before open mailboxes are told of it.
    async fn mailbox_of(&self, count: usize) -> Vec<String> {
        for _ in 0..200_000 {
            let mail = self.mailbox().await;
            if mail.len() >= count {
                assert_eq!(mail.len(), count);
                return mail;
            }
            tokio::task::yield_now().await;
        }
        panic!("there are not {count}: {:?}", self.mailbox().await);
    }

    /// Stops, and checks the invariants.
    async fn end(mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.running.take().unwrap().await.unwrap();
        let balance = self.store.balance().await.unwrap();
        assert!(balance.holds(), "{balance:?}");
        let findings = self.store.check(true).await.unwrap();
        assert!(findings.iter().all(|finding| !finding.error), "{findings:?}");
        self.store.close().await;
    }
}

fn relayed(what: &What) -> Option<(String, String)> {
    match what {
        What::Relayed { host, reply, .. } => Some((host.clone(), reply.clone())),
        _ => None,
    }
}

fn bounced(what: &What) -> Option<(String, bool)> {
    match what {
        What::Bounced { words, report } => Some((words.clone(), report.is_some())),
        _ => None,
    }
}

fn deferred(what: &What) -> Option<String> {
    match what {
        What::Deferred { words, .. } => Some(words.clone()),
        _ => None,
    }
}

fn blue() -> Outside {
    let outside = Outside::default();
    outside.mx("blue.example", &[(10, "mx.blue.example")]);
    outside.a("mx.blue.example", "192.0.2.1");
    outside
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_arrives_and_the_connection_is_used_again() {
    let outside = blue();
    outside.server("192.0.2.1", good);
    let house = house(outside).await;
    let first = house.send(&["bob@blue.example", "eve@blue.example"]).await;
    assert_eq!(
        house.until(first, 2, relayed).await,
        vec![("mx.blue.example".to_owned(), "250 2.0.0 taken".to_owned()); 2]
    );
    let second = house.send(&["bob@blue.example"]).await;
    house.until(second, 1, relayed).await;
    // Two where the second was sent before the first one's worker had settled.
    assert!(house.outside.connections.lock().unwrap().len() <= 2);
    let lines = house.outside.lines();
    assert_eq!(
        &lines[..5],
        [
            "EHLO mail.red.example",
            "MAIL FROM:<alice@red.example> SIZE=53",
            "RCPT TO:<bob@blue.example>",
            "RCPT TO:<eve@blue.example>",
            "DATA"
        ]
    );
    assert!(lines[5].ends_with("hi\r\n..dot\r\n.\r\n"));
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_host_is_tried_at_every_failure_that_allows_it() {
    type Part = fn(usize, &str) -> Say;
    let failures: [(&str, Part); 7] = [
        ("", |_, line| if line.is_empty() { Say::Last("421 busy") } else { good(0, line) }),
        ("", |_, line| if line.is_empty() { Say::Last("554 go away") } else { good(0, line) }),
        ("EHLO", |_, line| if line.starts_with("EHLO") { Say::Close } else { good(0, line) }),
        ("MAIL", |_, line| if line.starts_with("MAIL") { Say::Line("451 later") } else { good(0, line) }),
        ("RCPT", |_, line| if line.starts_with("RCPT") { Say::Line("450 later") } else { good(0, line) }),
        ("DATA", |_, line| if line == "DATA" { Say::Last("421 stop") } else { good(0, line) }),
        (".", |_, line| if line == "." { Say::Line("452 full") } else { good(0, line) }),
    ];
    for (stage, failure) in failures {
        let outside = Outside::default();
        outside.mx("blue.example", &[(10, "down.example"), (20, "bad.example"), (30, "mx.blue.example")]);
        outside.a("down.example", "192.0.2.3");
        outside.a("bad.example", "192.0.2.2");
        outside.a("mx.blue.example", "192.0.2.1");
        outside.server("192.0.2.1", good);
        outside.server("192.0.2.2", failure);
        let house = house(outside).await;
        let id = house.send(&["bob@blue.example"]).await;
        assert_eq!(house.until(id, 1, relayed).await[0].0, "mx.blue.example", "{stage}");
        let failed: Vec<String> = house
            .journey(id)
            .await
            .events
            .iter()
            .filter_map(|event| match &event.what {
                What::Failed { host, .. } => Some(host.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(failed, ["down.example", "bad.example"], "{stage}");
        house.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_comes_back_with_the_words() {
    let outside = blue();
    outside.server("192.0.2.1", |_, line| match line {
        "RCPT TO:<refused@blue.example>" => Say::Line("550-5.1.1 no such\r\n550 5.1.1 user\u{7}"),
        line => good(0, line),
    });
    let house = house(outside).await;
    let id = house.send(&["bob@blue.example", "refused@blue.example"]).await;
    assert_eq!(house.until(id, 1, bounced).await, [("550 5.1.1 no such user ".to_owned(), true)]);
    assert_eq!(house.until(id, 1, relayed).await.len(), 1);
    let mail = house.mailbox_of(1).await;
    let [report] = mail.as_slice() else { panic!("{mail:?}") };
    for part in [
        "Return-Path: <>\r\n",
        "To: <alice@red.example>\r\n",
        "Auto-Submitted: auto-replied\r\n",
        "Final-Recipient: rfc822; refused@blue.example\r\nAction: failed\r\nStatus: 5.1.1\r\n",
        "Remote-MTA: dns; mx.blue.example\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n",
        "Content-Type: message/rfc822\r\n",
        "hi\r\n.dot\r\n",
    ] {
        assert!(report.contains(part), "{part:?} is not in {report}");
    }
    assert!(!report.contains("bob@blue.example"));
    house.end().await;
}

/// A report goes where mail to that sender would go, by every rule of the directory.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_finds_every_sender_of_ours() {
    let outside = blue();
    outside.server("192.0.2.1", |_, line| match line {
        line if line.starts_with("RCPT") => Say::Line("550 no"),
        line => good(0, line),
    });
    let house = house(outside).await;
    let senders = ["alice+shop@red.example", "abuse@red.example", "postmaster@mail.red.example"];
    for (n, sender) in senders.into_iter().enumerate() {
        let id = house.send_as(sender, &["bob@blue.example"], |_| {}).await;
        assert_eq!(house.until(id, 1, bounced).await, [("550 no".to_owned(), true)]);
        let mail = house.mailbox_of(n + 1).await;
        assert!(mail[n].contains(&format!("To: <{sender}>\r\n")), "{}", mail[n]);
    }
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_report_answers_a_report() {
    let outside = blue();
    outside.server("192.0.2.1", |_, line| match line {
        line if line.starts_with("RCPT") => Say::Line("550 no"),
        line => good(0, line),
    });
    let house = house(outside).await;
    let id = house.send_as("", &["bob@blue.example"], |_| {}).await;
    assert_eq!(house.until(id, 1, bounced).await, [("550 no".to_owned(), false)]);
    let never = house
        .send_as("alice@red.example", &["bob@blue.example"], |envelope| envelope.recipients[0].notify = Notify::NEVER)
        .await;
    assert_eq!(house.until(never, 1, bounced).await, [("550 no".to_owned(), false)]);
    assert!(house.mailbox().await.is_empty());
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_now_waits_warns_and_expires() {
    let outside = blue();
    outside.server("192.0.2.1", |_, line| match line {
        line if line.starts_with("RCPT") => Say::Line("450 4.2.0 later"),
        line => good(0, line),
    });
    let house = house(outside).await;
    let id = house.send(&["bob@blue.example"]).await;
    let mut count = 1;
    let hour = Duration::from_secs(3600);
    house.until(id, count, deferred).await;
    let expired = |what: &What| matches!(what, What::Expired { report: Some(_), .. }).then_some(());
    let reported = |what: &What| match what {
        What::Reported { kind, .. } => Some(kind.clone()),
        _ => None,
    };
    // Ever longer pauses: move on until the next try has come, five days long.
    for _ in 0..200 {
        let journey = house.journey(id).await;
        if journey.events.iter().any(|event| expired(&event.what).is_some()) {
            break;
        }
        let Some((_, next)) = journey.waiting.first() else { continue };
        let wait = mail::Timestamp::from_millis(*next).since(house.clock.now());
        assert!(wait <= hour * 5);
        house.clock.advance(wait);
        count += 1;
        house.until(id, count, |what| deferred(what).map(drop).or_else(|| expired(what))).await;
    }
    house.until(id, 1, expired).await;
    assert_eq!(house.until(id, 1, reported).await, ["delay"]);
    let mail = house.mailbox_of(2).await;
    assert_eq!(mail.len(), 2);
    assert!(mail[0].contains("Action: delayed\r\n") && mail[0].contains("Will-Retry-Until: "), "{}", mail[0]);
    assert!(mail[1].contains("Action: failed\r\nStatus: 5.4.7\r\n"), "{}", mail[1]);
    assert!((30..60).contains(&count), "{count} tries in five days");
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dns_decides_between_waiting_and_giving_up() {
    let outside = Outside::default();
    outside.mx.lock().unwrap().insert("lame.example".into(), mta::world::Answer::Temporary("SERVFAIL".into()));
    outside.mx("null.example", &[(0, "")]);
    outside.mx("self.example", &[(10, "mail.red.example")]);
    let house = house(outside).await;
    for (to, status) in [("a@gone.example", "5.1.2"), ("a@null.example", "5.1.10"), ("a@self.example", "5.4.6")] {
        let id = house.send(&[to]).await;
        assert!(house.until(id, 1, bounced).await[0].0.contains(status), "{to}");
    }
    let id = house.send(&["a@lame.example"]).await;
    assert!(house.until(id, 1, deferred).await[0].contains("SERVFAIL"));
    assert!(house.outside.connections.lock().unwrap().is_empty());
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_after_the_dot_is_tried_later_not_elsewhere_at_once() {
    let outside = blue();
    outside.mx("blue.example", &[(10, "mx.blue.example"), (20, "mx2.blue.example")]);
    outside.a("mx2.blue.example", "192.0.2.2");
    outside.server("192.0.2.1", |n, line| if line == "." && n == 1 { Say::Close } else { good(n, line) });
    outside.server("192.0.2.2", good);
    let house = house(outside).await;
    let id = house.send(&["bob@blue.example"]).await;
    house.until(id, 1, deferred).await;
    house.clock.advance(Duration::from_secs(400));
    assert_eq!(house.until(id, 1, relayed).await[0].0, "mx.blue.example");
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_that_fails_is_done_without() {
    let mut outside = blue();
    outside.bad_tls = true;
    outside.server("192.0.2.1", |_, line| match line {
        line if line.starts_with("EHLO") => Say::Line("250-peer\r\n250-PIPELINING\r\n250 STARTTLS"),
        "STARTTLS" => Say::Line("220 go"),
        line => good(0, line),
    });
    let house = house(outside).await;
    let id = house.send(&["bob@blue.example"]).await;
    house.until(id, 1, relayed).await;
    let failed = |what: &What| match what {
        What::Failed { stage, words, .. } => Some((stage.clone(), words.clone())),
        _ => None,
    };
    assert_eq!(
        house.until(id, 1, failed).await,
        [("starttls".to_owned(), "TLS: bad handshake with mx.blue.example".to_owned())]
    );
    assert_eq!(house.outside.connections.lock().unwrap().len(), 2);
    house.end().await;
}

/// RFC 6531 §3.5, §3.6: to a server without SMTPUTF8 goes what needs none; what needs it comes back (5.6.7), alone.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_needs_smtputf8_fails_without_it() {
    let mixed = ["bob@blue.example", "j\u{fc}rgen@blue.example"];
    let declared = |envelope: &mut Envelope| envelope.smtputf8 = true;
    let header = "From: j\u{fc}rgen@red.example\r\n\r\nhi\r\n";
    let ends = |what: &What| match what {
        What::Relayed { .. } => Some("relayed".to_owned()),
        What::Bounced { words, .. } => Some(words.clone()),
        _ => None,
    };
    let lacks = "the server does not offer SMTPUTF8, which is needed";
    let outside = blue();
    outside.server("192.0.2.1", good);
    let house = house(outside).await;
    let id = house.send(&mixed).await;
    let mut both = house.until(id, 2, ends).await;
    both.sort();
    assert_eq!(both, ["relayed", lacks]);
    assert!(house.mailbox_of(1).await[0].contains("Action: failed\r\nStatus: 5.6.7\r\n"));
    // The header needs it: nobody can have it.
    let id = house
        .send_bytes("alice@red.example", &["bob@blue.example", "eve@blue.example"], declared, header.as_bytes())
        .await;
    assert_eq!(house.until(id, 2, ends).await, [lacks, lacks]);
    // It was declared, and nothing needs it.
    let id = house.send_as("alice@red.example", &["bob@blue.example"], declared).await;
    assert_eq!(house.until(id, 1, ends).await, ["relayed"]);
    house.end().await;

    let outside = blue();
    outside.server("192.0.2.1", |_, line| match line {
        line if line.starts_with("EHLO") => Say::Line("250-peer\r\n250 SMTPUTF8"),
        line => good(0, line),
    });
    let house = self::house(outside).await;
    let id = house.send(&mixed).await;
    assert_eq!(house.until(id, 2, ends).await, ["relayed", "relayed"]);
    let mails = house.outside.lines().into_iter().filter(|line| line.starts_with("MAIL")).collect::<Vec<_>>();
    assert_eq!(mails, ["MAIL FROM:<alice@red.example> SMTPUTF8"], "one transaction for all");
    house.end().await;
}

/// RFC 8314 §3.3: on port 465 TLS comes before the first word.
#[tokio::test(flavor = "multi_thread")]
async fn a_next_hop_on_465_begins_with_tls() {
    let outside = Outside::default();
    outside.server_at("192.0.2.1:465".parse().unwrap(), |_, line| match line {
        line if line.starts_with("EHLO") => Say::Line("250-peer\r\n250 STARTTLS"),
        line => good(0, line),
    });
    let mut routing = routing();
    let next_hop = vec![("192.0.2.1".to_owned(), 465)];
    routing.routes.push(FixedRoute { domain: Some(domain("blue.example")), next_hop, login: None, lmtp: false });
    let house = house_with(outside, routing).await;
    let id = house.send(&["bob@blue.example"]).await;
    let with_tls = |what: &What| match what {
        What::Relayed { tls, .. } => Some(tls.is_some()),
        _ => None,
    };
    assert_eq!(house.until(id, 1, with_tls).await, [true]);
    assert!(!house.outside.lines().contains(&"STARTTLS".to_owned()));
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_destination_costs_few_connections_and_holds_up_nobody() {
    let outside = blue();
    outside.server("192.0.2.1", good);
    outside.mx("dead.example", &[(10, "mx.dead.example")]);
    outside.a("mx.dead.example", "192.0.2.9");
    let house = house(outside).await;
    let mut dead = Vec::new();
    for n in 0..50 {
        dead.push(house.send(&[&format!("u{n}@dead.example")]).await);
    }
    let alive = house.send(&["bob@blue.example"]).await;
    house.until(alive, 1, relayed).await;
    for id in &dead {
        assert!(house.until(*id, 1, deferred).await[0].contains("connection refused"));
    }
    let to_dead = |house: &House| {
        house.outside.connections.lock().unwrap().iter().filter(|to| to.ip().to_string() == "192.0.2.9").count()
    };
    assert!(to_dead(&house) <= 3, "{}", to_dead(&house));
    assert!(house.relay.down(&domain("dead.example")).is_some());
    // It comes back: all arrive.
    house.outside.server("192.0.2.9", good);
    for id in dead {
        for _ in 0..10 {
            if !house.journey(id).await.waiting.is_empty() {
                house.clock.advance(Duration::from_secs(900));
            }
        }
        house.until(id, 1, relayed).await;
    }
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_holds_releases_retries_bounces_and_drops() {
    let outside = blue();
    outside.server("192.0.2.1", |n, line| match line {
        line if n < 3 && line.starts_with("RCPT") => Say::Last("421 not now"),
        line => good(n, line),
    });
    let house = house(outside).await;
    let store = house.store.as_ref();
    let chosen = async |id| [Chosen::all(store.queue_message(id).await.unwrap().unwrap())];
    let id = house.send(&["bob@blue.example"]).await;
    house.until(id, 1, deferred).await;
    let one = chosen(id).await;
    assert_eq!(queue::hold(store, house.clock.now(), &one).await.unwrap(), 1);
    house.clock.advance(Duration::from_secs(86_400));
    queue::release(store, house.clock.now(), &one).await.unwrap();
    house.until(id, 2, deferred).await;
    queue::retry(store, house.clock.now(), &one).await.unwrap();
    house.until(id, 1, relayed).await;
    assert_eq!(queue::retry(store, house.clock.now(), &one).await.unwrap(), 0);
    house.clock.advance(queue::IDLE);
    while house.relay.load().1 > 0 {
        tokio::task::yield_now().await;
    }
    house.outside.server("192.0.2.1", |_, _| Say::Last("421 not now"));
    let (lost, back) = (house.send(&["bob@blue.example"]).await, house.send(&["bob@blue.example"]).await);
    house.until(lost, 1, deferred).await;
    house.until(back, 1, deferred).await;
    queue::discard(store, house.clock.now(), &chosen(lost).await).await.unwrap();
    house.until(lost, 1, |what| matches!(what, What::Discarded { .. }).then_some(())).await;
    queue::bounce(store, &house.relay.reporter(), &chosen(back).await).await.unwrap();
    assert!(house.until(back, 1, bounced).await[0].1);
    // One of the failure, and before it one of the day that the first message was held.
    assert_eq!(house.mailbox_of(2).await.len(), 2);
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_destination_waits_until_it_is_resumed() {
    let outside = blue();
    outside.server("192.0.2.1", good);
    let house = house(outside).await;
    let (store, blue) = (house.store.as_ref(), domain("blue.example"));
    store.pause_destination(&blue, Some(house.clock.now())).await.unwrap().into_inner();
    let id = house.send(&["bob@blue.example"]).await;
    let seen = loop {
        match house.relay.destinations(None, 9).pop() {
            Some(seen) if seen.due == 1 => break seen,
            _ => tokio::task::yield_now().await,
        }
    };
    assert_eq!((seen.name, seen.standing, seen.recipients, seen.connections), (blue.clone(), Standings::Untried, 1, 0));
    // Also much later, and after all that its times would have done.
    house.clock.advance(Duration::from_secs(30 * 86_400));
    assert_eq!(store.journeys(&JourneyQuery::Id(id), 1).await.unwrap()[0].paused, ["bob@blue.example"]);
    assert_eq!(house.outside.connections.lock().unwrap().len(), 0);
    store.pause_destination(&blue, None).await.unwrap().into_inner();
    house.until(id, 1, relayed).await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_redirects_to_elsewhere_and_to_an_account() {
    let outside = blue();
    outside.server("192.0.2.1", |_, line| match line {
        line if line.contains("bob@") => Say::Last("451 not now"),
        line => good(0, line),
    });
    let house = house(outside).await;
    let store = house.store.as_ref();
    for to in ["carol@blue.example", "alice@red.example"] {
        let id = house.send(&["bob@blue.example"]).await;
        house.until(id, 1, deferred).await;
        let to = wire::address::mailbox(to).unwrap();
        let found = queue::redirection(store, &house.relay.routing(), &to).await.unwrap().unwrap();
        let chosen = [Chosen::all(store.queue_message(id).await.unwrap().unwrap())];
        assert_eq!(queue::redirect(store, house.clock.now(), &chosen, &found).await.unwrap(), 1);
        let ended = |what: &What| matches!(what, What::Relayed { .. } | What::Delivered { .. }).then_some(());
        house.until(id, 1, ended).await;
    }
    let [mail] = &house.mailbox_of(1).await[..] else { panic!("not one mail") };
    assert!(mail.starts_with("Return-Path: <alice@red.example>\r\nDelivered-To: alice@red.example\r\n"), "{mail}");
    let nobody = wire::address::mailbox("nobody@red.example").unwrap();
    let why = queue::redirection(store, &house.relay.routing(), &nobody).await.unwrap().unwrap_err();
    assert!(why.contains("there is no account nobody@red.example here"), "{why}");
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_over_few_connections() {
    let outside = blue();
    outside.server("192.0.2.1", good);
    let house = house(outside).await;
    let mut sent = Vec::new();
    for n in 0..300 {
        sent.push(house.send(&[&format!("u{n}@blue.example")]).await);
    }
    for id in sent {
        house.until(id, 1, relayed).await;
    }
    assert!(house.outside.connections.lock().unwrap().len() <= 40);
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_report_where_the_next_server_sends_none() {
    let outside = blue();
    outside.server("192.0.2.1", good);
    let house = house(outside).await;
    let id = house
        .send_as("alice@red.example", &["bob@blue.example"], |envelope| {
            envelope.envelope_id = Some("id\r\nBcc: x".into());
            envelope.recipients[0].notify = Notify { given: true, success: true, failure: true, delay: false };
            envelope.recipients[0].original = Some("rfc822;robert@blue.example".into());
        })
        .await;
    house.until(id, 1, relayed).await;
    let mail = house.mailbox_of(1).await;
    let [report] = mail.as_slice() else { panic!("{mail:?}") };
    assert!(report.contains("Action: relayed\r\nStatus: 2.0.0\r\n"), "{report}");
    assert!(report.contains("Original-Recipient: rfc822;robert@blue.example\r\n"));
    assert!(
        report.contains("Original-Envelope-Id: id  Bcc: x\r\n")
            || report.contains("Original-Envelope-Id: id Bcc: x\r\n")
    );
    assert!(report.contains("Content-Type: text/rfc822-headers\r\n"));
    house.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_recipients_are_verified_and_remembered() {
    let outside = Outside::default();
    outside.server("192.0.2.7", |_, line| match line {
        "RCPT TO:<no@branch.example>" => Say::Line("550 5.1.1 nobody"),
        "RCPT TO:<later@branch.example>" => Say::Line("450 4.2.0 later"),
        line => good(0, line),
    });
    let route = FixedRoute {
        domain: Some(domain("branch.example")),
        next_hop: vec![("192.0.2.7".into(), 25)],
        login: None,
        lmtp: false,
    };
    let house = house_with(outside, Routing { routes: vec![route], ..routing() }).await;
    let verifier = Verifier::new(house.relay.clone());
    for _ in 0..3 {
        assert_eq!(verifier.verify(&address("bob@branch.example")).await, Answer::Taken);
        let Answer::Refused(reply) = verifier.verify(&address("no@branch.example")).await else { panic!() };
        assert_eq!(reply.to_string(), "550 5.1.1 nobody");
    }
    assert_eq!(house.outside.connections.lock().unwrap().len(), 2);
    assert!(matches!(verifier.verify(&address("later@branch.example")).await, Answer::Unknown(_)));
    assert!(house.outside.lines().iter().all(|line| line != "DATA"));
    let id = house.send(&["bob@branch.example"]).await;
    house.until(id, 1, relayed).await;
    house.end().await;
}

/// `VERIFY_YES` and `VERIFY_NO`: an answer is believed up to that moment, and asked for again at it.
#[tokio::test(flavor = "multi_thread")]
async fn answers_about_recipients_grow_old() {
    let outside = Outside::default();
    outside.server("192.0.2.7", |_, line| match line {
        "RCPT TO:<no@branch.example>" => Say::Line("550 5.1.1 nobody"),
        line => good(0, line),
    });
    let route = FixedRoute {
        domain: Some(domain("branch.example")),
        next_hop: vec![("192.0.2.7".into(), 25)],
        login: None,
        lmtp: false,
    };
    let house = house_with(outside, Routing { routes: vec![route], ..routing() }).await;
    let verifier = Verifier::new(house.relay.clone());
    let tick = Duration::from_millis(1);
    let mut asked = 0;
    for (who, believed) in [("bob@branch.example", limits::VERIFY_YES), ("no@branch.example", limits::VERIFY_NO)] {
        for wait in [Duration::ZERO, believed - tick, tick] {
            house.clock.advance(wait);
            verifier.verify(&address(who)).await;
            asked += usize::from(wait != believed - tick);
            assert_eq!(house.outside.connections.lock().unwrap().len(), asked, "{who} after {wait:?}");
        }
    }
    house.end().await;
}

/// `VERIFY_WAIT` for a next hop that says nothing: then the client is told to come again.
#[tokio::test(start_paused = true)]
async fn a_silent_next_hop_is_not_waited_for() {
    let outside = Outside::default();
    outside.server("192.0.2.7", |_, _| Say::Silence);
    let route = FixedRoute {
        domain: Some(domain("branch.example")),
        next_hop: vec![("192.0.2.7".into(), 25)],
        login: None,
        lmtp: false,
    };
    let (world, _clock) = Arc::new(outside).world();
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path().join("data"), Options::default()).unwrap();
    let routing = Routing { routes: vec![route], ..routing() };
    let verifier = Verifier::new(Relay::new(world, store.clone(), routing, Schedule::default()));
    let since = tokio::time::Instant::now();
    assert!(matches!(verifier.verify(&address("bob@branch.example")).await, Answer::Unknown(_)));
    assert_eq!(since.elapsed(), limits::VERIFY_WAIT);
    store.close().await;
}

/// `RELAY_IDLE`: so long a connection is kept for the next message; then we say good-bye.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_kept_a_while() {
    let outside = blue();
    outside.server("192.0.2.1", good);
    let house = house(outside).await;
    let said_bye = || house.outside.lines().iter().filter(|line| *line == "QUIT").count();
    let id = house.send(&["bob@blue.example"]).await;
    house.until(id, 1, relayed).await;
    house.clock.advance(limits::RELAY_IDLE - Duration::from_millis(1));
    // A message in time goes over it, unless its worker had not settled yet; either way nobody said good-bye.
    let id = house.send(&["bob@blue.example"]).await;
    house.until(id, 1, relayed).await;
    assert_eq!(said_bye(), 0);
    let open = house.outside.connections.lock().unwrap().len();
    for _ in 0..200_000 {
        if said_bye() == open {
            break;
        }
        house.clock.advance(limits::RELAY_IDLE);
        tokio::task::yield_now().await;
    }
    assert_eq!(said_bye(), open);
    house.end().await;
}
