//! What an account may see of a message's way.
//!
//! **Who sent it** sees all that happened to the recipients that he named, and of those that an address here stands for what became
//! of them, under the address that he named: not who they are, where their mail goes, nor into which mailbox it came.
//!
//! **Who got it** sees how it came here and to him. Of other recipients nothing, not even that there are any: they may have been
//! hidden from him (Bcc).
//!
//! An event that is not named here is shown to nobody.

use std::collections::{BTreeMap, BTreeSet};

use mail::limits;
use serde_json::{Map, Value, json};
use store::{Event, Journey, What};

use super::{Owner, utc_date};

/// Whether the account sent it.
pub(super) fn is_sender(journey: &Journey, owner: &Owner) -> bool {
    let is_own = |event: &Event| matches!(&event.what, What::Received { account: Some(account), .. } if *account == owner.address);
    journey.received_at >= owner.since.millis() && journey.events.iter().any(is_own)
}

/// Whether the account got it.
pub(super) fn is_receiver(journey: &Journey, owner: &Owner) -> bool {
    let is_own = |event: &Event| matches!(&event.what, What::Delivered { account, .. } if *account == owner.address);
    journey.received_at >= owner.since.millis() && journey.events.iter().any(is_own)
}

/// Whether this server wrote it.
pub(super) fn is_made_here(journey: &Journey) -> bool {
    journey.events.iter().any(|event| matches!(&event.what, What::Received { protocol, .. } if protocol == "local"))
}

/// How far one recipient's mail is. The order is that of what a person must know first, where an address stands for several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Delivered,
    Relayed,
    Discarded,
    Expired,
    Bounced,
    Waiting,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Discarded => "discarded",
            Self::Expired => "expired",
            Self::Bounced => "bounced",
            Self::Waiting => "waiting",
        }
    }

    fn after(what: &What) -> Option<Self> {
        Some(match what {
            What::Delivered { .. } => Self::Delivered,
            What::Queued { .. } => Self::Waiting,
            What::Relayed { .. } => Self::Relayed,
            What::Bounced { .. } => Self::Bounced,
            What::Expired { .. } => Self::Expired,
            What::Discarded { rule } if is_by_script(rule) => Self::Delivered,
            What::Discarded { .. } => Self::Discarded,
            _ => return None,
        })
    }
}

/// What the sender sees: the recipients and the events.
pub(super) fn of_sender(journey: &Journey, owner: &Owner) -> (Value, Value) {
    let roots = Roots::of(journey);
    let mut order: Vec<&str> = Vec::new();
    // By the address that was named; below it by event, as each target's way goes on by itself.
    let mut states: BTreeMap<&str, BTreeMap<(&str, &str), State>> = BTreeMap::new();
    let mut events = Vec::new();
    let all = by_recipient(journey, &roots);
    for event in &all {
        let named = event.recipient.as_deref().map(|address| roots.root(address));
        if let (Some(named), Some(address)) = (named, event.recipient.as_deref()) {
            if !states.contains_key(named) {
                order.push(named);
            }
            let of_named = states.entry(named).or_default();
            // Several accounts behind one address have events with the same recipient.
            let whose = match &event.what {
                What::Delivered { account, .. } => account.as_str(),
                _ => "",
            };
            of_named.extend(State::after(&event.what).map(|state| ((address, whose), state)));
        }
        let is_hidden = named != event.recipient.as_deref();
        events.extend(shown_to_sender(event, owner, is_hidden, named));
    }
    let next = |named: &str| {
        let times = journey.waiting.iter().filter(|(address, _)| roots.root(address) == named);
        times.map(|(_, next)| *next).min().map(utc_date)
    };
    let recipient = |named: &&str| {
        let state = states.get(named).and_then(|states| states.values().max());
        json!({ "address": named, "state": state.map_or("accepted", |state| state.name()), "nextTry": next(named) })
    };
    (order.iter().map(recipient).collect(), events.into())
}

