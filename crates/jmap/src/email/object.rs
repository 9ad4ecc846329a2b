//! Email objects: the properties that are asked for, of a stored message or of one in a blob (RFC 8621 §4.1, §4.2).

use std::collections::{BTreeMap, BTreeSet};

use mail::limits;
use message::date::{DateTime, rfc3339};
use message::header::Header;
use message::structure::{Kind, Part, Structure};
use message::text::{from_charset, is_known_charset};
use message::transfer::{Decoder, Encoding};
use reading::body::{Message, looked_at};
use reading::preview::preview;
use serde_json::{Map, Value, json};
use store::StoreResult;

use super::body::{Bodies, media_type};
use super::header::{Property, headers};
use crate::args::Args;
use crate::error::{Answer, MethodError};
use crate::ids;
use crate::index::Email;

/// Properties that are no header fields.
const PLAIN: [&str; 15] = [
    "id",
    "blobId",
    "threadId",
    "mailboxIds",
    "keywords",
    "size",
    "receivedAt",
    "headers",
    "bodyStructure",
    "bodyValues",
    "textBody",
    "htmlBody",
    "attachments",
    "hasAttachment",
    "preview",
];

/// Those of a body part.
const PLAIN_OF_PART: [&str; 12] = [
    "partId",
    "blobId",
    "size",
    "headers",
    "name",
    "type",
    "charset",
    "disposition",
    "cid",
    "language",
    "location",
    "subParts",
];

/// RFC 8621 §4.2
pub(super) const DEFAULT: [&str; 24] = [
    "id",
    "blobId",
    "threadId",
    "mailboxIds",
    "keywords",
    "size",
    "receivedAt",
    "messageId",
    "inReplyTo",
    "references",
    "sender",
    "from",
    "to",
    "cc",
    "bcc",
    "replyTo",
    "subject",
    "sentAt",
    "hasAttachment",
    "preview",
    "bodyValues",
    "textBody",
    "htmlBody",
    "attachments",
];

/// RFC 8621 §4.2: bodyProperties
const DEFAULT_OF_PART: [&str; 10] =
    ["partId", "blobId", "size", "name", "type", "charset", "disposition", "cid", "language", "location"];

/// What is asked for.
pub(super) struct Wanted {
    plain: BTreeSet<&'static str>,
    headers: Vec<Property>,
    part: BTreeSet<&'static str>,
    part_headers: Vec<Property>,
    text_values: bool,
    html_values: bool,
    all_values: bool,
    most: Option<usize>,
}

