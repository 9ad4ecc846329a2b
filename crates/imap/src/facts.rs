//! What SORT and THREAD need to know of a message: found out of its header once, and kept for all sessions.

use std::sync::Arc;

use bytes::Bytes;
use mail::{BodyId, limits};
use message::envelope::{Envelope, EnvelopeAddress};
use message::header::Header;
use message::text::{decode_words, fold};
use store::{DigestPart, MessageRow, StoreError, StoreResult};

use crate::body::{Message, looked_at};
use crate::cache::Weighed;
use crate::host::End;
use crate::io::Io;
use crate::progress::Progress;
use crate::refusal::refusal;
use crate::session::Service;
use crate::view::View;
use wire::imap::reply::Reply;

/// Of one message: as octets, in which each is found when it is asked for, so that who sorts a hundred thousand messages by
/// their dates takes nothing apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts(Bytes);

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
    pub(crate) fn of(header: &Header<'_>) -> Self {
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
    pub(crate) const fn new(octets: Bytes) -> Self {
        Self(octets)
    }

    pub(crate) fn octets(&self) -> &[u8] {
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
    pub(crate) fn date(&self, row: &MessageRow) -> i64 {
        let sent = self.0.first_chunk().map(|octets| i64::from_le_bytes(*octets));
        sent.filter(|_| self.mark(HAS_DATE)).unwrap_or_else(|| row.internal_date.secs())
    }

    /// The base subject (RFC 5256 §2.1), folded.
    pub(crate) fn subject(&self) -> &str {
        self.text(Text::Subject)
    }

    /// The subject says that it is a reply or was forwarded.
    pub(crate) fn is_reply(&self) -> bool {
        self.mark(IS_REPLY)
    }

    /// The local part of the first address in From, folded.
    pub(crate) fn from(&self) -> &str {
        self.text(Text::From)
    }

    /// Of the first in To.
    pub(crate) fn to(&self) -> &str {
        self.text(Text::To)
    }

    /// Of the first in Cc.
    pub(crate) fn cc(&self) -> &str {
        self.text(Text::Cc)
    }

    /// The first address in From as people read it, folded (RFC 5957 §3).
    pub(crate) fn display_from(&self) -> &str {
        self.text(Text::DisplayFrom)
    }

    /// The first in To.
    pub(crate) fn display_to(&self) -> &str {
        self.text(Text::DisplayTo)
    }

    /// Message-ID without brackets.
    pub(crate) fn id(&self) -> Option<&str> {
        Some(self.text(Text::Id)).filter(|_| self.mark(HAS_ID))
    }

    /// What it refers to, oldest first.
    pub(crate) fn references(&self) -> impl Iterator<Item = &str> {
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

/// The facts of messages at these places of the view, in the same order; those that are gone are left out. The inner error
/// is the reply.
pub(crate) async fn collect(
    service: &Service,
    io: &mut Io<'_>,
    view: &View,
    places: &[usize],
) -> Result<Result<Vec<(usize, Facts)>, Reply>, End> {
    let mut facts: Vec<(usize, Option<Facts>)> = Vec::with_capacity(places.len());
    for batch in places.chunks(limits::IMAP_DIGESTS_AT_ONCE) {
        let rows: Vec<_> = batch.iter().filter_map(|place| Some((*place, view.told.get(*place)?))).collect();
        let uids: Vec<_> = rows.iter().map(|(_, row)| row.uid).collect();
        let digests = match service.store.digests(view.mailbox, DigestPart::Facts, &uids).await {
            Ok(digests) => digests,
            Err(error) => return Ok(Err(refusal(&error))),
        };
        let mut digests = digests.into_iter().peekable();
        for (place, row) in rows {
            let digest = digests.next_if(|(uid, _)| *uid == row.uid).map(|(_, octets)| octets);
            let digest = digest.filter(|octets| !octets.is_empty()).map(Facts::new);
            let known = || service.facts.get(key(row.body, row.size)).map(|facts| facts.as_ref().clone());
            facts.push((place, digest.or_else(known)));
        }
    }
    let unknown: Vec<_> = facts.iter().enumerate().filter(|(_, (_, known))| known.is_none()).collect();
    let unknown: Vec<_> =
        unknown.into_iter().filter_map(|(at, (place, _))| Some((at, view.told.get(*place)?))).collect();
    let mut progress = Progress::new(io, unknown.len());
    for batch in unknown.chunks(limits::IMAP_FETCH_BATCH) {
        let uids: Vec<_> = batch.iter().map(|(_, row)| row.uid).collect();
        let bodies = match service.store.bodies(view.mailbox, &uids).await {
            Ok(bodies) => bodies,
            Err(error) => return Ok(Err(refusal(&error))),
        };
        for (at, row) in batch {
            let Ok(found) = bodies.binary_search_by_key(&row.uid, |(uid, _)| *uid) else { continue };
            let mut message = Message::new(service, bodies[found].1.clone());
            match read(&mut message).await {
                Ok(read) => {
                    service.facts.put(key(row.body, row.size), Arc::new(read.clone()));
                    facts[*at].1 = Some(read);
                }
                Err(error) => return Ok(Err(refusal(&error))),
            }
        }
        progress.made(io, batch.len()).await?;
        // Others have their turn too.
        tokio::task::yield_now().await;
    }
    Ok(Ok(facts.into_iter().filter_map(|(place, facts)| Some((place, facts?))).collect()))
}

fn key(body: BodyId, size: u32) -> (BodyId, u64) {
    (body, u64::from(size))
}

pub(crate) async fn read(message: &mut Message<'_>) -> StoreResult<Facts> {
    let range = looked_at(message.header().await?);
    let header = message.read_whole(range).await?;
    Ok::<_, StoreError>(Facts::of(&Header::of(&header)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
