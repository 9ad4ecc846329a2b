//! What the webmail has fetched from elsewhere: pictures of messages, so that a sender does not learn the reader's address, and
//! one-click unsubscriptions. [`super::outside`] is the way there, and its limits.
//!
//! Does: let pictures through, by their first octets and never by what they are called; a picture that could run as a page (SVG) is none. An
//! unsubscription goes only to where a message of the account says, in its header.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use mail::limits;
use serde_json::{Value, json};

use super::access::Visitor;
use super::jmap::{moment, user};
use super::outside::{Answer, Errand, Refusal};
use super::problem::Problem;
use super::reply::{self, Response};
use super::request::Request;

/// RFC 8058 §3.2: this, exactly.
const ONE_CLICK: &str = "List-Unsubscribe=One-Click";

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What pictures begin with: octets, those at a place, and what it is called. Nothing that a browser would run.
const PICTURES: [(&[u8], usize, &[u8], &str); 8] = [
    (b"\x89PNG\r\n\x1a\n", 0, b"", "image/png"),
    (b"\xff\xd8\xff", 0, b"", "image/jpeg"),
    (b"GIF87a", 0, b"", "image/gif"),
    (b"GIF89a", 0, b"", "image/gif"),
    (b"RIFF", 8, b"WEBP", "image/webp"),
    (b"BM", 6, b"\0\0\0\0", "image/bmp"),
    (b"\0\0\x01\0", 0, b"", "image/x-icon"),
    (b"\0\0\0", 4, b"ftypavif", "image/avif"),
];
/// Octets that are enough to know by.
const ENOUGH: usize = 12;

fn picture(begin: &[u8]) -> Option<&'static str> {
    let found = PICTURES.iter().find(|(first, at, then, _)| {
        begin.starts_with(first) && begin.get(*at..).is_some_and(|rest| rest.starts_with(then))
    });
    found.map(|(.., kind)| *kind)
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Url(_) | Refusal::Nowhere => StatusCode::FORBIDDEN,
            Refusal::Slow => StatusCode::GATEWAY_TIMEOUT,
            Refusal::Silent(_) | Refusal::TooLong | Refusal::Round => StatusCode::BAD_GATEWAY,
        };
        Self::new(status, refusal.to_string()).code("outside")
    }
}

async fn fetch(request: &Request, errand: Errand) -> Result<Answer, Problem> {
    let closed = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "nothing can be fetched from here").code("outside");
    let outside = request.shared.outside().ok_or_else(closed)?;
    Ok(outside.fetch(&errand, &request.settings.local.reach).await?)
}

/// `GET /proxy?url=…`, `POST /proxy?url=…&email=…`
pub(super) async fn pass(request: &Request, visitor: &Visitor) -> Result<Response, Problem> {
    // What another site's page names is fetched for nobody, though only we see it.
    if request.headers().get(SITE).is_some_and(|site| site != "same-origin") {
        return Err(Problem::forbidden("another site's page can't do this").code("origin"));
    }
    let url = request.query("url").ok_or_else(|| Problem::bad("the URL is missing, or can't be read"))?;
    if request.method() == Method::POST {
        unsubscribe(request, visitor, url).await
    } else {
        show(request, visitor, url).await
    }
}

async fn show(request: &Request, visitor: &Visitor, url: String) -> Result<Response, Problem> {
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("image/*"))]);
    let errand = Errand {
        account: visitor.account.id,
        method: Method::GET,
        url,
        headers,
        body: Bytes::new(),
        secure: false,
        most: limits::PROXY_PICTURE_LEN,
        follow: true,
    };
    let mut answer = fetch(request, errand).await?;
    if answer.status != StatusCode::OK {
        return Err(Refusal::Silent(format!("it answers {}", answer.status.as_u16())).into());
    }
    let mut begin = Vec::new();
    while begin.len() < ENOUGH
        && let Some(piece) = answer.next().await?
    {
        begin.extend_from_slice(&piece);
    }
    let Some(kind) = picture(&begin) else {
        let detail = "what is there is no picture that can be shown";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail).code("outside"));
    };
    // As it comes: nothing is kept here.
    let octets = stream::try_unfold((Some(Bytes::from(begin)), answer), |(begin, mut answer)| async move {
        let piece = if begin.is_some() { begin } else { answer.next().await.map_err(io::Error::other)? };
        Ok::<_, io::Error>(piece.map(|piece| (Frame::data(piece), (None, answer))))
    });
    let mut response = Response::new(StreamBody::new(octets).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // Whether it is looked at twice is nobody's business.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400"));
    Ok(response)
}

/// RFC 8058 §3.2: without cookies, credentials or anything else of the reader; §3.1: over HTTPS, and not sent on.
async fn unsubscribe(request: &Request, visitor: &Visitor, url: String) -> Result<Response, Problem> {
    let email = request.query("email").ok_or_else(|| Problem::bad("which message it is of is missing"))?;
    if !says(request, visitor, &email, &url).await? {
        return Err(Problem::forbidden("no message of yours says that a list is left there").code("outside"));
    }
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    let errand = Errand {
        account: visitor.account.id,
        method: Method::POST,
        url,
        headers: HeaderMap::from_iter([(CONTENT_TYPE, kind)]),
        body: Bytes::from_static(ONE_CLICK.as_bytes()),
        secure: true,
        most: u64::MAX,
        follow: false,
    };
    let answer = fetch(request, errand).await?;
    if !answer.status.is_success() {
        return Err(Refusal::Silent(format!("it answers {}", answer.status.as_u16())).into());
    }
    Ok(reply::done())
}

/// Whether a message that the account has says in its header that its list is left there by one click (RFC 8058 §3.1).
async fn says(request: &Request, visitor: &Visitor, email: &str, url: &str) -> Result<bool, Problem> {
    const PLACES: &str = "header:List-Unsubscribe:asURLs";
    const POST: &str = "header:List-Unsubscribe-Post:asText";
    let account = jmap::account_id(visitor.account.id);
    let ask = json!({
        "using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"],
        "methodCalls": [["Email/get", { "accountId": account, "ids": [email], "properties": [PLACES, POST] }, "0"]],
    });
    let reply = request.shared.jmap.request(&user(visitor), ask.to_string().as_bytes(), moment(&request.shared)).await;
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let found = &answer["methodResponses"][0][1]["list"][0];
    let one_click = found[POST].as_str().is_some_and(|said| {
        let bare: String = said.chars().filter(|c| !c.is_whitespace()).collect();
        bare.eq_ignore_ascii_case(ONE_CLICK)
    });
    Ok(one_click && found[PLACES].as_array().is_some_and(|places| places.iter().any(|place| place == url)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_known_by_their_octets() {
        for (begin, kind) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", Some("image/jpeg")),
            (b"GIF89a\x01\0\x01\0", Some("image/gif")),
            (b"RIFF\x24\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"BM\x46\0\0\0\0\0\0\0\x36\0", Some("image/bmp")),
            (b"\0\0\0\x20ftypavif", Some("image/avif")),
            (b"RIFF\x24\0\0\0WAVEfmt ", None),
            (b"<svg xmlns=\"http://www.w3.org/2000/svg\">", None),
            (b"<?xml version=\"1.0\"?><svg>", None),
            (b"<!doctype html><script>", None),
            (b"BMW is a car", None),
            (b"%PDF-1.7", None),
            (b"GIF8", None),
            (b"", None),
        ] {
            assert_eq!(picture(begin), kind, "{}", begin.escape_ascii());
        }
    }
}
