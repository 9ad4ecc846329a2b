//! The server's side of one POP3 session as a state machine.

use std::ops::Range;

use mail::{Durable, Uid, limits};

use crate::line::{Line, LineReader};
use crate::sasl::scram::Keys;
use crate::sasl::server::{Exchange, ScramStart, Step as SaslStep};
use crate::sasl::{self, ChannelBinding, Failure, Mechanism, Password};

use super::command::{Command, CommandError, parse};
use super::maildrop::{Listing, Maildrop};
use super::transfer::{Next, Transfer};

/// What a session offers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our name, in the greeting.
    pub hostname: String,
    /// TLS can be started (STLS).
    pub starttls: bool,
    /// Passwords may be sent without TLS (`plaintext_auth`, on loopback).
    pub plaintext: bool,
    /// SCRAM is offered: there are accounts that keep its keys. Clients prefer it, and fail with accounts without.
    pub scram: bool,
}

/// What the pump does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these octets; they are all that is to be sent now.
    Send(Vec<u8>),
    /// Find the answer and give it with [`Engine::answer`]; no input is taken until then.
    Ask(Question),
    /// Start TLS, drop what the client sent and was not taken, then call [`Engine::tls_started`].
    StartTls,
    /// Close.
    Close,
    /// Give input.
    Read,
}

/// What only the directory and the store know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Is this the password of this user? If so lock and list the maildrop.
    LogIn {
        /// As the client wrote it.
        user: String,
        /// Likewise.
        password: Password,
    },
    /// The SCRAM keys of this user.
    Keys {
        /// As the client wrote it.
        user: String,
    },
    /// SCRAM came to its end, with the `right` proof or a wrong one. If right, lock and list the maildrop; if wrong,
    /// note it and refuse.
    Proof {
        /// As the client wrote it.
        user: String,
        /// Whether the client knows the password.
        right: bool,
    },
    /// The octets in `range` of a message, or the first of them, as many as are read at once.
    Read {
        /// Which.
        uid: Uid,
        /// Never empty, unless the message is.
        range: Range<u64>,
    },
    /// Update state (RFC 1939 §6): remove these, perhaps none, and unlock the maildrop.
    Update(Vec<Uid>),
}

/// The answer to a [`Question`].
#[derive(Debug)]
pub enum Answer<'a> {
    /// To LogIn and Proof: here is the maildrop, locked.
    Opened(Listing),
    /// To LogIn, Keys and Proof: no.
    Refused(LoginFailure),
    /// To Keys. An account that keeps none gets made-up ones.
    Keys {
        /// The keys.
        keys: Keys,
        /// Fresh and random, 18 octets or more.
        nonce: &'a [u8],
    },
    /// To Read: these octets. Empty only where the message is.
    Piece(&'a [u8]),
    /// To Read: another session removed the message.
    Gone,
    /// To Read: it can't be read now, or never.
    Unreadable,
    /// To Update: these are removed for good; `None` where none was to be.
    Updated(Option<Durable<Vec<Uid>>>),
    /// To Update: nothing was removed.
    NotUpdated,
}

/// Why a log-in failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginFailure {
    /// Wrong name or password, or an account that may not be used: not told apart.
    Credentials,
    /// Another session has the maildrop.
    InUse,
    /// Too many failures before: not even looked at.
    TooMany,
    /// We can't tell now.
    Temporary,
}

/// One session.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    /// Under TLS: what a log-in can be bound to.
    tls: Option<ChannelBinding>,
    failures: usize,
    state: State,
    question: Option<Question>,
    out: Vec<u8>,
    lines: LineReader,
}

#[derive(Debug)]
enum State {
    /// Nobody yet (RFC 1939 §4).
    Authorization,
    /// USER was given.
    Named(String),
    /// AUTH: the client's response is awaited.
    Sasl(Exchange),
    /// The same in SCRAM, once it is known whose.
    Scram(Exchange, String),
    /// Keys is asked.
    FindingKeys(Box<ScramStart>),
    /// LogIn or Proof is asked.
    LoggingIn,
    /// RFC 1939 §5.
    Transaction(Maildrop),
    /// A message is being sent; the next piece is asked.
    Sending(Maildrop, Transfer),
    /// RFC 1939 §6. Update is asked.
    Updating {
        count: usize,
    },
    StartingTls,
    Over,
}

/// Octets waiting to be sent above which no more commands are taken.
const WAITING: usize = 64 * 1024;

