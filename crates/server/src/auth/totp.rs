//! Codes that change with time (RFC 6238): what a device shows that shares a secret with the account.
//!
//! Does: compute and compare codes, and write the secret as devices want it. Does not: keep secrets, or remember which
//! code was used: the store does.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use store::Totp;
use subtle::ConstantTimeEq;

use mail::{Address, Timestamp};

/// RFC 6238 §4.1: the recommended step, in seconds.
const STEP: u64 = 30;
/// RFC 4226 §4 R6: a secret of 160 bits is recommended.
const SECRET_LEN: usize = 20;
/// Digits of a code, as every device shows them.
const DIGITS: usize = 6;
/// RFC 6238 §5.2: at most one step for the way and the clock of a device, which may also be ahead.
const DRIFT: u64 = 1;

/// A new secret.
pub(crate) fn secret() -> Vec<u8> {
    super::hash::secret()[..SECRET_LEN].to_vec()
}

/// The code of a step (RFC 4226 §5.3).
pub(super) fn code(secret: &[u8], step: u64) -> String {
    #[allow(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).expect("any length is right");
    mac.update(&step.to_be_bytes());
    let hash: [u8; 20] = mac.finalize().into_bytes().into();
    let at = usize::from(hash[19] & 15);
    // 15 + 4 is the last of 20 octets.
    let number = u32::from_be_bytes([hash[at] & 0x7f, hash[at + 1], hash[at + 2], hash[at + 3]]);
    format!("{:0DIGITS$}", number % 1_000_000)
}

/// The step whose code this is, of those that count now and were not used.
pub(crate) fn step(totp: &Totp, said: &str, now: Timestamp) -> Option<u64> {
    let said: String = said.chars().filter(|c| *c != ' ').take(DIGITS + 1).collect();
    let current = u64::try_from(now.secs()).unwrap_or(0) / STEP;
    let steps = current.saturating_sub(DRIFT)..=current + DRIFT;
    // All are compared, so that time does not tell which it was.
    let fits = |step| bool::from(code(&totp.secret, step).as_bytes().ct_eq(said.as_bytes()));
    let found = steps.fold(None, |found, step| if fits(step) { Some(step) } else { found });
    // RFC 6238 §5.2: a code is good once.
    found.filter(|step| *step > totp.last_step)
}

/// What a device reads, mostly as a QR code (the form is that of Google Authenticator, which all others understand).
pub(crate) fn uri(secret: &[u8], account: &Address, issuer: &str) -> String {
    let account = escape(&account.to_string());
    let secret = base32(secret);
    format!(
        "otpauth://totp/{0}:{account}?secret={secret}&issuer={0}&algorithm=SHA1&digits={DIGITS}&period={STEP}",
        escape(issuer)
    )
}

fn escape(text: &str) -> String {
    let plain = |octet: &u8| octet.is_ascii_alphanumeric() || b"-._~".contains(octet);
    text.bytes()
        .map(|octet| if plain(&octet) { char::from(octet).to_string() } else { format!("%{octet:02X}") })
        .collect()
}

/// RFC 4648 §6, without padding, as devices want it.
pub(crate) fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::new();
    for five in bytes.chunks(5) {
        let bits = (0..5).fold(0u64, |bits, at| bits << 8 | u64::from(five.get(at).copied().unwrap_or(0)));
        let count = (five.len() * 8).div_ceil(5);
        text.extend((0..count).map(|n| char::from(LETTERS[(bits >> (35 - 5 * n) & 31) as usize])));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238 appendix B, the last six of its eight digits; RFC 4226 appendix D.
    #[test]
    fn codes_are_those_of_the_standards() {
        let secret = b"12345678901234567890";
        for (seconds, expected) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            assert_eq!(code(secret, seconds / STEP), expected);
        }
        for (count, expected) in [(0, "755224"), (1, "287082"), (9, "520489")] {
            assert_eq!(code(secret, count), expected);
        }
    }

    #[test]
    fn a_code_counts_a_step_early_and_late_and_once() {
        let mut totp =
            Totp { secret: b"12345678901234567890".to_vec(), confirmed: true, last_step: 0, recovery_codes: 0 };
        let at = |seconds| Timestamp::from_secs(seconds);
        for (seconds, expected) in
            [(29, Some(1)), (30, Some(1)), (59, Some(1)), (60, Some(1)), (89, Some(1)), (90, None)]
        {
            assert_eq!(step(&totp, "287 082", at(seconds)), expected, "{seconds}");
        }
        for wrong in ["", "287083", "28708", "2870820", "abcdef"] {
            assert_eq!(step(&totp, wrong, at(59)), None, "{wrong}");
        }
        totp.last_step = 1;
        assert_eq!(step(&totp, "287082", at(59)), None);
    }

    /// RFC 4648 §10, without padding.
    #[test]
    fn base32_is_that_of_the_standard() {
        for (bytes, expected) in
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("foobar", "MZXW6YTBOI")]
        {
            assert_eq!(base32(bytes.as_bytes()), expected);
        }
        let alice = Address::new("alice", mail::Domain::from_ascii("red.example").unwrap()).unwrap();
        let text = uri(b"foobar", &alice, "mail.red.example");
        assert!(
            text.starts_with("otpauth://totp/mail.red.example:alice%40red.example?secret=MZXW6YTBOI&issuer="),
            "{text}"
        );
    }
}
