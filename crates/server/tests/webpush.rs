//! Push subscriptions as a push service sees them: what comes to it, when, for whom it can be read, and what is never reached.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod push_service;
mod scene;

use std::sync::Arc;

use jmap::{Moment, Urls, User};
use mail::limits;
use push_service::{Client, Does, Pushed, SERVICE, Service};
use scene::World;
use serde_json::{Value, json};
use server::Shared;
use server::auth::Proof;
use store::conformance::{address, append};
use store::{AccountState, Credential, DirectoryEntry, Scopes, TokenKind};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

/// A system, and a push service outside.
struct Scene {
    shared: Arc<Shared>,
    service: Arc<Service>,
    pushed: UnboundedReceiver<Pushed>,
    /// Who asks.
    alice: User,
}

impl Scene {
    async fn new(shared: Arc<Shared>) -> Self {
        let (service, pushed) = Service::new();
        server::webpush::begin(&shared, &service.world()).await.unwrap();
        let Ok(Some(DirectoryEntry::Account(alice))) = shared.store.entry(&address("alice@red.example")).await else {
            panic!("no alice");
        };
        let alice = User {
            account: alice.id,
            address: alice.address.clone(),
            credential: Credential::Password(alice.password.clone()),
        };
        Self { shared, service, pushed, alice }
    }

    async fn set(&self, arguments: Value) -> Value {
        let request = json!({
            "using": ["urn:ietf:params:jmap:core"],
            "methodCalls": [["PushSubscription/set", arguments, "0"]],
        });
        let moment = Moment { now: self.shared.clock.now(), random: 7 };
        let reply = self.shared.jmap.request(&self.alice, request.to_string().as_bytes(), moment).await;
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["methodResponses"][0][0], "PushSubscription/set", "{body}");
        body["methodResponses"][0][1].clone()
    }

    /// Makes a subscription that is told at a URL.
    async fn create(&self, url: &str, types: Value, keys: Value) -> Result<String, String> {
        let new = json!({ "deviceClientId": "x", "url": url, "types": types, "keys": keys });
        let made = self.set(json!({ "create": { "k": new } })).await;
        match made["created"]["k"]["id"].as_str() {
            Some(id) => Ok(id.to_owned()),
            None => Err(made["notCreated"]["k"]["type"].as_str().unwrap().to_owned()),
        }
    }

    async fn say(&self, id: &str, code: &str) {
        let said = self.set(json!({ "update": { id: { "verificationCode": code } } })).await;
        assert!(said["updated"].as_object().unwrap().contains_key(id), "{said}");
    }

    /// The same with the code said. Nothing is on its way there.
    async fn subscribe(&mut self, path: &str, types: Value) -> String {
        let id = self.create(&format!("https://push.example{path}"), types, Value::Null).await.unwrap();
        let first = self.pushed_to(path).await.json();
        assert_eq!(
            (first["@type"].as_str(), first["pushSubscriptionId"].as_str()),
            (Some("PushVerification"), Some(&*id))
        );
        self.say(&id, first["verificationCode"].as_str().unwrap()).await;
        id
    }

    async fn next(&mut self) -> Pushed {
        self.pushed.recv().await.unwrap()
    }

    /// The next one, which goes there.
    async fn pushed_to(&mut self, path: &str) -> Pushed {
        let pushed = self.next().await;
        assert_eq!(pushed.path, path);
        pushed
    }

    async fn deliver(&self) {
        let inbox = self.shared.store.mailbox(self.alice.account, "INBOX").await.unwrap().unwrap();
        append(&*self.shared.store, inbox, b"Subject: x\r\n\r\n").await;
    }

    /// The state of Email.
    async fn state(&self) -> Value {
        self.shared.store.survey(self.alice.account).await.unwrap().modseq.0.to_string().into()
    }

    /// Of Email in a StateChange of the account's.
    fn told(&self, change: &Value) -> Value {
        assert_eq!(change["@type"], "StateChange", "{change}");
        change["changed"][format!("A{}", self.alice.account.0)]["Email"].clone()
    }

    fn reached_only_the_service(&self) -> bool {
        self.service.reached.lock().unwrap().iter().all(|to| to.ip() == SERVICE && to.port() == 443)
    }
}

/// Runs a test in virtual time: waits between tries pass when nothing else is to do.
fn play<F: Future>(shared: Arc<Shared>, test: impl FnOnce(Scene) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async { test(Scene::new(shared).await).await });
}

fn emails() -> Value {
    json!(["Email"])
}

