//! The fuzz targets on stable: every seed, and seeded mutations of the seeds. `POSTRIDER_FUZZ=N` runs N times as
//! many; `POSTRIDER_SEED` chooses others. A failure prints the input as an escaped string: add it to `regressions`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::panic::catch_unwind;
use std::path::Path;

use testkit::random::Random;
use testkit::transcript::{Step, Transcript};

/// Mutations of every target, unless the environment asks for more.
const MUTATIONS: usize = 3000;

/// Inputs that broke something once.
const REGRESSIONS: &[&[u8]] =
    &[b"", b"\r\n", b".", b"\r\n.\r\n", b"\0", b"\xff\xff", b"{0}\r\n", b"a {99999999999999999999}\r\n"];

fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    const TOKENS: [&[u8]; 20] = [
        b"\r\n",
        b"\n",
        b"\r",
        b".",
        b"\0",
        b"\xff",
        b"\"",
        b"{5}\r\n",
        b"{3+}\r\n",
        b"~{2}\r\n",
        b"(",
        b")",
        b"\\",
        b"<",
        b">",
        b"=?utf-8?q?",
        b"\xc3\xa9",
        b"4294967296",
        b"*",
        b"\r\n\r\n",
    ];
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        let to = at + random.below((bytes.len() - at).min(40) + 1);
        match random.below(6) {
            0 => drop(bytes.drain(at..to)),
            1 => drop(bytes.splice(at..at, TOKENS[random.below(TOKENS.len())].iter().copied())),
            2 => drop(bytes.splice(at..to, TOKENS[random.below(TOKENS.len())].iter().copied())),
            3 => drop(bytes.splice(at..at, bytes[at..to].to_vec().repeat(1 + random.below(4)))),
            4 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            _ => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                bytes.splice(at..at, other[from..].iter().take(60).copied());
            }
        }
    }
    bytes
}

fn seeds(folders: &[&str]) -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = REGRESSIONS.iter().map(|seed| seed.to_vec()).collect();
    for folder in folders {
        let Ok(entries) = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder)) else {
            continue;
        };
        let mut files: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        files.sort();
        for file in files {
            if file.extension().is_some_and(|ending| ending == "txt") {
                let Ok(transcript) = Transcript::read(&file) else { continue };
                seeds.push(sent(&transcript));
                seeds.push(said(&transcript));
            } else if let Ok(bytes) = std::fs::read(&file) {
                seeds.push(bytes);
            }
        }
    }
    seeds
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

fn fuzz(target: fn(&[u8]), folders: &[&str]) {
    let times: usize = std::env::var("POSTRIDER_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut random = Random::from_environment(0xf0);
    let seeds = seeds(folders);
    let mutations: Vec<Vec<u8>> = (0..MUTATIONS * times).map(|_| mutate(&mut random, &seeds)).collect();
    for input in seeds.iter().chain(&mutations) {
        if catch_unwind(|| target(input)).is_err() {
            panic!("the input was b\"{}\"", input.escape_ascii());
        }
    }
}

#[test]
fn line() {
    fuzz(postrider_fuzz::line, &["tests/transcripts/smtp", "tests/transcripts/pop3"]);
}

#[test]
fn dot() {
    fuzz(postrider_fuzz::dot, &["tests/transcripts/smtp", "crates/message/tests/corpus"]);
}

#[test]
fn address() {
    let mut short = vec![b"a@b.example".to_vec(), b"\"a b\"@[127.0.0.1]".to_vec(), b"<@x,@y:u@v.example> A=b".to_vec()];
    short.extend(["grüße@bücher.example", "a+b@xn--bcher-kva.example", "<postmaster>", "<>"].map(|text| text.into()));
    let mut random = Random::from_environment(0xf0);
    for _ in 0..MUTATIONS * 10 {
        let input = mutate(&mut random, &short);
        if catch_unwind(|| postrider_fuzz::address(&input)).is_err() {
            panic!("the input was b\"{}\"", input.escape_ascii());
        }
    }
}

#[test]
fn pop3() {
    fuzz(postrider_fuzz::pop3, &["tests/transcripts/pop3"]);
}

#[test]
fn smtp_client() {
    fuzz(postrider_fuzz::smtp_client, &["tests/transcripts/smtp"]);
}

#[test]
fn imap() {
    fuzz(postrider_fuzz::imap, &["tests/transcripts/imap"]);
}

#[test]
fn message() {
    fuzz(postrider_fuzz::message, &["crates/message/tests/corpus"]);
}
