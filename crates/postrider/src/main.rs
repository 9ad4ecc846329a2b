//! `postrider`: the program. Does: read the command line, run the command, and exit with 0, 1 (it failed and said
//! why) or 2 (usage). Everything else lives below: `cli/` has a file per command, `config/` one per section.

mod cli;
mod config;
mod lines;
mod serve;
mod sizes;
mod visible;

use std::process::ExitCode;

/// Deliveries allocate from many threads at once; the C library's allocator spends twice the time on it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let code = cli::main();
    lines::flush();
    code
}
