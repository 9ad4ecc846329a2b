//! Arguments of a method, and members of an object, taken one by one; what is left over at the end is not known.

use serde_json::{Map, Value};

use crate::error::{Answer, MethodError};
use crate::ids;

/// Arguments by name.
#[derive(Debug, Default)]
pub(crate) struct Args(Map<String, Value>);

fn wrong(name: &str, what: &str) -> MethodError {
    MethodError::arguments(format!("{name} must be {what}"))
}

impl Args {
    pub(crate) const fn new(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// An object's members; `what` says whose.
    pub(crate) fn of(value: Value, what: &str) -> Answer<Self> {
        match value {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(wrong(what, "an object")),
        }
    }

    /// Whether it was given, be it null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// As it was given, left where it is.
    pub(crate) fn peek(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// As it was given; null counts as not given (RFC 8620 §3.6.2: a default stands for what is left out).
    pub(crate) fn value(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// Some of them as they were given, by which the same question is known again.
    pub(crate) fn words(&self, names: &[&str]) -> String {
        let values: Vec<Option<&Value>> = names.iter().map(|name| self.0.get(*name)).collect();
        serde_json::to_string(&values).unwrap_or_default()
    }

    pub(crate) fn string(&mut self, name: &str) -> Answer<Option<String>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "a string")),
        }
    }

    pub(crate) fn boolean(&mut self, name: &str) -> Answer<Option<bool>> {
        self.value(name).map(|value| value.as_bool().ok_or_else(|| wrong(name, "true or false"))).transpose()
    }

    /// RFC 8620 §1.3: UnsignedInt.
    pub(crate) fn unsigned(&mut self, name: &str) -> Answer<Option<u64>> {
        let is_safe = |number: &u64| *number < 1 << 53;
        let read = |value: Value| value.as_u64().filter(is_safe).ok_or_else(|| wrong(name, "an integer from 0"));
        self.value(name).map(read).transpose()
    }

    /// RFC 8620 §1.3: Int.
    pub(crate) fn integer(&mut self, name: &str) -> Answer<Option<i64>> {
        let is_safe = |number: &i64| number.unsigned_abs() < 1 << 53;
        let read = |value: Value| value.as_i64().filter(is_safe).ok_or_else(|| wrong(name, "an integer"));
        self.value(name).map(read).transpose()
    }

    /// RFC 8620 §1.2: Id.
    pub(crate) fn id(&mut self, name: &str) -> Answer<Option<String>> {
        match self.string(name)? {
            Some(id) if !ids::is_id(&id) => Err(wrong(name, "an id")),
            id => Ok(id),
        }
    }

    /// An id, or `#` before the id of something made in the same request (RFC 8620 §5.3).
    pub(crate) fn reference(&mut self, name: &str) -> Answer<Option<String>> {
        match self.string(name)? {
            Some(text) if !ids::is_id(text.strip_prefix('#').unwrap_or(&text)) => Err(wrong(name, "an id")),
            text => Ok(text),
        }
    }

    pub(crate) fn strings(&mut self, name: &str) -> Answer<Option<Vec<String>>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let Value::Array(items) = value else { return Err(wrong(name, "an array of strings")) };
        let text = |item: Value| match item {
            Value::String(text) => Ok(text),
            _ => Err(wrong(name, "an array of strings")),
        };
        items.into_iter().map(text).collect::<Answer<_>>().map(Some)
    }

    pub(crate) fn ids(&mut self, name: &str) -> Answer<Option<Vec<String>>> {
        let ids = self.strings(name)?;
        // `#` before the id of something made in the same request (RFC 8620 §5.3).
        let is_id = |text: &String| ids::is_id(text.strip_prefix('#').unwrap_or(text));
        if ids.iter().flatten().all(is_id) { Ok(ids) } else { Err(wrong(name, "an array of ids")) }
    }

    pub(crate) fn object(&mut self, name: &str) -> Answer<Option<Map<String, Value>>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(members)),
            Some(_) => Err(wrong(name, "an object")),
        }
    }

    /// What must be there.
    pub(crate) fn required<T>(name: &str, value: Option<T>) -> Answer<T> {
        value.ok_or_else(|| MethodError::arguments(format!("{name} is missing")))
    }

    /// RFC 8620 §3.6.2: an argument that is not known is invalid.
    pub(crate) fn finish(self) -> Answer<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(MethodError::arguments(format!("there is no {name} here"))),
        }
    }

    /// The names of what is left.
    pub(crate) fn left(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn into_members(self) -> Map<String, Value> {
        self.0
    }
}
