//! The runner: a transcript and a scene in, nothing or a readable difference out.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::{Step, Transcript};
use crate::random::Random;

/// What a subject has said since it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether it has closed after them.
    pub closed: bool,
}

/// Whether a runner has heard enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enough {
    /// More is expected.
    No,
    /// All that is expected is here, but more lines would be fine: stop at the first silence.
    IfQuiet,
    /// It matches, or never will.
    Yes,
}

/// One connection to something that talks: an engine in memory, or a socket.
pub trait Subject {
    /// Feeds bytes. An error counts as "it has closed".
    ///
    /// # Errors
    /// When the other side no longer reads.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Takes what it says: an engine in memory all it has to say now; a socket reads on until `enough`
    /// says so of all bytes of this call, or it is closed, or its patience ends.
    ///
    /// # Errors
    /// When reading fails otherwise than by the end.
    fn receive(&mut self, enough: &mut dyn FnMut(&[u8]) -> Enough) -> io::Result<Received>;

    /// Starts TLS on both sides. What the server had unread is dropped by it (no injection).
    ///
    /// # Errors
    /// When the subject can't, or the handshake fails.
    fn start_tls(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Closes the client's side.
    fn close(&mut self) {}
}

/// A fresh world for one run of one transcript: new store, new clock; opens connections into it.
pub trait Scene {
    /// Opens connection `number` (1 to 9).
    ///
    /// # Errors
    /// When it can't be opened.
    fn open(&mut self, number: usize) -> io::Result<Box<dyn Subject>>;