/// RFC 8620 §7.2.2: at first the code and nothing else; once it came back what changed since, and what changes.
#[test]
fn a_client_is_told() {
    let mut world = World::new();
    let (shared, _) = world.system(true, |_| {});
    play(shared, async |mut scene: Scene| {
        let id =
            scene.create("https://push.example/1?x=y", json!(["EmailDelivery", "Email", "Todo"]), Value::Null).await;
        let first = scene.pushed_to("/1?x=y").await;
        scene.deliver().await;
        // RFC 8030 §5.2, §5.3; `PUSH_UNVERIFIED`: then it is of no use.
        let field = |pushed: &Pushed, name: &str| pushed.fields.get(name).cloned().unwrap_or_default();
        assert_eq!(field(&first, "ttl"), limits::PUSH_UNVERIFIED.as_secs().to_string());
        assert_eq!((field(&first, "urgency"), field(&first, "topic")), ("high".into(), String::new()));
        assert_eq!(
            (field(&first, "content-type"), field(&first, "content-encoding")),
            ("application/json".into(), String::new())
        );
        assert_eq!(field(&first, "host"), "push.example");
        for name in ["cookie", "referer", "origin"] {
            assert_eq!(field(&first, name), "");
        }
        let urls = Urls::default();
        let session = scene.shared.jmap.session_object(&scene.alice, &urls).await.unwrap();
        let session: Value = serde_json::from_slice(&session).unwrap();
        // RFC 9749 §3; RFC 8292 §2; `PUSH_SIGNED`
        let key = session["capabilities"]["urn:ietf:params:jmap:webpush-vapid"]["applicationServerKey"].clone();
        let claims = first.claims(key.as_str().unwrap());
        assert_eq!(
            (&claims["aud"], &claims["sub"]),
            (&json!("https://push.example"), &json!("https://mail.red.example/"))
        );
        let left = claims["exp"].as_i64().unwrap() - scene.shared.clock.now().secs();
        let most = i64::try_from(limits::PUSH_SIGNED.as_secs()).unwrap();
        assert!(left > 0 && left <= most && most <= 24 * 3600, "{left}");

        let first = first.json();
        assert_eq!(
            (&first["@type"], &first["pushSubscriptionId"]),
            (&json!("PushVerification"), &json!(id.clone().unwrap()))
        );
        let code = first["verificationCode"].as_str().unwrap();
        assert_eq!(code.len(), 22);
        scene.say(&id.unwrap(), code).await;
        // What came meanwhile. `PUSH_KEPT`
        let second = scene.pushed_to("/1?x=y").await;
        let now = scene.state().await;
        let account = format!("A{}", scene.alice.account.0);
        let both = json!({ account: { "Email": now, "EmailDelivery": now } });
        assert_eq!(second.json(), json!({ "@type": "StateChange", "changed": both }));
        assert_eq!(
            (field(&second, "urgency"), field(&second, "ttl")),
            ("normal".into(), limits::PUSH_KEPT.as_secs().to_string())
        );
        // RFC 8030 §5.4: 32 characters at most. The same is told again: the one before is of no use any more.
        let topic = field(&second, "topic");
        assert_eq!(topic.len(), 32);
        scene.deliver().await;
        let third = scene.pushed_to("/1?x=y").await;
        assert_eq!((scene.told(&third.json()), field(&third, "topic")), (scene.state().await, topic.clone()));
        // Something else is told.
        let sent = scene.shared.store.mailbox(scene.alice.account, "INBOX").await.unwrap().unwrap();
        scene.shared.store.expunge(sent, &[mail::Uid::FIRST]).await.unwrap().into_inner();
        let fourth = scene.pushed_to("/1?x=y").await;
        assert_eq!(scene.told(&fourth.json()), scene.state().await);
        assert!(field(&fourth, "topic") != topic && field(&fourth, "urgency") == "low");
        assert!(scene.reached_only_the_service());
    });
}

/// `PUSH_PAUSE` lies between two messages, however fast things change; the last one says all.
#[test]
fn changes_go_together() {
    let mut world = World::new();
    let (shared, _) = world.system(true, |_| {});
    play(shared, async |mut scene: Scene| {
        scene.subscribe("/a", emails()).await;
        for _ in 0..5 {
            scene.deliver().await;
        }
        let mut last: Option<Instant> = None;
        loop {
            let change = scene.pushed_to("/a").await.json();
            let now = Instant::now();
            assert!(last.is_none_or(|last| now.duration_since(last) >= limits::PUSH_PAUSE));
            last = Some(now);
            if scene.told(&change) == scene.state().await {
                break;
            }
        }
    });
}

