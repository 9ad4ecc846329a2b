//! `postrider sieve …`: filters.

mod explain;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use mail::{Address, ReversePath};

use server::control::{Request, ScriptAct, ScriptView};

use super::account::Who;
use super::ask::{ask_server, tell};
use super::table::table;
use super::{Failure, Outcome, address, print, print_json};

/// Sieve filters of accounts, and trying scripts out (docs/sieve.md).
#[derive(Debug, Subcommand)]
pub(crate) enum Sieve {
    /// Tries a script out on a message: says line by line what it would do and why, and does nothing.
    Test {
        /// The script. Scripts that it includes are looked for beside it.
        script: PathBuf,
        /// The message, as a file.
        message: PathBuf,
        /// The envelope's sender; without one, the message has none.
        #[arg(long, value_parser = address)]
        from: Option<Address>,
        /// The envelope's recipient.
        #[arg(long, value_parser = address, default_value = "you@example.org")]
        to: Address,
    },
    /// Lists an account's scripts.
    List {
        #[command(flatten)]
        who: Who,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows what a script says.
    Show {
        #[command(flatten)]
        who: Who,
        /// Its name.
        name: String,
    },
    /// Keeps a script under a name, in the place of the one that has it.
    Put {
        #[command(flatten)]
        who: Who,
        /// Its name.
        name: String,
        /// The script, as a file.
        script: PathBuf,
        /// Deliveries run it from now on.
        #[arg(long)]
        activate: bool,
    },
    /// Lets deliveries run a script, in the place of another.
    Activate {
        #[command(flatten)]
        who: Who,
        /// Its name.
        name: String,
    },
    /// Lets deliveries run none of the scripts.
    Deactivate {
        #[command(flatten)]
        who: Who,
    },
    /// Takes a script away, unless it is the active one.
    Remove {
        #[command(flatten)]
        who: Who,
        /// Its name.
        name: String,
    },
}

impl Sieve {
    pub(super) async fn run(self) -> Outcome {
        let (Who { address, server }, act) = match self {
            Self::List { who: Who { address, server }, json } => {
                let request = Request::Sieve { address, act: ScriptAct::List };
                let (found, _) = ask_server::<Vec<ScriptView>>(&server.load()?, request).await?;
                if json {
                    return print_json(&found);
                }
                if !found.is_empty() {
                    print(&list(&found));
                }
                return Ok(());
            }
            Self::Show { who: Who { address, server }, name } => {
                let request = Request::Sieve { address, act: ScriptAct::Show(name) };
                let (text, _) = ask_server::<String>(&server.load()?, request).await?;
                print(text.trim_end());
                return Ok(());
            }
            Self::Put { who, name, script, activate } => {
                (who, ScriptAct::Put { name, text: read_script(&script)?, activate })
            }
            Self::Activate { who, name } => (who, ScriptAct::Activate(name)),
            Self::Deactivate { who } => (who, ScriptAct::Deactivate),
            Self::Remove { who, name } => (who, ScriptAct::Remove(name)),
            Self::Test { script, message, from, to } => {
                let sender = from.map_or(ReversePath::Null, ReversePath::Address);
                print(&explain::explain(&script, &message, sender, &to)?);
                return Ok(());
            }
        };
        tell(&server.load()?, Request::Sieve { address, act }).await
    }
}

fn list(found: &[ScriptView]) -> String {
    let row = |one: &ScriptView| {
        let active = if one.active { "active" } else { "" };
        vec![one.name.clone(), one.size.to_string(), active.to_owned()]
    };
    table(&["NAME", "OCTETS", ""], &found.iter().map(row).collect::<Vec<_>>())
}

/// What is in a file.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure(format!("{} can't be read: {error}", path.display())))
}

/// A script in a file.
fn read_script(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(path)?)
        .map_err(|_| Failure(format!("{} is not UTF-8 text, which a script is: save it as UTF-8", path.display())))
}