impl State {
    /// What stays when an exchange breaks off.
    fn without_exchange(self) -> Self {
        match self {
            Self::Sasl(_) | Self::Scram(..) => Self::Authorization,
            state => state,
        }
    }
}

impl Engine {
    /// At the greeting; `tls`: the connection began with TLS.
    pub fn new(settings: Settings, tls: Option<ChannelBinding>) -> Self {
        let mut engine = Self {
            settings,
            tls,
            failures: 0,
            state: State::Authorization,
            question: None,
            out: Vec::new(),
            lines: LineReader::new(limits::POP3_COMMAND_LEN),
        };
        // No time stamp: it would offer APOP (RFC 1939 §7).
        let greeting = format!("{} Postrider POP3 ready", engine.settings.hostname);
        engine.ok(&greeting);
        engine
    }

    /// Takes what the client sent; returns how much of it was taken. The rest is to be given again after the
    /// next steps.
    pub fn input(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        let mut lines = std::mem::replace(&mut self.lines, LineReader::new(limits::POP3_COMMAND_LEN));
        while taken < bytes.len() && self.takes_commands() {
            let (count, line) = lines.read(&bytes[taken..]);
            taken += count;
            let state = std::mem::replace(&mut self.state, State::Over);
            self.state = match line {
                None => state,
                Some(Line::TooLong) => {
                    self.fail("That line is too long");
                    self.end_or(state.without_exchange())
                }
                // Quirk: some scripts end lines with a bare LF; nothing can be smuggled in here by it.
                Some(Line::Text(line) | Line::BareLf(line)) => match state {
                    State::Sasl(exchange) => self.response(exchange, None, line),
                    State::Scram(exchange, user) => self.response(exchange, Some(user), line),
                    state => self.command(line, state),
                },
            };
        }
        self.lines = lines;
        taken
    }

    fn takes_commands(&self) -> bool {
        let asks = matches!(
            self.state,
            State::LoggingIn | State::FindingKeys(_) | State::Sending(..) | State::Updating { .. }
        );
        self.out.len() < WAITING && !asks && !matches!(self.state, State::StartingTls | State::Over)
    }

    /// What to do next.
    pub fn step(&mut self) -> Step {
        if !self.out.is_empty() {
            return Step::Send(std::mem::take(&mut self.out));
        }
        if let Some(question) = self.question.take() {
            return Step::Ask(question);
        }
        match self.state {
            State::StartingTls => Step::StartTls,
            State::Over => Step::Close,
            _ => Step::Read,
        }
    }

    /// While a message is read: it and those after it, which a client that sends commands ahead often asks for next.
    pub fn from_here(&self) -> impl Iterator<Item = Uid> {
        let sending = match &self.state {
            State::Sending(maildrop, transfer) => Some(maildrop.from(transfer.uid())),
            _ => None,
        };
        sending.into_iter().flatten()
    }

    /// TLS is there. RFC 2595 §4: what was known before is forgotten.
    pub fn tls_started(&mut self, binding: ChannelBinding) {
        self.tls = Some(binding);
        self.lines.forget();
        self.state = State::Authorization;
    }

    /// The client did nothing for `limits::POP3_TIMEOUT`: the session ends and removes nothing
    /// (RFC 1939 §3: "the session does NOT enter the UPDATE state"; it says nothing either).
    pub fn abandon(&mut self) {
        self.state = State::Over;
    }

    /// We stop: the client is told, and nothing is removed.
    pub fn shut_down(&mut self) {
        self.err("[SYS/TEMP] Shutting down, try again later");
        self.state = State::Over;
    }

    /// The answer to the question that was asked last.
    pub fn answer(&mut self, answer: Answer<'_>) {
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = match (state, answer) {
            (State::LoggingIn, Answer::Opened(listing)) => {
                let maildrop = Maildrop::new(listing);
                let (count, octets) = maildrop.totals();
                self.ok(&format!("{count} messages ({octets} octets)"));
                State::Transaction(maildrop)
            }
            (State::LoggingIn | State::FindingKeys(_), Answer::Refused(why)) => self.refused(why),
            (State::FindingKeys(start), Answer::Keys { keys, nonce }) => {
                let user = start.user().to_owned();
                let step = start.keys(Some(keys), nonce, &[]);
                self.sasl(step, Some(user))
            }
            (State::Sending(maildrop, transfer), answer) => self.sent(maildrop, transfer, answer),
            (State::Updating { count }, Answer::Updated(removed)) => {
                match removed {
                    Some(removed) => self.ok(&format!("{} messages removed, bye", removed.get().len())),
                    None if count == 0 => self.ok("Bye"),
                    None => self.err("[SYS/TEMP] The deleted messages could not be removed"),
                }
                State::Over
            }
            (State::Updating { .. }, _) => {
                // RFC 1939 §6: "If there is an error … -ERR … some deleted messages not removed".
                self.err("[SYS/TEMP] The deleted messages could not be removed");
                State::Over
            }
            // An answer that fits nothing: the pump is wrong; better no session than a wrong one.
            _ => State::Over,
        };
    }

