//! Each reason of silence that the message itself or its sender's name gives, and what the reply looks like. The whole way is
//! tried over sockets, in `server`.

use mail::{Address, Timestamp, limits};
use message::header::Header;
use message::structure::Structure;
use message::text;
use proptest::prelude::*;
use store::{AwayNotice, WhyNot};

use super::Letter;
use super::compose::Reply;
use super::letter::is_program;

fn address(text: &str) -> Address {
    wire::address::mailbox(text).unwrap()
}

fn letter(header: &str) -> Letter {
    Letter::of(&Header::of(header.as_bytes()))
}

#[test]
fn programs_are_known_by_their_names() {
    for local in [
        "MAILER-DAEMON",
        "mailer_daemon",
        "owner-list",
        "list-owner",
        "list-REQUEST",
        "LISTSERV",
        "majordomo",
        "noreply",
        "no-reply",
        "No.Reply",
        "no_reply+abc",
        "donotreply",
        "do-not-reply",
        "shop-noreply",
        "noreply-shop",
        "bounce",
        "bounces+1=2",
        "bounce-17",
        "list-bounces",
        "autoreply",
    ] {
        assert!(is_program(&address(&format!("{local}@far.example"))), "{local}");
    }
    for local in ["carol", "owner", "requests", "bounce.smith", "nora.reply", "daemon", "c+noreply"] {
        assert!(!is_program(&address(&format!("{local}@far.example"))), "{local}");
    }
}

#[test]
fn what_programs_and_lists_send_is_known_by_its_header() {
    for (field, why) in [
        ("Auto-Submitted: auto-replied", Some(WhyNot::Automatic)),
        ("auto-submitted: auto-generated; x=y", Some(WhyNot::Automatic)),
        ("Auto-Submitted: (a comment) no", Some(WhyNot::Automatic)),
        ("Auto-Submitted: no\r\nAuto-Submitted: auto-replied", Some(WhyNot::Automatic)),
        ("Auto-Submitted: No", None),
        ("Auto-Submitted: no (a person)", None),
        ("Auto-Submitted: no; x=y", None),
        ("Content-Type: multipart/report; report-type=delivery-status", Some(WhyNot::Automatic)),
        ("X-Auto-Response-Suppress: DR, OOF, AutoReply", Some(WhyNot::Automatic)),
        ("X-Auto-Response-Suppress: All", Some(WhyNot::Automatic)),
        ("X-Auto-Response-Suppress: DR", None),
        ("List-Id: <list.far.example>", Some(WhyNot::List)),
        ("list-unsubscribe: <mailto:x@far.example>", Some(WhyNot::List)),
        ("Mailing-List: x", Some(WhyNot::List)),
        ("Precedence: Bulk", Some(WhyNot::List)),
        ("Precedence: junk", Some(WhyNot::List)),
        ("Precedence: list", Some(WhyNot::List)),
        ("Precedence: first-class", None),
        ("Subject: List-Id: x", None),
    ] {
        assert_eq!(letter(&format!("From: c@far.example\r\n{field}\r\n\r\n")).why_not(), why, "{field}");
    }
}

/// `AWAY_RECIPIENTS`: so many are looked at; in whichever field they stand.
#[test]
fn whom_a_message_names() {
    let found = letter(
        "To: A <a@x.example>, =?x?= <b@x.example>\r\nresent-cc: group: c@x.example;\r\nBcc: d@x.example\r\nX: e@x.example\r\n",
    );
    let names: Vec<String> = found.recipients().iter().map(Address::to_string).collect();
    assert_eq!(names, ["a@x.example", "b@x.example", "c@x.example", "d@x.example"]);
    let many = |count: usize| {
        let all: Vec<String> = (0..count).map(|n| format!("n{n}@x.example")).collect();
        letter(&format!("To: {}\r\n", all.join(",\r\n "))).recipients().len()
    };
    assert_eq!(many(limits::AWAY_RECIPIENTS), limits::AWAY_RECIPIENTS);
    assert_eq!(many(limits::AWAY_RECIPIENTS + 1), limits::AWAY_RECIPIENTS);
}

/// `AWAY_REFERENCES`: the last ones, and the message itself.
#[test]
fn references_are_bounded() {
    let ids: Vec<String> = (0..=limits::AWAY_REFERENCES).map(|n| format!("<{n}@far.example>")).collect();
    let letter = letter(&format!("Message-ID: <id@far.example>\r\nReferences: {}\r\n", ids.join("\r\n ")));
    let bytes = reply(&AwayNotice::default(), &letter);
    let told = Header::of(&bytes).references(usize::MAX);
    assert_eq!((told.len(), told[0].as_str()), (limits::AWAY_REFERENCES + 1, "1@far.example"));
}

