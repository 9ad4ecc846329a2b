//! `sendmail`, as programs know it: by that name (a link), or as `postrider sendmail …`. Also `mailq` and `newaliases`.
//!
//! Does: take the usual options, make a whole message of what comes on standard input, and hand it in over the control
//! socket (who may use that may send as anybody). Who may not submits with an account of his, as `postrider mail send`
//! does: POSTRIDER_SERVER, POSTRIDER_USER and POSTRIDER_PASSWORD. Exits with the codes of sysexits.h, which such programs look at.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::PathBuf;

use clap::Parser as _;
use mail::{Address, limits};
use message::header::Header;
use server::control::{Request, Submission};

use super::ask::{ask_server, hand_in};
use super::{Cli, Failure};
use crate::config::Config;

/// What programs call it, and what that means.
const NAMES: [&str; 3] = ["sendmail", "mailq", "newaliases"];
/// Where its configuration is sought, after POSTRIDER_CONFIG.
const CONFIGS: [&str; 2] = ["/etc/postrider/postrider.toml", "postrider.toml"];

/// sysexits.h
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Exit {
    Usage = 64,
    DataError = 65,
    NoUser = 67,
    Unavailable = 69,
    TemporaryFailure = 75,
    Configuration = 78,
}

type Done = Result<(), (Exit, String)>;

/// What the options say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    /// Recipients are in the header, too.
    from_header: bool,
    /// A lone dot does not end the message.
    dots: bool,
    sender: Option<String>,
    name: Option<String>,
    config: Option<PathBuf>,
    recipients: Vec<String>,
    task: Task,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Task {
    #[default]
    Send,
    /// `mailq`, `-bp`
    List,
    /// `newaliases`, `-bi`: aliases are known at once.
    Nothing,
}

/// Whether the program was called by one of these names: which, and with what.
pub(super) fn by_name(mut arguments: impl Iterator<Item = OsString>) -> Option<(String, Vec<OsString>)> {
    let program = PathBuf::from(arguments.next()?);
    let name = program.file_name()?.to_str()?.to_owned();
    NAMES.contains(&name.as_str()).then(|| (name, arguments.collect()))
}

/// Does what such a program does; the code to exit with.
pub(super) async fn run(name: &str, arguments: &[OsString]) -> u8 {
    match task(name, arguments).await {
        Ok(()) => 0,
        Err((exit, words)) => {
            eprintln!("{name}: {}", crate::visible::lines(&words));
            exit as u8
        }
    }
}

async fn task(name: &str, arguments: &[OsString]) -> Done {
    let options = read_options(name, arguments).map_err(|words| (Exit::Usage, words))?;
    match options.task {
        Task::Nothing => Ok(()),
        Task::List => {
            let config = configuration(&options);
            let list = ["postrider", "queue", "list", "--config"].map(OsString::from);
            let list = list.into_iter().chain([config.into_os_string()]);
            let command = Cli::try_parse_from(list).map_err(|error| (Exit::Usage, error.to_string()))?.command;
            Box::pin(super::run(command)).await.map_err(|Failure(words)| (Exit::TemporaryFailure, words))
        }
        Task::Send => send(options).await,
    }
}

fn configuration(options: &Options) -> PathBuf {
    let named = options.config.clone().or_else(|| std::env::var_os("POSTRIDER_CONFIG").map(PathBuf::from));
    let found = || CONFIGS.iter().map(PathBuf::from).find(|path| path.exists());
    named.or_else(found).unwrap_or_else(|| CONFIGS[0].into())
}

