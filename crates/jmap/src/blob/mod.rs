//! Blobs (RFC 8620 §6, RFC 9404): octets by id.
//!
//! `G` and a number is a message as it is stored, `U` and a number an upload, `S` with two numbers a script as it was set last; `-` and the number of a part behind it is the
//! content of that part, decoded, and another one behind it a part of the message that this part is.

mod content;
pub(crate) mod copy;
mod download;
pub(crate) mod get;
pub(crate) mod lookup;
mod upload;
pub(crate) mod uploads;

pub(crate) use content::{Content, Octets};
pub use download::Download;

use std::sync::Arc;

use mail::{BodyId, ModSeq, ScriptId};
use message::structure::Kind;
use message::transfer::Encoding;
use reading::body::Message;
use store::{Body, ScriptInfo, StoreResult};

use crate::account::Account;
use crate::ids;
use crate::server::{Server, User};

/// The blob of a message.
pub(crate) fn of_message(body: BodyId) -> String {
    format!("G{}", body.0)
}

/// The blob of an upload.
pub(crate) fn of_upload(body: BodyId) -> String {
    format!("U{}", body.0)
}

/// The blob of a script: another one when its text is.
pub(crate) fn of_script(script: &ScriptInfo) -> String {
    format!("S{}-{}", script.id.0, script.changed.0)
}

/// Where the octets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Message(BodyId),
    Upload(BodyId),
    Script(ScriptId, ModSeq),
}

/// An id taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlobId {
    pub(crate) source: Source,
    /// Parts, from the outside in.
    path: Vec<u32>,
}

impl BlobId {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut pieces = text.split('-');
        let first = pieces.next()?;
        let number = |text: &str| ids::parse_email(&format!("M{}", text.get(1..)?));
        let source = match first.as_bytes().first()? {
            b'G' => Source::Message(number(first)?),
            b'U' => Source::Upload(number(first)?),
            b'S' => Source::Script(ScriptId(number(first)?.0), ModSeq(number(&format!("S{}", pieces.next()?))?.0)),
            _ => return None,
        };
        let part = |text: &str| ids::parse_email(&format!("M{text}")).and_then(|id| u32::try_from(id.0).ok());
        Some(Self { source, path: pieces.map(part).collect::<Option<_>>()? })
    }
}

impl Server {
    /// The octets of a blob, where the user may have them in this account.
    pub(crate) async fn blob(&self, user: &User, account: &Account, id: &str) -> StoreResult<Option<Content>> {
        let Some(id) = BlobId::parse(id) else { return Ok(None) };
        let Some(body) = self.source(user, account, id.source).await? else { return Ok(None) };
        let (mut content, mut is_message) = (Content::whole(body), true);
        for part in id.path {
            // Only what is a message has parts.
            let inner = if is_message { self.part(content, part).await? } else { None };
            let Some(inner) = inner else { return Ok(None) };
            (content, is_message) = inner;
        }
        Ok(Some(content))
    }

    async fn source(&self, user: &User, account: &Account, source: Source) -> StoreResult<Option<Arc<dyn Body>>> {
        match source {
            // RFC 8620 §6.1: an upload is for who made it, whatever the account.
            Source::Upload(id) => self.store.upload(user.account, id).await,
            Source::Script(id, changed) if account.id == user.account => {
                let scripts = self.store.scripts(account.id).await?.scripts;
                let Some(script) = scripts.into_iter().find(|one| one.id == id && one.changed == changed) else {
                    return Ok(None);
                };
                let text = self.store.script(account.id, &script.name).await?;
                Ok(text.map(|text| Octets::body(text.into())))
            }
            // Scripts are their owner's alone.
            Source::Script(..) => Ok(None),
            Source::Message(id) => {
                let Some((mailbox, uid)) = account.index.email(id).and_then(|email| email.place()) else {
                    return Ok(None);
                };
                let bodies = self.store.bodies(mailbox, &[uid]).await?;
                Ok(bodies.into_iter().next().map(|(_, body)| body))
            }
        }
    }

    /// The content of a part of a message, and whether it is a message itself.
    async fn part(&self, message: Content, number: u32) -> StoreResult<Option<(Content, bool)>> {
        let body = match message.as_body() {
            Some(body) => body,
            None => Octets::body(message.read().await?),
        };
        let structure = Message::passing(&self.structures, body.clone()).structure().await?;
        let Some(part) = structure.part(number) else { return Ok(None) };
        let content = Content { body, range: part.body.clone(), encoding: Encoding::of(&part.encoding) };
        Ok(Some((content, matches!(part.kind, Kind::Message(_)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        let parsed = |text| BlobId::parse(text);
        assert_eq!(parsed("G7"), Some(BlobId { source: Source::Message(BodyId(7)), path: vec![] }));
        assert_eq!(parsed("U7-0-12"), Some(BlobId { source: Source::Upload(BodyId(7)), path: vec![0, 12] }));
        for bad in ["", "G", "X7", "G7-", "G7-x", "G-7", "G7-01", "G7-4294967296", "é7", "G7--1"] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }
}
