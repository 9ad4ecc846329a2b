//! The first stop: whether a message is taken, for whom, and what is written on top of it.
//!
//! **Does:** answers the questions of the SMTP server's engine on a store: who may send, who receives
//! ([`resolve`]), what stands in the trace fields ([`trace`]), and the one commit by which we answer for the message.
//!
//! **Does not:** speak SMTP (the engine in `wire::smtp::server` does), check passwords, or send anything on.
//!
//! **Data** comes in as values of the engine's questions and the slices of a body; it goes to [`store::Store::accept`],
//! whole or not at all, and back as replies.

pub mod authenticate;
mod filtered;
mod handed;
mod hold;
pub mod inspect;
mod outgoing;
mod replies;
pub mod resolve;
mod sorted;
mod submission;
mod success;
#[cfg(test)]
mod tests;
mod trace;
mod transaction;

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use mail::{AccountId, Address, Reply, ReversePath};
use store::Store;
use wire::smtp::server::Role;

use crate::bounce::Reporter;
use crate::milter::Milters;
use crate::misbehave::Misbehave;
use crate::policy::Door;
use crate::route::Routing;
use crate::world::{Clock, Random};

use inspect::Inspectors;

pub use filtered::SessionFilters;
pub use handed::HandedIn;
pub use hold::{NotHeld, hold, release_limits};
pub use outgoing::{Outgoing, Unsent};
pub use transaction::{Ending, Incoming, Transaction};

/// Asks the next hop of a gateway domain whether it takes a recipient, so that nobody has to be told later that it
/// does not (backscatter). Answers are cached.
#[async_trait]
pub trait VerifyRecipient: Send + Sync + 'static {
    /// Nothing where it does; else our reply: 5yz where it never will, 4yz where nobody can tell now.
    async fn verify(&self, sender: &ReversePath, recipient: &Address) -> Result<(), Reply>;
}

/// What of the configuration matters here.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Received fields before a message counts as looping.
    pub hops: usize,
    /// Whether the Received field of a submission shows the client's address.
    pub show_client: bool,
    /// Our name, gateway domains, and what mail for elsewhere is scheduled under.
    pub routing: Arc<Routing>,
}

/// What acceptance works with. One for each system; changes with the configuration.
pub struct Desk {
    /// Where it is kept.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// For Message-IDs.
    pub random: Arc<dyn Random>,
    /// The rules.
    pub policy: Policy,
    /// Who stands at the door: rates, lists, rules about senders and recipients; none: everybody comes in.
    pub door: Option<Arc<Door>>,
    /// For gateway domains; none: every recipient of theirs is taken.
    pub verify: Option<Arc<dyn VerifyRecipient>>,
    /// Recipients that misbehave on purpose, on port 25.
    pub misbehave: Option<Arc<dyn Misbehave>>,
    /// Who looks at each message before it is taken.
    pub inspectors: Arc<Inspectors>,
    /// Filters of others, asked at each step of a session; none: there are no filters.
    pub milters: Option<Arc<Milters>>,
    /// Makes reports by the configuration of now; none: no reports of success.
    pub reporter: Option<MakeReporter>,
}

/// Gives the maker of reports of this moment.
pub type MakeReporter = Arc<dyn Fn() -> Reporter + Send + Sync>;

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.policy.fmt(f)
    }
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address.
    pub ip: IpAddr,
    /// By which door it came.
    pub role: Role,
    /// TLS, where there is some.
    pub tls: Option<store::Tls>,
    /// Who is logged in.
    pub identity: Identity,
    /// It is in a network that may send without log-in.
    pub trusted: Option<Arc<Trusted>>,
}

/// A network whose machines (printers, devices, other servers of ours) may send elsewhere without log-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    /// As it is configured, for the journey.
    pub network: String,
    /// Whoever they name as sender; else only senders of our own domains.
    pub as_anybody: bool,
}

/// Who is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Nobody.
    Stranger,
    /// An account and its address.
    Account(AccountId, Address),
    /// Who runs this system, on this machine: he may send as anybody.
    Operator,
}
