//! What `store.db` looks like, by version.

use rusqlite::Connection;

/// The version that this program writes: the first, and a step for each that came after it.
pub(crate) const VERSION: i64 = 1 + STEPS.len() as i64;

/// Says that a database is ours ("Prdr").
pub(crate) const APPLICATION: i64 = 0x5072_6472;

/// How long a connection waits for another's lock; only at opening and closing there is one to wait for.
pub(crate) const BUSY: std::time::Duration = std::time::Duration::from_secs(10);

/// Version 1. Rows stand in the order in which they are read and written: messages by mailbox and UID, the rest by
/// ids that grow. Nothing that a delivery touches is keyed by a hash or a random value.
const TABLES: &str = "
CREATE TABLE counters(
  one INTEGER PRIMARY KEY CHECK (one = 1),
  account INTEGER NOT NULL, mailbox INTEGER NOT NULL, body INTEGER NOT NULL, uid_validity INTEGER NOT NULL,
  segment INTEGER NOT NULL, refusal INTEGER NOT NULL, covered INTEGER NOT NULL,
  accepted INTEGER NOT NULL, delivered INTEGER NOT NULL, relayed INTEGER NOT NULL, bounced INTEGER NOT NULL,
  expired INTEGER NOT NULL, discarded INTEGER NOT NULL);
