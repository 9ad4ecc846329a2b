//! Annotations of mailboxes and accounts (RFC 5464).

use std::collections::BTreeMap;

use mail::{AccountId, MailboxId, ModSeq, limits};
use rusqlite::params;
use store::{AccountNews, AnnotationChange, SORT_ORDER_ENTRY, SPECIAL_USE_ENTRY, SpecialUse, StoreError, StoreResult};

use super::Truth;
use super::mailboxes::{attribute, checked_name};

/// Stands for the mailbox of annotations that are the account's own.
pub(crate) const NO_MAILBOX: u64 = 0;

/// What the changes of one transaction come to.
#[derive(Default)]
struct Sum {
    /// By name in lower case: the name as it was given, and the value.
    entries: BTreeMap<String, (String, Option<Vec<u8>>)>,
    /// The new special use, where one is set or taken away.
    special_use: Option<Option<SpecialUse>>,
}

impl Sum {
    fn of(changes: &[AnnotationChange], mailbox: Option<&str>) -> StoreResult<Self> {
        let mut sum = Self::default();
        for change in changes {
            if change.entry.len() > limits::ANNOTATION_NAME_LEN {
                return Err(StoreError::Limit("ANNOTATION_NAME_LEN"));
            }
            if change.value.as_ref().is_some_and(|value| value.len() > limits::ANNOTATION_LEN) {
                return Err(StoreError::Limit("ANNOTATION_LEN"));
            }
            if mailbox.is_some() && change.entry.eq_ignore_ascii_case(SPECIAL_USE_ENTRY) {
                sum.special_use = Some(change.value.as_deref().map(special_use).transpose()?);
                continue;
            }
            let value = (change.entry.clone(), change.value.clone());
            sum.entries.insert(change.entry.to_ascii_lowercase(), value);
        }
        Ok(sum)
    }
}

fn special_use(value: &[u8]) -> StoreResult<SpecialUse> {
    let known = SpecialUse::ALL.iter().find(|(_, attribute, _)| attribute.as_bytes().eq_ignore_ascii_case(value));
    known.map(|(special_use, ..)| *special_use).ok_or(StoreError::BadSpecialUse)
}

impl Truth {
    /// Changes annotations, all or none; those that are so already are no change.
    pub(crate) fn annotate(
        &mut self,
        account: AccountId,
        mailbox: Option<&str>,
        changes: &[AnnotationChange],
    ) -> StoreResult<Option<ModSeq>> {
        let sum = Sum::of(changes, mailbox)?;
        let name = mailbox.map(checked_name).transpose()?;
        self.known_account(account)?;
        let (id, use_now) = match &name {
            None => (NO_MAILBOX, None),
            Some(name) => {
                let sql = "SELECT mailbox, special_use FROM names
                           WHERE account = ?1 AND name = ?2 AND mailbox IS NOT NULL";
                let row = self.one(sql, params![account.0, name], |row| {
                    Ok((row.get::<_, u64>(0)?, row.get::<_, Option<String>>(1)?))
                })?;
                row.ok_or_else(|| StoreError::NoMailbox(name.to_string()))?
            }
        };
        let sql = "SELECT entry, value FROM annotations WHERE account = ?1 AND mailbox = ?2";
        let there = self.all(sql, params![account.0, id], |row| {
            Ok((row.get::<_, String>(0)?.to_ascii_lowercase(), row.get::<_, Vec<u8>>(1)?))
        })?;
        let there: BTreeMap<String, Vec<u8>> = there.into_iter().collect();
        let changed: Vec<_> =
            sum.entries.into_iter().filter(|(key, (_, value))| there.get(key) != value.as_ref()).collect();
        let more = changed.iter().filter(|(key, (_, value))| value.is_some() && !there.contains_key(key)).count();
        let fewer = changed.iter().filter(|(_, (_, value))| value.is_none()).count();
        self.room_for_annotations(account, there.len() - fewer, more)?;
        let new_use = sum.special_use.map(|new| new.and_then(attribute)).filter(|new| *new != use_now.as_deref());

        let mut entries = Vec::with_capacity(changed.len() + 1);
        for (_, (entry, value)) in changed {
            let sql = match &value {
                // The name as it is given now takes the place of the one before.
                Some(_) => {
                    "INSERT INTO annotations(account, mailbox, entry, value) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT DO UPDATE SET entry = excluded.entry, value = excluded.value"
                }
                None => "DELETE FROM annotations WHERE account = ?1 AND mailbox = ?2 AND entry = ?3 AND ?4 IS NULL",
            };
            self.exec(sql, params![account.0, id, entry, value])?;
            entries.push(entry);
        }
        if let (Some(new), Some(name)) = (new_use, &name) {
            let sql = "UPDATE names SET special_use = ?3 WHERE account = ?1 AND name = ?2";
            self.exec(sql, params![account.0, name, new])?;
            entries.push(SPECIAL_USE_ENTRY.to_owned());
        }
        let is_listed =
            |entry: &String| [SPECIAL_USE_ENTRY, SORT_ORDER_ENTRY].iter().any(|own| own.eq_ignore_ascii_case(entry));
        let is_noted = entries.iter().any(is_listed);
        let modseq = self.tell_of_annotations(account, name.map(String::from), entries)?;
        if let Some(modseq) = modseq.filter(|_| is_noted) {
            self.note_at(account, MailboxId(id), modseq)?;
        }
        Ok(modseq)
    }

