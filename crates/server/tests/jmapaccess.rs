//! JMAPACCESS (RFC 9698) over real sockets: IMAP names JMAP to exactly those whose log-in is good there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod scene;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use scene::World;
use server::Shared;
use server::auth::add_app_password;
use server::listen::{Doors, Handler, Listener, Service};
use store::conformance::address;
use store::{DirectoryEntry, Scopes, Store};

const ALICE: &str = "alice@red.example";

/// Where IMAP and JMAP are. With `https` the settings say that HTTPS is open, which is what the URL names.
fn open(world: &mut World, https: bool) -> (Arc<Shared>, SocketAddr, SocketAddr) {
    let (shared, _) = world.system(false, |settings| {
        if https {
            settings.listening.push((Service::Https, SocketAddr::from(([127, 0, 0, 1], 8443))));
        }
    });
    let _inside = world.runtime.enter();
    let imap: Handler =
        Arc::new(|connection, service, shared| Box::pin(server::imap::serve(connection, service, shared)));
    let http: Handler = Arc::new(|connection, _, shared| Box::pin(server::http::serve(connection, shared)));
    let door = |service, handler| {
        let listener = Listener::bind(service, "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address().unwrap();
        world.runtime.spawn(Doors::open(vec![listener], shared.clone(), handler).stop());
        address
    };
    let (imap, http) = (door(Service::Imap, imap), door(Service::Http, http));
    (shared, imap, http)
}

/// A client of IMAP that logs in; `None`: it may not.
fn log_in(imap: SocketAddr, how: &str, password: &str) -> Option<impl FnMut(&str) -> String> {
    let mut stream = BufReader::new(TcpStream::connect(imap).unwrap());
    let mut say = move |command: &str| {
        stream.get_mut().write_all(format!("t {command}\r\n").as_bytes()).unwrap();
        let mut all = String::new();
        while !all.lines().last().is_some_and(|line| line.starts_with("t ")) {
            assert!(stream.read_line(&mut all).unwrap() > 0, "closed after {all}");
        }
        all
    };
    assert!(!say("CAPABILITY").contains("JMAPACCESS"), "a stranger is told nothing");
    let answer = match how {
        "LOGIN" => say(&format!("LOGIN {ALICE} {password}")),
        _ => say(&format!("AUTHENTICATE PLAIN {}", wire::sasl::encode(format!("\0{ALICE}\0{password}").as_bytes()))),
    };
    answer.contains("t OK").then_some(say)
}

/// Whether the same words are good at JMAP, which is asked in both ways.
fn is_good_at_jmap(http: SocketAddr, password: &str) -> bool {
    let get = |authorization: &str| {
        let mut stream = TcpStream::connect(http).unwrap();
        let request = format!(
            "GET /jmap/session HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let basic = get(&format!("Basic {}", wire::sasl::encode(format!("{ALICE}:{password}").as_bytes())));
    assert!(["200", "401"].contains(&basic.as_str()), "{basic}");
    // The account's own password is no token.
    let is_token = password != "secret";
    assert!(!is_token || get(&format!("Bearer {password}")) == basic);
    basic == "200"
}

fn alice(world: &World) -> store::Account {
    match world.runtime.block_on(world.store.entry(&address(ALICE))).unwrap() {
        Some(DirectoryEntry::Account(account)) => *account,
        _ => panic!("alice has no account"),
    }
}

fn app_password(world: &World, scopes: &[&str]) -> String {
    let scopes = Scopes::from_names(scopes.iter().copied()).unwrap();
    let now = mail::Timestamp::from_secs(0);
    let made = add_app_password(&*world.store, alice(world).id, "a phone", scopes, None, now);
    world.runtime.block_on(made).unwrap().1
}

#[test]
fn who_may_use_jmap_with_the_same_log_in_is_told_where_it_is() {
    let mut world = World::new();
    let (_shared, imap, http) = open(&mut world, true);
    for (scopes, is_for) in [
        (None, Some(true)),
        (Some(&["mail"][..]), Some(true)),
        (Some(&["imap", "jmap"]), Some(true)),
        (Some(&["imap"]), Some(false)),
        (Some(&["imap", "pop3", "smtp"]), Some(false)),
        (Some(&["jmap"]), None),
    ] {
        let password = scopes.map_or_else(|| "secret".to_owned(), |scopes| app_password(&world, scopes));
        for how in ["LOGIN", "AUTHENTICATE"] {
            let Some(mut say) = log_in(imap, how, &password) else {
                assert_eq!(is_for, None, "{how} {scopes:?}");
                continue;
            };
            let (told, where_it_is) = (say("CAPABILITY"), say("GETJMAPACCESS"));
            let good = is_good_at_jmap(http, &password);
            assert_eq!(is_for, Some(good), "{how} {scopes:?}");
            assert_eq!(told.contains(" JMAPACCESS"), good, "{how} {scopes:?} {told}");
            let url = "* JMAPACCESS \"https://mail.red.example:8443/jmap/session\"\r\nt OK";
            let expected = if good { url } else { "t NO [NOPERM]" };
            assert!(where_it_is.starts_with(expected), "{how} {scopes:?} {where_it_is}");
        }
    }
}

/// With a second factor an app password for IMAP alone is all that a client has.
#[test]
fn a_second_factor_changes_nothing_in_it() {
    let mut world = World::new();
    let (_shared, imap, http) = open(&mut world, true);
    let id = alice(&world).id;
    world.runtime.block_on(async {
        world.store.begin_totp(id, vec![7; 20]).await.unwrap().into_inner();
        world.store.confirm_totp(id, 0, Vec::new()).await.unwrap().into_inner();
    });
    assert!(log_in(imap, "LOGIN", "secret").is_none() && !is_good_at_jmap(http, "secret"));
    for (scopes, good) in [(&["imap"][..], false), (&["imap", "jmap"], true)] {
        let password = app_password(&world, scopes);
        let mut say = log_in(imap, "LOGIN", &password).unwrap();
        assert_eq!(say("CAPABILITY").contains(" JMAPACCESS"), good);
        assert_eq!(is_good_at_jmap(http, &password), good);
    }
}

/// Where HTTPS is not open there is no address to name.
#[test]
fn without_https_there_is_none() {
    let mut world = World::new();
    let (_shared, imap, _) = open(&mut world, false);
    let mut say = log_in(imap, "LOGIN", "secret").unwrap();
    assert!(!say("CAPABILITY").contains("JMAPACCESS"));
    assert!(say("GETJMAPACCESS").starts_with("t NO [NOPERM]"));
}
