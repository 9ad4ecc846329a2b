//! Sessions of our POP3 server: the engine with a maildrop of a real store behind it.

use pop3::{Maildrop, ReadError};
use store::Store;
use wire::pop3::{Answer, Engine, LoginFailure, Question, Settings, Step};
use wire::sasl::ChannelBinding;

use super::Shape;
use super::world::{self, Alice, Left, MESSAGES, PASSWORD, assert_lines};

/// What it says is lines; what it says is removed is removed, and nothing else; messages come whole.
pub fn pop3_session(data: &[u8]) {
    let Some(mut shape) = Shape::of(data) else { return };
    let tls = shape.bit().then(ChannelBinding::default);
    let settings =
        Settings { hostname: "mail.example".into(), starttls: shape.bit(), plaintext: shape.bit(), scram: shape.bit() };
    let first: &[u8] = if shape.bit() { b"USER alice@red.example\r\nPASS secret\r\n" } else { b"" };
    let mut pieces = shape.pieces(first).into_iter();
    world::with(async |store, alice| {
        let mut engine = Engine::new(settings, tls);
        let (mut unread, mut said, mut maildrop, mut removed) = (Vec::new(), Vec::new(), None, 0);
        loop {
            match engine.step() {
                Step::Send(bytes) => said.extend(bytes),
                Step::Ask(Question::Update(uids)) => {
                    let maildrop: Maildrop = maildrop.take().expect("asked only when open");
                    let update = maildrop.update(&uids).await.expect("a store");
                    removed = update.as_ref().map_or(0, |uids| uids.get().len());
                    assert_eq!(removed, uids.len());
                    engine.answer(Answer::Updated(update));
                }
                Step::Ask(Question::Read { uid, range }) => {
                    let maildrop: &mut Maildrop = maildrop.as_mut().expect("asked only when open");
                    match maildrop.read(uid, range, || engine.from_here().take(3).collect()).await {
                        Ok(piece) => engine.answer(Answer::Piece(&piece)),
                        Err(ReadError::Gone) => panic!("nobody removes messages but this session"),
                        Err(ReadError::Store(error)) => panic!("{error}"),
                    }
                }
                Step::Ask(Question::LogIn { user, password })
                    if user.eq_ignore_ascii_case("alice@red.example") && password.reveal() == PASSWORD =>
                {
                    let (opened, listing) = Maildrop::open(store.clone(), alice.account).await.expect("it is free");
                    assert!(maildrop.replace(opened).is_none(), "logged in twice");
                    engine.answer(Answer::Opened(listing));
                }
                Step::Ask(_) => engine.answer(Answer::Refused(LoginFailure::Credentials)),
                Step::StartTls => {
                    unread.clear();
                    engine.tls_started(ChannelBinding::default());
                }
                Step::Close => break,
                Step::Read => {
                    let taken = engine.input(&unread);
                    unread.drain(..taken);
                    if taken == 0 {
                        match pieces.next() {
                            Some(piece) => unread.extend(piece),
                            None => break,
                        }
                    }
                }
            }
        }
        drop(maildrop);
        check(store, alice, &said, removed).await;
        if removed == 0 { Left::AsItWas } else { Left::Changed }
    });
}

async fn check(store: &std::sync::Arc<store_local::LocalStore>, alice: Alice, said: &[u8], removed: usize) {
    // A message's own bare line ends go through as they are.
    let own: Vec<u8> = MESSAGES[2].iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
    let said = said.to_vec();
    let said =
        String::from_utf8_lossy(&said).replace(&*String::from_utf8_lossy(MESSAGES[2]), &String::from_utf8_lossy(&own));
    let said = said.replace("bare\nlines", "bare lines");
    assert_lines(said.as_bytes());
    let status = store.status(alice.inbox).await.expect("a mailbox");
    assert_eq!(status.messages as usize, MESSAGES.len() - removed);
}
