//! Asking the server: over its control socket where it runs, else by opening its store. Both ways run the same code
//! (`server::control::execute`), so both give the same result.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use mail::limits;
use serde::de::DeserializeOwned;
use server::SystemClock;
use server::control::{Context, Request, Submission, ask, execute, submit};
use store::Store;
use store_local::{LocalStore, OpenError, Options};
use tokio::time::Instant;

use super::Failure;
use crate::config::Config;

/// Asks, and reads the answer. Also says whether a server runs.
pub(crate) async fn ask_server<T: DeserializeOwned>(config: &Config, request: Request) -> Result<(T, bool), Failure> {
    let began = Instant::now();
    let (answer, running) = loop {
        if let Some(answer) = ask(&config.data_dir, &request).await {
            break (answer, true);
        }
        is_no_others(config)?;
        match open(config) {
            Ok(store) => {
                let context = context(store.clone(), config);
                let answer = execute(&context, request).await;
                store.close().await;
                break (answer, false);
            }
            // A server that starts or stops, or another command: a moment later one of the two ways is free.
            Err(OpenError::Locked(_)) if began.elapsed() < limits::STORE_WAIT => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => return Err(explain(&error)),
        }
    };
    let value =
        serde_json::from_value(answer?).map_err(|error| Failure(format!("the answer makes no sense: {error}")))?;
    Ok((value, running))
}

/// Hands a message in: to the server that runs, else straight into its store. Returns its queue id.
pub(crate) async fn hand_in(config: &Config, submission: Submission, message: &[u8]) -> Result<String, Failure> {
    let began = Instant::now();
    let answer = loop {
        if let Some(answer) = server::control::hand_in(&config.data_dir, submission.clone(), message).await {
            break answer;
        }
        is_no_others(config)?;
        match open(config) {
            Ok(store) => {
                let answer = submit(&context(store.clone(), config), submission, &mut &message[..]).await;
                store.close().await;
                break answer;
            }
            Err(OpenError::Locked(_)) if began.elapsed() < limits::STORE_WAIT => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => return Err(explain(&error)),
        }
    };
    Ok(answer?.as_str().unwrap_or_default().to_owned())
}

/// What commands work with where no server runs.
fn context(store: Arc<LocalStore>, config: &Config) -> Context {
    Context::alone(store, Arc::new(SystemClock), config.settings.clone())
}

/// The same without the second answer.
pub(crate) async fn tell(config: &Config, request: Request) -> Result<(), Failure> {
    ask_server::<()>(config, request).await.map(|((), _)| ())
}

/// Opens the store of a configuration.
fn open(config: &Config) -> Result<Arc<LocalStore>, OpenError> {
    LocalStore::open(&config.data_dir, Options { create: false, ..Options::default() })
}

/// Root makes no files in another's store: its owner's server could not use them.
fn is_no_others(config: &Config) -> Result<(), Failure> {
    let owner = std::fs::metadata(&config.data_dir).map_or(0, |data| data.uid());
    if owner == 0 || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let folder = config.data_dir.display();
    Err(Failure(format!(
        "the server does not run, and its store in {folder} belongs to user {owner}: start it, or do this as that user \
         (\"runuser -u NAME -- postrider …\")"
    )))
}

/// An error with its remedy.
pub(crate) fn explain(error: &OpenError) -> Failure {
    let remedy = match error {
        OpenError::Missing(_) => {
            "; make one with \"postrider init\", or see that data_dir in postrider.toml is right and its disk is there"
        }
        OpenError::Locked(_) => "; try again when that is done",
        _ => "",
    };
    Failure(format!("{error}{remedy}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[tokio::test]
    async fn root_leaves_the_store_of_another_alone() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("nothing was tried: only root can give a folder away");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("postrider.toml");
        let config = Config::parse(Path::new(&file), "hostname = \"mail.red.example\"\n").unwrap();
        LocalStore::open(&config.data_dir, Options::default()).unwrap().close().await;
        ask_server::<serde_json::Value>(&config, Request::Check).await.unwrap();
        std::os::unix::fs::chown(&config.data_dir, Some(65_534), None).unwrap();
        let failed = tell(&config, Request::Check).await.unwrap_err();
        assert!(failed.to_string().contains("belongs to user 65534"), "{failed}");
    }

    /// `STORE_WAIT` for another process that has the store, and not longer.
    #[tokio::test(start_paused = true)]
    async fn another_command_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("postrider.toml");
        let config = Config::parse(Path::new(&file), "hostname = \"mail.red.example\"\n").unwrap();
        let held = LocalStore::open(&config.data_dir, Options::default()).unwrap();
        let since = Instant::now();
        let failed = tell(&config, Request::Check).await.unwrap_err();
        assert!(failed.to_string().contains("try again when that is done"), "{failed}");
        let waited = since.elapsed();
        assert!(waited >= limits::STORE_WAIT && waited < limits::STORE_WAIT + Duration::from_secs(1), "{waited:?}");

        // It ends while it is waited for.
        let (asked, ()) = tokio::join!(ask_server::<serde_json::Value>(&config, Request::Check), async {
            tokio::time::sleep(limits::STORE_WAIT / 2).await;
            held.close().await;
            drop(held);
        });
        let (_, running) = asked.unwrap();
        assert!(!running);
    }
}
