//! The engine's face: each transaction of [`store::Store`], handed to the thread that does it.

mod changing;
mod history;
pub(crate) mod read;
mod sending;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;
use mail::{
    AccountId, Address, BodyId, Domain, Durable, IdentityId, MailboxId, ModSeq, PushSubscriptionId, QueueId, Rights,
    SubmissionId, ThreadId, Timestamp, TokenId, Uid, limits,
};
use rusqlite::Connection;
use store::{
    Acceptance, Accepted, Account, AccountState, AccountWatch, Alias, Annotation, AnnotationChange, AppendMessage,
    Appended, AwayNotice, Balance, Body, Cancellation, CheckFinding, CopyOutcome, Departed, DigestPart, Digested,
    DirectoryEntry, DomainRecord, Event, FlagChange, Grant, GrantChange, Identity, IdentityChange, Journey,
    JourneyQuery, Kept, MailboxInfo, MailboxStatus, MailboxWatch, MaildropLock, MessageStep, NewAccount,
    NewPushSubscription, NewSubmission, NewToken, PasswordHash, PushChange, PushSubscription, QueueChange, QueueFeed,
    QueueItem, QueueMessage, QueueWork, ScramKeys, Settlement, SharedMailbox, SpecialUse, Stage, Store, StoreError,
    StoreOutcome, StoreResult, Submission, Survey, Token, TokenHash, TokenKind, Undigested, UrlKey,
};
use tokio::sync::mpsc;

use crate::codec;
use crate::log::Pending;
use crate::open::{LocalStore, foreign_stage, join};
use crate::stage::LocalStage;
use crate::truth::{FORGET_AT_ONCE, Plan, SUBMISSIONS_AT_ONCE, SettlePlan, checked_name};
use crate::{check, finder, views};

/// Refusals that wait to be written; more are dropped.
const REFUSALS_WAITING: usize = 1000;

/// The body of a stage of ours, and its conversation.
async fn pending(stage: Box<dyn Stage>) -> StoreResult<(Pending, Option<ThreadId>)> {
    let stage = stage.into_any().downcast::<LocalStage>().map_err(|_| foreign_stage())?;
    stage.into_pending().await
}

/// An acceptance and its reports, taken apart into bodies (in the order in which the plan takes places) and plan.
async fn plan(body: Box<dyn Stage>, mut acceptance: Acceptance, bodies: &mut Vec<Pending>) -> StoreResult<Plan> {
    let (body, thread) = pending(body).await?;
    bodies.push(body);
    let mut reports = Vec::with_capacity(acceptance.dsns.len());
    // Those that may be left out come last: so it is known under which ids the others will be.
    acceptance.dsns.sort_by_key(|dsn| dsn.once.is_some());
    for dsn in std::mem::take(&mut acceptance.dsns) {
        reports.push((Box::pin(plan(dsn.body, dsn.acceptance, bodies)).await?, dsn.once));
    }
    Ok(Plan::new(acceptance, thread, reports))
}

#[async_trait]
impl Store for LocalStore {
    async fn add_domain(&self, domain: &Domain) -> StoreResult<Durable<()>> {
        let domain = domain.clone();
        self.change(move |truth, _| truth.add_domain(&domain)).await
    }

    async fn remove_domain(&self, domain: &Domain) -> StoreResult<Durable<()>> {
        let domain = domain.clone();
        self.change(move |truth, _| truth.remove_domain(&domain)).await
    }

    async fn domains(&self) -> StoreResult<Vec<DomainRecord>> {
        Ok(self.directory().domains())
    }

    async fn domain(&self, domain: &Domain) -> StoreResult<Option<DomainRecord>> {
        Ok(self.directory().domain(domain))
    }

    async fn add_account(&self, account: NewAccount, now: Timestamp) -> StoreResult<Durable<AccountId>> {
        self.change(move |truth, _| truth.add_account(&account, now)).await
    }

