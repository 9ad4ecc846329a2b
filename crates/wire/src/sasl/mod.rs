//! Log-ins (SASL, RFC 4422) from both sides: PLAIN, LOGIN, SCRAM-SHA-256 and SCRAM-SHA-256-PLUS.
//!
//! **Does:** carries the exchange as values that are consumed step by step: [`server::Exchange`] and
//! [`client::Exchange`].
//!
//! **Does not:** know a password or draw a nonce: both are passed in. How a challenge is wrapped (334, `+`)
//! is the protocol's; base64 is here, since all three use the same.
//!
//! **Data**: decoded challenges and responses, in and out.

pub mod client;
mod plain;
pub mod scram;
pub mod server;
#[cfg(test)]
mod tests;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The mechanisms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login: never standardised, but the only one that some clients know.
    Login,
    /// RFC 7677.
    ScramSha256,
    /// RFC 7677 with channel binding (RFC 5802 §6): who sits in between is found out.
    ScramSha256Plus,
}

impl Mechanism {
    /// As it is called in AUTH.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
        }
    }

    /// Whether it needs kept SCRAM keys.
    pub const fn is_scram(self) -> bool {
        matches!(self, Self::ScramSha256 | Self::ScramSha256Plus)
    }

    /// By its name in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Plain, Self::Login, Self::ScramSha256, Self::ScramSha256Plus];
        all.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    /// What a server offers, the best first; `-PLUS` only where there is something to bind to.
    pub fn offered(binding: &ChannelBinding) -> Vec<Self> {
        let mut offered = vec![Self::ScramSha256Plus, Self::ScramSha256, Self::Plain, Self::Login];
        if !binding.is_available() {
            offered.remove(0);
        }
        offered
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What TLS gives to bind a log-in to (RFC 5929, RFC 9266). Both empty: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelBinding {
    /// `tls-exporter` (RFC 9266): 32 octets.
    pub tls_exporter: Option<Vec<u8>>,
    /// `tls-server-end-point` (RFC 5929 §4): the hash of the server's certificate.
    pub tls_server_end_point: Option<Vec<u8>>,
}

impl ChannelBinding {
    /// Whether there is anything to bind to.
    pub const fn is_available(&self) -> bool {
        self.tls_exporter.is_some() || self.tls_server_end_point.is_some()
    }

    /// The data of a binding by its name, as `cb-name` gives it.
    pub fn data(&self, name: &str) -> Option<&[u8]> {
        match name {
            "tls-exporter" => self.tls_exporter.as_deref(),
            "tls-server-end-point" => self.tls_server_end_point.as_deref(),
            _ => None,
        }
    }

    /// The best that there is, with its name (RFC 9266 §4: `tls-exporter` is the default).
    pub fn best(&self) -> Option<(&'static str, &[u8])> {
        let exporter = self.tls_exporter.as_deref().map(|data| ("tls-exporter", data));
        exporter.or_else(|| self.tls_server_end_point.as_deref().map(|data| ("tls-server-end-point", data)))
    }
}

/// A password on its way to the check. `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// A password.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text: for the check, and for nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Why an exchange ended without a log-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The other side does not keep to the mechanism: 501 5.5.2, BAD.
    Malformed(&'static str),
    /// The proof is wrong, or there are no keys: 535 5.7.8, NO [AUTHENTICATIONFAILED].
    Rejected,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => f.write_str(why),
            Self::Rejected => f.write_str("the name or the password is wrong"),
        }
    }
}

impl std::error::Error for Failure {}

/// A name or password as it is compared (RFC 4013 SASLprep). What SASLprep forbids stays as it is: it was
/// allowed when the password was set by another program, and comparing bytes does no harm.
pub fn prepare(text: &str) -> String {
    stringprep::saslprep(text).map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}

/// Base64 as AUTH lines carry it (RFC 4648 §4, padded).
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A response line from base64.
pub fn decode(text: &[u8]) -> Result<Vec<u8>, Failure> {
    STANDARD.decode(text).map_err(|_| Failure::Malformed("not base64"))
}

/// An initial response from its place in the command, where `=` stands for an empty one (RFC 4954 §4, RFC 4959 §3).
pub fn decode_initial(text: &[u8]) -> Result<Vec<u8>, Failure> {
    if text == b"=" { Ok(Vec::new()) } else { decode(text) }
}
