//! JMAP over a WebSocket (RFC 8887): requests and their answers, changes as they happen, and the end with the log-in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod scene;
mod websocket;

use std::collections::BTreeSet;

use mail::limits;
use serde_json::{Value, json};
use store::conformance::append;
use store::{AccountState, PasswordHash, Store, TokenKind};
use websocket::{ALICE, CLOSE, FIRST, LAST, MORE, PING, PONG, Web, changed, frame, request};

/// RFC 8887 §4.3.2, §4.3.3, §4.3.4: each by its id, and errors of requests as well as those of calls.
#[test]
fn requests_are_answered() {
    let web = Web::new();
    web.world.runtime.block_on(async {
        let mut socket = web.open(ALICE).await;
        // RFC 6455 §1.3
        assert!(socket.head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{}", socket.head);
        assert!(socket.head.contains("sec-websocket-protocol: jmap\r\n"), "{}", socket.head);
        socket.say(&request("a", json!([["Core/echo", { "hello": "Grüße" }, "0"], ["No/get", {}, "1"]]))).await;
        let response = socket.hear().await;
        assert_eq!(
            (&response["@type"], &response["requestId"], &response["methodResponses"]),
            (
                &json!("Response"),
                &json!("a"),
                &json!([["Core/echo", { "hello": "Grüße" }, "0"], ["error", { "type": "unknownMethod" }, "1"]])
            )
        );
        assert!(response["sessionState"].is_string());
        let using = ["urn:ietf:params:jmap:mail"];
        let create = json!([["Mailbox/set", { "accountId": format!("A{}", web.alice.0), "create": { "x": { "name": "Plans" } } }, "0"]]);
        socket.say(&json!({ "@type": "Request", "using": using, "createdIds": {}, "methodCalls": create })).await;
        let response = socket.hear().await;
        assert!(response.get("requestId").is_none() && response["createdIds"]["x"].is_string(), "{response}");

        for (wrong, id, kind) in [
            (json!({ "@type": "Request", "id": "b", "using": ["x"], "methodCalls": [] }), json!("b"), "unknownCapability"),
            (json!({ "@type": "Request", "id": "c" }), json!("c"), "notRequest"),
            (request("d", json!(vec![json!(["Core/echo", {}, "0"]); limits::JMAP_CALLS + 1])), json!("d"), "limit"),
            (json!([]), Value::Null, "notRequest"),
        ] {
            socket.say(&wrong).await;
            let error = socket.hear().await;
            assert_eq!((&error["@type"], &error["requestId"]), (&json!("RequestError"), &id));
            assert_eq!(error["type"], format!("urn:ietf:params:jmap:error:{kind}"));
        }
        socket.send(&frame(websocket::TEXT, b"{")).await;
        assert_eq!(socket.hear().await["type"], "urn:ietf:params:jmap:error:notJSON");
        // RFC 6455 §5.5.1: who closes is answered the same.
        socket.send(&frame(CLOSE, &1000_u16.to_be_bytes())).await;
        assert_eq!(socket.closed().await, 1000);
    });
}

/// Many at once, more than `JMAP_REQUESTS_AT_ONCE`: those that are too many wait, and none is refused or lost.
#[test]
fn who_asks_much_at_once_is_answered_in_turn() {
    let web = Web::new();
    web.world.runtime.block_on(async {
        let (mut one, mut two) = (web.open(ALICE).await, web.open(ALICE).await);
        let many = 5 * limits::JMAP_REQUESTS_AT_ONCE;
        let mailboxes = json!([["Mailbox/get", { "accountId": format!("A{}", web.alice.0), "ids": null }, "0"]]);
        let all: Vec<u8> = (0..many)
            .flat_map(|n| frame(websocket::TEXT, request(&n.to_string(), mailboxes.clone()).to_string().as_bytes()))
            .collect();
        one.send(&all).await;
        two.send(&all).await;
        for socket in [&mut one, &mut two] {
            let mut answered = BTreeSet::new();
            for _ in 0..many {
                let response = socket.hear().await;
                assert_eq!(response["@type"], "Response", "{response}");
                answered.insert(response["requestId"].as_str().unwrap().to_owned());
            }
            assert_eq!(answered.len(), many);
        }
    });
}

/// RFC 6455 §5.4, §5.5: a message in pieces with a ping in between; answers longer than `JMAP_SOCKET_FRAME` come in frames of that.
#[test]
fn messages_come_in_pieces() {
    let web = Web::new();
    web.world.runtime.block_on(async {
        let mut socket = web.open(ALICE).await;
        let text = "ü".repeat(limits::JMAP_SOCKET_FRAME);
        let octets = request("a", json!([["Core/echo", { "text": text }, "0"]])).to_string().into_bytes();
        // Between the two octets of a character, too.
        let (first, rest) = octets.split_at(octets.len() / 3);
        let (second, third) = rest.split_at(octets.len() / 3 + 1);
        socket.send(&frame(FIRST, first)).await;
        socket.send(&frame(PING, b"there?")).await;
        assert_eq!(socket.frame().await, Some((PONG, b"there?".to_vec())));
        socket.send(&frame(MORE, second)).await;
        socket.send(&frame(PONG, b"nobody asked")).await;
        socket.send(&frame(LAST, third)).await;
        let (mut frames, mut answer) = (Vec::new(), Vec::new());
        loop {
            let (kind, payload) = socket.frame().await.unwrap();
            frames.push((kind, payload.len()));
            answer.extend(payload);
            if kind & 0x80 != 0 {
                break;
            }
        }
        let (last, others) = frames.split_last().unwrap();
        assert_eq!(others, [(FIRST, limits::JMAP_SOCKET_FRAME), (MORE, limits::JMAP_SOCKET_FRAME)]);
        assert_eq!(last.0, LAST);
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["methodResponses"][0][1]["text"], text);
    });
}

