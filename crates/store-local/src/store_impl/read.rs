//! What is read from the database, each inside one read transaction.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use mail::{AccountId, BodyId, Domain, MailboxId, ModSeq, QueueId, Rights, Timestamp, Uid, UidValidity};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use store::{
    Annotation, AwayNotice, Body, Event, Grant, MailboxInfo, MailboxStatus, PushSubscription, QueueItem, QueueMessage,
    QueueRecipient, SPECIAL_USE_ENTRY, SharedMailbox, SpecialUse, StoreError, StoreResult, UrlKey,
};

use crate::codec;
use crate::error::{db, os};
use crate::log::{LocalBody, Log, Place};
use crate::truth::{NO_MAILBOX, PUSH_SELECT, push_subscription, read_grant};
use crate::views::uid;

pub(super) fn one<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> StoreResult<Option<T>> {
    conn.prepare_cached(sql).and_then(|mut statement| statement.query_row(params, read).optional()).map_err(db)
}

pub(super) fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> StoreResult<T>,
) -> StoreResult<Vec<T>> {
    let mut statement = conn.prepare_cached(sql).map_err(db)?;
    let mut rows = statement.query(params).map_err(db)?;
    let mut list = Vec::new();
    while let Some(row) = rows.next().map_err(db)? {
        list.push(read(row)?);
    }
    Ok(list)
}

/// As [`all`] for what is queued, up to `limit`: a record that makes no sense is reported and set aside, and holds up
/// nothing else. The first column is the queue id.
fn readable<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    limit: usize,
    mut read: impl FnMut(&Row<'_>) -> StoreResult<T>,
) -> StoreResult<Vec<T>> {
    let mut statement = conn.prepare_cached(sql).map_err(db)?;
    let mut rows = statement.query(params).map_err(db)?;
    let mut list = Vec::new();
    while list.len() < limit
        && let Some(row) = rows.next().map_err(db)?
    {
        match read(row) {
            Ok(one) => list.push(one),
            Err(StoreError::Damaged(why)) => {
                let id = QueueId::from_u64(get(row, 0)?);
                tracing::error!(id = %id, why, "a queued message's record is damaged; it is set aside");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(list)
}

pub(super) fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, column: usize) -> StoreResult<T> {
    row.get(column).map_err(db)
}

/// An account's INBOX, for a POP3 session alone.
pub(crate) struct Maildrop {
    taken: Arc<Mutex<HashSet<AccountId>>>,
    account: AccountId,
}

impl Maildrop {
    pub(crate) fn take(taken: &Arc<Mutex<HashSet<AccountId>>>, account: AccountId) -> Option<Self> {
        let free = taken.lock().unwrap_or_else(PoisonError::into_inner).insert(account);
        free.then(|| Self { taken: taken.clone(), account })
    }
}

impl Drop for Maildrop {
    fn drop(&mut self) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.account);
    }
}

/// A special use by its attribute in a column.
pub(super) fn special_use(row: &Row<'_>, column: usize) -> StoreResult<Option<SpecialUse>> {
    let attribute: Option<String> = get(row, column)?;
    let known = SpecialUse::ALL.iter().find(|(_, name, _)| Some(*name) == attribute.as_deref());
    Ok(known.map(|(special_use, ..)| *special_use))
}

pub(crate) fn push_subscriptions(conn: &Connection, account: AccountId) -> StoreResult<Vec<PushSubscription>> {
    let sql = format!("{PUSH_SELECT} WHERE p.account = ?1 ORDER BY p.id");
    all(conn, &sql, [account.0], |row| push_subscription(row).map_err(db))
}

pub(crate) fn push_accounts(conn: &Connection) -> StoreResult<Vec<AccountId>> {
    all(conn, "SELECT DISTINCT account FROM push_subscriptions", [], |row| row.get(0).map(AccountId).map_err(db))
}

pub(crate) fn away_notice(conn: &Connection, account: AccountId) -> StoreResult<AwayNotice> {
    let sql = "SELECT enabled, begins, ends, subject, plain, html FROM away WHERE account = ?1";
    Ok(one(conn, sql, [account.0], |row| codec::away(row, 0))?.unwrap_or_default())
}

