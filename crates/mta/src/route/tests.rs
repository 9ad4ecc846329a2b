//! Routing against DNS that says what the test says.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mail::Timestamp;

use super::*;
use crate::world::{Clock, Connect, Dns, Random, Stream, Tlsa, Trust};

/// `mx <name>`, `a <name>`, `aaaa <name>`, `tlsa <name>`: records separated by commas, `NODATA`, or `FAIL`; else NXDOMAIN.
/// A `+` ahead: secure; `+name: `: secure, and this is where the CNAMEs end.
struct Table(HashMap<&'static str, &'static str>, AtomicU64);

impl Table {
    fn get<T>(&self, kind: &str, name: &str, read: impl Fn(&str) -> T) -> Answer<T> {
        match self.0.get(format!("{kind} {name}").as_str()).copied() {
            None => Answer::NoDomain,
            Some("NODATA") => Answer::NoData,
            Some("FAIL") => Answer::Temporary("SERVFAIL".into()),
            Some(list) => {
                let mut belief = Belief::until(Duration::from_secs(3600));
                let list = list.strip_prefix('+').map_or(list, |list| {
                    belief.secure = true;
                    let Some((canonical, list)) = list.split_once(": ") else { return list };
                    belief.canonical = Some(canonical.to_owned());
                    list
                });
                Answer::Found(list.split(", ").map(read).collect(), belief)
            }
        }
    }
}

#[async_trait]
impl Dns for Table {
    async fn mx(&self, name: &str) -> Answer<Mx> {
        self.get("mx", name, |text| {
            let (preference, exchange) = text.split_once(' ').unwrap();
            Mx { preference: preference.parse().unwrap(), exchange: exchange.trim_matches('.').to_owned() }
        })
    }

    async fn ipv4(&self, name: &str) -> Answer<Ipv4Addr> {
        self.get("a", name, |text| text.parse().unwrap())
    }

    async fn ipv6(&self, name: &str) -> Answer<Ipv6Addr> {
        self.get("aaaa", name, |text| text.parse().unwrap())
    }

    async fn txt(&self, _: &str) -> Answer<Vec<u8>> {
        Answer::NoData
    }

    async fn tlsa(&self, name: &str) -> Answer<Tlsa> {
        self.get("tlsa", name, |text| {
            let [usage, selector, matching] = text.split(' ').map(|n| n.parse().unwrap()).collect::<Vec<u8>>()[..]
            else {
                panic!("three numbers")
            };
            Tlsa { usage, selector, matching, data: vec![0; 32] }
        })
    }
}

#[async_trait]
impl Connect for Table {
    async fn connect(&self, _: SocketAddr) -> io::Result<Box<dyn Stream>> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    async fn tls(&self, _: Box<dyn Stream>, _: &str, _: Trust) -> io::Result<(Box<dyn Stream>, store::Tls)> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    fn is_local(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || ip == IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99))
    }
}

#[async_trait]
impl Clock for Table {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(0)
    }

    async fn sleep(&self, _: Duration) {}
}

impl Random for Table {
    fn next(&self) -> u64 {
        self.1.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23)
    }
}

fn world(records: &[(&'static str, &'static str)]) -> World {
    let table = Arc::new(Table(records.iter().copied().collect(), AtomicU64::new(1)));
    World { clock: table.clone(), random: table.clone(), dns: table.clone(), connect: table }
}

fn routing() -> Routing {
    let route = |domain: &str, hop: &str| FixedRoute {
        domain: Some(Domain::from_ascii(domain).unwrap()),
        next_hop: vec![(hop.to_owned(), 2525)],
        login: None,
        lmtp: false,
    };
    Routing {
        hostname: Domain::from_ascii("mail.red.example").unwrap(),
        listening: vec!["[::]:25".parse().unwrap(), "0.0.0.0:25".parse().unwrap()],
        port: 25,
        routes: vec![route("branch.example", "10.0.0.5"), route("named.example", "hop.example")],
        catch_all: None,
    }
}

