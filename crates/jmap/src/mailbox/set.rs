//! Mailbox/set (RFC 8621 §2.5).

use mail::{AccountId, MailboxId, Rights, limits};
use serde_json::{Map, Value};
use store::{AnnotationChange, SORT_ORDER_ENTRY, SPECIAL_USE_ENTRY, SpecialUse};
use unicode_normalization::UnicodeNormalization as _;

use super::get::{PROPERTIES, object};
use super::tree;
use crate::account::{Account, Mailbox};
use crate::args::Args;
use crate::error::{Answer, SetError};
use crate::request::Context;
use crate::set::{Each, Hand, Outcome, Wanted, apply, check_state, patched};

/// What can be set of a mailbox.
const SETTABLE: [&str; 5] = ["name", "parentId", "role", "sortOrder", "isSubscribed"];

/// The values of what can be set, read and checked by themselves.
struct Settings {
    name: String,
    parent: Option<MailboxId>,
    role: Option<SpecialUse>,
    is_inbox: bool,
    sort_order: Option<u32>,
    is_subscribed: bool,
}

pub(crate) async fn set(context: &mut Context<'_>, mut args: Args) -> Answer {
    let id = context.account_id(&mut args).await?;
    let account = context.open(id).await?;
    check_state(&mut args, "ifInState", &account.state())?;
    let removes_emails = args.boolean("onDestroyRemoveEmails")?.unwrap_or(false);
    let wanted = Wanted::read(&mut args)?;
    args.finish()?;
    let old = account.state();
    let mut outcome = Outcome::default();
    create(context, &account, wanted.create, &mut outcome).await?;
    // Those below others first.
    let depth = |id: &String| {
        let mailbox = context.real_id(id).and_then(|id| account.mailbox_by_id(id));
        std::cmp::Reverse(mailbox.map_or(0, |mailbox| mailbox.info.name.matches('/').count()))
    };
    let mut destroy = wanted.destroy;
    destroy.sort_by_key(depth);
    let mut mailboxes = Mailboxes { account: id, removes_emails };
    apply(&mut mailboxes, context, (wanted.update, destroy), &mut outcome).await?;
    let account = context.open(id).await?;
    Ok(outcome.response(&account, &old, &account.state()))
}

/// An account's; each that is changed sees what those before it did.
struct Mailboxes {
    account: AccountId,
    removes_emails: bool,
}

impl Hand for Mailboxes {
    const CHANGES_WHAT_GOES: bool = true;

    async fn update(&mut self, context: &Context<'_>, id: &str, patch: Value) -> Each<Option<Value>> {
        let account = context.open(self.account).await?;
        Ok(update(context, &account, id, patch).await.map(Some))
    }

    async fn destroy(&mut self, context: &Context<'_>, id: &str) -> Each<Option<()>> {
        let account = context.open(self.account).await?;
        Ok(destroy(context, &account, id, self.removes_emails).await.map(Some))
    }
}

/// Makes mailboxes: those whose parents are made here too after them.
async fn create(
    context: &mut Context<'_>,
    account: &Account,
    wanted: Map<String, Value>,
    outcome: &mut Outcome,
) -> Answer<()> {
    let mut waiting: Vec<(String, Value)> = wanted.into_iter().collect();
    loop {
        let before = waiting.len();
        for (key, value) in std::mem::take(&mut waiting) {
            let parent = value.get("parentId").and_then(Value::as_str).and_then(|parent| parent.strip_prefix('#'));
            if parent.is_some_and(|parent| !context.made.contains_key(parent)) {
                waiting.push((key, value));
                continue;
            }
            let account = context.open(account.id).await?;
            let made = create_one(context, &account, value).await;
            if let Ok(made) = &made
                && let Some(id) = made["id"].as_str()
            {
                context.made.insert(key.clone(), id.to_owned());
            }
            outcome.created(key, made);
        }
        if waiting.is_empty() || waiting.len() == before {
            break;
        }
    }
    for (key, _) in waiting {
        outcome.created(key, Err(SetError::properties(&["parentId"], "there is no such mailbox")));
    }
    Ok(())
}

async fn create_one(context: &Context<'_>, account: &Account, value: Value) -> Result<Value, SetError> {
    let Value::Object(members) = value else { return Err(SetError::properties(&[], "a mailbox is an object")) };
    if let Some(name) = members.keys().find(|name| !SETTABLE.contains(&name.as_str())) {
        return Err(SetError::properties(&[name], "the server sets it, or there is no such property"));
    }
    if !members.contains_key("name") {
        return Err(SetError::properties(&["name"], "it is missing"));
    }
    let subscribes = members.contains_key("isSubscribed");
    let mut settings = read(context, account, members)?;
    // RFC 8621 §2: new mailboxes are subscribed to by who makes them.
    settings.is_subscribed |= !subscribes;
    if settings.is_inbox {
        return Err(SetError::properties(&["role"], "there is an inbox already"));
    }
    let parent = settings.parent.and_then(|id| account.mailbox(id));
    check_parent(account, parent)?;
    check_role(account, settings.role, None)?;
    let name = full_name(parent, &settings.name);
    let store = &context.server.store;
    let id = store.create_mailbox(account.id, &name, settings.role).await?.into_inner();
    if let Some(order) = settings.sort_order {
        annotate(context, account, &name, SORT_ORDER_ENTRY, Some(order.to_string())).await?;
    }
    if settings.is_subscribed {
        subscribe(context, account, &name, true).await?;
    }
    // What the server set by itself (RFC 8620 §5.3).
    let account = context.open(account.id).await.map_err(|_| SetError::new("serverFail"))?;
    let mailbox = account.mailbox(id).ok_or_else(|| SetError::new("serverFail"))?;
    Ok(object(&account, mailbox, PROPERTIES))
}

