//! `postrider completions SHELL`: for a shell's completion of our commands, made from the command line's own
//! definition.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Outcome};

/// Prints a completion script, for `eval` or a shell's folder of them.
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// For which shell.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "postrider", &mut script);
        super::print(String::from_utf8_lossy(&script).trim_end());
        Ok(())
    }
}
