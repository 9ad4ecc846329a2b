//! `[sieve]`: filters of the operator, which run for everybody.

use std::path::Path;

use mta::script::{Everybody, Ready};
use toml::de::DeTable;

use super::read::{Problems, place, section};

section! {
    /// Filters (docs/sieve.md) that run for every account here, whether it has one of its own or not.
    Sieve {
        /// Files with scripts that run before each account's own, in this order; paths are relative to this file. One that does not keep
        /// the message is the last that runs.
        before: Vec<String> = Vec::new();
        /// The same after it.
        after: Vec<String> = Vec::new();
        /// Files with scripts that others include with `:global`, each by its name without `.sieve`.
        global: Vec<String> = Vec::new();
    }
}

/// Reads and compiles them all: what is wrong with one is told with file and line, and nothing is started with it.
pub(super) fn read(table: &DeTable<'_>, dir: &Path, problems: &mut Problems<'_>) -> Everybody {
    let Sieve { before, after, global } = Sieve::read(table, "sieve", &[], problems);
    let mut compiled = |key: &str, files: Vec<String>| -> Vec<Ready> {
        let one = |file: String| {
            let text = match std::fs::read_to_string(dir.join(&file)) {
                Ok(text) => text,
                Err(error) => {
                    let why = format!("[sieve] {key}: {file} can't be read ({error}); name a file that is there");
                    problems.error(&place(table, key), why);
                    return None;
                }
            };
            let name = Path::new(&file).file_name().unwrap_or_default().to_string_lossy().into_owned();
            let ready = Ready::new(name.trim_end_matches(".sieve").to_owned(), text);
            ready
                .inspect_err(|why| {
                    problems.error(&place(table, key), format!("[sieve] {key}: {file}, {why}; mend the script"));
                })
                .ok()
        };
        files.into_iter().filter_map(one).collect()
    };
    let before = compiled("before", before);
    let after = compiled("after", after);
    let global = compiled("global", global);
    Everybody { before, after, global }
}
