//! `[[trusted]]`: networks whose machines send without log-in.

use std::sync::Arc;

use mail::limits;
use mta::accept;
use server::listen::IpNetwork;
use server::trusted::TrustedNetwork;
use toml::de::{DeTable, DeValue};

use super::read::{Problems, Value, place, section};

section! {
    /// A network whose machines (printers, devices) may send mail elsewhere without log-in, on the ports of `smtp` and
    /// `submission`, with or without TLS; `[[trusted]]` may come many times, and the first that has a client's address counts.
    /// Whoever can use an address there can send in your name: name as few as you can. What they send is told in its journey.
    Trusted {
        /// The network, or an address. Required.
        network: Option<IpNetwork> = None;
        /// Which senders they may name: those of our own domains, or anybody.
        may: Senders = Senders::Ours;
        /// Messages that may come from the network in an hour; then it is told to try again later.
        messages_per_hour: usize = limits::TRUSTED_PER_HOUR;
    }
}

/// Which senders a machine may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Senders {
    Ours,
    Anybody,
}

impl Value for Senders {
    const KIND: &'static str = "\"send-as-ours\" or \"send-as-anybody\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("send-as-ours") => Ok(Self::Ours),
            Some("send-as-anybody") => Ok(Self::Anybody),
            _ => Err(format!("write {}", Self::KIND)),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Ours => "\"send-as-ours\"".into(),
            Self::Anybody => "\"send-as-anybody\"".into(),
        }
    }
}

/// Reads every `[[trusted]]`.
pub(super) fn read(root: &DeTable<'_>, problems: &mut Problems<'_>) -> Vec<TrustedNetwork> {
    super::tables(root, "trusted", problems, |table, span, problems| {
        let before = problems.found.len();
        let Trusted { network, may, messages_per_hour } = Trusted::read(table, "trusted", &[], problems);
        let Some(network) = network else {
            if problems.found.len() == before {
                problems.error(span, "[[trusted]] has no network; set network = \"10.0.0.0/24\"");
            }
            return None;
        };
        // All addresses of a family: that is what an open relay is.
        if network.is_everything() {
            let why = "[trusted] network: that is everybody, and the server an open relay; name your own machines";
            problems.error(&place(table, "network"), why);
        }
        let may = accept::Trusted { network: network.to_string(), as_anybody: may == Senders::Anybody };
        Some(TrustedNetwork { network, may: Arc::new(may), per_hour: messages_per_hour })
    })
}
