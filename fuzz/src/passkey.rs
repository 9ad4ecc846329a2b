//! What browsers say of passkeys: each of its parts is the input once, while the others are right.

use std::sync::LazyLock;

use server::passkey::{Refusal, RelyingParty, registered, signed};
use testkit::authenticator::{Authenticator, Created, Got};

struct Scene {
    site: RelyingParty,
    key: Vec<u8>,
    made: Created,
    got: Got,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let site = RelyingParty { id: "mail.red.example".into(), origin: "https://mail.red.example".into() };
    let mut device = Authenticator::new(-8, &site.id, &site.origin);
    let (made, got) = (device.create(b"challenge"), device.get(b"challenge"));
    Scene { key: device.key(), site, made, got }
});

/// Nothing but what was signed is taken; what is kept is bounded and can be read again.
pub fn passkey(data: &[u8]) {
    let Scene { site, key, made, got } = &*SCENE;
    let _ = registered(site, data, &made.attestation);
    if let Ok(read) = registered(site, &made.client_data, data) {
        let passkey = read.passkey;
        assert!((1..=mail::limits::PASSKEY_ID_LEN).contains(&passkey.credential.len()));
        assert!(passkey.key.len() <= mail::limits::PASSKEY_KEY_LEN);
        let used = signed(site, &passkey.key, &got.client_data, &got.authenticator_data, &got.signature);
        assert!(used == Err(Refusal::Signature) || passkey.key == *key, "another key has signed");
    }
    let others = [
        (signed(site, data, &got.client_data, &got.authenticator_data, &got.signature), key),
        (signed(site, key, data, &got.authenticator_data, &got.signature), &got.client_data),
        (signed(site, key, &got.client_data, data, &got.signature), &got.authenticator_data),
        (signed(site, key, &got.client_data, &got.authenticator_data, data), &got.signature),
    ];
    for (answer, right) in others {
        assert!(answer.is_err() || data == right, "what was not signed is taken");
    }
}
