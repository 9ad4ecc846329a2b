//! Reading TOML with line numbers: what is wrong is collected, each with its line and its remedy.
//!
//! Does: walk a table by its known keys, and find keys that nobody knows. Does not: know any section; each has a
//! file of its own beside this one, made with [`section!`], which also gives docs/configuration.md its text.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use mail::{Address, Domain};
use server::listen::IpNetwork;
use toml::de::{DeTable, DeValue};

/// Something in a configuration that is wrong or unwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// In which line; none: about the whole.
    pub(crate) line: Option<usize>,
    /// Wrong, else advice.
    pub(crate) error: bool,
    /// What, and what to do.
    pub(crate) text: String,
}

/// Problems of one file.
pub(crate) struct Problems<'a> {
    text: &'a str,
    pub(crate) found: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, found: Vec::new() }
    }

    pub(crate) fn line(&self, at: &Range<usize>) -> usize {
        let end = at.start.min(self.text.len());
        1 + self.text.as_bytes()[..end].iter().filter(|byte| **byte == b'\n').count()
    }

    pub(crate) fn error(&mut self, at: &Range<usize>, text: impl Into<String>) {
        let line = Some(self.line(at));
        self.found.push(Problem { line, error: true, text: text.into() });
    }

    pub(crate) fn error_overall(&mut self, text: impl Into<String>) {
        self.found.push(Problem { line: None, error: true, text: text.into() });
    }

    pub(crate) fn advice(&mut self, text: impl Into<String>) {
        self.found.push(Problem { line: None, error: false, text: text.into() });
    }
}

/// A documented key, for docs/configuration.md.
#[allow(dead_code, reason = "docs/configuration.md is made of it, by a test")]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) default: String,
    pub(crate) doc: &'static str,
}

/// A value that a key may have.
pub(crate) trait Value: Sized {
    /// What it looks like, for error messages and the documentation.
    const KIND: &'static str;

    /// Reads it; the error says what is wrong with the value, as the end of a sentence.
    fn read(value: &DeValue<'_>) -> Result<Self, String>;

    /// As one would write it.
    fn show(&self) -> String;
}

/// Declares a section: a struct whose fields are its keys, their defaults and their documentation.
macro_rules! section {
    ($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr;)* }) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) struct $name { $($(#[doc = $doc])+ pub(crate) $key: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }

        impl $name {
            pub(crate) const KEYS: &'static [&'static str] = &[$(stringify!($key)),*];
            #[allow(dead_code, reason = "docs/configuration.md is made of it, by a test")]
            pub(crate) const ABOUT: &'static str = concat!($($about, "\n"),+);

            /// Reads what is there; the rest keeps its default. `more`: keys that somebody else reads.
            pub(crate) fn read(
                table: &toml::de::DeTable<'_>,
                path: &str,
                more: &[&str],
                problems: &mut $crate::config::read::Problems<'_>,
            ) -> Self {
                let mut section = Self::default();
                $(if let Some(value) = $crate::config::read::take(table, path, stringify!($key), problems) {
                    section.$key = value;
                })*
                let known: Vec<&str> = Self::KEYS.iter().chain(more).copied().collect();
                $crate::config::read::unknown_keys(table, path, &known, problems);
                section
            }

            /// Its keys, for the documentation.
            #[allow(dead_code, reason = "docs/configuration.md is made of it, by a test")]
            pub(crate) fn keys() -> Vec<$crate::config::read::Key> {
                let defaults = Self::default();
                vec![$($crate::config::read::Key {
                    name: stringify!($key),
                    kind: <$type as $crate::config::read::Value>::KIND,
                    default: $crate::config::read::Value::show(&defaults.$key),
                    doc: concat!($($doc, "\n"),+),
                }),*]
            }
        }
    };
}
pub(crate) use section;

/// `[listen] smtp`, or `hostname` at the top.
pub(crate) fn name_of(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("[{path}] {key}") }
}

/// Reads one key, if it is there.
pub(crate) fn take<T: Value>(table: &DeTable<'_>, path: &str, key: &str, problems: &mut Problems<'_>) -> Option<T> {
    let value = table.get(key)?;
    match T::read(value.get_ref()) {
        Ok(value) => Some(value),
        Err(why) => {
            problems.error(&value.span(), format!("{}: {why}", name_of(path, key)));
            None
        }
    }
}

/// Where a key's value stands.
pub(crate) fn place(table: &DeTable<'_>, key: &str) -> Range<usize> {
    table.get(key).map_or(0..0, toml::Spanned::span)
}

/// Reports keys that are not in `known`, each with the one that was meant, if there is one.
pub(crate) fn unknown_keys(table: &DeTable<'_>, path: &str, known: &[&str], problems: &mut Problems<'_>) {
    for key in table.keys() {
        let name: &str = key.get_ref();
        if known.contains(&name) {
            continue;
        }
        let remedy = match closest(name, known) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("remove it; known here are {}", known.join(", ")),
        };
        problems.error(&key.span(), format!("{}: unknown key; {remedy}", name_of(path, name)));
    }
}

/// The known name that differs least, if it differs little.
fn closest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let (distance, best) = known.iter().map(|known| (distance(name, known), *known)).min()?;
    (distance <= 1 + name.len() / 4).then_some(best)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

/// `a string "x"` and the like, for errors.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{text}\""),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        other => format!("{} {}", if other.is_array() { "an" } else { "a" }, other.type_str()),
    }
}

fn wrong<T: Value>(value: &DeValue<'_>) -> String {
    format!("{} is not allowed; write {}", shown(value), T::KIND)
}

