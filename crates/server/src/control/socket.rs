//! The control socket: a Unix socket in the data directory, for its owner alone (mode 0600).

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use mail::limits;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tracing::warn;

use super::submit::{Submission, submit};
use super::{Context, Request, execute};
use crate::shared::Shutdown;

const NAME: &str = "control.sock";

/// A bound control socket; its file goes when it is dropped.
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Binds in a data directory. The caller holds the store, so a socket file there is of a server that is gone.
    pub fn bind(data_dir: &Path) -> io::Result<Self> {
        let dir = std::fs::File::open(data_dir)?;
        let (new, path) = ("control.new", data_dir.join(NAME));
        let _ = std::fs::remove_file(data_dir.join(new));
        let listener = UnixListener::bind(short(&dir, new))?;
        // Its mode is set before its name is known.
        std::fs::set_permissions(data_dir.join(new), std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(data_dir.join(new), &path)?;
        Ok(Self { listener, path })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A socket's path has at most 108 octets, a directory's may have more: the way through an open directory is short.
fn short(dir: &std::fs::File, name: &str) -> PathBuf {
    format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()).into()
}

/// Answers until the sign to stop.
pub async fn serve(socket: ControlSocket, context: Context, shutdown: Shutdown) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.wait() => break,
            Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
            accepted = socket.listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let mut context = context.clone();
                    if let Ok(peer) = stream.peer_cred() {
                        context.from = format!("uid {}", peer.uid());
                    }
                    sessions.spawn(async move { let _ = session(stream, &context).await; });
                }
                Err(error) => {
                    warn!(%error, "can't accept on the control socket for a moment");
                    context.clock.sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
    }
    // Those under way get their answer; who has not asked yet does not.
    let ended = async { while sessions.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(limits::CLOSE_TIMEOUT, ended).await;
}

async fn session(stream: UnixStream, context: &Context) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read.take(limits::CONTROL_REQUEST_LEN as u64));
    let mut line = String::new();
    while read.read_line(&mut line).await? > 0 {
        let result = match serde_json::from_str::<Request>(&line) {
            Ok(Request::Submit(submission)) => {
                // Judged by its size before any of it is read.
                read.get_mut().set_limit(submission.size);
                let result = submit(context, submission, &mut read).await;
                // What is left of a message that was not taken is no request.
                return reply(&mut write, result).await;
            }
            Ok(request) => execute(context, request).await,
            Err(error) => Err(format!("the server does not understand this command: {error}")),
        };
        reply(&mut write, result).await?;
        line.clear();
    }
    Ok(())
}

async fn reply(write: &mut (impl AsyncWrite + Unpin), result: Result<Value, String>) -> io::Result<()> {
    let reply = match result {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "error": error }),
    };
    write.write_all(format!("{reply}\n").as_bytes()).await
}

/// Asks the server that runs on a data directory. `None`: none runs there.
pub async fn ask(data_dir: &Path, request: &Request) -> Option<Result<Value, String>> {
    ask_with(data_dir, request, &[]).await
}

/// Hands a message in to the server that runs on a data directory; the answer is its queue id. `None`: none runs there.
pub async fn hand_in(data_dir: &Path, submission: Submission, message: &[u8]) -> Option<Result<Value, String>> {
    ask_with(data_dir, &Request::Submit(submission), message).await
}

async fn ask_with(data_dir: &Path, request: &Request, more: &[u8]) -> Option<Result<Value, String>> {
    let dir = std::fs::File::open(data_dir).ok()?;
    let stream = UnixStream::connect(short(&dir, NAME)).await;
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Some(Err(format!("no permission to talk to the server in {}", data_dir.display())));
        }
        Err(_) => return None,
    };
    Some(talk(stream, request, more).await.unwrap_or_else(|error| Err(format!("the server does not answer: {error}"))))
}

async fn talk(stream: UnixStream, request: &Request, more: &[u8]) -> io::Result<Result<Value, String>> {
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let say = async {
        write.write_all(line.as_bytes()).await?;
        write.write_all(more).await?;
        write.shutdown().await
    };
    let mut reply = String::new();
    // What is refused at once is not read: then the answer says more than that it can't be written.
    let (said, heard) = tokio::join!(say, read.read_line(&mut reply));
    if reply.is_empty() {
        said?;
    }
    heard?;
    let mut reply: Value = serde_json::from_str(&reply)?;
    if let Some(error) = reply.get("error") {
        return Ok(Err(error.as_str().unwrap_or("the server failed").to_owned()));
    }
    Ok(Ok(reply["ok"].take()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mail::Domain;
    use store::Store as _;
    use store_local::{LocalStore, Options};

    use super::*;
    use crate::{Settings, SystemClock};

    /// `CONTROL_REQUEST_LEN`, its line end included: one octet more is not read.
    #[tokio::test]
    async fn requests_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalStore::open(dir.path(), Options { reserve: 0, ..Options::default() }).unwrap();
        let settings = Settings::new(Domain::from_ascii("mail.red.example").unwrap());
        let context = Context::alone(store.clone(), Arc::new(SystemClock), settings);
        let request = |query: &str| serde_json::to_string(&Request::Trace { query: query.into() }).unwrap() + "\n";
        let room = limits::CONTROL_REQUEST_LEN - request("").len();
        for (length, understood) in [(room, true), (room + 1, false)] {
            let (mut client, server) = UnixStream::pair().unwrap();
            let line = request(&"x".repeat(length));
            let asking = async {
                // The server may have heard enough before all is written.
                let _ = client.write_all(line.as_bytes()).await;
                let _ = client.shutdown().await;
                let mut reply = String::new();
                let read = client.read_to_string(&mut reply).await;
                read.map_or_else(|error| error.to_string(), |_| reply)
            };
            let (reply, session) = tokio::join!(asking, session(server, &context));
            assert_eq!(reply.starts_with("{\"ok\":"), understood, "{reply} {session:?}");
            // What was cut off is not understood; where something is left unread, the reply may be lost to a reset.
            let refused = reply.contains("does not understand") || reply.contains("reset");
            assert_eq!(refused, !understood, "{reply}");
        }
        store.close().await;
    }
}
