//! An API request (RFC 8620 §3): its calls one after the other, each with what those before it answered.

use std::collections::HashMap;

use mail::limits;
use serde_json::{Map, Value, json};

use crate::error::MethodError;
use crate::json;
use crate::method::{self, CAPABILITIES, PASSED_OVER, WEBPUSH_VAPID};
use crate::problem::Problem;
use crate::reference::{Response, resolve};
use crate::server::{Moment, Reply, Server, Turn, User};

/// A request under way.
pub(crate) struct Context<'s> {
    pub(crate) server: &'s Server,
    pub(crate) user: &'s User,
    pub(crate) moment: Moment,
    pub(crate) using: Vec<String>,
    /// Creation ids and what was made under them (RFC 8620 §3.3).
    pub(crate) made: HashMap<String, String>,
    /// Octets that the rest of the response may have.
    pub(crate) room: usize,
    /// Responses of calls that a method made by itself (RFC 8620 §5.4).
    pub(crate) implied: Vec<(&'static str, Value)>,
    /// Message-IDs made so far.
    pub(crate) composed: u128,
}

/// RFC 8620 §3.3
struct Request {
    using: Vec<String>,
    calls: Vec<(String, Map<String, Value>, String)>,
    created_ids: Option<HashMap<String, String>>,
}

impl Request {
    fn read(value: Value) -> Option<Self> {
        let Value::Object(mut members) = value else { return None };
        let Value::Array(using) = members.remove("using")? else { return None };
        let using = using.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>()?;
        let Value::Array(calls) = members.remove("methodCalls")? else { return None };
        let call = |call: Value| match call {
            Value::Array(parts) => match <[Value; 3]>::try_from(parts).ok()? {
                [Value::String(name), Value::Object(arguments), Value::String(id)] => Some((name, arguments, id)),
                _ => None,
            },
            _ => None,
        };
        let calls = calls.into_iter().map(call).collect::<Option<_>>()?;
        let id = |(name, id): (String, Value)| Some((name, id.as_str()?.to_owned()));
        let created_ids = match members.remove("createdIds") {
            None | Some(Value::Null) => None,
            Some(Value::Object(ids)) => Some(ids.into_iter().map(id).collect::<Option<_>>()?),
            Some(_) => return None,
        };
        Some(Self { using, calls, created_ids })
    }
}

impl Server {
    /// Answers an API request that is whole already.
    pub async fn request(&self, user: &User, octets: &[u8], moment: Moment) -> Reply {
        match self.begin_request(user) {
            Ok(turn) => self.request_in(&turn, user, octets, moment).await,
            Err(reply) => reply,
        }
    }

    /// Answers an API request whose turn began before its octets came.
    pub async fn request_in(&self, _: &Turn, user: &User, octets: &[u8], moment: Moment) -> Reply {
        match self.answer(user, octets, moment).await {
            Ok(response) => {
                Reply { status: 200, content_type: "application/json", body: response.to_string().into_bytes() }
            }
            Err(problem) => problem.reply(),
        }
    }

    async fn answer(&self, user: &User, octets: &[u8], moment: Moment) -> Result<Value, Problem> {
        if octets.len() > limits::JMAP_REQUEST_LEN {
            return Err(Problem::Limit("maxSizeRequest"));
        }
        self.respond(user, json::parse(octets)?, moment).await
    }

    /// The Response to a Request (RFC 8620 §3.3, §3.4), whatever brought it.
    pub(crate) async fn respond(&self, user: &User, value: Value, moment: Moment) -> Result<Value, Problem> {
        let request = Request::read(value).ok_or(Problem::NotRequest)?;
        // RFC 8620 §3.6.1: nothing is done where something is used that is not here.
        let is_known = |name: &String| {
            CAPABILITIES.contains(&name.as_str())
                || PASSED_OVER.contains(&name.as_str())
                || (name == WEBPUSH_VAPID && self.courier().is_some())
        };
        if !request.using.iter().all(is_known) {
            return Err(Problem::UnknownCapability);
        }
        if request.calls.len() > limits::JMAP_CALLS {
            return Err(Problem::Limit("maxCallsInRequest"));
        }
        let tells_created = request.created_ids.is_some();
        let mut context = Context {
            using: request.using,
            made: request.created_ids.unwrap_or_default(),
            ..Context::new(self, user, moment)
        };
        let mut responses: Vec<Response> = Vec::new();
        for (name, arguments, id) in request.calls {
            context.call(name, arguments, id, &mut responses).await;
            // Others have their turn too.
            tokio::task::yield_now().await;
        }
        let responses: Vec<Value> = responses.into_iter().map(|(name, value, id)| json!([name, value, id])).collect();
        let mut response = json!({ "methodResponses": responses, "sessionState": self.session_state(user).await });
        if tells_created {
            response["createdIds"] = context.made.into_iter().map(|(key, id)| (key, Value::String(id))).collect();
        }
        Ok(response)
    }
}

impl<'s> Context<'s> {
    pub(crate) fn new(server: &'s Server, user: &'s User, moment: Moment) -> Self {
        Self {
            server,
            user,
            moment,
            using: Vec::new(),
            made: HashMap::new(),
            room: limits::JMAP_RESPONSE_LEN,
            implied: Vec::new(),
            composed: 0,
        }
    }

    async fn call(&mut self, name: String, arguments: Map<String, Value>, id: String, responses: &mut Vec<Response>) {
        let resolved = resolve(arguments, responses, self.room);
        let answer = match resolved {
            Ok(arguments) => method::dispatch(self, &name, arguments).await,
            Err(error) => Err(error),
        };
        let implied = std::mem::take(&mut self.implied);
        let mut put = |name: String, answer: Result<Value, MethodError>| {
            let fits = answer.and_then(|value| {
                self.room = self.room.checked_sub(weight(&value)).ok_or(TOO_LARGE)?;
                Ok(value)
            });
            let (name, value) = match fits {
                Ok(value) => (name, value),
                // RFC 8620 §3.6.2
                Err(error) => ("error".to_owned(), error.value()),
            };
            responses.push((name, value, id.clone()));
        };
        put(name, answer);
        for (name, value) in implied {
            put(name.to_owned(), Ok(value));
        }
    }
}

/// The response is as large as it may be.
pub(crate) const TOO_LARGE: MethodError = MethodError::new("requestTooLarge");

/// Octets that a value takes, about, in memory or written. An object's members stand in nodes of eleven, however few there are.
pub(crate) fn weight(value: &Value) -> usize {
    const EACH: usize = size_of::<Value>();
    const NODE: usize = 11 * (size_of::<String>() + EACH);
    match value {
        Value::String(text) => text.len() + EACH,
        Value::Array(items) => items.iter().map(weight).sum::<usize>() + EACH,
        Value::Object(members) => {
            let nodes = members.len().div_ceil(6) * NODE;
            members.iter().map(|(name, value)| name.len() + weight(value)).sum::<usize>() + nodes + EACH
        }
        _ => EACH,
    }
}
