//! What the device says (authenticator data, WebAuthn Level 3 §6.1): for which site, whether it saw and verified its owner, and
//! of a new passkey its id and public key.
//!
//! Does: find the parts and check the flags. Does not: read extensions; none is asked for, and what a browser asks for by itself
//! (`credProtect`) is left alone.

use sha2::{Digest, Sha256};

use super::cbor::Reader;
use super::cose::PublicKey;
use super::{Refusal, RelyingParty};

/// §6.1: bits of the flags.
const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const ATTESTED: u8 = 1 << 6;
const EXTENSIONS: u8 = 1 << 7;

/// §6.5.1: what says which kind of device it is stands before the id, and tells us nothing.
const AAGUID_LEN: usize = 16;

pub(super) struct AuthenticatorData<'a> {
    site_hash: [u8; 32],
    flags: u8,
    /// Signatures so far; 0: the device does not count.
    pub(super) counter: u32,
    rest: &'a [u8],
}

impl<'a> AuthenticatorData<'a> {
    /// None: too short, or longer than its flags say.
    pub(super) fn read(octets: &'a [u8]) -> Option<Self> {
        let (site_hash, octets) = octets.split_first_chunk()?;
        let (flags, octets) = octets.split_first()?;
        let (counter, rest) = octets.split_first_chunk()?;
        let announced = flags & (ATTESTED | EXTENSIONS) != 0;
        (announced != rest.is_empty()).then_some(Self {
            site_hash: *site_hash,
            flags: *flags,
            counter: u32::from_be_bytes(*counter),
            rest,
        })
    }

    /// §7.1, §7.2: of this site; the owner was there and is who he says (which makes it both factors); and what is backed up can be.
    pub(super) fn check(&self, site: &RelyingParty) -> Result<(), Refusal> {
        if self.site_hash[..] != Sha256::digest(&site.id)[..] {
            return Err(Refusal::RelyingParty);
        }
        if !self.has(USER_PRESENT) || !self.has(USER_VERIFIED) {
            return Err(Refusal::Unverified);
        }
        if self.has(BACKED_UP) && !self.has(BACKUP_ELIGIBLE) {
            return Err(Refusal::AuthenticatorData);
        }
        Ok(())
    }

    /// Of a new passkey the id, and what begins with its key (§6.5.1).
    pub(super) fn attested(&self) -> Option<(&'a [u8], &'a [u8])> {
        let (length, rest) = self.rest.get(AAGUID_LEN..).filter(|_| self.has(ATTESTED))?.split_first_chunk()?;
        rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
    }

    /// The key out of what begins with it: no longer than one is kept, and followed by nothing but extensions.
    pub(super) fn key(&self, octets: &'a [u8]) -> Option<&'a [u8]> {
        let mut reader = Reader::new(octets);
        PublicKey::read(&mut reader)?;
        let (key, rest) = octets.split_at_checked(octets.len() - reader.rest().len())?;
        let fits = key.len() <= mail::limits::PASSKEY_KEY_LEN && rest.is_empty() != self.has(EXTENSIONS);
        fits.then_some(key)
    }

    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}