    async fn set_password(
        &self,
        account: AccountId,
        password: PasswordHash,
        scram: Option<ScramKeys>,
    ) -> StoreResult<Durable<()>> {
        self.change(move |truth, _| truth.set_password(account, &password, scram.as_ref())).await
    }

    async fn set_account_state(&self, account: AccountId, state: AccountState) -> StoreResult<Durable<()>> {
        self.change(move |truth, _| truth.set_account_state(account, state)).await
    }

    async fn set_quota(&self, account: AccountId, quota: Option<u64>) -> StoreResult<Durable<()>> {
        self.change(move |truth, _| truth.set_quota(account, quota)).await
    }

    async fn rename_account(&self, account: AccountId, address: Address, keep: bool) -> StoreResult<Durable<()>> {
        self.change(move |truth, _| truth.rename_account(account, &address, keep)).await
    }

    async fn remove_account(&self, account: AccountId) -> StoreResult<Durable<()>> {
        let removed = self.change(move |truth, _| truth.remove_account(account)).await?;
        self.published.words.forget(account).await;
        Ok(removed)
    }

    async fn accounts(&self, after: Option<&Address>, limit: usize) -> StoreResult<Vec<Account>> {
        Ok(self.directory().accounts(after, limit))
    }

    async fn account(&self, account: AccountId) -> StoreResult<Option<Account>> {
        Ok(self.directory().account(account))
    }

    async fn entry(&self, address: &Address) -> StoreResult<Option<DirectoryEntry>> {
        Ok(self.directory().entry(address))
    }

    async fn set_alias(&self, alias: Alias) -> StoreResult<Durable<()>> {
        self.change(move |truth, _| truth.set_alias(&alias)).await
    }

    async fn aliases(&self, after: Option<&Address>, limit: usize) -> StoreResult<Vec<Alias>> {
        Ok(self.directory().aliases(after, limit))
    }

    async fn aliases_of(&self, target: &Address) -> StoreResult<Vec<Address>> {
        Ok(self.directory().aliases_of(target))
    }

    async fn add_token(&self, token: NewToken, now: Timestamp) -> StoreResult<Durable<TokenId>> {
        // Which one was unused the longest is asked of the rows.
        self.write_uses().await?;
        self.change(move |truth, _| truth.add_token(&token, now)).await
    }

    async fn token(&self, hash: &TokenHash) -> StoreResult<Option<Token>> {
        Ok(self.directory().token(hash))
    }

    async fn tokens(&self, account: AccountId, kind: TokenKind) -> StoreResult<Vec<Token>> {
        Ok(self.directory().tokens(account, kind))
    }

    async fn remove_token(&self, account: AccountId, kind: TokenKind, id: TokenId) -> StoreResult<Durable<()>> {
        self.change(move |truth, _| truth.remove_token(account, kind, id)).await
    }

    fn note_use(&self, id: TokenId, now: Timestamp, from: &str) {
        let mut directory = self.published.directory.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if directory.token_used(id, now, from) {
            let mut uses = self.uses.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            uses.insert(id, (now, from.to_owned()));
        }
    }

    async fn use_passkey(&self, id: TokenId, counter: u32, now: Timestamp, from: &str) -> StoreResult<Durable<bool>> {
        let from = from.to_owned();
        self.change(move |truth, _| truth.use_passkey(id, counter, now, &from)).await
    }

    async fn forget_tokens(&self, now: Timestamp) -> StoreResult<u64> {
        self.write_uses().await?;
        self.change(move |truth, _| truth.forget_tokens(now)).await.map(Durable::into_inner)
    }

    async fn begin_totp(&self, account: AccountId, secret: Vec<u8>) -> StoreResult<Durable<()>> {
        self.change(move |truth, _| truth.begin_totp(account, &secret)).await
    }

    async fn confirm_totp(&self, account: AccountId, step: u64, recovery: Vec<TokenHash>) -> StoreResult<Durable<()>> {
        self.change(move |truth, _| truth.confirm_totp(account, step, &recovery)).await
    }

