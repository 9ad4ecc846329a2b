//! Mailboxes by the names that a client gives them: its own, and below `Other Users/ADDRESS/` those that others share with it
//! (RFC 2342 §5), with what it may do there (RFC 4314 §4).

use std::borrow::Cow;
use std::collections::BTreeMap;

use mail::{AccountId, Flags, Keyword, MailboxId, Rights};
use store::{Account, DirectoryEntry, MailboxInfo, StoreError, StoreResult};

use crate::session::Service;

pub(crate) use store::OTHERS;

/// Whose mailbox a name means, and what it is called there. There need not be one.
pub(crate) struct Place<'n> {
    pub(crate) owner: AccountId,
    pub(crate) is_own: bool,
    pub(crate) name: Cow<'n, str>,
}

/// A mailbox that is there.
pub(crate) struct Found {
    pub(crate) owner: AccountId,
    pub(crate) is_own: bool,
    /// Its name in its owner's account.
    pub(crate) name: String,
    pub(crate) id: MailboxId,
    pub(crate) rights: Rights,
}

/// What the client may do in a mailbox that it looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    account: AccountId,
    is_own: bool,
    pub(crate) rights: Rights,
    /// The store's `rights_version` of before `rights` were read.
    version: u64,
}

impl Access {
    /// To a mailbox of that name, where it is there.
    pub(crate) async fn to(
        service: &Service,
        account: AccountId,
        name: &str,
        needed: Rights,
    ) -> StoreResult<(Self, Found)> {
        let version = service.store.rights_version();
        let found = find(service, account, name, needed).await?;
        Ok((Self { account, is_own: found.is_own, rights: found.rights, version }, found))
    }

    /// Reads the rights again where they may have changed; fails where the mailbox may no longer be read.
    pub(crate) async fn look(&mut self, service: &Service, mailbox: MailboxId) -> StoreResult<()> {
        if self.is_own {
            return Ok(());
        }
        let version = service.store.rights_version();
        if self.version != version {
            self.rights = service.store.rights(self.account, mailbox).await?;
            self.version = version;
        }
        if self.rights.contains(Rights::READ) { Ok(()) } else { Err(StoreError::Forbidden) }
    }
}

fn none(name: &str) -> StoreError {
    StoreError::NoMailbox(name.to_owned())
}

/// Whether no mailbox of one's own can have the name.
pub(crate) fn is_others(name: &str) -> bool {
    name.strip_prefix(OTHERS).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// All names that an account sees: its own, then those of others with what stands above them.
pub(crate) async fn mailboxes(service: &Service, account: AccountId) -> StoreResult<Vec<MailboxInfo>> {
    let mut own = service.store.mailboxes(account).await?;
    let shared = service.store.shared_with(account).await?;
    let mut theirs: BTreeMap<String, MailboxInfo> = BTreeMap::new();
    let mere = |name: &str| MailboxInfo { id: None, name: name.to_owned(), special_use: None, subscribed: false };
    // A subscription to what another shares is a name of one's own.
    for info in own.extract_if(.., |info| is_others(&info.name)) {
        theirs.insert(info.name.clone(), MailboxInfo { id: None, special_use: None, ..info });
    }
    for mailbox in shared.iter().filter(|mailbox| mailbox.rights.contains(Rights::LOOKUP)) {
        let name = mailbox.name_for_others();
        for (at, _) in name.match_indices('/') {
            theirs.entry(name[..at].to_owned()).or_insert_with(|| mere(&name[..at]));
        }
        theirs.entry(name.clone()).or_insert_with(|| mere(&name)).id = Some(mailbox.id);
    }
    own.extend(theirs.into_values());
    Ok(own)
}

/// Whose mailbox a name means.
pub(crate) async fn place<'n>(service: &Service, account: AccountId, name: &'n str) -> StoreResult<Place<'n>> {
    if !is_others(name) {
        return Ok(Place { owner: account, is_own: true, name: Cow::Borrowed(name) });
    }
    let rest = name.get(OTHERS.len() + 1..).unwrap_or_default();
    let (user, theirs) = rest.split_once('/').ok_or_else(|| none(name))?;
    match identify(service, user).await?.map(|account| account.id) {
        Some(owner) if owner != account => Ok(Place { owner, is_own: false, name: Cow::Owned(theirs.to_owned()) }),
        _ => Err(none(name)),
    }
}

