//! A crate imports only from floors below its own, and borrows only under permissive licences.
//!
//! The floors are those of ARCHITECTURE.md. `cargo deny` looks at licences more closely (deny.toml); the
//! check here needs nothing installed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod house;

use std::collections::BTreeMap;

/// Crates by floor. Two stand beside the house, and nothing in it imports them: `testkit`, for tests only, on
/// nothing of ours; `bench`, which measures.
const FLOORS: [(&str, u8); 14] = [
    ("mail", 0),
    ("message", 1),
    ("wire", 1),
    ("store", 2),
    ("store-local", 3),
    ("mta", 3),
    ("pop3", 4),
    ("imap", 4),
    ("mua", 4),
    ("server", 5),
    ("smallnet", 5),
    ("postrider", 6),
    ("testkit", u8::MAX),
    ("bench", u8::MAX),
];

/// Licences that we borrow under.
const LICENCES: [&str; 9] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

#[test]
fn crates_import_only_from_floors_below() {
    let floors = BTreeMap::from(FLOORS);
    let metadata = house::metadata(&["--no-deps", "--offline"]);
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let Some(floor) = floors.get(name) else {
            findings.push(format!("{name} has no floor"));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let other = dependency["name"].as_str().unwrap();
            let in_tests_only = dependency["kind"] == "dev";
            let Some(below) = floors.get(other) else { continue };
            if !in_tests_only && (below >= floor || name == "testkit") {
                findings.push(format!("{name} (floor {floor}) imports {other} (floor {below})"));
            }
        }
    }
    house::none("a crate imports only from floors below its own", &findings);
}

#[test]
fn the_lowest_floor_needs_nothing_but_std() {
    let metadata = house::metadata(&["--no-deps", "--offline"]);
    let mail = metadata["packages"].as_array().unwrap().iter().find(|package| package["name"] == "mail").unwrap();
    assert_eq!(mail["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"].is_null()).count(), 0);
}

#[test]
fn licences_are_permissive() {
    let metadata = house::metadata(&["--locked"]);
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50);
    let mut findings = Vec::new();
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("none stated");
        if !allowed(licence) {
            findings.push(format!("{}: {licence}", package["name"].as_str().unwrap()));
        }
    }
    house::none("everything borrowed has a permissive licence", &findings);
}

/// Whether an SPDX expression can be met with [`LICENCES`]: any side of an OR (`/` in old manifests), both of an AND.
fn allowed(expression: &str) -> bool {
    let words = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut at = 0;
    either(&words, &mut at) && at == words.len()
}

fn either(words: &[&str], at: &mut usize) -> bool {
    let mut met = both(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= both(words, at);
    }
    met
}

fn both(words: &[&str], at: &mut usize) -> bool {
    let mut met = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at);
    }
    met
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let met = either(words, at);
        *at += 1;
        return met;
    }
    let mut licence = (*word).to_owned();
    if words.get(*at) == Some(&"WITH") {
        licence = format!("{licence} WITH {}", words.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    LICENCES.contains(&licence.as_str())
}

#[test]
fn licence_expressions_are_understood() {
    for good in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR (MIT AND ISC)", "Apache-2.0 WITH LLVM-exception OR X"] {
        assert!(allowed(good), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR X) AND AGPL-3.0", "", "none stated", "MIT WITH X"] {
        assert!(!allowed(bad), "{bad}");
    }
}
