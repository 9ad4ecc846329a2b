//! The reply in the name of who is away (RFC 3834, RFC 5230).
//!
//! **Does:** judges for each account whose notice is due whether who wrote is told ([`letter`]: what the message says of
//! itself; here: who sent it, and to whom), and composes the reply. It goes beside the message into the commit that puts that
//! into the mailbox, the acceptance or, where it was held back, the end of its wait: both, and the memory of who was told, are one.
//!
//! **Does not:** cost anything where no recipient has a notice: those come with the accounts that RCPT looked up anyway. Nor
//! does it ever answer a report or a reply of another's, so that no two programs write to each other.
//!
//! **Data** comes in as the header's facts and the acceptance so far, or the message that waited; it leaves as a report beside it,
//! and as an event of the journey that says what was done, or why nothing.

mod compose;
mod letter;
#[cfg(test)]
mod tests;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use mail::{AccountId, Address, BodyType, Envelope, QueueId, Recipient, ReversePath, Timestamp};
use sieve::Vacation;
use store::{
    Acceptance, AwayNotice, Event, LocalDelivery, Mark, NewDsn, Once, SpecialUse, Store, StoreError, StoreResult,
    WhyNot,
};

use crate::bounce::Placed;
use crate::directory::{Expansion, Step, Walk};
use crate::route::Routing;
use crate::world::Random;

pub(crate) use letter::Letter;

/// An account that is away, and gets the message.
pub(crate) struct Away<'a> {
    pub(crate) account: AccountId,
    /// The recipient of the envelope that led to it.
    pub(crate) recipient: &'a Address,
    pub(crate) notice: &'a Arc<AwayNotice>,
    /// The script that says so, in the place of the account's notice.
    pub(crate) script: Option<ByScript<'a>>,
}

/// What a script's `vacation` (RFC 5230) says beside the text.
#[derive(Clone, Copy)]
pub(crate) struct ByScript<'a> {
    pub(crate) vacation: &'a Vacation,
    /// Who is told now is not told again until then.
    pub(crate) until: Timestamp,
}

impl ByScript<'_> {
    /// RFC 5230 §4.2, §4.7: what is one reply, to one person.
    fn mark(&self, account: AccountId, to: &Address) -> Mark {
        let Vacation { handle, subject, from, reason, mime, .. } = self.vacation;
        let mut hasher = DefaultHasher::new();
        match handle {
            Some(handle) => handle.hash(&mut hasher),
            None => (subject, from.as_ref().map(ToString::to_string), reason, mime).hash(&mut hasher),
        }
        Mark { account, mark: format!("vacation {:016x} {to}", hasher.finish()), until: self.until }
    }
}

/// The message that is answered.
#[derive(Clone, Copy)]
pub(crate) struct Answered<'a> {
    pub(crate) id: QueueId,
    pub(crate) sender: &'a ReversePath,
    pub(crate) letter: &'a Letter,
    /// When it comes into the mailbox.
    pub(crate) now: Timestamp,
}

/// Whether what stands for another address is a name of who has that: a role and a catch-all are nobody's, a group is of several.
fn is_name(expansion: &Expansion) -> bool {
    ["alias", "sub-address"].contains(&expansion.rule) && expansion.targets.len() == 1
}

/// What replies are made with.
pub(crate) struct Clerk<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) routing: &'a Routing,
    pub(crate) random: &'a dyn Random,
}

