//! Fills a mailbox through the store, faster than any client could.
//!
//! `fill-mailbox DIR ADDRESS MESSAGES [MAILBOXES]`: the account ADDRESS of the store in DIR, which nobody has open, gets so
//! many messages into its INBOX (`bench::letters`; beyond 20,000 they are copies, a row each that shares the octets),
//! and new mailboxes with twenty of them each until it has so many.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a program that measures may fail loudly")]

use std::path::PathBuf;

use bench::letters::Letters;
use bench::{now, open, uids};
use mail::{AccountId, Address, Domain, MailboxId, limits};
use store::{AppendMessage, DirectoryEntry, Store};
use store_local::LocalStore;

/// Messages that are not copies, at most.
const WRITTEN: u32 = 20_000;

/// Messages in each of the other mailboxes, and copied at once.
const FEW: u32 = 20;
const AT_ONCE: u32 = 10_000;

async fn write(store: &LocalStore, mailbox: MailboxId, count: u32) {
    let letters = Letters::default();
    let all: Vec<u32> = (0..count).collect();
    for some in all.chunks(limits::IMAP_APPEND_MESSAGES) {
        let mut messages = Vec::new();
        for n in some {
            let letter = letters.message(*n);
            let mut stage = store.stage(Some(letter.bytes.len() as u64)).await.unwrap();
            stage.write(&letter.bytes).await.unwrap();
            let message = AppendMessage { flags: letter.flags, keywords: Vec::new(), internal_date: letter.date };
            messages.push((stage, message));
        }
        store.append(mailbox, messages, now()).await.unwrap().into_inner();
    }
}

async fn copy(store: &LocalStore, mailbox: MailboxId, written: u32, count: u32) {
    let mut there = written;
    while there < count {
        let some = AT_ONCE.min(written).min(count - there);
        let first = 1 + there % (written - some + 1);
        store.copy(mailbox, &uids(first, first + some), mailbox, now()).await.unwrap().into_inner();
        there += some;
    }
}

async fn more_mailboxes(store: &LocalStore, account: AccountId, inbox: MailboxId, count: usize) {
    for n in store.mailboxes(account).await.unwrap().len()..count {
        let name = format!("Box {:02}/{n:04}", n % 20);
        let mailbox = store.create_mailbox(account, &name, None).await.unwrap().into_inner();
        store.subscribe(account, &name, true).await.unwrap().into_inner();
        store.copy(inbox, &uids(1, 1 + FEW), mailbox, now()).await.unwrap().into_inner();
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [dir, address, messages, more @ ..] = arguments.as_slice() else {
        panic!("fill-mailbox DIR ADDRESS MESSAGES [MAILBOXES]")
    };
    let (local, domain) = address.split_once('@').expect("ADDRESS has an @");
    let address = Address::new(local, Domain::from_ascii(domain).unwrap()).unwrap();
    let messages: u32 = messages.parse().expect("MESSAGES is a number");
    let store = open(&PathBuf::from(dir));
    let Some(DirectoryEntry::Account(account)) = store.entry(&address).await.unwrap() else {
        panic!("there is no such account")
    };
    let account = account.id;
    let inbox = store.mailbox(account, "INBOX").await.unwrap().unwrap();
    write(&store, inbox, messages.min(WRITTEN)).await;
    copy(&store, inbox, messages.min(WRITTEN), messages).await;
    if let [mailboxes] = more {
        more_mailboxes(&store, account, inbox, mailboxes.parse().expect("MAILBOXES is a number")).await;
    }
    store.close().await;
}
