//! Draws journeys for people: one block for each system that a message went through, in the order of its way.
//!
//! Does: turns journeys into text; joins those of one message from several systems by Message-ID, and puts
//! reports below what they report. Does not: look journeys up, print, or know the time zone: times are UTC.

use std::fmt::Write as _;

use mail::Timestamp;
use store::journey::{Event, Journey, Tls, What};

/// Where the words begin: behind time and event name.
const INDENT: &str = "│                           ";

/// A journey and the system that it was found in.
#[derive(Clone, Debug)]
pub(crate) struct Leg {
    /// What the system is called: its hostname.
    pub(crate) system: String,
    /// What happened there.
    pub(crate) journey: Journey,
}

/// All legs as text; messages are separated by an empty line, oldest first.
pub(crate) fn draw(legs: &[Leg]) -> String {
    let mut text = String::new();
    for message in by_message(legs) {
        if !text.is_empty() {
            text.push('\n');
        }
        let first = &message[0].journey;
        let _ = writeln!(
            text,
            "{} from {}",
            first.message_id.as_deref().unwrap_or("a message without a Message-ID"),
            sender(&first.sender)
        );
        for leg in message {
            draw_leg(&mut text, leg);
        }
    }
    text
}

/// Legs by message, each in the order of time. Without a Message-ID a leg stands alone.
fn by_message(legs: &[Leg]) -> Vec<Vec<&Leg>> {
    let mut sorted: Vec<&Leg> = legs.iter().collect();
    sorted.sort_by_key(|leg| (leg.journey.received_at, leg.journey.id.clone()));
    let mut messages: Vec<Vec<&Leg>> = Vec::new();
    for leg in sorted {
        let same = |message: &&mut Vec<&Leg>| {
            leg.journey.message_id.is_some() && message[0].journey.message_id == leg.journey.message_id
        };
        match messages.iter_mut().find(same) {
            Some(message) => message.push(leg),
            None => messages.push(vec![leg]),
        }
    }
    messages
}

fn draw_leg(text: &mut String, leg: &Leg) {
    let journey = &leg.journey;
    let _ = writeln!(text, "┌ {}  {}  {}", leg.system, journey.id, date(journey.received_at));
    for event in &journey.events {
        draw_event(text, event);
    }
    for (recipient, next) in &journey.waiting {
        let when = match journey.paused.contains(recipient) {
            true => "waits: destination paused by the operator".to_owned(),
            false => format!("next try at {}", moment(*next)),
        };
        let _ = writeln!(text, "│ {:<12} waiting       {recipient}, {when}", "");
    }
    let _ = writeln!(text, "└{}", if journey.waiting.is_empty() { "" } else { " still under way" });
}

fn draw_event(text: &mut String, event: &Event) {
    let (name, mut words, quote) = tell(event);
    if let Some(recipient) = &event.recipient {
        // An arrow leads from the recipient; other words tell about it.
        let joint = if words.starts_with(['→', '(']) || words.is_empty() { " " } else { ", " };
        words = format!("{recipient}{joint}{words}").trim_end().to_owned();
    }
    let took = event.took.map_or(String::new(), |took| format!("  ({took} ms)"));
    let _ = writeln!(text, "│ {} {name:<13} {words}{took}", time(event.at));
    for line in quote.iter().flat_map(|quote| quote.lines()) {
        let _ = writeln!(text, "{INDENT} “{line}”");
    }
}

