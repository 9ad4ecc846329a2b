//! Health, metrics, and a page for people.

use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};

use super::problem::Problem;
use super::reply::{self, Response, STYLED, TEXT};
use super::request::Request;

/// Whether the server can do what it is there for.
pub(super) async fn health(request: &Request) -> Result<Response, Problem> {
    Ok(match request.shared.store.domains().await {
        Ok(_) => reply::of(StatusCode::OK, TEXT, "ok\n"),
        Err(error) => reply::of(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{error}\n")),
    })
}

/// Counters, for loopback and the networks that the settings name.
pub(super) fn metrics(request: &Request) -> Result<Response, Problem> {
    let mut networks = request.settings.http.metrics_from.iter();
    if !request.peer.ip.is_loopback() && !networks.any(|network| network.contains(request.peer.ip)) {
        return Err(Problem::forbidden("not from your address"));
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = request.shared.metrics.text(request.shared.store.behind());
    Ok(reply::of(StatusCode::OK, kind, text))
}

/// What proves to an authority for certificates that the name it came by is ours.
pub(super) fn acme(request: &Request, token: &str) -> Result<Response, Problem> {
    let said = request.shared.acme.answers.page(token).ok_or_else(Problem::not_found)?;
    // RFC 8555 §8.3
    Ok(reply::of(StatusCode::OK, "application/octet-stream", said))
}

/// Where a password is changed (the W3C's "Well-Known URL for Changing Passwords"): at the front, which has the way.
pub(super) fn change_password() -> Response {
    reply::elsewhere(StatusCode::SEE_OTHER, "/#/settings/password")
}

/// What is here, in a few words, where the webmail can't be shown: it asks for passwords.
pub(super) fn front(request: &Request) -> Response {
    // A hostname is made of letters, digits, dots and hyphens, so there is nothing to escape.
    let hostname = &request.settings.hostname;
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{hostname}</title>\n\
         <style>body{{font:1.1em/1.5 system-ui,sans-serif;max-width:36em;margin:4em auto;padding:0 1em}}</style>\n\
         <h1>{hostname}</h1>\n<p>A mail server, made with Postrider.</p>\n</html>\n"
    );
    let mut response = reply::of(StatusCode::OK, "text/html; charset=utf-8", page);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(STYLED));
    response
}

/// `GET /local`, `GET /local/NAME`: what a system of the small internet shows people; nowhere else.
pub(super) fn local(request: &Request, name: &str) -> Result<Response, Problem> {
    let page = request.settings.http.local.get(name).ok_or_else(Problem::not_found)?;
    let mut response = reply::of(StatusCode::OK, page.kind, page.content.clone());
    // Without its policy it would have that of all answers, which allows nothing.
    if let Ok(policy) = HeaderValue::from_str(&page.policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}
