//! Fetching what somebody names: pictures of messages, an unsubscription, a push to a browser's service.
//!
//! Does: ask one URL, with limits in time, size and number, and reach no private address: the name is looked up by our own
//! DNS client, every address is judged ([`public`]), and the connection goes to the very address that was judged, so a
//! name that changes its mind between two look-ups gains nothing. Each redirect is judged anew. Nothing of the account goes out: no cookie, no
//! referrer, no credential.
//!
//! Does not: know what the answer means; say who may ask; keep connections or answers. How a name is private (there is none, or
//! it leads into a network that is not for all) is not told, since that alone would draw a map of the network inside.

mod public;

pub(crate) use public::is_public;
mod turns;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, LOCATION, USER_AGENT,
};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use mail::{AccountId, limits};
use mta::world::{Answer as Found, Connect, Dns, Stream, Trust, World};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use url::{Host, Position, Url};

pub(crate) use turns::Turns;

/// The way out.
pub struct Outside {
    dns: Arc<dyn Dns>,
    connect: Arc<dyn Connect>,
    at_once: Arc<Semaphore>,
    accounts: Turns<AccountId>,
}

/// What is to be asked, of whom.
#[derive(Clone, Debug)]
pub struct Errand {
    /// In whose name.
    pub account: AccountId,
    /// GET or POST.
    pub method: Method,
    /// As somebody wrote it.
    pub url: String,
    /// Fields beside those that belong to the connection.
    pub headers: HeaderMap,
    /// What is sent.
    pub body: Bytes,
    /// Over TLS alone.
    pub secure: bool,
    /// Octets of the answer's body at most.
    pub most: u64,
    /// Whether a GET goes where it is sent on to, `OUTSIDE_REDIRECTS` times at most. A POST's answer is what it is.
    pub follow: bool,
}

/// Why there is no answer; each is a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No URL that is fetched.
    Url(&'static str),
    /// No address that all can reach.
    Nowhere,
    /// Nobody answers there, or no HTTP.
    Silent(String),
    /// It takes too long.
    Slow,
    /// The answer is longer than wanted.
    TooLong,
    /// It is sent on and on.
    Round,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => f.write_str(why),
            Self::Nowhere => f.write_str("the URL leads to no address that all can reach"),
            Self::Silent(why) => write!(f, "the other server can't be asked: {why}"),
            Self::Slow => f.write_str("the other server takes too long"),
            Self::TooLong => f.write_str("the other server's answer is too long"),
            Self::Round => f.write_str("the other server sends on to others again and again"),
        }
    }
}

impl std::error::Error for Refusal {}

/// What came: the head at once, the body piece by piece.
pub struct Answer {
    /// Whatever it is.
    pub status: StatusCode,
    /// All fields.
    pub headers: HeaderMap,
    body: Incoming,
    left: u64,
    end: Instant,
    /// What moves the bytes; ends with this.
    _driver: JoinSet<()>,
    _permits: [OwnedSemaphorePermit; 2],
}

impl Answer {
    /// The next piece of the body, never empty; none: that was all.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let frame = timeout_at(self.end, self.body.frame()).await.map_err(|_| Refusal::Slow)?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| Refusal::Silent(error.to_string()))?;
            let Ok(bytes) = frame.into_data() else { continue };
            self.left = self.left.checked_sub(bytes.len() as u64).ok_or(Refusal::TooLong)?;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }
}

impl Outside {
    /// By this world's names and connections.
    pub fn new(world: &World) -> Self {
        let at_once = Arc::new(Semaphore::new(limits::OUTSIDE_AT_ONCE));
        let accounts = Turns::new(limits::OUTSIDE_PER_ACCOUNT);
        Self { dns: world.dns.clone(), connect: world.connect.clone(), at_once, accounts }
    }

    /// Waits until it is this account's turn: nobody who has much fetched keeps others waiting.
    async fn turn(&self, account: AccountId) -> Option<[OwnedSemaphorePermit; 2]> {
        let own = self.accounts.wait(account).await?;
        // It is never closed.
        Some([own, self.at_once.clone().acquire_owned().await.ok()?])
    }

