//! What somebody of this machine hands in (`sendmail`): the same questions in the same order as over SMTP. Who may talk to
//! the control socket may change everything here; so he may send as anybody.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use mail::{Address, BodyType, Durable, Envelope, QueueId, Recipient, Reply, ReversePath};
use wire::dot::LineEnds;
use wire::smtp::server::{Hello, Role, Sender};

use super::{Client, Desk, Ending, Identity, Incoming, SessionFilters, Transaction};

/// A message that is being handed in.
pub struct HandedIn {
    incoming: Incoming,
    envelope: Envelope,
    ends: LineEnds,
}

impl Desk {
    /// Begins; `user`: who hands it in. All recipients are taken, or none.
    ///
    /// # Errors
    /// Why not: the address that it is about, where it is about one.
    pub async fn hand_in(
        self: Arc<Self>,
        user: &str,
        sender: ReversePath,
        recipients: Vec<Recipient>,
        size: u64,
    ) -> Result<HandedIn, Vec<(Option<Address>, Reply)>> {
        let utf8 = |address: &Address| address.needs_utf8();
        let smtputf8 = sender.address().is_some_and(utf8) || recipients.iter().any(|one| utf8(&one.address));
        let envelope = Envelope {
            reverse_path: sender.clone(),
            recipients: recipients.clone(),
            body: BodyType::SevenBit,
            smtputf8,
            dsn_return: None,
            envelope_id: None,
            hold: None,
        };
        let client = Client {
            ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            role: Role::Submission,
            tls: None,
            identity: Identity::Operator,
            trusted: None,
        };
        let sender = Sender {
            reverse_path: sender,
            size: Some(size),
            body: BodyType::EightBitMime,
            smtputf8,
            dsn_return: None,
            envelope_id: None,
            future_release: None,
        };
        let whole = |reply| vec![(None, reply)];
        let hello = Hello { name: user.to_owned(), extended: true };
        let filters = SessionFilters::of(self.milters.as_ref(), client.role);
        let transaction = Transaction::begin(self, client, sender).await.map_err(whole)?;
        let mut transaction = transaction.ask(filters.as_ref(), &hello).await.map_err(whole)?;
        let mut refused = Vec::new();
        for recipient in recipients {
            let whom = recipient.address.clone();
            if let Err(reply) = transaction.recipient(recipient).await {
                refused.push((Some(whom), reply));
            }
        }
        if !refused.is_empty() {
            return Err(refused);
        }
        let incoming = transaction.body(hello, Some(size)).await.map_err(whole)?.by_hand();
        Ok(HandedIn { incoming, envelope, ends: LineEnds::default() })
    }
}

impl HandedIn {
    /// The next bytes.
    ///
    /// # Errors
    /// They can't be stored.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Reply> {
        self.ends.look(bytes);
        if !bytes.is_ascii() {
            self.envelope.body = BodyType::EightBitMime;
        }
        self.incoming.write(bytes).await
    }

    /// The end: takes responsibility for it.
    ///
    /// # Errors
    /// Why not.
    pub async fn commit(self) -> Result<Durable<QueueId>, Reply> {
        // RFC 5321 §2.3.8: CR and LF stand together, or not at all.
        if self.ends.has_bare() {
            return Err(Reply::new(554, (5, 6, 0), "The message has bare CRs or LFs"));
        }
        match self.incoming.commit(self.envelope).await {
            Ending::Accepted(id) | Ending::AcceptedSlowly(id, _) => Ok(id),
            Ending::Refused(reply) => Err(reply),
            Ending::HangUp => Err(Reply::new(451, (4, 3, 0), "Internal error")),
        }
    }
}