/// Options as sendmail has always had them: letters, together or apart, and values behind them or next.
fn read_options(name: &str, arguments: &[OsString]) -> Result<Options, String> {
    let mut options = Options {
        task: match name {
            "mailq" => Task::List,
            "newaliases" => Task::Nothing,
            _ => Task::Send,
        },
        ..Options::default()
    };
    let text = |argument: &OsString| argument.to_str().map(str::to_owned).ok_or("an argument is not UTF-8");
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let argument = text(argument)?;
        let Some(mut letters) = argument.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            options.recipients.push(argument);
            continue;
        };
        if letters == "-" {
            for argument in arguments {
                options.recipients.push(text(argument)?);
            }
            break;
        }
        while let Some(letter) = letters.chars().next() {
            letters = &letters[letter.len_utf8()..];
            let mut value = || -> Result<String, String> {
                let rest = std::mem::take(&mut letters);
                match rest {
                    "" => arguments.next().map(text).transpose()?.ok_or(format!("-{letter} needs a value")),
                    rest => Ok(rest.to_owned()),
                }
            };
            match letter {
                't' => options.from_header = true,
                'i' => options.dots = true,
                // -oi is -i; the others are about queues and forms that are not ours.
                'o' => options.dots |= value()?.starts_with('i'),
                'f' | 'r' => options.sender = Some(value()?),
                'F' => options.name = Some(value()?),
                'C' => options.config = Some(value()?.into()),
                'b' => match value()?.as_str() {
                    "m" => {}
                    "p" => options.task = Task::List,
                    "i" => options.task = Task::Nothing,
                    other => return Err(format!("-b{other} is not known here; SMTP is spoken on the server's ports")),
                },
                // What has no meaning here, and loses nothing: with a value, and without.
                'B' | 'd' | 'h' | 'L' | 'O' | 'p' | 'X' => {
                    value()?;
                }
                'G' | 'm' | 'n' | 'U' | 'v' => {}
                // -q, -qINTERVAL: the queue runs by itself.
                'q' => letters = "",
                other => return Err(format!("-{other} is not known here")),
            }
        }
    }
    Ok(options)
}

async fn send(options: Options) -> Done {
    let input = read_input(options.dots)?;
    let config = Config::load(&configuration(&options)).map_err(|error| error.to_string());
    let user = user();
    let domain = match &config {
        Ok(config) => home_domain(config).await,
        Err(_) => None,
    };
    let domain = domain.unwrap_or_else(|| "localhost".to_owned());
    let sender = match options.sender.as_deref() {
        Some("" | "<>") => String::new(),
        Some(sender) => qualified(sender.trim_start_matches('<').trim_end_matches('>'), &domain),
        None => qualified(&user, &domain),
    };
    let message = whole(&input, &sender, &user, options.name.as_deref(), &domain);
    let mut recipients: Vec<String> = options.recipients.iter().map(|to| qualified(to, &domain)).collect();
    if options.from_header {
        recipients.extend(header_recipients(&message, &domain));
    }
    let mut addresses: Vec<Address> = Vec::new();
    for recipient in &recipients {
        let address = super::address(recipient).map_err(|why| (Exit::NoUser, format!("{recipient}: {why}")))?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err((Exit::Usage, "no recipients: name them, or use -t to take them from the header".into()));
    }
    let size = message.len() as u64;
    let submission = Submission { user, sender: sender.clone(), recipients: addresses.clone(), size };
    match config {
        Ok(config) => match hand_in(&config, submission, &message).await {
            Ok(_) => Ok(()),
            Err(Failure(words)) if has_account() && words.starts_with("no permission") => {
                submit(sender, recipients, message).await
            }
            Err(Failure(words)) => Err((exit_of(&words), words)),
        },
        Err(_) if has_account() => submit(sender, recipients, message).await,
        Err(words) => Err((Exit::Configuration, words)),
    }
}

/// What a refusal means to a program.
fn exit_of(words: &str) -> Exit {
    let code = words.split(' ').next().unwrap_or_default();
    match code.parse::<u16>() {
        Ok(550) => Exit::NoUser,
        Ok(554) => Exit::DataError,
        Ok(500..=599) => Exit::Unavailable,
        _ => Exit::TemporaryFailure,
    }
}

fn has_account() -> bool {
    std::env::var_os("POSTRIDER_SERVER").is_some()
}

