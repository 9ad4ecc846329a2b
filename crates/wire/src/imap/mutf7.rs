//! Mailbox names on the wire: modified UTF-7 with IMAP4rev1 (RFC 3501 §5.1.3), UTF-8 once the client has said so
//! (RFC 9051 §5.1, RFC 6855 §3).

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &IMAP_MUTF7,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// How both sides write mailbox names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// Modified UTF-7.
    #[default]
    Modified,
    /// UTF-8, after ENABLE of IMAP4rev2 or UTF8=ACCEPT.
    Utf8,
}

impl Names {
    /// The name that `wire` stands for.
    pub fn read(self, wire: &[u8]) -> Option<String> {
        match self {
            Self::Modified => decode(wire),
            // RFC 9051 §5.1: an ampersand is one then.
            Self::Utf8 => std::str::from_utf8(wire).ok().filter(|name| !name.contains('\0')).map(str::to_owned),
        }
    }
}

/// A name as it stands on the wire.
pub fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    let printable = |c: char| (' '..='~').contains(&c);
    while let Some(c) = rest.chars().next() {
        if printable(c) {
            out.push(c);
            if c == '&' {
                out.push('-');
            }
            rest = &rest[1..];
            continue;
        }
        let end = rest.find(printable).unwrap_or(rest.len());
        let utf16: Vec<u8> = rest[..end].encode_utf16().flat_map(u16::to_be_bytes).collect();
        out.push('&');
        BASE64.encode_string(utf16, &mut out);
        out.push('-');
        rest = &rest[end..];
    }
    out
}

/// The name that `wire` stands for; `None` if it is not exactly what [`encode`] would have written, so that one
/// name has one spelling (RFC 3501 §5.1.3: "no superfluous shifts", printable characters as themselves).
pub fn decode(wire: &[u8]) -> Option<String> {
    let wire = std::str::from_utf8(wire).ok().filter(|wire| wire.bytes().all(|b| (0x20..0x7f).contains(&b)))?;
    let mut out = String::with_capacity(wire.len());
    let mut rest = wire;
    while let Some(shift) = rest.find('&') {
        out.push_str(&rest[..shift]);
        let (coded, after) = rest[shift + 1..].split_once('-')?;
        if coded.is_empty() {
            out.push('&');
        } else {
            let bytes = BASE64.decode(coded).ok()?;
            let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            out.extend(char::decode_utf16(units).collect::<Result<Vec<_>, _>>().ok()?);
        }
        rest = after;
    }
    out.push_str(rest);
    (encode(&out) == wire).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_the_standard() {
        // RFC 3501 §5.1.3
        assert_eq!(decode(b"~peter/mail/&U,BTFw-/&ZeVnLIqe-").as_deref(), Some("~peter/mail/台北/日本語"));
        assert_eq!(encode("Entwürfe & mehr"), "Entw&APw-rfe &- mehr");
        for bad in [&b"&"[..], b"&Jjo!", b"&U,BTFw-&ZeVnLIqe-", b"&AGE-", b"&2D0-", b"a\xc3\xa4", b"&AA-", b"\t"] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn written_names_read_back(name in any::<String>()) {
            prop_assert_eq!(decode(encode(&name).as_bytes()), Some(name));
        }

        #[test]
        fn one_spelling(wire in "[&a,+A-Z0-9-]{0,12}") {
            if let Some(name) = decode(wire.as_bytes()) {
                prop_assert_eq!(encode(&name), wire);
            }
        }
    }
}
