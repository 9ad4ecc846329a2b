//! The pump of SMTP: moves bytes between a connection and the engine in `wire::smtp::server`, and puts the engine's
//! questions to the [`Clerk`].
//!
//! Does: wait (for input, for the engine's deadline, for the sign to stop), write what is to be said in one go
//! before it waits, start TLS, hand the slices of a body on as they lie in the connection's buffer. Does not: know
//! what a command means. A commit under way is finished, whether or not the client is still there.

mod clerk;
mod inspectors;

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use mail::{Reply, Timestamp};
use mta::accept::inspect::Inspectors;
use mta::accept::resolve::Refusal;
use mta::accept::{Desk, MakeReporter, Policy, VerifyRecipient};
use mta::misbehave::Misbehave;
use mta::policy::Door;
use mta::world::Random;
use store::{Event, What};
use wire::smtp::server::{Server, Step, Transport};

pub use self::clerk::Clerk;
pub use self::inspectors::inspectors;
use crate::conn::{Connection, TlsInfo};
use crate::listen::Service;
use crate::outbound;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::trusted::TrustedNetwork;

/// What receiving mail needs besides the settings.
pub struct Extras {
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Who stands at the door; none: everybody comes in.
    pub door: Option<Arc<Door>>,
    /// For gateway domains.
    pub verify: Option<Arc<dyn VerifyRecipient>>,
    /// Recipients that misbehave on purpose.
    pub misbehave: Option<Arc<dyn Misbehave>>,
    /// For reports of success.
    pub reporter: Option<MakeReporter>,
    /// Who looks at each message before it is taken, by the settings of this moment.
    pub inspectors: MakeInspectors,
}

/// Gives those who look at messages and say where their copies are put.
pub type MakeInspectors = Box<dyn Fn(&Settings) -> Inspectors + Send + Sync>;

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
                routing: Arc::new(outbound::routing(&settings)),
            },
            door: self.extras.door.clone(),
            verify: self.extras.verify.clone(),
            misbehave: self.extras.misbehave.clone().filter(|_| settings.local.misbehave),
            milters: crate::milter::of(&settings, &shared.clock),
            inspectors: Arc::new((self.extras.inspectors)(&settings)),
            reporter: self.extras.reporter.clone(),
        };
        let made = (settings, Arc::new(desk));
        self.desk.store(Some(Arc::new(made.clone())));
        made
    }

    /// What is sent by JMAP is received here, too.
    pub fn receive_from_jmap(self: &Arc<Self>, shared: &Arc<Shared>) {
        // What the system holds does not hold the system.
        let (reception, system) = (self.clone(), Arc::downgrade(shared));
        shared.jmap.send_through(move || {
            let shared = system.upgrade()?;
            let (settings, desk) = reception.desk(&shared);
            let (message_size, recipients) = (settings.limits.message_size, settings.limits.recipients);
            let taken = Box::new(move || shared.metrics.message("jmap"));
            Some(jmap::Outbox { desk, message_size, recipients, taken })
        });
    }

    /// Whether a client may come in by port 25: not too often, and not before it was greeted.
    async fn may_come_in(&self, connection: &mut Connection, shared: &Shared) -> io::Result<Result<(), Refusal>> {
        let (ip, settings) = (connection.peer().ip(), shared.settings());
        if TrustedNetwork::of(&settings.trusted, ip).is_some() {
            return Ok(Ok(()));
        }
        if let Some(Err(refusal)) = self.extras.door.as_ref().map(|door| door.connection(ip)) {
            return Ok(Err(refusal));
        }
        let delay = settings.policy.greet_delay;
        if ip.is_loopback() || delay.is_zero() {
            return Ok(Ok(()));
        }
        tokio::select! {
            // RFC 5321 §3.1: the client waits for the greeting. What has ended is no client.
            read = connection.fill() => match read? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {
                    let reply = Reply::new(554, (5, 5, 1), "You spoke before you were greeted");
                    Ok(Err(Refusal::new(reply, "early-talker")))
                }
            },
            () = shared.clock.sleep(delay) => Ok(Ok(())),
            () = shared.shutdown.wait() => Ok(Ok(())),
        }
    }

    /// Serves one connection to its end.
    pub async fn serve(self: Arc<Self>, mut connection: Connection, service: Service, shared: Arc<Shared>) {
        let peer = connection.peer();
        if service == Service::Smtp {
            match self.may_come_in(&mut connection, &shared).await {
                Ok(Ok(())) => {}
                Ok(Err(Refusal { reply, rule, .. })) => {
                    shared.metrics.refusal(service.name(), if reply.code.is_permanent() { "5yz" } else { "4yz" });
                    tracing::info!(service = service.name(), peer = %peer.ip(), %reply, rule, "refused");
                    let (from, said) = (peer.ip().to_string(), reply.to_string());
                    let what = What::Refused { from, sender: String::new(), reply: said, rule: rule.to_owned() };
                    shared.store.note_refusal(Event::new(shared.clock.now(), what));
                    // A client that is gone has not heard it; nobody else is told.
                    if connection.write_all(format!("{reply}\r\n").as_bytes()).await.is_ok() {
                        connection.shutdown().await;
                    }
                    return;
                }
                Err(error) => {
                    tracing::debug!(service = service.name(), %peer, %error, "connection lost");
                    return;
                }
            }
        }
        let mut pump = Pump::new(&self, &connection, service, shared);
        let ended = pump.run(&mut connection).await;
        pump.clerk.leave().await;
        match ended {
            Ok(()) => connection.shutdown().await,
            Err(error) => tracing::debug!(service = service.name(), %peer, %error, "connection lost"),
        }
    }
}

struct Pump {
    shared: Arc<Shared>,
    engine: Server,
    clerk: Clerk,
}

impl Pump {
    fn new(reception: &Reception, connection: &Connection, service: Service, shared: Arc<Shared>) -> Self {
        let tls = connection.tls().map(TlsInfo::journey);
        let clerk = Clerk::new(reception, &shared, service, connection.peer().ip(), tls);
        let transport = match connection.tls() {
            Some(tls) => Transport::Tls(tls.binding()),
            None => {
                let starttls = service != Service::Lmtp && shared.acceptor().is_some();
                Transport::Plain { starttls }
            }
        };
        let engine = Server::new(Arc::new(clerk.config()), transport, shared.clock.now());
        Self { shared, engine, clerk }
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    async fn run(&mut self, connection: &mut Connection) -> io::Result<()> {
        loop {
            match self.engine.step() {
                Step::Ask(question) => {
                    if self.clerk.misbehaves() {
                        self.flush(connection).await?;
                    }
                    let answer = self.clerk.answer(question).await?;
                    self.engine.answer(answer, self.now());
                }
                Step::Forget => self.clerk.forget(),
                Step::StartTls => {
                    self.flush(connection).await?;
                    // Never asked for without one; should it be, the connection ends.
                    let acceptor = self.shared.acceptor().ok_or(io::ErrorKind::Unsupported)?;
                    connection.start_tls(&acceptor).await?;
                    self.clerk.secured(connection.tls().map(TlsInfo::journey));
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
        if taken.used == 0 && taken.body.is_empty() {
            return Err(io::Error::other("the engine takes nothing"));
        }
        if !taken.body.is_empty()
            && let Err(reply) = self.clerk.write(taken.body).await
        {
            self.engine.refuse_body(reply);
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
}
