//! Odd messages under `corpus/`, compared with what Dovecot 2.3.19 says of them (recorded by `corpus/record.py`).
//! Where we differ on purpose, the reason stands in [`DIFFERENCES`].

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;

use message::envelope::{Envelope, EnvelopeAddress};
use message::structure::{Kind, Parameters, Part, Raw, Section, Structure};

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
    let mut compared = 0;
    for (name, message, path) in messages() {
        let structure = Structure::of(&message);
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

/// BODY[section]: the same octets, for every section that Dovecot finds anything in.
#[test]
fn sections_have_the_octets_that_dovecot_gives() {
    // Bare LFs and what stands in DIFFERENCES differ as a whole. The CRLF between an inner close-delimiter and an outer
    // delimiter we give to the latter; that between a header and a delimiter we leave to the header.
    let differ = ["bare-lf", "boundary-prefix", "empty-parts", "global", "no-boundary", "nested-message"];
    let mut compared = 0;
    for (name, message, path) in messages() {
        if differ.contains(&name.as_str()) {
            continue;
        }
        let structure = Structure::of(&message);
        let numbers = || (1..=3u32).map(|a| vec![a]).chain((1..=3).flat_map(|a| (1..=3).map(move |b| vec![a, b])));
        let mut ours = Vec::new();
        let mut note = |path: &[u32], section, end: &str| {
            let Some(range) = structure.section(path, section).filter(|range| !range.is_empty()) else { return };
            let octets = &message[range.start as usize..range.end as usize];
            let path: Vec<String> =
                path.iter().map(u32::to_string).chain((!end.is_empty()).then(|| end.into())).collect();
            let path = if path.is_empty() { "-".into() } else { path.join(".") };
            ours.push(format!("{path} {} {:08x}", octets.len(), crc32fast::hash(octets)));
        };
        for (section, end) in [(Section::Whole, ""), (Section::Header, "HEADER"), (Section::Text, "TEXT")] {
            note(&[], section, end);
        }
        for path in numbers() {
            note(&path, Section::Whole, "");
            note(&path, Section::Mime, "MIME");
            note(&path, Section::Header, "HEADER");
            note(&path, Section::Text, "TEXT");
        }
        let record = std::fs::read_to_string(path.with_extension("sections")).unwrap();
        // Dovecot lets a part that holds no parts be its own part 1; RFC 3501 §6.4.5 knows that of messages only.
        let leaf = |path: &str| {
            let numbers: Option<Vec<u32>> = path.split('.').map(|number| number.parse().ok()).collect();
            numbers.and_then(|path| structure.find(&path)).is_some_and(|part| part.kind == Kind::Leaf)
        };
        let known = |line: &&str| {
            let path = line.split(' ').next().unwrap_or_default();
            let path = path.strip_suffix(".MIME").unwrap_or(path);
            !path.strip_suffix(".1").is_some_and(leaf)
        };
        let mut theirs: Vec<&str> = record.lines().filter(known).collect();
        ours.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(ours, theirs, "{name}");
        compared += theirs.len();
    }
    assert!(compared > 80, "{compared}");
}

/// Name, octets and path of each message.
fn messages() -> Vec<(String, Vec<u8>, std::path::PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    paths.sort();
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    paths.into_iter().map(|path| (name(&path), std::fs::read(&path).unwrap(), path)).collect()
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
