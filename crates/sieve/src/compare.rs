//! Comparators (RFC 4790) and match types (RFC 5228 §2.7, RFC 5231).

use std::cmp::Ordering;

/// How characters are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparator {
    Octet,
    AsciiCasemap,
    AsciiNumeric,
    UnicodeCasemap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MatchType {
    Is,
    Contains,
    Matches,
    Value(Relation),
    Count(Relation),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Matching {
    pub(crate) comparator: Comparator,
    pub(crate) kind: MatchType,
}

/// How often a run may still look at a character. Whoever compares takes from it.
pub(crate) struct Work(pub(crate) u64);

/// Nothing is left.
pub(crate) struct TooMuch;

impl Work {
    pub(crate) fn take(&mut self, octets: usize) -> Result<(), TooMuch> {
        self.0 = self.0.checked_sub(octets as u64 + 1).ok_or(TooMuch)?;
        Ok(())
    }
}

impl Comparator {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "i;octet" => Self::Octet,
            "i;ascii-casemap" => Self::AsciiCasemap,
            "i;ascii-numeric" => Self::AsciiNumeric,
            "i;unicode-casemap" => Self::UnicodeCasemap,
            _ => return None,
        })
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Octet => "i;octet",
            Self::AsciiCasemap => "i;ascii-casemap",
            Self::AsciiNumeric => "i;ascii-numeric",
            Self::UnicodeCasemap => "i;unicode-casemap",
        }
    }

    fn folded(self, text: &str) -> String {
        match self {
            Self::Octet | Self::AsciiNumeric => text.to_owned(),
            // RFC 4790 §9.2: to upper case; that is where `_` sorts.
            Self::AsciiCasemap => text.to_ascii_uppercase(),
            Self::UnicodeCasemap => text.chars().map(fold_char).collect(),
        }
    }

    fn compare(self, a: &str, b: &str) -> Ordering {
        if self == Self::AsciiNumeric {
            return number(a).cmp(&number(b));
        }
        self.folded(a).as_bytes().cmp(self.folded(b).as_bytes())
    }

    fn same(self, a: char, b: char) -> bool {
        match self {
            Self::Octet | Self::AsciiNumeric => a == b,
            Self::AsciiCasemap => a.eq_ignore_ascii_case(&b),
            Self::UnicodeCasemap => fold_char(a) == fold_char(b),
        }
    }
}

/// RFC 5051 maps to title case and decomposes; one character for one, in lower case, is what of it matters here.
fn fold_char(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

/// RFC 4790 §9.1: the digits at the front, of any length; without one it is more than all numbers.
fn number(text: &str) -> (bool, usize, &str) {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 {
        return (true, 0, "");
    }
    let digits = text[..end].trim_start_matches('0');
    (false, digits.len(), digits)
}

impl Relation {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "gt" => Self::Greater,
            "ge" => Self::GreaterOrEqual,
            "lt" => Self::Less,
            "le" => Self::LessOrEqual,
            "eq" => Self::Equal,
            "ne" => Self::NotEqual,
            _ => return None,
        })
    }

    pub(crate) fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Greater => "is greater than",
            Self::GreaterOrEqual => "is not less than",
            Self::Less => "is less than",
            Self::LessOrEqual => "is not greater than",
            Self::Equal => "equals",
            Self::NotEqual => "does not equal",
        }
    }
}

impl Matching {
    /// Between a value and a key, for people.
    pub(crate) const fn words(self) -> &'static str {
        match self.kind {
            MatchType::Is => "is",
            MatchType::Contains => "contains",
            MatchType::Matches => "matches",
            MatchType::Value(relation) | MatchType::Count(relation) => relation.words(),
        }
    }

    /// How many there are, for `:count`.
    pub(crate) fn counts(self, count: usize, key: &str) -> bool {
        match self.kind {
            MatchType::Count(relation) => relation.holds(Comparator::AsciiNumeric.compare(&count.to_string(), key)),
            _ => false,
        }
    }

    /// Whether a value matches; with `:matches`, what its wildcards stand for, the whole value first (RFC 5229 §3.2).
    pub(crate) fn finds(self, value: &str, key: &str, work: &mut Work) -> Result<Option<Vec<String>>, TooMuch> {
        work.take(value.len() + key.len())?;
        let comparator = self.comparator;
        let found = match self.kind {
            MatchType::Is => comparator.compare(value, key).is_eq(),
            MatchType::Contains => {
                let (value, key) = (comparator.folded(value), comparator.folded(key));
                memchr::memmem::find(value.as_bytes(), key.as_bytes()).is_some()
            }
            MatchType::Value(relation) => relation.holds(comparator.compare(value, key)),
            MatchType::Matches => return glob(comparator, value, key, work),
            MatchType::Count(_) => false,
        };
        Ok(found.then(Vec::new))
    }
}

