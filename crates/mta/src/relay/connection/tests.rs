//! When the end of a message is sent, and how long a server may take for its part, in virtual time.

use std::ops::Range;

use async_trait::async_trait;
use mail::{Address, BodyId, BodyType, Domain, Recipient, ReversePath};
use tokio::io::DuplexStream;
use tokio::sync::oneshot;

use super::*;

struct Text(&'static [u8]);

#[async_trait]
impl Body for Text {
    fn id(&self) -> BodyId {
        BodyId(1)
    }

    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    async fn read(&self, range: Range<u64>) -> StoreResult<Bytes> {
        Ok(Bytes::from_static(&self.0[range.start as usize..range.end as usize]))
    }
}

async fn expect(peer: &mut DuplexStream, wanted: &str) {
    let mut heard = vec![0; wanted.len()];
    peer.read_exact(&mut heard).await.unwrap();
    assert_eq!(String::from_utf8(heard).unwrap(), wanted);
}

async fn say(peer: &mut DuplexStream, words: &str) {
    peer.write_all(words.as_bytes()).await.unwrap();
}

/// A connection on which nothing was said yet.
fn begun(stream: DuplexStream) -> Connection {
    let config = Config {
        helo: "mail.red.example".to_owned(),
        tls: TlsUse::Never,
        login: None,
        binding: ChannelBinding::default(),
        clear_auth: false,
        lmtp: false,
    };
    Connection {
        client: Client::new(config),
        stream: Box::new(stream),
        buffer: vec![0; 4096],
        name: "mx.blue.example".to_owned(),
        to: "192.0.2.1:25".parse().unwrap(),
        tls: None,
        policy: Policy::Opportunistic,
        messages: 0,
        waiting: None,
    }
}

/// A connection that is ready for a message, and its other end.
async fn ready() -> (Connection, DuplexStream) {
    let (ours, mut peer) = tokio::io::duplex(4096);
    let mut connection = begun(ours);
    say(&mut peer, "220 hello\r\n250-hello\r\n250 PIPELINING\r\n").await;
    assert!(matches!(connection.turn(None).await, Turn::Ready));
    expect(&mut peer, "EHLO mail.red.example\r\n").await;
    (connection, peer)
}

fn transaction() -> Transaction {
    Transaction {
        sender: ReversePath::Null,
        recipients: vec![Recipient::new(Address::new("bob", Domain::from_ascii("blue.example").unwrap()).unwrap())],
        size: 4,
        body: BodyType::SevenBit,
        utf8: false,
        dsn_return: None,
        envelope_id: None,
    }
}

/// Sends a message while the outcome of the one before is being settled; what is told of that comes from the sender.
async fn send_behind() -> (tokio::task::JoinHandle<Report>, oneshot::Sender<bool>, DuplexStream) {
    let (mut connection, mut peer) = ready().await;
    let (tell, told) = oneshot::channel();
    let mut settling = Settling::of(tokio::spawn(async { told.await.unwrap() }));
    let sending = tokio::spawn(async move {
        let content = Content { prefix: b"A: b\r\n", body: &Text(b"\r\nhi") };
        connection.send(transaction(), &content, &mut settling).await
    });
    expect(&mut peer, "MAIL FROM:<>\r\nRCPT TO:<bob@blue.example>\r\nDATA\r\n").await;
    say(&mut peer, "250 ok\r\n250 ok\r\n354 go on\r\n").await;
    (sending, tell, peer)
}

#[tokio::test]
async fn the_end_of_a_message_waits_for_the_outcome_of_the_one_before() {
    let (sending, tell, mut peer) = send_behind().await;
    // Everything that can happen has happened after so many turns of this one thread.
    let turns = async {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        _ = peer.read_u8() => panic!("it was sent too early"),
        () = turns => {}
    }
    tell.send(true).unwrap();
    expect(&mut peer, "A: b\r\n\r\nhi\r\n.\r\n").await;
    say(&mut peer, "250 taken\r\n").await;
    assert!(sending.await.unwrap().verdicts[0].is_ok());
}

#[tokio::test]
async fn where_an_outcome_is_not_recorded_no_further_message_is_handed_over() {
    let (sending, tell, mut peer) = send_behind().await;
    tell.send(false).unwrap();
    let mut rest = Vec::new();
    while peer.read_buf(&mut rest).await.unwrap() > 0 {
        assert!(!rest.ends_with(b".\r\n"), "its end was sent");
    }
    let failure = sending.await.unwrap().verdicts.remove(0).unwrap_err();
    assert!(!failure.is_permanent(), "{failure}");
}

/// How long a server that falls silent after these replies is waited for, and at which stage that was.
async fn patience(replies: &'static [&'static str]) -> (Duration, Stage) {
    let (ours, mut peer) = tokio::io::duplex(4096);
    let mut connection = begun(ours);
    // Each reply but the greeting comes after a line.
    tokio::spawn(async move {
        let mut heard = Vec::new();
        for reply in replies {
            say(&mut peer, &format!("{reply}\r\n")).await;
            heard.clear();
            while !heard.ends_with(b"\r\n") {
                peer.read_buf(&mut heard).await.unwrap();
            }
        }
        std::future::pending::<()>().await;
    });
    let mut since = tokio::time::Instant::now();
    let failure = match connection.turn(None).await {
        Turn::Over(Some(failure)) => failure,
        Turn::Ready => {
            since = tokio::time::Instant::now();
            let content = Content { prefix: b"A: b\r\n", body: &Text(b"\r\nhi") };
            let mut settling = Settling::of(tokio::spawn(async { true }));
            let report = connection.send(transaction(), &content, &mut settling).await;
            report.verdicts.into_iter().next().unwrap().unwrap_err()
        }
        _ => panic!("another turn"),
    };
    let Cause::TimedOut(told) = failure.cause else { panic!("{failure}") };
    assert!(!failure.is_permanent(), "a time-out never bounces");
    assert_eq!(since.elapsed(), told);
    (told, failure.stage)
}

