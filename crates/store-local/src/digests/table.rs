//! `digests.db`: what stands in it, and how it is read and written.
//!
//! A new digest is a row of `loose`. When a mailbox has enough of those they become a pack: `packs` says of which
//! messages, `parts` and `marks` hold them. `covered` says up to which UID a mailbox's messages have been looked at.

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
         CREATE TABLE IF NOT EXISTS loose(
           id INTEGER PRIMARY KEY, part0 BLOB NOT NULL, part1 BLOB NOT NULL, part2 BLOB NOT NULL, marks BLOB NOT NULL);
         CREATE TABLE IF NOT EXISTS packs(
           n INTEGER PRIMARY KEY, mailbox INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
           uids BLOB NOT NULL);
         CREATE INDEX IF NOT EXISTS packs_mailbox ON packs(mailbox, last);
         CREATE TABLE IF NOT EXISTS parts(id INTEGER PRIMARY KEY, data BLOB NOT NULL);
         CREATE TABLE IF NOT EXISTS marks(id INTEGER PRIMARY KEY, data BLOB NOT NULL);
         PRAGMA user_version = {here};"
    ))?;
    Ok(conn)
}

/// The key of a message in `loose`; those of a mailbox follow each other.
fn key(mailbox: MailboxId, uid: u32) -> i64 {
    (mailbox.0.cast_signed() << 32) | i64::from(uid)
}

fn uid(key: i64) -> u32 {
    (key & i64::from(u32::MAX)) as u32
}

fn part_id(pack: i64, part: usize) -> i64 {
    pack * 4 + part as i64
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
    let [a, b, c] = &digest.parts;
    let mut statement = conn.prepare_cached("INSERT OR REPLACE INTO loose VALUES (?1, ?2, ?3, ?4, ?5)")?;
    statement.execute(params![key, a, b, c, digest.marks.bytes()]).map(drop)
}

/// Puts the first loose digests of a mailbox into a pack; false: there are not enough.
fn pack_some(conn: &Transaction<'_>, mailbox: MailboxId) -> rusqlite::Result<bool> {
    let (first, last) = (key(mailbox, 0), key(mailbox, u32::MAX));
    let mut count = conn.prepare_cached("SELECT count(*) FROM loose WHERE id BETWEEN ?1 AND ?2")?;
    if count.query_row([first, last], |row| row.get::<_, usize>(0))? < MESSAGES {
        return Ok(false);
    }
    let sql = "SELECT id, part0, part1, part2, marks FROM loose WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![first, last, MESSAGES], |row| {
        let marks = Marks::new(row.get_ref(4)?.as_blob()?).unwrap_or_default();
        Ok((row.get::<_, i64>(0)?, [row.get(1)?, row.get(2)?, row.get(3)?], marks))
    })?;
    let rows = rows.collect::<rusqlite::Result<Vec<(i64, [Vec<u8>; 3], Marks)>>>()?;
    let (Some((from, ..)), Some((to, ..))) = (rows.first(), rows.last()) else { return Ok(false) };
    let uids: Vec<u32> = rows.iter().map(|(id, ..)| uid(*id)).collect();
    let sql = "INSERT INTO packs(mailbox, first, last, uids) VALUES (?1, ?2, ?3, ?4)";
    conn.prepare_cached(sql)?.execute(params![mailbox.0, uid(*from), uid(*to), pack::uids(&uids)])?;
    let n = conn.last_insert_rowid();
    for part in 0..DigestPart::ALL.len() {
        let joined = pack::join(rows.iter().map(|(_, parts, _)| parts[part].as_slice()));
        conn.prepare_cached("INSERT INTO parts VALUES (?1, ?2)")?.execute(params![part_id(n, part), joined])?;
    }
    let marks: Vec<Marks> = rows.iter().map(|(.., marks)| marks.clone()).collect();
    let mut statement = conn.prepare_cached("INSERT INTO marks VALUES (?1, ?2)")?;
    for (at, group) in (0i64..).zip(pack::groups(&marks)) {
        statement.execute(params![mark_id(n, 0) + at, group])?;
    }
    conn.prepare_cached("DELETE FROM loose WHERE id BETWEEN ?1 AND ?2")?.execute([from, to])?;
    Ok(true)
}

