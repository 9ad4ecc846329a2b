//! What a URL leads to (RFC 5092), and who may follow it (RFC 4467 §6).

use mail::{AccountId, MailboxId, Rights, Timestamp, Uid};
use message::date::parse_rfc3339;
use store::{AccountState, DirectoryEntry, StoreError, StoreResult};
use wire::imap::fetch::Section;
use wire::imap::url::{Access, Authority, Authorization, MessageUrl};
use wire::imap::urlauth::is_genuine;

use crate::access::find;
use crate::body::Message;
use crate::session::Service;

/// Who follows URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Somebody who has logged in, with URLs into his own mailboxes also where these don't say that he may.
    Owner(AccountId),
    /// Somebody who has logged in, with URLs that say that he may.
    Reader(AccountId),
}

/// Why a URL leads nowhere.
#[derive(Debug)]
pub(crate) enum Astray {
    /// It is not for this server to follow.
    Elsewhere,
    /// It names nothing that can be had, or not by him.
    Url(&'static str),
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
    Ok(Found { message: Message::new(service, body), section: url.section.unwrap_or_else(Section::whole) })
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
        (Access::User(user), Who::Owner(account) | Who::Reader(account)) => {
            account_of(service, user).await? == Some(account)
        }
        (Access::Submit(_), Who::Owner(_) | Who::Reader(_)) => false,
    };
    if is_allowed { Ok(mailbox) } else { Err(NOT_ALLOWED) }
}

/// Whether a URL is of this server: no other is ever asked.
pub(crate) fn is_here(service: &Service, authority: &Authority) -> Result<(), Astray> {
    if authority.host.eq_ignore_ascii_case(&service.hostname()) { Ok(()) } else { Err(Astray::Elsewhere) }
}

/// Whose name it is: the log-in name is the address.
pub(crate) async fn account_of(service: &Service, user: &str) -> StoreResult<Option<AccountId>> {
    let Ok(address) = wire::address::mailbox(user.trim()) else { return Ok(None) };
    match service.store.entry(&address.folded()).await? {
        Some(DirectoryEntry::Account(account)) if account.state == AccountState::Active => Ok(Some(account.id)),
        _ => Ok(None),
    }
}
