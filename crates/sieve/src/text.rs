//! Strings of a script: with `encoded-character` decoded (RFC 5228 §2.4.2.4), and variables in their places (RFC 5229 §3).

use crate::lexer::{CompileError, Position};
use crate::script::Name;

/// A string whose variables have their values only in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Words(String),
    Variable(Name),
    /// `${1}`
    Matched(usize),
}

impl Text {
    pub(crate) fn constant(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Words(words)] => Some(words),
            _ => None,
        }
    }
}

impl From<String> for Text {
    fn from(words: String) -> Self {
        Self(vec![Piece::Words(words)])
    }
}

/// A string with its variables found.
pub(crate) fn with_variables(text: &str, at: Position, is_global_known: bool) -> Result<Text, CompileError> {
    let mut pieces = Vec::new();
    let mut words = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        words.push_str(&rest[..start]);
        let inner = &rest[start + 2..];
        let name = inner.split('}').next().filter(|name| name.len() < inner.len());
        // RFC 5229 §3: what is no variable-ref stands for itself.
        let Some(piece) = name.map(|name| reference(name, at, is_global_known)).transpose()?.flatten() else {
            words.push_str("${");
            rest = inner;
            continue;
        };
        if !words.is_empty() {
            pieces.push(Piece::Words(std::mem::take(&mut words)));
        }
        pieces.push(piece);
        rest = &inner[name.map_or(0, str::len) + 1..];
    }
    words.push_str(rest);
    if !words.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Words(words));
    }
    Ok(Text(pieces))
}

/// `variable-name = num-variable / namespace sub-namespace / identifier`
fn reference(name: &str, at: Position, is_global_known: bool) -> Result<Option<Piece>, CompileError> {
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(Some(Piece::Matched(name.parse().unwrap_or(usize::MAX))));
    }
    variable(name, at, is_global_known).map(|name| name.map(Piece::Variable))
}

/// A variable's name; `None` where it is none. RFC 5229 §3: an unknown namespace is an error.
pub(crate) fn variable(name: &str, at: Position, is_global_known: bool) -> Result<Option<Name>, CompileError> {
    let mut parts = name.split('.');
    let first = parts.next().unwrap_or_default();
    if !is_identifier(first) || !name.split('.').skip(1).all(is_identifier) {
        return Ok(None);
    }
    let rest: Vec<&str> = parts.collect();
    match (first.eq_ignore_ascii_case("global"), rest.as_slice()) {
        (_, []) => Ok(Some(Name::Local(first.to_ascii_lowercase()))),
        (true, [name]) if is_global_known => Ok(Some(Name::Global(name.to_ascii_lowercase()))),
        _ => {
            let words = format!("there are no variables “{first}.…” here; “global.…” needs require \"include\"");
            Err(CompileError::new(at, words))
        }
    }
}

pub(crate) fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `${hex: 24 7b}` and `${unicode: 40}` as the characters that they are; what is neither stands for itself.
pub(crate) fn decode_characters(text: &str, at: Position) -> Result<String, CompileError> {
    let mut out: Vec<u8> = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        out.extend_from_slice(&rest.as_bytes()[..start]);
        let inner = &rest[start + 2..];
        let whole = inner.split_once('}').and_then(|(inside, after)| {
            let (kind, digits) = inside.split_once(':')?;
            let numbers = digits.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty());
            let numbers: Vec<u32> = numbers
                .map(|word| if word.len() <= 8 { u32::from_str_radix(word, 16).ok() } else { None })
                .collect::<Option<_>>()?;
            // `from_str_radix` takes a sign.
            let is_hex = !numbers.is_empty() && !digits.contains('+');
            is_hex.then(|| (kind.to_ascii_lowercase(), numbers, after))
        });
        match whole {
            Some((kind, numbers, after)) if kind == "hex" && numbers.iter().all(|n| *n < 256) => {
                out.extend(numbers.iter().filter_map(|n| u8::try_from(*n).ok()));
                rest = after;
            }
            Some((kind, numbers, after)) if kind == "unicode" => {
                for number in numbers {
                    let Some(c) = char::from_u32(number) else {
                        return Err(CompileError::new(at, format!("{number:x} is no character of Unicode")));
                    };
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                rest = after;
            }
            _ => {
                out.extend_from_slice(b"${");
                rest = inner;
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8(out)
        .map_err(|_| CompileError::new(at, "the octets of ${hex:…} in this string make no text in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_decoded() {
        let decode = |text| decode_characters(text, Position::default());
        // RFC 5228 §2.4.2.4's own examples.
        assert_eq!(decode("$${hex:40}").as_deref(), Ok("$@"));
        assert_eq!(decode("${hex: 40 }").as_deref(), Ok("@"));
        assert_eq!(decode("${HEX: 40}").as_deref(), Ok("@"));
        assert_eq!(decode("${hex:40").as_deref(), Ok("${hex:40"));
        assert_eq!(decode("${hex:400}").as_deref(), Ok("${hex:400}"));
        assert_eq!(decode("${hex:4${hex:30}}").as_deref(), Ok("${hex:40}"));
        assert_eq!(decode("${unicode:40}").as_deref(), Ok("@"));
        assert_eq!(decode("${ unicode:40}").as_deref(), Ok("${ unicode:40}"));
        assert_eq!(decode("${UNICODE:40}").as_deref(), Ok("@"));
        assert_eq!(decode("${UnICoDE:0000040}").as_deref(), Ok("@"));
        assert_eq!(decode("${Unicode:Cool}").as_deref(), Ok("${Unicode:Cool}"));
        assert!(decode("${unicode:200000}").is_err() && decode("${unicode:D800}").is_err());
        assert!(decode("${hex:ff}").is_err());
    }

    #[test]
    fn variables_are_found() {
        let of = |text| with_variables(text, Position::default(), true).unwrap().0;
        let local = |name: &str| Piece::Variable(Name::Local(name.into()));
        let words = |text: &str| Piece::Words(text.into());
        assert_eq!(of("&%${}!"), [words("&%${}!")]);
        assert_eq!(of("${doh!}"), [words("${doh!}")]);
        assert_eq!(of("${BaD ${a}"), [words("${BaD "), local("a")]);
        assert_eq!(
            of("a${President}b${1}${global.x}"),
            [words("a"), local("president"), words("b"), Piece::Matched(1), Piece::Variable(Name::Global("x".into()))]
        );
        assert!(with_variables("${fileinto.x}", Position::default(), true).is_err());
    }
}
