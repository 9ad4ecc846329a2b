//! What bit other mail systems, tried on the real program: mail that changes its meaning on the way, accounts that come
//! back with somebody else's mail, a server that spins when it has no file descriptors. docs/reliability.md has the list.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use testkit::program::Program;
use testkit::socket::Socket;
use testkit::transcript::{Enough, Subject};

const PROGRAM: &str = env!("CARGO_BIN_EXE_postrider");
const ALICE: (&str, &str) = ("alice@red.example", "secret");

/// The code of the greeting that a new client gets.
fn greeting(at: std::net::SocketAddr) -> String {
    let mut client = TcpStream::connect(at).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut code = [0; 3];
    client.read_exact(&mut code).unwrap();
    String::from_utf8_lossy(&code).into_owned()
}

/// Reads until a line of what comes begins so (behind the tag, for IMAP).
fn until(socket: &mut Socket, begins: &str) -> String {
    let there = |said: &[u8]| {
        let text = String::from_utf8_lossy(said);
        let found = text.ends_with("\r\n") && text.lines().any(|line| line.starts_with(begins));
        if found { Enough::Yes } else { Enough::No }
    };
    let said = socket.receive(&mut { there }).unwrap();
    let text = String::from_utf8(said.bytes).unwrap();
    assert!(text.lines().any(|line| line.starts_with(begins)), "no {begins}: {text}");
    text
}

fn say(socket: &mut Socket, words: &str, begins: &str) -> String {
    socket.send(format!("{words}\r\n").as_bytes()).unwrap();
    until(socket, begins)
}

/// A next hop without CHUNKING: what comes after DATA, octet by octet, up to the first end.
fn next_hop() -> (u16, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heard, hears) = mpsc::channel();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = BufReader::new(stream);
        let reply = |stream: &mut BufReader<TcpStream>, words: &str| {
            stream.get_mut().write_all(format!("{words}\r\n").as_bytes()).unwrap();
        };
        reply(&mut stream, "220 hop.example");
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).unwrap() == 0 {
                return;
            }
            match line.split([' ', ':', '\r']).next().unwrap() {
                "EHLO" => reply(&mut stream, "250-hop.example\r\n250-8BITMIME\r\n250 PIPELINING"),
                "DATA" => {
                    reply(&mut stream, "354 go on");
                    let mut message = Vec::new();
                    while !message.ends_with(b"\r\n.\r\n") {
                        stream.read_until(b'\n', &mut message).unwrap();
                    }
                    let _ = heard.send(message);
                    reply(&mut stream, "250 2.0.0 taken");
                }
                "QUIT" => {
                    reply(&mut stream, "221 bye");
                    // Whatever follows was no command of ours.
                    let mut rest = Vec::new();
                    stream.read_to_end(&mut rest).unwrap();
                    let _ = heard.send(rest);
                    return;
                }
                "MAIL" | "RCPT" | "RSET" => reply(&mut stream, "250 2.0.0 fine"),
                other => panic!("smuggled: {other}"),
            }
        }
    });
    (port, hears)
}

/// A program whose mail goes to this next hop, and Alice, who is logged in to submit some.
fn submitting_by_way_of(port: u16) -> (Program, Socket) {
    let route = format!("[[route]]\ndomain = \"*\"\nnext_hop = [\"127.0.0.1:{port}\"]\n");
    let program = Program::start(PROGRAM, "red.example", &[ALICE], &route);
    let mut client = program.connect("submissions").unwrap();
    until(&mut client, "220 ");
    say(&mut client, "EHLO client.example", "250 ");
    say(&mut client, "AUTH PLAIN AGFsaWNlQHJlZC5leGFtcGxlAHNlY3JldA==", "235 ");
    (program, client)
}

/// RFC 3030 carries octets, RFC 5321 §4.5.2 lines: what looks like an end inside a chunk must not be one at the next hop.
#[test]
fn chunks_with_an_end_inside_go_on_as_data_with_their_dots_doubled() {
    let (port, hears) = next_hop();
    let (_program, mut client) = submitting_by_way_of(port);
    let body =
        "a\r\n.\r\nMAIL FROM:<evil@red.example>\r\nRCPT TO:<victim@blue.example>\r\nDATA\r\n..\r\n.b\r\n.\r\nQUIT\r\n";
    let message =
        format!("Date: Thu, 26 Nov 2026 00:00:00 +0000\r\nMessage-ID: <m@red.example>\r\nSubject: x\r\n\r\n{body}");
    say(&mut client, "MAIL FROM:<alice@red.example>", "250 ");
    say(&mut client, "RCPT TO:<bob@blue.example>", "250 ");
    // The chunks are cut where it hurts: between CR LF and the dot, and between the dot and CR LF.
    let cut = message.find("\r\n.\r\n").unwrap();
    for piece in [&message[..cut + 2], &message[cut + 2..cut + 3], &message[cut + 3..]] {
        client.send(format!("BDAT {}\r\n{piece}", piece.len()).as_bytes()).unwrap();
        until(&mut client, "250 ");
    }
    say(&mut client, "BDAT 0 LAST", "250 ");
    let heard = hears.recv_timeout(Duration::from_secs(30)).unwrap();
    let heard = String::from_utf8(heard).unwrap();
    let sent = heard.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(sent, body.replace("\r\n.", "\r\n..") + ".\r\n");
    assert_eq!(hears.recv_timeout(Duration::from_secs(30)).unwrap(), b"", "nothing follows QUIT");
}

