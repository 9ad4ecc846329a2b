//! What SORT and THREAD need to know of messages (`reading::facts`), collected for the client that waits for it.

use mail::limits;
use reading::body::Message;
use reading::facts::{known, read};
use store::MessageRow;
use wire::imap::reply::Reply;

pub(crate) use reading::facts::Facts;

use crate::host::End;
use crate::io::Io;
use crate::progress::Progress;
use crate::refusal::refusal;
use crate::session::Service;
use crate::view::View;

/// The rows and the facts of messages at these places of the view, in the same order; those that are gone are left out. The
/// inner error is the reply.
pub(crate) async fn collect(
    service: &Service,
    io: &mut Io<'_>,
    view: &View,
    places: &[usize],
) -> Result<Result<Vec<(usize, MessageRow, Facts)>, Reply>, End> {
    let places: Vec<usize> = places.iter().copied().filter(|place| *place < view.told.len()).collect();
    let listed = rows_at(view, &places);
    let mut facts = match known(service.store.as_ref(), &service.facts, view.mailbox, &listed).await {
        Ok(facts) => facts,
        Err(error) => return Ok(Err(refusal(&error))),
    };
    let unknown: Vec<usize> = (0..facts.len()).filter(|at| facts[*at].is_none()).collect();
    let mut progress = Progress::new(io, unknown.len());
    for batch in unknown.chunks(limits::IMAP_FETCH_BATCH) {
        let uids: Vec<_> = batch.iter().map(|at| listed[*at].uid).collect();
        let bodies = match service.store.bodies(view.mailbox, &uids).await {
            Ok(bodies) => bodies,
            Err(error) => return Ok(Err(refusal(&error))),
        };
        for at in batch {
            let row = &listed[*at];
            let Ok(found) = bodies.binary_search_by_key(&row.uid, |(uid, _)| *uid) else { continue };
            let mut message = Message::new(&service.structures, bodies[found].1.clone());
            match read(&service.facts, row, &mut message).await {
                Ok(read) => facts[*at] = Some(read),
                Err(error) => return Ok(Err(refusal(&error))),
            }
        }
        progress.made(io, batch.len()).await?;
        // Others have their turn too.
        tokio::task::yield_now().await;
    }
    let all = places.into_iter().zip(listed).zip(facts);
    Ok(Ok(all.filter_map(|((place, row), facts)| Some((place, row, facts?))).collect()))
}

/// The rows at these places, ascending; those that follow each other are had in one go.
fn rows_at(view: &View, places: &[usize]) -> Vec<MessageRow> {
    let mut rows = Vec::with_capacity(places.len());
    for run in places.chunk_by(|one, next| one + 1 == *next) {
        rows.extend(run.first().into_iter().flat_map(|first| view.told.range(*first..*first + run.len())));
    }
    rows
}
