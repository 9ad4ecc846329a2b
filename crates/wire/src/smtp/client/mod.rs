//! The client's side of an SMTP conversation, without I/O.
//!
//! [`Client`] is driven by whoever owns the socket: ask [`Client::step`] what to do, do it, tell it what
//! happened, ask again.
//!
//! | step | the driver |
//! |---|---|
//! | [`Step::Send`] | writes all of [`Client::output`], then calls [`Client::sent`] |
//! | [`Step::Receive`] | reads once: [`Client::input`], [`Client::eof`], or [`Client::timed_out`] when no whole reply ([`Client::replies`]) has come for that time |
//! | [`Step::StartTls`] | shakes hands, then [`Client::secured`]; on failure the connection is of no more use |
//! | [`Step::Body`] | gives the next piece of the message ([`Client::body`]) or its end ([`Client::body_end`]) |
//! | [`Step::Ready`] | begins a message ([`Client::begin`]), a probe, or [`Client::quit`]; or waits |
//! | [`Step::Done`] | takes the report of a message; the connection goes on |
//! | [`Step::Over`] | closes |
//!
//! It never waits for the network more often than the protocol forces: envelope in one flight with
//! PIPELINING (RFC 2920), small messages too with CHUNKING (RFC 3030 §4.2).

mod auth;
mod ehlo;
mod exchange;
mod reply;
mod report;

use std::time::Duration;

use mail::{Reply, limits};

use crate::sasl::ChannelBinding;
use crate::sasl::client::Login;
pub use ehlo::{Capabilities, Transaction, xtext};
use exchange::{Exchange, Progress};
pub use reply::{NotAReply, ReplyReader};
pub use report::{Cause, Failure, Report, Stage, Verdict};

/// What we want of the connection.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our name in EHLO: a domain, or an address literal.
    pub helo: String,
    /// What about TLS.
    pub tls: TlsUse,
    /// Log in.
    pub login: Option<Login>,
    /// What TLS gives to bind the log-in to, where the connection began with it.
    pub binding: ChannelBinding,
    /// Passwords may go in clear without TLS (loopback only).
    pub clear_auth: bool,
    /// The server speaks LMTP (RFC 2033): LHLO, and a reply for each recipient at the end.
    pub lmtp: bool,
}

/// TLS, as we want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsUse {
    /// Not even if offered: after a handshake that failed.
    Never,
    /// If offered (RFC 7435).
    IfOffered,
    /// Or nothing at all.
    Required,
    /// The connection began with it (RFC 8314).
    Implicit,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write the output.
    Send,
    /// Read, for at most so long.
    Receive(Duration),
    /// Begin TLS.
    StartTls,
    /// Give the next piece of the message.
    Body,
    /// Nothing is under way; the next message may begin.
    Ready,
    /// A message is over.
    Done(Report),
    /// The connection is over; with the reason, unless we ended it.
    Over(Option<Failure>),
}

#[derive(Debug)]
enum State {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Handshake,
    Login(crate::sasl::client::Exchange),
    /// `open`: the last transaction was left open; RSET comes before the next.
    Ready {
        open: bool,
    },
    Sending(Box<Exchange>),
    /// A report is to be taken before the next state is entered.
    Told(Report, Box<State>),
    Quit,
    Over(Option<Failure>),
}

/// A conversation. See the module's table.
#[derive(Debug)]
pub struct Client {
    config: Config,
    state: State,
    secure: bool,
    replies: ReplyReader,
    output: Vec<u8>,
    offers: Capabilities,
    /// Whole replies so far.
    heard: u64,
}

impl Client {
    /// A conversation over a connection that was just opened (and secured, with [`TlsUse::Implicit`]).
    pub fn new(config: Config) -> Self {
        Self {
            secure: config.tls == TlsUse::Implicit,
            config,
            state: State::Greeting,
            replies: ReplyReader::default(),
            output: Vec::new(),
            offers: Capabilities::default(),
            heard: 0,
        }
    }

    /// What the server offers, once it has said so.
    pub const fn offers(&self) -> &Capabilities {
        &self.offers
    }

    /// How many whole replies have come. RFC 5321 §4.5.3.2: a reply has its time; a server that gives it octet by octet
    /// gets no more of it.
    pub const fn replies(&self) -> u64 {
        self.heard
    }

    /// What to write.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// All of [`Self::output`] is written.
    pub fn sent(&mut self) {
        self.output.clear();
    }

    /// Bytes came.
    pub fn input(&mut self, bytes: &[u8]) {
        self.replies.push(bytes);
    }

    /// The server closed.
    pub fn eof(&mut self) {
        self.broken(Cause::Closed);
    }

    /// Nothing came in the time that [`Step::Receive`] gave.
    pub fn timed_out(&mut self) {
        if let Step::Receive(wait) = self.wait() {
            self.broken(Cause::TimedOut(wait));
        }
    }

