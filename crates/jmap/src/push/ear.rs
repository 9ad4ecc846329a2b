//! An ear on all that a user can see: woken when something of it changes, it finds out what.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use mail::{AccountId, MailboxId, ModSeq, Rights, Timestamp, limits};
use store::{AccountNews, AccountWatch, Interest, StoreResult};

use super::states::{Changed, Places, States};
use super::types::{Beside, Types};
use crate::changes::Since;
use crate::ids;
use crate::request::Context;
use crate::server::{Moment, Server, User};

/// See above. One serves all of a user's listeners.
pub struct Ear {
    user: User,
    watch: AccountWatch,
    /// Whose each mailbox is that is listened to.
    owners: HashMap<MailboxId, AccountId>,
    states: Arc<States>,
    /// Of which states of journeys are made.
    random: u128,
}

/// What a look brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Whoever acts for the user is to be looked at again: somebody perhaps can't any more.
    pub access: bool,
}

/// Nothing is made here that needs a time.
const MOMENT: Moment = Moment { now: Timestamp::from_secs(0), random: 0 };

impl Ear {
    /// States as of the last look.
    pub const fn states(&self) -> &Arc<States> {
        &self.states
    }

    /// Returns when there is something to look at.
    pub async fn changed(&self) {
        self.watch.changed().await;
    }

    const fn moment(&self) -> Moment {
        Moment { random: self.random, ..MOMENT }
    }

    fn set_interest(&self) {
        self.watch.set_interest(Interest {
            // The order among siblings is one.
            annotations: true,
            names: true,
            mailboxes: self.owners.keys().copied().collect(),
            shared: true,
            access: true,
            away: true,
            sending: true,
            journeys: true,
        });
    }

    /// Finds the mailboxes that there are for the user, and listens to them.
    async fn resolve(&mut self, server: &Server) -> StoreResult<()> {
        let own = server.store.survey(self.user.account).await?;
        let mut owners: HashMap<_, _> = own.mailboxes.iter().map(|mailbox| (mailbox.id, self.user.account)).collect();
        let mut others = BTreeSet::new();
        for mailbox in server.store.shared_with(self.user.account).await? {
            let is_readable = mailbox.rights.contains(Rights::LOOKUP.with(Rights::READ));
            let is_heard = others.contains(&mailbox.owner) || others.len() + 1 < limits::PUSH_ACCOUNTS;
            if is_readable && is_heard {
                others.insert(mailbox.owner);
                owners.insert(mailbox.id, mailbox.owner);
            }
        }
        self.owners = owners;
        self.set_interest();
        Ok(())
    }

    /// The accounts that there are for the user.
    fn accounts(&self) -> BTreeSet<AccountId> {
        self.owners.values().copied().chain([self.user.account]).collect()
    }

    /// Finds out what changed since the last look.
    ///
    /// # Errors
    /// The store's; the next look finds out the same.
    pub async fn look(&mut self, server: &Server) -> StoreResult<Heard> {
        let heard = self.watch.take();
        let mut touched: BTreeSet<AccountId> =
            heard.messages.keys().filter_map(|mailbox| self.owners.get(mailbox).copied()).collect();
        let told = |what: AccountNews| heard.lost || heard.news.iter().any(|news| **news == what);
        let beside = Beside {
            identities: told(AccountNews::Identities),
            submissions: told(AccountNews::Submissions),
            away: told(AccountNews::Away),
        };
        if !heard.news.is_empty() || heard.shared || heard.lost {
            self.resolve(server).await?;
            touched.insert(self.user.account);
        }
        let accounts = self.accounts();
        let mut states = (*self.states).clone();
        if heard.shared || heard.lost {
            touched.extend(&accounts);
        }
        states.0.retain(|account, _| accounts.contains(account));
        for account in touched.intersection(&accounts) {
            let at = server.store.survey(*account).await?.modseq;
            match states.0.get_mut(account) {
                Some(places) if places.seen == at => {}
                Some(places) => {
                    let beside = if *account == self.user.account { beside } else { Beside::default() };
                    let (types, at) = server.types(&self.user, *account, (places.seen, at), beside).await;
                    places.change(types, at);
                }
                None => drop(states.0.insert(*account, Places::new(at))),
            }
        }
        if (heard.lost || !heard.journeys.is_empty())
            && let Some(own) = states.0.get_mut(&self.user.account)
        {
            own.journeys = Some(server.journey_state(&self.user, self.moment()));
        }
        if states != *self.states {
            self.states = Arc::new(states);
        }
        Ok(Heard { access: heard.access })
    }
}

