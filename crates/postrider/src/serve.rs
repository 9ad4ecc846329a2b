//! One whole mail system in this process: `serve` runs one, `local` two.
//!
//! Does: bind, open the store, wire pumps to services, care for the store now and then, stop in order. Does not:
//! read the command line, set up logging, or reload (`reload` does).

use std::sync::Arc;
use std::time::Duration;

use mail::limits;
use mta::accept::inspect::{Filter, Inspectors};
use mta::policy::Door;
use mta::script::Scripts;
use server::control::{Context, ControlSocket};
use server::junk::ByWords;
use server::listen::{Doors, Handler, Listener, Service};
use server::lmtp::LmtpSocket;
use server::outbound::Outbound;
use server::signing::Sign;
use server::smtp::{Extras, Reception};
use server::tls::Acceptor;
use server::{Connection, Shared, Shutdown, SystemClock};
use store::Store;
use store_local::LocalStore;
use tracing::{error, info, warn};

use crate::cli::ask::explain;
use crate::config::Config;
use crate::reload::Reload;
use crate::sizes::Sizes;
use crate::systemd::{self, State};

/// Runs a mail system until the sign to stop; ends within 10 s of it. `ready` is called once all listeners are bound.
/// The error is a sentence: why it did not start, or why it had to stop.
pub(crate) async fn run(config: Config, ready: impl FnOnce(), stop: Shutdown) -> Result<(), String> {
    keep_memory_private();
    config.stand_in().map_err(|error| format!("{}: [acme]: {error}", config.file.display()))?;
    let acceptor = config.acceptor().map_err(|error| format!("{}: [tls]: {error}", config.file.display()))?;
    let Sizes { options, care } = Sizes::from_environment()?;
    // First what most often fails, before anything is opened.
    let listeners = Doors::bind(&config.listen.all()).map_err(|error| format!("{}: {error}", config.file.display()))?;
    let store = LocalStore::open(&config.data_dir, options).map_err(|error| explain(&error).0)?;
    let result = run_on(store.clone(), config, care, acceptor, listeners, ready, stop).await;
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
    listeners: Vec<Listener>,
    ready: impl FnOnce(),
    stop: Shutdown,
) -> Result<(), String> {
    let mut sockets = Vec::new();
    for path in config.listen.lmtp.iter().map(|socket| config.data_dir.join(&socket.0)) {
        let why =
            |error| format!("{}: [listen] lmtp: {} can't be made: {error}", config.file.display(), path.display());
        sockets.push(LmtpSocket::bind(&path).map_err(why)?);
    }
    let control = ControlSocket::bind(&config.data_dir)
        .map_err(|error| format!("the control socket in {} can't be made: {error}", config.data_dir.display()))?;
    let clock = Arc::new(SystemClock);
    // Stopped by the caller's sign, or by our own when the store fails.
    let (switch, shutdown) = Shutdown::new();
    let shared = Arc::new(Shared::new(store.clone(), clock, config.settings.clone(), acceptor, shutdown.clone()));
    let outbound = Outbound::new(shared.clone())?;
    server::webpush::begin(&shared, outbound.world()).await?;
    let (dns, rules) = (outbound.world().dns.clone(), config.settings.policy.rules.clone());
    let door = Door::new(shared.clock.clone(), Some(dns), rules);
    door.recall(&*store).await.map_err(|error| error.to_string())?;
    let reception = Arc::new(Reception::new(Extras {
        random: outbound.world().random.clone(),
        door: Some(door.clone()),
        verify: Some(outbound.verifier.clone()),
        reporter: Some({
            let relay = outbound.relay.clone();
            Arc::new(move || relay.reporter())
        }),
        inspectors: {
            // What a script is asked about includes what the words have said.
            let (words, sign): (Arc<dyn Filter>, _) =
                (Arc::new(ByWords(store.clone())), Arc::new(Sign::new(store.clone())));
            let (dns, store) = (outbound.world().dns.clone(), store.clone());
            Box::new(move |settings| {
                let scripts = Scripts::new(store.clone(), settings.sieve.clone());
                let filters = vec![words.clone(), Arc::new(scripts) as Arc<dyn Filter>];
                Inspectors::new(server::smtp::inspectors(settings, &dns, &sign), filters)
            })
        },
        misbehave: config.settings.local.misbehave.then(|| Arc::new(smallnet::misbehave::Misbehaviour::default()) as _),
    }));
    reception.receive_from_jmap(&shared);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(server::control::serve(
        control,
        Context::running(shared.clone(), outbound.relay.clone()),
        shutdown.clone(),
    ));
    tasks.spawn(server::acme::run(shared.clone(), outbound.world().dns.clone()));
    tasks.spawn(care(shared.clone(), door.clone(), care_interval));
    tasks.spawn(server::imap::make_digests(shared.clone()));
    tasks.spawn(server::junk::learn(shared.clone()));
    for socket in sockets {
        tasks.spawn(server::lmtp::serve(socket, reception.clone(), shared.clone()));
    }
    tasks.spawn(server::audit::write(shared.clone()));
    let relaying = tokio::spawn(outbound.clone().run());
    let doors = Doors::open(listeners, shared.clone(), handler(reception));
    let listening = tokio::spawn(Reload::new(config, shared, outbound, door, doors).run());
    systemd::tell(State::Ready);
    ready();
    let poisoned = tokio::select! {
        () = stop.wait() => None,
        why = store.poisoned() => Some(why),
    };
    systemd::tell(State::Stopping);
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

/// Which pump serves which service.
fn handler(reception: Arc<Reception>) -> Handler {
    Arc::new(move |connection: Connection, service: Service, shared: Arc<Shared>| match service {
        Service::Smtp | Service::Submission | Service::Submissions | Service::Lmtp => {
            Box::pin(reception.clone().serve(connection, service, shared))
        }
        Service::Pop3 | Service::Pop3s => Box::pin(server::pop3::serve(connection, service, shared)),
        Service::Imap | Service::Imaps => Box::pin(server::imap::serve(connection, service, shared)),
        Service::Sieve => Box::pin(server::managesieve::serve(connection, service, shared)),
        Service::Http | Service::Https => Box::pin(server::http::serve(connection, shared)),
    })
}

/// Forgets old journeys and gives space back, now and then.
async fn care(shared: Arc<Shared>, door: Arc<Door>, interval: Duration) {
    loop {
        let stopped = tokio::select! {
            () = shared.shutdown.wait() => true,
            () = shared.clock.sleep(interval) => false,
        };
        if let Err(error) = door.remember(&*shared.store).await {
            warn!(%error, "what was counted of strangers and accounts can't be kept");
        }
        if stopped {
            return;
        }
        let lifetime = i64::try_from(shared.settings().journey_lifetime.as_millis()).unwrap_or(i64::MAX);
        let before = mail::Timestamp::from_millis(shared.clock.now().millis().saturating_sub(lifetime));
        if let Err(error) = shared.store.forget_journeys(before).await {
            warn!(%error, "old journeys can't be forgotten");
        }
        if let Err(error) = shared.store.forget_tokens(shared.clock.now()).await {
            warn!(%error, "sessions that are over can't be forgotten");
        }
        let kept = i64::try_from(mail::limits::SUBMISSION_KEPT.as_millis()).unwrap_or(i64::MAX);
        let before = mail::Timestamp::from_millis(shared.clock.now().millis().saturating_sub(kept));
        if let Err(error) = shared.store.forget_submissions(before).await {
            warn!(%error, "what was sent long ago can't be forgotten");
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
