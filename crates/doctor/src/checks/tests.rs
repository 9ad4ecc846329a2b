//! Each judgement, with facts made up: all is well, then one thing after the other is not.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::*;
use crate::facts::{Listener, Machine, Probed, Shown};
use crate::{Record, State, wanted};

const NOW: i64 = 1_800_000_000;

pub(crate) fn plan() -> Plan {
    let ports = [("submissions", 465), ("submission", 587), ("imaps", 993), ("imap", 143), ("https", 443)];
    Plan {
        hostname: "mail.red.example".into(),
        addresses: ["192.0.2.1", "2001:db8::1"].map(|address| address.parse().unwrap()).into(),
        domains: vec!["red.example".into()],
        ports: ports.map(|(service, port)| (service.to_owned(), port)).into(),
        public_key_sha256: Some([7; 32]),
        dkim: vec![("s1._domainkey.red.example".into(), "v=DKIM1; k=ed25519; p=abc def".into())],
    }
}

/// DNS that has all that is wanted, and the way back.
fn answers(plan: &Plan) -> Answers {
    let mut answers = Answers::default();
    let mut records = wanted(plan);
    for address in &plan.addresses {
        records.push(Record::new(reverse(*address), Kind::Ptr, plan.hostname.as_str()));
        let own = zone::of_address("x", *address);
        for alias in ["autoconfig.red.example", "autodiscover.red.example"] {
            records.push(Record::new(alias, own.kind, own.value.clone()));
        }
    }
    for record in records {
        if let Told::Known(there) = answers.0.entry((record.name, record.kind)).or_insert(Told::Known(Vec::new())) {
            there.push(record.value);
        }
    }
    for question in questions(plan, &answers) {
        answers.0.insert(question, Told::Known(Vec::new()));
    }
    answers
}

fn shown() -> Shown {
    Shown { version: "TLSv1.3".into(), until: NOW + 60 * 86_400, refused: None, public_key_sha256: [7; 32] }
}

fn facts() -> Facts {
    let plan = plan();
    let listener = |service: &str, address: &str| Listener {
        service: service.into(),
        address: address.parse().unwrap(),
        tls: Some(Told::Known(shown())),
    };
    Facts {
        now: NOW,
        answers: answers(&plan),
        plan,
        validates: Told::Known(true),
        listeners: vec![listener("smtp", "[::]:25"), listener("imaps", "[::]:993")],
        machine: Machine {
            folder: "data".into(),
            free: Told::Known(100 << 30),
            reserve: 1 << 30,
            in_memory: false,
            sync: Told::Known(900_000),
            connections: 1000,
            connections_allowed: 1000,
        },
        outward: Some(("blue.example".into(), Ok(()))),
        probed: Some(Told::Known(Probed { address: None, open: vec![25, 993], closed: vec![], now: Some(NOW + 3) })),
        clients: ["198.51.100.1", "198.51.100.2"].map(|ip| (ip.parse().unwrap(), 30)).into(),
    }
}

/// The findings that are not as they should be.
fn wrong(facts: &Facts) -> Vec<(&'static str, State, String, String)> {
    let findings = examine(facts);
    for finding in &findings {
        assert!(!finding.says.is_empty());
        let broken = matches!(finding.state, State::Warn | State::Fail);
        assert_eq!(broken, !finding.why.is_empty(), "{finding:?}");
        assert!(!broken || !finding.fix.is_empty(), "{finding:?}");
    }
    let wrong = findings.into_iter().filter(|finding| finding.state != State::Pass);
    wrong.map(|finding| (finding.name, finding.state, finding.says, finding.fix)).collect()
}

/// The only finding after a change, as `name state`.
fn broken(change: impl FnOnce(&mut Facts)) -> (String, String, String) {
    let mut facts = facts();
    change(&mut facts);
    let wrong = wrong(&facts);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    let (name, state, says, fix) = wrong.into_iter().next().unwrap();
    (format!("{name} {state:?}"), says, fix)
}

fn set(facts: &mut Facts, name: &str, kind: Kind, records: &[&str]) {
    let records = records.iter().map(|record| (*record).to_owned()).collect();
    facts.answers.0.insert((name.into(), kind), Told::Known(records));
}

#[test]
fn all_is_well() {
    assert_eq!(wrong(&facts()), []);
}

