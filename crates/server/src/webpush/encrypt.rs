//! Encryption of a push message for the client alone (RFC 8291, in the form of RFC 8188).
//!
//! Does: make a key of its own for each message, agree with the client's, and write the one record. Does not: decide who gets
//! what.

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::hmac::{HMAC_SHA256, Key, Tag, sign};
use ring::rand::{SecureRandom as _, SystemRandom};
use store::PushKeys;

/// RFC 8188 §2.1: octets of a record. RFC 8291 §4: there is one, which has all.
const RECORD: u32 = 4096;
/// RFC 8188 §2: octets of the salt.
const SALT: usize = 16;
/// Octets of a public key.
const POINT: usize = 65;

/// It can't be encrypted: the client's key is no point of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadKey;

/// Whether something can be encrypted for the owner of this key.
pub(super) fn is_good(p256dh: &[u8; POINT]) -> bool {
    agree(p256dh).is_ok()
}

/// The body of a message; the content-coding is `aes128gcm`.
pub(super) fn encrypt(keys: &PushKeys, text: &[u8]) -> Result<Vec<u8>, BadKey> {
    let (own, shared) = agree(&keys.p256dh)?;
    let mut salt = [0; SALT];
    SystemRandom::new().fill(&mut salt).map_err(|_| BadKey)?;
    seal(keys, &own, &shared, salt, text)
}

/// A key for one message: its public half, and what both sides know of it.
fn agree(p256dh: &[u8; POINT]) -> Result<([u8; POINT], Vec<u8>), BadKey> {
    let private = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).map_err(|_| BadKey)?;
    let public = private.compute_public_key().map_err(|_| BadKey)?;
    let own = public.as_ref().try_into().map_err(|_| BadKey)?;
    let theirs = UnparsedPublicKey::new(&ECDH_P256, p256dh);
    Ok((own, agree_ephemeral(private, &theirs, <[u8]>::to_vec).map_err(|_| BadKey)?))
}

fn seal(keys: &PushKeys, own: &[u8; POINT], shared: &[u8], salt: [u8; SALT], text: &[u8]) -> Result<Vec<u8>, BadKey> {
    // RFC 8291 §3.4
    let info = [b"WebPush: info\0", &keys.p256dh[..], own].concat();
    let secret = derive(&keys.auth, shared, &info);
    // RFC 8188 §2.2, §2.3
    let key = derive(&salt, secret.as_ref(), b"Content-Encoding: aes128gcm\0");
    let nonce = derive(&salt, secret.as_ref(), b"Content-Encoding: nonce\0");
    let key = UnboundKey::new(&AES_128_GCM, key.as_ref().get(..16).unwrap_or_default()).map_err(|_| BadKey)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce.as_ref().get(..12).unwrap_or_default()).map_err(|_| BadKey)?;
    // RFC 8188 §2: the last record ends in 2.
    let mut record = [text, &[2]].concat();
    LessSafeKey::new(key).seal_in_place_append_tag(nonce, Aad::empty(), &mut record).map_err(|_| BadKey)?;
    // RFC 8188 §2.1; RFC 8291 §4: the key stands where its id would.
    Ok([&salt[..], &RECORD.to_be_bytes(), &[POINT as u8], own, &record].concat())
}

/// HKDF (RFC 5869) with SHA-256, of which never more than one block is needed.
fn derive(salt: &[u8], secret: &[u8], info: &[u8]) -> Tag {
    let extracted = sign(&Key::new(HMAC_SHA256, salt), secret);
    sign(&Key::new(HMAC_SHA256, extracted.as_ref()), &[info, &[1]].concat())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

    use super::*;

    fn octets<const N: usize>(text: &str) -> [u8; N] {
        BASE64.decode(text).unwrap().try_into().unwrap()
    }

    fn keys() -> PushKeys {
        PushKeys {
            p256dh: octets("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
            auth: octets("BTBZMqHH6r4Tts7J_aSIgg"),
        }
    }

    /// RFC 8291 Appendix A, from the shared secret on.
    #[test]
    fn as_the_standard_shows() {
        let own = octets("BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8");
        let shared: [u8; 32] = octets("kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs");
        let salt = octets("DGv6ra1nlYgDCS1FRnbzlw");
        let body = seal(&keys(), &own, &shared, salt, b"When I grow up, I want to be a watermelon").unwrap();
        // RFC 8291 §5
        let said = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK\
                    6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(BASE64.encode(body), said);
    }

    /// `PUSH_MESSAGE_LEN`: what every push service takes (RFC 8030 §7.2: 4,096 octets), and no octet less.
    #[test]
    fn a_message_fits() {
        let body = |len| encrypt(&keys(), &vec![b'x'; len]).unwrap();
        assert_eq!(body(mail::limits::PUSH_MESSAGE_LEN).len(), 4096);
        assert_ne!(body(10), body(10), "a key or salt came again");
    }

    #[test]
    fn keys_that_are_none() {
        assert!(is_good(&keys().p256dh));
        let mut off = keys().p256dh;
        off[64] ^= 1;
        let mut compressed = keys().p256dh;
        compressed[0] = 3;
        for bad in [off, compressed, [0; 65], [4; 65]] {
            assert!(!is_good(&bad));
            assert_eq!(encrypt(&PushKeys { p256dh: bad, auth: [0; 16] }, b"x"), Err(BadKey));
        }
    }
}
