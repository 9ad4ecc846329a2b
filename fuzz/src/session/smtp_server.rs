//! Sessions of our SMTP server.

use std::sync::Arc;

use mail::{Durable, QueueId, Reply, Timestamp, limits};
use mta::accept::{Client, Desk, Ending, Identity, Incoming, Policy, Transaction};
use mta::route::Routing;
use store::Store;
use store_local::LocalStore;
use wire::dot::LineEnds;
use wire::sasl::ChannelBinding;
use wire::smtp::server::{Answer, Config, Fetched, Question, Role, ScramAnswer, Server, Step, Transport, too_big};

use super::Shape;
use super::world::{self, Alice, Left, NOW, PASSWORD, Still, assert_lines};
use crate::alike;

fn server(shape: &mut Shape<'_>) -> (Server, Role) {
    let role = if shape.bit() { Role::Submission } else { Role::Mx };
    let mut config = Config::new(world::red(), role);
    config.scram = true;
    config.burl = role == Role::Submission;
    config.recipients = 5;
    config.message_size = 3000;
    let binding = ChannelBinding { tls_exporter: Some(vec![1; 32]), tls_server_end_point: None };
    let transport = if shape.bit() { Transport::Tls(binding) } else { Transport::Plain { starttls: true } };
    (Server::new(Arc::new(config), transport, NOW), role)
}

/// What BURL is answered where a URL leads to itself; one with an exclamation mark leads nowhere.
fn fetched(url: &[u8], room: u64, mut ends: LineEnds) -> Result<Fetched, Reply> {
    if url.contains(&b'!') {
        return Err(Reply::new(554, (5, 6, 6), "no"));
    }
    if url.len() as u64 > room {
        return Err(too_big());
    }
    ends.look(url);
    Ok(Fetched { size: url.len() as u64, eight_bit: !url.is_ascii(), ends })
}

/// What one session of the engine did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    said: Vec<u8>,
    body: Vec<u8>,
    messages: Vec<Vec<u8>>,
    logged_in: bool,
}

impl Seen {
    fn answer(&mut self, question: Question, role: Role) -> Answer {
        let no = || Reply::new(550, (5, 1, 1), "no");
        match question {
            Question::Sender(..) => Answer::Permission(Ok(())),
            Question::Body { .. } => {
                self.body.clear();
                Answer::Permission(Ok(()))
            }
            Question::Recipient(who) if who.address.local().contains('x') => Answer::Permission(Err(no())),
            Question::Recipient(_) => Answer::Permission(Ok(())),
            // A URL leads to itself.
            Question::Fetch { url, room, ends } => {
                assert!(self.logged_in, "a URL of nobody");
                Answer::Fetched(fetched(&url, room, ends).inspect(|_| self.body.extend_from_slice(&url)))
            }
            Question::Commit(envelope) => {
                assert!(!envelope.recipients.is_empty() && envelope.recipients.len() <= 5);
                assert!(role == Role::Mx || self.logged_in, "mail from nobody");
                self.messages.push(std::mem::take(&mut self.body));
                Answer::Committed(Ok(Durable::attest(QueueId::from_u64(1))))
            }
            Question::Password { user, password, .. } if password.reveal() == PASSWORD => {
                self.logged_in = true;
                Answer::LoggedIn(Ok(user))
            }
            Question::Password { .. } | Question::ScramEnd { .. } => Answer::LoggedIn(Err(no())),
            Question::ScramKeys { .. } => {
                Answer::Keys(Ok(ScramAnswer { keys: None, nonce: vec![1; 18], decoy: Vec::new() }))
            }
        }
    }
}

