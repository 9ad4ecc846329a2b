//! Passkeys of accounts: made in a session, and good for a log-in without password and code. The device has asked its owner
//! for a PIN, a finger or a face, so that one passkey is both factors: something he has, and something he knows or is.

use std::net::IpAddr;

use mail::{AccountId, Durable, Timestamp, TokenId};
use sha2::{Digest, Sha256};
use store::{Account, AccountState, NewToken, Scopes, Store, StoreError, StoreResult, Token, TokenHash, TokenKind};

use super::challenges::{Occasion, Taken};
use super::failures::Leave;
use super::web::short;
use super::{Auth, LoginError};
use crate::listen::network_of;
use crate::passkey::{self, Refusal, RelyingParty};

/// What a browser says at a log-in by a passkey.
#[derive(Clone, Debug)]
pub struct PasskeySaid {
    /// The credential id.
    pub id: Vec<u8>,
    /// `clientDataJSON`
    pub client_data: Vec<u8>,
    /// `authenticatorData`
    pub authenticator_data: Vec<u8>,
    /// `signature`
    pub signature: Vec<u8>,
    /// `userHandle`: whose the device says that it is.
    pub user_handle: Vec<u8>,
}

/// Why there is no new passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasskeyError {
    /// What the browser said.
    Refused(Refusal),
    /// The store.
    Store(StoreError),
}

impl From<StoreError> for PasskeyError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// By which an account's devices know it (WebAuthn Level 3 §14.6.1: it says nothing about its owner): of what never changes and no
/// other account has, so that nothing is to be kept.
pub fn user_handle(account: &Account) -> [u8; 32] {
    let digest = Sha256::new_with_prefix(b"postrider passkeys");
    digest
        .chain_update(account.id.0.to_be_bytes())
        .chain_update(account.created.millis().to_be_bytes())
        .finalize()
        .into()
}

/// By which a passkey is found.
fn found_by(credential: &[u8]) -> TokenHash {
    TokenHash(Sha256::digest(credential).into())
}

/// Takes a passkey away, and ends the account's sessions but `stays`: one of them may be whoever's has the device now.
pub async fn take_away(
    store: &dyn Store,
    account: AccountId,
    id: TokenId,
    stays: Option<TokenId>,
) -> StoreResult<Durable<()>> {
    let gone = store.remove_token(account, TokenKind::Passkey, id).await?;
    for session in store.tokens(account, TokenKind::Session).await? {
        if Some(session.id) != stays {
            match store.remove_token(account, TokenKind::Session, session.id).await {
                // It ended by itself meanwhile.
                Ok(_) | Err(StoreError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(gone)
}

impl Auth {
    /// A challenge to sign, good for some minutes and once.
    pub fn passkey_challenge(&self, occasion: Occasion) -> Vec<u8> {
        self.challenges.make(occasion, self.clock.now())
    }

    /// Keeps a passkey that a browser made in this session: `clientDataJSON` and `attestationObject`.
    pub async fn add_passkey(
        &self,
        token: &Token,
        name: &str,
        site: &RelyingParty,
        client_data: &[u8],
        attestation: &[u8],
    ) -> Result<TokenId, PasskeyError> {
        let now = self.clock.now();
        let made = passkey::registered(site, client_data, attestation).map_err(PasskeyError::Refused)?;
        if self.challenges.take(&made.challenge, Occasion::Register(token.id), token.account, now) != Taken::Good {
            return Err(PasskeyError::Refused(Refusal::Challenge));
        }
        let new = NewToken {
            account: token.account,
            kind: TokenKind::Passkey,
            hash: found_by(&made.passkey.credential),
            name: short(name),
            scopes: Scopes::MAIL,
            expires: None,
            from: String::new(),
            passkey: Some(made.passkey),
        };
        Ok(self.store.add_token(new, now).await?.into_inner())
    }

    /// Whose log-in a passkey signed. It counts as password and second factor. Who it is says the passkey alone, so nobody learns who
    /// has an account; what is wrong is told to nobody but the log.
    pub async fn passkey(
        &self,
        peer: IpAddr,
        site: &RelyingParty,
        said: &PasskeySaid,
        most_failures: usize,
    ) -> Result<Account, LoginError> {
        let now = self.clock.now();
        let hash = found_by(&said.id);
        let found = self.of_passkey(&hash).await.map_err(LoginError::Store)?;
        // What is no passkey of ours counts by its id, as a name that is nobody's does.
        let who = found.as_ref().map_or_else(
            || hash.0[..8].iter().map(|octet| format!("{octet:02x}")).collect(),
            |(account, _)| account.address.to_string(),
        );
        if self.leave(peer, &who, most_failures, now) != Leave::Full {
            self.failed(peer, &who, most_failures, now);
            return Err(LoginError::Wait);
        }
        let answer = self.has_signed(found, site, said, (peer, now)).await;
        match &answer {
            Ok(_) => self.failures.forgive(network_of(peer)),
            Err(LoginError::Refused) => self.failed(peer, &who, most_failures, now),
            // It is nobody's fault.
            Err(LoginError::Wait | LoginError::Store(_)) => {}
        }
        answer
    }

    /// A passkey, with its account where that may be used.
    async fn of_passkey(&self, hash: &TokenHash) -> StoreResult<Option<(Account, Token)>> {
        let token = self.store.token(hash).await?.filter(|token| token.kind == TokenKind::Passkey);
        let Some(token) = token else { return Ok(None) };
        let account = self.store.account(token.account).await?;
        Ok(account.filter(|account| account.state == AccountState::Active).map(|account| (account, token)))
    }

    async fn has_signed(
        &self,
        found: Option<(Account, Token)>,
        site: &RelyingParty,
        said: &PasskeySaid,
        (peer, now): (IpAddr, Timestamp),
    ) -> Result<Account, LoginError> {
        let Some((account, Token { id, passkey: Some(passkey), .. })) = found else {
            tracing::info!(%peer, "a passkey was not taken: no active account has it");
            return Err(LoginError::Refused);
        };
        let refused = |refusal: Refusal| {
            tracing::info!(user = %account.address, passkey = id.0, %refusal, "a passkey was not taken");
            LoginError::Refused
        };
        // WebAuthn Level 3 §7.2: the passkey must be of the account that the device says.
        if said.user_handle != user_handle(&account) {
            return Err(refused(Refusal::UserHandle));
        }
        let PasskeySaid { client_data, authenticator_data, signature, .. } = said;
        let signed =
            passkey::signed(site, &passkey.key, client_data, authenticator_data, signature).map_err(refused)?;
        // Only now, so that nobody but owners of passkeys fills the table.
        match self.challenges.take(&signed.challenge, Occasion::LogIn, account.id, now) {
            Taken::Good => {}
            Taken::NotGood => return Err(refused(Refusal::Challenge)),
            Taken::Full => return Err(LoginError::Wait),
        }
        let used = self.store.use_passkey(id, signed.counter, now, &peer.to_string()).await;
        if !used.map_err(LoginError::Store)?.into_inner() {
            return Err(refused(Refusal::Counter));
        }
        tracing::info!(user = %account.address, passkey = id.0, "a passkey logged in");
        Ok(account)
    }
}
