//! Structured field values: tokens, quoted strings, comments and parameters (RFC 5322 §3.2, RFC 2045 §5.1),
//! read leniently: what does not fit is passed over.

use mail::limits;

/// Octets as they stand in the header, without quotes; perhaps not UTF-8.
pub(crate) type Raw = Box<[u8]>;
/// Parameters in their order; names in the case that was written, RFC 2231 marks (`name*0*`) kept.
pub(crate) type Parameters = Vec<(Raw, Raw)>;

/// A reader over one field's value, folds included.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The text of the last comment passed over.
    pub(crate) comment: Option<Vec<u8>>,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, comment: None }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(crate) const fn bump(&mut self) {
        self.at += 1;
    }

    /// Takes `byte` if it is next, after white space and comments.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        self.skip();
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Passes over folding white space and comments (RFC 5322 §3.2.2 `CFWS`). Comments nest; counting and
    /// not recursion, so that depth costs nothing.
    pub(crate) fn skip(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | 0 => self.at += 1,
                b'(' => self.skip_comment(),
                _ => break,
            }
        }
    }

    fn skip_comment(&mut self) {
        let mut depth = 0u32;
        let mut text = Vec::new();
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'(' if depth == 0 => depth = 1,
                b'(' => {
                    depth += 1;
                    text.push(byte);
                }
                b')' if depth == 1 => break,
                b')' => {
                    depth -= 1;
                    text.push(byte);
                }
                b'\\' => text.extend(self.escaped()),
                b'\r' | b'\n' | 0 => {}
                _ => text.push(byte),
            }
        }
        self.comment = Some(text);
    }

    fn escaped(&mut self) -> Option<u8> {
        let byte = self.peek().filter(|b| !matches!(b, b'\r' | b'\n' | 0));
        self.at = (self.at + 1).min(self.bytes.len());
        byte
    }

    /// The content of a quoted string whose opening quote is next; an absent closing quote ends with the field.
    pub(crate) fn quoted(&mut self) -> Vec<u8> {
        self.at += 1;
        let mut text = Vec::new();
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => break,
                b'\\' => text.extend(self.escaped()),
                b'\r' | b'\n' | 0 => {}
                _ => text.push(byte),
            }
        }
        text
    }

    /// Octets up to white space, a comment, a quote or one of `stops`; perhaps none.
    pub(crate) fn run(&mut self, stops: &[u8]) -> &'a [u8] {
        let start = self.at;
        while let Some(byte) = self.peek() {
            if matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0 | b'(' | b'"') || stops.contains(&byte) {
                break;
            }
            self.at += 1;
        }
        &self.bytes[start..self.at]
    }

    /// A token or quoted string; `None` where neither is next.
    pub(crate) fn word(&mut self, stops: &[u8]) -> Option<Vec<u8>> {
        self.skip();
        if self.peek() == Some(b'"') {
            return Some(self.quoted());
        }
        let run = self.run(stops);
        (!run.is_empty()).then(|| run.to_vec())
    }

    /// `; name=value` as often as it comes.
    pub(crate) fn parameters(&mut self) -> Parameters {
        let mut parameters = Parameters::new();
        loop {
            self.skip();
            match self.peek() {
                None => return parameters,
                Some(b';') => self.at += 1,
                Some(_) => {
                    let name = self.run(b"=;");
                    if name.is_empty() || !self.take(b'=') {
                        // No parameter: on to the next semicolon, at least one octet further.
                        self.pass_to_semicolon();
                        continue;
                    }
                    let value = self.value();
                    if parameters.len() < limits::MIME_PARAMETERS {
                        parameters.push((name.into(), value.into()));
                    }
                }
            }
        }
    }

    /// A parameter's value. Real mail has unquoted spaces in file names (RFC 2045 §5.1 forbids them):
    /// the value then goes on to the next semicolon.
    fn value(&mut self) -> Vec<u8> {
        self.skip();
        if self.peek() == Some(b'"') {
            return self.quoted();
        }
        let mut value = self.run(b";").to_vec();
        loop {
            let before = self.at;
            self.skip();
            let gap = self.at > before;
            let more = self.run(b";=");
            // `a=b c=d`: a forgotten semicolon.
            if more.is_empty() || self.peek() == Some(b'=') {
                if self.peek() == Some(b'=') {
                    self.at -= more.len();
                }
                if self.at == before && self.peek().is_some_and(|b| b != b';') {
                    self.pass_to_semicolon();
                }
                return value;
            }
            if gap {
                value.push(b' ');
            }
            value.extend_from_slice(more);
        }
    }

    fn pass_to_semicolon(&mut self) {
        while self.peek().is_some_and(|b| b != b';') {
            self.at += 1;
        }
    }
}

