//! References to results of earlier calls (RFC 8620 §3.7), and the JSON pointers with `*` in them.

use serde_json::{Map, Value};

use crate::args::Args;
use crate::error::{Answer, MethodError};
use crate::request::{TOO_LARGE, weight};

/// One answer: its name, arguments, and the id of the call that it is of.
pub(crate) type Response = (String, Value, String);

fn broken(why: impl Into<String>) -> MethodError {
    MethodError::with("invalidResultReference", why)
}

/// Puts what the names with `#` refer to in their place; of all together no more than `room` octets: results of results grow
/// by leaps.
pub(crate) fn resolve(arguments: Map<String, Value>, responses: &[Response], mut room: usize) -> Answer<Args> {
    let mut resolved = Map::new();
    for (name, value) in arguments {
        let Some(plain) = name.strip_prefix('#') else {
            if resolved.insert(name.clone(), value).is_some() {
                return Err(MethodError::arguments(format!("{name} is given twice")));
            }
            continue;
        };
        let mut reference = Args::of(value, &name).map_err(|_| broken("a reference is an object"))?;
        let mut text = |member: &str| {
            let text = reference.string(member).map_err(|_| broken(format!("{member} is a string")))?;
            text.ok_or_else(|| broken(format!("{member} is missing")))
        };
        let (result_of, of, path) = (text("resultOf")?, text("name")?, text("path")?);
        // RFC 8620 §3.7: the first response of that call, and it must have that name.
        let response = responses.iter().find(|(_, _, id)| *id == result_of);
        let (name, value, _) = response.ok_or_else(|| broken(format!("there is no result of {result_of}")))?;
        if *name != of {
            return Err(broken(format!("the result of {result_of} is {name}")));
        }
        let found = pointed(value, &path).ok_or_else(|| broken(format!("there is nothing at {path}")))?;
        room = room.checked_sub(weight(&found)).ok_or(TOO_LARGE)?;
        if resolved.insert(plain.to_owned(), found).is_some() {
            return Err(MethodError::arguments(format!("{plain} is given twice")));
        }
    }
    Ok(Args::new(resolved))
}

/// RFC 6901, with `*` for every item of an array.
fn pointed(value: &Value, path: &str) -> Option<Value> {
    if path.is_empty() {
        return Some(value.clone());
    }
    let rest = path.strip_prefix('/')?;
    let (token, rest) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    match value {
        Value::Array(items) if token == "*" => {
            let mut all = Vec::new();
            for item in items {
                match pointed(item, rest)? {
                    // RFC 8620 §3.7: an array of arrays becomes one array.
                    Value::Array(inner) => all.extend(inner),
                    other => all.push(other),
                }
            }
            Some(Value::Array(all))
        }
        Value::Array(items) => {
            let plain = token.bytes().all(|byte| byte.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
            pointed(items.get(token.parse::<usize>().ok().filter(|_| plain)?)?, rest)
        }
        Value::Object(members) => pointed(members.get(&token.replace("~1", "/").replace("~0", "~"))?, rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn pointers() {
        let value =
            json!({"list": [{"id": "a", "ids": ["1", "2"]}, {"id": "b", "ids": ["3"]}], "a/b": {"~": 1}, "*": 2});
        for (path, found) in [
            ("/list/*/id", json!(["a", "b"])),
            ("/list/*/ids", json!(["1", "2", "3"])),
            ("/list/1/ids/0", json!("3")),
            ("/a~1b/~0", json!(1)),
            ("/*", json!(2)),
            ("/list/*", value["list"].clone()),
            ("", value.clone()),
        ] {
            assert_eq!(pointed(&value, path), Some(found), "{path}");
        }
        for path in ["list", "/list/2", "/list/01", "/list/-", "/list/*/x", "/a~1b/~0/x", "/list/+0", "/nothing"] {
            assert_eq!(pointed(&value, path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(path in "[/*~01a-c]{0,12}") {
            let _ = pointed(&json!({"a": [[{"b": 1}], []], "": {"c": null}}), &path);
        }
    }
}
