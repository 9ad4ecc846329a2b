//! The DNS server as a resolver sees it: over sockets, with scripted faults.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use hickory_resolver::Resolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use smallnet::dns::{DnsServer, Step, Zones, name};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

fn zones() -> Zones {
    let mut zones = Zones::new().zone("red.example").mx("red.example", 10, "mail.red.example");
    for last in 1..=100 {
        zones = zones.address("many.example", IpAddr::from([127, 0, 0, last]));
    }
    zones.address("mail.red.example", IpAddr::from([127, 0, 0, 1]))
}

async fn server() -> DnsServer {
    DnsServer::start(SocketAddr::from(([127, 0, 0, 1], 0)), zones()).await.unwrap()
}

fn question(owner: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(name(owner), kind));
    message
}

async fn over_udp(server: &DnsServer, question: &[u8]) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(question, server.address()).await.unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).await.unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

async fn over_tcp(server: &DnsServer, questions: &[Message]) -> Vec<Message> {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    for question in questions {
        let question = question.to_vec().unwrap();
        stream.write_u16(u16::try_from(question.len()).unwrap()).await.unwrap();
        stream.write_all(&question).await.unwrap();
    }
    let mut answers = Vec::new();
    for _ in questions {
        let length = stream.read_u16().await.unwrap();
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await.unwrap();
        answers.push(Message::from_vec(&answer).unwrap());
    }
    answers
}

#[tokio::test]
async fn a_real_resolver_finds_its_way() {
    let server = server().await;
    let mut udp = ConnectionConfig::udp();
    udp.port = server.address().port();
    let mut tcp = ConnectionConfig::tcp();
    tcp.port = server.address().port();
    let name_server = NameServerConfig::new(server.address().ip(), true, vec![udp, tcp]);
    let config = ResolverConfig::from_parts(None, vec![], vec![name_server]);
    let resolver = Resolver::builder_with_config(config, TokioRuntimeProvider::default()).build().unwrap();
    let found = resolver.mx_lookup("red.example.").await.unwrap();
    let RData::MX(mx) = &found.answers()[0].data else { panic!("{found:?}") };
    assert_eq!(mx.exchange, name("mail.red.example"));
    // More than a datagram holds: the resolver comes back on TCP by itself.
    assert_eq!(resolver.ipv4_lookup("many.example.").await.unwrap().answers().len(), 100);
    assert!(resolver.mx_lookup("nobody.example.").await.unwrap_err().is_nx_domain());
    assert!(resolver.mx_lookup("mail.red.example.").await.unwrap_err().is_no_records_found());
}

#[tokio::test]
async fn long_answers_are_cut_on_udp_and_whole_on_tcp() {
    let server = server().await;
    let ask = question("many.example", RecordType::A);
    let cut = over_udp(&server, &ask.to_vec().unwrap()).await;
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    let mut with_edns = ask.clone();
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    with_edns.set_edns(edns);
    // 100 addresses do not fit into 1,232 octets either; and OPT answers OPT.
    let cut = over_udp(&server, &with_edns.to_vec().unwrap()).await;
    assert!(cut.metadata.truncation && cut.edns.is_some());
    let answers = over_tcp(&server, &[ask.clone(), ask]).await;
    assert_eq!(answers.iter().map(|answer| answer.answers.len()).collect::<Vec<_>>(), [100, 100]);
}

#[tokio::test]
async fn scripted_faults_come_one_by_one() {
    let server = server().await;
    let mx = Some(RecordType::MX);
    let changed = RData::MX(hickory_proto::rr::rdata::MX::new(5, name("other.example")));
    server.script(|script| {
        let steps = [Step::ServFail, Step::Refused, Step::Truncated, Step::NxDomain, Step::Records(vec![changed])];
        script.next("red.example", mx, steps);
        script.always("silent.example", None, Step::Silence);
        script.always("late.example", None, Step::Slow(Duration::from_millis(1)));
    });
    let ask = question("red.example", RecordType::MX).to_vec().unwrap();
    assert_eq!(over_udp(&server, &ask).await.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(over_udp(&server, &ask).await.metadata.response_code, ResponseCode::Refused);
    assert!(over_udp(&server, &ask).await.metadata.truncation);
    assert_eq!(over_udp(&server, &ask).await.metadata.response_code, ResponseCode::NXDomain);
    let answer = over_udp(&server, &ask).await;
    assert!(matches!(&answer.answers[0].data, RData::MX(mx) if mx.preference == 5));
    // The script is over: the zones again; and what comes after a silence is not its answer.
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server.address()).await.unwrap();
    socket.send(&question("silent.example", RecordType::A).to_vec().unwrap()).await.unwrap();
    let late = question("late.example", RecordType::A);
    socket.send(&late.to_vec().unwrap()).await.unwrap();
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).await.unwrap();
    assert_eq!(Message::from_vec(&buffer[..length]).unwrap().metadata.id, late.metadata.id);
    let answer = over_udp(&server, &ask).await;
    assert!(matches!(&answer.answers[0].data, RData::MX(mx) if mx.preference == 10));
    assert_eq!(server.questions().iter().filter(|(owner, _)| owner == "red.example").count(), 6);
}

#[tokio::test]
async fn nonsense_is_answered_or_passed_over() {
    let server = server().await;
    // A header that promises a question and brings none: FORMERR with its id.
    let reply = over_udp(&server, &[0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await;
    assert_eq!((reply.metadata.id, reply.metadata.response_code), (0xabcd, ResponseCode::FormErr));
    let mut two = question("red.example", RecordType::MX);
    two.add_query(Query::query(name("red.example"), RecordType::A));
    let reply = over_udp(&server, &two.to_vec().unwrap()).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::FormErr);
    // An answer is never answered, nor is a single octet: the next question is the first that has a reply.
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server.address()).await.unwrap();
    let mut answer = question("red.example", RecordType::MX);
    answer.metadata.message_type = hickory_proto::op::MessageType::Response;
    let real = question("red.example", RecordType::MX);
    for datagram in [answer.to_vec().unwrap(), vec![7], real.to_vec().unwrap()] {
        socket.send(&datagram).await.unwrap();
    }
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).await.unwrap();
    assert_eq!(Message::from_vec(&buffer[..length]).unwrap().metadata.id, real.metadata.id);
}

#[tokio::test]
async fn a_taken_port_is_told_and_a_stopped_one_is_free() {
    let first = server().await;
    let address = first.address();
    assert!(DnsServer::start(address, zones()).await.is_err());
    first.stop().await;
    let second = DnsServer::start(address, zones()).await.unwrap();
    second.set_zones(Zones::new());
    let reply = over_udp(&second, &question("red.example", RecordType::MX).to_vec().unwrap()).await;
    assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
}
