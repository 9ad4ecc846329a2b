//! The dialogues of `tests/transcripts` against the real program: TLS where the dialogue does not say otherwise,
//! under every split of the input, each run with a server and a store of its own.
//!
//! Left out are those that a server on loopback can't have: `remote` (a client from elsewhere), `memory` (faults
//! that only an engine in memory shows), `scram` (accounts that keep its keys).
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io;
use std::path::{Path, PathBuf};

use testkit::program::Program;
use testkit::transcript::{Enough, Scene, Subject, Transcript, run_some};

const ALICE: (&str, &str) = ("alice@red.example", "secret");

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/transcripts").join(name)
}

fn can_be_had(transcript: &Transcript) -> bool {
    // `capa`: TLS is neither active nor can be started, which a server with a certificate can't show.
    transcript.name != "capa" && ["remote", "memory", "scram"].iter().all(|key| transcript.directive(key).is_none())
}

/// Puts the messages of a folder into alice's INBOX, as they are, in order of name, a day apart.
fn append(program: &Program, messages: &Path) {
    let mut files: Vec<_> = std::fs::read_dir(messages).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut imap = program.connect("imaps").unwrap();
    let mut say = |bytes: &[u8], until: &str| {
        imap.send(bytes).unwrap();
        let mut enough = |said: &[u8]| {
            if String::from_utf8_lossy(said).contains(until) { Enough::Yes } else { Enough::No }
        };
        let said = imap.receive(&mut enough).unwrap();
        assert!(!said.closed, "{}", String::from_utf8_lossy(&said.bytes));
    };
    say(b"", "* OK");
    say(format!("a LOGIN {} {}\r\n", ALICE.0, ALICE.1).as_bytes(), "a OK");
    for (day, file) in (1..).zip(files) {
        let message = std::fs::read(file).unwrap();
        let date = format!("{day:02}-Nov-2026 12:00:00 +0000");
        say(format!("b APPEND INBOX \"{date}\" {{{}}}\r\n", message.len()).as_bytes(), "+");
        say(&[&message[..], b"\r\n"].concat(), "b OK");
    }
    say(b"c LOGOUT\r\n", "c OK");
}

/// A program, and the service that connections are made to.
struct Real {
    program: Program,
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
        Box::new(Real { program, service })
    });
}

/// IMAP's dialogues whose name has its first letter in the range: a server takes its time to start and end, so several
/// tests run beside each other.
fn imap(letters: std::ops::RangeInclusive<char>) {
    let is_here = |transcript: &Transcript| {
        can_be_had(transcript) && transcript.name.starts_with(|first: char| letters.contains(&first))
    };
    run_some(folder("imap"), is_here, |transcript| {
        let program = start(&[ALICE]);
        if transcript.directive("empty").is_none() {
            append(&program, &folder("imap/messages"));
        }
        let service = if transcript.directive("starttls").is_some() { "imap" } else { "imaps" };
        Box::new(Real { program, service })
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
