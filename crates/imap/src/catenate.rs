//! CATENATE (RFC 4469): parts of messages that are here already become parts of a new one.

use mail::{AccountId, Rights};
use store::Stage;
use wire::imap::reply::{Code, Reply};

use crate::append::too_big;
use crate::io::Io;
use crate::refusal::target_refusal;
use crate::session::Service;
use crate::url::{Astray, Content, Who, follow};

/// Where URLs lead: the mailboxes of one account, and where others allow it.
pub(crate) struct Shelf<'s> {
    pub(crate) service: &'s Service,
    pub(crate) account: AccountId,
    /// What may be done in the mailbox that the message comes to.
    pub(crate) rights: Rights,
}

/// Why nothing can be copied.
enum Trouble {
    Astray(Astray),
    TooBig,
}

impl<E: Into<Astray>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Astray(error.into())
    }
}

/// Adds what a URL names.
pub(crate) async fn copy(shelf: &Shelf<'_>, io: &Io<'_>, url: &[u8], stage: &mut Box<dyn Stage>) -> Result<(), Reply> {
    let most = io.host.message_size();
    add(shelf, io, url, most, stage).await.map_err(|trouble| match trouble {
        Trouble::Astray(Astray::Elsewhere) => bad_url(url, "The URL is of another server"),
        Trouble::Astray(Astray::Url(why)) => bad_url(url, why),
        Trouble::Astray(Astray::Store(error)) => target_refusal(&error),
        Trouble::TooBig => too_big(most),
    })
}

fn bad_url(url: &[u8], why: &'static str) -> Reply {
    Reply::no(Code::BadUrl, why).with_code(bad_url_code(url))
}

/// RFC 4469 §4.1: `badurl-response-code = "BADURL" SP url-resp-text`, `url-resp-text = 1*(%x01-09 / …)`, any text but `]`
pub(crate) fn bad_url_code(url: &[u8]) -> String {
    let shown = url.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b']'));
    let code = Code::BadUrl.word();
    if shown { format!("{code} \"{}\"", String::from_utf8_lossy(url)) } else { format!("{code} \"\"") }
}

async fn add(shelf: &Shelf<'_>, io: &Io<'_>, url: &[u8], most: u64, stage: &mut Box<dyn Stage>) -> Result<(), Trouble> {
    let found = follow(shelf.service, Who::Owner(shelf.account), io.host.now(), url).await?;
    let mut content = Content::of(found).await?;
    if stage.len().saturating_add(content.len()) > most {
        return Err(Trouble::TooBig);
    }
    while let Some(piece) = content.next().await? {
        stage.write(&piece).await?;
    }
    Ok(())
}
