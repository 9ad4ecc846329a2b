//! Requests of those who mean no good: the error that is specified, in bounded time and memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use mail::{Flags, limits};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use world::{NOW, USING, World};

fn problem(world: &World, octets: &[u8]) -> Value {
    let reply = world.raw("alice", octets);
    assert_eq!((reply.status, reply.content_type), (400, "application/problem+json"));
    serde_json::from_slice(&reply.body).unwrap()
}

/// `JMAP_REQUEST_LEN`, `JMAP_CALLS`: so much, and one more.
#[test]
fn requests_are_bounded() {
    let world = World::new();
    let padded = |len: usize| {
        let mut request = json!({ "using": USING, "methodCalls": [] }).to_string().into_bytes();
        request.resize(len, b' ');
        request
    };
    assert_eq!(world.raw("alice", &padded(limits::JMAP_REQUEST_LEN)).status, 200);
    let refused = problem(&world, &padded(limits::JMAP_REQUEST_LEN + 1));
    assert_eq!(
        (&refused["type"], &refused["limit"]),
        (&json!("urn:ietf:params:jmap:error:limit"), &json!("maxSizeRequest"))
    );
    let many = |count: usize| -> Vec<u8> {
        let calls: Vec<Value> = (0..count).map(|n| json!(["Core/echo", {}, n.to_string()])).collect();
        json!({ "using": USING, "methodCalls": calls }).to_string().into_bytes()
    };
    assert_eq!(world.raw("alice", &many(limits::JMAP_CALLS)).status, 200);
    assert_eq!(problem(&world, &many(limits::JMAP_CALLS + 1))["limit"], "maxCallsInRequest");
    assert_eq!(problem(&world, &many(1000))["limit"], "maxCallsInRequest");
}

