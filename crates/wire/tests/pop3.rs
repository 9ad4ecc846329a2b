//! The POP3 dialogues of `tests/transcripts/pop3`, against the engine and a maildrop in memory, under every split.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use mail::{Durable, Uid, UidValidity};
use testkit::transcript::{Enough, Received, Subject, Transcript, run_folder};
use wire::pop3::{Answer, Engine, Listing, LoginFailure, Question, Settings, Step};
use wire::sasl::client::{self, Credentials};
use wire::sasl::scram::Keys;
use wire::sasl::{ChannelBinding, Mechanism, Password, decode, encode};

/// What all connections of one run share.
struct World {
    messages: Vec<(Uid, Vec<u8>)>,
    locked: bool,
    /// `#: fault`: what fails.
    fault: String,
}

struct Connection {
    world: Rc<RefCell<World>>,
    engine: Engine,
    /// Sent by the client, not taken by the engine.
    unread: Vec<u8>,
    said: Vec<u8>,
    has_lock: bool,
    wants_tls: bool,
    closed: bool,
}

impl Connection {
    fn run(&mut self) {
        loop {
            match self.engine.step() {
                Step::Send(bytes) => self.said.extend(bytes),
                Step::Ask(question) => self.answer(question),
                Step::StartTls => {
                    self.wants_tls = true;
                    return;
                }
                Step::Close => {
                    self.unlock();
                    self.closed = true;
                    return;
                }
                Step::Read => {
                    let taken = self.engine.input(&self.unread);
                    self.unread.drain(..taken);
                    if taken == 0 {
                        return;
                    }
                }
            }
        }
    }

    fn answer(&mut self, question: Question) {
        let world = Rc::clone(&self.world);
        let mut world = world.borrow_mut();
        match question {
            Question::LogIn { .. } if world.fault == "too-many" => {
                self.engine.answer(Answer::Refused(LoginFailure::TooMany));
            }
            Question::LogIn { .. } if world.fault == "log-in" => {
                self.engine.answer(Answer::Refused(LoginFailure::Temporary));
            }
            Question::Read { .. } if world.fault == "read" => self.engine.answer(Answer::Unreadable),
            Question::Read { .. } if world.fault == "gone" => self.engine.answer(Answer::Gone),
            Question::Update(_) if world.fault == "update" => self.engine.answer(Answer::NotUpdated),
            Question::LogIn { user, password } if user != "alice@red.example" || password.reveal() != "secret" => {
                self.engine.answer(Answer::Refused(LoginFailure::Credentials));
            }
            Question::Keys { user } => {
                let password = if user == "alice@red.example" { "secret" } else { "nobody knows" };
                let keys = Keys::derive(password, b"salt", 4096);
                self.engine.answer(Answer::Keys { keys, nonce: b"not so random here" });
            }
            Question::Proof { right: false, .. } => self.engine.answer(Answer::Refused(LoginFailure::Credentials)),
            Question::LogIn { .. } | Question::Proof { .. } if world.locked => {
                self.engine.answer(Answer::Refused(LoginFailure::InUse))
            }
            Question::LogIn { .. } | Question::Proof { .. } => {
                (world.locked, self.has_lock) = (true, true);
                let messages = world.messages.iter().map(|(uid, message)| (*uid, message.len() as u32)).collect();
                self.engine.answer(Answer::Opened(Listing { uid_validity: UidValidity(7), messages }));
            }
            Question::Read { uid, range } => match world.messages.iter().find(|(there, _)| *there == uid) {
                // A few octets at a time, as if each message were large.
                Some((_, message)) => {
                    let end = message.len().min(range.start as usize + 10);
                    self.engine.answer(Answer::Piece(&message[range.start as usize..end]));
                }
                None => self.engine.answer(Answer::Gone),
            },
            Question::Update(uids) => {
                world.messages.retain(|(uid, _)| !uids.contains(uid));
                (world.locked, self.has_lock) = (false, false);
                let removed = (!uids.is_empty()).then(|| Durable::attest(uids));
                self.engine.answer(Answer::Updated(removed));
            }
        }
    }

    /// What stands after `+ `.
    fn challenge(&mut self) -> Vec<u8> {
        let said = std::mem::take(&mut self.said);
        decode(said.strip_prefix(b"+ ").unwrap().trim_ascii_end()).unwrap()
    }

    fn unlock(&mut self) {
        if std::mem::take(&mut self.has_lock) {
            self.world.borrow_mut().locked = false;
        }
    }
}

impl Subject for Connection {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.unread.extend_from_slice(bytes);
        if !self.wants_tls {
            self.run();
        }
        Ok(())
    }

    fn receive(&mut self, _: &mut dyn FnMut(&[u8]) -> Enough) -> io::Result<Received> {
        if !self.wants_tls && !self.closed {
            self.run();
        }
        Ok(Received { bytes: std::mem::take(&mut self.said), closed: self.closed })
    }

    fn start_tls(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.wants_tls) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.unread.clear();
        self.engine.tls_started(ChannelBinding::default());
        Ok(())
    }

    fn close(&mut self) {
        self.closed = true;
        self.unlock();
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/transcripts/pop3")
}

