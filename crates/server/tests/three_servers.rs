//! Three servers in a row over real sockets and TLS: red sends, the gateway takes mail for branch.example and sends it
//! on, branch has the mailbox.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;

use mail::{BodyType, Envelope, QueueId, Recipient, ReversePath};
use mta::accept::inspect::Inspectors;
use mta::route::FixedRoute;
use mta::world::{Clock, World};
use server::connect::{Network, SystemRandom};
use server::dns::{DnsSettings, Resolver};
use server::listen::{Doors, Handler, Listener, Service};
use server::outbound::Outbound;
use server::smtp::{Extras, Reception};
use server::tls::{Acceptor, SiteFiles};
use server::{Settings, Shared, Shutdown, ShutdownSwitch, SystemClock};
use store::conformance::{address, domain};
use store::{Acceptance, Event, JourneyQuery, NewAccount, PasswordHash, QueueRelay, Store, What};
use store_local::{LocalStore, Options};
use testkit::authority::certify;

struct System {
    store: Arc<LocalStore>,
    outbound: Outbound,
    at: SocketAddr,
    relaying: tokio::task::JoinHandle<()>,
    _switch: ShutdownSwitch,
    _folder: tempfile::TempDir,
}

/// A system that has the account `who`, and sends mail for `route` on to the address beside it.
async fn system(name: &str, who: &str, route: Option<(Option<&str>, SocketAddr)>) -> System {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path().join("data"), Options::default()).unwrap();
    let who = address(who);
    store.add_domain(who.domain()).await.unwrap().into_inner();
    let account = NewAccount { address: who, password: PasswordHash(String::new()), scram: None, quota: None };
    store.add_account(account, SystemClock.now()).await.unwrap().into_inner();
    let listener = Listener::bind(Service::Smtp, "127.0.0.1:0".parse().unwrap()).unwrap();
    let at = listener.address().unwrap();
    let mut settings = Settings::new(domain(name));
    settings.smtp.listening = vec![at];
    if let Some((from, to)) = route {
        let next_hop = vec![(to.ip().to_string(), to.port())];
        settings.routes.push(FixedRoute { domain: from.map(domain), next_hop, login: None, lmtp: false });
    }
    let (switch, shutdown) = Shutdown::new();
    // Opportunistic TLS takes every certificate, so nobody has to trust this one.
    certify(folder.path(), name);
    let site = SiteFiles { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    let acceptor = Acceptor::load(&[site]).unwrap();
    let shared = Arc::new(Shared::new(store.clone(), Arc::new(SystemClock), settings, Some(acceptor), shutdown));
    let world = World {
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        dns: Arc::new(Resolver::new(&DnsSettings::unchecked(&["127.0.0.1:9".parse().unwrap()])).unwrap()),
        connect: Arc::new(Network::new()),
    };
    let outbound = Outbound::in_world(shared.clone(), world);
    let relay = outbound.relay.clone();
    let reception = Arc::new(Reception::new(Extras {
        random: Arc::new(SystemRandom),
        door: None,
        verify: Some(outbound.verifier.clone()),
        misbehave: None,
        reporter: Some(Arc::new(move || relay.reporter())),
        inspectors: Box::new(|_| Inspectors::default()),
    }));
    let handler: Handler =
        Arc::new(move |connection, service, shared| Box::pin(reception.clone().serve(connection, service, shared)));
    tokio::spawn(Doors::open(vec![listener], shared, handler).stop());
    let running = outbound.clone();
    let relaying = tokio::spawn(async move { running.run().await.unwrap() });
    System { store, outbound, at, relaying, _switch: switch, _folder: folder }
}

