//! A request: who sent it over what, what it says, and its body within bounds.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body as _, Incoming};
use hyper::ext::Protocol;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, StatusCode, Version};
use mail::limits;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::connection::UnderWay;
use super::door::is_this_machine;
use super::problem::Problem;
use crate::settings::Settings;
use crate::shared::Shared;

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// Its address.
    pub(super) ip: IpAddr,
    /// Whether it came over TLS.
    pub(super) tls: bool,
}

/// A body that comes in.
type Arriving = BoxBody<Bytes, io::Error>;

/// A request.
pub(super) struct Request {
    pub(super) peer: Peer,
    pub(super) shared: Arc<Shared>,
    /// The settings of this moment.
    pub(super) settings: Arc<Settings>,
    head: hyper::Request<()>,
    body: Arriving,
    /// For what goes on when the answer is out.
    pub(super) under_way: UnderWay,
}

impl Request {
    /// As it came.
    pub(super) fn new(request: hyper::Request<Incoming>, peer: Peer, shared: Arc<Shared>, under_way: UnderWay) -> Self {
        let (head, body) = request.into_parts();
        let (head, body) = (hyper::Request::from_parts(head, ()), body.map_err(io::Error::other).boxed());
        Self { peer, settings: shared.settings(), shared, head, body, under_way }
    }

    /// What is to be done.
    pub(super) fn method(&self) -> &Method {
        self.head.method()
    }

    /// Of HTTP.
    pub(super) fn version(&self) -> Version {
        self.head.version()
    }

    /// What an extended CONNECT wants to speak (RFC 8441 §4).
    pub(super) fn protocol(&self) -> Option<&str> {
        self.head.extensions().get::<Protocol>().map(Protocol::as_str)
    }

    /// The connection, or of HTTP/2 the stream, once the answer has said that something else is spoken on it.
    pub(super) fn upgrade(&mut self) -> OnUpgrade {
        hyper::upgrade::on(&mut self.head)
    }

    /// Whether it has content.
    pub(super) fn has_body(&self) -> bool {
        !self.body.is_end_stream()
    }

    /// With what.
    pub(super) fn path(&self) -> &str {
        self.head.uri().path()
    }

    /// The path, and what follows a `?`.
    pub(super) fn place(&self) -> &str {
        self.head.uri().path_and_query().map_or("/", |place| place.as_str())
    }

    /// A value of what follows the `?`, where it is there and text.
    pub(super) fn query(&self, key: &str) -> Option<String> {
        let mut pairs = self.head.uri().query()?.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(name, _)| *name == key).and_then(|(_, value)| decode(value))
    }

    /// Its fields.
    pub(super) fn headers(&self) -> &HeaderMap {
        self.head.headers()
    }

    /// A field's value, where there is one and it is text.
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.head.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The host that it was sent to, with its port where that was said; HTTP/2 says it in the request's line.
    pub(super) fn authority(&self) -> Option<&str> {
        self.head.uri().authority().map(|authority| authority.as_str()).or_else(|| self.header(HOST))
    }

    /// The same without the port.
    pub(super) fn host(&self) -> Option<&str> {
        let authority = self.authority()?;
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => Some(host),
            _ => Some(authority),
        }
    }

    /// Whether the host is a name of its own, neither an address nor one that every machine has.
    pub(super) fn names_a_host(&self) -> bool {
        let is_address = |host: &str| host.starts_with('[') || host.parse::<IpAddr>().is_ok();
        self.host().is_some_and(|host| !is_this_machine(host) && !is_address(host))
    }

    /// What HTTP itself asks of a request and the library does not look at.
    pub(super) fn check(&self) -> Result<(), Problem> {
        // RFC 9112 §3.2: a request without a host, or with two, gets 400.
        let hosts = self.head.headers().get_all(HOST).iter().count();
        if hosts > 1 || hosts == 0 && self.head.version() == Version::HTTP_11 {
            return Err(Problem::bad("the request names no host, or more than one"));
        }
        let fields = self.head.headers().iter().map(|(name, value)| name.as_str().len() + ": \r\n".len() + value.len());
        let line = self.method().as_str().len() + self.place().len() + "  HTTP/1.1\r\n\r\n".len();
        // RFC 9110 §15.5.15, RFC 6585 §5.
        if line + fields.sum::<usize>() > limits::HTTP_HEADER_LEN {
            return Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the header is too long"));
        }
        Ok(())
    }

    /// The body as text of whatever kind.
    pub(super) async fn text(&mut self) -> Result<String, Problem> {
        let bytes = self.pieces(limits::HTTP_JSON_LEN as u64, limits::HTTP_BODY_TIMEOUT)?.all().await?;
        String::from_utf8(bytes).map_err(|_| Problem::bad("the body is no text"))
    }

    /// The body as JSON, which must be called so.
    pub(super) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Problem> {
        let kind = self.header(CONTENT_TYPE).unwrap_or_default();
        if !is_json(kind) {
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json"));
        }
        let bytes = self.pieces(limits::HTTP_JSON_LEN as u64, limits::HTTP_BODY_TIMEOUT)?.all().await?;
        serde_json::from_slice(&bytes).map_err(|error| Problem::bad(format!("the JSON can't be understood: {error}")))
    }

    /// Reads what is left of the body, so that the next request is found behind it; false: that is too much, or takes too
    /// long, and the connection is to be closed.
    pub(super) async fn read_off(&mut self) -> bool {
        if self.body.is_end_stream() {
            return true;
        }
        match self.pieces(limits::HTTP_JSON_LEN as u64, limits::CLOSE_TIMEOUT) {
            Ok(pieces) => pieces.all().await.is_ok(),
            Err(_) => false,
        }
    }

    /// The body, piece by piece: at most `most` octets, in `time` altogether.
    pub(super) fn pieces(&mut self, most: u64, time: Duration) -> Result<Pieces, Problem> {
        // One that says beforehand that it is too long is not read.
        if self.body.size_hint().lower() > most {
            return Err(too_long());
        }
        let nothing = Empty::new().map_err(|never| match never {}).boxed();
        let body = std::mem::replace(&mut self.body, nothing);
        Ok(Pieces::new(body, most, time))
    }
}

