//! Mail addresses as values. Wire syntax is read by `wire::address`.

use std::fmt;
use std::net::IpAddr;

use crate::limits;

/// The text is no address or domain, with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidAddress(pub &'static str);

impl fmt::Display for InvalidAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidAddress {}

/// A mail domain in its one canonical form: a lower-case DNS name of A-labels without a final dot
/// (`xn--bcher-kva.example`), or an address literal (`[192.0.2.1]`, `[IPv6:2001:db8::1]`).
/// U-labels are converted by `wire::address` (IDNA 2008).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Box<str>);

impl Domain {
    /// A DNS name in ASCII: letters, digits, hyphens and (as found in the wild) underscores; labels of
    /// 1–63 octets, at most 253 in all (RFC 1035 §2.3.4, RFC 5321 §4.5.3.1.2).
    pub fn from_ascii(name: &str) -> Result<Self, InvalidAddress> {
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() || name.len() > limits::DOMAIN_LEN {
            return Err(InvalidAddress("a domain has 1 to 253 characters"));
        }
        for label in name.split('.') {
            let ok = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            if label.is_empty() || label.len() > 63 || !label.bytes().all(ok) {
                return Err(InvalidAddress("a domain is made of labels of 1 to 63 letters, digits and hyphens"));
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(InvalidAddress("a label of a domain neither begins nor ends with a hyphen"));
            }
        }
        Ok(Self(name.to_ascii_lowercase().into()))
    }

    /// An address literal (RFC 5321 §4.1.3).
    pub fn literal(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self(format!("[{ip}]").into()),
            IpAddr::V6(ip) => Self(format!("[IPv6:{ip}]").into()),
        }
    }

    /// The address of an address literal.
    pub fn as_ip(&self) -> Option<IpAddr> {
        let inner = self.0.strip_prefix('[')?.strip_suffix(']')?;
        inner.strip_prefix("IPv6:").unwrap_or(inner).parse().ok()
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A mailbox address: local part and domain (RFC 5321 §4.1.2 `Mailbox`).
///
/// The local part is its meaning, without quotes and backslashes, in the case that was written;
/// it may be UTF-8 (RFC 6531). Equality is exact: whether `Bob` and `bob` are one person is for the
/// receiving system to say (here: yes; see [`Address::folded`]).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    local: Box<str>,
    domain: Domain,
}

impl Address {
    /// From parts; the local part unquoted. Control characters are refused (RFC 5321 §4.1.2 `qtextSMTP`).
    pub fn new(local: &str, domain: Domain) -> Result<Self, InvalidAddress> {
        if local.is_empty() || local.len() > limits::LOCAL_PART_LEN {
            return Err(InvalidAddress("the part before the @ has 1 to 64 octets"));
        }
        if local.chars().any(char::is_control) {
            return Err(InvalidAddress("the part before the @ has a control character"));
        }
        Ok(Self { local: local.into(), domain })
    }

    /// The local part, unquoted.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The form under which local accounts and aliases are kept and looked up: local part in lower case.
    #[must_use]
    pub fn folded(&self) -> Self {
        Self { local: self.local.to_lowercase().into(), domain: self.domain.clone() }
    }

    /// The address without its detail: `alice+shop@x` → `alice@x` (RFC 5233 sub-addressing). `None` without one.
    pub fn without_detail(&self, separator: char) -> Option<Self> {
        let (user, _) = self.local.split_once(separator)?;
        (!user.is_empty()).then(|| Self { local: user.into(), domain: self.domain.clone() })
    }

    /// The local part under which a domain's alias stands: of all that nobody else has there.
    pub const EVERY: &str = "*";

    /// Whether it stands for every address of its domain.
    pub fn is_every(&self) -> bool {
        self.local() == Self::EVERY
    }

    /// The same local part in another domain.
    #[must_use]
    pub fn at(&self, domain: &Domain) -> Self {
        Self { local: self.local.clone(), domain: domain.clone() }
    }

