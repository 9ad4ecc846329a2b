//! For tests only: readable dialogues run against anything that talks, and whole systems on free ports.
//!
//! **Does:** [`transcript`] reads the `C:`/`S:` files of `tests/transcripts` and runs each against a
//! [`transcript::Subject`] whole, byte by byte and at random cuts. [`socket`] is the subject that is a
//! real connection, plain or TLS; [`authority`] makes its certificates. [`authenticator`] is a device with a passkey. [`random`] is the seeded source of every
//! cut, printed on failure.
//! [`program`] is the real program in a temporary folder on free ports; it ends by asking the program to
//! check its own store, so that no test can forget the invariants. [`allocation`] counts what code allocates: how
//! tests say that something is bounded, without a clock.
//!
//! **Does not:** know what a right answer is; that stands in the transcripts and tests.
//!
//! **Data** comes in as transcript files and as bytes from subjects; it leaves as panics that a person
//! can read: which file, which line, what was expected, what came, and under which cut.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "for tests: a panic is the report")]

pub mod allocation;
pub mod authenticator;
pub mod authority;
pub mod program;
pub mod random;
pub mod socket;
pub mod transcript;
