//! What all requests share, and how one is led.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mail::{AccountId, Address, Timestamp, limits};
use message::structure::Structure;
use mta::accept::Desk;
use reading::cache::Cache;
use reading::facts::Facts;
use store::{Credential, Store};
use tokio::sync::Notify;

use crate::account::Kept;
use crate::journey::Following;
use crate::problem::Problem;
use crate::push::Courier;
use crate::push_subscription::Pace;

/// JMAP on a store.
pub struct Server {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) structures: Cache<Structure>,
    pub(crate) facts: Cache<Facts>,
    pub(crate) kept: Kept,
    pub(crate) following: Following,
    pub(crate) requests: AtOnce,
    pub(crate) uploads: AtOnce,
    pub(crate) sockets: AtOnce,
    pub(crate) push_pace: Pace,
    outbox: OnceLock<MakeOutbox>,
    courier: OnceLock<Arc<dyn Courier>>,
}

/// By what rules mail leaves now.
pub struct Outbox {
    /// Acceptance, the same that SMTP's submission stands before.
    pub desk: Arc<Desk>,
    /// Octets of a message at most.
    pub message_size: u64,
    /// Recipients of a message at most.
    pub recipients: usize,
    /// Called for each message that was taken.
    pub taken: Box<dyn Fn() + Send + Sync>,
}

type MakeOutbox = Box<dyn Fn() -> Option<Outbox> + Send + Sync>;

/// Who asks: somebody whom the caller has authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The account.
    pub account: AccountId,
    /// Its log-in name.
    pub address: Address,
    /// By what the caller was shown who it is.
    pub credential: Credential,
}

/// When, and with what randomness: of 128 bits that nobody else is given, the Message-IDs of what is composed are made.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Now.
    pub now: Timestamp,
    /// Random bits.
    pub random: u128,
}

/// What is sent back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP's status.
    pub status: u16,
    /// Of the body.
    pub content_type: &'static str,
    /// The octets.
    pub body: Vec<u8>,
}

impl Reply {
    /// The request's body is called something else than JSON (RFC 8620 §3.6.1).
    pub fn not_json() -> Self {
        Problem::NotJson.reply()
    }

    /// The request is larger than the limit of this name in the session object (RFC 8620 §3.6.1).
    pub fn too_large(limit: &'static str) -> Self {
        Problem::Limit(limit).reply()
    }

    /// There is nothing at that place, or not for that user.
    pub(crate) const fn not_found() -> Self {
        Self { status: 404, content_type: "text/plain", body: Vec::new() }
    }

    /// It can't be done now.
    pub(crate) const fn unavailable() -> Self {
        Self { status: 503, content_type: "text/plain", body: Vec::new() }
    }
}

