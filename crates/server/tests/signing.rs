//! Signatures of what users send: every copy bears them, and they are good; what others wrote is not signed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod scene;

use std::sync::Arc;

use mail::Timestamp;
use scene::World;
use scene::client::Client;
use server::control::{Context, KeyAct, KeyView, Request, execute};
use server::listen::Service;
use server::signing::Sign;
use server::{Settings, SystemClock};
use store::conformance::domain;
use store::{Store, What};
use testkit::socket::Socket;
use testkit::transcript::{Enough, Subject as _};
use trust::Letter;
use trust::dns::{Answers, Question, Said};

/// The operator's command on the keys of red.example.
fn keys(world: &World, act: KeyAct) -> Result<Vec<KeyView>, String> {
    keys_of(world, "red.example", act)
}

fn keys_of(world: &World, name: &str, act: KeyAct) -> Result<Vec<KeyView>, String> {
    let settings = Settings::new(domain("mail.red.example"));
    let context = Context::alone(world.store.clone(), Arc::new(SystemClock), settings);
    let request = Request::Dkim { domain: Some(domain(name)), act };
    let done = world.runtime.block_on(execute(&context, request));
    done.map(|value| serde_json::from_value(value).unwrap())
}

/// A user's client, logged in.
struct User(Socket);

impl User {
    fn of(world: &mut World) -> Self {
        let server = world.serve(Service::Submission, true, |_| ());
        let mut user = Self(Socket::connect(server, Some((world.trusted.clone(), "mail.red.example"))).unwrap());
        user.hear("220");
        user.say("STARTTLS", "220");
        user.0.start_tls().unwrap();
        user.say("EHLO client.example", "250");
        user.say("AUTH PLAIN AGFsaWNlQHJlZC5leGFtcGxlAHNlY3JldA==", "235");
        user
    }

    fn hear(&mut self, wanted: &str) {
        let mut enough = |said: &[u8]| {
            let text = String::from_utf8_lossy(said);
            let last = text.trim_end().rsplit("\r\n").next().unwrap_or_default();
            let whole = text.ends_with("\r\n") && last.as_bytes().get(3) == Some(&b' ');
            if whole { Enough::Yes } else { Enough::No }
        };
        let said = self.0.receive(&mut enough).unwrap();
        let text = String::from_utf8_lossy(&said.bytes).into_owned();
        assert!(text.starts_with(wanted), "{text}");
    }

    fn say(&mut self, line: &str, wanted: &str) {
        self.0.send(format!("{line}\r\n").as_bytes()).unwrap();
        self.hear(wanted);
    }

    fn send(&mut self, to: &[&str], message: &str) {
        self.say("MAIL FROM:<alice@red.example>", "250");
        for to in to {
            self.say(&format!("RCPT TO:<{to}>"), "250");
        }
        self.say("DATA", "354");
        self.say(&format!("{message}\r\n."), "250");
    }
}

/// The verdicts on the signatures of a message, by these records.
fn verdicts(message: &str, keys: &[KeyView]) -> Vec<(String, String)> {
    let mut letter = Letter::read(message.as_bytes());
    while letter.hash_more() {}
    let mut answers = Answers::default();
    for key in keys {
        answers.put(Question::Txt(key.name.clone()), Said::Txt(vec![key.record.clone().into_bytes()]));
    }
    let now = Timestamp::from_secs(i64::from(u32::MAX));
    let checked = trust::dkim::verify(&letter, &answers, now).unwrap();
    checked.into_iter().map(|one| (one.selector, one.verdict.to_string())).collect()
}

