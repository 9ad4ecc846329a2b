//! Blob/copy (RFC 8620 §6.3).

use mail::limits;
use serde_json::{Map, json};

use super::{BlobId, Source, of_upload};
use crate::account::Account;
use crate::args::Args;
use crate::error::{Answer, MethodError, SetError};
use crate::ids;
use crate::request::Context;
use crate::set::or_null;

pub(crate) async fn copy(context: &mut Context<'_>, mut args: Args) -> Answer {
    let from = Args::required("fromAccountId", args.id("fromAccountId")?)?;
    let from = context.permitted(&from, "fromAccountNotFound").await?;
    let id = context.account_id(&mut args).await?;
    let blobs = Args::required("blobIds", args.ids("blobIds")?)?;
    args.finish()?;
    if blobs.len() > limits::JMAP_OBJECTS_IN_SET {
        return Err(MethodError::new("requestTooLarge"));
    }
    let source = context.open(from).await?;
    let (mut copied, mut not_copied) = (Map::new(), Map::new());
    for id in blobs {
        match one(context, &source, &id).await {
            Ok(new) => drop(copied.insert(id, new.into())),
            Err(error) => drop(not_copied.insert(id, error.value())),
        }
    }
    Ok(json!({
        "fromAccountId": ids::account(from),
        "accountId": ids::account(id),
        "copied": or_null(copied),
        "notCopied": or_null(not_copied),
    }))
}

async fn one(context: &Context<'_>, source: &Account, id: &str) -> Result<String, SetError> {
    let content = context.server.blob(context.user, source, id).await?;
    let content = content.ok_or_else(|| SetError::new("notFound"))?;
    // An upload is its user's in all accounts.
    if let Some(BlobId { source: Source::Upload(_), .. }) = BlobId::parse(id) {
        return Ok(id.to_owned());
    }
    let mut stage = context.server.store.stage(content.known_size()).await?;
    let mut pieces = content.pieces();
    while let Some(piece) = pieces.next().await? {
        stage.write(&piece).await?;
    }
    let kept = context.server.store.keep_upload(context.user.account, stage, context.moment.now).await?;
    Ok(of_upload(kept.into_inner()))
}
