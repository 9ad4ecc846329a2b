//! The session's two ends of the connection: commands out of what comes in, and what is to be said.

use std::collections::VecDeque;
use std::task::Poll;

use mail::{Uid, limits};
use tokio::task::{JoinError, JoinHandle};
use wire::imap::frame::{Framed, Limits, Reader};
use wire::imap::reply::{Code, Reply, condition};

use crate::enable::Enabled;
use crate::host::{End, Host, Input, Patience};

/// Input and output of a session. Both buffers are given up whenever they are empty and the session waits.
pub(crate) struct Io<'h> {
    pub(crate) host: &'h mut dyn Host,
    input: Vec<u8>,
    /// Octets of `input` that are done with.
    used: usize,
    reader: Reader,
    /// What is to be sent.
    pub(crate) out: Vec<u8>,
    /// The tag of the command under way, for answers that repeat it (ESEARCH).
    pub(crate) tag: String,
    /// UIDs of messages that the command under way put into the selected mailbox; they ascend.
    pub(crate) own: Vec<Uid>,
    /// What the client has enabled.
    pub(crate) enabled: Enabled,
    /// APPENDs that are being committed while the client's next ones are read: their tags, and what will be said.
    committing: VecDeque<(String, JoinHandle<Reply>)>,
}

impl<'h> Io<'h> {
    pub(crate) fn new(host: &'h mut dyn Host) -> Self {
        Self {
            host,
            input: Vec::new(),
            used: 0,
            reader: Reader::default(),
            out: Vec::new(),
            tag: String::new(),
            own: Vec::new(),
            enabled: Enabled::default(),
            committing: VecDeque::new(),
        }
    }

    /// What was received and not consumed.
    pub(crate) fn input(&self) -> &[u8] {
        &self.input[self.used..]
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.used = self.input.len().min(self.used + count);
    }

    /// Looks at the input once.
    pub(crate) fn frame(&mut self, limits: &Limits) -> Framed {
        self.reader.next(&self.input[self.used..], limits)
    }

    /// The next thing in the input, waiting for it; only [`Framed::Continue`] is answered here. `Err` where the connection
    /// ended; a client that is to be told why has been told.
    pub(crate) async fn next(&mut self, limits: &Limits, patience: Patience) -> Result<Framed, End> {
        loop {
            match self.frame(limits) {
                Framed::More => self.more(patience).await?,
                Framed::Continue => self.out.extend_from_slice(b"+ Go on\r\n"),
                Framed::Drop(count) => self.consume(count),
                other => return Ok(other),
            }
        }
    }

    /// The message of an APPEND is not wanted; its client waits and will not send it.
    pub(crate) fn refuse_message(&mut self) {
        self.reader.refuse();
    }

    /// Lets a commit go on while the next command is read, so that pipelined APPENDs share commits. The order of
    /// replies stays; what is begun first is asked of the store first.
    pub(crate) async fn commit_meanwhile(&mut self, tag: &str, commit: impl Future<Output = Reply> + Send + 'static) {
        let mut commit = Box::pin(commit);
        let begun = std::future::poll_fn(|cx| Poll::Ready(commit.as_mut().poll(cx))).await;
        let task = match begun {
            Poll::Ready(reply) => tokio::spawn(std::future::ready(reply)),
            Poll::Pending => tokio::spawn(commit),
        };
        self.committing.push_back((tag.to_owned(), task));
        if self.committing.len() >= limits::IMAP_COMMITS_AT_ONCE {
            self.settle_one().await;
        }
    }

    /// Waits for all commits that go on meanwhile, and says how they ended.
    pub(crate) async fn settle(&mut self) {
        while !self.committing.is_empty() {
            self.settle_one().await;
        }
    }

    async fn settle_one(&mut self) {
        if let Some((_, commit)) = self.committing.front_mut() {
            let ended = commit.await;
            self.committed(ended);
        }
    }

    /// The first of the commits has ended.
    fn committed(&mut self, ended: Result<Reply, JoinError>) {
        if let Some((tag, _)) = self.committing.pop_front() {
            let reply = ended.unwrap_or_else(|_| Reply::no(Code::ServerBug, "The server failed"));
            reply.write(&mut self.out, &tag);
        }
    }

