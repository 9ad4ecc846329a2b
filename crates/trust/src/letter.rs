//! A message as the checks see it: its fields, and its body with the hashes that were asked for.

use mail_auth::AuthenticatedMessage;
use mail_auth::dkim::Canonicalization;

use crate::body::Hasher;

/// A message that is checked, or signed.
pub struct Letter<'a> {
    pub(crate) parsed: Option<AuthenticatedMessage<'a>>,
    body: &'a [u8],
    /// One for each canonical form that is asked for.
    hashers: Vec<Hasher>,
}

impl<'a> Letter<'a> {
    /// Takes it apart. Its body is hashed by [`Letter::hash_more`], which must have come to its end before it is checked.
    pub fn read(message: &'a [u8]) -> Self {
        let (header, body) = split(message);
        // The header alone: its parser would hash the body at once, for every signature that there is.
        let parsed = AuthenticatedMessage::parse_with_opts(header, None, true);
        let mut letter = Self { parsed, body, hashers: Vec::new() };
        let forms: Vec<_> = letter.forms().collect();
        for form in forms {
            letter.ask_for(form);
        }
        letter
    }

    fn forms(&self) -> impl Iterator<Item = Canonicalization> {
        let parsed = self.parsed.iter();
        parsed.flat_map(|parsed| {
            let signatures = parsed.dkim_headers.iter().map(|field| field.header.cb);
            signatures.chain(parsed.ams_headers.iter().map(|field| field.header.cb))
        })
    }

    fn ask_for(&mut self, form: Canonicalization) {
        if !self.hashers.iter().any(|hasher| hasher.form == form) {
            self.hashers.push(Hasher::new(self.body, form));
        }
    }

    /// It is to be signed: its body is hashed in the form that our signatures have.
    pub fn hash_for_a_signature(&mut self) {
        self.ask_for(Canonicalization::Relaxed);
    }

    /// Hashes the next piece of the body, about a megabyte; whether there is more to do. So who has others to serve can do so
    /// in between.
    pub fn hash_more(&mut self) -> bool {
        const PIECE: usize = 1024 * 1024;
        match self.hashers.iter_mut().find(|hasher| hasher.done().is_none()) {
            Some(hasher) => {
                hasher.step(self.body, PIECE);
                self.hashers.iter().any(|hasher| hasher.done().is_none())
            }
            None => false,
        }
    }

    /// The body's SHA-256 in a canonical form; `None`: it was not asked for, or not come to its end.
    pub(crate) fn body_hash(&self, form: Canonicalization) -> Option<&[u8]> {
        self.hashers.iter().find(|hasher| hasher.form == form).and_then(Hasher::done)
    }

    /// The addresses of From, in lower case.
    pub fn authors(&self) -> &[String] {
        self.parsed.as_ref().map(|parsed| parsed.from.as_slice()).unwrap_or_default()
    }

    /// The domain of From, as an A-label. `None`: there is none, or there are several.
    pub fn author_domain(&self) -> Option<String> {
        let mut domains = self.authors().iter().map(|author| author.rsplit_once('@').map(|(_, domain)| domain));
        let first = domains.next()??;
        domains.all(|other| other == Some(first)).then(|| crate::dns::folded(&mail_auth::common::to_a_label(first)))
    }

    /// Fields as they stand, from the first.
    pub(crate) fn fields(&self) -> &[(&'a [u8], &'a [u8])] {
        self.parsed.as_ref().map(|parsed| parsed.headers.as_slice()).unwrap_or_default()
    }

