//! `postrider dkim …`: the keys with which domains sign their mail.

use clap::Subcommand;
use mail::Domain;
use server::control::{KeyAct, KeyView, Request};

use super::ask::ask_server;
use super::table::{moment, table};
use super::{Failure, Listing, Outcome, Server, domain, print, print_json};

/// Keys with which domains sign their mail (DKIM). A new domain gets its first ones by itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Dkim {
    /// Lists the keys of all domains.
    List(Listing),
    /// Shows the records that a domain's keys need in DNS.
    Show {
        /// The domain.
        #[arg(value_parser = domain)]
        domain: Domain,
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Makes new keys, which wait until their records are in DNS; those before go on signing. The first of a domain sign at once.
    Rotate {
        /// The domain.
        #[arg(value_parser = domain)]
        domain: Domain,
        #[command(flatten)]
        server: Server,
    },
    /// Signs with the keys that wait, once DNS has their records; those before are retired.
    Activate {
        /// The domain.
        #[arg(value_parser = domain)]
        domain: Domain,
        /// Without a look at DNS.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Signs with a key no more. Its record stays in DNS for a week, for mail that is under way.
    Retire {
        #[command(flatten)]
        key: Key,
    },
    /// Takes a key away that does not sign; then its record can go, too.
    Remove {
        #[command(flatten)]
        key: Key,
    },
}

#[derive(clap::Args, Debug)]
pub(crate) struct Key {
    /// The domain.
    #[arg(value_parser = domain)]
    domain: Domain,
    /// The key's name, as "dkim list" has it.
    selector: String,
    #[command(flatten)]
    server: Server,
}

impl Dkim {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::List(listing) => listing.show(Request::Dkim { domain: None, act: KeyAct::List }, list).await,
            Self::Show { domain, json, server } => {
                let keys = ask(&server, domain, KeyAct::List).await?;
                if json {
                    return print_json(&keys);
                }
                show(&keys);
                Ok(())
            }
            Self::Rotate { domain, server } => {
                let made = ask(&server, domain.clone(), KeyAct::Rotate).await?;
                print("Put these into DNS:");
                show(&made);
                if made.iter().any(|key| key.state == "waiting") {
                    print(&format!("Once they are there: postrider dkim activate {domain}"));
                }
                Ok(())
            }
            Self::Activate { domain, force, server } => {
                let keys = ask(&server, domain, KeyAct::Activate { force }).await?;
                print(&list(&keys));
                Ok(())
            }
            Self::Retire { key } => key.tell(KeyAct::Retire).await,
            Self::Remove { key } => key.tell(KeyAct::Remove).await,
        }
    }
}

impl Key {
    async fn tell(self, act: impl FnOnce(String) -> KeyAct) -> Outcome {
        ask(&self.server, self.domain, act(self.selector)).await.map(drop)
    }
}

async fn ask(server: &Server, domain: Domain, act: KeyAct) -> Result<Vec<KeyView>, Failure> {
    let (keys, _) = ask_server(&server.load()?, Request::Dkim { domain: Some(domain), act }).await?;
    Ok(keys)
}

fn list(keys: &[KeyView]) -> String {
    let row = |key: &KeyView| {
        let since = moment(key.since);
        vec![key.domain.clone(), key.selector.clone(), key.kind.clone(), key.state.clone(), since]
    };
    table(&["DOMAIN", "KEY", "KIND", "STATE", "SINCE"], &keys.iter().map(row).collect::<Vec<_>>())
}

/// Lines of a zone file.
fn show(keys: &[KeyView]) {
    for key in keys {
        print(&format!("; {}, {} since {} UTC", key.kind, key.state, moment(key.since)));
        print(&key.line);
    }
}
