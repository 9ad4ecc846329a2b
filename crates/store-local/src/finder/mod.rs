//! Finding journeys by Message-ID or address.

mod index;

use std::collections::BTreeSet;

use mail::{QueueId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};
use store::{Journey, JourneyQuery, StoreResult};

pub(crate) use index::{Filler, Index};

use crate::codec;
use crate::error::db;

/// Ids of the journeys that a query means, newest first, at most `limit`.
///
/// What the index knows is looked up and compared; what it doesn't cover yet is read through. `conn` is inside a
/// read transaction.
pub(crate) fn find(conn: &Connection, index: &Index, query: &JourneyQuery, limit: usize) -> StoreResult<Vec<QueueId>> {
    let wanted = match query {
        JourneyQuery::Id(id) => return Ok(vec![*id]),
        JourneyQuery::MessageId(text) => message_term(text),
        JourneyQuery::Address(text) => address_term(bare(text)),
    };
    // First our own view, then the index: what it has taken over meanwhile it has, or `late` has it in our view.
    let mut statement = conn.prepare_cached("SELECT id FROM late").map_err(db)?;
    let late = statement.query_map([], |row| row.get(0)).map_err(db)?;
    let mut candidates = late.collect::<rusqlite::Result<BTreeSet<u64>>>().map_err(db)?;
    let (covered, known) = index.look_up(hash(&wanted));
    candidates.extend(known);
    let mut found = BTreeSet::new();
    let sql = format!("{ROW} WHERE id > ?1 ORDER BY id DESC");
    let mut statement = conn.prepare_cached(&sql).map_err(db)?;
    let mut rows = statement.query([covered]).map_err(db)?;
    while let Some(row) = rows.next().map_err(db)? {
        let (id, terms) = terms(row)?;
        if terms.contains(&wanted) {
            found.insert(id);
            if found.len() >= limit {
                break;
            }
        }
    }
    drop(rows);
    let sql = format!("{ROW} WHERE id = ?1");
    let mut statement = conn.prepare_cached(&sql).map_err(db)?;
    let mut compared = 0;
    for id in candidates.into_iter().rev() {
        if compared >= limit {
            break;
        }
        let mut rows = statement.query([id]).map_err(db)?;
        let Some(row) = rows.next().map_err(db)? else { continue };
        if terms(row)?.1.contains(&wanted) {
            compared += 1;
            found.insert(id);
        }
    }
    Ok(found.into_iter().rev().take(limit).map(QueueId::from_u64).collect())
}

/// What [`terms`] reads.
const ROW: &str = "SELECT id, message_id, sender, others, events FROM journey";

/// A journey's id and all that it is found by.
fn terms(row: &Row<'_>) -> StoreResult<(u64, BTreeSet<String>)> {
    let text = |column| row.get::<_, Option<String>>(column).map_err(db);
    let mut terms = BTreeSet::new();
    terms.extend(text(1)?.map(|id| message_term(&id)));
    terms.extend(text(2)?.filter(|sender| !sender.is_empty()).map(|sender| address_term(&sender)));
    for line in text(3)?.unwrap_or_default().lines() {
        terms.insert(address_term(line));
    }
    let events = codec::events(&text(4)?.unwrap_or_default())?;
    terms.extend(events.iter().flat_map(codec::named_in).map(address_term));
    Ok((row.get(0).map_err(db)?, terms))
}

fn message_term(text: &str) -> String {
    format!("m:{}", bare(text))
}

fn address_term(text: &str) -> String {
    format!("a:{}", text.to_lowercase())
}

/// FNV-1a. Two terms with one hash cost a comparison, never a wrong answer.
fn hash(term: &str) -> i64 {
    let mix = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    term.bytes().fold(0xcbf2_9ce4_8422_2325, mix).cast_signed()
}

/// Without angle brackets.
fn bare(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text)
}

/// One journey, whole.
pub(crate) fn journey(conn: &Connection, id: QueueId) -> StoreResult<Option<Journey>> {
    let sql = "SELECT received_at, message_id, sender, events FROM journey WHERE id = ?1";
    let head = conn
        .prepare_cached(sql)
        .and_then(|mut statement| {
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, String>(3)?));
            statement.query_row([id.as_u64()], read).optional()
        })
        .map_err(db)?;
    let Some((received_at, message_id, sender, first)) = head else { return Ok(None) };
    let mut events = codec::events(&first)?;
    let mut statement = conn.prepare_cached("SELECT events FROM journey_more WHERE id = ?1 ORDER BY n").map_err(db)?;
    for more in statement.query_map([id.as_u64()], |row| row.get::<_, String>(0)).map_err(db)? {
        events.extend(codec::events(&more.map_err(db)?)?);
    }
    let sql = "SELECT recipient, next_attempt, EXISTS(SELECT 1 FROM paused p WHERE p.destination = r.destination)
               FROM queue_recipients r WHERE queue = ?1 ORDER BY idx";
    let mut statement = conn.prepare_cached(sql).map_err(db)?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?));
    let (mut waiting, mut paused) = (Vec::new(), Vec::new());
    for row in statement.query_map([id.as_u64()], read).map_err(db)? {
        let (recipient, next, is_paused) = row.map_err(db)?;
        let address = codec::recipient(&recipient)?.address.to_string();
        if is_paused {
            paused.push(address.clone());
        }
        waiting.push((address, Timestamp::from_millis(next).millis()));
    }
    Ok(Some(Journey { id: id.to_string(), message_id, received_at, sender, events, waiting, paused }))
}
