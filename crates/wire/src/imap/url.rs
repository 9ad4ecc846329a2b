//! IMAP URLs that name a message or a part of one (RFC 5092), as CATENATE, URLAUTH and BURL have them.

use std::fmt;

use super::cursor::{Bad, Cursor};
use super::fetch::Section;

const BROKEN: Bad = Bad("The URL is broken");

/// A message, or a part of it. As it is written ([`fmt::Display`]), it is read back.
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
    /// Who may follow it, where it says so (RFC 4467).
    pub authorization: Option<Authorization>,
}

/// `iserver = [iuserinfo "@"] host [":" port]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// `enc-user`, decoded.
    pub user: Option<String>,
    /// The host, without port.
    pub host: String,
}

/// `iurlauth-rump = [expire] ";URLAUTH=" access`, and `iua-verifier` where it is complete
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// `expire = ";EXPIRE=" date-time`, as it is written (RFC 3339 §5.6).
    pub expire: Option<String>,
    /// For whom it is.
    pub access: Access,
    /// What shows that the owner of the mailbox wanted it; `None`: a rump, which shows nothing.
    pub verifier: Option<Verifier>,
}

/// `access = ("submit+" enc-user) / ("user+" enc-user) / "authuser" / "anonymous"`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// For the submission server on behalf of this user.
    Submit(String),
    /// For this user.
    User(String),
    /// For everybody who has logged in.
    AuthUser,
    /// For everybody.
    Anonymous,
}

/// `iua-verifier = ":" uauth-mechanism ":" enc-urlauth`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    /// In upper case.
    pub mechanism: String,
    /// `enc-urlauth = 32*HEXDIG`
    pub token: String,
}

impl MessageUrl {
    /// `imapurl = "imap://" iserver ipath-query`, or `ipath-query` alone;
    /// `icommand = imessagepart [iurlauth]`, `imessagepart = imailbox-ref "/" iuid ["/" isection] ["/" ipartial]`
    pub fn read(url: &[u8]) -> Result<Self, Bad> {
        let url = std::str::from_utf8(url).map_err(|_| BROKEN)?;
        // RFC 3986 §2.2, §3.4, §3.5: these never stand for themselves in a path.
        if url.contains(|c: char| c.is_control() || matches!(c, '?' | '#')) {
            return Err(BROKEN);
        }
        let scheme = url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("imap://"));
        let (authority, path) = match scheme {
            Some(scheme) => {
                let (server, path) = url[scheme.len()..].split_once('/').ok_or(BROKEN)?;
                (Some(authority(server).ok_or(BROKEN)?), path)
            }
            None => (None, url.strip_prefix('/').ok_or(BROKEN)?),
        };
        let (path, authorization) = match find(path, ";URLAUTH=") {
            Some((path, access)) => {
                let (path, expire) = match find(path, ";EXPIRE=") {
                    Some((path, expire)) => (path, Some(date_time(expire).ok_or(BROKEN)?)),
                    None => (path, None),
                };
                let (access, verifier) = iurlauth(access).ok_or(BROKEN)?;
                (path, Some(Authorization { expire, access, verifier }))
            }
            None => (path, None),
        };
        // RFC 5092 §3: `;` and `/` stand for themselves only between the pieces.
        let mut pieces = path.split("/;");
        let (mailbox, uid_validity) = mailbox(pieces.next().ok_or(BROKEN)?).ok_or(BROKEN)?;
        let (mut uid, mut section, mut partial) = (None, None, None);
        for piece in pieces {
            let (word, value) = piece.split_once('=').ok_or(BROKEN)?;
            match word.to_ascii_uppercase().as_str() {
                "UID" if uid.is_none() => uid = Some(nz_number(value).ok_or(BROKEN)?),
                "SECTION" if section.is_none() && partial.is_none() && !value.is_empty() => {
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
        Ok(Self { authority, mailbox, uid_validity, uid: uid.ok_or(BROKEN)?, section, authorization })
    }

    /// The part of a URL that its verifier speaks for: all that stands before it (RFC 4467 §2.5). `None`: it has none.
    pub fn rump(url: &[u8]) -> Option<&[u8]> {
        // Neither the mechanism nor the token has a colon.
        let mut parts = url.rsplitn(3, |b| *b == b':');
        parts.nth(2)
    }
}

/// What stands before a word that is there, in any case, and what behind it.
fn find<'t>(text: &'t str, word: &str) -> Option<(&'t str, &'t str)> {
    let at = text.as_bytes().windows(word.len()).position(|some| some.eq_ignore_ascii_case(word.as_bytes()))?;
    // The word is ASCII, so both ends are those of characters.
    Some((text.get(..at)?, text.get(at + word.len()..)?))
}

/// The letters of `date-time`; what they mean is for who reads it.
fn date_time(text: &str) -> Option<String> {
    let is = |b: u8| b.is_ascii_digit() || matches!(b, b'-' | b':' | b'.' | b'+' | b'T' | b't' | b'Z' | b'z');
    text.bytes().all(is).then(|| text.to_owned())
}

/// What follows `;URLAUTH=`: `access [":" uauth-mechanism ":" enc-urlauth]`
fn iurlauth(text: &str) -> Option<(Access, Option<Verifier>)> {
    let mut parts = text.split(':');
    let access = access(parts.next()?)?;
    let verifier = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => None,
        (Some(mechanism), Some(token), None) => {
            // `uauth-mechanism = "INTERNAL" / 1*(ALPHA / DIGIT / "-" / ".")`
            let is = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
            let is_mechanism = !mechanism.is_empty() && mechanism.bytes().all(is);
            let is_token = token.len() >= 32 && token.bytes().all(|b| b.is_ascii_hexdigit());
            let verifier = Verifier { mechanism: mechanism.to_ascii_uppercase(), token: token.to_owned() };
            Some((is_mechanism && is_token).then_some(verifier)?)
        }
        _ => return None,
    };
    Some((access, verifier))
}

