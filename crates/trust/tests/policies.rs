//! SPF and DMARC against small zones.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::IpAddr;

use trust::dns::{Answers, Known, Missing, Question, Said};
use trust::spf::Sender;
use trust::{Letter, Verdict, dkim, dmarc, spf};

/// Names and what they have: `"name TXT text"`, `"name A address"`, `"name MX host host"`, `"address PTR name"`,
/// `"name FAIL"`.
struct Zone(Vec<(String, String, String)>);

impl Zone {
    fn new(lines: &[&str]) -> Self {
        let read = |line: &&str| {
            let mut parts = line.splitn(3, ' ').map(str::to_owned);
            (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap_or_default())
        };
        Self(lines.iter().map(read).collect())
    }

    fn say(&self, question: &Question) -> Said {
        let (name, kind) = match question {
            Question::Txt(name) => (name.clone(), "TXT"),
            Question::V4(name) => (name.clone(), "A"),
            Question::V6(name) => (name.clone(), "AAAA"),
            Question::Mx(name) => (name.clone(), "MX"),
            Question::Ptr(ip) => (ip.to_string(), "PTR"),
        };
        let there: Vec<_> = self.0.iter().filter(|(other, ..)| *other == name).collect();
        if there.iter().any(|(_, kind, _)| kind == "FAIL") {
            return Said::Failed;
        }
        let found: Vec<&str> = there.iter().filter(|(_, k, _)| k == kind).map(|(.., value)| value.as_str()).collect();
        match (kind, found.is_empty()) {
            (_, true) if there.is_empty() => Said::NoName,
            (_, true) => Said::Nothing,
            ("TXT", _) => Said::Txt(found.iter().map(|text| text.as_bytes().to_vec()).collect()),
            ("A" | "AAAA", _) => Said::Addresses(found.iter().map(|ip| ip.parse().unwrap()).collect()),
            _ => Said::Names(found.iter().flat_map(|names| names.split(' ')).map(str::to_owned).collect()),
        }
    }

    /// Ends a check; the number of times it had to ask.
    fn run<T>(&self, check: impl Fn(&Answers) -> Known<T>) -> T {
        let mut answers = Answers::default();
        for _ in 0..200 {
            match check(&answers) {
                Ok(result) => return result,
                Err(Missing(questions)) => {
                    assert!(!questions.is_empty());
                    for question in questions {
                        let said = self.say(&question);
                        answers.put(question, said);
                    }
                }
            }
        }
        unreachable!("it asks for ever");
    }

    fn spf(&self, ip: &str, from: &str) -> (Verdict, &'static str) {
        let sender = Sender { ip: ip.parse::<IpAddr>().unwrap(), helo: "mail.a.example", from: Some(from) };
        let checked = self.run(|answers| spf::mail_from(sender, answers));
        (checked.verdict, checked.why)
    }

    fn dmarc(&self, from: &str, spf: (Verdict, &str), dkim: &[(Verdict, &str)]) -> dmarc::Aligned {
        let message = format!("From: {from}\r\n\r\n");
        let spf = spf::Checked { verdict: spf.0, why: "", domain: spf.1.into() };
        let one = |(verdict, domain): &(Verdict, &str)| dkim::Checked {
            verdict: *verdict,
            why: "",
            domain: (*domain).into(),
            selector: "s".into(),
            algorithm: "rsa-sha256",
            start: String::new(),
        };
        let dkim: Vec<_> = dkim.iter().map(one).collect();
        self.run(|answers| dmarc::check(&Letter::read(message.as_bytes()), &spf, &dkim, answers))
    }
}

