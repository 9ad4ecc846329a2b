//! The header of a message or MIME part, as bytes: its fields, their order and exact places.
//!
//! Works on the header alone; nothing here looks at a body. A line without a colon (a stray `From ` of an
//! mbox, damage) is a field without a name: kept, found by nobody, and the header goes on (only an empty line
//! ends it, RFC 5322 §2.1).

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

/// A header: a view of its bytes, with the empty line that ends it if there is one.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    bytes: &'a [u8],
}

/// One field with its place.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    bytes: &'a [u8],
    start: usize,
    colon: Option<usize>,
}

impl<'a> Header<'a> {
    /// The header of `message`, which may be a whole message or its header only.
    pub fn of(message: &'a [u8]) -> Self {
        let mut end = HeaderEnd::default();
        let len = end.push(message).map_or(message.len(), |end| end as usize);
        Self { bytes: &message[..len] }
    }

    /// A header by itself: nothing comes behind it, so nobody looks for where it ends.
    pub const fn alone(header: &'a [u8]) -> Self {
        Self { bytes: header }
    }

    /// All bytes, the empty line included. Its length is where the body begins.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The fields in order. Every byte but the final empty line belongs to exactly one of them.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        let bytes = self.bytes;
        let mut at = 0;
        std::iter::from_fn(move || {
            if at >= bytes.len() || is_empty_line(&bytes[at..]) {
                return None;
            }
            let start = at;
            let first_end = line_end(bytes, at);
            at = first_end;
            // RFC 5322 §2.2.3: a line that begins with white space belongs to the one before it.
            while matches!(bytes.get(at), Some(b' ' | b'\t')) {
                at = line_end(bytes, at);
            }
            let field = &bytes[start..at];
            let first_line = &bytes[start..first_end];
            let colon = memchr(b':', first_line).filter(|colon| {
                let name = trim_end(&first_line[..*colon]);
                // RFC 5322 §3.6.8 `ftext`: printable, no colon. Space before the colon is §4.5's obsolete form.
                !name.is_empty() && name.iter().all(|b| *b > b' ' && *b != 0x7f)
            });
            Some(Field { bytes: field, start, colon })
        })
    }

    /// The first field of this name, in any case.
    pub fn get(&self, name: &str) -> Option<Field<'a>> {
        self.all(name).next()
    }

    /// All fields of this name, in any case.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = Field<'a>> + use<'a, 'n> {
        self.fields().filter(move |field| field.is(name))
    }

    /// How many fields have this name.
    pub fn count(&self, name: &str) -> usize {
        self.all(name).count()
    }

    /// HEADER.FIELDS: the exact bytes of the named fields in their order, then an empty line
    /// (RFC 3501 §6.4.5: the delimiting empty line is always included).
    pub fn select(&self, names: &[impl AsRef<[u8]>]) -> Vec<u8> {
        let names = sorted(names);
        self.pick(|field| is_among(field.name(), &names))
    }

    /// HEADER.FIELDS.NOT: the same of all other fields.
    pub fn select_not(&self, names: &[impl AsRef<[u8]>]) -> Vec<u8> {
        let names = sorted(names);
        self.pick(|field| !is_among(field.name(), &names))
    }

    fn pick(&self, wanted: impl Fn(&Field<'a>) -> bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len());
        for field in self.fields().filter(wanted) {
            out.extend_from_slice(field.bytes);
        }
        // A field that the end of the message cut off has no line end of its own.
        if !out.is_empty() && !out.ends_with(b"\n") {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    /// The header without the named fields; all else, the empty line too, byte for byte.
    /// For submission: `without(&["Bcc", "Resent-Bcc"])`.
    pub fn without(&self, names: &[&str]) -> Cow<'a, [u8]> {
        if !self.fields().any(|field| names.iter().any(|name| field.is(name))) {
            return Cow::Borrowed(self.bytes);
        }
        let mut out = Vec::with_capacity(self.bytes.len());
        let mut end = 0;
        for field in self.fields() {
            end = field.range().end;
            if !names.iter().any(|name| field.is(name)) {
                out.extend_from_slice(field.bytes);
            }
        }
        out.extend_from_slice(&self.bytes[end..]);
        Cow::Owned(out)
    }

    /// The first Message-ID with its angle brackets, without comments or folding; `None` where it is absent or
    /// has none (RFC 5322 §3.6.4 `msg-id`).
    pub fn message_id(&self) -> Option<String> {
        let value = self.get("Message-ID")?.unfolded();
        let start = memchr(b'<', &value)?;
        let end = start + memchr(b'>', &value[start..])?;
        let id: Vec<u8> = value[start..=end].iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
        (id.len() > 2).then(|| String::from_utf8_lossy(&id).into_owned())
    }

    /// The messages that this one refers to, oldest first (RFC 5256 §3 step 1): References, or the first of In-Reply-To.
    /// Without their angle brackets; at most `most`, the last ones.
    pub fn references(&self, most: usize) -> Vec<String> {
        let ids = |name| self.get(name).map(|field| message_ids(&field.unfolded())).unwrap_or_default();
        let mut ids = match ids("References") {
            references if !references.is_empty() => references,
            _ => ids("In-Reply-To").into_iter().take(1).collect(),
        };
        ids.drain(..ids.len().saturating_sub(most));
        ids
    }

    /// The msg-id with which the conversation of this message begins, as far as its header tells: the first that References
    /// names (RFC 5322 §3.6.4: there the whole line of ancestors stands), else the first of In-Reply-To, else its own. Without
    /// angle brackets and white space; `None` where no field has any.
    pub fn conversation(&self) -> Option<Vec<u8>> {
        let (mut references, mut in_reply_to, mut own) = (None, None, None);
        for field in self.fields() {
            let place = match field.name().len() {
                10 if field.is("References") => &mut references,
                10 if field.is("Message-ID") => &mut own,
                11 if field.is("In-Reply-To") => &mut in_reply_to,
                _ => continue,
            };
            if place.is_none() {
                *place = first_id(&field.unfolded());
            }
        }
        references.or(in_reply_to).or(own)
    }

    /// The first Date field's moment, leniently.
    pub fn date(&self) -> Option<crate::date::DateTime> {
        crate::date::parse(&self.get("Date")?.unfolded())
    }

    /// The first Subject, decoded (RFC 2047), in one line.
    pub fn subject(&self) -> Option<String> {
        Some(crate::text::decode_words(&self.get("Subject")?.unfolded()))
    }

    /// The first From field, decoded, in one line.
    pub fn from(&self) -> Option<String> {
        Some(crate::text::decode_words(&self.get("From")?.unfolded()))
    }

    /// How many Received fields there are (RFC 5321 §6.3: loops are found by counting them).
    pub fn received_count(&self) -> usize {
        self.count("Received")
    }

    /// The addresses of all Delivered-To fields, topmost first, trimmed, in the case that was written.
    pub fn delivered_to(&self) -> Vec<String> {
        self.all("Delivered-To").map(|field| String::from_utf8_lossy(&field.unfolded()).into_owned()).collect()
    }
}

/// The first thing in angle brackets, without white space.
fn first_id(value: &[u8]) -> Option<Vec<u8>> {
    let inner = |piece: &[u8]| -> Vec<u8> { piece.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect() };
    let mut pieces = value.split(|byte| *byte == b'<').skip(1);
    pieces.find_map(|piece| Some(inner(&piece[..memchr(b'>', piece)?])).filter(|id| !id.is_empty()))
}

/// What stands in angle brackets and has an `@`, without white space.
fn message_ids(value: &[u8]) -> Vec<String> {
    let mut ids = Vec::new();
    let mut rest = value;
    while let Some(start) = memchr(b'<', rest) {
        let Some(len) = memchr(b'>', &rest[start..]) else { break };
        let inner = &rest[start + 1..start + len];
        // A bracket that is not closed before the next one opens is none.
        let inner = &inner[memchr::memrchr(b'<', inner).map_or(0, |at| at + 1)..];
        let id: Vec<u8> = inner.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
        if id.contains(&b'@') {
            ids.push(String::from_utf8_lossy(&id).into_owned());
        }
        rest = &rest[start + len + 1..];
    }
    ids
}

/// Names in lower case and in order: a client may ask for thousands, and a header may have thousands of fields.
fn sorted(names: &[impl AsRef<[u8]>]) -> Vec<Vec<u8>> {
    let mut names: Vec<_> = names.iter().map(|name| name.as_ref().to_ascii_lowercase()).collect();
    names.sort_unstable();
    names
}

fn is_among(name: &[u8], sorted: &[Vec<u8>]) -> bool {
    let lower = || name.iter().map(u8::to_ascii_lowercase);
    sorted.binary_search_by(|known| known.iter().copied().cmp(lower())).is_ok()
}

impl<'a> Field<'a> {
    /// The name as written; empty for a line that is no field.
    pub fn name(&self) -> &'a [u8] {
        self.colon.map_or(&[], |colon| trim_end(&self.bytes[..colon]))
    }

    /// Whether this is its name, in any case (RFC 5322 §1.2.2).
    pub fn is(&self, name: &str) -> bool {
        self.colon.is_some() && self.name().eq_ignore_ascii_case(name.as_bytes())
    }

    /// The whole field: name, colon, value, line ends.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its place in the header.
    pub const fn range(&self) -> Range<usize> {
        self.start..self.start + self.bytes.len()
    }

    /// What stands after the colon: folds, white space and the final line end are still there.
    pub fn raw_value(&self) -> &'a [u8] {
        self.colon.map_or(self.bytes, |colon| &self.bytes[colon + 1..])
    }

    /// The value in one line: line ends taken out (RFC 5322 §2.2.3: unfolding removes the CRLF before white
    /// space, the white space stays), trimmed at both ends.
    pub fn unfolded(&self) -> Cow<'a, [u8]> {
        unfold(self.raw_value())
    }
}

