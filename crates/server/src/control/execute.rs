//! Doing what an operator asks, on a store.

use std::sync::Arc;

use mail::{Address, Domain, QueueId, TokenId, limits};
use mta::accept::{Desk, Policy};
use mta::relay::Relay;
use mta::world::{Clock, World};
use serde::Serialize;
use serde_json::Value;
use store::{
    Account, AccountState, Act, Alias, DirectoryEntry, JourneyQuery, NewAccount, QueueMessage, Scopes, Store,
    StoreError, TokenKind,
};

use super::audit;
use super::rehearse::rehearse;
use super::view::{
    AccountView, AliasView, AppPasswordMade, AppPasswordView, CheckView, FindingView, PasskeyView, QueueView,
};
use super::{Request, Secret, dkim, queue, sieve};
use crate::auth::hash::{Hashes, hashes_now};
use crate::auth::{add_app_password, take_away};
use crate::connect::{Network, SystemRandom};
use crate::dns::Resolver;
use crate::doctor;
use crate::outbound;
use crate::settings::Settings;
use crate::shared::Shared;

/// What is needed to do it.
#[derive(Clone)]
pub struct Context {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The settings of this moment.
    pub settings: Arc<dyn Fn() -> Arc<Settings> + Send + Sync>,
    /// Mail out, where a server runs.
    pub relay: Option<Arc<Relay>>,
    /// From where the operator acts, for the audit log.
    pub from: String,
    /// The system that runs, for what only that can do.
    pub running: Option<Arc<Shared>>,
}

impl Context {
    /// Of a running system.
    pub fn running(shared: Arc<Shared>, relay: Arc<Relay>) -> Self {
        let (store, clock) = (shared.store.clone(), shared.clock.clone());
        let running = Some(shared.clone());
        Self {
            store,
            clock,
            settings: Arc::new(move || shared.settings()),
            relay: Some(relay),
            running,
            from: this_user(),
        }
    }

    /// Of a store that no server has open.
    pub fn alone(store: Arc<dyn Store>, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        let settings = Arc::new(settings);
        Self {
            store,
            clock,
            settings: Arc::new(move || settings.clone()),
            relay: None,
            running: None,
            from: this_user(),
        }
    }

    /// Acceptance for who asks here. Nobody is asked whether he would take a message: the next hop says so when it is sent.
    pub(super) fn desk(&self) -> Desk {
        let settings = (self.settings)();
        Desk {
            store: self.store.clone(),
            clock: self.clock.clone(),
            random: Arc::new(SystemRandom),
            policy: Policy {
                hops: settings.limits.hops,
                show_client: settings.smtp.show_client,
                routing: Arc::new(outbound::routing(&settings)),
            },
            door: None,
            verify: None,
            misbehave: None,
            reporter: None,
            milters: crate::milter::of(&settings, &self.clock),
            inspectors: Arc::default(),
        }
    }

    /// The real world, for the few commands that look at it.
    pub(super) fn world(&self) -> Result<World, String> {
        Ok(World {
            clock: self.clock.clone(),
            random: Arc::new(SystemRandom),
            dns: Arc::new(Resolver::new(&(self.settings)().relay.dns)?),
            connect: Arc::new(Network::new()),
        })
    }
}

/// Who runs this very process.
fn this_user() -> String {
    format!("uid {}", rustix::process::getuid().as_raw())
}

/// Roles that every domain must have (RFC 2142 §4, §5; RFC 5321 §4.5.1).
const ROLES: [&str; 2] = ["postmaster", "abuse"];

/// How many of something one answer has at most.
const LIST: usize = 10_000;

/// Does it; the answer as JSON, or why not, as a sentence for people.
pub async fn execute(context: &Context, request: Request) -> Result<Value, String> {
    let act = request.changes().then(|| audit::act(&request, &context.from, context.clock.now()));
    let done = run(context, request).await;
    let done = done.map_err(|error| match error {
        Failure::Store(error) => error.to_string(),
        Failure::Words(words) => words,
    });
    if let Some(act) = act {
        let outcome = done.as_ref().err().map_or_else(|| "ok".to_owned(), Clone::clone);
        // What is done is done, whether or not it can be noted.
        if let Err(error) = context.store.note_acts(vec![Act { outcome, ..act }]).await {
            tracing::warn!(%error, "an act can't be written to the audit log");
        }
    }
    done
}