impl System {
    async fn send(&self, to: &str) -> QueueId {
        let now = SystemClock.now();
        let id = self.store.next_queue_id(now);
        let recipient = Recipient::new(address(to));
        let destination = self.outbound.relay.routing().destination(&recipient.address);
        let acceptance = Acceptance {
            id,
            received_at: now,
            envelope: Envelope {
                reverse_path: ReversePath::Address(address("alice@red.example")),
                recipients: vec![recipient.clone()],
                body: BodyType::SevenBit,
                smtputf8: false,
                dsn_return: None,
                envelope_id: None,
                hold: None,
            },
            message_id: Some("<1@red.example>".into()),
            deliveries: Vec::new(),
            relays: vec![QueueRelay { recipient, prefix: Vec::new(), destination, next_attempt: now }],
            discarded: 0,
            events: Vec::new(),
            dsns: Vec::new(),
            marks: Vec::new(),
        };
        let mut stage = self.store.stage(None).await.unwrap();
        stage.write(b"Message-ID: <1@red.example>\r\nSubject: far\r\n\r\nhi\r\n.\r\n..\r\n").await.unwrap();
        self.store.accept(stage, acceptance).await.unwrap().into_inner();
        id
    }

    /// Waits for an event of the messages with our Message-ID.
    async fn until<T>(&self, query: JourneyQuery, pick: impl Fn(&Event) -> Option<T>) -> T {
        loop {
            let journeys = self.store.journeys(&query, 10).await.unwrap();
            if let Some(found) = journeys.iter().flat_map(|journey| &journey.events).find_map(&pick) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn end(self) {
        let Self { store, relaying, _switch, .. } = self;
        drop(_switch);
        relaying.await.unwrap();
        assert!(store.balance().await.unwrap().holds());
        let findings = store.check(true).await.unwrap();
        assert!(findings.iter().all(|finding| !finding.error), "{findings:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_passes_a_gateway_and_unknown_people_are_refused_there() {
    let branch = system("mail.branch.example", "bob@branch.example", None).await;
    let gateway = system("mail.gate.example", "carol@gate.example", Some((Some("branch.example"), branch.at))).await;
    let red = system("mail.red.example", "alice@red.example", Some((None, gateway.at))).await;

    let id = red.send("bob@branch.example").await;
    let relayed = |event: &Event| match &event.what {
        What::Relayed { reply, tls, .. } => Some((reply.clone(), tls.as_ref().map(|tls| tls.version.clone()))),
        _ => None,
    };
    let (reply, tls) = red.until(JourneyQuery::Id(id), relayed).await;
    assert!(reply.starts_with("250 "), "{reply}");
    assert_eq!(tls.as_deref(), Some("TLSv1.3"));
    let ours = || JourneyQuery::MessageId("<1@red.example>".into());
    gateway.until(ours(), relayed).await;
    branch.until(ours(), |event| matches!(event.what, What::Delivered { .. }).then_some(())).await;
    let account = branch.store.accounts(None, 1).await.unwrap().remove(0).id;
    let inbox = branch.store.mailbox(account, "INBOX").await.unwrap().unwrap();
    let row = branch.store.watch(inbox).await.unwrap().newest().unwrap().get(0).unwrap();
    let body = branch.store.bodies(inbox, &[row.uid]).await.unwrap().remove(0).1;
    let text = String::from_utf8(body.read(0..body.size()).await.unwrap().to_vec()).unwrap();
    assert!(text.ends_with("Subject: far\r\n\r\nhi\r\n.\r\n..\r\n"), "{text}");
    assert_eq!(text.matches("Received: ").count(), 2, "{text}");

    // Nobody of this name: the gateway asks the branch, and refuses at RCPT; red tells its own user.
    let lost = red.send("nobody@branch.example").await;
    let bounced = |event: &Event| match &event.what {
        What::Bounced { words, report } => Some((words.clone(), report.is_some())),
        _ => None,
    };
    let (words, reported) = red.until(JourneyQuery::Id(lost), bounced).await;
    assert!(words.starts_with("550 5.1.1 ") && reported, "{words}");
    assert_eq!(gateway.store.balance().await.unwrap().accepted, 1);
    for system in [red, gateway, branch] {
        system.end().await;
    }
}
