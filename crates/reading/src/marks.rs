//! What stands in the digests of messages (see `store::Digest`), for those who make them and those who look there: which
//! fields their headers have, and the marks of their texts.

use store::Marks;

/// Fields that stand in nearly every message, are long, and asked for by hardly a client: they are not kept.
pub const LEFT_OUT: &[&str] = &[
    "ARC-Authentication-Results",
    "ARC-Message-Signature",
    "ARC-Seal",
    "Authentication-Results",
    "Autocrypt",
    "DKIM-Signature",
    "Received",
    "Received-SPF",
    "X-Google-DKIM-Signature",
    "X-Received",
];

/// Whether the header of a digest has all fields of this name.
pub fn has_field(name: &[u8]) -> bool {
    !LEFT_OUT.iter().any(|other| other.as_bytes().eq_ignore_ascii_case(name))
}

/// The marks of a folded text: three octets that follow each other make one. A text that is within another has no mark that
/// the other has not.
pub fn marks_of(text: &str) -> impl Iterator<Item = u16> {
    text.as_bytes().windows(3).map(|octets| {
        let three = octets.iter().fold(0u32, |all, octet| all << 8 | u32::from(*octet));
        // The upper bits of Fibonacci hashing, of which the store takes as many as it has marks.
        (three.wrapping_mul(0x9e37_79b1) >> 16) as u16 >> (u16::BITS - Marks::COUNT.ilog2())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_a_part_are_marks_of_the_whole() {
        let (whole, part) = ("grüße aus köln, 世界", "us köln, 世");
        let marks: Vec<u16> = marks_of(whole).collect();
        assert!(marks_of(part).all(|mark| marks.contains(&mark) && mark < Marks::COUNT));
        assert_eq!(marks_of("世").count(), 1);
        assert_eq!(marks_of("ab").count(), 0);
        assert!(marks_of("abd").next() != marks_of("abc").next());
    }

    #[test]
    fn fields_that_are_kept() {
        assert!(has_field(b"Subject") && has_field(b"List-Id"));
        assert!(!has_field(b"RECEIVED") && !has_field(b"dkim-signature"));
    }
}
