//! The server's side of one ManageSieve session as a state machine.

use mail::limits;

use super::command::{Argument, Command, CommandReader, Read};
use crate::sasl::scram::Keys;
use crate::sasl::server::{Exchange, ScramStart, Step as SaslStep};
use crate::sasl::{self, ChannelBinding, Failure, Mechanism, Password};

/// What a session offers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// TLS can be started.
    pub starttls: bool,
    /// Passwords may be sent without TLS (`plaintext_auth`, on loopback).
    pub plaintext: bool,
    /// SCRAM is offered: there are accounts that keep its keys.
    pub scram: bool,
    /// What scripts may require, separated by spaces.
    pub extensions: String,
    /// By which ways notices go, likewise.
    pub notify: String,
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
    /// Is this the password of this user?
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
    /// SCRAM came to its end, with the `right` proof or a wrong one, which is to be noted and refused.
    Proof {
        /// As the client wrote it.
        user: String,
        /// Whether the client knows the password.
        right: bool,
    },
    /// Something with the scripts of who is logged in.
    Work(Work),
    /// Nobody is logged in any more (RFC 5804 §2.14). Needs no answer but [`Answer::Done`].
    LogOut,
}

/// What is done with scripts (RFC 5804 §2.4 to §2.12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Keeps a script that can be compiled.
    Put(String, String),
    /// Only compiles it.
    Check(String),
    /// Names, and whether each is active.
    List,
    /// Makes it the active one; `None`: none is.
    Activate(Option<String>),
    /// Its text.
    Get(String),
    /// Takes it away, unless it is active.
    Delete(String),
    /// Gives it another name.
    Rename(String, String),
    /// Whether there is room for so many octets under this name.
    HaveSpace(String, u64),
}

/// The answer to a [`Question`].
#[derive(Debug)]
pub enum Answer<'a> {
    /// To LogIn and Proof: this account's address.
    LoggedIn(String),
    /// To LogIn, Keys and Proof: no.
    Refused(LoginFailure),
    /// To Keys. An account that keeps none gets made-up ones.
    Keys {
        /// The keys.
        keys: Keys,
        /// Fresh and random, 18 octets or more.
        nonce: &'a [u8],
    },
    /// To Work: it is done, durably.
    Done,
    /// To Work: these scripts are there.
    List(Vec<(String, bool)>),
    /// To Work: this is its text.
    Text(String),
    /// To Work: no, and why.
    No(Refusal),
}

/// Why something is not done: the response code (RFC 5804 §1.3), where one fits, and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Without parentheses.
    pub code: Option<&'static str>,
    /// For people.
    pub words: String,
}

/// Why a log-in failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginFailure {
    /// Wrong name or password, or an account that may not be used: not told apart.
    Credentials,
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
    commands: CommandReader,
}

#[derive(Debug)]
enum State {
    /// Nobody yet.
    Connected,
    /// AUTHENTICATE: the client's response is awaited; in SCRAM, once it is known whose.
    Sasl(Exchange, Option<String>),
    /// Keys is asked.
    FindingKeys(Box<ScramStart>),
    /// LogIn or Proof is asked.
    LoggingIn,
    /// Somebody is logged in.
    Ready(String),
    /// Work is asked.
    Working(String),
    /// LogOut is asked.
    LoggingOut,
    StartingTls,
    Over,
}

/// Octets waiting to be sent above which no more commands are taken.
const WAITING: usize = 64 * 1024;

impl Engine {
    /// At the greeting; `tls`: the connection began with TLS.
    pub fn new(settings: Settings, tls: Option<ChannelBinding>) -> Self {
        let mut engine = Self {
            settings,
            tls,
            failures: 0,
            state: State::Connected,
            question: None,
            out: Vec::new(),
            commands: CommandReader::new(),
        };
        // RFC 5804 §1.7: the capabilities are the greeting.
        engine.capabilities(None);
        engine.ok("Postrider ManageSieve ready");
        engine
    }

