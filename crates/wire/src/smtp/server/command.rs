//! Command lines, read.

use mail::{InvalidAddress, ReversePath};

use crate::address::{self, ForwardPath};

/// A command with what follows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Ehlo(&'a [u8]),
    Helo(&'a [u8]),
    Lhlo(&'a [u8]),
    /// The path and its parameters.
    Mail(ReversePath, &'a [u8]),
    Rcpt(ForwardPath, &'a [u8]),
    Data,
    Bdat {
        size: u64,
        last: bool,
    },
    Burl {
        url: &'a [u8],
        last: bool,
    },
    Rset,
    Noop,
    Quit,
    Vrfy,
    Expn,
    Help,
    StartTls,
    Auth {
        mechanism: &'a [u8],
        initial: Option<&'a [u8]>,
    },
    /// Another protocol's: who sends it here was tricked into it.
    Http,
    Unknown,
    /// The command is known, and what follows is wrong.
    Syntax(&'static str),
    /// The sender's address is wrong.
    BadSender(InvalidAddress),
    /// The recipient's address is wrong.
    BadRecipient(InvalidAddress),
}

impl<'a> Command<'a> {
    pub(super) fn read(line: &'a [u8]) -> Self {
        // Trailing white space is common, and means nothing (RFC 5321 §4.1.1: servers SHOULD tolerate it).
        let line = line.trim_ascii_end();
        let end = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
        let (verb, rest) = (&line[..end], line[end..].trim_ascii_start());
        let alone = |command| if rest.is_empty() { command } else { Self::Syntax("this command has no parameters") };
        match verb.to_ascii_uppercase().as_slice() {
            b"EHLO" => Self::hello(rest, true),
            b"HELO" => Self::hello(rest, false),
            b"LHLO" => match Self::hello(rest, true) {
                Self::Ehlo(name) => Self::Lhlo(name),
                wrong => wrong,
            },
            b"MAIL" => Self::mail(rest),
            b"RCPT" => Self::rcpt(rest),
            b"DATA" => alone(Self::Data),
            b"BDAT" => Self::bdat(rest),
            b"BURL" => Self::burl(rest),
            b"RSET" => alone(Self::Rset),
            // RFC 5321 §4.1.1.9: a parameter is ignored.
            b"NOOP" => Self::Noop,
            b"QUIT" => alone(Self::Quit),
            b"VRFY" if rest.is_empty() => Self::Syntax("VRFY needs a name"),
            b"VRFY" => Self::Vrfy,
            b"EXPN" => Self::Expn,
            b"HELP" => Self::Help,
            b"STARTTLS" => alone(Self::StartTls),
            b"AUTH" => Self::auth(rest),
            b"GET" | b"POST" | b"PUT" | b"CONNECT" | b"OPTIONS" => Self::Http,
            _ => Self::Unknown,
        }
    }

    /// RFC 5321 §4.1.1.1 wants a domain or address literal; §4.1.4 forbids to refuse mail for a wrong one. So any
    /// printable word goes.
    fn hello(name: &'a [u8], extended: bool) -> Self {
        match name {
            [] => Self::Syntax("a host name is missing"),
            name if name.len() > 255 || !name.iter().all(u8::is_ascii_graphic) => Self::Syntax("that is no host name"),
            name if extended => Self::Ehlo(name),
            name => Self::Helo(name),
        }
    }

    /// What follows `FROM:` or `TO:`. Quirk: a space after the colon, as many scripts and old clients send it.
    fn after(rest: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
        let (front, path) = rest.split_at_checked(word.len())?;
        front.eq_ignore_ascii_case(word).then(|| path.trim_ascii_start())
    }

    fn mail(rest: &'a [u8]) -> Self {
        let Some(path) = Self::after(rest, b"FROM:") else { return Self::Syntax("MAIL FROM:<address> is the form") };
        match address::reverse_path(path) {
            Ok((path, parameters)) => Self::with_parameters(parameters, |parameters| Self::Mail(path, parameters)),
            Err(why) => Self::BadSender(why),
        }
    }

    fn rcpt(rest: &'a [u8]) -> Self {
        let Some(path) = Self::after(rest, b"TO:") else { return Self::Syntax("RCPT TO:<address> is the form") };
        match address::forward_path(path) {
            Ok((path, parameters)) => Self::with_parameters(parameters, |parameters| Self::Rcpt(path, parameters)),
            Err(why) => Self::BadRecipient(why),
        }
    }

    fn with_parameters(parameters: &'a [u8], command: impl FnOnce(&'a [u8]) -> Self) -> Self {
        match parameters {
            [] => command(b""),
            [b' ', parameters @ ..] => command(parameters),
            _ => Self::Syntax("a space stands between address and parameters"),
        }
    }

    /// `BDAT SP chunk-size [SP "LAST"]` (RFC 3030 §2).
    fn bdat(rest: &'a [u8]) -> Self {
        let mut words = rest.split(|b| *b == b' ').filter(|word| !word.is_empty());
        let size = words.next().filter(|word| word.len() <= 18 && word.iter().all(u8::is_ascii_digit));
        let last = words.next();
        match (size, last, words.next()) {
            (Some(size), last, None) if last.is_none_or(|last| last.eq_ignore_ascii_case(b"LAST")) => {
                let size = size.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0'));
                Self::Bdat { size, last: last.is_some() }
            }
            _ => Self::Syntax("BDAT size [LAST] is the form"),
        }
    }

    /// `burl-cmd = "BURL" SP absolute-URI [SP end-marker]`, `end-marker = "LAST"` (RFC 4468 §4).
    fn burl(rest: &'a [u8]) -> Self {
        let mut words = rest.split(|b| *b == b' ').filter(|word| !word.is_empty());
        match (words.next(), words.next(), words.next()) {
            (Some(url), last, None) if last.is_none_or(|last| last.eq_ignore_ascii_case(b"LAST")) => {
                Self::Burl { url, last: last.is_some() }
            }
            _ => Self::Syntax("BURL url [LAST] is the form"),
        }
    }

    /// `AUTH SP mechanism [SP initial-response]` (RFC 4954 §4).
    fn auth(rest: &'a [u8]) -> Self {
        let mut words = rest.split(|b| *b == b' ');
        match (words.next(), words.next(), words.next()) {
            (Some(mechanism), initial, None) if !mechanism.is_empty() => Self::Auth { mechanism, initial },
            _ => Self::Syntax("AUTH mechanism [response] is the form"),
        }
    }
}
