//! What an operator's command says of itself in the audit log.

use mail::{Timestamp, limits};
use serde_json::Value;
use store::Act;

use super::Request;

/// A command as an act; its outcome is still to be told.
pub(super) fn act(request: &Request, from: &str, now: Timestamp) -> Act {
    let said = serde_json::to_value(request).unwrap_or_default();
    let name = said.get("do").and_then(Value::as_str).unwrap_or_default().to_owned();
    let fields = said.as_object().into_iter().flatten();
    let told = fields.filter(|(name, value)| !matches!(name.as_str(), "do" | "password") && !value.is_null());
    let told: Vec<String> = told.map(|(name, value)| format!("{name} {}", text(value))).collect();
    let mut about = told.join(", ");
    if let Request::Sieve { address, act } = request {
        about = format!("address {address}, {}", act.named());
    }
    if about.len() > limits::AUDIT_ABOUT_LEN {
        about.truncate(about.floor_char_boundary(limits::AUDIT_ABOUT_LEN));
    }
    Act { about, ..Act::new(now, "operator".to_owned(), from.to_owned(), name) }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use store::conformance::address;

    use super::super::Secret;
    use super::*;

    #[test]
    fn secrets_are_not_told() {
        let password = Secret("hush".to_owned());
        let request = Request::AccountAdd { address: address("a@x.example"), password, quota: None, scram: false };
        let act = act(&request, "uid 0", Timestamp::from_secs(0));
        assert_eq!((act.act.as_str(), act.about.as_str()), ("account-add", "address a@x.example, scram false"));
    }

    /// `AUDIT_ABOUT_LEN`, and one more.
    #[test]
    fn what_it_is_about_is_cut() {
        let about = |len: usize| {
            let query = "x".repeat(len - "query ".len());
            act(&Request::Trace { query }, "", Timestamp::from_secs(0)).about.len()
        };
        assert_eq!(about(limits::AUDIT_ABOUT_LEN), limits::AUDIT_ABOUT_LEN);
        assert_eq!(about(limits::AUDIT_ABOUT_LEN + 1), limits::AUDIT_ABOUT_LEN);
    }
}
