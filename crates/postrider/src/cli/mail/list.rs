//! `postrider mail list`

use std::io::Write as _;

use clap::Args;
use mua::MuaResult;

use super::{Account, present};

#[derive(Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    account: Account,
    /// Mailbox (IMAP only).
    #[arg(long, value_name = "NAME", default_value = "INBOX")]
    mailbox: String,
    /// How many of the newest messages.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: u32,
    /// One JSON array.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) async fn run(self) -> MuaResult<()> {
        let mut maildrop = self.account.open(&self.mailbox).await?;
        let found = maildrop.list(self.limit).await?;
        maildrop.close().await;
        let mut out = std::io::stdout().lock();
        if self.json {
            let list: Vec<_> = found.iter().map(present::json).collect();
            let _ = writeln!(out, "{}", serde_json::Value::from(list));
        } else if found.is_empty() {
            let _ = writeln!(out, "No messages.");
        } else {
            for summary in &found {
                let _ = writeln!(out, "{}", present::line(summary));
            }
        }
        Ok(())
    }
}
