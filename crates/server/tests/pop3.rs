//! POP3 over real sockets on the embedded store: the dialogues of `tests/transcripts/pop3`, a maildrop that IMAP
//! changes meanwhile, large messages, lost connections.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail::{AccountId, Flags, MailboxId, Timestamp, Uid};
use rustls::ClientConfig;
use server::listen::{Doors, Handler, Listener, Service};
use server::settings::PlaintextAuth;
use server::tls::{Acceptor, SiteFiles};
use server::{Settings, Shared, Shutdown, ShutdownSwitch, SystemClock};
use store::conformance::{address, domain};
use store::{AccountState, AppendMessage, NewAccount, ScramKeys, Store};
use store_local::{LocalStore, Options};
use testkit::authority::certify;
use testkit::socket::Socket;
use testkit::transcript::{Enough, Subject, Transcript, run};
use tokio::runtime::Runtime;
use wire::sasl::scram::Keys;

const ALICE: &str = "alice@red.example";

/// A store with Alice's account, and servers on it.
struct World {
    runtime: Runtime,
    store: Arc<LocalStore>,
    alice: AccountId,
    inbox: MailboxId,
    switches: Vec<ShutdownSwitch>,
    folder: tempfile::TempDir,
    trusted: Arc<ClientConfig>,
}

impl World {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path().join("data"), Options::default()).unwrap();
        let trusted = certify(folder.path(), "mail.red.example");
        let (alice, inbox) = runtime.block_on(account(&store));
        Self { runtime, store, alice, inbox, switches: Vec::new(), folder, trusted }
    }

    /// A server with settings of its own; `tls`: it can start TLS.
    fn serve(&mut self, change: impl FnOnce(&mut Settings), tls: bool) -> SocketAddr {
        let mut settings = Settings::new(domain("mail.red.example"));
        change(&mut settings);
        let path = self.folder.path();
        let site = SiteFiles { certificate: path.join("cert.pem"), key: path.join("key.pem") };
        let acceptor = tls.then(|| Acceptor::load(&[site]).unwrap());
        let (switch, shutdown) = Shutdown::new();
        self.switches.push(switch);
        let shared = Arc::new(Shared::new(self.store.clone(), Arc::new(SystemClock), settings, acceptor, shutdown));
        let handler: Handler =
            Arc::new(|connection, service, shared| Box::pin(server::pop3::serve(connection, service, shared)));
        let _inside = self.runtime.enter();
        let listener = Listener::bind(Service::Pop3, "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address().unwrap();
        self.runtime.spawn(Doors::open(vec![listener], shared, handler).stop());
        address
    }

    /// Waits until no session has the maildrop, empties it, and puts messages into it.
    fn refill(&self, messages: &[Vec<u8>]) -> Vec<Uid> {
        self.runtime.block_on(async {
            let lock = loop {
                match self.store.lock_maildrop(self.alice).await {
                    Ok(lock) => break lock,
                    Err(_) => tokio::task::yield_now().await,
                }
            };
            let old = self.uids().await;
            self.store.expunge(self.inbox, &old).await.unwrap().into_inner();
            let mut staged = Vec::new();
            for message in messages {
                let mut stage = self.store.stage(None).await.unwrap();
                stage.write(message).await.unwrap();
                let now = Timestamp::from_secs(0);
                staged.push((stage, AppendMessage { flags: Flags::NONE, keywords: Vec::new(), internal_date: now }));
            }
            let uids = self.store.append(self.inbox, staged, Timestamp::from_secs(0)).await.unwrap().into_inner().uids;
            drop(lock);
            uids
        })
    }

    async fn uids(&self) -> Vec<Uid> {
        self.store.watch(self.inbox).await.unwrap().newest().unwrap().iter().map(|row| row.uid).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.switches.clear();
        let store = self.store.clone();
        self.runtime.block_on(async move {
            let findings = store.check(true).await.unwrap();
            assert!(findings.iter().all(|finding| !finding.error), "{findings:?}");
            store.close().await;
        });
    }
}

async fn account(store: &Arc<LocalStore>) -> (AccountId, MailboxId) {
    store.add_domain(&domain("red.example")).await.unwrap().into_inner();
    let auth = server::Auth::new(store.clone(), Arc::new(SystemClock));
    let Keys { salt, iterations, stored_key, server_key } = Keys::derive("secret", b"a salt of Alice's", 4096);
    let new = NewAccount {
        address: address(ALICE),
        password: auth.hash(b"secret").await.unwrap(),
        scram: Some(ScramKeys { salt, iterations, stored_key, server_key }),
        quota: None,
    };
    let account = store.add_account(new, Timestamp::from_secs(0)).await.unwrap().into_inner();
    (account, store.mailbox(account, "INBOX").await.unwrap().unwrap())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/transcripts/pop3")
}

fn letters() -> Vec<Vec<u8>> {
    (1..=3).map(|number| std::fs::read(folder().join(format!("messages/{number}.eml"))).unwrap()).collect()
}

