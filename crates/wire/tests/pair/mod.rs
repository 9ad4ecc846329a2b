//! Our client engine and our server engine over a network in memory, in virtual time.
//!
//! Whoever can go on is picked by the seed, and so is how many bytes arrive at once. When nobody can go on, time passes
//! to the next deadline. A fault is a place in one of the two streams.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

pub mod letters;

use std::collections::VecDeque;
use std::sync::Arc;

use letters::Letter;
use mail::{Domain, Durable, Envelope, QueueId, Reply, Timestamp, limits};
use testkit::random::Random;
use wire::sasl::client::{Credentials, Login};
use wire::sasl::scram::Keys;
use wire::sasl::{ChannelBinding, Password};
use wire::smtp::client::{Capabilities, Cause, Client, Config, Failure, Report, Step, TlsUse};
use wire::smtp::server::{self, Answer, Question, Role, ScramAnswer, Server, Transport};

/// How bytes are cut on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Whole,
    Bytes,
    Random,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The connection is reset when so many bytes have passed.
    Reset(Way, usize),
    /// Behind so many bytes nothing passes any more, not even the end of the connection.
    Silence(Way, usize),
    /// The handshake fails.
    Handshake,
}

/// A connection to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Keywords that the server does not offer.
    pub without: Vec<&'static str>,
    pub role: Role,
    pub tls: TlsUse,
    pub cut: Cut,
    pub fault: Fault,
    /// RCPTs that the server takes.
    pub most: usize,
    /// Somebody on the way adds commands behind STARTTLS.
    pub inject: bool,
}

impl Plan {
    pub fn new(role: Role) -> Self {
        let (without, cut, fault) = (Vec::new(), Cut::Whole, Fault::None);
        Self { without, role, tls: TlsUse::IfOffered, cut, fault, most: 100, inject: false }
    }
}

/// A message that the server has taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub letter: usize,
    pub envelope: Envelope,
    pub bytes: Vec<u8>,
    /// SIZE=, as announced.
    pub size: Option<u64>,
}

/// What became of a connection.
#[derive(Debug, Default)]
pub struct End {
    /// One for each message that was begun, in order.
    pub reports: Vec<Report>,
    pub over: Option<Failure>,
    pub taken: Vec<Taken>,
    pub offers: Capabilities,
    /// Bytes that were sent to the server and to the client.
    pub passed: [usize; 2],
    /// What the server said at last.
    pub last_words: String,
    pub secure: bool,
}

/// A direction.
#[derive(Default)]
struct Stream {
    bytes: VecDeque<u8>,
    passed: usize,
    /// The sender has closed.
    ended: bool,
    /// The receiver knows.
    end_told: bool,
}

pub struct Pair<'a> {
    plan: &'a Plan,
    letters: &'a [Letter],
    /// For each message to send: which, and to whom.
    work: VecDeque<(usize, Vec<usize>)>,
    attempt: usize,
    random: Random,
    now: Timestamp,
    client: Client,
    server: Server,
    streams: [Stream; 2],
    inbox: Vec<u8>,
    handshake: bool,
    server_closed: bool,
    client_since: Timestamp,
    /// The message whose bytes the client is giving, and how far.
    sending: Option<(usize, usize)>,
    current: Option<(usize, Option<u64>)>,
    body: Vec<u8>,
    end: End,
    client_over: bool,
}

const START: Timestamp = Timestamp::from_secs(1_000_000);

/// Sends these messages over one connection.
pub fn converse(plan: &Plan, letters: &[Letter], work: &[(usize, Vec<usize>)], attempt: usize, seed: u64) -> End {
    let mut config = server::Config::new(Domain::from_ascii("mail.blue.example").unwrap(), plan.role);
    (config.scram, config.recipients) = (true, plan.most);
    let transport = Transport::Plain { starttls: true };
    let login = (plan.role == Role::Submission).then(|| Login {
        credentials: Credentials { user: "alice".into(), password: Password::new("secret") },
        nonce: b"fresh".to_vec(),
    });
    let binding = ChannelBinding::default();
    let client =
        Config { helo: "mail.red.example".into(), tls: plan.tls, login, binding, clear_auth: false, lmtp: false };
    let pair = Pair {
        plan,
        letters,
        work: work.iter().cloned().collect(),
        attempt,
        random: Random::new(seed),
        now: START,
        client: Client::new(client),
        server: Server::new(Arc::new(config), transport, START),
        streams: Default::default(),
        inbox: Vec::new(),
        handshake: false,
        server_closed: false,
        client_since: START,
        sending: None,
        current: None,
        body: Vec::new(),
        end: End::default(),
        client_over: false,
    };
    pair.run()
}

