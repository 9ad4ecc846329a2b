//! LANGUAGE (RFC 5255 §3): the language of what is said to people. There is one.

use wire::imap::reply::{Code, Reply};

use crate::io::Io;

/// LANGUAGE: what there is, or which one it is from now on.
pub(crate) fn language(io: &mut Io<'_>, ranges: &[String]) -> Reply {
    if ranges.is_empty() {
        // RFC 5255 §3.4: i-default is always among them.
        io.out.extend_from_slice(b"* LANGUAGE (en i-default)\r\n");
        return Reply::ok("That is what there is");
    }
    let chosen = ranges.iter().find_map(|range| {
        let matches = |name: &str| range.eq_ignore_ascii_case(name);
        // RFC 4647 §3.4: en-GB falls back to en. `default` and `*` are the server's own.
        let is_english = matches("en") || range.get(..3).is_some_and(|head| head.eq_ignore_ascii_case("en-"));
        if matches("i-default") || matches("default") || matches("*") {
            Some("i-default")
        } else {
            is_english.then_some("en")
        }
    });
    match chosen {
        Some(name) => {
            io.out.extend_from_slice(format!("* LANGUAGE ({name})\r\n").as_bytes());
            Reply::ok("Now speaking it")
        }
        None => Reply::no(Code::Cannot, "Only English is spoken here"),
    }
}