fn split(names: Vec<String>, plain: &'static [&'static str]) -> Answer<(BTreeSet<&'static str>, Vec<Property>)> {
    if names.len() > limits::JMAP_PROPERTIES {
        return Err(MethodError::with("requestTooLarge", "these are too many properties"));
    }
    let (mut found, mut headers) = (BTreeSet::new(), Vec::new());
    for name in names {
        match plain.iter().find(|known| **known == name) {
            Some(known) => drop(found.insert(*known)),
            // RFC 8621 §4.2: a form that is forbidden is an invalid argument.
            None => headers.push(
                Property::of(&name)
                    .filter(|_| !name.is_empty())
                    .ok_or_else(|| MethodError::arguments(format!("there is no property {name}")))?,
            ),
        }
    }
    Ok((found, headers))
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

impl Wanted {
    pub(super) fn read(args: &mut Args, default: &[&str]) -> Answer<Self> {
        let names = args.strings("properties")?.unwrap_or_else(|| owned(default));
        let of_part = args.strings("bodyProperties")?.unwrap_or_else(|| owned(&DEFAULT_OF_PART));
        let (plain, headers) = split(names, &PLAIN)?;
        let (part, part_headers) = split(of_part, &PLAIN_OF_PART)?;
        // The convenient names are of messages alone.
        if let Some(other) = part_headers.iter().find(|property| !property.key.starts_with("header:")) {
            return Err(MethodError::arguments(format!("a part has no property {}", other.key)));
        }
        let most = args.unsigned("maxBodyValueBytes")?.filter(|most| *most > 0);
        Ok(Self {
            plain,
            headers,
            part,
            part_headers,
            text_values: args.boolean("fetchTextBodyValues")?.unwrap_or(false),
            html_values: args.boolean("fetchHTMLBodyValues")?.unwrap_or(false),
            all_values: args.boolean("fetchAllBodyValues")?.unwrap_or(false),
            most: most.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
        })
    }

    /// RFC 8620 §5.1: the id is told whether it is asked for or not.
    pub(super) fn with_id(mut self) -> Self {
        self.plain.insert("id");
        self
    }

    fn has(&self, name: &str) -> bool {
        self.plain.contains(name)
    }

    /// Whether the message must be read.
    pub(super) fn reads(&self) -> bool {
        !self.headers.is_empty() || self.reads_body() || self.has("headers")
    }

    fn reads_body(&self) -> bool {
        ["bodyStructure", "bodyValues", "textBody", "htmlBody", "attachments", "hasAttachment", "preview"]
            .iter()
            .any(|name| self.has(name))
    }

    /// What is known without reading the message. `None`: it is not stored as a message, and these properties are null.
    pub(super) fn metadata(&self, email: Option<&Email<'_>>, blob_id: &str, size: u64) -> Map<String, Value> {
        let mut members = Map::new();
        let set = |names: Vec<String>| -> Value {
            names.into_iter().map(|name| (name, Value::Bool(true))).collect::<Map<_, _>>().into()
        };
        for name in &self.plain {
            let value = match (*name, email) {
                ("blobId", _) => blob_id.into(),
                ("size", _) => size.into(),
                ("id", Some(email)) => ids::email(email.id()).into(),
                ("threadId", Some(email)) => ids::thread(email.thread()).into(),
                ("mailboxIds", Some(email)) => set(email.mailboxes().map(|(_, id)| ids::mailbox(id)).collect()),
                ("keywords", Some(email)) => set(email.keywords().into_iter().collect()),
                ("receivedAt", Some(email)) => utc(email.received_at()).into(),
                ("id" | "threadId" | "mailboxIds" | "keywords" | "receivedAt", None) => Value::Null,
                _ => continue,
            };
            members.insert((*name).to_owned(), value);
        }
        members
    }

    /// What the message says, put to what is known.
    pub(super) async fn describe(
        &self,
        message: &mut Message<'_>,
        blob_id: &str,
        members: &mut Map<String, Value>,
    ) -> StoreResult<()> {
        if !self.headers.is_empty() || self.has("headers") {
            let range = looked_at(message.header().await?);
            let octets = message.read_whole(range).await?;
            let header = Header::of(&octets);
            for property in &self.headers {
                members.insert(property.key.clone(), property.value(&header));
            }
            if self.has("headers") {
                members.insert("headers".into(), headers(&header));
            }
        }
        if !self.reads_body() {
            return Ok(());
        }
        if self.has("preview") {
            members.insert("preview".into(), preview(message).await?.into());
        }
        let structure = message.structure().await?;
        let bodies = Bodies::of(&structure);
        if self.has("hasAttachment") {
            members.insert("hasAttachment".into(), bodies.has_attachment(&structure).into());
        }
        let lists = [("textBody", &bodies.text), ("htmlBody", &bodies.html), ("attachments", &bodies.attachments)];
        let all = if self.has("bodyStructure") || self.all_values && self.has("bodyValues") {
            below(&structure, 0)
        } else {
            Vec::new()
        };
        let mut numbers: BTreeSet<u32> =
            if self.has("bodyStructure") { all.iter().copied().collect() } else { BTreeSet::new() };
        numbers.extend(lists.iter().filter(|(name, _)| self.has(name)).flat_map(|(_, list)| list.iter().copied()));
        let mut parts: BTreeMap<u32, Map<String, Value>> = BTreeMap::new();
        for number in numbers {
            if let Some(part) = structure.part(number) {
                parts.insert(number, self.part(message, number, part, blob_id).await?);
            }
        }
        for (name, list) in lists.iter().filter(|(name, _)| self.has(name)) {
            let list: Value = list.iter().filter_map(|number| parts.get(number).cloned().map(Value::Object)).collect();
            members.insert((*name).to_owned(), list);
        }
        if self.has("bodyValues") {
            let mut numbers: BTreeSet<&u32> = BTreeSet::new();
            numbers.extend(self.text_values.then_some(&bodies.text).into_iter().flatten());
            numbers.extend(self.html_values.then_some(&bodies.html).into_iter().flatten());
            numbers.extend(self.all_values.then_some(&all).into_iter().flatten());
            let mut values = Map::new();
            for number in numbers {
                if let Some(part) = structure.part(*number).filter(|part| part.is_type("text")) {
                    values.insert(number.to_string(), value(message, part, self.most).await?);
                }
            }
            members.insert("bodyValues".into(), values.into());
        }
        if self.has("bodyStructure") {
            members.insert("bodyStructure".into(), self.tree(&structure, 0, &mut parts));
        }
        Ok(())
    }

    /// An EmailBodyPart without what is below it.
    async fn part(
        &self,
        message: &mut Message<'_>,
        number: u32,
        part: &Part,
        blob_id: &str,
    ) -> StoreResult<Map<String, Value>> {
        let is_multipart = matches!(part.kind, Kind::Multipart(_));
        let text = |raw: &[u8]| String::from_utf8_lossy(raw).into_owned();
        let mut members = Map::new();
        for name in &self.part {
            let value = match *name {
                "partId" if is_multipart => Value::Null,
                "partId" => number.to_string().into(),
                "blobId" if is_multipart => Value::Null,
                "blobId" => format!("{blob_id}-{number}").into(),
                "size" => size(message, part).await?.into(),
                "name" => part.file_name().into(),
                "type" => media_type(part).into(),
                "charset" => match part.parameter("charset") {
                    Some(charset) => text(charset).into(),
                    None if part.is_type("text") => "us-ascii".into(),
                    None => Value::Null,
                },
                "disposition" => part.disposition.as_ref().map(|(kind, _)| text(kind).to_ascii_lowercase()).into(),
                "cid" => part.id.as_deref().map(|id| text(id).trim().trim_matches(['<', '>']).to_owned()).into(),
                "language" if part.languages.is_empty() => Value::Null,
                "language" => part.languages.iter().map(|language| text(language)).collect(),
                "location" => part.location.as_deref().map(text).into(),
                "subParts" if !is_multipart => Value::Null,
                _ => continue,
            };
            members.insert((*name).to_owned(), value);
        }
        if !self.part_headers.is_empty() || self.part.contains("headers") {
            let octets = message.read_whole(looked_at(part.header.clone())).await?;
            let header = Header::of(&octets);
            for property in &self.part_headers {
                members.insert(property.key.clone(), property.value(&header));
            }
            if self.part.contains("headers") {
                members.insert("headers".into(), headers(&header));
            }
        }
        Ok(members)
    }

    /// A part with all that is below it, nested up to `limits::MIME_DEPTH`.
    fn tree(&self, structure: &Structure, number: u32, parts: &mut BTreeMap<u32, Map<String, Value>>) -> Value {
        let mut members = parts.remove(&number).unwrap_or_default();
        if let Some(Kind::Multipart(children)) = structure.part(number).map(|part| &part.kind) {
            // The structure is its parts, whether subParts was asked for or not.
            let children: Value = children.iter().map(|child| self.tree(structure, *child, parts)).collect();
            members.insert("subParts".into(), children);
        }
        Value::Object(members)
    }
}

/// A part and all parts below it, without messages within.
fn below(structure: &Structure, number: u32) -> Vec<u32> {
    let mut all = vec![number];
    let mut at = 0;
    while let Some(number) = all.get(at) {
        if let Some(Kind::Multipart(children)) = structure.part(*number).map(|part| &part.kind) {
            all.extend_from_slice(children);
        }
        at += 1;
    }
    all
}

/// RFC 8620 §1.4: UTCDate.
pub(crate) fn utc(timestamp: mail::Timestamp) -> String {
    rfc3339(DateTime { timestamp, offset: 0 })
}

/// RFC 8621 §4.1.4: octets when decoded.
async fn size(message: &mut Message<'_>, part: &Part) -> StoreResult<u64> {
    let encoding = Encoding::of(&part.encoding);
    if !matches!(encoding, Encoding::Base64 | Encoding::QuotedPrintable) || matches!(part.kind, Kind::Multipart(_)) {
        return Ok(part.size());
    }
    let (mut decoder, mut out) = (Decoder::new(encoding), Vec::new());
    let (mut at, mut size) = (part.body.start, 0);
    while at < part.body.end {
        let piece = message.read(at..part.body.end).await?;
        if piece.is_empty() {
            break;
        }
        at += piece.len() as u64;
        decoder.push(&piece, &mut out);
        size += out.len() as u64;
        out.clear();
    }
    decoder.finish(&mut out);
    Ok(size + out.len() as u64)
}

/// RFC 8621 §4.1.4: EmailBodyValue.
async fn value(message: &mut Message<'_>, part: &Part, most: Option<usize>) -> StoreResult<Value> {
    let octets = message.read_whole(part.body.clone()).await?;
    let content = Encoding::of(&part.encoding).decode(&octets);
    let charset = part.parameter("charset").unwrap_or(b"us-ascii");
    let text = from_charset(charset, &content).replace("\r\n", "\n");
    let known = ["7bit", "8bit", "binary", "base64", "quoted-printable"];
    let is_known = known.iter().any(|known| part.encoding.eq_ignore_ascii_case(known.as_bytes()));
    let is_problem = !is_known || !is_known_charset(charset) || text.contains('\u{fffd}');
    let shown = most.map_or(text.as_str(), |most| truncated(&text, most, part.is("text", "html")));
    Ok(json!({ "value": shown, "isEncodingProblem": is_problem, "isTruncated": shown.len() < text.len() }))
}

/// RFC 8621 §4.2: not within a character, nor within a tag.
fn truncated(text: &str, most: usize, is_html: bool) -> &str {
    if text.len() <= most {
        return text;
    }
    let shown = &text[..text.floor_char_boundary(most)];
    match shown.rfind('<') {
        Some(open) if is_html && !shown[open..].contains('>') => &shown[..open],
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_truncated_between_characters_and_tags() {
        assert_eq!(truncated("grüße", 3, false), "gr");
        assert_eq!(truncated("grüße", 4, false), "grü");
        assert_eq!(truncated("a <a href=x>b</a>", 8, true), "a ");
        assert_eq!(truncated("a <a href=x>b</a>", 13, true), "a <a href=x>b");
        assert_eq!(truncated("a < b", 4, false), "a < ");
        assert_eq!(truncated("abc", 3, true), "abc");
    }

    /// `JMAP_PROPERTIES`: so many, and one more.
    #[test]
    fn properties_are_bounded() {
        let names = |count: usize| (0..count).map(|n| format!("header:x{n}")).collect::<Vec<_>>();
        assert!(split(names(limits::JMAP_PROPERTIES), &PLAIN).is_ok());
        assert!(split(names(limits::JMAP_PROPERTIES + 1), &PLAIN).is_err());
        assert!(DEFAULT.iter().all(|name| split(owned(&[name]), &PLAIN).is_ok()));
    }
}
