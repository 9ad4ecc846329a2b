//! UIDBATCHES (RFC 10022): a mailbox cut into batches of the same number of messages.

use std::ops::RangeInclusive;

use super::command::Command;
use super::cursor::{Bad, Cursor};
use super::write;

/// UIDBATCHES.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UidBatches {
    /// Messages of a batch.
    pub size: u32,
    /// Which batches, counted from 1 at the newest messages; `None`: all.
    pub wanted: Option<RangeInclusive<u32>>,
}

impl Cursor<'_> {
    /// The command of this file; `None`: it is another. Its name was read, what follows was not.
    pub(super) fn batches_command(&mut self, name: &str) -> Result<Option<Command>, Bad> {
        if name != "UIDBATCHES" {
            return Ok(None);
        }
        // RFC 10022 §3.1: the batch size, and the range of batches where not all are wanted:
        // `"UIDBATCHES" SP nz-number [SP nz-number ":" nz-number]`
        self.sp()?;
        let size = self.nz_number()?;
        let wanted = if self.peek() == Some(b' ') && !self.rest().trim_ascii_start().is_empty() {
            self.sp()?;
            let from = self.nz_number()?;
            self.expect(b':', "The range is broken")?;
            let to = self.nz_number()?;
            Some(from.min(to)..=from.max(to))
        } else {
            None
        };
        Ok(Some(Command::UidBatches(UidBatches { size, wanted })))
    }
}

/// One range of `* UIDBATCHES`, the highest UID first (RFC 10022 §3.1.2), behind those before it.
pub fn range(out: &mut Vec<u8>, is_first: bool, high: u32, low: u32) {
    out.push(if is_first { b' ' } else { b',' });
    write::number(out, u64::from(high));
    out.push(b':');
    write::number(out, u64::from(low));
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
    fn batches() {
        let batches = |size, wanted| Ok(Command::UidBatches(UidBatches { size, wanted }));
        assert_eq!(read("UIDBATCHES 2000"), batches(2000, None));
        assert_eq!(read("uidbatches 2000 "), batches(2000, None));
        assert_eq!(read("UIDBATCHES 2000 10:20"), batches(2000, Some(10..=20)));
        assert_eq!(read("UIDBATCHES 500 2:1"), batches(500, Some(1..=2)));
        for bad in ["", " 0", " x", " 2000 10", " 2000 0:1", " 2000 1:*", " 2000 1:2 3", " 2000 1:2,3:4"] {
            assert!(read(&format!("UIDBATCHES{bad}")).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn written_batches_read_back(size in 1u32.., from in 1u32.., to in 1u32..) {
            let wanted = Some(from.min(to)..=from.max(to));
            let command = Ok(Command::UidBatches(UidBatches { size, wanted }));
            prop_assert_eq!(read(&format!("UIDBATCHES {size} {from}:{to}")), command);
        }
    }
}
