//! Each place of what a browser says of a passkey is bent once; the device is in software.

use mail::limits;
use proptest::prelude::*;
use testkit::authenticator::{Authenticator, PRESENT_AND_VERIFIED, bytes, integer, map, rsa};

use super::*;

const CHALLENGE: &[u8] = b"to be signed";

fn site() -> RelyingParty {
    RelyingParty { id: "mail.red.example".into(), origin: "https://mail.red.example".into() }
}

fn device(algorithm: i64) -> Authenticator {
    Authenticator::new(algorithm, &site().id, &site().origin)
}

fn register(device: &Authenticator) -> Result<Registered, Refusal> {
    let made = device.create(CHALLENGE);
    registered(&site(), &made.client_data, &made.attestation)
}

fn log_in(device: &mut Authenticator) -> Result<Signed, Refusal> {
    let (key, got) = (device.key(), device.get(CHALLENGE));
    signed(&site(), &key, &got.client_data, &got.authenticator_data, &got.signature)
}

#[test]
fn each_algorithm_registers_and_signs() {
    for algorithm in ALGORITHMS {
        let mut device = device(algorithm);
        let made = register(&device).unwrap();
        assert_eq!((&made.challenge[..], &made.passkey.credential), (CHALLENGE, &device.credential));
        assert_eq!((&made.passkey.key, made.passkey.counter), (&device.key(), 0));
        device.counter = 4;
        assert_eq!(log_in(&mut device), Ok(Signed { challenge: CHALLENGE.to_vec(), counter: 5 }));
    }
}

