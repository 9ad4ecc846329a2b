//! The path of a message between the moment it is accepted and the moment somebody else answers for it.
//!
//! **Does:** takes mail in ([`accept`]), decides where it goes ([`route`]), when ([`queue`]), carries it there ([`relay`]) and tells
//! the sender when it can't ([`bounce`]), or when its recipient is away (`away`).
//!
//! **Does not:** open sockets, read clocks or draw random numbers itself: all of that comes in through
//! the traits of [`world`], so that tests and simulations put another world in their place.
//!
//! **Data** comes in as transactions of the store and leaves as conversations of `wire`, over streams
//! that [`world::Connect`] opens.

pub mod accept;
mod away;
pub mod bounce;
pub mod directory;
pub mod header;
pub mod milter;
pub mod misbehave;
pub mod policy;
pub mod queue;
pub mod relay;
pub mod route;
pub mod safety;
pub mod script;
pub mod world;
