//! Who looks at a message before it is taken, by the settings of this moment. Does: put them in order. Does not: look.

use std::sync::Arc;

use mta::accept::authenticate::Authenticate;
use mta::accept::inspect::Inspect;
use mta::world::Dns;

use crate::settings::Settings;
use crate::signing::Sign;

/// In the order in which they are asked.
pub fn inspectors(settings: &Settings, dns: &Arc<dyn Dns>, sign: &Arc<Sign>) -> Vec<Arc<dyn Inspect>> {
    let loopback_too = settings.local.authenticate;
    let authenticate = Authenticate {
        dns: dns.clone(),
        hostname: settings.hostname.clone(),
        enforce: settings.policy.dmarc,
        exempt: Box::new(move |ip| ip.to_canonical().is_loopback() && !loopback_too),
    };
    vec![Arc::new(authenticate), sign.clone()]
}
