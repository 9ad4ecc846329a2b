//! GENURLAUTH, URLFETCH and RESETKEY (RFC 4467, RFC 5524), and the token of the mechanism INTERNAL.

use std::fmt::Write as _;

use mail::limits;
use subtle::ConstantTimeEq;

use super::command::Command;
use super::cursor::{Bad, Cursor};
use crate::sasl::scram::hmac;

/// The one mechanism that there is.
pub const INTERNAL: &str = "INTERNAL";

/// How tokens begin that are made as here: RFC 4467 §2.4.1 wants to know later ones from earlier ones.
const VERSION: &str = "01";

/// `url-fetch-arg`: a URL, and what of it is wanted
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlFetch {
    /// As it was written.
    pub url: Vec<u8>,
    /// What is wanted, each once; empty: the octets alone, in RFC 4467's form.
    pub wanted: Vec<Wanted>,
}

/// `url-fetch-param`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The octets.
    Body,
    /// The octets without their transfer encoding.
    Binary,
    /// The structure of the part.
    BodyPartStructure,
}

impl Wanted {
    /// Each with its word.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Body, "BODY"), (Self::Binary, "BINARY"), (Self::BodyPartStructure, "BODYPARTSTRUCTURE")];
}

impl Cursor<'_> {
    /// Commands of this file; `None`: it is none of them. Their names were read, what follows was not.
    pub(super) fn urlauth_command(&mut self, name: &str) -> Result<Option<Command>, Bad> {
        Ok(Some(match name {
            // RFC 4467 §9: `genurlauth = "GENURLAUTH" 1*(SP url-rump SP mechanism)`
            "GENURLAUTH" => Command::GenUrlAuth(self.urls(|cursor| {
                let url = cursor.astring()?.into_owned();
                cursor.sp()?;
                Ok((url, cursor.mechanism()?))
            })?),
            // RFC 5524 §5: `urlfetch = "URLFETCH" 1*(SP url-fetch-arg)`
            "URLFETCH" => Command::UrlFetch(self.urls(Self::url_fetch_arg)?),
            // `resetkey = "RESETKEY" [SP mailbox *(SP mechanism)]`
            "RESETKEY" => {
                let mut mailbox = None;
                let mut mechanisms = Vec::new();
                while self.goes_on() {
                    self.sp()?;
                    match mailbox {
                        None => mailbox = Some(self.mailbox()?),
                        Some(_) => mechanisms.push(self.mechanism()?),
                    }
                    if mechanisms.len() > limits::IMAP_URLS {
                        return Err(Bad("There are too many mechanisms"));
                    }
                }
                Command::ResetKey(mailbox, mechanisms)
            }
            _ => return Ok(None),
        }))
    }

    /// Whether the command has another argument.
    fn goes_on(&self) -> bool {
        self.peek() == Some(b' ') && !self.rest().trim_ascii_start().is_empty()
    }

    fn urls<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T, Bad>) -> Result<Vec<T>, Bad> {
        let mut urls = Vec::new();
        loop {
            self.sp()?;
            urls.push(one(self)?);
            if urls.len() > limits::IMAP_URLS {
                return Err(Bad("There are too many URLs"));
            }
            if !self.goes_on() {
                return Ok(urls);
            }
        }
    }

    /// `mechanism = "INTERNAL" / 1*(ALPHA / DIGIT / "-" / ".")`
    fn mechanism(&mut self) -> Result<String, Bad> {
        let is = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        self.word_of(is, "A mechanism is missing").map(str::to_ascii_uppercase)
    }

    /// `url-fetch-arg = url-fetch-simple / url-fetch-ext`, `url-fetch-ext = "(" url-full *(SP url-fetch-param) ")"`
    fn url_fetch_arg(&mut self) -> Result<UrlFetch, Bad> {
        if !self.take(b'(') {
            return Ok(UrlFetch { url: self.astring()?.into_owned(), wanted: Vec::new() });
        }
        let url = self.astring()?.into_owned();
        let mut wanted: Vec<Wanted> = Vec::new();
        while !self.take(b')') {
            self.sp()?;
            let word = self.atom()?;
            let known = Wanted::ALL.iter().find(|(_, known)| word.eq_ignore_ascii_case(known));
            let (one, _) = known.ok_or(Bad("There is no such URLFETCH parameter"))?;
            // RFC 5524 §3.1: each at most once, and not both.
            if wanted.contains(one) {
                return Err(Bad("A URLFETCH parameter stands there twice"));
            }
            wanted.push(*one);
        }
        if wanted.contains(&Wanted::Body) && wanted.contains(&Wanted::Binary) {
            return Err(Bad("It is BODY or BINARY"));
        }
        Ok(UrlFetch { url, wanted })
    }
}

