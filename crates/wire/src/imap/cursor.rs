//! The small productions of RFC 3501 §9 that all commands are made of.

use std::borrow::Cow;

use mail::{Flags, Keyword, limits};

use super::mutf7::Names;

/// The command is not grammatical; the words are for the tagged BAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad(pub &'static str);

/// Reads one whole command from its beginning.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    input: &'a [u8],
    depth: usize,
    names: Names,
}

/// `CTL = %x00-1F / %x7F`; `atom-specials = "(" / ")" / "{" / SP / CTL / list-wildcards / quoted-specials / resp-specials`
pub const fn is_atom_char(b: u8) -> bool {
    b > b' ' && b < 0x7f && !matches!(b, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// `ASTRING-CHAR = ATOM-CHAR / resp-specials`
pub const fn is_astring_char(b: u8) -> bool {
    is_atom_char(b) || b == b']'
}

/// `tag = 1*<any ASTRING-CHAR except "+">`
pub const fn is_tag_char(b: u8) -> bool {
    is_astring_char(b) && b != b'+'
}

impl<'a> Cursor<'a> {
    /// At the beginning of `input`.
    pub const fn new(input: &'a [u8]) -> Self {
        Self { input, depth: 0, names: Names::Modified }
    }

    /// The same, with mailbox names as they were agreed on.
    pub const fn with_names(input: &'a [u8], names: Names) -> Self {
        Self { input, depth: 0, names }
    }

    /// How mailbox names are written.
    pub const fn names(&self) -> Names {
        self.names
    }

    /// What is left.
    pub const fn rest(&self) -> &'a [u8] {
        self.input
    }

    /// The next octet.
    pub fn peek(&self) -> Option<u8> {
        self.input.first().copied()
    }

    /// Takes `byte` if it is next.
    pub fn take(&mut self, byte: u8) -> bool {
        match self.input {
            [first, rest @ ..] if *first == byte => {
                self.input = rest;
                true
            }
            _ => false,
        }
    }

    /// Takes `word` if it is next, in any case, and no letter or digit follows.
    pub fn take_word(&mut self, word: &str) -> bool {
        let Some((head, rest)) = self.input.split_at_checked(word.len()) else { return false };
        let ends = !rest.first().is_some_and(|b| b.is_ascii_alphanumeric());
        let is = head.eq_ignore_ascii_case(word.as_bytes()) && ends;
        if is {
            self.input = rest;
        }
        is
    }

    /// `SP`
    pub fn sp(&mut self) -> Result<(), Bad> {
        if self.take(b' ') { Ok(()) } else { Err(Bad("A space is missing")) }
    }

    /// One octet that must come.
    pub fn expect(&mut self, byte: u8, or: &'static str) -> Result<(), Bad> {
        if self.take(byte) { Ok(()) } else { Err(Bad(or)) }
    }

    /// `CRLF`. A bare LF ends a line too: people type at `nc`. A space before it is passed over (imaplib, and
    /// clients that join optional arguments).
    pub fn crlf(&mut self) -> Result<(), Bad> {
        match self.input.trim_ascii_start() {
            [] => {
                self.input = &[];
                Ok(())
            }
            _ => Err(Bad("There is more than the command takes")),
        }
    }

    /// The longest run of octets that satisfy `is`.
    pub fn run(&mut self, is: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.input.iter().position(|b| !is(*b)).unwrap_or(self.input.len());
        let (run, rest) = self.input.split_at(end);
        self.input = rest;
        run
    }

    /// `atom = 1*ATOM-CHAR`
    pub fn atom(&mut self) -> Result<&'a str, Bad> {
        self.word_of(is_atom_char, "An atom is missing")
    }

    /// A run of ASCII of the given kind.
    pub fn word_of(&mut self, is: impl Fn(u8) -> bool, or: &'static str) -> Result<&'a str, Bad> {
        let run = self.run(is);
        std::str::from_utf8(run).ok().filter(|run| !run.is_empty()).ok_or(Bad(or))
    }

    /// `number = 1*DIGIT`, of 63 bits (RFC 9051 §9 `number64`)
    pub fn number64(&mut self) -> Result<u64, Bad> {
        let digits = self.word_of(|b| b.is_ascii_digit(), "A number is missing")?;
        digits.parse().ok().filter(|n| i64::try_from(*n).is_ok()).ok_or(Bad("The number is too big"))
    }

    /// `number = 1*DIGIT`, of 32 bits
    pub fn number(&mut self) -> Result<u32, Bad> {
        u32::try_from(self.number64()?).map_err(|_| Bad("The number is too big"))
    }

    /// `nz-number = digit-nz *DIGIT`
    pub fn nz_number(&mut self) -> Result<u32, Bad> {
        self.number().and_then(|n| if n == 0 { Err(Bad("The number must not be zero")) } else { Ok(n) })
    }

    /// `quoted = DQUOTE *QUOTED-CHAR DQUOTE`. 8-bit octets are let through: what is said in them is for the reader to judge.
    pub fn quoted(&mut self) -> Result<Cow<'a, [u8]>, Bad> {
        self.expect(b'"', "A quoted string is missing")?;
        let plain = self.run(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0));
        if self.take(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_vec();
        loop {
            match self.input {
                [b'"', rest @ ..] => {
                    self.input = rest;
                    return Ok(Cow::Owned(text));
                }
                [b'\\', c @ (b'"' | b'\\'), rest @ ..] => {
                    text.push(*c);
                    self.input = rest;
                }
                [b'\\' | b'\r' | b'\n' | 0, ..] | [] => return Err(Bad("The quoted string is broken")),
                [c, rest @ ..] => {
                    text.push(*c);
                    self.input = rest;
                }
            }
        }
    }

    /// `literal = "{" number ["+"] "}" CRLF *CHAR8`, in place
    pub fn literal(&mut self) -> Result<&'a [u8], Bad> {
        let literal = self.octets()?;
        // RFC 3501 §9: CHAR8 is any OCTET except NUL.
        if literal.contains(&0) { Err(Bad("The literal has a NUL")) } else { Ok(literal) }
    }

    /// RFC 3516 §7: `literal8 = "~{" number "}" CRLF *OCTET`
    pub fn literal8(&mut self) -> Result<&'a [u8], Bad> {
        self.expect(b'~', "A literal is missing")?;
        self.octets()
    }

    fn octets(&mut self) -> Result<&'a [u8], Bad> {
        self.expect(b'{', "A literal is missing")?;
        let len = self.number64()?;
        self.take(b'+');
        self.expect(b'}', "The literal is broken")?;
        self.take(b'\r');
        self.expect(b'\n', "The literal is broken")?;
        let len = usize::try_from(len).map_err(|_| Bad("The literal is broken"))?;
        let (literal, rest) = self.input.split_at_checked(len).ok_or(Bad("The literal is broken"))?;
        self.input = rest;
        Ok(literal)
    }

    /// `string = quoted / literal`
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, Bad> {
        match self.peek() {
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => self.quoted(),
        }
    }

    /// `astring = 1*ASTRING-CHAR / string`
    pub fn astring(&mut self) -> Result<Cow<'a, [u8]>, Bad> {
        match self.peek() {
            Some(b'{' | b'"') => self.string(),
            _ => {
                let run = self.run(is_astring_char);
                if run.is_empty() { Err(Bad("An argument is missing")) } else { Ok(Cow::Borrowed(run)) }
            }
        }
    }

    /// `nstring = string / nil`
    pub fn nstring(&mut self) -> Result<Option<Cow<'a, [u8]>>, Bad> {
        if self.take_word("NIL") { Ok(None) } else { self.string().map(Some) }
    }

    /// `mailbox = "INBOX" / astring`. INBOX is written so whatever its case.
    pub fn mailbox(&mut self) -> Result<String, Bad> {
        let wire = self.astring()?;
        let name = self.names.read(&wire).ok_or(match self.names {
            Names::Modified => Bad("The mailbox name is not modified UTF-7"),
            Names::Utf8 => Bad("The mailbox name is not UTF-8"),
        })?;
        Ok(if name.eq_ignore_ascii_case("INBOX") { "INBOX".into() } else { name })
    }

    /// `"(" [item *(SP item)] ")"`
    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T, Bad>) -> Result<Vec<T>, Bad> {
        self.expect(b'(', "A list is missing")?;
        let mut items = Vec::new();
        self.deeper()?;
        while !self.take(b')') {
            if !items.is_empty() {
                self.sp()?;
            }
            items.push(item(self)?);
            if items.len() > limits::IMAP_ITEMS {
                return Err(Bad("The list has too many items"));
            }
        }
        self.depth -= 1;
        Ok(items)
    }

    /// Counts a parenthesis within parentheses.
    pub fn deeper(&mut self) -> Result<(), Bad> {
        self.depth += 1;
        if self.depth > limits::IMAP_NESTING { Err(Bad("The command is nested too deeply")) } else { Ok(()) }
    }

    /// The other end of [`Self::deeper`].
    pub const fn shallower(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// `flag = "\Answered" / … / flag-keyword / flag-extension`. `\Recent` and unknown ones with a backslash are
    /// an error: a client can't set them (RFC 3501 §2.3.2).
    pub fn flag(&mut self) -> Result<Flag, Bad> {
        if self.take(b'\\') {
            let name = self.atom()?;
            let mut with_slash = String::with_capacity(name.len() + 1);
            with_slash.push('\\');
            with_slash.push_str(name);
            return Flags::from_name(&with_slash).map(Flag::System).ok_or(Bad("There is no such system flag"));
        }
        let name = self.atom()?;
        Keyword::new(name).map(Flag::Keyword).ok_or(Bad("The keyword is too long"))
    }

    /// `flag-list = "(" [flag *(SP flag)] ")"`
    pub fn flag_list(&mut self) -> Result<FlagList, Bad> {
        Ok(FlagList::of(self.list(Self::flag)?))
    }
}