    /// Takes what the client sent; returns how much of it was taken. The rest is to be given again after the
    /// next steps.
    pub fn input(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && self.takes_commands() {
            let (count, read) = self.commands.read(&bytes[taken..]);
            taken += count;
            let state = std::mem::replace(&mut self.state, State::Over);
            self.state = match read {
                Read::More => state,
                Read::Command(command) => self.command(command, state),
                Read::Bad(why) => {
                    self.fail(None, why);
                    self.end_or(match state {
                        State::Sasl(..) => State::Connected,
                        state => state,
                    })
                }
                Read::TooLong => {
                    self.bye(Some("QUOTA/MAXSIZE"), "That is longer than a script may be");
                    State::Over
                }
            };
        }
        taken
    }

    fn takes_commands(&self) -> bool {
        self.out.len() < WAITING && matches!(self.state, State::Connected | State::Sasl(..) | State::Ready(_))
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

    /// Whether somebody is logged in.
    pub const fn is_logged_in(&self) -> bool {
        matches!(self.state, State::Ready(_) | State::Working(_))
    }

    /// TLS is there. RFC 5804 §2.2: what was known before is forgotten, and the capabilities are told anew.
    pub fn tls_started(&mut self, binding: ChannelBinding) {
        self.tls = Some(binding);
        self.commands.forget();
        self.state = State::Connected;
        self.capabilities(None);
        self.ok("TLS it is");
    }

    /// The client did nothing for too long.
    pub fn abandon(&mut self) {
        self.bye(Some("TRYLATER"), "Nothing came for too long");
        self.state = State::Over;
    }

    /// We stop.
    pub fn shut_down(&mut self) {
        self.bye(Some("TRYLATER"), "Shutting down, try again later");
        self.state = State::Over;
    }

    /// The answer to the question that was asked last.
    pub fn answer(&mut self, answer: Answer<'_>) {
        let state = std::mem::replace(&mut self.state, State::Over);
        self.state = match (state, answer) {
            (State::LoggingIn, Answer::LoggedIn(user)) => {
                self.ok("Logged in");
                State::Ready(user)
            }
            (State::LoggingIn | State::FindingKeys(_), Answer::Refused(why)) => self.refused(why),
            (State::FindingKeys(start), Answer::Keys { keys, nonce }) => {
                let user = start.user().to_owned();
                let step = start.keys(Some(keys), nonce, &[]);
                self.sasl(step, Some(user))
            }
            (State::Working(user), answer) => {
                self.worked(answer);
                self.end_or(State::Ready(user))
            }
            (State::LoggingOut, _) => {
                self.ok("Nobody is logged in");
                State::Connected
            }
            // An answer that fits nothing: the pump is wrong; better no session than a wrong one.
            _ => State::Over,
        };
    }

    fn worked(&mut self, answer: Answer<'_>) {
        match answer {
            Answer::List(scripts) => {
                for (name, active) in scripts {
                    self.string(&name);
                    // RFC 5804 §2.7
                    self.out.extend_from_slice(if active { b" ACTIVE\r\n" } else { b"\r\n" });
                }
                self.ok("That is all");
            }
            Answer::Text(text) => {
                self.literal(&text);
                self.out.extend_from_slice(b"\r\n");
                self.ok("That is it");
            }
            Answer::No(Refusal { code, words }) => self.reply("NO", code, &words),
            _ => self.ok("Done"),
        }
    }

    fn command(&mut self, Command(words): Command, state: State) -> State {
        if let State::Sasl(exchange, user) = state {
            return self.response(exchange, user, &words);
        }
        let Some((Argument::Atom(name), rest)) = words.split_first() else {
            self.fail(None, "A command begins with its name");
            return self.end_or(state);
        };
        let name = name.to_ascii_uppercase();
        let user = match &state {
            State::Ready(user) => Some(user.clone()),
            _ => None,
        };
        match (name.as_str(), rest) {
            ("CAPABILITY", []) => {
                self.capabilities(user.as_deref());
                self.ok("That is all");
            }
            // RFC 5804 §2.13
            ("NOOP", []) => self.ok("Still here"),
            ("NOOP", [Argument::Text(tag)]) if tag.len() <= limits::SIEVE_SCRIPT_NAME_LEN => {
                self.out.extend_from_slice(b"OK (TAG ");
                self.string(tag);
                self.out.extend_from_slice(b") \"Still here\"\r\n");
            }
            ("LOGOUT", []) => {
                self.ok("Bye");
                return State::Over;
            }
            ("STARTTLS", []) if self.tls.is_some() => self.fail(None, "TLS is active already"),
            ("STARTTLS", []) if !self.settings.starttls => self.fail(None, "TLS is not available"),
            ("STARTTLS", []) if user.is_some() => self.fail(None, "That is for before log-in"),
            ("STARTTLS", []) => {
                self.ok("Begin TLS");
                return State::StartingTls;
            }
            ("AUTHENTICATE", _) if user.is_some() => self.fail(None, "You are logged in already"),
            ("AUTHENTICATE", [Argument::Text(mechanism), initial @ ..]) => {
                let initial = match initial {
                    [] => None,
                    [Argument::Text(initial)] => Some(initial.as_str()),
                    _ => {
                        self.fail(None, "Wrong arguments: AUTHENTICATE \"MECHANISM\" [\"RESPONSE\"]");
                        return self.end_or(state);
                    }
                };
                return self.authenticate(mechanism, initial);
            }
            ("UNAUTHENTICATE", []) if user.is_some() => {
                self.question = Some(Question::LogOut);
                return State::LoggingOut;
            }
            (name, rest) => match work(name, rest) {
                None => self.fail(None, "Unknown command, or its arguments are wrong"),
                Some(_) if user.is_none() => self.fail(None, "Log in first"),
                Some(work) => {
                    self.question = Some(Question::Work(work));
                    return State::Working(user.unwrap_or_default());
                }
            },
        }
        self.end_or(state)
    }

    /// AUTHENTICATE (RFC 5804 §2.1).
    fn authenticate(&mut self, mechanism: &str, initial: Option<&str>) -> State {
        if self.binding().is_none() {
            self.fail(Some("ENCRYPT-NEEDED"), "Start TLS first: a password is not taken in clear");
            return self.end_or(State::Connected);
        }
        let known = Mechanism::from_name(mechanism).filter(|mechanism| self.mechanisms().contains(mechanism));
        let (Some(mechanism), Some(binding)) = (known, self.binding()) else {
            self.fail(None, "That mechanism is not available");
            return self.end_or(State::Connected);
        };
        let step = match initial.map(|text| sasl::decode(text.as_bytes())).transpose() {
            Ok(initial) => Exchange::start(mechanism, binding, initial.as_deref()),
            Err(failure) => SaslStep::Failed(failure),
        };
        self.sasl(step, None)
    }

    /// What the client says within AUTHENTICATE: a string.
    fn response(&mut self, exchange: Exchange, user: Option<String>, words: &[Argument]) -> State {
        let step = match words {
            // RFC 5804 §2.1: "*" cancels.
            [Argument::Text(text)] if text == "*" => {
                self.fail(None, "Log-in cancelled");
                return self.end_or(State::Connected);
            }
            [Argument::Text(text)] => match sasl::decode(text.as_bytes()) {
                Ok(response) => exchange.respond(&response),
                Err(failure) => SaslStep::Failed(failure),
            },
            _ => SaslStep::Failed(Failure::Malformed("the response is no string")),
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
                let text = sasl::encode(&text);
                self.string(&text);
                self.out.extend_from_slice(b"\r\n");
                State::Sasl(next, scram_user)
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
                self.fail(None, &format!("AUTHENTICATE failed: {why}"));
                self.end_or(State::Connected)
            }
        }
    }

