//! Certificates of an authority that nobody else knows, and what TLSA records say of them.

use std::slice::from_ref;
use std::time::Duration;

use mta::safety::Policy;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;

use super::*;

/// An authority, a server that it vouches for, and a stranger.
struct Certificates {
    authority: CertificateDer<'static>,
    server: CertificateDer<'static>,
    stranger: CertificateDer<'static>,
    old: CertificateDer<'static>,
}

fn certificates() -> Certificates {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "authority");
    let authority = params.self_signed(&key).unwrap().der().clone();
    let issuer = Issuer::new(params, key);
    let server = |year| {
        let mut params = CertificateParams::new(vec!["mx.blue.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone()
    };
    let stranger = CertificateParams::new(vec!["mx.blue.example".to_owned()]).unwrap();
    let stranger = stranger.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
    Certificates { authority, server: server(2100), old: server(2021), stranger }
}

/// The record of a certificate.
fn tlsa(usage: u8, selector: u8, matching: u8, of: &CertificateDer<'_>) -> Tlsa {
    let key = ParsedCertificate::try_from(of).unwrap().subject_public_key_info();
    let selected: &[u8] = if selector == 0 { of } else { &key };
    let data = match matching {
        0 => selected.to_vec(),
        1 => digest(&SHA256, selected).as_ref().to_vec(),
        _ => digest(&SHA512, selected).as_ref().to_vec(),
    };
    Tlsa { usage, selector, matching, data }
}

/// The record that a chain matches.
fn judged(records: &[Tlsa], names: &[&str], chain: &[&CertificateDer<'static>]) -> Result<Option<String>, String> {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let Policy::Dane(dane) = Dane::policy(records.to_vec(), names) else { panic!("no usable record") };
    let verifier = Matches::new(dane, Arc::new(ring::default_provider()));
    let above: Vec<_> = chain[1..].iter().map(|certificate| (*certificate).clone()).collect();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_700_000_000));
    let name = ServerName::try_from("mx.blue.example").unwrap();
    let judged = verifier.verify_server_cert(chain[0], &above, &name, &[], now);
    judged.map(|_| verifier.matched()).map_err(|why| why.to_string())
}

const NAME: &[&str] = &["mx.blue.example"];

#[test]
fn the_servers_own_certificate_matches_in_every_form() {
    let all = certificates();
    for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        let record = tlsa(3, selector, matching, &all.server);
        let matched = judged(from_ref(&record), NAME, &[&all.server, &all.authority]);
        assert_eq!(matched, Ok(Some(format!("3 {selector} {matching}"))));
        let other = judged(&[record], NAME, &[&all.stranger]);
        let words =
            format!("the server's certificate matches none of its domain's TLSA records (3 {selector} {matching})");
        assert!(other.as_ref().is_err_and(|why| why.contains(&words)), "{other:?}");
    }
}

/// RFC 7672 §3.1.1.
#[test]
fn its_dates_and_names_are_of_no_matter() {
    let all = certificates();
    let record = tlsa(3, 1, 1, &all.old);
    assert_eq!(judged(&[record], &["other.example"], &[&all.old]), Ok(Some("3 1 1".into())));
}

/// RFC 7672 §3.1.2, §3.2.2.
#[test]
fn an_authority_vouches_for_names_in_their_time() {
    let all = certificates();
    let chain = [&all.server, &all.authority];
    for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
        let record = tlsa(2, selector, matching, &all.authority);
        assert_eq!(judged(from_ref(&record), NAME, &chain), Ok(Some(format!("2 {selector} {matching}"))));
        // The next-hop domain is as good a name as the host's.
        assert!(judged(from_ref(&record), &["else.example", "mx.blue.example"], &chain).is_ok());
        assert!(judged(from_ref(&record), &["else.example"], &chain).is_err(), "another name");
        assert!(judged(from_ref(&record), NAME, &[&all.old, &all.authority]).is_err(), "out of its time");
        assert!(judged(&[record], NAME, &[&all.stranger, &all.authority]).is_err(), "not by this authority");
    }
    // The record holds the whole authority: the server need not send it.
    assert!(judged(&[tlsa(2, 0, 0, &all.authority)], NAME, &[&all.server]).is_ok());
    assert!(judged(&[tlsa(2, 0, 1, &all.authority)], NAME, &[&all.server]).is_err());
    // The authority is no server.
    assert!(judged(&[tlsa(3, 0, 1, &all.authority)], NAME, &chain).is_err());
}

/// One that matches is enough: keys are exchanged so (RFC 7671 §8).
#[test]
fn one_of_many_is_enough() {
    let all = certificates();
    let records = [tlsa(3, 1, 1, &all.stranger), tlsa(2, 0, 1, &all.authority), tlsa(3, 1, 1, &all.server)];
    assert_eq!(judged(&records[..2], NAME, &[&all.server, &all.authority]), Ok(Some("2 0 1".into())));
    assert_eq!(judged(&records, NAME, &[&all.server]), Ok(Some("3 1 1".into())));
}
