//! The scan behind [`Structure`]: reads a message in pieces, line by line, and notes where its parts are.
//!
//! Holds one header (up to `limits::HEADER_LEN`) and the beginning of one line at a time, whatever the
//! message's size. A line ends with LF, with or without CR before it, so a message with bare LFs has parts too.

use memchr::memchr;

use mail::limits;

use crate::envelope::Envelope;
use crate::field;
use crate::header::Header;
use crate::structure::{Kind, Part, Structure};

/// Finds the parts of a message that comes in pieces.
pub struct Scanner {
    parts: Vec<Part>,
    /// From the message itself to the innermost part that is still open.
    open: Vec<Open>,
    inside: Inside,
    /// Octets of whole lines so far.
    at: u64,
    /// Line ends so far.
    line_ends: u32,
    /// Octets of the last line's end: it belongs to the boundary that may follow (RFC 2046 §5.1.1).
    last_end: u64,
    /// The beginning of a line that is not complete yet, and its length so far.
    partial: Vec<u8>,
    partial_len: u64,
    /// The two last octets of that line.
    tail: [u8; 2],
    addresses_left: usize,
}

enum Inside {
    /// Collecting the header of the innermost open part.
    Header(Vec<u8>),
    Body,
}

struct Open {
    part: u32,
    /// How many parts it is within.
    depth: usize,
    /// A multipart that still expects parts.
    boundary: Option<Box<[u8]>>,
    /// The default type of its parts is message/rfc822 (RFC 2046 §5.1.5).
    digest: bool,
    /// Line ends before its body.
    line_ends: u32,
}

/// What a line is to the multiparts that are open.
struct Delimiter {
    /// Index in `open`.
    level: usize,
    closes: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// At the beginning of a message.
    pub fn new() -> Self {
        let mut scanner = Self {
            parts: Vec::new(),
            open: Vec::new(),
            inside: Inside::Body,
            at: 0,
            line_ends: 0,
            last_end: 0,
            partial: Vec::new(),
            partial_len: 0,
            tail: [0; 2],
            addresses_left: limits::ENVELOPE_ADDRESSES,
        };
        scanner.begin_part(0);
        scanner
    }

    /// Takes the next piece of the message.
    pub fn push(&mut self, mut piece: &[u8]) {
        while let Some(end) = memchr(b'\n', piece) {
            let (line, rest) = piece.split_at(end + 1);
            if self.partial_len == 0 {
                let end_len = if line.ends_with(b"\r\n") { 2 } else { 1 };
                self.line(line, line.len() as u64, end_len);
            } else {
                self.keep(line);
                let end_len = if self.tail == *b"\r\n" { 2 } else { 1 };
                self.partial_line(end_len);
            }
            piece = rest;
        }
        if !piece.is_empty() {
            self.keep(piece);
        }
    }

    /// The structure of what was pushed.
    pub fn finish(mut self) -> Structure {
        if self.partial_len > 0 {
            self.partial_line(0);
        }
        self.end_header(self.at, true);
        self.close_down_to(0, self.at, self.line_ends);
        Structure { parts: self.parts }
    }

    /// Keeps the beginning of a line that is not complete: as much as its place needs.
    fn keep(&mut self, bytes: &[u8]) {
        let most = match &self.inside {
            Inside::Header(header) => limits::HEADER_LEN.saturating_sub(header.len()).max(limits::BOUNDARY_LINE_LEN),
            Inside::Body => limits::BOUNDARY_LINE_LEN,
        };
        let room = most.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.partial_len += bytes.len() as u64;
        self.tail = match *bytes {
            [.., a, b] => [a, b],
            [b] => [self.tail[1], b],
            [] => self.tail,
        };
    }

    fn partial_line(&mut self, end_len: u64) {
        let line = std::mem::take(&mut self.partial);
        let len = std::mem::take(&mut self.partial_len);
        self.line(&line, len, end_len);
        self.partial = line;
        self.partial.clear();
        self.partial.shrink_to(limits::BOUNDARY_LINE_LEN);
        self.tail = [0; 2];
    }