/// Percent-encoding taken away (RFC 3986 §2.1); none: it is broken, or what comes out is no text. A plus stays one: it
/// stands in addresses.
pub(super) fn decode(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            let digits =
                std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whether a Content-Type is JSON, with or without parameters.
pub(super) fn is_json(kind: &str) -> bool {
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// A body on its way, bounded in size and time.
pub(super) struct Pieces {
    body: Arriving,
    left: u64,
    end: Instant,
}

impl Pieces {
    fn new(body: Arriving, most: u64, time: Duration) -> Self {
        Self { body, left: most, end: Instant::now() + time }
    }

    /// The next piece, never empty; `None`: that was all.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let until = self.end.min(Instant::now() + limits::HTTP_PIECE_TIMEOUT);
            let frame = timeout_at(until, self.body.frame()).await;
            let slow = || Problem::new(StatusCode::REQUEST_TIMEOUT, "the body came too slowly");
            let Some(frame) = frame.map_err(|_| slow())? else { return Ok(None) };
            let frame = frame.map_err(|error| Problem::bad(format!("the body can't be read: {error}")))?;
            // Trailer fields tell us nothing.
            let Ok(bytes) = frame.into_data() else { continue };
            self.left = self.left.checked_sub(bytes.len() as u64).ok_or_else(too_long)?;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }

    /// All of them.
    pub(super) async fn all(mut self) -> Result<Vec<u8>, Problem> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }
}

fn too_long() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long")
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    fn pieces(parts: &[&'static [u8]], most: u64) -> Pieces {
        let frames: Vec<_> = parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part)))).collect();
        let body = StreamBody::new(stream::iter(frames)).boxed();
        Pieces::new(body, most, limits::HTTP_BODY_TIMEOUT)
    }

    /// At the bound and one octet above it, not said beforehand.
    #[tokio::test]
    async fn bodies_are_bounded() {
        assert_eq!(pieces(&[b"ab", b"", b"c"], 3).all().await.unwrap(), b"abc");
        assert!(pieces(&[b"ab", b"", b"cd"], 3).all().await.is_err());
    }

    /// `HTTP_PIECE_TIMEOUT` between two pieces, `HTTP_BODY_TIMEOUT` and `HTTP_UPLOAD_TIMEOUT` for all of them.
    #[tokio::test(start_paused = true)]
    async fn slow_bodies_are_left() {
        async fn trickle(pause: Duration, time: Duration) -> Duration {
            let since = Instant::now();
            let drops = stream::unfold((), move |()| async move {
                tokio::time::sleep(pause).await;
                Some((Ok(Frame::data(Bytes::from_static(b"."))), ()))
            });
            let body = StreamBody::new(drops).boxed();
            let all = Pieces::new(body, 1000, time).all().await;
            assert!(all.is_err());
            since.elapsed()
        }
        let steady = limits::HTTP_PIECE_TIMEOUT - Duration::from_secs(1);
        for time in [limits::HTTP_BODY_TIMEOUT, limits::HTTP_UPLOAD_TIMEOUT] {
            assert_eq!(trickle(Duration::MAX, time).await, limits::HTTP_PIECE_TIMEOUT);
            assert_eq!(trickle(steady, time).await, time);
        }
    }

    #[test]
    fn percent_encoding_is_taken_away() {
        assert_eq!(decode("alice%40red.example").as_deref(), Some("alice@red.example"));
        assert_eq!(decode("a+b%2Bc").as_deref(), Some("a+b+c"));
        for broken in ["%", "%4", "%zz", "%+1", "%ff"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }
}
