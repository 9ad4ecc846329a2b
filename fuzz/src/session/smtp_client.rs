//! Conversations of our SMTP client with a server that says anything.

use mail::{Address, BodyType, Domain, DsnReturn, Recipient, ReversePath};
use wire::sasl::client::{Credentials, Login};
use wire::sasl::{ChannelBinding, Password};
use wire::smtp::client::{Client, Config, Step, TlsUse, Transaction};

use super::Shape;

const MESSAGE: &[u8] = b"Subject: x\r\n\r\n.dot\r\nbare\nlf\r\n";

fn transaction(utf8: bool) -> Transaction {
    let address = |local: &str| Address::new(local, Domain::from_ascii("blue.example").expect("a domain"));
    let recipients = ["b", if utf8 { "ü" } else { "c d" }, "e"].map(|local| address(local).expect("an address"));
    Transaction {
        sender: ReversePath::Address(address("a").expect("an address")),
        recipients: recipients.into_iter().map(Recipient::new).collect(),
        size: MESSAGE.len() as u64,
        body: if utf8 { BodyType::EightBitMime } else { BodyType::SevenBit },
        utf8,
        dsn_return: Some(DsnReturn::Headers),
        envelope_id: Some("an id+".into()),
    }
}

/// Two messages to a server that says what the input says: it always ends, every recipient has its verdict, a yes
/// needs a 2yz after the message was sent, and the password goes nowhere but where it may.
pub fn smtp_client_session(data: &[u8]) {
    let Some(mut shape) = Shape::of(data) else { return };
    let tls = [TlsUse::Never, TlsUse::IfOffered, TlsUse::Required, TlsUse::Implicit][usize::from(shape.bits & 3)];
    shape.bits >>= 2;
    let login = shape.bit().then(|| Login {
        credentials: Credentials { user: "alice".into(), password: Password::new("zyxwv98765") },
        nonce: b"abcdefghijklmnopqrst".to_vec(),
    });
    let utf8 = shape.bit();
    let probe = shape.bit();
    let mut pieces = shape.pieces(b"").into_iter();
    let binding = ChannelBinding::default();
    let config = Config { helo: "red.example".into(), tls, login, binding, clear_auth: false, lmtp: false };
    let mut client = Client::new(config);
    let (mut begun, mut told, mut secure) = (0, 0, tls == TlsUse::Implicit);
    let (mut said, mut body): (Vec<u8>, &[u8]) = (Vec::new(), &[]);
    // Every step either takes a piece of the input, sends, or ends something: there are not many.
    let most = 1000 + 10 * data.len();
    for step in 0.. {
        assert!(step < most, "it goes on for ever");
        match client.step() {
            Step::Send => {
                assert!(!client.output().is_empty());
                said.extend_from_slice(client.output());
                client.sent();
            }
            Step::Receive(_) => match pieces.next() {
                Some(piece) => client.input(&piece),
                None => client.eof(),
            },
            Step::StartTls => {
                // RFC 4954 §4: never in the clear.
                secure = true;
                client.secured(ChannelBinding::default());
            }
            Step::Body if body.is_empty() => client.body_end(),
            Step::Body => {
                client.body(body);
                body = &[];
            }
            Step::Ready if begun < 2 => {
                begun += 1;
                body = MESSAGE;
                if probe { client.probe(transaction(utf8)) } else { client.begin(transaction(utf8)) }
            }
            Step::Ready => client.quit(),
            Step::Done(report) => {
                told += 1;
                assert!(told <= begun);
                assert_eq!(report.verdicts.len(), 3);
                for verdict in report.verdicts.iter().flatten() {
                    assert!(verdict.code.is_positive(), "{verdict}");
                }
            }
            Step::Over(_) => break,
        }
        if !secure {
            // PLAIN's response for these credentials, and the password itself in base64 (LOGIN).
            for secret in [&b"zyxwv98765"[..], b"AGFsaWNlAHp5eHd2OTg3NjU=", b"enl4d3Y5ODc2NQ=="] {
                assert!(memchr::memmem::find(&said, secret).is_none(), "a password in the clear");
            }
        }
    }
    assert!(told == begun, "{told} of {begun} messages have a report");
}
