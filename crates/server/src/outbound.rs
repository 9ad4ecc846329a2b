//! Mail out of one mail system: the relay with the real world around it. Does: turn settings into routes and times,
//! run the relay until the system stops, and answer what others ask of it. Does not: know how mail is sent.

use std::sync::Arc;

use mta::relay::{Relay, Verifier};
use mta::route::Routing;
use mta::world::World;
use store::StoreError;

use crate::connect::{Network, SystemRandom};
use crate::dns::{Resolver, Servers};
use crate::settings::Settings;
use crate::shared::Shared;

/// Mail out, ready to run. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    shared: Arc<Shared>,
    resolver: Option<Arc<Resolver>>,
    world: World,
    /// The scheduler and its workers.
    pub relay: Arc<Relay>,
    /// Asks next hops of gateway domains whether a recipient exists.
    pub verifier: Arc<Verifier>,
}

impl Outbound {
    /// With the system's settings. Fails with a sentence where DNS can't be used.
    pub fn new(shared: Arc<Shared>) -> Result<Self, String> {
        let resolver = Arc::new(Resolver::new(&shared.settings().relay.dns)?);
        let world = World {
            clock: shared.clock.clone(),
            random: Arc::new(SystemRandom),
            dns: resolver.clone(),
            connect: Arc::new(Network::new()),
        };
        Ok(Self { resolver: Some(resolver), ..Self::in_world(shared, world) })
    }

    /// The same in another world, for tests.
    pub fn in_world(shared: Arc<Shared>, world: World) -> Self {
        shared.open_outside(&world);
        let settings = shared.settings();
        let relay = Relay::new(world.clone(), shared.store.clone(), routing(&settings), settings.relay.schedule);
        let verifier = Arc::new(Verifier::new(relay.clone()));
        Self { shared, resolver: None, world, relay, verifier }
    }

    /// Time, names, connections and chance.
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// Takes the settings of now: call after [`Shared::reload`].
    pub fn reload(&self) {
        let settings = self.shared.settings();
        self.relay.reload(routing(&settings), settings.relay.schedule);
    }

    /// From now on asks these DNS servers.
    pub fn ask_dns(&self, servers: Servers) {
        if let Some(resolver) = &self.resolver {
            resolver.ask_instead(servers);
        }
    }

    /// Sends until the system stops, then finishes what is under way.
    pub async fn run(self) -> Result<(), StoreError> {
        let shutdown = self.shared.shutdown.clone();
        self.relay.run(async move { shutdown.wait().await }).await
    }
}

/// Where mail goes, by these settings.
pub fn routing(settings: &Settings) -> Routing {
    Routing {
        hostname: settings.hostname.clone(),
        listening: settings.smtp.listening.clone(),
        port: settings.relay.port,
        routes: settings.routes.clone(),
        catch_all: settings.local.catch_all.clone(),
    }
}
