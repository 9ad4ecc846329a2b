//! The dialogues of `tests/transcripts` against the real program: TLS where the dialogue does not say otherwise,
//! under every split of the input; POP3 and IMAP each run with a server and a store of its own.
//!
//! Left out are those that a server on loopback can't have: `remote` (a client from elsewhere), `memory` and `fault`
//! (faults that only an engine in memory shows), `quota` (one of nothing, which no command sets), `no-tls`; `scram`
//! (accounts that keep its keys) of POP3 and IMAP; of HTTP `plain`,
//! `listening`, `totp`, `elsewhere` and `inside`. Those of `local` run in `local.rs`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use testkit::program::Program;
use testkit::transcript::{Enough, Knowing, Scene, Subject, Transcript, run_some, run_those};

const ALICE: (&str, &str) = ("alice@red.example", "secret");
const BOB: (&str, &str) = ("bob@red.example", "secret");

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/transcripts").join(name)
}

fn can_be_had(transcript: &Transcript) -> bool {
    // `capa`: TLS is neither active nor can be started, which a server with a certificate can't show.
    transcript.name != "capa"
        && ["remote", "memory", "fault", "scram", "lmtp"].iter().all(|key| transcript.directive(key).is_none())
}

/// An IMAP session of somebody whose password is `secret`: what is sent, and up to which words an answer is waited for.
fn imap_session(program: &Program, who: &str) -> impl FnMut(&[u8], &str) -> String {
    let mut imap = program.connect("imaps").unwrap();
    let mut say = move |bytes: &[u8], until: &str| {
        imap.send(bytes).unwrap();
        let mut enough = |said: &[u8]| {
            if String::from_utf8_lossy(said).contains(until) { Enough::Yes } else { Enough::No }
        };
        let said = imap.receive(&mut enough).unwrap();
        let text = String::from_utf8_lossy(&said.bytes).into_owned();
        assert!(!said.closed, "{text}");
        text
    };
    say(b"", "* OK");
    say(format!("a LOGIN {who} secret\r\n").as_bytes(), "a OK");
    say
}

/// `#: url NAME RUMP`: names, and the URLs that the owners of the mailboxes have made of the rumps. Drafts have messages.
fn urls(program: &Program, transcript: &Transcript) -> Vec<(String, String)> {
    const DRAFTS: [&str; 2] = [
        "From: alice@red.example\r\nSubject: a draft\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\nGrüße.\r\n",
        "Subject: by lines of another kind\n\nHello.\n",
    ];
    let mut filled = Vec::new();
    let url = |line: &str| {
        let (name, rump) = line.split_once(' ').unwrap();
        let owner = if rump.starts_with("imap://bob") { "bob@red.example" } else { ALICE.0 };
        let mut say = imap_session(program, owner);
        if !filled.contains(&owner) {
            filled.push(owner);
            for draft in DRAFTS {
                say(format!("b APPEND Drafts {{{}+}}\r\n{draft}\r\n", draft.len()).as_bytes(), "b OK");
            }
        }
        let said = say(format!("c GENURLAUTH \"{rump}\" INTERNAL\r\n").as_bytes(), "c OK");
        (name.to_owned(), said.split('"').nth(1).unwrap().to_owned())
    };
    transcript.all("url").map(url).collect()
}

/// Puts the messages of a folder into alice's INBOX, as they are, in order of name, a day apart.
fn append(program: &Program, messages: &Path) {
    let mut files: Vec<_> = std::fs::read_dir(messages).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut say = imap_session(program, ALICE.0);
    for (day, file) in (1..).zip(files) {
        let message = std::fs::read(file).unwrap();
        let date = format!("{day:02}-Nov-2026 12:00:00 +0000");
        say(format!("b APPEND INBOX \"{date}\" {{{}}}\r\n", message.len()).as_bytes(), "+");
        say(&[&message[..], b"\r\n"].concat(), "b OK");
    }
    say(b"c LOGOUT\r\n", "c OK");
}

/// The next hop of branch.example: knows neither unknown@ nor, for now, later@.
fn branch() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let say = |words: &str| (&stream).write_all(format!("{words}\r\n").as_bytes());
            let _ = say("220 branch.example");
            for line in lines {
                let said = match line.to_ascii_lowercase() {
                    line if line.starts_with("rcpt to:<unknown@") => say("550 5.1.1 nobody has this name"),
                    line if line.starts_with("rcpt to:<later@") => say("450 4.2.0 not yet"),
                    line if line == "data" => say("451 4.3.2 not today"),
                    _ => say("250 2.0.0 fine"),
                };
                if said.is_err() || line.eq_ignore_ascii_case("QUIT") {
                    break;
                }
            }
        }
    });
    address
}

