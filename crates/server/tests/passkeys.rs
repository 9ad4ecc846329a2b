//! Passkeys over HTTP, with a device in software: made, used in the place of password and code, and refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod scene;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;

use mail::{TokenId, limits};
use scene::World;
use serde_json::{Value, json};
use server::auth::{Occasion, PasskeySaid};
use server::listen::Service;
use server::passkey::RelyingParty;
use server::{LoginError, Shared};
use store::conformance::address;
use store::{Account, AccountState, DirectoryEntry, NewToken, Passkey, Scopes, Store, TokenHash, TokenKind};
use testkit::authenticator::{Authenticator, Got, base64url, from_base64url};

/// A server on plain HTTP, on loopback, and a browser that knows it as `localhost`.
struct Site {
    at: SocketAddr,
    shared: Arc<Shared>,
    world: World,
}

/// Status, header and JSON (null: none).
struct Answer {
    status: u16,
    header: String,
    body: Value,
}

impl Answer {
    /// The cookie that was given.
    fn cookie(&self) -> String {
        let line = self.header.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        line.split(';').next().unwrap().to_owned()
    }

    /// Status, and the problem's code.
    fn problem(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }
}

impl Site {
    fn new() -> Self {
        let mut world = World::new();
        let (shared, _) = world.system(true, |_| {});
        let at = world.web(Service::Http, &shared);
        Self { at, shared, world }
    }

    fn origin(&self) -> String {
        format!("http://localhost:{}", self.at.port())
    }

    fn device(&self, algorithm: i64) -> Authenticator {
        Authenticator::new(algorithm, "localhost", &self.origin())
    }

    /// As the host `localhost`, or another.
    fn ask_as(&self, host: &str, line: &str, cookie: &str, body: &Value) -> Answer {
        self.ask_while(host, line, (cookie, body), None)
    }

    /// The same; `meanwhile` happens once the server has let the request in and waits for its body.
    fn ask_while(
        &self,
        host: &str,
        line: &str,
        (cookie, body): (&str, &Value),
        meanwhile: Option<&dyn Fn()>,
    ) -> Answer {
        let (host, body) = (format!("{host}:{}", self.at.port()), body.to_string());
        let waits = if meanwhile.is_some() { "Expect: 100-continue\r\n" } else { "" };
        let request = format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\
             Content-Type: application/json\r\n{waits}Content-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(self.at).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        if let Some(meanwhile) = meanwhile {
            const GO_ON: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
            let mut said = [0; GO_ON.len()];
            stream.read_exact(&mut said).unwrap();
            assert_eq!(said, GO_ON);
            meanwhile();
        }
        stream.write_all(body.as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        let (header, body) = said.split_once("\r\n\r\n").unwrap();
        let status = header.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, header: header.to_owned(), body: serde_json::from_str(body).unwrap_or_default() }
    }

    fn ask(&self, line: &str, cookie: &str, body: &Value) -> Answer {
        self.ask_as("localhost", line, cookie, body)
    }

    /// A session by password.
    fn session(&self, who: &str) -> String {
        let answer = self.ask("POST /auth/login", "", &json!({ "address": who, "password": "secret" }));
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.cookie()
    }

