//! The messages of a WebSocket connection (RFC 8887 §4.3): what a client sends is read, what it is answered is written.
//!
//! Does: tell a request from the wish to hear of changes, and put the answers into their form. Does not: know frames, and in
//! which order or how many at once requests are answered.
//!
//! In come the octets of a message, out go those of another.

use serde_json::{Map, Value};

use crate::json;
use crate::problem::Problem;
use crate::push::{Changed, Types};
use crate::server::{Moment, Server, Turn, User};

/// What a client says.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// To be answered by [`Server::socket_response`].
    Request(SocketRequest),
    /// From now on it wants to hear of changes of these types (RFC 8887 §4.3.5.2), and of those since what it was told with this
    /// `pushState`.
    PushEnable {
        /// The types.
        types: Types,
        /// By which it says what it knows.
        since: Option<String>,
    },
    /// It wants to hear no more of them (RFC 8887 §4.3.5.3).
    PushDisable,
}

/// A request that is not answered yet (RFC 8887 §4.3.2).
#[derive(Clone, Debug, PartialEq)]
pub struct SocketRequest {
    id: Option<String>,
    value: Value,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// It is none: the RequestError that answers it.
    pub fn read(octets: &[u8]) -> Result<Self, Vec<u8>> {
        let value = json::parse(octets).map_err(|problem| error(problem, None))?;
        let Value::Object(mut members) = value else { return Err(error(Problem::NotRequest, None)) };
        let id = match members.remove("id") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id),
            Some(_) => return Err(error(Problem::NotRequest, None)),
        };
        match members.get("@type").and_then(Value::as_str) {
            Some("Request") => return Ok(Self::Request(SocketRequest { id, value: Value::Object(members) })),
            Some("WebSocketPushEnable") => push_enable(&members),
            Some("WebSocketPushDisable") => Some(Self::PushDisable),
            _ => None,
        }
        .ok_or_else(|| error(Problem::NotRequest, id))
    }
}

/// RFC 8887 §4.3.5.2; what is not there is null.
fn push_enable(members: &Map<String, Value>) -> Option<Message> {
    let types = match members.get("dataTypes") {
        None | Some(Value::Null) => Types::ALL,
        Some(Value::Array(names)) => Types::named(names.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?),
        Some(_) => return None,
    };
    let since = match members.get("pushState") {
        None | Some(Value::Null) => None,
        Some(Value::String(state)) => Some(state.clone()),
        Some(_) => return None,
    };
    Some(Message::PushEnable { types, since })
}

/// RFC 8887 §4.3.4: the problem document with a type, and the id of the request where it is known.
fn error(problem: Problem, id: Option<String>) -> Vec<u8> {
    let mut value = problem.document();
    value["@type"] = "RequestError".into();
    value["requestId"] = id.into();
    value.to_string().into_bytes()
}

/// RFC 8887 §4.3.5.1: what changed; `push_state` is by which the client says later what it knows.
pub fn state_change(changed: &Changed, push_state: &str) -> Vec<u8> {
    changed.state_change(Some(push_state)).to_string().into_bytes()
}

impl Server {
    /// Answers a request by a Response (RFC 8887 §4.3.3) or a RequestError.
    pub async fn socket_response(&self, _: &Turn, user: &User, request: SocketRequest, moment: Moment) -> Vec<u8> {
        let SocketRequest { id, value } = request;
        match self.respond(user, value, moment).await {
            Ok(mut response) => {
                response["@type"] = "Response".into();
                if let Some(id) = id {
                    response["requestId"] = id.into();
                }
                response.to_string().into_bytes()
            }
            Err(problem) => error(problem, id),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(text: &str) -> Value {
        serde_json::from_slice(&Message::read(text.as_bytes()).unwrap_err()).unwrap()
    }

    #[test]
    fn wishes_to_hear_of_changes() {
        let read = |text: &str| Message::read(text.as_bytes()).unwrap();
        let wish = |types, since: Option<&str>| Message::PushEnable { types, since: since.map(str::to_owned) };
        assert_eq!(
            read(r#"{"@type":"WebSocketPushEnable","dataTypes":["Email","Nothing"],"pushState":"A1.5"}"#),
            wish(Types::named(["Email"]), Some("A1.5"))
        );
        for all in [
            r#"{"@type":"WebSocketPushEnable","dataTypes":null,"pushState":null}"#,
            r#"{"@type":"WebSocketPushEnable"}"#,
        ] {
            assert_eq!(read(all), wish(Types::ALL, None));
        }
        assert_eq!(read(r#"{"@type":"WebSocketPushEnable","dataTypes":[]}"#), wish(Types::NONE, None));
        assert_eq!(read(r#"{"@type":"WebSocketPushDisable"}"#), Message::PushDisable);
    }

    /// RFC 8887 §4.3.4: with the id, where there was one to read.
    #[test]
    fn what_is_no_message_is_refused() {
        for text in ["", "{", "\"", "{}{}", r#"{"@type":"Request","@type":"Request"}"#] {
            let error = refused(text);
            assert_eq!(error["type"], "urn:ietf:params:jmap:error:notJSON", "{text}");
            assert_eq!((&error["@type"], &error["requestId"]), (&json!("RequestError"), &Value::Null), "{text}");
        }
        for (text, id) in [
            ("[]", Value::Null),
            ("7", Value::Null),
            ("{}", Value::Null),
            (r#"{"@type":7,"id":"a"}"#, json!("a")),
            (r#"{"@type":"Response","id":"a"}"#, json!("a")),
            (r#"{"@type":"request","id":"a"}"#, json!("a")),
            (r#"{"@type":"Request","id":7}"#, Value::Null),
            (r#"{"@type":"WebSocketPushEnable","dataTypes":"Email"}"#, Value::Null),
            (r#"{"@type":"WebSocketPushEnable","dataTypes":[7]}"#, Value::Null),
            (r#"{"@type":"WebSocketPushEnable","dataTypes":null,"pushState":7}"#, Value::Null),
        ] {
            let error = refused(text);
            assert_eq!(error["type"], "urn:ietf:params:jmap:error:notRequest", "{text}");
            assert_eq!((&error["requestId"], &error["status"]), (&id, &json!(400)), "{text}");
        }
    }
}
