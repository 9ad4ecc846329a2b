//! ENVELOPE, BODY and BODYSTRUCTURE as IMAP writes them (RFC 3501 §7.4.2).

use message::envelope::{Envelope, EnvelopeAddress};
use message::structure::{Kind, Parameters, Part, Raw, Structure};
use wire::imap::write::{nstring, number, string};

/// `envelope = "(" env-date SP env-subject SP env-from SP … SP env-message-id ")"`
pub(crate) fn envelope(out: &mut Vec<u8>, envelope: &Envelope) {
    out.push(b'(');
    nstring(out, envelope.date.as_deref());
    out.push(b' ');
    nstring(out, envelope.subject.as_deref());
    for list in [&envelope.from, &envelope.sender, &envelope.reply_to, &envelope.to, &envelope.cc, &envelope.bcc] {
        out.push(b' ');
        addresses(out, list);
    }
    out.push(b' ');
    nstring(out, envelope.in_reply_to.as_deref());
    out.push(b' ');
    nstring(out, envelope.message_id.as_deref());
    out.push(b')');
}

/// `"(" 1*address ")" / nil`, `address = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")"`
fn addresses(out: &mut Vec<u8>, list: &[EnvelopeAddress]) {
    if list.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    for address in list {
        for (at, field) in [&address.name, &address.route, &address.mailbox, &address.host].into_iter().enumerate() {
            out.push(if at == 0 { b'(' } else { b' ' });
            nstring(out, field.as_deref());
        }
        out.push(b')');
    }
    out.push(b')');
}

/// The structure of a whole message; `extended`: BODYSTRUCTURE rather than BODY.
pub(crate) fn body_structure(out: &mut Vec<u8>, structure: &Structure, extended: bool) {
    body(out, structure, structure.root(), extended);
}

/// The structure of one part, with its extension data; false: there is no such part.
pub(crate) fn part_structure(out: &mut Vec<u8>, structure: &Structure, path: &[u32]) -> bool {
    let part = if path.is_empty() { Some(structure.root()) } else { structure.find(path) };
    part.inspect(|part| body(out, structure, part, true)).is_some()
}

/// `body = "(" (body-type-1part / body-type-mpart) ")"`. Parts are nested up to `limits::MIME_DEPTH`.
fn body(out: &mut Vec<u8>, structure: &Structure, part: &Part, extended: bool) {
    out.push(b'(');
    match &part.kind {
        // `body-type-mpart = 1*body SP media-subtype [SP body-ext-mpart]`
        Kind::Multipart(children) => {
            for child in children.iter().filter_map(|child| structure.part(*child)) {
                body(out, structure, child, extended);
            }
            out.push(b' ');
            string(out, &part.subtype);
            if extended {
                out.push(b' ');
                parameters(out, &part.parameters);
                extension(out, part);
            }
        }
        // `body-type-msg = media-message SP body-fields SP envelope SP body SP body-fld-lines`
        Kind::Message(inner) => {
            fields(out, part);
            if let Some(inner) = structure.part(*inner) {
                out.push(b' ');
                match &inner.envelope {
                    Some(inner) => envelope(out, inner),
                    None => envelope(out, &Envelope::default()),
                }
                out.push(b' ');
                body(out, structure, inner, extended);
            }
            out.push(b' ');
            number(out, u64::from(part.lines));
            single_extension(out, part, extended);
        }
        // `body-type-text = media-text SP body-fields SP body-fld-lines`
        Kind::Leaf if part.is_type("text") => {
            fields(out, part);
            out.push(b' ');
            number(out, u64::from(part.lines));
            single_extension(out, part, extended);
        }
        Kind::Leaf => {
            fields(out, part);
            single_extension(out, part, extended);
        }
    }
    out.push(b')');
}

