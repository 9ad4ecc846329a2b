//! Making, renaming, deleting mailboxes, and subscriptions.

use std::borrow::Cow;
use std::sync::Arc;

use mail::{AccountId, MailboxId, Timestamp, Uid, limits};
use rusqlite::params;
use store::{AccountNews, SpecialUse, StoreError, StoreResult};

use super::{Effect, MailboxCell, Truth};

/// INBOX.
pub(crate) const INBOX: &str = "INBOX";

/// A name in the form in which it is kept: `INBOX` in capitals, also as the first level.
pub(crate) fn checked_name(name: &str) -> StoreResult<Cow<'_, str>> {
    let name = store::canonical_name(name);
    if name.is_empty() || name.len() > limits::MAILBOX_NAME_LEN {
        return Err(StoreError::BadMailboxName("a mailbox name has 1 to 255 octets"));
    }
    if name.split('/').any(str::is_empty) {
        return Err(StoreError::BadMailboxName("no level of a mailbox name may be empty"));
    }
    if name.chars().any(char::is_control) {
        return Err(StoreError::BadMailboxName("a mailbox name has no control characters"));
    }
    Ok(name)
}

/// The names above `name`, from the top.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(at, _)| &name[..at])
}

/// The range of names below `name`: `name/` up to, not including, `name0`.
pub(super) fn below(name: &str) -> (String, String) {
    (format!("{name}/"), format!("{name}0"))
}

/// A row of `names`.
struct Name {
    mailbox: Option<MailboxId>,
    subscribed: bool,
}

impl Truth {
    fn name(&self, account: AccountId, name: &str) -> StoreResult<Option<Name>> {
        let sql = "SELECT mailbox, subscribed FROM names WHERE account = ?1 AND name = ?2";
        self.one(sql, params![account.0, name], |row| {
            Ok(Name { mailbox: row.get::<_, Option<u64>>(0)?.map(MailboxId), subscribed: row.get(1)? })
        })
    }

    pub(super) fn known_account(&mut self, account: AccountId) -> StoreResult<()> {
        match self.account(account)? {
            Some(_) => Ok(()),
            None => Err(StoreError::NotFound(format!("the account with id {}", account.0))),
        }
    }

    /// A delivery's mailbox, made where it is not there. A name that can't be is INBOX's.
    pub(super) fn mailbox_or_make(&mut self, account: AccountId, name: &str) -> StoreResult<MailboxId> {
        match self.create_mailbox(account, name, None, false) {
            Ok(id) => Ok(id),
            Err(StoreError::Exists(_)) => {
                let name = checked_name(name)?;
                let row = self.name(account, &name)?;
                row.and_then(|row| row.mailbox).ok_or_else(|| StoreError::NoMailbox(name.into_owned()))
            }
            Err(error) => Err(error),
        }
    }

    /// Makes a mailbox and its missing parents.
    pub(crate) fn create_mailbox(
        &mut self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
        subscribed: bool,
    ) -> StoreResult<MailboxId> {
        let name = checked_name(name)?;
        if self.name(account, &name)?.is_some_and(|row| row.mailbox.is_some()) {
            return Err(StoreError::Exists(name.into_owned()));
        }
        self.known_account(account)?;
        let sql = "SELECT count(*) FROM mailboxes WHERE account = ?1";
        let count: usize = self.one(sql, [account.0], |row| row.get(0))?.unwrap_or(0);
        if count + name.matches('/').count() >= limits::MAILBOXES_PER_ACCOUNT {
            return Err(StoreError::Limit("MAILBOXES_PER_ACCOUNT"));
        }
        for parent in parents(&name) {
            if self.name(account, parent)?.is_none_or(|row| row.mailbox.is_none()) {
                self.make(account, parent, None, false)?;
            }
        }
        self.make(account, &name, special_use, subscribed)
    }

