//! One message's transaction, from MAIL to the reply to its end.
//!
//! Commands wait in `commands` until they may go, then in `expect` until their reply is there. With
//! PIPELINING all go at once; a recipient's verdict is its own.

use std::collections::VecDeque;

use mail::{BodyType, Reply, limits};

use crate::dot::Stuffing;

use super::ehlo::{self, Capabilities, Transaction};
use super::report::{Cause, Failure, Report, Stage, Verdict};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Rset,
    Mail,
    Rcpt(usize),
    Data,
    /// BDAT with the whole message as its only chunk.
    Chunk,
    /// The final dot.
    End,
    /// The final dot, for one recipient (LMTP).
    EndFor(usize),
}

/// The message's bytes.
#[derive(Debug)]
enum Body {
    /// Not yet to be sent.
    Later,
    /// Being sent after 354, dots doubled.
    Dots(Stuffing),
    /// Being sent after BDAT; so many octets are missing.
    Chunk(u64),
    /// Sent.
    Sent,
}

/// Whether the conversation goes on.
pub(super) enum Progress {
    Goes,
    Over(Failure),
}

#[derive(Debug)]
pub(super) struct Exchange {
    transaction: Transaction,
    commands: VecDeque<Command>,
    expect: VecDeque<Command>,
    /// What is known of each recipient: `Ok`: RCPT was taken.
    verdicts: Vec<Option<Verdict>>,
    body: Body,
    /// MAIL was taken, and nothing has ended the transaction since.
    open: bool,
    /// A reply for each recipient at the end.
    lmtp: bool,
    /// LMTP: these have theirs.
    settled: Vec<bool>,
}

impl Exchange {
    /// Plans a transaction. What the server can't take fails here, without a word to it.
    pub(super) fn new(transaction: Transaction, offers: &Capabilities, open: bool, probe: bool, lmtp: bool) -> Self {
        let count = transaction.recipients.len();
        let mut new = Self {
            transaction,
            commands: VecDeque::new(),
            expect: VecDeque::new(),
            verdicts: vec![None; count],
            body: Body::Later,
            open,
            lmtp,
            settled: vec![false; count],
        };
        if let Some(cause) = new.impossible(offers) {
            let failure = Failure { stage: Stage::Mail, cause };
            new.verdicts.fill(Some(Err(failure)));
            return new;
        }
        if open {
            new.commands.push_back(Command::Rset);
        }
        new.commands.push_back(Command::Mail);
        new.commands.extend((0..count).map(Command::Rcpt));
        if !probe {
            let binary = new.transaction.body == BodyType::BinaryMime;
            let chunk = binary || (!lmtp && new.one_flight() && offers.pipelining && offers.chunking);
            new.commands.push_back(if chunk { Command::Chunk } else { Command::Data });
        }
        new
    }

    fn impossible(&self, offers: &Capabilities) -> Option<Cause> {
        let transaction = &self.transaction;
        // RFC 1870 §6.1: a message over the announced limit is not even tried.
        if let Some(limit) = offers.size_limit.filter(|limit| transaction.size > *limit) {
            return Some(Cause::TooBig(limit));
        }
        // RFC 6531 §3.2: such a message must not go to a server without SMTPUTF8.
        if transaction.utf8 && !offers.smtputf8 {
            return Some(Cause::Lacks("SMTPUTF8"));
        }
        // RFC 3030 §3: nor binary to one without BINARYMIME; we don't convert.
        let binary = offers.binary_mime && offers.chunking && !self.lmtp;
        (transaction.body == BodyType::BinaryMime && !binary).then_some(Cause::Lacks("BINARYMIME"))
    }

    fn one_flight(&self) -> bool {
        self.transaction.size <= limits::SMTP_ONE_FLIGHT as u64
    }

