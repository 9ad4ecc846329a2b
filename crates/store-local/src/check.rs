//! Whether what is stored keeps its promises.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use store::{Balance, CheckFinding, StoreError, StoreResult};

use crate::disk::RealDisk;
use crate::error::{OpenError, db};
use crate::log::{Log, Place};
use crate::readers::connect;
use crate::store_impl::read;
use crate::truth::Counters;

/// Checks the store in `dir` without opening it for use: also beside a running server. Changes nothing.
/// `deep` reads every byte against its checksum.
pub fn inspect(dir: &Path, deep: bool) -> Result<Vec<CheckFinding>, OpenError> {
    let path = dir.join("store.db");
    match crate::version::look(dir)? {
        None => return Err(OpenError::Missing(dir.into())),
        Some(found) if found < crate::truth::schema::VERSION => {
            return Err(OpenError::OldVersion { path: dir.into(), found });
        }
        Some(_) => {}
    }
    let failed = |why: String| OpenError::Failed { path: dir.into(), why };
    let conn = connect(&path).map_err(|error| failed(error.to_string()))?;
    let log = Log::new(dir.join("log"), Arc::new(RealDisk));
    let transaction = conn.unchecked_transaction().map_err(|error| failed(error.to_string()))?;
    let mut findings = check_rows(&transaction).map_err(|error| failed(error.to_string()))?;
    drop(transaction);
    let mut after = 0;
    loop {
        let some = bodies_after(&conn, after).map_err(|error| failed(error.to_string()))?;
        let Some((last, _)) = some.last() else { return Ok(findings) };
        after = *last;
        for damaged in damaged(&log, &some, deep) {
            findings.extend(judge(&conn, &log, &damaged).map_err(|error| failed(error.to_string()))?);
        }
    }
}

/// Conservation, from the counters and the queue itself.
pub(crate) fn balance(conn: &Connection) -> StoreResult<Balance> {
    let counters = Counters::read(conn).map_err(db)?;
    let sql = "SELECT count(*) FROM queue_recipients";
    let queued = conn.prepare_cached(sql).and_then(|mut count| count.query_row([], |row| row.get(0))).map_err(db)?;
    Ok(Balance {
        accepted: counters.accepted,
        delivered: counters.delivered,
        relayed: counters.relayed,
        bounced: counters.bounced,
        expired: counters.expired,
        discarded: counters.discarded,
        queued,
    })
}

