//! JSON as requests have it: bounded in depth, and no name twice in an object (RFC 7493 §2.3).

use std::cell::Cell;
use std::fmt;

use mail::limits;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::problem::Problem;

/// A value out of octets, unless it is not I-JSON, too deep, or of too many values: small ones take a hundred times as much memory
/// as they have octets.
pub(crate) fn parse(octets: &[u8]) -> Result<Value, Problem> {
    let left = Cell::new(limits::JMAP_VALUES);
    let mut reader = serde_json::Deserializer::from_slice(octets);
    let value = Strict { depth: limits::JMAP_DEPTH, left: &left }.deserialize(&mut reader);
    match value.and_then(|value| reader.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(_) if left.get() == 0 => Err(Problem::Limit("maxSizeRequest")),
        Err(_) => Err(Problem::NotJson),
    }
}

/// So many levels may be within, and so many values are left.
#[derive(Clone, Copy)]
struct Strict<'l> {
    depth: usize,
    left: &'l Cell<usize>,
}

impl Strict<'_> {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("too deep"))?;
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        self.left.set(left);
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(inner)?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `JMAP_DEPTH`: as deep, and one level deeper.
    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(parse(&nested(limits::JMAP_DEPTH)).is_ok());
        assert!(parse(&nested(limits::JMAP_DEPTH + 1)).is_err());
        assert!(parse(&nested(1_000_000)).is_err() && parse(&vec![b'['; 1_000_000]).is_err());
        assert!(parse("{\"a\":".repeat(100_000).as_bytes()).is_err());
    }

    /// `JMAP_VALUES`: so many, and one more.
    #[test]
    fn values_are_bounded() {
        let many = |count: usize| format!("[{}0]", "{},".repeat(count - 2));
        assert!(parse(many(limits::JMAP_VALUES).as_bytes()).is_ok());
        let refused = parse(many(limits::JMAP_VALUES + 1).as_bytes());
        assert_eq!(refused, Err(Problem::Limit("maxSizeRequest")));
        assert_eq!(parse(b"[0,"), Err(Problem::NotJson));
    }

    #[test]
    fn names_stand_once() {
        assert!(parse(br#"{"a":1,"b":{"a":2}}"#).is_ok());
        for bad in [&br#"{"a":1,"a":1}"#[..], br#"[{"a":1,"\u0061":1}]"#, b"{} x", b"", b"\xff", br#""\ud800""#] {
            assert!(parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn never_panics(octets in proptest::collection::vec(any::<u8>(), 0..80), text in "[\\[\\]{}:,\"0-9.a-z\\\\-]{0,60}") {
            let _ = (parse(&octets), parse(text.as_bytes()));
        }
    }
}
