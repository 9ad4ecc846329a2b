//! No account sees another's mail: requests are generated for every method, with another's account, and with another's ids
//! of all kinds in one's own. What others share is there as far as its rights go, whichever they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod world;

use std::collections::BTreeSet;

use mail::{Flags, MailboxId, Rights};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use store::{GrantChange, GrantOperation, Store};
use world::{NOW, USING, World, moment};

/// Stands in all that Alice has, and in nothing that is asked.
const SECRET: &str = "quartzfish";

/// What is about no account.
const OF_NO_ACCOUNT: [&str; 3] = ["Core/echo", "PushSubscription/get", "PushSubscription/set"];

const ALICE: &str = "A1";
const BOB: &str = "A2";

/// What Bob may put where an id stands.
struct Ids {
    /// Alice's, of all kinds.
    foreign: Vec<String>,
    all: Vec<String>,
    /// Creation ids that the request says are Alice's things (RFC 8620 §3.3).
    created: Map<String, Value>,
}

fn ask(world: &World, user: &str, request: &Value) -> Value {
    let reply = world.raw(user, request.to_string().as_bytes());
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(reply.status, 200, "{request} {body}");
    body
}

fn ids_of(answer: &Value) -> Vec<String> {
    answer["list"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

/// Alice with everything that an account can have, and Bob with a little.
fn two() -> (World, Ids) {
    let world = World::new();
    let message = format!(
        "From: {SECRET}@far.example\r\nSubject: lunch {SECRET}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n\
         lunch {SECRET}\r\n--b\r\nContent-Type: text/x; name={SECRET}\r\n\r\nlunch {SECRET}\r\n--b--\r\n"
    );
    let made = world.ok("Mailbox/set", json!({ "create": { "s": { "name": SECRET } } }));
    assert!(made["created"].is_object());
    for mailbox in ["INBOX", "Archive", SECRET] {
        world.append(mailbox, message.as_bytes(), NOW, Flags::NONE);
    }
    let notice = json!({ "isEnabled": true, "textBody": SECRET, "subject": SECRET });
    world.ok("VacationResponse/set", json!({ "update": { "singleton": notice } }));
    let phone = json!({ "deviceClientId": SECRET, "url": format!("https://push.example/{SECRET}"), "types": [SECRET] });
    let phone = world.ok("PushSubscription/set", json!({ "create": { "p": phone } }));
    let upload = world.ok("Blob/upload", json!({ "create": { "u": { "data": [{ "data:asText": SECRET }] } } }));
    let script = format!("# {SECRET}\r\nkeep;\r\n");
    let text = world.ok("Blob/upload", json!({ "create": { "s": { "data": [{ "data:asText": script }] } } }));
    let script = json!({ "name": SECRET, "blobId": text["created"]["s"]["id"] });
    let script = world.ok("SieveScript/set", json!({ "create": { "s": script }, "onSuccessActivateScript": "#s" }));
    let emails = world.ok("Email/get", json!({ "properties": ["id", "blobId", "threadId"] }));
    let of_emails = |name: &'static str| {
        emails["list"].as_array().unwrap().iter().map(move |email| email[name].as_str().unwrap().to_owned())
    };
    let mut foreign = ids_of(&world.ok("Mailbox/get", json!({ "properties": ["id"] })));
    foreign.extend(["id", "blobId", "threadId"].into_iter().flat_map(of_emails));
    foreign.extend(of_emails("blobId").map(|blob| format!("{blob}-2")));
    foreign.push(upload["created"]["u"]["id"].as_str().unwrap().to_owned());
    foreign.extend(["id", "blobId"].map(|name| script["created"]["s"][name].as_str().unwrap().to_owned()));
    foreign.push(phone["created"]["p"]["id"].as_str().unwrap().to_owned());
    foreign.push(ALICE.to_owned());

    let bobs = |name: &str, mut arguments: Value| {
        arguments["accountId"] = BOB.into();
        let request = json!({ "using": USING, "methodCalls": [[name, arguments, "0"]] });
        ask(&world, "bob", &request)["methodResponses"][0][1].clone()
    };
    let mut own = ids_of(&bobs("Mailbox/get", json!({ "properties": ["id"] })));
    let mine = json!({ "mailboxIds": { own[0].clone(): true }, "subject": "mine" });
    let made = bobs("Email/set", json!({ "create": { "k": mine } }));
    for name in ["id", "blobId", "threadId"] {
        own.push(made["created"]["k"][name].as_str().unwrap().to_owned());
    }
    let created: Map<String, Value> =
        foreign.iter().enumerate().map(|(n, id)| (format!("c{n}"), id.as_str().into())).collect();
    let mut all = foreign.clone();
    all.extend(foreign.iter().cloned());
    all.extend(created.keys().map(|key| format!("#{key}")));
    all.extend(own);
    (world, Ids { foreign, all, created })
}

fn id(ids: &Ids) -> impl Strategy<Value = String> + Clone + use<> {
    select(ids.all.clone())
}

fn list(ids: &Ids) -> impl Strategy<Value = Value> + Clone + use<> {
    proptest::collection::vec(id(ids), 0..4).prop_map(Value::from)
}

/// Members of an object that is made, or of a patch of one: wherever an id can stand stands one.
fn members(ids: &Ids) -> impl Strategy<Value = Value> + Clone + use<> {
    let named = |name: &'static str| id(ids).prop_map(move |id| (name.to_owned(), Value::from(id)));
    let word = |name: &'static str, value: Value| Just((name.to_owned(), value));
    let set = proptest::collection::vec(id(ids), 1..3)
        .prop_map(|ids| ids.into_iter().map(|id| (id, true.into())).collect::<Map<_, _>>());
    let part = id(ids).prop_map(|id| json!({ "blobId": id, "type": "text/x" }));
    let one = prop_oneof![
        set.prop_map(|set| ("mailboxIds".to_owned(), Value::Object(set))),
        id(ids).prop_map(|id| (format!("mailboxIds/{id}"), true.into())),
        prop_oneof![
            named("parentId"),
            named("blobId"),
            named("emailId"),
            named("threadId"),
            named("identityId"),
            named("id")
        ],
        part.clone().prop_map(|part| ("attachments".to_owned(), json!([part]))),
        part.clone()
            .prop_map(|part| ("bodyStructure".to_owned(), json!({ "type": "multipart/mixed", "subParts": [part] }))),
        part.prop_map(|part| ("data".to_owned(), json!([{ "blobId": part["blobId"] }]))),
        word("subject", "x".into()),
        word("name", "x".into()),
        word("isEnabled", true.into()),
        word("keywords/$seen", true.into()),
        word("keywords", json!({ "$flagged": true })),
    ];
    proptest::collection::vec(one, 0..4).prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn filter(ids: &Ids) -> impl Strategy<Value = Value> + Clone + use<> {
    let named = |name: &'static str| id(ids).prop_map(move |id| json!({ name: id }));
    let listed = |name: &'static str| list(ids).prop_map(move |ids| json!({ name: ids }));
    prop_oneof![
        Just(json!({})),
        Just(json!({ "text": "lunch" })),
        named("inMailbox"),
        named("parentId"),
        listed("inMailboxOtherThan"),
        listed("emailIds"),
        listed("threadIds"),
        listed("identityIds"),
    ]
}

/// Arguments of a method, by what its kind has. A kind that is not known here is a method that nobody thought of.
fn arguments(method: &str, ids: &Ids) -> BoxedStrategy<Value> {
    let (kind, what) = method.split_once('/').unwrap();
    let created = || members(ids).prop_map(|made| json!({ "k": made }));
    let since = || select(vec!["0", "1", "5", "none", "0-1"]);
    match what {
        "echo" => list(ids).prop_map(|ids| json!({ "ids": ids })).boxed(),
        "get" if kind == "SearchSnippet" => {
            (filter(ids), list(ids)).prop_map(|(filter, ids)| json!({ "filter": filter, "emailIds": ids })).boxed()
        }
        "get" => prop_oneof![Just(json!({})), list(ids).prop_map(|ids| json!({ "ids": ids }))].boxed(),
        "changes" => since().prop_map(|since| json!({ "sinceState": since })).boxed(),
        "query" => filter(ids).prop_map(|filter| json!({ "filter": filter })).boxed(),
        "queryChanges" => (filter(ids), since())
            .prop_map(|(filter, since)| json!({ "filter": filter, "sinceQueryState": since }))
            .boxed(),
        "set" => (created(), proptest::collection::vec((id(ids), members(ids)), 0..3), list(ids))
            .prop_map(|(create, update, destroy)| {
                let update: Map<String, Value> = update.into_iter().collect();
                json!({ "create": create, "update": update, "destroy": destroy })
            })
            .boxed(),
        "copy" if kind == "Blob" => list(ids).prop_map(|ids| json!({ "fromAccountId": ALICE, "blobIds": ids })).boxed(),
        "copy" => created().prop_map(|create| json!({ "fromAccountId": ALICE, "create": create })).boxed(),
        "import" => created().prop_map(|emails| json!({ "emails": emails })).boxed(),
        "parse" => list(ids).prop_map(|ids| json!({ "blobIds": ids })).boxed(),
        "lookup" => {
            list(ids).prop_map(|ids| json!({ "ids": ids, "typeNames": ["Email", "Mailbox", "Thread"] })).boxed()
        }
        "upload" => created().prop_map(|create| json!({ "create": create })).boxed(),
        "validate" => id(ids).prop_map(|id| json!({ "blobId": id })).boxed(),
        _ => panic!("what can {method} be asked?"),
    }
}

/// What an answer tells of, without what it says is not there, or could not be done.
fn told(value: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(out.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| told(item, out)),
        Value::Object(members) => {
            for (name, value) in members {
                if !name.starts_with("not") && name != "accountId" && name != "fromAccountId" {
                    out.insert(name.clone());
                    told(value, out);
                }
            }
        }
        _ => {}
    }
}

/// The same with other ids in the place of Alice's, which nobody has.
fn with_nobodys(text: &str, foreign: &[String]) -> String {
    let mut text = text.to_owned();
    for id in foreign.iter().filter(|id| *id != ALICE) {
        let nobodys = format!("{}777{}", &id[..1], &id[1..]);
        for (before, after) in [("\"", "\""), ("/", "\"")] {
            text = text.replace(&format!("{before}{id}{after}"), &format!("{before}{nobodys}{after}"));
        }
    }
    text
}

#[test]
fn nothing_of_others_comes_by_any_method() {
    let (world, ids) = two();
    let state = |world: &World| world.runtime.block_on(world.store.survey(world.account())).unwrap();
    let before = state(&world);
    for (method, _) in jmap::METHODS {
        let config = Config { cases: 80, failure_persistence: None, ..Config::default() };
        let request = |account: &str, arguments: &Value| {
            let mut arguments = arguments.clone();
            if !OF_NO_ACCOUNT.contains(method) {
                arguments["accountId"] = account.into();
            }
            json!({ "using": USING, "createdIds": ids.created, "methodCalls": [[method, arguments, "0"]] })
        };
        let run = TestRunner::new(config).run(&arguments(method, &ids), |arguments| {
            if *method == "Core/echo" {
                return Ok(());
            }
            // In her account: there is none such.
            let answer = ask(&world, "bob", &request(ALICE, &arguments));
            let first = &answer["methodResponses"][0];
            let kind = first[1]["type"].as_str().unwrap_or_default();
            let is_refused = OF_NO_ACCOUNT.contains(method)
                || first[0] == "error" && ["accountNotFound", "fromAccountNotFound"].contains(&kind);
            prop_assert!(is_refused, "{} {}", arguments, answer);
            // Her ids in his: nothing is told of them, and nothing happens to them.
            let asked = request(BOB, &arguments);
            let answer = ask(&world, "bob", &asked);
            let responses = &answer["methodResponses"];
            let text = responses.to_string();
            prop_assert!(!text.contains(SECRET) && !text.contains("serverFail"), "{} {}", arguments, text);
            let mut found = BTreeSet::new();
            told(responses, &mut found);
            let leaked: Vec<&String> = ids.foreign.iter().filter(|id| found.contains(*id)).collect();
            prop_assert!(leaked.is_empty(), "{:?}: {} {}", leaked, arguments, text);
            prop_assert_eq!(&state(&world), &before, "{}", arguments);
            // They are like ids that nobody has.
            let what = method.split_once('/').unwrap().1;
            if !["set", "import", "upload"].contains(&what) {
                let nobodys: Value = serde_json::from_str(&with_nobodys(&asked.to_string(), &ids.foreign)).unwrap();
                let other = ask(&world, "bob", &nobodys)["methodResponses"].to_string();
                prop_assert_eq!(with_nobodys(&text, &ids.foreign), other, "{}", arguments);
            }
            Ok(())
        });
        if let Err(why) = run {
            panic!("{method}: {why}");
        }
    }
    // Nor by their URLs.
    for id in &ids.foreign {
        for account in [ALICE, BOB] {
            let download = world.server.download(world.user("bob"), account, id, moment());
            assert!(world.runtime.block_on(download).unwrap().is_none(), "{account} {id}");
        }
    }
    let turn = world.server.begin_upload(world.user("bob")).unwrap();
    let reply = world.runtime.block_on(async {
        let stage = world.staged(b"x").await;
        world.server.upload(&turn, world.user("bob"), ALICE, "text/plain", stage, moment()).await
    });
    assert_eq!(reply.status, 404);
}

/// Alice shares Archive (F2) with Bob, by any rights: what her account says that he may do there he may do, and no more, and of
/// the rest there is nothing.
#[test]
fn what_is_shared_goes_as_far_as_its_rights() {
    let letters = proptest::sample::subsequence(b"lrswipkxteacd".to_vec(), 0..=13);
    let config = Config { cases: 48, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&letters, |letters| {
        let (world, _) = two();
        let rights = Rights::from_letters(&letters).unwrap();
        let grantee = Some(world.user("bob").account);
        let change = GrantChange { grantee, negative: false, operation: GrantOperation::Set, rights };
        world.runtime.block_on(world.store.grant(MailboxId(2), change)).unwrap().into_inner();
        let call = |name: &str, mut arguments: Value| {
            arguments["accountId"] = ALICE.into();
            world.calls("bob", &[json!([name, arguments, "0"])]).remove(0)
        };
        let said = String::from_utf8_lossy(&letters).into_owned();
        let got = call("Mailbox/get", json!({}));
        if !letters.contains(&b'l') {
            prop_assert_eq!(&got[1]["type"], "accountNotFound", "{}", said);
            return Ok(());
        }
        let mailboxes = got[1]["list"].as_array().unwrap();
        prop_assert_eq!(mailboxes.len(), 1);
        let may = |name: &str| mailboxes[0]["myRights"][name] == true;
        // Of the others nothing, whatever is asked.
        let everything = call("Email/get", json!({ "properties": ["id", "mailboxIds"] }));
        let emails = everything[1]["list"].as_array().unwrap();
        prop_assert_eq!(emails.len(), usize::from(may("mayReadItems")), "{}", said);
        let is_there = |email: &Value| email["mailboxIds"] == json!({ "F2": true });
        prop_assert!(emails.iter().all(is_there), "{}", everything);
        let query = call("Email/query", json!({ "filter": { "text": "lunch" } }));
        prop_assert_eq!(query[1]["ids"].as_array().unwrap().len(), emails.len());
        for method in ["VacationResponse/get", "SieveScript/get", "Quota/get"] {
            prop_assert_eq!(&call(method, json!({}))[1]["type"], "accountNotSupportedByMethod", "{}", method);
        }
        // What is done is done where the rights say so, and only there.
        let does = |name: &str, arguments: Value, place: &str| {
            let answer = call(name, arguments);
            (answer[1][place].is_object() || answer[1][place].is_array(), answer)
        };
        let email = emails.first().map_or("M2", |email| email["id"].as_str().unwrap()).to_owned();
        let flag = |keyword: &str| json!({ "update": { email.as_str(): { format!("keywords/{keyword}"): true } } });
        let mail = json!({ "mailboxIds": { "F2": true }, "subject": "x" });
        for (right, name, arguments, place) in [
            ("maySetSeen", "Email/set", flag("$seen"), "updated"),
            ("maySetKeywords", "Email/set", flag("work"), "updated"),
            ("mayAddItems", "Email/set", json!({ "create": { "k": mail } }), "created"),
            (
                "mayCreateChild",
                "Mailbox/set",
                json!({ "create": { "k": { "name": "below", "parentId": "F2" } } }),
                "created",
            ),
            ("mayRemoveItems", "Email/set", json!({ "destroy": [email.as_str()] }), "destroyed"),
            ("mayRename", "Mailbox/set", json!({ "update": { "F2": { "name": "renamed" } } }), "updated"),
        ] {
            let (done, answer) = does(name, arguments, place);
            prop_assert_eq!(done, may(right), "{} {} {}", said, right, answer);
        }
        // Never a mailbox of hers at the top, nor anything in another mailbox.
        let (made, _) = does("Mailbox/set", json!({ "create": { "k": { "name": "top" } } }), "created");
        let (put, _) = does("Email/set", json!({ "create": { "k": { "mailboxIds": { "F1": true } } } }), "created");
        let (moved, _) = does("Email/set", json!({ "update": { "M1": { "mailboxIds/F2": true } } }), "updated");
        prop_assert!(!made && !put && !moved, "{}", said);
        Ok(())
    });
    if let Err(why) = run {
        panic!("{why}");
    }
}
