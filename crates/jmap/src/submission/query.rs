//! EmailSubmission/query and EmailSubmission/queryChanges (RFC 8621 §7.3, §7.4).

use std::cmp::Ordering;

use mail::{SubmissionId, Timestamp};
use message::date::parse_rfc3339;
use store::Submission;

use super::undo_status;
use crate::args::Args;
use crate::error::{Answer, MethodError};
use crate::ids;
use crate::query::{Asked, Comparator, Filter, Window, comparators};
use crate::request::Context;
use crate::sending::since;

/// RFC 8621 §7.3: a FilterCondition; all that is given must match.
struct Condition {
    identities: Option<Vec<String>>,
    emails: Option<Vec<String>>,
    threads: Option<Vec<String>>,
    undo: Option<String>,
    before: Option<Timestamp>,
    after: Option<Timestamp>,
}

impl Condition {
    fn read(mut members: Args) -> Answer<Self> {
        let condition = Self {
            identities: members.ids("identityIds")?,
            emails: members.ids("emailIds")?,
            threads: members.ids("threadIds")?,
            undo: members.string("undoStatus")?,
            before: date(&mut members, "before")?,
            after: date(&mut members, "after")?,
        };
        members.finish()?;
        Ok(condition)
    }

    fn matches(&self, one: &Submission) -> bool {
        let is_among = |wanted: &Option<Vec<String>>, id: String| wanted.as_ref().is_none_or(|ids| ids.contains(&id));
        is_among(&self.identities, ids::identity(one.identity))
            && is_among(&self.emails, ids::email(one.email))
            && is_among(&self.threads, ids::thread(one.thread))
            && self.undo.as_ref().is_none_or(|wanted| wanted == undo_status(one.undo))
            && self.before.is_none_or(|before| one.send_at < before)
            && self.after.is_none_or(|after| one.send_at >= after)
    }
}

/// RFC 8620 §1.4: UTCDate.
fn date(members: &mut Args, name: &str) -> Answer<Option<Timestamp>> {
    let wrong = || MethodError::arguments(format!("{name} must be a date in UTC"));
    let Some(text) = members.string(name)? else { return Ok(None) };
    if !text.ends_with('Z') {
        return Err(wrong());
    }
    parse_rfc3339(&text).map(Some).ok_or_else(wrong)
}

/// What is looked for.
struct Query {
    filter: Filter<Condition>,
    sort: Vec<Comparator>,
}

impl Query {
    fn read(args: &mut Args) -> Answer<Self> {
        let filter = Filter::read(args.value("filter"), &mut Condition::read)?;
        let sort = comparators(args)?;
        // RFC 8621 §7.3 says `sentAt` where it means the property sendAt.
        let known = ["emailId", "threadId", "sentAt", "sendAt"];
        if let Some(other) = sort.iter().find(|by| !known.contains(&by.property.as_str())) {
            let why = format!("submissions are not sorted by {}", other.property);
            return Err(MethodError::with("unsupportedSort", why));
        }
        Ok(Self { filter, sort })
    }

    fn find(&self, all: &[Submission]) -> Vec<String> {
        let matches =
            |one: &&Submission| self.filter.holds(&mut |condition| Some(condition.matches(one))).unwrap_or(false);
        let mut found: Vec<&Submission> = all.iter().filter(matches).collect();
        found.sort_by(|a, b| self.compare(a, b));
        found.iter().map(|one| ids::submission(one.id)).collect()
    }

    fn compare(&self, a: &Submission, b: &Submission) -> Ordering {
        let by = |comparator: &Comparator| {
            let order = match comparator.property.as_str() {
                "emailId" => a.email.cmp(&b.email),
                "threadId" => a.thread.cmp(&b.thread),
                _ => a.send_at.cmp(&b.send_at),
            };
            if comparator.is_ascending { order } else { order.reverse() }
        };
        let order = self.sort.iter().map(by).find(|order| order.is_ne());
        order.unwrap_or_else(|| a.id.cmp(&b.id))
    }
}

pub(crate) async fn query(context: &mut Context<'_>, mut args: Args) -> Answer {
    let account = context.own_account_id(&mut args).await?;
    let window = Window::read(&mut args)?;
    let query = Query::read(&mut args)?;
    args.finish()?;
    let kept = context.server.store.submissions(account).await?;
    window.told(account, ids::state(kept.modseq), &query.find(&kept.there), String::clone)
}

pub(crate) async fn query_changes(context: &mut Context<'_>, mut args: Args) -> Answer {
    let account = context.own_account_id(&mut args).await?;
    let asked = Asked::read(&mut args)?;
    let query = Query::read(&mut args)?;
    args.finish()?;
    let kept = context.server.store.submissions(account).await?;
    let (_, changes) = since(&kept, &asked.since, |id: SubmissionId| id.0)?;
    let changed: Vec<String> = changes.iter().map(|change| ids::submission(SubmissionId(change.id))).collect();
    asked.told((account, ids::state(kept.modseq)), &changed, &query.find(&kept.there), String::clone)
}
