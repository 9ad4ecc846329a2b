//! Who logged in, for the audit log. (What operators do is noted where it is done: `control::execute`.)
//!
//! Does: note a log-in at once, and those that are like it (same name, network address, service and outcome) within
//! `limits::AUDIT_PERIOD` as one, with their number: a client that polls each minute is no news. Does not: hold up a log-in for the
//! disk, or take more than `limits::AUDIT_LOGINS` of a period that were refused, whoever makes up names.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail::{Timestamp, limits};
use store::{Act, StoreError};
use tokio::sync::Notify;

use crate::shared::Shared;

/// What is noted of who was let in.
const GOOD: &str = "ok";

/// What makes two log-ins alike.
type Kind = (String, IpAddr, &'static str, &'static str);

/// Log-ins that are not in the log yet.
#[derive(Default)]
pub struct LogIns {
    period: Mutex<Period>,
    news: Notify,
}

#[derive(Default)]
struct Period {
    /// The first of a kind, which waits to be written.
    first: Vec<Act>,
    /// When the last of each kind was, and how many came after the first.
    more: HashMap<Kind, (Timestamp, u32)>,
    began: Option<Timestamp>,
    /// Kinds of log-ins that were let in, and of others.
    good: usize,
    bad: usize,
}

impl Period {
    /// Ends a period that is over.
    fn end_due(&mut self, now: Timestamp) {
        if self.began.is_some_and(|began| now >= began.plus(limits::AUDIT_PERIOD)) {
            self.end();
        }
    }

    fn end(&mut self) {
        (self.began, self.good, self.bad) = (None, 0, 0);
        let again = std::mem::take(&mut self.more).into_iter().filter(|(_, (_, times))| *times > 0);
        self.first.extend(again.map(|(kind, (at, times))| act(&kind, at, times)));
    }
}

fn act((who, from, service, outcome): &Kind, at: Timestamp, times: u32) -> Act {
    let act = Act::new(at, who.clone(), from.to_string(), format!("log-in {service}"));
    Act { outcome: (*outcome).to_owned(), times, ..act }
}

impl LogIns {
    fn period(&self) -> MutexGuard<'_, Period> {
        self.period.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more. `who`: as the client said it.
    pub fn note(&self, service: &'static str, from: IpAddr, who: &str, outcome: &'static str, now: Timestamp) {
        let who: String = who.chars().take(limits::LOCAL_PART_LEN + limits::DOMAIN_LEN).collect();
        let kind = (who, from.to_canonical(), service, outcome);
        let mut period = self.period();
        period.end_due(now);
        period.began.get_or_insert(now);
        if let Some((at, times)) = period.more.get_mut(&kind) {
            (*at, *times) = (now, times.saturating_add(1));
            return;
        }
        // Apart from each other: names that are made up keep no good log-in from being noted.
        let Period { good, bad, .. } = &mut *period;
        let alike = if outcome == GOOD { good } else { bad };
        if *alike >= limits::AUDIT_LOGINS {
            return;
        }
        *alike += 1;
        period.first.push(act(&kind, now, 1));
        period.more.insert(kind, (now, 0));
        drop(period);
        self.news.notify_one();
    }

    /// What is to be written now; at the end all that is known.
    fn take(&self, now: Timestamp, is_end: bool) -> Vec<Act> {
        let mut period = self.period();
        if is_end {
            period.end()
        } else {
            period.end_due(now)
        }
        std::mem::take(&mut period.first)
    }
}

/// Writes log-ins until the system stops; then what is left.
pub async fn write(shared: Arc<Shared>) {
    loop {
        let stopping = tokio::select! {
            () = shared.logins.news.notified() => false,
            () = shared.clock.sleep(limits::AUDIT_PERIOD) => false,
            () = shared.shutdown.wait() => true,
        };
        let acts = shared.logins.take(shared.clock.now(), stopping);
        if !acts.is_empty()
            && let Err(error) = shared.store.note_acts(acts).await
            && !matches!(error, StoreError::Poisoned(_))
        {
            tracing::warn!(%error, "log-ins can't be written to the audit log");
        }
        if stopping {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn log_ins_that_are_alike_are_one() {
        let logins = LogIns::default();
        let note = |who: &str, outcome, now| logins.note("imap", PEER, who, outcome, now);
        note("a", "ok", NOW);
        note("a", "ok", NOW);
        note("a", "refused", NOW);
        note("a", "ok", NOW);
        let told =
            |now| logins.take(now, false).into_iter().map(|act| (act.who, act.outcome, act.times)).collect::<Vec<_>>();
        let (ok, refused) = (("a".into(), "ok".into(), 1), ("a".into(), "refused".into(), 1));
        assert_eq!(told(NOW), [ok, refused]);
        assert_eq!(told(NOW), []);
        let later = NOW.plus(limits::AUDIT_PERIOD);
        assert_eq!(told(later), [("a".into(), "ok".into(), 2)]);
        note("a", "ok", later);
        assert_eq!(told(later), [("a".into(), "ok".into(), 1)]);
        note("a", "ok", later);
        assert_eq!(logins.take(later, true).len(), 1);
    }

    /// `AUDIT_LOGINS` kinds in a period, and one more.
    #[test]
    fn names_that_are_made_up_take_no_more_room() {
        let logins = LogIns::default();
        for n in 0..=limits::AUDIT_LOGINS {
            logins.note("imap", PEER, &n.to_string(), "refused", NOW);
        }
        // Who is let in is noted all the same.
        logins.note("imap", PEER, "alice", GOOD, NOW);
        let noted = logins.take(NOW, false);
        assert_eq!((noted.len(), noted[limits::AUDIT_LOGINS].who.as_str()), (limits::AUDIT_LOGINS + 1, "alice"));
    }
}
