//! What a method answers where it can't do what it was asked (RFC 8620 §3.6.2), and what is said of one object (§5.3).

use serde_json::{Map, Value, json};
use store::StoreError;

/// An error of a method call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MethodError {
    kind: &'static str,
    description: Option<String>,
}

/// What a method answers.
pub(crate) type Answer<T = Value> = Result<T, MethodError>;

impl MethodError {
    pub(crate) const fn new(kind: &'static str) -> Self {
        Self { kind, description: None }
    }

    pub(crate) fn with(kind: &'static str, description: impl Into<String>) -> Self {
        Self { kind, description: Some(description.into()) }
    }

    /// RFC 8620 §3.6.2: an argument is of the wrong type, or otherwise invalid, or a required one is missing.
    pub(crate) fn arguments(description: impl Into<String>) -> Self {
        Self::with("invalidArguments", description)
    }

    pub(crate) fn value(&self) -> Value {
        let mut value = json!({ "type": self.kind });
        if let Some(description) = &self.description {
            value["description"] = description.as_str().into();
        }
        value
    }
}

/// RFC 8620 §3.6.2: what the store can't do now may be tried again; what it can't do at all is its own fault.
impl From<StoreError> for MethodError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Poisoned(_) | StoreError::DiskFull | StoreError::Busy | StoreError::InUse => {
                Self::with("serverUnavailable", error.to_string())
            }
            StoreError::Forbidden => Self::new("forbidden"),
            StoreError::MailboxGone(_) => Self::with("serverUnavailable", "a mailbox went meanwhile, try again"),
            error => {
                tracing::warn!(%error, "a JMAP method failed");
                Self::with("serverFail", error.to_string())
            }
        }
    }
}

/// Why one object was not made, changed or destroyed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SetError {
    kind: &'static str,
    more: Map<String, Value>,
}

impl SetError {
    pub(crate) fn new(kind: &'static str) -> Self {
        Self { kind, more: Map::new() }
    }

    pub(crate) fn with(kind: &'static str, description: impl Into<String>) -> Self {
        Self::new(kind).and("description", description.into())
    }

    /// RFC 8620 §5.3: the properties that are at fault.
    pub(crate) fn properties(names: &[&str], description: impl Into<String>) -> Self {
        Self::with("invalidProperties", description).and("properties", names)
    }

    #[must_use]
    pub(crate) fn and(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn value(&self) -> Value {
        let mut map = self.more.clone();
        map.insert("type".into(), self.kind.into());
        Value::Object(map)
    }
}

impl From<StoreError> for SetError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::OverQuota(_) => Self::new("overQuota"),
            StoreError::Forbidden => Self::new("forbidden"),
            StoreError::NotFound(_) | StoreError::NoMailbox(_) | StoreError::MailboxGone(_) => Self::new("notFound"),
            StoreError::Limit("KEYWORDS_PER_MAILBOX") => Self::new("tooManyKeywords"),
            StoreError::Limit(which) => Self::with("tooLarge", format!("over the limit {which}")),
            StoreError::BadMailboxName(why) => Self::properties(&["name"], why),
            StoreError::Exists(_) => Self::properties(&["name"], "there is one of that name"),
            error => {
                tracing::warn!(%error, "a change by JMAP failed");
                Self::with("serverFail", error.to_string())
            }
        }
    }
}
