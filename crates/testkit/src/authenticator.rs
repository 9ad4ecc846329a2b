//! A device with one passkey, and the browser before it, in software (Web Authentication Level 3). What it says can be bent
//! in each place, so that a test can say which place was looked at.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use sha2::{Digest, Sha256};

/// User present, user verified.
pub const PRESENT_AND_VERIFIED: u8 = 0b101;
const ATTESTED: u8 = 1 << 6;

/// The key pair.
enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

/// The device.
pub struct Authenticator {
    pair: Pair,
    /// The id of its passkey.
    pub credential: Vec<u8>,
    /// The site that its passkey is for.
    pub site: String,
    /// The page that asks.
    pub origin: String,
    /// What it says of its owner.
    pub flags: u8,
    /// Of the last signature; the next one is one more, unless it is 0.
    pub counter: u32,
    /// The format of its attestation.
    pub format: &'static str,
    /// Whether the attestation comes with a certificate.
    pub certificate: bool,
    /// Stands behind the key, or the data of a log-in.
    pub extensions: Vec<u8>,
}

/// What a browser gives of a new passkey.
pub struct Created {
    /// `clientDataJSON`
    pub client_data: Vec<u8>,
    /// `attestationObject`
    pub attestation: Vec<u8>,
}

/// What a browser gives of a log-in.
pub struct Got {
    /// `clientDataJSON`
    pub client_data: Vec<u8>,
    /// `authenticatorData`
    pub authenticator_data: Vec<u8>,
    /// `signature`
    pub signature: Vec<u8>,
}

impl Authenticator {
    /// With a key for a COSE algorithm: -7, -8 or -257 (whose key is always the same, since it takes long to make).
    pub fn new(algorithm: i64, site: &str, origin: &str) -> Self {
        let random = SystemRandom::new();
        let pair = match algorithm {
            -7 => {
                let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, made.as_ref(), &random);
                Pair::Es256(pair.unwrap())
            }
            -8 => {
                let made = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                Pair::EdDsa(Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap())
            }
            -257 => Pair::Rs256(RsaKeyPair::from_pkcs8(include_bytes!("authenticator/rs256.pk8")).unwrap()),
            other => panic!("this device can't do {other}"),
        };
        let credential: [u8; 32] = ring::rand::generate(&random).unwrap().expose();
        Self {
            pair,
            credential: credential.to_vec(),
            site: site.to_owned(),
            origin: origin.to_owned(),
            flags: PRESENT_AND_VERIFIED,
            counter: 0,
            format: "none",
            certificate: false,
            extensions: Vec::new(),
        }
    }

    /// A new passkey.
    pub fn create(&self, challenge: &[u8]) -> Created {
        let key = self.key();
        let length = u16::try_from(self.credential.len()).unwrap().to_be_bytes();
        let attested = [&[0; 16][..], &length, &self.credential, &key].concat();
        let data = self.data(ATTESTED, &attested);
        Created { client_data: self.client_data("webauthn.create", challenge), attestation: self.attestation(&data) }
    }

    /// A log-in.
    pub fn get(&mut self, challenge: &[u8]) -> Got {
        if self.counter > 0 {
            self.counter += 1;
        }
        let client_data = self.client_data("webauthn.get", challenge);
        let authenticator_data = self.data(0, &[]);
        let signature = self.sign(&authenticator_data, &client_data);
        Got { client_data, authenticator_data, signature }
    }

    /// Over the device's data and the hash of the browser's.
    pub fn sign(&self, authenticator_data: &[u8], client_data: &[u8]) -> Vec<u8> {
        let message = [authenticator_data, &Sha256::digest(client_data)].concat();
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Es256(pair) => pair.sign(&random, &message).unwrap().as_ref().to_vec(),
            Pair::EdDsa(pair) => pair.sign(&message).as_ref().to_vec(),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, &message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// The public key, as COSE has it.
    pub fn key(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Es256(pair) => {
                let point = pair.public_key().as_ref();
                map(&[
                    (1, integer(2)),
                    (3, integer(-7)),
                    (-1, integer(1)),
                    (-2, bytes(&point[1..33])),
                    (-3, bytes(&point[33..])),
                ])
            }
            Pair::EdDsa(pair) => {
                map(&[(1, integer(1)), (3, integer(-8)), (-1, integer(6)), (-2, bytes(pair.public_key().as_ref()))])
            }
            Pair::Rs256(pair) => {
                let RsaPublicKeyComponents::<Vec<u8>> { n, e } = pair.public().into();
                rsa(&n, &e)
            }
        }
    }

    /// An attestation object around the device's data.
    pub fn attestation(&self, data: &[u8]) -> Vec<u8> {
        let mut statement = vec![];
        if self.format != "none" {
            statement.extend([(text("alg"), integer(-7)), (text("sig"), bytes(b"signed"))]);
        }
        if self.certificate {
            statement.push((text("x5c"), bytes(b"who made it")));
        }
        let pairs =
            [(text("fmt"), text(self.format)), (text("attStmt"), pairs(&statement)), (text("authData"), bytes(data))];
        self::pairs(&pairs)
    }

    fn data(&self, flags: u8, attested: &[u8]) -> Vec<u8> {
        let site: [u8; 32] = Sha256::digest(&self.site).into();
        [&site[..], &[self.flags | flags], &self.counter.to_be_bytes(), attested, &self.extensions].concat()
    }

    fn client_data(&self, kind: &str, challenge: &[u8]) -> Vec<u8> {
        let (challenge, origin) = (base64url(challenge), &self.origin);
        format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#).into_bytes()
    }
}

/// As WebAuthn's JSON has octets (RFC 4648 §5, without padding).
pub fn base64url(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// The octets again.
pub fn from_base64url(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// An RSA key as COSE has it (RFC 8230 §4).
pub fn rsa(n: &[u8], e: &[u8]) -> Vec<u8> {
    map(&[(1, integer(3)), (3, integer(-257)), (-1, bytes(n)), (-2, bytes(e))])
}

/// A map of CBOR whose labels are integers.
pub fn map(parameters: &[(i64, Vec<u8>)]) -> Vec<u8> {
    pairs(&parameters.iter().map(|(label, value)| (integer(*label), value.clone())).collect::<Vec<_>>())
}

fn pairs(all: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut written = head(5, all.len() as u64);
    written.extend(all.iter().flat_map(|(key, value)| [&key[..], value].concat()));
    written
}

/// An integer in CBOR (RFC 8949 §3.1).
pub fn integer(value: i64) -> Vec<u8> {
    // -1 is 0 of the other kind, -2 is 1.
    if value < 0 { head(1, !value.cast_unsigned()) } else { head(0, value.cast_unsigned()) }
}

/// A string of octets in CBOR.
pub fn bytes(octets: &[u8]) -> Vec<u8> {
    [&head(2, octets.len() as u64)[..], octets].concat()
}

/// A string of text in CBOR.
pub fn text(text: &str) -> Vec<u8> {
    [&head(3, text.len() as u64)[..], text.as_bytes()].concat()
}

/// As short as it can be (RFC 8949 §4.2.1).
fn head(kind: u8, value: u64) -> Vec<u8> {
    let octets = value.to_be_bytes();
    let (short, octets) = match value {
        0..24 => return vec![kind << 5 | octets[7]],
        24..0x100 => (24, &octets[7..]),
        0x100..0x1_0000 => (25, &octets[6..]),
        0x1_0000..0x1_0000_0000 => (26, &octets[4..]),
        _ => (27, &octets[..]),
    };
    [&[kind << 5 | short], octets].concat()
}
