//! Bytes of mail as text: for people, and for SEARCH.
//!
//! Decoding never fails: an unknown character set is taken for UTF-8 if it is valid, else for windows-1252, and
//! what can't be decoded becomes U+FFFD. Nothing here makes text safe for a terminal; that is the client's work.

use std::borrow::Cow;

use mail::limits;
use mail_parser::decoders::charsets::map::charset_decoder;
use unicode_normalization::char::{decompose_compatible, is_combining_mark};

use crate::structure::{Part, Raw};
use crate::transfer::Encoding;

/// Whether a character set's name is known (SEARCH CHARSET answers [BADCHARSET] otherwise).
pub fn is_known_charset(name: &[u8]) -> bool {
    is_utf8(name) || charset_decoder(name).is_some()
}

fn is_utf8(name: &[u8]) -> bool {
    [&b"utf-8"[..], b"utf8", b"us-ascii", b"ascii"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Octets in a character set as text.
pub fn from_charset(charset: &[u8], bytes: &[u8]) -> String {
    match charset_decoder(charset) {
        Some(decode) if !is_utf8(charset) => decode(bytes),
        // RFC 2045 §5.2 defaults to US-ASCII; 8-bit octets under that name are mostly UTF-8.
        _ => guess(bytes).into_owned(),
    }
}

/// Text without a declared character set.
fn guess(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        // Mostly UTF-8 with damage (cut in a character), or an old 8-bit set?
        Err(error) if error.valid_up_to() > 0 && bytes[..error.valid_up_to()].iter().any(|b| !b.is_ascii()) => {
            String::from_utf8_lossy(bytes)
        }
        Err(_) => match charset_decoder(b"windows-1252") {
            Some(decode) => Cow::Owned(decode(bytes)),
            None => String::from_utf8_lossy(bytes),
        },
    }
}

/// The text of a part whose `body` (as in the message) is given: transfer encoding and character set undone.
/// HTML stays HTML.
pub fn of_part(part: &Part, body: &[u8]) -> String {
    let content = match Encoding::of(&part.encoding) {
        Encoding::Identity => Cow::Borrowed(body),
        encoding => Cow::Owned(encoding.decode(body)),
    };
    from_charset(part.parameter("charset").unwrap_or(b"us-ascii"), &content)
}

/// The same for reading or searching: HTML as plain text.
pub fn readable(part: &Part, body: &[u8]) -> String {
    let text = of_part(part, body);
    if part.is("text", "html") { from_html(&text) } else { text }
}

/// HTML as plain text: tags gone, entities resolved, blocks on lines of their own.
pub fn from_html(html: &str) -> String {
    mail_parser::decoders::html::html_to_text(html)
}

/// Text folded for comparison: case and accents make no difference, compatibility forms (ligatures, full-width
/// letters) are their plain letters. SEARCH folds both sides with it (RFC 3501 §6.4.4 wants case folded; the rest
/// is what people expect, like RFC 5051's `i;unicode-casemap` goes further than ASCII).
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let plain = plain(rest.as_bytes());
        let from = folded.len();
        folded.push_str(&rest[..plain]);
        folded[from..].make_ascii_lowercase();
        let other = rest[plain..].find(|c: char| c.is_ascii()).unwrap_or(rest.len() - plain);
        // Marks go, so their order makes no difference, and each character can be decomposed by itself.
        rest[plain..plain + other].chars().for_each(|c| decompose_compatible(c, |c| fold_letter(c, &mut folded)));
        rest = &rest[plain + other..];
    }
    folded
}

/// How many octets at the beginning are ASCII; looks at many at once.
fn plain(bytes: &[u8]) -> usize {
    let whole = bytes.chunks(64).take_while(|chunk| chunk.is_ascii()).map(<[u8]>::len).sum();
    whole + bytes[whole..].iter().take_while(|b| b.is_ascii()).count()
}

fn fold_letter(c: char, folded: &mut String) {
    // Lower-casing can bring a mark back (İ).
    for c in c.to_lowercase().filter(|_| !is_combining_mark(c)) {
        match c {
            'ß' => folded.push_str("ss"),
            'ς' => folded.push('σ'),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' => folded.push('d'),
            'ı' => folded.push('i'),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            c if is_combining_mark(c) => {}
            c => folded.push(c),
        }
    }
}

