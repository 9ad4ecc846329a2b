//! Journey/get.

use mail::QueueId;
use serde_json::{Value, json};
use store::{Journey, JourneyQuery};

use super::{Owner, coming, utc_date, view};
use crate::account::Account;
use crate::args::Args;
use crate::error::{Answer, MethodError};
use crate::ids;
use crate::query::{picked, wanted_ids, wanted_properties};
use crate::request::{Context, TOO_LARGE, weight};

const PROPERTIES: &[&str] = &[
    "id",
    "kind",
    "queueId",
    "emailId",
    "messageId",
    "acceptedAt",
    "sender",
    "isUnderWay",
    "recipients",
    "events",
    "hops",
    "authentication",
];

pub(crate) async fn get(context: &mut Context<'_>, mut args: Args) -> Answer {
    let owner = context.owner(&mut args).await?;
    // As with conversations, not all at once.
    let asked = wanted_ids(&mut args)?.ok_or(MethodError::new("requestTooLarge"))?;
    let wanted = wanted_properties(&mut args, PROPERTIES)?;
    args.finish()?;
    let account = context.open(context.user.account).await?;
    // Before the look at them: what happens meanwhile is told after.
    let state = context.journey_state();
    let (mut list, mut not_found, mut octets) = (Vec::new(), Vec::new(), 0);
    for id in asked {
        let Some(mut value) = one(context, &account, &owner, &id).await? else {
            not_found.push(id);
            continue;
        };
        let value = value.as_object_mut().map_or(Value::Null, |members| picked(members, &wanted));
        octets += weight(&value);
        if octets > context.room {
            return Err(TOO_LARGE);
        }
        list.push(value);
        tokio::task::yield_now().await;
    }
    Ok(json!({ "accountId": ids::account(account.id), "state": state, "list": list, "notFound": not_found }))
}

async fn one(context: &Context<'_>, account: &Account, owner: &Owner, id: &str) -> Answer<Option<Value>> {
    if let Some(email) = context.real_id(id).and_then(ids::parse_email) {
        let Some(email) = account.index.email(email) else { return Ok(None) };
        let Some(coming) = context.coming(account, owner, &email).await? else { return Ok(None) };
        let journey = coming.journey.as_ref();
        return Ok(Some(json!({
            "id": id,
            "kind": "received",
            "queueId": journey.map(|journey| &journey.id),
            "emailId": ids::email(email.id()),
            "messageId": coming.message_id,
            "acceptedAt": journey.map(|journey| utc_date(journey.received_at)),
            "sender": journey.map(|journey| &journey.sender),
            "isUnderWay": false,
            "recipients": [],
            "events": journey.map_or(json!([]), |journey| view::of_receiver(journey, owner)),
            "hops": coming.hops.iter().map(coming::hop).collect::<Value>(),
            "authentication": coming.verdicts.iter().map(coming::verdict).collect::<Value>(),
        })));
    }
    let Ok(queue_id) = id.parse::<QueueId>() else { return Ok(None) };
    if queue_id.to_string() != id {
        return Ok(None);
    }
    let query = JourneyQuery::Id(queue_id);
    let Some(mut journey) = context.sent(owner, &query, 1).await?.pop() else { return Ok(None) };
    if context.follow(queue_id) {
        // What happened between the look and the following.
        journey = context.sent(owner, &query, 1).await?.pop().unwrap_or(journey);
    }
    Ok(Some(of_sent(&journey, owner)))
}

fn of_sent(journey: &Journey, owner: &Owner) -> Value {
    let (recipients, events) = view::of_sender(journey, owner);
    json!({
        "id": journey.id,
        "kind": "sent",
        "queueId": journey.id,
        "emailId": null,
        "messageId": journey.message_id,
        "acceptedAt": utc_date(journey.received_at),
        "sender": journey.sender,
        "isUnderWay": !journey.waiting.is_empty(),
        "recipients": recipients,
        "events": events,
        "hops": [],
        "authentication": [],
    })
}
