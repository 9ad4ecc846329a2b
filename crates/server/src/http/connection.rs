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
    let (shutdown, asked) = (shared.shutdown.clone(), Asked::default());
    let asking = asked.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let request = Request::new(request, peer, shared.clone());
        let under_way = asking.one_more();
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
            .keep_alive_timeout(limits::HTTP_TIMEOUT);
        drive(builder.serve_connection(io, service), &shutdown, &asked, true).await
    } else {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(limits::HTTP_TIMEOUT)
            .max_buf_size(BUFFER)
            .max_headers(limits::HTTP_HEADERS);
        drive(builder.serve_connection(io, service), &shutdown, &asked, false).await
    };
    if let Err(error) = result {
        tracing::debug!(peer = %peer.ip, %error, "HTTP connection ended early");
    }
}

/// Requests of a connection: those that there were, and those under way.
#[derive(Clone, Default)]
struct Asked {
    /// Each one that is under way holds it.
    under_way: Arc<()>,
    all: Arc<AtomicU64>,
}

/// A request that is under way.
#[derive(Clone)]
struct UnderWay(#[allow(dead_code, reason = "counted by being there")] Arc<()>);

impl UnderWay {
    /// For a closure that is to hold it.
    fn pass<T>(&self, value: T) -> T {
        value
    }
}

impl Asked {
    fn one_more(&self) -> UnderWay {
        self.all.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.under_way.clone())
    }

    fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }
}

/// A connection of either version.
trait Serving: Future<Output = hyper::Result<()>> {
    /// Takes no more requests, and ends after those under way.
    fn end(self: Pin<&mut Self>);
}

impl<I, S, B> Serving for http1::Connection<I, S>
where
    Self: Future<Output = hyper::Result<()>>,
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
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
            // One is ours.
            if idle_ends && asked.all() == before && Arc::strong_count(&asked.under_way) <= 2 {
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
        let asked = Asked::default();
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