enum Wild {
    Exactly(char),
    One,
    Any,
}

/// `*` and `?`, each as short as can be (RFC 5229 §3.2), without recursion: only the last star is ever tried longer.
fn glob(comparator: Comparator, value: &str, key: &str, work: &mut Work) -> Result<Option<Vec<String>>, TooMuch> {
    let pattern = pattern(key);
    let text: Vec<char> = value.chars().collect();
    let (mut p, mut v) = (0, 0);
    let mut spans: Vec<(usize, usize)> = Vec::new();
    // Behind the last star in the pattern, and which span is its.
    let mut star: Option<(usize, usize)> = None;
    loop {
        work.take(0)?;
        match pattern.get(p) {
            None if v == text.len() => break,
            Some(Wild::Any) => {
                // Nothing behind it: it takes the rest.
                let end = if p + 1 == pattern.len() { text.len() } else { v };
                spans.push((v, end));
                star = Some((p + 1, spans.len() - 1));
                (p, v) = (p + 1, end);
                continue;
            }
            Some(Wild::One) if v < text.len() => {
                spans.push((v, v + 1));
                (p, v) = (p + 1, v + 1);
                continue;
            }
            Some(Wild::Exactly(c)) if text.get(v).is_some_and(|found| comparator.same(*found, *c)) => {
                (p, v) = (p + 1, v + 1);
                continue;
            }
            _ => {}
        }
        let Some((behind, which)) = star else { return Ok(None) };
        spans.truncate(which + 1);
        let Some((_, end)) = spans.last_mut().filter(|(_, end)| *end < text.len()) else { return Ok(None) };
        *end += 1;
        (p, v) = (behind, *end);
    }
    let piece = |(start, end): &(usize, usize)| text[*start..*end].iter().collect::<String>();
    Ok(Some(std::iter::once(value.to_owned()).chain(spans.iter().map(piece)).collect()))
}

fn pattern(key: &str) -> Vec<Wild> {
    let mut pattern = Vec::new();
    let mut chars = key.chars();
    while let Some(c) = chars.next() {
        pattern.push(match c {
            '*' => Wild::Any,
            '?' => Wild::One,
            '\\' => Wild::Exactly(chars.next().unwrap_or('\\')),
            c => Wild::Exactly(c),
        });
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(value: &str, key: &str) -> Option<Vec<String>> {
        let matching = Matching { comparator: Comparator::AsciiCasemap, kind: MatchType::Matches };
        matching.finds(value, key, &mut Work(1_000_000)).ok().unwrap()
    }

    #[test]
    fn wildcards() {
        assert_eq!(
            matches("[acme-users] [fwd] version 1.0 is out", "[*] *").unwrap()[1..],
            ["acme-users", "[fwd] version 1.0 is out"]
        );
        assert_eq!(matches("Frop", "f?O*").unwrap()[1..], ["r", "p"]);
        assert_eq!(
            matches("frop.......frop.........frop....", "?*frop*").unwrap()[1..],
            ["f", "rop.......", ".........frop...."]
        );
        assert!(matches("frop:frup:frop", "*:*:frup").is_none() && matches("", "?").is_none());
        assert!(matches("a*b", "a\\*b").is_some() && matches("axb", "a\\*b").is_none());
        assert_eq!(matches("", "*").unwrap()[1..], [""]);
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let less = |a, b| Comparator::AsciiNumeric.compare(a, b).is_lt();
        assert!(less("2", "10") && less("010", "11") && less("99999999999999999999999", "none"));
        assert!(
            Comparator::AsciiNumeric.compare("x", "y").is_eq() && Comparator::AsciiNumeric.compare("1a", "01").is_eq()
        );
    }

    proptest! {
        /// The loop agrees with the definition.
        #[test]
        fn globs_agree_with_a_naive_one(value in "[ab]{0,8}", key in "[ab*?]{0,6}") {
            fn naive(value: &[u8], key: &[u8]) -> bool {
                match key {
                    [] => value.is_empty(),
                    [b'*', rest @ ..] => (0..=value.len()).any(|n| naive(&value[n..], rest)),
                    [b'?', rest @ ..] => !value.is_empty() && naive(&value[1..], rest),
                    [c, rest @ ..] => value.first() == Some(c) && naive(&value[1..], rest),
                }
            }
            prop_assert_eq!(matches(&value, &key).is_some(), naive(value.as_bytes(), key.as_bytes()));
        }
    }
}
