//! Who is let in, with a clock and names of the test's own.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;

use async_trait::async_trait;
use mail::Timestamp;

use super::*;
use crate::world::{Answer, Belief, Mx};

struct Time(Mutex<Timestamp>);

#[async_trait]
impl Clock for Time {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, _: Duration) {}
}

/// Names and what stands under them; `?` is a server that does not answer.
struct Names(HashMap<&'static str, &'static str>);

impl Names {
    fn get<T>(&self, name: &str, read: impl Fn(&str) -> T) -> Answer<T> {
        match self.0.get(name) {
            None => Answer::NoDomain,
            Some(&"?") => Answer::Temporary("silence".into()),
            Some(text) => Answer::Found(vec![read(text)], Belief::until(Duration::from_secs(60))),
        }
    }
}

#[async_trait]
impl Dns for Names {
    async fn mx(&self, _: &str) -> Answer<Mx> {
        Answer::NoData
    }

    async fn ipv4(&self, name: &str) -> Answer<Ipv4Addr> {
        self.get(name, |text| text.parse().unwrap())
    }

    async fn ipv6(&self, _: &str) -> Answer<Ipv6Addr> {
        Answer::NoData
    }

    async fn txt(&self, _: &str) -> Answer<Vec<u8>> {
        Answer::NoData
    }

    async fn ptr(&self, ip: IpAddr) -> Answer<String> {
        self.get(&ip.to_string(), str::to_owned)
    }
}

const ZONES: [(&str, &str); 9] = [
    ("1.2.0.192.bad.example", "127.0.0.2"),
    ("2.2.0.192.bad.example", "127.255.255.254"),
    ("3.2.0.192.bad.example", "198.51.100.1"),
    ("4.2.0.192.bad.example", "?"),
    ("5.2.0.192.bad.example", "127.0.0.2"),
    ("5.2.0.192.good.example", "127.0.0.2"),
    ("192.0.2.6", "mx.far.example"),
    ("mx.far.example", "192.0.2.6"),
    ("192.0.2.7", "mx.far.example"),
];