/// The events with those of a try, which stand before what became of its recipients, given to these. Where some recipients are
/// hidden, who named others must not learn of the servers of those: then tries as such are left out.
fn by_recipient(journey: &Journey, roots: &Roots<'_>) -> Vec<Event> {
    let is_hidden = |event: &&Event| event.recipient.as_deref().is_some_and(|address| roots.root(address) != address);
    let mut queued = journey.events.iter().filter(|event| matches!(event.what, What::Queued { .. }));
    let keeps_tries = !queued.any(|event| is_hidden(&event));
    let mut all = Vec::with_capacity(journey.events.len());
    let (mut of_try, mut is_told): (Vec<&Event>, bool) = (Vec::new(), false);
    for event in &journey.events {
        match (&event.what, &event.recipient) {
            (What::Routed { .. } | What::Failed { .. }, None) => {
                if std::mem::take(&mut is_told) {
                    of_try.clear();
                }
                of_try.push(event);
            }
            (outcome, Some(recipient)) if !of_try.is_empty() => {
                is_told = true;
                let ways = of_try.iter().filter(|event| matches!(event.what, What::Routed { .. })).count();
                for step in of_try.iter().filter(|step| keeps_tries && ways == 1 && concerns(step, outcome)) {
                    if all.len() < limits::JOURNEY_EVENTS {
                        all.push(Event { recipient: Some(recipient.clone()), ..(*step).clone() });
                    }
                }
                all.push(event.clone());
            }
            _ => all.push(event.clone()),
        }
    }
    all
}

/// Whether a step of a try is about a recipient of whom this became: what a server said of one is not said of others.
fn concerns(step: &Event, outcome: &What) -> bool {
    let is_early = |stage: &str| ["connect", "greeting", "ehlo", "starttls", "auth"].contains(&stage);
    match (&step.what, outcome) {
        (What::Routed { .. }, _) => true,
        (
            What::Failed { stage, words: said, .. },
            What::Deferred { words, .. } | What::Bounced { words, .. } | What::Expired { words, .. },
        ) => is_early(stage) || words == said,
        (What::Failed { stage, .. }, _) => is_early(stage),
        _ => false,
    }
}

/// Whether a recipient's own script threw it away.
fn is_by_script(rule: &str) -> bool {
    rule.starts_with("sieve ")
}

fn shown_to_sender(event: &Event, owner: &Owner, is_hidden: bool, named: Option<&str>) -> Option<Value> {
    let mine = |account: &String| *account == owner.address;
    let (name, more): (_, Value) = match &event.what {
        What::Received { protocol, from, helo, account, tls, size, sender } => (
            "received",
            json!({ "protocol": protocol, "from": from, "helo": helo, "tls": tls, "size": size, "sender": sender,
                "authenticated": account.is_some() }),
        ),
        What::Expanded { rule, .. } if !is_hidden => ("expanded", json!({ "rule": rule })),
        What::Delivered { account, mailbox } => {
            ("delivered", json!({ "mailbox": Some(mailbox).filter(|_| mine(account)) }))
        }
        What::Deferred { words, next } => {
            ("deferred", json!({ "words": Some(words).filter(|_| !is_hidden), "next": utc_date(*next) }))
        }
        What::Bounced { words, report } => {
            ("bounced", json!({ "words": Some(words).filter(|_| !is_hidden), "report": report }))
        }
        What::Expired { words, report } => {
            ("expired", json!({ "words": Some(words).filter(|_| !is_hidden), "report": report }))
        }
        What::Reported { kind, report } => ("reported", json!({ "kind": kind, "report": report })),
        // RFC 5228 §10: what somebody throws away is nobody's business.
        What::Discarded { rule } if is_by_script(rule) => ("delivered", json!({ "mailbox": null })),
        What::Discarded { rule } => ("discarded", json!({ "rule": rule })),
        What::Operator { action } => ("operator", json!({ "action": action })),
        What::Trusted { network, .. } if !is_hidden => ("trusted", json!({ "network": network })),
        What::Filtered { milter, words } if !is_hidden => ("filtered", json!({ "milter": milter, "words": words })),
        What::Signed { domain, .. } => ("signed", json!({ "domain": domain })),
        // Where to is the operator's business.
        What::Redirected { .. } => ("operator", json!({ "action": "redirect" })),
        // RFC 4865: the sender asked for it.
        What::Held { until } => ("held", json!({ "until": utc_date(*until) })),
        What::Relayed { .. } if is_hidden => ("relayed", json!({})),
        What::Queued { .. } if is_hidden => ("queued", json!({})),
        _ if is_hidden => return None,
        What::Queued { destination } => ("queued", json!({ "destination": destination })),
        What::Routed { rule, hosts, policies } => {
            ("routed", json!({ "rule": rule, "hosts": hosts, "policies": policies }))
        }
        What::Failed { host, ip, stage, words, tls } => {
            ("failed", json!({ "host": host, "ip": ip, "stage": stage, "words": words, "tls": tls }))
        }
        What::Relayed { host, ip, reply, tls } => {
            ("relayed", json!({ "host": host, "ip": ip, "reply": reply, "tls": tls }))
        }
        _ => return None,
    };
    Some(told(event, name, named, more))
}

