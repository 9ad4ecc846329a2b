//! A maildrop as one session sees it: the messages that were there at log-in, under the numbers they got then
//! (RFC 1939 §4), and which of them are to go at QUIT.

use mail::{Uid, UidValidity};

/// The messages at log-in, in order. A message's number is its place, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The mailbox's UIDVALIDITY: the first half of every unique-id.
    pub uid_validity: UidValidity,
    /// UID and octets of each message.
    pub messages: Vec<(Uid, u32)>,
}

#[derive(Debug)]
pub(super) struct Maildrop {
    listing: Listing,
    deleted: Vec<bool>,
}

/// A message that is there and not marked as deleted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message {
    pub(super) number: u32,
    pub(super) uid: Uid,
    pub(super) size: u32,
}

impl Maildrop {
    pub(super) fn new(listing: Listing) -> Self {
        let deleted = vec![false; listing.messages.len()];
        Self { listing, deleted }
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = Message> {
        let all = self.listing.messages.iter().zip(&self.deleted).zip(1u32..);
        all.filter(|((_, deleted), _)| !**deleted).map(|(((uid, size), _), number)| Message {
            number,
            uid: *uid,
            size: *size,
        })
    }

    pub(super) fn get(&self, number: u32) -> Result<Message, &'static str> {
        let index = (number as usize).wrapping_sub(1);
        let (uid, size) = *self.listing.messages.get(index).ok_or("there is no such message")?;
        if self.deleted[index] { Err("that message is marked as deleted") } else { Ok(Message { number, uid, size }) }
    }

    /// The messages from this one on that are not marked as deleted.
    pub(super) fn from(&self, uid: Uid) -> impl Iterator<Item = Uid> {
        let first = self.listing.messages.partition_point(|(other, _)| *other < uid);
        let rest = self.listing.messages.iter().zip(&self.deleted).skip(first);
        rest.filter(|(_, deleted)| !**deleted).map(|((uid, _), _)| *uid)
    }

    pub(super) fn delete(&mut self, number: u32) -> Result<(), &'static str> {
        self.get(number)?;
        self.deleted[number as usize - 1] = true;
        Ok(())
    }

    pub(super) fn undelete_all(&mut self) {
        self.deleted.fill(false);
    }

    /// Messages and their octets.
    pub(super) fn totals(&self) -> (usize, u64) {
        self.messages().fold((0, 0), |(count, octets), message| (count + 1, octets + u64::from(message.size)))
    }

    pub(super) fn deleted(&self) -> Vec<Uid> {
        let marked = self.listing.messages.iter().zip(&self.deleted).filter(|(_, deleted)| **deleted);
        marked.map(|((uid, _), _)| *uid).collect()
    }

    /// RFC 1939 §7 UIDL: 1 to 70 characters, the same in every session, never of another message. UIDs
    /// are never reused while UIDVALIDITY stays, and UIDVALIDITY is never reused.
    pub(super) fn unique_id(&self, message: Message) -> String {
        format!("{}.{}", self.listing.uid_validity.0, message.uid)
    }
}