pub(crate) fn mailboxes(conn: &Connection, account: AccountId) -> StoreResult<Vec<MailboxInfo>> {
    let sql = "SELECT name, mailbox, special_use, subscribed FROM names WHERE account = ?1
               ORDER BY name <> 'INBOX', name";
    all(conn, sql, [account.0], |row| {
        Ok(MailboxInfo {
            id: get::<Option<u64>>(row, 1)?.map(MailboxId),
            name: get(row, 0)?,
            special_use: special_use(row, 2)?,
            subscribed: get(row, 3)?,
        })
    })
}

pub(crate) fn mailbox(conn: &Connection, account: AccountId, name: &str) -> StoreResult<Option<MailboxId>> {
    let sql = "SELECT mailbox FROM names WHERE account = ?1 AND name = ?2";
    let id = one(conn, sql, params![account.0, name], |row| row.get::<_, Option<u64>>(0))?;
    Ok(id.flatten().map(MailboxId))
}

pub(crate) fn annotations(
    conn: &Connection,
    account: AccountId,
    mailbox: Option<&str>,
) -> StoreResult<Vec<Annotation>> {
    let (id, special_use) = match mailbox {
        None => (NO_MAILBOX, None),
        Some(name) => {
            let sql = "SELECT mailbox, special_use FROM names WHERE account = ?1 AND name = ?2 AND mailbox IS NOT NULL";
            let row = |row: &Row<'_>| Ok((row.get::<_, u64>(0)?, row.get::<_, Option<String>>(1)?));
            one(conn, sql, params![account.0, name], row)?.ok_or_else(|| StoreError::NoMailbox(name.to_owned()))?
        }
    };
    let sql = "SELECT entry, value FROM annotations WHERE account = ?1 AND mailbox = ?2 ORDER BY entry";
    let mut found =
        all(conn, sql, params![account.0, id], |row| Ok(Annotation { entry: get(row, 0)?, value: get(row, 1)? }))?;
    if let Some(attribute) = special_use {
        found.push(Annotation { entry: SPECIAL_USE_ENTRY.to_owned(), value: attribute.into_bytes() });
        found.sort_by_cached_key(|annotation| annotation.entry.to_ascii_lowercase());
    }
    Ok(found)
}

pub(crate) fn grants(conn: &Connection, mailbox: MailboxId) -> StoreResult<Vec<Grant>> {
    let sql = "SELECT grantee, rights, without FROM grants WHERE mailbox = ?1 ORDER BY grantee";
    all(conn, sql, [mailbox.0], |row| read_grant(row).map_err(db))
}

pub(crate) fn rights(conn: &Connection, account: AccountId, mailbox: MailboxId) -> StoreResult<Rights> {
    let sql = "SELECT account FROM mailboxes WHERE id = ?1";
    match one(conn, sql, [mailbox.0], |row| row.get::<_, u64>(0))? {
        None => Ok(Rights::NONE),
        Some(owner) if owner == account.0 => Ok(Rights::ALL),
        Some(_) => Ok(Grant::effective(&grants(conn, mailbox)?, account)),
    }
}

pub(crate) fn shared_with(conn: &Connection, account: AccountId) -> StoreResult<Vec<SharedMailbox>> {
    let sql = "SELECT g.grantee, g.rights, g.without, b.id, b.account, a.address, n.name FROM grants g
               JOIN mailboxes b ON b.id = g.mailbox JOIN accounts a ON a.id = b.account
               JOIN names n ON n.mailbox = b.id
               WHERE g.grantee IN (0, ?1) AND b.account <> ?1 ORDER BY a.address, n.name, b.id";
    let rows = all(conn, sql, [account.0], |row| {
        let grant = read_grant(row).map_err(db)?;
        let address = codec::address(&get::<String>(row, 5)?)?;
        let (id, owner) = (MailboxId(get(row, 3)?), AccountId(get(row, 4)?));
        Ok((grant, SharedMailbox { owner, address, name: get(row, 6)?, id, rights: Rights::NONE }))
    })?;
    // What anyone has and what the account has stand beside each other.
    let shared = rows.chunk_by(|(_, one), (_, other)| one.id == other.id).filter_map(|rows| {
        let grants: Vec<Grant> = rows.iter().map(|(grant, _)| *grant).collect();
        let (_, first) = rows.first()?;
        Some(SharedMailbox { rights: Grant::effective(&grants, account), ..first.clone() })
    });
    Ok(shared.filter(|mailbox| !mailbox.rights.is_empty()).collect())
}

