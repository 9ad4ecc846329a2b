//! What changed, for those who listen (RFC 8620 §7): which types of which accounts have another state now.
//!
//! Does: hear that something changed ([`Ear`], by the store's news), find out which types did, by what the methods `/changes` would
//! answer, and word it (`StateChange`). A type that is to be told of is a line of the table in `types`.
//!
//! Does not: send anything: how listeners are reached ([`Courier`]: those without a connection), when they are told, and whether
//! they still may be, is the caller's.

use serde_json::{Value, json};
use store::PushSubscription;

use crate::ids;

mod courier;
mod ear;
mod states;
mod types;

pub use courier::Courier;
pub use ear::{Ear, Heard};
pub use states::{Changed, States};
pub use types::Types;

/// What is pushed to a new subscription, and nothing else before the code came back (RFC 8620 §7.2.2).
pub fn verification(subscription: &PushSubscription) -> Value {
    json!({
        "@type": "PushVerification",
        "pushSubscriptionId": ids::push_subscription(subscription.id),
        "verificationCode": subscription.given.code,
    })
}
