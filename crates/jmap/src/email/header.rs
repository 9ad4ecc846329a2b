//! Header fields as properties: `header:Name:asForm:all`, and the forms that each field may have (RFC 8621 §4.1.2, §4.1.3).

use message::date;
use message::envelope::{EnvelopeAddress, addresses};
use message::header::{Field, Header, unfold};
use message::text::decode_words;
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization as _;

/// RFC 8621 §4.1.2
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Raw,
    Text,
    Addresses,
    GroupedAddresses,
    MessageIds,
    Date,
    Urls,
}

/// A property that is a header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Property {
    /// As it was asked for.
    pub(super) key: String,
    pub(super) name: String,
    pub(super) form: Form,
    /// All fields of the name, not the last.
    pub(super) all: bool,
}

/// RFC 8621 §4.1.3: properties that stand for fields in a form.
pub(super) const CONVENIENT: [(&str, &str, Form); 11] = [
    ("messageId", "Message-ID", Form::MessageIds),
    ("inReplyTo", "In-Reply-To", Form::MessageIds),
    ("references", "References", Form::MessageIds),
    ("sender", "Sender", Form::Addresses),
    ("from", "From", Form::Addresses),
    ("to", "To", Form::Addresses),
    ("cc", "Cc", Form::Addresses),
    ("bcc", "Bcc", Form::Addresses),
    ("replyTo", "Reply-To", Form::Addresses),
    ("subject", "Subject", Form::Text),
    ("sentAt", "Date", Form::Date),
];

const FORMS: [(&str, Form); 7] = [
    ("asRaw", Form::Raw),
    ("asText", Form::Text),
    ("asAddresses", Form::Addresses),
    ("asGroupedAddresses", Form::GroupedAddresses),
    ("asMessageIds", Form::MessageIds),
    ("asDate", Form::Date),
    ("asURLs", Form::Urls),
];

/// Fields that RFC 5322 and RFC 2369 define, each with the forms that it may have beside Raw; any form is for others.
const DEFINED: &[(&str, &[Form])] = &[
    ("subject", &[Form::Text]),
    ("comments", &[Form::Text]),
    ("keywords", &[Form::Text]),
    ("list-id", &[Form::Text]),
    ("from", ADDRESSES),
    ("sender", ADDRESSES),
    ("reply-to", ADDRESSES),
    ("to", ADDRESSES),
    ("cc", ADDRESSES),
    ("bcc", ADDRESSES),
    ("resent-from", ADDRESSES),
    ("resent-sender", ADDRESSES),
    ("resent-reply-to", ADDRESSES),
    ("resent-to", ADDRESSES),
    ("resent-cc", ADDRESSES),
    ("resent-bcc", ADDRESSES),
    ("message-id", &[Form::MessageIds]),
    ("in-reply-to", &[Form::MessageIds]),
    ("references", &[Form::MessageIds]),
    ("resent-message-id", &[Form::MessageIds]),
    ("date", &[Form::Date]),
    ("resent-date", &[Form::Date]),
    ("list-help", &[Form::Urls]),
    ("list-unsubscribe", &[Form::Urls]),
    ("list-subscribe", &[Form::Urls]),
    ("list-post", &[Form::Urls]),
    ("list-owner", &[Form::Urls]),
    ("list-archive", &[Form::Urls]),
    ("return-path", &[]),
    ("received", &[]),
];

const ADDRESSES: &[Form] = &[Form::Addresses, Form::GroupedAddresses];

impl Property {
    /// Of a name; `None`: it is no property of a header field, or one in a form that is forbidden.
    pub(super) fn of(key: &str) -> Option<Self> {
        if let Some((_, name, form)) = CONVENIENT.iter().find(|(convenient, ..)| *convenient == key) {
            return Some(Self { key: key.to_owned(), name: (*name).to_owned(), form: *form, all: false });
        }
        let mut parts = key.strip_prefix("header:")?.split(':');
        let name = parts.next()?;
        // RFC 8621 §4.1.3: printable, without a colon.
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let mut property = Self { key: key.to_owned(), name: name.to_owned(), form: Form::Raw, all: false };
        let mut part = parts.next();
        if let Some((_, form)) = FORMS.iter().find(|(word, _)| Some(*word) == part) {
            property.form = *form;
            part = parts.next();
        }
        if part == Some("all") {
            property.all = true;
            part = parts.next();
        }
        (part.is_none() && is_permitted(name, property.form)).then_some(property)
    }

