//! What is written is read; what is read of strangers is bounded.

use mail::limits;
use proptest::prelude::*;

use super::*;

fn words() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(1u8.., 0..40)
}

fn command(kind: u8, index: u32, parts: &[Vec<u8>]) -> Command<'_> {
    let [one, two, ..] = parts else { return Command::Data };
    match kind {
        0 => Command::Negotiate(Negotiation { version: index, actions: index / 3, steps: !index }),
        1 => Command::Macros(Stage::Sender, vec![(one, two), (two, one)]),
        2 => Command::Connect(one, Peer::At(([127, 0, 0, 1], 25).into())),
        3 => Command::Connect(one, Peer::At((std::net::Ipv6Addr::from(u128::from(index)), 25).into())),
        4 => Command::Connect(one, Peer::Unix(two)),
        5 => Command::Connect(one, Peer::Unknown),
        6 => Command::Hello(one),
        7 => Command::Sender(vec![one, two]),
        8 => Command::Recipient(vec![one]),
        9 => Command::Header(one, two),
        10 => Command::EndOfHeader,
        11 => Command::Body(one),
        12 => Command::End(two),
        13 => Command::Abort,
        14 => Command::Quit,
        _ => Command::Data,
    }
}

fn response(kind: u8, index: u32, parts: &[Vec<u8>]) -> Response<'_> {
    let [one, two, ..] = parts else { return Response::Continue };
    match kind {
        0 => Response::Negotiate(Negotiation { version: index, actions: !index, steps: index }),
        1 => Response::Accept,
        2 => Response::Reject,
        3 => Response::TempFail,
        4 => Response::Discard,
        5 => Response::Skip,
        6 => Response::Progress,
        7 => Response::Reply(one),
        8 => Response::Shutdown,
        9 => Response::ConnectionFailed,
        10 => Response::Quarantine(one),
        11 => Response::AddHeader(one, two),
        12 => Response::InsertHeader(index, one, two),
        13 => Response::ChangeHeader(index, one, two),
        14 => Response::AddRecipient(one, None),
        15 => Response::AddRecipient(one, Some(two)),
        16 => Response::DeleteRecipient(one),
        17 => Response::ChangeSender(one, None),
        18 => Response::ChangeSender(one, Some(two)),
        19 => Response::ReplaceBody(one),
        _ => Response::Continue,
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(kind in 0u8..21, index: u32, parts in proptest::collection::vec(words(), 2)) {
        let mut out = Vec::new();
        let command = command(kind, index, &parts);
        command.write(&mut out);
        let (read, used) = packet(&out).unwrap().unwrap();
        prop_assert_eq!(Command::read(read).unwrap(), command);
        prop_assert_eq!(used, out.len());
        prop_assert_eq!(packet(&out[..used - 1]).unwrap(), None);
        out.clear();
        let response = response(kind, index, &parts);
        response.write(&mut out);
        prop_assert_eq!(Response::read(packet(&out).unwrap().unwrap().0).unwrap(), response);
    }

    #[test]
    fn anything_is_read_or_refused(bytes: Vec<u8>, first in "[OCDHMRTLNBEAQacdrtspy4fqhim+2e-]") {
        let _ = packet(&bytes);
        let mut bytes = bytes;
        bytes.splice(0..0, first.bytes());
        let _ = (Command::read(&bytes), Response::read(&bytes), reply(&bytes));
    }

    #[test]
    fn words_of_a_refusal_are_one_of_ours(words in "([45][0-9]{2}[ -]|[45]\\.[0-9]\\.[0-9] |[a-z%\u{e4}\r\n ]{1,9}){1,6}") {
        if let Some(reply) = reply(words.as_bytes()) {
            prop_assert!(reply.code.get() >= 400);
            prop_assert!(reply.text.len() <= limits::REMOTE_WORDS + words.len());
            prop_assert!(reply.text.bytes().all(|b| b == b'\n' || b == b' ' || b.is_ascii_graphic()));
        }
    }
}

/// `MILTER_PACKET_LEN`: a packet of that length, and one more.
#[test]
fn packets_are_bounded() {
    let of = |length: usize| {
        let mut bytes = u32::try_from(length).unwrap().to_be_bytes().to_vec();
        bytes.resize(4 + length, b'b');
        bytes
    };
    let longest = of(limits::MILTER_PACKET_LEN);
    assert_eq!(packet(&longest).unwrap().unwrap().1, longest.len());
    let too_long = packet(&of(limits::MILTER_PACKET_LEN + 1)).unwrap_err();
    assert_eq!(too_long.to_string(), "it does not speak the milter protocol: a packet is too long");
    assert!(packet(&[0, 0, 0, 0]).is_err());
}

#[test]
fn words_of_filters() {
    let text = |words: &str| reply(words.as_bytes()).map(|reply| format!("{reply:?}"));
    let shown = |words: &str| reply(words.as_bytes()).map(|reply| reply.to_string());
    assert_eq!(shown("550 5.7.1 100%% spam").as_deref(), Some("550 5.7.1 100% spam"));
    assert_eq!(shown("451 try later").as_deref(), Some("451 4.7.1 try later"));
    assert_eq!(shown("550-5.7.1 one\r\n550 5.7.1 two").as_deref(), Some("550 5.7.1 one two"));
    assert_eq!(shown("550 4.7.1 other class").as_deref(), Some("550 5.7.1 other class"));
    assert_eq!(shown("554").as_deref(), Some("554 5.7.1"));
    for bad in ["", "250 2.0.0 ok", "354 go", "no", "550 one\n450 two", "5", "\u{e4}\u{e4}"] {
        assert_eq!(text(bad), None, "{bad}");
    }
}