pub(super) enum Failure {
    Store(StoreError),
    Words(String),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub(super) type Answer = Result<Value, Failure>;

async fn run(context: &Context, request: Request) -> Answer {
    let store = &context.store;
    match request {
        Request::DomainAdd { domain, same_as } => domain_add(context, domain, same_as).await,
        Request::DomainList => {
            answer(&store.domains().await?.iter().map(|record| record.domain.to_string()).collect::<Vec<_>>())
        }
        Request::DomainRemove { domain } => domain_remove(context, domain).await,
        Request::AccountAdd { address, password, quota, scram } => {
            account_add(context, address, password.0, quota, scram).await
        }
        Request::AccountList => {
            answer(&all_accounts(context).await?.into_iter().map(AccountView::from).collect::<Vec<_>>())
        }
        Request::AccountShow { address } => answer(&AccountView::from(account(context, &address).await?)),
        Request::AccountPassword { address, password, scram } => {
            let account = account(context, &address).await?;
            let scram = scram.unwrap_or(account.scram.is_some());
            let (hash, keys) = hashes(password.0, scram).await?;
            done(store.set_password(account.id, hash, keys).await)
        }
        Request::AccountQuota { address, quota } => {
            let account = account(context, &address).await?;
            done(store.set_quota(account.id, quota).await)
        }
        Request::AccountState { address, disabled } => {
            let account = account(context, &address).await?;
            let state = if disabled { AccountState::Disabled } else { AccountState::Active };
            done(store.set_account_state(account.id, state).await)
        }
        Request::AccountRename { address, to, keep } => {
            if store.domain(to.domain()).await?.is_none() {
                return Err(no_domain(to.domain()));
            }
            done(store.rename_account(account(context, &address).await?.id, to, keep).await)
        }
        Request::AccountRemove { address } => {
            let account = account(context, &address).await?;
            done(store.remove_account(account.id).await)
        }
        Request::AppPasswordAdd { address, name, scopes, days } => {
            app_password_add(context, &address, &name, &scopes, days).await
        }
        Request::AppPasswordList { address } => {
            let tokens = store.tokens(account(context, &address).await?.id, TokenKind::AppPassword).await?;
            answer(&tokens.into_iter().map(AppPasswordView::from).collect::<Vec<_>>())
        }
        Request::AppPasswordRemove { address, id } => {
            let account = account(context, &address).await?;
            done(store.remove_token(account.id, TokenKind::AppPassword, TokenId(id)).await)
        }
        Request::PasskeyList { address } => {
            let tokens = store.tokens(account(context, &address).await?.id, TokenKind::Passkey).await?;
            answer(&tokens.into_iter().map(PasskeyView::from).collect::<Vec<_>>())
        }
        Request::PasskeyRemove { address, id } => {
            let account = account(context, &address).await?;
            done(take_away(&**store, account.id, TokenId(id), None).await)
        }
        Request::TotpRemove { address } => done(store.remove_totp(account(context, &address).await?.id).await),
        Request::AliasAdd { alias, targets } => alias_add(context, alias, targets).await,
        Request::AliasList => answer(&all_aliases(context).await?.into_iter().map(AliasView::from).collect::<Vec<_>>()),
        Request::AliasRemove { alias, targets } => alias_remove(context, alias, targets).await,
        Request::QueueList { filter, after, limit } => queue::list(context, &filter, after, limit).await,
        Request::Submit(_) => Err(Failure::Words("the message itself is missing".into())),
        Request::QueueShow { id } => answer(&QueueView::from(queued(context, id).await?)),
        Request::Queue { filter, action, dry_run } => queue::act(context, &filter, &action, dry_run).await,
        Request::QueueDestinations { after, limit } => queue::destinations(context, after.as_ref(), limit).await,
        Request::QueuePause { destination, paused } => queue::pause(context, &destination, paused).await,
        Request::Route { address } => answer(&rehearse(context, address).await.map_err(Failure::Words)?),
        Request::Dkim { domain, act } => dkim::act(context, domain.as_ref(), act).await,
        Request::Sieve { address, act } => sieve::act(context, &address, act).await,
        Request::Audit { name, before, limit } => answer(&store.acts(name, before, limit.min(LIST)).await?),
        Request::Trace { query } => trace(context, &query).await,
        Request::Doctor { domains, key } => {
            let settings = (context.settings)();
            let plan = doctor::plan(&**store, &settings, &domains, key).await.map_err(Failure::Words)?;
            let found =
                doctor::examine(&**store, &settings, plan, context.clock.now()).await.map_err(Failure::Words)?;
            answer(&found.into_iter().map(FindingView::from).collect::<Vec<_>>())
        }
        Request::Zone { domains, key } => {
            let plan = doctor::plan(&**store, &(context.settings)(), &domains, key).await.map_err(Failure::Words)?;
            answer(&::doctor::written(&::doctor::wanted(&plan)))
        }
        Request::CertificateRenew { names } => {
            let needed =
                "the server does not run, and only it can show that a name is ours: start it with \"postrider serve\"";
            let running = context.running.as_ref().ok_or_else(|| Failure::Words(needed.into()))?;
            answer(&running.acme.renew(names).await.map_err(Failure::Words)?)
        }
        Request::Check => answer(&store.check(false).await?.into_iter().map(CheckView::from).collect::<Vec<_>>()),
    }
}

pub(super) fn answer(value: &impl Serialize) -> Answer {
    serde_json::to_value(value).map_err(|error| Failure::Words(error.to_string()))
}

fn done<T>(result: Result<T, StoreError>) -> Answer {
    result?;
    Ok(Value::Null)
}

async fn domain_add(context: &Context, domain: Domain, same_as: Option<Domain>) -> Answer {
    let store = &context.store;
    if let Some(other) = same_as {
        if other == domain {
            return Err(Failure::Words(format!("{domain} can't stand for itself")));
        }
        if store.domain(&other).await?.is_none() {
            return Err(no_domain(&other));
        }
        let _ = store.add_domain(&domain).await?;
        let _ = dkim::rotate(context, &domain).await?;
        let [address, every] = [&domain, &other].map(|domain| role_of(Address::EVERY, domain));
        return done(store.set_alias(Alias { address: address?, targets: vec![every?] }).await);
    }
    // A further domain's postmaster is the first one's, where there is one.
    let mut others = Vec::new();
    for other in store.domains().await? {
        others.push(other.domain);
    }
    let _ = store.add_domain(&domain).await?;
    let _ = dkim::rotate(context, &domain).await?;
    for role in ROLES {
        for other in &others {
            if let Some(DirectoryEntry::Alias(alias)) = store.entry(&role_of(role, other)?).await? {
                let address = role_of(role, &domain)?;
                let _ = store.set_alias(Alias { address, targets: alias.targets }).await?;
                break;
            }
        }
    }
    Ok(Value::Null)
}

/// Its roles are no reason to keep a domain, nor that it stands for another: they go with it.
async fn domain_remove(context: &Context, domain: Domain) -> Answer {
    let store = &context.store;
    let roles: Vec<Address> = ROLES.iter().map(|role| role_of(role, &domain)).collect::<Result<_, _>>()?;
    let inhabited = all_accounts(context).await?.iter().any(|account| *account.address.domain() == domain);
    let aliases = all_aliases(context).await?;
    let is_of_it = |alias: &Alias| {
        let stands_for_another = alias.address.is_every() && alias.targets.iter().all(Address::is_every);
        roles.contains(&alias.address) || (*alias.address.domain() == domain && stands_for_another)
    };
    let others = aliases.iter().any(|alias| *alias.address.domain() == domain && !is_of_it(alias));
    if !inhabited && !others {
        for alias in aliases.into_iter().filter(is_of_it) {
            let _ = store.set_alias(Alias { targets: Vec::new(), ..alias }).await?;
        }
    }
    done(store.remove_domain(&domain).await)
}

fn role_of(role: &str, domain: &Domain) -> Result<Address, Failure> {
    Address::new(role, domain.clone()).map_err(|error| Failure::Words(error.to_string()))
}

async fn hashes(password: String, scram: bool) -> Result<Hashes, Failure> {
    let hashed = tokio::task::spawn_blocking(move || hashes_now(&password, scram)).await;
    hashed.map_err(|error| Failure::Words(error.to_string()))?.map_err(Failure::Words)
}

async fn account_add(context: &Context, address: Address, password: String, quota: Option<u64>, scram: bool) -> Answer {
    let store = &context.store;
    let address = address.folded();
    let domain = address.domain().clone();
    if store.domain(&domain).await?.is_none() {
        return Err(no_domain(&domain));
    }
    if store.entry(&address).await?.is_some() {
        return Err(StoreError::Exists(address.to_string()).into());
    }
    let (password, scram) = hashes(password, scram).await?;
    let new = NewAccount { address: address.clone(), password, scram, quota };
    let _ = store.add_account(new, context.clock.now()).await?;
    for role in ROLES {
        let role = role_of(role, &domain)?;
        if store.entry(&role).await?.is_none() {
            let _ = store.set_alias(Alias { address: role, targets: vec![address.clone()] }).await?;
        }
    }
    Ok(Value::Null)
}

pub(super) async fn account(context: &Context, address: &Address) -> Result<Account, Failure> {
    match context.store.entry(&address.folded()).await? {
        Some(DirectoryEntry::Account(account)) => {
            // The entry is from memory; how much is stored is asked for.
            let current = context.store.account(account.id).await?;
            Ok(current.unwrap_or(*account))
        }
        _ => Err(StoreError::NotFound(format!("the account {address}")).into()),
    }
}

async fn app_password_add(
    context: &Context,
    address: &Address,
    name: &str,
    scopes: &[String],
    days: Option<u32>,
) -> Answer {
    let account = account(context, address).await?;
    let unknown = || Failure::Words("a scope is imap, pop3, smtp or jmap; mail is all of them".into());
    let scopes = Scopes::from_names(scopes.iter().map(String::as_str)).ok_or_else(unknown)?;
    let now = context.clock.now();
    let (id, secret) = add_app_password(&*context.store, account.id, name, scopes, days, now).await?;
    answer(&AppPasswordMade { id: id.0, password: Secret(secret) })
}

async fn all_accounts(context: &Context) -> Result<Vec<Account>, StoreError> {
    let mut all: Vec<Account> = Vec::new();
    loop {
        let after = all.last().map(|account| account.address.clone());
        let some = context.store.accounts(after.as_ref(), LIST).await?;
        let more = some.len() == LIST;
        all.extend(some);
        if !more {
            return Ok(all);
        }
    }
}

async fn all_aliases(context: &Context) -> Result<Vec<Alias>, StoreError> {
    let mut all: Vec<Alias> = Vec::new();
    loop {
        let after = all.last().map(|alias| alias.address.clone());
        let some = context.store.aliases(after.as_ref(), LIST).await?;
        let more = some.len() == LIST;
        all.extend(some);
        if !more {
            return Ok(all);
        }
    }
}

async fn alias_add(context: &Context, alias: Address, targets: Vec<Address>) -> Answer {
    let store = &context.store;
    let address = alias.folded();
    if store.domain(address.domain()).await?.is_none() {
        return Err(no_domain(address.domain()));
    }
    let mut kept = match store.entry(&address).await? {
        Some(DirectoryEntry::Account(_)) => return Err(StoreError::Exists(format!("an account {address}")).into()),
        Some(DirectoryEntry::Alias(alias)) => alias,
        None => Alias { address, targets: Vec::new() },
    };
    for target in targets {
        if target.is_every() && !kept.address.is_every() {
            let words = "a target *@domain is for an alias *@domain, whose addresses keep their names there";
            return Err(Failure::Words(words.into()));
        }
        if !kept.targets.contains(&target) {
            kept.targets.push(target);
        }
    }
    if kept.targets.is_empty() {
        return Err(Failure::Words("an alias needs at least one target".into()));
    }
    done(store.set_alias(kept).await)
}

pub(super) fn no_domain(domain: &Domain) -> Failure {
    Failure::Words(format!("{domain} is no domain of this server; add it with \"postrider domain add {domain}\""))
}

async fn alias_remove(context: &Context, alias: Address, targets: Vec<Address>) -> Answer {
    let address = alias.folded();
    let Some(DirectoryEntry::Alias(mut kept)) = context.store.entry(&address).await? else {
        return Err(StoreError::NotFound(format!("the alias {address}")).into());
    };
    if let Some(missing) = targets.iter().find(|target| !kept.targets.contains(target)) {
        return Err(StoreError::NotFound(format!("the target {missing} of {address}")).into());
    }
    kept.targets.retain(|target| !targets.is_empty() && !targets.contains(target));
    done(context.store.set_alias(kept).await)
}

async fn queued(context: &Context, id: QueueId) -> Result<QueueMessage, Failure> {
    context.store.queue_message(id).await?.ok_or(Failure::Store(StoreError::NoQueueEntry(id)))
}

/// A queue id, a Message-ID or an address. A Message-ID without its brackets looks like an address: then both are
/// looked for.
async fn trace(context: &Context, query: &str) -> Answer {
    let query = query.trim();
    let looks = if let Ok(id) = query.parse() {
        vec![JourneyQuery::Id(id)]
    } else if query.starts_with('<') {
        vec![JourneyQuery::MessageId(query.into())]
    } else {
        vec![JourneyQuery::MessageId(query.into()), JourneyQuery::Address(query.into())]
    };
    for look in looks {
        let found = context.store.journeys(&look, limits::TRACE_JOURNEYS).await?;
        if !found.is_empty() {
            return answer(&found);
        }
    }
    answer(&Vec::<store::Journey>::new())
}