    /// Its value in a header.
    pub(super) fn value(&self, header: &Header<'_>) -> Value {
        let values = header.all(&self.name).map(|field| value(&field, self.form));
        if self.all { values.collect() } else { values.last().unwrap_or(Value::Null) }
    }
}

/// Whether a field may be told and set in a form.
fn is_permitted(name: &str, form: Form) -> bool {
    let defined = DEFINED.iter().find(|(defined, _)| defined.eq_ignore_ascii_case(name));
    form == Form::Raw || defined.is_none_or(|(_, forms)| forms.contains(&form))
}

/// RFC 8621 §4.1.3: all fields, in their order.
pub(super) fn headers(header: &Header<'_>) -> Value {
    let fields = header.fields().filter(|field| !field.name().is_empty());
    fields.map(|field| json!({ "name": String::from_utf8_lossy(field.name()), "value": raw(&field) })).collect()
}

fn value(field: &Field<'_>, form: Form) -> Value {
    match form {
        Form::Raw => raw(field).into(),
        Form::Text => text(field.raw_value()).into(),
        Form::Addresses => people(&addresses(field.raw_value())),
        Form::GroupedAddresses => groups(&addresses(field.raw_value())),
        Form::MessageIds => bracketed(field),
        Form::Date => date::parse(&field.unfolded()).map(date::rfc3339).into(),
        Form::Urls => bracketed(field),
    }
}

/// RFC 8621 §4.1.2.1: from the colon to the line's end, without NUL.
fn raw(field: &Field<'_>) -> String {
    let value = field.raw_value();
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    String::from_utf8_lossy(value).replace('\0', "")
}

/// RFC 8621 §4.1.2.2: unfolded, decoded, NFC.
fn text(value: &[u8]) -> String {
    let decoded = decode_words(value);
    decoded.trim_start_matches(' ').chars().filter(|c| *c == '\t' || !c.is_control()).nfc().collect()
}

/// A display name; none where it is empty.
fn name(raw: Option<&[u8]>) -> Value {
    let name = raw.map(text).map(|name| name.trim().to_owned());
    name.filter(|name| !name.is_empty()).into()
}

/// RFC 8621 §4.1.2.3: `addr-spec`, or what there is of it.
fn email(address: &EnvelopeAddress) -> String {
    let local = String::from_utf8_lossy(address.mailbox.as_deref().unwrap_or_default()).into_owned();
    let atom = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let local = if local.chars().all(atom) {
        local
    } else {
        format!("\"{}\"", local.replace('\\', "\\\\").replace('"', "\\\""))
    };
    match address.address() {
        Some(_) => format!("{local}@{}", String::from_utf8_lossy(address.host.as_deref().unwrap_or_default())),
        None => local,
    }
}

fn person(address: &EnvelopeAddress) -> Value {
    json!({ "name": name(address.name.as_deref()), "email": email(address) })
}

/// RFC 8621 §4.1.2.3: groups are left out, who is in them is not.
fn people(list: &[EnvelopeAddress]) -> Value {
    list.iter().filter(|address| address.host.is_some()).map(person).collect()
}

/// RFC 8621 §4.1.2.4
fn groups(list: &[EnvelopeAddress]) -> Value {
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    let mut is_open = false;
    for address in list {
        match (&address.host, &address.mailbox) {
            (Some(_), _) => {
                if !is_open {
                    groups.push((Value::Null, Vec::new()));
                    is_open = true;
                }
                if let Some((_, members)) = groups.last_mut() {
                    members.push(person(address));
                }
            }
            (None, Some(group)) => {
                groups.push((name(Some(group)), Vec::new()));
                is_open = true;
            }
            (None, None) => is_open = false,
        }
    }
    groups.into_iter().map(|(name, addresses)| json!({ "name": name, "addresses": addresses })).collect()
}

/// RFC 8621 §4.1.2.5 and §4.1.2.7: what stands in angle brackets; null where nothing does.
fn bracketed(field: &Field<'_>) -> Value {
    let value = unfold(field.raw_value());
    let text = String::from_utf8_lossy(&value);
    let mut found = Vec::new();
    let mut rest = without_comments(&text);
    while let Some(start) = rest.find('<') {
        let Some(len) = rest[start..].find('>') else { break };
        let inner: String = rest[start + 1..start + len].split_whitespace().collect();
        if !inner.is_empty() {
            found.push(inner);
        }
        rest = rest[start + len + 1..].to_owned();
    }
    if found.is_empty() { Value::Null } else { found.into() }
}