    /// A piece of the message that is being sent, or why there is none.
    fn sent(&mut self, maildrop: Maildrop, mut transfer: Transfer, answer: Answer<'_>) -> State {
        match answer {
            Answer::Piece(piece) => match transfer.piece(piece, &mut self.out) {
                Next::Read(range) => {
                    self.question = Some(Question::Read { uid: transfer.uid(), range });
                    State::Sending(maildrop, transfer)
                }
                Next::Done => State::Transaction(maildrop),
                Next::Short => self.sent(maildrop, transfer, Answer::Unreadable),
            },
            // The reply has begun: all that is left is to break off, so that the client sees it is not whole.
            _ if transfer.has_begun() => State::Over,
            Answer::Gone => {
                self.err("That message was removed by another session");
                State::Transaction(maildrop)
            }
            _ => {
                self.err("[SYS/TEMP] That message can't be read");
                State::Transaction(maildrop)
            }
        }
    }

    fn refused(&mut self, why: LoginFailure) -> State {
        match why {
            // RFC 3206 §4: only the user can mend it.
            LoginFailure::Credentials => self.fail("[AUTH] Wrong user name or password"),
            // RFC 2449 §8.1.1.
            LoginFailure::InUse => self.fail("[IN-USE] Another session has this maildrop open"),
            LoginFailure::TooMany => self.fail("[SYS/TEMP] Too many failed log-ins, try again later"),
            LoginFailure::Temporary => self.fail("[SYS/TEMP] Can't log you in now, try again later"),
        }
        self.end_or(State::Authorization)
    }

    /// AUTH (RFC 5034 §4).
    fn authenticate(&mut self, mechanism: &str, initial: Option<&str>) -> State {
        let known = Mechanism::from_name(mechanism).filter(|mechanism| self.mechanisms().contains(mechanism));
        let (Some(mechanism), Some(binding)) = (known, self.binding()) else {
            self.fail("That mechanism is not available");
            return self.end_or(State::Authorization);
        };
        let initial = initial.map(|text| sasl::decode_initial(text.as_bytes())).transpose();
        let step = match initial {
            Ok(initial) => Exchange::start(mechanism, binding, initial.as_deref()),
            Err(failure) => SaslStep::Failed(failure),
        };
        self.sasl(step, None)
    }

    /// A line of the client's within AUTH.
    fn response(&mut self, exchange: Exchange, user: Option<String>, line: &[u8]) -> State {
        // RFC 5034 §4: "*" cancels.
        if line == b"*" {
            self.fail("Log-in cancelled");
            return self.end_or(State::Authorization);
        }
        let step = match sasl::decode(line) {
            Ok(response) => exchange.respond(&response),
            Err(failure) => SaslStep::Failed(failure),
        };
        self.sasl(step, user)
    }

    /// `user`: whose keys are in use, in SCRAM.
    fn sasl(&mut self, step: SaslStep, scram_user: Option<String>) -> State {
        let same = |authorize_as: &Option<String>, user: &str| {
            authorize_as.as_ref().is_none_or(|other| other.to_lowercase() == user.to_lowercase())
        };
        match step {
            SaslStep::Challenge { text, next } => {
                self.reply("+ ", &sasl::encode(&text));
                match scram_user {
                    Some(user) => State::Scram(next, user),
                    None => State::Sasl(next),
                }
            }
            // RFC 4616 §2: nobody acts for somebody else here.
            SaslStep::Verify { authorize_as, user, .. } | SaslStep::Succeeded { authorize_as, user }
                if !same(&authorize_as, &user) =>
            {
                self.refused(LoginFailure::Credentials)
            }
            SaslStep::Verify { user, password, .. } => {
                self.question = Some(Question::LogIn { user, password });
                State::LoggingIn
            }
            SaslStep::Keys(start) => {
                self.question = Some(Question::Keys { user: start.user().to_owned() });
                State::FindingKeys(start)
            }
            SaslStep::Succeeded { user, .. } => {
                self.question = Some(Question::Proof { user, right: true });
                State::LoggingIn
            }
            SaslStep::Failed(Failure::Rejected) => match scram_user {
                Some(user) => {
                    self.question = Some(Question::Proof { user, right: false });
                    State::LoggingIn
                }
                None => self.refused(LoginFailure::Credentials),
            },
            SaslStep::Failed(Failure::Malformed(why)) => {
                self.fail(&format!("AUTH failed: {why}"));
                self.end_or(State::Authorization)
            }
        }
    }