impl Server {
    /// On a store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            structures: Cache::new(limits::IMAP_STRUCTURES),
            facts: Cache::new(limits::IMAP_FACTS),
            kept: Kept::default(),
            following: Following::default(),
            requests: AtOnce::default(),
            uploads: AtOnce::default(),
            sockets: AtOnce::default(),
            push_pace: Pace::default(),
            outbox: OnceLock::new(),
            courier: OnceLock::new(),
        }
    }

    /// What is sent leaves by the rules that this says at the time; said once. Before, nothing is sent.
    pub fn send_through(&self, outbox: impl Fn() -> Option<Outbox> + Send + Sync + 'static) {
        // Who said it first stays right.
        let _ = self.outbox.set(Box::new(outbox));
    }

    /// Clients that hold no connection are told of changes by this courier; said once. Before, there are no push subscriptions.
    pub fn push_by(&self, courier: Arc<dyn Courier>) {
        // Who said it first stays right.
        let _ = self.courier.set(courier);
    }

    pub(crate) fn courier(&self) -> Option<&Arc<dyn Courier>> {
        self.courier.get()
    }

    pub(crate) fn outbox(&self) -> Option<Outbox> {
        self.outbox.get().and_then(|outbox| outbox())
    }

    /// Begins a request; else the answer is that the user has too many under way.
    ///
    /// # Errors
    /// That answer.
    pub fn begin_request(&self, user: &User) -> Result<Turn, Reply> {
        let turn = self.requests.begin(user.account, limits::JMAP_REQUESTS_AT_ONCE);
        turn.ok_or_else(|| Problem::Limit("maxConcurrentRequests").reply())
    }

    /// Begins a request as soon as the user has few enough under way.
    pub async fn wait_for_turn(&self, user: &User) -> Turn {
        self.requests.wait(user.account, limits::JMAP_REQUESTS_AT_ONCE).await
    }

    /// Begins a WebSocket connection; none: the user has as many as there may be.
    pub fn begin_socket(&self, user: &User) -> Option<Turn> {
        self.sockets.begin(user.account, limits::JMAP_SOCKETS_PER_ACCOUNT)
    }

    /// Begins an upload; else likewise.
    ///
    /// # Errors
    /// That answer.
    pub fn begin_upload(&self, user: &User) -> Result<Turn, Reply> {
        let turn = self.uploads.begin(user.account, limits::JMAP_UPLOADS_AT_ONCE);
        turn.ok_or_else(|| Problem::Limit("maxConcurrentUpload").reply())
    }
}

/// How much of something each user has under way.
#[derive(Default)]
pub(crate) struct AtOnce(Arc<Counts>);

#[derive(Default)]
struct Counts {
    of: Mutex<HashMap<AccountId, usize>>,
    /// Told when one ends, for those who wait.
    ended: Notify,
}

/// One of what a user may have so many of at once; dropping it ends it. Held from before the first octet of a body is read: what
/// is half there takes memory, too.
pub struct Turn {
    all: Arc<Counts>,
    user: AccountId,
}

impl AtOnce {
    /// One more, unless there are `most` already.
    fn begin(&self, user: AccountId, most: usize) -> Option<Turn> {
        let mut all = self.0.of.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(user).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Turn { all: self.0.clone(), user })
    }

    /// The same, once there are fewer.
    async fn wait(&self, user: AccountId, most: usize) -> Turn {
        loop {
            let mut ended = pin!(self.0.ended.notified());
            // Heard from here on: none ends between the look and the wait.
            ended.as_mut().enable();
            if let Some(turn) = self.begin(user, most) {
                return turn;
            }
            ended.await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut all = self.all.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.user);
            }
        }
        drop(all);
        self.all.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `JMAP_REQUESTS_AT_ONCE`, `JMAP_UPLOADS_AT_ONCE`, `JMAP_SOCKETS_PER_ACCOUNT`: so many of one user, and one more; others are not concerned.
    #[test]
    fn turns_are_bounded() {
        for most in [limits::JMAP_REQUESTS_AT_ONCE, limits::JMAP_UPLOADS_AT_ONCE, limits::JMAP_SOCKETS_PER_ACCOUNT] {
            let all = AtOnce::default();
            let mut turns: Vec<_> = (0..most).map(|_| all.begin(AccountId(1), most).unwrap()).collect();
            assert!(all.begin(AccountId(1), most).is_none() && all.begin(AccountId(2), most).is_some());
            turns.pop();
            assert!(all.begin(AccountId(1), most).is_some());
            turns.clear();
            assert!(all.0.of.lock().unwrap().is_empty());
        }
    }

    /// Who waits gets the place of one that ends, and of no other user's.
    #[tokio::test]
    async fn turns_are_waited_for() {
        let all = Arc::new(AtOnce::default());
        let (first, other) = (all.wait(AccountId(1), 1).await, all.wait(AccountId(2), 1).await);
        let waiting = tokio::spawn({
            let all = all.clone();
            async move { drop(all.wait(AccountId(1), 1).await) }
        });
        drop(other);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        waiting.await.unwrap();
    }
}
