//! SORT and UID SORT (RFC 5256 §3, RFC 5957, RFC 5267 §3).

use std::cmp::Ordering;

use mail::Uid;
use store::MessageRow;
use wire::imap::reply::Reply;
use wire::imap::search::Return;
use wire::imap::sort::{Criterion, Sort};

use crate::context::{self, Asked};
use crate::enable::has_modseq;
use crate::facts::{Facts, collect};
use crate::host::End;
use crate::io::Io;
use crate::search::{Hit, Scope, extended, find, keep, plain};
use crate::session::Service;
use crate::view::View;

/// SORT and UID SORT.
pub(crate) async fn sort(service: &Service, io: &mut Io<'_>, view: &mut View, command: &Sort) -> Result<Reply, End> {
    let update = command.wanted.as_ref().filter(|wanted| wanted.update);
    if update.is_some() && view.contexts.has(&io.tag) {
        return Ok(context::tag_reuse());
    }
    let found = match find(service, io, view, Some(&command.charset), &command.key).await? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    let modseq = if has_modseq(&command.key) { found.iter().map(|hit| hit.modseq).max() } else { None };
    let sorted = match sorted(service, io, view, &command.criteria, found).await? {
        Ok(sorted) => sorted,
        Err(reply) => return Ok(reply),
    };
    let numbers: Vec<u32> = sorted.iter().map(|hit| if command.uid { hit.uid.get() } else { hit.n }).collect();
    match &command.wanted {
        Some(wanted) => extended(io, Scope::of(command.uid), wanted, &numbers, &sorted, modseq),
        None => plain(io, "SORT", &numbers, modseq).await?,
    }
    if let Some(Return { items, .. }) = update {
        let Sort { uid, charset, key, criteria, .. } = command;
        let asked = Asked { uid: *uid, mailbox: None, charset: Some(charset), key, criteria, items };
        context::begin(io, view, asked, &sorted);
    }
    Ok(match &command.wanted {
        Some(wanted) if wanted.save => keep(view, wanted, &sorted),
        _ => Reply::ok("Sorted"),
    })
}

fn need_messages(criteria: &[(Criterion, bool)]) -> bool {
    let by_index = |criterion| matches!(criterion, Criterion::Arrival | Criterion::Size | Criterion::Relevancy);
    !criteria.iter().all(|(criterion, _)| by_index(*criterion))
}

/// What a message is sorted by; `None`: it can't be known any more.
pub(crate) async fn known(
    service: &Service,
    io: &mut Io<'_>,
    view: &View,
    criteria: &[(Criterion, bool)],
    uid: Uid,
) -> Result<Result<Option<(MessageRow, Option<Facts>)>, Reply>, End> {
    let Ok(at) = view.told.find(uid) else { return Ok(Ok(None)) };
    let Some(row) = view.told.get(at) else { return Ok(Ok(None)) };
    if !need_messages(criteria) {
        return Ok(Ok(Some((row, None))));
    }
    let facts = collect(service, io, view, &[at]).await?;
    Ok(facts.map(|facts| facts.into_iter().next().map(|(_, facts)| (row, Some(facts)))))
}

/// The same messages in the order asked for; ties are in order of number (RFC 5256 §3). The inner error is the reply.
pub(crate) async fn sorted(
    service: &Service,
    io: &mut Io<'_>,
    view: &View,
    criteria: &[(Criterion, bool)],
    mut found: Vec<Hit>,
) -> Result<Result<Vec<Hit>, Reply>, End> {
    let place = |hit: &Hit| hit.n as usize - 1;
    let rows = view.told.clone();
    let facts = if need_messages(criteria) {
        let places: Vec<usize> = found.iter().map(place).collect();
        match collect(service, io, view, &places).await? {
            Ok(facts) => facts,
            Err(reply) => return Ok(Err(reply)),
        }
    } else {
        Vec::new()
    };
    let facts_of = |hit: &Hit| {
        let at = facts.binary_search_by_key(&place(hit), |(place, _)| *place).ok()?;
        facts.get(at).map(|(_, facts)| facts)
    };
    let mut keyed: Vec<(Hit, Known<'_>)> =
        found.drain(..).map(|hit| (hit, (rows.get(place(&hit)), facts_of(&hit)))).collect();
    // What went since has no place in an order by what it says.
    keyed.retain(|(_, (row, known))| row.is_some() && (known.is_some() || facts.is_empty()));
    keyed.sort_by(|(a, known_a), (b, known_b)| {
        in_order(criteria, (a.relevancy, *known_a), (b.relevancy, *known_b)).then(a.n.cmp(&b.n))
    });
    Ok(Ok(keyed.into_iter().map(|(hit, _)| hit).collect()))
}

/// What a message is sorted by.
pub(crate) type Known<'k> = (Option<MessageRow>, Option<&'k Facts>);

/// The order of two messages, each with its relevancy; those that are equal by it are in order of number.
pub(crate) fn in_order(criteria: &[(Criterion, bool)], a: (u32, Known<'_>), b: (u32, Known<'_>)) -> Ordering {
    let by = |(criterion, reverse): &(Criterion, bool)| {
        let order = match criterion {
            // RFC 6203 §5: the best first.
            Criterion::Relevancy => b.0.cmp(&a.0),
            criterion => compare(*criterion, a.1, b.1),
        };
        if *reverse { order.reverse() } else { order }
    };
    criteria.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn compare(criterion: Criterion, a: Known<'_>, b: Known<'_>) -> Ordering {
    let (Some(row_a), Some(row_b)) = (a.0, b.0) else { return Ordering::Equal };
    match criterion {
        Criterion::Arrival => return row_a.internal_date.cmp(&row_b.internal_date),
        Criterion::Size => return row_a.size.cmp(&row_b.size),
        _ => {}
    }
    let (Some(a), Some(b)) = (a.1, b.1) else { return Ordering::Equal };
    match criterion {
        Criterion::Date => a.date(&row_a).cmp(&b.date(&row_b)),
        Criterion::From => a.from().cmp(b.from()),
        Criterion::To => a.to().cmp(b.to()),
        Criterion::Cc => a.cc().cmp(b.cc()),
        Criterion::Subject => a.subject().cmp(b.subject()),
        Criterion::DisplayFrom => a.display_from().cmp(b.display_from()),
        Criterion::DisplayTo => a.display_to().cmp(b.display_to()),
        Criterion::Arrival | Criterion::Size | Criterion::Relevancy => Ordering::Equal,
    }
}
