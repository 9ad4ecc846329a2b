//! `postrider domain add|list|remove`: which domains are ours.

use clap::Subcommand;
use server::control::Request;

use super::ask::{ask_server, tell};
use super::{Outcome, Server, print, print_json};

/// The domains that this server receives mail for.
#[derive(Debug, Subcommand)]
pub(crate) enum Domain {
    /// Makes a domain this server's.
    Add {
        /// The domain.
        #[arg(value_parser = super::domain)]
        domain: mail::Domain,
        #[command(flatten)]
        server: Server,
    },
    /// Lists the domains.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: Server,
    },
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
            Self::Add { domain, server } => tell(&server.load()?, Request::DomainAdd { domain }).await,
            Self::Remove { domain, server } => tell(&server.load()?, Request::DomainRemove { domain }).await,
            Self::List { json, server } => {
                let (domains, _) = ask_server::<Vec<String>>(&server.load()?, Request::DomainList).await?;
                if json {
                    return print_json(&domains);
                }
                domains.iter().for_each(|domain| print(domain));
                Ok(())
            }
        }
    }
}
