//! What SORT and THREAD need to know of a message: found out of its header once, and kept for all sessions.

use std::sync::Arc;

use mail::{BodyId, limits};
use message::envelope::{Envelope, EnvelopeAddress};
use message::header::Header;
use message::text::{decode_words, fold};
use store::{MessageRow, StoreError, StoreResult};

use crate::body::{Message, looked_at};
use crate::cache::Weighed;
use crate::host::End;
use crate::io::Io;
use crate::progress::Progress;
use crate::refusal::refusal;
use crate::session::Service;
use crate::view::View;
use wire::imap::reply::Reply;

/// Of one message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The Date field in seconds since 1970, UTC (RFC 5256 §2.2).
    pub(crate) sent: Option<i64>,
    /// The base subject (RFC 5256 §2.1), folded.
    pub(crate) subject: Box<str>,
    /// The subject says that it is a reply or was forwarded.
    pub(crate) is_reply: bool,
    /// Local parts of the first addresses, folded.
    pub(crate) from: Box<str>,
    pub(crate) to: Box<str>,
    pub(crate) cc: Box<str>,
    /// The first addresses as people read them, folded (RFC 5957 §3).
    pub(crate) display_from: Box<str>,
    pub(crate) display_to: Box<str>,
    /// Message-ID without brackets.
    pub(crate) id: Option<Box<str>>,
    /// What it refers to, oldest first.
    pub(crate) references: Box<[Box<str>]>,
}

impl Facts {
    pub(crate) fn of(header: &Header<'_>) -> Self {
        let envelope = Envelope::of(header);
        let subject = message::subject::base(&header.subject().unwrap_or_default());
        let first = |list: &[EnvelopeAddress]| local_part(list);
        let id = header.message_id().map(|id| id.trim_matches(['<', '>']).into());
        let references = header.references(limits::IMAP_REFERENCES).into_iter().map(String::into_boxed_str);
        Self {
            sent: header.date().map(|date| date.timestamp.secs()),
            subject: fold(&subject.text).into(),
            is_reply: subject.is_reply,
            from: first(&envelope.from),
            to: first(&envelope.to),
            cc: first(&envelope.cc),
            display_from: display(&envelope.from),
            display_to: display(&envelope.to),
            id,
            references: references.collect(),
        }
    }

    /// The moment that counts for DATE (RFC 5256 §2.2: INTERNALDATE where there is no valid Date).
    pub(crate) fn date(&self, row: &MessageRow) -> i64 {
        self.sent.unwrap_or_else(|| row.internal_date.secs())
    }
}

/// `addr-mailbox` of the first address (RFC 5256 §3); a group's is its name.
fn local_part(list: &[EnvelopeAddress]) -> Box<str> {
    let mailbox = list.first().and_then(|address| address.mailbox.as_deref()).unwrap_or_default();
    fold(&String::from_utf8_lossy(mailbox)).into()
}

/// RFC 5957 §3: the display name decoded, else the address; `""` where there is none.
fn display(list: &[EnvelopeAddress]) -> Box<str> {
    let Some(first) = list.first() else { return Box::default() };
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
    fold(&shown).into()
}

impl Weighed for Facts {
    fn weight(&self) -> usize {
        let texts = [&self.subject, &self.from, &self.to, &self.cc, &self.display_from, &self.display_to];
        let texts: usize = texts.into_iter().map(|text| text.len()).sum();
        let ids: usize = self.references.iter().chain(&self.id).map(|id| id.len() + 32).sum();
        std::mem::size_of::<Self>() + 128 + texts + ids
    }
}

/// The facts of messages at these places of the view, in the same order; those that are gone are left out. The inner error
/// is the reply.
pub(crate) async fn collect(
    service: &Service,
    io: &mut Io<'_>,
    view: &View,
    places: &[usize],
) -> Result<Result<Vec<(usize, Arc<Facts>)>, Reply>, End> {
    let mut facts: Vec<(usize, Option<Arc<Facts>>)> = Vec::with_capacity(places.len());
    let mut unknown = Vec::new();
    for place in places {
        let Some(row) = view.told.get(*place) else { continue };
        let known = service.facts.get(key(row.body, row.size));
        if known.is_none() {
            unknown.push((facts.len(), row.uid));
        }
        facts.push((*place, known));
    }
    let mut progress = Progress::new(io, unknown.len());
    for batch in unknown.chunks(limits::IMAP_FETCH_BATCH) {
        let mut uids: Vec<_> = batch.iter().map(|(_, uid)| *uid).collect();
        uids.sort_unstable();
        let bodies = match service.store.bodies(view.mailbox, &uids).await {
            Ok(bodies) => bodies,
            Err(error) => return Ok(Err(refusal(&error))),
        };
        for (at, uid) in batch {
            let Ok(found) = bodies.binary_search_by_key(uid, |(uid, _)| *uid) else { continue };
            let mut message = Message::new(service, bodies[found].1.clone());
            match read(&mut message).await {
                Ok(read) => {
                    let read = Arc::new(read);
                    let row_size = view.told.get(facts[*at].0).map_or(0, |row| row.size);
                    service.facts.put(key(bodies[found].1.id(), row_size), read.clone());
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

async fn read(message: &mut Message<'_>) -> StoreResult<Facts> {
    let range = looked_at(message.header().await?);
    let header = message.read_whole(range).await?;
    Ok::<_, StoreError>(Facts::of(&Header::of(&header)))
}
