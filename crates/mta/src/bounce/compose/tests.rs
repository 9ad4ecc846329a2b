//! Reports read back by another's parser.

use mail::{Domain, Envelope, Notify, QueueId, Recipient, ReversePath};
use mail_parser::{MessageParser, MimeHeaders, PartType};
use proptest::prelude::*;
use store::{QueueRecipient, QueueState};

use super::*;

fn address(local: &str) -> Address {
    Address::new(local, Domain::from_ascii("blue.example").unwrap()).unwrap()
}

fn message(recipients: &[Address]) -> QueueMessage {
    let at = Timestamp::from_secs(1_700_000_000);
    QueueMessage {
        id: QueueId::from_u64(1),
        received_at: at,
        release_at: None,
        held: false,
        envelope: Envelope {
            reverse_path: ReversePath::Address(address("alice")),
            recipients: recipients.iter().cloned().map(Recipient::new).collect(),
            body: BodyType::EightBitMime,
            smtputf8: true,
            dsn_return: None,
            envelope_id: Some("envelope 1".into()),
            hold: None,
        },
        message_id: Some("<1@red.example>".into()),
        size: 9,
        recipients: recipients
            .iter()
            .enumerate()
            .map(|(index, address)| QueueRecipient {
                index: index as u32,
                address: address.clone(),
                notify: Notify::default(),
                original: Some("rfc822;robert@blue.example".into()),
                prefix: Vec::new(),
                destination: address.domain().clone(),
                state: QueueState::Waiting,
                attempts: 1,
                next_attempt: at,
                warned: false,
                last: None,
            })
            .collect(),
    }
}

fn write(recipients: &[Address], words: &str, host: &str, returned: &[u8], whole: bool) -> (Vec<u8>, bool) {
    write_of(&message(recipients), words, host, returned, whole)
}

fn write_of(message: &QueueMessage, words: &str, host: &str, returned: &[u8], whole: bool) -> (Vec<u8>, bool) {
    let line = |recipient| Line {
        recipient,
        status: (5, 1, 1),
        words: words.to_owned(),
        host: Some(host.to_owned()),
        remote: true,
    };
    let lines: Vec<Line<'_>> = message.recipients.iter().map(line).collect();
    let report = Report {
        hostname: "mail.red.example",
        token: "0123456789abcdef".into(),
        now: Timestamp::from_secs(1_700_000_100),
        sender: &address("alice"),
        message,
        kind: Kind::Failed,
        lines: &lines,
        retry_until: Timestamp::from_secs(1_700_400_000),
        returned: Returned { bytes: returned.to_vec(), whole },
    };
    (report.write().0, report.needs_utf8())
}

#[test]
fn a_report_has_its_three_parts() {
    let original = b"Subject: old\r\n\r\nhi\r\n";
    let (bytes, utf8) = write(&[address("bob"), address("eve")], "550 5.1.1 no such user", "mx", original, true);
    assert!(!utf8 && bytes.is_ascii());
    let parsed = MessageParser::default().parse(&bytes).unwrap();
    assert_eq!(parsed.header_raw("Auto-Submitted").map(str::trim), Some("auto-replied"));
    assert_eq!(parsed.header_raw("In-Reply-To").map(str::trim), Some("<1@red.example>"));
    let kind = parsed.content_type().unwrap();
    assert_eq!((kind.ctype(), kind.subtype()), ("multipart", Some("report")));
    assert_eq!(kind.attribute("report-type"), Some("delivery-status"));
    assert_eq!(parsed.parts.len(), 4);
    let status = std::str::from_utf8(parsed.parts[2].contents()).unwrap();
    let groups: Vec<&str> = status.split("\r\n\r\n").collect();
    assert_eq!(groups.len(), 3, "{status}");
    assert!(groups[0].starts_with("Reporting-MTA: dns; mail.red.example\r\nOriginal-Envelope-Id: envelope 1\r\n"));
    assert!(groups[2].contains("Original-Recipient: rfc822;robert@blue.example\r\n"), "{status}");
    assert!(groups[2].contains("Final-Recipient: rfc822; eve@blue.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"));
    assert!(groups[2].contains("Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"));
    let PartType::Message(inner) = &parsed.parts[3].body else { panic!("no message is returned") };
    assert_eq!(inner.subject(), Some("old"));
}

