//! `[auth]`: how users log in.

use super::read::section;

section! {
    /// How users log in, on every protocol.
    Auth {
        /// Whether SCRAM is offered. Clients prefer it where it is, and fail with an account that keeps no SCRAM keys:
        /// set it when all accounts keep them (`postrider account add --scram`).
        scram: bool = false;
    }
}