/// With an account, as any mail client: for users who may not touch the server.
async fn submit(sender: String, recipients: Vec<String>, message: Vec<u8>) -> Done {
    let failed = |error: mua::MuaError| (Exit::TemporaryFailure, error.to_string());
    let variable = |name: &str| std::env::var(name).map_err(|_| (Exit::Configuration, format!("{name} is not set")));
    let server: mua::ServerUrl = variable("POSTRIDER_SERVER")?.parse().map_err(failed)?;
    let password = wire::sasl::Password::new(variable("POSTRIDER_PASSWORD")?);
    let credentials = wire::sasl::client::Credentials { user: variable("POSTRIDER_USER")?, password };
    let mut nonce = [0; 18];
    getrandom::fill(&mut nonce).map_err(|error| (Exit::TemporaryFailure, error.to_string()))?;
    let login = mua::Login { credentials, nonce: nonce.to_vec() };
    // Another server may leave it in (RFC 5322 §3.6.3).
    let header = Header::of(&message);
    let body = message.get(header.bytes().len()..).unwrap_or_default();
    let message = [&header.without(&["Bcc", "Resent-Bcc"]), body].concat();
    let outgoing = mua::Outgoing { sender, recipients, message };
    let trust = mua::Trust::system().map_err(failed)?;
    let sent = mua::send(&server, &trust, &login, outgoing, &mut Silent).await.map_err(failed)?;
    // Somebody has it: a program that hears of a failure would send it again, and he would have it twice.
    for (address, words) in &sent.refused {
        eprintln!("sendmail: {}", crate::visible::lines(&format!("{address} did not get it, the others did: {words}")));
    }
    Ok(())
}

/// Programs look at the exit code.
struct Silent;

impl mua::Progress for Silent {
    fn advance(&mut self, _: u64, _: u64) {}
}

/// The name of who runs this program.
fn user() -> String {
    let id = rustix::process::getuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("uid-{id}"))
}

/// What a name without a domain belongs to: of our domains the one that the hostname lies in, else the first.
async fn home_domain(config: &Config) -> Option<String> {
    let (domains, _) = ask_server::<Vec<String>>(config, Request::DomainList).await.ok()?;
    let hostname = config.settings.hostname.as_str();
    let within = |domain: &&String| hostname == domain.as_str() || hostname.ends_with(&format!(".{domain}"));
    let nearest = domains.iter().filter(within).max_by_key(|domain| domain.len());
    nearest.or(domains.first()).cloned()
}

fn qualified(name: &str, domain: &str) -> String {
    if name.contains('@') { name.to_owned() } else { format!("{name}@{domain}") }
}

fn read_input(dots: bool) -> Result<Vec<u8>, (Exit, String)> {
    let mut input = Vec::new();
    let most = limits::MESSAGE_SIZE as u64;
    let read = std::io::stdin().lock().take(most + 1).read_to_end(&mut input);
    read.map_err(|error| (Exit::DataError, format!("can't read the message: {error}")))?;
    if input.len() as u64 > most {
        return Err((Exit::DataError, format!("the message has more than {most} octets")));
    }
    if !dots && let Some(end) = lone_dot(&input) {
        input.truncate(end);
    }
    Ok(input)
}

