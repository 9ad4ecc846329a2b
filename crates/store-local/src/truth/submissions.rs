//! What was submitted, and what becomes of it.

use mail::{AccountId, BodyId, ModSeq, QueueId, SubmissionId, Timestamp, limits};
use rusqlite::params;
use store::{AccountNews, Cancellation, NewSubmission, Outcome, Progress, StoreError, StoreResult, Way};

use super::{Plan, SettlePlan, Truth};
use crate::codec;
use crate::log::Place;

/// Of `sending_gone`.
pub(crate) const SUBMISSION: i64 = 1;

/// It may be taken back.
const PENDING: i64 = 0;
/// It can't be taken back.
const FINAL: i64 = 1;
/// It was taken back.
const CANCELED: i64 = 2;

/// Submissions that are forgotten in one commit.
pub(crate) const FORGET_AT_ONCE: u64 = 1000;

/// A submission of which something changes, with the words that are said of its recipients by number.
pub(super) struct Sent {
    id: u64,
    account: AccountId,
    ways: Vec<Way>,
    reports: Vec<u64>,
    words: Vec<(u32, String)>,
}

impl Truth {
    /// Takes a message, as [`Truth::accept`], and keeps what is known of it.
    pub(crate) fn submit(&mut self, plan: &Plan, places: &[Place], new: &NewSubmission) -> StoreResult<SubmissionId> {
        let acceptance = plan.acceptance();
        let account = new.account;
        if !self.account(account)?.is_some_and(|account| account.active) {
            return Err(StoreError::NotFound(format!("an active account with id {}", account.0)));
        }
        self.make_room(account, acceptance.received_at)?;
        let mut next = BodyId(self.counters.body + u64::from(has_bytes(plan)));
        let mut reports = Vec::new();
        for report in plan.reports() {
            if is_for(report, account) {
                reports.push(next.0);
            }
            next.0 += u64::from(has_bytes(report));
        }
        self.accept(plan, places)?;
        let modseq = self.note_account(account)?;
        let release = acceptance.envelope.release_at(acceptance.received_at);
        let send_at = release.unwrap_or(acceptance.received_at);
        let sql = "INSERT INTO submissions(account, queue, identity, email, thread, envelope, send_at, undo, ways,
                     reports, created, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)";
        let values = params![
            account.0,
            acceptance.id.as_u64(),
            new.identity.0,
            new.email.0,
            new.thread.0,
            codec::submitted_text(&new.envelope),
            send_at.millis(),
            if release.is_some() { PENDING } else { FINAL },
            codec::ways_text(&new.ways),
            codec::numbers_text(&reports),
            modseq.0
        ];
        self.exec(sql, values)?;
        let id = self.last_id()?;
        self.exec("UPDATE queue SET submission = ?2 WHERE id = ?1", params![acceptance.id.as_u64(), id])?;
        self.tell(account, AccountNews::Submissions);
        Ok(SubmissionId(id))
    }

    /// Forgets submissions that are old, or too many with one more.
    fn make_room(&mut self, account: AccountId, now: Timestamp) -> StoreResult<()> {
        let sql = "SELECT id, undo, send_at, created FROM submissions WHERE account = ?1 ORDER BY id DESC";
        let rows: Vec<(u64, i64, i64, u64)> =
            self.all(sql, [account.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        let pending = rows.iter().filter(|row| row.1 == PENDING).count();
        if pending >= limits::SUBMISSIONS_PER_ACCOUNT {
            return Err(StoreError::Limit("SUBMISSIONS_PER_ACCOUNT"));
        }
        let room = limits::SUBMISSIONS_PER_ACCOUNT - pending - 1;
        let old = |sent: i64| now.since(Timestamp::from_millis(sent)) > limits::SUBMISSION_KEPT;
        let others = rows.iter().filter(|row| row.1 != PENDING).enumerate();
        let late: Vec<(u64, u64)> =
            others.filter(|(n, row)| *n >= room || old(row.2)).map(|(_, row)| (row.0, row.3)).collect();
        self.forget_all(account, &late)
    }

    fn forget_all(&mut self, account: AccountId, late: &[(u64, u64)]) -> StoreResult<()> {
        if late.is_empty() {
            return Ok(());
        }
        let modseq = self.note_account(account)?;
        for (id, created) in late {
            self.exec("DELETE FROM submissions WHERE id = ?1", [id])?;
            self.note_gone(account, SUBMISSION, *id, ModSeq(*created), modseq)?;
        }
        self.tell(account, AccountNews::Submissions);
        Ok(())
    }

    pub(crate) fn forget_submission(&mut self, account: AccountId, id: SubmissionId) -> StoreResult<()> {
        let sql = "SELECT created FROM submissions WHERE id = ?1 AND account = ?2";
        let created = self.one(sql, [id.0, account.0], |row| row.get(0))?;
        let created = created.ok_or_else(|| StoreError::NotFound(format!("the submission {}", id.0)))?;
        self.forget_all(account, &[(id.0, created)])
    }

    pub(crate) fn forget_submissions(&mut self, before: Timestamp) -> StoreResult<u64> {
        let sql = "SELECT account, id, created FROM submissions WHERE send_at < ?1 AND undo <> 0 LIMIT ?2";
        let late: Vec<(u64, u64, u64)> =
            self.all(sql, params![before.millis(), FORGET_AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        for (account, id, created) in &late {
            self.forget_all(AccountId(*account), &[(*id, *created)])?;
        }
        Ok(late.len() as u64)
    }

    pub(crate) fn cancel_submission(&mut self, cancellation: &Cancellation, events: &str) -> StoreResult<bool> {
        let Cancellation { account, id, .. } = cancellation;
        let sql = "SELECT undo, queue FROM submissions WHERE id = ?1 AND account = ?2";
        let row = self.one(sql, [id.0, account.0], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, u64>(1)?)))?;
        let (undo, queue) = row.ok_or_else(|| StoreError::NotFound(format!("the submission {}", id.0)))?;
        let queue = QueueId::from_u64(queue);
        let sql = "SELECT 1 FROM queue WHERE id = ?1 AND held = 1";
        if undo != PENDING || self.one(sql, [queue.as_u64()], |_| Ok(()))?.is_none() {
            return Ok(false);
        }
        let sql = "SELECT idx FROM queue_recipients WHERE queue = ?1";
        let indexes: Vec<u32> = self.all(sql, [queue.as_u64()], |row| row.get(0))?;
        for index in indexes {
            if let Some(item) = self.queue_item(queue, index)? {
                self.settle_one(item, &Outcome::Discarded)?;
            }
        }
        self.add_events(queue, events)?;
        self.drop_if_done(queue)?;
        let ways = self.one("SELECT ways FROM submissions WHERE id = ?1", [id.0], |row| row.get::<_, String>(0))?;
        let mut ways = codec::ways(&ways.unwrap_or_default())?;
        for way in &mut ways {
            way.progress = Progress::Failed;
            way.words = "it was taken back".into();
        }
        let modseq = self.note_account(*account)?;
        let sql = "UPDATE submissions SET undo = ?2, ways = ?3, changed = ?4 WHERE id = ?1";
        self.exec(sql, params![id.0, CANCELED, codec::ways_text(&ways), modseq.0])?;
        self.tell(*account, AccountNews::Submissions);
        Ok(true)
    }

    pub(crate) fn begin_sending(&mut self, id: QueueId) -> StoreResult<bool> {
        let sql = "SELECT held, submission FROM queue WHERE id = ?1";
        let row = self.one(sql, [id.as_u64()], |row| Ok((row.get::<_, bool>(0)?, row.get::<_, Option<u64>>(1)?)))?;
        let Some((held, submission)) = row else { return Ok(false) };
        if held {
            self.exec("UPDATE queue SET held = 0 WHERE id = ?1", [id.as_u64()])?;
            if let Some(submission) = submission {
                self.make_final(submission)?;
            }
        }
        Ok(true)
    }

    /// A submission that might have been taken back can't be any more.
    fn make_final(&mut self, submission: u64) -> StoreResult<()> {
        let sql = "SELECT account FROM submissions WHERE id = ?1 AND undo = ?2";
        let account = self.one(sql, params![submission, PENDING], |row| Ok(AccountId(row.get(0)?)))?;
        let Some(account) = account else { return Ok(()) };
        let modseq = self.note_account(account)?;
        let sql = "UPDATE submissions SET undo = ?2, changed = ?3 WHERE id = ?1";
        self.exec(sql, params![submission, FINAL, modseq.0])?;
        self.tell(account, AccountNews::Submissions);
        Ok(())
    }

    /// The submission that a settlement is about, where it is one's; read before its recipients go.
    pub(super) fn sent(&self, plan: &SettlePlan) -> StoreResult<Option<Sent>> {
        let sql = "SELECT s.id, s.account, s.ways, s.reports FROM queue q JOIN submissions s ON s.id = q.submission
                   WHERE q.id = ?1";
        let row = self.one(sql, [plan.id.as_u64()], |row| {
            let texts = (row.get::<_, String>(2)?, row.get::<_, String>(3)?);
            Ok((row.get(0)?, AccountId(row.get(1)?), texts))
        })?;
        let Some((id, account, (ways, reports))) = row else { return Ok(None) };
        let mut words = Vec::new();
        for (index, _) in &plan.outcomes {
            let sql = "SELECT recipient FROM queue_recipients WHERE queue = ?1 AND idx = ?2";
            let text = self.one(sql, params![plan.id.as_u64(), index], |row| row.get::<_, String>(0))?;
            let Some(text) = text else { continue };
            let address = codec::recipient(&text)?.address.to_string();
            let said = plan.words.iter().rev().find(|(whom, _)| *whom == address);
            words.push((*index, said.map(|(_, words)| words.clone()).unwrap_or_default()));
        }
        Ok(Some(Sent { id, account, ways: codec::ways(&ways)?, reports: codec::numbers(&reports)?, words }))
    }

    /// What a settlement says of a submission.
    pub(super) fn note_progress(
        &mut self,
        mut sent: Sent,
        outcomes: &[(u32, Outcome)],
        reports: &[(&Plan, BodyId)],
    ) -> StoreResult<()> {
        let mut is_over = false;
        for (index, words) in sent.words {
            let outcome = outcomes.iter().find(|(other, _)| *other == index).map(|(_, outcome)| outcome);
            let Some(outcome) = outcome else { continue };
            // Several recipients may lead to the same address.
            for way in sent.ways.iter_mut().filter(|way| way.queued == Some(index)) {
                way.progress = match outcome {
                    Outcome::Deferred { .. } => Progress::Queued,
                    Outcome::Relayed => Progress::Unknown,
                    Outcome::Delivered { .. } => Progress::Delivered,
                    Outcome::Bounced | Outcome::Expired | Outcome::Discarded => Progress::Failed,
                };
                way.words.clone_from(&words);
            }
            is_over |= !matches!(outcome, Outcome::Deferred { .. });
        }
        let own = reports.iter().filter(|(report, _)| is_for(report, sent.account)).map(|(_, body)| body.0);
        sent.reports.extend(own);
        let modseq = self.note_account(sent.account)?;
        let sql = "UPDATE submissions SET ways = ?2, reports = ?3, changed = ?4 WHERE id = ?1";
        let values = params![sent.id, codec::ways_text(&sent.ways), codec::numbers_text(&sent.reports), modseq.0];
        self.exec(sql, values)?;
        if is_over {
            self.make_final(sent.id)?;
        }
        self.tell(sent.account, AccountNews::Submissions);
        Ok(())
    }
}

/// Whether an acceptance keeps its bytes.
fn has_bytes(plan: &Plan) -> bool {
    !plan.acceptance().deliveries.is_empty() || !plan.acceptance().relays.is_empty()
}

/// Whether a report goes to this account.
fn is_for(report: &Plan, account: AccountId) -> bool {
    report.acceptance().deliveries.iter().any(|delivery| delivery.account == account)
}
