//! The operator's commands from end to end: on a store without a server, beside a running one, and with mistakes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use store::Store as _;

const PROGRAM: &str = env!("CARGO_BIN_EXE_postrider");

fn postrider(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .env_remove("POSTRIDER_CONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who does not read its input has ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// A server's folder.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Self { folder };
        let dir = home.dir().to_str().unwrap().to_owned();
        let made = postrider(&["init", &dir, "--hostname", "mail.red.example", "--domain", "red.example"], "");
        assert!(made.status.success(), "{made:?}");
        home
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn config(&self) -> PathBuf {
        self.dir().join("postrider.toml")
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let config = self.config();
        postrider(&[arguments, &["--config", config.to_str().unwrap()]].concat(), input)
    }

    fn must(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments, "a long enough passphrase\n");
        assert!(done.status.success(), "{arguments:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// What it says when it fails, with exit code 1.
    fn fails(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments, "a long enough passphrase\n");
        assert_eq!(done.status.code(), Some(1), "{arguments:?}: {done:?}");
        String::from_utf8(done.stderr).unwrap()
    }

    /// Puts listeners of a running server into the configuration.
    fn listen_on_free_ports(&self) -> (u16, u16) {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (pop3, http) = (free(), free());
        let text = format!(
            "hostname = \"mail.red.example\"\n[listen]\npop3 = [\"127.0.0.1:{pop3}\"]\nhttp = [\"127.0.0.1:{http}\"]\n\
             [tls]\ncertificate = \"tls/fullchain.pem\"\nkey = \"tls/key.pem\"\n[dns]\nservers = [\"127.0.0.1:9\"]\n"
        );
        std::fs::write(self.config(), text).unwrap();
        (pop3, http)
    }

    fn serve(&self) -> Server {
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--config"])
            .arg(self.config())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut server = Server { child, log };
        server.log_says("service=\"http\"");
        server
    }
}

/// A running `postrider serve`.
struct Server {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
}

impl Server {
    /// Waits for a line of the log.
    fn log_says(&mut self, words: &str) {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "it ended without saying {words}");
        }
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    fn stop(mut self) {
        self.signal("-TERM");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only where a test failed before it stopped the server.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Changes and looks at everything, and returns all that was said.
fn tour(home: &Home) -> Vec<String> {
    let mut said = Vec::new();
    let mut must = |arguments: &[&str]| said.push(home.must(arguments));
    must(&["domain", "add", "second.example"]);
    must(&["domain", "list"]);
    must(&["domain", "list", "--json"]);
    must(&["account", "add", "Alice@red.example", "--password-stdin"]);
    must(&["account", "add", "bob@red.example", "--password-stdin", "--quota", "10MiB", "--scram"]);
    must(&["account", "list"]);
    must(&["account", "disable", "bob@red.example"]);
    must(&["account", "show", "bob@red.example"]);
    must(&["account", "enable", "bob@red.example"]);
    must(&["account", "quota", "bob@red.example", "none"]);
    must(&["account", "passwd", "bob@red.example", "--password-stdin"]);
    must(&["account", "list"]);
    must(&["alias", "add", "all@red.example", "alice@red.example", "bob@red.example"]);
    must(&["alias", "add", "all@red.example", "carol@blue.example"]);
    must(&["alias", "remove", "all@red.example", "bob@red.example"]);
    must(&["alias", "list"]);
    must(&["route", "all@red.example"]);
    must(&["route", "alice+shop@red.example"]);
    must(&["route", "alice@red.example", "--json"]);
    must(&["queue", "list"]);
    must(&["queue", "list", "--json"]);
    must(&["check"]);
    said.push(home.fails(&["account", "add", "alice@red.example", "--password-stdin"]));
    said.push(home.fails(&["account", "add", "a@elsewhere.example", "--password-stdin"]));
    said.push(home.fails(&["account", "show", "nobody@red.example"]));
    said.push(home.fails(&["domain", "remove", "red.example"]));
    said.push(home.fails(&["alias", "add", "alice@red.example", "bob@red.example"]));
    said.push(home.fails(&["queue", "show", "0000000000000"]));
    said.push(home.fails(&["queue", "retry", "0000000000000"]));
    said.push(home.fails(&["trace", "<nothing@red.example>"]));
    home.must(&["account", "remove", "bob@red.example"]);
    home.must(&["domain", "remove", "second.example"]);
    said.push(home.must(&["account", "list"]));
    // The moment of making is the only thing that differs between two stores.
    said.iter().map(|text| text.lines().filter(|line| !line.starts_with("made:")).collect()).collect()
}

#[test]
fn commands_do_the_same_with_a_server_and_without_one() {
    let (alone, beside) = (Home::new(), Home::new());
    alone.listen_on_free_ports();
    beside.listen_on_free_ports();
    let server = beside.serve();
    let (first, second) = (tour(&alone), tour(&beside));
    server.stop();
    let own = |home: &Home, said: Vec<String>| -> Vec<String> {
        said.into_iter().map(|text| text.replace(home.dir().to_str().unwrap(), "HOME")).collect()
    };
    let (first, second) = (own(&alone, first), own(&beside, second));
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first, second);
    }
    assert_eq!(first.len(), second.len());
    let all = first.join("\n");
    for expected in
        ["bob@red.example", "disabled", "10.0 MiB", "exists already", "no domain of this server", "sub-address"]
    {
        assert!(all.contains(expected), "{expected} in\n{all}");
    }
}