fn enable(types: Option<&[&str]>, push_state: Option<&Value>) -> Value {
    let mut wish = json!({ "@type": "WebSocketPushEnable", "dataTypes": types });
    if let Some(push_state) = push_state {
        wish["pushState"] = push_state.clone();
    }
    wish
}

/// RFC 8887 §4.3.5: who wants it hears of changes of these types from then on, and of what it missed where it says what it knows.
#[test]
fn changes_are_told_as_they_happen() {
    let web = Web::new();
    web.world.runtime.block_on(async {
        let sent = web.world.store.mailbox(web.alice, "Sent").await.unwrap().unwrap();
        let mut socket = web.open(ALICE).await;
        // What comes before the wish is heeded is not told, however soon after it: the mailbox alone is.
        web.deliver().await;
        socket.say(&enable(None, None)).await;
        socket.echo().await;
        web.world.store.create_mailbox(web.alice, "New", None).await.unwrap().into_inner();
        let change = socket.hear().await;
        assert_eq!(changed(&change), ["Mailbox"]);

        // Other types, and none.
        socket.say(&enable(Some(&["EmailDelivery", "Nothing"]), None)).await;
        socket.echo().await;
        web.deliver().await;
        let delivered = socket.hear().await;
        assert_eq!(changed(&delivered), ["EmailDelivery"]);
        socket.say(&json!({ "@type": "WebSocketPushDisable" })).await;
        socket.echo().await;
        append(&*web.world.store, sent, b"Subject: y\r\n\r\n").await;
        // Told would be nothing before the answers to these.
        socket.echo().await;
        socket.echo().await;

        // Who was away is told at once what changed since, and nothing where nothing did.
        let mut again = web.open(ALICE).await;
        again.say(&enable(Some(&["Email", "Thread"]), Some(&delivered["pushState"]))).await;
        let missed = again.hear().await;
        assert_eq!(changed(&missed), ["Email", "Thread"]);
        again.say(&enable(None, Some(&missed["pushState"]))).await;
        again.echo().await;
        // What is not known is told as changed.
        again.say(&enable(Some(&["Mailbox"]), Some(&json!("unknown")))).await;
        assert_eq!(changed(&again.hear().await), ["Mailbox"]);
        web.deliver().await;
        assert_eq!(changed(&again.hear().await), ["Mailbox"]);
    });
}

/// A connection ends with its log-in, whether it hears of changes or not; others of the account stay.
#[test]
fn a_connection_ends_with_its_log_in() {
    let web = Web::new();
    web.world.runtime.block_on(async {
        let store = &web.world.store;
        let ((id, one), (_, other)) = (web.app_password().await, web.app_password().await);
        let cookie = web.cookie().await;
        let mut ends = web.open(&one).await;
        let mut stays = web.open(&other).await;
        stays.say(&enable(None, None)).await;
        let ours = [("Cookie", cookie.as_str()), ("Origin", "http://localhost")];
        let (mut browser, status) = web.ask(&ours).await;
        assert_eq!(status, 101);
        browser.say(&enable(None, None)).await;
        let mut password = web.open(ALICE).await;
        web.end(TokenKind::AppPassword, id).await;
        assert_eq!(ends.closed().await, 1008);
        let session = store.tokens(web.alice, TokenKind::Session).await.unwrap().remove(0);
        web.end(TokenKind::Session, session.id).await;
        assert_eq!(browser.closed().await, 1008);
        store.set_password(web.alice, PasswordHash("other".into()), None).await.unwrap().into_inner();
        assert_eq!(password.closed().await, 1008);
        // Another password is no end for an app password.
        stays.echo().await;
        store.set_account_state(web.alice, AccountState::Disabled).await.unwrap().into_inner();
        assert_eq!(stays.closed().await, 1008);
    });
}

/// When the server stops, each connection is told that it goes away (RFC 6455 §7.4.1).
#[test]
fn connections_end_when_the_server_stops() {
    let mut web = Web::new();
    let switch = web.world.switches.pop().unwrap();
    web.world.runtime.block_on(async {
        let (mut one, mut two) = (web.open(ALICE).await, web.open(ALICE).await);
        two.say(&enable(None, None)).await;
        two.echo().await;
        switch.stop();
        assert_eq!((one.closed().await, two.closed().await), (1001, 1001));
    });
}

/// `JMAP_SOCKETS_PER_ACCOUNT`, and one more; who leaves makes room.
#[test]
fn connections_of_an_account_are_bounded() {
    let web = Web::new();
    web.world.runtime.block_on(async {
        let mut all = Vec::new();
        for _ in 0..limits::JMAP_SOCKETS_PER_ACCOUNT {
            all.push(web.open(ALICE).await);
        }
        assert_eq!(web.ask(&[("Authorization", ALICE)]).await.1, 429);
        web.open(websocket::BOB).await.echo().await;
        let mut leaves = all.pop().unwrap();
        leaves.send(&frame(CLOSE, b"")).await;
        while leaves.frame().await.is_some() {}
        drop(leaves);
        all.push(web.open(ALICE).await);
        for socket in &mut all {
            socket.echo().await;
        }
    });
}
