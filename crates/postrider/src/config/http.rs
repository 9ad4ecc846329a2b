//! `[http]`: who may see what.

use server::listen::IpNetwork;

use super::read::section;

section! {
    /// Health (`/healthz`), metrics (`/metrics`) and a page for people (`/`).
    Http {
        /// Networks that may see /metrics, besides loopback.
        metrics_from: Vec<IpNetwork> = Vec::new();
    }
}
