//! Wrong configurations: each gets one clear sentence with file and line.

use super::*;

const SMALL: &str = "hostname = \"mail.example.org\"\n";

fn error(text: &str) -> String {
    Config::parse(Path::new("postrider.toml"), text).unwrap_err().to_string()
}

fn good(text: &str) -> Config {
    Config::parse(Path::new("dir/postrider.toml"), text).unwrap()
}

#[test]
fn each_mistake_gets_a_sentence_with_file_and_line() {
    for (text, expected) in [
        ("", "postrider.toml: hostname is missing; set hostname = \"mail.example.org\" at the top"),
        (
            "hostname = 5",
            "postrider.toml:1: hostname: 5 is not allowed; write a domain in quotes, like \"example.org\"",
        ),
        (
            "hostname = \"a b\"",
            "postrider.toml:1: hostname: \"a b\" is not allowed; write a domain in quotes, like \"example.org\"",
        ),
        ("hostname = \"a.b\"\nhostnam = 1", "postrider.toml:2: hostnam: unknown key; did you mean \"hostname\"?"),
        (
            "hostname = \"a.b\"\n[listen]\nsmpt = []",
            "postrider.toml:3: [listen] smpt: unknown key; did you mean \"smtp\"?",
        ),
        (
            "hostname = \"a.b\"\n[listen]\nsmtp = \"[::]:25\"",
            "postrider.toml:3: [listen] smtp: \"[::]:25\" is not allowed; write a list in brackets, each item an address and \
             a port in quotes, like \"127.0.0.1:25\" or \"[::]:25\"",
        ),
        (
            "hostname = \"a.b\"\n[listen]\nsmtp = [\"localhost:25\"]",
            "postrider.toml:3: [listen] smtp: \"localhost:25\" is not allowed; write an address and a port in quotes, like \
             \"127.0.0.1:25\" or \"[::]:25\"",
        ),
        (
            "hostname = \"a.b\"\n[listen]\nplaintext_auth = \"always\"",
            "postrider.toml:3: [listen] plaintext_auth: write \"loopback\" or \"never\"",
        ),
        (
            "hostname = \"a.b\"\n[listen]\nimaps = [\"[::]:993\"]",
            "postrider.toml:3: [listen] imaps: this needs a certificate; set certificate and key under [tls]",
        ),
        (
            "hostname = \"a.b\"\n[tls]\ncertificate = \"c.pem\"",
            "postrider.toml:3: [tls] certificate: its key is missing; set key too",
        ),
        (
            "hostname = \"a.b\"\n[limits]\nmessage_size = \"big\"",
            "postrider.toml:3: [limits] message_size: \"big\" is not allowed; write a size: octets as a number, or a text \
             like \"50MiB\"",
        ),
        (
            "hostname = \"a.b\"\n[limits]\nrecipients = 0",
            "postrider.toml:3: [limits] recipients: 0 is not allowed; write a number from 1 up",
        ),
        (
            "hostname = \"a.b\"\n[relay]\nfirst_retry = 5",
            "postrider.toml:3: [relay] first_retry: 5 is not allowed; write a time in quotes: a number and s, m, h or d, \
             like \"90s\" or \"5d\"",
        ),
        (
            "hostname = \"a.b\"\n[relay]\nport = 70000",
            "postrider.toml:3: [relay] port: 70000 is not allowed; write a port: a number from 1 to 65535",
        ),
        (
            "hostname = \"a.b\"\n[[route]]\nnext_hop = [\"h:25\"]",
            "postrider.toml:2: [[route]] has no domain; set domain = \"…\" or \"*\"",
        ),
        (
            "hostname = \"a.b\"\n[[route]]\ndomain = \"x.y\"",
            "postrider.toml:2: [[route]] has no next_hop; set next_hop = [\"host:25\"]",
        ),
        (
            "hostname = \"a.b\"\n[[route]]\ndomain = \"*\"\nnext_hop = [\"h:587\"]\nuser = \"u\"",
            "postrider.toml:5: [route] user: its password is missing; set password_file too",
        ),
        (
            "hostname = \"a.b\"\n[[milter]]\nname = \"x\"",
            "postrider.toml:2: [[milter]] has no address; set address = \"inet:127.0.0.1:11332\"",
        ),
        (
            "hostname = \"a.b\"\n[[milter]]\naddress = \"127.0.0.1:11332\"",
            "postrider.toml:3: [milter] address: write \"inet:host:port\", like \"inet:127.0.0.1:11332\", or \"unix:path\"",
        ),
        (
            "hostname = \"a.b\"\n[[milter]]\naddress = \"unix:m\"\nwhen_down = \"drop\"",
            "postrider.toml:4: [milter] when_down: write \"tempfail\" or \"accept\"",
        ),
        (
            "hostname = \"a.b\"\n[milter]\naddress = \"unix:m\"",
            "postrider.toml:2: milter: write each milter as a table that begins with [[milter]]",
        ),
        (
            "hostname = \"a.b\"\n[sieve]\nbefore = [\"none.sieve\"]",
            "postrider.toml:3: [sieve] before: none.sieve can't be read (No such file or directory (os error 2)); name a file \
             that is there",
        ),
        (
            "hostname = \"a.b\"\n[junk]\nheader = \"X-Spam\"",
            "postrider.toml:3: [junk] header: write a field and how its value begins, like \"X-Spam: Yes\"",
        ),
        (
            "hostname = \"a.b\"\n[[trusted]]\nmay = \"send-as-ours\"",
            "postrider.toml:2: [[trusted]] has no network; set network = \"10.0.0.0/24\"",
        ),
        (
            "hostname = \"a.b\"\n[[trusted]]\nnetwork = \"0.0.0.0/0\"",
            "postrider.toml:3: [trusted] network: that is everybody, and the server an open relay; name your own machines",
        ),
        (
            "hostname = \"a.b\"\n[[route]]\ndomain = \"x.y\"\nnext_hop = [\"lmtp:h\", \"h:25\"]",
            "postrider.toml:4: [route] next_hop: some of them speak LMTP and some don't; write \"lmtp:\" before all or none",
        ),
        (
            "hostname = \"a.b\"\n[listen]\nlmtp = [\"127.0.0.1:24\"]",
            "postrider.toml:3: [listen] lmtp: write \"unix:\" and a path in quotes, like \"unix:/run/postrider/lmtp\"",
        ),
        (
            "hostname = \"a.b\"\n[acme]\nagree_to_terms = true\nchallenge = \"dns-01\"",
            "postrider.toml:4: [acme] challenge: dns-01 needs a program that writes to your DNS; set hook too",
        ),
        (
            "hostname = \"a.b\"\n[acme]\nagree_to_terms = true",
            "postrider.toml:3: [acme] challenge: the authority comes to see tls-alpn-01 on port 443; set https = \
             [\"[::]:443\"] under [listen], or another challenge",
        ),
        (
            "hostname = \"a.b\"\n[acme]\nchallenge = \"tls\"",
            "postrider.toml:3: [acme] challenge: write \"tls-alpn-01\", \"http-01\" or \"dns-01\"",
        ),
        (
            "hostname = \"a.b\"\nlisten = 5",
            "postrider.toml:2: listen: this is a section; write [listen] and its keys below",
        ),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn filters_and_networks_are_read() {
    let text = "[[milter]]\naddress = \"unix:m.sock\"\n[[milter]]\nname = \"two\"\naddress = \"inet:[::1]:9\"\non = [\"smtp\"]\n\
                [[trusted]]\nnetwork = \"10.0.0.7\"\nmay = \"send-as-anybody\"\n";
    let settings = good(&format!("{SMALL}{text}")).settings;
    let [one, two] = &settings.milters[..] else { panic!("{:?}", settings.milters) };
    assert_eq!((one.name.as_str(), &one.place), ("unix:m.sock", &mta::milter::Place::Unix("dir/m.sock".into())));
    assert_eq!((one.timeout, one.when_down), (mail::limits::MILTER_TIMEOUT, mta::milter::WhenDown::TempFail));
    assert_eq!((two.name.as_str(), &two.place), ("two", &mta::milter::Place::Inet("::1".into(), 9)));
    assert_eq!(two.on, [mta::milter::Door::Smtp]);
    assert!(settings.trusted[0].may.as_anybody && settings.trusted[0].network.contains("10.0.0.7".parse().unwrap()));
}

#[test]
fn next_hops_may_speak_lmtp() {
    let text = "[[route]]\ndomain = \"a.b\"\nnext_hop = [\"lmtp:h\", \"lmtp:[::1]:26\", \"lmtp:unix:/run/l\"]\n";
    let route = &good(&format!("{SMALL}{text}")).settings.routes[0];
    let hops = [("h", 24), ("::1", 26), ("unix:/run/l", 0)].map(|(host, port)| (host.to_owned(), port));
    assert!(route.lmtp && route.next_hop == hops, "{route:?}");
}

#[test]
fn broken_toml_is_named_with_its_line() {
    let error = error("hostname = \"a.b\"\n[listen\n");
    assert!(error.starts_with("postrider.toml:2: this is not TOML: "), "{error}");
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_lines() {
    let error = error("hostnam = \"a.b\"\n[relay]\nport = 0\n[dns]\nserver = []\n");
    let lines: Vec<&str> = error.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["postrider.toml", "postrider.toml:1", "postrider.toml:3", "postrider.toml:5"]);
}

#[test]
fn the_smallest_file_works_and_paths_are_relative_to_it() {
    let config = good(SMALL);
    let mut expected = Settings::new(Domain::from_ascii("mail.example.org").unwrap());
    expected.doctor.folder = "dir/data".into();
    assert_eq!(config.settings, expected);
    assert_eq!(config.data_dir, Path::new("dir/data"));
    assert_eq!(config.advice.len(), 1);
}

#[test]
fn everything_can_be_set() {
    let config = good(
        "hostname = \"mail.example.org\"\ndata_dir = \"/var/lib/postrider\"\n\
         [listen]\nsmtp = [\"[::]:25\", \"127.0.0.1:26\"]\nimaps = [\"[::]:993\"]\nplaintext_auth = \"never\"\n\
         [tls]\ncertificate = \"c\"\nkey = \"k\"\n[[tls.site]]\ncertificate = \"c2\"\nkey = \"k2\"\n\
         [dns]\nservers = [\"127.0.0.1:53\"]\n[relay]\nport = 2525\nfirst_retry = \"2s\"\n\
         [[route]]\ndomain = \"branch.example.org\"\nnext_hop = [\"10.0.0.5\", \"[2001:db8::1]:26\", \"Mx.example\"]\n\
         [limits]\nmessage_size = \"10MiB\"\nrecipients = 5\n[http]\nmetrics_from = [\"10.0.0.0/8\"]\n\
         [journey]\nlifetime = \"7d\"\n[log]\nformat = \"json\"\n[policy]\ndmarc = \"report\"\n[local]\nmisbehave = true\nauthenticate = true\ncatch_all = \"a@b.example\"\n",
    );
    assert_eq!(config.listen.all().len(), 3);
    assert_eq!(config.sites[1].key, Path::new("dir/k2"));
    assert_eq!(config.settings.limits.message_size, 10 << 20);
    let hops = &config.settings.routes[0].next_hop;
    assert_eq!(hops, &[("10.0.0.5".into(), 25), ("2001:db8::1".into(), 26), ("mx.example".into(), 25)]);
    assert!(config.settings.local.misbehave);
    assert!(config.settings.local.authenticate);
    assert_eq!(config.settings.policy.dmarc, mta::accept::authenticate::Enforce::Report);
}

#[test]
fn with_acme_no_certificate_is_needed_and_unwise_ports_are_told() {
    let acme = |listen: &str| {
        good(&format!("{SMALL}[listen]\nimaps = [\"[::]:993\"]\n{listen}\n[acme]\nagree_to_terms = true\n")).advice
    };
    assert_eq!(acme("https = [\"[::]:443\"]"), []);
    for elsewhere in ["https = [\"[::]:8443\"]", "https = [\"127.0.0.1:443\"]"] {
        let advice = acme(elsewhere);
        assert!(advice[0].text.starts_with("[acme] challenge: the authority comes to see tls-alpn-01 on port 443"));
    }
    let off = good(&format!("{SMALL}[listen]\nsmtp = [\"[::]:25\"]\n[acme]\nnames = [\"a.example\"]\n"));
    assert!(off.settings.acme.is_none() && off.advice[0].text.starts_with("[acme] does nothing: "));
}

#[test]
fn the_page_of_the_documentation_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let made = docs::documentation();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == made, "run with UPDATE_DOCS=1 to make docs/configuration.md anew");
}
