//! The way out, on an internet of the test's own: names that lie and change, servers that send on, hang and never end.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use mta::world::{Belief, Mx};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

/// What a server does once it has read a request's header.
#[derive(Clone)]
enum Server {
    Says(String),
    /// The same again and again, without an end.
    Endless(&'static str, &'static str),
    Silence,
    /// Not even a connection.
    Unreachable,
}

/// An internet.
#[derive(Default)]
struct Internet {
    /// What a name says, one answer after another; the last one stays.
    v4: Mutex<HashMap<&'static str, Vec<Vec<&'static str>>>>,
    v6: HashMap<&'static str, Vec<&'static str>>,
    servers: HashMap<&'static str, Server>,
    reached: Mutex<Vec<SocketAddr>>,
    asked: Arc<Mutex<Vec<String>>>,
    secured: Mutex<Vec<String>>,
}

impl Internet {
    fn name(self, name: &'static str, answers: &[&[&'static str]]) -> Self {
        self.v4.lock().unwrap().insert(name, answers.iter().map(|answer| answer.to_vec()).collect());
        self
    }

    fn server(mut self, at: &'static str, server: Server) -> Self {
        self.servers.insert(at, server);
        self
    }

    fn says(self, at: &'static str, answer: &str) -> Self {
        self.server(at, Server::Says(answer.to_owned()))
    }

    fn outside(self) -> (Arc<Self>, Outside) {
        let this = Arc::new(self);
        (this.clone(), Outside::new(&world(this.clone(), this)))
    }

    fn reached(&self) -> Vec<String> {
        self.reached.lock().unwrap().iter().map(SocketAddr::to_string).collect()
    }
}

fn world(dns: Arc<dyn Dns>, connect: Arc<dyn Connect>) -> World {
    World { clock: Arc::new(crate::SystemClock), random: Arc::new(crate::connect::SystemRandom), dns, connect }
}

fn answer<T: std::str::FromStr<Err: std::fmt::Debug>>(records: Option<Vec<&'static str>>) -> Found<T> {
    match records {
        None => Found::NoDomain,
        Some(records) if records.is_empty() => Found::NoData,
        Some(records) => {
            Found::Found(records.iter().map(|text| text.parse().unwrap()).collect(), Belief::until(Duration::ZERO))
        }
    }
}

#[async_trait]
impl Dns for Internet {
    async fn mx(&self, _: &str) -> Found<Mx> {
        Found::NoDomain
    }

    async fn ipv4(&self, name: &str) -> Found<Ipv4Addr> {
        let mut names = self.v4.lock().unwrap();
        let answers = names.get_mut(name);
        answer(answers.map(|answers| if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }))
    }

    async fn ipv6(&self, name: &str) -> Found<Ipv6Addr> {
        answer(self.v6.get(name).cloned())
    }

    async fn txt(&self, _: &str) -> Found<Vec<u8>> {
        Found::NoDomain
    }
}

#[async_trait]
impl Connect for Internet {
    async fn connect(&self, to: SocketAddr) -> io::Result<Box<dyn Stream>> {
        self.reached.lock().unwrap().push(to);
        let server = self.servers.get(to.to_string().as_str()).cloned();
        let server = server.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        if matches!(server, Server::Unreachable) {
            std::future::pending::<()>().await;
        }
        let (ours, theirs) = duplex(4096);
        tokio::spawn(act(theirs, server, self.asked.clone()));
        Ok(Box::new(ours))
    }

    async fn tls(
        &self,
        stream: Box<dyn Stream>,
        name: &str,
        trust: Trust,
    ) -> io::Result<(Box<dyn Stream>, store::Tls)> {
        assert_eq!(trust, Trust::Verified);
        self.secured.lock().unwrap().push(name.to_owned());
        Ok((stream, store::Tls { version: String::new(), cipher: String::new(), verified: Some(true), policy: None }))
    }

    fn is_local(&self, ip: IpAddr) -> bool {
        ip.to_string() == "8.8.4.4"
    }
}

async fn act(mut stream: DuplexStream, server: Server, asked: Arc<Mutex<Vec<String>>>) {
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => header.push(byte),
            Err(_) => return,
        }
    }
    asked.lock().unwrap().push(String::from_utf8(header).unwrap());
    match server {
        Server::Says(answer) => {
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        Server::Endless(begin, more) => {
            let _ = stream.write_all(begin.as_bytes()).await;
            while stream.write_all(more.as_bytes()).await.is_ok() {}
        }
        Server::Silence | Server::Unreachable => std::future::pending().await,
    }
}

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn get(url: &str) -> Errand {
    let (method, url) = (Method::GET, url.to_owned());
    Errand {
        account: AccountId(1),
        method,
        url,
        headers: HeaderMap::new(),
        body: Bytes::new(),
        secure: false,
        most: 1000,
        follow: true,
    }
}

