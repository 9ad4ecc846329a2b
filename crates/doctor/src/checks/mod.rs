//! The checks: a file for what belongs together, a function for each finding.

mod addresses;
mod clients;
mod listeners;
mod machine;
mod mail;
mod network;

use std::net::IpAddr;

use crate::facts::{Answers, Facts, Kind, Plan, Told};
use crate::{Finding, zone};

/// What DNS must be asked, after what it said so far; nothing: all is known.
pub fn questions(plan: &Plan, answers: &Answers) -> Vec<(String, Kind)> {
    let mut wanted: Vec<(String, Kind)> =
        zone::wanted(plan).into_iter().map(|record| (record.name, record.kind)).collect();
    wanted.extend([(plan.hostname.clone(), Kind::A), (plan.hostname.clone(), Kind::Aaaa)]);
    wanted.push((format!("_25._tcp.{}", plan.hostname), Kind::Tlsa));
    for domain in &plan.domains {
        // What is an alias in the zone that we propose may have addresses of its own.
        wanted.extend(["autoconfig", "autodiscover"].map(|prefix| (format!("{prefix}.{domain}"), Kind::A)));
        wanted.extend(["autoconfig", "autodiscover"].map(|prefix| (format!("{prefix}.{domain}"), Kind::Aaaa)));
        for exchange in mail::exchanges(answers, domain) {
            wanted.extend([Kind::A, Kind::Aaaa, Kind::Cname].map(|kind| (exchange.clone(), kind)));
        }
    }
    for address in addresses::ours(plan, answers) {
        let reverse = reverse(address);
        for name in answers.known(&reverse, Kind::Ptr) {
            wanted.extend([(name.clone(), Kind::A), (name.clone(), Kind::Aaaa)]);
        }
        wanted.push((reverse, Kind::Ptr));
    }
    wanted.sort();
    wanted.dedup();
    wanted.retain(|question| !answers.0.contains_key(question));
    wanted
}

/// Judges everything.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = addresses::check(facts);
    for domain in &facts.plan.domains {
        findings.extend(mail::check(facts, domain));
        findings.extend(clients::check(facts, domain));
    }
    findings.extend(listeners::check(facts));
    findings.extend(network::check(facts));
    findings.extend(machine::check(facts));
    findings
}

/// RFC 1035 §3.5, RFC 3596 §2.5
pub(crate) fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let digits = format!("{:032x}", address.to_bits());
            let labels: Vec<String> = digits.chars().rev().map(String::from).collect();
            format!("{}.ip6.arpa", labels.join("."))
        }
    }
}

/// What is said where DNS does not answer: nothing is broken as far as we know.
fn unknown(name: &'static str, of: &str, why: &str) -> Finding {
    let fix = "see that [dns] servers, or /etc/resolv.conf, name servers that answer; then look again";
    Finding::not_checked(name, of, format!("DNS does not tell: {why}"), fix)
}

/// The records of a name, or the finding that nobody knows.
fn found<'a>(facts: &'a Facts, check: &'static str, of: &str, name: &str, kind: Kind) -> Result<&'a [String], Finding> {
    match facts.answers.of(name, kind) {
        Told::Known(records) => Ok(records),
        Told::Unknown(why) => Err(unknown(check, of, &why)),
    }
}

#[cfg(test)]
pub(crate) mod tests;
