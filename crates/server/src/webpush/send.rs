//! One message to a push service (RFC 8030 §5).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, StatusCode};
use jmap::push::{Changed, verification};
use mail::{Timestamp, limits};
use ring::hmac;
use store::{NewPushSubscription, PushSubscription};
use url::Url;

use super::{WebPush, encrypt};
use crate::http::outside::Errand;
use crate::shared::Shared;

const TTL: HeaderName = HeaderName::from_static("ttl");
const URGENCY: HeaderName = HeaderName::from_static("urgency");
const TOPIC: HeaderName = HeaderName::from_static("topic");

/// What is to be pushed.
pub(super) struct Message {
    text: String,
    /// RFC 8030 §5.3
    urgency: &'static str,
    /// RFC 8030 §5.4: a later message of the same takes the place of one that the device did not get yet.
    topic: Option<String>,
    /// RFC 8030 §5.2: the push service keeps it so long.
    kept: Duration,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The push service has it.
    Taken,
    /// There is no such subscription there (any more).
    Gone,
    /// It is too long for the push service.
    TooLong,
    /// It was not taken; the push service perhaps says when to try again.
    Later(Option<Duration>),
}

impl Message {
    /// Shows the client that it is told here. It waits for that.
    pub(super) fn verification(subscription: &PushSubscription) -> Self {
        let text = verification(subscription).to_string();
        Self { text, urgency: "high", topic: None, kept: limits::PUSH_UNVERIFIED }
    }

    /// What changed.
    pub(super) fn change(subscription: &NewPushSubscription, changed: &Changed) -> Self {
        // Only where it tells of the very same types and accounts nothing is lost with the one before; and whether it does, says
        // nothing to who does not have the code.
        let key = hmac::Key::new(hmac::HMAC_SHA256, subscription.code.as_bytes());
        let subject = hmac::sign(&key, changed.subject().as_bytes());
        let topic = URL_SAFE_NO_PAD.encode(subject.as_ref().get(..24).unwrap_or_default());
        Self {
            text: changed.state_change(None).to_string(),
            urgency: if changed.is_delivery() { "normal" } else { "low" },
            topic: Some(topic),
            kept: limits::PUSH_KEPT,
        }
    }

    /// The request's fields and body. `None`: it can't be made.
    fn request(&self, subscription: &NewPushSubscription, sender: &str, now: Timestamp) -> Option<(HeaderMap, Bytes)> {
        let mut headers = HeaderMap::new();
        // RFC 8620 §7.2
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(AUTHORIZATION, sender.parse().ok()?);
        headers.insert(URGENCY, HeaderValue::from_static(self.urgency));
        if let Some(topic) = &self.topic {
            headers.insert(TOPIC, topic.parse().ok()?);
        }
        // Nothing is sent after it expired, by the push service neither.
        let left = subscription.expires.map_or(self.kept, |end| end.since(now));
        headers.insert(TTL, self.kept.min(left).as_secs().into());
        let body = match &subscription.keys {
            Some(keys) => {
                // RFC 8291 §4
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("aes128gcm"));
                encrypt::encrypt(keys, self.text.as_bytes()).ok()?
            }
            None => self.text.clone().into_bytes(),
        };
        Some((headers, body.into()))
    }
}

impl WebPush {
    /// Sends it, when it is its turn.
    pub(super) async fn send(&self, shared: &Shared, subscription: &NewPushSubscription, message: &Message) -> Outcome {
        // It was looked at when it was made.
        let Ok(url) = Url::parse(&subscription.url) else { return Outcome::Gone };
        let host = url.host_str().unwrap_or_default().to_owned();
        let _own_turn = self.accounts.wait(subscription.account).await;
        let _turn_of_host = self.hosts.wait(host.clone()).await;
        let _turn = self.at_once.wait(()).await;
        let (now, settings) = (shared.clock.now(), shared.settings());
        let contact = format!("https://{}/", settings.hostname);
        let origin = url.origin().ascii_serialization();
        let sender = self.vapid.authorization(&origin, &contact, now.plus(limits::PUSH_SIGNED));
        let request = sender.and_then(|sender| message.request(subscription, &sender, now));
        let Some((headers, body)) = request else { return Outcome::Gone };
        let errand = Errand {
            account: subscription.account,
            method: Method::POST,
            url: subscription.url.clone(),
            headers,
            body,
            secure: true,
            // Of the answer nothing is read but its head.
            most: u64::MAX,
            follow: false,
        };
        match self.outside.fetch(&errand, &settings.local.reach).await {
            Ok(answer) => {
                let outcome = outcome(answer.status, &answer.headers, now);
                // Where it went on the host is a secret of the client's.
                tracing::debug!(host, status = answer.status.as_u16(), ?outcome, "pushed");
                outcome
            }
            Err(error) => {
                tracing::debug!(host, %error, "a push service can't be reached");
                Outcome::Later(None)
            }
        }
    }
}

/// RFC 8030 §5, §7.3, §8.4; RFC 8620 §7.2
fn outcome(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Outcome {
    match status {
        status if status.is_success() => Outcome::Taken,
        StatusCode::NOT_FOUND | StatusCode::GONE => Outcome::Gone,
        StatusCode::PAYLOAD_TOO_LARGE => Outcome::TooLong,
        _ => Outcome::Later(headers.get(RETRY_AFTER).and_then(|said| retry_after(said.to_str().ok()?, now))),
    }
}

/// RFC 9110 §10.2.3: seconds, or a date.
fn retry_after(said: &str, now: Timestamp) -> Option<Duration> {
    match said.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => message::date::parse(said.as_bytes()).map(|date| date.timestamp.since(now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_push_services_say() {
        let now = Timestamp::from_secs(784_111_770);
        let said = |status: u16, after: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, after.parse().unwrap())]);
            outcome(StatusCode::from_u16(status).unwrap(), &headers, now)
        };
        for (status, is) in [
            (200, Outcome::Taken),
            (201, Outcome::Taken),
            (202, Outcome::Taken),
            (404, Outcome::Gone),
            (410, Outcome::Gone),
            (413, Outcome::TooLong),
        ] {
            assert_eq!(said(status, "9"), is);
        }
        for status in [301, 307, 400, 401, 403, 429, 500, 503] {
            assert_eq!(said(status, "9"), Outcome::Later(Some(Duration::from_secs(9))), "{status}");
        }
        let seven = Outcome::Later(Some(Duration::from_secs(7)));
        assert_eq!(said(503, "Sun, 06 Nov 1994 08:49:37 GMT"), seven);
        assert_eq!(said(503, "Sun, 06 Nov 1994 08:49:00 GMT"), Outcome::Later(Some(Duration::ZERO)));
        for bad in ["", "-1", "soon", "99999999999999999999"] {
            assert_eq!(said(503, bad), Outcome::Later(None), "{bad}");
        }
    }
}
