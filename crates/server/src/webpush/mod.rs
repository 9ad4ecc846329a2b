//! Push subscriptions (RFC 8620 §7.2) as they are told: by messages to push services of others (RFC 8030), which wake the client.
//!
//! Does: post to a new subscription the code that shows that its client is told there ([`follow`]), and once that came back, what
//! changed: as one message of the newest states, however much changes while a push service is slow or down. Encrypts for the
//! client where it gave keys ([`encrypt`]), shows who sends ([`vapid`]), and reaches no private address
//! ([`crate::http::outside`]). A subscription that the push service does not know any more goes.
//!
//! Does not: decide what changed (`jmap::push`), keep anything but in the store, or wait for anybody: each subscription has its own
//! task, and a slow push service delays only what goes to it.

mod encrypt;
mod follow;
mod send;
mod vapid;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jmap::push::Courier;
use mail::{AccountId, PushSubscriptionId, limits};
use mta::world::World;
use store::PushSubscription;
use tokio::sync::{Mutex, watch};
use tokio::time::sleep;

use crate::auth::hash;
use crate::http::outside::{Outside, Turns};
use crate::shared::Shared;
use vapid::Vapid;

/// All subscriptions of a system.
pub struct WebPush {
    /// Who stops ends the tasks, which hold this.
    shared: Weak<Shared>,
    /// Of its own: what accounts have fetched keeps nothing waiting here.
    outside: Outside,
    vapid: Vapid,
    /// So that nobody waits for his own turn where others wait for him.
    accounts: Turns<AccountId>,
    hosts: Turns<String>,
    at_once: Turns<()>,
    /// Those that have a task, which ends when its sender goes.
    running: Mutex<HashMap<PushSubscriptionId, watch::Sender<PushSubscription>>>,
}

/// Begins to tell all subscriptions that there are, and those that come. Fails with a sentence where there is no key.
pub async fn begin(shared: &Arc<Shared>, world: &World) -> Result<(), String> {
    let key = shared.store.push_key(Vapid::fresh()?).await.map_err(|error| error.to_string())?;
    let push = Arc::new(WebPush {
        shared: Arc::downgrade(shared),
        outside: Outside::new(world),
        vapid: Vapid::new(&key)?,
        accounts: Turns::new(limits::OUTSIDE_PER_ACCOUNT),
        hosts: Turns::new(limits::PUSH_PER_HOST),
        at_once: Turns::new(limits::PUSH_AT_ONCE),
        running: Mutex::default(),
    });
    shared.jmap.push_by(Arc::new(Postman(push.clone())));
    let accounts = shared.store.push_accounts().await.map_err(|error| error.to_string())?;
    tokio::spawn(look_after(push, shared.clone(), accounts));
    Ok(())
}

/// Looks at all now and then: who changed a subscription may have been cut off before that was told here.
async fn look_after(push: Arc<WebPush>, shared: Arc<Shared>, mut accounts: Vec<AccountId>) {
    loop {
        for account in accounts {
            push.look(account).await;
        }
        tokio::select! {
            () = sleep(limits::CARE_INTERVAL) => {}
            () = shared.shutdown.wait() => return,
        }
        accounts = shared.store.push_accounts().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "push subscriptions can't be read");
            Vec::new()
        });
    }
}

impl WebPush {
    /// Takes over what an account's subscriptions are now. One look at a time, so that none is overtaken by an older one.
    async fn look(self: &Arc<Self>, account: AccountId) {
        let mut running = self.running.lock().await;
        let Some(shared) = self.shared.upgrade() else { return };
        let all = match shared.store.push_subscriptions(account).await {
            Ok(all) => all,
            Err(error) => return tracing::error!(%error, "push subscriptions can't be read"),
        };
        running.retain(|id, one| one.borrow().given.account != account || all.iter().any(|now| now.id == *id));
        for now in all {
            match running.get(&now.id) {
                Some(sender) => drop(sender.send_replace(now)),
                None => {
                    let id = now.id;
                    let (sender, receiver) = watch::channel(now);
                    running.insert(id, sender);
                    tokio::spawn(follow::follow(self.clone(), shared.clone(), receiver));
                }
            }
        }
    }

    /// A subscription's task has ended.
    async fn ended(&self, id: PushSubscriptionId) {
        self.running.lock().await.remove(&id);
    }
}

/// What `jmap` sees of it.
struct Postman(Arc<WebPush>);

impl Courier for Postman {
    fn application_server_key(&self) -> String {
        self.0.vapid.public().to_owned()
    }

    fn code(&self) -> String {
        URL_SAFE_NO_PAD.encode(hash::random().to_be_bytes())
    }

    fn refuses(&self, url: &str) -> Option<String> {
        let Some(shared) = self.0.shared.upgrade() else { return Some("the server stops".to_owned()) };
        self.0.outside.refuses(url, true, &shared.settings().local.reach).map(|refusal| refusal.to_string())
    }

    fn can_encrypt_for(&self, p256dh: &[u8; 65]) -> bool {
        encrypt::is_good(p256dh)
    }

    fn subscriptions_changed(&self, account: AccountId) {
        let push = self.0.clone();
        tokio::spawn(async move { push.look(account).await });
    }
}