    /// Makes one mailbox under a free name.
    pub(super) fn make(
        &mut self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
        subscribed: bool,
    ) -> StoreResult<MailboxId> {
        // A new mailbox is a change of the account like any other.
        let modseq = match self.account(account)? {
            Some(cell) => {
                cell.modseq += 1;
                cell.modseq
            }
            None => 1,
        };
        let next = self.count();
        let (id, uid_validity) = (next.mailbox, next.uid_validity);
        next.mailbox += 1;
        next.uid_validity += 1;
        self.exec(
            "INSERT INTO mailboxes VALUES (?1, ?2, ?3, 1, ?4, 1, 0, 0, 0, 0)",
            params![id, account.0, uid_validity, modseq],
        )?;
        let attribute = special_use.and_then(attribute);
        self.exec(
            "INSERT INTO names(account, name, mailbox, special_use, subscribed) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET mailbox = excluded.mailbox, special_use = excluded.special_use",
            params![account.0, name, id, attribute, subscribed],
        )?;
        if let Some(above) = parents(name).last()
            && let Some(parent) = self.name(account, above)?.and_then(|row| row.mailbox)
        {
            self.inherit_grants(parent.0, id)?;
        }
        let sql = "INSERT INTO mailbox_history VALUES (?1, ?2, ?3, ?3, 0)";
        self.exec(sql, params![account.0, id, modseq])?;
        // What is below it has it as its parent now.
        self.note_below(account, name)?;
        self.tell(account, AccountNews::Created(name.to_owned()));
        Ok(MailboxId(id))
    }

    /// Renames a mailbox and all below it; INBOX gives its messages away instead.
    pub(crate) fn rename_mailbox(
        &mut self,
        account: AccountId,
        from: &str,
        to: &str,
        now: Timestamp,
    ) -> StoreResult<()> {
        let (from, to) = (checked_name(from)?, checked_name(to)?);
        let source = self.name(account, &from)?;
        let (low, high) = below(&from);
        let sql = "SELECT name FROM names WHERE account = ?1 AND name >= ?2 AND name < ?3 AND mailbox IS NOT NULL";
        let children: Vec<String> = self.all(sql, params![account.0, low, high], |row| row.get(0))?;
        let exists = source.as_ref().is_some_and(|row| row.mailbox.is_some());
        if !exists && children.is_empty() {
            return Err(StoreError::NoMailbox(from.into_owned()));
        }
        if self.name(account, &to)?.is_some_and(|row| row.mailbox.is_some()) {
            return Err(StoreError::Exists(to.into_owned()));
        }
        if from == INBOX {
            return self.rename_inbox(account, &to, now);
        }
        if to.starts_with(&low) {
            return Err(StoreError::BadMailboxName("a mailbox can't be moved below itself"));
        }
        let mut moves = Vec::with_capacity(children.len() + 1);
        if exists {
            moves.push((from.to_string(), to.to_string()));
        }
        for child in children {
            let new = format!("{to}{}", &child[from.len()..]);
            checked_name(&new)?;
            if self.name(account, &new)?.is_some_and(|row| row.mailbox.is_some()) {
                return Err(StoreError::Exists(new));
            }
            moves.push((child, new));
        }
        for parent in parents(&to).map(str::to_owned).collect::<Vec<_>>() {
            if self.name(account, &parent)?.is_none_or(|row| row.mailbox.is_none()) {
                self.make(account, &parent, None, false)?;
            }
        }
        for (old, new) in &moves {
            self.move_name(account, old, new)?;
        }
        self.note_name(account, &to)?;
        self.note_below(account, &to)?;
        // RFC 5465 §5.4: what is below goes with it, and is not told by itself.
        self.tell(account, AccountNews::Renamed { from: from.to_string(), to: to.to_string() });
        for (old, _) in moves.iter().rev() {
            self.drop_name(account, old)?;
        }
        Ok(())
    }