fn reply(notice: &AwayNotice, letter: &Letter) -> Vec<u8> {
    let (from, to) = (address("alice+shop@red.example"), address("carol@far.example"));
    Reply {
        notice,
        is_part: false,
        letter,
        from: &from,
        to: &to,
        message_id: "<7@red.example>",
        now: Timestamp::from_secs(0),
    }
    .write()
}

#[test]
fn a_reply_of_text_alone() {
    let letter =
        letter("Message-ID: <3@far.example>\r\nReferences: <1@far.example> <2@far.example>\r\nSubject: Hello\r\n");
    let notice = AwayNotice { text: Some("Back on Monday.\nAlice".into()), ..AwayNotice::default() };
    let expected = "From: alice+shop@red.example\r\nTo: carol@far.example\r\nSubject: Auto: Hello\r\n\
        Date: Thu, 1 Jan 1970 00:00:00 +0000\r\nMessage-ID: <7@red.example>\r\nIn-Reply-To: <3@far.example>\r\n\
        References: <1@far.example>\r\n <2@far.example>\r\n <3@far.example>\r\nAuto-Submitted: auto-replied\r\n\
        MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n\
        Back on Monday.\r\nAlice\r\n";
    assert_eq!(String::from_utf8(reply(&notice, &letter)).unwrap(), expected);
    // Its own kind is never answered.
    assert_eq!(Letter::of(&Header::of(expected.as_bytes())).why_not(), Some(WhyNot::Automatic));
}

#[test]
fn what_is_missing_is_made_up() {
    let nothing = letter("");
    let text = String::from_utf8(reply(&AwayNotice::default(), &nothing)).unwrap();
    assert!(text.contains("Subject: Auto: your message\r\n") && text.contains("\r\n\r\nI am away"), "{text}");
    assert!(!text.contains("In-Reply-To") && !text.contains("References"), "{text}");
    // RFC 8621 §8: of HTML alone a text is made.
    let html = AwayNotice { html: Some("<p>Gr&uuml;&szlig;e</p>".into()), ..AwayNotice::default() };
    let bytes = reply(&html, &nothing);
    let structure = Structure::of(&bytes);
    let parts: Vec<String> = structure
        .leaves()
        .iter()
        .map(|(_, part)| {
            text::of_part(part, &bytes[part.body.start as usize..part.body.end as usize]).trim().to_owned()
        })
        .collect();
    assert!(structure.root().is("multipart", "alternative"));
    assert_eq!(parts, ["Grüße", "<p>Gr&uuml;&szlig;e</p>"]);
}

proptest! {
    /// Whatever the notice and the message say: the reply's header has its fields once each, no line is too long, and the text
    /// reads back.
    #[test]
    fn nothing_becomes_a_field(
        subject in proptest::option::of("(\\PC|\r|\n|: ){0,90}"), text in "(\\PC|\n|=|--=_| ){0,200}",
        html in proptest::option::of("(\\PC|\n|<b>|--=_7redexample|&){0,90}"), theirs in "(\\PC|=\\?utf-8\\?q\\?=0D=0AX:=20y\\?=| ){0,300}",
        id in "<(\\PC|<){0,20}>", references in "(<[a-z]@[a-z]>|<\\PC{0,5}>| ){0,30}",
    ) {
        let letter = letter(&format!("Subject: {theirs}\r\nMessage-ID: {id}\r\nReferences: {references}\r\n\r\n"));
        let notice = AwayNotice { subject, text: Some(text.clone()), html, ..AwayNotice::default() };
        let bytes = reply(&notice, &letter);
        prop_assert!(bytes.is_ascii() && bytes.split(|byte| *byte == b'\n').all(|line| line.len() <= 999));
        let header = Header::of(&bytes);
        let known = ["From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted", "MIME-Version",
            "Content-Type", "Content-Transfer-Encoding"];
        for field in header.fields() {
            let name = String::from_utf8_lossy(field.name()).into_owned();
            prop_assert!(known.contains(&name.as_str()) && header.count(&name) == 1, "{}", name);
        }
        let structure = Structure::of(&bytes);
        let leaves = structure.leaves();
        prop_assert_eq!(leaves.len(), if notice.html.is_some() { 2 } else { 1 });
        let part = leaves[0].1;
        let read = text::of_part(part, &bytes[part.body.start as usize..part.body.end as usize]);
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(lines(read.trim_end()), lines(text.trim_end()));
    }
}
