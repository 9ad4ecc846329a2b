//! Public keys of passkeys (COSE_Key, RFC 9052 §7), and signatures by them.
//!
//! Does: read the three kinds that are asked for, and verify with ring. Does not: keep a key in another form than it came in.

use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};

use super::cbor::Reader;

/// RFC 9053 §2.1: ECDSA with SHA-256; with the curve P-256, as WebAuthn Level 3 §5.8.5 has it.
pub(super) const ES256: i64 = -7;
/// RFC 9053 §2.2; with the curve Ed25519, as WebAuthn Level 3 §5.8.5 has it.
pub(super) const EDDSA: i64 = -8;
/// RFC 8812 §2: RSASSA-PKCS1-v1_5 with SHA-256.
pub(super) const RS256: i64 = -257;

/// RFC 9052 §7.1: labels that all keys have.
const KTY: i64 = 1;
const ALG: i64 = 3;

/// RFC 9053 §7: kinds of keys, and curves.
const OKP: i64 = 1;
const EC2: i64 = 2;
const P256: i64 = 1;
const ED25519_CURVE: i64 = 6;
/// RFC 8230 §4.
const RSA: i64 = 3;

/// The most parameters that one of ours has.
const PARAMETERS: u64 = 5;

#[derive(Clone, Copy)]
enum Value<'a> {
    Integer(i64),
    Bytes(&'a [u8]),
}

/// A key that signatures are checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublicKey<'a> {
    /// The point, uncompressed (SEC 1 §2.3.3).
    Es256([u8; 65]),
    EdDsa(&'a [u8]),
    Rs256 {
        n: &'a [u8],
        e: &'a [u8],
    },
}

impl<'a> PublicKey<'a> {
    /// None: it is no key, or none of ours. WebAuthn Level 3 §5.8.5: with its algorithm, and no parameter beside what it needs.
    pub(super) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let count = reader.map().filter(|count| *count <= PARAMETERS)?;
        let mut found: [Option<Value<'a>>; 5] = [None; 5];
        for _ in 0..count {
            // RFC 9052 §7.1, RFC 9053 §7: what all have, and what the kind of key gives meaning to.
            let place = match reader.integer()? {
                KTY => 0,
                ALG => 1,
                -1 => 2,
                -2 => 3,
                -3 => 4,
                _ => return None,
            };
            let value =
                if reader.is_at_bytes() { Value::Bytes(reader.bytes()?) } else { Value::Integer(reader.integer()?) };
            // RFC 9052 §7: a label stands once.
            if found[place].replace(value).is_some() {
                return None;
            }
        }
        use Value::{Bytes, Integer};
        match found {
            // RFC 9053 §7.1.1.
            [Some(Integer(EC2)), Some(Integer(ES256)), Some(Integer(P256)), Some(Bytes(x)), Some(Bytes(y))]
                if x.len() == 32 && y.len() == 32 =>
            {
                let mut point = [4; 65];
                point[1..33].copy_from_slice(x);
                point[33..].copy_from_slice(y);
                Some(Self::Es256(point))
            }
            // RFC 9053 §7.2.
            [Some(Integer(OKP)), Some(Integer(EDDSA)), Some(Integer(ED25519_CURVE)), Some(Bytes(x)), None]
                if x.len() == 32 =>
            {
                Some(Self::EdDsa(x))
            }
            // RFC 8230 §4.
            [Some(Integer(RSA)), Some(Integer(RS256)), Some(Bytes(n)), Some(Bytes(e)), None] => {
                Some(Self::Rs256 { n, e })
            }
            _ => None,
        }
    }

    /// Whether the signature over the message is by this key. WebAuthn Level 3 §6.5.5: that of ECDSA is in DER.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Self::Es256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature),
            Self::EdDsa(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
            Self::Rs256 { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
        };
        verified.is_ok()
    }
}
