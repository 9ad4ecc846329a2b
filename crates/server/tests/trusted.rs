//! Networks that may send without log-in, and that nobody else may: the server is no open relay.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod scene;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use mta::accept::Trusted;
use scene::World;
use scene::client::Client;
use server::Settings;
use server::listen::Service;
use server::trusted::TrustedNetwork;
use store::{JourneyQuery, Store, What};

/// A client at that address, as a proxy tells it.
fn from(address: SocketAddr, ip: &str) -> Client {
    let mut stream = TcpStream::connect(address).unwrap();
    let family = if ip.contains(':') { "TCP6" } else { "TCP4" };
    stream.write_all(format!("PROXY {family} {ip} {ip} 4711 25\r\n").as_bytes()).unwrap();
    let mut client = Client(std::io::BufReader::new(stream));
    assert!(client.reply().starts_with("220 "));
    assert!(client.say("EHLO printer.example").contains("250 HELP"));
    client
}

fn trust(settings: &mut Settings, as_anybody: bool, per_hour: usize) {
    settings.proxy_from = vec!["127.0.0.1".parse().unwrap()];
    settings.trusted = ["10.0.0.0/24", "2001:db8:1::/48"]
        .map(|network| TrustedNetwork {
            network: network.parse().unwrap(),
            may: Arc::new(Trusted { network: network.into(), as_anybody }),
            per_hour,
        })
        .to_vec();
}

const ELSEWHERE: &str = "RCPT TO:<carol@elsewhere.example>";
const OURS: &str = "MAIL FROM:<printer@red.example>";

#[test]
fn only_a_trusted_network_sends_elsewhere() {
    let mut world = World::new();
    let address = world.serve(Service::Smtp, false, |settings| trust(settings, false, 100));
    for ip in ["10.0.1.7", "9.255.255.255", "203.0.113.7", "127.0.0.2", "192.168.0.1", "2001:db8:2::1", "::1"] {
        let mut client = from(address, ip);
        for sender in [OURS, "MAIL FROM:<>", "MAIL FROM:<x@y.example>"] {
            assert!(client.say(sender).starts_with("250 "));
            let denied = "550 5.7.1 <carol@elsewhere.example>: relaying denied";
            assert_eq!(client.say(ELSEWHERE), denied, "{ip}");
            assert!(client.say("RSET").starts_with("250 "));
        }
    }
    for ip in ["10.0.0.7", "2001:db8:1::7", "::ffff:10.0.0.8"] {
        let mut client = from(address, ip);
        for sender in ["MAIL FROM:<>", "MAIL FROM:<x@y.example>"] {
            assert!(client.say(sender).starts_with("250 "));
            assert!(client.say(ELSEWHERE).starts_with("550 5.7.1 "), "{ip}");
            assert!(client.say("RCPT TO:<alice@red.example>").starts_with("250 "), "as anybody's mail");
            assert!(client.say("RSET").starts_with("250 "));
        }
        assert!(client.send("printer@red.example", &["carol@elsewhere.example"], "A: b\r\n\r\nc").starts_with("250 "));
    }
    let query = JourneyQuery::Address("carol@elsewhere.example".into());
    let journeys = world.runtime.block_on(world.store.journeys(&query, 9)).unwrap();
    let told = |event: &store::Event| match &event.what {
        What::Trusted { from, network } => Some(format!("{from} in {network}")),
        _ => None,
    };
    let mut told: Vec<_> = journeys.iter().flat_map(|journey| journey.events.iter().filter_map(told)).collect();
    told.sort();
    assert_eq!(told, ["10.0.0.7 in 10.0.0.0/24", "10.0.0.8 in 10.0.0.0/24", "2001:db8:1::7 in 2001:db8:1::/48"]);
}

/// On the port for users, too, without TLS; who else comes there logs in.
#[test]
fn a_device_submits_without_log_in() {
    let mut world = World::new();
    let address = world.serve(Service::Submission, true, |settings| trust(settings, false, 100));
    let mut client = from(address, "10.0.0.7");
    assert_eq!(client.say("MAIL FROM:<x@y.example>"), "530 5.7.0 Authentication required");
    assert!(client.send("printer@red.example", &["carol@elsewhere.example"], "A: b\r\n\r\nc").starts_with("250 "));
    assert!(from(address, "10.0.1.7").say(OURS).starts_with("530 5.7.0 Must issue a STARTTLS command first"));
}

#[test]
fn what_comes_from_there_is_counted() {
    let mut world = World::new();
    let address = world.serve(Service::Smtp, false, |settings| trust(settings, true, 2));
    // Two of three are within one hour, whenever it ends.
    let mut client = from(address, "10.0.0.7");
    let begin = |client: &mut Client| {
        let reply = client.say("MAIL FROM:<x@y.example>");
        assert!(client.say("RSET").starts_with("250 "));
        reply
    };
    let replies: Vec<String> = (0..6).map(|_| begin(&mut client)).collect();
    let full = "451 4.7.1 Too many messages from your network in this hour, try again later";
    assert_eq!(replies.last().unwrap(), full);
    assert!(begin(&mut from(address, "10.0.0.9")) == full && begin(&mut from(address, "10.0.1.9")).starts_with("250 "));
    let mut other = from(address, "2001:db8:1::7");
    assert!(other.say("MAIL FROM:<x@y.example>").starts_with("250 "));
    assert!(other.say(ELSEWHERE).starts_with("250 "), "as anybody");
}
