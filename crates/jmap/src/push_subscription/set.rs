//! PushSubscription/set (RFC 8620 §7.2.2).

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mail::{PushSubscriptionId, Timestamp, limits};
use message::date::parse_rfc3339;
use serde_json::{Map, Value, json};
use store::{Credential, NewPushSubscription, PushChange, PushKeys, PushSubscription, StoreError};

use super::{found, object, own};
use crate::args::Args;
use crate::email::object::utc;
use crate::error::{Answer, SetError};
use crate::ids;
use crate::push::Courier;
use crate::request::Context;
use crate::sending::no_more;
use crate::set::{Each, Hand, Outcome, Wanted, apply, patched};

/// RFC 8620 §7.2: URL-safe base64. Browsers write it without padding, other clients with it.
const KEY: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// PushSubscription/set: without accountId, and without states.
pub(crate) async fn set(context: &mut Context<'_>, mut args: Args) -> Answer {
    let wanted = Wanted::read(&mut args)?;
    args.finish()?;
    let mut outcome = Outcome::default();
    let mut is_changed = false;
    for (key, value) in wanted.create {
        let made = create(context, value).await;
        is_changed |= made.is_ok();
        outcome.created(
            key.clone(),
            made.map(|(id, told)| {
                context.made.insert(key, ids::push_subscription(id));
                Value::Object(told)
            }),
        );
    }
    let mut subscriptions = Subscriptions { now: own(context).await?, is_changed };
    apply(&mut subscriptions, context, (wanted.update, wanted.destroy), &mut outcome).await?;
    if subscriptions.is_changed
        && let Some(courier) = context.server.courier()
    {
        courier.subscriptions_changed(context.user.account);
    }
    Ok(Value::Object(outcome.changes()))
}

/// Those of the client, as they are once all are made.
struct Subscriptions {
    now: Vec<PushSubscription>,
    is_changed: bool,
}

impl Hand for Subscriptions {
    async fn update(&mut self, context: &Context<'_>, id: &str, patch: Value) -> Each<Option<Value>> {
        let changed = match found(context, &self.now, id) {
            Some(one) => update(context, one, patch).await,
            None => Err(SetError::new("notFound")),
        };
        self.is_changed |= changed.is_ok();
        Ok(changed.map(Some))
    }

    async fn destroy(&mut self, context: &Context<'_>, id: &str) -> Each<Option<()>> {
        let gone = match found(context, &self.now, id) {
            Some(one) => change(context, one.id, PushChange::Removed).await,
            None => Err(SetError::new("notFound")),
        };
        self.is_changed |= gone.is_ok();
        Ok(gone.map(Some))
    }
}

async fn change(context: &Context<'_>, id: PushSubscriptionId, change: PushChange) -> Result<(), SetError> {
    let changed = context.server.store.change_push_subscription(context.user.account, id, change).await;
    // RFC 8620 §5.3: two that destroy the same one, of which one was later.
    Ok(changed.map(drop)?)
}

/// The id, and what the client does not know of it.
async fn create(context: &Context<'_>, value: Value) -> Result<(PushSubscriptionId, Map<String, Value>), SetError> {
    let server = context.server;
    let Value::Object(members) = value else { return Err(wrong("url", "it is missing")) };
    let mut members = Args::new(members);
    let courier = server.courier().ok_or_else(|| SetError::with("forbidden", "nothing can be pushed from here"))?;
    let device = text(&mut members, "deviceClientId", limits::PUSH_NAME_LEN)?;
    let url = url(&mut members, &**courier)?;
    let is_given = members.peek("keys").is_some_and(|keys| !keys.is_null());
    let keys = keys(&mut members, courier)?;
    // RFC 8620 §7.2: null, or left out.
    if members.value("verificationCode").is_some() {
        return Err(wrong("verificationCode", "it is told by a push"));
    }
    let asked = date(&mut members, context.moment.now)?;
    let expires = bounded(context, asked).await?;
    let gives_types = members.has("types");
    let types = types(&mut members)?;
    no_more(&members)?;
    if !server.push_pace.admits(context.user.account, context.moment.now) {
        // RFC 8620 §5.3
        return Err(SetError::with("rateLimit", "over the limit PUSH_SUBSCRIPTIONS_PER_HOUR; try again later"));
    }
    // What changes from now on is told, once the code came back.
    let told = server.listen(context.user, context.moment.random).await?.states().id();
    let new = NewPushSubscription {
        account: context.user.account,
        credential: context.user.credential.clone(),
        device,
        url,
        keys,
        code: courier.code(),
        expires,
        types,
        told,
    };
    let id = server.store.add_push_subscription(new, context.moment.now).await.map_err(|error| match error {
        StoreError::Limit(which) => SetError::with("overQuota", format!("over the limit {which}")),
        StoreError::NotFound(_) => SetError::with("forbidden", "the log-in is over"),
        error => error.into(),
    })?;
    let id = id.into_inner();
    let mut told = Map::from_iter([("id".to_owned(), ids::push_subscription(id).into())]);
    if !is_given {
        told.insert("keys".into(), Value::Null);
    }
    if expires != asked || asked.is_none() {
        told.insert("expires".into(), expires.map(utc).into());
    }
    if !gives_types {
        told.insert("types".into(), Value::Null);
    }
    Ok((id, told))
}

