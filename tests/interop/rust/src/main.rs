//! Reads by async-imap: folders, whole messages into files, flags, a move, an append, and IDLE beside a second connection.
//! In: port, user, password, a folder, the Message-IDs that are there; the message to append lies in the folder as
//! `append`. Out: messages as files of their number, `appended`, and lines of what it saw.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use async_imap::Session;
use async_imap::extensions::idle::IdleResponse;
use futures::TryStreamExt;
use tokio::net::TcpStream;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(30);

async fn log_in(port: u16, user: &str, password: &str) -> Outcome<Session<TcpStream>> {
    let mut client = async_imap::Client::new(TcpStream::connect(("127.0.0.1", port)).await?);
    client.read_response().await?.ok_or("there was no greeting")?;
    Ok(client.login(user, password).await.map_err(|(error, _)| error)?)
}

async fn find(session: &mut Session<TcpStream>, id: &str) -> Outcome<u32> {
    let found = session.uid_search(format!("HEADER Message-ID \"{id}\"")).await?;
    Ok(found.into_iter().max().ok_or_else(|| format!("{id} is not there"))?)
}

/// All octets of a message, and its flags.
async fn read(session: &mut Session<TcpStream>, uid: u32) -> Outcome<(Vec<u8>, String)> {
    let items = "(UID FLAGS RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])";
    let answers: Vec<_> = session.uid_fetch(uid.to_string(), items).await?.try_collect().await?;
    let [answer] = answers.as_slice() else { return Err(format!("{} answers to one FETCH", answers.len()).into()) };
    let body = answer.body().ok_or("there is no body")?.to_vec();
    if answer.uid != Some(uid) || answer.size.map(|size| size as usize) != Some(body.len()) {
        return Err(format!("UID {:?}, size {:?} of {}", answer.uid, answer.size, body.len()).into());
    }
    answer.envelope().ok_or("there is no envelope")?;
    answer.bodystructure().ok_or("there is no structure")?;
    Ok((body, format!("{:?}", answer.flags().collect::<Vec<_>>())))
}

async fn play(port: u16, user: &str, password: &str, folder: &Path, ids: &[String]) -> Outcome<()> {
    let mut session = log_in(port, user, password).await?;
    let able = session.capabilities().await?;
    println!("able {}", ["IDLE", "UIDPLUS", "MOVE", "CONDSTORE"].iter().all(|word| able.has_str(word)));
    let names: Vec<_> = session.list(Some(""), Some("*")).await?.try_collect().await?;
    println!("folders {}", names.iter().map(|name| name.name()).collect::<Vec<_>>().join(" "));
    let inbox = session.select_condstore("INBOX").await?;
    println!("modseq {}", inbox.highest_modseq.is_some());
    for (number, id) in ids.iter().enumerate() {
        let uid = find(&mut session, id).await?;
        std::fs::write(folder.join(number.to_string()), read(&mut session, uid).await?.0)?;
    }
    // Told at once of what another connection does.
    let mut idle = session.idle();
    idle.init().await?;
    let message = std::fs::read(folder.join("append"))?;
    let mut other = log_in(port, user, password).await?;
    {
        let (news, stop) = idle.wait_with_timeout(PATIENCE);
        let append = other.append("INBOX", Some("(\\Seen $Label1)"), None, &message);
        let (news, appended) = futures::future::join(news, append).await;
        appended?;
        println!("heard {}", matches!(news?, IdleResponse::NewData(_)));
        drop(stop);
    }
    session = idle.done().await?;
    let last = session.uid_search("KEYWORD $Label1").await?.into_iter().max().ok_or("it is not there")?;
    let (appended, flags) = read(&mut session, last).await?;
    std::fs::write(folder.join("appended"), appended)?;
    println!("flags {flags}");
    // A flag and a move, a copy and a removal.
    let (first, second) = (find(&mut session, &ids[0]).await?, find(&mut session, &ids[1]).await?);
    let _: Vec<_> = session.uid_store(first.to_string(), "+FLAGS (\\Flagged)").await?.try_collect().await?;
    session.uid_mv(first.to_string(), "Archive").await?;
    session.uid_copy(second.to_string(), "Trash").await?;
    let _: Vec<_> = session.uid_store(second.to_string(), "+FLAGS.SILENT (\\Deleted)").await?.try_collect().await?;
    let gone: Vec<u32> = session.uid_expunge(second.to_string()).await?.try_collect().await?;
    println!("gone {}", gone.len());
    session.logout().await?;
    other.logout().await?;
    Ok(())
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, user, password, folder, ids @ ..] = arguments.as_slice() else {
        return Err("port, user, password, folder, Message-IDs".into());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(port.parse()?, user, password, Path::new(folder), ids))
}