    /// RFC 3501 §6.3.5: INBOX stays, empty; its messages move to a new mailbox; what is below it stays.
    fn rename_inbox(&mut self, account: AccountId, to: &str, now: Timestamp) -> StoreResult<()> {
        let target = self.create_mailbox(account, to, None, false)?;
        let gone = || StoreError::NoMailbox(INBOX.into());
        let inbox = self.name(account, INBOX)?.and_then(|row| row.mailbox).ok_or_else(gone)?;
        self.settle_mailbox(inbox)?;
        let sql = "SELECT uid FROM messages WHERE mailbox = ?1";
        let uids = self.all(sql, [inbox.0], |row| row.get::<_, u32>(0))?;
        let uids: Vec<_> = uids.into_iter().filter_map(Uid::new).collect();
        self.copy_annotations(account, inbox, target)?;
        self.move_messages(inbox, &uids, target, now).map(drop)
    }

    /// Gives a mailbox another name. Subscriptions stay with the names (RFC 3501 §6.3.6: only the client
    /// unsubscribes).
    fn move_name(&mut self, account: AccountId, old: &str, new: &str) -> StoreResult<()> {
        self.exec(
            "INSERT INTO names(account, name, mailbox, special_use, subscribed)
             SELECT account, ?3, mailbox, special_use, 0 FROM names WHERE account = ?1 AND name = ?2
             ON CONFLICT DO UPDATE SET mailbox = excluded.mailbox, special_use = excluded.special_use",
            params![account.0, old, new],
        )?;
        self.exec(
            "UPDATE names SET mailbox = NULL, special_use = NULL WHERE account = ?1 AND name = ?2",
            params![account.0, old],
        )?;
        Ok(())
    }

    /// Forgets a name that is no mailbox, has no subscription and no children, and then those above it.
    fn drop_name(&mut self, account: AccountId, name: &str) -> StoreResult<()> {
        let above: Vec<_> = parents(name).collect();
        for name in above.into_iter().chain([name]).rev() {
            let Some(row) = self.name(account, name)? else { continue };
            if row.mailbox.is_some() || row.subscribed || self.has_children(account, name)? {
                break;
            }
            self.exec("DELETE FROM names WHERE account = ?1 AND name = ?2", params![account.0, name])?;
        }
        Ok(())
    }

    fn has_children(&self, account: AccountId, name: &str) -> StoreResult<bool> {
        let (low, high) = below(name);
        let sql = "SELECT 1 FROM names WHERE account = ?1 AND name >= ?2 AND name < ?3 AND mailbox IS NOT NULL LIMIT 1";
        Ok(self.one(sql, params![account.0, low, high], |_| Ok(()))?.is_some())
    }

    /// Deletes a mailbox with its messages.
    pub(crate) fn delete_mailbox(&mut self, account: AccountId, name: &str) -> StoreResult<()> {
        let name = checked_name(name)?;
        if name == INBOX {
            return Err(StoreError::BadMailboxName("INBOX can't be deleted"));
        }
        let children = self.has_children(account, &name)?;
        let Some(id) = self.name(account, &name)?.and_then(|row| row.mailbox) else {
            // RFC 3501 §6.3.4: a name that is \Noselect and has children can't be deleted.
            return Err(if children { StoreError::HasChildren } else { StoreError::NoMailbox(name.into_owned()) });
        };
        self.remove_mailbox(id)?;
        self.note_below(account, &name)?;
        self.exec(
            "UPDATE names SET mailbox = NULL, special_use = NULL WHERE account = ?1 AND name = ?2",
            params![account.0, name],
        )?;
        self.tell(account, AccountNews::Deleted(name.to_string()));
        self.drop_name(account, &name)
    }

