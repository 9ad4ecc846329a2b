//! The transactions.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use mail::{
    AccountId, Address, BodyId, Domain, Durable, IdentityId, MailboxId, ModSeq, PushSubscriptionId, QueueId, Rights,
    SubmissionId, Timestamp, TokenId, Uid,
};

use crate::audit::Audit;
use crate::lessons::Lessons;
use crate::scripts::Scripts;
use crate::signing::SigningKeys;
use crate::{
    Acceptance, Accepted, Account, AccountState, AccountWatch, Alias, Annotation, AnnotationChange, AppendMessage,
    Appended, AwayNotice, Balance, Body, Cancellation, CopyOutcome, Departed, DigestPart, Digested, DirectoryEntry,
    DomainRecord, Event, FlagChange, Grant, GrantChange, Identity, IdentityChange, Journey, JourneyQuery, Kept,
    MailboxInfo, MailboxStatus, MailboxWatch, MessageStep, NewAccount, NewPushSubscription, NewSubmission, NewToken,
    PasswordHash, PushChange, PushSubscription, QueueChange, QueueFeed, QueueItem, QueueMessage, QueueWork, ScramKeys,
    Settlement, SharedMailbox, SpecialUse, Stage, StoreOutcome, StoreResult, Submission, Survey, Token, TokenHash,
    TokenKind, Undigested, UrlKey,
};

/// One session's exclusive use of a maildrop (RFC 1939 §4); dropping it frees it.
pub struct MaildropLock(#[allow(dead_code, reason = "held for its Drop")] Box<dyn Send + Sync>);

impl MaildropLock {
    /// For engines: whatever frees the lock when it is dropped.
    pub fn new(guard: impl Send + Sync + 'static) -> Self {
        Self(Box::new(guard))
    }
}

/// Something that `check` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckFinding {
    /// An error (exit 1), else advice.
    pub error: bool,
    /// What, on what, what to do.
    pub text: String,
}