#[test]
fn transcripts() {
    let mut world = World::new();
    let local = world.serve(|_| (), false);
    let scram = world.serve(|settings| settings.offer_scram = true, false);
    let remote = world.serve(|settings| settings.plaintext_auth = PlaintextAuth::Never, true);
    let trusted = world.trusted.clone();
    let world = &world;
    let mut failures = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let transcript = Transcript::read(&path).unwrap();
        let has = |directive| transcript.directive(directive).is_some();
        if has("memory") || has("fault") {
            continue;
        }
        let address = if has("remote") {
            remote
        } else if has("scram") {
            scram
        } else {
            local
        };
        let result = run(&transcript, &mut |_| {
            world.refill(&letters());
            let trusted = trusted.clone();
            Box::new(move |_| -> io::Result<Box<dyn Subject>> {
                Ok(Box::new(Socket::connect(address, Some((trusted.clone(), "mail.red.example")))?))
            })
        });
        failures.extend(result.err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What comes behind STLS in the same packet never counts as sent under TLS.
#[test]
fn nothing_is_injected_before_tls() {
    let mut world = World::new();
    let remote = world.serve(|settings| settings.plaintext_auth = PlaintextAuth::Never, true);
    let trusted = world.trusted.clone();
    let mut socket = Socket::connect(remote, Some((trusted, "mail.red.example"))).unwrap();
    let hear = |socket: &mut Socket, lines: usize| {
        let enough = |bytes: &[u8]| {
            if bytes.iter().filter(|byte| **byte == b'\n').count() >= lines { Enough::Yes } else { Enough::No }
        };
        String::from_utf8(socket.receive(&mut { enough }).unwrap().bytes).unwrap()
    };
    hear(&mut socket, 1);
    socket.send(b"STLS\r\nUSER alice@red.example\r\n").unwrap();
    assert_eq!(hear(&mut socket, 1), "+OK Begin TLS\r\n");
    socket.start_tls().unwrap();
    socket.send(b"PASS secret\r\n").unwrap();
    assert_eq!(hear(&mut socket, 1), "-ERR Say USER first\r\n");
}

/// A client that knows what it expects.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let mut client = Self(BufReader::new(TcpStream::connect(address).unwrap()));
        assert!(client.line().starts_with("+OK "));
        client
    }

    fn log_in(address: SocketAddr) -> Self {
        let mut client = Self::connect(address);
        assert!(client.say(&format!("USER {ALICE}")).starts_with("+OK"));
        let reply = client.say("PASS secret");
        assert!(reply.starts_with("+OK"), "{reply}");
        client
    }

    fn say(&mut self, line: &str) -> String {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).unwrap();
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    /// A multi-line reply's lines, stuffed dots taken out, without the last.
    fn lines(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut line = Vec::new();
            self.0.read_until(b'\n', &mut line).unwrap();
            if line == b".\r\n" {
                return all;
            }
            all.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }
}

/// Numbers are those of the log-in; what IMAP brings or removes meanwhile changes none of them.
#[test]
fn imap_changes_the_maildrop_meanwhile() {
    let mut world = World::new();
    let address = world.serve(|_| (), false);
    let uids = world.refill(&letters());
    let mut client = Client::log_in(address);
    let ids = {
        client.say("UIDL");
        client.lines()
    };
    world.runtime.block_on(async {
        world.store.expunge(world.inbox, &uids[1..2]).await.unwrap().into_inner();
        let mut stage = world.store.stage(None).await.unwrap();
        stage.write(b"Subject: new\r\n\r\n").await.unwrap();
        let message =
            AppendMessage { flags: Flags::NONE, keywords: Vec::new(), internal_date: Timestamp::from_secs(0) };
        world.store.append(world.inbox, vec![(stage, message)], Timestamp::from_secs(0)).await.unwrap().into_inner();
    });
    assert_eq!(client.say("STAT"), "+OK 3 304");
    assert_eq!(client.say("RETR 2"), "-ERR That message was removed by another session");
    assert_eq!(client.say("RETR 4"), "-ERR there is no such message");
    assert!(client.say("RETR 3").starts_with("+OK"));
    assert_eq!(client.lines(), letters()[2]);
    assert!(client.say("DELE 2").starts_with("+OK"));
    assert!(client.say("DELE 3").starts_with("+OK"));
    assert_eq!(client.say("QUIT"), "+OK 1 messages removed, bye");
    let mut client = Client::log_in(address);
    assert_eq!(client.say("STAT"), "+OK 2 91");
    client.say("UIDL");
    let ids = String::from_utf8(ids).unwrap();
    let new_ids = String::from_utf8(client.lines()).unwrap();
    assert_eq!(new_ids.lines().next(), ids.lines().next());
    assert!(new_ids.lines().skip(1).all(|id| ids.lines().all(|old| old[2..] != id[2..])), "{ids} {new_ids}");
    client.say("QUIT");
}

