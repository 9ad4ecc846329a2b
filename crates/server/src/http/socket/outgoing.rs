//! What is sent: one message at a time, in frames of at most `limits::JMAP_SOCKET_FRAME` octets.

use std::future::poll_fn;
use std::task::ready;

use bytes::Bytes;
use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use jmap::Turn;
use mail::limits;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::conversation::Link;

type Sink = SplitSink<WebSocketStream<Link>, Message>;

/// See above.
pub(super) struct Outgoing {
    sink: Sink,
    /// What goes next.
    next: Next,
    is_free: bool,
    /// Until then the client must have taken something.
    until: Instant,
    /// Until then, all of it.
    end: Instant,
    /// Held until all is taken: what waits takes memory, too.
    turn: Option<Turn>,
}

enum Next {
    Nothing,
    Ping,
    /// The rest of a text, and the kind of its next frame.
    Text(Bytes, Data),
}

impl Outgoing {
    pub(super) fn new(sink: Sink) -> Self {
        let now = Instant::now();
        Self { sink, next: Next::Nothing, is_free: true, until: now, end: now, turn: None }
    }

    /// Whether all that was put here is sent.
    pub(super) const fn is_free(&self) -> bool {
        self.is_free
    }

    /// When the client has taken nothing for too long, or not all, if something waits for it.
    pub(super) fn until(&self) -> Instant {
        self.until.min(self.end)
    }

    /// The next message, where there is none.
    pub(super) fn put(&mut self, octets: Vec<u8>, turn: Option<Turn>) {
        self.turn = turn;
        self.begin(Next::Text(octets.into(), Data::Text));
    }

    /// Asks whether the client is still there.
    pub(super) fn ping(&mut self) {
        self.begin(Next::Ping);
    }

    fn begin(&mut self, next: Next) {
        (self.next, self.is_free) = (next, false);
        let now = Instant::now();
        (self.until, self.end) = (now + limits::JMAP_SOCKET_PING, now + limits::JMAP_SOCKET_ANSWER);
    }

    /// RFC 6455 §5.4: each frame but the last says that the message goes on.
    fn frame(&mut self) -> Option<Frame> {
        match &mut self.next {
            Next::Nothing => None,
            Next::Ping => {
                self.next = Next::Nothing;
                Some(Frame::ping(Bytes::new()))
            }
            Next::Text(rest, kind) => {
                let piece = rest.split_to(rest.len().min(limits::JMAP_SOCKET_FRAME));
                let (kind, is_last) = (std::mem::replace(kind, Data::Continue), rest.is_empty());
                if is_last {
                    self.next = Next::Nothing;
                }
                Some(Frame::message(piece, OpCode::Data(kind), is_last))
            }
        }
    }

    /// Sends what was put here. May be dropped at any time, and goes on with the next call.
    pub(super) async fn send(&mut self) -> Result<(), Error> {
        poll_fn(|cx| {
            loop {
                ready!(self.sink.poll_ready_unpin(cx))?;
                let Some(frame) = self.frame() else { break };
                self.sink.start_send_unpin(Message::Frame(frame))?;
                self.until = Instant::now() + limits::JMAP_SOCKET_PING;
            }
            self.sink.poll_flush_unpin(cx)
        })
        .await?;
        self.turn = None;
        self.is_free = true;
        Ok(())
    }

    /// Says that this is the end, and why; none: the client said it, and is answered by the library (RFC 6455 §5.5.1).
    pub(super) async fn close(mut self, why: Option<CloseFrame>) -> Sink {
        // A frame that still waited goes before that, or, where the client said it, is refused by the library and gone. What
        // fails then fails again.
        let _ = self.sink.flush().await;
        let _ = match why {
            Some(frame) => self.sink.send(Message::Close(Some(frame))).await,
            None => self.sink.flush().await,
        };
        self.sink
    }
}
