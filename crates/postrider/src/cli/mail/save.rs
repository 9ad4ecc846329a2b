//! `postrider mail save`

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use mua::{MuaError, MuaResult, Progress, Sink};

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
        let to_file = self.to.as_os_str() != "-";
        let mut maildrop = self.account.open(&self.mailbox).await?;
        // Made only once the server let us in: a wrong password leaves no empty file behind.
        let out: Box<dyn std::io::Write + Send> = if to_file {
            Box::new(OpenOptions::new().write(true).create_new(true).open(&self.to).map_err(failed)?)
        } else {
            Box::new(std::io::stdout())
        };
        let mut sink = Written { meter: present::Meter::new(), out, octets: 0, failed };
        match &self.part {
            Some(part) => maildrop.save(self.number, part, &mut sink).await?,
            None => maildrop.save_whole(self.number, &mut sink).await?,
        }
        let Written { meter, mut out, octets, .. } = sink;
        out.flush().map_err(failed)?;
        maildrop.close().await;
        drop(meter);
        if to_file {
            let _ = writeln!(std::io::stderr(), "Saved {} to {shown}.", present::size(octets));
        }
        Ok(())
    }
}

/// What was written, and how far it is.
struct Written<Failed> {
    meter: present::Meter,
    out: Box<dyn std::io::Write + Send>,
    octets: u64,
    failed: Failed,
}

impl<Failed: Send> Progress for Written<Failed> {
    fn advance(&mut self, done: u64, total: u64) {
        self.meter.advance(done, total);
    }
}

impl<Failed: Fn(std::io::Error) -> MuaError + Send> Sink for Written<Failed> {
    fn take(&mut self, octets: &[u8]) -> MuaResult<()> {
        self.octets += octets.len() as u64;
        self.out.write_all(octets).map_err(&self.failed)
    }
}