    /// One line without its end, where no exchange is under way.
    fn command(&mut self, line: &[u8], state: State) -> State {
        let command = match parse(line) {
            Ok(command) => command,
            Err(error) => {
                match error {
                    CommandError::Unknown => self.fail("Unknown command"),
                    CommandError::Arguments(how) => self.fail(&format!("Wrong arguments: {how}")),
                    CommandError::Characters => self.fail("A command is UTF-8 text without control characters"),
                }
                return self.end_or(state);
            }
        };
        match state {
            State::Authorization => self.authorize(command, None),
            State::Named(user) => self.authorize(command, Some(user)),
            State::Transaction(maildrop) => self.transact(command, maildrop),
            state => state,
        }
    }

    fn authorize(&mut self, command: Command<'_>, user: Option<String>) -> State {
        match command {
            Command::Quit => {
                self.ok("Bye");
                return State::Over;
            }
            Command::Capa => self.capabilities(),
            Command::Stls if self.tls.is_some() => self.err("TLS is active already"),
            Command::Stls if !self.settings.starttls => self.err("TLS is not available"),
            Command::Stls => {
                self.ok("Begin TLS");
                return State::StartingTls;
            }
            // RFC 6856 §2: only here.
            Command::Utf8 => self.ok("UTF-8 it is"),
            Command::Lang(language) => self.language(language),
            Command::User(_) | Command::Pass(_) | Command::Auth(Some(_)) if !self.may_log_in() => {
                self.fail("Start TLS first: a password is not taken in clear");
            }
            Command::User(name) => {
                // Whether there is such a user shows only after PASS.
                self.ok("And your password?");
                return State::Named(name.to_owned());
            }
            Command::Pass(password) => match user {
                Some(user) => {
                    self.question = Some(Question::LogIn { user, password: Password::new(password) });
                    return State::LoggingIn;
                }
                None => self.fail("Say USER first"),
            },
            Command::Apop => self.fail("APOP is not available: use AUTH, or USER and PASS"),
            Command::Auth(None) => {
                self.ok("Mechanisms follow");
                let names = self.mechanisms().into_iter().map(|mechanism| mechanism.name().to_owned());
                self.lines(names);
            }
            Command::Auth(Some((mechanism, initial))) => return self.authenticate(mechanism, initial),
            _ => self.fail("Log in first"),
        }
        self.end_or(State::Authorization)
    }

    fn transact(&mut self, command: Command<'_>, mut maildrop: Maildrop) -> State {
        match command {
            Command::Quit => {
                let deleted = maildrop.deleted();
                let count = deleted.len();
                self.question = Some(Question::Update(deleted));
                return State::Updating { count };
            }
            Command::Capa => self.capabilities(),
            Command::Noop => self.ok("Still here"),
            Command::Stat => {
                let (count, octets) = maildrop.totals();
                self.ok(&format!("{count} {octets}"));
            }
            Command::List(None) => {
                let (count, octets) = maildrop.totals();
                self.ok(&format!("{count} messages ({octets} octets)"));
                self.lines(maildrop.messages().map(|message| format!("{} {}", message.number, message.size)));
            }
            Command::List(Some(number)) => match maildrop.get(number) {
                Ok(message) => self.ok(&format!("{number} {}", message.size)),
                Err(why) => self.err(why),
            },
            Command::Uidl(None) => {
                self.ok("Unique-ids follow");
                self.lines(maildrop.messages().map(|m| format!("{} {}", m.number, maildrop.unique_id(m))));
            }
            Command::Uidl(Some(number)) => match maildrop.get(number) {
                Ok(message) => self.ok(&format!("{number} {}", maildrop.unique_id(message))),
                Err(why) => self.err(why),
            },
            Command::Retr(number) => return self.retrieve(maildrop, number, None),
            Command::Top(number, lines) => return self.retrieve(maildrop, number, Some(lines)),
            Command::Dele(number) => match maildrop.delete(number) {
                Ok(()) => self.ok(&format!("Message {number} will be removed at QUIT")),
                Err(why) => self.err(why),
            },
            Command::Rset => {
                maildrop.undelete_all();
                let (count, octets) = maildrop.totals();
                self.ok(&format!("{count} messages ({octets} octets)"));
            }
            Command::Lang(language) => self.language(language),
            Command::User(_) | Command::Pass(_) | Command::Apop | Command::Auth(_) => {
                self.fail("You are logged in already")
            }
            // RFC 2595 §4, RFC 6856 §2.
            Command::Stls | Command::Utf8 => self.fail("That is for before log-in"),
        }
        self.end_or(State::Transaction(maildrop))
    }

