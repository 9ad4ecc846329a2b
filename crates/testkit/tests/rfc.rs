//! `docs/rfc.tsv` and the sources say the same: what is cited is listed, what is listed is cited and tested.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod house;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

struct Row {
    line: usize,
    rfc: u32,
    section: String,
    status: String,
    test: String,
}

fn rows() -> Vec<Row> {
    let table = fs::read_to_string(house::root().join("docs/rfc.tsv")).unwrap();
    let mut lines = table.lines().enumerate();
    assert_eq!(lines.next().unwrap().1, "RFC\tsection\twhat\tstatus\ttest");
    let mut rows = Vec::new();
    let mut findings = Vec::new();
    for (index, text) in lines {
        let columns: Vec<&str> = text.split('\t').collect();
        let number = columns[0].strip_prefix("RFC ").unwrap_or(columns[0]).parse();
        match (number, columns.as_slice()) {
            (Ok(rfc), [_, section, what, status, test]) if !what.is_empty() => {
                let section = (*section).to_owned();
                rows.push(Row {
                    line: index + 1,
                    rfc,
                    section,
                    status: (*status).to_owned(),
                    test: (*test).to_owned(),
                });
            }
            _ => findings.push(format!("line {}: {text}", index + 1)),
        }
    }
    house::none("docs/rfc.tsv has five columns: RFC, section, what, status, test", &findings);
    rows
}

/// Numbers in `RFC 5321`, `RFC 5321/5322`, as written in comments and documentation.
fn citations(text: &str) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("RFC ") {
        let digits: String = text[at + 4..].chars().take_while(char::is_ascii_digit).collect();
        if digits.len() >= 3 {
            found.extend(digits.parse::<u32>());
        }
    }
    found
}

#[test]
fn what_the_sources_cite_is_in_the_table_and_the_other_way_round() {
    let listed: BTreeMap<u32, usize> = rows().iter().map(|row| (row.rfc, row.line)).collect();
    let mut cited = BTreeMap::new();
    for source in house::sources() {
        for rfc in citations(&source.text) {
            cited.entry(rfc).or_insert(source.path.clone());
        }
    }
    let mut findings = Vec::new();
    for (rfc, path) in &cited {
        if !listed.contains_key(rfc) {
            findings.push(format!("RFC {rfc} is cited in {path} and not listed in docs/rfc.tsv"));
        }
    }
    let left_out: BTreeSet<u32> = rows().iter().filter(|row| row.status == "left out").map(|row| row.rfc).collect();
    for (rfc, line) in &listed {
        if !cited.contains_key(rfc) && !left_out.contains(rfc) {
            findings.push(format!("RFC {rfc} is listed in docs/rfc.tsv (line {line}) and cited in no source"));
        }
    }
    house::none("citations and docs/rfc.tsv agree", &findings);
}

/// What stands behind `RFC 5321` in `RFC 5321 §4.1.1, §4.2`.
fn sections(text: &str) -> BTreeSet<(u32, String)> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("RFC ") {
        let digits: String = text[at + 4..].chars().take_while(char::is_ascii_digit).collect();
        let Ok(rfc) = digits.parse() else { continue };
        let mut rest = &text[at + 4 + digits.len()..];
        loop {
            let behind = rest.trim_start_matches([',', ';']).trim_start_matches(' ').trim_start_matches("and ");
            let Some(section) = behind.strip_prefix('§') else { break };
            let end = section.find(|c: char| c != '.' && !c.is_ascii_alphanumeric()).unwrap_or(section.len());
            found.insert((rfc, section[..end].trim_end_matches('.').to_owned()));
            rest = &section[end..];
        }
    }
    found
}

