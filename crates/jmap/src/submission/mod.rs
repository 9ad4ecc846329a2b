//! Submissions (RFC 8621 §7): messages of the account that it sent, or is about to send.
//!
//! What is sent goes through the very acceptance that SMTP's submission goes through (`mta::accept`). A submission and the
//! message in the queue are made in one commit, and what becomes of each recipient is written down with the end of each try.

mod envelope;
pub(crate) mod get;
pub(crate) mod query;
mod send;
pub(crate) mod set;

use serde_json::{Map, Value, json};
use store::{Addressed, Progress, Submission, SubmittedEnvelope, Undo, Way};

use crate::email::utc;
use crate::{blob, ids};

/// RFC 8621 §7
const PROPERTIES: &[&str] = &[
    "id",
    "identityId",
    "emailId",
    "threadId",
    "envelope",
    "sendAt",
    "undoStatus",
    "deliveryStatus",
    "dsnBlobIds",
    "mdnBlobIds",
];

const fn undo_status(undo: Undo) -> &'static str {
    match undo {
        Undo::Pending => "pending",
        Undo::Final => "final",
        Undo::Canceled => "canceled",
    }
}

fn addressed(address: &Addressed) -> Value {
    let value = |(name, value): &(String, Option<String>)| (name.clone(), value.clone().into());
    let parameters: Option<Map<String, Value>> =
        address.parameters.as_ref().map(|parameters| parameters.iter().map(value).collect());
    json!({ "email": address.email, "parameters": parameters })
}

fn object(submission: &Submission) -> Map<String, Value> {
    let SubmittedEnvelope { from, to } = &submission.envelope;
    let value = json!({
        "id": ids::submission(submission.id),
        "identityId": ids::identity(submission.identity),
        "emailId": ids::email(submission.email),
        "threadId": ids::thread(submission.thread),
        "envelope": { "mailFrom": addressed(from), "rcptTo": to.iter().map(addressed).collect::<Vec<_>>() },
        "sendAt": utc(submission.send_at),
        "undoStatus": undo_status(submission.undo),
        "deliveryStatus": delivery_status(submission),
        "dsnBlobIds": submission.reports.iter().map(|report| blob::of_message(*report)).collect::<Vec<_>>(),
        // Receipts are mail like any other here.
        "mdnBlobIds": [],
    });
    value.as_object().cloned().unwrap_or_default()
}

/// RFC 8621 §7: by recipient. Of one who stands for several what is told is that of him who is furthest behind.
fn delivery_status(submission: &Submission) -> Map<String, Value> {
    let mut all = Map::new();
    for (number, recipient) in (0u32..).zip(&submission.envelope.to) {
        let ways = submission.ways.iter().filter(|way| way.recipient == number);
        let Some(way) = ways.min_by_key(|way| rank(way.progress)) else { continue };
        let delivered = match way.progress {
            Progress::Queued => "queued",
            Progress::Failed => "no",
            Progress::Unknown => "unknown",
            Progress::Delivered => "yes",
        };
        // Nobody tells us what a person was shown.
        let status = json!({ "smtpReply": reply(way), "delivered": delivered, "displayed": "unknown" });
        all.insert(recipient.email.clone(), status);
    }
    all
}

const fn rank(progress: Progress) -> u8 {
    match progress {
        Progress::Queued => 0,
        Progress::Failed => 1,
        Progress::Unknown => 2,
        Progress::Delivered => 3,
    }
}

/// The words as a reply of SMTP: the other server's, or ours with a code of that kind.
fn reply(way: &Way) -> String {
    let has_code = way.words.len() > 3 && way.words.bytes().take(3).all(|byte| byte.is_ascii_digit());
    let code = match way.progress {
        _ if has_code => "",
        Progress::Queued => "451 4.4.0 ",
        Progress::Failed => "554 5.0.0 ",
        Progress::Unknown | Progress::Delivered => "250 2.0.0 ",
    };
    format!("{code}{}", way.words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_replies() {
        let way = |progress, words: &str| Way { recipient: 0, queued: None, progress, words: words.into() };
        assert_eq!(reply(&way(Progress::Queued, "450 4.2.0 later")), "450 4.2.0 later");
        assert_eq!(reply(&way(Progress::Queued, "connection refused")), "451 4.4.0 connection refused");
        assert_eq!(reply(&way(Progress::Failed, "too old")), "554 5.0.0 too old");
    }
}