/// WebAuthn Level 3 §7.1, §7.2: each place that differs is a refusal of both ceremonies.
#[test]
fn what_is_not_as_asked_is_refused() {
    type Bend = fn(&mut Authenticator);
    let bends: [(Bend, Refusal); 12] = [
        (|device| device.origin = "https://mail.red.example:8443".into(), Refusal::Origin),
        (|device| device.origin = "http://mail.red.example".into(), Refusal::Origin),
        (|device| device.origin = "https://mail.red.example/".into(), Refusal::Origin),
        (|device| device.origin = "https://MAIL.red.example".into(), Refusal::Origin),
        (|device| device.origin.push_str(r#"","topOrigin":"https://blue.example"#), Refusal::Origin),
        (|device| device.origin.push_str(r#"","origin":"https://mail.red.example"#), Refusal::ClientData),
        (|device| device.origin.push('\u{1}'), Refusal::ClientData),
        (|device| device.site = "red.example".into(), Refusal::RelyingParty),
        (|device| device.flags = 0b001, Refusal::Unverified),
        (|device| device.flags = 0b100, Refusal::Unverified),
        (|device| device.flags = PRESENT_AND_VERIFIED | 1 << 4, Refusal::AuthenticatorData),
        (|device| device.flags = PRESENT_AND_VERIFIED | 1 << 7, Refusal::AuthenticatorData),
    ];
    for (n, (bend, refusal)) in bends.into_iter().enumerate() {
        let mut device = device(-7);
        bend(&mut device);
        assert_eq!(log_in(&mut device), Err(refusal), "{n}");
        // Of a new passkey, what extensions announce is missed behind the key.
        let behind_key = device.flags & 1 << 7 != 0;
        assert_eq!(register(&device), Err(if behind_key { Refusal::PublicKey } else { refusal }), "{n}");
    }
}

#[test]
fn what_the_browser_says_of_a_frame_counts() {
    let framed = |json: &str| client_data::challenge(&site(), Ceremony::Get, json.as_bytes());
    let of = |more: &str| {
        framed(&format!(r#"{{"type":"webauthn.get","challenge":"AA","origin":"https://mail.red.example"{more}}}"#))
    };
    assert_eq!(of(""), Ok(vec![0]));
    assert_eq!(of(r#","crossOrigin":false,"other_keys_can_be_added_here":[1]"#), Ok(vec![0]));
    assert_eq!(of(r#","crossOrigin":true"#), Err(Refusal::Origin));
    assert_eq!(of(r#","crossOrigin":"no""#), Err(Refusal::ClientData));
    assert_eq!(of(r#","challenge":"AA""#), Err(Refusal::ClientData));
    for broken in ["", "{}", "[]", r#"{"type":1}"#, "null"] {
        assert_eq!(framed(broken), Err(Refusal::ClientData), "{broken}");
    }
    let padded = r#"{"type":"webauthn.get","challenge":"AA==","origin":"https://mail.red.example"}"#;
    assert_eq!(framed(padded), Err(Refusal::ClientData));
}

#[test]
fn one_ceremony_is_not_the_other() {
    let mut device = device(-7);
    let (made, got, key) = (device.create(CHALLENGE), device.get(CHALLENGE), device.key());
    assert_eq!(registered(&site(), &got.client_data, &made.attestation), Err(Refusal::ClientData));
    let signature = device.sign(&got.authenticator_data, &made.client_data);
    let swapped = signed(&site(), &key, &made.client_data, &got.authenticator_data, &signature);
    assert_eq!(swapped, Err(Refusal::ClientData));
}

#[test]
fn extensions_and_backups_are_left_alone() {
    let mut device = device(-8);
    device.flags = PRESENT_AND_VERIFIED | 1 << 3 | 1 << 4 | 1 << 7;
    device.extensions = map(&[(1, integer(2))]);
    assert_eq!(register(&device).unwrap().passkey.key, device.key());
    assert!(log_in(&mut device).is_ok());
    // Announced or not there at all.
    device.flags = PRESENT_AND_VERIFIED;
    assert_eq!(log_in(&mut device), Err(Refusal::AuthenticatorData));
    assert_eq!(register(&device), Err(Refusal::PublicKey));
}

#[test]
fn no_attestation_is_taken() {
    let mut device = device(-7);
    device.format = "fido-u2f";
    assert_eq!(register(&device), Err(Refusal::Attestation));
    // A signature of its own says of nobody who made the device, and is passed over; a certificate does.
    device.format = "packed";
    assert!(register(&device).is_ok());
    device.certificate = true;
    assert_eq!(register(&device), Err(Refusal::Attestation));
    device.certificate = false;
    let made = device.create(CHALLENGE).client_data;
    for broken in
        [&b""[..], b"\xa0", b"\xa3", b"\x80", b"\xbf\xff", b"\xa3\x63fmt\x64none\x63fmt\x64none\x63fmt\x64none"]
    {
        assert_eq!(registered(&site(), &made, broken), Err(Refusal::AuthenticatorData), "{broken:x?}");
    }
    device.format = "none";
    let whole = device.create(CHALLENGE).attestation;
    for cut in 0..whole.len() {
        assert!(registered(&site(), &made, &whole[..cut]).is_err(), "{cut}");
    }
    assert_eq!(registered(&site(), &made, &[&whole[..], b"\0"].concat()), Err(Refusal::AuthenticatorData));
}

/// `PASSKEY_ID_LEN` octets and one more; none is no id either.
#[test]
fn ids_are_bounded() {
    let mut device = device(-7);
    for (length, good) in [(0, false), (1, true), (limits::PASSKEY_ID_LEN, true), (limits::PASSKEY_ID_LEN + 1, false)] {
        device.credential = vec![1; length];
        assert_eq!(register(&device).err(), (!good).then_some(Refusal::CredentialId), "{length}");
    }
}

/// A key with so many octets of a modulus, behind the head of a device's data.
fn registered_key(key: &[u8]) -> Result<Registered, Refusal> {
    let device = device(-7);
    let made = device.create(CHALLENGE);
    let Ok(data) = authenticator_data_of(&made.attestation) else { panic!("no data") };
    let before = &data[..data.len() - device.key().len()];
    registered(&site(), &made.client_data, &device.attestation(&[before, key].concat()))
}

/// `PASSKEY_KEY_LEN` octets and one more.
#[test]
fn keys_are_bounded() {
    let around = rsa(&[1; 1000], &[1, 0, 1]).len() - 1000;
    for (length, good) in [(limits::PASSKEY_KEY_LEN, true), (limits::PASSKEY_KEY_LEN + 1, false)] {
        let key = rsa(&vec![1; length - around], &[1, 0, 1]);
        assert_eq!(key.len(), length);
        assert_eq!(registered_key(&key).err(), (!good).then_some(Refusal::PublicKey), "{length}");
    }
}

#[test]
fn other_keys_are_refused() {
    let x = || bytes(&[1; 32]);
    let ec = |kty, alg, curve| map(&[(1, integer(kty)), (3, integer(alg)), (-1, integer(curve)), (-2, x()), (-3, x())]);
    assert!(registered_key(&ec(2, -7, 1)).is_ok());
    let others = [
        ec(2, -7, 2),
        ec(2, -35, 1),
        ec(3, -7, 1),
        ec(1, -8, 6),
        map(&[(1, integer(1)), (3, integer(-8)), (-1, integer(6)), (-2, bytes(&[1; 31]))]),
        map(&[(1, integer(2)), (3, integer(-7)), (-1, integer(1)), (-2, x()), (-3, bytes(&[1; 33]))]),
        map(&[(1, integer(2)), (3, integer(-7)), (-1, integer(1)), (-2, x()), (-2, x())]),
        map(&[(1, integer(2)), (-1, integer(1)), (-2, x()), (-3, x())]),
        map(&[(1, integer(2)), (3, integer(-7)), (-1, integer(1)), (-2, x()), (-3, x()), (4, x())]),
        map(&[(1, integer(2)), (3, integer(-7)), (-1, integer(1)), (-2, x()), (4, x())]),
        map(&[]),
        vec![],
        integer(1),
    ];
    for (n, key) in others.into_iter().enumerate() {
        assert_eq!(registered_key(&key), Err(Refusal::PublicKey), "{n}");
    }
}

#[test]
fn a_signature_is_over_all_and_by_the_key() {
    for algorithm in ALGORITHMS {
        let (mut device, other) = (device(algorithm), device(-7));
        let (key, got) = (device.key(), device.get(CHALLENGE));
        let check = |key: &[u8], data: &[u8], signature: &[u8]| {
            signed(&site(), key, &got.client_data, data, signature).map(|signed| signed.counter)
        };
        assert_eq!(check(&key, &got.authenticator_data, &got.signature), Ok(0));
        assert_eq!(check(&other.key(), &got.authenticator_data, &got.signature), Err(Refusal::Signature));
        let mut counted = got.authenticator_data.clone();
        counted[36] = 9;
        assert_eq!(check(&key, &counted, &got.signature), Err(Refusal::Signature));
        assert_eq!(check(&key, &got.authenticator_data, b""), Err(Refusal::Signature));
        assert_eq!(check(b"", &got.authenticator_data, &got.signature), Err(Refusal::PublicKey));
        let elsewhere = device.get(b"another").signature;
        assert_eq!(check(&key, &got.authenticator_data, &elsewhere), Err(Refusal::Signature));
    }
}

proptest! {
    #[test]
    fn rubbish_is_refused(client in prop::collection::vec(any::<u8>(), 0..200), data in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(registered(&site(), &client, &data).is_err());
        prop_assert!(signed(&site(), &data, &client, &data, &client).is_err());
    }

    /// One octet of what was signed is another.
    #[test]
    fn what_was_changed_on_the_way_is_refused(at in 0usize..1000, bit in 0u8..8) {
        let mut device = device(-7);
        let (key, mut got) = (device.key(), device.get(CHALLENGE));
        let (data, client) = (got.authenticator_data.len(), got.client_data.len());
        match at % (data + client) {
            at if at < data => got.authenticator_data[at] ^= 1 << bit,
            at => got.client_data[at - data] ^= 1 << bit,
        }
        prop_assert!(signed(&site(), &key, &got.client_data, &got.authenticator_data, &got.signature).is_err());
    }

    /// A new passkey with one octet changed is refused or read, never more; nothing but the id, the kind of device, the counter and
    /// the key can differ.
    #[test]
    fn a_changed_attestation_is_no_harm(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let device = device(-8);
        let mut made = device.create(CHALLENGE);
        let at = at.index(made.attestation.len());
        made.attestation[at] ^= 1 << bit;
        if let Ok(read) = registered(&site(), &made.client_data, &made.attestation) {
            prop_assert_eq!(read.challenge, CHALLENGE);
            prop_assert!(PublicKey::read(&mut Reader::new(&read.passkey.key)).is_some());
        }
    }
}