/// Takes out line ends and trims. NUL goes too: IMAP can't carry it (RFC 3501 §9 `CHAR8`).
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = trim(value);
    if value.iter().all(|b| !matches!(b, b'\r' | b'\n' | 0)) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n' | 0)).collect())
}

pub(crate) fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = bytes {
        bytes = rest;
    }
    bytes
}

pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = bytes {
        bytes = rest;
    }
    trim_end(bytes)
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    memchr(b'\n', &bytes[from..]).map_or(bytes.len(), |at| from + at + 1)
}

fn is_empty_line(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\n") || bytes.starts_with(b"\r\n")
}

/// Finds the end of a header in a message that comes in pieces.
#[derive(Clone, Debug, Default)]
pub struct HeaderEnd {
    seen: u64,
    line: Line,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Start,
    StartCr,
    Inside,
}

impl HeaderEnd {
    /// Takes the next piece. Where the header ends in it: the length of the whole header, empty line included,
    /// counted from the first piece. After that nothing more may be pushed.
    pub fn push(&mut self, piece: &[u8]) -> Option<u64> {
        let mut at = 0;
        while at < piece.len() {
            match (self.line, piece[at]) {
                (Line::Start | Line::StartCr, b'\n') => return Some(self.seen + at as u64 + 1),
                (Line::Start, b'\r') => {
                    self.line = Line::StartCr;
                    at += 1;
                }
                _ => match memchr(b'\n', &piece[at..]) {
                    Some(end) => {
                        self.line = Line::Start;
                        at += end + 1;
                    }
                    None => {
                        self.line = Line::Inside;
                        at = piece.len();
                    }
                },
            }
        }
        self.seen += piece.len() as u64;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MESSAGE: &[u8] = b"From stray line\r\nReceived: one\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n\tund mehr\r\n\
        received : two\r\nDelivered-To:  a@x \r\nBcc: secret@x,\r\n  other@x\r\nmessage-id: (c) <1@x>\r\n\r\nbody: no\r\n";

    #[test]
    fn finds_fields() {
        let header = Header::of(MESSAGE);
        assert!(header.bytes().ends_with(b"<1@x>\r\n\r\n"));
        assert_eq!(header.received_count(), 2);
        assert_eq!(header.subject().as_deref(), Some("grüße\tund mehr"));
        assert_eq!(header.message_id().as_deref(), Some("<1@x>"));
        assert_eq!(header.delivered_to(), ["a@x"]);
        assert_eq!(header.get("subject").map(|f| f.range()), Some(32..81));
        assert!(header.get("body").is_none());
    }

    #[test]
    fn selects_exact_bytes() {
        let header = Header::of(MESSAGE);
        assert_eq!(header.select(&["RECEIVED"]), b"Received: one\r\nreceived : two\r\n\r\n");
        assert_eq!(header.select(&["X-None"]), b"\r\n");
        assert_eq!(Header::of(b"A: b").select(&["a"]), b"A: b\r\n\r\n");
        let without = header.without(&["bcc"]);
        assert!(!without.windows(6).any(|w| w == b"secret" || w == b"other@"));
        assert_eq!(without.len() + 27, header.bytes().len());
        assert!(matches!(header.without(&["x"]), Cow::Borrowed(_)));
    }

    #[test]
    fn the_beginning_of_a_conversation() {
        for (header, begins) in [
            ("Message-ID: <a@x>\r\n", Some("a@x")),
            ("Message-ID: <c@x>\r\nIn-Reply-To: <b@x>\r\nREFERENCES: <a@x>\r\n\t<b@x>\r\n", Some("a@x")),
            ("In-Reply-To: Your mail <of today\r\n <b @\r\n x>\r\nMessage-ID: <c@x>\r\n", Some("b@x")),
            ("References: none <> (lost)\r\nMessage-ID: <c>\r\n", Some("c")),
            ("References: <\r\nSubject: <d@x>\r\n", None),
            ("References:\r\nReferences: <a@x>\r\n", Some("a@x")),
        ] {
            let found = Header::of(header.as_bytes()).conversation();
            assert_eq!(found.as_deref(), begins.map(str::as_bytes), "{header}");
        }
    }

    proptest! {
        #[test]
        fn fields_cover_the_header(bytes in "([a-zA-Z]{1,3}:|[ \t]|\r|\n|\r\n|x|\u{e4}){0,40}") {
            let header = Header::of(bytes.as_bytes());
            let mut end = 0;
            for field in header.fields() {
                prop_assert_eq!(field.range().start, end);
                prop_assert_eq!(&header.bytes()[field.range()], field.bytes());
                end = field.range().end;
            }
            prop_assert!(matches!(&header.bytes()[end..], b"" | b"\n" | b"\r\n"));
            prop_assert_eq!(header.without(&["nobody"]), header.bytes());
        }

        #[test]
        fn the_end_is_the_same_in_pieces(bytes in "(a|:|\r|\n|\r\n){0,30}", cut in 0usize..30) {
            let bytes = bytes.as_bytes();
            let whole = HeaderEnd::default().push(bytes);
            let cut = cut.min(bytes.len());
            let mut pieces = HeaderEnd::default();
            let found = pieces.push(&bytes[..cut]).or_else(|| pieces.push(&bytes[cut..]));
            prop_assert_eq!(found, whole);
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let header = Header::of(&bytes);
            let _ = (header.message_id(), header.date(), header.subject(), header.from(), header.delivered_to(), header.conversation());
        }
    }
}
