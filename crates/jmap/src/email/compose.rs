//! Composing a message out of the properties of an Email (RFC 8621 §4.6).

use std::collections::BTreeSet;

use mail::{BodyId, limits};
use message::compose::message_id;
use message::date::{DateTime, parse_rfc3339_at, rfc5322_at};
use serde_json::{Map, Value};

use super::header::{Form, Property};
use super::import::received_at;
use super::placing::Placing;
use super::write::{self, Leaf, Node, Text};
use crate::account::Account;
use crate::args::Args;
use crate::error::SetError;
use crate::request::Context;

/// The order in which fields are written; others follow.
const ORDER: [&str; 11] =
    ["date", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references", "subject"];

/// RFC 5322 §2.1.1: octets of a line, without its end.
const LONGEST_LINE: usize = 998;

fn invalid(name: &str, why: impl Into<String>) -> SetError {
    SetError::properties(&[name], why)
}

/// Makes an Email; its id, and how many octets it has.
pub(super) async fn create(
    context: &mut Context<'_>,
    account: &Account,
    value: Value,
) -> Result<(BodyId, u64), SetError> {
    let mut members = Args::of(value, "an email").map_err(|_| invalid("mailboxIds", "an email is an object"))?;
    let mailboxes = members.value("mailboxIds").unwrap_or_default();
    let keywords = members.value("keywords").unwrap_or_default();
    let received = received_at(&mut members)?.unwrap_or(context.moment.now);
    let placing = Placing::read(context, account, &mailboxes, &keywords)?;
    placing.check_new(account)?;

    let values = Values::read(members.value("bodyValues"))?;
    let (structure, text, html, attachments) = (
        members.value("bodyStructure"),
        members.value("textBody"),
        members.value("htmlBody"),
        members.value("attachments"),
    );
    let mut fields = fields(members.into_members(), false)?;
    let mut reader = Reader { values, blobs: BTreeSet::new(), parts: 0 };
    let root = match structure {
        Some(_) if text.is_some() || html.is_some() || attachments.is_some() => {
            return Err(invalid("bodyStructure", "it is given beside textBody, htmlBody or attachments"));
        }
        Some(structure) => {
            let root = reader.part("bodyStructure", structure, 0)?;
            // RFC 8621 §4.6
            if let Some((name, _)) =
                root.fields().iter().find(|(name, _)| fields.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)))
            {
                return Err(invalid("bodyStructure", format!("{name} stands on top already")));
            }
            root
        }
        None => reader.flat(text, html, attachments)?,
    };
    let mut missing = Vec::new();
    let mut contents = std::collections::BTreeMap::new();
    for id in &reader.blobs {
        match context.server.blob(context.user, account, id).await? {
            Some(content) => drop(contents.insert(id.clone(), content)),
            None => missing.push(id.clone()),
        }
    }
    if !missing.is_empty() {
        return Err(SetError::new("blobNotFound").and("notFound", missing));
    }

    let has =
        |fields: &[(String, String)], name: &str| fields.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
    if !has(&fields, "Date") {
        let date = DateTime { timestamp: context.moment.now, offset: 0 };
        fields.push(("Date".into(), format!(" {}", rfc5322_at(date))));
    }
    // Unlike all others made in this request and elsewhere.
    let unique = context.moment.random.wrapping_add(context.composed);
    context.composed += 1;
    if !has(&fields, "Message-ID") {
        let id = message_id(unique, context.user.address.domain().as_str());
        fields.push(("Message-ID".into(), format!(" {id}")));
    }
    let place = |name: &str| ORDER.iter().position(|other| other.eq_ignore_ascii_case(name)).unwrap_or(ORDER.len());
    fields.sort_by_key(|(name, _)| place(name));

    let stage = context.server.store.stage(None).await?;
    let stage = write::message(stage, &fields, &root, &contents, unique).await?;
    Ok(placing.put(context, stage, received).await?)
}

/// The property bodyValues.
struct Values(Map<String, Value>);

