//! `postrider mail send`

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use mail::Timestamp;
use message::compose::{self, Attachment, Draft, Person};
use mua::{MuaError, MuaResult, Outgoing};

use super::{Account, present};

#[derive(Args, Debug)]
pub(crate) struct Send {
    #[command(flatten)]
    account: Account,
    /// Sender, `bob@example.org` or `Bob <bob@example.org>` (default: --user).
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Receiver; may be given several times.
    #[arg(long, value_name = "ADDRESS", required = true)]
    to: Vec<String>,
    /// Receiver of a copy; may be given several times.
    #[arg(long, value_name = "ADDRESS")]
    cc: Vec<String>,
    /// Receiver of a copy of whom the others don't learn; may be given several times.
    #[arg(long, value_name = "ADDRESS")]
    bcc: Vec<String>,
    /// Subject.
    #[arg(long, value_name = "TEXT", default_value = "")]
    subject: String,
    /// A file to send along; may be given several times.
    #[arg(long, value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// The text; without it, or as `-`, it is read from standard input.
    #[arg(value_name = "TEXT-FILE")]
    text: Option<PathBuf>,
}

impl Send {
    pub(super) async fn run(self) -> MuaResult<()> {
        let from = person(self.from.as_deref().unwrap_or(&self.account.user))?;
        let to = people(&self.to)?;
        let cc = people(&self.cc)?;
        let bcc = people(&self.bcc)?;
        // The password's line comes before the text where both are on standard input.
        let login = self.account.login()?;
        let trust = self.account.trust()?;
        let message_id = compose::message_id(random()?, from.address.rsplit('@').next().unwrap_or("localhost"));
        let recipients = [&to, &cc, &bcc].into_iter().flatten().map(|person| person.address.clone()).collect();
        let sender = from.address.clone();
        let draft = Draft {
            from,
            to,
            cc,
            subject: self.subject,
            date: now(),
            message_id: message_id.clone(),
            text: read_text(self.text.as_deref())?,
            attachments: self.attach.iter().map(|file| attachment(file)).collect::<MuaResult<_>>()?,
        };
        let mut message = Vec::new();
        draft.write(&mut message).map_err(|error| MuaError::new(format!("can't compose the message: {error}")))?;
        let outgoing = Outgoing { sender, recipients, message };
        let sent = mua::send(&self.account.server, &trust, &login, outgoing, &mut present::Meter::new()).await?;
        for (address, words) in &sent.refused {
            let _ = writeln!(std::io::stderr(), "Refused: {address}: {words}");
        }
        let _ = writeln!(std::io::stdout(), "Sent {message_id}");
        let _ = writeln!(std::io::stderr(), "The server says: {}", sent.words);
        if sent.refused.is_empty() { Ok(()) } else { Err(MuaError::new("not all receivers were accepted")) }
    }
}

fn random() -> MuaResult<u128> {
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).map_err(|error| MuaError::new(format!("the system gives no randomness: {error}")))?;
    Ok(u128::from_ne_bytes(octets))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn read_text(file: Option<&Path>) -> MuaResult<String> {
    let mut octets = Vec::new();
    let read = match file {
        Some(path) if path.as_os_str() != "-" => File::open(path).and_then(|mut file| file.read_to_end(&mut octets)),
        _ => std::io::stdin().read_to_end(&mut octets),
    };
    let shown = file.map_or_else(|| "standard input".into(), |path| path.display().to_string());
    read.map_err(|error| MuaError::new(format!("can't read the text from {shown}: {error}")))?;
    String::from_utf8(octets)
        .map_err(|_| MuaError::new(format!("the text from {shown} is not UTF-8: convert it first")))
}

fn attachment(path: &Path) -> MuaResult<Attachment> {
    let shown = path.display();
    let failed = |why: &dyn std::fmt::Display| MuaError::new(format!("can't attach {shown}: {why}"));
    let name = path.file_name().ok_or_else(|| failed(&"it is no file"))?.to_string_lossy().into_owned();
    let file = File::open(path).map_err(|error| failed(&error))?;
    if !file.metadata().map_err(|error| failed(&error))?.is_file() {
        return Err(failed(&"it is no file"));
    }
    Ok(Attachment { media_type: compose::media_type(&name).to_owned(), name, content: Box::new(file) })
}

fn people(texts: &[String]) -> MuaResult<Vec<Person>> {
    texts.iter().map(|text| person(text)).collect()
}

/// `bob@example.org` or `Bob <bob@example.org>`.
fn person(text: &str) -> MuaResult<Person> {
    let (name, address) = match text.trim().strip_suffix('>').and_then(|inner| inner.rsplit_once('<')) {
        Some((name, address)) => (name.trim().trim_matches('"'), address),
        None => ("", text.trim()),
    };
    let sound = address.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    if !sound || address.contains(|c: char| c.is_control() || "<>,; ".contains(c)) || name.contains(char::is_control) {
        return Err(MuaError::new(format!("{text} is no address: write bob@example.org or \"Bob <bob@example.org>\"")));
    }
    Ok(Person { name: name.to_owned(), address: address.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::person;

    #[test]
    fn people_are_read_as_people_write_them() {
        let bob = person("Bob Müller <bob@blue.example>").unwrap();
        assert_eq!((bob.name.as_str(), bob.address.as_str()), ("Bob Müller", "bob@blue.example"));
        assert_eq!(person(" bob@blue.example ").unwrap().name, "");
        for bad in ["", "bob", "@x", "bob@", "a@b\r\nBcc: c@d", "a@b, c@d", "x <a@b> y"] {
            assert!(person(bad).is_err(), "{bad}");
        }
    }
}
