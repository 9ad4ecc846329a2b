//! The body of a message, by DATA (RFC 5321 §4.1.1.4) and by BDAT (RFC 3030).

use mail::{BodyType, Durable, QueueId, Reply, limits};

use super::engine::Server;
use super::parameters::too_big;
use super::state::{Chunk, Fate, Incoming, Session, State, Transaction, Waiting};
use super::{Question, Role, Taken};
use crate::dot::{LineEnds, Piece, Unstuffing};

pub(super) fn bare() -> Reply {
    // RFC 5321 §2.3.8, §4.1.1.4: neither alone is a line end, and who takes one for it can be tricked into
    // reading a second message out of this one.
    Reply::new(554, (5, 6, 0), "The message has a CR or LF that stands alone")
}

pub(super) fn line_too_long() -> Reply {
    Reply::new(554, (5, 6, 0), "The message has a line that is too long")
}

impl Incoming {
    pub(super) fn new(transaction: Transaction, since: mail::Timestamp) -> Self {
        Self { transaction, size: 0, fate: Fate::Keep, since }
    }
}

impl Server {
    pub(super) fn data_answered(
        &mut self,
        session: Session,
        transaction: Transaction,
        answer: Result<(), Reply>,
    ) -> State {
        match answer {
            Ok(()) => {
                self.say(&Reply::plain(354, "Go ahead, end with <CRLF>.<CRLF>"));
                State::Data(session, Incoming::new(transaction, self.now), Unstuffing::new())
            }
            Err(reply) => {
                // Nothing of the transaction is left (RFC 5321 §4.1.1.4): a pipelining client begins anew.
                self.drop_transaction();
                self.refuse_with(&reply);
                State::Ready(session)
            }
        }
    }