#[test]
fn spf_matches_by_each_mechanism() {
    let of = |record: &str, ip: &str| {
        let record = format!("a.example TXT v=spf1 {record} -all");
        let zone = Zone::new(&[
            &record,
            "a.example A 192.0.2.1",
            "a.example AAAA 2001:db8::1",
            "a.example MX mx.a.example",
            "mx.a.example A 192.0.2.2",
            "b.example TXT v=spf1 ip4:192.0.2.3 -all",
            "bob.a.example A 127.0.0.2",
            "4.2.0.192.in-addr.b.example A 127.0.0.2",
            "192.0.2.5 PTR host.a.example",
            "host.a.example A 192.0.2.5",
        ]);
        zone.spf(ip, "bob@a.example").0
    };
    assert_eq!(of("a", "192.0.2.1"), Verdict::Pass);
    assert_eq!(of("a", "::ffff:192.0.2.1"), Verdict::Pass);
    assert_eq!(of("a", "2001:db8::1"), Verdict::Pass);
    assert_eq!(of("a", "192.0.2.9"), Verdict::Fail);
    assert_eq!(of("a/24", "192.0.2.9"), Verdict::Pass);
    assert_eq!(of("a//64", "2001:db8::9"), Verdict::Pass);
    assert_eq!(of("mx", "192.0.2.2"), Verdict::Pass);
    assert_eq!(of("ip4:192.0.2.0/30", "192.0.2.3"), Verdict::Pass);
    assert_eq!(of("ip6:2001:db8::/32", "2001:db8:1::"), Verdict::Pass);
    assert_eq!(of("include:b.example", "192.0.2.3"), Verdict::Pass);
    assert_eq!(of("include:b.example ~all", "192.0.2.4"), Verdict::SoftFail);
    assert_eq!(of("exists:%{l}.%{d}", "192.0.2.9"), Verdict::Pass);
    assert_eq!(of("exists:%{ir}.%{v}.b.example", "192.0.2.4"), Verdict::Pass);
    assert_eq!(of("ptr", "192.0.2.5"), Verdict::Pass);
    assert_eq!(of("?all", "192.0.2.5"), Verdict::Neutral);
    assert_eq!(of("what:", "192.0.2.5"), Verdict::PermError);
    assert_eq!(of("include:nothing.example", "192.0.2.5"), Verdict::PermError);
}

#[test]
fn spf_says_why_it_is_none() {
    let zone = Zone::new(&[
        "two.example TXT v=spf1 -all",
        "two.example TXT v=spf1 +all",
        "gone.example FAIL",
        "other.example TXT v=spf10 -all",
        "to.example TXT v=spf1 redirect=nowhere.example",
        "on.example TXT v=spf1 redirect=two.example",
    ]);
    let of = |from: &str| zone.spf("192.0.2.1", from);
    assert_eq!(of("a@two.example"), (Verdict::PermError, "there are several records"));
    assert_eq!(of("a@gone.example"), (Verdict::TempError, "DNS can't say now"));
    assert_eq!(of("a@other.example"), (Verdict::None, ""));
    assert_eq!(of("a@to.example"), (Verdict::PermError, "redirect= leads to no record"));
    assert_eq!(of("a@on.example"), (Verdict::PermError, "there are several records"));
    assert_eq!(of("a@[192.0.2.1]").0, Verdict::None);
    assert_eq!(of("a@localhost").0, Verdict::None);
}

/// `SPF_LOOKUPS`, `SPF_VOID_LOOKUPS` and `SPF_NAMES`: as many, and one more.
#[test]
fn spf_is_bounded() {
    use mail::limits::{SPF_LOOKUPS, SPF_NAMES, SPF_VOID_LOOKUPS};
    let of = |record: &str| {
        let record = format!("a.example TXT v=spf1 {record}?all");
        let mail_servers = |count| (0..count).map(|n| format!("{n}.there.example")).collect::<Vec<_>>().join(" ");
        let many = format!("many.example MX {}", mail_servers(SPF_NAMES));
        let more = format!("more.example MX {}", mail_servers(SPF_NAMES + 1));
        let hosts: Vec<String> = (0..=SPF_NAMES).map(|n| format!("{n}.there.example A 192.0.2.7")).collect();
        let mut lines = vec![record.as_str(), "there.example A 192.0.2.7", &many, &more];
        lines.extend(hosts.iter().map(String::as_str));
        Zone::new(&lines).spf("192.0.2.1", "x@a.example")
    };
    assert_eq!(of(&"a:there.example ".repeat(SPF_LOOKUPS)), (Verdict::Neutral, ""));
    let too_much = (Verdict::PermError, "the record asks for too much");
    assert_eq!(of(&"a:there.example ".repeat(SPF_LOOKUPS + 1)), too_much);
    // Round and round.
    assert_eq!(of("include:a.example "), too_much);
    assert_eq!(of(&"a:not.example ".repeat(SPF_VOID_LOOKUPS)), (Verdict::Neutral, ""));
    let nothing = (Verdict::PermError, "the record asks for what is not there");
    assert_eq!(of(&"a:not.example ".repeat(SPF_VOID_LOOKUPS + 1)), nothing);
    assert_eq!(of("mx:many.example "), (Verdict::Neutral, ""));
    assert_eq!(of("mx:more.example "), (Verdict::PermError, "the domain has too many mail servers"));
}