fn run(records: &[(&'static str, &'static str)], routing: &Routing, domain: &str) -> (String, String) {
    let domain = match domain.parse::<IpAddr>() {
        Ok(ip) => Domain::literal(ip),
        Err(_) => Domain::from_ascii(domain).unwrap(),
    };
    let route = decide(records, routing, &domain);
    assert!(!route.steps.is_empty(), "a decision without a reason");
    let verdict = match &route.verdict {
        Verdict::Hosts(hosts) => hosts
            .iter()
            .map(|host| {
                let to: Vec<String> = host.addresses.iter().map(ToString::to_string).collect();
                format!("{}={}", host.name, to.join("+"))
            })
            .collect::<Vec<_>>()
            .join(" "),
        Verdict::Never(code, (a, b, c), _) => format!("never {code} {a}.{b}.{c}"),
        Verdict::Later((a, b, c), _) => format!("later {a}.{b}.{c}"),
    };
    (route.rule.to_owned(), verdict)
}

fn decide(records: &[(&'static str, &'static str)], routing: &Routing, domain: &Domain) -> Route {
    let world = world(records);
    // Nothing here waits, so one poll is the whole run.
    let mut future = Box::pin(route(&world, routing, domain));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(route) = future.as_mut().poll(&mut context) else { panic!("it waits") };
    route
}

#[test]
fn every_rule() {
    let records = [
        ("mx blue.example", "20 b.blue.example, 10 a.blue.example, 30 gone.blue.example"),
        ("a a.blue.example", "192.0.2.1"),
        ("aaaa a.blue.example", "2001:db8::1"),
        ("a b.blue.example", "192.0.2.2, 192.0.2.3"),
        ("mx implicit.example", "NODATA"),
        ("a implicit.example", "192.0.2.4"),
        ("mx nothing.example", "NODATA"),
        ("mx null.example", "0 ."),
        ("mx lame.example", "FAIL"),
        ("mx halflame.example", "10 lame.host, 20 a.blue.example"),
        ("a lame.host", "FAIL"),
        ("mx alllame.example", "10 lame.host"),
        ("mx noaddress.example", "10 gone.host"),
        ("mx lameimplicit.example", "NODATA"),
        ("a lameimplicit.example", "FAIL"),
        ("mx self.example", "10 a.blue.example, 20 MAIL.red.example, 20 c.example, 30 b.blue.example"),
        ("a mail.red.example", "192.0.2.99"),
        ("a c.example", "192.0.2.5"),
        ("mx byaddress.example", "10 other-name.example"),
        ("a other-name.example", "192.0.2.99"),
        ("mx implicitself.example", "NODATA"),
        ("a implicitself.example", "192.0.2.99"),
        ("a hop.example", "10.0.0.6"),
    ];
    for (domain, rule, verdict) in [
        ("blue.example", "mx", "a.blue.example=[2001:db8::1]:25+192.0.2.1:25 b.blue.example=192.0.2.2:25+192.0.2.3:25"),
        ("implicit.example", "implicit-mx", "implicit.example=192.0.2.4:25"),
        ("nothing.example", "implicit-mx", "never 550 5.4.4"),
        ("unknown.example", "no-domain", "never 550 5.1.2"),
        ("null.example", "null-mx", "never 556 5.1.10"),
        ("lame.example", "dns-error", "later 4.4.3"),
        ("halflame.example", "mx", "a.blue.example=[2001:db8::1]:25+192.0.2.1:25"),
        ("alllame.example", "dns-error", "later 4.4.3"),
        ("noaddress.example", "mx", "never 550 5.4.4"),
        ("lameimplicit.example", "dns-error", "later 4.4.3"),
        ("self.example", "mx", "a.blue.example=[2001:db8::1]:25+192.0.2.1:25"),
        ("byaddress.example", "loop", "never 554 5.4.6"),
        ("implicitself.example", "loop", "never 554 5.4.6"),
        ("192.0.2.8", "literal", "192.0.2.8=192.0.2.8:25"),
        ("192.0.2.99", "loop", "never 554 5.4.6"),
        ("branch.example", "route", "10.0.0.5=10.0.0.5:2525"),
        ("named.example", "route", "hop.example=10.0.0.6:2525"),
    ] {
        assert_eq!(run(&records, &routing(), domain), (rule.to_owned(), verdict.to_owned()), "{domain}");
    }
}