CREATE TABLE domains(domain TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE accounts(
  id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE, password TEXT NOT NULL, scram TEXT, state INTEGER NOT NULL,
  quota INTEGER, created INTEGER NOT NULL, modseq INTEGER NOT NULL);
CREATE TABLE aliases(address TEXT PRIMARY KEY, targets TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE names(
  account INTEGER NOT NULL, name TEXT NOT NULL, mailbox INTEGER, special_use TEXT, subscribed INTEGER NOT NULL,
  PRIMARY KEY(account, name)) WITHOUT ROWID;
CREATE TABLE mailboxes(
  id INTEGER PRIMARY KEY, account INTEGER NOT NULL, uid_validity INTEGER NOT NULL, uid_next INTEGER NOT NULL,
  modseq INTEGER NOT NULL, recent_from INTEGER NOT NULL, messages INTEGER NOT NULL, unseen INTEGER NOT NULL,
  deleted INTEGER NOT NULL, size INTEGER NOT NULL);
CREATE INDEX mailboxes_account ON mailboxes(account);
CREATE TABLE keywords(
  mailbox INTEGER NOT NULL, n INTEGER NOT NULL, keyword TEXT NOT NULL, PRIMARY KEY(mailbox, n)) WITHOUT ROWID;
CREATE TABLE messages(
  mailbox INTEGER NOT NULL, uid INTEGER NOT NULL, flags INTEGER NOT NULL, keywords INTEGER NOT NULL,
  modseq INTEGER NOT NULL, created INTEGER NOT NULL, size INTEGER NOT NULL, internal_date INTEGER NOT NULL,
  saved INTEGER NOT NULL, body INTEGER NOT NULL, thread INTEGER NOT NULL, prefix BLOB,
  PRIMARY KEY(mailbox, uid)) WITHOUT ROWID;
CREATE TABLE expunged(
  mailbox INTEGER NOT NULL, modseq INTEGER NOT NULL, uid INTEGER NOT NULL,
  PRIMARY KEY(mailbox, modseq, uid)) WITHOUT ROWID;
CREATE TABLE bodies(
  id INTEGER PRIMARY KEY, segment INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
  refs INTEGER NOT NULL);
CREATE INDEX bodies_blob ON bodies(offset) WHERE segment = 0;
CREATE TABLE segments(number INTEGER PRIMARY KEY, tail INTEGER NOT NULL, live INTEGER NOT NULL);
CREATE TABLE queue(
  id INTEGER PRIMARY KEY, received_at INTEGER NOT NULL, envelope TEXT NOT NULL, message_id TEXT,
  body INTEGER NOT NULL, size INTEGER NOT NULL);
CREATE TABLE queue_recipients(
  queue INTEGER NOT NULL, idx INTEGER NOT NULL, recipient TEXT NOT NULL, prefix BLOB, destination TEXT NOT NULL,
  state INTEGER NOT NULL, attempts INTEGER NOT NULL, next_attempt INTEGER NOT NULL, warned INTEGER NOT NULL,
  last TEXT, PRIMARY KEY(queue, idx)) WITHOUT ROWID;
CREATE TABLE journey(
  id INTEGER PRIMARY KEY, received_at INTEGER NOT NULL, message_id TEXT, sender TEXT NOT NULL, others TEXT,
  events TEXT NOT NULL);
CREATE TABLE journey_more(
  id INTEGER NOT NULL, n INTEGER NOT NULL, events TEXT NOT NULL, PRIMARY KEY(id, n)) WITHOUT ROWID;
CREATE TABLE late(id INTEGER PRIMARY KEY);
CREATE TABLE refusals(n INTEGER PRIMARY KEY, event TEXT NOT NULL);
";

/// From each version to the next. A step that was released never changes; a new one goes to the end, with a fixture
/// of the version before it (`tests/upgrade.rs`).
const STEPS: &[&str] = &[
    // To 2. A delivery no longer writes the mailbox's row, which costs a page of its own: the row counts the messages
    // below its `uid_next`, and those that arrived since count themselves. `behind` names the mailboxes that have such.
    "CREATE TABLE behind(mailbox INTEGER PRIMARY KEY);
     CREATE VIEW mailboxes_now AS
       SELECT b.id AS id, b.account AS account, b.uid_validity AS uid_validity, b.recent_from AS recent_from,
              coalesce((max(m.uid) + 1) & 4294967295, b.uid_next) AS uid_next,
              max(b.modseq, coalesce(max(m.modseq), 0)) AS modseq, count(m.uid) AS arrived,
              b.messages + count(m.uid) AS messages, b.unseen + coalesce(sum(m.flags & 1 = 0), 0) AS unseen,
              b.deleted + coalesce(sum(m.flags & 8 <> 0), 0) AS deleted, b.size + coalesce(sum(m.size), 0) AS size
       FROM mailboxes b LEFT JOIN messages m ON m.mailbox = b.id AND m.uid >= b.uid_next AND b.uid_next > 0
       GROUP BY b.id, b.account;",
    // To 3. A delivery no longer writes a page of its mailbox: it goes to the end of `arrivals`, and from there, with
    // others, to where `messages` has it (`truth::arrivals`). A mailbox's row counts what stands in `messages`.
    "UPDATE mailboxes SET (uid_next, modseq, messages, unseen, deleted, size) =
       (SELECT uid_next, modseq, messages, unseen, deleted, size FROM mailboxes_now n WHERE n.id = mailboxes.id)
       WHERE id IN (SELECT mailbox FROM behind);
     DROP VIEW mailboxes_now;
     DROP TABLE behind;
     CREATE TABLE arrivals(
       body INTEGER NOT NULL, mailbox INTEGER NOT NULL, uid INTEGER NOT NULL, flags INTEGER NOT NULL,
       keywords INTEGER NOT NULL, modseq INTEGER NOT NULL, created INTEGER NOT NULL, size INTEGER NOT NULL,
       internal_date INTEGER NOT NULL, saved INTEGER NOT NULL, thread INTEGER NOT NULL, prefix BLOB,
       PRIMARY KEY(body, mailbox, uid)) WITHOUT ROWID;
     CREATE VIEW messages_now AS
       SELECT mailbox, uid, flags, keywords, modseq, created, size, internal_date, saved, body, thread, prefix
         FROM messages UNION ALL
       SELECT mailbox, uid, flags, keywords, modseq, created, size, internal_date, saved, body, thread, prefix
         FROM arrivals;
     CREATE VIEW arrived AS
       SELECT mailbox, (max(uid) + 1) & 4294967295 AS uid_next, max(modseq) AS modseq, count(*) AS messages,
              sum(flags & 1 = 0) AS unseen, sum(flags & 8 <> 0) AS deleted, sum(size) AS size
       FROM arrivals GROUP BY mailbox;
     CREATE VIEW mailboxes_now AS
       SELECT b.id AS id, b.account AS account, b.uid_validity AS uid_validity, b.recent_from AS recent_from,
              coalesce((max(m.uid) + 1) & 4294967295, b.uid_next) AS uid_next,
              max(b.modseq, coalesce(max(m.modseq), 0)) AS modseq, b.messages + count(m.uid) AS messages,
              b.unseen + coalesce(sum(m.flags & 1 = 0), 0) AS unseen,
              b.deleted + coalesce(sum(m.flags & 8 <> 0), 0) AS deleted, b.size + coalesce(sum(m.size), 0) AS size
       FROM mailboxes b LEFT JOIN arrivals m ON m.mailbox = b.id
       GROUP BY b.id, b.account;",
    // To 4. Annotations (RFC 5464), whose names know no case; `mailbox` 0: the account's own.
    "CREATE TABLE annotations(
       account INTEGER NOT NULL, mailbox INTEGER NOT NULL, entry TEXT NOT NULL COLLATE NOCASE, value BLOB NOT NULL,
       PRIMARY KEY(account, mailbox, entry)) WITHOUT ROWID;",
    // To 5. What others than its owner may do in a mailbox (RFC 4314); `grantee` 0: anyone.
    "CREATE TABLE grants(
       mailbox INTEGER NOT NULL, grantee INTEGER NOT NULL, rights INTEGER NOT NULL, without INTEGER NOT NULL,
       PRIMARY KEY(mailbox, grantee)) WITHOUT ROWID;
     CREATE INDEX grants_by_grantee ON grants(grantee);
     CREATE INDEX names_by_mailbox ON names(mailbox) WHERE mailbox IS NOT NULL;",
    // To 6. What URLs into a mailbox are signed with (RFC 4467).
    "CREATE TABLE url_keys(mailbox INTEGER PRIMARY KEY, key BLOB NOT NULL);",
    // To 7. What a client that holds a copy of the whole account must hear of (RFC 8620 §5.2): which message was expunged, and
    // when it had come; when each mailbox was made, changed and (`gone` <> 0) removed; from which messages \Deleted was
    // taken. What mailboxes that are gone had stands in `expunged`. Beside it: octets that clients keep here for a while.
    "ALTER TABLE expunged ADD COLUMN body INTEGER;
     ALTER TABLE expunged ADD COLUMN thread INTEGER;
     ALTER TABLE expunged ADD COLUMN created INTEGER;
     CREATE TABLE mailbox_history(
       account INTEGER NOT NULL, mailbox INTEGER NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL,
       gone INTEGER NOT NULL, PRIMARY KEY(account, mailbox)) WITHOUT ROWID;
     INSERT INTO mailbox_history SELECT account, id, 0, 0, 0 FROM mailboxes;
     CREATE TABLE restored(
       mailbox INTEGER NOT NULL, modseq INTEGER NOT NULL, uid INTEGER NOT NULL,
       PRIMARY KEY(mailbox, modseq, uid)) WITHOUT ROWID;
     CREATE TABLE uploads(body INTEGER PRIMARY KEY, account INTEGER NOT NULL, kept_at INTEGER NOT NULL);
     CREATE INDEX uploads_account ON uploads(account);",
    // To 8. Sessions of browsers (`kind` 0) and app passwords (1), of which only hashes are kept; an id is never used again.
    // The second factor, and the hashes of its recovery codes.
    "CREATE TABLE tokens(
       id INTEGER PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL, kind INTEGER NOT NULL, hash BLOB NOT NULL UNIQUE,
       name TEXT NOT NULL, scopes INTEGER NOT NULL, created INTEGER NOT NULL, expires INTEGER, used INTEGER,
       used_from TEXT NOT NULL);
     CREATE INDEX tokens_by_account ON tokens(account);
     CREATE TABLE totp(
       account INTEGER PRIMARY KEY, secret BLOB NOT NULL, confirmed INTEGER NOT NULL, last_step INTEGER NOT NULL);
     CREATE TABLE recovery_codes(account INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY(account, hash)) WITHOUT ROWID;",
    // To 9. Whether a message that was expunged was marked \Deleted: JMAP does not show such (RFC 8621 §4.1.1).
    "ALTER TABLE expunged ADD COLUMN flags INTEGER;",
    // To 10. What an account says to those who write while its owner is away (RFC 8621 §8), and who was told it last, and when.
    "CREATE TABLE away(
       account INTEGER PRIMARY KEY, enabled INTEGER NOT NULL, begins INTEGER, ends INTEGER, subject TEXT, plain TEXT, html TEXT,
       changed INTEGER NOT NULL);
     CREATE TABLE away_told(
       account INTEGER NOT NULL, sender TEXT NOT NULL, told INTEGER NOT NULL, PRIMARY KEY(account, sender)) WITHOUT ROWID;",
    // To 11. Names and addresses to send under (`automatic`: made because the account has the address; `state` 0: there,
    // 1: removed, not to be made again, 2: the address is no longer the account's), and what was submitted (`undo` 0: may be
    // taken back, 1: no more, 2: was). Of both, those that went (`kind` 0 and 1). In the queue: when the sender lets a message
    // leave, whether it is still held back, which submission it is, and its conversation.
    "CREATE TABLE identities(
       id INTEGER PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL, email TEXT NOT NULL, profile TEXT NOT NULL,
       automatic INTEGER NOT NULL, state INTEGER NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL);
     CREATE INDEX identities_by_account ON identities(account);
     CREATE TABLE submissions(
       id INTEGER PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL, queue INTEGER NOT NULL, identity INTEGER NOT NULL,
       email INTEGER NOT NULL, thread INTEGER NOT NULL, envelope TEXT NOT NULL, send_at INTEGER NOT NULL,
       undo INTEGER NOT NULL, ways TEXT NOT NULL, reports TEXT NOT NULL, created INTEGER NOT NULL,
       changed INTEGER NOT NULL);
     CREATE INDEX submissions_by_account ON submissions(account);
     CREATE INDEX submissions_by_time ON submissions(send_at);
     CREATE TABLE sending_gone(
       account INTEGER NOT NULL, kind INTEGER NOT NULL, gone INTEGER NOT NULL, id INTEGER NOT NULL,
       created INTEGER NOT NULL, PRIMARY KEY(account, kind, gone, id)) WITHOUT ROWID;
     ALTER TABLE queue ADD COLUMN release_at INTEGER;
     ALTER TABLE queue ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
     ALTER TABLE queue ADD COLUMN submission INTEGER;
     ALTER TABLE queue ADD COLUMN thread INTEGER;",
    // To 12. Where clients that hold no connection are told of changes (RFC 8620 §7.2; `token` 0: made with the account's own
    // password), and the key by which push services know us again (RFC 8292).
    "CREATE TABLE push_subscriptions(
       id INTEGER PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL, token INTEGER NOT NULL, device TEXT NOT NULL,
       url TEXT NOT NULL, p256dh BLOB, auth BLOB, code TEXT NOT NULL, verified INTEGER NOT NULL, expires INTEGER,
       types TEXT, created INTEGER NOT NULL, told TEXT NOT NULL);
     CREATE INDEX push_subscriptions_by_account ON push_subscriptions(account);
     CREATE INDEX push_subscriptions_by_token ON push_subscriptions(token);
     CREATE TABLE push_key(one INTEGER PRIMARY KEY CHECK (one = 1), key BLOB NOT NULL);",
    // To 13. Passkeys, which are tokens (`kind` 2): the device's id of one, its public key, and its last signature's counter.
    "ALTER TABLE tokens ADD COLUMN credential BLOB;
     ALTER TABLE tokens ADD COLUMN public_key BLOB;
     ALTER TABLE tokens ADD COLUMN counter INTEGER;",
    // To 14. What accounts have taught about junk, until it is learnt.
    "CREATE TABLE lessons(
       number INTEGER PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL, mailbox INTEGER NOT NULL, uid INTEGER NOT NULL,
       junk INTEGER NOT NULL);",
    // To 15. Destinations to which the operator lets nothing be sent.
    "CREATE TABLE paused(destination TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;",
    // To 16. What was counted of strangers and accounts, until then.
    "CREATE TABLE tallies(name TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;",
    // To 17. What was done to the system, and who logged in.
    "CREATE TABLE audit(
       number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, origin TEXT NOT NULL,
       act TEXT NOT NULL, about TEXT NOT NULL, outcome TEXT NOT NULL, times INTEGER NOT NULL);",
    // To 18. Filters of accounts, one of each at most active; when any of an account's changed; and what they remember.
    "CREATE TABLE scripts(
       id INTEGER PRIMARY KEY AUTOINCREMENT, account INTEGER NOT NULL, name TEXT NOT NULL, content TEXT NOT NULL,
       active INTEGER NOT NULL, changed INTEGER NOT NULL);
     CREATE UNIQUE INDEX scripts_by_name ON scripts(account, name);
     CREATE TABLE scripts_changed(account INTEGER PRIMARY KEY, changed INTEGER NOT NULL);
     CREATE TABLE script_marks(
       account INTEGER NOT NULL, mark TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY(account, mark)) WITHOUT ROWID;",
    // To 19. Keys with which domains sign their mail (`kind`: 0 RSA, 1 Ed25519; `state`: 0 waiting, 1 signing, 2 retired).
    "CREATE TABLE signing_keys(
       id INTEGER PRIMARY KEY AUTOINCREMENT, domain TEXT NOT NULL, selector TEXT NOT NULL, kind INTEGER NOT NULL,
       private BLOB NOT NULL, state INTEGER NOT NULL, since INTEGER NOT NULL);
     CREATE UNIQUE INDEX signing_keys_by_name ON signing_keys(domain, selector);",
];

