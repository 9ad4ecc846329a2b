//! Connections that a proxy passes on: who is believed, and what it changes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod scene;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use scene::World;
use server::listen::Service;
use store::{Store, What};

fn connect(address: SocketAddr, header: &[u8]) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(address).unwrap();
    // With what comes next in one piece: no octet of that may be lost.
    stream.write_all(&[header, b"NOOP\r\n"].concat()).unwrap();
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap_or_default();
    (line, stream)
}

fn binary(command: u8, octets: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend_from_slice(&[command, 0x11, 0, u8::try_from(octets.len()).unwrap()]);
    header.extend_from_slice(octets);
    header
}

/// Both versions; the client's address counts, in limits too; what is no header ends the connection.
#[test]
fn a_proxy_says_whose_connection_it_is() {
    let mut world = World::new();
    let address = world.serve(Service::Smtp, false, |settings| {
        settings.proxy_from = vec!["127.0.0.0/8".parse().unwrap()];
        settings.limits.connections_per_address = 1;
    });
    let first = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 25\r\n";
    let (line, mut stream) = connect(address, first);
    assert!(line.starts_with("220 "), "{line}");
    // The same client again, and another.
    assert!(connect(address, first).0.starts_with("421 4.7.0 Too many connections"));
    let other = binary(0x21, &[203, 0, 113, 8, 192, 0, 2, 1, 1, 1, 0, 25, 4, 0, 0]);
    let (line, other) = connect(address, &other);
    assert!(line.starts_with("220 "), "{line}");
    // The proxy itself, which looks whether we live.
    assert!(connect(address, &binary(0x20, &[])).0.starts_with("220 "));
    assert_eq!(connect(address, b"EHLO client.example\r\n").0, "");
    assert_eq!(connect(address, &binary(0x31, &[])).0, "");
    drop(other);

    let say = b"HELO x\r\nMAIL FROM:<x@y.example>\r\nRCPT TO:<nobody@red.example>\r\nQUIT\r\n";
    stream.write_all(say).unwrap();
    stream.read_to_string(&mut String::new()).unwrap();
    let refusals = world.runtime.block_on(world.store.refusals(9)).unwrap();
    assert!(matches!(&refusals[0].what, What::Refused { from, .. } if from == "203.0.113.7"), "{refusals:?}");
}

/// From who is not named the header is no header.
#[test]
fn nobody_else_is_believed() {
    let mut world = World::new();
    let address = world.serve(Service::Smtp, false, |settings| {
        settings.proxy_from = vec!["192.0.2.1".parse().unwrap()];
    });
    let (line, stream) = connect(address, b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 25\r\n");
    assert!(line.starts_with("220 "));
    drop(stream);
    let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
    stream.get_mut().write_all(b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 25\r\n").unwrap();
    let lines: Vec<String> = stream.lines().take(2).map(Result::unwrap).collect();
    assert!(lines[1].starts_with("500 5.5."), "{lines:?}");
}
