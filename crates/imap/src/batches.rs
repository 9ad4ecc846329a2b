//! UIDBATCHES (RFC 10022): ranges of UIDs with the same number of messages each, so that a client can ask for a large
//! mailbox piece by piece. There is no MESSAGELIMIT here that a batch would have to keep to.

use mail::limits;
use wire::imap::batches::{UidBatches, range};
use wire::imap::reply::{Code, Reply};

use crate::host::End;
use crate::io::Io;
use crate::view::View;

/// UIDBATCHES.
pub(crate) async fn batches(io: &mut Io<'_>, view: &View, command: &UidBatches) -> Result<Reply, End> {
    if command.size < limits::IMAP_UID_BATCH {
        // RFC 10022 §3.1.3: sizes from 500 on must be taken; smaller ones are many ranges for few messages.
        let words = format!("Minimum batch size is {}", limits::IMAP_UID_BATCH);
        return Ok(Reply::no(Code::TooFew, words));
    }
    let (size, len) = (command.size as usize, view.told.len());
    let count = len.div_ceil(size);
    let wanted = match &command.wanted {
        Some(wanted) => (*wanted.start() as usize - 1).min(count)..(*wanted.end() as usize).min(count),
        None => 0..count,
    };
    // RFC 10022 §3.1.2: it is said also where there is no batch.
    io.out.extend_from_slice(format!("* UIDBATCHES (TAG \"{}\")", io.tag).as_bytes());
    let uid = |index: usize| view.told.get(index).map_or(1, |row| row.uid.get());
    for batch in wanted.clone() {
        // RFC 10022 §3.1: the first batch has the highest UIDs. Each begins below the one before it, and §3.1.4: the last
        // ends with 1, so that together they hold every UID up to the highest.
        let end = len - batch * size;
        let high = if batch == 0 { uid(end - 1) } else { uid(end) - 1 };
        let low = if end > size { uid(end - size) } else { 1 };
        range(&mut io.out, batch == wanted.start, high, low);
        io.relieve().await?;
    }
    io.out.extend_from_slice(b"\r\n");
    Ok(Reply::ok("Cut"))
}
