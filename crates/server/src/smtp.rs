//! The pump of SMTP: moves bytes between a connection and the engine in `wire::smtp::server`, and puts the engine's
//! questions to the log-in pool and, through `mta::accept`, to the store.
//!
//! Does: wait (for input, for the engine's deadline, for the sign to stop), write what is to be said in one go
//! before it waits, start TLS, hand the slices of a body on as they lie in the connection's buffer. Does not: know
//! what a command means. A commit under way is finished, whether or not the client is still there.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use mail::{Envelope, Reply, Timestamp};
use mta::accept::{Client, Desk, Ending, Identity, Incoming, MakeReporter, Policy, Transaction, VerifyRecipient};
use mta::misbehave::Misbehave;
use mta::world::Random;
use store::{Account, ScramKeys};
use wire::sasl::scram::Keys;
use wire::smtp::server::{Answer, Config, Question, Role, ScramAnswer, Server, Step, Transport};

use crate::auth::{LoginError, hash};
use crate::conn::{Connection, TlsInfo};
use crate::listen::Service;
use crate::outbound;
use crate::settings::Settings;
use crate::shared::Shared;

/// What receiving mail needs besides the settings.
pub struct Extras {
    /// Where this system listens for SMTP: it never sends there itself.
    pub listening: Vec<SocketAddr>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// For gateway domains.
    pub verify: Option<Arc<dyn VerifyRecipient>>,
    /// Recipients that misbehave on purpose.
    pub misbehave: Option<Arc<dyn Misbehave>>,
    /// For reports of success.
    pub reporter: Option<MakeReporter>,
}

/// Receives mail for one system, on all its SMTP listeners.
pub struct Reception {
    extras: Extras,
    /// The desk for the settings of this moment.
    desk: ArcSwapOption<(Arc<Settings>, Arc<Desk>)>,
}

impl Reception {
    /// For one system.
    pub fn new(extras: Extras) -> Self {
        Self { extras, desk: ArcSwapOption::empty() }
    }

    /// Acceptance by the settings of this moment; made anew when they have changed.
    pub fn desk(&self, shared: &Shared) -> (Arc<Settings>, Arc<Desk>) {
        let settings = shared.settings();
        if let Some(known) = self.desk.load_full()
            && Arc::ptr_eq(&known.0, &settings)
        {
            return (*known).clone();
        }
        let desk = Desk {
            store: shared.store.clone(),
            clock: shared.clock.clone(),
            random: self.extras.random.clone(),
            policy: Policy {
                hops: settings.limits.hops,
                show_client: settings.smtp.show_client,
                routing: Arc::new(outbound::routing(&settings, &self.extras.listening)),
            },
            verify: self.extras.verify.clone(),
            misbehave: self.extras.misbehave.clone().filter(|_| settings.local.misbehave),
            reporter: self.extras.reporter.clone(),
        };
        let made = (settings, Arc::new(desk));
        self.desk.store(Some(Arc::new(made.clone())));
        made
    }

    /// Serves one connection to its end.
    pub async fn serve(self: Arc<Self>, mut connection: Connection, service: Service, shared: Arc<Shared>) {
        let (settings, desk) = self.desk(&shared);
        let peer = connection.peer();
        let mut session = Session::new(&connection, service, shared, settings, desk);
        match session.run(&mut connection).await {
            Ok(()) => connection.shutdown().await,
            Err(error) => tracing::debug!(service = service.name(), %peer, %error, "connection lost"),
        }
    }
}

/// How far the message is.
enum Phase {
    None,
    Envelope(Box<Transaction>),
    Body(Box<Incoming>),
}

struct Session {
    shared: Arc<Shared>,
    settings: Arc<Settings>,
    desk: Arc<Desk>,
    service: &'static str,
    client: Client,
    engine: Server,
    phase: Phase,
    /// Whose SCRAM keys are in use, and the name that was said.
    proving: Option<(Option<Box<Account>>, String)>,
}

