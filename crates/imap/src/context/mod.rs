//! Contexts (RFC 5267): results of SEARCH and SORT that the session keeps current, and tells its client of what comes to
//! them and goes from them.
//!
//! What changes is told where the change itself is (`View::tell`). Only messages that changed are tested again, and those
//! whose place in the mailbox or in time a key asks for. What an answer of a SEARCH has once read stays so: bytes of a
//! message never change, so a sorted result needs to know of the newcomers alone where they belong.

mod found;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use mail::{Timestamp, Uid, limits};
use store::{MessageRow, Snapshot};
use wire::imap::SequenceSet;
use wire::imap::fetch::Item;
use wire::imap::reply::{Code, Reply, condition};
use wire::imap::search::Key;
use wire::imap::sort::Criterion;

use crate::enable::has;
use crate::host::End;
use crate::io::Io;
use crate::search::{CHARSET, Hit, Scope, among};
use crate::session::Service;
use crate::sort::{in_order, known, sorted};
use crate::view::View;
use found::{Change, Found, Part, Placed, written};

/// What a command asked for that wants to hear of changes.
pub(crate) struct Asked<'c> {
    pub(crate) uid: bool,
    /// The mailbox's name, where answers have it (RFC 7377).
    pub(crate) mailbox: Option<&'c str>,
    pub(crate) charset: Option<&'c [u8]>,
    pub(crate) key: &'c Key,
    /// None: the mailbox's order.
    pub(crate) criteria: &'c [(Criterion, bool)],
    /// What of messages that come anew (RFC 5465 §7).
    pub(crate) items: &'c [Item],
}

/// A result that is kept current.
struct Context {
    tag: String,
    uid: bool,
    mailbox: Option<String>,
    charset: Vec<u8>,
    /// Without message numbers and `$`: these are what they stood for when the command came (RFC 5267 §4.3).
    key: Key,
    criteria: Vec<(Criterion, bool)>,
    items: Vec<Item>,
    found: Found,
    /// What of the mailbox has been looked at, and when.
    seen: Arc<Snapshot>,
    looked: Timestamp,
}

/// What became of messages that changed.
#[derive(Default)]
struct Tested {
    /// UIDs that no longer belong to the result.
    lost: Vec<u32>,
    /// What belongs to it now, in the mailbox's order.
    new: Vec<Hit>,
}

/// Those of a selected mailbox.
#[derive(Default)]
pub(crate) struct Contexts(Vec<Context>);

impl Contexts {
    /// Whether a command with this tag is being told of changes.
    pub(crate) fn has(&self, tag: &str) -> bool {
        self.0.iter().any(|context| context.tag == tag)
    }
}

/// RFC 5267 §4.3: the tag says what an update is about.
pub(crate) fn tag_reuse() -> Reply {
    Reply::bad("The tag belongs to a result that is kept current").with_code(Code::ClientBug.word())
}

/// CANCELUPDATE (RFC 5267 §4.3.5).
pub(crate) fn cancel(view: &mut View, tags: &[String]) -> Reply {
    let contexts = &mut view.contexts;
    let all_known = tags.iter().all(|tag| contexts.has(tag));
    contexts.0.retain(|context| !tags.contains(&context.tag));
    if all_known {
        Reply::ok("No more of it")
    } else {
        // It may have ended by itself: then nothing is wrong but the client's belief.
        Reply::no(Code::NonExistent, "There is no result of this tag that is kept current")
    }
}

/// Keeps the result of the command under way current from now on, or says why not.
pub(crate) fn begin(io: &mut Io<'_>, view: &mut View, asked: Asked<'_>, hits: &[Hit]) {
    let found = if asked.criteria.is_empty() {
        Found::Set(SequenceSet::of(hits.iter().map(|hit| hit.uid.get())).ranges(u32::MAX))
    } else {
        Found::Order(hits.iter().map(placed).collect())
    };
    let context = Context {
        tag: io.tag.clone(),
        uid: asked.uid,
        mailbox: asked.mailbox.map(str::to_owned),
        charset: asked.charset.unwrap_or(CHARSET).to_vec(),
        key: frozen(view, asked.key),
        criteria: asked.criteria.to_vec(),
        items: asked.items.to_vec(),
        found,
        seen: view.told.clone(),
        looked: io.host.now(),
    };
    if view.contexts.0.len() >= limits::IMAP_CONTEXTS {
        return refuse(io, &context.tag, "There are too many results that are kept current");
    }
    let before: usize = view.contexts.0.iter().map(Context::entries).sum();
    if before + context.entries() > limits::IMAP_CONTEXT_ENTRIES {
        return refuse(io, &context.tag, TOO_LONG);
    }
    view.contexts.0.push(context);
}

