//! The session: its states, and which command is for which state (RFC 3501 §3).

use std::sync::Arc;

use mail::limits;
use store::Store;
use wire::imap::command::{self, Command, Tagged};
use wire::imap::frame::{Framed, Limits, Literal, Refusal};
use wire::imap::reply::{Code, Reply, Status, condition};

use crate::cache::Structures;
use crate::host::{End, Host, Identity, Patience};
use crate::io::Io;
use crate::view::View;
use crate::{append, authenticate, capability, change, fetch, idle, list, mailbox, search};

/// What all sessions share.
pub struct Service {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) structures: Structures,
    hostname: String,
}

impl Service {
    /// On a store; `hostname` stands in the greeting.
    pub fn new(store: Arc<dyn Store>, hostname: impl Into<String>) -> Self {
        Self { store, structures: Structures::default(), hostname: hostname.into() }
    }
}

/// One session.
pub struct Session {
    service: Arc<Service>,
}

/// What the client has enabled or used, for good (RFC 5161, RFC 7162 §3.1).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Enabled {
    pub(crate) condstore: bool,
}

/// Somebody who has logged in.
pub(crate) struct User {
    pub(crate) identity: Identity,
    pub(crate) enabled: Enabled,
}

/// RFC 3501 §3. A command consumes the state and returns the next.
pub(crate) enum State {
    /// So many log-ins have failed.
    NotAuthenticated(usize),
    Authenticated(User),
    Selected(User, View),
    Logout,
}

impl State {
    const fn patience(&self) -> Patience {
        match self {
            Self::NotAuthenticated(_) | Self::Logout => Patience::Unauthenticated,
            Self::Authenticated(_) | Self::Selected(..) => Patience::Authenticated,
        }
    }

    const fn limits(&self) -> Limits {
        match self {
            Self::NotAuthenticated(_) | Self::Logout => Limits::UNAUTHENTICATED,
            Self::Authenticated(_) | Self::Selected(..) => Limits::AUTHENTICATED,
        }
    }

    const fn is_logged_in(&self) -> bool {
        matches!(self, Self::Authenticated(_) | Self::Selected(..))
    }
}

/// A state and the reply that brings the client there.
pub(crate) type Turn = (State, Reply);

impl Session {
    /// A session that has not begun.
    pub const fn new(service: Arc<Service>) -> Self {
        Self { service }
    }

    /// Leads the session from its greeting to its end. The host closes the connection afterwards.
    pub async fn run(self, host: &mut dyn Host) -> End {
        let mut io = Io::new(host);
        match self.talk(&mut io).await {
            Ok(()) => End::Closed,
            Err(end) => end,
        }
    }

    async fn talk(&self, io: &mut Io<'_>) -> Result<(), End> {
        let capabilities = capability::list(io.host, false);
        let greeting = format!("{} Postrider ready", self.service.hostname);
        condition(&mut io.out, "*", "OK", Some(&format!("CAPABILITY {capabilities}")), &greeting);
        let mut state = State::NotAuthenticated(0);
        let mut errors = 0;
        loop {
            let framed = io.next(&state.limits(), state.patience()).await?;
            let bad;
            (state, bad) = self.framed(io, state, framed).await?;
            if matches!(state, State::Logout) {
                return io.flush().await;
            }
            io.relieve().await?;
            errors = if bad { errors + 1 } else { 0 };
            if errors >= limits::IMAP_ERRORS {
                condition(&mut io.out, "*", "BYE", None, "Too many commands that are none");
                return io.flush().await;
            }
        }
    }

