//! `[smtp]`: mail that comes in.

use super::read::section;

section! {
    /// Mail that comes in.
    Smtp {
        /// Whether the Received field of a submission shows the user's address. It tells every recipient where the
        /// user is.
        show_client: bool = false;
    }
}
