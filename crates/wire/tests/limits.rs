//! The bounds of the conversations: at each limit it works, one above it is refused in the protocol's own way, and what a
//! flood leaves in memory is counted.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use mail::{Address, BodyType, Domain, Durable, QueueId, Recipient, ReversePath, Timestamp, limits};
use testkit::allocation::{Counting, allocated};
use wire::pop3;
use wire::sasl::client::{Credentials, Exchange};
use wire::sasl::{ChannelBinding, Mechanism, Password, encode};
use wire::smtp::client::{self, Client, TlsUse, Transaction};
use wire::smtp::server::{Answer, Config, Question, Role, Server, Step, Transport};

#[global_allocator]
static COUNTING: Counting = Counting;

const NOW: Timestamp = Timestamp::from_secs(1000);

fn domain(name: &str) -> Domain {
    Domain::from_ascii(name).unwrap()
}

/// A server that takes mail from and for everybody.
struct Smtp {
    engine: Server,
    /// Octets of bodies, in all.
    body: u64,
}

impl Smtp {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(domain("mail.red.example"), Role::Mx);
        change(&mut config);
        let engine = Server::new(Arc::new(config), Transport::Plain { starttls: false }, NOW);
        let mut smtp = Self { engine, body: 0 };
        assert!(smtp.say(b"EHLO c\r\n").ends_with("250 HELP\r\n"));
        smtp
    }

    /// Feeds octets; what is said.
    fn say(&mut self, mut octets: &[u8]) -> String {
        loop {
            match self.engine.step() {
                Step::Ask(Question::Commit(_)) => {
                    self.engine.answer(Answer::Committed(Ok(Durable::attest(QueueId::from_u64(1)))), NOW);
                }
                Step::Ask(_) => self.engine.answer(Answer::Permission(Ok(())), NOW),
                Step::Wait if octets.is_empty() => break,
                Step::Wait => {
                    let taken = self.engine.input(octets, NOW);
                    self.body += taken.body.len() as u64;
                    octets = &octets[taken.used..];
                }
                Step::Forget => {}
                Step::StartTls | Step::Close => break,
            }
        }
        String::from_utf8(self.engine.output()).unwrap()
    }

    fn in_transaction(mut self) -> Self {
        let said = self.say(b"MAIL FROM:<a@blue.example>\r\nRCPT TO:<b@red.example>\r\n");
        assert_eq!(said.matches("250 ").count(), 2, "{said}");
        self
    }
}

/// `SMTP_COMMAND_LEN`, its CR LF included (RFC 5321 §4.5.3.1.4, .9).
#[test]
fn smtp_command_lines() {
    let noop = |length: usize| [b"NOOP ", vec![b'x'; length - 7].as_slice(), b"\r\n"].concat();
    let mut smtp = Smtp::new(|_| ());
    assert_eq!(smtp.say(&noop(limits::SMTP_COMMAND_LEN)), "250 2.0.0 Ok\r\n");
    assert_eq!(smtp.say(&noop(limits::SMTP_COMMAND_LEN + 1)), "500 5.5.2 Line too long\r\n");
    assert_eq!(smtp.say(b"NOOP\r\n"), "250 2.0.0 Ok\r\n");
}

/// `SMTP_TEXT_LINE_LEN`, its CR LF included: what is longer is refused after the message's end, in DATA and in BDAT; as
/// BINARYMIME there are no lines.
#[test]
fn lines_of_a_message() {
    let line = |length: usize| [vec![b'x'; length - 2].as_slice(), b"\r\n"].concat();
    for (length, reply) in [(limits::SMTP_TEXT_LINE_LEN, "250 2.0.0 "), (limits::SMTP_TEXT_LINE_LEN + 1, "5")] {
        let mut smtp = Smtp::new(|_| ()).in_transaction();
        assert!(smtp.say(b"DATA\r\n").starts_with("354 "));
        assert_eq!(smtp.say(&line(length)), "");
        let said = smtp.say(b".\r\n");
        assert!(said.starts_with(reply), "{said}");
        let mut smtp = Smtp::new(|_| ()).in_transaction();
        let said = smtp.say(&[format!("BDAT {length} LAST\r\n").as_bytes(), &line(length)].concat());
        assert!(said.starts_with(reply), "{said}");
        let mut smtp = Smtp::new(|_| ());
        smtp.say(b"MAIL FROM:<a@blue.example> BODY=BINARYMIME\r\nRCPT TO:<b@red.example>\r\n");
        let said = smtp.say(&[format!("BDAT {length} LAST\r\n").as_bytes(), &line(length)].concat());
        assert!(said.starts_with("250 "), "{said}");
    }
}

