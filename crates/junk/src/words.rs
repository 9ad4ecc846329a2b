//! The words of a message that are counted.
//!
//! Does: take them from the fields that say something of a sender and his program, from the texts that people read, and
//! from the addresses of the web that stand in them. Does not: take more of a message than
//! `limits::JUNK_TEXT` octets of text and `limits::JUNK_WORDS` words.

use std::collections::HashSet;

use mail::limits;
use message::header::Header;
use message::structure::{Kind, Part, Structure};
use message::text::{decode_words, fold, from_html, of_part};

/// Letters of a word that is counted as it is.
const LETTERS: std::ops::RangeInclusive<usize> = 3..=24;

/// Something that is counted: what people see of it, and the key that it is counted under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Word {
    /// `subject:winner`, `winner`, `web:example.org`.
    pub text: String,
    /// What the counts are kept by: the same text has the same key always. Two texts with one key count as one word.
    pub key: u64,
}

impl Word {
    fn new(text: String) -> Self {
        // FNV-1a, 64 bits: stays the same whatever machine or library.
        let mix = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let key = text.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
        Self { text, key }
    }

    /// The word that stands for a sender.
    pub fn sender(address: &str) -> Self {
        Self::new(format!("from:{}", fold(address)))
    }
}

/// The words of a message, none twice, in the order in which they stand.
pub fn words(message: &[u8]) -> Vec<Word> {
    let mut found = Found { seen: HashSet::new(), words: Vec::new() };
    let header = Header::of(message);
    found.header(&header);
    let structure = Structure::of(message);
    let mut room = limits::JUNK_TEXT;
    for part in structure.parts() {
        if !found.part(part, message, &mut room) {
            break;
        }
    }
    found.words
}

struct Found {
    seen: HashSet<u64>,
    words: Vec<Word>,
}

impl Found {
    /// False once there are as many as may be.
    fn add(&mut self, text: String) -> bool {
        if self.words.len() >= limits::JUNK_WORDS {
            return false;
        }
        let word = Word::new(text);
        if self.seen.insert(word.key) {
            self.words.push(word);
        }
        true
    }

    fn header(&mut self, header: &Header<'_>) {
        for name in ["From", "Reply-To"] {
            let Some(field) = header.get(name) else { continue };
            let value = fold(&decode_words(field.raw_value()));
            let name = name.to_ascii_lowercase();
            for address in value.split(['<', '>', ',', ' ', '"', '(', ')']).filter(|piece| piece.contains('@')) {
                self.add(format!("{name}:{}", cut(address)));
                if let Some((_, domain)) = address.rsplit_once('@') {
                    self.add(format!("{name}:@{}", cut(domain)));
                }
            }
            let shown = value.split('<').next().unwrap_or_default();
            self.text(&format!("{name}-name:"), shown);
        }
        if let Some(subject) = header.get("Subject") {
            self.text("subject:", &fold(&decode_words(subject.raw_value())));
        }
        for name in ["X-Mailer", "User-Agent", "List-Id", "Precedence", "Auto-Submitted", "Content-Type"] {
            if let Some(field) = header.get(name) {
                // The boundary is another in each message.
                let value = fold(&decode_words(field.raw_value()));
                let value = value.split(';').next().unwrap_or_default().trim();
                self.add(format!("{}:{}", name.to_ascii_lowercase(), cut(value)));
            }
        }
        for name in ["Date", "Message-ID", "To"] {
            if header.get(name).is_none() {
                self.add(format!("no:{}", name.to_ascii_lowercase()));
            }
        }
    }

    /// False once nothing more is to be looked at.
    fn part(&mut self, part: &Part, message: &[u8], room: &mut usize) -> bool {
        if !matches!(part.kind, Kind::Leaf) {
            return true;
        }
        if let Some(name) = part.file_name() {
            let kind = name.rsplit_once('.').map_or("", |(_, end)| end);
            return self.add(format!("attached:{}", cut(&fold(kind))));
        }
        if !part.is_type("text") {
            return self.add(format!("part:{}", cut(&fold(&String::from_utf8_lossy(&part.media_type)))));
        }
        let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(message.len());
        let body = &message[within(part.body.start)..within(part.body.end)];
        let body = &body[..body.len().min(*room)];
        *room -= body.len();
        let text = of_part(part, body);
        if part.is("text", "html") {
            let is_full = !self.web(&text) || !self.add("part:html".to_owned());
            return !is_full && self.text("", &fold(&from_html(&text)));
        }
        self.web(&text) && self.text("", &fold(&text))
    }