macro_rules! text_value {
    ($type:ty, $kind:literal, $parse:expr, $show:expr) => {
        impl Value for $type {
            const KIND: &'static str = $kind;

            fn read(value: &DeValue<'_>) -> Result<Self, String> {
                let parse: fn(&str) -> Option<Self> = $parse;
                value.as_str().and_then(parse).ok_or_else(|| wrong::<Self>(value))
            }

            fn show(&self) -> String {
                let show: fn(&Self) -> String = $show;
                format!("\"{}\"", show(self))
            }
        }
    };
}

text_value!(String, "a text in quotes", |text| Some(text.to_owned()), Clone::clone);
text_value!(
    PathBuf,
    "a path in quotes, relative to this file",
    |text| (!text.is_empty()).then(|| text.into()),
    |path| path.display().to_string()
);
text_value!(
    SocketAddr,
    "an address and a port in quotes, like \"127.0.0.1:25\" or \"[::]:25\"",
    |text| text.parse().ok(),
    ToString::to_string
);
text_value!(
    std::net::IpAddr,
    "an address in quotes, like \"192.0.2.1\" or \"2001:db8::1\"",
    |text| text.parse().ok(),
    ToString::to_string
);
text_value!(
    IpNetwork,
    "an address or a network in quotes, like \"192.0.2.0/24\"",
    |text| text.parse().ok(),
    ToString::to_string
);
text_value!(
    Domain,
    "a domain in quotes, like \"example.org\"",
    |text| Domain::from_ascii(text).ok(),
    ToString::to_string
);
text_value!(
    Address,
    "an address in quotes, like \"you@example.org\"",
    |text| {
        let (local, domain) = text.rsplit_once('@')?;
        Address::new(local, Domain::from_ascii(domain).ok()?).ok()
    },
    ToString::to_string
);
text_value!(Duration, "a time in quotes: a number and s, m, h or d, like \"90s\" or \"5d\"", duration, |time| {
    let seconds = time.as_secs();
    match [(86_400, 'd'), (3600, 'h'), (60, 'm')].into_iter().find(|(unit, _)| seconds >= *unit && seconds % unit == 0)
    {
        Some((unit, letter)) => format!("{}{letter}", seconds / unit),
        None => format!("{seconds}s"),
    }
});

/// `90s`, `5d`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return millis.parse().ok().map(Duration::from_millis);
    }
    let unit = match text.bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3600,
        b'd' => 86_400,
        _ => return None,
    };
    text[..text.len() - 1].parse::<u64>().ok()?.checked_mul(unit).map(Duration::from_secs)
}

impl Value for bool {
    const KIND: &'static str = "true or false";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| wrong::<Self>(value))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

fn integer(value: &DeValue<'_>) -> Option<u64> {
    let number = value.as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

impl Value for u16 {
    const KIND: &'static str = "a port: a number from 1 to 65535";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let port = integer(value).and_then(|number| Self::try_from(number).ok()).filter(|port| *port != 0);
        port.ok_or_else(|| wrong::<Self>(value))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for usize {
    const KIND: &'static str = "a number from 1 up";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let number = integer(value).and_then(|number| Self::try_from(number).ok()).filter(|number| *number != 0);
        number.ok_or_else(|| wrong::<Self>(value))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// Octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl Value for Size {
    const KIND: &'static str = "a size: octets as a number, or a text like \"50MiB\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let size = integer(value).map(Self).or_else(|| value.as_str().and_then(size));
        size.filter(|size| size.0 > 0).ok_or_else(|| wrong::<Self>(value))
    }

    fn show(&self) -> String {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        match units.into_iter().find(|(bits, _)| self.0 >= 1 << bits && self.0.trailing_zeros() >= *bits) {
            Some((bits, unit)) => format!("\"{}{unit}\"", self.0 >> bits),
            None => self.0.to_string(),
        }
    }
}

/// `500`, `50MiB`, `2G`: units are powers of 1024.
pub(crate) fn size(text: &str) -> Option<Size> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let bits = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << bits).map(Size)
}

impl<T: Value> Value for Option<T> {
    const KIND: &'static str = T::KIND;

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        T::read(value).map(Some)
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "none".into(), T::show)
    }
}

impl<T: Value> Value for Vec<T> {
    const KIND: &'static str = T::KIND;

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let Some(items) = value.as_array() else {
            return Err(format!("{} is not allowed; write a list in brackets, each item {}", shown(value), T::KIND));
        };
        items.iter().map(|item| T::read(item.get_ref())).collect()
    }

    fn show(&self) -> String {
        format!("[{}]", self.iter().map(T::show).collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "{line}: ")?;
        }
        write!(f, "{}{}", if self.error { "" } else { "advice: " }, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_what_they_show() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("4h", 14_400), ("5d", 432_000)] {
            let value = duration(text).unwrap();
            assert_eq!(value.as_secs(), seconds);
            assert_eq!(value.show(), format!("\"{text}\""));
        }
        for bad in ["", "5", "s", "-1s", "1.5h", "99999999999999999999d", "é"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        assert_eq!(size("50MiB"), Some(Size(50 << 20)));
        assert_eq!(size("50MiB").unwrap().show(), "\"50MiB\"");
        assert_eq!(size("1000").unwrap().show(), "1000");
        for bad in ["x", "MiB", "1XB", "99999999999T"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_misspelt_key_finds_the_one_that_was_meant() {
        assert_eq!(closest("smpt", &["smtp", "imap"]), Some("smtp"));
        assert_eq!(closest("certificat", &["certificate", "key"]), Some("certificate"));
        assert_eq!(closest("colour", &["smtp", "imap"]), None);
    }
}
