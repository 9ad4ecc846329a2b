//! ARC (RFC 8617): what servers on the way say that they found, each sealing what those before it said.
//!
//! Does: check a chain, and add a link to it. Does not: believe anybody. A chain that passes says that nobody changed what was
//! said, not that it was true.

use mail::{Timestamp, limits};
use mail_auth::arc::ChainValidation;
use mail_auth::common::crypto::Algorithm;
use mail_auth::dkim::Canonicalization;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_auth::common::crypto::SigningKey as _;

use crate::Verdict;
use crate::dkim::key::{self, BadKey, Published, Signer, Why};
use crate::dkim::sign::names;
use crate::dns::{Answers, Known, Question, folded};
use crate::letter::{Letter, without_signature};

/// What a chain is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// `None`: there is no chain.
    pub verdict: Verdict,
    /// Why; empty where it is good.
    pub why: &'static str,
    /// Its links.
    pub length: usize,
    /// Who sealed last; empty where nobody did.
    pub sealer: String,
}

/// Checks the chain of a message (RFC 8617 §5.2).
///
/// # Errors
/// What DNS must be asked for first.
pub fn verify(letter: &Letter<'_>, answers: &Answers, now: Timestamp) -> Known<Chain> {
    let mut chain = Chain { verdict: Verdict::None, why: "", length: 0, sealer: String::new() };
    let Some(parsed) = &letter.parsed else { return Ok(chain) };
    chain.length = parsed.as_headers.len().max(parsed.ams_headers.len()).max(parsed.aar_headers.len());
    if chain.length == 0 && !parsed.has_arc_errors {
        return Ok(chain);
    }
    chain.sealer = parsed.as_headers.last().map(|seal| folded(&seal.header.d)).unwrap_or_default();
    let checked = match shape(letter, now) {
        Ok(()) => seals(letter, answers)?,
        Err(why) => Err(why),
    };
    (chain.verdict, chain.why) = checked.err().unwrap_or((Verdict::Pass, ""));
    Ok(chain)
}

/// The keys that are needed.
pub(crate) fn questions(letter: &Letter<'_>) -> impl Iterator<Item = Question> {
    letter.parsed.iter().flat_map(|parsed| {
        let seals = parsed.as_headers.iter().map(|seal| key::question(&seal.header.s, &seal.header.d));
        let last = parsed.ams_headers.last().and_then(|last| key::question(&last.header.s, &last.header.d));
        seals.flatten().chain(last).take(limits::ARC_LINKS + 1)
    })
}

/// Whether the links fit together.
fn shape(letter: &Letter<'_>, now: Timestamp) -> Result<(), Why> {
    let Some(parsed) = &letter.parsed else { return Ok(()) };
    let fail = |why| Err((Verdict::Fail, why));
    if parsed.has_arc_errors {
        return fail("a link can't be read");
    }
    // Their grammar ends at `limits::ARC_LINKS`, and each number stands once.
    let length = parsed.as_headers.len();
    if length != parsed.ams_headers.len() || length != parsed.aar_headers.len() {
        return fail("a link is not whole");
    }
    let links = parsed.as_headers.iter().zip(&parsed.ams_headers).zip(&parsed.aar_headers);
    for (number, ((seal, signature), results)) in (1..).zip(links) {
        if [seal.header.i, signature.header.i, results.header.i] != [number; 3] {
            return fail("the links are not numbered in order");
        }
        let claimed = if number == 1 { ChainValidation::None } else { ChainValidation::Pass };
        if seal.header.cv != claimed {
            return fail("the chain was broken before");
        }
        if seal.header.a == Algorithm::RsaSha1 || signature.header.a == Algorithm::RsaSha1 {
            return fail("SHA-1 proves nothing any more");
        }
    }
    let Some(last) = parsed.ams_headers.last() else { return Ok(()) };
    let seconds = u64::try_from(now.millis() / 1000).unwrap_or(0);
    if last.header.x != 0 && last.header.x <= seconds {
        return fail("the last signature has expired");
    }
    if letter.body_hash(last.header.cb) != Some(last.header.bh.as_slice()) {
        return fail("the body was changed");
    }
    Ok(())
}

