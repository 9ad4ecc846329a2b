//! RFC 5322 messages and MIME as a mail server needs them.
//!
//! **Does:** finds what is where in a message, to the byte: its header fields ([`header`]), its MIME parts by
//! IMAP section number ([`structure`]), its envelope as IMAP shows it ([`envelope`]). Reads and writes dates
//! ([`date`]), turns parts into text for people and for searching ([`text`]), undoes transfer encodings
//! piece by piece ([`transfer`]), reads the way that a message came ([`received`]), finds the base of a subject ([`subject`]) and composes messages ([`compose`]).
//!
//! **Does not:** do I/O, know the store, or judge a message: whatever the bytes are, every function answers;
//! broken MIME gives a poorer structure, never an error or a panic. Encoded words and RFC 2231 parameters
//! are left as they are wherever IMAP wants them so; only [`text`] and [`structure::Part::file_name`] decode.
//!
//! **Data** comes in as byte slices (a header, or a whole message in pieces through [`structure::Scanner`], which
//! holds no more than one header at a time) and goes out as ranges into the same bytes and as owned values.
//!
//! The scan is our own and not `mail-parser`'s because IMAP needs exact ranges and raw values where that
//! library gives decoded ones; decoding of characters and HTML is `mail-parser`'s.

pub mod compose;
pub mod date;
pub mod envelope;
mod field;
pub mod header;
pub mod received;
mod scan;
pub mod structure;
pub mod subject;
pub mod text;
pub mod transfer;
