//! DNS that fails, lies and falls silent: whatever is no clear answer is temporary, so that no mail bounces by it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use mta::world::{Answer, Belief, Dns, Mx};
use server::dns::{DnsSettings, Resolver};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

const MX: u16 = 15;
const CNAME: u16 = 5;
const SOA: u16 = 6;

/// The first name of a question, and where the question ends.
fn question(query: &[u8]) -> (String, usize) {
    let (mut name, mut at) = (Vec::new(), 12);
    while query[at] != 0 {
        let length = usize::from(query[at]);
        name.push(String::from_utf8(query[at + 1..=at + length].to_vec()).unwrap().to_ascii_lowercase());
        at += length + 1;
    }
    (name.join("."), at + 5)
}

fn wire_name(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| [&[label.len() as u8][..], label.as_bytes()].concat());
    labels.chain([0]).collect()
}

fn record(name: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let mut record = name.to_vec();
    record.extend(kind.to_be_bytes());
    record.extend([0, 1, 0, 0, 0, 60]);
    record.extend((data.len() as u16).to_be_bytes());
    record.extend(data);
    record
}

/// An answer with these flags (QR is set) and records.
fn answer(query: &[u8], flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let (_, end) = question(query);
    let mut message = query[..2].to_vec();
    message.extend((0x8180 | flags).to_be_bytes());
    message.extend([0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
    message.extend(&query[12..end]);
    message.extend(records.concat());
    message
}

fn mx_data(host: &str) -> Vec<u8> {
    [&[0, 10][..], &wire_name(host)].concat()
}

fn mx() -> Vec<u8> {
    record(&[0xc0, 12], MX, &mx_data("mx.example"))
}

/// "No such thing", by the SOA record of a zone.
fn denial(query: &[u8], flags: u16, zone: &str) -> Vec<u8> {
    let numbers = [1_u32, 60, 60, 60, 60].map(u32::to_be_bytes).concat();
    let soa = [wire_name("ns.example"), wire_name("hostmaster.example"), numbers].concat();
    let mut message = answer(query, flags, &[record(&wire_name(zone), SOA, &soa)]);
    // The record is of the authority section.
    (message[7], message[9]) = (0, 1);
    message
}

/// What the server says over UDP; nothing: it is silent.
fn over_udp(query: &[u8]) -> Option<Vec<u8>> {
    let (name, _) = question(query);
    let alias = |to: &str| answer(query, 0, &[record(&[0xc0, 12], CNAME, &wire_name(to))]);
    Some(match name.as_str() {
        "good.example" => answer(query, 0, &[mx()]),
        "formerr.example" => answer(query, 1, &[]),
        "servfail.example" => answer(query, 2, &[]),
        "notimp.example" => answer(query, 4, &[]),
        "refused.example" => answer(query, 5, &[]),
        "nodomain.example" => answer(query, 3, &[]),
        "nodata.example" => answer(query, 0, &[]),
        "truncated.example" | "truncated-for-ever.example" => answer(query, 0x200, &[]),
        "half.example" => answer(query, 0, &[mx()])[..20].to_vec(),
        "garbage.example" => [&query[..2], b"this is no message of DNS at all"].concat(),
        "cut.example" => {
            let whole = answer(query, 0, &[mx()]);
            whole[..whole.len() - 4].to_vec()
        }
        "others.example" => {
            let mut other = query[..12].to_vec();
            other.extend(wire_name("good.example"));
            other.extend([0, MX as u8, 0, 1]);
            answer(&other, 0, &[mx()])
        }
        "beside.example" => answer(query, 0, &[record(&wire_name("mine.test"), MX, &mx_data("mx.mine.test")), mx()]),
        "denied-above.example" => denial(query, 0, "example"),
        "denied-elsewhere.example" => denial(query, 0, "mine.test"),
        "gone-above.example" => denial(query, 3, "example"),
        "gone-elsewhere.example" => denial(query, 3, "mine.test"),
        "loop.example" => alias("loop2.example"),
        "loop2.example" => alias("loop.example"),
        "self.example" => alias("self.example"),
        _ => return None,
    })
}

async fn lying_server() -> SocketAddr {
    let (udp, tcp, address) = loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        if let Ok(udp) = UdpSocket::bind(address).await {
            break (Arc::new(udp), tcp, address);
        }
    };
    tokio::spawn(async move {
        let mut query = [0; 1500];
        while let Ok((length, client)) = udp.recv_from(&mut query).await {
            if let Some(said) = over_udp(&query[..length]) {
                let _ = udp.send_to(&said, client).await;
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            tokio::spawn(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut query = vec![0; usize::from(length)];
                    if stream.read_exact(&mut query).await.is_err() {
                        return;
                    }
                    let said = match question(&query).0.as_str() {
                        "truncated.example" => answer(&query, 0, &[mx()]),
                        // As over UDP, or the end of the connection.
                        "truncated-for-ever.example" => return,
                        _ => match over_udp(&query) {
                            Some(said) => said,
                            None => std::future::pending().await,
                        },
                    };
                    let _ = stream.write_u16(said.len() as u16).await;
                    let _ = stream.write_all(&said).await;
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_clear_answer_is_temporary() {
    let resolver = Resolver::new(&DnsSettings::unchecked(&[lying_server().await])).unwrap();
    let found =
        Answer::Found(vec![Mx { preference: 10, exchange: "mx.example".into() }], Belief::until(Duration::ZERO));
    let without_ttl = |answer| match answer {
        Answer::Found(records, _) => Answer::Found(records, Belief::until(Duration::ZERO)),
        other => other,
    };
    for (name, expected) in [
        ("good.example", &found),
        ("truncated.example", &found),
        ("beside.example", &found),
        ("denied-above.example", &Answer::NoData),
        ("gone-above.example", &Answer::NoDomain),
        ("nodomain.example", &Answer::NoDomain),
        ("nodata.example", &Answer::NoData),
    ] {
        assert_eq!(&without_ttl(resolver.mx(name).await), expected, "{name}");
    }
    let unclear = [
        "formerr.example",
        "servfail.example",
        "notimp.example",
        "refused.example",
        "truncated-for-ever.example",
        "half.example",
        "garbage.example",
        "cut.example",
        "others.example",
        "denied-elsewhere.example",
        "gone-elsewhere.example",
        "loop.example",
        "self.example",
        "silent.example",
    ];
    let resolver = &resolver;
    let asked = unclear.map(|name| async move { (name, resolver.mx(name).await, resolver.ipv4(name).await) });
    let mut wrong = Vec::new();
    for (name, mx, address) in join_all(asked).await {
        for said in [format!("{mx:?}"), format!("{address:?}")] {
            if !said.starts_with("Temporary") {
                wrong.push(format!("{name}: {said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
