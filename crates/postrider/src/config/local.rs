//! `[local]`: what only the small internet of `postrider local` sets.

use std::net::SocketAddr;

use mail::Address;
use server::settings::LocalSettings;

use super::read::section;

section! {
    /// Only for the small internet that `postrider local` makes; not for a server that others rely on.
    Local {
        /// Recipients that misbehave on purpose: `later@`, `refused@`, `full@`, `slow@` and `cut@` do on port 25 what their
        /// names say.
        misbehave: bool = false;
        /// Whether mail that comes over loopback is checked by SPF, DKIM and DMARC like mail from elsewhere.
        authenticate: bool = false;
        /// Gets mail for every address and domain that nobody here has, so that nothing leaves the machine.
        catch_all: Option<Address> = None;
        /// Addresses with ports that pictures of messages may be fetched from, though they are private.
        reach: Vec<SocketAddr> = Vec::new();
    }
}

impl Local {
    pub(super) fn settings(&self) -> LocalSettings {
        LocalSettings {
            misbehave: self.misbehave,
            authenticate: self.authenticate,
            catch_all: self.catch_all.clone(),
            reach: self.reach.clone(),
            ..LocalSettings::default()
        }
    }
}
