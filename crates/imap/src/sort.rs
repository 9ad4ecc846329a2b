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
    Ok(facts.map(|facts| facts.into_iter().next().map(|(_, row, facts)| (row, Some(facts)))))
}

/// The same messages in the order asked for; ties are in order of number (RFC 5256 §3). The inner error is the reply.
pub(crate) async fn sorted(
    service: &Service,
    io: &mut Io<'_>,
    view: &View,
    criteria: &[(Criterion, bool)],
    found: Vec<Hit>,
) -> Result<Result<Vec<Hit>, Reply>, End> {
    let Some((first, others)) = criteria.split_first() else { return Ok(Ok(found)) };
    let place = |hit: &Hit| hit.n as usize - 1;
    let mut facts = Vec::new();
    if need_messages(criteria) {
        let places: Vec<usize> = found.iter().map(place).collect();
        facts = match collect(service, io, view, &places).await? {
            Ok(facts) => facts,
            Err(reply) => return Ok(Err(reply)),
        };
    }
    let mut order = Order::new(*first, others, found.len());
    if need_messages(criteria) {
        // Both ascend. What went since has no place in an order by what it says.
        let mut hits = found.iter();
        for (at, row, facts) in &facts {
            if let Some(hit) = hits.find(|hit| place(hit) >= *at).filter(|hit| place(hit) == *at) {
                order.add(hit, row, Some(facts));
            }
        }
    } else {
        for hit in &found {
            if let Some(row) = view.told.get(place(hit)) {
                order.add(hit, &row, None);
            }
        }
    }
    Ok(Ok(order.sorted()))
}

/// Messages with what they are sorted by, which is found out once for each. The first key stands beside its message, where
/// nearly every comparison ends.
struct Order<'k> {
    first: (Criterion, bool),
    others: &'k [(Criterion, bool)],
    hits: Vec<(Key<'k>, u32)>,
    found: Vec<Hit>,
    /// For each message those by the other criteria.
    keys: Vec<Key<'k>>,
}

impl<'k> Order<'k> {
    fn new(first: (Criterion, bool), others: &'k [(Criterion, bool)], count: usize) -> Self {
        let keys = Vec::with_capacity(count * others.len());
        Self { first, others, hits: Vec::with_capacity(count), found: Vec::with_capacity(count), keys }
    }

    /// Messages come in order of number.
    fn add(&mut self, hit: &Hit, row: &MessageRow, facts: Option<&'k Facts>) {
        let known = (hit.relevancy, row, facts);
        self.hits.push((key(self.first.0, known), u32::try_from(self.found.len()).unwrap_or(u32::MAX)));
        self.found.push(*hit);
        self.keys.extend(self.others.iter().map(|(criterion, _)| key(*criterion, known)));
    }

    fn sorted(mut self) -> Vec<Hit> {
        let keys = |at: u32| self.keys.iter().skip(at as usize * self.others.len());
        let by_others = |a: u32, b: u32| {
            let pairs = self.others.iter().zip(keys(a).zip(keys(b)));
            pairs.map(|((_, reverse), (a, b))| turned(a.cmp(b), *reverse)).find(|order| order.is_ne())
        };
        self.hits.sort_unstable_by(|(key_a, a), (key_b, b)| {
            let first = turned(key_a.cmp(key_b), self.first.1);
            first.then_with(|| by_others(*a, *b).unwrap_or(Ordering::Equal)).then(a.cmp(b))
        });
        self.hits.iter().filter_map(|(_, at)| self.found.get(*at as usize)).copied().collect()
    }
}

/// What a message is sorted by: its relevancy, its row, and its facts where they are needed.
pub(crate) type Known<'k> = (u32, &'k MessageRow, Option<&'k Facts>);

/// The order of two messages; those that are equal by it are in order of number.
pub(crate) fn in_order(criteria: &[(Criterion, bool)], a: Known<'_>, b: Known<'_>) -> Ordering {
    let by = |(criterion, reverse): &(Criterion, bool)| turned(key(*criterion, a).cmp(&key(*criterion, b)), *reverse);
    criteria.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// The same the other way round, where that is asked for.
const fn turned(order: Ordering, reverse: bool) -> Ordering {
    if reverse { order.reverse() } else { order }
}

/// By what messages stand in an order; of one criterion all are of one kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'k> {
    Number(i64),
    Text(&'k str),
}

fn key<'k>(criterion: Criterion, (relevancy, row, facts): (u32, &MessageRow, Option<&'k Facts>)) -> Key<'k> {
    let text = |of: fn(&Facts) -> &str| Key::Text(facts.map_or("", of));
    match criterion {
        Criterion::Arrival => Key::Number(row.internal_date.millis()),
        Criterion::Size => Key::Number(row.size.into()),
        // RFC 6203 §5: the best first.
        Criterion::Relevancy => Key::Number(-i64::from(relevancy)),
        Criterion::Date => Key::Number(facts.map_or(0, |facts| facts.date(row))),
        Criterion::From => text(Facts::from),
        Criterion::To => text(Facts::to),
        Criterion::Cc => text(Facts::cc),
        Criterion::Subject => text(Facts::subject),
        Criterion::DisplayFrom => text(Facts::display_from),
        Criterion::DisplayTo => text(Facts::display_to),
    }
}
