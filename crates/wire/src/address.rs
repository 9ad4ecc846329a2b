//! The grammar of addresses on the wire (RFC 5321 §4.1.2, §4.1.3, RFC 6531 §3.3), read into [`mail::Address`].
//!
//! **Does:** reads paths in angle brackets, mailboxes, domains with U-labels (IDNA 2008) and address literals.
//!
//! **Does not:** read the addresses of header fields, with their comments and display names: that is
//! `message::envelope`'s. It does not say whether an address exists.
//!
//! **Data** comes in as bytes of a command or text of a person; what is written is `Display` of the result.

use std::net::{Ipv4Addr, Ipv6Addr};

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use mail::{Address, Domain, InvalidAddress, ReversePath, limits};

/// What RCPT names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain, in any case (RFC 5321 §4.1.1.3): this server's.
    Postmaster,
    /// An address.
    Address(Address),
}

/// `Mailbox`: `local@domain`, the whole text. Surrounding white space is not allowed.
pub fn mailbox(text: &str) -> Result<Address, InvalidAddress> {
    let (address, rest) = read_mailbox(text)?;
    if rest.is_empty() { Ok(address) } else { Err(InvalidAddress("something follows the address")) }
}

/// A domain: `Domain` with U-labels (RFC 6531 §3.3 `sub-domain`) or `address-literal`, the whole text.
pub fn domain(text: &str) -> Result<Domain, InvalidAddress> {
    if text.starts_with('[') {
        return match text.strip_suffix(']') {
            Some(_) => literal(text),
            None => Err(InvalidAddress("an address literal ends with ]")),
        };
    }
    if text.is_ascii() {
        return Domain::from_ascii(text);
    }
    // RFC 5891 §4.1: to A-labels; non-transitional, so that ß and final sigma stay what they are.
    let deny = AsciiDenyList::STD3;
    match Uts46::new().to_ascii(text.as_bytes(), deny, Hyphens::Check, DnsLength::VerifyAllowRootDot) {
        Ok(ascii) => Domain::from_ascii(&ascii),
        Err(_) => Err(InvalidAddress("the internationalised domain is not valid (IDNA 2008)")),
    }
}

/// `Reverse-path` at the front of `text`: `<>`, or a path. Returns what follows it.
pub fn reverse_path(text: &[u8]) -> Result<(ReversePath, &[u8]), InvalidAddress> {
    if let Some(rest) = text.strip_prefix(b"<>") {
        return Ok((ReversePath::Null, rest));
    }
    let (address, rest) = path(text)?;
    Ok((ReversePath::Address(address), rest))
}

/// `Forward-path` at the front of `text`, or `<Postmaster>`. Returns what follows it.
pub fn forward_path(text: &[u8]) -> Result<(ForwardPath, &[u8]), InvalidAddress> {
    const POSTMASTER: &[u8] = b"<postmaster>";
    match text.split_at_checked(POSTMASTER.len()) {
        Some((front, rest)) if front.eq_ignore_ascii_case(POSTMASTER) => return Ok((ForwardPath::Postmaster, rest)),
        _ => {}
    }
    let (address, rest) = path(text)?;
    Ok((ForwardPath::Address(address), rest))
}

/// `Path = "<" [ A-d-l ":" ] Mailbox ">"`.
fn path(text: &[u8]) -> Result<(Address, &[u8]), InvalidAddress> {
    let inner = text.strip_prefix(b"<").ok_or(InvalidAddress("an address stands in angle brackets"))?;
    // Bytes behind the path may be anything; so only as much is read as UTF-8 as is.
    let valid = match std::str::from_utf8(inner) {
        Ok(valid) => valid,
        Err(error) => std::str::from_utf8(&inner[..error.valid_up_to()]).unwrap_or_default(),
    };
    let (address, rest) = read_mailbox(source_route(valid)?)?;
    if !rest.starts_with('>') {
        return Err(InvalidAddress("an address ends with >"));
    }
    Ok((address, &inner[valid.len() - rest.len() + 1..]))
}

/// RFC 5321 §4.1.1.3, Appendix C: a source route is read and ignored.
fn source_route(text: &str) -> Result<&str, InvalidAddress> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    let (route, rest) = text.split_once(':').ok_or(InvalidAddress("a source route ends with :"))?;
    for hop in route.split(',') {
        domain(hop.strip_prefix('@').ok_or(InvalidAddress("a source route is made of @domain"))?)?;
    }
    Ok(rest)
}

/// `Mailbox = Local-part "@" ( Domain / address-literal )` at the front of `text`.
fn read_mailbox(text: &str) -> Result<(Address, &str), InvalidAddress> {
    let (local, rest) = if text.starts_with('"') { quoted_string(text)? } else { dot_string(text)? };
    let rest = rest.strip_prefix('@').ok_or(InvalidAddress("an address has the form local@domain"))?;
    let end = if rest.starts_with('[') {
        rest.find(']').map_or(rest.len(), |at| at + 1)
    } else {
        rest.find(|c: char| c.is_ascii() && !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')))
            .unwrap_or(rest.len())
    };
    let (name, rest) = rest.split_at(end);
    Ok((Address::new(&local, domain(name)?)?, rest))
}

/// `atext` (RFC 5322 §3.2.3), and any non-ASCII character (RFC 6531 §3.3).
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii()
}

/// `Dot-string = Atom *("." Atom)`.
fn dot_string(text: &str) -> Result<(String, &str), InvalidAddress> {
    let end = text.find(|c| !is_atext(c) && c != '.').unwrap_or(text.len());
    let (local, rest) = text.split_at(end);
    if local.split('.').any(str::is_empty) {
        return Err(InvalidAddress("the part before the @ is made of non-empty words with dots between"));
    }
    Ok((local.to_owned(), rest))
}

