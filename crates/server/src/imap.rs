//! The pump of IMAP: gives a session of crate `imap` its connection, its clock and its log-ins.
//!
//! Does: wait (for input, for the autologout timer, for the sign to stop), write, start TLS. Does not: know what a command
//! means. While it waits it holds no buffer: neither for input (the connection gives its own back) nor for output.

use std::sync::Arc;
use std::time::Duration;

use ::imap::{End, Host, Identity, Input, LoginRefused, Patience, Security, Session};
use async_trait::async_trait;
use mail::{Timestamp, limits};
use store::{Account, Scopes, ScramKeys};
use wire::sasl::ChannelBinding;
use wire::sasl::scram::Keys;

use crate::auth::{LoginError, hash};
use crate::conn::{Connection, TlsInfo};
use crate::deflate::{Broken, Deflate};
use crate::listen::Service;
use crate::settings::{PlaintextAuth, Settings};
use crate::shared::Shared;

/// Serves one IMAP connection to its end.
pub async fn serve(connection: Connection, service: Service, shared: Arc<Shared>) {
    let peer = connection.peer();
    let session = Session::new(shared.imap.clone());
    let mut host = Pump {
        settings: shared.settings(),
        shared,
        connection,
        service: service.name(),
        proving: None,
        jmap: false,
        deflate: None,
    };
    match session.run(&mut host).await {
        End::Closed => host.connection.shutdown().await,
        End::Failed => tracing::debug!(service = service.name(), %peer, "connection lost"),
    }
}

/// Makes digests of messages behind the clients, until the sign to stop.
pub async fn make_digests(shared: Arc<Shared>) {
    tokio::select! {
        () = ::imap::digest::make(shared.imap.clone()) => {}
        () = shared.shutdown.wait() => {}
    }
}

struct Pump {
    connection: Connection,
    shared: Arc<Shared>,
    settings: Arc<Settings>,
    service: &'static str,
    /// Whose SCRAM keys are in use.
    proving: Option<Box<Account>>,
    /// What the client logged in with is good for JMAP, too.
    jmap: bool,
    /// COMPRESS was done.
    deflate: Option<Deflate>,
}

impl Pump {
    fn patience(&self, patience: Patience) -> Duration {
        match patience {
            Patience::Unauthenticated => self.settings.limits.imap_timeout.min(limits::IMAP_UNAUTHENTICATED_TIMEOUT),
            Patience::Authenticated => self.settings.limits.imap_timeout,
            Patience::Idle => limits::IMAP_IDLE_NOTICE,
        }
    }

    fn known(&self, account: &Account) -> Identity {
        self.note(&account.address.to_string(), "ok");
        Identity { account: account.id, name: account.address.to_string() }
    }

    fn refusal(&self, user: &str, error: &LoginError) -> LoginRefused {
        match error {
            LoginError::Refused => {
                self.note(user, "refused");
                LoginRefused::Credentials
            }
            LoginError::Wait => {
                self.note(user, "limited");
                LoginRefused::TooMany
            }
            LoginError::Store(error) => {
                tracing::error!(service = self.service, %error, "log-in not checked");
                LoginRefused::Temporary
            }
        }
    }

    /// Waits until the connection has something.
    async fn receive(&mut self, patience: Patience) -> Result<Input, End> {
        if !self.connection.buffer().is_empty() {
            return Ok(Input::Bytes);
        }
        let wait = self.patience(patience);
        tokio::select! {
            read = self.connection.fill() => match read {
                Ok(0) => Ok(Input::Closed),
                Ok(_) => Ok(Input::Bytes),
                Err(_) => Err(End::Failed),
            },
            () = tokio::time::sleep(wait) => {
                Ok(if patience == Patience::Idle { Input::Quiet } else { Input::TimedOut })
            }
            () = self.shared.shutdown.wait() => Ok(Input::Stopping),
        }
    }

    fn note(&self, user: &str, outcome: &'static str) {
        self.shared.note_login(self.service, self.connection.peer().ip(), user, outcome);
    }
}