impl Values {
    fn read(value: Option<Value>) -> Result<Self, SetError> {
        let wrong = |why: &str| invalid("bodyValues", why);
        let Some(value) = value else { return Ok(Self(Map::new())) };
        let Value::Object(values) = value else { return Err(wrong("it is an object")) };
        for value in values.values() {
            let Value::Object(members) = value else { return Err(wrong("a value is an object")) };
            let is_false = |name: &str| members.get(name).is_none_or(|is| *is == Value::Bool(false));
            // RFC 8621 §4.6
            if !is_false("isEncodingProblem") || !is_false("isTruncated") {
                return Err(wrong("isEncodingProblem and isTruncated are false"));
            }
            let is_known = |name: &String| ["value", "isEncodingProblem", "isTruncated"].contains(&name.as_str());
            if !members.get("value").is_some_and(Value::is_string) || !members.keys().all(is_known) {
                return Err(wrong("a value has a string"));
            }
        }
        Ok(Self(values))
    }

    fn get(&self, part: &str) -> Option<&str> {
        self.0.get(part)?.get("value")?.as_str()
    }
}

/// Reads body parts.
struct Reader {
    values: Values,
    /// Blobs that are to be found.
    blobs: BTreeSet<String>,
    parts: usize,
}

impl Reader {
    /// RFC 8621 §4.6: textBody, htmlBody and attachments.
    fn flat(&mut self, text: Option<Value>, html: Option<Value>, attachments: Option<Value>) -> Result<Node, SetError> {
        let mut only = |name: &'static str, value: Option<Value>, wanted: &str| -> Result<Option<Node>, SetError> {
            let Some(value) = value else { return Ok(None) };
            let part = match value {
                Value::Array(parts) => <[Value; 1]>::try_from(parts).ok(),
                _ => None,
            };
            let Some([part]) = part else { return Err(invalid(name, "it has exactly one part")) };
            let part = self.part_of(name, part, 0, wanted)?;
            match &part {
                Node::Leaf(leaf) if leaf.media_type == wanted => Ok(Some(part)),
                _ => Err(invalid(name, format!("its part is {wanted}"))),
            }
        };
        let text = only("textBody", text, "text/plain")?;
        let html = only("htmlBody", html, "text/html")?;
        let list = match attachments {
            None => Vec::new(),
            Some(Value::Array(list)) => list,
            Some(_) => return Err(invalid("attachments", "it is an array")),
        };
        let (mut embedded, mut attached) = (Vec::new(), Vec::new());
        for part in list {
            let part = self.part("attachments", part, 0)?;
            match &part {
                // What the HTML shows stands beside it.
                Node::Leaf(leaf) if html.is_some() && leaf.is_embedded() => embedded.push(part),
                _ => attached.push(part),
            }
        }
        let html = html.map(|html| match embedded.is_empty() {
            true => html,
            false => Node::multipart("related", std::iter::once(html).chain(embedded).collect()),
        });
        let shown = match (text, html) {
            (Some(text), Some(html)) => Node::multipart("alternative", vec![text, html]),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => Node::Leaf(Leaf::empty()),
        };
        if attached.is_empty() {
            return Ok(shown);
        }
        Ok(Node::multipart("mixed", std::iter::once(shown).chain(attached).collect()))
    }

    fn part(&mut self, property: &'static str, value: Value, depth: usize) -> Result<Node, SetError> {
        self.part_of(property, value, depth, "text/plain")
    }

    /// An EmailBodyPart; `otherwise`: its type where it has none.
    fn part_of(
        &mut self,
        property: &'static str,
        value: Value,
        depth: usize,
        otherwise: &str,
    ) -> Result<Node, SetError> {
        let wrong = |why: &str| invalid(property, why);
        self.parts += 1;
        if self.parts > limits::JMAP_PARTS || depth > limits::MIME_DEPTH {
            return Err(wrong("there are too many parts"));
        }
        let mut members = Args::of(value, "a part").map_err(|_| wrong("a part is an object"))?;
        let mut string = |name: &str| members.string(name).map_err(|_| wrong(&format!("{name} is a string")));
        let (part_id, blob_id, charset) = (string("partId")?, string("blobId")?, string("charset")?);
        let media_type = string("type")?.unwrap_or_else(|| otherwise.to_owned()).to_ascii_lowercase();
        let (name, disposition, cid) = (string("name")?, string("disposition")?, string("cid")?);
        let location = string("location")?;
        let language = members.strings("language").map_err(|_| wrong("language is an array"))?;
        let size = members.value("size");
        let children = members.value("subParts");
        let fields = fields(members.into_members(), true)?;
        if !is_media_type(&media_type) {
            return Err(wrong("a type is two names with a / between"));
        }
        let is_token = |text: &String| !text.is_empty() && text.bytes().all(is_token_byte);
        if disposition.as_ref().is_some_and(|text| !is_token(text))
            || charset.as_ref().is_some_and(|text| !is_token(text))
        {
            return Err(wrong("disposition and charset are single words"));
        }
        if let Some(subtype) = media_type.strip_prefix("multipart/") {
            let Some(Value::Array(children)) = children else { return Err(wrong("a multipart has subParts")) };
            if part_id.is_some() || blob_id.is_some() || children.is_empty() {
                return Err(wrong("a multipart has parts, and no content of its own"));
            }
            let children = children.into_iter().map(|child| self.part(property, child, depth + 1));
            let children = children.collect::<Result<Vec<_>, _>>()?;
            return Ok(Node::Multipart { subtype: subtype.to_owned(), fields, children });
        }
        if children.is_some_and(|children| children.as_array().is_none_or(|children| !children.is_empty())) {
            return Err(wrong("only a multipart has subParts"));
        }
        let text = match (&part_id, &blob_id) {
            (Some(_), Some(_)) | (None, None) => return Err(wrong("a part has a partId or a blobId")),
            (Some(part), None) => {
                // RFC 8621 §4.6
                if charset.is_some() || size.is_some() {
                    return Err(wrong("charset and size are the server's where a partId is given"));
                }
                if !media_type.starts_with("text/") {
                    return Err(wrong("a value is a text"));
                }
                let value =
                    self.values.get(part).ok_or_else(|| invalid("bodyValues", format!("there is no value {part}")))?;
                Text::Value(value.to_owned())
            }
            (None, Some(blob)) => {
                self.blobs.insert(blob.clone());
                Text::Blob(blob.clone())
            }
        };
        Ok(Node::Leaf(Leaf { media_type, charset, name, disposition, cid, language, location, fields, text }))
    }
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte)
}

