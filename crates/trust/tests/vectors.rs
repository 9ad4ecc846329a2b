//! Messages and records of the RFCs.
#![allow(clippy::unwrap_used, reason = "tests")]

use mail::Timestamp;
use trust::dkim::key::{Algorithm, Signer, record};
use trust::dns::{Answers, Missing, Question, Said};
use trust::{Letter, Verdict, arc, dkim};

/// RFC 8463 appendix A.3: one message, signed with Ed25519 and with RSA.
const RFC8463: &str = "\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
";

/// RFC 8463 appendix A.2.
const ED25519_RECORD: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const RSA_RECORD: &str = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3id\
    Y6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5Qjv\
    HO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB";
/// RFC 8463 appendix A.1: the private key, in PKCS #8.
const ED25519_SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

fn ed25519() -> Vec<u8> {
    use base64::Engine as _;
    let mut key = vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    key.extend(base64::engine::general_purpose::STANDARD.decode(ED25519_SEED).unwrap());
    key
}

fn keys() -> Answers {
    let mut answers = Answers::default();
    for (selector, record) in [("brisbane", ED25519_RECORD), ("test", RSA_RECORD)] {
        let question = Question::Txt(format!("{selector}._domainkey.football.example.com"));
        answers.put(question, Said::Txt(vec![record.into()]));
    }
    answers
}

fn read(message: &[u8]) -> Letter<'_> {
    let mut letter = Letter::read(message);
    letter.hash_for_a_signature();
    while letter.hash_more() {}
    letter
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn message() -> String {
    RFC8463.replace('\n', "\r\n")
}

fn verdicts(message: &str) -> Vec<(Verdict, &'static str)> {
    let checked = dkim::verify(&read(message.as_bytes()), &keys(), at(1_795_000_000)).unwrap();
    checked.into_iter().map(|one| (one.verdict, one.why)).collect()
}

#[test]
fn rfc8463_passes_with_both_keys() {
    let checked = dkim::verify(&read(message().as_bytes()), &keys(), at(1_795_000_000)).unwrap();
    let seen: Vec<_> =
        checked.iter().map(|one| (one.verdict, &*one.domain, &*one.selector, one.algorithm, &*one.start)).collect();
    assert_eq!(
        seen,
        [
            (Verdict::Pass, "football.example.com", "brisbane", "ed25519-sha256", "/gCrinpc"),
            (Verdict::Pass, "football.example.com", "test", "rsa-sha256", "F45dVWDf"),
        ]
    );
}

#[test]
fn what_was_changed_fails() {
    let changed = |from: &str, to: &str| verdicts(&message().replace(from, to));
    assert_eq!(changed("hungry", "thirsty"), [(Verdict::Fail, "the body was changed"); 2]);
    let header = (Verdict::Fail, "the header was changed, or another key signed");
    assert_eq!(changed("dinner", "supper"), [header; 2]);
    // Signed once more than it stands: nobody can add a second one.
    assert_eq!(changed("From: Joe", "From: Bob <bob@example.com>\r\nFrom: Joe"), [header; 2]);
    // The relaxed form forgives blanks.
    assert_eq!(changed("Is dinner ready?", "Is\t dinner   ready?  "), [(Verdict::Pass, ""); 2]);
}

#[test]
fn a_signature_says_why_it_is_none() {
    let first = |from: &str, to: &str| verdicts(&message().replacen(from, to, 1))[0];
    assert_eq!(first("a=ed25519-sha256", "a=rsa-sha1"), (Verdict::PermError, "SHA-1 proves nothing any more"));
    assert_eq!(first("a=ed25519-sha256", "a=what"), (Verdict::PermError, "a= is unknown"));
    assert_eq!(first("v=1; ", ""), (Verdict::PermError, "v= is missing"));
    assert_eq!(first("v=1", "v=2"), (Verdict::PermError, "v= is not 1"));
    assert_eq!(first("q=dns/txt", "l=3"), (Verdict::Policy, "l= leaves a part unsigned"));
    assert_eq!(first("q=dns/txt", "x=1528637910"), (Verdict::Fail, "the signature has expired"));
    assert_eq!(first("i=@football", "i=@handball"), (Verdict::PermError, "i= is not of d="));
    assert_eq!(first("s=brisbane", "s=test"), (Verdict::PermError, "the key is of another kind"));
    let unsigned = message().replacen("from :", "to :", 1).replacen(": from :", ":", 1);
    assert_eq!(verdicts(&unsigned)[0], (Verdict::PermError, "From is not signed"));
}

#[test]
fn every_key_is_asked_for_at_once() {
    let message = message();
    let letter = read(message.as_bytes());
    let Missing(questions) = dkim::verify(&letter, &Answers::default(), at(1_795_000_000)).unwrap_err();
    let name = |selector| Question::Txt(format!("{selector}._domainkey.football.example.com"));
    assert_eq!(questions, [name("brisbane"), name("test")]);
    let mut answers = Answers::default();
    answers.put(name("brisbane"), Said::Failed);
    answers.put(name("test"), Said::NoName);
    let checked = dkim::verify(&letter, &answers, at(1_795_000_000)).unwrap();
    let seen: Vec<_> = checked.iter().map(|one| one.verdict).collect();
    assert_eq!(seen, [Verdict::TempError, Verdict::PermError]);
}