/// One flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flag {
    /// With a backslash.
    System(Flags),
    /// Without.
    Keyword(Keyword),
}

/// The flags of a STORE or APPEND.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlagList {
    /// System flags.
    pub system: Flags,
    /// Keywords, each once.
    pub keywords: Vec<Keyword>,
}

impl FlagList {
    fn of(flags: impl IntoIterator<Item = Flag>) -> Self {
        let mut list = Self::default();
        for flag in flags {
            match flag {
                Flag::System(flag) => list.system = list.system.with(flag),
                Flag::Keyword(keyword) if list.keywords.contains(&keyword) => {}
                Flag::Keyword(keyword) => list.keywords.push(keyword),
            }
        }
        list
    }
}

impl FromIterator<Flag> for FlagList {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        Self::of(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_productions() {
        assert_eq!(Cursor::new(b"\"a\\\"b\" x").quoted().unwrap().as_ref(), b"a\"b");
        assert!(Cursor::new(b"\"a\\b\"").quoted().is_err());
        assert!(Cursor::new(b"\"a\r\n\"").quoted().is_err());
        assert_eq!(Cursor::new(b"{3}\r\nabcd").literal().unwrap(), b"abc");
        assert!(Cursor::new(b"{3}\r\nab").literal().is_err());
        assert_eq!(Cursor::new(b"inbox").mailbox().unwrap(), "INBOX");
        assert_eq!(Cursor::new(b"()").flag_list().unwrap(), FlagList::default());
        assert_eq!(Cursor::new(b"(\\seen $Junk $JUNK)").flag_list().unwrap().keywords.len(), 1);
        assert!(Cursor::new(b"(\\Recent)").flag_list().is_err());
    }

    proptest! {
        #[test]
        fn strings_read_back(bytes in proptest::collection::vec(1u8.., 0..40)) {
            let mut wire = Vec::new();
            crate::imap::write::string(&mut wire, &bytes);
            let mut cursor = Cursor::new(&wire);
            prop_assert_eq!(cursor.string().unwrap().into_owned(), bytes.clone());
            let mut wire = Vec::new();
            crate::imap::write::astring(&mut wire, &bytes);
            let mut cursor = Cursor::new(&wire);
            prop_assert_eq!(cursor.astring().unwrap().into_owned(), bytes);
        }
    }
}