fn access(text: &str) -> Option<Access> {
    let user = |text: &str| Some(text).filter(|text| is_enc_user(text)).and_then(decoded);
    if let Some(("", name)) = find(text, "submit+") {
        return user(name).map(Access::Submit);
    }
    if let Some(("", name)) = find(text, "user+") {
        return user(name).map(Access::User);
    }
    match text.to_ascii_lowercase().as_str() {
        "authuser" => Some(Access::AuthUser),
        "anonymous" => Some(Access::Anonymous),
        _ => None,
    }
}

/// `enc-user = 1*achar`, which has no delimiter of a URL's parts in it
fn is_enc_user(text: &str) -> bool {
    !text.is_empty() && !text.contains([';', '/', ':', '@'])
}

fn authority(server: &str) -> Option<Authority> {
    let (user, host) = match server.rsplit_once('@') {
        // `iuserinfo = enc-user [iauth] / [enc-user] iauth`
        Some((user, host)) => (Some(user.split(';').next().unwrap_or_default()), host),
        None => (None, server),
    };
    // RFC 3986 §3.2.2: an address of IPv6 has colons and stands in brackets.
    let end = if host.starts_with('[') { host.find(']')? + 1 } else { host.find(':').unwrap_or(host.len()) };
    let (host, port) = host.split_at(end);
    let is_port =
        port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    if host.is_empty() || !is_port {
        return None;
    }
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
            (name, Some(nz_number(value).filter(|_| word.eq_ignore_ascii_case("UIDVALIDITY"))?))
        }
        None => (piece, None),
    };
    let name = decoded(name).filter(|name| !name.is_empty())?;
    Some((if name.eq_ignore_ascii_case("INBOX") { "INBOX".into() } else { name }, uid_validity))
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn nz_number(text: &str) -> Option<u32> {
    number(text).filter(|number| *number != 0)
}

/// `section-spec`, as it stands between brackets in FETCH.
fn read_section(spec: &str) -> Result<Section, Bad> {
    let whole = format!("[{spec}]");
    let mut cursor = Cursor::new(whole.as_bytes());
    let section = cursor.section(true)?;
    cursor.crlf()?;
    Ok(section)
}

/// RFC 5550 (URL-PARTIAL), RFC 5092: `partial-range = number ["." nz-number]`
fn read_partial(text: &str) -> Option<(u64, u64)> {
    let (start, count) = text.split_once('.').map_or((text, None), |(start, count)| (start, Some(count)));
    let count = count.map_or(Some(u64::MAX), |count| nz_number(count).map(u64::from))?;
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

/// Octets that stand for themselves: `uchar = unreserved / sub-delims-sh`, and what `more` says.
fn encoded(f: &mut fmt::Formatter<'_>, text: &str, more: &str) -> fmt::Result {
    for byte in text.bytes() {
        let c = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-._~!$'()*+,&=".contains(c) || more.contains(c) {
            write!(f, "{c}")?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}

/// What else stands for itself in a mailbox's name and in a section: `bchar = achar / ":" / "@" / "/"`.
const BCHAR: &str = ":@/";

impl fmt::Display for MessageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Authority { user, host }) = &self.authority {
            f.write_str("imap://")?;
            if let Some(user) = user {
                encoded(f, user, "")?;
                f.write_str("@")?;
            }
            f.write_str(host)?;
        }
        f.write_str("/")?;
        // A slash at its end would look like that before a piece.
        let name = self.mailbox.trim_end_matches('/');
        encoded(f, name, BCHAR)?;
        encoded(f, &self.mailbox[name.len()..], "")?;
        if let Some(uid_validity) = self.uid_validity {
            write!(f, ";UIDVALIDITY={uid_validity}")?;
        }
        write!(f, "/;UID={}", self.uid)?;
        if let Some(section) = &self.section {
            let mut spec = Vec::new();
            section.write_section(&mut spec);
            let spec = String::from_utf8_lossy(&spec);
            // Without its brackets; the whole is what a URL means that has none.
            let spec = &spec[1..spec.len() - 1];
            if !spec.is_empty() {
                f.write_str("/;SECTION=")?;
                encoded(f, spec, BCHAR)?;
            }
            match section.partial {
                Some((start, u64::MAX)) => write!(f, "/;PARTIAL={start}")?,
                Some((start, count)) => write!(f, "/;PARTIAL={start}.{count}")?,
                None => {}
            }
        }
        self.authorization.as_ref().map_or(Ok(()), |authorization| authorization.fmt(f))
    }
}

impl fmt::Display for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(expire) = &self.expire {
            write!(f, ";EXPIRE={expire}")?;
        }
        f.write_str(";URLAUTH=")?;
        let user = match &self.access {
            Access::Submit(user) => f.write_str("submit+").map(|()| user.as_str()),
            Access::User(user) => f.write_str("user+").map(|()| user.as_str()),
            Access::AuthUser => f.write_str("authuser").map(|()| ""),
            Access::Anonymous => f.write_str("anonymous").map(|()| ""),
        };
        encoded(f, user?, "")?;
        match &self.verifier {
            Some(Verifier { mechanism, token }) => write!(f, ":{mechanism}:{token}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
