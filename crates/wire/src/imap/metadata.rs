//! GETMETADATA and SETMETADATA (RFC 5464), and the entries of LIST's METADATA (RFC 9590).

use mail::limits;

use super::command::Command;
use super::cursor::{Bad, Cursor};

/// GETMETADATA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetMetadata {
    /// Of which mailbox; `None`: of the server.
    pub mailbox: Option<String>,
    /// MAXSIZE: longer values are not told.
    pub max_size: Option<u32>,
    /// DEPTH: how far below each entry.
    pub depth: Depth,
    /// Names as they were asked for.
    pub entries: Vec<String>,
}

/// `scope-opt`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// The entry alone.
    #[default]
    Zero,
    /// And those right below it.
    One,
    /// And all below it.
    Infinity,
}

/// SETMETADATA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetMetadata {
    /// Of which mailbox; `None`: of the server.
    pub mailbox: Option<String>,
    /// Names and values; `None`: NIL, the entry goes.
    pub entries: Vec<(String, Option<Vec<u8>>)>,
}

#[derive(Default)]
struct Options {
    max_size: Option<u32>,
    depth: Depth,
}

impl Cursor<'_> {
    /// Commands of this file; `None`: it is none of them. Their names were read, what follows was not.
    pub(super) fn metadata_command(&mut self, name: &str) -> Result<Option<Command>, Bad> {
        Ok(Some(match name {
            "GETMETADATA" => {
                self.sp()?;
                Command::GetMetadata(self.get_metadata()?)
            }
            // RFC 5464 §5: `setmetadata = "SETMETADATA" SP mailbox SP entry-values`,
            // `entry-values = "(" entry-value *(SP entry-value) ")"`, `entry-value = entry SP value`
            "SETMETADATA" => {
                self.sp()?;
                let mailbox = self.annotated()?;
                self.sp()?;
                let entries = self.list(|cursor| {
                    let entry = cursor.whole_entry()?;
                    cursor.sp()?;
                    Ok((entry, cursor.value()?))
                })?;
                Command::SetMetadata(SetMetadata { mailbox, entries: some(entries)? })
            }
            _ => return Ok(None),
        }))
    }

    /// `getmetadata = "GETMETADATA" [SP getmetadata-options] SP mailbox SP entries`
    fn get_metadata(&mut self) -> Result<GetMetadata, Bad> {
        let mut options = None;
        if self.peek() == Some(b'(') {
            options = Some(self.metadata_options()?);
            self.sp()?;
        }
        let mailbox = self.annotated()?;
        self.sp()?;
        // RFC 5464 §4.2.1, §4.2.2: the examples have the options here, the grammar before the mailbox; clients follow either.
        if options.is_none() && matches!(self.rest(), [b'(', b'a'..=b'z' | b'A'..=b'Z', ..]) {
            options = Some(self.metadata_options()?);
            self.sp()?;
        }
        let Options { max_size, depth } = options.unwrap_or_default();
        let entries = self.entries(|cursor| match depth {
            Depth::Zero => cursor.whole_entry(),
            // What stands above entries need not be able to be one.
            Depth::One | Depth::Infinity => cursor.entry(),
        })?;
        Ok(GetMetadata { mailbox, max_size, depth, entries })
    }

    /// `getmetadata-options = "(" getmetadata-option *(SP getmetadata-option) ")"`,
    /// `maxsize-opt = "MAXSIZE" SP number`, `scope-opt = "DEPTH" SP ("0" / "1" / "infinity")`
    fn metadata_options(&mut self) -> Result<Options, Bad> {
        let mut options = Options::default();
        let given = self.list(|cursor| {
            let option = cursor.atom()?.to_ascii_uppercase();
            if !["MAXSIZE", "DEPTH"].contains(&option.as_str()) {
                return Err(Bad("There is no such GETMETADATA option"));
            }
            cursor.sp()?;
            if option == "MAXSIZE" {
                options.max_size = Some(cursor.number()?);
                return Ok(());
            }
            options.depth = match cursor.atom()?.to_ascii_lowercase().as_str() {
                "0" => Depth::Zero,
                "1" => Depth::One,
                "infinity" => Depth::Infinity,
                _ => return Err(Bad("The depth is 0, 1 or infinity")),
            };
            Ok(())
        })?;
        some(given).map(|_| options)
    }

    /// `entries = entry / "(" entry *(SP entry) ")"`: in LIST's `"METADATA" SP entries` (RFC 9590 §5) too
    pub(super) fn metadata_entries(&mut self) -> Result<Vec<String>, Bad> {
        self.entries(Self::whole_entry)
    }

    fn entries(&mut self, mut entry: impl FnMut(&mut Self) -> Result<String, Bad>) -> Result<Vec<String>, Bad> {
        if self.peek() == Some(b'(') { some(self.list(entry)?) } else { Ok(vec![entry(self)?]) }
    }

    /// `mailbox`; the empty string is the server (RFC 5464 §4.1).
    fn annotated(&mut self) -> Result<Option<String>, Bad> {
        Ok(Some(self.mailbox()?).filter(|name| !name.is_empty()))
    }

    /// `entry = astring`, with the rules of RFC 5464 §3.2
    fn entry(&mut self) -> Result<String, Bad> {
        let name = self.astring()?;
        if name.len() > limits::ANNOTATION_NAME_LEN {
            return Err(Bad("The entry's name is too long"));
        }
        // RFC 5464 §3.2: "MUST NOT contain asterisk or percent, non-ASCII characters or characters with octet values in the
        // range 0x00 to 0x19"; DEL is of their kind.
        if name.iter().any(|b| !(b' '..0x7f).contains(b) || matches!(b, b'*' | b'%')) {
            return Err(Bad("The entry's name has characters that it must not have"));
        }
        let name = String::from_utf8_lossy(&name).into_owned();
        let mut components = name.split('/');
        let begins = components.next() == Some("");
        let scoped = name
            .split('/')
            .nth(1)
            .is_some_and(|scope| ["private", "shared"].iter().any(|known| scope.eq_ignore_ascii_case(known)));
        if !begins || !scoped {
            return Err(Bad("An entry's name begins with /private or /shared"));
        }
        // RFC 5464 §3.2: no two slashes in a row, none at the end.
        if components.any(str::is_empty) {
            return Err(Bad("No component of an entry's name is empty"));
        }
        Ok(name)
    }

    /// The same for a name that can have a value.
    fn whole_entry(&mut self) -> Result<String, Bad> {
        let name = self.entry()?;
        let count = name.matches('/').count();
        let is_vendor = name.split('/').nth(2).is_some_and(|second| second.eq_ignore_ascii_case("vendor"));
        // RFC 5464 §3.2: "any number of components starting at 2, unless they fall under the vendor namespaces, in which case
        // they have at least 4".
        if count < if is_vendor { 4 } else { 2 } {
            return Err(Bad("The entry's name has too few components"));
        }
        Ok(name)
    }

    /// `value = nstring / literal8`
    fn value(&mut self) -> Result<Option<Vec<u8>>, Bad> {
        if self.peek() == Some(b'~') {
            return self.literal8().map(|value| Some(value.to_vec()));
        }
        Ok(self.nstring()?.map(std::borrow::Cow::into_owned))
    }
}