#[test]
fn each_record_that_is_gone_is_named_with_its_line() {
    for (name, kind, expected, line) in [
        ("red.example", Kind::Mx, "mx Fail", "red.example. IN MX 10 mail.red.example."),
        ("red.example", Kind::Txt, "spf Fail", "red.example. IN TXT \"v=spf1 mx -all\""),
        (
            "_dmarc.red.example",
            Kind::Txt,
            "dmarc Warn",
            "_dmarc.red.example. IN TXT \"v=DMARC1; p=none; rua=mailto:postmaster@red.example\"",
        ),
        (
            "_smtp._tls.red.example",
            Kind::Txt,
            "tls-reports Warn",
            "_smtp._tls.red.example. IN TXT \"v=TLSRPTv1; rua=mailto:postmaster@red.example\"",
        ),
        (
            "s1._domainkey.red.example",
            Kind::Txt,
            "dkim Fail",
            "s1._domainkey.red.example. IN TXT \"v=DKIM1; k=ed25519; p=abc def\"",
        ),
        (
            "_imaps._tcp.red.example",
            Kind::Srv,
            "services Warn",
            "_imaps._tcp.red.example. IN SRV 0 1 993 mail.red.example.",
        ),
        ("1.2.0.192.in-addr.arpa", Kind::Ptr, "reverse Fail", "1.2.0.192.in-addr.arpa. IN PTR mail.red.example."),
    ] {
        let (finding, _, fix) = broken(|facts| set(facts, name, kind, &[]));
        assert_eq!(finding, expected, "{name} {kind:?}");
        assert!(fix.starts_with(line), "{fix}");
    }
    let (finding, _, fix) = broken(|facts| {
        set(facts, "autoconfig.red.example", Kind::A, &[]);
        set(facts, "autoconfig.red.example", Kind::Aaaa, &[]);
    });
    assert_eq!(
        (finding.as_str(), fix.as_str()),
        ("autoconfig Warn", "autoconfig.red.example. IN CNAME mail.red.example.")
    );
    let (finding, _, fix) = broken(|facts| facts.plan.dkim.clear());
    assert_eq!((finding.as_str(), fix.as_str()), ("dkim Warn", "postrider dkim rotate red.example"));
    let none = broken(|facts| set(facts, "_25._tcp.mail.red.example", Kind::Tlsa, &[]));
    assert_eq!(none.0, "dane NotChecked");
}

#[test]
fn records_that_say_the_wrong_thing_are_named() {
    for (name, kind, records, expected, words) in [
        ("red.example", Kind::Mx, &["10 other.example"][..], "mx Fail", "goes to other.example"),
        ("red.example", Kind::Txt, &["v=spf1 -all"], "spf Fail", "does not let this server send"),
        ("red.example", Kind::Txt, &["v=spf1 mx -all", "v=spf1 a -all"], "spf Fail", "2 SPF records"),
        ("red.example", Kind::Txt, &["v=spf1 +all"], "spf Fail", "lets everybody send"),
        ("red.example", Kind::Txt, &["v=spf1 mx ?all"], "spf Warn", "says nothing of other senders"),
        ("red.example", Kind::Txt, &["v=spf1 include:x.example -all"], "spf NotChecked", "leaves it to others"),
        ("red.example", Kind::Txt, &["v=spf1 ip4:192.0.2.0/24 -all"], "spf Fail", "does not let this server send"),
        ("_dmarc.red.example", Kind::Txt, &["v=DMARC1; rua=mailto:a@b.example"], "dmarc Fail", "has no policy"),
        ("_dmarc.red.example", Kind::Txt, &["v=DMARC1; p=none", "v=DMARC1; p=none"], "dmarc Fail", "several"),
        ("s1._domainkey.red.example", Kind::Txt, &["v=DKIM1; p=xyz"], "dkim Fail", "another key"),
        ("_imaps._tcp.red.example", Kind::Srv, &["0 1 994 mail.red.example"], "services Fail", "lead elsewhere"),
        ("_25._tcp.mail.red.example", Kind::Tlsa, &["3 1 1 00"], "dane Fail", "another key"),
        ("1.2.0.192.in-addr.arpa", Kind::Ptr, &["x.example"], "reverse Fail", "does not lead back"),
    ] {
        let (finding, says, _) = broken(|facts| set(facts, name, kind, records));
        assert_eq!(finding, expected, "{records:?}");
        assert!(says.contains(words), "{says}");
    }
    for good in ["v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 ~all", "V=SPF1 a:mail.red.example -all"] {
        let mut facts = facts();
        set(&mut facts, "red.example", Kind::Txt, &["some other text", good]);
        assert_eq!(wrong(&facts), [], "{good}");
    }
}

#[test]
fn an_address_that_is_not_ours_or_not_listened_on() {
    let mut one = facts();
    set(&mut one, "mail.red.example", Kind::A, &["198.51.100.9"]);
    let names: Vec<_> = wrong(&one).into_iter().map(|(name, state, ..)| format!("{name} {state:?}")).collect();
    assert!(names.contains(&"address Fail".to_owned()), "{names:?}");
    let mut one = facts();
    set(&mut one, "mail.red.example", Kind::Aaaa, &[]);
    let names: Vec<_> = wrong(&one).into_iter().map(|(name, state, ..)| format!("{name} {state:?}")).collect();
    assert_eq!(names, ["address Warn", "reverse Fail"]);
    let (finding, says, fix) = broken(|facts| facts.listeners[0].address = "0.0.0.0:25".parse().unwrap());
    assert_eq!(finding, "families Fail");
    assert!(says.contains("AAAA") && fix.contains("[::]:25"), "{says} {fix}");
    let (finding, ..) = broken(|facts| drop(facts.listeners.remove(0)));
    assert_eq!(finding, "families Fail");
}

