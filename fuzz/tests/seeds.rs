//! The fuzz targets on stable: every seed, what was found before, and seeded mutations of them. `POSTRIDER_LONG=1`
//! runs a hundred times as many, `POSTRIDER_FUZZ=N` N times; `POSTRIDER_SEED` chooses others. A failure prints the
//! input as an escaped string: keep it in `corpus/TARGET/`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::panic::catch_unwind;
use std::path::Path;

use postrider_fuzz::TARGETS;
use postrider_fuzz::seeds::{files, seeds};
use testkit::random::Random;

/// Mutations of every target, unless the environment asks for more; of whole sessions, which cost more, a tenth.
const MUTATIONS: usize = 3000;

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

/// How many times as many mutations the environment asks for.
fn times() -> usize {
    let long = std::env::var_os("POSTRIDER_LONG").is_some();
    let times = std::env::var("POSTRIDER_FUZZ").ok().and_then(|n| n.parse().ok());
    times.unwrap_or(if long { 100 } else { 1 })
}

fn fuzz(name: &str) {
    let (_, target, folders) = TARGETS.iter().find(|(known, ..)| *known == name).unwrap();
    let mut random = Random::from_environment(0xf0);
    let seeds = seeds(name, folders);
    let check = |input: &[u8]| {
        if catch_unwind(|| target(input)).is_err() {
            panic!("the input was b\"{}\"", input.escape_ascii());
        }
    };
    seeds.iter().for_each(|seed| check(seed));
    let share = if name.ends_with("_session") || name.ends_with("_request") { 10 } else { 1 };
    for _ in 0..MUTATIONS * times() / share {
        check(&mutate(&mut random, &seeds));
    }
}

/// A test for each target, and one that none is forgotten.
macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            fuzz(stringify!($name));
        })*

        #[test]
        fn every_target_is_tried_here_and_has_its_binary() {
            let here = [$(stringify!($name)),*];
            let known: Vec<_> = TARGETS.iter().map(|(name, ..)| *name).collect();
            assert_eq!(here.as_slice(), known);
            let binaries = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets"));
            let binaries: Vec<_> = binaries.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
            assert_eq!(binaries, known);
        }
    };
}

targets! {
    address config dot http_request imap imap_session imap_url jmap_request line log message milter mua passkey pop3 pop3_session proxy report sasl sieve smtp_client
    smtp_client_session smtp_server smtp_session zones
}
