//! What every pump gets of the system that it works for.
//!
//! Does: bundle the store, the settings, the clock, log-ins, TLS, counters and the sign to stop. Does not: have
//! any logic of its own. One value per mail system: `local` runs two of them in one process.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use mta::world::{Clock, World};
use store::Store;
use tokio::sync::watch;

use crate::acme::Acme;
use crate::audit::LogIns;
use crate::auth::Auth;
use crate::http::outside::Outside;
use crate::metrics::Metrics;
use crate::push::Push;
use crate::settings::Settings;
use crate::tls::Acceptor;
use crate::trusted::Counts;

/// One mail system.
pub struct Shared {
    /// Its store.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Log-ins.
    pub auth: Auth,
    /// Log-ins that the audit log is to have.
    pub logins: LogIns,
    /// What IMAP sessions share.
    pub imap: Arc<imap::Service>,
    /// What JMAP requests share.
    pub jmap: jmap::Server,
    /// What came from networks that need no log-in.
    pub trusted: Counts,
    /// Who listens for changes.
    pub push: Push,
    /// Certificates by ACME.
    pub acme: Acme,
    /// Counters.
    pub metrics: Metrics,
    /// Becomes true once, when the system stops.
    pub shutdown: Shutdown,
    settings: ArcSwap<Settings>,
    acceptor: ArcSwapOption<Acceptor>,
    outside: OnceLock<Outside>,
}

impl Shared {
    /// A system. `acceptor`: none where no certificate is configured; then STARTTLS is not offered.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        acceptor: Option<Acceptor>,
        shutdown: Shutdown,
    ) -> Self {
        let metrics = Metrics::new();
        metrics.certificates_expire(acceptor.as_ref().and_then(Acceptor::expires));
        Self {
            logins: LogIns::default(),
            auth: Auth::new(store.clone(), clock.clone()),
            imap: Arc::new(imap::Service::new(store.clone(), settings.hostname.as_str())),
            jmap: jmap::Server::new(store.clone()),
            trusted: Counts::default(),
            push: Push::default(),
            store,
            clock,
            acme: Acme::default(),
            metrics,
            shutdown,
            settings: ArcSwap::from_pointee(settings),
            acceptor: ArcSwapOption::from_pointee(acceptor),
            outside: OnceLock::new(),
        }
    }

    /// Opens the way out for what accounts have fetched; the first world stays.
    pub fn open_outside(&self, world: &World) {
        self.outside.get_or_init(|| Outside::new(world));
    }

    /// The way out; none before it is open.
    pub fn outside(&self) -> Option<&Outside> {
        self.outside.get()
    }

    /// The settings of this moment. A session takes them once, when it begins.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Somebody logged in, or tried to: for the metrics, the log and the audit log. `user`: as the client said it.
    pub fn note_login(&self, service: &'static str, peer: IpAddr, user: &str, outcome: &'static str) {
        self.metrics.login(outcome);
        self.logins.note(service, peer, user, outcome, self.clock.now());
        tracing::info!(service, %peer, user, outcome, "log-in");
    }

    /// TLS of this moment; none: not configured.
    pub fn acceptor(&self) -> Option<Arc<Acceptor>> {
        self.acceptor.load_full()
    }

    /// Takes new settings and certificates for sessions that begin from now on.
    pub fn reload(&self, settings: Settings, acceptor: Option<Acceptor>) {
        self.imap.rename(settings.hostname.as_str());
        self.settings.store(Arc::new(settings));
        self.take_certificates(acceptor);
        self.acme.change();
    }

    /// Takes new certificates for connections that begin from now on.
    pub fn take_certificates(&self, acceptor: Option<Acceptor>) {
        self.metrics.certificates_expire(acceptor.as_ref().and_then(Acceptor::expires));
        self.acceptor.store(acceptor.map(Arc::new));
    }
}

/// The sign to stop, for who has to heed it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// Gives the sign. Dropping it gives it too.
#[derive(Debug)]
pub struct ShutdownSwitch(watch::Sender<bool>);

impl Shutdown {
    /// A sign and its switch.
    pub fn new() -> (ShutdownSwitch, Self) {
        let (sender, receiver) = watch::channel(false);
        (ShutdownSwitch(sender), Self(receiver))
    }

    /// Returns once the system stops, at once if it does already. For `select!`.
    pub async fn wait(&self) {
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }

    /// Whether the system stops.
    pub fn is_on(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

impl ShutdownSwitch {
    /// Tells all to stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sign_reaches_those_that_wait_and_those_that_come_later() {
        let (switch, shutdown) = Shutdown::new();
        assert!(!shutdown.is_on());
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.wait().await }
        });
        switch.stop();
        waiting.await.unwrap();
        shutdown.wait().await;
        assert!(shutdown.is_on());
        drop(switch);
        shutdown.wait().await;
    }
}
