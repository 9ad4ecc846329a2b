//! Networks whose machines may send without log-in. Does: find the network of an address, and count what comes from each in an
//! hour. Does not: decide what they may do: `mta::accept` does.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use mail::Timestamp;
use mta::accept::Trusted;

use crate::listen::IpNetwork;

/// A network, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedNetwork {
    /// Its addresses.
    pub network: IpNetwork,
    /// What its machines may do.
    pub may: Arc<Trusted>,
    /// Messages in an hour.
    pub per_hour: usize,
}

impl TrustedNetwork {
    /// The first that has the address.
    pub fn of(all: &[Self], ip: IpAddr) -> Option<&Self> {
        all.iter().find(|one| one.network.contains(ip))
    }
}

/// What came from each network in this hour. As many as are configured, now or since the start.
#[derive(Debug, Default)]
pub struct Counts(Mutex<HashMap<IpNetwork, (i64, usize)>>);

impl Counts {
    /// Counts a message; whether it may come.
    pub fn admit(&self, network: &TrustedNetwork, now: Timestamp) -> bool {
        let hour = now.millis().div_euclid(3_600_000);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = counts.entry(network.network).or_default();
        if counted.0 != hour {
            *counted = (hour, 0);
        }
        counted.1 += 1;
        counted.1 <= network.per_hour
    }
}

#[cfg(test)]
mod tests {
    use mail::limits;

    use super::*;

    /// `TRUSTED_PER_HOUR`: so many, one more, and again in the next hour.
    #[test]
    fn messages_are_counted_by_the_hour() {
        let counts = Counts::default();
        let may = Arc::new(Trusted { network: "10.0.0.0/24".into(), as_anybody: false });
        let of = |network: &str| TrustedNetwork {
            network: network.parse().unwrap(),
            may: may.clone(),
            per_hour: limits::TRUSTED_PER_HOUR,
        };
        let (network, other) = (of("10.0.0.0/24"), of("10.0.1.0/24"));
        let now = Timestamp::from_secs(3599);
        assert!((0..limits::TRUSTED_PER_HOUR).all(|_| counts.admit(&network, now)));
        assert!(!counts.admit(&network, now) && counts.admit(&other, now));
        assert!(counts.admit(&network, Timestamp::from_secs(3600)));
    }

    #[test]
    fn the_first_network_counts() {
        let all = ["10.0.0.0/8", "::1/128"].map(|network| TrustedNetwork {
            network: network.parse().unwrap(),
            may: Arc::new(Trusted { network: network.into(), as_anybody: false }),
            per_hour: 1,
        });
        assert!(TrustedNetwork::of(&all, "10.1.2.3".parse().unwrap()).is_some());
        assert!(TrustedNetwork::of(&all, "::ffff:10.1.2.3".parse().unwrap()).is_some());
        assert!(TrustedNetwork::of(&all, "11.1.2.3".parse().unwrap()).is_none());
    }
}
