//! `postrider account app-password …`: passwords of single programs and devices.

use clap::Subcommand;
use server::control::{AppPasswordMade, AppPasswordView, Request};

use super::account::Who;
use super::ask::{ask_server, tell};
use super::table::{moment, table};
use super::{Outcome, print, print_json};

/// App passwords: one for each program or device, for IMAP, POP3, submission and JMAP. Made at random, shown once, taken
/// away one by one; with a second factor, programs need them.
#[derive(Debug, Subcommand)]
pub(crate) enum AppPassword {
    /// Makes one, and shows it this once.
    Add {
        #[command(flatten)]
        who: Who,
        /// What it is for, like "Thunderbird on the laptop".
        name: String,
        /// Where it may be used: imap, pop3, smtp, jmap, or mail, which is all of them. May be given several times.
        #[arg(long = "scope", value_name = "SCOPE", default_value = "mail")]
        scopes: Vec<String>,
        /// It is over after so many days (default: never).
        #[arg(long)]
        days: Option<u32>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lists them.
    List {
        #[command(flatten)]
        who: Who,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Takes one away, by its number.
    Remove {
        #[command(flatten)]
        who: Who,
        /// As `list` shows it.
        id: u64,
    },
}

impl AppPassword {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::Add { who: Who { address, server }, name, scopes, days, json } => {
                let request = Request::AppPasswordAdd { address, name, scopes, days };
                let (made, _) = ask_server::<AppPasswordMade>(&server.load()?, request).await?;
                if json {
                    return print_json(&made);
                }
                print(&made.password.0);
                Ok(())
            }
            Self::List { who: Who { address, server }, json } => {
                let request = Request::AppPasswordList { address };
                let (found, _) = ask_server::<Vec<AppPasswordView>>(&server.load()?, request).await?;
                if json {
                    return print_json(&found);
                }
                if !found.is_empty() {
                    print(&list(&found));
                }
                Ok(())
            }
            Self::Remove { who: Who { address, server }, id } => {
                tell(&server.load()?, Request::AppPasswordRemove { address, id }).await
            }
        }
    }
}

fn list(found: &[AppPasswordView]) -> String {
    let row = |one: &AppPasswordView| {
        vec![
            one.id.to_string(),
            one.scopes.join(","),
            moment(one.created),
            one.expires.map_or_else(|| "never".into(), moment),
            one.used.map_or_else(|| "never".into(), moment),
            one.used_from.clone().unwrap_or_default(),
            one.name.clone(),
        ]
    };
    let head = ["ID", "SCOPES", "MADE", "OVER", "USED", "FROM", "NAME"];
    table(&head, &found.iter().map(row).collect::<Vec<_>>())
}
