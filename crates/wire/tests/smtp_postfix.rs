//! The SMTP dialogues marked `standard`, against Postfix: the codes are the RFC's, the words are each server's own. Where it
//! disagrees the dialogue is wrong, or no standard.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod peers;

use std::io;

use peers::postfix::Postfix;
use testkit::socket::Socket;
use testkit::transcript::{Scene, Subject, Transcript};

/// A reply's codes with any words; what is no reply, as it is.
fn any_words(line: &str) -> String {
    let (code, rest) = match line.split_at_checked(4) {
        Some((code, rest)) if code[..3].bytes().all(|b| b.is_ascii_digit()) => (code, rest),
        _ => return line.to_owned(),
    };
    let enhanced = rest.split(' ').next().unwrap_or_default();
    match enhanced.split('.').all(|part| part.parse::<u16>().is_ok()) {
        // RFC 3463 §2: the class is the reply's; where a reply fits two details, servers choose.
        true => format!("{code}{enhanced} ..."),
        false => format!("{code}..."),
    }
}

#[test]
fn postfix_agrees() {
    let Some(postfix) = Postfix::start() else { return };
    let (smtp, strict, trusted) = (postfix.smtp, postfix.strict, postfix.trusted.clone());
    peers::agree("smtp", 14, &postfix.log(), any_words, |transcript: &Transcript| -> Box<dyn Scene> {
        let is_strict = ["size", "recipients"].iter().any(|limit| transcript.directive(limit).is_some());
        let (server, trusted) = (if is_strict { strict } else { smtp }, trusted.clone());
        Box::new(move |_| -> io::Result<Box<dyn Subject>> {
            Ok(Box::new(Socket::connect(server, Some((trusted.clone(), "mail.red.example")))?))
        })
    });
}
