//! What strangers write and say, on the operator's and the reader's terminal, and in the log: nothing of it is obeyed
//! by a terminal, hides, turns the direction of writing, or poses as a line of ours. And no secret is in the log.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use testkit::program::Program;
use testkit::transcript::{Enough, Subject};

const PROGRAM: &str = env!("CARGO_BIN_EXE_postrider");
const ALICE: (&str, &str) = ("alice@red.example", "a-passphrase-of-alice");
/// ESC, CSI in one octet as UTF-8, BEL, BS, DEL, an override and an isolate of direction, a tag, a line separator.
const EVIL: &str = "\u{1b}]0;owned\u{7}\u{9b}31m\u{8}\u{7f}\u{202e}\u{2066}\u{e0041}\u{2028}";

fn is_harmless(what: &str, shown: &str) {
    let bad: Vec<char> = shown.chars().filter(|c| mua::is_obeyed(*c) && *c != '\n' && *c != '\t').collect();
    assert!(bad.is_empty(), "{what}: {bad:?} in {shown:?}");
}

/// A server that takes every message's envelope and then says evil things.
fn evil_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                let _ = write!(stream, "220 {EVIL}\r\n");
                let mut line = String::new();
                while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
                    let command = line.get(..4).unwrap_or_default().to_ascii_uppercase();
                    let _ = match command.as_str() {
                        "EHLO" => write!(stream, "250-{EVIL}\r\n250-SMTPUTF8\r\n250 8BITMIME\r\n"),
                        "DATA" => write!(stream, "451-4.0.0 {EVIL}\r\n451 4.0.0 {EVIL}\r\n"),
                        "QUIT" => return,
                        _ => write!(stream, "250 {EVIL}\r\n"),
                    };
                    line.clear();
                }
            });
        }
    });
    port
}

