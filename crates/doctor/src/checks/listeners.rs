//! TLS of each listener, as a client sees it, and what DNS says of its key.

use super::unknown;
use crate::facts::{Facts, Kind, Listener, Shown, Told};
use crate::{Finding, zone};

/// An operator is told so long before a certificate ends.
const SOON: i64 = 7 * 86_400;

pub(crate) fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = facts.listeners.iter().filter_map(|listener| tls(facts, listener)).collect();
    findings.extend(dane(facts));
    findings
}

fn tls(facts: &Facts, listener: &Listener) -> Option<Finding> {
    let of = format!("{} {}", listener.service, listener.address);
    let get = "[acme] agree_to_terms = true   (gets one by itself), or put one under [tls]";
    Some(match listener.tls.as_ref()? {
        Told::Unknown(why) => {
            let fix = "start the server with \"postrider serve\"; \"postrider check\" says what keeps it from it";
            Finding::fail("tls", &of, format!("it gives no TLS: {why}"), "clients can't use it", fix)
        }
        Told::Known(Shown { until, .. }) if *until <= facts.now => {
            Finding::fail("tls", &of, "its certificate has ended", "clients refuse it", get)
        }
        // To another server any certificate is good enough (RFC 7435), to a mail client none but a good one.
        Told::Known(Shown { refused: Some(why), .. }) if listener.service == "smtp" => {
            let says = format!("nobody vouches for its certificate: {why}");
            Finding::warn(
                "tls",
                &of,
                says,
                "who checks certificates (MTA-STS, DANE without TLSA) does not send here",
                get,
            )
        }
        Told::Known(Shown { refused: Some(why), .. }) => {
            let says = format!("clients refuse its certificate: {why}");
            Finding::fail("tls", &of, says, "mail clients warn, or do not connect", get)
        }
        Told::Known(Shown { until, .. }) if until - facts.now < SOON => {
            let says = format!("its certificate ends in {} hours", (until - facts.now) / 3600);
            let fix = "postrider certificate renew   (by ACME), or put a new one under [tls]";
            Finding::warn("tls", &of, says, "then clients refuse it", fix)
        }
        Told::Known(Shown { until, version, .. }) => {
            let days = (until - facts.now) / 86_400;
            Finding::pass("tls", &of, format!("{version}, a good certificate for {days} more days"))
        }
    })
}

/// RFC 7672: a TLSA record that is there must be of the key that is shown. Without DNSSEC none counts, so none need be there.
fn dane(facts: &Facts) -> Option<Finding> {
    let host = &facts.plan.hostname;
    let key = facts.plan.public_key_sha256.as_ref()?;
    let (record, name) = (zone::tlsa(host, key), format!("_25._tcp.{host}"));
    Some(match facts.answers.of(&name, Kind::Tlsa) {
        Told::Unknown(why) => unknown("dane", host, &why),
        Told::Known([]) => Finding::not_checked(
            "dane",
            host,
            "it has no TLSA record",
            format!("if your zone is signed: {}", record.line()),
        ),
        Told::Known(records) if records.iter().any(|there| there.eq_ignore_ascii_case(&record.value)) => {
            Finding::pass("dane", host, "its TLSA record is of the key that is shown")
        }
        Told::Known(_) => {
            let why = "who checks DANE does not send here any more: its mail waits, and is returned";
            Finding::fail("dane", host, "its TLSA record is of another key than the one shown", why, record.line())
        }
    })
}
