//! The way of a message before it came here, as its Received fields tell it (RFC 5321 §4.4), and what a server noted of
//! its authentication (RFC 8601).
//!
//! Everybody may write such fields: only what our own server put on top is known to be true.

use std::net::IpAddr;

use mail::limits;

use crate::date::{self, DateTime};
use crate::header::{Header, unfold};

/// One Received field. What it does not say, or not as the RFC has it, is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// What the client called itself.
    pub from: Option<String>,
    /// Its address, as the server saw it.
    pub address: Option<IpAddr>,
    /// The server.
    pub by: Option<String>,
    /// `ESMTPS` and the like (RFC 3848).
    pub with: Option<String>,
    /// The server's name for the message.
    pub id: Option<String>,
    /// The recipient.
    pub recipient: Option<String>,
    /// `TLSv1.3`, where the field says so in any of the usual ways.
    pub tls: Option<String>,
    /// When.
    pub at: Option<DateTime>,
}

/// One result of an Authentication-Results field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// `spf`, `dkim`, `dmarc`, …
    pub method: String,
    /// `pass`, `fail`, …
    pub result: String,
    /// What was looked at: `header.d` and `example.org`.
    pub properties: Vec<(String, String)>,
}

/// The Received fields, the last hop first as they stand: at most `limits::RECEIVED_HOPS`.
pub fn hops(header: &Header<'_>) -> Vec<Hop> {
    header.all("Received").take(limits::RECEIVED_HOPS).map(|field| hop(field.raw_value())).collect()
}

/// The verdicts of the server that calls itself `server`, noted above the first Received field: there no-one before it can have
/// written anything. At most `limits::RECEIVED_HOPS`.
pub fn verdicts(header: &Header<'_>, server: &str) -> Vec<Verdict> {
    let ours = header.fields().take_while(|field| !field.is("Received"));
    let notes = ours.filter(|field| field.is("Authentication-Results"));
    notes.flat_map(|field| results(field.raw_value(), server)).take(limits::RECEIVED_HOPS).collect()
}

/// A piece of a field: a word, what stands in brackets `(…)`, or a semicolon.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Word(String),
    Comment(String),
    Semicolon,
}

/// Comments nest (RFC 5322 §3.2.2); quoted strings lose their quotes.
fn pieces(value: &[u8]) -> Vec<Piece> {
    let text = unfold(value);
    let text = String::from_utf8_lossy(&text[..text.len().min(limits::RECEIVED_LEN)]).into_owned();
    let mut pieces = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(next) = chars.next() {
        match next {
            c if c.is_whitespace() => {}
            ';' => pieces.push(Piece::Semicolon),
            '(' => {
                let (mut depth, mut comment) = (1, String::new());
                while let Some(c) = chars.next() {
                    match c {
                        '\\' => comment.extend(chars.next()),
                        '(' | ')' => {
                            if c == '(' {
                                depth += 1;
                            } else {
                                depth -= 1;
                            }
                            if depth == 0 {
                                break;
                            }
                            comment.push(c);
                        }
                        c => comment.push(c),
                    }
                }
                pieces.push(Piece::Comment(comment));
            }
            first => {
                let (mut word, mut quoted) = (String::new(), first == '"');
                if !quoted {
                    word.push(first);
                }
                while let Some(c) = chars.next_if(|c| quoted || !(c.is_whitespace() || matches!(c, ';' | '('))) {
                    match c {
                        '"' => quoted = !quoted,
                        '\\' if quoted => word.extend(chars.next()),
                        c => word.push(c),
                    }
                }
                pieces.push(Piece::Word(word));
            }
        }
    }
    pieces
}