#[async_trait]
impl Host for Pump {
    async fn read(&mut self, input: &mut Vec<u8>, patience: Patience) -> Result<Input, End> {
        loop {
            if let Some(deflate) = &mut self.deflate {
                let before = input.len();
                while deflate.is_waiting() && input.len() == before {
                    deflate.inflate(input).map_err(|Broken| End::Failed)?;
                }
                if input.len() > before {
                    return Ok(Input::Bytes);
                }
            }
            let received = self.receive(patience).await?;
            if received != Input::Bytes {
                return Ok(received);
            }
            let bytes = self.connection.buffer();
            let count = bytes.len();
            match &mut self.deflate {
                Some(deflate) => deflate.received(bytes),
                None => input.extend_from_slice(bytes),
            }
            self.connection.consume(count);
            if self.deflate.is_none() {
                return Ok(Input::Bytes);
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        let written = if self.deflate.is_some() {
            let mut packed = Vec::new();
            Deflate::deflate(bytes, &mut packed).map_err(|Broken| End::Failed)?;
            self.connection.write_all(&packed).await
        } else {
            self.connection.write_all(bytes).await
        };
        written.map_err(|_| End::Failed)
    }

    fn can_compress(&self) -> bool {
        self.deflate.is_none()
    }

    fn compress(&mut self, received: &[u8]) {
        self.deflate = Some(Deflate::new(received));
    }

    async fn start_tls(&mut self) -> Result<(), End> {
        let acceptor = self.shared.acceptor().ok_or(End::Failed)?;
        self.connection.start_tls(&acceptor).await.map_err(|_| End::Failed)
    }

    fn security(&self) -> Security {
        let tls = self.connection.tls().is_some();
        let loopback = self.connection.is_loopback() && self.settings.plaintext_auth == PlaintextAuth::Loopback;
        Security {
            tls,
            starttls: self.shared.acceptor().is_some(),
            passwords: tls || loopback,
            scram: self.settings.offer_scram,
        }
    }

    fn binding(&self) -> ChannelBinding {
        self.connection.tls().map(TlsInfo::binding).unwrap_or_default()
    }

    fn message_size(&self) -> u64 {
        self.settings.limits.message_size
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn jmap_session(&self) -> Option<String> {
        let (_, address) = self.settings.listening.iter().find(|(service, _)| *service == Service::Https)?;
        let port = if address.port() == 443 { String::new() } else { format!(":{}", address.port()) };
        self.jmap.then(|| format!("https://{}{port}/jmap/session", self.settings.hostname))
    }

    fn secret(&self) -> [u8; 32] {
        hash::secret()
    }

    async fn log_in(&mut self, user: &str, password: &str) -> Result<Identity, LoginRefused> {
        let (ip, most) = (self.connection.peer().ip(), self.settings.limits.login_failures);
        match self.shared.auth.proved(ip, user, password.as_bytes(), Scopes::IMAP, most).await {
            Ok((account, proof)) => {
                self.jmap = proof.is_for(Scopes::JMAP);
                Ok(self.known(&account))
            }
            Err(error) => Err(self.refusal(user, &error)),
        }
    }

    async fn scram_keys(&mut self, user: &str) -> Result<(Keys, Vec<u8>), LoginRefused> {
        let (ip, most) = (self.connection.peer().ip(), self.settings.limits.login_failures);
        match self.shared.auth.scram(ip, user, most).await {
            Ok(offer) => {
                self.proving = offer.account;
                let ScramKeys { salt, iterations, stored_key, server_key } = offer.keys;
                Ok((Keys { salt, iterations, stored_key, server_key }, hash::secret().to_vec()))
            }
            Err(error) => Err(self.refusal(user, &error)),
        }
    }

    async fn scram_ended(&mut self, user: &str, right: bool) -> Result<Identity, LoginRefused> {
        // Without an account the keys were made up, and nothing proves them.
        let account = self.proving.take().filter(|_| right);
        let (ip, most) = (self.connection.peer().ip(), self.settings.limits.login_failures);
        self.shared.auth.scram_ended(ip, user, account.is_some(), most);
        match account {
            Some(account) => {
                // SCRAM's keys are of the password.
                self.jmap = true;
                Ok(self.known(&account))
            }
            None => Err(self.refusal(user, &LoginError::Refused)),
        }
    }
}
