//! `postrider route ADDRESS`: what would happen to a mail for it now, rule by rule. Sends nothing.

use clap::Args;
use mail::Address;
use server::control::{Request, RouteView};

use super::ask::ask_server;
use super::{Outcome, Server, address, print, print_json};

/// Rehearses a mail for an address, rule by rule; sends nothing.
#[derive(Args, Debug)]
pub(crate) struct Route {
    /// To whom.
    #[arg(value_parser = address)]
    address: Address,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Route {
    pub(super) async fn run(self) -> Outcome {
        let (view, _) = ask_server(&self.server.load()?, Request::Route { address: self.address }).await?;
        if self.json {
            return print_json(&view);
        }
        print(&draw(&view));
        Ok(())
    }
}

/// A line for each rule, and the end in words.
fn draw(view: &RouteView) -> String {
    let width = view.steps.iter().map(|step| step.rule.chars().count()).max().unwrap_or(0);
    let mut lines = vec![format!("a mail for {}", view.address)];
    for step in &view.steps {
        lines.push(format!("│ {:<width$}  {}", step.rule, step.says));
    }
    lines.push(match view.from.as_str() {
        "everyone" => "└ taken from everyone".into(),
        "users" => "└ taken only from users who are logged in".into(),
        _ => "└ refused".into(),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use server::control::StepView;

    #[test]
    fn rules_stand_below_each_other_and_the_end_last() {
        let step = |rule: &str, says: &str| StepView { rule: rule.into(), says: says.into() };
        let view = RouteView {
            address: "a@b.example".into(),
            steps: vec![
                step("domain", "b.example is no domain of this server"),
                step("mx", "1. mx.b.example at 192.0.2.1:25"),
            ],
            from: "users".into(),
        };
        assert_eq!(
            draw(&view),
            "a mail for a@b.example\n\
             │ domain  b.example is no domain of this server\n\
             │ mx      1. mx.b.example at 192.0.2.1:25\n\
             └ taken only from users who are logged in"
        );
    }
}
