//! Rehearsing a mail: who an address is, and where its mail would go, without sending any.
//!
//! Does: ask the very rules that decide about real mail ([`mta::accept`] and [`mta::route`]) and write down what each
//! says. Does not: decide anything itself, or talk to other mail servers; DNS is asked.

use std::sync::Arc;

use mail::{AccountId, Address, Domain, ReversePath};
use mta::accept::resolve::{Place, Refusal, Resolved};
use mta::accept::{Client, Desk, Identity};
use mta::route::{Routing, Verdict, route};
use mta::world::World;
use wire::smtp::server::Role;

use super::execute::Context;
use super::view::{RouteView, StepView};
use crate::outbound;

/// What would happen to a mail for `address` now.
pub(super) async fn rehearse(context: &Context, address: Address) -> Result<RouteView, String> {
    let settings = (context.settings)();
    let world = context.world()?;
    let routing = Arc::new(outbound::routing(&settings));
    let desk = context.desk();
    let mut view = RouteView { address: address.to_string(), steps: Vec::new(), from: "nobody".into() };
    whose(context, &routing, address.domain(), &mut view).await?;
    let stranger = ask(&desk, Role::Mx, Identity::Stranger, &address).await;
    let (from, resolved) = match stranger {
        Ok(resolved) => ("everyone", Ok(resolved)),
        Err(refusal) => {
            note(&mut view, refusal.rule, format!("from other servers: {}", refusal.reply));
            // Any account will do: rules about senders are not rehearsed.
            let user = Identity::Account(AccountId(0), address.clone());
            ("users", ask(&desk, Role::Submission, user, &address).await)
        }
    };
    match resolved {
        Ok(resolved) => {
            from.clone_into(&mut view.from);
            follow(&world, &routing, resolved, &mut view).await;
        }
        Err(refusal) if refusal.rule == "relaying-denied" => {}
        Err(refusal) => note(&mut view, refusal.rule, format!("from logged-in users: {}", refusal.reply)),
    }
    Ok(view)
}

async fn ask(desk: &Desk, role: Role, identity: Identity, address: &Address) -> Result<Resolved, Refusal> {
    let ip = std::net::Ipv4Addr::LOCALHOST.into();
    let client = Client { ip, role, tls: None, identity, trusted: None };
    desk.resolve(&client, &ReversePath::Null, address, 0).await
}

fn note(view: &mut RouteView, rule: &str, says: String) {
    view.steps.push(StepView { rule: rule.to_owned(), says });
}

async fn whose(context: &Context, routing: &Routing, domain: &Domain, view: &mut RouteView) -> Result<(), String> {
    let ours = context.store.domain(domain).await.map_err(|error| error.to_string())?.is_some();
    let says = match () {
        () if ours => format!("{domain} is a domain of this server"),
        () if routing.is_gateway(domain) => format!("{domain} has a [[route]]: its mail is accepted here and sent on"),
        () => format!("{domain} is no domain of this server"),
    };
    note(view, "domain", says);
    Ok(())
}

async fn follow(world: &World, routing: &Routing, resolved: Resolved, view: &mut RouteView) {
    for expansion in &resolved.expansions {
        let targets = expansion.targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        note(view, expansion.rule, format!("{} stands for {targets}", expansion.address));
    }
    for target in resolved.targets {
        match target.place {
            Place::Here(_, address) => note(view, "delivered", format!("into INBOX of {address}")),
            Place::Elsewhere(address, _) => send_on(world, routing, &address, view).await,
        }
    }
}

async fn send_on(world: &World, routing: &Routing, address: &Address, view: &mut RouteView) {
    let domain = routing.destination(address);
    note(view, "queued", format!("{address} is queued for {domain}"));
    let found = route(world, routing, &domain).await;
    for step in &found.steps {
        note(view, "looked up", step.clone());
    }
    match &found.verdict {
        Verdict::Hosts(hosts) => {
            for (n, host) in hosts.iter().enumerate() {
                let at = host.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let login = if found.login.is_some() { ", with a log-in" } else { "" };
                note(view, found.rule, format!("{}. {} at {at}{login}; {}", n + 1, host.name, host.policy));
            }
        }
        Verdict::Never(code, (class, subject, detail), words) => {
            note(view, found.rule, format!("it would be returned: {code} {class}.{subject}.{detail} {words}"));
        }
        Verdict::Later(_, words) => note(view, found.rule, format!("it would wait: {words}")),
    }
}
