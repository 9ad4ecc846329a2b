//! All filters of one client's session: what each is told, and what is made of what they say.

use std::sync::Arc;

use mail::{Address, BodyType, Domain, QueueId, Recipient, Reply, ReversePath, limits};
use store::{Stage, Store, StoreError};
use wire::milter::{CHUNK, Command, Peer, Response, Stage as At, actions, steps};
use wire::smtp::server::{Hello, Sender};

use super::content::{Changed, Content, is_name};
use super::conversation::{Conversation, Lost, Verdict, verdict};
use super::{Door, Milter, Milters, WhenDown};
use crate::accept::{Client, Identity};

/// Who sends, as filters are told.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The client.
    pub client: &'a Client,
    /// What it called itself.
    pub hello: &'a Hello,
    /// Our name.
    pub hostname: &'a Domain,
}

/// A filter does not let it pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its name.
    pub by: String,
    /// What the client hears.
    pub reply: Reply,
}

/// What filters found of a whole message.
#[derive(Default)]
pub struct Outcome {
    /// What each did, in order: its name, and a sentence.
    pub told: Vec<(String, String)>,
    /// It is not taken.
    pub refused: Option<Refused>,
    /// Who threw it away.
    pub discarded: Option<String>,
    /// Who wants it kept back.
    pub quarantined: Option<String>,
    /// A field says that it is junk.
    pub junk: bool,
    /// The message as it is now, where something changed.
    pub changed: Option<Changed>,
    /// From whom it is now.
    pub sender: Option<ReversePath>,
    /// Who gets it too.
    pub added: Vec<Address>,
    /// Who does not get it.
    pub deleted: Vec<Address>,
}

/// The filters of one session, in their order.
pub struct Filters {
    milters: Arc<Milters>,
    links: Vec<Link>,
    /// Who threw the message away before its bytes came.
    discarded: Option<String>,
}

/// One filter.
struct Link {
    milter: Arc<Milter>,
    state: State,
    /// What it was told of the client's name, and whether there was TLS.
    greeted: Option<(Hello, bool)>,
}

enum State {
    /// Not asked yet.
    Fresh,
    /// It hears of the message.
    Asked(Box<Conversation>),
    /// It has seen enough of the message.
    Passed(Box<Conversation>),
    /// It has seen enough of the client.
    Trusting,
    /// It wants nothing of the client.
    Refusing(Reply),
    /// Lost, and the message is taken without it; the reason is told.
    Missing(String),
    /// Lost, and the message is not taken without it: neither another recipient nor the end.
    Down(Refused),
}

impl Filters {
    pub(super) fn new(milters: Arc<Milters>, asked: Vec<Arc<Milter>>) -> Self {
        let links = asked.into_iter().map(|milter| Link { milter, state: State::Fresh, greeted: None }).collect();
        Self { milters, links, discarded: None }
    }

    /// MAIL: the client is told of first, where it was not yet.
    pub async fn sender(&mut self, told: Told<'_>, sender: &Sender) -> Result<(), Refused> {
        self.discarded = None;
        for link in &mut self.links {
            let said = link.sender(&self.milters, told, sender).await;
            let verdict = link.judged(said)?;
            if let Verdict::Discard = link.settle(verdict)? {
                self.discarded.get_or_insert_with(|| link.milter.name.clone());
            }
        }
        Ok(())
    }

    /// RCPT: a refusal is of this recipient alone.
    pub async fn recipient(&mut self, recipient: &Recipient) -> Result<(), Refused> {
        if self.discarded.is_some() {
            return Ok(());
        }
        for link in &mut self.links {
            let conversation = match &mut link.state {
                State::Asked(conversation) => conversation,
                State::Down(refused) => return Err(refused.clone()),
                _ => continue,
            };
            let said = tell_recipient(conversation, recipient).await;
            let verdict = link.judged(said)?;
            if let Verdict::Discard = link.settle(verdict)? {
                self.discarded.get_or_insert_with(|| link.milter.name.clone());
            }
        }
        Ok(())
    }

