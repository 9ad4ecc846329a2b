//! The scene of tests/transcripts/smtp/README.md on the embedded store; servers on it, and the bare engine.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "for tests, each of which uses its part"
)]

pub mod between;
pub mod client;
pub mod engine;
pub mod quiet_time;

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use between::Between;
use mail::{Address, Reply, ReversePath, Timestamp, Uid};
use mta::accept::VerifyRecipient;
use mta::accept::inspect::{Filter, Inspect, Inspectors};
use mta::bounce::Reporter;
use mta::route::FixedRoute;
use rustls::ClientConfig;
use server::connect::{Network, SystemRandom};
use server::dns::{DnsSettings, Resolver};
use server::listen::{Doors, Handler, Listener, Service};
use server::smtp::{Extras, Reception};
use server::tls::{Acceptor, SiteFiles};
use server::{Settings, Shared, Shutdown, ShutdownSwitch, SystemClock};
use store::conformance::{address, append, domain};
use store::{AccountState, Alias, NewAccount, ScramKeys, Store, StoreError, UrlKey};
use store_local::{LocalStore, Options};
use testkit::authority::certify;
use testkit::transcript::Transcript;
use tokio::runtime::Runtime;
use wire::imap::url::MessageUrl;
use wire::imap::urlauth::verifier;
use wire::sasl::scram::Keys;

/// What is in the Drafts of who has URLs into them.
pub const DRAFTS: [&str; 2] = [
    "From: alice@red.example\r\nSubject: a draft\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße.\r\n",
    "Subject: by lines of another kind\n\nHello.\n",
];

/// The next hop of branch.example.
struct Branch;

#[async_trait]
impl VerifyRecipient for Branch {
    async fn verify(&self, _: &ReversePath, recipient: &Address) -> Result<(), Reply> {
        match recipient.local() {
            "unknown" => Err(Reply::new(550, (5, 1, 1), format!("<{recipient}>: nobody has this name"))),
            "later" => {
                Err(Reply::new(450, (4, 4, 1), format!("<{recipient}>: can't be verified now: 450 4.2.0 not yet")))
            }
            _ => Ok(()),
        }
    }
}

/// Nothing here talks to anybody else.
fn reporter() -> Reporter {
    let world = mta::world::World {
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        dns: Arc::new(Resolver::new(&DnsSettings::unchecked(&["127.0.0.1:9".parse().unwrap()])).unwrap()),
        connect: Arc::new(Network::new()),
    };
    let settings = Settings::new(domain("mail.red.example"));
    let routing = server::outbound::routing(&settings);
    Reporter { world, routing: Arc::new(routing), lifetime: mail::limits::QUEUE_LIFETIME }
}

/// People and servers.
pub struct World {
    pub runtime: Runtime,
    pub store: Arc<LocalStore>,
    pub between: Arc<Between>,
    pub switches: Vec<ShutdownSwitch>,
    pub folder: tempfile::TempDir,
    pub trusted: Arc<ClientConfig>,
    /// Who looks at each message before it is taken.
    pub inspectors: Vec<Arc<dyn Inspect>>,
    /// Who says where copies are put.
    pub filters: Vec<Arc<dyn Filter>>,
}

