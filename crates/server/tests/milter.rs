//! Filters of others (milters): what they hear at which step, and what becomes of each of their answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod scene;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mail::limits;
use mta::milter::{Door, FieldRule, Milter, Place, WhenDown};
use scene::World;
use scene::client::Client;
use server::listen::Service;
use store::{JourneyQuery, QueueState, Store, What};
use wire::milter::{Command, Negotiation, Response, packet, steps};

/// What a filter of the test says to what it hears: all answers but the last change the message.
type Script = fn(&str, &[u8]) -> Vec<Response<'static>>;

/// A filter that plays a script, and remembers what it heard.
struct Filter {
    milter: Milter,
    heard: Arc<Mutex<Vec<String>>>,
}

fn filter(name: &str, agreed: u32, script: Script) -> Filter {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = Place::Inet("127.0.0.1".into(), listener.local_addr().unwrap().port());
    let heard = Arc::new(Mutex::new(Vec::new()));
    std::thread::spawn({
        let heard = heard.clone();
        move || {
            for stream in listener.incoming() {
                let heard = heard.clone();
                std::thread::spawn(move || play(stream.unwrap(), agreed, script, &heard));
            }
        }
    });
    let milter = Milter {
        name: name.into(),
        place,
        on: vec![Door::Smtp, Door::Submission],
        timeout: Duration::from_secs(60),
        when_down: WhenDown::TempFail,
    };
    Filter { milter, heard }
}

fn play(mut stream: TcpStream, agreed: u32, script: Script, heard: &Mutex<Vec<String>>) {
    let (mut input, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let Some((whole, used)) = packet(&input).unwrap() else {
            match stream.read(&mut piece) {
                Ok(count) if count > 0 => input.extend_from_slice(&piece[..count]),
                _ => return,
            }
            continue;
        };
        let mut out = Vec::new();
        let command = Command::read(whole).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (line, what, body): (String, &str, &[u8]) = match &command {
            Command::Negotiate(ours) => {
                assert_eq!(*ours, Negotiation::OURS);
                Response::Negotiate(Negotiation { steps: agreed, ..*ours }).write(&mut out);
                ("OPEN".into(), "open", &[])
            }
            Command::Macros(stage, values) => {
                let values = values
                    .iter()
                    .filter(|(name, _)| *name != b"i")
                    .map(|(name, value)| format!(" {}={}", text(name), text(value)));
                (format!("{stage:?}:{}", values.collect::<String>()), "macros", &[])
            }
            Command::Connect(name, peer) => (format!("CONNECT {} {peer:?}", text(name)), "connect", &[]),
            Command::Hello(name) => (format!("HELO {}", text(name)), "helo", name),
            Command::Sender(words) => (format!("MAIL {}", text(&words.join(&b' '))), "mail", words[0]),
            Command::Recipient(words) => (format!("RCPT {}", text(&words.join(&b' '))), "rcpt", words[0]),
            Command::Data => ("DATA".into(), "data", &[]),
            Command::Header(name, value) => (format!("{}:{}", text(name), text(value)), "header", value),
            Command::EndOfHeader => ("EOH".into(), "eoh", &[]),
            Command::Body(piece) => (format!("BODY {}", piece.len()), "body", piece),
            Command::End(piece) => {
                assert!(piece.is_empty());
                ("END".into(), "end", &[])
            }
            Command::Abort => ("ABORT".into(), "abort", &[]),
            Command::Quit => ("QUIT".into(), "quit", &[]),
        };
        heard.lock().unwrap().push(line);
        let answers = match what {
            "open" | "macros" | "abort" => Vec::new(),
            "quit" => return,
            "header" if agreed & steps::MUTE_HEADER != 0 => Vec::new(),
            what => {
                let said = script(what, body);
                if said.is_empty() {
                    return;
                }
                said
            }
        };
        answers.iter().for_each(|answer| answer.write(&mut out));
        input.drain(..used);
        if stream.write_all(&out).is_err() {
            return;
        }
    }
}

fn go_on(_: &str, _: &[u8]) -> Vec<Response<'static>> {
    vec![Response::Continue]
}

fn last(world: &World) -> Vec<What> {
    let query = JourneyQuery::Address("carol@elsewhere.example".into());
    let journeys = world.runtime.block_on(world.store.journeys(&query, 1)).unwrap();
    journeys[0].events.iter().map(|event| event.what.clone()).collect()
}

fn told(world: &World) -> Vec<String> {
    let told = |what| match what {
        What::Filtered { milter, words } => Some(format!("{milter} {words}")),
        _ => None,
    };
    last(world).into_iter().filter_map(told).collect()
}

const FROM: &str = "carol@elsewhere.example";

