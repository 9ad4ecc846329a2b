//! The real program in a temporary folder, on free ports of loopback, with a CA of its own.
//!
//! Comes in: the path of the program, domains, accounts. Goes out: ports and a CA file. At the end of every
//! test it gets SIGTERM, must end by itself, and `postrider check` must find nothing: invariants can't be
//! forgotten.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::authority::certify;
use crate::socket::Socket;

/// How long a start or an end may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// Services in the order of their ports.
const SERVICES: [&str; 8] = ["smtp", "submission", "submissions", "pop3", "pop3s", "imap", "imaps", "https"];

/// A running `postrider serve`.
pub struct Program {
    program: PathBuf,
    home: PathBuf,
    ports: [u16; SERVICES.len()],
    server: Option<Child>,
    /// What it tells systemd (sd_notify(3)): here we are systemd.
    notified: Option<UnixDatagram>,
    /// The most file descriptors that it may have.
    descriptors: Option<u32>,
    tls: Arc<ClientConfig>,
    /// Gone with everything in it when the test ends.
    folder: tempfile::TempDir,
}

impl Program {
    /// Makes a system for `domain` with accounts (address, password) and starts it. `more` stands at the end
    /// of its configuration.
    ///
    /// # Panics
    /// When it does not start; with the program's words.
    pub fn start(program: &str, domain: &str, accounts: &[(&str, &str)], more: &str) -> Self {
        Self::start_with(program, domain, accounts, more, None)
    }

