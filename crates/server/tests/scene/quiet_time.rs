//! Virtual time (`start_paused`): passes when nothing is left to do, and is the same for timers and for the system's clock.

use std::time::Duration;

use async_trait::async_trait;
use mail::Timestamp;
use mta::world::Clock;
use tokio::time::Instant;

/// The clock of a runtime whose time is paused.
pub struct QuietTime(Instant);

/// When a test begins.
pub const START: Timestamp = Timestamp::from_secs(1_700_000_000);

impl QuietTime {
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// Since the test began.
    pub fn passed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[async_trait]
impl Clock for QuietTime {
    fn now(&self) -> Timestamp {
        START.plus(self.passed())
    }

    async fn sleep(&self, how_long: Duration) {
        tokio::time::sleep(how_long).await;
    }
}