/// What makes a rump a URL that may be followed: `":" uauth-mechanism ":" enc-urlauth`.
pub fn verifier(key: &[u8; 32], rump: &[u8]) -> String {
    let mut text = format!(":{INTERNAL}:{VERSION}");
    for byte in hmac(key, rump) {
        // Nothing fails where a string is written to.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Whether a token was made for this rump with this key. Takes as long whatever it says (RFC 4467 §6).
pub fn is_genuine(key: &[u8; 32], rump: &[u8], mechanism: &str, token: &str) -> bool {
    if mechanism != INTERNAL {
        return false;
    }
    let right = verifier(key, rump);
    let given = format!(":{INTERNAL}:{}", token.to_ascii_lowercase());
    right.as_bytes().ct_eq(given.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::command::command;
    use super::super::mutf7::Names;
    use super::super::url::MessageUrl;
    use super::*;

    fn read(text: &str) -> Result<Command, Bad> {
        command(format!("a {text}\r\n").as_bytes(), Names::Modified).unwrap().command
    }

    #[test]
    fn commands() {
        let url = || b"/a/;UID=1".to_vec();
        assert_eq!(
            read("GENURLAUTH \"/a/;UID=1\" internal /a/;UID=1 X-1.2"),
            Ok(Command::GenUrlAuth(vec![(url(), "INTERNAL".into()), (url(), "X-1.2".into())]))
        );
        let fetch = |wanted: &[Wanted]| UrlFetch { url: url(), wanted: wanted.to_vec() };
        assert_eq!(
            read("URLFETCH /a/;UID=1 ({9}\r\n/a/;UID=1 bodypartstructure BINARY) (/a/;UID=1)"),
            Ok(Command::UrlFetch(vec![fetch(&[]), fetch(&[Wanted::BodyPartStructure, Wanted::Binary]), fetch(&[])]))
        );
        assert_eq!(read("RESETKEY"), Ok(Command::ResetKey(None, Vec::new())));
        assert_eq!(read("RESETKEY inbox"), Ok(Command::ResetKey(Some("INBOX".into()), Vec::new())));
        assert_eq!(read("RESETKEY a x-y "), Ok(Command::ResetKey(Some("a".into()), vec!["X-Y".into()])));
        for bad in [
            "GENURLAUTH",
            "GENURLAUTH x",
            "GENURLAUTH x INTERNAL y",
            "GENURLAUTH x IN_TERNAL",
            "URLFETCH",
            "URLFETCH (x BODY",
            "URLFETCH (x PREVIEW)",
            "URLFETCH (x BODY BODY)",
            "URLFETCH (x BODY BINARY)",
            "URLFETCH x (",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_token_is_of_one_key_and_one_rump(key: [u8; 32], other: [u8; 32], rump in "[ -~]{1,40}", at in 0usize..66) {
            let full = format!("{rump}{}", verifier(&key, rump.as_bytes()));
            prop_assert_eq!(MessageUrl::rump(full.as_bytes()), Some(rump.as_bytes()));
            let token = full.rsplit(':').next().unwrap();
            prop_assert_eq!(token.len(), 66);
            prop_assert!(is_genuine(&key, rump.as_bytes(), INTERNAL, token));
            prop_assert!(is_genuine(&key, rump.as_bytes(), INTERNAL, &token.to_uppercase()));
            let longer = rump.clone() + "x";
            prop_assert!(!is_genuine(&key, longer.as_bytes(), INTERNAL, token));
            prop_assert!(!is_genuine(&key, rump.as_bytes(), "X", token));
            prop_assert_eq!(is_genuine(&other, rump.as_bytes(), INTERNAL, token), key == other);
            let mut broken = token.to_owned();
            let digit = if token.as_bytes()[at] == b'0' { "1" } else { "0" };
            broken.replace_range(at..=at, digit);
            prop_assert!(!is_genuine(&key, rump.as_bytes(), INTERNAL, &broken));
            prop_assert!(!is_genuine(&key, rump.as_bytes(), INTERNAL, &token[..at]));
        }
    }
}
