//! Dialogues with servers that say what the test says; each also byte by byte.

use mail::{Address, BodyType, Domain, DsnReturn, Notify, Recipient, ReversePath};

use super::*;
use crate::sasl::Password;
use crate::sasl::client::Credentials;

const ALL: &str = "250-blue\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 5000\r\n250-DSN\r\n250 SMTPUTF8\r\n";
const BARE: &str = "250 blue\r\n";

fn config() -> Config {
    Config {
        helo: "red".into(),
        tls: TlsUse::IfOffered,
        login: None,
        binding: ChannelBinding::default(),
        clear_auth: false,
        lmtp: false,
    }
}

fn address(text: &str) -> Address {
    let (local, domain) = text.rsplit_once('@').unwrap();
    Address::new(local, Domain::from_ascii(domain).unwrap()).unwrap()
}

fn transaction(recipients: &[&str], size: usize) -> Transaction {
    Transaction {
        sender: ReversePath::Address(address("a@red")),
        recipients: recipients.iter().map(|text| Recipient::new(address(text))).collect(),
        size: size as u64,
        body: BodyType::SevenBit,
        utf8: false,
        dsn_return: None,
        envelope_id: None,
    }
}

/// One turn of a dialogue: what the client must say (whole), then what the server answers.
type Turn<'a> = (&'a str, &'a str);

