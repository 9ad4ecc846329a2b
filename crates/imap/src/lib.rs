//! What the commands of IMAP mean, on the store.