/// Rules as queries: each row that comes out is a finding, its columns fill the sentence.
const RULES: &[(&str, &str)] = &[
    (
        "mailbox {}: the row counts {} messages of {} octets, there are {} of {}",
        "SELECT b.id, b.messages, b.size, count(m.uid), coalesce(sum(m.size), 0) FROM mailboxes b
         LEFT JOIN messages m ON m.mailbox = b.id GROUP BY b.id
         HAVING b.messages <> count(m.uid) OR b.size <> coalesce(sum(m.size), 0)",
    ),
    (
        "mailbox {}: {} unseen and {} deleted are counted, there are {} and {}",
        "SELECT b.id, b.unseen, b.deleted, coalesce(sum(m.flags & 1 = 0), 0), coalesce(sum(m.flags & 8 <> 0), 0)
         FROM mailboxes b LEFT JOIN messages m ON m.mailbox = b.id GROUP BY b.id
         HAVING b.unseen <> coalesce(sum(m.flags & 1 = 0), 0) OR b.deleted <> coalesce(sum(m.flags & 8 <> 0), 0)",
    ),
    (
        "mailbox {}: there is a message at or above the next UID, {}",
        "SELECT b.id, b.uid_next FROM mailboxes b WHERE b.uid_next <> 0
         AND EXISTS (SELECT 1 FROM messages m WHERE m.mailbox = b.id AND m.uid >= b.uid_next)",
    ),
    (
        "mailbox {}: message {} has just come, and is below the next UID",
        "SELECT m.mailbox, m.uid FROM arrivals m CROSS JOIN mailboxes b ON b.id = m.mailbox
         WHERE b.uid_next = 0 OR m.uid < b.uid_next",
    ),
    (
        "mailbox {}: UID {} has come twice",
        "SELECT mailbox, uid FROM arrivals GROUP BY mailbox, uid HAVING count(*) > 1",
    ),
    (
        "mailbox {}: message {} has modseq {}, above the mailbox's {}",
        "SELECT b.id, m.uid, m.modseq, b.modseq FROM mailboxes b JOIN messages m ON m.mailbox = b.id
         WHERE m.modseq > b.modseq OR m.created > m.modseq",
    ),
    (
        "mailbox {}: UID {} is there and expunged",
        "SELECT e.mailbox, e.uid FROM expunged e JOIN messages m ON m.mailbox = e.mailbox AND m.uid = e.uid",
    ),
    (
        "mailbox {}: UID {} is expunged and not below the next UID or above the highest modseq",
        "SELECT e.mailbox, e.uid FROM expunged e JOIN mailboxes b ON b.id = e.mailbox
         WHERE (b.uid_next <> 0 AND e.uid >= b.uid_next) OR e.modseq > b.modseq",
    ),
    (
        "message {} of mailbox {}: the mailbox does not exist",
        "SELECT m.uid, m.mailbox FROM messages_now m WHERE NOT EXISTS (SELECT 1 FROM mailboxes b WHERE b.id = m.mailbox)",
    ),
    (
        "message {} of mailbox {}: its size {} is not that of its bytes, {}",
        "SELECT m.uid, m.mailbox, m.size, b.length + coalesce(length(m.prefix), 0) FROM messages_now m
         JOIN bodies b ON b.id = m.body WHERE m.size <> b.length + coalesce(length(m.prefix), 0)",
    ),
    (
        "message {} of mailbox {}: there are no bytes for it (body {})",
        "SELECT m.uid, m.mailbox, m.body FROM messages_now m WHERE NOT EXISTS (SELECT 1 FROM bodies b WHERE b.id = m.body)",
    ),
    (
        "a session, app password or second factor is of account {}, which does not exist",
        "SELECT account FROM (SELECT account FROM tokens UNION SELECT account FROM totp UNION
           SELECT account FROM recovery_codes) WHERE account NOT IN (SELECT id FROM accounts)",
    ),
    (
        "a push subscription is of account {}, which does not exist, or of a session or app password that does not",
        "SELECT account FROM push_subscriptions WHERE account NOT IN (SELECT id FROM accounts)
           OR token <> 0 AND token NOT IN (SELECT id FROM tokens)",
    ),
    (
        "an away notice, or who was told it, is of account {}, which does not exist",
        "SELECT account FROM (SELECT account FROM away UNION SELECT account FROM away_told)
         WHERE account NOT IN (SELECT id FROM accounts)",
    ),
    (
        "a filter, or what one remembers, is of account {}, which does not exist",
        "SELECT account FROM (SELECT account FROM scripts UNION SELECT account FROM scripts_changed UNION
           SELECT account FROM script_marks) WHERE account NOT IN (SELECT id FROM accounts)",
    ),
    (
        "queued message {}: there are no bytes for it (body {})",
        "SELECT q.id, q.body FROM queue q WHERE NOT EXISTS (SELECT 1 FROM bodies b WHERE b.id = q.body)",
    ),
    (
        "queued message {}: it has no recipients",
        "SELECT q.id FROM queue q WHERE NOT EXISTS (SELECT 1 FROM queue_recipients r WHERE r.queue = q.id)",
    ),
    (
        "queued recipient {} of {}: the message is not queued",
        "SELECT r.idx, r.queue FROM queue_recipients r WHERE NOT EXISTS (SELECT 1 FROM queue q WHERE q.id = r.queue)",
    ),
    (
        "body {}: {} references are counted, there are {}",
        "SELECT b.id, b.refs, coalesce(r.n, 0) FROM bodies b LEFT JOIN
           (SELECT body, count(*) AS n FROM (SELECT body FROM messages_now UNION ALL SELECT body FROM queue
             UNION ALL SELECT body FROM uploads) GROUP BY body) r
         ON r.body = b.id WHERE b.refs <> coalesce(r.n, 0)",
    ),
    (
        "segment {}: {} octets are counted as alive, there are {}",
        "SELECT s.number, s.live, coalesce(b.n, 0) FROM segments s LEFT JOIN
           (SELECT segment, sum(length + 16) AS n FROM bodies GROUP BY segment) b ON b.segment = s.number
         WHERE s.live <> coalesce(b.n, 0)",
    ),
    (
        "body {}: it ends behind the end of segment {}",
        "SELECT b.id, b.segment FROM bodies b LEFT JOIN segments s ON s.number = b.segment
         WHERE b.segment <> 0 AND b.offset + b.length + 16 > coalesce(s.tail, 0)",
    ),
    (
        "mailbox {}: its account {} does not exist",
        "SELECT b.id, b.account FROM mailboxes b WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = b.account)",
    ),
    (
        "mailbox {}: it has no name, or several",
        "SELECT b.id FROM mailboxes b LEFT JOIN names n ON n.mailbox = b.id AND n.account = b.account
         GROUP BY b.id HAVING count(n.name) <> 1",
    ),
    (
        "annotation {} of mailbox {}: it is not a mailbox of account {}",
        "SELECT x.entry, x.mailbox, x.account FROM annotations x WHERE x.mailbox <> 0
         AND NOT EXISTS (SELECT 1 FROM mailboxes b WHERE b.id = x.mailbox AND b.account = x.account)",
    ),
    (
        "grant to {} in mailbox {}: there is no such mailbox",
        "SELECT g.grantee, g.mailbox FROM grants g WHERE NOT EXISTS (SELECT 1 FROM mailboxes b WHERE b.id = g.mailbox)",
    ),
    (
        "grant in mailbox {} to account {}: there is no such account",
        "SELECT g.mailbox, g.grantee FROM grants g WHERE g.grantee <> 0
         AND NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = g.grantee)",
    ),
    (
        "key of URLs of mailbox {}: the mailbox does not exist",
        "SELECT k.mailbox FROM url_keys k WHERE NOT EXISTS (SELECT 1 FROM mailboxes b WHERE b.id = k.mailbox)",
    ),
    (
        "annotation {}: its account {} does not exist",
        "SELECT x.entry, x.account FROM annotations x WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = x.account)",
    ),
    (
        "mailbox {}: it is not in the history of account {}, or as one that is gone",
        "SELECT b.id, b.account FROM mailboxes b WHERE NOT EXISTS
           (SELECT 1 FROM mailbox_history h WHERE h.account = b.account AND h.mailbox = b.id AND h.gone = 0)",
    ),
    (
        "mailbox {}: it is in the history of account {}, and not there",
        "SELECT h.mailbox, h.account FROM mailbox_history h WHERE h.gone = 0
         AND NOT EXISTS (SELECT 1 FROM mailboxes b WHERE b.id = h.mailbox AND b.account = h.account)",
    ),
    (
        "upload {}: there is no account {}, or there are no octets",
        "SELECT u.body, u.account FROM uploads u WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = u.account)
         OR NOT EXISTS (SELECT 1 FROM bodies b WHERE b.id = u.body)",
    ),
    (
        "identity {}: there is no account {}",
        "SELECT i.id, i.account FROM identities i WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = i.account)",
    ),
    (
        "submission {}: there is no account {}",
        "SELECT s.id, s.account FROM submissions s WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = s.account)",
    ),
    (
        "submission {}: it may be taken back, but the message {} is not held in the queue",
        "SELECT s.id, s.queue FROM submissions s WHERE s.undo = 0
         AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.id = s.queue AND q.held = 1)",
    ),
    (
        "account {}: it has no INBOX",
        "SELECT a.address FROM accounts a WHERE NOT EXISTS
           (SELECT 1 FROM names n WHERE n.account = a.id AND n.name = 'INBOX' AND n.mailbox IS NOT NULL)",
    ),
    (
        "mailbox {}: UIDVALIDITY {} was given twice or lies ahead",
        "SELECT id, uid_validity FROM mailboxes WHERE uid_validity >= (SELECT uid_validity FROM counters)
         OR uid_validity IN (SELECT uid_validity FROM mailboxes GROUP BY uid_validity HAVING count(*) > 1)",
    ),
    (
        "ids of accounts, mailboxes or bodies lie ahead of their counters",
        "SELECT 1 FROM counters c WHERE c.account <= (SELECT coalesce(max(id), 0) FROM accounts)
         OR c.mailbox <= (SELECT coalesce(max(id), 0) FROM mailboxes)
         OR c.body <= (SELECT coalesce(max(id), 0) FROM bodies)",
    ),
];

