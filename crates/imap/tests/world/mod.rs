//! A store in a temporary folder and connections in memory: what the tests of IMAP sessions stand on.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests; each uses a part"
)]

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use imap::{End, Host, Identity, Input, LoginRefused, Patience, Security, Service, Session};
use mail::{AccountId, Address, Domain, Flags, Timestamp};
use store::{AppendMessage, NewAccount, PasswordHash, Store};
use store_local::{LocalStore, Options};
use tempfile::TempDir;
use testkit::transcript::{Enough, Received, Scene, Subject};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use wire::sasl::ChannelBinding;
use wire::sasl::scram::Keys;

pub const USER: &str = "alice@red.example";
/// Who has nothing but what Alice shares with him.
pub const OTHER: &str = "bob@red.example";
pub const PASSWORD: &str = "secret";
/// Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

pub static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// A mail store with Alice and Bob in it.
pub struct World {
    pub store: Arc<LocalStore>,
    pub service: Arc<Service>,
    pub account: AccountId,
    pub other: AccountId,
    pub keys: Option<Keys>,
    /// What time it is, in seconds.
    pub clock: Arc<AtomicI64>,
    pub dir: TempDir,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { reserve: 0, digests: Some(imap::digest::VERSION), ..Options::default() };
        let store = LocalStore::open(dir.path(), options).unwrap();
        let [account, other] = RUNTIME.block_on(async {
            let domain = Domain::from_ascii("red.example").unwrap();
            let _ = store.add_domain(&domain).await.unwrap();
            let mut ids = Vec::new();
            for name in ["alice", "bob"] {
                let address = Address::new(name, domain.clone()).unwrap();
                let account = NewAccount { address, password: PasswordHash("none".into()), scram: None, quota: None };
                let now = Timestamp::from_secs(1_793_000_000);
                ids.push(store.add_account(account, now).await.unwrap().into_inner());
            }
            <[_; 2]>::try_from(ids).unwrap()
        });
        let service = Arc::new(Service::new(store.clone(), "mail.red.example"));
        let clock = Arc::new(AtomicI64::new(1_795_000_000));
        Self { store, service, account, other, keys: None, clock, dir }
    }

    /// Puts the messages of a folder into INBOX, in order of name, a day apart from 1 Nov 2026 12:00 UTC on.
    pub fn fill(&self, folder: &Path) {
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for (day, file) in (0..).zip(files) {
            self.append("INBOX", &std::fs::read(file).unwrap(), Timestamp::from_secs(1_793_534_400 + day * 86_400));
        }
    }

    pub fn append(&self, mailbox: &str, message: &[u8], internal_date: Timestamp) {
        RUNTIME.block_on(async {
            let id = self.store.mailbox(self.account, mailbox).await.unwrap().unwrap();
            let mut stage = self.store.stage(None).await.unwrap();
            stage.write(message).await.unwrap();
            let message = AppendMessage { flags: Flags::NONE, keywords: Vec::new(), internal_date };
            let _ = self.store.append(id, vec![(stage, message)], internal_date).await.unwrap();
        });
    }

    /// Puts as many messages at once into INBOX; those with odd UIDs are flagged.
    pub fn append_many(&self, count: usize) {
        RUNTIME.block_on(async {
            let inbox = self.store.mailbox(self.account, "INBOX").await.unwrap().unwrap();
            let mut messages = Vec::new();
            for n in 0..count {
                let mut stage = self.store.stage(None).await.unwrap();
                stage.write(b"A: \r\n\r\n").await.unwrap();
                let flags = if n % 2 == 0 { Flags::FLAGGED } else { Flags::NONE };
                let internal_date = Timestamp::from_secs(1_793_000_000);
                messages.push((stage, AppendMessage { flags, keywords: Vec::new(), internal_date }));
            }
            let _ = self.store.append(inbox, messages, Timestamp::from_secs(1_793_000_000)).await.unwrap();
        });
    }

    /// Makes digests of all messages that are there; before that there are none.
    pub fn digest(&self) {
        RUNTIME.block_on(async {
            tokio::select! {
                () = imap::digest::make(self.service.clone()) => {}
                () = self.store.digested() => {}
            }
        });
    }

    pub fn set_quota(&self, quota: u64) {
        let set = self.store.set_quota(self.account, Some(quota));
        let _ = RUNTIME.block_on(set).unwrap();
    }

    /// Opens a connection.
    pub fn connect(&self, settings: Settings) -> Client {
        let pipe = Arc::new(Pipe::default());
        pipe.state.lock().unwrap().tls = settings.tls;
        let mut host = MemoryHost {
            pipe: pipe.clone(),
            settings,
            account: self.account,
            other: self.other,
            keys: self.keys.clone(),
            clock: self.clock.clone(),
        };
        let session = Session::new(self.service.clone());
        RUNTIME.spawn(async move {
            session.run(&mut host).await;
            host.pipe.close();
        });
        Client(pipe)
    }
}

