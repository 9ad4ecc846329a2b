//! SMTP clients that stop, dribble, read nothing, half-close or vanish, in every state: the pump says 421 when the named
//! time is over (RFC 5321 §4.5.3.2.7), and nothing is stored that was not whole. In virtual time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod scene;

use std::sync::Arc;
use std::time::Duration;

use mail::limits;
use mta::accept::inspect::Inspectors;
use scene::World;
use scene::quiet_time::QuietTime;
use server::connect::SystemRandom;
use server::listen::Service;
use server::smtp::{Extras, Reception};
use server::{Connection, Settings, Shared, Shutdown, ShutdownSwitch};
use store::Store;
use store::conformance::domain;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::{Builder, Runtime};

/// One system in virtual time.
struct Door {
    world: World,
    runtime: Runtime,
    time: Arc<QuietTime>,
    shared: Arc<Shared>,
    reception: Arc<Reception>,
    _switch: ShutdownSwitch,
}

impl Door {
    fn new() -> Self {
        let world = World::new();
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let time = runtime.block_on(async { Arc::new(QuietTime::new()) });
        let (switch, shutdown) = Shutdown::new();
        let settings = Settings::new(domain("mail.red.example"));
        let acceptor = Some(world.acceptor());
        let shared = Arc::new(Shared::new(world.between.clone(), time.clone(), settings, acceptor, shutdown));
        let random = Arc::new(SystemRandom);
        let extras = Extras {
            random,
            door: None,
            verify: None,
            misbehave: None,
            reporter: None,
            inspectors: Box::new(|_| Inspectors::default()),
        };
        let reception = Arc::new(Reception::new(extras));
        Self { world, runtime, time, shared, reception, _switch: switch }
    }

    /// Runs a client against a session; what the session does after the client has ended is waited for.
    fn client<T, F: Future<Output = T>>(&self, service: Service, client: impl FnOnce(DuplexStream) -> F) -> T {
        self.runtime.block_on(async {
            let (near, far) = tokio::io::duplex(1024);
            let connection = Connection::over(
                Box::new(far),
                "192.0.2.7:4000".parse().unwrap(),
                "192.0.2.1:25".parse().unwrap(),
                None,
            );
            let session = tokio::spawn(self.reception.clone().serve(connection, service, self.shared.clone()));
            let result = client(near).await;
            session.await.unwrap();
            result
        })
    }

    /// How much virtual time has passed.
    fn passed(&self) -> Duration {
        self.runtime.block_on(async { self.time.passed() })
    }

    fn messages(&self) -> u64 {
        self.world.runtime.block_on(self.world.store.balance()).unwrap().accepted
    }
}

/// Reads until so many replies of one line have come, or the end.
async fn replies(stream: &mut DuplexStream, many: usize) -> String {
    let mut said = String::new();
    while said.lines().filter(|line| line.as_bytes().get(3) == Some(&b' ')).count() < many || !said.ends_with('\n') {
        let mut piece = [0; 512];
        match stream.read(&mut piece).await.unwrap() {
            0 => break,
            many => said += std::str::from_utf8(&piece[..many]).unwrap(),
        }
    }
    said
}

/// All that is said until the end.
async fn rest(stream: &mut DuplexStream) -> String {
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}

/// A state: what the client says to get there, how many replies it hears, and how long the server then waits.
const STATES: [(&str, &str, usize, Duration); 9] = [
    ("greeting", "", 1, limits::SMTP_COMMAND_TIMEOUT),
    ("ehlo", "EHLO c\r\n", 2, limits::SMTP_COMMAND_TIMEOUT),
    ("half a command", "EHLO c\r\nMAIL FR", 2, limits::SMTP_COMMAND_TIMEOUT),
    ("mail", "EHLO c\r\nMAIL FROM:<c@d.example>\r\n", 3, limits::SMTP_COMMAND_TIMEOUT),
    ("rcpt", "EHLO c\r\nMAIL FROM:<c@d.example>\r\nRCPT TO:<alice@red.example>\r\n", 4, limits::SMTP_COMMAND_TIMEOUT),
    (
        "data",
        "EHLO c\r\nMAIL FROM:<c@d.example>\r\nRCPT TO:<alice@red.example>\r\nDATA\r\n",
        5,
        limits::SMTP_DATA_TIMEOUT,
    ),
    (
        "a message",
        "EHLO c\r\nMAIL FROM:<c@d.example>\r\nRCPT TO:<alice@red.example>\r\nDATA\r\nSubject: x\r\n\r\nhalf\r\n.",
        5,
        limits::SMTP_DATA_TIMEOUT,
    ),
    (
        "a chunk",
        "EHLO c\r\nMAIL FROM:<c@d.example>\r\nRCPT TO:<alice@red.example>\r\nBDAT 9 LAST\r\nSubject:",
        4,
        limits::SMTP_DATA_TIMEOUT,
    ),
    (
        "between chunks",
        "EHLO c\r\nMAIL FROM:<c@d.example>\r\nRCPT TO:<alice@red.example>\r\nBDAT 4\r\nSubj",
        5,
        limits::SMTP_DATA_TIMEOUT,
    ),
];

