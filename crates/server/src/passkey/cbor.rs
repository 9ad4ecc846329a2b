//! As much of CBOR (RFC 8949) as passkeys need: heads of maps, integers, and strings of definite length.
//!
//! Does: read one item after the other, in place. Nothing is copied and nothing nests, so nothing needs a bound but the input.
//! Does not: read what WebAuthn's structures don't have at the places where we look: arrays, tags, floats, indefinite lengths
//! (which CTAP2's canonical form forbids).

/// What is left to read.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

/// RFC 8949 §3.1.
const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const MAP: u8 = 5;

impl<'a> Reader<'a> {
    pub(super) const fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// What was not read.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The number of pairs that follow.
    pub(super) fn map(&mut self) -> Option<u64> {
        self.head_of(MAP)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.head_of(BYTES)?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = self.head_of(TEXT)?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    pub(super) fn integer(&mut self) -> Option<i64> {
        match self.head()? {
            (UNSIGNED, value) => i64::try_from(value).ok(),
            (NEGATIVE, value) => i64::try_from(value).ok().map(|value| -1 - value),
            _ => None,
        }
    }

    /// Whether a string of bytes is next.
    pub(super) fn is_at_bytes(&self) -> bool {
        self.0.first().is_some_and(|first| first >> 5 == BYTES)
    }

    fn head_of(&mut self, kind: u8) -> Option<u64> {
        self.head().filter(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// RFC 8949 §3: three bits of kind, five of the value or of the number of octets that have it.
    fn head(&mut self) -> Option<(u8, u64)> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        let (kind, short) = (first >> 5, first & 31);
        let octets = match short {
            0..24 => return Some((kind, u64::from(short))),
            24..28 => self.take(1 << (short - 24))?,
            // Reserved, and indefinite lengths.
            _ => return None,
        };
        Some((kind, octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet))))
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits = text.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap());
        digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect()
    }

    /// RFC 8949, Appendix A.
    #[test]
    fn the_examples_of_the_standard() {
        for (written, value) in [
            ("00", Some(0)),
            ("17", Some(23)),
            ("1818", Some(24)),
            ("1903e8", Some(1000)),
            ("1a000f4240", Some(1_000_000)),
            ("1b000000e8d4a51000", Some(1_000_000_000_000)),
            ("1bffffffffffffffff", None),
            ("20", Some(-1)),
            ("3863", Some(-100)),
            ("3903e7", Some(-1000)),
            ("3bffffffffffffffff", None),
            ("f4", None),
            ("1c", None),
            ("1f", None),
            ("18", None),
            ("", None),
        ] {
            assert_eq!(Reader::new(&hex(written)).integer(), value, "{written}");
        }
        assert_eq!(Reader::new(&hex("4401020304")).bytes(), Some(&[1, 2, 3, 4][..]));
        assert_eq!(Reader::new(&hex("6449455446")).text(), Some("IETF"));
        assert_eq!(Reader::new(&hex("62c3")).text(), None);
        assert_eq!(Reader::new(&hex("61ff")).text(), None);
        assert_eq!(Reader::new(&hex("a0")).map(), Some(0));
        assert_eq!(Reader::new(&hex("bf")).map(), None);
        assert_eq!(Reader::new(&hex("5f42010243030405ff")).bytes(), None);
        assert_eq!(Reader::new(&hex("5bffffffffffffffff00")).bytes(), None);
    }

    proptest! {
        #[test]
        fn what_testkit_writes_is_read(number in any::<i64>(), bytes in prop::collection::vec(any::<u8>(), 0..400), text in ".{0,40}") {
            let written = [
                testkit::authenticator::integer(number),
                testkit::authenticator::bytes(&bytes),
                testkit::authenticator::text(&text),
            ]
            .concat();
            let mut reader = Reader::new(&written);
            prop_assert_eq!(reader.integer(), Some(number));
            prop_assert!(reader.is_at_bytes());
            prop_assert_eq!(reader.bytes(), Some(&bytes[..]));
            prop_assert_eq!(reader.text(), Some(&text[..]));
            prop_assert_eq!(reader.rest(), b"");
        }
    }
}
