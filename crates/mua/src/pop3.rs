//! Reading by POP3: any server of RFC 1939. Nothing is ever deleted.

use std::time::Duration;

use mail::limits;
use message::structure::Structure;
use message::transfer::{Decoder, Encoding};
use wire::sasl::client::Begun;
use wire::sasl::{decode, encode};

use crate::connection::Connection;
use crate::maildrop::{Message, Progress, Sink, Summary};
use crate::{Login, MuaError, MuaResult, ServerUrl, Trust, part};

/// POP3 can't tell of new mail: it is asked this often.
const POLL: Duration = Duration::from_secs(30);

/// A logged-in session.
pub struct Pop3Client {
    connection: Connection,
    messages: u32,
}

impl Pop3Client {
    /// Connects, turns TLS on where it can be, and logs in.
    pub async fn open(server: &ServerUrl, trust: &Trust, login: &Login) -> MuaResult<Self> {
        let mut client = Self { connection: Connection::open(server, trust).await?, messages: 0 };
        client.status().await?;
        let mut capabilities = client.capabilities().await?;
        if !client.connection.is_tls() && capabilities.iter().any(|line| line == "STLS") {
            client.command("STLS").await?;
            client.connection.start_tls(trust).await?;
            capabilities = client.capabilities().await?;
        }
        client.connection.require_private()?;
        let offered = capabilities.iter().find_map(|line| line.strip_prefix("SASL ")).unwrap_or_default();
        // Whoever can see the password on the way is kept out above.
        match login.begin(offered.split(' '), client.connection.binding(), true) {
            Some(begun) => client.authenticate(begun).await?,
            None => {
                client.command(&format!("USER {}", login.credentials.user)).await?;
                client.command(&format!("PASS {}", login.credentials.password.reveal())).await?;
            }
        }
        let stat = client.command("STAT").await?;
        client.messages = stat.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
        Ok(client)
    }

    /// AUTH (RFC 5034 §4), the first response with the command.
    async fn authenticate(&mut self, begun: Begun) -> MuaResult<()> {
        let Begun { mechanism, initial, mut exchange } = begun;
        let response = initial.map(|initial| format!(" {}", encode(&initial))).unwrap_or_default();
        self.connection.write(format!("AUTH {mechanism}{response}\r\n").as_bytes()).await?;
        loop {
            let line = self.connection.line().await?;
            let Some(challenge) = line.strip_prefix(b"+ ") else {
                status(&line)?;
                return Ok(exchange.succeeded()?);
            };
            let (response, next) = exchange.respond(&decode(challenge).unwrap_or_else(|_| challenge.to_vec()))?;
            exchange = next;
            self.connection.write(format!("{}\r\n", encode(&response)).as_bytes()).await?;
        }
    }

    async fn status(&mut self) -> MuaResult<String> {
        status(&self.connection.line().await?)
    }

    async fn command(&mut self, command: &str) -> MuaResult<String> {
        if command.contains(['\r', '\n']) {
            return Err(MuaError::new("a line end can't be in a user's name or a password"));
        }
        self.connection.write(format!("{command}\r\n").as_bytes()).await?;
        self.status().await
    }

    /// A multi-line answer (RFC 1939 §3), lines ended by CRLF, dots unstuffed.
    async fn lines(&mut self, total: u64, progress: &mut dyn Progress) -> MuaResult<Vec<u8>> {
        let mut content = Vec::new();
        let mut told = 0;
        loop {
            let line = self.connection.line().await?;
            match line.as_slice() {
                b"." => return Ok(content),
                [b'.', stuffed @ ..] => content.extend_from_slice(stuffed),
                line => content.extend_from_slice(line),
            }
            content.extend_from_slice(b"\r\n");
            if content.len() > limits::MUA_ANSWER_LEN {
                return Err(MuaError::new("the server's answer is larger than this client takes"));
            }
            if content.len() - told >= limits::MUA_READ {
                told = content.len();
                progress.advance(told as u64, total.max(told as u64));
            }
        }
    }

    async fn capabilities(&mut self) -> MuaResult<Vec<String>> {
        // CAPA came with RFC 2449: a server without it says -ERR, and has nothing to tell.
        if self.command("CAPA").await.is_err() {
            return Ok(Vec::new());
        }
        let lines = self.lines(0, &mut Silent).await?;
        Ok(String::from_utf8_lossy(&lines).lines().map(str::to_ascii_uppercase).collect())
    }

    /// The newest `limit` messages, oldest of them first.
    pub async fn list(&mut self, limit: u32) -> MuaResult<Vec<Summary>> {
        let first = self.messages.saturating_sub(limit.saturating_sub(1)).max(1);
        let mut found = Vec::new();
        for number in first..=self.messages {
            let size = self.size(number).await?;
            self.command(&format!("TOP {number} 0")).await?;
            let header = self.lines(0, &mut Silent).await?;
            found.push(Summary::of(number, size, Vec::new(), &header, None));
        }
        Ok(found)
    }

