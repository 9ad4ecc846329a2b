//! The account as a whole: what it has, and what went from it. Read each inside one transaction.

use std::sync::Arc;

use mail::{AccountId, BodyId, Flags, MailboxId, ModSeq, ThreadId};
use rusqlite::{Connection, params};
use store::{Departed, DepartedMessage, SORT_ORDER_ENTRY, StoreError, StoreResult, Survey, Surveyed};

use super::read::{Found, all, body, get, one, special_use};
use crate::log::Log;
use crate::views::uid;

pub(crate) fn survey(conn: &Connection, account: AccountId) -> StoreResult<Survey> {
    let sql =
        "SELECT a.modseq, coalesce(w.changed, 0) FROM accounts a LEFT JOIN away w ON w.account = a.id WHERE a.id = ?1";
    let (floor, away): (u64, u64) = one(conn, sql, [account.0], |row| Ok((row.get(0)?, row.get(1)?)))?
        .ok_or_else(|| StoreError::NotFound(format!("the account with id {}", account.0)))?;
    let sql = "SELECT b.id, n.name, n.special_use, n.subscribed, h.created, h.changed,
                 max(b.modseq, coalesce(v.modseq, 0)), a.value
               FROM mailboxes b JOIN names n ON n.account = b.account AND n.mailbox = b.id
               JOIN mailbox_history h ON h.account = b.account AND h.mailbox = b.id
               LEFT JOIN arrived v ON v.mailbox = b.id
               LEFT JOIN annotations a ON a.account = b.account AND a.mailbox = b.id AND a.entry = ?2
               WHERE b.account = ?1 ORDER BY n.name <> 'INBOX', n.name";
    let mailboxes = all(conn, sql, params![account.0, SORT_ORDER_ENTRY], |row| {
        let order: Option<Vec<u8>> = get(row, 7)?;
        let order = order.and_then(|digits| String::from_utf8(digits).ok()?.parse().ok());
        Ok(Surveyed {
            id: MailboxId(get(row, 0)?),
            name: get(row, 1)?,
            special_use: special_use(row, 2)?,
            subscribed: get(row, 3)?,
            sort_order: order,
            created: ModSeq(get(row, 4)?),
            changed: ModSeq(get(row, 5)?),
            highest_modseq: ModSeq(get(row, 6)?),
        })
    })?;
    let modseq = mailboxes.iter().map(|mailbox| mailbox.highest_modseq.0).fold(floor, u64::max);
    Ok(Survey { modseq: ModSeq(modseq), away: ModSeq(away), mailboxes })
}

pub(crate) fn departed(conn: &Connection, account: AccountId, since: ModSeq) -> StoreResult<Option<Departed>> {
    let values = params![account.0, since.0];
    let sql = "SELECT e.mailbox, e.uid, e.body, e.thread, e.created, e.modseq, e.flags FROM mailbox_history h
               JOIN expunged e ON e.mailbox = h.mailbox WHERE h.account = ?1 AND e.modseq > ?2";
    let messages = all(conn, sql, values, |row| {
        let (body, thread, created): (Option<u64>, Option<u64>, Option<u64>) =
            (get(row, 2)?, get(row, 3)?, get(row, 4)?);
        let Some(((body, thread), created)) = body.zip(thread).zip(created) else { return Ok(None) };
        Ok(Some(DepartedMessage {
            mailbox: MailboxId(get(row, 0)?),
            uid: uid(get(row, 1)?),
            body: BodyId(body),
            thread: ThreadId(thread),
            created: ModSeq(created),
            modseq: ModSeq(get(row, 5)?),
            flags: Flags::from_bits(get::<Option<u8>>(row, 6)?.unwrap_or_default()),
        }))
    })?;
    // A store of format 6 did not note what it was that went.
    let Some(messages) = messages.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
    let sql = "SELECT mailbox, created, gone FROM mailbox_history WHERE account = ?1 AND gone > ?2";
    let mailboxes =
        all(conn, sql, values, |row| Ok((MailboxId(get(row, 0)?), ModSeq(get(row, 1)?), ModSeq(get(row, 2)?))))?;
    let sql = "SELECT r.mailbox, r.uid, r.modseq FROM mailbox_history h JOIN restored r ON r.mailbox = h.mailbox
               WHERE h.account = ?1 AND r.modseq > ?2";
    let restored =
        all(conn, sql, values, |row| Ok((MailboxId(get(row, 0)?), uid(get(row, 1)?), ModSeq(get(row, 2)?))))?;
    Ok(Some(Departed { messages, mailboxes, restored }))
}

pub(crate) fn upload(
    conn: &Connection,
    log: &Arc<Log>,
    account: AccountId,
    id: BodyId,
) -> StoreResult<Vec<(BodyId, Found)>> {
    let sql = "SELECT b.id, b.segment, b.offset, b.length, NULL FROM uploads u JOIN bodies b ON b.id = u.body
               WHERE u.body = ?1 AND u.account = ?2";
    all(conn, sql, params![id.0, account.0], |row| Ok((id, body(row, log)?)))
}