/// Accounts over their quota: mail is refused for them, nothing is broken.
const ADVICE: &[(&str, &str)] = &[(
    "the account {} has {} octets of {} allowed: it receives nothing until some are deleted",
    "SELECT a.address, sum(b.size), a.quota FROM accounts a JOIN mailboxes_now b ON b.account = a.id
     GROUP BY a.id HAVING sum(b.size) > a.quota",
)];

/// Checks rows against each other, in the transaction of `conn`.
pub(crate) fn check_rows(conn: &Connection) -> StoreResult<Vec<CheckFinding>> {
    let mut findings = Vec::new();
    let mut statement = conn.prepare("PRAGMA quick_check(10)").map_err(db)?;
    for line in statement.query_map([], |row| row.get::<_, String>(0)).map_err(db)? {
        let line = line.map_err(db)?;
        if line != "ok" {
            findings.push(error(format!("store.db is damaged: {line}; restore it from a backup")));
        }
    }
    for (rules, is_error) in [(RULES, true), (ADVICE, false)] {
        for (sentence, sql) in rules {
            findings.extend(run(conn, sentence, sql, is_error)?);
        }
    }
    findings.extend(unreadable(conn)?);
    let balance = balance(conn)?;
    if !balance.holds() {
        findings.push(error(format!("recipients were lost or doubled: {balance:?}")));
    }
    Ok(findings)
}

