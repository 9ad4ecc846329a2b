//! One connection, from its first request to its last.
//!
//! Does: speak HTTP/2 where TLS agreed on it (RFC 7301 §3), else HTTP/1.1; let a connection go on which nothing is asked, and all of them
//! when the server stops. Does not: know a page.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use mail::limits;
use tokio::sync::mpsc;

use super::patience::Patience;
use super::request::{Peer, Request};
use super::respond;
use crate::conn::Connection;
use crate::shared::{Shared, Shutdown};

/// Octets of HTTP/1.1 that are read before they are understood: more than a header may have, so that one which is too long
/// is told so by us, at the same length however the network cuts it.
const BUFFER: usize = 2 * limits::HTTP_HEADER_LEN;

/// Serves one HTTP connection to its end.
pub async fn serve(connection: Connection, shared: Arc<Shared>) {
    let tls = connection.tls();
    let peer = Peer { ip: connection.peer().ip(), tls: tls.is_some() };
    let http2 = tls.is_some_and(|tls| tls.alpn.as_deref() == Some(b"h2"));
    let shutdown = shared.shutdown.clone();
    let (asked, mut ended) = Asked::new();
    let asking = asked.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let under_way = asking.one_more();
        let request = Request::new(request, peer, shared.clone(), under_way.clone());
        async move {
            let response = respond(request).await;
            // It is under way until its answer is out.
            Ok::<_, Infallible>(response.map(|body| body.map_err(move |error| under_way.pass(error))))
        }
    });
    let io = TokioIo::new(Patience::new(connection));
    let result = if http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits::HTTP_STREAMS)
            // What is over it is refused by the library; what is a little under it, by us.
            .max_header_list_size(u32::try_from(BUFFER).unwrap_or(u32::MAX))
            .keep_alive_interval(limits::HTTP_TIMEOUT)
            .keep_alive_timeout(limits::HTTP_TIMEOUT)
            // RFC 8441 §3: for WebSockets.
            .enable_connect_protocol();
        drive(builder.serve_connection(io, service), &shutdown, &asked, true).await
    } else {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(limits::HTTP_TIMEOUT)
            .max_buf_size(BUFFER)
            .max_headers(limits::HTTP_HEADERS);
        drive(builder.serve_connection(io, service).with_upgrades(), &shutdown, &asked, false).await
    };
    if let Err(error) = result {
        tracing::debug!(peer = %peer.ip, %error, "HTTP connection ended early");
    }
    // A WebSocket goes on where HTTP has ended.
    drop(asked);
    let _ = ended.recv().await;
}

/// Requests of a connection: those that there were, and those under way.
#[derive(Clone)]
struct Asked {
    under_way: UnderWay,
    all: Arc<AtomicU64>,
}

/// Held by a request that is under way. Nothing is sent by it: its end is waited for.
#[derive(Clone)]
pub(super) struct UnderWay(mpsc::Sender<Infallible>);

impl UnderWay {
    /// For a closure that is to hold it.
    fn pass<T>(&self, value: T) -> T {
        value
    }
}

impl Asked {
    /// None yet; and what receives nothing until all have ended.
    fn new() -> (Self, mpsc::Receiver<Infallible>) {
        let (under_way, ended) = mpsc::channel(1);
        (Self { under_way: UnderWay(under_way), all: Arc::default() }, ended)
    }

    fn one_more(&self) -> UnderWay {
        self.all.fetch_add(1, Ordering::Relaxed);
        self.under_way.clone()
    }

    fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }

    /// Whether none is under way; `ours`: who holds it without being one.
    fn is_idle(&self, ours: usize) -> bool {
        self.under_way.0.strong_count() <= ours
    }
}

/// A connection of either version.
trait Serving: Future<Output = hyper::Result<()>> {
    /// Takes no more requests, and ends after those under way.
    fn end(self: Pin<&mut Self>);
}

impl<I, S, B> Serving for http1::UpgradeableConnection<I, S>
where
    Self: Future<Output = hyper::Result<()>>,
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, B, E> Serving for http2::Connection<I, S, E>
where
    Self: Future<Output = hyper::Result<()>>,
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Until the connection ends, the server stops, or, where `idle_ends`, nothing was asked for `limits::HTTP_TIMEOUT` (of
/// HTTP/1.1 the library itself ends what is idle).
async fn drive(serving: impl Serving, shutdown: &Shutdown, asked: &Asked, idle_ends: bool) -> hyper::Result<()> {
    let mut serving = pin!(serving);
    let idle = async {
        loop {
            let before = asked.all();
            tokio::time::sleep(limits::HTTP_TIMEOUT).await;
            // One is ours, one the service's.
            if idle_ends && asked.all() == before && asked.is_idle(2) {
                return;
            }
        }
    };
    tokio::select! {
        result = &mut serving => return result,
        () = shutdown.wait() => {}
        () = idle => {}
    }
    serving.as_mut().end();
    serving.await
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};

    use tokio::time::Instant;

    use super::*;

    /// A connection that does nothing until it is told to end.
    struct Silent {
        told: bool,
        waker: Option<std::task::Waker>,
    }

    impl Future for Silent {
        type Output = hyper::Result<()>;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            self.waker = Some(cx.waker().clone());
            if self.told { Poll::Ready(Ok(())) } else { Poll::Pending }
        }
    }

    impl Serving for Silent {
        fn end(mut self: Pin<&mut Self>) {
            self.told = true;
        }
    }

    /// `HTTP_TIMEOUT` without a request, and not while one is under way; at once when the server stops.
    #[tokio::test(start_paused = true)]
    async fn who_asks_nothing_is_let_go() {
        let (switch, shutdown) = Shutdown::new();
        let silent = || Silent { told: false, waker: None };
        let (asked, _ended) = Asked::new();
        let serving = asked.clone();
        let since = Instant::now();
        drive(silent(), &shutdown, &serving, true).await.unwrap();
        assert_eq!(since.elapsed(), limits::HTTP_TIMEOUT);

        let since = Instant::now();
        let under_way = asked.one_more();
        let ends = async {
            tokio::time::sleep(limits::HTTP_TIMEOUT * 3 / 2).await;
            drop(under_way);
        };
        let (ended, ()) = tokio::join!(drive(silent(), &shutdown, &serving, true), ends);
        ended.unwrap();
        assert_eq!(since.elapsed(), 2 * limits::HTTP_TIMEOUT);

        let since = Instant::now();
        switch.stop();
        drive(silent(), &shutdown, &serving, false).await.unwrap();
        assert_eq!(since.elapsed(), std::time::Duration::ZERO);
    }
}
