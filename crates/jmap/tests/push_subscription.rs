//! Push subscriptions (RFC 8620 §7.2): whose they are, how long they last, and how many and how large they may be. The rest is
//! in tests/transcripts/jmap/push-subscription.txt.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use jmap::{Moment, User};
use mail::{Timestamp, limits};
use serde_json::{Value, json};
use store::{Credential, NewToken, Scopes, Store, TokenHash, TokenKind};
use world::{NOW, World};

fn phone() -> Value {
    json!({ "deviceClientId": "phone", "url": "https://push.example/1" })
}

fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut phone = phone();
    phone[name] = value.into();
    phone
}

/// The type of the error, or none.
fn create(world: &World, phone: Value) -> Option<String> {
    let made = world.ok("PushSubscription/set", json!({ "create": { "k": phone } }));
    made["notCreated"]["k"]["type"].as_str().map(str::to_owned)
}

/// Alice, let in by a token.
fn by_token(world: &World, kind: TokenKind, n: u8) -> User {
    let hash = TokenHash([n; 32]);
    let (account, name, from) = (world.account(), String::new(), String::new());
    let token = NewToken { account, kind, hash, name, scopes: Scopes::JMAP, expires: None, from, passkey: None };
    world.runtime.block_on(world.store.add_token(token, NOW)).unwrap().into_inner();
    User { credential: Credential::Token(hash), ..world.user("alice").clone() }
}

fn call(world: &World, user: &User, now: Timestamp, name: &str, arguments: Value) -> Value {
    let request = json!({ "using": ["urn:ietf:params:jmap:core"], "methodCalls": [[name, arguments, "0"]] });
    let moment = Moment { now, random: 7 };
    let reply = world.runtime.block_on(world.server.request(user, request.to_string().as_bytes(), moment));
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body["methodResponses"][0][0], name, "{body}");
    body["methodResponses"][0][1].clone()
}