impl Pair<'_> {
    fn run(mut self) -> End {
        for _ in 0..3_000_000 {
            if self.client_over && self.server_closed {
                self.end.passed = [self.streams[0].passed, self.streams[1].passed];
                return self.end;
            }
            let first = self.random.below(4);
            let moved = (0..4).any(|n| match (first + n) % 4 {
                0 => self.client_turn(),
                1 => self.server_turn(),
                2 => self.deliver(Way::ToServer),
                _ => self.deliver(Way::ToClient),
            });
            if !moved {
                self.time_passes();
            }
        }
        panic!("it goes on for ever: {:?}", self.plan);
    }

    /// The client goes on until it waits. True: something happened.
    fn client_turn(&mut self) -> bool {
        let mut moved = false;
        while !self.client_over {
            match self.client.step() {
                Step::Send => {
                    let output = self.client.output().to_vec();
                    self.client.sent();
                    self.streams[0].bytes.extend(&output);
                    if self.plan.inject && output.ends_with(b"STARTTLS\r\n") {
                        self.streams[0].bytes.extend(b"EHLO evil\r\nMAIL FROM:<evil@blue.example>\r\n");
                    }
                }
                Step::Receive(_) => return moved,
                Step::StartTls if self.plan.fault == Fault::Handshake => {
                    self.client.broken(Cause::Broken("TLS: bad certificate".into()));
                }
                Step::StartTls if self.handshake => {
                    self.handshake = false;
                    // What was said in the clear behind it belongs to no one.
                    self.inbox.clear();
                    self.streams.iter_mut().for_each(|stream| stream.bytes.clear());
                    self.end.secure = true;
                    self.client.secured(ChannelBinding::default());
                    let binding = ChannelBinding { tls_exporter: Some(vec![1; 32]), tls_server_end_point: None };
                    self.server.tls_began(binding, self.now);
                }
                Step::StartTls => return moved,
                Step::Body => self.give(),
                Step::Ready => {
                    self.end.offers = self.client.offers().clone();
                    match self.work.pop_front() {
                        Some((letter, recipients)) => {
                            self.sending = Some((letter, 0));
                            self.client.begin(self.letters[letter].transaction(&recipients));
                        }
                        None => self.client.quit(),
                    }
                }
                Step::Done(report) => self.end.reports.push(report),
                Step::Over(failure) => {
                    self.end.over = failure;
                    self.client_over = true;
                    self.streams[0].ended = true;
                }
            }
            (moved, self.client_since) = (true, self.now);
        }
        moved
    }

    /// The next piece of the message.
    fn give(&mut self) {
        let Some((letter, at)) = self.sending else { panic!("no message is under way") };
        let rest = &self.letters[letter].body[at..];
        if rest.is_empty() {
            self.client.body_end();
            return;
        }
        let piece = 1 + self.random.below(rest.len());
        self.sending = Some((letter, at + piece));
        self.client.body(&rest[..piece]);
    }

    fn server_turn(&mut self) -> bool {
        let mut moved = false;
        while !self.server_closed && !self.handshake {
            match self.server.step() {
                server::Step::Ask(question) => {
                    let answer = self.answer(question);
                    self.server.answer(answer, self.now);
                }
                server::Step::Forget => self.body.clear(),
                server::Step::StartTls => {
                    self.flush();
                    self.handshake = true;
                }
                server::Step::Close => {
                    self.flush();
                    self.server_closed = true;
                    self.streams[1].ended = true;
                }
                server::Step::Wait if self.inbox.is_empty() => {
                    moved |= self.flush();
                    return moved;
                }
                server::Step::Wait => {
                    let taken = self.server.input(&self.inbox, self.now);
                    assert!(taken.used > 0 || !taken.body.is_empty(), "the server takes nothing");
                    self.body.extend_from_slice(taken.body);
                    let used = taken.used;
                    self.inbox.drain(..used);
                }
            }
            moved = true;
        }
        moved
    }

    /// Sends what the server has said, without the keywords that it does not offer. True: there was something.
    fn flush(&mut self) -> bool {
        let output = String::from_utf8(self.server.output()).unwrap();
        let hidden = |line: &&str| {
            let keyword = line.get(4..).unwrap_or("").trim_end().split(' ').next().unwrap_or("");
            line.starts_with("250-") && self.plan.without.contains(&keyword)
        };
        for line in output.split_inclusive("\r\n").filter(|line| !hidden(line)) {
            self.streams[1].bytes.extend(line.as_bytes());
            self.end.last_words = line.trim_end().to_owned();
        }
        !output.is_empty()
    }

    fn answer(&mut self, question: Question) -> Answer {
        match question {
            Question::Sender(sender, _) => {
                let found = self.letters.iter().position(|letter| letter.sender == sender.reverse_path);
                let letter = found.expect("only our messages are sent");
                self.current = Some((letter, sender.size));
                Answer::Permission(self.letters[letter].mail.verdict(self.attempt))
            }
            Question::Recipient(recipient) => {
                let (letter, _) = self.current.unwrap();
                let all = &self.letters[letter].recipients;
                let (_, manner) = all.iter().find(|(known, _)| known.address == recipient.address).unwrap();
                Answer::Permission(manner.verdict(self.attempt))
            }
            Question::Body { .. } => {
                self.body.clear();
                Answer::Permission(self.letters[self.current.unwrap().0].data.verdict(self.attempt))
            }
            Question::Fetch { .. } => Answer::Fetched(Err(Reply::new(554, (5, 6, 6), "our client says no BURL"))),
            Question::Commit(envelope) => Answer::Committed(self.commit(*envelope)),
            Question::Password { user, password, .. } if password.reveal() == "secret" => Answer::LoggedIn(Ok(user)),
            Question::ScramEnd { proved: true, .. } => Answer::LoggedIn(Ok("alice".into())),
            Question::Password { .. } | Question::ScramEnd { .. } => {
                Answer::LoggedIn(Err(Reply::new(535, (5, 7, 8), "no")))
            }
            Question::ScramKeys { .. } => {
                let keys = Some(Keys::derive("secret", b"salt of its own", 2));
                Answer::Keys(Ok(ScramAnswer { keys, nonce: vec![7; 18], decoy: Vec::new() }))
            }
        }
    }

    fn commit(&mut self, envelope: Envelope) -> Result<Durable<QueueId>, Reply> {
        let (letter, size) = self.current.unwrap();
        self.letters[letter].end.verdict(self.attempt)?;
        self.end.taken.push(Taken { letter, envelope, bytes: std::mem::take(&mut self.body), size });
        Ok(Durable::attest(QueueId::from_u64(self.end.taken.len() as u64)))
    }

    /// Lets some bytes arrive, or the end. True: something did.
    fn deliver(&mut self, way: Way) -> bool {
        let stream = &mut self.streams[way as usize];
        let mut many = match self.plan.cut {
            Cut::Whole => stream.bytes.len(),
            Cut::Bytes => 1,
            Cut::Random => 1 + self.random.below(40),
        };
        many = many.min(stream.bytes.len());
        match self.plan.fault {
            Fault::Reset(at, after) if at == way && stream.passed + many >= after && !stream.end_told => {
                many = after - stream.passed;
                self.arrive(way, many);
                self.streams.iter_mut().for_each(|stream| {
                    stream.bytes.clear();
                    (stream.ended, stream.end_told) = (true, true);
                });
                self.ended(Way::ToServer);
                self.ended(Way::ToClient);
                return true;
            }
            Fault::Silence(at, after) if at == way => {
                many = many.min(after - stream.passed);
                if many == 0 {
                    return false;
                }
            }
            _ => {}
        }
        if many == 0 && stream.ended && !stream.end_told {
            stream.end_told = true;
            self.ended(way);
            return true;
        }
        many > 0 && self.arrive(way, many)
    }

    fn arrive(&mut self, way: Way, many: usize) -> bool {
        let stream = &mut self.streams[way as usize];
        stream.passed += many;
        let bytes: Vec<u8> = stream.bytes.drain(..many).collect();
        match way {
            Way::ToServer => self.inbox.extend(bytes),
            Way::ToClient => {
                self.client_since = self.now;
                self.client.input(&bytes);
            }
        }
        many > 0
    }

    /// The other side has closed.
    fn ended(&mut self, way: Way) {
        match way {
            Way::ToServer => {
                // What arrived before is still read.
                self.server_turn();
                self.handshake = false;
                self.server.eof();
            }
            Way::ToClient => self.client.eof(),
        }
    }

    /// Nobody can go on: the next deadline comes.
    fn time_passes(&mut self) {
        let client = match self.client.step() {
            _ if self.client_over => None,
            Step::Receive(wait) => Some(self.client_since.plus(wait)),
            Step::StartTls => Some(self.client_since.plus(limits::TLS_HANDSHAKE_TIMEOUT)),
            step => panic!("the client could go on: {step:?}"),
        };
        let handshake = || self.client_since.plus(limits::TLS_HANDSHAKE_TIMEOUT);
        let server = match self.handshake {
            _ if self.server_closed => None,
            true => Some(handshake()),
            false => self.server.deadline(),
        };
        let next = client.into_iter().chain(server).min().expect("nobody waits for anything");
        self.now = self.now.max(next);
        if client.is_some_and(|at| at <= self.now) {
            match self.client.step() {
                Step::StartTls => self.client.broken(Cause::TimedOut(limits::TLS_HANDSHAKE_TIMEOUT)),
                _ => self.client.timed_out(),
            }
        }
        if server.is_some_and(|at| at <= self.now) {
            if self.handshake {
                (self.handshake, self.server_closed) = (false, true);
            } else {
                self.server.tick(self.now);
            }
        }
    }
}