/// Queued messages whose records make no sense.
fn unreadable(conn: &Connection) -> StoreResult<Vec<CheckFinding>> {
    let mut findings = Vec::new();
    let mut statement = conn.prepare("SELECT id FROM queue").map_err(db)?;
    for id in statement.query_map([], |row| row.get(0)).map_err(db)? {
        let id = mail::QueueId::from_u64(id.map_err(db)?);
        match read::queue_message(conn, id) {
            Err(StoreError::Damaged(why)) => findings.push(error(format!(
                "queued message {id}: its record is damaged ({why}); it is set aside, restore store.db from a backup"
            ))),
            other => drop(other?),
        }
    }
    Ok(findings)
}

fn error(text: String) -> CheckFinding {
    CheckFinding { error: true, text }
}

/// Findings of one rule; the first few.
fn run(conn: &Connection, sentence: &str, sql: &str, error: bool) -> StoreResult<Vec<CheckFinding>> {
    const SHOWN: usize = 20;
    let mut statement = conn.prepare(&format!("{sql} LIMIT {SHOWN}")).map_err(db)?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let mut text = sentence.to_owned();
        for column in 0..columns {
            let value = match row.get_ref(column)? {
                rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                _ => "nothing".to_owned(),
            };
            text = text.replacen("{}", &value, 1);
        }
        Ok(CheckFinding { error, text })
    });
    rows.map_err(db)?.collect::<rusqlite::Result<_>>().map_err(db)
}