const TOO_LONG: &str = "The result is too long to be kept current";

/// RFC 5267 §4.3.1: what else the command asked for is answered.
fn refuse(io: &mut Io<'_>, tag: &str, why: &str) {
    condition(&mut io.out, "*", "NO", Some(&format!("NOUPDATE \"{tag}\"")), why);
}

const fn placed(hit: &Hit) -> Placed {
    Placed { uid: hit.uid.get(), relevancy: hit.relevancy }
}

/// The key with message numbers and `$` as they are now. Between the UIDs of two messages no other will ever come, so a
/// range of numbers is a range of UIDs.
fn frozen(view: &View, key: &Key) -> Key {
    let boxed = |key: &Key| Box::new(frozen(view, key));
    match key {
        Key::Sequence(set) => {
            let uid = |n: u32| view.told.get(n as usize - 1).map(|row| row.uid.get());
            let len = u32::try_from(view.told.len()).unwrap_or(u32::MAX);
            let ranges = set.ranges(len).into_iter().filter(|range| *range.start() <= len);
            let pairs = ranges.map(|range| (uid(*range.start()), uid(len.min(*range.end()))));
            Key::Uid(SequenceSet(pairs.collect()))
        }
        Key::Saved => {
            let pairs = view.saved.iter().map(|range| (Some(*range.start()), Some(*range.end())));
            Key::Uid(SequenceSet(pairs.collect()))
        }
        Key::And(keys) => Key::And(keys.iter().map(|key| frozen(view, key)).collect()),
        Key::Or(a, b) => Key::Or(boxed(a), boxed(b)),
        Key::Not(key) => Key::Not(boxed(key)),
        Key::Fuzzy(key) => Key::Fuzzy(boxed(key)),
        key => key.clone(),
    }
}

/// A key and what it is made of.
fn each(key: &Key, what: &mut impl FnMut(&Key)) {
    what(key);
    match key {
        Key::And(keys) => keys.iter().for_each(|key| each(key, what)),
        Key::Or(a, b) => {
            each(a, what);
            each(b, what);
        }
        Key::Not(key) | Key::Fuzzy(key) => each(key, what),
        _ => {}
    }
}

/// Tells that messages are gone, as far as they were found.
pub(crate) async fn gone(io: &mut Io<'_>, view: &mut View, gone: &[Uid]) -> Result<(), End> {
    let mut contexts = std::mem::take(&mut view.contexts);
    let gone: Vec<u32> = gone.iter().map(|uid| uid.get()).collect();
    for context in &mut contexts.0 {
        let there = context.found.among(&gone);
        context.remove(io, view, &there).await?;
    }
    view.contexts = contexts;
    Ok(())
}

/// Tells what changed in the results by what the view tells otherwise, and of new messages first what of them is wanted.
pub(crate) async fn update(
    service: &Service,
    io: &mut Io<'_>,
    view: &mut View,
    newest: &Snapshot,
    (fresh, items): (&[u32], &[Item]),
) -> Result<(), End> {
    let mut contexts = std::mem::take(&mut view.contexts);
    let mut tested = Vec::with_capacity(contexts.0.len());
    for context in &mut contexts.0 {
        tested.push(context.test(service, io, view, newest).await?);
    }
    let mut wanted: Vec<(u32, Vec<Item>)> = Vec::new();
    if !items.is_empty() || contexts.0.iter().any(|context| !context.items.is_empty()) {
        wanted = fresh.iter().map(|uid| (*uid, items.to_vec())).collect();
    }
    for (context, tested) in contexts.0.iter().zip(&tested) {
        let Ok(Tested { new, .. }) = tested else { continue };
        // RFC 5465 §5.2: all that is wanted of a message is in one FETCH.
        for (uid, all) in wanted.iter_mut().filter(|_| !context.items.is_empty()) {
            if new.binary_search_by_key(uid, |hit| hit.uid.get()).is_ok() {
                let more: Vec<Item> = context.items.iter().filter(|item| !all.contains(item)).cloned().collect();
                all.extend(more);
            }
        }
    }
    wanted.retain(|(_, items)| !items.is_empty());
    for run in wanted.chunk_by(|(_, one), (_, other)| one == other) {
        let uids: Vec<u32> = run.iter().map(|(uid, _)| *uid).collect();
        if let Some((_, items)) = run.first() {
            view.show(service, io, uids.into_iter(), items.clone()).await?;
        }
    }
    let (mut kept, mut entries) = (Vec::with_capacity(contexts.0.len()), 0);
    for (mut context, tested) in contexts.0.into_iter().zip(tested) {
        let current = match tested {
            Ok(tested) => context.follow(service, io, view, tested).await?,
            Err(reply) => Err(reply),
        };
        entries += context.entries();
        match current {
            Ok(()) if entries <= limits::IMAP_CONTEXT_ENTRIES => kept.push(context),
            outcome => {
                entries -= context.entries();
                // RFC 5267 §4.3.1 has it for the command itself; later it is as true.
                let why = if outcome.is_ok() { TOO_LONG } else { "The result can't be kept current" };
                refuse(io, &context.tag, why);
            }
        }
    }
    view.contexts = Contexts(kept);
    Ok(())
}

