//! The session: its states, and which command is for which state (RFC 3501 §3).

use std::sync::{Arc, PoisonError, RwLock};

use mail::limits;
use message::structure::Structure;
use store::Store;
use wire::imap::command::{self, Command, Tagged};
use wire::imap::frame::{Framed, Limits, Literal, Refusal};
use wire::imap::reply::{Code, Reply, Status, condition};

use crate::access::OTHERS;
use crate::facts::Facts;
use crate::host::{End, Host, Identity, Patience};
use crate::io::Io;
use crate::notify::{self, News, TooMuch, Wish};
use crate::refusal::refusal;
use crate::view::{Told, View};
use crate::{
    acl, append, authenticate, batches, capability, change, context, enable, fetch, idle, language, list, mailbox,
    metadata, multisearch, quota, replace, search, sort, thread, urlauth,
};
use reading::cache::Cache;

/// What all sessions share.
pub struct Service {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) structures: Cache<Structure>,
    pub(crate) facts: Cache<Facts>,
    hostname: RwLock<Arc<str>>,
}

impl Service {
    /// On a store; `hostname` stands in the greeting.
    pub fn new(store: Arc<dyn Store>, hostname: &str) -> Self {
        let (structures, facts) = (Cache::new(limits::IMAP_STRUCTURES), Cache::new(limits::IMAP_FACTS));
        Self { store, structures, facts, hostname: RwLock::new(hostname.into()) }
    }

    /// The server has another name from now on.
    pub fn rename(&self, hostname: &str) {
        *self.hostname.write().unwrap_or_else(PoisonError::into_inner) = hostname.into();
    }

