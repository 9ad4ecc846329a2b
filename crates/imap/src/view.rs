//! What a session believes of its mailbox, and how it learns of what others did (RFC 3501 §5.2, §7.4.1; RFC 7162 §3.2.10).

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use mail::{MailboxId, ModSeq, Rights, Uid, limits};
use store::{MailboxWatch, MessageRow, Snapshot, StoreError};
use wire::imap::fetch::{Fetch, Item};
use wire::imap::reply::{Code, Reply};
use wire::imap::write;
use wire::imap::{MessageSet, SequenceSet};

use crate::access::Access;
use crate::context::{self, Contexts};
use crate::enable::Enabled;
use crate::fetch;
use crate::host::End;
use crate::io::Io;
use crate::mailbox::tell_mechanisms;
use crate::notify::Wish;
use crate::refusal::refusal;
use crate::session::Service;

/// The selected mailbox as the client knows it.
pub(crate) struct View {
    pub(crate) mailbox: MailboxId,
    pub(crate) read_only: bool,
    pub(crate) access: Access,
    pub(crate) watch: MailboxWatch,
    /// What the client was told of: message number n is `told.get(n - 1)`. Holds messages that are gone where the client
    /// may not be told yet.
    pub(crate) told: Arc<Snapshot>,
    /// UIDs that are \Recent here: ascending.
    recent: Vec<Range<u32>>,
    /// How many keywords the client knows of.
    pub(crate) keywords: usize,
    /// What `$` stands for (RFC 5182): UIDs, ascending.
    pub(crate) saved: Vec<RangeInclusive<u32>>,
    /// The last change up to which the client was told all, removals too.
    complete: ModSeq,
    /// The client wants to hear of messages and not of their flags (RFC 5465): messages with the flags that it was told.
    withheld: Option<Arc<Snapshot>>,
    /// Results that are kept current (RFC 5267).
    pub(crate) contexts: Contexts,
}

/// What came of telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The mailbox is gone for this client: the words say why.
    Gone(&'static str),
    /// All is told; `removed`: removals among it.
    All { removed: bool },
    /// All but removals.
    NotRemovals,
}

impl View {
    /// On a mailbox that is being selected; `None` where it was deleted meanwhile.
    pub(crate) fn new(mailbox: MailboxId, read_only: bool, access: Access, mut watch: MailboxWatch) -> Option<Self> {
        let told = watch.newest()?;
        let (keywords, complete) = (told.keywords.len(), told.highest_modseq);
        // RFC 4314 §5.2: where nothing may be changed.
        let changes = [Rights::INSERT, Rights::EXPUNGE, Rights::DELETED, Rights::WRITE, Rights::SEEN];
        let read_only = read_only || !changes.iter().any(|right| access.rights.contains(*right));
        Some(Self {
            mailbox,
            read_only,
            access,
            watch,
            told,
            recent: Vec::new(),
            keywords,
            saved: Vec::new(),
            complete,
            withheld: None,
            contexts: Contexts::default(),
        })
    }

    /// The refusal where one of `needed` may not be done here.
    pub(crate) fn refuses(&self, needed: Rights) -> Option<Reply> {
        if self.read_only {
            // RFC 3501 §6.3.2: EXAMINE allows no change.
            return Some(Reply::no(Code::Cannot, "The mailbox is selected read-only").with_code("READ-ONLY"));
        }
        (!self.access.rights.contains(needed)).then(|| refusal(&StoreError::Forbidden))
    }

    /// Claims \Recent for what is new in `told`. EXAMINE shows it and claims nothing (RFC 3501 §6.3.2).
    pub(crate) async fn claim_recent(&mut self, service: &Service) {
        let (from, next) = (self.told.recent_from.get(), self.told.uid_next.get());
        if from >= next {
            return;
        }
        if self.read_only {
            return self.add_recent(from..next);
        }
        match service.store.take_recent(self.mailbox).await {
            // What came since our snapshot is ours too, and told later.
            Ok(taken) => self.add_recent(taken.start.get()..taken.end.get()),
            Err(error) => {
                tracing::warn!(%error, "recent messages are not claimed");
                self.add_recent(from..next);
            }
        }
    }