pub(crate) fn url_key(conn: &Connection, mailbox: MailboxId) -> StoreResult<Option<UrlKey>> {
    one(conn, "SELECT key FROM url_keys WHERE mailbox = ?1", [mailbox.0], |row| row.get(0).map(UrlKey))
}

/// `shown`: messages below this UID are not \Recent any more, which the database need not know yet.
pub(crate) fn status(conn: &Connection, id: MailboxId, shown: u32) -> StoreResult<MailboxStatus> {
    let sql = "SELECT messages, unseen, deleted, uid_next, uid_validity, modseq, size,
                 (SELECT count(*) FROM messages m WHERE m.mailbox = b.id AND m.uid >= max(b.recent_from, ?2)) +
                 (SELECT count(*) FROM arrivals m WHERE m.mailbox = b.id AND m.uid >= max(b.recent_from, ?2))
               FROM mailboxes_now b WHERE id = ?1";
    let status = one(conn, sql, (id.0, shown), |row| {
        Ok(MailboxStatus {
            id,
            messages: row.get(0)?,
            unseen: row.get(1)?,
            deleted: row.get(2)?,
            recent: row.get(7)?,
            uid_next: uid(row.get(3)?),
            uid_validity: UidValidity(row.get(4)?),
            highest_modseq: ModSeq(row.get(5)?),
            size: row.get(6)?,
        })
    })?;
    status.ok_or(StoreError::MailboxGone(id))
}

fn known(conn: &Connection, id: MailboxId) -> StoreResult<()> {
    one(conn, "SELECT 1 FROM mailboxes WHERE id = ?1", [id.0], |_| Ok(()))?.ok_or(StoreError::MailboxGone(id))
}

pub(crate) fn vanished(conn: &Connection, id: MailboxId, since: ModSeq) -> StoreResult<Vec<Uid>> {
    known(conn, id)?;
    let sql = "SELECT uid FROM expunged WHERE mailbox = ?1 AND modseq > ?2 ORDER BY uid";
    all(conn, sql, params![id.0, since.0], |row| Ok(uid(get(row, 0)?)))
}

/// A body, or that its file can't be opened.
pub(crate) enum Found {
    /// It can be read.
    Here(LocalBody),
    /// It can't.
    Damaged(DamagedBody),
}

impl Found {
    /// The body; reading a damaged one fails.
    pub(crate) fn into_body(self) -> Arc<dyn Body> {
        match self {
            Self::Here(body) => Arc::new(body),
            Self::Damaged(body) => Arc::new(body),
        }
    }
}

/// A message whose file is gone or no file of ours: others in the same answer can be read all the same.
pub(crate) struct DamagedBody {
    id: BodyId,
    size: u64,
    why: String,
}

#[async_trait]
impl Body for DamagedBody {
    fn id(&self) -> BodyId {
        self.id
    }

    fn size(&self) -> u64 {
        self.size
    }

    async fn read(&self, _: Range<u64>) -> StoreResult<Bytes> {
        tracing::error!(body = self.id.0, place = self.why, "a stored message is damaged; it is not served");
        Err(StoreError::Damaged(self.why.clone()))
    }
}

/// A body from the columns body, segment, offset, length, prefix.
pub(super) fn body(row: &Row<'_>, log: &Arc<Log>) -> StoreResult<Found> {
    let place = Place { segment: get(row, 1)?, offset: get(row, 2)?, length: get(row, 3)? };
    let id = BodyId(get(row, 0)?);
    let prefix: Option<Vec<u8>> = get(row, 4)?;
    let prefix = prefix.map(Bytes::from).unwrap_or_default();
    match log.open(place) {
        Ok(segment) => Ok(Found::Here(LocalBody { id, prefix, place, segment, log: log.clone() })),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                let why = format!("{}: {error}", log.path(place.segment, place.offset).display());
                Ok(Found::Damaged(DamagedBody { id, size: prefix.len() as u64 + place.length, why }))
            }
            _ => Err(os("opening a message", &error)),
        },
    }
}

