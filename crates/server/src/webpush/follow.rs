//! One subscription, from its first message to its end.

use std::sync::Arc;
use std::time::Duration;

use jmap::User;
use jmap::push::{Changed, Types};
use mail::limits;
use store::{PushChange, PushSubscription, StoreError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::WebPush;
use super::send::{Message, Outcome};
use crate::auth::{Proof, hash};
use crate::push::{Kind, Listening, Over, Push};
use crate::shared::Shared;

/// Where it may not listen, the pause grows so often: an account that was disabled for a while is told again soon.
const REFUSED_MOST: u32 = 4;

/// The push service does not know it any more, or it is not kept any more.
struct Gone;

/// Tells a subscription, until it is over or taken away, or the system stops.
pub(super) async fn follow(push: Arc<WebPush>, shared: Arc<Shared>, subscription: watch::Receiver<PushSubscription>) {
    let id = subscription.borrow().id;
    let end = over(&shared, subscription.clone());
    let mut follower = Follower {
        push: &push,
        shared: &shared,
        subscription,
        failures: 0,
        most: limits::PUSH_MESSAGE_LEN,
        rested: Instant::now(),
    };
    tokio::select! {
        // Nothing is sent for one that is over.
        biased;
        () = end => {}
        () = shared.shutdown.wait() => {}
        Gone = follower.run() => {}
    }
    push.ended(id).await;
}

/// Returns once it has expired, or is kept no more.
async fn over(shared: &Shared, mut subscription: watch::Receiver<PushSubscription>) {
    loop {
        let end = subscription.borrow_and_update().end();
        let now = shared.clock.now();
        if end.is_some_and(|end| end <= now) {
            return;
        }
        let left = end.map_or(limits::PUSH_LIFETIME, |end| end.since(now));
        tokio::select! {
            changed = subscription.changed() => if changed.is_err() { return },
            () = sleep(left) => {}
        }
    }
}

struct Follower<'f> {
    push: &'f Arc<WebPush>,
    shared: &'f Arc<Shared>,
    subscription: watch::Receiver<PushSubscription>,
    /// Tries that failed since one that did not.
    failures: u32,
    /// Octets of a message that the push service takes.
    most: usize,
    /// It is told of nothing before.
    rested: Instant,
}

