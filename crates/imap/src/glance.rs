//! FETCH out of digests: envelopes, structures and fields of many messages, without reading them.

use std::ops::Range;

use message::header::Header;
use store::{DigestPart, MessageRow, StoreResult};
use wire::imap::fetch::{Item, Section, Text};

use mail::{MailboxId, Uid, limits};

use crate::digest::described;
use crate::fetch::{Prepared, indexed, literal, messages, partial};
use crate::host::End;
use crate::io::Io;
use crate::refusal::Unread;
use crate::session::Service;
use crate::view::View;
use reading::ahead::Ahead;
use reading::marks::has_field;

/// Which parts of digests are needed.
#[derive(Clone, Copy)]
pub(crate) struct Glance {
    description: bool,
    header: bool,
}

impl Glance {
    /// For these items; `None`: a digest does not do.
    pub(crate) fn of(items: &[Item]) -> Option<Self> {
        let mut glance = Self { description: false, header: false };
        for item in items {
            match item {
                Item::Envelope | Item::BodyStructure => glance.description = true,
                Item::Section(section) if fields(section).is_some() => glance.header = true,
                Item::Body | Item::Section(_) | Item::Preview { .. } | Item::Binary(_) | Item::BinarySize(_) => {
                    return None;
                }
                _ => {}
            }
        }
        Some(glance)
    }
}

/// The names of fields that a digest has; a section that sets \Seen needs the message's own way.
fn fields(section: &Section) -> Option<&[Vec<u8>]> {
    match &section.text {
        Text::Fields(names) if section.peek && section.path.is_empty() => {
            names.iter().all(|name| has_field(name)).then_some(names)
        }
        _ => None,
    }
}

/// Answers for a range of places; messages without a digest are read. The inner error is that of a message that could not
/// be read.
pub(crate) async fn fetch(
    service: &Service,
    io: &mut Io<'_>,
    view: &mut View,
    items: &[Prepared<'_>],
    (glance, range): (Glance, Range<usize>),
    is_wanted: &(impl Fn(&MessageRow) -> bool + Sync),
) -> Result<Result<(), Unread>, End> {
    let mut outcome = Ok(());
    let (told, mailbox) = (view.told.clone(), view.mailbox);
    let batches = range.clone().step_by(limits::IMAP_DIGESTS_AT_ONCE);
    let batches = batches.map(|from| from..range.end.min(from + limits::IMAP_DIGESTS_AT_ONCE));
    let batches = batches.map(|batch| {
        let rows = batch.clone().zip(told.range(batch));
        rows.filter(|(_, row)| is_wanted(row)).collect::<Vec<_>>()
    });
    let mut ahead = Ahead::new(batches, |rows: &Vec<(usize, MessageRow)>| {
        let uids: Vec<Uid> = rows.iter().map(|(_, row)| row.uid).collect();
        async move { Digests::read(service, mailbox, glance, &uids).await }
    });
    while let Some((rows, digests)) = ahead.next().await {
        let digests = match digests {
            Ok(digests) => digests,
            Err(error) => return Ok(Err(error.into())),
        };
        let mut lacking = 0..0;
        for ((place, row), digest) in rows.iter().zip(&digests.0) {
            if let Some(digest) = digest {
                let places = std::mem::take(&mut lacking);
                if let Err(error) = messages(service, io, view, items, places, false, is_wanted).await? {
                    outcome = Err(error);
                }
                one(io, view, items, *place + 1, row, digest);
                io.relieve().await?;
            } else {
                lacking = if lacking.is_empty() { *place..*place + 1 } else { lacking.start..*place + 1 };
            }
        }
        if let Err(error) = messages(service, io, view, items, lacking, false, is_wanted).await? {
            outcome = Err(error);
        }
    }
    Ok(outcome)
}

/// Of one message.
#[derive(Clone, Default)]
struct Parts {
    description: bytes::Bytes,
    header: bytes::Bytes,
}

/// Of messages, in their order; `None`: it has none, or not all that is needed.
struct Digests(Vec<Option<Parts>>);

impl Digests {
    async fn read(service: &Service, mailbox: MailboxId, glance: Glance, uids: &[Uid]) -> StoreResult<Self> {
        let mut all = vec![Some(Parts::default()); uids.len()];
        let parts = [(glance.description, DigestPart::Description), (glance.header, DigestPart::Header)];
        for (_, part) in parts.into_iter().filter(|(is_needed, _)| *is_needed) {
            let digests = service.store.digests(mailbox, part, uids).await?;
            let mut digests = digests.into_iter().filter(|(_, octets)| !octets.is_empty()).peekable();
            for (uid, parts) in uids.iter().zip(&mut all) {
                match (digests.next_if(|(other, _)| other == uid), &mut *parts) {
                    (Some((_, octets)), Some(parts)) if part == DigestPart::Description => parts.description = octets,
                    (Some((_, octets)), Some(parts)) => parts.header = octets,
                    _ => *parts = None,
                }
            }
        }
        Ok(Self(all))
    }
}

fn one(io: &mut Io<'_>, view: &View, items: &[Prepared<'_>], n: usize, row: &MessageRow, digest: &Parts) {
    let (envelope, structure) = described(&digest.description).unwrap_or_default();
    let enabled = io.enabled;
    let out = &mut io.out;
    View::begin(out, n, row.uid, enabled);
    for (place, prepared) in items.iter().enumerate() {
        if place > 0 {
            out.push(b' ');
        }
        match prepared.item {
            Item::Envelope => {
                out.extend_from_slice(b"ENVELOPE ");
                out.extend_from_slice(envelope);
            }
            Item::BodyStructure => {
                out.extend_from_slice(b"BODYSTRUCTURE ");
                out.extend_from_slice(structure);
            }
            Item::Section(section) => {
                out.extend_from_slice(&prepared.label);
                out.push(b' ');
                let picked = Header::alone(&digest.header).select(fields(section).unwrap_or_default());
                let wanted = partial(section.partial, 0..picked.len() as u64);
                let at = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(picked.len());
                literal(out, &picked[at(wanted.start)..at(wanted.end)]);
            }
            item => indexed(out, view, row, &view.told, item, enabled),
        }
    }
    out.extend_from_slice(b")\r\n");
}