/// With the body's id, where the caller knows it, a message that has just come is found without a search.
pub(crate) fn bodies(
    conn: &Connection,
    log: &Arc<Log>,
    mailbox: MailboxId,
    messages: &[(Uid, Option<BodyId>)],
) -> StoreResult<Vec<(Uid, Found)>> {
    known(conn, mailbox)?;
    let select = |table: &str, also: &str| {
        format!(
            "SELECT b.id, b.segment, b.offset, b.length, m.prefix FROM {table} m CROSS JOIN bodies b ON b.id = m.body
             WHERE m.mailbox = ?1 AND m.uid = ?2{also}"
        )
    };
    let (settled, arrived) = (select("messages", ""), select("arrivals", " AND m.body = ?3"));
    let mut found = Vec::with_capacity(messages.len());
    for (uid, id) in messages {
        let read = |row: &Row<'_>| Ok((*uid, body(row, log)?));
        let before = found.len();
        found.extend(all(conn, &settled, params![mailbox.0, uid.get()], read)?);
        if found.len() > before {
            continue;
        }
        found.extend(match id {
            Some(id) => all(conn, &arrived, params![mailbox.0, uid.get(), id.0], read)?,
            None => all(conn, &select("arrivals", ""), params![mailbox.0, uid.get()], read)?,
        });
    }
    Ok(found)
}

