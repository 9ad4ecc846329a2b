//! What is put right in a message of our own users (RFC 6409 §8).

use mail::{Domain, Timestamp};
use message::header::Header;

use crate::world::Random;

/// Who would be shown to whom it is hidden from (RFC 5322 §3.6.3).
const BLIND: [&str; 2] = ["Bcc", "Resent-Bcc"];

/// The header as it is stored, and its Message-ID.
pub(super) fn put_right(
    header: &Header<'_>,
    domain: &Domain,
    random: &dyn Random,
    now: Timestamp,
) -> (Vec<u8>, String) {
    let mut out = Vec::with_capacity(header.bytes().len() + 128);
    // RFC 6409 §8.3
    let id = header.message_id().unwrap_or_else(|| {
        let id = format!("<{}@{domain}>", random.token());
        out.extend_from_slice(format!("Message-ID: {id}\r\n").as_bytes());
        id
    });
    // RFC 6409 §8.2
    if header.get("Date").is_none() {
        out.extend_from_slice(format!("Date: {}\r\n", message::date::rfc5322(now)).as_bytes());
    }
    out.extend_from_slice(&header.without(&BLIND));
    (out, id)
}