impl Clerk<'_> {
    /// Adds to an acceptance what goes to its sender in the name of those who are away.
    pub(crate) async fn answer(&self, acceptance: &mut Acceptance, letter: &Letter, away: &[Away<'_>]) {
        let now = acceptance.received_at;
        for (at, one) in away.iter().enumerate().filter(|(_, one)| one.notice.is_due(now)) {
            let is_again = away[..at].iter().any(|before| before.account == one.account);
            let delivery = acceptance.deliveries.iter().find(|delivery| delivery.account == one.account);
            let Some(delivery) = delivery.filter(|_| !is_again) else { continue };
            let answered = Answered { id: acceptance.id, sender: &acceptance.envelope.reverse_path, letter, now };
            match self.reply(answered, one, delivery).await {
                Ok(reply) => acceptance.dsns.push(reply),
                Err(why_not) => acceptance.events.push(why_not),
            }
        }
    }

    /// What goes to the sender in the name of who is away, for the commit of the delivery; or why nothing does.
    pub(crate) async fn reply(
        &self,
        answered: Answered<'_>,
        away: &Away<'_>,
        delivery: &LocalDelivery,
    ) -> Result<NewDsn, Event> {
        let why = match self.reply_for(answered, away, delivery).await {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(why)) => why,
            // The message counts more than the reply to it.
            Err(error) => {
                tracing::warn!(id = %answered.id, %error, "an automatic reply can't be made");
                WhyNot::Failed
            }
        };
        Err(why.event(answered.now, away.recipient, &delivery.address))
    }

    async fn reply_for(
        &self,
        Answered { sender, letter, now, .. }: Answered<'_>,
        away: &Away<'_>,
        delivery: &LocalDelivery,
    ) -> StoreResult<Result<NewDsn, WhyNot>> {
        let names = away.script.map_or(&[][..], |script| &script.vacation.addresses);
        let (to, from) = match self.judge(sender, letter, delivery, names).await? {
            Ok(ends) => ends,
            Err(why) => return Ok(Err(why)),
        };
        // RFC 5230 §4.3: only as one of the account's own addresses; a script is no way to write as somebody else.
        let from = match away.script.and_then(|script| script.vacation.from.as_ref()) {
            Some(wanted) if self.leads_to(wanted, away.account).await? => wanted.clone(),
            _ => from,
        };
        let placed = Placed::at(self.store, self.routing, &to, now).await?;
        if placed.deliveries.is_empty() && placed.relays.is_empty() {
            return Ok(Err(WhyNot::NotTaken));
        }
        let message_id = format!("<{}@{}>", self.random.token(), self.routing.hostname);
        let is_part = away.script.is_some_and(|script| script.vacation.mime);
        let reply =
            compose::Reply { notice: away.notice, is_part, letter, from: &from, to: &to, message_id: &message_id, now };
        let bytes = reply.write();
        let once = Once {
            account: away.account,
            address: delivery.address.clone(),
            to: to.folded(),
            recipient: away.recipient.clone(),
            mark: away.script.map(|script| script.mark(away.account, &to.folded())),
        };
        let is_plain = bytes.is_ascii();
        let envelope = Envelope {
            // RFC 3834 §3.3: so that nothing answers it, nor returns it.
            reverse_path: ReversePath::Null,
            smtputf8: from.needs_utf8() || to.needs_utf8(),
            recipients: vec![Recipient::new(to)],
            body: if is_plain { BodyType::SevenBit } else { BodyType::EightBitMime },
            dsn_return: None,
            envelope_id: None,
            hold: None,
        };
        let account = Some(delivery.address.to_string());
        let made = placed.take(self.store, now, (bytes, message_id), envelope, account).await?;
        Ok(Ok(NewDsn { once: Some(once), ..made }))
    }

    /// To whom a reply goes, and under which of the account's addresses; or why there is none.
    async fn judge(
        &self,
        sender: &ReversePath,
        letter: &Letter,
        delivery: &LocalDelivery,
        names: &[String],
    ) -> StoreResult<Result<(Address, Address), WhyNot>> {
        // RFC 3834 §2, RFC 5230 §4.6: never to nobody.
        let ReversePath::Address(sender) = sender else { return Ok(Err(WhyNot::NoSender)) };
        if self.is_junk(delivery).await? {
            return Ok(Err(WhyNot::Junk));
        }
        if letter::is_program(sender) {
            return Ok(Err(WhyNot::Program));
        }
        if let Some(why) = letter.why_not() {
            return Ok(Err(why));
        }
        if self.leads_to(sender, delivery.account).await? {
            return Ok(Err(WhyNot::Own));
        }
        // RFC 5230 §4.5: only who was written to by name answers.
        for named in letter.recipients() {
            if self.leads_to(named, delivery.account).await? {
                return Ok(Ok((sender.clone(), named.clone())));
            }
        }
        // RFC 5230 §4.5: and by names that only the script knows, as which nobody writes here.
        let is_named = |named: &Address| names.iter().any(|name| name.eq_ignore_ascii_case(&named.to_string()));
        if letter.recipients().iter().any(is_named) {
            return Ok(Ok((sender.clone(), delivery.address.clone())));
        }
        Ok(Err(WhyNot::NotNamed))
    }

    async fn is_junk(&self, delivery: &LocalDelivery) -> StoreResult<bool> {
        let Some(name) = &delivery.mailbox else { return Ok(false) };
        let mailboxes = self.store.mailboxes(delivery.account).await?;
        Ok(mailboxes.iter().any(|mailbox| mailbox.name == *name && mailbox.special_use == Some(SpecialUse::Junk)))
    }

    /// Whether an address is the account's own: it leads there, as a name of its owner.
    async fn leads_to(&self, address: &Address, account: AccountId) -> Result<bool, StoreError> {
        let mut walk = Walk::new(self.store, self.routing, address);
        while let Some(step) = walk.next().await? {
            match step {
                Step::Account(found, ..) => return Ok(found.id == account),
                Step::Others(expansion) if is_name(&expansion) => {}
                _ => return Ok(false),
            }
        }
        Ok(false)
    }
}
