//! SIGHUP on the real program: what it takes anew, what it keeps, and what it says of both. testkit sees to it that
//! systemd is told of each start, reload and stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::net::{SocketAddr, TcpListener, TcpStream};

use smallnet::dns::{DnsServer, Step, Zones};
use testkit::authority::certify;
use testkit::program::Program;
use testkit::socket::{Socket, trusting};
use testkit::transcript::{Enough, Subject};

const ALICE: (&str, &str) = ("alice@red.example", "secret");

fn start(more: &str) -> Program {
    Program::start(env!("CARGO_BIN_EXE_postrider"), "red.example", &[ALICE], more)
}

fn line(socket: &mut Socket) -> String {
    let whole = |said: &[u8]| if said.ends_with(b"\r\n") { Enough::Yes } else { Enough::No };
    String::from_utf8(socket.receive(&mut { whole }).unwrap().bytes).unwrap()
}

fn say(socket: &mut Socket, words: &str) -> String {
    socket.send(format!("{words}\r\n").as_bytes()).unwrap();
    line(socket)
}

fn refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// `pop3 = […]` becomes what is given.
fn listens(text: &str, service: &str, addresses: &str) -> String {
    let changed = text.lines().map(|line| {
        if line.starts_with(&format!("{service} = ")) { format!("{service} = {addresses}") } else { line.to_owned() }
    });
    changed.collect::<Vec<_>>().join("\n")
}

#[test]
fn listeners_come_go_and_stay() {
    let mut program = start("");
    let (pop3, imap) = (program.address("pop3"), program.address("imap"));
    let mut open = program.connect("pop3").unwrap();
    let mut stays = program.connect("smtp").unwrap();
    assert!(line(&mut open).starts_with("+OK"));
    assert!(line(&mut stays).starts_with("220"));

    // POP3 goes, and IMAP speaks where it did.
    program.configure(|text| listens(&listens(&text, "pop3", "[]"), "imap", &format!("[\"{pop3}\"]")));
    program.reload();
    assert!(refused(imap));
    let mut moved = Socket::connect(pop3, None).unwrap();
    assert!(line(&mut moved).starts_with("* OK"), "IMAP speaks there now");
    // Sessions of a listener that is gone go on, as do those of one that stays.
    assert!(say(&mut open, "USER alice@red.example").starts_with("+OK"));
    assert!(say(&mut stays, "NOOP").starts_with("250"));
    assert!(line(&mut program.connect("smtp").unwrap()).starts_with("220"), "SMTP listens as before");

    // A taken port: nothing of the new configuration counts, and what was there listens again.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    program.configure(|text| {
        listens(&text, "imap", &format!("[\"127.0.0.2:{}\", \"{at}\"]", pop3.port())).replace("mail.red", "post.red")
    });
    program.reload();
    program.until_log("why not", |log| log.contains("not reloaded, the old configuration stays"));
    assert!(
        program.log().contains(&format!("[listen] imap = \\\"{at}\\\""))
            || program.log().contains(&format!("[listen] imap = \"{at}\"")),
        "{}",
        program.log()
    );
    let mut as_before = Socket::connect(pop3, None).unwrap();
    let greeting = line(&mut as_before);
    assert!(greeting.contains("mail.red.example"), "{greeting}");

    // Free again: all of it counts, the name in greetings too.
    drop(taken);
    program.reload();
    let mut new = Socket::connect(at, None).unwrap();
    let greeting = line(&mut new);
    assert!(greeting.contains("post.red.example"), "{greeting}");
    assert!(refused(pop3));
}

#[test]
fn one_address_becomes_all_of_them() {
    let mut program = start("");
    let pop3 = program.address("pop3");
    program.configure(|text| listens(&text, "pop3", &format!("[\"0.0.0.0:{}\"]", pop3.port())));
    program.reload();
    for address in [pop3, SocketAddr::from(([127, 0, 0, 2], pop3.port()))] {
        assert!(line(&mut Socket::connect(address, None).unwrap()).starts_with("+OK"), "{address}");
    }
}

#[test]
fn the_log_changes_its_level_and_format() {
    let mut program = start("[log]\nlevel = \"warn\"\n");
    assert_eq!(program.log(), "", "there is nothing to warn of");
    program.configure(|text| text.replace("level = \"warn\"", "level = \"info\"\nformat = \"json\""));
    program.reload();
    let log_in = |program: &Program, password: &str| {
        let mut client = program.connect("pop3s").unwrap();
        line(&mut client);
        say(&mut client, "USER alice@red.example");
        say(&mut client, &format!("PASS {password}"));
    };
    log_in(&program, "secret");
    program.until_log("a log-in", |log| log.contains("log-in"));
    let log = program.log();
    let object: serde_json::Value =
        serde_json::from_str(log.lines().find(|line| line.contains("log-in")).unwrap()).unwrap();
    assert_eq!((&object["level"], &object["user"]), (&"INFO".into(), &"alice@red.example".into()), "{object}");

    program.configure(|text| text.replace("json", "text").replace("data_dir = \"data\"", "data_dir = \"other\""));
    program.reload();
    program.until_log("the reload", |log| log.matches("taken anew").count() == 2);
    let log = program.log();
    let last = log.lines().last().unwrap();
    assert!(last.contains("INFO configuration and certificates taken anew"), "{last}");
    assert!(log.contains("data_dir has changed: that counts from the next start, all else from now on"), "{log}");
    program.configure(|text| text.replace("data_dir = \"other\"", "data_dir = \"data\""));
}

