//! The pump of ManageSieve (RFC 5804): moves bytes between a connection and the engine in `wire::managesieve`, and puts the
//! engine's questions to the log-in pool and to the store.
//!
//! Does: wait (for input, for the time-out, for the sign to stop), write, start TLS, compile what is put. Does not: know the grammar.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ::sieve::{CAPABILITIES, NOTIFY_METHODS, Script};
use mail::{AccountId, limits};
use store::{Scopes, ScramKeys, ScriptChange, StoreError};
use wire::managesieve::{Answer, Engine, LoginFailure, Question, Refusal, Step, Work};
use wire::sasl::scram::Keys;

use crate::auth::{LoginError, hash};
use crate::conn::{Connection, TlsInfo};
use crate::listen::Service;
use crate::settings::{PlaintextAuth, Settings};
use crate::shared::Shared;

/// Serves one ManageSieve connection to its end.
pub async fn serve(mut connection: Connection, service: Service, shared: Arc<Shared>) {
    let peer = connection.peer();
    let settings = shared.settings();
    let mut session =
        Session { settings, shared, service: service.name(), ip: peer.ip(), proving: None, account: None };
    match session.run(&mut connection).await {
        Ok(()) => connection.shutdown().await,
        Err(error) => tracing::debug!(service = service.name(), %peer, %error, "connection lost"),
    }
}

struct Session {
    settings: Arc<Settings>,
    shared: Arc<Shared>,
    service: &'static str,
    ip: std::net::IpAddr,
    /// Whose SCRAM keys are in use, with the address.
    proving: Option<(AccountId, String)>,
    /// Who is logged in.
    account: Option<AccountId>,
}

