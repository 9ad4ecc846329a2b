//! Commands about the account and the session: QUOTA (RFC 9208), LANGUAGE (RFC 5255), COMPRESS (RFC 4978).

use super::command::Command;
use super::cursor::{Bad, Cursor};

impl Cursor<'_> {
    /// Commands of this file; `None`: it is none of them. Their names were read, what follows was not.
    pub(super) fn account_command(&mut self, name: &str) -> Result<Option<Command>, Bad> {
        Ok(Some(match name {
            // RFC 5255 §3.5: `language-cmd = "LANGUAGE" *(SP lang-range-quoted)`
            "LANGUAGE" => Command::Language(self.languages()?),
            // RFC 4978 §3: `compress = "COMPRESS" SP algorithm`
            "COMPRESS" => {
                self.sp()?;
                Command::Compress(self.atom()?.to_ascii_uppercase())
            }
            // RFC 9208 §7: `getquota = "GETQUOTA" SP quota-root-name`, an astring
            "GETQUOTA" => {
                self.sp()?;
                Command::GetQuota(self.astring()?.into_owned())
            }
            // `getquotaroot = "GETQUOTAROOT" SP mailbox`
            "GETQUOTAROOT" => {
                self.sp()?;
                Command::GetQuotaRoot(self.mailbox()?)
            }
            // `setquota = "SETQUOTA" SP quota-root-name SP setquota-list`
            "SETQUOTA" => {
                self.sp()?;
                self.astring()?;
                self.sp()?;
                self.list(|cursor| {
                    cursor.atom()?;
                    cursor.sp()?;
                    cursor.number64()
                })?;
                Command::SetQuota
            }
            _ => return Ok(None),
        }))
    }

    fn languages(&mut self) -> Result<Vec<String>, Bad> {
        let mut ranges = Vec::new();
        while self.peek() == Some(b' ') && !matches!(self.rest().get(1), Some(b'\r' | b'\n') | None) {
            self.take(b' ');
            // `lang-range-quoted = astring`; a lone `*` stands bare too.
            let range = if self.take(b'*') { "*".into() } else { self.astring()?.into_owned() };
            ranges.push(String::from_utf8_lossy(&range).into_owned());
            if ranges.len() > mail::limits::IMAP_ITEMS {
                return Err(Bad("There are too many languages"));
            }
        }
        Ok(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::command;
    use super::super::mutf7::Names;
    use super::*;

    #[test]
    fn commands_about_the_account() {
        let read = |text: &str| command(format!("a {text}\r\n").as_bytes(), Names::Modified).unwrap().command;
        assert_eq!(read("getquotaroot inbox"), Ok(Command::GetQuotaRoot("INBOX".into())));
        assert_eq!(read("GETQUOTA \"\""), Ok(Command::GetQuota(Vec::new())));
        assert_eq!(read("SETQUOTA \"\" (STORAGE 10)"), Ok(Command::SetQuota));
        assert_eq!(read("COMPRESS deflate"), Ok(Command::Compress("DEFLATE".into())));
        assert_eq!(read("LANGUAGE"), Ok(Command::Language(Vec::new())));
        assert_eq!(read("LANGUAGE DE \"*\" *"), Ok(Command::Language(vec!["DE".into(), "*".into(), "*".into()])));
        for bad in ["GETQUOTA", "GETQUOTAROOT", "SETQUOTA x", "COMPRESS", "COMPRESS DEFLATE x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
