//! A header's envelope as IMAP shows it (RFC 3501 §7.4.2): dates, subject and address lists, raw.

use mail::limits;

use crate::field::{Cursor, Raw};
use crate::header::Header;

/// ENVELOPE. Strings are as in the header (encoded words kept), unfolded, perhaps not UTF-8.
/// An absent field is `None`; an absent or empty address list is empty (NIL on the wire).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Date.
    pub date: Option<Raw>,
    /// Subject.
    pub subject: Option<Raw>,
    /// From.
    pub from: Vec<EnvelopeAddress>,
    /// Sender; From where it has none.
    pub sender: Vec<EnvelopeAddress>,
    /// Reply-To; From where it has none.
    pub reply_to: Vec<EnvelopeAddress>,
    /// To.
    pub to: Vec<EnvelopeAddress>,
    /// Cc.
    pub cc: Vec<EnvelopeAddress>,
    /// Bcc.
    pub bcc: Vec<EnvelopeAddress>,
    /// In-Reply-To.
    pub in_reply_to: Option<Raw>,
    /// Message-ID.
    pub message_id: Option<Raw>,
}

/// One address structure. A group begins with one that has a mailbox (the group's name) and no host,
/// and ends with one that has neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvelopeAddress {
    /// Display name, or the comment of the old form `user@host (Name)`.
    pub name: Option<Raw>,
    /// Source route (RFC 5322 §4.4 `obs-route`).
    pub route: Option<Raw>,
    /// Local part, unquoted; a group's name.
    pub mailbox: Option<Raw>,
    /// Domain.
    pub host: Option<Raw>,
}

/// Stands for a domain that is absent: no host at all would mean a group (RFC 3501 §7.4.2).
/// The word is Dovecot's, so that clients meet nothing new.
const NO_DOMAIN: &[u8] = b"MISSING_DOMAIN";
/// The same for a local part.
const NO_MAILBOX: &[u8] = b"MISSING_MAILBOX";

impl Envelope {
    /// The envelope of a header.
    pub fn of(header: &Header<'_>) -> Self {
        Self::within(header, &mut limits::ENVELOPE_ADDRESSES.clone())
    }

    /// The same, with addresses counted against `budget`.
    pub(crate) fn within(header: &Header<'_>, budget: &mut usize) -> Self {
        let mut envelope = Self::default();
        let raw = |name| header.get(name).map(|field| Raw::from(field.unfolded()));
        envelope.date = raw("Date");
        envelope.subject = raw("Subject");
        envelope.in_reply_to = raw("In-Reply-To");
        envelope.message_id = raw("Message-ID");
        let mut list = |name: &str| {
            let mut addresses = Vec::new();
            // RFC 5322 §3.6 allows one field of each; of several all are shown.
            for field in header.all(name) {
                read_addresses(field.raw_value(), &mut addresses, budget);
            }
            addresses
        };
        envelope.from = list("From");
        envelope.sender = list("Sender");
        envelope.reply_to = list("Reply-To");
        envelope.to = list("To");
        envelope.cc = list("Cc");
        envelope.bcc = list("Bcc");
        // RFC 3501 §7.4.2: "if the Sender or Reply-To lines are absent or empty, the server sets the
        // corresponding member of the envelope to be the same value as the from member".
        if envelope.sender.is_empty() {
            envelope.sender.clone_from(&envelope.from);
        }
        if envelope.reply_to.is_empty() {
            envelope.reply_to.clone_from(&envelope.from);
        }
        envelope
    }
}

/// The addresses of one field's value.
pub fn addresses(value: &[u8]) -> Vec<EnvelopeAddress> {
    let mut list = Vec::new();
    read_addresses(value, &mut list, &mut limits::ENVELOPE_ADDRESSES.clone());
    list
}

impl EnvelopeAddress {
    /// The local part of one that has no domain.
    pub fn local(&self) -> Option<String> {
        let (mailbox, host) = (self.mailbox.as_deref()?, self.host.as_deref()?);
        (host == NO_DOMAIN && mailbox != NO_MAILBOX).then(|| String::from_utf8_lossy(mailbox).into_owned())
    }

