//! The envelope of a submission (RFC 8621 §7): as the client gives it, or as the message's header says.

use std::collections::HashSet;

use mail::{Address, DsnReturn, Hold, Recipient, ReversePath, Timestamp};
use message::envelope::EnvelopeAddress;
use message::header::Header;
use mta::accept::{self, NotHeld};
use serde_json::{Map, Value};
use store::{Addressed, SubmittedEnvelope};
use wire::smtp::server::{ENVID_LEN, ORCPT_LEN, read_future_release, read_notify};

use crate::args::Args;
use crate::error::SetError;

/// An envelope, understood.
#[derive(Debug)]
pub(super) struct Understood {
    pub(super) reverse_path: ReversePath,
    pub(super) recipients: Vec<Recipient>,
    pub(super) dsn_return: Option<DsnReturn>,
    pub(super) envelope_id: Option<String>,
    /// How long it is held back.
    pub(super) hold: Option<Hold>,
}

fn invalid(why: impl Into<String>) -> SetError {
    SetError::properties(&["envelope"], why)
}

fn invalid_email(property: &str, why: &str) -> SetError {
    SetError::with("invalidEmail", why).and("properties", vec![property])
}

/// An envelope out of JSON.
pub(super) fn given(value: Value) -> Result<SubmittedEnvelope, SetError> {
    let mut members = Args::of(value, "envelope").map_err(|_| invalid("it is an object"))?;
    let from = members.value("mailFrom").ok_or_else(|| invalid("mailFrom is missing"))?;
    let Some(Value::Array(to)) = members.value("rcptTo") else { return Err(invalid("rcptTo is an array")) };
    members.finish().map_err(|_| invalid("it has mailFrom and rcptTo, and nothing else"))?;
    Ok(SubmittedEnvelope { from: address(from)?, to: to.into_iter().map(address).collect::<Result<_, _>>()? })
}

fn address(value: Value) -> Result<Addressed, SetError> {
    let wrong = || invalid("an address is an object with email and parameters");
    let mut members = Args::of(value, "an address").map_err(|_| wrong())?;
    let email = members.string("email").ok().flatten().ok_or_else(wrong)?;
    let parameters = members.object("parameters").map_err(|_| wrong())?.map(parameters).transpose()?;
    members.finish().map_err(|_| wrong())?;
    Ok(Addressed { email, parameters })
}

fn parameters(members: Map<String, Value>) -> Result<Vec<(String, Option<String>)>, SetError> {
    let one = |(name, value)| match value {
        Value::Null => Ok((name, None)),
        Value::String(text) => Ok((name, Some(text))),
        _ => Err(invalid(format!("the value of {name} is a string or null"))),
    };
    members.into_iter().map(one).collect()
}

/// The envelope that a header stands for (RFC 8621 §7).
pub(super) fn found(header: &Header<'_>) -> Result<SubmittedEnvelope, SetError> {
    let of = |name: &str| -> Vec<EnvelopeAddress> {
        header.all(name).flat_map(|field| message::envelope::addresses(field.raw_value())).collect()
    };
    let people = |name: &str| -> Vec<String> { of(name).iter().filter_map(written).collect() };
    let (property, senders) = match people("Sender") {
        senders if senders.is_empty() => ("from", people("From")),
        senders => ("sender", senders),
    };
    let from = match <[String; 1]>::try_from(senders) {
        Ok([from]) => from,
        // Who of several it is the client must say.
        Err(_) => return Err(invalid_email(property, "it has no address, or more than one")),
    };
    let plain = |email| Addressed { email, parameters: None };
    let mut seen = HashSet::new();
    let to = ["To", "Cc", "Bcc"].into_iter().flat_map(people);
    let to = to.filter(|email| seen.insert(email.to_lowercase())).map(plain).collect();
    Ok(SubmittedEnvelope { from: plain(from), to })
}

/// An address of a header as it is written in an envelope; one that can't be is refused there.
pub(super) fn written(address: &EnvelopeAddress) -> Option<String> {
    let plain = address.address()?;
    let (local, host) = plain.rsplit_once('@')?;
    let whole = wire::address::domain(host).ok().and_then(|domain| Address::new(local, domain).ok());
    Some(whole.map_or(plain.clone(), |whole| whole.to_string()))
}

