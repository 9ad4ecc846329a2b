//! The filters (RFC 5228) of those who receive.
//!
//! **Does:** runs the active script of an account on the copy that comes to it, and answers what it asks for: mailboxes, included
//! scripts, marks of earlier messages. What it says is done with the acceptance ([`crate::accept`]), in the same commit.
//!
//! **Does not:** cost anything where no recipient has a script, nor run on the threads that serve sockets. What is held back
//! when it is taken (RFC 4865) goes to INBOX later, whatever a script says.
//!
//! **Data** comes in as a copy and the message that is looked at; it leaves as [`Sorted`] in the copy's [`Filing`]. Where a script
//! fails, or can't be read, the copy is kept and the journey says why.

pub(crate) mod notice;

use std::sync::Arc;

use async_trait::async_trait;
use mail::{AccountId, limits};
use message::header::Header;
use sieve::{CompileError, Included, Location, Mailbox, Octets, Outcome, Question, Script, World};
use store::{Event, SpecialUse, Store, StoreError, StoreResult, What};

use crate::accept::Identity;
use crate::accept::inspect::{Filing, Filter, Inspection, LocalCopy};

/// What a script says of a copy.
#[derive(Clone, Debug)]
pub struct Sorted {
    /// The script's name.
    pub script: String,
    /// What it says.
    pub outcome: Outcome,
    /// The header that it saw.
    pub header: Vec<u8>,
}

impl Sorted {
    /// With which words it gives the message back, if it does.
    pub(crate) fn rejected(&self) -> Option<&str> {
        self.outcome.done.iter().find_map(|done| match &done.action {
            sieve::Action::Reject { reason } => Some(reason.as_str()),
            _ => None,
        })
    }
}

/// As the journey names a script, and a line of it where there is one.
pub(crate) fn named(script: &str, line: u32) -> String {
    if line == 0 { format!("sieve “{script}”") } else { format!("sieve “{script}”, line {line}") }
}

/// A script that is ready to run.
#[derive(Clone, Debug)]
pub struct Ready {
    name: String,
    text: String,
    script: Arc<Script>,
}

impl Ready {
    /// Compiles it.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn new(name: String, text: String) -> Result<Self, CompileError> {
        let script = Arc::new(Script::compile(&text)?);
        Ok(Self { name, text, script })
    }
}

/// What says the same does the same.
impl PartialEq for Ready {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.text) == (&other.name, &other.text)
    }
}

impl Eq for Ready {}

/// Scripts of the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Everybody {
    /// Run before each account's own, which runs where they leave the message to be kept.
    pub before: Vec<Ready>,
    /// Run after it, likewise.
    pub after: Vec<Ready>,
    /// Those that `include :global` finds (RFC 6609 §3.2).
    pub global: Vec<Ready>,
}

/// Runs the scripts of accounts, and those for everybody.
pub struct Scripts {
    store: Arc<dyn Store>,
    everybody: Arc<Everybody>,
}

#[async_trait]
impl Filter for Scripts {
    async fn file(&self, copy: &LocalCopy<'_>, inspection: &Inspection<'_>, mut filing: Filing) -> Filing {
        let Everybody { before, after, .. } = &*self.everybody;
        let first = before.first().or(after.first()).map(|ready| ready.name.as_str());
        let is_held = inspection.envelope.release_at(inspection.at).is_some();
        let Some(script) = copy.script.or(first).filter(|_| !is_held) else { return filing };
        let told = |words: String| {
            let (account, rule) = (copy.address.to_string(), named(script, 0));
            let what = What::Sorted { account, rule, words };
            Event::about(inspection.at, copy.recipient.address.to_string(), what)
        };
        match self.run(copy, inspection, &filing).await {
            Ok((outcome, header)) => {
                if let Some(error) = &outcome.error {
                    let what = What::Sorted {
                        account: copy.address.to_string(),
                        rule: named(&error.script, error.line),
                        words: format!("fails: {}; it is kept", error.words),
                    };
                    filing.events.push(Event::about(inspection.at, copy.recipient.address.to_string(), what));
                }
                filing.sorted = Some(Box::new(Sorted { script: script.to_owned(), outcome, header }));
            }
            Err(why) => filing.events.push(told(format!("can't be run: {why}; it is kept"))),
        }
        filing
    }
}

impl Scripts {
    /// Of a store's accounts, with these for everybody.
    pub const fn new(store: Arc<dyn Store>, everybody: Arc<Everybody>) -> Self {
        Self { store, everybody }
    }