/// What the client is told: what became something else than it said.
async fn update(context: &Context<'_>, one: &PushSubscription, patch: Value) -> Result<Value, SetError> {
    let Value::Object(patch) = patch else { return Err(SetError::new("invalidPatch")) };
    let now = object(one);
    let mut next = patched(now.clone(), patch)?;
    // RFC 8620 §5.3: what can't be changed may be given as it is.
    for name in ["id", "deviceClientId"] {
        if next.remove(name).as_ref() != now.get(name) {
            return Err(wrong(name, "it can't be changed"));
        }
    }
    // RFC 8620 §7.2.2: who wants others makes another subscription. Whether they are the same is told to nobody.
    for name in super::HIDDEN {
        if next.contains_key(*name) {
            return Err(wrong(name, "it can't be changed"));
        }
    }
    let mut members = Args::new(next);
    let verified = match members.value("verificationCode") {
        None if one.verified => return Err(wrong("verificationCode", "it was said")),
        None => false,
        Some(code) if code == one.given.code.as_str() => true,
        Some(_) => return Err(wrong("verificationCode", "it is another")),
    };
    let asked = match members.peek("expires") {
        // Not even looked at where it stays: it was good when it was set.
        same if same == now.get("expires") => {
            members.value("expires");
            one.given.expires
        }
        _ => date(&mut members, context.moment.now)?,
    };
    let expires = bounded(context, asked).await?;
    let types = types(&mut members)?;
    no_more(&members)?;
    change(context, one.id, PushChange::Set { verified, expires, types }).await?;
    Ok(if expires == asked { Value::Null } else { json!({ "expires": expires.map(utc) }) })
}

fn wrong(name: &str, what: &str) -> SetError {
    SetError::properties(&[name], what)
}

fn text(members: &mut Args, name: &'static str, most: usize) -> Result<String, SetError> {
    let text = members.string(name).ok().flatten().filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| wrong(name, "it is a string, and needed"))?;
    if text.len() > most {
        return Err(wrong(name, &format!("it has {most} octets at most")));
    }
    Ok(text)
}

fn url(members: &mut Args, courier: &dyn Courier) -> Result<String, SetError> {
    let url = text(members, "url", limits::PUSH_URL_LEN)?;
    match courier.refuses(&url) {
        Some(why) => Err(SetError::with("forbidden", why)),
        None => Ok(url),
    }
}

fn keys(members: &mut Args, courier: &Arc<dyn Courier>) -> Result<Option<PushKeys>, SetError> {
    let Some(value) = members.value("keys") else { return Ok(None) };
    let wrong =
        || wrong("keys", "it is an object with p256dh, a point of P-256, and auth, 16 octets, in URL-safe base64");
    let mut keys = Args::of(value, "keys").map_err(|_| wrong())?;
    let mut octets = |name| {
        let text = keys.string(name).ok().flatten().filter(|text| text.len() <= KEY_TEXT_LEN)?;
        KEY.decode(text).ok()
    };
    let p256dh = octets("p256dh").and_then(|octets| octets.try_into().ok()).ok_or_else(wrong)?;
    let auth = octets("auth").and_then(|octets| octets.try_into().ok()).ok_or_else(wrong)?;
    if keys.finish().is_err() || !courier.can_encrypt_for(&p256dh) {
        return Err(wrong());
    }
    Ok(Some(PushKeys { p256dh, auth }))
}

/// What 65 octets have in base64, with padding.
const KEY_TEXT_LEN: usize = 88;

/// RFC 8620 §1.4: UTCDate ends in Z.
fn date(members: &mut Args, now: Timestamp) -> Result<Option<Timestamp>, SetError> {
    let wrong = || wrong("expires", "it is a date and time to come that ends in Z, or null");
    let text = members.string("expires").map_err(|_| wrong())?;
    let read = |text: String| parse_rfc3339(&text).filter(|at| text.ends_with('Z') && *at > now);
    // In whole seconds, as it is told.
    text.map(|text| read(text).map(|at| Timestamp::from_secs(at.secs())).ok_or_else(wrong)).transpose()
}

fn types(members: &mut Args) -> Result<Option<Vec<String>>, SetError> {
    let types = members.strings("types").map_err(|_| wrong("types", "it is an array of strings, or null"))?;
    // Those that are not known here may come to be.
    let is_long = |types: &Vec<String>| {
        types.len() > limits::PUSH_TYPES || types.iter().any(|name| name.len() > limits::PUSH_NAME_LEN)
    };
    if types.as_ref().is_some_and(is_long) {
        return Err(wrong("types", "they are too many, or too long"));
    }
    Ok(types)
}

/// RFC 8620 §7.2: what has an end of its own is not bounded further; a subscription by what has none is.
async fn bounded(context: &Context<'_>, asked: Option<Timestamp>) -> Result<Option<Timestamp>, SetError> {
    if let Credential::Token(hash) = &context.user.credential
        && context.server.store.token(hash).await?.is_some_and(|token| token.end().is_some())
    {
        return Ok(asked);
    }
    let latest = Timestamp::from_secs(context.moment.now.plus(limits::PUSH_LIFETIME).secs());
    Ok(Some(asked.map_or(latest, |asked| asked.min(latest))))
}
