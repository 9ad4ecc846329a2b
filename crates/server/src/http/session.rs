//! Log-in and log-out of browsers, their sessions, and the account's own password.

use hyper::header::{HeaderValue, USER_AGENT, X_FRAME_OPTIONS};
use hyper::{Method, StatusCode};
use mail::TokenId;
use serde::Deserialize;
use serde_json::json;
use store::{Account, DirectoryEntry, Token, TokenKind};

use super::access::{Visitor, note, refusal};
use super::cookie;
use super::problem::Problem;
use super::reply::{self, Response};
use super::request::Request;
use crate::auth::{LoginError, WebLogin, is_weak};
use crate::control::Secret;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogIn {
    address: String,
    password: Secret,
    /// A code of the second factor, or a recovery code.
    totp: Option<Secret>,
}

/// Who is who, for answers.
pub(super) fn who(account: &Account) -> serde_json::Value {
    let totp = account.totp.as_ref().is_some_and(|totp| totp.confirmed);
    json!({ "address": account.address.to_string(), "totp": totp })
}

/// `POST /auth/login`
pub(super) async fn log_in(request: &mut Request) -> Result<Response, Problem> {
    let LogIn { address, password, totp } = request.json().await?;
    let (ip, most) = (request.peer.ip, request.settings.limits.login_failures);
    let code = totp.as_ref().map(|code| code.0.as_str());
    match request.shared.auth.web(ip, &address, &password.0, code, most).await {
        Ok(WebLogin::In(account)) => {
            note(request, &address, "ok");
            let mut response = reply::json(StatusCode::OK, &who(&account));
            begin(request, &account, &mut response).await?;
            Ok(response)
        }
        Ok(WebLogin::CodeNeeded) => {
            Err(Problem::log_in(request, "this account has a second factor: send its code, too").code("totp"))
        }
        Err(error) => Err(refusal(request, &address, error)),
    }
}

/// A new session, whose secret goes with the answer.
pub(super) async fn begin(request: &Request, account: &Account, response: &mut Response) -> Result<(), Problem> {
    let agent = request.header(USER_AGENT).unwrap_or_default();
    let secret = request.shared.auth.begin_session(account.id, agent, request.peer.ip).await?;
    cookie::write(request, response, Some(&secret));
    Ok(())
}

/// `GET /local/in`: logs in who lives here, in the small internet alone, where everybody's password is the name; then the webmail.
/// Only this very machine comes so far.
pub(super) async fn local_in(request: &Request) -> Result<Response, Problem> {
    let visitor = request.settings.local.visitor.as_ref().ok_or_else(Problem::not_found)?;
    if !request.peer.ip.is_loopback() {
        return Err(Problem::not_found());
    }
    let mut response = reply::elsewhere(StatusCode::SEE_OTHER, "/");
    // Who is in already stays so: a reload makes no further session.
    if let Some(secret) = cookie::read(request)
        && request.shared.auth.session(secret, request.peer.ip).await?.is_some()
    {
        return Ok(response);
    }
    let Some(DirectoryEntry::Account(account)) = request.shared.store.entry(visitor).await? else {
        return Err(Problem::not_found());
    };
    begin(request, &account, &mut response).await?;
    // Inside the frame of the other system's page.
    response.headers_mut().insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    Ok(response)
}

/// `POST /auth/logout`
pub(super) async fn log_out(request: &Request, visitor: &Visitor) -> Result<Response, Problem> {
    if let Some(session) = &visitor.session {
        end(request, visitor, session.id).await?;
    }
    let mut response = reply::done();
    cookie::write(request, &mut response, None);
    Ok(response)
}

/// `GET /auth/session`
pub(super) fn show(visitor: &Visitor) -> Response {
    let mut value = who(&visitor.account);
    value["session"] = visitor.session.as_ref().map(|session| session.id.0).into();
    reply::json(StatusCode::OK, &value)
}

/// Times as everywhere in our JSON: milliseconds since 1970.
pub(super) fn used(token: &Token) -> serde_json::Value {
    token.used.as_ref().map_or(serde_json::Value::Null, |(at, from)| json!({ "at": at.millis(), "from": from }))
}

/// `GET /auth/sessions`, `DELETE /auth/sessions`: all; all but this one.
pub(super) async fn all(request: &Request, visitor: &Visitor) -> Result<Response, Problem> {
    let now = request.shared.clock.now();
    let mut sessions = request.shared.store.tokens(visitor.account.id, TokenKind::Session).await?;
    sessions.retain(|session| !session.is_over(now));
    let current = visitor.session.as_ref().map(|session| session.id);
    if request.method() == Method::DELETE {
        for session in sessions.iter().filter(|session| Some(session.id) != current) {
            end(request, visitor, session.id).await?;
        }
        return Ok(reply::done());
    }
    let shown = sessions.iter().map(|session| {
        json!({
            "id": session.id.0, "agent": session.name, "created": session.created.millis(),
            "used": used(session), "current": Some(session.id) == current,
        })
    });
    Ok(reply::json(StatusCode::OK, &json!({ "sessions": shown.collect::<Vec<_>>() })))
}

/// `DELETE /auth/sessions/ID`
pub(super) async fn remove(request: &Request, visitor: &Visitor, id: TokenId) -> Result<Response, Problem> {
    end(request, visitor, id).await?;
    Ok(reply::done())
}

async fn end(request: &Request, visitor: &Visitor, id: TokenId) -> Result<(), Problem> {
    let _ = request.shared.store.remove_token(visitor.account.id, TokenKind::Session, id).await?;
    Ok(())
}

/// Asks for the account's own password again, before something that outlasts the session: a browser that was left open,
/// or a cookie that was stolen, must not be enough.
pub(super) async fn ask_again(request: &Request, account: &Account, password: &Secret) -> Result<(), Problem> {
    let (ip, most, address) = (request.peer.ip, request.settings.limits.login_failures, account.address.to_string());
    match request.shared.auth.web(ip, &address, &password.0, None, most).await {
        Ok(WebLogin::In(_) | WebLogin::CodeNeeded) => Ok(()),
        // The session is good, so it is no 401.
        Err(LoginError::Refused) => {
            note(request, &address, "refused");
            Err(Problem::forbidden("the password is wrong").code("password"))
        }
        Err(error) => Err(refusal(request, &address, error)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    password: Secret,
    new: Secret,
}

/// `POST /auth/password`: ends all sessions, and begins a new one in this browser.
pub(super) async fn change_password(request: &mut Request, visitor: &Visitor) -> Result<Response, Problem> {
    let NewPassword { password, new } = request.json().await?;
    let account = &visitor.account;
    ask_again(request, account, &password).await?;
    let unfit = |why: &'static str| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why).code("weak");
    if new.0.chars().any(char::is_control) {
        return Err(unfit("the new password has a control character, which no mail client can send"));
    }
    if is_weak(&new.0, &account.address) {
        return Err(unfit("the new password is easy to guess; 12 or more characters that mean nothing are better"));
    }
    let shared = &request.shared;
    let hashes = shared.auth.hashes(&new.0, account.scram.is_some()).await;
    let (hash, keys) = hashes.map_err(|why| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why))?;
    let _ = shared.store.set_password(account.id, hash, keys).await?;
    let mut response = reply::done();
    begin(request, account, &mut response).await?;
    Ok(response)
}
