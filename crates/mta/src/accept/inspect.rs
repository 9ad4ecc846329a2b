//! The look at a message between its last byte and our answer: authentication, filters, signatures.
//!
//! **Does:** shows who asked for it the whole message as it is stored, with its envelope and client; joins what they
//! found: fields for the top of each copy, events of the journey, the Junk mailbox, a refusal. Then lets filters say
//! of each copy that stays here where it is to be put.
//!
//! **Does not:** know what is looked for: each inspector is an [`Inspect`] of its own, each filter a [`Filter`]. Change what was received: what is
//! found is put on top of each recipient's copy.
//!
//! **Data** comes in as the stage of a message that nobody has answered for; it leaves as [`Findings`], and a [`Filing`] for
//! each account that receives.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use mail::{AccountId, Address, Envelope, Flags, QueueId, Recipient, Reply, Timestamp, limits};
use store::{Event, Stage, StoreError, StoreResult};
use tokio::sync::{Semaphore, SemaphorePermit};
use wire::smtp::server::Hello;

use super::Client;
use super::resolve::Refusal;
use crate::script::Sorted;

/// A message whose last byte has come, and that nobody has answered for.
pub struct Inspection<'a> {
    /// Its name from now on.
    pub id: QueueId,
    /// Who sends it.
    pub client: &'a Client,
    /// What it called itself; empty for what comes by JMAP.
    pub hello: &'a Hello,
    /// From whom to whom.
    pub envelope: &'a Envelope,
    /// The whole message as it is stored: our trace fields, then what came.
    pub message: &'a [u8],
    /// How many octets at its beginning are our own trace fields.
    pub ours: usize,
    /// Now.
    pub at: Timestamp,
    /// What those before have found.
    pub findings: &'a Findings,
}

impl<'a> Inspection<'a> {
    /// The message as it came, with what a submission was put right in.
    pub fn received(&self) -> &'a [u8] {
        self.message.get(self.ours..).unwrap_or_default()
    }
}

/// Something that makes a message more or less likely junk.
#[derive(Clone, Debug, PartialEq)]
pub struct Clue {
    /// In words that go on "it is judged so because …": `the sender's domain says that it did not send this`.
    pub says: String,
    /// How likely mail is junk of which nothing but this is known; 0 to 1, both excluded.
    pub likely: f64,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Whole header fields, each with CRLF, for the top of every copy.
    pub top: Vec<u8>,
    /// What the journey is to tell.
    pub events: Vec<Event>,
    /// It looks like junk: into that mailbox of those who receive here.
    pub junk: bool,
    /// What makes it more or less likely junk, for those who judge that.
    pub clues: Vec<Clue>,
    /// It is not taken, and why.
    pub refusal: Option<Refusal>,
}

impl Findings {
    /// Not taken.
    pub fn refuse(reply: Reply, rule: &'static str) -> Self {
        Self { refusal: Some(Refusal::new(reply, rule)), ..Self::default() }
    }

    /// What another found later. Trace fields grow upwards (RFC 5321 §4.4, RFC 8601 §5): the newest is on top.
    fn join(&mut self, mut later: Self) {
        later.top.append(&mut self.top);
        self.top = later.top;
        self.events.append(&mut later.events);
        self.junk |= later.junk;
        self.clues.append(&mut later.clues);
        self.refusal = later.refusal;
    }
}

/// Somebody who looks at messages before they are taken.
#[async_trait]
pub trait Inspect: Send + Sync + 'static {
    /// What he finds. He bounds his own time; who can't tell finds nothing, or refuses with 4yz.
    async fn inspect(&self, inspection: &Inspection<'_>) -> Findings;
}

/// A copy for an account here.
pub struct LocalCopy<'a> {
    /// Whose.
    pub account: AccountId,
    /// The account's own address.
    pub address: &'a Address,
    /// Whom the sender named.
    pub recipient: &'a Recipient,
    /// The name of the account's active script.
    pub script: Option<&'a str>,
}

/// Where a copy is put.
#[derive(Clone, Debug, Default)]
pub struct Filing {
    /// The mailbox; `None`: INBOX. One that is not there is made.
    pub mailbox: Option<String>,
    /// The flags that it gets.
    pub flags: Flags,
    /// What the journey is to tell of it.
    pub events: Vec<Event>,
    /// What the account's script says of it, which goes before the mailbox.
    pub sorted: Option<Box<Sorted>>,
}

/// Somebody who says where copies are put.
#[async_trait]
pub trait Filter: Send + Sync + 'static {
    /// Where; `filing` is what those before have said. He bounds his own time; who can't tell leaves it as it is.
    async fn file(&self, copy: &LocalCopy<'_>, inspection: &Inspection<'_>, filing: Filing) -> Filing;
}

/// Those who look at messages, in the order in which they are asked.
pub struct Inspectors {
    all: Vec<Arc<dyn Inspect>>,
    filters: Vec<Arc<dyn Filter>>,
    /// KiB that messages which were streamed to disk may take in memory while they are looked at.
    room: Semaphore,
}