/// `JMAP_DEPTH`: deeper than that it is no JSON, and a megabyte of brackets takes no stack.
#[test]
fn depth_is_bounded() {
    let world = World::new();
    let nested = |depth: usize| {
        format!(
            "{{\"using\":[],\"methodCalls\":[[\"Core/echo\",{{\"a\":{}{}}},\"0\"]]}}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    // Above it stand the request, the calls, the call and its arguments.
    assert_eq!(world.raw("alice", nested(limits::JMAP_DEPTH - 4).as_bytes()).status, 200);
    for octets in
        [nested(limits::JMAP_DEPTH - 3), nested(1_000_000), "[".repeat(1_000_000), "{\"a\":".repeat(1_000_000)]
    {
        assert_eq!(problem(&world, octets.as_bytes())["type"], "urn:ietf:params:jmap:error:notJSON");
    }
}

/// `JMAP_OBJECTS_IN_GET`, `JMAP_OBJECTS_IN_SET`: so many, and one more.
#[test]
fn objects_of_a_call_are_bounded() {
    let world = World::new();
    let ids = |letter: &str, count: usize| (0..count).map(|n| format!("{letter}{}", n + 100)).collect::<Vec<_>>();
    for (method, letter) in
        [("Mailbox/get", "F"), ("Email/get", "M"), ("Thread/get", "T"), ("Blob/get", "G"), ("Quota/get", "q")]
    {
        world.ok(method, json!({ "ids": ids(letter, limits::JMAP_OBJECTS_IN_GET) }));
        let more = ids(letter, limits::JMAP_OBJECTS_IN_GET + 1);
        assert_eq!(world.err(method, json!({ "ids": more })), "requestTooLarge", "{method}");
    }
    for method in ["Mailbox/set", "Email/set"] {
        world.ok(method, json!({ "destroy": ids("X", limits::JMAP_OBJECTS_IN_SET) }));
        let more = json!({ "destroy": ids("X", limits::JMAP_OBJECTS_IN_SET), "update": { "Y": {} } });
        assert_eq!(world.err(method, more), "requestTooLarge", "{method}");
    }
    // All at once, where that is more than may be asked for.
    for n in 0..=limits::JMAP_OBJECTS_IN_GET {
        world.append("INBOX", format!("Subject: {n}\r\n\r\n").as_bytes(), NOW, Flags::NONE);
    }
    assert_eq!(world.err("Email/get", json!({ "properties": ["id"] })), "requestTooLarge");
}

/// `JMAP_RESPONSE_LEN`: results of results grow by leaps, and are refused before they are there.
#[test]
fn responses_are_bounded() {
    let world = World::new();
    let text = "x".repeat(1 << 20);
    let mut calls = vec![json!(["Core/echo", { "text": text }, "0"])];
    for n in 1..limits::JMAP_CALLS {
        let before = json!({ "resultOf": (n - 1).to_string(), "name": "Core/echo", "path": "" });
        calls.push(json!(["Core/echo", { "#a": before, "#b": before, "#c": before }, n.to_string()]));
    }
    let responses = world.calls("alice", &calls);
    let refused = responses.iter().filter(|response| response[1]["type"] == "requestTooLarge").count();
    assert!(refused >= 1 && responses[1][0] == "Core/echo");
    let octets: usize = responses.iter().map(|response| response.to_string().len()).sum();
    assert!(octets <= limits::JMAP_RESPONSE_LEN + (1 << 20), "{octets}");
}

/// `JMAP_FILTER_CONDITIONS`, `JMAP_COMPARATORS`, `JMAP_QUERY`.
#[test]
fn queries_are_bounded() {
    let world = World::new();
    let filter =
        |count: usize| json!({ "filter": { "operator": "OR", "conditions": vec![json!({ "text": "x" }); count - 1] } });
    world.ok("Email/query", filter(limits::JMAP_FILTER_CONDITIONS));
    assert_eq!(world.err("Email/query", filter(limits::JMAP_FILTER_CONDITIONS + 1)), "unsupportedFilter");
    let words =
        |count: usize| json!({ "filter": { "text": (0..count).map(|n| format!("w{n} ")).collect::<String>() } });
    world.ok("Email/query", words(limits::JMAP_FILTER_CONDITIONS));
    assert_eq!(world.err("Email/query", words(limits::JMAP_FILTER_CONDITIONS + 1)), "unsupportedFilter");
    let sort = |count: usize| json!({ "sort": vec![json!({ "property": "size" }); count] });
    world.ok("Email/query", sort(limits::JMAP_COMPARATORS));
    assert_eq!(world.err("Email/query", sort(limits::JMAP_COMPARATORS + 1)), "unsupportedSort");
    let limit = |limit: usize| world.ok("Email/query", json!({ "limit": limit }));
    assert!(limit(limits::JMAP_QUERY).get("limit").is_none());
    assert_eq!(limit(limits::JMAP_QUERY + 1)["limit"], limits::JMAP_QUERY);
}

/// `JMAP_PARTS`, `JMAP_MAILBOXES_PER_EMAIL`, `JMAP_DATA_SOURCES`.
#[test]
fn what_is_made_is_bounded() {
    let world = World::new();
    let parts = |count: usize| {
        let leaf = json!({ "partId": "a", "type": "text/plain" });
        json!({ "create": { "k": { "mailboxIds": { "F1": true }, "bodyValues": { "a": { "value": "a" } },
            "bodyStructure": { "type": "multipart/mixed", "subParts": vec![leaf; count - 1] } } } })
    };
    assert!(world.ok("Email/set", parts(limits::JMAP_PARTS))["created"].is_object());
    assert_eq!(world.ok("Email/set", parts(limits::JMAP_PARTS + 1))["notCreated"]["k"]["type"], "invalidProperties");
    let create: serde_json::Map<String, Value> =
        (0..=limits::JMAP_MAILBOXES_PER_EMAIL).map(|n| (format!("m{n}"), json!({ "name": format!("m{n}") }))).collect();
    let made = world.ok("Mailbox/set", json!({ "create": create }));
    let ids: Vec<String> =
        made["created"].as_object().unwrap().values().map(|made| made["id"].as_str().unwrap().to_owned()).collect();
    let within = |count: usize| {
        let mailboxes: serde_json::Map<String, Value> =
            ids[..count].iter().map(|id| (id.clone(), true.into())).collect();
        world.ok("Email/set", json!({ "create": { "k": { "mailboxIds": mailboxes } } }))
    };
    assert!(within(limits::JMAP_MAILBOXES_PER_EMAIL)["created"].is_object());
    assert_eq!(within(limits::JMAP_MAILBOXES_PER_EMAIL + 1)["notCreated"]["k"]["type"], "tooManyMailboxes");
    let sources = |count: usize| json!({ "create": { "k": { "data": vec![json!({ "data:asText": "x" }); count] } } });
    assert_eq!(
        world.ok("Blob/upload", sources(limits::JMAP_DATA_SOURCES))["created"]["k"]["size"],
        limits::JMAP_DATA_SOURCES
    );
    assert_eq!(world.ok("Blob/upload", sources(limits::JMAP_DATA_SOURCES + 1))["notCreated"]["k"]["type"], "tooLarge");
}

/// Arguments of any kind: an answer or an error of the protocol, never a failure of the server.
#[test]
fn any_arguments_are_answered() {
    let world = World::new();
    world.fill(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/transcripts/jmap/messages"));
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "(F1|M1|M2|T1|G2-4|U1|#a|[a-z/]{0,4}|header:x:asDate|\\$seen|2026-01-01T00:00:00Z)".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        let names = "(id|name|F1|M1|mailboxIds|keywords|keywords/\\$seen|operator|conditions|text|property|data|blobId|partId|type|subParts|path)";
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map(names, inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    let names = "(ids|properties|bodyProperties|filter|sort|position|anchor|limit|create|update|destroy|sinceState|sinceQueryState|emails|blobIds|emailIds|typeNames|fromAccountId|#ids|maxChanges|collapseThreads|data)";
    let arguments = proptest::collection::btree_map(names, value, 0..4);
    let strategy = (0..jmap::METHODS.len(), arguments);
    let config = Config { cases: 3000, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&strategy, |(method, arguments)| {
            let mut arguments: serde_json::Map<String, Value> = arguments.into_iter().collect();
            arguments.entry("accountId").or_insert("A1".into());
            let request = json!({ "using": USING, "methodCalls": [[jmap::METHODS[method].0, arguments, "0"]] });
            let reply = world.raw("alice", request.to_string().as_bytes());
            prop_assert_eq!(reply.status, 200);
            let text = String::from_utf8(reply.body).unwrap();
            prop_assert!(!text.contains("serverFail"), "{} {}", request, text);
            Ok(())
        })
        .unwrap();
}

/// Any octets are answered.
#[test]
fn any_octets_are_answered() {
    let world = World::new();
    let config = Config { cases: 500, failure_persistence: None, ..Config::default() };
    let octets = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..100),
        "(\\{\"using\":\\[|\\]|,|\"methodCalls\":\\[|\\[|\"Core/echo\"|\\{\\}|\"a\"|\\}|:| ){0,20}"
            .prop_map(String::into_bytes),
    ];
    TestRunner::new(config)
        .run(&octets, |octets| {
            let status = world.raw("alice", &octets).status;
            prop_assert!(status == 400 || status == 200);
            Ok(())
        })
        .unwrap();
}
