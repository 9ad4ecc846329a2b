//! What must hold for any input, and rules that need a clock.

use std::sync::Arc;

use mail::{BodyType, Domain, Durable, QueueId, Reply, Timestamp};
use proptest::prelude::*;

use super::{Answer, Config, Fetched, Question, Role, ScramAnswer, Server, Step, Transport, too_big};
use crate::sasl::{ChannelBinding, encode};

const NOW: Timestamp = Timestamp::from_secs(1000);

/// What one session did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    said: String,
    body: Vec<u8>,
    /// Bodies that were to be stored, in order.
    messages: Vec<Vec<u8>>,
    /// What each is said to be.
    kinds: Vec<BodyType>,
    closed: bool,
}

fn server(role: Role, tls: bool, change: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config::new(Domain::from_ascii("mail.red.example").unwrap(), role);
    config.scram = true;
    config.burl = role == Role::Submission;
    change(&mut config);
    let transport = match tls {
        true => Transport::Tls(ChannelBinding { tls_exporter: Some(vec![1; 32]), tls_server_end_point: None }),
        false => Transport::Plain { starttls: true },
    };
    Server::new(Arc::new(config), transport, NOW)
}

/// Anybody whose address has no `x` is taken; the password is `secret`.
fn answer(question: Question, seen: &mut Seen) -> Answer {
    let no = || Reply::new(550, (5, 1, 1), "no");
    match question {
        Question::Sender(..) | Question::Body { .. } => {
            seen.body.clear();
            Answer::Permission(Ok(()))
        }
        Question::Recipient(who) if who.address.local().contains('x') => Answer::Permission(Err(no())),
        Question::Recipient(_) => Answer::Permission(Ok(())),
        // A URL leads to what stands behind its slash, with its signs for CR, LF and others.
        Question::Fetch { url, .. } if url.contains(&b'x') => Answer::Fetched(Err(no())),
        Question::Fetch { url, room, mut ends } => {
            let text = String::from_utf8(url).unwrap().replace('r', "\r").replace('n', "\n").replace('u', "\u{fc}");
            if text.len() as u64 > room {
                return Answer::Fetched(Err(too_big()));
            }
            ends.look(text.as_bytes());
            seen.body.extend_from_slice(text.as_bytes());
            Answer::Fetched(Ok(Fetched { size: text.len() as u64, eight_bit: !text.is_ascii(), ends }))
        }
        Question::Commit(envelope) => {
            seen.kinds.push(envelope.body);
            seen.messages.push(std::mem::take(&mut seen.body));
            Answer::Committed(Ok(Durable::attest(QueueId::from_u64(1))))
        }
        Question::Password { user, password, .. } if password.reveal() == "secret" => Answer::LoggedIn(Ok(user)),
        Question::Password { .. } | Question::ScramEnd { .. } => Answer::LoggedIn(Err(no())),
        Question::ScramKeys { .. } => {
            Answer::Keys(Ok(ScramAnswer { keys: None, nonce: vec![1; 18], decoy: Vec::new() }))
        }
    }
}

/// Drives a session with input in pieces, as a pump does.
fn drive<'a>(server: &mut Server, pieces: impl IntoIterator<Item = &'a [u8]>) -> Seen {
    let mut seen = Seen::default();
    let mut pieces = pieces.into_iter();
    let mut buffer: &[u8] = &[];
    loop {
        match server.step() {
            Step::Ask(question) => {
                let answer = answer(question, &mut seen);
                server.answer(answer, NOW);
            }
            Step::Forget => seen.body.clear(),
            Step::StartTls => {
                buffer = &[];
                server.tls_began(ChannelBinding::default(), NOW);
            }
            Step::Close => {
                seen.closed = true;
                break;
            }
            Step::Wait if buffer.is_empty() => match pieces.next() {
                Some(piece) => buffer = piece,
                None => break,
            },
            Step::Wait => {
                let taken = server.input(buffer, NOW);
                let goes_on = taken.used > 0 || !taken.body.is_empty();
                assert!(goes_on, "input is taken while there is nothing else to do");
                seen.body.extend_from_slice(taken.body);
                buffer = &buffer[taken.used..];
            }
        }
    }
    seen.said = String::from_utf8(server.output()).unwrap();
    seen
}

fn session(role: Role, tls: bool, input: &[u8], piece: usize) -> Seen {
    drive(&mut server(role, tls, |_| ()), input.chunks(piece))
}