/// `Quoted-string = DQUOTE *QcontentSMTP DQUOTE`; returns its meaning.
fn quoted_string(text: &str) -> Result<(String, &str), InvalidAddress> {
    let mut local = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((local, &text[at + 1..])),
            // quoted-pairSMTP = %d92 %d32-126
            '\\' => match chars.next() {
                Some((_, c @ ' '..='~')) => local.push(c),
                _ => return Err(InvalidAddress("a backslash stands before a printable character")),
            },
            // qtextSMTP, and UTF-8 beside it (RFC 6531 §3.3). Controls are refused by Address::new.
            c => local.push(c),
        }
        if local.len() > limits::LOCAL_PART_LEN {
            break;
        }
    }
    Err(InvalidAddress("a quoted local part ends with a quote and has at most 64 octets"))
}

/// `address-literal` (RFC 5321 §4.1.3). General ones, of which none is standardised, are refused.
fn literal(text: &str) -> Result<Domain, InvalidAddress> {
    let inner = &text[1..text.len() - 1];
    let tag = "IPv6:";
    let ip = match inner.split_at_checked(tag.len()) {
        Some((front, ip)) if front.eq_ignore_ascii_case(tag) => ip.parse::<Ipv6Addr>().map(Into::into).ok(),
        _ => inner.parse::<Ipv4Addr>().map(Into::into).ok(),
    };
    ip.map(Domain::literal).ok_or(InvalidAddress("an address literal is [192.0.2.1] or [IPv6:2001:db8::1]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        mailbox(text).map_or_else(|why| why.to_string(), |address| address.to_string())
    }

    #[test]
    fn mailboxes() {
        for same in [
            "a@b",
            "a.b+c@x-y.example",
            "\"a b\"@x",
            "\"a\\\"b\"@x",
            "jürgen@x",
            "a@[192.0.2.1]",
            "!#$%&'*+-/=?^_`{|}~@x",
        ] {
            assert_eq!(shown(same), same);
        }
        assert_eq!(shown("\"abc\"@X.Example."), "abc@x.example");
        assert_eq!(shown("\"a\\b\"@x"), "ab@x");
        assert_eq!(shown("x@Bücher.Example"), "x@xn--bcher-kva.example");
        assert_eq!(shown("x@faß.example"), "x@xn--fa-hia.example");
        assert_eq!(shown("x@[ipv6:2001:DB8::1]"), "x@[IPv6:2001:db8::1]");
        for bad in [
            "",
            "a",
            "@b",
            "a@",
            ".a@b",
            "a.@b",
            "a..b@c",
            "a b@c",
            "a@b c",
            "\"a@b",
            "\"a\"b@c",
            "a@[1.2.3]",
            "a@[::1]",
            "a@[IPv6:1]",
            "a@[1.2.3.4",
            "a@b@c",
            "a@b>",
            "\"a\\\n\"@b",
            "\"a\u{1}\"@b",
            "a(c)@b",
            "\"\"@b",
            "a@-b",
            "a@ü-.x",
            "a@b..c",
            "<a@b>",
            "a@[x-tag:1]",
            "a,b@c",
            "a@xn--\u{fc}.x",
        ] {
            assert!(mailbox(bad).is_err(), "{bad}");
        }
        assert!(mailbox(&format!("{}@b", "a".repeat(64))).is_ok());
        assert!(mailbox(&format!("{}@b", "a".repeat(65))).is_err());
    }

    #[test]
    fn paths() {
        let (path, rest) = reverse_path(b"<> SIZE=1").unwrap();
        assert_eq!((path, rest), (ReversePath::Null, &b" SIZE=1"[..]));
        let (path, rest) = reverse_path(b"<@one.example,@two.example:a@b.example> X\xff").unwrap();
        assert_eq!((path.to_string().as_str(), rest), ("<a@b.example>", &b" X\xff"[..]));
        assert_eq!(forward_path(b"<POSTmaster>").unwrap().0, ForwardPath::Postmaster);
        assert!(matches!(forward_path(b"<postmaster@x>").unwrap().0, ForwardPath::Address(_)));
        for bad in ["<a@b", "a@b", "< a@b>", "<a@b >", "<@x,a@b>", "<@x:>", "<postmaste>", "<", "", "<\"a>@b>"] {
            assert!(forward_path(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(forward_path(b"<a\xff@b>").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(local in "[ -~äß漢]{1,20}", name in "[a-z0-9]{1,8}(\\.[a-z0-9]{1,8}){0,3}") {
            let address = Address::new(&local, Domain::from_ascii(&name).unwrap()).unwrap();
            prop_assert_eq!(mailbox(&address.to_string()), Ok(address.clone()));
            let text = format!("<{address}> NEXT");
            let (path, rest) = forward_path(text.as_bytes()).unwrap();
            prop_assert_eq!(path, ForwardPath::Address(address));
            prop_assert_eq!(rest, b" NEXT");
        }

        #[test]
        fn nothing_panics(text in ".{0,30}", bytes in proptest::collection::vec(any::<u8>(), 0..30)) {
            let _ = mailbox(&text);
            let _ = domain(&text);
            for prefix in [&b"<"[..], b"", b"<\"", b"<@a:", b"<a@["] {
                let bytes = [prefix, &bytes].concat();
                let _ = reverse_path(&bytes);
                let _ = forward_path(&bytes);
            }
        }
    }
}