    /// What a browser is to ask a device for.
    fn wish(&self, cookie: &str) -> Value {
        let answer = self.ask("POST /auth/passkeys", cookie, &json!({ "password": "secret" }));
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    fn confirm(&self, cookie: &str, challenge: &Value, device: &Authenticator) -> Answer {
        self.confirm_while((cookie, challenge), device, None)
    }

    fn confirm_while(
        &self,
        (cookie, challenge): (&str, &Value),
        device: &Authenticator,
        meanwhile: Option<&dyn Fn()>,
    ) -> Answer {
        let made = device.create(&from_base64url(challenge.as_str().unwrap()));
        let (client, attestation) = (base64url(&made.client_data), base64url(&made.attestation));
        let body = json!({ "name": "Key ring", "clientDataJSON": client, "attestationObject": attestation });
        self.ask_while("localhost", "POST /auth/passkeys/confirm", (cookie, &body), meanwhile)
    }

    /// Makes a passkey; gives the device's idea of whose it is.
    fn register(&self, cookie: &str, device: &Authenticator) -> (Value, u64) {
        let wish = self.wish(cookie);
        let answer = self.confirm(cookie, &wish["challenge"], device);
        assert_eq!(answer.status, 201, "{}", answer.body);
        (wish["user"]["id"].clone(), answer.body["id"].as_u64().unwrap())
    }

    fn challenge(&self) -> Vec<u8> {
        let answer = self.ask("POST /auth/login/challenge", "", &json!({}));
        assert_eq!((answer.status, &answer.body["rpId"]), (200, &json!("localhost")));
        assert_eq!(
            (&answer.body["userVerification"], &answer.body["allowCredentials"]),
            (&json!("required"), &json!([]))
        );
        from_base64url(answer.body["challenge"].as_str().unwrap())
    }

    fn log_in(&self, device: &mut Authenticator, user: &Value) -> Answer {
        let got = device.get(&self.challenge());
        self.ask("POST /auth/login/passkey", "", &said(device, user, &got))
    }

    fn account(&self, who: &str) -> Account {
        match self.world.runtime.block_on(self.world.store.entry(&address(who))).unwrap() {
            Some(DirectoryEntry::Account(account)) => *account,
            other => panic!("{other:?}"),
        }
    }
}

fn said(device: &Authenticator, user: &Value, got: &Got) -> Value {
    json!({
        "id": base64url(&device.credential), "clientDataJSON": base64url(&got.client_data), "userHandle": user,
        "authenticatorData": base64url(&got.authenticator_data), "signature": base64url(&got.signature),
    })
}

const REFUSED: (u16, &str) = (401, "refused");
const ALICE: &str = "alice@red.example";

#[test]
fn a_passkey_logs_in_without_password_and_code() {
    let site = Site::new();
    let cookie = site.session(ALICE);
    let mut devices = [site.device(-7), site.device(-8), site.device(-257)];
    devices[0].counter = 1;
    let made: Vec<(Value, u64)> = devices.iter().map(|device| site.register(&cookie, device)).collect();
    assert_eq!(made[0].0, made[1].0, "an account has two names to devices");
    let alice = site.account(ALICE).id;
    site.world.runtime.block_on(async {
        site.world.store.begin_totp(alice, vec![7; 20]).await.unwrap().into_inner();
        site.world.store.confirm_totp(alice, 1, Vec::new()).await.unwrap().into_inner();
    });
    for (device, (user, _)) in devices.iter_mut().zip(&made) {
        let answer = site.log_in(device, user);
        assert_eq!((answer.status, answer.body.clone()), (200, json!({ "address": ALICE, "totp": true })));
        let session = site.ask("GET /auth/session", &answer.cookie(), &Value::Null);
        assert_eq!((session.status, &session.body["address"]), (200, &json!(ALICE)));
    }
    let listed = site.ask("GET /auth/passkeys", &cookie, &Value::Null).body;
    let passkeys = listed["passkeys"].as_array().unwrap();
    assert_eq!(passkeys.len(), 3);
    for (passkey, (_, id)) in passkeys.iter().zip(&made) {
        assert_eq!((&passkey["id"], &passkey["name"]), (&json!(id), &json!("Key ring")));
        assert_eq!((&passkey["used"]["from"], passkey["created"].is_number()), (&json!("127.0.0.1"), true));
    }
    // A new password leaves them as they are.
    let wish = json!({ "password": "secret", "new": "a much better one 7" });
    assert_eq!(site.ask("POST /auth/password", &cookie, &wish).status, 204);
    assert_eq!(site.log_in(&mut devices[0], &made[0].0).status, 200);
}

#[test]
fn what_a_device_is_asked_for() {
    let site = Site::new();
    let cookie = site.session(ALICE);
    let device = site.device(-7);
    let _ = site.register(&cookie, &device);
    let wish = site.wish(&cookie);
    assert_eq!(wish["rp"], json!({ "id": "localhost", "name": "mail.red.example" }));
    assert_eq!((&wish["user"]["name"], &wish["attestation"]), (&json!(ALICE), &json!("none")));
    let algorithms = wish["pubKeyCredParams"].as_array().unwrap().iter().map(|kind| kind["alg"].as_i64().unwrap());
    assert_eq!(algorithms.collect::<Vec<_>>(), [-8, -7, -257]);
    assert_eq!(wish["excludeCredentials"], json!([{ "type": "public-key", "id": base64url(&device.credential) }]));
    let chosen = &wish["authenticatorSelection"];
    assert_eq!((&chosen["residentKey"], &chosen["userVerification"]), (&json!("required"), &json!("required")));
    assert_ne!(wish["user"]["id"], site.wish(&site.session("bob@red.example"))["user"]["id"]);
}

#[test]
fn a_new_passkey_takes_the_password_and_the_session_that_asked() {
    let site = Site::new();
    let (cookie, other, bob) = (site.session(ALICE), site.session(ALICE), site.session("bob@red.example"));
    let wrong = site.ask("POST /auth/passkeys", &cookie, &json!({ "password": "wrong" }));
    assert_eq!(wrong.problem(), (403, "password"));
    assert_eq!(site.ask("POST /auth/passkeys", "", &json!({ "password": "secret" })).status, 401);
    let (device, challenge) = (site.device(-7), site.wish(&cookie)["challenge"].clone());
    for session in [&other, &bob] {
        assert_eq!(site.confirm(session, &challenge, &device).problem(), (422, "passkey"));
    }
    let of_log_in = json!(base64url(&site.challenge()));
    assert_eq!(site.confirm(&cookie, &of_log_in, &device).problem(), (422, "passkey"));
    assert_eq!(site.confirm(&cookie, &json!("AAAA"), &device).problem(), (422, "passkey"));
    assert_eq!(site.confirm(&cookie, &challenge, &device).status, 201);
    let again = site.confirm(&cookie, &challenge, &site.device(-7));
    assert_eq!(again.problem(), (422, "passkey"));
    assert!(again.body["detail"].as_str().unwrap().contains("begin again"), "{}", again.body);
    // A body that comes when the session is over makes nothing that would outlast it.
    let asked = (other.as_str(), &site.wish(&other)["challenge"]);
    let log_out = || assert_eq!(site.ask("POST /auth/logout", &other, &json!({})).status, 204);
    assert_eq!(site.confirm_while(asked, &site.device(-7), Some(&log_out)).status, 401);
    // A device that is another's already.
    let taken = site.confirm(&bob, &site.wish(&bob)["challenge"], &device);
    assert_eq!(taken.status, 409, "{}", taken.body);
}

#[test]
fn devices_that_do_otherwise_are_refused() {
    type Bend = fn(&mut Authenticator);
    let bends: [Bend; 6] = [
        |device| device.origin = "https://localhost".into(),
        |device| device.origin = "http://blue.example".into(),
        |device| device.site = "blue.example".into(),
        |device| device.flags = 0b001,
        |device| device.flags = 0b100,
        |device| device.format = "fido-u2f",
    ];
    let site = Site::new();
    let cookie = site.session(ALICE);
    for (n, bend) in bends.into_iter().enumerate() {
        let mut device = site.device(-7);
        bend(&mut device);
        let answer = site.confirm(&cookie, &site.wish(&cookie)["challenge"], &device);
        assert_eq!(answer.problem(), (422, "passkey"), "{n}");
        // Made well, and then it says otherwise; the attestation is of making alone.
        let mut device = site.device(-8);
        let (user, _) = site.register(&cookie, &device);
        bend(&mut device);
        let answer = site.log_in(&mut device, &user);
        if n < 5 {
            assert_eq!(answer.problem(), REFUSED, "{n}");
        } else {
            assert_eq!(answer.status, 200, "{n}");
        }
    }
}

#[test]
fn a_log_in_is_signed_for_once_by_who_it_is() {
    let site = Site::new();
    let (cookie, bob) = (site.session(ALICE), site.session("bob@red.example"));
    let (mut device, mut of_bob) = (site.device(-7), site.device(-7));
    let ((user, id), (user_bob, _)) = (site.register(&cookie, &device), site.register(&bob, &of_bob));
    let post = |body: &Value| site.ask("POST /auth/login/passkey", "", body);

    // Again, with what was used; with what nobody asked; with what was asked for a new passkey.
    let got = device.get(&site.challenge());
    let body = said(&device, &user, &got);
    assert_eq!(post(&body).status, 200);
    assert_eq!(post(&body).problem(), REFUSED);
    let unasked = device.get(b"nobody asked for this");
    assert_eq!(post(&said(&device, &user, &unasked)).problem(), REFUSED);
    let of_making = from_base64url(site.wish(&cookie)["challenge"].as_str().unwrap());
    let got = device.get(&of_making);
    assert_eq!(post(&said(&device, &user, &got)).problem(), REFUSED);

    // Bob's device under alice's id, alice's under bob's name, and one that nobody has registered.
    let got = of_bob.get(&site.challenge());
    let mut body = said(&of_bob, &user, &got);
    body["id"] = json!(base64url(&device.credential));
    assert_eq!(post(&body).problem(), REFUSED);
    let got = device.get(&site.challenge());
    assert_eq!(post(&said(&device, &user_bob, &got)).problem(), REFUSED);
    assert_eq!(post(&said(&device, &json!(""), &got)).problem(), REFUSED);
    let mut stranger = site.device(-7);
    let unknown = site.log_in(&mut stranger, &user);
    assert_eq!(unknown.problem(), REFUSED);

    // What is refused is told alike.
    let got = Got { signature: vec![0; 70], ..device.get(&site.challenge()) };
    let wrong = post(&said(&device, &user, &got));
    assert_eq!((wrong.status, &wrong.body), (unknown.status, &unknown.body));

    // An app password's or a session's hash is no passkey; an unfinished or foreign JSON is told so.
    assert_eq!(post(&json!({ "id": "AA" })).status, 400);
    assert_eq!(post(&json!({ "id": "!", "clientDataJSON": "" })).status, 400);
    let rubbish = json!({
        "id": base64url(&device.credential), "clientDataJSON": "AAAA", "userHandle": user, "authenticatorData": "_____w",
        "signature": "",
    });
    assert_eq!(post(&rubbish).problem(), REFUSED);

    // Only its owner takes it away; then it is no good.
    assert_eq!(site.ask(&format!("DELETE /auth/passkeys/{id}"), &bob, &Value::Null).status, 404);
    assert_eq!(site.log_in(&mut device, &user).status, 200);
    // Whoever has the device may be in a session: all end but the one that takes the passkey away.
    let other = site.log_in(&mut device, &user).cookie();
    assert_eq!(site.ask("GET /auth/session", &other, &Value::Null).status, 200);
    assert_eq!(site.ask(&format!("DELETE /auth/passkeys/{id}"), &cookie, &Value::Null).status, 204);
    assert_eq!(site.ask("GET /auth/session", &other, &Value::Null).status, 401);
    assert_eq!(site.ask("GET /auth/session", &cookie, &Value::Null).status, 200);
    assert_eq!(site.log_in(&mut device, &user).problem(), REFUSED);
    assert_eq!(site.log_in(&mut of_bob, &user_bob).status, 200);
}

/// WebAuthn Level 3 §7.2: a counter that does not grow is that of a copy.
#[test]
fn a_counter_that_goes_back_is_refused() {
    let site = Site::new();
    let mut device = site.device(-7);
    device.counter = 7;
    let (user, _) = site.register(&site.session(ALICE), &device);
    assert_eq!(site.log_in(&mut device, &user).status, 200);
    for (before, good) in [(7, false), (6, false), (0, false), (8, true), (100, true), (99, false)] {
        device.counter = before;
        assert_eq!(site.log_in(&mut device, &user).status == 200, good, "{before}");
    }
}

#[test]
fn garbage_is_no_passkey() {
    let site = Site::new();
    let cookie = site.session(ALICE);
    let made = site.device(-7).create(&from_base64url(site.wish(&cookie)["challenge"].as_str().unwrap()));
    let confirm = |body: Value| site.ask("POST /auth/passkeys/confirm", &cookie, &body);
    let client = base64url(&made.client_data);
    for garbage in ["", "AA", "v_8", "o2NmbXRkbm9uZQ", "_____________________w", "o7__________"] {
        let answer = confirm(json!({ "name": "x", "clientDataJSON": client, "attestationObject": garbage }));
        assert_eq!(answer.problem(), (422, "passkey"), "{garbage}");
    }
    let attestation = base64url(&made.attestation);
    let nameless = confirm(json!({ "name": " ", "clientDataJSON": client, "attestationObject": attestation }));
    assert_eq!(nameless.status, 422);
    assert_eq!(confirm(json!({ "name": "x", "clientDataJSON": "a b", "attestationObject": attestation })).status, 400);
    assert_eq!(confirm(json!({ "name": "x", "clientDataJSON": client, "attestationObject": attestation })).status, 201);
}

/// WebAuthn Level 3 §5.1.3: browsers refuse addresses, so we say it first.
#[test]
fn an_address_is_no_site() {
    let site = Site::new();
    let login = json!({ "address": ALICE, "password": "secret" });
    for host in ["127.0.0.1", "[::1]"] {
        assert_eq!(site.ask_as(host, "POST /auth/login/challenge", "", &json!({})).problem(), (422, "name"), "{host}");
        let cookie = site.ask_as(host, "POST /auth/login", "", &login).cookie();
        let answer = site.ask_as(host, "POST /auth/passkeys", &cookie, &json!({ "password": "secret" }));
        assert_eq!(answer.problem(), (422, "name"), "{host}");
        assert!(answer.body["detail"].as_str().unwrap().contains("localhost"), "{}", answer.body);
        // What there is can be seen and taken away all the same.
        assert_eq!(site.ask_as(host, "GET /auth/passkeys", &cookie, &Value::Null).status, 200);
    }
}

/// `PASSKEYS_PER_ACCOUNT`, and one more, before a device is asked.
#[test]
fn passkeys_are_bounded() {
    let site = Site::new();
    let (cookie, alice) = (site.session(ALICE), site.account(ALICE).id);
    let add = |n: u8| {
        let passkey = Some(Passkey { credential: vec![n], key: vec![], counter: 0 });
        let (hash, name, from) = (TokenHash([n; 32]), String::new(), String::new());
        let new = NewToken {
            account: alice,
            kind: TokenKind::Passkey,
            hash,
            name,
            scopes: Scopes::MAIL,
            expires: None,
            from,
            passkey,
        };
        let added = site.world.store.add_token(new, mail::Timestamp::from_secs(1));
        let _ = site.world.runtime.block_on(added).unwrap();
    };
    (1..limits::PASSKEYS_PER_ACCOUNT).for_each(|n| add(u8::try_from(n).unwrap()));
    let _ = site.wish(&cookie);
    add(0);
    let more = site.ask("POST /auth/passkeys", &cookie, &json!({ "password": "secret" }));
    assert_eq!(more.problem(), (409, "limit"));
}

/// `LOGIN_FAILURES`, as a setting, of one address: counted with those of passwords; and who is disabled is not let in.
#[test]
fn log_ins_that_fail_count_as_elsewhere() {
    let site = Site::new();
    let mut device = site.device(-7);
    let (user, _) = site.register(&site.session(ALICE), &device);
    let (peer, auth) = (IpAddr::from([192, 0, 2, 7]), &site.shared.auth);
    let party = RelyingParty { id: "localhost".into(), origin: site.origin() };
    let mut say = |peer, good: bool| {
        let challenge = auth.passkey_challenge(if good { Occasion::LogIn } else { Occasion::Register(TokenId(1)) });
        let got = device.get(&challenge);
        let said = PasskeySaid {
            id: device.credential.clone(),
            client_data: got.client_data,
            authenticator_data: got.authenticator_data,
            signature: got.signature,
            user_handle: from_base64url(user.as_str().unwrap()),
        };
        site.world.runtime.block_on(auth.passkey(peer, &party, &said, 2)).map(|account| account.address.to_string())
    };
    assert_eq!(say(peer, false), Err(LoginError::Refused));
    assert_eq!(say(peer, true), Ok(ALICE.to_owned()), "forgiven");
    assert_eq!(say(peer, false), Err(LoginError::Refused));
    let web = site.world.runtime.block_on(auth.web(peer, ALICE, "wrong", None, 2));
    assert_eq!(web.unwrap_err(), LoginError::Refused);
    assert_eq!(say(peer, true), Err(LoginError::Wait));
    assert_eq!(say(IpAddr::from([198, 51, 100, 1]), true), Ok(ALICE.to_owned()));
    let alice = site.account(ALICE).id;
    let disabled = site.world.store.set_account_state(alice, AccountState::Disabled);
    let _ = site.world.runtime.block_on(disabled).unwrap();
    assert_eq!(say(IpAddr::from([198, 51, 100, 1]), true), Err(LoginError::Refused));
}
