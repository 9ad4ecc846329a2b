//! Digests (see `store::Digest`): what FETCH, SEARCH, SORT and THREAD otherwise find out by reading the message.
//!
//! Made behind the clients, with leftover time; an answer out of digests is octet for octet that out of messages.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mail::limits;
use message::envelope::Envelope;
use message::header::Header;
use reading::body::{Message, looked_at};
use reading::marks::{LEFT_OUT, marks_of};
use reading::{facts, texts};
use store::{Body, Digest, Digested, Marks, StoreResult};

use crate::session::Service;
use crate::structure;

/// Which digests these are. Another number for what is made otherwise: those of before are forgotten then.
pub const VERSION: u32 = 1;

/// How long to wait after the store refused.
const AGAIN: Duration = Duration::from_secs(60);

/// Makes digests as long as it is polled.
pub async fn make(service: Arc<Service>) {
    loop {
        if let Err(error) = make_some(&service).await {
            tracing::warn!(%error, "digests are not made now");
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Makes digests of some messages, once there are such that lack one.
pub async fn make_some(service: &Service) -> StoreResult<()> {
    let lacking = service.store.undigested().await?;
    let mut digests = Vec::with_capacity(lacking.len());
    for message in lacking {
        // One that can't be read is passed over, and read in vain by those who ask for it.
        let digest = of(service, message.body).await.ok();
        digests.push(Digested { mailbox: message.mailbox, uid: message.uid, digest });
        // Clients have their turn.
        tokio::task::yield_now().await;
    }
    service.store.keep_digests(digests).await
}

async fn of(service: &Service, body: Arc<dyn Body>) -> StoreResult<Digest> {
    let mut message = Message::passing(&service.structures, body);
    let structure = message.structure().await?;
    let header = message.read_whole(looked_at(structure.root().header.clone())).await?;
    let header = Header::of(&header);
    let (mut envelope, mut body) = (Vec::new(), Vec::new());
    write_envelope(&mut envelope, structure.root().envelope.as_deref());
    structure::body_structure(&mut body, &structure, true);
    let mut description = u32::try_from(envelope.len()).unwrap_or(0).to_le_bytes().to_vec();
    description.append(&mut envelope);
    description.append(&mut body);
    let facts = facts::Facts::of(&header).octets().to_vec();
    let mut marks = Marks::default();
    let mut note = |text: &str| {
        marks_of(text).for_each(|mark| marks.insert(mark));
        false
    };
    texts::of_header(&header, None, &mut note);
    texts::of_body(&mut message, 0, &mut note).await?;
    let mut parts = [description, header.without(LEFT_OUT).into_owned(), facts];
    parts.iter_mut().filter(|part| part.len() > limits::IMAP_DIGEST_PART).for_each(Vec::clear);
    Ok(Digest { parts, marks })
}

/// ENVELOPE of a message.
pub(crate) fn write_envelope(out: &mut Vec<u8>, envelope: Option<&Envelope>) {
    match envelope {
        Some(envelope) => structure::envelope(out, envelope),
        None => structure::envelope(out, &Envelope::default()),
    }
}

/// ENVELOPE and BODYSTRUCTURE out of a description.
pub(crate) fn described(description: &Bytes) -> Option<(&[u8], &[u8])> {
    let (len, rest) = description.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*len) as usize)
}