    /// Writes the commands that may go now.
    pub(super) fn send(&mut self, offers: &Capabilities, out: &mut Vec<u8>) {
        while let Some(command) = self.commands.front().copied() {
            let alone = !offers.pipelining && !self.expect.is_empty();
            // A large chunk waits for the recipients' verdicts; a small one costs less than the wait.
            let chunk = command == Command::Chunk && !self.one_flight() && !self.expect.is_empty();
            if alone || chunk {
                return;
            }
            self.commands.pop_front();
            let wanted = match command {
                Command::Rset | Command::Mail | Command::End | Command::EndFor(_) => true,
                Command::Rcpt(n) => self.verdicts[n].is_none(),
                Command::Data | Command::Chunk => !self.expect.is_empty() || self.taken() > 0,
            };
            if wanted {
                self.write(command, offers, out);
                self.expect.push_back(command);
            }
        }
    }

    fn write(&mut self, command: Command, offers: &Capabilities, out: &mut Vec<u8>) {
        match command {
            Command::Rset => out.extend_from_slice(b"RSET\r\n"),
            Command::Mail => ehlo::mail(out, &self.transaction, offers),
            Command::Rcpt(n) => ehlo::rcpt(out, &self.transaction.recipients[n], offers),
            Command::Data => out.extend_from_slice(b"DATA\r\n"),
            Command::Chunk => {
                out.extend_from_slice(format!("BDAT {} LAST\r\n", self.transaction.size).as_bytes());
                self.body = Body::Chunk(self.transaction.size);
            }
            Command::End | Command::EndFor(_) => {}
        }
    }

    /// Recipients that RCPT took.
    fn taken(&self) -> usize {
        self.verdicts.iter().filter(|verdict| matches!(verdict, Some(Ok(_)))).count()
    }

    /// Takes the reply to the first command that has none.
    pub(super) fn on_reply(&mut self, reply: Reply, out: &mut Vec<u8>) -> Progress {
        let Some(command) = self.expect.pop_front() else {
            // Out of turn, amidst the message: the server gives up; what it says is its verdict.
            return Progress::Over(Failure { stage: Stage::EndOfData, cause: Cause::Reply(reply) });
        };
        let stage = command.stage();
        // RFC 5321 §3.8: 421 to any command, and the server closes.
        if reply.code.get() == 421 {
            return Progress::Over(Failure { stage, cause: Cause::Reply(reply) });
        }
        let positive = reply.code.is_positive();
        match command {
            Command::Rset | Command::Mail if positive => self.open = command == Command::Mail,
            // What was sent behind it may be obeyed all the same: this reply is no verdict on it.
            Command::Rset => {
                let cause = Cause::NotSmtp("it refuses RSET");
                return Progress::Over(Failure { stage: self.lost(), cause });
            }
            Command::Mail => {
                let failure = Failure { stage, cause: Cause::Reply(reply) };
                self.verdicts.fill(Some(Err(failure)));
            }
            Command::Rcpt(n) => {
                // After a refused MAIL, each RCPT is refused too (503): MAIL's words say why.
                if self.verdicts[n].is_none() {
                    let failed = Failure { stage, cause: Cause::Reply(reply.clone()) };
                    self.verdicts[n] = Some(if positive { Ok(reply) } else { Err(failed) });
                }
            }
            Command::Data if reply.code.get() == 354 => {
                if self.taken() > 0 {
                    self.body = Body::Dots(Stuffing::default());
                } else {
                    // RFC 2920 §3.1: 354 though no recipient was taken: a lone dot ends it.
                    out.extend_from_slice(b".\r\n");
                    self.body = Body::Sent;
                    // RFC 2033 §4.2: a reply for each that was taken; here for none.
                    if !self.lmtp {
                        self.expect.push_back(Command::End);
                    }
                }
            }
            // RFC 2033 §4.2: in the order of RCPT; each is his own.
            Command::EndFor(n) => {
                let failed = Failure { stage, cause: Cause::Reply(reply.clone()) };
                self.verdicts[n] = Some(if positive { Ok(reply) } else { Err(failed) });
                self.settled[n] = true;
                self.open = false;
            }
            Command::Data | Command::Chunk | Command::End => {
                let ended = command != Command::Data;
                let verdict =
                    if positive && ended { Ok(reply) } else { Err(Failure { stage, cause: Cause::Reply(reply) }) };
                // RFC 5321 §4.1.1.4: the end of DATA ends the transaction, whatever the answer. After a BDAT that failed
                // only RSET surely does (RFC 3030 §2): with no recipient taken, servers keep the transaction.
                self.open = match command {
                    Command::End => false,
                    Command::Chunk => !positive,
                    _ => true,
                };
                for taken in self.verdicts.iter_mut().filter(|verdict| matches!(verdict, Some(Ok(_)))) {
                    *taken = Some(verdict.clone());
                }
            }
        }
        Progress::Goes
    }

