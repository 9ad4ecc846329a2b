//! SCRAM-SHA-256 and -PLUS (RFC 7677, RFC 5802 §6, RFC 9266) on the real program over TLS, with every protocol; and our own
//! client, which prefers them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::process::Command;

use testkit::program::Program;
use testkit::socket::Socket;
use testkit::transcript::{Enough, Subject};
use wire::sasl::client::{Credentials, Exchange};
use wire::sasl::{ChannelBinding, Mechanism, Password, decode, encode};

const PROGRAM: &str = env!("CARGO_BIN_EXE_postrider");

fn start() -> Program {
    let program = Program::start(PROGRAM, "red.example", &[], "[auth]\nscram = true\n");
    program.command(&["account", "add", "alice@red.example", "--scram", "--password-stdin"], b"secret");
    program
}

/// How a protocol wraps an exchange.
struct Wrapping {
    service: &'static str,
    greeting: &'static str,
    hello: &'static str,
    /// Before the mechanism's name.
    command: &'static str,
    /// Before a challenge.
    challenge: &'static str,
    /// Before the words that let us in.
    success: &'static str,
    /// Before those that don't.
    failure: &'static str,
    /// Something that only works once logged in, and how its answer begins.
    proof: (&'static str, &'static str),
}

const ALL: [Wrapping; 3] = [
    Wrapping {
        service: "submissions",
        greeting: "220 ",
        hello: "EHLO client.example\r\n",
        command: "AUTH",
        challenge: "334 ",
        success: "235 2.7.0",
        failure: "535 5.7.8",
        proof: ("MAIL FROM:<alice@red.example>\r\n", "250 "),
    },
    Wrapping {
        service: "pop3s",
        greeting: "+OK",
        hello: "",
        command: "AUTH",
        challenge: "+ ",
        success: "+OK",
        failure: "-ERR [AUTH]",
        proof: ("STAT\r\n", "+OK 0 0"),
    },
    Wrapping {
        service: "imaps",
        greeting: "* OK",
        hello: "",
        command: "a AUTHENTICATE",
        challenge: "+ ",
        success: "a OK",
        failure: "a NO [AUTHENTICATIONFAILED]",
        proof: ("b SELECT INBOX\r\n", "b OK"),
    },
];

/// Reads until a line begins with one of these; that line.
fn hear(socket: &mut Socket, begins: &[&str]) -> String {
    let find = |said: &[u8]| {
        let text = String::from_utf8_lossy(said).into_owned();
        let line = text.lines().find(|line| begins.iter().any(|start| line.starts_with(start))).map(str::to_owned);
        line.filter(|_| text.ends_with("\r\n"))
    };
    let said = socket.receive(&mut |said| if find(said).is_some() { Enough::Yes } else { Enough::No }).unwrap();
    find(&said.bytes).unwrap_or_else(|| panic!("none of {begins:?}: {}", String::from_utf8_lossy(&said.bytes)))
}

/// Logs in; the line that ends it, and whether the server proved that it knows the keys.
fn log_in(
    socket: &mut Socket,
    how: &Wrapping,
    mechanism: Mechanism,
    password: &str,
    binding: &ChannelBinding,
) -> (String, bool) {
    hear(socket, &[how.greeting]);
    if !how.hello.is_empty() {
        socket.send(how.hello.as_bytes()).unwrap();
        hear(socket, &["250 "]);
    }
    let credentials = Credentials { user: "alice@red.example".into(), password: Password::new(password) };
    let plus = mechanism == Mechanism::ScramSha256Plus;
    let (first, mut exchange) = Exchange::start(mechanism, credentials, binding, plus, &[5; 18]);
    socket.send(format!("{} {mechanism} {}\r\n", how.command, encode(&first.unwrap())).as_bytes()).unwrap();
    loop {
        let line = hear(socket, &[how.challenge, how.success, how.failure]);
        let Some(challenge) = line.strip_prefix(how.challenge) else {
            return (line, exchange.succeeded().is_ok());
        };
        let (response, next) = exchange.respond(&decode(challenge.as_bytes()).unwrap()).unwrap();
        exchange = next;
        socket.send(format!("{}\r\n", encode(&response)).as_bytes()).unwrap();
    }
}

fn channel(socket: &Socket) -> ChannelBinding {
    ChannelBinding { tls_exporter: socket.exporter(), tls_server_end_point: None }
}

#[test]
fn every_protocol_lets_in_who_proves_the_password_on_this_very_channel() {
    let program = start();
    for how in &ALL {
        for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha256Plus] {
            let mut socket = program.connect(how.service).unwrap();
            let binding = match mechanism {
                Mechanism::ScramSha256Plus => channel(&socket),
                _ => ChannelBinding::default(),
            };
            let (line, proved) = log_in(&mut socket, how, mechanism, "secret", &binding);
            assert!(line.starts_with(how.success) && proved, "{} {mechanism}: {line}", how.service);
            socket.send(how.proof.0.as_bytes()).unwrap();
            hear(&mut socket, &[how.proof.1]);

            let mut socket = program.connect(how.service).unwrap();
            let binding = if binding.is_available() { channel(&socket) } else { binding };
            let (line, proved) = log_in(&mut socket, how, mechanism, "guess", &binding);
            assert!(line.starts_with(how.failure) && !proved, "{} {mechanism}: {line}", how.service);
        }
        // Somebody in between has two channels, and the proof is for the other one.
        let mut socket = program.connect(how.service).unwrap();
        let other = ChannelBinding { tls_exporter: Some(vec![9; 32]), tls_server_end_point: None };
        let (line, _) = log_in(&mut socket, how, Mechanism::ScramSha256Plus, "secret", &other);
        assert!(line.starts_with(how.failure), "{}: {line}", how.service);
    }
}

#[test]
fn our_client_uses_them() {
    let program = start();
    let ca = program.config().parent().unwrap().parent().unwrap().join("ca.pem");
    let run = |arguments: &[&str], scheme: &str, service: &str, password: &str| {
        let at = format!("{scheme}://localhost:{}", program.address(service).port());
        Command::new(PROGRAM)
            .arg("mail")
            .args(arguments)
            .args(["--server", &at, "--user", "alice@red.example", "--ca"])
            .arg(&ca)
            .env("POSTRIDER_PASSWORD", password)
            .output()
            .unwrap()
    };
    let letter = ca.parent().unwrap().join("letter");
    std::fs::write(&letter, "Hello!\n").unwrap();
    let send = ["send", "--to", "alice@red.example", "--subject", "with SCRAM", letter.to_str().unwrap()];
    let sent = run(&send, "smtps", "submissions", "secret");
    assert!(sent.status.success(), "{sent:?}");
    for (scheme, service) in [("imaps", "imaps"), ("pop3s", "pop3s"), ("imap", "imap"), ("pop3", "pop3")] {
        let listed = run(&["list"], scheme, service, "secret");
        assert!(String::from_utf8_lossy(&listed.stdout).contains("with SCRAM"), "{scheme}: {listed:?}");
        let refused = run(&["list"], scheme, service, "guess");
        assert!(!refused.status.success(), "{scheme}: {refused:?}");
    }
}
