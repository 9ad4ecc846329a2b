//! The relay on a network that fails in every way, in virtual time: each state's time-out, resets, slow readers, servers
//! that dribble, partitions, DNS in every mood, and a week of all of it from a seed (`POSTRIDER_SEED` runs it again).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod outside;
mod scene;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mail::{BodyType, Envelope, QueueId, Recipient, ReversePath, Timestamp, limits};
use mta::queue::Schedule;
use mta::relay::Relay;
use mta::route::Routing;
use mta::world::Clock;
use outside::net::{Link, Mood, Net};
use outside::{Outside, Say, good};
use scene::between::Between;
use scene::quiet_time::QuietTime;
use store::conformance::{address, domain};
use store::{Acceptance, Journey, JourneyQuery, NewAccount, PasswordHash, QueueRelay, Store, What};
use store_local::{LocalStore, Options};
use testkit::random::Random;
use tokio::sync::oneshot;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// A mail system whose relay works on a network.
struct House {
    store: Arc<Between>,
    time: Arc<QuietTime>,
    relay: Arc<Relay>,
    /// When messages came.
    came: Mutex<HashMap<QueueId, Timestamp>>,
    stop: oneshot::Sender<()>,
    running: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl House {
    async fn new(net: impl FnOnce(Arc<QuietTime>) -> Arc<Net>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let local = LocalStore::open(folder.path().join("data"), Options { reserve: 0, ..Options::default() }).unwrap();
        let store = Arc::new(Between::new(local));
        let time = Arc::new(QuietTime::new());
        store.add_domain(&domain("red.example")).await.unwrap().into_inner();
        let password = PasswordHash(String::new());
        let account = NewAccount { address: address("alice@red.example"), password, scram: None, quota: None };
        store.add_account(account, time.now()).await.unwrap().into_inner();
        let routing = Routing {
            hostname: domain("mail.red.example"),
            listening: vec!["127.0.0.1:25".parse().unwrap()],
            port: 25,
            routes: Vec::new(),
            catch_all: None,
        };
        let relay = Relay::new(net(time.clone()).world(), store.clone(), routing, Schedule::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn({
            let relay = relay.clone();
            async move { relay.run(async { stopped.await.unwrap_or(()) }).await.unwrap() }
        });
        Self { store, time, relay, came: Mutex::default(), stop, running, _folder: folder }
    }

    /// A message from alice+`tag`, so that servers know which it is.
    async fn send(&self, tag: &str, to: &[String], octets: usize) -> QueueId {
        let now = self.time.now();
        let id = self.store.next_queue_id(now);
        let envelope = Envelope {
            reverse_path: ReversePath::Address(address(&format!("alice+{tag}@red.example"))),
            recipients: to.iter().map(|to| Recipient::new(address(to))).collect(),
            body: BodyType::SevenBit,
            smtputf8: false,
            dsn_return: None,
            envelope_id: None,
            hold: None,
        };
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
            message_id: None,
            deliveries: Vec::new(),
            discarded: 0,
            events: Vec::new(),
            dsns: Vec::new(),
            marks: Vec::new(),
        };
        let mut stage = self.store.stage(None).await.unwrap();
        stage.write(b"From: alice@red.example\r\nSubject: hello\r\n\r\n").await.unwrap();
        stage.write("a line of text, and its end\r\n".repeat(octets / 29).as_bytes()).await.unwrap();
        self.store.accept(stage, acceptance).await.unwrap().into_inner();
        self.came.lock().unwrap().insert(id, now);
        id
    }

    async fn journey(&self, id: QueueId) -> Journey {
        self.store.journeys(&JourneyQuery::Id(id), 1).await.unwrap().pop().unwrap()
    }

    /// Waits for an event; what `pick` makes of it, and how long after the message came it was.
    async fn until<T>(&self, id: QueueId, pick: impl Fn(&What) -> Option<T>) -> (T, Duration) {
        let deadline = self.time.passed() + 8 * DAY;
        while self.time.passed() < deadline {
            let journey = self.journey(id).await;
            let found = journey.events.iter().find_map(|event| Some((pick(&event.what)?, event.at)));
            if let Some((found, at)) = found {
                let came = self.came.lock().unwrap()[&id];
                return (found, Timestamp::from_millis(at).since(came));
            }
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        panic!("it never came: {:#?}", self.journey(id).await);
    }

    /// Waits until nothing is queued any more.
    async fn empty(&self) {
        let deadline = self.time.passed() + 9 * DAY;
        while self.store.balance().await.unwrap().queued > 0 {
            assert!(self.time.passed() < deadline, "something is queued for ever");
            tokio::time::sleep(HOUR).await;
            assert!(self.store.balance().await.unwrap().holds());
        }
    }

    /// Stops, and checks the invariants.
    async fn end(self) {
        let _ = self.stop.send(());
        self.running.await.unwrap();
        let balance = self.store.balance().await.unwrap();
        assert!(balance.holds(), "{balance:?}");
        let findings = self.store.check(true).await.unwrap();
        assert!(findings.iter().all(|finding| !finding.error), "{findings:?}");
        self.store.close().await;
    }
}

fn deferred(what: &What) -> Option<String> {
    match what {
        What::Deferred { words, .. } => Some(words.clone()),
        _ => None,
    }
}

fn relayed(what: &What) -> Option<()> {
    matches!(what, What::Relayed { .. }).then_some(())
}

fn bounced(what: &What) -> Option<String> {
    match what {
        What::Bounced { words, .. } => Some(words.clone()),
        _ => None,
    }
}

fn failed(what: &What) -> Option<(String, String)> {
    match what {
        What::Failed { stage, words, .. } => Some((stage.clone(), words.clone())),
        _ => None,
    }
}

/// blue.example with one server.
fn blue(script: impl Fn(usize, &str) -> Say + Send + Sync + 'static) -> Outside {
    let outside = Outside::default();
    outside.mx("blue.example", &[(10, "mx.blue.example")]);
    outside.a("mx.blue.example", "192.0.2.1");
    outside.server("192.0.2.1", script);
    outside
}

fn says(_: &str, _: Duration) -> Mood {
    Mood::Says
}

fn open(_: &SocketAddr, _: Duration) -> Link {
    Link::Open
}

fn bob() -> Vec<String> {
    vec!["bob@blue.example".to_owned()]
}

/// A server that offers STARTTLS and takes everything else as well.
fn with_tls(line: &str) -> Say {
    match line {
        line if line.starts_with("EHLO") => Say::Line("250-peer\r\n250-PIPELINING\r\n250 STARTTLS"),
        "STARTTLS" => Say::Line("220 go"),
        line => good(0, line),
    }
}

/// RFC 5321 §4.5.3.2: every state has its time; what times out is tried again, and arrives once.
#[tokio::test(start_paused = true)]
async fn every_state_times_out_and_is_tried_again() {
    for (verb, stage, wait) in [
        ("", "greeting", limits::SMTP_GREETING_WAIT),
        ("EHLO", "ehlo", limits::SMTP_REPLY_WAIT),
        ("STARTTLS", "starttls", limits::SMTP_REPLY_WAIT),
        ("MAIL", "mail", limits::SMTP_REPLY_WAIT),
        ("RCPT", "rcpt", limits::SMTP_REPLY_WAIT),
        ("DATA", "data", limits::SMTP_DATA_WAIT),
        (".", "end-of-data", limits::SMTP_END_WAIT),
    ] {
        let taken = Arc::new(Mutex::new(0));
        let counted = taken.clone();
        let outside = blue(move |number, line| {
            if number == 1 && line.split([' ', ':']).next() == Some(verb) {
                return Say::Silence;
            }
            *counted.lock().unwrap() += usize::from(line == ".");
            with_tls(line)
        });
        let house = House::new(|time| Net::new(outside, time, Box::new(says), Box::new(open))).await;
        let id = house.send("x", &bob(), 50).await;
        let (failure, _) = house.until(id, failed).await;
        assert_eq!(failure.0, stage);
        assert_eq!(failure.1, format!("the server did not answer within {} s", wait.as_secs()));
        // Without TLS it is tried at once (RFC 7435 §3).
        if verb != "STARTTLS" {
            let (_, after) = house.until(id, deferred).await;
            assert!((wait..wait + Duration::from_secs(5)).contains(&after), "{stage}: {after:?}");
        }
        let (_, after) = house.until(id, relayed).await;
        assert!(after < wait + 2 * limits::QUEUE_FIRST_RETRY, "{stage}: {after:?}");
        assert_eq!(*taken.lock().unwrap(), 1, "{stage}");
        house.end().await;
    }
}

/// The connection ends in every state, without a word.
#[tokio::test(start_paused = true)]
async fn a_reset_in_every_state_defers() {
    for verb in ["", "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA", "."] {
        let outside = blue(move |number, line| match line.split([' ', ':']).next() == Some(verb) && number == 1 {
            true => Say::Close,
            false => with_tls(line),
        });
        let house = House::new(|time| Net::new(outside, time, Box::new(says), Box::new(open))).await;
        let id = house.send("x", &bob(), 50).await;
        if verb != "STARTTLS" {
            let (_, after) = house.until(id, deferred).await;
            assert!(after < Duration::from_secs(5), "{verb}: {after:?}");
        }
        house.until(id, relayed).await;
        house.end().await;
    }
}

/// A host that takes no connection, and a handshake that hangs: which is tried without TLS (RFC 7435).
#[tokio::test(start_paused = true)]
async fn connections_and_handshakes_have_their_times() {
    let healed = 10 * Duration::from_secs(60);
    let parted = move |_: &SocketAddr, at: Duration| if at < healed { Link::Parted } else { Link::Open };
    let house = House::new(|time| Net::new(blue(good), time, Box::new(says), Box::new(parted))).await;
    let id = house.send("x", &bob(), 50).await;
    let (_, after) = house.until(id, deferred).await;
    let wait = limits::SMTP_CONNECT_WAIT;
    assert!((wait..wait + Duration::from_secs(5)).contains(&after), "{after:?}");
    house.until(id, relayed).await;
    house.end().await;

    let outside = blue(|_, line| with_tls(line));
    let house = House::new(|time| {
        let net = Net::new(outside, time, Box::new(says), Box::new(open));
        net.hangs.lock().unwrap().insert("192.0.2.1:25".parse().unwrap(), 1);
        net
    })
    .await;
    let id = house.send("x", &bob(), 50).await;
    let (_, after) = house.until(id, relayed).await;
    let wait = limits::TLS_HANDSHAKE_TIMEOUT;
    assert!((wait..wait + Duration::from_secs(5)).contains(&after), "{after:?}");
    house.end().await;
}

/// A server that reads an octet a minute: a block has its time, not the whole (RFC 5321 §4.5.3.2.5).
#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_given_up_and_tried_again() {
    let slow = |_: &SocketAddr, at: Duration| match at < HOUR {
        true => Link::Slow(300, Duration::from_secs(60)),
        false => Link::Open,
    };
    let house = House::new(|time| Net::new(blue(good), time, Box::new(says), Box::new(slow))).await;
    let id = house.send("x", &bob(), 200_000).await;
    let (failure, _) = house.until(id, failed).await;
    assert_eq!(failure.1, format!("the server did not answer within {} s", limits::SMTP_BLOCK_WAIT.as_secs()));
    house.until(id, relayed).await;
    house.end().await;
}

/// A server that says an octet a minute has no more time for its reply than any other.
#[tokio::test(start_paused = true)]
async fn a_server_that_dribbles_is_given_up() {
    let slow = |_: &SocketAddr, at: Duration| match at < HOUR {
        true => Link::Dribbles(20, Duration::from_secs(60)),
        false => Link::Open,
    };
    let house = House::new(|time| Net::new(blue(good), time, Box::new(says), Box::new(slow))).await;
    let id = house.send("x", &bob(), 50).await;
    let (failure, after) = house.until(id, failed).await;
    assert_eq!(failure.0, "ehlo");
    let wait = limits::SMTP_REPLY_WAIT;
    assert!((wait..wait + Duration::from_secs(5)).contains(&after), "{after:?}");
    house.until(id, relayed).await;
    house.end().await;
}

/// Between queue and next hop nothing passes for hours; then all arrives, and what was not cut off arrives once.
#[tokio::test(start_paused = true)]
async fn a_partition_heals() {
    let parted = |_: &SocketAddr, at: Duration| match (HOUR..5 * HOUR).contains(&at) {
        true => Link::Parted,
        false => Link::Open,
    };
    let ledger = Ledger::default();
    let house = House::new(|time| Net::new(blue(ledger.server(good)), time, Box::new(says), Box::new(parted))).await;
    let mut sent = Vec::new();
    for n in 0..24 {
        sent.push(house.send(&format!("m{n}"), &bob(), 3_000).await);
        tokio::time::sleep(HOUR / 4 - Duration::from_millis(n)).await;
    }
    house.empty().await;
    for (n, id) in sent.into_iter().enumerate() {
        let (_, after) = house.until(id, relayed).await;
        assert!(after < 4 * HOUR + 2 * limits::QUEUE_LAST_RETRY, "m{n}: {after:?}");
        ledger.agrees(&format!("m{n}"), "bob@blue.example", &house.journey(id).await);
    }
    house.end().await;
}

type MoodAt = fn(&str, Duration) -> Mood;

/// Whatever DNS fails with, for as long as it may get better nothing bounces; and what it says in between counts.
#[tokio::test(start_paused = true)]
async fn temporary_dns_failures_defer_and_never_bounce() {
    let moods: [(&str, MoodAt); 4] = [
        ("fails", |_, at| if at < 6 * HOUR { Mood::Fails("the DNS server says SERVFAIL") } else { Mood::Says }),
        ("lingers", |_, at| if at < 6 * HOUR { Mood::Lingers(Duration::from_secs(20)) } else { Mood::Says }),
        ("only the address fails", |name, at| match name.starts_with("mx.") && at < 6 * HOUR {
            true => Mood::Fails("REFUSED"),
            false => Mood::Says,
        }),
        // By the minute; the domain itself is always known.
        ("flaps", |name, at| match at.as_secs() / 60 % 3 {
            0 if at < 6 * HOUR => Mood::Fails("SERVFAIL"),
            1 if at < 6 * HOUR && name.starts_with("mx.") => Mood::Lingers(Duration::from_secs(9)),
            _ => Mood::Says,
        }),
    ];
    for (name, mood) in moods {
        let house = House::new(|time| Net::new(blue(good), time, Box::new(mood), Box::new(open))).await;
        let id = house.send("x", &bob(), 50).await;
        house.until(id, relayed).await;
        let journey = house.journey(id).await;
        assert!(journey.events.iter().all(|event| bounced(&event.what).is_none()), "{name}");
        if name != "flaps" {
            assert!(journey.events.iter().any(|event| deferred(&event.what).is_some()), "{name}");
        }
        house.end().await;
    }
    // It never gets better: returned when its time is over, as expired.
    let never = |_: &str, _: Duration| Mood::Fails("SERVFAIL");
    let house = House::new(|time| Net::new(blue(good), time, Box::new(never), Box::new(open))).await;
    let id = house.send("x", &bob(), 50).await;
    let (report, after) = house
        .until(id, |what| match what {
            What::Expired { report, .. } => Some(report.is_some()),
            _ => None,
        })
        .await;
    assert!(report && (limits::QUEUE_LIFETIME..limits::QUEUE_LIFETIME + HOUR).contains(&after), "{after:?}");
    house.end().await;
}

/// What servers have taken: message and recipient, how often.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<HashMap<(String, String), usize>>>);

type Envelopes = HashMap<usize, (String, Vec<String>)>;

impl Ledger {
    /// A server by a script; what it takes with a 250 to the final dot is noted. `250!` is one that is noted, and then
    /// not said: the connection closes.
    fn server<S>(&self, script: S) -> impl Fn(usize, &str) -> Say + Send + Sync + use<S>
    where
        S: Fn(usize, &str) -> Say + Send + Sync + 'static,
    {
        let (ledger, open) = (self.0.clone(), Mutex::new(Envelopes::new()));
        move |number: usize, line: &str| {
            let said = script(number, line);
            let words = match &said {
                Say::Line(words) => *words,
                _ => "",
            };
            let mut open = open.lock().unwrap();
            let inside = |line: &str| {
                line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| path.to_owned())
            };
            if line.starts_with("MAIL") && words.starts_with("250") {
                open.insert(number, (inside(line).unwrap(), Vec::new()));
            } else if line.starts_with("RCPT") && words.starts_with("250") {
                if let Some((_, recipients)) = open.get_mut(&number) {
                    recipients.push(inside(line).unwrap());
                }
            } else if line == "." && words.starts_with("250") {
                let (sender, recipients) = open.remove(&number).unwrap_or_default();
                for recipient in recipients {
                    *ledger.lock().unwrap().entry((sender.clone(), recipient)).or_default() += 1;
                }
                if words == "250!" {
                    return Say::Close;
                }
            }
            said
        }
    }

