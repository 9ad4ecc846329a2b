//! URLs that others may follow (RFC 4467), where the store or the operator has a say.
#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use mail::Timestamp;
use store::{AccountState, Store};
use world::{Client, OTHER, RUNTIME, Settings, USER, World};

fn logged_in(world: &World, who: &str) -> Client {
    let mut client = world.connect(Settings::default());
    client.read_until(|bytes| bytes.ends_with(b"\r\n"));
    client.command(&format!("LOGIN {who} secret"));
    client
}

fn authorized(client: &mut Client, rump: &str) -> String {
    let said = client.command(&format!("GENURLAUTH \"{rump}\" INTERNAL"));
    said.split('"').nth(1).unwrap().to_owned()
}

/// RFC 4467 §7: URLFETCH "executes with the access of the userid in the server component": one who is disabled gives nothing
/// away, and one who is removed has no keys.
#[test]
fn whoever_may_not_log_in_gives_nothing_away() {
    let world = World::new();
    world.append("INBOX", b"Subject: x\r\n\r\n", Timestamp::from_secs(1_793_000_000));
    let url = authorized(
        &mut logged_in(&world, USER),
        "imap://alice%40red.example@mail.red.example/INBOX/;UID=1;URLAUTH=anonymous",
    );
    let mut bob = logged_in(&world, OTHER);
    let mut is_read = || bob.command(&format!("URLFETCH \"{url}\"")).contains("Subject: x");
    assert!(is_read());
    for (state, read) in [(AccountState::Disabled, false), (AccountState::Active, true)] {
        RUNTIME.block_on(world.store.set_account_state(world.account, state)).unwrap().into_inner();
        assert_eq!(is_read(), read);
    }
    RUNTIME.block_on(world.store.remove_account(world.account)).unwrap().into_inner();
    assert!(!is_read());
}

/// The server's name is that of its URLs: with another name, those of before are of another server.
#[test]
fn urls_are_of_the_server_by_its_name() {
    let world = World::new();
    world.append("INBOX", b"Subject: x\r\n\r\n", Timestamp::from_secs(1_793_000_000));
    let mut alice = logged_in(&world, USER);
    let url = authorized(
        &mut alice,
        "imap://alice%40red.example@MAIL.red.example:993/INBOX/;UID=1;URLAUTH=user+alice%40RED.example",
    );
    assert!(alice.command(&format!("URLFETCH \"{url}\"")).contains("Subject: x"));
    world.service.rename("new.red.example");
    assert!(alice.command(&format!("URLFETCH \"{url}\"")).contains(" NIL\r\n"));
}