    async fn use_totp(&self, account: AccountId, step: u64) -> StoreResult<Durable<bool>> {
        self.change(move |truth, _| truth.use_totp(account, step)).await
    }

    async fn use_recovery_code(&self, account: AccountId, code: TokenHash) -> StoreResult<Durable<bool>> {
        self.change(move |truth, _| truth.use_recovery_code(account, code)).await
    }

    async fn remove_totp(&self, account: AccountId) -> StoreResult<Durable<()>> {
        self.change(move |truth, _| truth.remove_totp(account)).await
    }

    async fn add_push_subscription(
        &self,
        new: NewPushSubscription,
        now: Timestamp,
    ) -> StoreResult<Durable<PushSubscriptionId>> {
        self.change(move |truth, _| truth.add_push_subscription(&new, now)).await
    }

    async fn push_subscriptions(&self, account: AccountId) -> StoreResult<Vec<PushSubscription>> {
        self.readers.read(move |conn| read::push_subscriptions(conn, account)).await
    }

    async fn push_accounts(&self) -> StoreResult<Vec<AccountId>> {
        self.readers.read(read::push_accounts).await
    }

    async fn change_push_subscription(
        &self,
        account: AccountId,
        id: PushSubscriptionId,
        change: PushChange,
    ) -> StoreResult<Durable<()>> {
        self.change(move |truth, _| truth.change_push_subscription(account, id, &change)).await
    }

    async fn push_key(&self, fresh: Vec<u8>) -> StoreResult<Vec<u8>> {
        self.change(move |truth, _| truth.push_key(&fresh)).await.map(Durable::into_inner)
    }

    async fn away_notice(&self, account: AccountId) -> StoreResult<AwayNotice> {
        self.readers.read(move |conn| read::away_notice(conn, account)).await
    }

    async fn set_away_notice(&self, account: AccountId, notice: AwayNotice) -> StoreResult<Durable<ModSeq>> {
        self.change(move |truth, _| truth.set_away_notice(account, &notice)).await
    }

    async fn stage(&self, expected: Option<u64>) -> StoreResult<Box<dyn Stage>> {
        if let Some(why) = self.published.poison.reason() {
            return Err(StoreError::Poisoned(why));
        }
        if !self.has_space() {
            return Err(StoreError::DiskFull);
        }
        if self.log.in_memory.load(Ordering::Relaxed) > limits::BODIES_IN_MEMORY_MOST {
            return Err(StoreError::Busy);
        }
        Ok(Box::new(LocalStage::new(&self.log, expected)))
    }

    fn next_queue_id(&self, now: Timestamp) -> QueueId {
        let next = |last| Some(QueueId::after(QueueId::from_u64(last), now).as_u64());
        let last = self.queue_id.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        // The closure always answers, so both arms hold the id before.
        let last = last.unwrap_or_else(|last| last);
        QueueId::after(QueueId::from_u64(last), now)
    }

    async fn accept(&self, body: Box<dyn Stage>, acceptance: Acceptance) -> StoreResult<Durable<Accepted>> {
        let mut bodies = Vec::with_capacity(1 + acceptance.dsns.len());
        let plan = plan(body, acceptance, &mut bodies).await?;
        self.change_with(bodies, move |truth, places| truth.accept(&plan, places)).await
    }

    async fn append(
        &self,
        mailbox: MailboxId,
        messages: Vec<(Box<dyn Stage>, AppendMessage)>,
        now: Timestamp,
    ) -> StoreResult<Durable<Appended>> {
        let mut bodies = Vec::with_capacity(messages.len());
        let mut rows = Vec::with_capacity(messages.len());
        for (stage, message) in messages {
            let (body, thread) = pending(stage).await?;
            bodies.push(body);
            rows.push((message, thread));
        }
        self.change_with(bodies, move |truth, places| truth.append(mailbox, &rows, places, now)).await
    }

