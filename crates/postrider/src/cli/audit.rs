//! `postrider audit`: what was done to the system, and who logged in.

use clap::Args;
use server::control::Request;
use store::Audited;

use super::ask::ask_server;
use super::table::{moment, table};
use super::{Outcome, Server, print, print_json};

/// Shows what operators did and who logged in, the newest first.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Only what somebody of this name did, or what was done to it: an address or a part of one.
    name: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Only what was before this number.
    #[arg(long)]
    before: Option<u64>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Audit {
    pub(super) async fn run(self) -> Outcome {
        let Self { name, limit, before, json, server } = self;
        let request = Request::Audit { name, before, limit };
        let (found, _) = ask_server::<Vec<Audited>>(&server.load()?, request).await?;
        if json {
            return print_json(&found);
        }
        if !found.is_empty() {
            print(&list(&found));
        }
        Ok(())
    }
}

fn list(found: &[Audited]) -> String {
    let row = |Audited { number, act }: &Audited| {
        let what = [act.act.as_str(), act.about.as_str()].join(" ");
        let times = if act.times > 1 { format!(" ({} times)", act.times) } else { String::new() };
        vec![
            number.to_string(),
            moment(act.at),
            act.who.clone(),
            act.from.clone(),
            format!("{}: {}{times}", what.trim_end(), act.outcome),
        ]
    };
    table(&["NO", "AT", "WHO", "FROM", "WHAT"], &found.iter().map(row).collect::<Vec<_>>())
}
