//! THREAD and UID THREAD (RFC 5256 §3): conversations as nested lists.

mod forest;
mod references;

use wire::imap::reply::Reply;
use wire::imap::sort::{Algorithm, Thread};
use wire::imap::write;

use crate::facts::collect;
use crate::host::End;
use crate::io::Io;
use crate::search::find;
use crate::session::Service;
use crate::view::View;
use forest::{Forest, Step};
use references::Letter;

/// THREAD and UID THREAD.
pub(crate) async fn thread(service: &Service, io: &mut Io<'_>, view: &View, command: &Thread) -> Result<Reply, End> {
    let found = match find(service, io, view, Some(&command.charset), &command.key).await? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    let places: Vec<usize> = found.iter().map(|hit| hit.n as usize - 1).collect();
    let facts = match collect(service, io, view, &places).await? {
        Ok(facts) => facts,
        Err(reply) => return Ok(reply),
    };
    let letters: Vec<Letter<'_>> = facts
        .iter()
        .map(|(place, row, facts)| Letter {
            number: if command.uid { row.uid.get() } else { u32::try_from(*place + 1).unwrap_or(u32::MAX) },
            id: facts.id(),
            references: facts.references().collect(),
            date: facts.date(row),
            subject: facts.subject(),
            is_reply: facts.is_reply(),
        })
        .collect();
    let forest = match command.algorithm {
        Algorithm::OrderedSubject => references::ordered_subject(&letters),
        Algorithm::References => references::references(&letters),
    };
    io.out.extend_from_slice(b"* THREAD");
    if !forest.is_empty() {
        io.out.push(b' ');
    }
    write_forest(io, &forest, &letters).await?;
    io.out.extend_from_slice(b"\r\n");
    Ok(Reply::ok("Threaded"))
}

/// `thread-list = "(" (thread-members / thread-nested) ")"`,
/// `thread-members = nz-number *(SP nz-number) [SP thread-nested]`, `thread-nested = 2*thread-list`
async fn write_forest(io: &mut Io<'_>, forest: &Forest, letters: &[Letter<'_>]) -> Result<(), End> {
    for step in forest.walk() {
        match step {
            Step::Open => io.out.push(b'('),
            Step::Close => io.out.push(b')'),
            Step::Space => io.out.push(b' '),
            Step::Message(at) => write::number(&mut io.out, u64::from(letters[at].number)),
        }
        io.relieve().await?;
    }
    Ok(())
}
