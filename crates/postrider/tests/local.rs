//! `postrider local` from end to end, as a newcomer uses it: through its commands and ports.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod local_system;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use local_system::{Local, PATIENCE, PROGRAM};
use smallnet::dns::DnsServer;
use smallnet::plan::Plan;
use testkit::socket::Socket;
use testkit::transcript::{Subject, Transcript, run_those};

#[test]
fn a_mail_from_alice_to_bob_takes_the_whole_way() {
    let mut local = Local::start(&[]);
    for (scheme, offset, subject) in [("smtp", 587, "by STARTTLS"), ("smtps", 465, "by TLS")] {
        let server = format!("{scheme}://127.0.0.1:{}", local.port(offset));
        let ca = local.ca();
        let user = ["--ca", &ca, "--user", "alice@red.example", "--to", "bob@blue.example", "--subject", subject];
        local.must(&[&["mail", "send", "--server", &server][..], &user[..]].concat(), "alice", "Hello Bob!\n");
        local.until(subject, || local.list("bob", "blue"));
    }
    let trace = local.until("delivered", || local.trace("bob@blue.example"));
    for expected in
        ["mail.red.example", "mail.blue.example", "received", "queued", "routed", "relayed", "TLSv1.3", "250"]
    {
        assert!(trace.contains(expected), "no {expected} in\n{trace}");
    }
    let (well, took) = local.stop();
    assert!(well, "SIGTERM ends it well");
    assert!(took.as_secs() < 10, "it took {took:?}");
}

