//! Counts of a mailbox (RFC 8621 §2).

use mail::{BodyId, Flags};

use crate::index::Index;

/// See above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) emails: usize,
    pub(crate) unread_emails: usize,
    pub(crate) threads: usize,
    pub(crate) unread_threads: usize,
}

impl Counts {
    /// Counts a mailbox's Emails: an Email that is there twice counts once. A conversation is unread where it has an unread
    /// Email in this mailbox.
    pub(crate) fn of(index: &Index, mailbox: u32) -> Self {
        let rows = index.rows(mailbox).map(|row| {
            let plainly_read = row.flags.contains(Flags::SEEN) || row.flags.contains(Flags::DRAFT);
            (row.thread.0, row.body.0, plainly_read)
        });
        let mut emails: Vec<(u64, u64, bool)> = rows.collect();
        emails.sort_unstable();
        emails.dedup_by_key(|(_, body, _)| *body);
        for (_, body, is_read) in &mut emails {
            // What other mailboxes have of it counts too.
            if let Some(email) = index.email(BodyId(*body)).filter(crate::index::Email::is_several) {
                *is_read = !email.is_unread();
            }
        }
        let threads = |emails: &[(u64, u64, bool)]| emails.chunk_by(|(a, ..), (b, ..)| a == b).count();
        let unread: Vec<_> = emails.iter().copied().filter(|(.., is_read)| !is_read).collect();
        Self {
            emails: emails.len(),
            unread_emails: unread.len(),
            threads: threads(&emails),
            unread_threads: threads(&unread),
        }
    }
}
