//! Acceptance on a real store.