/// Messages are looked up many at once (`POP3_AHEAD`) for a client that sends its commands ahead: it gets each in its place, in whatever
/// order it asks, and none that is gone or marked as deleted.
#[test]
fn commands_sent_ahead_get_each_message_in_its_place() {
    let mut world = World::new();
    let address = world.serve(|_| (), false);
    let messages: Vec<Vec<u8>> = (1..=200).map(|n| format!("Subject: {n}\r\n\r\n.{n}\r\n").into_bytes()).collect();
    let uids = world.refill(&messages);
    let mut client = Client::log_in(address);
    let gone = 70;
    world.runtime.block_on(world.store.expunge(world.inbox, &uids[gone - 1..gone])).unwrap().into_inner();
    let mut order: Vec<usize> = (1..=200).collect();
    order.extend([199, 199, 3, 100, 2, 1, 150, 151]);
    let asked: String = order.iter().map(|n| format!("RETR {n}\r\n")).collect();
    client.0.get_mut().write_all(format!("DELE 5\r\n{asked}").as_bytes()).unwrap();
    assert!(client.line().starts_with("+OK"));
    for n in order {
        let said = client.line();
        if n == 5 || n == gone {
            assert!(said.starts_with("-ERR"), "{n}: {said}");
        } else {
            assert!(said.starts_with("+OK"), "{n}: {said}");
            assert_eq!(client.lines(), messages[n - 1], "{n}");
        }
    }
}

/// A log-in that is remembered ends with its account, and with its password.
#[test]
fn a_remembered_log_in_ends_at_once() {
    let mut world = World::new();
    let address = world.serve(|_| (), false);
    let log_in = |password: &str| {
        // The session before has ended.
        world.refill(&letters());
        let mut client = Client::connect(address);
        client.say(&format!("USER {ALICE}"));
        client.say(&format!("PASS {password}"))
    };
    let (store, alice) = (world.store.clone(), world.alice);
    let state = |state| world.runtime.block_on(store.set_account_state(alice, state)).unwrap().into_inner();
    assert!(log_in("secret").starts_with("+OK"));
    state(AccountState::Disabled);
    assert_eq!(log_in("secret"), "-ERR [AUTH] Wrong user name or password");
    state(AccountState::Active);
    assert!(log_in("secret").starts_with("+OK"));
    world.runtime.block_on(async {
        let hash = server::Auth::new(store.clone(), Arc::new(SystemClock)).hash(b"another").await.unwrap();
        store.set_password(alice, hash, None).await.unwrap().into_inner();
    });
    assert_eq!(log_in("secret"), "-ERR [AUTH] Wrong user name or password");
}

/// A message of many pieces comes whole, and every octet counts.
#[test]
fn large_messages_come_whole() {
    let mut world = World::new();
    let address = world.serve(|_| (), false);
    let mut message = b"Subject: large\r\n\r\n".to_vec();
    for line in 0..60_000 {
        message.extend_from_slice(format!(".line {line} of a long message\r\n").as_bytes());
    }
    world.refill(&[message.clone()]);
    let mut client = Client::log_in(address);
    assert_eq!(client.say("LIST 1"), format!("+OK 1 {}", message.len()));
    assert_eq!(client.say("RETR 1"), format!("+OK {} octets", message.len()));
    assert!(client.lines() == message);
    client.say("TOP 1 2");
    assert_eq!(client.lines(), b"Subject: large\r\n\r\n.line 0 of a long message\r\n.line 1 of a long message\r\n");
    // The connection is lost in the middle of a message: nothing is removed, and the lock is free.
    client.say("DELE 1");
    client.say("RSET");
    client.say("RETR 1");
    drop(client);
    assert_eq!(world.refill(&letters()).len(), 3);
}

/// RFC 1939 §3: the inactivity timer ends the session, which then removes nothing.
#[test]
fn silence_ends_the_session_and_removes_nothing() {
    let mut world = World::new();
    let address = world.serve(|settings| settings.limits.pop3_timeout = std::time::Duration::from_millis(300), false);
    world.refill(&letters());
    let mut client = Client::log_in(address);
    client.say("DELE 1");
    let mut rest = Vec::new();
    client.0.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
    assert_eq!(Client::log_in(address).say("STAT"), "+OK 3 304");
}

/// The server stops: an open session is told so, and removes nothing.
#[test]
fn a_stop_ends_the_session_and_removes_nothing() {
    let mut world = World::new();
    let address = world.serve(|_| (), false);
    world.refill(&letters());
    let mut client = Client::log_in(address);
    client.say("DELE 1");
    world.switches[0].stop();
    assert_eq!(client.line(), "-ERR [SYS/TEMP] Shutting down, try again later");
    assert_eq!(client.line(), "");
    assert_eq!(world.runtime.block_on(world.uids()).len(), 3);
}