    /// `local@domain`, unless it marks a group or lacks something.
    pub fn address(&self) -> Option<String> {
        let (mailbox, host) = (self.mailbox.as_deref()?, self.host.as_deref()?);
        if mailbox == NO_MAILBOX || host == NO_DOMAIN {
            return None;
        }
        Some(format!("{}@{}", String::from_utf8_lossy(mailbox), String::from_utf8_lossy(host)))
    }
}

const STOPS: &[u8] = b"<>:;,@";

fn read_addresses(value: &[u8], out: &mut Vec<EnvelopeAddress>, budget: &mut usize) {
    let mut cursor = Cursor::new(value);
    let mut in_group = false;
    loop {
        cursor.skip();
        match cursor.peek() {
            None => break,
            Some(_) if *budget == 0 => break,
            Some(b',') => cursor.bump(),
            Some(b';') => {
                cursor.bump();
                if std::mem::take(&mut in_group) {
                    out.push(EnvelopeAddress::default());
                }
            }
            Some(_) => {
                *budget -= 1;
                in_group |= read_one(&mut cursor, out, in_group);
            }
        }
    }
    if in_group {
        out.push(EnvelopeAddress::default());
    }
}

/// Reads an address or the beginning of a group; whether it was the latter.
fn read_one(cursor: &mut Cursor<'_>, out: &mut Vec<EnvelopeAddress>, in_group: bool) -> bool {
    cursor.comment = None;
    let words = words(cursor);
    match cursor.peek() {
        Some(b'<') => {
            cursor.bump();
            let mut address = angle(cursor);
            let name = join(&words, b" ");
            address.name = (!name.is_empty()).then(|| name.into());
            out.push(address);
            false
        }
        // A group within a group is not allowed (RFC 5322 §3.4): its colon is passed over.
        Some(b':') => {
            cursor.bump();
            let starts = !in_group && !words.is_empty();
            if starts {
                let mailbox = Some(join(&words, b" ").into());
                out.push(EnvelopeAddress { mailbox, ..EnvelopeAddress::default() });
            }
            starts
        }
        Some(b'@') => {
            cursor.bump();
            let host = domain(cursor);
            cursor.skip();
            let name = cursor.comment.take().filter(|name| !name.is_empty()).map(Into::into);
            out.push(EnvelopeAddress { name, ..spec(join(&words, b""), host) });
            false
        }
        Some(b'>') => {
            cursor.bump();
            false
        }
        _ => {
            let name = cursor.comment.take().filter(|name| !name.is_empty()).map(Into::into);
            if !words.is_empty() {
                out.push(EnvelopeAddress { name, ..spec(join(&words, b" "), Vec::new()) });
            }
            false
        }
    }
}

/// Atoms and quoted strings up to a special.
fn words(cursor: &mut Cursor<'_>) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    while let Some(word) = cursor.word(STOPS) {
        words.push(word);
    }
    words
}

fn join(words: &[Vec<u8>], between: &[u8]) -> Vec<u8> {
    words.join(between)
}

/// What stands after `<`, up to and with `>`.
fn angle(cursor: &mut Cursor<'_>) -> EnvelopeAddress {
    let mut route = Vec::new();
    cursor.skip();
    // RFC 5322 §4.4 `obs-route`: @one,@two:
    while matches!(cursor.peek(), Some(b'@' | b',')) {
        if cursor.take(b'@') {
            if !route.is_empty() {
                route.push(b',');
            }
            route.push(b'@');
            route.extend(domain(cursor));
        } else {
            cursor.bump();
        }
        cursor.skip();
    }
    if !route.is_empty() {
        cursor.take(b':');
    }
    let local = join(&words(cursor), b"");
    let host = if cursor.take(b'@') { domain(cursor) } else { Vec::new() };
    // Whatever else is within the brackets is no part of the address.
    while cursor.peek().is_some_and(|b| !matches!(b, b'>' | b',' | b';')) {
        cursor.bump();
    }
    cursor.take(b'>');
    EnvelopeAddress { route: (!route.is_empty()).then(|| route.into()), ..spec(local, host) }
}

fn spec(local: Vec<u8>, host: Vec<u8>) -> EnvelopeAddress {
    let or = |bytes: Vec<u8>, absent: &[u8]| Some(if bytes.is_empty() { absent.into() } else { bytes.into() });
    EnvelopeAddress { mailbox: or(local, NO_MAILBOX), host: or(host, NO_DOMAIN), ..EnvelopeAddress::default() }
}

