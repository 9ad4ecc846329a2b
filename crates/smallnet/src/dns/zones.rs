//! Zones in memory, and what they answer.
//!
//! Does: the lookup of RFC 1034 §4.3.2 (CNAMEs followed across all zones, wildcards, names without
//! records of a type told apart from names that don't exist). Does not: delegation, transfer, DNSSEC.
//! Records come in through the builder methods of [`Zones`]; [`Zones::look_up`] is asked by the server.

use std::collections::BTreeMap;
use std::net::IpAddr;

use doctor::Kind;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::tlsa::{CertUsage, Matching, Selector};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TLSA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// CNAMEs followed in one answer; a longer chain, or a circle, ends there as it does for real servers.
const CNAME_CHAIN: usize = 8;

/// Seconds that an answer may be cached: short, since people change the small internet under way.
const DEFAULT_TTL: u32 = 1;

/// All zones of a server. The root is among them, so that any name has an answer: what nobody
/// added does not exist.
#[derive(Clone, Debug)]
pub struct Zones {
    ttl: u32,
    /// Apexes of zones.
    apexes: Vec<Name>,
    /// Records by owner, lower case.
    records: BTreeMap<Name, Vec<RData>>,
}

/// What a lookup found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// NoError or NXDomain.
    pub code: ResponseCode,
    /// The answer section: CNAMEs on the way first.
    pub answers: Vec<Record>,
    /// The authority section: the SOA where the answer is negative (RFC 2308 §3).
    pub authority: Vec<Record>,
}

impl Default for Zones {
    fn default() -> Self {
        Self::new()
    }
}

/// A name of a zone. What is written in code and in tests is a name; one that is not becomes the root,
/// which the first look at the answer shows.
pub fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap_or_default().to_lowercase();
    name.set_fqdn(true);
    name
}

impl Zones {
    /// Only the root, empty.
    pub fn new() -> Self {
        Self { ttl: DEFAULT_TTL, apexes: vec![Name::root()], records: BTreeMap::new() }
    }

    /// Seconds that answers may be cached.
    #[must_use]
    pub const fn ttl(mut self, seconds: u32) -> Self {
        self.ttl = seconds;
        self
    }

    /// A zone of its own, with NS and an SOA for its negative answers.
    #[must_use]
    pub fn zone(mut self, apex: &str) -> Self {
        let apex = name(apex);
        self.records.entry(apex.clone()).or_default().push(RData::NS(NS(name("ns.postrider.example"))));
        if !self.apexes.contains(&apex) {
            self.apexes.push(apex);
        }
        self
    }

    /// Any record; `owner` may be a wildcard (`*.example`, RFC 4592).
    #[must_use]
    pub fn record(mut self, owner: &str, data: RData) -> Self {
        self.records.entry(name(owner)).or_default().push(data);
        self
    }

    /// MX. The null MX (RFC 7505) is preference 0 and exchange `.`.
    #[must_use]
    pub fn mx(self, owner: &str, preference: u16, exchange: &str) -> Self {
        self.record(owner, RData::MX(MX::new(preference, name(exchange))))
    }

    /// A or AAAA, as the address is.
    #[must_use]
    pub fn address(self, owner: &str, address: IpAddr) -> Self {
        let data = match address {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        };
        self.record(owner, data)
    }

    /// TXT, cut into strings of at most 255 octets (RFC 1035 §3.3.14).
    #[must_use]
    pub fn txt(self, owner: &str, text: &str) -> Self {
        self.record(owner, RData::TXT(TXT::from_bytes(text.as_bytes().chunks(255).collect())))
    }

    /// CNAME.
    #[must_use]
    pub fn cname(self, owner: &str, target: &str) -> Self {
        self.record(owner, RData::CNAME(CNAME(name(target))))
    }

    /// PTR of an address.
    #[must_use]
    pub fn reverse(self, address: IpAddr, target: &str) -> Self {
        let owner = Name::from(address).to_ascii();
        self.record(&owner, RData::PTR(PTR(name(target))))
    }

