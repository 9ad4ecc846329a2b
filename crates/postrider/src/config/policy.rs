//! `[policy]`: what strangers, and our own users, may do how often.

use std::time::Duration;

use mail::{Domain, limits};
use mta::accept::authenticate::Enforce;
use mta::policy::Rules;
use server::settings::PolicySettings;
use toml::de::DeValue;

use super::read::{Value, section};

section! {
    /// Who may bring how much, and who nothing. Loopback is exempt. What is counted survives a restart; who is refused hears why
    /// and when to come again. docs/policy.md tells more.
    Policy {
        /// What is done where the domain in From says by DMARC what it wants done with mail that is not its own: what it
        /// wants (refused, or put into Junk), or nothing but to say so, or not even checked. Loopback, `[[trusted]]` networks
        /// and who has logged in are not asked. What can't be looked up just now is no reason to refuse anything.
        dmarc: Enforce = Enforce::Yes;
        /// Connections of one address to port 25 within a minute (IPv6: of one /64). A network (IPv4: /24, IPv6: /48) may have four times as many.
        connections_per_minute: usize = limits::POLICY_CONNECTIONS as usize;
        /// Messages of one address within an hour; networks likewise.
        messages_per_hour: usize = limits::POLICY_MESSAGES as usize;
        /// Recipients of one address within an hour; networks likewise.
        recipients_per_hour: usize = limits::POLICY_RECIPIENTS as usize;
        /// Recipients that one account may send to within an hour.
        account_recipients_per_hour: usize = limits::POLICY_ACCOUNT_RECIPIENTS as usize;
        /// DNS lists of addresses that bring nothing, like "zen.spamhaus.org". Only the postmaster gets their mail.
        blocklists: Vec<Domain> = Vec::new();
        /// DNS lists of addresses that are not looked for in the others, need no name, and need not come again.
        allowlists: Vec<Domain> = Vec::new();
        /// Whether an address must have a name in DNS that leads back to it.
        reverse_dns: bool = false;
        /// Whether who is not known is asked to come again after five minutes. It keeps much junk away, and delays first mail.
        greylist: bool = false;
        /// Who speaks before the greeting, which comes after this time, is a program that sends junk. "0s": it comes at once.
        greet_delay: Duration = Duration::ZERO;
        /// Senders that bring nothing: addresses or domains.
        refused_senders: Vec<String> = Vec::new();
        /// Recipients who get nothing from elsewhere: addresses or domains.
        refused_recipients: Vec<String> = Vec::new();
    }
}

impl Policy {
    pub(super) fn settings(self) -> PolicySettings {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        PolicySettings {
            dmarc: self.dmarc,
            greet_delay: self.greet_delay,
            rules: Rules {
                connections: count(self.connections_per_minute),
                messages: count(self.messages_per_hour),
                recipients: count(self.recipients_per_hour),
                account: count(self.account_recipients_per_hour),
                blocklists: self.blocklists,
                allowlists: self.allowlists,
                reverse_dns: self.reverse_dns,
                refused_senders: self.refused_senders,
                refused_recipients: self.refused_recipients,
                greylist: self.greylist,
            },
        }
    }
}

impl Value for Enforce {
    const KIND: &'static str = "\"enforce\", \"report\" or \"off\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("enforce") => Ok(Self::Yes),
            Some("report") => Ok(Self::Report),
            Some("off") => Ok(Self::Off),
            _ => Err(format!("write {}", Self::KIND)),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Yes => "\"enforce\"".into(),
            Self::Report => "\"report\"".into(),
            Self::Off => "\"off\"".into(),
        }
    }
}
