//! JMAP over HTTP (RFC 8620 §2.2, §3.1, §6): octets to and from the engine, which knows all else.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::StatusCode;
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use jmap::{Moment, Reply, Urls, User};
use mail::limits;

use super::access::Visitor;
use super::problem::Problem;
use super::reply::{self, Response};
use super::request::{Request, decode, is_json};
use crate::auth::hash;
use crate::shared::Shared;

/// Who a visitor is to the engine.
pub(super) fn user(visitor: &Visitor) -> User {
    User {
        account: visitor.account.id,
        address: visitor.account.address.clone(),
        credential: visitor.proof.credential(),
    }
}

pub(super) fn moment(shared: &Shared) -> Moment {
    Moment { now: shared.clock.now(), random: hash::random() }
}

/// JSON on a line that is ended, as all of ours.
fn on_a_line(mut octets: Vec<u8>) -> Vec<u8> {
    if !octets.is_empty() {
        octets.extend_from_slice(b"\r\n");
    }
    octets
}

fn respond(reply: Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply::of(status, reply.content_type, on_a_line(reply.body))
}

/// `GET /.well-known/jmap`, `GET /jmap/session` (RFC 8620 §2.2)
pub(super) async fn session(request: &Request, visitor: &Visitor) -> Result<Response, Problem> {
    let (http, socket) = if request.peer.tls { ("https", "wss") } else { ("http", "ws") };
    let host = request.authority().unwrap_or(request.settings.hostname.as_str());
    let place = |path: &str| format!("{http}://{host}/jmap/{path}");
    let urls = Urls {
        api: place("api"),
        download: place("download/{accountId}/{blobId}/{name}?type={type}"),
        upload: place("upload/{accountId}/"),
        event_source: place("events?types={types}&closeafter={closeafter}&ping={ping}"),
        socket: format!("{socket}://{host}/jmap/ws"),
    };
    let octets = request.shared.jmap.session_object(&user(visitor), &urls).await?;
    Ok(reply::of(StatusCode::OK, "application/json", on_a_line(octets)))
}

/// `POST /jmap/api` (RFC 8620 §3.1)
pub(super) async fn api(request: &mut Request, visitor: &Visitor) -> Result<Response, Problem> {
    // RFC 8620 §3.6.1: another type is no JSON.
    if !request.header(CONTENT_TYPE).is_some_and(is_json) {
        return Ok(respond(Reply::not_json()));
    }
    let user = user(visitor);
    let turn = match request.shared.jmap.begin_request(&user) {
        Ok(turn) => turn,
        Err(reply) => return Ok(respond(reply)),
    };
    let octets = match whole(request).await {
        Err(problem) if problem.is_too_long() => return Ok(respond(Reply::too_large("maxSizeRequest"))),
        octets => octets?,
    };
    let moment = moment(&request.shared);
    Ok(respond(request.shared.jmap.request_in(&turn, &user, &octets, moment).await))
}

async fn whole(request: &mut Request) -> Result<Vec<u8>, Problem> {
    request.pieces(limits::JMAP_REQUEST_LEN as u64, limits::HTTP_BODY_TIMEOUT)?.all().await
}

/// `POST /jmap/upload/ACCOUNT/` (RFC 8620 §6.1): into the store as it comes.
pub(super) async fn upload(request: &mut Request, visitor: &Visitor, account: &str) -> Result<Response, Problem> {
    let user = user(visitor);
    let turn = match request.shared.jmap.begin_upload(&user) {
        Ok(turn) => turn,
        Err(reply) => return Ok(respond(reply)),
    };
    let kind = request.header(CONTENT_TYPE).unwrap_or(UNKNOWN).to_owned();
    let stage = match staged(request).await {
        Err(problem) if problem.is_too_long() => return Ok(respond(Reply::too_large("maxSizeUpload"))),
        stage => stage?,
    };
    let moment = moment(&request.shared);
    Ok(respond(request.shared.jmap.upload(&turn, &user, account, &kind, stage, moment).await))
}

/// A body of up to `limits::MESSAGE_SIZE` octets, in the store.
async fn staged(request: &mut Request) -> Result<Box<dyn store::Stage>, Problem> {
    let mut pieces = request.pieces(limits::MESSAGE_SIZE as u64, limits::HTTP_UPLOAD_TIMEOUT)?;
    let length = request.header(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let mut stage = request.shared.jmap.stage(length).await?;
    while let Some(piece) = pieces.next().await? {
        stage.write(&piece).await?;
    }
    Ok(stage)
}

/// What octets are of which nobody says more.
const UNKNOWN: &str = "application/octet-stream";

/// `GET /jmap/download/ACCOUNT/BLOB/NAME?type=TYPE` (RFC 8620 §6.2): out of the store as it goes. A browser saves it and does not
/// show it: what others sent must not run as a page of ours.
pub(super) async fn download(
    request: &Request,
    visitor: &Visitor,
    (account, blob, name): (&str, &str, &str),
) -> Result<Response, Problem> {
    let found = request.shared.jmap.download(&user(visitor), account, blob, moment(&request.shared)).await?;
    let download = found.ok_or_else(Problem::not_found)?;
    let size = download.size();
    let octets = stream::try_unfold(download, |mut download| async move {
        match download.next().await {
            Ok(piece) => Ok(piece.map(|piece: Bytes| (Frame::data(piece), download))),
            Err(error) => Err(io::Error::other(error)),
        }
    });
    let mut response = Response::new(StreamBody::new(octets).boxed_unsync());
    let kind =
        request.query("type").filter(|kind| is_media_type(kind)).and_then(|kind| HeaderValue::from_str(&kind).ok());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind.unwrap_or(HeaderValue::from_static(UNKNOWN)));
    // RFC 6266 §4.3, RFC 8187 §3.2: in any language.
    let name = decode(name).unwrap_or_default();
    let coded: String = name.bytes().map(percent).collect();
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename*=utf-8''{coded}")) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    // RFC 8620 §6.2: what an id means never changes.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, immutable, max-age=31536000"));
    if let Some(size) = size {
        headers.insert(CONTENT_LENGTH, size.into());
    }
    Ok(response)
}

fn percent(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}

/// `type "/" subtype` of tokens, and nothing more.
fn is_media_type(text: &str) -> bool {
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        assert!(is_media_type("image/svg+xml") && is_media_type("text/plain"));
        for bad in ["", "text", "/", "text/", "text/plain; charset=utf-8", "text/pl ain", "a/b/c", "text/\r\n"] {
            assert!(!is_media_type(bad), "{bad}");
        }
        assert_eq!("Ü 1.pdf".bytes().map(percent).collect::<String>(), "%C3%9C%201.pdf");
    }
}