    async fn replace(
        &self,
        from: MailboxId,
        old: Uid,
        to: MailboxId,
        (stage, message): (Box<dyn Stage>, AppendMessage),
        now: Timestamp,
    ) -> StoreResult<Durable<Uid>> {
        let (body, thread) = pending(stage).await?;
        let message = (message, thread);
        self.change_with(vec![body], move |truth, places| {
            truth.mailbox(to)?;
            // The old one goes first: its space counts for the new one.
            if truth.expunge(from, &[old])?.is_empty() {
                return Err(StoreError::NotFound("the message to be replaced".into()));
            }
            let appended = truth.append(to, std::slice::from_ref(&message), places, now)?;
            appended.uids.first().copied().ok_or_else(|| StoreError::Failed("a message came without its bytes".into()))
        })
        .await
    }

    async fn append_to_all(
        &self,
        mailboxes: &[MailboxId],
        (stage, message): (Box<dyn Stage>, AppendMessage),
        now: Timestamp,
    ) -> StoreResult<Durable<BodyId>> {
        let (body, thread) = pending(stage).await?;
        let (message, mailboxes) = ((message, thread), mailboxes.to_vec());
        self.change_with(vec![body], move |truth, places| truth.append_to_all(&mailboxes, &message, places, now)).await
    }

    async fn mailboxes(&self, account: AccountId) -> StoreResult<Vec<MailboxInfo>> {
        self.readers.read(move |conn| read::mailboxes(conn, account)).await
    }

    async fn mailbox(&self, account: AccountId, name: &str) -> StoreResult<Option<MailboxId>> {
        // A name that can't be is no mailbox.
        let Ok(name) = checked_name(name) else { return Ok(None) };
        let question = match self.published.names.get(account, name.into_owned()) {
            Ok(mailbox) => return Ok(Some(mailbox)),
            Err(question) => question,
        };
        let look = move |conn: &Connection| Ok((read::mailbox(conn, question.account(), question.name())?, question));
        let (mailbox, question) = self.readers.read(look).await?;
        if let Some(mailbox) = mailbox {
            self.published.names.put(question, mailbox);
        }
        Ok(mailbox)
    }

    async fn create_mailbox(
        &self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
    ) -> StoreResult<Durable<MailboxId>> {
        let name = name.to_owned();
        self.change(move |truth, _| truth.create_mailbox(account, &name, special_use, false)).await
    }

