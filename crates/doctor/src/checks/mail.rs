//! What other servers look up before they send to a domain, or believe what comes from it.

use super::{found, unknown};
use crate::Finding;
use crate::facts::{Answers, Facts, Kind, Told};
use crate::zone::{self, Record};

/// Hosts that a domain's MX records name.
pub(crate) fn exchanges(answers: &Answers, domain: &str) -> Vec<String> {
    let records = answers.known(domain, Kind::Mx).iter();
    records.filter_map(|mx| mx.split_once(' ').map(|(_, host)| host.to_owned())).collect()
}

pub(crate) fn check(facts: &Facts, domain: &str) -> Vec<Finding> {
    let mut findings = vec![mx(facts, domain), spf(facts, domain), dmarc(facts, domain), tls_reports(facts, domain)];
    findings.extend(dkim(facts, domain));
    findings
}

/// RFC 5321 §5.1
fn mx(facts: &Facts, domain: &str) -> Finding {
    let records = match found(facts, "mx", domain, domain, Kind::Mx) {
        Ok(records) => records,
        Err(unknown) => return unknown,
    };
    let host = &facts.plan.hostname;
    let fix = Record::new(domain, Kind::Mx, format!("10 {host}")).line();
    if records.is_empty() {
        return Finding::fail("mx", domain, "it has no MX record", "nobody knows where its mail goes", fix);
    }
    let exchanges = exchanges(&facts.answers, domain);
    if !exchanges.contains(host) {
        let says = format!("its mail goes to {}, not to {host}", exchanges.join(", "));
        return Finding::fail("mx", domain, says, "its mail does not come here", fix);
    }
    for exchange in &exchanges {
        if let [Told::Known([]), Told::Known([])] = [Kind::A, Kind::Aaaa].map(|kind| facts.answers.of(exchange, kind)) {
            let says = format!("its mail goes to {exchange}, which has no address");
            let why = "a part of the senders tries it first";
            return Finding::fail("mx", domain, says, why, format!("remove the MX record that names {exchange}"));
        }
        if !facts.answers.known(exchange, Kind::Cname).is_empty() {
            // RFC 2181 §10.3
            let says = format!("its mail goes to {exchange}, which is an alias (CNAME)");
            return Finding::warn("mx", domain, says, "some servers do not follow aliases there", fix);
        }
    }
    Finding::pass("mx", domain, format!("its mail goes to {}", exchanges.join(", ")))
}

/// Texts of a name that begin so.
fn texts<'a>(
    facts: &'a Facts,
    check: &'static str,
    of: &str,
    name: &str,
    begin: &str,
) -> Result<Vec<&'a str>, Finding> {
    let records = found(facts, check, of, name, Kind::Txt)?;
    let begins = |text: &&str| text.get(..begin.len()).is_some_and(|start| start.eq_ignore_ascii_case(begin));
    Ok(records.iter().map(String::as_str).filter(begins).collect())
}

/// RFC 7208: one record, which lets this host send and has an end.
fn spf(facts: &Facts, domain: &str) -> Finding {
    let records = match texts(facts, "spf", domain, domain, "v=spf1") {
        Ok(records) => records,
        Err(unknown) => return unknown,
    };
    let fix = Record::new(domain, Kind::Txt, "v=spf1 mx -all").line();
    let why = "others can't tell mail of this domain from forged mail, and Gmail, Microsoft and Yahoo refuse it";
    let record = match records[..] {
        [] => return Finding::fail("spf", domain, "it has no SPF record", why, fix),
        [record] => record,
        // RFC 7208 §4.5
        _ => {
            let why = "with two, none counts: mail of this domain fails SPF";
            return Finding::fail("spf", domain, format!("it has {} SPF records", records.len()), why, fix);
        }
    };
    let terms: Vec<String> = record.split_ascii_whitespace().skip(1).map(str::to_ascii_lowercase).collect();
    let bare: Vec<&str> = terms.iter().map(|term| term.strip_prefix('+').unwrap_or(term)).collect();
    if bare.contains(&"all") {
        let says = format!("“{record}” lets everybody send in its name");
        return Finding::fail("spf", domain, says, "forged mail of this domain passes", fix);
    }
    let addresses = super::addresses::ours(&facts.plan, &facts.answers);
    let listed = |address: &std::net::IpAddr| {
        bare.iter()
            .filter_map(|term| term.split_once(':').filter(|(how, _)| how.starts_with("ip")).map(|(_, n)| n))
            .any(|network| {
                let (base, bits) = network.split_once('/').map_or((network, None), |(base, bits)| (base, Some(bits)));
                let most = if address.is_ipv4() { 32 } else { 128 };
                let bits = bits.map_or(Some(most), |bits| bits.parse().ok()).unwrap_or(most);
                base.parse().is_ok_and(|base| shares(*address, base, bits))
            })
    };
    // Whoever decides by other mechanisms (include, redirect, exists) decides elsewhere.
    let elsewhere =
        bare.iter().any(|term| ["include:", "redirect=", "exists:"].iter().any(|how| term.starts_with(how)));
    let by_name = bare.iter().any(|term| {
        *term == "mx"
            || term.starts_with("mx/")
            || *term == format!("a:{}", facts.plan.hostname)
            || (*term == "a" && addresses.iter().all(|a| facts.answers.addresses(domain).contains(a)))
    });
    if !by_name && !addresses.iter().all(listed) {
        if elsewhere {
            let says = format!("“{record}” leaves it to others whether this server may send");
            return Finding::not_checked("spf", domain, says, format!("if it does not: add “mx” to it, as in\n{fix}"));
        }
        let says = format!("“{record}” does not let this server send");
        return Finding::fail("spf", domain, says, "what this server sends in its name fails", fix);
    }
    if !["-all", "~all"].iter().any(|end| terms.last().is_some_and(|last| last == end)) && !elsewhere {
        let says = format!("“{record}” says nothing of other senders");
        return Finding::warn("spf", domain, says, "forged mail of this domain is as good as unsigned mail", fix);
    }
    Finding::pass("spf", domain, format!("“{record}” lets this server send"))
}

