//! The text of the reply.

use std::fmt::Write as _;

use mail::{Address, Timestamp, limits};
use message::compose::{Person, encoded_text, mailbox, unstructured};
use message::header::Header;
use message::{date, text};
use store::AwayNotice;

use super::Letter;

/// What is said where the notice has no words of its own.
const NO_WORDS: &str = "I am away at the moment, and will read your message when I am back.";
/// What the reply is called where neither the notice nor the message says.
const NO_SUBJECT: &str = "Auto: your message";

/// A reply to write.
pub(super) struct Reply<'a> {
    pub(super) notice: &'a AwayNotice,
    /// The text is a part of MIME with its header (RFC 5230 §4.4).
    pub(super) is_part: bool,
    pub(super) letter: &'a Letter,
    pub(super) from: &'a Address,
    pub(super) to: &'a Address,
    pub(super) message_id: &'a str,
    pub(super) now: Timestamp,
}

impl Reply<'_> {
    /// All of it, in lines of 7-bit octets but for addresses that are UTF-8.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = String::new();
        let mut field = |name: &str, value: &str| {
            // Writing to a string does not fail.
            let _ = write!(out, "{name}: {value}\r\n");
        };
        let person = |address: &Address| mailbox(&Person { name: String::new(), address: address.to_string() });
        field("From", &person(self.from));
        // RFC 3834 §4, RFC 5230 §4.6: to the reverse-path, and to nobody else.
        field("To", &person(self.to));
        field("Subject", &unstructured(&self.subject(), "Subject: ".len()));
        field("Date", &date::rfc5322(self.now));
        field("Message-ID", self.message_id);
        if let Some(id) = self.letter.message_id.as_deref().and_then(msg_id) {
            // RFC 3834 §3.1.6, RFC 5322 §3.6.4; an id a line, so that no line gets too long.
            field("In-Reply-To", &id);
            let before = self.letter.references.iter().filter_map(|id| msg_id(&format!("<{id}>")));
            let mut all: Vec<String> = before.filter(|other| *other != id).collect();
            all.push(id);
            field("References", &all.join("\r\n "));
        }
        // RFC 3834 §3.1.7, RFC 5230 §4.8
        field("Auto-Submitted", "auto-replied");
        field("MIME-Version", "1.0");
        if let Some(part) = self.notice.text.as_deref().filter(|_| self.is_part) {
            return [out.into_bytes(), as_part(part)].concat();
        }
        self.body(&mut out);
        out.into_bytes()
    }

    /// RFC 3834 §3.1.5: "Auto: " and what it answers is called, where the notice has no subject.
    fn subject(&self) -> String {
        let own = self.notice.subject.as_deref().map(str::trim).filter(|subject| !subject.is_empty());
        let subject = match (own, self.letter.subject.as_deref().map(str::trim).filter(|subject| !subject.is_empty())) {
            (Some(own), _) => own.to_owned(),
            (None, Some(theirs)) => format!("Auto: {theirs}"),
            (None, None) => NO_SUBJECT.to_owned(),
        };
        let end = (0..=subject.len().min(limits::AWAY_SUBJECT_LEN)).rev().find(|end| subject.is_char_boundary(*end));
        subject[..end.unwrap_or_default()].to_owned()
    }

    /// Text, and HTML where the notice has some: then the text is made of that where it has none.
    fn body(&self, out: &mut String) {
        let AwayNotice { text, html, .. } = self.notice;
        let plain = match (text, html) {
            (Some(text), _) => text.clone(),
            (None, Some(html)) => text::from_html(html),
            (None, None) => NO_WORDS.to_owned(),
        };
        let Some(html) = html else { return part(out, "plain", &plain) };
        let unique: String = self.message_id.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
        // `=_` comes out of none of the encodings (RFC 2045 §6.7).
        let boundary = format!("=_{unique}");
        let _ = write!(out, "Content-Type: multipart/alternative; boundary=\"{boundary}\"\r\n");
        for (kind, content) in [("plain", plain.as_str()), ("html", html.as_str())] {
            let _ = write!(out, "\r\n--{boundary}\r\n");
            part(out, kind, content);
        }
        let _ = write!(out, "\r\n--{boundary}--\r\n");
    }
}

/// RFC 5230 §4.4: what a script gives as a part; of its header only what says how it is to be read.
fn as_part(text: &str) -> Vec<u8> {
    let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
    let header = Header::of(text.as_bytes());
    let fields = header.fields();
    let is_of_part = |name: &[u8]| name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"Content-"));
    let mut out: Vec<u8> = fields.filter(|f| is_of_part(f.name())).flat_map(|f| f.bytes().to_vec()).collect();
    if !out.ends_with(b"\r\n") && !out.is_empty() {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(text.as_bytes().get(header.bytes().len()..).unwrap_or_default());
    out
}

fn part(out: &mut String, kind: &str, content: &str) {
    let (encoding, content) = encoded_text(content);
    let _ = write!(
        out,
        "Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{content}"
    );
}

/// A Message-ID that can stand in a field of ours: of a stranger's only what RFC 5322 §3.6.4 allows, or nearly.
fn msg_id(id: &str) -> Option<String> {
    let inner = id.strip_prefix('<')?.strip_suffix('>')?;
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>');
    (inner.len() <= limits::REMOTE_WORDS.min(900) && inner.bytes().all(is_plain)).then(|| id.to_owned())
}