/// Numbers of a session and of a message, at the defaults: `SMTP_RECIPIENTS`, `SMTP_ERRORS`, `SMTP_COMMANDS`,
/// `SMTP_MESSAGES`, `MESSAGE_SIZE`.
#[test]
fn numbers_of_a_session() {
    let mut smtp = Smtp::new(|_| ());
    smtp.say(b"MAIL FROM:<a@blue.example>\r\n");
    for _ in 0..limits::SMTP_RECIPIENTS {
        assert!(smtp.say(b"RCPT TO:<b@red.example>\r\n").starts_with("250 "));
    }
    assert!(smtp.say(b"RCPT TO:<b@red.example>\r\n").starts_with("452 4.5.3 "));

    let mut smtp = Smtp::new(|_| ());
    for _ in 1..limits::SMTP_ERRORS {
        assert_eq!(smtp.say(b"XYZZY\r\n"), "500 5.5.2 Command not recognised\r\n");
    }
    assert!(smtp.say(b"XYZZY\r\n").ends_with("421 4.7.0 mail.red.example Too many errors\r\n"));

    // EHLO was the first.
    let mut smtp = Smtp::new(|_| ());
    for _ in 2..limits::SMTP_COMMANDS {
        assert_eq!(smtp.say(b"NOOP\r\n"), "250 2.0.0 Ok\r\n");
    }
    assert!(smtp.say(b"NOOP\r\n").ends_with("421 4.7.0 mail.red.example Too many commands in one session\r\n"));

    let mut smtp = Smtp::new(|_| ());
    for _ in 0..limits::SMTP_MESSAGES {
        let said = smtp.say(b"MAIL FROM:<>\r\nRCPT TO:<b@red.example>\r\nBDAT 0 LAST\r\n");
        assert_eq!(said.matches("250 ").count(), 3, "{said}");
    }
    assert!(smtp.say(b"MAIL FROM:<>\r\n").starts_with("421 "));

    for (size, reply) in [(limits::MESSAGE_SIZE, "250 "), (limits::MESSAGE_SIZE + 1, "552 5.3.4 ")] {
        let mut smtp = Smtp::new(|_| ());
        let said = smtp.say(format!("MAIL FROM:<> SIZE={size}\r\n").as_bytes());
        assert!(said.starts_with(reply), "{said}");
        let mut smtp = Smtp::new(|_| ()).in_transaction();
        let line = [[b'x'; 1022].as_slice(), b"\r\n"].concat();
        smtp.say(format!("BDAT {size} LAST\r\n").as_bytes());
        let mut said = String::new();
        for _ in 0..size / line.len() {
            said += &smtp.say(&line);
        }
        said += &smtp.say(&vec![b'x'; size % line.len()]);
        assert!(said.starts_with(reply), "{said}");
    }
}

/// RFC 3030 §2: a chunk of one octet is a chunk. A hundred thousand of them cost no more memory at once than a few, in
/// the engine; a message in such pieces is as long as it is.
#[test]
fn a_flood_of_tiny_chunks_leaves_nothing() {
    let chunks = limits::SMTP_COMMANDS - 10;
    let mut smtp = Smtp::new(|_| ()).in_transaction();
    let few = allocated(|| (0..100).for_each(|_| drop(smtp.say(b"BDAT 1\r\nx")))).1.most;
    let many = allocated(|| {
        for _ in 0..chunks - 100 {
            assert_eq!(smtp.say(b"BDAT 1\r\nx"), "250 2.0.0 1 octets received\r\n");
        }
    })
    .1
    .most;
    assert_eq!(smtp.body, chunks as u64);
    assert!(many <= few + 64, "{many} octets at once, {few} for a hundred");
    // All in one packet: what is said waits, and is bounded by what was asked.
    let mut smtp = Smtp::new(|_| ()).in_transaction();
    let flood = b"BDAT 0\r\n".repeat(1000);
    let said = smtp.say(&flood);
    assert_eq!(said.matches("250 2.0.0 ").count(), 1000);
}

/// A command line that does not end: what is kept of it has its limit, however much comes.
#[test]
fn a_line_without_an_end_leaves_nothing() {
    let piece = [b'x'; 1000];
    let mut smtp = Smtp::new(|_| ());
    let most = allocated(|| (0..1000).for_each(|_| drop(smtp.say(&piece)))).1.most;
    assert!(most <= 4 * limits::SMTP_COMMAND_LEN as isize, "{most} octets at once");
    assert_eq!(smtp.say(b"\r\n"), "500 5.5.2 Line too long\r\n");
    let settings =
        pop3::Settings { hostname: "mail.red.example".into(), starttls: false, plaintext: true, scram: false };
    let mut engine = pop3::Engine::new(settings, None);
    assert!(matches!(engine.step(), pop3::Step::Send(_)) && matches!(engine.step(), pop3::Step::Read));
    let most = allocated(|| {
        for _ in 0..1000 {
            assert_eq!(engine.input(&piece), piece.len());
            assert!(matches!(engine.step(), pop3::Step::Read));
        }
    });
    assert!(most.1.most <= 4 * limits::POP3_COMMAND_LEN as isize, "{} octets at once", most.1.most);
}

