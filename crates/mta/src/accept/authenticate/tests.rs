//! What becomes of a message by what DNS says of those who claim to have sent it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;

use mail::{Address, BodyType, Envelope, QueueId, Recipient, ReversePath};
use wire::smtp::server::Hello;

use super::super::Client;
use super::*;
use crate::world::Mx;

/// TXT records alone; what is not there is no name. A name with `slow` in it is never answered.
#[derive(Default)]
struct Zone {
    records: HashMap<&'static str, &'static str>,
    asked: Mutex<usize>,
}

#[async_trait]
impl Dns for Zone {
    async fn mx(&self, _: &str) -> Answer<Mx> {
        Answer::NoDomain
    }
    async fn ipv4(&self, _: &str) -> Answer<Ipv4Addr> {
        *self.asked.lock().unwrap() += 1;
        Answer::Temporary("not here".into())
    }
    async fn ipv6(&self, _: &str) -> Answer<Ipv6Addr> {
        Answer::NoDomain
    }
    async fn txt(&self, name: &str) -> Answer<Vec<u8>> {
        *self.asked.lock().unwrap() += 1;
        if name.contains("slow") {
            std::future::pending::<()>().await;
        }
        match self.records.get(name) {
            Some(text) => {
                Answer::Found(vec![text.as_bytes().to_vec()], crate::world::Belief::until(Duration::from_secs(60)))
            }
            None => Answer::NoDomain,
        }
    }
}

fn zone() -> Arc<Zone> {
    let records = HashMap::from([
        ("ours.example", "v=spf1 ip4:192.0.2.0/24 -all"),
        ("_dmarc.ours.example", "v=DMARC1; p=reject"),
        ("other.example", "v=spf1 ip4:198.51.100.0/24 -all"),
        ("_dmarc.junk.example", "v=DMARC1; p=quarantine"),
    ]);
    Arc::new(Zone { records, ..Zone::default() })
}

async fn look(enforce: Enforce, client: &Client, mail_from: &str, from: &str, dns: Arc<Zone>) -> Findings {
    let address = |text: &str| {
        let (local, domain) = text.split_once('@').unwrap();
        Address::new(local, Domain::from_ascii(domain).unwrap()).unwrap()
    };
    let exempt = Box::new(|ip: IpAddr| ip.is_loopback());
    let hostname = Domain::from_ascii("mx.here.example").unwrap();
    let authenticate = Authenticate { dns, hostname, enforce, exempt };
    let message = format!("Received: x\r\nFrom: {from}\r\n\r\nHello.\r\n");
    let envelope = Envelope {
        reverse_path: ReversePath::Address(address(mail_from)),
        recipients: vec![Recipient::new(address("bob@here.example"))],
        body: BodyType::SevenBit,
        smtputf8: false,
        dsn_return: None,
        envelope_id: None,
        hold: None,
    };
    let inspection = Inspection {
        id: QueueId::from_u64(1),
        client,
        hello: &Hello { name: "mail.ours.example".into(), extended: true },
        envelope: &envelope,
        message: message.as_bytes(),
        ours: "Received: x\r\n".len(),
        at: Timestamp::from_secs(1_795_000_000),
        findings: &Findings::default(),
    };
    authenticate.inspect(&inspection).await
}

fn client(ip: &str) -> Client {
    Client { ip: ip.parse().unwrap(), role: Role::Mx, tls: None, identity: Identity::Stranger, trusted: None }
}

