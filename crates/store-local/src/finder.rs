//! Finding journeys by Message-ID or address.

use std::path::PathBuf;

use mail::{QueueId, Timestamp};
use rusqlite::{Connection, OptionalExtension};
use store::{Journey, JourneyQuery, StoreResult};

use crate::codec;
use crate::error::db;

/// Where journeys are found.
pub(crate) struct Finder {
    _index: PathBuf,
    _database: PathBuf,
}

impl Finder {
    pub(crate) const fn new(index: PathBuf, database: PathBuf) -> Self {
        Self { _index: index, _database: database }
    }

    /// As [`find`].
    pub(crate) fn find(&self, conn: &Connection, query: &JourneyQuery, limit: usize) -> StoreResult<Vec<QueueId>> {
        find(conn, query, limit)
    }
}

/// Ids of the journeys that a query means, newest first, at most `limit`.
pub(crate) fn find(conn: &Connection, query: &JourneyQuery, limit: usize) -> StoreResult<Vec<QueueId>> {
    if let JourneyQuery::Id(id) = query {
        return Ok(vec![*id]);
    }
    let wanted = Wanted::new(query);
    let sql = "SELECT id, message_id, sender, others, events FROM journey ORDER BY id DESC";
    let mut statement = conn.prepare_cached(sql).map_err(db)?;
    let mut rows = statement.query([]).map_err(db)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(db)? {
        if found.len() >= limit {
            break;
        }
        if wanted.is(row)? {
            found.push(QueueId::from_u64(row.get(0).map_err(db)?));
        }
    }
    Ok(found)
}

/// What a row is compared with, folded.
enum Wanted {
    MessageId(String),
    Address(String),
}

impl Wanted {
    fn new(query: &JourneyQuery) -> Self {
        match query {
            JourneyQuery::MessageId(text) => Self::MessageId(bare(text).to_owned()),
            JourneyQuery::Address(text) => Self::Address(bare(text).to_lowercase()),
            JourneyQuery::Id(id) => Self::MessageId(id.to_string()),
        }
    }

    fn is(&self, row: &rusqlite::Row<'_>) -> StoreResult<bool> {
        match self {
            Self::MessageId(wanted) => {
                let id: Option<String> = row.get(1).map_err(db)?;
                Ok(id.is_some_and(|id| bare(&id) == wanted))
            }
            Self::Address(wanted) => {
                let sender: String = row.get(2).map_err(db)?;
                let others: Option<String> = row.get(3).map_err(db)?;
                if sender.to_lowercase() == *wanted || others.is_some_and(|all| names(&all, wanted)) {
                    return Ok(true);
                }
                let text: String = row.get(4).map_err(db)?;
                let events = codec::events(&text)?;
                Ok(events.iter().flat_map(codec::named_in).any(|name| name.to_lowercase() == *wanted))
            }
        }
    }
}

fn names(lines: &str, wanted: &str) -> bool {
    lines.lines().any(|line| line.to_lowercase() == wanted)
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
    let sql = "SELECT recipient, next_attempt FROM queue_recipients WHERE queue = ?1 ORDER BY idx";
    let mut statement = conn.prepare_cached(sql).map_err(db)?;
    let rows = statement.query_map([id.as_u64()], |row| Ok((row.get::<_, String>(0)?, row.get(1)?))).map_err(db)?;
    let mut waiting = Vec::new();
    for row in rows {
        let (recipient, next) = row.map_err(db)?;
        let next: i64 = next;
        waiting.push((codec::recipient(&recipient)?.address.to_string(), Timestamp::from_millis(next).millis()));
    }
    Ok(Some(Journey { id: id.to_string(), message_id, received_at, sender, events, waiting }))
}