#[test]
fn another_dns_server_is_asked() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let start_dns = || runtime.block_on(DnsServer::start(any, Zones::new())).unwrap();
    let (old, new) = (start_dns(), start_dns());
    old.script(|script| script.always("blue.example", None, Step::ServFail));
    // RFC 7505: a null MX, so the answer of this one ends the matter.
    new.set_zones(Zones::new().mx("blue.example", 0, "."));
    let mut program = start(&format!("[dns]\nservers = [\"{}\"]\n", old.address()));
    let mut client = program.connect("submissions").unwrap();
    line(&mut client);
    client.send(b"EHLO client.example\r\n").unwrap();
    let last = |said: &[u8]| if String::from_utf8_lossy(said).contains("\r\n250 ") { Enough::Yes } else { Enough::No };
    client.receive(&mut { last }).unwrap();
    for (words, reply) in [
        ("AUTH PLAIN AGFsaWNlQHJlZC5leGFtcGxlAHNlY3JldA==", "235"),
        ("MAIL FROM:<alice@red.example>", "250"),
        ("RCPT TO:<bob@blue.example>", "250"),
        ("DATA", "354"),
        ("Subject: x\r\n\r\nx\r\n.", "250"),
    ] {
        let said = say(&mut client, words);
        assert!(said.starts_with(reply), "{words}: {said}");
    }
    // A server that fails is no answer: the mail waits (RFC 5321 §5.1).
    program.until_log("that it waits", |log| log.contains("deferred"));
    program.configure(|text| text.replace(&old.address().to_string(), &new.address().to_string()));
    program.reload();
    let listed = program.command(&["queue", "list", "--json"], b"");
    let queue: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let id = queue[0]["id"].as_str().unwrap().to_owned();
    program.command(&["queue", "retry", &id], b"");
    program.until_log("that it is returned", |log| log.contains("bounced"));
    assert_eq!(program.command(&["queue", "list", "--json"], b"").trim(), "[]");
    drop((old, new));
}

#[test]
fn certificates_change_while_connections_are_open() {
    let mut program = start("");
    let mut before = program.connect("imaps").unwrap();
    assert!(line(&mut before).starts_with("* OK"));
    let mut unprotected = program.connect("smtp").unwrap();
    line(&mut unprotected);

    // Another authority, another key: who trusts only the old one is right to go away.
    let folder = program.config().parent().unwrap().parent().unwrap().to_owned();
    certify(&folder, "mail.red.example");
    program.reload();
    assert!(program.connect("imaps").is_err(), "the old authority knows nothing of the new certificate");
    let trusted = trusting(&folder.join("ca.pem"));
    let mut after = Socket::connect_tls(program.address("imaps"), (trusted, "localhost")).unwrap();
    assert!(line(&mut after).starts_with("* OK"));
    // The connection from before goes on, and what begins TLS now begins it with the new certificate.
    assert!(say(&mut before, "a NOOP").starts_with("a OK"));
    assert!(say(&mut unprotected, "STARTTLS").starts_with("220"));
    assert!(unprotected.start_tls().is_err(), "it trusts the old authority");

    // A broken file is told, and changes nothing.
    std::fs::write(folder.join("key.pem"), "no key").unwrap();
    program.reload();
    program.until_log("what is wrong", |log| log.contains("not reloaded") && log.contains("key.pem"));
    let trusted = trusting(&folder.join("ca.pem"));
    assert!(Socket::connect_tls(program.address("imaps"), (trusted.clone(), "localhost")).is_ok());
    certify(&folder, "mail.red.example");
}

/// `[[tls.site]]`: each name that a client asks for gets its own certificate (RFC 6066 §3), any other the first.
#[test]
fn sites_come_with_their_names() {
    let mut program = start("");
    let folder = program.config().parent().unwrap().parent().unwrap().to_owned();
    let blue = folder.join("blue");
    std::fs::create_dir(&blue).unwrap();
    let trusts_blue = certify(&blue, "mail.blue.example");
    let trusts_red = trusting(&folder.join("ca.pem"));
    let asks = |program: &Program, trust: &std::sync::Arc<rustls::ClientConfig>, name: &str| {
        Socket::connect_tls(program.address("imaps"), (trust.clone(), name)).is_ok()
    };
    assert!(!asks(&program, &trusts_blue, "mail.blue.example"));
    program.configure(|text| text + "\n[[tls.site]]\ncertificate = \"../blue/cert.pem\"\nkey = \"../blue/key.pem\"\n");
    program.reload();
    assert!(asks(&program, &trusts_blue, "mail.blue.example"), "{}", program.log());
    assert!(asks(&program, &trusts_red, "mail.red.example"));
    // A name of neither: the first one's certificate, which is not for it.
    assert!(!asks(&program, &trusts_red, "mail.green.example"));
}
