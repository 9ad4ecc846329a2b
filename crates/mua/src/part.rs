//! The parts of a message, as a person picks one: number, type, name, size.

use message::structure::{Kind, Structure};
use message::transfer::Encoding;

use crate::{MuaError, MuaResult};

/// A part that can be saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartInfo {
    /// IMAP's section number, `2` or `1.2`.
    pub number: String,
    /// `image/png`, lower case.
    pub media_type: String,
    /// File name, safe to show but not to open: it may hold slashes.
    pub name: Option<String>,
    /// Octets as transferred (base64 takes a third more than the file).
    pub size: u64,
    /// Content-Transfer-Encoding.
    pub(crate) encoding: Vec<u8>,
    /// Content-Type's charset.
    pub(crate) charset: Vec<u8>,
    /// Content-Disposition says attachment.
    pub(crate) attachment: bool,
}

/// The part that a person reads: the first plain text that is no attachment, else the first HTML. What stands in a
/// message within the message counts only where there is nothing else.
pub(crate) fn readable(parts: &[PartInfo]) -> Option<&PartInfo> {
    let messages: Vec<String> = parts
        .iter()
        .filter(|part| part.media_type.starts_with("message/"))
        .map(|part| part.number.clone() + ".")
        .collect();
    let is_within = |part: &PartInfo| messages.iter().any(|message| part.number.starts_with(message.as_str()));
    let shown = |media_type: &str, within: bool| {
        parts.iter().find(|part| part.media_type == media_type && !part.attachment && is_within(part) == within)
    };
    let text = |within| shown("text/plain", within).or_else(|| shown("text/html", within));
    text(false).or_else(|| text(true))
}

/// The parts of a message that is here whole (POP3).
pub(crate) fn of_structure(structure: &Structure) -> Vec<PartInfo> {
    let leaves = structure.leaves().into_iter();
    leaves
        .filter(|(_, part)| !matches!(part.kind, Kind::Multipart(_)))
        .map(|(number, part)| PartInfo {
            number,
            media_type: lower(&part.media_type) + "/" + &lower(&part.subtype),
            name: part.file_name(),
            size: part.body.end - part.body.start,
            encoding: part.encoding.to_vec(),
            charset: part.parameter("charset").unwrap_or(b"us-ascii").to_vec(),
            attachment: part.is_attachment(),
        })
        .collect()
}

pub(crate) fn lower(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_ascii_lowercase()
}

/// The part with a section number.
pub(crate) fn find<'a>(parts: &'a [PartInfo], number: &str) -> MuaResult<&'a PartInfo> {
    parts.iter().find(|part| part.number == number).ok_or_else(|| {
        let there: Vec<_> = parts.iter().map(|part| part.number.as_str()).collect();
        MuaError::new(format!("the message has no part {number}; it has {}", there.join(", ")))
    })
}

impl PartInfo {
    /// Octets of this part as text, HTML made plain.
    pub(crate) fn text(&self, octets: &[u8]) -> String {
        let text = message::text::from_charset(&self.charset, &Encoding::of(&self.encoding).decode(octets));
        if self.media_type == "text/html" { message::text::from_html(&text) } else { text }
    }
}
