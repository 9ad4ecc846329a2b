//! App passwords: one for each program or device, seen once, taken away one by one.

use hyper::{Method, StatusCode};
use mail::TokenId;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Scopes, Token, TokenKind};

use super::access::Visitor;
use super::problem::Problem;
use super::reply::{self, Response};
use super::request::Request;
use super::session::{ask_again, used};
use crate::control::Secret;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    /// The account's own password.
    password: Secret,
    name: String,
    scopes: Option<Vec<String>>,
    /// It is over after so many; none: never.
    days: Option<u32>,
}

fn shown(token: &Token) -> Value {
    json!({
        "id": token.id.0, "name": token.name, "scopes": token.scopes.names(), "created": token.created.millis(),
        "expires": token.expires.map(mail::Timestamp::millis), "used": used(token),
    })
}

/// `GET` and `POST /auth/app-passwords`
pub(super) async fn all(request: &mut Request, visitor: &Visitor) -> Result<Response, Problem> {
    let account = &visitor.account;
    if request.method() != Method::POST {
        let tokens = request.shared.store.tokens(account.id, TokenKind::AppPassword).await?;
        let all: Vec<Value> = tokens.iter().map(shown).collect();
        return Ok(reply::json(StatusCode::OK, &json!({ "appPasswords": all })));
    }
    let New { password, name, scopes, days } = request.json().await?;
    let unfit = |why: &'static str| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why);
    if name.trim().is_empty() {
        return Err(unfit("an app password needs a name, like that of the device"));
    }
    let scopes = match &scopes {
        Some(names) => Scopes::from_names(names.iter().map(String::as_str))
            .ok_or_else(|| unfit("scopes are some of imap, pop3, smtp, jmap; or mail, which is all of them"))?,
        None => Scopes::MAIL,
    };
    ask_again(request, account, &password).await?;
    let (id, secret) = request.shared.auth.add_app_password(account.id, &name, scopes, days).await?;
    let value = json!({ "id": id.0, "password": secret });
    Ok(reply::json(StatusCode::CREATED, &value))
}

/// `DELETE /auth/app-passwords/ID`
pub(super) async fn remove(request: &Request, visitor: &Visitor, id: TokenId) -> Result<Response, Problem> {
    let _ = request.shared.store.remove_token(visitor.account.id, TokenKind::AppPassword, id).await?;
    Ok(reply::done())
}