/// The engine with everything answered from memory: alike under every cut, every message taken is told and no other,
/// nothing is taken on the submission ports without a log-in, nothing over the limit is kept.
pub fn smtp_server(data: &[u8]) {
    let Some((first, sent)) = data.split_first() else { return };
    alike(sent, |pieces| {
        let (mut engine, role) = server(&mut Shape { bits: *first, sent });
        let mut seen = Seen::default();
        let mut pieces = pieces.iter();
        let mut unread: &[u8] = &[];
        loop {
            match engine.step() {
                Step::Ask(question) => {
                    let answer = seen.answer(question, role);
                    engine.answer(answer, NOW);
                }
                Step::Forget => seen.body.clear(),
                // What comes behind it in the same packet is dropped, so cuts would matter from here on.
                Step::StartTls | Step::Close => break,
                Step::Wait if unread.is_empty() => match pieces.next() {
                    Some(piece) => unread = piece,
                    None => break,
                },
                Step::Wait => {
                    let taken = engine.input(unread, NOW);
                    assert!(taken.used > 0 || !taken.body.is_empty(), "neither takes input nor says why");
                    seen.body.extend_from_slice(taken.body);
                    assert!(seen.body.len() <= 3000);
                    unread = &unread[taken.used..];
                }
            }
        }
        // Pieces of a body that is not whole lie wherever the network cut it.
        seen.body.clear();
        seen.said = engine.output();
        assert_lines(&seen.said);
        assert_eq!(memchr::memmem::find_iter(&seen.said, b"queued as").count(), seen.messages.len());
        seen
    });
}

enum Phase {
    None,
    Envelope(Box<Transaction>),
    Body(Box<Incoming>),
}

struct Session {
    engine: Server,
    client: Client,
    desk: Arc<Desk>,
    alice: Alice,
    phase: Phase,
    taken: u64,
}

/// The engine with acceptance behind it, on a real store: what is told is there, and nothing else.
pub fn smtp_session(data: &[u8]) {
    let Some(mut shape) = Shape::of(data) else { return };
    let (engine, role) = server(&mut shape);
    let first: &[u8] = match (shape.bit(), role) {
        (false, _) => b"",
        (true, Role::Lmtp) => b"LHLO c\r\nMAIL FROM:<bob@blue.example>\r\nRCPT TO:<alice@red.example>\r\nDATA\r\n",
        (true, Role::Mx) => b"EHLO c\r\nMAIL FROM:<bob@blue.example>\r\nRCPT TO:<alice@red.example>\r\nDATA\r\n",
        // alice@red.example, secret
        (true, Role::Submission) => {
            b"EHLO c\r\nAUTH PLAIN AGFsaWNlQHJlZC5leGFtcGxlAHNlY3JldA==\r\nMAIL FROM:<alice@red.example>\r\n"
        }
    };
    let pieces = shape.pieces(first);
    world::with_known(async |store, alice| {
        let desk = desk(store.clone());
        let client = Client { ip: [192, 0, 2, 1].into(), role, tls: None, identity: Identity::Stranger, trusted: None };
        let mut session = Session { engine, client, desk, alice, phase: Phase::None, taken: 0 };
        let said = session.run(pieces).await;
        assert_lines(&said);
        assert_eq!(memchr::memmem::find_iter(&said, b"queued as").count() as u64, session.taken);
        if session.taken == 0 {
            return Left::AsItWas;
        }
        // Nothing is relayed for strangers: all that they sent is in a mailbox.
        let relayed = store.queue_messages(None, limits::SMTP_MESSAGES).await.expect("a queue");
        assert!(role == Role::Submission || relayed.is_empty(), "an open relay");
        for message in relayed {
            let outcomes = message.recipients.iter().map(|who| (who.index, store::Outcome::Discarded)).collect();
            let settlement =
                store::Settlement { id: message.id, outcomes, tried: Vec::new(), events: Vec::new(), dsns: Vec::new() };
            let _ = store.settle(settlement).await.expect("a queued message");
        }
        Left::Changed
    });
}

fn desk(store: Arc<LocalStore>) -> Arc<Desk> {
    let routing = Routing {
        hostname: mail::Domain::from_ascii("mail.red.example").expect("a domain"),
        listening: Vec::new(),
        port: 25,
        routes: Vec::new(),
        catch_all: None,
    };
    Arc::new(Desk {
        store,
        clock: Arc::new(Still),
        random: Arc::new(Still),
        policy: Policy { hops: 100, show_client: true, routing: Arc::new(routing) },
        door: None,
        verify: None,
        misbehave: None,
        reporter: None,
        milters: None,
        inspectors: Arc::default(),
    })
}

