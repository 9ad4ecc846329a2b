//! What the commands of POP3 mean, on the store.