async fn fetch(outside: &Outside, errand: &Errand) -> Result<String, Refusal> {
    let mut answer = outside.fetch(errand, &[]).await?;
    let mut all = Vec::new();
    while let Some(piece) = answer.next().await? {
        all.extend_from_slice(&piece);
    }
    Ok(String::from_utf8(all).unwrap())
}

#[tokio::test]
async fn what_goes_out_is_no_more_than_is_needed() {
    let internet = Internet::default().name("a.example", &[&["1.2.3.4"]]).says("1.2.3.4:443", HELLO);
    let (internet, outside) = internet.outside();
    assert_eq!(fetch(&outside, &get("https://A.example/p/%20a?b=c#d")).await.unwrap(), "hello");
    assert_eq!(*internet.secured.lock().unwrap(), ["a.example"]);
    let asked = internet.asked.lock().unwrap().concat();
    let expected = "GET /p/%20a?b=c HTTP/1.1\r\nhost: a.example\r\nuser-agent: Postrider\r\naccept-encoding: identity\r\n\
                    connection: close\r\n\r\n";
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn a_post_has_its_body_and_is_not_sent_on() {
    let moved = "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://1.2.3.5/\r\nContent-Length: 0\r\n\r\n";
    let (internet, outside) = Internet::default().says("1.2.3.4:443", moved).says("1.2.3.5:443", HELLO).outside();
    let errand =
        Errand { method: Method::POST, body: Bytes::from_static(b"x=y"), secure: true, ..get("https://1.2.3.4/") };
    let answer = outside.fetch(&errand, &[]).await.unwrap();
    assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(internet.reached(), ["1.2.3.4:443"]);
    assert!(internet.asked.lock().unwrap()[0].contains("content-length: 3\r\n"));
    let plain = Errand { url: "http://1.2.3.4/".to_owned(), ..errand };
    assert_eq!(outside.fetch(&plain, &[]).await.err(), Some(Refusal::Url("only https is asked")));
}

/// However an address is written, and whatever a name says.
#[tokio::test]
async fn no_private_address_is_reached() {
    let internet = Internet {
        v6: HashMap::from([(
            "six.example",
            vec!["::1", "fe80::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1"],
        )]),
        ..Internet::default()
    };
    let names: &[&[&str]] = &[&["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"]];
    let (internet, outside) = internet.name("inside.example", names).name("this.example", &[&["8.8.4.4"]]).outside();
    for url in [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://0/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fd00::1]/",
        "http://[fe80::1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1:443/",
        "http://\u{2460}\u{2461}\u{2466}.0.0.1/",
        "http://127。0。0。1/",
        "http://inside.example/",
        "http://inside.example./",
        "https://six.example/",
        "http://this.example/",
        "http://8.8.4.4/",
        "http://nobody.example/",
    ] {
        assert_eq!(fetch(&outside, &get(url)).await, Err(Refusal::Nowhere), "{url}");
    }
    for url in [
        "ftp://1.2.3.4/",
        "file:///etc/passwd",
        "gopher://1.2.3.4/",
        "data:image/png,x",
        "http://1.2.3.4:25/",
        "https://1.2.3.4:8080/",
        "http://alice@1.2.3.4/",
        "http://alice:x@1.2.3.4/",
        "//1.2.3.4/",
        "/",
        "",
        "http://",
        "http:///",
        "http://a b/",
        "javascript:1",
    ] {
        assert!(matches!(fetch(&outside, &get(url)).await, Err(Refusal::Url(_) | Refusal::Nowhere)), "{url}");
    }
    assert_eq!(internet.reached(), [""; 0]);
}

/// A name that first says a public address and then a private one: there is one look-up, and what it said is what is reached.
#[tokio::test]
async fn a_name_that_changes_its_mind_gains_nothing() {
    let internet = Internet::default()
        .name("rebind.example", &[&["1.2.3.4"], &["127.0.0.1"]])
        .name("both.example", &[&["127.0.0.1", "1.2.3.4"]])
        .says("1.2.3.4:80", HELLO)
        .says("127.0.0.1:80", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret");
    let (internet, outside) = internet.outside();
    assert_eq!(fetch(&outside, &get("http://rebind.example/")).await.unwrap(), "hello");
    assert_eq!(fetch(&outside, &get("http://rebind.example/")).await, Err(Refusal::Nowhere));
    assert_eq!(fetch(&outside, &get("http://both.example/")).await.unwrap(), "hello");
    assert_eq!(internet.reached(), ["1.2.3.4:80", "1.2.3.4:80"]);
}

#[tokio::test]
async fn each_redirect_is_judged_anew() {
    let to = |place: &str| format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n");
    for (place, expected) in [
        ("http://127.0.0.1/", Err(Refusal::Nowhere)),
        ("//[::1]/", Err(Refusal::Nowhere)),
        ("http://inside.example/", Err(Refusal::Nowhere)),
        ("http://1.2.3.5:8080/", Err(Refusal::Url("only the ports 80 and 443 are asked"))),
        ("file:///etc/passwd", Err(Refusal::Url("only http and https are asked"))),
        ("http://x@1.2.3.5/", Err(Refusal::Url("a URL with a name or password is not asked"))),
        ("https://1.2.3.5/", Ok("hello".to_owned())),
        ("other", Err(Refusal::Round)),
    ] {
        let internet = Internet::default()
            .name("inside.example", &[&["192.168.0.1"]])
            .says("1.2.3.4:80", &to(place))
            .says("1.2.3.5:443", HELLO)
            .says("127.0.0.1:80", HELLO);
        let (internet, outside) = internet.outside();
        assert_eq!(fetch(&outside, &get("http://1.2.3.4/a/b")).await, expected, "{place}");
        assert!(!internet.reached().contains(&"127.0.0.1:80".to_owned()));
        if place == "other" {
            // `OUTSIDE_REDIRECTS`, and the first one.
            assert_eq!(internet.reached().len(), limits::OUTSIDE_REDIRECTS + 1);
            assert!(internet.asked.lock().unwrap()[1].starts_with("GET /a/other "));
        }
    }
}

#[tokio::test]
async fn answers_are_bounded() {
    let body = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length));
    let header = |length: usize| {
        let begin = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ";
        format!("{begin}{}\r\n\r\n", "x".repeat(length - begin.len() - 4))
    };
    let internet = Internet::default()
        .says("1.0.0.1:80", &body(1000))
        .says("1.0.0.2:80", &body(1001))
        .server("1.0.0.3:80", Server::Endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"))
        .server("1.0.0.4:80", Server::Endless("HTTP/1.1 200 OK\r\n\r\n", "for ever "))
        .server("1.0.0.5:80", Server::Endless("HTTP/1.1 200 OK\r\n", "X: y\r\n"))
        .says("1.0.0.6:80", &header(limits::OUTSIDE_HEADER_LEN))
        .says("1.0.0.7:80", &header(limits::OUTSIDE_HEADER_LEN + 8192))
        .says("1.0.0.8:80", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello")
        .says("1.0.0.9:80", "SSH-2.0-OpenSSH\r\n")
        .says("1.0.0.10:80", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
    let (_, outside) = internet.outside();
    let ask = async |last: u8| fetch(&outside, &get(&format!("http://1.0.0.{last}/"))).await;
    assert_eq!(ask(1).await.unwrap().len(), 1000);
    for last in [2, 3, 4] {
        assert_eq!(ask(last).await, Err(Refusal::TooLong), "{last}");
    }
    assert_eq!(ask(6).await, Ok(String::new()));
    for last in [5, 7, 8, 9, 10] {
        assert!(matches!(ask(last).await, Err(Refusal::Silent(_))), "{last}");
    }
}

/// `OUTSIDE_CONNECT_TIMEOUT` for each of `OUTSIDE_ADDRESSES`, `OUTSIDE_TIMEOUT` for all of it, wherever it hangs.
#[tokio::test(start_paused = true)]
async fn who_is_slow_is_left() {
    let many = ["1.1.0.1", "1.1.0.2", "1.1.0.3", "1.1.0.4", "1.1.0.5"];
    let mut internet = Internet::default()
        .name("second.example", &[&["1.1.0.1", "1.2.3.4"]])
        .says("1.2.3.4:80", HELLO)
        .server("1.0.0.1:80", Server::Silence)
        .says("1.0.0.2:80", "HTTP/1.1 200 OK\r\nContent-Len");
    internet.v4.lock().unwrap().insert("dead.example", vec![many.to_vec()]);
    for at in ["1.1.0.1:80", "1.1.0.2:80", "1.1.0.3:80", "1.1.0.4:80", "1.1.0.5:80"] {
        internet = internet.server(at, Server::Unreachable);
    }
    let (internet, outside) = internet.outside();
    let timed = async |url: &str| {
        let since = Instant::now();
        (fetch(&outside, &get(url)).await, since.elapsed())
    };
    assert_eq!(timed("http://second.example/").await, (Ok("hello".to_owned()), limits::OUTSIDE_CONNECT_TIMEOUT));
    assert_eq!(timed("http://1.0.0.1/").await, (Err(Refusal::Slow), limits::OUTSIDE_TIMEOUT));
    let before = internet.reached().len();
    let (ended, time) = timed("http://dead.example/").await;
    assert_eq!((ended, internet.reached().len() - before), (Err(Refusal::Slow), limits::OUTSIDE_ADDRESSES));
    assert!(time <= limits::OUTSIDE_TIMEOUT);
}

/// The body, too, must be there within `OUTSIDE_TIMEOUT` of the beginning.
#[tokio::test(start_paused = true)]
async fn a_body_that_dribbles_is_left() {
    struct Dribble;
    #[async_trait]
    impl Connect for Dribble {
        async fn connect(&self, _: SocketAddr) -> io::Result<Box<dyn Stream>> {
            let (ours, mut theirs) = duplex(4096);
            tokio::spawn(async move {
                let _ = theirs.read(&mut [0; 1000]).await;
                let _ = theirs.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                while theirs.write_all(b".").await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            });
            Ok(Box::new(ours))
        }
        async fn tls(&self, _: Box<dyn Stream>, _: &str, _: Trust) -> io::Result<(Box<dyn Stream>, store::Tls)> {
            Err(io::Error::other("none"))
        }
        fn is_local(&self, _: IpAddr) -> bool {
            false
        }
    }
    let (internet, _) = Internet::default().outside();
    let outside = Outside::new(&world(internet, Arc::new(Dribble)));
    let since = Instant::now();
    assert_eq!(fetch(&outside, &get("http://1.2.3.4/")).await, Err(Refusal::Slow));
    assert_eq!(since.elapsed(), limits::OUTSIDE_TIMEOUT);
}

/// `OUTSIDE_AT_ONCE`; one more waits until another is through.
#[tokio::test(start_paused = true)]
async fn only_so_many_at_once() {
    let (_, outside) = Internet::default().says("1.2.3.4:80", HELLO).outside();
    let mut open = Vec::new();
    let each = u64::try_from(limits::OUTSIDE_PER_ACCOUNT).unwrap();
    for number in 0..u64::try_from(limits::OUTSIDE_AT_ONCE).unwrap() {
        let errand = Errand { account: AccountId(10 + number / each), ..get("http://1.2.3.4/") };
        open.push(outside.fetch(&errand, &[]).await.unwrap());
    }
    assert_eq!(fetch(&outside, &get("http://1.2.3.4/")).await, Err(Refusal::Slow));
    open.pop();
    assert_eq!(fetch(&outside, &get("http://1.2.3.4/")).await.unwrap(), "hello");
}

/// `OUTSIDE_PER_ACCOUNT`; others don't wait for that.
#[tokio::test(start_paused = true)]
async fn who_has_much_fetched_keeps_nobody_waiting() {
    let (_, outside) = Internet::default().says("1.2.3.4:80", HELLO).outside();
    let mut open = Vec::new();
    for _ in 0..limits::OUTSIDE_PER_ACCOUNT {
        open.push(outside.fetch(&get("http://1.2.3.4/"), &[]).await.unwrap());
    }
    assert_eq!(fetch(&outside, &get("http://1.2.3.4/")).await, Err(Refusal::Slow));
    let other = Errand { account: AccountId(2), ..get("http://1.2.3.4/") };
    assert_eq!(fetch(&outside, &other).await.unwrap(), "hello");
    open.clear();
    assert_eq!(fetch(&outside, &get("http://1.2.3.4/")).await.unwrap(), "hello");
}

/// Exactly what is named, and nothing beside it.
#[tokio::test]
async fn an_exception_is_one_address_and_port() {
    let internet = Internet::default().says("127.0.0.1:8099", HELLO).says("127.0.0.1:80", HELLO);
    let (_, outside) = internet.name("local.example", &[&["127.0.0.1"]]).outside();
    let also = ["127.0.0.1:8099".parse().unwrap()];
    for url in ["http://127.0.0.1:8099/", "http://local.example:8099/"] {
        assert!(outside.fetch(&get(url), &also).await.is_ok(), "{url}");
        assert!(outside.fetch(&get(url), &[]).await.is_err(), "{url}");
    }
    for url in ["http://127.0.0.1/", "http://127.0.0.1:25/", "http://127.0.0.2:8099/"] {
        assert!(outside.fetch(&get(url), &also).await.is_err(), "{url}");
    }
}
