//! What the mail server says to a filter.

use std::net::{IpAddr, SocketAddr};

use super::{Malformed, Negotiation, text, texts, write_packet, write_text};

/// A command of the mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// What it can do.
    Negotiate(Negotiation),
    /// Names and values that the next command goes with.
    Macros(Stage, Vec<(&'a [u8], &'a [u8])>),
    /// A client's name and address.
    Connect(&'a [u8], Peer<'a>),
    /// What the client called itself.
    Hello(&'a [u8]),
    /// MAIL FROM: the path with its brackets, and parameters.
    Sender(Vec<&'a [u8]>),
    /// RCPT TO: the path with its brackets, and parameters.
    Recipient(Vec<&'a [u8]>),
    /// DATA.
    Data,
    /// A field: name and value.
    Header(&'a [u8], &'a [u8]),
    /// The header has ended.
    EndOfHeader,
    /// A piece of the body.
    Body(&'a [u8]),
    /// The message has ended, maybe with a last piece of its body.
    End(&'a [u8]),
    /// No message comes of what was begun.
    Abort,
    /// The session is over.
    Quit,
}

/// Where a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer<'a> {
    /// Somewhere on the network.
    At(SocketAddr),
    /// On this machine, by a socket of this name.
    Unix(&'a [u8]),
    /// Nobody knows.
    Unknown,
}

/// What macros go with, by the command's octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// [`Command::Connect`].
    Connect,
    /// [`Command::Hello`].
    Hello,
    /// [`Command::Sender`].
    Sender,
    /// [`Command::Recipient`].
    Recipient,
    /// [`Command::Data`].
    Data,
    /// [`Command::EndOfHeader`].
    EndOfHeader,
    /// [`Command::End`].
    End,
}

const STAGES: [(Stage, u8); 7] = [
    (Stage::Connect, b'C'),
    (Stage::Hello, b'H'),
    (Stage::Sender, b'M'),
    (Stage::Recipient, b'R'),
    (Stage::Data, b'T'),
    (Stage::EndOfHeader, b'N'),
    (Stage::End, b'E'),
];

impl<'a> Command<'a> {
    /// As a packet.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Negotiate(ours) => write_packet(out, b'O', |out| ours.write(out)),
            Self::Macros(stage, values) => write_packet(out, b'D', |out| {
                out.extend(STAGES.iter().filter(|(one, _)| one == stage).map(|(_, octet)| octet));
                for (name, value) in values {
                    write_text(out, name);
                    write_text(out, value);
                }
            }),
            Self::Connect(name, peer) => write_packet(out, b'C', |out| {
                write_text(out, name);
                peer.write(out);
            }),
            Self::Hello(name) => write_packet(out, b'H', |out| write_text(out, name)),
            Self::Sender(words) => write_packet(out, b'M', |out| words.iter().for_each(|word| write_text(out, word))),
            Self::Recipient(words) => {
                write_packet(out, b'R', |out| words.iter().for_each(|word| write_text(out, word)));
            }
            Self::Data => write_packet(out, b'T', |_| ()),
            Self::Header(name, value) => write_packet(out, b'L', |out| {
                write_text(out, name);
                write_text(out, value);
            }),
            Self::EndOfHeader => write_packet(out, b'N', |_| ()),
            Self::Body(piece) => write_packet(out, b'B', |out| out.extend_from_slice(piece)),
            Self::End(piece) => write_packet(out, b'E', |out| out.extend_from_slice(piece)),
            Self::Abort => write_packet(out, b'A', |_| ()),
            Self::Quit => write_packet(out, b'Q', |_| ()),
        }
    }

    /// From a [`super::packet`].
    ///
    /// # Errors
    /// It is none.
    pub fn read(packet: &'a [u8]) -> Result<Self, Malformed> {
        let Some((command, payload)) = packet.split_first() else { return Err(Malformed("a packet is empty")) };
        Ok(match command {
            b'O' => Self::Negotiate(Negotiation::read(payload)?),
            b'D' => {
                let Some((octet, payload)) = payload.split_first() else { return Err(Malformed("macros of nothing")) };
                let stage = STAGES.iter().find(|(_, known)| known == octet).ok_or(Malformed("macros of nothing"))?.0;
                let all = texts(payload)?;
                let (pairs, []) = all.as_chunks() else { return Err(Malformed("a macro has no value")) };
                Self::Macros(stage, pairs.iter().map(|[name, value]| (*name, *value)).collect())
            }
            b'C' => {
                let (name, rest) = text(payload)?;
                Self::Connect(name, Peer::read(rest)?)
            }
            b'H' => Self::Hello(text(payload)?.0),
            b'M' => Self::Sender(texts(payload)?),
            b'R' => Self::Recipient(texts(payload)?),
            b'T' => Self::Data,
            b'L' => {
                let (name, rest) = text(payload)?;
                Self::Header(name, text(rest)?.0)
            }
            b'N' => Self::EndOfHeader,
            b'B' => Self::Body(payload),
            b'E' => Self::End(payload),
            b'A' => Self::Abort,
            b'Q' => Self::Quit,
            _ => return Err(Malformed("nobody knows such a command")),
        })
    }
}

impl<'a> Peer<'a> {
    fn write(self, out: &mut Vec<u8>) {
        let (family, port, name) = match self {
            Self::At(address) => {
                let family = if address.is_ipv4() { b'4' } else { b'6' };
                (family, address.port(), address.ip().to_string().into_bytes())
            }
            Self::Unix(name) => (b'L', 0, name.to_vec()),
            // Nothing follows the family.
            Self::Unknown => return out.push(b'U'),
        };
        out.push(family);
        out.extend_from_slice(&port.to_be_bytes());
        write_text(out, &name);
    }

    fn read(payload: &'a [u8]) -> Result<Self, Malformed> {
        let no_address = Malformed("a client has no address");
        let (family, rest) = payload.split_first().ok_or(no_address)?;
        if *family == b'U' {
            return Ok(Self::Unknown);
        }
        let (port, rest) = rest.split_first_chunk().ok_or(no_address)?;
        let (name, _) = text(rest)?;
        if *family == b'L' {
            return Ok(Self::Unix(name));
        }
        let ip: IpAddr = std::str::from_utf8(name).ok().and_then(|ip| ip.parse().ok()).ok_or(no_address)?;
        if ip.is_ipv4() != (*family == b'4') {
            return Err(no_address);
        }
        Ok(Self::At(SocketAddr::new(ip, u16::from_be_bytes(*port))))
    }
}
