//! Rules of the house that a search of the sources can check.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod house;

use house::{Source, none, sources};

/// No file is longer.
const LINES: usize = 800;

/// Files of the test kit that look at another process again and again, since no event tells when it listens or ends.
const POLLS: [&str; 1] = ["crates/testkit/src/program.rs"];

fn search(rule: &str, matches: impl Fn(&Source, usize, &str) -> bool) {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| source.path != "crates/testkit/tests/house_rules.rs") {
        for (number, line) in source.lines() {
            let code = line.split("//").next().unwrap_or_default();
            if matches(source, number, code) {
                findings.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    none(rule, &findings);
}

#[test]
fn files_open_with_what_they_do_and_stay_short() {
    let mut findings = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > LINES {
            findings.push(format!("{}: {lines} lines, {LINES} at most", source.path));
        }
        if !source.text.starts_with("//!") {
            findings.push(format!("{}: does not open with `//!`", source.path));
        }
    }
    none("files open with what they do, and stay short", &findings);
}

#[test]
fn files_are_named_for_what_they_hold() {
    let vague = ["utils", "util", "common", "misc", "helpers", "helper"];
    let findings: Vec<String> = sources()
        .into_iter()
        .filter(|source| source.path.split(['/', '.']).any(|part| vague.contains(&part)))
        .map(|source| source.path)
        .collect();
    none("files are named for what they hold", &findings);
}

#[test]
fn transactions_move_and_are_never_put_back() {
    search("no function is called reset", |_, _, code| code.contains("fn reset(") || code.contains("fn reset<"));
}

#[test]
fn nothing_is_left_for_later_or_left_out() {
    search("no test is switched off", |_, _, code| code.contains("#[ignore"));
    search("nothing is left undone", |_, _, code| {
        ["todo!(", "unimplemented!(", "dbg!("].iter().any(|word| code.contains(word))
    });
}

#[test]
fn tests_wait_for_events_not_for_time() {
    search("tests wait for events; only virtual time may be slept through", |source, number, code| {
        number >= source.tests_from()
            && ["thread::sleep(", "time::sleep(", " sleep("].iter().any(|word| code.contains(word))
            && !code.contains("fn sleep(")
            && !source.text.contains("start_paused")
            && !POLLS.contains(&source.path.as_str())
    });
}

#[test]
fn only_engines_of_the_store_attest_durability() {
    search("only an engine says that something is on stable storage", |source, number, code| {
        let engine = source.path.starts_with("crates/store-local/src/") || source.path == "crates/mail/src/durable.rs";
        code.contains("Durable::attest") && !engine && number < source.tests_from()
    });
}