/// An engine of mail storage.
///
/// Every method that changes something returns once the change is durable and published, and leaves no
/// trace when it fails. A future that is dropped half-way may still commit: what was started is finished.
#[async_trait]
pub trait Store: Audit + Lessons + Scripts + SigningKeys + Send + Sync + 'static {
    // ---- Directory -------------------------------------------------------------------------

    /// Makes a domain ours.
    async fn add_domain(&self, domain: &Domain) -> StoreResult<Durable<()>>;
    /// Forgets a domain; fails while it has accounts or aliases.
    async fn remove_domain(&self, domain: &Domain) -> StoreResult<Durable<()>>;
    /// Our domains, by name.
    async fn domains(&self) -> StoreResult<Vec<DomainRecord>>;
    /// Whether a domain is ours. Asked for every RCPT: answered from memory.
    async fn domain(&self, domain: &Domain) -> StoreResult<Option<DomainRecord>>;

    /// Makes an account with INBOX and the special-use mailboxes, all subscribed.
    async fn add_account(&self, account: NewAccount, now: Timestamp) -> StoreResult<Durable<AccountId>>;
    /// Sets the password; `scram` replaces the kept keys. Ends the account's sessions.
    async fn set_password(
        &self,
        account: AccountId,
        password: PasswordHash,
        scram: Option<ScramKeys>,
    ) -> StoreResult<Durable<()>>;
    /// Disables or enables. A disabled account's sessions are over.
    async fn set_account_state(&self, account: AccountId, state: AccountState) -> StoreResult<Durable<()>>;
    /// Sets or lifts the quota.
    async fn set_quota(&self, account: AccountId, quota: Option<u64>) -> StoreResult<Durable<()>>;
    /// Gives an account another address, which is free, in one of our domains. Aliases that lead to it lead there; where
    /// `keep`, the one before becomes an alias. Its sessions are over.
    async fn rename_account(&self, account: AccountId, address: Address, keep: bool) -> StoreResult<Durable<()>>;
    /// Removes an account with its mailboxes and messages. Neither its id nor its mailboxes' ids come again.
    async fn remove_account(&self, account: AccountId) -> StoreResult<Durable<()>>;
    /// Accounts in order of address, after `after`, at most `limit`.
    async fn accounts(&self, after: Option<&Address>, limit: usize) -> StoreResult<Vec<Account>>;
    /// An account by its id, with its current use.
    async fn account(&self, account: AccountId) -> StoreResult<Option<Account>>;
    /// What exactly this (folded) address is here: an account, an alias, nothing. No sub-addressing, no
    /// catch-all: that is the caller's. Answered from memory.
    async fn entry(&self, address: &Address) -> StoreResult<Option<DirectoryEntry>>;

    /// Sets an alias's targets; no targets: removes it.
    async fn set_alias(&self, alias: Alias) -> StoreResult<Durable<()>>;
    /// Aliases in order of address, after `after`, at most `limit`.
    async fn aliases(&self, after: Option<&Address>, limit: usize) -> StoreResult<Vec<Alias>>;

    /// Aliases of which this (folded) address is a target. Answered from memory.
    async fn aliases_of(&self, target: &Address) -> StoreResult<Vec<Address>>;

    // ---- Credentials ----------------------------------------------------------------------

    /// Keeps a token of an active account. Where there are as many sessions as may be, the one that was unused the longest
    /// makes room; app passwords and passkeys are the owner's to take away (`Limit`). Those that are over don't count.
    /// `Exists`: some account has a passkey with this hash.
    async fn add_token(&self, token: NewToken, now: Timestamp) -> StoreResult<Durable<TokenId>>;
    /// The token with this hash, whether it is over or not. Answered from memory.
    async fn token(&self, hash: &TokenHash) -> StoreResult<Option<Token>>;
    /// An account's tokens of a kind, oldest first. Answered from memory.
    async fn tokens(&self, account: AccountId, kind: TokenKind) -> StoreResult<Vec<Token>>;
    /// Takes a token of the account away.
    async fn remove_token(&self, account: AccountId, kind: TokenKind, id: TokenId) -> StoreResult<Durable<()>>;
    /// Notes that a token was used, from this address: told at once, written later; a crash may forget it.
    fn note_use(&self, id: TokenId, now: Timestamp, from: &str);
    /// Notes that a passkey signed, with this counter. False: there is none such, or its counter did not grow (0 after 0
    /// will do, from a device without one), so that it may have been copied.
    async fn use_passkey(&self, id: TokenId, counter: u32, now: Timestamp, from: &str) -> StoreResult<Durable<bool>>;
    /// Forgets tokens that are over, and push subscriptions; returns how many tokens.
    async fn forget_tokens(&self, now: Timestamp) -> StoreResult<u64>;

    /// Begins a second factor, in the place of one that was only begun. `Exists`: there is one.
    async fn begin_totp(&self, account: AccountId, secret: Vec<u8>) -> StoreResult<Durable<()>>;
    /// From now on it is asked for: the code of `step` was right. With the hashes of recovery codes, each good once.
    async fn confirm_totp(&self, account: AccountId, step: u64, recovery: Vec<TokenHash>) -> StoreResult<Durable<()>>;
    /// Uses the code of a step up, and those of earlier ones; false: it was used up already.
    async fn use_totp(&self, account: AccountId, step: u64) -> StoreResult<Durable<bool>>;
    /// Uses a recovery code up; false: there is none such.
    async fn use_recovery_code(&self, account: AccountId, code: TokenHash) -> StoreResult<Durable<bool>>;
    /// Takes the second factor away, with its recovery codes.
    async fn remove_totp(&self, account: AccountId) -> StoreResult<Durable<()>>;

    // ---- Push subscriptions ---------------------------------------------------------------

    /// Keeps a subscription of an active account, whose credential is good: it goes with that. `Limit`: there are as many as may
    /// be; those that are over don't count.
    async fn add_push_subscription(
        &self,
        new: NewPushSubscription,
        now: Timestamp,
    ) -> StoreResult<Durable<PushSubscriptionId>>;
    /// An account's subscriptions, oldest first, whether they are over or not.
    async fn push_subscriptions(&self, account: AccountId) -> StoreResult<Vec<PushSubscription>>;
    /// The accounts that have any.
    async fn push_accounts(&self) -> StoreResult<Vec<AccountId>>;
    /// Changes one of the account. `NotFound`: it has none such.
    async fn change_push_subscription(
        &self,
        account: AccountId,
        id: PushSubscriptionId,
        change: PushChange,
    ) -> StoreResult<Durable<()>>;
    /// The key by which push services know this system again; where there is none, `fresh` becomes it.
    async fn push_key(&self, fresh: Vec<u8>) -> StoreResult<Vec<u8>>;

    // ---- Away notices ---------------------------------------------------------------------

    /// What an account says to those who write while its owner is away.
    async fn away_notice(&self, account: AccountId) -> StoreResult<AwayNotice>;
    /// Sets it. Where it says something else than before, those who were told before are told again. Returns the change's
    /// place in the account's order, as [`Survey::away`] has it.
    async fn set_away_notice(&self, account: AccountId, notice: AwayNotice) -> StoreResult<Durable<ModSeq>>;

    // ---- Messages in ----------------------------------------------------------------------

    /// A place for the bytes of a message that comes in. `expected` octets where the client said so (SIZE=).
    /// Fails with `DiskFull` before anything is read.
    async fn stage(&self, expected: Option<u64>) -> StoreResult<Box<dyn Stage>>;
    /// A queue id that was never given out before.
    fn next_queue_id(&self, now: Timestamp) -> QueueId;
    /// Takes responsibility for a message: bytes, local deliveries, queue entries and journey, all or nothing.
    async fn accept(&self, body: Box<dyn Stage>, acceptance: Acceptance) -> StoreResult<Durable<Accepted>>;
    /// Puts messages into a mailbox, all or none, with consecutive UIDs in their order (IMAP APPEND).
    async fn append(
        &self,
        mailbox: MailboxId,
        messages: Vec<(Box<dyn Stage>, AppendMessage)>,
        now: Timestamp,
    ) -> StoreResult<Durable<Appended>>;

    /// Puts a message into `to` and removes `old` from `from`, in one commit (RFC 8508). `NotFound` where the old one is
    /// gone.
    async fn replace(
        &self,
        from: MailboxId,
        old: Uid,
        to: MailboxId,
        message: (Box<dyn Stage>, AppendMessage),
        now: Timestamp,
    ) -> StoreResult<Durable<Uid>>;

    /// Puts one message into several mailboxes of an account, in one commit: they share its bytes.
    async fn append_to_all(
        &self,
        mailboxes: &[MailboxId],
        message: (Box<dyn Stage>, AppendMessage),
        now: Timestamp,
    ) -> StoreResult<Durable<BodyId>>;

    // ---- Mailboxes ------------------------------------------------------------------------

    /// Mailboxes and subscribed names of an account, by name, INBOX first.
    async fn mailboxes(&self, account: AccountId) -> StoreResult<Vec<MailboxInfo>>;
    /// A mailbox by its exact name (`INBOX` in any case).
    async fn mailbox(&self, account: AccountId, name: &str) -> StoreResult<Option<MailboxId>>;
    /// Makes a mailbox and its missing parents.
    async fn create_mailbox(
        &self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
    ) -> StoreResult<Durable<MailboxId>>;
    /// Renames it and all below it. INBOX: its messages move to a new mailbox (RFC 3501 §6.3.5).
    async fn rename_mailbox(
        &self,
        account: AccountId,
        from: &str,
        to: &str,
        now: Timestamp,
    ) -> StoreResult<Durable<()>>;
    /// Deletes it with its messages. With children, the name stays (\Noselect); INBOX can't be.
    async fn delete_mailbox(&self, account: AccountId, name: &str) -> StoreResult<Durable<()>>;
    /// Subscribes to a name, or no more.
    async fn subscribe(&self, account: AccountId, name: &str, subscribed: bool) -> StoreResult<Durable<()>>;
    /// Counts, from memory or index.
    async fn status(&self, mailbox: MailboxId) -> StoreResult<MailboxStatus>;
    /// Opens a mailbox for looking at it.
    async fn watch(&self, mailbox: MailboxId) -> StoreResult<MailboxWatch>;
    /// Takes \Recent of a mailbox that is being watched: returns the UIDs that no session was shown, and marks them as shown.
    /// After a crash they may be shown again, as RFC 3501 §2.3.2 has it where it is not known: nobody waits for the disk.
    async fn take_recent(&self, mailbox: MailboxId) -> StoreResult<Range<Uid>>;
    /// Changes flags. A message that is so already keeps its modseq.
    async fn set_flags(
        &self,
        mailbox: MailboxId,
        uids: &[Uid],
        change: FlagChange,
    ) -> StoreResult<Durable<StoreOutcome>>;
    /// Copies to a mailbox, perhaps of another account; flags, dates and bytes go along.
    async fn copy(
        &self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
        now: Timestamp,
    ) -> StoreResult<Durable<CopyOutcome>>;
    /// Copies and removes in one commit (RFC 6851).
    async fn move_messages(
        &self,
        from: MailboxId,
        uids: &[Uid],
        to: MailboxId,
        now: Timestamp,
    ) -> StoreResult<Durable<CopyOutcome>>;
    /// Removes messages, whatever their flags; returns those that were there. Kept as expunged for QRESYNC.
    async fn expunge(&self, mailbox: MailboxId, uids: &[Uid]) -> StoreResult<Durable<Vec<Uid>>>;
    /// UIDs expunged after `since`, ascending; `None` where the engine no longer knows that far back.
    async fn vanished(&self, mailbox: MailboxId, since: ModSeq) -> StoreResult<Option<Vec<Uid>>>;
    /// Does all steps, in their order and in one commit, or none: `NotFound` where a message is not there (any more).
    async fn change_messages(&self, steps: Vec<MessageStep>, now: Timestamp) -> StoreResult<Durable<()>>;
    /// Messages to read, in the order asked; those that are gone are left out.
    async fn bodies(&self, mailbox: MailboxId, uids: &[Uid]) -> StoreResult<Vec<(Uid, Arc<dyn Body>)>>;
    /// Exclusive use of an account's INBOX by POP3; `InUse` while another holds it.
    async fn lock_maildrop(&self, account: AccountId) -> StoreResult<MaildropLock>;

    /// Annotations of a mailbox, or the account's own, by name. A mailbox with a special use has [`crate::SPECIAL_USE_ENTRY`].
    async fn annotations(&self, account: AccountId, mailbox: Option<&str>) -> StoreResult<Vec<Annotation>>;
    /// Changes annotations of a mailbox, or the account's own: all, or none. They go where the mailbox goes, and go with it.
    /// Returns the change's place in the account's order, as [`crate::AccountNews`] has it; `None`: all was so already.
    async fn annotate(
        &self,
        account: AccountId,
        mailbox: Option<&str>,
        changes: Vec<AnnotationChange>,
    ) -> StoreResult<Durable<Option<ModSeq>>>;

    /// An ear on an account, and on mailboxes: hears of what it asks for, from then on, its own changes too.
    fn listen(&self, account: AccountId) -> AccountWatch;

    // ---- The account as a whole -----------------------------------------------------------

    /// The mailboxes of an account, with what says whether a client's copy of them is old.
    async fn survey(&self, account: AccountId) -> StoreResult<Survey>;
    /// What went from an account after `since`; `None` where the engine no longer knows that far back.
    async fn departed(&self, account: AccountId, since: ModSeq) -> StoreResult<Option<Departed>>;
    /// Keeps octets that a client means to use in a message (RFC 8620 §6.1) for `limits::UPLOAD_KEPT`; earlier ones of the
    /// account make room where it has more than `limits::UPLOADS_PER_ACCOUNT` octets.
    async fn keep_upload(
        &self,
        account: AccountId,
        octets: Box<dyn Stage>,
        now: Timestamp,
    ) -> StoreResult<Durable<BodyId>>;
    /// Octets that the account keeps so.
    async fn upload(&self, account: AccountId, id: BodyId) -> StoreResult<Option<Arc<dyn Body>>>;

    // ---- Sending --------------------------------------------------------------------------

    /// The addresses of this account are these: one that has never had an identity gets one, one that is no more loses
    /// those that it has until it comes again. Nothing is written where nothing changes.
    async fn identify(&self, account: AccountId, addresses: Vec<Address>) -> StoreResult<()>;
    /// An account's identities, and those that went.
    async fn identities(&self, account: AccountId) -> StoreResult<Kept<Identity, IdentityId>>;
    /// Changes one identity; returns its id. `Limit`: there are as many as may be.
    async fn change_identity(&self, account: AccountId, change: IdentityChange) -> StoreResult<Durable<IdentityId>>;

    /// Takes responsibility for a message, as [`Store::accept`], and keeps what is known of it, in one commit. Older ones of
    /// the account make room (`limits::SUBMISSIONS_PER_ACCOUNT`).
    async fn submit(
        &self,
        body: Box<dyn Stage>,
        acceptance: Acceptance,
        submission: NewSubmission,
    ) -> StoreResult<Durable<SubmissionId>>;
    /// What an account submitted, and what of it went.
    async fn submissions(&self, account: AccountId) -> StoreResult<Kept<Submission, SubmissionId>>;
    /// Takes a submission back: nothing of it leaves. False: some of it may have left already.
    async fn cancel_submission(&self, cancellation: Cancellation) -> StoreResult<Durable<bool>>;
    /// Forgets a submission; what was sent goes its way.
    async fn forget_submission(&self, account: AccountId, id: SubmissionId) -> StoreResult<Durable<()>>;
    /// Forgets what was sent before `before`; returns how many.
    async fn forget_submissions(&self, before: Timestamp) -> StoreResult<u64>;

    // ---- Sharing --------------------------------------------------------------------------

    /// Who else may do what in a mailbox, anyone first. A new mailbox has what the one above it has.
    async fn grants(&self, mailbox: MailboxId) -> StoreResult<Vec<Grant>>;
    /// Changes what one has in a mailbox.
    async fn grant(&self, mailbox: MailboxId, change: GrantChange) -> StoreResult<Durable<()>>;
    /// What an account may do in a mailbox: its owner all; who has no part in it, and where there is none, nothing.
    async fn rights(&self, account: AccountId, mailbox: MailboxId) -> StoreResult<Rights>;
    /// Mailboxes of others in which an account has rights, by owner and name.
    async fn shared_with(&self, account: AccountId) -> StoreResult<Vec<SharedMailbox>>;
    /// Another number than before wherever [`Store::rights`] may answer otherwise than before.
    fn rights_version(&self) -> u64;

    // ---- Digests --------------------------------------------------------------------------
    // An engine need keep none: then every message is read each time.

    /// Some messages that have no digest; waits until there are such, and leftover time for them.
    async fn undigested(&self) -> StoreResult<Vec<Undigested>> {
        std::future::pending().await
    }
    /// Keeps digests of messages that [`Self::undigested`] gave.
    async fn keep_digests(&self, _digests: Vec<Digested>) -> StoreResult<()> {
        Ok(())
    }
    /// How many mailboxes have messages that are to get a digest.
    fn behind(&self) -> u64 {
        0
    }
    /// A part of the digest of each of these messages (ascending) that has one.
    async fn digests(&self, _mailbox: MailboxId, _part: DigestPart, _uids: &[Uid]) -> StoreResult<Vec<(Uid, Bytes)>> {
        Ok(Vec::new())
    }
    /// Of these messages (ascending) those that may have all marks: whose digest has them, or that have none.
    async fn marked(&self, _mailbox: MailboxId, uids: Vec<Uid>, _marks: &[u16]) -> StoreResult<Vec<Uid>> {
        Ok(uids)
    }

    /// The key of URLs into a mailbox; `None`: there is none, and no URL is good.
    async fn url_key(&self, mailbox: MailboxId) -> StoreResult<Option<UrlKey>>;
    /// The key that the mailbox has; where it has none, `fresh` becomes it.
    async fn make_url_key(&self, mailbox: MailboxId, fresh: UrlKey) -> StoreResult<Durable<UrlKey>>;
    /// `fresh` becomes the mailbox's key, whether it had one or not; who has it open learns of it. A key goes with its mailbox.
    async fn renew_url_key(&self, mailbox: MailboxId, fresh: UrlKey) -> StoreResult<Durable<()>>;
    /// Takes the keys of all mailboxes of the account away; who has one open learns of it.
    async fn forget_url_keys(&self, account: AccountId) -> StoreResult<Durable<()>>;

    // ---- Queue ----------------------------------------------------------------------------

    /// Hear of everything that changes in the queue from now on. One listener: the scheduler.
    fn queue_feed(&self) -> QueueFeed;
    /// What is queued, in order of (id, recipient), after `after`, at most `limit`: for the scheduler's start.
    async fn queue_items(&self, after: Option<(QueueId, u32)>, limit: usize) -> StoreResult<Vec<QueueItem>>;
    /// Queued messages, oldest first, after `after`, at most `limit`.
    async fn queue_messages(&self, after: Option<QueueId>, limit: usize) -> StoreResult<Vec<QueueMessage>>;
    /// One queued message.
    async fn queue_message(&self, id: QueueId) -> StoreResult<Option<QueueMessage>>;
    /// The bytes of a queued message, with the recipient's prefix on top.
    async fn queue_body(&self, id: QueueId, recipient: u32) -> StoreResult<Arc<dyn Body>>;
    /// Messages that are to be tried now, in one look; those no longer queued are left out. One that can't be read
    /// says so for itself.
    async fn queue_work(&self, ids: Vec<QueueId>) -> StoreResult<Vec<(QueueId, StoreResult<QueueWork>)>>;
    /// From now on a message that was held back can't be taken back, and may leave. False: it is no longer queued.
    async fn begin_sending(&self, id: QueueId) -> StoreResult<Durable<bool>>;
    /// Ends a try. A recipient that is no longer queued (dropped meanwhile) is passed over. Returns those in whose place somebody
    /// else was put meanwhile ([`Settlement::tried`]): they wait for a try of their own.
    async fn settle(&self, settlement: Settlement) -> StoreResult<Durable<Vec<u32>>>;
    /// Does what an operator wants done to what waits, in one commit. Returns how many recipients it was done to.
    async fn change_queue(&self, changes: Vec<QueueChange>) -> StoreResult<Durable<u64>>;
    /// From now on nothing is sent to this destination, until it is resumed. False: it was so already.
    async fn pause_destination(&self, destination: &Domain, paused: Option<Timestamp>) -> StoreResult<Durable<bool>>;
    /// Destinations that are paused, by name, and since when.
    async fn paused_destinations(&self) -> StoreResult<Vec<(Domain, Timestamp)>>;

    /// What was counted of strangers and accounts: by name, the moment until which it counts.
    async fn tallies(&self) -> StoreResult<Vec<(String, Timestamp)>>;
    /// Keeps these, in the place of what they have been; those that count no more are forgotten.
    async fn keep_tallies(&self, tallies: Vec<(String, Timestamp)>, now: Timestamp) -> StoreResult<()>;

    // ---- Journey --------------------------------------------------------------------------

    /// Journeys, newest first, at most `limit`.
    async fn journeys(&self, query: &JourneyQuery, limit: usize) -> StoreResult<Vec<Journey>>;
    /// Adds events to a message's journey.
    async fn record(&self, id: QueueId, events: Vec<Event>) -> StoreResult<Durable<()>>;
    /// Notes a refusal in the bounded ring; may be written later or, under load, not at all.
    fn note_refusal(&self, event: Event);
    /// Refusals noted, newest first, at most `limit`.
    async fn refusals(&self, limit: usize) -> StoreResult<Vec<Event>>;
    /// Forgets journeys of messages accepted before `before` that are no longer queued.
    async fn forget_journeys(&self, before: Timestamp) -> StoreResult<u64>;

    // ---- Care -----------------------------------------------------------------------------

    /// Conservation (design §3.2).
    async fn balance(&self) -> StoreResult<Balance>;
    /// Checks every invariant; `deep` reads every byte against its checksum.
    async fn check(&self, deep: bool) -> StoreResult<Vec<CheckFinding>>;
    /// Gives space back where it pays; returns octets freed. Called now and then.
    async fn reclaim(&self) -> StoreResult<u64>;
    /// Returns when the store is poisoned, with the reason: the process must end.
    async fn poisoned(&self) -> String;
    /// Finishes what is under way and stops. Later calls answer `Poisoned`.
    async fn close(&self);
}
