//! A maildrop that one session has open.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use mail::{AccountId, Durable, MailboxId, Uid};
use store::{Body, MaildropLock, Store, StoreError, StoreResult};
use wire::pop3::Listing;

/// An account's INBOX, locked for one session.
pub struct Maildrop {
    store: Arc<dyn Store>,
    mailbox: MailboxId,
    /// The message that is being read, and those that are probably next: they stay readable whatever happens to them
    /// meanwhile.
    open: VecDeque<(Uid, Arc<dyn Body>)>,
    _lock: MaildropLock,
}

/// Why a maildrop can't be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another session has it.
    InUse,
    /// The store's words, for the log.
    Store(StoreError),
}

/// Why a message can't be read.
#[derive(Debug)]
pub enum ReadError {
    /// Another session removed it.
    Gone,
    /// The store's words, for the log.
    Store(StoreError),
}

impl Maildrop {
    /// Locks and lists the maildrop of an account that has logged in.
    ///
    /// # Errors
    /// `InUse` while another session has it (RFC 1939 §4: an exclusive-access lock).
    pub async fn open(store: Arc<dyn Store>, account: AccountId) -> Result<(Self, Listing), OpenError> {
        // The lock first: what is listed must be what only we may change by POP3.
        let lock = store.lock_maildrop(account).await.map_err(|error| match error {
            StoreError::InUse => OpenError::InUse,
            error => OpenError::Store(error),
        })?;
        let failed = OpenError::Store;
        let mailbox = store.mailbox(account, "INBOX").await.map_err(failed)?;
        let mailbox = mailbox.ok_or_else(|| OpenError::Store(StoreError::NoMailbox("INBOX".into())))?;
        let mut watch = store.watch(mailbox).await.map_err(OpenError::Store)?;
        let snapshot = watch.newest().ok_or(OpenError::Store(StoreError::MailboxGone(mailbox)))?;
        let listing = Listing {
            uid_validity: snapshot.uid_validity,
            messages: snapshot.iter().map(|row| (row.uid, row.size)).collect(),
        };
        Ok((Self { store, mailbox, open: VecDeque::new(), _lock: lock }, listing))
    }

    /// The octets in `range` of a message, or the first of them; empty only where the message is. `looked_up`: what
    /// to look up in one go with it, if that must be done, itself first.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(
        &mut self,
        uid: Uid,
        range: Range<u64>,
        looked_up: impl FnOnce() -> Vec<Uid>,
    ) -> Result<Bytes, ReadError> {
        while self.open.front().is_some_and(|(next, _)| *next != uid) {
            self.open.pop_front();
        }
        if self.open.is_empty() {
            self.open = self.store.bodies(self.mailbox, &looked_up()).await.map_err(ReadError::Store)?.into();
        }
        let Some((_, body)) = self.open.front().filter(|(first, _)| *first == uid) else { return Err(ReadError::Gone) };
        let bytes = body.read(range.clone()).await.map_err(ReadError::Store)?;
        if range.start + bytes.len() as u64 >= body.size() {
            self.open.pop_front();
        }
        Ok(bytes)
    }

    /// The client is about to do nothing: an idle session holds no segment of the log.
    pub fn rest(&mut self) {
        self.open = VecDeque::new();
    }

    /// Update state (RFC 1939 §6): removes these messages, and frees the lock. Those that another
    /// session removed already are not among the UIDs returned.
    ///
    /// # Errors
    /// The store's; then nothing was removed.
    pub async fn update(self, deleted: &[Uid]) -> StoreResult<Option<Durable<Vec<Uid>>>> {
        if deleted.is_empty() {
            return Ok(None);
        }
        self.store.expunge(self.mailbox, deleted).await.map(Some)
    }
}
