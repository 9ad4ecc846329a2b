//! The MIME tree of a message, with the exact place of every part.
//!
//! One scan gives all that IMAP's BODYSTRUCTURE, ENVELOPE and BODY[section] need; the result is owned and
//! small beside its message, so it can be cached. Broken MIME is bounded and never an error: a boundary that never
//! comes ends with its parent; parts deeper than `limits::MIME_DEPTH` are text; once there are
//! `limits::MIME_PARTS`, the rest belongs to the last.

use std::ops::Range;

use mail::limits;

use crate::envelope::Envelope;
pub use crate::scan::Scanner;

/// Octets as they stand in the header, without quotes; perhaps not UTF-8.
pub type Raw = Box<[u8]>;
/// Names and values in order, RFC 2231 marks kept (`filename*0*`).
pub type Parameters = Vec<(Raw, Raw)>;

/// A message's parts. Number 0 is the message itself; the others follow in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    pub(crate) parts: Vec<Part>,
}

/// A part: the message itself, a body part of a multipart, or a message within a message/rfc822 part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it holds.
    pub kind: Kind,
    /// `text`, in the case that was written; the default where the field is absent or broken.
    pub media_type: Raw,
    /// `plain`.
    pub subtype: Raw,
    /// Content-Type's parameters.
    pub parameters: Parameters,
    /// Content-ID.
    pub id: Option<Raw>,
    /// Content-Description, encoded words kept.
    pub description: Option<Raw>,
    /// Content-Transfer-Encoding; `7bit` where it has none.
    pub encoding: Raw,
    /// Content-MD5.
    pub md5: Option<Raw>,
    /// Content-Disposition: what, and its parameters.
    pub disposition: Option<(Raw, Parameters)>,
    /// Content-Language.
    pub languages: Vec<Raw>,
    /// Content-Location.
    pub location: Option<Raw>,
    /// Where its header is in the message, empty line included.
    pub header: Range<u64>,
    /// Where its body is: neither the empty line before nor the CRLF before a boundary belongs to it.
    pub body: Range<u64>,
    /// Line ends in the body.
    pub lines: u32,
    /// Of the message itself and of messages within it.
    pub envelope: Option<Box<Envelope>>,
}

/// What a part holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Content.
    Leaf,
    /// Parts, by number in the structure; at least one (an empty one is made up where there is none,
    /// since IMAP can't say so: RFC 3501 §9 `body-type-mpart`).
    Multipart(Vec<u32>),
    /// message/rfc822 or message/global: the message within it, by number in the structure.
    Message(u32),
}

/// What of a part a section names (RFC 3501 §6.4.5 `section-text`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Nothing after the numbers: the part's body; without numbers the whole message.
    Whole,
    /// HEADER: of the message, or of the message within a message/rfc822 part.
    Header,
    /// TEXT: the body of the same.
    Text,
    /// MIME: the part's own header. Needs numbers.
    Mime,
}

impl Structure {
    /// The structure of a whole message in memory. For one that comes in pieces: [`Scanner`].
    pub fn of(message: &[u8]) -> Self {
        let mut scanner = Scanner::new();
        scanner.push(message);
        scanner.finish()
    }

    /// The message itself.
    pub fn root(&self) -> &Part {
        &self.parts[0]
    }

    /// A part by its number in the structure, as [`Kind`] gives it.
    pub fn part(&self, number: u32) -> Option<&Part> {
        self.parts.get(number as usize)
    }

    /// All parts, the message itself first.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The part that IMAP calls `path` (`[1, 2]` is `1.2`); an empty path is the message itself.
    ///
    /// RFC 3501 §6.4.5: every message has at least a part 1; parts of a message/rfc822 part are those of the
    /// message in it, which if it is no multipart has itself as part 1.
    pub fn find(&self, path: &[u32]) -> Option<&Part> {
        let mut at = 0u32;
        let mut is_message = true;
        for number in path {
            if let Kind::Message(inner) = self.part(at)?.kind
                && !is_message
            {
                at = inner;
                is_message = true;
            }
            let part = self.part(at)?;
            match &part.kind {
                Kind::Multipart(children) => {
                    at = *children.get((*number as usize).checked_sub(1)?)?;
                    is_message = false;
                }
                _ if is_message && *number == 1 => is_message = false,
                _ => return None,
            }
        }
        self.part(at)
    }

