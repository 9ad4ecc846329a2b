//! Whole sessions, from the greeting to the end.

pub mod http;
pub mod imap;
pub mod jmap;
pub mod pop3;
pub mod smtp_client;
pub mod smtp_server;
pub(crate) mod world;

/// The first octet of an input says what the connection is like and how its bytes are cut; the rest is what is sent.
pub(crate) struct Shape<'a> {
    /// Bits that nobody has used yet.
    pub(crate) bits: u8,
    pub(crate) sent: &'a [u8],
}

impl<'a> Shape<'a> {
    pub(crate) fn of(data: &'a [u8]) -> Option<Self> {
        data.split_first().map(|(bits, sent)| Self { bits: *bits, sent })
    }

    /// Takes one bit.
    pub(crate) fn bit(&mut self) -> bool {
        let bit = self.bits & 1 == 1;
        self.bits >>= 1;
        bit
    }

    /// What is sent, in pieces, `first` before it: whole lines where the bit says so.
    pub(crate) fn pieces(&mut self, first: &[u8]) -> Vec<Vec<u8>> {
        let mut pieces: Vec<Vec<u8>> = vec![first.to_vec()];
        match self.bit() {
            false => pieces.push(self.sent.to_vec()),
            true => pieces.extend(self.sent.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec)),
        }
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }
}
