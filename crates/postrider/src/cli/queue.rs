//! `postrider queue …`: mail that waits for its next hop.

use std::time::Duration;

use clap::{Args, Subcommand};
use mail::{Address, Domain, QueueId, limits};
use server::control::{DestinationView, QueueActed, QueueAction, QueueFilter, QueueView, Request};

use super::ask::{ask_server, tell};
use super::table::{moment, size, table};
use super::{Failure, Outcome, Server, print, print_json};

/// Mail that waits for its next hop.
#[derive(Debug, Subcommand)]
pub(crate) enum Queue {
    /// Lists what waits, oldest first.
    List(List),
    /// Shows a message: each recipient, its tries, the last words.
    Show {
        /// The queue id.
        id: QueueId,
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Tries it at once.
    Retry(Act),
    /// Keeps it until it is released.
    Hold(Act),
    /// Ends what `hold` began.
    Release(Act),
    /// Returns it to its sender now.
    Bounce(Act),
    /// Throws it away; nobody is told.
    Drop(Act),
    /// Sends it on to another address, which takes the recipient's place.
    Redirect {
        /// To whom.
        #[arg(long, value_parser = super::address)]
        to: Address,
        #[command(flatten)]
        act: Act,
    },
    /// Lists where mail waits to go: whether it answers, its last words, when it is tried next.
    Destinations {
        /// As JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Sends nothing to a destination until it is resumed. Mail for it is taken, and does not grow too old meanwhile.
    Pause {
        /// As `destinations` lists it.
        #[arg(value_parser = super::domain)]
        destination: Domain,
        #[command(flatten)]
        server: Server,
    },
    /// Ends what `pause` began.
    Resume {
        /// As `destinations` lists it.
        #[arg(value_parser = super::domain)]
        destination: Domain,
        #[command(flatten)]
        server: Server,
    },
}

/// Which messages, and which of their recipients: all that is said must hold.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Which")]
pub(crate) struct Filter {
    /// From this address or domain; `<>`: reports.
    #[arg(long, value_name = "ADDRESS|DOMAIN")]
    sender: Option<String>,
    /// To this address or domain.
    #[arg(long, value_name = "ADDRESS|DOMAIN")]
    recipient: Option<String>,
    /// For this destination, as `destinations` lists it.
    #[arg(long, value_name = "DOMAIN")]
    destination: Option<String>,
    /// Accepted longer ago than this: a number and s, m, h or d.
    #[arg(long, value_name = "TIME", value_parser = age)]
    older_than: Option<Duration>,
    /// Whose last words contain this, in any case.
    #[arg(long, value_name = "WORDS")]
    reason: Option<String>,
    /// Held by an operator.
    #[arg(long, conflicts_with = "waiting")]
    held: bool,
    /// Not held by an operator.
    #[arg(long)]
    waiting: bool,
}

impl Filter {
    fn of(&self, ids: Vec<QueueId>) -> QueueFilter {
        let now = mta::world::Clock::now(&server::SystemClock);
        QueueFilter {
            ids,
            sender: self.sender.clone(),
            recipient: self.recipient.clone(),
            destination: self.destination.clone(),
            before: self.older_than.map(|age| now.millis() - i64::try_from(age.as_millis()).unwrap_or(i64::MAX)),
            reason: self.reason.clone(),
            held: match (self.held, self.waiting) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ => None,
            },
        }
    }
}

fn age(text: &str) -> Result<Duration, String> {
    crate::config::duration(text).ok_or_else(|| "write a number and s, m, h or d, like 2h".to_owned())
}

#[derive(Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,
    /// Only so many messages; the last id, given to `--after`, leads to the next page.
    #[arg(long, value_name = "MESSAGES", value_parser = clap::value_parser!(u64).range(1..))]
    page: Option<u64>,
    /// Those after this queue id.
    #[arg(long, value_name = "ID")]
    after: Option<QueueId>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// One message, or many.
#[derive(Args, Debug)]
pub(crate) struct Act {
    /// Queue ids; with filters: of these.
    ids: Vec<QueueId>,
    #[command(flatten)]
    filter: Filter,
    /// All that waits.
    #[arg(long)]
    all: bool,
    /// Only says what would be hit.
    #[arg(long)]
    dry_run: bool,
    /// Does it to all that filters hit. Without it they only say what would be hit.
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Queue {
    pub(super) async fn run(self) -> Outcome {
        let (act, action) = match self {
            Self::List(list) => return list.run().await,
            Self::Show { id, json, server } => return show(id, json, &server).await,
            Self::Destinations { json, server } => return destinations(json, &server).await,
            Self::Pause { destination, server } => return pause(destination, true, &server).await,
            Self::Resume { destination, server } => return pause(destination, false, &server).await,
            Self::Retry(act) => (act, QueueAction::Retry),
            Self::Hold(act) => (act, QueueAction::Hold),
            Self::Release(act) => (act, QueueAction::Release),
            Self::Bounce(act) => (act, QueueAction::Bounce),
            Self::Drop(act) => (act, QueueAction::Drop),
            Self::Redirect { to, act } => (act, QueueAction::Redirect(to)),
        };
        act.run(action).await
    }
}

impl List {
    async fn run(self) -> Outcome {
        let config = self.server.load()?;
        let filter = self.filter.of(Vec::new());
        let (mut after, mut left, mut any) = (self.after, self.page.unwrap_or(u64::MAX), false);
        while left > 0 {
            let limit = usize::try_from(left).unwrap_or(usize::MAX).min(limits::QUEUE_PAGE);
            let request = Request::QueueList { filter: filter.clone(), after, limit };
            let (page, _) = ask_server::<Vec<QueueView>>(&config, request).await?;
            let Some(last) = page.last() else { break };
            after = last.id.parse().ok();
            left -= page.len() as u64;
            // One page after the other: a large queue is never in memory, here or there.
            if self.json {
                for message in &page {
                    let json = serde_json::to_string_pretty(message).map_err(|error| Failure(error.to_string()))?;
                    print(&format!("{}{json}", if any { "," } else { "[" }));
                    any = true;
                }
            } else {
                print(&draw(&page, !any));
                any = true;
            }
            if page.len() < limit {
                break;
            }
        }
        match (self.json, any, after) {
            (true, true, _) => print("]"),
            (true, false, _) => print("[]"),
            (false, false, _) => print("nothing waits"),
            (false, true, Some(after)) if left == 0 => print(&format!("more: --after {after}")),
            _ => {}
        }
        Ok(())
    }
}

impl Act {
    async fn run(self, action: QueueAction) -> Outcome {
        let config = self.server.load()?;
        let filter = self.filter.of(self.ids.clone());
        let named = QueueFilter { ids: self.ids, ..QueueFilter::default() };
        let filtered = filter != named;
        if named.ids.is_empty() && !filtered && !self.all {
            return Err(Failure("say which: queue ids, filters (see --help), or --all".into()));
        }
        // Who names messages knows which; a filter may hit more than one thinks.
        let preview = self.dry_run || !self.yes && (filtered || self.all);
        let request = Request::Queue { filter, action: action.clone(), dry_run: preview };
        let (acted, _) = ask_server::<QueueActed>(&config, request).await?;
        if self.json {
            print_json(&acted)?;
        } else if preview || filtered || self.all || acted.messages > 1 {
            print(&told(&acted, &action, preview));
        }
        if preview && !self.dry_run && acted.messages > 0 {
            return Err(Failure("nothing was done; add --yes to do it, or --dry-run to only look".into()));
        }
        Ok(())
    }
}

fn told(acted: &QueueActed, action: &QueueAction, preview: bool) -> String {
    let (would, done) = match action {
        QueueAction::Retry => ("be tried now", "tried now"),
        QueueAction::Hold => ("be held", "held"),
        QueueAction::Release => ("be released", "released"),
        QueueAction::Bounce => ("be returned", "returned"),
        QueueAction::Drop => ("be thrown away", "thrown away"),
        QueueAction::Redirect(_) => ("be sent on", "sent on"),
    };
    if acted.messages == 0 {
        return "nothing that waits is meant".into();
    }
    let what = format!("{} recipients of {} messages", acted.recipients, acted.messages);
    let more = if acted.messages > acted.first.len() as u64 { ", …" } else { "" };
    let which = format!("{}{more}", acted.first.join(", "));
    if preview { format!("{what} would {would}: {which}") } else { format!("{done}: {what}") }
}

async fn pause(destination: Domain, paused: bool, server: &Server) -> Outcome {
    tell(&server.load()?, Request::QueuePause { destination, paused }).await
}

async fn destinations(json: bool, server: &Server) -> Outcome {
    let config = server.load()?;
    let (mut after, mut all): (Option<Domain>, Vec<DestinationView>) = (None, Vec::new());
    loop {
        let request = Request::QueueDestinations { after: after.clone(), limit: limits::QUEUE_PAGE };
        let (page, _) = ask_server::<Vec<DestinationView>>(&config, request).await?;
        let full = page.len() >= limits::QUEUE_PAGE;
        after = page.last().and_then(|last| super::domain(&last.destination).ok());
        all.extend(page);
        if !full || after.is_none() {
            break;
        }
    }
    if json {
        return print_json(&all);
    }
    if all.is_empty() {
        print("nothing waits");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = all.iter().map(destination).collect();
    print(&table(&["DESTINATION", "HEALTH", "WAITING", "DUE", "CONNECTIONS", "NEXT TRY (UTC)", "LAST WORDS"], &rows));
    Ok(())
}

fn destination(one: &DestinationView) -> Vec<String> {
    let health = match one.failures {
        0 => one.health.clone(),
        failures => format!("{} ({failures})", one.health),
    };
    let next = match (one.paused_since, one.next_attempt) {
        (Some(since), _) => format!("paused since {}", moment(since)),
        (None, Some(next)) => moment(next),
        (None, None) => "-".to_owned(),
    };
    vec![
        one.destination.clone(),
        health,
        one.recipients.to_string(),
        one.due.to_string(),
        format!("{} ({} idle)", one.connections, one.idle),
        next,
        one.words.clone().unwrap_or_default().replace('\n', " "),
    ]
}

/// Rows of a page; the head above the first.
fn draw(messages: &[QueueView], head: bool) -> String {
    let mut rows = Vec::new();
    for message in messages {
        for recipient in &message.recipients {
            let next = if recipient.state == "held" { "held".into() } else { moment(recipient.next_attempt) };
            rows.push(vec![
                message.id.clone(),
                size(message.size),
                sender(message),
                recipient.address.clone(),
                recipient.attempts.to_string(),
                next,
                match (&recipient.last, message.held_until) {
                    (Some(last), _) => last.words.replace('\n', " "),
                    (None, Some(_)) => "held by its sender until then".into(),
                    (None, None) => String::new(),
                },
            ]);
        }
    }
    let text = table(&["ID", "SIZE", "FROM", "TO", "TRIES", "NEXT TRY (UTC)", "LAST WORDS"], &rows);
    match text.split_once('\n') {
        Some((_, rows)) if !head => rows.to_owned(),
        _ => text,
    }
}

fn sender(message: &QueueView) -> String {
    if message.sender.is_empty() { "<>".into() } else { message.sender.clone() }
}

async fn show(id: QueueId, json: bool, server: &Server) -> Outcome {
    let (message, _) = ask_server::<QueueView>(&server.load()?, Request::QueueShow { id }).await?;
    if json {
        return print_json(&message);
    }
    print(&format!("id:          {}", message.id));
    print(&format!("message-id:  {}", message.message_id.as_deref().unwrap_or("none")));
    print(&format!("from:        {}", sender(&message)));
    print(&format!("accepted:    {} UTC", moment(message.received_at)));
    if let Some(until) = message.held_until {
        print(&format!("held:        by its sender, until {} UTC", moment(until)));
    }
    print(&format!("size:        {}", size(message.size)));
    for recipient in &message.recipients {
        let when = if recipient.state == "held" {
            "held until released".into()
        } else {
            format!("next try at {} UTC", moment(recipient.next_attempt))
        };
        print(&format!("to:          {}, {} tries, {when}", recipient.address, recipient.attempts));
        if let Some(last) = &recipient.last {
            let host = last.host.as_deref().unwrap_or("no server");
            print(&format!("             {} UTC {host}: {}", moment(last.at), last.words.replace('\n', " ")));
        }
    }
    Ok(())
}