impl Context {
    /// What it has to remember.
    fn entries(&self) -> usize {
        let mut keys = 0;
        each(&self.key, &mut |key| keys += if let Key::Uid(set) = key { set.0.len() } else { 1 });
        keys + self.items.len() + self.found.entries()
    }

    /// What of the messages that changed belongs to the result.
    async fn test(
        &mut self,
        service: &Service,
        io: &mut Io<'_>,
        view: &View,
        newest: &Snapshot,
    ) -> Result<Result<Tested, Reply>, End> {
        let now = io.host.now();
        let rows = self.to_test(view, newest, now);
        (self.seen, self.looked) = (view.told.clone(), now);
        if rows.is_empty() {
            return Ok(Ok(Tested::default()));
        }
        let uids: Vec<u32> = rows.iter().map(|(_, row)| row.uid.get()).collect();
        let hits = match among(service, io, view, &self.charset, &self.key, rows.into_iter()).await? {
            Ok(hits) => hits,
            Err(reply) => return Ok(Err(reply)),
        };
        let were = self.found.among(&uids);
        let is_hit = |uid: &u32| hits.binary_search_by_key(uid, |hit| hit.uid.get()).is_ok();
        let lost: Vec<u32> = were.iter().copied().filter(|uid| !is_hit(uid)).collect();
        let new = hits.into_iter().filter(|hit| were.binary_search(&hit.uid.get()).is_err()).collect();
        Ok(Ok(Tested { lost, new }))
    }

    async fn follow(
        &mut self,
        service: &Service,
        io: &mut Io<'_>,
        view: &View,
        Tested { lost, new }: Tested,
    ) -> Result<Result<(), Reply>, End> {
        self.remove(io, view, &lost).await?;
        self.add(service, io, view, new).await
    }

    /// Messages of the view whose answer may be another than before, each with its number, by UID.
    fn to_test(&self, view: &View, newest: &Snapshot, now: Timestamp) -> Vec<(u32, MessageRow)> {
        let changes = has(&self.key, &|key| matches!(key, Key::Flag(_) | Key::Keyword(_) | Key::ModSeq(_)));
        let mut rows = BTreeMap::new();
        for (old, new) in self.seen.differences(&view.told) {
            if let Some(new) = new.filter(|_| changes || old.is_none()) {
                rows.insert(new.uid, new);
            }
        }
        // `*` is another message when the last one is.
        if has(&self.key, &|key| matches!(key, Key::Uid(set) if set.count().is_none())) {
            let last = |snapshot: &Snapshot| snapshot.iter().next_back().map(|row| row.uid);
            let (before, after) = (last(&self.seen), last(&view.told));
            if before != after {
                let those = [before, after].into_iter().flatten();
                rows.extend(those.filter_map(|uid| Some((uid, view.told.by_uid(uid)?))));
            }
        }
        // Messages grow older by themselves.
        let mut ages = Vec::new();
        each(&self.key, &mut |key| {
            if let Key::Older(age) = key {
                ages.push(i64::from(*age))
            }
        });
        if !ages.is_empty() && self.looked != now {
            let (from, to) = (self.looked.secs().min(now.secs()), self.looked.secs().max(now.secs()));
            let crossed = |row: &MessageRow| {
                let crossing = ages.iter().map(|age| row.internal_date.secs().saturating_add(*age));
                crossing.into_iter().any(|moment| from < moment && moment <= to)
            };
            rows.extend(view.told.iter().filter(crossed).map(|row| (row.uid, row)));
        }
        // What is gone, and stays in the view because it can't be told yet, was taken out.
        let there = rows.into_values().filter(|row| newest.find(row.uid).is_ok());
        let numbered = there.filter_map(|row| Some((u32::try_from(view.told.find(row.uid).ok()? + 1).ok()?, row)));
        numbered.collect()
    }

