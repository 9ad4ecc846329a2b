//! Checking signatures (RFC 6376 §6.1).

use base64::Engine as _;
use mail::{Timestamp, limits};
use mail_auth::common::crypto::Algorithm;
use mail_auth::dkim::{DkimError, Signature};

use super::key::{self, Published, Why};
use crate::Verdict;
use crate::dns::{Answers, Known, folded};
use crate::letter::{Letter, without_signature};

/// What a signature is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The result.
    pub verdict: Verdict,
    /// Why; empty where it is good.
    pub why: &'static str,
    /// `d=`: who signed; empty where it can't be read.
    pub domain: String,
    /// `s=`.
    pub selector: String,
    /// `a=`.
    pub algorithm: &'static str,
    /// The beginning of `b=`, by which signatures are told apart (RFC 6008).
    pub start: String,
}

/// Checks the signatures of a message, from the top; those above `limits::DKIM_SIGNATURES` are passed over.
///
/// # Errors
/// What DNS must be asked for first.
pub fn verify(letter: &Letter<'_>, answers: &Answers, now: Timestamp) -> Known<Vec<Checked>> {
    let Some(parsed) = &letter.parsed else { return Ok(Vec::new()) };
    let unread =
        parsed.errors.iter().filter(|field| field.name.trim_ascii_end().eq_ignore_ascii_case(b"DKIM-Signature"));
    let mut checked: Vec<Checked> = unread.map(|field| unreadable(&field.header)).collect();
    checked.truncate(limits::DKIM_SIGNATURES);
    let signatures = parsed.dkim_headers.iter().take(limits::DKIM_SIGNATURES - checked.len());
    answers.all(questions(letter))?;
    for field in signatures {
        let signature = &field.header;
        let result = match plausible(letter, signature, now) {
            Ok(()) => signed(letter, (field.name, field.value), signature, answers)?,
            Err(why) => Err(why),
        };
        let (verdict, why) = result.err().unwrap_or((Verdict::Pass, ""));
        let start = base64::engine::general_purpose::STANDARD.encode(signature.b.get(..6).unwrap_or_default());
        checked.push(Checked {
            verdict,
            why,
            domain: folded(&signature.d),
            selector: folded(&signature.s),
            algorithm: signature.a.name(),
            start,
        });
    }
    Ok(checked)
}

/// The keys that are needed, whatever else is wrong with a signature.
pub(crate) fn questions(letter: &Letter<'_>) -> impl Iterator<Item = crate::dns::Question> {
    let signatures = letter.parsed.iter().flat_map(|parsed| &parsed.dkim_headers).take(limits::DKIM_SIGNATURES);
    signatures.filter_map(|field| key::question(&field.header.s, &field.header.d))
}

/// A signature whose field is none.
fn unreadable(error: &mail_auth::Error) -> Checked {
    let (verdict, why) = match error {
        // RFC 6376 §8.2: what is added below the length that is signed looks signed.
        mail_auth::Error::Dkim(DkimError::SignatureLength) => (Verdict::Policy, "l= leaves a part unsigned"),
        mail_auth::Error::Dkim(DkimError::UnsupportedAlgorithm) => (Verdict::PermError, "a= is unknown"),
        mail_auth::Error::Dkim(DkimError::UnsupportedCanonicalization) => (Verdict::PermError, "c= is unknown"),
        mail_auth::Error::Dkim(DkimError::UnsupportedVersion) => (Verdict::PermError, "v= is not 1"),
        _ => (Verdict::PermError, "the signature can't be read"),
    };
    Checked { verdict, why, domain: String::new(), selector: String::new(), algorithm: "", start: String::new() }
}

/// What can be said without its key.
fn plausible(letter: &Letter<'_>, signature: &Signature, now: Timestamp) -> Result<(), Why> {
    // RFC 6376 §6.1.1
    if signature.v != 1 {
        return Err((Verdict::PermError, "v= is missing"));
    }
    if !signature.h.iter().any(|name| name.eq_ignore_ascii_case("from")) {
        return Err((Verdict::PermError, "From is not signed"));
    }
    if !is_below(identity_domain(signature), &signature.d) {
        return Err((Verdict::PermError, "i= is not of d="));
    }
    // RFC 8301 §3.1
    if signature.a == Algorithm::RsaSha1 {
        return Err((Verdict::PermError, "SHA-1 proves nothing any more"));
    }
    let seconds = u64::try_from(now.millis() / 1000).unwrap_or(0);
    if signature.x != 0 && (signature.x <= seconds || signature.x < signature.t) {
        return Err((Verdict::Fail, "the signature has expired"));
    }
    if letter.body_hash(signature.cb) != Some(signature.bh.as_slice()) {
        return Err((Verdict::Fail, "the body was changed"));
    }
    Ok(())
}

fn signed(
    letter: &Letter<'_>,
    (name, value): (&[u8], &[u8]),
    signature: &Signature,
    answers: &Answers,
) -> Known<Result<(), Why>> {
    let key = match Published::find(answers, &signature.s, &signature.d)? {
        Ok(key) => key,
        Err(why) => return Ok(Err(why)),
    };
    // RFC 6376 §3.6.1, `t=s`
    if key.is_for_same_domain && !identity_domain(signature).eq_ignore_ascii_case(&signature.d) {
        return Ok(Err((Verdict::PermError, "the key is for d= itself alone")));
    }
    let fields = letter.chosen(&signature.h);
    let itself = without_signature(value);
    let mut all = fields.into_iter().chain([(name, itself.as_slice())]);
    Ok(key.verify(&mut all, &signature.b, signature.ch, signature.a))
}

/// The domain of `i=`, whose default is `d=`.
fn identity_domain(signature: &Signature) -> &str {
    match signature.i.rsplit_once('@') {
        Some((_, domain)) => domain,
        None if signature.i.is_empty() => &signature.d,
        None => "",
    }
}

/// Whether `name` is `domain` or a name in it.
fn is_below(name: &str, domain: &str) -> bool {
    let (name, domain) = (folded(name), folded(domain));
    name.strip_suffix(domain.as_str()).is_some_and(|above| above.is_empty() || above.ends_with('.'))
}
