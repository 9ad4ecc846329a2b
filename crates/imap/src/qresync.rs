//! A client that was away learns what was removed and what changed (QRESYNC, RFC 7162 §3.2).

use std::ops::RangeInclusive;

use mail::{ModSeq, Uid};
use store::{Snapshot, StoreError};
use wire::imap::mailbox::Qresync;
use wire::imap::{MessageSet, SequenceSet};

use crate::host::End;
use crate::io::Io;
use crate::session::Service;
use crate::view::{View, vanished};

/// SELECT (QRESYNC (…)), after the mailbox was described (RFC 7162 §3.2.5).
pub(crate) async fn resync(
    service: &Service,
    io: &mut Io<'_>,
    view: &View,
    knows: &Qresync,
) -> Result<Result<(), StoreError>, End> {
    // RFC 7162 §3.2.5: with another UIDVALIDITY nothing that it knows counts.
    if knows.uid_validity != view.told.uid_validity.0 {
        return Ok(Ok(()));
    }
    let last = view.told.uid_next.get() - 1;
    // RFC 7162 §3.2.5.1: without a list it is as if all up to now were known.
    let known = knows.known.as_ref().map_or_else(|| vec![1..=last.max(1)], |known| known.ranges(last));
    let since = ModSeq(knows.modseq);
    if let Err(error) = tell_vanished(service, io, view, since, &known, knows.matches.as_ref()).await? {
        return Ok(Err(error));
    }
    for (n, row) in (1..).zip(view.told.iter()) {
        if row.modseq > since && holds(&known, row.uid.get()) {
            view.write_flags(&mut io.out, n, &row, &view.told, true, io.enabled);
            io.relieve().await?;
        }
    }
    Ok(Ok(()))
}

/// UID FETCH (CHANGEDSINCE … VANISHED): what is gone of a set (RFC 7162 §3.2.6).
pub(crate) async fn fetch_vanished(
    service: &Service,
    io: &mut Io<'_>,
    view: &View,
    since: ModSeq,
    set: &MessageSet,
) -> Result<Result<(), StoreError>, End> {
    let known = match set {
        MessageSet::Numbers(set) => set.ranges(view.told.uid_next.get() - 1),
        MessageSet::Saved => view.saved.clone(),
    };
    tell_vanished(service, io, view, since, &known, None).await
}

/// VANISHED (EARLIER): UIDs of `known` that were removed after `since`.
async fn tell_vanished(
    service: &Service,
    io: &mut Io<'_>,
    view: &View,
    since: ModSeq,
    known: &[RangeInclusive<u32>],
    matches: Option<&(SequenceSet, SequenceSet)>,
) -> Result<Result<(), StoreError>, End> {
    let told = &view.told;
    let gone: Vec<Uid> = match service.store.vanished(view.mailbox, since).await {
        Ok(Some(gone)) => gone,
        Ok(None) => {
            // So far back nobody knows: everything that is not here may have been (RFC 7162 §3.2.5.2), but for what lies
            // below a message whose number is still the one that the client knows.
            let from = matches.map_or(1, |matches| first_uncertain(told, matches));
            let candidates = known.iter().flat_map(Clone::clone).take_while(|uid| *uid < told.uid_next.get());
            candidates.filter(|uid| *uid >= from).filter_map(Uid::new).collect()
        }
        Err(error) => return Ok(Err(error)),
    };
    // What was removed after our snapshot is still in it, and told as such later.
    let is_gone = |uid: &Uid| *uid < told.uid_next && told.find(*uid).is_err() && holds(known, uid.get());
    vanished(io, "(EARLIER) ", gone.into_iter().filter(is_gone).map(Uid::get)).await?;
    Ok(Ok(()))
}

/// The UID after the last message whose number and UID match.
fn first_uncertain(told: &Snapshot, (numbers, uids): &(SequenceSet, SequenceSet)) -> u32 {
    let numbers = numbers.ranges(u32::MAX).into_iter().flatten().take_while(|n| *n as usize <= told.len());
    let pairs = numbers.zip(uids.ranges(u32::MAX).into_iter().flatten());
    let matching = pairs.take_while(|(n, uid)| told.get(*n as usize - 1).is_some_and(|row| row.uid.get() == *uid));
    matching.last().map_or(1, |(_, uid)| uid.saturating_add(1))
}

/// Whether ascending ranges hold a number.
pub(crate) fn holds(ranges: &[RangeInclusive<u32>], n: u32) -> bool {
    let after = ranges.partition_point(|range| *range.start() <= n);
    after > 0 && ranges[after - 1].contains(&n)
}
