//! A store that stands between the system and the embedded one: it fails where the test says so, and keeps virtual time
//! from passing while the store's own threads work.

use std::ops::Range;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mail::{
    AccountId, Address, BodyId, Domain, Durable, IdentityId, MailboxId, ModSeq, PushSubscriptionId, QueueId, Rights,
    SubmissionId, Timestamp, TokenId, Uid,
};
use store::{
    Acceptance, Accepted, Account, AccountState, AccountWatch, Act, Alias, Annotation, AnnotationChange, AppendMessage,
    Appended, Audit, Audited, AwayNotice, Balance, Body, Cancellation, CheckFinding, CopyOutcome, Departed,
    DirectoryEntry, DomainRecord, Event, FlagChange, Grant, GrantChange, Identity, IdentityChange, Journey,
    JourneyQuery, Kept, KeyChange, Learnt, Lesson, Lessons, MailboxInfo, MailboxStatus, MailboxWatch, MaildropLock,
    MessageStep, NewAccount, NewPushSubscription, NewSubmission, NewToken, PasswordHash, PushChange, PushSubscription,
    QueueChange, QueueFeed, QueueItem, QueueMessage, QueueWork, ScramKeys, ScriptChange, ScriptList, Scripts,
    Settlement, SharedMailbox, SigningKey, SigningKeys, SpecialUse, Stage, Store, StoreError, StoreOutcome,
    StoreResult, Submission, Survey, Token, TokenHash, TokenKind, UrlKey, WordCounts,
};
use store_local::LocalStore;

/// The embedded store with something before it.
pub struct Between {
    pub store: Arc<LocalStore>,
    /// This transaction fails like this.
    pub fault: Mutex<Option<(&'static str, StoreError)>>,
}

impl Between {
    pub fn new(store: Arc<LocalStore>) -> Self {
        Self { store, fault: Mutex::default() }
    }

    async fn call<T>(&self, name: &str, call: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        let fault = self.fault.lock().unwrap().clone();
        match fault {
            Some((where_, error)) if where_ == name => Err(error),
            _ => awake(call).await,
        }
    }
}

/// Virtual time jumps when nothing is left to do, and a commit is done by other threads: so while it is waited for,
/// there is always something left to do.
async fn awake<T>(call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    loop {
        tokio::select! {
            biased;
            done = &mut call => return done,
            () = tokio::task::yield_now() => {}
        }
    }
}

#[async_trait]
impl Audit for Between {
    async fn note_acts(&self, acts: Vec<Act>) -> StoreResult<()> {
        self.call("note_acts", self.store.note_acts(acts)).await
    }

    async fn acts(&self, name: Option<String>, before: Option<u64>, limit: usize) -> StoreResult<Vec<Audited>> {
        self.call("acts", self.store.acts(name, before, limit)).await
    }
}

#[async_trait]
impl Scripts for Between {
    async fn scripts(&self, account: AccountId) -> StoreResult<ScriptList> {
        self.call("scripts", self.store.scripts(account)).await
    }

    async fn script(&self, account: AccountId, name: &str) -> StoreResult<Option<String>> {
        self.call("script", self.store.script(account, name)).await
    }

    async fn change_scripts(&self, account: AccountId, changes: Vec<ScriptChange>) -> StoreResult<Durable<ModSeq>> {
        self.call("change_scripts", self.store.change_scripts(account, changes)).await
    }

    async fn marked_before(&self, account: AccountId, marks: Vec<String>, now: Timestamp) -> StoreResult<Vec<String>> {
        self.call("marked_before", self.store.marked_before(account, marks, now)).await
    }
}

#[async_trait]
impl SigningKeys for Between {
    async fn signing_keys(&self, domain: &Domain) -> StoreResult<Arc<[SigningKey]>> {
        self.call("signing_keys", self.store.signing_keys(domain)).await
    }