/// An unstructured value with its encoded words decoded (RFC 2047), folds taken out.
pub fn decode_words(value: &[u8]) -> String {
    let value = crate::header::unfold(value);
    let mut text = String::new();
    let mut rest: &[u8] = &value;
    // Octets of encoded words in a row with one character set: some senders split a character between two.
    let mut words: Option<(Vec<u8>, Vec<u8>)> = None;
    let flush = |words: &mut Option<(Vec<u8>, Vec<u8>)>, text: &mut String| {
        if let Some((charset, bytes)) = words.take() {
            text.push_str(&from_charset(&charset, &bytes));
        }
    };
    while let Some(start) = memchr::memmem::find(rest, b"=?") {
        let Some(word) = encoded_word(&rest[start..]) else {
            flush(&mut words, &mut text);
            text.push_str(&guess(&rest[..start + 2]));
            rest = &rest[start + 2..];
            continue;
        };
        let between = &rest[..start];
        // RFC 2047 §6.2: white space between two encoded words is not shown.
        if words.is_none() || !between.iter().all(u8::is_ascii_whitespace) {
            flush(&mut words, &mut text);
            text.push_str(&guess(between));
        }
        match &mut words {
            Some((charset, bytes)) if charset.eq_ignore_ascii_case(word.charset) => bytes.extend(word.content),
            _ => {
                flush(&mut words, &mut text);
                words = Some((word.charset.to_vec(), word.content));
            }
        }
        rest = &rest[start + word.len..];
    }
    flush(&mut words, &mut text);
    text.push_str(&guess(rest));
    text.replace(['\r', '\n'], " ")
}

struct EncodedWord<'a> {
    charset: &'a [u8],
    content: Vec<u8>,
    len: usize,
}

/// RFC 2047 §2 `encoded-word` at the beginning of `bytes`. Longer than 75 and with spaces in it, as some send, it
/// is read too.
fn encoded_word(bytes: &[u8]) -> Option<EncodedWord<'_>> {
    let inside = bytes.strip_prefix(b"=?")?;
    let charset_end = memchr::memchr(b'?', &inside[..inside.len().min(100)])?;
    let (charset, inside) = (&inside[..charset_end], &inside[charset_end + 1..]);
    let [encoding, b'?', inside @ ..] = inside else { return None };
    // Looked for near by only: a header full of beginnings without an end must not be read again for each.
    let end = memchr::memmem::find(&inside[..inside.len().min(limits::ENCODED_WORD_LEN)], b"?=")?;
    let coded = &inside[..end];
    let content = match encoding {
        b'B' | b'b' => Encoding::Base64.decode(coded),
        // RFC 2047 §4.2: the underscore is a space.
        b'Q' | b'q' => {
            let spaced: Vec<u8> =
                coded.iter().flat_map(|b| if *b == b'_' { b"=20".to_vec() } else { vec![*b] }).collect();
            Encoding::QuotedPrintable.decode(&spaced)
        }
        _ => return None,
    };
    // RFC 2231 §5: a language may follow the character set.
    let charset = charset.split(|b| *b == b'*').next().unwrap_or(charset);
    Some(EncodedWord { charset, content, len: bytes.len() - inside.len() + end + 2 })
}

/// A parameter's value as text: RFC 2231's continuations, character set and percent signs, or encoded words.
pub fn parameter(parameters: &[(Raw, Raw)], name: &str) -> Option<String> {
    let plain = crate::field::parameter(parameters, name);
    extended(parameters, name).or_else(|| plain.map(decode_words))
}

/// RFC 2231 §3 and §4: `name*=charset'lang'text`, `name*0=`, `name*0*=` ….
fn extended(parameters: &[(Raw, Raw)], name: &str) -> Option<String> {
    let mut sections: Vec<(u32, bool, &[u8])> = Vec::new();
    for (full, value) in parameters {
        let Some(marks) = full.get(name.len()..).and_then(|marks| marks.strip_prefix(b"*")) else { continue };
        if !full[..name.len()].eq_ignore_ascii_case(name.as_bytes()) {
            continue;
        }
        let coded = marks.is_empty() || marks.ends_with(b"*");
        let digits = marks.strip_suffix(b"*").unwrap_or(marks);
        let section = if digits.is_empty() { Some(0) } else { std::str::from_utf8(digits).ok()?.parse().ok() };
        sections.push((section?, coded, value));
    }
    sections.sort_by_key(|(section, ..)| *section);
    let (_, coded, first) = *sections.first()?;
    let mut charset: &[u8] = b"utf-8";
    let mut bytes = Vec::new();
    for (index, (_, coded_section, value)) in sections.iter().enumerate() {
        let mut value = *value;
        if index == 0 && coded {
            let mut parts = first.splitn(3, |b| *b == b'\'');
            if let (Some(set), Some(_), Some(text)) = (parts.next(), parts.next(), parts.next()) {
                (charset, value) = (set, text);
            }
        }
        if *coded_section { percent_decode(value, &mut bytes) } else { bytes.extend_from_slice(value) }
    }
    Some(from_charset(charset, &bytes))
}

