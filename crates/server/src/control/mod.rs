//! The operator's commands on a system: the same code whether the server runs or not.
//!
//! Does: says what an operator may ask ([`Request`]), does it on a store ([`execute`]), and carries it over a Unix
//! socket in the data directory where a server runs ([`serve`], [`ask`]). Does not: parse command lines or print.
//!
//! One line of JSON comes in, one goes out: `{"ok": …}` or `{"error": "a sentence"}`.

mod audit;
mod dkim;
mod execute;
mod queue;
mod rehearse;
mod sieve;
mod socket;
mod submit;
mod view;

use mail::{Address, Domain, QueueId};
use serde::{Deserialize, Serialize};

pub use dkim::{KeyAct, KeyView, records as key_records};
pub use execute::{Context, execute};
pub use queue::{QueueAction, QueueFilter};
pub use sieve::{ScriptAct, ScriptView};
pub use socket::{ControlSocket, ask, hand_in, serve};
pub use submit::{Submission, submit};
pub use view::{
    AccountView, AliasView, AppPasswordMade, AppPasswordView, AttemptView, CheckView, DestinationView, FindingView,
    PasskeyView, QueueActed, QueueRecipientView, QueueView, RouteView, StepView,
};

/// What an operator asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// Makes a domain ours. Answers null.
    DomainAdd {
        /// Which.
        #[serde(with = "view::text")]
        domain: Domain,
        /// Of ours, for which it stands: each address is the one of the same name there.
        #[serde(default, with = "view::maybe_text", skip_serializing_if = "Option::is_none")]
        same_as: Option<Domain>,
    },
    /// Answers a list of names.
    DomainList,
    /// Forgets a domain. Answers null.
    DomainRemove {
        /// Which.
        #[serde(with = "view::text")]
        domain: Domain,
    },
    /// Makes an account; the first of a domain gets its postmaster and abuse (RFC 2142). Answers null.
    AccountAdd {
        /// Log-in name.
        #[serde(with = "view::text")]
        address: Address,
        /// Its password, in the clear: the socket is its owner's alone.
        password: Secret,
        /// Octets.
        quota: Option<u64>,
        /// Keep SCRAM keys.
        scram: bool,
    },
    /// Answers a list of [`AccountView`].
    AccountList,
    /// Answers an [`AccountView`].
    AccountShow {
        /// Whose.
        #[serde(with = "view::text")]
        address: Address,
    },
    /// Sets a password, a quota or both. Answers null.
    AccountPassword {
        /// Whose.
        #[serde(with = "view::text")]
        address: Address,
        /// The new one.
        password: Secret,
        /// Keep SCRAM keys; none: as before.
        scram: Option<bool>,
    },
    /// Sets or lifts a quota. Answers null.
    AccountQuota {
        /// Whose.
        #[serde(with = "view::text")]
        address: Address,
        /// Octets; none: no quota.
        quota: Option<u64>,
    },
    /// Disables or enables. Answers null.
    AccountState {
        /// Whose.
        #[serde(with = "view::text")]
        address: Address,
        /// Disabled from now on, else enabled.
        disabled: bool,
    },
    /// Gives an account another address. Answers null.
    AccountRename {
        /// Whose.
        #[serde(with = "view::text")]
        address: Address,
        /// The other.
        #[serde(with = "view::text")]
        to: Address,
        /// The one before becomes an alias.
        keep: bool,
    },
    /// Removes an account with all its mail. Answers null.
    AccountRemove {
        /// Whose.
        #[serde(with = "view::text")]
        address: Address,
    },
    /// Makes an app password. Answers an [`AppPasswordMade`].
    AppPasswordAdd {
        /// Whose.
        #[serde(with = "view::text")]
        address: Address,
        /// For its owner to know it again.
        name: String,
        /// `imap`, `pop3`, `smtp`, `jmap`; `mail` is all of them.
        scopes: Vec<String>,
        /// It is over after so many; none: never.
        days: Option<u32>,
    },
    /// Answers a list of [`AppPasswordView`].
    AppPasswordList {
        /// Whose.
        #[serde(with = "view::text")]
        address: Address,
    },
    /// Takes an app password away. Answers null.
    AppPasswordRemove {
        /// Whose.
        #[serde(with = "view::text")]
        address: Address,
        /// Which.
        id: u64,
    },
    /// Answers a list of [`PasskeyView`].
    PasskeyList {
        /// Whose.
        #[serde(with = "view::text")]
        address: Address,
    },
    /// Takes a passkey away. Answers null.
    PasskeyRemove {
        /// Whose.
        #[serde(with = "view::text")]
        address: Address,
        /// Which.
        id: u64,
    },
    /// Takes the second factor away, for who has lost it. Answers null.
    TotpRemove {
        /// Whose.
        #[serde(with = "view::text")]
        address: Address,
    },
    /// Adds targets to an alias, which is made if it is not there. Answers null.
    AliasAdd {
        /// The alias.
        #[serde(with = "view::text")]
        alias: Address,
        /// Where its mail goes.
        #[serde(with = "view::texts")]
        targets: Vec<Address>,
    },
    /// Answers a list of [`AliasView`].
    AliasList,
    /// Removes an alias, or only these targets of it. Answers null.
    AliasRemove {
        /// The alias.
        #[serde(with = "view::text")]
        alias: Address,
        /// Which; none: all.
        #[serde(with = "view::texts")]
        targets: Vec<Address>,
    },
    /// Answers a list of [`QueueView`], oldest first, with the recipients that are meant.
    QueueList {
        /// Which.
        #[serde(default)]
        filter: QueueFilter,
        /// Those after this one.
        #[serde(default, with = "view::maybe_text")]
        after: Option<QueueId>,
        /// So many at most; [`mail::limits::QUEUE_PAGE`] at most.
        #[serde(default = "page")]
        limit: usize,
    },
    /// Answers a [`QueueView`].
    QueueShow {
        /// Which.
        #[serde(with = "view::text")]
        id: QueueId,
    },
    /// Hands a message in, whose octets follow the line. Answers its queue id.
    Submit(Submission),
    /// Does something to what waits. Answers a [`QueueActed`].
    Queue {
        /// To which.
        filter: QueueFilter,
        /// What.
        action: QueueAction,
        /// Only counts.
        #[serde(default)]
        dry_run: bool,
    },
    /// Answers a list of [`DestinationView`], by name.
    QueueDestinations {
        /// Those after this one.
        #[serde(default, with = "view::maybe_text")]
        after: Option<Domain>,
        /// So many at most; [`mail::limits::QUEUE_PAGE`] at most.
        #[serde(default = "page")]
        limit: usize,
    },
    /// Pauses a destination, or lets it go on. Answers null.
    QueuePause {
        /// Which.
        #[serde(with = "view::text")]
        destination: Domain,
        /// Paused from now on, else no more.
        paused: bool,
    },
    /// Answers a list of [`store::Journey`], newest first.
    Trace {
        /// Message-ID, queue id or address.
        query: String,
    },
    /// The filters of an account.
    Sieve {
        /// Whose.
        #[serde(with = "view::text")]
        address: Address,
        /// What is done to them.
        act: ScriptAct,
    },
    /// Answers a list of [`store::Audited`], newest first.
    Audit {
        /// Of whom, or about whom; none: all.
        name: Option<String>,
        /// Only those before this number.
        before: Option<u64>,
        /// At most so many.
        limit: usize,
    },
    /// Rehearses a mail for an address. Answers a [`RouteView`].
    Route {
        /// To whom.
        #[serde(with = "view::text")]
        address: Address,
    },
    /// The keys with which domains sign their mail.
    Dkim {
        /// Of this domain; none: of all, to list them.
        #[serde(default, with = "view::maybe_text")]
        domain: Option<Domain>,
        /// What is done to them.
        act: KeyAct,
    },
    /// Checks the store. Answers a list of [`CheckView`].
    Check,
    /// Looks at everything around the system. Answers a list of [`FindingView`].
    Doctor {
        /// Of these domains; none: of all.
        #[serde(with = "view::texts")]
        domains: Vec<Domain>,
        /// SHA-256 of the public key that port 25 shows, if there is one.
        key: Option<[u8; 32]>,
    },
    /// What DNS should have. Answers lines of a zone file.
    Zone {
        /// For these domains; none: for all.
        #[serde(with = "view::texts")]
        domains: Vec<Domain>,
        /// As for the doctor.
        key: Option<[u8; 32]>,
    },
    /// Gets new certificates by ACME, now. Answers a list of names; only a running server can.
    CertificateRenew {
        /// Whose; none: all.
        #[serde(with = "view::texts")]
        names: Vec<Domain>,
    },
}

const fn page() -> usize {
    mail::limits::QUEUE_PAGE
}

impl Request {
    /// Whether it may change how the system is run: then it stands in the audit log. A message handed in is no such act.
    fn changes(&self) -> bool {
        match self {
            Self::Sieve { act, .. } => return act.changes(),
            Self::Dkim { act, .. } => return act.changes(),
            _ => {}
        }
        !matches!(
            self,
            Self::DomainList
                | Self::AccountList
                | Self::AccountShow { .. }
                | Self::AppPasswordList { .. }
                | Self::PasskeyList { .. }
                | Self::AliasList
                | Self::QueueList { .. }
                | Self::QueueDestinations { .. }
                | Self::Submit(_)
                | Self::QueueShow { .. }
                | Self::Trace { .. }
                | Self::Route { .. }
                | Self::Audit { .. }
                | Self::Check
        )
    }
}

/// A password on its way; its `Debug` shows nothing.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
