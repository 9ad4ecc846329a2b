//! `postrider`: the program. Does: read the command line, run the command, and exit with 0, 1 (it failed and said
//! why) or 2 (usage). Everything else lives below: `cli/` has a file per command, `config/` one per section.

mod cli;
mod config;
mod lines;
mod log;
mod reload;
mod serve;
mod sizes;
mod systemd;
mod visible;

use std::process::ExitCode;

/// Deliveries allocate from many threads at once; the C library's allocator spends twice the time on it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    small_pages();
    let code = cli::main();
    lines::flush();
    code
}

/// The allocator would take memory by huge pages, 2 MiB for whatever little a thread holds: twice the memory at rest, and
/// four times what a large message needs. Where that can't be told, it only costs memory.
fn small_pages() {
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
