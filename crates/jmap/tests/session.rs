//! The session object (RFC 8620 §2).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use jmap::Urls;
use mail::{MailboxId, Rights, limits};
use serde_json::{Value, json};
use store::{GrantChange, GrantOperation, Store};
use world::World;

fn session(world: &World, user: &str) -> Value {
    let urls = Urls {
        api: "/jmap/api".into(),
        download: "/jmap/download/{accountId}/{blobId}/{name}?type={type}".into(),
        upload: "/jmap/upload/{accountId}/".into(),
        event_source: "/jmap/events?types={types}&closeafter={closeafter}&ping={ping}".into(),
        socket: "wss://mail.red.example/jmap/ws".into(),
    };
    let octets = world.runtime.block_on(world.server.session_object(world.user(user), &urls)).unwrap();
    serde_json::from_slice(&octets).unwrap()
}

#[test]
fn what_a_client_must_know() {
    let world = World::new();
    let alice = session(&world, "alice");
    assert_eq!((&alice["username"], &alice["apiUrl"]), (&json!("alice@red.example"), &json!("/jmap/api")));
    let core = &alice["capabilities"]["urn:ietf:params:jmap:core"];
    assert_eq!(core["maxSizeUpload"], limits::MESSAGE_SIZE);
    assert_eq!(core["maxConcurrentUpload"], limits::JMAP_UPLOADS_AT_ONCE);
    assert_eq!(core["maxConcurrentRequests"], limits::JMAP_REQUESTS_AT_ONCE);
    assert_eq!(core["maxCallsInRequest"], limits::JMAP_CALLS);
    for name in world::USING {
        assert_eq!(alice["primaryAccounts"][name], "A1", "{name}");
        assert!(alice["accounts"]["A1"]["accountCapabilities"][name].is_object(), "{name}");
        assert!(alice["capabilities"][name].is_object(), "{name}");
    }
    // RFC 8887 §3.1: of the session, and of no account.
    let socket = json!({ "url": "wss://mail.red.example/jmap/ws", "supportsPush": true });
    assert_eq!(alice["capabilities"]["urn:ietf:params:jmap:websocket"], socket);
    assert!(alice["primaryAccounts"].get("urn:ietf:params:jmap:websocket").is_none());
    // RFC 9749 §3
    let vapid = "urn:ietf:params:jmap:webpush-vapid";
    assert_eq!(alice["capabilities"][vapid], json!({ "applicationServerKey": "BKey" }));
    assert!(alice["primaryAccounts"].get(vapid).is_none());
    assert_eq!(alice["accounts"].as_object().unwrap().len(), 1);
    assert_eq!(alice["accounts"]["A1"]["isPersonal"], true);
    // The state that each response tells.
    let request = json!({ "using": world::USING, "methodCalls": [] }).to_string();
    let told: Value = serde_json::from_slice(&world.raw("alice", request.as_bytes()).body).unwrap();
    assert_eq!(told["sessionState"], alice["state"]);
}

/// RFC 8620 §1.6.2: an account that others share mailboxes of is there, and the state is another one then.
#[test]
fn accounts_that_others_share() {
    let world = World::new();
    let before = session(&world, "bob");
    let grant = |letters: &str| {
        let rights = Rights::from_letters(letters.as_bytes()).unwrap();
        let change = GrantChange {
            grantee: Some(world.user("bob").account),
            negative: false,
            operation: GrantOperation::Set,
            rights,
        };
        world.runtime.block_on(world.store.grant(MailboxId(2), change)).unwrap().into_inner();
    };
    grant("lr");
    let shared = session(&world, "bob");
    assert_ne!(shared["state"], before["state"]);
    let account = &shared["accounts"]["A1"];
    let told = (&account["name"], &account["isPersonal"], &account["isReadOnly"]);
    assert_eq!(told, (&json!("alice@red.example"), &json!(false), &json!(true)));
    assert!(account["accountCapabilities"].get("urn:ietf:params:jmap:quota").is_none());
    assert_eq!(account["accountCapabilities"]["urn:ietf:params:jmap:mail"]["mayCreateTopLevelMailbox"], false);
    assert_eq!(shared["primaryAccounts"]["urn:ietf:params:jmap:mail"], "A2");
    grant("lri");
    assert_eq!(session(&world, "bob")["accounts"]["A1"]["isReadOnly"], false);
    grant("");
    assert_eq!(session(&world, "bob"), before);
}
