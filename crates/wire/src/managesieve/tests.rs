//! Dialogues with the engine: each runs whole and byte by byte.

use mail::limits;

use super::{Answer, Engine, LoginFailure, Question, Refusal, Settings, Step, Work};

fn settings() -> Settings {
    let (extensions, notify) = ("fileinto".to_owned(), "mailto".to_owned());
    Settings { starttls: true, plaintext: true, scram: false, extensions, notify }
}

/// The engine after the greeting, and what it said.
fn begun(settings: Settings) -> (Engine, String) {
    let mut engine = Engine::new(settings, None);
    let greeting = said(&mut engine);
    (engine, greeting)
}

/// All that it says until it waits for something else.
fn said(engine: &mut Engine) -> String {
    let mut all = Vec::new();
    loop {
        match engine.step() {
            Step::Send(bytes) => all.extend(bytes),
            Step::Ask(question) => answer(engine, question),
            Step::Read | Step::Close | Step::StartTls => return String::from_utf8(all).unwrap(),
        }
    }
}

/// A store with the script `a b`, which is active.
fn answer(engine: &mut Engine, question: Question) {
    engine.answer(match question {
        Question::LogIn { user, password } if user == "alice" && password.reveal() == "secret" => {
            Answer::LoggedIn("alice@red.example".into())
        }
        Question::Work(Work::List) => Answer::List(vec![("a b".into(), true), ("c\"d".into(), false)]),
        Question::Work(Work::Get(name)) if name == "a b" => Answer::Text("keep;\r\n".into()),
        Question::Work(Work::Get(_)) => {
            Answer::No(Refusal { code: Some("NONEXISTENT"), words: "line one\nline two".into() })
        }
        Question::Work(_) | Question::LogOut => Answer::Done,
        _ => Answer::Refused(LoginFailure::Credentials),
    });
}

/// What is said to `input`, given in pieces of `piece` octets.
fn talk(engine: &mut Engine, input: &str, piece: usize) -> String {
    let mut out = String::new();
    for chunk in input.as_bytes().chunks(piece) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let taken = engine.input(rest);
            rest = &rest[taken..];
            let words = said(engine);
            if taken == 0 && words.is_empty() {
                return out;
            }
            out += &words;
        }
    }
    out
}

/// "\0alice\0secret".
const LOG_IN: &str = "AUTHENTICATE \"PLAIN\" \"AGFsaWNlAHNlY3JldA==\"\r\n";

#[test]
fn a_session() {
    for (input, output) in [
        ("LISTSCRIPTS\r\n", "NO \"Log in first\"\r\n"),
        (LOG_IN, "OK \"Logged in\"\r\n"),
        (LOG_IN, "NO \"You are logged in already\"\r\n"),
        ("listscripts\r\n", "\"a b\" ACTIVE\r\n\"c\\\"d\"\r\nOK \"That is all\"\r\n"),
        ("GETSCRIPT \"a b\"\r\n", "{7}\r\nkeep;\r\n\r\nOK \"That is it\"\r\n"),
        ("GETSCRIPT {1+}\r\nx\r\n", "NO (NONEXISTENT) {17}\r\nline one\nline two\r\n"),
        ("PUTSCRIPT \"q\\\"\" {5+}\r\nstop;\r\n", "OK \"Done\"\r\n"),
        ("PUTSCRIPT {1}\r\nq {0+}\r\n\r\n", "OK \"Done\"\r\n"),
        ("HAVESPACE \"q\" 99\r\n", "OK \"Done\"\r\n"),
        ("HAVESPACE \"q\" many\r\n", "NO \"Unknown command, or its arguments are wrong\"\r\n"),
        ("NOOP \"t\"\r\n", "OK (TAG \"t\") \"Still here\"\r\n"),
        ("GETSCRIPT \"x\r\n", "NO \"A string has no end\"\r\n"),
        ("GETSCRIPT {x+}\r\n", "NO \"A literal's length is a number\"\r\n"),
        ("\"GETSCRIPT\"\r\n", "NO \"A command begins with its name\"\r\n"),
        ("UNAUTHENTICATE\r\n", "OK \"Nobody is logged in\"\r\n"),
        ("LISTSCRIPTS\r\n", "NO \"Log in first\"\r\n"),
        ("AUTHENTICATE \"PLAIN\"\r\n\"*\"\r\n", "\"\"\r\nNO \"Log-in cancelled\"\r\n"),
        ("AUTHENTICATE \"PLAIN\"\r\n{4+}\r\nAGEA\r\n", "\"\"\r\nNO \"AUTHENTICATE failed: "),
        ("LOGOUT\r\n", "OK \"Bye\"\r\n"),
    ]
    .iter()
    .scan(String::new(), |before, step| {
        before.push_str(step.0);
        Some((before.clone(), step.1))
    }) {
        let mut whole = begun(settings()).0;
        let all = talk(&mut whole, &input, usize::MAX);
        assert!(all.ends_with(output) || all.rsplit("\"\"\r\n").next().unwrap().starts_with(&output[4..]), "{all}");
        let mut slow = begun(settings()).0;
        assert_eq!(talk(&mut slow, &input, 1), all);
    }
}

