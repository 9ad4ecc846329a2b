//! ManageSieve (RFC 5804), the server's side: how clients put, read and choose the filters of an account.
//!
//! Does: read commands ([`command`]), log in, and say what is to be asked of the store ([`Engine`]). Does not: compile or keep scripts.

mod command;
mod engine;
#[cfg(test)]
mod tests;

pub use command::{Argument, Command, CommandReader, Read};
pub use engine::{Answer, Engine, LoginFailure, Question, Refusal, Settings, Step, Work};
