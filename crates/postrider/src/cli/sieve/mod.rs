//! `postrider sieve …`: filters.

mod explain;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use mail::{Address, ReversePath};

use super::{Failure, Outcome, address, print};

/// Sieve filters: trying scripts out. No delivery runs them yet (docs/sieve.md).
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
}

impl Sieve {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::Test { script, message, from, to } => {
                let sender = from.map_or(ReversePath::Null, ReversePath::Address);
                print(&explain::explain(&script, &message, sender, &to)?);
                Ok(())
            }
        }
    }
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
