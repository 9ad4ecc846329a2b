//! Email/query and Email/queryChanges (RFC 8621 §4.4, §4.5).

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use mail::{BodyId, MailboxId, ThreadId, Uid, limits};
use message::header::Header;
use reading::body::Message;
use reading::facts::{Facts, known, read};
use reading::marks::marks_of;
use store::{DigestPart, MessageRow, StoreResult};

use super::filter::{self, Condition, Needle, Quantity, Ready};
use crate::account::Account;
use crate::args::Args;
use crate::changes::Since;
use crate::error::{Answer, MethodError};
use crate::ids;
use crate::index::Email;
use crate::query::{Asked, Comparator, Filter, Window, comparators};
use crate::request::Context;
use crate::session::SORT_OPTIONS;

/// Marks of a text that are looked for; more would rule out hardly more.
const MARKS: usize = 32;

/// What is looked for.
pub(crate) struct Query {
    filter: Filter<Condition>,
    needles: Vec<Needle>,
    sort: Vec<Comparator>,
    collapse: bool,
    /// What is asked, as it came.
    words: String,
}

/// What is remembered of an Email that was found: as much as most lists are made of.
struct Found {
    id: BodyId,
    thread: ThreadId,
    received_at: i64,
}

impl Found {
    fn of(email: &Email<'_>) -> Self {
        let (thread, received_at) = email.row().map_or((0, 0), |(_, row)| (row.thread.0, row.internal_date.secs()));
        Self { id: email.id(), thread: ThreadId(thread), received_at }
    }
}

impl Query {
    fn read(args: &mut Args) -> Answer<Self> {
        let mut needles = Vec::new();
        let words = args.words(&["filter", "sort", "collapseThreads"]);
        let filter = filter::read(args.value("filter"), &mut needles)?;
        let sort = comparators(args)?;
        for by in &sort {
            if !SORT_OPTIONS.contains(&by.property.as_str()) {
                return Err(MethodError::with(
                    "unsupportedSort",
                    format!("messages are not sorted by {}", by.property),
                ));
            }
            // RFC 8621 §4.4.2
            if by.property.ends_with("Keyword") != by.keyword.is_some() {
                return Err(MethodError::arguments("a keyword goes with the sort by keywords, and with no other"));
            }
        }
        Ok(Self { filter, needles, sort, collapse: args.boolean("collapseThreads")?.unwrap_or(false), words })
    }