/// What an envelope means at `now`; `most`: recipients.
pub(super) fn understood(envelope: &SubmittedEnvelope, now: Timestamp, most: usize) -> Result<Understood, SetError> {
    if envelope.to.is_empty() {
        return Err(SetError::new("noRecipients"));
    }
    if envelope.to.len() > most {
        return Err(SetError::new("tooManyRecipients").and("maxRecipients", most));
    }
    let reverse_path = match envelope.from.email.as_str() {
        // RFC 8621 §7: null, as receipts have it (RFC 8098 §3).
        "" => ReversePath::Null,
        email => {
            let address = wire::address::mailbox(email);
            ReversePath::Address(address.map_err(|why| SetError::with("forbiddenMailFrom", why.to_string()))?)
        }
    };
    let mut understood =
        Understood { reverse_path, recipients: Vec::new(), dsn_return: None, envelope_id: None, hold: None };
    understood.sender_parameters(&envelope.from, now)?;
    let mut bad = Vec::new();
    for recipient in &envelope.to {
        match wire::address::mailbox(&recipient.email) {
            Ok(address) => understood.recipients.push(recipient_with(address, recipient)?),
            Err(_) => bad.push(recipient.email.clone()),
        }
    }
    if bad.is_empty() { Ok(understood) } else { Err(SetError::new("invalidRecipients").and("invalidRecipients", bad)) }
}

fn pairs(addressed: &Addressed) -> impl Iterator<Item = (String, Option<&str>)> {
    let pairs = addressed.parameters.iter().flatten();
    // RFC 5321 §4.1.2: esmtp-keyword, in any case.
    pairs.map(|(name, value)| (name.to_ascii_uppercase(), value.as_deref()))
}

impl Understood {
    fn sender_parameters(&mut self, from: &Addressed, now: Timestamp) -> Result<(), SetError> {
        for (name, value) in pairs(from) {
            let wrong = || invalid(format!("{name} has no such value"));
            match (name.as_str(), value) {
                // RFC 4865 §3: one of them, once.
                ("HOLDFOR" | "HOLDUNTIL", _) if self.hold.is_some() => {
                    return Err(invalid("HOLDFOR and HOLDUNTIL are both given"));
                }
                (keyword @ ("HOLDFOR" | "HOLDUNTIL"), Some(value)) => {
                    let said = read_future_release(keyword, value.as_bytes()).ok_or_else(wrong)?;
                    self.hold = Some(accept::hold(&said, now).map_err(|why| match why {
                        NotHeld::NoDate => wrong(),
                        NotHeld::TooLong => invalid(format!("{keyword} is longer than maxDelayedSend")),
                    })?);
                }
                // RFC 3461 §4.3, §4.4
                ("RET", Some(value)) if value.eq_ignore_ascii_case("FULL") => self.dsn_return = Some(DsnReturn::Full),
                ("RET", Some(value)) if value.eq_ignore_ascii_case("HDRS") => {
                    self.dsn_return = Some(DsnReturn::Headers);
                }
                ("ENVID", Some(value)) if is_text(value, ENVID_LEN) => self.envelope_id = Some(value.to_owned()),
                // What we see for ourselves.
                ("SIZE", Some(value)) if value.parse::<u64>().is_ok() => {}
                ("BODY", Some(value)) if ["7BIT", "8BITMIME"].iter().any(|one| value.eq_ignore_ascii_case(one)) => {}
                ("SMTPUTF8", None) => {}
                ("RET" | "ENVID" | "SIZE" | "BODY" | "SMTPUTF8" | "HOLDFOR" | "HOLDUNTIL", _) => return Err(wrong()),
                _ => return Err(invalid(format!("mailFrom has no parameter {name} here"))),
            }
        }
        Ok(())
    }
}

/// It is written into reports.
fn is_text(text: &str, most: usize) -> bool {
    !text.is_empty() && text.len() <= most && !text.chars().any(char::is_control)
}

