//! Email/get (RFC 8621 §4.2).

use std::collections::BTreeMap;

use mail::{BodyId, MailboxId, Uid, limits};
use reading::body::Message;
use serde_json::{Map, Value};

use super::object::{DEFAULT, Wanted};
use crate::args::Args;
use crate::blob;
use crate::error::{Answer, MethodError};
use crate::ids;
use crate::query::{got, wanted_ids};
use crate::request::{Context, TOO_LARGE, weight};

pub(crate) async fn get(context: &mut Context<'_>, mut args: Args) -> Answer {
    let id = context.account_id(&mut args).await?;
    let asked = wanted_ids(&mut args)?;
    let wanted = Wanted::read(&mut args, &DEFAULT)?.with_id();
    args.finish()?;
    let account = context.open(id).await?;
    let asked = match asked {
        Some(ids) => ids,
        // RFC 8620 §5.1: all, where that is no more than may be asked for.
        None => {
            let ids: Vec<String> = account
                .index
                .emails()
                .take(limits::JMAP_OBJECTS_IN_GET + 1)
                .map(|email| ids::email(email.id()))
                .collect();
            if ids.len() > limits::JMAP_OBJECTS_IN_GET {
                return Err(MethodError::new("requestTooLarge"));
            }
            ids
        }
    };
    let mut objects: BTreeMap<BodyId, Map<String, Value>> = BTreeMap::new();
    let mut places: BTreeMap<MailboxId, Vec<(Uid, BodyId)>> = BTreeMap::new();
    for id in &asked {
        let real = context.real_id(id).and_then(ids::parse_email);
        let Some(email) = real.and_then(|id| account.index.email(id)) else { continue };
        let blob = blob::of_message(email.id());
        objects.insert(email.id(), wanted.metadata(Some(&email), &blob, email.size().into()));
        if let Some((mailbox, uid)) = email.place() {
            places.entry(mailbox).or_default().push((uid, email.id()));
        }
    }
    if wanted.reads() {
        let mut octets = 0;
        for (mailbox, mut list) in places {
            list.sort_unstable();
            for batch in list.chunks(limits::IMAP_FETCH_BATCH) {
                let uids: Vec<Uid> = batch.iter().map(|(uid, _)| *uid).collect();
                let bodies: BTreeMap<Uid, _> = context.server.store.bodies(mailbox, &uids).await?.into_iter().collect();
                for (uid, id) in batch {
                    // What went meanwhile is not found.
                    let (Some(body), Some(members)) = (bodies.get(uid), objects.get_mut(id)) else {
                        objects.remove(id);
                        continue;
                    };
                    let mut message = Message::new(&context.server.structures, body.clone());
                    wanted.describe(&mut message, &blob::of_message(*id), members).await?;
                    octets += weight_of(members);
                    if octets > context.room {
                        return Err(TOO_LARGE);
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    }
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for id in asked {
        let real = context.real_id(&id).and_then(ids::parse_email);
        match real.and_then(|id| objects.get(&id)) {
            Some(members) => list.push(Value::Object(members.clone())),
            None => not_found.push(id),
        }
    }
    Ok(got(&account, list, not_found))
}

fn weight_of(members: &Map<String, Value>) -> usize {
    members.iter().map(|(name, value)| name.len() + weight(value)).sum()
}
