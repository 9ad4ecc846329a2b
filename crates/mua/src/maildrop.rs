//! Reading mail, whatever the protocol.

use mail::Timestamp;
use message::header::Header;

use crate::imap::ImapClient;
use crate::part::PartInfo;
use crate::pop3::Pop3Client;
use crate::{Login, MuaError, MuaResult, Protocol, ServerUrl, Trust};

/// One line of a list. Its texts are safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The number by which it is read: IMAP's UID; POP3's number, good for this session.
    pub number: u32,
    /// From, decoded.
    pub from: String,
    /// Subject, decoded.
    pub subject: String,
    /// The Date field; without one, when the message arrived, where the server tells.
    pub date: Option<Timestamp>,
    /// Octets.
    pub size: u64,
    /// Flags as IMAP names them; none over POP3.
    pub flags: Vec<String>,
}

impl Summary {
    pub(crate) fn of(number: u32, size: u64, flags: Vec<String>, header: &[u8], arrived: Option<Timestamp>) -> Self {
        let header = Header::of(header);
        let one_line = |text: Option<String>| crate::safe_text(&text.unwrap_or_default()).replace(['\n', '\t'], " ");
        Self {
            number,
            from: one_line(header.from()),
            subject: one_line(header.subject()),
            date: header.date().map(|date| date.timestamp).or(arrived).or_else(|| received(&header)),
            size,
            flags,
        }
    }
}

/// When the last server took it (RFC 5321 §4.4: behind the last semicolon of the topmost Received).
fn received(header: &Header<'_>) -> Option<Timestamp> {
    let field = header.get("Received")?;
    let value = field.unfolded();
    let at = value.iter().rposition(|octet| *octet == b';')?;
    message::date::parse(&value[at + 1..]).map(|date| date.timestamp)
}

/// A message for reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its header, raw.
    pub header: Vec<u8>,
    /// The text that a person reads; not yet safe to show.
    pub text: String,
    /// There is more of it than was fetched.
    pub cut: bool,
    /// Its parts.
    pub parts: Vec<PartInfo>,
}

impl Message {
    /// A header field's text, decoded; not yet safe to show.
    pub fn field(&self, name: &str) -> Option<String> {
        let field = Header::of(&self.header).get(name)?;
        Some(message::text::decode_words(&field.unfolded()))
    }
}

/// Who wants to know how far a transfer is.
pub trait Progress: Send {
    /// `done` of `total` octets.
    fn advance(&mut self, done: u64, total: u64);
}

/// Where what is saved goes.
pub trait Sink: Progress {
    /// The next octets.
    fn take(&mut self, octets: &[u8]) -> MuaResult<()>;
}

/// An open maildrop or mailbox.
pub enum Maildrop {
    /// Over IMAP.
    Imap(Box<ImapClient>),
    /// Over POP3.
    Pop3(Box<Pop3Client>),
}

/// A maildrop that was opened.
pub type Opened = MuaResult<Maildrop>;

impl Maildrop {
    /// Connects and logs in. `mailbox` is for IMAP; POP3 has only INBOX.
    pub async fn open(server: &ServerUrl, trust: &Trust, login: &Login, mailbox: &str) -> Opened {
        match server.protocol {
            Protocol::Imap => Ok(Self::Imap(Box::new(ImapClient::open(server, trust, login, mailbox).await?))),
            Protocol::Pop3 if mailbox.eq_ignore_ascii_case("INBOX") => {
                Ok(Self::Pop3(Box::new(Pop3Client::open(server, trust, login).await?)))
            }
            Protocol::Pop3 => Err(MuaError::new("POP3 knows only INBOX: use an imaps:// address for other mailboxes")),
            Protocol::Smtp => {
                Err(MuaError::new("SMTP only sends: use an imaps:// or pop3s:// address for reading mail"))
            }
        }
    }

    /// The newest `limit` messages, oldest of them first.
    pub async fn list(&mut self, limit: u32) -> MuaResult<Vec<Summary>> {
        match self {
            Self::Imap(client) => client.list(limit).await,
            Self::Pop3(client) => client.list(limit).await,
        }
    }

    /// A message for reading.
    pub async fn read(&mut self, number: u32, progress: &mut dyn Progress) -> MuaResult<Message> {
        match self {
            Self::Imap(client) => client.read(number).await,
            Self::Pop3(client) => client.read(number, progress).await,
        }
    }

    /// One part, decoded, handed on in pieces.
    pub async fn save(&mut self, number: u32, part: &str, sink: &mut dyn Sink) -> MuaResult<()> {
        match self {
            Self::Imap(client) => client.save(number, part, sink).await,
            Self::Pop3(client) => client.save(number, part, sink).await,
        }
    }

    /// The whole message as it is on the server.
    pub async fn save_whole(&mut self, number: u32, sink: &mut dyn Sink) -> MuaResult<()> {
        match self {
            Self::Imap(client) => client.save_whole(number, sink).await,
            Self::Pop3(client) => {
                let message = client.retrieve(number, sink).await?;
                sink.take(&message)
            }
        }
    }

    /// Says good-bye.
    pub async fn close(self) {
        match self {
            Self::Imap(client) => client.close().await,
            Self::Pop3(client) => client.close().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_a_date_has_that_of_its_arrival() {
        let date = |header: &str, arrived: Option<i64>| {
            Summary::of(1, 1, Vec::new(), header.as_bytes(), arrived.map(Timestamp::from_secs)).date
        };
        let at = |seconds| Some(Timestamp::from_secs(seconds));
        let received = "Received: from a; by b (x;y)\r\n\tid c; Thu, 26 Nov 2026 00:00:00 +0000\r\nReceived: d; x\r\n";
        let dated = format!("{received}Date: Thu, 26 Nov 2026 01:00:00 +0100\r\n\r\n");
        assert_eq!(date(&dated, Some(5)), at(1_795_651_200));
        assert_eq!(date(received, Some(5)), at(5));
        assert_eq!(date(received, None), at(1_795_651_200));
        assert_eq!(date("Subject: x\r\n", None), None);
    }
}