fn recipient_with(address: Address, given: &Addressed) -> Result<Recipient, SetError> {
    let mut recipient = Recipient::new(address);
    for (name, value) in pairs(given) {
        match (name.as_str(), value) {
            ("NOTIFY", Some(value)) => {
                // RFC 3461 §4.1
                recipient.notify = read_notify(value.as_bytes()).ok_or_else(|| invalid("NOTIFY has no such value"))?;
            }
            ("ORCPT", Some(value)) => {
                let kind = value.split_once(';').map(|(kind, _)| kind).unwrap_or_default();
                let is_kind = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
                if !is_kind || !is_text(value, ORCPT_LEN) {
                    return Err(invalid("ORCPT has no such value"));
                }
                recipient.original = Some(value.to_owned());
            }
            _ => return Err(invalid(format!("rcptTo has no parameter {name} here"))),
        }
    }
    Ok(recipient)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    fn of(from: Value, to: Value) -> Result<Understood, SetError> {
        let value = json!({
            "mailFrom": { "email": "alice@red.example", "parameters": from },
            "rcptTo": [{ "email": "bob@blue.example", "parameters": to }],
        });
        understood(&given(value)?, NOW, 1)
    }

    #[test]
    fn holding_is_bounded() {
        let longest = mail::limits::HOLD_LONGEST.as_secs();
        let hold = |seconds: u64| of(json!({ "HOLDFOR": seconds.to_string() }), Value::Null).map(|one| one.hold);
        assert_eq!(hold(longest), Ok(Some(Hold::For(u32::try_from(longest).unwrap()))));
        assert!(hold(longest + 1).is_err());
        let hold = |date: &str| of(json!({ "holdUntil": date }), Value::Null).map(|one| one.hold);
        assert_eq!(hold("2026-11-18T12:00:00Z").unwrap(), Some(Hold::Until(Timestamp::from_secs(1_795_003_200))));
        assert!(hold("2028-11-01T12:00:00Z").is_err() && hold("tomorrow").is_err());
    }

    #[test]
    fn parameters_are_understood() {
        let from = json!({ "RET": "hdrs", "ENVID": "a b", "SIZE": "9", "BODY": "8BITMIME", "SMTPUTF8": null });
        let one = of(from, json!({ "NOTIFY": "SUCCESS,DELAY", "ORCPT": "rfc822;b@x" })).unwrap();
        assert_eq!((one.dsn_return, one.envelope_id.as_deref()), (Some(DsnReturn::Headers), Some("a b")));
        let to = &one.recipients[0];
        assert!(to.notify.success && to.notify.delay && !to.notify.failure && to.notify.given);
        assert_eq!(to.original.as_deref(), Some("rfc822;b@x"));
        for bad in [
            json!({ "RET": "some" }),
            json!({ "ENVID": "" }),
            json!({ "ENVID": "a\r\nb" }),
            json!({ "ENVID": "x".repeat(ENVID_LEN + 1) }),
            json!({ "HOLDFOR": "+1" }),
            json!({ "HOLDFOR": null }),
            json!({ "HOLDFOR": "1", "HOLDUNTIL": "2026-11-19T12:00:00Z" }),
            json!({ "SMTPUTF8": "1" }),
            json!({ "BY": "1;R" }),
            json!({ "SIZE": 1 }),
        ] {
            assert!(of(bad.clone(), Value::Null).is_err(), "{bad}");
        }
        for bad in [json!({ "NOTIFY": "NEVER,SUCCESS" }), json!({ "ORCPT": "x" }), json!({ "X": null })] {
            assert!(of(Value::Null, bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_become_envelopes() {
        let of = |header: &str| found(&Header::of(header.replace('\n', "\r\n").as_bytes()));
        let one = of("From: a@x\nSender: s@x\nTo: \"B, b\" <b@x>, Group: c@x, d@x;\nCc: B@x\nBcc: e@x\n\n").unwrap();
        let to: Vec<&str> = one.to.iter().map(|one| one.email.as_str()).collect();
        assert_eq!((one.from.email.as_str(), to), ("s@x", vec!["b@x", "c@x", "d@x", "e@x"]));
        assert!(of("From: a@x, b@x\nTo: c@x\n\n").is_err() && of("To: c@x\n\n").is_err());
    }
}
