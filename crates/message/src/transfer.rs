//! Content-Transfer-Encoding undone piece by piece (RFC 2045 §6), so that a part of any size can be saved.
//!
//! Lenient: what is no base64 or no `=XX` is passed over or kept as it is; nothing is an error.

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// 7bit, 8bit, binary, and whatever is unknown: the octets are the content.
    Identity,
    /// base64.
    Base64,
    /// quoted-printable.
    QuotedPrintable,
}

impl Encoding {
    /// From a field's token, in any case.
    pub fn of(name: &[u8]) -> Self {
        if name.eq_ignore_ascii_case(b"base64") {
            Self::Base64
        } else if name.eq_ignore_ascii_case(b"quoted-printable") {
            Self::QuotedPrintable
        } else {
            Self::Identity
        }
    }

    /// The content of a whole body.
    pub fn decode(self, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(body.len());
        let mut decoder = Decoder::new(self);
        decoder.push(body, &mut out);
        decoder.finish(&mut out);
        out
    }
}

/// Decodes a body that comes in pieces.
#[derive(Debug)]
pub struct Decoder(State);

#[derive(Debug)]
enum State {
    Identity,
    /// Bits that do not make an octet yet, and how many.
    Base64(u32, u8),
    /// Octets that may belong to an escape, a soft line break, or space before a line end.
    QuotedPrintable(Vec<u8>),
}

impl Decoder {
    /// At the beginning of a body.
    pub const fn new(encoding: Encoding) -> Self {
        Self(match encoding {
            Encoding::Identity => State::Identity,
            Encoding::Base64 => State::Base64(0, 0),
            Encoding::QuotedPrintable => State::QuotedPrintable(Vec::new()),
        })
    }

    /// Takes the next piece and appends what it decodes to.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match &mut self.0 {
            State::Identity => out.extend_from_slice(piece),
            State::Base64(bits, count) => base64(piece, bits, count, out),
            State::QuotedPrintable(held) => {
                let mut rest = piece;
                while !rest.is_empty() {
                    if held.is_empty() {
                        let plain = plain(rest);
                        out.extend_from_slice(&rest[..plain]);
                        rest = &rest[plain..];
                    }
                    let Some((byte, after)) = rest.split_first() else { break };
                    quoted_printable(*byte, held, out);
                    rest = after;
                }
            }
        }
    }

    /// The end of the body: appends what was held back.
    pub fn finish(self, out: &mut Vec<u8>) {
        if let State::QuotedPrintable(held) = self.0 {
            // A soft line break or space at the very end is nothing (RFC 2045 §6.7 rules 3 and 5).
            if !matches!(held.first(), Some(b' ' | b'\t')) && held != b"=" {
                out.extend_from_slice(&held);
            }
        }
    }
}

fn base64(piece: &[u8], bits: &mut u32, count: &mut u8, out: &mut Vec<u8>) {
    for byte in piece {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => {
                // The end of a quantum; some concatenate several (RFC 2045 §6.8 leaves the rest open).
                (*bits, *count) = (0, 0);
                continue;
            }
            // RFC 2045 §6.8: "Any characters outside of the base64 alphabet are to be ignored".
            _ => continue,
        };
        *bits = *bits << 6 | u32::from(value);
        *count += 6;
        if *count >= 8 {
            *count -= 8;
            out.push((*bits >> *count) as u8);
            *bits &= (1 << *count) - 1;
        }
    }
}

/// How many octets stand for themselves at the beginning: up to an escape, a line end, or the white space before them.
fn plain(bytes: &[u8]) -> usize {
    let end = memchr::memchr3(b'=', b'\r', b'\n', bytes).unwrap_or(bytes.len());
    bytes[..end].iter().rposition(|b| !b" \t".contains(b)).map_or(0, |last| last + 1)
}

/// Longest run of spaces that is held back to see whether a line end follows; a longer one is text.
const SPACES: usize = 1000;

fn quoted_printable(byte: u8, held: &mut Vec<u8>, out: &mut Vec<u8>) {
    let soft_break = held.first() == Some(&b'=');
    match (soft_break, byte) {
        (false, b'=') => {
            out.append(held);
            held.push(byte);
        }
        // RFC 2045 §6.7 rule 3: white space at the end of a line was added on the way.
        (false, b'\r' | b'\n') => {
            held.clear();
            out.push(byte);
        }
        (false, b' ' | b'\t') if held.len() < SPACES => held.push(byte),
        (false, _) => {
            out.append(held);
            out.push(byte);
        }
        (true, b'\n') => held.clear(),
        (true, b'\r' | b' ' | b'\t') if held[1..].iter().all(|b| b" \t\r".contains(b)) && held.len() < SPACES => {
            held.push(byte)
        }
        (true, _) => match held.as_slice() {
            [_] if byte.is_ascii_hexdigit() => held.push(byte),
            [_, high] if byte.is_ascii_hexdigit() && high.is_ascii_hexdigit() => {
                out.push(hex(*high) << 4 | hex(byte));
                held.clear();
            }
            // No escape: it stands for itself.
            _ => {
                out.append(held);
                quoted_printable(byte, held, out);
            }
        },
    }
}

const fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use proptest::prelude::*;

    #[test]
    fn quoted_printable_in_the_wild() {
        let decode =
            |text: &str| String::from_utf8_lossy(&Encoding::QuotedPrintable.decode(text.as_bytes())).into_owned();
        assert_eq!(decode("gr=C3=BC=c3=9fe=\r\n, du  \r\nda=3D"), "grüße, du\r\nda=");
        assert_eq!(decode("a=\nb=  \r\nc"), "abc");
        assert_eq!(decode("100 = x; =ZZ; =3"), "100 = x; =ZZ; =3");
        assert_eq!(decode("end ="), "end ");
        assert_eq!(decode("==3D"), "==");
    }

    #[test]
    fn base64_in_the_wild() {
        assert_eq!(Encoding::Base64.decode(b"SGFs\r\nbG8=\r\n"), b"Hallo");
        assert_eq!(Encoding::Base64.decode(b"S!G F*s\nbG8"), b"Hallo");
        assert_eq!(Encoding::Base64.decode(b"SGE=bGxv"), b"Hallo");
    }

    proptest! {
        #[test]
        fn base64_round_trip(content in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..400) {
            let text = base64::engine::general_purpose::STANDARD.encode(&content);
            let cut = cut.min(text.len());
            let (mut out, mut decoder) = (Vec::new(), Decoder::new(Encoding::Base64));
            decoder.push(&text.as_bytes()[..cut], &mut out);
            decoder.push(&text.as_bytes()[cut..], &mut out);
            decoder.finish(&mut out);
            prop_assert_eq!(out, content);
        }

        #[test]
        fn pieces_make_no_difference(text in "(=|[0-9A-F]|[a-z]| |\t|\r|\n){0,60}", cut in 0usize..60) {
            let cut = cut.min(text.len());
            for encoding in [Encoding::Base64, Encoding::QuotedPrintable] {
                let (mut out, mut decoder) = (Vec::new(), Decoder::new(encoding));
                decoder.push(&text.as_bytes()[..cut], &mut out);
                decoder.push(&text.as_bytes()[cut..], &mut out);
                decoder.finish(&mut out);
                prop_assert_eq!(out, encoding.decode(text.as_bytes()));
                let (mut out, mut decoder) = (Vec::new(), Decoder::new(encoding));
                text.as_bytes().chunks(1).for_each(|octet| decoder.push(octet, &mut out));
                decoder.finish(&mut out);
                prop_assert_eq!(out, encoding.decode(text.as_bytes()));
            }
        }
    }
}
