//! Dialogues as readable text: the format of `tests/transcripts`, and where they are run.
//!
//! A file is a list of lines:
//!
//! ```text
//! # A comment; the first ones say what the dialogue shows, with its source.
//! #: key value           a directive for whoever sets the scene (`tls`, `auth alice`, `standard`)
//! S: 250-...             the server says this line; `...` matches anything within the line
//! S: ...*                any number of lines, also none
//! C: NOOP                the client sends this line and CRLF
//! C> DATA\r\n            the client sends these bytes: \r \n \t \0 \\ \xHH, nothing added
//! C<                     the client closes
//! S<                     the server must close
//! TLS                    both sides start TLS here
//! S: * OK [UIDVALIDITY ${v}] ...      captures; `C:` lines may then say ${v}
//! C2: NOOP               a second connection, opened at its first line (2 to 9; also S2: C2> C2< S2< TLS2)
//! ```
//!
//! Client lines that follow each other are one packet in a whole run (pipelining), and cut up in the
//! other runs; what the server says must match in all of them.

mod parse;
mod run;

pub use parse::{Step, Transcript, parse};
pub use run::{Enough, Knowing, Received, Scene, Subject, run, run_folder, run_some, run_those};