/// The invariants hold at the end of every test.
impl Drop for World {
    fn drop(&mut self) {
        let findings = RUNTIME.block_on(async {
            let findings = self.store.check(true).await.unwrap();
            self.store.close().await;
            findings
        });
        let errors: Vec<_> = findings.into_iter().filter(|finding| finding.error).collect();
        assert!(std::thread::panicking() || errors.is_empty(), "{errors:?}");
    }
}

/// What a connection is like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    pub tls: bool,
    pub starttls: bool,
    pub remote: bool,
    pub scram: bool,
    pub jmap: bool,
}

#[derive(Default)]
struct State {
    input: Vec<u8>,
    eof: bool,
    output: Vec<u8>,
    /// The session waits for input and there is none.
    waiting: bool,
    closed: bool,
    tls: bool,
    handshake: bool,
    /// Octets of the largest write.
    largest: usize,
}

#[derive(Default)]
struct Pipe {
    state: Mutex<State>,
    input: Notify,
    news: Condvar,
}

impl Pipe {
    fn close(&self) {
        self.state.lock().unwrap().closed = true;
        self.news.notify_all();
    }
}

struct MemoryHost {
    pipe: Arc<Pipe>,
    settings: Settings,
    account: AccountId,
    other: AccountId,
    keys: Option<Keys>,
    clock: Arc<AtomicI64>,
}

struct Waiting<'p>(&'p Pipe);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().waiting = false;
    }
}

#[async_trait]
impl Host for MemoryHost {
    async fn read(&mut self, input: &mut Vec<u8>, _: Patience) -> Result<Input, End> {
        loop {
            let waiting = {
                let mut state = self.pipe.state.lock().unwrap();
                if !state.input.is_empty() {
                    input.append(&mut state.input);
                    return Ok(Input::Bytes);
                }
                if state.eof {
                    return Ok(Input::Closed);
                }
                state.waiting = true;
                Waiting(&self.pipe)
            };
            self.pipe.news.notify_all();
            self.pipe.input.notified().await;
            drop(waiting);
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        let mut state = self.pipe.state.lock().unwrap();
        state.output.extend_from_slice(bytes);
        state.largest = state.largest.max(bytes.len());
        drop(state);
        self.pipe.news.notify_all();
        Ok(())
    }

    /// Waits for the client, and drops what it sent before.
    async fn start_tls(&mut self) -> Result<(), End> {
        loop {
            {
                let mut state = self.pipe.state.lock().unwrap();
                if state.handshake {
                    state.input.clear();
                    state.tls = true;
                    state.handshake = false;
                    self.pipe.news.notify_all();
                    return Ok(());
                }
            }
            self.pipe.input.notified().await;
        }
    }

    fn security(&self) -> Security {
        let tls = self.pipe.state.lock().unwrap().tls;
        let passwords = tls || !self.settings.remote;
        Security { tls, starttls: self.settings.starttls, passwords, scram: self.settings.scram }
    }

    /// The pump's own affair: what it compresses is tested there.
    fn can_compress(&self) -> bool {
        false
    }

    fn compress(&mut self, _: &[u8]) {}

    fn binding(&self) -> ChannelBinding {
        let exporter = self.pipe.state.lock().unwrap().tls.then(|| vec![7; 32]);
        ChannelBinding { tls_exporter: exporter, tls_server_end_point: None }
    }

    fn message_size(&self) -> u64 {
        10_000_000
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.clock.load(Ordering::Relaxed))
    }

    fn jmap_session(&self) -> Option<String> {
        self.settings.jmap.then(|| "https://mail.red.example/jmap/session".to_owned())
    }

