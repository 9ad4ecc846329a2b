//! The message as scripts see it.

use mail::limits;
use message::header::Header;
use message::structure::{Kind, Structure};
use message::text;
use message::transfer::Encoding;

/// What a run looks at.
pub trait Message {
    /// Its header, as it stands.
    fn header(&self) -> &[u8];

    /// Octets in all.
    fn size(&self) -> u64;

    /// What of its body is asked for, each part a string, `limits::SIEVE_BODY_LEN` octets at most together.
    fn body(&self, what: Shown<'_>) -> Vec<String>;
}

/// What of a body is looked at (RFC 5173 §5).
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// All of it, undecoded.
    Raw,
    /// Its parts that are text, as people read them.
    Text,
    /// Its parts with these types (`text`, `image/png`; an empty one: all), decoded.
    Types(&'a [String]),
}

/// A message in memory, or as much of it as was read: a run sees that much of its body.
#[derive(Clone, Copy, Debug)]
pub struct Octets<'a> {
    header: &'a [u8],
    message: &'a [u8],
    size: u64,
}

impl<'a> Octets<'a> {
    /// `size`: of the whole message, of which `message` is the front.
    pub fn new(message: &'a [u8], size: u64) -> Self {
        let front = &message[..message.len().min(limits::SIEVE_BODY_LEN)];
        Self { header: Header::of(message).bytes(), message: front, size: size.max(message.len() as u64) }
    }
}

impl Message for Octets<'_> {
    fn header(&self) -> &[u8] {
        self.header
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn body(&self, what: Shown<'_>) -> Vec<String> {
        let body = self.message.get(self.header.len()..).unwrap_or_default();
        if matches!(what, Shown::Raw) {
            return vec![String::from_utf8_lossy(body).into_owned()];
        }
        let structure = Structure::of(self.message);
        let octets = |range: &std::ops::Range<u64>| {
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.message.len());
            &self.message[place(range.start)..place(range.end).max(place(range.start))]
        };
        let mut left = limits::SIEVE_BODY_LEN;
        let mut found = Vec::new();
        for part in structure.parts() {
            let of_part = match (&what, &part.kind) {
                // The parts of a multipart come by themselves.
                (_, Kind::Multipart(_)) => continue,
                (Shown::Text, Kind::Leaf) if part.is_type("text") => text::readable(part, octets(&part.body)),
                (Shown::Types(types), kind) if is_among(part, types) => match kind {
                    // RFC 5173 §5.2: of a message within this one, its header.
                    Kind::Message(inner) => structure
                        .part(*inner)
                        .map(|inner| String::from_utf8_lossy(octets(&inner.header)).into_owned())
                        .unwrap_or_default(),
                    _ if part.is_type("text") => text::of_part(part, octets(&part.body)),
                    _ => String::from_utf8_lossy(&Encoding::of(&part.encoding).decode(octets(&part.body))).into_owned(),
                },
                _ => continue,
            };
            left = left.saturating_sub(of_part.len());
            found.push(of_part);
            if left == 0 {
                break;
            }
        }
        found
    }
}

/// RFC 5173 §5.2: `text`, `text/plain`, or the empty string for all.
fn is_among(part: &message::structure::Part, types: &[String]) -> bool {
    types.iter().any(|wanted| match wanted.split_once('/') {
        _ if wanted.is_empty() => true,
        None => part.is_type(wanted),
        Some((media_type, subtype)) => part.is(media_type, subtype),
    })
}
