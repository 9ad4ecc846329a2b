//! Who sends a request: by the session's cookie, by address and password, or by an app password alone.

use hyper::header::AUTHORIZATION;
use mail::limits;
use store::{Account, Scopes, Token};

use super::problem::Problem;
use super::request::Request;
use super::{cookie, origin};
use crate::auth::{LoginError, Proof};

/// Who is logged in.
pub(super) struct Visitor {
    pub(super) account: Account,
    /// The browser's session, where it is one.
    pub(super) session: Option<Token>,
    /// What proved it.
    pub(super) proof: Proof,
}

/// Who may have a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody.
    All,
    /// Everybody, but no other site's page for them.
    OwnPages,
    /// An account, by whatever proves it for this scope.
    Account(Scopes),
    /// An account in a browser that logged in, with the account's own password or a passkey.
    Session,
}

impl Access {
    /// Lets a request in, and says who it is where that matters.
    pub(super) async fn admit(self, request: &Request) -> Result<Option<Visitor>, Problem> {
        match self {
            Self::All => return Ok(None),
            Self::OwnPages => {
                origin::check(request)?;
                return Ok(None);
            }
            Self::Account(_) | Self::Session => {}
        }
        let visitor = match request.header(AUTHORIZATION).and_then(|said| said.split_once(' ')) {
            // No browser sends it by itself, so no other site's page can.
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                bearer(request, token.trim(), self.scope()).await?
            }
            Some((scheme, both)) if scheme.eq_ignore_ascii_case("basic") => {
                // A browser that was once asked sends it by itself.
                origin::is_ours(request)?;
                basic(request, both.trim(), self.scope()).await?
            }
            Some(_) => return Err(Problem::log_in(request, "log in with Basic or Bearer, or with a session's cookie")),
            None => {
                origin::check(request)?;
                session(request).await?
            }
        };
        if self == Self::Session && visitor.session.is_none() {
            return Err(Problem::forbidden("this is for browsers that logged in").code("session"));
        }
        Ok(Some(visitor))
    }

    const fn scope(self) -> Scopes {
        if let Self::Account(scope) = self { scope } else { Scopes::MAIL }
    }
}

async fn session(request: &Request) -> Result<Visitor, Problem> {
    let missing = || Problem::log_in(request, "this needs a log-in");
    let secret = cookie::read(request).ok_or_else(missing)?;
    let found = request.shared.auth.session(secret, request.peer.ip).await?;
    let (account, token) = found.ok_or_else(|| Problem::log_in(request, "the session is over"))?;
    let proof = Proof::of_token(&token);
    Ok(Visitor { account, session: Some(token), proof })
}

/// RFC 6750 §2.1: an app password, which says itself whose it is.
async fn bearer(request: &Request, token: &str, scope: Scopes) -> Result<Visitor, Problem> {
    let found = request.shared.auth.bearer(token, scope, request.peer.ip).await?;
    let (account, token) = found.ok_or_else(|| Problem::log_in(request, "the token is not good here"))?;
    Ok(Visitor { account, session: None, proof: Proof::of_token(&token) })
}

/// RFC 7617 §2: address and password, in UTF-8.
async fn basic(request: &Request, both: &str, scope: Scopes) -> Result<Visitor, Problem> {
    let broken = || Problem::log_in(request, "the log-in can't be read");
    let decoded = wire::sasl::decode(both.as_bytes()).map_err(|_| broken())?;
    let text = String::from_utf8(decoded).map_err(|_| broken())?;
    let (user, password) = text.split_once(':').ok_or_else(broken)?;
    let most = request.settings.limits.login_failures;
    let found = request.shared.auth.proved(request.peer.ip, user, password.as_bytes(), scope, most).await;
    let (account, proof) = found.map_err(|error| refusal(request, user, error))?;
    Ok(Visitor { account, session: None, proof })
}

/// What a log-in that failed is told; noted for the operator.
pub(super) fn refusal(request: &Request, user: &str, error: LoginError) -> Problem {
    match error {
        LoginError::Refused => {
            note(request, user, "refused");
            Problem::log_in(request, "the address, the password or the code is wrong").code("refused")
        }
        LoginError::Wait => {
            note(request, user, "limited");
            Problem::wait(limits::LOGIN_FAILURE_WINDOW)
        }
        LoginError::Store(error) => error.into(),
    }
}

/// Counts a log-in, and logs it.
pub(super) fn note(request: &Request, user: &str, outcome: &'static str) {
    request.shared.note_login("http", request.peer.ip, user, outcome);
}
