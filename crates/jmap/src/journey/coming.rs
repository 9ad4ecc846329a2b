//! How a message came here, as it tells itself: the hops before this server, and what this server noted of who sent it.

use mail::{QueueId, limits};
use message::header::Header;
use message::received::{self, Hop, Verdict};
use reading::body::Message;
use serde_json::{Value, json};
use store::{Journey, JourneyQuery};

use super::{Owner, utc_date, view};
use crate::account::Account;
use crate::error::Answer;
use crate::index::Email;
use crate::request::Context;

/// See above.
pub(super) struct Coming {
    pub(super) message_id: Option<String>,
    /// The first first.
    pub(super) hops: Vec<Hop>,
    pub(super) verdicts: Vec<Verdict>,
    /// The way here, where the message came over this server to this account, and that is still known.
    pub(super) journey: Option<Journey>,
}

impl Context<'_> {
    /// How an Email came; `None`: it went meanwhile.
    pub(super) async fn coming(&self, account: &Account, owner: &Owner, email: &Email<'_>) -> Answer<Option<Coming>> {
        let Some((mailbox, uid)) = email.place() else { return Ok(None) };
        let store = &self.server.store;
        debug_assert!(account.is_own, "of others' messages nothing is told");
        let Some((_, body)) = store.bodies(mailbox, &[uid]).await?.into_iter().next() else { return Ok(None) };
        let mut message = Message::new(&self.server.structures, body);
        let range = message.header().await?;
        let octets = message.read_whole(reading::body::looked_at(range)).await?;
        let header = Header::of(&octets);
        let mut hops = received::hops(&header);
        let message_id = header.message_id();
        let mut coming = Coming { message_id, hops: Vec::new(), verdicts: Vec::new(), journey: None };
        // Anybody may write our ids: it is the account's own way, and this message's, or none.
        let is_its = |journey: &Journey| view::is_receiver(journey, owner) && journey.message_id == coming.message_id;
        if let Some(id) = hops.first().and_then(|hop| hop.id.as_deref()?.parse::<QueueId>().ok()) {
            coming.journey = store.journeys(&JourneyQuery::Id(id), 1).await?.into_iter().find(is_its);
        } else if let (true, Some(id)) = (hops.is_empty(), &coming.message_id) {
            // What this server wrote itself (a report, an away notice) came over nobody, so it has no such field. Nor has what the
            // owner put here, who may well write the Message-ID of what he got.
            let found = store.journeys(&JourneyQuery::MessageId(id.clone()), limits::TRACE_JOURNEYS).await?;
            coming.journey = found.into_iter().find(|journey| is_its(journey) && view::is_made_here(journey));
        }
        if let (Some(_), Some(server)) = (&coming.journey, hops.first().and_then(|hop| hop.by.as_deref())) {
            coming.verdicts = received::verdicts(&header, server);
        }
        hops.reverse();
        coming.hops = hops;
        Ok(Some(coming))
    }
}

pub(super) fn hop(hop: &Hop) -> Value {
    json!({
        "from": hop.from,
        "address": hop.address.map(|address| address.to_string()),
        "by": hop.by,
        "with": hop.with,
        "id": hop.id,
        "tls": hop.tls,
        "at": hop.at.map(|at| utc_date(at.timestamp.millis())),
    })
}

pub(super) fn verdict(verdict: &Verdict) -> Value {
    let properties: serde_json::Map<String, Value> =
        verdict.properties.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    json!({ "method": verdict.method, "result": verdict.result, "properties": properties })
}
