//! What everything that reads a stranger's bytes must do with any of them: end, stay in its bounds, and answer
//! alike however they are cut.
//!
//! Each function of [`TARGETS`] takes bytes and panics when the code under it does, or when one of its promises does
//! not hold. They run under libFuzzer (`fuzz_targets/`; `fuzz/run` does it) and, over the seeds and seeded mutations
//! of them, on stable in every `./test` (`tests/seeds.rs`). Seeds are the transcripts, the message corpus and `corpus/`.
//!
//! [`session`] are whole sessions: real commands on a real store in memory, from the greeting to the end.

#[allow(dead_code, unused_imports, missing_docs, clippy::all, reason = "the program's own file; the rest is used there")]
#[rustfmt::skip]
#[path = "../../crates/postrider/src/config/mod.rs"]
mod config;
#[allow(dead_code, clippy::all, reason = "likewise")]
#[rustfmt::skip]
#[path = "../../crates/mua/src/imap/value.rs"]
mod value;

mod bounce;
mod filters;
mod neighbours;
mod parsers;
mod passkey;
mod program;
pub mod seeds;
pub mod session;
mod store_log;

pub use filters::sieve;
pub use neighbours::{milter, proxy};
pub use parsers::{address, dot, imap, imap_url, line, message, pop3, smtp_client};
pub use passkey::passkey;
pub use program::{config, mua, report, sasl, zones};
pub use session::http::http_request;
pub use session::imap::imap_session;
pub use session::jmap::jmap_request;
pub use session::pop3::pop3_session;
pub use session::smtp_client::smtp_client_session;
pub use session::smtp_server::{smtp_server, smtp_session};
pub use store_log::log;

/// A target: its name, what it does with bytes, and folders of the repository that hold seeds besides `fuzz/corpus/NAME`.
pub type Target = (&'static str, fn(&[u8]), &'static [&'static str]);

/// All targets.
pub const TARGETS: &[Target] = &[
    ("address", address, &[]),
    ("config", config, &[]),
    ("dot", dot, &["tests/transcripts/smtp", "crates/message/tests/corpus"]),
    ("http_request", http_request, &["tests/transcripts/http"]),
    ("imap", imap, &["tests/transcripts/imap"]),
    ("imap_session", imap_session, &["tests/transcripts/imap"]),
    ("imap_url", imap_url, &[]),
    ("jmap_request", jmap_request, &["tests/transcripts/jmap"]),
    ("line", line, &["tests/transcripts/smtp", "tests/transcripts/pop3"]),
    ("log", log, &[]),
    ("message", message, &["crates/message/tests/corpus"]),
    ("milter", milter, &[]),
    ("mua", mua, &["tests/transcripts/imap"]),
    ("passkey", passkey, &[]),
    ("pop3", pop3, &["tests/transcripts/pop3"]),
    ("pop3_session", pop3_session, &["tests/transcripts/pop3"]),
    ("proxy", proxy, &[]),
    ("report", report, &[]),
    ("sasl", sasl, &[]),
    ("sieve", sieve, &[]),
    ("smtp_client", smtp_client, &["tests/transcripts/smtp"]),
    ("smtp_client_session", smtp_client_session, &["tests/transcripts/smtp"]),
    ("smtp_server", smtp_server, &["tests/transcripts/smtp"]),
    ("smtp_session", smtp_session, &["tests/transcripts/smtp"]),
    ("zones", zones, &[]),
];

/// Cuts of an input: whole, byte by byte, in thirds.
fn cuts(data: &[u8]) -> [Vec<&[u8]>; 3] {
    [vec![data], data.chunks(1).collect(), data.chunks(data.len() / 3 + 1).collect()]
}

/// All cuts give the same.
fn alike<T: PartialEq + std::fmt::Debug>(data: &[u8], run: impl Fn(&[&[u8]]) -> T) -> T {
    let [whole, bytes, thirds] = cuts(data).map(|pieces| run(&pieces));
    assert_eq!(whole, bytes);
    assert_eq!(whole, thirds);
    whole
}
