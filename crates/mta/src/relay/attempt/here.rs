//! Recipients with a mailbox here who had to wait (RFC 4865).
//!
//! Does: say whether the account takes the message now, and what goes to its sender in the name of who is away. Does not:
//! deliver: the settlement does, with the reply, in one commit.

use std::sync::Arc;

use mail::{AccountId, Address, Flags, Timestamp};
use message::header::Header;
use store::{AwayNotice, DirectoryEntry, Event, LocalDelivery, NewDsn, QueueRecipient};
use wire::smtp::client::{Cause, Failure, Stage};

use super::{Reached, Try};
use crate::accept::resolve::{self, Refusal};
use crate::away::{Answered, Away, Clerk, Letter};
use crate::header;

/// An account that takes the message.
pub(super) struct Here {
    pub(super) account: AccountId,
    pub(super) address: Address,
    /// What its owner, who may be away, has told to those who write.
    away: Option<Arc<AwayNotice>>,
}

impl Try {
    /// What the account of a recipient says now; `None`: he has none.
    pub(super) async fn here(&self, recipient: &QueueRecipient) -> Option<Reached> {
        let judged = match self.relay.store.entry(&recipient.address.folded()).await {
            Ok(Some(DirectoryEntry::Account(account))) => {
                let size = self.message.size + recipient.prefix.len() as u64;
                let judged = resolve::check(&account, &recipient.address, size).map_err(|why| why.reply);
                judged.map(|()| Here { account: account.id, address: account.address, away: account.away })
            }
            Ok(_) => return None,
            Err(why) => Err(Refusal::from(why).reply),
        };
        let (word, here) = match judged {
            Ok(here) => (Ok(mail::Reply::new(250, (2, 1, 5), "delivered")), Some(here)),
            Err(reply) => (Err(Failure { stage: Stage::Rcpt, cause: Cause::Reply(reply) }), None),
        };
        Some(Reached { host: None, word, here, tls: None, dsn: false, took: 0 })
    }

    /// What the sender is told by those who are away when it comes to them, or why nothing.
    pub(super) async fn answers(&self, arrived: &[(u32, &Here)], now: Timestamp) -> Vec<Result<NewDsn, Event>> {
        let due = |here: &Here| here.away.clone().filter(|notice| notice.is_due(now));
        let away: Vec<_> = arrived.iter().filter_map(|(index, here)| Some((*index, *here, due(here)?))).collect();
        if away.is_empty() {
            return Vec::new();
        }
        // One that can't be read is not answered: nothing says that a person wrote it.
        let octets = header::read(self.body.as_ref()).await.unwrap_or_else(|error| {
            tracing::warn!(id = %self.job.id, %error, "the header can't be read");
            Vec::new()
        });
        let letter = Letter::of(&Header::of(&octets));
        let routing = self.relay.routing();
        let world = &self.relay.world;
        let clerk = Clerk { store: &*self.relay.store, routing: &routing, random: &*world.random };
        let sender = &self.message.envelope.reverse_path;
        let answered = Answered { id: self.job.id, sender, letter: &letter, now };
        let mut answers = Vec::new();
        for (index, here, notice) in &away {
            let Some(recipient) = self.recipient(*index) else { continue };
            let one = Away { account: here.account, recipient: &recipient.address, notice, script: None };
            let delivery = LocalDelivery {
                account: here.account,
                address: here.address.clone(),
                mailbox: None,
                prefix: Vec::new(),
                flags: Flags::NONE,
                keywords: Vec::new(),
            };
            answers.push(clerk.reply(answered, &one, &delivery).await);
        }
        answers
    }
}