impl Server {
    /// Which types of an account changed for a user since a place, and up to where. Where it can't be found out, all did.
    async fn types(
        &self,
        user: &User,
        account: AccountId,
        (since, now): (ModSeq, ModSeq),
        beside: Beside,
    ) -> (Types, ModSeq) {
        let context = Context::new(self, user, MOMENT);
        let Ok(opened) = context.open(account).await else { return (Types::ALL, now) };
        let at = opened.modseq;
        let read = Since::read(&context, opened, &ids::state(since)).await;
        read.map_or((Types::ALL, now), |since| (Types::of(&since, beside), at))
    }

    /// What of these types changed up to `now` for who was told something of this id.
    pub async fn missed(&self, user: &User, now: &States, id: &str, wanted: Types) -> Changed {
        let known = States::places(id);
        let (mut before, mut after) = (States::default(), now.clone());
        for (account, places) in &mut after.0 {
            let Some((since, journeys)) = known.get(account) else { continue };
            let types = if *since == places.seen {
                Types::NONE
            } else {
                match self.beside(user, *account, *since).await {
                    Ok(beside) => self.types(user, *account, (*since, places.seen), beside).await.0,
                    Err(_) => Types::ALL,
                }
            };
            let seen = places.seen;
            before.0.insert(*account, Places { journeys: journeys.clone(), ..Places::new(ModSeq(0)) });
            *places = Places { journeys: places.journeys.take(), ..Places::new(ModSeq(0)) };
            places.change(types, seen);
        }
        after.since(&before, wanted)
    }

    /// What of a user's own account changed since a place beside the mail.
    async fn beside(&self, user: &User, account: AccountId, since: ModSeq) -> StoreResult<Beside> {
        if account != user.account {
            return Ok(Beside::default());
        }
        let identities = self.store.identities(account).await?;
        let submissions = self.store.submissions(account).await?;
        let away = self.store.survey(account).await?.away > since;
        Ok(Beside {
            identities: identities.there.iter().any(|identity| identity.changed > since)
                || identities.gone.iter().any(|(.., at)| *at > since)
                || identities.known_since > since,
            submissions: submissions.there.iter().any(|submission| submission.changed > since)
                || submissions.gone.iter().any(|(.., at)| *at > since)
                || submissions.known_since > since,
            away,
        })
    }

    /// Listens to all that a user can see. What changes from now on is heard. `random`: 128 bits that nobody else is given.
    ///
    /// # Errors
    /// The store's.
    pub async fn listen(&self, user: &User, random: u128) -> StoreResult<Ear> {
        let mut ear = Ear {
            user: user.clone(),
            watch: self.store.listen(user.account),
            owners: HashMap::new(),
            states: Arc::default(),
            random,
        };
        // What is made while the mailboxes are looked for is heard of, and they are looked for again.
        ear.set_interest();
        ear.resolve(self).await?;
        let mut states = States::default();
        for account in ear.accounts() {
            states.0.insert(account, Places::new(self.store.survey(account).await?.modseq));
        }
        if let Some(own) = states.0.get_mut(&user.account) {
            own.journeys = Some(self.journey_state(user, ear.moment()));
        }
        ear.states = Arc::new(states);
        Ok(ear)
    }
}
