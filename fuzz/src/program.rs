//! Pieces of the program that are private to their crates: their files are taken in here as they are.

use std::path::Path;

use mail::{Address, Domain, Envelope, QueueId, Recipient, ReversePath, Timestamp};
use store::{QueueMessage, QueueRecipient, QueueState};
use wire::sasl::client::{self, Credentials};
use wire::sasl::scram::Keys;
use wire::sasl::server::{self, Step};
use wire::sasl::{ChannelBinding, Mechanism, Password};

/// `postrider.toml`: whatever is in it is settings, or sentences with file and line.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A key that names a file has it read; which one is the operator's word, not a stranger's.
    if text.contains("password_file") {
        return;
    }
    let file = Path::new("/nowhere/postrider.toml");
    match crate::config::Config::parse(file, text) {
        Ok(config) => {
            let again = crate::config::Config::parse(file, text);
            assert!(again.is_ok_and(|again| again.settings == config.settings));
        }
        Err(error) => {
            let lines = text.split('\n').count();
            for sentence in error.to_string().split('\n').filter(|line| line.starts_with("/nowhere/postrider.toml:")) {
                let number = sentence["/nowhere/postrider.toml:".len()..].split(':').next().unwrap_or_default();
                // Without one it is about the whole file.
                assert!(number.parse().map_or(true, |number: usize| (1..=lines).contains(&number)), "{sentence}");
            }
        }
    }
}