/// Whether a row's sections (`3, 4.1`, `3-9`, `all`) contain this one.
fn contains(listed: &str, section: &str) -> bool {
    listed.split(',').map(str::trim).any(|part| match part.split_once('-') {
        _ if ["all", "-"].contains(&part) => true,
        Some((first, last)) => {
            let chapter: Option<u32> = section.split('.').next().and_then(|chapter| chapter.parse().ok());
            let (first, last) = (first.parse::<u32>().unwrap_or(u32::MAX), last.parse::<u32>().unwrap_or(0));
            chapter.is_some_and(|chapter| (first..=last).contains(&chapter))
        }
        None => section.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
    })
}

#[test]
fn sections_that_are_cited_are_in_the_table() {
    let rows = rows();
    let mut findings = Vec::new();
    for source in house::sources() {
        for (rfc, section) in sections(&source.text) {
            if !rows.iter().any(|row| row.rfc == rfc && contains(&row.section, &section)) {
                findings.push(format!("RFC {rfc} §{section} is cited in {} and in no row", source.path));
            }
        }
    }
    house::none("docs/rfc.tsv lists every section that the sources cite", &findings);
}

#[test]
fn no_row_is_doubled() {
    let table = fs::read_to_string(house::root().join("docs/rfc.tsv")).unwrap();
    let mut seen = BTreeSet::new();
    let doubled: Vec<String> = table.lines().filter(|line| !seen.insert(*line)).map(str::to_owned).collect();
    house::none("docs/rfc.tsv has every row once", &doubled);
}

#[test]
fn every_row_names_a_test_that_exists() {
    let sources = house::sources();
    let mut findings = Vec::new();
    for row in rows() {
        if !["done", "partial", "left out"].contains(&row.status.as_str()) {
            findings.push(format!("line {}: the status is done, partial or left out, not {:?}", row.line, row.status));
        }
        if row.status == "left out" && ["", "-"].contains(&row.test.as_str()) {
            continue;
        }
        // `path, path` or `crate: module::tests, other::tests`.
        let mut of_crate = "";
        for word in row.test.split([',', ';']).map(str::trim) {
            let name = match word.split_once(": ") {
                Some((name, rest)) => {
                    of_crate = name;
                    rest.trim()
                }
                None => word,
            };
            if !exists(name, of_crate, &sources) {
                findings.push(format!("line {}: no test {name:?} {of_crate}", row.line));
            }
        }
    }
    house::none("every row of docs/rfc.tsv names tests that exist", &findings);
}

/// A path (its last part may be `*` or `*.txt`), a module of tests, or a test's function.
fn exists(name: &str, of_crate: &str, sources: &[house::Source]) -> bool {
    if name.contains('/') {
        if let Some((folder, pattern)) = name.rsplit_once('/').filter(|(_, last)| last.contains('*')) {
            let (before, after) = pattern.split_once('*').unwrap_or_default();
            return fs::read_dir(house::root().join(folder)).is_ok_and(|mut entries| {
                entries.any(|entry| {
                    let file = entry.unwrap().file_name().into_string().unwrap();
                    file.starts_with(before) && file.ends_with(after)
                })
            });
        }
        let root = house::root();
        return root.join(name).exists() || root.join("crates").join(of_crate).join(name).exists();
    }
    let parts: Vec<&str> = name.split("::").collect();
    let last = parts.last().copied().unwrap_or_default();
    let folder = format!("crates/{of_crate}/");
    sources.iter().filter(|source| of_crate.is_empty() || source.path.starts_with(&folder)).any(|source| {
        let stem = source.path.trim_end_matches("/mod.rs").trim_end_matches(".rs").replace('/', "::");
        let is_module = |module: &str| !module.is_empty() && stem.ends_with(&format!("::{module}"));
        let has_test = |function: &str| source.text.contains(&format!("fn {function}("));
        let above = parts[..parts.len() - 1].join("::");
        match last {
            "tests" => {
                (is_module(&above) || is_module(&name.replace("::tests", ""))) && source.text.contains("mod tests")
            }
            _ => {
                is_module(name) || has_test(last) && (above.is_empty() || is_module(above.trim_end_matches("::tests")))
            }
        }
    })
}
