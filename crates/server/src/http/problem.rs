//! What could not be answered, as RFC 9457 has it: JSON with the status, its name, and a sentence for people.

use std::borrow::Cow;
use std::time::Duration;

use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Method, StatusCode};
use serde_json::json;
use store::StoreError;

use super::reply::{self, Response};
use super::request::Request;

/// RFC 6750 §3.
const BEARER: &str = "Bearer realm=\"mail\"";
/// The same, and RFC 7617 §2, §2.1.
const BASIC: &str = "Bearer realm=\"mail\", Basic realm=\"mail\", charset=\"UTF-8\"";

/// A request that is not answered, and why.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    /// For programs, where the status alone does not say what to do.
    code: Option<&'static str>,
    detail: Cow<'static, str>,
    allow: Option<String>,
    challenge: Option<&'static str>,
    wait: Option<Duration>,
}

impl Problem {
    /// With a status and a sentence.
    pub(super) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code: None, detail: detail.into(), allow: None, challenge: None, wait: None }
    }

    /// 400: the request is wrong in itself.
    pub(super) fn bad(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 403.
    pub(super) fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such page")
    }

    /// 405, with the methods that there are (RFC 9110 §15.5.6).
    pub(super) fn method(methods: &[Method]) -> Self {
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        let allow = Some(names.join(", "));
        Self { allow, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "this page has other methods") }
    }

    /// 401: with the ways to log in (RFC 9110 §11.6.1). A browser's page has its own; `Basic` would make the browser ask.
    pub(super) fn log_in(request: &Request, detail: &'static str) -> Self {
        let browser = request.headers().contains_key("sec-fetch-mode");
        let challenge = Some(if browser { BEARER } else { BASIC });
        Self { challenge, ..Self::new(StatusCode::UNAUTHORIZED, detail) }
    }

    /// 429: too many log-ins failed.
    pub(super) fn wait(time: Duration) -> Self {
        let detail = "too many log-ins failed, try again later";
        Self { wait: Some(time), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// A code for programs.
    pub(super) fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// Whether it is that the body is too long.
    pub(super) fn is_too_long(&self) -> bool {
        self.status == StatusCode::PAYLOAD_TOO_LARGE
    }

    /// As an answer.
    pub(super) fn into_response(self) -> Response {
        // RFC 9457 §4.2.1: without a type (`about:blank`), the title is the status's own.
        let title = self.status.canonical_reason().unwrap_or("Error");
        let mut value = json!({ "title": title, "status": self.status.as_u16(), "detail": self.detail });
        if let Some(code) = self.code {
            value["code"] = code.into();
        }
        let mut response = reply::json(self.status, &value);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(allow) = self.allow.and_then(|allow| HeaderValue::from_str(&allow).ok()) {
            headers.insert(ALLOW, allow);
        }
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        // RFC 9110 §15.5.9, §15.5.14: what else would come of the body is not read.
        if [StatusCode::REQUEST_TIMEOUT, StatusCode::PAYLOAD_TOO_LARGE].contains(&self.status) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(wait) = self.wait {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(_) => Self::not_found(),
            StoreError::Exists(_) | StoreError::InUse => Self::new(StatusCode::CONFLICT, error.to_string()),
            StoreError::Limit(_) => Self::new(StatusCode::CONFLICT, error.to_string()).code("limit"),
            StoreError::DiskFull => Self::new(StatusCode::INSUFFICIENT_STORAGE, error.to_string()),
            other => {
                tracing::error!(error = %other, "an HTTP request failed in the store");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the server can't do this now, try again later")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn shown(problem: Problem) -> (u16, hyper::HeaderMap, String) {
        let (head, body) = problem.into_response().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn what_the_store_says_is_told_as_far_as_it_helps() {
        let internal = "disk sda1 is gone";
        for (error, status, words) in [
            (StoreError::NotFound("x".into()), 404, "there is no such page"),
            (StoreError::Exists("a second factor".into()), 409, "a second factor exists already"),
            (StoreError::Limit("APP_PASSWORDS_PER_ACCOUNT"), 409, "over the limit APP_PASSWORDS_PER_ACCOUNT"),
            (StoreError::DiskFull, 507, "too little free disk space"),
            (StoreError::Busy, 503, "the server can't do this now, try again later"),
            (StoreError::Poisoned(internal.into()), 503, "the server can't do this now, try again later"),
        ] {
            let (told, headers, body) = shown(error.into()).await;
            assert_eq!((told, body.contains(words), body.contains(internal)), (status, true, false), "{body}");
            assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
        }
    }

    #[tokio::test]
    async fn who_has_to_wait_is_told_how_long() {
        let (status, headers, body) = shown(Problem::wait(Duration::from_secs(900))).await;
        assert_eq!((status, headers[RETRY_AFTER].to_str().unwrap()), (429, "900"));
        assert!(body.contains("too many log-ins failed, try again later"), "{body}");
    }
}
