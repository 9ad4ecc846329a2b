//! The text of a report: multipart/report with words for people, fields for programs, and what is returned
//! (RFC 6522, RFC 3464 §2; RFC 6533 where addresses are UTF-8).

use mail::{Address, BodyType, DsnReturn, Hold, Timestamp, limits};
use message::date;
use store::{Body, QueueMessage};

use super::{Kind, Line};

/// What is returned of the message.
#[derive(Debug, Default)]
pub(super) struct Returned {
    bytes: Vec<u8>,
    whole: bool,
}

/// Reads what is returned: the whole message where that is asked for or not said, and it is not too long;
/// else its header. Reports of delay and success return the header only (RFC 3461 §4.3).
pub(super) async fn returned(body: &dyn Body, message: &QueueMessage, kind: Kind) -> Returned {
    let whole = kind == Kind::Failed
        && message.envelope.dsn_return != Some(DsnReturn::Headers)
        // Binary bytes have no place in a message that must pass DATA.
        && message.envelope.body != BodyType::BinaryMime
        && body.size() <= limits::DSN_RETURN;
    let mut bytes = Vec::new();
    let end = body.size().min(limits::DSN_RETURN);
    while (bytes.len() as u64) < end {
        match body.read(bytes.len() as u64..end).await {
            Ok(piece) if !piece.is_empty() => bytes.extend_from_slice(&piece),
            _ => break,
        }
    }
    let complete = bytes.len() as u64 == body.size();
    if whole && complete {
        return Returned { bytes, whole: true };
    }
    if let Some(end) = memchr_header_end(&bytes) {
        bytes.truncate(end);
    } else if !complete {
        // A header longer than what is returned: cut at a line.
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        bytes.truncate(end);
    }
    Returned { bytes, whole: false }
}

/// Where the header ends: after the last field's line end.
fn memchr_header_end(bytes: &[u8]) -> Option<usize> {
    let crlf = bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 2);
    let lf = bytes.windows(2).position(|w| w == b"\n\n").map(|at| at + 1);
    crlf.into_iter().chain(lf).min()
}

pub(super) struct Report<'a> {
    pub(super) hostname: &'a str,
    pub(super) token: String,
    pub(super) now: Timestamp,
    pub(super) sender: &'a Address,
    pub(super) message: &'a QueueMessage,
    pub(super) kind: Kind,
    pub(super) lines: &'a [Line<'a>],
    pub(super) retry_until: Timestamp,
    pub(super) returned: Returned,
}

