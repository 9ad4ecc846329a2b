//! Why a script did what it did, line by line.

use mail::limits;

/// What was tested and done, in the order in which it happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation(pub(crate) Vec<Line>);

/// One test or command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The script's name.
    pub script: String,
    /// Its line.
    pub line: u32,
    /// How deep within other tests and blocks.
    pub depth: usize,
    /// Of a test: whether it was true.
    pub truth: Option<bool>,
    /// Why, or what was done.
    pub words: String,
}

impl Explanation {
    /// The lines.
    pub fn lines(&self) -> &[Line] {
        &self.0
    }

    pub(crate) fn push(&mut self, line: Line) {
        if self.0.len() < limits::SIEVE_EXPLANATION {
            self.0.push(line);
        }
    }
}