/// The account with exactly this address.
pub(crate) async fn identify(service: &Service, user: &str) -> StoreResult<Option<Box<Account>>> {
    let Ok(address) = wire::address::mailbox(user) else { return Ok(None) };
    Ok(match service.store.entry(&address.folded()).await? {
        Some(DirectoryEntry::Account(account)) => Some(account),
        _ => None,
    })
}

/// A mailbox in which all of `needed` may be done. One that the client may not even know of is not there.
pub(crate) async fn find(service: &Service, account: AccountId, name: &str, needed: Rights) -> StoreResult<Found> {
    let place = place(service, account, name).await?;
    let id = service.store.mailbox(place.owner, &place.name).await?.ok_or_else(|| none(name))?;
    let rights = if place.is_own { Rights::ALL } else { service.store.rights(account, id).await? };
    check(name, rights, needed)?;
    Ok(Found { owner: place.owner, is_own: place.is_own, name: place.name.into_owned(), id, rights })
}

/// RFC 4314 §6: without `l`, the answer is that of a mailbox that does not exist.
fn check(name: &str, rights: Rights, needed: Rights) -> StoreResult<()> {
    if rights.contains(needed) && !rights.is_empty() {
        return Ok(());
    }
    Err(if rights.contains(Rights::LOOKUP) { StoreError::Forbidden } else { none(name) })
}

/// Where a mailbox may be made (RFC 4314 §4: `k` on what it is made below).
pub(crate) async fn free_place<'n>(service: &Service, account: AccountId, name: &'n str) -> StoreResult<Place<'n>> {
    let place = match place(service, account, name).await {
        Err(StoreError::NoMailbox(_)) => {
            return Err(StoreError::BadMailboxName("such names are for what others share"));
        }
        place => place?,
    };
    if place.is_own {
        return Ok(place);
    }
    let above: Vec<&str> = place.name.match_indices('/').map(|(at, _)| &place.name[..at]).collect();
    for parent in above.into_iter().rev() {
        if let Some(id) = service.store.mailbox(place.owner, parent).await? {
            check(name, service.store.rights(account, id).await?, Rights::CREATE)?;
            return Ok(place);
        }
    }
    Err(none(name))
}

/// RFC 4314 §4: who may not set some flags may put messages there all the same, without them.
pub(crate) fn keep_permitted(rights: Rights, flags: &mut Flags, keywords: &mut Vec<Keyword>) {
    *flags = flags.without(Flags::ALL.without(flags_of(rights)));
    if !rights.contains(Rights::WRITE) {
        keywords.clear();
    }
}

/// The system flags that may be changed.
pub(crate) const fn flags_of(rights: Rights) -> Flags {
    let mut flags = Flags::NONE;
    if rights.contains(Rights::SEEN) {
        flags = flags.with(Flags::SEEN);
    }
    if rights.contains(Rights::DELETED) {
        flags = flags.with(Flags::DELETED);
    }
    if rights.contains(Rights::WRITE) {
        flags = flags.with(Flags::ALL.without(Flags::SEEN).without(Flags::DELETED));
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others() {
        assert!(is_others("Other Users") && is_others("Other Users/x"));
        assert!(!is_others("Other Users2") && !is_others("INBOX/Other Users"));
    }

    #[test]
    fn rights_and_flags() {
        let rights = Rights::from_letters(b"lrs").unwrap();
        let (mut flags, mut keywords) = (Flags::SEEN.with(Flags::DRAFT), vec![Keyword::new("x").unwrap()]);
        keep_permitted(rights, &mut flags, &mut keywords);
        assert_eq!((flags, keywords.len()), (Flags::SEEN, 0));
        assert_eq!(flags_of(Rights::ALL), Flags::ALL);
        assert_eq!(flags_of(Rights::DELETED), Flags::DELETED);
    }
}