    /// A whole line: its beginning (all of it, unless it is longer than what is kept), its length with its
    /// end, its end's length.
    fn line(&mut self, line: &[u8], len: u64, end_len: u64) {
        let start = self.at;
        self.at += len;
        if line.starts_with(b"--")
            && let Some(delimiter) = self.delimiter(line)
        {
            self.end_header(start, true);
            self.delimit(&delimiter, start);
            self.line_ends += u32::from(end_len > 0);
            self.last_end = end_len;
            return;
        }
        self.line_ends += u32::from(end_len > 0);
        self.last_end = end_len;
        if let Inside::Header(header) = &mut self.inside {
            if matches!(line, b"\n" | b"\r\n") {
                self.end_header(self.at, false);
            } else {
                let room = limits::HEADER_LEN.saturating_sub(header.len());
                header.extend_from_slice(&line[..line.len().min(room)]);
            }
        }
    }

    /// Whether this line is a delimiter of one of the open multiparts; the innermost wins.
    fn delimiter(&self, line: &[u8]) -> Option<Delimiter> {
        if self.parts.len() >= limits::MIME_PARTS {
            return None;
        }
        let line = crate::header::trim_end(&line[2..]);
        self.open.iter().enumerate().rev().find_map(|(level, open)| {
            let rest = line.strip_prefix(&**open.boundary.as_ref()?)?;
            // RFC 2046 §5.1.1: `delimiter transport-padding` or `close-delimiter transport-padding`. A longer
            // line is another multipart's boundary or text; only after a closing one is anything allowed.
            match rest {
                b"" => Some(Delimiter { level, closes: false }),
                [b'-', b'-', rest @ ..] if rest.is_empty() || rest[0].is_ascii_whitespace() => {
                    Some(Delimiter { level, closes: true })
                }
                _ => None,
            }
        })
    }

    fn delimit(&mut self, delimiter: &Delimiter, start: u64) {
        // The line end before the delimiter belongs to it.
        let line_ends = self.line_ends.saturating_sub(u32::from(self.last_end > 0));
        self.close_down_to(delimiter.level + 1, start - self.last_end, line_ends);
        if delimiter.closes {
            if let Some(open) = self.open.last_mut() {
                open.boundary = None;
            }
            self.inside = Inside::Body;
        } else {
            self.begin_part(self.at);
        }
    }

    /// Closes all open parts from `level` on, the innermost first; `end` is where their bodies end.
    fn close_down_to(&mut self, level: usize, mut end: u64, line_ends: u32) {
        for open in self.open.drain(level..).rev() {
            let part = &mut self.parts[open.part as usize];
            // A part whose header was followed at once by a delimiter has an empty body, and lies within its parents.
            end = end.max(part.body.start);
            part.body.end = end;
            part.lines = line_ends.saturating_sub(open.line_ends);
            if let Kind::Multipart(children) = &part.kind
                && children.is_empty()
            {
                let at = part.body.end;
                self.parts[open.part as usize].kind = Kind::Multipart(vec![self.parts.len() as u32]);
                self.parts.push(Part::text_plain(at..at));
            }
        }
    }

    /// A new part begins: a child of the innermost open part.
    fn begin_part(&mut self, at: u64) {
        let number = self.parts.len() as u32;
        let depth = self.open.last().map_or(0, |parent| parent.depth + 1);
        if let Some(parent) = self.open.last() {
            match &mut self.parts[parent.part as usize].kind {
                Kind::Multipart(children) => children.push(number),
                kind => *kind = Kind::Message(number),
            }
        }
        self.parts.push(Part::text_plain(at..at));
        self.open.push(Open { part: number, depth, boundary: None, digest: false, line_ends: 0 });
        self.inside = Inside::Header(Vec::new());
    }

