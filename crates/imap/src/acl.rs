//! SETACL, DELETEACL, GETACL, LISTRIGHTS and MYRIGHTS (RFC 4314): who may do what in a mailbox.
//!
//! An identifier is an account's address, or `anyone`; `-` before it denies. The owner has all rights, always.

use mail::{AccountId, Rights};
use store::{Grant, GrantChange, GrantOperation, StoreError, StoreResult};
use wire::imap::acl::{Acl, RightsChange};
use wire::imap::reply::{Code, Reply};
use wire::imap::write;

use crate::access::{Found, find, identify};
use crate::io::Io;
use crate::refusal::refusal;
use crate::session::Service;

const ANYONE: &str = "anyone";

/// Who is meant.
struct Identifier {
    /// `None`: anyone.
    account: Option<AccountId>,
    negative: bool,
}

/// A command of this extension.
pub(crate) async fn command(service: &Service, io: &mut Io<'_>, account: AccountId, command: Acl) -> Reply {
    let reply = match command {
        Acl::Set(name, identifier, change) => set(service, account, &name, &identifier, change).await,
        // RFC 4314 §3.2: what is not there is gone.
        Acl::Delete(name, identifier) => {
            set(service, account, &name, &identifier, RightsChange::Set(Rights::NONE)).await
        }
        Acl::Get(name) => get(service, io, account, &name).await,
        Acl::ListRights(name, identifier) => list_rights(service, io, account, &name, &identifier).await,
        Acl::MyRights(name) => my_rights(service, io, account, &name).await,
    };
    reply.unwrap_or_else(|error| refusal(&error))
}

async fn who(service: &Service, text: &str) -> StoreResult<Option<Identifier>> {
    let (negative, name) = match text.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, text),
    };
    if name == ANYONE {
        return Ok(Some(Identifier { account: None, negative }));
    }
    let account = identify(service, name).await?;
    Ok(account.map(|account| Identifier { account: Some(account.id), negative }))
}

fn unknown() -> Reply {
    Reply::no(Code::Cannot, "There is no such account: an identifier is an address of this server, or anyone")
}

async fn set(
    service: &Service,
    account: AccountId,
    name: &str,
    identifier: &str,
    change: RightsChange,
) -> StoreResult<Reply> {
    let found = find(service, account, name, Rights::ADMINISTER).await?;
    let Some(identifier) = who(service, identifier).await? else { return Ok(unknown()) };
    if identifier.account == Some(found.owner) {
        return Ok(Reply::no(Code::Cannot, "The owner has all rights, always"));
    }
    let (operation, rights) = match change {
        RightsChange::Set(rights) => (GrantOperation::Set, rights),
        RightsChange::Add(rights) => (GrantOperation::Add, rights),
        RightsChange::Remove(rights) => (GrantOperation::Remove, rights),
    };
    let change = GrantChange { grantee: identifier.account, negative: identifier.negative, operation, rights };
    match service.store.grant(found.id, change).await {
        Ok(_) => Ok(Reply::ok("Set")),
        Err(StoreError::NotFound(_)) => Ok(unknown()),
        Err(error) => Err(error),
    }
}

async fn get(service: &Service, io: &mut Io<'_>, account: AccountId, name: &str) -> StoreResult<Reply> {
    let found = find(service, account, name, Rights::ADMINISTER).await?;
    let grants = service.store.grants(found.id).await?;
    let mut told = vec![(address(service, found.owner).await?.unwrap_or_default(), Rights::ALL)];
    for Grant { grantee, rights, without } in grants {
        let name = match grantee {
            None => ANYONE.to_owned(),
            Some(account) => match address(service, account).await? {
                Some(address) => address,
                // Gone since.
                None => continue,
            },
        };
        if !without.is_empty() {
            told.push((format!("-{name}"), without));
        }
        if !rights.is_empty() {
            told.push((name, rights));
        }
    }
    begin(io, "ACL", name);
    for (identifier, rights) in told {
        io.out.push(b' ');
        write::astring(&mut io.out, identifier.as_bytes());
        io.out.extend_from_slice(format!(" {rights}").as_bytes());
    }
    io.out.extend_from_slice(b"\r\n");
    Ok(Reply::ok("That is who may do what"))
}

async fn address(service: &Service, account: AccountId) -> StoreResult<Option<String>> {
    Ok(service.store.account(account).await?.map(|account| account.address.to_string()))
}

async fn list_rights(
    service: &Service,
    io: &mut Io<'_>,
    account: AccountId,
    name: &str,
    identifier: &str,
) -> StoreResult<Reply> {
    let found = find(service, account, name, Rights::ADMINISTER).await?;
    let Some(who) = who(service, identifier).await? else { return Ok(unknown()) };
    begin(io, "LISTRIGHTS", name);
    io.out.push(b' ');
    write::astring(&mut io.out, identifier.as_bytes());
    if who.account == Some(found.owner) {
        io.out.extend_from_slice(format!(" {}", Rights::ALL).as_bytes());
    } else {
        // RFC 4314 §3.7: the rights that are always granted, then each that can be, by itself. Those of RFC 2086 are told
        // for the clients of its time.
        io.out.extend_from_slice(b" \"\"");
        for (_, letter) in Rights::LETTERS.iter().chain(&Rights::VIRTUAL) {
            io.out.extend_from_slice(&[b' ', *letter]);
        }
    }
    io.out.extend_from_slice(b"\r\n");
    Ok(Reply::ok("That is what can be given"))
}

async fn my_rights(service: &Service, io: &mut Io<'_>, account: AccountId, name: &str) -> StoreResult<Reply> {
    // RFC 4314 §4: one of l, r, i, k, x, a suffices.
    let Found { rights, .. } = find(service, account, name, Rights::NONE).await?;
    let enough =
        [Rights::LOOKUP, Rights::READ, Rights::INSERT, Rights::CREATE, Rights::DELETE_MAILBOX, Rights::ADMINISTER];
    if !enough.iter().any(|right| rights.contains(*right)) {
        return Err(StoreError::NoMailbox(name.to_owned()));
    }
    write_rights(io, name, rights);
    Ok(Reply::ok("That is what you may do"))
}

/// `* MYRIGHTS mailbox rights`
pub(crate) fn write_rights(io: &mut Io<'_>, name: &str, rights: Rights) {
    begin(io, "MYRIGHTS", name);
    io.out.extend_from_slice(format!(" {rights}\r\n").as_bytes());
}

fn begin(io: &mut Io<'_>, what: &str, name: &str) {
    io.out.extend_from_slice(format!("* {what} ").as_bytes());
    write::mailbox(&mut io.out, name, io.enabled.names());
}
