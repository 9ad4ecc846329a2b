//! How a conversation ended: for each recipient, and for the connection.

use std::fmt;
use std::time::Duration;

use mail::Reply;

/// At which point something happened; names are those of the journey's `stage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Opening the connection.
    Connect,
    /// Its greeting.
    Greeting,
    /// EHLO or HELO.
    Ehlo,
    /// STARTTLS and the handshake.
    StartTls,
    /// AUTH.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA, up to its 354.
    Data,
    /// The message itself and the reply to its end.
    EndOfData,
    /// QUIT, or while idle.
    Quit,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Greeting => "greeting",
            Self::Ehlo => "ehlo",
            Self::StartTls => "starttls",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::EndOfData => "end-of-data",
            Self::Quit => "quit",
        })
    }
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The server said so.
    Reply(Reply),
    /// The connection ended without a word.
    Closed,
    /// Nothing came for so long.
    TimedOut(Duration),
    /// What came was no SMTP.
    NotSmtp(&'static str),
    /// The network or TLS failed, with its words.
    Broken(String),
    /// The server takes no message of this size (RFC 1870 §6.1).
    TooBig(u64),
    /// The server lacks what this message or our configuration needs.
    Lacks(&'static str),
}

/// What went wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Where.
    pub stage: Stage,
    /// What.
    pub cause: Cause,
}

impl Failure {
    /// Whether trying again is of no use.
    pub fn is_permanent(&self) -> bool {
        match &self.cause {
            // 503 says that the two ends disagree on where they are, nothing of the message: the next
            // connection begins anew.
            Cause::Reply(reply) => reply.code.is_permanent() && reply.code.get() != 503,
            Cause::TooBig(_) => true,
            Cause::Lacks(_) => matches!(self.stage, Stage::Mail | Stage::Rcpt),
            Cause::Closed | Cause::TimedOut(_) | Cause::NotSmtp(_) | Cause::Broken(_) => false,
        }
    }

    /// Whether the server itself answered, rather than the way to it.
    pub const fn reply(&self) -> Option<&Reply> {
        match &self.cause {
            Cause::Reply(reply) => Some(reply),
            _ => None,
        }
    }

    /// The RFC 3463 code for a report: the server's own, else ours.
    pub fn status(&self) -> (u8, u16, u16) {
        match &self.cause {
            Cause::Reply(reply) => match reply.enhanced {
                Some(code) if code.class == 5 && !self.is_permanent() => (4, code.subject, code.detail),
                Some(code) => (code.class, code.subject, code.detail),
                None => (if self.is_permanent() { 5 } else { 4 }, 0, 0),
            },
            // RFC 3463 §3.5: 4.4.1 no answer, 4.4.2 bad connection, 4.5.0 protocol; §3.4: 5.3.4 too big.
            Cause::TimedOut(_) if self.stage == Stage::Connect => (4, 4, 1),
            Cause::Broken(_) if self.stage == Stage::Connect => (4, 4, 1),
            Cause::Closed | Cause::TimedOut(_) | Cause::Broken(_) => (4, 4, 2),
            Cause::NotSmtp(_) => (4, 5, 0),
            Cause::TooBig(_) => (5, 3, 4),
            // RFC 6531 §3.5: 5.6.7 for addresses; RFC 3463 §3.7: 5.6.3 conversion required but not supported.
            Cause::Lacks("SMTPUTF8") => (5, 6, 7),
            Cause::Lacks(_) if self.is_permanent() => (5, 6, 3),
            Cause::Lacks(_) => (4, 7, 0),
        }
    }
}

/// For people: the other side's words with their code, or what failed.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Reply(reply) => reply.fmt(f),
            Cause::Closed => f.write_str("the server closed the connection"),
            Cause::TimedOut(wait) => write!(f, "the server did not answer within {} s", wait.as_secs()),
            Cause::NotSmtp(why) => write!(f, "the server's answer makes no sense: {why}"),
            Cause::Broken(why) => f.write_str(why),
            Cause::TooBig(limit) => write!(f, "the server takes messages of at most {limit} octets"),
            Cause::Lacks(what) => write!(f, "the server does not offer {what}, which is needed"),
        }
    }
}

impl std::error::Error for Failure {}

/// What became of one recipient: the reply that took responsibility, or what stood in the way.
pub type Verdict = Result<Reply, Failure>;

/// The end of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// One for each recipient, in their order.
    pub verdicts: Vec<Verdict>,
}