impl Session {
    async fn run(&mut self, connection: &mut Connection) -> io::Result<()> {
        let acceptor = self.shared.acceptor();
        let offer = wire::managesieve::Settings {
            starttls: acceptor.is_some(),
            plaintext: connection.is_loopback() && self.settings.plaintext_auth == PlaintextAuth::Loopback,
            scram: self.settings.offer_scram,
            extensions: CAPABILITIES.join(" "),
            notify: NOTIFY_METHODS.join(" "),
        };
        let mut engine = Engine::new(offer, connection.tls().map(TlsInfo::binding));
        loop {
            match engine.step() {
                Step::Send(bytes) => connection.write_all(&bytes).await?,
                Step::Ask(question) => self.answer(question, &mut engine).await,
                Step::StartTls => {
                    // Never asked for without one; should it be, the connection ends.
                    let acceptor = acceptor.as_ref().ok_or(io::ErrorKind::Unsupported)?;
                    connection.start_tls(acceptor).await?;
                    engine.tls_started(connection.tls().map(TlsInfo::binding).unwrap_or_default());
                }
                Step::Close => return Ok(()),
                Step::Read => {
                    let taken = engine.input(connection.buffer());
                    connection.consume(taken);
                    if taken == 0 && !self.wait(connection, &mut engine).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Waits for input; `false` at its end.
    async fn wait(&self, connection: &mut Connection, engine: &mut Engine) -> io::Result<bool> {
        tokio::select! {
            read = connection.fill() => return Ok(read? > 0),
            () = tokio::time::sleep(self.patience(engine)) => engine.abandon(),
            () = self.shared.shutdown.wait() => engine.shut_down(),
        }
        Ok(true)
    }

    /// RFC 5804 §1.2: who is logged in has half an hour at least; others have as long as in POP3.
    fn patience(&self, engine: &Engine) -> Duration {
        let limits = &self.settings.limits;
        if engine.is_logged_in() { limits.imap_timeout } else { limits.pop3_timeout }
    }

    async fn answer(&mut self, question: Question, engine: &mut Engine) {
        match question {
            Question::LogIn { user, password } => {
                let most = self.settings.limits.login_failures;
                // Filters belong to the mailboxes: who may read those by IMAP may have them.
                let auth = &self.shared.auth;
                match auth.password(self.ip, &user, password.reveal().as_bytes(), Scopes::IMAP, most).await {
                    Ok(account) => {
                        self.note(&user, "ok");
                        self.account = Some(account.id);
                        engine.answer(Answer::LoggedIn(account.address.to_string()));
                    }
                    Err(error) => {
                        let why = self.refusal(&error);
                        self.note(&user, if why == LoginFailure::TooMany { "limited" } else { "refused" });
                        engine.answer(Answer::Refused(why));
                    }
                }
            }
            Question::Keys { user } => self.keys(&user, engine).await,
            Question::Proof { user, right } => {
                // Without an account the keys were made up, and nothing proves them.
                let proven = self.proving.take().filter(|_| right);
                let most = self.settings.limits.login_failures;
                self.shared.auth.scram_ended(self.ip, &user, proven.is_some(), most);
                self.note(&user, if proven.is_some() { "ok" } else { "refused" });
                match proven {
                    Some((account, address)) => {
                        self.account = Some(account);
                        engine.answer(Answer::LoggedIn(address));
                    }
                    None => engine.answer(Answer::Refused(LoginFailure::Credentials)),
                }
            }
            Question::Work(work) => {
                let answer = match self.account {
                    Some(account) => self.work(account, work).await,
                    None => Err(no(Some("TRYLATER"), "Nobody is logged in")),
                };
                engine.answer(answer.unwrap_or_else(Answer::No));
            }
            Question::LogOut => {
                self.account = None;
                engine.answer(Answer::Done);
            }
        }
    }

    fn refusal(&self, error: &LoginError) -> LoginFailure {
        match error {
            LoginError::Refused => LoginFailure::Credentials,
            LoginError::Wait => LoginFailure::TooMany,
            LoginError::Store(error) => {
                tracing::error!(service = self.service, %error, "log-in not checked");
                LoginFailure::Temporary
            }
        }
    }

    fn note(&self, user: &str, outcome: &'static str) {
        self.shared.note_login(self.service, self.ip, user, outcome);
    }

    async fn keys(&mut self, user: &str, engine: &mut Engine) {
        match self.shared.auth.scram(self.ip, user, self.settings.limits.login_failures).await {
            Ok(offer) => {
                self.proving = offer.account.map(|account| (account.id, account.address.to_string()));
                let ScramKeys { salt, iterations, stored_key, server_key } = offer.keys;
                let keys = Keys { salt, iterations, stored_key, server_key };
                engine.answer(Answer::Keys { keys, nonce: &hash::secret() });
            }
            Err(error) => {
                let why = self.refusal(&error);
                engine.answer(Answer::Refused(why));
            }
        }
    }

    async fn work(&self, account: AccountId, work: Work) -> Result<Answer<'static>, Refusal> {
        let store = &self.shared.store;
        // A log-in that is over is over here too.
        let known = store.account(account).await.map_err(|error| self.failed(&error))?;
        if known.is_none_or(|account| account.state != store::AccountState::Active) {
            return Err(no(Some("TRYLATER"), "The account may not be used any more"));
        }
        let change = match work {
            Work::List => {
                let list = store.scripts(account).await.map_err(|error| self.failed(&error))?;
                return Ok(Answer::List(list.scripts.into_iter().map(|one| (one.name, one.active)).collect()));
            }
            Work::Get(name) => {
                let found = store.script(account, &name).await.map_err(|error| self.failed(&error))?;
                return found.map(Answer::Text).ok_or_else(|| no(Some("NONEXISTENT"), "There is no such script"));
            }
            Work::Check(text) => return compiled(text).await.map(|_| Answer::Done),
            Work::HaveSpace(name, size) => {
                let list = store.scripts(account).await.map_err(|error| self.failed(&error))?.scripts;
                if size > limits::SIEVE_SCRIPT_LEN as u64 {
                    return Err(too_large());
                }
                let is_new = list.iter().all(|script| script.name != name);
                return if is_new && list.len() >= limits::SIEVE_SCRIPTS { Err(too_many()) } else { Ok(Answer::Done) };
            }
            Work::Put(name, text) => ScriptChange::Put(name, compiled(text).await?),
            Work::Activate(None) => ScriptChange::Deactivate,
            Work::Activate(Some(name)) => ScriptChange::Activate(name),
            Work::Delete(name) => ScriptChange::Remove(name),
            Work::Rename(from, to) => ScriptChange::Rename(from, to),
        };
        let changed = store.change_scripts(account, vec![change]).await;
        changed.map(|_| Answer::Done).map_err(|error| self.failed(&error))
    }

    /// RFC 5804 §1.3: why it was not done.
    fn failed(&self, error: &StoreError) -> Refusal {
        match error {
            StoreError::NotFound(_) => no(Some("NONEXISTENT"), "There is no such script"),
            StoreError::Exists(_) => no(Some("ALREADYEXISTS"), "Another script has that name"),
            StoreError::ScriptActive => no(Some("ACTIVE"), "It is the active script: deactivate it first"),
            StoreError::Limit("SIEVE_SCRIPTS") => too_many(),
            StoreError::Limit("SIEVE_SCRIPT_LEN") => too_large(),
            StoreError::Limit("SIEVE_SCRIPT_NAME_LEN") => {
                no(None, "A script's name has 1 to 512 octets, and no control characters")
            }
            error => {
                tracing::error!(service = self.service, %error, "scripts can't be read or changed");
                no(Some("TRYLATER"), "That can't be done now, try again later")
            }
        }
    }
}

fn no(code: Option<&'static str>, words: &str) -> Refusal {
    Refusal { code, words: words.to_owned() }
}

fn too_many() -> Refusal {
    no(Some("QUOTA/MAXSCRIPTS"), &format!("There are {} scripts, as many as may be", limits::SIEVE_SCRIPTS))
}

fn too_large() -> Refusal {
    no(Some("QUOTA/MAXSIZE"), &format!("A script has {} octets at most", limits::SIEVE_SCRIPT_LEN))
}

/// The same text, if it can be compiled, which is not done where sockets are served.
async fn compiled(text: String) -> Result<String, Refusal> {
    if text.len() > limits::SIEVE_SCRIPT_LEN {
        return Err(too_large());
    }
    let compiled = tokio::task::spawn_blocking(move || Script::compile(&text).map(|_| text));
    match compiled.await {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(why)) => Err(no(None, &why.to_string())),
        Err(_) => Err(no(Some("TRYLATER"), "That can't be done now, try again later")),
    }
}