/// Brings a store of an earlier version to this one, whole or not at all.
pub(crate) fn upgrade(conn: &Connection, from: i64) -> rusqlite::Result<()> {
    let steps = STEPS.iter().skip(usize::try_from(from - 1).unwrap_or(0));
    let steps = steps.copied().collect::<String>();
    conn.execute_batch(&format!("BEGIN IMMEDIATE; {steps} PRAGMA user_version = {VERSION}; COMMIT"))
}

/// Makes the tables of a new store. UIDVALIDITY begins at the time in seconds, so that a store that is
/// made anew under the same names never repeats one (RFC 3501 §2.3.1.1).
pub(crate) fn create(conn: &Connection, now_secs: i64) -> rusqlite::Result<()> {
    let first_uid_validity = now_secs.clamp(1, i64::from(u32::MAX) / 2);
    let steps = STEPS.concat();
    conn.execute_batch(&format!(
        "BEGIN IMMEDIATE; {TABLES} {steps}
         INSERT INTO counters VALUES (1, 1, 1, 1, {first_uid_validity}, 0, 1, 0, 0, 0, 0, 0, 0, 0);
         PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT"
    ))
}

/// The connection's settings that every user of the database needs.
pub(crate) fn prepare(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(256);
    // Who writes each page once and reads it seldom gains nothing from the statistics of memory use.
    conn.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;")
}