fn percent_decode(value: &[u8], out: &mut Vec<u8>) {
    let digit = |b: u8| char::from(b).to_digit(16);
    let mut rest = value;
    while let [first, tail @ ..] = rest {
        if let ([b'%', high, low, ..], true) = (rest, *first == b'%')
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            out.push((high << 4 | low) as u8);
            rest = &rest[3..];
            continue;
        }
        out.push(*first);
        rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn encoded_words() {
        let decode = |text: &str| decode_words(text.as_bytes());
        assert_eq!(decode("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=  c"), "ab  c");
        assert_eq!(decode("=?utf-8?b?w7w=?= x =?utf-8?q?=C3=A4_=3D?="), "ü x ä =");
        assert_eq!(decode("=?utf-8?q?=C3?=\r\n =?utf-8?q?=BC?="), "ü");
        assert_eq!(decode("=?utf-8*de?q?gr=C3=BCn?="), "grün");
        assert_eq!(decode("=?broken =?x?y?z =? ?="), "=?broken =?x?y?z =? ?=");
        assert_eq!(decode("=?no-such-set?q?a=FC?="), "aü");
        assert_eq!(decode("gr\u{fc}n"), "grün");
        assert_eq!(decode_words(b"gr\xfcn"), "grün");
    }

    #[test]
    fn parameters_by_rfc_2231() {
        let named = |pairs: &[(&str, &str)]| {
            let pairs: Vec<(Raw, Raw)> =
                pairs.iter().map(|(n, v)| (n.as_bytes().into(), v.as_bytes().into())).collect();
            parameter(&pairs, "filename")
        };
        assert_eq!(named(&[("filename", "a.txt")]).as_deref(), Some("a.txt"));
        assert_eq!(named(&[("filename*", "utf-8''gr%C3%BCn.txt")]).as_deref(), Some("grün.txt"));
        assert_eq!(named(&[("FileName*1", "b.txt"), ("filename*0*", "iso-8859-1'de'%FC")]).as_deref(), Some("üb.txt"));
        assert_eq!(named(&[("filename", "=?utf-8?q?gr=C3=BCn.txt?=")]).as_deref(), Some("grün.txt"));
        assert_eq!(named(&[("filename*x*", "a"), ("filename", "b")]).as_deref(), Some("b"));
        assert_eq!(named(&[("filename*", "100%")]).as_deref(), Some("100%"));
        assert_eq!(named(&[("name", "x")]), None);
    }

    #[test]
    fn folding() {
        for (a, b) in [
            ("GRÜSSE", "grüße"),
            ("Ærø", "aero"),
            ("ΣΊΣΥΦΟΣ", "σισυφος"),
            ("ﬁne", "FINE"),
            ("İ", "i"),
            ("é", "e\u{301}"),
        ] {
            assert_eq!(fold(a), fold(b), "{a} {b}");
        }
        assert_ne!(fold("a"), fold("b"));
    }

    #[test]
    fn html() {
        assert_eq!(from_html("<p>Gr&uuml;&szlig;e <b>an</b> alle</p><script>x()</script>").trim(), "Grüße an alle");
    }

    /// The rule as it is written: NFKD, without marks, in small letters.
    fn by_the_rule(text: &str) -> String {
        use unicode_normalization::UnicodeNormalization as _;
        let mut folded = String::new();
        text.nfkd().for_each(|c| fold_letter(c, &mut folded));
        folded
    }

    proptest! {
        #[test]
        fn folding_is_by_the_rule(text in any::<String>(), latin in "[A-Za-z .üÄßéﬁ\u{300}-\u{330}가-힣]{0,200}") {
            prop_assert_eq!(fold(&text), by_the_rule(&text));
            prop_assert_eq!(fold(&latin), by_the_rule(&latin));
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..120), text in "(=|\\?|utf-8|[bq]|'|%|\\*|[0-9A-F]| ){0,30}", html in "([<>&;/\"'a-z!-]| ){0,60}") {
            let _ = (decode_words(&bytes), decode_words(text.as_bytes()), fold(&text), from_html(&html));
            let raw = |t: &str| Raw::from(t.as_bytes());
            let _ = parameter(&[(raw(&format!("filename*{text}")), raw(&text)), (raw("filename*"), Raw::from(&bytes[..]))], "filename");
        }
    }

    /// `ENCODED_WORD_LEN`: the end of an encoded word is looked for so far, and no farther.
    #[test]
    fn encoded_words_are_bounded() {
        let word = |length: usize| format!("=?utf-8?q?{}?=", "x".repeat(length));
        let most = limits::ENCODED_WORD_LEN - "?=".len();
        assert_eq!(decode_words(word(most).as_bytes()), "x".repeat(most));
        assert_eq!(decode_words(word(most + 1).as_bytes()), word(most + 1));
    }
}
