//! Sieve (RFC 5228): what an account's owner wants done with each message that comes.
//!
//! **Does:** compiles a script ([`Script::compile`]), with line, column and a sentence where it is wrong, and runs it on a
//! message ([`run`]): the answer is a list of actions and, where asked for, an explanation, test by test.
//! The extensions are in [`CAPABILITIES`].
//!
//! **Does not:** do any of these actions, look anything up, or know the time: mailboxes, envelope and clock come in as a
//! [`World`]. What only the store can say (was this message here before? what does the script say that is included?) comes out as
//! a [`Question`]; whoever can answer puts the answer into the world and runs the script again. So a run is a function of its arguments,
//! and every run ends: steps, octets that are looked at, variables and actions are counted (`mail::limits`, `SIEVE_…`).
//!
//! **Data** comes in as the script's text and the octets of a message, and goes out as an [`Outcome`].
//!
//! The way: [`lexer`](self) → [`parse`](self) (any command of any extension) → [`compile`](self) (what it means) → [`run`].
//! Left out on purpose: `regex` (an expired draft, and a way to be kept busy), `extlists`, `mime` and `foreverypart`.

mod capability;
mod compare;
mod compile;
mod explain;
mod lexer;
mod message;
mod outcome;
mod parse;
mod run;
mod script;
mod text;
mod uri;
mod world;

pub use capability::{CAPABILITIES, NOTIFY_METHODS};
pub use explain::{Explanation, Line};
pub use lexer::{CompileError, Position};
pub use message::{Message, Octets, Shown};
pub use outcome::{Action, Done, Notice, Outcome, Vacation};
pub use run::run;
pub use script::{Location, Script};
pub use uri::Mailto;
pub use world::{Included, Mailbox, Question, Seen, World};
