//! JMAP over a WebSocket (RFC 8887): requests, and changes as they happen, over one connection.
//!
//! Does: agree on it over HTTP/1.1 (RFC 6455 §4.2) or on a stream of HTTP/2 (RFC 8441), lead the conversation ([`conversation`]), and
//! cut what is sent into frames ([`outgoing`]), and what comes, too ([`pieces`]). Does not: know frames, which are the library's, nor what the messages say
//! (`jmap::socket`).
//!
//! No extension is agreed on. Compressed together, what others wrote and what is secret would tell by its length of each other
//! (RFC 7692 §8), and the state of a compressor would be held for each connection that is idle.

mod conversation;
mod outgoing;
mod pieces;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, StatusCode, Version};
use jmap::push::Types;
use sha1::{Digest as _, Sha1};

use super::access::Visitor;
use super::events::listen;
use super::jmap::user;
use super::problem::Problem;
use super::reply::{self, Response};
use super::request::Request;
use crate::push::Over;
use conversation::Conversation;

/// RFC 8887 §4.1
const JMAP: &str = "jmap";
const WEBSOCKET: &str = "websocket";
/// RFC 6455 §4.1
const VERSION: &str = "13";
/// RFC 6455 §1.3: what nobody puts behind a key who does not know this protocol.
const MARK: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// `GET` or `CONNECT /jmap/ws`
pub(super) async fn open(request: &mut Request, visitor: &Visitor) -> Result<Response, Problem> {
    let is_stream = request.method() == Method::CONNECT;
    if !asks(request, is_stream) {
        return Ok(upgrade_required(request));
    }
    // RFC 6455 §4.4
    if request.header(SEC_WEBSOCKET_VERSION) != Some(VERSION) {
        return Ok(upgrade_required(request));
    }
    if !names(request, SEC_WEBSOCKET_PROTOCOL).any(|name| name == JMAP) {
        return Err(Problem::bad("the WebSocket must offer the subprotocol `jmap`"));
    }
    let mut response = Response::new(reply::whole(""));
    if !is_stream {
        let accept = accept(request).ok_or_else(|| Problem::bad("Sec-WebSocket-Key must be 16 octets in base64"))?;
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(JMAP));
    begin(request, visitor).await?;
    Ok(response)
}

/// Whether it asks for a WebSocket: RFC 6455 §4.2.1; RFC 8441 §5.
fn asks(request: &Request, is_stream: bool) -> bool {
    if is_stream {
        return request.protocol() == Some(WEBSOCKET);
    }
    let has = |name, wanted: &str| names(request, name).any(|name| name.eq_ignore_ascii_case(wanted));
    let says = has(UPGRADE, WEBSOCKET) && has(CONNECTION, "upgrade");
    // What follows a header that is no body would be.
    request.version() == Version::HTTP_11 && says && !request.has_body()
}

/// The names in all fields of this name, which are lists.
fn names(request: &Request, name: HeaderName) -> impl Iterator<Item = &str> {
    let fields = request.headers().get_all(name).into_iter();
    fields.filter_map(|field| field.to_str().ok()).flat_map(|field| field.split(',')).map(str::trim)
}

/// RFC 6455 §4.2.2: what shows that the key was read as one.
fn accept(request: &Request) -> Option<HeaderValue> {
    let key = request.header(SEC_WEBSOCKET_KEY)?;
    STANDARD.decode(key).ok().filter(|octets| octets.len() == 16)?;
    let hash = Sha1::new().chain_update(key).chain_update(MARK).finalize();
    HeaderValue::from_str(&STANDARD.encode(hash)).ok()
}

/// RFC 9110 §15.5.22: with what would do.
fn upgrade_required(request: &Request) -> Response {
    let detail = "this is a WebSocket of version 13";
    let mut response = Problem::new(StatusCode::UPGRADE_REQUIRED, detail).into_response();
    response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
    // RFC 9113 §8.2.2: HTTP/2 has no such fields.
    if request.version() == Version::HTTP_11 {
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    response
}

/// Converses once the answer is out.
async fn begin(request: &mut Request, visitor: &Visitor) -> Result<(), Problem> {
    let user = user(visitor);
    let full = || Problem::new(StatusCode::TOO_MANY_REQUESTS, "the account has too many WebSockets").code("limit");
    let place = request.shared.jmap.begin_socket(&user).ok_or_else(full)?;
    // Also who wants to hear of nothing is to be ended with the log-in.
    let mut listening = listen(&request.shared, visitor, Types::NONE, None)?;
    let over = |Over| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server stops, try again");
    listening.ready().await.map_err(over)?;
    let (upgrade, under_way) = (request.upgrade(), request.under_way.clone());
    let conversation = Conversation::new(request.shared.clone(), user, visitor.proof.clone(), (listening, place));
    let peer = request.peer.ip;
    tokio::spawn(async move {
        match upgrade.await {
            Ok(link) => conversation.run(link).await,
            Err(error) => tracing::debug!(%peer, %error, "a WebSocket ended before it began"),
        }
        drop(under_way);
    });
    Ok(())
}