/// Where a line begins that is only a dot.
fn lone_dot(input: &[u8]) -> Option<usize> {
    let mut at = 0;
    for line in input.split_inclusive(|octet| *octet == b'\n') {
        if matches!(line, b"." | b".\n" | b".\r\n") {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// The message with CRLF, and with a From field.
fn whole(input: &[u8], sender: &str, user: &str, name: Option<&str>, domain: &str) -> Vec<u8> {
    let mut lines = Vec::with_capacity(input.len() + input.len() / 40);
    for (n, line) in input.split_inclusive(|octet| *octet == b'\n').enumerate() {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        // The line that files of mbox have before each message.
        if n == 0 && text.starts_with(b"From ") {
            continue;
        }
        lines.extend_from_slice(text);
        lines.extend_from_slice(b"\r\n");
    }
    let header = Header::of(&lines);
    let first = lines.split(|octet| *octet == b'\n').next().unwrap_or_default();
    let is_field = first.iter().position(|octet| *octet == b':');
    let has_header = is_field.is_some_and(|colon| colon > 0 && first[..colon].iter().all(u8::is_ascii_graphic));
    if has_header && header.get("From").is_some() {
        return lines;
    }
    let address = if sender.is_empty() { qualified(user, domain) } else { sender.to_owned() };
    let phrase = |name: &str| {
        let name: String = name.chars().filter(|c| !c.is_control() && !"\"\\<>".contains(*c)).collect();
        format!("\"{name}\" ")
    };
    let mut message = format!("From: {}<{address}>\r\n", name.map(phrase).unwrap_or_default()).into_bytes();
    if !has_header && !first.trim_ascii().is_empty() {
        // There is no header: all of it is text.
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(&lines);
    message
}

fn header_recipients(message: &[u8], domain: &str) -> Vec<String> {
    let header = Header::of(message);
    // RFC 5322 §3.6.6: what is sent again goes to those to whom it is sent again.
    let resent = header.get("Resent-To").is_some() || header.get("Resent-Cc").is_some();
    let names = if resent { ["Resent-To", "Resent-Cc", "Resent-Bcc"] } else { ["To", "Cc", "Bcc"] };
    let fields = names.into_iter().flat_map(|name| header.all(name));
    let addresses = fields.flat_map(|field| message::envelope::addresses(field.raw_value()));
    let text = |one: message::envelope::EnvelopeAddress| {
        one.address().or_else(|| Some(qualified(one.local()?.as_str(), domain)))
    };
    addresses.filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<Options, String> {
        read_options("sendmail", &line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_together_and_apart() {
        let read = options("-oi -odb -fa@x.example -F Ann -t -v b@x.example -- -c@x.example").unwrap();
        assert!(read.from_header && read.dots);
        assert_eq!((read.sender.as_deref(), read.name.as_deref()), (Some("a@x.example"), Some("Ann")));
        assert_eq!(read.recipients, ["b@x.example", "-c@x.example"]);
        assert!(options("-ti").unwrap().dots && options("-it").unwrap().from_header);
        assert_eq!(options("-f a@x.example b").unwrap().sender.as_deref(), Some("a@x.example"));
        assert_eq!((options("-bp").unwrap().task, options("-bi").unwrap().task), (Task::List, Task::Nothing));
        assert_eq!(read_options("mailq", &[]).unwrap().task, Task::List);
        assert_eq!(options("-q15m a@x.example").unwrap().recipients, ["a@x.example"]);
        for bad in ["-bs", "-f", "-Z", "-bd"] {
            assert!(options(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn input_becomes_a_message() {
        let made = |input: &str| {
            String::from_utf8(whole(input.as_bytes(), "root@x.example", "root", Some("Ro \"ot"), "x.example")).unwrap()
        };
        let from = "From: \"Ro ot\" <root@x.example>\r\n";
        assert_eq!(made("Subject: x\n\nhi\n"), format!("{from}Subject: x\r\n\r\nhi\r\n"));
        assert_eq!(made("From x Mon\nFrom: a@b\r\n\r\nhi"), "From: a@b\r\n\r\nhi\r\n");
        assert_eq!(made("just text\n"), format!("{from}\r\njust text\r\n"));
        assert_eq!(made("\nno header\n"), format!("{from}\r\nno header\r\n"));
        assert_eq!(made(""), from);
        assert_eq!(lone_dot(b"a\n.\nb"), Some(2));
        assert_eq!(lone_dot(b"a\n..\n.b\n"), None);
    }

    #[test]
    fn recipients_in_a_header() {
        let to = |text: &str| header_recipients(text.as_bytes(), "x.example");
        assert_eq!(
            to("To: Ann <a@y.example>, root\r\nCc: b@y.example\r\nBcc: c@y.example\r\n\r\nTo: d@y.example\r\n"),
            ["a@y.example", "root@x.example", "b@y.example", "c@y.example"]
        );
        assert_eq!(to("To: a@y.example\r\nResent-To: e@y.example\r\n\r\n"), ["e@y.example"]);
    }

    #[test]
    fn exits_say_whether_to_try_again() {
        for (words, exit) in [
            ("550 5.1.1 <x@y>: no such user", Exit::NoUser),
            ("552 5.3.4 too big", Exit::Unavailable),
            ("452 4.3.1 no space", Exit::TemporaryFailure),
            ("the server does not answer", Exit::TemporaryFailure),
        ] {
            assert_eq!(exit_of(words), exit, "{words}");
        }
    }
}
