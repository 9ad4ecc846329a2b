//! The engine: what comes in, what is to be done, and when it gives up.

use std::sync::Arc;

use mail::{Reply, Timestamp, limits};

use super::command::Command;
use super::state::{Fate, State, Waiting};
use super::{Answer, Config, Question, Role, Step, Taken, Transport};
use crate::line::{Line, LineReader};
use crate::sasl::ChannelBinding;
use crate::smtp::reply;

/// One session. See the module's page for how it is driven.
#[derive(Debug)]
pub struct Server {
    pub(super) config: Arc<Config>,
    pub(super) transport: Transport,
    pub(super) state: State,
    pub(super) lines: LineReader,
    pub(super) out: Vec<u8>,
    pub(super) question: Option<Question>,
    pub(super) forget: bool,
    pub(super) now: Timestamp,
    /// When the command or the piece of a body that is waited for began to be waited for.
    pub(super) waiting_since: Timestamp,
    pub(super) errors: usize,
    pub(super) commands: usize,
    pub(super) messages: usize,
    /// Why the session ends once the open question is answered.
    ending: Option<Reply>,
}

impl Server {
    /// A session that begins, with its greeting as output.
    pub fn new(config: Arc<Config>, transport: Transport, now: Timestamp) -> Self {
        let mut server = Self {
            config,
            transport,
            state: State::Greeted,
            lines: LineReader::new(limits::SMTP_COMMAND_LEN),
            out: Vec::new(),
            question: None,
            forget: false,
            now,
            waiting_since: now,
            errors: 0,
            commands: 0,
            messages: 0,
            ending: None,
        };
        // RFC 5321 §4.3.1: the name comes first.
        let protocol = if server.config.role == Role::Lmtp { "LMTP" } else { "ESMTP" };
        server.say(&Reply::plain(220, format!("{} {protocol} Postrider", server.config.hostname)));
        server
    }

