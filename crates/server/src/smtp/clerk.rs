//! Who answers the engine's questions: log-ins by the pool of `auth`, all else through `mta::accept` by the store.
//!
//! Does: keep what a session is in the middle of (envelope, body, a SCRAM exchange), count and log. Does not: touch a
//! socket, so a test can put the bare engine in front of it; wait for anything but the store and the pool.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use imap::Astray;
use mail::{Durable, Envelope, QueueId, Reply};
use mta::accept::{Client, Desk, Ending, Identity, Incoming, SessionFilters, Transaction, release_limits};
use store::{Account, Scopes, ScramKeys};
use wire::dot::LineEnds;
use wire::sasl::scram::Keys;
use wire::smtp::server::{Answer, Config, Fetched, Hello, Question, Role, ScramAnswer, Sender, too_big};

use super::Reception;
use crate::auth::{LoginError, hash};
use crate::listen::Service;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::trusted::TrustedNetwork;

/// How far the message is.
enum Phase {
    None,
    Envelope(Box<Transaction>),
    Body(Box<Incoming>),
}

/// Answers for one session.
pub struct Clerk {
    shared: Arc<Shared>,
    settings: Arc<Settings>,
    desk: Arc<Desk>,
    service: &'static str,
    client: Client,
    /// Those that are asked about the session's messages.
    filters: Option<SessionFilters>,
    phase: Phase,
    /// Whose SCRAM keys are in use, and the name that was said.
    proving: Option<(Option<Box<Account>>, String)>,
}

impl Clerk {
    /// For a client that came in by this door, by the settings of this moment.
    pub fn new(
        reception: &Reception,
        shared: &Arc<Shared>,
        service: Service,
        ip: IpAddr,
        tls: Option<store::Tls>,
    ) -> Self {
        let (settings, desk) = reception.desk(shared);
        let role = match service {
            Service::Smtp => Role::Mx,
            Service::Lmtp => Role::Lmtp,
            _ => Role::Submission,
        };
        let trusted = TrustedNetwork::of(&settings.trusted, ip).map(|network| network.may.clone());
        let client = Client { ip, role, tls, identity: Identity::Stranger, trusted };
        let (shared, service) = (shared.clone(), service.name());
        let filters = SessionFilters::of(desk.milters.as_ref(), role);
        Self { shared, settings, desk, service, client, filters, phase: Phase::None, proving: None }
    }

    /// What the engine is to keep to.
    pub fn config(&self) -> Config {
        let limits = &self.settings.limits;
        Config {
            hostname: self.desk.policy.routing.hostname.clone(),
            role: self.client.role,
            trusted: self.client.trusted.is_some(),
            scram: self.settings.offer_scram,
            burl: self.client.role == Role::Submission,
            future_release: (self.client.role == Role::Submission).then(|| release_limits(self.shared.clock.now())),
            message_size: limits.message_size,
            recipients: limits.recipients,
            errors: limits.errors,
            commands: limits.commands,
            messages: limits.messages,
            command_timeout: limits.command_timeout,
            data_timeout: limits.data_timeout,
            message_timeout: limits.message_timeout,
        }
    }

    /// Whether an answer may be slow or missing on purpose: then what was said before is the client's to know. Others
    /// get it with the answer, in one write.
    pub fn misbehaves(&self) -> bool {
        self.settings.local.misbehave
    }

    /// TLS has begun: who was known is a stranger again (RFC 3207 §4.2).
    pub fn secured(&mut self, tls: Option<store::Tls>) {
        self.client.tls = tls;
        self.client.identity = Identity::Stranger;
    }

    /// The client is gone.
    pub async fn leave(&mut self) {
        self.phase = Phase::None;
        if let Some(filters) = self.filters.take() {
            filters.quit().await;
        }
    }

    /// The transaction is over without a message.
    pub fn forget(&mut self) {
        self.phase = Phase::None;
    }

    /// The next bytes of a body. An error: they can't be stored, and the engine is to refuse the body with it.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Reply> {
        let Phase::Body(incoming) = &mut self.phase else { return Ok(()) };
        let written = incoming.write(bytes).await;
        if let Err(reply) = &written {
            self.count(reply);
            self.phase = Phase::None;
        }
        written
    }

    /// Answers; an error: the client gets none, and the connection ends.
    pub async fn answer(&mut self, question: Question) -> io::Result<Answer> {
        Ok(match question {
            Question::Sender(sender, hello) => {
                let begun = self.begin(sender, &hello).await;
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
            Question::Fetch { url, room, ends } => {
                let answer = self.fetch(&url, room, ends).await;
                if let Err(reply) = &answer {
                    self.count(reply);
                }
                Answer::Fetched(answer)
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

    async fn begin(&self, sender: Sender, hello: &Hello) -> Result<Transaction, Reply> {
        if self.client.identity == Identity::Stranger
            && let Some(network) = TrustedNetwork::of(&self.settings.trusted, self.client.ip)
            && !self.shared.trusted.admit(network, self.shared.clock.now())
        {
            return Err(Reply::new(
                451,
                (4, 7, 1),
                "Too many messages from your network in this hour, try again later",
            ));
        }
        let transaction = Transaction::begin(self.desk.clone(), self.client.clone(), sender).await?;
        transaction.ask(self.filters.as_ref(), hello).await
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

    /// BURL: from this system's own store, on behalf of who has logged in.
    async fn fetch(&mut self, url: &[u8], room: u64, mut ends: LineEnds) -> Result<Fetched, Reply> {
        let (Phase::Body(incoming), Identity::Account(account, _)) = (&mut self.phase, &self.client.identity) else {
            return Err(out_of_step());
        };
        let service = self.shared.imap.clone();
        let found = service.submitted(*account, self.shared.clock.now(), url).await;
        let mut content = found.map_err(|astray| lost(&astray))?;
        if content.len() > room {
            return Err(too_big());
        }
        let (size, mut eight_bit) = (content.len(), false);
        while let Some(piece) = content.next().await.map_err(|error| lost(&Astray::Store(error)))? {
            ends.look(&piece);
            eight_bit |= !piece.is_ascii();
            incoming.write(&piece).await?;
        }
        Ok(Fetched { size, eight_bit, ends })
    }

    async fn commit(&mut self, envelope: Envelope) -> io::Result<Result<Durable<QueueId>, Reply>> {
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
        self.shared.metrics.message(match self.client.role {
            Role::Mx => "smtp",
            Role::Lmtp => "lmtp",
            Role::Submission => "submission",
        });
        tracing::info!(%id, service = self.service, peer = %self.client.ip, %sender, recipients, "accepted");
        Ok(Ok(durable))
    }

    async fn log_in(&mut self, authorize_as: Option<&str>, user: &str, password: &str) -> Result<String, Reply> {
        let most = self.settings.limits.login_failures;
        match self.shared.auth.password(self.client.ip, user, password.as_bytes(), Scopes::SMTP, most).await {
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
        self.shared.note_login(self.service, self.client.ip, user, outcome);
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

/// RFC 4468 §6, with the codes of RFC 5248. Why a URL is no good is not told: it may be another's.
fn lost(astray: &Astray) -> Reply {
    match astray {
        Astray::Elsewhere => Reply::new(554, (5, 7, 14), "The URL is of another server, which is not asked"),
        Astray::Url(_) => Reply::new(554, (5, 6, 6), "The URL leads to nothing that you may send"),
        Astray::Store(error) => {
            tracing::error!(%error, "a message can't be read");
            Reply::new(451, (4, 4, 1), "The message can't be read now, try again later")
        }
    }
}
