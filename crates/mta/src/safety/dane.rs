//! TLSA records for SMTP (RFC 6698, RFC 7671, RFC 7672): which of them can be used, and for what.

use std::fmt;
use std::sync::Arc;

use mail::limits;

use super::Policy;
use crate::world::Tlsa;

/// The usable TLSA records of a server, and the names that its certificate may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dane {
    /// Never empty.
    records: Vec<Tlsa>,
    /// The TLSA base domain first: it goes as SNI (RFC 7672 §8.1).
    names: Vec<String>,
}

/// The usages that SMTP has (RFC 7672 §3.1).
impl Tlsa {
    /// A certificate authority of the domain's own.
    pub const DANE_TA: u8 = 2;
    /// The server's very certificate.
    pub const DANE_EE: u8 = 3;
}

impl Dane {
    /// What follows from the records of a server; `names` as in RFC 7672 §3.2.2, the TLSA base domain first.
    pub fn policy(records: Vec<Tlsa>, names: Vec<String>) -> Policy {
        let shown = show(&records);
        let mut records: Vec<Tlsa> = records.into_iter().filter(is_usable).collect();
        // RFC 7671 §9: of several digests of one thing only the strongest counts, so that a weak one gains nothing.
        let strongest: Vec<(u8, u8, u8)> =
            records.iter().filter(|r| r.matching != 0).map(|r| (r.usage, r.selector, r.matching)).collect();
        records.retain(|record| {
            let same = |(usage, selector, _): &&(u8, u8, u8)| *usage == record.usage && *selector == record.selector;
            record.matching == 0 || strongest.iter().filter(same).all(|(_, _, other)| *other <= record.matching)
        });
        // More than anybody has: what is over would cost a handshake time, and could only add a way to be trusted.
        records.truncate(limits::TLSA_RECORDS);
        if records.is_empty() {
            return Policy::Encrypted { unusable: shown };
        }
        Policy::Dane(Arc::new(Self { records, names }))
    }

    /// The records.
    pub fn records(&self) -> &[Tlsa] {
        &self.records
    }

    /// The names that a certificate may have where an authority vouches for it, the one for SNI first.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The name for SNI.
    pub fn sni(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }
}

/// As people write them: `3 1 1, 2 1 1`.
impl fmt::Display for Dane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show(&self.records))
    }
}

impl fmt::Display for Tlsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.usage, self.selector, self.matching)
    }
}

fn show(records: &[Tlsa]) -> String {
    let mut kinds: Vec<String> = records.iter().map(Tlsa::to_string).collect();
    kinds.sort_by(|a, b| b.cmp(a));
    kinds.dedup();
    kinds.join(", ")
}

/// RFC 7672 §3.1.3: usages 0 and 1 are nothing for SMTP. RFC 7671 §4.1: nor is what has an unknown parameter or no
/// digest of its length.
fn is_usable(record: &Tlsa) -> bool {
    let whole = match record.matching {
        0 => !record.data.is_empty(),
        1 => record.data.len() == 32,
        2 => record.data.len() == 64,
        _ => false,
    };
    matches!(record.usage, Tlsa::DANE_TA | Tlsa::DANE_EE) && record.selector <= 1 && whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlsa(usage: u8, selector: u8, matching: u8, length: usize) -> Tlsa {
        Tlsa { usage, selector, matching, data: vec![7; length] }
    }

    fn policy(records: &[Tlsa]) -> String {
        Dane::policy(records.to_vec(), vec!["mx.example".into()]).to_string()
    }

    #[test]
    fn what_can_be_used_counts() {
        let must = "DANE: the certificate must match TLSA";
        assert_eq!(policy(&[tlsa(3, 1, 1, 32)]), format!("{must} 3 1 1"));
        assert_eq!(policy(&[tlsa(2, 0, 1, 32), tlsa(3, 1, 1, 32), tlsa(3, 1, 1, 32)]), format!("{must} 3 1 1, 2 0 1"));
        assert_eq!(policy(&[tlsa(1, 0, 1, 32), tlsa(3, 0, 0, 500)]), format!("{must} 3 0 0"));
        for bad in [tlsa(0, 0, 1, 32), tlsa(1, 1, 1, 32), tlsa(3, 2, 1, 32), tlsa(3, 1, 3, 32), tlsa(3, 1, 1, 31)] {
            let any = format!("DANE: encrypted, by any certificate, since TLSA {bad} can't be used");
            assert_eq!(policy(&[bad]), any);
        }
    }

    /// RFC 7671 §9.
    #[test]
    fn of_several_digests_the_strongest_counts() {
        let Policy::Dane(dane) = Dane::policy(
            vec![tlsa(3, 1, 1, 32), tlsa(3, 1, 2, 64), tlsa(3, 1, 0, 9), tlsa(2, 1, 1, 32)],
            vec!["mx.example".into()],
        ) else {
            panic!("usable records");
        };
        assert_eq!(dane.to_string(), "3 1 2, 3 1 0, 2 1 1");
        assert_eq!(dane.sni(), "mx.example");
    }

    /// `TLSA_RECORDS`, and no more.
    #[test]
    fn no_more_records_than_a_handshake_may_cost() {
        for (given, kept) in
            [(limits::TLSA_RECORDS, limits::TLSA_RECORDS), (limits::TLSA_RECORDS + 1, limits::TLSA_RECORDS)]
        {
            let Policy::Dane(dane) = Dane::policy(vec![tlsa(3, 1, 1, 32); given], Vec::new()) else { panic!("usable") };
            assert_eq!(dane.records().len(), kept);
        }
    }
}
