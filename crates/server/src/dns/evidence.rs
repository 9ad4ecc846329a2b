//! What an answer of DNS says about the name that was asked for. Does: take the records at the end of its CNAMEs and
//! nothing else, say whether DNSSEC vouches for them, and tell denials that may be believed from those that may not.
//! Does not: check signatures (hickory does), or ask anybody.

use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::dnssec::rdata::DNSSECRData;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::ALIASES;

/// What stands in an answer for one name and kind.
pub(super) struct Evidence<'a> {
    /// The records of that kind where the CNAMEs end.
    pub records: Vec<&'a Record>,
    /// DNSSEC vouches for these and for each CNAME on the way; no records: no.
    pub secure: bool,
    /// Where the CNAMEs end; none: there are none.
    pub canonical: Option<&'a Name>,
}

/// Follows the CNAMEs from the name to its records. Whatever else stands in the answer was put there by somebody who may
/// own another zone, and sign well in it.
pub(super) fn evidence<'a>(answer: &'a [Record], name: &'a Name, kind: RecordType) -> Evidence<'a> {
    let mut end = name;
    let mut secure = true;
    // Who asks for a CNAME wants that of the name itself.
    let steps = if kind == RecordType::CNAME { 0 } else { ALIASES };
    for _ in 0..steps {
        let next = answer.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == *end => Some((record, &target.0)),
            _ => None,
        });
        let Some((link, target)) = next else { break };
        secure &= link.proof == Proof::Secure;
        end = target;
    }
    let of_kind = |record: &&Record| record.name == *end && record.record_type() == kind;
    let records: Vec<&Record> = answer.iter().filter(of_kind).collect();
    secure &= !records.is_empty() && records.iter().all(|record| record.proof == Proof::Secure);
    Evidence { records, secure, canonical: (end != name).then_some(end) }
}

/// The wildcard that stands for a name, by the secure proof that the name has no record of some kind: its NSEC record is there,
/// and says that the wildcard has one of this kind (RFC 4035 §3.1.3.4).
pub(super) fn wildcard<'a>(authority: &'a [Record], name: &Name, kind: RecordType) -> Option<&'a Name> {
    let is_it = |record: &&Record| match &record.data {
        RData::DNSSEC(DNSSECRData::NSEC(nsec)) => {
            record.name.is_wildcard()
                && record.name.base_name().zone_of(name)
                && nsec.type_set().contains(kind)
                && proves_absence(record)
        }
        _ => false,
    };
    authority.iter().find(is_it).map(|record| &record.name)
}

/// Why a denial can't be believed; none: it can. `zone` owns its SOA record, `authority` is the section that came with it.
pub(super) fn doubt(name: &Name, zone: Option<&Name>, authority: &[Record], checked: bool) -> Option<&'static str> {
    let Some(zone) = zone else {
        // RFC 2308 §3: who denies shows the zone's SOA record. Without a look at signatures the lack of it is borne; with
        // it, an answer that has none has not been proved by anybody.
        return (checked && !settled_here(name)).then_some("the denial does not say of which zone it is");
    };
    if !zone.zone_of(name) {
        return Some("the denial is of a zone that the name is not in");
    }
    if !checked {
        return None;
    }
    if authority.is_empty() {
        return Some("the denial came without a proof");
    }
    // RFC 4035 §5.4: the proof is the zone's own. Another zone's owner can sign an NSEC record that spans any name.
    let theirs = authority.iter().any(|record| proves_absence(record) && !signed_by(zone, record, authority));
    theirs.then_some("the denial's proof was signed by another zone")
}

/// RFC 6761 §6: names about which nobody is asked.
fn settled_here(name: &Name) -> bool {
    let top = name.iter().next_back().unwrap_or_default();
    ["invalid", "localhost", "onion"].iter().any(|settled| top.eq_ignore_ascii_case(settled.as_bytes()))
}

fn proves_absence(record: &Record) -> bool {
    record.proof == Proof::Secure && [RecordType::NSEC, RecordType::NSEC3].contains(&record.record_type())
}