    /// Whether pieces of the message are wanted.
    pub(super) const fn wants_body(&self) -> bool {
        matches!(self.body, Body::Dots(_) | Body::Chunk(_))
    }

    pub(super) fn body(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match &mut self.body {
            Body::Dots(stuffing) => stuffing.push(bytes, out),
            Body::Chunk(missing) => match missing.checked_sub(bytes.len() as u64) {
                Some(rest) => {
                    *missing = rest;
                    out.extend_from_slice(bytes);
                }
                // Too many: `body_end` sees that it never comes out even.
                None => *missing = u64::MAX,
            },
            Body::Later | Body::Sent => {}
        }
    }

    /// Ends the message; false: it had not the length that BDAT announced.
    pub(super) fn body_end(&mut self, out: &mut Vec<u8>) -> bool {
        match std::mem::replace(&mut self.body, Body::Sent) {
            Body::Dots(stuffing) => {
                stuffing.end(out);
                if self.lmtp {
                    let is_taken = |n: &usize| matches!(self.verdicts[*n], Some(Ok(_)));
                    self.expect.extend((0..self.verdicts.len()).filter(is_taken).map(Command::EndFor));
                } else {
                    self.expect.push_back(Command::End);
                }
            }
            Body::Chunk(missing) => return missing == 0,
            Body::Later | Body::Sent => {}
        }
        true
    }

    /// Where we are.
    pub(super) fn stage(&self) -> Stage {
        self.expect.front().map_or(Stage::EndOfData, |command| command.stage())
    }

    /// Where we are to have been when the connection is lost. Once a chunk is out to its last octet the server may have
    /// taken the message, whatever replies are still missing (RFC 1047, RFC 3030 §4.2): nobody can know.
    pub(super) fn lost(&self) -> Stage {
        let whole = matches!(self.body, Body::Sent) && self.expect.contains(&Command::Chunk);
        if whole { Stage::EndOfData } else { self.stage() }
    }

    /// The report, and whether the transaction was left open, once nothing is to be sent or awaited.
    pub(super) fn finish(self: Box<Self>) -> Result<(Report, bool), Box<Self>> {
        if !self.commands.is_empty() || !self.expect.is_empty() || self.wants_body() {
            return Err(self);
        }
        let failure = Failure { stage: Stage::Rcpt, cause: Cause::Closed };
        // Every recipient has a verdict here: each RCPT was answered, or MAIL settled them all.
        let verdicts = self.verdicts.into_iter().map(|verdict| verdict.unwrap_or_else(|| Err(failure.clone())));
        Ok((Report { verdicts: verdicts.collect() }, self.open))
    }

    /// The report when the connection is lost: what is not settled failed by `failure`, and RCPT's
    /// yes settles nothing, but the end's yes to one recipient does (LMTP).
    pub(super) fn cut(self, failure: &Failure) -> Report {
        let verdict = |(verdict, settled): (Option<Verdict>, bool)| match verdict {
            Some(Err(own)) => Err(own),
            Some(Ok(reply)) if settled => Ok(reply),
            Some(Ok(_)) | None => Err(failure.clone()),
        };
        Report { verdicts: self.verdicts.into_iter().zip(self.settled).map(verdict).collect() }
    }
}

impl Command {
    const fn stage(self) -> Stage {
        match self {
            Self::Rset | Self::Mail => Stage::Mail,
            Self::Rcpt(_) => Stage::Rcpt,
            Self::Data => Stage::Data,
            Self::Chunk | Self::End | Self::EndFor(_) => Stage::EndOfData,
        }
    }
}
