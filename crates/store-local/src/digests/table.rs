//! `digests.db`: what stands in it, and how it is read and written.
//!
//! Descriptions and headers are a row for each message, in order of mailbox and UID: what is asked of them is asked of one
//! message, or of many that follow each other. Facts and marks are asked of whole mailboxes. They stand in `loose` at first;
//! when a mailbox has enough of those they become a pack: `packs` says of which messages, `facts` and `marks` hold them.
//! `covered` says up to which UID a mailbox's messages have been looked at.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use bytes::Bytes;
use mail::{MailboxId, Uid};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use store::{Digest, DigestPart, Digested, Marks};

use super::pack::{self, MESSAGES};

/// The layout of the tables.
const FORMAT: i64 = 1;

/// Rows of `marks` in a pack.
const GROUPS: u32 = (Marks::COUNT / pack::GROUP) as u32;

/// Opens `digests.db`, or makes it. One of another layout, or of digests of another version, is not opened.
pub(super) fn open(path: &Path, version: u32) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(std::time::Duration::from_secs(10))?;
    let here = FORMAT << 16 | i64::from(version);
    let found: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found != here && found != 0 {
        return Err(rusqlite::Error::InvalidQuery);
    }
    // Long rows in few pages.
    conn.execute_batch(&format!(
        "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -8192;
         CREATE TABLE IF NOT EXISTS covered(mailbox INTEGER PRIMARY KEY, uid_next INTEGER NOT NULL);
         CREATE TABLE IF NOT EXISTS descriptions(id INTEGER PRIMARY KEY, data BLOB NOT NULL);
         CREATE TABLE IF NOT EXISTS headers(id INTEGER PRIMARY KEY, data BLOB NOT NULL);
         CREATE TABLE IF NOT EXISTS loose(id INTEGER PRIMARY KEY, facts BLOB NOT NULL, marks BLOB NOT NULL);
         CREATE TABLE IF NOT EXISTS packs(
           n INTEGER PRIMARY KEY, mailbox INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
           uids BLOB NOT NULL);
         CREATE INDEX IF NOT EXISTS packs_mailbox ON packs(mailbox, last);
         CREATE TABLE IF NOT EXISTS facts(n INTEGER PRIMARY KEY, data BLOB NOT NULL);
         CREATE TABLE IF NOT EXISTS marks(id INTEGER PRIMARY KEY, data BLOB NOT NULL);
         PRAGMA user_version = {here};"
    ))?;
    Ok(conn)
}

/// The key of a message; those of a mailbox follow each other.
fn key(mailbox: MailboxId, uid: u32) -> i64 {
    (mailbox.0.cast_signed() << 32) | i64::from(uid)
}

fn uid(key: i64) -> u32 {
    (key & i64::from(u32::MAX)) as u32
}

fn mark_id(pack: i64, mark: u16) -> i64 {
    pack * i64::from(GROUPS) + i64::from(mark / pack::GROUP)
}

/// Up to which UID each mailbox's messages have been looked at.
pub(super) fn covered(conn: &Connection) -> rusqlite::Result<HashMap<MailboxId, u32>> {
    let mut statement = conn.prepare("SELECT mailbox, uid_next FROM covered")?;
    let rows = statement.query_map([], |row| Ok((MailboxId(row.get(0)?), row.get(1)?)))?;
    rows.collect()
}

/// Keeps digests, and covers up to them.
pub(super) fn keep(conn: &mut Connection, digests: &[Digested]) -> rusqlite::Result<()> {
    let transaction = conn.transaction()?;
    let mut covered: BTreeMap<MailboxId, u32> = BTreeMap::new();
    for Digested { mailbox, uid, digest } in digests {
        let next = covered.entry(*mailbox).or_default();
        *next = uid.get().saturating_add(1).max(*next);
        let Some(digest) = digest else { continue };
        put(&transaction, key(*mailbox, uid.get()), digest)?;
    }
    for (mailbox, next) in covered {
        transaction.execute("INSERT OR REPLACE INTO covered VALUES (?1, ?2)", params![mailbox.0, next])?;
        while pack_some(&transaction, mailbox)? {}
    }
    transaction.commit()
}

fn put(conn: &Connection, key: i64, digest: &Digest) -> rusqlite::Result<()> {
    let [description, header, facts] = &digest.parts;
    conn.prepare_cached("INSERT OR REPLACE INTO descriptions VALUES (?1, ?2)")?.execute(params![key, description])?;
    conn.prepare_cached("INSERT OR REPLACE INTO headers VALUES (?1, ?2)")?.execute(params![key, header])?;
    put_loose(conn, key, facts, &digest.marks)
}

