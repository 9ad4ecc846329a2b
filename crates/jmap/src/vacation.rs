//! VacationResponse (RFC 8621 §8): what an account says by itself while its owner is away. There is one, whose owner alone sees
//! it; `mta` tells it to who writes.

use mail::Timestamp;
use message::date::parse_rfc3339;
use serde_json::{Map, Value, json};
use store::AwayNotice;

use crate::account::Account;
use crate::args::Args;
use crate::email::object::utc;
use crate::error::{Answer, SetError};
use crate::ids;
use crate::query::{picked, wanted_ids, wanted_properties};
use crate::request::Context;
use crate::set::{Outcome, Wanted, check_state, patched};

/// The id of the one.
const ID: &str = "singleton";

/// RFC 8621 §8
const PROPERTIES: &[&str] = &["id", "isEnabled", "fromDate", "toDate", "subject", "textBody", "htmlBody"];

/// The account, whose state of this type is the place of the notice's last change.
async fn open(context: &Context<'_>, args: &mut Args) -> Answer<Account> {
    // Who is away is not for others to tell.
    context.open(context.own_account_id(args).await?).await
}

fn object(notice: &AwayNotice) -> Map<String, Value> {
    let value = json!({
        "id": ID,
        "isEnabled": notice.enabled,
        "fromDate": notice.from.map(utc),
        "toDate": notice.to.map(utc),
        "subject": notice.subject,
        "textBody": notice.text,
        "htmlBody": notice.html,
    });
    value.as_object().cloned().unwrap_or_default()
}

/// VacationResponse/get (RFC 8621 §8.1).
pub(crate) async fn get(context: &mut Context<'_>, mut args: Args) -> Answer {
    let account = open(context, &mut args).await?;
    let ids = wanted_ids(&mut args)?.unwrap_or_else(|| vec![ID.to_owned()]);
    let wanted = wanted_properties(&mut args, PROPERTIES)?;
    args.finish()?;
    // After the look at its state: what it tells is that, or newer.
    let notice = context.server.store.away_notice(account.id).await?;
    let (found, not_found): (Vec<String>, Vec<String>) = ids.into_iter().partition(|id| id == ID);
    let list: Vec<Value> = found.iter().map(|_| picked(&mut object(&notice), &wanted)).collect();
    let state = ids::state(account.away);
    Ok(json!({ "accountId": ids::account(account.id), "state": state, "list": list, "notFound": not_found }))
}

/// VacationResponse/set (RFC 8621 §8.2).
pub(crate) async fn set(context: &mut Context<'_>, mut args: Args) -> Answer {
    let account = open(context, &mut args).await?;
    let old = ids::state(account.away);
    check_state(&mut args, "ifInState", &ids::state(account.away))?;
    let wanted = Wanted::read(&mut args)?;
    args.finish()?;
    let mut outcome = Outcome::default();
    let mut new = old.clone();
    // RFC 8620 §5.3: there is one, always.
    for (key, _) in wanted.create {
        outcome.created(key, Err(SetError::new("singleton")));
    }
    for (id, patch) in wanted.update {
        let changed = if id == ID { update(context, &account, patch).await } else { Err(SetError::new("notFound")) };
        let changed = changed.map(|state| {
            new = state;
            Value::Null
        });
        outcome.updated(context, id, changed);
    }
    for id in wanted.destroy {
        let why = if id == ID { "singleton" } else { "notFound" };
        outcome.destroyed(context, id, Err(SetError::new(why)));
    }
    Ok(outcome.response(&account, &old, &new))
}

/// Returns the state that this leads to.
async fn update(context: &Context<'_>, account: &Account, patch: Value) -> Result<String, SetError> {
    let Value::Object(patch) = patch else { return Err(SetError::new("invalidPatch")) };
    let store = &context.server.store;
    let now = object(&store.away_notice(account.id).await?);
    let next = patched(now, patch)?;
    if let Some(name) = next.keys().find(|name| !PROPERTIES.contains(&name.as_str())) {
        return Err(SetError::properties(&[name], "there is no such property"));
    }
    let notice = read(Args::new(next))?;
    Ok(ids::state(store.set_away_notice(account.id, notice).await?.into_inner()))
}

fn read(mut args: Args) -> Result<AwayNotice, SetError> {
    let wrong = |name: &'static str, what: &'static str| move || SetError::properties(&[name], what);
    if args.string("id").ok().flatten().as_deref() != Some(ID) {
        return Err(wrong("id", "the id is the server's")());
    }
    let enabled = args.boolean("isEnabled").ok().flatten();
    let mut text = |name: &'static str| args.string(name).map_err(|_| wrong(name, "it must be a string or null")());
    // RFC 8620 §1.4: UTCDate ends in Z.
    let date = |name: &'static str, text: Option<String>| -> Result<Option<Timestamp>, SetError> {
        let read = |text: String| parse_rfc3339(&text).filter(|_| text.ends_with('Z'));
        text.map(|text| read(text).ok_or_else(wrong(name, "it must be a date and time that ends in Z"))).transpose()
    };
    Ok(AwayNotice {
        enabled: enabled.ok_or_else(wrong("isEnabled", "it must be true or false"))?,
        from: date("fromDate", text("fromDate")?)?,
        to: date("toDate", text("toDate")?)?,
        subject: text("subject")?,
        text: text("textBody")?,
        html: text("htmlBody")?,
    })
}