    /// Values that the transcript may use as `${name}` from its beginning.
    fn known(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// A scene that knows values.
pub struct Knowing {
    /// The scene.
    pub scene: Box<dyn Scene>,
    /// Names and values.
    pub known: Vec<(String, String)>,
}

impl Scene for Knowing {
    fn open(&mut self, number: usize) -> io::Result<Box<dyn Subject>> {
        self.scene.open(number)
    }

    fn known(&self) -> Vec<(String, String)> {
        self.known.clone()
    }
}

impl<F: FnMut(usize) -> io::Result<Box<dyn Subject>>> Scene for F {
    fn open(&mut self, number: usize) -> io::Result<Box<dyn Subject>> {
        self(number)
    }
}

/// Runs of cut input beside the whole run and the run byte by byte.
const RANDOM_RUNS: u64 = 3;

#[derive(Clone, Copy, Debug)]
enum Cut {
    Whole,
    Bytes,
    Random(u64),
}

/// Runs a transcript under every cut, each in a fresh scene.
///
/// # Errors
/// A text for people: which line, what was expected, what came, and under which cut.
pub fn run(transcript: &Transcript, scene: &mut dyn FnMut(&Transcript) -> Box<dyn Scene>) -> Result<(), String> {
    run_cut(transcript, scene, RANDOM_RUNS + 2)
}

/// The first `many` of: whole, a random cut, byte by byte, more random cuts.
fn run_cut(
    transcript: &Transcript,
    scene: &mut dyn FnMut(&Transcript) -> Box<dyn Scene>,
    many: u64,
) -> Result<(), String> {
    let seed = Random::from_environment(0x705).next();
    let cut = |n| match n {
        0 => Cut::Whole,
        2 => Cut::Bytes,
        n => Cut::Random(seed.wrapping_add(n)),
    };
    for cut in (0..many).map(cut) {
        let scene = scene(transcript);
        let captures = scene.known().into_iter().collect();
        let mut run = Run { scene, connections: BTreeMap::new(), captures, cut };
        run.all(transcript).map_err(|error| format!("{} ({cut:?}): {error}", transcript.name))?;
    }
    Ok(())
}

/// Runs every `.txt` of a folder, in order of name, and panics with all failures together.
///
/// # Panics
/// When one fails, can't be read, or the folder has none.
pub fn run_folder(folder: impl AsRef<Path>, scene: impl FnMut(&Transcript) -> Box<dyn Scene>) {
    run_those(folder, |_| true, scene);
}

/// As [`run_folder`], but only those for which `wanted` holds.
///
/// # Panics
/// When one fails, can't be read, or none is wanted.
pub fn run_those(
    folder: impl AsRef<Path>,
    wanted: impl Fn(&Transcript) -> bool,
    scene: impl FnMut(&Transcript) -> Box<dyn Scene>,
) {
    run_many(folder, wanted, RANDOM_RUNS + 2, scene);
}

/// For scenes that are slow to set (the real program): as [`run_folder`], but only transcripts for which `wanted`
/// holds, and only whole and under one random cut.
///
/// # Panics
/// When one fails, can't be read, or none is wanted.
pub fn run_some(
    folder: impl AsRef<Path>,
    wanted: impl Fn(&Transcript) -> bool,
    scene: impl FnMut(&Transcript) -> Box<dyn Scene>,
) {
    run_many(folder, wanted, 2, scene);
}

fn run_many(
    folder: impl AsRef<Path>,
    wanted: impl Fn(&Transcript) -> bool,
    many: u64,
    mut scene: impl FnMut(&Transcript) -> Box<dyn Scene>,
) {
    let folder = folder.as_ref();
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no transcript in {}", folder.display());
    let (mut failures, mut all) = (Vec::new(), 0);
    for file in files {
        let result = match Transcript::read(&file) {
            Ok(transcript) if !wanted(&transcript) => continue,
            Ok(transcript) => run_cut(&transcript, &mut scene, many),
            Err(error) => Err(error),
        };
        all += 1;
        failures.extend(result.err().map(|error| format!("{}\n{error}\n", file.display())));
    }
    let bad = failures.len();
    assert!(all > 0, "no transcript is wanted in {}", folder.display());
    assert!(failures.is_empty(), "{bad} of {all} transcripts fail:\n\n{}", failures.join("\n"));
}

struct Connection {
    subject: Box<dyn Subject>,
    cuts: Random,
    /// Said by the server and not yet matched.
    pending: Vec<u8>,
    closed: bool,
}

struct Run {
    scene: Box<dyn Scene>,
    connections: BTreeMap<usize, Connection>,
    captures: BTreeMap<String, String>,
    cut: Cut,
}

impl Run {
    fn all(&mut self, transcript: &Transcript) -> Result<(), String> {
        let mut steps = transcript.steps.as_slice();
        while let [(line, number, step), ..] = steps {
            // Steps of one kind on one connection go together: a packet, or a block of expected lines.
            let same = |s: &Step| matches!(s, Step::Send(_)) == matches!(step, Step::Send(_)) && is_talk(s);
            let many = steps.iter().take_while(|(_, n, s)| n == number && same(s)).count().max(1);
            let block = if is_talk(step) { &steps[..many] } else { &steps[..1] };
            self.block(*number, step, block).map_err(|error| format!("line {line}: {error}"))?;
            steps = &steps[block.len()..];
        }
        self.nothing_is_left()
    }

    fn block(&mut self, number: usize, first: &Step, block: &[(usize, usize, Step)]) -> Result<(), String> {
        self.open(number)?;
        match first {
            Step::Send(_) => self.send(number, block),
            Step::Line(_) | Step::AnyLines => self.expect(number, block),
            Step::ClientCloses => {
                self.connection(number).subject.close();
                Ok(())
            }
            Step::ServerCloses => self.expect_close(number),
            Step::StartTls => {
                let connection = self.connection(number);
                if !connection.pending.is_empty() {
                    return Err(format!("said before TLS:\n{}", shown(&connection.pending)));
                }
                connection.subject.start_tls().map_err(|error| format!("TLS: {error}"))
            }
        }
    }

    fn open(&mut self, number: usize) -> Result<(), String> {
        if !self.connections.contains_key(&number) {
            let subject = self.scene.open(number).map_err(|error| format!("connection {number}: {error}"))?;
            let cuts = Random::new(if let Cut::Random(seed) = self.cut { seed } else { 0 });
            self.connections.insert(number, Connection { subject, cuts, pending: Vec::new(), closed: false });
        }
        Ok(())
    }

    fn connection(&mut self, number: usize) -> &mut Connection {
        self.connections.get_mut(&number).expect("block() opened it")
    }

    fn send(&mut self, number: usize, block: &[(usize, usize, Step)]) -> Result<(), String> {
        let mut bytes = Vec::new();
        for (_, _, step) in block {
            if let Step::Send(more) = step {
                bytes.extend_from_slice(&fill_in(more, &self.captures)?);
            }
        }
        let cut = self.cut;
        let connection = self.connection(number);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let size = match cut {
                Cut::Whole => rest.len(),
                Cut::Bytes => 1,
                Cut::Random(_) => 1 + connection.cuts.below(rest.len().min(40)),
            };
            let (now, later) = rest.split_at(size);
            if connection.subject.send(now).is_err() {
                // It has closed: what it said before will be compared, and says more than this error.
                connection.closed = true;
                break;
            }
            rest = later;
        }
        Ok(())
    }

    fn expect(&mut self, number: usize, block: &[(usize, usize, Step)]) -> Result<(), String> {
        let patterns: Vec<Pattern> = block
            .iter()
            .map(|(line, _, step)| Pattern {
                line: *line,
                text: if let Step::Line(text) = step { Some(text) } else { None },
            })
            .collect();
        let open_end = patterns.last().is_some_and(|pattern| pattern.text.is_none());
        let captures = self.captures.clone();
        let connection = self.connection(number);
        let before = connection.pending.clone();
        let mut enough = |bytes: &[u8]| {
            let all = [before.as_slice(), bytes].concat();
            match match_lines(&patterns, &all, &captures, false) {
                Match::Yes { .. } | Match::No => Enough::Yes,
                Match::More
                    if open_end && matches!(match_lines(&patterns, &all, &captures, true), Match::Yes { .. }) =>
                {
                    Enough::IfQuiet
                }
                Match::More => Enough::No,
            }
        };
        if enough(&[]) != Enough::Yes {
            let received = connection.subject.receive(&mut enough).map_err(|error| error.to_string())?;
            connection.pending.extend_from_slice(&received.bytes);
            connection.closed |= received.closed;
        }
        match match_lines(&patterns, &connection.pending, &captures, true) {
            Match::Yes { used, captures } => {
                connection.pending.drain(..used);
                self.captures = captures;
                Ok(())
            }
            Match::More | Match::No => Err(difference(&patterns, &connection.pending, connection.closed, &captures)),
        }
    }

    fn expect_close(&mut self, number: usize) -> Result<(), String> {
        let connection = self.connection(number);
        if !connection.closed {
            let received = connection.subject.receive(&mut |_| Enough::No).map_err(|error| error.to_string())?;
            connection.pending.extend_from_slice(&received.bytes);
            connection.closed = received.closed;
        }
        match (connection.pending.is_empty(), connection.closed) {
            (true, true) => Ok(()),
            (true, false) => Err("the server should close, and does not".to_owned()),
            (false, _) => Err(format!("the server should close, and says:\n{}", shown(&connection.pending))),
        }
    }

    fn nothing_is_left(&mut self) -> Result<(), String> {
        for connection in self.connections.values_mut() {
            // Without waiting: what a socket says later is not seen here, but what an engine says is.
            if !connection.closed {
                let received = connection.subject.receive(&mut |_| Enough::Yes).map_err(|error| error.to_string())?;
                connection.pending.extend_from_slice(&received.bytes);
            }
            if !connection.pending.is_empty() {
                return Err(format!("said beyond the transcript's end:\n{}", shown(&connection.pending)));
            }
        }
        Ok(())
    }
}

const fn is_talk(step: &Step) -> bool {
    matches!(step, Step::Send(_) | Step::Line(_) | Step::AnyLines)
}

struct Pattern<'a> {
    line: usize,
    /// `None`: any number of lines.
    text: Option<&'a str>,
}

enum Match {
    Yes {
        used: usize,
        captures: BTreeMap<String, String>,
    },
    /// What came is a beginning of what is expected.
    More,
    No,
}

/// Matches patterns against whole lines; `last` says that nothing more will come.
fn match_lines(patterns: &[Pattern<'_>], bytes: &[u8], captures: &BTreeMap<String, String>, last: bool) -> Match {
    let lines = whole_lines(bytes);
    let Some((pattern, rest)) = patterns.split_first() else {
        return Match::Yes { used: 0, captures: captures.clone() };
    };
    let Some(text) = pattern.text else {
        // The longest run of any lines that lets the rest match.
        if rest.is_empty() {
            return if last { Match::Yes { used: total(&lines), captures: captures.clone() } } else { Match::More };
        }
        for skip in (0..=lines.len()).rev() {
            let start = total(&lines[..skip]);
            if let Match::Yes { used, captures } = match_lines(rest, &bytes[start..], captures, last) {
                return Match::Yes { used: start + used, captures };
            }
        }
        return Match::More;
    };
    let Some((first, _)) = lines.split_first() else { return Match::More };
    let mut caught = captures.clone();
    if !match_line(text, &shown_line(first), &mut caught) {
        return Match::No;
    }
    match match_lines(rest, &bytes[first.len()..], &caught, last) {
        Match::Yes { used, captures } => Match::Yes { used: used + first.len(), captures },
        other => other,
    }
}

fn total(lines: &[&[u8]]) -> usize {
    lines.iter().map(|line| line.len()).sum()
}

/// Lines with their CRLF. A bare CR or LF ends no line.
fn whole_lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut start = 0;
    for end in bytes.windows(2).enumerate().filter(|(_, pair)| pair == b"\r\n").map(|(at, _)| at + 2) {
        lines.push(&bytes[start..end]);
        start = end;
    }
    lines
}

/// One line against one pattern: literal text, `...` for anything, `${name}` to capture or compare.
fn match_line(pattern: &str, line: &str, captures: &mut BTreeMap<String, String>) -> bool {
    let dots = pattern.find("...");
    let name = pattern.find("${").and_then(|at| Some((at, at + 2 + pattern[at + 2..].find('}')?)));
    match (dots, name) {
        (Some(at), name) if name.is_none_or(|(start, _)| at < start) => {
            let Some(rest) = line.strip_prefix(&pattern[..at]) else { return false };
            let after = &pattern[at + 3..];
            ends(rest).any(|end| {
                let mut caught = captures.clone();
                let yes = match_line(after, &rest[end..], &mut caught);
                if yes {
                    *captures = caught;
                }
                yes
            })
        }
        (_, Some((start, end))) => {
            let Some(rest) = line.strip_prefix(&pattern[..start]) else { return false };
            let (name, after) = (&pattern[start + 2..end], &pattern[end + 1..]);
            if let Some(value) = captures.get(name).cloned() {
                return rest.strip_prefix(value.as_str()).is_some_and(|rest| match_line(after, rest, captures));
            }
            ends(rest).any(|end| {
                let mut caught = captures.clone();
                caught.insert(name.to_owned(), rest[..end].to_owned());
                let yes = match_line(after, &rest[end..], &mut caught);
                if yes {
                    *captures = caught;
                }
                yes
            })
        }
        _ => pattern == line,
    }
}

/// Every place in a text where it can be cut.
fn ends(text: &str) -> impl Iterator<Item = usize> {
    text.char_indices().map(|(at, _)| at).chain([text.len()])
}

fn fill_in(bytes: &[u8], captures: &BTreeMap<String, String>) -> Result<Vec<u8>, String> {
    let mut filled = bytes.to_vec();
    for (name, value) in captures {
        let mark = format!("${{{name}}}");
        while let Some(at) = filled.windows(mark.len()).position(|window| window == mark.as_bytes()) {
            filled.splice(at..at + mark.len(), value.bytes());
        }
    }
    Ok(filled)
}

/// A line without its CRLF; what is no printable text as `\xHH`.
fn shown_line(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r\n").unwrap_or(line);
    let mut text = String::new();
    for chunk in line.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\r' => text.push_str("\\r"),
                '\n' => text.push_str("\\n"),
                '\t' => text.push('\t'),
                c if c.is_control() => text.push_str(&format!("\\x{:02x}", u32::from(c))),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

fn shown(bytes: &[u8]) -> String {
    let lines = whole_lines(bytes);
    let rest = &bytes[total(&lines)..];
    let mut text: String = lines.iter().map(|line| format!("  S: {}\n", shown_line(line))).collect();
    if !rest.is_empty() {
        text.push_str(&format!("  S: {}   (and no CRLF)\n", shown_line(rest)));
    }
    text
}

fn difference(patterns: &[Pattern<'_>], bytes: &[u8], closed: bool, captures: &BTreeMap<String, String>) -> String {
    let mut text = String::from("the server should say\n");
    for pattern in patterns {
        text.push_str(&format!("  {:>4}  S: {}\n", pattern.line, pattern.text.unwrap_or("...*")));
    }
    let lines = whole_lines(bytes);
    let mut caught = captures.clone();
    let same = patterns
        .iter()
        .zip(&lines)
        .take_while(|(pattern, line)| pattern.text.is_some_and(|text| match_line(text, &shown_line(line), &mut caught)))
        .count();
    text.push_str(&format!("and says (the first {same} of its lines are as they should be)\n{}", shown(bytes)));
    text.push_str(if closed { "and has closed" } else { "and is quiet" });
    text
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    /// Echoes each line in capitals; closes after QUIT.
    #[derive(Default)]
    struct Echo {
        input: Vec<u8>,
        output: Vec<u8>,
        closed: bool,
    }

    impl Subject for Echo {
        fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.input.extend_from_slice(bytes);
            while let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.input.drain(..end + 2).collect();
                self.closed |= line == b"QUIT\r\n";
                self.output.extend(line.to_ascii_uppercase());
            }
            Ok(())
        }

        fn receive(&mut self, _enough: &mut dyn FnMut(&[u8]) -> Enough) -> io::Result<Received> {
            Ok(Received { bytes: std::mem::take(&mut self.output), closed: self.closed })
        }
    }

    fn verdict(text: &str) -> Result<(), String> {
        let greeting = || Echo { output: b"HELLO 17\r\n".to_vec(), ..Echo::default() };
        run(&parse("t", text).unwrap(), &mut |_| {
            Box::new(move |_| -> io::Result<Box<dyn Subject>> { Ok(Box::new(greeting())) })
        })
    }

    #[test]
    fn agrees() {
        verdict("S: HELLO ...\nC: a b\nC: c\nS: A B\nS: C\nC: QUIT\nS: QUIT\nS<\n").unwrap();
        verdict("S: HELLO ${n}\nC: a\nC: b\nC: c ${n}\nS: ...*\nS: C ${n}\n").unwrap();
        verdict("S: ...*\nC: a\nS: ...\nC2: x\nS2: HELLO...7\nS2: X\nC: b\nS: B\n").unwrap();
        verdict("S: HELLO 17\nC> \\xff\\r\\n\nS: \\xff\n").unwrap();
    }

    #[test]
    fn differs() {
        for (text, expected) in [
            ("S: HELLO 18\n", "is quiet"),
            ("S: HELLO 17\nC: a\nS: B\n", "line 3"),
            ("S: HELLO 17\nC: a\n", "beyond the transcript's end"),
            ("S: HELLO 17\nC: QUIT\nS<\n", "should close, and says"),
            ("S: HELLO 17\nS<\n", "should close, and does not"),
            ("S: HELLO 17\nC: a\nS: A\nS: B\n", "the first 1"),
        ] {
            let error = verdict(text).unwrap_err();
            assert!(error.contains(expected), "{text}\n{error}");
        }
    }
}