fn is_media_type(text: &str) -> bool {
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(is_token_byte);
    text.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// The header fields among properties, each with all that follows its colon.
fn fields(members: Map<String, Value>, of_part: bool) -> Result<Vec<(String, String)>, SetError> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for (key, value) in members {
        if value.is_null() {
            continue;
        }
        let property = Property::of(&key).filter(|_| !of_part || key.starts_with("header:"));
        let property = property.ok_or_else(|| invalid(&key, "there is no such property, or it can't be set"))?;
        let lower = property.name.to_ascii_lowercase();
        // RFC 8621 §4.6: those of the content belong to parts, and what the part's properties say is not said twice.
        let is_of_content = lower.starts_with("content-");
        let is_told = ["content-type", "content-disposition", "content-id", "content-language", "content-location"];
        if is_of_content != of_part
            || lower == "content-transfer-encoding"
            || is_told.contains(&lower.as_str())
            || lower == "mime-version"
        {
            return Err(invalid(&key, "this field can't be set here"));
        }
        if fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(&property.name)) {
            return Err(invalid(&key, "the field is given twice"));
        }
        let values = match value {
            Value::Array(values) if property.all => values,
            _ if property.all => return Err(invalid(&key, "it is an array")),
            value => vec![value],
        };
        let mut written = Vec::new();
        for value in values {
            let used = property.name.len() + 2;
            written.push((
                property.name.clone(),
                field(&value, property.form, used).ok_or_else(|| invalid(&key, "the value can't be written"))?,
            ));
        }
        fields.extend(written);
    }
    Ok(fields)
}

