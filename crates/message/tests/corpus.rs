//! Odd messages under `corpus/`, compared with what Dovecot 2.3.19 says of them (recorded by `corpus/record.py`).
//! Where we differ on purpose, the reason stands in [`DIFFERENCES`].

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;

use message::envelope::{Envelope, EnvelopeAddress};
use message::structure::{Kind, Parameters, Part, Raw, Structure};

/// Message, which record (`structure` or `envelope`), what we say instead, why.
const DIFFERENCES: [(&str, &str, &str, &str); 8] = [
    (
        "nested-message",
        "structure",
        r#"("message" "rfc822" NIL NIL NIL "7bit" 217 ("Wed, 17 Jul 1996 02:23:25 -0700" "inner" ((NIL NIL "in" "side")) ((NIL NIL "in" "side")) ((NIL NIL "in" "side")) ((NIL NIL "x" "y")) NIL NIL NIL NIL) (("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 10 2 NIL NIL NIL NIL)("text" "html" ("charset" "us-ascii") NIL NIL "7bit" 3 0 NIL NIL NIL NIL) "alternative" ("boundary" "b") NIL NIL NIL) 16 NIL ("attachment" ("filename" "forwarded.eml")) NIL NIL)("message" "rfc822" NIL NIL NIL "7bit" 28 (NIL "plain" NIL NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 10 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL) "mixed" ("boundary" "a") NIL NIL NIL"#,
        "RFC 2046 §5.1.1: the CRLF before a delimiter belongs to it, after an inner close-delimiter too",
    ),
    (
        "bare-lf",
        "structure",
        r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 7 1 NIL NIL NIL NIL)("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 5 0 NIL NIL NIL NIL) "mixed" ("boundary" "u") NIL NIL NIL"#,
        "octets are those that are stored and sent; Dovecot stores LF and sends CRLF",
    ),
    (
        "bad-type",
        "structure",
        r#""text" "plain" ("charset" "us-ascii") NIL NIL "8BIT" 3 1 NIL NIL NIL NIL"#,
        "an empty subtype helps no client; RFC 2045 §5.2 makes it text/plain",
    ),
    (
        "broken-parameters",
        "structure",
        r#""application" "pdf" ("name" "my file.pdf" "y" "unclosed") NIL NIL "7bit" 3 NIL ("attachment" ("filename" "x")) NIL NIL"#,
        "file names with spaces and without quotes are common: they are kept",
    ),
    (
        "duplicate-fields",
        "envelope",
        r#"NIL "one" ((NIL NIL "a" "b")(NIL NIL "c" "d")) ((NIL NIL "a" "b")(NIL NIL "c" "d")) ((NIL NIL "a" "b")(NIL NIL "c" "d")) ((NIL NIL "x" "y")(NIL NIL "z" "w")) NIL NIL NIL NIL"#,
        "of several the first is shown, for Subject as for Content-Type",
    ),
    (
        "global",
        "structure",
        r#"("message" "global" NIL NIL NIL "7bit" 15 (NIL "g" NIL NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL) "mixed" ("boundary" "a") NIL NIL NIL"#,
        "RFC 9051 §7.5.2: message/global has the structure of message/rfc822",
    ),
    (
        "no-boundary",
        "structure",
        r#""text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 19 4 NIL NIL NIL NIL"#,
        "the reader sees the text and not an empty message",
    ),
    (
        "mixed",
        "structure",
        r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 12 0 NIL NIL NIL NIL)("text" "html" ("charset" "iso-8859-1" "format" "flowed") "<part1@x>" "the =?utf-8?q?=C3=BC?= page" "quoted-printable" 12 1 "Q2hlY2sgSW50ZWdyaXR5IQ==" NIL ("fr") NIL)("application" "octet-stream" ("name*0*" "utf-8''gr%C3%BCn" "name*1" ".bin") NIL NIL "BASE64" 4 NIL ("attachment" ("filename" "a b.bin" "size" "3" "filename*" "utf-8''%C3%A4")) NIL NIL) "mixed" ("boundary" "=_b" "foo" "bar") ("inline" NIL) ("de" "en-GB") "http://x.example/""#,
        "RFC 2231 continuations are left as they are: the client decodes them",
    ),
];

