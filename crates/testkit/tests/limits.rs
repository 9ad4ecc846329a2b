//! Every bound of `mail::limits` bounds something, and a test names it: one that tries it at the limit and one above it, or
//! one step under and over its time.
#![allow(clippy::unwrap_used, reason = "tests")]

mod house;

use std::fs;

use house::{none, root, sources};

/// Bounds that no test can reach, and why.
const OUT_OF_REACH: [(&str, &str); 3] = [
    ("LISTEN_BACKLOG", "the system's queue of connections, which it may shorten; no reply tells its length"),
    ("MUA_READ", "how much is read at once: the same octets come in any pieces"),
    ("RELAY_CLAIM", "how many messages a worker asks for at once: the same are sent, in any portions"),
];

const LIMITS: &str = "crates/mail/src/limits.rs";

fn names() -> Vec<String> {
    let text = fs::read_to_string(root().join(LIMITS)).unwrap();
    let declared = text.lines().filter_map(|line| line.trim().split_once(": ")).map(|(name, _)| name);
    let is_name =
        |name: &&str| name.len() > 1 && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let names: Vec<String> = declared.filter(is_name).map(str::to_owned).collect();
    assert!(names.len() > 80, "only {} limits found", names.len());
    names
}

/// Whether a text has the name, and not as a part of a longer one.
fn has(text: &str, name: &str) -> bool {
    let part = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    text.match_indices(name)
        .any(|(at, _)| !part(text.as_bytes().get(at.wrapping_sub(1))) && !part(text.as_bytes().get(at + name.len())))
}

/// What is code, and what is for tests: `tests/`, modules of tests, the suite that every store passes, the dialogues.
fn code_and_tests() -> (String, String) {
    let (mut code, mut tests) = (String::new(), String::new());
    for source in sources() {
        if source.path == LIMITS || source.path == "crates/testkit/tests/limits.rs" {
            continue;
        }
        let from = if source.path.contains("/conformance/") { 1 } else { source.tests_from() };
        for (number, line) in source.lines() {
            let side = if number >= from { &mut tests } else { &mut code };
            side.push_str(line);
            side.push('\n');
        }
    }
    let mut folders = vec![root().join("tests/transcripts")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "txt") {
                tests += &fs::read_to_string(path).unwrap();
            }
        }
    }
    (code, tests)
}

#[test]
fn every_limit_bounds_something_and_has_a_test() {
    let (code, tests) = code_and_tests();
    let mut findings = Vec::new();
    for name in names() {
        let excused = OUT_OF_REACH.iter().any(|(excused, _)| *excused == name);
        if !has(&code, &name) {
            findings.push(format!("{name} bounds nothing"));
        }
        match (has(&tests, &name), excused) {
            (false, false) => findings.push(format!("{name} has no test that names it")),
            (true, true) => findings.push(format!("{name} is tested: it needs no excuse")),
            _ => {}
        }
    }
    for name in OUT_OF_REACH.iter().map(|(name, _)| *name) {
        if !names().iter().any(|known| known == name) {
            findings.push(format!("{name} is excused and no limit"));
        }
    }
    none("every limit has a test at the limit and one above it", &findings);
}