    async fn change_signing_keys(
        &self,
        domain: Domain,
        changes: Vec<KeyChange>,
        now: Timestamp,
    ) -> StoreResult<Durable<()>> {
        self.call("change_signing_keys", self.store.change_signing_keys(domain, changes, now)).await
    }
}

#[async_trait]
impl Lessons for Between {
    async fn lessons(&self, limit: usize) -> StoreResult<Vec<Lesson>> {
        self.store.lessons(limit).await
    }

    async fn learn(&self, learnt: Vec<Learnt>) -> StoreResult<()> {
        self.call("learn", self.store.learn(learnt)).await
    }

    fn taught(&self, account: AccountId) -> WordCounts {
        self.store.taught(account)
    }

    async fn word_counts(&self, account: AccountId, words: Vec<u64>) -> StoreResult<Vec<WordCounts>> {
        self.call("word_counts", self.store.word_counts(account, words)).await
    }
}

#[async_trait]
impl Store for Between {
    async fn add_domain(&self, domain: &Domain) -> StoreResult<Durable<()>> {
        self.call("add_domain", self.store.add_domain(domain)).await
    }

    async fn remove_domain(&self, domain: &Domain) -> StoreResult<Durable<()>> {
        self.call("remove_domain", self.store.remove_domain(domain)).await
    }

    async fn domains(&self) -> StoreResult<Vec<DomainRecord>> {
        self.call("domains", self.store.domains()).await
    }

    async fn domain(&self, domain: &Domain) -> StoreResult<Option<DomainRecord>> {
        self.call("domain", self.store.domain(domain)).await
    }

    async fn add_account(&self, account: NewAccount, now: Timestamp) -> StoreResult<Durable<AccountId>> {
        self.call("add_account", self.store.add_account(account, now)).await
    }

    async fn set_password(
        &self,
        account: AccountId,
        password: PasswordHash,
        scram: Option<ScramKeys>,
    ) -> StoreResult<Durable<()>> {
        self.call("set_password", self.store.set_password(account, password, scram)).await
    }

    async fn set_account_state(&self, account: AccountId, state: AccountState) -> StoreResult<Durable<()>> {
        self.call("set_account_state", self.store.set_account_state(account, state)).await
    }

    async fn set_quota(&self, account: AccountId, quota: Option<u64>) -> StoreResult<Durable<()>> {
        self.call("set_quota", self.store.set_quota(account, quota)).await
    }

    async fn rename_account(&self, account: AccountId, address: Address, keep: bool) -> StoreResult<Durable<()>> {
        self.call("rename_account", self.store.rename_account(account, address, keep)).await
    }

    async fn remove_account(&self, account: AccountId) -> StoreResult<Durable<()>> {
        self.call("remove_account", self.store.remove_account(account)).await
    }

    async fn accounts(&self, after: Option<&Address>, limit: usize) -> StoreResult<Vec<Account>> {
        self.call("accounts", self.store.accounts(after, limit)).await
    }

    async fn account(&self, account: AccountId) -> StoreResult<Option<Account>> {
        self.call("account", self.store.account(account)).await
    }

    async fn entry(&self, address: &Address) -> StoreResult<Option<DirectoryEntry>> {
        self.call("entry", self.store.entry(address)).await
    }

    async fn set_alias(&self, alias: Alias) -> StoreResult<Durable<()>> {
        self.call("set_alias", self.store.set_alias(alias)).await
    }

    async fn aliases(&self, after: Option<&Address>, limit: usize) -> StoreResult<Vec<Alias>> {
        self.call("aliases", self.store.aliases(after, limit)).await
    }

    async fn add_token(&self, token: NewToken, now: Timestamp) -> StoreResult<Durable<TokenId>> {
        self.call("add_token", self.store.add_token(token, now)).await
    }

    async fn away_notice(&self, account: AccountId) -> StoreResult<AwayNotice> {
        self.call("away_notice", self.store.away_notice(account)).await
    }

    async fn set_away_notice(&self, account: AccountId, notice: AwayNotice) -> StoreResult<Durable<ModSeq>> {
        self.call("set_away_notice", self.store.set_away_notice(account, notice)).await
    }

