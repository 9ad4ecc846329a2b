//! `[[milter]]` and `[junk]`: filters of others, and what of their words means junk.

use std::path::Path;
use std::time::Duration;

use mail::limits;
use mta::milter::{Door, FieldRule, Milter as Filter, Place, WhenDown};
use toml::de::{DeTable, DeValue};

use super::read::{Problems, Value, section};

section! {
    /// A filter that speaks the milter protocol (rspamd, OpenDKIM, ClamAV); `[[milter]]` may come many times, and they are
    /// asked in the order of the file. What they do is told in each message's journey (docs/milters.md).
    Milter {
        /// Where it listens: `inet:host:port`, or `unix:` and the path of a socket, relative to this file. Required.
        address: Option<MilterAddress> = None;
        /// What it is called in journeys; without one, its address.
        name: Option<String> = None;
        /// By which doors a message comes that it is shown: from other servers, from our own users.
        on: Vec<Door> = vec![Door::Smtp, Door::Submission];
        /// Wait for an answer.
        timeout: Duration = limits::MILTER_TIMEOUT;
        /// What becomes of mail while it does not answer: taken without it, or to be sent again later.
        when_down: WhenDown = WhenDown::TempFail;
    }
}

section! {
    /// What goes into the mailbox Junk.
    Junk {
        /// The field, and how its value begins, that a filter adds to what it takes for junk.
        header: FieldRule = FieldRule::default();
    }
}

/// Where a filter listens, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MilterAddress(String, Place);

impl Value for MilterAddress {
    const KIND: &'static str = "\"inet:host:port\", like \"inet:127.0.0.1:11332\", or \"unix:path\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let wrong = || format!("write {}", Self::KIND);
        let text = value.as_str().ok_or_else(wrong)?;
        let place = match text.split_once(':') {
            Some(("inet", place)) => {
                let (host, port) = place.rsplit_once(':').ok_or_else(wrong)?;
                let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
                let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
                if host.is_empty() {
                    return Err(wrong());
                }
                Place::Inet(host.to_owned(), port)
            }
            Some(("unix", path)) if !path.is_empty() => Place::Unix(path.into()),
            _ => return Err(wrong()),
        };
        Ok(Self(text.to_owned(), place))
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl Value for Door {
    const KIND: &'static str = "\"smtp\" or \"submission\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("smtp") => Ok(Self::Smtp),
            Some("submission") => Ok(Self::Submission),
            _ => Err(format!("write {}", Self::KIND)),
        }
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.name())
    }
}

impl Value for WhenDown {
    const KIND: &'static str = "\"tempfail\" or \"accept\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("tempfail") => Ok(Self::TempFail),
            Some("accept") => Ok(Self::Accept),
            _ => Err(format!("write {}", Self::KIND)),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::TempFail => "\"tempfail\"".into(),
            Self::Accept => "\"accept\"".into(),
        }
    }
}

impl Value for FieldRule {
    const KIND: &'static str = "a field and how its value begins, like \"X-Spam: Yes\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        value.as_str().and_then(Self::parse).ok_or_else(|| format!("write {}", Self::KIND))
    }

    fn show(&self) -> String {
        format!("\"{self}\"")
    }
}

/// Reads every `[[milter]]`.
pub(super) fn read(root: &DeTable<'_>, dir: &Path, problems: &mut Problems<'_>) -> Vec<Filter> {
    super::tables(root, "milter", problems, |table, span, problems| {
        let before = problems.found.len();
        let Milter { address, name, on, timeout, when_down } = Milter::read(table, "milter", &[], problems);
        let Some(MilterAddress(shown, place)) = address else {
            if problems.found.len() == before {
                problems.error(span, "[[milter]] has no address; set address = \"inet:127.0.0.1:11332\"");
            }
            return None;
        };
        let place = match place {
            Place::Unix(path) => Place::Unix(dir.join(path)),
            place @ Place::Inet(..) => place,
        };
        Some(Filter { name: name.unwrap_or(shown), place, on, timeout, when_down })
    })
}
