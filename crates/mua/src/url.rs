//! Where the server is and how it is talked to: `imaps://mail.example.org:993`.

use std::fmt;
use std::str::FromStr;

use crate::MuaError;

/// Which conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Sending.
    Smtp,
    /// Reading, with mailboxes on the server.
    Imap,
    /// Reading, the INBOX only.
    Pop3,
}

/// A server and how to reach it. The scheme says all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    /// Which conversation.
    pub protocol: Protocol,
    /// TLS from the first byte; else STARTTLS (STLS) before anything secret.
    pub implicit_tls: bool,
    /// Name or address; the certificate must name it.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Scheme, protocol, implicit TLS, port.
const SCHEMES: [(&str, Protocol, bool, u16); 6] = [
    ("smtp", Protocol::Smtp, false, 587),
    ("smtps", Protocol::Smtp, true, 465),
    ("imap", Protocol::Imap, false, 143),
    ("imaps", Protocol::Imap, true, 993),
    ("pop3", Protocol::Pop3, false, 110),
    ("pop3s", Protocol::Pop3, true, 995),
];

impl FromStr for ServerUrl {
    type Err = MuaError;

    fn from_str(url: &str) -> Result<Self, MuaError> {
        let wrong = |why: &str| {
            MuaError::new(format!("{url} is no server address ({why}): write for example imaps://mail.example.org"))
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("no scheme"))?;
        let (_, protocol, implicit_tls, default_port) = SCHEMES
            .into_iter()
            .find(|(name, ..)| scheme.eq_ignore_ascii_case(name))
            .ok_or_else(|| wrong("the scheme is one of smtp, smtps, imap, imaps, pop3, pop3s"))?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '@', '?', '#']) {
            return Err(wrong("only a host and a port follow the scheme; the user is given by --user"));
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(literal) => {
                let (host, after) = literal.split_once(']').ok_or_else(|| wrong("no ] after the address"))?;
                (host, after.strip_prefix(':'))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() {
            return Err(wrong("no host"));
        }
        let port = match port {
            None => default_port,
            Some(port) => port.parse().map_err(|_| wrong("the port is a number up to 65535"))?,
        };
        Ok(Self { protocol, implicit_tls, host: host.to_owned(), port })
    }
}

/// `host:port`, for messages.
impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_says_all() {
        let url: ServerUrl = "imaps://mail.example.org".parse().unwrap();
        assert_eq!((url.protocol, url.implicit_tls, url.port), (Protocol::Imap, true, 993));
        let url: ServerUrl = "SMTP://[::1]:42587/".parse().unwrap();
        assert_eq!((url.protocol, url.implicit_tls, url.to_string()), (Protocol::Smtp, false, "[::1]:42587".into()));
        for bad in ["mail.example.org", "http://x", "imap://", "imap://x:99999", "imap://a@x", "pop3://[::1"] {
            assert!(bad.parse::<ServerUrl>().is_err(), "{bad}");
        }
    }
}