    fn refused(&mut self, why: LoginFailure) -> State {
        match why {
            LoginFailure::Credentials => self.fail(None, "Wrong user name or password"),
            LoginFailure::TooMany => self.fail(Some("TRYLATER"), "Too many failed log-ins, try again later"),
            LoginFailure::Temporary => self.fail(Some("TRYLATER"), "Can't log you in now, try again later"),
        }
        self.end_or(State::Connected)
    }

    /// What a log-in can be bound to; `None` where there may be none now.
    fn binding(&self) -> Option<ChannelBinding> {
        (self.tls.is_some() || self.settings.plaintext).then(|| self.tls.clone().unwrap_or_default())
    }

    fn mechanisms(&self) -> Vec<Mechanism> {
        let mut offered = self.binding().map(|binding| Mechanism::offered(&binding)).unwrap_or_default();
        offered.retain(|mechanism| self.settings.scram || matches!(mechanism, Mechanism::Plain | Mechanism::Login));
        offered
    }

    /// RFC 5804 §1.7
    fn capabilities(&mut self, user: Option<&str>) {
        let mechanisms: Vec<_> = self.mechanisms().into_iter().map(Mechanism::name).collect();
        let (extensions, notify) = (self.settings.extensions.clone(), self.settings.notify.clone());
        let redirects = limits::SIEVE_REDIRECTS.to_string();
        // No version: it helps only who looks for holes.
        let mut all = vec![("IMPLEMENTATION", "Postrider".to_owned()), ("SASL", mechanisms.join(" "))];
        all.extend([("SIEVE", extensions), ("NOTIFY", notify), ("MAXREDIRECTS", redirects)]);
        all.extend(user.map(|user| ("OWNER", user.to_owned())));
        all.push(("UNAUTHENTICATE", String::new()));
        if self.settings.starttls && self.tls.is_none() {
            all.push(("STARTTLS", String::new()));
        }
        all.push(("VERSION", "1.0".to_owned()));
        for (name, value) in all {
            self.string(name);
            if !value.is_empty() || name == "SASL" {
                self.out.push(b' ');
                self.string(&value);
            }
            self.out.extend_from_slice(b"\r\n");
        }
    }

