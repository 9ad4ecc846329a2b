//! `postrider man DIR`: man pages, made from the command line's own definition.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use super::{Cli, Failure, Outcome};

/// Writes a man page for every command into a folder.
#[derive(Args, Debug)]
pub(crate) struct Man {
    /// The folder; it is made if it is not there.
    dir: PathBuf,
}

impl Man {
    pub(super) fn run(self) -> Outcome {
        let failed = |error: std::io::Error| Failure(format!("{} can't be written: {error}", self.dir.display()));
        std::fs::create_dir_all(&self.dir).map_err(failed)?;
        clap_mangen::generate_to(Cli::command(), &self.dir).map_err(failed)
    }
}
