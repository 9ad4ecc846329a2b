//! A stranger's words among ours: on the operator's terminal and in the log.
//!
//! Does: writes characters that a terminal obeys, or that hide or turn what stands beside them, as `\u001b`, which
//! JSON reads back as what they were. Does not: touch what the terminal mail client shows (`mua::safe_text` does).

use std::borrow::Cow;
use std::fmt::Write as _;

/// Lines of text, or indented JSON: line ends and tabs stay.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    written(text, |c| mua::is_obeyed(c) && c != '\n' && c != '\t')
}

/// One line with its end: nothing in it can begin another.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    match text.strip_suffix('\n') {
        Some(inside) => match written(inside, mua::is_obeyed) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(inside) => Cow::Owned(inside + "\n"),
        },
        None => written(text, mua::is_obeyed),
    }
}

fn written(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    // Nearly all lines are as they should be.
    if !text.chars().any(&hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 32);
    for c in text.chars() {
        if hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_becomes_visible() {
        assert_eq!(lines("a\x1b[2J\x07\u{9b}31m\tb\nc ü 日本"), "a\\u001b[2J\\u0007\\u009b31m\tb\nc ü 日本");
        assert_eq!(lines("x\u{202e}gpj.exe\u{e0041}"), "x\\u202egpj.exe\\udb40\\udc41");
        assert_eq!(line("one\ntwo\r\n"), "one\\u000atwo\\u000d\n");
        assert_eq!(line("no end\t"), "no end\\u0009");
        assert!(matches!(line("as it should be\n"), Cow::Borrowed("as it should be\n")));
    }

    #[test]
    fn json_reads_back_as_it_was() {
        let words = "\u{9b}31m \u{202e}\u{e0041} \x1b \n";
        let json = serde_json::to_string_pretty(&[words]).unwrap();
        let shown = lines(&json);
        assert!(!shown.chars().any(|c| mua::is_obeyed(c) && c != '\n'), "{shown:?}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), [words]);
    }
}