fn signed_by(zone: &Name, record: &Record, authority: &[Record]) -> bool {
    let mut signers = authority.iter().filter_map(|other| match &other.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature))
            if other.name == record.name && signature.input().type_covered == record.record_type() =>
        {
            Some(&signature.input().signer_name)
        }
        _ => None,
    });
    let mut any = false;
    signers.all(|signer| {
        any = true;
        signer == zone
    }) && any
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_resolver::proto::dnssec::rdata::NSEC;
    use hickory_resolver::proto::rr::rdata::{A, CNAME};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn proved(owner: &str, data: RData, proof: Proof) -> Record {
        let mut record = Record::from_rdata(name(owner), 60, data);
        record.proof = proof;
        record
    }

    fn address(owner: &str, last: u8, proof: Proof) -> Record {
        proved(owner, RData::A(A(Ipv4Addr::new(192, 0, 2, last))), proof)
    }

    fn alias(owner: &str, target: &str, proof: Proof) -> Record {
        proved(owner, RData::CNAME(CNAME(name(target))), proof)
    }

    #[test]
    fn only_records_at_the_end_of_the_names_own_aliases_count() {
        let asked = name("a.example.");
        let answer = [
            address("mine.test.", 9, Proof::Secure),
            alias("mine.test.", "b.example.", Proof::Insecure),
            alias("A.example.", "b.example.", Proof::Secure),
            address("B.example.", 1, Proof::Secure),
        ];
        let found = evidence(&answer, &asked, RecordType::A);
        assert_eq!(found.records, [&answer[3]]);
        assert!(found.secure);
        assert_eq!(found.canonical, Some(&name("b.example.")));

        // A good signature under another name lends nothing.
        let other = [address("mine.test.", 9, Proof::Secure)];
        let found = evidence(&other, &asked, RecordType::A);
        assert!(found.records.is_empty() && !found.secure);
        let beside = [address("mine.test.", 9, Proof::Secure), address("a.example.", 1, Proof::Insecure)];
        let found = evidence(&beside, &asked, RecordType::A);
        assert_eq!(found.records, [&beside[1]]);
        assert!(!found.secure);
    }

    #[test]
    fn one_unsigned_alias_makes_its_end_insecure() {
        let asked = name("a.example.");
        let answer = [alias("a.example.", "b.example.", Proof::Insecure), address("b.example.", 1, Proof::Secure)];
        assert!(!evidence(&answer, &asked, RecordType::A).secure);
    }

    #[test]
    fn aliases_in_a_circle_end() {
        let asked = name("a.example.");
        let answer =
            [alias("a.example.", "b.example.", Proof::Secure), alias("b.example.", "a.example.", Proof::Secure)];
        assert!(evidence(&answer, &asked, RecordType::A).records.is_empty());
        assert_eq!(evidence(&answer, &asked, RecordType::CNAME).records, [&answer[0]]);
    }

    #[test]
    fn denials_of_other_zones_are_doubted() {
        let asked = name("a.example.");
        let (own, other) = (name("example."), name("mine.test."));
        let something = [address("ns.example.", 1, Proof::Insecure)];
        assert_eq!(doubt(&asked, Some(&own), &something, true), None);
        assert_eq!(doubt(&asked, Some(&own), &[], false), None);
        assert_eq!(doubt(&asked, None, &[], false), None);
        assert_eq!(doubt(&name("no.invalid."), None, &[], true), None);
        for checked in [true, false] {
            assert!(doubt(&asked, Some(&other), &something, checked).is_some());
            assert!(doubt(&asked, Some(&name("b.a.example.")), &something, checked).is_some());
        }
        assert!(doubt(&asked, None, &something, true).is_some());
        assert!(doubt(&asked, Some(&own), &[], true).is_some());
    }

    #[test]
    fn a_proof_that_the_zone_did_not_sign_is_doubted() {
        let spans = NSEC::new(name("zzz.example."), [RecordType::A]);
        let proof = proved("aaa.example.", RData::DNSSEC(DNSSECRData::NSEC(spans)), Proof::Secure);
        assert!(doubt(&name("b.example."), Some(&name("example.")), &[proof], true).is_some());
    }
}
