//! The IMAP dialogues marked `standard`, against Dovecot: if it disagrees, the dialogue is wrong, or no standard.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peers;

use std::io;

use peers::dovecot::Dovecot;
use testkit::socket::Socket;
use testkit::transcript::{Enough, Received, Scene, Subject, Transcript};

/// What a line says without its words for people: `a NO [NONEXISTENT] There is no such mailbox` as `a NO [NONEXISTENT]...`.
fn any_words(line: &str) -> String {
    let mut words = line.splitn(3, ' ');
    let (tag, state, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default(), words.next());
    if tag == "+" && !state.is_empty() {
        // A challenge is none: the dialogues have theirs in base64, which is not empty either.
        return if rest.is_some() || !state.ends_with('=') { "+...".to_owned() } else { line.to_owned() };
    }
    if !["OK", "NO", "BAD", "BYE"].contains(&state) {
        return line.to_owned();
    }
    match rest.filter(|rest| rest.starts_with('[')).and_then(|rest| rest.split_once(']')) {
        Some((code, _)) => format!("{tag} {state} {code}]..."),
        None => format!("{tag} {state}..."),
    }
}

/// The order of flags says nothing (RFC 3501 §7.2.6), and a day has a space or a zero before it (§9, date-day-fixed).
fn canonical(line: &str) -> String {
    let line = line.replace("INTERNALDATE \"0", "INTERNALDATE \" ");
    let Some((before, rest)) = line.split_once("FLAGS (") else { return line };
    let Some((flags, after)) = rest.split_once(')') else { return line };
    let mut flags: Vec<&str> = flags.split(' ').collect();
    flags.sort_unstable();
    format!("{before}FLAGS ({}){after}", flags.join(" "))
}

/// A connection to a server whose lines are made canonical.
struct Canonical(Socket);

impl Canonical {
    fn bytes(bytes: &[u8]) -> Vec<u8> {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.split_inclusive('\n').map(canonical).collect::<String>().into_bytes(),
            Err(_) => bytes.to_vec(),
        }
    }
}

impl Subject for Canonical {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.send(bytes)
    }

    fn receive(&mut self, enough: &mut dyn FnMut(&[u8]) -> Enough) -> io::Result<Received> {
        let received = self.0.receive(&mut |bytes| enough(&Self::bytes(bytes)))?;
        Ok(Received { bytes: Self::bytes(&received.bytes), ..received })
    }

    fn close(&mut self) {
        self.0.close();
    }
}

#[test]
fn dovecot_agrees() {
    let Some(dovecot) = Dovecot::start() else { return };
    let (address, messages) = (dovecot.imap, peers::folder("imap").join("messages"));
    peers::agree(
        "imap",
        15,
        &dovecot.log(),
        |line| canonical(&any_words(line)),
        |transcript: &Transcript| -> Box<dyn Scene> {
            let is_empty = transcript.directive("empty").is_some();
            dovecot.fresh(if is_empty { Vec::new() } else { peers::files(&messages) }).unwrap();
            Box::new(move |_| -> io::Result<Box<dyn Subject>> {
                Ok(Box::new(Canonical(Socket::connect(address, None)?)))
            })
        },
    );
}
