//! REPLACE and UID REPLACE (RFC 8508): a message comes and another goes, in one commit.

use mail::{AccountId, Rights, Uid};
use store::StoreError;
use wire::imap::append::Replace;
use wire::imap::frame::Literal;
use wire::imap::reply::{Code, Reply};
use wire::imap::{MessageSet, SequenceSet};

use crate::append::{gather, refuse};
use crate::catenate::Shelf;
use crate::change::target;
use crate::host::End;
use crate::io::Io;
use crate::refusal::target_refusal;
use crate::session::Service;
use crate::view::View;

/// REPLACE was read up to its first literal; takes the rest.
pub(crate) async fn replace(
    service: &Service,
    io: &mut Io<'_>,
    account: AccountId,
    view: Option<&View>,
    command: Replace,
    literal: Option<Literal>,
) -> Result<Reply, End> {
    let Some(view) = view else {
        let reply = Reply::bad("Select a mailbox first").with_code(Code::ClientBug.word());
        return refuse(io, literal, reply).await;
    };
    let Replace { uid, number, append } = command;
    let old = match old(io, view, uid, number) {
        Ok(old) => old,
        Err(reply) => return refuse(io, literal, reply).await,
    };
    let to = match target(service, account, &append.mailbox).await {
        Ok(to) => to,
        Err(reply) => return refuse(io, literal, reply).await,
    };
    let messages = match gather(&Shelf { service, account, rights: to.rights }, io, append.messages, literal).await? {
        Ok(messages) => messages,
        Err(reply) => return Ok(reply),
    };
    let Ok([staged]) = <[_; 1]>::try_from(messages) else { return Ok(Reply::bad("REPLACE takes one message")) };
    // Asked for before: once it is replaced, nothing may keep the UID from the client.
    let uid_validity = match service.store.status(to.id).await {
        Ok(status) => status.uid_validity.0,
        Err(error) => return Ok(target_refusal(&error)),
    };
    match service.store.replace(view.mailbox, old, to.id, staged, io.host.now()).await {
        Ok(uid) => {
            // RFC 8508 §3.3: as with MOVE, APPENDUID comes in an untagged OK before the EXPUNGE.
            let uid = uid.into_inner();
            if to.id == view.mailbox {
                io.own = vec![uid];
            }
            let code = format!("* OK [APPENDUID {uid_validity} {uid}] Replaced\r\n");
            io.out.extend_from_slice(code.as_bytes());
            Ok(Reply::ok("Replaced"))
        }
        // RFC 8508 §3.2: where the old one is gone nothing is done.
        Err(StoreError::NotFound(_)) => Ok(Reply::no(Code::ExpungeIssued, "The message is gone")),
        Err(error) => Ok(target_refusal(&error)),
    }
}

/// The message that goes.
fn old(io: &Io<'_>, view: &View, uid: bool, number: Option<u32>) -> Result<Uid, Reply> {
    if let Some(refused) = view.refuses(Rights::DELETED.with(Rights::EXPUNGE)) {
        return Err(refused);
    }
    if io.enabled.uidonly && !uid {
        return Err(Reply::bad("UIDONLY is enabled").with_code(Code::UidRequired.word()));
    }
    let set = MessageSet::Numbers(SequenceSet(vec![(number, number)]));
    match view.uids(uid, &set).as_slice() {
        [old] => Ok(*old),
        // RFC 8508 §3.2: NO where there is no such message; a number beyond the last is an error.
        _ if uid => Err(Reply::no(Code::NonExistent, "There is no such message")),
        _ => Err(Reply::bad("There are not so many messages")),
    }
}
