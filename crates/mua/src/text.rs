//! A stranger's words on a terminal.

/// Whether a terminal would obey this character, or it hides or turns what stands beside it: C0, DEL and C1 (U+009B is
/// CSI); marks, overrides and isolates of direction; separators; what is invisible; tags.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` without what a terminal would obey ([`is_obeyed`]), but line ends and tabs: a control character shows as
/// U+FFFD, the invisible ones are dropped.
///
/// A mail that sets the window's title, moves the cursor or writes over the lines above is an old trick.
pub fn safe_text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => safe.push(c),
            '\r' => {}
            c if c.is_control() => safe.push('\u{fffd}'),
            c if is_obeyed(c) => {}
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::safe_text;

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        assert_eq!(safe_text("a\x1b[2Jb\x07c\u{9b}31md"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}31md");
        assert_eq!(safe_text("x\u{202e}gpj.exe"), "xgpj.exe");
        assert_eq!(safe_text("one\r\ntwo\t3 ü 日本"), "one\ntwo\t3 ü 日本");
    }
}
