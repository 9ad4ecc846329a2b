//! The ways in and out, as others see them.

use std::net::IpAddr;

use crate::Finding;
use crate::facts::{Facts, Probed, Told};

/// So many clients are enough to wonder that all come from one address.
const CLIENTS: u64 = 20;
/// Clocks may differ by so many seconds; from some minutes on, signatures and one-time codes fail.
const CLOCK: i64 = 60;

pub(crate) fn check(facts: &Facts) -> Vec<Finding> {
    let host = facts.plan.hostname.as_str();
    vec![outward(facts, host), resolver(facts, host), inward(facts, host), clock(facts, host), clients(facts, host)]
}

fn outward(facts: &Facts, host: &str) -> Finding {
    match &facts.outward {
        None => {
            let fix = "[doctor] reach = \"gmail.com\"   (a domain whose server you may connect to)";
            Finding::not_checked("outward", host, "nobody was connected to on port 25", fix)
        }
        Some((whom, Ok(()))) => Finding::pass("outward", host, format!("the server of {whom} can be reached")),
        Some((whom, Err(error))) => {
            let why = "providers often block port 25 outward: then no mail leaves but through a smart host";
            let fix = "ask your provider to open port 25 outward, or set a [[route]] with domain = \"*\" (docs/configuration.md)";
            Finding::fail("outward", host, format!("the server of {whom} can't be reached: {error}"), why, fix)
        }
    }
}

fn resolver(facts: &Facts, host: &str) -> Finding {
    match &facts.validates {
        Told::Known(true) => Finding::pass("resolver", host, "the DNS server checks signatures (DNSSEC)"),
        Told::Known(false) => {
            let why = "answers can be forged on the way, and DANE is not possible for what you send";
            let fix = "apt-get install unbound, then [dns] servers = [\"127.0.0.1:53\"]";
            Finding::warn("resolver", host, "the DNS server does not check signatures (DNSSEC)", why, fix)
        }
        Told::Unknown(why) => {
            Finding::not_checked("resolver", host, format!("whether the DNS server checks signatures: {why}"), "")
        }
    }
}

const ASK: &str = "[doctor] probe = \"https://…\"   (docs/doctor.md says what it must answer)";

fn inward(facts: &Facts, host: &str) -> Finding {
    let probed = match &facts.probed {
        None => {
            return Finding::not_checked("inward", host, "whether others can connect: nobody outside was asked", ASK);
        }
        Some(Told::Unknown(why)) => return Finding::not_checked("inward", host, format!("nobody outside: {why}"), ASK),
        Some(Told::Known(probed)) => probed,
    };
    if !probed.closed.is_empty() {
        let ports: Vec<String> = probed.closed.iter().map(ToString::to_string).collect();
        let says = format!("from outside these ports can't be reached: {}", ports.join(", "));
        let why = if probed.closed.contains(&25) { "no mail comes in" } else { "mail clients can't connect" };
        let fix = "open them in the firewall of this host (\"nft list ruleset\", \"ufw status\") and of your provider";
        return Finding::fail("inward", host, says, why, fix);
    }
    Finding::pass("inward", host, format!("{} ports can be reached from outside", probed.open.len()))
}

fn clock(facts: &Facts, host: &str) -> Finding {
    let Some(Told::Known(Probed { now: Some(there), .. })) = &facts.probed else {
        let fix = "timedatectl   (says “System clock synchronized: yes”)";
        return Finding::not_checked("clock", host, "whether the clock is right: nobody outside was asked", fix);
    };
    let off = facts.now - there;
    if off.abs() > CLOCK {
        let why = "certificates, signatures and one-time codes fail, and mail is dated wrong";
        let says = format!("the clock is {} seconds {}", off.abs(), if off > 0 { "fast" } else { "slow" });
        return Finding::fail("clock", host, says, why, "timedatectl set-ntp true");
    }
    Finding::pass("clock", host, "the clock is right")
}

/// A NAT or a proxy in front makes all clients look alike.
fn clients(facts: &Facts, host: &str) -> Finding {
    let all: u64 = facts.clients.values().sum();
    if all < CLIENTS {
        return Finding::not_checked(
            "clients",
            host,
            "too little mail has come to tell whether clients look alike",
            "",
        );
    }
    let mut most: Vec<(&IpAddr, &u64)> = facts.clients.iter().collect();
    most.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    match most.first() {
        Some((address, count)) if **count * 10 > all * 9 && !address.is_loopback() && is_inside(**address) => {
            let says = format!("{count} of the last {all} clients came from {address}, an address of your own network");
            let why = "a NAT or a proxy hides who they are: limits per address hit all of them together, and no sender can be judged";
            let fix = "let the router pass ports on without changing the source address, or give this host an address of its own";
            Finding::warn("clients", host, says, why, fix)
        }
        _ => Finding::pass("clients", host, format!("{all} clients came from {} addresses", facts.clients.len())),
    }
}

/// RFC 1918, RFC 6598, RFC 4193.
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || (ip.octets()[0] == 100 && ip.octets()[1] >> 6 == 1),
        IpAddr::V6(ip) => ip.segments()[0] & 0xfe00 == 0xfc00 || ip.segments()[0] & 0xffc0 == 0xfe80,
    }
}
