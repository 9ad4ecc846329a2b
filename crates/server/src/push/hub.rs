//! One ear for all who listen to an account, and what it heard, for each to look at.

use std::sync::Arc;

use jmap::User;
use jmap::push::{Ear, States};
use mail::limits;
use tokio::sync::{mpsc, oneshot, watch};

use crate::auth::hash;
use crate::shared::Shared;

/// What listeners look at.
#[derive(Clone)]
pub(super) struct Now {
    /// States as of the last look.
    pub(super) states: Arc<States>,
    /// Another number than before: whoever listens is to be looked at, whether it still may.
    pub(super) access: u64,
}

/// An ear, to those who share it.
#[derive(Clone)]
pub(super) struct Hub {
    /// What it heard. `None`: it has not looked yet. When it has ended, no more is told.
    pub(super) now: watch::Receiver<Option<Now>>,
    asks: mpsc::Sender<oneshot::Sender<()>>,
}

impl Hub {
    /// Returns once it has looked anew: what was committed before the call is in what it heard. `None`: it has ended.
    pub(super) async fn look(&self) -> Option<()> {
        let (answer, looked) = oneshot::channel();
        self.asks.send(answer).await.ok()?;
        looked.await.ok()
    }
}

/// Begins to listen, as long as anybody has what it heard.
pub(super) fn begin(shared: Arc<Shared>, user: User) -> Hub {
    let (sender, now) = watch::channel(None);
    let (asks, asked) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            result = listen(&shared, &user, &sender, asked) => if let Err(error) = result {
                tracing::error!(account = %user.address, %error, "changes can't be told any more");
            },
            () = sender.closed() => {}
            () = shared.shutdown.wait() => {}
        }
    });
    Hub { now, asks }
}

async fn listen(
    shared: &Shared,
    user: &User,
    sender: &watch::Sender<Option<Now>>,
    mut asked: mpsc::Receiver<oneshot::Sender<()>>,
) -> store::StoreResult<()> {
    let mut ear = shared.jmap.listen(user, hash::random()).await?;
    let mut access = 0;
    publish(sender, &ear, access);
    loop {
        let asker = tokio::select! {
            () = gathered(ear.changed()) => None,
            Some(asker) = asked.recv() => Some(asker),
        };
        let heard = ear.look(&shared.jmap).await?;
        access += u64::from(heard.access);
        publish(sender, &ear, access);
        // Who asked may have gone.
        let _ = asker.map(|asker| asker.send(()));
    }
}

/// Returns a little after something changed: what happens close together is one change to those who listen.
async fn gathered(changed: impl Future<Output = ()>) {
    changed.await;
    tokio::time::sleep(limits::PUSH_GATHER).await;
}

/// Wakes those who listen, where there is something for them.
fn publish(sender: &watch::Sender<Option<Now>>, ear: &Ear, access: u64) {
    sender.send_if_modified(|now| {
        let states = ear.states();
        let is_new = now.as_ref().is_none_or(|now| !Arc::ptr_eq(&now.states, states) || now.access != access);
        if is_new {
            *now = Some(Now { states: states.clone(), access });
        }
        is_new
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `PUSH_GATHER` after the first change, no later.
    #[tokio::test(start_paused = true)]
    async fn changes_are_gathered() {
        let since = tokio::time::Instant::now();
        gathered(async {}).await;
        assert_eq!(since.elapsed(), limits::PUSH_GATHER);
    }
}