/// `1*`: the lists of this extension have something in them.
fn some<T>(list: Vec<T>) -> Result<Vec<T>, Bad> {
    if list.is_empty() { Err(Bad("The list is empty")) } else { Ok(list) }
}

#[cfg(test)]
mod tests {
    use super::super::command::command;
    use super::super::mutf7::Names;
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Command, Bad> {
        command(format!("a {text}\r\n").as_bytes(), Names::Modified).unwrap().command
    }

    fn get(text: &str) -> GetMetadata {
        match read(text).unwrap() {
            Command::GetMetadata(get) => get,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_clients_ask() {
        let one = get("GETMETADATA \"\" /shared/comment");
        assert_eq!((one.mailbox, one.entries.as_slice()), (None, &["/shared/comment".to_owned()][..]));
        let before = get("GETMETADATA (MAXSIZE 1024 DEPTH infinity) inbox (/private \"/shared/a b\")");
        assert_eq!((before.mailbox.as_deref(), before.max_size), (Some("INBOX"), Some(1024)));
        assert_eq!((before.depth, before.entries.len()), (Depth::Infinity, 2));
        assert_eq!(get("getmetadata INBOX (depth INFINITY maxsize 1024) (/private {11}\r\n/shared/a b)"), before);
        assert_eq!(get("GETMETADATA x (DEPTH 1) /private/vendor/kolab").depth, Depth::One);
        let set = read("SETMETADATA INBOX (/private/a \"x\" /private/b NIL /private/vendor/v/c ~{2}\r\n\0x)").unwrap();
        let value = |entry: &str, value: Option<&[u8]>| (entry.to_owned(), value.map(<[u8]>::to_vec));
        let entries = vec![
            value("/private/a", Some(b"x")),
            value("/private/b", None),
            value("/private/vendor/v/c", Some(b"\0x")),
        ];
        assert_eq!(set, Command::SetMetadata(SetMetadata { mailbox: Some("INBOX".into()), entries }));
    }

    #[test]
    fn what_is_no_entry() {
        for name in
            ["/a/b", "private/a", "/privates/a", "/private//a", "/private/a/", "/private/a*", "/private/%", "/", "\"\""]
        {
            assert!(read(&format!("GETMETADATA (DEPTH 1) INBOX {name}")).is_err(), "{name}");
            assert!(read(&format!("SETMETADATA INBOX ({name} NIL)")).is_err(), "{name}");
        }
        for name in ["\"/private/\u{e4}\"", "\"/private/\u{1}\"", "\"/private/\u{7f}\""] {
            assert!(read(&format!("SETMETADATA INBOX ({name} NIL)")).is_err(), "{name}");
        }
        for name in ["/private", "/shared/vendor/kolab"] {
            assert!(read(&format!("GETMETADATA INBOX {name}")).is_err(), "{name}");
            assert!(read(&format!("SETMETADATA INBOX ({name} NIL)")).is_err(), "{name}");
            assert!(read(&format!("GETMETADATA (DEPTH 1) INBOX {name}")).is_ok(), "{name}");
        }
        // `ANNOTATION_NAME_LEN`
        let name = format!("/private/{}", "x".repeat(limits::ANNOTATION_NAME_LEN - 9));
        assert!(read(&format!("GETMETADATA INBOX {name}")).is_ok());
        assert_eq!(read(&format!("GETMETADATA INBOX {name}x")), Err(Bad("The entry's name is too long")));
    }

    #[test]
    fn what_is_no_command() {
        for bad in [
            "GETMETADATA",
            "GETMETADATA INBOX",
            "GETMETADATA INBOX ()",
            "GETMETADATA () INBOX /private/a",
            "GETMETADATA (DEPTH 2) INBOX /private/a",
            "GETMETADATA (MAXSIZE) INBOX /private/a",
            "GETMETADATA (MAXSIZE x) INBOX /private/a",
            "GETMETADATA (XYZZY 1) INBOX /private/a",
            "GETMETADATA (DEPTH 1) INBOX (DEPTH 1) /private/a",
            "SETMETADATA INBOX",
            "SETMETADATA INBOX ()",
            "SETMETADATA INBOX (/private/a)",
            "SETMETADATA INBOX (/private/a x)",
            "SETMETADATA INBOX (/private/a {2}\r\n\0x)",
            "SETMETADATA INBOX /private/a NIL",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn values_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut wire = b"a SETMETADATA x (/private/a ".to_vec();
            super::super::write::string8(&mut wire, &bytes);
            wire.extend_from_slice(b")\r\n");
            match command(&wire, Names::Modified).unwrap().command {
                Ok(Command::SetMetadata(set)) => prop_assert_eq!(set.entries[0].1.as_ref(), Some(&bytes)),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
