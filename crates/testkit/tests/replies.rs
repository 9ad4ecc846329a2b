//! docs/replies.md is made from the replies that stand in the sources: run with UPDATE_DOCS=1 to write it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod house;

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What we say, and where in the sources.
type Replies = BTreeMap<(u32, String, String), String>;

/// Every `CODE, (class, subject, detail), "words"` of the sources, `format!` or not: how a reply is written.
fn replies() -> Replies {
    let mut found = Replies::new();
    for source in house::sources().iter().filter(|source| source.path.contains("/src/")) {
        if source.path.starts_with("crates/testkit/") || source.path.contains("/client/") {
            continue;
        }
        let until = source.tests_from();
        let code: String =
            source.lines().filter(|(number, _)| *number < until).map(|(_, line)| format!("{line}\n")).collect();
        for (at, _) in code.match_indices(", (") {
            if let Some((number, enhanced, words)) = reply_at(&code, at) {
                let file = source.path.trim_start_matches("crates/").replace("/src/", "/");
                found.entry((number, enhanced, words)).or_insert(file);
            }
        }
    }
    found
}

/// The reply around `, (`: three digits before it, three numbers within, a string behind.
fn reply_at(code: &str, at: usize) -> Option<(u32, String, String)> {
    let before = &code[..at];
    let digits = before.get(before.len().checked_sub(3)?..)?;
    let number: u32 = digits.parse().ok().filter(|number| (200..600).contains(number))?;
    let (inside, behind) = code[at + 3..].split_once(')')?;
    let numbers: Vec<&str> = inside.split(',').map(str::trim).collect();
    if numbers.len() != 3 || numbers.iter().any(|number| number.parse::<u16>().is_err()) {
        return None;
    }
    let behind = behind.trim_start_matches(',').trim_start().trim_start_matches("format!(").trim_start();
    let string = behind.strip_prefix('"')?;
    let words = house::words(string).replace('<', "&lt;").replace('|', "\\|");
    Some((number, numbers.join("."), words))
}

fn page() -> String {
    let mut page = String::from(
        "# SMTP replies\n\n\
         What Postrider says to clients on 25, 587 and 465 and, where it finds by itself that mail can't be delivered, in \
         reports to the sender; `…` stands for a name, an address or a number. 4yz: trying again later helps. 5yz: it does not. The second number is the \
         enhanced status code (RFC 3463).\n\n\
         This page is made from the sources.\n\n| code | enhanced | words | said in |\n|---|---|---|---|\n",
    );
    for ((code, enhanced, words), file) in replies() {
        let _ = writeln!(page, "| {code} | {enhanced} | {words} | {file} |");
    }
    page
}

#[test]
fn replies_page_is_current() {
    let path = house::root().join("docs/replies.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page(), "docs/replies.md is old: run the tests with UPDATE_DOCS=1");
}

#[test]
fn classes_of_both_codes_agree() {
    // RFC 3463 §3: the class of the enhanced code is the reply's.
    let findings: Vec<String> = replies()
        .into_iter()
        .filter(|((code, enhanced, _), _)| !enhanced.starts_with(&(code / 100).to_string()))
        .map(|((code, enhanced, words), file)| format!("{code} {enhanced} {words} in {file}"))
        .collect();
    house::none("a reply and its enhanced code are of one class", &findings);
}
