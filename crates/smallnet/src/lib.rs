//! The small internet of `postrider local`: what two mail systems need around them, on loopback,
//! offline, without root.
//!
//! **Does:** an authoritative DNS server with its zones in memory ([`dns`]), which tests also use with
//! scripted faults; a throw-away CA and the certificates that it signs ([`ca`]); the recipients that
//! misbehave on purpose ([`misbehave`]); the plan that says which system listens where ([`plan`]); and what people are told of it all
//! ([`guide`]) and shown ([`together`]).
//!
//! **Does not:** start mail systems (the program's `local` does, with what is here), resolve names of
//! the real internet (what is in no zone does not exist), or sign zones (no DNSSEC, so TLSA records are
//! there to be looked at, not to be relied on). The CA is for loopback only: its certificate limits what
//! it can vouch for to the small internet's names.
//!
//! **Data** comes in as DNS questions on UDP and TCP and leaves as answers; the CA reads and writes
//! PEM files in the directory that it is given.
//!
//! # How two systems share one address
//!
//! An MX record names a host, never a port, so who relays by MX knows one port for the whole world
//! (`[relay] port`). Here both systems listen on 127.0.0.1, on ports of their own. This works because
//! each has only one peer: red's `[relay] port` is the SMTP port of blue, and blue's that of red. Nothing else
//! is needed: no second loopback address (which macOS would have to be given by root), no
//! listener beyond those promised. `down.example` is 127.0.0.9, where nothing listens on any
//! port. A third system joins by a `[[route]]`, which names a port.

pub mod ca;
pub mod dns;
pub mod guide;
pub mod home;
pub mod misbehave;
pub mod plan;
pub mod together;