    async fn rename_mailbox(
        &self,
        account: AccountId,
        from: &str,
        to: &str,
        now: Timestamp,
    ) -> StoreResult<Durable<()>> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.change(move |truth, _| truth.rename_mailbox(account, &from, &to, now)).await
    }

    async fn delete_mailbox(&self, account: AccountId, name: &str) -> StoreResult<Durable<()>> {
        let name = name.to_owned();
        self.change(move |truth, _| truth.delete_mailbox(account, &name)).await
    }

    async fn subscribe(&self, account: AccountId, name: &str, subscribed: bool) -> StoreResult<Durable<()>> {
        let name = name.to_owned();
        self.change(move |truth, _| truth.subscribe(account, &name, subscribed)).await
    }

    async fn status(&self, mailbox: MailboxId) -> StoreResult<MailboxStatus> {
        let published = self.published.clone();
        self.readers.read(move |conn| read::status(conn, mailbox, published.views.shown(mailbox))).await
    }

    async fn watch(&self, mailbox: MailboxId) -> StoreResult<MailboxWatch> {
        let read = || self.readers.read(move |conn| views::read_snapshot(conn, mailbox));
        self.published.views.watch(mailbox, read).await
    }

    async fn take_recent(&self, mailbox: MailboxId) -> StoreResult<Range<Uid>> {
        let taken = self.published.views.take_recent(mailbox).ok_or(StoreError::MailboxGone(mailbox))?;
        let next = taken.end;
        if !taken.is_empty() {
            // Nobody waits for it.
            drop(self.begin(Vec::new(), move |truth, _| truth.take_recent(mailbox, next))?);
        }
        Ok(taken)
    }

    async fn set_flags(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
        change: FlagChange,
    ) -> StoreResult<Durable<StoreOutcome>> {
        let uids = uids.to_vec();
        self.change(move |truth, _| truth.set_flags(mailbox, &uids, &change)).await
    }

    async fn copy(
        &self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
        now: Timestamp,
    ) -> StoreResult<Durable<CopyOutcome>> {
        let uids = uids.to_vec();
        self.change(move |truth, _| truth.copy(from, &uids, to, now)).await
    }

    async fn move_messages(
        &self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
        now: Timestamp,
    ) -> StoreResult<Durable<CopyOutcome>> {
        let uids = uids.to_vec();
        self.change(move |truth, _| truth.move_messages(from, &uids, to, now)).await
    }

    async fn expunge(&self, mailbox: MailboxId, uids: &[Uid]) -> StoreResult<Durable<Vec<Uid>>> {
        let uids = uids.to_vec();
        self.change(move |truth, _| truth.expunge(mailbox, &uids)).await
    }

    async fn change_messages(&self, steps: Vec<MessageStep>, now: Timestamp) -> StoreResult<Durable<()>> {
        self.change(move |truth, _| truth.change_messages(&steps, now)).await
    }

    async fn survey(&self, account: AccountId) -> StoreResult<Survey> {
        self.readers.read(move |conn| history::survey(conn, account)).await
    }

    async fn departed(&self, account: AccountId, since: ModSeq) -> StoreResult<Option<Departed>> {
        self.readers.read(move |conn| history::departed(conn, account, since)).await
    }

    async fn keep_upload(
        &self,
        account: AccountId,
        octets: Box<dyn Stage>,
        now: Timestamp,
    ) -> StoreResult<Durable<BodyId>> {
        let (body, _) = pending(octets).await?;
        self.change_with(vec![body], move |truth, places| truth.keep_upload(account, places, now)).await
    }

    async fn upload(&self, account: AccountId, id: BodyId) -> StoreResult<Option<Arc<dyn Body>>> {
        let log = self.log.clone();
        let found = self.read_bodies(move |conn| history::upload(conn, &log, account, id)).await?;
        Ok(found.into_iter().next().map(|(_, body)| body))
    }

    async fn identify(&self, account: AccountId, addresses: Vec<Address>) -> StoreResult<()> {
        // Most looks find nothing new: those cost no commit.
        let known = addresses.iter().map(codec::address_text).collect::<Vec<_>>();
        if self.readers.read(move |conn| sending::is_identified(conn, account, &known)).await? {
            return Ok(());
        }
        self.change(move |truth, _| truth.identify(account, &addresses)).await.map(drop)
    }

    async fn identities(&self, account: AccountId) -> StoreResult<Kept<Identity, IdentityId>> {
        self.readers.read(move |conn| sending::identities(conn, account)).await
    }

    async fn change_identity(&self, account: AccountId, change: IdentityChange) -> StoreResult<Durable<IdentityId>> {
        self.change(move |truth, _| truth.change_identity(account, &change)).await
    }

    async fn submit(
        &self,
        body: Box<dyn Stage>,
        acceptance: Acceptance,
        submission: NewSubmission,
    ) -> StoreResult<Durable<SubmissionId>> {
        let mut bodies = Vec::with_capacity(1 + acceptance.dsns.len());
        let plan = plan(body, acceptance, &mut bodies).await?;
        self.change_with(bodies, move |truth, places| truth.submit(&plan, places, &submission)).await
    }

    async fn submissions(&self, account: AccountId) -> StoreResult<Kept<Submission, SubmissionId>> {
        self.readers.read(move |conn| sending::submissions(conn, account)).await
    }

    async fn cancel_submission(&self, cancellation: Cancellation) -> StoreResult<Durable<bool>> {
        let events = codec::events_text(&cancellation.events);
        self.change(move |truth, _| truth.cancel_submission(&cancellation, &events)).await
    }

    async fn forget_submission(&self, account: AccountId, id: SubmissionId) -> StoreResult<Durable<()>> {
        self.change(move |truth, _| truth.forget_submission(account, id)).await
    }

    async fn forget_submissions(&self, before: Timestamp) -> StoreResult<u64> {
        let mut all = 0;
        loop {
            let some = self.change(move |truth, _| truth.forget_submissions(before)).await?.into_inner();
            all += some;
            if some < SUBMISSIONS_AT_ONCE {
                return Ok(all);
            }
        }
    }

    async fn vanished(&self, mailbox: MailboxId, since: ModSeq) -> StoreResult<Option<Vec<Uid>>> {
        self.readers.read(move |conn| read::vanished(conn, mailbox, since)).await.map(Some)
    }

    async fn bodies(&self, mailbox: MailboxId, uids: &[Uid]) -> StoreResult<Vec<(Uid, Arc<dyn Body>)>> {
        let (messages, log) = (self.published.views.bodies(mailbox, uids), self.log.clone());
        self.read_bodies(move |conn| read::bodies(conn, &log, mailbox, &messages)).await
    }

    async fn lock_maildrop(&self, account: AccountId) -> StoreResult<MaildropLock> {
        let lock = read::Maildrop::take(&self.maildrops, account).ok_or(StoreError::InUse)?;
        Ok(MaildropLock::new(lock))
    }

    async fn annotations(&self, account: AccountId, mailbox: Option<&str>) -> StoreResult<Vec<Annotation>> {
        let mailbox = mailbox.map(|name| checked_name(name).map(std::borrow::Cow::into_owned));
        // A name that can't be is no mailbox.
        let mailbox = mailbox.transpose().map_err(|_| StoreError::NoMailbox("of such a name".into()))?;
        self.readers.read(move |conn| read::annotations(conn, account, mailbox.as_deref())).await
    }

    async fn annotate(
        &self,
        account: AccountId,
        mailbox: Option<&str>,
        changes: Vec<AnnotationChange>,
    ) -> StoreResult<Durable<Option<ModSeq>>> {
        let mailbox = mailbox.map(str::to_owned);
        self.change(move |truth, _| truth.annotate(account, mailbox.as_deref(), &changes)).await
    }

    fn listen(&self, account: AccountId) -> AccountWatch {
        self.published.listeners.listen(account)
    }

    async fn grants(&self, mailbox: MailboxId) -> StoreResult<Vec<Grant>> {
        self.readers.read(move |conn| read::grants(conn, mailbox)).await
    }

    async fn grant(&self, mailbox: MailboxId, change: GrantChange) -> StoreResult<Durable<()>> {
        self.change(move |truth, _| truth.grant(mailbox, change)).await
    }

    async fn rights(&self, account: AccountId, mailbox: MailboxId) -> StoreResult<Rights> {
        self.readers.read(move |conn| read::rights(conn, account, mailbox)).await
    }

    async fn shared_with(&self, account: AccountId) -> StoreResult<Vec<SharedMailbox>> {
        self.readers.read(move |conn| read::shared_with(conn, account)).await
    }

    fn rights_version(&self) -> u64 {
        self.published.rights.load(std::sync::atomic::Ordering::Acquire)
    }

    async fn undigested(&self) -> StoreResult<Vec<Undigested>> {
        self.without_digest().await
    }

    async fn keep_digests(&self, digests: Vec<Digested>) -> StoreResult<()> {
        self.digests.keep(digests).await
    }

    fn behind(&self) -> u64 {
        self.digests.behind()
    }

    async fn digests(&self, mailbox: MailboxId, part: DigestPart, uids: &[Uid]) -> StoreResult<Vec<(Uid, Bytes)>> {
        self.digests.parts(mailbox, part, uids.to_vec()).await
    }

    async fn marked(&self, mailbox: MailboxId, uids: Vec<Uid>, marks: &[u16]) -> StoreResult<Vec<Uid>> {
        self.digests.marked(mailbox, uids, marks.to_vec()).await
    }

    async fn url_key(&self, mailbox: MailboxId) -> StoreResult<Option<UrlKey>> {
        self.readers.read(move |conn| read::url_key(conn, mailbox)).await
    }

    async fn make_url_key(&self, mailbox: MailboxId, fresh: UrlKey) -> StoreResult<Durable<UrlKey>> {
        self.change(move |truth, _| truth.make_url_key(mailbox, fresh)).await
    }

    async fn renew_url_key(&self, mailbox: MailboxId, fresh: UrlKey) -> StoreResult<Durable<()>> {
        self.change(move |truth, _| truth.renew_url_key(mailbox, fresh)).await
    }

    async fn forget_url_keys(&self, account: AccountId) -> StoreResult<Durable<()>> {
        self.change(move |truth, _| truth.forget_url_keys(account)).await
    }

    fn queue_feed(&self) -> QueueFeed {
        let (sender, feed) = mpsc::unbounded_channel();
        *self.published.feed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(sender);
        feed
    }

    async fn queue_items(&self, after: Option<(QueueId, u32)>, limit: usize) -> StoreResult<Vec<QueueItem>> {
        self.readers.read(move |conn| read::queue_items(conn, after, limit)).await
    }

    async fn queue_messages(&self, after: Option<QueueId>, limit: usize) -> StoreResult<Vec<QueueMessage>> {
        self.readers.read(move |conn| read::queue_messages(conn, after, limit)).await
    }

    async fn queue_message(&self, id: QueueId) -> StoreResult<Option<QueueMessage>> {
        self.readers.read(move |conn| read::queue_message(conn, id)).await
    }

    async fn queue_body(&self, id: QueueId, recipient: u32) -> StoreResult<Arc<dyn Body>> {
        let log = self.log.clone();
        let found = self.read_bodies(move |conn| read::queue_body(conn, &log, id, recipient)).await?;
        found.into_iter().next().map(|(_, body)| body).ok_or(StoreError::NoQueueEntry(id))
    }

    async fn queue_work(&self, ids: Vec<QueueId>) -> StoreResult<Vec<(QueueId, StoreResult<QueueWork>)>> {
        let (ids, log) = (Arc::<[QueueId]>::from(ids), self.log.clone());
        let found = self.read_bodies(move |conn| read::queue_work(conn, &log, &ids)).await?;
        let work = |((id, message), body): ((QueueId, StoreResult<QueueMessage>), _)| {
            (id, message.map(|message| QueueWork { message, body }))
        };
        Ok(found.into_iter().map(work).collect())
    }

    async fn begin_sending(&self, id: QueueId) -> StoreResult<Durable<bool>> {
        self.change(move |truth, _| truth.begin_sending(id)).await
    }

    async fn settle(&self, settlement: Settlement) -> StoreResult<Durable<Vec<u32>>> {
        let mut bodies = Vec::new();
        let mut reports = Vec::with_capacity(settlement.dsns.len());
        for dsn in settlement.dsns {
            let before = bodies.len();
            let plan = plan(dsn.body, dsn.acceptance, &mut bodies).await?;
            reports.push((plan, dsn.once, bodies.len() - before));
        }
        let events = codec::events_text(&settlement.events);
        let words = settlement.events.iter().filter_map(Event::last_words).collect();
        let (id, outcomes, tried) = (settlement.id, settlement.outcomes, settlement.tried);
        let plan = SettlePlan { id, outcomes, tried, events, reports, words };
        self.change_with(bodies, move |truth, places| truth.settle(&plan, places)).await
    }

    async fn change_queue(&self, changes: Vec<QueueChange>) -> StoreResult<Durable<u64>> {
        let changes: Vec<_> = changes
            .into_iter()
            .map(|change| {
                let events = codec::events_text(&change.events);
                (change, events)
            })
            .collect();
        self.change(move |truth, _| truth.change_queue(&changes)).await
    }

    async fn pause_destination(&self, destination: &Domain, paused: Option<Timestamp>) -> StoreResult<Durable<bool>> {
        let destination = destination.clone();
        self.change(move |truth, _| truth.pause_destination(&destination, paused)).await
    }

    async fn tallies(&self) -> StoreResult<Vec<(String, Timestamp)>> {
        self.readers.read(read::tallies).await
    }

    async fn keep_tallies(&self, tallies: Vec<(String, Timestamp)>, now: Timestamp) -> StoreResult<()> {
        self.change(move |truth, _| truth.keep_tallies(&tallies, now)).await.map(Durable::into_inner)
    }

    async fn paused_destinations(&self) -> StoreResult<Vec<(Domain, Timestamp)>> {
        self.readers.read(read::paused_destinations).await
    }

    async fn journeys(&self, query: &JourneyQuery, limit: usize) -> StoreResult<Vec<Journey>> {
        let (query, index) = (query.clone(), self.published.index.clone());
        self.readers
            .read(move |conn| {
                let ids = finder::find(conn, &index, &query, limit)?;
                let journeys = ids.into_iter().filter_map(|id| finder::journey(conn, id).transpose());
                journeys.collect()
            })
            .await
    }

    async fn record(&self, id: QueueId, events: Vec<Event>) -> StoreResult<Durable<()>> {
        let events = codec::events_text(&events);
        self.change(move |truth, _| truth.record(id, &events)).await
    }

    fn note_refusal(&self, event: Event) {
        let mut waiting = self.refusals.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if waiting.len() < REFUSALS_WAITING {
            waiting.push(codec::events_text(&[event]));
        }
    }

    async fn refusals(&self, limit: usize) -> StoreResult<Vec<Event>> {
        self.write_refusals().await?;
        self.readers.read(move |conn| read::refusals(conn, limit)).await
    }

    async fn forget_journeys(&self, before: Timestamp) -> StoreResult<u64> {
        let mut all = 0;
        loop {
            let some = self.change(move |truth, _| truth.forget_journeys(before)).await?.into_inner();
            all += some;
            if some < FORGET_AT_ONCE {
                self.published.index.forgotten(all > 0);
                return Ok(all);
            }
        }
    }

    async fn balance(&self) -> StoreResult<Balance> {
        self.readers.read(check::balance).await
    }

    async fn check(&self, deep: bool) -> StoreResult<Vec<CheckFinding>> {
        let mut findings = self.readers.read(check::check_rows).await?;
        let mut after = 0;
        loop {
            let some = self.readers.read(move |conn| check::bodies_after(conn, after)).await?;
            let Some((last, _)) = some.last() else { return Ok(findings) };
            after = *last;
            let log = self.log.clone();
            let damaged = tokio::task::spawn_blocking(move || check::damaged(&log, &some, deep)).await;
            let damaged = damaged.map_err(|error| StoreError::Failed(format!("checking: {error}")))?;
            if !damaged.is_empty() {
                let log = self.log.clone();
                let judge = move |conn: &_| {
                    let judged = damaged.iter().filter_map(|one| check::judge(conn, &log, one).transpose());
                    judged.collect::<StoreResult<Vec<_>>>()
                };
                findings.extend(self.readers.read(judge).await?);
            }
        }
    }

    async fn reclaim(&self) -> StoreResult<u64> {
        self.write_refusals().await?;
        self.write_uses().await?;
        self.reclaim_segments().await
    }

    async fn poisoned(&self) -> String {
        self.published.poison.wait().await
    }

    async fn close(&self) {
        // What fails here was never promised.
        let _ = self.write_refusals().await;
        let _ = self.write_uses().await;
        let threads = self.stop_taking();
        let fault = tokio::task::spawn_blocking(move || join(threads)).await;
        self.stopped(fault.unwrap_or(true));
    }
}
