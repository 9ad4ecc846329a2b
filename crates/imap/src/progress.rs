//! INPROGRESS (RFC 9585): a client that waits long hears how far we are.

use mail::{Timestamp, limits};
use wire::imap::write;

use crate::host::End;
use crate::io::Io;

/// How far a command is that looks into many messages.
pub(crate) struct Progress {
    done: usize,
    goal: usize,
    told: Timestamp,
}

impl Progress {
    pub(crate) fn new(io: &Io<'_>, goal: usize) -> Self {
        Self { done: 0, goal, told: io.host.now() }
    }

    /// So many more are done. RFC 9585 §4: `"INPROGRESS" [SP "(" quoted-tag SP progress SP goal ")"]`, now and then.
    pub(crate) async fn made(&mut self, io: &mut Io<'_>, count: usize) -> Result<(), End> {
        self.done += count;
        if !self.is_due(io.host.now()) {
            return Ok(());
        }
        io.out.extend_from_slice(b"* OK [INPROGRESS (");
        let tag = io.tag.clone();
        write::string(&mut io.out, tag.as_bytes());
        io.out.extend_from_slice(format!(" {} {})] Still looking\r\n", self.done, self.goal).as_bytes());
        io.flush().await
    }

    fn is_due(&mut self, now: Timestamp) -> bool {
        let every = i64::try_from(limits::IMAP_PROGRESS_EVERY.as_secs()).unwrap_or(i64::MAX);
        let is_due = self.done < self.goal && now.secs() - self.told.secs() >= every;
        if is_due {
            self.told = now;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_now_and_then() {
        let mut progress = Progress { done: 64, goal: 100, told: Timestamp::from_secs(100) };
        let once = 100 + limits::IMAP_PROGRESS_EVERY.as_secs() as i64;
        let twice = once + limits::IMAP_PROGRESS_EVERY.as_secs() as i64;
        let due = [(once - 1, false), (once, true), (once + 1, false), (twice - 1, false), (twice, true)];
        for (now, is_due) in due {
            assert_eq!(progress.is_due(Timestamp::from_secs(now)), is_due, "{now}");
        }
        progress.done = 100;
        assert!(!progress.is_due(Timestamp::from_secs(200)));
    }
}