/// Bodies looked at between two looks at the database: reading all bytes takes long, and who reads in one transaction
/// keeps SQLite's log from being folded up.
const AT_ONCE: usize = 1000;

/// Some bodies above an id, in its order.
pub(crate) fn bodies_after(conn: &Connection, after: u64) -> StoreResult<Vec<(u64, Place)>> {
    let sql = "SELECT id, segment, offset, length FROM bodies WHERE id > ?1 ORDER BY id LIMIT ?2";
    let mut statement = conn.prepare_cached(sql).map_err(db)?;
    let rows = statement.query_map(rusqlite::params![after, AT_ONCE], |row| {
        Ok((row.get(0)?, Place { segment: row.get(1)?, offset: row.get(2)?, length: row.get(3)? }))
    });
    rows.map_err(db)?.collect::<rusqlite::Result<_>>().map_err(db)
}

/// A body whose bytes are not there or not right.
pub(crate) struct Damaged {
    id: u64,
    place: Place,
    why: String,
}

/// Those of `bodies` whose header (`deep`: or any octet) does not match its checksum. Reads the disk.
pub(crate) fn damaged(log: &Log, bodies: &[(u64, Place)], deep: bool) -> Vec<Damaged> {
    // Held, so that each segment is opened once.
    let mut open = None;
    let mut found = Vec::new();
    for (id, place) in bodies {
        let result = log.open(*place).and_then(|segment| {
            let result = if deep { segment.verify(*place) } else { segment.check_header(*place) };
            open = Some(segment);
            result
        });
        if let Err(why) = result {
            found.push(Damaged { id: *id, place: *place, why: why.to_string() });
        }
    }
    drop(open);
    found
}

/// The finding about a damaged body, unless it was deleted or moved since it was listed.
pub(crate) fn judge(conn: &Connection, log: &Log, damaged: &Damaged) -> StoreResult<Option<CheckFinding>> {
    let Damaged { id, place, why } = damaged;
    let sql = "SELECT 1 FROM bodies WHERE id = ?1 AND segment = ?2 AND offset = ?3";
    let values = rusqlite::params![id, place.segment, place.offset];
    if !conn.prepare_cached(sql).and_then(|mut row| row.exists(values)).map_err(db)? {
        return Ok(None);
    }
    let file = log.path(place.segment, place.offset);
    let messages = holders(conn, *id)?;
    Ok(Some(error(format!(
        "{messages}: the bytes in {} at {} are damaged: {why}; the message is not served, restore it from a backup",
        file.display(),
        place.offset
    ))))
}

/// Which messages have this body, in words.
fn holders(conn: &Connection, body: u64) -> StoreResult<String> {
    let sql = "SELECT a.address, n.name, m.uid FROM messages_now m JOIN mailboxes b ON b.id = m.mailbox
               JOIN accounts a ON a.id = b.account JOIN names n ON n.mailbox = b.id AND n.account = a.id
               WHERE m.body = ?1 LIMIT 5";
    let mut statement = conn.prepare(sql).map_err(db)?;
    let rows = statement.query_map([body], |row| {
        let (who, mailbox, uid): (String, String, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(format!("message {uid} in {mailbox} of {who}"))
    });
    let mut all = rows.map_err(db)?.collect::<rusqlite::Result<Vec<_>>>().map_err(db)?;
    let mut statement = conn.prepare("SELECT id FROM queue WHERE body = ?1").map_err(db)?;
    for id in statement.query_map([body], |row| row.get(0)).map_err(db)? {
        all.push(format!("queued message {}", mail::QueueId::from_u64(id.map_err(db)?)));
    }
    Ok(if all.is_empty() { format!("body {body}") } else { all.join(", ") })
}
