//! What a server says, onto the end of a buffer. Nothing here allocates but the buffer itself.

use mail::Flags;

use super::cursor::is_astring_char;
use super::mutf7::{self, Names};

/// Strings up to this length are quoted where they can be; longer ones are literals (some clients read
/// lines into short buffers).
const QUOTED_LEN: usize = 1_000;

/// `number`
pub fn number(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// `string = quoted / literal`: quoted where the octets allow it (RFC 3501 §4.3). NUL can't be said in IMAP4rev1 at all
/// and becomes 0x80, as with the servers that clients know.
pub fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let plain = |b: u8| (b' '..0x7f).contains(&b) || b == b'\t';
    if bytes.len() <= QUOTED_LEN && bytes.iter().all(|b| plain(*b)) {
        return quoted(out, bytes);
    }
    literal(out, bytes.len() as u64);
    out.extend(bytes.iter().map(|b| if *b == 0 { 0x80 } else { *b }));
}

/// `string`, or `literal8` (RFC 3516 §7) where there is a NUL.
pub fn string8(out: &mut Vec<u8>, bytes: &[u8]) {
    if !bytes.contains(&0) {
        return string(out, bytes);
    }
    out.push(b'~');
    literal(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// `literal`'s announcement; the octets follow.
pub fn literal(out: &mut Vec<u8>, len: u64) {
    out.push(b'{');
    number(out, len);
    out.extend_from_slice(b"}\r\n");
}

/// `nstring = string / nil`
pub fn nstring(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => string(out, bytes),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// `astring`: an atom where it can be one.
pub fn astring(out: &mut Vec<u8>, bytes: &[u8]) {
    let atom = !bytes.is_empty() && bytes.iter().all(|b| is_astring_char(*b)) && !bytes.eq_ignore_ascii_case(b"NIL");
    if atom { out.extend_from_slice(bytes) } else { string(out, bytes) }
}

/// `mailbox`
pub fn mailbox(out: &mut Vec<u8>, name: &str, names: Names) {
    match names {
        Names::Modified => astring(out, mutf7::encode(name).as_bytes()),
        // RFC 9051 §9: QUOTED-CHAR has UTF8-2, UTF8-3 and UTF8-4.
        Names::Utf8 if !name.is_ascii() && name.len() <= QUOTED_LEN => quoted(out, name.as_bytes()),
        Names::Utf8 => astring(out, name.as_bytes()),
    }
}

fn quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for byte in bytes {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// `flag *(SP flag)`, the inside of a flag list.
pub fn flags<'a>(out: &mut Vec<u8>, system: Flags, recent: bool, keywords: impl Iterator<Item = &'a str>) {
    let start = out.len();
    let mut one = |name: &str| {
        if out.len() > start {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
    };
    if recent {
        one("\\Recent");
    }
    system.names().for_each(&mut one);
    keywords.for_each(one);
}

/// `* n WORD` and CRLF.
pub fn counted(out: &mut Vec<u8>, n: u64, word: &str) {
    out.extend_from_slice(b"* ");
    number(out, n);
    out.push(b' ');
    out.extend_from_slice(word.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_take_the_form_they_need() {
        let show = |bytes: &[u8]| {
            let mut out = Vec::new();
            string(&mut out, bytes);
            String::from_utf8_lossy(&out).into_owned()
        };
        assert_eq!(show(b""), "\"\"");
        assert_eq!(show(b"a\"\\"), "\"a\\\"\\\\\"");
        assert_eq!(show(b"a\r\nb"), "{4}\r\na\r\nb");
        let mut out = Vec::new();
        number(&mut out, 0);
        number(&mut out, u64::MAX);
        assert_eq!(out, b"018446744073709551615");
        out.clear();
        flags(&mut out, Flags::SEEN.with(Flags::DRAFT), true, ["$x"].into_iter());
        assert_eq!(out, b"\\Recent \\Seen \\Draft $x");
    }
}
