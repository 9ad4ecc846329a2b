//! Whatever a stranger sends or publishes: each check ends, within its bounds, and what is written down is in order.
#![allow(clippy::unwrap_used, reason = "tests")]

use mail::Timestamp;
use proptest::prelude::*;
use trust::dns::{Answers, Missing, Question, Said};
use trust::spf::Sender;
use trust::{Letter, results};

/// Pieces that records and fields are made of, so that chance finds what lies deeper.
fn pieces() -> impl Strategy<Value = String> {
    let words = [
        "v=spf1 ",
        "v=DMARC1; ",
        "v=DKIM1; ",
        "p=reject; ",
        "p=",
        "k=ed25519; ",
        "t=s; ",
        "s=*; ",
        "h=sha256; ",
        "include:",
        "redirect=",
        "exists:",
        "%{",
        "i}",
        "s}",
        "p3r-}",
        "%%",
        "a:",
        "mx ",
        "ptr ",
        "ip4:",
        "ip6:",
        "192.0.2.1",
        "/",
        "-all",
        "~",
        "a.example",
        "DKIM-Signature: ",
        "ARC-Seal: ",
        "ARC-Message-Signature: ",
        "ARC-Authentication-Results: ",
        "From: x@a.example",
        "Authentication-Results: ",
        "i=1; ",
        "cv=none; ",
        "a=ed25519-sha256; ",
        "a=rsa-sha256; ",
        "c=relaxed/simple; ",
        "d=a.example; ",
        "h=from:to; ",
        "bh=AAAA; ",
        "b=AAAA; ",
        "l=1; ",
        "x=1; ",
        "\r\n",
        "\r\n ",
        "\r\n\r\n",
        "\"",
        "\\",
        "(",
        ")",
        ";",
        "=",
        " ",
        ":",
    ];
    let piece = prop_oneof![4 => prop::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,6}"];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn run(message: &[u8], record: &str, from: Option<&str>, helo: &str) -> results::Results {
    let mut letter = Letter::read(message);
    while letter.hash_more() {}
    let sender = Sender { ip: "192.0.2.7".parse().unwrap(), helo, from };
    let mut answers = Answers::default();
    for _ in 0..1000 {
        match trust::check(&letter, sender, &answers, Timestamp::from_secs(1_795_000_000)) {
            Ok(found) => return found,
            Err(Missing(questions)) => {
                assert!(!questions.is_empty());
                for question in questions {
                    let said = match &question {
                        Question::Txt(_) => Said::Txt(vec![record.as_bytes().to_vec()]),
                        Question::V4(_) | Question::V6(_) => Said::Addresses(vec!["192.0.2.7".parse().unwrap()]),
                        Question::Mx(_) | Question::Ptr(_) => Said::Names(vec!["m.a.example".into()]),
                    };
                    answers.put(question, said);
                }
            }
        }
    }
    unreachable!("it asks for ever");
}

proptest! {
    #[test]
    fn a_check_ends_and_its_field_is_in_order(message in pieces(), record in pieces(), from in pieces(), helo in pieces()) {
        let found = run(message.as_bytes(), &record, Some(&from), &helo);
        let field = found.field("mx.here.example", Some(&from), &helo);
        let lines: Vec<&str> = field.strip_suffix("\r\n").unwrap().split("\r\n").collect();
        prop_assert!(lines.iter().all(|line| line.len() < 998 && !line.contains(['\r', '\n'])));
        prop_assert!(lines[1..].iter().all(|line| line.starts_with('\t')));
        prop_assert!(results::is_of(field.split_once(':').unwrap().1.as_bytes(), "mx.here.example"));
    }

    #[test]
    fn bytes_are_enough_to_be_looked_at(message in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = run(&message, "v=spf1 -all", None, "a.example");
        let _ = results::is_of(&message, "a.example");
    }
}