impl Report<'_> {
    /// Whether addresses or the returned header are UTF-8, so that the report itself needs SMTPUTF8
    /// (RFC 6533 §3).
    pub(super) fn needs_utf8(&self) -> bool {
        let lines = self.lines.iter().any(|line| {
            line.recipient.address.needs_utf8()
                || line.recipient.original.as_deref().is_some_and(|text| !text.is_ascii())
        });
        lines || self.sender.needs_utf8() || (self.message.envelope.smtputf8 && !self.header().is_ascii())
    }

    fn header(&self) -> &[u8] {
        let end = memchr_header_end(&self.returned.bytes).unwrap_or(self.returned.bytes.len());
        &self.returned.bytes[..end]
    }

    /// The whole report, and its Message-ID.
    pub(super) fn write(&self) -> (Vec<u8>, String) {
        let utf8 = self.needs_utf8();
        let message_id = format!("<{}@{}>", self.token, self.hostname);
        let boundary = format!("=_{}", self.token);
        let subject = match self.kind {
            Kind::Failed => "Mail could not be delivered",
            Kind::Delayed => "Mail is delayed",
            Kind::Relayed | Kind::Delivered | Kind::Expanded => "Mail was delivered",
        };
        let mut out = String::new();
        field(&mut out, "From", &format!("Mail Delivery System <MAILER-DAEMON@{}>", self.hostname));
        field(&mut out, "To", &format!("<{}>", self.sender));
        field(&mut out, "Subject", subject);
        field(&mut out, "Date", &date::rfc5322(self.now));
        field(&mut out, "Message-ID", &message_id);
        if let Some(original) = &self.message.message_id {
            field(&mut out, "In-Reply-To", &ascii(original));
            field(&mut out, "References", &ascii(original));
        }
        // RFC 3834 §5: so that no vacation notice answers.
        field(&mut out, "Auto-Submitted", "auto-replied");
        field(&mut out, "MIME-Version", "1.0");
        out += &format!(
            "Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"{boundary}\"\r\n\r\n"
        );
        out += "This is a report of the mail system in several parts (RFC 3464).\r\n";
        self.part(&mut out, &boundary, "text/plain; charset=utf-8", &self.words());
        let status = if utf8 { "message/global-delivery-status" } else { "message/delivery-status" };
        self.part(&mut out, &boundary, status, &self.fields(utf8));
        let mut bytes = out.into_bytes();
        self.original(&mut bytes, &boundary, utf8);
        bytes.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        (bytes, message_id)
    }

    fn part(&self, out: &mut String, boundary: &str, content_type: &str, text: &str) {
        let encoding = if text.is_ascii() { "7bit" } else { "8bit" };
        *out += &format!("\r\n--{boundary}\r\nContent-Type: {content_type}\r\n");
        *out += &format!("Content-Transfer-Encoding: {encoding}\r\n\r\n{text}");
    }

    fn original(&self, out: &mut Vec<u8>, boundary: &str, utf8: bool) {
        let Returned { bytes, whole } = &self.returned;
        if bytes.is_empty() {
            return;
        }
        // RFC 6522 §3 and, for UTF-8, RFC 6533 §4.
        let content_type = match (whole, utf8) {
            (true, false) => "message/rfc822",
            (true, true) => "message/global",
            (false, false) => "text/rfc822-headers",
            (false, true) => "message/global-headers",
        };
        let encoding = if bytes.is_ascii() { "7bit" } else { "8bit" };
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(bytes);
    }

    /// For people.
    fn words(&self) -> String {
        let mut out = format!("This is the mail system at {}.\r\n\r\n", self.hostname);
        out += match self.kind {
            Kind::Failed => "Your message could not be delivered to:\r\n",
            Kind::Delayed => "Your message has not yet been delivered to:\r\n",
            Kind::Relayed => "Your message was handed on; no further report will come from there:\r\n",
            Kind::Delivered => "Your message was delivered to:\r\n",
            Kind::Expanded => "Your message was sent on to all that this address stands for:\r\n",
        };
        for line in self.lines {
            out += &format!("\r\n  <{}>\r\n", line.recipient.address);
            if let (Some(host), true) = (&line.host, line.remote) {
                wrap(&mut out, "    ", &format!("{} said:", clean(host)));
            }
            if !line.words.is_empty() {
                wrap(&mut out, "    ", &clean(&line.words));
            }
        }
        out += match self.kind {
            Kind::Failed => "\r\nNo further attempts will be made. What the servers said is repeated below.\r\n",
            Kind::Delayed => "\r\nYou need not send it again: attempts go on until ",
            _ => "",
        };
        if self.kind == Kind::Delayed {
            out += &format!("{}.\r\n", date::rfc5322(self.retry_until));
        }
        out
    }

    /// For programs (RFC 3464 §2.2 and §2.3).
    fn fields(&self, utf8: bool) -> String {
        let envelope = &self.message.envelope;
        let mut out = String::new();
        field(&mut out, "Reporting-MTA", &format!("dns; {}", self.hostname));
        if let Some(id) = &envelope.envelope_id {
            // RFC 3464 §2.2.1: as given, xtext decoded.
            field(&mut out, "Original-Envelope-Id", &ascii(id));
        }
        field(&mut out, "Arrival-Date", &date::rfc5322(self.message.received_at));
        // RFC 4865, which adds it to RFC 3464 §2.2: what was asked for.
        match envelope.hold {
            Some(Hold::For(seconds)) => field(&mut out, "Future-Release-Request", &format!("for;{seconds}")),
            Some(Hold::Until(timestamp)) => {
                let until = date::rfc3339(date::DateTime { timestamp, offset: 0 });
                field(&mut out, "Future-Release-Request", &format!("until;{until}"));
            }
            None => {}
        }
        for line in self.lines {
            let recipient = line.recipient;
            out += "\r\n";
            if let Some((kind, address)) = recipient.original.as_deref().and_then(|text| text.split_once(';')) {
                field(&mut out, "Original-Recipient", &format!("{};{}", ascii(kind), clean(address)));
            }
            let kind = if utf8 && recipient.address.needs_utf8() { "utf-8" } else { "rfc822" };
            field(&mut out, "Final-Recipient", &format!("{kind}; {}", recipient.address));
            field(&mut out, "Action", self.kind.action());
            let (class, subject, detail) = line.status;
            field(&mut out, "Status", &format!("{class}.{subject}.{detail}"));
            if let Some(host) = &line.host {
                field(&mut out, "Remote-MTA", &format!("dns; {}", ascii(host)));
            }
            // RFC 3464 §2.3.6: optional; where nobody said anything (a delivery to a mailbox of ours) it is left out.
            if !line.words.is_empty() {
                let source = if line.remote { "smtp" } else { "X-Postrider" };
                field(&mut out, "Diagnostic-Code", &format!("{source}; {}", ascii(&line.words)));
            }
            field(&mut out, "Last-Attempt-Date", &date::rfc5322(self.now));
            if self.kind == Kind::Delayed {
                field(&mut out, "Will-Retry-Until", &date::rfc5322(self.retry_until));
            }
        }
        out
    }
}

/// Writes a header field, folded at spaces so that lines stay short (RFC 5322 §2.1.1).
fn field(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push(':');
    let mut line = name.len() + 1;
    for word in words(&clean(value)) {
        if line + word.len() + 1 > 76 && line > name.len() + 1 {
            out.push_str("\r\n");
            line = 0;
        }
        out.push(' ');
        out.push_str(word);
        line += word.len() + 1;
    }
    out.push_str("\r\n");
}

/// Writes words as lines of a text.
fn wrap(out: &mut String, indent: &str, text: &str) {
    let mut line = 0;
    for word in words(text) {
        if line > 0 && line + 1 + word.len() <= 76 {
            out.push(' ');
            line += 1;
        } else {
            out.push_str(if line > 0 { "\r\n" } else { "" });
            out.push_str(indent);
            line = indent.len();
        }
        out.push_str(word);
        line += word.len();
    }
    out.push_str("\r\n");
}

/// Words to put on lines. RFC 5322 §2.1.1: a line has at most 998 octets, so a longer word is cut.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').flat_map(|word| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let mut cut = rest.len().min(900);
            while !rest.is_char_boundary(cut) {
                cut -= 1;
            }
            let (now, later) = rest.split_at(cut);
            rest = later;
            (!now.is_empty()).then_some(now)
        })
    })
}

/// No control characters: nothing that a stranger said begins a line of ours.
fn clean(text: &str) -> String {
    text.chars().take(limits::REMOTE_WORDS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The same in ASCII, for fields that allow no more.
fn ascii(text: &str) -> String {
    clean(text).chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests;