impl World {
    pub fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path().join("data"), Options::default()).unwrap();
        let trusted = certify(folder.path(), "mail.red.example");
        runtime.block_on(people(&store));
        let between = Arc::new(Between::new(store.clone()));
        Self {
            runtime,
            store,
            between,
            switches: Vec::new(),
            folder,
            trusted,
            inspectors: Vec::new(),
            filters: Vec::new(),
        }
    }

    /// The certificate of mail.red.example.
    pub fn acceptor(&self) -> Acceptor {
        let path = self.folder.path();
        Acceptor::load(&[SiteFiles { certificate: path.join("cert.pem"), key: path.join("key.pem") }]).unwrap()
    }

    /// A system on this store.
    pub fn system(&mut self, tls: bool, change: impl FnOnce(&mut Settings)) -> (Arc<Shared>, Arc<Reception>) {
        let mut settings = Settings::new(domain("mail.red.example"));
        settings.routes.push(FixedRoute {
            domain: Some(domain("branch.example")),
            next_hop: vec![("192.0.2.1".into(), 25)],
            login: None,
            lmtp: false,
        });
        change(&mut settings);
        let acceptor = tls.then(|| self.acceptor());
        let (switch, shutdown) = Shutdown::new();
        self.switches.push(switch);
        let shared = Arc::new(Shared::new(self.between.clone(), Arc::new(SystemClock), settings, acceptor, shutdown));
        let (inspectors, filters) = (self.inspectors.clone(), self.filters.clone());
        let extras = Extras {
            random: Arc::new(SystemRandom),
            door: None,
            verify: Some(Arc::new(Branch)),
            misbehave: None,
            reporter: Some(Arc::new(reporter)),
            inspectors: Box::new(move |_| Inspectors::new(inspectors.clone(), filters.clone())),
        };
        let reception = Arc::new(Reception::new(extras));
        reception.receive_from_jmap(&shared);
        (shared, reception)
    }

    pub fn serve(&mut self, service: Service, tls: bool, change: impl FnOnce(&mut Settings)) -> SocketAddr {
        let (shared, reception) = self.system(tls, change);
        let handler: Handler =
            Arc::new(move |connection, service, shared| Box::pin(reception.clone().serve(connection, service, shared)));
        self.open(service, shared, handler)
    }

    /// The web of a system, by HTTP or HTTPS.
    pub fn web(&self, service: Service, shared: &Arc<Shared>) -> SocketAddr {
        let handler: Handler = Arc::new(|connection, _, shared| Box::pin(server::http::serve(connection, shared)));
        self.open(service, shared.clone(), handler)
    }

    /// ManageSieve on this store.
    pub fn serve_filters(&mut self) -> SocketAddr {
        let (shared, _) = self.system(false, |_| ());
        let handler: Handler =
            Arc::new(|connection, service, shared| Box::pin(server::managesieve::serve(connection, service, shared)));
        self.open(Service::Sieve, shared, handler)
    }

    fn open(&self, service: Service, shared: Arc<Shared>, handler: Handler) -> SocketAddr {
        let _inside = self.runtime.enter();
        let listener = Listener::bind(service, "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address().unwrap();
        self.runtime.spawn(Doors::open(vec![listener], shared, handler).stop());
        address
    }

    /// `#: url NAME RUMP`: names, and the URLs that the owners of the mailboxes have made of the rumps. Drafts have messages.
    pub fn urls(&self, transcript: &Transcript) -> Vec<(String, String)> {
        let urls = transcript.all("url").map(|line| line.split_once(' ').unwrap());
        urls.map(|(name, rump)| (name.to_owned(), self.runtime.block_on(self.url(rump)))).collect()
    }

    pub async fn url(&self, rump: &str) -> String {
        let url = MessageUrl::read(rump.as_bytes()).unwrap();
        let owner = url.authority.and_then(|authority| authority.user).unwrap();
        let Some(store::DirectoryEntry::Account(account)) = self.store.entry(&address(&owner)).await.unwrap() else {
            panic!("{owner} is no account");
        };
        let mailbox = self.store.mailbox(account.id, &url.mailbox).await.unwrap().unwrap();
        if self.store.status(mailbox).await.unwrap().messages == 0 {
            for draft in DRAFTS {
                append(&*self.store, mailbox, draft.as_bytes()).await;
            }
        }
        let key = self.store.make_url_key(mailbox, UrlKey([7; 32])).await.unwrap().into_inner();
        format!("{rump}{}", verifier(&key.0, rump.as_bytes()))
    }

    /// The messages of an account's INBOX.
    pub fn inbox(&self, who: &str) -> Vec<String> {
        self.mailbox(who, "INBOX")
    }

    /// The messages of one of an account's mailboxes.
    pub fn mailbox(&self, who: &str, name: &str) -> Vec<String> {
        self.runtime.block_on(async {
            let Some(store::DirectoryEntry::Account(account)) = self.store.entry(&address(who)).await.unwrap() else {
                panic!("{who} is no account");
            };
            let inbox = self.store.mailbox(account.id, name).await.unwrap().unwrap();
            let uids: Vec<Uid> =
                self.store.watch(inbox).await.unwrap().newest().unwrap().iter().map(|row| row.uid).collect();
            let mut messages = Vec::new();
            for (_, body) in self.store.bodies(inbox, &uids).await.unwrap() {
                let mut bytes = Vec::new();
                while (bytes.len() as u64) < body.size() {
                    bytes.extend_from_slice(&body.read(bytes.len() as u64..body.size()).await.unwrap());
                }
                messages.push(String::from_utf8_lossy(&bytes).into_owned());
            }
            messages
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.switches.clear();
        let store = self.store.clone();
        self.runtime.block_on(async move {
            assert!(store.balance().await.unwrap().holds());
            let findings = store.check(true).await.unwrap();
            assert!(findings.iter().all(|finding| !finding.error), "{findings:?}");
            store.close().await;
        });
    }
}

async fn people(store: &Arc<LocalStore>) {
    let auth = server::Auth::new(store.clone(), Arc::new(SystemClock));
    store.add_domain(&domain("red.example")).await.unwrap().into_inner();
    store.add_domain(&domain("catch.example")).await.unwrap().into_inner();
    let password = auth.hash(b"secret").await.unwrap();
    for who in ["alice", "bob", "dora", "fred"] {
        let Keys { salt, iterations, stored_key, server_key } = Keys::derive("secret", b"a salt of its own", 4096);
        let new = NewAccount {
            address: address(&format!("{who}@red.example")),
            password: password.clone(),
            scram: Some(ScramKeys { salt, iterations, stored_key, server_key }),
            quota: (who == "fred").then_some(0),
        };
        let id = store.add_account(new, Timestamp::from_secs(0)).await.unwrap().into_inner();
        if who == "dora" {
            store.set_account_state(id, AccountState::Disabled).await.unwrap().into_inner();
        }
    }
    for (alias, targets) in [
        ("team@red.example", &["alice@red.example", "bob@red.example"][..]),
        ("out@red.example", &["carol@elsewhere.example"]),
        ("ring@red.example", &["ring2@red.example"]),
        ("ring2@red.example", &["ring@red.example"]),
        ("dangling@red.example", &["gone@red.example"]),
        ("*@catch.example", &["alice@red.example"]),
    ] {
        let alias = Alias { address: address(alias), targets: targets.iter().map(|t| address(t)).collect() };
        store.set_alias(alias).await.unwrap().into_inner();
    }
}

/// `#: fault`: which transaction of the store fails, and how.
pub fn fault(transcript: &Transcript) -> Option<(&'static str, StoreError)> {
    Some(match transcript.directive("fault")? {
        "stage-full" => ("stage", StoreError::DiskFull),
        "accept-full" => ("accept", StoreError::DiskFull),
        "accept-busy" => ("accept", StoreError::Busy),
        "accept-stopped" => ("accept", StoreError::Poisoned("a sync failed".into())),
        "accept-limit" => ("accept", StoreError::Limit("MESSAGE_SIZE")),
        "accept-gone" => ("accept", StoreError::AccountGone(address("alice@red.example"))),
        "accept-quota" => ("accept", StoreError::OverQuota(address("alice@red.example"))),
        "bodies-stopped" => ("bodies", StoreError::Poisoned("a sync failed".into())),
        "entry-stopped" => ("entry", StoreError::Poisoned("a sync failed".into())),
        other => panic!("no such fault: {other}"),
    })
}

/// Sets the limits that a transcript names.
pub fn apply(transcript: &Transcript, settings: &mut Settings) {
    let number = |key| transcript.directive(key).map(|value| value.parse::<usize>().unwrap());
    let limits = &mut settings.limits;
    limits.message_size = number("size").map_or(limits.message_size, |size| size as u64);
    limits.recipients = number("recipients").unwrap_or(limits.recipients);
    limits.errors = number("errors").unwrap_or(limits.errors);
    limits.messages = number("messages").unwrap_or(limits.messages);
    limits.commands = number("commands").unwrap_or(limits.commands);
    limits.hops = number("hops").unwrap_or(limits.hops);
    settings.offer_scram = transcript.directive("scram").is_some();
}
