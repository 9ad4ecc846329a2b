//! A message while filters change it: its fields in memory, its body where it lies, and how both are written anew.

use bytes::Bytes;
use mail::limits;
use message::header::{Header, HeaderEnd};
use store::{Stage, Store, StoreError, StoreResult};

/// A field by its name and how its value begins, both in any case: `X-Spam: Yes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRule {
    name: String,
    value: String,
}

/// As rspamd marks what it takes for junk.
impl Default for FieldRule {
    fn default() -> Self {
        Self { name: "X-Spam".to_owned(), value: "Yes".to_owned() }
    }
}

impl FieldRule {
    /// From `Name: value`; none: that is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, value) = text.split_once(':')?;
        let (name, value) = (name.trim(), value.trim());
        let is_good = is_name(name.as_bytes()) && !value.is_empty() && !value.contains(['\r', '\n']);
        is_good.then(|| Self { name: name.to_owned(), value: value.to_owned() })
    }

    pub(super) fn fits(&self, name: &[u8], value: &[u8]) -> bool {
        let begins = value.trim_ascii_start().get(..self.value.len());
        name.eq_ignore_ascii_case(self.name.as_bytes())
            && begins.is_some_and(|begins| begins.eq_ignore_ascii_case(self.value.as_bytes()))
    }
}

impl std::fmt::Display for FieldRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.value)
    }
}

/// A message that filters have changed.
pub struct Changed {
    /// All of it, under our own trace fields as before.
    pub stage: Box<dyn Stage>,
    /// Its Message-ID now.
    pub message_id: Option<String>,
    /// Some of it is above 127.
    pub eight_bit: bool,
}

/// RFC 5322 §3.6.8 `field-name`.
pub(super) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|b| b.is_ascii_graphic() && *b != b':')
}

/// A message whose end has come, and that nobody has answered for.
pub(super) struct Content<'a> {
    store: &'a dyn Store,
    original: &'a mut dyn Stage,
    /// Our own trace fields, which no filter sees or changes.
    ours: u64,
    /// Each whole, with its line end.
    pub(super) fields: Vec<Vec<u8>>,
    /// Where the body begins in what came.
    body_at: u64,
    replaced: Option<Replaced>,
    changed: bool,
    eight_bit: bool,
}

/// Another body.
struct Replaced {
    stage: Box<dyn Stage>,
    last: u8,
}

impl<'a> Content<'a> {
    pub(super) async fn of(store: &'a dyn Store, original: &'a mut dyn Stage, ours: u64) -> StoreResult<Self> {
        let (mut header, mut end, mut whole) = (Vec::new(), HeaderEnd::default(), None);
        // A header without an end ends here, as it did when it came.
        while whole.is_none() && header.len() < limits::HEADER_LEN {
            let at = ours + header.len() as u64;
            let piece = original.read(at..original.len()).await?;
            if piece.is_empty() {
                break;
            }
            whole = end.push(&piece);
            header.extend_from_slice(&piece);
        }
        if let Some(whole) = whole {
            header.truncate(usize::try_from(whole).unwrap_or(usize::MAX));
        }
        let body_at = ours + header.len() as u64;
        let fields = Header::alone(&header).fields().map(|field| field.bytes().to_vec()).collect();
        Ok(Self { store, original, ours, fields, body_at, replaced: None, changed: false, eight_bit: false })
    }

    /// A piece of the body as it is now; empty: its end.
    pub(super) async fn body(&mut self, at: u64) -> StoreResult<Bytes> {
        match &mut self.replaced {
            None => {
                let (at, end) = (self.body_at + at, self.original.len());
                self.original.read(at.min(end)..end).await
            }
            Some(Replaced { stage, .. }) => {
                let end = stage.len();
                stage.read(at.min(end)..end).await
            }
        }
    }

    /// Adds a field at a place; behind the last: at the end.
    pub(super) fn insert(&mut self, place: usize, name: &[u8], value: &[u8], has_space: bool) {
        let place = place.min(self.fields.len());
        self.fields.insert(place, field(name, value, has_space));
        self.changed = true;
    }