    fn secret(&self) -> [u8; 32] {
        static COUNT: AtomicU8 = AtomicU8::new(0);
        [COUNT.fetch_add(1, Ordering::Relaxed); 32]
    }

    async fn log_in(&mut self, user: &str, password: &str) -> Result<Identity, LoginRefused> {
        // Two who can't be let in, whatever they say.
        if user.starts_with("often@") {
            Err(LoginRefused::TooMany)
        } else if user.starts_with("unchecked@") {
            Err(LoginRefused::Temporary)
        } else if user.eq_ignore_ascii_case(USER) && password == PASSWORD {
            Ok(Identity { account: self.account, name: USER.into() })
        } else if user == OTHER && password == PASSWORD {
            Ok(Identity { account: self.other, name: OTHER.into() })
        } else {
            Err(LoginRefused::Credentials)
        }
    }

    async fn scram_keys(&mut self, _: &str) -> Result<(Keys, Vec<u8>), LoginRefused> {
        Ok((self.keys.clone().ok_or(LoginRefused::Temporary)?, b"0123456789abcdef01".to_vec()))
    }

    async fn scram_ended(&mut self, user: &str, right: bool) -> Result<Identity, LoginRefused> {
        if user == USER && right {
            Ok(Identity { account: self.account, name: USER.into() })
        } else {
            Err(LoginRefused::Credentials)
        }
    }
}

/// The client's end of a connection.
pub struct Client(Arc<Pipe>);

impl Client {
    /// Reads until what came satisfies `enough`, and returns all of it.
    pub fn read_until(&mut self, mut enough: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
        let received = self.receive(&mut |bytes| if enough(bytes) { Enough::Yes } else { Enough::No }).unwrap();
        assert!(enough(&received.bytes), "{}", String::from_utf8_lossy(&received.bytes));
        received.bytes
    }

    /// Octets of the largest write to the connection so far.
    pub fn largest_write(&self) -> usize {
        self.0.state.lock().unwrap().largest
    }

    /// Sends a command whose tag is `t`, and returns all that is said up to and with its tagged reply.
    pub fn command(&mut self, command: &str) -> String {
        self.send(format!("t {command}\r\n").as_bytes()).unwrap();
        let is_end = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.ends_with("\r\n") && text.lines().last().is_some_and(|line| line.starts_with("t "))
        };
        String::from_utf8(self.read_until(is_end)).unwrap()
    }
}

impl Subject for Client {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.state.lock().unwrap();
        if state.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        state.input.extend_from_slice(bytes);
        state.waiting = false;
        drop(state);
        self.0.input.notify_one();
        Ok(())
    }

    fn receive(&mut self, enough: &mut dyn FnMut(&[u8]) -> Enough) -> io::Result<Received> {
        let deadline = Instant::now() + PATIENCE;
        let mut bytes = Vec::new();
        let mut state = self.0.state.lock().unwrap();
        loop {
            bytes.append(&mut state.output);
            let verdict = enough(&bytes);
            let quiet = state.waiting && state.input.is_empty();
            let left = deadline.saturating_duration_since(Instant::now());
            if verdict == Enough::Yes || state.closed || verdict == Enough::IfQuiet && quiet || left.is_zero() {
                return Ok(Received { bytes, closed: state.closed });
            }
            state = self.0.news.wait_timeout(state, left).unwrap().0;
        }
    }

    fn start_tls(&mut self) -> io::Result<()> {
        let mut state = self.0.state.lock().unwrap();
        state.handshake = true;
        self.0.input.notify_one();
        while state.handshake && !state.closed {
            state = self.0.news.wait(state).unwrap();
        }
        Ok(())
    }

    fn close(&mut self) {
        self.0.state.lock().unwrap().eof = true;
        self.0.input.notify_one();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.close();
        // The session lets go of the store before the world checks it.
        let mut state = self.0.state.lock().unwrap();
        while !state.closed {
            state = self.0.news.wait(state).unwrap();
        }
    }
}

/// One run of a transcript.
pub struct MemoryScene {
    pub world: World,
    pub settings: Settings,
}

impl Scene for MemoryScene {
    fn open(&mut self, _: usize) -> io::Result<Box<dyn Subject>> {
        Ok(Box::new(self.world.connect(self.settings)))
    }
}
