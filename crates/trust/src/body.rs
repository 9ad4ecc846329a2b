//! The canonical body (RFC 6376 §3.4.3, §3.4.4), hashed as it is walked through: nothing is copied.
//!
//! Ours and not `mail-auth`'s: in the version that works on ring, lines of nothing but blanks at the end of a relaxed body
//! count, so that other verifiers find another hash.

use std::ops::Range;

use mail_auth::dkim::Canonicalization;
use ring::digest::{Context, Digest, SHA256};

/// SHA-256 of a body in a canonical form, counted piece by piece.
pub(crate) struct Hasher {
    pub(crate) form: Canonicalization,
    context: Context,
    /// How far it came, of how far it goes.
    at: usize,
    end: usize,
    /// Empty lines that count only if another comes after them.
    empty_lines: usize,
    digest: Option<Digest>,
}

impl Hasher {
    pub(crate) fn new(body: &[u8], form: Canonicalization) -> Self {
        let mut rest = body;
        if form == Canonicalization::Simple {
            // RFC 6376 §3.4.3: all but empty lines at the end.
            while let Some(shorter) = rest.strip_suffix(b"\r\n") {
                rest = shorter;
            }
        }
        Self { form, context: Context::new(&SHA256), at: 0, end: rest.len(), empty_lines: 0, digest: None }
    }

    /// Goes on by about so many octets.
    pub(crate) fn step(&mut self, body: &[u8], octets: usize) {
        let (end, context) = (self.end.min(self.at.saturating_add(octets)), &mut self.context);
        let mut out = |piece: &[u8]| context.update(piece);
        match self.form {
            Canonicalization::Simple => {
                out(body.get(self.at..end).unwrap_or_default());
                self.at = end;
            }
            Canonicalization::Relaxed => self.at = relaxed(body, self.at..end, &mut self.empty_lines, &mut out),
        }
        if self.at >= self.end && self.digest.is_none() {
            if self.form == Canonicalization::Simple {
                out(b"\r\n");
            }
            self.digest = Some(self.context.clone().finish());
        }
    }

    /// The hash, once it is whole.
    pub(crate) fn done(&self) -> Option<&[u8]> {
        self.digest.as_ref().map(AsRef::as_ref)
    }
}

/// The lines that begin in `range`; where the next one begins (RFC 6376 §3.4.4): blanks within a line become one space, those at
/// its end nothing; empty lines at the body's end go, and with them everything where there is nothing else.
fn relaxed(body: &[u8], range: Range<usize>, empty_lines: &mut usize, out: &mut impl FnMut(&[u8])) -> usize {
    /// As many line ends as are written at once.
    const LINE_ENDS: &[u8] = b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n";
    let mut at = range.start;
    while at < range.end {
        let rest = body.get(at..).unwrap_or_default();
        let (line, next) = match memchr::memmem::find(rest, b"\r\n") {
            Some(end) => (rest.get(..end).unwrap_or_default(), at + end + 2),
            None => (rest, body.len()),
        };
        at = next;
        let is_blank = |b: &u8| matches!(b, b' ' | b'\t');
        let kept = line.iter().rposition(|b| !is_blank(b)).map_or(0, |last| last + 1);
        let line = line.get(..kept).unwrap_or_default();
        if line.is_empty() {
            *empty_lines += 1;
            continue;
        }
        while *empty_lines > 0 {
            let some = (*empty_lines).min(LINE_ENDS.len() / 2);
            out(LINE_ENDS.get(..some * 2).unwrap_or_default());
            *empty_lines -= some;
        }
        words(line, out);
        out(b"\r\n");
    }
    at
}

/// A line without blanks at its end: each run of blanks as one space.
fn words(line: &[u8], out: &mut impl FnMut(&[u8])) {
    let (mut begin, mut at) = (0, 0);
    while let Some(blank) = line.get(at..).and_then(|rest| memchr::memchr2(b' ', b'\t', rest)) {
        let blank = at + blank;
        let run = line.iter().skip(blank).take_while(|b| matches!(b, b' ' | b'\t')).count();
        // The usual case, a single space, goes out with the words around it.
        if run > 1 || line.get(blank) == Some(&b'\t') {
            out(line.get(begin..blank).unwrap_or_default());
            out(b" ");
            begin = blank + run;
        }
        at = blank + run;
    }
    out(line.get(begin..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(body: &[u8], form: Canonicalization, piece: usize) -> Vec<u8> {
        let mut hasher = Hasher::new(body, form);
        while hasher.done().is_none() {
            hasher.step(body, piece);
        }
        hasher.done().unwrap().to_vec()
    }

    /// RFC 6376 §3.4.5 and the ends of bodies; in pieces of any size.
    #[test]
    fn canonical_bodies() {
        let many = format!("a{}b", "\r\n".repeat(21));
        let many_ended = format!("{many}\r\n");
        let cases = [
            (" C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"),
            ("", "\r\n", ""),
            ("\r\n", "\r\n", ""),
            ("\r\n\r\n", "\r\n", ""),
            ("a", "a\r\n", "a\r\n"),
            ("a\r\n \t\r\n\r\n", "a\r\n \t\r\n", "a\r\n"),
            ("a\r\n\r\n \r\nb\t\tc  d e \r\n", "a\r\n\r\n \r\nb\t\tc  d e \r\n", "a\r\n\r\n\r\nb c d e\r\n"),
            ("\tx\r\n", "\tx\r\n", " x\r\n"),
            (" \r\n", " \r\n", ""),
            (&many, &many_ended, &many_ended),
        ];
        for (body, simple, relaxed) in cases {
            for (form, canonical) in [(Canonicalization::Simple, simple), (Canonicalization::Relaxed, relaxed)] {
                for piece in [1, 2, 3, 1000] {
                    let expected = ring::digest::digest(&SHA256, canonical.as_bytes());
                    assert_eq!(hash(body.as_bytes(), form, piece), expected.as_ref(), "{body:?} {form:?} {piece}");
                }
            }
        }
    }

    /// RFC 6376 §3.4.3, §3.4.4: the hashes of an empty body.
    #[test]
    fn an_empty_body_has_its_hash() {
        use base64::Engine as _;
        let of = |form| base64::engine::general_purpose::STANDARD.encode(hash(b"", form, 1));
        assert_eq!(of(Canonicalization::Simple), "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=");
        assert_eq!(of(Canonicalization::Relaxed), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }
}