    fn retrieve(&mut self, maildrop: Maildrop, number: u32, lines: Option<u32>) -> State {
        match maildrop.get(number) {
            Ok(message) => {
                let transfer = Transfer::new(message, lines);
                self.question = Some(Question::Read { uid: message.uid, range: 0..u64::from(message.size) });
                State::Sending(maildrop, transfer)
            }
            Err(why) => {
                self.err(why);
                State::Transaction(maildrop)
            }
        }
    }

    const fn may_log_in(&self) -> bool {
        self.tls.is_some() || self.settings.plaintext
    }

    /// What a log-in can be bound to; `None` where there may be none now.
    fn binding(&self) -> Option<ChannelBinding> {
        self.may_log_in().then(|| self.tls.clone().unwrap_or_default())
    }

    fn mechanisms(&self) -> Vec<Mechanism> {
        let mut offered = self.binding().map(|binding| Mechanism::offered(&binding)).unwrap_or_default();
        offered.retain(|mechanism| self.settings.scram || matches!(mechanism, Mechanism::Plain | Mechanism::Login));
        offered
    }

    /// CAPA (RFC 2449 §5).
    fn capabilities(&mut self) {
        self.ok("Capabilities follow");
        let mut lines: Vec<String> = [
            "TOP",
            "UIDL",
            "RESP-CODES",
            "AUTH-RESP-CODE",
            "PIPELINING",
            "EXPIRE NEVER",
            "LOGIN-DELAY 0",
            "UTF8 USER",
            "LANG",
        ]
        .map(String::from)
        .into();
        let mechanisms = self.mechanisms();
        if !mechanisms.is_empty() {
            let names: Vec<_> = mechanisms.into_iter().map(Mechanism::name).collect();
            lines.push(format!("SASL {}", names.join(" ")));
            lines.push("USER".into());
        }
        if self.settings.starttls && self.tls.is_none() {
            lines.push("STLS".into());
        }
        // No version: it helps only who looks for holes.
        lines.push("IMPLEMENTATION Postrider".into());
        self.lines(lines.into_iter());
    }

    /// RFC 6856 §3. We speak English.
    fn language(&mut self, language: Option<&str>) {
        match language {
            None => {
                self.ok("Languages follow");
                self.lines(["en English", "i-default Default language"].map(String::from).into_iter());
            }
            Some("*") => self.ok("en English it is"),
            Some(tag) if tag.eq_ignore_ascii_case("en") || tag.eq_ignore_ascii_case("i-default") => {
                self.ok(&format!("{tag} English it is"));
            }
            Some(_) => self.err("That language is not available"),
        }
    }

    fn ok(&mut self, words: &str) {
        self.reply("+OK ", words);
    }

    fn err(&mut self, words: &str) {
        self.reply("-ERR ", words);
    }

    /// An error of the kind that guessing and confused clients cause: too many end the session.
    fn fail(&mut self, words: &str) {
        self.failures += 1;
        self.err(words);
    }

    fn end_or(&mut self, state: State) -> State {
        if self.failures < limits::POP3_ERRORS {
            return state;
        }
        self.err("[SYS/TEMP] Too many errors, bye");
        State::Over
    }

    fn reply(&mut self, status: &str, words: &str) {
        self.out.extend_from_slice(status.as_bytes());
        self.out.extend_from_slice(words.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// The rest of a multi-line reply (RFC 1939 §3). None of our lines begins with a dot.
    fn lines(&mut self, lines: impl Iterator<Item = String>) {
        for line in lines {
            self.out.extend_from_slice(line.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        }
        self.out.extend_from_slice(b".\r\n");
    }
}