/// A field's value, from the colon on; `used` columns of its line are taken.
fn field(value: &Value, form: Form, used: usize) -> Option<String> {
    let strings = || value.as_array()?.iter().map(Value::as_str).collect::<Option<Vec<_>>>();
    let bracketed = |between: &str, without: &[char]| {
        let list = strings()?;
        let is_plain = |text: &&str| {
            !text.is_empty() && !text.contains(without) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        (!list.is_empty() && list.iter().all(is_plain)).then(|| {
            let list: Vec<String> = list.iter().map(|text| format!("<{text}>")).collect();
            format!(" {}", list.join(between))
        })
    };
    match form {
        Form::Raw => value.as_str().filter(|raw| is_raw(raw)).map(str::to_owned),
        Form::Text => value.as_str().map(|text| format!(" {}", message::compose::unstructured(text, used))),
        Form::Addresses => Some(format!(" {}", people(value)?)),
        Form::GroupedAddresses => {
            let group = |group: &Value| {
                let members = people(group.get("addresses")?)?;
                Some(match group.get("name").and_then(Value::as_str) {
                    Some(name) => format!("{}: {members};", message::compose::phrase(name)),
                    None => members,
                })
            };
            let groups = value.as_array()?.iter().map(group).collect::<Option<Vec<_>>>()?;
            Some(format!(" {}", groups.join(",\r\n ")))
        }
        Form::MessageIds => bracketed("\r\n ", &['<', '>']),
        Form::Date => parse_rfc3339_at(value.as_str()?).map(|date| format!(" {}", rfc5322_at(date))),
        Form::Urls => bracketed(",\r\n ", &['<', '>']),
    }
}

/// RFC 8621 §4.1.2.1: what may stand in a header as it is. A line that does not begin with white space would be a field.
fn is_raw(raw: &str) -> bool {
    let lines: Vec<&str> = raw.split("\r\n").collect();
    let is_line = |line: &&str| line.len() <= LONGEST_LINE && !line.contains(['\r', '\n', '\0']);
    lines.iter().all(is_line)
        && lines.iter().skip(1).all(|line| line.starts_with([' ', '\t']) && !line.trim().is_empty())
}

fn people(value: &Value) -> Option<String> {
    let person = |person: &Value| {
        let members = person.as_object()?;
        let email = members.get("email")?.as_str()?;
        let name = match members.get("name") {
            None | Some(Value::Null) => "",
            Some(name) => name.as_str()?,
        };
        if email.contains(['\r', '\n', '\0']) {
            return None;
        }
        let person = message::compose::Person { name: name.to_owned(), address: email.to_owned() };
        Some(message::compose::mailbox(&person))
    };
    let people = value.as_array()?.iter().map(person).collect::<Option<Vec<_>>>()?;
    Some(people.join(",\r\n "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn raw_fields_stay_fields() {
        assert!(is_raw(" a") && is_raw(" a\r\n b") && is_raw(""));
        for bad in [" a\r\nBcc: x", " a\nBcc: x", " a\r\n", " a\r\n \r\n", "\0", " a\rb"] {
            assert!(!is_raw(bad), "{bad:?}");
        }
        assert!(!is_raw(&"x".repeat(LONGEST_LINE + 1)));
    }

    #[test]
    fn values_become_fields() {
        let of = |value: Value, form| field(&value, form, 9);
        assert_eq!(of(json!("Grüße"), Form::Text).unwrap(), " =?utf-8?B?R3LDvMOfZQ==?=");
        let bob = json!({"name": "B, C", "email": "b@x.example"});
        assert_eq!(
            of(json!([bob, {"email": "c@x.example"}]), Form::Addresses).unwrap(),
            " \"B, C\" <b@x.example>,\r\n c@x.example"
        );
        let groups = json!([{"name": "Team", "addresses": [bob]}, {"name": null, "addresses": [{"email": "d@x"}]}]);
        assert_eq!(of(groups, Form::GroupedAddresses).unwrap(), " Team: \"B, C\" <b@x.example>;,\r\n d@x");
        assert_eq!(of(json!(["a@b", "c@d"]), Form::MessageIds).unwrap(), " <a@b>\r\n <c@d>");
        assert_eq!(of(json!("2026-11-24T02:05:10+01:00"), Form::Date).unwrap(), " Tue, 24 Nov 2026 02:05:10 +0100");
        assert_eq!(of(json!(["http://x"]), Form::Urls).unwrap(), " <http://x>");
        for (bad, form) in [
            (json!(7), Form::Text),
            (json!("x"), Form::Addresses),
            (json!([{"name": "x"}]), Form::Addresses),
            (json!([{"email": "a\r\nBcc: b"}]), Form::Addresses),
            (json!(["a>\r\nBcc: b"]), Form::MessageIds),
            (json!([]), Form::MessageIds),
            (json!("yesterday"), Form::Date),
        ] {
            assert_eq!(field(&bad, form, 9), None, "{bad}");
        }
    }
}
