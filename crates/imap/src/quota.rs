//! GETQUOTA and GETQUOTAROOT (RFC 9208): how much room there is. One root for all mailboxes of an account, where it has a
//! quota; it is set by the operator alone.

use mail::{AccountId, Flags, MailboxId, Rights};
use store::{StoreError, StoreResult};
use wire::imap::reply::{Code, Reply};
use wire::imap::write;

use crate::access::find;
use crate::io::Io;
use crate::refusal::refusal;
use crate::session::Service;

/// The one quota root's name.
const ROOT: &[u8] = b"";

/// Octets of a unit of STORAGE (RFC 9208 §5.1).
const UNIT: u64 = 1024;

/// GETQUOTA.
pub(crate) async fn get(service: &Service, io: &mut Io<'_>, account: AccountId, root: &[u8]) -> Reply {
    let known = root == ROOT;
    match storage(service, account).await {
        Ok(Some((used, quota))) if known => {
            write_quota(&mut io.out, used, quota);
            Reply::ok("That is how much there is")
        }
        Ok(_) => Reply::no(Code::NonExistent, "There is no such quota root"),
        Err(error) => refusal(&error),
    }
}

/// GETQUOTAROOT.
pub(crate) async fn get_root(service: &Service, io: &mut Io<'_>, account: AccountId, name: &str) -> Reply {
    let found = async {
        // How much room another has is not told.
        let is_own = find(service, account, name, Rights::READ).await?.is_own;
        if is_own { storage(service, account).await } else { Ok(None) }
    };
    let storage = match found.await {
        Ok(storage) => storage,
        Err(error) => return refusal(&error),
    };
    io.out.extend_from_slice(b"* QUOTAROOT ");
    write::mailbox(&mut io.out, name, io.enabled.names());
    // RFC 9208 §4.2.2: without a quota there is no root.
    if let Some((used, quota)) = storage {
        io.out.push(b' ');
        write::astring(&mut io.out, ROOT);
        io.out.extend_from_slice(b"\r\n");
        write_quota(&mut io.out, used, quota);
    } else {
        io.out.extend_from_slice(b"\r\n");
    }
    Reply::ok("That is all")
}

/// Octets used and allowed.
async fn storage(service: &Service, account: AccountId) -> StoreResult<Option<(u64, u64)>> {
    let account = service.store.account(account).await?;
    Ok(account.and_then(|account| account.quota.map(|quota| (account.used, quota))))
}

/// `* QUOTA root (STORAGE used limit)`
fn write_quota(out: &mut Vec<u8>, used: u64, quota: u64) {
    out.extend_from_slice(b"* QUOTA ");
    write::astring(out, ROOT);
    let (used, quota) = (used.div_ceil(UNIT), quota / UNIT);
    out.extend_from_slice(format!(" (STORAGE {used} {quota})\r\n").as_bytes());
}

/// STATUS DELETED-STORAGE (RFC 9208 §4.1.4): octets that an EXPUNGE would free.
pub(crate) async fn deleted_storage(service: &Service, mailbox: MailboxId) -> StoreResult<u64> {
    let newest = service.store.watch(mailbox).await?.newest().ok_or(StoreError::MailboxGone(mailbox))?;
    let deleted = newest.iter().filter(|row| row.flags.contains(Flags::DELETED));
    Ok(deleted.map(|row| u64::from(row.size)).sum())
}