/// RFC 8291: only the client can read it.
#[test]
fn messages_are_encrypted() {
    let mut world = World::new();
    let (shared, _) = world.system(true, |_| {});
    play(shared, async |mut scene: Scene| {
        let [one, other] = [Client::new(), Client::new()];
        let a = scene.create("https://push.example/a", emails(), one.keys()).await.unwrap();
        let first = scene.pushed_to("/a").await;
        assert_eq!(first.fields["content-type"], "application/json");
        let opened = one.open(&first);
        assert_eq!(opened["pushSubscriptionId"], json!(a));
        scene.set(json!({ "destroy": [a] })).await;
        // A key opens one message here: of the other's the second one.
        let b = scene.create("https://push.example/b", emails(), other.keys()).await.unwrap();
        scene.pushed_to("/b").await;
        let kept = scene.shared.store.push_subscriptions(scene.alice.account).await.unwrap().remove(0);
        scene.say(&b, &kept.given.code).await;
        scene.deliver().await;
        let change = other.open(&scene.pushed_to("/b").await);
        assert_eq!(scene.told(&change), scene.state().await);
    });
}

/// What a client wants to hear is another after it said so, and what it took away hears nothing.
#[test]
fn a_subscription_changes_and_goes() {
    let mut world = World::new();
    let (shared, _) = world.system(true, |_| {});
    play(shared, async |mut scene: Scene| {
        let a = scene.subscribe("/a", json!(["Mailbox"])).await;
        scene.deliver().await;
        assert!(scene.pushed_to("/a").await.json().to_string().contains("Mailbox"));
        scene.set(json!({ "update": { a.clone(): { "types": ["Email"] } } })).await;
        scene.deliver().await;
        let mut change = scene.pushed_to("/a").await.json();
        if scene.told(&change) != scene.state().await {
            // It had gone out before it was heard.
            change = scene.pushed_to("/a").await.json();
        }
        assert!(scene.told(&change) == scene.state().await && !change.to_string().contains("Mailbox"), "{change}");
        scene.set(json!({ "destroy": [a] })).await;
        scene.subscribe("/b", emails()).await;
        scene.deliver().await;
        scene.pushed_to("/b").await;
        scene.deliver().await;
        scene.pushed_to("/b").await;
    });
}

/// RFC 8620 §7.2: a subscription goes with the log-in that made it. Those of others stay.
#[test]
fn subscriptions_end_with_their_log_in() {
    let mut world = World::new();
    let (shared, _) = world.system(true, |_| {});
    play(shared, async |mut scene: Scene| {
        let password = scene.alice.credential.clone();
        let (token, secret) =
            scene.shared.auth.add_app_password(scene.alice.account, "x", Scopes::JMAP, None).await.unwrap();
        let found = scene.shared.auth.bearer(&secret, Scopes::JMAP, "127.0.0.1".parse().unwrap()).await.unwrap();
        scene.alice.credential = Proof::of_token(&found.unwrap().1).credential();
        scene.subscribe("/app", emails()).await;
        scene.alice.credential = password;
        scene.subscribe("/own", emails()).await;
        scene.deliver().await;
        let both = [scene.next().await.path, scene.next().await.path];
        assert!(both.contains(&"/app".to_owned()) && both.contains(&"/own".to_owned()), "{both:?}");
        let removed = scene.shared.store.remove_token(scene.alice.account, TokenKind::AppPassword, token).await;
        removed.unwrap().into_inner();
        for _ in 0..3 {
            scene.deliver().await;
            scene.pushed_to("/own").await;
        }
        assert_eq!(scene.shared.store.push_subscriptions(scene.alice.account).await.unwrap().len(), 1);
    });
}

/// An account that is disabled for a while is told nothing meanwhile, also not what it missed, and all of it afterwards.
#[test]
fn who_may_not_log_in_is_told_nothing() {
    let mut world = World::new();
    let (shared, _) = world.system(true, |_| {});
    play(shared, async |mut scene: Scene| {
        scene.subscribe("/email", emails()).await;
        scene.deliver().await;
        scene.pushed_to("/email").await;
        let become_now = async |state| {
            scene.shared.store.set_account_state(scene.alice.account, state).await.unwrap().into_inner();
        };
        become_now(AccountState::Disabled).await;
        scene.deliver().await;
        let heard = tokio::time::timeout(limits::PUSH_RETRY_MOST, scene.pushed.recv()).await;
        assert!(heard.is_err(), "{:?}", heard.unwrap().unwrap().path);
        become_now(AccountState::Active).await;
        let told = scene.pushed.recv().await.unwrap().json();
        assert_eq!(scene.told(&told), scene.state().await);
    });
}

