//! Who sends a push message, shown to the push service (RFC 8292).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mail::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

/// RFC 8292 §2: the header of each token.
const HEADER: &str = r#"{"typ":"JWT","alg":"ES256"}"#;

/// The key by which push services know this system.
pub(super) struct Vapid {
    key: EcdsaKeyPair,
    public: String,
}

impl Vapid {
    /// A key of PKCS #8, to keep.
    pub(super) fn fresh() -> Result<Vec<u8>, String> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        made.map(|key| key.as_ref().to_vec()).map_err(|_| "no key for push services can be made".to_owned())
    }

    /// A key that was kept.
    pub(super) fn new(key: &[u8]) -> Result<Self, String> {
        let read = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key, &SystemRandom::new());
        let key = read.map_err(|_| "the key for push services in the store can't be read".to_owned())?;
        // RFC 8292 §3.2: the point, uncompressed.
        let public = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
        Ok(Self { key, public })
    }

    /// The public half, in URL-safe base64.
    pub(super) fn public(&self) -> &str {
        &self.public
    }

    /// The value of Authorization for a push service at `origin`, good until `expires`; `contact` is a URL of who runs this.
    pub(super) fn authorization(&self, origin: &str, contact: &str, expires: Timestamp) -> Option<String> {
        // RFC 8292 §2, §2.1
        let claims = json!({ "aud": origin, "exp": expires.secs(), "sub": contact });
        let said = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), said.as_bytes()).ok()?;
        let signature = URL_SAFE_NO_PAD.encode(signature.as_ref());
        // RFC 8292 §3
        Some(format!("vapid t={said}.{signature}, k={}", self.public))
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;

    /// Header and claims, if the signature is that of the key.
    fn read(authorization: &str) -> Option<[Value; 2]> {
        let (token, key) = authorization.strip_prefix("vapid t=")?.split_once(", k=")?;
        let (said, signature) = token.rsplit_once('.')?;
        let (header, claims) = said.split_once('.')?;
        let octets = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, octets(key)?);
        key.verify(said.as_bytes(), &octets(signature)?).ok()?;
        Some([serde_json::from_slice(&octets(header)?).ok()?, serde_json::from_slice(&octets(claims)?).ok()?])
    }

    /// RFC 8292 §2.4
    const SHOWN: &str = "vapid t=eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiO\
        jE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrEr\
        tmysazNjjvW2L9OkSSHzvoD1oA, k=BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs";

    #[test]
    fn as_the_standard_shows() {
        let [header, claims] = read(SHOWN).unwrap();
        let vapid = Vapid::new(&Vapid::fresh().unwrap()).unwrap();
        let expires = Timestamp::from_secs(1_453_523_768);
        let ours = vapid.authorization("https://push.example.net", "mailto:push@example.com", expires).unwrap();
        assert_eq!(read(&ours).unwrap(), [header, claims]);
        assert!(ours.ends_with(&format!(", k={}", vapid.public())));
        let other = Vapid::new(&Vapid::fresh().unwrap()).unwrap();
        assert_eq!(read(&ours.replace(vapid.public(), other.public())), None);
        assert!(Vapid::new(b"no key").is_err());
    }
}
