//! Our SMTP client against our SMTP server: whatever is offered, refused, cut up, lost or late, the client counts exactly
//! those recipients as accepted that the server has accepted, the bytes are the same, and nothing is sent twice but in
//! the window that RFC 1047 tells of.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod pair;

use std::collections::{BTreeMap, BTreeSet};

use mail::limits;
use pair::letters::{Letter, Manner};
use pair::{Cut, End, Fault, Plan, Way, converse};
use testkit::random::Random;
use wire::smtp::client::{Cause, Failure, Stage, TlsUse};
use wire::smtp::server::Role;

const KEYWORDS: [&str; 7] = ["PIPELINING", "CHUNKING", "SIZE", "DSN", "SMTPUTF8", "8BITMIME", "BINARYMIME"];

/// For every message its number and all its recipients.
fn all(letters: &[Letter]) -> Vec<(usize, Vec<usize>)> {
    letters.iter().enumerate().map(|(n, letter)| (n, (0..letter.recipients.len()).collect())).collect()
}

/// Whether the message may have been taken though nobody said so (RFC 1047).
fn is_unclear(failure: &Failure) -> bool {
    failure.stage == Stage::EndOfData && failure.reply().is_none()
}

/// What holds after every connection. Returns the recipients whose verdict is unclear.
fn agree(plan: &Plan, letters: &[Letter], work: &[(usize, Vec<usize>)], end: &End) -> BTreeSet<(usize, usize)> {
    let mut unclear = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for taken in &end.taken {
        assert!(seen.insert(taken.letter), "a message was sent twice over one connection");
        let letter = &letters[taken.letter];
        assert!(letter.arrived(&taken.bytes), "other bytes arrived: {:?} for {:?}", taken.bytes, letter.body);
        assert_eq!(taken.size, end.offers.size.then_some(letter.body.len() as u64));
        let offers = &end.offers;
        assert_eq!(taken.envelope.smtputf8, letter.utf8);
        assert_eq!(taken.envelope.dsn_return, letter.dsn_return.filter(|_| offers.dsn));
        assert_eq!(taken.envelope.envelope_id, letter.envelope_id.clone().filter(|_| offers.dsn));
        for recipient in &taken.envelope.recipients {
            let (sent, _) = letter.recipients.iter().find(|(sent, _)| sent.address == recipient.address).unwrap();
            if offers.dsn {
                assert_eq!(recipient, sent);
            }
        }
    }
    for (report, (number, recipients)) in end.reports.iter().zip(work) {
        assert_eq!(report.verdicts.len(), recipients.len());
        let letter = &letters[*number];
        let taken = end.taken.iter().find(|taken| taken.letter == *number);
        for (verdict, n) in report.verdicts.iter().zip(recipients) {
            let address = &letter.recipients[*n].0.address;
            let has = taken.is_some_and(|taken| taken.envelope.recipients.iter().any(|r| r.address == *address));
            match verdict {
                Ok(_) => assert!(has, "{address} counts as accepted, and is not: {plan:?}"),
                Err(failure) if is_unclear(failure) => {
                    unclear.insert((*number, *n));
                }
                Err(failure) => assert!(!has, "{address} is accepted, and counts as {failure}: {plan:?}"),
            }
        }
    }
    unclear
}

/// A conversation in which nothing breaks ends as the messages say.
fn goes_well(plan: &Plan, letters: &[Letter], seed: u64) -> End {
    let work = all(letters);
    let end = converse(plan, letters, &work, 0, seed);
    assert_eq!(end.over, None, "{plan:?}");
    assert_eq!(end.reports.len(), letters.len());
    assert!(agree(plan, letters, &work, &end).is_empty());
    for (report, (number, recipients)) in end.reports.iter().zip(&work) {
        let expected = letters[*number].taken(recipients, &end.offers, plan.most, 0);
        let told: Vec<usize> =
            recipients.iter().zip(&report.verdicts).filter(|(_, word)| word.is_ok()).map(|(n, _)| *n).collect();
        assert_eq!(told, expected, "{plan:?} {:?}", letters[*number]);
    }
    assert!(end.last_words.starts_with("221 "), "{}", end.last_words);
    end
}

fn some_letters(many: usize, random: &mut Random) -> Vec<Letter> {
    (0..many).map(|number| Letter::any(number, random)).collect()
}