    async fn append_to_all(
        &self,
        mailboxes: &[MailboxId],
        message: (Box<dyn Stage>, AppendMessage),
        now: Timestamp,
    ) -> StoreResult<Durable<BodyId>> {
        self.call("append_to_all", self.store.append_to_all(mailboxes, message, now)).await
    }

    async fn change_messages(&self, steps: Vec<MessageStep>, now: Timestamp) -> StoreResult<Durable<()>> {
        self.call("change_messages", self.store.change_messages(steps, now)).await
    }

    async fn survey(&self, account: AccountId) -> StoreResult<Survey> {
        self.call("survey", self.store.survey(account)).await
    }

    async fn departed(&self, account: AccountId, since: ModSeq) -> StoreResult<Option<Departed>> {
        self.call("departed", self.store.departed(account, since)).await
    }

    async fn keep_upload(
        &self,
        account: AccountId,
        octets: Box<dyn Stage>,
        now: Timestamp,
    ) -> StoreResult<Durable<BodyId>> {
        self.call("keep_upload", self.store.keep_upload(account, octets, now)).await
    }

    async fn aliases_of(&self, target: &Address) -> StoreResult<Vec<Address>> {
        self.call("aliases_of", self.store.aliases_of(target)).await
    }

    async fn identify(&self, account: AccountId, addresses: Vec<Address>) -> StoreResult<()> {
        self.call("identify", self.store.identify(account, addresses)).await
    }

    async fn identities(&self, account: AccountId) -> StoreResult<Kept<Identity, IdentityId>> {
        self.call("identities", self.store.identities(account)).await
    }

    async fn change_identity(&self, account: AccountId, change: IdentityChange) -> StoreResult<Durable<IdentityId>> {
        self.call("change_identity", self.store.change_identity(account, change)).await
    }

    async fn submit(
        &self,
        body: Box<dyn Stage>,
        acceptance: Acceptance,
        submission: NewSubmission,
    ) -> StoreResult<Durable<SubmissionId>> {
        self.call("submit", self.store.submit(body, acceptance, submission)).await
    }

    async fn submissions(&self, account: AccountId) -> StoreResult<Kept<Submission, SubmissionId>> {
        self.call("submissions", self.store.submissions(account)).await
    }

    async fn cancel_submission(&self, cancellation: Cancellation) -> StoreResult<Durable<bool>> {
        self.call("cancel_submission", self.store.cancel_submission(cancellation)).await
    }

    async fn forget_submission(&self, account: AccountId, id: SubmissionId) -> StoreResult<Durable<()>> {
        self.call("forget_submission", self.store.forget_submission(account, id)).await
    }

    async fn forget_submissions(&self, before: Timestamp) -> StoreResult<u64> {
        self.call("forget_submissions", self.store.forget_submissions(before)).await
    }

    async fn begin_sending(&self, id: QueueId) -> StoreResult<Durable<bool>> {
        self.call("begin_sending", self.store.begin_sending(id)).await
    }

    async fn upload(&self, account: AccountId, id: BodyId) -> StoreResult<Option<Arc<dyn Body>>> {
        self.call("upload", self.store.upload(account, id)).await
    }

    async fn token(&self, hash: &TokenHash) -> StoreResult<Option<Token>> {
        self.call("token", self.store.token(hash)).await
    }

    async fn tokens(&self, account: AccountId, kind: TokenKind) -> StoreResult<Vec<Token>> {
        self.call("tokens", self.store.tokens(account, kind)).await
    }

    async fn remove_token(&self, account: AccountId, kind: TokenKind, id: TokenId) -> StoreResult<Durable<()>> {
        self.call("remove_token", self.store.remove_token(account, kind, id)).await
    }

    fn note_use(&self, id: TokenId, now: Timestamp, from: &str) {
        self.store.note_use(id, now, from);
    }

    async fn use_passkey(&self, id: TokenId, counter: u32, now: Timestamp, from: &str) -> StoreResult<Durable<bool>> {
        self.call("use_passkey", self.store.use_passkey(id, counter, now, from)).await
    }

    async fn forget_tokens(&self, now: Timestamp) -> StoreResult<u64> {
        self.call("forget_tokens", self.store.forget_tokens(now)).await
    }