    /// The whole message, before anybody answers for it: each filter sees what the one before made of it.
    ///
    /// # Errors
    /// The store's.
    pub async fn message(
        &mut self,
        store: &dyn Store,
        id: QueueId,
        stage: &mut dyn Stage,
        ours: u64,
    ) -> Result<Outcome, StoreError> {
        let mut outcome = Outcome { discarded: self.discarded.take(), ..Outcome::default() };
        if outcome.discarded.is_some() {
            return Ok(outcome);
        }
        let mut content = Content::of(store, stage, ours).await?;
        for link in &mut self.links {
            let name = link.milter.name.clone();
            let conversation = match &mut link.state {
                State::Asked(conversation) => conversation,
                State::Missing(why) => {
                    outcome.told.push((name, format!("it is taken without it: {why}")));
                    continue;
                }
                State::Down(refused) => {
                    outcome.refused = Some(refused.clone());
                    return Ok(outcome);
                }
                State::Passed(_) | State::Trusting | State::Fresh | State::Refusing(_) => {
                    outcome.told.push((name, "lets it pass by what it saw before the message".to_owned()));
                    continue;
                }
            };
            let milters = &self.milters;
            let asked = Asked { name: &name, conversation, content: &mut content, outcome: &mut outcome, milters };
            let verdict = match asked.all(id).await {
                Ok(verdict) => verdict,
                Err(Failed::Store(error)) => return Err(error),
                // What it changed may be half of what it wanted: nobody takes that.
                Err(Failed::Changing(lost)) => {
                    outcome.refused = Some(link.down(&lost));
                    return Ok(outcome);
                }
                Err(Failed::Filter(lost)) => match link.judged(Err(lost)) {
                    Ok(_) => continue,
                    Err(refused) => {
                        outcome.refused = Some(refused);
                        return Ok(outcome);
                    }
                },
            };
            match link.settle(verdict) {
                Ok(Verdict::Discard) => {
                    outcome.discarded = Some(name);
                    return Ok(outcome);
                }
                Ok(_) => {}
                Err(refused) => {
                    outcome.refused = Some(refused);
                    return Ok(outcome);
                }
            }
        }
        // A filter lost on the way has its sentence, too.
        for link in &self.links {
            if let State::Missing(why) = &link.state
                && !outcome.told.iter().any(|(name, _)| *name == link.milter.name)
            {
                outcome.told.push((link.milter.name.clone(), format!("it is taken without it: {why}")));
            }
        }
        outcome.changed = content.finish().await?;
        Ok(outcome)
    }

    /// The client is gone.
    pub async fn quit(self) {
        for link in self.links {
            if let State::Asked(conversation) | State::Passed(conversation) = link.state {
                conversation.quit().await;
            }
        }
    }
}

impl Link {
    async fn sender(&mut self, milters: &Milters, told: Told<'_>, sender: &Sender) -> Result<Verdict, Lost> {
        let mut conversation = match std::mem::replace(&mut self.state, State::Fresh) {
            State::Fresh | State::Missing(_) | State::Down(_) => {
                self.greeted = None;
                Box::new(Conversation::open(&self.milter, &*milters.dial, &milters.clock).await?)
            }
            State::Asked(mut open) | State::Passed(mut open) => {
                // A message that came to nothing; where one came to its end it does no harm.
                open.say(&Command::Abort).await?;
                open
            }
            state @ (State::Trusting | State::Refusing(_)) => {
                self.state = state;
                return Ok(Verdict::Continue);
            }
        };
        let verdict = self.begin(&mut conversation, told, sender).await?;
        self.state = match verdict {
            (true, Verdict::Pass) => State::Trusting,
            (true, Verdict::Refuse(reply)) => State::Refusing(reply),
            (_, verdict) => {
                self.state = State::Asked(conversation);
                return Ok(verdict);
            }
        };
        Ok(Verdict::Continue)
    }

    /// The client where it is not known yet, then the sender; whether the verdict is about the client.
    async fn begin(
        &mut self,
        conversation: &mut Conversation,
        told: Told<'_>,
        sender: &Sender,
    ) -> Result<(bool, Verdict), Lost> {
        let tls = told.client.tls.is_some();
        if self.greeted.is_none() {
            let verdict = tell_client(conversation, told).await?;
            if !matches!(verdict, Verdict::Continue | Verdict::Skip) {
                return Ok((true, verdict));
            }
        }
        if self.greeted.as_ref().is_none_or(|(hello, secured)| hello != told.hello || *secured != tls) {
            let verdict = tell_hello(conversation, told).await?;
            if !matches!(verdict, Verdict::Continue | Verdict::Skip) {
                return Ok((true, verdict));
            }
            self.greeted = Some((told.hello.clone(), tls));
        }
        tell_sender(conversation, told, sender).await.map(|verdict| (false, verdict))
    }