    /// Why this URL is never asked, whatever its host's name says: by what it looks like alone.
    pub fn refuses(&self, url: &str, secure: bool, also: &[SocketAddr]) -> Option<Refusal> {
        let place = match Url::parse(url) {
            Ok(url) => Place::of(&url, secure, also),
            Err(_) => Err(Refusal::Url("this is no URL")),
        };
        let place = match place {
            Ok(place) => place,
            Err(refusal) => return Some(refusal),
        };
        let ip = match place.host {
            Host::Domain(_) => return None,
            Host::Ipv4(ip) => IpAddr::V4(ip),
            Host::Ipv6(ip) => IpAddr::V6(ip),
        };
        (!self.may_reach(SocketAddr::new(ip, place.port), also)).then_some(Refusal::Nowhere)
    }

    fn may_reach(&self, to: SocketAddr, also: &[SocketAddr]) -> bool {
        also.contains(&to)
            || Place::is_usual(to.port()) && public::is_public(to.ip()) && !self.connect.is_local(to.ip())
    }

    /// Asks. `also`: addresses and ports that may be reached whatever they are; empty but in the small internet of `local`.
    pub async fn fetch(&self, errand: &Errand, also: &[SocketAddr]) -> Result<Answer, Refusal> {
        let end = Instant::now() + limits::OUTSIDE_TIMEOUT;
        timeout_at(end, self.follow(errand, also, end)).await.map_err(|_| Refusal::Slow)?
    }

    async fn follow(&self, errand: &Errand, also: &[SocketAddr], end: Instant) -> Result<Answer, Refusal> {
        let mut url = Url::parse(&errand.url).map_err(|_| Refusal::Url("this is no URL"))?;
        let permits = self.turn(errand.account).await.ok_or(Refusal::Slow)?;
        let mut left = limits::OUTSIDE_REDIRECTS;
        loop {
            let place = Place::of(&url, errand.secure, also)?;
            let stream = self.reach(&place, also).await?;
            let (answer, driver) = ask(stream, errand, &url, &place).await?;
            let to = (errand.follow && errand.method == Method::GET).then(|| elsewhere(&answer)).flatten();
            let Some(to) = to else {
                return accept(answer, driver, errand.most, end, permits);
            };
            left = left.checked_sub(1).ok_or(Refusal::Round)?;
            // RFC 9110 §10.2.2: it may be meant from where we are.
            url = url.join(&to).map_err(|_| Refusal::Url("the other server sends on to what is no URL"))?;
        }
    }

    /// A connection to one of the host's addresses, which was judged.
    async fn reach(&self, place: &Place, also: &[SocketAddr]) -> Result<Box<dyn Stream>, Refusal> {
        let may = |to: &SocketAddr| self.may_reach(*to, also);
        let addresses = self.addresses(&place.host).await?.into_iter().map(|ip| SocketAddr::new(ip, place.port));
        let mut last = Refusal::Nowhere;
        for address in addresses.filter(may).take(limits::OUTSIDE_ADDRESSES) {
            match timeout(limits::OUTSIDE_CONNECT_TIMEOUT, self.open(address, place)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = Refusal::Silent(error.to_string()),
                Err(_) => last = Refusal::Slow,
            }
        }
        Err(last)
    }

    async fn open(&self, address: SocketAddr, place: &Place) -> std::io::Result<Box<dyn Stream>> {
        let stream = self.connect.connect(address).await?;
        if !place.tls {
            return Ok(stream);
        }
        let name = match &place.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        };
        Ok(self.connect.tls(stream, &name, Trust::Verified).await?.0)
    }

    /// All addresses of a host, of both kinds in turn, so that one kind which doesn't work here costs no more than half of the tries.
    async fn addresses(&self, host: &Host) -> Result<Vec<IpAddr>, Refusal> {
        let name = match host {
            Host::Ipv4(ip) => return Ok(vec![IpAddr::V4(*ip)]),
            Host::Ipv6(ip) => return Ok(vec![IpAddr::V6(*ip)]),
            Host::Domain(name) => name.trim_end_matches('.'),
        };
        let (v6, v4) = tokio::join!(self.dns.ipv6(name), self.dns.ipv4(name));
        let (mut v6, mut v4) = (found(v6).map(IpAddr::V6), found(v4).map(IpAddr::V4));
        let mut all = Vec::new();
        loop {
            let pair = [v6.next(), v4.next()];
            if pair == [None, None] {
                return Ok(all);
            }
            all.extend(pair.into_iter().flatten());
        }
    }
}