#[test]
fn every_combination_of_extensions() {
    let mut random = Random::from_environment(0x5eed);
    for combination in 0..1u32 << KEYWORDS.len() {
        for (role, tls, starttls) in [
            (Role::Mx, TlsUse::IfOffered, true),
            (Role::Mx, TlsUse::Never, true),
            (Role::Mx, TlsUse::IfOffered, false),
            (Role::Submission, TlsUse::Required, true),
        ] {
            let mut plan = Plan { tls, ..Plan::new(role) };
            plan.without =
                KEYWORDS.into_iter().enumerate().filter(|(n, _)| combination >> n & 1 == 1).map(|(_, k)| k).collect();
            if !starttls {
                plan.without.push("STARTTLS");
            }
            let mut letters = some_letters(3, &mut random);
            letters.push(Letter::plain(3));
            let seed = random.next();
            for cut in [Cut::Whole, Cut::Random, Cut::Bytes] {
                plan.cut = cut;
                let end = goes_well(&plan, &letters, seed);
                assert_eq!(end.secure, starttls && tls != TlsUse::Never, "{plan:?}");
                let offers = &end.offers;
                let told = [offers.pipelining, offers.chunking, offers.size, offers.dsn, offers.smtputf8];
                assert_eq!(told, [0, 1, 2, 3, 4].map(|n| !plan.without.contains(&KEYWORDS[n])));
            }
        }
    }
}

#[test]
fn refusals_at_every_step() {
    let steps: [fn(&mut Letter, Manner); 5] = [
        |letter, manner| letter.mail = manner,
        |letter, manner| letter.recipients[0].1 = manner,
        |letter, manner| letter.recipients.iter_mut().for_each(|(_, how)| *how = manner),
        |letter, manner| letter.data = manner,
        |letter, manner| letter.end = manner,
    ];
    for without in [&[][..], &["PIPELINING"], &["CHUNKING"], &["PIPELINING", "CHUNKING"]] {
        for manner in [Manner::Never, Manner::Later] {
            for step in steps {
                // The one after it must find the connection as if nothing had been.
                let mut letters = vec![Letter::plain(0), Letter::plain(1), Letter::plain(2)];
                step(&mut letters[0], manner);
                step(&mut letters[1], manner);
                for most in [100, 1] {
                    let plan = Plan { without: without.to_vec(), most, ..Plan::new(Role::Mx) };
                    goes_well(&plan, &letters, 1);
                }
            }
        }
    }
}

/// Commands that somebody adds in the clear behind STARTTLS are nobody's (RFC 3207 §6).
#[test]
fn what_is_injected_behind_starttls_is_not_obeyed() {
    let letters = [Letter::plain(0)];
    for (seed, cut) in (0..200).flat_map(|seed| [(seed, Cut::Whole), (seed, Cut::Random), (seed, Cut::Bytes)]) {
        let plan = Plan { inject: true, cut, ..Plan::new(Role::Mx) };
        let end = converse(&plan, &letters, &all(&letters), 0, seed);
        assert!(end.secure);
        assert_eq!(end.taken.len(), 1);
        agree(&plan, &letters, &all(&letters), &end);
    }
}

fn shapes() -> [Plan; 5] {
    let mx = Plan::new(Role::Mx);
    [
        Plan { tls: TlsUse::Never, ..mx.clone() },
        Plan { without: vec!["CHUNKING"], ..mx.clone() },
        Plan { without: vec!["PIPELINING", "CHUNKING"], tls: TlsUse::Never, ..mx.clone() },
        Plan { without: vec!["STARTTLS", "SIZE", "DSN"], ..mx },
        Plan { tls: TlsUse::Required, ..Plan::new(Role::Submission) },
    ]
}

/// The connection is reset, or falls silent, behind every single byte of either direction.
#[test]
fn lost_behind_every_byte() {
    let mut letters = [Letter::plain(0), Letter::plain(1)];
    letters[1].recipients[0].1 = Manner::Never;
    let work = all(&letters);
    let mut silences: BTreeMap<String, usize> = BTreeMap::new();
    let mut resets: BTreeMap<String, usize> = BTreeMap::new();
    for shape in shapes() {
        let whole = goes_well(&shape, &letters, 1);
        for (way, length) in [(Way::ToServer, whole.passed[0]), (Way::ToClient, whole.passed[1])] {
            for after in 0..length {
                let reset = Plan { fault: Fault::Reset(way, after), ..shape.clone() };
                let end = converse(&reset, &letters, &work, 0, after as u64);
                agree(&reset, &letters, &work, &end);
                if let Some(failure) = &end.over {
                    *resets.entry(failure.stage.to_string()).or_default() += 1;
                }
                let silent = Plan { fault: Fault::Silence(way, after), ..shape.clone() };
                let end = converse(&silent, &letters, &work, 0, after as u64);
                agree(&silent, &letters, &work, &end);
                let Some(failure) = &end.over else { continue };
                match &failure.cause {
                    Cause::TimedOut(waited) => assert!(waits(failure.stage).contains(waited), "{silent:?} {failure:?}"),
                    // The server's patience ended first, and it could say so.
                    Cause::Reply(reply) => assert!(way == Way::ToServer && reply.code.get() == 421, "{silent:?}"),
                    other => panic!("{silent:?} {other:?}"),
                }
                *silences.entry(failure.stage.to_string()).or_default() += 1;
            }
        }
    }
    for stage in ["greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "end-of-data"] {
        assert!(silences.contains_key(stage), "no silence at {stage}: {silences:?}");
        assert!(resets.contains_key(stage), "no reset at {stage}: {resets:?}");
    }
}

