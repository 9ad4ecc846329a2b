//! What messages are sorted and put into conversations by: found out of a header once, and kept for all sessions.

use std::sync::Arc;

use bytes::Bytes;
use mail::{MailboxId, limits};
use message::envelope::{Envelope, EnvelopeAddress};
use message::header::Header;
use message::text::{decode_words, fold};
use store::{DigestPart, MessageRow, Store, StoreResult};

use crate::ahead::Ahead;
use crate::body::{Message, looked_at};
use crate::cache::{Cache, Key, Weighed};

/// Of one message: as octets, in which each is found when it is asked for, so that who sorts a hundred thousand messages by
/// their dates takes nothing apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts(Bytes);

/// Texts, in their order in the octets; what the message refers to follows.
#[derive(Clone, Copy)]
enum Text {
    Subject,
    From,
    To,
    Cc,
    DisplayFrom,
    DisplayTo,
    Id,
}

const TEXTS: usize = Text::Id as usize + 1;

/// Octets before the texts: the date, and two that say what else there is.
const HEAD: usize = 10;

const HAS_DATE: u8 = 1;
const IS_REPLY: u8 = 2;
const HAS_ID: u8 = 4;

impl Facts {
    /// Of a message with this header.
    pub fn of(header: &Header<'_>) -> Self {
        let envelope = Envelope::of(header);
        let subject = message::subject::base(&header.subject().unwrap_or_default());
        let (sent, id) = (header.date().map(|date| date.timestamp.secs()), header.message_id());
        let marks = [(sent.is_some(), HAS_DATE), (subject.is_reply, IS_REPLY), (id.is_some(), HAS_ID)];
        let marks = marks.iter().filter(|(is, _)| *is).fold(0, |all, (_, mark)| all | mark);
        let references = header.references(limits::IMAP_REFERENCES);
        let texts: [String; TEXTS] = [
            fold(&subject.text),
            local_part(&envelope.from),
            local_part(&envelope.to),
            local_part(&envelope.cc),
            display(&envelope.from),
            display(&envelope.to),
            id.map(|id| id.trim_matches(['<', '>']).to_owned()).unwrap_or_default(),
        ];
        let mut octets = sent.unwrap_or_default().to_le_bytes().to_vec();
        octets.extend_from_slice(&[marks, u8::try_from(references.len()).unwrap_or(u8::MAX)]);
        for text in texts.iter().chain(&references) {
            octets.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
            octets.extend_from_slice(text.as_bytes());
        }
        Self(octets.into())
    }

    /// Facts as [`Self::octets`] gave them.
    pub const fn new(octets: Bytes) -> Self {
        Self(octets)
    }

    /// All of them, for [`Self::new`].
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    fn mark(&self, mark: u8) -> bool {
        self.0.get(HEAD - 2).is_some_and(|marks| marks & mark != 0)
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let mut rest = self.0.get(HEAD..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (len, after) = rest.split_first_chunk()?;
            let (text, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            rest = after;
            std::str::from_utf8(text).ok()
        })
    }

    fn text(&self, text: Text) -> &str {
        self.texts().nth(text as usize).unwrap_or_default()
    }

    /// The moment that counts for DATE (RFC 5256 §2.2: INTERNALDATE where there is no valid Date): seconds since 1970, UTC.
    pub fn date(&self, row: &MessageRow) -> i64 {
        let sent = self.0.first_chunk().map(|octets| i64::from_le_bytes(*octets));
        sent.filter(|_| self.mark(HAS_DATE)).unwrap_or_else(|| row.internal_date.secs())
    }

    /// The base subject (RFC 5256 §2.1), folded.
    pub fn subject(&self) -> &str {
        self.text(Text::Subject)
    }

    /// The subject says that it is a reply or was forwarded.
    pub fn is_reply(&self) -> bool {
        self.mark(IS_REPLY)
    }

    /// The local part of the first address in From, folded.
    pub fn from(&self) -> &str {
        self.text(Text::From)
    }

    /// Of the first in To.
    pub fn to(&self) -> &str {
        self.text(Text::To)
    }

    /// Of the first in Cc.
    pub fn cc(&self) -> &str {
        self.text(Text::Cc)
    }

    /// The first address in From as people read it, folded (RFC 5957 §3).
    pub fn display_from(&self) -> &str {
        self.text(Text::DisplayFrom)
    }

    /// The first in To.
    pub fn display_to(&self) -> &str {
        self.text(Text::DisplayTo)
    }

    /// Message-ID without brackets.
    pub fn id(&self) -> Option<&str> {
        Some(self.text(Text::Id)).filter(|_| self.mark(HAS_ID))
    }

    /// What it refers to, oldest first.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.texts().skip(TEXTS).take(self.0.get(HEAD - 1).copied().unwrap_or(0).into())
    }
}

