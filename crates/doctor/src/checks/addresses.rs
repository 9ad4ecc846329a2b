//! The host's name, its addresses, and the way back from them.

use std::net::IpAddr;

use super::{found, reverse, unknown};
use crate::facts::{Answers, Facts, Kind, Plan, Told};
use crate::{Finding, zone};

/// Addresses of the host: those that the plan has, else those of DNS.
pub(crate) fn ours(plan: &Plan, answers: &Answers) -> Vec<IpAddr> {
    if plan.addresses.is_empty() { answers.addresses(&plan.hostname) } else { plan.addresses.clone() }
}

pub(crate) fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![address(facts)];
    findings.extend(families(facts));
    findings.extend(ours(&facts.plan, &facts.answers).into_iter().map(|address| back(facts, address)));
    findings
}

/// The host has an address, and it is ours.
fn address(facts: &Facts) -> Finding {
    let host = &facts.plan.hostname;
    let (v4, v6) = (facts.answers.of(host, Kind::A), facts.answers.of(host, Kind::Aaaa));
    if let (Told::Unknown(why), _) | (_, Told::Unknown(why)) = (&v4, &v6) {
        return unknown("address", host, why);
    }
    let published = facts.answers.addresses(host);
    let lines = |addresses: &[IpAddr]| {
        let records: Vec<_> = addresses.iter().map(|address| zone::of_address(host, *address)).collect();
        zone::written(&records).trim_end().to_owned()
    };
    if published.is_empty() {
        let why = "nobody finds this server: no mail comes in";
        let fix = if facts.plan.addresses.is_empty() {
            format!("{host}. IN A …   (the address that others reach this server at)")
        } else {
            lines(&facts.plan.addresses)
        };
        return Finding::fail("address", host, "it has no address in DNS", why, fix);
    }
    let missing: Vec<IpAddr> = facts.plan.addresses.iter().copied().filter(|a| !published.contains(a)).collect();
    let foreign: Vec<String> = published
        .iter()
        .filter(|a| !facts.plan.addresses.is_empty() && !facts.plan.addresses.contains(a))
        .map(ToString::to_string)
        .collect();
    if !foreign.is_empty() {
        let says = format!("DNS has {}, which is none of this host's addresses", foreign.join(", "));
        let fix = format!("remove that record, so that these stay:\n{}", lines(&facts.plan.addresses));
        return Finding::fail("address", host, says, "mail that is sent there does not come here", fix);
    }
    if !missing.is_empty() {
        let says = "DNS does not have all addresses of this host";
        let why = "mail from an address that has no name is refused by many";
        return Finding::warn("address", host, says, why, lines(&missing));
    }
    let shown: Vec<String> = published.iter().map(ToString::to_string).collect();
    Finding::pass("address", host, format!("it is at {}", shown.join(", ")))
}

/// Each family that DNS tells of is listened on.
fn families(facts: &Facts) -> Vec<Finding> {
    let host = &facts.plan.hostname;
    let smtp: Vec<_> = facts.listeners.iter().filter(|listener| listener.service == "smtp").collect();
    if smtp.is_empty() {
        let why = "no mail comes in from other servers";
        return vec![Finding::fail("families", host, "nothing listens for mail", why, "[listen] smtp = [\"[::]:25\"]")];
    }
    let mut findings = Vec::new();
    for (kind, family, any) in [(Kind::A, "IPv4", "0.0.0.0"), (Kind::Aaaa, "IPv6", "[::]")] {
        let Ok(records) = found(facts, "families", host, host, kind) else { continue };
        if records.is_empty() {
            continue;
        }
        // `[::]` is both.
        let heard = smtp.iter().any(|listener| {
            let ip = listener.address.ip();
            ip.is_ipv4() == (kind == Kind::A) || (ip.is_ipv6() && ip.is_unspecified())
        });
        findings.push(if heard {
            Finding::pass("families", host, format!("{family} is published and listened on"))
        } else {
            let says = format!("DNS has an {} record, but no smtp listener is on {family}", kind.name());
            let why = "who tries that address first waits, or gives up";
            Finding::fail("families", host, says, why, format!("[listen] smtp = [\"{any}:25\"], or remove the record"))
        });
    }
    findings
}

/// RFC 1912 §2.1: the way back from the address leads to a name, and that name to the address.
fn back(facts: &Facts, address: IpAddr) -> Finding {
    let (of, host) = (address.to_string(), &facts.plan.hostname);
    let names = match found(facts, "reverse", &of, &reverse(address), Kind::Ptr) {
        Ok(names) => names,
        Err(unknown) => return unknown,
    };
    let why = "many servers refuse mail from an address without a name of its own (Gmail always does for IPv6)";
    let fix =
        format!("{}. IN PTR {host}.   (at whoever gave you the address; often in its control panel)", reverse(address));
    if names.is_empty() {
        return Finding::fail("reverse", &of, "it has no name in DNS (PTR)", why, fix);
    }
    if !names.iter().any(|name| facts.answers.addresses(name).contains(&address)) {
        let says = format!("its name {} does not lead back to it", names.join(", "));
        return Finding::fail("reverse", &of, says, why, fix);
    }
    // Loopback is called what the machine calls it.
    if !names.iter().any(|name| name == host) && !address.is_loopback() {
        let says = format!("its name is {}, and this server calls itself {host}", names.join(", "));
        return Finding::warn("reverse", &of, says, "some filters trust less what calls itself by another name", fix);
    }
    Finding::pass("reverse", &of, format!("its name is {}, which leads back to it", names.join(", ")))
}
