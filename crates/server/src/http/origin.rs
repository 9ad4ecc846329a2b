//! From which site a request comes that changes something. No other site's page may act for somebody who is logged in here.
//!
//! A browser sends the cookie with requests from this site's pages alone (`SameSite=Strict`), where "site" is the whole
//! registered domain; so for a request that changes something it must also say, where it says anything, that it comes
//! from this very origin (`Sec-Fetch-Site`, in old browsers `Origin`), and a POST must be of a kind that no form can send. For the last a
//! browser asks first (CORS), and here nobody answers that. A WebSocket counts as something that changes: what opens it is a GET,
//! for which a browser asks nobody first (RFC 6455 §10.2), so with a cookie it must say that it comes from here.

use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderName, ORIGIN, UPGRADE};

use super::cookie;
use super::problem::Problem;
use super::request::{Request, is_json};

/// What a POST that is no JSON has, from a page of ours or a program.
const MARK: HeaderName = HeaderName::from_static("postrider-request");
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what another site's page might have sent, with the cookie that the browser has for us.
pub(super) fn check(request: &Request) -> Result<(), Problem> {
    is_ours(request)?;
    // RFC 6455 §4.1: a browser always says it. Who has no cookie is told to log in.
    if opens_socket(request) && cookie::read(request).is_some() && !is_from_here(request) {
        return Err(foreign());
    }
    let json = request.header(CONTENT_TYPE).is_some_and(is_json);
    if request.method() == Method::POST && !json && !request.headers().contains_key(MARK) {
        let detail = "a POST must be application/json, or have the field Postrider-Request";
        return Err(Problem::forbidden(detail).code("origin"));
    }
    Ok(())
}

/// Refuses what says that it comes from another site's page. Enough for Basic, which hardly any browser knows for us, and
/// programs send with bodies of any kind.
pub(super) fn is_ours(request: &Request) -> Result<(), Problem> {
    if [Method::GET, Method::HEAD].contains(request.method()) && !opens_socket(request) {
        return Ok(());
    }
    // The browser's own word, which no page can set. Under `Referrer-Policy: no-referrer` it may say `Origin: null` beside it.
    match request.headers().get(SITE) {
        Some(site) if site == "same-origin" => {}
        Some(_) => return Err(foreign()),
        None if request.headers().contains_key(ORIGIN) && !is_from_here(request) => return Err(foreign()),
        None => {}
    }
    Ok(())
}

fn foreign() -> Problem {
    Problem::forbidden("another site's page can't do this").code("origin")
}

/// Whether it says that it comes from this very origin.
fn is_from_here(request: &Request) -> bool {
    let scheme = if request.peer.tls { "https" } else { "http" };
    let ours = request.authority().map(|authority| format!("{scheme}://{authority}"));
    ours.is_some_and(|ours| request.header(ORIGIN).is_some_and(|origin| origin.eq_ignore_ascii_case(&ours)))
}

/// Of HTTP/1.1 by a field, of HTTP/2 by a method that is for nothing else.
fn opens_socket(request: &Request) -> bool {
    let fields = request.headers().get_all(UPGRADE).iter().filter_map(|field| field.to_str().ok());
    let mut names = fields.map(str::to_ascii_lowercase);
    request.method() == Method::CONNECT || names.any(|names| names.contains("websocket"))
}