    /// One thing that the client sent; whether it was BAD.
    async fn framed(&self, io: &mut Io<'_>, state: State, framed: Framed) -> Result<(State, bool), End> {
        match framed {
            Framed::Command(count) => {
                io.settle().await;
                let tagged = command::command(&io.input()[..count]);
                io.consume(count);
                match tagged {
                    None => {
                        // RFC 3501 §7.1.3: an untagged BAD where there is no tag to answer to.
                        condition(&mut io.out, "*", "BAD", None, "A tag is missing");
                        Ok((state, true))
                    }
                    Some(tagged) => self.tagged(io, state, tagged).await,
                }
            }
            Framed::Message(count, literal) => self.message(io, state, count, literal).await,
            Framed::Refused(count, refusal) => {
                io.settle().await;
                io.consume(count);
                Ok(refused(io, state, &refusal))
            }
            Framed::Piece(count) | Framed::End(count) | Framed::Drop(count) => {
                io.consume(count);
                Ok((state, false))
            }
            Framed::More | Framed::Continue => Ok((state, false)),
        }
    }

    /// An APPEND whose message follows.
    async fn message(
        &self,
        io: &mut Io<'_>,
        state: State,
        count: usize,
        literal: Literal,
    ) -> Result<(State, bool), End> {
        let tagged = command::command(&io.input()[..count]);
        let fallback = wire::imap::frame::tag(io.input()).unwrap_or_else(|| "*".into());
        io.consume(count);
        let (tag, read) = match tagged {
            Some(Tagged { tag, command }) => (tag, command),
            None => (fallback, Err(wire::imap::Bad("A tag is missing"))),
        };
        let (account, selected) = match &state {
            State::Authenticated(user) | State::Selected(user, _) => {
                (user.identity.account, if let State::Selected(_, view) = &state { Some(view.mailbox) } else { None })
            }
            // The limits of these states hand out no messages.
            State::NotAuthenticated(_) | State::Logout => return Ok((state, true)),
        };
        let reply = match read {
            Ok(Command::Append(append)) => {
                append::append(&self.service, io, &tag, (account, selected), append, literal).await?
            }
            Ok(_) => append::discard(io, literal, Reply::bad("A message was not expected here")).await?,
            Err(bad) => append::discard(io, literal, Reply::bad(bad.0)).await?,
        };
        let is_bad = reply.status == Status::Bad;
        if !reply.text.is_empty() {
            io.settle().await;
        }
        Ok((self.finish(io, &tag, (state, reply), Told::All).await?, is_bad))
    }

    async fn tagged(&self, io: &mut Io<'_>, state: State, tagged: Tagged) -> Result<(State, bool), End> {
        let Tagged { tag, command } = tagged;
        let command = match command {
            Ok(command) => command,
            Err(bad) => {
                Reply::bad(bad.0).write(&mut io.out, &tag);
                return Ok((state, true));
            }
        };
        let told = told_after(&command);
        io.tag.clone_from(&tag);
        let turn = self.command(io, &tag, state, command).await?;
        let bad = turn.1.status == Status::Bad;
        Ok((self.finish(io, &tag, turn, told).await?, bad))
    }

    /// What changed meanwhile, then the tagged reply.
    async fn finish(&self, io: &mut Io<'_>, tag: &str, (state, reply): Turn, told: Told) -> Result<State, End> {
        let state = match state {
            State::Selected(user, mut view) => {
                let there = match told {
                    Told::Nothing => true,
                    told => view.tell(&self.service, io, user.enabled, told == Told::All).await?,
                };
                if !there {
                    reply.write(&mut io.out, tag);
                    condition(&mut io.out, "*", "BYE", None, "The selected mailbox was deleted");
                    return Ok(State::Logout);
                }
                State::Selected(user, view)
            }
            state => state,
        };
        // LOGOUT and STARTTLS have said all themselves, and an APPEND may be answered later.
        if !reply.text.is_empty() {
            reply.write(&mut io.out, tag);
        }
        Ok(state)
    }