    async fn remove(&mut self, io: &mut Io<'_>, view: &View, uids: &[u32]) -> Result<(), End> {
        if uids.is_empty() {
            return Ok(());
        }
        let parts = self.found.remove(uids);
        self.tell(io, view, Change::Removed, &parts).await
    }

    /// `new` is in the mailbox's order.
    async fn add(
        &mut self,
        service: &Service,
        io: &mut Io<'_>,
        view: &View,
        new: Vec<Hit>,
    ) -> Result<Result<(), Reply>, End> {
        if new.is_empty() {
            return Ok(Ok(()));
        }
        let parts = match &self.found {
            Found::Set(_) => self.found.add(&new.iter().map(|hit| hit.uid.get()).collect::<Vec<_>>()),
            Found::Order(there) => {
                let new = match sorted(service, io, view, &self.criteria, new).await? {
                    Ok(new) => new,
                    Err(reply) => return Ok(Err(reply)),
                };
                let (mut placed_at, mut from) = (Vec::with_capacity(new.len()), 0);
                for hit in new {
                    from = match place(service, io, view, &self.criteria, there, from, &hit).await? {
                        Ok(at) => at,
                        Err(reply) => return Ok(Err(reply)),
                    };
                    placed_at.push((from, placed(&hit)));
                }
                self.found.insert(&placed_at)
            }
        };
        self.tell(io, view, Change::Added, &parts).await.map(Ok)
    }

    /// `* ESEARCH (TAG "…") [UID] ADDTO (…)`
    async fn tell(&self, io: &mut Io<'_>, view: &View, change: Change, parts: &[Part]) -> Result<(), End> {
        let number = |uid: u32| match Uid::new(uid).and_then(|uid| view.told.find(uid).ok()) {
            Some(at) if !self.uid => u32::try_from(at + 1).unwrap_or(u32::MAX),
            _ => uid,
        };
        let mailbox = self.mailbox.as_deref().map(|name| (name, view.told.uid_validity));
        let scope = Scope { tag: Some(&self.tag), uid: self.uid, mailbox };
        for list in written(change, parts, number) {
            scope.write(io);
            io.out.extend_from_slice(format!(" {} {list}\r\n", change.word()).as_bytes());
            io.relieve().await?;
        }
        Ok(())
    }
}

/// Where a message belongs in a sorted result, at the index `from` or after it. One whose facts can't be had any more is
/// gone, and will be taken out: what stands beside it is asked instead.
async fn place(
    service: &Service,
    io: &mut Io<'_>,
    view: &View,
    criteria: &[(Criterion, bool)],
    there: &[Placed],
    from: usize,
    new: &Hit,
) -> Result<Result<usize, Reply>, End> {
    let (row, facts) = match known(service, io, view, criteria, new.uid).await? {
        Ok(Some(known)) => known,
        // Gone since: it will be taken out from wherever it is.
        Ok(None) => return Ok(Ok(from)),
        Err(reply) => return Ok(Err(reply)),
    };
    let (mut low, mut high) = (from, there.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let mut order = None;
        for (at, other) in there.iter().enumerate().take(high).skip(middle) {
            let Some(uid) = Uid::new(other.uid) else { continue };
            match known(service, io, view, criteria, uid).await? {
                Ok(None) => {}
                Ok(Some((other_row, other_facts))) => {
                    let other = (other.relevancy, &other_row, other_facts.as_ref());
                    let new = (new.relevancy, &row, facts.as_ref());
                    order = Some((at, in_order(criteria, other, new).then(uid.cmp(&row.uid))));
                    break;
                }
                Err(reply) => return Ok(Err(reply)),
            }
        }
        match order {
            Some((at, Ordering::Less)) => low = at + 1,
            _ => high = middle,
        }
    }
    Ok(Ok(low))
}