/// Packs of a mailbox with messages from `first` to `last`: number and UIDs.
fn packs(conn: &Connection, mailbox: MailboxId, first: u32, last: u32) -> rusqlite::Result<Vec<(i64, Vec<u32>)>> {
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
    let is_wanted = |uid: u32| Uid::new(uid).filter(|uid| wanted.binary_search(uid).is_ok());
    let mut found = Vec::with_capacity(wanted.len());
    let mut data = conn.prepare_cached("SELECT data FROM parts WHERE id = ?1")?;
    for (n, uids) in packs(conn, mailbox, first.get(), last.get())? {
        let here: Vec<_> = (0..).zip(uids).filter_map(|(place, uid)| Some((place, is_wanted(uid)?))).collect();
        if here.is_empty() {
            continue;
        }
        let joined = data.query_row([part_id(n, part as usize)], |row| row.get::<_, Vec<u8>>(0)).optional()?;
        let joined = Bytes::from(joined.unwrap_or_default());
        found.extend(here.into_iter().filter_map(|(place, uid)| Some((uid, pack::part(&joined, place)?))));
    }
    let sql = format!("SELECT id, part{} FROM loose WHERE id BETWEEN ?1 AND ?2", part as usize);
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([key(mailbox, first.get()), key(mailbox, last.get())])?;
    while let Some(row) = rows.next()? {
        if let Some(uid) = is_wanted(uid(row.get(0)?)) {
            found.push((uid, Bytes::from(row.get::<_, Vec<u8>>(1)?)));
        }
    }
    found.sort_unstable_by_key(|(uid, _)| *uid);
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
    transaction.execute("DELETE FROM loose WHERE id BETWEEN ?1 AND ?2", range)?;
    transaction.execute("DELETE FROM covered WHERE mailbox = ?1", [mailbox.0])?;
    transaction.commit()
}

fn drop_pack(conn: &Connection, n: i64) -> rusqlite::Result<()> {
    let (parts, marks) = ((part_id(n, 0), part_id(n + 1, 0)), (mark_id(n, 0), mark_id(n + 1, 0)));
    conn.prepare_cached("DELETE FROM parts WHERE id >= ?1 AND id < ?2")?.execute([parts.0, parts.1])?;
    conn.prepare_cached("DELETE FROM marks WHERE id >= ?1 AND id < ?2")?.execute([marks.0, marks.1])?;
    conn.prepare_cached("DELETE FROM packs WHERE n = ?1")?.execute([n]).map(drop)
}

/// Forgets messages that are gone; `there`: those from one UID to another that are there, ascending. A pack of which half
/// is gone is taken apart.
pub(super) fn tidy(
    conn: &mut Connection,
    mailbox: MailboxId,
    mut there: impl FnMut(u32, u32) -> rusqlite::Result<Vec<u32>>,
) -> rusqlite::Result<()> {
    let transaction = conn.transaction()?;
    for (n, uids) in packs(&transaction, mailbox, 0, u32::MAX)? {
        let (Some(first), Some(last)) = (uids.first(), uids.last()) else { continue };
        let there = there(*first, *last)?;
        let left: Vec<bool> = uids.iter().map(|uid| there.binary_search(uid).is_ok()).collect();
        let count = left.iter().filter(|left| **left).count();
        if count * 2 > uids.len() {
            continue;
        }
        let digests = if count > 0 { unpack(&transaction, n, uids.len())? } else { Vec::new() };
        for ((uid, digest), _) in uids.iter().zip(digests).zip(&left).filter(|(_, left)| **left) {
            put(&transaction, key(mailbox, *uid), &digest)?;
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
            transaction.prepare_cached("DELETE FROM loose WHERE id = ?1")?.execute([id])?;
        }
    }
    while pack_some(&transaction, mailbox)? {}
    transaction.commit()
}

/// The digests of a pack.
fn unpack(conn: &Connection, n: i64, count: usize) -> rusqlite::Result<Vec<Digest>> {
    let mut digests = vec![Digest::default(); count];
    for part in 0..DigestPart::ALL.len() {
        let mut data = conn.prepare_cached("SELECT data FROM parts WHERE id = ?1")?;
        let joined = Bytes::from(data.query_row([part_id(n, part)], |row| row.get::<_, Vec<u8>>(0))?);
        for (place, digest) in digests.iter_mut().enumerate() {
            digest.parts[part] = pack::part(&joined, place).unwrap_or_default().to_vec();
        }
    }
    let mut row = conn.prepare_cached("SELECT data FROM marks WHERE id = ?1")?;
    for first in (0..Marks::COUNT).step_by(usize::from(pack::GROUP)) {
        let group: Vec<u8> = row.query_row([mark_id(n, first)], |row| row.get(0))?;
        for mark in first..first + pack::GROUP {
            let mut set = pack::ALL;
            pack::keep(&mut set, &group, mark);
            for (_, digest) in digests.iter_mut().enumerate().filter(|(place, _)| pack::has(&set, *place)) {
                digest.marks.insert(mark);
            }
        }
    }
    Ok(digests)
}