/// The first bodies of a mailbox from a UID on, at most `limit`.
pub(crate) fn bodies_from(
    conn: &Connection,
    log: &Arc<Log>,
    mailbox: MailboxId,
    from: u32,
    limit: usize,
) -> StoreResult<Vec<(Uid, Found)>> {
    // Arrivals have the highest UIDs.
    for table in ["messages", "arrivals"] {
        let sql = format!(
            "SELECT b.id, b.segment, b.offset, b.length, m.prefix, m.uid FROM {table} m CROSS JOIN bodies b ON b.id = m.body
             WHERE m.mailbox = ?1 AND m.uid >= ?2 ORDER BY m.uid LIMIT ?3"
        );
        let found = all(conn, &sql, params![mailbox.0, from, limit], |row| Ok((uid(get(row, 5)?), body(row, log)?)))?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

pub(crate) fn queue_body(
    conn: &Connection,
    log: &Arc<Log>,
    id: QueueId,
    recipient: u32,
) -> StoreResult<Vec<((), Found)>> {
    let sql = "SELECT b.id, b.segment, b.offset, b.length, r.prefix FROM queue q JOIN bodies b ON b.id = q.body
               JOIN queue_recipients r ON r.queue = q.id AND r.idx = ?2 WHERE q.id = ?1";
    all(conn, sql, params![id.as_u64(), recipient], |row| Ok(((), body(row, log)?)))
}

/// Messages with the bytes that their recipients share. Rows that make no sense are an error of their own.
#[allow(clippy::type_complexity, reason = "the key that `read_bodies` hands through")]
pub(crate) fn queue_work(
    conn: &Connection,
    log: &Arc<Log>,
    ids: &[QueueId],
) -> StoreResult<Vec<((QueueId, StoreResult<QueueMessage>), Found)>> {
    let sql = "SELECT b.id, b.segment, b.offset, b.length, NULL, q.id, q.received_at, q.envelope, q.message_id, q.size,
                 q.release_at, q.held
               FROM queue q JOIN bodies b ON b.id = q.body WHERE q.id = ?1";
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let row = |row: &Row<'_>| Ok(((*id, queue_head(conn, row, 5)), body(row, log)?));
        found.extend(all(conn, sql, [id.as_u64()], row)?);
    }
    Ok(found)
}

pub(crate) fn queue_items(
    conn: &Connection,
    after: Option<(QueueId, u32)>,
    limit: usize,
) -> StoreResult<Vec<QueueItem>> {
    let sql = "SELECT queue, idx, destination, next_attempt, attempts, state FROM queue_recipients
               WHERE (queue, idx) > (?1, ?2) ORDER BY queue, idx";
    let (queue, index) = after.map_or((-1, 0), |(id, index)| (id.as_u64().cast_signed(), index));
    readable(conn, sql, params![queue, index], limit, |row| {
        Ok(QueueItem {
            id: QueueId::from_u64(get(row, 0)?),
            recipient: get(row, 1)?,
            destination: codec::domain(&get::<String>(row, 2)?)?,
            next_attempt: Timestamp::from_millis(get(row, 3)?),
            attempts: get(row, 4)?,
            state: codec::queue_state(get(row, 5)?),
        })
    })
}

const QUEUE: &str = "SELECT id, received_at, envelope, message_id, size, release_at, held FROM queue";

/// A message whose columns, those of [`QUEUE`], begin at `first`.
fn queue_head(conn: &Connection, row: &Row<'_>, first: usize) -> StoreResult<QueueMessage> {
    let id = QueueId::from_u64(get(row, first)?);
    Ok(QueueMessage {
        id,
        received_at: Timestamp::from_millis(get(row, first + 1)?),
        release_at: get::<Option<i64>>(row, first + 5)?.map(Timestamp::from_millis),
        held: get(row, first + 6)?,
        envelope: codec::envelope(&get::<String>(row, first + 2)?)?,
        message_id: get(row, first + 3)?,
        size: get(row, first + 4)?,
        recipients: queue_recipients(conn, id)?,
    })
}

fn queue_recipients(conn: &Connection, id: QueueId) -> StoreResult<Vec<QueueRecipient>> {
    let sql = "SELECT idx, recipient, prefix, destination, state, attempts, next_attempt, warned, last
               FROM queue_recipients WHERE queue = ?1 ORDER BY idx";
    all(conn, sql, [id.as_u64()], |row| {
        let recipient = codec::recipient(&get::<String>(row, 1)?)?;
        Ok(QueueRecipient {
            index: get(row, 0)?,
            address: recipient.address,
            notify: recipient.notify,
            original: recipient.original,
            prefix: get::<Option<Vec<u8>>>(row, 2)?.unwrap_or_default(),
            destination: codec::domain(&get::<String>(row, 3)?)?,
            state: codec::queue_state(get(row, 4)?),
            attempts: get(row, 5)?,
            next_attempt: Timestamp::from_millis(get(row, 6)?),
            warned: get(row, 7)?,
            last: get::<Option<String>>(row, 8)?.as_deref().map(codec::attempt).transpose()?,
        })
    })
}

pub(crate) fn queue_messages(
    conn: &Connection,
    after: Option<QueueId>,
    limit: usize,
) -> StoreResult<Vec<QueueMessage>> {
    let after = after.map_or(-1, |id| id.as_u64().cast_signed());
    let sql = format!("{QUEUE} WHERE id > ?1 ORDER BY id");
    readable(conn, &sql, [after], limit, |row| queue_head(conn, row, 0))
}

pub(crate) fn queue_message(conn: &Connection, id: QueueId) -> StoreResult<Option<QueueMessage>> {
    let found = all(conn, &format!("{QUEUE} WHERE id = ?1"), [id.as_u64()], |row| queue_head(conn, row, 0))?;
    Ok(found.into_iter().next())
}

pub(crate) fn tallies(conn: &Connection) -> StoreResult<Vec<(String, Timestamp)>> {
    all(conn, "SELECT name, until FROM tallies", [], |row| Ok((get(row, 0)?, Timestamp::from_millis(get(row, 1)?))))
}

pub(crate) fn paused_destinations(conn: &Connection) -> StoreResult<Vec<(Domain, Timestamp)>> {
    all(conn, "SELECT destination, since FROM paused ORDER BY destination", [], |row| {
        Ok((codec::domain(&get::<String>(row, 0)?)?, Timestamp::from_millis(get(row, 1)?)))
    })
}

pub(crate) fn refusals(conn: &Connection, limit: usize) -> StoreResult<Vec<Event>> {
    let sql = "SELECT event FROM refusals ORDER BY n DESC LIMIT ?1";
    let lists = all(conn, sql, [limit], |row| codec::events(&get::<String>(row, 0)?))?;
    Ok(lists.into_iter().flatten().collect())
}