fn put_loose(conn: &Connection, key: i64, facts: &[u8], marks: &Marks) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached("INSERT OR REPLACE INTO loose VALUES (?1, ?2, ?3)")?;
    statement.execute(params![key, facts, marks.bytes()]).map(drop)
}

/// Puts the first loose digests of a mailbox into a pack; false: there are not enough.
fn pack_some(conn: &Transaction<'_>, mailbox: MailboxId) -> rusqlite::Result<bool> {
    let (first, last) = (key(mailbox, 0), key(mailbox, u32::MAX));
    let mut count = conn.prepare_cached("SELECT count(*) FROM loose WHERE id BETWEEN ?1 AND ?2")?;
    if count.query_row([first, last], |row| row.get::<_, usize>(0))? < MESSAGES {
        return Ok(false);
    }
    let sql = "SELECT id, facts, marks FROM loose WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![first, last, MESSAGES], |row| {
        Ok((row.get(0)?, row.get(1)?, Marks::new(row.get_ref(2)?.as_blob()?).unwrap_or_default()))
    })?;
    let rows = rows.collect::<rusqlite::Result<Vec<(i64, Vec<u8>, Marks)>>>()?;
    let (Some((from, ..)), Some((to, ..))) = (rows.first(), rows.last()) else { return Ok(false) };
    let uids: Vec<u32> = rows.iter().map(|(id, ..)| uid(*id)).collect();
    let sql = "INSERT INTO packs(mailbox, first, last, uids) VALUES (?1, ?2, ?3, ?4)";
    conn.prepare_cached(sql)?.execute(params![mailbox.0, uid(*from), uid(*to), pack::uids(&uids)])?;
    let n = conn.last_insert_rowid();
    let facts = pack::join(rows.iter().map(|(_, facts, _)| facts.as_slice()));
    conn.prepare_cached("INSERT INTO facts VALUES (?1, ?2)")?.execute(params![n, facts])?;
    let marks: Vec<Marks> = rows.iter().map(|(.., marks)| marks.clone()).collect();
    let mut statement = conn.prepare_cached("INSERT INTO marks VALUES (?1, ?2)")?;
    for (at, group) in (0i64..).zip(pack::groups(&marks)) {
        statement.execute(params![mark_id(n, 0) + at, group])?;
    }
    conn.prepare_cached("DELETE FROM loose WHERE id BETWEEN ?1 AND ?2")?.execute([from, to])?;
    Ok(true)
}

/// A pack: its number, and its messages' UIDs in their places, 0 where one is gone.
type Pack = (i64, Vec<u32>);

/// Packs of a mailbox with messages from `first` to `last`.
fn packs(conn: &Connection, mailbox: MailboxId, first: u32, last: u32) -> rusqlite::Result<Vec<Pack>> {
    let sql = "SELECT n, uids FROM packs WHERE mailbox = ?1 AND last >= ?2 AND first <= ?3 ORDER BY last";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![mailbox.0, first, last], |row| {
        Ok((row.get(0)?, pack::read_uids(row.get_ref(1)?.as_blob()?)))
    })?;
    rows.collect()
}

/// A part of the digests of these messages, ascending.
pub(super) fn parts(
    conn: &Connection,
    mailbox: MailboxId,
    part: DigestPart,
    wanted: &[Uid],
) -> rusqlite::Result<Vec<(Uid, Bytes)>> {
    let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { return Ok(Vec::new()) };
    let range = (key(mailbox, first.get()), key(mailbox, last.get()));
    match part {
        DigestPart::Description => rows(conn, mailbox, "SELECT id, data FROM descriptions", range, wanted),
        DigestPart::Header => rows(conn, mailbox, "SELECT id, data FROM headers", range, wanted),
        DigestPart::Facts => {
            let mut found = rows(conn, mailbox, "SELECT id, facts FROM loose", range, wanted)?;
            let is_wanted = |uid: u32| Uid::new(uid).filter(|uid| wanted.binary_search(uid).is_ok());
            let mut data = conn.prepare_cached("SELECT data FROM facts WHERE n = ?1")?;
            for (n, uids) in packs(conn, mailbox, first.get(), last.get())? {
                let here: Vec<_> = (0..).zip(uids).filter_map(|(place, uid)| Some((place, is_wanted(uid)?))).collect();
                if here.is_empty() {
                    continue;
                }
                let joined = data.query_row([n], |row| row.get::<_, Vec<u8>>(0)).optional()?;
                let joined = Bytes::from(joined.unwrap_or_default());
                found.extend(here.into_iter().filter_map(|(place, uid)| Some((uid, pack::part(&joined, place)?))));
            }
            found.sort_unstable_by_key(|(uid, _)| *uid);
            Ok(found)
        }
    }
}