    /// The same with no more file descriptors than these.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_with(
        program: &str,
        domain: &str,
        accounts: &[(&str, &str)],
        more: &str,
        descriptors: Option<u32>,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let home = folder.path().join("home");
        let tls = certify(folder.path(), &format!("mail.{domain}"));
        let ports = free_ports();
        let program = PathBuf::from(program);
        let mut this = Self { program, home, ports, server: None, notified: None, descriptors, tls, folder };
        let home = this.home.to_string_lossy().into_owned();
        this.run(&["init", &home, "--hostname", &format!("mail.{domain}"), "--domain", domain], b"");
        let listen: String = std::iter::zip(SERVICES, this.ports)
            .map(|(service, port)| format!("{service} = [\"127.0.0.1:{port}\"]\n"))
            .collect();
        let text = format!(
            "hostname = \"mail.{domain}\"\ndata_dir = \"data\"\n\n[listen]\n{listen}\n[tls]\ncertificate = \
             \"../cert.pem\"\nkey = \"../key.pem\"\n\n{more}"
        );
        let text = if more.contains("[dns]") { text } else { text + "\n[dns]\nservers = [\"127.0.0.1:9\"]\n" };
        std::fs::write(this.config(), text).expect("the configuration is writable");
        for (address, password) in accounts {
            this.command(&["account", "add", address, "--password-stdin"], password.as_bytes());
        }
        this.serve();
        this
    }

    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.home.join("postrider.toml")
    }

    /// Where a service listens.
    ///
    /// # Panics
    /// When there is no such service.
    pub fn address(&self, service: &str) -> SocketAddr {
        let at = SERVICES.iter().position(|name| *name == service).expect("a service's name");
        SocketAddr::from(([127, 0, 0, 1], self.ports[at]))
    }

    /// Connects to a service; those whose name ends in `s` with TLS, as the others may start it.
    ///
    /// # Errors
    /// When nobody listens, or the handshake fails.
    pub fn connect(&self, service: &str) -> std::io::Result<Socket> {
        let tls = (Arc::clone(&self.tls), "localhost");
        match service {
            "submissions" | "pop3s" | "imaps" | "https" => Socket::connect_tls(self.address(service), tls),
            _ => Socket::connect(self.address(service), Some(tls)),
        }
    }

    /// Runs an operator's command on this system; returns what it prints.
    ///
    /// # Panics
    /// When it exits otherwise than with 0.
    pub fn command(&self, arguments: &[&str], input: &[u8]) -> String {
        let config = self.config();
        let arguments: Vec<&str> =
            arguments.iter().copied().chain(["--config", config.to_str().expect("a path in UTF-8")]).collect();
        self.run(&arguments, input)
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> String {
        let done = run(&self.program, arguments, input);
        assert!(done.status.success(), "postrider {}: {}", arguments.join(" "), words(&done));
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    fn serve(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).expect("a log file");
        let ready = self.folder.path().join("ready");
        let _ = std::fs::remove_file(&ready);
        let notified = UnixDatagram::bind(&ready).expect("a socket in the folder");
        notified.set_read_timeout(Some(Duration::from_millis(200))).expect("a time-out");
        let most = self.descriptors.map_or_else(|| "unlimited".into(), |most| most.to_string());
        let server = Command::new("sh")
            .args(["-c", "[ $0 = unlimited ] || ulimit -n $0; exec \"$@\"", &most])
            .arg(&self.program)
            .args(["serve", "--config"])
            .arg(self.config())
            .env("NOTIFY_SOCKET", &ready)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn();
        self.server = Some(server.unwrap_or_else(|error| panic!("{}: {error}", self.program.display())));
        self.notified = Some(notified);
        self.notifies("READY=1");
    }

    /// Waits until it tells systemd so.
    fn notifies(&mut self, state: &str) {
        let start = Instant::now();
        let mut said = [0; 256];
        let told = |said: &[u8]| said.split(|b| *b == b'\n').any(|line| line == state.as_bytes());
        while !matches!(self.notified.as_ref().map(|socket| socket.recv(&mut said)), Some(Ok(length)) if told(&said[..length]))
        {
            let ended = self.server.as_mut().map(|server| server.try_wait().expect("a child's state"));
            let runs = ended == Some(None) && start.elapsed() < PATIENCE;
            assert!(runs, "it does not tell {state}: {ended:?}\n{}", self.log());
        }
    }

    /// Changes its configuration file.
    ///
    /// # Panics
    /// When it can't be read or written.
    pub fn configure(&self, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(self.config()).expect("its configuration");
        std::fs::write(self.config(), change(text)).expect("its configuration is writable");
    }

    /// Makes it take its configuration anew, and waits until it has, or has said why not.
    ///
    /// # Panics
    /// When it does not tell systemd so.
    pub fn reload(&mut self) {
        self.signal("-HUP");
        self.notifies("RELOADING=1");
        self.notifies("READY=1");
    }

    fn signal(&self, signal: &str) {
        let _ = Command::new("kill").args([signal, &self.id()]).status();
    }

    /// Its process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn id(&self) -> String {
        self.server.as_ref().expect("it runs").id().to_string()
    }

    /// Waits until what it wrote satisfies.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn until_log(&self, what: &str, satisfies: impl Fn(&str) -> bool) {
        let start = Instant::now();
        while !satisfies(&self.log()) {
            assert!(start.elapsed() < PATIENCE, "its log never has {what}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops and starts it.
    ///
    /// # Panics
    /// When it ends badly, or does not start.
    pub fn restart(&mut self) {
        self.end().unwrap_or_else(|why| panic!("{why}"));
        self.serve();
    }

    /// What it wrote to standard output and error so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends it and checks its store.
    fn end(&mut self) -> Result<(), String> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        let _ = Command::new("kill").arg(server.id().to_string()).status();
        let notified = self.notified.take();
        let (ended, end) = mpsc::channel();
        let id = server.id().to_string();
        std::thread::spawn(move || ended.send(server.wait()));
        let Ok(Ok(status)) = end.recv_timeout(PATIENCE) else {
            let _ = Command::new("kill").args(["-KILL", &id]).status();
            return Err(format!("it does not end on SIGTERM\n{}", self.log()));
        };
        if !status.success() {
            return Err(format!("it ended with {status}\n{}", self.log()));
        }
        let mut said = [0; 256];
        let mut told = || notified.as_ref().and_then(|socket| socket.recv(&mut said).ok().map(|n| said[..n].to_vec()));
        if !std::iter::from_fn(&mut told).any(|said| said == b"STOPPING=1\n" || said == b"STOPPING=1") {
            return Err("it did not tell systemd that it stops".into());
        }
        let config = self.config();
        let done = run(&self.program, &["check", "--config", config.to_str().unwrap_or_default()], b"");
        if done.status.success() { Ok(()) } else { Err(format!("postrider check: {}", words(&done))) }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Err(why) = self.end() {
            if std::thread::panicking() {
                eprintln!("{why}");
            } else {
                panic!("{why}");
            }
        }
    }
}

fn run(program: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    // One that does not want its input may have ended before it is written.
    let _ = child.stdin.take().expect("it is piped").write_all(input);
    child.wait_with_output().expect("a child's output")
}

fn words(done: &Output) -> String {
    format!("{}\n{}{}", done.status, String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

/// Where the next port is looked for: below those that outgoing connections take theirs from, so that none of them comes
/// in between; another place in each process, and never the same one twice in one.
static NEXT_PORT: AtomicU32 = AtomicU32::new(0);

/// Ports that are free.
fn free_ports<const N: usize>() -> [u16; N] {
    const FIRST: u32 = 11_000;
    const COUNT: u32 = 21_000;
    std::array::from_fn(|_| {
        (0..COUNT)
            .map(|_| FIRST + std::process::id().wrapping_mul(97).wrapping_add(NEXT_PORT.fetch_add(1, Relaxed)) % COUNT)
            .map(|port| u16::try_from(port).expect("below 32,000"))
            .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
            .expect("a free port")
    })
}