#[test]
fn printed_commands_work_as_they_are() {
    let local = Local::start(&[]);
    let command = |start: &str| {
        let line = local.banner.lines().find(|line| line.contains(start));
        line.unwrap_or_else(|| panic!("no {start} in\n{}", local.banner)).to_owned()
    };
    let run = |line: &str| {
        let output = Command::new("sh").args(["-c", line]).output().unwrap();
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(local.banner.contains(PROGRAM), "the commands call this very program\n{}", local.banner);
    run(&command("mail send"));
    local.until("Hello", || run(&command("mail list")));
    assert!(run(&command("mail read")).contains("Hello Bob!"));
    local.until("delivered", || run(&command("trace alice@red.example")));
    run(&command("queue list"));
}

/// The dialogues that only the small internet has.
#[test]
fn dialogues() {
    let local = Local::start(&[]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/transcripts/smtp");
    let server = SocketAddr::from(([127, 0, 0, 1], local.port(25)));
    let is_here = |transcript: &Transcript| transcript.directive("local").is_some();
    run_those(folder, is_here, |_| {
        Box::new(move |_| -> io::Result<Box<dyn Subject>> { Ok(Box::new(Socket::connect(server, None)?)) })
    });
}

#[test]
fn misbehaving_recipients_do_what_their_names_say() {
    let local = Local::start(&[]);
    for who in ["later", "refused", "full", "slow", "cut"] {
        local.send(&format!("{who}@blue.example"), &format!("to {who}"));
    }
    local.send("anyone@down.example", "to nobody");
    // Over one connection, whichever comes first: a drop must be told also of a connection that was used before.
    local.send("bob@blue.example", "to bob");
    local.send("cut@blue.example", "again to cut");
    let trace = |who: &str, what: &str| local.until(what, || local.trace(who));
    let later = trace("later@blue.example", "relayed");
    assert!(later.contains("451") && later.contains("deferred"), "{later}");
    let refused = trace("refused@blue.example", "bounced");
    assert!(refused.contains("550"), "{refused}");
    let full = trace("full@blue.example", "deferred");
    assert!(full.contains("452"), "{full}");
    let cut = trace("cut@blue.example", "relayed");
    assert!(cut.contains("failed") && cut.contains("deferred"), "{cut}");
    let down = trace("anyone@down.example", "deferred");
    assert!(down.contains("down.example"), "{down}");
    let slow = trace("slow@blue.example", "relayed");
    assert!(slow.contains("received"), "{slow}");
    // later@, slow@ and cut@ reach bob, each once; alice is told of refused@.
    local.until("again to cut", || local.list("bob", "blue"));
    let bob = local.until("to slow", || local.list("bob", "blue"));
    assert_eq!(cut.matches("failed").count(), cut.matches("deferred").count(), "{cut}");
    for once in ["to later", "to slow", "again to cut"] {
        assert_eq!(bob.matches(once).count(), 1, "{once} in\n{bob}");
    }
    local.until("refused", || {
        let server = format!("pop3s://127.0.0.1:{}", local.port(995));
        let ca = local.ca();
        let arguments = ["mail", "read", "--server", &server, "--ca", &ca, "--user", "alice@red.example", "1"];
        String::from_utf8(local.run(&arguments, "alice", "").stdout).unwrap()
    });
}

/// `trace --follow` draws what is there, goes on while the mail waits, and ends by itself with its end.
#[test]
fn a_message_is_followed_to_its_end() {
    let local = Local::start(&[]);
    local.send("later@blue.example", "to later");
    let arguments = ["trace", "later@blue.example", "--follow", "--dir", local.dir.to_str().unwrap()];
    let mut following = Command::new(PROGRAM).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut drawn = String::new();
    following.stdout.take().unwrap().read_to_string(&mut drawn).unwrap();
    assert!(following.wait().unwrap().success(), "{drawn}");
    // Not on a terminal, each change is drawn once more: the last has all of it, an earlier one only its beginning.
    let last = drawn.rfind("received").map(|_| drawn.rsplit("┌ mail.red.example").next().unwrap()).unwrap();
    for expected in ["451", "deferred", "relayed", "mail.blue.example", "delivered"] {
        assert!(last.contains(expected), "no {expected} in\n{drawn}");
    }
    assert!(drawn.matches("┌ mail.red.example").count() > 1, "{drawn}");
    let first = drawn.split("┌ mail.red.example").nth(1).unwrap();
    assert!(!first.contains("delivered"), "{first}");
}

#[test]
fn mail_stays_until_it_is_told_to_start_over() {
    let dir = tempfile::tempdir().unwrap();
    let net = dir.path().join("net");
    let mut local = Local::start_in(&net, &[]);
    local.send("bob@blue.example", "kept");
    local.until("kept", || local.list("bob", "blue"));
    let ca = std::fs::read(local.ca()).unwrap();
    assert!(local.stop().0);
    // Other ports, the same mail.
    let mut local = Local::start_in(&net, &[]);
    assert!(local.list("bob", "blue").contains("kept"));
    assert!(local.stop().0);
    let local = Local::start_in(&net, &["--reset"]);
    assert!(!local.list("bob", "blue").contains("kept"));
    assert_eq!(std::fs::read(local.ca()).unwrap(), ca, "clients that trust the CA go on to do so");
}

#[test]
fn two_serve_processes_with_the_same_dns_behave_alike() {
    let dir = tempfile::tempdir().unwrap();
    let net = dir.path().join("net");
    let mut local = Local::start_in(&net, &[]);
    let base = local.base;
    assert!(local.stop().0);
    let plan = Plan::new(&net, base).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dns = runtime.block_on(DnsServer::start(plan.dns(), plan.zones([&[0; 32], &[0; 32]]))).unwrap();
    let [red, blue] = plan.systems.map(|system| {
        let config = plan.config_file(system);
        Command::new(PROGRAM).args(["serve", "--config"]).arg(config).stderr(Stdio::null()).spawn().unwrap()
    });
    let (red, mut blue) = (Local::of(red, &net, base), Local::of(blue, &net, base));
    for system in plan.systems {
        let begin = Instant::now();
        while TcpStream::connect(system.https()).is_err() {
            assert!(begin.elapsed() < PATIENCE, "{} does not listen", system.domain);
        }
    }
    red.send("bob@blue.example", "between two processes");
    red.until("between two processes", || red.list("bob", "blue"));
    red.send("later@blue.example", "in the end");
    red.until("in the end", || red.list("bob", "blue"));
    assert!(red.trace("later@blue.example").contains("451"));
    assert!(dns.questions().iter().any(|(name, _)| name == "blue.example"));
    assert!(blue.stop().0);
}

#[test]
fn a_second_one_is_told_what_is_in_its_way() {
    let local = Local::start(&[]);
    let words = Local::try_start(&local.dir, local.base, &[]).err().unwrap();
    assert!(words.contains("another `postrider local` runs in"), "{words}");
    let other = tempfile::tempdir().unwrap();
    let words = Local::try_start(&other.path().join("net"), local.base, &[]).err().unwrap();
    assert!(words.contains("taken") && words.contains("--port-base"), "{words}");
    let words = Local::try_start(other.path(), 65_000, &[]).err().unwrap();
    assert!(words.contains("port base 65000"), "{words}");
}

#[test]
fn catch_all_keeps_everything_here() {
    let local = Local::start(&["--catch-all"]);
    local.send("someone@far-away.example.org", "to far away");
    local.send("bob@blue.example", "to bob");
    local.until("to bob", || local.list("bob", "blue"));
    let everything = || local.list("alice", "red") + &local.list("bob", "blue");
    local.until("to far away", everything);
    // Software under test often talks to port 25, and to nobody that exists.
    let script = "EHLO test.example\r\nMAIL FROM:<app@shop.example>\r\nRCPT TO:<nobody@nowhere.example>\r\nDATA\r\n";
    let mut stream = TcpStream::connect(("127.0.0.1", local.port(25))).unwrap();
    let mut said = String::new();
    for line in script.split_inclusive("\r\n").chain(["Subject: from an app\r\n\r\nHi\r\n.\r\n", "QUIT\r\n"]) {
        said += &reply(&mut stream);
        stream.write_all(line.as_bytes()).unwrap();
    }
    stream.read_to_string(&mut said).unwrap();
    assert!(!said.contains("\r\n5") && !said.contains("\r\n4"), "{said}");
    local.until("from an app", everything);
}

/// One reply of SMTP, its last line has a space after the code.
fn reply(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut octet = [0];
    loop {
        assert_eq!(stream.read(&mut octet).unwrap(), 1, "after {text:?}");
        text.push(char::from(octet[0]));
        let last = text.trim_end_matches("\r\n").rsplit("\r\n").next().unwrap_or_default();
        if text.ends_with("\r\n") && last.as_bytes().get(3) != Some(&b'-') {
            return text;
        }
    }
}

#[test]
fn the_page_tells_people_and_machines_what_is_here() {
    let local = Local::start(&[]);
    let get = |port: u16, path: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    for (port, domain) in [(local.port(80), "red.example"), (local.port(1080), "blue.example")] {
        assert!(get(port, "/").contains("<script type=\"module\" src=\"src/main.js\">"));
        let half = get(port, "/local/half");
        let framed = format!("connect-src 'self'; frame-ancestors http://127.0.0.1:{}\r\n", local.port(80));
        assert!(half.starts_with("HTTP/1.1 200") && half.contains(&framed), "{half}");
        let inside = get(port, "/local/in");
        assert!(inside.starts_with("HTTP/1.1 303") && inside.contains("set-cookie: postrider-"), "{inside}");
        let page = get(port, "/local");
        assert!(page.starts_with("HTTP/1.1 200") && page.contains("text/html"), "{page}");
        assert!(page.contains(&format!("alice@{domain}")) && page.contains("href=\"/metrics\""), "{page}");
        assert!(get(port, "/healthz").starts_with("HTTP/1.1 200"));
        assert!(get(port, "/metrics").starts_with("HTTP/1.1 200"));
        assert!(get(port, "/nothing").starts_with("HTTP/1.1 404"));
        assert!(get(port, "/local/nothing").starts_with("HTTP/1.1 404"));
    }
    let both = get(local.port(80), "/local/both");
    let frames = format!(
        "frame-src http://127.0.0.1:{} http://127.0.0.1:{}; frame-ancestors 'none'",
        local.port(80),
        local.port(1080)
    );
    assert!(both.contains(&frames), "{both}");
    assert!(get(local.port(1080), "/local/both").starts_with("HTTP/1.1 404"));
}