    async fn add_push_subscription(
        &self,
        new: NewPushSubscription,
        now: Timestamp,
    ) -> StoreResult<Durable<PushSubscriptionId>> {
        self.call("add_push_subscription", self.store.add_push_subscription(new, now)).await
    }

    async fn push_subscriptions(&self, account: AccountId) -> StoreResult<Vec<PushSubscription>> {
        self.call("push_subscriptions", self.store.push_subscriptions(account)).await
    }

    async fn push_accounts(&self) -> StoreResult<Vec<AccountId>> {
        self.call("push_accounts", self.store.push_accounts()).await
    }

    async fn change_push_subscription(
        &self,
        account: AccountId,
        id: PushSubscriptionId,
        change: PushChange,
    ) -> StoreResult<Durable<()>> {
        self.call("change_push_subscription", self.store.change_push_subscription(account, id, change)).await
    }

    async fn push_key(&self, fresh: Vec<u8>) -> StoreResult<Vec<u8>> {
        self.call("push_key", self.store.push_key(fresh)).await
    }

    async fn begin_totp(&self, account: AccountId, secret: Vec<u8>) -> StoreResult<Durable<()>> {
        self.call("begin_totp", self.store.begin_totp(account, secret)).await
    }

    async fn confirm_totp(&self, account: AccountId, step: u64, recovery: Vec<TokenHash>) -> StoreResult<Durable<()>> {
        self.call("confirm_totp", self.store.confirm_totp(account, step, recovery)).await
    }

    async fn use_totp(&self, account: AccountId, step: u64) -> StoreResult<Durable<bool>> {
        self.call("use_totp", self.store.use_totp(account, step)).await
    }

    async fn use_recovery_code(&self, account: AccountId, code: TokenHash) -> StoreResult<Durable<bool>> {
        self.call("use_recovery_code", self.store.use_recovery_code(account, code)).await
    }

    async fn remove_totp(&self, account: AccountId) -> StoreResult<Durable<()>> {
        self.call("remove_totp", self.store.remove_totp(account)).await
    }

    async fn stage(&self, expected: Option<u64>) -> StoreResult<Box<dyn Stage>> {
        self.call("stage", self.store.stage(expected)).await
    }

    fn next_queue_id(&self, now: Timestamp) -> QueueId {
        self.store.next_queue_id(now)
    }

    async fn accept(&self, body: Box<dyn Stage>, acceptance: Acceptance) -> StoreResult<Durable<Accepted>> {
        self.call("accept", self.store.accept(body, acceptance)).await
    }

    async fn append(
        &self,
        mailbox: MailboxId,
        messages: Vec<(Box<dyn Stage>, AppendMessage)>,
        now: Timestamp,
    ) -> StoreResult<Durable<Appended>> {
        self.call("append", self.store.append(mailbox, messages, now)).await
    }

    async fn replace(
        &self,
        from: MailboxId,
        old: Uid,
        to: MailboxId,
        message: (Box<dyn Stage>, AppendMessage),
        now: Timestamp,
    ) -> StoreResult<Durable<Uid>> {
        self.call("replace", self.store.replace(from, old, to, message, now)).await
    }

    async fn mailboxes(&self, account: AccountId) -> StoreResult<Vec<MailboxInfo>> {
        self.call("mailboxes", self.store.mailboxes(account)).await
    }

    async fn mailbox(&self, account: AccountId, name: &str) -> StoreResult<Option<MailboxId>> {
        self.call("mailbox", self.store.mailbox(account, name)).await
    }

    async fn create_mailbox(
        &self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
    ) -> StoreResult<Durable<MailboxId>> {
        self.call("create_mailbox", self.store.create_mailbox(account, name, special_use)).await
    }

    async fn rename_mailbox(
        &self,
        account: AccountId,
        from: &str,
        to: &str,
        now: Timestamp,
    ) -> StoreResult<Durable<()>> {
        self.call("rename_mailbox", self.store.rename_mailbox(account, from, to, now)).await
    }