#[test]
fn an_account_takes_another_name_and_a_domain_stands_for_another() {
    let home = Home::new();
    let must = |arguments: &[&str]| home.must(arguments);
    must(&["account", "add", "alice@red.example", "--password-stdin"]);
    must(&["alias", "add", "all@red.example", "alice@red.example"]);
    must(&["domain", "add", "rouge.example", "--same-as", "red.example"]);
    let accounts = |address: &str| {
        let route: serde_json::Value = serde_json::from_str(&must(&["route", address, "--json"])).unwrap();
        route.to_string()
    };
    let way = accounts("all@rouge.example");
    assert!(way.contains("domain-alias") && way.contains("alice@red.example"), "{way}");
    assert!(accounts("nobody@rouge.example").contains("5.1.1"));
    must(&["account", "rename", "alice@red.example", "alicia@red.example"]);
    for name in ["alice@red.example", "alicia@rouge.example", "all@red.example", "alice@rouge.example"] {
        let way = accounts(name);
        assert!(way.contains("alicia@red.example"), "{name}: {way}");
    }
    must(&["account", "rename", "alicia@red.example", "lis@red.example", "--forget"]);
    assert!(accounts("alicia@red.example").contains("5.1.1"));
    let said = home.fails(&["account", "rename", "lis@red.example", "lis@blue.example"]);
    assert!(said.contains("blue.example is no domain of this server"), "{said}");
    let said = home.fails(&["alias", "add", "x@red.example", "*@red.example"]);
    assert!(said.contains("*@domain"), "{said}");
    let said = home.fails(&["domain", "add", "roig.example", "--same-as", "blue.example"]);
    assert!(said.contains("blue.example is no domain of this server"), "{said}");
    must(&["domain", "remove", "rouge.example"]);
    must(&["check"]);
}

