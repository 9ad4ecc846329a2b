//! The event source (RFC 8620 §7.3): a response without an end, in which changes are told as they happen.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::StatusCode;
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use jmap::push::{Changed, Types};
use mail::limits;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::access::Visitor;
use super::jmap::user;
use super::problem::Problem;
use super::reply::Response;
use super::request::Request;
use crate::push::{Kind, Listening, Over, Push, Refused};
use crate::shared::Shared;

const LAST: HeaderName = HeaderName::from_static("last-event-id");

/// What the URL asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    types: Types,
    /// One change is told, and the response ends.
    once: bool,
    ping: Option<Duration>,
}

impl Wish {
    /// What is not said is as it is most often.
    fn read(value: impl Fn(&'static str) -> Option<String>) -> Result<Self, Problem> {
        let once = match value("closeafter").as_deref() {
            None | Some("no") => false,
            Some("state") => true,
            Some(_) => return Err(Problem::bad("closeafter is `state` or `no`")),
        };
        let ping = match value("ping").map(|seconds| seconds.parse::<u32>()) {
            None | Some(Ok(0)) => None,
            Some(Ok(seconds)) => Some(interval(seconds.into())),
            Some(Err(_)) => return Err(Problem::bad("ping is a number of seconds, or 0")),
        };
        Ok(Self { types: value("types").map_or(Types::ALL, |types| Types::listed(&types)), once, ping })
    }
}

/// RFC 8620 §7.3: within bounds.
fn interval(seconds: u64) -> Duration {
    Duration::from_secs(seconds).clamp(limits::PUSH_PING_LEAST, limits::PUSH_PING_MOST)
}

/// Begins to listen for a visitor.
pub(super) fn listen(
    shared: &Arc<Shared>,
    visitor: &Visitor,
    types: Types,
    since: Option<String>,
) -> Result<Listening, Problem> {
    let who = (user(visitor), visitor.proof.clone());
    Push::listen(shared, Kind::Connection, who, types, since).map_err(|refused| match refused {
        Refused::OfAccount => {
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many listen to this account already").code("limit")
        }
        Refused::InAll => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many listen already").code("limit"),
    })
}

/// `GET /jmap/events?types=TYPES&closeafter=state|no&ping=SECONDS`
pub(super) async fn events(request: &Request, visitor: &Visitor) -> Result<Response, Problem> {
    let wish = Wish::read(|key| request.query(key))?;
    let last = request.header(LAST).filter(|last| !last.is_empty()).map(str::to_owned);
    let mut listening = listen(&request.shared, visitor, wish.types, last)?;
    let over = |Over| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server stops, try again");
    // What changes once the header is out is told.
    let missed = listening.ready().await.map_err(over)?;
    let (sender, mut receiver) = mpsc::channel::<Bytes>(1);
    tokio::spawn(async move {
        // Its end is the end of the response, whichever side wanted it.
        let _ = tell(&sender, &mut listening, missed, wish).await;
        // The place is free before the client knows of the end.
        drop(listening);
    });
    let frames = stream::poll_fn(move |cx| receiver.poll_recv(cx));
    let frames = futures_util::StreamExt::map(frames, |octets| Ok::<_, Infallible>(Frame::data(octets)));
    let body = StreamBody::new(frames).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

/// The client has gone, or takes nothing.
struct Gone;

async fn tell(
    sender: &mpsc::Sender<Bytes>,
    listening: &mut Listening,
    missed: Changed,
    wish: Wish,
) -> Result<(), Gone> {
    let mut next = (!missed.is_empty()).then_some(missed);
    let every = wish.ping.unwrap_or(limits::PUSH_PING_MOST);
    let mut ping = Instant::now() + every;
    loop {
        if let Some(changed) = next.take() {
            let data = changed.state_change(None);
            send(sender, format!("event: state\nid: {}\ndata: {data}\n\n", listening.id())).await?;
            if wish.once {
                return Ok(());
            }
        }
        tokio::select! {
            changed = listening.next() => match changed {
                Ok(changed) => next = Some(changed),
                Err(Over) => return Ok(()),
            },
            () = sleep_until(ping) => {
                // Who wants no pings gets a comment: without it nobody would find out that he has gone. No empty line behind it:
                // there are clients that take that for an event.
                let text = wish.ping.map_or_else(|| ":\n".to_owned(), |ping| {
                    format!("event: ping\ndata: {}\n\n", json!({ "interval": ping.as_secs() }))
                });
                send(sender, text).await?;
                ping = Instant::now() + every;
            }
            () = sender.closed() => return Err(Gone),
        }
    }
}

/// One piece waits for the connection; when the next does not fit within `limits::WRITE_TIMEOUT`, the client takes nothing.
async fn send(sender: &mpsc::Sender<Bytes>, text: String) -> Result<(), Gone> {
    match timeout(limits::WRITE_TIMEOUT, sender.send(text.into())).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Gone),
    }
}
