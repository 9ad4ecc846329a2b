//! What an account sends from its own store (RFC 8621 §7.5): the same questions in the same order as over SMTP.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use mail::{AccountId, Address, BodyType, Durable, Envelope, Hold, Recipient, Reply, SubmissionId, limits};
use store::{Body, NewSubmission, StoreError, Way};
use wire::dot::LineEnds;
use wire::smtp::server::{Hello, Role, Sender};

use super::{Client, Desk, Identity, SessionFilters, Transaction, replies};
use crate::directory::every;

/// A message on its way from the account's store.
pub struct Outgoing {
    /// Who sends, and the account's address.
    pub from: (AccountId, Address),
    /// MAIL FROM.
    pub sender: Sender,
    /// RCPT TO; at least one.
    pub recipients: Vec<Recipient>,
    /// Its bytes.
    pub body: Arc<dyn Body>,
    /// How long it is held back.
    pub hold: Option<Hold>,
}

/// Why it does not go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// The account may not send at all.
    Account(Reply),
    /// It may not send as that.
    Sender(Reply),
    /// These are not taken; nobody gets it.
    Recipients(Vec<(Address, Reply)>),
    /// As many wait for their time as may.
    TooMany,
    /// Its lines are no lines.
    Lines,
    /// The message is not taken.
    Message(Reply),
}

impl Desk {
    /// Takes responsibility for it; `known` says what is kept of it beside the message.
    ///
    /// # Errors
    /// Why not.
    pub async fn send(
        self: Arc<Self>,
        outgoing: Outgoing,
        known: impl FnOnce(Vec<Way>) -> NewSubmission + Send,
    ) -> Result<Durable<SubmissionId>, Unsent> {
        let Outgoing { from: (account, address), sender, recipients, body, hold } = outgoing;
        let of_store = |error: &StoreError| Unsent::Message(replies::of_store(error));
        match self.store.account(account).await {
            Ok(Some(found)) if found.state == store::AccountState::Active => {}
            Ok(_) => return Err(Unsent::Account(replies::disabled(&address))),
            Err(error) => return Err(of_store(&error)),
        }
        // It came over no connection that says more than who is logged in.
        let client = Client {
            ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            role: Role::Submission,
            tls: None,
            identity: Identity::Account(account, address),
            trusted: None,
        };
        let mut envelope = Envelope {
            reverse_path: sender.reverse_path.clone(),
            recipients: recipients.clone(),
            body: BodyType::SevenBit,
            smtputf8: sender.smtputf8,
            dsn_return: sender.dsn_return,
            envelope_id: sender.envelope_id.clone(),
            hold,
        };
        let hello = Hello { name: String::new(), extended: true };
        let filters = SessionFilters::of(self.milters.as_ref(), client.role);
        let transaction = Transaction::begin(self, client, sender).await.map_err(Unsent::Sender)?;
        let mut transaction = transaction.ask(filters.as_ref(), &hello).await.map_err(Unsent::Message)?;
        let mut refused = Vec::new();
        for recipient in recipients {
            let whom = recipient.address.clone();
            if let Err(reply) = transaction.recipient(recipient).await {
                refused.push((whom, reply));
            }
        }
        if !refused.is_empty() {
            return Err(Unsent::Recipients(refused));
        }
        let incoming = transaction.body(hello, Some(body.size())).await.map_err(Unsent::Message)?;
        let mut incoming = incoming.over_http();
        let (mut at, mut ends) = (0, LineEnds::default());
        while at < body.size() {
            let piece = body.read(at..body.size().min(at + limits::READ_CHUNK as u64)).await;
            let piece = piece.map_err(|error| of_store(&error))?;
            at += piece.len() as u64;
            ends.look(&piece);
            if !piece.is_ascii() {
                envelope.body = BodyType::EightBitMime;
            }
            incoming.write(&piece).await.map_err(Unsent::Message)?;
        }
        // RFC 5321 §2.3.8: CR and LF stand together, or not at all. What smuggles otherwise goes to nobody.
        if ends.has_bare() {
            return Err(Unsent::Lines);
        }
        incoming.submit(envelope, known).await
    }

    /// Whether the account may send as `address` (RFC 6409 §6.1).
    ///
    /// # Errors
    /// The store's.
    pub async fn may_send_as(&self, account: AccountId, address: &Address) -> Result<bool, StoreError> {
        self.is_own(account, address).await
    }

    /// The addresses that an account has: its own first, then aliases that lead to it.
    ///
    /// # Errors
    /// The store's.
    pub async fn addresses_of(&self, account: AccountId, own: &Address) -> Result<Vec<Address>, StoreError> {
        let mut addresses = vec![own.folded()];
        let mut seen = 0;
        while let Some(address) = addresses.get(seen).cloned() {
            seen += 1;
            let mut aliases = self.store.aliases_of(&address).await?;
            let domains = self.store.aliases_of(&every(address.domain())?).await?;
            aliases.extend(domains.iter().filter(|alias| alias.is_every()).map(|alias| address.at(alias.domain())));
            for alias in aliases {
                // A catch-all is no address.
                let is_new = !alias.is_every() && !addresses.contains(&alias);
                if is_new && addresses.len() < limits::IDENTITIES_PER_ACCOUNT && self.is_own(account, &alias).await? {
                    addresses.push(alias);
                }
            }
        }
        Ok(addresses)
    }
}
