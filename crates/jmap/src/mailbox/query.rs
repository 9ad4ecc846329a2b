//! Mailbox/query and Mailbox/queryChanges (RFC 8621 §2.3, §2.4).

use std::cmp::Ordering;
use std::collections::HashSet;

use mail::MailboxId;
use message::text::fold;

use super::tree;
use crate::account::{Account, Mailbox};
use crate::args::Args;
use crate::changes::Since;
use crate::error::{Answer, MethodError};
use crate::ids;
use crate::query::{Asked, Comparator, Filter, Window, comparators};
use crate::request::Context;

/// RFC 8621 §2.3: a FilterCondition; all that is given must match.
#[derive(Default)]
struct Condition {
    parent: Option<Option<String>>,
    name: Option<String>,
    role: Option<Option<String>>,
    has_any_role: Option<bool>,
    is_subscribed: Option<bool>,
}

/// What is looked for.
struct Query {
    filter: Filter<Condition>,
    sort: Vec<Comparator>,
    sort_as_tree: bool,
    filter_as_tree: bool,
}

impl Condition {
    fn read(mut members: Args) -> Answer<Self> {
        // Null is a value here.
        let parent = members.has("parentId").then(|| members.id("parentId")).transpose()?;
        let role = members.has("role").then(|| members.string("role")).transpose()?;
        let condition = Self {
            parent,
            role,
            name: members.string("name")?.map(|name| fold(&name)),
            has_any_role: members.boolean("hasAnyRole")?,
            is_subscribed: members.boolean("isSubscribed")?,
        };
        members.finish()?;
        Ok(condition)
    }

    fn matches(&self, account: &Account, mailbox: &Mailbox) -> bool {
        let (parent, name) = tree::place(account, mailbox);
        let parent = parent.map(|parent| ids::mailbox(parent.info.id));
        let role = tree::role(account, mailbox);
        self.parent.as_ref().is_none_or(|wanted| *wanted == parent)
            && self.name.as_ref().is_none_or(|wanted| fold(name).contains(wanted))
            && self.role.as_ref().is_none_or(|wanted| wanted.as_deref() == role)
            && self.has_any_role.is_none_or(|wanted| wanted == role.is_some())
            && self.is_subscribed.is_none_or(|wanted| wanted == mailbox.info.subscribed)
    }
}

impl Query {
    fn read(args: &mut Args) -> Answer<Self> {
        let filter = Filter::read(args.value("filter"), &mut Condition::read)?;
        let sort = comparators(args)?;
        if let Some(other) = sort.iter().find(|by| !["sortOrder", "name"].contains(&by.property.as_str())) {
            return Err(MethodError::with(
                "unsupportedSort",
                format!("mailboxes are not sorted by {}", other.property),
            ));
        }
        Ok(Self {
            filter,
            sort,
            sort_as_tree: args.boolean("sortAsTree")?.unwrap_or(false),
            filter_as_tree: args.boolean("filterAsTree")?.unwrap_or(false),
        })
    }

    fn find(&self, account: &Account) -> Vec<String> {
        let matches = |mailbox: &&Mailbox| {
            self.filter.holds(&mut |condition| Some(condition.matches(account, mailbox))).unwrap_or(false)
        };
        let mut found: Vec<&Mailbox> = account.mailboxes.iter().filter(matches).collect();
        if self.filter_as_tree {
            // Those above come first in the order of names, so each finds its parent decided.
            let mut kept: HashSet<MailboxId> = HashSet::new();
            found.retain(|mailbox| {
                let is_kept = tree::parent(account, mailbox).is_none_or(|parent| kept.contains(&parent));
                is_kept && kept.insert(mailbox.info.id)
            });
        }
        let compare = |a: &Mailbox, b: &Mailbox| self.compare(account, a, b);
        if self.sort_as_tree {
            let mut lines: Vec<(Vec<&Mailbox>, &Mailbox)> =
                found.into_iter().map(|mailbox| (line(account, mailbox), mailbox)).collect();
            lines.sort_by(|(a, _), (b, _)| {
                let fork = a.iter().zip(b).find(|(a, b)| a.info.id != b.info.id);
                fork.map_or_else(|| a.len().cmp(&b.len()), |(a, b)| compare(a, b))
            });
            found = lines.into_iter().map(|(_, mailbox)| mailbox).collect();
        } else {
            found.sort_by(|a, b| compare(a, b));
        }
        found.iter().map(|mailbox| ids::mailbox(mailbox.info.id)).collect()
    }

    fn compare(&self, account: &Account, a: &Mailbox, b: &Mailbox) -> Ordering {
        let by = |comparator: &Comparator| {
            let order = match comparator.property.as_str() {
                "sortOrder" => tree::sort_order(account, a).cmp(&tree::sort_order(account, b)),
                _ => fold(tree::place(account, a).1).cmp(&fold(tree::place(account, b).1)),
            };
            if comparator.is_ascending { order } else { order.reverse() }
        };
        let order = self.sort.iter().map(by).find(|order| order.is_ne());
        order.unwrap_or_else(|| a.info.id.cmp(&b.info.id))
    }
}

/// A mailbox and all above it, from the top.
fn line<'a>(account: &'a Account, mailbox: &'a Mailbox) -> Vec<&'a Mailbox> {
    let mut line = vec![mailbox];
    let mut at = mailbox;
    while let (Some(parent), _) = tree::place(account, at) {
        line.push(parent);
        at = parent;
    }
    line.reverse();
    line
}

pub(crate) async fn query(context: &mut Context<'_>, mut args: Args) -> Answer {
    let id = context.account_id(&mut args).await?;
    let window = Window::read(&mut args)?;
    let query = Query::read(&mut args)?;
    args.finish()?;
    let account = context.open(id).await?;
    window.response(&account, &query.find(&account), String::clone)
}

pub(crate) async fn query_changes(context: &mut Context<'_>, mut args: Args) -> Answer {
    let id = context.account_id(&mut args).await?;
    let asked = Asked::read(&mut args)?;
    let query = Query::read(&mut args)?;
    args.finish()?;
    let account = context.open(id).await?;
    let since = Since::read(context, account, &asked.since).await?;
    let found = query.find(&since.account);
    // Counts are neither looked for nor sorted by.
    let mut changed: Vec<String> = since
        .mailboxes()
        .iter()
        .filter(|change| !change.counts_only)
        .map(|change| ids::mailbox(MailboxId(change.id)))
        .collect();
    if !changed.is_empty() {
        // The place of one follows from those above it, and the role from the others: all may have moved.
        let rest = found.iter().filter(|id| !changed.contains(id)).cloned().collect::<Vec<_>>();
        changed.extend(rest);
    }
    asked.response(&since.account, &changed, &found, String::clone)
}
