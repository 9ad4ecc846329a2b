//! Composing a message: a text, attachments, and header fields in any language.
//!
//! Time, randomness and the attachments' content are passed in. Bcc is nowhere in what is written: who else
//! receives it is the envelope's secret. Written by hand rather than with `mail-builder`, which puts encoded
//! words into parameters (RFC 2047 §5 forbids it) and takes the clock and the host's name by itself.

use std::io::{self, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::Timestamp;

/// A person in From, To or Cc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Display name; may be empty.
    pub name: String,
    /// `local@domain`, as it is to stand in the header.
    pub address: String,
}

/// A message to write.
pub struct Draft {
    /// From.
    pub from: Person,
    /// To.
    pub to: Vec<Person>,
    /// Cc.
    pub cc: Vec<Person>,
    /// Subject, in any language.
    pub subject: String,
    /// Date.
    pub date: Timestamp,
    /// With angle brackets; see [`message_id`].
    pub message_id: String,
    /// The text, lines separated by LF or CRLF.
    pub text: String,
    /// Files.
    pub attachments: Vec<Attachment>,
}

/// A file that goes with a message.
pub struct Attachment {
    /// Its name without folder, in any language.
    pub name: String,
    /// `image/png`.
    pub media_type: String,
    /// Its octets.
    pub content: Box<dyn Read + Send>,
}

/// A Message-ID that nobody else makes (RFC 5322 §3.6.4): 128 random bits at a domain of the sender.
pub fn message_id(random: u128, domain: &str) -> String {
    format!("<{random:032x}@{domain}>")
}

/// The media type that a file's name suggests; `application/octet-stream` where it says nothing.
pub fn media_type(file_name: &str) -> &'static str {
    let extension = file_name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    match extension.as_str() {
        "txt" | "log" | "md" | "toml" | "rs" | "c" | "h" | "py" | "sh" | "patch" | "diff" => "text/plain",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "ics" => "text/calendar",
        "vcf" => "text/vcard",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "webp" => "image/webp",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" | "tgz" => "application/gzip",
        "json" => "application/json",
        "xml" => "application/xml",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}

impl Draft {
    /// Writes the message, lines ended by CRLF; reads the attachments as it goes.
    pub fn write(self, out: &mut impl Write) -> io::Result<()> {
        write_people(out, "From", std::slice::from_ref(&self.from))?;
        write_people(out, "To", &self.to)?;
        write_people(out, "Cc", &self.cc)?;
        write!(out, "Subject: {}\r\n", unstructured(self.subject.trim(), "Subject: ".len()))?;
        write!(out, "Date: {}\r\n", crate::date::rfc5322(self.date))?;
        write!(out, "Message-ID: {}\r\n", one_line(&self.message_id))?;
        out.write_all(b"MIME-Version: 1.0\r\n")?;
        if self.attachments.is_empty() {
            return write_text(out, &self.text);
        }
        // `=_` comes neither out of base64 nor out of quoted-printable (RFC 2045 §6.7), and a text that has it
        // is sent as quoted-printable.
        let unique: String = self.message_id.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
        let boundary = format!("=_{unique}");
        write!(out, "Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n")?;
        write_text(out, &self.text)?;
        for attachment in self.attachments {
            write!(out, "\r\n--{boundary}\r\n")?;
            attachment.write(out)?;
        }
        write!(out, "\r\n--{boundary}--\r\n")
    }
}

impl Attachment {
    fn write(mut self, out: &mut impl Write) -> io::Result<()> {
        let media_type = one_line(&self.media_type);
        let name = parameter("filename", &one_line(&self.name));
        write!(out, "Content-Type: {media_type}\r\nContent-Disposition: attachment;{name}\r\n")?;
        out.write_all(b"Content-Transfer-Encoding: base64\r\n\r\n")?;
        // 57 octets make a line of 76 (RFC 2045 §6.8).
        let mut lines = vec![0; 57 * 512];
        loop {
            let mut filled = 0;
            while filled < lines.len() {
                match self.content.read(&mut lines[filled..])? {
                    0 => break,
                    read => filled += read,
                }
            }
            for line in lines[..filled].chunks(57) {
                out.write_all(STANDARD.encode(line).as_bytes())?;
                out.write_all(b"\r\n")?;
            }
            if filled < lines.len() {
                return Ok(());
            }
        }
    }
}