fn words(findings: &Findings) -> &str {
    match &findings.events.first().unwrap().what {
        What::Authenticated { words, .. } => words,
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_domain_wants_is_done() {
    let stranger = client("203.0.113.7");
    let found = look(Enforce::Yes, &client("192.0.2.9"), "al@ours.example", "al@ours.example", zone()).await;
    assert_eq!(words(&found), "it is from ours.example: its server is one of that domain's");
    let field = String::from_utf8(found.top).unwrap();
    assert_eq!(
        field,
        "Authentication-Results: mx.here.example;\r\n\tspf=pass smtp.mailfrom=al@ours.example;\r\n\tspf=none \
         smtp.helo=mail.ours.example;\r\n\tdkim=none;\r\n\tdmarc=pass (p=reject) header.from=ours.example\r\n"
    );
    let found = look(Enforce::Yes, &stranger, "al@ours.example", "al@ours.example", zone()).await;
    let refusal = found.refusal.unwrap();
    assert_eq!((refusal.rule, refusal.reply.code.get()), ("dmarc", 550));
    let found = look(Enforce::Report, &stranger, "al@ours.example", "al@ours.example", zone()).await;
    assert!(found.refusal.is_none() && !found.junk);
    assert!(words(&found).ends_with("which wants such mail refused; this server only says so"), "{}", words(&found));
    let found = look(Enforce::Yes, &stranger, "al@junk.example", "al@junk.example", zone()).await;
    assert!(found.junk && found.refusal.is_none());
    assert_eq!(found.clues[0].says, "nothing shows that it is from junk.example");
    // SPF alone refuses nothing.
    let found = look(Enforce::Yes, &stranger, "al@other.example", "al@elsewhere.example", zone()).await;
    assert!(!found.junk && found.refusal.is_none());
    assert!(String::from_utf8_lossy(&found.top).contains("spf=fail smtp.mailfrom=al@other.example;"));
    assert_eq!(words(&found), "elsewhere.example does not say how to tell its mail");
}

#[tokio::test]
async fn who_is_known_is_not_asked() {
    let nothing = |found: Findings| found.top.is_empty() && found.events.is_empty() && found.refusal.is_none();
    let (dns, from) = (zone(), "al@ours.example");
    assert!(nothing(look(Enforce::Off, &client("203.0.113.7"), from, from, dns.clone()).await));
    assert!(nothing(look(Enforce::Yes, &client("127.0.0.1"), from, from, dns.clone()).await));
    let submission = Client { role: Role::Submission, ..client("203.0.113.7") };
    assert!(nothing(look(Enforce::Yes, &submission, from, from, dns.clone()).await));
    assert_eq!(*dns.asked.lock().unwrap(), 0);
}

/// `AUTHENTICATION_TIME`: what DNS has not said by then can't be known now, and nobody is refused for it.
#[tokio::test(start_paused = true)]
async fn the_time_is_bounded() {
    let began = Instant::now();
    let found = look(Enforce::Yes, &client("203.0.113.7"), "al@slow.example", "al@slow.example", zone()).await;
    assert_eq!(began.elapsed(), limits::AUTHENTICATION_TIME);
    assert!(found.refusal.is_none());
    assert_eq!(words(&found), "whether it is from slow.example can't be found out now");
}

/// `AUTHENTICATION_QUESTIONS`: as many are asked; one more counts as not answered.
#[tokio::test]
async fn the_number_of_questions_is_bounded() {
    let count = |wanted: usize| async move {
        let dns = zone();
        let exempt = Box::new(|_: IpAddr| false);
        let hostname = Domain::from_ascii("mx.here.example").unwrap();
        let authenticate = Authenticate { dns: dns.clone(), hostname, enforce: Enforce::Yes, exempt };
        let (first, asked) = (Mutex::new(true), (0..wanted).map(|n| Question::Txt(format!("{n}.example"))));
        let asked: Vec<_> = asked.collect();
        authenticate
            .resolve(|_| if std::mem::take(&mut *first.lock().unwrap()) { Err(Missing(asked.clone())) } else { Ok(()) })
            .await;
        *dns.asked.lock().unwrap()
    };
    assert_eq!(count(limits::AUTHENTICATION_QUESTIONS).await, limits::AUTHENTICATION_QUESTIONS);
    assert_eq!(count(limits::AUTHENTICATION_QUESTIONS + 1).await, limits::AUTHENTICATION_QUESTIONS);
}
