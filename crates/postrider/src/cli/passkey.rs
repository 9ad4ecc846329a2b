//! `postrider account passkey …`: passkeys, which their owners make in the browser.

use clap::Subcommand;
use server::control::{PasskeyView, Request};

use super::account::Who;
use super::ask::{ask_server, tell};
use super::table::{moment, table};
use super::{Outcome, print, print_json};

/// Passkeys: devices that log in at the web, without password and code. Their owner makes them in the browser.
#[derive(Debug, Subcommand)]
pub(crate) enum Passkey {
    /// Lists them.
    List {
        #[command(flatten)]
        who: Who,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Takes one away, by its number, for who has lost the device; whoever is logged in at the web logs in anew.
    Remove {
        #[command(flatten)]
        who: Who,
        /// As `list` shows it.
        id: u64,
    },
}

impl Passkey {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::List { who: Who { address, server }, json } => {
                let request = Request::PasskeyList { address };
                let (found, _) = ask_server::<Vec<PasskeyView>>(&server.load()?, request).await?;
                if json {
                    return print_json(&found);
                }
                if !found.is_empty() {
                    print(&list(&found));
                }
                Ok(())
            }
            Self::Remove { who: Who { address, server }, id } => {
                tell(&server.load()?, Request::PasskeyRemove { address, id }).await
            }
        }
    }
}

fn list(found: &[PasskeyView]) -> String {
    let row = |one: &PasskeyView| {
        vec![
            one.id.to_string(),
            moment(one.created),
            one.used.map_or_else(|| "never".into(), moment),
            one.used_from.clone().unwrap_or_default(),
            one.name.clone(),
        ]
    };
    table(&["ID", "MADE", "USED", "FROM", "NAME"], &found.iter().map(row).collect::<Vec<_>>())
}
