//! SCRAM-SHA-256 (RFC 5802, RFC 7677), both sides, on bytes.

use hmac::{Hmac, KeyInit, Mac};
use mail::limits;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::client::Credentials;
use super::{ChannelBinding, Failure, decode, encode, prepare};

/// What a server keeps of a password (RFC 5802 §3).
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// Salt.
    pub salt: Vec<u8>,
    /// Iteration count.
    pub iterations: u32,
    /// H(ClientKey): who has it can check a proof, not make one.
    pub stored_key: [u8; 32],
    /// ServerKey: who has it can play the server.
    pub server_key: [u8; 32],
}

impl Keys {
    /// From a password. Costs `iterations` HMACs: not for an async thread.
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = salted_password(password, salt, iterations);
        Self {
            salt: salt.to_vec(),
            iterations,
            stored_key: Sha256::digest(hmac(&salted, b"Client Key")).into(),
            server_key: hmac(&salted, b"Server Key"),
        }
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// RFC 2104 §3, with SHA-256.
pub(crate) fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length, so there is always a result.
    let mut mac = match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => return [0; 32],
    };
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// `Hi(Normalize(password), salt, i)` (RFC 5802 §2.2): PBKDF2 with one block.
fn salted_password(password: &str, salt: &[u8], iterations: u32) -> [u8; 32] {
    let password = prepare(password);
    let mut block = hmac(password.as_bytes(), &[salt, &[0, 0, 0, 1]].concat());
    let mut sum = block;
    let Ok(keyed) = Hmac::<Sha256>::new_from_slice(password.as_bytes()) else { return sum };
    for _ in 1..iterations {
        let mut mac = keyed.clone();
        mac.update(&block);
        block = mac.finalize().into_bytes().into();
        sum = xor(&sum, &block);
    }
    sum
}

fn xor(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    std::array::from_fn(|n| a[n] ^ b[n])
}

/// `saslname` (RFC 5802 §5.1): `=2C` and `=3D` for comma and equals sign.
fn read_name(text: &str) -> Result<String, Failure> {
    if text.replace("=2C", "").replace("=3D", "").contains('=') {
        return Err(Failure::Malformed("an equals sign in a name is =3D"));
    }
    Ok(text.replace("=2C", ",").replace("=3D", "="))
}

fn write_name(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// The value of the attribute `name` if `part` is that.
fn attribute<'a>(part: Option<&'a str>, name: &str) -> Result<&'a str, Failure> {
    let value = part.and_then(|part| part.strip_prefix(name)).and_then(|part| part.strip_prefix('='));
    value.ok_or(Failure::Malformed("SCRAM's attributes are missing or out of order"))
}

/// The client's first message, read by the server.
#[derive(Debug)]
pub(super) struct ClientFirst {
    pub(super) user: String,
    authorize_as: Option<String>,
    bare: String,
    nonce: String,
    /// What the client must send as `c=`, decoded: the GS2 header and the channel's data.
    binding_input: Vec<u8>,
}

impl ClientFirst {
    pub(super) fn read(message: &[u8], plus: bool, binding: ChannelBinding) -> Result<Self, Failure> {
        let text = std::str::from_utf8(message).map_err(|_| Failure::Malformed("not UTF-8"))?;
        let mut parts = text.splitn(3, ',');
        let (flag, authzid) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let bare = parts.next().ok_or(Failure::Malformed("SCRAM begins with a GS2 header"))?;
        let mut binding_input = text.as_bytes()[..text.len() - bare.len()].to_vec();
        match (flag, plus) {
            ("n", false) => {}
            // RFC 5802 §6: the client thinks that we can't bind; if we offered it, somebody took it away.
            ("y", false) if !binding.is_available() => {}
            ("y", false) => return Err(Failure::Rejected),
            (flag, true) => {
                let name = flag.strip_prefix("p=").ok_or(Failure::Malformed("-PLUS needs a channel binding"))?;
                let data = binding.data(name).ok_or(Failure::Malformed("unknown channel binding"))?;
                binding_input.extend_from_slice(data);
            }
            _ => return Err(Failure::Malformed("wrong GS2 flag for this mechanism")),
        }
        let authorize_as = match authzid {
            "" => None,
            _ => Some(read_name(attribute(Some(authzid), "a")?)?),
        };
        // RFC 5802 §5.1: an `m` attribute comes first, and who does not know it must fail: then `n=` is not there.
        let mut attributes = bare.split(',');
        let user = prepare(&read_name(attribute(attributes.next(), "n")?)?);
        let nonce = attribute(attributes.next(), "r")?.to_owned();
        if user.is_empty() || !is_nonce(&nonce) {
            return Err(Failure::Malformed("name or nonce is empty"));
        }
        Ok(Self { user, authorize_as, bare: bare.to_owned(), nonce, binding_input })
    }

    pub(super) fn challenge(self, keys: Option<Keys>, nonce: &str, decoy: &[u8]) -> (Vec<u8>, ServerFinal) {
        let is_real = keys.is_some();
        let keys = keys.unwrap_or_else(|| Keys {
            salt: hmac(decoy, self.user.to_lowercase().as_bytes())[..16].to_vec(),
            iterations: limits::SCRAM_ITERATIONS,
            stored_key: hmac(decoy, b"no client has this key"),
            server_key: [0; 32],
        });
        let nonce = format!("{}{nonce}", self.nonce);
        let server_first = format!("r={nonce},s={},i={}", encode(&keys.salt), keys.iterations);
        let transcript = format!("{},{server_first},", self.bare);
        let Self { user, authorize_as, binding_input, .. } = self;
        let next = ServerFinal { keys, is_real, nonce, transcript, binding_input, user, authorize_as };
        (server_first.into_bytes(), next)
    }
}

