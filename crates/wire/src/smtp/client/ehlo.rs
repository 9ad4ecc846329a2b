//! What a server offers (RFC 5321 §4.1.1.1), and the commands that follow from it.

use mail::{BodyType, DsnReturn, Notify, Recipient, ReversePath};

/// The extensions of a server, from its answer to EHLO. Without EHLO: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// BINARYMIME (RFC 3030).
    pub binary_mime: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// SIZE is offered (RFC 1870).
    pub size: bool,
    /// The largest message; none where the server names no bound (absent or 0).
    pub size_limit: Option<u64>,
    /// AUTH's mechanisms in upper case (RFC 4954).
    pub auth: Vec<String>,
}

impl Capabilities {
    /// Reads the text of a 250 to EHLO: the first line is the server's name, each other a keyword with
    /// parameters.
    pub fn from_text(text: &str) -> Self {
        let mut offers = Self::default();
        for line in text.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let Some(keyword) = words.next().map(str::to_ascii_uppercase) else { continue };
            match keyword.as_str() {
                "PIPELINING" => offers.pipelining = true,
                "8BITMIME" => offers.eight_bit_mime = true,
                "SMTPUTF8" => offers.smtputf8 = true,
                "CHUNKING" => offers.chunking = true,
                "BINARYMIME" => offers.binary_mime = true,
                "DSN" => offers.dsn = true,
                "STARTTLS" => offers.starttls = true,
                "SIZE" => {
                    offers.size = true;
                    // RFC 1870 §3: 0 says that there is no fixed bound.
                    offers.size_limit = words.next().and_then(|n| n.parse().ok()).filter(|limit| *limit > 0);
                }
                "AUTH" => offers.auth.extend(words.map(str::to_ascii_uppercase)),
                // Quirk `AuthEquals`: old servers write `AUTH=LOGIN` for old clients.
                _ => {
                    if let Some(first) = keyword.strip_prefix("AUTH=") {
                        offers.auth.push(first.to_owned());
                        offers.auth.extend(words.map(str::to_ascii_uppercase));
                    }
                }
            }
        }
        offers
    }
}

/// A message to send: its envelope and what must be known of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// MAIL FROM.
    pub sender: ReversePath,
    /// RCPT TO; not empty.
    pub recipients: Vec<Recipient>,
    /// Octets of the message as given to [`super::Client::body`]; must be exact.
    pub size: u64,
    /// What the body contains.
    pub body: BodyType,
    /// Addresses or header fields are not ASCII: only a server with SMTPUTF8 may get it (RFC 6531 §3.6).
    pub utf8: bool,
    /// RET= (RFC 3461 §4.3).
    pub dsn_return: Option<DsnReturn>,
    /// ENVID=, decoded (RFC 3461 §4.4).
    pub envelope_id: Option<String>,
}

/// Writes MAIL with the parameters that the server understands.
pub(super) fn mail(out: &mut Vec<u8>, transaction: &Transaction, offers: &Capabilities) {
    let mut line = format!("MAIL FROM:{}", transaction.sender);
    if offers.size {
        line += &format!(" SIZE={}", transaction.size);
    }
    match transaction.body {
        BodyType::BinaryMime => line += " BODY=BINARYMIME",
        BodyType::EightBitMime if offers.eight_bit_mime => line += " BODY=8BITMIME",
        // Quirk `JustSendEight`: RFC 6152 §3 wants a conversion or a bounce where 8BITMIME is not offered.
        // Servers without it pass 8-bit bytes on all the same; bouncing would lose mail that arrives today,
        // and converting would break signatures.
        BodyType::EightBitMime | BodyType::SevenBit => {}
    }
    if transaction.utf8 {
        line += " SMTPUTF8";
    }
    if offers.dsn {
        match transaction.dsn_return {
            Some(DsnReturn::Full) => line += " RET=FULL",
            Some(DsnReturn::Headers) => line += " RET=HDRS",
            None => {}
        }
        if let Some(id) = &transaction.envelope_id {
            line += " ENVID=";
            xtext(&mut line, id);
        }
    }
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes RCPT with the parameters that the server understands.
pub(super) fn rcpt(out: &mut Vec<u8>, recipient: &Recipient, offers: &Capabilities) {
    let mut line = format!("RCPT TO:<{}>", recipient.address);
    if offers.dsn {
        if recipient.notify.given {
            line += " NOTIFY=";
            line += &notify(recipient.notify);
        }
        if let Some((kind, address)) = recipient.original.as_deref().and_then(|text| text.split_once(';')) {
            if kind.eq_ignore_ascii_case("utf-8") {
                line += &format!(" ORCPT={kind};");
                utf8_xtext(&mut line, address);
            } else if kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && address.is_ascii() {
                line += &format!(" ORCPT={kind};");
                xtext(&mut line, address);
            }
        }
    }
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn notify(notify: Notify) -> String {
    let wanted = [("SUCCESS", notify.success), ("FAILURE", notify.failure), ("DELAY", notify.delay)];
    let wanted: Vec<&str> = wanted.into_iter().filter_map(|(word, on)| on.then_some(word)).collect();
    if wanted.is_empty() { "NEVER".to_owned() } else { wanted.join(",") }
}

/// `xtext` (RFC 3461 §4): all but printable ASCII, and `+` and `=`, as `+` and two hexadecimal digits.
pub fn xtext(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'+' | b'=' | 0..=32 | 127.. => *out += &format!("+{byte:02X}"),
            _ => out.push(char::from(byte)),
        }
    }
}

/// `utf-8-addr-xtext` (RFC 6533 §3): the same with `\x{…}` and code points; 7-bit, so it passes everywhere.
fn utf8_xtext(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '+' | '=' | '\\' | '\0'..=' ' | '\x7f'.. => *out += &format!("\\x{{{:02X}}}", u32::from(c)),
            _ => out.push(c),
        }
    }
}
