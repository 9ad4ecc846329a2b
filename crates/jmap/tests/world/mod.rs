//! A store in a temporary folder and JMAP on it: what the tests stand on.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests; each uses a part"
)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jmap::push::Courier;
use jmap::{Moment, Outbox, Reply, Server, User};
use mail::{AccountId, Address, Domain, Flags, Timestamp};
use mta::accept::{Desk, Policy};
use mta::route::Routing;
use mta::world::{Clock, Random};
use serde_json::{Value, json};
use store::{AppendMessage, Credential, NewAccount, PasswordHash, Stage, Store};
use store_local::{LocalStore, Options};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// When everything happens.
pub const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

/// All that is offered.
pub const USING: [&str; 8] = [
    "urn:ietf:params:jmap:core",
    "urn:ietf:params:jmap:mail",
    "urn:ietf:params:jmap:blob",
    "urn:ietf:params:jmap:quota",
    "urn:postrider:jmap:journey",
    "urn:ietf:params:jmap:vacationresponse",
    "urn:ietf:params:jmap:submission",
    "urn:ietf:params:jmap:sieve",
];

/// Octets of a message that is sent, and how many it may be sent to.
pub const SENT: (u64, usize) = (2_000, 4);

/// The world outside stands still.
struct Still;

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }

    async fn sleep(&self, _: Duration) {
        std::future::pending().await
    }
}

impl Random for Still {
    fn next(&self) -> u64 {
        7
    }
}

/// Where push subscriptions would be told: whose changed.
#[derive(Default)]
pub struct Post(pub Mutex<Vec<AccountId>>);

impl Courier for Post {
    fn application_server_key(&self) -> String {
        "BKey".into()
    }

    fn code(&self) -> String {
        "code".into()
    }

    fn refuses(&self, url: &str) -> Option<String> {
        (!url.starts_with("https://")).then(|| "only https is asked".to_owned())
    }

    fn can_encrypt_for(&self, p256dh: &[u8; 65]) -> bool {
        p256dh[0] == 4
    }

    fn subscriptions_changed(&self, account: AccountId) {
        self.0.lock().unwrap().push(account);
    }
}

/// Acceptance on a store.
fn desk(store: Arc<LocalStore>) -> Arc<Desk> {
    let routing = Routing {
        hostname: Domain::from_ascii("mail.red.example").unwrap(),
        listening: Vec::new(),
        port: 25,
        routes: Vec::new(),
        catch_all: None,
    };
    Arc::new(Desk {
        store,
        clock: Arc::new(Still),
        random: Arc::new(Still),
        policy: Policy { hops: 30, show_client: true, routing: Arc::new(routing) },
        door: None,
        verify: None,
        misbehave: None,
        reporter: None,
        milters: None,
        inspectors: Arc::default(),
    })
}

/// Now, and always the same randomness.
pub fn moment() -> Moment {
    Moment { now: NOW, random: 7 }
}

/// A mail store with Alice (A1), Bob (A2) and Carol (A3) in it.
pub struct World {
    pub store: Arc<LocalStore>,
    pub server: Server,
    pub users: Vec<User>,
    pub post: Arc<Post>,
    pub runtime: Runtime,
    pub dir: TempDir,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalStore::open(dir.path(), Options { reserve: 0, ..Options::default() }).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let users = runtime.block_on(async {
            let domain = Domain::from_ascii("red.example").unwrap();
            let _ = store.add_domain(&domain).await.unwrap();
            let mut users = Vec::new();
            for name in ["alice", "bob", "carol"] {
                let address = Address::new(name, domain.clone()).unwrap();
                let password = PasswordHash("none".into());
                let new = NewAccount { address: address.clone(), password, scram: None, quota: None };
                let account = store.add_account(new, Timestamp::from_secs(1_793_000_000)).await.unwrap().into_inner();
                users.push(User { account, address, credential: Credential::Password(PasswordHash("none".into())) });
            }
            users
        });
        let server = Server::new(store.clone());
        let desk = desk(store.clone());
        server.send_through(move || {
            Some(Outbox { desk: desk.clone(), message_size: SENT.0, recipients: SENT.1, taken: Box::new(|| {}) })
        });
        let post = Arc::new(Post::default());
        server.push_by(post.clone());
        Self { store, server, users, post, runtime, dir }
    }

    pub fn user(&self, name: &str) -> &User {
        self.users.iter().find(|user| user.address.local() == name).unwrap()
    }

    pub fn account(&self) -> AccountId {
        self.users[0].account
    }

    /// Puts the messages of a folder into Alice's INBOX, in order of name, a day apart from 1 Nov 2026 12:00 UTC on.
    pub fn fill(&self, folder: &Path) {
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for (day, file) in (0..).zip(files) {
            let date = Timestamp::from_secs(1_793_534_400 + day * 86_400);
            self.append("INBOX", &std::fs::read(file).unwrap(), date, Flags::NONE);
        }
    }

    pub async fn staged(&self, octets: &[u8]) -> Box<dyn Stage> {
        let mut stage = self.server.stage(Some(octets.len() as u64)).await.unwrap();
        stage.write(octets).await.unwrap();
        stage
    }

    pub fn append(&self, mailbox: &str, octets: &[u8], internal_date: Timestamp, flags: Flags) {
        self.runtime.block_on(async {
            let id = self.store.mailbox(self.account(), mailbox).await.unwrap().unwrap();
            let row = AppendMessage { flags, keywords: Vec::new(), internal_date };
            let _ = self.store.append(id, vec![(self.staged(octets).await, row)], NOW).await.unwrap();
        });
    }

    pub fn raw(&self, user: &str, octets: &[u8]) -> Reply {
        let moment = Moment { now: NOW, random: 7 };
        self.runtime.block_on(self.server.request(self.user(user), octets, moment))
    }

    /// Method calls, and their responses.
    pub fn calls(&self, user: &str, calls: &[Value]) -> Vec<Value> {
        let request = json!({ "using": USING, "methodCalls": calls });
        let reply = self.raw(user, request.to_string().as_bytes());
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(reply.status, 200, "{body}");
        body["methodResponses"].as_array().unwrap().clone()
    }

    /// One method call of Alice's in her own account: name and arguments of the response.
    pub fn call(&self, name: &str, mut arguments: Value) -> (String, Value) {
        let is_of_account = name != "Core/echo" && !name.starts_with("PushSubscription/");
        if arguments.get("accountId").is_none() && is_of_account {
            arguments["accountId"] = "A1".into();
        }
        let response = self.calls("alice", &[json!([name, arguments, "0"])]).remove(0);
        (response[0].as_str().unwrap().to_owned(), response[1].clone())
    }

    /// The same of a call that succeeds.
    pub fn ok(&self, name: &str, arguments: Value) -> Value {
        let (answered, value) = self.call(name, arguments.clone());
        assert_eq!(answered, name, "{arguments}: {value}");
        value
    }

    /// The same of a call that fails: the type of the error.
    pub fn err(&self, name: &str, arguments: Value) -> String {
        let (answered, value) = self.call(name, arguments.clone());
        assert_eq!(answered, "error", "{name} {arguments}: {value}");
        value["type"].as_str().unwrap().to_owned()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let store = self.store.clone();
        if !std::thread::panicking() {
            self.runtime.block_on(async {
                let findings = store.check(true).await.unwrap();
                assert!(findings.iter().all(|finding| !finding.error), "{findings:?}");
            });
        }
        self.runtime.block_on(store.close());
    }
}
