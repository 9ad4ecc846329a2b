//! An IMAP server's answers as values (RFC 3501 §9 `response`, read liberally).

use mail::limits;

/// One element of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// NIL.
    Nil,
    /// A word, a number, a flag, `BODY[1]<0>`.
    Atom(Vec<u8>),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    /// Parentheses.
    List(Vec<Value>),
}

impl Value {
    /// Octets of a string or an atom; none of NIL and lists.
    pub(crate) fn octets(&self) -> Option<&[u8]> {
        match self {
            Self::Atom(octets) | Self::Text(octets) => Some(octets),
            Self::Nil | Self::List(_) => None,
        }
    }

    /// The elements of a list; none of anything else.
    pub(crate) fn list(&self) -> &[Self] {
        match self {
            Self::List(values) => values,
            _ => &[],
        }
    }

    /// Whether it is this word, in any case.
    pub(crate) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Atom(atom) if atom.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// As a number.
    pub(crate) fn number(&self) -> Option<u64> {
        std::str::from_utf8(self.octets()?).ok()?.parse().ok()
    }
}

/// The literal that a line announces at its end: `{123}` (also `{123+}` and literal8's `~{123}`).
pub(crate) fn literal_at_end(line: &[u8]) -> Option<u64> {
    let inner = line.strip_suffix(b"}")?;
    let open = inner.iter().rposition(|b| *b == b'{')?;
    let digits = &inner[open + 1..];
    std::str::from_utf8(digits.strip_suffix(b"+").unwrap_or(digits)).ok()?.parse().ok()
}

/// The values of an answer, literals in place after their `{n}` and CRLF. What is malformed ends the list.
pub(crate) fn parse(answer: &[u8]) -> Vec<Value> {
    let mut rest = answer;
    values(&mut rest, 0)
}

fn values(rest: &mut &[u8], depth: usize) -> Vec<Value> {
    let mut found = Vec::new();
    loop {
        match rest {
            [] => return found,
            [b' ', after @ ..] => *rest = after,
            [b')', after @ ..] => {
                *rest = after;
                return found;
            }
            [b'(', after @ ..] => {
                *rest = after;
                if depth >= limits::IMAP_NESTING {
                    *rest = &[];
                    return found;
                }
                found.push(Value::List(values(rest, depth + 1)));
            }
            [b'"', after @ ..] => {
                *rest = after;
                found.push(Value::Text(quoted(rest)));
            }
            [b'{', ..] | [b'~', b'{', ..] => match literal(rest) {
                Some(octets) => found.push(Value::Text(octets)),
                None => {
                    *rest = &[];
                    return found;
                }
            },
            _ => {
                let atom = atom(rest);
                found.push(if atom.eq_ignore_ascii_case(b"NIL") { Value::Nil } else { Value::Atom(atom.to_vec()) });
            }
        }
    }
}

fn quoted(rest: &mut &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    loop {
        match rest {
            [] => return text,
            [b'"', after @ ..] => {
                *rest = after;
                return text;
            }
            [b'\\', escaped, after @ ..] => {
                text.push(*escaped);
                *rest = after;
            }
            [octet, after @ ..] => {
                text.push(*octet);
                *rest = after;
            }
        }
    }
}

fn literal(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let line_end = rest.iter().position(|b| *b == b'\n')?;
    let head = rest[..line_end].strip_suffix(b"\r").unwrap_or(&rest[..line_end]);
    let length = usize::try_from(literal_at_end(head)?).ok()?;
    let octets = rest.get(line_end + 1..)?.get(..length)?;
    *rest = &rest[line_end + 1 + length..];
    Some(octets.to_vec())
}

/// An atom; what stands in brackets belongs to it: `BODY[HEADER.FIELDS (FROM)]`.
fn atom<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let mut brackets = 0usize;
    let end = rest.iter().position(|b| {
        match b {
            b'[' => brackets += 1,
            b']' => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        brackets == 0 && matches!(b, b' ' | b'(' | b')')
    });
    let (atom, after) = rest.split_at(end.unwrap_or(rest.len()));
    *rest = after;
    atom
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_values() {
        let answer = b"* 5 FETCH (UID 3 FLAGS (\\Seen) BODY[HEADER.FIELDS (FROM)] {4}\r\na\r\n) X NIL \"q\\\"\")";
        let values = parse(answer);
        assert_eq!(values[1].number(), Some(5));
        let items = values[3].list();
        assert!(items[4].octets() == Some(b"BODY[HEADER.FIELDS (FROM)]"), "{items:?}");
        assert_eq!(items[5], Value::Text(b"a\r\n)".to_vec()));
        assert_eq!(items[7], Value::Nil);
        assert_eq!(items[8], Value::Text(b"q\"".to_vec()));
    }

    #[test]
    fn nonsense_is_bounded() {
        for bad in ["(".repeat(100_000).as_str(), "{99999999999}\r\nx", "\"", "~{", ")))", "{5}\r\nab"] {
            parse(bad.as_bytes());
        }
    }
}