/// One conversation for each session; each step at its time; nothing of the client's is changed by one that changes nothing.
#[test]
fn a_filter_hears_each_step_at_its_time() {
    let mut world = World::new();
    let one = filter("one", 0, go_on);
    let milters = vec![one.milter.clone()];
    let mut client = Client::connect(world.serve(Service::Smtp, false, |settings| settings.milters = milters));
    assert!(one.heard.lock().unwrap().is_empty(), "opened when it is needed");
    assert!(client.say(&format!("MAIL FROM:<{FROM}> SIZE=99")).starts_with("250 "));
    assert_eq!(one.heard.lock().unwrap().last().unwrap(), "MAIL <carol@elsewhere.example> SIZE=99");
    assert!(client.say("RCPT TO:<alice@red.example>").starts_with("250 "));
    assert!(client.say("RCPT TO:<nobody@red.example>").starts_with("550 5.1.1"));
    assert!(client.say("DATA").starts_with("354 "));
    assert!(client.say("Subject: Hi\r\n\tyou\r\nX: \r\n\r\nHello\r\n..\r\n.").starts_with("250 "));
    assert!(client.say(&format!("MAIL FROM:<{FROM}>")).starts_with("250 "));
    assert!(client.say("QUIT").starts_with("221 "));
    drop(client);
    let heard = one.heard.lock().unwrap().clone();
    let expected = "OPEN
Connect: j=mail.red.example {daemon_name}=smtp v=Postrider _=[127.0.0.1] [127.0.0.1] {client_addr}=127.0.0.1 {client_name}=[127.0.0.1] {client_ptr}=unknown
CONNECT [127.0.0.1] At(127.0.0.1:0)
HELO client.example
Sender: {mail_addr}=carol@elsewhere.example {mail_host}=elsewhere.example
MAIL <carol@elsewhere.example> SIZE=99
Recipient: {rcpt_addr}=alice@red.example {rcpt_host}=red.example
RCPT <alice@red.example>
Data:
DATA
Subject:Hi
\tyou
X:
EndOfHeader:
EOH
BODY 10
End:
END
ABORT
Sender: {mail_addr}=carol@elsewhere.example {mail_host}=elsewhere.example
MAIL <carol@elsewhere.example>";
    assert_eq!(heard[..expected.lines().count() - 1].join("\n"), expected);
    let inbox = world.inbox("alice@red.example");
    assert!(inbox[0].ends_with("\r\nSubject: Hi\r\n\tyou\r\nX: \r\n\r\nHello\r\n.\r\n"), "{}", inbox[0]);
    assert_eq!(told(&world), ["one lets it pass as it is"]);
}

fn changes(what: &str, body: &[u8]) -> Vec<Response<'static>> {
    match (what, body) {
        ("rcpt", b"<bob@red.example>") => vec![Response::Reply(b"550 5.7.1 not bob")],
        ("rcpt", b"<team@red.example>") => vec![Response::TempFail],
        ("end", _) => vec![
            Response::Progress,
            Response::AddHeader(b"X-Last", b"1\n\t2"),
            Response::InsertHeader(0, b"X-First", b"1"),
            Response::ChangeHeader(1, b"subject", b"Changed\r\nBcc: x"),
            Response::ChangeHeader(2, b"X", b""),
            Response::ChangeHeader(9, b"X-New", b"new"),
            Response::AddHeader(b"X-Spam", b"Yes"),
            Response::AddHeader(b"No Name", b"x"),
            Response::ReplaceBody(b"an"),
            Response::ReplaceBody(b"other\nbody\r"),
            Response::AddRecipient(b"<bob@red.example>", None),
            Response::AddRecipient(b"archive@elsewhere.example", Some(b"")),
            Response::AddRecipient(b"<nobody@red.example>", None),
            Response::ChangeSender(b"<dora@red.example>", None),
            Response::Continue,
        ],
        _ => vec![Response::Continue],
    }
}

fn second(what: &str, body: &[u8]) -> Vec<Response<'static>> {
    assert!(what != "body" || body == b"an\r\nother\r\nbody\r\n" || body == b"another\r\nbody\r\n");
    vec![Response::Continue]
}

