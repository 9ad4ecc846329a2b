//! By what somebody was let in, and whether that is still good: for what goes on long after the log-in.

use mail::{AccountId, Timestamp};
use store::{Account, AccountState, Credential, PasswordHash, Scopes, StoreResult, Token, TokenHash};

use super::{Auth, needs_more};

/// What proved who somebody is.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The account's own password, as it was kept then.
    Password(PasswordHash),
    /// A session or an app password.
    Token {
        /// By which it is found.
        hash: TokenHash,
        /// Where it may be used.
        scopes: Scopes,
    },
}

impl Proof {
    pub(super) fn of_password(account: &Account) -> Self {
        Self::Password(account.password.clone())
    }

    /// A token.
    pub fn of_token(token: &Token) -> Self {
        Self::Token { hash: token.hash, scopes: token.scopes }
    }

    /// What it is to the store: who acts by it has what was made by it.
    pub fn credential(&self) -> Credential {
        match self {
            Self::Password(password) => Credential::Password(password.clone()),
            Self::Token { hash, .. } => Credential::Token(*hash),
        }
    }

    /// The proof of who made something by this, to go on in his name; to be asked of [`Auth::holds`].
    pub(crate) fn of_credential(credential: Credential) -> Self {
        match credential {
            Credential::Password(password) => Self::Password(password),
            Credential::Token(hash) => Self::Token { hash, scopes: Scopes::JMAP },
        }
    }

    /// Whether it is good for this, too.
    pub const fn is_for(&self, scope: Scopes) -> bool {
        match self {
            Self::Password(_) => true,
            Self::Token { scopes, .. } => scopes.has(scope),
        }
    }
}

/// A proof that is good now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holds {
    /// Then it is to be looked at again; none: only when something is said to have changed.
    pub until: Option<Timestamp>,
}

impl Auth {
    /// Whether somebody who was let in by this would still be; `None`: no.
    pub async fn holds(&self, account: AccountId, proof: &Proof) -> StoreResult<Option<Holds>> {
        let account = self.store.account(account).await?.filter(|account| account.state == AccountState::Active);
        let Some(account) = account else { return Ok(None) };
        match proof {
            Proof::Password(kept) => {
                Ok((account.password == *kept && !needs_more(&account)).then_some(Holds { until: None }))
            }
            Proof::Token { hash, .. } => {
                let now = self.clock.now();
                let token = self.store.token(hash).await?.filter(|token| !token.is_over(now));
                Ok(token.map(|token| Holds { until: token.end() }))
            }
        }
    }
}
