//! Proof in DNS (RFC 8555 §8.4) by a program of the operator's, since zones are served by all kinds of things.
//!
//! It is run as `PROGRAM add NAME VALUE` and `PROGRAM remove NAME VALUE`: a TXT record of NAME
//! (`_acme-challenge.mail.example.org`) with VALUE. It exits with 0 once all servers of the zone have it (or have it no more);
//! what it writes to its standard error is told where it fails. It gets PATH and HOME of the environment, nothing else.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mail::limits;

/// How often it is looked whether the program has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Runs it, off the threads of sessions. The error is a sentence.
pub(super) async fn run(hook: &Path, what: &'static str, name: &str, value: &str) -> Result<(), String> {
    let (hook, name, value) = (hook.to_owned(), name.to_owned(), value.to_owned());
    let ran = tokio::task::spawn_blocking(move || wait(&hook, &[what, &name, &value], limits::ACME_HOOK_TIMEOUT));
    ran.await.unwrap_or_else(|error| Err(format!("the hook was not run: {error}")))
}

fn wait(hook: &Path, arguments: &[&str], most: Duration) -> Result<(), String> {
    let shown = hook.display();
    let kept = ["PATH", "HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut child = Command::new(hook)
        .args(arguments)
        .env_clear()
        .envs(kept)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("[acme] hook {shown} can't be run: {error}"))?;
    // Read beside the waiting, or a program that says much would stand still.
    let words = child.stderr.take().map(|stderr| {
        std::thread::spawn(move || {
            let (mut words, mut rest) = (Vec::new(), stderr);
            let _ = rest.by_ref().take(limits::ACME_HOOK_WORDS as u64).read_to_end(&mut words);
            let _ = std::io::copy(&mut rest, &mut std::io::sink());
            String::from_utf8_lossy(&words).trim().replace('\n', "; ")
        })
    });
    let until = Instant::now() + most;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < until => std::thread::sleep(LOOK),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("[acme] hook {shown} did not end within {most:?}"));
            }
            Err(error) => return Err(format!("[acme] hook {shown} can't be waited for: {error}")),
        }
    };
    if status.success() {
        return Ok(());
    }
    let words = words.and_then(|reader| reader.join().ok()).unwrap_or_default();
    Err(format!("[acme] hook {shown} {} failed ({status}): {words}", arguments[0]))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn script(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hook");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        (folder, path)
    }

    #[tokio::test]
    async fn it_gets_what_to_do_and_its_words_are_told() {
        let (folder, hook) = script("echo \"$@\" >\"$(dirname \"$0\")/said\"; env >\"$(dirname \"$0\")/env\"");
        run(&hook, "add", "_acme-challenge.mail.red.example", "value").await.unwrap();
        let said = std::fs::read_to_string(folder.path().join("said")).unwrap();
        assert_eq!(said, "add _acme-challenge.mail.red.example value\n");
        assert!(!std::fs::read_to_string(folder.path().join("env")).unwrap().contains("CARGO"));
        let (_folder, hook) = script("echo no such >&2; echo zone >&2; exit 3");
        let error = run(&hook, "remove", "n", "v").await.unwrap_err();
        assert!(error.contains("remove failed (exit status: 3): no such; zone"), "{error}");
        let error = run(Path::new("/nowhere/hook"), "add", "n", "v").await.unwrap_err();
        assert!(error.contains("can't be run"), "{error}");
    }

    /// `ACME_HOOK_TIMEOUT`, here none at all; `ACME_HOOK_WORDS`.
    #[test]
    fn it_has_an_end_and_says_only_so_much() {
        let (_folder, hook) = script("exec cat /dev/zero >/dev/null");
        let error = wait(&hook, &["add"], Duration::ZERO).unwrap_err();
        assert!(error.ends_with("did not end within 0ns"), "{error}");
        for more in [0, 1] {
            // What no folder's name has.
            let words = "~".repeat(limits::ACME_HOOK_WORDS + more);
            let (folder, hook) = script("cat \"$(dirname \"$0\")/words\" >&2; exit 1");
            std::fs::write(folder.path().join("words"), words).unwrap();
            let error = wait(&hook, &["add"], limits::ACME_HOOK_TIMEOUT).unwrap_err();
            assert_eq!(error.matches('~').count(), limits::ACME_HOOK_WORDS);
        }
    }
}
