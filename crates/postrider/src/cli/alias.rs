//! `postrider alias add|list|remove`: addresses that stand for others.

use clap::Subcommand;
use mail::Address;
use server::control::{AliasView, Request};

use super::ask::tell;
use super::table::table;
use super::{Listing, Outcome, Server, address};

/// Addresses that stand for others: one or many, here or elsewhere. `*@example.org` is the catch-all.
#[derive(Debug, Subcommand)]
pub(crate) enum Alias {
    /// Adds targets to an alias, which is made if it is not there.
    Add {
        /// The alias.
        #[arg(value_parser = address)]
        alias: Address,
        /// Where its mail goes.
        #[arg(required = true, value_parser = address)]
        targets: Vec<Address>,
        #[command(flatten)]
        server: Server,
    },
    /// Lists the aliases.
    List(Listing),
    /// Removes targets from an alias; without targets, the alias.
    Remove {
        /// The alias.
        #[arg(value_parser = address)]
        alias: Address,
        /// The targets.
        #[arg(value_parser = address)]
        targets: Vec<Address>,
        #[command(flatten)]
        server: Server,
    },
}

impl Alias {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::Add { alias, targets, server } => tell(&server.load()?, Request::AliasAdd { alias, targets }).await,
            Self::Remove { alias, targets, server } => {
                tell(&server.load()?, Request::AliasRemove { alias, targets }).await
            }
            Self::List(listing) => {
                let row = |alias: &AliasView| vec![alias.alias.clone(), alias.targets.join(", ")];
                let draw =
                    |aliases: &[AliasView]| table(&["ALIAS", "TARGETS"], &aliases.iter().map(row).collect::<Vec<_>>());
                listing.show(Request::AliasList, draw).await
            }
        }
    }
}