    fn ready<'i>(&self, account: &'i Account) -> Ready<'i> {
        let mut names: Vec<String> = self.sort.iter().filter_map(|by| by.keyword.clone()).collect();
        self.filter.each(&mut |condition| names.extend(condition.keywords().cloned()));
        Ready::new(&account.index, names)
    }

    /// The Emails that match, in order: remembered, where the same was asked of the same account before.
    async fn answer(&self, context: &Context<'_>, account: &Account) -> Answer<Arc<[BodyId]>> {
        if let Some(known) = account.index.answers.get(&self.words) {
            return Ok(known);
        }
        let found: Arc<[BodyId]> = self.find(context, account).await?.into();
        account.index.answers.put(&self.words, &found);
        Ok(found)
    }

    async fn find(&self, context: &Context<'_>, account: &Account) -> Answer<Vec<BodyId>> {
        let ready = self.ready(account);
        let found = matching(context, account, &self.filter, &self.needles, &ready).await?;
        let mut sorted = self.sorted(context, account, &ready, found).await?;
        if self.collapse {
            // RFC 8621 §4.4.3: of a conversation the first.
            let mut seen: HashSet<ThreadId> = HashSet::with_capacity(sorted.len());
            sorted.retain(|found| seen.insert(found.thread));
        }
        Ok(sorted.iter().map(|found| found.id).collect())
    }

    async fn sorted(
        &self,
        context: &Context<'_>,
        account: &Account,
        ready: &Ready<'_>,
        mut found: Vec<Found>,
    ) -> Answer<Vec<Found>> {
        if let [by] = self.sort.as_slice()
            && by.property == "receivedAt"
        {
            // What nearly all ask for needs no look at the index.
            let up = by.is_ascending;
            found.sort_by(
                |a, b| {
                    if up { a.received_at.cmp(&b.received_at) } else { b.received_at.cmp(&a.received_at) }
                },
            );
            return Ok(found);
        }
        let mut found: Vec<Email<'_>> = found.into_iter().filter_map(|found| account.index.email(found.id)).collect();
        let by_facts = |by: &Comparator| ["from", "to", "subject", "sentAt"].contains(&by.property.as_str());
        let facts =
            if self.sort.iter().any(by_facts) { facts(context, account, &found).await? } else { HashMap::new() };
        let compare = |by: &Comparator, a: &Email<'_>, b: &Email<'_>| {
            let (facts_a, facts_b) = (facts.get(&a.id()), facts.get(&b.id()));
            let (row_a, row_b) = (a.row().map(|(_, row)| row), b.row().map(|(_, row)| row));
            let text =
                |of: fn(&Facts) -> &str| facts_a.map(of).unwrap_or_default().cmp(facts_b.map(of).unwrap_or_default());
            let keyword = by.keyword.as_deref().unwrap_or_default();
            let order = match by.property.as_str() {
                "receivedAt" => a.received_at().secs().cmp(&b.received_at().secs()),
                "size" => a.size().cmp(&b.size()),
                "from" => text(Facts::display_from),
                "to" => text(Facts::display_to),
                "subject" => text(Facts::subject),
                "sentAt" => {
                    let date = |facts: Option<&Facts>, row: Option<MessageRow>| Some(facts?.date(&row?));
                    date(facts_a, row_a).cmp(&date(facts_b, row_b))
                }
                "hasKeyword" => ready.has_keyword(a, keyword).cmp(&ready.has_keyword(b, keyword)),
                "allInThreadHaveKeyword" => {
                    ready.in_thread(a, Quantity::All, keyword).cmp(&ready.in_thread(b, Quantity::All, keyword))
                }
                _ => ready.in_thread(a, Quantity::Some, keyword).cmp(&ready.in_thread(b, Quantity::Some, keyword)),
            };
            if by.is_ascending { order } else { order.reverse() }
        };
        found.sort_by(|a, b| {
            self.sort.iter().map(|by| compare(by, a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        });
        Ok(found.iter().map(Found::of).collect())
    }
}

/// The Emails that match a filter, by id.
async fn matching<'a>(
    context: &Context<'_>,
    account: &'a Account,
    filter: &Filter<Condition>,
    needles: &[Needle],
    ready: &Ready<'_>,
) -> Answer<Vec<Found>> {
    let unknown = vec![None; needles.len()];
    let mut found = Vec::new();
    let mut by_mailbox: BTreeMap<MailboxId, Vec<(Uid, Email<'a>)>> = BTreeMap::new();
    for (n, email) in candidates(account, filter).enumerate() {
        if (n + 1) % limits::IMAP_DIGESTS_AT_ONCE == 0 {
            // Others have their turn too: each condition is tried on each of a million messages.
            tokio::task::yield_now().await;
        }
        match filter.holds(&mut |condition| condition.holds(ready, &email, &unknown)) {
            Some(true) => found.push(Found::of(&email)),
            Some(false) => {}
            None => {
                if let Some((mailbox, uid)) = email.place() {
                    by_mailbox.entry(mailbox).or_default().push((uid, email));
                }
            }
        }
    }
    for (mailbox, mut list) in by_mailbox {
        list.sort_by_key(|(uid, _)| *uid);
        let mut search = Search { context, mailbox, filter, needles, ready, found: Vec::new() };
        search.run(list).await?;
        found.extend(search.found);
    }
    found.sort_by_key(|found| found.id);
    Ok(found)
}

/// All Emails, or those of the mailbox that the filter asks for.
fn candidates<'a>(account: &'a Account, filter: &Filter<Condition>) -> Box<dyn Iterator<Item = Email<'a>> + Send + 'a> {
    let index = &account.index;
    match in_mailbox(filter) {
        None => Box::new(index.emails()),
        Some(mailbox) => Box::new(index.place_of(mailbox).into_iter().flat_map(|place| index.emails_in(place))),
    }
}

