//! CATENATE (RFC 4469): parts of messages that are here already become parts of a new one.

use std::ops::Range;

use mail::{AccountId, Rights, Uid};
use store::{Stage, StoreError};
use wire::imap::fetch::Section;
use wire::imap::reply::{Code, Reply};
use wire::imap::url::MessageUrl;

use crate::access::find;
use crate::append::too_big;
use crate::body::Message;
use crate::fetch::{Place, partial, place};
use crate::io::Io;
use crate::refusal::target_refusal;
use crate::session::Service;

/// Where URLs lead: the mailboxes that one account may read.
pub(crate) struct Shelf<'s> {
    pub(crate) service: &'s Service,
    pub(crate) account: AccountId,
    /// What may be done in the mailbox that the message comes to.
    pub(crate) rights: Rights,
}

/// Why nothing can be copied.
enum Trouble {
    /// The URL names nothing that can be had (RFC 4469 §4.1).
    Url(&'static str),
    TooBig,
    Store(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::MailboxGone(_) | StoreError::NoMailbox(_) => Self::Url("There is no such mailbox"),
            error => Self::Store(error),
        }
    }
}

/// Adds what a URL names.
pub(crate) async fn copy(shelf: &Shelf<'_>, io: &Io<'_>, url: &[u8], stage: &mut Box<dyn Stage>) -> Result<(), Reply> {
    let most = io.host.message_size();
    follow(shelf, url, most, stage).await.map_err(|trouble| match trouble {
        Trouble::Url(why) => bad_url(url, why),
        Trouble::TooBig => too_big(most),
        Trouble::Store(error) => target_refusal(&error),
    })
}

/// RFC 4469 §4.1: `badurl-response-code = "BADURL" SP url-resp-text`, `url-resp-text = 1*(%x01-09 / …)`, any text but `]`
fn bad_url(url: &[u8], why: &'static str) -> Reply {
    let shown = url.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b']'));
    let code = Code::BadUrl.word();
    let code = if shown { format!("{code} \"{}\"", String::from_utf8_lossy(url)) } else { format!("{code} \"\"") };
    Reply::no(Code::BadUrl, why).with_code(code)
}

async fn follow(shelf: &Shelf<'_>, url: &[u8], most: u64, stage: &mut Box<dyn Stage>) -> Result<(), Trouble> {
    let url = MessageUrl::read(url).map_err(|bad| Trouble::Url(bad.0))?;
    is_ours(shelf, &url).await?;
    let store = &shelf.service.store;
    let mailbox = find(shelf.service, shelf.account, &url.mailbox, Rights::READ).await?.id;
    if let Some(uid_validity) = url.uid_validity
        && store.status(mailbox).await?.uid_validity.0 != uid_validity
    {
        return Err(Trouble::Url("The mailbox is another one now"));
    }
    let uid = Uid::new(url.uid).ok_or(Trouble::Url("There is no such message"))?;
    let (_, body) = store.bodies(mailbox, &[uid]).await?.pop().ok_or(Trouble::Url("There is no such message"))?;
    let mut message = Message::new(shelf.service, body);
    let section = url.section.unwrap_or_else(Section::whole);
    match place(&section, &mut message).await? {
        Place::Nowhere => Err(Trouble::Url("There is no such part")),
        Place::Picked(bytes) => {
            let wanted = partial(section.partial, 0..bytes.len() as u64);
            let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
            fits(stage, &wanted, most)?;
            Ok(stage.write(&bytes[at(wanted.start)..at(wanted.end)]).await?)
        }
        Place::Range(range) => {
            let mut left = partial(section.partial, range);
            fits(stage, &left, most)?;
            while !left.is_empty() {
                let piece = message.read(left.clone()).await?;
                left.start += piece.len() as u64;
                stage.write(&piece).await?;
            }
            Ok(())
        }
    }
}

fn fits(stage: &mut Box<dyn Stage>, range: &Range<u64>, most: u64) -> Result<(), Trouble> {
    if stage.len().saturating_add(range.end - range.start) > most { Err(Trouble::TooBig) } else { Ok(()) }
}

/// An absolute URL must be of this server and of who is logged in: nobody reads another's mail.
async fn is_ours(shelf: &Shelf<'_>, url: &MessageUrl) -> Result<(), Trouble> {
    let Some(authority) = &url.authority else { return Ok(()) };
    if !authority.host.eq_ignore_ascii_case(&shelf.service.hostname()) {
        return Err(Trouble::Url("The URL is of another server"));
    }
    let Some(user) = &authority.user else { return Ok(()) };
    let account = shelf.service.store.account(shelf.account).await?;
    let is_own = account.is_some_and(|account| account.address.to_string().eq_ignore_ascii_case(user));
    if is_own { Ok(()) } else { Err(Trouble::Url("The URL is of somebody else")) }
}
