//! One connection to one server: moves bytes between a stream and the client engine.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use mail::limits;
use store::{Body, StoreResult, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use wire::sasl::client::{Credentials, Login};
use wire::sasl::{ChannelBinding, Password};
use wire::smtp::client::{Capabilities, Cause, Client, Config, Failure, Report, Stage, Step, TlsUse, Transaction};

use super::worker::Settling;
use crate::route::{Host, UNIX};
use crate::safety::Policy;
use crate::world::{Stream, Trust, World};

/// A server that is ready for messages.
pub(super) struct Connection {
    client: Client,
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    /// Its name, as in the MX record.
    pub(super) name: String,
    /// Where.
    pub(super) to: SocketAddr,
    /// TLS; none: none.
    pub(super) tls: Option<Tls>,
    /// What it keeps to.
    pub(super) policy: Policy,
    /// Messages so far.
    pub(super) messages: usize,
    /// Since when the next reply is waited for, and how many had come before it.
    waiting: Option<(Instant, u64)>,
}

/// A message as one group of recipients gets it: their header lines, then the stored bytes.
pub(super) struct Content<'a> {
    pub(super) prefix: &'a [u8],
    pub(super) body: &'a dyn Body,
}

impl Content<'_> {
    pub(super) fn size(&self) -> u64 {
        self.prefix.len() as u64 + self.body.size()
    }

    /// The octets from `at` on, as many as come at once.
    pub(super) async fn read(&self, at: u64) -> StoreResult<Bytes> {
        let ahead = self.prefix.len() as u64;
        match usize::try_from(at).ok().and_then(|at| self.prefix.get(at..)) {
            Some(rest) if !rest.is_empty() => Ok(Bytes::copy_from_slice(rest)),
            _ => self.body.read(at - ahead..self.body.size()).await,
        }
    }
}

/// How to begin.
#[derive(Clone, Debug)]
pub(super) struct Greeting<'a> {
    /// Our name.
    pub(super) helo: &'a str,
    /// Log-in at the server.
    pub(super) login: Option<&'a (String, String)>,
    /// It speaks LMTP.
    pub(super) lmtp: bool,
}

/// Why there is no connection.
pub(super) struct Unreachable {
    pub(super) failure: Failure,
    pub(super) tls: Option<Tls>,
}

/// What is to be sent, and what must be recorded before its end is.
type Message<'a> = (&'a Content<'a>, &'a mut Settling);

/// What a turn of the engine ended with.
enum Turn {
    Ready,
    Done(Report),
    Over(Option<Failure>),
    StartTls,
}

impl Connection {
    /// Opens a connection and brings it to where messages can be sent: greeting, EHLO, STARTTLS, AUTH. Where an
    /// opportunistic handshake fails, a new connection goes on without TLS; that failure comes back too.
    pub(super) async fn open(
        world: &World,
        host: &Host,
        to: SocketAddr,
        greeting: &Greeting<'_>,
    ) -> (Result<Self, Unreachable>, Option<Failure>) {
        let (wanted, trust) = match &host.policy {
            // RFC 7672 §2.2: no way around what a domain asks for, whatever fails.
            Policy::Dane(dane) => (TlsUse::Required, Trust::Dane(dane.clone())),
            // A password goes only where it can't be read or collected on the way; loopback is no way.
            Policy::Opportunistic | Policy::Encrypted { .. } if greeting.login.is_some() && !to.ip().is_loopback() => {
                (TlsUse::Required, Trust::Verified)
            }
            Policy::Encrypted { .. } => (TlsUse::Required, Trust::Any),
            Policy::Opportunistic => (TlsUse::IfOffered, Trust::Any),
            Policy::Unknown(_) => {
                let failure = Failure { stage: Stage::Connect, cause: Cause::Broken(host.policy.to_string()) };
                return (Err(Unreachable { failure, tls: None }), None);
            }
        };
        // Port 465 begins with TLS (RFC 8314 §3.3).
        let wanted = if to.port() == 465 { TlsUse::Implicit } else { wanted };
        match Self::begin(world, host, to, greeting, wanted, trust.clone()).await {
            Err(Unreachable { failure, .. }) if is_handshake(&failure) && wanted == TlsUse::IfOffered => {
                // RFC 7435 §3: opportunistic encryption must not lose mail that plain text would deliver.
                let second = Self::begin(world, host, to, greeting, TlsUse::Never, trust).await;
                (second, Some(failure))
            }
            other => (other, None),
        }
    }

