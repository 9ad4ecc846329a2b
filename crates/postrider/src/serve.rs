//! One whole mail system in this process: `serve` runs one, `local` two.
//!
//! Does: open the store, bind, wire pumps to services, reload, care for the store now and then, stop in order. Does not:
//! read the command line or set up logging.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mail::limits;
use sd_notify::NotifyState;
use server::control::{Context, ControlSocket};
use server::listen::{Handler, Listener, Service};
use server::outbound::Outbound;
use server::smtp::{Extras, Reception};
use server::tls::{Acceptor, SiteFiles};
use server::{Connection, Shared, Shutdown, SystemClock};
use store::Store;
use store_local::LocalStore;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::cli::ask::explain;
use crate::config::Config;
use crate::sizes::Sizes;

/// Runs a mail system until the sign to stop; ends within 10 s of it. `ready` is called once all listeners are bound.
/// The error is a sentence: why it did not start, or why it had to stop.
pub(crate) async fn run(config: Config, ready: impl FnOnce(), stop: Shutdown) -> Result<(), String> {
    keep_memory_private();
    let acceptor = config.acceptor().map_err(|error| format!("{}: [tls]: {error}", config.file.display()))?;
    let Sizes { options, care } = Sizes::from_environment()?;
    let store = LocalStore::open(&config.data_dir, options).map_err(|error| explain(&error).0)?;
    let result = run_on(store.clone(), config, care, acceptor, ready, stop).await;
    store.close().await;
    result
}

/// Passwords on their way, keys and mail are in memory: no core dump is written, by whatever the machine has for it, and
/// no other process of this user can look (prctl(2) `PR_SET_DUMPABLE`).
fn keep_memory_private() {
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        warn!(%error, "a crash may write a core file with secrets");
    }
}

async fn run_on(
    store: Arc<dyn Store>,
    config: Config,
    care_interval: Duration,
    acceptor: Option<Acceptor>,
    ready: impl FnOnce(),
    stop: Shutdown,
) -> Result<(), String> {
    let listeners = bind(&config)?;
    let control = ControlSocket::bind(&config.data_dir)
        .map_err(|error| format!("the control socket in {} can't be made: {error}", config.data_dir.display()))?;
    let clock = Arc::new(SystemClock);
    // Stopped by the caller's sign, or by our own when the store fails.
    let (switch, shutdown) = Shutdown::new();
    let shared = Arc::new(Shared::new(store.clone(), clock, config.settings.clone(), acceptor, shutdown.clone()));
    let smtp_at = config.listen.all().into_iter().filter(|(service, _)| *service == Service::Smtp);
    let smtp_at: Vec<SocketAddr> = smtp_at.map(|(_, address)| address).collect();
    let outbound = Outbound::new(shared.clone(), smtp_at.clone())?;
    let reception = Arc::new(Reception::new(Extras {
        listening: smtp_at.clone(),
        random: outbound.world().random.clone(),
        verify: Some(outbound.verifier.clone()),
        reporter: Some({
            let relay = outbound.relay.clone();
            Arc::new(move || relay.reporter())
        }),
        misbehave: config.settings.local.misbehave.then(|| Arc::new(smallnet::misbehave::Misbehaviour::default()) as _),
    }));
    for listener in &listeners {
        if let Ok(address) = listener.address() {
            info!(service = listener.service().name(), %address, "listening");
        }
    }
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(server::control::serve(control, Context::running(shared.clone(), smtp_at), shutdown.clone()));
    tasks.spawn(reload_on_change(config, shared.clone(), outbound.clone()));
    tasks.spawn(care(shared.clone(), care_interval));
    let relaying = tokio::spawn(outbound.run());
    let listening = tokio::spawn(server::listen::serve(listeners, shared, handler(reception)));
    notify(&[NotifyState::Ready]);
    ready();
    let poisoned = tokio::select! {
        () = stop.wait() => None,
        why = store.poisoned() => Some(why),
    };
    notify(&[NotifyState::Stopping]);
    info!("stopping");
    switch.stop();
    let _ = listening.await;
    let _ = tokio::time::timeout(limits::CLOSE_TIMEOUT, relaying).await;
    while tasks.join_next().await.is_some() {}
    info!("stopped");
    match poisoned {
        None => Ok(()),
        Some(why) => {
            error!(%why, "the store has failed");
            Err(format!(
                "the store has failed, so nothing more can be accepted: {why}; see what the system's log says of the \
                 disk, then start again: what was acknowledged is kept"
            ))
        }
    }
}

