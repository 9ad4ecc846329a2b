//! Mail out of one mail system: the relay with the real world around it. Does: turn settings into routes and times,
//! run the relay until the system stops, and answer what others ask of it. Does not: know how mail is sent.

use std::net::SocketAddr;
use std::sync::Arc;

use mta::relay::{Relay, Verifier};
use mta::route::Routing;
use mta::world::World;
use store::StoreError;

use crate::connect::{Network, SystemRandom};
use crate::dns::Resolver;
use crate::settings::Settings;
use crate::shared::Shared;

/// Mail out, ready to run. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    shared: Arc<Shared>,
    listening: Arc<[SocketAddr]>,
    world: World,
    /// The scheduler and its workers.
    pub relay: Arc<Relay>,
    /// Asks next hops of gateway domains whether a recipient exists.
    pub verifier: Arc<Verifier>,
}

impl Outbound {
    /// With the system's settings. `listening`: where this system takes SMTP itself, so that it never relays to
    /// itself. Fails with a sentence where DNS can't be used.
    pub fn new(shared: Arc<Shared>, listening: Vec<SocketAddr>) -> Result<Self, String> {
        let settings = shared.settings();
        let world = World {
            clock: shared.clock.clone(),
            random: Arc::new(SystemRandom),
            dns: Arc::new(Resolver::new(&settings.relay.dns_servers)?),
            connect: Arc::new(Network::new()),
        };
        Ok(Self::in_world(shared, listening, world))
    }

    /// The same in another world, for tests.
    pub fn in_world(shared: Arc<Shared>, listening: Vec<SocketAddr>, world: World) -> Self {
        let settings = shared.settings();
        let routing = routing(&settings, &listening);
        let relay = Relay::new(world.clone(), shared.store.clone(), routing, settings.relay.schedule);
        let verifier = Arc::new(Verifier::new(relay.clone()));
        Self { shared, listening: listening.into(), world, relay, verifier }
    }

    /// Time, names, connections and chance.
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// Takes the settings of now: call after [`Shared::reload`]. DNS servers stay as they were at the start.
    pub fn reload(&self) {
        let settings = self.shared.settings();
        self.relay.reload(routing(&settings, &self.listening), settings.relay.schedule);
    }

    /// Sends until the system stops, then finishes what is under way.
    pub async fn run(self) -> Result<(), StoreError> {
        let shutdown = self.shared.shutdown.clone();
        self.relay.run(async move { shutdown.wait().await }).await
    }
}

/// Where mail goes, by these settings.
pub fn routing(settings: &Settings, listening: &[SocketAddr]) -> Routing {
    Routing {
        hostname: settings.hostname.clone(),
        listening: listening.to_vec(),
        port: settings.relay.port,
        routes: settings.routes.clone(),
        catch_all: settings.local.catch_all.clone(),
    }
}