    /// The header of the innermost part ends at `end`: what kind of part is it? A message within begins at once,
    /// and where a delimiter or the message's end `cut` the header off, ends at once too.
    fn end_header(&mut self, end: u64, cut: bool) {
        while let Inside::Header(header) = std::mem::replace(&mut self.inside, Inside::Body) {
            let Some(level) = self.open.len().checked_sub(1) else { return };
            let digest = level > 0 && self.open[level - 1].digest;
            let is_message =
                level == 0 || matches!(self.parts[self.open[level - 1].part as usize].kind, Kind::Message(_));
            let open = &mut self.open[level];
            open.line_ends = self.line_ends;
            let part = &mut self.parts[open.part as usize];
            part.header.end = end;
            part.body = end..end;
            let header = Header::of(&header);
            describe(part, &header, digest && !is_message);
            if is_message {
                part.envelope = Some(Box::new(Envelope::within(&header, &mut self.addresses_left)));
            }
            let may_nest = open.depth + 1 < limits::MIME_DEPTH && self.parts.len() < limits::MIME_PARTS;
            let part = &mut self.parts[open.part as usize];
            if part.is_type("multipart") {
                let boundary =
                    part.parameter("boundary").filter(|b| !b.is_empty() && b.len() <= limits::BOUNDARY_LINE_LEN / 2);
                match boundary.map(crate::header::trim_end) {
                    Some(boundary) if may_nest => {
                        open.boundary = Some(boundary.into());
                        open.digest = part.subtype.eq_ignore_ascii_case(b"digest");
                        part.kind = Kind::Multipart(Vec::new());
                    }
                    // RFC 2046 §5.1.1 requires a boundary: without one nothing can be found in it.
                    _ => make_text(part),
                }
            } else if part.is("message", "rfc822") || part.is("message", "global") {
                // RFC 6532 §3.7: message/global is message/rfc822 with UTF-8 in its header.
                if may_nest {
                    self.begin_part(end);
                    if cut {
                        continue;
                    }
                } else {
                    make_text(part);
                }
            }
            return;
        }
    }
}

fn make_text(part: &mut Part) {
    let Part { media_type, subtype, parameters, .. } = Part::text_plain(0..0);
    (part.media_type, part.subtype, part.parameters) = (media_type, subtype, parameters);
}

/// Fills in what a header says about its part.
fn describe(part: &mut Part, header: &Header<'_>, in_digest: bool) {
    match header.get("Content-Type").map(|value| field::content_type(value.raw_value())) {
        Some(Some((media_type, subtype, parameters))) => {
            (part.media_type, part.subtype, part.parameters) = (media_type, subtype, parameters);
        }
        // RFC 2046 §5.1.5: within a digest the default is message/rfc822.
        None if in_digest => {
            (part.media_type, part.subtype) = (Box::from(*b"message"), Box::from(*b"rfc822"));
            part.parameters.clear();
        }
        _ => {}
    }
    // RFC 2046 §4.1.2: text without a character set is US-ASCII, and clients are used to read so (Dovecot).
    if part.is_type("text") && part.parameter("charset").is_none() {
        part.parameters.push((Box::from(*b"charset"), Box::from(*b"us-ascii")));
    }
    let raw =
        |name| header.get(name).map(|field| Box::<[u8]>::from(field.unfolded())).filter(|value| !value.is_empty());
    part.id = raw("Content-ID");
    part.description = raw("Content-Description");
    part.md5 = raw("Content-MD5");
    part.location = raw("Content-Location");
    if let Some(encoding) = header.get("Content-Transfer-Encoding").and_then(|f| field::token(f.raw_value())) {
        part.encoding = encoding;
    }
    part.disposition = header.get("Content-Disposition").and_then(|f| field::disposition(f.raw_value()));
    part.languages = header.get("Content-Language").map(|f| field::languages(f.raw_value())).unwrap_or_default();
}