/// An event's name, what it says, and the other side's words.
fn tell(event: &Event) -> (&'static str, String, Option<&str>) {
    match &event.what {
        What::Received { protocol, from, helo, account, tls, size, .. } => {
            let who = match (account, helo, from) {
                (Some(account), ..) => format!("from {account}, logged in"),
                (None, Some(helo), Some(from)) => format!("from {helo} [{from}]"),
                (None, helo, from) => {
                    helo.as_ref().or(from.as_ref()).map_or("made here".to_owned(), |who| format!("from {who}"))
                }
            };
            let how = match protocol.as_str() {
                // Our own reports came over no wire.
                "local" => String::new(),
                // From the account's own store; how its client reaches that is not told here.
                "HTTP" => "by JMAP, ".to_owned(),
                _ => format!("{protocol}, {}, ", encryption(tls.as_ref())),
            };
            ("received", format!("{who}, {how}{size} octets"), None)
        }
        What::Authenticated { spf, dkim, dmarc, words, .. } => {
            ("authenticated", format!("spf={spf} dkim={dkim} dmarc={dmarc}: {words}"), None)
        }
        What::Expanded { rule, targets } => ("expanded", format!("→ {} ({rule})", targets.join(", ")), None),
        What::Delivered { account, mailbox } => {
            let whose =
                if event.recipient.as_ref() == Some(account) { String::new() } else { format!(" of {account}") };
            ("delivered", format!("→ {mailbox}{whose}"), None)
        }
        What::Trusted { from, network } => {
            ("trusted", format!("may send without log-in, because {from} is in the trusted network {network}"), None)
        }
        What::Sorted { rule, words, .. } => ("sorted", format!("by {rule}, which {words}"), None),
        What::Filtered { milter, words } => ("filtered", format!("by {milter}, which {words}"), None),
        What::Signed { domain, selectors } => {
            ("signed", format!("for {domain}, with the keys {}", selectors.join(", ")), None)
        }
        What::Held { until } => ("held", format!("by its sender, until {}", moment(*until)), None),
        What::Queued { destination } => ("queued", format!("for {destination}"), None),
        What::Routed { rule, hosts, .. } => ("routed", format!("→ {} ({rule})", listed(hosts)), None),
        What::Failed { host, ip, stage, words, tls } => (
            ("failed"),
            format!("at {}, {stage}, {}", server(host, ip.as_deref()), encryption(tls.as_ref())),
            Some(words),
        ),
        What::Relayed { host, ip, reply, tls } => {
            ("relayed", format!("→ {}, {}", server(host, Some(ip)), encryption(tls.as_ref())), Some(reply))
        }
        What::Deferred { words, next } => ("deferred", format!("next try at {}", moment(*next)), Some(words)),
        What::Bounced { words, report } => ("bounced", reported(report.as_deref()), Some(words)),
        What::Expired { words, report } => ("expired", reported(report.as_deref()), Some(words)),
        What::Reported { kind, report } => ("reported", format!("{kind}, by {report}"), None),
        What::Answered { report, .. } => ("answered", format!("is away, the sender is told by {report}"), None),
        What::NotAnswered { words, .. } => ("not answered", format!("is away, the sender is not told: {words}"), None),
        What::Judged { junk, percent, evidence, .. } => {
            let says = if *junk { "looks like junk" } else { "does not look like junk" };
            let evidence: Vec<_> = evidence.iter().map(|one| format!("{} {} %", one.what, one.percent)).collect();
            ("judged", format!("{says} ({percent} %): {}", evidence.join(", ")), None)
        }
        What::Discarded { rule } => ("discarded", format!("({rule})"), None),
        What::Operator { action } => ("operator", action.clone(), None),
        What::Redirected { to } => ("redirected", format!("→ {to} (operator)"), None),
        What::Refused { from, reply, rule, .. } => ("refused", format!("{from} ({rule})"), Some(reply)),
    }
}

fn listed(hosts: &[String]) -> String {
    if hosts.is_empty() { "nowhere".to_owned() } else { hosts.join(", ") }
}

fn reported(report: Option<&str>) -> String {
    report.map_or("nobody is told".to_owned(), |report| format!("the sender is told by {report}"))
}

fn sender(sender: &str) -> &str {
    if sender.is_empty() { "<> (a report)" } else { sender }
}

fn server(host: &str, ip: Option<&str>) -> String {
    ip.map_or(host.to_owned(), |ip| format!("{host} [{ip}]"))
}

/// `TLSv1.3 (DANE: the certificate matches TLSA 3 1 1)`
fn encryption(tls: Option<&Tls>) -> String {
    match tls {
        None => "no TLS".to_owned(),
        Some(Tls { version, policy: None, .. }) => version.clone(),
        Some(Tls { version, policy: Some(policy), .. }) => format!("{version} ({policy})"),
    }
}

