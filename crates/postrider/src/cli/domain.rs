//! `postrider domain add|list|remove`: which domains are ours.

use clap::Subcommand;
use server::control::Request;

use super::ask::tell;
use super::{Listing, Outcome, Server};

/// The domains that this server receives mail for.
#[derive(Debug, Subcommand)]
pub(crate) enum Domain {
    /// Makes a domain this server's.
    Add {
        /// The domain.
        #[arg(value_parser = super::domain)]
        domain: mail::Domain,
        /// A domain of this server for which it stands: whoever has an address there has the same one here.
        #[arg(long, value_name = "DOMAIN", value_parser = super::domain)]
        same_as: Option<mail::Domain>,
        #[command(flatten)]
        server: Server,
    },
    /// Lists the domains.
    List(Listing),
    /// Forgets a domain; refused while it has accounts or aliases.
    Remove {
        /// The domain.
        #[arg(value_parser = super::domain)]
        domain: mail::Domain,
        #[command(flatten)]
        server: Server,
    },
}

impl Domain {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::Add { domain, same_as, server } => {
                tell(&server.load()?, Request::DomainAdd { domain, same_as }).await
            }
            Self::Remove { domain, server } => tell(&server.load()?, Request::DomainRemove { domain }).await,
            Self::List(listing) => listing.show(Request::DomainList, |domains: &[String]| domains.join("\n")).await,
        }
    }
}
