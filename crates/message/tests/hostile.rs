//! Messages made to cost much: what is done with each is bounded, in parts, in results and in octets allocated. No
//! clock: what is allocated, freed again or not, grows with the work.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use mail::limits;
use message::envelope::Envelope;
use message::header::Header;
use message::structure::{Kind, Section, Structure};
use message::text::{decode_words, readable};
use testkit::allocation::{Counting, allocated};

#[global_allocator]
static COUNTING: Counting = Counting;

/// Does with a message all that a delivery, an IMAP client, a SEARCH and a reader make the server do. What is allocated
/// in all is at most 32 times the message's length, what is held at once five times; beside that, what the greatest
/// structure takes.
fn look_at(name: &str, message: &[u8]) -> Structure {
    const STRUCTURE: usize = limits::MIME_PARTS * 640 + limits::ENVELOPE_ADDRESSES * 192;
    let (structure, work) = allocated(|| {
        let header = Header::of(message);
        let _ = (header.message_id(), header.date(), header.subject(), header.from());
        let _ = (header.received_count(), header.delivered_to(), Envelope::of(&header));
        let structure = Structure::of(message);
        for (path, part) in structure.leaves() {
            let path: Vec<u32> = path.split('.').map(|number| number.parse().unwrap()).collect();
            let _ = part.file_name();
            if let Some(range) = structure.section(&path, Section::Whole).filter(|_| part.is_type("text")) {
                let _ = readable(part, &message[range.start as usize..range.end as usize]);
            }
        }
        structure
    });
    assert!(work.octets <= message.len() * 32 + 4 * STRUCTURE, "{name}: {work:?} of {} octets", message.len());
    assert!(work.most as usize <= message.len() * 5 + STRUCTURE, "{name}: {work:?} of {} octets", message.len());
    assert!(structure.parts().len() <= limits::MIME_PARTS + limits::MIME_DEPTH, "{name}");
    structure
}

/// How deep a structure is, and that no part is its own descendant.
fn depth(structure: &Structure) -> usize {
    let (mut deepest, mut seen) = (0, vec![false; structure.parts().len()]);
    let mut open = vec![(0u32, 1)];
    while let Some((number, depth)) = open.pop() {
        assert!(!std::mem::replace(&mut seen[number as usize], true), "a part is in a part twice");
        deepest = deepest.max(depth);
        match &structure.part(number).unwrap().kind {
            Kind::Leaf => {}
            Kind::Multipart(children) => open.extend(children.iter().map(|child| (*child, depth + 1))),
            Kind::Message(inner) => open.push((*inner, depth + 1)),
        }
    }
    deepest
}

#[test]
fn ten_thousand_parts_within_parts() {
    let multiparts: String = (0..10_000)
        .map(|level| format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"))
        .collect();
    let structure = look_at("multiparts", multiparts.as_bytes());
    assert_eq!((structure.parts().len(), depth(&structure)), (limits::MIME_DEPTH, limits::MIME_DEPTH));
    let messages = "Content-Type: message/rfc822\r\n\r\n".repeat(10_000);
    let structure = look_at("messages", messages.as_bytes());
    assert_eq!((structure.parts().len(), depth(&structure)), (limits::MIME_DEPTH, limits::MIME_DEPTH));
    // In turn, and closed again in order.
    let mut both: String = (0..5000)
        .map(|level| format!("Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"))
        .collect();
    both.extend((0..5000).rev().map(|level| format!("\r\n--b{level}--\r\n")));
    assert!(depth(&look_at("both", both.as_bytes())) <= limits::MIME_DEPTH);
}

#[test]
fn multiparts_that_seem_to_hold_each_other() {
    // The same boundary at each level: every delimiter could be that of all of them.
    let same = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n".repeat(10_000);
    assert!(depth(&look_at("same boundary", same.as_bytes())) <= limits::MIME_DEPTH);
    // Two that open each other in turn.
    let turns = "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n";
    assert!(depth(&look_at("in turn", turns.repeat(5000).as_bytes())) <= limits::MIME_DEPTH);
    // Boundaries that begin each other, and delimiters of the outermost while all are open.
    let mut prefixes: String = (1..=60)
        .map(|n| format!("Content-Type: multipart/mixed; boundary={0}\r\n\r\n--{0}\r\n", "b".repeat(n)))
        .collect();
    prefixes.push_str(&"--b\r\n".repeat(10_000));
    assert!(depth(&look_at("prefixes", prefixes.as_bytes())) <= limits::MIME_DEPTH);
    // An external body that names itself is content like any other: nothing is fetched.
    let external = b"Content-Type: message/external-body; access-type=content-id\r\nContent-ID: <1@x>\r\n\r\nContent-ID: <1@x>\r\n\r\n";
    assert_eq!(look_at("external", external).parts().len(), 1);
}

#[test]
fn more_parts_than_anybody_needs() {
    for head in ["", "A: b\r\n", "Content-Type: multipart/mixed; boundary=c\r\n", "Content-Type: message/rfc822\r\n"] {
        let many = format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}",
            format!("--b\r\n{head}\r\nx\r\n").repeat(limits::MIME_PARTS * 2)
        );
        // An empty part costs its structure, which is more than its line.
        let structure = look_at(head, many.as_bytes());
        assert!((limits::MIME_PARTS..=limits::MIME_PARTS + limits::MIME_DEPTH).contains(&structure.parts().len()));
    }
}

