//! Passkeys: what a browser says of a key pair on a device, checked (Web Authentication Level 3, W3C).
//!
//! Does: read the two answers that a browser gives, that of registering ([`registered`]) and that of a log-in ([`signed`]),
//! and check all in them that needs neither store nor clock: what was asked for ([`client_data`]), by which site, whether the
//! device saw and verified its owner ([`authenticator_data`]), the public key ([`cose`], out of [`cbor`]) and the signature.
//! Does not: make challenges, know which are good, keep anything, or look at attestation: whoever made the device is no
//! matter here, so `none` is asked for and nothing else is taken.
//!
//! Comes in: octets as the browser gave them, base64 taken off; they are bounded before (`HTTP_JSON_LEN`). Goes out: what is to
//! be kept, with the challenge, which the caller must know as its own; or a [`Refusal`].

mod authenticator_data;
mod cbor;
mod client_data;
mod cose;

use sha2::{Digest, Sha256};

use authenticator_data::AuthenticatorData;
use cbor::Reader;
use client_data::Ceremony;
use cose::PublicKey;

/// COSE algorithms that are asked for, the best first (RFC 9053 §2.1, §2.2; RFC 8812 §2): EdDSA, ES256, RS256.
pub const ALGORITHMS: [i64; 3] = [cose::EDDSA, cose::ES256, cose::RS256];

/// The site that passkeys are for, as a browser sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingParty {
    /// The host's name: the scope of its passkeys, which browsers let no other site use.
    pub id: String,
    /// The page's origin: scheme, host, and port where it is not the scheme's own.
    pub origin: String,
}

/// A passkey that a browser made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Registered {
    /// What was to be answered; whether it was asked is the caller's to say.
    pub challenge: Vec<u8>,
    /// What to keep.
    pub passkey: store::Passkey,
}

/// A log-in that a passkey signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Signed {
    /// What was to be answered; whether it was asked is the caller's to say.
    pub challenge: Vec<u8>,
    /// The signature's counter.
    pub counter: u32,
}

/// Why an answer of a browser is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// What the browser says of itself can't be read, or is of the other ceremony.
    ClientData,
    /// It is of another site's page, or of one in another site's frame.
    Origin,
    /// What the device says can't be read.
    AuthenticatorData,
    /// It is a passkey of another site.
    RelyingParty,
    /// The device did not see its owner, or did not ask for a PIN, a finger or a face.
    Unverified,
    /// It comes with an attestation, which was not asked for.
    Attestation,
    /// The credential id is too long.
    CredentialId,
    /// The public key is none that was asked for.
    PublicKey,
    /// The signature is not of this key, or not over this.
    Signature,
    /// The challenge is not ours, is over, or was used.
    Challenge,
    /// The passkey is of another account than the device says.
    UserHandle,
    /// The signature's counter did not grow: the key may have been copied.
    Counter,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ClientData => "what the browser says of the passkey can't be read",
            Self::Origin => "the passkey was asked for by another site's page",
            Self::AuthenticatorData => "what the device says of the passkey can't be read",
            Self::RelyingParty => "the passkey is another site's",
            Self::Unverified => "the device did not ask for a PIN, a finger or a face: set one up in it",
            Self::Attestation => "the passkey comes with an attestation, which was not asked for",
            Self::CredentialId => "the passkey's id is too long",
            Self::PublicKey => "the passkey's key is of a kind that is not known here: try another device",
            Self::Signature => "the passkey's signature is wrong",
            Self::Challenge => "this took too long, or was done before: begin again",
            Self::UserHandle => "the passkey is another account's",
            Self::Counter => "the passkey's counter did not grow, so it may have been copied: remove it",
        })
    }
}

