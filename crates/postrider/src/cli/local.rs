//! `postrider local`: a small internet on this machine.
//!
//! Does: makes the directory, starts DNS and two whole mail systems in this process, each from its own ordinary
//! configuration file, and tells people what they can do. Does not: give the systems anything but what two
//! `postrider serve` would have: they share loopback and the DNS server. Ends on SIGINT and SIGTERM.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use mail::{Address, Domain};
use mta::world::Clock as _;
use server::settings::LocalPage;
use server::{Shutdown, SystemClock};
use smallnet::dns::DnsServer;
use smallnet::guide::{Guide, shell};
use smallnet::home::Home;
use smallnet::misbehave;
use smallnet::plan::{PEOPLE, PORT_BASE, Plan, System};
use smallnet::together;
use store::{Alias, NewAccount, Store, StoreError};
use store_local::{LocalStore, Options};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Failure, Outcome, ask, print};
use crate::config::Config;
use crate::log;

/// A small internet on this machine: two mail systems, their DNS and a CA; offline, without root.
#[derive(Args, Debug)]
pub(crate) struct Local {
    /// Where all lives; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "./postrider-local")]
    dir: PathBuf,
    /// Ports are this and up: red's SMTP is 25 above it, blue's 1025.
    #[arg(long, value_name = "N", default_value_t = PORT_BASE)]
    port_base: u16,
    /// Forget all mail and accounts first (the CA stays, so that clients go on to trust it).
    #[arg(long = "reset")]
    start_over: bool,
    /// Take mail for every address and domain, so that nothing ever leaves the machine.
    #[arg(long)]
    catch_all: bool,
}

impl Local {
    pub(super) async fn run(self) -> Outcome {
        let words = |error: &dyn std::fmt::Display| Failure(error.to_string());
        let plan = Plan::new(&self.dir, self.port_base).map_err(|error| words(&error))?;
        let home = Home::open(&plan, self.start_over, self.catch_all).map_err(|error| words(&error))?;
        let [red, blue] = &home.fingerprints;
        let mut zones = plan.zones([red, blue]);
        for system in plan.systems {
            // Known to all before the first message is signed.
            for (name, record) in people(&plan, system).await? {
                zones = zones.txt(&name, &record);
            }
        }
        let dns = DnsServer::start(plan.dns(), zones)
            .await
            .map_err(|error| Failure(format!("the DNS server can't listen on {}: {error}", plan.dns())))?;
        let program = program();
        let guide = Guide { plan: &plan, program: &program, catch_all: self.catch_all };
        let mut configurations = Vec::new();
        for system in plan.systems {
            let mut config = Config::load(&plan.config_file(system))?;
            let pages = together::pages(&guide, system).into_iter();
            let served =
                |page: together::Page| LocalPage { kind: page.kind, content: page.content, policy: page.policy };
            config.settings.http.local = pages.map(|page| (page.name, served(page))).collect();
            config.settings.local.framed_by = Some(format!("http://{}", plan.systems[0].http()));
            config.settings.local.visitor = named(system, system.resident).ok();
            configurations.push(config);
        }
        if let Some(config) = configurations.first_mut() {
            // What listens where is told in a better way.
            config.log.level.0 = "info,postrider::serve=warn,server::listen=warn";
            log::start(&config.log);
        }
        let ended = run_all(configurations, &guide.banner()).await;
        dns.stop().await;
        ended
    }
}

