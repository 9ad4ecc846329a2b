//! Making signatures (RFC 6376 §5).

use std::collections::HashMap;

use mail::Timestamp;
use mail_auth::common::crypto::SigningKey as _;
use mail_auth::dkim::{Canonicalization, Signature};

use super::key::{BadKey, Signer};
use crate::letter::Letter;

/// Fields that are signed once more often than they stand: nobody can add another above a good signature
/// (RFC 6376 §8.15).
const CLOSED: [&str; 10] = [
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

/// Fields that are signed as often as they stand (RFC 6376 §5.4.1): others may come by way of a list.
const OPEN: [&str; 12] = [
    "Sender",
    "In-Reply-To",
    "References",
    "Content-Disposition",
    "List-Id",
    "List-Help",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Subscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
];

/// The field, with its line end. The letter's body was hashed for it ([`Letter::hash_for_a_signature`]).
///
/// # Errors
/// The key does not sign.
pub fn sign(letter: &Letter<'_>, signer: &Signer, now: Timestamp) -> Result<String, BadKey> {
    let mut signature = Signature {
        v: 1,
        a: signer.key.algorithm(),
        d: signer.domain.clone(),
        s: signer.selector.clone(),
        h: names(letter),
        t: u64::try_from(now.millis() / 1000).unwrap_or(0),
        ch: Canonicalization::Relaxed,
        cb: Canonicalization::Relaxed,
        bh: letter.body_hash(Canonicalization::Relaxed).ok_or(BadKey)?.to_vec(),
        ..Signature::default()
    };
    let mut data = Vec::new();
    signature.ch.canonicalize_headers(letter.chosen(&signature.h).into_iter(), &mut data);
    // RFC 6376 §3.7: last comes the field itself, without the signature.
    signature.write(&mut data, false);
    signature.b = signer.key.sign(data.as_slice()).map_err(|_| BadKey)?;
    let mut field = Vec::new();
    signature.write(&mut field, true);
    String::from_utf8(field).map_err(|_| BadKey)
}

/// What `h=` says of this message.
pub(crate) fn names(letter: &Letter<'_>) -> Vec<String> {
    let mut there: HashMap<String, usize> = HashMap::new();
    for (name, _) in letter.fields() {
        *there.entry(String::from_utf8_lossy(name).trim_end().to_ascii_lowercase()).or_default() += 1;
    }
    let count = |name: &str| there.get(&name.to_ascii_lowercase()).copied().unwrap_or(0);
    let closed = CLOSED.iter().flat_map(|name| std::iter::repeat_n(*name, count(name) + 1));
    let open = OPEN.iter().flat_map(|name| std::iter::repeat_n(*name, count(name)));
    closed.chain(open).map(str::to_owned).collect()
}
