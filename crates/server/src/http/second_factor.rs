//! The second factor: begun with a secret for a device, confirmed by one of its codes, removed by another.

use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::access::{Visitor, refusal};
use super::problem::Problem;
use super::reply::{self, Response};
use super::request::Request;
use super::session::ask_again;
use crate::auth::WebLogin;
use crate::control::Secret;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    password: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirm {
    totp: Secret,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Remove {
    password: Secret,
    totp: Secret,
}

/// `GET` and `POST /auth/totp`
pub(super) async fn show_or_begin(request: &mut Request, visitor: &Visitor) -> Result<Response, Problem> {
    let account = &visitor.account;
    if request.method() != Method::POST {
        let (state, codes) = match &account.totp {
            None => ("off", 0),
            Some(totp) if totp.confirmed => ("on", totp.recovery_codes),
            Some(_) => ("begun", 0),
        };
        return Ok(reply::json(StatusCode::OK, &json!({ "state": state, "recoveryCodes": codes })));
    }
    let Begin { password } = request.json().await?;
    ask_again(request, account, &password).await?;
    let issuer = request.settings.hostname.to_string();
    let (secret, uri) = request.shared.auth.begin_totp(account, &issuer).await?;
    Ok(reply::json(StatusCode::OK, &json!({ "secret": secret, "uri": uri })))
}

/// `POST /auth/totp/confirm`
pub(super) async fn confirm(request: &mut Request, visitor: &Visitor) -> Result<Response, Problem> {
    let Confirm { totp } = request.json().await?;
    match request.shared.auth.confirm_totp(&visitor.account, &totp.0).await? {
        Some(codes) => Ok(reply::json(StatusCode::OK, &json!({ "recoveryCodes": codes }))),
        None => {
            let detail = "the code is wrong: see that the device's clock is right, and send the next one";
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).code("totp"))
        }
    }
}

/// `POST /auth/totp/remove`
pub(super) async fn remove(request: &mut Request, visitor: &Visitor) -> Result<Response, Problem> {
    let Remove { password, totp } = request.json().await?;
    let (account, most) = (&visitor.account, request.settings.limits.login_failures);
    if account.totp.as_ref().is_some_and(|totp| totp.confirmed) {
        let address = account.address.to_string();
        let proved = request.shared.auth.web(request.peer.ip, &address, &password.0, Some(&totp.0), most).await;
        match proved {
            Ok(WebLogin::In(_)) => {}
            // It was asked with a code.
            Ok(WebLogin::CodeNeeded) => return Err(Problem::forbidden("the code is missing").code("totp")),
            Err(crate::LoginError::Refused) => {
                return Err(Problem::forbidden("the password or the code is wrong").code("password"));
            }
            Err(error) => return Err(refusal(request, &address, error)),
        }
    }
    let _ = request.shared.store.remove_totp(account.id).await?;
    Ok(reply::done())
}