    async fn begin(
        world: &World,
        host: &Host,
        to: SocketAddr,
        greeting: &Greeting<'_>,
        tls: TlsUse,
        trust: Trust,
    ) -> Result<Self, Unreachable> {
        let failed = |stage, cause| Unreachable { failure: Failure { stage, cause }, tls: None };
        let wait = limits::SMTP_CONNECT_WAIT;
        let dialled = async {
            match host.name.strip_prefix(UNIX) {
                Some(path) => world.connect.connect_unix(path.as_ref()).await,
                None => world.connect.connect(to).await,
            }
        };
        let stream = match timeout(wait, dialled).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(why)) => return Err(failed(Stage::Connect, Cause::Broken(in_words(&why)))),
            Err(_) => return Err(failed(Stage::Connect, Cause::TimedOut(wait))),
        };
        let login = greeting.login.map(|(user, password)| Login {
            credentials: Credentials { user: user.clone(), password: Password::new(password) },
            nonce: world.random.token().into_bytes(),
        });
        let clear_auth = to.ip().is_loopback();
        let binding = ChannelBinding::default();
        let config = Config { helo: greeting.helo.to_owned(), tls, login, binding, clear_auth, lmtp: greeting.lmtp };
        let mut connection = Self {
            client: Client::new(config),
            stream,
            buffer: vec![0; 4096],
            name: host.name.clone(),
            to,
            tls: None,
            policy: host.policy.clone(),
            messages: 0,
            waiting: None,
        };
        if tls == TlsUse::Implicit {
            connection = connection.secure(world, trust.clone()).await?;
        }
        loop {
            match connection.turn(None).await {
                Turn::Ready => return Ok(connection),
                Turn::StartTls => {
                    connection = connection.secure(world, trust.clone()).await?;
                    connection.client.secured(ChannelBinding::default());
                }
                Turn::Over(Some(failure)) => return Err(Unreachable { failure, tls: connection.tls }),
                Turn::Over(None) | Turn::Done(_) => return Err(failed(Stage::Greeting, Cause::Closed)),
            }
        }
    }

    async fn secure(self, world: &World, trust: Trust) -> Result<Self, Unreachable> {
        let Self { client, stream, buffer, name, to, messages, policy, .. } = self;
        let wait = limits::TLS_HANDSHAKE_TIMEOUT;
        // RFC 7672 §8.1: the TLSA base domain, which may be another name than the MX record's.
        let sni = if let Trust::Dane(dane) = &trust { dane.sni().to_owned() } else { name.clone() };
        let cause = match timeout(wait, world.connect.tls(stream, &sni, trust)).await {
            Ok(Ok((stream, mut tls))) => {
                tls.policy = Some(policy.kept(&tls));
                return Ok(Self { client, stream, buffer, name, to, messages, tls: Some(tls), policy, waiting: None });
            }
            Ok(Err(why)) => Cause::Broken(format!("TLS: {why}")),
            Err(_) => Cause::TimedOut(wait),
        };
        Err(Unreachable { failure: Failure { stage: Stage::StartTls, cause }, tls: None })
    }

    /// What the server offers.
    pub(super) const fn offers(&self) -> &Capabilities {
        self.client.offers()
    }

    /// Whether it may carry another message.
    pub(super) fn is_usable(&mut self) -> bool {
        self.messages < limits::RELAY_MESSAGES_PER_CONNECTION && self.client.step() == Step::Ready
    }

    /// Sends a message, its end not before the outcome of the one before is recorded; the report has a verdict for
    /// every recipient.
    pub(super) async fn send(
        &mut self,
        transaction: Transaction,
        content: &Content<'_>,
        settling: &mut Settling,
    ) -> Report {
        let count = transaction.recipients.len();
        self.messages += 1;
        self.client.begin(transaction);
        self.report(count, Some((content, settling))).await
    }

    /// Asks whether a recipient would be taken.
    pub(super) async fn probe(&mut self, transaction: Transaction) -> Report {
        let count = transaction.recipients.len();
        self.client.probe(transaction);
        self.report(count, None).await
    }

    async fn report(&mut self, count: usize, message: Option<Message<'_>>) -> Report {
        match self.turn(message).await {
            Turn::Done(report) => report,
            Turn::Over(Some(failure)) => Report { verdicts: vec![Err(failure); count] },
            Turn::Over(None) | Turn::Ready | Turn::StartTls => {
                Report { verdicts: vec![Err(Failure { stage: Stage::Mail, cause: Cause::Closed }); count] }
            }
        }
    }

    /// Says good-bye, and waits for the answer a little.
    pub(super) async fn quit(mut self) {
        if self.client.step() == Step::Ready {
            self.client.quit();
            let _ = timeout(limits::SMTP_QUIT_WAIT, self.turn(None)).await;
        }
        let _ = timeout(limits::SMTP_QUIT_WAIT, self.stream.shutdown()).await;
    }

    /// Drives the engine until it wants something that is not I/O.
    async fn turn(&mut self, mut message: Option<Message<'_>>) -> Turn {
        let mut at = 0;
        loop {
            match self.client.step() {
                Step::Send => self.write().await,
                Step::Receive(wait) => self.read(wait).await,
                Step::StartTls => return Turn::StartTls,
                Step::Body => match &mut message {
                    None => self.client.body_end(),
                    Some((content, settling)) if at == content.size() => {
                        // The window of invariant 6 is one commit wide: no second message enters it.
                        if settling.recorded().await {
                            self.client.body_end();
                        } else {
                            let why = "the outcome of the message before could not be recorded";
                            self.client.broken(Cause::Broken(why.to_owned()));
                        }
                    }
                    Some((content, _)) => match content.read(at).await {
                        Ok(piece) if !piece.is_empty() => {
                            at += piece.len() as u64;
                            self.client.body(&piece);
                        }
                        Ok(_) => self.client.broken(Cause::Broken("the stored message ends too early".to_owned())),
                        // Half a message must never look whole: the connection ends without the final dot.
                        Err(why) => self.client.broken(Cause::Broken(format!("the stored message: {why}"))),
                    },
                },
                Step::Ready => return Turn::Ready,
                Step::Done(report) => return Turn::Done(report),
                Step::Over(failure) => return Turn::Over(failure),
            }
        }
    }

    async fn write(&mut self) {
        let output = self.client.output();
        // RFC 5321 §4.5.3.2.5: each block has its time, not the whole.
        let written = async {
            for block in output.chunks(limits::READ_CHUNK) {
                match timeout(limits::SMTP_BLOCK_WAIT, self.stream.write_all(block)).await {
                    Ok(done) => done?,
                    Err(_) => return Ok(false),
                }
            }
            // TLS keeps bytes back until it is told that they matter.
            self.stream.flush().await?;
            Ok::<bool, io::Error>(true)
        };
        match written.await {
            Ok(true) => {
                self.waiting = None;
                self.client.sent();
            }
            Ok(false) => self.client.broken(Cause::TimedOut(limits::SMTP_BLOCK_WAIT)),
            Err(why) => {
                // A server that refuses in mid-flight says why before it closes: those words count.
                let last = timeout(Duration::from_secs(1), self.stream.read(&mut self.buffer)).await;
                if let Ok(Ok(count)) = last {
                    self.client.input(&self.buffer[..count]);
                }
                self.client.broken(Cause::Broken(in_words(&why)));
            }
        }
    }

    async fn read(&mut self, wait: Duration) {
        let replies = self.client.replies();
        let since = match self.waiting {
            Some((since, before)) if before == replies => since,
            _ => Instant::now(),
        };
        self.waiting = Some((since, replies));
        match timeout_at(since + wait, self.stream.read(&mut self.buffer)).await {
            Ok(Ok(0)) => self.client.eof(),
            Ok(Ok(count)) => self.client.input(&self.buffer[..count]),
            // TLS without close_notify: as good as an end.
            Ok(Err(why)) if why.kind() == io::ErrorKind::UnexpectedEof => self.client.eof(),
            Ok(Err(why)) => self.client.broken(Cause::Broken(in_words(&why))),
            Err(_) => self.client.timed_out(),
        }
    }
}

/// Whether it was the handshake itself that failed, rather than what was said around it.
fn is_handshake(failure: &Failure) -> bool {
    failure.stage == Stage::StartTls && failure.reply().is_none() && !matches!(failure.cause, Cause::Lacks(_))
}

/// The system's words without its numbers: `connection refused`.
fn in_words(why: &io::Error) -> String {
    match why.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "the connection was reset".to_owned(),
        io::ErrorKind::BrokenPipe => "the server closed the connection".to_owned(),
        io::ErrorKind::TimedOut => "the connection timed out".to_owned(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "no way to the host".to_owned(),
        _ => why.to_string(),
    }
}

#[cfg(test)]
mod tests;
