//! Quotas (RFC 9425). An account has one, on octets, where one is set.

use serde_json::{Map, Value, json};

use crate::args::Args;
use crate::changes::{UNKNOWN, state_and_most};
use crate::error::{Answer, MethodError};
use crate::ids;
use crate::query::{Filter, comparators, picked, wanted_ids, wanted_properties};
use crate::request::Context;

/// The id of the one.
const ID: &str = "octets";

/// RFC 9425 §4.1
const PROPERTIES: &[&str] =
    &["id", "resourceType", "used", "hardLimit", "warnLimit", "softLimit", "scope", "name", "description", "types"];

/// What there is of it.
struct Quota {
    account: String,
    name: String,
    used: u64,
    limit: Option<u64>,
}

impl Quota {
    async fn read(context: &Context<'_>, args: &mut Args) -> Answer<Self> {
        let id = context.own_account_id(args).await?;
        let account = context.server.store.account(id).await?.ok_or(MethodError::new("accountNotFound"))?;
        Ok(Self {
            account: ids::account(id),
            name: account.address.to_string(),
            used: account.used,
            limit: account.quota,
        })
    }

    fn state(&self) -> String {
        self.limit.map_or_else(|| "none".to_owned(), |limit| format!("{}-{limit}", self.used))
    }

    fn object(&self, wanted: &[&str]) -> Option<Value> {
        let value = json!({
            "id": ID,
            "resourceType": "octets",
            "used": self.used,
            "hardLimit": self.limit?,
            "warnLimit": null,
            "softLimit": null,
            "scope": "account",
            "name": self.name,
            "description": null,
            "types": ["Email"],
        });
        let mut members = value.as_object().cloned().unwrap_or_default();
        Some(picked(&mut members, wanted))
    }
}

/// Quota/get.
pub(crate) async fn get(context: &mut Context<'_>, mut args: Args) -> Answer {
    let quota = Quota::read(context, &mut args).await?;
    let ids = wanted_ids(&mut args)?;
    let wanted = wanted_properties(&mut args, PROPERTIES)?;
    args.finish()?;
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for id in ids.unwrap_or_else(|| quota.limit.map(|_| ID.to_owned()).into_iter().collect()) {
        match quota.object(&wanted).filter(|_| id == ID) {
            Some(value) => list.push(value),
            None => not_found.push(id),
        }
    }
    Ok(json!({ "accountId": quota.account, "state": quota.state(), "list": list, "notFound": not_found }))
}

/// Quota/changes: the state says what was before.
pub(crate) async fn changes(context: &mut Context<'_>, mut args: Args) -> Answer {
    let quota = Quota::read(context, &mut args).await?;
    let (since, _) = state_and_most(args)?;
    let before = match since.as_str() {
        "none" => None,
        since => {
            let (used, limit) = since.split_once('-').ok_or(UNKNOWN)?;
            Some((used.parse::<u64>().map_err(|_| UNKNOWN)?, limit.parse::<u64>().map_err(|_| UNKNOWN)?))
        }
    };
    let (mut created, mut updated, mut destroyed) = (Vec::new(), Vec::new(), Vec::new());
    let mut properties = Value::Null;
    match (before, quota.limit) {
        (None, Some(_)) => created.push(ID),
        (Some(_), None) => destroyed.push(ID),
        (Some((used, limit)), Some(now)) if (used, limit) != (quota.used, now) => {
            updated.push(ID);
            if limit == now {
                properties = json!(["used"]);
            }
        }
        _ => {}
    }
    Ok(json!({
        "accountId": quota.account,
        "oldState": since,
        "newState": quota.state(),
        "hasMoreChanges": false,
        "updatedProperties": properties,
        "created": created,
        "updated": updated,
        "destroyed": destroyed,
    }))
}

/// Quota/query: of one object nothing needs to be sorted, nor remembered for its changes.
pub(crate) async fn query(context: &mut Context<'_>, mut args: Args) -> Answer {
    let quota = Quota::read(context, &mut args).await?;
    let matches = filter(&mut args, &quota)?;
    let (position, limit) = (args.integer("position")?.unwrap_or(0), args.unsigned("limit")?);
    let anchor = args.id("anchor")?;
    args.integer("anchorOffset")?;
    let total = args.boolean("calculateTotal")?.unwrap_or(false);
    args.finish()?;
    let found: Vec<&str> = if matches { vec![ID] } else { Vec::new() };
    if anchor.is_some_and(|anchor| !found.contains(&anchor.as_str())) {
        return Err(MethodError::new("anchorNotFound"));
    }
    let ids: Vec<&str> = found.iter().copied().filter(|_| position < 1 && limit != Some(0)).collect();
    let mut response = json!({
        "accountId": quota.account,
        "queryState": quota.state(),
        "canCalculateChanges": false,
        "position": position.max(0),
        "ids": ids,
    });
    if total {
        response["total"] = found.len().into();
    }
    Ok(response)
}

/// Quota/queryChanges.
pub(crate) async fn query_changes(context: &mut Context<'_>, mut args: Args) -> Answer {
    let quota = Quota::read(context, &mut args).await?;
    Args::required("sinceQueryState", args.string("sinceQueryState")?)?;
    filter(&mut args, &quota)?;
    args.unsigned("maxChanges")?;
    args.id("upToId")?;
    args.boolean("calculateTotal")?;
    args.finish()?;
    Err(UNKNOWN)
}

/// RFC 9425 §4.4.1: whether the one matches the arguments filter and sort.
fn filter(args: &mut Args, quota: &Quota) -> Answer<bool> {
    let condition = &mut |mut members: Args| {
        let mut wanted = Map::new();
        for name in ["name", "scope", "resourceType", "type"] {
            wanted.extend(members.string(name)?.map(|text| (name.to_owned(), Value::from(text))));
        }
        members.finish()?;
        Ok(wanted)
    };
    let filter = Filter::read(args.value("filter"), condition)?;
    if let Some(other) = comparators(args)?.iter().find(|by| !["name", "used"].contains(&by.property.as_str())) {
        return Err(MethodError::with("unsupportedSort", format!("quotas are not sorted by {}", other.property)));
    }
    let holds = filter.holds(&mut |wanted: &Map<String, Value>| {
        let is = |(name, text): (&String, &Value)| match name.as_str() {
            "name" => text.as_str().is_some_and(|text| quota.name.contains(text)),
            "scope" => text == "account",
            "resourceType" => text == "octets",
            _ => text == "Email",
        };
        Some(wanted.iter().all(is))
    });
    Ok(quota.limit.is_some() && holds == Some(true))
}
