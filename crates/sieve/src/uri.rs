//! `mailto:` (RFC 5436 §2.2), and what percent signs stand for.

use mail::{Address, limits};

/// Where a notice goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mailto {
    /// To whom.
    pub to: Vec<Address>,
    /// What it is called.
    pub subject: Option<String>,
    /// What it says, where the script says nothing.
    pub body: Option<String>,
}

impl Mailto {
    /// A URI with at least one address. Other fields that it asks for are passed over: nobody's script writes Bcc or Received
    /// into our letters (RFC 5436 §2.3).
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(uri: &str) -> Result<Self, String> {
        let (scheme, rest) = uri.split_once(':').unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("mailto") {
            return Err(format!("“{uri}” is no mailto: URI, the only way to notify here"));
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut mailto = Self::default();
        mailto.add(path)?;
        for field in query.split('&').filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            match name.to_ascii_lowercase().as_str() {
                "to" | "cc" => mailto.add(value)?,
                "subject" => mailto.subject = Some(decode(value)?.replace(['\r', '\n'], " ")),
                "body" => mailto.body = Some(decode(value)?),
                _ => {}
            }
        }
        match mailto.to.len() {
            0 => Err(format!("“{uri}” names nobody")),
            n if n > limits::SIEVE_NOTIFY_RECIPIENTS => {
                Err(format!("“{uri}” names more than {} people", limits::SIEVE_NOTIFY_RECIPIENTS))
            }
            _ => Ok(mailto),
        }
    }

    fn add(&mut self, list: &str) -> Result<(), String> {
        for one in list.split(',').filter(|one| !one.is_empty()) {
            let text = decode(one)?;
            let address = wire::address::mailbox(text.trim());
            self.to.push(address.map_err(|why| format!("“{text}” is no address: {why}"))?);
        }
        Ok(())
    }
}

fn decode(text: &str) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        match (digit(), digit()) {
            (Some(high), Some(low)) => out.push(high * 16 + low),
            _ => return Err(format!("a percent sign in “{text}” is not followed by two hexadecimal digits")),
        }
    }
    String::from_utf8(out).map_err(|_| format!("“{text}” is not UTF-8"))
}

/// `:encodeurl` (RFC 5435 §6): all but letters, digits, `-`, `.`, `_` and `~`.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailto() {
        let mailto =
            Mailto::parse("mailto:a@x.example,b%2Bc@x.example?subject=a%20b&bcc=evil@x&to=d@x.example").unwrap();
        let to: Vec<String> = mailto.to.iter().map(ToString::to_string).collect();
        assert_eq!(to, ["a@x.example", "b+c@x.example", "d@x.example"]);
        assert_eq!(mailto.subject.as_deref(), Some("a b"));
        for bad in ["mailto:", "xmpp:a@x", "mailto:a", "mailto:a%4@x", "mailto:a%ff@x", ""] {
            assert!(Mailto::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(encode("a b/ü"), "a%20b%2F%C3%BC");
    }

    /// `SIEVE_NOTIFY_RECIPIENTS`: so many, and one more.
    #[test]
    fn recipients_are_bounded() {
        let uri = |n: usize| format!("mailto:{}", vec!["a@x.example"; n].join(","));
        assert!(Mailto::parse(&uri(limits::SIEVE_NOTIFY_RECIPIENTS)).is_ok());
        assert!(Mailto::parse(&uri(limits::SIEVE_NOTIFY_RECIPIENTS + 1)).is_err());
    }
}
