//! Away notices, and who was told them.

use std::collections::HashMap;

use mail::{AccountId, ModSeq, QueueId, Timestamp, limits};
use rusqlite::params;
use store::{Acceptance, AccountNews, AwayNotice, Event, Once, StoreError, StoreResult, What, WhyNot};

use super::{Plan, Truth};
use crate::codec;
use crate::log::Place;

/// Who was told before this moment, in milliseconds, may be told again.
fn remembered_since(now: Timestamp) -> i64 {
    now.millis().saturating_sub(i64::try_from(limits::AWAY_AGAIN.as_millis()).unwrap_or(i64::MAX))
}

impl Truth {
    /// Sets an account's notice.
    pub(crate) fn set_away_notice(&mut self, account: AccountId, notice: &AwayNotice) -> StoreResult<ModSeq> {
        self.known_account(account)?;
        let is_long = |text: &Option<String>, most| text.as_ref().is_some_and(|text| text.len() > most);
        if is_long(&notice.subject, limits::AWAY_SUBJECT_LEN) {
            return Err(StoreError::Limit("AWAY_SUBJECT_LEN"));
        }
        if is_long(&notice.text, limits::AWAY_TEXT_LEN) || is_long(&notice.html, limits::AWAY_TEXT_LEN) {
            return Err(StoreError::Limit("AWAY_TEXT_LEN"));
        }
        let sql = "SELECT enabled, begins, ends, subject, plain, html, changed FROM away WHERE account = ?1";
        let before = self.one(sql, [account.0], |row| Ok((codec::away(row, 0)?, ModSeq(row.get(6)?))))?;
        let (before, changed) = before.unwrap_or_default();
        if before == *notice {
            return Ok(changed);
        }
        if !before.says_the_same(notice) {
            self.exec("DELETE FROM away_told WHERE account = ?1", [account.0])?;
        }
        let modseq = self.note_account(account)?;
        self.exec(
            "INSERT OR REPLACE INTO away(account, enabled, begins, ends, subject, plain, html, changed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                account.0,
                notice.enabled,
                notice.from.map(Timestamp::millis),
                notice.to.map(Timestamp::millis),
                notice.subject,
                notice.text,
                notice.html,
                modseq.0
            ],
        )?;
        self.tell(account, AccountNews::Away);
        self.announce_account(account)?;
        Ok(modseq)
    }

    /// The account goes, and its notice with it.
    pub(super) fn drop_away_notice(&mut self, account: AccountId) -> StoreResult<()> {
        self.exec("DELETE FROM away_told WHERE account = ?1", [account.0])?;
        self.exec("DELETE FROM away WHERE account = ?1", [account.0]).map(drop)
    }

    /// Whether a report goes that goes once in a while only.
    pub(super) fn may_report(
        &mut self,
        once: &Once,
        report: &Plan,
        mut places: std::slice::Iter<'_, Place>,
    ) -> StoreResult<Option<WhyNot>> {
        let now = report.received_at();
        let since = remembered_since(now);
        if let Some(mark) = &once.mark {
            if self.is_marked(once.account, &mark.mark, now)? {
                return Ok(Some(WhyNot::Told));
            }
            return self.may_take(report, &mut places);
        }
        // RFC 5230 §4.1, §4.2
        let sql = "SELECT 1 FROM away_told WHERE account = ?1 AND sender = ?2 AND told > ?3";
        let sender = codec::address_text(&once.to);
        if self.one(sql, params![once.account.0, sender, since], |_| Ok(()))?.is_some() {
            return Ok(Some(WhyNot::Told));
        }
        let sql = "SELECT count(*) FROM away_told WHERE account = ?1 AND told > ?2";
        let told: Option<usize> = self.one(sql, params![once.account.0, since], |row| row.get(0))?;
        if told.unwrap_or_default() >= limits::AWAY_TOLD {
            return Ok(Some(WhyNot::TooMany));
        }
        self.may_take(report, &mut places)
    }

    /// The message is accepted, whatever becomes of the reply to it.
    fn may_take(&mut self, report: &Plan, places: &mut std::slice::Iter<'_, Place>) -> StoreResult<Option<WhyNot>> {
        match self.check_accept(report, places, &mut HashMap::new()) {
            Ok(()) => Ok(None),
            Err(StoreError::AccountGone(_) | StoreError::OverQuota(_)) => Ok(Some(WhyNot::NotTaken)),
            Err(error) => Err(error),
        }
    }

    /// Remembers whom a report went to, or notes why it did not go, in the journey of the message that it came with.
    pub(super) fn note_report(
        &mut self,
        id: QueueId,
        report: &Acceptance,
        once: &Once,
        why_not: Option<WhyNot>,
    ) -> StoreResult<()> {
        let now = report.received_at;
        let event = match why_not {
            Some(why) => why.event(now, &once.recipient, &once.address),
            None => {
                if let Some(mark) = &once.mark {
                    self.mark(mark, now)?;
                } else {
                    let since = remembered_since(now);
                    self.exec(
                        "DELETE FROM away_told WHERE account = ?1 AND told <= ?2",
                        params![once.account.0, since],
                    )?;
                    let sql = "INSERT OR REPLACE INTO away_told(account, sender, told) VALUES (?1, ?2, ?3)";
                    self.exec(sql, params![once.account.0, codec::address_text(&once.to), now.millis()])?;
                }
                let what = What::Answered { account: once.address.to_string(), report: report.id.to_string() };
                Event::about(now, once.recipient.to_string(), what)
            }
        };
        self.add_events(id, &codec::events_text(&[event]))
    }
}