#[test]
fn silence_ends_a_session_and_a_slow_message_too() {
    let mut engine = server(Role::Mx, false, |_| ());
    drive(&mut engine, [&b"EHLO c\r\nNO"[..]]);
    assert_eq!(engine.deadline(), Some(NOW.plus(mail::limits::SMTP_COMMAND_TIMEOUT)));
    // A byte now and then is no command: the deadline stays.
    let later = NOW.plus(std::time::Duration::from_secs(200));
    engine.input(b"O", later);
    assert_eq!(engine.deadline(), Some(NOW.plus(mail::limits::SMTP_COMMAND_TIMEOUT)));
    engine.tick(later);
    assert!(matches!(engine.step(), Step::Wait));
    engine.tick(NOW.plus(mail::limits::SMTP_COMMAND_TIMEOUT));
    assert!(matches!(engine.step(), Step::Forget));
    assert!(matches!(engine.step(), Step::Close));
    assert!(engine.output().starts_with(b"421 4.4.2 "));

    let mut engine = server(Role::Mx, false, |config| config.message_timeout = std::time::Duration::from_secs(400));
    drive(&mut engine, [&b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"[..]]);
    engine.input(b"slow", later);
    assert_eq!(engine.deadline(), Some(NOW.plus(std::time::Duration::from_secs(400))));
}

/// RFC 5321 §4.5.3.1.6: longer lines than its 1,000 octets are kept, up to a bound; the message is read to its end.
#[test]
fn a_line_of_a_message_has_a_bound() {
    for (octets, reply) in [
        (mail::limits::SMTP_TEXT_LINE_LEN - 2, "250 2.0.0 Ok: queued as "),
        (mail::limits::SMTP_TEXT_LINE_LEN, "554 5.6.0 The message has a line that is too long\r\n"),
    ] {
        let message = "x".repeat(octets);
        let envelope = "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";
        for input in [
            format!("{envelope}DATA\r\n{message}\r\n.\r\nNOOP\r\n"),
            format!("{envelope}BDAT {} LAST\r\n{message}\r\nNOOP\r\n", octets + 2),
        ] {
            let seen = session(Role::Mx, false, input.as_bytes(), 50_000);
            assert!(seen.said.contains(reply), "{}", seen.said);
            assert!(seen.said.ends_with("250 2.0.0 Ok\r\n"));
            assert_eq!(seen.messages.len(), usize::from(reply.starts_with("250")));
        }
    }
}

#[test]
fn a_commit_under_way_is_finished_when_the_client_leaves() {
    let mut engine = server(Role::Mx, false, |_| ());
    drive(&mut engine, [&b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"[..]]);
    engine.input(b".\r\n", NOW);
    let Step::Ask(Question::Commit(_)) = engine.step() else { panic!("a commit is asked for") };
    engine.eof();
    assert!(matches!(engine.step(), Step::Wait));
    assert_eq!(engine.deadline(), None);
    engine.answer(Answer::Committed(Ok(Durable::attest(QueueId::from_u64(1)))), NOW);
    assert!(matches!(engine.step(), Step::Forget));
    assert!(matches!(engine.step(), Step::Close));
}

/// RFC 3207 §6: what was pipelined behind STARTTLS is not obeyed, nor is an unfinished line continued.
#[test]
fn nothing_crosses_starttls() {
    let mut engine = server(Role::Mx, false, |_| ());
    let input = &b"EHLO c\r\nSTARTTLS\r\nEHLO evil\r\nMAIL FROM:<a@b>\r\nRC"[..];
    let seen = drive(&mut engine, [input, b"PT TO:<c@d>\r\nRCPT TO:<c@d>\r\n"]);
    assert!(
        seen.said.ends_with(
            "220 2.0.0 Ready to start TLS\r\n500 5.5.2 Command not recognised\r\n503 5.5.1 Say MAIL first\r\n"
        )
    );
}

#[test]
fn scram_goes_through_its_steps_and_is_refused_at_its_end() {
    let first = encode(b"n,,n=u,r=abc");
    let input = format!("EHLO c\r\nAUTH SCRAM-SHA-256 {first}\r\nY29tZQ==\r\nAUTH SCRAM-SHA-256-PLUS =\r\nNOOP\r\n");
    let seen = session(Role::Submission, true, input.as_bytes(), 1000);
    let replies: Vec<&str> = seen.said.lines().filter(|line| line.as_bytes()[3] == b' ').collect();
    assert_eq!(replies[1], "250 HELP");
    assert!(replies[2].starts_with("334 cj1hYm"), "{replies:?}");
    assert_eq!(
        replies[3..],
        ["501 5.5.2 the proof is missing", "501 5.5.2 SCRAM begins with a GS2 header", "250 2.0.0 Ok"]
    );
}

/// RFC 4468 §3.2, §3.4: a URL's octets count like a chunk's, whatever stands before and behind them.
#[test]
fn bodies_that_are_there_already_count_like_chunks() {
    const ENVELOPE: &str = "EHLO c\r\nAUTH PLAIN AHUAc2VjcmV0\r\nEHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";
    let play = |commands: &str, most: u64| {
        let mut engine = server(Role::Submission, true, |config| config.message_size = most);
        drive(&mut engine, [format!("{ENVELOPE}{commands}").as_bytes()])
    };
    let bare = "554 5.6.0 The message has a CR or LF that stands alone";
    let big = "552 5.3.4 Message is too big";
    for (commands, most, reply, body) in [
        ("BURL arn LAST\r\n", 3, "250 2.0.0 Ok", &b"a\r\n"[..]),
        ("BURL ar\r\nBURL nb LAST\r\n", 4, "250 2.0.0 Ok", b"a\r\nb"),
        ("BDAT 1\r\naBURL rn\r\nBDAT 1 LAST\r\nb", 4, "250 2.0.0 Ok", b"a\r\nb"),
        ("BURL a\r\nBDAT 0 LAST\r\n", 4, "250 2.0.0 Ok", b"a"),
        ("BURL ar LAST\r\n", 4, bare, b""),
        ("BURL ar\r\nBDAT 1 LAST\r\nb", 4, bare, b""),
        ("BURL abcd LAST\r\n", 3, big, b""),
        ("BDAT 2\r\nabBURL ab LAST\r\n", 3, big, b""),
        ("BURL ab\r\nBDAT 2 LAST\r\nab", 3, big, b""),
    ] {
        let seen = play(commands, most);
        assert!(seen.said.lines().last().unwrap().starts_with(reply), "{commands}: {}", seen.said);
        assert_eq!(seen.messages.concat(), body, "{commands}");
    }
    // After one that leads nowhere, nothing of the message is left.
    let seen = play("BURL a\r\nBURL x\r\nBURL a LAST\r\nNOOP\r\n", 9);
    assert!(
        seen.said.ends_with(
            "250 2.5.0 1 octets fetched\r\n550 5.1.1 no\r\n503 5.5.1 Say MAIL and RCPT first\r\n250 2.0.0 Ok\r\n"
        ),
        "{}",
        seen.said
    );
    let seen = play("BURL a LAST\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBURL u\r\nBURL a LAST\r\n", 9);
    assert_eq!(seen.kinds, [BodyType::SevenBit, BodyType::EightBitMime]);
}

fn input() -> impl Strategy<Value = Vec<u8>> {
    let lines = prop_oneof![
        Just("EHLO c\r\n".to_owned()),
        Just("HELO c\r\n".to_owned()),
        Just("MAIL FROM:<a@b>\r\n".to_owned()),
        Just("MAIL FROM:<a@b> BODY=BINARYMIME SIZE=9\r\n".to_owned()),
        Just("RCPT TO:<c@d>\r\n".to_owned()),
        Just("RCPT TO:<x@d>\r\n".to_owned()),
        Just("DATA\r\n".to_owned()),
        Just("a\r\n..b\r\n".to_owned()),
        Just(".\r\n".to_owned()),
        Just(".\n".to_owned()),
        Just(".\r".to_owned()),
        Just("\r".to_owned()),
        Just("BDAT 5\r\nabc\r\n".to_owned()),
        Just("BDAT 2 LAST\r\n\r\n".to_owned()),
        Just("BDAT 0 LAST\r\n".to_owned()),
        Just("BURL arn\r\n".to_owned()),
        Just("BURL ar LAST\r\n".to_owned()),
        Just("BURL x\r\n".to_owned()),
        Just("RSET\r\n".to_owned()),
        Just("AUTH PLAIN AHUAc2VjcmV0\r\n".to_owned()),
        Just("AUTH LOGIN\r\n".to_owned()),
        Just("dQ==\r\n".to_owned()),
        Just("*\r\n".to_owned()),
        Just("STARTTLS\r\n".to_owned()),
        Just("NOOP\n".to_owned()),
        "[ -~]{0,12}\r\n",
        "\\PC{0,5}",
    ];
    proptest::collection::vec(lines, 0..25).prop_map(|lines| lines.concat().into_bytes())
}

proptest! {
    /// RFC 1870 §6.3: a message that is too large is read to its end, whatever the network cuts off before a line's end.
    #[test]
    fn a_message_that_is_refused_is_taken_all_the_same(text in "[a.\r\n]{5,40}", piece in 1usize..5) {
        let mut engine = server(Role::Mx, false, |config| config.message_size = 4);
        let input = format!("EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\naaaaa{text}\r\n.\r\n");
        let seen = drive(&mut engine, input.as_bytes().chunks(piece));
        prop_assert!(seen.messages.is_empty(), "{}", seen.said);
    }

    /// Any split of the input gives the same replies, the same bodies and the same end.
    #[test]
    fn any_split_is_the_same(input in input(), piece in 1usize..9, submission: bool) {
        let role = if submission { Role::Submission } else { Role::Mx };
        // STARTTLS drops what is behind it in the same packet: there the split may matter.
        let input: Vec<u8> = String::from_utf8(input).unwrap().replace("STARTTLS", "NOOP").into_bytes();
        let whole = session(role, submission, &input, usize::MAX);
        prop_assert_eq!(&whole, &session(role, submission, &input, piece));
        prop_assert_eq!(&whole, &session(role, submission, &input, 1));
        // Every message that was taken is told, and no other.
        prop_assert_eq!(whole.said.matches("queued as").count(), whole.messages.len());
        // Nothing is taken without a log-in on the submission ports.
        if submission && !whole.said.contains("235 2.7.0") {
            prop_assert!(whole.messages.is_empty());
        }
    }

    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), input in input(), tls: bool) {
        session(Role::Mx, tls, &bytes, 7);
        session(Role::Submission, tls, &[&input[..], &bytes].concat(), 50);
    }
}
