//! The parameters of MAIL and RCPT.

use mail::{BodyType, DsnReturn, Notify, Reply, ReversePath};

use super::{Config, FutureRelease, Role, Sender};
use crate::smtp::xtext;

/// RFC 3461 §4.4, §4.2: at most so many characters.
/// RFC 3461 §4.4: octets of ENVID.
pub const ENVID_LEN: usize = 100;
/// RFC 3461 §4.2: octets of ORCPT.
pub const ORCPT_LEN: usize = 500;

fn invalid(which: &str) -> Reply {
    Reply::new(501, (5, 5, 4), format!("Invalid parameter {which}"))
}

/// RFC 5321 §4.1.1.11: a parameter that was not offered.
fn unknown() -> Reply {
    Reply::new(555, (5, 5, 4), "Parameter not recognised")
}

/// `esmtp-param`s one by one: keyword in upper case, value. A keyword may come once.
fn each<'a>(text: &'a [u8], mut take: impl FnMut(&str, Option<&'a [u8]>) -> Result<(), Reply>) -> Result<(), Reply> {
    let mut seen = Vec::new();
    for word in text.split(|b| *b == b' ').filter(|word| !word.is_empty()) {
        let (keyword, value) = match word.iter().position(|b| *b == b'=') {
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (word, None),
        };
        let keyword = String::from_utf8_lossy(keyword).to_ascii_uppercase();
        take(&keyword, value)?;
        if seen.contains(&keyword) {
            return Err(invalid(&keyword));
        }
        seen.push(keyword);
    }
    Ok(())
}

pub(super) fn sender(reverse_path: ReversePath, text: &[u8], config: &Config) -> Result<Sender, Reply> {
    let mut sender = Sender {
        reverse_path,
        size: None,
        body: BodyType::SevenBit,
        smtputf8: false,
        dsn_return: None,
        envelope_id: None,
        future_release: None,
    };
    each(text, |keyword, value| {
        match (keyword, value) {
            // RFC 1870 §6
            ("SIZE", Some(value)) => sender.size = Some(size(value, config)?),
            // RFC 6152 §2, RFC 3030 §3
            ("BODY", Some(value)) => {
                sender.body = match value.to_ascii_uppercase().as_slice() {
                    b"7BIT" => BodyType::SevenBit,
                    b"8BITMIME" => BodyType::EightBitMime,
                    b"BINARYMIME" => BodyType::BinaryMime,
                    _ => return Err(invalid("BODY")),
                }
            }
            // RFC 6531 §3.4
            ("SMTPUTF8", None) => sender.smtputf8 = true,
            // RFC 3461 §4.3
            ("RET", Some(value)) => {
                sender.dsn_return = Some(match value.to_ascii_uppercase().as_slice() {
                    b"FULL" => DsnReturn::Full,
                    b"HDRS" => DsnReturn::Headers,
                    _ => return Err(invalid("RET")),
                });
            }
            ("ENVID", Some(value)) if !value.is_empty() && value.len() <= ENVID_LEN => {
                let decoded = xtext::decode(value).filter(|id| !id.chars().any(char::is_control));
                sender.envelope_id = Some(decoded.ok_or_else(|| invalid("ENVID"))?);
            }
            // RFC 4865 §3: one of them, and only where it was offered.
            ("HOLDFOR" | "HOLDUNTIL", _) if sender.future_release.is_some() => {
                return Err(Reply::new(501, (5, 5, 4), "HOLDFOR and HOLDUNTIL exclude each other, and come once"));
            }
            ("HOLDFOR" | "HOLDUNTIL", value) if config.future_release.is_some() => {
                let read = value.and_then(|value| read_future_release(keyword, value));
                sender.future_release = Some(read.ok_or_else(|| invalid(keyword))?);
            }
            // RFC 4954 §5: who is trusted to say so is nobody here; so it is read and not believed.
            ("AUTH", Some(value)) if config.role == Role::Submission => {
                xtext::decode(value).ok_or_else(|| invalid("AUTH"))?;
            }
            ("SIZE" | "BODY" | "SMTPUTF8" | "RET" | "ENVID", _) => return Err(invalid(keyword)),
            _ => return Err(unknown()),
        }
        Ok(())
    })?;
    Ok(sender)
}

fn size(value: &[u8], config: &Config) -> Result<u64, Reply> {
    // RFC 1870 §3: 1 to 20 digits; what does not fit into 64 bits is too big as well.
    if value.is_empty() || value.len() > 20 || !value.iter().all(u8::is_ascii_digit) {
        return Err(invalid("SIZE"));
    }
    let size = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()).unwrap_or(u64::MAX);
    if size > config.message_size { Err(too_big()) } else { Ok(size) }
}

/// Over the limit that EHLO tells. RFC 1870 §6.1 (2): 552.
pub fn too_big() -> Reply {
    Reply::new(552, (5, 3, 4), "Message is too big")
}

pub(super) fn recipient(text: &[u8]) -> Result<(Notify, Option<String>), Reply> {
    let (mut notify, mut original) = (Notify::default(), None);
    each(text, |keyword, value| {
        match (keyword, value) {
            ("NOTIFY", Some(value)) => notify = read_notify(value).ok_or_else(|| invalid("NOTIFY"))?,
            ("ORCPT", Some(value)) if value.len() <= ORCPT_LEN => {
                original = Some(read_original(value).ok_or_else(|| invalid("ORCPT"))?);
            }
            ("NOTIFY" | "ORCPT", _) => return Err(invalid(keyword)),
            _ => return Err(unknown()),
        }
        Ok(())
    })?;
    Ok((notify, original))
}

/// RFC 4865 §3: `future-release-integer = 1*9DIGIT` behind HOLDFOR, a `date-time` behind HOLDUNTIL. `keyword` is in upper case.
pub fn read_future_release(keyword: &str, value: &[u8]) -> Option<FutureRelease> {
    let text = std::str::from_utf8(value).ok().filter(|text| !text.is_empty())?;
    match keyword {
        "HOLDFOR" if text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse().ok().map(FutureRelease::For)
        }
        "HOLDUNTIL" if text.bytes().all(|b| b.is_ascii_graphic()) => Some(FutureRelease::Until(text.to_owned())),
        _ => None,
    }
}

/// RFC 3461 §4.1: NEVER alone, or a list.
pub fn read_notify(value: &[u8]) -> Option<Notify> {
    if value.eq_ignore_ascii_case(b"NEVER") {
        return Some(Notify::NEVER);
    }
    let mut notify = Notify::NEVER;
    for word in value.split(|b| *b == b',') {
        match word.to_ascii_uppercase().as_slice() {
            b"SUCCESS" => notify.success = true,
            b"FAILURE" => notify.failure = true,
            b"DELAY" => notify.delay = true,
            _ => return None,
        }
    }
    Some(notify)
}

/// RFC 3461 §4.2: `addr-type ";" xtext`.
fn read_original(value: &[u8]) -> Option<String> {
    let at = value.iter().position(|b| *b == b';')?;
    let (kind, address) = (std::str::from_utf8(&value[..at]).ok()?, &value[at + 1..]);
    if kind.is_empty() || !kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return None;
    }
    let address = match kind.eq_ignore_ascii_case("utf-8") {
        true => xtext::decode_utf8_address(address)?,
        false => xtext::decode(address)?,
    };
    // It is written into reports.
    (!address.is_empty() && !address.chars().any(char::is_control)).then(|| format!("{kind};{address}"))
}