/// RFC 8620 §7.2: who logs in by something else sees nothing of them, also in the same account, and they go with what made them.
#[test]
fn they_belong_to_the_log_in() {
    let world = World::new();
    let (session, app) = (by_token(&world, TokenKind::Session, 1), by_token(&world, TokenKind::AppPassword, 2));
    let password = world.user("alice").clone();
    let all = [&session, &app, &password];
    for user in all {
        let made = call(&world, user, NOW, "PushSubscription/set", json!({ "create": { "k": phone() } }));
        assert!(made["created"]["k"]["id"].is_string(), "{made}");
    }
    let seen = |user| {
        let got = call(&world, user, NOW, "PushSubscription/get", json!({ "properties": ["id"] }));
        got["list"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(all.map(seen), [["P1"], ["P2"], ["P3"]]);
    let foreign = json!({ "update": { "P1": { "verificationCode": "code" } }, "destroy": ["P3"] });
    let refused = call(&world, &app, NOW, "PushSubscription/set", foreign);
    let not_found = json!({ "type": "notFound" });
    assert_eq!((&refused["notUpdated"]["P1"], &refused["notDestroyed"]["P3"]), (&not_found, &not_found));
    let token = world.runtime.block_on(world.store.token(&TokenHash([2; 32]))).unwrap().unwrap();
    let removed = world.store.remove_token(world.account(), TokenKind::AppPassword, token.id);
    world.runtime.block_on(removed).unwrap().into_inner();
    assert_eq!((seen(&session), seen(&app), seen(&password)), (vec!["P1".into()], vec![], vec!["P3".into()]));
    let late = call(&world, &app, NOW, "PushSubscription/set", json!({ "create": { "k": phone() } }));
    assert_eq!(late["notCreated"]["k"]["type"], "forbidden");
    assert_eq!(*world.post.0.lock().unwrap(), [world.account(); 3]);
}

/// `PUSH_LIFETIME`: not a second longer by what has no end of its own; what has one bounds it by itself (RFC 8620 §7.2).
#[test]
fn they_end() {
    let world = World::new();
    let (session, app) = (by_token(&world, TokenKind::Session, 1), by_token(&world, TokenKind::AppPassword, 2));
    let text = |at: Timestamp| message::date::rfc3339(message::date::DateTime { timestamp: at, offset: 0 });
    let latest = NOW.plus(limits::PUSH_LIFETIME);
    let second_more = Timestamp::from_secs(latest.secs() + 1);
    let made = |user, expires: Option<Timestamp>| {
        let phone = with("expires", expires.map(text));
        call(&world, user, NOW, "PushSubscription/set", json!({ "create": { "k": phone } }))["created"]["k"].clone()
    };
    assert_eq!(made(&app, Some(latest)).get("expires"), None);
    assert_eq!(made(&app, Some(second_more))["expires"], text(latest));
    assert_eq!(made(&app, None)["expires"], text(latest));
    assert_eq!(made(&session, Some(second_more)).get("expires"), None);
    assert_eq!(made(&session, None)["expires"], Value::Null);
    let moved = json!({ "update": { "P1": { "expires": text(second_more) } } });
    let moved = call(&world, &app, NOW, "PushSubscription/set", moved);
    assert_eq!(moved["updated"]["P1"], json!({ "expires": text(latest) }));
    // Those that are over are not told of, though still on the disk.
    let ids = |now| call(&world, &app, now, "PushSubscription/get", json!({}))["list"].as_array().unwrap().len();
    let unverified = NOW.plus(limits::PUSH_UNVERIFIED);
    assert_eq!((ids(Timestamp::from_millis(unverified.millis() - 1)), ids(unverified)), (3, 0));
}

/// `PUSH_URL_LEN`, `PUSH_NAME_LEN`, `PUSH_TYPES`, and one more of each.
#[test]
fn they_are_small() {
    let world = World::new();
    let url = |len: usize| format!("https://push.example/{:x<1$}", "", len - 21);
    let names = |count: usize, len: usize| vec!["x".repeat(len); count];
    for (good, bad) in [
        (with("url", url(limits::PUSH_URL_LEN)), with("url", url(limits::PUSH_URL_LEN + 1))),
        (
            with("deviceClientId", "x".repeat(limits::PUSH_NAME_LEN)),
            with("deviceClientId", "x".repeat(limits::PUSH_NAME_LEN + 1)),
        ),
        (with("types", names(limits::PUSH_TYPES, 1)), with("types", names(limits::PUSH_TYPES + 1, 1))),
        (with("types", names(1, limits::PUSH_NAME_LEN)), with("types", names(1, limits::PUSH_NAME_LEN + 1))),
    ] {
        assert_eq!(create(&world, good), None);
        assert_eq!(create(&world, bad.clone()).as_deref(), Some("invalidProperties"), "{bad}");
    }
}

/// `PUSH_SUBSCRIPTIONS_PER_ACCOUNT` of an account, and one more; `PUSH_SUBSCRIPTIONS_PER_HOUR` made within an hour, and one more.
#[test]
fn they_are_few() {
    let world = World::new();
    for _ in 0..limits::PUSH_SUBSCRIPTIONS_PER_ACCOUNT {
        assert_eq!(create(&world, phone()), None);
    }
    assert_eq!(create(&world, phone()).as_deref(), Some("overQuota"));
    let all = world.ok("PushSubscription/get", json!({ "properties": ["id"] }));
    let ids: Vec<&Value> = all["list"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    world.ok("PushSubscription/set", json!({ "destroy": ids }));
    for _ in limits::PUSH_SUBSCRIPTIONS_PER_ACCOUNT + 1..limits::PUSH_SUBSCRIPTIONS_PER_HOUR {
        assert_eq!(create(&world, phone()), None);
    }
    world.ok("PushSubscription/set", json!({ "destroy": ["P60"] }));
    assert_eq!(create(&world, phone()).as_deref(), Some("rateLimit"));
}

/// What is told at first is what changed since it was made: its places are kept with it.
#[test]
fn what_the_client_knows_is_kept() {
    let world = World::new();
    create(&world, phone());
    let kept = || world.runtime.block_on(world.store.push_subscriptions(world.account())).unwrap();
    let modseq = world.runtime.block_on(world.store.survey(world.account())).unwrap().modseq.0;
    let told = kept().remove(0).given.told;
    assert!(told.starts_with(&format!("A1.{modseq}.")), "{told}");
    let shown = format!("{:?}", kept());
    assert!(!shown.contains("push.example") && !shown.contains("code\""), "{shown}");
}

/// Where nobody carries them, there are none, and no key is told.
#[test]
fn nobody_carries_them() {
    let world = World::new();
    let server = jmap::Server::new(world.store.clone());
    let request = json!({
        "using": ["urn:ietf:params:jmap:core"],
        "methodCalls": [["PushSubscription/set", { "create": { "k": phone() } }, "0"]],
    });
    let ask = |request: &Value| {
        let moment = Moment { now: NOW, random: 7 };
        let reply = world.runtime.block_on(server.request(world.user("alice"), request.to_string().as_bytes(), moment));
        serde_json::from_slice::<Value>(&reply.body).unwrap()
    };
    assert_eq!(ask(&request)["methodResponses"][0][1]["notCreated"]["k"]["type"], "forbidden");
    let vapid = json!({ "using": ["urn:ietf:params:jmap:webpush-vapid"], "methodCalls": [] });
    assert_eq!(ask(&vapid)["type"], "urn:ietf:params:jmap:error:unknownCapability");
    let reply = world.raw("alice", vapid.to_string().as_bytes());
    assert_eq!(reply.status, 200);
}
