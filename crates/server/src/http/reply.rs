//! Answers, and the headers that all of them have.

use std::io;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use serde::Serialize;

/// What an answer carries: whole, or piece by piece.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// An answer.
pub(super) type Response = hyper::Response<Body>;

/// Plain text.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// Nothing may be loaded, framed or sent: for what is no page of ours to look at.
const NOTHING: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The same with the styles within the page itself.
pub(super) const STYLED: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What every answer has, unless its page chose otherwise. `strict`: browsers are to come by TLS only from now on.
const GUARDS: [(HeaderName, &str); 8] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, NOTHING),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (HeaderName::from_static("x-frame-options"), "DENY"),
];

/// RFC 6797 §6.1: a year. Only for this name: what else the domain serves is not ours to decide.
const STRICT: &str = "max-age=31536000";

/// Puts the guards on an answer. `strict`: it goes over TLS to somebody who named the server by a name of its own.
pub(super) fn guard(response: &mut Response, strict: bool) {
    let headers = response.headers_mut();
    for (name, value) in GUARDS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // RFC 6797 §7.2: never over plain HTTP.
    if strict {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(STRICT));
    }
}

/// A body that is there already.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer with a body of this kind.
pub(super) fn of(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// JSON, on one line that is ended, as people who look at it with a terminal like it.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // Our own values have text keys only, so there is always a text.
    let text = serde_json::to_string(value).unwrap_or_else(|_| "null".into());
    of(status, "application/json", text + "\r\n")
}

/// 204: done, and nothing to say.
pub(super) fn done() -> Response {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Goes on elsewhere, by the same method (RFC 9110 §15.4.9).
pub(super) fn elsewhere(status: StatusCode, to: &str) -> Response {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = status;
    // What can't stand in a header names no place.
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(LOCATION, to);
    }
    response
}
