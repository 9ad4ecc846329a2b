//! Sessions of our IMAP server on a real store.

use std::sync::Arc;

use async_trait::async_trait;
use imap::{End, Host, Identity, Input, LoginRefused, Patience, Security, Service, Session};
use mail::{AccountId, ModSeq, Timestamp};
use store::{MailboxInfo, Store};
use store_local::LocalStore;
use wire::sasl::ChannelBinding;
use wire::sasl::scram::Keys;

use super::Shape;
use super::world::{self, Alice, Left, NOW, PASSWORD};

/// It ends, says nothing but responses, and nobody reads mail without a log-in.
pub fn imap_session(data: &[u8]) {
    let Some(mut shape) = Shape::of(data) else { return };
    let security = Security { tls: shape.bit(), starttls: shape.bit(), passwords: shape.bit(), scram: shape.bit() };
    let first: &[u8] = match (shape.bit(), shape.bit()) {
        (false, _) => b"",
        (true, false) => b"a LOGIN alice@red.example secret\r\n",
        (true, true) => b"a LOGIN alice@red.example secret\r\nb SELECT INBOX\r\n",
    };
    let pieces = shape.pieces(first);
    world::with(async |store, alice| {
        let service = Arc::new(Service::new(store.clone(), "mail.red.example"));
        let mut host = MemoryHost {
            pieces: pieces.into_iter(),
            said: Vec::new(),
            security,
            account: alice.account,
            logged_in: false,
            left: 100_000,
        };
        let before = seen(store, alice).await;
        Session::new(service).run(&mut host).await;
        responses(&host.said);
        if !host.logged_in {
            // A tag, which is the client's, has neither asterisk nor parenthesis.
            for secret in [&b"* FLAGS ("[..], b"* LIST (", b" FETCH ("] {
                assert!(memchr::memmem::find(&host.said, secret).is_none(), "{}", host.said.escape_ascii());
            }
            assert!(seen(store, alice).await == before, "changed by a stranger");
            return Left::AsItWas;
        }
        if seen(store, alice).await == before { Left::AsItWas } else { Left::Changed }
    });
}

/// Alice's mailboxes, and the state of the one with messages.
async fn seen(store: &LocalStore, alice: Alice) -> (Vec<MailboxInfo>, Option<(usize, ModSeq)>) {
    let mailboxes = store.mailboxes(alice.account).await.expect("an account");
    // Her INBOX may have been renamed; then the list differs already.
    let inbox = store.status(alice.inbox).await.ok();
    (mailboxes, inbox.map(|status| (status.messages as usize, status.highest_modseq)))
}

/// RFC 3501 §9 `response`, as far as it matters: lines that begin with a tag, `*` or `+`; literals are counted; nothing
/// that a stranger wrote begins a line.
fn responses(said: &[u8]) {
    let mut rest = said;
    let mut begins = true;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).unwrap_or_else(|| panic!("no line end: {}", rest.escape_ascii()));
        let (line, after) = rest.split_at(end + 1);
        let text = line.strip_suffix(b"\r\n").unwrap_or_else(|| panic!("bare LF: {}", line.escape_ascii()));
        assert!(!text.iter().any(|byte| matches!(byte, b'\r' | 0)), "{}", line.escape_ascii());
        if begins {
            let mut words = text.splitn(3, |byte| *byte == b' ');
            let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let fine = match first {
                b"*" | b"+" => true,
                tag => {
                    tag.iter().all(|byte| wire::imap::cursor::is_tag_char(*byte))
                        && matches!(second, b"OK" | b"NO" | b"BAD")
                }
            };
            assert!(fine, "{}", line.escape_ascii());
        }
        rest = after;
        begins = true;
        if let Some(length) = crate::value::literal_at_end(text).filter(|_| announces(text)) {
            let length = usize::try_from(length).expect("a small literal");
            assert!(length <= rest.len(), "a literal is cut: {}", line.escape_ascii());
            rest = &rest[length..];
            begins = false;
        }
    }
}

/// Whether braces at the end of a line are a literal's, and not the last of a text for people.
fn announces(text: &[u8]) -> bool {
    let status = [&b"OK "[..], b"NO ", b"BAD ", b"BYE "];
    let after = text.splitn(2, |byte| *byte == b' ').nth(1).unwrap_or_default();
    !status.iter().any(|word| after.starts_with(word))
}

struct MemoryHost {
    pieces: std::vec::IntoIter<Vec<u8>>,
    said: Vec<u8>,
    security: Security,
    account: AccountId,
    logged_in: bool,
    /// Calls until it must have ended.
    left: usize,
}

impl MemoryHost {
    fn count(&mut self) {
        self.left = self.left.checked_sub(1).expect("it goes on for ever");
    }

    fn identity(&mut self) -> Identity {
        self.logged_in = true;
        Identity { account: self.account, name: "alice@red.example".into() }
    }
}

#[async_trait]
impl Host for MemoryHost {
    async fn read(&mut self, input: &mut Vec<u8>, patience: Patience) -> Result<Input, End> {
        self.count();
        match self.pieces.next() {
            // An empty command line now and then while it idles: a sign of life is due.
            Some(piece) if patience == Patience::Idle && piece == b"\n" => Ok(Input::Quiet),
            Some(piece) => {
                input.extend(piece);
                Ok(Input::Bytes)
            }
            None => Ok(Input::Closed),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.count();
        self.said.extend_from_slice(bytes);
        assert!(self.said.len() < 64 << 20, "it says too much");
        Ok(())
    }

    async fn start_tls(&mut self) -> Result<(), End> {
        self.count();
        self.security = Security { tls: true, starttls: false, passwords: true, scram: self.security.scram };
        Ok(())
    }

    /// Its own tests look at what is compressed.
    fn can_compress(&self) -> bool {
        false
    }

    fn compress(&mut self, _: &[u8]) {
        panic!("it is not offered");
    }

    fn security(&self) -> Security {
        self.security
    }

    fn binding(&self) -> ChannelBinding {
        ChannelBinding { tls_exporter: self.security.tls.then(|| vec![7; 32]), tls_server_end_point: None }
    }

    fn message_size(&self) -> u64 {
        100_000
    }

    fn now(&self) -> Timestamp {
        NOW
    }

    fn jmap_session(&self) -> Option<String> {
        None
    }

    fn secret(&self) -> [u8; 32] {
        [7; 32]
    }

    async fn log_in(&mut self, user: &str, password: &str) -> Result<Identity, LoginRefused> {
        let right = user.eq_ignore_ascii_case("alice@red.example") && password == PASSWORD;
        // RFC 3501 §11.2: not without protection.
        assert!(self.security.passwords, "a password was taken in the clear");
        if right { Ok(self.identity()) } else { Err(LoginRefused::Credentials) }
    }

    async fn scram_keys(&mut self, _: &str) -> Result<(Keys, Vec<u8>), LoginRefused> {
        Ok((Keys::derive("another password", b"salt", 1), b"0123456789abcdef01".to_vec()))
    }

    async fn scram_ended(&mut self, _: &str, right: bool) -> Result<Identity, LoginRefused> {
        assert!(!right, "proved a password that it can't know");
        Err(LoginRefused::Credentials)
    }
}