/// `Time-stamp-line`: clauses that begin with a keyword, then a date.
fn hop(value: &[u8]) -> Hop {
    let mut hop = Hop::default();
    let value = unfold(value);
    // The date stands behind the last semicolon.
    let (clauses, at) = match value.iter().rposition(|b| *b == b';') {
        Some(place) => (&value[..place], date::parse(&value[place + 1..])),
        None => (&*value, None),
    };
    hop.at = at;
    let mut keyword = String::new();
    for piece in pieces(clauses) {
        match piece {
            Piece::Comment(comment) => {
                if keyword == "from" && hop.address.is_none() {
                    hop.address = address(&comment);
                }
                hop.tls = hop.tls.or_else(|| tls(&comment));
            }
            Piece::Semicolon => {}
            Piece::Word(word) => {
                let lower = word.to_ascii_lowercase();
                let place = match keyword.as_str() {
                    "from" if hop.from.is_none() => Some(&mut hop.from),
                    "by" if hop.by.is_none() => Some(&mut hop.by),
                    "with" if hop.with.is_none() => Some(&mut hop.with),
                    "id" if hop.id.is_none() => Some(&mut hop.id),
                    "for" if hop.recipient.is_none() => Some(&mut hop.recipient),
                    _ => None,
                };
                match place {
                    Some(place) => *place = Some(word.trim_matches(['<', '>']).to_owned()),
                    None if ["from", "by", "via", "with", "id", "for"].contains(&lower.as_str()) => keyword = lower,
                    None => {}
                }
            }
        }
    }
    // Quirk: some clients' hosts have no name but their address.
    hop.address = hop.address.or_else(|| hop.from.as_deref().and_then(address));
    hop
}

/// `name [192.0.2.1]`, `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3), or the address by itself.
fn address(text: &str) -> Option<IpAddr> {
    let inner = text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or(text, |(inner, _)| inner);
    let inner = inner.trim();
    inner.strip_prefix("IPv6:").or_else(|| inner.strip_prefix("ipv6:")).unwrap_or(inner).parse().ok()
}

/// `using TLSv1.3 with cipher …` (ours, Postfix, Gmail `version=TLS1_3`, Exim `TLS1.3`).
fn tls(comment: &str) -> Option<String> {
    let at = comment.find("TLS")?;
    let rest = comment[at + 3..].trim_start_matches('v');
    let version: String = rest.chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | '_')).collect();
    let version = version.replace('_', ".");
    let is_version = matches!(version.as_bytes(), [b'1'..=b'9'] | [b'1'..=b'9', b'.', b'0'..=b'9']);
    is_version.then(|| format!("TLSv{version}"))
}

