//! `postrider mail read`

use clap::Args;
use mua::{Message, MuaResult, safe_text};

use super::{Account, present};

#[derive(Args, Debug)]
pub(crate) struct Read {
    #[command(flatten)]
    account: Account,
    /// Mailbox (IMAP only).
    #[arg(long, value_name = "NAME", default_value = "INBOX")]
    mailbox: String,
    /// The message's number, as `list` shows it.
    number: u32,
}

/// Header fields that are shown, in this order.
const SHOWN: [&str; 7] = ["From", "To", "Cc", "Reply-To", "Date", "Subject", "Message-ID"];

impl Read {
    pub(super) async fn run(self) -> MuaResult<()> {
        let mut maildrop = self.account.open(&self.mailbox).await?;
        let message = maildrop.read(self.number, &mut present::Meter::new()).await?;
        maildrop.close().await;
        present::print_safe(&page(&message));
        Ok(())
    }
}

/// The message as a page of text.
fn page(message: &Message) -> String {
    let mut page = String::new();
    for name in SHOWN {
        if let Some(value) = message.field(name) {
            // A value of one line: folding is undone, and a line end must not pose as another field.
            page += &format!("{name}: {}\n", safe_text(&value).replace('\n', " "));
        }
    }
    page += "\n";
    page += message.text.trim_end();
    if message.cut {
        page += "\n\n[There is more: save the part to read all of it.]";
    }
    let several = message.parts.len() > 1 || message.parts.iter().any(|part| part.name.is_some());
    if several {
        page += "\n\nParts (postrider mail save NUMBER PART):\n";
        for part in &message.parts {
            let name = part.name.as_deref().unwrap_or("-").replace('\n', " ");
            page += &format!("  {:<6} {:<28} {:>9}  {name}\n", part.number, part.media_type, present::size(part.size));
        }
    }
    page
}
