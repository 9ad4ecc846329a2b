//! Identities and submissions, and those that went. Read each inside one transaction.

use mail::{AccountId, BodyId, IdentityId, ModSeq, QueueId, SubmissionId, ThreadId, Timestamp, limits};
use rusqlite::{Connection, params};
use store::{Gone, Identity, Kept, StoreResult, Submission, Undo};

use super::history::survey;
use super::read::{all, get};
use crate::codec;
use crate::truth::{IDENTITY, SUBMISSION};

/// Whether [`crate::truth::Truth::identify`] with these addresses would change nothing.
pub(crate) fn is_identified(conn: &Connection, account: AccountId, addresses: &[String]) -> StoreResult<bool> {
    let sql = "SELECT email, state FROM identities WHERE account = ?1";
    let rows = all(conn, sql, [account.0], |row| Ok((get::<String>(row, 0)?, get::<i64>(row, 1)?)))?;
    let is_known = |address: &String| rows.iter().any(|(email, _)| email == address);
    let stands = |(email, state): &(String, i64)| match (addresses.contains(email), state) {
        (true, state) => *state != 2,
        (false, state) => *state != 0,
    };
    // More than may be are not made: then it is asked for each time, and the answer is the same.
    Ok(rows.iter().all(stands) && addresses.iter().all(is_known))
}

pub(crate) fn identities(conn: &Connection, account: AccountId) -> StoreResult<Kept<Identity, IdentityId>> {
    let sql =
        "SELECT id, email, profile, created, changed FROM identities WHERE account = ?1 AND state = 0 ORDER BY id";
    let there = all(conn, sql, [account.0], |row| {
        Ok(Identity {
            id: IdentityId(get(row, 0)?),
            email: codec::address(&get::<String>(row, 1)?)?,
            profile: codec::profile(&get::<String>(row, 2)?)?,
            created: ModSeq(get(row, 3)?),
            changed: ModSeq(get(row, 4)?),
        })
    })?;
    kept(conn, account, there, IDENTITY, IdentityId)
}

pub(crate) fn submissions(conn: &Connection, account: AccountId) -> StoreResult<Kept<Submission, SubmissionId>> {
    let sql = "SELECT id, queue, identity, email, thread, envelope, send_at, undo, ways, reports, created, changed
               FROM submissions WHERE account = ?1 ORDER BY id";
    let there = all(conn, sql, [account.0], |row| {
        Ok(Submission {
            id: SubmissionId(get(row, 0)?),
            queue: QueueId::from_u64(get(row, 1)?),
            identity: IdentityId(get(row, 2)?),
            email: BodyId(get(row, 3)?),
            thread: ThreadId(get(row, 4)?),
            envelope: codec::submitted(&get::<String>(row, 5)?)?,
            send_at: Timestamp::from_millis(get(row, 6)?),
            undo: match get::<i64>(row, 7)? {
                0 => Undo::Pending,
                1 => Undo::Final,
                _ => Undo::Canceled,
            },
            ways: codec::ways(&get::<String>(row, 8)?)?,
            reports: codec::numbers(&get::<String>(row, 9)?)?.into_iter().map(BodyId).collect(),
            created: ModSeq(get(row, 10)?),
            changed: ModSeq(get(row, 11)?),
        })
    })?;
    kept(conn, account, there, SUBMISSION, SubmissionId)
}

fn kept<T, I>(
    conn: &Connection,
    account: AccountId,
    there: Vec<T>,
    kind: i64,
    id: impl Fn(u64) -> I,
) -> StoreResult<Kept<T, I>> {
    let sql = "SELECT id, created, gone FROM sending_gone WHERE account = ?1 AND kind = ?2 ORDER BY gone";
    let gone: Vec<Gone<I>> = all(conn, sql, params![account.0, kind], |row| {
        Ok((id(get(row, 0)?), ModSeq(get(row, 1)?), ModSeq(get(row, 2)?)))
    })?;
    let is_cut = gone.len() > limits::SENDING_GONE;
    let known_since = gone.first().filter(|_| is_cut).map(|(_, _, at)| *at).unwrap_or_default();
    Ok(Kept { modseq: survey(conn, account)?.modseq, there, gone, known_since })
}
