//! docs/journey.md is made from the events of `store::journey`: run with UPDATE_DOCS=1 to write it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;

use mail::Timestamp;
use store::{Event, Tls, Weighed, What};

const HEAD: &str = "\
# The journey of a message

Every arrow of a message's way leaves an event: who, when, what was decided and by which rule, the other side's exact
words, how long it took. An event is written in the same transaction as what it tells, so a journey never says more or
less than what happened. `postrider trace QUERY` draws it; `postrider trace --json QUERY` gives it as below.

This page is made from `crates/store/src/journey.rs`.

## What every event has

| field | what |
|---|---|
| `at` | when it was over, in milliseconds since 1970 (UTC) |
| `took` | how long it took, in milliseconds, where that says something |
| `recipient` | the recipient that it is about; absent: the whole message |
| `event` | its name, as in the headings below |

## What it keeps about people, and for how long

A journey holds what a postmaster needs to answer *where is my mail?*, and of what the mail says no more than the few words
by which it was judged to be junk or not: no subject, no text, no names of attachments. It does hold personal data:

| what | where | why |
|---|---|---|
| mail addresses of sender and recipients | `received`, `recipient` of each event, `expanded`, `refused` | the question is asked by address |
| the Message-ID | the journey itself | the question is asked by Message-ID |
| the strongest words of a message from outside, out of their order | `judged` | to answer *why is it in Junk?* |
| the account that sent or got a message, and that its owner is away | `received`, `delivered`, `answered`, `not-answered` | to tell who was served |
| the network address and name of the *server* that brought a message | `received` (`from`, `helo`) | to find a wrong or hostile server |
| the network address of a person's mail client | not kept, unless the operator turns it on | it tells where a person is |
| the network address of a client that was refused | `refused` | to answer *why was I refused?*; in a ring of its own that is overwritten |
| other servers' words | `failed`, `relayed`, `deferred`, `bounced`, `expired` | they may repeat an address; at most 1,024 octets each |

Journeys are kept for 30 days (`lifetime` under `[journey]`), counted from the acceptance, and at least as long as the
message is queued. Refusals are no part of a journey: the last 10,000 are kept. Removing an account removes its mail, not
the journeys of messages that it sent or got; those end with their time. Logs show the queue id on every line, and
journeys are found by it.

## Events
";

fn tls() -> Option<Tls> {
    Some(Tls { version: "TLSv1.3".into(), cipher: "TLS13_AES_256_GCM_SHA384".into(), verified: None, policy: None })
}

/// Where an event comes in a journey, and what follows from it. Without an entry here a new event does not compile.
const fn note(what: &What) -> &'static str {
    match what {
        What::Received { .. } => "Always the first.",
        What::Authenticated { .. } => "Once, for what other servers bring.",
        What::Expanded { .. } => "Once for every address that stands for others.",
        What::Delivered { .. } => "The end of the way for a recipient with a mailbox here.",
        What::Trusted { .. } => "Once, in the commit that accepts the message.",
        What::Filtered { .. } => "For every filter that is asked, in the commit that accepts the message.",
        What::Sorted { .. } => "For every action of a script, in the commit that accepts the message.",
        What::Signed { .. } => "Once, of what users send, in the commit that accepts the message.",
        What::Held { .. } => {
            "Once, in the commit that accepts the message; then all recipients are queued, those here too."
        }
        What::Queued { .. } => "For every recipient elsewhere, in the commit that accepts the message.",
        What::Routed { .. } => "At each try, before the first connection.",
        What::Failed { .. } => "For every server that was tried in vain.",
        What::Relayed { .. } => "The end of the way here; the next server's journey goes on.",
        What::Deferred { .. } => "The try is over; the recipient stays queued.",
        What::Bounced { .. } => "The end: the sender is told, where a report is due.",
        What::Expired { .. } => "The end: the sender is told, where a report is due.",
        What::Reported { .. } => "The report has a journey of its own.",
        What::Answered { .. } => "In the commit that accepts the message. The reply has a journey of its own.",
        What::NotAnswered { .. } => "In the commit that accepts the message.",
        What::Judged { .. } => "In the commit that accepts the message, where anything is known of it.",
        What::Discarded { .. } => "The end. Nobody is told.",
        What::Operator { .. } => "By a command, or the admin page.",
        What::Redirected { .. } => "By a command. What follows is about the new address.",
        What::Refused { .. } => "In the ring of refusals only.",
    }
}

