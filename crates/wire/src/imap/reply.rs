//! Every tagged answer and its response code (RFC 3501 §7.1, RFC 5530), in one table.

use super::write;

/// OK, NO or BAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok,
    /// Not done.
    No,
    /// Not understood, or not in this state.
    Bad,
}

impl Status {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::No => "NO",
            Self::Bad => "BAD",
        }
    }
}

/// `resp-text-code` without arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// RFC 5530 §3: the log-in is wrong.
    AuthenticationFailed,
    /// The account may not be used.
    AuthorizationFailed,
    /// Only over TLS.
    PrivacyRequired,
    /// Try again later.
    Unavailable,
    /// The server's fault.
    ServerBug,
    /// The client's fault.
    ClientBug,
    /// It can never be so.
    Cannot,
    /// It exists already.
    AlreadyExists,
    /// It is not there.
    NonExistent,
    /// No room.
    OverQuota,
    /// A limit.
    Limit,
    /// Somebody else uses it.
    InUse,
    /// RFC 3501 §7.1: CREATE it, then try again.
    TryCreate,
    /// RFC 4469 §4.2 / RFC 7889: the message is too big.
    TooBig,
    /// RFC 6154 §3: not such a special use.
    UseAttr,
    /// RFC 7162: closed, another is selected.
    Closed,
    /// Some messages are gone.
    ExpungeIssued,
    /// The mailbox has children.
    HasChildren,
    /// RFC 5530 §3: it is for others to do.
    NoPerm,
    /// RFC 4978 §3: it is on already.
    CompressionActive,
    /// RFC 9586 §3: the command names messages by number.
    UidRequired,
    /// RFC 4469 §4.1: the URL names nothing that can be had.
    BadUrl,
    /// RFC 5182 §2.1: the result was not kept.
    NotSaved,
    /// RFC 3516 §4.3: the part's transfer encoding is not known.
    UnknownCte,
    /// RFC 10022 §3.1.3: the batches would be too small.
    TooFew,
    /// SELECT's.
    ReadOnly,
    /// SELECT's.
    ReadWrite,
}

impl Code {
    /// As on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::AuthenticationFailed => "AUTHENTICATIONFAILED",
            Self::AuthorizationFailed => "AUTHORIZATIONFAILED",
            Self::PrivacyRequired => "PRIVACYREQUIRED",
            Self::Unavailable => "UNAVAILABLE",
            Self::ServerBug => "SERVERBUG",
            Self::ClientBug => "CLIENTBUG",
            Self::Cannot => "CANNOT",
            Self::AlreadyExists => "ALREADYEXISTS",
            Self::NonExistent => "NONEXISTENT",
            Self::OverQuota => "OVERQUOTA",
            Self::Limit => "LIMIT",
            Self::InUse => "INUSE",
            Self::TryCreate => "TRYCREATE",
            Self::TooBig => "TOOBIG",
            Self::UseAttr => "USEATTR",
            Self::Closed => "CLOSED",
            Self::ExpungeIssued => "EXPUNGEISSUED",
            Self::HasChildren => "HASCHILDREN",
            Self::NoPerm => "NOPERM",
            Self::CompressionActive => "COMPRESSIONACTIVE",
            Self::UidRequired => "UIDREQUIRED",
            Self::BadUrl => "BADURL",
            Self::NotSaved => "NOTSAVED",
            Self::UnknownCte => "UNKNOWN-CTE",
            Self::TooFew => "TOOFEW",
            Self::ReadOnly => "READ-ONLY",
            Self::ReadWrite => "READ-WRITE",
        }
    }
}

/// How a command ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// OK, NO, BAD.
    pub status: Status,
    /// The inside of the brackets.
    pub code: Option<String>,
    /// For people; never empty, no CR or LF.
    pub text: String,
}

impl Reply {
    /// Done.
    pub fn ok(text: impl Into<String>) -> Self {
        Self { status: Status::Ok, code: None, text: text.into() }
    }

    /// Not done.
    pub fn no(code: Code, text: impl Into<String>) -> Self {
        Self { status: Status::No, code: Some(code.word().into()), text: text.into() }
    }

    /// Not understood.
    pub fn bad(text: impl Into<String>) -> Self {
        Self { status: Status::Bad, code: None, text: text.into() }
    }

    /// The same with a response code.
    #[must_use]
    pub fn with_code(self, code: impl Into<String>) -> Self {
        Self { code: Some(code.into()), ..self }
    }

    /// `tag SP resp-cond-state CRLF`; `*` for the tag where there is none.
    pub fn write(&self, out: &mut Vec<u8>, tag: &str) {
        condition(out, tag, self.status.word(), self.code.as_deref(), &self.text);
    }
}

/// `tag SP word SP ["[" code "]" SP] text CRLF`. Line ends in the text become spaces.
pub fn condition(out: &mut Vec<u8>, tag: &str, word: &str, code: Option<&str>, text: &str) {
    out.extend_from_slice(tag.as_bytes());
    out.push(b' ');
    out.extend_from_slice(word.as_bytes());
    if let Some(code) = code {
        out.extend_from_slice(b" [");
        out.extend_from_slice(code.as_bytes());
        out.push(b']');
    }
    out.push(b' ');
    // RFC 3501 §9: text is TEXT-CHAR, seven bits.
    out.extend(text.chars().map(|c| if (' '..='~').contains(&c) { c as u8 } else { b'?' }));
    out.extend_from_slice(b"\r\n");
}

/// `continue-req = "+" SP (resp-text / base64) CRLF`
pub fn continuation(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"+ ");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `* OK [code n] text`, as SELECT has several.
pub fn untagged_ok(out: &mut Vec<u8>, code: &str, n: u64, text: &str) {
    out.extend_from_slice(b"* OK [");
    out.extend_from_slice(code.as_bytes());
    out.push(b' ');
    write::number(out, n);
    out.extend_from_slice(b"] ");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies() {
        let mut out = Vec::new();
        Reply::no(Code::TryCreate, "No\r\nmäilbox").write(&mut out, "a1");
        continuation(&mut out, "Go on");
        untagged_ok(&mut out, "UIDNEXT", 4, "Next");
        assert_eq!(out, b"a1 NO [TRYCREATE] No??m?ilbox\r\n+ Go on\r\n* OK [UIDNEXT 4] Next\r\n");
    }
}