/// Each change, before the commit; the next filter sees what the one before made of it.
#[test]
fn changes_are_made_before_the_commit() {
    let mut world = World::new();
    let filters = [filter("one", steps::MUTE_HEADER, changes), filter("two", 0, second)];
    let milters: Vec<_> = filters.iter().map(|filter| filter.milter.clone()).collect();
    let mut client = Client::connect(world.serve(Service::Smtp, false, |settings| {
        (settings.milters, settings.junk_header) = (milters, FieldRule::parse("X-Spam: Yes").unwrap());
    }));
    assert!(client.say(&format!("MAIL FROM:<{FROM}>")).starts_with("250 "));
    assert_eq!(client.say("RCPT TO:<bob@red.example>"), "550 5.7.1 not bob");
    let later = "451 4.7.1 A filter of this system asks you to try again later";
    assert_eq!(client.say("RCPT TO:<team@red.example>"), later);
    assert!(client.say("RCPT TO:<alice@red.example>").starts_with("250 "));
    assert!(client.say("DATA").starts_with("354 "));
    let large = "0123456789abcde\r\n".repeat(limits::BODY_IN_MEMORY / 16);
    assert!(client.say(&format!("Subject: Hi\r\nX: 1\r\nX: 2\r\n\r\n{large}.")).starts_with("250 "));

    let junk = world.mailbox("alice@red.example", "Junk");
    let (top, rest) = junk[0].split_once("Received: ").unwrap();
    assert_eq!(top, "Return-Path: <dora@red.example>\r\nDelivered-To: alice@red.example\r\n");
    let (_, rest) = rest.split_once("+0000\r\n").unwrap();
    let expected = "X-First: 1\r\nsubject: Changed\r\n\tBcc: x\r\nX: 1\r\nX-Last: 1\r\n\t2\r\nX-New: new\r\nX-Spam: Yes\r\n\r\n\
                    another\r\nbody\r\n";
    assert_eq!(rest, expected);
    assert_eq!(world.mailbox("bob@red.example", "Junk").len(), 1);
    let queued = world.runtime.block_on(world.store.queue_messages(None, 9)).unwrap();
    assert_eq!(queued[0].recipients[0].address.to_string(), "archive@elsewhere.example");
    let query = JourneyQuery::Address("alice@red.example".into());
    let journey = world.runtime.block_on(world.store.journeys(&query, 1)).unwrap().remove(0);
    let words = journey.events.iter().filter_map(|event| match &event.what {
        What::Filtered { milter, words } => Some(format!("{milter}: {words}")),
        _ => None,
    });
    let words: Vec<_> = words.collect();
    assert!(
        words[0].starts_with("one: adds X-Last; adds X-First; changes subject; takes away X; adds X-New; "),
        "{words:?}"
    );
    assert_eq!(words[1], "two: lets it pass as it is");
    assert!(words[2].contains("a recipient is not added: 550 5.1.1 <nobody@red.example>"), "{words:?}");
    let seen = filters[1].heard.lock().unwrap().clone();
    assert!(seen.contains(&"X-First:1".to_owned()) && seen.contains(&"BODY 15".to_owned()), "{seen:?}");
    // The refusal bears the filter's name.
    let refusals = world.runtime.block_on(world.store.refusals(9)).unwrap();
    assert!(refusals.iter().any(|event| matches!(&event.what, What::Refused { rule, .. } if rule == "milter one")));
}

fn by_sender(what: &str, body: &[u8]) -> Vec<Response<'static>> {
    match (what, body) {
        ("mail", b"<reject@x.example>") => vec![Response::Reject],
        ("mail", b"<discard@x.example>") => vec![Response::Discard],
        ("mail", b"<accept@x.example>") => vec![Response::Accept],
        ("mail", b"<silent@x.example>") => Vec::new(),
        ("mail", b"<bad@x.example>") => vec![Response::Reply(b"250 2.0.0 no refusal")],
        ("body", b"late\r\n") => vec![Response::Reply(b"552 5.3.4 late")],
        ("body", b"hold\r\n") => vec![Response::Skip],
        ("end", _) => vec![Response::Quarantine(b"who knows"), Response::Continue],
        _ => vec![Response::Continue],
    }
}

/// Every way to end.
#[test]
fn a_filter_refuses_discards_and_keeps_back() {
    let mut world = World::new();
    let one = filter("one", 0, by_sender);
    let milters = vec![one.milter.clone()];
    let address = world.serve(Service::Smtp, false, |settings| settings.milters = milters);
    let mut client = Client::connect(address);
    let refused = "550 5.7.1 Refused by a filter of this system";
    assert_eq!(client.say("MAIL FROM:<reject@x.example>"), refused);
    let down = "451 4.7.1 A filter of this system does not answer, try again later";
    assert_eq!(client.say("MAIL FROM:<silent@x.example>"), down);
    assert_eq!(client.say("MAIL FROM:<bad@x.example>"), down);

    assert!(
        client
            .send("discard@x.example", &["alice@red.example", "bob@red.example"], "A: b\r\n\r\nc")
            .starts_with("250 ")
    );
    assert!(client.send("accept@x.example", &["alice@red.example"], "A: b\r\n\r\nlate").starts_with("250 "));
    assert_eq!(client.send("some@x.example", &["alice@red.example"], "A: b\r\n\r\nlate"), "552 5.3.4 late");
    assert_eq!(world.inbox("alice@red.example").len(), 1);

    let to = ["alice@red.example", "out@red.example"];
    assert!(client.send("some@x.example", &to, "A: b\r\n\r\nhold").starts_with("250 "));
    assert_eq!(world.inbox("alice@red.example").len(), 1);
    let queued = world.runtime.block_on(world.store.queue_messages(None, 9)).unwrap();
    assert_eq!(queued[0].recipients.len(), 2);
    assert!(queued[0].recipients.iter().all(|recipient| recipient.state == QueueState::Held));
    let balance = world.runtime.block_on(world.store.balance()).unwrap();
    assert_eq!((balance.accepted, balance.discarded, balance.delivered, balance.queued), (5, 2, 1, 2));
}