impl Session {
    fn new(
        connection: &Connection,
        service: Service,
        shared: Arc<Shared>,
        settings: Arc<Settings>,
        desk: Arc<Desk>,
    ) -> Self {
        let role = if service == Service::Smtp { Role::Mx } else { Role::Submission };
        let limits = &settings.limits;
        let config = Config {
            hostname: desk.policy.routing.hostname.clone(),
            role,
            scram: settings.offer_scram,
            message_size: limits.message_size,
            recipients: limits.recipients,
            errors: limits.errors,
            commands: limits.commands,
            messages: limits.messages,
            command_timeout: limits.command_timeout,
            data_timeout: limits.data_timeout,
            message_timeout: limits.message_timeout,
        };
        let transport = match connection.tls() {
            Some(tls) => Transport::Tls(tls.binding()),
            None => Transport::Plain { starttls: shared.acceptor().is_some() },
        };
        let client = Client {
            ip: connection.peer().ip(),
            role,
            tls: connection.tls().map(TlsInfo::journey),
            identity: Identity::Stranger,
        };
        let engine = Server::new(Arc::new(config), transport, shared.clock.now());
        Self { shared, settings, desk, service: service.name(), client, engine, phase: Phase::None, proving: None }
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    async fn run(&mut self, connection: &mut Connection) -> io::Result<()> {
        loop {
            match self.engine.step() {
                Step::Ask(question) => {
                    if self.settings.local.misbehave {
                        // What was said before a recipient is slow or hangs up is the client's to know. Others get it
                        // with the answer, in one write.
                        self.flush(connection).await?;
                    }
                    let answer = self.answer(question).await?;
                    self.engine.answer(answer, self.now());
                }
                Step::Forget => self.phase = Phase::None,
                Step::StartTls => {
                    self.flush(connection).await?;
                    // Never asked for without one; should it be, the connection ends.
                    let acceptor = self.shared.acceptor().ok_or(io::ErrorKind::Unsupported)?;
                    connection.start_tls(&acceptor).await?;
                    self.client.tls = connection.tls().map(TlsInfo::journey);
                    self.client.identity = Identity::Stranger;
                    self.engine.tls_began(connection.tls().map(TlsInfo::binding).unwrap_or_default(), self.now());
                }
                Step::Close => return self.flush(connection).await,
                Step::Wait if connection.buffer().is_empty() => {
                    self.flush(connection).await?;
                    self.wait(connection).await?;
                }
                Step::Wait => self.input(connection).await?,
            }
        }
    }

    async fn flush(&mut self, connection: &mut Connection) -> io::Result<()> {
        let output = self.engine.output();
        if output.is_empty() { Ok(()) } else { connection.write_all(&output).await }
    }

    /// Feeds what was read; bytes of a body go straight on.
    async fn input(&mut self, connection: &mut Connection) -> io::Result<()> {
        let now = self.now();
        let taken = self.engine.input(connection.buffer(), now);
        if !taken.body.is_empty()
            && let Phase::Body(incoming) = &mut self.phase
            && let Err(reply) = incoming.write(taken.body).await
        {
            self.count(&reply);
            self.phase = Phase::None;
            self.engine.refuse_body(reply);
        }
        if taken.used == 0 && taken.body.is_empty() {
            return Err(io::Error::other("the engine takes nothing"));
        }
        connection.consume(taken.used);
        Ok(())
    }

    /// Waits for input, the deadline, or the sign to stop.
    async fn wait(&mut self, connection: &mut Connection) -> io::Result<()> {
        let now = self.now();
        let left = self.engine.deadline().map_or(std::time::Duration::MAX, |deadline| deadline.since(now));
        tokio::select! {
            read = connection.fill() => if read? == 0 { self.engine.eof() },
            () = tokio::time::sleep(left) => self.engine.tick(self.now()),
            () = self.shared.shutdown.wait() => self.engine.stop(),
        }
        Ok(())
    }

    async fn answer(&mut self, question: Question) -> io::Result<Answer> {
        Ok(match question {
            Question::Sender(sender) => {
                let begun = Transaction::begin(self.desk.clone(), self.client.clone(), sender).await;
                let answer = begun.map(|transaction| self.phase = Phase::Envelope(Box::new(transaction)));
                self.permission(answer)
            }
            Question::Recipient(recipient) => {
                let answer = match &mut self.phase {
                    Phase::Envelope(transaction) => transaction.recipient(recipient).await,
                    _ => Err(out_of_step()),
                };
                self.permission(answer)
            }
            Question::Body { hello, expected } => {
                let answer = match std::mem::replace(&mut self.phase, Phase::None) {
                    Phase::Envelope(transaction) => transaction.body(hello, expected).await,
                    _ => Err(out_of_step()),
                };
                let answer = answer.map(|incoming| self.phase = Phase::Body(Box::new(incoming)));
                self.permission(answer)
            }
            Question::Commit(envelope) => Answer::Committed(self.commit(*envelope).await?),
            Question::Password { authorize_as, user, password } => {
                Answer::LoggedIn(self.log_in(authorize_as.as_deref(), &user, password.reveal()).await)
            }
            Question::ScramKeys { user } => Answer::Keys(self.keys(user).await),
            Question::ScramEnd { authorize_as, proved } => {
                Answer::LoggedIn(self.proof(authorize_as.as_deref(), proved))
            }
        })
    }

    fn permission(&self, answer: Result<(), Reply>) -> Answer {
        if let Err(reply) = &answer {
            self.count(reply);
        }
        Answer::Permission(answer)
    }

    fn count(&self, reply: &Reply) {
        let class = if reply.code.is_permanent() { "5yz" } else { "4yz" };
        self.shared.metrics.refusal(self.service, class);
        tracing::info!(service = self.service, peer = %self.client.ip, %reply, "refused");
    }

    async fn commit(&mut self, envelope: Envelope) -> io::Result<Result<mail::Durable<mail::QueueId>, Reply>> {
        let Phase::Body(incoming) = std::mem::replace(&mut self.phase, Phase::None) else {
            return Ok(Err(out_of_step()));
        };
        let id = incoming.id();
        let (sender, recipients) = (envelope.reverse_path.clone(), envelope.recipients.len());
        let durable = match incoming.commit(envelope).await {
            Ending::Accepted(durable) => durable,
            Ending::AcceptedSlowly(durable, time) => {
                self.shared.clock.sleep(time).await;
                durable
            }
            Ending::Refused(reply) => {
                self.count(&reply);
                return Ok(Err(reply));
            }
            Ending::HangUp => return Err(io::ErrorKind::ConnectionAborted.into()),
        };
        self.shared.metrics.message(if self.client.role == Role::Mx { "smtp" } else { "submission" });
        tracing::info!(%id, service = self.service, peer = %self.client.ip, %sender, recipients, "accepted");
        Ok(Ok(durable))
    }

    async fn log_in(&mut self, authorize_as: Option<&str>, user: &str, password: &str) -> Result<String, Reply> {
        let most = self.settings.limits.login_failures;
        match self.shared.auth.password(self.client.ip, user, password.as_bytes(), most).await {
            Ok(account) => self.logged_in(&account, authorize_as, user),
            Err(error) => Err(self.not_logged_in(&error, user)),
        }
    }

    fn logged_in(&mut self, account: &Account, authorize_as: Option<&str>, user: &str) -> Result<String, Reply> {
        let address = account.address.to_string();
        // RFC 4616 §2: to act as somebody else is nobody's right here.
        if authorize_as.is_some_and(|other| !other.eq_ignore_ascii_case(&address)) {
            return Err(self.not_logged_in(&LoginError::Refused, user));
        }
        self.note(user, "ok");
        self.client.identity = Identity::Account(account.id, account.address.clone());
        Ok(address)
    }

    fn not_logged_in(&self, error: &LoginError, user: &str) -> Reply {
        match error {
            LoginError::Refused => {
                self.note(user, "refused");
                Reply::new(535, (5, 7, 8), "Authentication failed: the name or the password is wrong")
            }
            LoginError::Wait => {
                self.note(user, "limited");
                Reply::new(454, (4, 7, 0), "Too many failed log-ins, try again later")
            }
            LoginError::Store(error) => {
                tracing::error!(service = self.service, %error, "log-in not checked");
                Reply::new(454, (4, 7, 0), "Temporary authentication failure")
            }
        }
    }

    fn note(&self, user: &str, outcome: &'static str) {
        self.shared.metrics.login(outcome);
        tracing::info!(service = self.service, peer = %self.client.ip, user, outcome, "log-in");
    }

    async fn keys(&mut self, user: String) -> Result<ScramAnswer, Reply> {
        let most = self.settings.limits.login_failures;
        match self.shared.auth.scram(self.client.ip, &user, most).await {
            Ok(offer) => {
                let ScramKeys { salt, iterations, stored_key, server_key } = offer.keys;
                self.proving = Some((offer.account, user));
                let keys = Some(Keys { salt, iterations, stored_key, server_key });
                Ok(ScramAnswer { keys, nonce: hash::secret().to_vec(), decoy: Vec::new() })
            }
            Err(error) => Err(self.not_logged_in(&error, &user)),
        }
    }

    fn proof(&mut self, authorize_as: Option<&str>, proved: bool) -> Result<String, Reply> {
        let Some((account, user)) = self.proving.take() else { return Err(out_of_step()) };
        // Without an account the keys were made up, and nothing proves them.
        let account = account.filter(|_| proved);
        let most = self.settings.limits.login_failures;
        self.shared.auth.scram_ended(self.client.ip, &user, account.is_some(), most);
        match account {
            Some(account) => self.logged_in(&account, authorize_as, &user),
            None => Err(self.not_logged_in(&LoginError::Refused, &user)),
        }
    }
}

fn out_of_step() -> Reply {
    Reply::new(451, (4, 3, 0), "Internal error")
}