    fn add_recent(&mut self, range: Range<u32>) {
        let from = self.recent.last().map_or(range.start, |last| last.end.max(range.start));
        if from < range.end {
            self.recent.push(from..range.end);
        }
    }

    /// Whether a message is \Recent in this session.
    pub(crate) fn is_recent(&self, uid: Uid) -> bool {
        self.recent.iter().rev().any(|range| range.contains(&uid.get()))
    }

    /// How many messages are.
    pub(crate) fn recent_count(&self) -> usize {
        let index = |uid: u32| match Uid::new(uid) {
            Some(uid) => self.told.find(uid).unwrap_or_else(|at| at),
            None => 0,
        };
        self.recent.iter().map(|range| index(range.end) - index(range.start)).sum()
    }

    /// The places in the view of a set, ascending ranges.
    pub(crate) fn places(&self, uid: bool, set: &MessageSet) -> Vec<Range<usize>> {
        places(&self.told, uid, set, &self.saved)
    }

    /// The UIDs of a set.
    pub(crate) fn uids(&self, uid: bool, set: &MessageSet) -> Vec<Uid> {
        self.places(uid, set).into_iter().flat_map(|range| self.told.range(range)).map(|row| row.uid).collect()
    }

    /// Takes rows as told, ascending: the caller has said what is new in them, and which keywords there are. No row is added
    /// or removed.
    pub(crate) fn has_told(&mut self, newest: &Arc<Snapshot>, rows: &[MessageRow]) {
        if rows.is_empty() {
            return;
        }
        let mut told = rows.iter();
        let mut is_told = |uid: Uid| told.find(|row| row.uid >= uid).is_some_and(|row| row.uid == uid);
        let is_all = newest.rekeyed == self.told.rekeyed
            && self.told.differences(newest).all(|(old, new)| old.and(new).is_some_and(|row| is_told(row.uid)));
        if is_all {
            // Nothing else happened.
            (self.told, self.complete) = (newest.clone(), newest.highest_modseq);
            return;
        }
        let mut told = self.told.apply(rows, &[]);
        told.keywords = newest.keywords.clone();
        self.told = Arc::new(told);
    }

    /// `* n FETCH (`, or `* uid UIDFETCH (` where numbers are given up (RFC 9586 §3.3).
    pub(crate) fn begin(out: &mut Vec<u8>, n: usize, uid: Uid, enabled: Enabled) {
        out.extend_from_slice(b"* ");
        if enabled.uidonly {
            write::number(out, u64::from(uid.get()));
            out.extend_from_slice(b" UIDFETCH (");
        } else {
            write::number(out, n as u64);
            out.extend_from_slice(b" FETCH (");
        }
    }

    /// `* n FETCH (FLAGS (…))` and what belongs to it.
    pub(crate) fn write_flags(
        &self,
        out: &mut Vec<u8>,
        n: usize,
        row: &MessageRow,
        names: &Snapshot,
        uid: bool,
        enabled: Enabled,
    ) {
        Self::begin(out, n, row.uid, enabled);
        // RFC 7162 §3.2.4: with QRESYNC the UID is in all of them.
        if (uid || enabled.qresync) && !enabled.uidonly {
            out.extend_from_slice(b"UID ");
            write::number(out, u64::from(row.uid.get()));
            out.push(b' ');
        }
        // RFC 7162 §3.2: with CONDSTORE every untagged FETCH has the MODSEQ.
        if enabled.condstore {
            out.extend_from_slice(b"MODSEQ (");
            write::number(out, row.modseq.0);
            out.extend_from_slice(b") ");
        }
        self.flags(out, row, names, enabled);
        out.extend_from_slice(b")\r\n");
    }

    /// `FLAGS (…)`
    pub(crate) fn flags(&self, out: &mut Vec<u8>, row: &MessageRow, names: &Snapshot, enabled: Enabled) {
        out.extend_from_slice(b"FLAGS (");
        let keywords = names.keywords_of(row).map(mail::Keyword::as_str);
        // RFC 9051 appendix E: there is no \Recent in IMAP4rev2.
        write::flags(out, row.flags, !enabled.rev2 && self.is_recent(row.uid), keywords);
        out.push(b')');
    }

    /// `* FLAGS (…)` where there are keywords that the client does not know of.
    pub(crate) fn tell_keywords(&mut self, out: &mut Vec<u8>, newest: &Snapshot) {
        if newest.keywords.len() > self.keywords {
            self.keywords = newest.keywords.len();
            write_all_flags(out, newest);
        }
    }

