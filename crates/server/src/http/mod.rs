//! HTTP: health and metrics for machines, log-in and its management for people and programs, settings for mail clients.
//!
//! Does: speak HTTP/1.1 and HTTP/2 ([`serve`]), find the page ([`routes`]), see that a request may have it (over what it came:
//! [`door`]; from whom: [`access`]; from which site: [`origin`]), bound what it brings ([`request`]), and put the same
//! headers on every answer ([`reply`]). What can't be answered is a [`problem`]. docs/http.md describes the interface.
//!
//! Does not: read a file: no path of a request reaches the file system.
//!
//! A new page is a variant of [`routes::Page`] with its path and methods, and an arm of [`answer`]. One for accounts gets
//! who is logged in from [`access`], whatever the credential was; a large body comes piece by piece
//! ([`request::Pieces`]), a large answer goes so ([`reply::Body`]).

mod access;
mod app_passwords;
mod autoconfig;
mod connection;
mod cookie;
mod door;
mod events;
mod jmap;
mod mta_sts;
mod origin;
pub mod outside;
mod pages;
mod passkeys;
mod patience;
mod problem;
mod proxy;
mod reply;
mod request;
mod routes;
mod second_factor;
mod session;
mod socket;
mod webmail;

use hyper::header::{CONNECTION, HeaderValue};

use door::Door;
use problem::Problem;
use reply::Response;
use request::Request;
use routes::Page;

pub use connection::serve;

/// The answer to one request, with what every answer has.
async fn respond(mut request: Request) -> Response {
    let (peer, named) = (request.peer, request.names_a_host());
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let answered = answer(&mut request).await;
    let mut response = answered.unwrap_or_else(Problem::into_response);
    if !request.read_off().await {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    reply::guard(&mut response, peer.tls && named);
    tracing::debug!(peer = %peer.ip, %method, path, status = response.status().as_u16(), "HTTP request");
    response
}

async fn answer(request: &mut Request) -> Result<Response, Problem> {
    request.check()?;
    let page = Page::find(request.path()).ok_or_else(Problem::not_found)?;
    if !page.methods().contains(request.method()) {
        return Err(Problem::method(page.methods()));
    }
    let access = page.access();
    // Passwords or mail go over every page that is not for all: never in clear through a network.
    match Door::of(request).keeps_out(request, page.is_secret()) {
        Ok(None) => {}
        Ok(Some(elsewhere)) => return Ok(elsewhere),
        // People who look at the front are told what this is, in any case.
        Err(_) if request.path() == "/" => return Ok(pages::front(request)),
        Err(problem) => return Err(problem),
    }
    let visitor = access.admit(request).await?;
    match (page, visitor) {
        (Page::Health, _) => pages::health(request).await,
        (Page::Metrics, _) => pages::metrics(request),
        (Page::Local(name), _) => pages::local(request, &name),
        (Page::LocalIn, _) => session::local_in(request).await,
        (Page::Webmail(asset), _) => Ok(webmail::show(request, asset)),
        (Page::LogIn, _) => session::log_in(request).await,
        (Page::PasskeyChallenge, _) => passkeys::challenge(request),
        (Page::PasskeyLogIn, _) => passkeys::log_in(request).await,
        (Page::Thunderbird, _) => autoconfig::thunderbird(request).await,
        (Page::Outlook, _) => autoconfig::outlook(request).await,
        (Page::Apple, _) => autoconfig::apple(request).await,
        (Page::MtaSts, _) => mta_sts::policy(request).await,
        (Page::Acme(token), _) => pages::acme(request, &token),
        (Page::ChangePassword, _) => Ok(pages::change_password()),
        (Page::Jmap, Some(visitor)) => jmap::session(request, &visitor).await,
        (Page::JmapApi, Some(visitor)) => jmap::api(request, &visitor).await,
        (Page::JmapUpload(account), Some(visitor)) => jmap::upload(request, &visitor, &account).await,
        (Page::JmapDownload(account, blob, name), Some(visitor)) => {
            jmap::download(request, &visitor, (&account, &blob, &name)).await
        }
        (Page::Proxy, Some(visitor)) => proxy::pass(request, &visitor).await,
        (Page::JmapEvents, Some(visitor)) => events::events(request, &visitor).await,
        (Page::JmapSocket, Some(visitor)) => socket::open(request, &visitor).await,
        (Page::LogOut, Some(visitor)) => session::log_out(request, &visitor).await,
        (Page::Session, Some(visitor)) => Ok(session::show(&visitor)),
        (Page::Sessions, Some(visitor)) => session::all(request, &visitor).await,
        (Page::OneSession(id), Some(visitor)) => session::remove(request, &visitor, id).await,
        (Page::Password, Some(visitor)) => session::change_password(request, &visitor).await,
        (Page::AppPasswords, Some(visitor)) => app_passwords::all(request, &visitor).await,
        (Page::OneAppPassword(id), Some(visitor)) => app_passwords::remove(request, &visitor, id).await,
        (Page::Passkeys, Some(visitor)) => passkeys::all(request, &visitor).await,
        (Page::ConfirmPasskey, Some(visitor)) => passkeys::confirm(request, &visitor).await,
        (Page::OnePasskey(id), Some(visitor)) => passkeys::remove(request, &visitor, id).await,
        (Page::Totp, Some(visitor)) => second_factor::show_or_begin(request, &visitor).await,
        (Page::ConfirmTotp, Some(visitor)) => second_factor::confirm(request, &visitor).await,
        (Page::RemoveTotp, Some(visitor)) => second_factor::remove(request, &visitor).await,
        // A page for accounts that somebody came to without one: `Page::access` and this table don't agree.
        (_, None) => Err(Problem::log_in(request, "this needs a log-in")),
    }
}
