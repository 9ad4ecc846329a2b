//! One conversation with one filter: what is said, what is waited for, and how it is lost.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mail::{Reply, limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::milter::{self, Command, Negotiation, Response, Stage, steps};

use super::{Dial, Milter};
use crate::world::{Clock, Stream};

/// Octets that are gathered before they are sent.
const GATHERED: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Lost(pub(super) String);

impl<E: fmt::Display> From<E> for Lost {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// What a filter says to what it was told before the message's end.
#[derive(Debug)]
pub(super) enum Verdict {
    Continue,
    /// It has seen enough and lets it pass.
    Pass,
    Refuse(Reply),
    Discard,
    /// It has seen enough of this kind.
    Skip,
}

/// Open, and agreed on what is said.
pub(super) struct Conversation {
    stream: Box<dyn Stream>,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    agreed: Negotiation,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Conversation {
    pub(super) async fn open(milter: &Milter, dial: &dyn Dial, clock: &Arc<dyn Clock>) -> Result<Self, Lost> {
        let dialled = tokio::select! {
            stream = dial.dial(&milter.place) => stream?,
            () = clock.sleep(milter.timeout) => return Err(Lost("it can't be reached in time".into())),
        };
        let mut conversation = Self {
            stream: dialled,
            clock: clock.clone(),
            timeout: milter.timeout,
            agreed: Negotiation::OURS,
            input: Vec::new(),
            output: Vec::new(),
        };
        conversation.say(&Command::Negotiate(Negotiation::OURS)).await?;
        let packet = conversation.hear(milter.timeout).await?;
        let Response::Negotiate(agreed) = Response::read(&packet)? else {
            return Err(Lost("it does not say what it can do".into()));
        };
        // Nothing of what came with version 6 is needed; Sendmail's library has agreed on 2 at least since 2000.
        if agreed.version < 2 || agreed.version > milter::VERSION || agreed.steps & !Negotiation::OURS.steps != 0 {
            return Err(Lost("it wants what was not offered".into()));
        }
        conversation.agreed = agreed;
        Ok(conversation)
    }

    /// Whether both agreed on one of [`steps`].
    pub(super) const fn has(&self, step: u32) -> bool {
        self.agreed.steps & step != 0
    }

    /// Whether the filter may do one of [`milter::actions`].
    pub(super) const fn may(&self, action: u32) -> bool {
        self.agreed.actions & action != 0
    }

    pub(super) async fn macros(&mut self, stage: Stage, values: &[(&str, String)]) -> Result<(), Lost> {
        let values = values.iter().filter(|(_, value)| !value.is_empty());
        let values = values.map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        self.say(&Command::Macros(stage, values)).await
    }

    /// Tells it something, unless it does not want to hear it (`no`), and waits for what it says, unless it says nothing (`mute`).
    pub(super) async fn tell(&mut self, command: &Command<'_>, no: u32, mute: u32) -> Result<Verdict, Lost> {
        if self.has(no) {
            return Ok(Verdict::Continue);
        }
        self.say(command).await?;
        if mute != 0 && self.has(mute) {
            return Ok(Verdict::Continue);
        }
        loop {
            let packet = self.hear(self.timeout).await?;
            let response = Response::read(&packet)?;
            if response != Response::Progress {
                return verdict(&response);
            }
        }
    }

    pub(super) async fn say(&mut self, command: &Command<'_>) -> Result<(), Lost> {
        command.write(&mut self.output);
        if self.output.len() >= GATHERED { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Lost> {
        let clock = self.clock.clone();
        tokio::select! {
            written = self.stream.write_all(&self.output) => written?,
            () = clock.sleep(self.timeout) => return Err(Lost("it takes nothing".into())),
        }
        self.output.clear();
        Ok(())
    }

    /// The next packet.
    pub(super) async fn hear(&mut self, longest: Duration) -> Result<Vec<u8>, Lost> {
        self.flush().await?;
        let clock = self.clock.clone();
        tokio::select! {
            packet = self.packet() => packet,
            () = clock.sleep(longest) => Err(Lost(format!("it does not answer in {} s", longest.as_secs()))),
        }
    }

    async fn packet(&mut self) -> Result<Vec<u8>, Lost> {
        loop {
            if let Some((packet, used)) = milter::packet(&self.input)? {
                let packet = packet.to_vec();
                self.input.drain(..used);
                return Ok(packet);
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(Lost("it closed the connection".into()));
            }
        }
    }

    /// The session is over: said without waiting for anything.
    pub(super) async fn quit(mut self) {
        if self.say(&Command::Quit).await.is_ok() {
            let _ = self.flush().await;
        }
    }

    /// Wait for the answer to a whole message.
    pub(super) fn patience(&self, at_work: bool) -> Duration {
        if at_work { self.timeout.max(limits::MILTER_PROGRESS_TIMEOUT) } else { self.timeout }
    }

    /// A value of a field as this filter gets it: the space behind the colon is not told unless agreed; lines end with LF.
    pub(super) fn value(&self, raw: &[u8]) -> Vec<u8> {
        let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        let raw = if self.has(steps::LEADING_SPACE) { raw } else { raw.strip_prefix(b" ").unwrap_or(raw) };
        raw.iter().copied().filter(|b| *b != b'\r').collect()
    }
}

/// What an answer means that ends a step.
pub(super) fn verdict(response: &Response<'_>) -> Result<Verdict, Lost> {
    let later = |words: &str| Verdict::Refuse(Reply::new(451, (4, 7, 1), words));
    Ok(match response {
        Response::Continue => Verdict::Continue,
        Response::Accept => Verdict::Pass,
        Response::Reject => Verdict::Refuse(Reply::new(550, (5, 7, 1), "Refused by a filter of this system")),
        Response::TempFail => later("A filter of this system asks you to try again later"),
        Response::Shutdown | Response::ConnectionFailed => later("A filter of this system takes no mail from you now"),
        Response::Discard => Verdict::Discard,
        Response::Skip => Verdict::Skip,
        Response::Reply(words) => match milter::reply(words) {
            Some(reply) => Verdict::Refuse(reply),
            None => return Err(Lost("it refuses with words that are no refusal".into())),
        },
        _ => return Err(Lost("it says what was not agreed".into())),
    })
}