#[test]
fn dmarc_wants_what_belongs_together() {
    let zone = Zone::new(&[
        "_dmarc.a.example TXT v=DMARC1; p=reject; sp=quarantine",
        "_dmarc.strict.example TXT v=DMARC1; p=reject; adkim=s; aspf=s",
        "_dmarc.b.example TXT v=DMARC1; p=none",
    ]);
    let none = (Verdict::None, "a.example");
    let of = |from: &str, spf, dkim: &[(Verdict, &str)]| {
        let found = zone.dmarc(from, spf, dkim);
        (found.verdict, found.wish)
    };
    use dmarc::Wish;
    assert_eq!(of("x@a.example", (Verdict::Pass, "a.example"), &[]), (Verdict::Pass, Wish::Reject));
    assert_eq!(of("x@a.example", (Verdict::Pass, "mail.a.example"), &[]), (Verdict::Pass, Wish::Reject));
    assert_eq!(of("x@news.a.example", none, &[(Verdict::Pass, "a.example")]), (Verdict::Pass, Wish::Quarantine));
    assert_eq!(of("x@a.example", (Verdict::Pass, "b.example"), &[]), (Verdict::Fail, Wish::Reject));
    assert_eq!(of("x@news.a.example", none, &[(Verdict::Fail, "a.example")]), (Verdict::Fail, Wish::Quarantine));
    assert_eq!(of("x@strict.example", (Verdict::Pass, "m.strict.example"), &[]), (Verdict::Fail, Wish::Reject));
    assert_eq!(of("x@strict.example", none, &[(Verdict::Pass, "strict.example")]), (Verdict::Pass, Wish::Reject));
    assert_eq!(of("x@b.example", none, &[]), (Verdict::Fail, Wish::None));
    // What can't be known is no failure.
    assert_eq!(of("x@a.example", (Verdict::TempError, "a.example"), &[]).0, Verdict::TempError);
    assert_eq!(of("x@a.example", none, &[(Verdict::TempError, "a.example")]).0, Verdict::TempError);
    assert_eq!(of("x@a.example, y@b.example", none, &[]).0, Verdict::None);
}

#[test]
fn dmarc_finds_the_record_that_holds() {
    let zone = Zone::new(&[
        "_dmarc.a.example TXT v=DMARC1; p=reject; np=quarantine; sp=none",
        "there.a.example A 192.0.2.1",
        "_dmarc.two.example TXT v=DMARC1; p=reject",
        "_dmarc.two.example TXT v=DMARC1; p=none",
        "_dmarc.gone.example FAIL",
        "_dmarc.test.example TXT v=DMARC1; p=reject; t=y",
        "_dmarc.co.example TXT v=DMARC1; p=reject; psd=y",
    ]);
    use dmarc::Wish;
    let of = |from: &str| {
        let found = zone.dmarc(from, (Verdict::None, ""), &[]);
        (found.verdict, found.wish)
    };
    assert_eq!(of("x@there.a.example"), (Verdict::Fail, Wish::None));
    assert_eq!(of("x@nowhere.a.example"), (Verdict::Fail, Wish::Quarantine));
    assert_eq!(of("x@two.example"), (Verdict::None, Wish::None));
    assert_eq!(of("x@gone.example").0, Verdict::TempError);
    assert_eq!(of("x@test.example"), (Verdict::Fail, Wish::Quarantine));
    assert_eq!(of("x@else.example"), (Verdict::None, Wish::None));
    // Neighbours under a public suffix are strangers.
    let found = zone.dmarc("x@one.co.example", (Verdict::Pass, "other.co.example"), &[]);
    assert_eq!(found.verdict, Verdict::Fail);
    let found = zone.dmarc("x@one.co.example", (Verdict::Pass, "mail.one.co.example"), &[]);
    assert_eq!(found.verdict, Verdict::Pass);
}
