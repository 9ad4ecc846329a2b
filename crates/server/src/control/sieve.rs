//! The operator's commands on the filters of accounts.

use mail::Address;
use serde::{Deserialize, Serialize};
use sieve::Script;
use store::{ScriptChange, StoreError};

use super::execute::{Answer, Context, Failure, account, answer};

/// What is done to the filters of an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScriptAct {
    /// Answers a list of [`ScriptView`], by name.
    List,
    /// Answers the text.
    Show(String),
    /// Keeps a script that can be compiled, in the place of the one of that name. Answers null.
    Put {
        /// Its name.
        name: String,
        /// What it says.
        text: String,
        /// Deliveries run it from now on.
        activate: bool,
    },
    /// Deliveries run it from now on. Answers null.
    Activate(String),
    /// Deliveries run none from now on. Answers null.
    Deactivate,
    /// Takes it away, unless it is the active one. Answers null.
    Remove(String),
}

impl ScriptAct {
    /// Whether it changes anything.
    pub(super) const fn changes(&self) -> bool {
        !matches!(self, Self::List | Self::Show(_))
    }

    /// The same without what scripts say, which is their owner's.
    pub(super) fn named(&self) -> String {
        match self {
            Self::List => "list".to_owned(),
            Self::Show(name) => format!("show {name}"),
            Self::Put { name, activate: false, .. } => format!("put {name}"),
            Self::Put { name, activate: true, .. } => format!("put and activate {name}"),
            Self::Activate(name) => format!("activate {name}"),
            Self::Deactivate => "deactivate".to_owned(),
            Self::Remove(name) => format!("remove {name}"),
        }
    }
}

/// A script in a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScriptView {
    /// Its name.
    pub name: String,
    /// Octets.
    pub size: usize,
    /// Whether deliveries run it.
    pub active: bool,
}

pub(super) async fn act(context: &Context, address: &Address, act: ScriptAct) -> Answer {
    let store = &context.store;
    let id = account(context, address).await?.id;
    let changes = match act {
        ScriptAct::List => {
            let list = store.scripts(id).await?.scripts.into_iter();
            let view = list.map(|script| ScriptView { name: script.name, size: script.size, active: script.active });
            return answer(&view.collect::<Vec<_>>());
        }
        ScriptAct::Show(name) => {
            let text = store.script(id, &name).await?;
            return answer(&text.ok_or_else(|| StoreError::NotFound(format!("the script “{name}”")))?);
        }
        ScriptAct::Put { name, text, activate } => {
            let compiled = Script::compile(&text);
            compiled.map_err(|why| Failure::Words(format!("the script is not kept: {name}, {why}")))?;
            let activation = activate.then(|| ScriptChange::Activate(name.clone()));
            [ScriptChange::Put(name, text)].into_iter().chain(activation).collect()
        }
        ScriptAct::Activate(name) => vec![ScriptChange::Activate(name)],
        ScriptAct::Deactivate => vec![ScriptChange::Deactivate],
        ScriptAct::Remove(name) => vec![ScriptChange::Remove(name)],
    };
    let _ = store.change_scripts(id, changes).await?;
    answer(&())
}
