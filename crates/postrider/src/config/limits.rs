//! `[limits]`: bounds that an operator may set.

use std::time::Duration;

use mail::limits;

use super::read::{Size, section};

section! {
    /// Bounds. docs/limits.md has those that can't be set, too. Limits per address exempt loopback.
    Limits {
        /// Octets of one message; larger ones get 552 after they were read.
        message_size: Size = Size(limits::MESSAGE_SIZE as u64);
        /// Recipients of one message.
        recipients: usize = limits::SMTP_RECIPIENTS;
        /// Connections in all.
        connections: usize = limits::CONNECTIONS;
        /// Connections of one address (IPv6: of one /64).
        connections_per_address: usize = limits::CONNECTIONS_PER_ADDRESS;
        /// Commands that failed before 421 ends an SMTP session.
        errors: usize = limits::SMTP_ERRORS;
        /// Commands of one SMTP session.
        commands: usize = limits::SMTP_COMMANDS;
        /// Messages of one SMTP session.
        messages: usize = limits::SMTP_MESSAGES;
        /// Received fields before a message counts as looping.
        hops: usize = limits::RECEIVED_HOPS;
        /// Failed log-ins of one address before it has to wait.
        login_failures: usize = limits::LOGIN_FAILURES;
        /// Wait for an SMTP command.
        command_timeout: Duration = limits::SMTP_COMMAND_TIMEOUT;
        /// Wait for the next piece of a message.
        data_timeout: Duration = limits::SMTP_DATA_TIMEOUT;
        /// A whole message must arrive in this time.
        message_timeout: Duration = limits::SMTP_MESSAGE_TIMEOUT;
        /// A silent POP3 session ends after this (RFC 1939 says at least 10 minutes).
        pop3_timeout: Duration = limits::POP3_TIMEOUT;
        /// A silent IMAP session ends after this (RFC 3501 says at least 30 minutes).
        imap_timeout: Duration = limits::IMAP_TIMEOUT;
    }
}

impl Limits {
    pub(super) const fn settings(&self) -> server::settings::Limits {
        server::settings::Limits {
            message_size: self.message_size.0,
            recipients: self.recipients,
            connections: self.connections,
            connections_per_address: self.connections_per_address,
            errors: self.errors,
            commands: self.commands,
            messages: self.messages,
            hops: self.hops,
            login_failures: self.login_failures,
            command_timeout: self.command_timeout,
            data_timeout: self.data_timeout,
            message_timeout: self.message_timeout,
            pop3_timeout: self.pop3_timeout,
            imap_timeout: self.imap_timeout,
        }
    }
}
