//! When the end of a message is sent.

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

/// A connection that is ready for a message, and its other end.
async fn ready() -> (Connection, DuplexStream) {
    let (ours, mut peer) = tokio::io::duplex(4096);
    let config =
        Config { helo: "mail.red.example".to_owned(), tls: TlsUse::Never, credentials: None, clear_auth: false };
    let mut connection = Connection {
        client: Client::new(config),
        stream: Box::new(ours),
        buffer: vec![0; 4096],
        name: "mx.blue.example".to_owned(),
        to: "192.0.2.1:25".parse().unwrap(),
        tls: None,
        messages: 0,
        waiting: None,
    };
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
