//! A conversation over a WebSocket, from its first message to its end.
//!
//! Each message waits for its turn among the account's requests, and no further one is read before it has it, nor while
//! `limits::JMAP_REQUESTS_AT_ONCE` are under way or wait to be sent: who sends more than is answered, or takes no answers, is not
//! read, and TCP holds it up. Answers come in the order in which they are ready (RFC 8887 §4.2).

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use jmap::push::Changed;
use jmap::socket::{self, Message, SocketRequest};
use jmap::{Turn, User};
use mail::limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Error, Utf8Bytes};

use super::outgoing::Outgoing;
use super::pieces::Pieces;
use crate::auth::Proof;
use crate::http::jmap::moment;
use crate::push::{Listening, Over};
use crate::shared::Shared;

/// What the frames go over.
pub(super) type Link = Pieces<TokioIo<Upgraded>>;

type Incoming = SplitStream<WebSocketStream<Link>>;

/// Octets that are read at once; a buffer of this size is held while nothing comes.
const READ_AT_ONCE: usize = 4096;

/// One client, and all that is under way for it.
pub(super) struct Conversation {
    shared: Arc<Shared>,
    user: User,
    proof: Proof,
    listening: Listening,
    /// Whether it wants to hear of changes.
    pushes: bool,
    /// What it is to hear next.
    missed: Changed,
    /// A message without its turn.
    waiting: Option<Utf8Bytes>,
    answers: JoinSet<(Option<Turn>, Vec<u8>)>,
    _place: Turn,
}

/// Why it is over.
enum End {
    /// The client has gone, or takes nothing.
    Gone,
    /// It said so.
    Closed,
    /// It is told why.
    Close(CloseCode, &'static str),
}

impl Conversation {
    pub(super) fn new(shared: Arc<Shared>, user: User, proof: Proof, (listening, place): (Listening, Turn)) -> Self {
        let (missed, answers) = (Changed::default(), JoinSet::new());
        Self { shared, user, proof, listening, pushes: false, missed, waiting: None, answers, _place: place }
    }

    /// Converses to the end.
    pub(super) async fn run(mut self, link: Upgraded) {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_AT_ONCE)
            // Each frame goes at once, and one more waits where the socket is full.
            .write_buffer_size(0)
            .max_write_buffer_size(2 * limits::JMAP_SOCKET_FRAME)
            .max_frame_size(Some(limits::JMAP_REQUEST_LEN))
            .max_message_size(Some(limits::JMAP_REQUEST_LEN));
        let stream =
            WebSocketStream::from_raw_socket(Pieces::new(TokioIo::new(link)), Role::Server, Some(config)).await;
        let (sink, mut incoming) = stream.split();
        let mut outgoing = Outgoing::new(sink);
        let end = self.converse(&mut incoming, &mut outgoing).await;
        // What is not answered by now never is, as where a connection is cut; and the places are free before the client knows.
        drop(self);
        finish(incoming, outgoing, end).await;
    }

    async fn converse(&mut self, incoming: &mut Incoming, outgoing: &mut Outgoing) -> End {
        let mut ping = Instant::now() + limits::JMAP_SOCKET_PING;
        // It was asked whether it is there, and has not answered.
        let mut is_silent = false;
        // How long the log-in is good.
        if self.listening.look(false).await.is_err() {
            return self.over().await;
        }
        loop {
            if outgoing.is_free() {
                match self.news().await {
                    Ok(changed) if changed.is_empty() => {}
                    Ok(changed) => outgoing.put(socket::state_change(&changed, &self.listening.id()), None),
                    Err(Over) => return self.over().await,
                }
            }
            let (is_free, until) = (outgoing.is_free(), outgoing.until());
            let reads = self.waiting.is_none() && self.answers.len() < limits::JMAP_REQUESTS_AT_ONCE;
            tokio::select! {
                sent = outgoing.send(), if !is_free => if sent.is_err() {
                    return End::Gone;
                },
                // It may have taken something meanwhile.
                () = sleep_until(until), if !is_free => if outgoing.until() <= Instant::now() {
                    return End::Gone;
                },
                message = incoming.next(), if reads => {
                    is_silent = false;
                    match message {
                        Some(Ok(tungstenite::Message::Text(text))) => self.waiting = Some(text),
                        Some(Ok(tungstenite::Message::Binary(_))) => {
                            // RFC 8887 §4.3: messages are text.
                            return End::Close(CloseCode::Unsupported, "messages are text");
                        }
                        Some(Ok(tungstenite::Message::Close(_))) => return End::Closed,
                        // The library answers pings.
                        Some(Ok(_)) => {}
                        Some(Err(error)) => return wrong(&error),
                        None => return End::Gone,
                    }
                }
                turn = self.shared.jmap.wait_for_turn(&self.user), if self.waiting.is_some() => {
                    if let Some(text) = self.waiting.take()
                        && let Err(Over) = self.heed(text, turn).await
                    {
                        return self.over().await;
                    }
                }
                Some(answer) = self.answers.join_next(), if is_free => match answer {
                    Ok((turn, octets)) => outgoing.put(octets, turn),
                    Err(_) => return End::Close(CloseCode::Error, "a request failed"),
                },
                stirred = self.listening.stirs() => {
                    if stirred.is_err() || self.listening.look(false).await.is_err() {
                        return self.over().await;
                    }
                }
                () = sleep_until(ping) => {
                    // Who is not read can't answer.
                    if is_silent && reads {
                        return End::Gone;
                    }
                    if reads && is_free {
                        outgoing.ping();
                        is_silent = true;
                    }
                    ping = Instant::now() + limits::JMAP_SOCKET_PING;
                }
            }
        }
    }

