//! What the checks ask DNS, and what it said. Does: keep answers for the length of one check. Does not: ask.

use std::collections::HashMap;
use std::net::IpAddr;

/// A question. Names are in lower case, without a final dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// TXT records.
    Txt(String),
    /// A records.
    V4(String),
    /// AAAA records.
    V6(String),
    /// The hosts of MX records.
    Mx(String),
    /// The names of an address.
    Ptr(IpAddr),
}

/// What DNS said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// TXT records, each with its strings joined.
    Txt(Vec<Vec<u8>>),
    /// Addresses.
    Addresses(Vec<IpAddr>),
    /// Names of hosts: of MX records by preference, or of an address.
    Names(Vec<String>),
    /// The name has no such record.
    Nothing,
    /// There is no such name.
    NoName,
    /// Nobody knows now.
    Failed,
}

/// What must be known before a check can end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(pub Vec<Question>);

/// What a check gives: a result, or what it must know first.
pub type Known<T> = Result<T, Missing>;

/// What DNS has said so far.
#[derive(Clone, Debug, Default)]
pub struct Answers(HashMap<Question, Said>);

impl Answers {
    /// Keeps an answer.
    pub fn put(&mut self, question: Question, said: Said) {
        self.0.insert(question, said);
    }

    /// The answer.
    pub(crate) fn get(&self, question: Question) -> Known<&Said> {
        match self.0.get(&question) {
            Some(said) => Ok(said),
            None => Err(Missing(vec![question])),
        }
    }

    /// Those of these questions that have no answer, all at once, so that they can be asked side by side.
    pub(crate) fn all(&self, questions: impl IntoIterator<Item = Question>) -> Known<()> {
        let mut missing: Vec<Question> = Vec::new();
        for question in questions {
            if !self.0.contains_key(&question) && !missing.contains(&question) {
                missing.push(question);
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(Missing(missing)) }
    }
}

/// Whether DNS can be asked for it: several labels of 1 to 63 letters, digits, hyphens and underscores, at most 253 octets in
/// all. What can't be asked has no answer for good: taken for a failure of DNS it would let a forger make a policy unsure.
pub(crate) fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        (1..=63).contains(&label.len()) && !label.starts_with('-') && label.bytes().all(plain)
    };
    name.len() <= mail::limits::DOMAIN_LEN && name.contains('.') && name.split('.').all(is_label)
}

/// Lower case, no final dot.
pub(crate) fn folded(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
