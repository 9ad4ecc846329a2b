//! What is sent by JMAP, on the embedded store and with mail out: when it leaves, and what comes back of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod outside;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jmap::{Moment, Outbox, User};
use mail::{AccountId, Flags};
use mta::accept::{Desk, Policy};
use mta::queue::Schedule;
use mta::relay::Relay;
use mta::route::Routing;
use mta::world::{Clock, World};
use outside::{Outside, Say, TestClock, good};
use serde_json::{Value, json};
use store::conformance::{address, domain};
use store::{AccountState, AppendMessage, AwayNotice, JourneyQuery, NewAccount, PasswordHash, Store, What};
use store_local::{LocalStore, Options};
use tokio::sync::oneshot;

const LETTER: &str = "From: alice@red.example\r\nTo: bob@red.example, carol@blue.example\r\n\r\nhi\r\n";

/// The system with Alice (A1) and Bob (A2), and carol@blue.example outside.
struct House {
    store: Arc<LocalStore>,
    relay: Arc<Relay>,
    server: Arc<jmap::Server>,
    clock: Arc<TestClock>,
    stop: oneshot::Sender<()>,
    running: tokio::task::JoinHandle<()>,
}

fn routing() -> Routing {
    let hostname = domain("mail.red.example");
    Routing { hostname, listening: Vec::new(), port: 25, routes: Vec::new(), catch_all: None }
}

async fn people(store: &LocalStore, clock: &TestClock) {
    store.add_domain(&domain("red.example")).await.unwrap().into_inner();
    for who in ["alice@red.example", "bob@red.example"] {
        let password = PasswordHash(String::new());
        let new = NewAccount { address: address(who), password, scram: None, quota: None };
        store.add_account(new, clock.now()).await.unwrap().into_inner();
    }
}

impl House {
    async fn open(folder: &Path, (world, clock): (World, Arc<TestClock>)) -> Self {
        let store = LocalStore::open(folder, Options { reserve: 0, ..Options::default() }).unwrap();
        if store.domains().await.unwrap().is_empty() {
            people(&store, &clock).await;
        }
        let relay = Relay::new(world.clone(), store.clone(), routing(), Schedule::default());
        let reports = relay.clone();
        let desk = Arc::new(Desk {
            store: store.clone(),
            clock: clock.clone(),
            random: world.random.clone(),
            policy: Policy { hops: 30, show_client: false, routing: Arc::new(routing()) },
            door: None,
            verify: None,
            misbehave: None,
            reporter: Some(Arc::new(move || reports.reporter())),
            milters: None,
            inspectors: Arc::default(),
        });
        let server = Arc::new(jmap::Server::new(store.clone()));
        let outbox = move || {
            Some(Outbox { desk: desk.clone(), message_size: 1_000_000, recipients: 10, taken: Box::new(|| {}) })
        };
        server.send_through(outbox);
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn({
            let relay = relay.clone();
            async move { relay.run(async { stopped.await.unwrap_or(()) }).await.unwrap() }
        });
        Self { store, relay, server, clock, stop, running }
    }

    async fn call(&self, name: &str, arguments: Value) -> Value {
        let using = ["core", "mail", "submission", "blob"].map(|name| format!("urn:ietf:params:jmap:{name}"));
        let mut arguments = arguments;
        arguments["accountId"] = "A1".into();
        let request = json!({ "using": using, "methodCalls": [[name, arguments, "0"]] }).to_string();
        let credential = store::Credential::Password(store::PasswordHash(String::new()));
        let user = User { account: AccountId(1), address: address("alice@red.example"), credential };
        let moment = Moment { now: self.clock.now(), random: 7 };
        let reply = self.server.request(&user, request.as_bytes(), moment).await;
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        let [answered, value, _] = body["methodResponses"][0].as_array().unwrap().as_slice() else { panic!("{body}") };
        assert_eq!(answered, name, "{body}");
        value.clone()
    }