/// Runs the systems until a signal, or until one of them fails: then all stop.
async fn run_all(configurations: Vec<Config>, banner: &str) -> Outcome {
    let (switch, stop) = Shutdown::new();
    let signals = |kind| signal(kind).map_err(|error| Failure(format!("no signals can be heard: {error}")));
    let (mut terminate, mut interrupt) = (signals(SignalKind::terminate())?, signals(SignalKind::interrupt())?);
    let (up, mut ups) = mpsc::unbounded_channel();
    let mut missing = configurations.len();
    let mut systems = JoinSet::new();
    for config in configurations {
        let up = up.clone();
        let ready = move || {
            // Who no longer listens is stopping already.
            let _ = up.send(());
        };
        systems.spawn(crate::serve::run(config, ready, stop.clone()));
    }
    let mut outcome = Ok(());
    loop {
        tokio::select! {
            Some(()) = ups.recv() => {
                missing -= 1;
                if missing == 0 {
                    print(banner);
                }
            }
            _ = terminate.recv() => switch.stop(),
            _ = interrupt.recv() => switch.stop(),
            ended = systems.join_next() => match ended {
                None => return outcome,
                Some(ended) => {
                    switch.stop();
                    let ended = ended.unwrap_or_else(|error| Err(format!("a system ended by a fault: {error}")));
                    outcome = outcome.and(ended.map_err(Failure));
                }
            },
        }
    }
}

/// Makes what a system needs before it starts: its domain, its people, and addresses that lead to them. What is
/// there already stays as it is. Returns the names and records of the keys with which it signs.
async fn people(plan: &Plan, system: System) -> Result<Vec<(String, String)>, Failure> {
    let data = plan.folder(system).join("data");
    let failed = |error: &dyn std::fmt::Display| Failure(format!("{}: {error}", data.display()));
    // For its owner alone, as `init` makes it.
    DirBuilder::new().recursive(true).mode(0o700).create(&data).map_err(|error| failed(&error))?;
    let store = LocalStore::open(&data, Options::default()).map_err(|error| ask::explain(&error))?;
    let filled = fill(&*store, system).await.map_err(|error| failed(&error));
    store.close().await;
    filled
}

fn named(system: System, local: &str) -> Result<Address, String> {
    let domain = Domain::from_ascii(system.domain).map_err(|error| error.to_string())?;
    Address::new(local, domain).map_err(|error| error.to_string())
}

async fn fill(store: &impl Store, system: System) -> Result<Vec<(String, String)>, StoreError> {
    let named = |local: &str| named(system, local).map_err(StoreError::Failed);
    let resident = named(system.resident)?;
    if store.domain(resident.domain()).await?.is_none() {
        let _durable = store.add_domain(resident.domain()).await?;
    }
    for person in PEOPLE {
        let address = named(person)?;
        if store.entry(&address).await?.is_none() {
            let password = server::auth::hash::hash_now(person.as_bytes()).map_err(StoreError::Failed)?;
            let account = NewAccount { address, password, scram: None, quota: None };
            let _durable = store.add_account(account, SystemClock.now()).await?;
        }
    }
    // RFC 2142 §1, and the misbehaving recipients, so that what they take reaches somebody.
    for local in ["postmaster", "abuse"].into_iter().chain(misbehave::TAKING) {
        let address = named(local)?;
        if store.entry(&address).await?.is_none() {
            let _durable = store.set_alias(Alias { address, targets: vec![resident.clone()] }).await?;
        }
    }
    if store.signing_keys(resident.domain()).await?.is_empty() {
        let now = SystemClock.now();
        let keys = server::signing::new_keys(&[], now).map_err(StoreError::Failed)?;
        let _durable = store.change_signing_keys(resident.domain().clone(), keys, now).await?;
    }
    Ok(server::signing::records(&store.signing_keys(resident.domain()).await?))
}

/// How to call this program from a shell: by its name where that finds it, else by its path, relative
/// where it is below the current directory.
fn program() -> String {
    let Ok(this) = std::env::current_exe() else { return "postrider".to_owned() };
    let same = |path: &Path| path.canonicalize().ok() == this.canonicalize().ok();
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| same(&folder.join("postrider"))) {
        return "postrider".to_owned();
    }
    let here = std::env::current_dir().unwrap_or_default();
    match this.strip_prefix(&here) {
        Ok(below) => shell(&Path::new(".").join(below)),
        Err(_) => shell(&this),
    }
}
