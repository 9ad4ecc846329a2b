//! The extensions that a script may require.

/// What `require` may name, in the order of the alphabet.
pub const CAPABILITIES: [&str; 30] = [
    "body",
    "comparator-i;ascii-casemap",
    "comparator-i;ascii-numeric",
    "comparator-i;octet",
    "comparator-i;unicode-casemap",
    "copy",
    "date",
    "duplicate",
    "editheader",
    "encoded-character",
    "enotify",
    "envelope",
    "environment",
    "ereject",
    "fileinto",
    "ihave",
    "imap4flags",
    "include",
    "index",
    "mailbox",
    "reject",
    "relational",
    "spamtest",
    "spamtestplus",
    "special-use",
    "subaddress",
    "vacation",
    "vacation-seconds",
    "variables",
    "virustest",
];

/// Ways to notify (RFC 5435 §3.1).
pub const NOTIFY_METHODS: [&str; 1] = ["mailto"];

/// Whether a script may require it.
pub(crate) fn is_known(name: &str) -> bool {
    CAPABILITIES.contains(&name)
}
