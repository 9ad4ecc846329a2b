//! Reading by IMAP: any IMAP4rev1 server, with UIDs as the messages' numbers.

mod structure;

mod value;

use std::time::Duration;

use mail::limits;
use message::transfer::{Decoder, Encoding};
use wire::sasl::client::Begun;
use wire::sasl::{decode, encode};

use self::value::{Value, literal_at_end, parse};
use crate::connection::Connection;
use crate::maildrop::{Message, Sink, Summary};
use crate::part::{self, PartInfo};
use crate::{Login, MuaError, MuaResult, ServerUrl, Trust};

/// Header fields that a list shows.
const LIST_FIELDS: &str = "FROM SUBJECT DATE";
/// Octets of text that a terminal is shown at most.
const TEXT_LEN: usize = limits::MUA_READ * 16;
/// IDLE is asked anew this often (RFC 2177: at least every 29 minutes).
const IDLE_AGAIN: Duration = Duration::from_secs(25 * 60);
/// A server without IDLE is asked this often.
const POLL: Duration = Duration::from_secs(30);

/// A logged-in session with one mailbox open.
pub struct ImapClient {
    connection: Connection,
    tag: u32,
    capabilities: Vec<String>,
    messages: u32,
}

/// One complete answer to a command.
struct Answer {
    /// Untagged data, without the `*`.
    untagged: Vec<Vec<Value>>,
}

impl ImapClient {
    /// Connects, turns TLS on where it can be, logs in and opens `mailbox`.
    pub async fn open(server: &ServerUrl, trust: &Trust, login: &Login, mailbox: &str) -> MuaResult<Self> {
        let connection = Connection::open(server, trust).await?;
        let mut client = Self { connection, tag: 0, capabilities: Vec::new(), messages: 0 };
        let greeting = client.connection.line().await?;
        let preauthenticated = match parse(&greeting).get(1) {
            Some(word) if word.is("OK") => false,
            Some(word) if word.is("PREAUTH") => true,
            _ => return Err(MuaError::new(format!("{server} refuses: {}", String::from_utf8_lossy(&greeting)))),
        };
        client.learn_capabilities().await?;
        if !client.connection.is_tls() && client.can("STARTTLS") {
            client.command("STARTTLS").await?;
            client.connection.start_tls(trust).await?;
            // RFC 3501 §6.2.1: what was learnt before TLS is forgotten.
            client.learn_capabilities().await?;
        }
        if !preauthenticated {
            client.log_in(login).await?;
            client.learn_capabilities().await?;
        }
        let opened = client.command(&format!("SELECT {}", quote(&wire::imap::mutf7::encode(mailbox)))).await?;
        for line in &opened.untagged {
            if let [count, word] = line.as_slice()
                && word.is("EXISTS")
            {
                client.messages = count.number().and_then(|n| n.try_into().ok()).unwrap_or(0);
            }
        }
        Ok(client)
    }

