//! IDLE (RFC 2177): the client waits, and is told at once.

use mail::limits;
use wire::imap::reply::{Reply, condition, continuation};

use crate::host::{End, Input, Patience};
use crate::io::Io;
use crate::notify::{self, News, TooMuch};
use crate::session::{Service, State, Turn, User};
use crate::view::{Told, View};

/// IDLE, up to DONE.
pub(crate) async fn idle(
    service: &Service,
    io: &mut Io<'_>,
    mut user: User,
    mut view: Option<View>,
) -> Result<Turn, End> {
    continuation(&mut io.out, "Waiting");
    loop {
        if let Some(view) = &mut view {
            // RFC 2177 §3: EXPUNGE is allowed, since the command is in progress.
            if let Told::Gone(why) = view.tell(service, io, &user.wish(), true).await? {
                condition(&mut io.out, "*", "BYE", None, why);
                return Ok((State::Logout, Reply::ok("")));
            }
        }
        if let Some(news) = &mut user.news
            && let Err(TooMuch) = news.tell(service, io, view.as_ref().map(|view| view.mailbox)).await?
        {
            condition(&mut io.out, "*", "BYE", None, notify::TOO_MUCH);
            return Ok((State::Logout, Reply::ok("")));
        }
        if let Some(done) = line(io) {
            let state = match view {
                Some(view) => State::Selected(user, view),
                None => State::Authenticated(user),
            };
            let reply = if done { Reply::ok("Enough waited") } else { Reply::bad("DONE was expected") };
            return Ok((state, reply));
        }
        io.flush().await?;
        io.compact();
        let input = tokio::select! {
            input = io.read(Patience::Idle) => Some(input?),
            () = changed(view.as_mut()) => None,
            () = noted(user.news.as_ref()) => None,
        };
        match input {
            None | Some(Input::Bytes) => {}
            // A sign of life keeps the way through address translators open.
            Some(Input::Quiet) => condition(&mut io.out, "*", "OK", None, "Still here"),
            Some(ended) => return Err(io.farewell(ended).await),
        }
    }
}

pub(crate) async fn changed(view: Option<&mut View>) {
    match view {
        Some(view) => view.watch.changed().await,
        None => std::future::pending().await,
    }
}

pub(crate) async fn noted(news: Option<&News>) {
    match news {
        Some(news) => news.changed().await,
        None => std::future::pending().await,
    }
}

/// Whether a line came, and if so, whether it was DONE.
fn line(io: &mut Io<'_>) -> Option<bool> {
    let input = io.input();
    let end = input.iter().position(|b| *b == b'\n');
    match end {
        Some(end) => {
            let done = input[..end].trim_ascii().eq_ignore_ascii_case(b"DONE");
            io.consume(end + 1);
            Some(done)
        }
        None if input.len() > limits::IMAP_TAG_LEN => {
            let all = input.len();
            io.consume(all);
            Some(false)
        }
        None => None,
    }
}