/// RFC 5321 §4.5.3.2: what is waited for how long. With the whole message in one flight, the reply to any command may be
/// the one that is missing.
fn waits(stage: Stage) -> Vec<std::time::Duration> {
    match stage {
        Stage::Greeting => vec![limits::SMTP_GREETING_WAIT],
        Stage::StartTls => vec![limits::SMTP_REPLY_WAIT, limits::TLS_HANDSHAKE_TIMEOUT],
        Stage::Data => vec![limits::SMTP_DATA_WAIT],
        Stage::EndOfData => vec![limits::SMTP_END_WAIT, limits::SMTP_REPLY_WAIT],
        Stage::Quit => vec![limits::SMTP_QUIT_WAIT],
        _ => vec![limits::SMTP_REPLY_WAIT],
    }
}

/// A server whose client falls silent says why it closes, and keeps nothing that was not whole.
#[test]
fn a_silent_client_is_told_421_in_every_state() {
    let letters = [Letter::plain(0)];
    for shape in shapes() {
        let whole = goes_well(&shape, &letters, 1);
        for after in 0..whole.passed[0] {
            let plan = Plan { fault: Fault::Silence(Way::ToServer, after), ..shape.clone() };
            let end = converse(&plan, &letters, &all(&letters), 0, 1);
            let handshake = end.last_words.starts_with("220 2.0.0 Ready");
            let said = end.last_words.starts_with("421 4.4.2 ") || end.last_words.starts_with("221 ");
            assert!(said || handshake, "{}", end.last_words);
        }
    }
}

/// As the queue does it: what was not settled is tried again over a new connection, until it is.
fn until_settled(seed: u64) {
    let mut random = Random::new(seed);
    let many = 1 + random.below(4);
    let letters = some_letters(many, &mut random);
    let mut left = all(&letters);
    let mut accepted: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let mut unclear: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let mut counted: BTreeSet<(usize, usize)> = BTreeSet::new();
    for attempt in 0.. {
        assert!(attempt < 40, "never settled: seed {seed}");
        let mut plan = Plan::new(if random.below(3) == 0 { Role::Submission } else { Role::Mx });
        plan.tls = [TlsUse::IfOffered, TlsUse::Never, TlsUse::Required][random.below(3)];
        if plan.role == Role::Submission {
            plan.tls = TlsUse::Required;
        }
        plan.without = KEYWORDS.into_iter().filter(|_| random.below(4) == 0).collect();
        plan.cut = [Cut::Whole, Cut::Bytes, Cut::Random][random.below(3)];
        plan.most = [100, 2][random.below(2)];
        let way = [Way::ToServer, Way::ToClient][random.below(2)];
        let place = random.below(1_200);
        plan.fault = match random.below(5) {
            _ if attempt > 8 => Fault::None,
            0 => Fault::Reset(way, place),
            1 => Fault::Silence(way, place),
            2 if plan.tls == TlsUse::IfOffered => Fault::Handshake,
            _ => Fault::None,
        };
        let end = converse(&plan, &letters, &left, attempt.min(1), random.next());
        for place in agree(&plan, &letters, &left, &end) {
            *unclear.entry(place).or_default() += 1;
        }
        for taken in &end.taken {
            for recipient in &taken.envelope.recipients {
                let known = &letters[taken.letter].recipients;
                let n = known.iter().position(|(known, _)| known.address == recipient.address).unwrap();
                *accepted.entry((taken.letter, n)).or_default() += 1;
            }
        }
        let mut reports = end.reports.iter();
        left = left
            .into_iter()
            .filter_map(|(number, recipients)| {
                let verdicts = reports.next().map(|report| &report.verdicts);
                let again = recipients.into_iter().enumerate().filter(|(at, n)| {
                    let verdict = verdicts.map(|verdicts| &verdicts[*at]);
                    if let Some(Ok(_)) = verdict {
                        assert!(counted.insert((number, *n)), "accepted twice: seed {seed}");
                    }
                    !verdict.is_some_and(|verdict| verdict.as_ref().err().is_none_or(Failure::is_permanent))
                });
                let again: Vec<usize> = again.map(|(_, n)| n).collect();
                (!again.is_empty()).then_some((number, again))
            })
            .collect();
        if left.is_empty() {
            break;
        }
    }
    // Once, and once more for each time that nobody could know.
    for (place, times) in &accepted {
        let may = 1 + unclear.get(place).copied().unwrap_or(0);
        assert!(*times <= may, "{place:?} was accepted {times} times: seed {seed}");
    }
    for place in &counted {
        assert!(accepted.contains_key(place), "{place:?} counts as accepted: seed {seed}");
    }
}

#[test]
fn everything_settles_and_nothing_is_sent_twice() {
    let from = Random::from_environment(1).next() % 1_000_000;
    for seed in from..from + 1_500 {
        until_settled(seed);
    }
}