    fn can(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|known| known.eq_ignore_ascii_case(capability))
    }

    async fn learn_capabilities(&mut self) -> MuaResult<()> {
        let answer = self.command("CAPABILITY").await?;
        let line = answer.untagged.into_iter().find(|line| line.first().is_some_and(|word| word.is("CAPABILITY")));
        let words = line.unwrap_or_default();
        self.capabilities =
            words.iter().filter_map(|word| Some(String::from_utf8_lossy(word.octets()?).into_owned())).collect();
        Ok(())
    }

    async fn log_in(&mut self, login: &Login) -> MuaResult<()> {
        self.connection.require_private()?;
        let mechanisms: Vec<String> = self.capabilities.iter().map(|word| word.to_ascii_uppercase()).collect();
        let offered = mechanisms.iter().filter_map(|word| word.strip_prefix("AUTH="));
        // Whoever can see the password on the way is kept out above.
        if let Some(begun) = login.begin(offered, self.connection.binding(), true) {
            return self.authenticate(begun).await;
        }
        let (user, password) = (&login.credentials.user, login.credentials.password.reveal());
        let quotable = |text: &str| text.bytes().all(|b| (b' '..0x7f).contains(&b));
        if !self.can("LOGINDISABLED") && quotable(user) && quotable(password) {
            return self.command(&format!("LOGIN {} {}", quote(user), quote(password))).await.map(drop);
        }
        match login.begin(["PLAIN"], self.connection.binding(), true) {
            Some(begun) => self.authenticate(begun).await,
            None => Ok(()),
        }
    }

    /// AUTHENTICATE (RFC 3501 §6.2.2), the first response with it where the server takes that (SASL-IR, RFC 4959).
    async fn authenticate(&mut self, begun: Begun) -> MuaResult<()> {
        let Begun { mechanism, initial, mut exchange } = begun;
        let mut initial = initial.map(|initial| encode(&initial));
        let at_once = if self.can("SASL-IR") { initial.take() } else { None };
        let command = match at_once {
            Some(response) => format!("AUTHENTICATE {mechanism} {response}"),
            None => format!("AUTHENTICATE {mechanism}"),
        };
        let tag = self.send(&command).await?;
        while let Some(challenge) = self.challenge(&tag).await? {
            let response = match initial.take() {
                Some(first) => first,
                None => {
                    let (response, next) = exchange.respond(&decode(&challenge).unwrap_or(challenge))?;
                    exchange = next;
                    encode(&response)
                }
            };
            self.connection.write(format!("{response}\r\n").as_bytes()).await?;
        }
        Ok(exchange.succeeded()?)
    }

    async fn send(&mut self, command: &str) -> MuaResult<String> {
        self.tag += 1;
        let tag = format!("a{}", self.tag);
        self.connection.write(format!("{tag} {command}\r\n").as_bytes()).await?;
        Ok(tag)
    }

    async fn command(&mut self, command: &str) -> MuaResult<Answer> {
        let tag = self.send(command).await?;
        self.finish(&tag).await
    }

    /// One line of the server with its literals in place.
    async fn response(&mut self, patience: Option<Duration>) -> MuaResult<Vec<u8>> {
        let mut response = self.connection.line_within(patience).await?;
        while let Some(length) = literal_at_end(&response) {
            if length > limits::MUA_ANSWER_LEN as u64 || response.len() > limits::MUA_ANSWER_LEN {
                return Err(MuaError::new("the server's answer is larger than this client takes"));
            }
            response.extend_from_slice(b"\r\n");
            self.connection.octets(length, |octets| response.extend_from_slice(octets)).await?;
            response.extend(self.connection.line().await?);
        }
        Ok(response)
    }

    /// Reads on to the tagged answer; NO and BAD become errors with the server's words.
    async fn finish(&mut self, tag: &str) -> MuaResult<Answer> {
        let mut untagged = Vec::new();
        let mut kept = 0;
        loop {
            let response = self.response(Some(limits::MUA_TIMEOUT)).await?;
            if let Some(data) = response.strip_prefix(b"* ") {
                kept += data.len();
                if kept > limits::MUA_ANSWER_LEN {
                    return Err(MuaError::new("the server's answer is larger than this client takes"));
                }
                untagged.push(parse(data));
            } else if let Some(status) = response.strip_prefix(tag.as_bytes()).and_then(|r| r.strip_prefix(b" ")) {
                return succeeded(status).map(|()| Answer { untagged });
            }
        }
    }

    /// What stands behind the next `+`; none: the command has succeeded without one.
    async fn challenge(&mut self, tag: &str) -> MuaResult<Option<Vec<u8>>> {
        loop {
            let response = self.response(Some(limits::MUA_TIMEOUT)).await?;
            if let Some(challenge) = response.strip_prefix(b"+") {
                return Ok(Some(challenge.strip_prefix(b" ").unwrap_or(challenge).to_vec()));
            }
            if let Some(status) = response.strip_prefix(tag.as_bytes()).and_then(|rest| rest.strip_prefix(b" ")) {
                return succeeded(status).map(|()| None);
            }
        }
    }

    /// The newest `limit` messages, oldest of them first.
    pub async fn list(&mut self, limit: u32) -> MuaResult<Vec<Summary>> {
        if self.messages == 0 {
            return Ok(Vec::new());
        }
        let first = self.messages.saturating_sub(limit.saturating_sub(1)).max(1);
        self.summaries(&format!("FETCH {first}:*")).await
    }

    async fn summaries(&mut self, fetch: &str) -> MuaResult<Vec<Summary>> {
        let items = format!("(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS ({LIST_FIELDS})])");
        let answer = self.command(&format!("{fetch} {items}")).await?;
        let mut found: Vec<Summary> = fetched(&answer).filter_map(summary).collect();
        found.sort_by_key(|summary| summary.number);
        Ok(found)
    }

    /// A message for reading: its header, its readable text, its parts. Marks it as \Seen.
    pub async fn read(&mut self, uid: u32) -> MuaResult<Message> {
        let parts = self.parts(uid).await?;
        let header = self.section(uid, "BODY.PEEK[HEADER]", None).await?;
        let (text, cut) = match part::readable(&parts) {
            None => (String::new(), false),
            Some(shown) => {
                let octets = self.section(uid, &format!("BODY[{}]", shown.number), Some((0, TEXT_LEN as u64))).await?;
                (shown.text(&octets), octets.len() >= TEXT_LEN)
            }
        };
        Ok(Message { header, text, cut, parts })
    }

    async fn parts(&mut self, uid: u32) -> MuaResult<Vec<PartInfo>> {
        let answer = self.command(&format!("UID FETCH {uid} (BODYSTRUCTURE)")).await?;
        let found = fetched(&answer).find_map(|items| item(items, "BODYSTRUCTURE").map(structure::parts));
        found.ok_or_else(|| MuaError::new(format!("there is no message {uid}: list shows the numbers")))
    }

    async fn section(&mut self, uid: u32, section: &str, range: Option<(u64, u64)>) -> MuaResult<Vec<u8>> {
        let partial = range.map(|(from, count)| format!("<{from}.{count}>")).unwrap_or_default();
        let answer = self.command(&format!("UID FETCH {uid} ({section}{partial})")).await?;
        let found = fetched(&answer).find_map(|items| {
            items
                .chunks_exact(2)
                .find(|pair| pair[0].octets().is_some_and(|name| name.starts_with(b"BODY[")))
                .map(|pair| pair[1].octets().unwrap_or_default().to_vec())
        });
        found.ok_or_else(|| MuaError::new(format!("the server did not send {section} of message {uid}")))
    }

    /// Fetches one part, and only that, in pieces, and hands on its decoded octets.
    pub async fn save(&mut self, uid: u32, number: &str, sink: &mut dyn Sink) -> MuaResult<()> {
        let parts = self.parts(uid).await?;
        let part = part::find(&parts, number)?;
        let mut decoder = Decoder::new(Encoding::of(&part.encoding));
        let (mut done, mut decoded) = (0, Vec::new());
        loop {
            let octets = self.section(uid, &format!("BODY.PEEK[{number}]"), Some((done, limits::MUA_PIECE))).await?;
            done += octets.len() as u64;
            decoder.push(&octets, &mut decoded);
            sink.advance(done, part.size.max(done));
            sink.take(&decoded)?;
            decoded.clear();
            if (octets.len() as u64) < limits::MUA_PIECE {
                break;
            }
        }
        decoder.finish(&mut decoded);
        sink.take(&decoded)
    }

    /// The whole message, in pieces, as it is.
    pub async fn save_whole(&mut self, uid: u32, sink: &mut dyn Sink) -> MuaResult<()> {
        let mut done = 0;
        loop {
            let octets = self.section(uid, "BODY.PEEK[]", Some((done, limits::MUA_PIECE))).await?;
            done += octets.len() as u64;
            sink.advance(done, done);
            sink.take(&octets)?;
            if (octets.len() as u64) < limits::MUA_PIECE {
                return Ok(());
            }
        }
    }

    /// Waits for new messages and tells of each, until the connection ends or `tell` says no more.
    pub async fn watch(&mut self, tell: &mut (dyn FnMut(Summary) -> bool + Send)) -> MuaResult<()> {
        let newest = if self.messages == 0 { Vec::new() } else { self.summaries("FETCH *").await? };
        let mut last = newest.last().map_or(0, |summary| summary.number);
        loop {
            self.wait_for_news().await?;
            // `n:*` names the last message even when it is below n (RFC 3501 §9 `seq-range`).
            let news = self.summaries(&format!("UID FETCH {}:*", last + 1)).await?;
            for summary in news.into_iter().filter(|summary| summary.number > last).collect::<Vec<_>>() {
                last = summary.number;
                if !tell(summary) {
                    return Ok(());
                }
            }
        }
    }

    /// Returns when the server says that something came, or after a while.
    async fn wait_for_news(&mut self) -> MuaResult<()> {
        if !self.can("IDLE") {
            tokio::time::sleep(POLL).await;
            self.command("NOOP").await?;
            return Ok(());
        }
        let tag = self.send("IDLE").await?;
        if self.challenge(&tag).await?.is_none() {
            return Ok(());
        }
        let news = async {
            loop {
                let response = self.response(None).await?;
                let values = parse(response.strip_prefix(b"* ").unwrap_or_default());
                if values.get(1).is_some_and(|word| word.is("EXISTS")) {
                    return Ok(());
                }
                if values.first().is_some_and(|word| word.is("BYE")) {
                    return Err(MuaError::new("the server closes the connection"));
                }
            }
        };
        if let Ok(ended) = tokio::time::timeout(IDLE_AGAIN, news).await {
            ended?;
        }
        self.connection.write(b"DONE\r\n").await?;
        self.finish(&tag).await?;
        Ok(())
    }

    /// Says good-bye.
    pub async fn close(mut self) {
        // The work is done; a server that doesn't answer to LOGOUT changes nothing.
        let _ = self.command("LOGOUT").await;
    }
}