fn found<T>(answer: Found<T>) -> impl Iterator<Item = T> {
    if let Found::Found(records, _) = answer { records.into_iter() } else { Vec::new().into_iter() }
}

/// Where a URL leads.
struct Place {
    host: Host,
    port: u16,
    tls: bool,
}

impl Place {
    fn of(url: &Url, secure: bool, also: &[SocketAddr]) -> Result<Self, Refusal> {
        let tls = match url.scheme() {
            "https" => true,
            "http" if !secure => false,
            _ if secure => return Err(Refusal::Url("only https is asked")),
            _ => return Err(Refusal::Url("only http and https are asked")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Url("a URL with a name or password is not asked"));
        }
        // URLs of the two schemes always have both.
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Refusal::Url("the URL names no host"));
        };
        if !Self::is_usual(port) && !also.iter().any(|known| known.port() == port) {
            return Err(Refusal::Url("only the ports 80 and 443 are asked"));
        }
        Ok(Self { host: host.to_owned(), port, tls })
    }

    const fn is_usual(port: u16) -> bool {
        matches!(port, 80 | 443)
    }
}

/// Where an answer sends on to (RFC 9110 §15.4).
fn elsewhere(answer: &hyper::Response<Incoming>) -> Option<String> {
    let moved = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let to = answer.headers().get(LOCATION).filter(|_| moved)?;
    // Quirk: some servers send raw UTF-8; the URL parser takes it.
    Some(String::from_utf8_lossy(to.as_bytes()).into_owned())
}

/// One request over a connection of its own.
async fn ask(
    stream: Box<dyn Stream>,
    errand: &Errand,
    url: &Url,
    place: &Place,
) -> Result<(hyper::Response<Incoming>, JoinSet<()>), Refusal> {
    let silent = |error: hyper::Error| Refusal::Silent(error.to_string());
    let mut builder = http1::Builder::new();
    builder.max_buf_size(limits::OUTSIDE_HEADER_LEN).max_headers(limits::HTTP_HEADERS);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(silent)?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // What goes wrong is told to who waits for the answer.
        let _ = connection.await;
    });
    let mut request = hyper::Request::new(Full::new(errand.body.clone()));
    *request.method_mut() = errand.method.clone();
    let broken = |_| Refusal::Url("the URL can't be asked for");
    *request.uri_mut() = url[Position::BeforePath..Position::AfterQuery].parse().map_err(broken)?;
    let host = match url.port() {
        Some(port) => format!("{}:{port}", place.host),
        None => place.host.to_string(),
    };
    let headers = request.headers_mut();
    *headers = errand.headers.clone();
    headers.insert(HOST, HeaderValue::from_str(&host).map_err(|_| Refusal::Url("the host's name can't be sent"))?);
    headers.insert(USER_AGENT, HeaderValue::from_static("Postrider"));
    // What is packed may be small on the way and huge here.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let answer = sender.send_request(request).await.map_err(silent)?;
    Ok((answer, driver))
}

fn accept(
    answer: hyper::Response<Incoming>,
    driver: JoinSet<()>,
    most: u64,
    end: Instant,
    permits: [OwnedSemaphorePermit; 2],
) -> Result<Answer, Refusal> {
    let (head, body) = answer.into_parts();
    let text = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if text(CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(Refusal::Silent("the answer is packed, which nobody asked for".to_owned()));
    }
    // One that says beforehand that it is too long is not read.
    if text(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > most) {
        return Err(Refusal::TooLong);
    }
    Ok(Answer { status: head.status, headers: head.headers, body, left: most, end, _driver: driver, _permits: permits })
}

#[cfg(test)]
mod tests;
