//! The operator's commands on the keys with which domains sign.

use mail::Domain;
use serde::{Deserialize, Serialize};
use store::{KeyChange, KeyState, SigningKey};
use trust::dkim::key;

use super::execute::{Answer, Context, Failure, answer, no_domain};
use crate::dns::Resolver;
use crate::signing::{algorithm, new_keys};

/// What is done to the keys of a domain.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAct {
    /// Answers a list of [`KeyView`], of one domain or of all.
    List,
    /// New keys, one of each kind, which sign from now on where none does, and else wait for their records. Answers a list of them.
    Rotate,
    /// Those that wait sign from now on, and those that signed are retired. `force`: without a look at DNS.
    /// Answers a list of all.
    Activate {
        /// Without a look at DNS.
        force: bool,
    },
    /// It signs no more; its record stays for what is under way. Answers a list of all.
    Retire(String),
    /// Takes away one that does not sign. Answers a list of all.
    Remove(String),
}

/// A key in a list, and how it is published.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyView {
    /// Whose.
    pub domain: String,
    /// Its name.
    pub selector: String,
    /// `rsa`, `ed25519`.
    pub kind: String,
    /// `waiting`, `signing`, `retired`.
    pub state: String,
    /// Since when it is that, in milliseconds since 1970.
    pub since: i64,
    /// The name of its record.
    pub name: String,
    /// Its record, of type TXT.
    pub record: String,
    /// The same as a line of a zone file.
    pub line: String,
}

pub(super) async fn act(context: &Context, domain: Option<&Domain>, act: KeyAct) -> Answer {
    let store = &context.store;
    let Some(domain) = domain else {
        let mut all = Vec::new();
        for record in store.domains().await? {
            all.extend(store.signing_keys(&record.domain).await?.iter().filter_map(view));
        }
        return answer(&all);
    };
    if store.domain(domain).await?.is_none() {
        return Err(no_domain(domain));
    }
    let keys = store.signing_keys(domain).await?;
    let now = context.clock.now();
    let changes = match act {
        KeyAct::List => return answer(&keys.iter().filter_map(view).collect::<Vec<_>>()),
        KeyAct::Rotate => return rotate(context, domain).await,
        KeyAct::Activate { force } => {
            if !force {
                published(context, &keys).await?;
            }
            activated(&keys).ok_or_else(|| {
                Failure::Words(format!(
                    "no key of {domain} waits: make new ones with \"postrider dkim rotate {domain}\""
                ))
            })?
        }
        KeyAct::Retire(selector) => {
            if keys.iter().any(|key| key.selector == selector && key.state == KeyState::Retired) {
                return Err(Failure::Words(format!("the key {selector} is retired already")));
            }
            vec![KeyChange::State(selector, KeyState::Retired)]
        }
        KeyAct::Remove(selector) => {
            if keys.iter().any(|key| key.selector == selector && key.state == KeyState::Signing) {
                let words = format!("mail is signed with {selector}: retire it first, and remove it a week later");
                return Err(Failure::Words(words));
            }
            vec![KeyChange::Remove(selector)]
        }
    };
    let _ = store.change_signing_keys(domain.clone(), changes, now).await?;
    answer(&store.signing_keys(domain).await?.iter().filter_map(view).collect::<Vec<_>>())
}

/// New keys of each kind.
pub(super) async fn rotate(context: &Context, domain: &Domain) -> Answer {
    let keys = context.store.signing_keys(domain).await?;
    let now = context.clock.now();
    if let Some(waiting) = keys.iter().find(|key| key.state == KeyState::Waiting) {
        return Err(Failure::Words(format!(
            "the key {} of {domain} still waits: sign with it (\"postrider dkim activate {domain}\"), or remove it",
            waiting.selector
        )));
    }
    let before = keys.clone();
    let changes = tokio::task::spawn_blocking(move || new_keys(&before, now)).await;
    let changes = changes.map_err(|error| Failure::Words(error.to_string()))?.map_err(Failure::Words)?;
    let _ = context.store.change_signing_keys(domain.clone(), changes, now).await?;
    let all = context.store.signing_keys(domain).await?;
    let is_new = |key: &&SigningKey| keys.iter().all(|old| old.id != key.id);
    answer(&all.iter().filter(is_new).filter_map(view).collect::<Vec<_>>())
}

/// What is changed so that those that wait sign; `None`: none waits.
fn activated(keys: &[SigningKey]) -> Option<Vec<KeyChange>> {
    let of = |state| keys.iter().filter(move |key| key.state == state);
    of(KeyState::Waiting).next()?;
    let retired = of(KeyState::Signing).map(|key| KeyChange::State(key.selector.clone(), KeyState::Retired));
    let signing = of(KeyState::Waiting).map(|key| KeyChange::State(key.selector.clone(), KeyState::Signing));
    Some(retired.chain(signing).collect())
}

/// Whether the records of those that wait are in DNS.
async fn published(context: &Context, keys: &[SigningKey]) -> Result<(), Failure> {
    let resolver = Resolver::new(&(context.settings)().relay.dns).map_err(Failure::Words)?;
    for view in keys.iter().filter(|key| key.state == KeyState::Waiting).filter_map(view) {
        let KeyView { name, record, line, .. } = &view;
        let said = resolver.written(name, ::doctor::Kind::Txt).await;
        let there = match &said {
            mta::world::Answer::Found(records, _) => records.iter().any(|found| p(found) == p(record)),
            _ => false,
        };
        if !there {
            return Err(Failure::Words(format!(
                "{name} is not in DNS yet, so what it signs would be taken for forged. Put this there, and try again later \
                 (or with --force):\n{line}"
            )));
        }
    }
    Ok(())
}

/// The key in a record; blanks within it do not matter (RFC 6376 §3.2).
fn p(record: &str) -> Option<String> {
    let tags = record.split(';').filter_map(|tag| tag.split_once('='));
    let mut keys = tags.filter(|(name, _)| name.trim() == "p");
    keys.next().map(|(_, key)| key.chars().filter(|c| !c.is_whitespace()).collect())
}

fn view(one: &SigningKey) -> Option<KeyView> {
    let algorithm = algorithm(one.kind);
    // A key that is none has no record, and signs nothing.
    let record = key::record(algorithm, &one.private.0).ok()?;
    let name = key::name(&one.selector, one.domain.as_str());
    let state = match one.state {
        KeyState::Waiting => "waiting",
        KeyState::Signing => "signing",
        KeyState::Retired => "retired",
    };
    let line = ::doctor::Record { name: name.clone(), kind: ::doctor::Kind::Txt, value: record.clone() }.line();
    Some(KeyView {
        domain: one.domain.to_string(),
        selector: one.selector.clone(),
        kind: algorithm.word().to_owned(),
        state: state.to_owned(),
        since: one.since.millis(),
        name,
        record,
        line,
    })
}

/// Names and values of the records that a domain's keys need.
pub fn records(keys: &[SigningKey]) -> Vec<(String, String)> {
    keys.iter().filter_map(view).map(|view| (view.name, view.record)).collect()
}

impl KeyAct {
    /// Whether it changes anything.
    pub(super) const fn changes(&self) -> bool {
        !matches!(self, Self::List)
    }
}
