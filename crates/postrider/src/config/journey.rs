//! `[journey]`: what is kept of messages' ways.

use std::time::Duration;

use mail::limits;

use super::read::section;

section! {
    /// What is kept of each message's way, for `postrider trace`. docs/journey.md says what that is.
    Journey {
        /// How long.
        lifetime: Duration = limits::JOURNEY_LIFETIME;
    }
}