    /// Taken as often as may be: once, and once more for each time that nobody could know (RFC 1047).
    fn agrees(&self, tag: &str, recipient: &str, journey: &Journey) {
        let key = (format!("alice+{tag}@red.example"), recipient.to_owned());
        let times = self.0.lock().unwrap().get(&key).copied().unwrap_or(0);
        let about = |event: &&store::Event| event.recipient.as_deref() == Some(recipient);
        let is_relayed = journey.events.iter().filter(about).any(|event| relayed(&event.what).is_some());
        let unclear =
            journey.events.iter().filter_map(|event| failed(&event.what)).filter(|(stage, _)| stage == "end-of-data");
        let most = usize::from(is_relayed) + unclear.count();
        assert!(times <= most && (!is_relayed || times >= 1), "{recipient} got it {times} times: {journey:#?}");
    }
}

/// How a destination of the week behaves.
const KINDS: usize = 16;

/// What must become of mail for it: relayed, or not for this reason.
fn expected(kind: usize, recipient: &str) -> &'static str {
    match kind {
        3 if recipient.starts_with("no") => "bounced",
        4 | 5 | 8 | 15 => "expired",
        12 | 13 => "bounced",
        _ => "relayed",
    }
}

fn week_server(kind: usize, time: Arc<QuietTime>, seed: u64) -> impl Fn(usize, &str) -> Say + Send + Sync + 'static {
    let random = Mutex::new(Random::new(seed));
    let greylist = Mutex::new(HashMap::<String, usize>::new());
    let sender = Mutex::new(HashMap::<usize, String>::new());
    move |number: usize, line: &str| {
        let dice = random.lock().unwrap().below(100);
        let verb = line.split([' ', ':']).next().unwrap_or_default();
        if verb == "MAIL" {
            sender.lock().unwrap().insert(number, line.to_owned());
        }
        match (kind, verb) {
            (2, "RCPT") => {
                let key = format!("{:?} {line}", sender.lock().unwrap().get(&number));
                let tries = &mut *greylist.lock().unwrap();
                let tries = tries.entry(key).or_default();
                *tries += 1;
                if *tries == 1 { Say::Line("451 4.7.1 greylisted") } else { good(number, line) }
            }
            (3, "RCPT") if line.contains("<no") => Say::Line("550 5.1.1 nobody"),
            (6, "") if time.passed().as_secs() / 3600 % 2 == 1 => Say::Last("421 4.3.2 closed in odd hours"),
            (10, ".") if dice < 25 => Say::Close,
            (10, ".") if dice < 50 => Say::Line("250!"),
            (11, _) if dice < 12 => Say::Silence,
            (11, _) if dice < 18 => Say::Close,
            (11, _) if dice < 20 => Say::Line("what?"),
            (15, "MAIL") => Say::Line("451 4.3.0 never today"),
            _ => good(number, line),
        }
    }
}

