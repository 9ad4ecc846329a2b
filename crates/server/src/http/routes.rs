//! Which page a path is, what may be done with it, and by whom.

use hyper::Method;
use mail::TokenId;
use store::Scopes;

use super::access::Access;
use super::webmail::Asset;

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// `/healthz`
    Health,
    /// `/metrics`
    Metrics,
    /// `/local`, `/local/NAME`
    Local(String),
    /// `/local/in`
    LocalIn,
    /// `/` and the files below it
    Webmail(&'static Asset),
    /// `/.well-known/autoconfig/mail/config-v1.1.xml`, `/mail/config-v1.1.xml`
    Thunderbird,
    /// `/autodiscover/autodiscover.xml`, in any case
    Outlook,
    /// `/mobileconfig`
    Apple,
    /// `/.well-known/acme-challenge/TOKEN`
    Acme(String),
    /// `/.well-known/change-password`
    ChangePassword,
    /// `/.well-known/mta-sts.txt`
    MtaSts,
    /// `/.well-known/jmap`, `/jmap/session`
    Jmap,
    /// `/jmap/api`
    JmapApi,
    /// `/jmap/upload/ACCOUNT/`
    JmapUpload(String),
    /// `/jmap/download/ACCOUNT/BLOB/NAME`
    JmapDownload(String, String, String),
    /// `/proxy`
    Proxy,
    /// `/jmap/events`
    JmapEvents,
    /// `/jmap/ws`
    JmapSocket,
    /// `/auth/login`
    LogIn,
    /// `/auth/login/challenge`
    PasskeyChallenge,
    /// `/auth/login/passkey`
    PasskeyLogIn,
    /// `/auth/logout`
    LogOut,
    /// `/auth/session`
    Session,
    /// `/auth/sessions`
    Sessions,
    /// `/auth/sessions/ID`
    OneSession(TokenId),
    /// `/auth/password`
    Password,
    /// `/auth/app-passwords`
    AppPasswords,
    /// `/auth/app-passwords/ID`
    OneAppPassword(TokenId),
    /// `/auth/passkeys`
    Passkeys,
    /// `/auth/passkeys/confirm`
    ConfirmPasskey,
    /// `/auth/passkeys/ID`
    OnePasskey(TokenId),
    /// `/auth/totp`
    Totp,
    /// `/auth/totp/confirm`
    ConfirmTotp,
    /// `/auth/totp/remove`
    RemoveTotp,
}

const READ: &[Method] = &[Method::GET, Method::HEAD];
const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];
const DELETE: &[Method] = &[Method::DELETE];

impl Page {
    /// By the path of a request; it is taken as it stands, without decoding: no page has another name.
    pub(super) fn find(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix('/')?.splitn(8, '/').collect();
        Some(match parts[..] {
            ["healthz"] => Self::Health,
            ["metrics"] => Self::Metrics,
            [".well-known", "autoconfig", "mail", "config-v1.1.xml"] | ["mail", "config-v1.1.xml"] => Self::Thunderbird,
            [folder, file]
                if folder.eq_ignore_ascii_case("autodiscover") && file.eq_ignore_ascii_case("autodiscover.xml") =>
            {
                Self::Outlook
            }
            ["mobileconfig"] => Self::Apple,
            // RFC 8555 §8.3
            [".well-known", "acme-challenge", token] => Self::Acme(token.to_owned()),
            [".well-known", "change-password"] => Self::ChangePassword,
            [".well-known", "mta-sts.txt"] => Self::MtaSts,
            [".well-known", "jmap"] | ["jmap", "session"] => Self::Jmap,
            ["jmap", "api"] => Self::JmapApi,
            ["jmap", "upload", account, ""] => Self::JmapUpload(account.to_owned()),
            ["jmap", "download", account, blob, name] => {
                Self::JmapDownload(account.to_owned(), blob.to_owned(), name.to_owned())
            }
            ["jmap", "events"] => Self::JmapEvents,
            ["jmap", "ws"] => Self::JmapSocket,
            ["auth", "login"] => Self::LogIn,
            ["auth", "login", "challenge"] => Self::PasskeyChallenge,
            ["auth", "login", "passkey"] => Self::PasskeyLogIn,
            ["auth", "logout"] => Self::LogOut,
            ["auth", "session"] => Self::Session,
            ["auth", "sessions"] => Self::Sessions,
            ["auth", "sessions", id] => Self::OneSession(TokenId(id.parse().ok()?)),
            ["auth", "password"] => Self::Password,
            ["auth", "app-passwords"] => Self::AppPasswords,
            ["auth", "app-passwords", id] => Self::OneAppPassword(TokenId(id.parse().ok()?)),
            ["auth", "passkeys"] => Self::Passkeys,
            ["auth", "passkeys", "confirm"] => Self::ConfirmPasskey,
            ["auth", "passkeys", id] => Self::OnePasskey(TokenId(id.parse().ok()?)),
            ["auth", "totp"] => Self::Totp,
            ["auth", "totp", "confirm"] => Self::ConfirmTotp,
            ["auth", "totp", "remove"] => Self::RemoveTotp,
            ["proxy"] => Self::Proxy,
            ["local"] => Self::Local(String::new()),
            ["local", "in"] => Self::LocalIn,
            ["local", name] => Self::Local(name.to_owned()),
            _ => Self::Webmail(Asset::find(&path[1..])?),
        })
    }