    fn ok(&mut self, words: &str) {
        self.reply("OK", None, words);
    }

    /// An error of the kind that guessing and confused clients cause: too many end the session.
    fn fail(&mut self, code: Option<&str>, words: &str) {
        self.failures += 1;
        self.reply("NO", code, words);
    }

    fn bye(&mut self, code: Option<&str>, words: &str) {
        self.reply("BYE", code, words);
    }

    fn end_or(&mut self, state: State) -> State {
        if self.failures < limits::MANAGESIEVE_ERRORS {
            return state;
        }
        self.bye(Some("TRYLATER"), "Too many errors, bye");
        State::Over
    }

    fn reply(&mut self, status: &str, code: Option<&str>, words: &str) {
        self.out.extend_from_slice(status.as_bytes());
        if let Some(code) = code {
            self.out.extend_from_slice(format!(" ({code})").as_bytes());
        }
        self.out.push(b' ');
        self.string(words);
        self.out.extend_from_slice(b"\r\n");
    }

    /// Quoted where it can be (RFC 5804 §4: at most 1,024 octets, without line ends), else a literal.
    fn string(&mut self, text: &str) {
        if text.len() > 1024 || text.contains(['\r', '\n', '\0']) {
            return self.literal(text);
        }
        self.out.push(b'"');
        self.out.extend_from_slice(text.replace('\\', "\\\\").replace('"', "\\\"").as_bytes());
        self.out.push(b'"');
    }

    fn literal(&mut self, text: &str) {
        self.out.extend_from_slice(format!("{{{}}}\r\n{text}", text.len()).as_bytes());
    }
}

/// A command on scripts.
fn work(name: &str, words: &[Argument]) -> Option<Work> {
    use Argument::{Atom, Text};
    Some(match (name, words) {
        ("PUTSCRIPT", [Text(name), Text(text)]) => Work::Put(name.clone(), text.clone()),
        ("CHECKSCRIPT", [Text(text)]) => Work::Check(text.clone()),
        ("LISTSCRIPTS", []) => Work::List,
        // RFC 5804 §2.8: the empty name is no script's.
        ("SETACTIVE", [Text(name)]) => Work::Activate(Some(name.clone()).filter(|name| !name.is_empty())),
        ("GETSCRIPT", [Text(name)]) => Work::Get(name.clone()),
        ("DELETESCRIPT", [Text(name)]) => Work::Delete(name.clone()),
        ("RENAMESCRIPT", [Text(from), Text(to)]) => Work::Rename(from.clone(), to.clone()),
        ("HAVESPACE", [Text(name), Atom(size)]) => Work::HaveSpace(name.clone(), size.parse().ok()?),
        _ => return None,
    })
}