/// The text's header fields and body.
fn write_text(out: &mut impl Write, text: &str) -> io::Result<()> {
    let (encoding, text) = encoded_text(text);
    write!(out, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{text}")
}

/// A text with lines ended by CRLF, and its transfer encoding: as it is where 7bit can carry it, else quoted-printable.
pub fn encoded_text(text: &str) -> (&'static str, String) {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    // RFC 5322 §2.1.1 wants lines of at most 78 characters and forbids over 998.
    let plain = |line: &str| line.len() <= 900 && line.bytes().all(|b| b == b'\t' || (b' '..0x7f).contains(&b));
    let as_it_is = !text.contains("--=_") && text.lines().all(plain);
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        if as_it_is {
            out.push_str(line);
        } else {
            out.push_str(&quoted_printable(line.as_bytes()));
        }
        out.push_str("\r\n");
    }
    (if as_it_is { "7bit" } else { "quoted-printable" }, out)
}

/// One line as quoted-printable, soft line breaks included (RFC 2045 §6.7).
fn quoted_printable(line: &[u8]) -> String {
    let mut out = String::with_capacity(line.len() * 2);
    let mut column = 0;
    for (at, byte) in line.iter().enumerate() {
        let last = at + 1 == line.len();
        let literal = matches!(byte, b'!'..=b'<' | b'>'..=b'~') || (matches!(byte, b' ' | b'\t') && !last);
        let width = if literal { 1 } else { 3 };
        // Rule 5: at most 76 characters, the `=` of a soft line break included.
        if column + width > 75 {
            out.push_str("=\r\n");
            column = 0;
        }
        if literal {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("={byte:02X}"));
        }
        column += width;
    }
    out
}

fn write_people(out: &mut impl Write, field: &str, people: &[Person]) -> io::Result<()> {
    for (index, person) in people.iter().enumerate() {
        // One person a line: no line gets too long, whoever is written to.
        if index == 0 {
            write!(out, "{field}: ")?
        } else {
            out.write_all(b",\r\n ")?
        }
        out.write_all(mailbox(person).as_bytes())?;
    }
    if people.is_empty() { Ok(()) } else { out.write_all(b"\r\n") }
}

/// A person as an address list has him (RFC 5322 §3.4 `mailbox`).
pub fn mailbox(person: &Person) -> String {
    let address = one_line(&person.address);
    let name = person.name.trim();
    if name.is_empty() { address } else { format!("{} <{address}>", phrase(name)) }
}