/// Checks what a browser answers to the wish for a new passkey (WebAuthn Level 3 §7.1): `clientDataJSON` and
/// `attestationObject`.
pub fn registered(site: &RelyingParty, client_data: &[u8], attestation: &[u8]) -> Result<Registered, Refusal> {
    let challenge = client_data::challenge(site, Ceremony::Create, client_data)?;
    let data = authenticator_data_of(attestation)?;
    let data = AuthenticatorData::read(data).ok_or(Refusal::AuthenticatorData)?;
    data.check(site)?;
    let (credential, key) = data.attested().ok_or(Refusal::AuthenticatorData)?;
    // §7.1: at most 1023 octets, as the device must keep to.
    if credential.is_empty() || credential.len() > mail::limits::PASSKEY_ID_LEN {
        return Err(Refusal::CredentialId);
    }
    let key = data.key(key).ok_or(Refusal::PublicKey)?;
    let passkey = store::Passkey { credential: credential.to_vec(), key: key.to_vec(), counter: data.counter };
    Ok(Registered { challenge, passkey })
}

/// Checks what a browser answers to the wish for a log-in (WebAuthn Level 3 §7.2): `clientDataJSON`, `authenticatorData` and
/// `signature`, by the key that is kept of the passkey.
pub fn signed(
    site: &RelyingParty,
    key: &[u8],
    client_data: &[u8],
    authenticator_data: &[u8],
    signature: &[u8],
) -> Result<Signed, Refusal> {
    let challenge = client_data::challenge(site, Ceremony::Get, client_data)?;
    let data = AuthenticatorData::read(authenticator_data).ok_or(Refusal::AuthenticatorData)?;
    data.check(site)?;
    let key = PublicKey::read(&mut Reader::new(key)).ok_or(Refusal::PublicKey)?;
    // §7.2: over the device's data and the hash of the browser's.
    let message = [authenticator_data, &Sha256::digest(client_data)].concat();
    if !key.has_signed(&message, signature) {
        return Err(Refusal::Signature);
    }
    Ok(Signed { challenge, counter: data.counter })
}

/// The device's data out of an attestation object (WebAuthn Level 3 §6.5.4): a map of three. Its statement is empty where the
/// format is `none` (§8.7). A device's own signature is passed over: §5.1.3 lets browsers hand it on where none was asked for.
fn authenticator_data_of(attestation: &[u8]) -> Result<&[u8], Refusal> {
    let broken = Refusal::AuthenticatorData;
    let mut reader = Reader::new(attestation);
    let (mut format, mut statement, mut data) = (None, None, None);
    if reader.map() != Some(3) {
        return Err(broken);
    }
    for _ in 0..3 {
        match reader.text().ok_or(broken)? {
            "fmt" => format = Some(reader.text().ok_or(broken)?),
            "attStmt" => statement = Some(own_statement(&mut reader).ok_or(Refusal::Attestation)?),
            "authData" => data = Some(reader.bytes().ok_or(broken)?),
            _ => return Err(broken),
        }
    }
    match (format, statement, data) {
        (Some("none"), Some(Statement::Empty), Some(data)) if reader.rest().is_empty() => Ok(data),
        (Some("packed"), Some(Statement::OwnSignature), Some(data)) if reader.rest().is_empty() => Ok(data),
        (Some(other), ..) if other != "none" => Err(Refusal::Attestation),
        _ => Err(broken),
    }
}

/// What a device says of itself.
enum Statement {
    Empty,
    /// Algorithm and signature, by the passkey itself (§8.2): it tells nothing of who made the device.
    OwnSignature,
}

/// `None`: it is another's, which is not looked through; what follows it is not read either.
fn own_statement(reader: &mut Reader<'_>) -> Option<Statement> {
    match reader.map()? {
        0 => return Some(Statement::Empty),
        2 => {}
        _ => return None,
    }
    for _ in 0..2 {
        match reader.text()? {
            "alg" => drop(reader.integer()?),
            "sig" => drop(reader.bytes()?),
            _ => return None,
        }
    }
    Some(Statement::OwnSignature)
}

#[cfg(test)]
mod tests;
