//! Journey/query.

use mail::{QueueId, limits};
use store::JourneyQuery;

use crate::args::Args;
use crate::error::{Answer, MethodError};
use crate::ids;
use crate::query::{Window, comparators};
use crate::request::Context;

/// What is looked for.
enum Condition {
    /// All that the account sent.
    Sent,
    /// The way of an Email: how it came, and what was sent as it.
    Email(String),
    MessageId(String),
    QueueId(String),
    /// What was sent by a submission (RFC 8621 §7).
    Submission(String),
}

impl Condition {
    fn read(args: &mut Args) -> Answer<Self> {
        let Some(value) = args.value("filter") else { return Ok(Self::Sent) };
        let mut members = Args::of(value, "a filter")?;
        if members.has("operator") {
            return Err(MethodError::with("unsupportedFilter", "journeys are looked for by one condition"));
        }
        let email = members.reference("emailId")?.map(Self::Email);
        let message_id = members.string("messageId")?.map(Self::MessageId);
        let queue_id = members.id("queueId")?.map(Self::QueueId);
        let submission = members.reference("submissionId")?.map(Self::Submission);
        members.finish()?;
        let mut given = [email, message_id, queue_id, submission].into_iter().flatten();
        match (given.next(), given.next()) {
            (condition, None) => Ok(condition.unwrap_or(Self::Sent)),
            _ => Err(MethodError::with("unsupportedFilter", "journeys are looked for by one condition")),
        }
    }
}

pub(crate) async fn query(context: &mut Context<'_>, mut args: Args) -> Answer {
    let owner = context.owner(&mut args).await?;
    let condition = Condition::read(&mut args)?;
    let sort = comparators(&mut args)?;
    if sort.iter().any(|by| by.property != "acceptedAt" || by.is_ascending) {
        return Err(MethodError::with("unsupportedSort", "journeys are sorted by acceptedAt, the newest first"));
    }
    let window = Window::read(&mut args)?;
    args.finish()?;
    let account = context.open(context.user.account).await?;
    let state = context.journey_state();
    let mut found = Vec::new();
    let query = match condition {
        Condition::Sent => Some(JourneyQuery::Address(owner.address.clone())),
        Condition::MessageId(id) => Some(JourneyQuery::MessageId(id)),
        Condition::QueueId(id) => id.parse::<QueueId>().ok().map(JourneyQuery::Id),
        Condition::Submission(id) => {
            let id = context.real_id(&id).and_then(ids::parse_submission);
            let kept = context.server.store.submissions(account.id).await?;
            kept.there.iter().find(|one| Some(one.id) == id).map(|one| JourneyQuery::Id(one.queue))
        }
        Condition::Email(id) => {
            let email = context.real_id(&id).and_then(ids::parse_email).and_then(|id| account.index.email(id));
            match email {
                None => None,
                Some(email) => context.coming(&account, &owner, &email).await?.and_then(|coming| {
                    if !coming.hops.is_empty() || coming.journey.is_some() {
                        found.push(ids::email(email.id()));
                    }
                    coming.message_id.map(JourneyQuery::MessageId)
                }),
            }
        }
    };
    if let Some(query) = query {
        let sent = context.sent(&owner, &query, limits::TRACE_JOURNEYS).await?;
        found.extend(sent.into_iter().map(|journey| journey.id));
    }
    let mut response = window.response(&account, &found, String::clone)?;
    response["queryState"] = state.into();
    response["canCalculateChanges"] = false.into();
    Ok(response)
}
