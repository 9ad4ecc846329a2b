//! The MIME tree: exact ranges, IMAP section numbers, broken messages, and the same result for any split.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use mail::limits;
use message::structure::{Kind, Scanner, Section, Structure};
use proptest::prelude::*;

const NESTED: &str = "Subject: outer\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\npreamble\r\n--a\r\n\r\nfirst\r\n\r\n--a\r\n\
    Content-Type: message/rfc822\r\nContent-Description: inside\r\n\r\nSubject: inner\r\nContent-Type: multipart/alternative; boundary=\"a b\"\r\n\r\n\
    --a b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\none\r\n--a b  \r\nContent-Type: text/html\r\n\r\n<p>\r\n--a b--\r\nepilogue\r\n\
    --a\r\nContent-Type: message/rfc822\r\n\r\nSubject: plain\r\n\r\nbody\r\n--a--\r\nend\r\n";

fn text<'a>(message: &'a str, structure: &Structure, path: &[u32], section: Section) -> Option<&'a str> {
    let range = structure.section(path, section)?;
    message.get(range.start as usize..range.end as usize)
}

#[test]
fn sections_by_number() {
    let structure = Structure::of(NESTED.as_bytes());
    let get = |path: &[u32], section| text(NESTED, &structure, path, section);
    assert_eq!(get(&[], Section::Whole), Some(NESTED));
    assert_eq!(get(&[], Section::Header), Some("Subject: outer\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n"));
    assert!(get(&[], Section::Text).is_some_and(|t| t.starts_with("preamble") && t.ends_with("end\r\n")));
    assert_eq!(get(&[], Section::Mime), None);
    assert_eq!(get(&[1], Section::Whole), Some("first\r\n"));
    assert_eq!(get(&[1], Section::Mime), Some("\r\n"));
    assert_eq!(get(&[1], Section::Header), None);
    assert_eq!(get(&[1, 1], Section::Whole), None);
    assert_eq!(get(&[2], Section::Mime), Some("Content-Type: message/rfc822\r\nContent-Description: inside\r\n\r\n"));
    assert!(
        get(&[2], Section::Header).is_some_and(|t| t.starts_with("Subject: inner") && t.ends_with("\"a b\"\r\n\r\n"))
    );
    assert!(get(&[2], Section::Text).is_some_and(|t| t.starts_with("--a b") && t.ends_with("epilogue")));
    assert_eq!(get(&[2, 1], Section::Whole), Some("one"));
    assert_eq!(get(&[2, 2], Section::Whole), Some("<p>"));
    assert_eq!(get(&[2, 2], Section::Mime), Some("Content-Type: text/html\r\n\r\n"));
    assert_eq!(get(&[2, 3], Section::Whole), None);
    assert_eq!(get(&[3, 1], Section::Whole), Some("body"));
    assert_eq!(get(&[3], Section::Text), Some("body"));
    assert_eq!(get(&[4], Section::Whole), None);
    assert_eq!(get(&[0], Section::Whole), None);
    let leaves: Vec<_> = structure.leaves().into_iter().map(|(path, _)| path).collect();
    assert_eq!(leaves, ["1", "2", "2.1", "2.2", "3", "3.1"]);
    let inner = structure.find(&[2]).and_then(|part| match part.kind {
        Kind::Message(inner) => structure.part(inner)?.envelope.as_ref()?.subject.clone(),
        _ => None,
    });
    assert_eq!(inner.as_deref(), Some(&b"inner"[..]));
}

#[test]
fn a_message_without_parts_is_its_own_part_one() {
    let message = "Subject: x\r\n\r\na\r\nb";
    let structure = Structure::of(message.as_bytes());
    assert_eq!(text(message, &structure, &[1], Section::Whole), Some("a\r\nb"));
    assert_eq!(text(message, &structure, &[1], Section::Mime), Some("Subject: x\r\n\r\n"));
    assert_eq!(text(message, &structure, &[1, 1], Section::Whole), None);
    assert_eq!(structure.root().lines, 1);
    assert_eq!(text("", &Structure::of(b""), &[1], Section::Whole), Some(""));
    assert_eq!(text("A: b", &Structure::of(b"A: b"), &[], Section::Header), Some("A: b"));
}

