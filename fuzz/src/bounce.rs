//! The writer of reports, taken in as it is.

#[allow(dead_code, clippy::all, reason = "the crate's own file; the rest is used there")]
#[rustfmt::skip]
#[path = "../../crates/mta/src/bounce/compose.rs"]
mod compose;

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use mail::{Address, BodyId, Timestamp};
use mta::bounce::Line;
use store::{Body, QueueMessage, StoreResult};

use crate::session::world::block_on;

/// A message in memory.
struct Memory(Bytes);

#[async_trait]
impl Body for Memory {
    fn id(&self) -> BodyId {
        BodyId(1)
    }

    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    async fn read(&self, range: Range<u64>) -> StoreResult<Bytes> {
        Ok(self.0.slice(range.start as usize..range.end as usize))
    }
}

/// As in `mta::bounce`, whose words are its own.
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "the writer knows them all")]
pub(crate) enum Kind {
    Failed,
    Delayed,
    Relayed,
    Delivered,
    Expanded,
}

impl Kind {
    const fn action(self) -> &'static str {
        "failed"
    }
}

/// A report about the message's first recipient in a server's words, with these octets of the message.
pub(crate) fn written(
    message: &QueueMessage,
    sender: &Address,
    words: String,
    host: String,
    returned: Vec<u8>,
) -> Vec<u8> {
    let line = Line { recipient: &message.recipients[0], status: (5, 1, 1), words, host: Some(host), remote: true };
    let report = compose::Report {
        hostname: "mail.red.example",
        token: "0123456789abcdef0123456789abcdef".into(),
        now: Timestamp::from_secs(1_700_000_100),
        sender,
        message,
        kind: Kind::Failed,
        lines: &[line],
        retry_until: Timestamp::from_secs(1_700_400_000),
        returned: block_on(compose::returned(&Memory(returned.into()), message, Kind::Failed)),
    };
    report.write().0
}
