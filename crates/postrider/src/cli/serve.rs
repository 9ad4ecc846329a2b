//! `postrider serve`: runs the server until SIGTERM or SIGINT.

use clap::Args;
use server::Shutdown;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, Outcome, Server};
use crate::log;

/// Runs the server until SIGTERM or SIGINT. SIGHUP makes it read its configuration and certificates again.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    #[command(flatten)]
    server: Server,
}

impl Serve {
    pub(super) async fn run(self) -> Outcome {
        let config = self.server.load()?;
        log::start(&config.log);
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
