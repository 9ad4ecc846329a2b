//! ESEARCH (RFC 7377): one SEARCH of several mailboxes, answered mailbox by mailbox.

use std::collections::HashSet;

use mail::{AccountId, MailboxId, Rights};
use store::{MailboxInfo, StoreError, StoreResult};
use wire::imap::multisearch::{MultiSearch, Source};
use wire::imap::reply::{Code, Reply};

use crate::access::{Access, is_others, mailboxes};
use crate::context::{self, Asked};
use crate::enable::{has_fuzzy, has_modseq, has_numbers};
use crate::host::End;
use crate::io::Io;
use crate::refusal::refusal;
use crate::search::{Scope, extended, find, keep};
use crate::session::Service;
use crate::view::View;

/// ESEARCH.
pub(crate) async fn multisearch(
    service: &Service,
    io: &mut Io<'_>,
    account: AccountId,
    selected: Option<&mut View>,
    command: &MultiSearch,
) -> Result<Reply, End> {
    let only_selected = command.sources.iter().all(|source| *source == Source::Selected);
    if only_selected && selected.is_none() {
        return Ok(Reply::bad("Select a mailbox first").with_code(Code::ClientBug.word()));
    }
    // RFC 7377 §2.2: message numbers and `$` belong to the selected mailbox.
    if !only_selected && (command.wanted.save || has_numbers(&command.key)) {
        return Ok(Reply::bad("Message numbers and SAVE are for the selected mailbox"));
    }
    if command.wanted.relevancy && !has_fuzzy(&command.key) {
        // RFC 6203 §4
        return Ok(Reply::bad("RELEVANCY is for FUZZY"));
    }
    if command.wanted.update {
        // RFC 7377 §2.2
        match &selected {
            None => return Ok(Reply::bad("UPDATE is for the selected mailbox")),
            Some(view) if view.contexts.has(&io.tag) => return Ok(context::tag_reuse()),
            Some(_) => {}
        }
    }
    let here = selected.as_ref().map(|view| view.mailbox);
    let mailboxes = match resolve(service, account, here, &command.sources).await {
        Ok(mailboxes) => mailboxes,
        Err(error) => return Ok(refusal(&error)),
    };
    let mut selected = selected;
    for (id, name) in mailboxes {
        let mut opened;
        let view = match &mut selected {
            Some(view) if view.mailbox == id => &mut **view,
            _ => match open(service, account, id, &name).await {
                Ok(Some(view)) => {
                    opened = view;
                    &mut opened
                }
                // Deleted since.
                Ok(None) | Err(StoreError::MailboxGone(_) | StoreError::NoMailbox(_) | StoreError::Forbidden) => {
                    continue;
                }
                Err(error) => return Ok(refusal(&error)),
            },
        };
        let found = match find(service, io, view, command.charset.as_deref(), &command.key).await? {
            Ok(found) => found,
            Err(reply) => return Ok(reply),
        };
        // RFC 7377 §2.1: nothing is said of a mailbox in which nothing is.
        if !found.is_empty() {
            let modseq = if has_modseq(&command.key) { found.iter().map(|hit| hit.modseq).max() } else { None };
            let uids: Vec<u32> = found.iter().map(|hit| hit.uid.get()).collect();
            let scope = Scope { tag: None, uid: true, mailbox: Some((&name, view.told.uid_validity)) };
            extended(io, scope, &command.wanted, &uids, &found, modseq);
            io.relieve().await?;
        }
        // RFC 7377 §2.2: UPDATE is about the selected mailbox alone.
        if command.wanted.update && here == Some(id) {
            let (charset, key) = (command.charset.as_deref(), &command.key);
            let items = &command.wanted.items;
            let asked = Asked { uid: true, mailbox: Some(&name), charset, key, criteria: &[], items };
            context::begin(io, view, asked, &found);
        }
        if command.wanted.save {
            return Ok(keep(view, &command.wanted, &found));
        }
    }
    Ok(Reply::ok("Searched"))
}

/// To look into; `None`: deleted since.
async fn open(service: &Service, account: AccountId, id: MailboxId, name: &str) -> StoreResult<Option<View>> {
    let (access, _) = Access::to(service, account, name, Rights::READ).await?;
    Ok(View::new(id, true, access, service.store.watch(id).await?))
}

/// The mailboxes that are meant, each once. Names that don't exist are passed over (RFC 7377 §2.2).
async fn resolve(
    service: &Service,
    account: AccountId,
    selected: Option<MailboxId>,
    sources: &[Source],
) -> StoreResult<Vec<(MailboxId, String)>> {
    let all = mailboxes(service, account).await?;
    let is_meant = |info: &MailboxInfo| {
        let is_selected = info.id.is_some() && info.id == selected;
        sources.is_empty() && is_selected || sources.iter().any(|source| holds(source, info, is_selected))
    };
    let mut seen = HashSet::new();
    let meant = all.iter().filter(|info| is_meant(info));
    let existing = meant.filter_map(|info| Some((info.id?, info.name.clone())));
    Ok(existing.filter(|(id, _)| seen.insert(*id)).collect())
}

/// Whether a mailbox is among those that are named.
pub(crate) fn holds(source: &Source, info: &MailboxInfo, is_selected: bool) -> bool {
    let below = |top: &str| info.name.strip_prefix(top).and_then(|rest| rest.strip_prefix('/'));
    let named = |names: &[String]| names.iter().any(|name| store::canonical_name(name) == info.name);
    match source {
        Source::Selected => is_selected,
        // RFC 5465 §6.3: where deliveries go.
        Source::Inboxes => info.name == "INBOX",
        Source::Personal => !is_others(&info.name),
        Source::Subscribed => info.subscribed,
        Source::Mailboxes(names) => named(names),
        Source::Subtree(names) => named(names) || names.iter().any(|top| below(top).is_some()),
        Source::SubtreeOne(names) => {
            named(names) || names.iter().any(|top| below(top).is_some_and(|rest| !rest.contains('/')))
        }
    }
}