    /// The name in the greeting.
    pub(crate) fn hostname(&self) -> Arc<str> {
        self.hostname.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One session.
pub struct Session {
    service: Arc<Service>,
}

/// Somebody who has logged in.
pub(crate) struct User {
    pub(crate) identity: Identity,
    /// What is told without asking, once something was asked for.
    pub(crate) news: Option<News>,
}

impl User {
    /// What of the selected mailbox is told.
    pub(crate) fn wish(&self) -> Wish {
        self.news.as_ref().map_or_else(Wish::usual, |news| news.wish.clone())
    }
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

    /// Whether the client is told of something between commands.
    fn is_told_at_once(&self) -> bool {
        match self {
            Self::Authenticated(user) | Self::Selected(user, _) => user.news.as_ref().is_some_and(News::at_once),
            Self::NotAuthenticated(_) | Self::Logout => false,
        }
    }

    /// Returns when there is something to tell.
    async fn changed(&mut self) {
        let (user, view) = match self {
            Self::Authenticated(user) => (user, None),
            Self::Selected(user, view) => (user, Some(view)),
            Self::NotAuthenticated(_) | Self::Logout => return std::future::pending().await,
        };
        let wish = user.wish();
        let view = view.filter(|_| wish.at_once && (wish.messages || wish.flags));
        tokio::select! {
            () = idle::changed(view) => {}
            () = idle::noted(user.news.as_ref()) => {}
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
        let greeting = format!("{} Postrider ready", self.service.hostname());
        condition(&mut io.out, "*", "OK", Some(&format!("CAPABILITY {capabilities}")), &greeting);
        let mut state = State::NotAuthenticated(0);
        let mut errors = 0;
        loop {
            let framed = match self.next(io, &mut state).await? {
                Some(framed) => framed,
                None => return io.flush().await,
            };
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

    /// The next thing in the input. Who asked for it (NOTIFY) is told meanwhile what happens; `None`: the session ends by it.
    async fn next(&self, io: &mut Io<'_>, state: &mut State) -> Result<Option<Framed>, End> {
        let (limits, patience) = (state.limits(), state.patience());
        // What was begun is waited for as ever.
        while state.is_told_at_once() && io.input().is_empty() {
            if let Err(why) = self.tell_at_once(io, state).await? {
                condition(&mut io.out, "*", "BYE", None, why);
                return Ok(None);
            }
            io.more_unless(patience, state.changed()).await?;
        }
        io.next(&limits, patience).await.map(Some)
    }

    /// What has changed, between commands. The inner error ends the session.
    async fn tell_at_once(&self, io: &mut Io<'_>, state: &mut State) -> Result<Result<(), &'static str>, End> {
        if let Err(TooMuch) = self.tell_news(io, state).await? {
            return Ok(Err(notify::TOO_MUCH));
        }
        if let State::Selected(user, view) = state {
            let wish = user.wish();
            if wish.at_once
                && let Told::Gone(why) = view.tell(&self.service, io, &wish, wish.removals).await?
            {
                return Ok(Err(why));
            }
        }
        Ok(Ok(()))
    }

    /// What happened elsewhere than in the selected mailbox.
    async fn tell_news(&self, io: &mut Io<'_>, state: &mut State) -> Result<Result<(), TooMuch>, End> {
        let (user, selected) = match state {
            State::Authenticated(user) => (user, None),
            State::Selected(user, view) => (user, Some(view.mailbox)),
            State::NotAuthenticated(_) | State::Logout => return Ok(Ok(())),
        };
        match &mut user.news {
            Some(news) => news.tell(&self.service, io, selected).await,
            None => Ok(Ok(())),
        }
    }

    /// One thing that the client sent; whether it was BAD.
    async fn framed(&self, io: &mut Io<'_>, state: State, framed: Framed) -> Result<(State, bool), End> {
        match framed {
            Framed::Command(count) => {
                io.settle().await;
                let line = &io.input()[..count];
                let (tagged, is_empty) = (command::command(line, io.enabled.names()), line.trim_ascii().is_empty());
                io.consume(count);
                match tagged {
                    // Quirk: Mail on the iPhone ends some commands twice.
                    None if is_empty && state.is_logged_in() => Ok((state, false)),
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
        let tagged = command::command(&io.input()[..count], io.enabled.names());
        let fallback = wire::imap::frame::tag(io.input()).unwrap_or_else(|| "*".into());
        io.consume(count);
        let (tag, read) = match tagged {
            Some(Tagged { tag, command }) => (tag, command),
            None => (fallback, Err(wire::imap::Bad("A tag is missing"))),
        };
        let (account, view) = match &state {
            State::Authenticated(user) => (user.identity.account, None),
            State::Selected(user, view) => (user.identity.account, Some(view)),
            // The limits of these states hand out no messages.
            State::NotAuthenticated(_) | State::Logout => return Ok((state, true)),
        };
        let reply = match read {
            Ok(Command::Append(append)) => {
                let selected = view.map(|view| view.mailbox);
                append::append(&self.service, io, &tag, (account, selected), append, Some(literal)).await?
            }
            Ok(Command::Replace(command)) => {
                replace::replace(&self.service, io, account, view, command, Some(literal)).await?
            }
            Ok(_) => append::discard(io, literal, Reply::bad("A message was not expected here")).await?,
            Err(bad) => append::discard(io, literal, Reply::bad(bad.0)).await?,
        };
        let is_bad = reply.status == Status::Bad;
        if !reply.text.is_empty() {
            io.settle().await;
        }
        Ok((self.finish(io, &tag, (state, reply), Telling::All).await?, is_bad))
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
        let telling = told_after(&command);
        io.tag.clone_from(&tag);
        let turn = self.command(io, &tag, state, command).await?;
        let bad = turn.1.status == Status::Bad;
        Ok((self.finish(io, &tag, turn, telling).await?, bad))
    }

    /// What changed meanwhile, then the tagged reply.
    async fn finish(
        &self,
        io: &mut Io<'_>,
        tag: &str,
        (state, mut reply): Turn,
        telling: Telling,
    ) -> Result<State, End> {
        let mut state = state;
        if let Err(TooMuch) = self.tell_news(io, &mut state).await? {
            reply.write(&mut io.out, tag);
            condition(&mut io.out, "*", "BYE", None, notify::TOO_MUCH);
            return Ok(State::Logout);
        }
        let state = match state {
            State::Selected(user, mut view) => {
                let told = match telling {
                    Telling::Nothing => Told::All { removed: false },
                    telling => {
                        let mut wish = user.wish();
                        // What the client did itself is told, whatever else it wants.
                        wish.messages |= telling == Telling::Own;
                        if telling == Telling::Noop && reply.status == Status::Ok {
                            (wish.messages, wish.flags) = (true, true);
                        }
                        let told = view.tell(&self.service, io, &wish, telling != Telling::NoExpunge).await?;
                        io.own.clear();
                        told
                    }
                };
                if let Told::Gone(why) = told {
                    reply.write(&mut io.out, tag);
                    condition(&mut io.out, "*", "BYE", None, why);
                    return Ok(State::Logout);
                }
                if let Some(code) = view.resync_code(told, io.enabled) {
                    if reply.code.is_none() && reply.status == Status::Ok && !reply.text.is_empty() {
                        reply.code = Some(code);
                    } else {
                        // The reply has another code, or stands already.
                        condition(&mut io.out, "*", "OK", Some(&code), "Up to here all is told");
                    }
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
            (Command::Language(ranges), state) => Ok((state, language::language(io, &ranges))),
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
        let (mut user, view) = match state {
            State::Authenticated(user) => (user, None),
            State::Selected(user, view) => (user, Some(view)),
            state => return Ok((state, Reply::bad("Log in first"))),
        };
        if let Some(refused) = enable::refuse_numbers(io.enabled, &command) {
            return Ok((with(user, view), refused));
        }
        enable::note_use(&mut io.enabled, &command);
        match command {
            Command::Select(select) => return mailbox::select(service, io, user, view, select).await,
            Command::Idle => return idle::idle(service, io, user, view).await,
            _ => {}
        }
        let account = user.identity.account;
        let reply = match command {
            Command::Create(create) => mailbox::create(service, io, &mut user, create).await,
            Command::Delete(name) => mailbox::delete(service, &mut user, &name).await,
            Command::Rename(from, to) => mailbox::rename(service, io, &mut user, &from, &to).await,
            Command::Subscribe(name, on) => mailbox::subscribe(service, &mut user, &name, on).await,
            // Made of URLs alone: no literal was announced.
            Command::Append(append) => {
                let selected = view.as_ref().map(|view| view.mailbox);
                let ids = (account, selected);
                let reply = append::append(&self.service, io, tag, ids, append, None).await?;
                return Ok((with(user, view), reply));
            }
            Command::Replace(command) => {
                let reply = replace::replace(service, io, account, view.as_ref(), command, None).await?;
                return Ok((with(user, view), reply));
            }
            Command::MultiSearch(command) => {
                let mut view = view;
                let reply = multisearch::multisearch(service, io, account, view.as_mut(), &command).await?;
                return Ok((with(user, view), reply));
            }
            Command::Compress(algorithm) => {
                let reply = compress(io, tag, &algorithm).await?;
                return Ok((with(user, view), reply));
            }
            Command::GetJmapAccess => jmap_access(io),
            Command::GetQuota(root) => quota::get(service, io, account, &root).await,
            Command::GetQuotaRoot(name) => quota::get_root(service, io, account, &name).await,
            // RFC 9208 §4.1.3: QUOTASET is not offered.
            Command::SetQuota => Reply::no(Code::NoPerm, "Quotas are set by the operator"),
            Command::Enable(names) => {
                let reply = enable::enable(io, &names);
                if io.enabled.metadata {
                    notify::hear_of_metadata(service, &mut user).await;
                }
                reply
            }
            Command::Notify(command) => {
                let selected = view.as_ref().map(|view| view.mailbox);
                notify::notify(service, io, &mut user, selected, command).await?
            }
            Command::GetMetadata(command) => metadata::get(service, io, account, &command).await?,
            Command::SetMetadata(command) => metadata::set(service, &mut user, command).await,
            Command::GenUrlAuth(rumps) => urlauth::generate(service, io, account, &rumps).await,
            Command::UrlFetch(urls) => urlauth::fetch(service, io, account, &urls).await?,
            Command::ResetKey(mailbox, mechanisms) => {
                urlauth::reset_key(service, io, account, mailbox.as_deref(), &mechanisms).await
            }
            Command::List(command) => list::list(service, io, account, &command).await?,
            Command::Lsub(command) => list::lsub(service, io, account, &command).await?,
            Command::Namespace => {
                // RFC 2342 §5: one personal namespace, without a prefix, and one for what others share.
                let others = format!("* NAMESPACE ((\"\" \"/\")) ((\"{OTHERS}/\" \"/\")) NIL\r\n");
                io.out.extend_from_slice(others.as_bytes());
                Reply::ok("That is all")
            }
            Command::Acl(command) => acl::command(service, io, account, command).await,
            Command::Status(name, items) => mailbox::status(service, io, account, &name, &items).await,
            command => return self.selected(io, tag, user, view, command).await,
        };
        Ok((with(user, view), reply))
    }

    async fn selected(
        &self,
        io: &mut Io<'_>,
        _tag: &str,
        user: User,
        view: Option<View>,
        command: Command,
    ) -> Result<Turn, End> {
        let service = self.service.as_ref();
        let Some(mut view) = view else {
            return Ok((State::Authenticated(user), Reply::bad("Select a mailbox first").with_code("CLIENTBUG")));
        };
        if let Err(error) = view.access.look(service, view.mailbox).await {
            return Ok((State::Selected(user, view), refusal(&error)));
        }
        if let Some(refused) = enable::refuse_out_of_range(view.told.len(), &command) {
            return Ok((State::Selected(user, view), refused));
        }
        let reply = match command {
            Command::Check => Reply::ok("All is safe"),
            Command::Close => {
                // RFC 3501 §6.4.2: removes silently, unless read-only.
                let reply = change::close(service, &view).await;
                return Ok((State::Authenticated(user), reply));
            }
            Command::Unselect => return Ok((State::Authenticated(user), Reply::ok("Unselected"))),
            Command::Expunge(set) => change::expunge(service, &mut view, set.as_ref()).await,
            Command::Fetch(command) => fetch::fetch(service, io, &mut view, command).await?,
            Command::Search(command) => search::search(service, io, &mut view, &command).await?,
            Command::Sort(command) => sort::sort(service, io, &mut view, &command).await?,
            Command::Thread(command) => thread::thread(service, io, &view, &command).await?,
            Command::CancelUpdate(tags) => context::cancel(&mut view, &tags),
            Command::UidBatches(command) => batches::batches(io, &view, &command).await?,
            Command::Store(command) => change::store(service, io, &mut view, &command).await?,
            Command::Copy(command) => change::copy(service, io, &view, user.identity.account, &command).await,
            Command::Move(command) => change::move_messages(service, io, &mut view, &user, &command).await?,
            _ => Reply::bad("That is not for this state"),
        };
        Ok((State::Selected(user, view), reply))
    }
}

/// How much of what changed is told before a command's reply.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Telling {
    /// Nothing: the command has just shown the mailbox.
    Nothing,
    /// All but removals.
    NoExpunge,
    /// All.
    All,
    /// All, and whoever wants to hear of nothing hears of this: the client removed messages.
    Own,
    /// All, whoever wants to hear of what from then on.
    Noop,
}

/// RFC 3501 §7.4.1: no EXPUNGE "while responding to a FETCH, STORE, or SEARCH command. … UID FETCH, UID STORE, and UID
/// SEARCH are different commands".
const fn told_after(command: &Command) -> Telling {
    match command {
        Command::Fetch(wire::imap::fetch::Fetch { uid: false, .. })
        | Command::Store(wire::imap::change::Store { uid: false, .. })
        | Command::Search(wire::imap::search::Search { uid: false, .. })
        | Command::Sort(wire::imap::sort::Sort { uid: false, .. })
        | Command::Thread(wire::imap::sort::Thread { uid: false, .. }) => Telling::NoExpunge,
        Command::Select(_) => Telling::Nothing,
        Command::Expunge(_) | Command::Move(_) | Command::Replace(_) => Telling::Own,
        // RFC 5465 §3.1: "a successful NOTIFY SET command implies an implicit NOOP command".
        Command::Notify(wire::imap::notify::Notify::Set { .. }) => Telling::Noop,
        _ => Telling::All,
    }
}

/// GETJMAPACCESS (RFC 9698 §3).
fn jmap_access(io: &mut Io<'_>) -> Reply {
    let Some(url) = io.host.jmap_session() else {
        return Reply::no(Code::NoPerm, "There is no JMAP for this log-in");
    };
    io.out.extend_from_slice(b"* JMAPACCESS ");
    wire::imap::write::string(&mut io.out, url.as_bytes());
    io.out.extend_from_slice(b"\r\n");
    Reply::ok("JMAP is there")
}

/// RFC 4978 §3.
async fn compress(io: &mut Io<'_>, tag: &str, algorithm: &str) -> Result<Reply, End> {
    if algorithm != "DEFLATE" {
        return Ok(Reply::no(Code::Cannot, "There is no such compression"));
    }
    if !io.host.can_compress() {
        return Ok(Reply::no(Code::CompressionActive, "The connection is compressed already"));
    }
    // The OK is the last thing that is not compressed.
    Reply::ok("Compressed from here on").write(&mut io.out, tag);
    io.compress().await?;
    Ok(Reply::ok(""))
}

fn with(user: User, view: Option<View>) -> State {
    match view {
        Some(view) => State::Selected(user, view),
        None => State::Authenticated(user),
    }
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
