//! The pump of POP3: moves bytes between a connection and the engine in `wire::pop3`, and puts the engine's
//! questions to the log-in pool and, through crate `pop3`, to the store.
//!
//! Does: wait (for input, for the inactivity timer, for the sign to stop), write, start TLS. Does not: know
//! what a command means. A connection that ends, however it ends, frees its maildrop and removes nothing.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use ::pop3::{Maildrop, OpenError, ReadError};
use mail::{AccountId, Uid, limits};
use store::{Scopes, ScramKeys};
use wire::pop3::{Answer, Engine, LoginFailure, Question, Step};
use wire::sasl::scram::Keys;

use crate::auth::{LoginError, hash};
use crate::conn::{Connection, TlsInfo};
use crate::listen::Service;
use crate::settings::{PlaintextAuth, Settings};
use crate::shared::Shared;

/// Serves one POP3 connection to its end.
pub async fn serve(mut connection: Connection, service: Service, shared: Arc<Shared>) {
    let peer = connection.peer();
    let mut session = Session {
        settings: shared.settings(),
        shared,
        service: service.name(),
        ip: peer.ip(),
        maildrop: None,
        proving: None,
    };
    let ended = session.run(&mut connection).await;
    // Before the connection's end is seen: who connects again at once finds the maildrop free.
    drop(session);
    match ended {
        Ok(()) => connection.shutdown().await,
        Err(error) => tracing::debug!(service = service.name(), %peer, %error, "connection lost"),
    }
}

/// Octets of replies that go out together, if there are as many.
const SENT_AT_ONCE: usize = 64 * 1024;

fn queue(unsent: &mut Vec<u8>, bytes: Vec<u8>) {
    if unsent.is_empty() {
        *unsent = bytes;
    } else {
        unsent.extend_from_slice(&bytes);
    }
}

async fn send(connection: &mut Connection, unsent: &mut Vec<u8>) -> io::Result<()> {
    connection.write_all(&std::mem::take(unsent)).await
}

struct Session {
    settings: Arc<Settings>,
    shared: Arc<Shared>,
    service: &'static str,
    ip: std::net::IpAddr,
    maildrop: Option<Maildrop>,
    /// Whose SCRAM keys are in use.
    proving: Option<AccountId>,
}

