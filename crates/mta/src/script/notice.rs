//! Notices by mail (RFC 5436): somebody is told that a message came.

use std::fmt::Write as _;

use mail::{Address, BodyType, Envelope, Recipient, ReversePath, Timestamp, limits};
use message::compose::{Person, encoded_text, mailbox, unstructured};
use message::date;
use sieve::Notice;
use store::{NewDsn, Store, StoreResult};

use crate::bounce::Placed;
use crate::route::Routing;
use crate::world::Random;

/// A notice to write, about a message for an account.
pub(crate) struct Told<'a> {
    pub(crate) notice: &'a Notice,
    /// The account's address.
    pub(crate) owner: &'a Address,
    /// The author of the message, and what it is called.
    pub(crate) about: (Option<String>, Option<String>),
    pub(crate) now: Timestamp,
}

impl Told<'_> {
    /// The notice, for the commit of the message; `None`: nobody takes it.
    pub(crate) async fn made(
        &self,
        store: &dyn Store,
        routing: &Routing,
        random: &dyn Random,
    ) -> StoreResult<Option<NewDsn>> {
        let mut placed = Placed::default();
        for to in &self.notice.mailto.to {
            let Placed { mut deliveries, mut relays, mut events } = Placed::at(store, routing, to, self.now).await?;
            placed.deliveries.append(&mut deliveries);
            placed.relays.append(&mut relays);
            placed.events.append(&mut events);
        }
        if placed.deliveries.is_empty() && placed.relays.is_empty() {
            return Ok(None);
        }
        let message_id = format!("<{}@{}>", random.token(), routing.hostname);
        let bytes = self.write(&message_id);
        let to = &self.notice.mailto.to;
        let envelope = Envelope {
            // RFC 5436 §2.7: nothing comes back, so nothing goes round.
            reverse_path: ReversePath::Null,
            smtputf8: self.owner.needs_utf8() || to.iter().any(Address::needs_utf8),
            recipients: to.iter().cloned().map(Recipient::new).collect(),
            body: BodyType::SevenBit,
            dsn_return: None,
            envelope_id: None,
            hold: None,
        };
        placed.take(store, self.now, (bytes, message_id), envelope, Some(self.owner.to_string())).await.map(Some)
    }

    fn write(&self, message_id: &str) -> Vec<u8> {
        let mut out = String::new();
        let mut field = |name: &str, value: &str| {
            // Writing to a string does not fail.
            let _ = write!(out, "{name}: {value}\r\n");
        };
        let person = |address: &Address| mailbox(&Person { name: String::new(), address: address.to_string() });
        // RFC 5436 §2.3: who it is from is the owner, whatever the script says: it is his server's word.
        field("From", &person(self.owner));
        field("To", &self.notice.mailto.to.iter().map(person).collect::<Vec<_>>().join(",\r\n "));
        let (author, subject) = (self.about.0.as_deref().unwrap_or("somebody"), self.about.1.as_deref());
        let said = self.notice.message.as_deref().or(self.notice.mailto.subject.as_deref());
        let title = self.notice.mailto.subject.as_deref().or(said).or(subject).unwrap_or("New mail");
        field("Subject", &unstructured(cut(title.lines().next().unwrap_or_default()), "Subject: ".len()));
        field("Date", &date::rfc5322(self.now));
        field("Message-ID", message_id);
        // RFC 5436 §2.7.1
        field("Auto-Submitted", &format!("auto-notified; owner-email=\"{}\"", self.owner));
        let importance = ["high", "normal", "low"][usize::from(self.notice.importance.clamp(1, 3)) - 1];
        field("Importance", importance);
        field("MIME-Version", "1.0");
        let body = match (&self.notice.mailto.body, said) {
            (Some(body), _) => body.clone(),
            (None, Some(said)) => said.to_owned(),
            (None, None) => format!("{author} wrote: {}", subject.unwrap_or("(no subject)")),
        };
        let (encoding, content) = encoded_text(&body);
        let _ = write!(
            out,
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{content}"
        );
        out.into_bytes()
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(limits::AWAY_SUBJECT_LEN)]
}
