//! When certificates are asked for: at two thirds of the life of those before, after failures later each time, and when an
//! operator wants one. One at a time, beside the mail.

use std::sync::Arc;
use std::time::Duration;

use mail::{Domain, Timestamp, limits};
use mta::world::{Answer, Dns};
use tracing::{info, warn};

use super::keep::{Folder, Trouble};
use super::{AcmeSettings, Asked, due, order};
use crate::certificate::Certificate;
use crate::shared::Shared;

/// Names of a domain that people and servers look for, where its DNS says that they are there: RFC 8461 §3.3, and what
/// Thunderbird and Outlook ask.
const NAMES: [&str; 3] = ["mta-sts", "autoconfig", "autodiscover"];

/// Until the system stops.
pub async fn run(shared: Arc<Shared>, dns: Arc<dyn Dns>) {
    let Some(mut asks) = shared.acme.take_asks() else { return };
    loop {
        let settings = shared.settings();
        let next = match &settings.acme {
            Some(acme) => round(&shared, acme, &*dns).await,
            None => limits::ACME_LOOK,
        };
        tokio::select! {
            () = shared.shutdown.wait() => return,
            () = shared.clock.sleep(next) => {}
            () = shared.acme.changed.notified() => {}
            asked = asks.recv() => if let Some(asked) = asked { carry_out(&shared, asked, &*dns).await },
        }
    }
}

/// Renews what is due. Returns how long nothing else is.
async fn round(shared: &Arc<Shared>, acme: &AcmeSettings, dns: &dyn Dns) -> Duration {
    // The hostname does not wait for what DNS says of others.
    let first = round_of(shared, acme, certain(shared, acme)).await;
    let Named { names, whole } = further(shared, acme, dns).await;
    let next = first.min(round_of(shared, acme, names).await);
    if whole { next } else { next.min(limits::ACME_AGAIN) }
}

async fn round_of(shared: &Arc<Shared>, acme: &AcmeSettings, names: Vec<Domain>) -> Duration {
    let folder = Folder::at(&acme.folder);
    let mut next = limits::ACME_LOOK;
    for name in names {
        if shared.shutdown.is_on() {
            break;
        }
        let now = shared.clock.now();
        let due = when(&folder, &name);
        if due > now {
            next = look_again(next, due, now);
            continue;
        }
        // What failed is told, and kept for the operator. A certificate that is due as soon as it comes (our clock may be
        // wrong) is not asked for without a pause.
        let renewed = renew(shared, acme, &folder, &name).await.is_ok();
        let (due, now) = (when(&folder, &name), shared.clock.now());
        next = if renewed && due > now { look_again(next, due, now) } else { next.min(limits::ACME_AGAIN) };
    }
    next
}

/// How long it may be until the next look: not past `due`.
fn look_again(otherwise: Duration, due: Timestamp, now: Timestamp) -> Duration {
    otherwise.min(due.since(now))
}

/// When a name's certificate is to be renewed.
fn when(folder: &Folder, name: &Domain) -> Timestamp {
    let again = folder.troubles().get(name.as_str()).map(|trouble| Timestamp::from_millis(trouble.again));
    let due = Certificate::read(&folder.file(name)).as_ref().map_or(Timestamp::default(), due);
    again.map_or(due, |again| again.max(due))
}

async fn renew(shared: &Arc<Shared>, acme: &AcmeSettings, folder: &Folder, name: &Domain) -> Result<(), String> {
    let obtained = async {
        let account = order::account(acme, folder).await?;
        order::obtain(&account, acme, &shared.acme.answers, folder, name).await
    };
    let obtained = tokio::select! {
        obtained = obtained => obtained,
        () = shared.shutdown.wait() => return Err("the server is stopping".into()),
    };
    let mut troubles = folder.troubles();
    let before = troubles.remove(name.as_str());
    match &obtained {
        Ok(()) => {
            info!(%name, "a new certificate");
            shared.metrics.certificate_order("ok");
            shared.acme.renewed.notify_one();
        }
        Err(why) => {
            let trouble = Trouble::after(before.as_ref(), why.clone(), shared.clock.now());
            warn!(%name, why, failures = trouble.failures, "no new certificate; it is tried again");
            shared.metrics.certificate_order("failed");
            troubles.insert(name.to_string(), trouble);
        }
    }
    if let Err(error) = folder.keep_troubles(&troubles) {
        warn!(%error, folder = %acme.folder.display(), "what failed can't be kept");
    }
    obtained
}

async fn carry_out(shared: &Arc<Shared>, asked: Asked, dns: &dyn Dns) {
    let settings = shared.settings();
    let Asked { names: wanted, answer } = asked;
    let done = async {
        let off = "certificates do not come by ACME here: set agree_to_terms = true under [acme]";
        let acme = settings.acme.as_ref().ok_or(off)?;
        let folder = Folder::at(&acme.folder);
        let mut names = wanted;
        if names.is_empty() {
            names = certain(shared, acme);
            names.extend(further(shared, acme, dns).await.names);
        }
        let mut failures = Vec::new();
        for name in &names {
            if let Err(why) = renew(shared, acme, &folder, name).await {
                failures.push(format!("{name}: {why}"));
            }
        }
        if failures.is_empty() { Ok(names.iter().map(ToString::to_string).collect()) } else { Err(failures.join("\n")) }
    };
    // Who asked may be gone.
    let _ = answer.send(done.await);
}

