//! What a URL leads to (RFC 5092), and who may follow it (RFC 4467 §6).

use std::ops::Range;

use bytes::Bytes;
use mail::{AccountId, MailboxId, Rights, Timestamp, Uid};
use message::date::parse_rfc3339;
use store::{AccountState, StoreError, StoreResult};
use wire::imap::fetch::Section;
use wire::imap::url::{Access, Authority, Authorization, MessageUrl};
use wire::imap::urlauth::is_genuine;

use crate::access::{find, identify};
use crate::fetch::{Place, partial, place};
use crate::session::Service;
use reading::body::Message;

/// Who follows URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Somebody who has logged in, with URLs into his own mailboxes also where these don't say that he may.
    Owner(AccountId),
    /// Somebody who has logged in, with URLs that say that he may.
    Reader(AccountId),
    /// The submission server, on behalf of who has logged in there.
    Submission(AccountId),
}

/// Why a URL leads nowhere.
#[derive(Debug)]
pub enum Astray {
    /// It is of another server.
    Elsewhere,
    /// It names nothing that can be had, or not by him; the words are for the owner of what it names.
    Url(&'static str),
    /// The store can't tell.
    Store(StoreError),
}

impl From<StoreError> for Astray {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::MailboxGone(_) | StoreError::NoMailbox(_) | StoreError::Forbidden => {
                Self::Url("There is no such mailbox")
            }
            error => Self::Store(error),
        }
    }
}

/// One answer for all that is not as it must be: whose account, which mailbox or which token it was is not for strangers.
const NOT_ALLOWED: Astray = Astray::Url("The URL does not allow it");

/// A message, and what of it.
pub(crate) struct Found<'s> {
    pub(crate) message: Message<'s>,
    pub(crate) section: Section,
}

/// The octets that a URL leads to, from the first to the last.
pub struct Content<'s> {
    message: Message<'s>,
    /// Octets that are not in the message as they are: fields that were picked out of a header.
    picked: Option<Bytes>,
    left: Range<u64>,
}

impl Service {
    /// What the submission server may read on behalf of who has logged in there (BURL, RFC 4468).
    pub async fn submitted(&self, account: AccountId, now: Timestamp, url: &[u8]) -> Result<Content<'_>, Astray> {
        Content::of(follow(self, Who::Submission(account), now, url).await?).await
    }
}

impl<'s> Content<'s> {
    pub(crate) async fn of(found: Found<'s>) -> Result<Self, Astray> {
        let Found { mut message, section } = found;
        Ok(match place(&section, &mut message).await? {
            Place::Nowhere => return Err(Astray::Url("There is no such part")),
            Place::Picked(bytes) => {
                let left = partial(section.partial, 0..bytes.len() as u64);
                Self { message, picked: Some(bytes.into()), left }
            }
            Place::Range(range) => Self { message, picked: None, left: partial(section.partial, range) },
        })
    }

    /// How many are left.
    pub const fn len(&self) -> u64 {
        self.left.end - self.left.start
    }

    /// Whether none is left.
    pub const fn is_empty(&self) -> bool {
        self.left.start >= self.left.end
    }

    /// The next ones; `None` at the end.
    pub async fn next(&mut self) -> StoreResult<Option<Bytes>> {
        if self.is_empty() {
            return Ok(None);
        }
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let piece = match &self.picked {
            Some(picked) => picked.slice(place(self.left.start)..place(self.left.end).min(picked.len())),
            None => self.message.read(self.left.clone()).await?,
        };
        self.left.start += piece.len() as u64;
        Ok(Some(piece))
    }
}

/// Follows a URL.
pub(crate) async fn follow<'s>(
    service: &'s Service,
    who: Who,
    now: Timestamp,
    text: &[u8],
) -> Result<Found<'s>, Astray> {
    let url = MessageUrl::read(text).map_err(|bad| Astray::Url(bad.0))?;
    let mailbox = match &url.authorization {
        Some(authorization) => authorized(service, who, now, text, &url, authorization).await?,
        None => own(service, who, &url).await?,
    };
    if let Some(uid_validity) = url.uid_validity
        && service.store.status(mailbox).await?.uid_validity.0 != uid_validity
    {
        return Err(Astray::Url("The mailbox is another one now"));
    }
    let uid = Uid::new(url.uid).ok_or(Astray::Url("There is no such message"))?;
    let found = service.store.bodies(mailbox, &[uid]).await?.pop();
    let (_, body) = found.ok_or(Astray::Url("There is no such message"))?;
    Ok(Found { message: Message::new(&service.structures, body), section: url.section.unwrap_or_else(Section::whole) })
}

/// The mailbox of a URL that says nothing of who may follow it: nobody reads another's mail.
async fn own(service: &Service, who: Who, url: &MessageUrl) -> Result<MailboxId, Astray> {
    let Who::Owner(account) = who else { return Err(NOT_ALLOWED) };
    if let Some(authority) = &url.authority {
        is_here(service, authority)?;
        if let Some(user) = &authority.user
            && account_of(service, user).await? != Some(account)
        {
            return Err(Astray::Url("The URL is of somebody else"));
        }
    }
    Ok(find(service, account, &url.mailbox, Rights::READ).await?.id)
}

/// The mailbox of a URL whose owner allows it.
async fn authorized(
    service: &Service,
    who: Who,
    now: Timestamp,
    text: &[u8],
    url: &MessageUrl,
    authorization: &Authorization,
) -> Result<MailboxId, Astray> {
    let Some(authority) = &url.authority else { return Err(NOT_ALLOWED) };
    is_here(service, authority)?;
    let (Some(user), Some(verifier), Some(rump)) = (&authority.user, &authorization.verifier, MessageUrl::rump(text))
    else {
        return Err(NOT_ALLOWED);
    };
    // RFC 4467 §2.2: the key is in the table of the user whom the URL names.
    let owner = account_of(service, user).await?.ok_or(NOT_ALLOWED)?;
    let mailbox = service.store.mailbox(owner, &url.mailbox).await?.ok_or(NOT_ALLOWED)?;
    let key = service.store.url_key(mailbox).await?.ok_or(NOT_ALLOWED)?;
    if !is_genuine(&key.0, rump, &verifier.mechanism, &verifier.token) {
        return Err(NOT_ALLOWED);
    }
    if let Some(expire) = &authorization.expire
        && parse_rfc3339(expire).is_none_or(|expire| expire <= now)
    {
        return Err(NOT_ALLOWED);
    }
    // RFC 4467 §3
    let is_allowed = match (&authorization.access, who) {
        (Access::Anonymous | Access::AuthUser, _) => true,
        (Access::User(user), Who::Owner(account) | Who::Reader(account))
        | (Access::Submit(user), Who::Submission(account)) => account_of(service, user).await? == Some(account),
        (Access::User(_), Who::Submission(_)) | (Access::Submit(_), Who::Owner(_) | Who::Reader(_)) => false,
    };
    if is_allowed { Ok(mailbox) } else { Err(NOT_ALLOWED) }
}

/// Whether a URL is of this server: no other is ever asked.
pub(crate) fn is_here(service: &Service, authority: &Authority) -> Result<(), Astray> {
    if authority.host.eq_ignore_ascii_case(&service.hostname()) { Ok(()) } else { Err(Astray::Elsewhere) }
}

/// Whose name it is: the log-in name is the address.
pub(crate) async fn account_of(service: &Service, user: &str) -> StoreResult<Option<AccountId>> {
    let account = identify(service, user.trim()).await?;
    Ok(account.filter(|account| account.state == AccountState::Active).map(|account| account.id))
}