    /// The n-th field of a name gets another value, or goes; where there is none, one is added. Gives back what was done.
    pub(super) fn change(&mut self, n: usize, name: &[u8], value: &[u8], has_space: bool) -> &'static str {
        let is_named = |field: &Vec<u8>| {
            let header = Header::alone(field);
            header.fields().next().is_some_and(|field| field.name().eq_ignore_ascii_case(name))
        };
        let place = (0..self.fields.len()).filter(|at| is_named(&self.fields[*at])).nth(n.saturating_sub(1));
        self.changed |= place.is_some();
        match (place, value.is_empty()) {
            (Some(place), true) => {
                self.fields.remove(place);
                "takes away"
            }
            (Some(place), false) => {
                self.fields[place] = field(name, value, has_space);
                "changes"
            }
            (None, true) => "finds no",
            (None, false) => {
                self.insert(usize::MAX, name, value, has_space);
                "adds"
            }
        }
    }

    /// A new body begins: what the filter before wrote is gone.
    pub(super) async fn begin_body(&mut self) -> StoreResult<()> {
        self.replaced = Some(Replaced { stage: self.store.stage(None).await?, last: 0 });
        self.changed = true;
        Ok(())
    }

    /// The next piece of the new body. RFC 5321 §2.3.8: what stands alone of CR and LF gets the other.
    pub(super) async fn write_body(&mut self, piece: &[u8]) -> StoreResult<()> {
        let Some(Replaced { stage, last }) = &mut self.replaced else { return Ok(()) };
        let mut lines = Vec::with_capacity(piece.len());
        for byte in piece {
            match (*last, *byte) {
                (b'\r', b'\n') => {}
                (b'\r', _) => lines.push(b'\n'),
                (_, b'\n') => lines.push(b'\r'),
                _ => {}
            }
            lines.push(*byte);
            *last = *byte;
        }
        self.eight_bit |= !lines.is_ascii();
        stage.write(&lines).await
    }

    /// The new body is whole.
    pub(super) async fn end_body(&mut self) -> StoreResult<()> {
        match &mut self.replaced {
            Some(Replaced { stage, last: last @ b'\r' }) => {
                *last = b'\n';
                stage.write(b"\n").await
            }
            _ => Ok(()),
        }
    }

    /// The message as it is now, where something has changed.
    pub(super) async fn finish(mut self) -> StoreResult<Option<Changed>> {
        if !self.changed {
            return Ok(None);
        }
        let mut new = self.store.stage(Some(self.original.len())).await?;
        let mut at = 0;
        while at < self.ours {
            let piece = self.original.read(at..self.ours).await?;
            if piece.is_empty() {
                return Err(StoreError::Failed("a message can't be read back whole".into()));
            }
            at += piece.len() as u64;
            new.write(&piece).await?;
        }
        let mut header = self.fields.concat();
        header.extend_from_slice(b"\r\n");
        new.write(&header).await?;
        let mut at = 0;
        loop {
            let piece = self.body(at).await?;
            if piece.is_empty() {
                let message_id = Header::alone(&header).message_id();
                return Ok(Some(Changed { stage: new, message_id, eight_bit: self.eight_bit || !header.is_ascii() }));
            }
            at += piece.len() as u64;
            new.write(&piece).await?;
        }
    }
}

/// A field, folded as the filter folded it; no line of a value is a field, or the header's end.
fn field(name: &[u8], value: &[u8], has_space: bool) -> Vec<u8> {
    let mut out = [name, if has_space { b":" } else { b": " }].concat();
    let lines = value.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    for (number, line) in lines.filter(|line| !line.trim_ascii().is_empty()).enumerate() {
        if number > 0 {
            out.extend_from_slice(b"\r\n");
            if !matches!(line.first(), Some(b' ' | b'\t')) {
                out.push(b'\t');
            }
        }
        out.extend(line.iter().copied().filter(|b| !matches!(b, b'\r' | 0)));
    }
    out.extend_from_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_ends_its_field() {
        let of = |value: &str| String::from_utf8(field(b"X", value.as_bytes(), false)).unwrap();
        assert_eq!(of("a"), "X: a\r\n");
        assert_eq!(of("a\n\tb"), "X: a\r\n\tb\r\n");
        assert_eq!(of("a\r\nBcc: b\r\n\r\nbody"), "X: a\r\n\tBcc: b\r\n\tbody\r\n");
        assert_eq!(of("a\rb\0"), "X: ab\r\n");
        assert_eq!(field(b"X", b" a", true), b"X: a\r\n");
    }

    #[test]
    fn rules_fit_in_any_case() {
        let rule = FieldRule::parse("X-Spam: Yes").unwrap();
        assert!(rule.fits(b"x-spam", b" YES, score=17"));
        assert!(!rule.fits(b"X-Spam", b"No") && !rule.fits(b"X-Spam-Status", b"Yes") && !rule.fits(b"X-Spam", b"Ye"));
        for bad in ["X-Spam", "X-Spam:", ": Yes", "X Spam: Yes"] {
            assert_eq!(FieldRule::parse(bad), None, "{bad}");
        }
    }
}