/// A chunk with a bare CR or LF would change its meaning as DATA: it is refused, but as BINARYMIME, which then goes on to
/// nobody who takes lines only (RFC 3030 §3).
#[test]
fn binary_chunks_never_become_lines() {
    let (port, _hears) = next_hop();
    let (program, mut client) = submitting_by_way_of(port);
    let message = "Subject: x\r\n\r\na\n.\nb\r.\r";
    for (body, reply) in [("8BITMIME", "554 5.6.0"), ("BINARYMIME", "250 ")] {
        say(&mut client, &format!("MAIL FROM:<alice@red.example> BODY={body}"), "250 ");
        say(&mut client, "RCPT TO:<bob@blue.example>", "250 ");
        client.send(format!("BDAT {} LAST\r\n{message}", message.len()).as_bytes()).unwrap();
        until(&mut client, reply);
    }
    // It comes back to its sender, and was never shown to the next hop.
    program.until_log("that it is returned", |log| log.contains("bounced"));
    assert!(program.log().contains("BINARYMIME"), "{}", program.log());
}

fn deliver(program: &Program, subject: &str) {
    let mut client = program.connect("smtp").unwrap();
    until(&mut client, "220 ");
    say(&mut client, "EHLO client.example", "250 ");
    say(&mut client, "MAIL FROM:<carol@elsewhere.example>", "250 ");
    say(&mut client, "RCPT TO:<alice@red.example>", "250 ");
    say(&mut client, "DATA", "354 ");
    say(&mut client, &format!("Subject: {subject}\r\n\r\nx\r\n."), "250 ");
}

/// What a client sees of alice's INBOX: UIDVALIDITY, the subjects, and POP3's unique ids.
fn seen(program: &Program) -> (String, Vec<String>, Vec<String>) {
    let mut imap = program.connect("imaps").unwrap();
    until(&mut imap, "* OK");
    say(&mut imap, "a LOGIN alice@red.example secret", "a OK");
    let selected = say(&mut imap, "b SELECT INBOX", "b OK");
    let validity = selected.split("UIDVALIDITY ").nth(1).unwrap().split(']').next().unwrap().to_owned();
    let fetched = say(&mut imap, "c FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]", "c ");
    let subjects = fetched.lines().filter_map(|line| line.strip_prefix("Subject: ").map(str::to_owned)).collect();
    let mut pop3 = program.connect("pop3s").unwrap();
    until(&mut pop3, "+OK");
    say(&mut pop3, "USER alice@red.example", "+OK");
    say(&mut pop3, "PASS secret", "+OK");
    let uidl = say(&mut pop3, "UIDL", ".");
    let ids = uidl.lines().filter_map(|line| line.split_once(' ')).filter(|(n, _)| n.parse::<u32>().is_ok());
    let ids = ids.map(|(_, id)| id.to_owned()).collect();
    say(&mut pop3, "QUIT", "+OK");
    (validity, subjects, ids)
}

/// An address that is given to somebody else: neither the mail of whoever had it, nor a client's memory of that mail.
#[test]
fn an_account_made_again_neither_inherits_nor_hides() {
    let mut program = Program::start(PROGRAM, "red.example", &[ALICE], "");
    deliver(&program, "to the first");
    let (validity, subjects, ids) = seen(&program);
    assert_eq!(subjects, ["to the first"]);
    let mut open = program.connect("imaps").unwrap();
    until(&mut open, "* OK");
    say(&mut open, "a LOGIN alice@red.example secret", "a OK");
    say(&mut open, "b SELECT INBOX", "b OK");

    program.command(&["account", "remove", ALICE.0], b"");
    program.command(&["account", "add", ALICE.0, "--password-stdin"], ALICE.1.as_bytes());
    let (new_validity, subjects, new_ids) = seen(&program);
    assert_eq!((subjects.len(), new_ids.len()), (0, 0), "nothing is inherited");
    assert_ne!(new_validity, validity, "a client's cache of the old mailbox is void (RFC 3501 §2.3.1.1)");
    deliver(&program, "to the second");
    // Whoever is still logged in as the first sees nothing of the second's.
    open.send(b"c NOOP\r\nd FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]\r\ne LOGOUT\r\n").unwrap();
    let said = open.receive(&mut |_| Enough::No).unwrap();
    assert!(!String::from_utf8_lossy(&said.bytes).contains("to the second"), "{said:?}");

    program.restart();
    let (same_validity, subjects, new_ids) = seen(&program);
    assert_eq!((same_validity, subjects), (new_validity, vec!["to the second".to_owned()]));
    // RFC 1939 §7: an id is never used again, or a client that has seen it would not fetch the new message.
    assert!(ids.iter().all(|id| !new_ids.contains(id)), "{ids:?} {new_ids:?}");
}

/// CPU time of a process so far, in ticks (proc(5)).
fn cpu(id: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Out of file descriptors, accept(2) fails at once and the connection stays where it is: a loop without a pause takes a
/// whole core and fills the log. Here nobody is left waiting; `ACCEPT_PAUSE` is for when even that fails.
#[test]
fn without_file_descriptors_it_waits_and_recovers() {
    let program = Program::start_with(PROGRAM, "red.example", &[ALICE], "", Some(96));
    let at = program.address("smtp");
    let held: Vec<TcpStream> = (0..120).map(|_| TcpStream::connect(at).unwrap()).collect();
    // Some are served, the others are told to come again.
    let before = cpu(&program.id());
    let mut told = 0;
    for mut client in &held {
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut said = [0; 4];
        client.read_exact(&mut said).unwrap();
        told += usize::from(&said == b"421 ");
    }
    assert!(told > 0 && told < held.len(), "{told} of {}", held.len());
    let ticks = cpu(&program.id()) - before;
    assert!(ticks < 100, "{ticks} ticks of CPU time");

    drop(held);
    // Until it has seen their ends, it turns others away too.
    while greeting(at) == "421" {}
    deliver(&program, "after all that");
    assert_eq!(seen(&program).1, ["after all that"]);
}
