//! IMAP URLs that name a message or a part of one (RFC 5092), as CATENATE has them.

use super::cursor::{Bad, Cursor};
use super::fetch::Section;

/// A message, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageUrl {
    /// Whose mailbox, and where; `None`: a relative URL, of this user and server.
    pub authority: Option<Authority>,
    /// The mailbox.
    pub mailbox: String,
    /// Its UIDVALIDITY, where it is said.
    pub uid_validity: Option<u32>,
    /// The message.
    pub uid: u32,
    /// Which part; the whole message, where it is not said.
    pub section: Option<Section>,
}

/// `iserver = [iuserinfo "@"] host [":" port]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// `enc-user`, decoded.
    pub user: Option<String>,
    /// The host, without port.
    pub host: String,
}

impl MessageUrl {
    /// `imapurl = "imap://" iserver ipath-query`, or `ipath-query` alone;
    /// `imessagepart = imailbox-ref "/" iuid ["/" isection] ["/" ipartial]`
    pub fn read(url: &[u8]) -> Result<Self, Bad> {
        const BROKEN: Bad = Bad("The URL is broken");
        let url = std::str::from_utf8(url).map_err(|_| BROKEN)?;
        let scheme = url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("imap://"));
        let (authority, path) = match scheme {
            Some(scheme) => {
                let (server, path) = url[scheme.len()..].split_once('/').ok_or(BROKEN)?;
                (Some(authority(server).ok_or(BROKEN)?), path)
            }
            None => (None, url.strip_prefix('/').ok_or(BROKEN)?),
        };
        // RFC 5092 §3: `;` and `/` stand for themselves only between the pieces.
        let mut pieces = path.split("/;");
        let (mailbox, uid_validity) = mailbox(pieces.next().ok_or(BROKEN)?).ok_or(BROKEN)?;
        let (mut uid, mut section, mut partial) = (None, None, None);
        for piece in pieces {
            let (word, value) = piece.split_once('=').ok_or(BROKEN)?;
            match word.to_ascii_uppercase().as_str() {
                "UID" if uid.is_none() => uid = Some(number(value).filter(|uid| *uid != 0).ok_or(BROKEN)?),
                "SECTION" if section.is_none() && partial.is_none() => {
                    section = Some(read_section(&decoded(value).ok_or(BROKEN)?)?);
                }
                "PARTIAL" if partial.is_none() => partial = Some(read_partial(value).ok_or(BROKEN)?),
                _ => return Err(BROKEN),
            }
        }
        if let Some(range) = partial {
            let section = section.get_or_insert_with(Section::whole);
            section.partial = Some(range);
        }
        Ok(Self { authority, mailbox, uid_validity, uid: uid.ok_or(BROKEN)?, section })
    }
}

fn authority(server: &str) -> Option<Authority> {
    let (user, host) = match server.rsplit_once('@') {
        // `iuserinfo = enc-user [iauth] / [enc-user] iauth`
        Some((user, host)) => (Some(user.split(';').next().unwrap_or_default()), host),
        None => (None, server),
    };
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => host,
    };
    let user = match user {
        Some(user) if !user.is_empty() => Some(decoded(user)?),
        _ => None,
    };
    Some(Authority { user, host: host.to_owned() })
}

/// `imailbox-ref = enc-mailbox [uidvalidity]`, `uidvalidity = ";UIDVALIDITY=" nz-number`
fn mailbox(piece: &str) -> Option<(String, Option<u32>)> {
    let (name, uid_validity) = match piece.split_once(';') {
        Some((name, rest)) => {
            let (word, value) = rest.split_once('=')?;
            (name, Some(number(value).filter(|_| word.eq_ignore_ascii_case("UIDVALIDITY"))?))
        }
        None => (piece, None),
    };
    let name = decoded(name).filter(|name| !name.is_empty())?;
    Some((if name.eq_ignore_ascii_case("INBOX") { "INBOX".into() } else { name }, uid_validity))
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// `section-spec`, as it stands between brackets in FETCH.
fn read_section(spec: &str) -> Result<Section, Bad> {
    let whole = format!("[{spec}]");
    let mut cursor = Cursor::new(whole.as_bytes());
    let section = cursor.section(true)?;
    cursor.crlf()?;
    Ok(section)
}

/// `partial-range = number ["." nz-number]`
fn read_partial(text: &str) -> Option<(u64, u64)> {
    let (start, count) = text.split_once('.').map_or((text, None), |(start, count)| (start, Some(count)));
    let count = count.map_or(Some(u64::MAX), |count| number(count).filter(|n| *n != 0).map(u64::from))?;
    Some((number(start)?.into(), count))
}

/// Octets that are written `%XX` (RFC 3986 §2.1), together UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(out).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::super::fetch::Text;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls_of_the_standards() {
        // RFC 4469 §5
        let url = MessageUrl::read(b"/Drafts;UIDVALIDITY=385759045/;UID=20/;section=HEADER").unwrap();
        assert_eq!((url.mailbox.as_str(), url.uid_validity, url.uid), ("Drafts", Some(385_759_045), 20));
        assert_eq!(url.section.unwrap().text, Text::Header);
        // RFC 5092 §7
        let url =
            MessageUrl::read(b"imap://minbari.example.org/gray-council;UIDVALIDITY=385759045/;UID=20/;PARTIAL=0.1024");
        let url = url.unwrap();
        assert_eq!(url.authority.unwrap().host, "minbari.example.org");
        assert_eq!(url.section.unwrap().partial, Some((0, 1024)));
        let url = MessageUrl::read(b"IMAP://joe%40x;AUTH=*@host:993/a%2Fb%20%C3%A4/;UID=1/;SECTION=1.2").unwrap();
        assert_eq!(url.authority.unwrap(), Authority { user: Some("joe@x".into()), host: "host".into() });
        assert_eq!((url.mailbox.as_str(), url.section.unwrap().path.as_slice()), ("a/b ä", &[1, 2][..]));
        assert_eq!(MessageUrl::read(b"/inbox/;UID=7").unwrap().mailbox, "INBOX");
        for bad in [
            &b""[..],
            b"/",
            b"INBOX/;UID=1",
            b"/INBOX",
            b"/INBOX/;UID=0",
            b"/INBOX/;UID=x",
            b"/INBOX/;UID=1/;UID=2",
            b"/INBOX/;UID=1/;SECTION=XYZ",
            b"/INBOX/;UID=1/;SECTION=1]x",
            b"/INBOX;X=1/;UID=1",
            b"/%zz/;UID=1",
            b"/%ff/;UID=1",
            b"/a/;UID=1/;URLAUTH=anonymous",
            b"http://x/INBOX/;UID=1",
        ] {
            assert!(MessageUrl::read(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn never_panics(url in "(imap://)?([a-c%@:/;=0-9.]|UID|SECTION|PARTIAL|UIDVALIDITY|%C3%A4){0,24}") {
            let _ = MessageUrl::read(url.as_bytes());
        }
    }
}
