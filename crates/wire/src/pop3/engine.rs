//! The server's side of one POP3 session as a state machine.

use std::ops::Range;

use mail::{Durable, Uid, limits};
use memchr::memchr;

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
#[derive(Clone, PartialEq, Eq)]
pub enum Question {
    /// Is this the password of this user? If so lock and list the maildrop.
    LogIn {
        /// As the client wrote it.
        user: String,
        /// Likewise.
        password: String,
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

/// Shows no password.
impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LogIn { user, .. } => write!(f, "LogIn({user})"),
            Self::Read { uid, range } => write!(f, "Read({uid}, {range:?})"),
            Self::Update(uids) => write!(f, "Update({uids:?})"),
        }
    }
}

/// The answer to a [`Question`].
#[derive(Debug)]
pub enum Answer<'a> {
    /// To LogIn: here is the maildrop, locked.
    Opened(Listing),
    /// To LogIn: no.
    Refused(LoginFailure),
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
    /// We can't tell now.
    Temporary,
}

/// One session.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    tls: bool,
    failures: usize,
    state: State,
    question: Option<Question>,
    out: Vec<u8>,
    line: Vec<u8>,
    too_long: bool,
}

#[derive(Debug)]
enum State {
    /// Nobody yet (RFC 1939 §4).
    Authorization,
    /// USER was given.
    Named(String),
    /// LogIn is asked.
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

impl Engine {
    /// At the greeting; `tls`: the connection began with TLS.
    pub fn new(settings: Settings, tls: bool) -> Self {
        let mut engine = Self {
            settings,
            tls,
            failures: 0,
            state: State::Authorization,
            question: None,
            out: Vec::new(),
            line: Vec::new(),
            too_long: false,
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
        while taken < bytes.len() && self.takes_commands() {
            let rest = &bytes[taken..];
            let Some(end) = memchr(b'\n', rest) else {
                self.keep(rest);
                return bytes.len();
            };
            self.keep(&rest[..end]);
            taken += end + 1;
            let mut line = std::mem::take(&mut self.line);
            if std::mem::take(&mut self.too_long) {
                self.fail("That line is too long");
                let state = std::mem::replace(&mut self.state, State::Over);
                self.state = self.end_or(state);
            } else {
                self.command(line.strip_suffix(b"\r").unwrap_or(&line));
            }
            line.clear();
            self.line = line;
        }
        taken
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = limits::POP3_COMMAND_LEN.saturating_sub(self.line.len());
        self.too_long |= bytes.len() > room;
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn takes_commands(&self) -> bool {
        self.out.len() < WAITING && matches!(self.state, State::Authorization | State::Named(_) | State::Transaction(_))
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

    /// TLS is there. RFC 2595 §4: what was known before is forgotten.
    pub fn tls_started(&mut self) {
        self.tls = true;
        self.state = State::Authorization;
    }

    /// The client did nothing for `limits::POP3_TIMEOUT`, or we stop: the session ends and removes nothing
    /// (RFC 1939 §3: "the session does NOT enter the UPDATE state"; it says nothing either).
    pub fn abandon(&mut self) {
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
            (State::LoggingIn, Answer::Refused(why)) => {
                match why {
                    // RFC 3206 §4: only the user can mend it.
                    LoginFailure::Credentials => self.fail("[AUTH] Wrong user name or password"),
                    // RFC 2449 §8.1.1.
                    LoginFailure::InUse => self.fail("[IN-USE] Another session has this maildrop open"),
                    LoginFailure::Temporary => self.fail("[SYS/TEMP] Can't log you in now, try again later"),
                }
                self.end_or(State::Authorization)
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

    /// One line without its end.
    fn command(&mut self, line: &[u8]) {
        let command = match parse(line) {
            Ok(command) => command,
            Err(error) => {
                match error {
                    CommandError::Unknown => self.fail("Unknown command"),
                    CommandError::Arguments(how) => self.fail(&format!("Wrong arguments: {how}")),
                    CommandError::Characters => self.fail("A command is UTF-8 text without control characters"),
                }
                let state = std::mem::replace(&mut self.state, State::Over);
                self.state = self.end_or(state);
                return;
            }
        };
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = match state {
            State::Authorization => self.authorize(command, None),
            State::Named(user) => self.authorize(command, Some(user)),
            State::Transaction(maildrop) => self.transact(command, maildrop),
            state => state,
        };
    }

    fn authorize(&mut self, command: Command<'_>, user: Option<String>) -> State {
        match command {
            Command::Quit => {
                self.ok("Bye");
                return State::Over;
            }
            Command::Capa => self.capabilities(),
            Command::Stls if self.tls => self.err("TLS is active already"),
            Command::Stls if !self.settings.starttls => self.err("TLS is not available"),
            Command::Stls => {
                self.ok("Begin TLS");
                return State::StartingTls;
            }
            // RFC 6856 §2: only here.
            Command::Utf8 => self.ok("UTF-8 it is"),
            Command::Lang(language) => self.language(language),
            Command::User(_) | Command::Pass(_) if !self.may_send_password() => {
                self.fail("Start TLS first: a password is not taken in clear");
            }
            Command::User(name) => {
                // Whether there is such a user shows only after PASS.
                self.ok("And your password?");
                return State::Named(name.to_owned());
            }
            Command::Pass(password) => match user {
                Some(user) => {
                    self.question = Some(Question::LogIn { user, password: password.to_owned() });
                    return State::LoggingIn;
                }
                None => self.fail("Say USER first"),
            },
            Command::Apop => self.fail("APOP is not available: use AUTH, or USER and PASS"),
            Command::Auth(None) => self.mechanisms(),
            Command::Auth(Some(_)) => self.fail("That mechanism is not available"),
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

    const fn may_send_password(&self) -> bool {
        self.tls || self.settings.plaintext
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
        if self.may_send_password() {
            lines.push("USER".into());
        }
        if self.settings.starttls && !self.tls {
            lines.push("STLS".into());
        }
        // No version: it helps only who looks for holes.
        lines.push("IMPLEMENTATION Postrider".into());
        self.lines(lines.into_iter());
    }

    fn mechanisms(&mut self) {
        self.ok("Mechanisms follow");
        self.lines(std::iter::empty());
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
