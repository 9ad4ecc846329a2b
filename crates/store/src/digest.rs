//! Digests: what was found out of a message once, so that nobody need read it again for the same.
//!
//! A digest may be lost at any time and is made anew; a message that has none is read. The engine keeps octets and marks
//! and does not know what they mean: who makes them does.

use std::sync::Arc;

use mail::{MailboxId, Uid};

use crate::Body;

/// A part of a digest: kept and read by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestPart {
    /// How the message is described to a client.
    Description,
    /// Its header, but for what nobody asks for.
    Header,
    /// What messages are sorted and put into conversations by.
    Facts,
}

impl DigestPart {
    /// All of them, in the order in which [`Digest::parts`] has them.
    pub const ALL: [Self; 3] = [Self::Description, Self::Header, Self::Facts];
}

/// Of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// In the order of [`DigestPart::ALL`].
    pub parts: [Vec<u8>; DigestPart::ALL.len()],
    /// What stands in its text.
    pub marks: Marks,
}

/// A set of numbers below [`Marks::COUNT`]: what a search for some of them must find has all of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks(Box<[u8]>);

impl Marks {
    /// How many different marks there are. A text of 5 KB has an eighth of them, one of 50 KB two fifths.
    pub const COUNT: u16 = 1 << 14;

    /// Octets that a set takes.
    pub const LEN: usize = Self::COUNT as usize / 8;

    /// A set as [`Self::bytes`] gave it; `None` where the octets are no set.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == Self::LEN).then(|| Self(bytes.into()))
    }

    /// The set as octets.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Puts a mark in; one that is too high counts from the beginning again.
    pub fn insert(&mut self, mark: u16) {
        let mark = usize::from(mark % Self::COUNT);
        self.0[mark / 8] |= 1 << (mark % 8);
    }

    /// Whether a mark is in it.
    pub fn contains(&self, mark: u16) -> bool {
        let mark = usize::from(mark % Self::COUNT);
        self.0[mark / 8] & 1 << (mark % 8) != 0
    }

    /// The marks in it, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        let of = |(at, byte): (usize, &u8)| {
            let byte = *byte;
            (0..8).filter(move |bit| byte & 1 << bit != 0).map(move |bit| (at * 8 + bit) as u16)
        };
        self.0.iter().enumerate().filter(|(_, byte)| **byte != 0).flat_map(of)
    }
}

impl Default for Marks {
    fn default() -> Self {
        Self(vec![0; Self::LEN].into())
    }
}

/// A message that has no digest yet.
pub struct Undigested {
    /// Its mailbox.
    pub mailbox: MailboxId,
    /// Its UID.
    pub uid: Uid,
    /// Its octets.
    pub body: Arc<dyn Body>,
}

/// A digest on its way to be kept; `None`: the message can't be read, and gets none.
#[derive(Clone, Debug)]
pub struct Digested {
    /// The message's mailbox.
    pub mailbox: MailboxId,
    /// Its UID.
    pub uid: Uid,
    /// What was found out.
    pub digest: Option<Digest>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_a_set() {
        let mut marks = Marks::default();
        for mark in [5, 0, Marks::COUNT - 1, 5, Marks::COUNT + 7] {
            marks.insert(mark);
        }
        assert_eq!(marks.iter().collect::<Vec<_>>(), [0, 5, 7, Marks::COUNT - 1]);
        assert!(marks.contains(5) && !marks.contains(6));
        assert_eq!(Marks::new(marks.bytes()), Some(marks));
        assert_eq!(Marks::new(&[0; 5]), None);
    }
}