    /// What a lost filter comes to.
    fn judged(&mut self, said: Result<Verdict, Lost>) -> Result<Verdict, Refused> {
        match said {
            Ok(verdict) => match &self.state {
                State::Refusing(reply) => Err(Refused { by: self.milter.name.clone(), reply: reply.clone() }),
                _ => Ok(verdict),
            },
            Err(lost) if self.milter.when_down == WhenDown::Accept => {
                tracing::warn!(
                    milter = self.milter.name,
                    why = lost.0,
                    "a filter does not answer; mail is taken without it"
                );
                self.state = State::Missing(lost.0);
                Ok(Verdict::Continue)
            }
            Err(lost) => Err(self.down(&lost)),
        }
    }

    fn down(&mut self, lost: &Lost) -> Refused {
        tracing::error!(milter = self.milter.name, why = lost.0, "a filter does not answer; mail waits at its senders");
        let reply = Reply::new(451, (4, 7, 1), "A filter of this system does not answer, try again later");
        let refused = Refused { by: format!("{} ({})", self.milter.name, lost.0), reply };
        self.state = State::Down(refused.clone());
        refused
    }

    /// Keeps what a verdict means for what comes.
    fn settle(&mut self, verdict: Verdict) -> Result<Verdict, Refused> {
        match verdict {
            Verdict::Refuse(reply) => Err(Refused { by: self.milter.name.clone(), reply }),
            Verdict::Pass => {
                self.state = match std::mem::replace(&mut self.state, State::Fresh) {
                    State::Asked(conversation) => State::Passed(conversation),
                    state => state,
                };
                Ok(Verdict::Continue)
            }
            verdict => Ok(verdict),
        }
    }
}

async fn tell_client(conversation: &mut Conversation, told: Told<'_>) -> Result<Verdict, Lost> {
    let ip = told.client.ip.to_canonical();
    // No name is looked up for an address; a literal says so, as Sendmail does it.
    let name = format!("[{ip}]");
    conversation
        .macros(
            At::Connect,
            &[
                ("j", told.hostname.to_string()),
                ("{daemon_name}", Door::of(told.client.role).name().to_owned()),
                ("v", "Postrider".to_owned()),
                ("_", format!("{name} [{ip}]")),
                ("{client_addr}", ip.to_string()),
                ("{client_name}", name.clone()),
                ("{client_ptr}", "unknown".to_owned()),
            ],
        )
        .await?;
    // What comes by JMAP has no address.
    let peer = if ip.is_unspecified() { Peer::Unknown } else { Peer::At((ip, 0).into()) };
    conversation.tell(&Command::Connect(name.as_bytes(), peer), steps::NO_CONNECT, steps::MUTE_CONNECT).await
}

async fn tell_hello(conversation: &mut Conversation, told: Told<'_>) -> Result<Verdict, Lost> {
    if let Some(tls) = &told.client.tls {
        let values = [("{tls_version}", tls.version.clone()), ("{cipher}", tls.cipher.clone())];
        conversation.macros(At::Hello, &values).await?;
    }
    let name = if told.hello.name.is_empty() { told.hostname.to_string() } else { told.hello.name.clone() };
    conversation.tell(&Command::Hello(name.as_bytes()), steps::NO_HELLO, steps::MUTE_HELLO).await
}

async fn tell_sender(conversation: &mut Conversation, told: Told<'_>, sender: &Sender) -> Result<Verdict, Lost> {
    let (address, path) = (sender.reverse_path.address(), sender.reverse_path.to_string());
    let mut values = vec![
        ("{mail_addr}", address.map(Address::to_string).unwrap_or_default()),
        ("{mail_host}", address.map(|address| address.domain().to_string()).unwrap_or_default()),
    ];
    if let Identity::Account(_, account) = &told.client.identity {
        // Filters that sign ask whether there is one, not which: that is not kept.
        values.extend([("{auth_type}", "SASL".to_owned()), ("{auth_authen}", account.to_string())]);
    }
    conversation.macros(At::Sender, &values).await?;
    let size = sender.size.map(|size| format!("SIZE={size}"));
    let body = match sender.body {
        BodyType::SevenBit => None,
        BodyType::EightBitMime => Some("BODY=8BITMIME"),
        BodyType::BinaryMime => Some("BODY=BINARYMIME"),
    };
    let mut words = vec![path.as_bytes()];
    words.extend(
        size.as_deref().into_iter().chain(body).chain(sender.smtputf8.then_some("SMTPUTF8")).map(str::as_bytes),
    );
    conversation.tell(&Command::Sender(words), steps::NO_SENDER, steps::MUTE_SENDER).await
}