async fn update(context: &Context<'_>, account: &Account, id: &str, patch: Value) -> Result<Value, SetError> {
    let mailbox =
        context.real_id(id).and_then(|id| account.mailbox_by_id(id)).ok_or_else(|| SetError::new("notFound"))?;
    let Value::Object(patch) = patch else { return Err(SetError::new("invalidPatch")) };
    let Value::Object(now) = object(account, mailbox, PROPERTIES) else { return Err(SetError::new("serverFail")) };
    let next = patched(now.clone(), patch)?;
    let changed: Vec<&str> =
        next.iter().filter(|(name, value)| now.get(*name) != Some(value)).map(|(name, _)| name.as_str()).collect();
    let fixed: Vec<&str> = changed.iter().copied().filter(|name| !SETTABLE.contains(name)).collect();
    if !fixed.is_empty() {
        return Err(SetError::properties(&fixed, "it can't be changed, or there is no such property"));
    }
    let has_changed = |name: &str| changed.contains(&name);
    let settings = read(context, account, next.clone())?;
    let is_inbox = mailbox.info.name == tree::INBOX;
    if has_changed("role") {
        if is_inbox || settings.is_inbox {
            return Err(SetError::properties(&["role"], "the inbox stays the inbox"));
        }
        check_role(account, settings.role, Some(mailbox.info.id))?;
    }
    let moves = has_changed("name") || has_changed("parentId");
    let changes_mailbox = moves || has_changed("role") || has_changed("sortOrder");
    if changes_mailbox && !mailbox.rights.contains(Rights::DELETE_MAILBOX) || moves && is_inbox {
        return Err(SetError::new("forbidden"));
    }
    let mut name = mailbox.info.name.clone();
    if moves {
        let parent = settings.parent.and_then(|id| account.mailbox(id));
        let below = format!("{name}/");
        if parent.is_some_and(|parent| parent.info.name == name || parent.info.name.starts_with(&below)) {
            return Err(SetError::properties(&["parentId"], "a mailbox is not below itself"));
        }
        if has_changed("parentId") {
            check_parent(account, parent)?;
        }
        let to = full_name(parent, &settings.name);
        context.server.store.rename_mailbox(account.id, &name, &to, context.moment.now).await?.into_inner();
        name = to;
    }
    if has_changed("role") {
        let attribute = settings.role.and_then(|role| SpecialUse::ALL.iter().find(|(other, ..)| *other == role));
        let value = attribute.map(|(_, attribute, _)| (*attribute).to_owned());
        annotate(context, account, &name, SPECIAL_USE_ENTRY, value).await?;
    }
    if has_changed("sortOrder") {
        annotate(context, account, &name, SORT_ORDER_ENTRY, settings.sort_order.map(|order| order.to_string())).await?;
    }
    if moves && mailbox.info.subscribed && account.is_own {
        // A subscription is to a name; here it is the mailbox's.
        subscribe(context, account, &mailbox.info.name, false).await?;
        subscribe(context, account, &name, true).await?;
    }
    if has_changed("isSubscribed") {
        subscribe(context, account, &name, settings.is_subscribed).await?;
    }
    Ok(Value::Null)
}

async fn destroy(context: &Context<'_>, account: &Account, id: &str, removes_emails: bool) -> Result<(), SetError> {
    let mailbox =
        context.real_id(id).and_then(|id| account.mailbox_by_id(id)).ok_or_else(|| SetError::new("notFound"))?;
    if !mailbox.rights.contains(Rights::DELETE_MAILBOX) || mailbox.info.name == tree::INBOX {
        return Err(SetError::new("forbidden"));
    }
    let below = format!("{}/", mailbox.info.name);
    // Also one that the user does not see is a child.
    let all = context.server.store.mailboxes(account.id).await?;
    if all.iter().any(|other| other.id.is_some() && other.name.starts_with(&below)) {
        return Err(SetError::new("mailboxHasChild"));
    }
    if !removes_emails {
        let place = account.index.place_of(mailbox.info.id);
        let count = match place {
            Some(place) => account.index.rows(place).count(),
            // Who may not look into it is not told that it is empty.
            None => return Err(SetError::new("mailboxHasEmail")),
        };
        if count > 0 {
            return Err(SetError::new("mailboxHasEmail"));
        }
    }
    if account.is_own && mailbox.info.subscribed {
        context.server.store.subscribe(account.id, &mailbox.info.name, false).await?.into_inner();
    }
    context.server.store.delete_mailbox(account.id, &mailbox.info.name).await?.into_inner();
    Ok(())
}

