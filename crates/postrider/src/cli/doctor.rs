//! `postrider doctor`: what is right and wrong around the system, and what to do about it.

use clap::Args;
use mail::Domain;
use server::certificate::Certificate;
use server::control::{FindingView, Request};

use super::ask::ask_server;
use super::{Failure, Outcome, Server, domain, print, print_json};
use crate::config::Config;

/// Looks at DNS, certificates, ports and the machine: what is, why it matters, and the record or command that puts it right.
/// Exits with 1 when something is broken.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// Of these domains (default: all).
    #[arg(value_parser = domain)]
    domains: Vec<Domain>,
    /// Prints the records that DNS should have, as lines of a zone file, and looks at nothing.
    #[arg(long)]
    zone: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Doctor {
    pub(super) async fn run(self) -> Outcome {
        let config = self.server.load()?;
        let key = public_key(&config);
        if self.zone {
            let (lines, _) = ask_server::<String>(&config, Request::Zone { domains: self.domains, key }).await?;
            if self.json {
                return print_json(&lines.lines().collect::<Vec<_>>());
            }
            print(lines.trim_end());
            return Ok(());
        }
        let (found, _) =
            ask_server::<Vec<FindingView>>(&config, Request::Doctor { domains: self.domains, key }).await?;
        if self.json {
            print_json(&found)?;
        } else {
            print(&draw(&found));
        }
        if found.iter().any(|finding| finding.state == "fail") { Err(Failure(String::new())) } else { Ok(()) }
    }
}

/// The key that port 25 shows to who asks for no name.
pub(super) fn public_key(config: &Config) -> Option<[u8; 32]> {
    let first = config.all_sites().into_iter().next()?;
    Some(Certificate::read(&first.certificate).ok()?.public_key_sha256)
}

/// A line for each finding; what is not as it should be with why, and what to do, below it. The worst stands last, where
/// a terminal ends.
fn draw(found: &[FindingView]) -> String {
    let order = ["pass", "not-checked", "warn", "fail"];
    let mut lines = Vec::new();
    for state in order {
        for finding in found.iter().filter(|finding| finding.state == state) {
            let mark = match state {
                "pass" => "ok  ",
                "not-checked" => "?   ",
                "warn" => "warn",
                _ => "FAIL",
            };
            lines.push(format!("{mark}  {:<12}  {}: {}", finding.name, finding.of, finding.says));
            if !finding.why.is_empty() {
                lines.push(format!("      why: {}", finding.why));
            }
            if !finding.fix.is_empty() {
                let fix = finding.fix.replace('\n', "\n           ");
                lines.push(format!("      fix: {fix}"));
            }
        }
    }
    let count = |state: &str| found.iter().filter(|finding| finding.state == state).count();
    let (pass, open, warn, fail) = (count("pass"), count("not-checked"), count("warn"), count("fail"));
    lines.push(format!("{pass} as they should be, {warn} to look at, {fail} broken, {open} not checked"));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_stands_last_with_its_remedy() {
        let finding = |name: &str, state: &str, why: &str, fix: &str| FindingView {
            name: name.into(),
            of: "red.example".into(),
            state: state.into(),
            says: "it is so".into(),
            why: why.into(),
            fix: fix.into(),
        };
        let found = [finding("mx", "fail", "no mail comes in", "one\ntwo"), finding("spf", "pass", "", "")];
        assert_eq!(
            draw(&found),
            "ok    spf           red.example: it is so\n\
             FAIL  mx            red.example: it is so\n      \
             why: no mail comes in\n      \
             fix: one\n           two\n\
             1 as they should be, 0 to look at, 1 broken, 0 not checked"
        );
    }
}
