//! A stranger's words on a terminal.

/// `text` without what a terminal would obey: control characters (but line end and tab) and the
/// invisible characters that turn the direction of writing or hide. They show as `\u{..}` in short form.
///
/// A mail that sets the window's title, moves the cursor or writes over the lines above is an old trick.
pub fn safe_text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => safe.push(c),
            '\r' => {}
            // C0, DEL, C1 (0x9b is CSI); overrides and isolates of direction; line and paragraph separators; tags.
            c if c.is_control() => safe.push('\u{fffd}'),
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {}
            '\u{e0000}'..='\u{e007f}' => {}
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