/// `addr-mailbox` of the first address (RFC 5256 §3); a group's is its name.
fn local_part(list: &[EnvelopeAddress]) -> String {
    let mailbox = list.first().and_then(|address| address.mailbox.as_deref()).unwrap_or_default();
    fold(&String::from_utf8_lossy(mailbox))
}

/// RFC 5957 §3: the display name decoded, else the address; `""` where there is none.
fn display(list: &[EnvelopeAddress]) -> String {
    let Some(first) = list.first() else { return String::new() };
    let shown = match first.name.as_deref() {
        Some(name) if !name.is_empty() => decode_words(name),
        _ => match (first.mailbox.as_deref(), first.host.as_deref()) {
            (Some(mailbox), Some(host)) => {
                format!("{}@{}", String::from_utf8_lossy(mailbox), String::from_utf8_lossy(host))
            }
            // A group is shown by its name.
            (Some(mailbox), None) => String::from_utf8_lossy(mailbox).into_owned(),
            _ => String::new(),
        },
    };
    fold(&shown)
}

impl Weighed for Facts {
    fn weight(&self) -> usize {
        std::mem::size_of::<Self>() + 128 + self.0.len()
    }
}

fn key(row: &MessageRow) -> Key {
    (row.body, u64::from(row.size))
}

/// The facts of messages (by UID, ascending) as far as they are known already.
pub async fn known(
    store: &dyn Store,
    cache: &Cache<Facts>,
    mailbox: MailboxId,
    rows: &[MessageRow],
) -> StoreResult<Vec<Option<Facts>>> {
    let mut facts = Vec::with_capacity(rows.len());
    let mut ahead = Ahead::new(rows.chunks(limits::IMAP_DIGESTS_AT_ONCE), |rows: &&[MessageRow]| {
        let uids: Vec<_> = rows.iter().map(|row| row.uid).collect();
        async move { store.digests(mailbox, DigestPart::Facts, &uids).await }
    });
    while let Some((rows, digests)) = ahead.next().await {
        let mut digests = digests?.into_iter().peekable();
        for row in rows {
            let digest = digests.next_if(|(uid, _)| *uid == row.uid).map(|(_, octets)| octets);
            let digest = digest.filter(|octets| !octets.is_empty()).map(Facts::new);
            facts.push(digest.or_else(|| cache.get(key(row)).map(|facts| facts.as_ref().clone())));
        }
    }
    Ok(facts)
}

/// Finds the facts out of the message, and keeps them.
pub async fn read(cache: &Cache<Facts>, row: &MessageRow, message: &mut Message<'_>) -> StoreResult<Facts> {
    let range = looked_at(message.header().await?);
    let header = message.read_whole(range).await?;
    let facts = Facts::of(&Header::of(&header));
    cache.put(key(row), Arc::new(facts.clone()));
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::BodyId;

    #[test]
    fn facts_are_found_in_their_octets() {
        let header = b"Date: Sun, 1 Nov 2026 12:00:00 +0000\r\nSubject: Re: Gr\xc3\xbc\xc3\x9fe\r\nFrom: Bob <Bob@b.example>\r\n\
            To: a@a.example\r\nCc: c@c.example\r\nMessage-ID: <3@x>\r\nReferences: <1@x> <2@x>\r\n\r\n";
        let facts = Facts::new(Bytes::copy_from_slice(Facts::of(&Header::of(header)).octets()));
        let row = row();
        assert_eq!((facts.date(&row), facts.is_reply(), facts.id()), (1_793_534_400, true, Some("3@x")));
        assert_eq!([facts.subject(), facts.from(), facts.to(), facts.cc()], ["grusse", "bob", "a", "c"]);
        assert_eq!([facts.display_from(), facts.display_to()], ["bob", "a@a.example"]);
        assert_eq!(facts.references().collect::<Vec<_>>(), ["1@x", "2@x"]);
        // Without fields there is nothing, and half of the octets give nothing wrong.
        let nothing = Facts::of(&Header::of(b"\r\n"));
        assert_eq!((nothing.date(&row), nothing.id(), nothing.references().count()), (7, None, 0));
        for len in 0..facts.0.len() {
            let part = Facts::new(facts.0.slice(..len));
            assert!(part.references().count() < 2 && ["grusse", ""].contains(&part.subject()));
        }
    }

    fn row() -> MessageRow {
        MessageRow {
            uid: mail::Uid::FIRST,
            flags: mail::Flags::NONE,
            keywords: 0,
            modseq: mail::ModSeq(1),
            created: mail::ModSeq(1),
            size: 1,
            internal_date: mail::Timestamp::from_secs(7),
            saved: mail::Timestamp::from_secs(7),
            body: BodyId(1),
            thread: mail::ThreadId(1),
        }
    }
}