/// A domain or address literal, comments and spaces around the dots left out.
fn domain(cursor: &mut Cursor<'_>) -> Vec<u8> {
    let mut host = Vec::new();
    loop {
        cursor.skip();
        if cursor.peek() == Some(b'[') {
            // An IPv6 literal has colons.
            host.extend_from_slice(cursor.run(b"]<>,;"));
            if cursor.take(b']') {
                host.push(b']');
            }
            return host;
        }
        let run = cursor.run(STOPS);
        let goes_on = run.starts_with(b".") || host.is_empty() || host.ends_with(b".");
        if run.is_empty() || !goes_on {
            return host;
        }
        host.extend_from_slice(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn show(value: &str) -> String {
        let part = |raw: &Option<Raw>| raw.as_ref().map_or("-".into(), |r| String::from_utf8_lossy(r).into_owned());
        let shown: Vec<_> = addresses(value.as_bytes())
            .iter()
            .map(|a| [&a.name, &a.route, &a.mailbox, &a.host].map(part).join("|"))
            .collect();
        shown.join(" ; ")
    }

    #[test]
    fn address_lists() {
        assert_eq!(show("a@b"), "-|-|a|b");
        assert_eq!(show("Terry Gray <gray@cac.washington.edu>"), "Terry Gray|-|gray|cac.washington.edu");
        assert_eq!(show("\"Gray, T.\" <g@c> , x@y (Old (nested) Style)"), "Gray, T.|-|g|c ; Old (nested) Style|-|x|y");
        assert_eq!(show("=?utf-8?q?J=C3=BC?= <j@x>"), "=?utf-8?q?J=C3=BC?=|-|j|x");
        assert_eq!(show("A Group: a@b, C <c@d>; e@f"), "-|-|A Group|- ; -|-|a|b ; C|-|c|d ; -|-|-|- ; -|-|e|f");
        assert_eq!(show("undisclosed-recipients:;"), "-|-|undisclosed-recipients|- ; -|-|-|-");
        assert_eq!(show("<@a,@b:c@d>"), "-|@a,@b|c|d");
        assert_eq!(show("root"), "-|-|root|MISSING_DOMAIN");
        assert_eq!(show("<>"), "-|-|MISSING_MAILBOX|MISSING_DOMAIN");
        assert_eq!(show("\"a b\"@[IPv6:::1]"), "-|-|a b|[IPv6:::1]");
        assert_eq!(show("a . b @ c . d"), "-|-|a.b|c.d");
        assert_eq!(show("J. Random <j@x>, two\r\n three <t@x"), "J. Random|-|j|x ; two three|-|t|x");
        assert_eq!(show(" , ; "), "");
    }

    #[test]
    fn sender_and_reply_to_default_to_from() {
        let header = Header::of(b"From: a@b\r\nSender: \r\nSubject:  x\r\n y\r\n\r\n");
        let envelope = Envelope::of(&header);
        assert_eq!(envelope.sender, envelope.from);
        assert_eq!(envelope.reply_to, envelope.from);
        assert_eq!(envelope.subject.as_deref(), Some(&b"x y"[..]));
        assert_eq!(envelope.date, None);
    }

    #[test]
    fn address_lists_are_bounded() {
        let value = "a,".repeat(limits::ENVELOPE_ADDRESSES * 2);
        assert_eq!(addresses(value.as_bytes()).len(), limits::ENVELOPE_ADDRESSES);
    }

    proptest! {
        #[test]
        fn always_ends(value in "([a-z<>:;,@.\"( )\\\\\\[\\]]|\r\n|\u{e4}){0,40}") {
            let _ = addresses(value.as_bytes());
        }

        #[test]
        fn plain_addresses_are_read_exactly(local in "[a-z]{1,8}", host in "[a-z]{1,8}(\\.[a-z]{1,3}){0,2}", name in "[A-Z][a-z]{0,8}") {
            prop_assert_eq!(show(&format!("{name} <{local}@{host}>, {local}@{host}")),
                format!("{name}|-|{local}|{host} ; -|-|{local}|{host}"));
        }
    }
}