    /// The connection can't be used any more. What the server said before still counts.
    pub fn broken(&mut self, cause: Cause) {
        while self.take_reply() {}
        // What is still in the output never got out: then the message is not whole at the server.
        let written = self.output.is_empty();
        self.output.clear();
        self.state = match std::mem::replace(&mut self.state, State::Over(None)) {
            State::Sending(exchange) => {
                let stage = if written { exchange.lost() } else { exchange.stage() };
                let failure = Failure { stage, cause };
                State::Told(exchange.cut(&failure), Box::new(State::Over(Some(failure))))
            }
            State::Told(report, next) => {
                // What ended it first is the reason.
                let ended = matches!(*next, State::Over(_));
                let over = || Box::new(State::Over(Some(Failure { stage: Stage::Quit, cause })));
                State::Told(report, if ended { next } else { over() })
            }
            State::Quit => State::Over(None),
            State::Over(failure) => State::Over(failure),
            other => State::Over(Some(Failure { stage: other.stage(), cause })),
        };
    }

    /// TLS stands, and gives this to bind a log-in to: everything said before is forgotten, and EHLO comes again
    /// (RFC 3207 §4.2).
    pub fn secured(&mut self, binding: ChannelBinding) {
        if let State::Handshake = self.state {
            self.config.binding = binding;
            self.secure = true;
            self.replies.forget();
            self.offers = Capabilities::default();
            self.state = self.ehlo();
        }
    }

    /// Begins a message; only after [`Step::Ready`].
    pub fn begin(&mut self, transaction: Transaction) {
        self.start(transaction, false);
    }

    /// Asks whether the recipients would be taken, and sends nothing; only after [`Step::Ready`].
    pub fn probe(&mut self, transaction: Transaction) {
        self.start(transaction, true);
    }

    fn start(&mut self, transaction: Transaction, probe: bool) {
        let state = std::mem::replace(&mut self.state, State::Over(None));
        self.state = match state {
            State::Ready { open } => {
                let exchange = Box::new(Exchange::new(transaction, &self.offers, open, probe, self.config.lmtp));
                self.go_on(exchange)
            }
            other => other,
        };
    }

    /// The next bytes of the message; only after [`Step::Body`].
    pub fn body(&mut self, bytes: &[u8]) {
        if let State::Sending(exchange) = &mut self.state {
            exchange.body(bytes, &mut self.output);
        }
    }

