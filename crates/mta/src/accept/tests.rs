//! The trace fields and what is put right, as text. Acceptance on a store is tried over sockets, in `server`.

use mail::{Address, Domain, QueueId, Timestamp};
use message::header::Header;
use wire::smtp::server::Hello;

use super::trace::{Received, protocol};
use super::{submission, trace};
use crate::world::Random;

struct Same;

impl Random for Same {
    fn next(&self) -> u64 {
        7
    }
}

fn domain(name: &str) -> Domain {
    Domain::from_ascii(name).unwrap()
}

#[test]
fn protocols_have_their_registered_names() {
    // RFC 3848, RFC 6531 §4.3
    assert_eq!(protocol(false, true, false, false), "SMTP");
    let all = [false, true].map(|tls| [false, true].map(|log_in| protocol(true, tls, log_in, false)));
    assert_eq!(all, [["ESMTP", "ESMTPA"], ["ESMTPS", "ESMTPSA"]]);
    let all = [false, true].map(|tls| [false, true].map(|log_in| protocol(true, tls, log_in, true)));
    assert_eq!(all, [["UTF8SMTP", "UTF8SMTPA"], ["UTF8SMTPS", "UTF8SMTPSA"]]);
}

/// RFC 8601 §5
#[test]
fn results_that_claim_to_be_ours_are_taken_out() {
    let host = domain("mail.red.example");
    let kept = |text: &str| {
        let header = Header::alone(text.as_bytes());
        String::from_utf8(trace::without_forged(&header, &host).into_owned()).unwrap()
    };
    let others =
        "Received: x\r\nAuthentication-Results: mx.blue.example; spf=pass\r\nSubject: mail.red.example\r\n\r\n";
    assert_eq!(kept(others), others);
    let forged = "authentication-results: Mail.Red.Example;\r\n\tdmarc=pass\r\n";
    assert_eq!(kept(&format!("{forged}{others}")), others);
    assert_eq!(kept(&format!("A: b\r\n{forged}")), "A: b\r\n");
}

#[test]
fn no_word_of_a_client_ends_the_field() {
    let tls = store::Tls { version: "TLSv1.3".into(), cipher: "X".into(), verified: None, policy: None };
    let alice = Address::new("alice", domain("red.example")).unwrap();
    let by = domain("mail.red.example");
    let line = |name: &str| {
        Received {
            hello: &Hello { name: name.into(), extended: true },
            ip: Some("2001:db8::1".parse().unwrap()),
            by: &by,
            protocol: "ESMTPS",
            tls: Some(&tls),
            id: QueueId::from_u64(1),
            recipient: Some(&alice),
            at: Timestamp::from_secs(0),
        }
        .line()
    };
    let expected = "Received: from [192.0.2.1] ([IPv6:2001:db8::1])\r\n\tby mail.red.example with ESMTPS id 0000000000001\
                    \r\n\t(using TLSv1.3 with cipher X)\r\n\tfor <alice@red.example>;\r\n\tThu, 1 Jan 1970 00:00:00 +0000\r\n";
    assert_eq!(line("[192.0.2.1]"), expected);
    assert!(line("a(b").starts_with("Received: from unknown ("));
    let null = trace::delivery(&mail::ReversePath::Null, &alice);
    assert_eq!(null, b"Return-Path: <>\r\nDelivered-To: alice@red.example\r\n");
}

#[test]
fn what_is_there_stays_and_what_is_missing_is_added() {
    let put_right = |message: &str| {
        let header = Header::of(message.as_bytes());
        let (out, id) = submission::put_right(&header, &domain("red.example"), &Same, Timestamp::from_secs(0));
        (String::from_utf8(out).unwrap(), id)
    };
    let whole = "Date: d\r\nMessage-ID: <a@b>\r\nTo: c\r\n\r\n";
    assert_eq!(put_right(whole), (whole.to_owned(), "<a@b>".to_owned()));
    let (out, id) = put_right("bcc: x,\r\n y\r\nResent-Bcc: z\r\nSubject: s\r\n\r\nBcc: body");
    let expected = format!("Message-ID: {id}\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\nSubject: s\r\n\r\n");
    assert_eq!(out, expected);
    assert!(id.ends_with("@red.example>"));
}
