//! Messages as people have them, the same in each run: the kinds of bench/lib/filling.py, and its words to look for.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail::{Flags, Timestamp};
use message::date::rfc5322;

use crate::Random;

const SYLLABLES: [&str; 24] = [
    "ba", "den", "fi", "gor", "ku", "la", "mer", "nin", "po", "rum", "sa", "ten", "vi", "zor", "bu", "dan", "fe",
    "gin", "ko", "lum", "ma", "ner", "pi", "ror",
];

/// Milliseconds at the start of 2023, and between one message and the next.
const START: i64 = 1_672_560_000_000;
const STEP: i64 = 79 * 60 * 1000;

/// What messages are made of.
#[derive(Debug)]
pub struct Letters {
    words: Vec<String>,
    /// A megabyte of base64 lines, as attachments have them.
    noise: String,
}

/// A message, and how it stands in a mailbox.
#[derive(Debug)]
pub struct Letter {
    /// Its octets.
    pub bytes: Vec<u8>,
    /// Its flags.
    pub flags: Flags,
    /// When it came.
    pub date: Timestamp,
}

impl Default for Letters {
    fn default() -> Self {
        let mut random = Random(1 << 40 | 1);
        let word = |random: &mut Random| (0..=random.below(4)).map(|_| SYLLABLES[random.below(24)]).collect();
        let words = (0..5000).map(|_| word(&mut random)).collect();
        let octets: Vec<u8> = (0..1 << 20).map(|_| random.below(256) as u8).collect();
        let noise = octets.chunks(57).map(|line| STANDARD.encode(line) + "\r\n").collect();
        Self { words, noise }
    }
}

impl Letters {
    fn word(&self, random: &mut Random) -> &str {
        &self.words[random.below(self.words.len())]
    }

    /// Lines of words, as long as people's are.
    fn prose(&self, random: &mut Random, octets: usize, rare: bool) -> String {
        let mut text = String::with_capacity(octets + 100);
        while text.len() < octets {
            for _ in 0..11 {
                text.push_str(self.word(random));
                text.push(' ');
            }
            text.push_str(".\r\n");
        }
        if rare {
            text.push_str("quagmire and more.\r\n");
        }
        text
    }

    fn attachment(&self, random: &mut Random) -> &str {
        let lines = (50_000 + random.below(50_000)) / 78;
        let from = random.below(self.noise.len() / 78 - lines);
        &self.noise[from * 78..(from + lines) * 78]
    }

    /// Message `n`: of a hundred 55 are plain, 30 are multipart/alternative and 15 have an attachment of 50 to 100 KB;
    /// three of five answer an earlier one.
    pub fn message(&self, n: u32) -> Letter {
        let mut random = Random(u64::from(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for _ in 0..4 {
            random.number();
        }
        let date = Timestamp::from_millis(START + STEP * i64::from(n) + random.below(7_200_000) as i64);
        let (who, to) = (random.below(200), random.below(200));
        let answers = (random.below(5) < 3).then(|| n.saturating_sub(1 + random.below(50) as u32)).filter(|_| n > 0);
        let about = answers.unwrap_or(n);
        let mut head = format!(
            "Return-Path: <person{who}@mail{who}.example>\r\nReceived: from mail{who}.example by mx.here.example\r\n\
             \tfor <u0@here.example>; {}\r\nMessage-ID: <{n}@mail.example>\r\nDate: {}\r\nMIME-Version: 1.0\r\n\
             Subject: {}{} {} {}{}\r\nFrom: \"{} {}\" <person{who}@mail{who}.example>\r\n\
             To: u0@here.example, Some One <person{to}@mail1.example>\r\n",
            rfc5322(date),
            rfc5322(date),
            if answers.is_some() { "Re: " } else { "" },
            self.words[about as usize % 4999],
            self.words[about as usize % 4001],
            self.words[about as usize % 3001],
            if about % 23 == 5 { " budget" } else { "" },
            self.words[who],
            self.words[who + 300]
        );
        if let Some(earlier) = answers {
            let _ = write!(head, "In-Reply-To: <{earlier}@mail.example>\r\nReferences: <{earlier}@mail.example>\r\n");
        }
        let octets = 600 + random.below(5400);
        let text = self.prose(&mut random, octets, n % 100 == 37);
        let plain = format!("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}");
        let kind = random.below(100);
        let body = if kind < 55 {
            plain
        } else if kind < 85 {
            let html = text.replace("\r\n", "<br>\r\n");
            let html = format!("Content-Type: text/html; charset=utf-8\r\n\r\n<html><body>{html}</body></html>\r\n");
            multipart("alternative", n, &[&plain, &html])
        } else {
            let file = format!(
                "Content-Type: application/pdf; name=\"report.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\
                 Content-Disposition: attachment; filename=\"{n}-report.pdf\"\r\n\r\n{}",
                self.attachment(&mut random)
            );
            multipart("mixed", n, &[&plain, &file])
        };
        let chosen = [(Flags::SEEN, 70), (Flags::ANSWERED, 20), (Flags::FLAGGED, 3)];
        let flags = chosen.into_iter().filter(|(_, share)| random.below(100) < *share);
        let flags = flags.fold(Flags::NONE, |all, (flag, _)| Flags::from_bits(all.bits() | flag.bits()));
        Letter { bytes: (head + &body).into_bytes(), flags, date }
    }
}

fn multipart(kind: &str, n: u32, parts: &[&str]) -> String {
    let mut text = format!("Content-Type: multipart/{kind}; boundary=\"edge-{n}\"\r\n\r\n");
    for part in parts {
        let _ = write!(text, "--edge-{n}\r\n{part}\r\n");
    }
    text + &format!("--edge-{n}--\r\n")
}
