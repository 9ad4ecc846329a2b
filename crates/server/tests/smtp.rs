//! SMTP over real sockets on the embedded store: what is in the mailboxes, the queue and the journey afterwards.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod scene;

use std::io::Read;
use std::sync::Arc;

use mail::{ReversePath, limits};
use rustls::ClientConfig;
use scene::World;
use scene::client::Client;
use server::listen::Service;
use store::conformance::address;
use store::{Alias, JourneyQuery, Store, What};
use testkit::socket::Socket;
use testkit::transcript::{Enough, Subject};
use wire::sasl::client::{Credentials, Exchange};
use wire::sasl::{ChannelBinding, Mechanism, Password, decode, encode};

/// One person reached in several ways gets one copy, with the trace fields on top and the rest untouched.
#[test]
fn one_copy_with_trace_fields() {
    let mut world = World::new();
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    let message =
        "Subject: x\r\nMessage-ID: <one@elsewhere.example>\r\nBcc: kept@elsewhere.example\r\n\r\n..dot\r\nend";
    let reply = client.send(
        "carol@elsewhere.example",
        &["team@red.example", "alice+a@red.example", "ALICE@red.example"],
        message,
    );
    let id = reply.strip_prefix("250 2.0.0 Ok: queued as ").unwrap().to_owned();
    let alice = world.inbox("alice@red.example");
    assert_eq!((alice.len(), world.inbox("bob@red.example").len()), (1, 1));
    let (top, rest) = alice[0].split_at(alice[0].find("Subject: ").unwrap());
    assert_eq!(rest, format!("{}\r\n", message.replace("..dot", ".dot")));
    let front = format!(
        "Return-Path: <carol@elsewhere.example>\r\nDelivered-To: alice@red.example\r\n\
         Received: from client.example ([127.0.0.1])\r\n\tby mail.red.example with ESMTP id {id};\r\n\t"
    );
    assert!(top.starts_with(&front), "{top}");
    let reply = client.send("", &["bob@red.example"], "Subject: y\r\n");
    assert!(reply.starts_with("250 "), "{reply}");
    let bob = world.inbox("bob@red.example");
    assert!(bob[1].starts_with("Return-Path: <>\r\nDelivered-To: bob@red.example\r\n"), "{}", bob[1]);
    assert!(bob[1].contains("\r\n\tfor <bob@red.example>;\r\n"), "{}", bob[1]);
    let journeys = world.runtime.block_on(async {
        world.store.journeys(&JourneyQuery::MessageId("<one@elsewhere.example>".into()), 9).await.unwrap()
    });
    assert_eq!((journeys.len(), journeys[0].id.as_str()), (1, id.as_str()));
    let kinds: Vec<&str> = journeys[0]
        .events
        .iter()
        .map(|event| match &event.what {
            What::Received { .. } => "received",
            What::Expanded { rule, .. } => rule.as_str(),
            What::Delivered { .. } => "delivered",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["received", "alias", "delivered", "delivered", "sub-address"]);
}

/// What an alias sends on goes into the queue with the alias's Delivered-To, and ORCPT says whom the sender meant.
#[test]
fn an_alias_sends_on() {
    let mut world = World::new();
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    client.send("dan@elsewhere.example", &["out@red.example", "person@branch.example"], "Subject: on\r\n");
    let queued = world.runtime.block_on(world.store.queue_messages(None, 9)).unwrap();
    assert_eq!(queued.len(), 1);
    let [out, branch] = &queued[0].recipients[..] else { panic!("{queued:?}") };
    assert_eq!(out.address, address("carol@elsewhere.example"));
    assert_eq!(out.original.as_deref(), Some("rfc822;out@red.example"));
    assert_eq!(out.prefix, b"Delivered-To: out@red.example\r\n");
    assert_eq!((branch.address.to_string().as_str(), &branch.prefix[..]), ("person@branch.example", &b""[..]));
}

/// NOTIFY=SUCCESS: a mailbox here is told of with the acceptance itself (RFC 3461 §5.2.3); of the null reverse-path never.
#[test]
fn success_is_reported() {
    let mut world = World::new();
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    for (sender, reports) in [("", 0), ("carol@elsewhere.example", 1)] {
        assert!(client.say(&format!("MAIL FROM:<{sender}> ENVID=here")).starts_with("250 "));
        assert!(client.say("RCPT TO:<alice@red.example> NOTIFY=SUCCESS").starts_with("250 "));
        assert!(client.say("RCPT TO:<bob@red.example> NOTIFY=NEVER").starts_with("250 "));
        assert!(client.say("DATA").starts_with("354 "));
        assert!(client.say("Subject: x\r\n\r\n.").starts_with("250 "));
        let queued = world.runtime.block_on(world.store.queue_messages(None, 9)).unwrap();
        assert_eq!(queued.len(), reports);
        for report in queued {
            assert_eq!(report.envelope.reverse_path, ReversePath::Null);
            let body = world.runtime.block_on(async {
                let body = world.store.queue_body(report.id, report.recipients[0].index).await.unwrap();
                body.read(0..body.size()).await.unwrap()
            });
            let text = String::from_utf8_lossy(&body).into_owned();
            assert!(text.contains("Final-Recipient: rfc822; alice@red.example\r\nAction: delivered"), "{text}");
            assert!(!text.contains("bob@red.example"), "{text}");
        }
    }
}

/// Invariant 3: where one recipient can't be had, none gets the message.
#[test]
fn all_recipients_or_none() {
    let mut world = World::new();
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    world.runtime.block_on(async {
        let Some(store::DirectoryEntry::Account(bob)) = world.store.entry(&address("bob@red.example")).await.unwrap()
        else {
            panic!("bob is an account");
        };
        world.store.set_quota(bob.id, Some(100)).await.unwrap().into_inner();
    });
    let to = ["alice@red.example", "bob@red.example"];
    let reply = client.send("carol@elsewhere.example", &to, &format!("Subject: big\r\n\r\n{}", "x".repeat(200)));
    assert_eq!(reply, "452 4.2.2 <bob@red.example>: the mailbox is full");
    assert_eq!(world.inbox("alice@red.example"), Vec::<String>::new());
    assert_eq!(client.say("RCPT TO:<alice@red.example>"), "503 5.5.1 Say MAIL first");
}

/// A large message in many pieces arrives byte for byte.
#[test]
fn large_messages_arrive_whole() {
    let mut world = World::new();
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    let mut message = String::from("Subject: large\r\n\r\n");
    for line in 0..60_000 {
        message += &format!("line {line} of a long message\r\n");
    }
    assert!(client.send("carol@elsewhere.example", &["alice@red.example"], message.trim_end()).starts_with("250 "));
    let account = world.runtime.block_on(world.store.accounts(None, 1)).unwrap();
    let expected =
        "Return-Path: <carol@elsewhere.example>\r\nDelivered-To: alice@red.example\r\n".len() + message.len();
    assert!(account[0].used > expected as u64 && account[0].used < expected as u64 + 300, "{}", account[0].used);
}

/// Time-outs and a stop are told with 421.
#[test]
fn silence_and_a_stop_end_the_session() {
    let mut world = World::new();
    let quick = world.serve(Service::Smtp, false, |settings| {
        settings.limits.command_timeout = std::time::Duration::from_millis(200);
    });
    assert_eq!(Client::connect(quick).reply(), "421 4.4.2 mail.red.example Timeout, closing connection");
    let patient = world.serve(Service::Smtp, false, |_| ());
    let mut client = Client::connect(patient);
    world.switches[1].stop();
    assert_eq!(client.reply(), "421 4.3.2 mail.red.example Service shutting down");
    let mut rest = Vec::new();
    client.0.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
}

/// A whole reply: its last line has a space behind the code.
fn hear(socket: &mut Socket) -> String {
    let ended = |bytes: &[u8]| {
        let last = bytes.strip_suffix(b"\r\n").and_then(|text| text.rsplit(|b| *b == b'\n').next());
        if last.is_some_and(|line| line.get(3) == Some(&b' ')) { Enough::Yes } else { Enough::No }
    };
    String::from_utf8(socket.receive(&mut { ended }).unwrap().bytes).unwrap()
}

/// SCRAM through all its steps; both sides know then that the other knows the password.
#[test]
fn scram_logs_in() {
    let mut world = World::new();
    let server = world.serve(Service::Submission, true, |settings| settings.offer_scram = true);
    let trusted = world.trusted.clone();
    let mut socket = Socket::connect(server, Some((trusted, "mail.red.example"))).unwrap();
    hear(&mut socket);
    socket.send(b"STARTTLS\r\n").unwrap();
    hear(&mut socket);
    socket.start_tls().unwrap();
    socket.send(b"EHLO client.example\r\n").unwrap();
    hear(&mut socket);
    let credentials = Credentials { user: "alice@red.example".into(), password: Password::new("secret") };
    let none = ChannelBinding::default();
    let (first, mut exchange) = Exchange::start(Mechanism::ScramSha256, credentials, &none, true, &[5; 18]);
    socket.send(format!("AUTH SCRAM-SHA-256 {}\r\n", encode(&first.unwrap())).as_bytes()).unwrap();
    for _ in 0..2 {
        let reply = hear(&mut socket);
        let challenge = decode(reply.strip_prefix("334 ").unwrap().trim_end().as_bytes()).unwrap();
        let (response, next) = exchange.respond(&challenge).unwrap();
        exchange = next;
        socket.send(format!("{}\r\n", encode(&response)).as_bytes()).unwrap();
    }
    assert_eq!(hear(&mut socket), "235 2.7.0 Authentication succeeded\r\n");
    exchange.succeeded().unwrap();
    socket.send(b"MAIL FROM:<alice@red.example>\r\n").unwrap();
    assert_eq!(hear(&mut socket), "250 2.1.0 Sender ok\r\n");
}

/// Submission: Date and Message-ID are added, Bcc is taken out, and the client's address is not told.
#[test]
fn submissions_are_put_right() {
    let mut world = World::new();
    let server = world.serve(Service::Submission, true, |_| ());
    let trusted = world.trusted.clone();
    let mut socket = Socket::connect(server, Some((trusted, "mail.red.example"))).unwrap();
    let heard = |socket: &mut Socket, wanted: &str| {
        let said = hear(socket);
        assert!(said.starts_with(wanted), "{said}");
    };
    heard(&mut socket, "220");
    socket.send(b"STARTTLS\r\n").unwrap();
    heard(&mut socket, "220");
    socket.start_tls().unwrap();
    for (line, wanted) in [
        ("EHLO client.example", "250"),
        ("AUTH PLAIN AGFsaWNlQHJlZC5leGFtcGxlAHNlY3JldA==", "235"),
        ("MAIL FROM:<alice@red.example>", "250"),
        ("RCPT TO:<bob@red.example>", "250"),
        ("DATA", "354"),
        ("Subject: s\r\nBcc: x@red.example,\r\n\ty@red.example\r\nTo: bob@red.example\r\n\r\nBcc: body\r\n.", "250"),
    ] {
        socket.send(format!("{line}\r\n").as_bytes()).unwrap();
        heard(&mut socket, wanted);
    }
    let bob = world.inbox("bob@red.example").remove(0);
    assert!(bob.ends_with("+0000\r\nSubject: s\r\nTo: bob@red.example\r\n\r\nBcc: body\r\n"), "{bob}");
    assert!(bob.contains("\r\nDate: ") && bob.contains("\r\nMessage-ID: <"), "{bob}");
    assert!(bob.contains("\r\nReceived: by mail.red.example with ESMTPSA id ") && !bob.contains("127.0.0.1"), "{bob}");
}

/// `HEADER_LEN`, and more of it without an end: what stood below would pass for what we found ourselves.
#[test]
fn a_header_without_an_end_is_not_taken() {
    let mut world = World::new();
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    let line = "X-Filler: 0123456789abcdef0123456789abcdef0123456789\r\n";
    let filler = |octets: usize| line.repeat(octets / line.len());
    let forged = "Authentication-Results: mail.red.example; spf=pass smtp.mailfrom=red.example\r\n";
    // The last line's end and the empty line before the dot.
    let whole = |octets: usize| format!("{forged}X: {}\r\n", "x".repeat(octets - forged.len() - 3 - 2 - 2));
    for (header, taken) in [(whole(limits::HEADER_LEN), true), (whole(limits::HEADER_LEN + 1), false)] {
        let reply = client.send("carol@elsewhere.example", &["alice@red.example"], &header);
        assert_eq!(reply.starts_with("250 "), taken, "{reply}");
    }
    let long = format!("{}{forged}{line}", filler(limits::HEADER_LEN));
    let reply = client.send("carol@elsewhere.example", &["bob@red.example"], &long);
    assert_eq!(reply, "552 5.3.4 The header is too long, or has no end");
    let whole = format!("{}{forged}\r\nHello", filler(limits::HEADER_LEN / 2));
    let reply = client.send("carol@elsewhere.example", &["bob@red.example"], &whole);
    assert!(reply.starts_with("250 "), "{reply}");
    let inbox = world.inbox("bob@red.example");
    assert!(inbox.len() == 1 && !inbox[0].contains("Authentication-Results"));
}

/// Mail to oneself arrives, and so do two different mails with one Message-ID: nothing here takes an id for a message.
#[test]
fn nothing_is_taken_for_a_duplicate() {
    let mut world = World::new();
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    let mail = |body: &str| format!("From: alice@red.example\r\nMessage-ID: <same@red.example>\r\n\r\n{body}");
    for body in ["first", "second", "second"] {
        let reply = client.send("alice@red.example", &["alice@red.example"], &mail(body));
        assert!(reply.starts_with("250 "), "{reply}");
    }
    let inbox = world.inbox("alice@red.example");
    let bodies: Vec<&str> = inbox.iter().map(|message| message.trim_end().rsplit("\r\n").next().unwrap()).collect();
    assert_eq!(bodies, ["first", "second", "second"]);
}

/// `ALIAS_DEPTH` aliases one behind the other lead to somebody, one more to nobody; `ALIAS_TARGETS` people behind one
/// address are reached through aliases of aliases, one more are not.
#[test]
fn aliases_within_aliases() {
    let mut world = World::new();
    let depth = limits::ALIAS_DEPTH;
    let mut aliases: Vec<(String, Vec<String>)> = (0..=depth)
        .map(|n| {
            let next = if n == depth { "alice@red.example".into() } else { format!("chain{}@red.example", n + 1) };
            (format!("chain{n}@red.example"), vec![next])
        })
        .collect();
    let people = |from: usize, to: usize| (from..to).map(|n| format!("u{n}@elsewhere.example")).collect::<Vec<_>>();
    // The alias itself and the two below it count, too.
    let most = limits::ALIAS_TARGETS - 3;
    aliases.push(("half1@red.example".into(), people(0, 400)));
    aliases.push(("half2@red.example".into(), people(400, most)));
    aliases.push(("half3@red.example".into(), people(400, most + 1)));
    let two = |other: &str| vec!["half1@red.example".to_owned(), other.to_owned()];
    aliases.push(("many@red.example".into(), two("half2@red.example")));
    aliases.push(("toomany@red.example".into(), two("half3@red.example")));
    for (alias, targets) in aliases {
        let alias = Alias { address: address(&alias), targets: targets.iter().map(|one| address(one)).collect() };
        world.runtime.block_on(world.store.set_alias(alias)).unwrap().into_inner();
    }
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    client.say("MAIL FROM:<carol@elsewhere.example>");
    for (to, reply) in [
        ("chain1@red.example", "250 2.1.5"),
        ("chain0@red.example", "550 5.4.6"),
        ("many@red.example", "250 2.1.5"),
        ("toomany@red.example", "550 5.4.6"),
    ] {
        let said = client.say(&format!("RCPT TO:<{to}>"));
        assert!(said.starts_with(reply), "{to}: {said}");
    }
}

/// Records whether it was asked for a certificate.
#[derive(Debug, Default)]
struct Asked(std::sync::atomic::AtomicBool);

impl rustls::client::ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// On port 25 nobody is asked for a certificate: some servers give up the connection when they are (and none has anything
/// to show that we would believe).
#[test]
fn no_client_certificate_is_asked_for() {
    let mut world = World::new();
    let server = world.serve(Service::Smtp, true, |_| ());
    for versions in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let asked = Arc::new(Asked::default());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        let ca = world.folder.path().join("ca.pem");
        for certificate in
            <rustls::pki_types::CertificateDer<'_> as rustls::pki_types::pem::PemObject>::pem_file_iter(&ca).unwrap()
        {
            roots.add(certificate.unwrap()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[versions])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(asked.clone());
        let mut socket = Socket::connect(server, Some((Arc::new(config), "mail.red.example"))).unwrap();
        hear(&mut socket);
        socket.send(b"STARTTLS\r\n").unwrap();
        hear(&mut socket);
        socket.start_tls().unwrap();
        socket.send(b"EHLO client.example\r\n").unwrap();
        assert!(hear(&mut socket).ends_with("250 HELP\r\n"));
        assert!(!asked.0.load(std::sync::atomic::Ordering::Relaxed), "{:?}", versions.version);
    }
}
