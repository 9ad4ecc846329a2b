//! SieveScript/validate (RFC 9661 §2.6), and what every script goes through before it is kept.

use mail::{AccountId, limits};
use serde_json::{Value, json};
use sieve::Script;

use crate::args::Args;
use crate::error::{Answer, SetError};
use crate::ids;
use crate::request::Context;

/// The text of a blob that compiles.
pub(super) async fn checked(context: &Context<'_>, account: AccountId, blob: &str) -> Result<String, SetError> {
    let missing = || SetError::new("blobNotFound").and("notFound", vec![blob.to_owned()]);
    let real = context.real_id(blob).ok_or_else(missing)?;
    let opened = context.open(account).await.map_err(|_| SetError::new("serverFail"))?;
    let content = context.server.blob(context.user, &opened, real).await?.ok_or_else(missing)?;
    if content.size().await? > limits::SIEVE_SCRIPT_LEN as u64 {
        return Err(SetError::with("tooLarge", format!("a script has at most {} octets", limits::SIEVE_SCRIPT_LEN)));
    }
    let octets = content.read().await?.to_vec();
    let text = String::from_utf8(octets).map_err(|_| SetError::with("invalidSieve", "it is not in UTF-8"))?;
    // A long one takes its time.
    let compiled = tokio::task::spawn_blocking(move || Script::compile(&text).map(|_| text)).await;
    let compiled = compiled.map_err(|error| SetError::with("serverFail", error.to_string()))?;
    compiled.map_err(|why| SetError::with("invalidSieve", why.to_string()))
}

pub(crate) async fn validate(context: &mut Context<'_>, mut args: Args) -> Answer {
    let account = context.own_account_id(&mut args).await?;
    let blob = args.reference("blobId")?;
    let blob = Args::required("blobId", blob)?;
    args.finish()?;
    let error = checked(context, account, &blob).await.err().map_or(Value::Null, |error| error.value());
    Ok(json!({ "accountId": ids::account(account), "error": error }))
}
