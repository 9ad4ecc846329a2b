//! `postrider serve`: runs the server until SIGTERM or SIGINT.

use clap::Args;
use server::Shutdown;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{Failure, Outcome, Server};
use crate::config::{Config, LogFormat};
use crate::lines::Lines;

/// Runs the server until SIGTERM or SIGINT. SIGHUP makes it read its configuration and certificates again.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    #[command(flatten)]
    server: Server,
}

impl Serve {
    pub(super) async fn run(self) -> Outcome {
        let config = self.server.load()?;
        log_to_stderr(&config);
        let (switch, stop) = Shutdown::new();
        let signals = |kind| signal(kind).map_err(|error| Failure(format!("no signals can be heard: {error}")));
        let (mut terminate, mut interrupt) = (signals(SignalKind::terminate())?, signals(SignalKind::interrupt())?);
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            switch.stop();
        });
        crate::serve::run(config, || {}, stop).await.map_err(Failure)
    }
}

/// Logs to standard error, as configured.
pub(crate) fn log_to_stderr(config: &Config) {
    let filter = EnvFilter::new(config.log.level.0);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Lines::start()).with_target(false);
    // No colours: then nothing that a terminal obeys is ours, and all of it can be made visible.
    let lines = lines.with_ansi(false);
    // Only the first one in a process counts; a second would be a test's.
    let _ = match config.log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
