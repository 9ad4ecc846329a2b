//! Both sides against each other and against the RFCs' examples.

use proptest::prelude::*;

use super::client::{self, Credentials};
use super::server::{self, Step};
use super::{ChannelBinding, Failure, Mechanism, Password, decode, scram};

fn binding() -> ChannelBinding {
    ChannelBinding { tls_exporter: Some(vec![7; 32]), tls_server_end_point: Some(vec![8; 32]) }
}

fn text(step: Step) -> (String, server::Exchange) {
    match step {
        Step::Challenge { text, next } => (String::from_utf8(text).unwrap(), next),
        other => panic!("{other:?}"),
    }
}

/// RFC 7677 §3.
#[test]
fn scram_agrees_with_the_standards_example() {
    let keys = scram::Keys::derive("pencil", &decode(b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(), 4096);
    let first = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    let read = scram::ClientFirst::read(first, false, ChannelBinding::default()).unwrap();
    assert_eq!(read.user, "user");
    let (challenge, server) = read.challenge(Some(keys), "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", b"");
    let credentials = Credentials { user: "user".into(), password: Password::new("pencil") };
    let nonce = decode(b"rOprNGfwEbeRWgbNEkqO").unwrap();
    let none = ChannelBinding::default();
    let (initial, exchange) = client::Exchange::start(Mechanism::ScramSha256, credentials, &none, false, &nonce);
    assert_eq!(initial.as_deref(), Some(&first[..]));
    let expected = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    assert_eq!(challenge, expected);
    let (response, exchange) = exchange.respond(&challenge).unwrap();
    let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    assert_eq!(std::str::from_utf8(&response).unwrap(), expected);
    let (signature, user, _) = server.verify(&response).unwrap();
    assert_eq!((&signature[..], user.as_str()), (&b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="[..], "user"));
    let (empty, exchange) = exchange.respond(&signature).unwrap();
    assert!(empty.is_empty());
    exchange.succeeded().unwrap();
}

/// Runs a whole log-in; the server's channel may differ from the client's.
fn log_in(
    mechanism: Mechanism,
    password: &str,
    keys: Option<scram::Keys>,
    channels: (&ChannelBinding, &ChannelBinding),
) -> Result<String, Failure> {
    let credentials = Credentials { user: "a=b,c".into(), password: Password::new(password) };
    let plus_offered = channels.1.is_available();
    let (initial, mut client) = client::Exchange::start(mechanism, credentials, channels.0, plus_offered, &[1; 18]);
    let mut step = server::Exchange::start(mechanism, channels.1.clone(), initial.as_deref());
    loop {
        step = match step {
            Step::Challenge { text, next } => {
                let (response, rest) = client.respond(&text)?;
                client = rest;
                next.respond(&response)
            }
            Step::Keys(start) => start.keys(keys.clone(), &[2; 18], b"decoy"),
            Step::Verify { user, password, .. } => {
                client.succeeded()?;
                return Ok(format!("{user}:{}", password.reveal()));
            }
            Step::Succeeded { user, .. } => {
                client.succeeded()?;
                return Ok(user);
            }
            Step::Failed(failure) => return Err(failure),
        }
    }
}

#[test]
fn both_sides_agree() {
    let (none, tls) = (ChannelBinding::default(), binding());
    let keys = scram::Keys::derive("pässword", b"salt", 10);
    let both = (&tls, &tls);
    assert_eq!(log_in(Mechanism::Plain, "p", None, both), Ok("a=b,c:p".into()));
    assert_eq!(log_in(Mechanism::Login, "p", None, both), Ok("a=b,c:p".into()));
    for (mechanism, channels) in
        [(Mechanism::ScramSha256, (&none, &none)), (Mechanism::ScramSha256, both), (Mechanism::ScramSha256Plus, both)]
    {
        assert_eq!(log_in(mechanism, "pässword", Some(keys.clone()), channels), Ok("a=b,c".into()));
        // RFC 4013: the same in another normal form.
        assert_eq!(log_in(mechanism, "pa\u{308}ssword", Some(keys.clone()), channels), Ok("a=b,c".into()));
        assert_eq!(log_in(mechanism, "other", Some(keys.clone()), channels), Err(Failure::Rejected));
        assert_eq!(log_in(mechanism, "pässword", None, channels), Err(Failure::Rejected));
    }
    // Somebody in between has another channel to each side.
    let other = ChannelBinding { tls_exporter: Some(vec![9; 32]), ..tls.clone() };
    assert_eq!(
        log_in(Mechanism::ScramSha256Plus, "pässword", Some(keys.clone()), (&tls, &other)),
        Err(Failure::Rejected)
    );
}

#[test]
fn a_downgrade_is_found_out() {
    // RFC 5802 §6: `y` says that the client could bind but was not offered it.
    let step = server::Exchange::start(Mechanism::ScramSha256, binding(), Some(b"y,,n=u,r=x"));
    assert!(matches!(step, Step::Failed(Failure::Rejected)));
    let step = server::Exchange::start(Mechanism::ScramSha256, ChannelBinding::default(), Some(b"y,,n=u,r=x"));
    assert!(matches!(step, Step::Keys(_)));
}

#[test]
fn accounts_without_keys_look_like_any_other() {
    let challenge = |user: &str, decoy: &[u8]| {
        let first = format!("n,,n={user},r=x");
        let step = server::Exchange::start(Mechanism::ScramSha256, ChannelBinding::default(), Some(first.as_bytes()));
        let Step::Keys(start) = step else { panic!("{step:?}") };
        text(start.keys(None, &[3; 18], decoy)).0
    };
    assert_eq!(challenge("u", b"1"), challenge("u", b"1"));
    assert_ne!(challenge("u", b"1"), challenge("v", b"1"));
    assert_ne!(challenge("u", b"1"), challenge("u", b"2"));
}

#[test]
fn malformed_responses_are_told_from_wrong_ones() {
    let bad: [(Mechanism, &[u8]); 8] = [
        (Mechanism::Plain, b""),
        (Mechanism::Plain, b"a\0b"),
        (Mechanism::Plain, b"\0\0p"),
        (Mechanism::Plain, b"\0u\0"),
        (Mechanism::Plain, b"\0u\0p\0x"),
        (Mechanism::Login, b""),
        (Mechanism::ScramSha256, b"p=tls-exporter,,n=u,r=x"),
        (Mechanism::ScramSha256Plus, b"n,,n=u,r=x"),
    ];
    for (mechanism, response) in bad {
        let step = server::Exchange::start(mechanism, binding(), Some(response));
        assert!(matches!(step, Step::Failed(Failure::Malformed(_))), "{mechanism} {response:?} {step:?}");
    }
    assert_eq!(super::decode_initial(b"="), Ok(vec![]));
    assert!(super::decode_initial(b"*").is_err());
}

#[test]
fn the_best_mechanism_is_chosen_and_a_password_shown_only_where_it_may_be() {
    let credentials = Credentials { user: "u".into(), password: Password::new("p") };
    let login = client::Login { credentials, nonce: b"n".to_vec() };
    let chosen = |offered: &[&str], binding: &ChannelBinding, clear| {
        login.begin(offered.iter().copied(), binding, clear).map(|begun| begun.mechanism)
    };
    let (all, none) = (["login", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "X"], ChannelBinding::default());
    assert_eq!(chosen(&all, &binding(), true), Some(Mechanism::ScramSha256Plus));
    assert_eq!(chosen(&all, &none, false), Some(Mechanism::ScramSha256));
    assert_eq!(chosen(&["LOGIN", "PLAIN"], &binding(), true), Some(Mechanism::Plain));
    assert_eq!(chosen(&["LOGIN", "PLAIN"], &binding(), false), None);
    assert_eq!(chosen(&["CRAM-MD5"], &binding(), true), None);
}

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in "[a-z]=?[a-z,=]{0,20}") {
        for response in [&bytes[..], text.as_bytes(), format!("n,,n=u,r=x{text}").as_bytes()] {
            for mechanism in Mechanism::offered(&binding()) {
                let step = server::Exchange::start(mechanism, binding(), Some(response));
                let step = if let Step::Keys(start) = step { start.keys(None, b"n", b"d") } else { step };
                if let Step::Challenge { next, .. } = step {
                    let _ = next.respond(response);
                }
                let credentials = Credentials { user: "u".into(), password: Password::new("p") };
                let (_, exchange) = client::Exchange::start(mechanism, credentials, &binding(), true, b"n");
                let _ = exchange.respond(response);
            }
        }
    }
}
