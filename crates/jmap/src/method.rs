//! What is offered: capabilities and methods, in one table.

use serde_json::Value;

use crate::args::Args;
use crate::error::{Answer, MethodError};
use crate::request::Context;
use crate::{
    blob, email, identity, journey, mailbox, push_subscription, quota, sieve_script, snippet, submission, thread,
    vacation,
};

/// RFC 8620
pub(crate) const CORE: &str = "urn:ietf:params:jmap:core";
/// RFC 8621
pub(crate) const MAIL: &str = "urn:ietf:params:jmap:mail";
/// RFC 9404
pub(crate) const BLOB: &str = "urn:ietf:params:jmap:blob";
/// RFC 9425
pub(crate) const QUOTA: &str = "urn:ietf:params:jmap:quota";
/// Our own: docs/jmap.md
pub(crate) const JOURNEY: &str = "urn:postrider:jmap:journey";
/// RFC 8621 §8
pub(crate) const VACATION: &str = "urn:ietf:params:jmap:vacationresponse";
/// RFC 8621 §1.3.2
pub(crate) const SUBMISSION: &str = "urn:ietf:params:jmap:submission";
/// RFC 9661
pub(crate) const SIEVE: &str = "urn:ietf:params:jmap:sieve";
/// RFC 8887: of the session alone, and it brings no method.
pub(crate) const WEBSOCKET: &str = "urn:ietf:params:jmap:websocket";
/// RFC 9749: offered where there is a key to tell. It brings no methods.
pub(crate) const WEBPUSH_VAPID: &str = "urn:ietf:params:jmap:webpush-vapid";

/// What a request may use.
pub(crate) const CAPABILITIES: &[&str] = &[CORE, MAIL, BLOB, QUOTA, JOURNEY, VACATION, SUBMISSION, SIEVE];
/// What a request may use though it brings nothing to it. Quirk `AsksForEverything`: jmap-client (Rust, up to 0.4.3) names all of
/// these in each request, whatever the session object says; all but the first are unknown here.
pub(crate) const PASSED_OVER: &[&str] =
    &[WEBSOCKET, "urn:ietf:params:jmap:contacts", "urn:ietf:params:jmap:calendars", "urn:ietf:params:jmap:principals"];
/// Of these, what an account that another shares does not have.
pub(crate) const OWN: &[&str] = &[QUOTA, JOURNEY, VACATION, SUBMISSION, SIEVE];

/// Each method, and the capability that brings it.
pub const METHODS: &[(&str, &str)] = &[
    ("Core/echo", CORE),
    ("PushSubscription/get", CORE),
    ("PushSubscription/set", CORE),
    ("Mailbox/get", MAIL),
    ("Mailbox/changes", MAIL),
    ("Mailbox/query", MAIL),
    ("Mailbox/queryChanges", MAIL),
    ("Mailbox/set", MAIL),
    ("Thread/get", MAIL),
    ("Thread/changes", MAIL),
    ("Email/get", MAIL),
    ("Email/changes", MAIL),
    ("Email/query", MAIL),
    ("Email/queryChanges", MAIL),
    ("Email/set", MAIL),
    ("Email/copy", MAIL),
    ("Email/import", MAIL),
    ("Email/parse", MAIL),
    ("SearchSnippet/get", MAIL),
    ("Blob/copy", CORE),
    ("Blob/get", BLOB),
    ("Blob/lookup", BLOB),
    ("Blob/upload", BLOB),
    ("Quota/get", QUOTA),
    ("Quota/changes", QUOTA),
    ("Quota/query", QUOTA),
    ("Quota/queryChanges", QUOTA),
    ("Journey/get", JOURNEY),
    ("Journey/changes", JOURNEY),
    ("Journey/query", JOURNEY),
    ("VacationResponse/get", VACATION),
    ("VacationResponse/set", VACATION),
    ("SieveScript/get", SIEVE),
    ("SieveScript/set", SIEVE),
    ("SieveScript/query", SIEVE),
    ("SieveScript/validate", SIEVE),
    ("Identity/get", SUBMISSION),
    ("Identity/changes", SUBMISSION),
    ("Identity/set", SUBMISSION),
    ("EmailSubmission/get", SUBMISSION),
    ("EmailSubmission/changes", SUBMISSION),
    ("EmailSubmission/query", SUBMISSION),
    ("EmailSubmission/queryChanges", SUBMISSION),
    ("EmailSubmission/set", SUBMISSION),
];

