//! The fields that are put on top of a message (RFC 5321 §4.4).

use std::borrow::Cow;

use mail::{Address, Domain, QueueId, ReversePath, Timestamp};
use message::header::{Field, Header};
use wire::smtp::server::Hello;

/// What the Received field says.
pub(super) struct Received<'a> {
    pub(super) hello: &'a Hello,
    /// The client's address; none: not shown.
    pub(super) ip: Option<std::net::IpAddr>,
    pub(super) by: &'a Domain,
    pub(super) protocol: &'a str,
    pub(super) tls: Option<&'a store::Tls>,
    pub(super) id: QueueId,
    /// The only recipient, where there is one only: others would learn who got a blind copy.
    pub(super) recipient: Option<&'a Address>,
    pub(super) at: Timestamp,
}

/// `with`, of what came by JMAP.
pub(super) const HTTP: &str = "HTTP";

/// `with`, of what was handed in on this machine.
pub(super) const LOCAL: &str = "local";

/// `with` (RFC 3848, RFC 6531 §4.3).
pub(super) fn protocol(extended: bool, tls: bool, log_in: bool, smtputf8: bool) -> &'static str {
    match (extended, smtputf8, tls, log_in) {
        (false, ..) => "SMTP",
        (_, false, false, false) => "ESMTP",
        (_, false, true, false) => "ESMTPS",
        (_, false, false, true) => "ESMTPA",
        (_, false, true, true) => "ESMTPSA",
        (_, true, false, false) => "UTF8SMTP",
        (_, true, true, false) => "UTF8SMTPS",
        (_, true, false, true) => "UTF8SMTPA",
        (_, true, true, true) => "UTF8SMTPSA",
    }
}

impl Received<'_> {
    /// `Time-stamp-line`, folded, with CRLF.
    pub(super) fn line(&self) -> String {
        let mut line = String::from("Received:");
        if let Some(ip) = self.ip {
            // Extended-Domain = Domain FWS "(" TCP-info ")": what the client said, and what we know.
            line += &format!(" from {} ({})", name(&self.hello.name), Domain::literal(ip));
            line += "\r\n\t";
        } else {
            line += " ";
        }
        line += &format!("by {} with {} id {}", self.by, self.protocol, self.id);
        if let Some(tls) = self.tls {
            line += &format!("\r\n\t(using {} with cipher {})", tls.version, tls.cipher);
        }
        if let Some(recipient) = self.recipient {
            line += &format!("\r\n\tfor <{recipient}>");
        }
        line += &format!(";\r\n\t{}\r\n", message::date::rfc5322(self.at));
        line
    }
}

/// What the client called itself, if that can stand in a field; else `unknown`.
fn name(said: &str) -> &str {
    let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    if said.bytes().all(ok) { said } else { "unknown" }
}

/// Put on top at final delivery. RFC 5321 §4.4: Return-Path, by the one who delivers. Delivered-To: how loops
/// over forwarding aliases are found.
pub(super) fn delivery(sender: &ReversePath, account: &Address) -> Vec<u8> {
    format!("Return-Path: {sender}\r\nDelivered-To: {account}\r\n").into_bytes()
}

/// The header without results of authentication that claim to be ours: who reads them believes them (RFC 8601 §5).
pub(super) fn without_forged<'a>(header: &Header<'a>, host: &Domain) -> Cow<'a, [u8]> {
    let is_forged = |field: &Field<'_>| {
        field.is("Authentication-Results") && trust::results::is_of(field.raw_value(), host.as_str())
    };
    if !header.fields().any(|field| is_forged(&field)) {
        return Cow::Borrowed(header.bytes());
    }
    let mut out = Vec::with_capacity(header.bytes().len());
    let mut end = 0;
    for field in header.fields() {
        end = field.range().end;
        if !is_forged(&field) {
            out.extend_from_slice(field.bytes());
        }
    }
    out.extend_from_slice(&header.bytes()[end..]);
    Cow::Owned(out)
}

/// Put on top of what an alias sends on.
pub(super) fn forwarding(alias: &Address) -> Vec<u8> {
    format!("Delivered-To: {alias}\r\n").into_bytes()
}
