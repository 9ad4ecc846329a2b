//! The header, as the script has changed it so far (RFC 5293).

use message::header::Header;
use message::text::decode_words;

/// Fields that show the way of a message: nobody takes them away (RFC 5293 §6).
const PROTECTED: [&str; 5] = ["Received", "Auto-Submitted", "Return-Path", "Delivered-To", "Message-ID"];

pub(super) struct Fields {
    list: Vec<Field>,
    edited: bool,
    changed: bool,
}

struct Field {
    name: String,
    /// All of it, with its line ends.
    octets: Vec<u8>,
}

impl Field {
    fn value(&self) -> &[u8] {
        let colon = memchr::memchr(b':', &self.octets).map_or(self.octets.len(), |at| at + 1);
        &self.octets[colon..]
    }
}

impl Fields {
    pub(super) fn of(header: &[u8]) -> Self {
        let fields = Header::alone(header).fields();
        let list = fields.map(|field| Field {
            name: String::from_utf8_lossy(field.name()).into_owned(),
            octets: field.bytes().to_vec(),
        });
        Self { list: list.collect(), edited: false, changed: false }
    }

    /// What stands in the fields of a name, undecoded.
    pub(super) fn raw<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a [u8]> + 'a {
        self.list.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(Field::value)
    }

    /// The same as text (RFC 5228 §2.7.2: encoded words are decoded, white space at the ends goes).
    pub(super) fn values(&self, name: &str) -> Vec<String> {
        self.raw(name).map(|value| decode_words(value).trim().to_owned()).collect()
    }

    /// Octets of all.
    pub(super) fn len(&self) -> usize {
        self.list.iter().map(|field| field.octets.len() + 1).sum()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).next().is_some()
    }

    pub(super) const fn is_edited(&self) -> bool {
        self.edited
    }

    /// The header, if it changed since it was last asked for.
    pub(super) fn take_changed(&mut self) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let mut header: Vec<u8> = self.list.iter().flat_map(|field| field.octets.iter().copied()).collect();
        header.extend_from_slice(b"\r\n");
        Some(header)
    }

    /// Adds a field on top, or below all others.
    pub(super) fn add(&mut self, name: &str, value: &str, last: bool) {
        let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let value = message::compose::unstructured(value.trim(), name.len() + 2);
        let field = Field { name: name.to_owned(), octets: format!("{name}: {value}\r\n").into_bytes() };
        if last {
            self.list.push(field);
        } else {
            self.list.insert(0, field);
        }
        (self.edited, self.changed) = (true, true);
    }

    /// Whether a field of this name may be taken away.
    pub(super) fn is_protected(name: &str) -> bool {
        PROTECTED.iter().any(|one| one.eq_ignore_ascii_case(name))
    }

    /// Takes away those fields of a name whose numbers, from 0, are given.
    pub(super) fn remove(&mut self, name: &str, numbers: &[usize]) {
        let (before, mut at) = (self.list.len(), 0);
        self.list.retain(|field| {
            if !field.name.eq_ignore_ascii_case(name) {
                return true;
            }
            at += 1;
            !numbers.contains(&(at - 1))
        });
        if self.list.len() != before {
            (self.edited, self.changed) = (true, true);
        }
    }
}