impl Inspectors {
    /// In this order.
    pub fn new(all: Vec<Arc<dyn Inspect>>, filters: Vec<Arc<dyn Filter>>) -> Self {
        Self { all, filters, room: Semaphore::new(limits::INSPECTED_IN_MEMORY / 1024) }
    }

    /// Asks each in turn, up to the first who refuses.
    pub(super) async fn look(&self, stage: &mut dyn Stage, about: About<'_>) -> StoreResult<Findings> {
        let mut findings = Findings::default();
        if self.all.is_empty() {
            return Ok(findings);
        }
        let (_room, message) = self.whole(stage).await?;
        for one in &self.all {
            let found = one.inspect(&about.inspection(&message, &findings)).await;
            findings.join(found);
            if findings.refusal.is_some() {
                break;
            }
        }
        Ok(findings)
    }

    /// Asks of each copy where it is put.
    pub(super) async fn file(
        &self,
        stage: &mut dyn Stage,
        about: About<'_>,
        findings: &Findings,
        copies: &[LocalCopy<'_>],
    ) -> StoreResult<Filings> {
        let begin = || Filing { mailbox: findings.junk.then(|| JUNK.to_owned()), ..Filing::default() };
        if self.filters.is_empty() || copies.is_empty() {
            return Ok(copies.iter().map(|copy| (copy.account, begin())).collect());
        }
        let (_room, message) = self.whole(stage).await?;
        let inspection = about.inspection(&message, findings);
        let mut filings = Filings::new();
        for copy in copies {
            let mut filing = begin();
            for filter in &self.filters {
                filing = filter.file(copy, &inspection, filing).await;
            }
            filings.insert(copy.account, filing);
        }
        Ok(filings)
    }

    /// The whole message, and its part of the room for those that were streamed to disk.
    pub(super) async fn whole<'s>(
        &self,
        stage: &'s mut dyn Stage,
    ) -> StoreResult<(SemaphorePermit<'_>, Cow<'s, [u8]>)> {
        let size = usize::try_from(stage.len()).unwrap_or(usize::MAX);
        let is_large = stage.in_memory().is_none();
        let part = self.room.acquire_many(if is_large { room(size) } else { 0 });
        let part = part.await.map_err(|_| StoreError::Busy)?;
        let message = if is_large {
            Cow::Owned(read(stage, size).await?)
        } else {
            Cow::Borrowed(stage.in_memory().unwrap_or_default())
        };
        Ok((part, message))
    }
}

/// Where the copies of a message are put, by account.
pub(super) type Filings = HashMap<AccountId, Filing>;

/// Where junk goes.
pub const JUNK: &str = "Junk";

/// Nobody looks.
impl Default for Inspectors {
    fn default() -> Self {
        Self::new(Vec::new(), Vec::new())
    }
}

/// What is known of a message beside its bytes.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) id: QueueId,
    pub(super) client: &'a Client,
    pub(super) hello: &'a Hello,
    pub(super) envelope: &'a Envelope,
    pub(super) ours: usize,
    pub(super) at: Timestamp,
}

impl<'a> About<'a> {
    const fn inspection(self, message: &'a [u8], findings: &'a Findings) -> Inspection<'a> {
        let Self { id, client, hello, envelope, ours, at } = self;
        Inspection { id, client, hello, envelope, message, ours, at, findings }
    }
}

/// KiB of the room that a message takes; one that is larger than all of it takes all.
fn room(size: usize) -> u32 {
    let kib = size.div_ceil(1024).min(limits::INSPECTED_IN_MEMORY / 1024);
    u32::try_from(kib).unwrap_or(u32::MAX)
}

/// All of a message that was streamed to disk.
async fn read(stage: &mut dyn Stage, size: usize) -> StoreResult<Vec<u8>> {
    let mut message = Vec::with_capacity(size);
    while message.len() < size {
        let piece = stage.read(message.len() as u64..size as u64).await?;
        if piece.is_empty() {
            return Err(StoreError::Failed("a message can't be read back whole".into()));
        }
        message.extend_from_slice(&piece);
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `INSPECTED_IN_MEMORY` is taken whole by a message that has it, and by one that has more: it waits until it is alone.
    #[test]
    fn a_message_takes_no_more_than_all_the_room() {
        let all = u32::try_from(limits::INSPECTED_IN_MEMORY / 1024).unwrap();
        assert_eq!(room(limits::INSPECTED_IN_MEMORY), all);
        assert_eq!(room(limits::INSPECTED_IN_MEMORY + 1), all);
        assert_eq!(room(limits::INSPECTED_IN_MEMORY - 1024), all - 1);
        assert_eq!(room(1), 1);
    }

    #[test]
    fn the_newest_field_is_on_top() {
        let found = |top: &str| Findings { top: top.as_bytes().to_vec(), ..Findings::default() };
        let mut findings = found("A: 1\r\n");
        findings.join(found("B: 2\r\n"));
        assert_eq!(findings.top, b"B: 2\r\nA: 1\r\n");
    }
}