/// RFC 8601 §2.2: `authserv-id; method=result property=value …; …`.
fn results(value: &[u8], server: &str) -> Vec<Verdict> {
    let pieces = pieces(value);
    let mut groups = pieces.split(|piece| *piece == Piece::Semicolon).map(|group| {
        group.iter().filter_map(|piece| match piece {
            Piece::Word(word) => Some(word.as_str()),
            _ => None,
        })
    });
    let is_ours = groups.next().and_then(|mut words| words.next()).is_some_and(|id| id.eq_ignore_ascii_case(server));
    if !is_ours {
        return Vec::new();
    }
    let verdict = |mut words: Box<dyn Iterator<Item = &str> + '_>| {
        let (method, result) = words.next()?.split_once('=')?;
        let property = |word: &str| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let properties = words.filter_map(property).collect();
        Some(Verdict { method: method.to_ascii_lowercase(), result: result.to_ascii_lowercase(), properties })
    };
    groups.filter_map(|words| verdict(Box::new(words))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn only(text: &str) -> Hop {
        hops(&Header::of(format!("Received: {text}\r\n\r\n").as_bytes())).remove(0)
    }

    /// RFC 5321 §4.4, as we, Postfix, Gmail, Exim and Exchange write it.
    #[test]
    fn what_servers_write_is_read() {
        let ours = only(
            "from mail.red.example ([127.0.0.1])\r\n\tby mail.blue.example with ESMTPS id 0sx4v2k9m0002\r\n\t\
             (using TLSv1.3 with cipher TLS13_AES_256_GCM_SHA384)\r\n\tfor <bob@blue.example>;\r\n\t\
             Wed, 18 Nov 2026 11:06:40 +0000",
        );
        assert_eq!(ours.from.as_deref(), Some("mail.red.example"));
        assert_eq!(ours.address, Some([127, 0, 0, 1].into()));
        assert_eq!(ours.by.as_deref(), Some("mail.blue.example"));
        assert_eq!((ours.with.as_deref(), ours.id.as_deref()), (Some("ESMTPS"), Some("0sx4v2k9m0002")));
        assert_eq!((ours.tls.as_deref(), ours.recipient.as_deref()), (Some("TLSv1.3"), Some("bob@blue.example")));
        assert_eq!(ours.at.map(|at| at.timestamp.secs()), Some(1_795_000_000));
        let postfix = only(
            "from a.example (b.example [IPv6:2001:db8::7])\r\n\t(using TLSv1.2 with cipher X (256/256 bits)\r\n\t\
             (Client did not present a certificate; by design))\r\n\tby c.example (Postfix) with ESMTPS id 4F;\r\n\t\
             Tue, 24 Nov 2026 02:05:10 +0100 (CET)",
        );
        assert_eq!(postfix.address, "2001:db8::7".parse().ok());
        assert_eq!((postfix.by.as_deref(), postfix.tls.as_deref()), (Some("c.example"), Some("TLSv1.2")));
        assert_eq!(postfix.at.map(|at| at.offset), Some(60));
        let gmail = only(
            "from m.example (m.example. [192.0.2.9]) by mx.google.com with ESMTPS id 7-2 for <x@y.example>\r\n        \
             (version=TLS1_3 cipher=TLS_AES_256_GCM_SHA384 bits=256/256);\r\n        Mon, 23 Nov 2026 17:05:10 -0800 (PST)",
        );
        assert_eq!((gmail.tls.as_deref(), gmail.id.as_deref()), (Some("TLSv1.3"), Some("7-2")));
        let exim = only("from [192.0.2.4] (helo=me) by x.example with esmtpsa (TLS1.3) tls X (Exim 4.98) id 1q-2;");
        assert_eq!((exim.address, exim.tls.as_deref()), (Some([192, 0, 2, 4].into()), Some("TLSv1.3")));
        assert_eq!((exim.with.as_deref(), exim.id.as_deref(), exim.at), (Some("esmtpsa"), Some("1q-2"), None));
        let local = only("by x.example (Postfix, from userid 1000) id AB; Mon, 23 Nov 2026 17:05:10 -0800");
        assert_eq!((local.from, local.by.as_deref()), (None, Some("x.example")));
    }

    /// RFC 8601 §5: what stands below the first Received field, or is another server's, may be anybody's.
    #[test]
    fn verdicts_are_our_own() {
        let header = "Return-Path: <x@y.example>\r\n\
            Authentication-Results: mx.example; spf=pass smtp.mailfrom=y.example;\r\n\t\
            dkim=fail (bad; signature) header.d=y.example header.s=\"a b\"\r\n\
            Authentication-Results: other.example; dmarc=pass header.from=y.example\r\n\
            Received: by mx.example; Mon, 23 Nov 2026 17:05:10 -0800\r\n\
            Authentication-Results: mx.example; dmarc=pass header.from=bank.example\r\n\r\n";
        let found = verdicts(&Header::of(header.as_bytes()), "MX.example");
        let short: Vec<_> = found.iter().map(|one| (one.method.as_str(), one.result.as_str())).collect();
        assert_eq!(short, [("spf", "pass"), ("dkim", "fail")]);
        let property = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(found[1].properties, [property("header.d", "y.example"), property("header.s", "a b")]);
        assert!(results(b"mx.example; none", "mx.example").is_empty());
    }

    /// `RECEIVED_HOPS`, `RECEIVED_LEN`: no more is looked at.
    #[test]
    fn hops_are_bounded() {
        let many = "Received: by x\r\n".repeat(limits::RECEIVED_HOPS + 1);
        assert_eq!(hops(&Header::of(many.as_bytes())).len(), limits::RECEIVED_HOPS);
        let fits = format!("by {}", "x".repeat(limits::RECEIVED_LEN - 3));
        assert_eq!(only(&fits).by.map(|by| by.len()), Some(limits::RECEIVED_LEN - 3));
        assert_eq!(only(&format!("{fits}x")).by.map(|by| by.len()), Some(limits::RECEIVED_LEN - 3));
    }

    proptest! {
        /// Whatever stands there, an answer comes.
        #[test]
        fn anything_is_answered(text in "(from|by|with|for|;|\\(|\\)|\"|\\\\|\\[|=|TLS|\\PC| ){0,60}") {
            let header = format!("Authentication-Results: {text}\r\nReceived: {text}\r\n\r\n");
            prop_assert!(hops(&Header::of(header.as_bytes())).len() <= 1);
            verdicts(&Header::of(header.as_bytes()), "x");
        }
    }
}
