//! What a filter answers.

use super::{Malformed, Negotiation, number, text, write_packet, write_text};

/// An answer of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response<'a> {
    /// What it will do.
    Negotiate(Negotiation),
    /// Go on.
    Continue,
    /// It has seen enough of the message, or of the session, and has nothing against it.
    Accept,
    /// Refuse with 5yz.
    Reject,
    /// Refuse with 4yz.
    TempFail,
    /// Take it and throw it away.
    Discard,
    /// It has seen enough of one kind: recipients, fields, pieces of a body.
    Skip,
    /// Still at work.
    Progress,
    /// Refuse with these words; [`super::reply`] reads them.
    Reply(&'a [u8]),
    /// Refuse with 421, and end the session.
    Shutdown,
    /// Refuse the connection, for now.
    ConnectionFailed,
    /// Keep the message back, and why.
    Quarantine(&'a [u8]),
    /// A field at the end of the header.
    AddHeader(&'a [u8], &'a [u8]),
    /// A field at a place; 0 and 1 are the top.
    InsertHeader(u32, &'a [u8], &'a [u8]),
    /// The n-th field of a name, from 1, gets another value; an empty one: it goes.
    ChangeHeader(u32, &'a [u8], &'a [u8]),
    /// Somebody more gets it; with parameters of RCPT.
    AddRecipient(&'a [u8], Option<&'a [u8]>),
    /// Somebody gets it not.
    DeleteRecipient(&'a [u8]),
    /// Somebody else sent it; with parameters of MAIL.
    ChangeSender(&'a [u8], Option<&'a [u8]>),
    /// The next piece of another body.
    ReplaceBody(&'a [u8]),
}

impl<'a> Response<'a> {
    /// As a packet.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Negotiate(theirs) => write_packet(out, b'O', |out| theirs.write(out)),
            Self::Continue => write_packet(out, b'c', |_| ()),
            Self::Accept => write_packet(out, b'a', |_| ()),
            Self::Reject => write_packet(out, b'r', |_| ()),
            Self::TempFail => write_packet(out, b't', |_| ()),
            Self::Discard => write_packet(out, b'd', |_| ()),
            Self::Skip => write_packet(out, b's', |_| ()),
            Self::Progress => write_packet(out, b'p', |_| ()),
            Self::Reply(words) => write_packet(out, b'y', |out| write_text(out, words)),
            Self::Shutdown => write_packet(out, b'4', |_| ()),
            Self::ConnectionFailed => write_packet(out, b'f', |_| ()),
            Self::Quarantine(why) => write_packet(out, b'q', |out| write_text(out, why)),
            Self::AddHeader(name, value) => write_packet(out, b'h', |out| {
                write_text(out, name);
                write_text(out, value);
            }),
            Self::InsertHeader(index, name, value) => write_field(out, b'i', *index, name, value),
            Self::ChangeHeader(index, name, value) => write_field(out, b'm', *index, name, value),
            Self::AddRecipient(address, None) => write_packet(out, b'+', |out| write_text(out, address)),
            Self::AddRecipient(address, Some(parameters)) => write_packet(out, b'2', |out| {
                write_text(out, address);
                write_text(out, parameters);
            }),
            Self::DeleteRecipient(address) => write_packet(out, b'-', |out| write_text(out, address)),
            Self::ChangeSender(address, parameters) => write_packet(out, b'e', |out| {
                write_text(out, address);
                parameters.iter().for_each(|parameters| write_text(out, parameters));
            }),
            Self::ReplaceBody(piece) => write_packet(out, b'b', |out| out.extend_from_slice(piece)),
        }
    }

    /// From a [`super::packet`].
    ///
    /// # Errors
    /// It is none.
    pub fn read(packet: &'a [u8]) -> Result<Self, Malformed> {
        let Some((command, payload)) = packet.split_first() else { return Err(Malformed("a packet is empty")) };
        let pair = || {
            let (first, rest) = text(payload)?;
            Ok::<_, Malformed>((first, text(rest)?.0))
        };
        let field = || {
            let (index, rest) = number(payload)?;
            let (name, rest) = text(rest)?;
            Ok::<_, Malformed>((index, name, text(rest)?.0))
        };
        Ok(match command {
            b'O' => Self::Negotiate(Negotiation::read(payload)?),
            b'c' => Self::Continue,
            b'a' => Self::Accept,
            b'r' => Self::Reject,
            b't' => Self::TempFail,
            b'd' => Self::Discard,
            b's' => Self::Skip,
            b'p' => Self::Progress,
            b'y' => Self::Reply(text(payload)?.0),
            b'4' => Self::Shutdown,
            b'f' => Self::ConnectionFailed,
            b'q' => Self::Quarantine(text(payload)?.0),
            b'h' => pair().map(|(name, value)| Self::AddHeader(name, value))?,
            b'i' => field().map(|(index, name, value)| Self::InsertHeader(index, name, value))?,
            b'm' => field().map(|(index, name, value)| Self::ChangeHeader(index, name, value))?,
            b'+' => Self::AddRecipient(text(payload)?.0, None),
            b'2' => {
                let (address, rest) = text(payload)?;
                Self::AddRecipient(address, Some(if rest.is_empty() { rest } else { text(rest)?.0 }))
            }
            b'-' => Self::DeleteRecipient(text(payload)?.0),
            b'e' => {
                let (address, rest) = text(payload)?;
                Self::ChangeSender(address, if rest.is_empty() { None } else { Some(text(rest)?.0) })
            }
            b'b' => Self::ReplaceBody(payload),
            _ => return Err(Malformed("nobody knows such an answer")),
        })
    }
}

fn write_field(out: &mut Vec<u8>, command: u8, index: u32, name: &[u8], value: &[u8]) {
    write_packet(out, command, |out| {
        out.extend_from_slice(&index.to_be_bytes());
        write_text(out, name);
        write_text(out, value);
    });
}