fn maildrop() -> Vec<(Uid, Vec<u8>)> {
    let message = |number: u32| {
        let path = folder().join(format!("messages/{number}.eml"));
        Some((Uid::new(number * 3)?, std::fs::read(path).ok()?))
    };
    (1..).map_while(message).collect()
}

fn connect(world: &Rc<RefCell<World>>, transcript: &Transcript) -> Connection {
    let settings = Settings {
        hostname: "mail.red.example".into(),
        starttls: transcript.directive("starttls").is_some(),
        plaintext: transcript.directive("remote").is_none(),
        scram: transcript.directive("scram").is_some(),
    };
    let engine = Engine::new(settings, transcript.directive("tls").map(|_| ChannelBinding::default()));
    Connection {
        world: Rc::clone(world),
        engine,
        unread: Vec::new(),
        said: Vec::new(),
        has_lock: false,
        wants_tls: false,
        closed: false,
    }
}

#[test]
fn transcripts() {
    run_folder(folder(), |transcript| {
        let fault = transcript.directive("fault").unwrap_or_default().to_owned();
        let world = Rc::new(RefCell::new(World { messages: maildrop(), locked: false, fault }));
        let transcript = transcript.clone();
        Box::new(move |_| -> io::Result<Box<dyn Subject>> { Ok(Box::new(connect(&world, &transcript))) })
    });
}

/// RFC 1939 says nothing of two protocols on one maildrop: what IMAP removed meanwhile can't be read, the other
/// numbers stay as they were.
#[test]
fn a_message_that_another_session_removed() {
    let transcript = Transcript { name: String::new(), directives: Vec::new(), steps: Vec::new() };
    let world = Rc::new(RefCell::new(World { messages: maildrop(), locked: false, fault: String::new() }));
    let mut connection = connect(&world, &transcript);
    connection.send(b"USER alice@red.example\r\nPASS secret\r\nNOOP\r\n").unwrap();
    connection.said.clear();
    world.borrow_mut().messages.remove(1);
    connection.send(b"RETR 2\r\nLIST 2\r\nRETR 3\r\nDELE 2\r\nQUIT\r\n").unwrap();
    let said = String::from_utf8(connection.said.clone()).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[..3],
        ["-ERR That message was removed by another session", "+OK 2 81", "+OK 148 octets"],
        "{said}"
    );
    assert!(
        said.ends_with("grün\r\n.\r\n+OK Message 2 will be removed at QUIT\r\n+OK 1 messages removed, bye\r\n"),
        "{said}"
    );
}

/// RFC 5802, RFC 7677: our client's side logs in at our server's side, with and without channel binding; not with a
/// wrong password, nor when somebody sits in between (the two sides then see different TLS).
#[test]
fn scram_from_end_to_end() {
    let bound = |octet| ChannelBinding { tls_exporter: Some(vec![octet; 32]), tls_server_end_point: None };
    let plain = (Mechanism::ScramSha256, None, ChannelBinding::default());
    let plus = (Mechanism::ScramSha256Plus, Some(bound(1)), bound(1));
    let between = (Mechanism::ScramSha256Plus, Some(bound(1)), bound(2));
    for (right, password, (mechanism, server, client)) in [
        (true, "secret", plain.clone()),
        (false, "Secret", plain),
        (true, "secret", plus.clone()),
        (false, "Secret", plus),
        (false, "secret", between),
    ] {
        let transcript = testkit::transcript::parse("scram", "#: scram\n").unwrap();
        let world = Rc::new(RefCell::new(World { messages: maildrop(), locked: false, fault: String::new() }));
        let mut connection = connect(&world, &transcript);
        if let Some(binding) = server {
            connection.engine.tls_started(binding);
        }
        connection.run();
        connection.said.clear();
        assert_eq!(log_in(&mut connection, mechanism, password, &client), right, "{mechanism} {password}");
    }
}

/// Whether it succeeds, and the server proves that it knows the keys.
fn log_in(connection: &mut Connection, mechanism: Mechanism, password: &str, binding: &ChannelBinding) -> bool {
    let credentials = Credentials { user: "alice@red.example".into(), password: Password::new(password) };
    let plus = mechanism == Mechanism::ScramSha256Plus;
    let nonce = b"a client's nonce, long enough";
    let (initial, exchange) = client::Exchange::start(mechanism, credentials, binding, plus, nonce);
    connection.send(format!("AUTH {mechanism} {}\r\n", encode(&initial.unwrap())).as_bytes()).unwrap();
    let (response, exchange) = exchange.respond(&connection.challenge()).unwrap();
    connection.send(format!("{}\r\n", encode(&response)).as_bytes()).unwrap();
    if !connection.said.starts_with(b"+ ") {
        assert!(connection.said.starts_with(b"-ERR "), "{}", String::from_utf8_lossy(&connection.said));
        return false;
    }
    let (response, exchange) = exchange.respond(&connection.challenge()).unwrap();
    connection.send(format!("{}\r\n", encode(&response)).as_bytes()).unwrap();
    assert_eq!(connection.said, b"+OK 3 messages (304 octets)\r\n");
    exchange.succeeded().is_ok()
}