fn week_outside(ledger: &Ledger, time: &Arc<QuietTime>, seed: u64) -> Outside {
    let outside = Outside::default();
    for kind in 0..KINDS {
        let (name, host, ip) =
            (format!("d{kind}.example"), format!("mx{kind}.example"), format!("192.0.2.{}", kind + 1));
        match kind {
            12 => continue,
            13 => outside.mx(&name, &[(0, "")]),
            14 => outside.mx(&name, &[(10, "gone.example"), (10, "mx4.example"), (10, &host)]),
            _ => outside.mx(&name, &[(10, &host)]),
        }
        outside.a(&host, &ip);
        if kind != 4 {
            outside.server(&ip, ledger.server(week_server(kind, time.clone(), seed + kind as u64)));
        }
    }
    outside
}

fn week_mood(name: &str, at: Duration) -> Mood {
    match name {
        "d8.example" => Mood::Fails("the DNS server says SERVFAIL"),
        "d9.example" | "mx9.example" => match at.as_secs() / 1800 % 4 {
            0 => Mood::Fails("REFUSED"),
            1 => Mood::Lingers(Duration::from_secs(20)),
            _ => Mood::Says,
        },
        "d12.example" => Mood::NoDomain,
        _ => Mood::Says,
    }
}

fn week_link(to: &SocketAddr, at: Duration) -> Link {
    match to.ip().to_string().as_str() {
        // mx5: a black hole.
        "192.0.2.6" => Link::Parted,
        // mx7: the second day, and every night.
        "192.0.2.8" if (DAY..2 * DAY).contains(&at) || at.as_secs() / 3600 % 24 < 6 => Link::Parted,
        _ => Link::Open,
    }
}

