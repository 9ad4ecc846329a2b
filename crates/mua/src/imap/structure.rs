//! A server's BODYSTRUCTURE as a list of parts (RFC 3501 §7.4.2 `body`).

use super::value::Value;
use crate::part::{PartInfo, lower};

/// The parts of a BODYSTRUCTURE, numbered as sections (RFC 3501 §6.4.5).
pub(super) fn parts(body: &Value) -> Vec<PartInfo> {
    let mut found = Vec::new();
    message(body, "", &mut found);
    found
}

/// A message: the whole one, or one within a message/rfc822 part.
fn message(body: &Value, prefix: &str, found: &mut Vec<PartInfo>) {
    if matches!(body.list().first(), Some(Value::List(_))) {
        multipart(body, prefix, found);
    } else {
        // A message that is not multipart has one part, number 1.
        single(body, &format!("{prefix}1"), found);
    }
}

fn multipart(body: &Value, prefix: &str, found: &mut Vec<PartInfo>) {
    let children = body.list().iter().take_while(|child| matches!(child, Value::List(_)));
    for (n, child) in children.enumerate() {
        let number = format!("{prefix}{}", n + 1);
        if matches!(child.list().first(), Some(Value::List(_))) {
            multipart(child, &format!("{number}."), found);
        } else {
            single(child, &number, found);
        }
    }
}

/// `body-type-1part`.
fn single(body: &Value, number: &str, found: &mut Vec<PartInfo>) {
    let fields = body.list();
    let text = |at: usize| fields.get(at).and_then(Value::octets).unwrap_or_default();
    let media_type = lower(text(0)) + "/" + &lower(text(1));
    // How many fields stand before MD5: text has a count of lines more, a message also an envelope and a body.
    let within = fields.get(8).filter(|within| !within.list().is_empty());
    let extension = match media_type.as_str() {
        "message/rfc822" | "message/global" if within.is_some() => 10,
        _ if media_type.starts_with("text/") => 8,
        _ => 7,
    };
    let parameters = fields.get(2).map(parameters).unwrap_or_default();
    let disposition = fields.get(extension + 1).map(Value::list).unwrap_or_default();
    let disposition_parameters = disposition.get(1).map(self::parameters).unwrap_or_default();
    let name = message::text::parameter(&disposition_parameters, "filename")
        .or_else(|| message::text::parameter(&parameters, "name"));
    let charset = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"charset"));
    found.push(PartInfo {
        number: number.to_owned(),
        name,
        size: fields.get(6).and_then(Value::number).unwrap_or(0),
        encoding: text(5).to_vec(),
        charset: charset.map_or_else(|| b"us-ascii".to_vec(), |(_, charset)| charset.to_vec()),
        attachment: disposition
            .first()
            .is_some_and(|kind| kind.octets().is_some_and(|kind| kind.eq_ignore_ascii_case(b"attachment"))),
        media_type,
    });
    if let (10, Some(within)) = (extension, within) {
        message(within, &format!("{number}."), found);
    }
}

fn parameters(value: &Value) -> message::structure::Parameters {
    let pairs = value.list().chunks_exact(2);
    pairs.filter_map(|pair| Some((pair[0].octets()?.into(), pair[1].octets()?.into()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::value::parse;

    #[test]
    fn parts_have_section_numbers() {
        let answer = br#"(("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "8BIT" 12 1 NIL NIL NIL NIL)(("TEXT" "HTML" NIL NIL NIL "7BIT" 3 1)("IMAGE" "PNG" ("NAME" "a.png") "<c>" NIL "BASE64" 300 NIL ("ATTACHMENT" ("FILENAME*" "utf-8''%C3%BC.png")) NIL) "RELATED") "MIXED")"#;
        let found = parts(&parse(answer)[0]);
        let shown: Vec<_> = found.iter().map(|p| (p.number.as_str(), p.media_type.as_str(), p.size)).collect();
        assert_eq!(shown, [("1", "text/plain", 12), ("2.1", "text/html", 3), ("2.2", "image/png", 300)]);
        assert_eq!(found[2].name.as_deref(), Some("ü.png"));
        assert!(found[2].attachment && found[0].charset == b"utf-8");
    }

    #[test]
    fn a_message_within_has_parts_too() {
        let within = r#"("MESSAGE" "RFC822" NIL NIL NIL "7BIT" 99 (NIL "x" NIL NIL NIL NIL NIL NIL NIL NIL) ("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1) 4 NIL ("ATTACHMENT" ("FILENAME" "x.eml")))"#;
        let answer = format!(r#"(("TEXT" "HTML" NIL NIL NIL "7BIT" 3 1){within} "MIXED")"#);
        let found = parts(&parse(answer.as_bytes())[0]);
        let numbers: Vec<_> = found.iter().map(|part| part.number.as_str()).collect();
        assert_eq!(numbers, ["1", "2", "2.1"]);
        assert_eq!(found[1].name.as_deref(), Some("x.eml"));
        assert_eq!(crate::part::readable(&found).map(|part| part.number.as_str()), Some("1"));
        let alone = parts(&parse(within.as_bytes())[0]);
        assert_eq!(crate::part::readable(&alone).map(|part| part.number.as_str()), Some("1.1"));
    }

    #[test]
    fn one_part_is_number_one() {
        let found = parts(&parse(br#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1)"#)[0]);
        assert_eq!(found[0].number, "1");
    }
}
