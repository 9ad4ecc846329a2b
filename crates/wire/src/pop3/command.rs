//! POP3 commands: one line each (RFC 1939 §3, RFC 2449, RFC 5034, RFC 2595 §4, RFC 6856).

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// USER name.
    User(&'a str),
    /// PASS password: the whole rest of the line, spaces and all.
    Pass(&'a str),
    /// APOP: known, so that its refusal can say why.
    Apop,
    /// AUTH mechanism and, perhaps, the initial response; without a mechanism: which are there?
    Auth(Option<(&'a str, Option<&'a str>)>),
    /// CAPA.
    Capa,
    /// STLS.
    Stls,
    /// UTF8.
    Utf8,
    /// LANG, perhaps with a language.
    Lang(Option<&'a str>),
    /// QUIT.
    Quit,
    /// STAT.
    Stat,
    /// LIST, perhaps of one message.
    List(Option<u32>),
    /// RETR.
    Retr(u32),
    /// DELE.
    Dele(u32),
    /// NOOP.
    Noop,
    /// RSET.
    Rset,
    /// TOP: message and body lines.
    Top(u32, u32),
    /// UIDL, perhaps of one message.
    Uidl(Option<u32>),
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// No such command.
    Unknown,
    /// Its arguments are wrong; how they should be.
    Arguments(&'static str),
    /// Not UTF-8, or with a NUL or other control character.
    Characters,
}

/// Reads one line without its end.
pub fn parse(line: &[u8]) -> Result<Command<'_>, CommandError> {
    let line = std::str::from_utf8(line).map_err(|_| CommandError::Characters)?;
    if line.chars().any(char::is_control) {
        return Err(CommandError::Characters);
    }
    // RFC 1939 §3: keyword and arguments are separated by single spaces; keywords in any case.
    let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest_of_pass = rest;
    let rest = rest.trim_end_matches(' ');
    let none =
        |command| if rest.is_empty() { Ok(command) } else { Err(CommandError::Arguments("it takes no argument")) };
    match keyword.to_ascii_uppercase().as_str() {
        "USER" if rest.is_empty() => Err(CommandError::Arguments("USER takes a name")),
        "USER" => Ok(Command::User(rest)),
        // RFC 1939 §7: "a POP3 server may treat spaces in the argument as part of the password".
        "PASS" if rest_of_pass.is_empty() => Err(CommandError::Arguments("PASS takes a password")),
        "PASS" => Ok(Command::Pass(rest_of_pass)),
        "APOP" => Ok(Command::Apop),
        "AUTH" => auth(rest),
        "CAPA" => none(Command::Capa),
        "STLS" => none(Command::Stls),
        "UTF8" => none(Command::Utf8),
        "LANG" if rest.contains(' ') => Err(CommandError::Arguments("LANG takes one language")),
        "LANG" => Ok(Command::Lang((!rest.is_empty()).then_some(rest))),
        "QUIT" => none(Command::Quit),
        "STAT" => none(Command::Stat),
        "LIST" => optional_number(rest).map(Command::List),
        "RETR" => number(rest).map(Command::Retr),
        "DELE" => number(rest).map(Command::Dele),
        "NOOP" => none(Command::Noop),
        "RSET" => none(Command::Rset),
        "TOP" => {
            const NUMBERS: CommandError = CommandError::Arguments("TOP takes a message number and a number of lines");
            let (message, lines) = rest.split_once(' ').ok_or(NUMBERS)?;
            Ok(Command::Top(number(message).map_err(|_| NUMBERS)?, number(lines).map_err(|_| NUMBERS)?))
        }
        "UIDL" => optional_number(rest).map(Command::Uidl),
        _ => Err(CommandError::Unknown),
    }
}

/// RFC 5034 §4: `AUTH mechanism [initial-response]`. Without a mechanism: a list, as clients older than CAPA ask.
fn auth(rest: &str) -> Result<Command<'_>, CommandError> {
    if rest.is_empty() {
        return Ok(Command::Auth(None));
    }
    match rest.split_once(' ') {
        None => Ok(Command::Auth(Some((rest, None)))),
        Some((_, initial)) if initial.contains(' ') => {
            Err(CommandError::Arguments("AUTH takes a mechanism and at most one initial response"))
        }
        Some((mechanism, initial)) => Ok(Command::Auth(Some((mechanism, Some(initial))))),
    }
}

fn number(text: &str) -> Result<u32, CommandError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // A number that doesn't fit is a message that doesn't exist, not a syntax error; lines beyond are all lines.
    if digits {
        Ok(text.parse().unwrap_or(u32::MAX))
    } else {
        Err(CommandError::Arguments("it takes a message number"))
    }
}

fn optional_number(text: &str) -> Result<Option<u32>, CommandError> {
    if text.is_empty() { Ok(None) } else { number(text).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands() {
        assert_eq!(parse(b"user alice@red.example"), Ok(Command::User("alice@red.example")));
        assert_eq!(parse(b"PASS  two  words "), Ok(Command::Pass(" two  words ")));
        assert_eq!(parse(b"Auth plain ="), Ok(Command::Auth(Some(("plain", Some("="))))));
        assert_eq!(parse(b"AUTH"), Ok(Command::Auth(None)));
        assert_eq!(parse(b"LIST "), Ok(Command::List(None)));
        assert_eq!(parse(b"list 007"), Ok(Command::List(Some(7))));
        assert_eq!(parse(b"RETR 99999999999999"), Ok(Command::Retr(u32::MAX)));
        assert_eq!(parse(b"TOP 1 0"), Ok(Command::Top(1, 0)));
        for bad in [
            "RETR",
            "RETR x",
            "RETR 1 2",
            "DELE -1",
            "TOP 1",
            "TOP 1 x",
            "USER",
            "PASS",
            "STAT 1",
            "LIST a",
            "AUTH a b c",
        ] {
            assert!(matches!(parse(bad.as_bytes()), Err(CommandError::Arguments(_))), "{bad}");
        }
        for bad in ["", " ", "XTND", "RETRX 1", " STAT"] {
            assert_eq!(parse(bad.as_bytes()), Err(CommandError::Unknown), "{bad}");
        }
        assert_eq!(parse(b"USER a\0b"), Err(CommandError::Characters));
        assert_eq!(parse(b"USER \xff"), Err(CommandError::Characters));
    }

    proptest! {
        #[test]
        fn never_panics(line in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(&line);
        }
    }
}
