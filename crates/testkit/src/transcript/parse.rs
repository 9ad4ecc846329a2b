//! The reader of transcript files: text in, [`Transcript`] or a message with the line's number out.

use std::path::Path;

/// One line of a transcript that does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The client sends these bytes; `${name}` is filled in at run time.
    Send(Vec<u8>),
    /// The server says a line like this.
    Line(String),
    /// The server says any number of lines.
    AnyLines,
    /// The client closes its side.
    ClientCloses,
    /// The server must close.
    ServerCloses,
    /// Both sides start TLS.
    StartTls,
}

/// A dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// The file's name without folder and ending.
    pub name: String,
    /// Directives in their order: key and the rest of the line (maybe empty).
    pub directives: Vec<(String, String)>,
    /// Line number in the file, connection (1 to 9), and what happens.
    pub steps: Vec<(usize, usize, Step)>,
}

impl Transcript {
    /// The value of a directive, if it is there (empty where it has none).
    pub fn directive(&self, key: &str) -> Option<&str> {
        self.directives.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// All values of a directive that may come several times.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.directives.iter().filter(move |(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A sentence with file and line.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        parse(&name, &text).map_err(|error| format!("{}:{error}", path.display()))
    }
}

/// Reads a transcript's text.
///
/// # Errors
/// `line: what is wrong`.
pub fn parse(name: &str, text: &str) -> Result<Transcript, String> {
    let mut transcript = Transcript { name: name.to_owned(), directives: Vec::new(), steps: Vec::new() };
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        if let Some(directive) = line.strip_prefix("#:") {
            let directive = directive.trim();
            let (key, value) = directive.split_once(char::is_whitespace).unwrap_or((directive, ""));
            transcript.directives.push((key.to_owned(), value.trim().to_owned()));
        } else if !(line.trim().is_empty() || line.starts_with('#')) {
            let (connection, step) = parse_step(line).map_err(|error| format!("{number}: {error}"))?;
            transcript.steps.push((number, connection, step));
        }
    }
    Ok(transcript)
}

fn parse_step(line: &str) -> Result<(usize, Step), String> {
    if let Some(connection) = line.trim_end().strip_prefix("TLS") {
        return Ok((parse_connection(connection)?, Step::StartTls));
    }
    let mark = line.find([':', '>', '<']).ok_or_else(|| format!("neither C: C> C< S: S< TLS nor a comment: {line}"))?;
    let (who, rest) = line.split_at(mark);
    let (mark, rest) = rest.split_at(1);
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    let connection = parse_connection(who.get(1..).unwrap_or(""))?;
    let step = match (who.get(..1), mark) {
        (Some("C"), ":") => Step::Send([rest.as_bytes(), b"\r\n"].concat()),
        (Some("C"), ">") => Step::Send(unescape(rest)?),
        (Some("C"), "<") if rest.trim().is_empty() => Step::ClientCloses,
        (Some("S"), ":") if rest == "...*" => Step::AnyLines,
        (Some("S"), ":") => Step::Line(rest.to_owned()),
        (Some("S"), "<") if rest.trim().is_empty() => Step::ServerCloses,
        _ => return Err(format!("neither C: C> C< S: S< TLS nor a comment: {line}")),
    };
    Ok((connection, step))
}

fn parse_connection(text: &str) -> Result<usize, String> {
    match text.as_bytes() {
        [] => Ok(1),
        [digit @ b'1'..=b'9'] => Ok(usize::from(digit - b'0')),
        _ => Err(format!("a connection is a digit from 1 to 9, not {text:?}")),
    }
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let (byte, tail) = match rest {
            [b'r', tail @ ..] => (b'\r', tail),
            [b'n', tail @ ..] => (b'\n', tail),
            [b't', tail @ ..] => (b'\t', tail),
            [b'0', tail @ ..] => (0, tail),
            [b'\\', tail @ ..] => (b'\\', tail),
            [b'x', high, low, tail @ ..] => {
                let hex = String::from_utf8_lossy(&[*high, *low]).into_owned();
                (u8::from_str_radix(&hex, 16).map_err(|_| format!("\\x{hex} is no byte"))?, tail)
            }
            _ => return Err("a backslash needs r, n, t, 0, \\ or xHH after it".to_owned()),
        };
        bytes.push(byte);
        rest = tail;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_kind_of_line() {
        let text = "# Shows all.\n#: tls\n#: auth alice\nS: 220 ...\n\nC: EHLO a\nS: ...*\nC> \\x41\\r\\n\\0\\\\\n\
                    TLS\nC2: X\nC2<\nS<\nC:\n";
        let transcript = parse("t", text).unwrap();
        assert_eq!(transcript.directive("tls"), Some(""));
        assert_eq!(transcript.directive("auth"), Some("alice"));
        let steps: Vec<_> = transcript.steps.into_iter().map(|(_, connection, step)| (connection, step)).collect();
        assert_eq!(
            steps,
            [
                (1, Step::Line("220 ...".into())),
                (1, Step::Send(b"EHLO a\r\n".into())),
                (1, Step::AnyLines),
                (1, Step::Send(b"A\r\n\0\\".into())),
                (1, Step::StartTls),
                (2, Step::Send(b"X\r\n".into())),
                (2, Step::ClientCloses),
                (1, Step::ServerCloses),
                (1, Step::Send(b"\r\n".into())),
            ]
        );
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        assert!(parse("t", "S: ok\nX: what\n").unwrap_err().starts_with("2: "));
        assert!(parse("t", "C> \\q\n").unwrap_err().starts_with("1: "));
        assert!(parse("t", "C0: a\n").unwrap_err().starts_with("1: "));
    }
}