    /// Removes a mailbox's rows and releases its bytes. Its name is the caller's.
    pub(super) fn remove_mailbox(&mut self, id: MailboxId) -> StoreResult<()> {
        self.settle_mailbox(id)?;
        let cell: &MailboxCell = self.mailbox(id)?;
        let (owner, size, messages) = (cell.account, cell.size, cell.messages);
        // Read before the rows go, or what they counted would be taken off twice.
        self.account(owner)?;
        let sql = "SELECT body, count(*) FROM messages WHERE mailbox = ?1 GROUP BY body ORDER BY body";
        let bodies: Vec<(u64, u64)> = self.all(sql, [id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        self.release_bodies(bodies)?;
        // The account's order of changes goes on above what the mailbox had.
        let modseq = self.note_removal(owner, id)?;
        let sql = "INSERT INTO expunged(mailbox, modseq, uid, body, thread, created, flags)
                   SELECT mailbox, ?2, uid, body, thread, created, flags FROM messages WHERE mailbox = ?1";
        self.exec(sql, params![id.0, modseq.0])?;
        for table in ["messages", "keywords", "url_keys"] {
            self.exec(&format!("DELETE FROM {table} WHERE mailbox = ?1"), [id.0])?;
        }
        self.drop_annotations(owner, id)?;
        self.drop_grants(id)?;
        self.exec("DELETE FROM mailboxes WHERE id = ?1", [id.0])?;
        if let Some(account) = self.account(owner)? {
            account.used = account.used.saturating_sub(size);
            account.messages = account.messages.saturating_sub(messages.into());
        }
        self.mailboxes.remove(&id);
        self.used.push(owner);
        self.effects.push(Effect::Deleted(id));
        Ok(())
    }

    /// Subscribes to a name, which need not exist, or no more.
    pub(crate) fn subscribe(&mut self, account: AccountId, name: &str, subscribed: bool) -> StoreResult<()> {
        let name = checked_name(name)?;
        self.known_account(account)?;
        if !subscribed {
            let sql = "UPDATE names SET subscribed = 0 WHERE account = ?1 AND name = ?2 AND subscribed = 1";
            if self.exec(sql, params![account.0, name])? > 0 {
                self.note_name(account, &name)?;
                self.tell(account, AccountNews::Subscribed(name.to_string(), false));
            }
            return self.drop_name(account, &name);
        }
        let sql = "SELECT count(*) FROM names WHERE account = ?1";
        let count: usize = self.one(sql, [account.0], |row| row.get(0)).map(Option::unwrap_or_default)?;
        if count >= limits::MAILBOXES_PER_ACCOUNT * 2 {
            return Err(StoreError::Limit("MAILBOXES_PER_ACCOUNT"));
        }
        let sql = "INSERT INTO names(account, name, mailbox, special_use, subscribed) VALUES (?1, ?2, NULL, NULL, 1)
                   ON CONFLICT DO UPDATE SET subscribed = 1 WHERE subscribed = 0";
        if self.exec(sql, params![account.0, name])? > 0 {
            self.note_name(account, &name)?;
            self.tell(account, AccountNews::Subscribed(name.into_owned(), true));
        }
        Ok(())
    }

    /// For those who listen to the account.
    pub(super) fn tell(&mut self, account: AccountId, news: AccountNews) {
        self.effects.push(Effect::Account(account, Arc::new(news)));
    }
}

/// How a special use is kept: its attribute.
pub(super) fn attribute(special_use: SpecialUse) -> Option<&'static str> {
    SpecialUse::ALL.iter().find(|(other, ..)| *other == special_use).map(|(_, attribute, _)| *attribute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inbox_is_one_name() {
        assert_eq!(checked_name("inbox").unwrap(), "INBOX");
        assert_eq!(checked_name("InBox/a").unwrap(), "INBOX/a");
        assert_eq!(checked_name("inboxes").unwrap(), "inboxes");
        for bad in ["", "/", "a/", "/a", "a//b", "a\nb", &"x".repeat(256)] {
            assert!(checked_name(bad).is_err(), "{bad:?}");
        }
    }
}