/// Tells systemd, where there is one (NOTIFY_SOCKET).
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        warn!(%error, "systemd can't be told");
    }
}

fn bind(config: &Config) -> Result<Vec<Listener>, String> {
    let bind = |(service, address): (Service, SocketAddr)| {
        Listener::bind(service, address).map_err(|error| {
            let remedy = match error.kind() {
                std::io::ErrorKind::AddrInUse => "; another program listens there",
                std::io::ErrorKind::PermissionDenied => {
                    "; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE"
                }
                std::io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
                _ => "",
            };
            format!("{}: [listen] {} = \"{address}\": {error}{remedy}", config.file.display(), service.name())
        })
    };
    config.listen.all().into_iter().map(bind).collect()
}

/// Which pump serves which service.
fn handler(reception: Arc<Reception>) -> Handler {
    Arc::new(move |connection: Connection, service: Service, shared: Arc<Shared>| match service {
        Service::Smtp | Service::Submission | Service::Submissions => {
            Box::pin(reception.clone().serve(connection, service, shared))
        }
        Service::Pop3 | Service::Pop3s => Box::pin(server::pop3::serve(connection, service, shared)),
        Service::Imap | Service::Imaps => Box::pin(server::imap::serve(connection, service, shared)),
        Service::Http | Service::Https => Box::pin(server::http::serve(connection, shared)),
    })
}

/// Takes a new configuration and new certificates at SIGHUP, new certificates also when their files change. What is
/// wrong is told, and the old ones stay. Listeners, the data directory, DNS servers and logging are those of the start.
async fn reload_on_change(mut config: Config, shared: Arc<Shared>, outbound: Outbound) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    let mut seen = changed_at(&config.sites);
    loop {
        tokio::select! {
            () = shared.shutdown.wait() => return,
            _ = hangup.recv() => {
                begin_reload();
                match Config::load(&config.file) {
                    Ok(new) => {
                        warn_of_restart(&config, &new);
                        config = new;
                        take(&config, &shared, &outbound);
                    }
                    Err(error) => error!("not reloaded, the old configuration stays: {error}"),
                }
                notify(&[NotifyState::Ready]);
            }
            () = shared.clock.sleep(limits::CERTIFICATE_CHECK) => {
                if changed_at(&config.sites) == seen {
                    continue;
                }
                take(&config, &shared, &outbound);
            }
        }
        seen = changed_at(&config.sites);
    }
}

fn begin_reload() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

fn take(config: &Config, shared: &Shared, outbound: &Outbound) {
    match config.acceptor() {
        Ok(acceptor) => {
            shared.reload(config.settings.clone(), acceptor);
            outbound.reload();
            info!("configuration and certificates taken anew");
        }
        Err(error) => error!("not reloaded, the old certificates stay: {error}"),
    }
}

fn warn_of_restart(old: &Config, new: &Config) {
    if old.listen.all() != new.listen.all() || old.data_dir != new.data_dir || old.log != new.log {
        warn!("changes of [listen], [log] and data_dir count from the next start");
    }
}

/// When the files were changed last.
fn changed_at(sites: &[SiteFiles]) -> Vec<(PathBuf, Option<SystemTime>)> {
    let files = sites.iter().flat_map(|site| [&site.certificate, &site.key]);
    files.map(|file| (file.clone(), std::fs::metadata(file).and_then(|data| data.modified()).ok())).collect()
}

/// Forgets old journeys and gives space back, now and then.
async fn care(shared: Arc<Shared>, interval: Duration) {
    loop {
        tokio::select! {
            () = shared.shutdown.wait() => return,
            () = shared.clock.sleep(interval) => {}
        }
        let lifetime = i64::try_from(shared.settings().journey_lifetime.as_millis()).unwrap_or(i64::MAX);
        let before = mail::Timestamp::from_millis(shared.clock.now().millis().saturating_sub(lifetime));
        if let Err(error) = shared.store.forget_journeys(before).await {
            warn!(%error, "old journeys can't be forgotten");
        }
        match shared.store.reclaim().await {
            Ok(0) => {}
            Ok(octets) => info!(octets, "space given back"),
            Err(error) => warn!(%error, "space can't be given back"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{DumpableBehavior, dumpable_behavior};

    #[test]
    fn no_core_is_written_and_nobody_looks_on() {
        super::keep_memory_private();
        assert!(matches!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable)));
    }
}
