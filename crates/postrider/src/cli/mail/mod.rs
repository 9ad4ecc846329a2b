//! `postrider mail`: a mail client for the terminal, against any server.

mod list;
mod present;
mod read;
mod save;
mod send;
mod watch;

use std::io::Read as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use mua::{Login, Maildrop, MuaError, MuaResult, ServerUrl, Trust};
use wire::sasl::Password;
use wire::sasl::client::Credentials;

/// A mail client for the terminal, against any server.
#[derive(Debug, Subcommand)]
pub(crate) enum Mail {
    /// Sends a message; the text comes from a file or standard input.
    Send(send::Send),
    /// Lists messages, newest last.
    List(list::List),
    /// Shows a message: its header, its text, its parts.
    Read(read::Read),
    /// Saves a part of a message, or all of it. Over IMAP only that part is fetched.
    Save(save::Save),
    /// Waits for new messages and tells of each.
    Watch(watch::Watch),
}

impl Mail {
    /// Does it; an error is a sentence for the person.
    pub(crate) async fn run(self) -> MuaResult<()> {
        match self {
            Self::Send(send) => send.run().await,
            Self::List(list) => list.run().await,
            Self::Read(read) => read.run().await,
            Self::Save(save) => save.run().await,
            Self::Watch(watch) => watch.run().await,
        }
    }
}

/// Which server, and who.
#[derive(Args, Debug)]
struct Account {
    /// The server; the scheme says all: smtps://, smtp:// (STARTTLS), imaps://, imap://, pop3s://, pop3://.
    #[arg(long, value_name = "URL")]
    server: ServerUrl,
    /// Log-in name: the address.
    #[arg(long, value_name = "ADDRESS")]
    user: String,
    /// Trust the authorities in this PEM file, and no others (default: the system's).
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Read the password from the first line of standard input (default: POSTRIDER_PASSWORD, else a prompt).
    #[arg(long)]
    password_stdin: bool,
}

impl Account {
    fn trust(&self) -> MuaResult<Trust> {
        match &self.ca {
            Some(file) => Trust::file(file),
            None => Trust::system(),
        }
    }

    /// Log-in name and password. From standard input only the first line is taken, octet by octet, so that
    /// a message's text may follow.
    fn login(&self) -> MuaResult<Login> {
        let failed = |error: std::io::Error| MuaError::new(format!("can't read the password: {error}"));
        let password = if self.password_stdin {
            let mut line = Vec::new();
            for octet in std::io::stdin().lock().bytes() {
                match octet.map_err(failed)? {
                    b'\n' => break,
                    octet if line.len() < mail::limits::SMTP_COMMAND_LEN => line.push(octet),
                    _ => return Err(MuaError::new("the first line of standard input is too long for a password")),
                }
            }
            line.pop_if(|last| *last == b'\r');
            String::from_utf8(line).map_err(|_| MuaError::new("the password is not UTF-8"))?
        } else if let Ok(password) = std::env::var("POSTRIDER_PASSWORD") {
            password
        } else {
            rpassword::prompt_password(format!("Password of {}: ", self.user)).map_err(failed)?
        };
        let mut nonce = [0; 18];
        getrandom::fill(&mut nonce)
            .map_err(|error| MuaError::new(format!("the system gives no randomness: {error}")))?;
        let credentials = Credentials { user: self.user.clone(), password: Password::new(password) };
        Ok(Login { credentials, nonce: nonce.to_vec() })
    }

    async fn open(&self, mailbox: &str) -> MuaResult<Maildrop> {
        Maildrop::open(&self.server, &self.trust()?, &self.login()?, mailbox).await
    }
}