async fn tell_recipient(conversation: &mut Conversation, recipient: &Recipient) -> Result<Verdict, Lost> {
    let address = &recipient.address;
    let values = [("{rcpt_addr}", address.to_string()), ("{rcpt_host}", address.domain().to_string())];
    conversation.macros(At::Recipient, &values).await?;
    let path = format!("<{address}>");
    conversation.tell(&Command::Recipient(vec![path.as_bytes()]), steps::NO_RECIPIENT, steps::MUTE_RECIPIENT).await
}

/// Why a filter was not heard to its end.
enum Failed {
    Filter(Lost),
    /// When it had begun to change the message.
    Changing(Lost),
    Store(StoreError),
}

impl From<Lost> for Failed {
    fn from(lost: Lost) -> Self {
        Self::Filter(lost)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// One filter that is shown a message.
struct Asked<'a, 'c> {
    name: &'a str,
    conversation: &'a mut Conversation,
    content: &'a mut Content<'c>,
    outcome: &'a mut Outcome,
    milters: &'a Milters,
}

impl Asked<'_, '_> {
    async fn all(mut self, id: QueueId) -> Result<Verdict, Failed> {
        let named = [("i", id.to_string())];
        self.conversation.macros(At::Data, &named).await?;
        let verdict = self.conversation.tell(&Command::Data, steps::NO_DATA, steps::MUTE_DATA).await?;
        if !matches!(verdict, Verdict::Continue | Verdict::Skip) {
            return Ok(verdict);
        }
        for field in &self.content.fields {
            let Some(field) = message::header::Header::alone(field).fields().next() else { continue };
            if field.name().is_empty() {
                continue;
            }
            let value = self.conversation.value(field.raw_value());
            let command = Command::Header(field.name(), &value);
            match self.conversation.tell(&command, steps::NO_HEADERS, steps::MUTE_HEADER).await? {
                Verdict::Continue => {}
                Verdict::Skip => break,
                verdict => return Ok(verdict),
            }
        }
        self.conversation.macros(At::EndOfHeader, &named).await?;
        let command = Command::EndOfHeader;
        let verdict = self.conversation.tell(&command, steps::NO_END_OF_HEADER, steps::MUTE_END_OF_HEADER).await?;
        if !matches!(verdict, Verdict::Continue | Verdict::Skip) {
            return Ok(verdict);
        }
        if let Some(verdict) = self.body().await? {
            return Ok(verdict);
        }
        self.conversation.macros(At::End, &named).await?;
        self.conversation.say(&Command::End(&[])).await?;
        self.end().await
    }

    /// Shows the body; a verdict where the filter has one.
    async fn body(&mut self) -> Result<Option<Verdict>, Failed> {
        let mut at = 0;
        while !self.conversation.has(steps::NO_BODY) {
            let piece = self.content.body(at).await?;
            if piece.is_empty() {
                break;
            }
            at += piece.len() as u64;
            for piece in piece.chunks(CHUNK) {
                match self.conversation.tell(&Command::Body(piece), steps::NO_BODY, steps::MUTE_BODY).await? {
                    Verdict::Continue => {}
                    Verdict::Skip => return Ok(None),
                    verdict => return Ok(Some(verdict)),
                }
            }
        }
        Ok(None)
    }

    /// Hears what it wants changed, up to its last word.
    async fn end(&mut self) -> Result<Verdict, Failed> {
        let (mut at_work, mut changes, mut has_body, mut told) = (false, 0, false, Vec::new());
        let verdict = loop {
            let failed = |lost: Lost, changes| if changes > 0 { Failed::Changing(lost) } else { Failed::Filter(lost) };
            let heard = self.conversation.hear(self.conversation.patience(at_work)).await;
            let packet = heard.map_err(|lost| failed(lost, changes))?;
            let response = Response::read(&packet).map_err(|error| failed(error.into(), changes))?;
            match &response {
                Response::Progress => at_work = true,
                Response::ReplaceBody(piece) if self.conversation.may(actions::CHANGE_BODY) => {
                    if !has_body {
                        self.content.begin_body().await?;
                        told.push("changes the body".to_owned());
                    }
                    (has_body, changes) = (true, changes + usize::from(!has_body));
                    self.content.write_body(piece).await?;
                }
                change => match self.change(change) {
                    Some(sentence) if changes < limits::MILTER_CHANGES => {
                        changes += 1;
                        told.push(sentence);
                    }
                    Some(_) => return Err(failed(Lost("it wants too many changes".into()), changes)),
                    None => break verdict(&response).map_err(|lost| failed(lost, changes))?,
                },
            }
        };
        if has_body {
            self.content.end_body().await?;
        }
        let sentence = if told.is_empty() { "lets it pass as it is".to_owned() } else { told.join("; ") };
        let words = sentence.chars().take(limits::REMOTE_WORDS).collect();
        if matches!(verdict, Verdict::Continue | Verdict::Pass | Verdict::Skip) {
            self.outcome.told.push((self.name.to_owned(), words));
        }
        Ok(verdict)
    }
    /// Makes a change; what the journey says of it. None: it is no change, but the last word.
    fn change(&mut self, response: &Response<'_>) -> Option<String> {
        let shown = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        let may = |action| self.conversation.may(action);
        let has_space = self.conversation.has(steps::LEADING_SPACE);
        Some(match response {
            Response::AddHeader(name, _) | Response::InsertHeader(_, name, _) | Response::ChangeHeader(_, name, _)
                if !is_name(name) =>
            {
                "wants a field whose name is none, which is left out".to_owned()
            }
            Response::AddHeader(name, value) if may(actions::ADD_HEADERS) => {
                self.look(name, value);
                self.content.insert(usize::MAX, name, value, has_space);
                format!("adds {}", shown(name))
            }
            // Places are counted with our own Received, which no filter sees: 0 and 1 are below it.
            Response::InsertHeader(index, name, value) if may(actions::ADD_HEADERS) => {
                self.look(name, value);
                let place = usize::try_from(index.saturating_sub(1)).unwrap_or(usize::MAX);
                self.content.insert(place, name, value, has_space);
                format!("adds {}", shown(name))
            }
            Response::ChangeHeader(index, name, value) if may(actions::CHANGE_HEADERS) => {
                self.look(name, value);
                let n = usize::try_from(*index).unwrap_or(usize::MAX);
                format!("{} {}", self.content.change(n, name, value, has_space), shown(name))
            }
            Response::AddRecipient(said, parameters)
                if may(if parameters.is_some() { actions::ADD_RECIPIENTS_WITH } else { actions::ADD_RECIPIENTS }) =>
            {
                match address(said) {
                    Some(address) => {
                        let sentence = format!("adds the recipient <{address}>");
                        self.outcome.deleted.retain(|deleted| *deleted != address);
                        self.outcome.added.push(address);
                        sentence
                    }
                    None => format!("wants the recipient {}, which is no address", shown(said)),
                }
            }
            Response::DeleteRecipient(said) if may(actions::DELETE_RECIPIENTS) => match address(said) {
                Some(address) => {
                    let sentence = format!("takes the recipient <{address}> away");
                    self.outcome.added.retain(|added| *added != address);
                    self.outcome.deleted.push(address);
                    sentence
                }
                None => format!("wants {} away, which is no address", shown(said)),
            },
            Response::ChangeSender(said, _) if may(actions::CHANGE_SENDER) => match (*said, address(said)) {
                (b"<>" | b"", _) => {
                    self.outcome.sender = Some(ReversePath::Null);
                    "takes the sender away".to_owned()
                }
                (_, Some(address)) => {
                    let sentence = format!("makes <{address}> the sender");
                    self.outcome.sender = Some(ReversePath::Address(address));
                    sentence
                }
                (_, None) => format!("wants the sender {}, which is no address", shown(said)),
            },
            Response::Quarantine(why) if may(actions::QUARANTINE) => {
                let why = shown(why);
                self.outcome.quarantined = Some(self.name.to_owned());
                format!("wants it kept back: {why}")
            }
            _ => return None,
        })
    }

    fn look(&mut self, name: &[u8], value: &[u8]) {
        self.outcome.junk |= self.milters.junk.fits(name, value);
    }
}

/// An address as filters write it, in brackets or not.
fn address(said: &[u8]) -> Option<Address> {
    let said = std::str::from_utf8(said).ok()?.trim();
    let said = said.strip_prefix('<').and_then(|said| said.strip_suffix('>')).unwrap_or(said);
    let (local, domain) = said.rsplit_once('@')?;
    Address::new(local, Domain::from_ascii(domain).ok()?).ok()
}
