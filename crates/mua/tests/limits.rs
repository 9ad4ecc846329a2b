//! Our client's bounds against servers that go beyond them; time-outs in virtual time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use mail::limits;
use mua::{Login, Maildrop, MuaResult, Progress, Sink, Trust};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::time::Instant;
use wire::sasl::Password;
use wire::sasl::client::Credentials;

/// A server on loopback that greets so, and answers each command (without its tag) with what `answer` says before its OK.
async fn server(greeting: Vec<u8>, answer: impl Fn(&str) -> Option<Vec<u8>> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("imap://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.get_mut().write_all(&greeting).await.unwrap();
        let mut line = String::new();
        while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
            let (tag, command) = line.trim_end().split_once(' ').unwrap();
            let Some(said) = answer(command) else { return std::future::pending().await };
            let said = [&said[..], format!("{tag} OK done\r\n").as_bytes()].concat();
            if stream.get_mut().write_all(&said).await.is_err() {
                return;
            }
            line.clear();
        }
    });
    url
}

async fn open(url: &str) -> MuaResult<Maildrop> {
    let credentials = Credentials { user: "alice".into(), password: Password::new("secret") };
    let login = Login { credentials, nonce: vec![1; 18] };
    let trust = Trust::system()?;
    Maildrop::open(&url.parse()?, &trust, &login, "INBOX").await
}

fn ordinary(command: &str) -> Option<Vec<u8>> {
    Some(match command {
        "CAPABILITY" => b"* CAPABILITY IMAP4rev1\r\n".to_vec(),
        "SELECT \"INBOX\"" => b"* 1 EXISTS\r\n".to_vec(),
        _ => Vec::new(),
    })
}

fn words(result: MuaResult<impl Sized>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}

/// `MUA_TIMEOUT` for each answer.
#[tokio::test(start_paused = true)]
async fn a_silent_server_is_left() {
    for silent in ["CAPABILITY", "SELECT \"INBOX\"", "LOGOUT"] {
        let url =
            server(b"* OK hello\r\n".to_vec(), move |command| if command == silent { None } else { ordinary(command) });
        let url = url.await;
        let since = Instant::now();
        let opened = open(&url).await;
        match opened {
            Ok(maildrop) => maildrop.close().await,
            Err(error) => assert!(error.to_string().contains("it does not answer"), "{error}"),
        }
        assert_eq!(since.elapsed().as_secs(), limits::MUA_TIMEOUT.as_secs(), "{silent}");
    }
}

/// `MUA_LINE_LEN`, its end included.
#[tokio::test]
async fn lines_are_bounded() {
    for (length, taken) in [(limits::MUA_LINE_LEN, true), (limits::MUA_LINE_LEN + 1, false)] {
        let greeting = format!("* OK {}\r\n", "x".repeat(length - 7));
        let opened = open(&server(greeting.into_bytes(), ordinary).await).await;
        assert_eq!(opened.is_ok(), taken, "{length}");
        assert_eq!(words(opened).contains("far too long"), !taken);
    }
    // Without an end, it is given up just the same.
    let opened = open(&server(vec![b'x'; 2 * limits::MUA_LINE_LEN], ordinary).await).await;
    assert!(words(opened).contains("far too long"));
}

/// `MUA_ANSWER_LEN`: an announcement up to it is believed, a longer one ends it before an octet is kept.
#[tokio::test]
async fn answers_are_bounded() {
    for (length, why) in [(limits::MUA_ANSWER_LEN, "the server closed it"), (limits::MUA_ANSWER_LEN + 1, "larger than")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("imap://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(format!("* OK hello\r\n* 1 FETCH (BODY[] {{{length}}}\r\nabc").as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        });
        let failed = words(open(&url).await);
        assert!(failed.contains(why), "{length}: {failed}");
    }
}

#[derive(Default)]
struct Kept {
    octets: Vec<u8>,
    pieces: usize,
}

impl Progress for Kept {
    fn advance(&mut self, _: u64, _: u64) {}
}

impl Sink for Kept {
    fn take(&mut self, octets: &[u8]) -> MuaResult<()> {
        self.octets.extend_from_slice(octets);
        self.pieces += 1;
        Ok(())
    }
}

/// `MUA_PIECE` octets are asked for at once: a message shorter than that is one piece, one that is just as long asks once
/// more and finds its end.
#[tokio::test]
async fn messages_are_saved_in_pieces() {
    let piece = usize::try_from(limits::MUA_PIECE).unwrap();
    for (length, pieces) in [(piece - 1, 1), (piece, 2), (piece + 1, 2)] {
        let message: Vec<u8> = (0..length).map(|n| b'a' + (n % 26) as u8).collect();
        let stored = message.clone();
        let url = server(b"* OK hello\r\n".to_vec(), move |command| {
            let Some(range) = command.split('<').nth(1) else { return ordinary(command) };
            let (from, count) = range.trim_end_matches(">)").split_once('.')?;
            let (from, count): (usize, usize) = (from.parse().ok()?, count.parse().ok()?);
            assert_eq!(count, piece);
            let part = &stored[from..stored.len().min(from + count)];
            let said = format!("* 1 FETCH (UID 1 BODY[]<{from}> {{{}}}\r\n", part.len());
            Some([said.as_bytes(), part, b")\r\n"].concat())
        });
        let mut maildrop = open(&url.await).await.unwrap();
        let mut kept = Kept::default();
        maildrop.save_whole(1, &mut kept).await.unwrap();
        assert!(kept.octets == message);
        assert_eq!(kept.pieces, pieces, "{length}");
    }
}