    /// Hosts of the web that a text names.
    fn web(&mut self, text: &str) -> bool {
        text.split("://").skip(1).all(|rest| {
            let is_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
            let host = rest.split(|c: char| !is_host(c)).next().unwrap_or_default();
            host.is_empty() || self.add(format!("web:{}", cut(&fold(host))))
        })
    }

    /// The words of a folded text.
    fn text(&mut self, kind: &str, text: &str) -> bool {
        let is_apart = |c: char| !(c.is_alphanumeric() || matches!(c, '\'' | '$' | '€' | '!'));
        text.split(is_apart).all(|word| self.word(kind, word.trim_matches(['\'', '!'])))
    }

    fn word(&mut self, kind: &str, word: &str) -> bool {
        if word.chars().any(is_written_without_spaces) {
            let letters: Vec<char> = word.chars().collect();
            return letters.windows(2).all(|pair| self.add(format!("{kind}{}{}", pair[0], pair[1])));
        }
        match word.chars().count() {
            n if LETTERS.contains(&n) => self.add(format!("{kind}{word}")),
            // What is too long for a word is one of a kind: only that there are such things says something.
            n if n > *LETTERS.end() => {
                let first = word.chars().next().unwrap_or('?');
                self.add(format!("{kind}long:{first}{}", n.min(100) / 10 * 10))
            }
            _ => true,
        }
    }
}

/// Han, kana and hangul: two letters in a row are what a word is elsewhere.
const fn is_written_without_spaces(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}')
}

/// No more than is worth showing.
fn cut(text: &str) -> String {
    text.chars().take(*LETTERS.end() * 2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(message: &str) -> Vec<String> {
        words(message.as_bytes()).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn fields_texts_and_addresses_of_the_web() {
        let found = texts(
            "From: \"Big Prize\" <win@casino.example>\r\nSubject: =?utf-8?q?You_W=C3=B6n?=\r\nTo: x@y.example\r\n\
             Date: d\r\nMessage-ID: <a@b>\r\n\r\nClick http://bad.example/a?b NOW, it's 100$ to of!!!\r\n",
        );
        let expected = [
            "from:win@casino.example",
            "from:@casino.example",
            "from-name:big",
            "from-name:prize",
            "subject:you",
            "subject:won",
            "web:bad.example",
            "click",
            "http",
            "bad",
            "example",
            "now",
            "it's",
            "100$",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn html_is_read_as_people_see_it() {
        let found = texts(
            "Content-Type: text/html\r\n\r\n<p>Hello <b>wor</b>ld</p><a href=\"https://x.example/\">go there</a>",
        );
        for expected in ["content-type:text/html", "web:x.example", "part:html", "hello", "there", "no:date"] {
            assert!(found.iter().any(|word| word == expected), "{expected}: {found:?}");
        }
        assert!(!found.iter().any(|word| word.contains("href")), "{found:?}");
    }

    #[test]
    fn words_of_scripts_without_spaces_are_pairs_of_letters() {
        let found = texts("Subject: 東京都\r\n\r\n");
        assert!(found.starts_with(&["subject:東京".to_owned(), "subject:京都".to_owned()]), "{found:?}");
    }

    /// `JUNK_WORDS` and one more; `JUNK_TEXT`.
    #[test]
    fn no_more_than_is_worth_counting() {
        let with = |count: usize| (0..count).map(|n| format!("w{n:05} ")).collect::<String>();
        let fields = texts("\r\n").len();
        assert_eq!(texts(&format!("\r\n{}", with(limits::JUNK_WORDS - fields))).len(), limits::JUNK_WORDS);
        assert_eq!(texts(&format!("\r\n{}", with(limits::JUNK_WORDS - fields + 1))).len(), limits::JUNK_WORDS);
        let late = |before: usize| format!("\r\n{} last", " ".repeat(before));
        assert!(texts(&late(limits::JUNK_TEXT - 5)).contains(&"last".to_owned()));
        assert!(!texts(&late(limits::JUNK_TEXT - 4)).contains(&"last".to_owned()));
    }

    proptest! {
        #[test]
        fn any_bytes_have_words(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let found = words(&bytes);
            let keys: HashSet<u64> = found.iter().map(|word| word.key).collect();
            prop_assert_eq!(keys.len(), found.len());
        }
    }
}