/// `DKIM_SIGNATURES`: as many are checked, one more is passed over.
#[test]
fn the_number_of_signatures_is_bounded() {
    let message = message();
    let (signature, rest) = message.split_at(message.find("DKIM-Signature: v=1; a=rsa").unwrap());
    let (_, rest) = rest.split_at(rest.find("From: Joe").unwrap());
    let with = |count: usize| verdicts(&format!("{}{rest}", signature.repeat(count)));
    assert_eq!(with(mail::limits::DKIM_SIGNATURES), [(Verdict::Pass, ""); mail::limits::DKIM_SIGNATURES]);
    assert_eq!(with(mail::limits::DKIM_SIGNATURES + 1).len(), mail::limits::DKIM_SIGNATURES);
}

#[test]
fn what_is_signed_is_verified() {
    assert_eq!(record(Algorithm::Ed25519, &ed25519()).unwrap(), ED25519_RECORD);
    let signer = Signer::new("football.example.com", "brisbane", Algorithm::Ed25519, &ed25519()).unwrap();
    let bare = "From: joe@football.example.com\r\nSubject: =?utf-8?q?x?=\r\n folded\r\nList-Id: <l.example>\r\n\r\nHi.\r\n \r\n\r\n";
    let field = dkim::sign::sign(&read(bare.as_bytes()), &signer, at(1_795_000_000)).unwrap();
    assert!(field.lines().all(|line| line.len() < 100), "{field}");
    assert_eq!(verdicts(&format!("{field}{bare}")), [(Verdict::Pass, "")]);
    // A list may add its fields; nobody may add another From or Subject.
    let added = |line: &str| verdicts(&format!("{field}{line}\r\n{bare}"))[0].0;
    assert_eq!(added("Received: x"), Verdict::Pass);
    assert_eq!(added("List-Help: <mailto:x@example.com>"), Verdict::Pass);
    for line in ["From: mallory@example.com", "Subject: x", "Reply-To: x@example.com", "Content-Type: text/html"] {
        assert_eq!(added(line), Verdict::Fail, "{line}");
    }
}

/// RFC 8617: each link is sealed over those before it.
#[test]
fn a_chain_grows_and_breaks() {
    let signer = Signer::new("football.example.com", "brisbane", Algorithm::Ed25519, &ed25519()).unwrap();
    let check = |message: &str| arc::verify(&read(message.as_bytes()), &keys(), at(1_795_000_100)).unwrap();
    let mut message = message();
    assert_eq!(check(&message).verdict, Verdict::None);
    for length in 1..=3 {
        let chain = check(&message);
        let letter = read(message.as_bytes());
        let link = arc::seal(&letter, &chain, "relay.example; spf=pass", &signer, at(1_795_000_000)).unwrap().unwrap();
        assert!(link.lines().all(|line| line.len() < 200), "{link}");
        message = format!("{link}{message}");
        let chain = check(&message);
        assert_eq!((chain.verdict, chain.why, chain.length), (Verdict::Pass, "", length), "{message}");
        assert_eq!(chain.sealer, "football.example.com");
    }
    let why = |from: &str, to: &str| {
        let chain = check(&message.replacen(from, to, 1));
        (chain.verdict, chain.why)
    };
    assert_eq!(why("hungry", "thirsty"), (Verdict::Fail, "the body was changed"));
    let sealed = (Verdict::Fail, "the header was changed, or another key signed");
    assert_eq!(why("spf=pass", "spf=fail"), sealed);
    assert_eq!(why("cv=pass", "cv=fail"), (Verdict::Fail, "the chain was broken before"));
    assert_eq!(why("i=3; relay", "i=4; relay"), (Verdict::Fail, "the links are not numbered in order"));
    assert_eq!(why("ARC-Authentication-Results", "X"), (Verdict::Fail, "a link is not whole"));
    let broken = message.replacen("spf=pass", "spf=fail", 1);
    let letter = read(broken.as_bytes());
    assert_eq!(arc::seal(&letter, &check(&broken), "x", &signer, at(0)).unwrap(), None);
}

/// `ARC_LINKS`: the last link that counts, and one more.
#[test]
fn the_length_of_a_chain_is_bounded() {
    let links = |count: usize| {
        let link = |i: usize| {
            let cv = if i == 1 { "none" } else { "pass" };
            format!(
                "ARC-Seal: i={i}; cv={cv}; a=ed25519-sha256; d=a.example; s=s; t=1; b=AAAA\r\n\
                 ARC-Message-Signature: i={i}; a=ed25519-sha256; c=relaxed/relaxed; d=a.example; s=s; h=from; bh=AAAA; b=AAAA\r\n\
                 ARC-Authentication-Results: i={i}; a.example; none\r\n"
            )
        };
        let message = (1..=count).map(link).collect::<String>() + "From: a@a.example\r\n\r\n";
        arc::verify(&read(message.as_bytes()), &Answers::default(), at(1_795_000_000)).unwrap().why
    };
    assert_eq!(links(mail::limits::ARC_LINKS), "the body was changed");
    assert_eq!(links(mail::limits::ARC_LINKS + 1), "a link can't be read");
}