#[test]
fn who_falls_silent_is_told_when_the_time_is_over() {
    let door = Door::new();
    for (state, said, many, wait) in STATES {
        let begin = door.passed();
        let last = door.client(Service::Smtp, async |mut stream| {
            stream.write_all(said.as_bytes()).await.unwrap();
            replies(&mut stream, many).await;
            rest(&mut stream).await
        });
        assert_eq!(last, "421 4.4.2 mail.red.example Timeout, closing connection\r\n", "{state}");
        let took = door.passed() - begin;
        assert!((wait..wait + limits::CLOSE_TIMEOUT).contains(&took), "{state}: {took:?}");
    }
    assert_eq!(door.messages(), 0);
}

#[test]
fn who_dribbles_is_told_as_well() {
    let door = Door::new();
    // A command has its time from its first octet; a message has one for each piece, and one for all of it.
    for (state, said, many, wait) in [
        ("a command", "", 1, limits::SMTP_COMMAND_TIMEOUT),
        ("a message", STATES[5].1, STATES[5].2, limits::SMTP_MESSAGE_TIMEOUT),
        (
            "a chunk",
            "EHLO c\r\nMAIL FROM:<c@d.example>\r\nRCPT TO:<alice@red.example>\r\nBDAT 999\r\n",
            4,
            limits::SMTP_MESSAGE_TIMEOUT,
        ),
    ] {
        let begin = door.passed();
        let last = door.client(Service::Smtp, async |mut stream| {
            stream.write_all(said.as_bytes()).await.unwrap();
            replies(&mut stream, many).await;
            let (mut hear, mut say) = tokio::io::split(stream);
            let dribble = async {
                while say.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
            };
            let mut last = String::new();
            tokio::select! {
                _ = hear.read_to_string(&mut last) => {}
                () = dribble => {}
            }
            last
        });
        assert_eq!(last, "421 4.4.2 mail.red.example Timeout, closing connection\r\n", "{state}");
        let took = door.passed() - begin;
        assert!((wait..wait + Duration::from_secs(61)).contains(&took), "{state}: {took:?}");
    }
    assert_eq!(door.messages(), 0);
}

#[test]
fn who_half_closes_or_vanishes_leaves_nothing() {
    let door = Door::new();
    for (state, said, many, _) in STATES {
        let begin = door.passed();
        let last = door.client(Service::Smtp, async |mut stream| {
            stream.write_all(said.as_bytes()).await.unwrap();
            replies(&mut stream, many).await;
            stream.shutdown().await.unwrap();
            rest(&mut stream).await
        });
        assert_eq!(last, "", "{state}");
        door.client(Service::Smtp, async |mut stream| stream.write_all(said.as_bytes()).await.unwrap());
        assert!(door.passed() - begin <= 2 * limits::CLOSE_TIMEOUT, "{state}: nobody waits for who is gone");
    }
    assert_eq!(door.messages(), 0);
    // Half-closed behind the end of a message: it was whole, so it is stored, and the client hears of it.
    let whole = format!("{}Subject: x\r\n\r\n.\r\n", STATES[5].1);
    let last = door.client(Service::Smtp, async |mut stream| {
        stream.write_all(whole.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        rest(&mut stream).await
    });
    assert!(last.lines().last().unwrap().starts_with("250 2.0.0 Ok: queued as "), "{last}");
    assert_eq!(door.messages(), 1);
    // Vanished behind it: nobody hears, and it is stored all the same (or not at all).
    door.client(Service::Smtp, async |mut stream| stream.write_all(whole.as_bytes()).await.unwrap());
    assert!((1..=2).contains(&door.messages()));
}

#[test]
fn who_reads_nothing_is_left() {
    let door = Door::new();
    let begin = door.passed();
    door.client(Service::Smtp, async |stream| {
        let (hear, mut say) = tokio::io::split(stream);
        while say.write_all(b"HELP\r\n").await.is_ok() {}
        drop(hear);
    });
    let took = door.passed() - begin;
    assert!((limits::WRITE_TIMEOUT..limits::WRITE_TIMEOUT * 2).contains(&took), "{took:?}");
}

#[test]
fn a_handshake_and_a_log_in_have_their_times_too() {
    let door = Door::new();
    let begin = door.passed();
    let last = door.client(Service::Submission, async |mut stream| {
        stream.write_all(b"STARTTLS\r\n").await.unwrap();
        replies(&mut stream, 2).await;
        rest(&mut stream).await
    });
    assert_eq!(last, "");
    let took = door.passed() - begin;
    assert!((limits::TLS_HANDSHAKE_TIMEOUT..limits::TLS_HANDSHAKE_TIMEOUT * 2).contains(&took), "{took:?}");
}
