//! Journeys: where is my mail, and how did this reach me. A capability of our own; docs/jmap.md describes it.
//!
//! The store keeps the whole way of each message (`store::journey`); here an account gets the part of it that it may see (`view`),
//! and of a message that it has also the way before this server, as the message itself tells it (`coming`).
//!
//! **Ids.** The journey of what an account sent has the message's queue id, that of what came has the Email's id. The latter never
//! changes and comes and goes with the Email, so `changes` tells of the former alone.

mod changes;
mod coming;
mod following;
mod get;
mod query;
mod view;

use std::fmt::Write as _;

use mail::Timestamp;
use message::date::{DateTime, rfc3339};
use store::JourneyQuery;

use crate::args::Args;
use crate::error::{Answer, MethodError};
use crate::request::Context;

pub(crate) use changes::changes;
pub(crate) use following::Following;
pub(crate) use get::get;
pub(crate) use query::query;

/// Whose journeys are asked for.
struct Owner {
    /// Its address, as the store's events have it.
    address: String,
    /// Nothing from before that is its own: an address may have been another's.
    since: Timestamp,
}

impl Context<'_> {
    /// The argument accountId, which must be the user's own: what is shared is messages, not their ways.
    async fn owner(&self, args: &mut Args) -> Answer<Owner> {
        let id = self.own_account_id(args).await?;
        let account = self.server.store.account(id).await?.ok_or(MethodError::new("accountNotFound"))?;
        Ok(Owner { address: account.address.to_string(), since: account.created })
    }

    /// Of the journeys that a query finds those that the owner sent.
    async fn sent(&self, owner: &Owner, query: &JourneyQuery, limit: usize) -> Answer<Vec<store::Journey>> {
        let mut found = self.server.store.journeys(query, limit).await?;
        found.retain(|journey| view::is_sender(journey, owner));
        Ok(found)
    }
}

/// RFC 8620 §1.4: a UTCDate, with milliseconds where there are any.
fn utc_date(millis: i64) -> String {
    let mut text = rfc3339(DateTime { timestamp: Timestamp::from_millis(millis), offset: 0 });
    let rest = millis.rem_euclid(1000);
    if rest != 0 && text.pop().is_some() {
        // Writing to a string does not fail.
        let _ = write!(text, ".{rest:03}Z");
    }
    text
}
