//! A message that somebody of this machine hands in, as `sendmail` does. Its octets follow the request's line on the
//! socket; without a server they come from the command itself. Who may use the socket (its owner, and root) may send as
//! anybody: he may change everything else here, too.

use std::sync::Arc;

use mail::{QueueId, Recipient, ReversePath, limits};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::execute::Context;
use super::view;

/// The envelope.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Submission {
    /// Who hands it in: the system's name for him, for the journey.
    pub user: String,
    /// The reverse-path; empty: null.
    pub sender: String,
    /// To whom.
    #[serde(with = "view::texts")]
    pub recipients: Vec<mail::Address>,
    /// Octets of the message, lines ended by CRLF.
    pub size: u64,
}

/// Takes responsibility for it; the answer is its queue id. Reads exactly its octets where it is taken.
pub async fn submit(
    context: &Context,
    submission: Submission,
    body: &mut (dyn AsyncRead + Send + Unpin),
) -> Result<Value, String> {
    let Submission { user, sender, recipients, size } = submission;
    let bounds = (context.settings)().limits;
    if size > bounds.message_size {
        return Err(format!(
            "the message has {size} octets; {} are allowed ([limits] message_size)",
            bounds.message_size
        ));
    }
    if recipients.is_empty() || recipients.len() > bounds.recipients {
        return Err(format!("a message has 1 to {} recipients ([limits] recipients)", bounds.recipients));
    }
    let sender = match sender.as_str() {
        "" => ReversePath::Null,
        address => ReversePath::Address(wire::address::mailbox(address).map_err(|error| error.to_string())?),
    };
    let recipients = recipients.into_iter().map(Recipient::new).collect();
    let desk = Arc::new(context.desk());
    let mut handed = desk.hand_in(&user, sender, recipients, size).await.map_err(|refused| {
        // The reply's words name the address already.
        let words = refused.into_iter().map(|(_, reply)| reply.to_string());
        words.collect::<Vec<_>>().join("\n")
    })?;
    let mut left = size;
    let mut piece = vec![0; limits::READ_CHUNK];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        let read = body.read(&mut piece[..most]).await.map_err(|error| error.to_string())?;
        if read == 0 {
            return Err("the message did not come whole".into());
        }
        left -= read as u64;
        handed.write(&piece[..read]).await.map_err(|reply| reply.to_string())?;
    }
    let id: QueueId = handed.commit().await.map_err(|reply| reply.to_string())?.into_inner();
    tracing::info!(%id, service = "sendmail", user, "accepted");
    Ok(Value::String(id.to_string()))
}
