//! `postrider queue …`: mail that waits for its next hop.

use clap::{Args, Subcommand};
use mail::QueueId;
use server::control::{QueueAction, QueueView, Request};

use super::ask::{ask_server, tell};
use super::table::{moment, size, table};
use super::{Listing, Outcome, Server, print, print_json};

/// Mail that waits for its next hop.
#[derive(Debug, Subcommand)]
pub(crate) enum Queue {
    /// Lists what waits, oldest first.
    List(Listing),
    /// Shows a message: each recipient, its tries, the last words.
    Show {
        #[command(flatten)]
        which: Which,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tries it at once.
    Retry {
        #[command(flatten)]
        which: Which,
    },
    /// Keeps it until it is released.
    Hold {
        #[command(flatten)]
        which: Which,
    },
    /// Ends what `hold` began.
    Release {
        #[command(flatten)]
        which: Which,
    },
    /// Returns it to its sender now.
    Bounce {
        #[command(flatten)]
        which: Which,
    },
    /// Throws it away; nobody is told.
    Drop {
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Which {
    /// The queue id.
    id: QueueId,
    #[command(flatten)]
    server: Server,
}

impl Queue {
    pub(super) async fn run(self) -> Outcome {
        let (which, action) = match self {
            Self::List(listing) => return listing.show(Request::QueueList, list).await,
            Self::Show { which, json } => return show(which, json).await,
            Self::Retry { which } => (which, QueueAction::Retry),
            Self::Hold { which } => (which, QueueAction::Hold),
            Self::Release { which } => (which, QueueAction::Release),
            Self::Bounce { which } => (which, QueueAction::Bounce),
            Self::Drop { which } => (which, QueueAction::Drop),
        };
        tell(&which.server.load()?, Request::Queue { id: which.id, action }).await
    }
}

fn list(messages: &[QueueView]) -> String {
    let mut rows = Vec::new();
    for message in messages {
        for recipient in &message.recipients {
            let next = if recipient.state == "held" { "held".into() } else { moment(recipient.next_attempt) };
            rows.push(vec![
                message.id.clone(),
                size(message.size),
                sender(message),
                recipient.address.clone(),
                recipient.attempts.to_string(),
                next,
                match (&recipient.last, message.held_until) {
                    (Some(last), _) => last.words.replace('\n', " "),
                    (None, Some(_)) => "held by its sender until then".into(),
                    (None, None) => String::new(),
                },
            ]);
        }
    }
    if rows.is_empty() {
        return "nothing waits".into();
    }
    table(&["ID", "SIZE", "FROM", "TO", "TRIES", "NEXT TRY (UTC)", "LAST WORDS"], &rows)
}

fn sender(message: &QueueView) -> String {
    if message.sender.is_empty() { "<>".into() } else { message.sender.clone() }
}

async fn show(which: Which, json: bool) -> Outcome {
    let (message, _) = ask_server::<QueueView>(&which.server.load()?, Request::QueueShow { id: which.id }).await?;
    if json {
        return print_json(&message);
    }
    print(&format!("id:          {}", message.id));
    print(&format!("message-id:  {}", message.message_id.as_deref().unwrap_or("none")));
    print(&format!("from:        {}", sender(&message)));
    print(&format!("accepted:    {} UTC", moment(message.received_at)));
    if let Some(until) = message.held_until {
        print(&format!("held:        by its sender, until {} UTC", moment(until)));
    }
    print(&format!("size:        {}", size(message.size)));
    for recipient in &message.recipients {
        let when = if recipient.state == "held" {
            "held until released".into()
        } else {
            format!("next try at {} UTC", moment(recipient.next_attempt))
        };
        print(&format!("to:          {}, {} tries, {when}", recipient.address, recipient.attempts));
        if let Some(last) = &recipient.last {
            let host = last.host.as_deref().unwrap_or("no server");
            print(&format!("             {} UTC {host}: {}", moment(last.at), last.words.replace('\n', " ")));
        }
    }
    Ok(())
}