#[test]
fn app_passwords_are_shown_once_and_log_in() {
    let home = Home::new();
    let (pop3, _) = home.listen_on_free_ports();
    home.must(&["account", "add", "alice@red.example", "--password-stdin"]);
    let add = ["account", "app-password", "add", "alice@red.example"];
    let alone = home.must(&[&add[..], &["Phone", "--scope", "imap", "--scope", "pop3"]].concat());
    let server = home.serve();
    let beside = home.must(&[&add[..], &["Tablet", "--days", "30", "--json"]].concat());
    let made: serde_json::Value = serde_json::from_str(&beside).unwrap();
    let log_in = |password: &str| {
        let mut pop3 = BufReader::new(TcpStream::connect(("127.0.0.1", pop3)).unwrap());
        pop3.get_mut().write_all(format!("USER alice@red.example\r\nPASS {password}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut said = String::new();
        pop3.read_to_string(&mut said).unwrap();
        said.lines().nth(2).unwrap().starts_with("+OK")
    };
    assert!(log_in(alone.trim()) && log_in(made["password"].as_str().unwrap()) && !log_in("something else"));
    let list = ["account", "app-password", "list", "alice@red.example"];
    let shown = home.must(&[&list[..], &["--json"]].concat());
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown[0]["name"], "Phone");
    assert_eq!(shown[0]["scopes"], serde_json::json!(["imap", "pop3"]));
    assert_eq!((&shown[0]["used_from"], shown[0]["expires"].is_null()), (&"127.0.0.1".into(), true));
    assert!(shown[1]["expires"].is_number());
    let id = made["id"].to_string();
    home.must(&["account", "app-password", "remove", "alice@red.example", &id]);
    assert!(!log_in(made["password"].as_str().unwrap()));
    server.stop();

    // Who did what, and who logged in: known after the stop, and without any secret.
    let audit = home.must(&["audit", "alice@red.example"]);
    for line in
        ["account-add address alice@red.example", "app-password-add address alice@red.example", "log-in pop3: ok"]
    {
        assert!(audit.contains(line), "{line}\n{audit}");
    }
    assert!(audit.contains("127.0.0.1") && audit.contains("log-in pop3: refused"), "{audit}");
    let told = home.must(&["audit", "--json", "--limit", "1000"]);
    for secret in ["passphrase", alone.trim(), made["password"].as_str().unwrap(), "something else"] {
        assert!(!told.contains(secret), "{told}");
    }
    let newest: serde_json::Value = serde_json::from_str(&home.must(&["audit", "--json", "--limit", "1"])).unwrap();
    let before = newest[0]["number"].to_string();
    assert!(!home.must(&["audit", "--before", &before]).lines().any(|line| line.starts_with(&format!("{before} "))));

    // What was used is still known after a stop.
    let text = home.must(&list);
    assert!(text.contains("imap,pop3") && text.contains("127.0.0.1  Phone") && !text.contains("Tablet"), "{text}");
    let gone = home.fails(&["account", "app-password", "remove", "alice@red.example", &id]);
    assert!(gone.contains("does not exist"), "{gone}");
    let unknown = home.fails(&[&add[..], &["Fridge", "--scope", "web"]].concat());
    assert!(unknown.contains("a scope is imap, pop3, smtp or jmap"), "{unknown}");
    let none = home.fails(&["account", "totp", "remove", "alice@red.example"]);
    assert!(none.contains("a second factor does not exist"), "{none}");
    assert!(home.must(&["account", "show", "alice@red.example"]).contains("TOTP:      off"));
}

/// A passkey is made in the browser; here straight in the store.
#[test]
fn passkeys_are_listed_and_taken_away() {
    let home = Home::new();
    home.listen_on_free_ports();
    home.must(&["account", "add", "alice@red.example", "--password-stdin"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let id = runtime.block_on(async {
        let store = store_local::LocalStore::open(home.dir().join("data"), store_local::Options::default()).unwrap();
        let new = store::NewToken {
            account: store.accounts(None, 1).await.unwrap()[0].id,
            kind: store::TokenKind::Passkey,
            hash: store::TokenHash([7; 32]),
            name: "Key ring".into(),
            scopes: store::Scopes::MAIL,
            expires: None,
            from: String::new(),
            passkey: Some(store::Passkey { credential: vec![7], key: vec![7], counter: 0 }),
        };
        let id = store.add_token(new, mail::Timestamp::from_secs(1_000_000_000)).await.unwrap().into_inner();
        store.close().await;
        id.0.to_string()
    });
    let list = ["account", "passkey", "list", "alice@red.example"];
    let text = home.must(&list);
    assert!(text.contains("2001-09-09 01:46") && text.contains("never") && text.contains("Key ring"), "{text}");
    let (shown, server) = (home.must(&[&list[..], &["--json"]].concat()), home.serve());
    assert_eq!(home.must(&[&list[..], &["--json"]].concat()), shown, "a running server says otherwise");
    assert!(home.must(&["account", "app-password", "list", "alice@red.example"]).is_empty());
    let other = home.fails(&["account", "app-password", "remove", "alice@red.example", &id]);
    assert!(other.contains("does not exist"), "{other}");
    home.must(&["account", "passkey", "remove", "alice@red.example", &id]);
    assert_eq!(home.must(&list), "");
    server.stop();
    let gone = home.fails(&["account", "passkey", "remove", "alice@red.example", &id]);
    assert!(gone.contains("does not exist"), "{gone}");
}

#[test]
fn init_takes_only_an_empty_folder_and_makes_roles() {
    let home = Home::new();
    let again = postrider(
        &["init", home.dir().to_str().unwrap(), "--hostname", "mail.red.example", "--domain", "red.example"],
        "",
    );
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("is not empty"), "{again:?}");
    home.must(&["account", "add", "alice@red.example", "--password-stdin"]);
    let aliases = home.must(&["alias", "list"]);
    assert!(aliases.contains("postmaster@red.example  alice@red.example"), "{aliases}");
    assert!(aliases.contains("abuse@red.example       alice@red.example"), "{aliases}");
}

#[test]
fn what_a_server_writes_is_for_its_owner_alone() {
    let home = Home::new();
    home.must(&["account", "add", "alice@red.example", "--password-stdin"]);
    home.listen_on_free_ports();
    let server = home.serve();
    let mut folders = vec![home.dir()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let metadata = entry.metadata().unwrap();
            assert_eq!(metadata.permissions().mode() & 0o077, 0, "{}", entry.path().display());
            seen += 1;
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    assert!(seen > 8, "{seen}");
    drop(server);
    // Where somebody gave more away, it is told.
    assert!(!home.must(&["check"]).contains("chmod"));
    std::fs::set_permissions(home.dir().join("data"), std::fs::Permissions::from_mode(0o750)).unwrap();
    std::fs::set_permissions(home.dir().join("tls/key.pem"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = home.must(&["check"]);
    assert!(said.contains("chmod go= ") && said.contains("chmod o= "), "{said}");
}

#[test]
fn mistakes_exit_with_one_or_two_and_say_why() {
    let home = Home::new();
    for usage in [&["account", "add", "not-an-address"][..], &["queue", "show", "x"], &["nonsense"], &["account"]] {
        assert_eq!(postrider(usage, "").status.code(), Some(2), "{usage:?}");
    }
    let missing = postrider(&["check", "--config", "/nowhere/postrider.toml"], "");
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stdout).contains("there is no such file"), "{missing:?}");

    let text = std::fs::read_to_string(home.config()).unwrap();
    std::fs::write(home.config(), text.replace("pop3s =", "pop3z =").replace("key.pem", "gone.pem")).unwrap();
    let wrong = home.run(&["check"], "");
    let said = String::from_utf8_lossy(&wrong.stdout);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(said.contains("postrider.toml:12: [listen] pop3z: unknown key; did you mean"), "{said}");
    assert!(home.fails(&["serve"]).contains(":12: [listen] pop3z"), "serve says so, too");

    std::fs::write(home.config(), text.replace("key.pem", "gone.pem")).unwrap();
    let wrong = home.run(&["check"], "");
    let said = String::from_utf8_lossy(&wrong.stdout);
    assert!(said.contains("gone.pem can't be read") && wrong.status.code() == Some(1), "{said}");

    std::fs::write(home.config(), &text).unwrap();
    std::fs::rename(home.dir().join("data"), home.dir().join("elsewhere")).unwrap();
    assert!(home.fails(&["serve"]).contains("there is no store in"), "a missing disk makes no new store");
}

#[test]
fn a_taken_port_is_named() {
    let home = Home::new();
    let (pop3, _) = home.listen_on_free_ports();
    let _taken = TcpListener::bind(("127.0.0.1", pop3)).unwrap();
    let said = home.fails(&["serve"]);
    assert!(said.contains(&format!("[listen] pop3 = \"127.0.0.1:{pop3}\"")), "{said}");
    assert!(said.contains("another program listens there"), "{said}");
}

#[test]
fn a_stop_says_goodbye_and_a_reload_takes_new_settings() {
    let home = Home::new();
    let (pop3, http) = home.listen_on_free_ports();
    let mut server = home.serve();
    assert!(get(http, "/healthz").ends_with("ok\n"));
    assert!(get(http, "/metrics").contains("postrider_connections"));
    assert!(get(http, "/nothing").starts_with("HTTP/1.1 404"));
    assert!(get(http, "/").contains("mail.red.example"));

    let text = std::fs::read_to_string(home.config()).unwrap();
    std::fs::write(home.config(), format!("{text}\n[nonsense]\n")).unwrap();
    server.signal("-HUP");
    server.log_says("not reloaded, the old configuration stays");
    std::fs::write(home.config(), text.replace("mail.red.example", "post.red.example")).unwrap();
    server.signal("-HUP");
    server.log_says("taken anew");
    assert!(get(http, "/").contains("post.red.example"));

    let mut open = BufReader::new(TcpStream::connect(("127.0.0.1", pop3)).unwrap());
    let mut line = String::new();
    open.read_line(&mut line).unwrap();
    assert!(line.starts_with("+OK"), "{line}");
    server.stop();
    let mut rest = String::new();
    open.read_to_string(&mut rest).unwrap();
    assert!(!home.dir().join("data/control.sock").exists());
    home.must(&["check"]);
}

fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

#[test]
fn completions_and_man_pages_come_from_the_command_line() {
    let bash = postrider(&["completions", "bash"], "");
    assert!(String::from_utf8_lossy(&bash.stdout).contains("postrider"));
    let folder = tempfile::tempdir().unwrap();
    let man = folder.path().join("man");
    assert!(postrider(&["man", man.to_str().unwrap()], "").status.success());
    for page in ["postrider.1", "postrider-queue-list.1", "postrider-trace.1"] {
        assert!(Path::new(&man).join(page).is_file(), "{page}");
    }
}
