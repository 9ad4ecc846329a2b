//! Another configuration for a running system, at SIGHUP; new certificates also when their files change.
//!
//! Does: take all that can change without a restart, at once or not at all, and say what can't. Does not: end sessions:
//! those that are open go on as they began, but for what they would do next with TLS.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use mail::limits;
use mta::policy::Door;
use server::Shared;
use server::dns::Servers;
use server::listen::Doors;
use server::outbound::Outbound;
use server::tls::SiteFiles;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::config::Config;
use crate::log;
use crate::systemd::{self, State};

/// What a reload changes.
pub(crate) struct Reload {
    /// As it is now.
    config: Config,
    shared: Arc<Shared>,
    outbound: Outbound,
    door: Arc<Door>,
    doors: Doors,
    hangup: Option<Signal>,
}

impl Reload {
    /// Hears SIGHUP from now on: to be made before anybody is told that the system is ready, since until then the signal
    /// ends the process.
    pub(crate) fn new(config: Config, shared: Arc<Shared>, outbound: Outbound, door: Arc<Door>, doors: Doors) -> Self {
        let hangup = signal(SignalKind::hangup());
        let hangup = hangup.inspect_err(|error| warn!(%error, "SIGHUP can't be heard: no reload")).ok();
        Self { config, shared, outbound, door, doors, hangup }
    }

    /// Until the system stops; then ends what listens.
    pub(crate) async fn run(mut self) {
        self.heed().await;
        self.doors.stop().await;
    }

    async fn heed(&mut self) {
        let mut hangup = self.hangup.take();
        let mut seen = changed_at(&self.config.all_sites());
        loop {
            tokio::select! {
                () = self.shared.shutdown.wait() => return,
                () = heard(&mut hangup) => {
                    systemd::tell(State::Reloading);
                    match self.take().await {
                        Ok(()) => info!("configuration and certificates taken anew"),
                        Err(why) => error!("not reloaded, the old configuration stays: {why}"),
                    }
                    systemd::tell(State::Ready);
                }
                () = self.shared.acme.renewed() => self.take_certificates(),
                () = self.shared.clock.sleep(limits::CERTIFICATE_CHECK) => {
                    if changed_at(&self.config.all_sites()) == seen {
                        continue;
                    }
                    self.take_certificates();
                }
            }
            seen = changed_at(&self.config.all_sites());
        }
    }

    /// Takes the certificates as they are now.
    fn take_certificates(&self) {
        match self.config.acceptor() {
            Ok(acceptor) => {
                self.shared.take_certificates(acceptor);
                info!("certificates taken anew");
            }
            Err(error) => error!("not reloaded, the old certificates stay: {error}"),
        }
    }

    /// Takes the file as it is now. Whatever can fail comes first; on an error nothing has changed.
    async fn take(&mut self) -> Result<(), String> {
        let mut new = Config::load(&self.config.file).map_err(|error| error.to_string())?;
        let file = new.file.clone();
        let in_file = move |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        new.stand_in().map_err(|error| in_file(&format!("[acme]: {error}")))?;
        let acceptor = new.acceptor().map_err(|error| in_file(&format!("[tls]: {error}")))?;
        let servers = Servers::new(&new.settings.relay.dns).map_err(|error| in_file(&error))?;
        self.keep_what_needs_a_restart(&mut new);
        let (shared, outbound, settings) = (&self.shared, &self.outbound, new.settings.clone());
        let (door, rules) = (&self.door, settings.policy.rules.clone());
        let ready = || {
            shared.reload(settings, acceptor);
            outbound.ask_dns(servers);
            outbound.reload();
            door.reload(rules);
        };
        self.doors.change(&new.listen.all(), ready).await.map_err(|error| in_file(&error))?;
        if new.log != self.config.log {
            log::change(&new.log);
        }
        self.config = new;
        Ok(())
    }