    /// The message is whole. Fewer or more bytes than announced to BDAT end the connection, since the
    /// server could no longer tell message from command.
    pub fn body_end(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Over(None));
        self.state = match state {
            State::Sending(mut exchange) => {
                if exchange.body_end(&mut self.output) {
                    self.go_on(exchange)
                } else {
                    self.state = State::Sending(exchange);
                    self.broken(Cause::Broken("the message is not as long as announced".to_owned()));
                    return;
                }
            }
            other => other,
        };
    }

    /// Says good-bye; only after [`Step::Ready`].
    pub fn quit(&mut self) {
        if let State::Ready { .. } = self.state {
            self.output.extend_from_slice(b"QUIT\r\n");
            self.state = State::Quit;
        }
    }

    /// What to do next.
    pub fn step(&mut self) -> Step {
        while self.take_reply() {}
        match std::mem::replace(&mut self.state, State::Over(None)) {
            State::Told(report, next) => {
                self.state = *next;
                return Step::Done(report);
            }
            other => self.state = other,
        }
        match &self.state {
            State::Over(failure) => Step::Over(failure.clone()),
            State::Sending(exchange) if exchange.wants_body() && self.output.len() < limits::SMTP_ONE_FLIGHT => {
                Step::Body
            }
            _ if !self.output.is_empty() => Step::Send,
            State::Handshake => Step::StartTls,
            State::Ready { .. } => Step::Ready,
            _ => self.wait(),
        }
    }

    fn wait(&self) -> Step {
        Step::Receive(match self.state.stage() {
            Stage::Greeting => limits::SMTP_GREETING_WAIT,
            Stage::Data => limits::SMTP_DATA_WAIT,
            Stage::EndOfData => limits::SMTP_END_WAIT,
            Stage::Quit => limits::SMTP_QUIT_WAIT,
            _ => limits::SMTP_REPLY_WAIT,
        })
    }

    /// Takes one whole reply from the buffer, if one is there and somebody waits for it.
    fn take_reply(&mut self) -> bool {
        let plain = match self.state {
            State::Greeting | State::Ehlo | State::Helo => true,
            // In plain after our handshake began: dropped by `secured`.
            State::Handshake | State::Told(..) | State::Over(_) => return false,
            _ => false,
        };
        match self.replies.next(plain) {
            Ok(None) => false,
            Ok(Some(reply)) => {
                self.heard += 1;
                let state = std::mem::replace(&mut self.state, State::Over(None));
                self.state = self.on_reply(state, reply);
                true
            }
            Err(NotAReply(why)) => {
                self.replies.forget();
                self.broken(Cause::NotSmtp(why));
                false
            }
        }
    }

    fn on_reply(&mut self, state: State, reply: Reply) -> State {
        let over = |stage, reply| State::Over(Some(Failure { stage, cause: Cause::Reply(reply) }));
        let code = reply.code.get();
        match state {
            State::Greeting if code == 220 => self.ehlo(),
            State::Ehlo if code == 250 => {
                self.offers = Capabilities::from_text(&reply.text);
                self.after_ehlo()
            }
            // RFC 5321 §3.2: a server that doesn't know EHLO says 5yz; then HELO.
            State::Ehlo if reply.code.is_permanent() && self.plain_will_do() => {
                self.output.extend_from_slice(format!("HELO {}\r\n", self.config.helo).as_bytes());
                State::Helo
            }
            State::Helo if code == 250 => Self::ready(),
            State::StartTls if code == 220 => {
                self.replies.forget();
                State::Handshake
            }
            // RFC 7435: opportunistic; who offers it but can't (454) gets the mail all the same.
            State::StartTls if self.config.tls == TlsUse::IfOffered && code != 421 => self.log_in(),
            State::Login(exchange) if code == 334 => match auth::answer(exchange, &reply.text) {
                Ok((line, next)) => {
                    self.output.extend_from_slice(line.as_bytes());
                    State::Login(next)
                }
                Err(cause) => State::Over(Some(Failure { stage: Stage::Auth, cause })),
            },
            State::Login(exchange) if code == 235 => match auth::let_in(exchange) {
                Ok(()) => Self::ready(),
                Err(cause) => State::Over(Some(Failure { stage: Stage::Auth, cause })),
            },
            State::Sending(mut exchange) => match exchange.on_reply(reply, &mut self.output) {
                Progress::Goes => self.go_on(exchange),
                Progress::Over(failure) => {
                    self.output.clear();
                    State::Told(exchange.cut(&failure), Box::new(State::Over(Some(failure))))
                }
            },
            // Idle: a server that gives up says 421 (RFC 5321 §3.8).
            State::Quit => State::Over(None),
            other => over(other.stage(), reply),
        }
    }

    fn ehlo(&mut self) -> State {
        // RFC 2033 §4.1: so that neither is taken for the other.
        let verb = if self.config.lmtp { "LHLO" } else { "EHLO" };
        self.output.extend_from_slice(format!("{verb} {}\r\n", self.config.helo).as_bytes());
        State::Ehlo
    }

    /// Whether nothing that we want needs an extension.
    fn plain_will_do(&self) -> bool {
        !self.config.lmtp && self.config.login.is_none() && self.config.tls != TlsUse::Required && !self.secure
    }

    fn after_ehlo(&mut self) -> State {
        match self.config.tls {
            TlsUse::IfOffered | TlsUse::Required if !self.secure && self.offers.starttls => {
                self.output.extend_from_slice(b"STARTTLS\r\n");
                State::StartTls
            }
            TlsUse::Required if !self.secure => {
                State::Over(Some(Failure { stage: Stage::StartTls, cause: Cause::Lacks("STARTTLS") }))
            }
            _ => self.log_in(),
        }
    }

    fn log_in(&mut self) -> State {
        let Some(login) = &self.config.login else { return Self::ready() };
        let offered = self.offers.auth.iter().map(String::as_str);
        match login.begin(offered, &self.config.binding, self.secure || self.config.clear_auth) {
            Some(begun) => {
                self.output.extend_from_slice(auth::command(&begun).as_bytes());
                State::Login(begun.exchange)
            }
            None => State::Over(Some(Failure {
                stage: Stage::Auth,
                cause: Cause::Lacks("a log-in that we may use (AUTH)"),
            })),
        }
    }

    const fn ready() -> State {
        State::Ready { open: false }
    }

    /// Sends what may be sent, and sees whether the message is over.
    fn go_on(&mut self, mut exchange: Box<Exchange>) -> State {
        exchange.send(&self.offers, &mut self.output);
        match exchange.finish() {
            Ok((report, open)) => State::Told(report, Box::new(State::Ready { open })),
            Err(exchange) => State::Sending(exchange),
        }
    }
}

impl State {
    fn stage(&self) -> Stage {
        match self {
            Self::Greeting => Stage::Greeting,
            Self::Ehlo | Self::Helo => Stage::Ehlo,
            Self::StartTls | Self::Handshake => Stage::StartTls,
            Self::Login(..) => Stage::Auth,
            Self::Sending(exchange) => exchange.stage(),
            Self::Ready { .. } | Self::Told(..) | Self::Quit | Self::Over(_) => Stage::Quit,
        }
    }
}

#[cfg(test)]
mod tests;
