//! HTTP: /healthz for machines, /metrics for Prometheus, / for people.
//!
//! Does: answer GET and HEAD of these three. Does not: take anything, show anything about a person, or show
//! /metrics to strangers: only loopback and the networks named in the settings see it.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use mail::limits;

use crate::conn::Connection;
use crate::shared::Shared;

/// Serves one HTTP connection to its end.
pub async fn serve(connection: Connection, shared: Arc<Shared>) {
    let peer = connection.peer().ip();
    let answering = shared.clone();
    let service = service_fn(move |request| {
        let shared = answering.clone();
        async move { Ok::<_, Infallible>(answer(&request, peer, &shared).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HTTP_TIMEOUT)
        .serve_connection(TokioIo::new(connection), service);
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        result = &mut serving => {
            if let Err(error) = result {
                tracing::debug!(%peer, %error, "HTTP connection ended early");
            }
            return;
        }
        () = shared.shutdown.wait() => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}

async fn answer(request: &Request<Incoming>, peer: IpAddr, shared: &Shared) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".into());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/healthz" => match shared.store.domains().await {
            Ok(_) => reply(StatusCode::OK, TEXT, "ok\n".into()),
            Err(error) => reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{error}\n")),
        },
        "/metrics" if may_see_metrics(peer, shared) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            reply(StatusCode::OK, kind, shared.metrics.text(shared.store.behind()))
        }
        "/metrics" => reply(StatusCode::FORBIDDEN, TEXT, "not from your address\n".into()),
        "/" => reply(StatusCode::OK, "text/html; charset=utf-8", page(shared)),
        _ => reply(StatusCode::NOT_FOUND, TEXT, "there is no such page\n".into()),
    }
}

fn may_see_metrics(peer: IpAddr, shared: &Shared) -> bool {
    peer.is_loopback() || shared.settings().http.metrics_from.iter().any(|network| network.contains(peer))
}

fn page(shared: &Shared) -> String {
    let settings = shared.settings();
    settings.http.page.clone().unwrap_or_else(|| {
        // A hostname is made of letters, digits, dots and hyphens, so there is nothing to escape.
        let hostname = &settings.hostname;
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{hostname}</title>\n\
             <style>body{{font:1.1em/1.5 system-ui,sans-serif;max-width:36em;margin:4em auto;padding:0 1em}}</style>\n\
             <h1>{hostname}</h1>\n<p>A mail server, made with Postrider.</p>\n</html>\n"
        )
    })
}

fn reply(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}