/// The names that want certificates whatever DNS says.
fn certain(shared: &Shared, acme: &AcmeSettings) -> Vec<Domain> {
    if acme.names.is_empty() { vec![shared.settings().hostname.clone()] } else { acme.names.clone() }
}

/// Those that DNS decides on; none where the operator has named all.
async fn further(shared: &Shared, acme: &AcmeSettings, dns: &dyn Dns) -> Named {
    if !acme.names.is_empty() {
        return Named { names: Vec::new(), whole: true };
    }
    let domains = shared.store.domains().await.unwrap_or_default().into_iter().map(|record| record.domain);
    of_domains(domains, dns).await
}

/// What DNS has of the names looked for.
struct Named {
    names: Vec<Domain>,
    /// It answered for all.
    whole: bool,
}

/// Of each domain what DNS has an address of: without one, asking for a certificate would only be refused.
async fn of_domains(domains: impl Iterator<Item = Domain>, dns: &dyn Dns) -> Named {
    let (mut names, mut whole) = (Vec::new(), true);
    for domain in domains {
        for prefix in NAMES {
            let Ok(name) = Domain::from_ascii(&format!("{prefix}.{domain}")) else { continue };
            match tokio::join!(dns.ipv4(name.as_str()), dns.ipv6(name.as_str())) {
                (Answer::Found(..), _) | (_, Answer::Found(..)) => names.push(name),
                // Who has no DNS now need not wait for each name; the next look is soon.
                (Answer::Temporary(_), Answer::Temporary(_)) => return Named { names, whole: false },
                (Answer::Temporary(_), _) | (_, Answer::Temporary(_)) => whole = false,
                _ => {}
            }
            if names.len() >= limits::ACME_NAMES {
                return Named { names, whole };
            }
        }
    }
    Named { names, whole }
}

#[cfg(test)]
mod tests {
    use Duration;
    use std::net::{Ipv4Addr, Ipv6Addr};

    use async_trait::async_trait;
    use mta::world::Mx;

    use super::*;

    /// Has an IPv6 address for every name but those of Outlook; of silent.example it says nothing.
    struct Names;

    #[async_trait]
    impl Dns for Names {
        async fn mx(&self, _: &str) -> Answer<Mx> {
            Answer::NoDomain
        }

        async fn ipv4(&self, name: &str) -> Answer<Ipv4Addr> {
            if name.ends_with("silent.example") {
                return Answer::Temporary("no answer".into());
            }
            Answer::NoData
        }

        async fn ipv6(&self, name: &str) -> Answer<Ipv6Addr> {
            if name.ends_with("silent.example") {
                Answer::Temporary("no answer".into())
            } else if !name.starts_with("autodiscover.") {
                Answer::Found(vec![Ipv6Addr::LOCALHOST], mta::world::Belief::until(Duration::ZERO))
            } else {
                Answer::NoDomain
            }
        }

        async fn txt(&self, _: &str) -> Answer<Vec<u8>> {
            Answer::NoDomain
        }
    }

    fn name(text: &str) -> Domain {
        Domain::from_ascii(text).unwrap()
    }

    /// `ACME_NAMES`
    #[tokio::test]
    async fn names_that_dns_has_get_a_certificate() {
        let found = of_domains(std::iter::once(name("red.example")), &Names).await;
        assert!(found.whole);
        assert_eq!(found.names, ["mta-sts.red.example", "autoconfig.red.example"].map(name));
        // Two of each domain.
        for (domains, names) in [(49, limits::ACME_NAMES - 2), (50, limits::ACME_NAMES), (99, limits::ACME_NAMES)] {
            let many = (0..domains).map(|n| name(&format!("d{n}.example")));
            assert_eq!(of_domains(many, &Names).await.names.len(), names);
        }
    }

    #[tokio::test]
    async fn without_an_answer_the_names_are_not_whole() {
        let domains = ["silent.example", "red.example"].map(name);
        let found = of_domains(domains.into_iter(), &Names).await;
        assert!(!found.whole && found.names.is_empty());
    }

    #[test]
    fn what_failed_waits_and_what_is_not_there_is_due() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::at(place.path());
        assert_eq!(when(&folder, &name("mail.red.example")), Timestamp::default());
        let trouble = Trouble::after(None, "no".into(), Timestamp::from_secs(5));
        folder.keep_troubles(&[("mail.red.example".to_owned(), trouble)].into()).unwrap();
        assert_eq!(when(&folder, &name("mail.red.example")), Timestamp::from_secs(5).plus(limits::ACME_AGAIN));
    }

    /// `ACME_LOOK`
    #[test]
    fn it_is_looked_often_enough() {
        let at = Timestamp::from_secs;
        assert_eq!(look_again(limits::ACME_LOOK, at(10), at(3)), Duration::from_secs(7));
        assert_eq!(look_again(limits::ACME_LOOK, at(1_000_000), at(3)), limits::ACME_LOOK);
    }
}
