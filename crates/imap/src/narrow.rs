//! SEARCH out of digests: which messages need be read at all. What a digest can't tell, and messages that have none, are left.

use mail::{Uid, limits};
use message::header::Header;
use store::{DigestPart, MessageRow, StoreResult};

use crate::search::Test;
use crate::session::Service;
use crate::view::View;
use reading::ahead::Ahead;
use reading::marks::{has_field, marks_of};

/// Marks of a string that are looked for; more would rule out hardly more.
const MARKS: usize = 32;

/// What is left of messages that the index could not decide: those that match, and those that are to be read.
pub(crate) struct Narrowed {
    pub(crate) found: Vec<(u32, MessageRow)>,
    pub(crate) undecided: Vec<(u32, MessageRow)>,
}

/// Looks into the digests of `undecided`, messages in order of number.
pub(crate) async fn narrow(
    service: &Service,
    view: &View,
    test: &mut Test,
    undecided: Vec<(u32, MessageRow)>,
) -> StoreResult<Narrowed> {
    let mut narrowed = Narrowed { found: Vec::new(), undecided };
    if narrowed.undecided.is_empty() {
        return Ok(narrowed);
    }
    rule_out(service, view, test, &narrowed.undecided).await?;
    let mut reads_header = false;
    test.each(&mut |test| reads_header |= test.field().is_some_and(|name| has_field(name.as_bytes())));
    let undecided = std::mem::take(&mut narrowed.undecided);
    let test = &*test;
    let mut ahead = Ahead::new(undecided.chunks(limits::IMAP_DIGESTS_AT_ONCE), |batch: &&[(u32, MessageRow)]| {
        // Those that the marks decide need no header.
        let is_open = |(n, row): &&(u32, MessageRow)| test.by_index(view, *n, row, None).is_none();
        let open = batch.iter().filter(is_open).map(|(_, row)| row.uid).filter(|_| reads_header);
        let open: Vec<Uid> = open.collect();
        async move {
            if open.is_empty() {
                return Ok(Vec::new());
            }
            service.store.digests(view.mailbox, DigestPart::Header, &open).await
        }
    });
    while let Some((batch, headers)) = ahead.next().await {
        let headers = headers?;
        let mut headers = headers.into_iter().filter(|(_, octets)| !octets.is_empty()).peekable();
        for (n, row) in batch {
            while headers.next_if(|(uid, _)| *uid < row.uid).is_some() {}
            let octets = headers.next_if(|(uid, _)| *uid == row.uid);
            let header = octets.as_ref().map(|(_, octets)| Header::alone(octets));
            match test.by_index(view, *n, row, header.as_ref()) {
                Some(true) => narrowed.found.push((*n, *row)),
                Some(false) => {}
                None => narrowed.undecided.push((*n, *row)),
            }
        }
        // Others have their turn too.
        tokio::task::yield_now().await;
    }
    Ok(narrowed)
}

/// Asks for each string which of the messages may have it.
async fn rule_out(service: &Service, view: &View, test: &mut Test, rows: &[(u32, MessageRow)]) -> StoreResult<()> {
    let mut sought = Vec::new();
    test.each(&mut |test| {
        if let Some(string) = test.sought() {
            let mut marks: Vec<u16> = marks_of(&string.text).collect();
            marks.sort_unstable();
            marks.dedup();
            marks.truncate(MARKS);
            sought.push(marks);
        }
    });
    let mut likely = Vec::new();
    for marks in &sought {
        let uids = || rows.iter().map(|(_, row)| row.uid).collect();
        likely.push(match marks.as_slice() {
            [] => None,
            marks => Some(service.store.marked(view.mailbox, uids(), marks).await?),
        });
    }
    let mut likely = likely.into_iter();
    test.each(&mut |test| {
        if let Some(string) = test.sought() {
            string.likely = likely.next().flatten();
        }
    });
    Ok(())
}