/// What changed while the server was away is told when it is back, by the same key; who missed nothing is told nothing.
#[test]
fn a_restart_is_no_loss() {
    let mut world = World::new();
    let (shared, _) = world.system(true, |_| {});
    let key = |shared: &Arc<Shared>, user: &User| {
        let urls = Urls::default();
        let (shared, user) = (shared.clone(), user.clone());
        async move {
            let session = shared.jmap.session_object(&user, &urls).await.unwrap();
            let session: Value = serde_json::from_slice(&session).unwrap();
            session["capabilities"]["urn:ietf:params:jmap:webpush-vapid"].clone()
        }
    };
    let mut before = Value::Null;
    play(shared, async |mut scene: Scene| {
        scene.subscribe("/email", Value::Null).await;
        scene.subscribe("/identity", json!(["Identity"])).await;
        scene.deliver().await;
        let told = scene.pushed_to("/email").await.json();
        assert_eq!(scene.told(&told), scene.state().await);
        let noted = async || {
            let all = scene.shared.store.push_subscriptions(scene.alice.account).await.unwrap();
            all[0].given.told.contains(&format!(".{}.", scene.state().await.as_str().unwrap()))
        };
        while !noted().await {
            tokio::task::yield_now().await;
        }
        before = key(&scene.shared, &scene.alice).await;
    });
    world.switches.clear();
    // Nothing happened: nothing is told of that, and what happens then is told once.
    let (shared, _) = world.system(true, |_| {});
    play(shared, async |mut scene: Scene| {
        assert_eq!(key(&scene.shared, &scene.alice).await, before);
        scene.subscribe("/fence", emails()).await;
        scene.deliver().await;
        let both = [scene.next().await, scene.next().await];
        let now = scene.state().await;
        assert!(both.iter().all(|pushed| scene.told(&pushed.json()) == now));
        assert!(both.iter().all(|pushed| pushed.path == "/email" || pushed.path == "/fence"));
    });
    world.switches.clear();
    let (shared, _) = world.system(true, |_| {});
    world.runtime.block_on(async {
        let Ok(Some(DirectoryEntry::Account(alice))) = shared.store.entry(&address("alice@red.example")).await else {
            panic!("no alice");
        };
        let inbox = shared.store.mailbox(alice.id, "INBOX").await.unwrap().unwrap();
        append(&*shared.store, inbox, b"Subject: meanwhile\r\n\r\n").await;
    });
    play(shared, async |mut scene: Scene| {
        let now = scene.state().await;
        let both = [scene.next().await, scene.next().await];
        assert!(both.iter().all(|pushed| scene.told(&pushed.json()) == now && pushed.path != "/identity"));
    });
}

/// RFC 8030 §7.3: what the push service does not know any more is gone, here too.
#[test]
fn what_is_gone_there_goes_here() {
    let mut world = World::new();
    let (shared, _) = world.system(true, |_| {});
    play(shared, async |mut scene: Scene| {
        scene.service.does("/410", &[Does::Says("201 Created"), Does::Says("410 Gone")]);
        scene.service.does("/404", &[Does::Says("404 Not Found")]);
        scene.create("https://push.example/404", emails(), Value::Null).await.unwrap();
        scene.pushed_to("/404").await;
        scene.subscribe("/410", emails()).await;
        scene.deliver().await;
        scene.pushed_to("/410").await;
        while !scene.shared.store.push_subscriptions(scene.alice.account).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    });
}

/// RFC 8620 §7.2: what is not taken is tried again, and is then what changed up to now. `PUSH_RETRY_LEAST`, `PUSH_RETRY_MOST`.
#[test]
fn what_fails_is_tried_again() {
    let mut world = World::new();
    let (shared, _) = world.system(true, |_| {});
    play(shared, async |mut scene: Scene| {
        for (path, says) in [
            ("/429", "429 Too Many Requests\r\nRetry-After: 3600"),
            ("/503", "503 Service Unavailable\r\nRetry-After: 99999999999"),
            ("/403", "403 Forbidden"),
            ("/307", "307 Temporary Redirect\r\nLocation: https://inside.example/"),
        ] {
            let id = scene.subscribe(path, emails()).await;
            scene.service.does(path, &[Does::Says(says)]);
            let begin = tokio::time::Instant::now();
            scene.deliver().await;
            for _ in 0..3 {
                scene.pushed_to(path).await;
            }
            assert!(begin.elapsed() >= limits::PUSH_RETRY_LEAST);
            for _ in 0..3 {
                scene.deliver().await;
            }
            // Once it takes something, that is the newest, or the newest comes next: nothing piles up.
            while scene.pushed.try_recv().is_ok() {}
            scene.service.does(path, &[Does::Says("201 Created")]);
            let now = scene.state().await;
            let mut told = Value::Null;
            for _ in 0..3 {
                let change = scene.pushed_to(path).await.json();
                told = scene.told(&change);
                if told == now {
                    break;
                }
            }
            assert_eq!(told, now, "{path}");
            assert!(begin.elapsed() < limits::PUSH_RETRY_MOST * 10, "{path}");
            scene.set(json!({ "destroy": [id] })).await;
        }
        assert!(scene.reached_only_the_service());
    });
}

