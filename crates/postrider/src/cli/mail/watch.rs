//! `postrider mail watch`

use std::io::Write as _;

use clap::Args;
use mua::{Maildrop, MuaResult, Protocol, Summary, pop3};

use super::{Account, present};

#[derive(Args, Debug)]
pub(crate) struct Watch {
    #[command(flatten)]
    account: Account,
    /// Mailbox (IMAP only).
    #[arg(long, value_name = "NAME", default_value = "INBOX")]
    mailbox: String,
    /// End after so many messages (default: go on).
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

impl Watch {
    pub(super) async fn run(self) -> MuaResult<()> {
        let mut left = self.count;
        let mut tell = |summary: Summary| {
            let line = if self.json { present::json(&summary).to_string() } else { present::line(&summary) };
            let _ = writeln!(std::io::stdout(), "{line}");
            left = left.map(|left| left.saturating_sub(1));
            left != Some(0)
        };
        let mut ready = || drop(writeln!(std::io::stderr(), "Watching {}; Ctrl-C ends.", self.mailbox));
        if self.account.server.protocol == Protocol::Pop3 {
            let (trust, login) = (self.account.trust()?, self.account.login()?);
            return pop3::watch(&self.account.server, &trust, &login, &mut ready, &mut tell).await;
        }
        match self.account.open(&self.mailbox).await? {
            Maildrop::Imap(mut client) => {
                ready();
                client.watch(&mut tell).await?;
                client.close().await;
                Ok(())
            }
            Maildrop::Pop3(client) => {
                client.close().await;
                Ok(())
            }
        }
    }
}