#[test]
fn broken_messages() {
    let parts = |message: &str| {
        let structure = Structure::of(message.as_bytes());
        let shown: Vec<_> = structure
            .leaves()
            .iter()
            .map(|(path, part)| format!("{path}={}", &message[part.body.start as usize..part.body.end as usize]))
            .collect();
        shown.join("|")
    };
    let with = |body: &str| parts(&format!("Content-Type: multipart/mixed; boundary=b\n\n{body}"));
    assert_eq!(with("--b\n\none\n--b\n\ntwo\n"), "1=one|2=two\n", "no end, bare LF");
    assert_eq!(with("nothing"), "1=", "no part at all");
    assert_eq!(with("--b--\nx"), "1=");
    assert_eq!(with("--b\nA: b\n--b\n\n--b--"), "1=|2=", "a header without its end");
    assert_eq!(with("--b\nContent-Type: message/rfc822\n--b--"), "1=|1.1=", "a message without anything");
    assert_eq!(with("--b\n\n--bx\n--b-\n--b--x\n --b\n--b--"), "1=--bx\n--b-\n--b--x\n --b", "not quite boundaries");
    assert_eq!(parts("Content-Type: multipart/mixed\r\n\r\n--b\r\n"), "1=--b\r\n", "no boundary parameter");
    assert_eq!(
        with("--b\nContent-Type: multipart/x; boundary=b\n\n--b\n\nin\n--b--\n--b--\nz"),
        "1.1=in",
        "the same boundary within: the innermost wins"
    );
    let cut = with("--b\nContent-Type: multipart/x; boundary=c\n\n--c\n\nin\n--b\n\nout\n--b--\n");
    assert_eq!(cut, "1.1=in|2=out", "the outer boundary ends the inner part");
}

#[test]
fn depth_and_number_are_bounded() {
    let mut deep = String::new();
    for level in 0..limits::MIME_DEPTH * 2 {
        deep.push_str(&format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"));
    }
    let structure = Structure::of(deep.as_bytes());
    assert_eq!(structure.parts().len(), limits::MIME_DEPTH);
    assert!(structure.parts().last().is_some_and(|part| part.is("text", "plain") && part.size() > 1000));
    let deep = "Content-Type: message/rfc822\r\n\r\n".repeat(limits::MIME_DEPTH * 2);
    assert_eq!(Structure::of(deep.as_bytes()).parts().len(), limits::MIME_DEPTH);
    let many =
        format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", "--b\r\n\r\n".repeat(limits::MIME_PARTS * 2));
    assert_eq!(Structure::of(many.as_bytes()).parts().len(), limits::MIME_PARTS);
}

/// `BOUNDARY_LINE_LEN`: a boundary of up to half of it separates parts; a longer one is none.
#[test]
fn boundaries_are_bounded() {
    let parts = |length: usize| {
        let boundary = "b".repeat(length);
        let message = format!(
            "Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{boundary}\r\n\r\none\r\n--{boundary}\r\n\r\ntwo\r\n--{boundary}--\r\n"
        );
        Structure::of(message.as_bytes()).leaves().len()
    };
    assert_eq!(parts(limits::BOUNDARY_LINE_LEN / 2), 2);
    assert_eq!(parts(limits::BOUNDARY_LINE_LEN / 2 + 1), 1);
}

/// Bodies never overlap, children lie in their parents, headers stand before bodies.
fn check_tree(structure: &Structure, len: u64) {
    assert_eq!(structure.root().header.start, 0);
    assert_eq!(structure.root().body.end, len);
    for part in structure.parts() {
        assert!(
            part.header.start <= part.header.end
                && part.header.end == part.body.start
                && part.body.start <= part.body.end
        );
        assert!(part.body.end <= len);
        let mut end = part.body.start;
        let children = match &part.kind {
            Kind::Leaf => &[][..],
            Kind::Multipart(children) => children,
            Kind::Message(inner) => std::slice::from_ref(inner),
        };
        for child in children {
            let child = structure.part(*child).expect("a child that exists");
            assert!(child.header.start >= end && child.body.end <= part.body.end, "{structure:?}");
            end = child.body.end;
        }
    }
}

/// A message in a digest whose header is cut off by a delimiter: the line end before that belongs to the header.
#[test]
fn a_header_that_is_cut_off_lies_within_its_parents() {
    for inner in ["", "Subject: x", "Content-Type: multipart/mixed; boundary=c", "Content-Type: message/rfc822"] {
        let message = format!("Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n{inner}\r\n--b--\r\n");
        check_tree(&Structure::of(message.as_bytes()), message.len() as u64);
    }
}

proptest! {
    #[test]
    fn any_split_gives_the_same(
        pieces in "(--a|--b|--|Content-Type: multipart/mixed; boundary=a|Content-Type: multipart/digest;boundary=b|Content-Type: message/rfc822|Subject: x|text|\r|\n|\r\n|\r\n\r\n|\r\n--a\r\n){0,40}",
        cuts in proptest::collection::vec(0usize..400, 0..6),
    ) {
        let whole = Structure::of(pieces.as_bytes());
        check_tree(&whole, pieces.len() as u64);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(pieces.len())).chain([0, pieces.len()]).collect();
        cuts.sort_unstable();
        let mut scanner = Scanner::new();
        for pair in cuts.windows(2) {
            scanner.push(&pieces.as_bytes()[pair[0]..pair[1]]);
        }
        prop_assert_eq!(&scanner.finish(), &whole);
        let mut scanner = Scanner::new();
        for byte in pieces.as_bytes() {
            scanner.push(std::slice::from_ref(byte));
        }
        prop_assert_eq!(scanner.finish(), whole);
    }

    #[test]
    fn any_octets_have_a_structure(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        check_tree(&Structure::of(&bytes), bytes.len() as u64);
    }
}