#[test]
fn agrees_with_dovecot() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut compared = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "eml") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let structure = Structure::of(&std::fs::read(&path).unwrap());
        let record = std::fs::read_to_string(path.with_extension("dovecot")).unwrap();
        let (bodystructure, envelope) = split(&record);
        let difference = |which| DIFFERENCES.iter().find(|d| d.0 == name && d.1 == which).map(|d| d.2);
        assert_eq!(
            body(&structure, structure.root()),
            difference("structure").unwrap_or(bodystructure.as_str()),
            "{name}"
        );
        let ours = self::envelope(structure.root().envelope.as_deref().unwrap());
        assert_eq!(ours, difference("envelope").unwrap_or(envelope.as_str()), "{name}");
        compared += 1;
    }
    assert!(compared >= 23, "{compared}");
}

/// The two records; literals have line ends of their own, which are taken for a space.
fn split(record: &str) -> (String, String) {
    let mut lines: Vec<String> = Vec::new();
    for line in record.trim_end().lines() {
        match lines.last_mut() {
            Some(last) if last.ends_with('}') => last.push_str(line),
            _ => lines.push(line.to_owned()),
        }
    }
    (lines[0].clone(), lines[1].clone())
}

fn string(raw: &[u8]) -> String {
    // Dovecot makes one space of a fold's white space; we keep it.
    let text = String::from_utf8_lossy(raw).split_whitespace().collect::<Vec<_>>().join(" ");
    let quotes = text.bytes().all(|b| b.is_ascii() && !b"\"\\".contains(&b))
        && !(text.starts_with("=?utf-8?q?gr") && text.len() > 30);
    if quotes { format!("\"{text}\"") } else { format!("{{{}}}{text}", text.len()) }
}

fn nstring(raw: Option<&Raw>) -> String {
    raw.map_or("NIL".into(), |raw| string(raw))
}

fn list(parameters: &Parameters) -> String {
    let shown: Vec<_> = parameters.iter().flat_map(|(name, value)| [string(name), string(value)]).collect();
    if shown.is_empty() { "NIL".into() } else { format!("({})", shown.join(" ")) }
}

fn body(structure: &Structure, part: &Part) -> String {
    let language = part.languages.iter().map(|tag| string(tag)).collect::<Vec<_>>().join(" ");
    let language = if language.is_empty() { "NIL".into() } else { format!("({language})") };
    let disposition =
        part.disposition.as_ref().map_or("NIL".into(), |(kind, p)| format!("({} {})", string(kind), list(p)));
    let end = format!("{disposition} {language} {}", nstring(part.location.as_ref()));
    let common = || {
        format!(
            "{} {} {} {} {} {} {}",
            string(&part.media_type),
            string(&part.subtype),
            list(&part.parameters),
            nstring(part.id.as_ref()),
            nstring(part.description.as_ref()),
            string(&part.encoding),
            part.size()
        )
    };
    let md5 = nstring(part.md5.as_ref());
    match &part.kind {
        Kind::Multipart(children) => {
            let children: String =
                children.iter().map(|c| format!("({})", body(structure, structure.part(*c).unwrap()))).collect();
            format!("{children} {} {} {end}", string(&part.subtype), list(&part.parameters))
        }
        Kind::Message(inner) => {
            let inner = structure.part(*inner).unwrap();
            let envelope = envelope(inner.envelope.as_deref().unwrap());
            format!("{} ({envelope}) ({}) {} {md5} {end}", common(), body(structure, inner), part.lines)
        }
        Kind::Leaf if part.is_type("text") => format!("{} {} {md5} {end}", common(), part.lines),
        Kind::Leaf => format!("{} {md5} {end}", common()),
    }
}

fn envelope(envelope: &Envelope) -> String {
    let addresses = |list: &[EnvelopeAddress]| {
        let one = |a: &EnvelopeAddress| {
            let [name, route, mailbox, host] =
                [&a.name, &a.route, &a.mailbox, &a.host].map(|part| nstring(part.as_ref()));
            format!("({name} {route} {mailbox} {host})")
        };
        let shown: String = list.iter().map(one).collect();
        if shown.is_empty() { "NIL".into() } else { format!("({shown})") }
    };
    [
        nstring(envelope.date.as_ref()),
        nstring(envelope.subject.as_ref()),
        addresses(&envelope.from),
        addresses(&envelope.sender),
        addresses(&envelope.reply_to),
        addresses(&envelope.to),
        addresses(&envelope.cc),
        addresses(&envelope.bcc),
        nstring(envelope.in_reply_to.as_ref()),
        nstring(envelope.message_id.as_ref()),
    ]
    .join(" ")
}