    async fn command(&self, io: &mut Io<'_>, tag: &str, state: State, command: Command) -> Result<Turn, End> {
        match (command, state) {
            (Command::Capability, state) => {
                let capabilities = capability::list(io.host, state.is_logged_in());
                io.out.extend_from_slice(format!("* CAPABILITY {capabilities}\r\n").as_bytes());
                Ok((state, Reply::ok("That is what there is")))
            }
            (Command::Noop, state) => Ok((state, Reply::ok("Done"))),
            (Command::Logout, _) => {
                // RFC 3501 §6.1.3: BYE, then the tagged OK.
                condition(&mut io.out, "*", "BYE", None, "Until next time");
                Reply::ok("Logged out").write(&mut io.out, tag);
                Ok((State::Logout, Reply::ok("")))
            }
            (Command::Id(fields), state) => {
                tracing::debug!(?fields, "the client says what it is");
                io.out.extend_from_slice(b"* ID (\"name\" \"Postrider\")\r\n");
                Ok((state, Reply::ok("Pleased to meet you")))
            }
            (command @ (Command::StartTls | Command::Authenticate { .. } | Command::Login { .. }), state) => {
                match state {
                    State::NotAuthenticated(failures) => authenticate::command(io, tag, failures, command).await,
                    state => Ok((state, Reply::bad("You have logged in already").with_code("CLIENTBUG"))),
                }
            }
            (command, State::NotAuthenticated(failures)) => {
                let _ = command;
                Ok((State::NotAuthenticated(failures), Reply::bad("Log in first").with_code("CLIENTBUG")))
            }
            (command, state) => self.authenticated(io, tag, state, command).await,
        }
    }

    async fn authenticated(&self, io: &mut Io<'_>, tag: &str, state: State, command: Command) -> Result<Turn, End> {
        let service = self.service.as_ref();
        let (user, view) = match state {
            State::Authenticated(user) => (user, None),
            State::Selected(user, view) => (user, Some(view)),
            state => return Ok((state, Reply::bad("Log in first"))),
        };
        match command {
            Command::Select(select) => return mailbox::select(service, io, user, view, select).await,
            Command::Idle => return idle::idle(service, io, user, view).await,
            Command::Enable(names) => return Ok(enable(io, user, view, &names)),
            _ => {}
        }
        let account = user.identity.account;
        let reply = match command {
            Command::Create(create) => mailbox::create(service, account, create).await,
            Command::Delete(name) => mailbox::delete(service, account, &name).await,
            Command::Rename(from, to) => mailbox::rename(service, io, account, &from, &to).await,
            Command::Subscribe(name, on) => mailbox::subscribe(service, account, &name, on).await,
            Command::List(command) => list::list(service, io, account, &command).await?,
            Command::Lsub(command) => list::lsub(service, io, account, &command).await?,
            Command::Namespace => {
                // RFC 2342 §5: one personal namespace, without a prefix.
                io.out.extend_from_slice(b"* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
                Reply::ok("That is all")
            }
            Command::Status(name, items) => {
                let (user, reply) = mailbox::status(service, io, user, &name, &items).await;
                return Ok((with(user, view), reply));
            }
            command => return self.selected(io, tag, user, view, command).await,
        };
        Ok((with(user, view), reply))
    }

    async fn selected(
        &self,
        io: &mut Io<'_>,
        _tag: &str,
        mut user: User,
        view: Option<View>,
        command: Command,
    ) -> Result<Turn, End> {
        let service = self.service.as_ref();
        let Some(mut view) = view else {
            return Ok((State::Authenticated(user), Reply::bad("Select a mailbox first").with_code("CLIENTBUG")));
        };
        let reply = match command {
            Command::Check => Reply::ok("All is safe"),
            Command::Close => {
                // RFC 3501 §6.4.2: removes silently, unless read-only.
                let reply = change::close(service, &view).await;
                return Ok((State::Authenticated(user), reply));
            }
            Command::Unselect => return Ok((State::Authenticated(user), Reply::ok("Unselected"))),
            Command::Expunge(set) => change::expunge(service, &mut view, set.as_ref()).await,
            Command::Fetch(command) => {
                if let Some(bad) = out_of_range(&view, command.uid, &command.set) {
                    bad
                } else {
                    user.enabled.condstore |= fetch::enables_condstore(&command);
                    fetch::fetch(service, io, &mut view, user.enabled, &command).await?
                }
            }
            Command::Search(command) => {
                user.enabled.condstore |= search::enables_condstore(&command.key);
                search::search(service, io, &view, &command).await?
            }
            Command::Store(command) => match out_of_range(&view, command.uid, &command.set) {
                Some(bad) => bad,
                None => {
                    user.enabled.condstore |= command.unchanged_since.is_some();
                    change::store(service, io, &mut view, user.enabled, &command).await?
                }
            },
            Command::Copy(command) => match out_of_range(&view, command.uid, &command.set) {
                Some(bad) => bad,
                None => change::copy(service, io, &view, user.identity.account, &command).await,
            },
            Command::Move(command) => match out_of_range(&view, command.uid, &command.set) {
                Some(bad) => bad,
                None => change::move_messages(service, io, &mut view, &user, &command).await?,
            },
            _ => Reply::bad("That is not for this state"),
        };
        Ok((State::Selected(user, view), reply))
    }
}

/// How much of what changed is told before a command's reply.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Nothing: the command has just shown the mailbox.
    Nothing,
    /// All but removals.
    NoExpunge,
    /// All.
    All,
}