    async fn delete_mailbox(&self, account: AccountId, name: &str) -> StoreResult<Durable<()>> {
        self.call("delete_mailbox", self.store.delete_mailbox(account, name)).await
    }

    async fn subscribe(&self, account: AccountId, name: &str, subscribed: bool) -> StoreResult<Durable<()>> {
        self.call("subscribe", self.store.subscribe(account, name, subscribed)).await
    }

    async fn status(&self, mailbox: MailboxId) -> StoreResult<MailboxStatus> {
        self.call("status", self.store.status(mailbox)).await
    }

    async fn watch(&self, mailbox: MailboxId) -> StoreResult<MailboxWatch> {
        self.call("watch", self.store.watch(mailbox)).await
    }

    async fn take_recent(&self, mailbox: MailboxId) -> StoreResult<Range<Uid>> {
        self.call("take_recent", self.store.take_recent(mailbox)).await
    }

    async fn set_flags(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
        change: FlagChange,
    ) -> StoreResult<Durable<StoreOutcome>> {
        self.call("set_flags", self.store.set_flags(mailbox, uids, change)).await
    }

    async fn copy(
        &self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
        now: Timestamp,
    ) -> StoreResult<Durable<CopyOutcome>> {
        self.call("copy", self.store.copy(from, uids, to, now)).await
    }

    async fn move_messages(
        &self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
        now: Timestamp,
    ) -> StoreResult<Durable<CopyOutcome>> {
        self.call("move_messages", self.store.move_messages(from, uids, to, now)).await
    }

    async fn expunge(&self, mailbox: MailboxId, uids: &[Uid]) -> StoreResult<Durable<Vec<Uid>>> {
        self.call("expunge", self.store.expunge(mailbox, uids)).await
    }

    async fn vanished(&self, mailbox: MailboxId, since: ModSeq) -> StoreResult<Option<Vec<Uid>>> {
        self.call("vanished", self.store.vanished(mailbox, since)).await
    }

    async fn bodies(&self, mailbox: MailboxId, uids: &[Uid]) -> StoreResult<Vec<(Uid, Arc<dyn Body>)>> {
        self.call("bodies", self.store.bodies(mailbox, uids)).await
    }

    async fn lock_maildrop(&self, account: AccountId) -> StoreResult<MaildropLock> {
        self.call("lock_maildrop", self.store.lock_maildrop(account)).await
    }

    async fn annotations(&self, account: AccountId, mailbox: Option<&str>) -> StoreResult<Vec<Annotation>> {
        self.call("annotations", self.store.annotations(account, mailbox)).await
    }

    async fn annotate(
        &self,
        account: AccountId,
        mailbox: Option<&str>,
        changes: Vec<AnnotationChange>,
    ) -> StoreResult<Durable<Option<ModSeq>>> {
        self.call("annotate", self.store.annotate(account, mailbox, changes)).await
    }

    fn listen(&self, account: AccountId) -> AccountWatch {
        self.store.listen(account)
    }

    async fn grants(&self, mailbox: MailboxId) -> StoreResult<Vec<Grant>> {
        self.call("grants", self.store.grants(mailbox)).await
    }

    async fn grant(&self, mailbox: MailboxId, change: GrantChange) -> StoreResult<Durable<()>> {
        self.call("grant", self.store.grant(mailbox, change)).await
    }

    async fn rights(&self, account: AccountId, mailbox: MailboxId) -> StoreResult<Rights> {
        self.call("rights", self.store.rights(account, mailbox)).await
    }

    async fn shared_with(&self, account: AccountId) -> StoreResult<Vec<SharedMailbox>> {
        self.call("shared_with", self.store.shared_with(account)).await
    }

    fn rights_version(&self) -> u64 {
        self.store.rights_version()
    }

    async fn url_key(&self, mailbox: MailboxId) -> StoreResult<Option<UrlKey>> {
        self.call("url_key", self.store.url_key(mailbox)).await
    }

    async fn make_url_key(&self, mailbox: MailboxId, fresh: UrlKey) -> StoreResult<Durable<UrlKey>> {
        self.call("make_url_key", self.store.make_url_key(mailbox, fresh)).await
    }

