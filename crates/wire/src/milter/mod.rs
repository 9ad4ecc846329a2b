//! The milter protocol, version 6, as Sendmail and Postfix speak it with filters: packets, commands, answers.
//!
//! **Does:** cuts a stream into packets ([`packet`]), writes and reads what the mail server says ([`Command`]) and what the
//! filter answers ([`Response`]), and the capabilities that both agree on ([`Negotiation`]).
//!
//! **Does not:** know a message, a session's order or what an answer means: that is `mta::milter`.
//!
//! **Data:** octets on one side, borrowed values on the other; a packet is bounded by `limits::MILTER_PACKET_LEN`. There is no
//! RFC; libmilter of Sendmail 8.18 (`include/libmilter/mfdef.h`) is the reference.

mod command;
mod reply;
mod response;
#[cfg(test)]
mod tests;

use std::fmt;

use mail::limits;

pub use command::{Command, Peer, Stage};
pub use reply::reply;
pub use response::Response;

/// The version that is spoken (`SMFI_PROT_VERSION`).
pub const VERSION: u32 = 6;

/// Octets of a body in one packet (`MILTER_CHUNK_SIZE`).
pub const CHUNK: usize = 65_535;

/// What a filter may do with a message (`SMFIF_*`).
pub mod actions {
    /// Add and insert fields.
    pub const ADD_HEADERS: u32 = 0x01;
    /// Replace the body.
    pub const CHANGE_BODY: u32 = 0x02;
    /// Add recipients.
    pub const ADD_RECIPIENTS: u32 = 0x04;
    /// Take recipients away.
    pub const DELETE_RECIPIENTS: u32 = 0x08;
    /// Change and delete fields.
    pub const CHANGE_HEADERS: u32 = 0x10;
    /// Have the message kept back.
    pub const QUARANTINE: u32 = 0x20;
    /// Change the sender.
    pub const CHANGE_SENDER: u32 = 0x40;
    /// Add recipients with parameters.
    pub const ADD_RECIPIENTS_WITH: u32 = 0x80;
    /// Say which macros it wants.
    pub const CHOOSE_MACROS: u32 = 0x100;
    /// All of them.
    pub const ALL: u32 = 0x1ff;
}

/// What a filter does not want to see or to answer (`SMFIP_*`).
pub mod steps {
    /// No connection.
    pub const NO_CONNECT: u32 = 0x01;
    /// No HELO.
    pub const NO_HELLO: u32 = 0x02;
    /// No MAIL.
    pub const NO_SENDER: u32 = 0x04;
    /// No RCPT.
    pub const NO_RECIPIENT: u32 = 0x08;
    /// No body.
    pub const NO_BODY: u32 = 0x10;
    /// No fields.
    pub const NO_HEADERS: u32 = 0x20;
    /// Not the end of the header.
    pub const NO_END_OF_HEADER: u32 = 0x40;
    /// It does not answer a field.
    pub const MUTE_HEADER: u32 = 0x80;
    /// Not DATA.
    pub const NO_DATA: u32 = 0x200;
    /// It may say that it has seen enough of one kind.
    pub const SKIP: u32 = 0x400;
    /// It does not answer a connection.
    pub const MUTE_CONNECT: u32 = 0x1000;
    /// It does not answer HELO.
    pub const MUTE_HELLO: u32 = 0x2000;
    /// It does not answer MAIL.
    pub const MUTE_SENDER: u32 = 0x4000;
    /// It does not answer RCPT.
    pub const MUTE_RECIPIENT: u32 = 0x8000;
    /// It does not answer DATA.
    pub const MUTE_DATA: u32 = 0x1_0000;
    /// It does not answer the end of the header.
    pub const MUTE_END_OF_HEADER: u32 = 0x4_0000;
    /// It does not answer a piece of a body.
    pub const MUTE_BODY: u32 = 0x8_0000;
    /// Values of fields have the space that follows their colon.
    pub const LEADING_SPACE: u32 = 0x10_0000;
    /// All that is offered: what is above, and commands that nobody knows (0x100, 0x2_0000), which filters are never shown,
    /// and recipients that were refused (0x800), which they are not shown either.
    pub const ALL: u32 = 0x1f_ffff;
}

/// `SMFIC_OPTNEG`: what one side can do, and what both will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiation {
    /// The protocol's version.
    pub version: u32,
    /// [`actions`].
    pub actions: u32,
    /// [`steps`].
    pub steps: u32,
}

impl Negotiation {
    /// What we offer.
    pub const OURS: Self = Self { version: VERSION, actions: actions::ALL, steps: steps::ALL };

    fn write(self, out: &mut Vec<u8>) {
        for number in [self.version, self.actions, self.steps] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }

    /// What follows (which macros are wanted at which stage) is not needed: all that are known are sent always.
    fn read(payload: &[u8]) -> Result<Self, Malformed> {
        let (version, rest) = number(payload)?;
        let (actions, rest) = number(rest)?;
        let (steps, _) = number(rest)?;
        Ok(Self { version, actions, steps })
    }
}

/// The other side does not speak the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it does not speak the milter protocol: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// The first packet of `input`, from its command on, and how many octets it takes; none: it is not whole.
///
/// # Errors
/// No packet is so long, or so short.
pub fn packet(input: &[u8]) -> Result<Option<(&[u8], usize)>, Malformed> {
    let Ok((length, rest)) = number(input) else { return Ok(None) };
    match usize::try_from(length) {
        Ok(0) => Err(Malformed("a packet is empty")),
        Ok(length) if length <= limits::MILTER_PACKET_LEN => {
            Ok(rest.get(..length).map(|packet| (packet, length + size_of::<u32>())))
        }
        _ => Err(Malformed("a packet is too long")),
    }
}

/// Writes a packet whose content `fill` writes.
fn write_packet(out: &mut Vec<u8>, command: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; size_of::<u32>()]);
    out.push(command);
    fill(out);
    let length = u32::try_from(out.len() - at - size_of::<u32>()).unwrap_or(u32::MAX);
    out[at..at + size_of::<u32>()].copy_from_slice(&length.to_be_bytes());
}

/// A text and the NUL that ends it; a NUL within would end it earlier, and is left out.
fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text.iter().copied().filter(|b| *b != 0));
    out.push(0);
}

fn number(bytes: &[u8]) -> Result<(u32, &[u8]), Malformed> {
    match bytes.split_first_chunk() {
        Some((number, rest)) => Ok((u32::from_be_bytes(*number), rest)),
        None => Err(Malformed("a number is cut off")),
    }
}

/// A text up to its NUL.
fn text(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    match memchr::memchr(0, bytes) {
        Some(end) => Ok((&bytes[..end], &bytes[end + 1..])),
        None => Err(Malformed("a text has no end")),
    }
}

/// Texts to the end.
fn texts(mut bytes: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (one, rest) = text(bytes)?;
        all.push(one);
        bytes = rest;
    }
    Ok(all)
}