#[test]
fn certificates_are_judged_as_clients_do() {
    let change = |change: fn(&mut Shown)| {
        broken(move |facts| {
            let mut shown = shown();
            change(&mut shown);
            facts.listeners[1].tls = Some(Told::Known(shown));
        })
    };
    assert_eq!(change(|shown| shown.until = NOW).0, "tls Fail");
    assert_eq!(change(|shown| shown.until = NOW + 86_400).0, "tls Warn");
    assert_eq!(change(|shown| shown.refused = Some("UnknownIssuer".into())).0, "tls Fail");
    let smtp = Shown { refused: Some("UnknownIssuer".into()), ..shown() };
    assert_eq!(broken(|facts| facts.listeners[0].tls = Some(Told::Known(smtp))).0, "tls Warn");
    assert_eq!(broken(|facts| facts.listeners[1].tls = Some(Told::Unknown("refused".into()))).0, "tls Fail");
    assert_eq!(
        wrong(&Facts { listeners: vec![Listener { tls: None, ..facts().listeners[0].clone() }], ..facts() }),
        []
    );
}

#[test]
fn ways_in_and_out() {
    assert_eq!(broken(|facts| facts.outward = Some(("x.example".into(), Err("timed out".into())))).0, "outward Fail");
    assert_eq!(broken(|facts| facts.outward = None).0, "outward NotChecked");
    assert_eq!(broken(|facts| facts.validates = Told::Known(false)).0, "resolver Warn");
    let closed = |facts: &mut Facts| {
        facts.probed = Some(Told::Known(Probed { closed: vec![25], now: Some(NOW), ..Probed::default() }));
    };
    assert_eq!(broken(closed).0, "inward Fail");
    for (off, is) in [(60, None), (61, Some("clock Fail")), (-61, Some("clock Fail"))] {
        let mut facts = facts();
        facts.probed = Some(Told::Known(Probed { now: Some(NOW + off), ..Probed::default() }));
        let found = wrong(&facts).first().map(|(name, state, ..)| format!("{name} {state:?}"));
        assert_eq!(found.as_deref(), is);
    }
    let alike = |ip: &str, count| {
        BTreeMap::from([(ip.parse::<IpAddr>().unwrap(), count), ("198.51.100.1".parse().unwrap(), 1)])
    };
    assert_eq!(broken(|facts| facts.clients = alike("10.0.0.1", 50)).0, "clients Warn");
    assert_eq!(broken(|facts| facts.clients = alike("10.0.0.1", 3)).0, "clients NotChecked");
    for fine in ["127.0.0.1", "203.0.113.1"] {
        assert_eq!(wrong(&Facts { clients: alike(fine, 50), ..facts() }), [], "{fine}");
    }
}

#[test]
fn the_machine() {
    for (free, is) in [((4 << 30) - 1, "disk-space Warn"), ((1 << 30) - 1, "disk-space Fail")] {
        assert_eq!(broken(|facts| facts.machine.free = Told::Known(free)).0, is);
    }
    for (nanos, is) in [(4_999, "disk-sync Warn"), (50_000_001, "disk-sync Warn")] {
        assert_eq!(broken(|facts| facts.machine.sync = Told::Known(nanos)).0, is);
    }
    assert_eq!(broken(|facts| facts.machine.in_memory = true).0, "disk-sync Fail");
    assert_eq!(broken(|facts| facts.machine.connections = 999).0, "file-limit Warn");
}

#[test]
fn where_dns_is_silent_nothing_is_called_broken() {
    let mut facts = facts();
    for told in facts.answers.0.values_mut() {
        *told = Told::Unknown("time-out".into());
    }
    let wrong = wrong(&facts);
    assert!(wrong.iter().all(|(_, state, ..)| *state == State::NotChecked), "{wrong:?}");
    assert!(wrong.len() >= 8);
}

#[test]
fn the_way_back_of_both_families() {
    assert_eq!(reverse("192.0.2.1".parse().unwrap()), "1.2.0.192.in-addr.arpa");
    let six = reverse("2001:db8::1".parse().unwrap());
    assert!(six.starts_with("1.0.0.0.") && six.ends_with(".8.b.d.0.1.0.0.2.ip6.arpa"), "{six}");
}
