//! STORE (RFC 3501 §6.4.6, RFC 7162 §3.1.3).

use super::cursor::{Bad, Cursor, FlagList};
use super::sequence::MessageSet;

/// STORE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The set is of UIDs.
    pub uid: bool,
    /// Which messages.
    pub set: MessageSet,
    /// UNCHANGEDSINCE (RFC 7162 §3.1.3).
    pub unchanged_since: Option<u64>,
    /// How.
    pub operation: Operation,
    /// .SILENT: the new flags are not told.
    pub silent: bool,
    /// Which flags.
    pub flags: FlagList,
}

/// `["+" / "-"] "FLAGS"`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// +
    Add,
    /// -
    Remove,
    /// neither
    Replace,
}

impl Cursor<'_> {
    /// `store = "STORE" SP sequence-set [SP "(" store-modifier ")"] SP store-att-flags`,
    /// `store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))`
    pub(super) fn store(&mut self, uid: bool) -> Result<Store, Bad> {
        let set = self.message_set()?;
        self.sp()?;
        let mut unchanged_since = None;
        if self.take(b'(') {
            if !self.take_word("UNCHANGEDSINCE") {
                return Err(Bad("There is no such STORE modifier"));
            }
            self.sp()?;
            unchanged_since = Some(self.number64()?);
            self.expect(b')', "A closing parenthesis is missing")?;
            self.sp()?;
        }
        let operation = match self.peek() {
            Some(b'+') => Operation::Add,
            Some(b'-') => Operation::Remove,
            _ => Operation::Replace,
        };
        if operation != Operation::Replace {
            self.run_one();
        }
        let word = self.word_of(|b| b.is_ascii_alphabetic() || b == b'.', "FLAGS is missing")?;
        let silent = match word.to_ascii_uppercase().as_str() {
            "FLAGS" => false,
            "FLAGS.SILENT" => true,
            _ => return Err(Bad("FLAGS is missing")),
        };
        self.sp()?;
        let flags = if self.peek() == Some(b'(') { self.flag_list()? } else { self.bare_flags()? };
        Ok(Store { uid, set, unchanged_since, operation, silent, flags })
    }

    fn run_one(&mut self) {
        let sign = self.peek().unwrap_or_default();
        self.take(sign);
    }

    /// Flags without parentheses, as curl sends them (`STORE 3 +Flags \Deleted`); the grammar has them too.
    fn bare_flags(&mut self) -> Result<FlagList, Bad> {
        let mut flags = vec![self.flag()?];
        while self.peek() == Some(b' ') && !matches!(self.rest().get(1), Some(b'\r' | b'\n') | None) {
            self.take(b' ');
            flags.push(self.flag()?);
            if flags.len() > mail::limits::IMAP_ITEMS {
                return Err(Bad("There are too many flags"));
            }
        }
        Ok(flags.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::{Command, command};
    use super::super::mutf7::Names;
    use super::*;
    use mail::Flags;

    fn read(text: &str) -> Result<Command, Bad> {
        command(format!("a {text}\r\n").as_bytes(), Names::Modified).unwrap().command
    }

    #[test]
    fn stores() {
        let store = |text: &str| match read(text).unwrap() {
            Command::Store(store) => store,
            other => panic!("{other:?}"),
        };
        let curl = store("STORE 3 +Flags \\Deleted");
        assert_eq!((curl.operation, curl.flags.system, curl.silent), (Operation::Add, Flags::DELETED, false));
        let many = store("uid store 1:2 -flags.silent (\\Seen $x)");
        assert_eq!(
            (many.operation, many.flags.keywords.len(), many.silent, many.uid),
            (Operation::Remove, 1, true, true)
        );
        assert_eq!(store("STORE 1 (UNCHANGEDSINCE 12) FLAGS ()").unchanged_since, Some(12));
        for bad in [
            "STORE 1 FLAGS",
            "STORE 1 ~FLAGS (x)",
            "STORE 1 FLAGS (\\Recent)",
            "STORE 1 FLAGS (\\Nix)",
            "STORE x FLAGS (x)",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
