//! What the browser says of itself (`clientDataJSON`, WebAuthn Level 3 §5.8.1): what was asked of it, by which page.
//!
//! Does: read the JSON and check ceremony and origin. Does not: know challenges; it gives the one that is in it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::{Refusal, RelyingParty};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ceremony {
    /// A new passkey.
    Create,
    /// A signature of one.
    Get,
}

/// Further fields may come with time (§5.8.1), so those that are not known are left alone.
#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin", default)]
    cross_origin: bool,
    #[serde(rename = "topOrigin", default)]
    top_origin: Option<String>,
}

/// The challenge that was answered, for a page of this site.
pub(super) fn challenge(site: &RelyingParty, ceremony: Ceremony, json: &[u8]) -> Result<Vec<u8>, Refusal> {
    let data: ClientData = serde_json::from_slice(json).map_err(|_| Refusal::ClientData)?;
    // §7.1 and §7.2: one ceremony's answer is none to the other.
    let kind = match ceremony {
        Ceremony::Create => "webauthn.create",
        Ceremony::Get => "webauthn.get",
    };
    if data.kind != kind {
        return Err(Refusal::ClientData);
    }
    // §13.4.9: exactly, and no page of ours is in another site's frame.
    if data.origin != site.origin || data.cross_origin || data.top_origin.is_some() {
        return Err(Refusal::Origin);
    }
    URL_SAFE_NO_PAD.decode(data.challenge).map_err(|_| Refusal::ClientData)
}