    /// Takes input from the front of `bytes`: at most one command, or one piece of a body, which is returned.
    pub fn input<'a>(&mut self, bytes: &'a [u8], now: Timestamp) -> Taken<'a> {
        self.now = now;
        let state = std::mem::replace(&mut self.state, State::Closed);
        match state {
            State::Waiting(_) | State::StartTls | State::Closed => {
                self.state = state;
                Taken { used: 0, body: &[] }
            }
            State::Data(..) | State::Chunk(..) | State::Discard(..) => {
                self.waiting_since = now;
                let taken = self.body(state, bytes);
                self.end_if_over();
                taken
            }
            _ if self.question.is_some() || self.forget => {
                self.state = state;
                Taken { used: 0, body: &[] }
            }
            _ => Taken { used: self.line(state, bytes), body: &[] },
        }
    }

    fn line(&mut self, state: State, bytes: &[u8]) -> usize {
        // The reader is taken out while its line is in use, which may borrow from it.
        let mut lines = std::mem::replace(&mut self.lines, LineReader::new(limits::SMTP_COMMAND_LEN));
        let (used, line) = lines.read(bytes);
        self.state = match line {
            None => state,
            Some(line) => {
                self.waiting_since = self.now;
                self.commands += 1;
                self.read_line(state, line)
            }
        };
        self.lines = lines;
        self.end_if_over();
        used
    }

    fn read_line(&mut self, state: State, line: Line<'_>) -> State {
        match (line, state) {
            (Line::Text(text), State::Authenticating(session, exchange)) => self.auth_line(session, exchange, text),
            // RFC 4954 §4: an exchange that was broken off leaves the session as it was before.
            (_, State::Authenticating(session, _)) => {
                self.refuse(500, (5, 5, 6), "Log-in line too long or not ended by CRLF");
                State::Ready(session)
            }
            (Line::Text(text), state) => self.command(state, Command::read(text)),
            // RFC 5321 §2.3.8: no other line end is one.
            (Line::BareLf(_), state) => {
                self.refuse(500, (5, 5, 2), "Lines end with CR LF");
                state
            }
            // RFC 5321 §4.5.3.1.9
            (Line::TooLong, state) => {
                self.refuse(500, (5, 5, 2), "Line too long");
                state
            }
        }
    }

    /// What to do next.
    pub fn step(&mut self) -> Step {
        if self.forget {
            self.forget = false;
            return Step::Forget;
        }
        if let Some(question) = self.question.take() {
            return Step::Ask(question);
        }
        match self.state {
            State::StartTls => Step::StartTls,
            State::Closed => Step::Close,
            _ => Step::Wait,
        }
    }

    /// The replies so far: to be sent before waiting, for input or for a long answer.
    pub fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// The answer to the open question. One that does not fit it ends the session: the pump is wrong.
    pub fn answer(&mut self, answer: Answer, now: Timestamp) {
        (self.now, self.waiting_since) = (now, now);
        let state = std::mem::replace(&mut self.state, State::Closed);
        let State::Waiting(waiting) = state else {
            self.state = state;
            return;
        };
        self.state = match (waiting, answer) {
            (Waiting::Sender(session, sender), Answer::Permission(answer)) => {
                self.sender_answered(session, sender, answer)
            }
            (Waiting::Recipient(session, transaction, recipient), Answer::Permission(answer)) => {
                self.recipient_answered(session, transaction, recipient, answer)
            }
            (Waiting::Data(session, transaction), Answer::Permission(answer)) => {
                self.data_answered(session, transaction, answer)
            }
            (Waiting::Chunk(session, transaction, chunk), Answer::Permission(answer)) => {
                self.chunk_answered(session, transaction, chunk, answer)
            }
            (Waiting::Burl(session, transaction, burl), Answer::Permission(answer)) => {
                self.burl_answered(session, transaction, burl, answer)
            }
            (Waiting::Fetch(session, incoming, last), Answer::Fetched(answer)) => {
                self.fetched(session, incoming, last, answer)
            }
            (Waiting::Commit(session, recipients), Answer::Committed(answer)) => {
                self.commit_answered(session, recipients, answer)
            }
            (Waiting::LogIn(session), Answer::LoggedIn(answer)) => self.log_in_answered(session, answer),
            (Waiting::Keys(session, start), Answer::Keys(answer)) => self.keys_answered(session, *start, answer),
            (Waiting::LogInFailed(session, reply), Answer::LoggedIn(_)) => {
                self.refuse_with(&reply);
                State::Ready(session)
            }
            _ => {
                self.say(&Reply::new(421, (4, 3, 0), format!("{} Internal error", self.config.hostname)));
                State::Closed
            }
        };
        self.end_if_over();
        if let Some(ending) = self.ending.take() {
            self.end(&ending);
        }
    }

    /// The body can't be stored: it is read to its end and then refused with `why`.
    pub fn refuse_body(&mut self, why: Reply) {
        if let State::Data(_, incoming, _) | State::Chunk(_, incoming, ..) | State::Chunked(_, incoming, _) =
            &mut self.state
        {
            incoming.fate = Fate::Refuse(why);
            self.forget = true;
        }
    }

    /// TLS has begun. RFC 3207 §4.2: all that was learnt from the client before is forgotten.
    pub fn tls_began(&mut self, binding: ChannelBinding, now: Timestamp) {
        self.transport = Transport::Tls(binding);
        self.state = State::Greeted;
        (self.now, self.waiting_since) = (now, now);
        self.lines.forget();
    }

    /// When [`Self::tick`] is to be called, unless something happens before; `None` while a question is open.
    pub fn deadline(&self) -> Option<Timestamp> {
        match &self.state {
            State::Waiting(_) | State::StartTls | State::Closed => None,
            State::Data(_, incoming, _) | State::Chunk(_, incoming, ..) | State::Chunked(_, incoming, _) => {
                let whole = incoming.since.plus(self.config.message_timeout);
                Some(whole.min(self.waiting_since.plus(self.config.data_timeout)))
            }
            _ => Some(self.waiting_since.plus(self.config.command_timeout)),
        }
    }

    /// It is `now`: gives up if the deadline has passed.
    pub fn tick(&mut self, now: Timestamp) {
        self.now = now;
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            let name = &self.config.hostname;
            let reply = Reply::new(421, (4, 4, 2), format!("{name} Timeout, closing connection"));
            self.end(&reply);
        }
    }

    /// The client sends nothing more. A commit under way is still finished.
    pub fn eof(&mut self) {
        match self.state {
            State::Waiting(_) => {
                let name = &self.config.hostname;
                self.ending = Some(Reply::new(421, (4, 4, 2), format!("{name} Connection closed")));
            }
            _ => {
                self.drop_transaction();
                self.state = State::Closed;
            }
        }
    }

    /// The server stops (RFC 5321 §3.8): 421, after the answer to the open question if there is one.
    pub fn stop(&mut self) {
        let reply = Reply::new(421, (4, 3, 2), format!("{} Service shutting down", self.config.hostname));
        match self.state {
            State::Waiting(_) => self.ending = Some(reply),
            State::Closed | State::StartTls => {}
            _ => self.end(&reply),
        }
    }

    /// The session's name in logs: who is logged in.
    pub fn account(&self) -> Option<&str> {
        self.identity()
    }

    // ---- What the other files of this engine use ------------------------------------------------

    pub(super) fn say(&mut self, reply: &Reply) {
        reply::write(reply, &mut self.out);
    }

    /// A reply that is no success. 5yz counts towards the session's errors.
    pub(super) fn refuse(&mut self, code: u16, enhanced: (u8, u16, u16), text: &str) {
        self.refuse_with(&Reply::new(code, enhanced, text));
    }

    pub(super) fn refuse_with(&mut self, reply: &Reply) {
        if reply.code.is_permanent() {
            self.errors += 1;
        }
        self.say(reply);
    }

    pub(super) fn ask(&mut self, question: Question, waiting: Waiting) -> State {
        self.question = Some(question);
        State::Waiting(waiting)
    }

    /// A transaction without an end in sight is dropped; the pump is told.
    pub(super) const fn drop_transaction(&mut self) {
        self.forget = true;
    }

    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.transport, Transport::Tls(_))
    }

    pub(super) fn needs_log_in(&self) -> bool {
        self.config.role == Role::Submission && !self.config.trusted
    }

    pub(super) fn end(&mut self, reply: &Reply) {
        self.say(reply);
        self.drop_transaction();
        self.question = None;
        self.state = State::Closed;
    }

    fn end_if_over(&mut self) {
        let why = if matches!(self.state, State::Closed) {
            return;
        } else if self.errors >= self.config.errors {
            "Too many errors"
        } else if self.commands >= self.config.commands {
            "Too many commands in one session"
        } else {
            return;
        };
        // An open question is answered first.
        let reply = Reply::new(421, (4, 7, 0), format!("{} {why}", self.config.hostname));
        match self.state {
            State::Waiting(_) => self.ending = Some(reply),
            _ => self.end(&reply),
        }
    }
}