    /// The fields that `h=` names, bottom up: a name that stands again means the next field of it (RFC 6376 §5.4.2).
    pub(crate) fn chosen(&self, names: &[String]) -> Vec<(&'a [u8], &'a [u8])> {
        let fields = self.fields();
        // How far up the fields of a name have been taken.
        let mut taken: Vec<(&str, usize)> = Vec::new();
        let mut chosen = Vec::with_capacity(names.len());
        for name in names.iter().take(SIGNED_FIELDS) {
            let known = taken.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
            let place = known.unwrap_or_else(|| {
                taken.push((name, fields.len()));
                taken.len() - 1
            });
            let Some((_, below)) = taken.get_mut(place) else { continue };
            let is_it = |(field, _): &(&[u8], &[u8])| field.trim_ascii_end().eq_ignore_ascii_case(name.as_bytes());
            let found = fields.get(..*below).and_then(|above| above.iter().rposition(is_it));
            *below = found.unwrap_or(0);
            chosen.extend(found.and_then(|at| fields.get(at)));
        }
        chosen
    }
}

/// Names in `h=` that are looked for. No honest signature has so many; one that has more is not believed, since what it signs
/// is not all found.
const SIGNED_FIELDS: usize = 512;

/// Header and body; the empty line between them goes with the header.
fn split(message: &[u8]) -> (&[u8], &[u8]) {
    if message.starts_with(b"\r\n") {
        return message.split_at(2);
    }
    match memchr::memmem::find(message, b"\r\n\r\n") {
        Some(end) => message.split_at(end + 4),
        None => (message, b""),
    }
}

/// A signature's field without the value of its `b=` (RFC 6376 §3.7), and without the line end.
pub(crate) fn without_signature(value: &[u8]) -> Vec<u8> {
    let value = value.strip_suffix(b"\r\n").or(value.strip_suffix(b"\n")).unwrap_or(value);
    let mut out = Vec::with_capacity(value.len());
    for (number, tag) in value.split(|b| *b == b';').enumerate() {
        if number > 0 {
            out.push(b';');
        }
        match tag.iter().position(|b| *b == b'=') {
            Some(equals) if tag.get(..equals).is_some_and(|name| name.trim_ascii() == b"b") => {
                out.extend_from_slice(tag.get(..=equals).unwrap_or_default());
            }
            _ => out.extend_from_slice(tag),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_of_very_many_fields_is_not_followed() {
        let message = b"A: 1\r\n".repeat(SIGNED_FIELDS + 1);
        let letter = Letter::read(&message);
        let chosen = |count: usize| letter.chosen(&vec!["a".to_owned(); count]).len();
        assert_eq!((chosen(SIGNED_FIELDS), chosen(SIGNED_FIELDS + 1)), (SIGNED_FIELDS, SIGNED_FIELDS));
    }

    #[test]
    fn the_signature_is_taken_out_of_its_field() {
        let cases = [
            ("v=1; b=abc=;\r\n\tbh=xyz\r\n", "v=1; b=;\r\n\tbh=xyz"),
            ("v=1; bh=b=; b = a b\r\n c\r\n", "v=1; bh=b=; b ="),
            (" b=", " b="),
            ("", ""),
        ];
        for (value, without) in cases {
            assert_eq!(without_signature(value.as_bytes()), without.as_bytes());
        }
    }

    #[test]
    fn a_name_that_stands_again_is_the_next_field_up() {
        let letter = Letter::read(b"A: 1\r\nB: 2\r\na: 3\r\n\r\nbody");
        let chosen = letter.chosen(&["A", "a", "B", "A", "C"].map(str::to_owned));
        let values: Vec<_> = chosen.iter().map(|(_, value)| value.trim_ascii()).collect();
        assert_eq!(values, [b"3", b"1", b"2"]);
    }

    #[test]
    fn the_author_domain_is_one() {
        let domain = |from: &str| Letter::read(format!("From: {from}\r\n\r\n").as_bytes()).author_domain();
        assert_eq!(domain("Al <al@Red.Example>").as_deref(), Some("red.example"));
        assert_eq!(domain("al@b\u{fc}cher.example").as_deref(), Some("xn--bcher-kva.example"));
        assert_eq!(domain("al@red.example, bo@red.example").as_deref(), Some("red.example"));
        assert_eq!(domain("al@red.example, bo@blue.example"), None);
        assert_eq!(domain("nobody"), None);
    }
}