    /// What may be done with it.
    pub(super) const fn methods(&self) -> &'static [Method] {
        match self {
            Self::Health
            | Self::Metrics
            | Self::Local(_)
            | Self::LocalIn
            | Self::Webmail(_)
            | Self::Session
            | Self::Jmap
            | Self::JmapDownload(..)
            | Self::Thunderbird
            | Self::Apple
            | Self::MtaSts
            | Self::Acme(_)
            | Self::ChangePassword => READ,
            // Without an end it has no head alone.
            Self::JmapEvents => GET,
            // RFC 6455 §4.1, RFC 8441 §4.
            Self::JmapSocket => &[Method::GET, Method::CONNECT],
            Self::Outlook
            | Self::LogIn
            | Self::PasskeyChallenge
            | Self::PasskeyLogIn
            | Self::LogOut
            | Self::Password
            | Self::ConfirmPasskey
            | Self::ConfirmTotp
            | Self::RemoveTotp
            | Self::JmapApi
            | Self::JmapUpload(_) => POST,
            Self::Sessions => &[Method::GET, Method::HEAD, Method::DELETE],
            Self::AppPasswords | Self::Passkeys | Self::Totp | Self::Proxy => {
                &[Method::GET, Method::HEAD, Method::POST]
            }
            Self::OneSession(_) | Self::OneAppPassword(_) | Self::OnePasskey(_) => DELETE,
        }
    }

    /// Whether what is asked or answered must not be seen on the way: the webmail asks for passwords.
    pub(super) fn is_secret(&self) -> bool {
        self.access() != Access::All || matches!(self, Self::Webmail(_) | Self::LocalIn)
    }

    /// Who may have it.
    pub(super) const fn access(&self) -> Access {
        match self {
            Self::Health
            | Self::Metrics
            | Self::Local(_)
            | Self::LocalIn
            | Self::Webmail(_)
            | Self::Thunderbird
            | Self::Outlook
            | Self::Apple
            | Self::MtaSts
            | Self::Acme(_)
            | Self::ChangePassword => Access::All,
            Self::LogIn | Self::PasskeyChallenge | Self::PasskeyLogIn => Access::OwnPages,
            Self::Session
            | Self::Jmap
            | Self::JmapApi
            | Self::JmapUpload(_)
            | Self::JmapDownload(..)
            | Self::JmapEvents
            | Self::JmapSocket => Access::Account(Scopes::JMAP),
            Self::LogOut
            | Self::Proxy
            | Self::Sessions
            | Self::OneSession(_)
            | Self::Password
            | Self::AppPasswords
            | Self::OneAppPassword(_)
            | Self::Passkeys
            | Self::ConfirmPasskey
            | Self::OnePasskey(_)
            | Self::Totp
            | Self::ConfirmTotp
            | Self::RemoveTotp => Access::Session,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_as_they_stand() {
        assert_eq!(Page::find("/auth/sessions/12"), Some(Page::OneSession(TokenId(12))));
        assert!(matches!(Page::find("/"), Some(Page::Webmail(_))));
        for nowhere in
            ["", "*", "//", "/auth", "/auth/login/", "/auth//login", "/AUTH/login", "/%61uth/login", "/auth/sessions/x"]
        {
            assert_eq!(Page::find(nowhere), None, "{nowhere}");
        }
        let deep = "/a".repeat(10_000);
        assert_eq!(Page::find(&deep), None);
    }
}
