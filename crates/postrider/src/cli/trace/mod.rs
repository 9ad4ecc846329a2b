//! `postrider trace`: where is my mail?

mod draw;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use mail::{Timestamp, limits};
use mta::world::Clock as _;
use server::SystemClock;
use server::control::Request;
use store::Journey;

use super::ask::ask_server;
use super::{Failure, Outcome, Server, print, print_json};
use crate::config::Config;
use draw::{Leg, draw};

/// How often a server is asked while something is under way.
const AGAIN: Duration = Duration::from_millis(100);

/// Draws the way of a message: each hop with time, decision, the other side's words and TLS.
#[derive(Args, Debug)]
pub(crate) struct Trace {
    /// A Message-ID, a queue id or an address.
    query: String,
    /// Go on until the message has reached its end.
    #[arg(long)]
    follow: bool,
    /// Join the journeys of all systems in this folder, as `postrider local` makes it.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Trace {
    pub(super) async fn run(self) -> Outcome {
        let configs = self.configs()?;
        let began = Instant::now();
        let mut shown = None;
        loop {
            let found = look(&configs, &self.query).await?;
            if self.follow && !self.json && !found.legs.is_empty() {
                redraw(&mut shown, draw(&found.legs));
            }
            if !self.goes_on(&found, began.elapsed()) {
                return self.end(&found.legs, shown.is_some());
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Whether more is to be expected: with `--follow` until the end, else while something is being written.
    fn goes_on(&self, found: &Found, waited: Duration) -> bool {
        let under_way = found.legs.is_empty() || found.legs.iter().any(|leg| !leg.journey.waiting.is_empty());
        let now = SystemClock.now();
        let at_work = found.legs.iter().any(|leg| is_at_work(&leg.journey, now));
        found.running && ((self.follow && under_way) || (at_work && waited < limits::TRACE_WAIT))
    }

    fn end(&self, legs: &[Leg], is_shown: bool) -> Outcome {
        if self.json {
            let json = |leg: &'_ Leg| serde_json::json!({ "system": leg.system, "journey": leg.journey });
            print_json(&legs.iter().map(json).collect::<Vec<_>>())?;
        } else if !is_shown && !legs.is_empty() {
            print(draw(legs).trim_end());
        }
        if legs.is_empty() { Err(Failure(format!("no journey of {} is known here", self.query))) } else { Ok(()) }
    }

    /// The configurations of all systems in question.
    fn configs(&self) -> Result<Vec<Config>, Failure> {
        let Some(dir) = &self.dir else { return Ok(vec![self.server.load()?]) };
        let entries =
            std::fs::read_dir(dir).map_err(|error| Failure(format!("{} can't be read: {error}", dir.display())))?;
        let mut files: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path().join("postrider.toml"))).collect();
        files.push(dir.join("postrider.toml"));
        files.retain(|file| file.is_file());
        files.sort();
        if files.is_empty() {
            return Err(Failure(format!(
                "{} holds no system: no postrider.toml in it or in a folder of it",
                dir.display()
            )));
        }
        files.iter().map(|file| Ok(Config::load(file)?)).collect()
    }
}

struct Found {
    legs: Vec<Leg>,
    /// Whether one of the systems runs, so that more may come.
    running: bool,
}

/// Asks all systems. What one finds is looked for by its Message-ID in the others: a queue id is known in one only.
async fn look(configs: &[Config], query: &str) -> Result<Found, Failure> {
    let mut found = Found { legs: Vec::new(), running: false };
    look_for(configs, query, &mut found).await?;
    if configs.len() > 1 {
        let mut ids: Vec<String> = found.legs.iter().filter_map(|leg| leg.journey.message_id.clone()).collect();
        ids.sort();
        ids.dedup();
        for id in ids.into_iter().filter(|id| id != query) {
            look_for(configs, &id, &mut found).await?;
        }
    }
    Ok(found)
}

async fn look_for(configs: &[Config], query: &str, found: &mut Found) -> Result<(), Failure> {
    for config in configs {
        let request = Request::Trace { query: query.to_owned() };
        let (journeys, running) = ask_server::<Vec<Journey>>(config, request).await?;
        found.running |= running;
        let system = config.settings.hostname.as_str();
        for journey in journeys {
            if !found.legs.iter().any(|leg| leg.system == system && leg.journey.id == journey.id) {
                found.legs.push(Leg { system: system.to_owned(), journey });
            }
        }
    }
    Ok(())
}

/// Whether a recipient is due: then a try is under way, and its end will be written in a moment.
fn is_at_work(journey: &Journey, now: Timestamp) -> bool {
    journey.waiting.iter().any(|(_, next)| *next <= now.millis())
}

/// Prints what changed: on a terminal in place of what was there, else once more.
fn redraw(shown: &mut Option<String>, text: String) {
    if shown.as_ref() == Some(&text) {
        return;
    }
    if let Some(before) = shown.as_ref().filter(|_| std::io::stdout().is_terminal()) {
        // ANSI: up by the lines drawn before, and clear from there to the end.
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), "\x1b[{}A\x1b[J\x1b[A", before.trim_end().lines().count());
    }
    print(text.trim_end());
    *shown = Some(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `TRACE_WAIT` for what is being written; `--follow` to the end; never where no server runs.
    #[test]
    fn what_is_still_under_way_is_waited_for() {
        let trace = |follow| {
            let server = Server { config: "postrider.toml".into() };
            Trace { query: "x".into(), follow, dir: None, json: false, server }
        };
        let found = |running, waiting: &[i64]| {
            let waiting = waiting.iter().map(|next| ("bob@blue.example".to_owned(), *next)).collect();
            let (id, sender) = ("1".into(), String::new());
            let journey = Journey {
                id,
                message_id: None,
                received_at: 0,
                sender,
                events: Vec::new(),
                waiting,
                paused: Vec::new(),
            };
            Found { legs: vec![Leg { system: "red".into(), journey }], running }
        };
        let (at_work, later) = (found(true, &[0]), found(true, &[i64::MAX]));
        let tick = Duration::from_millis(1);
        assert!(trace(false).goes_on(&at_work, limits::TRACE_WAIT - tick));
        assert!(!trace(false).goes_on(&at_work, limits::TRACE_WAIT));
        assert!(!trace(false).goes_on(&later, Duration::ZERO), "its next try may be hours away");
        assert!(trace(true).goes_on(&later, limits::TRACE_WAIT * 1000));
        assert!(!trace(true).goes_on(&found(true, &[]), Duration::ZERO), "it has reached its end");
        assert!(!trace(true).goes_on(&found(false, &[0]), Duration::ZERO), "nothing more will come");
    }
}
