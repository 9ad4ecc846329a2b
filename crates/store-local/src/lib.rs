//! The embedded engine of the store: a message log and SQLite.
