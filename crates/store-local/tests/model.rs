//! Random sequences of operations agree with a naive model, also over restarts, and every snapshot that is published
//! is what a fresh look shows.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic, also in what it calls")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mail::{AccountId, Flags, Keyword, MailboxId, ModSeq, Uid};
use proptest::prelude::*;
use store::conformance::{self as suite, NOW};
use store::{AnnotationChange, AppendMessage, FlagChange, FlagOperation, MailboxWatch, Store};
use store_local::{LocalStore, Options};

const WHO: [&str; 2] = ["a@x.example", "b@x.example"];
const NAMES: [&str; 3] = ["INBOX", "Archive", "Trash"];

#[derive(Clone, Debug)]
enum Op {
    Deliver {
        to: Vec<usize>,
        size: usize,
    },
    Append {
        mailbox: usize,
        sizes: Vec<usize>,
        flags: u8,
        keyword: Option<u8>,
    },
    Flags {
        mailbox: usize,
        uids: Vec<u32>,
        how: u8,
        flags: u8,
        keyword: Option<u8>,
        since: Option<u8>,
    },
    Copy {
        from: usize,
        to: usize,
        uids: Vec<u32>,
    },
    Move {
        from: usize,
        to: usize,
        uids: Vec<u32>,
    },
    Expunge {
        mailbox: usize,
        uids: Vec<u32>,
    },
    /// Removed, and made again under the same address.
    Account {
        which: usize,
    },
    /// The same for a mailbox that is no INBOX.
    Mailbox {
        index: usize,
    },
    /// Annotations of a mailbox, or of an account itself (6 and 7); no value: removed.
    Annotate {
        of: usize,
        changes: Vec<(u8, Option<u8>)>,
    },
    Reclaim,
    Reopen,
    /// Goes on with a copy of what is on the disk.
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    // Two accounts with three mailboxes each.
    let mailbox = 0usize..6;
    let uids = || prop::collection::vec(1u32..14, 0..5);
    let keyword = || prop::option::of(0u8..4);
    prop_oneof![
        4 => (prop::collection::vec(0usize..2, 1..3), 0usize..3000).prop_map(|(to, size)| Op::Deliver { to, size }),
        3 => (mailbox.clone(), prop::collection::vec(0usize..3000, 0..4), 0u8..32, keyword())
            .prop_map(|(mailbox, sizes, flags, keyword)| Op::Append { mailbox, sizes, flags, keyword }),
        4 => (mailbox.clone(), uids(), 0u8..4, 0u8..32, keyword(), prop::option::of(0u8..4))
            .prop_map(|(mailbox, uids, how, flags, keyword, since)| {
                Op::Flags { mailbox, uids, how, flags, keyword, since }
            }),
        2 => (mailbox.clone(), mailbox.clone(), uids()).prop_map(|(from, to, uids)| Op::Copy { from, to, uids }),
        2 => (mailbox.clone(), mailbox.clone(), uids()).prop_map(|(from, to, uids)| Op::Move { from, to, uids }),
        3 => (mailbox, uids()).prop_map(|(mailbox, uids)| Op::Expunge { mailbox, uids }),
        1 => (0usize..2).prop_map(|which| Op::Account { which }),
        1 => prop::sample::select(vec![1usize, 2, 4, 5]).prop_map(|index| Op::Mailbox { index }),
        2 => (0usize..8, prop::collection::vec((0u8..5, prop::option::of(0u8..3)), 0..4))
            .prop_map(|(of, changes)| Op::Annotate { of, changes }),
        1 => Just(Op::Reclaim),
        1 => Just(Op::Reopen),
        1 => Just(Op::Crash),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Message {
    flags: Flags,
    keywords: BTreeSet<String>,
    bytes: Vec<u8>,
    /// The number of the step that changed it last.
    changed: usize,
}

#[derive(Clone, Debug, Default)]
struct Mailbox {
    next: u32,
    messages: BTreeMap<u32, Message>,
    /// UID and the step that removed it.
    gone: Vec<(u32, usize)>,
}

impl Mailbox {
    fn add(&mut self, message: Message) -> u32 {
        self.next += 1;
        self.messages.insert(self.next, message);
        self.next
    }
}

fn keywords(keyword: Option<u8>) -> Vec<Keyword> {
    keyword.and_then(|n| Keyword::new(&format!("k{n}"))).into_iter().collect()
}

fn named(keywords: &[Keyword]) -> BTreeSet<String> {
    keywords.iter().map(|keyword| keyword.as_str().to_owned()).collect()
}

fn real(uids: &[u32]) -> Vec<Uid> {
    uids.iter().filter_map(|uid| Uid::new(*uid)).collect()
}

fn sorted(uids: &[u32]) -> Vec<u32> {
    uids.iter().copied().collect::<BTreeSet<_>>().into_iter().collect()
}

/// The store, the model, and what ties them.
struct Pair {
    dir: tempfile::TempDir,
    store: Arc<LocalStore>,
    accounts: Vec<AccountId>,
    ids: Vec<MailboxId>,
    model: Vec<Mailbox>,
    /// HIGHESTMODSEQ of each mailbox after each step.
    modseqs: Vec<Vec<ModSeq>>,
    watches: Vec<MailboxWatch>,
    /// Of the mailboxes, then of the accounts themselves.
    annotations: Vec<BTreeMap<String, Vec<u8>>>,
    delivered: u64,
    step: usize,
}

fn open(dir: &std::path::Path) -> Arc<LocalStore> {
    LocalStore::open(dir, Options { segment_len: 8000, wal_len: 200_000, arrivals: 7, ..support::options() }).unwrap()
}

impl Pair {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let (mut accounts, mut ids) = (Vec::new(), Vec::new());
        for who in WHO {
            let account = suite::account(&*store, who).await;
            accounts.push(account);
            for name in NAMES {
                ids.push(store.mailbox(account, name).await.unwrap().unwrap());
            }
        }
        let model = vec![Mailbox::default(); ids.len()];
        let annotations = vec![BTreeMap::new(); ids.len() + accounts.len()];
        let (modseqs, watches) = (Vec::new(), Vec::new());
        let mut pair = Self { dir, store, accounts, ids, model, modseqs, watches, annotations, delivered: 0, step: 0 };
        pair.note().await;
        pair
    }

    async fn note(&mut self) {
        let mut now = Vec::new();
        for id in &self.ids {
            now.push(self.store.status(*id).await.unwrap().highest_modseq);
        }
        self.modseqs.push(now);
    }

    async fn run(&mut self, op: Op) {
        self.step += 1;
        match op {
            Op::Deliver { to, size } => self.deliver(&to, size).await,
            Op::Append { mailbox, sizes, flags, keyword } => self.append(mailbox, &sizes, flags, keyword).await,
            Op::Flags { mailbox, uids, how, flags, keyword, since } => {
                self.flags(mailbox, &uids, how, flags, keyword, since).await;
            }
            Op::Copy { from, to, uids } => {
                let done = self.store.copy(self.ids[from], &real(&uids), self.ids[to], NOW).await;
                let expected = self.copy(from, to, &uids);
                assert_eq!(done.unwrap().into_inner().uids, expected);
            }
            Op::Move { from, to, uids } => {
                let done = self.store.move_messages(self.ids[from], &real(&uids), self.ids[to], NOW).await;
                let expected = self.copy(from, to, &uids);
                for (old, _) in &expected {
                    self.remove(from, old.get());
                }
                assert_eq!(done.unwrap().into_inner().uids, expected);
            }
            Op::Expunge { mailbox, uids } => {
                let done = self.store.expunge(self.ids[mailbox], &real(&uids)).await.unwrap().into_inner();
                let there: Vec<u32> =
                    sorted(&uids).into_iter().filter(|uid| self.model[mailbox].messages.contains_key(uid)).collect();
                for uid in &there {
                    self.remove(mailbox, *uid);
                }
                assert_eq!(done, real(&there));
            }
            Op::Account { which } => {
                self.watches.clear();
                self.store.remove_account(self.accounts[which]).await.unwrap().into_inner();
                self.accounts[which] = suite::account(&*self.store, WHO[which]).await;
                for index in which * 3..which * 3 + 3 {
                    self.is_new(index).await;
                }
                self.annotations[6 + which].clear();
            }
            Op::Mailbox { index } => {
                self.watches.clear();
                let (account, name) = (self.accounts[index / 3], NAMES[index % 3]);
                self.store.delete_mailbox(account, name).await.unwrap().into_inner();
                self.store.create_mailbox(account, name, None).await.unwrap().into_inner();
                self.is_new(index).await;
            }
            Op::Annotate { of, changes } => self.annotate(of, changes).await,
            Op::Crash => {
                self.watches.clear();
                let copy = tempfile::tempdir().unwrap();
                support::copy_dir(self.dir.path(), copy.path());
                self.store = open(copy.path());
                self.dir = copy;
            }
            Op::Reclaim => drop(self.store.reclaim().await.unwrap()),
            Op::Reopen => {
                self.watches.clear();
                self.store.close().await;
                self.store = open(self.dir.path());
            }
        }
        self.note().await;
        self.compare().await;
    }

    /// Takes the place of one that was removed: nothing of that is left.
    async fn is_new(&mut self, index: usize) {
        self.ids[index] = self.store.mailbox(self.accounts[index / 3], NAMES[index % 3]).await.unwrap().unwrap();
        self.model[index] = Mailbox::default();
        self.annotations[index].clear();
        self.modseqs.iter_mut().for_each(|step| step[index] = ModSeq(0));
    }

    /// Whose annotations those are.
    fn annotated(&self, of: usize) -> (AccountId, Option<&'static str>) {
        if of < 6 { (self.accounts[of / 3], Some(NAMES[of % 3])) } else { (self.accounts[of - 6], None) }
    }

    async fn annotate(&mut self, of: usize, changes: Vec<(u8, Option<u8>)>) {
        let mut asked = Vec::new();
        for (entry, value) in changes {
            let (entry, value) = (format!("/private/{entry}"), value.map(|size| self.bytes(size.into())));
            match value.clone() {
                Some(value) => drop(self.annotations[of].insert(entry.clone(), value)),
                None => drop(self.annotations[of].remove(&entry)),
            }
            asked.push(AnnotationChange { entry, value });
        }
        let (account, name) = self.annotated(of);
        self.store.annotate(account, name, asked).await.unwrap().into_inner();
    }

    fn bytes(&self, size: usize) -> Vec<u8> {
        (0..size).map(|n| (n * 7 + self.step) as u8).collect()
    }

    async fn deliver(&mut self, to: &[usize], size: usize) {
        let mut message = suite::acceptance(self.store.next_queue_id(NOW), "s@far.example", "<m@far.example>");
        for account in to {
            suite::deliver_to(&mut message, self.accounts[*account], WHO[*account]);
        }
        let prefixes: Vec<_> = message.deliveries.iter().map(|delivery| delivery.prefix.clone()).collect();
        let bytes = self.bytes(size);
        let done = self.store.accept(suite::staged(&*self.store, &bytes).await, message).await.unwrap().into_inner();
        self.delivered += to.len() as u64;
        for ((account, prefix), (id, uid)) in to.iter().zip(prefixes).zip(done.delivered) {
            let message = Message {
                flags: Flags::NONE,
                keywords: BTreeSet::new(),
                bytes: [prefix, bytes.clone()].concat(),
                changed: self.step,
            };
            assert_eq!((self.model[account * 3].add(message), self.ids[account * 3]), (uid.get(), id));
        }
    }

    async fn append(&mut self, mailbox: usize, sizes: &[usize], flags: u8, keyword: Option<u8>) {
        let (flags, keywords) = (Flags::from_bits(flags), keywords(keyword));
        let mut messages = Vec::new();
        let mut expected = Vec::new();
        for size in sizes {
            let bytes = self.bytes(*size);
            let row = AppendMessage { flags, keywords: keywords.clone(), internal_date: NOW };
            messages.push((suite::staged(&*self.store, &bytes).await, row));
            let message = Message { flags, keywords: named(&keywords), bytes, changed: self.step };
            expected.push(self.model[mailbox].add(message));
        }
        let uids = self.store.append(self.ids[mailbox], messages, NOW).await.unwrap().into_inner().uids;
        assert_eq!(uids, real(&expected));
    }

    async fn flags(
        &mut self,
        mailbox: usize,
        uids: &[u32],
        how: u8,
        flags: u8,
        keyword: Option<u8>,
        since: Option<u8>,
    ) {
        let among = FlagOperation::ReplaceAmong { flags: Flags::SEEN.with(Flags::DRAFT), keywords: flags & 1 == 1 };
        let operations = [FlagOperation::Add, FlagOperation::Remove, FlagOperation::Replace, among];
        let operation = operations[usize::from(how)];
        let (flags, keywords) = (Flags::from_bits(flags), keywords(keyword));
        // Unchanged since the end of some step before.
        let since = since.map(|back| (self.step - 1).saturating_sub(back.into()));
        let change = FlagChange {
            operation,
            flags,
            keywords: keywords.clone(),
            unchanged_since: since.map(|step| self.modseqs[step][mailbox]),
        };
        let uids = sorted(uids);
        let done = self.store.set_flags(self.ids[mailbox], &real(&uids), change).await.unwrap().into_inner();
        let (mut stored, mut modified) = (Vec::new(), Vec::new());
        for uid in uids {
            let Some(message) = self.model[mailbox].messages.get_mut(&uid) else { continue };
            if since.is_some_and(|since| message.changed > since) {
                modified.push(uid);
                continue;
            }
            stored.push(uid);
            let mut new = message.clone();
            let names = named(&keywords);
            match operation {
                FlagOperation::Add => {
                    new.flags = new.flags.with(flags);
                    new.keywords.extend(names);
                }
                FlagOperation::Remove => {
                    new.flags = new.flags.without(flags);
                    new.keywords.retain(|name| !names.contains(name));
                }
                FlagOperation::Replace => (new.flags, new.keywords) = (flags, names),
                FlagOperation::ReplaceAmong { flags: among, keywords } => {
                    new.flags = new.flags.without(among).with(flags);
                    if keywords {
                        new.keywords = names;
                    }
                }
            }
            if new != *message {
                *message = Message { changed: self.step, ..new };
            }
        }
        assert_eq!((done.stored, done.modified), (real(&stored), real(&modified)));
    }

    fn copy(&mut self, from: usize, to: usize, uids: &[u32]) -> Vec<(Uid, Uid)> {
        let mut pairs = Vec::new();
        let source = self.model[from].messages.clone();
        for uid in sorted(uids) {
            let Some(message) = source.get(&uid) else { continue };
            let new = self.model[to].add(Message { changed: self.step, ..message.clone() });
            pairs.extend(Uid::new(uid).zip(Uid::new(new)));
        }
        pairs
    }

    fn remove(&mut self, mailbox: usize, uid: u32) {
        self.model[mailbox].messages.remove(&uid);
        self.model[mailbox].gone.push((uid, self.step));
    }

    async fn compare(&mut self) {
        if self.watches.is_empty() {
            for id in &self.ids {
                self.watches.push(self.store.watch(*id).await.unwrap());
            }
        }
        for (index, model) in self.model.iter().enumerate() {
            let id = self.ids[index];
            let snapshot = self.watches[index].newest().unwrap();
            let status = self.store.status(id).await.unwrap();
            assert_eq!((status.messages as usize, snapshot.len()), (model.messages.len(), model.messages.len()));
            assert_eq!((status.uid_next, snapshot.uid_next.get()), (snapshot.uid_next, model.next + 1));
            assert_eq!(status.highest_modseq, snapshot.highest_modseq);
            assert!(self.modseqs[self.step][index] >= self.modseqs[self.step - 1][index]);
            for (row, (uid, message)) in snapshot.iter().zip(&model.messages) {
                assert_eq!((row.uid.get(), row.flags, row.size as usize), (*uid, message.flags, message.bytes.len()));
                let names = snapshot.keywords_of(&row).map(|keyword| keyword.as_str().to_owned()).collect();
                assert_eq!(message.keywords, names);
                // Changed in a step: above the highest modseq of the step before, not above that of the step.
                assert!(row.modseq > self.modseqs[message.changed - 1][index]);
                assert!(row.modseq <= self.modseqs[message.changed][index]);
            }
            let since = self.step.saturating_sub(3);
            let gone = self.store.vanished(id, self.modseqs[since][index]).await.unwrap().unwrap();
            let mut expected: Vec<u32> =
                model.gone.iter().filter(|(_, step)| *step > since).map(|(uid, _)| *uid).collect();
            expected.sort_unstable();
            assert_eq!(gone, real(&expected));
        }
        for (of, model) in self.annotations.iter().enumerate() {
            let (account, name) = self.annotated(of);
            let mut found = self.store.annotations(account, name).await.unwrap();
            // Of Archive and Trash it is the special use that they were made with.
            found.retain(|annotation| annotation.entry != store::SPECIAL_USE_ENTRY);
            let found: Vec<_> = found.into_iter().map(|annotation| (annotation.entry, annotation.value)).collect();
            assert_eq!(found, model.clone().into_iter().collect::<Vec<_>>());
        }
        // What counts against the quota is what is stored, to the octet.
        for (id, mailboxes) in self.accounts.iter().zip(self.model.chunks(3)) {
            let stored = mailboxes.iter().flat_map(|mailbox| mailbox.messages.values());
            let account = self.store.account(*id).await.unwrap().unwrap();
            let sizes: Vec<_> = stored.map(|message| message.bytes.len() as u64).collect();
            assert_eq!((account.used, account.messages), (sizes.iter().sum(), sizes.len() as u64));
        }
        let balance = self.store.balance().await.unwrap();
        assert_eq!((balance.accepted, balance.delivered), (self.delivered, self.delivered));
    }

    async fn finish(mut self) {
        for (index, model) in self.model.iter().enumerate() {
            let uids: Vec<u32> = model.messages.keys().copied().collect();
            let bodies = self.store.bodies(self.ids[index], &real(&uids)).await.unwrap();
            assert_eq!(bodies.len(), uids.len());
            for ((_, body), message) in bodies.iter().zip(model.messages.values()) {
                assert_eq!(suite::read(body).await, message.bytes);
            }
            let shared = self.watches[index].newest().unwrap();
            self.watches[index] = self.store.watch(self.ids[(index + 1) % 6]).await.unwrap();
            let fresh = self.store.watch(self.ids[index]).await.unwrap().newest().unwrap();
            assert!(fresh.iter().eq(shared.iter()));
        }
        suite::check(&*self.store).await;
    }
}

/// What a mailbox held is taken off its account's use once, also where nothing was read of the account before.
#[tokio::test]
async fn a_mailbox_that_is_deleted_right_after_a_start_is_counted_once() {
    let mut pair = Pair::new().await;
    let append = Op::Append { mailbox: 1, sizes: vec![7], flags: 0, keyword: None };
    for op in [Op::Deliver { to: vec![0], size: 9 }, append, Op::Reopen, Op::Mailbox { index: 1 }] {
        pair.run(op).await;
    }
    pair.finish().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn operations_agree_with_a_model(ops in prop::collection::vec(op(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut pair = Pair::new().await;
            for op in ops {
                pair.run(op).await;
            }
            pair.finish().await;
        });
    }
}