/// The words behind a tag: NO and BAD become errors with the server's words.
fn succeeded(status: &[u8]) -> MuaResult<()> {
    if status.get(..2).is_some_and(|word| word.eq_ignore_ascii_case(b"OK")) {
        return Ok(());
    }
    Err(MuaError::new(format!("the server refuses: {}", String::from_utf8_lossy(status))))
}

/// The item lists of FETCH answers.
fn fetched(answer: &Answer) -> impl Iterator<Item = &[Value]> {
    answer.untagged.iter().filter_map(|line| match line.as_slice() {
        [_, word, items, ..] if word.is("FETCH") => Some(items.list()),
        _ => None,
    })
}

fn item<'a>(items: &'a [Value], name: &str) -> Option<&'a Value> {
    items.chunks_exact(2).find(|pair| pair[0].is(name)).map(|pair| &pair[1])
}

fn summary(items: &[Value]) -> Option<Summary> {
    let number = item(items, "UID")?.number()?.try_into().ok()?;
    let flags = item(items, "FLAGS").map(Value::list).unwrap_or_default();
    let header = items.chunks_exact(2).find(|pair| pair[0].octets().is_some_and(|name| name.starts_with(b"BODY[")));
    Some(Summary::of(
        number,
        item(items, "RFC822.SIZE").and_then(Value::number).unwrap_or(0),
        flags.iter().filter_map(|flag| Some(String::from_utf8_lossy(flag.octets()?).into_owned())).collect(),
        header.and_then(|pair| pair[1].octets()).unwrap_or_default(),
        item(items, "INTERNALDATE")
            .and_then(|date| message::date::parse_imap(date.octets()?))
            .map(|date| date.timestamp),
    ))
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