/// Comments out of brackets (RFC 5322 §3.2.2).
fn without_comments(text: &str) -> String {
    let (mut depth, mut within, mut out) = (0u32, false, String::new());
    let mut escaped = false;
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if depth > 0 => escaped = true,
            '<' if depth == 0 => within = true,
            '>' if depth == 0 => within = false,
            '(' if !within => depth = depth.saturating_add(1),
            ')' if depth > 0 => {
                depth -= 1;
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(header: &str, key: &str) -> Value {
        Property::of(key).unwrap().value(&Header::of(header.as_bytes()))
    }

    /// The examples of RFC 8621 §4.1.2.3 and §4.1.2.4.
    #[test]
    fn addresses_and_groups() {
        let header = "To: \"  James Smythe\" <james@example.com>, Friends:\r\n jane@example.com, \
            =?UTF-8?Q?John_Sm=C3=AEth?=\r\n <john@example.com>;\r\n\r\n";
        let (james, jane, john) = (
            json!({"name": "James Smythe", "email": "james@example.com"}),
            json!({"name": null, "email": "jane@example.com"}),
            json!({"name": "John Smîth", "email": "john@example.com"}),
        );
        assert_eq!(read(header, "to"), json!([james, jane, john]));
        assert_eq!(
            read(header, "header:to:asGroupedAddresses"),
            json!([{"name": null, "addresses": [james]}, {"name": "Friends", "addresses": [jane, john]}])
        );
        assert_eq!(read("To: \"a b\"@x.example\r\n\r\n", "to"), json!([{"name": null, "email": "\"a b\"@x.example"}]));
        assert_eq!(read("To: somebody\r\n\r\n", "to")[0]["email"], "somebody");
    }

    #[test]
    fn forms() {
        let header = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n und mehr\r\nReferences: <1@x> (a <c@d>)\r\n < 2@x >\r\nX: a\r\n\
            X:  b\r\nDate: Tue, 24 Nov 2026 02:05:10 +0100\r\nList-Post: <mailto:a@b> (yes), <http://c>\r\nIn-Reply-To: yours\r\n\r\n";
        assert_eq!(read(header, "subject"), "Grüße und mehr");
        assert_eq!(read(header, "header:SUBJECT"), " =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n und mehr");
        assert_eq!(read(header, "references"), json!(["1@x", "2@x"]));
        assert_eq!(read(header, "header:x"), "  b");
        assert_eq!(read(header, "header:x:all"), json!([" a", "  b"]));
        assert_eq!(read(header, "header:x:asText:all"), json!(["a", "b"]));
        assert_eq!(read(header, "sentAt"), "2026-11-24T02:05:10+01:00");
        assert_eq!(read(header, "header:List-Post:asURLs"), json!(["mailto:a@b", "http://c"]));
        assert_eq!(read(header, "inReplyTo"), Value::Null);
        assert_eq!(read(header, "cc"), Value::Null);
        assert_eq!(read(header, "header:cc:asAddresses:all"), json!([]));
    }

    #[test]
    fn forms_that_are_forbidden() {
        for key in [
            "header:From:asDate",
            "header:Date:asText",
            "header:Received:asText",
            "header:Subject:asAddresses",
            "header:List-Help:asMessageIds",
            "header:",
            "header:a b",
            "header:x:all:asText",
            "header:x:asNothing",
            "header:x:all:all",
            "headers",
            "From",
        ] {
            assert_eq!(Property::of(key), None, "{key}");
        }
        assert!(Property::of("header:X-Own:asDate").is_some() && Property::of("header:list-id:asText").is_some());
    }

    proptest! {
        #[test]
        fn never_panics(octets in proptest::collection::vec(any::<u8>(), 0..60), text in "(<|>|\\(|\\)|\\\\|,|;|:|@|a|\"| |=\\?u\\?q\\?|\r\n ){0,40}") {
            for octets in [&octets[..], text.as_bytes()] {
                let header = [b"X: ", octets, b"\r\n\r\n"].concat();
                for (word, _) in FORMS {
                    let property = Property::of(&format!("header:x:{word}:all")).unwrap();
                    property.value(&Header::of(&header));
                }
                headers(&Header::of(&header));
            }
        }
    }
}