/// Says SMTP lines and waits for the reply to each.
fn say(program: &Program, lines: &[Vec<u8>]) -> String {
    let mut stream = std::net::TcpStream::connect(program.address("smtp")).unwrap();
    let mut replies = BufReader::new(stream.try_clone().unwrap());
    let mut said = Vec::new();
    let mut reply = |said: &mut Vec<u8>| loop {
        let start = said.len();
        if replies.read_until(b'\n', said).unwrap() == 0 || said.get(start + 3) == Some(&b' ') {
            return;
        }
    };
    reply(&mut said);
    for line in lines {
        stream.write_all(line).unwrap();
        stream.write_all(b"\r\n").unwrap();
        reply(&mut said);
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// `postrider mail …` as Alice.
fn mail(program: &Program, service: &str, arguments: &[&str]) -> String {
    let url = format!("{}://{}", service, program.address(service));
    let ca = program.config().parent().unwrap().join("../ca.pem");
    let mut child = Command::new(PROGRAM)
        .args(["mail", arguments[0], "--server", &url, "--user", ALICE.0, "--password-stdin", "--ca"])
        .arg(ca)
        .args(&arguments[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(ALICE.1.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{done:?}");
    is_harmless("standard error", &String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// Waits until the queue's entry has the next hop's words.
fn queued(program: &Program) -> String {
    loop {
        let queue = program.command(&["queue", "list", "--json"], b"");
        if queue.contains("451") {
            return queue;
        }
        std::thread::yield_now();
    }
}

#[test]
fn nothing_of_it_reaches_a_terminal_or_poses_as_a_line_of_ours() {
    let route = format!("[[route]]\ndomain = \"far.example\"\nnext_hop = [\"127.0.0.1:{}\"]\n", evil_server());
    let program = Program::start(PROGRAM, "red.example", &[ALICE], &route);
    let message = |to: &str| {
        let header = format!(
            "From: {EVIL} <bob@blue.example>\r\nSubject: {EVIL} =?utf-8?q?=1B]0;x=07=C2=9B=E2=80=AE?=\r\nMessage-ID: \
             <{EVIL}1@blue.example>\r\nX-{EVIL}: y\r\nReply-To: {EVIL}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
             --b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{EVIL}\r\n--b\r\nContent-Type: application/x; \
             name=\"{EVIL}\"\r\nContent-Disposition: attachment; filename*=utf-8''%1B%5D0%3B%C2%9B%E2%80%AE\r\n\r\n{EVIL}\r\n--b--\r\n."
        );
        vec![
            b"EHLO client.example".to_vec(),
            "MAIL FROM:<\"b\u{202e}ob\"@blue.example> SMTPUTF8 BODY=8BITMIME".into(),
            format!("RCPT TO:<{to}>").into_bytes(),
            b"DATA".to_vec(),
            header.into_bytes(),
        ]
    };
    for to in ["alice@red.example", "carol@far.example", "d\u{202e}ave@far.example"] {
        let said = say(&program, &message(to));
        assert!(said.lines().last().unwrap().contains("queued as"), "{said}");
    }
    // Words that go into replies, journeys and the log.
    let refused = [
        format!("EHLO {EVIL}"),
        format!("HELO {EVIL}"),
        "EHLO c".to_owned(),
        format!("MAIL FROM:<{EVIL}@x.example>"),
        "MAIL FROM:<a@b.example> SMTPUTF8".to_owned(),
        "RCPT TO:<no\u{202e}body@red.example>".to_owned(),
        format!("RCPT TO:<{EVIL}@red.example>"),
        EVIL.to_owned(),
    ];
    is_harmless("replies", &say(&program, &refused.map(String::into_bytes)).replace(['\r', '\u{202e}'], ""));
    let mut pop3 = program.connect("pop3").unwrap();
    pop3.send(format!("USER {EVIL}\r\nPASS an-unlucky-guess\r\nQUIT\r\n").as_bytes()).unwrap();
    let _ = pop3.receive(&mut |_| Enough::No);

    let queue = queued(&program);
    is_harmless("queue list --json", &queue);
    for arguments in
        [&["queue", "list"][..], &["trace", "carol@far.example"], &["trace", "alice@red.example", "--json"]]
    {
        let shown = program.command(arguments, b"");
        assert!(shown.contains("far.example") || shown.contains("alice"), "{arguments:?}: {shown}");
        is_harmless(&arguments.join(" "), &shown);
    }
    let ids: Vec<serde_json::Value> = serde_json::from_str(&queue).unwrap();
    is_harmless("queue show", &program.command(&["queue", "show", ids[0]["id"].as_str().unwrap()], b""));
    for service in ["pop3", "imap"] {
        let list = mail(&program, service, &["list"]);
        assert!(list.contains("owned") && list.lines().count() == 1, "{list}");
        is_harmless("mail list", &list);
        is_harmless("mail list --json", &mail(&program, service, &["list", "--json"]));
        let read = mail(&program, service, &["read", "1"]);
        assert!(read.contains("Subject: ") && read.contains("owned"), "{read}");
        is_harmless("mail read", &read);
    }
    let log = program.log();
    is_harmless("the log", &log);
    for secret in [ALICE.1, "an-unlucky-guess"] {
        assert!(!log.contains(secret), "a password is in the log");
    }
    // Each line is one of ours: it begins with its time.
    for line in log.lines() {
        assert!(line.starts_with("20") && line.get(4..5) == Some("-"), "{line:?}");
    }
}

/// The log at its most talkative.
#[test]
fn no_secret_is_in_the_log() {
    let program = Program::start(PROGRAM, "red.example", &[ALICE], "[log]\nlevel = \"trace\"\n");
    for service in ["pop3", "imap"] {
        assert_eq!(mail(&program, service, &["list"]), "No messages.\n");
    }
    // Lines gather for a moment before they leave.
    let log = loop {
        let log = program.log();
        if log.matches(" log-in ").count() >= 2 {
            break log;
        }
        std::thread::yield_now();
    };
    assert!(!log.contains(ALICE.1) && !log.contains("argon2id"), "{log}");
}
