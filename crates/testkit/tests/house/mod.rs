//! The sources of the workspace as a list, for the tests that look after the house's rules.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::{Path, PathBuf};
use std::{fs, process};

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// One source file.
pub(crate) struct Source {
    /// Relative to the workspace, with `/`.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

impl Source {
    /// Lines with their numbers from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The number of the first line that is for tests only: all of a file under `tests/` and of the test
    /// kit, else from the module of tests at the file's end.
    pub(crate) fn tests_from(&self) -> usize {
        if self.path.contains("/tests/") || self.path.starts_with("crates/testkit/") || self.path.ends_with("/tests.rs")
        {
            return 1;
        }
        let lines: Vec<&str> = self.text.lines().collect();
        let module = (0..lines.len()).find(|at| {
            lines[*at].trim() == "#[cfg(test)]" && lines[at + 1..].iter().take(3).any(|next| next.contains("mod "))
        });
        module.map_or(usize::MAX, |at| at + 1)
    }
}

/// Every Rust file of `crates/`, but those of these tests, which name what they forbid.
pub(crate) fn sources() -> Vec<Source> {
    let mut found = sources_below(&root().join("crates"));
    found.retain(|source| !source.path.starts_with("crates/testkit/tests/house"));
    assert!(found.len() > 50, "only {} sources found", found.len());
    found
}

/// Every Rust file below a folder of the workspace.
pub(crate) fn sources_below(folder: &Path) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                found.push(Source { path: relative, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// `cargo metadata`, parsed.
pub(crate) fn metadata(arguments: &[&str]) -> serde_json::Value {
    let output = process::Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["metadata", "--format-version", "1"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Fails with all findings at once.
pub(crate) fn none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}

/// The words of a string literal, from behind its first quote on; `{recipient}` and `{}` as `…`.
pub(crate) fn words(literal: &str) -> String {
    let mut words = String::new();
    let mut letters = literal.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            // A line of the source that goes on, or an escape.
            '\\' => match letters.next() {
                Some('\n') => {
                    while letters.clone().next().is_some_and(char::is_whitespace) {
                        letters.next();
                    }
                }
                Some('n') => words.push(' '),
                Some(other) => words.push(other),
                None => break,
            },
            letter => words.push(letter),
        }
    }
    let (mut out, mut depth) = (String::new(), 0);
    for letter in words.chars() {
        match letter {
            '{' => {
                depth += 1;
                if depth == 1 {
                    out.push('…');
                }
            }
            '}' => depth -= 1,
            letter if depth == 0 => out.push(letter),
            _ => {}
        }
    }
    out
}