impl Follower<'_> {
    fn now(&self) -> PushSubscription {
        self.subscription.borrow().clone()
    }

    async fn run(&mut self) -> Gone {
        if self.verify().await.is_err() {
            return Gone;
        }
        let mut told = self.now().given.told;
        let mut refused = 0;
        loop {
            if let Ok(mut listening) = self.listen(&told).await
                && let Err(Gone) = self.tell(&mut listening, &mut told).await
            {
                return Gone;
            }
            // Its log-in is over, too many listen, or the account is disabled for now.
            if self.is_kept().await.is_err() {
                return Gone;
            }
            refused = REFUSED_MOST.min(refused + 1);
            sleep(pause(refused, None, hash::random())).await;
        }
    }

    /// RFC 8620 §7.2.2: shows the client that it is told here, and waits until it says so.
    async fn verify(&mut self) -> Result<(), Gone> {
        let subscription = self.now();
        if !subscription.verified {
            let message = Message::verification(&subscription);
            loop {
                let after = if self.is_good().await {
                    match self.push.send(self.shared, &subscription.given, &message).await {
                        Outcome::Taken => break,
                        Outcome::Gone => return self.remove().await,
                        Outcome::TooLong => None,
                        Outcome::Later(after) => after,
                    }
                } else {
                    None
                };
                let pause = self.failed(after);
                tokio::select! {
                    () = sleep(pause) => {}
                    // It came there after all, whatever the push service said.
                    verified = self.subscription.wait_for(|subscription| subscription.verified) => {
                        verified.map_err(|_| Gone)?;
                        break;
                    }
                }
                self.is_kept().await?;
            }
            self.failures = 0;
        }
        self.subscription.wait_for(|subscription| subscription.verified).await.map(drop).map_err(|_| Gone)
    }

    /// Listens for what the client is told of. What changed since it was told last, comes first.
    async fn listen(&self, told: &str) -> Result<Listening, Over> {
        let given = self.now().given;
        let account = self.shared.store.account(given.account).await.ok().flatten().ok_or(Over)?;
        let user = User { account: account.id, address: account.address, credential: given.credential.clone() };
        let proof = Proof::of_credential(given.credential);
        Push::listen(self.shared, Kind::Subscription, (user, proof), Types::NONE, Some(told.to_owned()))
            .map_err(|_| Over)
    }

    fn types(&mut self) -> Types {
        let subscription = self.subscription.borrow_and_update();
        let named = |types: &Vec<String>| Types::named(types.iter().map(String::as_str));
        subscription.given.types.as_ref().map_or(Types::ALL, named)
    }

    /// Tells what changes, as long as the log-in is good.
    async fn tell(&mut self, listening: &mut Listening, told: &mut String) -> Result<Over, Gone> {
        // Journeys have other states after each start, which would wake all devices for nothing.
        listening.set_types(self.types().lasting());
        let Ok(mut waiting) = listening.ready().await else { return Ok(Over) };
        // What was missed is told only where the log-in is still good.
        if listening.look(false).await.is_err() {
            return Ok(Over);
        }
        listening.set_types(self.types());
        loop {
            while waiting.is_empty() {
                tokio::select! {
                    changed = listening.next() => match changed {
                        Ok(changed) => waiting = changed,
                        Err(Over) => return Ok(Over),
                    },
                    changed = self.subscription.changed() => {
                        changed.map_err(|_| Gone)?;
                        listening.set_types(self.types());
                    }
                }
            }
            let pause = self.rested.saturating_duration_since(Instant::now());
            if !pause.is_zero() && self.gather(listening, &mut waiting, pause).await.is_err() {
                return Ok(Over);
            }
            let given = self.now().given;
            let mut rest = waiting.clone();
            let part = rest.part(self.most);
            match self.push.send(self.shared, &given, &Message::change(&given, &part)).await {
                Outcome::Taken => {
                    self.failures = 0;
                    waiting = rest;
                }
                Outcome::Gone => return self.remove().await,
                Outcome::TooLong if self.most / 2 >= limits::PUSH_MESSAGE_LEAST => self.most /= 2,
                // It takes not even that: the next change may be told in fewer words.
                Outcome::TooLong => waiting = rest,
                Outcome::Later(after) => {
                    let wait = self.failed(after);
                    if self.gather(listening, &mut waiting, wait).await.is_err() {
                        return Ok(Over);
                    }
                }
            }
            if waiting.is_empty() {
                self.rested = Instant::now() + limits::PUSH_PAUSE;
                *told = listening.id();
                self.change(PushChange::Told(told.clone())).await?;
            }
        }
    }

    /// Waits before the next message, or try. What changes meanwhile goes with it: there is never more than one message to send.
    async fn gather(&mut self, listening: &mut Listening, waiting: &mut Changed, wait: Duration) -> Result<(), Over> {
        let end = sleep(wait);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return Ok(()),
                changed = listening.next() => *waiting = std::mem::take(waiting).and(changed?),
            }
        }
    }

    fn failed(&mut self, after: Option<Duration>) -> Duration {
        self.failures = self.failures.saturating_add(1);
        pause(self.failures, after, hash::random())
    }

    /// RFC 8030 §7.3, RFC 8620 §7.2: nothing is sent there any more.
    async fn remove<T>(&self) -> Result<T, Gone> {
        // Whoever was faster had the same in mind.
        let _ = self.change(PushChange::Removed).await;
        Err(Gone)
    }

    async fn change(&self, change: PushChange) -> Result<(), Gone> {
        let PushSubscription { id, given, .. } = self.now();
        match self.shared.store.change_push_subscription(given.account, id, change).await {
            Err(StoreError::NotFound(_)) => Err(Gone),
            // It is told once more than needed.
            Err(error) => {
                tracing::warn!(%error, "what was pushed can't be noted");
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    /// Whether what it was made with still logs in.
    async fn is_good(&self) -> bool {
        let given = self.now().given;
        let proof = Proof::of_credential(given.credential);
        self.shared.auth.holds(given.account, &proof).await.is_ok_and(|holds| holds.is_some())
    }

    /// Whether it is still kept; it goes with its log-in, which nobody tells.
    async fn is_kept(&self) -> Result<(), Gone> {
        let PushSubscription { id, given, .. } = self.now();
        match self.shared.store.push_subscriptions(given.account).await {
            Ok(all) if all.iter().all(|one| one.id != id) => Err(Gone),
            _ => Ok(()),
        }
    }
}

/// How long after so many failures in a row the next try is. `chance`: they don't all come back at the same moment.
fn pause(failures: u32, after: Option<Duration>, chance: u128) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    let own = limits::PUSH_RETRY_LEAST.saturating_mul(doubled);
    let least = own.max(after.unwrap_or_default());
    // An eighth more at most.
    let more = u32::try_from(chance % 1024).unwrap_or_default();
    least.min(limits::PUSH_RETRY_MOST).saturating_mul(8 * 1024 + more) / (8 * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `PUSH_RETRY_LEAST` at first, twice that each time, `PUSH_RETRY_MOST` at last, whatever the push service says.
    #[test]
    fn tries_become_rarer() {
        let least = limits::PUSH_RETRY_LEAST;
        assert_eq!([1, 2, 3].map(|n| pause(n, None, 0)), [least, 2 * least, 4 * least]);
        for n in [20, u32::MAX] {
            assert_eq!(pause(n, None, 0), limits::PUSH_RETRY_MOST);
        }
        let after = |seconds| pause(1, Some(Duration::from_secs(seconds)), 0);
        assert_eq!([after(0), after(100), after(u64::MAX)], [least, Duration::from_secs(100), limits::PUSH_RETRY_MOST]);
        let late = pause(1, None, u128::MAX);
        assert!(late > least && late < least * 9 / 8);
    }
}