impl Session {
    async fn run(&mut self, connection: &mut Connection) -> io::Result<()> {
        let acceptor = self.shared.acceptor();
        let offer = wire::pop3::Settings {
            hostname: self.settings.hostname.to_string(),
            starttls: acceptor.is_some(),
            plaintext: connection.is_loopback() && self.settings.plaintext_auth == PlaintextAuth::Loopback,
            scram: self.settings.offer_scram,
        };
        let mut engine = Engine::new(offer, connection.tls().map(TlsInfo::binding));
        // Replies to commands that were sent ahead go out together: each write wakes the client.
        let mut unsent = Vec::new();
        loop {
            match engine.step() {
                Step::Send(bytes) => {
                    queue(&mut unsent, bytes);
                    if unsent.len() >= SENT_AT_ONCE {
                        send(connection, &mut unsent).await?;
                    }
                }
                Step::Ask(question) => {
                    // Looking for a message is quick; other answers may take a while.
                    if !matches!(question, Question::Read { .. }) {
                        send(connection, &mut unsent).await?;
                    }
                    let ahead = !connection.buffer().is_empty();
                    self.answer(question, ahead, &mut engine).await;
                }
                Step::StartTls => {
                    send(connection, &mut unsent).await?;
                    // Never asked for without one; should it be, the connection ends.
                    let acceptor = acceptor.as_ref().ok_or(io::ErrorKind::Unsupported)?;
                    connection.start_tls(acceptor).await?;
                    engine.tls_started(connection.tls().map(TlsInfo::binding).unwrap_or_default());
                }
                Step::Close => return send(connection, &mut unsent).await,
                Step::Read => {
                    let taken = engine.input(connection.buffer());
                    connection.consume(taken);
                    if taken == 0 {
                        send(connection, &mut unsent).await?;
                        if !self.wait(connection, &mut engine).await? {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }

    /// Waits for input; `false` at its end.
    async fn wait(&mut self, connection: &mut Connection, engine: &mut Engine) -> io::Result<bool> {
        if let Some(maildrop) = &mut self.maildrop {
            maildrop.rest();
        }
        tokio::select! {
            read = connection.fill() => return Ok(read? > 0),
            // RFC 1939 §3: "the session does NOT enter the UPDATE state".
            () = tokio::time::sleep(self.settings.limits.pop3_timeout) => engine.abandon(),
            () = self.shared.shutdown.wait() => engine.shut_down(),
        }
        Ok(true)
    }

    /// `ahead`: the client has sent more commands.
    async fn answer(&mut self, question: Question, ahead: bool, engine: &mut Engine) {
        match question {
            Question::LogIn { user, password } => match self.log_in(&user, password.reveal()).await {
                Ok(account) => self.open(account, engine).await,
                Err(why) => engine.answer(Answer::Refused(why)),
            },
            Question::Keys { user } => self.keys(&user, engine).await,
            Question::Proof { user, right } => self.proof(&user, right, engine).await,
            Question::Read { uid, range } => self.read(uid, range, ahead, engine).await,
            Question::Update(uids) => {
                let Some(maildrop) = self.maildrop.take() else { return engine.answer(Answer::NotUpdated) };
                match maildrop.update(&uids).await {
                    Ok(removed) => engine.answer(Answer::Updated(removed)),
                    Err(error) => {
                        tracing::error!(service = self.service, %error, "messages not removed");
                        engine.answer(Answer::NotUpdated);
                    }
                }
            }
        }
    }

    /// Who sends commands ahead is likely to ask for the messages after this one too.
    async fn read(&mut self, uid: Uid, range: Range<u64>, ahead: bool, engine: &mut Engine) {
        let Some(maildrop) = &mut self.maildrop else { return engine.answer(Answer::Unreadable) };
        let count = if ahead { limits::POP3_AHEAD } else { 1 };
        let looked_up = || engine.from_here().take(count).collect();
        match maildrop.read(uid, range, looked_up).await {
            Ok(piece) => engine.answer(Answer::Piece(&piece)),
            Err(ReadError::Gone) => engine.answer(Answer::Gone),
            Err(ReadError::Store(error)) => {
                tracing::error!(service = self.service, %uid, %error, "message not read");
                engine.answer(Answer::Unreadable);
            }
        }
    }

    async fn log_in(&self, user: &str, password: &str) -> Result<AccountId, LoginFailure> {
        let most = self.settings.limits.login_failures;
        match self.shared.auth.password(self.ip, user, password.as_bytes(), Scopes::POP3, most).await {
            Ok(account) => {
                self.note(user, "ok");
                Ok(account.id)
            }
            Err(error) => {
                let why = self.refusal(&error);
                self.note(user, if why == LoginFailure::TooMany { "limited" } else { "refused" });
                Err(why)
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
        let most = self.settings.limits.login_failures;
        match self.shared.auth.scram(self.ip, user, most).await {
            Ok(offer) => {
                self.proving = offer.account.map(|account| account.id);
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

    async fn proof(&mut self, user: &str, right: bool, engine: &mut Engine) {
        // Without an account the keys were made up, and nothing proves them.
        let account = self.proving.take().filter(|_| right);
        self.shared.auth.scram_ended(self.ip, user, account.is_some(), self.settings.limits.login_failures);
        self.note(user, if account.is_some() { "ok" } else { "refused" });
        match account {
            Some(account) => self.open(account, engine).await,
            None => engine.answer(Answer::Refused(LoginFailure::Credentials)),
        }
    }

    async fn open(&mut self, account: AccountId, engine: &mut Engine) {
        match Maildrop::open(self.shared.store.clone(), account).await {
            Ok((maildrop, listing)) => {
                self.maildrop = Some(maildrop);
                engine.answer(Answer::Opened(listing));
            }
            Err(OpenError::InUse) => engine.answer(Answer::Refused(LoginFailure::InUse)),
            Err(OpenError::Store(error)) => {
                tracing::error!(service = self.service, %error, "maildrop not opened");
                engine.answer(Answer::Refused(LoginFailure::Temporary));
            }
        }
    }
}
