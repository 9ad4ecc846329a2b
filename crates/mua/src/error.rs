//! Errors as sentences: what failed, on what, what to do.

use std::fmt;

/// What every operation answers.
pub type MuaResult<T> = Result<T, MuaError>;

/// A sentence for the person at the terminal. A server's words in it are safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MuaError(String);

impl MuaError {
    /// From a sentence; whatever a stranger could have put in is made safe.
    pub fn new(sentence: impl AsRef<str>) -> Self {
        Self(crate::safe_text(sentence.as_ref()))
    }
}

impl fmt::Display for MuaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MuaError {}

impl From<wire::sasl::Failure> for MuaError {
    fn from(failure: wire::sasl::Failure) -> Self {
        Self::new(format!("the log-in failed on our side: {failure}"))
    }
}
