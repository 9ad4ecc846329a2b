//! The real resolver against a DNS server that fails in every way it can: what is no clear answer defers mail, and never
//! bounces it (RFC 5321 §5.1).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mail::Domain;
use mta::route::{Route, Routing, Verdict, route};
use mta::world::{Dns as _, World};
use server::connect::{Network, SystemRandom};
use server::dns::{DnsSettings, Resolver, Servers};
use server::{Settings, SystemClock};
use smallnet::dns::{DnsServer, Step, Zones};
use tokio::net::UdpSocket;

fn zones() -> Zones {
    Zones::new()
        .mx("blue.example", 10, "mail.blue.example")
        .address("mail.blue.example", "192.0.2.1".parse().unwrap())
        .mx("two.example", 10, "one.two.example")
        .mx("two.example", 20, "mail.blue.example")
        .address("one.two.example", "192.0.2.2".parse().unwrap())
}

async fn server() -> DnsServer {
    DnsServer::start(SocketAddr::from(([127, 0, 0, 1], 0)), zones()).await.unwrap()
}

fn routing() -> Routing {
    server::outbound::routing(&Settings::new(Domain::from_ascii("mail.red.example").unwrap()))
}

/// Where the relay would go with mail for `domain`, asking at `server`.
async fn routed(server: SocketAddr, domain: &str) -> Route {
    let world = World {
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        dns: Arc::new(Resolver::new(&DnsSettings::unchecked(&[server])).unwrap()),
        connect: Arc::new(Network::new()),
    };
    route(&world, &routing(), &wire::address::domain(domain).unwrap()).await
}

fn names(route: &Route) -> Vec<(String, IpAddr)> {
    let Verdict::Hosts(hosts) = &route.verdict else { panic!("{route:?}") };
    hosts.iter().flat_map(|host| host.addresses.iter().map(|to| (host.name.clone(), to.ip()))).collect()
}

#[track_caller]
fn waits(route: &Route, what: &str) {
    assert!(matches!(route.verdict, Verdict::Later(..)), "{what}: {route:?}");
}

#[tokio::test]
async fn failing_servers_defer() {
    for (what, step) in [("SERVFAIL", Step::ServFail), ("REFUSED", Step::Refused)] {
        // At the MX; at the host's address; at the address of a domain that has no MX.
        for (domain, failing) in [
            ("blue.example", "blue.example"),
            ("blue.example", "mail.blue.example"),
            ("mail.blue.example", "mail.blue.example"),
        ] {
            let server = server().await;
            server.script(|script| script.always(failing, None, step.clone()));
            waits(&routed(server.address(), domain).await, &format!("{what} for {failing}"));
            assert!(server.questions().iter().any(|(name, _)| name == failing), "it was not asked for {failing}");
        }
    }
}

#[tokio::test]
async fn one_host_without_an_answer_leaves_the_others() {
    let server = server().await;
    server.script(|script| script.always("one.two.example", None, Step::ServFail));
    let found = routed(server.address(), "two.example").await;
    assert_eq!(names(&found), [("mail.blue.example".to_owned(), "192.0.2.1".parse().unwrap())]);
}

#[tokio::test(start_paused = true)]
async fn silence_defers() {
    // Nobody answers, so the paused clock runs ahead to each time-out of the resolver.
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    waits(&routed(silent.local_addr().unwrap(), "blue.example").await, "silence");
    // Nobody is even there.
    let at = silent.local_addr().unwrap();
    drop(silent);
    waits(&routed(at, "blue.example").await, "a closed port");
}

/// A server on UDP alone, whose answer is made of the question.
async fn answering(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut question = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut question).await {
            let _ = socket.send_to(&answer(&question[..length]), from).await;
        }
    });
    at
}

#[tokio::test]
async fn truncated_answers_come_whole_over_tcp_or_defer() {
    let server = server().await;
    for name in ["blue.example", "mail.blue.example"] {
        server.script(|script| script.always(name, None, Step::Truncated));
    }
    let found = routed(server.address(), "blue.example").await;
    assert_eq!(names(&found), [("mail.blue.example".to_owned(), "192.0.2.1".parse().unwrap())]);

    // TC, no records, and nobody on TCP: no "there is nothing", which would bounce.
    let cut = answering(|question| {
        let mut answer = question.to_vec();
        // RFC 1035 §4.1.1: QR and TC; RA, NOERROR.
        answer[2] |= 0x82;
        answer[3] = 0x80;
        answer
    });
    waits(&routed(cut.await, "blue.example").await, "TC without TCP");
}

#[tokio::test(start_paused = true)]
async fn answers_without_sense_defer() {
    type Answers = fn(&[u8]) -> Vec<u8>;
    let cases: [(&str, Answers); 3] = [
        ("half an answer", |question| question[..question.len() / 2].to_vec()),
        ("the answer to another question", |question| {
            let mut answer = question.to_vec();
            answer[0] ^= 0xff;
            answer[2] |= 0x80;
            answer
        }),
        ("no octet", |_| Vec::new()),
    ];
    for (what, answer) in cases {
        waits(&routed(answering(answer).await, "blue.example").await, what);
    }
}

#[tokio::test]
async fn internationalised_names_are_asked_for_as_a_labels() {
    let server = server().await;
    let host = "mail.xn--bcher-kva.example";
    let zones = zones().mx("xn--mnchen-3ya.example", 10, host).address(host, "192.0.2.3".parse().unwrap());
    server.set_zones(zones);
    let found = routed(server.address(), "münchen.example").await;
    assert_eq!(names(&found), [(host.to_owned(), "192.0.2.3".parse().unwrap())]);
    assert!(server.questions().iter().all(|(name, _)| name.is_ascii()), "{:?}", server.questions());
}

#[tokio::test]
async fn an_mx_in_raw_octets_is_no_trouble() {
    // Some zones have U-labels as UTF-8, which DNS carries like any octets (RFC 2181 §11): they mean the A-labels.
    let server = server().await;
    let mx = |host: &[u8]| {
        let name = hickory_proto::rr::Name::from_labels([host, b"example"]).unwrap();
        hickory_proto::rr::RData::MX(hickory_proto::rr::rdata::MX::new(10, name))
    };
    let zones = zones()
        .record("raw.example", mx("Bücher".as_bytes()))
        .address("xn--bcher-kva.example", "192.0.2.3".parse().unwrap())
        .record("junk.example", mx(b"b\xff\x00"));
    server.set_zones(zones);
    let found = routed(server.address(), "raw.example").await;
    assert_eq!(names(&found), [("xn--bcher-kva.example".to_owned(), "192.0.2.3".parse().unwrap())]);
    // What can't be asked for is no answer.
    waits(&routed(server.address(), "junk.example").await, "octets that are no name");
}

#[tokio::test]
async fn other_servers_take_the_place_of_these() {
    let (first, second) = (server().await, server().await);
    first.script(|script| script.always("blue.example", None, Step::NxDomain));
    let resolver = Resolver::new(&DnsSettings::unchecked(&[first.address()])).unwrap();
    assert!(matches!(resolver.mx("blue.example").await, mta::world::Answer::NoDomain));
    resolver.ask_instead(Servers::new(&DnsSettings::unchecked(&[second.address()])).unwrap());
    let mta::world::Answer::Found(mx, belief) = resolver.mx("blue.example").await else { panic!("no answer") };
    assert_eq!((mx[0].exchange.as_str(), belief.ttl <= Duration::from_secs(1)), ("mail.blue.example", true));
}