/// RFC 5321 §4.5.3.2: each reply has its time. The clock is paused: it runs ahead only when nothing else can happen, and
/// what is asserted is the whole wait, so a shorter one and a longer one both fail.
#[tokio::test(start_paused = true)]
async fn each_reply_has_its_time() {
    assert_eq!(patience(&[]).await, (limits::SMTP_GREETING_WAIT, Stage::Greeting));
    assert_eq!(patience(&["220 hello"]).await, (limits::SMTP_REPLY_WAIT, Stage::Ehlo));
    assert_eq!(patience(&["220 hello", "250 hello"]).await, (limits::SMTP_REPLY_WAIT, Stage::Mail));
    assert_eq!(patience(&["220 hello", "250 hello", "250 ok"]).await, (limits::SMTP_REPLY_WAIT, Stage::Rcpt));
    let envelope = &["220 hello", "250 hello", "250 ok", "250 ok"];
    assert_eq!(patience(envelope).await, (limits::SMTP_DATA_WAIT, Stage::Data));
    let body = &["220 hello", "250 hello", "250 ok", "250 ok", "354 go on"];
    assert_eq!(patience(body).await, (limits::SMTP_END_WAIT, Stage::EndOfData));
}

/// A server that stops reading: `SMTP_BLOCK_WAIT` for a block, and one that reads a little in time is waited for.
#[tokio::test(start_paused = true)]
async fn a_block_has_its_time() {
    for reads in [false, true] {
        let (ours, mut peer) = tokio::io::duplex(64);
        let mut connection = begun(ours);
        let peer = tokio::spawn(async move {
            say(&mut peer, "220 hello\r\n").await;
            expect(&mut peer, "EHLO mail.red.example\r\n").await;
            say(&mut peer, "250 hello\r\n").await;
            expect(&mut peer, "MAIL FROM:<>\r\n").await;
            say(&mut peer, "250 ok\r\n").await;
            expect(&mut peer, "RCPT TO:<bob@blue.example>\r\n").await;
            say(&mut peer, "250 ok\r\n").await;
            expect(&mut peer, "DATA\r\n").await;
            say(&mut peer, "354 go on\r\n").await;
            if reads {
                tokio::time::sleep(limits::SMTP_BLOCK_WAIT - Duration::from_millis(1)).await;
                expect(&mut peer, &format!("{}\r\n\r\nhi\r\n.\r\n", "x".repeat(1000))).await;
                say(&mut peer, "250 taken\r\n").await;
            }
            peer
        });
        assert!(matches!(connection.turn(None).await, Turn::Ready));
        let prefix = format!("{}\r\n", "x".repeat(1000));
        let content = Content { prefix: prefix.as_bytes(), body: &Text(b"\r\nhi") };
        let mut settling = Settling::of(tokio::spawn(async { true }));
        let report = connection.send(transaction(), &content, &mut settling).await;
        match &report.verdicts[0] {
            Ok(_) => assert!(reads),
            Err(failure) => {
                assert!(!reads && failure.cause == Cause::TimedOut(limits::SMTP_BLOCK_WAIT), "{failure}");
            }
        }
        drop(peer);
    }
}

/// Nothing depends on the reply to QUIT: `SMTP_QUIT_WAIT` is short.
#[tokio::test(start_paused = true)]
async fn a_good_bye_is_short() {
    let (connection, _peer) = ready().await;
    let since = tokio::time::Instant::now();
    connection.quit().await;
    assert_eq!(since.elapsed(), limits::SMTP_QUIT_WAIT);
}

/// `RELAY_MESSAGES_PER_CONNECTION`, and then another connection.
#[tokio::test]
async fn so_many_messages_over_one_connection() {
    let (mut connection, mut peer) = ready().await;
    let peer = tokio::spawn(async move {
        for _ in 0..limits::RELAY_MESSAGES_PER_CONNECTION {
            expect(&mut peer, "MAIL FROM:<>\r\nRCPT TO:<bob@blue.example>\r\nDATA\r\n").await;
            say(&mut peer, "250 ok\r\n250 ok\r\n354 go on\r\n").await;
            expect(&mut peer, "A: b\r\n\r\nhi\r\n.\r\n").await;
            say(&mut peer, "250 taken\r\n").await;
        }
        peer
    });
    for sent in 0..limits::RELAY_MESSAGES_PER_CONNECTION {
        assert!(connection.is_usable(), "only {sent}");
        let content = Content { prefix: b"A: b\r\n", body: &Text(b"\r\nhi") };
        let mut settling = Settling::of(tokio::spawn(async { true }));
        assert!(connection.send(transaction(), &content, &mut settling).await.verdicts[0].is_ok());
    }
    assert!(!connection.is_usable());
    peer.await.unwrap();
}
