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
    /// The Date field.
    pub date: Option<Timestamp>,
    /// Octets.
    pub size: u64,
    /// Flags as IMAP names them; none over POP3.
    pub flags: Vec<String>,
}

impl Summary {
    pub(crate) fn of(number: u32, size: u64, flags: Vec<String>, header: &[u8]) -> Self {
        let header = Header::of(header);
        let one_line = |text: Option<String>| crate::safe_text(&text.unwrap_or_default()).replace(['\n', '\t'], " ");
        Self {
            number,
            from: one_line(header.from()),
            subject: one_line(header.subject()),
            date: header.date().map(|date| date.timestamp),
            size,
            flags,
        }
    }
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
    pub async fn save(
        &mut self,
        number: u32,
        part: &str,
        progress: &mut dyn Progress,
        take: &mut (dyn FnMut(&[u8]) -> MuaResult<()> + Send),
    ) -> MuaResult<()> {
        match self {
            Self::Imap(client) => client.save(number, part, progress, take).await,
            Self::Pop3(client) => client.save(number, part, progress, take).await,
        }
    }

    /// The whole message as it is on the server.
    pub async fn save_whole(
        &mut self,
        number: u32,
        progress: &mut dyn Progress,
        take: &mut (dyn FnMut(&[u8]) -> MuaResult<()> + Send),
    ) -> MuaResult<()> {
        match self {
            Self::Imap(client) => client.save_whole(number, progress, take).await,
            Self::Pop3(client) => take(&client.retrieve(number, progress).await?),
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