/// Reads what can be set. Each property by itself: what it means for others is looked at later.
fn read(context: &Context<'_>, account: &Account, members: Map<String, Value>) -> Result<Settings, SetError> {
    let mut args = Args::new(members);
    let wrong = |name: &'static str| move |_| SetError::properties(&[name], "it is of the wrong type");
    let name: String = args.string("name").map_err(wrong("name"))?.unwrap_or_default().nfc().collect();
    if name.is_empty()
        || name.contains('/')
        || name.chars().any(char::is_control)
        || name.len() > limits::MAILBOX_NAME_LEN
    {
        let why = "a name has no / and no control characters, and is not empty or longer than the server allows";
        // A level that is no mailbox is part of the name that is told; it may stay.
        let is_told = account.mailboxes.iter().any(|mailbox| tree::place(account, mailbox).1 == name);
        if !is_told || name.is_empty() {
            return Err(SetError::properties(&["name"], why));
        }
    }
    let parent = match args.string("parentId").map_err(wrong("parentId"))? {
        None => None,
        Some(id) => {
            let parent = context.real_id(&id).and_then(|id| account.mailbox_by_id(id));
            let parent = parent.ok_or_else(|| SetError::properties(&["parentId"], "there is no such mailbox"))?;
            Some(parent.info.id)
        }
    };
    let role = args.string("role").map_err(wrong("role"))?;
    let special_use = SpecialUse::ALL.iter().map(|(special_use, ..)| *special_use);
    let known = role.as_deref().map(|role| special_use.clone().find(|special_use| tree::name_of(*special_use) == role));
    let is_inbox = role.as_deref() == Some("inbox");
    if known == Some(None) && !is_inbox {
        return Err(SetError::properties(&["role"], "mailboxes have no such role here"));
    }
    // RFC 8621 §2: below 2^31
    let sort_order = args.unsigned("sortOrder").map_err(wrong("sortOrder"))?;
    let sort_order = sort_order.map(|order| u32::try_from(order).ok().filter(|order| *order < 1 << 31));
    if sort_order == Some(None) {
        return Err(SetError::properties(&["sortOrder"], "it is too large"));
    }
    let is_subscribed = args.boolean("isSubscribed").map_err(wrong("isSubscribed"))?.unwrap_or(false);
    Ok(Settings { name, parent, role: known.flatten(), is_inbox, sort_order: sort_order.flatten(), is_subscribed })
}

/// Whether the user may make a mailbox below this one, or at the top.
fn check_parent(account: &Account, parent: Option<&Mailbox>) -> Result<(), SetError> {
    let may = parent.map_or(account.is_own, |parent| parent.rights.contains(Rights::CREATE));
    if may { Ok(()) } else { Err(SetError::new("forbidden")) }
}

/// RFC 8621 §2: no two mailboxes have the same role.
fn check_role(account: &Account, role: Option<SpecialUse>, but: Option<MailboxId>) -> Result<(), SetError> {
    let taken = |mailbox: &&Mailbox| mailbox.info.special_use == role && Some(mailbox.info.id) != but;
    if role.is_some() && account.mailboxes.iter().any(|mailbox| taken(&mailbox)) {
        return Err(SetError::properties(&["role"], "another mailbox has it"));
    }
    Ok(())
}

fn full_name(parent: Option<&Mailbox>, name: &str) -> String {
    parent.map_or_else(|| name.to_owned(), |parent| format!("{}/{name}", parent.info.name))
}

async fn annotate(
    context: &Context<'_>,
    account: &Account,
    name: &str,
    entry: &str,
    value: Option<String>,
) -> Result<(), SetError> {
    let change = AnnotationChange { entry: entry.to_owned(), value: value.map(String::into_bytes) };
    context.server.store.annotate(account.id, Some(name), vec![change]).await?.into_inner();
    Ok(())
}

/// RFC 8621 §2: subscriptions are the user's own, also to what others share.
async fn subscribe(context: &Context<'_>, account: &Account, name: &str, subscribed: bool) -> Result<(), SetError> {
    let store = &context.server.store;
    if account.is_own {
        store.subscribe(account.id, name, subscribed).await?.into_inner();
        return Ok(());
    }
    let shared = store.shared_with(context.user.account).await?;
    let shared = shared.iter().find(|shared| shared.owner == account.id && shared.name == name);
    let shared = shared.ok_or_else(|| SetError::new("notFound"))?;
    store.subscribe(context.user.account, &shared.name_for_others(), subscribed).await?.into_inner();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_set_is_a_property() {
        assert!(SETTABLE.iter().all(|name| PROPERTIES.contains(name)));
    }
}
