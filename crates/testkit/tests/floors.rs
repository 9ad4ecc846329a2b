//! A crate imports only from floors below its own, declares only what it uses, and borrows only under permissive
//! licences.
//!
//! The floors are those of ARCHITECTURE.md. `cargo deny` looks at licences more closely (deny.toml); the
//! check here needs nothing installed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod house;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Crates by floor. Two stand beside the house, and nothing in it imports them: `testkit`, for tests only, on
/// nothing of ours; `bench`, which measures.
const FLOORS: [(&str, u8); 20] = [
    ("mail", 0),
    ("message", 1),
    ("trust", 1),
    ("wire", 1),
    ("store", 2),
    ("sieve", 2),
    ("junk", 3),
    ("store-local", 3),
    ("mta", 3),
    ("reading", 3),
    ("pop3", 4),
    ("imap", 4),
    ("jmap", 4),
    ("mua", 4),
    ("doctor", 4),
    ("server", 5),
    ("smallnet", 5),
    ("postrider", 6),
    ("testkit", u8::MAX),
    ("bench", u8::MAX),
];

/// Licences that we borrow under.
const LICENCES: [&str; 10] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    // Mozilla's list of CAs, which some crates have for other systems than ours.
    "CDLA-Permissive-2.0",
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
fn what_is_declared_is_used() {
    let metadata = house::metadata(&["--no-deps", "--offline"]);
    let mut findings = Vec::new();
    let mut declared = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let folder = Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap();
        let (all, shipped) = (paths_below(folder), paths_below(&folder.join("src")));
        for dependency in package["dependencies"].as_array().unwrap() {
            let other = dependency["name"].as_str().unwrap();
            declared.insert(other.to_owned());
            let used = if dependency["kind"] == "dev" { &all } else { &shipped };
            if !used.contains(&other.replace('-', "_")) {
                findings.push(format!("{name} does not use {other}"));
            }
        }
    }
    let manifest = std::fs::read_to_string(house::root().join("Cargo.toml")).unwrap();
    let table = manifest.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let shared = table.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
    findings.extend(shared.filter(|key| !declared.contains(*key)).map(|key| format!("no crate uses {key}")));
    house::none("what a manifest declares, a source uses", &findings);
}

/// Every name that a path goes on from (`name::`) in the sources below a folder, but for those of comments.
fn paths_below(folder: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in house::sources_below(folder) {
        for (_, line) in source.lines() {
            let mut parts: Vec<&str> = line.split("//").next().unwrap_or_default().split("::").collect();
            parts.pop();
            let name = |part: &str| part.rsplit(|c: char| c != '_' && !c.is_alphanumeric()).next().map(str::to_owned);
            names.extend(parts.into_iter().filter_map(name));
        }
    }
    names
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
