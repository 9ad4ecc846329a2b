//! `postrider mail save`

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use mua::{MuaError, MuaResult};

use super::{Account, present};

#[derive(Args, Debug)]
pub(crate) struct Save {
    #[command(flatten)]
    account: Account,
    /// Mailbox (IMAP only).
    #[arg(long, value_name = "NAME", default_value = "INBOX")]
    mailbox: String,
    /// The message's number, as `list` shows it.
    number: u32,
    /// The part's number, as `read` shows it; without it the whole message is saved as it is.
    part: Option<String>,
    /// Where to; `-` is standard output. Never overwrites a file.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

impl Save {
    pub(super) async fn run(self) -> MuaResult<()> {
        let shown = self.to.display();
        let failed = |error: std::io::Error| MuaError::new(format!("can't write {shown}: {error}"));
        let mut maildrop = self.account.open(&self.mailbox).await?;
        // Made only once the server let us in: a wrong password leaves no empty file behind.
        let mut out: Box<dyn std::io::Write + Send> = if self.to.as_os_str() == "-" {
            Box::new(std::io::stdout())
        } else {
            Box::new(OpenOptions::new().write(true).create_new(true).open(&self.to).map_err(failed)?)
        };
        let mut written = 0;
        let mut meter = present::Meter::new();
        let mut take = |octets: &[u8]| {
            written += octets.len() as u64;
            out.write_all(octets).map_err(failed)
        };
        match &self.part {
            Some(part) => maildrop.save(self.number, part, &mut meter, &mut take).await?,
            None => maildrop.save_whole(self.number, &mut meter, &mut take).await?,
        }
        out.flush().map_err(failed)?;
        maildrop.close().await;
        drop(meter);
        if self.to.as_os_str() != "-" {
            let _ = writeln!(std::io::stderr(), "Saved {} to {shown}.", present::size(written));
        }
        Ok(())
    }
}
