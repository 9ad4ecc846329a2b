//! Bodies that are on the server already: BURL (RFC 4468), among chunks of BDAT where they are mixed.

use mail::{BodyType, Reply, limits};

use super::body::{bare, line_too_long};
use super::engine::Server;
use super::parameters::too_big;
use super::state::{Fate, Incoming, Session, State, Transaction, Waiting};
use super::{Fetched, Question};
use crate::dot::LineEnds;

/// BURL's arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Burl {
    pub(super) url: Vec<u8>,
    pub(super) last: bool,
}

impl Server {
    /// RFC 4468 §3.2: where BDAT may come.
    pub(super) fn burl(&mut self, state: State, burl: Burl) -> State {
        match state {
            State::Mail(session, transaction) if transaction.recipients.is_empty() => {
                self.refuse(554, (5, 5, 1), "No valid recipients");
                State::Mail(session, transaction)
            }
            State::Mail(session, transaction) => {
                let question = Question::Body { hello: session.hello.clone(), expected: transaction.sender.size };
                self.ask(question, Waiting::Burl(session, transaction, burl))
            }
            State::Chunked(session, incoming, ends) => self.fetch(session, incoming, ends, burl),
            other => {
                self.refuse(503, (5, 5, 1), "Say MAIL and RCPT first");
                other
            }
        }
    }

    pub(super) fn burl_answered(
        &mut self,
        session: Session,
        transaction: Transaction,
        burl: Burl,
        answer: Result<(), Reply>,
    ) -> State {
        match answer {
            Ok(()) => {
                let incoming = Incoming::new(transaction, self.now);
                self.fetch(session, incoming, LineEnds::default(), burl)
            }
            Err(reply) => {
                self.drop_transaction();
                self.refuse_with(&reply);
                State::Ready(session)
            }
        }
    }

    fn fetch(&mut self, session: Session, incoming: Incoming, ends: LineEnds, burl: Burl) -> State {
        let room = self.config.message_size.saturating_sub(incoming.size);
        let question = Question::Fetch { url: burl.url, room, ends };
        self.ask(question, Waiting::Fetch(session, incoming, burl.last))
    }

    /// Counts what was fetched like a chunk.
    pub(super) fn fetched(
        &mut self,
        session: Session,
        mut incoming: Incoming,
        last: bool,
        answer: Result<Fetched, Reply>,
    ) -> State {
        let Fetched { size, eight_bit, ends } = match answer {
            Ok(fetched) => fetched,
            // As after a BDAT that failed, nothing of the message is left.
            Err(reply) => {
                incoming.fate = Fate::Refuse(reply);
                return self.body_ended(session, incoming);
            }
        };
        incoming.size = incoming.size.saturating_add(size);
        let sender = &mut incoming.transaction.sender;
        // RFC 4468 §3.4: what is in the URL counts, whatever MAIL said.
        if eight_bit && sender.body == BodyType::SevenBit {
            sender.body = BodyType::EightBitMime;
        }
        let is_text = sender.body != BodyType::BinaryMime;
        if incoming.size > self.config.message_size {
            incoming.fate = Fate::Refuse(too_big());
        } else if is_text && ends.longest_line() > limits::SMTP_TEXT_LINE_LEN {
            incoming.fate = Fate::Refuse(line_too_long());
        } else if is_text && last && ends.has_bare() {
            incoming.fate = Fate::Refuse(bare());
        }
        if last || matches!(incoming.fate, Fate::Refuse(_)) {
            return self.body_ended(session, incoming);
        }
        self.say(&Reply::new(250, (2, 5, 0), format!("{size} octets fetched")));
        State::Chunked(session, incoming, ends)
    }
}
