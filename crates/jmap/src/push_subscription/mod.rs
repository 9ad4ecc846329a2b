//! PushSubscription (RFC 8620 §7.2): where a client that holds no connection is told of changes.
//!
//! They belong to no account but to what a client was let in by: who logs in by something else sees nothing of them. How
//! they are told is a [`crate::push::Courier`]'s.

mod pace;
mod set;

use serde_json::{Map, Value, json};
use store::{PushSubscription, StoreResult};

use crate::args::Args;
use crate::email::object::utc;
use crate::error::{Answer, MethodError};
use crate::ids;
use crate::query::{picked, wanted_ids, wanted_properties};
use crate::request::Context;

pub(crate) use pace::Pace;
pub(crate) use set::set;

/// RFC 8620 §7.2: what is told of them.
const PROPERTIES: &[&str] = &["id", "deviceClientId", "verificationCode", "expires", "types"];

/// RFC 8620 §7.2.1: these are told to nobody.
const HIDDEN: &[&str] = &["url", "keys"];

/// Those that were made by what the user was let in by, and are good.
async fn own(context: &Context<'_>) -> StoreResult<Vec<PushSubscription>> {
    let mut all = context.server.store.push_subscriptions(context.user.account).await?;
    // RFC 8620 §7.2: only subscriptions that these credentials made.
    all.retain(|one| one.given.credential == context.user.credential && !one.is_over(context.moment.now));
    Ok(all)
}

fn object(one: &PushSubscription) -> Map<String, Value> {
    let value = json!({
        "id": ids::push_subscription(one.id),
        "deviceClientId": one.given.device,
        // Before the client has said it, it is told only by a push.
        "verificationCode": one.verified.then_some(&one.given.code),
        "expires": one.given.expires.map(utc),
        "types": one.given.types,
    });
    value.as_object().cloned().unwrap_or_default()
}

/// PushSubscription/get (RFC 8620 §7.2.1): without accountId, and without a state.
pub(crate) async fn get(context: &mut Context<'_>, mut args: Args) -> Answer {
    let ids = wanted_ids(&mut args)?;
    let is_hidden = |value: &Value| value.as_str().is_some_and(|name| HIDDEN.contains(&name));
    if args.peek("properties").and_then(Value::as_array).is_some_and(|names| names.iter().any(is_hidden)) {
        return Err(MethodError::new("forbidden"));
    }
    let wanted = wanted_properties(&mut args, PROPERTIES)?;
    args.finish()?;
    let all = own(context).await?;
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    let ids = ids.unwrap_or_else(|| all.iter().map(|one| ids::push_subscription(one.id)).collect());
    for id in ids {
        match found(context, &all, &id) {
            Some(one) => list.push(picked(&mut object(one), &wanted)),
            None => not_found.push(id),
        }
    }
    Ok(json!({ "list": list, "notFound": not_found }))
}

fn found<'a>(context: &Context<'_>, all: &'a [PushSubscription], id: &str) -> Option<&'a PushSubscription> {
    let id = context.real_id(id).and_then(ids::parse_push_subscription)?;
    all.iter().find(|one| one.id == id)
}