    async fn size(&mut self, number: u32) -> MuaResult<u64> {
        let listed = self.command(&format!("LIST {number}")).await?;
        Ok(listed.split(' ').nth(1).and_then(|size| size.parse().ok()).unwrap_or(0))
    }

    /// A message whole; POP3 knows no parts.
    pub async fn retrieve(&mut self, number: u32, progress: &mut dyn Progress) -> MuaResult<Vec<u8>> {
        let size = self.size(number).await?;
        self.command(&format!("RETR {number}")).await?;
        self.lines(size, progress).await
    }

    /// A message for reading.
    pub async fn read(&mut self, number: u32, progress: &mut dyn Progress) -> MuaResult<Message> {
        let message = self.retrieve(number, progress).await?;
        let structure = Structure::of(&message);
        let parts = part::of_structure(&structure);
        let text =
            part::readable(&parts).and_then(|shown| Some(shown.text(body(&message, &structure, &shown.number)?)));
        let header = structure.root().header.clone();
        Ok(Message {
            text: text.unwrap_or_default(),
            cut: false,
            header: slice(&message, header).unwrap_or_default().to_vec(),
            parts,
        })
    }

    /// One part, decoded; the whole message is fetched for it.
    pub async fn save(&mut self, number: u32, part: &str, sink: &mut dyn Sink) -> MuaResult<()> {
        let message = self.retrieve(number, sink).await?;
        let structure = Structure::of(&message);
        let parts = part::of_structure(&structure);
        let part = part::find(&parts, part)?;
        let mut decoder = Decoder::new(Encoding::of(&part.encoding));
        let mut decoded = Vec::new();
        decoder.push(body(&message, &structure, &part.number).unwrap_or_default(), &mut decoded);
        decoder.finish(&mut decoded);
        sink.take(&decoded)
    }

    /// Says good-bye.
    pub async fn close(mut self) {
        // Nothing was marked for deletion, so a lost QUIT changes nothing.
        let _ = self.command("QUIT").await;
    }
}

/// Asks a POP3 server for new messages again and again, a log-in each time (RFC 1939 shows a session what was
/// there at its start), and tells of each, until `tell` says no more. `ready` is called once it is known what is
/// there already. While another session has the maildrop, it waits.
pub async fn watch(
    server: &ServerUrl,
    trust: &Trust,
    login: &Login,
    ready: &mut (dyn FnMut() + Send),
    tell: &mut (dyn FnMut(Summary) -> bool + Send),
) -> MuaResult<()> {
    let mut known: Option<std::collections::HashSet<String>> = None;
    loop {
        let mut client = match Pop3Client::open(server, trust, login).await {
            Ok(client) => client,
            // RFC 2449 §8.1.1: "the maildrop … is currently in use": trying again later helps.
            Err(error) if known.is_some() && error.to_string().contains("[IN-USE]") => {
                tokio::time::sleep(POLL).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        client.command("UIDL").await?;
        let listing = String::from_utf8_lossy(&client.lines(0, &mut Silent).await?).into_owned();
        let listing: Vec<(u32, String)> = listing
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(number, id)| Some((number.parse().ok()?, id.to_owned())))
            .collect();
        if let Some(known) = &known {
            for (number, _) in listing.iter().filter(|(_, id)| !known.contains(id)) {
                let size = client.size(*number).await?;
                client.command(&format!("TOP {number} 0")).await?;
                let header = client.lines(0, &mut Silent).await?;
                if !tell(Summary::of(*number, size, Vec::new(), &header, None)) {
                    client.close().await;
                    return Ok(());
                }
            }
        }
        client.close().await;
        if known.replace(listing.into_iter().map(|(_, id)| id).collect()).is_none() {
            ready();
        }
        tokio::time::sleep(POLL).await;
    }
}

/// `+OK words`: the words; `-ERR words`: an error.
fn status(line: &[u8]) -> MuaResult<String> {
    let line = String::from_utf8_lossy(line);
    match line.strip_prefix("+OK") {
        Some(words) => Ok(words.trim_start().to_owned()),
        None => Err(MuaError::new(format!("the server refuses: {}", line.trim_start_matches("-ERR ")))),
    }
}

struct Silent;

impl Progress for Silent {
    fn advance(&mut self, _done: u64, _total: u64) {}
}

fn body<'a>(message: &'a [u8], structure: &Structure, number: &str) -> Option<&'a [u8]> {
    let path: Vec<u32> = number.split('.').filter_map(|level| level.parse().ok()).collect();
    slice(message, structure.find(&path)?.body.clone())
}

fn slice(message: &[u8], range: std::ops::Range<u64>) -> Option<&[u8]> {
    message.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}