/// Who takes too little is told in fewer words, and at last nothing of that change. `PUSH_MESSAGE_LEN`, `PUSH_MESSAGE_LEAST`.
#[test]
fn what_is_too_long_is_cut() {
    let mut world = World::new();
    let (shared, _) = world.system(true, |_| {});
    play(shared, async |mut scene: Scene| {
        scene.subscribe("/a", emails()).await;
        scene.service.does("/a", &[Does::Says("413 Content Too Large")]);
        scene.deliver().await;
        let mut tries = 0;
        let mut most = limits::PUSH_MESSAGE_LEN;
        while most >= limits::PUSH_MESSAGE_LEAST {
            (tries, most) = (tries + 1, most / 2);
        }
        let old = scene.state().await;
        for _ in 0..tries {
            let told = scene.pushed_to("/a").await.json();
            assert_eq!(scene.told(&told), old);
        }
        scene.service.does("/a", &[Does::Says("201 Created")]);
        scene.deliver().await;
        let told = scene.pushed_to("/a").await.json();
        assert_eq!(scene.told(&told), scene.state().await);
    });
}

/// One that never answers holds up nobody else, nor does an answer without an end.
#[test]
fn a_slow_push_service_holds_up_nobody() {
    let mut world = World::new();
    let (shared, _) = world.system(true, |_| {});
    play(shared, async |mut scene: Scene| {
        scene.service.does("/endless", &[Does::Endless]);
        scene.subscribe("/endless", emails()).await;
        let mute = scene.subscribe("/mute", emails()).await;
        scene.service.does("/mute", &[Does::Silence]);
        scene.deliver().await;
        let first = [scene.next().await.path, scene.next().await.path];
        assert!(first.contains(&"/mute".to_owned()) && first.contains(&"/endless".to_owned()), "{first:?}");
        let begin = tokio::time::Instant::now();
        scene.deliver().await;
        let told = scene.pushed_to("/endless").await.json();
        assert_eq!(scene.told(&told), scene.state().await);
        assert!(begin.elapsed() < limits::OUTSIDE_TIMEOUT, "it waited for the other");
        // It is given up, and tried again.
        scene.pushed_to("/mute").await;
        scene.set(json!({ "destroy": [mute] })).await;
    });
}

/// No address that is not for all is ever reached, however it is named.
#[test]
fn nothing_private_is_reached() {
    let mut world = World::new();
    let (shared, _) = world.system(true, |_| {});
    play(shared, async |mut scene: Scene| {
        for url in [
            "http://push.example/",
            "https://127.0.0.1/",
            "https://10.1.2.3/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://192.168.0.1:443/",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[fe80::1]/",
            "https://push.example:25/",
            "https://user:word@push.example/",
            "https://user@push.example/",
            "file:///etc/passwd",
            "push.example",
            "https://",
        ] {
            assert_eq!(scene.create(url, Value::Null, Value::Null).await, Err("forbidden".into()), "{url}");
        }
        // What a name says is seen only when it is asked for.
        for url in ["https://inside.example/", "https://a.tens.example/"] {
            scene.create(url, Value::Null, Value::Null).await.unwrap();
        }
        scene.subscribe("/fence", emails()).await;
        for _ in 0..3 {
            scene.deliver().await;
            scene.pushed_to("/fence").await;
        }
        assert!(scene.reached_only_the_service());
    });
}

/// Tests may reach what the settings name, and nothing beside it.
#[test]
fn the_settings_open_a_way() {
    let mut world = World::new();
    let (shared, _) = world.system(true, |settings| settings.local.reach.push("127.0.0.1:8443".parse().unwrap()));
    play(shared, async |mut scene: Scene| {
        scene.create("https://127.0.0.1:8443/x", Value::Null, Value::Null).await.unwrap();
        assert_eq!(scene.pushed_to("/x").await.fields["host"], "127.0.0.1:8443");
        for url in ["https://127.0.0.1/", "https://127.0.0.2:8443/", "http://127.0.0.1:8443/"] {
            assert_eq!(scene.create(url, Value::Null, Value::Null).await, Err("forbidden".into()), "{url}");
        }
    });
}