    /// Alice sends the message to Bob and Carol; held back for so many seconds.
    async fn send(&self, hold: u32) -> String {
        let drafts = self.store.mailbox(AccountId(1), "Drafts").await.unwrap().unwrap();
        let mut stage = self.store.stage(None).await.unwrap();
        stage.write(LETTER.as_bytes()).await.unwrap();
        let row = AppendMessage { flags: Flags::NONE, keywords: Vec::new(), internal_date: self.clock.now() };
        let appended = self.store.append_to_all(&[drafts], (stage, row), self.clock.now()).await.unwrap();
        let email = format!("M{}", appended.into_inner().0);
        self.call("Identity/get", json!({})).await;
        let envelope = json!({
            "mailFrom": { "email": "alice@red.example", "parameters": { "HOLDFOR": hold.to_string() } },
            "rcptTo": [
                { "email": "bob@red.example", "parameters": { "NOTIFY": "SUCCESS,FAILURE" } },
                { "email": "carol@blue.example" },
            ],
        });
        let create = json!({ "s": { "identityId": "I1", "emailId": email, "envelope": envelope } });
        let made = self.call("EmailSubmission/set", json!({ "create": create })).await;
        made["created"]["s"]["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
    }

    async fn submission(&self, id: &str) -> Value {
        self.call("EmailSubmission/get", json!({ "ids": [id] })).await["list"][0].clone()
    }

    /// Waits until the submission is as `pick` wants it.
    async fn until(&self, id: &str, pick: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..50_000 {
            let now = self.submission(id).await;
            if pick(&now) {
                return now;
            }
            tokio::task::yield_now().await;
        }
        panic!("it never came: {}", self.submission(id).await);
    }

    /// Messages in an account's INBOX, once there are so many.
    async fn inbox(&self, account: u64, count: u32) {
        let inbox = self.store.mailbox(AccountId(account), "INBOX").await.unwrap().unwrap();
        for _ in 0..50_000 {
            if self.store.status(inbox).await.unwrap().messages == count {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("there are {}", self.store.status(inbox).await.unwrap().messages);
    }

    /// What became of the answers to what Alice sent, the newest first.
    async fn answers(&self) -> Vec<String> {
        let query = JourneyQuery::Address("alice@red.example".into());
        let journeys = self.store.journeys(&query, 99).await.unwrap();
        let of = |what: What| match what {
            What::Answered { .. } => Some("answered".to_owned()),
            What::NotAnswered { rule, .. } => Some(rule),
            _ => None,
        };
        journeys.into_iter().flat_map(|journey| journey.events).filter_map(|event| of(event.what)).collect()
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

fn blue(script: impl Fn(usize, &str) -> Say + Send + Sync + 'static) -> Arc<Outside> {
    let outside = Outside::default();
    outside.mx("blue.example", &[(10, "mx.blue.example")]);
    outside.a("mx.blue.example", "192.0.2.1");
    outside.server("192.0.2.1", script);
    Arc::new(outside)
}

fn delivered(submission: &Value, who: &str) -> String {
    submission["deliveryStatus"][who]["delivered"].as_str().unwrap_or_default().to_owned()
}

fn is_over(submission: &Value) -> bool {
    ["bob@red.example", "carol@blue.example"].iter().all(|who| delivered(submission, who) != "queued")
}

/// RFC 4865: nobody has it before its time, over a restart too; then all have it, and the report comes that was asked for.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_leaves_when_its_time_has_come() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), blue(good));
    let world = outside.world();
    let house = House::open(folder.path(), world.clone()).await;
    let id = house.send(60).await;
    house.clock.advance(Duration::from_secs(59));
    // The scheduler looks again with each message: one that is not held has gone, and the other has not.
    let now = house.send(0).await;
    house.until(&now, is_over).await;
    house.inbox(2, 1).await;
    assert_eq!(house.submission(&id).await["undoStatus"], "pending");
    house.end().await;

    let house = House::open(folder.path(), world).await;
    assert_eq!(house.submission(&id).await["undoStatus"], "pending");
    house.clock.advance(Duration::from_secs(1));
    let last = house.until(&id, is_over).await;
    assert_eq!(last["undoStatus"], "final");
    assert_eq!([delivered(&last, "bob@red.example"), delivered(&last, "carol@blue.example")], ["yes", "unknown"]);
    assert_eq!(last["deliveryStatus"]["carol@blue.example"]["smtpReply"], "250 2.0.0 taken");
    house.inbox(2, 2).await;
    // NOTIFY=SUCCESS of Bob's (RFC 3461 §5.2.3), one of each message; Blue has no DSN, but Carol's was not asked for.
    house.inbox(1, 2).await;
    let reports = last["dsnBlobIds"].as_array().unwrap();
    let report = house.call("Blob/get", json!({ "ids": reports, "properties": ["data:asText"] })).await;
    let text = report["list"][0]["data:asText"].as_str().unwrap_or_else(|| panic!("{report}"));
    assert!(text.contains("Final-Recipient: rfc822; bob@red.example\r\nAction: delivered\r\n"), "{text}");
    house.end().await;
}

/// The machine stops right after the answer: what was promised is there, with all that is known of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_survives() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), blue(good));
    let world = outside.world();
    let house = House::open(folder.path(), world.clone()).await;
    let (held, canceled) = (house.send(60).await, house.send(60).await);
    let cancel = json!({ "update": { &canceled: { "undoStatus": "canceled" } } });
    assert!(house.call("EmailSubmission/set", cancel).await["updated"].is_object());
    let after = tempfile::tempdir().unwrap();
    copy(folder.path(), after.path());
    house.end().await;
    let house = House::open(after.path(), world).await;
    assert_eq!(house.submission(&held).await["undoStatus"], "pending");
    assert_eq!(house.submission(&canceled).await["undoStatus"], "canceled");
    house.clock.advance(Duration::from_secs(60));
    house.until(&held, is_over).await;
    house.inbox(2, 1).await;
    house.end().await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&entry.path(), &to),
            kind if kind.is_file() => drop(std::fs::copy(entry.path(), to).unwrap()),
            _ => {}
        }
    }
}

