//! Identities (RFC 8621 §6): the names and addresses that an account sends under.
//!
//! Each address of the account has one from the start. Which those are says the directory, by the rule that submission has;
//! what changed there is found out when somebody asks.

pub(crate) mod set;

use mail::{AccountId, IdentityId};
use serde_json::{Map, Value, json};
use store::{Identity, Kept, Named, Profile};

use crate::args::Args;
use crate::error::Answer;
use crate::ids;
use crate::request::Context;
use crate::sending::{self, Asked};
use crate::server::Outbox;

/// RFC 8621 §6
const PROPERTIES: &[&str] = &["id", "name", "email", "replyTo", "bcc", "textSignature", "htmlSignature", "mayDelete"];

/// An account's identities as of now.
pub(crate) async fn identities(context: &Context<'_>, account: AccountId) -> Answer<Kept<Identity, IdentityId>> {
    let own = &context.user.address;
    let store = &context.server.store;
    let addresses = match context.server.outbox() {
        Some(Outbox { desk, .. }) => {
            let mut addresses = desk.addresses_of(account, own).await?;
            // Those that were made for a detail of an address, or for what a catch-all takes.
            for Identity { email, .. } in store.identities(account).await?.there {
                if !addresses.contains(&email) && desk.may_send_as(account, &email).await? {
                    addresses.push(email);
                }
            }
            addresses
        }
        None => vec![own.folded()],
    };
    store.identify(account, addresses).await?;
    Ok(store.identities(account).await?)
}

fn named(all: Option<&Vec<Named>>) -> Value {
    let one = |one: &Named| json!({ "name": one.name, "email": one.email });
    all.map_or(Value::Null, |all| all.iter().map(one).collect())
}

/// The first of the account's own address stays: without it nothing could be sent.
fn may_delete(context: &Context<'_>, kept: &Kept<Identity, IdentityId>, identity: &Identity) -> bool {
    let own = context.user.address.folded();
    kept.there.iter().find(|one| one.email == own).is_none_or(|first| first.id != identity.id)
}

fn object(identity: &Identity, may_delete: bool) -> Map<String, Value> {
    let Profile { name, reply_to, bcc, text_signature, html_signature } = &identity.profile;
    let value = json!({
        "id": ids::identity(identity.id),
        "name": name,
        "email": identity.email.to_string(),
        "replyTo": named(reply_to.as_ref()),
        "bcc": named(bcc.as_ref()),
        "textSignature": text_signature,
        "htmlSignature": html_signature,
        "mayDelete": may_delete,
    });
    value.as_object().cloned().unwrap_or_default()
}

/// Identity/get.
pub(crate) async fn get(context: &mut Context<'_>, mut args: Args) -> Answer {
    let account = context.own_account_id(&mut args).await?;
    let asked = Asked::read(args, PROPERTIES)?;
    let kept = identities(context, account).await?;
    let tell = |identity: &Identity| object(identity, may_delete(context, &kept, identity));
    Ok(asked.response(context, account, &kept, |one| ids::identity(one.id), tell))
}

/// Identity/changes.
pub(crate) async fn changes(context: &mut Context<'_>, mut args: Args) -> Answer {
    let account = context.own_account_id(&mut args).await?;
    let kept = identities(context, account).await?;
    sending::changes(account, args, &kept, |id| id.0, |id| ids::identity(IdentityId(id)))
}
