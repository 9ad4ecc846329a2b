//! Messages, what the server thinks of them, and what must become of them.

use mail::{Address, BodyType, Domain, DsnReturn, Notify, Recipient, Reply, ReversePath, limits};
use testkit::random::Random;
use wire::smtp::client::{Capabilities, Transaction};

/// What the server says to a step of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Take,
    Never,
    /// At the first try; the second is taken.
    Later,
}

impl Manner {
    fn any(random: &mut Random, refusals: usize) -> Self {
        match random.below(100) {
            n if n < refusals => Self::Never,
            n if n < 2 * refusals => Self::Later,
            _ => Self::Take,
        }
    }

    pub fn verdict(self, attempt: usize) -> Result<(), Reply> {
        match self {
            Self::Later if attempt == 0 => Err(Reply::new(451, (4, 7, 1), "not yet")),
            Self::Never => Err(Reply::new(550, (5, 1, 1), "never")),
            _ => Ok(()),
        }
    }
}

/// A message to send.
#[derive(Clone, Debug)]
pub struct Letter {
    pub sender: ReversePath,
    pub recipients: Vec<(Recipient, Manner)>,
    pub body: Vec<u8>,
    pub kind: BodyType,
    pub utf8: bool,
    pub mail: Manner,
    pub data: Manner,
    pub end: Manner,
    pub dsn_return: Option<DsnReturn>,
    pub envelope_id: Option<String>,
}

pub fn address(local: &str) -> Address {
    Address::new(local, Domain::from_ascii("blue.example").unwrap()).unwrap()
}

/// Lines that have broken servers before.
const LINES: [&[u8]; 8] = [b".", b"..", b"", b"Subject: x", b".\t", b"QUIT", b"354 go", b"From here on"];

impl Letter {
    /// The plainest: two recipients, all taken.
    pub fn plain(number: usize) -> Self {
        Self {
            sender: ReversePath::Address(address(&format!("m{number}"))),
            recipients: ["a", "b"].map(|local| (Recipient::new(address(local)), Manner::Take)).to_vec(),
            body: b"Subject: x\r\n\r\n.\r\n..\r\n".to_vec(),
            kind: BodyType::SevenBit,
            utf8: false,
            mail: Manner::Take,
            data: Manner::Take,
            end: Manner::Take,
            dsn_return: None,
            envelope_id: None,
        }
    }

    pub fn any(number: usize, random: &mut Random) -> Self {
        let mut letter = Self::plain(number);
        letter.utf8 = random.below(8) == 0;
        letter.recipients = (0..1 + random.below(6)).map(|n| Self::recipient(n, letter.utf8, random)).collect();
        letter.kind = [BodyType::SevenBit, BodyType::EightBitMime, BodyType::BinaryMime][random.below(12).min(2) % 3];
        letter.body = match letter.kind {
            BodyType::BinaryMime => (0..random.below(300)).map(|_| random.next() as u8).collect(),
            _ => lines(random),
        };
        letter.mail = Manner::any(random, 5);
        letter.data = Manner::any(random, 4);
        letter.end = Manner::any(random, 8);
        letter.dsn_return = [None, Some(DsnReturn::Full), Some(DsnReturn::Headers)][random.below(3)];
        letter.envelope_id = (random.below(3) == 0).then(|| format!("id+{number} =x"));
        letter
    }

    fn recipient(n: usize, utf8: bool, random: &mut Random) -> (Recipient, Manner) {
        let local = if utf8 && random.below(2) == 0 { format!("\u{6f22}{n}") } else { format!("r{n}") };
        let mut recipient = Recipient::new(address(&local));
        if random.below(3) == 0 {
            let on = || Notify { given: true, success: true, failure: true, delay: false };
            recipient.notify = if random.below(2) == 0 { Notify::NEVER } else { on() };
            recipient.original = Some(format!("rfc822;old+{n}@red.example"));
        }
        (recipient, Manner::any(random, 10))
    }

    /// As the client is told, for these of its recipients.
    pub fn transaction(&self, recipients: &[usize]) -> Transaction {
        Transaction {
            sender: self.sender.clone(),
            recipients: recipients.iter().map(|n| self.recipients[*n].0.clone()).collect(),
            size: self.body.len() as u64,
            body: self.kind,
            utf8: self.utf8,
            dsn_return: self.dsn_return,
            envelope_id: self.envelope_id.clone(),
        }
    }

    /// Which of these recipients a server that offers this takes, if nothing breaks.
    pub fn taken(&self, recipients: &[usize], offers: &Capabilities, most: usize, attempt: usize) -> Vec<usize> {
        let lacks = (self.utf8 && !offers.smtputf8)
            || (self.kind == BodyType::BinaryMime && !(offers.binary_mime && offers.chunking));
        let steps = [self.mail, self.data, self.end];
        if lacks || steps.iter().any(|step| step.verdict(attempt).is_err()) {
            return Vec::new();
        }
        let ok = |n: &&usize| self.recipients[**n].1.verdict(attempt).is_ok();
        recipients.iter().filter(ok).take(most).copied().collect()
    }

    /// The bytes as they must arrive. By DATA, a message ends with a line end (RFC 5321 §4.1.1.4).
    pub fn arrived(&self, bytes: &[u8]) -> bool {
        bytes == self.body || (!self.body.ends_with(b"\r\n") && bytes.strip_suffix(b"\r\n") == Some(&self.body[..]))
    }
}

fn lines(random: &mut Random) -> Vec<u8> {
    let mut body = Vec::new();
    for _ in 0..random.below(9) {
        body.extend_from_slice(LINES[random.below(LINES.len())]);
        body.extend_from_slice(b"\r\n");
    }
    if random.below(20) == 0 {
        // Larger than what goes in one flight.
        while body.len() <= limits::SMTP_ONE_FLIGHT {
            body.extend_from_slice(b".a long message's line, and so on and so on and so on and so on and so on\r\n");
        }
    }
    if random.below(6) == 0 {
        body.extend_from_slice(b"no end of line");
    }
    body
}