/// `media-basic SP body-fields`, `body-fields = body-fld-param SP body-fld-id SP body-fld-desc SP body-fld-enc SP body-fld-octets`
fn fields(out: &mut Vec<u8>, part: &Part) {
    string(out, &part.media_type);
    out.push(b' ');
    string(out, &part.subtype);
    out.push(b' ');
    parameters(out, &part.parameters);
    out.push(b' ');
    nstring(out, part.id.as_deref());
    out.push(b' ');
    nstring(out, part.description.as_deref());
    out.push(b' ');
    string(out, &part.encoding);
    out.push(b' ');
    number(out, part.size());
}

/// `body-ext-1part = body-fld-md5 [SP body-fld-dsp …]`
fn single_extension(out: &mut Vec<u8>, part: &Part, extended: bool) {
    if extended {
        out.push(b' ');
        nstring(out, part.md5.as_deref());
        extension(out, part);
    }
}

/// `SP body-fld-dsp SP body-fld-lang SP body-fld-loc`
fn extension(out: &mut Vec<u8>, part: &Part) {
    out.push(b' ');
    match &part.disposition {
        None => out.extend_from_slice(b"NIL"),
        Some((kind, list)) => {
            out.push(b'(');
            string(out, kind);
            out.push(b' ');
            parameters(out, list);
            out.push(b')');
        }
    }
    out.push(b' ');
    languages(out, &part.languages);
    out.push(b' ');
    nstring(out, part.location.as_deref());
}

fn languages(out: &mut Vec<u8>, languages: &[Raw]) {
    if languages.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    for (at, language) in languages.iter().enumerate() {
        out.push(if at == 0 { b'(' } else { b' ' });
        string(out, language);
    }
    out.push(b')');
}

/// `body-fld-param = "(" string SP string *(SP string SP string) ")" / nil`
fn parameters(out: &mut Vec<u8>, parameters: &Parameters) {
    if parameters.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    for (at, (name, value)) in parameters.iter().enumerate() {
        out.push(if at == 0 { b'(' } else { b' ' });
        string(out, name);
        out.push(b' ');
        string(out, value);
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Every odd message of the corpus: parentheses and quotes match, and nothing stands outside the grammar.
    #[test]
    fn structures_are_grammatical() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../message/tests/corpus");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "eml") {
                continue;
            }
            let structure = Structure::of(&std::fs::read(&path).unwrap());
            let mut out = Vec::new();
            body_structure(&mut out, &structure, true);
            envelope(&mut out, structure.root().envelope.as_deref().unwrap());
            assert_eq!(depth(&out), 0, "{}: {}", path.display(), String::from_utf8_lossy(&out));
            seen += 1;
        }
        assert!(seen > 20);
    }

    /// What is open at the end, strings passed over.
    fn depth(mut text: &[u8]) -> i32 {
        let mut depth = 0;
        while let Some((first, rest)) = text.split_first() {
            text = rest;
            match first {
                b'(' => depth += 1,
                b')' => depth -= 1,
                b'"' | b'{' => {
                    let whole = [&[*first][..], rest].concat();
                    let mut cursor = wire::imap::Cursor::new(&whole);
                    cursor.string().ok();
                    let left = cursor.rest().len();
                    text = &rest[rest.len() - left..];
                }
                _ => {}
            }
            assert!(depth >= 0);
        }
        depth
    }

    #[test]
    fn a_plain_message() {
        let structure = Structure::of(b"From: A B <a@b.c>\r\nSubject: hi\r\n\r\none\r\ntwo\r\n");
        let mut out = Vec::new();
        envelope(&mut out, structure.root().envelope.as_deref().unwrap());
        out.push(b' ');
        body_structure(&mut out, &structure, false);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "(NIL \"hi\" ((\"A B\" NIL \"a\" \"b.c\")) ((\"A B\" NIL \"a\" \"b.c\")) ((\"A B\" NIL \"a\" \"b.c\")) NIL NIL NIL NIL NIL) \
             (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 10 2)"
        );
    }
}