/// RFC 3501 §7.4.1: no EXPUNGE "while responding to a FETCH, STORE, or SEARCH command. … UID FETCH, UID STORE, and UID
/// SEARCH are different commands".
const fn told_after(command: &Command) -> Told {
    match command {
        Command::Fetch(wire::imap::fetch::Fetch { uid: false, .. })
        | Command::Store(wire::imap::change::Store { uid: false, .. })
        | Command::Search(wire::imap::search::Search { uid: false, .. }) => Told::NoExpunge,
        Command::Select(_) => Told::Nothing,
        _ => Told::All,
    }
}

fn with(user: User, view: Option<View>) -> State {
    match view {
        Some(view) => State::Selected(user, view),
        None => State::Authenticated(user),
    }
}

/// RFC 5161 §3.1: what is not known is passed over, and the answer is OK in any case (neomutt enables UTF8=ACCEPT where it
/// is not offered).
fn enable(io: &mut Io<'_>, mut user: User, view: Option<View>, names: &[String]) -> Turn {
    io.out.extend_from_slice(b"* ENABLED");
    if names.iter().any(|name| name == "CONDSTORE") {
        user.enabled.condstore = true;
        io.out.extend_from_slice(b" CONDSTORE");
    }
    io.out.extend_from_slice(b"\r\n");
    (with(user, view), Reply::ok("Enabled what there is"))
}

/// A message number beyond the last is an error of the client (RFC 3501 §9: "only … valid … message sequence numbers");
/// UIDs that are not there are not.
fn out_of_range(view: &View, uid: bool, set: &wire::imap::SequenceSet) -> Option<Reply> {
    let beyond = !uid
        && set.0.iter().any(|(a, b)| {
            let len = view.told.len() as u64;
            let over = |n: &Option<u32>| n.is_some_and(|n| u64::from(n) > len);
            // `1:*` of an empty mailbox is nothing, and clients ask for it.
            if len == 0 && (a.is_none() || b.is_none()) { false } else { over(a) || over(b) }
        });
    beyond.then(|| Reply::bad("There are not so many messages"))
}

fn refused(io: &mut Io<'_>, state: State, refusal: &Refusal) -> (State, bool) {
    let tag = refusal.tag.as_deref().unwrap_or("*");
    Reply { status: Status::Bad, code: Some(Code::TooBig.word().into()), text: refusal.why.into() }
        .write(&mut io.out, tag);
    if refusal.fatal {
        condition(&mut io.out, "*", "BYE", None, "What follows can't be told from commands");
        return (State::Logout, true);
    }
    (state, true)
}