/// A display name: atoms, a quoted string, or encoded words (RFC 5322 §3.2.5, RFC 2047 §5).
pub fn phrase(name: &str) -> String {
    let name = one_line(name);
    let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~ ".contains(c);
    if !name.is_ascii() || name.contains("=?") || name.len() > 60 {
        encoded_words(&name)
    } else if name.chars().all(atom) && !name.contains("  ") {
        name
    } else {
        format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// An unstructured value, folded; as encoded words where it is not ASCII. `used` columns of the line are taken.
pub fn unstructured(value: &str, used: usize) -> String {
    let value = one_line(value);
    if !value.is_ascii() || value.contains("=?") || value.split(' ').any(|word| word.len() > 900) {
        return encoded_words(&value);
    }
    let mut out = String::new();
    let mut column = used;
    for (index, word) in value.split(' ').enumerate() {
        // RFC 5322 §2.2.3: a fold stands before white space that is there anyway. Never before an empty word: a
        // line of white space only is obsolete.
        if index > 0 {
            if column + 1 + word.len() > 76 && !word.is_empty() && !out.ends_with(' ') {
                out.push_str("\r\n");
                column = 0;
            }
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
    }
    out
}

/// Encoded words of at most 75 characters, each of whole characters (RFC 2047 §2 and §5), on lines of their own.
fn encoded_words(text: &str) -> String {
    let mut words = Vec::new();
    let mut chunk = String::new();
    for c in text.chars() {
        // 42 octets make 56 of base64, and 68 with what stands around them.
        if chunk.len() + c.len_utf8() > 42 {
            words.push(std::mem::take(&mut chunk));
        }
        chunk.push(c);
    }
    words.push(chunk);
    let coded: Vec<String> = words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect();
    coded.join("\r\n ")
}

/// A parameter, on lines of its own: quoted, or by RFC 2231 where it is not ASCII or long.
pub fn parameter(name: &str, value: &str) -> String {
    if value.is_ascii() && value.len() <= 60 {
        return format!("\r\n {name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    }
    // RFC 2231 §3: sections are put together in order, whatever stands in them.
    let mut sections = vec![String::from("utf-8''")];
    for byte in value.bytes() {
        let coded = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        match sections.last_mut() {
            Some(section) if section.len() + coded.len() <= 60 => section.push_str(&coded),
            _ => sections.push(coded),
        }
    }
    if let [only] = sections.as_slice() {
        return format!("\r\n {name}*={only}");
    }
    let lines = sections.iter().enumerate().map(|(number, section)| format!("\r\n {name}*{number}*={section}"));
    lines.collect::<Vec<_>>().join(";")
}

/// Control characters become spaces: nobody writes a field of his own into the header.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Header;
    use crate::structure::Structure;
    use proptest::prelude::*;

    fn person(name: &str, address: &str) -> Person {
        Person { name: name.into(), address: address.into() }
    }

    fn write(subject: &str, name: &str, text: &str, file: Option<(&str, Vec<u8>)>) -> Vec<u8> {
        let attachments = file.map(|(name, content)| Attachment {
            name: name.into(),
            media_type: media_type(name).into(),
            content: Box::new(io::Cursor::new(content)),
        });
        let draft = Draft {
            from: person(name, "from@red.example"),
            to: vec![person("", "to@blue.example"), person("Two, Number", "two@blue.example")],
            cc: vec![],
            subject: subject.into(),
            date: Timestamp::from_secs(0),
            message_id: message_id(7, "red.example"),
            text: text.into(),
            attachments: attachments.into_iter().collect(),
        };
        let mut out = Vec::new();
        draft.write(&mut out).unwrap();
        out
    }

    #[test]
    fn header_injection_is_impossible() {
        let message = write("a\r\nBcc: evil@x", "b\nTo: evil@x", "text", None);
        let header = Header::of(&message);
        assert_eq!((header.count("Bcc"), header.count("To")), (0, 1));
        assert_eq!(header.message_id().as_deref(), Some("<00000000000000000000000000000007@red.example>"));
    }

    #[test]
    fn long_subjects_are_folded_between_words() {
        let subject = "word ".repeat(40);
        let message = write(subject.trim(), "", "", None);
        assert!(message.split(|b| *b == b'\n').all(|line| line.len() <= 79));
        assert_eq!(Header::of(&message).subject().as_deref(), Some(subject.trim()));
    }

    #[test]
    fn spaces_within_a_name_stay() {
        let message = write("", "a  b c", "", None);
        assert_eq!(Header::of(&message).from().as_deref(), Some("\"a  b c\" <from@red.example>"));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            subject in "(\\PC| |=\\?){0,60}", name in "(\\PC| |\"){0,30}", text in "((\\PC| |=|\t|\\.|--=_){0,90}\n){0,6}",
            file in "[a-z](\\PC|\\.){0,90}[a-z]", content in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let message = write(&subject, &name, &text, Some((&file, content.clone())));
            let longest = message.split(|b| *b == b'\n').map(<[u8]>::len).max();
            prop_assert!(longest <= Some(999), "{:?}", longest);
            let header = Header::of(&message);
            prop_assert_eq!(header.subject().unwrap_or_default(), subject.trim());
            let structure = Structure::of(&message);
            let from = &structure.root().envelope.as_ref().unwrap().from[0];
            prop_assert_eq!(crate::text::decode_words(from.name.as_deref().unwrap_or_default()), name.trim());
            let leaves = structure.leaves();
            prop_assert_eq!(leaves.len(), 2);
            let body = |n: usize| &message[leaves[n].1.body.start as usize..leaves[n].1.body.end as usize];
            prop_assert_eq!(crate::text::of_part(leaves[0].1, body(0)).replace("\r\n", "\n"), text);
            prop_assert_eq!(leaves[1].1.file_name().unwrap(), file);
            prop_assert_eq!(crate::transfer::Encoding::Base64.decode(body(1)), content);
        }
    }
}
