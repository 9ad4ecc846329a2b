//! Uploads and downloads (RFC 8620 §6.1, §6.2), for the caller's HTTP.

use mail::limits;
use serde_json::json;
use store::{Stage, StoreError};

use crate::blob::{Download, of_upload};
use crate::ids;
use crate::problem::Problem;
use crate::request::Context;
use crate::server::{Moment, Reply, Server, Turn, User};

impl Server {
    /// A place for the octets of an upload; [`Self::upload`] takes it. Octets over `limits::MESSAGE_SIZE` are refused there.
    ///
    /// # Errors
    /// The store's.
    pub async fn stage(&self, expected: Option<u64>) -> store::StoreResult<Box<dyn Stage>> {
        self.store.stage(expected).await
    }

    /// Keeps an upload (RFC 8620 §6.1), whose turn began before its octets came.
    pub async fn upload(
        &self,
        _: &Turn,
        user: &User,
        account: &str,
        media_type: &str,
        octets: Box<dyn Stage>,
        moment: Moment,
    ) -> Reply {
        let context = Context::new(self, user, moment);
        let Ok(id) = context.permitted(account, "accountNotFound").await else { return Reply::not_found() };
        let size = octets.len();
        if size > limits::MESSAGE_SIZE as u64 {
            return Problem::Limit("maxSizeUpload").reply();
        }
        match self.store.keep_upload(user.account, octets, moment.now).await {
            Ok(kept) => {
                let body = json!({
                    "accountId": ids::account(id),
                    "blobId": of_upload(kept.into_inner()),
                    "type": media_type,
                    "size": size,
                });
                Reply { status: 201, content_type: "application/json", body: body.to_string().into_bytes() }
            }
            Err(StoreError::Limit(_)) => Problem::Limit("maxSizeUpload").reply(),
            Err(error) => {
                tracing::warn!(%error, "an upload was not kept");
                Reply::unavailable()
            }
        }
    }

    /// The octets of a blob; `None`: there is none, or none for this user (RFC 8620 §6.2: 404 for both).
    ///
    /// # Errors
    /// The store's.
    pub async fn download(
        &self,
        user: &User,
        account: &str,
        blob: &str,
        moment: Moment,
    ) -> store::StoreResult<Option<Download>> {
        let context = Context::new(self, user, moment);
        let Ok(id) = context.permitted(account, "accountNotFound").await else { return Ok(None) };
        let Ok(account) = context.open(id).await else { return Ok(None) };
        Ok(self.blob(user, &account, blob).await?.map(Download::new))
    }
}