#[test]
fn parameters_by_the_thousand_and_rfc_2231_floods() {
    let with = |parameters: String| format!("Content-Disposition: attachment{parameters}\r\n\r\nx").into_bytes();
    let kept = |name: &str, message: Vec<u8>| {
        let structure = look_at(name, &message);
        let part = structure.root();
        assert!(part.disposition.as_ref().unwrap().1.len() <= limits::MIME_PARAMETERS, "{name}");
        part.file_name()
    };
    let each = |of: fn(usize) -> String| with((0..50_000).map(of).collect());
    kept("many", each(|n| format!("; p{n}=v")));
    // What is behind the limit is not read; what is before it is.
    let name = kept("continuations", each(|n| format!("; filename*{n}=x")));
    assert_eq!(name.map(|name| name.len()), Some(limits::MIME_PARAMETERS));
    let name = kept("coded continuations", each(|n| format!("; filename*{n}*=%41")));
    assert_eq!(name, Some("A".repeat(limits::MIME_PARAMETERS)));
    kept("the same section", each(|_| "; filename*0*=utf-8''x".into()));
    kept("sections from the end", each(|n| format!("; filename*{}=x", 50_000 - n)));
    kept("numbers beyond all bounds", each(|n| format!("; filename*99999999999{n}*=x")));
    kept("percent signs", with(format!("; filename*={}", "%".repeat(500_000))));
    kept("quotes", with(format!("; filename={}", "\"\\".repeat(250_000))));
    kept("semicolons", with(";".repeat(500_000)));
    kept("spaces and equals signs", with(format!("; a={}", "b =".repeat(150_000))));
    kept("character sets", with(format!("; filename*=iso-2022-jp''{}", "%1B$B".repeat(100_000))));
}

#[test]
fn floods_of_header_fields() {
    let fields = "A:\r\n".repeat(200_000);
    look_at("small fields", fields.as_bytes());
    look_at("no fields", "x\r\n".repeat(200_000).as_bytes());
    look_at("one field", format!("Subject: {}", "x\r\n ".repeat(500_000)).as_bytes());
    look_at("no end", &vec![b'a'; 3 << 20]);
    look_at("Received", "Received: x\r\n".repeat(100_000).as_bytes());
    look_at("all From", "From: a@b\r\n".repeat(100_000).as_bytes());
    look_at("all Content-Type", "Content-Type: multipart/mixed; boundary=b\r\n".repeat(50_000).as_bytes());
    // Every field again for every name that somebody asks for would be their product.
    let names: Vec<String> = (0..limits::IMAP_ITEMS).map(|n| format!("X-{n}")).collect();
    let message: String = (0..20_000).map(|n| format!("x-{n}: v\r\n")).collect();
    let header = Header::of(message.as_bytes());
    let (selected, work) = allocated(|| header.select(&names));
    assert_eq!(selected.iter().filter(|byte| **byte == b'\n').count(), limits::IMAP_ITEMS + 1);
    assert!(work.octets <= 8 * message.len(), "{work:?}");
    assert_eq!(header.select_not(&names).iter().filter(|byte| **byte == b'\n').count(), 10_001);
}

#[test]
fn floods_within_a_field() {
    let from = |value: String| format!("From: {value}\r\n\r\n").into_bytes();
    let addresses = |name: &str, value: String| {
        let structure = look_at(name, &from(value));
        let envelope = structure.root().envelope.as_ref().unwrap();
        // A group has a beginning and an end besides its addresses.
        assert!(envelope.from.len() <= 2 * limits::ENVELOPE_ADDRESSES + 1, "{name}: {}", envelope.from.len());
    };
    addresses("comments", "(".repeat(500_000));
    addresses("comments closed", format!("{}{} a@b", "(".repeat(200_000), ")".repeat(200_000)));
    addresses("small comments", "(a)".repeat(200_000));
    addresses("commas", ",".repeat(500_000));
    addresses("addresses", "a,".repeat(200_000));
    addresses("groups", "g:;".repeat(150_000));
    addresses("words", "a ".repeat(250_000));
    addresses("angles", "<".repeat(500_000));
    addresses("routes", format!("<{}:a@b>", "@a,".repeat(150_000)));
    addresses("dots", format!("a@{}", "b. ".repeat(150_000)));
    for value in ["=?", "=?a?q?", "=?utf-8?q?=?=", "=?utf-8?b?w7w=?= ", "=?utf-8?q?x?=(", "=?iso-2022-jp?b?GyRC?= "] {
        let subject = format!("Subject: {}\r\n\r\n", value.repeat(100_000)).into_bytes();
        look_at(value, &subject);
        let (text, work) = allocated(|| decode_words(&subject[9..]));
        assert!(text.len() <= 3 * subject.len() && work.octets <= 48 * subject.len(), "{value}: {work:?}");
    }
}
