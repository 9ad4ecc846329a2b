//! This engine keeps every promise of the store.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic, also in what it calls")]

use std::sync::Arc;

use store_local::{LocalStore, Options};

fn fresh() -> (Arc<LocalStore>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (LocalStore::open(dir.path(), Options { reserve: 0, ..Options::default() }).unwrap(), dir)
}

store::conformance_suite!(fresh());