    /// Sends what waits, then waits for input. Commits that go on are answered as they end, and nothing waits for them: what
    /// comes meanwhile shares the next one.
    pub(crate) async fn more(&mut self, patience: Patience) -> Result<(), End> {
        self.compact();
        loop {
            self.flush().await?;
            let input = match self.committing.front_mut() {
                None => self.host.read(&mut self.input, patience).await?,
                Some((_, commit)) => tokio::select! {
                    input = self.host.read(&mut self.input, patience) => input?,
                    ended = commit => {
                        self.committed(ended);
                        continue;
                    }
                },
            };
            match input {
                Input::Bytes => return Ok(()),
                Input::Quiet => {}
                ended => {
                    self.settle().await;
                    return Err(self.farewell(ended).await);
                }
            }
        }
    }

    /// As [`Self::more`], but returns as well when `other` does.
    pub(crate) async fn more_unless(&mut self, patience: Patience, other: impl Future<Output = ()>) -> Result<(), End> {
        self.settle().await;
        self.flush().await?;
        self.compact();
        let input = tokio::select! {
            input = self.host.read(&mut self.input, patience) => input?,
            () = other => return Ok(()),
        };
        match input {
            Input::Bytes | Input::Quiet => Ok(()),
            ended => Err(self.farewell(ended).await),
        }
    }

    /// Room for input. An empty buffer is given up: an idle session holds none.
    pub(crate) fn compact(&mut self) {
        if self.used == self.input.len() {
            (self.input, self.used) = (Vec::new(), 0);
        } else if self.used > 0 {
            self.input.drain(..self.used);
            self.used = 0;
        }
    }

    /// Reads once, for who waits for other things too.
    pub(crate) async fn read(&mut self, patience: Patience) -> Result<Input, End> {
        self.host.read(&mut self.input, patience).await
    }

    /// Says why the session ends, where that is for us to say.
    pub(crate) async fn farewell(&mut self, input: Input) -> End {
        match input {
            // RFC 3501 §7.1.5: BYE before the server closes.
            Input::TimedOut => condition(&mut self.out, "*", "BYE", None, "You were silent for too long"),
            Input::Stopping => condition(&mut self.out, "*", "BYE", Some("UNAVAILABLE"), "The server is stopping"),
            Input::Bytes | Input::Quiet | Input::Closed => return End::Closed,
        }
        match self.flush().await {
            Ok(()) => End::Closed,
            Err(end) => end,
        }
    }

    /// Sends all that waits.
    pub(crate) async fn flush(&mut self) -> Result<(), End> {
        if !self.out.is_empty() {
            self.host.write(&self.out).await?;
            self.out.clear();
            // A big buffer is not kept for ever because of one big answer.
            self.out.shrink_to(0);
        }
        Ok(())
    }

    /// Sends if much waits: the client's pace is ours.
    pub(crate) async fn relieve(&mut self) -> Result<(), End> {
        if self.out.len() >= limits::IMAP_OUTPUT {
            self.host.write(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    /// Sends what waits, and these octets behind it, from where they lie.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), End> {
        if !self.out.is_empty() {
            self.host.write(&self.out).await?;
            self.out.clear();
        }
        self.host.write(bytes).await
    }

    /// One line that is no command (AUTHENTICATE, IDLE), without its line end; `None`: it is too long, and dropped.
    pub(crate) async fn line(&mut self, most: usize, patience: Patience) -> Result<Option<Vec<u8>>, End> {
        let mut fits = true;
        loop {
            if let Some(end) = self.input().iter().position(|b| *b == b'\n') {
                let line = &self.input()[..end];
                let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
                self.consume(end + 1);
                return Ok((fits && end < most).then_some(line));
            }
            if self.input().len() > most {
                fits = false;
                let all = self.input().len();
                self.consume(all);
            }
            self.more(patience).await?;
        }
    }

    /// RFC 4978 §3: all after the OK is compressed, on both sides.
    pub(crate) async fn compress(&mut self) -> Result<(), End> {
        self.flush().await?;
        let received = self.input().to_vec();
        (self.input, self.used) = (Vec::new(), 0);
        self.host.compress(&received);
        Ok(())
    }

    /// RFC 3501 §6.2.1: what was received before TLS is forgotten.
    pub(crate) async fn start_tls(&mut self) -> Result<(), End> {
        self.flush().await?;
        (self.input, self.used) = (Vec::new(), 0);
        self.host.start_tls().await
    }
}