/// Where of so many messages at least one is wanted, all are looked at.
const SPARSE: i64 = 16;

/// The rows of these messages, ascending, of a table that `select` names.
fn rows(
    conn: &Connection,
    mailbox: MailboxId,
    select: &str,
    (from, to): (i64, i64),
    wanted: &[Uid],
) -> rusqlite::Result<Vec<(Uid, Bytes)>> {
    let mut found = Vec::with_capacity(wanted.len());
    if to - from > wanted.len() as i64 * SPARSE {
        let mut one = conn.prepare_cached(&format!("{select} WHERE id = ?1"))?;
        for uid in wanted {
            let data = one.query_row([key(mailbox, uid.get())], |row| row.get::<_, Vec<u8>>(1)).optional()?;
            found.extend(data.map(|data| (*uid, data.into())));
        }
        return Ok(found);
    }
    let mut statement = conn.prepare_cached(&format!("{select} WHERE id BETWEEN ?1 AND ?2 ORDER BY id"))?;
    let mut rows = statement.query([from, to])?;
    let mut wanted = wanted.iter().copied().peekable();
    while let Some(row) = rows.next()? {
        let here = uid(row.get(0)?);
        while wanted.next_if(|uid| uid.get() < here).is_some() {}
        if let Some(uid) = wanted.next_if(|uid| uid.get() == here) {
            found.push((uid, row.get::<_, Vec<u8>>(1)?.into()));
        }
    }
    Ok(found)
}

/// Of these messages, ascending, those that have all marks or no digest.
pub(super) fn marked(
    conn: &Connection,
    mailbox: MailboxId,
    uids: Vec<Uid>,
    marks: &[u16],
) -> rusqlite::Result<Vec<Uid>> {
    let (Some(first), Some(last)) = (uids.first(), uids.last()) else { return Ok(uids) };
    let (first, last) = (first.get(), last.get());
    let mut lacking = Vec::new();
    let mut row = conn.prepare_cached("SELECT data FROM marks WHERE id = ?1")?;
    for (n, uids) in packs(conn, mailbox, first, last)? {
        let mut set = pack::ALL;
        for mark in marks {
            let mut rows = row.query([mark_id(n, *mark)])?;
            match rows.next()? {
                Some(row) => pack::keep(&mut set, row.get_ref(0)?.as_blob()?, *mark),
                None => set = pack::NONE,
            }
            if set == pack::NONE {
                break;
            }
        }
        lacking.extend(uids.into_iter().enumerate().filter(|(place, _)| !pack::has(&set, *place)).map(|(_, uid)| uid));
    }
    let mut loose = conn.prepare_cached("SELECT id, marks FROM loose WHERE id BETWEEN ?1 AND ?2")?;
    let mut rows = loose.query([key(mailbox, first), key(mailbox, last)])?;
    while let Some(row) = rows.next()? {
        let here = Marks::new(row.get_ref(1)?.as_blob()?);
        if here.is_some_and(|here| !marks.iter().all(|mark| here.contains(*mark))) {
            lacking.push(uid(row.get(0)?));
        }
    }
    lacking.sort_unstable();
    Ok(uids.into_iter().filter(|uid| lacking.binary_search(&uid.get()).is_err()).collect())
}

/// Forgets a mailbox.
pub(super) fn forget(conn: &mut Connection, mailbox: MailboxId) -> rusqlite::Result<()> {
    let transaction = conn.transaction()?;
    for (n, _) in packs(&transaction, mailbox, 0, u32::MAX)? {
        drop_pack(&transaction, n)?;
    }
    let range = [key(mailbox, 0), key(mailbox, u32::MAX)];
    for table in ["descriptions", "headers", "loose"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE id BETWEEN ?1 AND ?2"), range)?;
    }
    transaction.execute("DELETE FROM covered WHERE mailbox = ?1", [mailbox.0])?;
    transaction.commit()
}