    async fn renew_url_key(&self, mailbox: MailboxId, fresh: UrlKey) -> StoreResult<Durable<()>> {
        self.call("renew_url_key", self.store.renew_url_key(mailbox, fresh)).await
    }

    async fn forget_url_keys(&self, account: AccountId) -> StoreResult<Durable<()>> {
        self.call("forget_url_keys", self.store.forget_url_keys(account)).await
    }

    fn queue_feed(&self) -> QueueFeed {
        self.store.queue_feed()
    }

    async fn queue_items(&self, after: Option<(QueueId, u32)>, limit: usize) -> StoreResult<Vec<QueueItem>> {
        self.call("queue_items", self.store.queue_items(after, limit)).await
    }

    async fn queue_messages(&self, after: Option<QueueId>, limit: usize) -> StoreResult<Vec<QueueMessage>> {
        self.call("queue_messages", self.store.queue_messages(after, limit)).await
    }

    async fn queue_message(&self, id: QueueId) -> StoreResult<Option<QueueMessage>> {
        self.call("queue_message", self.store.queue_message(id)).await
    }

    async fn queue_body(&self, id: QueueId, recipient: u32) -> StoreResult<Arc<dyn Body>> {
        self.call("queue_body", self.store.queue_body(id, recipient)).await
    }

    async fn queue_work(&self, ids: Vec<QueueId>) -> StoreResult<Vec<(QueueId, StoreResult<QueueWork>)>> {
        self.call("queue_work", self.store.queue_work(ids)).await
    }

    async fn settle(&self, settlement: Settlement) -> StoreResult<Durable<Vec<u32>>> {
        self.call("settle", self.store.settle(settlement)).await
    }

    async fn change_queue(&self, changes: Vec<QueueChange>) -> StoreResult<Durable<u64>> {
        self.call("change_queue", self.store.change_queue(changes)).await
    }

    async fn pause_destination(&self, destination: &Domain, paused: Option<Timestamp>) -> StoreResult<Durable<bool>> {
        self.call("pause_destination", self.store.pause_destination(destination, paused)).await
    }

    async fn tallies(&self) -> StoreResult<Vec<(String, Timestamp)>> {
        self.call("tallies", self.store.tallies()).await
    }

    async fn keep_tallies(&self, tallies: Vec<(String, Timestamp)>, now: Timestamp) -> StoreResult<()> {
        self.call("keep_tallies", self.store.keep_tallies(tallies, now)).await
    }

    async fn paused_destinations(&self) -> StoreResult<Vec<(Domain, Timestamp)>> {
        self.call("paused_destinations", self.store.paused_destinations()).await
    }

    async fn journeys(&self, query: &JourneyQuery, limit: usize) -> StoreResult<Vec<Journey>> {
        self.call("journeys", self.store.journeys(query, limit)).await
    }

    async fn record(&self, id: QueueId, events: Vec<Event>) -> StoreResult<Durable<()>> {
        self.call("record", self.store.record(id, events)).await
    }

    fn note_refusal(&self, event: Event) {
        self.store.note_refusal(event)
    }

    async fn refusals(&self, limit: usize) -> StoreResult<Vec<Event>> {
        self.call("refusals", self.store.refusals(limit)).await
    }

    async fn forget_journeys(&self, before: Timestamp) -> StoreResult<u64> {
        self.call("forget_journeys", self.store.forget_journeys(before)).await
    }

    async fn balance(&self) -> StoreResult<Balance> {
        self.call("balance", self.store.balance()).await
    }

    async fn check(&self, deep: bool) -> StoreResult<Vec<CheckFinding>> {
        self.call("check", self.store.check(deep)).await
    }

    async fn reclaim(&self) -> StoreResult<u64> {
        self.call("reclaim", self.store.reclaim()).await
    }

    async fn poisoned(&self) -> String {
        awake(self.store.poisoned()).await
    }

    async fn close(&self) {
        awake(self.store.close()).await
    }
}