fn shares(address: std::net::IpAddr, network: std::net::IpAddr, bits: u32) -> bool {
    use std::net::IpAddr::{V4, V6};
    match (address, network) {
        (V4(a), V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= bits,
        (V6(a), V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= bits,
        _ => false,
    }
}

/// RFC 7489 §6.3
fn dmarc(facts: &Facts, domain: &str) -> Finding {
    let name = format!("_dmarc.{domain}");
    let records = match texts(facts, "dmarc", domain, &name, "v=DMARC1") {
        Ok(records) => records,
        Err(unknown) => return unknown,
    };
    let fix = Record::new(&name, Kind::Txt, zone::dmarc(domain)).line();
    match records[..] {
        [] => {
            let why = "Gmail and Yahoo want it of who sends much, and nobody is told of mail forged in its name";
            Finding::warn("dmarc", domain, "it has no DMARC record", why, fix)
        }
        [record] if tag(record, "p").is_some_and(|policy| ["none", "quarantine", "reject"].contains(&policy)) => {
            Finding::pass("dmarc", domain, format!("“{record}”"))
        }
        [record] => {
            let says = format!("“{record}” has no policy (p=none, quarantine or reject)");
            Finding::fail("dmarc", domain, says, "it does not count", fix)
        }
        _ => Finding::fail("dmarc", domain, "it has several DMARC records", "with two, none counts", fix),
    }
}

/// `p` of `v=DMARC1; p=none`.
fn tag<'a>(record: &'a str, name: &str) -> Option<&'a str> {
    let tags = record.split(';').filter_map(|tag| tag.split_once('='));
    tags.map(|(name, value)| (name.trim(), value.trim())).find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// RFC 8460
fn tls_reports(facts: &Facts, domain: &str) -> Finding {
    let name = format!("_smtp._tls.{domain}");
    match texts(facts, "tls-reports", domain, &name, "v=TLSRPTv1") {
        Err(unknown) => unknown,
        Ok(records) if records.is_empty() => {
            let fix = Record::new(&name, Kind::Txt, format!("v=TLSRPTv1; rua=mailto:postmaster@{domain}")).line();
            let why = "nobody tells you where others could not send to you over TLS";
            Finding::warn("tls-reports", domain, "it has no TLSRPT record", why, fix)
        }
        Ok(records) => Finding::pass("tls-reports", domain, format!("“{}”", records[0])),
    }
}

/// RFC 6376 §3.6: each key that we sign with is published as it is.
fn dkim(facts: &Facts, domain: &str) -> Vec<Finding> {
    let below = format!("._domainkey.{domain}");
    let keys: Vec<_> = facts.plan.dkim.iter().filter(|(name, _)| name.ends_with(&below)).collect();
    if keys.is_empty() {
        let why = "large providers take mail without a signature for junk";
        let fix = format!("postrider dkim rotate {domain}");
        return vec![Finding::warn("dkim", domain, "it has no key, so its mail is not signed", why, fix)];
    }
    keys.into_iter()
        .map(|(name, value)| {
            let fix = Record::new(name, Kind::Txt, value).line();
            let why = "what this server signs is taken for forged";
            match facts.answers.of(name, Kind::Txt) {
                Told::Unknown(why) => unknown("dkim", name, &why),
                Told::Known([]) => Finding::fail("dkim", name, "this key is not in DNS", why, fix),
                Told::Known(records) => {
                    // RFC 6376 §3.2: blanks within the key do not matter.
                    let key = |record: &str| tag(record, "p").map(|key| key.replace(' ', ""));
                    if records.iter().any(|record| key(record) == key(value)) {
                        Finding::pass("dkim", name, "the key that this server signs with")
                    } else {
                        Finding::fail("dkim", name, "DNS has another key than this server signs with", why, fix)
                    }
                }
            }
        })
        .collect()
}