/// One of each, in the order of a journey.
fn examples() -> Vec<(Option<&'static str>, Option<u64>, What)> {
    let bob = Some("bob@blue.example");
    let host = || "mail.blue.example".to_owned();
    let words = || "451 4.7.1 <bob@blue.example> takes mail at the next try".to_owned();
    vec![
        (
            None,
            Some(14),
            What::Received {
                protocol: "ESMTPSA".into(),
                from: None,
                helo: Some("client.red.example".into()),
                account: Some("alice@red.example".into()),
                tls: tls(),
                size: 1234,
                sender: "alice@red.example".into(),
            },
        ),
        (None, None, What::Trusted { from: "10.0.0.7".into(), network: "10.0.0.0/24".into() }),
        (
            None,
            None,
            What::Signed { domain: "red.example".into(), selectors: vec!["20261124r".into(), "20261124e".into()] },
        ),
        (None, None, What::Filtered { milter: "rspamd".into(), words: "adds X-Spamd-Result; adds X-Spam".into() }),
        (
            bob,
            None,
            What::Sorted {
                account: "bob@blue.example".into(),
                rule: "sieve “rules”, line 5".into(),
                words: "puts it into Lists/Acme".into(),
            },
        ),
        (
            None,
            None,
            What::Authenticated {
                spf: "pass".into(),
                dkim: "pass".into(),
                dmarc: "pass".into(),
                arc: None,
                domain: "red.example".into(),
                words: "it is from red.example: its server is one of that domain's, and its signature is good".into(),
            },
        ),
        (
            Some("team@red.example"),
            None,
            What::Expanded {
                rule: "alias".into(),
                targets: vec!["alice@red.example".into(), "bob@blue.example".into()],
            },
        ),
        (
            Some("alice@red.example"),
            None,
            What::Delivered { account: "alice@red.example".into(), mailbox: "INBOX".into() },
        ),
        (None, None, What::Held { until: 1_795_000_000_000 }),
        (bob, None, What::Queued { destination: "blue.example".into() }),
        (
            bob,
            Some(2),
            What::Routed {
                rule: "mx".into(),
                hosts: vec!["mail.blue.example [127.0.0.1]".into()],
                policies: vec!["DANE: the certificate must match TLSA 3 1 1".into()],
            },
        ),
        (
            bob,
            Some(31),
            What::Failed {
                host: host(),
                ip: Some("127.0.0.1".into()),
                stage: "rcpt".into(),
                words: words(),
                tls: tls(),
            },
        ),
        (bob, None, What::Deferred { words: words(), next: 1_790_000_002_000 }),
        (
            bob,
            Some(25),
            What::Relayed {
                host: host(),
                ip: "127.0.0.1".into(),
                reply: "250 2.0.0 Queued as 0sx4v2k9m0001".into(),
                tls: tls(),
            },
        ),
        (
            bob,
            None,
            What::Bounced {
                words: "550 5.1.1 <bob@blue.example> is unknown".into(),
                report: Some("0sx4v2k9m0002".into()),
            },
        ),
        (bob, None, What::Expired { words: "connection refused".into(), report: Some("0sx4v2k9m0003".into()) }),
        (bob, None, What::Reported { kind: "delay".into(), report: "0sx4v2k9m0004".into() }),
        (bob, None, What::Answered { account: "bob@blue.example".into(), report: "0sx4v2k9m0005".into() }),
        (
            bob,
            None,
            What::NotAnswered {
                account: "bob@blue.example".into(),
                rule: "told".into(),
                words: "the sender was told not long ago".into(),
            },
        ),
        (
            bob,
            None,
            What::Judged {
                account: "bob@blue.example".into(),
                junk: true,
                percent: 99,
                evidence: vec![Weighed { what: "subject:prize".into(), percent: 98 }],
            },
        ),
        (bob, None, What::Discarded { rule: "operator".into() }),
        (bob, None, What::Operator { action: "retry".into() }),
        (bob, None, What::Redirected { to: "carol@blue.example".into() }),
        (
            bob,
            None,
            What::Refused {
                from: "203.0.113.7".into(),
                sender: "x@example.net".into(),
                reply: "550 5.1.1 <nobody@blue.example> is unknown".into(),
                rule: "unknown-recipient".into(),
            },
        ),
    ]
}

/// Name, text, and fields with theirs.
type Variant = (String, String, Vec<(String, String)>);

/// Variants with their words and fields, read from the source's own documentation.
fn documented() -> Vec<Variant> {
    let source = include_str!("../src/journey.rs");
    let body = source.split_once("pub enum What {").unwrap().1;
    let body = body.split_once("\n}\n").unwrap().0;
    let mut variants: Vec<Variant> = Vec::new();
    let mut words = String::new();
    for line in body.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("///") {
            words = format!("{words} {}", comment.trim()).trim().to_owned();
        } else if let Some(name) = line.strip_suffix('{') {
            variants.push((kebab(name.trim()), std::mem::take(&mut words), Vec::new()));
        } else if let Some((field, _)) = line.split_once(": ").filter(|_| !line.starts_with('#')) {
            let Some(variant) = variants.last_mut() else { panic!("{line}") };
            variant.2.push((field.to_owned(), std::mem::take(&mut words)));
        }
    }
    variants
}

fn kebab(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    let documented = documented();
    let examples = examples();
    assert_eq!(documented.len(), examples.len(), "one example of every event");
    for (recipient, took, what) in examples {
        let note = note(&what);
        let mut event = Event::new(Timestamp::from_millis(1_790_000_000_000), what);
        event.took = took;
        event.recipient = recipient.map(str::to_owned);
        let json = serde_json::to_value(&event).unwrap();
        let name = json["event"].as_str().unwrap();
        let (_, words, fields) = documented.iter().find(|(known, ..)| known == name).unwrap();
        page += &format!("\n### `{name}`\n\n{words} {note}\n\n| field | what |\n|---|---|\n");
        for (field, words) in fields {
            page += &format!("| `{field}` | {words} |\n");
        }
        page += &format!("\n```json\n{json}\n```\n");
    }
    page
}

#[test]
fn journey_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/journey.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page(), "docs/journey.md is old: run the tests with UPDATE_DOCS=1");
}

#[test]
fn every_example_reads_back() {
    for (_, _, what) in examples() {
        let event = Event::new(Timestamp::from_millis(0), what);
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
