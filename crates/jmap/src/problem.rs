//! A request that is none: the problem document that answers it as a whole (RFC 8620 §3.6.1, RFC 7807).

use serde_json::{Value, json};

use crate::server::Reply;

/// Why nothing of a request was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// `using` names something that is not here.
    UnknownCapability,
    /// The octets are no I-JSON, or deeper than anything here is.
    NotJson,
    /// JSON, but no Request.
    NotRequest,
    /// More than the limit of this name in the session object.
    Limit(&'static str),
}

impl Problem {
    /// The problem document.
    pub(crate) fn document(self) -> Value {
        let (kind, detail) = match self {
            Self::UnknownCapability => {
                ("unknownCapability", "The request uses a capability that this server does not have.")
            }
            Self::NotJson => ("notJSON", "The request is not I-JSON, or nested too deeply."),
            Self::NotRequest => ("notRequest", "The request does not have the form of a Request object."),
            Self::Limit(_) => ("limit", "The request is larger than the session object allows."),
        };
        let mut document = json!({
            "type": format!("urn:ietf:params:jmap:error:{kind}"),
            "status": 400,
            "detail": detail,
        });
        if let Self::Limit(name) = self {
            document["limit"] = name.into();
        }
        document
    }

    pub(crate) fn reply(self) -> Reply {
        let document = self.document();
        Reply { status: 400, content_type: "application/problem+json", body: document.to_string().into_bytes() }
    }
}
