//! `postrider alias add|list|remove`: addresses that stand for others.

use clap::Subcommand;
use mail::Address;
use server::control::{AliasView, Request};

use super::ask::{ask_server, tell};
use super::table::table;
use super::{Outcome, Server, address, print, print_json};

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
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: Server,
    },
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
            Self::List { json, server } => {
                let (aliases, _) = ask_server::<Vec<AliasView>>(&server.load()?, Request::AliasList).await?;
                if json {
                    return print_json(&aliases);
                }
                let row = |alias: &AliasView| vec![alias.alias.clone(), alias.targets.join(", ")];
                print(&table(&["ALIAS", "TARGETS"], &aliases.iter().map(row).collect::<Vec<_>>()));
                Ok(())
            }
        }
    }
}