    /// RFC 7162 §3.2.10: the code that a client that resynchronises needs with a reply. Up to there it was told all, also
    /// where flags of a later change were told and a removal before it not yet.
    pub(crate) fn resync_code(&self, told: Told, enabled: Enabled) -> Option<String> {
        let is_needed = enabled.qresync && matches!(told, Told::NotRemovals | Told::All { removed: true });
        is_needed.then(|| format!("HIGHESTMODSEQ {}", self.complete.0))
    }

    /// Tells what changed since `told`, removals only where `expunge` allows it.
    pub(crate) async fn tell(
        &mut self,
        service: &Service,
        io: &mut Io<'_>,
        wish: &Wish,
        expunge: bool,
    ) -> Result<Told, End> {
        if self.access.look(service, self.mailbox).await.is_err() {
            return Ok(Told::Gone("You may no longer read the selected mailbox"));
        }
        let Some(newest) = self.watch.newest() else { return Ok(Told::Gone("The selected mailbox was deleted")) };
        if !(wish.messages || wish.flags) {
            return Ok(Told::All { removed: false });
        }
        if Arc::ptr_eq(&newest, &self.told) && (self.withheld.is_none() || !wish.flags) {
            context::update(service, io, self, &newest, (&[], &[])).await?;
            return Ok(Told::All { removed: false });
        }
        self.tell_keywords(&mut io.out, &newest);
        if newest.rekeyed != self.told.rekeyed {
            tell_mechanisms(&mut io.out);
        }
        let (mut gone, mut changed) = (Vec::new(), Vec::new());
        let (mut fresh, mut rows) = (Vec::new(), Vec::new());
        for (old, new) in self.told.differences(&newest) {
            match (old, new) {
                (Some(old), None) => gone.push(old.uid),
                (Some(_), Some(new)) => {
                    changed.push(new.uid);
                    rows.push(new);
                }
                (None, Some(new)) => {
                    fresh.push(new.uid.get());
                    rows.push(new);
                }
                (None, None) => {}
            }
        }
        // RFC 5267 §4.3.4: before the EXPUNGE, so that numbers are still those that the client knows.
        context::gone(io, self, &gone).await?;
        let before = std::mem::replace(&mut self.told, newest.clone());
        if wish.flags {
            // RFC 5465 §3.1: "any accumulated changes".
            if let Some(before) = self.withheld.take() {
                let both = before.differences(&newest).filter_map(|(old, now)| old.and(now));
                changed = both.map(|row| row.uid).collect();
            }
        } else if !changed.is_empty() || self.withheld.is_some() {
            let new: Vec<_> = rows.iter().filter(|row| fresh.binary_search(&row.uid.get()).is_ok()).copied().collect();
            let known = self.withheld.as_ref().unwrap_or(&before);
            self.withheld = Some(Arc::new(known.apply(&new, &[])));
        }
        let outcome = if expunge || gone.is_empty() {
            // Whoever comes back to what was withheld is told it then.
            if self.withheld.is_none() {
                self.complete = newest.highest_modseq;
            }
            removals(io, &before, &gone).await?;
            Told::All { removed: !gone.is_empty() }
        } else {
            // Removals wait: the view keeps them, and takes everything else.
            let mut told = before.apply(&rows, &[]);
            told.uid_next = newest.uid_next;
            told.highest_modseq = newest.highest_modseq;
            told.recent_from = newest.recent_from;
            told.keywords = newest.keywords.clone();
            told.rekeyed = newest.rekeyed;
            self.told = Arc::new(told);
            Told::NotRemovals
        };
        if !fresh.is_empty() {
            self.claim_recent(service).await;
            write::counted(&mut io.out, self.told.len() as u64, "EXISTS");
            if !io.enabled.rev2 {
                write::counted(&mut io.out, self.recent_count() as u64, "RECENT");
            }
        }
        if !wish.flags {
            changed.clear();
        }
        for uid in changed {
            if let (Ok(at), Some(row)) = (self.told.find(uid), newest.by_uid(uid)) {
                self.write_flags(&mut io.out, at + 1, &row, &newest, true, io.enabled);
                io.relieve().await?;
            }
        }
        // RFC 5465 §5.2: of its own messages the client knows.
        fresh.retain(|uid| io.own.binary_search_by_key(uid, |own| own.get()).is_err());
        // RFC 5267 §4.3.3, RFC 5465 §7: after EXISTS.
        context::update(service, io, self, &newest, (&fresh, &wish.items)).await?;
        Ok(outcome)
    }