    /// TLSA 3 1 1 for `port` of `host` (RFC 6698 §2.1, RFC 7672 §3.1.1): the SHA-256 of the public key.
    #[must_use]
    pub fn tlsa(self, host: &str, port: u16, public_key_sha256: &[u8]) -> Self {
        let data = TLSA::new(CertUsage::DaneEe, Selector::Spki, Matching::Sha256, public_key_sha256.to_vec());
        self.record(&format!("_{port}._tcp.{host}"), RData::TLSA(data))
    }

    /// A record that the doctor wants. What is not written as a zone file has it is left out.
    #[must_use]
    pub fn wanted(self, record: &doctor::Record) -> Self {
        let (owner, value) = (record.name.as_str(), record.value.as_str());
        let fields: Vec<&str> = value.split(' ').collect();
        match (record.kind, &fields[..]) {
            (Kind::A | Kind::Aaaa, [address]) => match address.parse() {
                Ok(address) => self.address(owner, address),
                Err(_) => self,
            },
            (Kind::Mx, [preference, exchange]) => self.mx(owner, preference.parse().unwrap_or_default(), exchange),
            (Kind::Cname, [target]) => self.cname(owner, target),
            (Kind::Txt, _) => self.txt(owner, value),
            (Kind::Srv, [priority, weight, port, target]) => {
                let number = |text: &str| text.parse().unwrap_or_default();
                let data = SRV::new(number(priority), number(weight), number(port), name(target));
                self.record(owner, RData::SRV(data))
            }
            _ => self,
        }
    }

    /// Forgets all records of a name, and of all types.
    #[must_use]
    pub fn without(mut self, owner: &str) -> Self {
        self.records.remove(&name(owner));
        self
    }

    /// Answers a question (RFC 1034 §4.3.2).
    pub fn look_up(&self, question: &Name, wanted: RecordType) -> Answer {
        let mut answers = Vec::new();
        let mut owner = question.to_lowercase();
        owner.set_fqdn(true);
        for _ in 0..CNAME_CHAIN {
            let Some(records) = self.records_of(&owner) else {
                // RFC 1034 §4.3.2 step 3c, RFC 2308 §2.1: only a name with nothing at and below it is NXDOMAIN;
                // after a CNAME too, since the code is about the chain's last name.
                let code = if self.has_below(&owner) { ResponseCode::NoError } else { ResponseCode::NXDomain };
                return Answer { code, answers, authority: vec![self.soa(&owner)] };
            };
            let found: Vec<Record> = records
                .iter()
                .filter(|data| data.record_type() == wanted || wanted == RecordType::ANY)
                .map(|data| Record::from_rdata(owner.clone(), self.ttl, data.clone()))
                .collect();
            if !found.is_empty() {
                answers.extend(found);
                return Answer { code: ResponseCode::NoError, answers, authority: Vec::new() };
            }
            if wanted == RecordType::SOA && self.apexes.contains(&owner) {
                answers.push(self.soa(&owner));
                return Answer { code: ResponseCode::NoError, answers, authority: Vec::new() };
            }
            let target = records.iter().find_map(|data| match data {
                RData::CNAME(target) => Some(target.0.clone()),
                _ => None,
            });
            let Some(target) = target else {
                // NODATA (RFC 2308 §2.2).
                return Answer { code: ResponseCode::NoError, answers, authority: vec![self.soa(&owner)] };
            };
            answers.push(Record::from_rdata(owner, self.ttl, RData::CNAME(CNAME(target.clone()))));
            owner = target;
        }
        Answer { code: ResponseCode::NoError, answers, authority: Vec::new() }
    }

    /// The records of a name, its own or a wildcard's (RFC 4592 §3.3.1: that of the closest encloser).
    fn records_of(&self, owner: &Name) -> Option<&Vec<RData>> {
        if let Some(records) = self.records.get(owner) {
            return Some(records);
        }
        if self.has_below(owner) {
            return None;
        }
        let mut encloser = owner.clone();
        while !encloser.is_root() {
            encloser = encloser.base_name();
            if let Some(records) = encloser.prepend_label("*").ok().and_then(|name| self.records.get(&name)) {
                return Some(records);
            }
            if self.records.contains_key(&encloser) || self.has_below(&encloser) {
                return None;
            }
        }
        None
    }

