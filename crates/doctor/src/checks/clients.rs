//! What mail clients look up to find out how to reach the server (RFC 6186, RFC 8314, Thunderbird's and Outlook's ways).

use super::found;
use crate::facts::{Facts, Kind};
use crate::{Finding, zone};

pub(crate) fn check(facts: &Facts, domain: &str) -> Vec<Finding> {
    let mut findings = vec![services(facts, domain)];
    if facts.plan.ports.contains_key("https") {
        findings.extend(["autoconfig", "autodiscover"].map(|prefix| pointer(facts, domain, prefix)));
    }
    findings
}

/// All SRV records together: they are set together.
fn services(facts: &Facts, domain: &str) -> Finding {
    let (mut missing, mut wrong) = (Vec::new(), Vec::new());
    let records = zone::wanted(&facts.plan).into_iter();
    for record in records.filter(|record| record.kind == Kind::Srv && record.name.ends_with(&format!("._tcp.{domain}")))
    {
        let there = match found(facts, "services", domain, &record.name, Kind::Srv) {
            Ok(there) => there,
            Err(unknown) => return unknown,
        };
        // Port and host matter; the order among several is whoever's.
        let end = |srv: &str| srv.splitn(3, ' ').nth(2).map(|end| end.trim_end_matches('.').to_owned());
        let off = record.value.ends_with(" .");
        match there {
            [] if off => {}
            [] => missing.push(record.line()),
            there if there.iter().any(|srv| end(srv) == end(&record.value)) => {}
            _ => wrong.push(record.line()),
        }
    }
    let why = "mail clients ask their user for host and port, or find the wrong ones";
    if !wrong.is_empty() {
        let says = "SRV records lead elsewhere than to what listens here";
        return Finding::fail("services", domain, says, why, wrong.join("\n"));
    }
    if !missing.is_empty() {
        return Finding::warn("services", domain, "SRV records are missing", why, missing.join("\n"));
    }
    Finding::pass("services", domain, "SRV records tell mail clients where to go")
}

fn pointer(facts: &Facts, domain: &str, prefix: &'static str) -> Finding {
    let (name, host) = (format!("{prefix}.{domain}"), &facts.plan.hostname);
    let (check, whose) =
        if prefix == "autoconfig" { ("autoconfig", "Thunderbird") } else { ("autodiscover", "Outlook") };
    if let Err(unknown) = found(facts, check, domain, &name, Kind::A) {
        return unknown;
    }
    let (there, ours) = (facts.answers.addresses(&name), facts.answers.addresses(host));
    let fix = format!("{name}. IN CNAME {host}.");
    let why = format!("{whose} does not find its settings by itself");
    if there.is_empty() {
        return Finding::warn(check, domain, format!("{name} is not in DNS"), &why, fix);
    }
    if !there.iter().any(|address| ours.contains(address)) {
        return Finding::warn(check, domain, format!("{name} leads elsewhere"), &why, fix);
    }
    Finding::pass(check, domain, format!("{whose} finds its settings at {name}"))
}