fn drop_pack(conn: &Connection, n: i64) -> rusqlite::Result<()> {
    let marks = [mark_id(n, 0), mark_id(n + 1, 0)];
    conn.prepare_cached("DELETE FROM marks WHERE id >= ?1 AND id < ?2")?.execute(marks)?;
    conn.prepare_cached("DELETE FROM facts WHERE n = ?1")?.execute([n])?;
    conn.prepare_cached("DELETE FROM packs WHERE n = ?1")?.execute([n]).map(drop)
}

/// Forgets the rows of a message.
fn drop_rows(conn: &Connection, key: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM descriptions WHERE id = ?1")?.execute([key])?;
    conn.prepare_cached("DELETE FROM headers WHERE id = ?1")?.execute([key])?;
    conn.prepare_cached("DELETE FROM loose WHERE id = ?1")?.execute([key]).map(drop)
}

/// Forgets messages that are gone; `there`: those from one UID to another that are there, ascending. A pack of which half
/// is gone is taken apart.
pub(super) fn tidy(
    conn: &mut Connection,
    mailbox: MailboxId,
    mut there: impl FnMut(u32, u32) -> rusqlite::Result<Vec<u32>>,
) -> rusqlite::Result<()> {
    let transaction = conn.transaction()?;
    for (n, mut uids) in packs(&transaction, mailbox, 0, u32::MAX)? {
        let known = || uids.iter().copied().filter(|uid| *uid > 0);
        let (Some(first), Some(last)) = (known().next(), known().next_back()) else { continue };
        let there = there(first, last)?;
        let gone: Vec<u32> = known().filter(|uid| there.binary_search(uid).is_err()).collect();
        if gone.is_empty() {
            continue;
        }
        for uid in uids.iter_mut().filter(|uid| gone.binary_search(uid).is_ok()) {
            drop_rows(&transaction, key(mailbox, *uid))?;
            *uid = 0;
        }
        let left = uids.iter().filter(|uid| **uid > 0).count();
        if left * 2 > MESSAGES {
            transaction
                .prepare_cached("UPDATE packs SET uids = ?2 WHERE n = ?1")?
                .execute(params![n, pack::uids(&uids)])?;
            continue;
        }
        let digests = if left > 0 { unpack(&transaction, n)? } else { Vec::new() };
        for (uid, (facts, marks)) in uids.iter().zip(&digests).filter(|(uid, _)| **uid > 0) {
            put_loose(&transaction, key(mailbox, *uid), facts, marks)?;
        }
        drop_pack(&transaction, n)?;
    }
    let range = [key(mailbox, 0), key(mailbox, u32::MAX)];
    let loose: Vec<i64> = {
        let mut loose = transaction.prepare_cached("SELECT id FROM loose WHERE id BETWEEN ?1 AND ?2 ORDER BY id")?;
        loose.query_map(range, |row| row.get(0))?.collect::<rusqlite::Result<_>>()?
    };
    if let (Some(first), Some(last)) = (loose.first(), loose.last()) {
        let there = there(uid(*first), uid(*last))?;
        for id in loose.iter().filter(|id| there.binary_search(&uid(**id)).is_err()) {
            drop_rows(&transaction, *id)?;
        }
    }
    while pack_some(&transaction, mailbox)? {}
    transaction.commit()
}

/// The facts and marks in a pack, by place.
fn unpack(conn: &Connection, n: i64) -> rusqlite::Result<Vec<(Vec<u8>, Marks)>> {
    let facts: Vec<u8> = conn.query_row("SELECT data FROM facts WHERE n = ?1", [n], |row| row.get(0))?;
    let facts = Bytes::from(facts);
    let facts = |place| pack::part(&facts, place).unwrap_or_default().to_vec();
    let mut digests: Vec<_> = (0..MESSAGES).map(|place| (facts(place), Marks::default())).collect();
    let mut row = conn.prepare_cached("SELECT data FROM marks WHERE id = ?1")?;
    for first in (0..Marks::COUNT).step_by(usize::from(pack::GROUP)) {
        let group: Vec<u8> = row.query_row([mark_id(n, first)], |row| row.get(0))?;
        for mark in first..first + pack::GROUP {
            let mut set = pack::ALL;
            pack::keep(&mut set, &group, mark);
            for (_, (_, marks)) in digests.iter_mut().enumerate().filter(|(place, _)| pack::has(&set, *place)) {
                marks.insert(mark);
            }
        }
    }
    Ok(digests)
}