/// Content-Type: type, subtype, parameters. `None` where it is not one (RFC 2045 §5.2: then text/plain).
pub(crate) fn content_type(value: &[u8]) -> Option<(Raw, Raw, Parameters)> {
    let mut cursor = Cursor::new(value);
    cursor.skip();
    let media_type: Raw = cursor.run(b"/;=").into();
    if media_type.is_empty() || !cursor.take(b'/') {
        return None;
    }
    cursor.skip();
    let subtype: Raw = cursor.run(b"/;=").into();
    (!subtype.is_empty()).then(|| (media_type, subtype, cursor.parameters()))
}

/// Content-Disposition: what and its parameters (RFC 2183 §2).
pub(crate) fn disposition(value: &[u8]) -> Option<(Raw, Parameters)> {
    let mut cursor = Cursor::new(value);
    let kind = cursor.word(b";=")?;
    Some((kind.into(), cursor.parameters()))
}

/// The first token of a value without comments: Content-Transfer-Encoding.
pub(crate) fn token(value: &[u8]) -> Option<Raw> {
    Cursor::new(value).word(b";").map(Into::into)
}

/// Content-Language: tags separated by commas (RFC 3282 §2).
pub(crate) fn languages(value: &[u8]) -> Vec<Raw> {
    let mut cursor = Cursor::new(value);
    let mut tags = Vec::new();
    while tags.len() < limits::MIME_PARAMETERS {
        match cursor.word(b",") {
            Some(tag) => tags.push(tag.into()),
            None if cursor.peek().is_some() => cursor.bump(),
            None => break,
        }
    }
    tags
}

/// The value of a parameter, in any case.
pub(crate) fn parameter<'a>(parameters: &'a [(Raw, Raw)], name: &str) -> Option<&'a [u8]> {
    parameters.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| &**value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn show(value: &str) -> String {
        let Some((media, sub, parameters)) = content_type(value.as_bytes()) else { return "none".into() };
        let text = |raw: &[u8]| String::from_utf8_lossy(raw).into_owned();
        let parameters: Vec<_> = parameters.iter().map(|(n, v)| format!("{}={}", text(n), text(v))).collect();
        format!("{}/{} {}", text(&media), text(&sub), parameters.join("|"))
    }

    #[test]
    fn content_types() {
        assert_eq!(show(" text/plain; charset=utf-8"), "text/plain charset=utf-8");
        assert_eq!(show("Text (c) / HTML ;charset=\"a\\\"b\" ;\r\n x=y;"), "Text/HTML charset=a\"b|x=y");
        assert_eq!(show("a/b; name=my file.txt; x*0*=utf-8''%e4"), "a/b name=my file.txt|x*0*=utf-8''%e4");
        assert_eq!(show("a/b; name=one boundary=two"), "a/b name=one|boundary=two");
        assert_eq!(show("a/b; ; =x; broken; c=d"), "a/b c=d");
        assert_eq!(show("a/b; n=\"open"), "a/b n=open");
        assert_eq!(show("a/b; n=x=y; m=1"), "a/b n=x=y|m=1");
        for bad in ["", "text", "/plain", "text/", "(c)"] {
            assert_eq!(show(bad), "none", "{bad}");
        }
    }

    proptest! {
        #[test]
        fn always_ends(value in "([a-z/;=,\"( )\\\\]|\r\n|\u{e4}){0,40}") {
            let _ = (content_type(value.as_bytes()), disposition(value.as_bytes()), languages(value.as_bytes()));
        }
    }
}