#[test]
fn a_smart_host_takes_all_but_what_has_its_own_route() {
    let mut routing = routing();
    let login = Some(("user".to_owned(), "secret".to_owned()));
    routing.routes.push(FixedRoute { domain: None, next_hop: vec![("smart.example".into(), 587)], login, lmtp: false });
    let records = [("a smart.example", "192.0.2.6")];
    assert_eq!(run(&records, &routing, "any.example").0, "smart-host");
    assert_eq!(run(&records, &routing, "branch.example").0, "route");
    let address = |domain: &str| Address::new("a", Domain::from_ascii(domain).unwrap()).unwrap();
    assert_eq!(routing.destination(&address("any.example")).as_str(), "smart.example");
    assert_eq!(routing.destination(&address("branch.example")).as_str(), "branch.example");
    // A next hop that can't be found is the operator's mistake: nothing bounces.
    assert_eq!(run(&[], &routing, "any.example"), ("dns-error".into(), "later 4.4.3".into()));
    assert!(!format!("{routing:?}").contains("secret"));
}

#[test]
fn equals_come_in_random_order() {
    let table = world(&[
        ("mx x.example", "10 a.x, 10 b.x, 10 c.x, 20 d.x"),
        ("a a.x", "192.0.2.1"),
        ("a b.x", "192.0.2.2"),
        ("a c.x", "192.0.2.3"),
        ("a d.x", "192.0.2.4"),
    ]);
    let mut first = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let (routing, domain) = (routing(), Domain::from_ascii("x.example").unwrap());
        let mut future = Box::pin(route(&table, &routing, &domain));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(route) = future.as_mut().poll(&mut context) else { panic!("it waits") };
        let Verdict::Hosts(hosts) = route.verdict else { panic!("no hosts") };
        assert_eq!(hosts[3].name, "d.x");
        first.insert(hosts[0].name.clone());
    }
    assert_eq!(first.len(), 3);
}

/// `RELAY_HOSTS` of the MX records are looked up, the best; `ROUTE_BELIEVED` bounds how long that is believed.
#[test]
fn many_hosts_and_long_lives() {
    let found = |count: usize| {
        let mx: Vec<String> = (0..count).map(|n| format!("{} mx{n}.x", 10 + n)).collect();
        let mut records = vec![("mx x.example", &*Box::leak(mx.join(", ").into_boxed_str()))];
        for n in 0..count {
            records.push((&*Box::leak(format!("a mx{n}.x").into_boxed_str()), "192.0.2.1"));
        }
        let table = world(&records);
        let (routing, domain) = (routing(), Domain::from_ascii("x.example").unwrap());
        let mut future = Box::pin(route(&table, &routing, &domain));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(route) = future.as_mut().poll(&mut context) else { panic!("it waits") };
        assert!(route.ttl <= limits::ROUTE_BELIEVED);
        let Verdict::Hosts(hosts) = route.verdict else { panic!("no hosts") };
        assert_eq!(hosts[0].name, "mx0.x");
        hosts.len()
    };
    assert_eq!(found(limits::RELAY_HOSTS), limits::RELAY_HOSTS);
    assert_eq!(found(limits::RELAY_HOSTS + 1), limits::RELAY_HOSTS);
}

/// The policies of a domain's hosts.
fn policies(records: &[(&'static str, &'static str)], domain: &str) -> Vec<String> {
    let route = decide(records, &routing(), &Domain::from_ascii(domain).unwrap());
    let named = route.hosts().into_iter().map(|host| host.split(' ').next().unwrap().to_owned());
    named.zip(route.policies()).map(|(host, policy)| format!("{host}: {policy}")).collect()
}

const NO_POLICY: &str = "no policy: encrypted where offered, certificate not checked";