/// Mail for destinations of every kind over two days, and what has become of it when the queue is empty.
#[tokio::test(start_paused = true)]
async fn a_week_on_a_bad_network() {
    let mut random = Random::from_environment(0xbad);
    let seed = random.next();
    println!("POSTRIDER_SEED decides; the seed of the servers is {seed}");
    let ledger = Ledger::default();
    let house = House::new(|time| {
        let outside = week_outside(&ledger, &time, seed);
        Net::new(outside, time, Box::new(week_mood), Box::new(week_link))
    })
    .await;
    let mut sent = Vec::new();
    for n in 0..100 {
        let mut to: Vec<String> = (0..1 + random.below(3))
            .map(|r| format!("{}{r}@d{}.example", ["no", "yes"][random.below(2)], (n + random.below(4)) % KINDS))
            .collect();
        to.dedup();
        let octets = 100 + random.below(20_000);
        sent.push((house.send(&format!("w{n}"), &to, octets).await, to));
        tokio::time::sleep(Duration::from_secs(random.below(3_400) as u64)).await;
    }
    house.empty().await;
    let (mut returned, mut all) = (0, 0);
    for (n, (id, to)) in sent.into_iter().enumerate() {
        let journey = house.journey(id).await;
        for recipient in to {
            let kind: usize = recipient.split_once("@d").unwrap().1.strip_suffix(".example").unwrap().parse().unwrap();
            let ends: Vec<&str> = journey
                .events
                .iter()
                .filter(|event| event.recipient.as_deref() == Some(recipient.as_str()))
                .filter_map(|event| match &event.what {
                    What::Relayed { .. } => Some("relayed"),
                    What::Bounced { .. } => Some("bounced"),
                    What::Expired { .. } => Some("expired"),
                    _ => None,
                })
                .collect();
            assert_eq!(ends, [expected(kind, &recipient)], "{recipient} {journey:#?}");
            returned += usize::from(ends[0] != "relayed");
            all += 1;
            ledger.agrees(&format!("w{n}"), &recipient, &journey);
        }
    }
    let balance = house.store.balance().await.unwrap();
    assert_eq!((balance.bounced + balance.expired) as usize, returned);
    assert!(all > 120 && returned > 20, "{returned} of {all}");
    house.end().await;
}
