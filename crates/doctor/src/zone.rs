//! What DNS should have, and how that is written in a zone file.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::facts::{Kind, Plan};

/// A record that DNS should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its name, without a final dot.
    pub name: String,
    /// Its type.
    pub kind: Kind,
    /// Its value: names without a final dot, texts without quotes.
    pub value: String,
}

impl Record {
    pub(crate) fn new(name: impl Into<String>, kind: Kind, value: impl Into<String>) -> Self {
        Self { name: name.into(), kind, value: value.into() }
    }

    /// As a line of a zone file (RFC 1035 §5.1).
    pub fn line(&self) -> String {
        let value = match self.kind {
            Kind::Txt => quoted(&self.value),
            Kind::Mx | Kind::Cname | Kind::Srv | Kind::Ptr => format!("{}.", self.value.trim_end_matches('.')),
            _ => self.value.clone(),
        };
        format!("{}. IN {} {value}", self.name, self.kind.name())
    }
}

/// Strings of at most 255 octets (RFC 1035 §3.3).
fn quoted(text: &str) -> String {
    let mut strings = vec![String::new()];
    for c in text.chars() {
        let piece = if matches!(c, '"' | '\\') { format!("\\{c}") } else { c.to_string() };
        match strings.last_mut() {
            Some(last) if last.len() + piece.len() <= 255 => last.push_str(&piece),
            _ => strings.push(piece),
        }
    }
    let quoted: Vec<String> = strings.iter().map(|text| format!("\"{text}\"")).collect();
    quoted.join(" ")
}

/// Services of mail clients with their names in DNS (RFC 6186 §3, RFC 8314 §5.1, RFC 8620 §2.2).
pub(crate) const SERVICES: [(&str, &str); 7] = [
    ("_submissions._tcp", "submissions"),
    ("_submission._tcp", "submission"),
    ("_imaps._tcp", "imaps"),
    ("_imap._tcp", "imap"),
    ("_pop3s._tcp", "pop3s"),
    ("_pop3._tcp", "pop3"),
    ("_jmap._tcp", "https"),
];

/// What is worth a try before the others: TLS from the start (RFC 8314 §5.1), IMAP before POP3.
fn priority(service: &str) -> u16 {
    match service {
        "submissions" | "imaps" | "https" => 0,
        "submission" | "imap" => 10,
        "pop3s" => 20,
        _ => 30,
    }
}

/// Every record that the plan wants.
pub fn wanted(plan: &Plan) -> Vec<Record> {
    let host = &plan.hostname;
    let mut records: Vec<Record> = plan.addresses.iter().map(|address| of_address(host, *address)).collect();
    // RFC 7208 §2.3: in HELO the host speaks for itself, in reports it alone.
    records.push(Record::new(host, Kind::Txt, "v=spf1 a -all"));
    if let Some(key) = &plan.public_key_sha256 {
        records.push(tlsa(host, key));
    }
    for domain in &plan.domains {
        records.extend(of_domain(plan, domain));
    }
    records
}

/// RFC 7672 §3.1.1: DANE-EE, the public key, SHA-256.
pub(crate) fn tlsa(host: &str, key: &[u8; 32]) -> Record {
    let hex = key.iter().fold(String::new(), |mut hex, octet| {
        // Writing into a String can't fail.
        let _ = write!(hex, "{octet:02x}");
        hex
    });
    Record::new(format!("_25._tcp.{host}"), Kind::Tlsa, format!("3 1 1 {hex}"))
}

pub(crate) fn of_address(host: &str, address: IpAddr) -> Record {
    let kind = if address.is_ipv4() { Kind::A } else { Kind::Aaaa };
    Record::new(host, kind, address.to_string())
}

fn of_domain(plan: &Plan, domain: &str) -> Vec<Record> {
    let host = &plan.hostname;
    let mut records = vec![
        Record::new(domain, Kind::Mx, format!("10 {host}")),
        Record::new(domain, Kind::Txt, "v=spf1 mx -all"),
        Record::new(format!("_dmarc.{domain}"), Kind::Txt, dmarc(domain)),
        // RFC 8460 §3
        Record::new(format!("_smtp._tls.{domain}"), Kind::Txt, format!("v=TLSRPTv1; rua=mailto:postmaster@{domain}")),
    ];
    let below = format!(".{domain}");
    records
        .extend(plan.dkim.iter().filter(|(name, _)| name.ends_with(&below)).map(|(n, v)| Record::new(n, Kind::Txt, v)));
    for (name, service) in SERVICES {
        // RFC 6186 §3.4: what is not there says so.
        let value = match plan.ports.get(service) {
            Some(port) => format!("{} 1 {port} {host}", priority(service)),
            None => "0 0 0 .".into(),
        };
        records.push(Record::new(format!("{name}.{domain}"), Kind::Srv, value));
    }
    if plan.ports.contains_key("https") {
        for prefix in ["autoconfig", "autodiscover"] {
            records.push(Record::new(format!("{prefix}.{domain}"), Kind::Cname, host.as_str()));
        }
    }
    records
}

pub(crate) fn dmarc(domain: &str) -> String {
    format!("v=DMARC1; p=none; rua=mailto:postmaster@{domain}")
}

/// A zone file's lines.
pub fn written(records: &[Record]) -> String {
    let mut text = String::new();
    for record in records {
        // Writing into a String can't fail.
        let _ = writeln!(text, "{}", record.line());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_written_as_zone_files_have_them() {
        let line = |kind, value: &str| Record::new("red.example", kind, value).line();
        assert_eq!(line(Kind::Mx, "10 mail.red.example"), "red.example. IN MX 10 mail.red.example.");
        assert_eq!(line(Kind::Srv, "0 0 0 ."), "red.example. IN SRV 0 0 0 .");
        assert_eq!(line(Kind::A, "192.0.2.1"), "red.example. IN A 192.0.2.1");
        assert_eq!(line(Kind::Txt, "a\"b"), "red.example. IN TXT \"a\\\"b\"");
        let long = line(Kind::Txt, &"x".repeat(300));
        assert!(long.ends_with(&format!("\"{}\" \"{}\"", "x".repeat(255), "x".repeat(45))));
    }

    #[test]
    fn a_plan_gives_every_record_once() {
        let plan = crate::checks::tests::plan();
        let records = wanted(&plan);
        for (n, record) in records.iter().enumerate() {
            assert!(!records[n + 1..].contains(record), "{record:?}");
        }
        let text = written(&records);
        for line in [
            "mail.red.example. IN A 192.0.2.1",
            "mail.red.example. IN AAAA 2001:db8::1",
            "red.example. IN MX 10 mail.red.example.",
            "red.example. IN TXT \"v=spf1 mx -all\"",
            "_dmarc.red.example. IN TXT \"v=DMARC1; p=none; rua=mailto:postmaster@red.example\"",
            "_submissions._tcp.red.example. IN SRV 0 1 465 mail.red.example.",
            "_pop3._tcp.red.example. IN SRV 0 0 0 .",
            "_jmap._tcp.red.example. IN SRV 0 1 443 mail.red.example.",
            "autoconfig.red.example. IN CNAME mail.red.example.",
        ] {
            assert!(text.lines().any(|written| written == line), "{line}\n{text}");
        }
    }
}