/// Plays the dialogue; returns the reports and how the connection ended (if it did).
fn play(config: Config, messages: Vec<(Transaction, &str)>, turns: &[Turn<'_>], cut: usize) -> (Vec<Report>, Step) {
    let mut client = Client::new(config);
    let (mut messages, mut turns) = (messages.into_iter(), turns.iter().peekable());
    let (mut reports, mut said, mut body) = (Vec::new(), Vec::new(), None::<&str>);
    let mut coming: &[u8] = b"";
    loop {
        match client.step() {
            Step::Send => {
                said.extend_from_slice(client.output());
                client.sent();
            }
            Step::Receive(_) => {
                if coming.is_empty() {
                    let Some((expected, answer)) = turns.next() else {
                        assert_eq!(String::from_utf8_lossy(&said), "");
                        client.eof();
                        continue;
                    };
                    assert_eq!(String::from_utf8_lossy(&said), *expected);
                    said.clear();
                    coming = answer.as_bytes();
                    if coming.is_empty() {
                        client.eof();
                        continue;
                    }
                }
                let (now, later) = coming.split_at(cut.min(coming.len()));
                client.input(now);
                coming = later;
            }
            Step::StartTls => {
                // What else came in the clear meets the handshake, not us.
                coming = b"";
                client.secured(ChannelBinding::default());
            }
            Step::Body => match body.take() {
                Some(bytes) => client.body(bytes.as_bytes()),
                None => client.body_end(),
            },
            Step::Ready => match messages.next() {
                Some((transaction, bytes)) => {
                    body = Some(bytes);
                    client.begin(transaction);
                }
                None if turns.peek().is_some() => client.quit(),
                None => return (reports, Step::Ready),
            },
            Step::Done(report) => reports.push(report),
            over @ Step::Over(_) => return (reports, over),
        }
    }
}

/// Plays it at every cut and compares.
fn dialogue(messages: &[(Transaction, &str)], turns: &[Turn<'_>]) -> (Vec<Report>, Step) {
    let whole = play(config(), messages.to_vec(), turns, 9999);
    for cut in [1, 2, 7] {
        assert_eq!(play(config(), messages.to_vec(), turns, cut), whole);
    }
    whole
}

fn words(report: &Report) -> Vec<String> {
    let word = |verdict: &Verdict| match verdict {
        Ok(reply) => format!("ok {reply}"),
        Err(failure) => format!("{} {failure}", failure.stage),
    };
    report.verdicts.iter().map(word).collect()
}

#[test]
fn several_messages_pipelined() {
    let m = (transaction(&["b@blue", "c@blue"], 7), ".hi\r\n");
    let envelope = "MAIL FROM:<a@red> SIZE=7\r\nRCPT TO:<b@blue>\r\nRCPT TO:<c@blue>\r\nDATA\r\n";
    let (reports, end) = dialogue(
        &[m.clone(), m],
        &[
            ("", "220 hi\r\n"),
            ("EHLO red\r\n", ALL),
            (envelope, "250 ok\r\n250 2.1.5 ok\r\n550 5.1.1 no\r\n354 go\r\n"),
            ("..hi\r\n.\r\n", "250 2.0.0 queued as 1\r\n"),
            (envelope, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"),
            ("..hi\r\n.\r\n", "451 later\r\n"),
            ("QUIT\r\n", "221 bye\r\n"),
        ],
    );
    assert_eq!(words(&reports[0]), ["ok 250 2.0.0 queued as 1", "rcpt 550 5.1.1 no"]);
    assert_eq!(words(&reports[1]), ["end-of-data 451 later", "end-of-data 451 later"]);
    assert_eq!(end, Step::Over(None));
}

#[test]
fn one_command_at_a_time_without_pipelining() {
    let (reports, _) = dialogue(
        &[(transaction(&["b@blue", "c@blue"], 2), "x\r\n"), (transaction(&["d@blue"], 2), "x\r\n")],
        &[
            ("", "220-hi\r\n220 there\r\n"),
            ("EHLO red\r\n", "502 what?\r\n"),
            ("HELO red\r\n", BARE),
            ("MAIL FROM:<a@red>\r\n", "250 ok\r\n"),
            ("RCPT TO:<b@blue>\r\n", "450 later\r\n"),
            ("RCPT TO:<c@blue>\r\n", "550 never\r\n"),
            ("RSET\r\n", "250 ok\r\n"),
            ("MAIL FROM:<a@red>\r\n", "250 ok\r\n"),
            ("RCPT TO:<d@blue>\r\n", "250 ok\r\n"),
            ("DATA\r\n", "354 go\r\n"),
            ("x\r\n.\r\n", "250 done\r\n"),
        ],
    );
    assert_eq!(words(&reports[0]), ["rcpt 450 later", "rcpt 550 never"]);
    assert_eq!(words(&reports[1]), ["ok 250 done"]);
}

#[test]
fn a_refused_chunk_leaves_nothing_behind_for_the_next_message() {
    let offers = "250-blue\r\n250-PIPELINING\r\n250 CHUNKING\r\n";
    let (reports, _) = dialogue(
        &[(transaction(&["b@blue"], 3), "x\r\n"), (transaction(&["c@blue"], 3), "y\r\n")],
        &[
            ("", "220 hi\r\n"),
            ("EHLO red\r\n", offers),
            ("MAIL FROM:<a@red>\r\nRCPT TO:<b@blue>\r\nBDAT 3 LAST\r\nx\r\n", "250 a\r\n550 no\r\n554 nobody\r\n"),
            (
                "RSET\r\nMAIL FROM:<a@red>\r\nRCPT TO:<c@blue>\r\nBDAT 3 LAST\r\ny\r\n",
                "250 r\r\n250 a\r\n250 b\r\n250 c\r\n",
            ),
        ],
    );
    assert_eq!(words(&reports[0]), ["rcpt 550 no"]);
    assert_eq!(words(&reports[1]), ["ok 250 c"]);
}

#[test]
fn a_small_message_goes_in_one_flight_with_chunking() {
    let offers = "250-blue\r\n250-PIPELINING\r\n250 CHUNKING\r\n";
    let (reports, _) = dialogue(
        &[(transaction(&["b@blue"], 4), ".x\r\n")],
        &[
            ("", "220 hi\r\n"),
            ("EHLO red\r\n", offers),
            ("MAIL FROM:<a@red>\r\nRCPT TO:<b@blue>\r\nBDAT 4 LAST\r\n.x\r\n", "250 a\r\n250 b\r\n250 c\r\n"),
        ],
    );
    assert_eq!(words(&reports[0]), ["ok 250 c"]);
}

/// RFC 1047: once the whole message is out, with its commands, nobody can know whether it was taken; unless it was refused.
#[test]
fn a_message_in_one_flight_may_have_been_taken() {
    let offers = "250-blue\r\n250-PIPELINING\r\n250 CHUNKING\r\n";
    let flight = "MAIL FROM:<a@red>\r\nRCPT TO:<b@blue>\r\nRCPT TO:<c@blue>\r\nBDAT 3 LAST\r\nx\r\n";
    let closed = "end-of-data the server closed the connection";
    for (answer, expected) in [("", [closed, closed]), ("250 a\r\n550 b\r\n", ["rcpt 550 b", closed])] {
        let turns = [("", "220 hi\r\n"), ("EHLO red\r\n", offers), (flight, answer), ("", "")];
        let turns = if answer.is_empty() { &turns[..3] } else { &turns[..] };
        let (reports, _) = dialogue(&[(transaction(&["b@blue", "c@blue"], 3), "x\r\n")], turns);
        assert_eq!(words(&reports[0]), expected);
    }
    // 421 is a verdict: what follows it is not looked at.
    let turns = [("", "220 hi\r\n"), ("EHLO red\r\n", offers), (flight, "421 busy\r\n")];
    let (reports, _) = dialogue(&[(transaction(&["b@blue", "c@blue"], 3), "x\r\n")], &turns);
    assert_eq!(words(&reports[0]), ["mail 421 busy", "mail 421 busy"]);
}

#[test]
fn all_refused_and_yet_354() {
    let (reports, _) = dialogue(
        &[(transaction(&["b@blue"], 4), ".x\r\n"), (transaction(&["b@blue"], 4), ".x\r\n")],
        &[
            ("", "220 hi\r\n"),
            ("EHLO red\r\n", "250-b\r\n250 PIPELINING\r\n"),
            ("MAIL FROM:<a@red>\r\nRCPT TO:<b@blue>\r\nDATA\r\n", "250 a\r\n550 b\r\n354 c\r\n"),
            (".\r\n", "554 no valid recipients\r\n"),
            ("MAIL FROM:<a@red>\r\nRCPT TO:<b@blue>\r\nDATA\r\n", "550 a\r\n503 b\r\n503 c\r\n"),
        ],
    );
    assert_eq!(words(&reports[0]), ["rcpt 550 b"]);
    assert_eq!(words(&reports[1]), ["mail 550 a"]);
}

#[test]
fn lost_connections_lose_nothing() {
    let m = (transaction(&["b@blue", "c@blue"], 2), "x\r\n");
    let envelope = "MAIL FROM:<a@red> SIZE=2\r\nRCPT TO:<b@blue>\r\nRCPT TO:<c@blue>\r\nDATA\r\n";
    let start = [("", "220 hi\r\n"), ("EHLO red\r\n", ALL)];
    let closed = "the server closed the connection";
    for (turns, expected) in [
        (vec![(envelope, "")], [format!("mail {closed}"), format!("mail {closed}")]),
        (vec![(envelope, "250 a\r\n550 b\r\n"), ("", "")], ["rcpt 550 b".into(), format!("rcpt {closed}")]),
        (vec![(envelope, "421 busy\r\n")], ["mail 421 busy".into(), "mail 421 busy".into()]),
        (
            vec![(envelope, "250 a\r\n250 b\r\n550 c\r\n354 d\r\n"), ("x\r\n.\r\n", "")],
            [format!("end-of-data {closed}"), "rcpt 550 c".into()],
        ),
        (
            vec![(envelope, "250 a\r\n250 b\r\n550 c\r\n354 d\r\n"), ("x\r\n.\r\n", "421 shutdown\r\n")],
            ["end-of-data 421 shutdown".into(), "rcpt 550 c".into()],
        ),
        (
            vec![(envelope, "250 a\r\n250 b\r\n550 c\r\n354 d\r\n"), ("x\r\n.\r\n", "rubbish\r\n")],
            [
                "end-of-data the server's answer makes no sense: the line does not begin with a reply code".into(),
                "rcpt 550 c".into(),
            ],
        ),
    ] {
        let (reports, end) = dialogue(std::slice::from_ref(&m), &[&start[..], &turns].concat());
        assert_eq!(words(&reports[0]), expected);
        assert!(matches!(end, Step::Over(Some(_))), "{end:?}");
    }
}

#[test]
fn starttls_begins_anew() {
    // What comes in the clear with the 220 counts for nothing.
    let (_, end) = dialogue(
        &[],
        &[
            ("", "220 hi\r\n"),
            ("EHLO red\r\n", "250-b\r\n250-PIPELINING\r\n250 STARTTLS\r\n"),
            ("STARTTLS\r\n", "220 go\r\n250-injected\r\n250 SIZE 1\r\n"),
            ("EHLO red\r\n", "250 b\r\n"),
            ("QUIT\r\n", "221 bye\r\n"),
        ],
    );
    assert_eq!(end, Step::Over(None));
    // Offered, but can't: in the clear.
    let (_, end) = dialogue(
        &[],
        &[
            ("", "220 hi\r\n"),
            ("EHLO red\r\n", "250-b\r\n250 STARTTLS\r\n"),
            ("STARTTLS\r\n", "454 no certificate\r\n"),
        ],
    );
    assert_eq!(end, Step::Ready);
    let must = Config { tls: TlsUse::Required, ..config() };
    let turns = [("", "220 hi\r\n"), ("EHLO red\r\n", "250 b\r\n")];
    let (_, Step::Over(Some(failure))) = play(must, vec![], &turns, 99) else { panic!() };
    assert_eq!(failure.stage, Stage::StartTls);
}

#[test]
fn refusals_before_the_first_message() {
    for (turns, stage) in [
        (vec![("", "554 no\r\n")], "greeting"),
        (vec![("", "421 busy\r\n")], "greeting"),
        (vec![("", "220 hi\r\n"), ("EHLO red\r\n", "421 no\r\n")], "ehlo"),
        (vec![("", "220 hi\r\n"), ("EHLO red\r\n", "550 no\r\n"), ("HELO red\r\n", "550 no\r\n")], "ehlo"),
        (vec![("", "HTTP/1.1 400 Bad Request\r\n")], "greeting"),
        (vec![("", "")], "greeting"),
    ] {
        let (_, end) = dialogue(&[], &turns);
        let Step::Over(Some(failure)) = end else { panic!("{end:?}") };
        assert_eq!(failure.stage.to_string(), stage);
    }
}

#[test]
fn what_the_server_cannot_take_is_not_tried() {
    let start = [("", "220 hi\r\n"), ("EHLO red\r\n", "250-b\r\n250 SIZE 5000\r\n")];
    let too_big = transaction(&["b@blue"], 5001);
    let utf8 = Transaction { utf8: true, ..transaction(&["b@blue"], 2) };
    let binary = Transaction { body: BodyType::BinaryMime, ..transaction(&["b@blue"], 2) };
    let (reports, end) = dialogue(&[(too_big, ""), (utf8, ""), (binary, "")], &start);
    let status: Vec<_> = reports.iter().map(|r| r.verdicts[0].as_ref().unwrap_err().status()).collect();
    assert_eq!(status, [(5, 3, 4), (5, 6, 7), (5, 6, 3)]);
    assert!(reports.iter().all(|r| r.verdicts[0].as_ref().unwrap_err().is_permanent()));
    assert_eq!(end, Step::Ready);
}

#[test]
fn dsn_parameters_are_passed_on() {
    let mut m = transaction(&["b@blue", "ü@blue"], 2);
    m.utf8 = true;
    m.dsn_return = Some(DsnReturn::Headers);
    m.envelope_id = Some("id+1 =".into());
    m.recipients[0].notify = Notify { given: true, success: true, failure: true, delay: false };
    m.recipients[0].original = Some("rfc822;b+x@red".into());
    m.recipients[1].notify = Notify::NEVER;
    m.recipients[1].original = Some("utf-8;ü+@red".into());
    let envelope = "MAIL FROM:<a@red> SIZE=2 SMTPUTF8 RET=HDRS ENVID=id+2B1+20+3D\r\n\
        RCPT TO:<b@blue> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b+2Bx@red\r\n\
        RCPT TO:<ü@blue> NOTIFY=NEVER ORCPT=utf-8;\\x{FC}\\x{2B}@red\r\nDATA\r\n";
    let answer = "250 a\r\n250 b\r\n250 c\r\n354 d\r\n";
    let turns = [("", "220 hi\r\n"), ("EHLO red\r\n", ALL), (envelope, answer), ("x\r\n.\r\n", "250 ok\r\n")];
    assert_eq!(words(&dialogue(&[(m, "x\r\n")], &turns).0[0]), ["ok 250 ok", "ok 250 ok"]);
}

#[test]
fn a_probe_sends_no_message() {
    let mut client = Client::new(config());
    let mut said = Vec::new();
    client.input(b"220 hi\r\n250 b\r\n");
    let report = loop {
        match client.step() {
            Step::Send => {
                said.extend_from_slice(client.output());
                client.sent();
            }
            Step::Ready => client.probe(transaction(&["b@blue"], 0)),
            Step::Receive(_) => client.input(b"250 x\r\n"),
            Step::Done(report) => break report,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(words(&report), ["ok 250 x"]);
    assert_eq!(String::from_utf8_lossy(&said), "EHLO red\r\nMAIL FROM:<a@red>\r\nRCPT TO:<b@blue>\r\n");
}

#[test]
fn logging_in() {
    let credentials = Credentials { user: "u".into(), password: Password::new("p") };
    let login = Some(Login { credentials, nonce: b"n".to_vec() });
    let config = Config { login, clear_auth: true, ..config() };
    let start = [("", "220 hi\r\n"), ("EHLO red\r\n", "250-b\r\n250 AUTH LOGIN PLAIN\r\n")];
    let (_, end) =
        play(config.clone(), vec![], &[&start[..], &[("AUTH PLAIN AHUAcA==\r\n", "235 ok\r\n")]].concat(), 1);
    assert_eq!(end, Step::Ready);
    let refused = [&start[..], &[("AUTH PLAIN AHUAcA==\r\n", "535 5.7.8 no\r\n")]].concat();
    let (_, Step::Over(Some(failure))) = play(config.clone(), vec![], &refused, 9) else { panic!() };
    assert_eq!((failure.stage, failure.to_string().as_str()), (Stage::Auth, "535 5.7.8 no"));
    let (_, end) = play(Config { clear_auth: false, ..config }, vec![], &start, 9);
    assert!(matches!(end, Step::Over(Some(Failure { stage: Stage::Auth, cause: Cause::Lacks(_) }))));
}

#[test]
fn a_body_of_another_length_than_announced_is_never_whole() {
    for given in [3, 5] {
        let mut client = Client::new(config());
        client.input(b"220 hi\r\n250-b\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
        let report = loop {
            match client.step() {
                Step::Send => client.sent(),
                Step::Ready => client.begin(transaction(&["b@blue"], 4)),
                Step::Body => {
                    client.body(&vec![b'x'; given]);
                    client.body_end();
                }
                Step::Done(report) => break report,
                other => panic!("{other:?}"),
            }
        };
        assert!(report.verdicts[0].is_err());
        assert!(matches!(client.step(), Step::Over(Some(_))));
    }
}

/// RFC 2033 §4.2: each recipient that was taken has a reply of its own; who has it keeps it when the rest is lost.
#[test]
fn lmtp_answers_for_each_recipient() {
    let start = [("", "220 blue LMTP\r\n"), ("LHLO red\r\n", "250-blue\r\n250-PIPELINING\r\n250 CHUNKING\r\n")];
    let envelope = "MAIL FROM:<a@red>\r\nRCPT TO:<b@blue>\r\nRCPT TO:<c@blue>\r\nRCPT TO:<d@blue>\r\nDATA\r\n";
    let taken = "250 a\r\n250 b\r\n550 c\r\n250 d\r\n354 go\r\n";
    let message = || vec![(transaction(&["b@blue", "c@blue", "d@blue"], 3), "x\r\n")];
    let config = || Config { lmtp: true, ..config() };
    for (end, expected) in [
        ("250 2.0.0 b\r\n452 4.2.2 full\r\n", ["ok 250 2.0.0 b", "rcpt 550 c", "end-of-data 452 4.2.2 full"]),
        ("250 2.0.0 b\r\n", ["ok 250 2.0.0 b", "rcpt 550 c", "end-of-data "]),
        ("", ["end-of-data ", "rcpt 550 c", "end-of-data "]),
    ] {
        let turns = [&start[..], &[(envelope, taken), ("x\r\n.\r\n", end)]].concat();
        for cut in [1, 7, 9999] {
            let (reports, _) = play(config(), message(), &turns, cut);
            for (word, expected) in words(&reports[0]).iter().zip(expected) {
                assert!(word.starts_with(expected), "{word} is not {expected}");
            }
        }
    }
    // It is no SMTP: there is no HELO to fall back to.
    let (_, over) = play(config(), message(), &[("", "220 x\r\n"), ("LHLO red\r\n", "500 what?\r\n")], 9);
    assert!(matches!(over, Step::Over(Some(_))));
}