/// The scene of tests/transcripts/smtp/README.md as an operator sets it.
fn red(transcript: &Transcript) -> Program {
    let mut limits = String::from("[limits]\n");
    for (key, name) in [
        ("size", "message_size"),
        ("recipients", "recipients"),
        ("errors", "errors"),
        ("messages", "messages"),
        ("commands", "commands"),
        ("hops", "hops"),
    ] {
        if let Some(value) = transcript.directive(key) {
            limits += &format!("{name} = {value}\n");
        }
    }
    let scram = transcript.directive("scram").is_some();
    let branch = branch();
    let more = format!(
        "{limits}\n[auth]\nscram = {scram}\n\n[[route]]\ndomain = \"branch.example\"\nnext_hop = [\"{branch}\"]\n"
    );
    let program = Program::start(env!("CARGO_BIN_EXE_postrider"), "red.example", &[], &more);
    program.command(&["domain", "add", "catch.example"], b"");
    for who in ["alice", "bob", "dora"] {
        let address = format!("{who}@red.example");
        program.command(&["account", "add", &address, "--password-stdin", "--scram"], b"secret");
    }
    program.command(&["account", "disable", "dora@red.example"], b"");
    for alias in [
        &["team@red.example", "alice@red.example", "bob@red.example"][..],
        &["out@red.example", "carol@elsewhere.example"],
        &["ring@red.example", "ring2@red.example"],
        &["ring2@red.example", "ring@red.example"],
        &["dangling@red.example", "gone@red.example"],
        &["*@catch.example", "alice@red.example"],
    ] {
        program.command(&[&["alias", "add"], alias].concat(), b"");
    }
    program
}

/// A dialogue's name, the program that it runs on, and the URLs that it knows.
type Running = (String, Rc<Program>, Vec<(String, String)>);

/// SMTP's dialogues whose name has its first letter in the range; all runs of one on one server.
fn smtp(letters: std::ops::RangeInclusive<char>) {
    let others = ["fault", "quota", "no-tls", "local", "lmtp"];
    let is_here = |transcript: &Transcript| {
        ["remote", "memory"].iter().chain(&others).all(|key| transcript.directive(key).is_none())
            && transcript.name.starts_with(|first: char| letters.contains(&first))
    };
    let mut running: Option<Running> = None;
    run_those(folder("smtp"), is_here, |transcript| {
        let (program, known) = match &running {
            Some((name, program, known)) if *name == transcript.name => (program.clone(), known.clone()),
            _ => {
                running = None;
                let program = Rc::new(red(transcript));
                let known = urls(&program, transcript);
                running = Some((transcript.name.clone(), program.clone(), known.clone()));
                (program, known)
            }
        };
        let service = if transcript.directive("submission").is_some() { "submission" } else { "smtp" };
        Box::new(Knowing { scene: Box::new(Real { program, service }), known })
    });
}

#[test]
fn smtp_a_to_k() {
    smtp('a'..='k');
}

#[test]
fn smtp_l_to_r() {
    smtp('l'..='r');
}

#[test]
fn smtp_s_to_z() {
    smtp('s'..='z');
}

/// A program, and the service that connections are made to.
struct Real {
    program: Rc<Program>,
    service: &'static str,
}

impl Scene for Real {
    fn open(&mut self, _number: usize) -> io::Result<Box<dyn Subject>> {
        Ok(Box::new(self.program.connect(self.service)?))
    }
}

fn start(accounts: &[(&str, &str)]) -> Program {
    Program::start(env!("CARGO_BIN_EXE_postrider"), "red.example", accounts, "")
}

#[test]
fn pop3() {
    run_some(folder("pop3"), can_be_had, |transcript| {
        let program = start(&[ALICE]);
        append(&program, &folder("pop3/messages"));
        let service = if transcript.directive("starttls").is_some() { "pop3" } else { "pop3s" };
        Box::new(Real { program: Rc::new(program), service })
    });
}

#[test]
fn http() {
    let others = ["plain", "listening", "totp", "elsewhere", "inside"];
    let is_here = |transcript: &Transcript| others.iter().all(|key| transcript.directive(key).is_none());
    run_some(folder("http"), is_here, |transcript| {
        Box::new(Real { program: Rc::new(red(transcript)), service: "https" })
    });
}

/// IMAP's dialogues whose name has its first letter in the range: a server takes its time to start and end, so several
/// tests run beside each other.
fn imap(letters: std::ops::RangeInclusive<char>) {
    let is_here = |transcript: &Transcript| {
        can_be_had(transcript) && transcript.name.starts_with(|first: char| letters.contains(&first))
    };
    run_some(folder("imap"), is_here, |transcript| {
        let program = start(&[ALICE, BOB]);
        if transcript.directive("empty").is_none() {
            append(&program, &folder("imap/messages"));
        }
        let service = if transcript.directive("starttls").is_some() { "imap" } else { "imaps" };
        Box::new(Real { program: Rc::new(program), service })
    });
}

#[test]
fn imap_a_to_d() {
    imap('a'..='d');
}

#[test]
fn imap_e_to_k() {
    imap('e'..='k');
}

#[test]
fn imap_l_to_o() {
    imap('l'..='o');
}

#[test]
fn imap_p_to_z() {
    imap('p'..='z');
}