/// Whoever is away when a message comes that was held back says so then, once; it is no report about the submission. What
/// was answered is so after a crash too.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_away_when_it_comes_says_so() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), blue(good));
    let world = outside.world();
    let house = House::open(folder.path(), world.clone()).await;
    let (first, second) = (house.send(10).await, house.send(20).await);
    let notice = AwayNotice { enabled: true, text: Some("Back on Monday.".into()), ..AwayNotice::default() };
    house.store.set_away_notice(AccountId(2), notice).await.unwrap().into_inner();
    let alices = house.store.mailbox(AccountId(1), "INBOX").await.unwrap().unwrap();
    assert_eq!(house.store.status(alices).await.unwrap().messages, 0);

    house.clock.advance(Duration::from_secs(10));
    let last = house.until(&first, is_over).await;
    // The report of success that was asked for, and the reply.
    house.inbox(1, 2).await;
    assert_eq!(last["dsnBlobIds"].as_array().unwrap().len(), 1, "{last}");
    assert_eq!(house.answers().await, ["answered"]);
    let uids = [2].map(|uid| mail::Uid::new(uid).unwrap());
    let (_, body) = house.store.bodies(alices, &uids).await.unwrap().remove(0);
    let text = String::from_utf8(body.read(0..body.size()).await.unwrap().to_vec()).unwrap();
    for line in ["From: bob@red.example\r\n", "Auto-Submitted: auto-replied\r\n", "\r\n\r\nBack on Monday.\r\n"] {
        assert!(text.contains(line), "{line} {text}");
    }

    let after = tempfile::tempdir().unwrap();
    copy(folder.path(), after.path());
    house.end().await;
    let house = House::open(after.path(), world).await;
    house.inbox(1, 2).await;
    house.clock.advance(Duration::from_secs(10));
    house.until(&second, is_over).await;
    // Only the report of success.
    house.inbox(1, 3).await;
    assert_eq!(house.answers().await, ["told", "answered"]);
    // What is not held is answered in its acceptance, and that is no report about the submission either.
    let notice = AwayNotice { enabled: true, text: Some("Back on Tuesday.".into()), ..AwayNotice::default() };
    house.store.set_away_notice(AccountId(2), notice).await.unwrap().into_inner();
    let third = house.send(0).await;
    house.inbox(1, 5).await;
    assert_eq!(house.submission(&third).await["dsnBlobIds"].as_array().unwrap().len(), 1);
    house.end().await;
}

/// Who takes back in the very moment in which it leaves gets one answer, and it is the truth.
#[tokio::test(flavor = "multi_thread")]
async fn taking_back_and_leaving_at_once() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), blue(good));
    let house = House::open(folder.path(), outside.world()).await;
    let (mut received, mut canceled) = (0, 0);
    for _ in 0..20 {
        let id = house.send(10).await;
        house.clock.advance(Duration::from_secs(10));
        let cancel = json!({ "update": { &id: { "undoStatus": "canceled" } } });
        let answer = house.call("EmailSubmission/set", cancel).await;
        if answer["updated"].get(&id).is_some() {
            canceled += 1;
            assert_eq!(house.submission(&id).await["undoStatus"], "canceled");
        } else {
            assert_eq!(answer["notUpdated"][&id]["type"], "cannotUnsend", "{answer}");
            house.until(&id, is_over).await;
            received += 1;
        }
    }
    house.inbox(2, received).await;
    let ends = outside.lines().iter().filter(|line| line.starts_with("DATA")).count();
    assert_eq!((ends, received + canceled), (received as usize, 20));
    house.end().await;
}

/// What fails comes back, and the submission says what came.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_told() {
    let refuse =
        |_: usize, line: &str| if line.starts_with("RCPT") { Say::Line("550 5.1.1 no") } else { good(0, line) };
    let (folder, outside) = (tempfile::tempdir().unwrap(), blue(refuse));
    let house = House::open(folder.path(), outside.world()).await;
    let id = house.send(10).await;
    // Bob has no place left when the time comes, and then one.
    let disable = AccountState::Disabled;
    house.store.set_account_state(AccountId(2), disable).await.unwrap().into_inner();
    house.clock.advance(Duration::from_secs(10));
    let last = house.until(&id, is_over).await;
    assert_eq!([delivered(&last, "bob@red.example"), delivered(&last, "carol@blue.example")], ["no", "no"]);
    assert_eq!(last["deliveryStatus"]["carol@blue.example"]["smtpReply"], "550 5.1.1 no");
    let words = last["deliveryStatus"]["bob@red.example"]["smtpReply"].as_str().unwrap();
    assert!(words.starts_with("550 5.2.1 "), "{words}");
    assert_eq!(last["dsnBlobIds"].as_array().unwrap().len(), 2);
    house.inbox(1, 2).await;

    house.store.set_account_state(AccountId(2), AccountState::Active).await.unwrap().into_inner();
    let id = house.send(10).await;
    house.store.set_quota(AccountId(2), Some(10)).await.unwrap().into_inner();
    house.clock.advance(Duration::from_secs(10));
    let full = |one: &Value| one["deliveryStatus"]["bob@red.example"]["smtpReply"].as_str().unwrap().starts_with('5');
    house.until(&id, full).await;
    house.store.set_quota(AccountId(2), None).await.unwrap().into_inner();
    assert!(house.relay.load().0 <= 1);
    house.end().await;
}
