//! `xtext` (RFC 3461 §4), read.

/// What `text` stands for; `None` where it is no xtext or no UTF-8.
pub fn decode(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => {
                let (pair, after) = rest.split_at_checked(2)?;
                bytes.push(hex(pair[0])? << 4 | hex(pair[1])?);
                rest = after;
            }
            // xchar: any printable but + and =
            b'!'..=b'~' if first != b'=' => bytes.push(first),
            // RFC 6533 §3: UTF-8 may stand for itself where SMTPUTF8 is in use.
            0x80.. => bytes.push(first),
            _ => return None,
        }
    }
    String::from_utf8(bytes).ok()
}

/// `utf-8-addr-xtext` (RFC 6533 §3): the same with `\x{…}` for code points; plain UTF-8 too (`utf-8-addr-unitext`).
pub fn decode_utf8_address(text: &[u8]) -> Option<String> {
    let text = decode(text)?;
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("\\x{") {
        out.push_str(&rest[..at]);
        let (digits, after) = rest[at + 3..].split_once('}')?;
        if digits.len() > 6 {
            return None;
        }
        out.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// RFC 3461 §4 `hexchar`: capital letters.
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn xtext_is_read() {
        assert_eq!(decode(b"a+2Bb+3D+C3+BC").as_deref(), Some("a+b=ü"));
        for bad in [&b"a=b"[..], b"a+2", b"a+2b", b"a b", b"+FF", b"a\n", b"+"] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
        assert_eq!(decode_utf8_address(b"j\\x{FC}r@x\\x{2B}").as_deref(), Some("jür@x+"));
        assert_eq!(decode_utf8_address(b"\\x{110000}"), None);
        assert_eq!(decode_utf8_address(b"\\x{41"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in "\\PC{0,20}") {
            let mut out = String::new();
            for b in text.bytes() {
                match b {
                    b'!'..=b'~' if b != b'+' && b != b'=' => out.push(char::from(b)),
                    _ => out.push_str(&format!("+{b:02X}")),
                }
            }
            prop_assert_eq!(decode(out.as_bytes()), Some(text));
        }

        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..30)) {
            let _ = decode(&bytes);
            let _ = decode_utf8_address(&bytes);
        }
    }
}