    /// What is to be told now.
    async fn news(&mut self) -> Result<Changed, Over> {
        if !self.pushes {
            return Ok(Changed::default());
        }
        let missed = std::mem::take(&mut self.missed);
        if missed.is_empty() { self.listening.look(true).await } else { Ok(missed) }
    }

    /// Does what a message says, or begins it.
    async fn heed(&mut self, text: Utf8Bytes, turn: Turn) -> Result<(), Over> {
        match Message::read(text.as_bytes()) {
            Ok(Message::Request(request)) => self.answer(request, turn),
            // RFC 8887 §4.3.5.2: what changes from now on; what changed before only where it says what it knows.
            Ok(Message::PushEnable { types, since }) => {
                self.missed = self.listening.begin_anew(types, since).await?;
                self.pushes = true;
            }
            Ok(Message::PushDisable) => self.pushes = false,
            Err(error) => drop(self.answers.spawn(async move { (None, error) })),
        }
        Ok(())
    }

    fn answer(&mut self, request: SocketRequest, turn: Turn) {
        let (shared, user) = (self.shared.clone(), self.user.clone());
        self.answers.spawn(async move {
            let octets = shared.jmap.socket_response(&turn, &user, request, moment(&shared)).await;
            // A long answer takes memory until it is sent; for a short one, no other client of the account is to wait.
            let is_long = octets.len() > limits::JMAP_SOCKET_FRAME;
            (is_long.then_some(turn), octets)
        });
    }

    /// Why there is nothing to listen to any more.
    async fn over(&self) -> End {
        if self.shared.shutdown.is_on() {
            return End::Close(CloseCode::Away, "the server stops");
        }
        match self.shared.auth.holds(self.user.account, &self.proof).await {
            Ok(None) => End::Close(CloseCode::Policy, "the log-in is over"),
            _ => End::Close(CloseCode::Error, "the server can't do this now"),
        }
    }
}

/// What is told to who breaks the rules of frames (RFC 6455 §7.4.1).
fn wrong(error: &Error) -> End {
    match error {
        Error::Capacity(_) => End::Close(CloseCode::Size, "the message is longer than maxSizeRequest"),
        Error::Utf8(_) => End::Close(CloseCode::Invalid, "the message is no UTF-8"),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Gone,
        Error::Protocol(_) => End::Close(CloseCode::Protocol, "the frame is wrong"),
        _ => End::Gone,
    }
}

/// Ends the connection. What the client still sends is read and thrown away until it ends too: what is unread would make the system
/// reset the connection, and the last words be lost (RFC 6455 §7.1.1, RFC 9112 §9.6). All within `limits::CLOSE_TIMEOUT`.
async fn finish(incoming: Incoming, outgoing: Outgoing, end: End) {
    let why = match end {
        End::Gone => return,
        End::Closed => None,
        End::Close(code, reason) => Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }),
    };
    let ending = async {
        let mut link = outgoing.close(why).await.reunite(incoming).ok()?.into_inner();
        link.shutdown().await.ok()?;
        let mut octets = [0; READ_AT_ONCE];
        while link.read(&mut octets).await.ok()? > 0 {}
        Some(())
    };
    let _ = timeout(limits::CLOSE_TIMEOUT, ending).await;
}