    /// Whether an operator's `name` means it: the address itself, or its domain, with or without `@` before it; in any
    /// case, since he looks for people.
    pub fn is_meant_by(&self, name: &str) -> bool {
        match name.strip_prefix('@').or_else(|| (!name.contains('@')).then_some(name)) {
            Some(domain) => self.domain.as_str().eq_ignore_ascii_case(domain),
            None => self.to_string().to_lowercase() == name.to_lowercase(),
        }
    }

    /// Whether SMTPUTF8 is needed to send to it (RFC 6531 §3.2): the local part is not ASCII.
    pub fn needs_utf8(&self) -> bool {
        !self.local.is_ascii()
    }
}

/// As in SMTP: quoted where it must be (RFC 5321 §4.1.2: a dot-string needs none).
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let atext = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii();
        if self.local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(atext)) {
            f.write_str(&self.local)?;
        } else {
            f.write_str("\"")?;
            for c in self.local.chars() {
                if c == '"' || c == '\\' {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            f.write_str("\"")?;
        }
        write!(f, "@{}", self.domain)
    }
}

/// MAIL FROM: an address, or nobody (`<>`, for reports: RFC 5321 §4.5.5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: never answer, never bounce.
    Null,
    /// Where failures are reported.
    Address(Address),
}

impl ReversePath {
    /// The address, if there is one.
    pub const fn address(&self) -> Option<&Address> {
        match self {
            Self::Null => None,
            Self::Address(address) => Some(address),
        }
    }
}

/// With angle brackets.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Address(address) => write!(f, "<{address}>"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(local: &str) -> String {
        Address::new(local, Domain::from_ascii("Example.ORG.").unwrap()).unwrap().to_string()
    }

    #[test]
    fn domains_have_one_form() {
        assert_eq!(Domain::from_ascii("Example.ORG.").unwrap().as_str(), "example.org");
        for bad in ["", ".", "a..b", "-a.b", "a-.b", "a b", "ü.example", &"a".repeat(64), &"a.".repeat(128)] {
            assert!(Domain::from_ascii(bad).is_err(), "{bad}");
        }
        let ip = "2001:db8::1".parse().unwrap();
        assert_eq!(Domain::literal(ip).as_ip(), Some(ip));
    }

    #[test]
    fn local_parts_are_quoted_only_where_they_must_be() {
        assert_eq!(address("a.b+c"), "a.b+c@example.org");
        assert_eq!(address("a b"), "\"a b\"@example.org");
        assert_eq!(address(".a"), "\".a\"@example.org");
        assert_eq!(address("a\"\\"), "\"a\\\"\\\\\"@example.org");
        assert_eq!(address("jürgen"), "jürgen@example.org");
        assert!(Address::new("a\r\nb", Domain::from_ascii("x").unwrap()).is_err());
    }

    /// `LOCAL_PART_LEN` and `DOMAIN_LEN`: at the limit and one above.
    #[test]
    fn lengths_are_bounded() {
        let long = format!("{0}.{0}.{0}.{1}", "d".repeat(63), "d".repeat(61));
        assert_eq!(Domain::from_ascii(&long).unwrap().as_str().len(), limits::DOMAIN_LEN);
        assert!(Domain::from_ascii(&format!("{long}d")).is_err());
        let local = |length: usize| Address::new(&"l".repeat(length), Domain::from_ascii("x").unwrap());
        assert!(local(limits::LOCAL_PART_LEN).is_ok() && local(limits::LOCAL_PART_LEN + 1).is_err());
    }

    #[test]
    fn names_mean_addresses_and_domains() {
        let address = Address::new("Bob", Domain::from_ascii("blue.example").unwrap()).unwrap();
        for name in ["bob@blue.example", "BOB@BLUE.EXAMPLE", "@blue.example", "blue.example", "Blue.Example"] {
            assert!(address.is_meant_by(name), "{name}");
        }
        for name in ["bo@blue.example", "@example", "example", "b@blue.example", "", "<>"] {
            assert!(!address.is_meant_by(name), "{name}");
        }
    }
}