    /// What the scripts say, and the header that they saw.
    async fn run(
        &self,
        copy: &LocalCopy<'_>,
        inspection: &Inspection<'_>,
        filing: &Filing,
    ) -> Result<(Outcome, Vec<u8>), String> {
        let failed = |error: StoreError| error.to_string();
        let own = match copy.script {
            None => None,
            Some(name) => {
                let found = self.store.script(copy.account, name).await.map_err(failed)?;
                let text = found.ok_or_else(|| StoreError::NotFound(format!("the script “{name}”")).to_string())?;
                let name = name.to_owned();
                let compiled = tokio::task::spawn_blocking(move || Ready::new(name, text));
                let compiled = compiled.await.map_err(|error| error.to_string())?;
                Some(compiled.map_err(|why| why.to_string())?)
            }
        };
        let Everybody { before, after, .. } = &*self.everybody;
        let scripts: Arc<Vec<Ready>> =
            Arc::new(before.iter().cloned().chain(own).chain(after.iter().cloned()).collect());
        let mut world = self.world(copy, inspection, filing).await.map_err(failed)?;
        // As it is stored: what was found is on top.
        let top = &inspection.findings.top;
        let mut front = top.clone();
        front.extend_from_slice(&inspection.message[..inspection.message.len().min(limits::SIEVE_BODY_LEN)]);
        let size = (top.len() + inspection.message.len()) as u64;
        let front = Arc::new(front);
        loop {
            let (seen, scripts, asked) = (front.clone(), scripts.clone(), world.clone());
            let ran = tokio::task::spawn_blocking(move || {
                let all: Vec<(&str, &Script)> = scripts.iter().map(|one| (one.name.as_str(), &*one.script)).collect();
                sieve::run(&all, &Octets::new(&seen, size), &asked, false)
            });
            // Each question is answered once, and a run asks a bounded number of them (`SIEVE_MARKS`, `SIEVE_INCLUDES`).
            match ran.await.map_err(|error| error.to_string())? {
                Ok(outcome) => return Ok((outcome, Header::of(&front).bytes().to_vec())),
                Err(question) => self.answer(copy.account, question, &mut world).await.map_err(failed)?,
            }
        }
    }

    async fn answer(&self, account: AccountId, question: Question, world: &mut World) -> StoreResult<()> {
        match question {
            Question::Seen(mark) => {
                let found = self.store.marked_before(account, vec![message_mark(&mark)], world.now).await?;
                world.seen.insert(mark, !found.is_empty());
            }
            Question::Script(location, name) => {
                let included: Included = match location {
                    Location::Personal => match self.store.script(account, &name).await? {
                        Some(text) => {
                            let compiled = tokio::task::spawn_blocking(move || Script::compile(&text));
                            let compiled = compiled.await.map_err(|error| StoreError::Failed(error.to_string()))?;
                            Some(compiled.map(Arc::new).map_err(|why| why.to_string()))
                        }
                        None => None,
                    },
                    Location::Global => {
                        let found = self.everybody.global.iter().find(|ready| ready.name == name);
                        found.map(|ready| Ok(ready.script.clone()))
                    }
                };
                world.scripts.insert((location, name), included);
            }
        }
        Ok(())
    }

    async fn world(&self, copy: &LocalCopy<'_>, inspection: &Inspection<'_>, filing: &Filing) -> StoreResult<World> {
        let sender = inspection.envelope.reverse_path.clone();
        let recipient = copy.recipient.address.to_string();
        let mut world = World::new(inspection.at, sender, recipient).on(copy.address.domain().as_str());
        if let Identity::Account(_, address) = &inspection.client.identity {
            world.account = Some(address.to_string());
        }
        let ip = inspection.client.ip.to_string();
        world.environment.insert("remote-ip".to_owned(), ip);
        let mailboxes = self.store.mailboxes(copy.account).await?;
        world.mailboxes = mailboxes
            .into_iter()
            .filter(|mailbox| mailbox.id.is_some())
            .map(|mailbox| Mailbox { name: mailbox.name, special_use: mailbox.special_use.and_then(attribute) })
            .collect();
        let judged = filing.events.iter().rev().find_map(|event| match &event.what {
            What::Judged { percent, .. } => Some(*percent),
            _ => None,
        });
        world.spam = judged.or(filing.mailbox.is_some().then_some(100));
        Ok(world)
    }
}

/// As the store remembers the mark of a message.
pub(crate) fn message_mark(mark: &str) -> String {
    format!("message {mark}")
}

fn attribute(special_use: SpecialUse) -> Option<String> {
    SpecialUse::ALL.iter().find(|(other, ..)| *other == special_use).map(|(_, attribute, _)| (*attribute).to_owned())
}
