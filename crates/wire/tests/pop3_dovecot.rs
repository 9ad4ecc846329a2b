//! The POP3 dialogues marked `standard`, against Dovecot: if it disagrees, the dialogue is wrong, or no standard.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peers;

use std::io;

use peers::dovecot::Dovecot;
use testkit::socket::Socket;
use testkit::transcript::{Scene, Subject, Transcript};

/// A reply without its words for people; numbers and codes stay.
fn any_words(line: &str) -> String {
    let Some((status, rest)) = line.split_once(' ').filter(|(status, _)| ["+OK", "-ERR"].contains(status)) else {
        return line.to_owned();
    };
    if rest.bytes().all(|b| b.is_ascii_digit() || b == b' ') {
        return line.to_owned();
    }
    match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((code, _)) => format!("{status} [{code}]..."),
        None => format!("{status}..."),
    }
}

#[test]
fn dovecot_agrees() {
    let Some(dovecot) = Dovecot::start() else { return };
    let (address, messages) = (dovecot.pop3, peers::folder("pop3").join("messages"));
    peers::agree("pop3", 7, &dovecot.log(), any_words, |_: &Transcript| -> Box<dyn Scene> {
        dovecot.fresh(peers::files(&messages)).unwrap();
        Box::new(move |_| -> io::Result<Box<dyn Subject>> { Ok(Box::new(Socket::connect(address, None)?)) })
    });
}