/// `printable` without comma.
fn is_nonce(nonce: &str) -> bool {
    !nonce.is_empty() && nonce.bytes().all(|b| b.is_ascii_graphic() && b != b',')
}

/// The server, waiting for the client's proof.
#[derive(Debug)]
pub(super) struct ServerFinal {
    keys: Keys,
    is_real: bool,
    nonce: String,
    /// `client-first-message-bare "," server-first-message ","`
    transcript: String,
    binding_input: Vec<u8>,
    user: String,
    authorize_as: Option<String>,
}

impl ServerFinal {
    /// The server's signature, the user and whom he wants to act as.
    pub(super) fn verify(self, message: &[u8]) -> Result<(Vec<u8>, String, Option<String>), Failure> {
        let text = std::str::from_utf8(message).map_err(|_| Failure::Malformed("not UTF-8"))?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Failure::Malformed("the proof is missing"))?;
        let mut attributes = without_proof.split(',');
        let binding = decode(attribute(attributes.next(), "c")?.as_bytes())?;
        let nonce = attribute(attributes.next(), "r")?;
        let proof: [u8; 32] =
            decode(proof.as_bytes())?.try_into().map_err(|_| Failure::Malformed("the proof has 32 octets"))?;
        if nonce != self.nonce || binding != self.binding_input {
            return Err(Failure::Rejected);
        }
        let transcript = format!("{}{without_proof}", self.transcript);
        let signature = hmac(&self.keys.stored_key, transcript.as_bytes());
        let client_key = xor(&proof, &signature);
        let matches: bool = Sha256::digest(client_key).ct_eq(&self.keys.stored_key[..]).into();
        if !(matches && self.is_real) {
            return Err(Failure::Rejected);
        }
        let proof = encode(&hmac(&self.keys.server_key, transcript.as_bytes()));
        Ok((format!("v={proof}").into_bytes(), self.user, self.authorize_as))
    }
}

/// The client, waiting for the server's first message.
#[derive(Debug)]
pub(super) struct ClientChallenge {
    credentials: Credentials,
    nonce: String,
    bare: String,
    binding_input: Vec<u8>,
}

impl ClientChallenge {
    pub(super) fn start(
        credentials: Credentials,
        binding: &ChannelBinding,
        plus: bool,
        plus_offered: bool,
        nonce: &[u8],
    ) -> (Vec<u8>, Self) {
        let (header, data) = match binding.best() {
            Some((name, data)) if plus => (format!("p={name},,"), data),
            // RFC 5802 §6: we could bind, the server did not offer it.
            Some(_) if !plus_offered => ("y,,".to_owned(), &[][..]),
            _ => ("n,,".to_owned(), &[][..]),
        };
        let nonce = encode(nonce);
        let bare = format!("n={},r={nonce}", write_name(&prepare(&credentials.user)));
        let first = format!("{header}{bare}").into_bytes();
        let binding_input = [header.as_bytes(), data].concat();
        (first, Self { credentials, nonce, bare, binding_input })
    }

    pub(super) fn respond(self, challenge: &[u8]) -> Result<(Vec<u8>, ServerSignature), Failure> {
        let text = std::str::from_utf8(challenge).map_err(|_| Failure::Malformed("not UTF-8"))?;
        let mut attributes = text.split(',');
        let nonce = attribute(attributes.next(), "r")?;
        let salt = decode(attribute(attributes.next(), "s")?.as_bytes())?;
        let iterations: u32 = attribute(attributes.next(), "i")?.parse().unwrap_or(0);
        // RFC 5802 §5.1: our nonce with something added. RFC 7677 §4: 4096 at least, but servers with less exist.
        if !(nonce.starts_with(&self.nonce) && nonce.len() > self.nonce.len() && is_nonce(nonce)) {
            return Err(Failure::Malformed("the server's nonce does not begin with ours"));
        }
        if iterations == 0 || iterations > limits::SCRAM_ITERATIONS_ASKED {
            return Err(Failure::Malformed("the server asks for an impossible number of iterations"));
        }
        let salted = salted_password(self.credentials.password.reveal(), &salt, iterations);
        let without_proof = format!("c={},r={nonce}", encode(&self.binding_input));
        let transcript = format!("{},{text},{without_proof}", self.bare);
        let client_key = hmac(&salted, b"Client Key");
        let signature = hmac(&Sha256::digest(client_key), transcript.as_bytes());
        let response = format!("{without_proof},p={}", encode(&xor(&client_key, &signature)));
        let expected = hmac(&hmac(&salted, b"Server Key"), transcript.as_bytes());
        Ok((response.into_bytes(), ServerSignature { expected }))
    }
}

/// What the server must say to show that it knows the keys.
#[derive(Debug)]
pub(super) struct ServerSignature {
    expected: [u8; 32],
}

impl ServerSignature {
    pub(super) fn verify(&self, message: &[u8]) -> Result<(), Failure> {
        let text = message.strip_prefix(b"v=").ok_or(Failure::Rejected)?;
        let end = text.iter().position(|b| *b == b',').unwrap_or(text.len());
        let matches: bool = decode(&text[..end])?.ct_eq(&self.expected[..]).into();
        if matches { Ok(()) } else { Err(Failure::Rejected) }
    }
}