    /// A piece of a body.
    pub(super) fn body<'a>(&mut self, state: State, bytes: &'a [u8]) -> Taken<'a> {
        match state {
            State::Data(session, incoming, reader) => self.dotted(session, incoming, reader, bytes),
            State::Chunk(session, incoming, ends, chunk, left) => {
                self.chunk(session, incoming, ends, (chunk, left), bytes)
            }
            State::Discard(next, left, reply) => {
                let used = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - used as u64;
                self.state = if left == 0 {
                    self.refuse_with(&reply);
                    *next
                } else {
                    State::Discard(next, left, reply)
                };
                Taken { used, body: &[] }
            }
            other => {
                self.state = other;
                Taken { used: 0, body: &[] }
            }
        }
    }

    fn dotted<'a>(
        &mut self,
        session: Session,
        mut incoming: Incoming,
        mut reader: Unstuffing,
        bytes: &'a [u8],
    ) -> Taken<'a> {
        let mut rest = bytes;
        loop {
            let piece = reader.next(&mut rest);
            let used = bytes.len() - rest.len();
            let body = match piece {
                None => &[][..],
                Some(Piece::Bytes(piece)) => match self.piece(&mut incoming, piece, reader.longest_line()) {
                    // What was held back and is not kept: who sees nothing taken would wait for more.
                    [] if used == 0 => continue,
                    piece => piece,
                },
                Some(Piece::End) => {
                    if reader.has_bare() {
                        incoming.fate = Fate::Refuse(bare());
                    }
                    self.state = self.body_ended(session, incoming);
                    return Taken { used, body: &[] };
                }
            };
            self.state = State::Data(session, incoming, reader);
            return Taken { used, body };
        }
    }

    /// Counts a piece; returns it if it is to be stored.
    fn piece<'a>(&mut self, incoming: &mut Incoming, piece: &'a [u8], longest_line: usize) -> &'a [u8] {
        incoming.size = incoming.size.saturating_add(piece.len() as u64);
        if matches!(incoming.fate, Fate::Refuse(_)) {
            return &[];
        }
        let why = if incoming.size > self.config.message_size {
            // RFC 1870 §6.3: read on, refuse at the end.
            too_big()
        } else if longest_line > limits::SMTP_TEXT_LINE_LEN && incoming.transaction.sender.body != BodyType::BinaryMime
        {
            line_too_long()
        } else {
            return piece;
        };
        incoming.fate = Fate::Refuse(why);
        self.drop_transaction();
        &[]
    }

    pub(super) fn body_ended(&mut self, session: Session, incoming: Incoming) -> State {
        self.messages += 1;
        match incoming.fate {
            Fate::Keep => {
                let envelope = Box::new(incoming.transaction.into_envelope());
                let recipients = envelope.recipients.len();
                self.ask(Question::Commit(envelope), Waiting::Commit(session, recipients))
            }
            Fate::Refuse(reply) => {
                self.drop_transaction();
                self.refuse_with(&reply);
                self.repeat(&reply, incoming.transaction.recipients.len());
                State::Ready(session)
            }
        }
    }

    /// Invariant 1: this 250 can't be said without a commit's witness.
    pub(super) fn commit_answered(
        &mut self,
        session: Session,
        recipients: usize,
        answer: Result<Durable<QueueId>, Reply>,
    ) -> State {
        let reply = match answer {
            Ok(id) => {
                let reply = Reply::new(250, (2, 0, 0), format!("Ok: queued as {}", id.into_inner()));
                self.say(&reply);
                reply
            }
            Err(reply) => {
                self.refuse_with(&reply);
                reply
            }
        };
        self.repeat(&reply, recipients);
        State::Ready(session)
    }

    /// RFC 2033 §4.2: a reply for each recipient that was taken. They are the same: a message is taken for all or for none.
    fn repeat(&mut self, reply: &Reply, recipients: usize) {
        if self.config.role == Role::Lmtp {
            (1..recipients).for_each(|_| self.say(reply));
        }
    }

    pub(super) fn bdat(&mut self, state: State, chunk: Chunk) -> State {
        match state {
            State::Mail(session, transaction) if !transaction.recipients.is_empty() => {
                let question = Question::Body { hello: session.hello.clone(), expected: transaction.sender.size };
                self.ask(question, Waiting::Chunk(session, transaction, chunk))
            }
            State::Chunked(session, incoming, ends) => self.begin_chunk(session, incoming, ends, chunk),
            // RFC 3030 §2: the chunk is on its way already and must be read, whatever is answered.
            State::Mail(..) => self.discard(state, chunk, Reply::new(554, (5, 5, 1), "No valid recipients")),
            other => self.discard(other, chunk, Reply::new(503, (5, 5, 1), "Say MAIL and RCPT first")),
        }
    }

    pub(super) fn discard(&mut self, next: State, chunk: Chunk, reply: Reply) -> State {
        if chunk.size == 0 {
            self.refuse_with(&reply);
            return next;
        }
        State::Discard(Box::new(next), chunk.size, reply)
    }

    pub(super) fn chunk_answered(
        &mut self,
        session: Session,
        transaction: Transaction,
        chunk: Chunk,
        answer: Result<(), Reply>,
    ) -> State {
        match answer {
            Ok(()) => {
                let incoming = Incoming::new(transaction, self.now);
                self.begin_chunk(session, incoming, LineEnds::default(), chunk)
            }
            Err(reply) => {
                self.drop_transaction();
                self.discard(State::Ready(session), chunk, reply)
            }
        }
    }

    fn begin_chunk(&mut self, session: Session, incoming: Incoming, ends: LineEnds, chunk: Chunk) -> State {
        if chunk.size == 0 {
            return self.chunk_ended(session, incoming, ends, chunk);
        }
        State::Chunk(session, incoming, ends, chunk, chunk.size)
    }

    fn chunk<'a>(
        &mut self,
        session: Session,
        mut incoming: Incoming,
        mut ends: LineEnds,
        (chunk, left): (Chunk, u64),
        bytes: &'a [u8],
    ) -> Taken<'a> {
        let used = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let piece = &bytes[..used];
        ends.look(piece);
        let body = self.piece(&mut incoming, piece, ends.longest_line());
        let left = left - used as u64;
        self.state = if left == 0 {
            self.chunk_ended(session, incoming, ends, chunk)
        } else {
            State::Chunk(session, incoming, ends, chunk, left)
        };
        Taken { used, body }
    }

    fn chunk_ended(&mut self, session: Session, mut incoming: Incoming, ends: LineEnds, chunk: Chunk) -> State {
        if chunk.last && ends.has_bare() && incoming.transaction.sender.body != BodyType::BinaryMime {
            incoming.fate = Fate::Refuse(bare());
        }
        if chunk.last || matches!(incoming.fate, Fate::Refuse(_)) {
            return self.body_ended(session, incoming);
        }
        self.say(&Reply::new(250, (2, 0, 0), format!("{} octets received", chunk.size)));
        State::Chunked(session, incoming, ends)
    }
}