#[test]
fn what_users_send_is_signed_with_every_key() {
    let mut world = World::new();
    world.inspectors = vec![Arc::new(Sign::new(world.store.clone()))];
    let first = keys(&world, KeyAct::Rotate).unwrap();
    assert_eq!(
        first.iter().map(|key| (&*key.kind, &*key.state)).collect::<Vec<_>>(),
        [("rsa", "signing"), ("ed25519", "signing")]
    );
    let mut alice = User::of(&mut world);
    let message = "From: Alice <alice@red.example>\r\nTo: bob@red.example\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n\
                   Date: Tue, 24 Nov 2026 01:05:10 +0000\r\nMessage-ID: <signed@red.example>\r\n\r\nHello \r\n\r\n";
    alice.send(&["bob@red.example", "carol@elsewhere.example"], message);
    let copy = world.inbox("bob@red.example").remove(0);
    let good = |keys: &[KeyView]| keys.iter().map(|key| (key.selector.clone(), "pass".to_owned())).collect::<Vec<_>>();
    assert_eq!(verdicts(&copy, &first), good(&first));
    // Another From above it, or another word in it, and the signatures are good no more.
    for forged in [format!("From: eve@red.example\r\n{copy}"), copy.replacen("Hello", "Hallo", 1)] {
        assert!(verdicts(&forged, &first).iter().all(|(_, verdict)| verdict == "fail"), "{forged}");
    }
    // The copy that leaves has them, too.
    let queued = world.runtime.block_on(world.store.queue_messages(None, 9)).unwrap();
    let prefix = String::from_utf8_lossy(&queued[0].recipients[0].prefix).into_owned();
    assert_eq!(prefix.matches("DKIM-Signature: ").count(), 2);
    let journeys = world.runtime.block_on(world.store.journeys(&store::JourneyQuery::Id(queued[0].id), 1)).unwrap();
    let told = journeys[0].events.iter().find_map(|event| match &event.what {
        What::Signed { domain, selectors } => Some((domain.clone(), selectors.clone())),
        _ => None,
    });
    assert_eq!(told, Some(("red.example".into(), first.iter().map(|key| key.selector.clone()).collect())));

    // New keys wait; the old ones sign until they are activated.
    let second = keys(&world, KeyAct::Rotate).unwrap();
    assert!(second.iter().all(|key| key.state == "waiting"));
    assert!(keys(&world, KeyAct::Rotate).unwrap_err().contains("still waits"));
    alice.send(&["bob@red.example"], message);
    let all = [&first[..], &second].concat();
    assert_eq!(verdicts(&world.inbox("bob@red.example")[1], &all), good(&first));
    // Nobody answers for DNS here.
    let refused = keys(&world, KeyAct::Activate { force: false }).unwrap_err();
    assert!(refused.contains("is not in DNS yet") && refused.contains(&second[0].line), "{refused}");
    assert_eq!(keys(&world, KeyAct::Activate { force: true }).unwrap().len(), 4);
    alice.send(&["bob@red.example"], message);
    assert_eq!(verdicts(&world.inbox("bob@red.example")[2], &all), good(&second));
    let signing = second[0].selector.clone();
    assert!(keys(&world, KeyAct::Remove(signing.clone())).unwrap_err().contains("retire it first"));
    assert!(keys(&world, KeyAct::Retire("nothing".into())).is_err());
    keys(&world, KeyAct::Retire(signing.clone())).unwrap();
    assert_eq!(keys(&world, KeyAct::Remove(signing)).unwrap().len(), 3);
}

#[test]
fn what_others_wrote_is_not_signed() {
    let mut world = World::new();
    world.inspectors = vec![Arc::new(Sign::new(world.store.clone()))];
    keys(&world, KeyAct::Rotate).unwrap();
    let mut client = Client::connect(world.serve(Service::Smtp, false, |_| ()));
    let message = "From: alice@red.example\r\nSubject: forged\r\n\r\nHello";
    assert!(client.send("carol@elsewhere.example", &["bob@red.example"], message).starts_with("250 "));
    assert!(!world.inbox("bob@red.example")[0].contains("DKIM-Signature"));
    // Nor what a user writes in the name of another's domain here.
    let _ = world.runtime.block_on(world.store.add_domain(&domain("other.example"))).unwrap();
    keys_of(&world, "other.example", KeyAct::Rotate).unwrap();
    let mut alice = User::of(&mut world);
    alice.send(&["bob@red.example"], "From: eve@other.example\r\nSubject: forged\r\n\r\nHello");
    assert!(!world.inbox("bob@red.example")[1].contains("DKIM-Signature"));
}
