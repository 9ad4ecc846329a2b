//! SieveScript (RFC 9661): the scripts that sort an account's mail, which its owner alone sees. Deliveries run the active one
//! (`mta`); ManageSieve shows the same.

mod set;
mod validate;

use std::cmp::Ordering;

use mail::ScriptId;
use serde_json::{Map, Value, json};
use store::{ScriptInfo, ScriptList};

use crate::args::Args;
use crate::error::{Answer, MethodError};
use crate::query::{Comparator, Filter, Window, comparators, picked, wanted_ids, wanted_properties};
use crate::request::Context;
use crate::{blob, ids};

pub(crate) use set::set;
pub(crate) use validate::validate;

/// RFC 9661 §2
const PROPERTIES: &[&str] = &["id", "name", "blobId", "isActive"];

fn object(script: &ScriptInfo) -> Map<String, Value> {
    let value = json!({
        "id": ids::script(script.id),
        "name": script.name,
        "blobId": blob::of_script(script),
        "isActive": script.active,
    });
    value.as_object().cloned().unwrap_or_default()
}

/// The script of an id, which may be that of one made in the same request.
fn found<'l>(context: &Context<'_>, list: &'l ScriptList, id: &str) -> Option<&'l ScriptInfo> {
    let id = context.real_id(id).and_then(ids::parse_script)?;
    list.scripts.iter().find(|script| script.id == id)
}

/// SieveScript/get (RFC 9661 §2.3).
pub(crate) async fn get(context: &mut Context<'_>, mut args: Args) -> Answer {
    let account = context.own_account_id(&mut args).await?;
    let wanted = wanted_ids(&mut args)?;
    let properties = wanted_properties(&mut args, PROPERTIES)?;
    args.finish()?;
    let all = context.server.store.scripts(account).await?;
    let tell = |script: &ScriptInfo| picked(&mut object(script), &properties);
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    match wanted {
        None => list.extend(all.scripts.iter().map(tell)),
        Some(wanted) => {
            for id in wanted {
                match found(context, &all, &id) {
                    Some(script) => list.push(tell(script)),
                    None => not_found.push(id),
                }
            }
        }
    }
    let state = ids::state(all.state);
    Ok(json!({ "accountId": ids::account(account), "state": state, "list": list, "notFound": not_found }))
}

/// RFC 9661 §2.5: a FilterCondition; all that is given must match.
struct Condition {
    /// Part of the name, in any case.
    name: Option<String>,
    active: Option<bool>,
}

impl Condition {
    fn read(mut members: Args) -> Answer<Self> {
        let condition = Self {
            name: members.string("name")?.map(|name| name.to_lowercase()),
            active: members.boolean("isActive")?,
        };
        members.finish()?;
        Ok(condition)
    }

    fn matches(&self, script: &ScriptInfo) -> bool {
        self.name.as_ref().is_none_or(|name| script.name.to_lowercase().contains(name))
            && self.active.is_none_or(|active| script.active == active)
    }
}

/// SieveScript/query (RFC 9661 §2.5). There is no SieveScript/queryChanges.
pub(crate) async fn query(context: &mut Context<'_>, mut args: Args) -> Answer {
    let account = context.own_account_id(&mut args).await?;
    let window = Window::read(&mut args)?;
    let filter = Filter::read(args.value("filter"), &mut Condition::read)?;
    let sort = comparators(&mut args)?;
    if let Some(other) = sort.iter().find(|by| !["name", "isActive"].contains(&by.property.as_str())) {
        let why = format!("scripts are not sorted by {}", other.property);
        return Err(MethodError::with("unsupportedSort", why));
    }
    args.finish()?;
    let all = context.server.store.scripts(account).await?;
    let matches = |script: &&ScriptInfo| filter.holds(&mut |one| Some(one.matches(script))).unwrap_or(false);
    let mut scripts: Vec<&ScriptInfo> = all.scripts.iter().filter(matches).collect();
    scripts.sort_by(|a, b| compare(&sort, a, b));
    let found: Vec<ScriptId> = scripts.iter().map(|script| script.id).collect();
    let mut response = window.told(account, ids::state(all.state), &found, |id| ids::script(*id))?;
    response["canCalculateChanges"] = false.into();
    Ok(response)
}

fn compare(sort: &[Comparator], a: &ScriptInfo, b: &ScriptInfo) -> Ordering {
    let by = |comparator: &Comparator| {
        let order = match comparator.property.as_str() {
            "isActive" => a.active.cmp(&b.active),
            _ => a.name.to_lowercase().cmp(&b.name.to_lowercase()),
        };
        if comparator.is_ascending { order } else { order.reverse() }
    };
    sort.iter().map(by).find(|order| order.is_ne()).unwrap_or_else(|| a.id.cmp(&b.id))
}
