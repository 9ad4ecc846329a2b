//! The command line: one file per command.

mod account;
mod alias;
mod app_password;
pub(crate) mod ask;
mod audit;
mod certificate;
mod check;
mod completions;
mod dkim;
mod doctor;
mod domain;
mod init;
mod local;
mod mail;
mod man;
mod passkey;
mod queue;
mod route;
mod sendmail;
mod serve;
mod sieve;
mod systemd;
mod table;
mod trace;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use serde::de::DeserializeOwned;
use server::control::Request;

use crate::config::{Config, ConfigError};
use crate::visible;

/// The whole e-mail system in one program.
#[derive(Debug, Parser)]
#[command(name = "postrider", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Local(local::Local),
    Init(init::Init),
    Serve(serve::Serve),
    Check(check::Check),
    Doctor(doctor::Doctor),
    #[command(subcommand)]
    Certificate(certificate::Certificate),
    #[command(subcommand)]
    Account(account::Account),
    #[command(subcommand)]
    Domain(domain::Domain),
    #[command(subcommand)]
    Dkim(dkim::Dkim),
    #[command(subcommand)]
    Alias(alias::Alias),
    #[command(subcommand)]
    Queue(queue::Queue),
    Trace(trace::Trace),
    Route(route::Route),
    /// Sends a message from standard input, as programs know it of sendmail. Also by a link of that name to this program
    /// (`mailq` and `newaliases` likewise).
    #[command(disable_help_flag = true)]
    Sendmail {
        /// -t, -i, -oi, -f ADDRESS, -F NAME, -bp, -C FILE, and recipients; docs/sendmail.md.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    Systemd(systemd::Systemd),
    #[command(subcommand)]
    Sieve(sieve::Sieve),
    Audit(audit::Audit),
    #[command(subcommand)]
    Mail(mail::Mail),
    #[command(hide = true)]
    Completions(completions::Completions),
    #[command(hide = true)]
    Man(man::Man),
}

impl Command {
    /// Of one's own: `local` is for whoever is at this machine, and the others write what is to be read.
    const fn works_on_a_server(&self) -> bool {
        !matches!(
            self,
            Self::Local(_)
                | Self::Mail(_)
                | Self::Sieve(sieve::Sieve::Test { .. })
                | Self::Completions(_)
                | Self::Man(_)
        )
    }
}

/// Which server a command works on.
#[derive(Args, Clone, Debug)]
pub(crate) struct Server {
    /// The server's configuration.
    #[arg(long, value_name = "FILE", env = "POSTRIDER_CONFIG", default_value = "postrider.toml")]
    config: PathBuf,
}

impl Server {
    fn load(&self) -> Result<Config, Failure> {
        Ok(Config::load(&self.config)?)
    }
}

/// What each list takes.
#[derive(Args, Debug)]
pub(crate) struct Listing {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Listing {
    /// Asks for a list and prints it, as JSON or as `draw` makes it.
    async fn show<T: DeserializeOwned + Serialize>(
        self,
        request: Request,
        draw: impl FnOnce(&[T]) -> String,
    ) -> Outcome {
        let (found, _) = ask::ask_server::<Vec<T>>(&self.server.load()?, request).await?;
        if self.json {
            return print_json(&found);
        }
        let text = draw(&found);
        if !text.is_empty() {
            print(&text);
        }
        Ok(())
    }
}

/// Why a command failed: sentences for people.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Failure {
    fn from(words: String) -> Self {
        Self(words)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self(error.to_string())
    }
}

/// What every command returns.
pub(crate) type Outcome = Result<(), Failure>;

/// Parses the command line and runs the command.
pub(crate) fn main() -> ExitCode {
    if let Some((name, arguments)) = sendmail::by_name(std::env::args_os()) {
        return sendmail(name, arguments);
    }
    let cli = Cli::parse();
    if let Command::Sendmail { arguments } = cli.command {
        return sendmail("sendmail".into(), arguments);
    }
    if cli.command.works_on_a_server() {
        keep_private();
    }
    in_runtime(async {
        match run(cli.command).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure(words)) => {
                if !words.is_empty() {
                    eprintln!("postrider: {}", visible::lines(&words));
                }
                ExitCode::FAILURE
            }
        }
    })
}

fn sendmail(name: String, arguments: Vec<std::ffi::OsString>) -> ExitCode {
    keep_private();
    in_runtime(async move { ExitCode::from(sendmail::run(&name, &arguments).await) })
}

/// Whatever a server's files are called and wherever they lie: they are for its owner alone.
fn keep_private() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

fn in_runtime(task: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(task),
        Err(error) => {
            eprintln!("postrider: the system gives no threads: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Outcome {
    match command {
        Command::Local(command) => command.run().await,
        Command::Init(command) => command.run().await,
        Command::Serve(command) => command.run().await,
        Command::Check(command) => command.run().await,
        Command::Doctor(command) => command.run().await,
        Command::Certificate(command) => command.run().await,
        Command::Account(command) => command.run().await,
        Command::Domain(command) => command.run().await,
        Command::Dkim(command) => command.run().await,
        Command::Alias(command) => command.run().await,
        Command::Queue(command) => command.run().await,
        Command::Trace(command) => command.run().await,
        Command::Route(command) => command.run().await,
        // `main` has run it, for it has exit codes of its own.
        Command::Sendmail { .. } => Ok(()),
        Command::Sieve(command) => command.run().await,
        Command::Audit(command) => command.run().await,
        Command::Systemd(command) => command.run(),
        Command::Mail(command) => command.run().await.map_err(|error| Failure(error.to_string())),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    }
}

/// Prints lines for people or programs: whatever strangers said in them, no terminal obeys it. A reader that went away
/// (`| head`) is no failure.
pub(crate) fn print(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{}", visible::lines(text));
}

/// Prints JSON, indented.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Outcome {
    print(&serde_json::to_string_pretty(value).map_err(|error| Failure(error.to_string()))?);
    Ok(())
}

/// An address on the command line.
pub(crate) fn address(text: &str) -> Result<::mail::Address, String> {
    wire::address::mailbox(text).map_err(|error| error.to_string())
}

/// A domain on the command line.
pub(crate) fn domain(text: &str) -> Result<::mail::Domain, String> {
    wire::address::domain(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