/// RFC 7672 §2: only what is secure from the MX record on counts.
#[test]
fn tlsa_records_count_where_all_that_leads_to_them_is_secure() {
    let must = "DANE: the certificate must match TLSA";
    let of = |mx, a, tlsa| {
        policies(&[("mx blue.example", mx), ("a mx.b", a), ("tlsa _25._tcp.mx.b", tlsa)], "blue.example").join("; ")
    };
    assert_eq!(of("+10 mx.b", "+192.0.2.1", "+3 1 1"), format!("mx.b: {must} 3 1 1"));
    assert_eq!(of("+10 mx.b", "+192.0.2.1", "+2 0 1, 3 1 1"), format!("mx.b: {must} 3 1 1, 2 0 1"));
    assert_eq!(of("10 mx.b", "+192.0.2.1", "+3 1 1"), format!("mx.b: {NO_POLICY}"), "the MX record is not secure");
    assert_eq!(of("+10 mx.b", "192.0.2.1", "+3 1 1"), format!("mx.b: {NO_POLICY}"), "the address is not secure");
    assert_eq!(of("+10 mx.b", "192.0.2.1", "FAIL"), format!("mx.b: {NO_POLICY}"), "nobody asks for TLSA then");
    assert_eq!(of("+10 mx.b", "+192.0.2.1", "3 1 1"), format!("mx.b: {NO_POLICY}"), "the record is not secure");
    assert_eq!(of("+10 mx.b", "+192.0.2.1", "NODATA"), format!("mx.b: {NO_POLICY}"));
    assert_eq!(
        of("+10 mx.b", "+192.0.2.1", "+1 0 1"),
        "mx.b: DANE: encrypted, by any certificate, since TLSA 1 0 1 can't be used"
    );
    assert_eq!(
        of("+10 mx.b", "+192.0.2.1", "FAIL"),
        "mx.b: DANE: not to be tried now, since its TLSA records can't be looked up: TLSA of _25._tcp.mx.b: SERVFAIL"
    );
}

/// Each host by itself: one that can't be judged holds up no other.
#[test]
fn each_host_has_its_own_policy() {
    let records = [
        ("mx blue.example", "+10 mx.b, 20 mx.elsewhere"),
        ("a mx.b", "+192.0.2.1"),
        ("aaaa mx.b", "+2001:db8::1"),
        ("tlsa _25._tcp.mx.b", "+3 1 1"),
        ("a mx.elsewhere", "192.0.2.2"),
        // Of the two addresses of this one only one is secure.
        ("mx half.example", "+10 half.b"),
        ("a half.b", "+192.0.2.3"),
        ("aaaa half.b", "2001:db8::3"),
        ("tlsa _25._tcp.half.b", "+3 1 1"),
        // No MX: the domain itself.
        ("mx alone.example", "NODATA"),
        ("a alone.example", "+192.0.2.4"),
        ("tlsa _25._tcp.alone.example", "+3 1 1"),
        // A fixed next hop on its own port.
        ("a hop.example", "+192.0.2.5"),
        ("tlsa _2525._tcp.hop.example", "+3 1 1"),
    ];
    let must = "DANE: the certificate must match TLSA 3 1 1";
    assert_eq!(policies(&records, "blue.example"), [format!("mx.b: {must}"), format!("mx.elsewhere: {NO_POLICY}")]);
    assert_eq!(policies(&records, "half.example"), [format!("half.b: {NO_POLICY}")]);
    assert_eq!(policies(&records, "alone.example"), [format!("alone.example: {must}")]);
    assert_eq!(policies(&records, "named.example"), [format!("hop.example: {must}")]);
    assert_eq!(policies(&records, "branch.example"), [format!("10.0.0.5: {NO_POLICY}")]);
}

/// RFC 7672 §2.2.2, §3.2.2: the name at the end of the CNAMEs first; the names that a certificate may have.
#[test]
fn an_alias_has_the_records_of_its_end_or_its_own() {
    let dane = |records: &[(&'static str, &'static str)]| {
        let route = decide(records, &routing(), &Domain::from_ascii("blue.example").unwrap());
        let Verdict::Hosts(hosts) = route.verdict else { panic!("{:?}", route.verdict) };
        let Policy::Dane(dane) = hosts[0].policy.clone() else { panic!("{:?}", hosts[0].policy) };
        (dane.sni().to_owned(), dane.names().join(" "))
    };
    let way = [("mx blue.example", "+10 alias.b"), ("a alias.b", "+real.b: 192.0.2.1")];
    let end = ("tlsa _25._tcp.real.b", "+3 1 1");
    let own = ("tlsa _25._tcp.alias.b", "+2 1 1");
    assert_eq!(dane(&[way[0], way[1], end, own]), ("real.b".into(), "real.b blue.example alias.b".into()));
    assert_eq!(dane(&[way[0], way[1], own]), ("alias.b".into(), "alias.b blue.example".into()));
}