#[test]
fn the_greeting_says_what_there_is() {
    let (mut engine, greeting) = begun(settings());
    for line in [
        "\"IMPLEMENTATION\" \"Postrider\"\r\n",
        "\"SASL\" \"PLAIN",
        "\"SIEVE\" \"fileinto\"\r\n",
        "\"NOTIFY\" \"mailto\"\r\n",
        "\"STARTTLS\"\r\n",
        "\"VERSION\" \"1.0\"\r\nOK ",
    ] {
        assert!(greeting.contains(line), "{line} {greeting}");
    }
    talk(&mut engine, LOG_IN, usize::MAX);
    assert!(talk(&mut engine, "CAPABILITY\r\n", 3).contains("\"OWNER\" \"alice@red.example\"\r\n"));
}

/// Without TLS, off loopback, no password is taken; what was sent ahead of TLS is dropped.
#[test]
fn no_password_in_clear() {
    let (mut engine, greeting) = begun(Settings { plaintext: false, ..settings() });
    assert!(greeting.contains("\"SASL\" \"\"\r\n"), "{greeting}");
    assert!(talk(&mut engine, LOG_IN, usize::MAX).starts_with("NO (ENCRYPT-NEEDED)"));
    assert_eq!(talk(&mut engine, "STARTTLS\r\nLISTSCR", usize::MAX), "OK \"Begin TLS\"\r\n");
    assert_eq!(engine.step(), Step::StartTls);
    engine.tls_started(crate::sasl::ChannelBinding::default());
    let greeting = said(&mut engine);
    assert!(!greeting.contains("STARTTLS") && greeting.contains("\"SASL\" \"PLAIN"), "{greeting}");
    assert_eq!(talk(&mut engine, LOG_IN, 1), "OK \"Logged in\"\r\n");
}

/// `MANAGESIEVE_LINE_LEN`, and one more; a literal of `SIEVE_SCRIPT_LEN` is taken, one that is much longer ends the session.
#[test]
fn commands_are_bounded() {
    let mut engine = begun(settings()).0;
    talk(&mut engine, LOG_IN, usize::MAX);
    let line = |len: usize| format!("GETSCRIPT \"{}\"\r\n", "x".repeat(len - "GETSCRIPT \"\"\r\n".len()));
    assert!(talk(&mut engine, &line(limits::MANAGESIEVE_LINE_LEN), 999).starts_with("NO (NONEXISTENT)"));
    assert_eq!(talk(&mut engine, &line(limits::MANAGESIEVE_LINE_LEN + 1), 999), "NO \"That line is too long\"\r\n");
    let script = " ".repeat(limits::SIEVE_SCRIPT_LEN);
    let put = |text: &str| format!("PUTSCRIPT \"n\" {{{}+}}\r\n{text}\r\n", text.len());
    assert_eq!(talk(&mut engine, &put(&script), 10_000), "OK \"Done\"\r\n");
    let longer = format!("CHECKSCRIPT {{{}+}}\r\n", limits::SIEVE_SCRIPT_LEN + limits::MANAGESIEVE_LINE_LEN);
    assert!(talk(&mut engine, &longer, 10_000).starts_with("BYE (QUOTA/MAXSIZE)"));
    assert_eq!(engine.step(), Step::Close);
}

/// `MANAGESIEVE_ERRORS`: so many, and the session ends.
#[test]
fn errors_are_counted() {
    let mut engine = begun(settings()).0;
    let before = talk(&mut engine, &"NONSENSE\r\n".repeat(limits::MANAGESIEVE_ERRORS - 1), usize::MAX);
    assert!(!before.contains("BYE"));
    assert!(talk(&mut engine, "NONSENSE\r\n", usize::MAX).contains("BYE (TRYLATER)"));
    assert_eq!(engine.step(), Step::Close);
}