    /// The bytes that `BODY[path.section]` names; `None` where there are none such.
    pub fn section(&self, path: &[u32], section: Section) -> Option<Range<u64>> {
        let part = self.find(path)?;
        let message = match (&part.kind, path) {
            (_, []) => Some(part),
            (Kind::Message(inner), _) => self.part(*inner),
            _ => None,
        };
        match section {
            Section::Whole if path.is_empty() => Some(part.header.start..part.body.end),
            Section::Whole => Some(part.body.clone()),
            Section::Header => message.map(|message| message.header.clone()),
            Section::Text => message.map(|message| message.body.clone()),
            Section::Mime => (!path.is_empty()).then(|| part.header.clone()),
        }
    }

    /// Every part that is content, with its IMAP section number (`1.2`): what a person reads and saves.
    pub fn leaves(&self) -> Vec<(String, &Part)> {
        let mut leaves = Vec::new();
        let mut stack = vec![(0u32, String::new(), true)];
        while let Some((number, path, is_message)) = stack.pop() {
            let Some(part) = self.part(number) else { continue };
            let step = |n: usize| if path.is_empty() { n.to_string() } else { format!("{path}.{n}") };
            match &part.kind {
                Kind::Multipart(children) => {
                    stack.extend(children.iter().enumerate().rev().map(|(n, child)| (*child, step(n + 1), false)));
                }
                _ if is_message => stack.push((number, step(1), false)),
                Kind::Message(inner) => {
                    leaves.push((path.clone(), part));
                    stack.push((*inner, path, true));
                }
                Kind::Leaf => leaves.push((path, part)),
            }
        }
        leaves
    }
}

impl Part {
    /// An empty text/plain part: the default of RFC 2045 §5.2.
    pub(crate) fn text_plain(header: Range<u64>) -> Self {
        let at = header.end;
        Self {
            kind: Kind::Leaf,
            media_type: Raw::from(*b"text"),
            subtype: Raw::from(*b"plain"),
            parameters: vec![(Raw::from(*b"charset"), Raw::from(*b"us-ascii"))],
            id: None,
            description: None,
            encoding: Raw::from(*b"7bit"),
            md5: None,
            disposition: None,
            languages: Vec::new(),
            location: None,
            header,
            body: at..at,
            lines: 0,
            envelope: None,
        }
    }

    /// Whether its type is this, in any case: `is("text", "plain")`.
    pub fn is(&self, media_type: &str, subtype: &str) -> bool {
        self.is_type(media_type) && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }

    /// Whether the first half of its type is this.
    pub fn is_type(&self, media_type: &str) -> bool {
        self.media_type.eq_ignore_ascii_case(media_type.as_bytes())
    }

    /// Octets of its body.
    pub const fn size(&self) -> u64 {
        self.body.end - self.body.start
    }

    /// A parameter of Content-Type, as it stands.
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        crate::field::parameter(&self.parameters, name)
    }

    /// Whether it is meant to be saved and not shown (RFC 2183 §2.2).
    pub fn is_attachment(&self) -> bool {
        self.disposition.as_ref().is_some_and(|(kind, _)| kind.eq_ignore_ascii_case(b"attachment"))
    }

    /// Its file name, decoded: Content-Disposition's `filename`, else Content-Type's `name`
    /// (RFC 2231, or encoded words, which RFC 2047 §5 forbids there and many send).
    pub fn file_name(&self) -> Option<String> {
        let disposition =
            self.disposition.as_ref().and_then(|(_, parameters)| crate::text::parameter(parameters, "filename"));
        disposition.or_else(|| crate::text::parameter(&self.parameters, "name")).filter(|name| !name.is_empty())
    }
}

const _: () = assert!(limits::MIME_DEPTH >= 2 && limits::MIME_PARTS >= 2);
