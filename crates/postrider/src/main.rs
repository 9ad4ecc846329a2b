//! `postrider`: the program. Does: read the command line, run the command, and exit with 0, 1 (it failed and said
//! why) or 2 (usage). Everything else lives below: `cli/` has a file per command, `config/` one per section.

mod cli;
mod config;
mod serve;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
