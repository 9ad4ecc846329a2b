//! Mailbox/get (RFC 8621 §2.1).

use mail::{Rights, limits};
use serde_json::{Map, Value, json};

use super::tree;
use crate::account::{Account, Mailbox};
use crate::args::Args;
use crate::error::{Answer, MethodError};
use crate::ids;
use crate::query::{got, picked, wanted_ids, wanted_properties};
use crate::request::Context;

/// RFC 8621 §2
pub(super) const PROPERTIES: &[&str] = &[
    "id",
    "name",
    "parentId",
    "role",
    "sortOrder",
    "totalEmails",
    "unreadEmails",
    "totalThreads",
    "unreadThreads",
    "myRights",
    "isSubscribed",
];

/// Those that are counts.
pub(super) const COUNTS: [&str; 4] = ["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"];

pub(crate) async fn get(context: &mut Context<'_>, mut args: Args) -> Answer {
    let id = context.account_id(&mut args).await?;
    let ids = wanted_ids(&mut args)?;
    let wanted = wanted_properties(&mut args, PROPERTIES)?;
    args.finish()?;
    let account = context.open(id).await?;
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    match ids {
        None if account.mailboxes.len() > limits::JMAP_OBJECTS_IN_GET => {
            return Err(MethodError::new("requestTooLarge"));
        }
        None => list.extend(account.mailboxes.iter().map(|mailbox| object(&account, mailbox, &wanted))),
        Some(ids) => {
            for id in ids {
                let mailbox = context.real_id(&id).and_then(|id| account.mailbox_by_id(id));
                match mailbox {
                    Some(mailbox) => list.push(object(&account, mailbox, &wanted)),
                    None => not_found.push(id),
                }
            }
        }
    }
    Ok(got(&account, list, not_found))
}

pub(super) fn object(account: &Account, mailbox: &Mailbox, wanted: &[&str]) -> Value {
    let (parent, name) = tree::place(account, mailbox);
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    put("id", ids::mailbox(mailbox.info.id).into());
    put("name", name.into());
    put("parentId", parent.map(|parent| ids::mailbox(parent.info.id)).into());
    put("role", tree::role(account, mailbox).into());
    put("sortOrder", tree::sort_order(account, mailbox).into());
    if wanted.iter().any(|name| COUNTS.contains(name)) {
        let place = account.index.place_of(mailbox.info.id);
        let counts = place.map(|place| account.index.counts(place)).unwrap_or_default();
        put("totalEmails", counts.emails.into());
        put("unreadEmails", counts.unread_emails.into());
        put("totalThreads", counts.threads.into());
        put("unreadThreads", counts.unread_threads.into());
    }
    put("myRights", rights(mailbox));
    put("isSubscribed", mailbox.info.subscribed.into());
    picked(&mut members, wanted)
}

/// RFC 8621 §2: MailboxRights, by the rights of RFC 4314 that each stands for.
fn rights(mailbox: &Mailbox) -> Value {
    let may = |rights: Rights| mailbox.rights.contains(rights);
    let is_inbox = mailbox.info.name == tree::INBOX;
    // RFC 8621 §2: a mailbox that can't be read is in no mailboxIds, so nothing comes, goes or changes there.
    let may_of_items = |rights: Rights| mailbox.is_readable() && may(rights);
    json!({
        "mayReadItems": mailbox.is_readable(),
        "mayAddItems": may_of_items(Rights::INSERT),
        "mayRemoveItems": may_of_items(Rights::DELETED.with(Rights::EXPUNGE)),
        "maySetSeen": may_of_items(Rights::SEEN),
        "maySetKeywords": may_of_items(Rights::WRITE),
        "mayCreateChild": may(Rights::CREATE),
        "mayRename": may(Rights::DELETE_MAILBOX) && !is_inbox,
        "mayDelete": may(Rights::DELETE_MAILBOX) && !is_inbox,
        "maySubmit": may(Rights::POST),
    })
}
