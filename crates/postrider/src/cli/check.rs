//! `postrider check`: is the configuration right, and does the store keep its promises?

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use rustix::fs::Mode;
use server::control::{CheckView, Request};

use super::ask::ask_server;
use super::{Failure, Outcome, Server, print, print_json};
use crate::config::Config;

/// Checks the configuration (file, line, remedy) and the store (its invariants). Works beside a running server.
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Check {
    pub(super) async fn run(self) -> Outcome {
        let file = &self.server.config;
        let mut findings = Vec::new();
        match Config::load(file) {
            Ok(config) => {
                findings.extend(of_configuration(&config));
                match ask_server::<Vec<CheckView>>(&config, Request::Check).await {
                    Ok((store, _)) => findings.extend(store),
                    Err(Failure(text)) => findings.push(CheckView { error: true, text }),
                }
            }
            Err(error) => findings.extend(error.to_string().lines().map(wrong)),
        }
        if self.json {
            print_json(&findings)?;
        } else {
            tell(&findings, file);
        }
        if findings.iter().any(|finding| finding.error) { Err(Failure(String::new())) } else { Ok(()) }
    }
}

fn wrong(text: &str) -> CheckView {
    CheckView { error: true, text: text.to_owned() }
}

fn of_configuration(config: &Config) -> Vec<CheckView> {
    let file = config.file.display();
    let advice =
        config.advice.iter().map(|advice| CheckView { error: false, text: format!("{file}: {}", advice.text) });
    let mut findings: Vec<CheckView> = advice.collect();
    findings.extend(of_rights(config));
    if let Err(error) = config.acceptor() {
        findings.push(wrong(&format!("{file}: [tls]: {error}")));
    }
    let certificates = super::certificate::findings(config).into_iter();
    findings.extend(certificates.map(|(error, text)| CheckView { error, text }));
    findings
}

/// Who else on this machine could read mail or keys. Of a key its group may be meant, as that of Debian's ssl-cert.
fn of_rights(config: &Config) -> Vec<CheckView> {
    let keys = config.sites.iter().map(|site| (&site.key, Mode::RWXO, "o="));
    let open = |(path, others, remedy): (&PathBuf, Mode, &str)| {
        let mode = Mode::from_raw_mode(std::fs::metadata(path).ok()?.permissions().mode());
        let path = path.display();
        let text = format!("others on this machine may use {path}; take that from them with \"chmod {remedy} {path}\"");
        mode.intersects(others).then_some(CheckView { error: false, text })
    };
    keys.chain([(&config.data_dir, Mode::RWXG | Mode::RWXO, "go=")]).filter_map(open).collect()
}

fn tell(findings: &[CheckView], file: &Path) {
    for finding in findings {
        print(&format!("{}: {}", if finding.error { "error" } else { "advice" }, finding.text));
    }
    if !findings.iter().any(|finding| finding.error) {
        print(&format!("{} and its store are in order", file.display()));
    }
}