/// Calls a method.
pub(crate) async fn dispatch(context: &mut Context<'_>, name: &str, args: Args) -> Answer {
    // RFC 8620 §3.6.2: also where its capability is not among those that the request uses.
    let known = METHODS.iter().find(|(method, _)| *method == name);
    if known.is_none_or(|(_, capability)| !context.using.iter().any(|used| used == capability)) {
        return Err(MethodError::new("unknownMethod"));
    }
    match name {
        // RFC 8620 §4
        "Core/echo" => Ok(Value::Object(args.into_members())),
        "PushSubscription/get" => push_subscription::get(context, args).await,
        "PushSubscription/set" => Box::pin(push_subscription::set(context, args)).await,
        "Mailbox/get" => mailbox::get::get(context, args).await,
        "Mailbox/changes" => mailbox::changes::changes(context, args).await,
        "Mailbox/query" => mailbox::query::query(context, args).await,
        "Mailbox/queryChanges" => mailbox::query::query_changes(context, args).await,
        "Mailbox/set" => mailbox::set::set(context, args).await,
        "Thread/get" => thread::get(context, args).await,
        "Thread/changes" => thread::changes(context, args).await,
        "Email/get" => email::get::get(context, args).await,
        "Email/changes" => email::changes::changes(context, args).await,
        "Email/query" => email::query::query(context, args).await,
        "Email/queryChanges" => email::query::query_changes(context, args).await,
        "Email/set" => email::set::set(context, args).await,
        "Email/copy" => email::copy::copy(context, args).await,
        "Email/import" => email::import::import(context, args).await,
        "Email/parse" => email::parse::parse(context, args).await,
        "SearchSnippet/get" => snippet::get(context, args).await,
        "Blob/copy" => blob::copy::copy(context, args).await,
        "Blob/get" => blob::get::get(context, args).await,
        "Blob/lookup" => blob::lookup::lookup(context, args).await,
        "Blob/upload" => blob::uploads::upload(context, args).await,
        "Quota/get" => quota::get(context, args).await,
        "Quota/changes" => quota::changes(context, args).await,
        "Quota/query" => quota::query(context, args).await,
        "Quota/queryChanges" => quota::query_changes(context, args).await,
        "Journey/get" => journey::get(context, args).await,
        "Journey/changes" => journey::changes(context, args).await,
        "Journey/query" => journey::query(context, args).await,
        "VacationResponse/get" => vacation::get(context, args).await,
        "VacationResponse/set" => vacation::set(context, args).await,
        "SieveScript/get" => sieve_script::get(context, args).await,
        "SieveScript/set" => Box::pin(sieve_script::set(context, args)).await,
        "SieveScript/query" => sieve_script::query(context, args).await,
        "SieveScript/validate" => sieve_script::validate(context, args).await,
        "Identity/get" => identity::get(context, args).await,
        "Identity/changes" => identity::changes(context, args).await,
        "Identity/set" => identity::set::set(context, args).await,
        "EmailSubmission/get" => submission::get::get(context, args).await,
        "EmailSubmission/changes" => submission::get::changes(context, args).await,
        "EmailSubmission/query" => submission::query::query(context, args).await,
        "EmailSubmission/queryChanges" => submission::query::query_changes(context, args).await,
        "EmailSubmission/set" => Box::pin(submission::set::set(context, args)).await,
        _ => Err(MethodError::new("unknownMethod")),
    }
}
