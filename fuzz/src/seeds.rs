//! Where an input begins: transcripts, the message corpus, and what was found before.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use testkit::transcript::{Step, Transcript};

/// Inputs that every target gets.
const TRIVIAL: &[&[u8]] =
    &[b"", b"\r\n", b".", b"\r\n.\r\n", b"\0", b"\xff\xff", b"{0}\r\n", b"a {99999999999999999999}\r\n"];

/// The seeds of a target, which has these folders.
pub fn seeds(name: &str, folders: &[&str]) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut seeds: Vec<Vec<u8>> = TRIVIAL.iter().map(|seed| seed.to_vec()).collect();
    // Whole sessions begin with an octet that says what the connection is like.
    let shapes: &[&[u8]] = if name.ends_with("_session") || ["http_request", "smtp_server"].contains(&name) {
        &[b"\x00", b"\x02", b"\x05", b"\x34", b"\x75"]
    } else {
        &[b""]
    };
    let mut add = |bytes: &[u8]| seeds.extend(shapes.iter().map(|shape| [shape, bytes].concat()));
    for folder in folders {
        for file in files(&root.join(folder)) {
            if file.extension().is_some_and(|ending| ending == "txt") {
                if name == "jmap_request" {
                    let text = std::fs::read_to_string(&file).unwrap_or_default();
                    requests(&text).iter().for_each(|request| add(request.as_bytes()));
                    continue;
                }
                let Ok(transcript) = Transcript::read(&file) else { continue };
                add(&sent(&transcript));
                add(&said(&transcript));
            } else if let Ok(bytes) = std::fs::read(&file) {
                add(&bytes);
            }
        }
    }
    seeds.extend(files(&root.join("fuzz/corpus").join(name)).iter().filter_map(|file| std::fs::read(file).ok()));
    seeds
}

/// The files of a folder by name; none where it is not there.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.sort();
    files
}

/// The requests of a dialogue of JMAP: calls that stand one after the other, and what is sent as it stands.
fn requests(text: &str) -> Vec<String> {
    let using: BTreeSet<&str> = jmap::METHODS.iter().map(|(_, capability)| *capability).collect();
    let using: Vec<String> = using.iter().map(|capability| format!("{capability:?}")).collect();
    let using = using.join(",");
    let (mut requests, mut calls) = (Vec::new(), Vec::new());
    for line in text.lines().chain([""]) {
        if let Some(call) = line.strip_prefix("C: ") {
            calls.push(call);
        } else if !calls.is_empty() {
            requests.push(format!(r#"{{"using":[{using}],"methodCalls":[{}]}}"#, calls.join(",")));
            calls.clear();
        }
        requests.extend(line.strip_prefix("R: ").map(str::to_owned));
    }
    requests
}

fn sent(transcript: &Transcript) -> Vec<u8> {
    let steps = transcript.steps.iter();
    steps.flat_map(|(_, _, step)| if let Step::Send(bytes) = step { bytes.clone() } else { Vec::new() }).collect()
}

fn said(transcript: &Transcript) -> Vec<u8> {
    let steps = transcript.steps.iter();
    steps
        .flat_map(
            |(_, _, step)| if let Step::Line(text) = step { format!("{text}\r\n").into_bytes() } else { Vec::new() },
        )
        .collect()
}
