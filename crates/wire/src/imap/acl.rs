//! Commands about who may do what in a mailbox (RFC 4314 §3).

use mail::{Rights, limits};

use super::command::Command;
use super::cursor::{Bad, Cursor};

/// Octets of an identifier: an address, and `-` before it.
const LONGEST: usize = 1 + limits::LOCAL_PART_LEN + 1 + limits::DOMAIN_LEN;

/// SETACL's `mod-rights`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RightsChange {
    /// These and no others.
    Set(Rights),
    /// `+`: these too.
    Add(Rights),
    /// `-`: these no more.
    Remove(Rights),
}

/// Commands of this extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acl {
    /// SETACL
    Set(String, String, RightsChange),
    /// DELETEACL
    Delete(String, String),
    /// GETACL
    Get(String),
    /// LISTRIGHTS
    ListRights(String, String),
    /// MYRIGHTS
    MyRights(String),
}

impl Cursor<'_> {
    /// Commands of this file; `None`: it is none of them. Their names were read, what follows was not.
    pub(super) fn acl_command(&mut self, name: &str) -> Result<Option<Command>, Bad> {
        if !["SETACL", "DELETEACL", "GETACL", "LISTRIGHTS", "MYRIGHTS"].contains(&name) {
            return Ok(None);
        }
        self.sp()?;
        let mailbox = self.mailbox()?;
        Ok(Some(Command::Acl(match name {
            // RFC 4314 §4: `"SETACL" SP mailbox SP identifier SP mod-rights`
            "SETACL" => {
                let identifier = self.identifier()?;
                self.sp()?;
                Acl::Set(mailbox, identifier, self.rights_change()?)
            }
            "DELETEACL" => Acl::Delete(mailbox, self.identifier()?),
            "LISTRIGHTS" => Acl::ListRights(mailbox, self.identifier()?),
            "GETACL" => Acl::Get(mailbox),
            _ => Acl::MyRights(mailbox),
        })))
    }

    /// `SP identifier`, an astring
    fn identifier(&mut self) -> Result<String, Bad> {
        self.sp()?;
        let identifier = self.astring()?;
        if identifier.is_empty() || identifier.len() > LONGEST {
            return Err(Bad("The identifier is no address"));
        }
        match std::str::from_utf8(&identifier) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(Bad("The identifier is no address")),
        }
    }

    /// `mod-rights = astring`, with `+` or `-` before the rights
    fn rights_change(&mut self) -> Result<RightsChange, Bad> {
        let text = self.astring()?;
        // RFC 4314 §3.1: "If … any of the rights … is unrecognized, the server MUST return a BAD response."
        let rights = |letters| Rights::from_letters(letters).ok_or(Bad("There is no such right"));
        Ok(match text.first() {
            Some(b'+') => RightsChange::Add(rights(&text[1..])?),
            Some(b'-') => RightsChange::Remove(rights(&text[1..])?),
            _ => RightsChange::Set(rights(&text)?),
        })
    }
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

    #[test]
    fn commands() {
        let inbox = || "INBOX".to_owned();
        let bob = || "bob@x.example".to_owned();
        let rights = |letters: &[u8]| Rights::from_letters(letters).unwrap();
        for (text, acl) in [
            ("setacl inbox bob@x.example lr", Acl::Set(inbox(), bob(), RightsChange::Set(rights(b"lr")))),
            ("SETACL inbox \"bob@x.example\" +d", Acl::Set(inbox(), bob(), RightsChange::Add(rights(b"xte")))),
            ("SETACL inbox bob@x.example -c", Acl::Set(inbox(), bob(), RightsChange::Remove(rights(b"k")))),
            ("SETACL inbox bob@x.example \"\"", Acl::Set(inbox(), bob(), RightsChange::Set(Rights::NONE))),
            ("DELETEACL INBOX -bob@x.example", Acl::Delete(inbox(), format!("-{}", bob()))),
            ("GETACL INBOX", Acl::Get(inbox())),
            ("LISTRIGHTS INBOX anyone", Acl::ListRights(inbox(), "anyone".into())),
            ("MYRIGHTS INBOX", Acl::MyRights(inbox())),
        ] {
            assert_eq!(read(text), Ok(Command::Acl(acl)), "{text}");
        }
        for bad in [
            "SETACL",
            "SETACL INBOX",
            "SETACL INBOX bob",
            "SETACL INBOX bob l r",
            "SETACL INBOX bob z",
            "SETACL INBOX bob +-l",
            "SETACL INBOX \"\" l",
            "GETACL INBOX x",
            "MYRIGHTS",
            "LISTRIGHTS INBOX",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn rights_read_back(bits in any::<u16>()) {
            let rights = Rights::from_bits(bits);
            let command = read(&format!("SETACL x y \"{rights}\""));
            // What `d` and `c` stand for may be more than what was there, never less.
            match command {
                Ok(Command::Acl(Acl::Set(_, _, RightsChange::Set(read)))) => prop_assert!(read.contains(rights)),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