    /// Whether `more` annotations may come to the `there` of a mailbox.
    fn room_for_annotations(&mut self, account: AccountId, there: usize, more: usize) -> StoreResult<()> {
        if more == 0 {
            return Ok(());
        }
        if there + more > limits::ANNOTATIONS_PER_MAILBOX {
            return Err(StoreError::Limit("ANNOTATIONS_PER_MAILBOX"));
        }
        let sql = "SELECT count(*) FROM annotations WHERE account = ?1";
        let all: usize = self.one(sql, [account.0], |row| row.get(0))?.unwrap_or(0);
        if all + more > limits::ANNOTATIONS_PER_ACCOUNT {
            return Err(StoreError::Limit("ANNOTATIONS_PER_ACCOUNT"));
        }
        Ok(())
    }

    /// Gives the change its place in the account's order, and tells those who listen.
    fn tell_of_annotations(
        &mut self,
        account: AccountId,
        mailbox: Option<String>,
        entries: Vec<String>,
    ) -> StoreResult<Option<ModSeq>> {
        let Some(cell) = self.account(account)?.filter(|_| !entries.is_empty()) else { return Ok(None) };
        cell.modseq += 1;
        let modseq = cell.modseq;
        self.exec("UPDATE accounts SET modseq = ?2 WHERE id = ?1", params![account.0, modseq])?;
        self.tell(account, AccountNews::Annotated { modseq: ModSeq(modseq), mailbox, entries });
        Ok(Some(ModSeq(modseq)))
    }

    /// RFC 5464 §4.1: a new mailbox that takes INBOX's messages has its annotations too; INBOX keeps its own.
    pub(super) fn copy_annotations(&mut self, account: AccountId, from: MailboxId, to: MailboxId) -> StoreResult<()> {
        let sql = "SELECT count(*) FROM annotations WHERE account = ?1 AND mailbox = ?2";
        let count: usize = self.one(sql, params![account.0, from.0], |row| row.get(0))?.unwrap_or(0);
        self.room_for_annotations(account, 0, count)?;
        let sql = "INSERT INTO annotations(account, mailbox, entry, value)
                   SELECT account, ?3, entry, value FROM annotations WHERE account = ?1 AND mailbox = ?2";
        self.exec(sql, params![account.0, from.0, to.0]).map(drop)
    }

    /// The mailbox goes, and its annotations with it.
    pub(super) fn drop_annotations(&mut self, account: AccountId, mailbox: MailboxId) -> StoreResult<()> {
        let sql = "DELETE FROM annotations WHERE account = ?1 AND mailbox = ?2";
        self.exec(sql, params![account.0, mailbox.0]).map(drop)
    }
}
