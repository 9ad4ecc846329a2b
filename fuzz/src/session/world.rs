//! A store in memory with Alice in it, new for every session.
//!
//! A commit goes through three threads, which costs more than most sessions; so what is needed again and again is made and
//! taken away for many at once.

use std::cell::RefCell;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mail::{AccountId, Address, Domain, Flags, MailboxId, Timestamp};
use store::{AppendMessage, NewAccount, PasswordHash, Store};
use store_local::{LocalStore, Options};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Sessions that one store sees: its files grow.
const SESSIONS: usize = 2000;
/// Accounts that are made in one commit, and go in one.
const AT_ONCE: usize = 32;
/// Sessions whose mail Alice takes before she is as new again.
const MAILS: usize = 20;
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
pub(crate) const PASSWORD: &str = "secret";
/// Alice's mail.
pub(crate) const MESSAGES: [&[u8]; 3] = [
    b"From: Bob <bob@blue.example>\r\nTo: alice@red.example\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n\
      Date: Tue, 24 Nov 2026 09:30:00 +0000\r\nMessage-ID: <1@blue.example>\r\n\r\n.dots\r\n..\r\nend\r\n",
    b"Subject: parts\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\
      Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nx\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\
      Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename*0*=utf-8''a%20; filename*1=b\r\n\r\n\
      PHA+\r\n--b--\r\n",
    b"bare\nlines without an end",
];

/// A folder in memory, where the machine has one.
pub(crate) fn memory() -> PathBuf {
    let shared = PathBuf::from("/dev/shm");
    if shared.is_dir() { shared } else { std::env::temp_dir() }
}

pub(crate) struct World {
    pub(crate) store: Arc<LocalStore>,
    sessions: usize,
    /// Nobody changed anything of theirs yet.
    fresh: Vec<Alice>,
    /// Done with.
    gone: Vec<AccountId>,
    made: usize,
    /// She whose address strangers know, and how often mail came to her.
    known: Option<(Alice, usize)>,
    _dir: TempDir,
}

/// Who lives here for one session.
#[derive(Clone, Copy)]
pub(crate) struct Alice {
    pub(crate) account: AccountId,
    pub(crate) inbox: MailboxId,
}

thread_local! {
    static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Runs a session to its end.
pub(crate) fn block_on<T>(session: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(session))
}

pub(crate) fn red() -> Domain {
    Domain::from_ascii("red.example").expect("a domain")
}

/// What a session left behind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing: the next session may find the same Alice.
    AsItWas,
    Changed,
}

/// Runs a session with a store in which Alice is as new. What it changed is checked, and she goes.
pub(crate) fn with(session: impl AsyncFnOnce(&Arc<LocalStore>, Alice) -> Left) {
    in_world(async |world| {
        let alice = world.fresh().await;
        match session(&world.store, alice).await {
            Left::AsItWas => world.fresh.push(alice),
            Left::Changed => {
                world.gone.push(alice.account);
                world.check().await;
            }
        }
    });
}

/// The same with the Alice whose address is known (alice@red.example), to whom mail may have come in sessions before.
pub(crate) fn with_known(session: impl AsyncFnOnce(&Arc<LocalStore>, Alice) -> Left) {
    in_world(async |world| {
        let (alice, mails) = match world.known.take() {
            Some(known) => known,
            None => (add_alice(world.store.clone(), "alice".into()).await, 0),
        };
        let left = session(&world.store, alice).await;
        world.known = Some((alice, mails));
        if left == Left::Changed {
            world.known = (mails < MAILS).then_some((alice, mails + 1));
            if world.known.is_none() {
                let _ = world.store.remove_account(alice.account).await.expect("an account that is there");
            }
            world.check().await;
        }
    });
}

fn in_world(session: impl AsyncFnOnce(&mut World)) {
    WORLD.with_borrow_mut(|kept| {
        if kept.as_ref().is_none_or(|world| world.sessions >= SESSIONS) {
            drop(kept.take());
            *kept = Some(block_on(World::new()));
        }
        block_on(session(kept.as_mut().expect("just made")));
    });
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir_in(memory()).expect("a folder");
        let options = Options { reserve: 0, readers: 1, segment_len: 1 << 20, ..Options::default() };
        let store = LocalStore::open(dir.path(), options).expect("a store");
        let _ = store.add_domain(&red()).await.expect("a new domain");
        Self { store, sessions: 0, fresh: Vec::new(), gone: Vec::new(), made: 0, known: None, _dir: dir }
    }

    async fn fresh(&mut self) -> Alice {
        if self.fresh.is_empty() {
            let mut making = JoinSet::new();
            for _ in 0..AT_ONCE {
                self.made += 1;
                making.spawn(add_alice(self.store.clone(), format!("alice{}", self.made)));
            }
            self.fresh = making.join_all().await;
        }
        self.fresh.pop().expect("just made")
    }

    /// After a session that changed something.
    async fn check(&mut self) {
        self.sessions += 1;
        let balance = self.store.balance().await.expect("a balance");
        assert!(balance.holds(), "{balance:?}");
        if self.sessions % 64 == 0 {
            let findings = self.store.check(true).await.expect("a check");
            assert!(!findings.iter().any(|finding| finding.error), "{findings:?}");
        }
        if self.gone.len() >= AT_ONCE {
            let mut removing = JoinSet::new();
            for account in std::mem::take(&mut self.gone) {
                let store = self.store.clone();
                removing.spawn(async move { store.remove_account(account).await.map(drop) });
            }
            for removed in removing.join_all().await {
                removed.expect("an account that is there");
            }
        }
    }
}

async fn add_alice(store: Arc<LocalStore>, name: String) -> Alice {
    let account = NewAccount {
        address: Address::new(&name, red()).expect("an address"),
        password: PasswordHash("none".into()),
        scram: None,
        quota: Some(1 << 20),
    };
    let account = store.add_account(account, NOW).await.expect("a new account").into_inner();
    let inbox = store.mailbox(account, "INBOX").await.expect("a store").expect("an INBOX");
    let mut messages = Vec::new();
    for message in MESSAGES {
        let mut stage = store.stage(None).await.expect("room");
        stage.write(message).await.expect("room");
        messages.push((stage, AppendMessage { flags: Flags::NONE, keywords: Vec::new(), internal_date: NOW }));
    }
    let _ = store.append(inbox, messages, NOW).await.expect("an INBOX");
    Alice { account, inbox }
}

/// Time stands still, and chance is always the same.
pub(crate) struct Still;

#[async_trait]
impl mta::world::Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }

    async fn sleep(&self, _: Duration) {}
}

impl mta::world::Random for Still {
    fn next(&self) -> u64 {
        7
    }
}

/// Whether every line ends with CRLF, and has neither a control character nor a line end within it.
pub(crate) fn assert_lines(said: &[u8]) {
    assert!(said.is_empty() || said.ends_with(b"\r\n"), "{}", said.escape_ascii());
    for line in said.split_inclusive(|byte| *byte == b'\n') {
        let text = line.strip_suffix(b"\r\n").unwrap_or(line);
        assert!(!text.iter().any(|byte| byte.is_ascii_control()), "{}", line.escape_ascii());
    }
}