/// `LOCAL_PART_LEN` and `DOMAIN_LEN`, in a path as a client writes it (RFC 5321 §4.5.3.1).
#[test]
fn paths() {
    // 253 octets in labels of at most 63 (RFC 1035 §2.3.4).
    let long = format!("{0}.{0}.{0}.{1}", "d".repeat(63), "d".repeat(61));
    assert_eq!(long.len(), limits::DOMAIN_LEN);
    for (local, host, reply) in [
        (limits::LOCAL_PART_LEN, "blue.example".to_owned(), "250 "),
        (limits::LOCAL_PART_LEN + 1, "blue.example".to_owned(), "5"),
        (1, long.clone(), "250 "),
        (1, format!("{long}d"), "5"),
    ] {
        let mut smtp = Smtp::new(|_| ());
        let said = smtp.say(format!("MAIL FROM:<{}@{host}>\r\n", "l".repeat(local)).as_bytes());
        assert!(said.starts_with(reply), "{local} {}: {said}", host.len());
    }
}

/// `POP3_COMMAND_LEN`, its CR LF included, and `POP3_ERRORS`.
#[test]
fn pop3_lines_and_errors() {
    fn said(engine: &mut pop3::Engine, mut octets: &[u8]) -> (String, bool) {
        let mut said = Vec::new();
        loop {
            match engine.step() {
                pop3::Step::Send(bytes) => said.extend(bytes),
                pop3::Step::Read if octets.is_empty() => return (String::from_utf8(said).unwrap(), false),
                pop3::Step::Read => octets = &octets[engine.input(octets)..],
                pop3::Step::Close => return (String::from_utf8(said).unwrap(), true),
                _ => panic!("nothing else was asked for"),
            }
        }
    }
    let settings =
        pop3::Settings { hostname: "mail.red.example".into(), starttls: false, plaintext: true, scram: false };
    let new = || {
        let mut engine = pop3::Engine::new(settings.clone(), None);
        assert!(said(&mut engine, b"").0.starts_with("+OK"));
        engine
    };
    let mut engine = new();
    let user = |length: usize| [b"USER ", vec![b'u'; length - 7].as_slice(), b"\r\n"].concat();
    assert!(said(&mut engine, &user(limits::POP3_COMMAND_LEN)).0.starts_with("+OK"));
    assert!(said(&mut engine, &user(limits::POP3_COMMAND_LEN + 1)).0.starts_with("-ERR"));
    let mut engine = new();
    for _ in 1..limits::POP3_ERRORS {
        assert_eq!(said(&mut engine, b"XYZZY\r\n"), ("-ERR Unknown command\r\n".to_owned(), false));
    }
    let (last, closed) = said(&mut engine, b"XYZZY\r\n");
    assert!(last.ends_with("Too many errors, bye\r\n") && closed, "{last}");
}

/// RFC 5802 §9: `SCRAM_ITERATIONS_ASKED` are done for a server, one more is refused before it costs anything.
#[test]
fn scram_iterations() {
    let begin = || {
        let credentials = Credentials { user: "u".into(), password: Password::new("p") };
        Exchange::start(Mechanism::ScramSha256, credentials, &ChannelBinding::default(), false, &[1; 18]).1
    };
    let first = |iterations: u32| format!("r={}x,s=c2FsdA==,i={iterations}", encode(&[1; 18]));
    assert!(begin().respond(first(limits::SCRAM_ITERATIONS_ASKED).as_bytes()).is_ok());
    assert!(begin().respond(first(limits::SCRAM_ITERATIONS_ASKED + 1).as_bytes()).is_err());
    assert!(begin().respond(first(0).as_bytes()).is_err());
}

/// `SMTP_ONE_FLIGHT`: a message up to it goes with its envelope, as BDAT; a longer one waits for a yes.
#[test]
fn one_flight() {
    for (size, together) in [(limits::SMTP_ONE_FLIGHT, true), (limits::SMTP_ONE_FLIGHT + 1, false)] {
        let mut client = Client::new(client::Config {
            helo: "red.example".into(),
            tls: TlsUse::Never,
            login: None,
            binding: ChannelBinding::default(),
            clear_auth: false,
            lmtp: false,
        });
        client.input(b"220 hi\r\n250-b\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
        while client.step() == client::Step::Send {
            client.sent();
        }
        let recipient = Recipient::new(Address::new("b", domain("blue.example")).unwrap());
        client.begin(Transaction {
            sender: ReversePath::Null,
            recipients: vec![recipient],
            size: size as u64,
            body: BodyType::SevenBit,
            utf8: false,
            dsn_return: None,
            envelope_id: None,
        });
        let mut sent = Vec::new();
        loop {
            match client.step() {
                client::Step::Send => {
                    sent.extend_from_slice(client.output());
                    client.sent();
                }
                client::Step::Body if !sent.ends_with(b"x") => client.body(&vec![b'x'; size]),
                client::Step::Body => client.body_end(),
                client::Step::Receive(_) => break,
                other => panic!("{other:?}"),
            }
        }
        let text = String::from_utf8(sent).unwrap();
        assert!(text.starts_with("MAIL FROM:<>\r\nRCPT TO:<b@blue.example>\r\n"), "{text}");
        assert_eq!(text.contains(&format!("BDAT {size} LAST\r\n")), together);
        assert_eq!(text.ends_with('x'), together);
    }
}