/// What servers tell our IMAP client, as values and as parts; and any text on its way to a terminal.
pub fn mua(data: &[u8]) {
    let values = crate::value::parse(data);
    for value in &values {
        assert!(value.octets().is_none() || value.list().is_empty());
        let _ = value.number();
    }
    if let Some(length) = crate::value::literal_at_end(data) {
        assert!(data.ends_with(b"}"), "{length}");
    }
    let safe = mua::safe_text(&String::from_utf8_lossy(data));
    assert!(!safe.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{safe:?}");
    assert_eq!(mua::safe_text(&safe), safe);
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(url) = text.parse::<mua::ServerUrl>()
    {
        assert!(!url.host.is_empty());
    }
}

fn binding() -> ChannelBinding {
    ChannelBinding { tls_exporter: Some(vec![7; 32]), tls_server_end_point: None }
}

/// Log-ins from both sides. The first octet chooses the mechanism and the channel; responses are lines. Nobody gets in
/// who does not know the password, whatever is said.
pub fn sasl(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let mechanism = Mechanism::offered(&binding())[usize::from(first % 4)];
    let channel = if first & 4 == 0 { binding() } else { ChannelBinding::default() };
    let lines: Vec<&[u8]> = rest.split(|byte| *byte == b'\n').collect();
    let mut said = lines.iter();
    let initial = (first & 8 == 0).then(|| said.next()).flatten().copied();
    let mut step = server::Exchange::start(mechanism, channel.clone(), initial);
    loop {
        step = match step {
            Step::Challenge { next, .. } => match said.next() {
                Some(line) => next.respond(line),
                None => break,
            },
            Step::Keys(start) => {
                let keys = (first & 16 == 0).then(|| Keys::derive("a password that is not in the corpus", b"salt", 1));
                start.keys(keys, &[1; 18], b"decoy")
            }
            Step::Verify { user, password, .. } => {
                assert!(!user.is_empty() && !password.reveal().is_empty());
                break;
            }
            Step::Succeeded { user, .. } => panic!("{user} is in without the password"),
            Step::Failed(_) => break,
        };
    }
    // As many rounds as the server likes would only be slow here; the bound has a test of its own.
    let asks_much = |line: &&[u8]| {
        let text = String::from_utf8_lossy(line);
        text.split("i=").skip(1).any(|rest| rest.len() > 4 && rest.as_bytes()[..4].iter().all(u8::is_ascii_digit))
    };
    if lines.iter().any(|line| asks_much(line)) {
        return;
    }
    let credentials = Credentials { user: "u,=".into(), password: Password::new("p") };
    let (_, mut exchange) = client::Exchange::start(mechanism, credentials, &channel, first & 32 == 0, &[2; 18]);
    for line in lines {
        match exchange.respond(line) {
            Ok((_, next)) => exchange = next,
            Err(_) => return,
        }
    }
    let let_in = exchange.succeeded().is_ok();
    // A server that never showed a signature that fits may not be believed.
    assert!(!let_in || !mechanism.is_scram());
}

/// A report about words of strangers: its header is ours, it has its parts, and no line is longer than mail allows.
pub fn report(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut pieces = text.split('\u{1}');
    let mut piece = || pieces.next().unwrap_or_default().to_owned();
    let (words, host, original, envelope_id, message_id, returned) =
        (piece(), piece(), piece(), piece(), piece(), piece());
    let at = Timestamp::from_secs(1_700_000_000);
    let Ok(domain) = Domain::from_ascii("blue.example") else { return };
    let Ok(bob) = Address::new("bob", domain.clone()) else { return };
    let recipient = QueueRecipient {
        index: 0,
        address: Address::new(words.get(..3).unwrap_or("b"), domain.clone()).unwrap_or_else(|_| bob.clone()),
        notify: mail::Notify::default(),
        original: Some(original),
        prefix: Vec::new(),
        destination: domain,
        state: QueueState::Waiting,
        attempts: 1,
        next_attempt: at,
        warned: false,
        last: None,
    };
    let message = QueueMessage {
        id: QueueId::from_u64(1),
        received_at: at,
        held: false,
        release_at: None,
        envelope: Envelope {
            reverse_path: ReversePath::Address(bob.clone()),
            recipients: vec![Recipient::new(bob.clone())],
            body: mail::BodyType::EightBitMime,
            smtputf8: data.len() % 2 == 0,
            dsn_return: None,
            envelope_id: Some(envelope_id),
            hold: None,
        },
        message_id: Some(message_id),
        size: 9,
        recipients: vec![recipient],
    };
    let bytes = crate::bounce::written(&message, &bob, words, host, returned.into_bytes());
    let header = message::header::Header::of(&bytes);
    let names: Vec<_> = header.fields().map(|field| String::from_utf8_lossy(field.name()).into_owned()).collect();
    let ours = "From To Subject Date Message-ID In-Reply-To References Auto-Submitted MIME-Version Content-Type";
    assert_eq!(names.join(" "), ours);
    let structure = message::structure::Structure::of(&bytes);
    let message::structure::Kind::Multipart(parts) = &structure.root().kind else { panic!("{structure:?}") };
    assert!((2..=3).contains(&parts.len()), "{structure:?}");
    // What is returned is the sender's own and stays as it was.
    for part in &parts[..2] {
        let body = structure.part(*part).map_or(0..0, |part| part.body.start as usize..part.body.end as usize);
        for line in bytes[body].split(|byte| *byte == b'\n') {
            assert!(line.len() <= 999, "{line:?}");
            assert!(!line.strip_suffix(b"\r").unwrap_or(line).iter().any(u8::is_ascii_control), "{line:?}");
        }
    }
}

/// The DNS server of `local`: zones made of lines, asked for every name in them.
pub fn zones(data: &[u8]) {
    use smallnet::dns::{Zones, name};
    let text = String::from_utf8_lossy(data);
    let mut zones = Zones::new();
    for line in text.lines().take(50) {
        let mut words = line.split(' ');
        let (owner, kind, what) = (words.next().unwrap_or_default(), words.next(), words.next().unwrap_or_default());
        zones = match kind {
            None => zones.zone(owner),
            Some("mx") => zones.mx(owner, 10, what),
            Some("cname") => zones.cname(owner, what),
            Some("a") => zones.address(owner, [127, 0, 0, 1].into()),
            Some("without") => zones.without(owner),
            Some(_) => zones.txt(owner, what),
        };
    }
    for question in text.split_ascii_whitespace().take(100) {
        for wanted in [hickory_proto::rr::RecordType::A, hickory_proto::rr::RecordType::MX] {
            let answer = zones.look_up(&name(question), wanted);
            assert!(answer.answers.len() <= 200 && answer.authority.len() <= 1);
        }
    }
}
