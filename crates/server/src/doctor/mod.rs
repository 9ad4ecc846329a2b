//! What the doctor has to know: gathered from DNS, our own listeners, the machine, and who is outside.
//!
//! Does: ask, look and measure, all of it bounded in time ([`examine`]), in the process whose limits and listeners are meant.
//! Does not: judge: the crate `doctor` does, from values. Nothing is changed; on the disk some KiB are written and removed.

mod dns;
mod listeners;
mod machine;
mod outside;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use ::doctor::{Facts, Finding, Plan, Told};
use mail::{Domain, Timestamp, limits};
use store::Store;
use store::journey::What;

use crate::dns::Resolver;
use crate::listen::Service;
use crate::settings::Settings;

/// What an operator may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoctorSettings {
    /// Where others reach this host; none: addresses of this machine that all can reach.
    pub addresses: Vec<IpAddr>,
    /// A domain whose mail server is connected to, to see whether mail can leave; none: nobody's.
    pub reach: Option<Domain>,
    /// Who looks at us from outside.
    pub probe: Option<String>,
    /// PEM: who vouches for our certificates and the probe's, besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The folder of the store.
    pub folder: PathBuf,
}

impl Default for DoctorSettings {
    fn default() -> Self {
        Self { addresses: Vec::new(), reach: None, probe: None, ca_file: None, folder: ".".into() }
    }
}

/// What this system is meant to be. `domains`: these; none: all. `key`: SHA-256 of the public key that port 25 shows.
pub async fn plan(
    store: &dyn Store,
    settings: &Settings,
    domains: &[Domain],
    key: Option<[u8; 32]>,
) -> Result<Plan, String> {
    let mut domains: Vec<String> = domains.iter().map(ToString::to_string).collect();
    if domains.is_empty() {
        let all = store.domains().await.map_err(|error| error.to_string())?;
        domains = all.into_iter().map(|record| record.domain.to_string()).collect();
    }
    let mut dkim = Vec::new();
    for domain in domains.iter().filter_map(|name| Domain::from_ascii(name).ok()) {
        let keys = store.signing_keys(&domain).await.map_err(|error| error.to_string())?;
        dkim.extend(crate::control::key_records(&keys));
    }
    let mut addresses = settings.doctor.addresses.clone();
    if addresses.is_empty() {
        addresses = own_addresses();
    }
    let mut ports = BTreeMap::new();
    for (service, address) in &settings.listening {
        if !matches!(service, Service::Smtp | Service::Http) {
            ports.entry(service.name().to_owned()).or_insert(address.port());
        }
    }
    Ok(Plan { hostname: settings.hostname.to_string(), addresses, domains, ports, public_key_sha256: key, dkim })
}

/// Looks at everything and judges it.
pub async fn examine(
    store: &dyn Store,
    settings: &Settings,
    plan: Plan,
    now: Timestamp,
) -> Result<Vec<Finding>, String> {
    let resolver = Resolver::new(&settings.relay.dns)?;
    let looked = async {
        tokio::join!(
            dns::answers(&resolver, &plan),
            dns::validates(&settings.relay.dns.servers),
            listeners::look(settings),
            machine::look(&settings.doctor.folder, settings.limits.connections),
            outside::outward(&resolver, settings),
            outside::probed(settings),
            clients(store),
        )
    };
    let (answers, validates, listeners, machine, outward, probed, clients) = looked.await;
    let facts = Facts { now: now.secs(), plan, answers, validates, listeners, machine, outward, probed, clients };
    Ok(::doctor::examine(&facts))
}

/// Addresses of this machine that all can reach: those that it would send from.
fn own_addresses() -> Vec<IpAddr> {
    let from = |here: &str, there: &str| {
        let socket = UdpSocket::bind(here).ok()?;
        // Nothing is sent: the system only says which address it would take.
        socket.connect(there).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let both = [from("0.0.0.0:0", "192.0.2.1:9"), from("[::]:0", "[2001:db8::1]:9")];
    both.into_iter().flatten().filter(|ip| crate::http::outside::is_public(*ip)).collect()
}

/// From where clients came that were refused of late: all come that way that are worth nothing, and many that are.
async fn clients(store: &dyn Store) -> BTreeMap<IpAddr, u64> {
    let mut clients = BTreeMap::new();
    for event in store.refusals(limits::REFUSALS).await.unwrap_or_default() {
        if let What::Refused { from, .. } = event.what
            && let Ok(ip) = from.parse()
        {
            *clients.entry(ip).or_default() += 1;
        }
    }
    clients
}

/// Something with an end in time.
async fn in_time<T>(what: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    match tokio::time::timeout(limits::DOCTOR_WAIT, what).await {
        Ok(done) => done,
        Err(_) => Err("no answer in time".into()),
    }
}

fn told<T>(result: Result<T, String>) -> Told<T> {
    result.map_or_else(Told::Unknown, Told::Known)
}

/// Where a listener can be reached from here.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        // `[::]` hears both families, and IPv4 is there on every machine.
        ip if ip.is_unspecified() => SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), address.port()),
        _ => address,
    }
}

/// A folder as people write it.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `DOCTOR_WAIT`
    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_longer() {
        let since = tokio::time::Instant::now();
        let never = in_time(std::future::pending::<Result<(), String>>()).await;
        assert_eq!((never, since.elapsed()), (Err("no answer in time".into()), limits::DOCTOR_WAIT));
    }
}
