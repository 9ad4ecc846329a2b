//! Filters (RFC 5228) that accounts have: texts by name, of which one at most is active. What a script says is nothing to a store:
//! who puts one has compiled it.

use async_trait::async_trait;
use mail::{AccountId, Durable, ModSeq, ScriptId, Timestamp};

use crate::{StoreError, StoreResult};

/// A script of an account, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptInfo {
    /// Never used again.
    pub id: ScriptId,
    /// What its owner calls it.
    pub name: String,
    /// Octets of its text.
    pub size: usize,
    /// Whether deliveries run it.
    pub active: bool,
    /// When its text was set last.
    pub changed: ModSeq,
}

/// The scripts of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptList {
    /// By name.
    pub scripts: Vec<ScriptInfo>,
    /// When any of them changed last; 0: never.
    pub state: ModSeq,
}

/// What is done to an account's scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptChange {
    /// Its text is this from now on; one that is not there is made. `Limit`: it is too long, or there are as many as may be.
    Put(String, String),
    /// It has another name. `Exists`: another script has that.
    Rename(String, String),
    /// It is the active one.
    Activate(String),
    /// None is active.
    Deactivate,
    /// It goes. `ScriptActive`: it is the active one.
    Remove(String),
}

/// What is remembered of a message or a person for a while, so that something happens once (RFC 5230 §4.2, RFC 7352).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whose script it is.
    pub account: AccountId,
    /// What.
    pub mark: String,
    /// Until when.
    pub until: Timestamp,
}

/// The scripts. An engine that keeps none says that there are none.
#[async_trait]
pub trait Scripts: Send + Sync {
    /// Those of an account.
    async fn scripts(&self, _account: AccountId) -> StoreResult<ScriptList> {
        Ok(ScriptList::default())
    }

    /// The text of one.
    async fn script(&self, _account: AccountId, _name: &str) -> StoreResult<Option<String>> {
        Ok(None)
    }

    /// Changes them: all of it, in this order, or nothing. Returns the new [`ScriptList::state`]. `NotFound`: no script has the name.
    async fn change_scripts(&self, _account: AccountId, _changes: Vec<ScriptChange>) -> StoreResult<Durable<ModSeq>> {
        Err(StoreError::Limit("SIEVE_SCRIPTS"))
    }

    /// Those of these marks that are remembered.
    async fn marked_before(
        &self,
        _account: AccountId,
        _marks: Vec<String>,
        _now: Timestamp,
    ) -> StoreResult<Vec<String>> {
        Ok(Vec::new())
    }
}
