//! The cookie that a session is (RFC 6265).

use hyper::header::{COOKIE, HeaderValue, SET_COOKIE};
use mail::limits;

use super::reply::Response;
use super::request::Request;

/// Over TLS. The prefix makes a browser take it from this very host alone, and over TLS alone: no other host of the
/// domain can put one in its place.
const NAME: &str = "__Host-postrider";
/// On this very machine, in clear.
const PLAIN_NAME: &str = "postrider";

const fn name(tls: bool) -> &'static str {
    if tls { NAME } else { PLAIN_NAME }
}

/// The session's secret, where the request has one.
pub(super) fn read(request: &Request) -> Option<&str> {
    let fields = request.headers().get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    // RFC 6265 §4.2.1: pairs, separated by a semicolon and a space.
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name(request.peer.tls)).map(|(_, value)| value)
}

/// Gives the browser a session's secret; none: takes it away.
pub(super) fn write(response: &mut Response, tls: bool, secret: Option<&str>) {
    let (value, age) = match secret {
        Some(secret) => (secret, limits::SESSION_LIFETIME.as_secs()),
        None => ("", 0),
    };
    let secure = if tls { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}", name(tls));
    // Our secrets are letters and digits.
    if let Ok(text) = HeaderValue::from_str(&text) {
        response.headers_mut().append(SET_COOKIE, text);
    }
}