/// While a filter is down, mail waits at its senders or is taken without it, as is wanted.
#[test]
fn a_filter_that_is_down() {
    let mut world = World::new();
    let mut one = filter("one", 0, go_on).milter;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    one.place = Place::Inet(closed.ip().to_string(), closed.port());
    let mut milters = vec![one];
    let address = world.serve(Service::Smtp, false, |settings| settings.milters.clone_from(&milters));
    let down = "451 4.7.1 A filter of this system does not answer, try again later";
    assert_eq!(Client::connect(address).say(&format!("MAIL FROM:<{FROM}>")), down);

    milters[0].when_down = WhenDown::Accept;
    let dies = filter("dies", 0, |what, _| if what == "end" { Vec::new() } else { vec![Response::Continue] }).milter;
    milters.push(Milter { when_down: WhenDown::Accept, ..dies });
    let mute = Milter { on: vec![Door::Submission], ..milters[1].clone() };
    milters.push(mute);
    let address = world.serve(Service::Smtp, false, |settings| settings.milters = milters);
    assert!(Client::connect(address).send(FROM, &["alice@red.example"], "A: b\r\n\r\nc").starts_with("250 "));
    let told = told(&world);
    assert!(told[0].starts_with("one it is taken without it: ") || told[0].contains("taken without it"), "{told:?}");
    assert_eq!((told.len(), world.inbox("alice@red.example").len()), (2, 1));
}

/// `MILTER_CHANGES`: so many, and one more.
#[test]
fn changes_are_bounded() {
    fn many(what: &str, body: &[u8]) -> Vec<Response<'static>> {
        static MORE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        if what == "helo" {
            MORE.store(usize::from(body == b"more.example"), std::sync::atomic::Ordering::SeqCst);
        }
        if what != "end" {
            return vec![Response::Continue];
        }
        let count = limits::MILTER_CHANGES + MORE.load(std::sync::atomic::Ordering::SeqCst);
        let mut all = vec![Response::AddHeader(b"X", b"1"); count];
        all.push(Response::Continue);
        all
    }
    let mut world = World::new();
    let milters = vec![filter("many", 0, many).milter];
    let mut client = Client::connect(world.serve(Service::Smtp, false, |settings| settings.milters = milters));
    assert!(client.send(FROM, &["alice@red.example"], "A: b\r\n\r\nc").starts_with("250 "));
    assert!(client.say("EHLO more.example").contains("250 HELP"));
    assert!(client.send(FROM, &["alice@red.example"], "A: b\r\n\r\nc").starts_with("451 4.7.1 "));
    let inbox = world.inbox("alice@red.example");
    assert_eq!((inbox.len(), inbox[0].matches("\r\nX: 1\r\n").count() > 400), (1, true));
}

/// A filter that is lost at one recipient lets neither the next one nor the message pass; the next message asks it anew.
#[test]
fn a_filter_that_is_lost_on_the_way() {
    fn dies_at_one(what: &str, body: &[u8]) -> Vec<Response<'static>> {
        if what == "rcpt" && body == b"<alice@red.example>" { Vec::new() } else { vec![Response::Continue] }
    }
    let dying = filter("dying", 0, dies_at_one);
    let mut world = World::new();
    let milters = vec![dying.milter];
    let mut client = Client::connect(world.serve(Service::Smtp, false, |settings| settings.milters = milters));
    let down = "451 4.7.1 A filter of this system does not answer, try again later";
    assert!(client.say("MAIL FROM:<carol@elsewhere.example>").starts_with("250 "));
    assert!(client.say("RCPT TO:<bob@red.example>").starts_with("250 "));
    assert_eq!(client.say("RCPT TO:<alice@red.example>"), down);
    assert_eq!(client.say("RCPT TO:<team@red.example>"), down);
    assert!(client.say("DATA").starts_with("354 "));
    assert_eq!(client.say("Subject: x\r\n\r\ny\r\n."), down);
    assert_eq!(world.inbox("bob@red.example").len(), 0);
    assert!(client.send("carol@elsewhere.example", &["bob@red.example"], "Subject: x\r\n\r\ny").starts_with("250 "));
}