    /// Says what counts from the next start only, and keeps it as it is until then.
    fn keep_what_needs_a_restart(&self, new: &mut Config) {
        let old = &self.config;
        if new.data_dir != old.data_dir {
            warn!("data_dir has changed: that counts from the next start, all else from now on");
            new.data_dir.clone_from(&old.data_dir);
        }
        if new.settings.local.misbehave != old.settings.local.misbehave {
            warn!("[local] misbehave has changed: that counts from the next start, all else from now on");
            new.settings.local.misbehave = old.settings.local.misbehave;
        }
        // Of `local` itself, not of the file.
        new.settings.http.local.clone_from(&old.settings.http.local);
        new.settings.local.framed_by.clone_from(&old.settings.local.framed_by);
        new.settings.local.visitor.clone_from(&old.settings.local.visitor);
    }
}

async fn heard(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => drop(hangup.recv().await),
        None => std::future::pending().await,
    }
}

/// When the files were changed last.
fn changed_at(sites: &[SiteFiles]) -> Vec<(PathBuf, Option<SystemTime>)> {
    let files = sites.iter().flat_map(|site| [&site.certificate, &site.key]);
    files.map(|file| (file.clone(), std::fs::metadata(file).and_then(|data| data.modified()).ok())).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use server::{Shutdown, SystemClock};
    use store::Store as _;
    use store_local::{LocalStore, Options};
    use testkit::authority::certify;

    use super::*;

    /// `CERTIFICATE_CHECK`: files that have changed are found at the next look; one that is broken changes nothing.
    #[tokio::test(start_paused = true)]
    async fn changed_certificates_are_found() {
        let folder = tempfile::tempdir().unwrap();
        certify(folder.path(), "mail.red.example");
        let text = "hostname = \"mail.red.example\"\n[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n\
                    [dns]\nservers = [\"127.0.0.1:9\"]\n";
        let config = Config::parse(&folder.path().join("postrider.toml"), text).unwrap();
        let store = LocalStore::open(folder.path().join("data"), Options::default()).unwrap();
        let (switch, shutdown) = Shutdown::new();
        let acceptor = config.acceptor().unwrap();
        let clock = Arc::new(SystemClock);
        let shared = Arc::new(Shared::new(store.clone(), clock, config.settings.clone(), acceptor, shutdown));
        let outbound = Outbound::new(shared.clone()).unwrap();
        let doors = Doors::open(Vec::new(), shared.clone(), Arc::new(|_, _, _| Box::pin(async {})));
        let door = Door::new(shared.clock.clone(), None, shared.settings().policy.rules.clone());
        let running = tokio::spawn(Reload::new(config, shared.clone(), outbound, door, doors).run());
        let tick = Duration::from_millis(5);
        let mut before = shared.acceptor().unwrap();
        for (change, taken) in [("none", false), ("new", true), ("broken", false), ("new", true)] {
            tokio::time::sleep(limits::CERTIFICATE_CHECK - tick).await;
            match change {
                "new" => drop(certify(folder.path(), "mail.red.example")),
                "broken" => std::fs::write(folder.path().join("key.pem"), "no key").unwrap(),
                _ => {}
            }
            if change != "none" {
                touch(&folder.path().join("key.pem"));
            }
            assert!(Arc::ptr_eq(&before, &shared.acceptor().unwrap()), "{change}: it was not looked at yet");
            tokio::time::sleep(2 * tick).await;
            let now = shared.acceptor().unwrap();
            assert_eq!(!Arc::ptr_eq(&before, &now), taken, "{change}");
            before = now;
            // Back to the beginning of the next interval.
            tokio::time::sleep(limits::CERTIFICATE_CHECK - tick).await;
        }
        switch.stop();
        running.await.unwrap();
        store.close().await;
    }

    /// A time that no file had before.
    fn touch(file: &Path) {
        use std::sync::atomic::{AtomicU64, Ordering};
        static LATER: AtomicU64 = AtomicU64::new(1);
        let time = SystemTime::now() + Duration::from_secs(LATER.fetch_add(1, Ordering::Relaxed));
        std::fs::File::options().append(true).open(file).unwrap().set_modified(time).unwrap();
    }
}