    /// Tells of messages what the client wants to know of new ones; those that went meanwhile are passed over.
    pub(crate) async fn show(
        &mut self,
        service: &Service,
        io: &mut Io<'_>,
        uids: impl Iterator<Item = u32>,
        items: Vec<Item>,
    ) -> Result<(), End> {
        let set = MessageSet::Numbers(SequenceSet::of(uids));
        let command = Fetch { uid: true, set, items, changed_since: None, vanished: false, partial: None };
        fetch::fetch(service, io, self, command).await.map(drop)
    }
}

/// EXPUNGE for each, or VANISHED for all (RFC 7162 §3.2.10).
async fn removals(io: &mut Io<'_>, before: &Snapshot, gone: &[Uid]) -> Result<(), End> {
    if io.enabled.qresync || io.enabled.uidonly {
        return vanished(io, "", gone.iter().map(|uid| uid.get())).await;
    }
    // RFC 3501 §7.4.1: each EXPUNGE renumbers what is above; from the highest down, numbers stay those of before.
    for uid in gone.iter().rev() {
        if let Ok(at) = before.find(*uid) {
            write::counted(&mut io.out, at as u64 + 1, "EXPUNGE");
            io.relieve().await?;
        }
    }
    Ok(())
}

/// `* VANISHED [(EARLIER) ]set`, in several responses where there is much.
pub(crate) async fn vanished(
    io: &mut Io<'_>,
    earlier: &str,
    uids: impl Iterator<Item = u32> + Send,
) -> Result<(), End> {
    let SequenceSet(set) = SequenceSet::of(uids);
    for part in set.chunks(limits::IMAP_VANISHED_RANGES) {
        let part = SequenceSet(part.to_vec());
        io.out.extend_from_slice(format!("* VANISHED {earlier}{part}\r\n").as_bytes());
        io.relieve().await?;
    }
    Ok(())
}

/// The places of a set in a snapshot, ascending ranges; `saved`: what `$` stands for.
pub(crate) fn places(
    snapshot: &Snapshot,
    uid: bool,
    set: &MessageSet,
    saved: &[RangeInclusive<u32>],
) -> Vec<Range<usize>> {
    let len = snapshot.len();
    let set = match set {
        MessageSet::Numbers(set) => set,
        MessageSet::Saved => return uid_places(snapshot, saved.iter().cloned()),
    };
    if !uid {
        let last = u32::try_from(len).unwrap_or(u32::MAX);
        let ranges = set.ranges(last).into_iter();
        let places = ranges.map(|range| (*range.start() as usize - 1).min(len)..(*range.end() as usize).min(len));
        return places.filter(|range| !range.is_empty()).collect();
    }
    // RFC 3501 §6.4.8: `*` is the highest UID, so `n:*` always has the last message.
    let last = len.checked_sub(1).and_then(|last| snapshot.get(last)).map_or(0, |row| row.uid.get());
    uid_places(snapshot, set.ranges(last).into_iter())
}

fn uid_places(snapshot: &Snapshot, ranges: impl Iterator<Item = RangeInclusive<u32>>) -> Vec<Range<usize>> {
    let place = |uid: u32| Uid::new(uid).map_or(0, |uid| snapshot.find(uid).unwrap_or_else(|at| at));
    let places = ranges.map(|range| {
        let end = range.end().checked_add(1).map_or(snapshot.len(), place);
        place(*range.start())..end
    });
    places.filter(|range| !range.is_empty()).collect()
}

/// `* FLAGS (…)`: all flags that messages here may have.
pub(crate) fn write_all_flags(out: &mut Vec<u8>, snapshot: &Snapshot) {
    out.extend_from_slice(b"* FLAGS (");
    write::flags(out, mail::Flags::ALL, false, snapshot.keywords.iter().map(mail::Keyword::as_str));
    out.extend_from_slice(b")\r\n");
}