/// Whether the last signature and every seal are good.
fn seals(letter: &Letter<'_>, answers: &Answers) -> Known<Result<(), Why>> {
    let Some(parsed) = &letter.parsed else { return Ok(Ok(())) };
    let Some(last) = parsed.ams_headers.last() else { return Ok(Ok(())) };
    answers.all(questions(letter))?;
    let published = match Published::find(answers, &last.header.s, &last.header.d)? {
        Ok(key) => key,
        Err(why) => return Ok(Err(why)),
    };
    let fields = letter.chosen(&last.header.h);
    let itself = without_signature(last.value);
    let mut all = fields.into_iter().chain([(last.name, itself.as_slice())]);
    if let Err(why) = published.verify(&mut all, &last.header.b, last.header.ch, last.header.a) {
        return Ok(Err(why));
    }
    // RFC 8617 §5.1.1: a seal covers all links up to its own, in order, in the relaxed form.
    let mut below: Vec<(&[u8], &[u8])> = Vec::with_capacity(3 * parsed.as_headers.len());
    for ((seal, signature), results) in parsed.as_headers.iter().zip(&parsed.ams_headers).zip(&parsed.aar_headers) {
        below.extend([(results.name, results.value), (signature.name, signature.value)]);
        let published = match Published::find(answers, &seal.header.s, &seal.header.d)? {
            Ok(key) => key,
            Err(why) => return Ok(Err(why)),
        };
        let itself = without_signature(seal.value);
        let mut all = below.iter().copied().chain([(seal.name, itself.as_slice())]);
        if let Err(why) = published.verify(&mut all, &seal.header.b, Canonicalization::Relaxed, seal.header.a) {
            return Ok(Err(why));
        }
        below.push((seal.name, seal.value));
    }
    Ok(Ok(()))
}

/// The fields of one link more, with their line ends: what `results` (an `authres-payload`) says, the message as it leaves, and
/// the seal over all. `None`: the chain is broken, or as long as may be; nobody would believe more of it (RFC 8617 §5.1).
///
/// # Errors
/// The key does not sign.
pub fn seal(
    letter: &Letter<'_>,
    chain: &Chain,
    results: &str,
    signer: &Signer,
    now: Timestamp,
) -> Result<Option<String>, BadKey> {
    if !matches!(chain.verdict, Verdict::None | Verdict::Pass) || chain.length >= limits::ARC_LINKS {
        return Ok(None);
    }
    let number = chain.length + 1;
    let (algorithm, seconds) = (signer.key.algorithm().name(), now.millis() / 1000);
    let key = format!("a={algorithm}; d={}; s={}; t={seconds}", signer.domain, signer.selector);
    let found = format!(" i={number}; {results}\r\n");

    let mut signed = names(letter);
    let signatures =
        letter.fields().iter().filter(|(name, _)| name.trim_ascii_end().eq_ignore_ascii_case(b"DKIM-Signature"));
    signed.extend(signatures.map(|_| "DKIM-Signature".to_owned()));
    let hash = STANDARD.encode(letter.body_hash(Canonicalization::Relaxed).ok_or(BadKey)?);
    let fields = signed.join(":").replace(":Date:", "\r\n\t :Date:").replace(":Reply-To", "\r\n\t :Reply-To");
    let message = format!(" i={number}; {key};\r\n\tc=relaxed/relaxed;\r\n\th={fields};\r\n\tbh={hash};\r\n\tb=");
    let message = finish(signer, &letter.chosen(&signed), (b"ARC-Message-Signature", message))?;

    let claim = if number == 1 { "none" } else { "pass" };
    let mut below: Vec<(&[u8], &[u8])> = Vec::new();
    if let Some(parsed) = &letter.parsed {
        for ((seal, signature), results) in parsed.as_headers.iter().zip(&parsed.ams_headers).zip(&parsed.aar_headers) {
            below.extend([(results.name, results.value), (signature.name, signature.value), (seal.name, seal.value)]);
        }
    }
    below.push((b"ARC-Authentication-Results", found.as_bytes()));
    below.push((b"ARC-Message-Signature", message.as_bytes()));
    let seal = format!(" i={number}; cv={claim}; {key};\r\n\tb=");
    let seal = finish(signer, &below, (b"ARC-Seal", seal))?;
    Ok(Some(format!("ARC-Seal:{seal}ARC-Message-Signature:{message}ARC-Authentication-Results:{found}")))
}

/// A field's value that ends in `b=`, with its signature over itself and `fields`, and its line end.
fn finish(signer: &Signer, fields: &[(&[u8], &[u8])], (name, mut value): (&[u8], String)) -> Result<String, BadKey> {
    let mut data = Vec::new();
    let all = fields.iter().copied().chain([(name, value.as_bytes())]);
    Canonicalization::Relaxed.canonicalize_headers(all, &mut data);
    let signature = STANDARD.encode(signer.key.sign(data.as_slice()).map_err(|_| BadKey)?);
    for (number, character) in signature.chars().enumerate() {
        if number > 0 && number % 72 == 0 {
            value += "\r\n\t ";
        }
        value.push(character);
    }
    value += "\r\n";
    Ok(value)
}