fn door(rules: Rules) -> (Arc<Door>, Arc<Time>) {
    let time = Arc::new(Time(Mutex::new(Timestamp::from_secs(1_700_000_000))));
    (Door::new(time.clone(), Some(Arc::new(Names(HashMap::from(ZONES)))), rules), time)
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn address(text: &str) -> Address {
    let (local, domain) = text.split_once('@').unwrap();
    Address::new(local, Domain::from_ascii(domain).unwrap()).unwrap()
}

fn path(text: &str) -> ReversePath {
    ReversePath::Address(address(text))
}

async fn asked(door: &Door, ip: IpAddr, recipient: &str) -> String {
    let judged = door.recipient(ip, &path("s@far.example"), &address(recipient)).await;
    judged.map_or_else(|refusal| format!("{}: {}", refusal.rule, refusal.reply), |()| "taken".into())
}

/// A rate counts for the address, and for its network `POLICY_NETWORK_TIMES` of it; loopback is exempt. The defaults are
/// `POLICY_CONNECTIONS`, `POLICY_MESSAGES`, `POLICY_RECIPIENTS` and `POLICY_ACCOUNT_RECIPIENTS`.
#[tokio::test]
async fn rates_say_when_to_come_again() {
    let (door, time) = door(Rules { messages: 60, ..Rules::default() });
    let sender = path("s@far.example");
    for _ in 0..60 {
        door.sender(ip(1), &sender).unwrap();
    }
    let refused = door.sender(ip(1), &sender).unwrap_err();
    assert_eq!(refused.rule, "rate-messages");
    assert_eq!(refused.reply.to_string(), "450 4.7.1 Too many messages from 192.0.2.1, come again in 60 seconds");
    *time.0.lock().unwrap() = time.now().plus(Duration::from_secs(60));
    door.sender(ip(1), &sender).unwrap();
    // Its neighbours have what is left of four times as much.
    let mut taken = 0;
    for n in 2..=255 {
        taken += usize::from(door.sender(ip(n), &sender).is_ok());
    }
    assert!((175..=185).contains(&taken), "{taken}");
    for _ in 0..100 {
        door.sender(IpAddr::from([127, 0, 0, 1]), &sender).unwrap();
    }
    let (door, _) = self::door(Rules::default());
    let most = |what: &dyn Fn() -> bool| (0..).find(|_| !what()).unwrap();
    assert_eq!(most(&|| door.connection(ip(1)).is_ok()), limits::POLICY_CONNECTIONS);
    assert_eq!(most(&|| door.sender(ip(1), &sender).is_ok()), limits::POLICY_MESSAGES);
    assert_eq!(most(&|| door.account(&address("a@x.example")).is_ok()), limits::POLICY_ACCOUNT_RECIPIENTS);
    for n in 0..=limits::POLICY_RECIPIENTS {
        let said = asked(&door, ip(1), "a@x.example").await;
        assert_eq!(said.starts_with("rate-recipients: 450 4.7.1"), n == limits::POLICY_RECIPIENTS, "{n} {said}");
    }
    let refused = door.connection(ip(1)).unwrap_err().reply.to_string();
    assert!(refused.starts_with("421 4.7.0 Too many connections from 192.0.2.1, come again in "), "{refused}");
}

#[tokio::test]
async fn lists_of_addresses() {
    let list = |name| vec![Domain::from_ascii(name).unwrap()];
    let rules = Rules { blocklists: list("bad.example"), allowlists: list("good.example"), ..Rules::default() };
    let (door, _) = door(rules);
    let listed = "blocklist: 554 5.7.1 192.0.2.1 is listed by bad.example; ask there, or write to postmaster";
    assert_eq!(asked(&door, ip(1), "a@x.example").await, listed);
    assert_eq!(asked(&door, ip(1), "postmaster@x.example").await, "taken");
    // The list refuses us, was parked, is silent, has never heard of it; another list vouches for it.
    for last in [2, 3, 4, 9, 5] {
        assert_eq!(asked(&door, ip(last), "a@x.example").await, "taken", "{last}");
    }
}

/// At most `POLICY_NAMES` names are looked at, and one must lead back.
#[tokio::test]
async fn names_lead_back() {
    let (door, _) = door(Rules { reverse_dns: true, ..Rules::default() });
    assert_eq!(asked(&door, ip(6), "a@x.example").await, "taken");
    for last in [7, 8] {
        let said = asked(&door, ip(last), "a@x.example").await;
        assert!(said.starts_with("reverse-dns: 550 5.7.25 192.0.2."), "{said}");
    }
}

#[tokio::test]
async fn senders_and_recipients_that_are_refused() {
    let (refused_senders, refused_recipients) = (vec!["far.example".into()], vec!["only-here@x.example".into()]);
    let (door, _) = door(Rules { refused_senders, refused_recipients, ..Rules::default() });
    let refused = door.sender(ip(1), &path("S@FAR.example")).unwrap_err();
    assert_eq!(refused.reply.to_string(), "550 5.7.1 <S@far.example>: this sender is not accepted here");
    door.sender(ip(1), &path("s@near.example")).unwrap();
    door.sender(ip(1), &ReversePath::Null).unwrap();
    let said = asked(&door, ip(1), "Only-Here@x.example").await;
    assert_eq!(said, "refused-recipient: 550 5.7.1 <Only-Here@x.example>: takes no mail from elsewhere");
}

/// `GREYLIST_WAIT`, `GREYLIST_WINDOW` and `GREYLIST_KNOWN`: at the moment and just before it, also after a restart.
#[tokio::test]
async fn strangers_come_again() {
    let (door, time) = door(Rules { greylist: true, ..Rules::default() });
    let pass = |by: Duration| {
        let mut now = time.0.lock().unwrap();
        *now = now.plus(by);
    };
    let tick = Duration::from_millis(1);
    let said = asked(&door, ip(1), "a@x.example").await;
    assert_eq!(said, "greylist: 450 4.7.1 <a@x.example>: you are not known here yet, come again in 5 minutes");
    pass(limits::GREYLIST_WAIT - tick);
    assert!(asked(&door, ip(1), "a@x.example").await.ends_with("come again in 1 second"));
    // Kept, and known again.
    let kept = door.not_kept(time.now());
    let again = Door::new(time.clone(), None, Rules { greylist: true, ..Rules::default() });
    again.take_up(kept);
    pass(tick);
    // From the same network, as big senders do.
    assert_eq!(asked(&again, ip(2), "a@x.example").await, "taken");
    assert_eq!(asked(&again, ip(2), "b@x.example").await, "taken");
    pass(limits::GREYLIST_KNOWN - tick);
    assert_eq!(asked(&again, ip(2), "c@x.example").await, "taken");
    pass(limits::GREYLIST_KNOWN);
    assert!(asked(&again, ip(2), "a@x.example").await.starts_with("greylist"));
    // Who comes too late begins again.
    pass(limits::GREYLIST_WINDOW);
    assert!(asked(&again, ip(2), "a@x.example").await.ends_with("come again in 5 minutes"));
}

/// `GREYLIST_NAMES`: a network that comes under ever other names makes nobody forgotten who comes again.
#[tokio::test]
async fn a_crowd_of_names_hides_nobody() {
    let (door, time) = door(Rules { greylist: true, ..Rules::default() });
    let stranger = "198.51.100.7".parse().unwrap();
    assert!(asked(&door, stranger, "a@x.example").await.starts_with("greylist"));
    for n in 0..limits::GREYLIST_NAMES + 10 {
        assert!(asked(&door, ip(1), &format!("n{n}@x.example")).await.starts_with("greylist"));
    }
    let remembered = door.not_kept(time.now()).iter().filter(|(name, _)| name.starts_with(ONCE)).count();
    assert_eq!(remembered, 1 + limits::GREYLIST_NAMES as usize);
    *time.0.lock().unwrap() = time.now().plus(limits::GREYLIST_WAIT);
    assert_eq!(asked(&door, stranger, "a@x.example").await, "taken");
}
