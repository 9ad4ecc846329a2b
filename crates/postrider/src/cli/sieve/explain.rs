//! Trying a script out: what it would do, line by line.

use std::path::Path;
use std::sync::Arc;

use mail::{Address, ReversePath};
use mta::world::Clock as _;
use server::SystemClock;
use sieve::{Octets, Outcome, Question, Script, World, run};

use super::super::Failure;
use super::{read, read_script};

/// The explanation as text.
pub(super) fn explain(script: &Path, message: &Path, sender: ReversePath, to: &Address) -> Result<String, Failure> {
    let text = read_script(script)?;
    let name = script.display().to_string();
    let compiled = Script::compile(&text).map_err(|why| Failure(format!("{name}, {why}")))?;
    let octets = read(message)?;
    let mut world = World::new(SystemClock.now(), sender, to.to_string()).on(to.domain().as_str());
    // Whose mailboxes would they be?
    world.every_mailbox = true;
    let outcome = loop {
        match run(&[(&name, &compiled)], &Octets::new(&octets, 0), &world, true) {
            Ok(outcome) => break outcome,
            Err(Question::Seen(mark)) => drop(world.seen.insert(mark, false)),
            Err(Question::Script(location, wanted)) => {
                let found = beside(script, &wanted)?;
                world.scripts.insert((location, wanted), found);
            }
        }
    };
    Ok(draw(&text, &name, &outcome))
}

/// An included script: a file beside the one that is tried.
fn beside(script: &Path, name: &str) -> Result<Option<Result<Arc<Script>, String>>, Failure> {
    let folder = script.parent().unwrap_or(Path::new(""));
    // A script's name is no path.
    let is_name = !name.is_empty() && !name.contains(['/', '\\']) && name != "..";
    let found = [folder.join(format!("{name}.sieve")), folder.join(name)].into_iter().find(|path| path.is_file());
    match found.filter(|_| is_name) {
        None => Ok(None),
        Some(path) => Ok(Some(Script::compile(&read_script(&path)?).map(Arc::new).map_err(|why| why.to_string()))),
    }
}

fn draw(text: &str, name: &str, outcome: &Outcome) -> String {
    let source: Vec<&str> = text.lines().collect();
    let mut out = Vec::new();
    let mut at = (String::new(), 0);
    for line in outcome.explanation.lines() {
        if (line.script.as_str(), line.line) != (at.0.as_str(), at.1) {
            at = (line.script.clone(), line.line);
            let number = usize::try_from(line.line).unwrap_or(0);
            let shown = if line.script == name { source.get(number.saturating_sub(1)).copied() } else { None };
            let shown = shown.map_or_else(|| format!("({})", line.script), |shown| shown.trim_end().to_owned());
            out.push(format!("{number:4}  {shown}"));
        }
        let truth = match line.truth {
            Some(true) => "yes: ",
            Some(false) => "no: ",
            None => "→ ",
        };
        out.push(format!("      {}{truth}{}", "  ".repeat(line.depth), line.words));
    }
    if !out.is_empty() {
        out.push(String::new());
    }
    if let Some(error) = &outcome.error {
        out.push(format!("The script fails in line {}: {}. The message is only kept.", error.line, error.words));
    }
    for done in &outcome.done {
        let by = if done.line == 0 { "as nothing says otherwise".to_owned() } else { format!("line {}", done.line) };
        out.push(format!("The message is {} ({by}).", done.action.words()));
    }
    out.join("\n")
}
