//! `[relay]`: mail that goes out.

use std::time::Duration;

use mail::limits;
use mta::queue::Schedule;
use server::dns::DnsSettings;
use server::settings::RelaySettings;

use super::read::section;

section! {
    /// How mail goes to other servers.
    Relay {
        /// Where an MX listens. Tests set another one.
        port: u16 = 25;
        /// The first retry comes after this; each later one waits longer.
        first_retry: Duration = limits::QUEUE_FIRST_RETRY;
        /// No retry waits longer than this.
        last_retry: Duration = limits::QUEUE_LAST_RETRY;
        /// Mail that can't be delivered for so long is returned to its sender.
        lifetime: Duration = limits::QUEUE_LIFETIME;
        /// A delay this long is told to the sender.
        warning: Duration = limits::QUEUE_WARNING;
        /// Connections to one destination at once.
        per_destination: usize = limits::RELAY_PER_DESTINATION;
        /// Connections to all destinations at once.
        connections: usize = limits::RELAY_CONNECTIONS;
    }
}

impl Relay {
    pub(super) fn settings(&self, dns: DnsSettings) -> RelaySettings {
        RelaySettings {
            port: self.port,
            dns,
            schedule: Schedule {
                first_retry: self.first_retry,
                last_retry: self.last_retry,
                lifetime: self.lifetime,
                warning: self.warning,
                per_destination: self.per_destination,
                connections: self.connections,
            },
        }
    }
}