    /// Whether there are names below this one: then it exists too, without records (RFC 4592 §2.2.2).
    fn has_below(&self, owner: &Name) -> bool {
        self.records.keys().any(|name| name != owner && owner.zone_of(name))
    }

    /// The SOA of the zone that a name is in.
    fn soa(&self, owner: &Name) -> Record {
        let apex = self.apexes.iter().filter(|apex| apex.zone_of(owner)).max_by_key(|apex| apex.num_labels());
        let soa = SOA::new(
            name("ns.postrider.example"),
            name("hostmaster.postrider.example"),
            1,
            3600,
            600,
            86_400,
            // RFC 2308 §4: how long a negative answer may be cached.
            self.ttl,
        );
        Record::from_rdata(apex.cloned().unwrap_or_default(), self.ttl, RData::SOA(soa))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones() -> Zones {
        Zones::new()
            .zone("red.example")
            .mx("red.example", 10, "mail.red.example")
            .address("mail.red.example", "127.0.0.1".parse().unwrap())
            .address("mail.red.example", "::1".parse().unwrap())
            .txt("_dmarc.red.example", &"v".repeat(300))
            .cname("www.red.example", "mail.red.example")
            .cname("gone.red.example", "nothing.example")
            .cname("circle.example", "circle.example")
            .record("*.wild.example", RData::A(A::new(127, 0, 0, 7)))
            .address("a.b.wild.example", "127.0.0.8".parse().unwrap())
    }

    fn ask(question: &str, wanted: RecordType) -> (ResponseCode, Vec<RecordType>, Option<String>) {
        let answer = zones().look_up(&name(question), wanted);
        let soa = answer.authority.first().map(|record| record.name.to_ascii());
        (answer.code, answer.answers.iter().map(Record::record_type).collect(), soa)
    }

    #[test]
    fn answers_what_is_there_and_says_what_is_not() {
        use RecordType as T;
        use ResponseCode::{NXDomain, NoError};
        let red = || Some("red.example.".to_owned());
        assert_eq!(ask("RED.example", T::MX), (NoError, vec![T::MX], None));
        assert_eq!(ask("mail.red.example", T::AAAA), (NoError, vec![T::AAAA], None));
        // RFC 2308 §2: NODATA and NXDOMAIN both carry the zone's SOA.
        assert_eq!(ask("mail.red.example", T::MX), (NoError, vec![], red()));
        assert_eq!(ask("nobody.red.example", T::A), (NXDomain, vec![], red()));
        assert_eq!(ask("elsewhere.test", T::MX), (NXDomain, vec![], Some(".".to_owned())));
        // An empty non-terminal exists (RFC 4592 §2.2.2).
        assert_eq!(ask("b.wild.example", T::A), (NoError, vec![], Some(".".to_owned())));
    }

    #[test]
    fn follows_cnames_to_their_end() {
        use RecordType as T;
        assert_eq!(ask("www.red.example", T::A), (ResponseCode::NoError, vec![T::CNAME, T::A], None));
        assert_eq!(ask("www.red.example", T::CNAME), (ResponseCode::NoError, vec![T::CNAME], None));
        let (code, answers, _) = ask("gone.red.example", T::A);
        assert_eq!((code, answers), (ResponseCode::NXDomain, vec![T::CNAME]));
        assert_eq!(ask("circle.example", T::A).1.len(), CNAME_CHAIN);
    }

    #[test]
    fn wildcards_answer_for_what_is_not_there() {
        use RecordType as T;
        assert_eq!(ask("x.wild.example", T::A), (ResponseCode::NoError, vec![T::A], None));
        assert_eq!(ask("x.y.wild.example", T::A), (ResponseCode::NoError, vec![T::A], None));
        // Below an existing name the wildcard says nothing (RFC 4592 §3.3.1).
        assert_eq!(ask("x.b.wild.example", T::A).0, ResponseCode::NXDomain);
        let answer = zones().look_up(&name("_dmarc.red.example"), T::TXT);
        let RData::TXT(text) = &answer.answers[0].data else { panic!("no TXT") };
        assert_eq!(text.txt_data.iter().map(|part| part.len()).collect::<Vec<_>>(), [255, 45]);
    }
}
