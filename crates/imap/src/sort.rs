//! SORT and UID SORT (RFC 5256 §3, RFC 5957, RFC 5267 §3).

use std::cmp::Ordering;

use store::MessageRow;
use wire::imap::reply::Reply;
use wire::imap::sort::{Criterion, Sort};

use crate::enable::has_modseq;
use crate::facts::{Facts, collect};
use crate::host::End;
use crate::io::Io;
use crate::search::{Hit, Scope, extended, find, keep, plain};
use crate::session::Service;
use crate::view::View;

/// SORT and UID SORT.
pub(crate) async fn sort(service: &Service, io: &mut Io<'_>, view: &mut View, command: &Sort) -> Result<Reply, End> {
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
    match command.wanted {
        Some(wanted) => extended(io, Scope::of(command.uid), wanted, &numbers, &sorted, modseq),
        None => plain(io, "SORT", &numbers, modseq).await?,
    }
    Ok(match command.wanted {
        Some(wanted) if wanted.save => keep(view, wanted, &sorted),
        _ => Reply::ok("Sorted"),
    })
}

const fn needs_message(criterion: Criterion) -> bool {
    !matches!(criterion, Criterion::Arrival | Criterion::Size | Criterion::Relevancy)
}

/// The same messages in the order asked for; ties are in order of number (RFC 5256 §3). The inner error is the reply.
async fn sorted(
    service: &Service,
    io: &mut Io<'_>,
    view: &View,
    criteria: &[(Criterion, bool)],
    mut found: Vec<Hit>,
) -> Result<Result<Vec<Hit>, Reply>, End> {
    let place = |hit: &Hit| hit.n as usize - 1;
    let rows = view.told.clone();
    let facts = if criteria.iter().any(|(criterion, _)| needs_message(*criterion)) {
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
    keyed.sort_by(|a, b| {
        let by = |(criterion, reverse): &(Criterion, bool)| {
            let order = match criterion {
                // RFC 6203 §5: the best first.
                Criterion::Relevancy => b.0.relevancy.cmp(&a.0.relevancy),
                criterion => compare(*criterion, a.1, b.1),
            };
            if *reverse { order.reverse() } else { order }
        };
        criteria.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal).then(a.0.n.cmp(&b.0.n))
    });
    Ok(Ok(keyed.into_iter().map(|(hit, _)| hit).collect()))
}

type Known<'k> = (Option<MessageRow>, Option<&'k Facts>);

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