/// RFC 4865: what was asked for, once for the whole message.
#[test]
fn a_report_says_that_the_message_was_to_be_held() {
    let until = Timestamp::from_secs(1_700_000_060);
    for (hold, field) in [
        (Some(Hold::For(60)), "\r\nFuture-Release-Request: for;60\r\n"),
        (Some(Hold::Until(until)), "\r\nFuture-Release-Request: until;2023-11-14T22:14:20Z\r\n"),
        (None, ""),
    ] {
        let mut message = message(&[address("bob"), address("eve")]);
        message.envelope.hold = hold;
        let (bytes, _) = write_of(&message, "550 no", "mx", b"Subject: x\r\n", false);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(field), "{text}");
        assert_eq!(text.matches("Future-Release-Request").count(), usize::from(hold.is_some()));
    }
}

#[test]
fn where_nobody_said_anything_no_words_are_reported() {
    let (bytes, _) = write(&[address("bob")], "", "mx", b"Subject: x\r\n", false);
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("Status: 5.1.1\r\n") && !text.contains("Diagnostic-Code"), "{text}");
    assert!(!text.contains("\r\n    \r\n"), "{text}");
}

#[test]
fn a_report_about_utf8_addresses_is_global() {
    let (bytes, utf8) = write(&[address("jürgen")], "550 nö", "mx", "Subject: ö\r\n".as_bytes(), false);
    let text = String::from_utf8(bytes).unwrap();
    assert!(utf8);
    for part in [
        "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n",
        "Final-Recipient: utf-8; jürgen@blue.example\r\n",
        "Diagnostic-Code: smtp; 550 n?\r\n",
        "Content-Type: message/global-headers\r\n",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

proptest! {
    /// No word of a stranger becomes a header, a part, or a line that is too long. (The boundary is drawn after
    /// the words were said, so they do not contain it.)
    #[test]
    fn strangers_words_stay_words(words in "(\r\n|\n|[ -~]|\u{fc}|\0|Bcc: x|--=_0123){0,60}", host in "(\r\n|[ -~]){0,20}") {
        let (bytes, _) = write(&[address("bob")], &words, &host, b"Subject: x\r\n", false);
        let parsed = MessageParser::default().parse(&bytes).unwrap();
        prop_assert_eq!(parsed.parts.len(), 4);
        prop_assert!(parsed.header_raw("Bcc").is_none());
        for line in String::from_utf8(bytes).unwrap().split("\r\n") {
            prop_assert!(line.len() <= 998);
            prop_assert!(!line.starts_with("Bcc"));
            prop_assert!(!line.contains(['\r', '\n', '\0']));
        }
    }

    #[test]
    fn long_words_are_cut(word in "[a-z\u{fc}]{900,1100}") {
        let (bytes, _) = write(&[address("bob")], &word, &word, b"", false);
        prop_assert!(String::from_utf8(bytes).unwrap().split("\r\n").all(|line| line.len() <= 998));
    }
}

/// `DSN_RETURN`: a message up to it comes back whole, of a longer one its header.
#[test]
fn what_is_returned_is_bounded() {
    struct Bytes_(bytes::Bytes);

    #[async_trait::async_trait]
    impl Body for Bytes_ {
        fn id(&self) -> mail::BodyId {
            mail::BodyId(1)
        }

        fn size(&self) -> u64 {
            self.0.len() as u64
        }

        async fn read(&self, range: std::ops::Range<u64>) -> store::StoreResult<bytes::Bytes> {
            Ok(self.0.slice(range.start as usize..range.end as usize))
        }
    }

    let header = "Subject: x\r\n";
    for (size, whole) in [(limits::DSN_RETURN, true), (limits::DSN_RETURN + 1, false)] {
        let text = format!("{header}\r\n{}", "x".repeat(size as usize - header.len() - 2));
        let body = Bytes_(text.clone().into());
        let (message, mut context) =
            (message(&[address("bob")]), std::task::Context::from_waker(std::task::Waker::noop()));
        let mut future = Box::pin(returned(&body, &message, Kind::Failed));
        let std::task::Poll::Ready(returned) = future.as_mut().poll(&mut context) else { panic!("it waits") };
        assert_eq!(returned.whole, whole);
        assert_eq!(returned.bytes, if whole { text.as_bytes() } else { header.as_bytes() });
    }
}

/// `REMOTE_WORDS`, in a report too.
#[test]
fn words_of_others_are_cut() {
    assert_eq!(clean(&"x".repeat(limits::REMOTE_WORDS)).len(), limits::REMOTE_WORDS);
    assert_eq!(clean(&"x".repeat(limits::REMOTE_WORDS + 1)).len(), limits::REMOTE_WORDS);
}
