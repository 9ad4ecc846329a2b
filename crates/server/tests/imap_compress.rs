//! COMPRESS=DEFLATE (RFC 4978) over a real socket: whatever is said afterwards comes through, each answer at once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use mail::Timestamp;
use server::listen::{Doors, Handler, Listener, Service};
use server::{Settings, Shared, Shutdown, SystemClock};
use store::conformance::{address, domain};
use store::{NewAccount, Store};
use store_local::{LocalStore, Options};
use tokio::runtime::Runtime;

const ALICE: &str = "alice@red.example";

fn start(runtime: &Runtime, store: &Arc<LocalStore>, shutdown: Shutdown) -> SocketAddr {
    runtime.block_on(async {
        store.add_domain(&domain("red.example")).await.unwrap().into_inner();
        let auth = server::Auth::new(store.clone(), Arc::new(SystemClock));
        let password = auth.hash(b"secret").await.unwrap();
        let account = NewAccount { address: address(ALICE), password, scram: None, quota: None };
        store.add_account(account, Timestamp::from_secs(0)).await.unwrap().into_inner();
    });
    let settings = Settings::new(domain("mail.red.example"));
    let shared = Arc::new(Shared::new(store.clone(), Arc::new(SystemClock), settings, None, shutdown));
    let handler: Handler =
        Arc::new(|connection, service, shared| Box::pin(server::imap::serve(connection, service, shared)));
    let _inside = runtime.enter();
    let listener = Listener::bind(Service::Imap, "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address().unwrap();
    runtime.spawn(Doors::open(vec![listener], shared, handler).stop());
    address
}

/// A client; compressed once it has both halves of a stream.
struct Client {
    socket: TcpStream,
    streams: Option<(Compress, Decompress)>,
}

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        let Some((compress, _)) = &mut self.streams else { return self.socket.write_all(bytes).unwrap() };
        let mut packed = Vec::with_capacity(bytes.len() * 2 + 1_000);
        compress.compress_vec(bytes, &mut packed, FlushCompress::Partial).unwrap();
        // Cut in two: a compressed stream has no borders that matter.
        let (one, two) = packed.split_at(packed.len() / 2);
        self.socket.write_all(one).unwrap();
        self.socket.write_all(two).unwrap();
    }

    /// Reads until what came ends like this.
    fn read(&mut self, end: &str) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&all).lines().last().is_some_and(|line| line.starts_with(end))
            || !all.ends_with(b"\n")
        {
            let count = self.socket.read(&mut buffer).unwrap();
            assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&all));
            match &mut self.streams {
                None => all.extend_from_slice(&buffer[..count]),
                Some((_, decompress)) => {
                    let mut rest = &buffer[..count];
                    loop {
                        let mut piece = Vec::with_capacity(65_536);
                        let before = decompress.total_in();
                        decompress.decompress_vec(rest, &mut piece, FlushDecompress::Sync).unwrap();
                        rest = &rest[usize::try_from(decompress.total_in() - before).unwrap()..];
                        all.extend_from_slice(&piece);
                        if rest.is_empty() && piece.len() < piece.capacity() {
                            break;
                        }
                    }
                }
            }
        }
        all
    }

    fn say(&mut self, command: &str) -> String {
        self.send(format!("t {command}\r\n").as_bytes());
        String::from_utf8(self.read("t ")).unwrap()
    }
}

#[test]
fn all_comes_through_a_compressed_connection() {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path().join("data"), Options::default()).unwrap();
    let (switch, shutdown) = Shutdown::new();
    let address = start(&runtime, &store, shutdown);
    let mut client = Client { socket: TcpStream::connect(address).unwrap(), streams: None };
    client.read("* OK");
    assert!(client.say(&format!("LOGIN {ALICE} secret")).contains(" COMPRESS=DEFLATE "));
    assert!(client.say("COMPRESS LZW").contains("t NO [CANNOT]"));
    assert!(client.say("COMPRESS DEFLATE").starts_with("t OK"));
    client.streams = Some((Compress::new(Compression::best(), false), Decompress::new(false)));
    assert!(client.say("COMPRESS DEFLATE").starts_with("t NO [COMPRESSIONACTIVE]"));
    assert!(!client.say("CAPABILITY").contains("COMPRESS"));
    assert!(client.say("SELECT INBOX").contains("* 0 EXISTS"));
    let message: String = (0..20_000).map(|n| format!("line {n} of {}\r\n", n * n)).collect();
    client.send(format!("t APPEND INBOX {{{}}}\r\n", message.len()).as_bytes());
    client.read("+ ");
    client.send(message.as_bytes());
    client.send(b"\r\n");
    assert!(String::from_utf8(client.read("t ")).unwrap().contains("t OK [APPENDUID"));
    assert!(client.say("FETCH 1 BODY.PEEK[]").contains(&message));
    client.send(b"t IDLE\r\n");
    client.read("+ ");
    client.send(b"DONE\r\n");
    client.read("t OK");
    // Many at once, answered in order.
    let many: String = (0..500).map(|n| format!("n{n} NOOP\r\n")).collect();
    client.send(many.as_bytes());
    let answers = String::from_utf8(client.read("n499 ")).unwrap();
    assert!((0..500).all(|n| answers.contains(&format!("n{n} OK"))));
    assert!(client.say("LOGOUT").contains("* BYE"));
    drop(switch);
    runtime.block_on(store.close());
}