impl Session {
    async fn run(&mut self, pieces: Vec<Vec<u8>>) -> Vec<u8> {
        let mut pieces = pieces.into_iter();
        let (mut unread, mut said) = (Vec::new(), Vec::new());
        loop {
            match self.engine.step() {
                Step::Ask(question) => {
                    let answer = self.answer(question).await;
                    self.engine.answer(answer, NOW);
                }
                Step::Forget => self.phase = Phase::None,
                Step::StartTls => {
                    unread.clear();
                    self.client.identity = Identity::Stranger;
                    self.engine.tls_began(ChannelBinding::default(), NOW);
                }
                Step::Close => break,
                Step::Wait if unread.is_empty() => match pieces.next() {
                    Some(piece) => unread = piece,
                    None => self.engine.eof(),
                },
                Step::Wait => self.input(&mut unread, NOW).await,
            }
            said.extend(self.engine.output());
        }
        said
    }

    async fn input(&mut self, unread: &mut Vec<u8>, now: Timestamp) {
        let taken = self.engine.input(unread, now);
        let (used, body) = (taken.used, taken.body.to_vec());
        assert!(used > 0 || !body.is_empty(), "neither takes input nor says why");
        if let (false, Phase::Body(incoming)) = (body.is_empty(), &mut self.phase)
            && let Err(reply) = incoming.write(&body).await
        {
            self.phase = Phase::None;
            self.engine.refuse_body(reply);
        }
        unread.drain(..used);
    }

    async fn answer(&mut self, question: Question) -> Answer {
        let odd = || Reply::new(451, (4, 3, 0), "out of step");
        match question {
            Question::Sender(sender, _) => {
                let begun = Transaction::begin(self.desk.clone(), self.client.clone(), sender).await;
                Answer::Permission(begun.map(|transaction| self.phase = Phase::Envelope(Box::new(transaction))))
            }
            Question::Recipient(recipient) => Answer::Permission(match &mut self.phase {
                Phase::Envelope(transaction) => transaction.recipient(recipient).await,
                _ => Err(odd()),
            }),
            Question::Body { hello, expected } => {
                let answer = match std::mem::replace(&mut self.phase, Phase::None) {
                    Phase::Envelope(transaction) => transaction.body(hello, expected).await,
                    _ => Err(odd()),
                };
                Answer::Permission(answer.map(|incoming| self.phase = Phase::Body(Box::new(incoming))))
            }
            Question::Fetch { url, room, ends } => {
                let Phase::Body(incoming) = &mut self.phase else { return Answer::Fetched(Err(odd())) };
                Answer::Fetched(match fetched(&url, room, ends) {
                    Ok(fetched) => incoming.write(&url).await.map(|()| fetched),
                    Err(reply) => Err(reply),
                })
            }
            Question::Commit(envelope) => {
                let Phase::Body(incoming) = std::mem::replace(&mut self.phase, Phase::None) else {
                    return Answer::Committed(Err(odd()));
                };
                Answer::Committed(match incoming.commit(*envelope).await {
                    Ending::Accepted(durable) | Ending::AcceptedSlowly(durable, _) => {
                        self.taken += 1;
                        Ok(durable)
                    }
                    Ending::Refused(reply) => Err(reply),
                    Ending::HangUp => panic!("only for recipients that misbehave"),
                })
            }
            Question::Password { user, password, .. } => {
                let right = user.eq_ignore_ascii_case("alice@red.example") && password.reveal() == PASSWORD;
                if right {
                    let address = mail::Address::new("alice", world::red()).expect("an address");
                    self.client.identity = Identity::Account(self.alice.account, address);
                }
                let refused = Reply::new(535, (5, 7, 8), "no");
                Answer::LoggedIn(if right { Ok("alice@red.example".to_owned()) } else { Err(refused) })
            }
            Question::ScramKeys { .. } => {
                Answer::Keys(Ok(ScramAnswer { keys: None, nonce: vec![1; 18], decoy: vec![2] }))
            }
            Question::ScramEnd { .. } => Answer::LoggedIn(Err(Reply::new(535, (5, 7, 8), "no"))),
        }
    }
}