/// The mailbox that what matches is in, where the filter says so.
fn in_mailbox(filter: &Filter<Condition>) -> Option<MailboxId> {
    match filter {
        Filter::Condition(condition) => condition.in_mailbox,
        Filter::And(filters) => filters.iter().find_map(in_mailbox),
        _ => None,
    }
}

/// A search in the messages of one mailbox.
struct Search<'s> {
    context: &'s Context<'s>,
    mailbox: MailboxId,
    filter: &'s Filter<Condition>,
    needles: &'s [Needle],
    ready: &'s Ready<'s>,
    found: Vec<Found>,
}

impl Search<'_> {
    fn decide(&self, email: &Email<'_>, verdicts: &[Option<bool>]) -> Option<bool> {
        self.filter.holds(&mut |condition| condition.holds(self.ready, email, verdicts))
    }

    /// True: it is decided.
    fn settle(&mut self, email: &Email<'_>, verdicts: &[Option<bool>]) -> bool {
        let decision = self.decide(email, verdicts);
        if decision == Some(true) {
            self.found.push(Found::of(email));
        }
        decision.is_some()
    }

    /// Messages by UID: those that marks and digests don't decide are read.
    async fn run(&mut self, list: Vec<(Uid, Email<'_>)>) -> StoreResult<()> {
        let store = &self.context.server.store;
        let mut likely: Vec<Option<Vec<Uid>>> = Vec::new();
        for needle in self.needles {
            let mut marks: Vec<u16> = needle.text().map(|text| marks_of(text).collect()).unwrap_or_default();
            marks.sort_unstable();
            marks.dedup();
            marks.truncate(MARKS);
            let uids = || list.iter().map(|(uid, _)| *uid).collect();
            likely.push(if marks.is_empty() { None } else { Some(store.marked(self.mailbox, uids(), &marks).await?) });
        }
        let ruled_out = |uid: Uid| -> Vec<Option<bool>> {
            let is_out =
                |likely: &Option<Vec<Uid>>| likely.as_ref().is_some_and(|likely| likely.binary_search(&uid).is_err());
            likely.iter().map(|likely| is_out(likely).then_some(false)).collect()
        };
        for batch in list.chunks(limits::IMAP_DIGESTS_AT_ONCE) {
            let mut open: Vec<(Uid, Email<'_>, Vec<Option<bool>>)> = Vec::new();
            for (uid, email) in batch {
                let verdicts = ruled_out(*uid);
                if !self.settle(email, &verdicts) {
                    open.push((*uid, email.clone(), verdicts));
                }
            }
            self.by_digests(&mut open).await?;
            for batch in open.chunks_mut(limits::IMAP_FETCH_BATCH) {
                self.by_messages(batch).await?;
            }
        }
        Ok(())
    }

    async fn by_digests(&mut self, open: &mut Vec<(Uid, Email<'_>, Vec<Option<bool>>)>) -> StoreResult<()> {
        let uids: Vec<Uid> = open.iter().map(|(uid, ..)| *uid).collect();
        let headers = self.context.server.store.digests(self.mailbox, DigestPart::Header, &uids).await?;
        let headers: HashMap<Uid, _> = headers.into_iter().filter(|(_, octets)| !octets.is_empty()).collect();
        for (uid, email, mut verdicts) in std::mem::take(open) {
            if let Some(octets) = headers.get(&uid) {
                let header = Header::alone(octets);
                for (needle, verdict) in self.needles.iter().zip(&mut verdicts) {
                    *verdict = verdict.or_else(|| needle.by_digest(&header));
                }
            }
            if !self.settle(&email, &verdicts) {
                open.push((uid, email, verdicts));
            }
        }
        // Others have their turn too.
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn by_messages(&mut self, batch: &mut [(Uid, Email<'_>, Vec<Option<bool>>)]) -> StoreResult<()> {
        let uids: Vec<Uid> = batch.iter().map(|(uid, ..)| *uid).collect();
        let bodies: HashMap<Uid, _> =
            self.context.server.store.bodies(self.mailbox, &uids).await?.into_iter().collect();
        for (uid, email, verdicts) in batch {
            // What is gone is not found.
            let Some(body) = bodies.get(uid) else { continue };
            let mut message = Message::new(&self.context.server.structures, body.clone());
            for (at, needle) in self.needles.iter().enumerate() {
                if verdicts.get(at).is_some_and(Option::is_none) && self.is_needed(at) {
                    verdicts[at] = Some(needle.by_message(&mut message).await?);
                    if self.settle(email, verdicts) {
                        break;
                    }
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn is_needed(&self, needle: usize) -> bool {
        let mut is_needed = false;
        self.filter.each(&mut |condition| is_needed |= condition.needs().any(|other| other == needle));
        is_needed
    }
}

/// What messages are sorted by.
async fn facts(context: &Context<'_>, account: &Account, found: &[Email<'_>]) -> Answer<HashMap<BodyId, Facts>> {
    let server = context.server;
    let mut by_mailbox: BTreeMap<u32, Vec<MessageRow>> = BTreeMap::new();
    for (place, row) in found.iter().filter_map(Email::row) {
        by_mailbox.entry(place).or_default().push(row);
    }
    let mut all = HashMap::new();
    for (place, mut rows) in by_mailbox {
        let Some((mailbox, _)) = account.index.boxes().get(place as usize) else { continue };
        rows.sort_by_key(|row| row.uid);
        let facts = known(server.store.as_ref(), &server.facts, *mailbox, &rows).await?;
        let mut unknown = Vec::new();
        for (row, facts) in rows.into_iter().zip(facts) {
            match facts {
                Some(facts) => drop(all.insert(row.body, facts)),
                None => unknown.push(row),
            }
        }
        for batch in unknown.chunks(limits::IMAP_FETCH_BATCH) {
            let uids: Vec<Uid> = batch.iter().map(|row| row.uid).collect();
            let bodies: HashMap<Uid, _> = server.store.bodies(*mailbox, &uids).await?.into_iter().collect();
            for row in batch {
                let Some(body) = bodies.get(&row.uid) else { continue };
                let mut message = Message::new(&server.structures, body.clone());
                all.insert(row.body, read(&server.facts, row, &mut message).await?);
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(all)
}

pub(crate) async fn query(context: &mut Context<'_>, mut args: Args) -> Answer {
    let id = context.account_id(&mut args).await?;
    let window = Window::read(&mut args)?;
    let query = Query::read(&mut args)?;
    args.finish()?;
    let account = context.open(id).await?;
    let found = query.answer(context, &account).await?;
    window.response(&account, &found, |id| ids::email(*id))
}

pub(crate) async fn query_changes(context: &mut Context<'_>, mut args: Args) -> Answer {
    let id = context.account_id(&mut args).await?;
    let asked = Asked::read(&mut args)?;
    let query = Query::read(&mut args)?;
    args.finish()?;
    let account = context.open(id).await?;
    let since = Since::read(context, account, &asked.since).await?;
    let found = query.answer(context, &since.account).await?;
    let mut changed: HashSet<BodyId> = HashSet::new();
    for (change, thread) in since.emails() {
        changed.insert(BodyId(change.id));
        // What one of a conversation has counts for the others, and which of them is shown.
        changed.extend(since.account.index.thread(thread).iter().map(Email::id));
    }
    let mut changed: Vec<BodyId> = changed.into_iter().collect();
    changed.sort_unstable();
    asked.response(&since.account, &changed, &found, |id| ids::email(*id))
}