/// `12:34:56.789`, UTC.
fn time(millis: i64) -> String {
    let day = millis.rem_euclid(86_400_000);
    let (hours, minutes, seconds) = (day / 3_600_000, day / 60_000 % 60, day / 1000 % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{:03}", day % 1000)
}

/// `2026-11-24`, UTC.
fn date(millis: i64) -> String {
    let day = message::date::utc_day(Timestamp::from_millis(millis));
    format!("{:04}-{:02}-{:02}", day.year, day.month, day.day)
}

/// Date and time to the second, UTC.
fn moment(millis: i64) -> String {
    format!("{} {} UTC", date(millis), &time(millis)[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls() -> Option<Tls> {
        Some(Tls { version: "TLSv1.3".into(), cipher: "TLS13_AES_256_GCM_SHA384".into(), verified: None, policy: None })
    }

    fn leg(system: &str, id: &str, at: i64, events: Vec<Event>, waiting: Vec<(String, i64)>) -> Leg {
        let message_id = Some("<1@red.example>".to_owned());
        let sender = "alice@red.example".to_owned();
        Leg {
            system: system.into(),
            journey: Journey {
                id: id.into(),
                message_id,
                received_at: at,
                sender,
                events,
                waiting,
                paused: Vec::new(),
            },
        }
    }

    #[test]
    fn what_came_by_jmap_waits_for_its_sender() {
        let at = Timestamp::from_millis(1_795_000_000_000);
        let received = What::Received {
            protocol: "HTTP".into(),
            from: None,
            helo: None,
            account: Some("alice@red.example".into()),
            tls: None,
            size: 512,
            sender: "alice@red.example".into(),
        };
        let held = What::Held { until: 1_795_000_010_000 };
        let words = |what| tell(&Event::new(at, what)).1;
        assert_eq!(words(received), "from alice@red.example, logged in, by JMAP, 512 octets");
        assert_eq!(words(held), "by its sender, until 2026-11-18 11:06:50 UTC");
    }

    #[test]
    fn one_message_through_two_systems_is_one_drawing() {
        let at = |millis: i64| Timestamp::from_millis(1_795_000_000_000 + millis);
        let bob = || "bob@blue.example".to_owned();
        let received = |protocol: &str, account: Option<&str>, helo: Option<&str>| What::Received {
            protocol: protocol.into(),
            from: helo.map(|_| "127.0.0.1".into()),
            helo: helo.map(Into::into),
            account: account.map(Into::into),
            tls: tls(),
            size: 512,
            sender: "alice@red.example".into(),
        };
        let red = leg(
            "mail.red.example",
            "0sx4v2k9m0001",
            at(0).millis(),
            vec![
                Event { took: Some(14), ..Event::new(at(0), received("ESMTPSA", Some("alice@red.example"), None)) },
                Event::about(
                    at(1),
                    bob(),
                    What::Relayed {
                        host: "mail.blue.example".into(),
                        ip: "127.0.0.1".into(),
                        reply: "250 2.0.0 Queued as 0sx4v2k9m0002".into(),
                        tls: None,
                    },
                ),
            ],
            vec![],
        );
        let delivered = What::Delivered { account: bob(), mailbox: "INBOX".into() };
        let blue = leg(
            "mail.blue.example",
            "0sx4v2k9m0002",
            at(5).millis(),
            vec![
                Event::new(at(5), received("ESMTPS", None, Some("mail.red.example"))),
                Event::about(at(5), bob(), delivered),
            ],
            vec![("x@y.example".into(), at(60_000).millis())],
        );
        let expected = "\
<1@red.example> from alice@red.example
┌ mail.red.example  0sx4v2k9m0001  2026-11-18
│ 11:06:40.000 received      from alice@red.example, logged in, ESMTPSA, TLSv1.3, 512 octets  (14 ms)
│ 11:06:40.001 relayed       bob@blue.example → mail.blue.example [127.0.0.1], no TLS
│                            “250 2.0.0 Queued as 0sx4v2k9m0002”
└
┌ mail.blue.example  0sx4v2k9m0002  2026-11-18
│ 11:06:40.005 received      from mail.red.example [127.0.0.1], ESMTPS, TLSv1.3, 512 octets
│ 11:06:40.005 delivered     bob@blue.example → INBOX
│              waiting       x@y.example, next try at 2026-11-18 11:07:40 UTC
└ still under way
";
        assert_eq!(draw(&[blue, red]), expected);
    }
}
