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

/// The cookie's name. On `localhost` several servers may stand beside each other (as `postrider local` has two), and a
/// browser keeps cookies by host, not by port (RFC 6265 §8.5): there it has the server's name in it.
fn name(request: &Request) -> String {
    let name = if request.peer.tls { NAME } else { PLAIN_NAME };
    if request.names_a_host() { name.to_owned() } else { format!("{name}-{}", request.settings.hostname) }
}

/// The session's secret, where the request has one.
pub(super) fn read(request: &Request) -> Option<&str> {
    let fields = request.headers().get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    // RFC 6265 §4.2.1: pairs, separated by a semicolon and a space.
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let name = name(request);
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Gives the browser a session's secret; none: takes it away.
pub(super) fn write(request: &Request, response: &mut Response, secret: Option<&str>) {
    let (value, age) = match secret {
        Some(secret) => (secret, limits::SESSION_LIFETIME.as_secs()),
        None => ("", 0),
    };
    let secure = if request.peer.tls { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}", name(request));
    // Our secrets are letters and digits.
    if let Ok(text) = HeaderValue::from_str(&text) {
        response.headers_mut().append(SET_COOKIE, text);
    }
}