/// What the receiver sees.
pub(super) fn of_receiver(journey: &Journey, owner: &Owner) -> Value {
    let way = way(journey, &owner.address);
    let events = journey.events.iter().filter_map(|event| {
        let recipient = event.recipient.as_deref();
        let (name, more): (_, Value) = match &event.what {
            What::Received { protocol, from, helo, account, tls, size, sender } => (
                "received",
                json!({ "protocol": protocol, "from": from, "helo": helo, "tls": tls, "size": size, "sender": sender,
                    "authenticated": account.is_some() }),
            ),
            What::Authenticated { spf, dkim, dmarc, arc, domain, words } => (
                "authenticated",
                json!({ "spf": spf, "dkim": dkim, "dmarc": dmarc, "arc": arc, "domain": domain, "words": words }),
            ),
            What::Expanded { rule, .. } if recipient.is_some_and(|address| way.contains(address)) => {
                ("expanded", json!({ "rule": rule }))
            }
            What::Delivered { account, mailbox } if *account == owner.address => {
                ("delivered", json!({ "mailbox": mailbox }))
            }
            What::Judged { account, junk, percent, evidence } if *account == owner.address => {
                ("judged", json!({ "junk": junk, "percent": percent, "evidence": evidence }))
            }
            What::Trusted { network, .. } => ("trusted", json!({ "network": network })),
            What::Filtered { milter, words } => ("filtered", json!({ "milter": milter, "words": words })),
            What::Sorted { account, rule, words } if *account == owner.address => {
                ("filtered", json!({ "milter": rule, "words": words }))
            }
            What::Answered { account, .. } if *account == owner.address => ("answered", json!({})),
            What::NotAnswered { account, rule, words } if *account == owner.address => {
                ("not-answered", json!({ "rule": rule, "words": words }))
            }
            _ => return None,
        };
        Some(told(event, name, recipient, more))
    });
    events.collect()
}

/// The addresses by which the message came to an account: from the one that was named to its own.
fn way<'j>(journey: &'j Journey, own: &'j str) -> BTreeSet<&'j str> {
    let expanded = journey.events.iter().filter_map(|event| match &event.what {
        What::Expanded { targets, .. } => Some((event.recipient.as_deref()?, targets)),
        _ => None,
    });
    // All that lead to it; some of them may have been named for others alone.
    let mut leading = BTreeSet::from([own]);
    for _ in 0..=limits::ALIAS_DEPTH {
        let more = expanded.clone().filter(|(_, targets)| targets.iter().any(|one| leading.contains(one.as_str())));
        let more: Vec<&str> = more.map(|(address, _)| address).filter(|address| !leading.contains(address)).collect();
        if more.is_empty() {
            break;
        }
        leading.extend(more);
    }
    let named = journey.events.iter().filter_map(|event| match &event.what {
        What::Delivered { account, .. } if account == own => event.recipient.as_deref(),
        _ => None,
    });
    let (mut open, mut way) = (named.collect::<Vec<_>>(), BTreeSet::new());
    while let Some(address) = open.pop() {
        if leading.contains(address) && way.insert(address) {
            let next = expanded.clone().filter(|(from, _)| *from == address);
            open.extend(next.flat_map(|(_, targets)| targets.iter().map(String::as_str)));
        }
    }
    way
}

fn told(event: &Event, name: &str, recipient: Option<&str>, more: Value) -> Value {
    let mut members = Map::new();
    members.insert("event".into(), name.into());
    members.insert("at".into(), utc_date(event.at).into());
    members.insert("took".into(), event.took.into());
    members.insert("recipient".into(), recipient.into());
    if let Value::Object(more) = more {
        members.extend(more);
    }
    Value::Object(members)
}

/// Which named address each address stands behind.
struct Roots<'j>(BTreeMap<&'j str, &'j str>);

impl<'j> Roots<'j> {
    fn of(journey: &'j Journey) -> Self {
        let mut roots = BTreeMap::new();
        for event in &journey.events {
            if let (What::Expanded { targets, .. }, Some(address)) = (&event.what, event.recipient.as_deref()) {
                for target in targets.iter().filter(|target| *target != address) {
                    roots.entry(target.as_str()).or_insert(address);
                }
            }
        }
        Self(roots)
    }

    fn root<'a>(&'a self, address: &'a str) -> &'a str
    where
        'j: 'a,
    {
        let step = |address: &&'a str| self.0.get(*address).copied();
        let mut root = address;
        // Aliases may lead in a circle.
        for _ in 0..limits::ALIAS_DEPTH {
            match step(&root) {
                Some(next) => root = next,
                None => break,
            }
        }
        root
    }
}
