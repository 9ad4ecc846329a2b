//! Body parts: which are shown as text, which as HTML, and which are attachments (RFC 8621 §4.1.4).

use message::structure::{Kind, Part, Structure};

/// Numbers of parts in the structure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bodies {
    pub(super) text: Vec<u32>,
    pub(super) html: Vec<u32>,
    pub(super) attachments: Vec<u32>,
}

/// `image/png`, in small letters.
pub(super) fn media_type(part: &Part) -> String {
    let half = |raw: &[u8]| String::from_utf8_lossy(raw).to_ascii_lowercase();
    format!("{}/{}", half(&part.media_type), half(&part.subtype))
}

fn is_inline_media(part: &Part) -> bool {
    ["image", "audio", "video"].iter().any(|kind| part.is_type(kind))
}

impl Bodies {
    pub(super) fn of(structure: &Structure) -> Self {
        let mut bodies = Self::default();
        let Self { text, html, attachments } = &mut bodies;
        walk(structure, &[0], "mixed", false, (Some(text), Some(html)), attachments);
        bodies
    }

    /// RFC 8621 §4.1.4: something that a person would save. Pictures within the HTML are none.
    pub(super) fn has_attachment(&self, structure: &Structure) -> bool {
        let has_html = self.html.iter().filter_map(|at| structure.part(*at)).any(|part| part.is("text", "html"));
        self.attachments.iter().filter_map(|at| structure.part(*at)).any(|part| {
            let is_embedded = has_html && part.is_type("image") && part.id.is_some() && !part.is_attachment();
            !is_inline(part) && !is_embedded
        })
    }
}

fn is_inline(part: &Part) -> bool {
    part.disposition.as_ref().is_some_and(|(kind, _)| kind.eq_ignore_ascii_case(b"inline"))
}

/// The two lists of what is shown; `None`: what follows belongs to the other alone.
type Shown<'b> = (Option<&'b mut Vec<u32>>, Option<&'b mut Vec<u32>>);

/// The RFC's algorithm, with its names. Parts are nested up to `limits::MIME_DEPTH`.
fn walk(
    structure: &Structure,
    parts: &[u32],
    multipart_type: &str,
    in_alternative: bool,
    (mut text, mut html): Shown<'_>,
    attachments: &mut Vec<u32>,
) {
    let (text_len, html_len) = (text.as_ref().map(|list| list.len()), html.as_ref().map(|list| list.len()));
    for (at, number) in parts.iter().enumerate() {
        let Some(part) = structure.part(*number) else { continue };
        if let Kind::Multipart(children) = &part.kind {
            let inner = String::from_utf8_lossy(&part.subtype).to_ascii_lowercase();
            let alternative = in_alternative || inner == "alternative";
            walk(structure, children, &inner, alternative, (text.as_deref_mut(), html.as_deref_mut()), attachments);
            continue;
        }
        let is_text = part.is("text", "plain") || part.is("text", "html");
        let is_shown = !part.is_attachment()
            && (is_text || is_inline_media(part))
            // Of multipart/related only the first is shown; a text with a name that is not the first is an attachment.
            && (at == 0 || multipart_type != "related" && (is_inline_media(part) || part.file_name().is_none()));
        if !is_shown {
            attachments.push(*number);
            continue;
        }
        if multipart_type == "alternative" {
            let list = match (part.is("text", "plain"), part.is("text", "html")) {
                (true, _) => text.as_deref_mut(),
                (_, true) => html.as_deref_mut(),
                _ => None,
            };
            // An alternative that belongs to the other list alone is in neither.
            match list {
                Some(list) => list.push(*number),
                None => attachments.push(*number),
            }
            continue;
        }
        if in_alternative {
            if part.is("text", "plain") {
                html = None;
            }
            if part.is("text", "html") {
                text = None;
            }
        }
        let is_in_both = text.is_some() && html.is_some();
        for list in [text.as_deref_mut(), html.as_deref_mut()].into_iter().flatten() {
            list.push(*number);
        }
        if !is_in_both && is_inline_media(part) {
            attachments.push(*number);
        }
    }
    if let ("alternative", Some(text), Some(html)) = (multipart_type, text, html) {
        let (text_from, html_from) = (text_len.unwrap_or(0), html_len.unwrap_or(0));
        // Only one of both was found: it stands for the other too.
        if text.len() == text_from && html.len() != html_from {
            text.extend_from_slice(&html[html_from..]);
        } else if html.len() == html_from && text.len() != text_from {
            html.extend_from_slice(&text[text_from..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 8621 §4.1.4, each part named by its text.
    #[test]
    fn the_example_of_the_rfc() {
        let part = |head: &str, name: &str| format!("Content-Type: {head}\r\n\r\n{name}");
        let multi = |kind: &str, boundary: &str, parts: &[String]| {
            let parts: String = parts.iter().map(|part| format!("--{boundary}\r\n{part}\r\n")).collect();
            format!("Content-Type: multipart/{kind}; boundary={boundary}\r\n\r\n{parts}--{boundary}--\r\n")
        };
        let inline = "\r\nContent-Disposition: inline";
        let inner = [
            part(&format!("text/plain{inline}"), "B"),
            part(&format!("image/jpeg{inline}"), "C"),
            part(&format!("text/plain{inline}"), "D"),
        ];
        let related = multi("related", "r", &[part("text/html", "E"), part("image/jpeg", "F")]);
        let alternative = multi("alternative", "a", &[multi("mixed", "m3", &inner), related]);
        let mixed = [
            alternative,
            part("image/jpeg\r\nContent-Disposition: attachment", "G"),
            part("application/x-excel", "H"),
            part("message/rfc822", "Subject: J\r\n\r\nJ"),
        ];
        let message = multi(
            "mixed",
            "m1",
            &[
                part(&format!("text/plain{inline}"), "A"),
                multi("mixed", "m2", &mixed),
                part(&format!("text/plain{inline}"), "K"),
            ],
        );
        let structure = Structure::of(message.as_bytes());
        let bodies = Bodies::of(&structure);
        let names = |list: &[u32]| -> String {
            let text = |at: &u32| {
                let body = structure.part(*at).unwrap().body.clone();
                message[body.start as usize..body.end as usize].trim().chars().last().unwrap()
            };
            list.iter().map(text).collect()
        };
        assert_eq!(
            [names(&bodies.text), names(&bodies.html), names(&bodies.attachments)],
            ["ABCDK", "AEK", "CFGHJ"].map(str::to_owned)
        );
        assert!(bodies.has_attachment(&structure));
    }

    #[test]
    fn pictures_within_html_are_no_attachments() {
        let message = "Content-Type: multipart/related; boundary=r\r\n\r\n--r\r\nContent-Type: text/html\r\n\r\n<img src=cid:a>\r\n\
            --r\r\nContent-Type: image/png\r\nContent-ID: <a>\r\n\r\nx\r\n--r--\r\n";
        let structure = Structure::of(message.as_bytes());
        let bodies = Bodies::of(&structure);
        assert_eq!((bodies.text.len(), bodies.html.len(), bodies.attachments.len()), (1, 1, 1));
        assert!(!bodies.has_attachment(&structure));
        let plain = Structure::of(b"Subject: x\r\n\r\ntext\r\n");
        assert_eq!(Bodies::of(&plain), Bodies { text: vec![0], html: vec![0], attachments: vec![] });
    }
}
